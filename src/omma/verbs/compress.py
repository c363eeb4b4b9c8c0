"""Make a smaller, faster copy of a model, and measure what that costs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omma.errors import DataError, NotMeaningful, OmmaError, Refused
from omma.progress import Watch
from omma.words import metric, say

if TYPE_CHECKING:
    from omma.bundle import Bundle
    from omma.compressors._judge import Copy, Speed, Verdict
    from omma.compressors.compressor import Shop

METHODS = ("int8", "prune", "prune+int8")
SHARES = (0.3, 0.15)  # of the channels: the second is tried where the first costs too much


@dataclass(slots=True)
class Compressed:
    """A copy that was worth it.

    Args:
        bundle: its folder.
        method: how it was made.
        size: bytes before and after.
        speed: before (the fastest float32 runtime) and after, on this machine.
        chosen: before and after on validation, by which it was chosen.
        held_out: the same on pictures that chose nothing; None where there are none.
        tried: every candidate.
        max_drop: points that could be lost.
    """

    bundle: str
    method: str
    size: tuple[int, int]
    speed: tuple[Speed, Speed]
    chosen: Verdict
    held_out: Verdict | None
    tried: list[Copy] = field(repr=False)
    max_drop: float = 0.5

    def json(self) -> dict[str, Any]:
        return {
            "bundle": self.bundle,
            "method": self.method,
            "max_drop": self.max_drop,
            "size": {"before": self.size[0], "after": self.size[1]},
            "speed": {
                "before": self.speed[0].json(),
                "after": self.speed[1].json(),
                "ratio": round(self.speed[1].mean / self.speed[0].mean, 3),
            },
            "validation": self.chosen.json(),
            "test": self.held_out.json() if self.held_out else None,
            "tried": [copy.json() for copy in self.tried],
        }

    def lines(self) -> list[str]:
        before, after = self.speed
        judged = self.held_out or self.chosen
        return [
            say("compress.size", method=self.method, before=self.size[0] / 1e6, after=self.size[1] / 1e6),
            say("compress.speed", before=before.many, after=after.many, old=before.runtime, new=after.runtime,
                ratio=after.many / before.many, one=after.one / before.one),
            say("compress.score", metric=metric(judged.metric), before=judged.before, after=judged.after, change=-judged.drop,
                part=say("compress.held_out" if self.held_out else "compress.validation"), n=judged.after.n),
            *([] if self.held_out else [say("compress.nothing_held_out")]),
            say("compress.written", out=self.bundle),
        ]  # fmt: skip


def compress(
    bundle: str | Path,
    *,
    data: str,
    max_drop: float = 0.5,
    out: str | Path | None = None,
    method: str | None = None,
    budget: str = "5min",
    format: str | None = None,
    device: str = "auto",
    watch: Watch = Watch(),
) -> Compressed:
    """Make a smaller, faster copy that loses at most `max_drop` points.

    Fine-tuning sees the training part only, the choice is made on validation, and the held-out part is looked at once, at the end.

    Args:
        bundle: a bundle or a run folder.
        data: the pictures it learned from: a path or a source's name.
        max_drop: points of the first metric that may be lost (percent where it is no share), on validation and on the held-out part.
        out: the copy's folder; NAME-compressed beside the bundle when not given.
        method: int8, prune or prune+int8; the fastest that keeps the promise when not given.
        budget: how long fine-tuning may take: 5min, 10 epochs, 2000 steps.
        format: how the data lies on disk, when it cannot be told.
        device: where to fine-tune; speed is always that of the processor.

    Raises:
        Refused: no copy is faster than the fastest float32 runtime and within `max_drop`; nothing was written.
        NotMeaningful: it is compressed already, or has nothing to spare.
        DataError, BundleError: the pictures or the model cannot be used.

    Example:
        omma compress runs/cifar10-1 --data cifar10 --max-drop 0.5
    """
    from omma import bundle as bundles
    from omma.catalog import need, unknown
    from omma.engine.budget import parse
    from omma.models._styled import meaningful

    if method is not None and method not in METHODS:
        raise unknown(say("compress.method"), method, list(METHODS))
    if not 0 <= max_drop <= 100:
        raise OmmaError(say("compress.bad_drop", drop=max_drop))
    time = parse(budget)
    need("onnxruntime", "compress", "omma compress")
    whole = bundles.open(bundle)
    meaningful(whole.net, "compress")
    if whole.card.get("runtime", {}).get("file"):
        raise NotMeaningful(say("compress.already"), whole.path, say("compress.already_fix"))
    target = Path(out) if out is not None else _beside(whole)
    if target.exists() and any(target.iterdir()):
        raise OmmaError(say("compress.exists"), target, say("compress.exists_fix"))
    with tempfile.TemporaryDirectory(prefix="omma-compress-") as folder:
        shop = _shop(whole, data, format, device, Path(folder), watch)
        shop.budget = time
        return _compress(shop, whole, method, max_drop, target)


def _beside(whole: Bundle) -> Path:
    """RUN/compressed for a run's own bundle, NAME-compressed for any other."""
    assert whole.path is not None
    inside = (whole.path.parent / "split.csv").is_file()
    return whole.path.parent / "compressed" if inside else whole.path.with_name(f"{whole.path.name}-compressed")


def _shop(whole: Bundle, data: str, format: str | None, device: str, folder: Path, watch: Watch) -> Shop:
    """The pictures, in the parts the model was trained with, and a machine.

    Raises:
        DataError: other names than the model's, or no validation part to choose by.
    """
    from omma.compressors.compressor import Shop
    from omma.data.frames import Frames
    from omma.data.own.given import posed
    from omma.data.own.originals import Originals
    from omma.data.spatial.cut import in_windows
    from omma.data.split import split
    from omma.engine import machine as machines
    from omma.formats.format import open_data
    from omma.report.evaluation import fitting
    from omma.verbs.evaluate import own_parts

    dataset = open_data(data, format or whole.card.get("data", {}).get("format"), watch, whole.task.answer.kind)
    dataset = posed(dataset, whole.task.poses, whole.task.settings).labelled()
    fitting(dataset, whole.task)
    recipe = whole.recipe
    if own_parts(whole, dataset):
        dataset = split(dataset, recipe.seed, watch, val=recipe.val, test=recipe.test)
        if dataset.digest() != whole.card.get("data", {}).get("digest"):
            watch.warn(say("compress.other_data"))
    seen = in_windows(dataset, whole.views)
    frames = Originals(seen, whole.views, watch) if whole.views.fit == "own" else Frames(seen, whole.views, None, watch)
    shop = Shop(seen, frames, machines.setup(device), folder, seed=recipe.seed, watch=watch)
    if whole.task.asks == "seed":
        from omma.report.drawings import look_at_truths

        shop.seeds = whole.asked
        look_at_truths(shop.dataset, frames, whole.task.settings["features"])
    if not shop.places("val") or len(shop.places("train")) < 2:
        raise DataError(say("compress.no_validation"), dataset.root, say("compress.no_validation_fix"))
    return shop


def _compress(shop: Shop, whole: Bundle, method: str | None, max_drop: float, target: Path) -> Compressed:
    from omma.compressors import _judge as judge
    from omma.runtimes.choose import fastest

    base = fastest(whole, shop.watch)
    places = shop.places("val")
    before = judge.said(shop, whole, base, places)
    tried: list[Copy] = []
    for share in SHARES:
        shop.share = share
        try:
            tried += _candidates(shop, whole, method, before, first=share == SHARES[0])
        except NotMeaningful:  # nothing to prune, now or before
            if not tried:
                raise
            break
        if method == "int8" or any(copy.method != "int8" and copy.drop <= max_drop for copy in tried):
            break
    fit = {f"{place}": copy for place, copy in enumerate(tried) if copy.drop <= max_drop}
    if not fit:
        raise Refused(say("compress.too_much", tried=_told(tried), max_drop=max_drop), whole.path, say("compress.too_much_fix"))
    speeds = judge.speeds(shop, {"whole": whole} | {name: copy.bundle for name, copy in fit.items()})
    for name, copy in fit.items():
        copy.speed = speeds.get(name)
    old = speeds["whole"]

    def worth(copy: Copy) -> tuple[bool, float]:
        """The fastest of those that will probably keep the promise on pictures nobody has looked at yet; of the others if there is none."""
        pace = copy.speed.mean if copy.speed else 0.0
        return pace > old.mean and copy.drop + copy.doubt <= max_drop, pace

    best = max((copy for copy in fit.values() if copy.speed), key=worth)
    assert best.speed is not None
    if best.speed.mean <= old.mean:
        raise Refused(
            say("compress.slower", tried=_told(tried), one=old.one, many=old.many, runtime=old.runtime),
            whole.path,
            say("compress.slower_fix"),
        )
    return _finish(shop, whole, base, before, best, old, tried, max_drop, target)


def _candidates(shop: Shop, whole: Bundle, method: str | None, before: list[Any], first: bool) -> list[Copy]:
    """Every copy that was asked for, its operating point fitted and its drop on validation known."""
    from omma.compressors.int8 import int8
    from omma.compressors.prune import prune

    made: list[tuple[str, Bundle]] = []
    try:
        if method in (None, "int8") and first:
            made.append(("int8", int8(shop, whole)))
        if method != "int8":
            thin = prune(shop, whole)
            made += [("prune", thin)] if method in (None, "prune") else []
            made += [("prune+int8", int8(shop, thin))] if method in (None, "prune+int8") else []
    except NotMeaningful as told:
        if method is not None or not made:
            raise
        shop.watch.warn(str(told))
    return [_judged(shop, name, copy, before) for name, copy in made]


def _judged(shop: Shop, name: str, bundle: Bundle, before: list[Any]) -> Copy:
    from omma.compressors import _judge as judge
    from omma.run import advice
    from omma.runtimes.choose import named

    places = shop.places("val")
    goal, runtime = bundle.task.settings.get("goal", ""), named("ort", bundle)
    if shop.own:  # nothing stands between such a network and its answer
        after = shop.restored(runtime, places)
    else:
        tensors = shop.inferred(runtime, places)
        truth = bundle.task.answer.tensors(shop.truths(places), bundle.names, bundle.views)
        bundle.point = bundle.task.answer.fit(tensors, truth, bundle.names, goal)
        after = judge.looked(bundle, judge.answers(bundle, tensors, shop.spots(bundle, places)))
    bundle.card["notes"] = [say("compress.note", method=name), *advice.unreached(bundle.point, bundle.names, goal)]
    drop, doubt = judge.drop_on(shop, "val", bundle, before, after)
    shop.watch.say(say("compress.tried", method=name, change=-drop))
    return judge.Copy(name, bundle, drop, doubt)


def _finish(
    shop: Shop, whole: Bundle, base: Any, before: list[Any], best: Copy, old: Speed, tried: list[Copy], max_drop: float, target: Path
) -> Compressed:
    """Look at the held-out part once, keep the promise or refuse, write."""
    from omma.bundle import versions
    from omma.compressors import _judge as judge
    from omma.runtimes.choose import named

    copy, part = best.bundle, "test" if shop.places("test") else "val"
    runtime = named("ort", copy)
    places = shop.places("val")
    chosen = judge.verdict(shop, "val", copy, before, judge.said(shop, copy, runtime, places))
    held_out = None
    if part == "test":
        places = shop.places("test")
        sides = [judge.said(shop, one, run, places) for one, run in ((whole, base), (copy, runtime))]
        held_out = judge.verdict(shop, "test", copy, *sides)
        if held_out.drop > max_drop:
            told = say("compress.broken", drop=held_out.drop, max_drop=max_drop, before=held_out.before, after=held_out.after)
            raise Refused(told, whole.path, say("compress.too_much_fix"))
    scores = (held_out or chosen).scores
    copy.card["scores"] = {"split": part, "metrics": {name: score.json() for name, score in scores.items()}}
    copy.card["versions"] = versions()
    assert whole.path is not None and best.speed is not None
    copy.card["parent"] = {"sha256": whole.digest, "method": best.method, "speed": {"before": old.json(), "after": best.speed.json()}}
    copy.card["parent"] |= {"validation": chosen.json(), "test": held_out.json() if held_out else None}
    copy.save(target)
    return Compressed(
        str(target), best.method, (judge.size_of(whole.path), judge.size_of(target)), (old, best.speed), chosen, held_out, tried, max_drop
    )


def _told(tried: list[Copy]) -> str:
    """Every candidate with its numbers, on one line."""
    rows = []
    for copy in tried:
        speed = f", {copy.speed.one:.0f} / {copy.speed.many:.0f}" if copy.speed else ""
        rows.append(f"{copy.method} {-copy.drop:+.2f}{speed}")
    return "; ".join(rows)

"""What a copy is worth: its answers on one part, its pictures a second on this machine, its bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from omma.answers.drawn import Drawn
from omma.bundle import Bundle
from omma.compressors.compressor import Shop
from omma.engine.told import told
from omma.metrics import bootstrap
from omma.metrics.metric import Metric, Score
from omma.report.drawings import look, stacked
from omma.words import say

if TYPE_CHECKING:
    from omma.answers.answer import Answer
    from omma.data.spatial.place import Place

SECONDS, ROUNDS = 1.0, 3  # of measuring one runtime, and how often in turns


@dataclass(slots=True)
class Speed:
    """Pictures a second.

    Args:
        runtime: what computes.
        one, many: one picture at a time; sixteen at a time.
    """

    runtime: str
    one: float
    many: float

    @property
    def mean(self) -> float:
        """Geometric mean of both: what `predict` and `serve` choose a runtime by."""
        return float(np.sqrt(self.one * self.many))

    def json(self) -> dict[str, Any]:
        return {"runtime": self.runtime, "one": round(self.one, 2), "many": round(self.many, 2)}


@dataclass(slots=True)
class Copy:
    """One compressed candidate and what it was found to be worth.

    Args:
        method: int8, prune or prune+int8.
        bundle: not saved yet; operating point fitted on validation.
        drop: points lost on validation against the whole model (negative: gained).
        doubt: standard error of `drop`: what another part of the data may add to it.
        speed: None until measured.
    """

    method: str
    bundle: Bundle
    drop: float = float("nan")
    doubt: float = 0.0
    speed: Speed | None = None
    why: str = ""

    def json(self) -> dict[str, Any]:
        found = {"method": self.method, "drop": round(self.drop, 4), "speed": self.speed.json() if self.speed else None}
        return found | ({"why": self.why} if self.why else {})


@dataclass(slots=True)
class Verdict:
    """Before and after on one part, the same pictures."""

    metric: str
    before: Score
    after: Score
    difference: Score  # after − before, paired
    drop: float
    scores: dict[str, Score] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        sides = {"before": self.before.json(), "after": self.after.json(), "difference": self.difference.json()}
        return {"metric": self.metric, "drop": round(self.drop, 4), **sides}


def first_metric(bundle: Bundle) -> tuple[str, Metric]:
    """The one that decides."""
    return next(iter(bundle.task.metrics().items()))


def answers(bundle: Bundle, tensors: dict[str, torch.Tensor], places: list[Place] | None = None) -> list[Answer]:
    """Tensors of `Task.infer` → settled answers; `places` as in `told`, see `Shop.spots`."""
    with torch.inference_mode():
        operated = bundle.task.answer.operate(tensors, bundle.point)
        return told(bundle.task, operated, bundle.point, places)


def said(shop: Shop, bundle: Bundle, runtime: Any, places: list[int]) -> list[Answer]:
    """What a bundle computed by a runtime says of these places."""
    if shop.own:
        return shop.restored(runtime, places)
    return looked(bundle, answers(bundle, shop.inferred(runtime, places), shop.spots(bundle, places)))


def looked(bundle: Bundle, said: list[Answer]) -> list[Answer]:
    """Answers with what a network sees in them, where that is what they are measured by."""
    made = [one for one in said if isinstance(one, Drawn)]
    if made:
        look(made, stacked(made), bundle.task.settings["features"])
    return said


def points_lost(metric: Metric, before: float, after: float) -> float:
    """Points of a share; of any other number, percent of what it was."""
    worse = before - after if metric.better == "higher" else after - before
    return 100 * worse if metric.scale == "share" else 100 * worse / max(abs(before), 1e-12)


def drop_on(shop: Shop, split: str, bundle: Bundle, before: list[Answer], after: list[Answer]) -> tuple[float, float]:
    """Points lost on one part, and their standard error: what a choice is made by."""
    _, metric = first_metric(bundle)
    places = shop.places(split)
    truths, once = shop.truths(places), np.ones(len(places), np.float32)
    theirs, mine = (metric.records(said, truths) for said in (before, after))
    one, two = (metric.summary(records, once) for records in (theirs, mine))
    paired = bootstrap.compare(metric, mine, theirs, shop.groups(places)).difference
    error = (paired.high - paired.low) / (2 * 1.96)
    return points_lost(metric, one, two), abs(points_lost(metric, one, one + error))


def verdict(shop: Shop, split: str, bundle: Bundle, before: list[Answer], after: list[Answer]) -> Verdict:
    """Both scores and their paired difference, with intervals."""
    name, metric = first_metric(bundle)
    places = shop.places(split)
    truths, groups = shop.truths(places), shop.groups(places)
    mine, theirs = metric.records(after, truths), metric.records(before, truths)
    old, new = (bootstrap.interval(metric, records, groups) for records in (theirs, mine))
    paired = bootstrap.compare(metric, mine, theirs, groups).difference
    scores = bootstrap.scores(bundle.task.metrics(), after, truths, groups)
    return Verdict(name, old, new, paired, points_lost(metric, old.value, new.value), scores)


def speeds(shop: Shop, bundles: dict[str, Bundle]) -> dict[str, Speed]:
    """The fastest runtime of each bundle, all measured in turns in processes of their own, on the same frames."""
    from omma.runtimes.choose import candidates, trial_frames

    places = shop.places("val")[:16]
    frames = trial_frames(next(iter(bundles.values())), next(shop.batches(places)).numpy())
    runs = [(name, runtime) for name, one in bundles.items() for runtime in (["ort"] if own(one) else ["eager", *candidates()])]
    rates: dict[tuple[str, str], np.ndarray] = {}
    for turn in range(ROUNDS):
        for place, (name, runtime) in enumerate(runs):
            shop.watch.step(say("compress.measuring"), turn * len(runs) + place, ROUNDS * len(runs))
            found = _pace(shop, bundles[name], name, runtime, frames)
            if found is not None:
                rates[name, runtime] = np.maximum(rates.get((name, runtime), np.zeros(2)), found)
    shop.watch.end(say("compress.measuring"))
    best: dict[str, Speed] = {}
    for (name, runtime), (one, many) in rates.items():
        speed = Speed(runtime, float(one), float(many))
        if name not in best or speed.mean > best[name].mean:
            best[name] = speed
    return best


def own(bundle: Bundle) -> bool:
    """Whether it brings a graph of its own."""
    return bool(bundle.card.get("runtime", {}).get("file"))


def _pace(shop: Shop, bundle: Bundle, name: str, runtime: str, frames: np.ndarray) -> list[float] | None:
    """One turn of one runtime; None where it cannot run this network."""
    from omma.runtimes._trial import pace
    from omma.runtimes.choose import named, run_child

    if runtime == "eager":
        return pace(named("eager", bundle).infer, frames, SECONDS / ROUNDS)
    try:
        return run_child(runtime, graph(shop, bundle, name), frames, SECONDS)[0]
    except RuntimeError as error:
        shop.watch.warn(say("compress.cannot_run", runtime=runtime, reason=str(error)[:200]))
        return None


def graph(shop: Shop, bundle: Bundle, name: str) -> Path:
    """The graph of a bundle: its own, or its float32 pipeline's."""
    from omma.runtimes._graphs import make

    if own(bundle):
        assert bundle.path is not None
        return bundle.path / bundle.card["runtime"]["file"]
    path = shop.folder / f"{name}.onnx"
    return path if path.is_file() else make(bundle, path)


def size_of(folder: Path) -> int:
    """Bytes of a bundle's weights and graph."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in (".safetensors", ".onnx"))

"""How good a trained model is: every metric with its interval, the pictures it gets wrong, and whether it beats another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omma.errors import DataError, NotMeaningful, OmmaError
from omma.progress import Watch
from omma.words import say

if TYPE_CHECKING:
    from omma.bundle import Bundle
    from omma.data.sample import Dataset
    from omma.report.evaluation import Evaluation
    from omma.run.helped import Helped

SPLITS = ("train", "val", "test", "all")


def evaluate(
    bundle: str,
    data: str | None = None,
    *,
    split: str | None = None,
    compare: str | None = None,
    format: str | None = None,
    out: str | None = None,
    features: str | None = None,
    helps: str | None = None,
    device: str = "auto",
    watch: Watch | None = None,
) -> Evaluation:
    """Measure a trained model on pictures whose answers are known; nothing of the model is changed.

    Example: omma evaluate runs/photos-1 photos/ --compare runs/photos-2

    Args:
        bundle: a bundle or run folder.
        data: a path or a source's name; default: what the run learned from.
        split: train, val, test or all; default: the run's own held-out part, of other data its test part, else all of it.
        compare: another bundle or run, tested on the same pictures, with a verdict: better, worse or cannot tell.
        format: how the data lies on disk; sniffed when left out.
        out: write a report page here (a file or a folder; in a folder every answer too, as answers.jsonl).
        features: of a model that draws or restores: the network by whose eyes pictures are measured: random, a run, or timm/NAME:FILE;
            that of its training when left out. Where it restores, NAME:FILE+FILE brings the weights of LPIPS.
        helps: of a model that draws by class: also train a classifier with and without drawn pictures, for so long each (2min), and say
            whether they help: better, worse or cannot tell.
        device: where to compute.

    Raises:
        DataError: no such part, nothing labelled in it, or names that do not match the model's.
        BundleError: not a trained model.
    """
    from omma import bundle as bundles
    from omma.data.own.given import posed
    from omma.engine.machine import device_of
    from omma.formats.format import open_data
    from omma.report.evaluation import evaluate_bundle

    watch = watch or Watch()
    if split is not None and split not in SPLITS:
        from omma.catalog import unknown

        raise unknown(say("evaluate.bad_split"), split, list(SPLITS))
    place = str(device_of(device))
    model = bundles.open(bundle, place)
    other = bundles.open(compare, place) if compare else None
    if features is not None:
        for one in (model, other):
            if one is not None and one.task.settings.get("features") is None:
                raise OmmaError(say("generate.no_eyes_here"), str(one.path))
            if one is not None:
                one.task.settings["features"] = features
    where = data or _own_data(model)
    plain = open_data(where, format or (None if data else model.card.get("data", {}).get("format")), watch, model.task.answer.kind)
    dataset = posed(plain, model.task.poses, model.task.settings)
    differs = own_parts(model, dataset)
    chosen, notes = choose(dataset, split, differs, _is_own(model, where))
    learned = None if differs else dataset.part("train")
    evaluation = evaluate_bundle(model, dataset.part(chosen), chosen, watch, other, where, learned)
    evaluation.notes += notes
    if helps is not None:
        evaluation.helped = _helped(model, plain, dataset, helps, place, watch)
    if out is not None:
        from omma.report.run import write_page

        page = write_page(Path(out), model, evaluation, dataset, watch)
        evaluation.report = str(page)
        if page != Path(out):
            evaluation.keep(page.parent, model.task)
    return evaluation


def _helped(model: Bundle, plain: Dataset, dataset: Dataset, budget: str, device: str, watch: Watch) -> Helped:
    """Whether drawn pictures help a classifier of the same data, in the same parts."""
    from omma.run.helped import helped

    if model.task.asks != "seed":
        raise NotMeaningful(say("generate.helps_drawn"), model.path)
    parts = {sample.id: sample.split for sample in dataset.samples}
    if not any(parts.values()):
        from omma.data.split import split

        parts = {sample.id: sample.split for sample in split(plain, model.recipe.seed, watch).samples}
    for sample in plain.samples:
        sample.split = parts.get(sample.id)
    return helped(model, plain.labelled(), budget, device, watch)


def choose(dataset: Dataset, split: str | None, differs: str = "", named: bool = False) -> tuple[str, list[str]]:
    """Which part is measured, and what a reader must know about it.

    Args:
        differs: in what this is not the data the model learned from; nothing where it is.
        named: whether the model's card names it as what it learned from.

    Raises:
        DataError: the part does not exist.
    """
    parts = dataset.counts()
    if split is None and not differs:
        split = next((part for part in ("test", "val") if parts.get(part)), "all")
    elif split is None:
        split = "test" if parts.get("test") else "all"
    if split != "all" and not parts.get(split):
        shown = ", ".join(f"{part} ({count:,})" for part, count in parts.items()) or "–"
        fix = say("evaluate.no_part_differs_fix", differs=differs) if differs and named else say("evaluate.no_part_fix")
        raise DataError(say("evaluate.no_part", split=split, parts=shown), dataset.root, fix)
    if differs:
        return split, [say("evaluate.differs", differs=differs)] if named else []
    note = {"val": "evaluate.val_chose", "train": "evaluate.seen", "all": "evaluate.seen"}.get(split)
    return split, [say(note)] if note else []


def own_parts(model: Bundle, dataset: Dataset) -> str:
    """Give the very data the model learned from the parts its run used; of other data, left as it is, say what differs.

    Pictures nobody labelled play no part: no run learns from them, and its split does not name them.
    """
    from omma.run.folder import RunFolder

    run = RunFolder(model.path.parent) if model.path else None
    if run is None or not run.split.is_file():
        return say("evaluate.no_split")
    before = [sample.split for sample in dataset.samples]
    try:
        if run.put_split(dataset).digest() == model.card.get("data", {}).get("digest"):
            return ""
    except DataError as error:
        return error.what
    for sample, part in zip(dataset.samples, before, strict=True):
        sample.split = part
    return say("evaluate.changed")


def _is_own(model: Bundle, where: str) -> bool:
    """Whether this is the place the model's card names as what it learned from."""
    named = model.card.get("data", {}).get("where")
    return bool(named) and Path(where).resolve() == Path(named).resolve()


def _own_data(model: Bundle) -> str:
    where = model.card.get("data", {}).get("where")
    if not where:
        raise OmmaError(say("evaluate.no_data"), str(model.path), say("evaluate.no_data_fix"))
    return str(where)

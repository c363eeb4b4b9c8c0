"""How good a trained model is: every metric with its interval, the pictures it gets wrong, and whether it beats another."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from omma.errors import DataError, OmmaError
from omma.progress import Watch
from omma.words import say

if TYPE_CHECKING:
    from omma.bundle import Bundle
    from omma.data.sample import Dataset
    from omma.report.evaluation import Evaluation

SPLITS = ("train", "val", "test", "all")


def evaluate(
    bundle: str,
    data: str | None = None,
    *,
    split: str | None = None,
    compare: str | None = None,
    format: str | None = None,
    out: str | None = None,
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
        out: write a report page here (a file or a folder).
        device: where to compute.

    Raises:
        DataError: no such part, nothing labelled in it, or names that do not match the model's.
        BundleError: not a trained model.
    """
    from omma import bundle as bundles
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
    where = data or _own_data(model)
    dataset = open_data(where, format or (None if data else model.card.get("data", {}).get("format")), watch, model.task.answer.kind)
    own = own_parts(model, dataset)
    chosen, notes = choose(dataset, split, own)
    evaluation = evaluate_bundle(model, dataset.part(chosen), chosen, watch, other, where)
    evaluation.notes += notes
    if out is not None:
        from omma.report.run import write_page

        evaluation.report = str(write_page(Path(out), model, evaluation, dataset, watch))
    return evaluation


def choose(dataset: Dataset, split: str | None, own: bool) -> tuple[str, list[str]]:
    """Which part is measured, and what a reader must know about it.

    Raises:
        DataError: the part does not exist.
    """
    parts = dataset.counts()
    if split is None and own:
        split = next((part for part in ("test", "val") if parts.get(part)), "all")
    elif split is None:
        split = "test" if parts.get("test") else "all"
    if split != "all" and not parts.get(split):
        shown = ", ".join(f"{part} ({count:,})" for part, count in parts.items()) or "–"
        raise DataError(say("evaluate.no_part", split=split, parts=shown), dataset.root, say("evaluate.no_part_fix"))
    if not own:
        return split, []
    note = {"val": "evaluate.val_chose", "train": "evaluate.seen", "all": "evaluate.seen"}.get(split)
    return split, [say(note)] if note else []


def own_parts(model: Bundle, dataset: Dataset) -> bool:
    """Whether this is the very data the model learned from; if so it gets the parts (and groups) its run used."""
    table = model.path.parent / "split.csv" if model.path else None
    if table is None or not table.is_file():
        return False
    with table.open(encoding="utf-8", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    if rows.keys() != {sample.id for sample in dataset.samples}:
        return False
    before = [(sample.split, sample.group) for sample in dataset.samples]
    for sample in dataset.samples:
        sample.split, sample.group = rows[sample.id]["split"] or None, rows[sample.id]["group"] or None
    if dataset.digest() == model.card.get("data", {}).get("digest"):
        return True
    for sample, (part, group) in zip(dataset.samples, before, strict=True):
        sample.split, sample.group = part, group
    return False


def _own_data(model: Bundle) -> str:
    where = model.card.get("data", {}).get("where")
    if not where:
        raise OmmaError(say("evaluate.no_data"), str(model.path), say("evaluate.no_data_fix"))
    return str(where)

"""One kind of truth as another — outlines as boxes, masks as objects, objects as counts — with words for what is lost on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from omma.answers.answer import Answer
from omma.answers.boxes import Boxes
from omma.answers.drawn import Drawn
from omma.answers.instances import Instances
from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.answers.mask import BACKGROUND, VOID, Mask
from omma.answers.numbers import Numbers
from omma.answers.picture import Picture
from omma.answers.rebuilt import Rebuilt
from omma.catalog import unknown
from omma.data.sample import Dataset
from omma.errors import DataError, OmmaError
from omma.words import say

# The task that each kind of truth proposes.
TASK = {
    "label": "classify", "labels": "multilabel", "numbers": "regress", "boxes": "detect", "instances": "instances", "mask": "segment",
    "picture": "restore", "rebuilt": "reconstruct", "drawn": "generate",
}  # fmt: skip
_NOTHING = frozenset({*BACKGROUND, "void", "unlabelled", "unlabeled", "ignore"})
TOTAL = "total"
# What folders of good pictures are called.
GOOD = frozenset({"good", "ok", "okay", "normal", "正常", "合格", "良品", "好"})

Truths = list[Answer | None]
Step = tuple[Truths, list[str], list[str]]  # truths, names, what was lost in words


def kind_of(dataset: Dataset) -> str | None:
    """The kind of a dataset's truths; of boxes among outlines `boxes`, which both are; None where nothing is labelled."""
    return min({sample.truth.kind for sample in dataset.samples if sample.truth is not None}, default=None)


def recast(dataset: Dataset, kind: str) -> tuple[Dataset, list[str]]:
    """The same pictures with another kind of truth, and what was lost or made up, a sentence each.

    Pictures without a truth stay without one; pictures known to hold nothing have an empty truth of the new kind.

    Args:
        dataset: left as it is.
        kind: of answer: `boxes`, `instances`, `mask`, `numbers`, `labels`, `label` or `picture`.

    Raises:
        OmmaError: nothing is labelled, or such labels do not say what is asked (class names have no places).
    """
    have = kind_of(dataset)
    if have is None:
        raise OmmaError(say("convert.no_labels"), dataset.root)
    if have == kind and all(sample.truth is None or sample.truth.kind == kind for sample in dataset.samples):
        return dataset, []
    if via := _VIA.get((have, kind)):
        half, lost = recast(dataset, via)
        whole, more = recast(half, kind)
        return whole, lost + more
    step = _STEPS.get((have, kind))
    if step is None:
        raise OmmaError(say("convert.meaningless", have=say(f"convert.kind.{have}"), want=say(f"convert.kind.{kind}")), dataset.root)
    truths, names, lost = step(dataset)
    samples = [replace(sample, truth=truth) for sample, truth in zip(dataset.samples, truths, strict=True)]
    return replace(dataset, samples=samples, names=names, task=TASK[kind]), lost


def seen_as(dataset: Dataset, kind: str) -> Dataset:
    """The dataset for a model that answers with `kind`: where objects are also says which classes are there, and how many.

    What is lost is added to its notes. Truths of pictures as a whole stay as they are: whether they fit is asked elsewhere, by name; and so
    does everything where pictures are made better or rebuilt, see `data/own/given.py`.

    Raises:
        OmmaError: the labels do not say what is asked.
    """
    if kind in (Picture.kind, Rebuilt.kind, Drawn.kind) or kind_of(dataset) not in (Boxes.kind, Instances.kind, Mask.kind):
        return dataset
    seen, lost = recast(dataset, kind)
    return replace(seen, notes=[*dataset.notes, *lost])


def judged(dataset: Dataset, good: str = "") -> Dataset:
    """The same pictures, each good or odd; those that are odd and lie in a part to learn from are left out, and that is noted.

    Of class folders those called as `GOOD` has it are good, or the only one; of pictures with objects or several classes those that
    show nothing else; without labels, or where these are numbers or pictures, all are. A picture without a label among others with
    one stays without.

    Args:
        dataset: left as it is.
        good: the classes that are good, joined by commas; "" = as above.

    Raises:
        OmmaError: no such class, or nothing says which class is good.
        DataError: no picture is good.
    """
    kind, ground = kind_of(dataset), ground_of(dataset)
    names = [name for name in dataset.names if name not in ground] if kind in _NAMED else []
    fine = _good_of(names, good, dataset, kind == Label.kind)
    samples, dropped, count = [], 0, Counter[bool]()
    for sample in dataset.samples:
        if sample.truth is None and kind is not None:
            samples.append(replace(sample, truth=None))
            continue
        if isinstance(sample.truth, Rebuilt):
            odd, shows = bool(sample.truth.odd), sample.truth.shows
        else:
            shows = tuple(sorted(set(present(sample.truth)) - ground)) if names else ()
            odd = bool(set(shows) - fine)
        dropped += odd and sample.split == "train"
        if not (odd and sample.split == "train"):
            count[odd] += 1
            samples.append(replace(sample, truth=Rebuilt(odd, shows=shows)))
    if not count[False]:
        raise DataError(say("reconstruct.none_good"), dataset.root, say("reconstruct.no_good_fix"))
    notes = [say("reconstruct.judged", good=count[False], odd=count[True])]
    notes += [say("reconstruct.left_out", count=dropped)] if dropped else []
    return replace(dataset, samples=samples, names=["anomaly"], task=TASK[Rebuilt.kind], notes=notes)


def _good_of(names: Sequence[str], good: str, dataset: Dataset, classes: bool) -> set[str]:
    """The names that are good, see `judged`; where `classes` say one of them of each picture, there must be one."""
    if good:
        asked = [good] if good in names else [name.strip() for name in good.split(",")]
        for name in asked:
            if name not in names:
                raise unknown(say("errors.kind_name"), name, list(names))
        return set(asked)
    found = {name for name in names if name.strip().casefold() in GOOD}
    if classes and not found:
        if len(names) > 1:
            shown = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
            raise OmmaError(say("reconstruct.no_good", names=shown), dataset.root, say("reconstruct.no_good_fix"))
        return set(names)
    return found


def count_objects(dataset: Dataset) -> int:
    """How many objects a dataset's truths hold; none where they are of another kind."""
    return sum(len(sample.truth) for sample in dataset.samples if isinstance(sample.truth, Boxes))


def _each(dataset: Dataset, turn: Callable[..., Answer]) -> Truths:
    return [None if sample.truth is None else turn(sample.truth) for sample in dataset.samples]


def _to_boxes(dataset: Dataset) -> Step:
    """Outlines → their boxes, which know them still, to be fitted again where pictures turn."""

    def turn(truth: Boxes) -> Boxes:
        outlines = truth.counts if isinstance(truth, Instances) else truth.outlines
        return Boxes(truth.width, truth.height, truth.labels, truth.boxes, truth.probabilities, truth.ignored, outlines=outlines)

    count = sum(len(sample.truth) for sample in dataset.samples if isinstance(sample.truth, Instances))
    return _each(dataset, turn), dataset.names, [say("convert.outlines", count=count)]


def _to_rectangles(dataset: Dataset) -> Step:
    """Boxes → filled rectangles: every pixel whose centre lies in the box, at least one."""
    from omma.answers import _rle

    def fill(truth: Boxes, box: np.ndarray) -> str:
        pixels = np.zeros((truth.height, truth.width), bool)
        (x1, y1), (x2, y2) = (np.ceil(corner - 0.5).astype(int) for corner in (box[:2], box[2:]))
        x1, y1 = min(max(x1, 0), truth.width - 1), min(max(y1, 0), truth.height - 1)
        pixels[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)] = True
        return _rle.encode(pixels)

    filled = 0

    def turn(truth: Boxes) -> Instances:
        nonlocal filled
        if isinstance(truth, Instances):
            return truth
        filled += len(truth)
        counts = [fill(truth, box) for box in truth.boxes]
        return Instances(truth.width, truth.height, truth.labels, truth.boxes, truth.probabilities, truth.ignored, counts)

    truths = _each(dataset, turn)
    return truths, dataset.names, [say("convert.rectangles", count=filled)]


def _to_mask(dataset: Dataset) -> Step:
    """Outlines → the class of every pixel: later objects lie above earlier ones, what is ignored is void, the rest is background."""
    from omma.answers import _rle

    ground = next((name for name in BACKGROUND if name in dataset.names), None)
    classes = dataset.names if ground else [BACKGROUND[0], *dataset.names]
    if len(classes) > VOID:
        raise OmmaError(say("convert.many_classes", count=len(classes), most=VOID), dataset.root)
    place = {name: number for number, name in enumerate(classes)}
    seen = Counter[str]()

    def turn(truth: Instances) -> Mask:
        pixels = np.full((truth.height, truth.width), place[ground or BACKGROUND[0]], np.uint8)
        taken = np.zeros(pixels.shape, bool)
        aside = np.zeros(len(truth), bool) if truth.ignored is None else truth.ignored
        covered = 0
        for number in np.argsort(~aside, kind="stable"):  # what is ignored lies below everything
            shape = _rle.decode(truth.counts[number], truth.height, truth.width)
            value = VOID if aside[number] else place[truth.labels[number]]
            if not aside[number]:
                covered += int((taken & shape & (pixels != value)).sum())
                taken |= shape
            pixels[shape] = value
        seen.update(objects=len(truth) - int(aside.sum()), void=int(aside.sum()), covered=covered, pictures=int(covered > 0))
        return Mask.of(pixels, classes)

    truths = _each(dataset, turn)
    lost = [say("convert.merged", count=seen["objects"])]
    lost += [say("convert.overlap", pictures=seen["pictures"], pixels=seen["covered"])] if seen["covered"] else []
    lost += [say("convert.to_void", count=seen["void"])] if seen["void"] else []
    lost += [] if ground else [say("convert.background", name=BACKGROUND[0])]
    return truths, list(classes), lost


def _to_regions(dataset: Dataset) -> Step:
    """The class of every pixel → one object for each connected region (corners touch) that is neither background nor void."""
    from scipy import ndimage  # comes with scikit-learn

    from omma.answers import _rle

    ground = _ground(dataset.names)
    seen = Counter[str]()

    def turn(truth: Mask) -> Instances:
        pixels = truth.pixels
        labels: list[str] = []
        boxes: list[tuple[float, ...]] = []
        counts: list[str] = []
        for value in np.unique(pixels):
            if value == VOID or truth.classes[value] in ground:
                continue
            regions, _ = ndimage.label(pixels == value, np.ones((3, 3)))
            for number, (rows, columns) in enumerate(ndimage.find_objects(regions), 1):
                shape = np.zeros(pixels.shape, bool)
                shape[rows, columns] = regions[rows, columns] == number
                labels.append(truth.classes[value])
                boxes.append((columns.start, rows.start, columns.stop, rows.stop))
                counts.append(_rle.encode(shape))
        seen.update(regions=len(labels), void=int((pixels == VOID).any()))
        return Instances(truth.width, truth.height, labels, np.array(boxes, float).reshape(-1, 4), counts=counts)

    truths = _each(dataset, turn)
    lost = [say("convert.regions", count=seen["regions"])]
    lost += [say("convert.ground", names=", ".join(sorted(ground)))] if ground else []
    lost += [say("convert.void", count=seen["void"])] if seen["void"] else []
    return truths, [name for name in dataset.names if name not in ground], lost


def _to_counts(dataset: Dataset) -> Step:
    """Objects → how many there are of each class, and of all of them where there are several classes."""
    total = len(dataset.names) > 1 and TOTAL not in dataset.names
    names = [*dataset.names, TOTAL] if total else list(dataset.names)

    def turn(truth: Boxes) -> Numbers:
        count = Counter(_counted(truth))
        return Numbers({name: float(count[name]) for name in dataset.names} | ({TOTAL: float(count.total())} if total else {}))

    aside = sum(int(s.truth.ignored.sum()) for s in dataset.samples if isinstance(s.truth, Boxes) and s.truth.ignored is not None)
    lost = [say("convert.counted", count=count_objects(dataset) - aside)]
    return _each(dataset, turn), names, lost + ([say("convert.uncounted", count=aside)] if aside else [])


def _to_present(dataset: Dataset) -> Step:
    """Anything with classes → which of them a picture shows; background and void are none."""
    ground = ground_of(dataset)
    names = [name for name in dataset.names if name not in ground]

    def turn(truth: Answer) -> Labels:
        shown = set(present(truth))
        return Labels(tuple(name for name in names if name in shown))

    return _each(dataset, turn), names, [] if kind_of(dataset) == Label.kind else [say("convert.present")]


def _to_one(dataset: Dataset) -> Step:
    """Several classes → the class, where each picture shows exactly one."""
    odd = [sample.id for sample in dataset.samples if isinstance(sample.truth, Labels) and len(sample.truth.labels) != 1]
    if odd:
        raise OmmaError(say("convert.not_one", count=len(odd), names=", ".join(odd[:3])), dataset.root)
    return _each(dataset, lambda truth: Label(truth.labels[0])), dataset.names, []


def present(truth: Answer | None) -> Sequence[str]:
    """The class names that a truth shows, an object's once for each object; none where it is numbers or not known."""
    if isinstance(truth, Boxes):
        return _counted(truth)
    if isinstance(truth, Mask):
        counts = np.bincount(truth.pixels.ravel(), minlength=VOID + 1)
        return [name for name, count in zip(truth.classes, counts, strict=False) if count]
    if isinstance(truth, Labels):
        return truth.labels
    return [truth.label] if isinstance(truth, Label | Drawn) and truth.label else []


def ground_of(dataset: Dataset) -> set[str]:
    """The classes of a dataset that are no objects: background and void of masks."""
    return _ground(dataset.names) if kind_of(dataset) == Mask.kind else set()


def _counted(truth: Boxes) -> list[str]:
    """The class of every object that is not to be ignored."""
    return [label for number, label in enumerate(truth.labels) if truth.ignored is None or not truth.ignored[number]]


def _ground(names: Sequence[str]) -> set[str]:
    """The classes that are no objects: by their names, and 0 where classes are numbers."""
    numbered = bool(names) and all(name.isdecimal() for name in names)
    return {name for name in names if name.lower() in _NOTHING or (numbered and int(name) == 0)}


# Kinds that name classes.
_NAMED = (Label.kind, Labels.kind, Boxes.kind, Instances.kind, Mask.kind)
_STEPS: dict[tuple[str, str], Callable[[Dataset], Step]] = {
    ("instances", "boxes"): _to_boxes,
    ("boxes", "boxes"): _to_boxes,
    ("boxes", "instances"): _to_rectangles,
    ("instances", "mask"): _to_mask,
    ("mask", "instances"): _to_regions,
    ("boxes", "numbers"): _to_counts,
    ("instances", "numbers"): _to_counts,
    ("boxes", "labels"): _to_present,
    ("instances", "labels"): _to_present,
    ("mask", "labels"): _to_present,
    ("label", "labels"): _to_present,
    ("labels", "label"): _to_one,
}
# Roads of several steps: what is lost on each is said.
_VIA = {
    ("boxes", "mask"): "instances",
    ("mask", "boxes"): "instances",
    ("mask", "numbers"): "instances",
    ("boxes", "label"): "labels",
    ("instances", "label"): "labels",
    ("mask", "label"): "labels",
}

"""Which predicted object is which true one: COCO's greedy matching for every picture, class, size and IoU at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

# COCO's own numbers, made as pycocotools makes them: its ninth threshold is the float below 0.9.
IOUS = np.linspace(0.5, 0.95, 10)
# Areas in square pixels, both ends inside.
SIZES = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
# Predictions of one class in one picture that are looked at.
MOST = 100
# Pairs (prediction, truth) looked at together: a table of 64 K float64 stays in the cache, 4 M candidates are 100 MB.
AT_ONCE, IN_PART = 1 << 16, 1 << 22

# (prediction, truth, places of A predictions, places of B truths, (B,) bool crowd) → IoU (A, B); with a crowd: intersection / prediction.
Overlap = Callable[[Any, Any, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
Area = Callable[[Any], np.ndarray]


@dataclass(slots=True)
class Objects:
    """The n objects of N answers, one after the other, sorted by picture and class; predictions also by falling score.

    Args:
        picture, label: (n,) int64; which answer, which class.
        place: (n,) int64, where in its answer.
        box: (n, 4) float64; x, y, width, height in pixels.
        score: (n,) float64; 1 where an answer does not say.
        ignored: (n,) bool.
        area: (n,) float64, square pixels.
    """

    picture: np.ndarray
    label: np.ndarray
    place: np.ndarray
    box: np.ndarray
    score: np.ndarray
    ignored: np.ndarray
    area: np.ndarray

    def __len__(self) -> int:
        return len(self.picture)

    def take(self, rows: np.ndarray) -> Objects:
        """Only these rows, in this order."""
        return Objects(*(getattr(self, name)[rows] for name in self.__slots__))

    def sorted(self, by_score: bool = True) -> Objects:
        """By picture and class, then by falling score (truths: as they came); equal ones stay in order."""
        return self.take(np.lexsort((-self.score, self.label, self.picture) if by_score else (self.label, self.picture)))

    def groups(self) -> np.ndarray:
        """(n,) int64: one number for each class in each picture, rising where the rows are sorted."""
        return self.picture * (self.label.max(initial=0) + 1) + self.label

    def ranks(self) -> np.ndarray:
        """(n,) int64: how many of the same picture and class stand before each, in sorted rows."""
        return _steps(self.groups())


@dataclass(slots=True)
class Matches:
    """What became of every object.

    Args:
        count: N pictures.
        predicted, true: the objects; of a class in a picture, the 100 best-scored predictions.
        outcome: (n, 4, 10) int8, each prediction by size (`SIZES`) and threshold (`IOUS`): 1 right, 0 wrong, −1 left out.
        counts: (m, 4) bool: which truths count, by size; the others (ignored, of another size) can neither be found nor missed.
        partner: (n,) int64: the truth that each prediction took at IoU 0.5, whatever its size; −1 for none.
    """

    count: int
    predicted: Objects
    true: Objects
    outcome: np.ndarray
    counts: np.ndarray
    partner: np.ndarray


class Matcher:
    """`match` with fixed arguments, which remembers the last answers: the metrics of one set share it, so that matching is done once."""

    def __init__(self, names: Sequence[str], overlap: Overlap | None = None, area: Area | None = None) -> None:
        self.names, self.overlap, self.area = list(names), overlap, area
        self._last: tuple[list[Any], list[Any], Matches] | None = None

    def __call__(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Matches:
        if self._last is None or not (_same(self._last[0], predictions) and _same(self._last[1], truths)):
            self._last = (list(predictions), list(truths), match(predictions, truths, self.names, self.overlap, self.area))
        return self._last[2]


def match(
    predictions: Sequence[Any], truths: Sequence[Any], names: Sequence[str], overlap: Overlap | None = None, area: Area | None = None
) -> Matches:
    """The matching of pycocotools (Lin et al. 2014), to the bit.

    In each picture and class, predictions choose in the order of their scores: of the truths still free that overlap enough, the one with
    the highest IoU (of equals the last), one that counts before one that does not. A crowd can be chosen again and again.

    Args:
        predictions, truths: N `Boxes` (or a subclass) each, about the same pictures; `ignored` truths are COCO's crowds.
        names: the classes; every label is one of them.
        overlap: IoU of some objects of one picture, see `Overlap`; default: of their boxes, all pictures at once.
        area: (n,) areas of an answer's objects in square pixels; default: of the boxes.
    """
    assert len(predictions) == len(truths), "one prediction a picture"
    predicted, true = _objects(predictions, names, area).sorted(), _objects(truths, names, area).sorted(by_score=False)
    return decide(predicted.take(np.flatnonzero(predicted.ranks() < MOST)), true, Asked(predictions, truths, overlap))


@dataclass(slots=True)
class Asked:
    """The answers behind some objects, and how the IoU of two of them is found (None: from their boxes)."""

    predictions: Sequence[Any]
    truths: Sequence[Any]
    overlap: Overlap | None = None

    def near(self, predicted: Objects, true: Objects, least: float = IOUS[0]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Pairs of the same picture and class with an IoU of at least `least`: rows of `predicted`, rows of `true`, IoU (all (P,)).

        They come in parts, each with all pairs of its groups; predictions and truths are sorted by picture and class.
        """
        for spans in _parts(_spans(predicted, true)):
            yield _near_boxes(predicted, true, spans, least) if self.overlap is None else self._near(predicted, true, spans, least)

    def _near(self, predicted: Objects, true: Objects, spans: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        assert self.overlap is not None
        found: list[tuple[np.ndarray, ...]] = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0))]
        for first, size, their_first, their_size in spans:
            mine, theirs = slice(first, first + size), slice(their_first, their_first + their_size)
            prediction, truth = (answers[predicted.picture[first]] for answers in (self.predictions, self.truths))
            iou = self.overlap(prediction, truth, predicted.place[mine], true.place[theirs], true.ignored[theirs])
            i, j = np.nonzero(iou >= least)
            found.append((first + i, their_first + j, iou[i, j]))
        rows, columns, iou = (np.concatenate(side) for side in zip(*found, strict=True))
        return rows, columns, iou


def decide(predicted: Objects, true: Objects, asked: Asked) -> Matches:
    """`match` of objects that are already sorted (see `Objects`)."""
    counts, outside = ~_outside(true) & ~true.ignored[:, None], _outside(predicted)
    outcome = np.repeat(np.where(outside, np.int8(-1), np.int8(0))[:, :, None], len(IOUS), axis=2)
    result = Matches(len(asked.truths), predicted, true, outcome, counts, np.full(len(predicted), -1))
    for pairs in asked.near(predicted, true):
        _choose(result, *pairs)
    return result


def _same(kept: list[Any], given: Sequence[Any]) -> bool:
    return len(kept) == len(given) and all(a is b for a, b in zip(kept, given, strict=True))


def _objects(answers: Sequence[Any], names: Sequence[str], area: Area | None) -> Objects:
    number = {name: i for i, name in enumerate(names)}
    sizes = np.array([len(answer) for answer in answers], int)
    total = int(sizes.sum())
    label = np.fromiter(map(number.__getitem__, chain.from_iterable(answer.labels for answer in answers)), np.int64, total)
    box = _joined([answer.boxes for answer in answers], (0, 4))
    # As COCO writes them: sums and products are then rounded where pycocotools rounds them.
    box = np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1)
    ones, zeros = np.ones(sizes.max(initial=0)), np.zeros(sizes.max(initial=0), bool)
    score = _joined([ones[: len(a)] if a.probabilities is None else a.probabilities for a in answers], (0,))
    ignored = _joined([zeros[: len(a)] if a.ignored is None else a.ignored for a in answers], (0,)).astype(bool)
    areas = box[:, 2] * box[:, 3] if area is None else _joined([area(answer) for answer in answers], (0,))
    picture, place = np.repeat(np.arange(len(answers)), sizes), np.arange(total) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return Objects(picture, label, place, box, score, ignored, areas)


def _joined(rows: list[Any], empty: tuple[int, ...]) -> np.ndarray:
    return np.concatenate([np.zeros(empty), *rows]).astype(float, copy=False)


def _outside(objects: Objects) -> np.ndarray:
    """(n, 4): whose area is not in each of `SIZES`."""
    low, high = np.array(list(SIZES.values())).T
    return (objects.area[:, None] < low) | (objects.area[:, None] > high)


def _runs(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each run of equal keys begins, and how long it is."""
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    return first, np.diff(first, append=len(keys))


def _steps(keys: np.ndarray) -> np.ndarray:
    """How many equal keys stand right before each: 0, 1, 2 … in every run."""
    first, size = _runs(keys)
    return np.arange(len(keys)) - np.repeat(first, size)


def _spans(predicted: Objects, true: Objects) -> np.ndarray:
    """(S, 4): first prediction, how many, first truth, how many; of every group (one class in one picture) that has both."""
    classes = max(predicted.label.max(initial=0), true.label.max(initial=0)) + 1
    keys, others = (objects.picture * classes + objects.label for objects in (predicted, true))
    (first, size), (their_first, their_size) = _runs(keys), _runs(others)
    _, a, b = np.intersect1d(keys[first], others[their_first], assume_unique=True, return_indices=True)
    return np.stack([first[a], size[a], their_first[b], their_size[b]], axis=1)


def _parts(spans: np.ndarray) -> Iterator[np.ndarray]:
    """Consecutive groups with about `IN_PART` pairs together."""
    part = np.cumsum(spans[:, 1] * spans[:, 3]) // IN_PART
    yield from np.split(spans, np.flatnonzero(np.diff(part)) + 1) if len(spans) else ()


def _near_boxes(predicted: Objects, true: Objects, spans: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `Asked.near`, of these spans, by their boxes."""
    # Padding is a row of its own at the end, far to one side.
    mine = np.concatenate([predicted.box, [[1e300, 0, 0, 0]]])
    theirs = np.concatenate([true.box, [[-1e300, 0, 0, 0]]])
    # IoU ≥ l needs intersection ≥ (a + b) · l / (1 + l); a little less, so that rounding loses none. With a crowd b does not count.
    share = 0.999 * least / (1 + least)
    floors = share * mine[:, 2] * mine[:, 3], share * theirs[:, 2] * theirs[:, 3] * ~np.append(true.ignored, False)
    found: list[tuple[np.ndarray, np.ndarray]] = [(np.zeros(0, int), np.zeros(0, int))]
    for rows, columns in _tables(spans):
        a, b = mine[rows][:, :, None], theirs[columns][:, None]
        width = np.minimum(a[..., 0] + a[..., 2], b[..., 0] + b[..., 2])
        width -= np.maximum(a[..., 0], b[..., 0])
        np.maximum(width, 0, out=width)
        height = np.minimum(a[..., 1] + a[..., 3], b[..., 1] + b[..., 3])
        height -= np.maximum(a[..., 1], b[..., 1])
        width *= height
        at, i, j = np.nonzero(width > floors[0][rows][:, :, None] + floors[1][columns][:, None])
        found.append((rows[at, i], columns[at, j]))
    rows, columns = (np.concatenate(side) for side in zip(*found, strict=True))
    iou = box_iou(predicted.box[rows], true.box[columns], true.ignored[columns])
    enough = iou >= least
    return rows[enough], columns[enough], iou[enough]


def box_iou(a: np.ndarray, b: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """IoU of boxes x, y, width, height that broadcast to (…, 4); where `crowd` (…) the intersection over the area of `a`."""
    width = np.minimum(a[..., 0] + a[..., 2], b[..., 0] + b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 1] + a[..., 3], b[..., 1] + b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    inside = np.maximum(width, 0) * np.maximum(height, 0)
    mine = a[..., 2] * a[..., 3]
    whole = np.where(crowd, mine, mine + b[..., 2] * b[..., 3] - inside)
    return np.divide(inside, whole, out=np.zeros(inside.shape), where=inside > 0)


def _tables(spans: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of predictions (G, A) and truths (G, B) of groups of about the same size, −1 where one is smaller."""
    if not len(spans):
        return
    # Sizes are rounded up to steps of about a third, so that there are few tables and little padding.
    steps = np.unique(np.ceil(1.3 ** np.arange(100)).clip(max=1e9)).astype(int)
    shape = np.searchsorted(steps, spans[:, [1, 3]])
    key = shape[:, 0] * len(steps) + shape[:, 1]
    order = np.argsort(key, kind="stable")
    for same in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
        first, size, their_first, their_size = spans[same].T
        a, b = np.arange(size.max()), np.arange(their_size.max())
        step = max(1, AT_ONCE // (len(a) * len(b)))
        for s in (slice(i, i + step) for i in range(0, len(same), step)):
            yield (
                np.where(a < size[s, None], first[s, None] + a, -1),
                np.where(b < their_size[s, None], their_first[s, None] + b, -1),
            )


def _choose(matches: Matches, rows: np.ndarray, columns: np.ndarray, iou: np.ndarray) -> None:
    """Fill in what the candidates (a prediction, a truth, their IoU ≥ 0.5) decide; each holds all candidates of its group.

    The n-th predictions of all groups that have a candidate choose together, and for every size and threshold: there are few steps.
    """
    if not len(rows):
        return
    order = np.lexsort((columns, iou, rows))
    rows, columns, iou = rows[order], columns[order], iou[order]
    base, column = np.unique(columns, return_inverse=True)
    crowd = matches.true.ignored[base]
    counts = np.repeat(matches.counts[base], len(IOUS), axis=1)
    free = np.ones_like(counts)
    levels = np.tile(IOUS, len(SIZES))
    start, size = _runs(rows)
    chooser = rows[start]
    outcome = matches.outcome.reshape(-1, len(levels))
    for turn in _turns(matches.predicted.groups()[chooser]):
        chosen = np.full((len(turn), len(levels)), -1)
        good = np.zeros(chosen.shape, bool)
        for k in range(size[turn].max()):
            some = np.flatnonzero(size[turn] > k)
            pair = start[turn[some]] + k
            truth = column[pair]
            counting = counts[truth]
            # Later candidates overlap more; one that does not count never replaces one that does.
            better = free[truth] & (iou[pair][:, None] >= levels) & (counting | ~good[some])
            chosen[some] = np.where(better, truth[:, None], chosen[some])
            good[some] |= better & counting
        who, lane = np.nonzero(chosen >= 0)
        truth = chosen[who, lane]
        free[truth, lane] = crowd[truth]
        outcome[chooser[turn[who]], lane] = np.where(good[who, lane], 1, -1)
        first = chosen[:, 0]
        matches.partner[chooser[turn]] = np.where(first >= 0, base[first], -1)


def _turns(groups: np.ndarray) -> list[np.ndarray]:
    """Places of the first of each group, of the second of each group …; groups rise."""
    turn = _steps(groups)
    order = np.argsort(turn, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(turn[order])) + 1)

"""Objects with their boxes: the answer of detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from omma.answers.answer import Answer, six
from omma.answers.placed import Corners, Move, Placed, Truth

if TYPE_CHECKING:
    import torch

    from omma.answers._marks import Colour, Sheet
    from omma.data.spatial.windows import Spot, Window
    from omma.data.views import Views

# Two boxes with this intersection over union are the same one.
SAME = 0.99


def _none() -> np.ndarray:
    return np.zeros((0, 4))


@dataclass(slots=True, eq=False)
class Boxes(Placed):
    """The objects of one picture, in no particular order; a prediction also says how sure it is of each.

    Args:
        width, height: of the upright picture, pixels.
        labels: the class of each of N objects.
        boxes: (N, 4) float64, corners x1, y1, x2, y2 in pixels of the upright original; (0, 0) is the top left corner of the first pixel.
        probabilities: (N,) float32, 0–1 (prediction only).
        ignored: (N,) bool, objects that count neither as found nor as missed: crowds, "difficult" (truth only).
        classes: every class name, in the model's order, so that a class has one colour and one number on every picture; may be left out.
        floor: objects less probable than this were left out, by a threshold or for want of places (prediction only).
        shown: objects less probable than this are neither drawn nor told; measures that need no threshold see them all. One number, or
            one for each class by name. None: not decided.
        outlines: the mask of each object as `Instances` has it, where its label had one: boxes that turn are fitted to it again.
    """

    width: int
    height: int
    labels: Sequence[str] = ()
    boxes: np.ndarray = field(default_factory=_none)
    probabilities: np.ndarray | None = None
    ignored: np.ndarray | None = None
    classes: Sequence[str] = field(default=(), kw_only=True)
    floor: float = field(default=0.0, kw_only=True)
    shown: float | Mapping[str, float] | None = field(default=None, kw_only=True)
    outlines: Sequence[str] = field(default=(), kw_only=True)
    kind: ClassVar[str] = "boxes"
    blends: ClassVar[bool] = True
    compared: ClassVar[tuple[str, ...] | None] = ()  # rows of equal probability come in any order, and so do those nobody is shown

    def __len__(self) -> int:
        return len(self.labels)

    def keep(self, where: np.ndarray) -> Self:
        """A copy with only some objects.

        Args:
            where: (N,) bool, or places of objects in the order wanted.
        """
        places = places_of(where)
        sure, aside = (None if one is None else one[places] for one in (self.probabilities, self.ignored))
        labels, outlines = ([one[i] for i in places] if one else () for one in (self.labels, self.outlines))
        return replace(self, labels=labels, boxes=self.boxes[places], probabilities=sure, ignored=aside, outlines=outlines)

    def seen(self) -> Self:
        """Only the objects that are shown."""
        where = np.ones(len(self), bool) if self.probabilities is None else self.probabilities >= self.least(self.labels)
        return self if where.all() else self.keep(where)

    def least(self, labels: Sequence[str], otherwise: float = 0.0) -> np.ndarray:
        """(N,) the probability from which on objects of these classes are shown; `otherwise` where that was not decided."""
        level = otherwise if self.shown is None else self.shown
        return np.array([level.get(label, otherwise) if isinstance(level, Mapping) else level for label in labels], float)

    def json(self) -> dict[str, Any]:
        """{"width", "height", "boxes": [{"label", "probability", "box": [x1, y1, x2, y2], "ignored": true}]}; the last where so.

        A prediction without objects has "probabilities": [] beside, which tells it from a truth without objects.
        """
        shown = self.seen()
        rows = [shown._row(place) for place in range(len(shown))]
        found = {"width": self.width, "height": self.height, "boxes": rows}
        return found if rows or self.probabilities is None else found | {"probabilities": []}

    def _row(self, place: int) -> dict[str, Any]:
        row: dict[str, Any] = {"label": self.labels[place]}
        if self.probabilities is not None:
            row["probability"] = six(self.probabilities[place])
        row["box"] = [round(float(value), 3) + 0.0 for value in self.boxes[place]]
        return row | ({"ignored": True} if self.ignored is not None and self.ignored[place] else {})

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        rows = data["boxes"]
        predicted = "probability" in rows[0] if rows else "probabilities" in data
        sure = np.array([row["probability"] for row in rows], np.float32) if predicted else None
        aside = np.array([bool(row.get("ignored")) for row in rows]) if any(row.get("ignored") for row in rows) else None
        corners = np.array([row["box"] for row in rows], float).reshape(-1, 4)
        return cls(data["width"], data["height"], [row["label"] for row in rows], corners, sure, aside)

    def draw(self, picture: np.ndarray) -> np.ndarray:
        """Each object in its class's colour with its name beside it; where names would hide the picture, below it with their number."""
        from omma.answers import _marks

        return self.seen()._drawn(_marks.Sheet(picture, self.width, self.height))

    def _drawn(self, sheet: Sheet) -> np.ndarray:
        from omma.answers import _marks, draw

        if not len(self):
            return draw.banner(sheet.canvas, ["-"])
        names = list(dict.fromkeys([*self.classes, *sorted(set(self.labels))]))
        shades = _marks.palette(names)
        aside = self._aside()
        colours = [_marks.GREY if out else shades[label] for label, out in zip(self.labels, aside, strict=True)]
        self._paint(sheet, colours)
        # The surest objects choose the places of their captions first.
        order = np.argsort(-self.probabilities, kind="stable") if self.probabilities is not None else np.arange(len(self))
        sure = [""] * len(self) if self.probabilities is None else [f"{share:.0%}" for share in self.probabilities]
        full = [draw.by_number(f"{label} {share}".strip(), names) for label, share in zip(self.labels, sure, strict=True)]
        texts = next((one for one in (full, sure) if any(one) and sheet.room(one, self.boxes)), None)
        silent = len(self)
        if texts is not None:
            silent = sheet.captions(self.boxes[order], [texts[i] for i in order], [colours[i] for i in order])
        if texts is full and not silent:
            return sheet.canvas
        count = {name: sum(one == name and not out for one, out in zip(self.labels, aside, strict=True)) for name in names}
        return sheet.legend([(shades[name], draw.by_number(f"{name} {n}", names)) for name, n in count.items() if n])

    def _paint(self, sheet: Sheet, colours: Sequence[Colour]) -> None:
        sheet.frames(self.boxes, colours)

    def _aside(self) -> np.ndarray:
        return np.zeros(len(self), bool) if self.ignored is None else self.ignored

    def same(self, other: Answer, tolerance: float = 1e-3) -> bool:
        """Whether every object of one side is matched, one to one and whatever their order, with one of the other.

        A match has the same class, an IoU of at least 0.99 and a probability within `tolerance`. A predicted object may lack its match
        where its probability is within `tolerance` of `floor` or `shown`: the other side's may just have fallen below.
        """
        if not isinstance(other, Boxes) or other.kind != self.kind or (other.width, other.height) != (self.width, self.height):
            return False
        pairs = self._alike(other, tolerance)
        mine, theirs = np.ones(len(self), bool), np.ones(len(other), bool)
        if self.probabilities is not None and other.probabilities is not None:
            pairs &= np.abs(np.subtract.outer(self.probabilities.astype(float), other.probabilities)) <= tolerance
            mine, theirs = (~(np.asarray(one.probabilities) <= _tip(one.labels, self, other) + tolerance) for one in (self, other))
        # One matching serves both sides as soon as each side has one of its own (Mendelsohn & Dulmage 1958).
        return _all_matched(pairs[mine]) and _all_matched(pairs[:, theirs].T)

    def _alike(self, other: Any, tolerance: float) -> np.ndarray:
        """(N, M) bool, which objects have the same class and place; nothing said of probabilities."""
        code = {name: i for i, name in enumerate({*self.labels, *other.labels})}
        mine, theirs = (np.array([code[name] for name in one.labels], int) for one in (self, other))
        return (mine[:, None] == theirs) & (self._aside()[:, None] == other._aside()) & (overlaps(self.boxes, other.boxes) >= SAME)

    @classmethod
    def tensors(cls, truths: Sequence[Any], names: Sequence[str], views: Views | None = None) -> Truth:
        """{"boxes": (B, M, 4) float32 pixels of the frame, "classes": (B, M) int64, −1 where there is none, "ignored": (B, M) bool}."""
        import torch

        assert views is not None, "boxes lie in a frame"
        place = {name: i for i, name in enumerate(names)}
        rows = max([1, *map(len, truths)])
        found = {"boxes": torch.zeros(len(truths), rows, 4), "classes": torch.full((len(truths), rows), -1)}
        found["ignored"] = torch.zeros(len(truths), rows, dtype=torch.bool)
        for at, truth in enumerate(truths):
            corners = views.place(truth.height, truth.width).framed(torch.from_numpy(truth.boxes.astype(np.float32)))
            here = (corners[:, 2:] > corners[:, :2]).all(1)
            found["boxes"][at, : len(truth)] = corners
            found["classes"][at, : len(truth)] = torch.tensor([place[label] for label in truth.labels], dtype=torch.long).where(here, -1)
            found["ignored"][at, : len(truth)] = torch.from_numpy(truth._aside())
        return found

    @classmethod
    def turning(cls, truths: Sequence[Any], views: Views) -> Truth:
        """{"hull": (B, M, K, 2)}: the outermost points of each object in the frame, its corners where it has no outline."""
        import torch

        from omma.answers import _rle

        if not any(truth.outlines for truth in truths):
            return {}
        hulls = torch.zeros(len(truths), max([1, *map(len, truths)]), _rle.SIDES, 2)
        for at, truth in enumerate(truths):
            place = views.place(truth.height, truth.width)
            for row, (x1, y1, x2, y2) in enumerate(truth.boxes):
                points = _rle.hull(truth.outlines[row], truth.height, truth.width) if truth.outlines else None
                if points is None:
                    points = np.array([[x1, y1], [x2, y1], [x1, y2], [x2, y2]] * (_rle.SIDES // 4))
                hulls[at, row] = place.framed(torch.from_numpy(points.astype(np.float32)).view(-1, 4)).view(-1, 2)
        return {"hull": hulls}

    def meant(self, about: str | None, at: Corners | None) -> tuple[str | None, Corners | None]:
        """The surest object of that name, or the one that overlaps most with the place."""
        mine = [i for i, label in enumerate(self.labels) if about in (None, label)]
        worth = np.ones(len(self)) if self.probabilities is None else self.probabilities.astype(float)
        if at is not None:
            worth = overlaps(self.boxes, np.array([at]))[:, 0]
        best = max(mine, key=lambda i: worth[i], default=None)
        if best is None or worth[best] <= 0:
            return about, at
        x1, y1, x2, y2 = map(float, self.boxes[best])
        return self.labels[best], (x1, y1, x2, y2)

    def cut(self, windows: Sequence[Window]) -> list[Self]:
        from omma.answers._moving import SEEN

        whole = _areas(self.boxes)
        found = []
        for top, left, tall, wide in windows:
            inside = (self.boxes - [left, top, left, top]).clip(0, [wide, tall, wide, tall])
            shown = _areas(inside)
            here = shown > 0
            aside = (self._aside() | (shown < SEEN * whole))[here]
            part = replace(self.keep(here), width=wide, height=tall, boxes=inside[here], ignored=aside if aside.any() else None)
            found.append(replace(part, outlines=()))
        return found

    def aside_below(self, length: float) -> Self:
        short = (self.boxes[:, 2:] - self.boxes[:, :2]).max(1, initial=0) < length
        return replace(self, ignored=self._aside() | short) if short.any() else self

    @classmethod
    def move(cls, truth: Truth, moves: Sequence[Move], size: int) -> Truth:
        from omma.answers import _moving

        return _moving.compact(_moving.boxes(truth, moves, size))

    @classmethod
    def mix(cls, truth: Truth, other: Truth, share: torch.Tensor) -> Truth:
        """The objects of both pictures (YOLOX, Ge et al. 2021); those of one that hardly shows through are ignored."""
        import torch

        from omma.answers import _moving

        sides = []
        for side, weight in ((truth, share), (other, 1 - share)):
            faint = (weight < _moving.SEEN)[:, None] & (side["classes"] >= 0)
            sides.append(side | {"ignored": side["ignored"] | faint, "classes": side["classes"].masked_fill((weight <= 0)[:, None], -1)})
        return _moving.compact({key: torch.cat([side[key] for side in sides], 1) for key in ("boxes", "classes", "ignored")})

    @classmethod
    def fit(cls, tensors: dict[str, torch.Tensor], truth: Truth, names: Sequence[str], goal: str = "") -> dict[str, Any]:
        """What makes of a stated probability the share of such objects that are right; from which on those of each class are shown.

        The former is one slope and one offset of log-odds for all classes (Platt 1999): no order changes, and no AP. Shown is what gives
        the best F1 at an IoU of 0.5, or what the goal asks; a class that validation does not have takes the threshold of all.
        """
        from omma.answers._fitting import judged
        from omma.answers.operating import log_odds_line, moved

        found = judged(tensors, truth, len(names), cls._shared)
        line = log_odds_line(found.share, found.hit)
        levels = replace(found, share=moved(found.share, line)).thresholds(goal)
        point = {"log_odds": line, "threshold": [level for level, _ in levels]}
        short = [place for place, (_, served) in enumerate(levels) if not served]
        return point | ({"unreached": short} if short else {})

    @classmethod
    def _shared(cls, found: dict[str, torch.Tensor], true: dict[str, torch.Tensor]) -> torch.Tensor:
        """(K, M) IoU of one picture's detections and objects in the frame: what `fit` calls found."""
        from omma.answers._fitting import by_boxes

        return by_boxes(found, true)

    @classmethod
    def operate(cls, tensors: dict[str, torch.Tensor], point: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Probabilities as they were found right on validation; unused rows stay 0."""
        from omma.answers.operating import moved

        line = point.get("log_odds")
        return tensors | {"probabilities": moved(tensors["probabilities"], line)} if line else tensors

    @classmethod
    def locate(cls, tensors: dict[str, torch.Tensor], place: Spot | None, point: dict[str, Any]) -> dict[str, torch.Tensor]:
        """{"boxes": (B, K, 4) corners, "probabilities": (B, K), "classes": (B, K) int64, "extent": (B, 2) height and width}."""
        if place is None:
            return tensors
        found = place.joined(tensors | {"boxes": place.boxes(tensors["boxes"])})
        extent = place.extent.expand(found["boxes"].shape[0], 2)  # `len` would make it a constant of an exported graph
        return {key: extent if key == "extent" else found[key] for key in tensors}

    def settle(self, point: dict[str, Any]) -> Self:
        if "threshold" in point:
            level = point["threshold"]
            self.shown = float(level) if isinstance(level, int | float) else dict(zip(self.classes, map(float, level), strict=True))
        return self


def places_of(where: np.ndarray) -> np.ndarray:
    """Places of what is kept: of True in a (N,) bool, else `where` itself."""
    where = np.asarray(where)
    return np.flatnonzero(where) if where.dtype == bool else where.astype(int)


def _tip(labels: Sequence[str], *sides: Boxes) -> np.ndarray:
    """(N,) the probability below which an object of each label may be missing on one of the sides."""
    return np.maximum.reduce([np.maximum(side.floor, side.least(labels)) for side in sides])


def _areas(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) corners → (N,) pixels²."""
    return (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1)


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, B) intersection over union of (A, 4) and (B, 4) corners; of two boxes without area 1 where they are equal, else 0."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = (high - low).clip(0).prod(2)
    union = (a[:, 2:] - a[:, :2]).prod(1)[:, None] + (b[:, 2:] - b[:, :2]).prod(1) - common
    return np.where(union > 0, common / np.where(union > 0, union, 1), (a[:, None] == b).all(2))


def _all_matched(pairs: np.ndarray) -> bool:
    """Whether each row of (N, M) bool can have a column of its own."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    if not pairs.any(1).all():
        return False
    return not len(pairs) or bool((maximum_bipartite_matching(csr_matrix(pairs), "column") >= 0).all())

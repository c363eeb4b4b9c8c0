"""Objects with their outlines: the answer of instance segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from omma.answers.boxes import Boxes, places_of

if TYPE_CHECKING:
    import torch

    from omma.answers._marks import Colour, Sheet
    from omma.answers.placed import Move, Truth
    from omma.data.spatial.windows import Spot, Window
    from omma.data.views import Views


@dataclass(slots=True, eq=False)
class Instances(Boxes):
    """Boxes whose objects also have a mask each; masks may overlap.

    Args:
        counts: the mask of each object as COCO's compressed run lengths (see `answers/_rle.py`), of size (height, width).
    """

    counts: Sequence[str] = ()
    kind: ClassVar[str] = "instances"
    blends: ClassVar[bool] = False  # a pixel belongs to one object

    def keep(self, where: np.ndarray) -> Self:
        return replace(Boxes.keep(self, where), counts=[self.counts[i] for i in places_of(where)])

    def _row(self, place: int) -> dict[str, Any]:
        return Boxes._row(self, place) | {"rle": {"size": [self.height, self.width], "counts": self.counts[place]}}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        plain = Boxes.from_json(data)
        counts = [row["rle"]["counts"] for row in data["boxes"]]
        return cls(plain.width, plain.height, plain.labels, plain.boxes, plain.probabilities, plain.ignored, counts)

    def masks(self) -> np.ndarray:
        """(N, height, width) bool; for one after the other, decode `counts`."""
        from omma.answers import _rle

        found = np.zeros((len(self), self.height, self.width), bool)
        for place, text in enumerate(self.counts):
            found[place] = _rle.decode(text, self.height, self.width)
        return found

    def fitted(self) -> Self:
        """A copy whose boxes are the smallest around their masks; all 0 where a mask has no pixel."""
        from omma.answers import _rle

        corners = [_rle.box(text, self.height, self.width) for text in self.counts]
        return replace(self, boxes=np.array(corners, float).reshape(-1, 4))

    def _paint(self, sheet: Sheet, colours: Sequence[Colour]) -> None:
        from omma.answers import _rle

        areas = [_rle.area(text, self.height, self.width) for text in self.counts]
        for place in sorted(range(len(self)), key=lambda i: -areas[i]):
            text = self.counts[place]
            mask = _rle.decode(text, self.height, self.width).view(np.uint8)
            sheet.veil(mask, {1: colours[place]}, _rle.box(text, self.height, self.width))

    def _alike(self, other: Any, tolerance: float) -> np.ndarray:
        """As for boxes; and but for a share of `tolerance` of the box's pixels (one pixel at least may differ) the masks are equal."""
        from omma.answers import _rle

        pairs = Boxes._alike(self, other, tolerance)
        rows, columns = np.flatnonzero(pairs.any(1)), np.flatnonzero(pairs.any(0))
        mine, theirs = [self.counts[int(i)] for i in rows], [other.counts[int(i)] for i in columns]
        shared = _rle.iou(mine, theirs, self.height, self.width)
        total = np.add.outer(*([_rle.area(text, self.height, self.width) for text in side] for side in (mine, theirs)))
        # From IoU = I / (A + B − I): the pixels in one mask alone, A + B − 2 I.
        apart = np.rint(total * (1 - shared) / (1 + shared))
        boxes = (self.boxes[rows, 2:] - self.boxes[rows, :2]).prod(1)
        pairs[np.ix_(rows, columns)] &= apart <= np.maximum(1, tolerance * boxes)[:, None]
        return pairs

    @classmethod
    def tensors(cls, truths: Sequence[Any], names: Sequence[str], views: Views | None = None) -> Truth:
        """Those of boxes, and {"objects": (B, S, S) int16}: k = the k-th row's object, small ones on top; 0 = none; −1 = not known."""
        import torch

        assert views is not None, "outlines lie in a frame"
        maps = torch.stack([views.place(t.height, t.width).pixels(t._numbered(), -1) for t in truths])
        return Boxes.tensors.__func__(cls, truths, names, views) | {"objects": maps.to(torch.int16)}  # type: ignore[attr-defined]

    def _numbered(self) -> torch.Tensor:
        """(height, width) int64 label map, objects counted from 1 in their order, the smaller ones on top; ignored ones −1."""
        import torch

        from omma.answers import _rle

        pixels = np.zeros((self.height, self.width), np.int64)
        areas = [_rle.area(text, self.height, self.width) for text in self.counts]
        for place in sorted(range(len(self)), key=lambda i: -areas[i]):
            pixels[_rle.decode(self.counts[place], self.height, self.width)] = -1 if self._aside()[place] else place + 1
        return torch.from_numpy(pixels)

    def cut(self, windows: Sequence[Window]) -> list[Self]:
        from omma.answers import _rle
        from omma.answers._moving import SEEN

        found: list[list[tuple[int, str, bool]]] = [[] for _ in windows]
        for place, text in enumerate(self.counts):
            mask, area = _rle.decode(text, self.height, self.width), _rle.area(text, self.height, self.width)
            x1, y1, x2, y2 = _rle.box(text, self.height, self.width)
            for rows, (top, left, tall, wide) in zip(found, windows, strict=True):
                if x1 >= left + wide or x2 <= left or y1 >= top + tall or y2 <= top:
                    continue
                part = mask[top : top + tall, left : left + wide]
                if shown := int(part.sum()):
                    rows.append((place, _rle.encode(part), shown < SEEN * area))
        return [self._part(rows, window) for rows, window in zip(found, windows, strict=True)]

    def _part(self, rows: list[tuple[int, str, bool]], window: Window) -> Self:
        """The objects at these places, with what a window shows of their masks and whether that is too little."""
        some = self.keep(np.array([place for place, *_ in rows], int))
        aside = some._aside() | np.array([little for *_, little in rows], bool)
        ignored = aside if aside.any() else None
        return replace(some, width=window.width, height=window.height, counts=[text for _, text, _ in rows], ignored=ignored).fitted()

    @classmethod
    def move(cls, truth: Truth, moves: Sequence[Move], size: int) -> Truth:
        """As for boxes, which are fitted to what their masks have become."""
        from omma.answers import _moving

        rows = truth["classes"].shape[1]
        moved = _moving.boxes(truth, moves, size)
        moved["objects"] = _moving.objects(truth["objects"], moves, rows)
        fitted, pixels = _moving.fitted(moved["objects"], rows * len(moves))
        outlined = pixels >= _moving.FEWEST
        # An ignored object has no number on the map: its box stays as it was carried.
        moved["boxes"] = fitted.where(outlined[..., None], moved["boxes"])
        moved["classes"] = moved["classes"].where(outlined | moved["ignored"], -1)
        return _moving.compact(moved)

    @classmethod
    def _shared(cls, found: dict[str, torch.Tensor], true: dict[str, torch.Tensor]) -> torch.Tensor:
        """Of masks; an object that has no pixel on the map (an ignored one, one too small for the frame) is found by its box."""
        from omma.answers._fitting import by_masks

        shared = Boxes._shared.__func__(cls, found, true)  # type: ignore[attr-defined]
        near = (found["probabilities"] > 0) & (shared > 0).any(1)  # masks whose boxes lie apart share nothing
        rows = {key: (value if key == "extent" else value[near])[None] for key, value in found.items()}
        apart, pixels = by_masks(cls.locate(rows, None, {})["masks"][0], true["objects"], len(true["classes"]))
        masks = shared.new_zeros(shared.shape)
        masks[near] = apart
        return masks.where(pixels > 0, shared)

    @classmethod
    def locate(cls, tensors: dict[str, torch.Tensor], place: Spot | None, point: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Those of boxes, and {"masks": (B, K, H, W) bool}, from "outlines" (star-convex) or from masks of the frame."""
        import torch

        from omma.parts.rays import paste

        if "outlines" not in tensors:
            return cls._with_masks(tensors, place, point)
        rows = dict(tensors)
        if place is not None:
            rows["outlines"] = place.points(rows["outlines"])
        located = dict(Boxes.locate(rows, place, point))
        outlines = located.pop("outlines")
        if place is None:
            down, across = (torch.ones(int(side)) for side in tensors["extent"][0])
        else:
            down, across = place.down.line, place.across.line
        return located | {"masks": paste(outlines, down, across)}

    @classmethod
    def _with_masks(cls, tensors: dict[str, torch.Tensor], place: Spot | None, point: dict[str, Any]) -> dict[str, torch.Tensor]:
        """`locate` for masks (B, K, S, S) of frames."""
        if place is None:
            return tensors | {"masks": tensors["masks"].float() > 0.5}
        number = tensors["classes"] * 0  # filled in where there are several frames
        located = dict(Boxes.locate(tensors | {"frame": number, "masks": tensors["masks"].float()}, place, point))
        masks = place.pasted(located["masks"], located["probabilities"], located.pop("frame"))
        return located | {"masks": masks > 0.5}

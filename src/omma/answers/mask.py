"""A class for every pixel: the answer of semantic segmentation."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from omma.answers.answer import Answer, six
from omma.answers.placed import Move, Placed, Truth

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from omma.data.spatial.windows import Spot, Window
    from omma.data.views import Views

VOID = 255  # a pixel nobody labelled: neither right nor wrong
# What labelling tools call the class of pixels that show no object; ours first.
BACKGROUND = ("background", "_background_", "__background__", "bg", "背景")


def is_background(name: str) -> bool:
    """Whether a class, as far as its name tells, stands for pixels that show no object."""
    return name.strip().casefold() in BACKGROUND


@dataclass(slots=True, eq=False)
class Mask(Placed):
    """The class of every pixel, kept packed: a picture's worth of labels takes a few kilobytes.

    Args:
        width, height: of the upright picture, pixels.
        classes: every class name; a pixel's value is a place in it, or `VOID`.
        packed: the pixels, row by row, one byte each, compressed with zlib; see `of` and `pixels`.
        sure: how probable each pixel's class is, packed in the same way, in 1/255 (prediction only); see `probabilities`.
    """

    width: int
    height: int
    classes: Sequence[str]
    packed: bytes
    sure: bytes | None = None
    kind: ClassVar[str] = "mask"
    aimed: ClassVar[int | None] = 2
    compared: ClassVar[tuple[str, ...] | None] = ("probabilities", "probability")

    @classmethod
    def of(cls, pixels: np.ndarray, classes: Sequence[str], probabilities: np.ndarray | None = None) -> Self:
        """From (H, W) whole numbers: places in `classes`, or `VOID`; and (H, W) float, how probable each pixel's class is."""
        assert pixels.ndim == 2 and len(classes) <= VOID, "a mask is (H, W), of at most 255 classes"
        assert len(set(classes)) == len(classes), "every class has a name of its own"
        assert ((pixels == VOID) | (pixels >= 0) & (pixels < len(classes))).all(), "a pixel's value is a place in the classes, or void"
        height, width = pixels.shape
        sure = None if probabilities is None else _pack(np.rint(probabilities * 255))
        return cls(width, height, list(classes), _pack(pixels), sure)

    @property
    def pixels(self) -> np.ndarray:
        """(H, W) uint8: places in `classes`, or `VOID`."""
        return np.frombuffer(zlib.decompress(self.packed), np.uint8).reshape(self.height, self.width)

    @property
    def probabilities(self) -> np.ndarray | None:
        """(H, W) float32, 0–1 in steps of 1/255: how probable the class of each pixel is; None of a truth."""
        if self.sure is None:
            return None
        return np.frombuffer(zlib.decompress(self.sure), np.uint8).reshape(self.height, self.width).astype(np.float32) / 255

    def json(self) -> dict[str, Any]:
        """{"width", "height", "classes": {"0": name}, "pixels": {name: count}, "rle": {name: {"size", "counts"}}, "probability"}.

        Pixels and runs of the classes that are present, void pixels are those of none; of a prediction how probable it is, the mean of
        its pixels.
        """
        from omma.answers import _rle

        down = np.asfortranarray(self.pixels)  # runs go down the columns
        found = {self.classes[place]: (down == place, count) for place, count in self._counts(down).items()}
        return {
            "width": self.width,
            "height": self.height,
            "classes": {str(place): name for place, name in enumerate(self.classes)},
            "pixels": {name: count for name, (_, count) in found.items()},
            "rle": {name: {"size": [self.height, self.width], "counts": _rle.encode(where)} for name, (where, _) in found.items()},
        } | self._sureness()

    def written(self, stem: Path) -> dict[str, Any]:
        """{"mask": path of an index PNG, `VOID` where nothing is known; "classes", "pixels" as in `json`}."""
        from PIL import Image

        path = stem.with_name(f"{stem.name}.mask.png")
        partial = path.with_name(f".{path.name}.partial")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.pixels).save(partial, "PNG")
        partial.replace(path)
        classes = {str(place): name for place, name in enumerate(self.classes)}
        counts = {self.classes[place]: count for place, count in self._counts(self.pixels).items()}
        return {"mask": str(path), "classes": classes, "pixels": counts} | self._sureness()

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        from omma.answers import _rle

        names = [data["classes"][str(place)] for place in range(len(data["classes"]))]
        pixels = np.full((data["height"], data["width"]), VOID, np.uint8)
        for name, row in data["rle"].items():
            pixels[_rle.decode(row["counts"], data["height"], data["width"])] = names.index(name)
        return cls.of(pixels, names)

    def draw(self, picture: np.ndarray) -> np.ndarray:
        """Each class in its colour, named below with its share of the picture; void and background stay as they are."""
        from omma.answers import _marks, draw

        pixels = self.pixels
        sheet = _marks.Sheet(picture, self.width, self.height)
        shades = _marks.palette(self.classes)
        shown = {place: n for place, n in self._counts(pixels).items() if not is_background(self.classes[place])}
        if not shown:
            return draw.banner(sheet.canvas, ["-"])
        sheet.veil(pixels, {place: shades[self.classes[place]] for place in shown})
        names = {place: self.classes[place] for place in sorted(shown, key=lambda place: -shown[place])}
        shares = {place: f"{name} {shown[place] / pixels.size:.1%}" for place, name in names.items()}
        return sheet.legend([(shades[names[place]], draw.by_number(text, self.classes)) for place, text in shares.items()])

    def _sureness(self) -> dict[str, float]:
        shares = self.probabilities
        return {} if shares is None else {"probability": six(float(shares.mean()))}

    def _counts(self, pixels: np.ndarray) -> dict[int, int]:
        """Place of each class that is present → its pixels."""
        count = np.bincount(pixels.ravel("K"), minlength=VOID + 1)[:VOID]
        return {int(place): int(count[place]) for place in np.flatnonzero(count)}

    def same(self, other: Answer, tolerance: float = 1e-3) -> bool:
        """Whether all but a share of `tolerance` of the pixels are of the same class; the classes may come in another order."""
        if not isinstance(other, Mask) or (other.width, other.height) != (self.width, self.height):
            return False
        names = list(dict.fromkeys([*self.classes, *other.classes]))
        mine, theirs = (self._among(names), other._among(names))
        return int((mine != theirs).sum()) <= tolerance * mine.size

    def _among(self, names: Sequence[str]) -> np.ndarray:
        """(H, W) int16: the place of each pixel's class in `names`, −1 for void."""
        table = np.full(VOID + 1, -1, np.int16)
        table[: len(self.classes)] = [names.index(name) for name in self.classes]
        return table[self.pixels]

    @classmethod
    def tensors(cls, truths: Sequence[Mask], names: Sequence[str], views: Views | None = None) -> Truth:
        """{"mask": (B, S, S) uint8 of the frames, places in `names` or `VOID`}."""
        import torch

        assert views is not None, "a mask lies in a frame"
        rows = []
        for truth in truths:
            among = torch.from_numpy(truth._among(names))
            rows.append(views.place(truth.height, truth.width).pixels(among, -1))
        found = torch.stack(rows) if rows else torch.zeros(0, views.size, views.size)
        return {"mask": torch.where(found < 0, VOID, found).to(torch.uint8)}

    def cut(self, windows: Sequence[Window]) -> list[Self]:
        pixels = self.pixels
        parts = [pixels[top : top + tall, left : left + wide] for top, left, tall, wide in windows]
        return [type(self).of(part, self.classes) for part in parts]

    @classmethod
    def move(cls, truth: Truth, moves: Sequence[Move], size: int) -> Truth:
        from omma.answers import _moving

        return {"mask": _moving.maps(truth["mask"], moves, VOID)}

    @classmethod
    def fit(cls, tensors: dict[str, torch.Tensor], truth: Truth, names: Sequence[str], goal: str = "") -> dict[str, Any]:
        """One temperature; of two classes also the probability from which on a pixel is of the second: best Dice, or what the goal asks."""
        from omma.answers.operating import temperature, threshold_for

        logits, target = some_pixels(tensors["logits"], truth["mask"])
        if not len(target):
            return {}
        warmth = temperature(logits, target)
        if logits.shape[1] != cls.aimed:
            return {"temperature": warmth}
        second = (logits.double() / warmth).softmax(1)[:, 1]
        level, served = threshold_for(second, target == 1, goal=goal)
        return {"temperature": warmth, "threshold": level} | ({} if served else {"unreached": [1]})

    @classmethod
    def operate(cls, tensors: dict[str, torch.Tensor], point: dict[str, Any]) -> dict[str, torch.Tensor]:
        """{"probabilities": (B, C, S, S)}."""
        return {"probabilities": (tensors["logits"].float() / float(point.get("temperature", 1.0))).softmax(1)}

    @classmethod
    def locate(cls, tensors: dict[str, torch.Tensor], place: Spot | None, point: dict[str, Any]) -> dict[str, torch.Tensor]:
        """{"mask": (B, H, W) uint8, `VOID` where the frame does not reach; "probability": (B, H, W), of each pixel's class}."""
        import torch

        shares = tensors["probabilities"] if place is None else place.maps(tensors["probabilities"])
        if shares.shape[1] == 2 and "threshold" in point:
            label = (shares[:, 1] >= float(point["threshold"])).long()
            sure = torch.where(label == 1, shares[:, 1], shares[:, 0])
        else:
            sure, label = shares.max(1)
        if place is not None:
            label = torch.where(place.shown()[None], label, VOID)
        return {"mask": label.to(torch.uint8), "probability": sure}


def some_pixels(logits: torch.Tensor, target: torch.Tensor, most: int = 200_000) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, C) logits and (N,) classes of at most so many labelled pixels of (B, C, H, W) and (B, H, W), evenly chosen."""
    import torch

    known = (target.flatten() != VOID).nonzero().flatten()
    known = known[:: max(1, len(known) // most)]
    picture, pixel = known // target[0].numel(), known % target[0].numel()
    return logits.flatten(2)[picture, :, pixel].float(), target.flatten()[known].to(torch.int64)


def _pack(values: np.ndarray) -> bytes:
    return zlib.compress(np.ascontiguousarray(values, np.uint8).tobytes(), 1)

"""A picture that answers a picture: denoised, enlarged, sharpened."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from omma.answers.answer import Answer

if TYPE_CHECKING:
    import torch

    from omma.data.views import Views

SAME = 60.0  # dB between two answers that are the same
DEEP = 65535  # white, in 16 bits


@dataclass(slots=True, eq=False)
class Picture(Answer):
    """A picture, read when it is asked for: a data set of good pictures does not lie in memory.

    Args:
        load: gives (H, W, C) uint8 or uint16, C = 1 grey, 2 grey with alpha, 3 colour, 4 colour with alpha.
        name: of a truth, what tells it from others in its data set.
        icc, exif: of a prediction, what its file carries over from the file it answers; see `_png.encode`.
        given: of a truth, the bad picture as it was given: (h, w, C) uint8, uint16, or float32 on 0–255, smaller by a whole factor where
            it is to be enlarged; None where that is not known.
    """

    load: Callable[[], np.ndarray]
    name: str = ""
    icc: bytes | None = None
    exif: bytes | None = None
    given: Callable[[], np.ndarray] | None = None
    kind: ClassVar[str] = "picture"
    compared: ClassVar[tuple[str, ...] | None] = ("restored",)

    @classmethod
    def of(cls, pixels: np.ndarray) -> Self:
        """From (H, W, C) uint8 or uint16, kept as it is; floats of 0–1 are rounded to 16 bits."""
        if pixels.dtype.kind == "f":
            pixels = np.rint(np.clip(pixels, 0, 1) * np.float32(DEEP)).astype(np.uint16)
        return cls(lambda: pixels)

    @property
    def pixels(self) -> np.ndarray:
        """(H, W, C) uint8 or uint16."""
        return self.load()

    def deep(self, bits: int) -> np.ndarray:
        """(H, W, C) with this depth, 8 or 16: rounded, never cut."""
        pixels = self.pixels
        if pixels.dtype == (np.uint8 if bits == 8 else np.uint16):
            return pixels
        if bits == 16:
            return pixels.astype(np.uint16) * 257
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)

    def json(self) -> dict[str, Any]:
        """{"png": the file in base64}; of a truth {"picture": its name}."""
        if self.name:
            return {"picture": self.name}
        return {"png": base64.b64encode(self.png()).decode("ascii")}

    def png(self) -> bytes:
        """As a PNG file."""
        from omma.answers import _png

        return _png.encode(self.pixels, self.icc, self.exif)

    def written(self, stem: Path, suffix: str = ".png") -> dict[str, Any]:
        """{"file": path called `stem` and the suffix}; a PNG where such a file cannot hold the picture (16 bits, alpha in a JPEG)."""
        from omma.answers import _kept

        blob = None if suffix == ".png" else _kept.encode(self.pixels, suffix, self.icc, self.exif)
        path = stem.with_name(stem.name + (".png" if blob is None else suffix))
        partial = path.with_name(f".{path.name}.partial")
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(self.png() if blob is None else blob)
        partial.replace(path)
        return {"file": str(path)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """From `json` of a prediction, or what `written` gave."""
        from omma.answers import _png

        if "file" in data:
            return cls(lambda: _png.decode(Path(data["file"]).read_bytes()))  # a PNG: in other formats no answer is what it was
        pixels = _png.decode(base64.b64decode(data["png"]))
        return cls(lambda: pixels)

    def in_depth(self, bits: int) -> Self:
        """A copy rounded to 8 bits, or 16."""
        pixels = self.deep(bits)
        return replace(self, load=lambda: pixels)

    def draw(self, picture: np.ndarray) -> np.ndarray:
        """What was given in the left half, enlarged where the answer is larger, the answer in the right one."""
        from PIL import Image

        after = shown(self.deep(8))
        before = np.asarray(Image.fromarray(picture).resize((after.shape[1], after.shape[0]), Image.Resampling.BICUBIC))
        middle = after.shape[1] // 2
        both = after.copy()
        both[:, :middle] = before[:, :middle]
        both[:, max(0, middle - 1) : middle + 1] = 255
        return both

    def same(self, other: Answer, tolerance: float = 1e-3) -> bool:
        """Whether they are alike to 60 dB, which nobody sees; `tolerance` is not used."""
        if not isinstance(other, Picture):
            return False
        mine, theirs = (one.deep(16).astype(np.float64) / DEEP for one in (self, other))
        if mine.shape != theirs.shape:
            return False
        return bool(mine.size == 0 or np.square(mine - theirs).mean() <= 10 ** (-SAME / 10))

    @classmethod
    def tensors(cls, truths: Sequence[Picture], names: Sequence[str], views: Views | None = None) -> dict[str, torch.Tensor]:
        """{"picture": (B, C, H, W) float, 0–1}; all must be of one size."""
        import torch

        rows = [one.pixels for one in truths]
        return {"picture": torch.stack([torch.from_numpy(row / np.iinfo(row.dtype).max).permute(2, 0, 1).float() for row in rows])}

    @classmethod
    def operate(cls, tensors: dict[str, torch.Tensor], point: dict[str, Any]) -> dict[str, torch.Tensor]:
        """{"restored": (B, H, W, C), 0–1}."""
        return {"restored": tensors["restored"].float().clamp(0, 1).permute(0, 2, 3, 1)}


def strip(given: np.ndarray, made: np.ndarray, true: np.ndarray) -> np.ndarray:
    """What was given (uint8, or float32 of 0–255), what was made of it and the truth, side by side, as large as the truth.

    Returns (H, 3 W, 3) uint8.
    """
    from PIL import Image

    height, width = true.shape[:2]
    eight = [one if one.dtype == np.uint8 else Picture.of(one).deep(8) for one in (_unit(given), made, true)]
    return np.concatenate([np.asarray(Image.fromarray(shown(one)).resize((width, height), Image.Resampling.BICUBIC)) for one in eight], 1)


def _unit(pixels: np.ndarray) -> np.ndarray:
    return pixels / np.float32(255) if pixels.dtype.kind == "f" else pixels


def shown(pixels: np.ndarray) -> np.ndarray:
    """(H, W, C) uint8 → (H, W, 3) as people see it: grey repeated, alpha left out."""
    colour = pixels[..., :3] if pixels.shape[2] > 2 else pixels[..., :1]
    return np.ascontiguousarray(np.broadcast_to(colour, (*colour.shape[:2], 3)))

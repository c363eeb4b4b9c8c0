"""How pictures enter a network: from any decoded picture to a normalised square, the same in training, service and export."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from omma.errors import BundleError, DataError
from omma.words import say

if TYPE_CHECKING:
    from omma.data.spatial.place import Place, Span
    from omma.data.spatial.windows import Window, Windows

Fit = Literal["squash", "crop", "pad", "windows", "own"]
Tta = Literal["none", "flip", "shift", "flip+shift"]
# Rec. 601 luma in 1/65536, Pillow's own; they add up to 65536, so grey that was made colour comes back unchanged.
LUMA = (19595, 38470, 7471)
# torch's 8-bit resize keeps its weights in 16 bits; `InGraph` keeps the same ones, so both agree to the last bit.
WEIGHT_BITS, MAX_PRECISION = 15, 22


@dataclass(frozen=True)
class Views:
    """What a picture looks like to a network.

    Args:
        size: side of the square, pixels.
        channels: 1 grey, 3 colour, or as many as the pictures have.
        fit: how a picture becomes square: `squash` (sides scaled apart), `crop` (centre), `pad` (letterbox in the mean colour);
            `windows`: a larger one becomes several frames, at its own scale (a smaller one is never enlarged); or `own`: the frame is
            the picture itself, of any size, its values as deep as they are, and `size` is the side of what is learned from.
        mean: of each channel, 0–1.
        std: of each channel, 0–1.
        tta: views averaged at prediction time.
        overlap: of neighbouring windows, pixels at least; with `own`, how far around a pixel the network looks.
        whole: windows are followed by the whole picture, made small: for objects that no window shows whole; with `own`, the
            network looks at all of a picture, and says of a part only nearly what it would say of the whole.
    """

    size: int
    channels: int = 3
    fit: Fit = "squash"
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.25, 0.25, 0.25)
    tta: Tta = "none"
    overlap: int = 0
    whole: bool = False

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            values = tuple(float(v) for v in getattr(self, name))
            object.__setattr__(self, name, values * self.channels if len(values) == 1 else values)
        sound = (
            isinstance(self.size, int) and 1 <= self.size <= 4096 and isinstance(self.channels, int) and 1 <= self.channels <= 64
            and self.fit in get_args(Fit) and self.tta in get_args(Tta)
            and 0 <= self.overlap <= (4096 if self.fit == "own" else self.size // 2)
            and len(self.mean) == len(self.std) == self.channels
            and all(abs(m) < 1e6 for m in self.mean) and all(1e-6 <= s < 1e6 for s in self.std)
        )  # fmt: skip
        if not sound:
            raise BundleError(say("views.unsound", views=str(asdict(self))[:300]))

    def json(self) -> dict[str, Any]:
        """Plain values, as stored in a bundle."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of `json`.

        Raises:
            BundleError: unknown keys or values that make no sense.
        """
        try:
            return cls(**data)
        except (TypeError, ValueError) as error:
            raise BundleError(say("views.unsound", views=str(error)[:300])) from None

    @property
    def filling(self) -> tuple[int, ...]:
        """The mean colour in 8 bits: what a letterbox and an erased square are made of."""
        return tuple(min(255, max(0, round(m * 255))) for m in self.mean)

    def frame(self, picture: np.ndarray) -> np.ndarray:
        """Any decoded picture, (H, W, C) uint8, uint16 or float32 → (size, size, channels) uint8.

        Channels and depth first, then the crop, then one antialiased bilinear resize rounding to 8 bits after each pass, as Pillow does.
        With `own` (H, W, C) as it is, see `as_own`.

        Raises:
            DataError: the picture has another number of channels than the network reads.
        """
        if self.fit == "own":
            return as_own(picture, self.channels)
        picture = self._eight_bits(picture)
        if picture.shape == (self.size, self.size, self.channels):
            return np.ascontiguousarray(picture)
        height, width = picture.shape[:2]
        top, left, rows, columns, inner_height, inner_width = self._plan(height, width)
        small = resize(picture[top : top + rows, left : left + columns], inner_height, inner_width)
        if small.shape[:2] == (self.size, self.size):
            return small
        frame = np.empty((self.size, self.size, self.channels), np.uint8)
        frame[:] = self.filling
        y, x = self._corner(inner_height, inner_width)
        frame[y : y + inner_height, x : x + inner_width] = small
        return frame

    def _plan(self, height: int, width: int) -> tuple[int, int, int, int, int, int]:
        """(top, left, rows, columns) of what is read and (height, width) of what it becomes, pixels."""
        if self.fit == "own":
            return 0, 0, height, width, height, width
        side = min(height, width)
        if self.fit == "crop":
            return (height - side) // 2, (width - side) // 2, side, side, self.size, self.size
        if self.fit == "squash":
            return 0, 0, height, width, self.size, self.size
        longest = max(height, width)
        if self.fit == "windows" and longest <= self.size:
            return 0, 0, height, width, height, width
        inner = [max(1, (2 * length * self.size + longest) // (2 * longest)) for length in (height, width)]
        return 0, 0, height, width, inner[0], inner[1]

    def _corner(self, tall: int, wide: int) -> tuple[int, int]:
        """Where in its frame something of this size begins; windows keep to their grid."""
        return (0, 0) if self.fit in ("windows", "own") else ((self.size - tall) // 2, (self.size - wide) // 2)

    def place(self, height: int, width: int) -> Place:
        """Where a picture of `height` × `width` pixels lies in its frame, as `frame` makes it."""
        from omma.data.spatial.place import Place, Span

        top, left, rows, columns, tall, wide = self._plan(height, width)
        y, x = self._corner(tall, wide)
        down, across = torch.ones(height), torch.ones(width)
        return Place(Span(down, top, rows, y, tall, self.size), Span(across, left, columns, x, wide, self.size))

    def spot(self, height: int, width: int) -> Place | Windows:
        """Where a picture of `height` × `width` pixels lies in its frames, as `frames` makes them."""
        if self.fit != "windows":
            return self.place(height, width)
        from omma.data.spatial.windows import Side, Windows, starts

        down, across = (Side(torch.ones(n), starts(n, self.size, self.overlap), self.size, self.overlap) for n in (height, width))
        return Windows(down, across, self.place(height, width) if self.whole and max(height, width) > self.size else None)

    def windows(self, height: int, width: int) -> list[Window]:
        """What each frame of a picture shows of it, pixels, in the order of `frames`."""
        from omma.data.spatial.windows import Window, starts

        everything = Window(0, 0, height, width)
        if self.fit != "windows" or max(height, width) <= self.size:
            return [everything]
        down, across = (starts(n, self.size, self.overlap).tolist() for n in (height, width))
        parts = [Window(top, left, min(self.size, height - top), min(self.size, width - left)) for top in down for left in across]
        return [*parts, everything] if self.whole else parts

    def frames(self, picture: np.ndarray) -> np.ndarray:
        """Any decoded picture → (frames, size, size, channels) uint8; one frame unless it is read in windows.

        Raises:
            DataError: as `frame`.
        """
        parts = self.windows(*picture.shape[:2])
        return np.stack([self.frame(picture[top : top + tall, left : left + wide]) for top, left, tall, wide in parts])

    def _eight_bits(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, channels) uint8."""
        from omma.data.decode import to_rgb8

        picture = picture[:, :, None] if picture.ndim == 2 else picture
        found = picture.shape[2]
        if self.channels in (1, 3) and found in (1, 3, 4):
            if picture.dtype == np.uint8 and found == self.channels:
                return picture
            colour = to_rgb8(picture)
            return colour if self.channels == 3 else grey(colour)
        if found != self.channels:
            raise DataError(say("views.channels", found=found, wanted=self.channels))
        if picture.dtype == np.uint8:
            return picture
        return np.concatenate([to_rgb8(picture[:, :, c : c + 1])[:, :, :1] for c in range(found)], axis=2)

    def finish(self, frames: torch.Tensor) -> torch.Tensor:
        """(B, size, size, channels) uint8 → (B, channels, size, size) float32, normalised, channels_last; with `own` of any H, W and C."""
        if self.fit == "own":
            return (frames.float() / 255).permute(0, 3, 1, 2)
        # Whole rows at a time, because broadcasting over 3 channels costs five times as much; in place, because fresh memory costs as much.
        gain, lift = self._affine(frames.device, self.size)
        rows = frames.reshape(-1, self.size * self.channels).float().mul_(gain).add_(lift)
        return rows.view(-1, self.size, self.size, self.channels).permute(0, 3, 1, 2)

    def normalise(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, channels, H, W) float32 of 0–255 → mean 0, deviation 1."""
        gain, lift = (value.view(1, -1, 1, 1) for value in self._affine(pictures.device, 1))
        return pictures * gain + lift

    def _affine(self, device: torch.device, times: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What multiplies a value and what is added to it, for `times` pixels in a row."""
        gain = torch.tensor([1 / (255 * s) for s in self.std], device=device).repeat(times)
        return gain, torch.tensor([-m / s for m, s in zip(self.mean, self.std, strict=True)], device=device).repeat(times)

    def copies(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """The views of (B, C, S, S) pictures whose answers are averaged at prediction time.

        `flip`: as is, and mirrored. `shift`: as is, and moved by 1/32 of the side (at least 1 pixel) up-left and down-right over
        reflected borders. `flip+shift`: each of those mirrored too (as in Jordan 2024, airbench).
        """
        if self.tta == "none":
            return [pictures]
        placed = [pictures]
        if "shift" in self.tta:
            by = max(1, self.size // 32)
            wide = F.pad(pictures, (by, by, by, by), mode="reflect")
            placed += [wide[:, :, : self.size, : self.size], wide[:, :, 2 * by :, 2 * by :]]
        return [view for place in placed for view in ((place, place.flip(3)) if "flip" in self.tta else (place,))]


def as_own(picture: np.ndarray, channels: int) -> np.ndarray:
    """Any decoded picture, at its own size → (H, W, C) uint8, or float32 of 0–255 where values are deeper: C = 1 grey or 3 colour.

    A fourth channel, which always is alpha, is left out. Floats within 0–1 are multiplied by 255, others are taken for 0–255 as they are,
    whatever lies beyond.

    Raises:
        DataError: neither grey nor colour, and not as many channels as the network reads.
    """
    found = picture.shape[2]
    if found not in (1, 3, 4) and found != channels:
        raise DataError(say("views.channels", found=found, wanted=channels))
    picture = picture[..., :3] if found == 4 else picture
    if picture.dtype == np.uint8:
        return np.ascontiguousarray(picture)
    if picture.dtype == np.uint16:
        return picture.astype(np.float32) / np.float32(257)
    values = np.nan_to_num(picture.astype(np.float32), nan=0.0, posinf=255.0, neginf=0.0)
    unit = values.size and values.min() >= 0 and values.max() <= 1
    return values * np.float32(255) if unit else values


def resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, C) uint8 → (height, width, C) uint8, antialiased bilinear, rounded after each pass (torch's 8-bit path)."""
    if picture.shape[:2] == (height, width):
        return np.ascontiguousarray(picture)
    if not picture.flags.writeable:  # torch warns of memory it may not write to, and would only read it
        picture = picture.copy()
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None]
    small = F.interpolate(planes, size=(height, width), mode="bilinear", antialias=True)
    return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())


def grey(colour: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 → (H, W, 1) uint8 luma."""
    parts = colour.astype(np.int64) @ np.array(LUMA, np.int64)
    return ((parts + 32768) >> 16).astype(np.uint8)[:, :, None]


class InGraph(nn.Module):
    """`Views.frame` as exportable arithmetic: (N, H, W, 3) uint8, any H and W → (N, size, size, channels) uint8.

    The resize is two products with weight matrices built from the sizes in the graph. Weights are whole numbers of at most 15 bits, as in
    torch's 8-bit resize, so every sum is exact in float32 whatever its order, and the result equals `frame` bit for bit.
    (For `channels` other than 1 and 3 the input has that many channels.)
    """

    filling: torch.Tensor
    luma: torch.Tensor

    def __init__(self, views: Views) -> None:
        super().__init__()
        self.views = views
        self.register_buffer("filling", torch.tensor(views.filling, dtype=torch.float32), persistent=False)
        self.register_buffer("luma", torch.tensor(LUMA, dtype=torch.float32), persistent=False)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        if self.views.fit == "own":
            return pictures
        x = pictures.float()
        if self.views.channels == 1:
            x = torch.floor(((x * self.luma).sum(3, keepdim=True) + 32768) / 65536)
        if self.views.fit == "windows":
            return self._windows(x)
        return self._one(x, self.spot(pictures)).to(torch.uint8)

    def _windows(self, x: torch.Tensor) -> torch.Tensor:
        """(N, H, W, C) float of 0–255 → (N · frames, size, size, C) uint8."""
        place = self.spot(x)
        (rows, tall), (columns, wide) = place.down.rows(), place.across.rows()
        cut = x.index_select(1, rows).index_select(2, columns)
        inside = (tall[:, None] & wide[None, :]).float()[..., None]
        cut = cut * inside + self.filling * (1 - inside)
        for axis, side in ((2, place.across), (1, place.down)):
            cut = cut.unflatten(axis, (side.starts.shape[0], self.views.size))
        frames = cut.transpose(2, 3).flatten(1, 2)
        if place.whole is not None:
            frames = torch.cat([frames, self._one(x, place.whole)[:, None]], 1)
        return frames.flatten(0, 1).to(torch.uint8)

    def _one(self, x: torch.Tensor, place: Place) -> torch.Tensor:
        """(N, H, W, C) float of 0–255 → (N, size, size, C), whole numbers."""
        across, across_bits, across_in = weights(place.across)
        down, down_bits, down_in = weights(place.down)
        x = torch.matmul(x.permute(0, 3, 1, 2), across.T)  # (N, C, H, W) @ (W, size)
        x = torch.floor(x / across_bits + 0.5).clamp(0, 255)
        x = torch.matmul(down, x)  # (size, H) @ (N, C, H, size)
        x = torch.floor(x / down_bits + 0.5).clamp(0, 255).permute(0, 2, 3, 1)
        if self.views.fit in ("pad", "windows"):
            inside = (down_in[:, None] * across_in[None, :])[None, :, :, None]
            x = x * inside + self.filling * (1 - inside)
        return x

    def spot(self, pictures: torch.Tensor) -> Any:
        """Where pictures of this size, (N, H, W, C), lie in their frames: `Place` or `Windows`."""
        x = pictures[0].float()
        return self.between(torch.ones_like(x[:, 0, 0]), torch.ones_like(x[0, :, 0]))

    def between(self, down: torch.Tensor, across: torch.Tensor) -> Any:
        """The same from the sides of a picture, as many ones as it has rows and columns."""
        if self.views.fit != "windows":
            return self._place(down, across)
        from omma.data.spatial.windows import Side, Windows, starts

        size, overlap = self.views.size, self.views.overlap
        tall, wide = (Side(line, starts(line.shape[0], size, overlap), size, overlap) for line in (down, across))
        return Windows(tall, wide, self._place(down, across) if self.views.whole else None)

    def _place(self, down: torch.Tensor, across: torch.Tensor) -> Place:
        from omma.data.spatial.place import Place, Span

        tall, wide = down.sum().double(), across.sum().double()
        sides = []
        for line, length, other in ((down, tall, wide), (across, wide, tall)):
            start, read, out = self._span(length, other)
            offset = torch.zeros_like(out) if self.views.fit in ("windows", "own") else torch.floor((self.views.size - out) / 2)
            sides.append(Span(line, start, read, offset, out, self.views.size))
        return Place(*sides)

    def _span(self, length: torch.Tensor, other: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(start, length) of what is read along one side, and the length it becomes; see `Views._plan`."""
        whole, size = torch.zeros_like(length), torch.full_like(length, self.views.size)
        if self.views.fit == "own":
            return whole, length, length
        if self.views.fit == "crop":
            side = torch.minimum(length, other)
            return torch.floor((length - side) / 2), side, size
        if self.views.fit == "squash":
            return whole, length, size
        longest = torch.maximum(length, other)
        if self.views.fit == "windows":  # never enlarged
            longest = longest.clamp_min(self.views.size)
        return whole, length, torch.floor((2 * length * self.views.size + longest) / (2 * longest)).clamp_min(1)


def weights(span: Span) -> tuple[torch.Tensor, ...]:
    """One side's resize as a matrix: triangle filter over `span.length` pixels from `span.start`.

    Returns (size, L) float32 whole numbers, their common divisor (a power of two), and (size,) 1 where a row is inside.
    """
    line, length, out = span.line, span.length, span.out
    assert isinstance(length, torch.Tensor) and isinstance(out, torch.Tensor), "known at run time only"
    place = torch.cumsum(line.double(), 0) - 1 - span.start  # of each source pixel in what is read
    row = torch.arange(span.size, device=line.device, dtype=torch.float64) - span.offset
    inside = (row >= 0) & (row < out)
    scale = length / out
    support = scale.clamp_min(1.0)
    centre = (scale * (row + 0.5))[:, None]
    low = torch.floor(centre - support + 0.5).clamp_min(0)
    high = torch.minimum(torch.floor(centre + support + 0.5), length)
    taps = (1 - ((place - centre + 0.5) / support).abs()).clamp_min(0)
    taps = taps * ((place >= low) & (place < high) & inside[:, None]).double()
    taps = taps / taps.sum(1, keepdim=True).clamp_min(1e-12)
    # The precision torch chooses: as many bits as keep the largest weight below 2^15.
    powers = torch.pow(2.0, torch.arange(1, MAX_PRECISION + 1, device=line.device, dtype=torch.float64))
    fits = (torch.floor(0.5 + taps.amax((0, 1)) * powers) < 2**WEIGHT_BITS).double()
    divisor = torch.pow(2.0, fits.sum())
    return torch.floor(0.5 + taps * divisor).float(), divisor.float(), inside.float()

"""Where a picture lies in its frame: coordinates there and back, and maps of the frame spread over the picture again.

Plain tensor arithmetic, so that an exported model carries its answers back itself.
"""

from __future__ import annotations

from typing import NamedTuple

import torch


class Span(NamedTuple):
    """One side of a picture in its frame: `length` pixels from `start` become `out` pixels from `offset`.

    Args:
        line: (L,) ones, as many as the picture has pixels on this side; in an exported graph only its length at run time is known.
        start, length: of what is read of the picture, pixels.
        offset, out: of what it becomes in the frame, pixels.
        size: side of the frame, pixels.
    """

    line: torch.Tensor
    start: float | torch.Tensor
    length: float | torch.Tensor
    offset: float | torch.Tensor
    out: float | torch.Tensor
    size: int

    def back(self, at: torch.Tensor) -> torch.Tensor:
        """Coordinates in the frame → in the picture, not beyond its borders."""
        spread = (at - self.offset) * (self.length / self.out) + self.start
        return torch.minimum(spread.clamp_min(0), self.line.sum().to(spread.dtype))

    def into(self, at: torch.Tensor) -> torch.Tensor:
        """Coordinates in the picture → in the frame, wherever that is."""
        return (at - self.start) * (self.out / self.length) + self.offset

    def sources(self) -> torch.Tensor:
        """(size,) int64: the pixel of the picture at the centre of each pixel of the frame; −1 where there is none."""
        at = torch.arange(self.size, dtype=torch.float64) + 0.5
        inside = (at > self.offset) & (at < self.offset + self.out)
        found = torch.floor((at - self.offset) * (self.length / self.out) + self.start).long().clamp(0, len(self.line) - 1)
        return torch.where(inside, found, torch.full_like(found, -1))

    def taps(self) -> torch.Tensor:
        """(L, size) float32: how much each pixel of the frame counts for each of the picture, bilinear; borders are held."""
        at = (self.into(torch.cumsum(self.line.double(), 0) - 0.5) - 0.5)[:, None]
        at = at.clamp(self.offset, self.offset + self.out - 1)  # type: ignore[arg-type]
        grid = torch.arange(self.size, dtype=torch.float64, device=self.line.device)
        return (1 - (at - grid).abs()).clamp_min(0).float()

    def inside(self) -> torch.Tensor:
        """(L,) bool: which pixels of the picture the frame shows."""
        at = torch.cumsum(self.line.double(), 0) - 0.5
        return (at >= self.start) & (at < self.start + self.length)


class Place(NamedTuple):
    """Where a picture lies in its frame, both sides. See `Views.place` and `InGraph.place`."""

    down: Span
    across: Span

    @property
    def frames(self) -> int:
        """How many frames show the picture: one; see `Windows`."""
        return 1

    def joined(self, rows: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What one frame says of objects is what is said of the picture."""
        return rows

    @property
    def extent(self) -> torch.Tensor:
        """(1, 2) int64: height and width of the picture, pixels."""
        return torch.stack([self.down.line.sum(), self.across.line.sum()]).round().long()[None]

    def points(self, points: torch.Tensor) -> torch.Tensor:
        """(…, 2) x, y in the frame → in the picture."""
        return torch.stack([self.across.back(points[..., 0]), self.down.back(points[..., 1])], -1)

    def boxes(self, boxes: torch.Tensor) -> torch.Tensor:
        """(…, 4) corners in the frame → in the picture."""
        return torch.cat([self.points(boxes[..., :2]), self.points(boxes[..., 2:])], -1)

    def framed(self, boxes: torch.Tensor) -> torch.Tensor:
        """(…, 4) corners in the picture → in the frame, cut at its borders."""
        corners = [span.into(boxes[..., place]) for place, span in enumerate((self.across, self.down, self.across, self.down))]
        return torch.stack(corners, -1).clamp(0, self.down.size)

    def maps(self, maps: torch.Tensor) -> torch.Tensor:
        """(…, S, S) float of the frame → (…, H, W) of the picture, bilinear."""
        return torch.matmul(torch.matmul(self.down.taps(), maps), self.across.taps().T)

    def pasted(self, masks: torch.Tensor, probabilities: torch.Tensor, frame: torch.Tensor) -> torch.Tensor:
        """(B, K, S, S) masks of objects → (B, K, H, W); see `Windows`."""
        return self.maps(masks)

    def shown(self) -> torch.Tensor:
        """(H, W) bool: which pixels of the picture the frame shows."""
        return self.down.inside()[:, None] & self.across.inside()[None, :]

    def pixels(self, pixels: torch.Tensor, outside: int) -> torch.Tensor:
        """(H, W) labels of a picture → (S, S) of its frame, by the pixel under each centre; `outside` where the picture does not reach."""
        down, across = self.down.sources(), self.across.sources()
        found = pixels.index_select(0, down.clamp_min(0)).index_select(1, across.clamp_min(0))
        return torch.where((down >= 0)[:, None] & (across >= 0)[None, :], found, torch.full_like(found, outside))

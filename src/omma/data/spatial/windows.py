"""Pictures larger than a frame, read in overlapping windows: where the windows lie, and how what is said of each becomes one answer.

Windows begin on a grid of 32 pixels, so a network that halves its maps up to five times sees the same phase everywhere; maps are handed
over linearly in the middle of what two windows share. Plain tensor arithmetic, as in `place.py`, for the same reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn import functional as F

from omma.errors import NotMeaningful
from omma.words import say

if TYPE_CHECKING:
    from typing import TypeAlias

    from omma.data.spatial.place import Place

    Spot: TypeAlias = "Place | Windows"

GRID = 32  # pixels
# Objects of one picture: three times those of one frame, but not over this many unless one frame holds more.
ROWS, MANY = 3, 300
# Two frames mean the same object from this intersection over union on.
SAME = 0.5
ROUNDS = 8  # of suppression: a chain of answers about one object is as long as there are frames that show it


class Window(NamedTuple):
    """The part of a picture that one frame shows, pixels."""

    top: int
    left: int
    height: int
    width: int


def starts(length: Any, size: int, overlap: int) -> torch.Tensor:
    """(n,) int64: where windows of `size` pixels begin along a side of `length` pixels; neighbours share at least `overlap`.

    One window where the side fits into it. The last one may reach beyond the picture, by less than the grid.
    `length` may be a symbol of an exported graph.
    """
    step = max(GRID, (size - overlap) // GRID * GRID)
    last = torch.sym_max((length - size + GRID - 1) // GRID * GRID, 0)
    gaps = (last + step - 1) // step
    evenly = torch.arange(gaps + 1) * last
    return torch.div(torch.div(evenly, torch.sym_max(gaps, 1), rounding_mode="floor"), GRID, rounding_mode="floor") * GRID


class Side(NamedTuple):
    """One side of a picture that is read in n windows.

    Args:
        line: (L,) ones, as many as the picture has pixels on this side.
        starts: (n,) int64, the first pixel of each window.
        size: of a window, pixels.
        overlap: pixels over which one window hands over to the next.
    """

    line: torch.Tensor
    starts: torch.Tensor
    size: int
    overlap: int

    def taps(self) -> torch.Tensor:
        """(L, n · size) float32: how much each pixel of the windows, laid end to end, counts for each of the picture."""
        at = (torch.cumsum(self.line.double(), 0) - 0.5)[:, None] - self.starts  # of each pixel in each window
        inside = (at > 0) & (at < self.size)
        # The picture's own borders are nobody's neighbour.
        beyond = torch.full_like(at, self.size)
        before = torch.where(self.starts == 0, beyond, at)
        after = torch.where(self.starts == self.starts.amax(0), beyond, self.size - at)
        # Near its border a window has seen too little: the hand-over takes place in the middle quarter of what both share.
        shared = max(1, self.overlap)
        weight = ((torch.minimum(before, after) - 0.375 * shared) / (0.25 * shared)).clamp(0, 1) * inside
        weight = weight / weight.sum(1, keepdim=True)
        pixel = torch.arange(self.size, device=at.device)
        return (weight[..., None] * (torch.floor(at)[..., None] == pixel)).flatten(1).float()

    def core(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(n,) and (n,): from where to where a window's word counts: up to the middle of what it shares with the next."""
        far = torch.full_like(self.starts[:1], 1 << 30).double()
        middle = (self.starts[1:] + self.starts[:-1] + self.size).double() / 2
        return torch.cat([-far, middle]), torch.cat([middle, far])

    def inner(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(n,) and (n,): the window's borders that have a neighbour beyond them; far away where it has none."""
        far = torch.full_like(self.starts, 1 << 30)
        low = torch.where(self.starts == 0, -far, self.starts)
        return low.double(), torch.where(self.starts == self.starts.amax(0), far, self.starts + self.size).double()

    def rows(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(n · size,) int64: the pixel of the picture under each pixel of the windows, and (n · size,) bool whether there is one."""
        at = (self.starts[:, None] + torch.arange(self.size, device=self.starts.device)).flatten()
        return torch.minimum(at, self.line.sum().long() - 1), at < self.line.sum()


class Windows(NamedTuple):
    """How a picture lies in several frames: the windows row by row, and with `whole` the picture once more, made small enough for one.

    Does for several frames what `Place` does for one; tensors have the frames of a picture one after the other in front.
    """

    down: Side
    across: Side
    whole: Place | None

    @property
    def extent(self) -> torch.Tensor:
        """(1, 2) int64: height and width of the picture, pixels."""
        return torch.stack([self.down.line.sum(), self.across.line.sum()]).round().long()[None]

    @property
    def frames(self) -> Any:
        """How many."""
        return self._fine + (self.whole is not None)

    @property
    def _fine(self) -> Any:
        return self.down.starts.shape[0] * self.across.starts.shape[0]

    def maps(self, maps: torch.Tensor) -> torch.Tensor:
        """(N · frames, C, S, S) float → (N, C, H, W) of the pictures, handed over linearly between windows."""
        each = maps.unflatten(0, (-1, self.frames))[:, : self._fine]
        tiled = each.unflatten(1, (self.down.starts.shape[0], self.across.starts.shape[0])).permute(0, 3, 1, 4, 2, 5)
        tiled = tiled.flatten(4, 5).flatten(2, 3)  # (N, C, rows of all windows, columns of all windows)
        return torch.matmul(torch.matmul(self.down.taps(), tiled), self.across.taps().T)

    def pasted(self, masks: torch.Tensor, probabilities: torch.Tensor, frame: torch.Tensor) -> torch.Tensor:
        """(N, M, S, S) masks of objects → (N, M, H, W), each where its frame lies; (N, M) frames as `joined` has them.

        Raises:
            NotMeaningful: inside an exported graph.
        """
        if torch.compiler.is_exporting() or torch.jit.is_tracing():
            raise NotMeaningful(say("views.windows_of_masks"))
        found = masks.new_zeros(*masks.shape[:2], len(self.down.line), len(self.across.line))
        rows, columns = self._each(1, self.down.starts).tolist(), self._each(0, self.across.starts).tolist()
        for picture, row in (probabilities > 0).nonzero().tolist():
            number, mask = int(frame[picture, row]), masks[picture, row]
            if number == len(rows) and self.whole is not None:
                found[picture, row] = self.whole.maps(mask)
                continue
            part = found[picture, row, rows[number] : rows[number] + len(mask), columns[number] : columns[number] + len(mask)]
            part.copy_(mask[: part.shape[0], : part.shape[1]])
        return found

    def shown(self) -> torch.Tensor:
        """(H, W) bool: windows show every pixel."""
        return (self.down.line[:, None] * self.across.line) > 0

    def points(self, points: torch.Tensor) -> torch.Tensor:
        """(N · frames, …, 2) x, y in frames → in the pictures, not beyond their borders."""
        each = points.unflatten(0, (-1, self.frames))
        corner = torch.stack([self._each(axis, side.starts) for axis, side in enumerate((self.across, self.down))], -1).to(points.dtype)
        moved = each[:, : self._fine] + corner.view(-1, *([1] * (points.dim() - 2)), 2)
        moved = torch.minimum(moved.clamp_min(0), self.extent[0].flip(0).to(points.dtype))
        if self.whole is not None:
            moved = torch.cat([moved, self.whole.points(each[:, self._fine :])], 1)
        return moved.flatten(0, 1)

    def boxes(self, boxes: torch.Tensor) -> torch.Tensor:
        """(N · frames, K, 4) corners in frames → in the pictures."""
        return torch.cat([self.points(boxes[..., :2]), self.points(boxes[..., 2:])], -1)

    def joined(self, rows: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What frames say of objects → what is said of pictures: each object once.

        A window is believed about objects whose middle lies nearer to its own than to its neighbours', unless its border cuts them;
        the whole picture about those too long for two windows to share. What two frames still both name is named once, by the surer.

        Args:
            rows: (N · frames, K, …), "boxes" (of the picture), "probabilities" and "classes" among them.

        Returns:
            the same with (N, M, …), probabilities falling, M at most 3 K; and "frame" (N, M) int64, which frame each comes from.
            Unused rows have the probability 0 and no area.
        """
        from omma.parts.suppress import suppress

        rows = {key: value for key, value in rows.items() if key != "extent"}
        most = rows["boxes"].shape[1]
        most = max(most, min(ROWS * most, MANY))
        each = {key: value.unflatten(0, (-1, self.frames)) for key, value in rows.items()}
        sure = each["probabilities"] * self._believed(each["boxes"]).to(each["probabilities"].dtype)
        number = torch.arange(self.frames, device=sure.device)[:, None].expand_as(sure)
        each |= {"probabilities": sure, "frame": number}
        flat = {key: value.flatten(1, 2) for key, value in each.items()}
        flat = {key: F.pad(value, (*([0, 0] * (value.dim() - 2)), 0, most)) for key, value in flat.items()}
        best, order = flat["probabilities"].topk(most)
        found = {key: _taken(value, order) for key, value in flat.items()}
        kept = suppress(found["boxes"], found["classes"], SAME, ROUNDS, apart=found["frame"])
        best, order = (best * kept).topk(most)
        joined = {key: _taken(found[key], order) for key in rows} | {"probabilities": best}
        used = best > 0
        zeroed = {key: value * _beside(used, value) for key, value in joined.items() if value.is_floating_point()}
        return joined | zeroed | {"frame": _taken(found["frame"], order)}

    def _believed(self, boxes: torch.Tensor) -> torch.Tensor:
        """(N, frames, K, 4) corners in the picture → (N, frames, K) bool."""
        fine, shared = boxes[:, : self._fine], float(self.down.overlap)
        slack, touch = shared / 8, max(2.0, shared / 16)  # what a network may err by, pixels
        good = torch.ones_like(fine[..., 0], dtype=torch.bool)
        for axis, side in enumerate((self.across, self.down)):
            first, last = fine[..., axis], fine[..., axis + 2]
            low, high, edge, wall = (self._each(axis, value)[:, None] for value in (*side.core(), *side.inner()))
            middle = (first + last) / 2
            good &= (middle >= low - slack) & (middle <= high + slack) & (first > edge + touch) & (last < wall - touch)
        if self.whole is None:
            return good
        longest = (boxes[:, self._fine :, :, 2:] - boxes[:, self._fine :, :, :2]).amax(-1)
        return torch.cat([good, longest > shared / 2], 1)

    def _each(self, axis: int, values: torch.Tensor) -> torch.Tensor:
        """A value of each column (axis 0) or row (axis 1) of windows → of each window, row by row."""
        down, across = self.down.starts.shape[0], self.across.starts.shape[0]
        grid = values[None, :].expand(down, across) if axis == 0 else values[:, None].expand(down, across)
        return grid.flatten()


def _taken(rows: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """(N, R, …) and (N, M) places → (N, M, …)."""
    return rows.gather(1, _beside(order, rows).expand(*order.shape, *rows.shape[2:]))


def _beside(values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """(N, M) → (N, M, 1, …), with as many dimensions as `rows`."""
    return values.reshape(*values.shape, *([1] * (rows.dim() - 2)))

"""How training pictures vary: whole batches at once, every draw a hash of (seed, epoch, sample, draw)."""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np
import torch
from torch.nn import functional as F

from omma.answers.answer import Answer
from omma.data import chance
from omma.data.frames import reflect
from omma.data.variation import grain, trivial
from omma.data.views import Views
from omma.recipe import Recipe

Truth = dict[str, torch.Tensor]
Draws = dict["Draw", torch.Tensor]
QUANTILES = 1024


class Draw(IntEnum):
    """What a draw is for; the numbers are part of what a seed means and must not be given to something else."""

    FLIP = 0
    DOWN = 1
    RIGHT = 2
    ROTATE = 3
    SCALE = 4
    BRIGHTNESS = 5
    CONTRAST = 6
    SATURATION = 7
    OPERATION = 8
    STRENGTH = 9
    SIGN = 10
    ERASE_DOWN = 11
    ERASE_RIGHT = 12
    MIX_KIND = 13
    MIX_SHARE = 14
    PARTNER = 15
    CUT_DOWN = 16
    CUT_RIGHT = 17
    QUARTER = 18
    MOSAIC = 19
    TILE = 20
    GAMMA = 21
    NOISE = 22
    GRAIN = 23
    KEPT = 24


class Vary:
    """Frames into normalised pictures that are never twice the same.

    What a sample becomes does not depend on the batch it comes in, but for its partner in mixup and CutMix, drawn from that batch.

    Args:
        views: how pictures enter.
        recipe: `flip shift rotate scale colour gamma noise trivial erase mixup cutmix` and `seed`; open values do nothing.
        answer_type: blends truths.
    """

    def __init__(self, views: Views, recipe: Recipe, answer_type: type[Answer]) -> None:
        self.views, self.answer, self.seed = views, answer_type, recipe.seed
        self.flip, self.trivial = bool(recipe.flip), bool(recipe.trivial)
        self.rotate, self.scale = recipe.rotate or 0.0, recipe.scale or 0.0
        self.colour, self.gamma, self.noise = recipe.colour or 0.0, recipe.gamma or 0.0, recipe.noise or 0.0
        # Pixels the frames may be moved by: whoever has them with such a margin hands them over with it.
        self.margin = round((recipe.shift or 0.0) * views.size)
        self.hole = round((recipe.erase or 0.0) * views.size)
        self.tables = {name: _beta(alpha) for name, alpha in (("mixup", recipe.mixup), ("cutmix", recipe.cutmix)) if alpha}
        # The draws of what changes values and moves nothing.
        self.looks = [
            *([Draw.BRIGHTNESS, Draw.CONTRAST, Draw.SATURATION] if self.colour else []),
            *([Draw.GAMMA] if self.gamma else []),
            *([Draw.NOISE] if self.noise else []),
        ]
        self.draws = [
            *([Draw.DOWN, Draw.RIGHT] if self.margin else []),
            *([Draw.ROTATE, Draw.SCALE] if self.rotate or self.scale or self.trivial else []),
            *self.looks,
            *([Draw.OPERATION, Draw.STRENGTH, Draw.SIGN] if self.trivial else []),
            *([Draw.ERASE_DOWN, Draw.ERASE_RIGHT] if self.hole else []),
            *([Draw.MIX_KIND, Draw.MIX_SHARE, Draw.CUT_DOWN, Draw.CUT_RIGHT] if self.tables else []),
        ]

    def __call__(self, frames: torch.Tensor, truth: Truth, index: torch.Tensor, epoch: int) -> tuple[torch.Tensor, Truth]:
        """Vary a batch.

        Args:
            frames: (B, S, S, C) uint8, or (B, S + 2m, S + 2m, C) with reflected margins of `margin` pixels.
            truth: what `Answer.tensors` made, batch in front.
            index: (B,) int64, places in the dataset, on the device of `frames`.
            epoch: which one.

        Returns:
            (B, C, S, S) float32 normalised, channels_last, and its truth.
        """
        draws = dict(zip(self.draws, chance.uniform(self.seed, epoch, index, self.draws), strict=True)) if self.draws else {}
        frames = self._place(frames, index, epoch, draws)
        if self.rotate or self.scale or self.looks or self.trivial:
            pictures = self._warp(frames.permute(0, 3, 1, 2).float(), draws)
            pictures = self._recolour(pictures, draws, index, epoch)
            if self.hole:
                self._erase(pictures.permute(0, 2, 3, 1), draws)
            pictures = self.views.normalise(pictures).contiguous(memory_format=torch.channels_last)
        else:
            if self.hole:
                self._erase(frames, draws)
            pictures = self.views.finish(frames)
        return self._mix(pictures, truth, index, epoch, draws) if self.tables else (pictures, truth)

    def _place(self, frames: torch.Tensor, index: torch.Tensor, epoch: int, draws: Draws) -> torch.Tensor:
        """Shift within the margin and flip: (B, S, S, C) uint8, memory of its own."""
        size = self.views.size
        if self.margin:
            if frames.shape[1] == size:
                frames = reflect(frames, self.margin)
            down, right = (whole(draws[which], 2 * self.margin + 1) for which in (Draw.DOWN, Draw.RIGHT))
            frames = window(frames, down, right, size)
        if self.flip:
            # Drawn once for each sample and turned over every epoch: two epochs show both sides (Jordan 2024, airbench).
            over = chance.randint(self.seed, 0, index, Draw.FLIP, 2) != epoch % 2
            return mirror(frames, over.nonzero().flatten(), own=bool(self.margin))
        return frames if self.margin else frames.clone()

    def _erase(self, frames: torch.Tensor, draws: Draws) -> None:
        """Fill a square of each of (B, S, S, C) with the mean colour, in place (DeVries & Taylor 2017)."""
        line = torch.arange(self.hole, device=frames.device)
        down, right = (whole(draws[which], self.views.size - self.hole + 1) for which in (Draw.ERASE_DOWN, Draw.ERASE_RIGHT))
        rows, columns = (down[:, None] + line)[:, :, None], (right[:, None] + line)[:, None, :]
        filling = torch.tensor(self.views.filling, dtype=frames.dtype, device=frames.device)
        batch = torch.arange(len(frames), device=frames.device)[:, None, None]
        if frames.device.type == "cpu" and frames.dtype == torch.uint8:
            # A pixel as one item: numpy copies it whole, torch would write channel after channel.
            pixels = frames.numpy().view(np.dtype((np.void, self.views.channels)))[..., 0]
            pixels[batch.numpy(), rows.numpy(), columns.numpy()] = filling.numpy().view(pixels.dtype)[0]
        else:
            frames[batch, rows, columns] = filling

    def _warp(self, pictures: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Rotation, zoom and the geometry of TrivialAugment in one resampling."""
        if not (self.rotate or self.scale or self.trivial):
            return pictures
        angle = (2 * draws[Draw.ROTATE] - 1) * math.radians(self.rotate)
        zoom = 1 / (1 + (2 * draws[Draw.SCALE] - 1) * self.scale)
        theta = trivial.affine(angle, zoom)
        moved = torch.full_like(angle, bool(self.rotate or self.scale), dtype=torch.bool)
        if self.trivial:
            own, also = trivial.geometry(*_operation(draws), self.views.size)
            theta, moved = theta @ own, moved | also
        where = moved.nonzero().flatten()
        if not len(where):
            return pictures
        some = pictures.index_select(0, where)
        grid = F.affine_grid(theta.index_select(0, where)[:, :2], list(some.shape), align_corners=False)
        return pictures.index_copy(0, where, F.grid_sample(some, grid, mode="bilinear", padding_mode="reflection", align_corners=False))

    def _recolour(self, pictures: torch.Tensor, draws: Draws, index: torch.Tensor, epoch: int) -> torch.Tensor:
        """Gamma, brightness, contrast, saturation and noise, then the colour operations of TrivialAugment; 0–255."""
        plain = pictures
        if self.gamma:
            pictures = grain.curved(pictures, draws[Draw.GAMMA], self.gamma)
        if self.colour:
            for which, change in ((Draw.BRIGHTNESS, "brightness"), (Draw.CONTRAST, "contrast"), (Draw.SATURATION, "color")):
                factor = 1 + (2 * draws[which] - 1) * self.colour
                pictures = trivial.blend(pictures, trivial.other(pictures, change), factor)
        if self.noise:
            filling = torch.tensor(self.views.filling, dtype=plain.dtype, device=plain.device).view(1, -1, 1, 1)
            level = (plain != filling).any(1, keepdim=True) * draws[Draw.NOISE].view(-1, 1, 1, 1)  # what fills a frame has no grain
            pictures = grain.grained(pictures, level, self.noise, self.seed, epoch, index, Draw.GRAIN)
        return trivial.recolour(pictures, *_operation(draws)) if self.trivial else pictures

    def _mix(self, pictures: torch.Tensor, truth: Truth, index: torch.Tensor, epoch: int, draws: Draws) -> tuple[torch.Tensor, Truth]:
        """Blend with a partner (mixup, Zhang et al. 2018) or paste a box of it (CutMix, Yun et al. 2019), evenly where both are on."""
        ring = chance.bits(self.seed, epoch, index, Draw.PARTNER).argsort(stable=True)
        other = torch.empty_like(ring).index_copy_(0, ring, ring.roll(-1))
        level = draws[Draw.MIX_SHARE]
        share, keep = torch.ones_like(level), torch.ones_like(pictures[:, :1])
        cut = torch.full_like(index, "cutmix" in self.tables, dtype=torch.bool)
        if len(self.tables) == 2:
            cut = draws[Draw.MIX_KIND] < 0.5
        if "mixup" in self.tables:
            share = _quantile(self.tables["mixup"], level)
            keep = share.view(-1, 1, 1, 1).expand_as(keep)
        if "cutmix" in self.tables:
            box = _box(_quantile(self.tables["cutmix"], level), draws[Draw.CUT_DOWN], draws[Draw.CUT_RIGHT], self.views.size)
            share = torch.where(cut, 1 - box.mean((1, 2, 3)), share)
            keep = torch.where(cut.view(-1, 1, 1, 1), 1 - box, keep)
        mixed = torch.lerp(pictures.index_select(0, other), pictures, keep).contiguous(memory_format=torch.channels_last)
        return mixed, self.answer.mix(truth, {key: value.index_select(0, other) for key, value in truth.items()}, share)


def whole(level: torch.Tensor, high: int | torch.Tensor) -> torch.Tensor:
    """(B,) int64 in [0, high) from (B,) uniform levels; in double precision, which cannot round up to `high`."""
    return (level.double() * high).long()


def _operation(draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
    """(B,) int64 operation of TrivialAugment for each sample and (B,) float strength in [-1, 1], in its 31 steps."""
    strength = whole(draws[Draw.STRENGTH], 31) / 30
    return whole(draws[Draw.OPERATION], len(trivial.OPERATIONS)), torch.where(draws[Draw.SIGN] < 0.5, strength, -strength)


def window(frames: torch.Tensor, down: torch.Tensor, right: torch.Tensor, size: int) -> torch.Tensor:
    """The (size, size) window of each of (B, W, W, C) uint8 whose corner is at (down, right), (B,) int64 pixels."""
    count, wide, _, channels = frames.shape
    if frames.device.type == "cpu":
        # Rows as single items: numpy copies each with one call.
        rows = np.ndarray(
            (count, wide - size + 1, wide - size + 1, size), np.dtype((np.void, size * channels)), frames.contiguous().numpy(), 0,
            (wide * wide * channels, wide * channels, channels, wide * channels),
        )  # fmt: skip
        taken = rows[np.arange(count), down.numpy(), right.numpy()]
        return torch.from_numpy(taken.view(np.uint8).reshape(count, size, size, channels))
    line = torch.arange(size, device=frames.device)
    batch = torch.arange(count, device=frames.device)[:, None, None]
    return frames[batch, (down[:, None] + line)[:, :, None], (right[:, None] + line)[:, None, :]]


def mirror(frames: torch.Tensor, where: torch.Tensor, own: bool) -> torch.Tensor:
    """(B, H, W, C) with the pictures at `where` mirrored left and right; in place where the memory is our `own`."""
    some = frames.index_select(0, where).permute(0, 3, 1, 2).flip(3).permute(0, 2, 3, 1)
    return frames.index_copy_(0, where, some) if own else frames.index_copy(0, where, some)


def _beta(alpha: float) -> torch.Tensor:
    """Quantiles of Beta(alpha, alpha) at QUANTILES + 1 equal steps."""
    from scipy.special import betaincinv

    return torch.from_numpy(betaincinv(alpha, alpha, np.linspace(0, 1, QUANTILES + 1))).float()


def _quantile(table: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """(B,) values at (B,) levels in [0, 1), between two entries of the table."""
    table, place = table.to(level.device), level * QUANTILES
    low = place.long()
    return torch.lerp(table[low], table[low + 1], place - low)


def _box(share: torch.Tensor, down: torch.Tensor, right: torch.Tensor, size: int) -> torch.Tensor:
    """(B, 1, size, size) 1 inside a box of area 1 - share around a centre drawn anywhere, cut off at the borders."""
    half = ((1 - share).sqrt() * size / 2)[:, None]
    line = torch.arange(size, device=share.device) + 0.5
    rows, columns = (((line - centre[:, None] * size).abs() < half).float() for centre in (down, right))
    return (rows[:, :, None] * columns[:, None, :])[:, None]

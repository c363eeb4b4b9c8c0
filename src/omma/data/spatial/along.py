"""How pictures vary together with what lies in them: one resampling for all that moves, then colour."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from omma.answers.answer import Answer
from omma.answers.placed import Move, Placed
from omma.data import chance
from omma.data.variation.vary import Draw, Draws, Truth, Vary, whole
from omma.data.views import Views
from omma.recipe import Recipe

MOSAIC = 4  # pictures of a mosaic (Bochkovskiy et al. 2020)
TILE = (0.4, 1.0)  # side of a picture in a mosaic, as a share of its frame's
HALF = 0.5  # of an object's box: less in view, and it is as good as gone


class Along(Vary):
    """As `Vary`, for answers that lie somewhere.

    Shift, mirror, quarter turns, rotation and zoom are one affine map of each picture; a mosaic shows four pictures of the batch around a
    point. Where no picture shows there is the mean colour, and nothing is known. A shift that would leave none of a picture's objects in
    view is held back; in a mosaic, the other pictures may still cover them.

    Args:
        recipe: `flip shift rotate scale quarter mosaic colour gamma noise erase` and `seed`; `mixup` where the answer blends.
    """

    def __init__(self, views: Views, recipe: Recipe, answer_type: type[Answer]) -> None:
        super().__init__(views, recipe, answer_type)
        assert issubclass(answer_type, Placed)
        self.placed = answer_type
        self.margin, self.trivial = 0, False
        self.tables = {key: table for key, table in self.tables.items() if key == "mixup" and answer_type.blends}
        self.shift, self.quarter, self.mosaic = recipe.shift or 0.0, bool(recipe.quarter), recipe.mosaic or 0.0
        self.draws = [
            Draw.FLIP, Draw.DOWN, Draw.RIGHT, Draw.ROTATE, Draw.SCALE, Draw.QUARTER, Draw.KEPT,
            *self.looks,
            *([Draw.ERASE_DOWN, Draw.ERASE_RIGHT] if self.hole else []),
            *([Draw.MOSAIC, Draw.CUT_DOWN, Draw.CUT_RIGHT, Draw.TILE] if self.mosaic else []),
            *([Draw.MIX_SHARE] if self.tables else []),
        ]  # fmt: skip

    def __call__(self, frames: torch.Tensor, truth: Truth, index: torch.Tensor, epoch: int) -> tuple[torch.Tensor, Truth]:
        draws = dict(zip(self.draws, chance.uniform(self.seed, epoch, index, self.draws), strict=True))
        pictures = self._recolour(frames.permute(0, 3, 1, 2).float(), draws, index, epoch)
        moves = self._moves(index, epoch, draws, truth)
        if moves:
            pictures = self._shown(pictures, moves)
            truth = self.placed.move(truth, moves, self.views.size) if truth else truth
        if self.hole:
            self._erase(pictures.permute(0, 2, 3, 1), draws)
        pictures = self.views.normalise(pictures).contiguous(memory_format=torch.channels_last)
        return self._mix(pictures, truth, index, epoch, draws) if self.tables and truth and len(index) > 1 else (pictures, truth)

    def _moves(self, index: torch.Tensor, epoch: int, draws: Draws, truth: Truth) -> list[Move]:
        """What each canvas is made of; [] where nothing moves."""
        if not (self.flip or self.shift or self.quarter or self.rotate or self.scale or self.mosaic):
            return []
        own, rows = self._own(draws, truth), torch.arange(len(index), device=index.device)
        canvas = torch.tensor([-1.0, -1.0, 1.0, 1.0], device=index.device).expand(len(index), 4)
        if not self.mosaic or len(index) < 2:
            return [Move(rows, own, canvas)]
        ring = chance.bits(self.seed, epoch, index, Draw.PARTNER).argsort(stable=True)
        place = torch.empty_like(ring).index_copy_(0, ring, rows)
        centre = torch.stack([draws[Draw.CUT_RIGHT], draws[Draw.CUT_DOWN]], 1) - 0.5
        tiled = draws[Draw.MOSAIC] < self.mosaic
        moves = []
        for tile in range(MOSAIC):
            source = ring[(place + tile) % len(ring)]
            side = TILE[0] + (TILE[1] - TILE[0]) * draws[Draw.TILE][source]
            towards = torch.tensor([2.0 * (tile % 2) - 1, 2.0 * (tile // 2) - 1], device=index.device)
            middle = centre + towards * side[:, None]
            window = torch.stack([torch.where(towards < 0, canvas[:, :2], centre), torch.where(towards < 0, centre, canvas[:, 2:])], 1)
            theta = own[source] @ _zoomed(1 / side, -middle / side[:, None])
            alone = canvas if tile == 0 else torch.zeros_like(canvas)
            moves.append(
                Move(
                    torch.where(tiled, source, rows),
                    torch.where(tiled[:, None, None], theta, own),
                    torch.where(tiled[:, None], window.flatten(1), alone),
                )
            )
        return moves

    def _own(self, draws: Draws, truth: Truth) -> torch.Tensor:
        """(B, 3, 3): where each place of the canvas is read in a picture that stands alone."""
        angle = (2 * draws[Draw.ROTATE] - 1) * math.radians(self.rotate)
        if self.quarter:
            angle = angle + (draws[Draw.QUARTER] * 4).floor() * (math.pi / 2)
        zoom = 1 / (1 + (2 * draws[Draw.SCALE] - 1) * self.scale)
        away = torch.stack([2 * draws[Draw.RIGHT] - 1, 2 * draws[Draw.DOWN] - 1], 1) * (2 * self.shift)
        cos, sin = angle.cos(), angle.sin()
        mirror = torch.where(draws[Draw.FLIP] < 0.5, -1.0, 1.0) if self.flip else torch.ones_like(cos)
        turn = torch.zeros(len(angle), 3, 3, device=angle.device)
        turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1], turn[:, 2, 2] = mirror * cos, -mirror * sin, sin, cos, 1.0
        if "boxes" in truth:
            away = self._held(truth, draws[Draw.KEPT], turn, zoom, away)
        return turn @ _zoomed(zoom, away * zoom[:, None])

    def _held(self, truth: Truth, lot: torch.Tensor, turn: torch.Tensor, zoom: torch.Tensor, away: torch.Tensor) -> torch.Tensor:
        """(B, 2) `away`, but where it would leave no object half in view: then so that one of them, drawn by lot, is whole if it fits."""
        counts = (truth["classes"] >= 0) & ~truth["ignored"]
        corners = truth["boxes"] * (2 / self.views.size) - 1
        points = torch.stack([corners[..., [0, 2, 0, 2]], corners[..., [1, 1, 3, 3]]], -2)  # (B, M, 2, 4)
        points = turn[:, None, :2, :2].transpose(2, 3) @ points / zoom[:, None, None, None]
        low, high = points.amin(-1), points.amax(-1)
        shown = ((high - away[:, None]).clamp(-1, 1) - (low - away[:, None]).clamp(-1, 1)).prod(-1)
        lost = counts.any(1) & ~(counts & (shown >= HALF * (high - low).prod(-1))).any(1)
        chosen = (counts.cumsum(1) > whole(lot, counts.sum(1))[:, None]).int().argmax(1)
        rows = torch.arange(len(away), device=away.device)
        least, most = high[rows, chosen] - 1, low[rows, chosen] + 1
        return torch.where(lost[:, None] & (least <= most), away.clamp(least, most), away)

    def _shown(self, pictures: torch.Tensor, moves: list[Move]) -> torch.Tensor:
        """(B, C, S, S), 0–255: the canvases."""
        filling = torch.tensor(self.views.filling, dtype=pictures.dtype, device=pictures.device).view(1, -1, 1, 1)
        lifted, canvas = pictures - filling, torch.zeros_like(pictures)
        for move in moves:
            here = (move.window[:, 2:] > move.window[:, :2]).all(1).nonzero().flatten()
            if not len(here):
                continue
            some = Move(*(value[here] for value in move))
            grid = F.affine_grid(some.theta[:, :2], [len(here), *pictures.shape[1:]], align_corners=False)
            found = F.grid_sample(lifted[some.source], grid, mode="bilinear", padding_mode="zeros", align_corners=False)
            if len(moves) == 1:
                return found + filling
            canvas.index_add_(0, here, found * _covers(some.window, self.views.size)[:, None])
        return canvas + filling


def _zoomed(gain: torch.Tensor, lift: torch.Tensor) -> torch.Tensor:
    """(B, 3, 3): both coordinates times (B,) `gain` plus (B, 2) `lift`."""
    theta = torch.zeros(len(gain), 3, 3, device=gain.device)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, 2, 2] = gain, gain, 1.0
    theta[:, :2, 2] = lift
    return theta


def _covers(window: torch.Tensor, size: int) -> torch.Tensor:
    """(B, S, S) 1 where a pixel's centre lies in the window; as truths are cut."""
    from omma.answers import _moving

    return _moving.window(window, size).to(torch.float32)

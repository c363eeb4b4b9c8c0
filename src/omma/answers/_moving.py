"""Truths along with their pictures: maps sampled, boxes carried over, objects that left the canvas taken out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from omma.answers.placed import Move, Truth

# Of an object's box at least this share must still show, else nobody could be asked to find it; it is neither object nor background then.
SEEN = 0.25
SMALLEST = 2.0  # pixels a side: less is gone
FEWEST = 4  # pixels of a mask


def maps(values: torch.Tensor, moves: Sequence[Move], outside: int) -> torch.Tensor:
    """(B, S, S) whole numbers, by the pixel under each centre; `outside` where no picture shows."""
    canvas = torch.full(values.shape, float(outside))
    for move in moves:
        canvas = torch.where(window(move.window, values.shape[1]), sampled(values, move, outside), canvas)
    return canvas.to(values.dtype)


def sampled(values: torch.Tensor, move: Move, outside: int) -> torch.Tensor:
    """(B, S, S) float: one picture's map on the whole canvas."""
    grid = F.affine_grid(move.theta[:, :2], [len(values), 1, *values.shape[1:]], align_corners=False)
    # One higher, so that the zeros beyond the border can be told from a label.
    found = F.grid_sample(values[move.source].float()[:, None] + 2, grid, mode="nearest", padding_mode="zeros", align_corners=False)[:, 0]
    return torch.where(found == 0, float(outside), found - 2)


def window(corners: torch.Tensor, size: int) -> torch.Tensor:
    """(B, S, S) bool: the pixels whose centre lies within (B, 4) corners, −1 to 1."""
    at = (torch.arange(size, device=corners.device) * 2 + 1) / size - 1
    across = (at >= corners[:, :1]) & (at < corners[:, 2:3])
    down = (at >= corners[:, 1:2]) & (at < corners[:, 3:])
    return down[:, :, None] & across[:, None, :]


def boxes(truth: Truth, moves: Sequence[Move], size: int) -> Truth:
    """{"boxes", "classes", "ignored"} of every picture on the canvas, one after the other, cut at windows and borders."""
    rows = [_carried(truth, move, size) for move in moves]
    return {key: torch.cat([row[key] for row in rows], 1) for key in rows[0]}


def _carried(truth: Truth, move: Move, size: int) -> Truth:
    boxes = truth["boxes"]
    corners = truth["hull"] if "hull" in truth else torch.stack([boxes[..., [0, 2, 0, 2]], boxes[..., [1, 1, 3, 3]]], -1)
    x, y = (corners[move.source] * (2 / size) - 1).unbind(-1)
    back = torch.linalg.inv(move.theta)
    points = back[:, None] @ torch.stack([x, y, torch.ones_like(x)], -2)  # (B, M, 3, K)
    low, high = points[:, :, :2].amin(-1), points[:, :, :2].amax(-1)
    whole = (high - low).prod(-1)
    left, right = move.window[:, None, :2], move.window[:, None, 2:]
    low, high = torch.minimum(torch.maximum(low, left), right), torch.minimum(torch.maximum(high, left), right)
    sides = (high - low) * (size / 2)
    seen = (high - low).prod(-1) / whole.clamp_min(1e-12)
    gone = (sides.amin(-1) < SMALLEST) & (seen < 1) | (sides.amin(-1) <= 0)
    classes = truth["classes"][move.source].masked_fill(gone, -1)
    ignored = truth["ignored"][move.source] | (seen < SEEN)
    return {"boxes": (torch.cat([low, high], -1) + 1) * (size / 2), "classes": classes, "ignored": ignored & (classes >= 0)}


def objects(values: torch.Tensor, moves: Sequence[Move], rows: int) -> torch.Tensor:
    """(B, S, S) int16 label maps on the canvas: objects of the n-th picture are counted from n × `rows` on; −1 where no picture shows."""
    canvas = torch.full(values.shape, -1.0)
    for place, move in enumerate(moves):
        found = sampled(values, move, -1)
        found = torch.where(found > 0, found + place * rows, found)
        canvas = torch.where(window(move.window, values.shape[1]), found, canvas)
    return canvas.to(values.dtype)


def fitted(values: torch.Tensor, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, rows, 4) smallest boxes around the objects of (B, S, S) label maps, and (B, rows) their pixels; zeros where none is."""
    count, size = len(values), values.shape[1]
    place = values.long().clamp_min(0) + torch.arange(count)[:, None, None] * (rows + 1)
    line = torch.arange(size, dtype=torch.float32)
    x, y = (at.expand(count, size, size).reshape(-1) for at in (line[None, None, :], line[None, :, None]))
    flat, cells = place.flatten(), count * (rows + 1)
    low = [torch.full((cells,), float(size)).scatter_reduce(0, flat, at, "amin") for at in (x, y)]
    high = [torch.zeros(cells).scatter_reduce(0, flat, at + 1, "amax") for at in (x, y)]
    pixels = torch.bincount(flat, minlength=cells).view(count, rows + 1)[:, 1:]
    corners = torch.stack([*low, *high], -1).view(count, rows + 1, 4)[:, 1:]
    return corners * (pixels > 0)[..., None], pixels


def compact(truth: Truth) -> Truth:
    """The rows that hold an object first, in their order, and only as many as the fullest picture needs; label maps follow."""
    gone = truth["classes"] < 0
    order = gone.int().argsort(dim=1, stable=True)[:, : max(1, int((~gone).sum(1).max()))]
    kept = {key: value.gather(1, order) for key, value in truth.items() if key in ("classes", "ignored")}
    kept["boxes"] = truth["boxes"].gather(1, order[..., None].expand(-1, -1, 4))
    if "objects" not in truth:
        return kept
    count, rows = gone.shape
    # Row −1 (outside) and row 0 (background) keep their numbers; what was taken out is neither object nor background.
    table = torch.full((count, rows + 2), -1)
    table[:, 1] = 0
    table.scatter_(1, order + 2, (torch.arange(order.shape[1]) + 1).expand_as(order))
    table[:, 2:].masked_fill_(gone, -1)
    kept["objects"] = table.gather(1, truth["objects"].long().flatten(1) + 1).view_as(truth["objects"]).to(truth["objects"].dtype)
    return kept

"""Anchors, proposals, regions and masks of detectors as arithmetic of fixed shapes: no loop over boxes, any batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torchvision.ops import roi_align

from omma.parts.boxes import area
from omma.parts.suppress import pick, suppress

PROPOSALS = 200  # regions of a picture that are looked at, and of each level that compete
FARTHEST = math.log(1000 / 16)  # of a box's growth, as the library has it


def anchors(generator: Any, maps: Sequence[torch.Tensor], side: int) -> list[torch.Tensor]:
    """Of every level (A, 4) corners, row by row; the first of them lie around the top left corner."""
    cells = [cell.to(level.device) for cell, level in zip(generator.cell_anchors, maps, strict=True)]
    return [_around(cell, level, side // level.shape[2], 0.0) for cell, level in zip(cells, maps, strict=True)]


def default_boxes(generator: Any, maps: Sequence[torch.Tensor], side: int) -> list[torch.Tensor]:
    """The same for SSD, whose boxes grow with the picture and lie around the middle of each place."""
    found = []
    for place, (sides, level) in enumerate(zip(generator._wh_pairs, maps, strict=True)):
        half = sides.to(level.device) * side / 2
        half = half.clamp(0.0, side / 2) if generator.clip else half
        step = generator.steps[place] if generator.steps is not None else side / level.shape[2]
        found.append(_around(torch.cat([-half, half], 1), level, step, 0.5))
    return found


def _around(cell: torch.Tensor, level: torch.Tensor, step: float, start: float) -> torch.Tensor:
    rows, columns = ((torch.arange(count, device=level.device) + start) * step for count in level.shape[2:])
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return (torch.stack([x, y, x, y], -1).reshape(-1, 1, 4) + cell).reshape(-1, 4)


def decoded(deltas: torch.Tensor, boxes: torch.Tensor, weights: Sequence[float]) -> torch.Tensor:
    """(…, 4) moves and growths of boxes (…, 4) → corners (Girshick et al. 2014)."""
    deltas = deltas / deltas.new_tensor(weights)
    sides = boxes[..., 2:] - boxes[..., :2]
    centres = boxes[..., :2] + sides / 2 + deltas[..., :2] * sides
    half = deltas[..., 2:].clamp(max=FARTHEST).exp() * sides / 2
    return torch.cat([centres - half, centres + half], -1)


def logit(log_share: torch.Tensor) -> torch.Tensor:
    """Logarithms of probabilities → what their sigmoid would have been made of."""
    return log_share - (1 - log_share.exp()).clamp_min(1e-7).log()


def proposals(rpn: Any, maps: list[torch.Tensor], wide: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps → (B, P, 4) corners of the regions most likely to hold an object, and (B, P) bool: which of them compete."""
    boxes, sure = [], []
    for scores, deltas, cells in zip(*rpn.head(maps), anchors(rpn.anchor_generator, maps, wide), strict=True):
        likely = scores.float().permute(0, 2, 3, 1).flatten(1)
        moves = deltas.float().unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2).flatten(1, 3)
        likely, index = likely.topk(min(PROPOSALS, likely.shape[1]))
        index = index[..., None].expand(-1, -1, 4)
        around = cells.expand(likely.shape[0], -1, -1).gather(1, index)
        found = decoded(moves.gather(1, index), around, rpn.box_coder.weights).clamp(0, side)
        kept = suppress(found, torch.zeros_like(index[..., 0]), rpn.nms_thresh) & (area(found) > 0)
        boxes.append(found)
        sure.append(torch.where(kept, likely.sigmoid(), -torch.ones_like(likely)))
    whole = torch.cat(sure, 1)
    best, index = whole.topk(min(PROPOSALS, whole.shape[1]))
    return torch.cat(boxes, 1).gather(1, index[..., None].expand(-1, -1, 4)), best >= 0


def cut(maps: list[torch.Tensor], boxes: torch.Tensor, wide: int, pooler: Any) -> torch.Tensor:
    """(B, P, 4) regions out of maps → (B · P, D, h, w), each from the level that suits its size (Lin et al. 2017).

    Every region is cut from every level and one is kept: shapes stay fixed.
    """
    count = boxes.shape[1]
    batch = torch.arange(boxes.shape[0], device=boxes.device)[:, None, None].expand(-1, count, 1).to(boxes)
    rois = torch.cat([batch, boxes], 2).flatten(0, 1)
    scales = [2.0 ** round(math.log2(level.shape[2] / wide)) for level in maps]
    low, high = -math.log2(scales[0]), -math.log2(scales[-1])
    sides = area(boxes).flatten().clamp_min(1e-6).sqrt()
    level_of = (pooler.canonical_level + (sides / pooler.canonical_scale).log2() + 1e-6).floor().clamp(low, high) - low
    parts = [roi_align(level, rois, pooler.output_size, scale, pooler.sampling_ratio) for level, scale in zip(maps, scales, strict=True)]
    found = parts[0]
    for place, part in enumerate(parts[1:], 1):
        found = torch.where((level_of == place)[:, None, None, None], part, found)
    return found


def judged(
    scores: torch.Tensor, deltas: torch.Tensor, boxes: torch.Tensor, alive: torch.Tensor, side: int, *, weights: Sequence[float],
    most: int, overlap: float,
) -> dict[str, torch.Tensor]:  # fmt: skip
    """What was seen in (B, P, 4) regions → detections.

    Args:
        scores: (B, P, 1 + K) logits, the background first.
        deltas: (B, P, 4 · (1 + K)), a box for each class.
        alive: (B, P) bool; others are not counted.
        side: of the picture, pixels.
    """
    classes = scores.shape[2] - 1
    sure = logit(scores.float().log_softmax(2)[..., 1:])
    sure = torch.where(alive[..., None], sure, torch.full_like(sure, -1e4)).flatten(1)
    best, index = sure.topk(min(4 * most, sure.shape[1]))
    moves = deltas.float().unflatten(2, (-1, 4))[:, :, 1:].flatten(1, 2).gather(1, index[..., None].expand(-1, -1, 4))
    around = boxes.gather(1, (index // classes)[..., None].expand(-1, -1, 4))
    found = decoded(moves, around, weights).clamp(0, side)
    # Each candidate has a box and a class of its own: all its other classes are out of the question.
    own = (index % classes)[..., None] == torch.arange(classes, device=index.device)
    rows = torch.where(own, best[..., None], torch.full_like(best, -1e4)[..., None])
    return pick(rows, found, most=most, overlap=overlap, candidates=best.shape[1])


def pasted(masks: torch.Tensor, boxes: torch.Tensor, side: int) -> torch.Tensor:
    """(B, K, h, w) in 0–1, each spread over its box (B, K, 4) → (B, K, S, S), bilinear, 0 outside.

    Interpolation is linear in each direction: two products of matrices do it.
    """

    def spread(low: torch.Tensor, high: torch.Tensor, count: int) -> torch.Tensor:
        places = torch.arange(side, device=boxes.device) + 0.5
        at = (places - low[..., None]) / (high - low).clamp_min(1e-3)[..., None] * count - 0.5
        return (1 - (at[..., None] - torch.arange(count, device=boxes.device)).abs()).relu()

    down = spread(boxes[..., 1], boxes[..., 3], masks.shape[2])
    across = spread(boxes[..., 0], boxes[..., 2], masks.shape[3])
    return down @ masks @ across.transpose(2, 3)

"""Which detections are right, in tensors of frames: what a threshold is fitted to."""

from __future__ import annotations

import torch

from omma.answers.placed import Truth

NEAR = 0.5  # IoU from which on an object counts as found


def right(tensors: dict[str, torch.Tensor], truth: Truth) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Detections of all pictures against their truths, one to one, the more probable first.

    Args:
        tensors: {"boxes": (B, K, 4), "probabilities": (B, K) descending, "classes": (B, K)}.
        truth: as `Boxes.tensors` made it.

    Returns:
        (N,) probabilities of what counts (neither unused nor on an ignored object), (N,) bool whether right, and the objects none found.
    """
    share, hits, objects = [], [], 0
    for row in range(len(tensors["boxes"])):
        counts = truth["classes"][row] >= 0
        classes, aside, corners = (truth[key][row][counts] for key in ("classes", "ignored", "boxes"))
        objects += int((~aside).sum())
        overlap = iou(tensors["boxes"][row], corners) * (tensors["classes"][row][:, None] == classes)
        for place in tensors["probabilities"][row].nonzero().flatten().tolist():
            best, at = overlap[place].max(0) if len(corners) else (torch.tensor(0.0), torch.tensor(0))
            found = bool(best >= NEAR)
            if found and aside[at]:
                continue
            share.append(tensors["probabilities"][row, place])
            hits.append(found)
            if found:
                overlap[:, at] = 0  # an object is found once
    hit = torch.tensor(hits, dtype=torch.bool)
    return torch.stack(share) if share else torch.zeros(0), hit, objects - int(hit.sum())


def iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(A, B) intersection over union of (A, 4) and (B, 4) corners."""
    low, high = torch.maximum(a[:, None, :2], b[None, :, :2]), torch.minimum(a[:, None, 2:], b[None, :, 2:])
    common = (high - low).clamp_min(0).prod(2)
    union = (a[:, 2:] - a[:, :2]).prod(1)[:, None] + (b[:, 2:] - b[:, :2]).prod(1) - common
    return common / union.clamp_min(1e-9)

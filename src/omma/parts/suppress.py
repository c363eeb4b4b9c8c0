"""Non-maximum suppression as plain tensor arithmetic, so that it can stand inside an exported graph."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from omma.parts import boxes as geometry

# A box's fate hangs on the better ones that overlap it, whose fates hang on still better ones …: a chain of n links is settled after n
# rounds. Crowds of random boxes have chains under half as long (`tests/test_suppress.py` counts them). Even, because a longer chain then
# ends with a box too many rather than with one too few.
ROUNDS = 32
# Objects less probable than this are no objects.
FLOOR = 1e-3


def suppress(
    boxes: torch.Tensor, classes: torch.Tensor, overlap: float, rounds: int = ROUNDS, apart: torch.Tensor | None = None
) -> torch.Tensor:
    """Greedy class-aware suppression: a box goes if a better one that stays, of its class, overlaps it by more than `overlap`.

    Kept boxes are the fixed point of "keep whoever no kept better one removes"; starting from "keep all", every round settles one more
    link of each chain (Cluster-NMS, Zheng et al. 2020). Equal to the sequential algorithm while chains have at most `rounds` links.

    Args:
        boxes: (B, K, 4) corners, the best first; K fixed, B free.
        classes: (B, K) int64.
        overlap: intersection over union, 0–1.
        rounds: how often; K always suffices.
        apart: (B, K) int64; only boxes with different numbers remove each other. None: all do.

    Returns:
        (B, K) bool: which stay.
    """
    count = boxes.shape[1]
    rank = torch.arange(count, device=boxes.device)
    clash = (geometry.pairs(boxes, boxes) > overlap) & (classes[:, :, None] == classes[:, None, :]) & (rank[:, None] < rank)
    if apart is not None:
        clash = clash & (apart[:, :, None] != apart[:, None, :])
    removes = clash.to(boxes.dtype)
    kept = torch.ones_like(boxes[:, :1, 0])[:, None].expand(-1, 1, count)
    for _ in range(rounds):
        kept = (1 - kept @ removes).relu()  # removers are counted in whole numbers: 0 leaves 1, any more leaves 0
    return kept[:, 0] > 0.5


def pick(
    logits: torch.Tensor, boxes: torch.Tensor, *, most: int, overlap: float, candidates: int = 0, rounds: int = ROUNDS
) -> dict[str, torch.Tensor]:
    """What a dense detector says at every point → its detections.

    Args:
        logits: (B, A, C), one number for each class at each point.
        boxes: (B, A, 4) corners, frame pixels.
        most: K, rows that are given back.
        overlap: see `suppress`.
        candidates: best pairs of point and class that are looked at; 0 = 4 · K, at least 300.

    Returns:
        {"boxes": (B, K, 4), "probabilities": (B, K) falling, "classes": (B, K) int64}; rows without an object have probability 0.
    """
    places, outputs = logits.shape[1:]
    count = min(candidates or max(300, 4 * most), places * outputs)
    # Logits, not probabilities: those near 1 would be equal in float32.
    best, index = logits.flatten(1).topk(count)
    classes = index % outputs
    found = boxes.gather(1, (index // outputs)[..., None].expand(-1, -1, 4))
    kept = suppress(found, classes, overlap, rounds) & (geometry.area(found) > 0)
    sure = best.sigmoid()
    sure = torch.where(kept & (sure >= FLOOR), sure, torch.zeros_like(sure))
    if count < most:
        sure, classes, found = F.pad(sure, (0, most - count)), F.pad(classes, (0, most - count)), F.pad(found, (0, 0, 0, most - count))
    sure, order = sure.topk(most)
    return {
        "boxes": found.gather(1, order[..., None].expand(-1, -1, 4)), "probabilities": sure, "classes": classes.gather(1, order),
    }  # fmt: skip

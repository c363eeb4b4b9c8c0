"""Lovász-softmax: a smooth bound of 1 − IoU, the number segmentations are judged by (Berman et al. 2018)."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from omma.losses._pixels import Weight, over_present, rows


def lovasz(outputs: torch.Tensor, target: torch.Tensor, *, weight: Weight = None, smoothing: float = 0.0) -> torch.Tensor:
    """Over all pixels of the batch that are not void; mean over the classes the truth shows.

    A class's errors |g − p| are sorted; each counts as much as the IoU loses when its pixel joins the wrong ones before it.

    Args:
        outputs: (B, C, H, W) logits.
        target: (B, H, W) uint8 classes, 255 = void.
        weight: (C,) of each class.
        smoothing: of the common signature; this loss has hard targets and leaves it aside.
    """
    logits, truth = rows(outputs, target)
    mine = F.one_hot(truth, outputs.shape[1]).T.to(outputs.dtype)  # (C, N)
    present = mine.any(1)
    if not len(truth):
        return outputs.sum() * 0
    errors, order = (mine - logits.softmax(1).T).abs().sort(1, descending=True)
    mine = mine.gather(1, order)
    count = mine.sum(1, keepdim=True)
    lost = 1 - (count - mine.cumsum(1)) / (count + (1 - mine).cumsum(1))
    steps = torch.cat([lost[:, :1], lost[:, 1:] - lost[:, :-1]], 1)
    return over_present((errors * steps).sum(1), present, weight)

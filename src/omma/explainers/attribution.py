"""Local attribution: which pixels of a picture a part of a better one was made from (Gu & Dong 2021)."""

from __future__ import annotations

import itertools

import torch
from torch.nn import functional as F

from omma.explainers.explainer import Question

STEPS, WIDEST = 32, 8.0  # of the path, and the deviation of its first blur, pixels


def attribution(question: Question, pictures: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) → (B, H, W): what each pixel adds to the score while the picture comes into focus, without its sign.

    Integrated gradients along a path of ever weaker blur, on which every picture is one that a network knows; from a black picture the
    path would lead through pictures nobody takes.
    """
    levels = [blurred(pictures, WIDEST * (1 - step / STEPS)) for step in range(STEPS + 1)]
    heat = torch.zeros_like(pictures)
    with torch.enable_grad():
        for before, after in itertools.pairwise(levels):
            middle = ((before + after) / 2).detach().requires_grad_(True)
            (slope,) = torch.autograd.grad(question(middle).sum(), middle)
            heat += slope * (after - before)
    return heat.sum(1).abs().float()


def blurred(pictures: torch.Tensor, spread: float) -> torch.Tensor:
    """(B, C, H, W) under a Gaussian of this deviation, pixels; borders are held."""
    if spread < 0.1:
        return pictures
    reach = int(3 * spread + 0.5)
    line = torch.arange(-reach, reach + 1, device=pictures.device, dtype=pictures.dtype)
    taps = (-0.5 * (line / spread).square()).exp()
    taps = (taps / taps.sum()).view(1, 1, 1, -1)
    flat = pictures.flatten(0, 1)[:, None]
    wide = F.conv2d(F.pad(flat, (reach, reach, 0, 0), mode="replicate"), taps)
    return F.conv2d(F.pad(wide, (0, 0, reach, reach), mode="replicate"), taps.transpose(2, 3)).view_as(pictures)

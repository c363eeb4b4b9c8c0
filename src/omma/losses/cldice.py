"""Centreline Dice: thin structures stay connected, since their skeletons must lie in each other (Shit et al. 2021)."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from omma.losses._pixels import Weight, one_hot, over_present, scored

ROUNDS = 5  # pixels: half the width of the thickest structure whose skeleton becomes a line


def cldice(
    outputs: torch.Tensor, target: torch.Tensor, *, weight: Weight = None, smoothing: float = 0.0, background: int | None = None,
    rounds: int = ROUNDS,
) -> torch.Tensor:  # fmt: skip
    """1 − the harmonic mean of how much of each skeleton lies in the other's region; mean over the classes the truth shows.

    It says nothing about how thick a structure is: add Dice or cross-entropy.

    Args:
        outputs: (B, C, H, W) logits.
        target: (B, H, W) uint8 classes, 255 = void.
        weight: (C,) of each class.
        smoothing: of the common signature; this loss has hard targets and leaves it aside.
        background: the class that has no shape of its own.
        rounds: see `skeleton`.
    """
    there = scored(target)
    share = outputs.softmax(1) * there
    truth = one_hot(target, outputs.shape[1])
    goal = truth.to(outputs.dtype)
    with torch.no_grad():
        bones = skeleton(goal, rounds)
    mine = skeleton(share, rounds)
    # One pixel's worth on both sides: a skeleton without substance has nothing to lose.
    precise = ((mine * goal).sum((0, 2, 3)) + 1) / (mine.sum((0, 2, 3)) + 1)
    complete = ((bones * share).sum((0, 2, 3)) + 1) / (bones.sum((0, 2, 3)) + 1)
    present = truth.any(3).any(2).any(0)
    if background is not None:
        present = present & (torch.arange(len(present), device=present.device) != background)
    return over_present(1 - 2 * precise * complete / (precise + complete), present, weight)


def skeleton(maps: torch.Tensor, rounds: int = ROUNDS) -> torch.Tensor:
    """(B, C, H, W) in 0–1 → its soft skeleton: what every opening takes away while the maps are eroded again and again."""
    found = F.relu(maps - opened(maps))
    for _ in range(rounds):
        maps = eroded(maps)
        more = F.relu(maps - opened(maps))
        found = found + F.relu(more - found * more)
    return found


def eroded(maps: torch.Tensor) -> torch.Tensor:
    """Each pixel and its four neighbours: the least of them."""
    return torch.minimum(-F.max_pool2d(-maps, (3, 1), 1, (1, 0)), -F.max_pool2d(-maps, (1, 3), 1, (0, 1)))


def opened(maps: torch.Tensor) -> torch.Tensor:
    """Eroded, then each pixel and its eight neighbours: the largest of them."""
    return F.max_pool2d(eroded(maps), 3, 1, 1)

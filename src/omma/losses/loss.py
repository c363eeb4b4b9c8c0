"""The entrance to losses over pixels: one by name, or the sum of several."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from omma import catalog

if TYPE_CHECKING:
    import torch

PARTS = ("cross_entropy", "focal", "dice", "lovasz", "cldice")
# What a task of pixels may name: each of them, and sums of two and of three such as cross_entropy+dice.
PIXEL_LOSSES = tuple("+".join(names) for count in (1, 2, 3) for names in combinations(PARTS, count))


def pixel_loss(
    name: str, outputs: torch.Tensor, target: torch.Tensor, *, weight: torch.Tensor | None = None, smoothing: float = 0.0,
    background: int | None = None,
) -> dict[str, torch.Tensor]:  # fmt: skip
    """The named loss, part by part; the parts are added up.

    Args:
        name: one of `PIXEL_LOSSES`, or a loss of the same signature that a plug-in adds.
        outputs: (B, C, H, W) logits.
        target: (B, H, W) uint8 classes, 255 = void.
        weight: (C,) of each class.
        smoothing: share of the truth given to all classes alike, where a loss knows what to do with it.
        background: the class without a shape of its own, for losses that look at shapes.

    Returns:
        {part: scalar}; each is 0, with gradients of 0, where every pixel is void.

    Raises:
        OmmaError: no such loss.
    """
    from omma.losses import _pixels

    found = {}
    for part in name.split("+"):
        loss = getattr(_pixels, part) if part in ("cross_entropy", "focal") else catalog.find("losses", part)
        more = {"background": background} if part == "cldice" else {}
        found[part] = loss(outputs, target, weight=weight, smoothing=smoothing, **more)
    return found

"""Squeeze-and-excitation residual networks for small pictures (Hu, Shen & Sun 2018): each map is weighed by what all maps say."""

from __future__ import annotations

import torch
from torch import nn

from omma.errors import OmmaError
from omma.models.cifar_resnet import Block, CifarResnet
from omma.words import say

NAMES = {
    "se-resnet20": "CIFAR ResNet with squeeze and excitation, 20 layers, 0.27 M weights",
    "se-resnet32": "the same, 32 layers, 0.47 M weights",
    "se-resnet44": "the same, 44 layers, 0.67 M weights",
    "se-resnet56": "the same, 56 layers, 0.86 M weights",
    "se-resnet110": "the same, 110 layers, 1.7 M weights",
}


class Excite(nn.Module):
    """Mean of every map → two dense layers → a weight between 0 and 1 for every map: (B, D, h, w) → (B, D, h, w).

    Args:
        width: maps, D.
        reduction: how many times fewer units the middle has, r.
    """

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, max(1, width // reduction))
        self.up = nn.Linear(max(1, width // reduction), width)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return maps * self.up(self.down(maps.mean((2, 3))).relu()).sigmoid()[:, :, None, None]


class SeBlock(Block):
    """A residual block whose branch is excited before it meets the shortcut."""

    reduction = 16

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__(inputs, width, stride)
        self.excite = Excite(width, self.reduction)

    def branch(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, inputs, h, w) → (B, width, ⌈h / stride⌉, ⌈w / stride⌉)."""
        return self.excite(super().branch(maps))


def build(name: str, *, channels: int, size: int, outputs: int, reduction: int = 16) -> CifarResnet:
    """`se-resnet20` … `se-resnet110`; `reduction` as published.

    Raises:
        OmmaError: no such reduction.
    """
    if not 1 <= reduction <= 64:
        raise OmmaError(say("models.setting", key="reduction", value=reduction, range="1 – 64"))
    block = type("SeBlock", (SeBlock,), {"reduction": reduction})
    return CifarResnet((int(name.removeprefix("se-resnet")) - 2) // 6, channels, outputs, block)

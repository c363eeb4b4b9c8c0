"""Network in Network (Lin, Chen & Yan 2014): small dense networks slid over the picture, and means instead of dense layers."""

from __future__ import annotations

import torch
from torch import nn

from omma.errors import OmmaError
from omma.models.network import Network
from omma.words import say

NAMES = {"nin": "Network in Network (Lin et al. 2014): 1 M weights, 1×1 convolutions, global mean"}
# (side of the first convolution, channels of the three) of each of the blocks; the last 1×1 convolution of the last block is the head.
BLOCKS = ((5, (192, 160, 96)), (5, (192, 192, 192)), (3, (192, 192)))
SMALLEST = 8


class MlpConv(nn.Sequential):
    """A convolution and 1×1 convolutions after it, each with ReLU: (B, inputs, h, w) → (B, widths[-1], h, w)."""

    def __init__(self, inputs: int, side: int, widths: tuple[int, ...]) -> None:
        layers: list[nn.Module] = []
        for place, width in enumerate(widths):
            kernel = 1 if place else side
            conv = nn.Conv2d(inputs, width, kernel, padding=kernel // 2)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
            layers += [conv, nn.ReLU()]
            inputs = width
        super().__init__(*layers)


class Nin(Network):
    """Three blocks, the first two followed by 3×3 pooling with stride 2 and dropout.

        C×32×32 → 96×32×32 → 96×16×16 → 192×16×16 → 192×8×8 → 192×8×8 → mean → outputs

    The published last 1×1 convolution gives one map a class, whose mean is the class's score; a mean and a convolution may change places,
    so here it stands behind the mean and is the head. (The authors' file has a ReLU between the two, their text has none.)

    Args:
        dropout: share of the values dropped after pooling.
        channels, outputs: see `omma.models.making.build`.
    """

    def __init__(self, dropout: float, channels: int, outputs: int) -> None:
        super().__init__()
        inputs = [channels, *(widths[-1] for _, widths in BLOCKS)]
        self.blocks = nn.ModuleList(MlpConv(i, side, widths) for i, (side, widths) in zip(inputs, BLOCKS, strict=False))
        self.pools = nn.ModuleList([nn.MaxPool2d(3, 2, ceil_mode=True), nn.AvgPool2d(3, 2, ceil_mode=True)])
        self.forget = nn.Dropout(dropout)
        self.head = nn.Linear(inputs[-1], outputs)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B, 192, ⌈H / 4⌉, ⌈W / 4⌉)."""
        maps = pictures
        for block, pool in zip(self.blocks, self.pools, strict=False):
            maps = self.forget(pool(block(maps)))
        return self.blocks[-1](maps)

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, D, h, w) → (B, D): the mean of each map."""
        return maps.mean((2, 3))


def build(name: str, *, channels: int, size: int, outputs: int, forget: float = 0.5) -> Nin:
    """`nin`; `forget` is the share dropped after each pooling, 0.5 as published.

    Raises:
        OmmaError: pictures too small, or no share.
    """
    if size < SMALLEST:
        raise OmmaError(say("models.too_small", size=size, smallest=SMALLEST))
    if not 0 <= forget < 1:
        raise OmmaError(say("models.setting", key="forget", value=forget, range="0 ≤ forget < 1"))
    return Nin(forget, channels, outputs)

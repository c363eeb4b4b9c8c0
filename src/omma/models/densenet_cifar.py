"""DenseNet-BC for small pictures (Huang, Liu, van der Maaten & Weinberger 2017): every layer reads all that came before it."""

from __future__ import annotations

import torch
from torch import nn

from omma.errors import OmmaError
from omma.models.network import Network
from omma.words import say

NAMES = {
    "densenet-bc-100": "CIFAR DenseNet-BC, 100 layers, growth 12, 0.8 M weights",
    "densenet-bc-250": "CIFAR DenseNet-BC, 250 layers, growth 24, 15.3 M weights",
    "densenet-bc-190": "CIFAR DenseNet-BC, 190 layers, growth 40, 25.6 M weights",
}
GROWTH = {"densenet-bc-100": 12, "densenet-bc-250": 24, "densenet-bc-190": 40}
BLOCKS, SMALLEST = 3, 8


class Layer(nn.Module):
    """BN–ReLU–1×1 to four times the growth, BN–ReLU–3×3 to the growth, laid beside what came in: (B, D, h, w) → (B, D + growth, h, w)."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(4 * growth), nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """See the class."""
        new = self.conv2(self.bn2(self.conv1(self.bn1(maps).relu())).relu())
        return torch.cat([maps, new], 1)


class Transition(nn.Sequential):
    """BN–ReLU–1×1 to half the channels, 2×2 mean: (B, D, h, w) → (B, ⌊D / 2⌋, ⌊h / 2⌋, ⌊w / 2⌋)."""

    def __init__(self, inputs: int) -> None:
        super().__init__(nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, inputs // 2, 1, bias=False), nn.AvgPool2d(2))


class CifarDensenet(Network):
    """Three dense blocks with transitions between them, BN–ReLU, global mean, linear head; any picture size from 8.

        C×32×32 → 2k×32×32 → block → half as many ×16×16 → block → half ×8×8 → block → mean → outputs

    Args:
        layers: in each block; the depth is 6 · layers + 4.
        growth: channels that each layer adds, k.
        channels, outputs: see `omma.models.making.build`.
    """

    def __init__(self, layers: int, growth: int, channels: int, outputs: int) -> None:
        super().__init__()
        width = 2 * growth
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        pieces: list[nn.Module] = []
        for block in range(BLOCKS):
            pieces.append(nn.Sequential(*(Layer(width + place * growth, growth) for place in range(layers))))
            width += layers * growth
            if block < BLOCKS - 1:
                pieces.append(Transition(width))
                width //= 2
        self.blocks = nn.ModuleList(pieces)
        self.bn = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B, D, ⌊H / 4⌋, ⌊W / 4⌋)."""
        maps = self.conv(pictures)
        for block in self.blocks:
            maps = block(maps)
        return self.bn(maps).relu()

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, D, h, w) → (B, D)."""
        return maps.mean((2, 3))


def build(name: str, *, channels: int, size: int, outputs: int, depth: int = 0, growth: int = 0) -> CifarDensenet:
    """`densenet-bc-100` … ; `depth=40 growth=12` makes a smaller one (depth = 6 n + 4).

    Raises:
        OmmaError: pictures too small, or a depth or growth that there is not.
    """
    depth, growth = depth or int(name.rpartition("-")[2]), growth or GROWTH[name]
    if size < SMALLEST:
        raise OmmaError(say("models.too_small", size=size, smallest=SMALLEST))
    if (depth - 4) % 6 or not 10 <= depth <= 1000:
        raise OmmaError(say("models.setting", key="depth", value=depth, range="10, 16, 22 … 1000"))
    if not 1 <= growth <= 512:
        raise OmmaError(say("models.setting", key="growth", value=growth, range="1 – 512"))
    return CifarDensenet((depth - 4) // 6, growth, channels, outputs)

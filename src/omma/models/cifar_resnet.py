"""Residual networks for small pictures (He, Zhang, Ren & Sun 2016, section 4.2)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from omma.models.network import Network

NAMES = {
    "resnet20": "CIFAR ResNet, 20 layers, 0.27 M weights",
    "resnet32": "CIFAR ResNet, 32 layers, 0.46 M weights",
    "resnet44": "CIFAR ResNet, 44 layers, 0.66 M weights",
    "resnet56": "CIFAR ResNet, 56 layers, 0.85 M weights",
    "resnet110": "CIFAR ResNet, 110 layers, 1.7 M weights",
}


class Block(nn.Module):
    """Two 3×3 convolutions beside a shortcut without weights (option A: every second pixel, new channels zero)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride, self.more = stride, width - inputs

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, inputs, h, w) → (B, width, ⌈h / stride⌉, ⌈w / stride⌉)."""
        return (self.branch(maps) + self.short(maps)).relu()

    def branch(self, maps: torch.Tensor) -> torch.Tensor:
        """The two convolutions, without what is added to them; shapes as above."""
        return self.bn2(self.conv2(self.bn1(self.conv1(maps)).relu()))

    def short(self, maps: torch.Tensor) -> torch.Tensor:
        """The shortcut; shapes as above."""
        short = maps if self.stride == 1 else maps[:, :, :: self.stride, :: self.stride]
        if self.more:
            short = F.pad(short, (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return short


class CifarResnet(Network):
    """Three stages of 16, 32 and 64 channels, global mean, linear head; any picture size.

        C×32×32 → 16×32×32 → 16×32×32 → 32×16×16 → 64×8×8 → mean → outputs

    Args:
        blocks: residual blocks a stage; depth = 6 · blocks + 2.
        channels, outputs: see `omma.models.making.build`.
        block: what the stages are made of: `block(inputs, width, stride)`.
    """

    # How published files call what we call otherwise.
    RENAMED: ClassVar[dict[str, str]] = {"module.": "", "linear.": "head."}

    def __init__(self, blocks: int, channels: int, outputs: int, block: type[Block] = Block) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._stage(block, 16, 16, blocks, 1)
        self.layer2 = self._stage(block, 16, 32, blocks, 2)
        self.layer3 = self._stage(block, 32, 64, blocks, 2)
        self.head = nn.Linear(64, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    @staticmethod
    def _stage(block: type[Block], inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
        return nn.Sequential(*(block(width if i else inputs, width, 1 if i else stride) for i in range(blocks)))

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        maps = self.bn1(self.conv1(pictures)).relu()
        return self.layer3(self.layer2(self.layer1(maps)))

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.mean((2, 3))


def build(name: str, *, channels: int, size: int, outputs: int) -> CifarResnet:
    """`resnet20` … `resnet110`."""
    return CifarResnet((int(name.removeprefix("resnet")) - 2) // 6, channels, outputs)

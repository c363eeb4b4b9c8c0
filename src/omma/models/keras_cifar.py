"""The two small CIFAR networks of the classic Keras tutorials."""

from __future__ import annotations

import torch
from torch import nn

from omma.errors import OmmaError
from omma.models.dncnn import checked
from omma.models.network import Network
from omma.words import say

NAMES = {
    "keras-same": "three padded convolutions 32-64-128 with pooling and 512 hidden units (Keras tutorial)",
    "keras-valid": "three unpadded convolutions 32-64-64 and 64 hidden units (Keras tutorial)",
}


class KerasCifar(Network):
    """Convolutions with ReLU and 2×2 max pooling, then one hidden layer over all places.

    The hidden layer reads places, so the network fits one picture size only, as in Keras. `maps` ends at the last convolution or pooling.

    Args:
        widths: channels of the three convolutions.
        hidden: units of the hidden layer.
        padded: `same` (True) pools after all three, `valid` (False) after the first two.
        norm: `none`, as published, or `batch` after each convolution.
        channels, size, outputs: see `omma.models.making.build`.
    """

    def __init__(self, widths: tuple[int, ...], hidden: int, padded: bool, norm: str, channels: int, size: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        side = size
        for place, width in enumerate(widths):
            layers.append(nn.Conv2d(channels, width, 3, padding=int(padded), bias=norm == "none"))
            channels, side = width, side if padded else side - 2
            if norm == "batch":
                layers.append(nn.BatchNorm2d(width))
            if padded or place < 2:  # the largest of what is left over zero is what is left of the largest: a quarter of the work
                layers.append(nn.MaxPool2d(2))
                side //= 2
            layers.append(nn.ReLU())
        if side < 1:
            raise OmmaError(say("models.too_small", size=size, smallest=8 if padded else 18))
        self.convolutions = nn.Sequential(*layers)
        self.hidden = nn.Linear(channels * side * side, hidden)
        self.head = nn.Linear(hidden, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):  # as Keras begins
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.convolutions(pictures)

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        return self.hidden(maps.flatten(1)).relu()


def build(name: str, *, channels: int, size: int, outputs: int, norm: str = "none") -> KerasCifar:
    """`keras-same` or `keras-valid`; `norm=batch` adds batch norm after each convolution.

    Raises:
        OmmaError: no such norm, or pictures too small.
    """
    if name == "keras-same":
        return KerasCifar((32, 64, 128), 512, True, checked(norm), channels, size, outputs)
    return KerasCifar((32, 64, 64), 64, False, checked(norm), channels, size, outputs)

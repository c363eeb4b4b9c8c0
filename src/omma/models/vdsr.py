"""VDSR: twenty convolutions that tell what an enlarged picture lacks (Kim et al. 2016); 0.67 M weights."""

from __future__ import annotations

import torch
from torch import nn

from omma.models._restorer import Restorer, possible, sound


class Vdsr(Restorer):
    """3×3 convolutions with ReLU between; what the last one says is added to the picture.

    Args:
        depth: convolutions.
        width: channels between them.
        channels, scale: see `Restorer`.
    """

    def __init__(self, depth: int, width: int, channels: int, scale: int) -> None:
        super().__init__(channels, scale)
        layers: list[nn.Module] = []
        for place in range(depth - 1):
            layers += [nn.Conv2d(width if place else channels, width, 3, padding=1), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Conv2d(width, channels, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.head.weight.mul_(0.1)  # the first answers are near the pictures

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.body(pictures)

    def finish(self, said: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        return pictures + said


def build(name: str, *, channels: int, size: int, outputs: int, scale: int = 1, depth: int = 20, width: int = 64) -> Vdsr:
    """`vdsr`; `depth` and `width` change its shape. `outputs` is not used: as many channels come out as go in.

    Raises:
        OmmaError: no such scale, or a shape that makes no network.
    """
    sound(depth, width, least=2)
    return Vdsr(depth, width, channels, possible(name, scale))

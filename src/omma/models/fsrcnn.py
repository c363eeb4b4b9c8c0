"""FSRCNN: enlarges at the very end, with narrow layers between (Dong et al. 2016); 12 K weights, fast on any CPU."""

from __future__ import annotations

import torch
from torch import nn

from omma.models._restorer import Restorer, possible, sound

SCALES = (1, 2, 3, 4)


class Fsrcnn(Restorer):
    """5×5 to `detail` channels, 1×1 to `width`, `depth` of 3×3, 1×1 back, a 9×9 transposed convolution; PReLU for each channel.

    Args:
        detail, width, depth: the paper's d, s and m.
        channels, scale: see `Restorer`; a pixel becomes scale × scale.
    """

    enlarges = True

    def __init__(self, detail: int, width: int, depth: int, channels: int, scale: int) -> None:
        super().__init__(channels, scale)
        shapes = [(channels, detail, 5), (detail, width, 1), *[(width, width, 3)] * depth, (width, detail, 1)]
        layers: list[nn.Module] = []
        for inputs, outputs, side in shapes:
            conv = nn.Conv2d(inputs, outputs, side, padding=side // 2)
            nn.init.kaiming_normal_(conv.weight, a=0.25)
            layers += [conv, nn.PReLU(outputs)]
        self.body = nn.Sequential(*layers)
        self.head = nn.ConvTranspose2d(detail, channels, 9, scale, padding=4, output_padding=scale - 1)
        nn.init.normal_(self.head.weight, 0, 0.001)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.body(pictures)

    def dead_ends(self) -> list[nn.Module]:
        """All: a slope for each channel is not among what surgery can cut."""
        return [self.head, *(layer for layer in self.body if isinstance(layer, nn.Conv2d))]


def build(
    name: str, *, channels: int, size: int, outputs: int, scale: int = 1, detail: int = 56, width: int = 12, depth: int = 4
) -> Fsrcnn:
    """`fsrcnn`; `detail`, `width` and `depth` are the paper's d, s and m. `outputs` is not used: as many channels come out as go in.

    Raises:
        OmmaError: a scale over 4 (its last layer would hardly reach from pixel to pixel), or a shape that makes no network.
    """
    sound(depth, detail, width, least=0)
    return Fsrcnn(detail, width, depth, channels, possible(name, scale, SCALES))

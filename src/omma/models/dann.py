"""The network for digits of domain-adversarial training (Ganin et al. 2016, figure 4), which learns not to know whose digits they are."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from omma.errors import OmmaError
from omma.models.network import Network
from omma.words import say

NAMES = {"dann": "the network for digits of domain-adversarial training (Ganin et al. 2016); adapts with target=DATA"}
SMALLEST = 16  # pixels
WIDE = 100


class Dann(Network):
    """Two convolutions, two dense layers, and the labels.

        28×28 → 32×24×24 → 32×12×12 → 48×8×8 → 48×4×4 → 100 → 100 → outputs

    The classifier of domains is no part of it: `train … target=DATA` puts one behind the features of any network, see `tasks/_adapted.py`.
    Fits one size only, as the dense layers read places.

    Args:
        channels, size, outputs: see `omma.models.making.build`.
    """

    def __init__(self, channels: int, size: int, outputs: int) -> None:
        super().__init__()
        side = ((size - 4) // 2 - 4) // 2
        self.conv1, self.conv2 = nn.Conv2d(channels, 32, 5), nn.Conv2d(32, 48, 5)
        self.dense1, self.dense2 = nn.Linear(48 * side * side, WIDE), nn.Linear(WIDE, WIDE)
        self.head = nn.Linear(WIDE, outputs)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) → (B, 48, s, s)."""
        for conv in (self.conv1, self.conv2):
            pictures = F.max_pool2d(F.relu(conv(pictures)), 2)
        return pictures

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, 48, s, s) → (B, 100)."""
        return F.relu(self.dense2(F.relu(self.dense1(maps.flatten(1)))))


def build(name: str, *, channels: int, size: int, outputs: int) -> Dann:
    """`dann`.

    Raises:
        OmmaError: pictures so small that nothing is left of them.
    """
    if size < SMALLEST:
        raise OmmaError(say("models.too_small", size=size, smallest=SMALLEST))
    return Dann(channels, size, outputs)

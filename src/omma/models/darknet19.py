"""Darknet-19 (Redmon & Farhadi 2017): the classifier that YOLOv2 begins with; `train --task detect --from RUN` goes on with it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from omma.errors import OmmaError
from omma.models.network import Network
from omma.parts.classics.darknet import COARSE, FINE, narrowed, trunk
from omma.words import say

NAMES = {
    "darknet19": "Darknet-19 (Redmon & Farhadi 2017): 19 convolutions, 21 M weights; YOLOv2 begins with it",
    "darknet19-small": "the same with a quarter of the channels",
}
SMALLEST = 8


class Darknet(Network):
    """Convolutions of 3×3 that double the channels after every pooling, and 1×1 ones between them that halve them.

        C×224×224 → 512×14×14 → 1024×7×7 → mean → outputs

    The published last 1×1 convolution stands before the mean; here behind it, where it gives the same.

    Args:
        share: of how many of the published channels one is left.
        channels, outputs: see `omma.models.making.build`.
    """

    continues: ClassVar[str] = "yolo-v2"

    def __init__(self, share: int, channels: int, outputs: int) -> None:
        super().__init__()
        self.fine, self.coarse = trunk(channels, narrowed(FINE, share)), trunk(512 // share, narrowed(COARSE, share))
        self.head = nn.Linear(1024 // share, outputs)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B, 1024, ⌈H / 32⌉, ⌈W / 32⌉)."""
        return self.coarse(self.fine(pictures))

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, D, h, w) → (B, D)."""
        return maps.mean((2, 3))


class DarknetSmall(Darknet):
    """With a quarter of the channels."""

    continues: ClassVar[str] = "yolo-v2-small"


def build(name: str, *, channels: int, size: int, outputs: int) -> Darknet:
    """`darknet19` or `darknet19-small`.

    Raises:
        OmmaError: pictures too small.
    """
    if size < SMALLEST:
        raise OmmaError(say("models.too_small", size=size, smallest=SMALLEST))
    return DarknetSmall(4, channels, outputs) if name == "darknet19-small" else Darknet(1, channels, outputs)

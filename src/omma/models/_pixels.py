"""What networks that answer for every pixel have in common, and how an encoder of timm stands in front of a decoder of ours."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from omma import catalog
from omma.models.backbone import Backbone, built
from omma.models.network import Network
from omma.words import say


class Pixels(Network):
    """Encode, decode, a 1×1 convolution as the head, logits at the size of the picture. A subclass writes `encode` and `decode`.

    `maps` are the coarsest ones, which see the most: at the finest ones an explanation would only repeat the answer.
    """

    gives: ClassVar[str] = "pixels"

    def encode(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """(B, C, S, S) → maps of several resolutions, fine to coarse."""
        raise NotImplementedError

    def decode(self, maps: list[torch.Tensor], pictures: torch.Tensor) -> torch.Tensor:
        """Those maps → (B, D, h, w), what the head reads at each place."""
        raise NotImplementedError

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.encode(pictures)[-1]

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.mean((2, 3))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) → (B, outputs, S, S) logits."""
        return enlarged(self.rough(pictures), pictures)

    def rough(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) → (B, outputs, h, w) logits as they are made, before they are enlarged."""
        found = self.encode(pictures)
        if "maps" in self.__dict__:  # somebody watches the maps
            found[-1] = self.maps(pictures)
        return self.head(self.drop(self.decode(found, pictures)))


class Encoded(Pixels):
    """With an encoder of timm, whose published weights can be fetched; what is decoded learns from the start.

    Args:
        encoder: `timm/NAME`.
        channels, size: see `omma.models.making.build`.
        stride: of the coarsest maps, pixels.
    """

    encoder: Any

    def __init__(self, encoder: str, channels: int, size: int, stride: int = 32) -> None:
        super().__init__()
        self.encoder = encoder_of(encoder, channels, size, stride)

    def encode(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        return self.encoder(pictures)

    def stages(self) -> list[nn.Module]:
        return self.encoder.stages()

    def start(self, how: str) -> None:
        self.encoder.start(how)
        self.origin = self.encoder.origin


def enlarged(maps: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """(B, D, h, w) → (B, D, S, S), bilinear."""
    if maps.shape[2:] == pictures.shape[2:]:
        return maps
    return F.interpolate(maps, size=pictures.shape[2:], mode="bilinear", align_corners=False)


def encoder_of(name: str, channels: int, size: int, stride: int = 32) -> Backbone:
    """An encoder by its own name, `timm/resnet18`, with random weights: pictures → maps, fine to coarse; `.widths`, `.strides`.

    Raises:
        OmmaError: no such network, or it does not take pictures of this size.
    """
    catalog.need("timm", "timm", say("models.timm_networks"))
    from omma.models import _timm

    if not name.startswith("timm/") or not _timm.known(name):
        raise catalog.unknown("encoder", name, _timm.names())
    make = lambda: _timm.Encoder(name, channels, size, stride)  # noqa: E731
    with torch.device("meta"):  # shapes only: does the size pass through, before any weight is drawn?
        twin = built(name, size, channels, make).eval()
        built(name, size, channels, lambda: twin(torch.zeros(1, channels, size, size)))
    return twin.train() if torch.empty(0).device.type == "meta" else built(name, size, channels, make)

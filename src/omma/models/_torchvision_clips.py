"""3-D networks of torchvision for clips (r3d-18, mc3-18, r(2+1)d-18; Tran et al. 2018), a head of ours."""

from __future__ import annotations

from typing import Any

import torch
import torchvision.models as zoo
from torch import nn
from torchvision.models.video import VideoResNet

from omma.models._torchvision import TorchvisionBackbone
from omma.models.network import Network

COLOURS = 3


def names() -> list[str]:
    """Every residual network for clips, `torchvision/` in front."""
    return [f"torchvision/{name}" for name in zoo.list_models(module=zoo.video) if name.endswith("_18")]


def known(name: str) -> bool:
    """Whether the library has it."""
    return name in names()


def make(name: str, channels: int, size: int, outputs: int) -> Network:
    """One of them, with random weights."""
    return TorchvisionClip(name, channels, size, outputs, whole(name, channels))


def whole(name: str, channels: int) -> Any:
    """The library's own network with random weights, reading frames in colour or grey."""
    net = zoo.get_model(name.removeprefix("torchvision/"), weights=None)
    assert isinstance(net, VideoResNet)
    if channels % COLOURS:
        first = net.stem[0]
        net.stem[0] = nn.Conv3d(1, first.out_channels, first.kernel_size, first.stride, first.padding, bias=False)
    return net


class TorchvisionClip(TorchvisionBackbone):
    """A clip comes as a picture whose channels are its frames, one after the other: in colour where three divides them, else grey.

    (B, T·3, S, S) → 3×T×S×S → 64×T×S/2 → … → 512×T/8×S/16 → mean → outputs
    """

    def __init__(self, name: str, channels: int, size: int, outputs: int, net: Any) -> None:
        super().__init__(name, channels, size, outputs, net)
        self.frames = channels if channels % COLOURS else channels // COLOURS
        self.trunk = nn.Sequential(net.stem, net.layer1, net.layer2, net.layer3, net.layer4)
        self.head = nn.Linear(net.fc.in_features, outputs)

    def fresh(self) -> Any:
        """The library's own network with random weights."""
        return whole(self.name, self.channels)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, T·c, S, S) → (B, 512·t, h, w): the last maps, those of each moment beside one another."""
        return self.trunk(pictures.unflatten(1, (self.frames, -1)).transpose(1, 2)).flatten(1, 2)

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, 512·t, h, w) → (B, 512): the mean over places and moments."""
        return maps.unflatten(1, (self.head.in_features, -1)).mean((2, 3, 4))

    def stages(self) -> list[nn.Module]:
        """Stem and layers."""
        return list(self.trunk)

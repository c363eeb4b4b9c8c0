"""Segmentation networks of torchvision, taken apart into encoder, decoder and a head of ours."""

from __future__ import annotations

from typing import Any

import torch
import torchvision.models as zoo
from torch import nn
from torchvision.models.segmentation import LRASPP

from omma.models._pixels import Pixels, enlarged
from omma.models._torchvision import TorchvisionBackbone, read_channels
from omma.models.network import Network


def names() -> list[str]:
    """Every segmentation network, `torchvision/` in front."""
    return [f"torchvision/{name}" for name in zoo.list_models(module=zoo.segmentation)]


def known(name: str) -> bool:
    """Whether the library has it."""
    return name in names()


def make(name: str, channels: int, size: int, outputs: int) -> Network:
    """One of them, with random weights."""
    return TorchvisionPixels(name, channels, size, outputs, whole(name, channels, outputs))


def whole(name: str, channels: int, outputs: int) -> Any:
    """The library's own network with random weights, without its second head for training."""
    more = {} if "lraspp" in name else {"aux_loss": False}
    net = zoo.get_model(name.removeprefix("torchvision/"), weights=None, weights_backbone=None, num_classes=outputs, **more)
    read_channels(net, channels)
    return net


class TorchvisionPixels(Pixels, TorchvisionBackbone):
    """The last 1×1 convolution is the head. LR-ASPP has two of them whose outputs are added; side by side they are one."""

    decoder: nn.ModuleList | nn.Sequential

    def __init__(self, name: str, channels: int, size: int, outputs: int, net: Any) -> None:
        super().__init__(name, channels, size, outputs, net)
        self.backbone = net.backbone
        if isinstance(net, LRASPP):
            low, high = net.classifier.low_classifier, net.classifier.high_classifier
            self.decoder = nn.ModuleList([net.classifier.cbr, net.classifier.scale])
            both: Any = nn.Conv2d(low.in_channels + high.in_channels, outputs, 1)
            with torch.no_grad():
                both.weight.copy_(torch.cat([low.weight, high.weight], 1))
                both.bias.copy_(low.bias + high.bias)
            self.head = both
        else:
            self.decoder = nn.Sequential(*list(net.classifier)[:-1])  # a slice would be made anew by the class of the head
            self.head = net.classifier[-1]

    def fresh(self) -> Any:
        return whole(self.name, self.channels, self.outputs)

    def encode(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        return list(self.backbone(pictures).values())

    def decode(self, maps: list[torch.Tensor], pictures: torch.Tensor) -> torch.Tensor:
        if isinstance(self.decoder, nn.Sequential):
            return self.decoder(maps[-1])
        shape, scale = self.decoder
        return torch.cat([maps[0], enlarged(shape(maps[-1]) * scale(maps[-1]), maps[0])], 1)

    def stages(self) -> list[nn.Module]:
        return [piece for piece in self.backbone.children() if any(True for _ in piece.parameters())]

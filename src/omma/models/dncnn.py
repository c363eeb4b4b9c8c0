"""DnCNN: a row of convolutions that tells the noise of a picture, and takes it off (Zhang et al. 2017); 0.56 M weights."""

from __future__ import annotations

import torch
from torch import nn

from omma import catalog
from omma.models._restorer import Restorer, numbered, possible, sound

NORMS = ("batch", "none")


class Dncnn(Restorer):
    """3×3 convolutions, batch norm and ReLU between; the answer is the picture minus what the last one says.

    Args:
        depth: convolutions; the paper has 17 for grey and a known noise, 20 for colour or unknown noise.
        width: channels between them.
        norm: `batch` for learning; `none` for published weights, whose norms are merged into the convolutions.
        channels, scale: see `Restorer`.
    """

    def __init__(self, depth: int, width: int, norm: str, channels: int, scale: int) -> None:
        super().__init__(channels, scale)
        self.norm = norm
        self.body = nn.Sequential(*row(channels, width, depth - 1, norm))
        self.head = nn.Conv2d(width, channels, 3, padding=1)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.body(pictures)

    def finish(self, said: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        return pictures - said

    def _named(self, tensors: dict[str, torch.Tensor], where: str) -> dict[str, torch.Tensor]:
        depth = sum(isinstance(layer, nn.Conv2d) for layer in self.body) + 1
        return numbered(tensors, depth, self.norm == "none", where)


def row(inputs: int, width: int, depth: int, norm: str) -> list[nn.Module]:
    """3×3 convolutions to `width` channels with ReLU, and `batch` norm between where asked for; never behind the first."""
    layers: list[nn.Module] = []
    for place in range(depth):
        normed = bool(place) and norm == "batch"
        conv = nn.Conv2d(width if place else inputs, width, 3, padding=1, bias=not normed)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        layers += [conv, *([nn.BatchNorm2d(width)] if normed else []), nn.ReLU(inplace=True)]
    return layers


def checked(norm: str) -> str:
    """`norm`, if it is one of `NORMS`.

    Raises:
        OmmaError: it is not.
    """
    if norm not in NORMS:
        raise catalog.unknown("norm", norm, list(NORMS))
    return norm


def build(
    name: str, *, channels: int, size: int, outputs: int, scale: int = 1, depth: int = 17, width: int = 64, norm: str = "batch"
) -> Dncnn:
    """`dncnn`; `norm=none` takes published weights. `outputs` is not used: as many channels come out as go in.

    Raises:
        OmmaError: no such scale or norm, or a shape that makes no network.
    """
    sound(depth, width, least=2)
    return Dncnn(depth, width, checked(norm), channels, possible(name, scale))

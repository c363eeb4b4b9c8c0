"""A U-Net that tells what is wrong with a picture, at its own size: for blur, stains and strong noise, which need a wide view."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from omma import catalog
from omma.models._restorer import Restorer, cut, possible, sound, whole
from omma.parts.unet import NORMS, UNet

NAMES = {"unet-restore": "U-Net that tells what is wrong with a picture, 16-32-64-128, 0.5 M weights; for blur and strong noise"}


class UnetRestore(Restorer):
    """The body of a U-Net (Ronneberger et al. 2015) and a 3×3 convolution; what it says is added to the picture.

    Args:
        widths: channels at each resolution, fine to coarse.
        norm: `batch` or `group`; the latter looks at the whole picture.
        channels, scale: see `Restorer`.
    """

    def __init__(self, widths: Sequence[int], norm: str, channels: int, scale: int) -> None:
        super().__init__(channels, scale)
        self.body = UNet(channels, widths, norm)
        self.head = nn.Conv2d(widths[0], channels, 3, padding=1)
        with torch.no_grad():
            self.head.weight.mul_(0.1)  # the first answers are near the pictures

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        found = [whole(pictures, self.body.step)]
        for block in self.body.down:
            found.append(block(found[-1]))
        return self.body.up(found[1:])

    def finish(self, said: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        return pictures + cut(said, pictures)

    def stages(self) -> list[nn.Module]:
        return self.body.stages()


def build(
    name: str,
    *,
    channels: int,
    size: int,
    outputs: int,
    scale: int = 1,
    widths: tuple[int, ...] = (16, 32, 64, 128),
    norm: str = "batch",
) -> UnetRestore:
    """`unet-restore`; `widths=32-64-128-256` is heavier. `outputs` is not used: as many channels come out as go in.

    Raises:
        OmmaError: no such scale or norm, or widths that make no U-Net.
    """
    if norm not in NORMS:
        raise catalog.unknown("norm", norm, list(NORMS))
    sound(len(widths), *widths, least=2, most=8)
    return UnetRestore(tuple(widths), norm, channels, possible(name, scale))

"""U-Nets for segmentation: a body of our own that learns from scratch, or a decoder behind any encoder of timm."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from omma import catalog
from omma.errors import OmmaError
from omma.models._pixels import Encoded, Pixels
from omma.parts.pyramid import Step
from omma.parts.unet import NORMS, Decoder, UNet
from omma.words import say

NAMES = {
    "unet": "U-Net for segmentation, 32-64-128-256, 2 M weights, large pictures at half resolution; or a decoder behind an encoder of timm",
    "unet-small": "the same with 16-32-64-128, 0.5 M weights: a quarter of the arithmetic",
}
DEFAULTS = {"unet": {"widths": (32, 64, 128, 256)}, "unet-small": {"widths": (16, 32, 64, 128)}}
STRIDES = (1, 2, 4)
LARGE = 192  # pixels; from here on a border lies well enough at half the resolution


class Unet(Pixels):
    """The whole network learns from scratch.

    Args:
        widths: channels at each resolution, fine to coarse.
        norm: `batch` or `group`.
        stride: of the finest maps, and of the logits before they are enlarged: convolutions with stride 2 come first.
        channels, outputs: see `omma.models.making.build`.
    """

    def __init__(self, widths: Sequence[int], norm: str, stride: int, channels: int, outputs: int) -> None:
        super().__init__()
        self.stride, halvings = stride, stride.bit_length() - 1
        self.stem = nn.Sequential(*(Step(widths[0] if place else channels, widths[0], 3, 2, norm) for place in range(halvings)))
        self.body = UNet(widths[0] if halvings else channels, widths, norm)
        self.head = nn.Conv2d(widths[0], outputs, 1)

    def encode(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        return self.body.encode(self.stem(pictures))

    def decode(self, maps: list[torch.Tensor], pictures: torch.Tensor) -> torch.Tensor:
        rows, columns = (-(-side // self.stride) for side in pictures.shape[2:])
        return self.body.up(maps)[:, :, :rows, :columns]

    def stages(self) -> list[nn.Module]:
        return ([self.stem] if len(self.stem) else []) + self.body.stages()


class EncodedUnet(Encoded):
    """A decoder behind an encoder of timm; the finest level of the decoder looks at the picture itself, so that edges are sharp.

    Args:
        encoder: `timm/NAME`.
        share: channels of the decoder at full resolution; they double with every halving, up to sixteen times as many.
        norm: `batch` or `group`, of the decoder.
        channels, size, outputs: see `omma.models.making.build`.
    """

    def __init__(self, encoder: str, share: int, norm: str, channels: int, size: int, outputs: int) -> None:
        super().__init__(encoder, channels, size)
        widths = [share * min(16, stride) for stride in (1, *self.encoder.strides[:-1])]
        self.decoder = Decoder([channels, *self.encoder.widths], widths, norm)
        self.head = nn.Conv2d(widths[0], outputs, 1)

    def decode(self, maps: list[torch.Tensor], pictures: torch.Tensor) -> torch.Tensor:
        return self.decoder([pictures, *maps])


def build(
    name: str,
    *,
    channels: int,
    size: int,
    outputs: int,
    widths: tuple[int, ...] = (),
    norm: str = "batch",
    encoder: str = "own",
    stride: int = 0,
) -> Pixels:
    """`unet` or `unet-small`; `widths=32-64-128` and `norm=group` change its shape, `encoder=timm/resnet18` its body.

    `stride=1` answers pixel by pixel, for structures of a few pixels; 2 takes a quarter of the time, 4 a sixteenth. Left open, 2 where
    pictures have 192 pixels or more.

    Raises:
        OmmaError: no such encoder, norm or stride, or widths that make no U-Net.
    """
    stride = stride or (2 if size >= LARGE else 1)
    widths = tuple(widths) or DEFAULTS[name]["widths"]
    if norm not in NORMS:
        raise catalog.unknown("norm", norm, list(NORMS))
    if stride not in STRIDES:
        raise catalog.unknown("stride", str(stride), [str(one) for one in STRIDES])
    if not 2 <= len(widths) <= 8 or any(width < 1 for width in widths):
        raise OmmaError(say("models.widths", widths="-".join(map(str, widths))))
    if encoder == "own":
        return Unet(widths, norm, stride, channels, outputs)
    return EncodedUnet(encoder, max(1, widths[0] // 2), norm, channels, size, outputs)

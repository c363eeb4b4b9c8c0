"""DeepLabv3+: context gathered at several distances, edges from a fine stage of the encoder (Chen et al. 2018)."""

from __future__ import annotations

import torch
from torch import nn

from omma import catalog
from omma.models._pixels import Encoded, enlarged
from omma.parts.unet import NORMS, norm_of

NAMES = {"deeplabv3plus": "DeepLabv3+ for segmentation behind an encoder of timm"}
RATES = (6, 12, 18)  # distances of the dilated convolutions where the coarsest maps have stride 16
SKIP = 48  # channels taken from the fine stage


def pointwise(inputs: int, width: int, norm: str) -> nn.Sequential:
    """1×1 convolution, normalisation, ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, width, 1, bias=False), norm_of(norm, width), nn.ReLU(inplace=True))


def separable(inputs: int, width: int, norm: str, rate: int = 1) -> nn.Sequential:
    """A 3×3 convolution channel by channel, `rate` apart, then a 1×1 one: a ninth of the arithmetic of a full one."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=rate, dilation=rate, groups=inputs, bias=False), *pointwise(inputs, width, norm)
    )


class Context(nn.Module):
    """Atrous spatial pyramid pooling, (B, inputs, h, w) → (B, width, h, w): each place sees itself, rings around it, the whole picture."""

    def __init__(self, inputs: int, width: int, norm: str, stride: int) -> None:
        super().__init__()
        rates = [max(1, rate * 16 // stride) for rate in RATES]
        self.near = nn.ModuleList([pointwise(inputs, width, norm), *(separable(inputs, width, norm, rate) for rate in rates)])
        # Without normalisation: one place a picture has no spread, and a batch of one none at all.
        self.whole = nn.Sequential(nn.Conv2d(inputs, width, 1), nn.ReLU(inplace=True))
        self.join = pointwise(5 * width, width, norm)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        whole = self.whole(maps.mean((2, 3), keepdim=True)).expand(-1, -1, maps.shape[2], maps.shape[3])
        return self.join(torch.cat([*(branch(maps) for branch in self.near), whole], 1))


class DeepLab(Encoded):
    """Context on the coarsest maps, joined with those of stride 4; logits are made there and enlarged.

    Args:
        encoder: `timm/NAME`; the coarsest maps have stride 16 where the library can keep them so fine.
        width: channels of context and decoder.
        norm: `batch` or `group`.
        channels, size, outputs: see `omma.models.making.build`.
    """

    def __init__(self, encoder: str, width: int, norm: str, channels: int, size: int, outputs: int) -> None:
        super().__init__(encoder, channels, size, 16)
        widths, strides = self.encoder.widths, self.encoder.strides
        self.fine = min(range(len(strides)), key=lambda place: abs(strides[place] - 4))
        self.context = Context(widths[-1], width, norm, strides[-1])
        self.skip = pointwise(widths[self.fine], SKIP, norm)
        self.join = nn.Sequential(separable(width + SKIP, width, norm), separable(width, width, norm))
        self.head = nn.Conv2d(width, outputs, 1)

    def decode(self, maps: list[torch.Tensor], pictures: torch.Tensor) -> torch.Tensor:
        fine = self.skip(maps[self.fine])
        return self.join(torch.cat([fine, enlarged(self.context(maps[-1]), fine)], 1))


def build(
    name: str, *, channels: int, size: int, outputs: int, encoder: str = "timm/mobilenetv3_large_100", width: int = 128, norm: str = "batch"
) -> DeepLab:
    """`deeplabv3plus`; `encoder=timm/resnet50`, `width=256` and `norm=group` change its shape.

    Raises:
        OmmaError: no such encoder or norm, or timm is not installed.
    """
    if norm not in NORMS:
        raise catalog.unknown("norm", norm, list(NORMS))
    return DeepLab(encoder, max(8, width), norm, channels, size, outputs)

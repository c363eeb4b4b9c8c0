"""U-Net: an encoder that halves the maps, a decoder that doubles them again beside what the encoder saw (Ronneberger et al. 2015)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

NORMS = ("batch", "group")


def norm_of(kind: str, width: int) -> nn.Module:
    """The normalisation called `batch` (folds into convolutions) or `group` (up to 8 groups; does not look at the batch, Wu & He 2018).

    Raises:
        ValueError: another word.
    """
    if kind not in NORMS:
        raise ValueError(f"norm is {' or '.join(NORMS)}, not {kind!r}")
    return nn.BatchNorm2d(width) if kind == "batch" else nn.GroupNorm(math.gcd(width, 8), width)


class Twice(nn.Sequential):
    """Two 3×3 convolutions with normalisation and ReLU: (B, inputs, h, w) → (B, width, ⌈h / stride⌉, ⌈w / stride⌉)."""

    def __init__(self, inputs: int, width: int, norm: str = "batch", stride: int = 1) -> None:
        layers: list[nn.Module] = []
        for place in range(2):
            conv = nn.Conv2d(width if place else inputs, width, 3, 1 if place else stride, padding=1, bias=False)
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
            layers += [conv, norm_of(norm, width), nn.ReLU(inplace=True)]
        super().__init__(*layers)


class Decoder(nn.Module):
    """Maps of several resolutions, fine to coarse → maps of the finest: lifted, enlarged, joined with the next finer ones, convolved twice.

    Channels are reduced before maps are enlarged, which is four times less arithmetic than after.

    Args:
        inputs: channels of each of the maps, fine to coarse.
        widths: channels that leave each level but the coarsest, fine to coarse.
        norm: `batch` or `group`.
    """

    def __init__(self, inputs: Sequence[int], widths: Sequence[int], norm: str = "batch") -> None:
        super().__init__()
        deeper = [*widths[1:], inputs[-1]]
        self.lifts = nn.ModuleList(nn.Conv2d(deep, width, 1, bias=False) for deep, width in zip(deeper, widths, strict=True))
        self.joins = nn.ModuleList(Twice(skip + width, width, norm) for skip, width in zip(inputs[:-1], widths, strict=True))

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """(B, inputs[i], hᵢ, wᵢ), fine to coarse → (B, widths[0], h₀, w₀)."""
        found = maps[-1]
        for place in reversed(range(len(self.joins))):
            beside = maps[place]
            found = F.interpolate(self.lifts[place](found), size=beside.shape[2:], mode="bilinear", align_corners=False)
            found = self.joins[place](torch.cat([beside, found], 1))
        return found


class UNet(nn.Module):
    """The whole body, made for training from scratch; any picture size (padded at the right and the bottom, and cut again).

    Args:
        channels: of the pictures.
        widths: channels at each resolution, fine to coarse; the maps are halved between them.
        norm: `batch` or `group`.
    """

    def __init__(self, channels: int, widths: Sequence[int] = (32, 64, 128, 256), norm: str = "batch") -> None:
        super().__init__()
        inputs = (channels, *widths[:-1])
        self.down = nn.ModuleList(Twice(i, w, norm, 2 if place else 1) for place, (i, w) in enumerate(zip(inputs, widths, strict=True)))
        self.up = Decoder(widths, widths[:-1], norm)
        self.step = 2 ** (len(widths) - 1)

    def encode(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """(B, C, H, W) → maps (B, widths[i], H′ / 2ⁱ, W′ / 2ⁱ), H′ and W′ being H and W rounded up to whole steps."""
        right, below = -pictures.shape[3] % self.step, -pictures.shape[2] % self.step
        found = [F.pad(pictures, (0, right, 0, below)) if right or below else pictures]
        for block in self.down:
            found.append(block(found[-1]))
        return found[1:]

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B, widths[0], H, W)."""
        return self.up(self.encode(pictures))[:, :, : pictures.shape[2], : pictures.shape[3]]

    def stages(self) -> list[nn.Module]:
        """From input to output, in pieces: for freezing and layer-wise rates."""
        return [*self.down, self.up]

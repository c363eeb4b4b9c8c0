"""FCN-8s (Long, Shelhamer & Darrell 2015): VGG-16 read as convolutions, and three levels of scores added up."""

from __future__ import annotations

import torch
from torch import nn

from omma import catalog
from omma.errors import OmmaError
from omma.models._pixels import Pixels, enlarged
from omma.words import say

NAMES = {
    "fcn": "FCN-8s for segmentation (Long et al. 2015): VGG-16 as convolutions, 134 M weights",
    "fcn-small": "the same with an eighth of the channels and batch norm: learns from nothing",
}
GROUPS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # VGG-16
DENSE = 4096
NORMS = ("none", "batch")
SMALLEST = 32


def bilinear(channels: int, factor: int) -> nn.ConvTranspose2d:
    """A transposed convolution that begins as bilinear enlargement: (B, D, h, w) → (B, D, f·h, f·w)."""
    layer = nn.ConvTranspose2d(channels, channels, 2 * factor, factor, factor // 2, bias=False)
    ramp = 1 - ((torch.arange(2 * factor) - factor + 0.5) / factor).abs()
    with torch.no_grad():
        layer.weight.zero_()
        for place in range(channels):
            layer.weight[place, place] = torch.outer(ramp, ramp)
    return layer


class Scores(nn.Module):
    """Scores of three levels: the coarsest enlarged twice and added to those of stride 16, enlarged twice and added to those of stride 8.

    Args:
        widths: channels at strides 8, 16 and 32.
        outputs: classes.
    """

    def __init__(self, widths: tuple[int, int, int], outputs: int) -> None:
        super().__init__()
        scores = [nn.Conv2d(width, outputs, 1) for width in widths]
        self.scores = nn.ModuleList(scores)
        self.twice = nn.ModuleList([bilinear(outputs, 2), bilinear(outputs, 2)])
        self.eight = bilinear(outputs, 8)
        for layer in scores:
            nn.init.zeros_(layer.weight)  # as the authors begin: at first nothing is said
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, fine: torch.Tensor, middle: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """Maps of strides 8, 16, 32 → (B, outputs, 8·h, 8·w)."""
        told = self.scores[2](coarse)
        for level, maps, enlarge in ((1, middle, self.twice[1]), (0, fine, self.twice[0])):
            beside = self.scores[level](maps)
            told = enlarge(told)[:, :, : beside.shape[2], : beside.shape[3]] + beside
        return self.eight(told)


class Fcn(Pixels):
    """VGG-16 whose dense layers are a 7×7 and a 1×1 convolution, then scores of three levels; any picture size from 32.

        C×S×S → 64 → 128 → 256×S/8 ──┐ → 512×S/16 ──┐ → 512×S/32 → 4096×S/32 → 4096×S/32 ── scores ┐
                                     └──────────────┴── scores, enlarged and added ───────────────┴→ outputs×S×S

    The paper fills up pictures with 100 pixels so that the 7×7 convolution has room, and cuts the answer; here that convolution is filled
    up, which lays the scores on the same places.

    Args:
        share: of how many of the published channels one is left.
        norm: `none` as published, or `batch`.
        forget: share dropped behind the former dense layers.
        channels, outputs: see `omma.models.making.build`.
    """

    def __init__(self, share: int, norm: str, forget: float, channels: int, outputs: int) -> None:
        super().__init__()

        def conv(inputs: int, width: int, side: int) -> list[nn.Module]:
            layer = nn.Conv2d(inputs, width, side, padding=side // 2, bias=norm == "none")
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            return [layer, *([nn.BatchNorm2d(width)] if norm == "batch" else []), nn.ReLU(inplace=True)]

        groups, inputs = [], channels
        for widths in GROUPS:
            layers: list[nn.Module] = []
            for width in widths:
                layers += conv(inputs, width // share, 3)
                inputs = width // share
            groups.append(nn.Sequential(*layers, nn.MaxPool2d(2, ceil_mode=True)))
        self.groups = nn.ModuleList(groups)
        dense = DENSE // share
        self.dense = nn.Sequential(*conv(inputs, dense, 7), nn.Dropout2d(forget), *conv(dense, dense, 1), nn.Dropout2d(forget))
        self.head = Scores((256 // share, 512 // share, dense), outputs)

    def encode(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """(B, C, S, S) → maps of strides 8, 16 and 32, the last one those of the former dense layers."""
        found, maps = [], pictures
        for group in self.groups:
            maps = group(maps)
            found.append(maps)
        return [found[2], found[3], self.dense(found[4])]

    def rough(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) → (B, outputs, S, S) logits."""
        found = self.encode(pictures)
        if "maps" in self.__dict__:  # somebody watches the maps
            found[-1] = self.maps(pictures)
        told = self.head(*found[:-1], self.drop(found[-1]))
        return enlarged(told[:, :, : pictures.shape[2], : pictures.shape[3]], pictures)

    def stages(self) -> list[nn.Module]:
        """From input to output."""
        return [*self.groups, self.dense]


def build(name: str, *, channels: int, size: int, outputs: int, norm: str = "", forget: float = 0.5) -> Fcn:
    """`fcn` or `fcn-small`; `norm=batch` lets the large one learn from nothing, where the paper began with published weights.

    Raises:
        OmmaError: no such norm, no share, or pictures too small.
    """
    norm = norm or ("none" if name == "fcn" else "batch")
    if norm not in NORMS:
        raise catalog.unknown("norm", norm, list(NORMS))
    if size < SMALLEST:
        raise OmmaError(say("models.too_small", size=size, smallest=SMALLEST))
    if not 0 <= forget < 1:
        raise OmmaError(say("models.setting", key="forget", value=forget, range="0 ≤ forget < 1"))
    return Fcn(1 if name == "fcn" else 8, norm, forget, channels, outputs)

"""Small pictures learned fast: a whitening stem and groups of plain 3×3 convolutions."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from omma.errors import OmmaError
from omma.models.network import Network
from omma.words import say

NAMES = {
    "quick": "small-picture network that learns fast: whitening stem, 64-256-256, 2 M weights",
    "quick-narrow": "the same with 32-128-128, 0.5 M weights: a quarter of the arithmetic",
}
LEARNS = "muon"
DEFAULTS = {"quick": {"widths": (64, 256, 256)}, "quick-narrow": {"widths": (32, 128, 128)}}
# Rates beside Muon's, in its unit: biases and the head follow plain momentum and need longer steps.
BIAS_SHARE, HEAD_SHARE = 116.0, 1.9


def mark(parameter: torch.Tensor, **words: float) -> None:
    """Tell the optimizer something about a parameter (see `engine/optim.py`)."""
    for key, value in words.items():
        setattr(parameter, key, value)


class Group(nn.Module):
    """`depth` 3×3 convolutions at one resolution; the first is followed by 2×2 max pooling.

    Pooling comes before batch norm and activation, so those touch a quarter of the values. Filters start as the identity.
    """

    def __init__(self, inputs: int, width: int, depth: int) -> None:
        super().__init__()
        convs = [nn.Conv2d(width if i else inputs, width, 3, padding=1, bias=False) for i in range(depth)]
        # A long memory would lag behind so short a run.
        norms = [nn.BatchNorm2d(width, momentum=0.6) for _ in range(depth)]
        for conv, norm in zip(convs, norms, strict=True):
            nn.init.dirac_(conv.weight[: conv.in_channels])
            norm.weight.requires_grad_(False)  # the next convolution sets the scale
            mark(conv.weight, scale_free=True)
            mark(norm.bias, muon_share=BIAS_SHARE)
        self.convs, self.norms = nn.ModuleList(convs), nn.ModuleList(norms)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, inputs, h, w) → (B, width, ⌊h / 2⌋, ⌊w / 2⌋)."""
        for place, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            maps = conv(maps)
            maps = F.gelu(norm(F.max_pool2d(maps, 2) if place == 0 else maps))
        return maps


class Scaled(nn.Linear):
    """A linear head without bias whose outputs are made small, so that learning starts calm."""

    def __init__(self, inputs: int, outputs: int, scale: float) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.scale = scale
        mark(self.weight, muon_share=HEAD_SHARE)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return super().forward(features) * self.scale


class Quick(Network):
    """Whitening stem, groups, global max pooling, scaled head (after Jordan 2024, airbench).

    The stem looks at 2×2 patches; on pictures over 64 pixels it takes longer steps with patches to match and keeps the strongest filters,
    so that the groups always see some 24–64 places a side.

    Args:
        widths: channels of each group.
        depth: convolutions a group.
        channels, size, outputs: see `omma.models.making.build`.

    Raises:
        OmmaError: the picture is too small for so many groups.
    """

    def __init__(self, widths: tuple[int, ...], depth: int, channels: int, size: int, outputs: int) -> None:
        super().__init__()
        stride = max(1, size // 40) if size > 64 else 1
        smallest = 2 ** len(widths) + 1
        if size < smallest:
            raise OmmaError(say("models.too_small", size=size, smallest=smallest))
        filters = 4 * channels
        self.stem = nn.Conv2d(channels, 2 * filters, stride + 1, stride)
        self.stem.weight.requires_grad_(False)  # set by `prepare`, kept by training
        assert self.stem.bias is not None
        nn.init.zeros_(self.stem.bias)
        mark(self.stem.bias, muon_share=BIAS_SHARE)
        self.groups = nn.ModuleList(Group(i, w, depth) for i, w in zip((2 * filters, *widths), widths, strict=False))
        self.head = Scaled(widths[-1], outputs, 1 / 9)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        maps = F.gelu(self.stem(pictures))
        for group in self.groups:
            maps = group(maps)
        return maps

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.amax((2, 3))

    def stages(self) -> list[nn.Module]:
        return [self.stem, *self.groups]

    def dead_ends(self) -> list[nn.Module]:
        return [self.head, self.stem]

    @torch.no_grad()
    def prepare(self, pictures: torch.Tensor) -> None:
        """Set the stem to the strongest whitening filters of these pictures' patches, and to their negatives."""
        count, side = self.stem.out_channels // 2, self.stem.kernel_size[0]
        patches = F.unfold(pictures.float(), side, stride=self.stem.stride).transpose(1, 2)
        patches = patches.reshape(-1, patches.shape[2]).double()
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))  # ascending
        filters = (vectors / (values.clamp_min(0) + 5e-4).sqrt()).T.flip(0)[:count].reshape(count, -1, side, side)
        self.stem.weight.copy_(torch.cat([filters, -filters]))


def build(name: str, *, channels: int, size: int, outputs: int, widths: tuple[int, ...] = (), depth: int = 2) -> Quick:
    """`quick` or `quick-narrow`; `widths=32-128-128` and `depth` change its shape."""
    if any(width < 1 for width in widths) or not 1 <= depth <= 16:
        raise OmmaError(say("models.shape", widths="-".join(map(str, widths)), depth=depth))
    return Quick(tuple(widths) or DEFAULTS[name]["widths"], depth, channels, size, outputs)

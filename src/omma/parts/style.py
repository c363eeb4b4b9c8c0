"""What a style is to a network that looks: how its features go together, wherever they lie; and how far a picture is from one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

LEVELS = 4  # resolutions of an encoder that are looked at
CONTENT = 2  # the one of them that tells what there is to see; the coarsest where there are fewer
TINY = 1e-5  # keeps deviations of flat maps from zero


def exact(like: torch.Tensor) -> torch.autocast:
    """Float32 whatever precision a step has: sums of many products, and differences of such sums, are lost in bfloat16."""
    return torch.autocast(like.device.type, enabled=False)


def coarser(maps: Sequence[torch.Tensor], most: int = LEVELS) -> list[torch.Tensor]:
    """The last map of each resolution, (B, C, h, w) each, from fine to coarse: of VGG relu1_2, relu2_2, relu3_3, relu4_3."""
    found: list[torch.Tensor] = []
    for one in maps:
        if found and found[-1].shape[2:] == one.shape[2:]:
            found[-1] = one
        else:
            found.append(one)
    return found[:most]


def gram(maps: torch.Tensor, less: torch.Tensor | None = None) -> torch.Tensor:
    """(B, C, h, w) → (B, C, C): how channels go together, divided by C·h·w (Gatys et al. 2016, as Johnson et al. 2016 scale it).

    Args:
        less: (B, C) taken from the features first. Of features that are never negative the products are mostly the square of their
            mean; without it they tell textures apart (Novak & Nikulin 2016).
    """
    flat = maps.flatten(2)
    if less is not None:
        flat = flat - less[..., None]
    return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])


def moments(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, C, h, w) → mean and deviation of each channel, (B, C) each: what AdaIN knows of a style (Huang & Belongie 2017)."""
    mean = maps.mean((2, 3))
    spread = (maps - mean[..., None, None]).square().mean((2, 3))
    return mean, (spread + TINY).sqrt()


@dataclass(frozen=True)
class Texture:
    """What is kept of K style pictures, level by level.

    Args:
        means: (K, C) each.
        products: (K, C, C) each, `gram` of the features as they are.
    """

    means: list[torch.Tensor]
    products: list[torch.Tensor]

    @classmethod
    def of(cls, maps: Sequence[torch.Tensor]) -> Texture:
        """From the maps of K pictures, (K, C, h, w) each."""
        return cls([one.mean((2, 3)) for one in maps], [gram(one) for one in maps])

    def mixed(self, mix: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """(B, K) shares → by level the mean (B, C), and the Gram matrix less it, (B, C, C), of pictures that show each on its share."""
        found = []
        for means, products in zip(self.means, self.products, strict=True):
            mean = mix @ means
            whole = torch.einsum("bk,kcd->bcd", mix, products)
            found.append((mean, whole - mean[:, :, None] * mean[:, None] / mean.shape[1]))
        return found


def from_style(maps: Sequence[torch.Tensor], wanted: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """(B,): squared distance of Gram matrices over the square of the style's own, mean over the levels; 0 = the style.

    As a share of the style, so that it means as much with one encoder as with another.
    """
    told = [
        (gram(one, mean) - target).square().sum((1, 2)) / target.square().sum((1, 2)).clamp_min(1e-12)
        for one, (mean, target) in zip(maps, wanted, strict=True)
    ]
    return torch.stack(told).mean(0)


def from_moments(maps: Sequence[torch.Tensor], wanted: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """(B,): the same by mean and deviation of each channel, over the square of the style's deviations."""
    told = []
    for one, (mean, spread) in zip(maps, wanted, strict=True):
        off = [(mine - theirs).square().sum(1) for mine, theirs in zip(moments(one), (mean, spread), strict=True)]
        told.append((off[0] + off[1]) / spread.square().sum(1).clamp_min(1e-12))
    return torch.stack(told).mean(0)


def from_content(maps: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) twice → (B,): squared distance of features over how much the wanted ones vary over their picture; 0 = what is shown."""
    centred = wanted - wanted.mean((2, 3), keepdim=True)
    return (maps - wanted).square().mean((1, 2, 3)) / (centred.square().mean((1, 2, 3)) + TINY)


def told_content(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """The one of these levels that content is told by."""
    return maps[min(CONTENT, len(maps) - 1)]


def variation(pictures: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) → (B,): mean difference of neighbouring pixels, which speckles make large (Rudin et al. 1992)."""
    down, across = pictures.diff(dim=2).abs(), pictures.diff(dim=3).abs()
    # A picture a single pixel wide has no neighbours there.
    return sum((one.mean((1, 2, 3)) for one in (down, across) if one.numel()), pictures.new_zeros(len(pictures)))

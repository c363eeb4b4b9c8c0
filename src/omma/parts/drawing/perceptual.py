"""How differently a network sees two pictures that lie on each other: what is learned by, and what is measured by."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from omma.parts.style import coarser, from_content

DEEP = 5  # resolutions that are compared where it is measured: of VGG relu1_2, relu2_2, relu3_3, relu4_3, relu5_3
NIL = 1e-10  # added to the length of features, as published

Maps = Sequence[torch.Tensor]


def perceptual(made: Maps, true: Maps) -> torch.Tensor:
    """(B,): squared distance of features over how much those of the truth vary over their picture, mean over four resolutions; 0 = alike.

    The content loss of SRGAN (Ledig et al. 2017) and of Johnson et al. (2016), at several depths; divided by the variance, so that its
    weight means as much with one network as with another. Gradients pass through `made`.

    Args:
        made, true: feature maps of B pictures, (B, C, h, w) each, from fine to coarse, see `Eyes.maps`.
    """
    pairs = zip(coarser(made), coarser(true), strict=True)
    return torch.stack([from_content(one.float(), other.float()) for one, other in pairs]).mean(0)


def lpips(made: Maps, true: Maps, weights: Sequence[torch.Tensor] = ()) -> torch.Tensor:
    """(B,): LPIPS (Zhang et al. 2018): features brought to length 1 at each place, their squared difference, weighed by channel, mean over
    the places, sum over the depths.

    Args:
        made, true: as in `perceptual`.
        weights: (C,) for each depth, learned from what people find alike; () = all 1, which the paper calls the unlearned baseline: then
            the number is a distance like it, and no LPIPS.

    Raises:
        ValueError: `weights` were learned for another network.
    """
    pairs = list(zip(deep(made, weights), deep(true, weights), strict=True))
    told = []
    for depth, (one, other) in enumerate(pairs):
        off = (_unit(one) - _unit(other)).square()
        told.append((off if not weights else off * weights[depth].to(off)[:, None, None]).sum(1).mean((1, 2)))
    return torch.stack(told).sum(0)


def deep(maps: Maps, weights: Sequence[torch.Tensor] = ()) -> list[torch.Tensor]:
    """The maps that are compared: the last of each resolution, or all of them where that is what the weights were learned for (AlexNet).

    Raises:
        ValueError: neither has as many channels as the weights.
    """
    some = coarser(maps, DEEP)
    wanted = [len(one) for one in weights]
    for chosen in (some, list(maps)):
        if not wanted or [one.shape[1] for one in chosen] == wanted:
            return chosen
    raise ValueError(f"weights of {wanted} channels for maps of {[one.shape[1] for one in some]}")


def _unit(maps: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) with features of length 1 at each place."""
    maps = maps.float()
    return maps / (maps.square().sum(1, keepdim=True).sqrt() + NIL)

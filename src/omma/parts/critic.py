"""A critic of pictures: how true one looks, place by place (Ledig et al. 2017; by patches, Isola et al. 2017)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

WIDTHS = (32, 64, 128)


class Critic(nn.Sequential):
    """(B, C, H, W), 0–1 → (B, 1, H / 8, W / 8) logits of being a true picture; each looks at a place of its own.

    Spectral normalisation (Miyato et al. 2018) keeps it from winning at once; no batch normalisation, so that pictures are judged alone.
    """

    def __init__(self, channels: int, widths: tuple[int, ...] = WIDTHS) -> None:
        layers: list[nn.Module] = []
        for before, width in zip((channels, *widths[:-1]), widths, strict=True):
            layers += [spectral_norm(nn.Conv2d(before, width, 3, padding=1)), nn.LeakyReLU(0.2)]
            layers += [spectral_norm(nn.Conv2d(width, width, 4, 2, padding=1)), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Conv2d(widths[-1], 1, 3, padding=1))


def told_apart(true: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    """Scalar: how badly a critic tells true from made; swapped, it is what the maker learns from.

    Each is judged against the mean of the others (relativistic average, Jolicoeur-Martineau 2018).
    """
    lead, lag = true - made.mean(), made - true.mean()
    return (F.softplus(-lead).mean() + F.softplus(lag).mean()) / 2

"""Critics: how true a picture looks, place by place (Ledig et al. 2017; by patches, Isola et al. 2017) or as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

WIDTHS = (32, 64, 128)


@contextmanager
def frozen(net: nn.Module) -> Iterator[None]:
    """A network through which gradients pass and in which none stay."""
    flags = [p.requires_grad for p in net.parameters()]
    net.requires_grad_(False)
    try:
        yield
    finally:
        for p, flag in zip(net.parameters(), flags, strict=True):
            p.requires_grad_(flag)


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


class Verdict(nn.Module):
    """The end of a critic of whole pictures: how true one looks, and how much it looks like its class (Miyato & Koyama 2018).

    A class is compared place by place, as truth is judged: with the mean of the maps MNIST's digits were not told apart.

    Args:
        width: channels of the last maps.
        room: places on a side of them; each place has weights of its own.
        classes: how many can be asked for; 0 where pictures have none.
    """

    def __init__(self, width: int, room: int, classes: int) -> None:
        super().__init__()
        self.true = nn.Linear(width * room**2, 1)
        self.alike = nn.Linear(classes, width * room**2, bias=False) if classes else None

    def forward(self, maps: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """(B, width, room, room) and (B, classes) → (B,)."""
        rows = maps.flatten(1)
        said = self.true(rows)[:, 0]
        return said if self.alike is None else said + (self.alike(classes) * rows).sum(1)

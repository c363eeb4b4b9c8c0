"""Networks that draw pictures by transposed convolutions, and the critics of three kinds that teach them."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from omma.models._generator import Generator, Within, entered, halvings, heard, sound, widened
from omma.parts.drawing.critic import Verdict

NAMES = {
    "dcgan": "draws pictures from chance; transposed convolutions and batch norm against a critic that calls pictures true or made",
    "wgan-gp": "the same against a critic that measures how far apart true and made ones are, its slope held by a penalty",
    "sngan": "the same against a critic held by spectral normalisation",
}
STEEP = 0.2  # slope of critics below zero


class Doubling(nn.Module):
    """A transposed 4×4 convolution in steps of two, batch norm, ReLU: (B, inputs, h, w) → (B, width, 2h, 2w)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, width, 4, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return F.relu(self.norm(self.conv(maps)))


class Start(nn.Module):
    """The first maps, all places from all numbers, batch norm, ReLU: (B, numbers) → (B, width, room, room)."""

    def __init__(self, numbers: int, width: int, room: int) -> None:
        super().__init__()
        self.room = room
        self.full = nn.Linear(numbers, width * room**2, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, seeds: torch.Tensor) -> torch.Tensor:
        return F.relu(self.norm(self.full(seeds).unflatten(1, (-1, self.room, self.room))))


class Dcgan(Generator):
    """Doubled from the coarsest maps to the picture (Radford et al. 2016); 0–1 by a sigmoid, the paper's tanh on another scale.

    Args:
        width: channels at half of the resolution; they double with every halving, up to eight times as many.
        latent, classes, channels, size, kinds, groups: see `Generator`.
    """

    game: ClassVar[str] = "standard"

    def __init__(self, width: int, latent: int, classes: int, channels: int, size: int, kinds: int = 0, groups: int = 0) -> None:
        super().__init__(latent, classes, channels, size, kinds, groups)
        self.room, times = halvings(size)
        self.widths = widened(width, times)
        back = tuple(reversed(self.widths))
        self.first = Start(latent + classes + self.kinds, back[0], self.room)
        self.body = nn.Sequential(*(Doubling(a, b) for a, b in pairwise(back)))
        self.head = nn.Sequential(nn.ConvTranspose2d(width, channels, 4, 2, 1), Within(size))
        self.apply(begun)
        heard(self.first.full, latent)

    def maps(self, seeds: torch.Tensor) -> torch.Tensor:
        """(B, latent + classes) → (B, width, ⌈size / 2⌉ or a little more, the same)."""
        return self.body(self.first(self.begin(seeds)))

    def stages(self) -> list[nn.Module]:
        return [self.first, *self.body]

    def dead_ends(self) -> list[nn.Module]:
        return [self.first.full, self.head[0]]  # type: ignore[index]

    def critic(self) -> Strided:
        return Strided(self.widths, self.room, self.channels, self.told, norm=True).apply(begun)


class WganGp(Dcgan):
    """The same, taught by an estimate of the Wasserstein distance (Gulrajani et al. 2017).

    Its critic has no batch norm: the penalty is about each picture's own gradient.
    """

    game: ClassVar[str] = "wasserstein"

    def critic(self) -> Strided:
        return Strided(self.widths, self.room, self.channels, self.told)


class Sngan(Dcgan):
    """The same, taught by a critic whose every layer has the largest singular value 1 (Miyato et al. 2018)."""

    game: ClassVar[str] = "hinge"

    def critic(self) -> Strided:
        critic = Strided(self.widths, self.room, self.channels, self.told)
        for layer in [one for one in critic.modules() if isinstance(one, nn.Conv2d | nn.Linear)]:
            spectral_norm(layer)
        return critic


class Strided(nn.Module):
    """A critic: 4×4 convolutions in steps of two, leaky ReLU; (pictures (B, C, S, S), 0–1, classes (B, K)) → (B,).

    Args:
        widths: channels after each halving.
        room: places on a side after the last one.
        channels: of the pictures.
        classes: how many can be asked for.
        norm: whether there is batch norm, after all convolutions but the first.
    """

    def __init__(self, widths: tuple[int, ...], room: int, channels: int, classes: int, norm: bool = False) -> None:
        super().__init__()
        self.side = room << len(widths)
        layers: list[nn.Module] = []
        for before, width in zip((channels, *widths[:-1]), widths, strict=True):
            evened = norm and bool(layers)
            layers.append(nn.Conv2d(before, width, 4, 2, 1, bias=not evened))
            layers += [nn.BatchNorm2d(width)] * evened + [nn.LeakyReLU(STEEP)]
        self.body = nn.Sequential(*layers)
        self.end = Verdict(widths[-1], room, classes)

    def forward(self, pictures: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return self.end(self.body(entered(pictures, self.side)), classes)


def begun(layer: nn.Module) -> None:
    """Small random weights, of deviation 0.02, as the paper has them."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(layer.weight, 0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1, 0.02)


def build(
    name: str, *, channels: int, size: int, outputs: int, width: int = 48, latent: int = 32, kinds: int = 0, groups: int = 0
) -> Dcgan:
    """`dcgan`, `wgan-gp` or `sngan`; `width` as in `Dcgan`, the rest as of every `Generator`: `outputs` are the classes, 0 = none.

    Raises:
        OmmaError: as `sound` says.
    """
    sound(size, width, latent, kinds, groups)
    return TAUGHT[name](width, latent, outputs, channels, size, kinds, groups)


TAUGHT: dict[str, type[Dcgan]] = {"dcgan": Dcgan, "wgan-gp": WganGp, "sngan": Sngan}

"""R3GAN, small: residual networks without normalisation that draw pictures from chance, and their critic (Huang et al. 2024)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from omma.errors import OmmaError
from omma.models._generator import Generator, Within, entered, halvings, heard, sound, widened
from omma.parts.drawing.critic import Verdict
from omma.words import say

STEEP = 0.2  # slope below zero
MOST_DEEP = 16
WIDER = 4


class Block(nn.Module):
    """1×1, 3×3 and 1×1 convolutions beside a shortcut, no normalisation: (B, width, h, w) → the same.

    Args:
        width: channels.
        blocks: residual blocks of the whole network: the more there are, the smaller each begins (Zhang et al. 2019, Fixup); its last
            convolution begins with zeros.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.mix1, self.near, self.mix2 = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 1)
        for conv in (self.mix1, self.near):
            begun(conv, blocks**-0.25)
        begun(self.mix2, 0.0)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps + self.mix2(steep(self.near(steep(self.mix1(maps)))))


class Grow(nn.Module):
    """(B, inputs, h, w) → (B, width, 2h, 2w): channels first, then bilinear, without the chequers of transposed convolutions."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.conv = begun(nn.Conv2d(inputs, width, 1))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return F.interpolate(self.conv(maps), scale_factor=2.0, mode="bilinear", align_corners=False)


class Shrink(nn.Module):
    """(B, inputs, h, w) → (B, width, h / 2, w / 2): the mean of four places, then channels."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.conv = begun(nn.Conv2d(inputs, width, 1))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.conv(F.avg_pool2d(maps, 2))


class R3gan(Generator):
    """Residual blocks at each resolution from the coarsest to half of the picture's, there four pixels for each place (Shi et al. 2016).

    Of the paper: the game, the blocks without normalisation and how they begin, resampling between them, a critic that mirrors the
    generator. Smaller here: convolutions are not grouped, and nothing but four numbers for each place is computed at full resolution. A
    sigmoid holds pictures in 0–1: without one, as in the paper, MNIST kept a grey ground for 1,300 steps.

    Args:
        width: channels at half of the resolution; they double with every halving, up to four times as many.
        depth: blocks at each resolution.
        latent, classes, channels, size, kinds, groups: see `Generator`.
    """

    game: ClassVar[str] = "relativistic"

    def __init__(
        self, width: int, depth: int, latent: int, classes: int, channels: int, size: int, kinds: int = 0, groups: int = 0
    ) -> None:
        super().__init__(latent, classes, channels, size, kinds, groups)
        self.depth = depth
        self.room, times = halvings(size)
        self.widths = widened(width, times, WIDER)
        back = tuple(reversed(self.widths))
        self.first = nn.Linear(latent + classes + self.kinds, back[0] * self.room**2)
        heard(self.first, latent)
        self.body = nn.Sequential(*levels(back, depth, Grow))
        self.head = nn.Sequential(begun(nn.Conv2d(width, 4 * channels, 3, padding=1)), nn.PixelShuffle(2), Within(size))

    def maps(self, seeds: torch.Tensor) -> torch.Tensor:
        """(B, latent + classes) → (B, width, ⌈size / 2⌉ or a little more, the same)."""
        return steep(self.body(self.first(self.begin(seeds)).unflatten(1, (-1, self.room, self.room))))

    def stages(self) -> list[nn.Module]:
        return [self.first, *self.body]

    def dead_ends(self) -> list[nn.Module]:
        """The head's four channels for a place belong together, and so does what is unfolded into places."""
        return [self.first, self.head[0]]  # type: ignore[index]

    def critic(self) -> Residual:
        return Residual(self.widths, self.depth, self.room, self.channels, self.told)


class Residual(nn.Module):
    """The critic, the generator the other way round: (pictures (B, C, S, S), 0–1, classes (B, K)) → (B,).

    Args:
        widths: channels at each resolution, fine to coarse, the first at half of the picture's.
        depth: blocks at each.
        room: places on a side at the coarsest.
        channels: of the pictures.
        classes: how many can be asked for.
    """

    def __init__(self, widths: tuple[int, ...], depth: int, room: int, channels: int, classes: int) -> None:
        super().__init__()
        self.side = room << len(widths)
        self.stem = begun(nn.Conv2d(channels, widths[0], 4, 2, 1))
        self.body = nn.Sequential(*levels(widths, depth, Shrink))
        self.end = Verdict(widths[-1], room, classes)

    def forward(self, pictures: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return self.end(steep(self.body(self.stem(entered(pictures, self.side)))), classes)


def levels(widths: tuple[int, ...], depth: int, between: type[Grow] | type[Shrink]) -> list[nn.Module]:
    """Blocks at each of the widths, and what leads from one to the next."""
    blocks = depth * len(widths)
    found: list[nn.Module] = [Block(widths[0], blocks) for _ in range(depth)]
    for before, width in pairwise(widths):
        found += [between(before, width), *(Block(width, blocks) for _ in range(depth))]
    return found


def steep(maps: torch.Tensor) -> torch.Tensor:
    """Leaky ReLU."""
    return F.leaky_relu(maps, STEEP)


def begun(conv: nn.Conv2d, share: float = 1.0) -> nn.Conv2d:
    """The same convolution with weights that keep the variance through a leaky ReLU (He et al. 2015), times `share`, and no offset."""
    gain = share * math.sqrt(2 / (1 + STEEP**2))
    nn.init.normal_(conv.weight, 0, gain / math.sqrt(conv.in_channels * conv.weight[0, 0].numel()))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def build(
    name: str,
    *,
    channels: int,
    size: int,
    outputs: int,
    width: int = 32,
    depth: int = 1,
    latent: int = 32,
    kinds: int = 0,
    groups: int = 0,
) -> R3gan:
    """`r3gan`; `width` and `depth` as in `R3gan`, the rest as of every `Generator`: `outputs` are the classes, 0 = none.

    Raises:
        OmmaError: as `sound` says, or so many blocks make no network.
    """
    sound(size, width, latent, kinds, groups)
    if not 1 <= depth <= MOST_DEEP:
        raise OmmaError(say("models.shape", widths=width, depth=depth))
    return R3gan(width, depth, latent, outputs, channels, size, kinds, groups)

"""A small network for few multiplications: branches merged into 3×3 convolutions, pixels made at the end (after ECBSR and SPAN)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from omma.models._restorer import STEPS, Restorer, cut, enlarged, possible, sound, whole
from omma.parts.merged import Merged

NAMES = {"span": "small modern network: enlarges with 25 K weights, denoises with 96 K at half and a quarter of the resolution"}
GROUP = 3  # convolutions that share a gate


class Group(nn.Module):
    """`depth` merged convolutions with leaky ReLU, (B, width, h, w) → the same.

    With `attention` the group ends in a gate without weights (SPAN, Wan et al. 2024): what the last convolution says, added to what came
    in, times σ(x) − ½ of what it says.
    """

    def __init__(self, width: int, depth: int, attention: bool, plain: bool = False) -> None:
        super().__init__()
        self.attention = attention
        self.convs = nn.ModuleList(_conv(width, width, plain) for _ in range(depth))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        first, last = maps, len(self.convs) - 1
        for place, conv in enumerate(self.convs):
            maps = conv(maps)
            if self.attention and place == last:
                return (first + maps) * (maps.sigmoid() - 0.5)
            maps = F.leaky_relu(maps, 0.1)
        return maps


class Coarser(nn.Module):
    """A group at half of the resolution beside a shortcut, (B, width, h, w) → the same, h and w even.

    Four neighbours become channels, and become neighbours again: a quarter of the arithmetic, twice the reach.
    """

    def __init__(self, width: int, coarse: int, depth: int, attention: bool, plain: bool) -> None:
        super().__init__()
        self.down = nn.Conv2d(4 * width, coarse, 1)
        self.group = Group(coarse, depth, attention, plain)
        self.up = nn.Conv2d(coarse, 4 * width, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps + F.pixel_shuffle(self.up(self.group(self.down(F.pixel_unshuffle(maps, 2)))), 2)


class Span(Restorer):
    """A 3×3 convolution, groups of them beside a shortcut around all, one that gives scale² numbers a pixel; added to the picture.

    Where it enlarges, it works on the small picture, and adds to the bicubic enlargement. Where it does not (scale 1), four neighbouring
    pixels become channels first, as in FFDNet, which is a quarter of the arithmetic and twice the reach; with `coarse`, all convolutions
    of the body but the first and the last are at half of that resolution again. Grey 0.5 is zero inside.

    Weights for grey, merged: 24,544 at scale 4 (24 channels), 86,644 at scale 1 (48 channels), 95,652 with `coarse` (32 and 48, five
    convolutions); while learning nearly four times as many, see `omma.parts.merged.plain`. Few wide convolutions learn faster than many
    narrow ones with as many weights: after 1,200 steps at scale 4, 25.1 dB on seven pictures of
    Set12 with 4 of 24 channels, 24.2 with 9 of 16 (bicubic 23.7).

    Args:
        width: channels.
        depth: convolutions between the first and the last, in groups of three where `coarse` is 0.
        coarse: channels at half of the resolution; 0 = everything is at one.
        attention: gates behind the groups.
        plain: convolutions without branches: what a finished network is carried as.
        channels, scale: see `Restorer`.
    """

    enlarges = True

    def __init__(self, width: int, depth: int, coarse: int, attention: bool, plain: bool, channels: int, scale: int) -> None:
        super().__init__(channels, scale)
        self.fold = 2 if scale == 1 else 1
        self.step = self.fold * 2 if coarse else self.fold  # sides are multiples of this inside
        self.stem = _conv(channels * self.fold**2, width, plain)
        if coarse:
            middle = Coarser(width, coarse, depth - 2, attention, plain)
            self.body = nn.Sequential(Group(width, 1, False, plain), middle, Group(width, 1, attention, plain))
        else:
            self.body = nn.Sequential(*(Group(width, min(GROUP, depth - done), attention, plain) for done in range(0, depth, GROUP)))
        self.head = _conv(width, channels * (self.fold * scale) ** 2, plain, gain=0.1)  # the first answers are near the pictures

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        found = pictures - 0.5
        if self.step > 1:
            found = whole(found, self.step)
        if self.fold > 1:
            found = F.pixel_unshuffle(found, self.fold)
        first = self.stem(found)
        return first + self.body(first)

    def finish(self, said: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        found, wider = F.pixel_shuffle(said, self.fold * self.scale), enlarged(pictures, self.scale)
        return wider + (cut(found, wider) if self.step > 1 else found)

    def dead_ends(self) -> list[nn.Module]:
        """The last; and all that have branches, which are added up and cannot be cut one by one."""
        return [self.head, *(module for module in self.modules() if isinstance(module, Merged) and module is not self.head)]


def _conv(inputs: int, outputs: int, plain: bool, gain: float = 1.0) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1) if plain else Merged(inputs, outputs, gain)


def build(
    name: str,
    *,
    channels: int,
    size: int,
    outputs: int,
    scale: int = 1,
    width: int = 0,
    depth: int = 4,
    coarse: int = 0,
    attention: bool = True,
    plain: bool = False,
) -> Span:
    """`span`; `width` left open is 24 where it enlarges, else 48. `outputs` is not used: as many channels come out as go in.

    It learns with branches and is kept without them (`plain`), with the same answers.

    Raises:
        OmmaError: no such scale, or a shape that makes no network.
    """
    scales: Sequence[int] = list(STEPS)
    width = width or (48 if scale == 1 else 24)
    sound(depth, width, *([coarse] if coarse else []), least=3 if coarse else 1)
    return Span(width, depth, coarse, attention, plain, channels, possible(name, scale, scales))

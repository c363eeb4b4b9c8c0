"""NAFNet: a U-shape of blocks without activations, gated by their own channels (Chen et al. 2022); small by default, 0.4 M weights."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from omma.models._restorer import Restorer, cut, possible, sound, whole


class Norm(nn.Module):
    """Layer normalisation over the channels of each place: (B, width, h, w) → the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(maps.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6).permute(0, 3, 1, 2)


def gate(maps: torch.Tensor) -> torch.Tensor:
    """(B, 2·D, h, w) → (B, D, h, w): one half of the channels times the other, the only thing here that is not linear."""
    one, other = maps.chunk(2, 1)
    return one * other


class Block(nn.Module):
    """1×1, 3×3 by channel, gate, channels weighed by their means over the picture, 1×1; then 1×1, gate, 1×1; both beside shortcuts."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = Norm(width), Norm(width)
        self.widen1 = nn.Conv2d(width, 2 * width, 1)
        self.near = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.weigh = nn.Conv2d(width, width, 1)
        self.narrow1 = nn.Conv2d(width, width, 1)
        self.widen2 = nn.Conv2d(width, 2 * width, 1)
        self.narrow2 = nn.Conv2d(width, width, 1)
        # Blocks begin as nothing but their shortcuts.
        self.share1, self.share2 = nn.Parameter(torch.zeros(1, width, 1, 1)), nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        found = gate(self.near(self.widen1(self.norm1(maps))))
        maps = maps + self.share1 * self.narrow1(found * self.weigh(found.mean((2, 3), keepdim=True)))
        return maps + self.share2 * self.narrow2(gate(self.widen2(self.norm2(maps))))


class Nafnet(Restorer):
    """Blocks at each resolution, halved on the way down and doubled on the way up beside what came down; added to the picture.

    Channels are weighed by their means over the whole picture: tiles are not quite parts of the whole.

    Args:
        width: channels at full resolution; they double with every halving.
        down, middle, up: blocks at each resolution on the way down, fine to coarse; at the coarsest; on the way up, coarse to fine.
        channels, scale: see `Restorer`.
    """

    def __init__(self, width: int, down: tuple[int, ...], middle: int, up: tuple[int, ...], channels: int, scale: int) -> None:
        super().__init__(channels, scale)
        self.step = 2 ** len(down)
        widths = [width << place for place in range(len(down) + 1)]
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.ModuleList(nn.Sequential(*(Block(one) for _ in range(count))) for one, count in zip(widths, down, strict=False))
        self.shrink = nn.ModuleList(nn.Conv2d(one, 2 * one, 2, 2) for one in widths[:-1])
        self.middle = nn.Sequential(*(Block(widths[-1]) for _ in range(middle)))
        self.grow = nn.ModuleList(nn.Conv2d(one, 2 * one, 1, bias=False) for one in reversed(widths[1:]))
        self.up = nn.ModuleList(nn.Sequential(*(Block(one) for _ in range(count))) for one, count in zip(widths[-2::-1], up, strict=True))
        self.head = nn.Conv2d(width, channels, 3, padding=1)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        maps, beside = self.stem(whole(pictures, self.step)), []
        for blocks, shrink in zip(self.down, self.shrink, strict=True):
            beside.append(blocks(maps))
            maps = shrink(beside[-1])
        maps = self.middle(maps)
        for blocks, grow in zip(self.up, self.grow, strict=True):
            maps = blocks(F.pixel_shuffle(grow(maps), 2) + beside.pop())
        return maps

    def finish(self, said: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        return pictures + cut(said, pictures)

    def stages(self) -> list[nn.Module]:
        way = [self.stem, *(part for pair in zip(self.down, self.shrink, strict=True) for part in pair), self.middle]
        way += [part for pair in zip(self.grow, self.up, strict=True) for part in pair]
        return [piece for piece in way if next(piece.parameters(), None) is not None]

    def dead_ends(self) -> list[nn.Module]:
        """All: gates tie channels to one another by halves."""
        return [module for module in self.modules() if isinstance(module, nn.Conv2d)]


def build(
    name: str,
    *,
    channels: int,
    size: int,
    outputs: int,
    scale: int = 1,
    width: int = 16,
    down: tuple[int, ...] = (1, 1, 2),
    middle: int = 2,
    up: tuple[int, ...] = (1, 1, 1),
) -> Nafnet:
    """`nafnet`; the paper's for deblurring is `width=64 down=1,1,1,28 middle=1 up=1,1,1,1`. `outputs` is not used: as many channels come
    out as go in.

    Raises:
        OmmaError: no such scale, or a shape that makes no network.
    """
    sound(len(down), width, least=1, most=6)
    sound(len(up), width, least=len(down), most=len(down))
    for count in (*down, middle, *up):
        sound(count, width, least=0)
    return Nafnet(width, tuple(down), middle, tuple(up), channels, possible(name, scale))

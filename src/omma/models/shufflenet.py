"""ShuffleNet v1 (Zhang, Zhou, Lin & Sun 2018) and v2 (Ma, Zhang, Zheng & Sun 2018): cheap 1×1 convolutions, channels shuffled between."""

from __future__ import annotations

import itertools

import torch
from torch import nn

from omma import catalog
from omma.models.network import Network

NAMES = {
    "shufflenet-v1": "ShuffleNet v1, 1×, three groups (Zhang et al. 2018): 137 M multiply-adds at 224 pixels",
    "shufflenet-v2": "ShuffleNet v2, 1× (Ma et al. 2018): 2.3 M weights, 146 M multiply-adds at 224 pixels",
}
REPEATS = (4, 8, 4)  # units of stages 2, 3 and 4
STEM = 24  # channels after the first convolution
# Channels of stage 2 by the number of groups; they double twice (table 1 of v1).
V1 = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
# Channels of stages 2, 3, 4 and of the last convolution, by how wide it is (table 5 of v2).
V2 = {0.5: (48, 96, 192, 1024), 1.0: (116, 232, 464, 1024), 1.5: (176, 352, 704, 1024), 2.0: (244, 488, 976, 2048)}


def shuffle(maps: torch.Tensor, groups: int) -> torch.Tensor:
    """(B, D, h, w) → the same channels, the first of each group, then the second of each …: the next groups read from all."""
    return maps.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


class Conv(nn.Sequential):
    """Convolution, batch norm and, unless told otherwise, ReLU: (B, inputs, h, w) → (B, width, ⌈h / stride⌉, ⌈w / stride⌉)."""

    def __init__(self, inputs: int, width: int, side: int = 1, stride: int = 1, groups: int = 1, relu: bool = True) -> None:
        conv = nn.Conv2d(inputs, width, side, stride, side // 2, groups=groups, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out")
        super().__init__(conv, nn.BatchNorm2d(width), *([nn.ReLU(inplace=True)] if relu else []))


class Grouped(nn.Module):
    """A unit of v1: grouped 1×1 to a quarter, shuffled, depthwise 3×3, grouped 1×1, beside a shortcut; added, or joined where it halves.

    The very first 1×1 convolution has one group: there are too few channels to share out.
    """

    def __init__(self, inputs: int, width: int, stride: int, groups: int) -> None:
        super().__init__()
        self.groups, self.stride = groups, stride
        middle, rest = width // 4, width - inputs if stride > 1 else width
        self.squeeze = Conv(inputs, middle, groups=1 if inputs == STEM else groups)
        self.depthwise = Conv(middle, middle, 3, stride, middle, relu=False)
        self.expand = Conv(middle, rest, groups=groups, relu=False)
        self.shrink = nn.AvgPool2d(3, stride, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, inputs, h, w) → (B, width, ⌈h / stride⌉, ⌈w / stride⌉)."""
        branch = self.expand(self.depthwise(shuffle(self.squeeze(maps), self.groups)))
        return (torch.cat([self.shrink(maps), branch], 1) if self.stride > 1 else maps + branch).relu()


class Split(nn.Module):
    """A unit of v2: half of the channels pass, the others are convolved 1×1 – depthwise 3×3 – 1×1; joined and shuffled.

    Where it halves, both branches read all channels.
    """

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        half, read = width // 2, inputs if stride > 1 else inputs // 2
        self.branch = nn.Sequential(Conv(read, half), Conv(half, half, 3, stride, half, relu=False), Conv(half, half))
        self.short: nn.Module = nn.Identity()
        if stride > 1:
            self.short = nn.Sequential(Conv(inputs, inputs, 3, stride, inputs, relu=False), Conv(inputs, half))
        self.stride = stride

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, inputs, h, w) → (B, width, ⌈h / stride⌉, ⌈w / stride⌉)."""
        passed, read = (maps, maps) if self.stride > 1 else maps.chunk(2, 1)
        return shuffle(torch.cat([self.short(passed), self.branch(read)], 1), 2)


class Shufflenet(Network):
    """Stem at stride 4, three stages that halve, global mean, linear head; any picture size.

        C×224×224 → 24×56×56 → stage 2 ×28×28 → stage 3 ×14×14 → stage 4 ×7×7 (→ 1×1 convolution) → mean → outputs

    Args:
        units: of the three stages, one after the other.
        width: channels they end with.
        last: channels of the 1×1 convolution after them, 0 = none.
        channels, outputs: see `omma.models.making.build`.
    """

    def __init__(self, units: list[nn.Module], width: int, last: int, channels: int, outputs: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(Conv(channels, STEM, 3, 2), nn.MaxPool2d(3, 2, 1))
        starts = [sum(REPEATS[:place]) for place in range(len(REPEATS) + 1)]
        self.units = nn.ModuleList(nn.Sequential(*units[a:b]) for a, b in itertools.pairwise(starts))
        self.last = Conv(width, last) if last else nn.Sequential()
        self.head = nn.Linear(last or width, outputs)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B, D, ⌈H / 32⌉, ⌈W / 32⌉)."""
        maps = self.stem(pictures)
        for stage in self.units:
            maps = stage(maps)
        return self.last(maps)

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, D, h, w) → (B, D)."""
        return maps.mean((2, 3))

    def stages(self) -> list[nn.Module]:
        """Stem and stages."""
        return [self.stem, *self.units, *([self.last] if len(self.last) else [])]


def build(name: str, *, channels: int, size: int, outputs: int, groups: int = 3, times: float = 1.0) -> Shufflenet:
    """`shufflenet-v1` (`groups=1|2|3|4|8`) or `shufflenet-v2` (`times=0.5|1|1.5|2`, how wide).

    Raises:
        OmmaError: no such width or number of groups.
    """
    units: list[nn.Module] = []
    inputs, first = STEM, name == "shufflenet-v1"
    if first and groups not in V1:
        raise catalog.unknown("groups", str(groups), [str(one) for one in V1])
    if not first and times not in V2:
        raise catalog.unknown("times", str(times), [str(one) for one in V2])
    widths = (V1[groups], 2 * V1[groups], 4 * V1[groups]) if first else V2[times][:3]
    for width, repeats in zip(widths, REPEATS, strict=True):
        for place in range(repeats):
            stride = 1 if place else 2
            units.append(Grouped(inputs, width, stride, groups) if first else Split(inputs, width, stride))
            inputs = width
    return Shufflenet(units, widths[-1], 0 if first else V2[times][3], channels, outputs)

"""A residual body that sees objects of every size, the pyramid that mixes its levels, and the towers that read them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from omma.parts.unet import norm_of


class Step(nn.Sequential):
    """Convolution, normalisation, ReLU: (B, inputs, h, w) → (B, width, ⌈h / stride⌉, ⌈w / stride⌉)."""

    def __init__(self, inputs: int, width: int, side: int = 3, stride: int = 1, norm: str = "batch") -> None:
        conv = nn.Conv2d(inputs, width, side, stride, side // 2, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        super().__init__(conv, norm_of(norm, width), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two 3×3 convolutions beside a shortcut (He et al. 2016); it starts as the shortcut alone, so that depth costs nothing at first."""

    def __init__(self, inputs: int, width: int, stride: int, norm: str) -> None:
        super().__init__()
        self.first = Step(inputs, width, 3, stride, norm)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(self.second.weight, mode="fan_out", nonlinearity="relu")
        self.norm = norm_of(norm, width)
        nn.init.zeros_(self.norm.weight)  # type: ignore[arg-type]
        self.short: nn.Module = nn.Identity()
        if stride > 1 or inputs != width:
            # Means of 2×2 pixels, not every second one: three quarters of the maps would be lost (He, T. et al. 2019, ResNet-D).
            conv = nn.Conv2d(inputs, width, 1, bias=False)
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="linear")
            shrink = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False) if stride > 1 else nn.Identity()
            self.short = nn.Sequential(shrink, conv, norm_of(norm, width))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, inputs, h, w) → (B, width, ⌈h / stride⌉, ⌈w / stride⌉)."""
        return (self.norm(self.second(self.first(maps))) + self.short(maps)).relu()


class Body(nn.Module):
    """A small residual network made for training from nothing: plain 3×3 convolutions, which two cores do fastest.

    Args:
        channels: of the pictures.
        widths: channels at strides 4, 8, 16 and 32.
        blocks: residual blocks at each of them.
        norm: `batch` or `group`.
        finest: stride of the finest maps that are given back.
    """

    def __init__(self, channels: int, widths: Sequence[int], blocks: Sequence[int], norm: str = "batch", finest: int = 8) -> None:
        super().__init__()
        self.stem = nn.Sequential(Step(channels, max(8, widths[0] // 2), 3, 2, norm), Step(max(8, widths[0] // 2), widths[0], 3, 2, norm))
        levels = []
        for place, (inputs, width, count) in enumerate(zip((widths[0], *widths), widths, blocks, strict=False)):
            levels.append(
                nn.Sequential(*(Residual(width if i else inputs, width, 2 if place and not i else 1, norm) for i in range(count)))
            )
        self.levels = nn.ModuleList(levels)
        self.strides = [stride for stride in (4, 8, 16, 32) if stride >= finest]
        self.widths = list(widths)[-len(self.strides) :]

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """(B, C, H, W) → maps at `strides`: (B, widths[i], ⌈H / strides[i]⌉, ⌈W / strides[i]⌉)."""
        found, maps = self.stem(pictures), []
        for level in self.levels:
            found = level(found)
            maps.append(found)
        return maps[-len(self.strides) :]

    def stages(self) -> list[nn.Module]:
        """From input to output."""
        return [self.stem, *self.levels]


class Pyramid(nn.Module):
    """Every level told what the others see: coarse to fine (FPN, Lin et al. 2017), then fine to coarse (PAN, Liu et al. 2018).

    Levels are added, not laid side by side: half the arithmetic.

    Args:
        inputs: channels of the maps, fine to coarse.
        width: channels of what is given back.
        norm: `batch` or `group`.
    """

    def __init__(self, inputs: Sequence[int], width: int, norm: str = "batch") -> None:
        super().__init__()
        self.laterals = nn.ModuleList(Step(count, width, 1, 1, norm) for count in inputs)
        self.down = nn.ModuleList(Step(width, width, 3, 1, norm) for _ in inputs[:-1])
        self.shrink = nn.ModuleList(Step(width, width, 3, 2, norm) for _ in inputs[:-1])
        self.up = nn.ModuleList(Step(width, width, 3, 1, norm) for _ in inputs[:-1])

    def forward(self, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """(B, inputs[i], hᵢ, wᵢ) fine to coarse → (B, width, hᵢ, wᵢ); all but the finest also depend on the finest."""
        found = [lateral(level) for lateral, level in zip(self.laterals, maps, strict=True)]
        for place in reversed(range(len(self.down))):
            above = F.interpolate(found[place + 1], size=found[place].shape[2:], mode="nearest")
            found[place] = self.down[place](found[place] + above)
        return found

    def climb(self, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The second half, fine to coarse, of what `forward` gave."""
        found = list(maps)
        for place, (shrink, up) in enumerate(zip(self.shrink, self.up, strict=True)):
            found[place + 1] = up(found[place + 1] + shrink(found[place]))
        return found


class Tower(nn.Module):
    """3×3 convolutions shared by all levels, each level with normalisations of its own (Lyu et al. 2022): sizes differ, looks do not.

    Args:
        width: channels, in and out.
        depth: convolutions.
        levels: how many.
        norm: `batch` or `group`.
    """

    def __init__(self, width: int, depth: int, levels: int, norm: str = "batch") -> None:
        super().__init__()
        convs = [nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(depth)]
        for conv in convs:
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        self.convs = nn.ModuleList(convs)
        self.norms = nn.ModuleList(nn.ModuleList(norm_of(norm, width) for _ in range(depth)) for _ in range(levels))

    def forward(self, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """(B, width, hᵢ, wᵢ) of every level → the same shapes."""
        return [self._one(level, norms) for level, norms in zip(maps, self.norms, strict=True)]

    def _one(self, maps: torch.Tensor, norms: nn.Module) -> torch.Tensor:
        for conv, norm in zip(self.convs, norms, strict=True):  # type: ignore[call-overload]
            maps = norm(conv(maps)).relu()
        return maps


def grid(sizes: Sequence[tuple[int, int]], strides: Sequence[int], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the points of all levels lie in the frame: (A, 2) x, y in pixels, and (A,) strides; A = Σ hᵢ · wᵢ, row by row."""
    points, steps = [], []
    for (height, width), stride in zip(sizes, strides, strict=True):
        y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) * stride
        x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) * stride
        points.append(torch.stack([x[None].expand(height, -1), y[:, None].expand(-1, width)], -1).reshape(-1, 2))
        steps.append(torch.full((height * width,), float(stride), device=device))
    return torch.cat(points), torch.cat(steps)

"""Flow matching: a U-Net learns which way noise turns into pictures, and is followed in a few steps; no critic, steady learning."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from omma.errors import OmmaError
from omma.models._generator import ROOM, Generator, sound
from omma.words import say

LARGE = 48  # pixels: above, sixteen pixels become one place instead of four
WIDER, WAVES, OFTEN, MOST_STEPS = 4, 16, 1000.0, 1000


class Block(nn.Module):
    """Two 3×3 convolutions beside a shortcut, group norm, SiLU; what it is told scales and shifts between them (Perez et al. 2018).

    (B, inputs, h, w) and (B, told) → (B, width, h, w).
    """

    def __init__(self, inputs: int, width: int, told: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(math.gcd(inputs, 8), inputs), nn.GroupNorm(math.gcd(width, 8), width)
        self.conv1, self.conv2 = nn.Conv2d(inputs, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.told = nn.Linear(told, 2 * width)
        self.past = nn.Conv2d(inputs, width, 1) if inputs != width else nn.Identity()
        nn.init.zeros_(self.conv2.weight)

    def forward(self, maps: torch.Tensor, about: torch.Tensor) -> torch.Tensor:
        scale, shift = self.told(about)[:, :, None, None].chunk(2, 1)
        inner = self.norm2(self.conv1(F.silu(self.norm1(maps)))) * (1 + scale) + shift
        return self.past(maps) + self.conv2(F.silu(inner))


class Ending(nn.Module):
    """The last maps and what they are added to, side by side → pictures 0–1: one step of `share` along the velocity.

    Args:
        width: channels of the maps.
        channels: of the pictures.
        patch: pixels on the side of a place.
        size: of the pictures.
        share: length of the step.
    """

    def __init__(self, width: int, channels: int, patch: int, size: int, share: float) -> None:
        super().__init__()
        self.patch, self.size, self.share = patch, size, share
        self.norm = nn.GroupNorm(math.gcd(width, 8), width)
        self.conv = nn.Conv2d(width, channels * patch**2, 3, padding=1)
        nn.init.zeros_(self.conv.weight)

    def velocity(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, width, h, w) → (B, C·p·p, h, w)."""
        return self.conv(F.silu(self.norm(maps))).float()

    def forward(self, both: torch.Tensor) -> torch.Tensor:
        """(B, C·p·p + width, h, w) → (B, C, size, size)."""
        state, maps = both.split([self.conv.out_channels, self.conv.in_channels], 1)
        drawn = F.pixel_shuffle(state.float() + self.share * self.velocity(maps), self.patch)
        return ((drawn[:, :, : self.size, : self.size] + 1) / 2).clamp(0, 1)


class Flow(Generator):
    """Straight ways from noise to pictures (Lipman et al. 2023; Liu et al. 2023): the network says with which velocity to go on.

    A seed is the noise itself. Inside, a picture lies between -1 and 1 in patches: each place holds the pixels of a small square.

    Args:
        width: channels at the finest of its resolutions; they double with every halving, up to four times as many.
        steps: of the midpoint method, from noise to picture; the network is asked twice in each.
        classes, channels, size: see `Generator`.
    """

    def __init__(self, width: int, steps: int, classes: int, channels: int, size: int) -> None:
        super().__init__(channels * size * size, classes, channels, size)
        self.steps, self.patch = steps, 2 if size <= LARGE else 4
        room, times = -(-size // self.patch), 0
        while room > ROOM:
            room, times = -(-room // 2), times + 1
        self.side = (room << times) * self.patch
        widths, told = [width * min(2**place, WIDER) for place in range(times + 1)], 4 * width
        self.hear = nn.Sequential(nn.Linear(2 * WAVES, told), nn.SiLU(), nn.Linear(told, told))
        self.asked = nn.Linear(classes, told, bias=False) if classes else None
        self.stem = nn.Conv2d(channels * self.patch**2, width, 3, padding=1)
        self.down = nn.ModuleList(Block(one, one, told) for one in widths[:-1])
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise(widths))
        self.middle = nn.ModuleList(Block(widths[-1], widths[-1], told) for _ in range(2))
        self.up = nn.ModuleList(Block(b + a, a, told) for a, b in reversed(list(pairwise(widths))))
        self.head = Ending(width, channels, self.patch, size, 1 / steps)

    def folded(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, size, size) → (B, C·p·p, h, w): zeros at the right and at the bottom where it does not come out even, then patches."""
        more = self.side - self.size
        return F.pixel_unshuffle(F.pad(pictures, (0, more, 0, more)) if more else pictures, self.patch)

    def seen(self, state: torch.Tensor, time: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """The last maps (B, width, h, w).

        Args:
            state: (B, C·p·p, h, w).
            time: (B,), or (1,) for all: 0 is noise, 1 the picture.
            classes: (B, K).
        """
        about = self.hear(waves(time))
        about = F.silu(about if self.asked is None else about + self.asked(classes))
        maps, beside = self.stem(state), []
        for block, shrink in zip(self.down, self.shrink, strict=True):
            beside.append(block(maps, about))
            maps = shrink(beside[-1])
        for block in self.middle:
            maps = block(maps, about)
        for block in self.up:
            maps = block(torch.cat([F.interpolate(maps, scale_factor=2.0, mode="nearest"), beside.pop()], 1), about)
        return maps

    def maps(self, seeds: torch.Tensor) -> torch.Tensor:
        """(B, latent + classes) → (B, C·p·p + width, h, w): where the last step sets out, and the maps that say which way."""
        noise, classes = seeds[:, : self.latent], seeds[:, self.latent :]
        state = self.folded(noise.unflatten(1, (self.channels, self.size, self.size)))

        def ask(state: torch.Tensor, time: float) -> torch.Tensor:
            return self.seen(state, seeds.new_full((1,), time), classes)

        state, ahead, time = nearly(lambda state, time: self.head.velocity(ask(state, time)), state, self.steps)  # type: ignore[operator]
        return torch.cat([state, ask(ahead, time)], 1)

    def lesson(self, pictures: torch.Tensor, classes: torch.Tensor) -> dict[str, torch.Tensor]:
        """{"loss": mean squared error of the velocity, at a moment of its own for each picture}."""
        true = self.folded(2 * pictures - 1)
        noise = self.folded(torch.randn_like(pictures))
        time = torch.rand(len(pictures), device=pictures.device)
        state = torch.lerp(noise, true, time[:, None, None, None])
        said = self.head.velocity(self.seen(state, time, classes))  # type: ignore[operator]
        return {"loss": (said - (true - noise)).square().mean()}

    def stages(self) -> list[nn.Module]:
        way = [self.hear, self.asked, self.stem, *(part for pair in zip(self.down, self.shrink, strict=True) for part in pair)]
        return [part for part in [*way, *self.middle, *self.up] if part is not None]

    def dead_ends(self) -> list[nn.Module]:
        """All: what is told to a block is cut into halves, and maps are joined with others."""
        return [module for module in self.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def nearly(
    velocity: Callable[[torch.Tensor, float], torch.Tensor], state: torch.Tensor, steps: int
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """The midpoint method from time 0 to 1, all but its last question: (state that the last step sets out from, where and when to ask).

    Args:
        velocity: of a state, at a time.
        state: at time 0.
        steps: one at least.
    """
    each = 1 / steps
    for step in range(steps):
        ahead, time = state + each / 2 * velocity(state, step * each), (step + 0.5) * each
        if step < steps - 1:
            state = state + each * velocity(ahead, time)
    return state, ahead, time


def waves(time: torch.Tensor) -> torch.Tensor:
    """(B,) moments, 0–1 → (B, 2 · WAVES): sines and cosines from slow to fast (Vaswani et al. 2017)."""
    speeds = torch.exp(torch.linspace(0.0, math.log(OFTEN), WAVES, device=time.device))
    turns = time[:, None] * speeds
    return torch.cat([turns.sin(), turns.cos()], 1)


def build(name: str, *, channels: int, size: int, outputs: int, width: int = 48, steps: int = 8) -> Flow:
    """`flow`.

    Args:
        width: channels at the finest of its resolutions.
        steps: from noise to picture.
        outputs: classes that can be asked for; 0 = none.
        channels, size: of the pictures, any size from 8 pixels.

    Raises:
        OmmaError: the pictures are too small, or the settings make no network.
    """
    sound(size, width)
    if not 1 <= steps <= MOST_STEPS:
        raise OmmaError(say("models.steps", steps=steps, most=MOST_STEPS))
    return Flow(width, steps, outputs, channels, size)

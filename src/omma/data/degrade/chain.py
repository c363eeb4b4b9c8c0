"""`blur:0.5-2+reduce:4+noise:0-20`: what is done to a good picture, step by step, in words people write into a recipe."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch

from omma.data import chance
from omma.data.degrade import light, noise
from omma.data.degrade.blur import blur
from omma.data.degrade.jpeg import jpeg
from omma.data.degrade.reduce import reduce
from omma.errors import OmmaError
from omma.words import say

SCALES = (2, 3, 4, 8)
AIR = (0.8, 1.0)  # brightness of the air in haze
STRIDE = 8  # numbers of draws set aside for each step of a chain

At = Callable[[int], tuple[int, int, torch.Tensor, int]]  # a draw of a step → what `chance` asks for


class Draw(IntEnum):
    """What a draw is for; after those of `data.variation.vary.Draw`. The steps of a chain have them one after the other, see `STRIDE`."""

    LEVEL = 64
    FIELD = 65
    READ = 66
    AIR = 67


@dataclass(frozen=True)
class _Kind:
    """A step people can name.

    Args:
        run: (B, C, H, W) pictures and (B,) levels → pictures.
        low, high: the least and the greatest level that makes sense.
        usual: the range where none is written.
        whole: levels are whole numbers.
        settles: results are whole numbers from 0 to 255.
        evenly: levels are drawn evenly; else their logarithms are.
    """

    run: Callable[[torch.Tensor, torch.Tensor, At], torch.Tensor]
    low: float
    high: float
    usual: tuple[float, float] | None
    whole: bool = False
    settles: bool = False
    evenly: bool = True


def _haze(pictures: torch.Tensor, level: torch.Tensor, at: At) -> torch.Tensor:
    """`light.haze` in air that is drawn, too."""
    return light.haze(pictures, level, AIR[0] + (AIR[1] - AIR[0]) * chance.uniform(*at(Draw.AIR)))


def _photons(pictures: torch.Tensor, level: torch.Tensor, at: At) -> torch.Tensor:
    """`noise.photons`, whose two noises are drawn apart."""
    return noise.photons(pictures, level, *at(Draw.FIELD), read=at(Draw.READ)[-1])


_KINDS = {
    "noise": _Kind(lambda pictures, level, at: noise.normal(pictures, level, *at(Draw.FIELD)), 0, 200, (0, 55)),
    "photons": _Kind(_photons, 1, 10000, (10, 100), evenly=False),
    "blur": _Kind(lambda pictures, level, at: blur(pictures, level), 0.1, 10, (0.5, 2.5)),
    "reduce": _Kind(lambda pictures, level, at: reduce(pictures, int(level[0])), SCALES[0], SCALES[-1], None, whole=True, settles=True),
    "jpeg": _Kind(lambda pictures, level, at: jpeg(pictures, level), 1, 100, (10, 60), whole=True, settles=True),
    "dark": _Kind(lambda pictures, level, at: light.dark(pictures, level), 0.01, 1, (0.1, 0.4)),
    "flat": _Kind(lambda pictures, level, at: light.flat(pictures, level), 0.05, 1, (0.3, 0.7)),
    "haze": _Kind(_haze, 0.05, 1, (0.3, 0.8)),
}


@dataclass(frozen=True)
class Step:
    """One degradation and the range its level is drawn from, for each picture anew."""

    name: str
    low: float
    high: float

    @property
    def text(self) -> str:
        """As `parse` reads it."""
        return f"{self.name}:{_plain(self.low)}" + (f"-{_plain(self.high)}" if self.high > self.low else "")

    def drawn(self, at: At) -> torch.Tensor:
        """(B,) float32 levels."""
        kind, level = _KINDS[self.name], chance.uniform(*at(Draw.LEVEL))
        if kind.whole:
            return (self.low + level * (self.high - self.low + 1)).floor().clamp_max(self.high)
        if kind.evenly:
            return self.low + level * (self.high - self.low)
        # In double precision: a power's last bits depend on where in a batch it is taken.
        return (self.low * (self.high / self.low) ** level.double()).float()


@dataclass(frozen=True)
class Chain:
    """Steps one after the other; `parse` makes it. What becomes of a picture depends on no other picture of its batch."""

    steps: tuple[Step, ...]

    @property
    def text(self) -> str:
        """In one spelling, which `parse` reads."""
        return "+".join(step.text for step in self.steps)

    @property
    def scale(self) -> int:
        """How many times smaller pictures become."""
        return math.prod(int(step.low) for step in self.steps if step.name == "reduce")

    @property
    def levels(self) -> tuple[float, float] | None:
        """The least and the greatest deviation of its normal noise, levels; None without such a step. See `facts` of a call."""
        found = [step for step in self.steps if step.name == "noise"]
        return (math.hypot(*(step.low for step in found)), math.hypot(*(step.high for step in found))) if found else None

    @property
    def whole(self) -> bool:
        """Whether results are whole numbers from 0 to 255."""
        return _KINDS[self.steps[-1].name].settles

    def __call__(self, clean: torch.Tensor, index: torch.Tensor, epoch: int, seed: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Make good pictures bad.

        Args:
            clean: (B, C, H, W) float32, 0–255; H and W are multiples of `scale`. JPEG wants C = 1 or 3.
            index: (B,) int64, places in the dataset, on the device of `clean`.
            epoch, seed: with the index, all that chance depends on.

        Returns:
            (B, C, H / scale, W / scale) float32, the scale of 0–255, neither clipped nor rounded where the last step does not; and facts:
            "noise", (B,) float32, the deviation of normal noise that was drawn, levels; of several such steps the root of their squares.
        """
        assert clean.shape[2] % self.scale == 0 and clean.shape[3] % self.scale == 0, f"{tuple(clean.shape)} by {self.scale}"
        pictures = clean
        facts: dict[str, torch.Tensor] = {}
        for place, step in enumerate(self.steps):

            def at(draw: int, place: int = place) -> tuple[int, int, torch.Tensor, int]:
                return seed, epoch, index, int(draw) + STRIDE * place

            level = step.drawn(at)
            pictures = _KINDS[step.name].run(pictures, level, at)
            if step.name == "noise":
                facts["noise"] = facts["noise"].hypot(level) if "noise" in facts else level
        return pictures, facts


def parse(text: str) -> Chain:
    """Steps joined by +, each `name`, `name:LEVEL` or `name:LOW-HIGH`.

    noise    σ of normal noise, levels of 255         0–55 where no range is written
    photons  photons at white; see `noise.photons`    10–100, their logarithm drawn evenly
    blur     σ of a Gaussian, pixels                  0.5–2.5
    reduce   bicubic, by 2, 3, 4 or 8; once at most   to be written
    jpeg     quality                                  10–60
    dark     share of the light that is left          0.1–0.4
    flat     share of the contrast that is left       0.3–0.7
    haze     share of the scene seen through it       0.3–0.8

    Raises:
        OmmaError: a step or a level that is none of these.
    """
    words = [word.strip() for word in text.split("+")]
    if not any(words):
        raise OmmaError(say("degrade.empty", known=_known()))
    steps = tuple(_step(word) for word in words)
    if sum(step.name == "reduce" for step in steps) > 1:
        raise OmmaError(say("degrade.twice", text=_short(text), known=_known_scales()))
    return Chain(steps)


def _step(word: str) -> Step:
    """One step, or a line that says what is allowed."""
    name, colon, levels = (part.strip() for part in word.partition(":"))
    if name not in _KINDS:
        raise OmmaError(say("degrade.unknown", name=_short(name), known=_known()))
    kind, shown = _KINDS[name], _short(word)
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(?:\s*-\s*([0-9]+(?:\.[0-9]+)?))?", levels)
    bounds = {"step": shown, "name": name, "low": _plain(kind.low), "high": _plain(kind.high)}
    if name == "reduce" and levels not in map(str, SCALES):
        raise OmmaError(say("degrade.scale", step=shown, known=_known_scales()))
    if not colon and kind.usual:
        return Step(name, *map(float, kind.usual))
    if not found:
        raise OmmaError(say("degrade.number", **bounds))
    low, high = float(found[1]), float(found[2] or found[1])
    if low > high:
        raise OmmaError(say("degrade.reversed", step=shown, name=name, low=_short(found[2]), high=_short(found[1])))
    if low < kind.low or high > kind.high:
        raise OmmaError(say("degrade.limits", **bounds))
    if kind.whole and not (low.is_integer() and high.is_integer()):
        raise OmmaError(say("degrade.whole", **bounds))
    return Step(name, low, high)


def _plain(value: float) -> str:
    """The shortest digits that mean this number, without an exponent."""
    return np.format_float_positional(value, trim="-")


def _known() -> str:
    return ", ".join(_KINDS)


def _known_scales() -> str:
    return ", ".join(map(str, SCALES))


def _short(word: str) -> str:
    """What a person wrote, as far as a line has room for it."""
    return word if len(word) <= 60 else f"{word[:59]}…"

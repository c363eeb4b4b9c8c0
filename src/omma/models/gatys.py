"""A picture that is itself optimised until an encoder sees the style in it (Gatys et al. 2016): slow, and nothing is learned."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from omma import catalog
from omma.errors import NotMeaningful
from omma.models._restorer import sound
from omma.models._styled import Styled, bare, fill
from omma.models.eyes import RANDOM, Eyes
from omma.parts.style import coarser, from_content, from_style, told_content, variation
from omma.words import say

NAMES = {"gatys": "optimises each picture anew until it has the style: any style, minutes a picture, nothing is learned"}
HOW = ("adam", "lbfgs")
INNER = 10  # steps of L-BFGS after which values are brought back to 0–1
COARSER = (4, 2, 1)  # how many times reduced a picture is optimised first, and then (Gatys et al. 2017)
LEAST = 48  # pixels of a shorter side that is worth it


class Gatys(Styled):
    """The picture is what is optimised, from itself on; one after the other, so that none depends on its neighbours.

    It begins reduced, and what changed is enlarged and goes on; of a picture longer than `most` it ends so: memory and time have an end.

    Args:
        looks: how the encoder is built, see `looks_of`.
        steps: of the optimiser.
        how: `adam`, or `lbfgs` as in the paper, with more memory.
        pace: Adam's rate, of 0–1.
        most: pixels of a longer side.
        channels, styles, painting: see `Styled`.
    """

    free, optimises, at_once = True, True, True

    def __init__(self, looks: str, steps: int, how: str, pace: float, most: int, channels: int, styles: int, painting: int) -> None:
        super().__init__(channels, styles, painting)
        self.steps, self.how, self.pace, self.most = steps, how, pace, most
        self.eyes = bare(looks)
        self.head = nn.Identity()

    def maps(self, pictures: torch.Tensor, mix: torch.Tensor | None = None) -> torch.Tensor:
        return coarser(self.eyes.maps(pictures))[-1]

    def still(self) -> nn.Module:
        return nn.Identity()  # never in parts

    def look_through(self, encoder: Eyes) -> None:
        fill(self.eyes, encoder)

    def losses(self, made: torch.Tensor, pictures: torch.Tensor, mix: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """What is made small, of (1, C, h, w) pictures, 0–1, by name and weighed."""
        mix = self.mix[None] if mix is None else mix
        with torch.no_grad():
            wanted = told_content(coarser(self.eyes.maps(pictures)))
        seen = coarser(self.eyes.maps(made))
        content, style, smooth = self.balance
        return {
            "content": content * from_content(told_content(seen), wanted).mean(),
            "style": style * from_style(seen, self.texture(self.eyes).mixed(mix)).mean(),
            "smooth": smooth * variation(made).mean(),
        }

    def paint(self, pictures: torch.Tensor, mix: torch.Tensor) -> torch.Tensor:
        """Raises: NotMeaningful: it is asked how the answer depends on the picture."""
        if pictures.requires_grad:
            raise NotMeaningful(say("stylize.optimised.explain"))
        with torch.inference_mode(False), torch.enable_grad():
            made = [self._painted(one[None].clone(), mix[min(row, len(mix) - 1)][None].clone()) for row, one in enumerate(pictures)]
        return torch.cat(made)

    def _painted(self, picture: torch.Tensor, mix: torch.Tensor) -> torch.Tensor:
        """(1, C, h, w) → the same: reduced first, where an encoder sees larger strokes, then finer and finer."""
        share = min(1.0, self.most / max(picture.shape[2:]))
        sizes = [share / step for step in COARSER if share / step * min(picture.shape[2:]) >= LEAST] or [share]
        sizes = sizes if self.steps >= 10 * len(sizes) else sizes[-1:]
        change = torch.zeros_like(picture)
        for size in sizes:
            sides = [max(1, round(length * size)) for length in picture.shape[2:]]
            small = _scaled(picture, sides)
            change = self._optimised(small, (small + _scaled(change, sides)).clamp(0, 1), mix, -(-self.steps // len(sizes))) - small
        return picture + _scaled(change, list(picture.shape[2:]))

    def _optimised(self, picture: torch.Tensor, start: torch.Tensor, mix: torch.Tensor, steps: int) -> torch.Tensor:
        """A picture painted from a start on; without chance, so that the same picture has one answer."""
        made = start.clone(memory_format=torch.contiguous_format).requires_grad_(True)
        inner = INNER if self.how == "lbfgs" else 1
        optimizer: torch.optim.Optimizer = (
            torch.optim.LBFGS([made], max_iter=inner, history_size=20, line_search_fn="strong_wolfe")
            if self.how == "lbfgs"
            else torch.optim.Adam([made], self.pace)
        )

        def look() -> torch.Tensor:
            optimizer.zero_grad()
            told = sum(self.losses(made, picture, mix).values(), torch.zeros((), device=made.device))
            told.backward()
            return told

        closure: Callable[[], torch.Tensor] = look
        turns = -(-steps // inner)
        for turn in range(turns):
            if self.how == "adam":  # its steps are as long wherever a pixel is: without an end to them they leave speckles
                optimizer.param_groups[0]["lr"] = self.pace * 0.5 * (1 + math.cos(math.pi * turn / turns))
            optimizer.step(closure)  # type: ignore[arg-type]
            with torch.no_grad():
                made.clamp_(0, 1)
        return made.detach()


def _scaled(pictures: torch.Tensor, sides: list[int]) -> torch.Tensor:
    """(B, C, h, w) → (B, C, *sides)."""
    if list(pictures.shape[2:]) == sides:
        return pictures
    return F.interpolate(pictures, sides, mode="bicubic", antialias=True, align_corners=False)


def build(
    name: str,
    *,
    channels: int,
    size: int,
    outputs: int,
    looks: str = RANDOM,
    steps: int = 300,
    how: str = "adam",
    pace: float = 0.05,
    most: int = 512,
    styles: int = 1,
    painting: int = 256,
) -> Gatys:
    """`gatys`; `looks` says how its encoder is built. `outputs` is not used: as many channels come out as go in.

    Raises:
        OmmaError: no such encoder or optimiser.
    """
    if how not in HOW:
        raise catalog.unknown("how", how, list(HOW))
    sound(steps, most, most=100_000)
    return Gatys(looks, steps, how, pace, most, channels, styles, painting)

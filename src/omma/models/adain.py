"""A network that paints in any style: an encoder's features take on another picture's mean and deviation (Huang & Belongie 2017)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from omma.errors import OmmaError
from omma.models._restorer import cut, whole
from omma.models._styled import Norm, Styled, bare, fill, shortened
from omma.models.eyes import RANDOM, Eyes
from omma.parts.style import coarser, exact, from_content, from_moments, moments, variation
from omma.words import say

NAMES = {"adain": "paints in any style, given with the picture: a frozen encoder and a decoder that is learned"}
ALIKE = 0.5  # share of the lessons that show a style as it is; the others show parts of it, turned, in other colours


class Adain(Styled):
    """Encoder, frozen; the features' mean and deviation become the style's; a decoder that mirrors the encoder.

    `strength` mixes features before they are decoded: at 0 a picture comes out as the decoder draws it.

    Args:
        looks: how the encoder is built, see `looks_of`; its weights are part of this network's own.
        channels, styles, painting: see `Styled`.
    """

    free = True
    centre: torch.Tensor
    spread: torch.Tensor

    def __init__(self, looks: str, channels: int, styles: int, painting: int) -> None:
        super().__init__(channels, styles, painting)
        self.eyes = shortened(bare(looks))
        with torch.no_grad():
            shapes = [one.shape for one in coarser(self.eyes.maps(self.eyes.mean.new_zeros(1, 3, 64, 64)))]
        steps = [64 // shape[2] for shape in shapes]
        if any(step * shape[2] != 64 for step, shape in zip(steps, shapes, strict=True)) or self.eyes.size is not None:
            raise OmmaError(say("stylize.no_mirror", name=looks.partition(" ")[0]))
        self.step, widths = steps[-1], [shape[1] for shape in shapes]
        self.norm = Norm(widths[-1], 0)
        self.register_buffer("centre", torch.zeros(styles, widths[-1]))
        self.register_buffer("spread", torch.ones(styles, widths[-1]))
        layers: list[nn.Module] = []
        for level in range(len(widths) - 1, 0, -1):
            layers += [_conv(widths[level], widths[level - 1]), nn.ReLU(), _enlarge(steps[level] // steps[level - 1])]
            layers += [_conv(widths[level - 1], widths[level - 1]), nn.ReLU()]
        if steps[0] > 1:
            layers += [_enlarge(steps[0]), _conv(widths[0], widths[0]), nn.ReLU()]
        self.decoder = nn.Sequential(*layers)
        self.head = _conv(widths[0], channels)
        nn.init.constant_(self.head.bias, 0.5)  # type: ignore[arg-type]

    def features_of(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """(B, C, h, w), 0–1 → the encoder's maps by level."""
        return coarser(self.eyes.maps(pictures))

    def dressed(self, features: torch.Tensor, centre: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
        """Features (B, C, h, w) with a mean and a deviation of (1 or B, C): adaptive instance normalisation."""
        return self.norm(features) * spread[..., None, None] + centre[..., None, None]

    def maps(self, pictures: torch.Tensor, mix: torch.Tensor | None = None) -> torch.Tensor:
        mix = self.mix[None] if mix is None else mix
        seen = self.features_of(whole(pictures, self.step))[-1]
        worn = self.dressed(seen, mix @ self.centre, mix @ self.spread)
        return self.decoder(seen + self.strength * (worn - seen))

    def paint(self, pictures: torch.Tensor, mix: torch.Tensor) -> torch.Tensor:
        return cut(super().paint(pictures, mix), pictures)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.coloured(self.paint(pictures, self.mix[None]), pictures)

    def look_through(self, encoder: Eyes) -> None:
        fill(self.eyes, encoder)

    @torch.no_grad()
    def learned(self) -> None:
        told = [moments(self.features_of(one[None].float() / 255)[-1]) for one in self.paintings]
        self.centre = torch.cat([mean for mean, _ in told])
        self.spread = torch.cat([spread for _, spread in told])

    def lesson(self, pictures: torch.Tensor, draws: torch.Tensor, encoder: Eyes) -> dict[str, torch.Tensor]:
        """Each picture in a style of its own: one that is kept, or a part of it in other colours, so that others are met too."""
        with torch.no_grad():
            styles = examples(self.paintings, draws, self.step)
            wanted = [moments(one.float()) for one in self.features_of(styles)]
            worn = self.dressed(self.features_of(whole(pictures, self.step))[-1], *wanted[-1])
        made = self.head(self.drop(self.decoder(worn))).float()
        seen = [one.float() for one in self.features_of(made)]
        content, style, smooth = self.balance
        with exact(made):
            return {
                "content": content * from_content(seen[-1], worn.float()).mean(),
                "style": style * from_moments(seen, wanted).mean(),
                "smooth": smooth * variation(made).mean(),
            }


def examples(paintings: torch.Tensor, draws: torch.Tensor, step: int) -> torch.Tensor:
    """(K, 3, P, P) uint8 and (B, 8) chance → (B, 3, S, S), 0–1: a painting each, half of them a part, turned, in other colours."""
    place = (draws[:, 0] * len(paintings)).long().clamp_max(len(paintings) - 1)
    chosen = paintings[place].float() / 255
    varied = draws[:, 1] >= ALIKE
    share = torch.where(varied, 0.3 + 0.7 * draws[:, 2], torch.ones_like(draws[:, 2]))
    turn = torch.where(varied, (draws[:, 3] * 4).floor(), torch.zeros_like(share)) * (torch.pi / 2)
    left, top = ((1 - share) * (2 * draws[:, i] - 1) for i in (4, 5))
    cos, sin = turn.cos() * share, turn.sin() * share
    theta = torch.stack([torch.stack([cos, -sin, left], 1), torch.stack([sin, cos, top], 1)], 1)
    side = max(step, paintings.shape[2] // 2 // step * step)
    grid = F.affine_grid(theta, [len(draws), 3, side, side], align_corners=False)
    cut_out = F.grid_sample(chosen, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    orders = torch.tensor([(0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1), (2, 1, 0), (1, 0, 2)], device=paintings.device)
    order = orders[torch.where(varied, (draws[:, 6] * 6).long().clamp_max(5), torch.zeros_like(place))]
    mixed = cut_out.gather(1, order[:, :, None, None].expand_as(cut_out))
    other = (varied & (draws[:, 7] > 0.5))[:, None, None, None]
    return torch.where(other, 1 - mixed, mixed)


def _conv(inputs: int, width: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, width, 3, padding=1, padding_mode="replicate")


def _enlarge(times: int) -> nn.Module:
    return nn.Upsample(scale_factor=float(times), mode="nearest") if times > 1 else nn.Identity()


def build(name: str, *, channels: int, size: int, outputs: int, looks: str = RANDOM, styles: int = 1, painting: int = 256) -> Adain:
    """`adain`; `looks` says how its encoder is built. `outputs` is not used: as many channels come out as go in.

    Raises:
        OmmaError: no such encoder, or one that no decoder can mirror.
    """
    return Adain(looks, channels, styles, painting)

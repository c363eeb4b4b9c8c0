"""A network that paints at once in the styles it has learned (Johnson et al. 2016; several: Dumoulin et al. 2017)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from omma.models._restorer import cut, sound, whole
from omma.models._styled import Norm, Styled
from omma.models.eyes import Eyes
from omma.parts.style import coarser, exact, from_content, from_style, told_content, variation

NAMES = {
    "johnson": "paints in the styles it has learned, 1.7 M weights",
    "johnson-half": "the same at half the width, four times as fast, 0.4 M weights",
}
WIDTHS = {"johnson": 32, "johnson-half": 16}
STEP = 4  # pixels that become one where it is coarsest


class Stroke(nn.Module):
    """A convolution and its norm; (B, C, h, w), mix → (B, width, h / stride, w / stride).

    Borders are repeated: mirrored ones, as in the paper, would ask for pictures larger than half a kernel.
    """

    def __init__(self, inputs: int, width: int, side: int, styles: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, width, side, stride, side // 2, padding_mode="replicate", bias=False)
        self.norm = Norm(width, styles)

    def forward(self, maps: torch.Tensor, mix: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(maps), mix)


class Block(nn.Module):
    """Two of them beside a shortcut, no ReLU after the sum (Johnson et al. 2016)."""

    def __init__(self, width: int, styles: int) -> None:
        super().__init__()
        self.first, self.second = Stroke(width, width, 3, styles), Stroke(width, width, 3, styles)

    def forward(self, maps: torch.Tensor, mix: torch.Tensor) -> torch.Tensor:
        return maps + self.second(F.relu(self.first(maps, mix)), mix)


class Johnson(Styled):
    """Halved twice, five residual blocks, doubled twice; instance normalisation (Ulyanov et al. 2017), one scale and shift per style.

    Doubling repeats pixels before a convolution, since transposed ones leave a chequered pattern (Odena et al. 2016).

    Args:
        width: channels at full size; twice and four times as many where it is coarser.
        blocks: residual ones.
        channels, styles, painting: see `Styled`.
    """

    def __init__(self, width: int, blocks: int, channels: int, styles: int, painting: int) -> None:
        super().__init__(channels, styles, painting)
        self.stem = Stroke(channels, width, 9, styles)
        self.down = nn.ModuleList([Stroke(width, 2 * width, 3, styles, 2), Stroke(2 * width, 4 * width, 3, styles, 2)])
        self.body = nn.ModuleList(Block(4 * width, styles) for _ in range(blocks))
        self.up = nn.ModuleList([Stroke(4 * width, 2 * width, 3, styles), Stroke(2 * width, width, 3, styles)])
        self.head = nn.Conv2d(width, channels, 9, padding=4, padding_mode="replicate")

    def maps(self, pictures: torch.Tensor, mix: torch.Tensor | None = None) -> torch.Tensor:
        mix = self.mix[None] if mix is None else mix
        found = F.relu(self.stem(whole(pictures, STEP), mix))
        for stroke in self.down:
            found = F.relu(stroke(found, mix))
        for block in self.body:
            found = block(found, mix)
        for stroke in self.up:
            found = F.relu(stroke(F.interpolate(found, scale_factor=2.0, mode="nearest"), mix))
        return found

    def paint(self, pictures: torch.Tensor, mix: torch.Tensor) -> torch.Tensor:
        # A little beyond black and white, which are reached so.
        return cut(0.5 + 0.6 * torch.tanh(super().paint(pictures, mix)), pictures)

    def lesson(self, pictures: torch.Tensor, draws: torch.Tensor, encoder: Eyes) -> dict[str, torch.Tensor]:
        """Each picture in one of the styles, which an encoder compares with the picture and with the style (perceptual losses)."""
        count = len(self.mix)
        mix = F.one_hot((draws[:, 0] * count).long().clamp_max(count - 1), count).to(pictures)
        made = self.paint(pictures, mix).float()
        seen = [one.float() for one in coarser(encoder.maps(made))]
        with torch.no_grad():
            wanted = told_content(coarser(encoder.maps(pictures))).float()
        content, style, smooth = self.balance
        with exact(made):
            return {
                "content": content * from_content(told_content(seen), wanted).mean(),
                "style": style * from_style(seen, self.texture(encoder).mixed(mix)).mean(),
                "smooth": smooth * variation(made).mean(),
            }


def build(
    name: str,
    *,
    channels: int,
    size: int,
    outputs: int,
    width: int = 0,
    blocks: int = 5,
    styles: int = 1,
    painting: int = 256,
) -> Johnson:
    """`johnson` or `johnson-half`; `width` left open is 32, or 16. `outputs` is not used: as many channels come out as go in.

    Raises:
        OmmaError: a shape that makes no network.
    """
    width = width or WIDTHS[name]
    sound(blocks, width)
    return Johnson(width, blocks, channels, styles, painting)

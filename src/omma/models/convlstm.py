"""A classifier of clips on a convolutional LSTM (Shi et al. 2015); a single picture it reads band by band, as one reads lines."""

from __future__ import annotations

import torch
from torch import nn

from omma.errors import OmmaError
from omma.models.network import Network
from omma.parts.classics.convlstm import Encoder
from omma.words import say

NAMES = {"convlstm": "convolutional LSTM (Shi et al. 2015) that classifies clips, or pictures read band by band, 128-64-64, 3.9 M weights"}


class Convlstm(Network):
    """Patches → a convolutional LSTM over the moments → the mean of its last hidden maps → linear head.

        (B, T·c, S, S) → T × (c·p²)×(S/p)×(S/p) → 128, 64, 64 hidden maps → mean → outputs

    A clip comes as a picture whose channels are its frames, one after the other. A single picture is cut into bands of `rows` rows, which
    are read from top to bottom; its maps then are those of the last band, with what the memory holds of the others.

    Args:
        frames: T, of the clips; 1 = single pictures.
        rows: of a band, where T is 1.
        patch: pixels a side that are read as one place with p² times as many channels (the paper's 4).
        widths: of the layers.
        kernel: side of the convolutions between states.
        channels, size, outputs: see `omma.models.making.build`.
    """

    def __init__(
        self, frames: int, rows: int, patch: int, widths: tuple[int, ...], kernel: int, channels: int, size: int, outputs: int
    ) -> None:
        super().__init__()
        self.frames, self.rows, self.patches = frames, rows, nn.PixelUnshuffle(patch)
        self.rim = -size % (rows if frames == 1 else patch), -size % patch
        self.encoder = Encoder(channels // frames * patch * patch, widths, kernel)
        self.head = nn.Linear(widths[-1], outputs)

    def moments(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B, T, C / T, H, W) frames, or (B, bands, C, rows, W); below and at the right filled up with zeros."""
        pictures = nn.functional.pad(pictures, (0, self.rim[1], 0, self.rim[0]))
        if self.frames > 1:
            return pictures.unflatten(1, (self.frames, -1))
        return pictures.unflatten(2, (-1, self.rows)).transpose(1, 2)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) → (B, D, h, w): the last hidden maps of the last layer."""
        moments = self.moments(pictures)
        return self.encoder(self.patches(moments.flatten(0, 1)).unflatten(0, (-1, moments.shape[1])))[-1][0]

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, D, h, w) → (B, D)."""
        return maps.mean((2, 3))


def build(
    name: str, *, channels: int, size: int, outputs: int, frames: int = 1, rows: int = 8, patch: int = 4,
    widths: tuple[int, ...] = (128, 64, 64), kernel: int = 5,
) -> Convlstm:  # fmt: skip
    """`convlstm`; `frames=T` for clips.

    Raises:
        OmmaError: channels that are not so many frames, or a setting out of range.
    """
    if frames < 1 or channels % frames:
        raise OmmaError(say("models.frames", channels=channels, frames=frames))
    checked = {
        "patch": (patch, patch in (1, 2, 4, 8), "1, 2, 4, 8"),
        "rows": (rows, rows >= patch and rows % patch == 0 and rows <= size, f"{patch}, {2 * patch} … {size}"),
        "kernel": (kernel, kernel in (1, 3, 5, 7, 9), "1, 3, 5, 7, 9"),
        "widths": (widths, 1 <= len(widths) <= 8 and all(1 <= width <= 4096 for width in widths), "1 – 4096"),
    }
    for key, (value, good, words) in checked.items():
        if not good:
            raise OmmaError(say("models.setting", key=key, value=value, range=words))
    return Convlstm(frames, rows, patch, tuple(widths), kernel, channels, size, outputs)

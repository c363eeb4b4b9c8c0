"""FFDNet: denoises at half the resolution, told how strong the noise is (Zhang et al. 2018); 0.49 M weights, a quarter of the time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F

from omma.models._restorer import Restorer, cut, numbered, possible, sound, whole
from omma.models.dncnn import checked, row
from omma.parts.noise_level import noise_level

BAND = 512  # rows whose noise is estimated at once: memory does not grow with the picture
_KEPT = threading.local()  # `levels` of a whole picture while its parts are answered


class Told(nn.Module):
    """A network that hears one level of noise, whatever it is given: what it says depends on what is near alone."""

    def __init__(self, net: nn.Module, level: float = 25.0) -> None:
        super().__init__()
        self.net, self.level = net, level

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.net(pictures, pictures.new_full((len(pictures),), self.level))


class Ffdnet(Restorer):
    """Four neighbouring pixels become channels, the noise level one more; 3×3 convolutions with ReLU; channels become pixels again.

    Where the level is not told, it is estimated from the picture itself, all of it; parts of a picture hear one level, see `steady`.

    Args:
        depth: convolutions; the paper has 15 for grey, 12 for colour.
        width: channels between them; the paper has 64 for grey, 96 for colour.
        norm: `batch` for learning; `none` for published weights, whose norms are merged into the convolutions.
        channels, scale: see `Restorer`.
    """

    hears_noise = True
    remembers, reduced = True, False  # reducing averages noise away

    def __init__(self, depth: int, width: int, norm: str, channels: int, scale: int) -> None:
        super().__init__(channels, scale)
        self.norm = norm
        self.body = nn.Sequential(*row(4 * channels + 1, width, depth - 1, norm))
        self.head = nn.Conv2d(width, 4 * channels, 3, padding=1)

    def maps(self, pictures: torch.Tensor, level: torch.Tensor | None = None) -> torch.Tensor:
        """(B, C, h, w) → (B, D, ⌈h / 2⌉, ⌈w / 2⌉); `level` as in `forward`."""
        told = self._estimated(pictures) if level is None else level / 255
        small = F.pixel_unshuffle(whole(pictures, 2), 2)
        plane = told.to(small.dtype).view(-1, 1, 1, 1).expand(-1, -1, small.shape[2], small.shape[3])
        return self.body(torch.cat([small, plane], 1))

    def forward(self, pictures: torch.Tensor, level: torch.Tensor | None = None) -> torch.Tensor:
        """(B, C, h, w), 0–1 → the same size.

        Args:
            pictures: noisy.
            level: (B,) deviation of the noise on the scale of 0–255; None: estimated.
        """
        return self.finish(self.head(self.drop(self.maps(pictures, level))), pictures)

    def still(self) -> nn.Module:
        """The network told a level: as far as it looks, parts of a picture must overlap."""
        return Told(self)

    @contextmanager
    def steady(self, picture: torch.Tensor) -> Iterator[None]:
        """Within, and in this thread, parts of a picture hear the level of the whole.

        Args:
            picture: (1, C, H, W), 0–1; of a network of one channel every channel has a level of its own, as it has an answer.
        """
        bands = picture.flatten(0, 1)[:, None] if self.channels == 1 else picture
        found = [(noise_level(band), band.shape[2]) for band in bands.split(BAND, 2)]
        _KEPT.levels = sum(level * rows for level, rows in found) / picture.shape[2]
        try:
            yield
        finally:
            _KEPT.levels = None

    def _estimated(self, pictures: torch.Tensor) -> torch.Tensor:
        kept: torch.Tensor | None = getattr(_KEPT, "levels", None)
        return noise_level(pictures) if kept is None else kept.repeat(len(pictures) // len(kept))

    def finish(self, said: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        return cut(F.pixel_shuffle(said, 2), pictures)

    def _named(self, tensors: dict[str, torch.Tensor], where: str) -> dict[str, torch.Tensor]:
        depth = sum(isinstance(layer, nn.Conv2d) for layer in self.body) + 1
        return numbered(tensors, depth, self.norm == "none", where)


def build(
    name: str, *, channels: int, size: int, outputs: int, scale: int = 1, depth: int = 15, width: int = 64, norm: str = "batch"
) -> Ffdnet:
    """`ffdnet`; `depth` and `width` change its shape. `outputs` is not used: as many channels come out as go in.

    Raises:
        OmmaError: no such scale or norm, or a shape that makes no network.
    """
    sound(depth, width, least=2)
    return Ffdnet(depth, width, checked(norm), channels, possible(name, scale))

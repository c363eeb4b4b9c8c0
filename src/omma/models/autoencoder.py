"""Networks that draw what they see from a few numbers, the code: what they have never learned to draw, they draw wrong."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from omma.errors import OmmaError
from omma.models.network import Network
from omma.words import say

NAMES = {
    "autoencoder": "draws the picture again from a code of a few numbers; convolutions",
    "vae": "the same with codes that are spread like a bell (variational)",
    "autoencoder-dense": "the same with fully connected layers: no place is like another",
    "encoder": "the first half of an autoencoder with a head for classes or numbers: train --task classify --from RUN",
    "encoder-dense": "the same of autoencoder-dense",
}
_WIDTHS = (16, 32, 64, 128, 128)
DEFAULTS = {name: {"widths": (256, 64) if name.endswith("-dense") else _WIDTHS} for name in NAMES}
SMALLEST, MOST_LATENT, MOST_WIDTHS = 8, 4096, 8
ROOM = 6  # halvings go on until at most so many places are left on a side
SURE = 10.0  # log-variances of a code are held within ± this


class Halving(nn.Module):
    """A 3×3 convolution in steps of two, batch norm, GELU."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, width, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, inputs, h, w) → (B, width, ⌈h / 2⌉, ⌈w / 2⌉)."""
        return F.gelu(self.norm(self.conv(maps)))


class Doubling(nn.Module):
    """Each place fourfold, a 3×3 convolution, batch norm, GELU: without the chequers of transposed convolutions (Odena et al. 2016)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, inputs, h, w) → (B, width, 2h, 2w)."""
        return F.gelu(self.norm(self.conv(F.interpolate(maps, scale_factor=2.0, mode="nearest"))))


class Draws(nn.Module):
    """From a code to a picture: (B, latent) → (B, channels, size, size), not clamped.

    The last doubling is four pixels for each place (Shi et al. 2016): half of all the time would go into maps of the full size.
    """

    def __init__(self, latent: int, widths: tuple[int, ...], channels: int, size: int) -> None:
        super().__init__()
        self.size, self.room = size, halved(size, len(widths))
        self.start = nn.Linear(latent, widths[-1] * self.room**2)
        back = tuple(reversed(widths))
        self.steps = nn.Sequential(*(Doubling(a, b) for a, b in pairwise(back)))
        self.end = nn.Conv2d(widths[0], 4 * channels, 3, 1, 1)

    def forward(self, code: torch.Tensor) -> torch.Tensor:
        maps = F.gelu(self.start(code)).unflatten(1, (-1, self.room, self.room))
        return F.pixel_shuffle(self.end(self.steps(maps)), 2)[:, :, : self.size, : self.size]


class Coder(Network):
    """The first half: `maps` by halvings, and from all of them the code, each number of it with mean 0 and deviation 1.

    Args:
        widths: channels after each halving.
        latent: numbers of the code.
        channels, size: see `omma.models.making.build`.
    """

    def __init__(self, widths: tuple[int, ...], latent: int, channels: int, size: int) -> None:
        super().__init__()
        self.channels, self.size = channels, size
        self.body = nn.ModuleList(Halving(a, b) for a, b in zip((channels, *widths), widths, strict=False))
        self.code = nn.Linear(widths[-1] * halved(size, len(widths)) ** 2, latent)
        self.level = nn.BatchNorm1d(latent, affine=False)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        for step in self.body:
            pictures = step(pictures)
        return pictures

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        return self.level(self.code(maps.flatten(1)))

    def stages(self) -> list[nn.Module]:
        return [*self.body, self.code]

    def dead_ends(self) -> list[nn.Module]:
        return [self.head, self.code]


class DenseCoder(Coder):
    """The same by fully connected layers; it has no maps that know places."""

    def __init__(self, widths: tuple[int, ...], latent: int, channels: int, size: int) -> None:
        Network.__init__(self)
        self.channels, self.size = channels, size
        self.body = nn.ModuleList(Layer(a, b) for a, b in pairwise((channels * size * size, *widths)))
        self.code = nn.Linear(widths[-1], latent)
        self.level = nn.BatchNorm1d(latent, affine=False)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) → (B, D, 1, 1): one place, the whole picture."""
        row = pictures.flatten(1)
        for step in self.body:
            row = step(row)
        return row[:, :, None, None]


class Encoder(Coder):
    """A code with a head for classes or numbers; goes on from what an autoencoder has learned from pictures without labels."""

    def __init__(self, widths: tuple[int, ...], latent: int, channels: int, size: int, outputs: int) -> None:
        super().__init__(widths, latent, channels, size)
        self.head = nn.Linear(latent, outputs)


class DenseEncoder(DenseCoder):
    """The same for what `Dense` has learned."""

    def __init__(self, widths: tuple[int, ...], latent: int, channels: int, size: int, outputs: int) -> None:
        super().__init__(widths, latent, channels, size)
        self.head = nn.Linear(latent, outputs)


class Autoencoder(Coder):
    """Convolutions down to a code and up again (Hinton & Salakhutdinov 2006; Masci et al. 2011).

    `forward` reads frames (B, channels, size, size) as they are, 0–1, and draws them again, not clamped; `features` are the code. A
    task may ask `forward(pictures, True)` for everything a loss reads, by name: {"rebuilt": …}.
    """

    gives: ClassVar[str] = "frame"
    # The network that goes on from this one's first half where rows are wanted; see `run/prepare.py`.
    continues: ClassVar[str] = "encoder"

    def __init__(self, widths: tuple[int, ...], latent: int, channels: int, size: int) -> None:
        super().__init__(widths, latent, channels, size)
        self.head = Draws(latent, widths, channels, size)

    def forward(self, pictures: torch.Tensor, whole: bool = False) -> Any:
        """(B, channels, S, S) → the same; with `whole` {"rebuilt": the same}."""
        rebuilt = self.head(self.drop(self.features(pictures)))
        return {"rebuilt": rebuilt} if whole else rebuilt

    def dead_ends(self) -> list[nn.Module]:
        return [self.code, self.head.start, self.head.end]  # type: ignore[list-item]


class Vae(Autoencoder):
    """A code that is a bell for each number: its mean, and how sure it is (Kingma & Welling 2014; Rezende et al. 2014).

    While learning it draws from the bell; afterwards, and in `features`, the code is the mean. `forward(pictures, True)` also gives
    {"divergence": (B,), nats between the bells and those of mean 0 and deviation 1}.
    """

    def __init__(self, widths: tuple[int, ...], latent: int, channels: int, size: int) -> None:
        super().__init__(widths, latent, channels, size)
        self.level = nn.Identity()  # type: ignore[assignment]
        self.spread = nn.Linear(self.code.in_features, latent)

    def forward(self, pictures: torch.Tensor, whole: bool = False) -> Any:
        maps = self.maps(pictures)
        mean = code = self.pool(maps)
        spread = self.spread(maps.flatten(1)).clamp(-SURE, SURE) if whole or self.training else None
        if spread is not None and self.training:
            code = mean + torch.randn_like(mean) * (spread / 2).exp()
        rebuilt = self.head(self.drop(code))
        return {"rebuilt": rebuilt, "divergence": divergence(mean, spread)} if whole and spread is not None else rebuilt


class Dense(DenseCoder):
    """Fully connected layers down to a code and up again (Hinton & Salakhutdinov 2006); `forward` as of `Autoencoder`."""

    gives: ClassVar[str] = "frame"
    continues: ClassVar[str] = "encoder-dense"

    def __init__(self, widths: tuple[int, ...], latent: int, channels: int, size: int) -> None:
        super().__init__(widths, latent, channels, size)
        last, shape = nn.Linear(widths[0], channels * size * size), nn.Unflatten(1, (channels, size, size))
        self.head = nn.Sequential(*(Layer(a, b) for a, b in pairwise((latent, *reversed(widths)))), last, shape)

    def forward(self, pictures: torch.Tensor, whole: bool = False) -> Any:
        """(B, channels, S, S) → the same; with `whole` {"rebuilt": the same}."""
        rebuilt = self.head(self.drop(self.features(pictures)))
        return {"rebuilt": rebuilt} if whole else rebuilt

    def dead_ends(self) -> list[nn.Module]:
        return [self.code, self.head[-2]]  # type: ignore[index]


class Layer(nn.Module):
    """A fully connected layer, batch norm, GELU."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.full = nn.Linear(inputs, width, bias=False)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, row: torch.Tensor) -> torch.Tensor:
        """(B, inputs) → (B, width)."""
        return F.gelu(self.norm(self.full(row)))


def divergence(mean: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """(B,) nats: Kullback–Leibler divergence of bells with (B, D) means and log-variances from those of mean 0 and variance 1."""
    return (mean.square() + spread.exp() - 1 - spread).sum(1) / 2


def halved(size: int, times: int) -> int:
    """A side after so many halvings, rounded up."""
    return -(-size // 2**times)


def needed(widths: tuple[int, ...], size: int) -> tuple[int, ...]:
    """Of these widths as many as it takes until at most `ROOM` places are left on a side; one at least."""
    times = next((times for times in range(1, len(widths)) if halved(size, times) <= ROOM), len(widths))
    return widths[:times]


def build(name: str, *, channels: int, size: int, outputs: int, widths: tuple[int, ...] = (), latent: int = 0) -> Coder:
    """`autoencoder`, `vae`, `autoencoder-dense`, `encoder` or `encoder-dense`.

    Args:
        widths: channels after each halving, of which no more are used than the size needs; of the dense ones the layers before
            the code.
        latent: numbers of the code; 0 = 32, of frames over 48 pixels 64.
        channels, size, outputs: see `omma.models.making.build`; `outputs` matters to encoders alone.

    Raises:
        OmmaError: the pictures are too small, or the settings make no network.
    """
    if size < SMALLEST:
        raise OmmaError(say("models.too_small", size=size, smallest=SMALLEST))
    if len(widths) > MOST_WIDTHS or any(width < 1 for width in widths) or not 0 <= latent <= MOST_LATENT:
        raise OmmaError(say("models.codes", widths="-".join(map(str, widths)), latent=latent))
    widths = tuple(widths) or DEFAULTS[name]["widths"]
    widths = widths if name.endswith("-dense") else needed(widths, size)
    latent = latent or (32 if size <= 48 else 64)
    if name in HEADED:
        return HEADED[name](widths, latent, channels, size, outputs)
    return DRAWING[name](widths, latent, channels, size)


HEADED = {"encoder": Encoder, "encoder-dense": DenseEncoder}
DRAWING = {"autoencoder": Autoencoder, "vae": Vae, "autoencoder-dense": Dense}

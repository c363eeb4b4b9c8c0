"""How pictures were told apart before features were learned: raw pixels, HOG (Dalal & Triggs 2005), SIFT words (Csurka et al. 2004)."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from omma.errors import OmmaError
from omma.models.network import Network
from omma.words import say

NAMES = {
    "pixels": "yardstick: a linear classifier on raw pixels; with loss=cross_entropy logistic regression",
    "hog": "yardstick: histograms of oriented gradients (Dalal & Triggs 2005) and a linear classifier; with loss=hinge a linear SVM",
    "sift-words": "yardstick: a bag of visual words of dense SIFT (Csurka et al. 2004, Lowe 2004) and a linear classifier",
}
TINY = 1e-5


def gradients(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, C, H, W) → (B, H, W) length and direction (radians, −π to π) of the gradient, in each pixel that of the channel with the longest.

    Differences of the two neighbours; zero at the rim.
    """
    down = F.pad(pictures[:, :, 2:] - pictures[:, :, :-2], (0, 0, 1, 1))
    right = F.pad(pictures[:, :, :, 2:] - pictures[:, :, :, :-2], (1, 1))
    length = (down.square() + right.square()).sqrt()
    longest = length.argmax(1, keepdim=True)
    down, right, length = (maps.gather(1, longest)[:, 0] for maps in (down, right, length))
    return length, torch.atan2(down, right)


def oriented(length: torch.Tensor, direction: torch.Tensor, bins: int, turn: float) -> torch.Tensor:
    """(B, H, W) each → (B, bins, H, W): the length, in the map of its direction; `turn` is the angle all bins make up, π or 2π."""
    place = (direction.remainder(turn) / (turn / bins)).long().clamp(0, bins - 1)
    return length[:, None] * (place[:, None] == torch.arange(bins, device=length.device)[:, None, None])


class Fixed(Network):
    """Features that are made by hand, and a linear head that learns: any of this file.

    Args:
        inputs: features.
        outputs: see `omma.models.making.build`.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.head = nn.Linear(inputs, outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, D, h, w) → (B, D·h·w)."""
        return maps.flatten(1)

    def stages(self) -> list[nn.Module]:
        """Nothing but the head learns."""
        return []


class Pixels(Fixed):
    """C×S×S → all of them in a row → outputs."""

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """The picture itself."""
        return pictures


class Hog(Fixed):
    """Histograms of gradient directions in cells, normalised in blocks of 2×2 cells that overlap.

        C×S×S → 9×(S/c)×(S/c) cells → 36×(S/c−1)×(S/c−1) blocks → outputs

    Directions without a sign, each in its bin whole; blocks by L2-Hys: to length 1, values over 0.2 cut, to length 1 again.

    Args:
        cell: pixels a side.
        bins: of directions.
        size, outputs: see `omma.models.making.build`.
    """

    def __init__(self, cell: int, bins: int, size: int, outputs: int) -> None:
        super().__init__(4 * bins * (size // cell - 1) ** 2, outputs)
        self.cell, self.bins = cell, bins

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) → (B, 4·bins, h, w): blocks; a block's cells line by line, their bins within."""
        cells = F.avg_pool2d(oriented(*gradients(pictures), self.bins, math.pi), self.cell)
        blocks = torch.cat([cells[:, :, y : cells.shape[2] - 1 + y, x : cells.shape[3] - 1 + x] for y in (0, 1) for x in (0, 1)], 1)
        blocks = blocks / (blocks.square().sum(1, keepdim=True) + TINY**2).sqrt()
        blocks = blocks.clamp_max(0.2)
        return blocks / (blocks.square().sum(1, keepdim=True) + TINY**2).sqrt()


class SiftWords(Fixed):
    """SIFT on a grid, the nearest of k words at every place, how often each word occurs.

        C×S×S → 128×h×w descriptors → k×h×w words → √ of the histogram → outputs

    A descriptor: 4×4 cells of eight directions around its place, to length 1, cut at 0.2, to length 1 again (Lowe 2004; neither scale nor
    main direction is looked for). Words: k-means over descriptors of the training pictures, before step 1. The root of a histogram is
    compared by its angles (Hellinger).

    Args:
        words: k.
        cell: pixels a side of a descriptor's cells, and between places.
        outputs: see `omma.models.making.build`.
    """

    words: torch.Tensor
    ROUNDS, SEEN = 20, 20_000  # of k-means; descriptors it looks at

    def __init__(self, words: int, cell: int, outputs: int) -> None:
        super().__init__(words, outputs)
        self.cell = cell
        self.register_buffer("words", torch.randn(words, 128))

    def descriptors(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) → (B, 128, h, w), each of length 1, or 0 where nothing changes."""
        cells = F.avg_pool2d(oriented(*gradients(pictures), 8, 2 * math.pi), self.cell)
        high, wide = cells.shape[2] - 3, cells.shape[3] - 3
        found = torch.cat([cells[:, :, y : y + high, x : x + wide] for y in range(4) for x in range(4)], 1)
        found = found / (found.square().sum(1, keepdim=True) + TINY**2).sqrt()
        found = found.clamp_max(0.2)
        return found / (found.square().sum(1, keepdim=True) + TINY**2).sqrt()

    def nearest(self, found: torch.Tensor) -> torch.Tensor:
        """(…, 128) → (…) int64: the word."""
        return (found @ self.words.T - self.words.square().sum(1) / 2).argmax(-1)

    @torch.no_grad()
    def prepare(self, pictures: torch.Tensor) -> None:
        """Find the words among the descriptors of these pictures: k-means from descriptors spread evenly over all of them, no draw."""
        found = self.descriptors(pictures.float()).permute(0, 2, 3, 1).flatten(0, 2)
        found = found[:: max(1, len(found) // self.SEEN)][: self.SEEN]
        count = len(self.words)
        self.words.copy_(found[(torch.arange(count) * len(found) // count) % len(found)])
        for _ in range(self.ROUNDS):
            mine = self.nearest(found)
            sums = torch.zeros_like(self.words).index_add_(0, mine, found)
            members = torch.bincount(mine, minlength=count)[:, None]
            self.words.copy_(torch.where(members > 0, sums / members.clamp_min(1), self.words))

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) → (B, k, h, w): 1 in the map of the word that is said at a place."""
        said = self.nearest(self.descriptors(pictures).permute(0, 2, 3, 1))
        return (said[:, None] == torch.arange(len(self.words), device=said.device)[:, None, None]).to(pictures.dtype)

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, k, h, w) → (B, k): roots of shares, about 1 in the square mean."""
        return (maps.mean((2, 3)) * maps.shape[1] + TINY).sqrt()


def build(name: str, *, channels: int, size: int, outputs: int, cell: int = 0, bins: int = 9, words: int = 256) -> Fixed:
    """`pixels`, `hog` (`cell`, `bins`) or `sift-words` (`cell`, `words`); a cell has 4 pixels a side, 8 in pictures from 64 on.

    Raises:
        OmmaError: a setting out of range, or pictures with too few cells.
    """
    cell = cell or (8 if size >= 64 else 4)
    for key, value, low, high in (("cell", cell, 2, 64), ("bins", bins, 2, 36), ("words", words, 2, 4096)):
        if not low <= value <= high:
            raise OmmaError(say("models.setting", key=key, value=value, range=f"{low} – {high}"))
    least = {"pixels": 1, "hog": 2 * cell, "sift-words": 4 * cell}[name]
    if size < least:
        raise OmmaError(say("models.too_small", size=size, smallest=least))
    if name == "pixels":
        return Pixels(channels * size * size, outputs)
    return Hog(cell, bins, size, outputs) if name == "hog" else SiftWords(words, cell, outputs)

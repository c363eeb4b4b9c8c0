"""What networks that draw pictures from chance have in common."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from omma.errors import OmmaError
from omma.models.network import Network
from omma.parts.drawing.groups import Groups
from omma.words import say

SMALLEST, MOST_WIDE, MOST_LATENT = 8, 4096, 4096
ROOM = 7  # halvings go on until at most so many places are left on a side: 28 pixels become 7, 64 become 4
WIDER = 8  # times as many channels as at the finest resolution there are at most


class Generator(Network):
    """From seeds (B, latent + classes), see `parts/drawing/seeds.py`, to pictures (B, channels, size, size), 0–1.

    A subclass writes `maps`, from seeds to the last feature maps, and sets `head`, from these to a picture; `game` says how it learns:
    against a critic, see `parts/drawing/rivalry.py`, or, where it is "", by `lesson` alone.

    Args:
        latent: numbers of chance a picture is drawn from.
        classes: how many can be asked for; 0 where pictures have none.
        channels, size: of the pictures.
        kinds: how many places chance begins in, see `begin`; as many as there are numbers at most, 0 = one.
        groups: the same, each for a group of pictures that look alike, of which critics are told; not where classes can be asked for.
    """

    gives: ClassVar[str] = "drawn"

    def __init__(self, latent: int, classes: int, channels: int, size: int, kinds: int = 0, groups: int = 0) -> None:
        super().__init__()
        self.latent, self.classes, self.channels, self.size = latent, classes, channels, size
        groups = 0 if classes else groups
        self.kinds = min(groups or kinds, latent)
        self.groups = Groups(self.kinds, channels, size) if groups else None

    @property
    def told(self) -> int:
        """How many things a critic is told of a picture: classes, or else groups."""
        return self.kinds if self.groups else self.classes

    def prepare(self, pictures: torch.Tensor) -> None:
        if self.groups:
            self.groups.find(pictures)

    def tell(self, pictures: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """(B, told): 1 at the class, or the group, of each true picture (B, C, S, S), else 0."""
        return self.groups(pictures) if self.groups else classes

    def chance(self, told: torch.Tensor) -> torch.Tensor:
        """(B, told) → seeds (B, latent + classes) drawn for pictures of these classes, or groups."""
        numbers = torch.randn(len(told), self.latent, device=told.device)
        if not self.groups:
            return torch.cat([numbers, told], 1)
        # The largest of the first numbers changes places with the number of the group: as likely as any that begins there.
        wanted, largest = told.argmax(1, keepdim=True), numbers[:, : self.kinds].argmax(1, keepdim=True)
        highest, other = numbers.gather(1, largest), numbers.gather(1, wanted)
        return numbers.scatter(1, largest, other).scatter(1, wanted, highest)

    def begin(self, seeds: torch.Tensor) -> torch.Tensor:
        """(B, latent + classes) → (B, latent + classes + kinds): and which of the first `kinds` numbers is the largest, 1 there, else 0.

        What a continuous network makes of one cloud of numbers hangs together; digits, or people, do not, and between them pictures are
        drawn that are neither. Clouds that each begin in a learned place of their own need none between (DeLiGAN, Gurumurthy et al. 2017).
        """
        if not self.kinds:
            return seeds
        largest = seeds[:, : self.kinds].argmax(1, keepdim=True)
        return torch.cat([seeds, (largest == torch.arange(self.kinds, device=seeds.device)).to(seeds.dtype)], 1)

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.mean((2, 3))

    def forward(self, seeds: torch.Tensor) -> torch.Tensor:
        """(B, latent + classes) → (B, channels, size, size), 0–1."""
        return self.head(self.maps(seeds))

    def critic(self) -> nn.Module:
        """A new network that judges pictures: (pictures (B, C, S, S), what it is told (B, told)) → (B,) how true each looks."""
        raise NotImplementedError

    def lesson(self, pictures: torch.Tensor, classes: torch.Tensor) -> dict[str, torch.Tensor]:
        """Named losses by which it learns without a critic, from true pictures (B, C, S, S), 0–1, and their classes (B, K)."""
        raise NotImplementedError


class Within(nn.Module):
    """(B, C, h, w), any numbers → (B, C, size, size), 0–1: the upper left corner, squeezed by a sigmoid."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps[:, :, : self.size, : self.size].float().sigmoid()


def entered(pictures: torch.Tensor, side: int) -> torch.Tensor:
    """(B, C, S, S), 0–1 → (B, C, side, side), -1–1, as a critic reads them: grey is added at the right and at the bottom."""
    more = side - pictures.shape[3]
    pictures = 2 * pictures - 1
    return F.pad(pictures, (0, more, 0, more)) if more else pictures


def halvings(size: int) -> tuple[int, int]:
    """(places on a side at the coarsest, how many doublings lead from there to `size` or a little more), one doubling at least."""
    times = 1
    while -(-size // 2**times) > ROOM:
        times += 1
    return -(-size // 2**times), times


def widened(width: int, levels: int, most: int = WIDER) -> tuple[int, ...]:
    """Channels at so many resolutions, fine to coarse: twice as many at each, up to `most` times `width`."""
    return tuple(width * min(2**place, most) for place in range(levels))


@torch.no_grad()
def heard(layer: nn.Linear, latent: int) -> None:
    """Lets a class, or a kind, one number that is 1, count as much at first as all the numbers of chance together."""
    layer.weight[:, latent:] *= latent**0.5


def sound(size: int, width: int, latent: int = 1, kinds: int = 0, groups: int = 0) -> None:
    """Refuse what makes no generator.

    Raises:
        OmmaError: pictures are too small, or one of the others is out of range.
    """
    if size < SMALLEST:
        raise OmmaError(say("models.too_small", size=size, smallest=SMALLEST))
    if not 1 <= width <= MOST_WIDE or not 1 <= latent <= MOST_LATENT:
        raise OmmaError(say("models.generator", width=width, latent=latent))
    if min(kinds, groups) < 0:
        raise OmmaError(say("models.kinds", kinds=kinds, groups=groups))

"""Spatial transformer (Jaderberg, Simonyan, Zisserman & Kavukcuoglu 2015): a network that first turns the picture as it likes it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from omma.errors import OmmaError
from omma.models.network import Network
from omma.words import say

NAMES = {"stn": "spatial transformer network (Jaderberg et al. 2015): the picture is turned, moved and zoomed before it is read"}
SMALLEST = 24


class Transformer(nn.Module):
    """Looks at the picture, says six numbers, and samples it anew along the affine grid that they mean.

        (x, y) of the picture = A · (x', y', 1) of the answer, both −1 to 1; A starts as the identity

    Args:
        channels, size: of the pictures.
        width: maps and units of the network that looks.
    """

    points: torch.Tensor

    def __init__(self, channels: int, size: int, width: int = 20) -> None:
        super().__init__()
        side = ((size - 4) // 2 - 4) // 2
        self.look = nn.Sequential(
            nn.Conv2d(channels, width, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(width, width, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(width * side * side, width), nn.ReLU(),
        )  # fmt: skip
        self.affine = nn.Linear(width, 6)
        nn.init.zeros_(self.affine.weight)
        with torch.no_grad():
            self.affine.bias.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0], device="cpu"))
        middles = (torch.arange(size, device="cpu") * 2 + 1) / size - 1  # of the pixels
        y, x = torch.meshgrid(middles, middles, indexing="ij")
        self.register_buffer("points", torch.stack([x, y, torch.ones_like(x)], -1).reshape(-1, 3), persistent=False)
        self.size = size

    def matrix(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) → (B, 2, 3): A for each picture."""
        return self.affine(self.look(pictures)).unflatten(1, (2, 3))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) → (B, C, S, S); zero where the grid leaves the picture."""
        grid = self.points @ self.matrix(pictures).transpose(1, 2)
        return F.grid_sample(pictures, grid.unflatten(1, (self.size, self.size)), "bilinear", "zeros", align_corners=False)


class Stn(Network):
    """The transformer, then two convolutions with pooling and a dense layer. Fits one picture size only.

        C×S×S → turned C×S×S → 32×(S−8)/2 → 32×((S−8)/2−6)/2 → 256 → outputs

    `maps` lie on the picture as the transformer turned it.

    Args:
        width: maps of both convolutions.
        hidden: units of the dense layer.
        turn: False leaves the transformer out: the plain network it is compared with.
        channels, size, outputs: see `omma.models.making.build`.
    """

    def __init__(self, width: int, hidden: int, turn: bool, channels: int, size: int, outputs: int) -> None:
        super().__init__()
        self.turn: nn.Module = Transformer(channels, size) if turn else nn.Identity()
        side = ((size - 8) // 2 - 6) // 2
        self.convs = nn.Sequential(
            nn.Conv2d(channels, width, 9), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(width, width, 7), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.hidden = nn.Linear(width * side * side, hidden)
        self.head = nn.Linear(hidden, outputs)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) → (B, width, h, w)."""
        return self.convs(self.turn(pictures))

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, width, h, w) → (B, hidden)."""
        return self.hidden(maps.flatten(1)).relu()

    def stages(self) -> list[nn.Module]:
        """What has weights."""
        return [piece for piece in (self.turn, self.convs, self.hidden) if any(True for _ in piece.parameters())]


def build(name: str, *, channels: int, size: int, outputs: int, width: int = 32, hidden: int = 256, turn: bool = True) -> Stn:
    """`stn`; `turn=no` is the same network without the transformer.

    Raises:
        OmmaError: pictures too small, or a setting out of range.
    """
    if size < SMALLEST:
        raise OmmaError(say("models.too_small", size=size, smallest=SMALLEST))
    for key, value in (("width", width), ("hidden", hidden)):
        if not 1 <= value <= 4096:
            raise OmmaError(say("models.setting", key=key, value=value, range="1 – 4096"))
    return Stn(width, hidden, turn, channels, size, outputs)

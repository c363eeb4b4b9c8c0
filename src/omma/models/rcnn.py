"""Recurrent convolution (Liang & Hu 2015): maps that read their own neighbourhood again and again, so that context grows with time."""

from __future__ import annotations

import torch
from torch import nn

from omma.errors import OmmaError
from omma.models.network import Network
from omma.words import say

NAMES = {"rcnn": "recurrent convolutional network RCNN-96 (Liang & Hu 2015): 0.67 M weights, four recurrent layers of three steps"}
SMALLEST = 8
LEARNS = "adamw"  # Nesterov's usual rate left it at chance, though before its last layer began quietly


class ResponseNorm(nn.Module):
    """Local response normalisation: x / (1 + α · mean of x² over the K / 8 + 1 maps around)^β at every place; α = 0.001, β = 0.75.

    The mean is a 1×1 convolution with a band of ones: what `nn.LocalResponseNorm` gives, in a fifth of the time.

    Args:
        width: maps.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        around, place = width // 8 + 1, torch.arange(width)
        apart = place[None] - place[:, None]
        band = ((apart >= -(around // 2)) & (apart <= (around - 1) // 2)).float()
        self.band: torch.Tensor
        self.register_buffer("band", band[:, :, None, None] * (0.001 / around), persistent=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, width, h, w) → (B, width, h, w)."""
        return maps * (1 + nn.functional.conv2d(maps * maps, self.band)).pow(-0.75)


class Recurrent(nn.Module):
    """A recurrent convolutional layer: x(t) = LRN(ReLU(W ∗ u + V ∗ x(t − 1) + b)), x(−1) = 0 (equations 1–4 of the paper).

    Unrolled it is a network of steps + 1 layers that share their weights and all read the input u.

    Args:
        width: maps, in and out.
        steps: T, how often the maps read themselves; 0 = a plain convolution.
    """

    def __init__(self, width: int, steps: int) -> None:
        super().__init__()
        self.forth = nn.Conv2d(width, width, 3, padding=1)
        self.again = nn.Conv2d(width, width, 3, padding=1, bias=False) if steps else None
        self.steps = steps
        self.norm = ResponseNorm(width)  # without it the loop is not stable

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, width, h, w) → (B, width, h, w)."""
        given = self.forth(maps)
        state = self.norm(given.relu())
        for _ in range(self.steps):
            assert self.again is not None
            state = self.norm((given + self.again(state)).relu())
        return state


class Rcnn(Network):
    """A 5×5 convolution, four recurrent layers with 3×3 pooling before the first and the third, the largest of each map, linear head.

        C×32×32 → K×32×32 → pool K×16×16 → RCL, RCL → pool K×8×8 → RCL, RCL → max → outputs

    Args:
        width: maps of every layer, K.
        steps: iterations of the recurrent layers, T.
        forget: share dropped after each layer but the last.
        channels, outputs: see `omma.models.making.build`.
    """

    def __init__(self, width: int, steps: int, forget: float, channels: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 5, padding=2)
        self.layers = nn.ModuleList(Recurrent(width, steps) for _ in range(4))
        self.shrink, self.forget = nn.MaxPool2d(3, 2, ceil_mode=True), nn.Dropout(forget)
        self.head = nn.Linear(width, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # What passes is summed once a step: half the usual variance for each of the two that are added.
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear" if module is not self.conv else "relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.head.weight, std=0.01)  # the largest of 64 places is large: a usual head would begin with a loss of 15

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B, K, ⌈H / 4⌉, ⌈W / 4⌉)."""
        maps = self.forget(self.shrink(self.conv(pictures).relu()))
        for place, layer in enumerate(self.layers):
            maps = layer(maps)
            if place == 1:
                maps = self.shrink(maps)
            if place < len(self.layers) - 1:
                maps = self.forget(maps)
        return maps

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, K, h, w) → (B, K)."""
        return maps.amax((2, 3))


def build(name: str, *, channels: int, size: int, outputs: int, width: int = 96, steps: int = 3, forget: float = 0.5) -> Rcnn:
    """`rcnn`; `width=128` and `width=160` are the larger ones of the paper.

    Raises:
        OmmaError: pictures too small, or a setting out of range.
    """
    if size < SMALLEST:
        raise OmmaError(say("models.too_small", size=size, smallest=SMALLEST))
    for key, value, low, high in (("width", width, 1, 1024), ("steps", steps, 0, 20), ("forget", forget, 0, 0.95)):
        if not low <= value <= high:
            raise OmmaError(say("models.setting", key=key, value=value, range=f"{low} – {high}"))
    return Rcnn(width, steps, forget, channels, outputs)

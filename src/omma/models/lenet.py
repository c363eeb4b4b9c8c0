"""LeNet-5 (LeCun, Bottou, Bengio & Haffner 1998): the first convolutional network in daily use, reading cheques."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from omma import catalog
from omma.errors import OmmaError
from omma.models.network import Network
from omma.words import say

NAMES = {"lenet": "LeNet-5 (LeCun et al. 1998): 60,000 weights, digits of 32 × 32 pixels"}
LEARNS = "muon"  # on CIFAR-10, 400 steps: 42 % (AdamW 40); with Nesterov's usual rate the distances to the codes blow up: 13 %
SIZE = 32  # pixels; smaller pictures get a rim, as the 28 × 28 digits of the paper did
HEADS = ("rbf", "linear")
# Which of the six maps each of the sixteen of C3 reads (table I of the paper): no two see the same, and symmetry is broken.
TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (4, 5, 0), (5, 0, 1),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (3, 4, 5, 0), (4, 5, 0, 1), (5, 0, 1, 2),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)  # fmt: skip


def squash(values: torch.Tensor) -> torch.Tensor:
    """1.7159 · tanh(⅔ · values): ±1 is said by ±1, and is where the curve bends most (appendix A)."""
    return 1.7159 * (values * (2 / 3)).tanh()


class Subsample(nn.Module):
    """The mean of 2×2 pixels, times a weight, plus a bias, squashed: (B, D, h, w) → (B, D, h / 2, w / 2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return squash(F.avg_pool2d(maps, 2) * self.weight[:, None, None] + self.bias[:, None, None])


class PartlyConnected(nn.Module):
    """C3: each map reads some of the six: (B, 6, h, w) → (B, 16, h − 4, w − 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(len(row), 1, 5) for row in TABLE)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return torch.cat([conv(maps[:, list(row)]) for row, conv in zip(TABLE, self.convs, strict=True)], 1)


class Codes(nn.Module):
    """Each class has a code of ±1, which is not learned; the logit is −½ of the squared distance to it, a Gaussian's logarithm.

    The paper drew its codes as pictures of the ten digits, and says that random ones would do: these are random, so that there may be any
    number of classes.
    """

    codes: torch.Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(1998)
        shape = (outputs, inputs)
        self.register_buffer("codes", torch.randint(0, 2, shape, generator=draw, device="cpu").float() * 2 - 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, inputs) → (B, outputs)."""
        return features @ self.codes.T - (features.square().sum(1, keepdim=True) + self.codes.shape[1]) / 2


class Lenet(Network):
    """C1 – S2 – C3 – S4 – C5 – F6, then one code a class.

        32×32 → C1 6×28×28 → S2 6×14×14 → C3 16×10×10 → S4 16×5×5 → C5 120×1×1 → F6 84 → outputs

    Larger pictures give C5 more than one place, which are averaged.

    Args:
        head: `rbf`, codes as published, or `linear`, as everybody has it since.
        channels, outputs: see `omma.models.making.build`.
    """

    def __init__(self, head: str, channels: int, outputs: int) -> None:
        super().__init__()
        self.c1, self.s2 = nn.Conv2d(channels, 6, 5), Subsample(6)
        self.c3, self.s4 = PartlyConnected(), Subsample(16)
        self.c5, self.f6 = nn.Conv2d(16, 120, 5), nn.Linear(120, 84)
        self.head: nn.Module = Codes(84, outputs) if head == "rbf" else nn.Linear(84, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):  # ±2.4 / inputs is what the paper drew from; this keeps the size of what passes
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B, 16, h, w): S4, the last that still knows where things are."""
        rim = max(0, SIZE - pictures.shape[2]), max(0, SIZE - pictures.shape[3])
        if any(rim):
            pictures = F.pad(pictures, (rim[1] // 2, rim[1] - rim[1] // 2, rim[0] // 2, rim[0] - rim[0] // 2))
        return self.s4(self.c3(self.s2(self.c1(pictures))))

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, 16, h, w) → (B, 84)."""
        return squash(self.f6(squash(self.c5(maps)).mean((2, 3))))


def build(name: str, *, channels: int, size: int, outputs: int, head: str = "rbf") -> Lenet:
    """`lenet`; `head=linear` replaces the codes.

    Raises:
        OmmaError: no such head, or pictures so small that a rim would be most of them.
    """
    if head not in HEADS:
        raise catalog.unknown("head", head, list(HEADS))
    if size < SIZE // 4:
        raise OmmaError(say("models.too_small", size=size, smallest=SIZE // 4))
    return Lenet(head, channels, outputs)

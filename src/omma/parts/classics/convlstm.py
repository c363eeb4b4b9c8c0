"""Convolutional LSTM (Shi et al. 2015): a memory that is a picture, written and read by convolutions; and what it forecasts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

State = tuple[torch.Tensor, torch.Tensor]  # hidden H and cell C, each (B, width, h, w)


class Cell(nn.Module):
    """One step of a convolutional LSTM (equation 3 of the paper; ∗ convolution, ∘ product, weights of the cell one number a map).

        i = σ(Wxi ∗ X + Whi ∗ H + wci ∘ C + bi)          f = σ(Wxf ∗ X + Whf ∗ H + wcf ∘ C + bf)
        C' = f ∘ C + i ∘ tanh(Wxc ∗ X + Whc ∗ H + bc)    o = σ(Wxo ∗ X + Who ∗ H + wco ∘ C' + bo)    H' = o ∘ tanh(C')

    Args:
        inputs: maps of X; 0 = it reads only itself.
        width: maps of H and C.
        side: of the kernels, odd.
    """

    def __init__(self, inputs: int, width: int, side: int) -> None:
        super().__init__()
        self.inputs, self.width = inputs, width
        self.gates = nn.Conv2d(inputs + width, 4 * width, side, padding=side // 2)  # i, f, C, o
        self.peek = nn.Parameter(torch.zeros(3, width, 1, 1))  # wci, wcf, wco
        nn.init.xavier_uniform_(self.gates.weight)
        assert self.gates.bias is not None
        nn.init.zeros_(self.gates.bias)

    def begin(self, like: torch.Tensor) -> State:
        """A state of zeros beside (B, ?, h, w)."""
        # zeros of its shape by arithmetic: an exported graph would be tied to the batch it was traced with
        nothing = (like[:, :1] * 0).expand(-1, self.width, -1, -1)
        return nothing, nothing

    def forward(self, given: torch.Tensor | None, state: State) -> State:
        """(B, inputs, h, w) and the state → the next state."""
        hidden, cell = state
        read = hidden if given is None else torch.cat([given, hidden], 1)
        i, f, c, o = self.gates(read).chunk(4, 1)
        kept = (f + self.peek[1] * cell).sigmoid() * cell
        cell = kept + (i + self.peek[0] * cell).sigmoid() * c.tanh()
        return (o + self.peek[2] * cell).sigmoid() * cell.tanh(), cell


class Encoder(nn.Module):
    """Layers of cells, each reading the one below, over a sequence.

    Args:
        inputs: maps of each moment.
        widths: of the layers.
        side: of the kernels.
    """

    def __init__(self, inputs: int, widths: Sequence[int], side: int) -> None:
        super().__init__()
        self.cells = nn.ModuleList(Cell(i, w, side) for i, w in zip((inputs, *widths), widths, strict=False))

    def forward(self, moments: torch.Tensor) -> list[State]:
        """(B, T, inputs, h, w) → the last state of each layer."""
        states = [cell.begin(moments[:, 0]) for cell in self.cells]  # type: ignore[operator]
        for time in range(moments.shape[1]):
            below = moments[:, time]
            for place, cell in enumerate(self.cells):
                states[place] = cell(below, states[place])
                below = states[place][0]
        return states


class Forecaster(nn.Module):
    """The paper's network for what comes next: an encoder, and its shape upside down, which starts where it ended and reads nothing.

    All its hidden maps, side by side, are turned into the next moment by a 1×1 convolution.

    Args:
        inputs: maps of each moment.
        widths: of the encoder's layers.
        side: of the kernels.
    """

    def __init__(self, inputs: int, widths: Sequence[int], side: int = 5) -> None:
        super().__init__()
        self.encoder = Encoder(inputs, widths, side)
        upside = list(widths)[::-1]
        self.cells = nn.ModuleList(Cell(i, w, side) for i, w in zip((0, *upside), upside, strict=False))
        self.out = nn.Conv2d(sum(widths), inputs, 1)

    def forward(self, moments: torch.Tensor, ahead: int) -> torch.Tensor:
        """(B, T, inputs, h, w) → (B, ahead, inputs, h, w) logits of the moments that follow."""
        states = self.encoder(moments)[::-1]
        told = []
        for _ in range(ahead):
            below = None
            for place, cell in enumerate(self.cells):
                states[place] = cell(below, states[place])
                below = states[place][0]
            told.append(self.out(torch.cat([hidden for hidden, _ in states], 1)))
        return torch.stack(told, 1)

"""The states of a recurrent layer through its steps, read from its own equations one step at a time, in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from omma.inside.trace import Step, Trace


@dataclass
class States:
    """What a recurrent layer holds after each step, of the first sequence of a batch.

    Rows are as torch orders them: layer · directions + direction. A direction that reads backwards begins with the last step, and what
    it holds after step t is what it has made of t and all behind it.

    Args:
        hidden: (layers · directions, T, H) h.
        cell: (layers · directions, T, C) c of an LSTM; None of others.
        begun: (layers · directions, H) h before the first step that is read.
        begun_cell: (layers · directions, C) c before it; None of others.
        directions: 1, or 2 with one that reads backwards.
    """

    hidden: torch.Tensor
    cell: torch.Tensor | None
    begun: torch.Tensor
    begun_cell: torch.Tensor | None
    directions: int

    def before(self, row: int) -> torch.Tensor:
        """(T, H): h before each step, of one layer and direction."""
        return self._before(self.hidden[row], self.begun[row], row)

    def before_cell(self, row: int) -> torch.Tensor | None:
        """(T, C): c before each step; None where there is none."""
        return None if self.cell is None or self.begun_cell is None else self._before(self.cell[row], self.begun_cell[row], row)

    def _before(self, held: torch.Tensor, begun: torch.Tensor, row: int) -> torch.Tensor:
        if row % self.directions:
            return torch.cat([held[1:], begun[None]])
        return torch.cat([begun[None], held[:-1]])


@torch.no_grad()
def states(seen: Trace, step: Step) -> States | None:
    """The states of a recurrent step; None where it is none, or its input was not seen.

    The sequence is read again, one step after the other, with the layer's own weights: every layer and direction alone, for a layer
    above reads what both directions below have made of the whole sequence.
    """
    module = step.module
    if step.op != "recurrent" or not isinstance(module, nn.RNNBase) or not step.given:
        return None
    coming = seen.raw(step.given[0])
    if coming is None or coming.dim() != 3:
        return None
    rows = coming[0] if module.batch_first else coming[:, 0]  # (T, D)
    begun = [one[:, :1] for one in step.terms["begun"]]  # (layers · directions, 1, H)
    directions = 2 if module.bidirectional else 1
    hidden: list[torch.Tensor] = []
    cell: list[torch.Tensor] = []
    for layer in range(module.num_layers):
        for direction in range(directions):
            at = layer * directions + direction
            made = _read(module, at, rows.flip(0) if direction else rows, [one[at] for one in begun])
            made = [one.flip(0) if direction else one for one in made]
            hidden.append(made[0])
            cell += made[1:]
        rows = torch.cat(hidden[-directions:], 1)
    first = [one[:, 0] for one in begun]
    return States(torch.stack(hidden), torch.stack(cell) if cell else None, first[0], first[1] if len(first) > 1 else None, directions)


def _read(module: nn.RNNBase, at: int, rows: torch.Tensor, begun: list[torch.Tensor]) -> list[torch.Tensor]:
    """[(T, H) h, (T, C) c of an LSTM] of one layer and direction that reads `rows` (T, D) from the first to the last."""
    word = {"LSTM": "lstm", "GRU": "gru"}.get(module.mode, module.mode.lower())
    cell: Any = getattr(torch, word)
    state = [one[None] for one in begun]  # (1, 1, H)
    held: list[list[torch.Tensor]] = []
    for row in rows:
        given = tuple(state) if word == "lstm" else state[0]
        _, *state = cell(row.view(1, 1, -1), given, module.all_weights[at], module.bias, 1, 0.0, False, False, False)
        held.append([one[0, 0] for one in state])
    return [torch.stack(one) for one in zip(*held, strict=True)]

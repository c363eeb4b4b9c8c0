"""The states of a recurrent layer through its steps, read from its own equations one step at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from omma.inside.trace import Step, Trace


@dataclass
class States:
    """What a recurrent layer holds after each step, of the first sequence of a batch.

    Args:
        hidden: (layers, T, H) h, the direction that reads forwards.
        cell: (layers, T, H) c of an LSTM; None of others.
    """

    hidden: torch.Tensor
    cell: torch.Tensor | None


@torch.no_grad()
def states(seen: Trace, step: Step) -> States | None:
    """The states of a recurrent step; None where it is none, or its input was not seen.

    The sequence is read again, one step after the other, by the same layer; the last state is the one it ended with.
    """
    module = step.module
    if step.op != "recurrent" or not isinstance(module, nn.RNNBase) or not step.given:
        return None
    coming = seen.raw(step.given[0])
    if coming is None or coming.dim() != 3:
        return None
    rows = coming[0] if module.batch_first else coming[:, 0]  # (T, D)
    state, hidden, cell = None, [], []
    layers = module.num_layers
    for row in rows:
        _, state = module(row.view(1, 1, -1), state)
        now = state if isinstance(state, tuple) else (state,)
        # Directions lie side by side: (layers · directions, 1, H).
        hidden.append(now[0].view(layers, -1, now[0].shape[-1])[:, 0])
        if len(now) > 1:
            cell.append(now[1].view(layers, -1, now[1].shape[-1])[:, 0])
    return States(torch.stack(hidden, 1), torch.stack(cell, 1) if cell else None)

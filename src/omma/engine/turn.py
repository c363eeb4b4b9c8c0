"""One step: every player's turn, in micro-batches, with the same result as the whole batch at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from omma.engine import optim
from omma.engine.average import Average
from omma.engine.machine import Machine
from omma.recipe import Recipe
from omma.tasks.task import Batch, Task


@dataclass
class Players:
    """The networks of a run and what moves them.

    Args:
        nets: by player; a player without an optimizer takes no turn and is frozen.
        optimizers: by player.
        averages: the smoothed copies an answer is read from; {} without averaging. A critic has none: it answers nobody.
    """

    nets: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer] = field(default_factory=dict)
    averages: dict[str, Average] = field(default_factory=dict)

    @classmethod
    def gather(cls, task: Task, net: nn.Module, recipe: Recipe) -> Players:
        """All players of a task around one built model."""
        nets = task.nets(net)
        learning = {who: player for who, player in nets.items() if any(p.requires_grad for p in player.parameters())}
        optimizers = {who: optim.make(player, recipe) for who, player in learning.items()}
        decay = recipe.get("ema", 0.0)
        averages = {who: Average(player, decay) for who, player in nets.items() if not who.startswith("critic")} if decay > 0 else {}
        return cls(nets, optimizers, averages)

    def judged(self) -> dict[str, nn.Module]:
        """The networks whose answers count: the averages where there are any."""
        return {who: self.averages[who].net if who in self.averages else net for who, net in self.nets.items()}


def cut(batch: Batch, most: int) -> list[Batch]:
    """A batch in pieces of at most `most` pictures."""
    if len(batch) <= most:
        return [batch]
    return [batch.part(slice(start, start + most)) for start in range(0, len(batch), most)]


def take(
    task: Task, players: Players, batch: Batch, step: int, recipe: Recipe, machine: Machine, rate: float, micro: int
) -> dict[str, torch.Tensor]:
    """One step of every player; returns the named losses, detached, and `norm`, the largest gradient norm.

    The generators of all micro-batches advance together, so a player steps once on the gradient of the whole batch.
    """
    pieces = cut(batch, micro)
    shares = [len(piece) / len(batch) for piece in pieces]
    turns = [task.turns(players.nets, piece, step) for piece in pieces]
    told: dict[str, torch.Tensor] = {}
    while (who := _one_turn(turns, shares, players, recipe, machine, told)) is not None:
        optimizer = players.optimizers[who]
        params = [p for group in optimizer.param_groups for p in group["params"]]
        machine.mean_gradients(params)
        norm = torch.nn.utils.get_total_norm([p.grad for p in params if p.grad is not None])
        told["norm"] = torch.maximum(told["norm"], norm) if "norm" in told else norm
        if recipe.get("clip", 0.0) > 0:
            torch.nn.utils.clip_grads_with_norm_(params, recipe.get("clip", 0.0), norm)
        if not bool(torch.isfinite(norm)):  # stepping would poison the weights
            break
        optim.set_rate(optimizer, rate)
        optimizer.step()
        machine.same_buffers(players.nets[who])
        if who in players.averages:
            players.averages[who].follow(players.nets[who])
    for net in players.nets.values():  # batch norm also looks at what goes by in the turns of others
        machine.same_buffers(net)
    return told


def _one_turn(
    turns: list[Iterator[tuple[str, Any]]],
    shares: list[float],
    players: Players,
    recipe: Recipe,
    machine: Machine,
    told: dict[str, torch.Tensor],
) -> str | None:
    """Forward and backward of the next player over all micro-batches; None when all turns are taken."""
    player: str | None = None
    for turn, share in zip(turns, shares, strict=True):
        with machine.arithmetic():
            said = next(turn, None)
        if said is None:
            continue
        who, loss = said
        if player is None:
            players.optimizers[who].zero_grad(set_to_none=True)
        assert player in (None, who), "micro-batches disagree about whose turn it is"
        player = who
        terms = loss if isinstance(loss, dict) else {"loss" if who == "net" else who: loss}
        whole = sum(terms.values())
        if recipe.l1 > 0:
            whole = whole + optim.lasso(players.nets[who].parameters(), recipe.l1)
        (whole * share).backward()
        for name, value in terms.items():
            told[name] = told.get(name, 0.0) + value.detach() * share
        del said, loss, terms, whole  # nothing that holds a graph waits for the next micro-batch
    return player

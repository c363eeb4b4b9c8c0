"""Optimizers by name, with a rate and a decay for each group of parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from omma.engine.muon import Muon
from omma.errors import OmmaError
from omma.words import say

if TYPE_CHECKING:
    from omma.recipe import Recipe


def groups(net: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters that learn, grouped by their share of the rate and by what they are.

    Vectors (biases, norms) do not decay. With `layer_decay` each stage learns slower than the next; with `freeze` only the
    head learns. A network may mark a parameter: `muon_share` (its share of Muon's rate where it is no matrix, which else follows Adam),
    `scale_free` (a normalisation follows it).
    """
    muon = recipe.optimizer == "muon"
    knows = any(hasattr(p, "muon_share") for p in net.parameters())
    share = {id(p): getattr(p, "muon_share", 1.0) if muon else 1.0 for p in net.parameters()}
    if (recipe.freeze or recipe.layer_decay < 1) and hasattr(net, "stages"):
        stages = net.stages()  # type: ignore[operator]
        for depth, stage in enumerate(stages):
            for p in stage.parameters():
                share[id(p)] *= 0.0 if recipe.freeze else recipe.layer_decay ** (len(stages) - depth)
    found: dict[tuple[float, bool, bool, bool], list[nn.Parameter]] = {}
    for name, p in net.named_parameters():
        p.requires_grad_(p.requires_grad and share[id(p)] > 0)
        if p.requires_grad:
            matrix = p.dim() > 1 and not (muon and name.startswith("head."))
            found.setdefault((share[id(p)], p.dim() > 1, matrix, getattr(p, "scale_free", False)), []).append(p)
    decay = recipe.get("weight_decay", 0.0)
    return [
        {"params": params, "share": part, "weight_decay": decay if decays else 0.0}
        | {"matrix": matrix, "scale_free": free, "adam": muon and not matrix and not knows}
        for (part, decays, matrix, free), params in found.items()
    ]


def make(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over a network's parameters (library ones where they exist).

    Raises:
        OmmaError: none of them learns, as of a head without weights whose body is frozen.
    """
    name, rate, momentum = recipe.get("optimizer", "adamw"), recipe.get("rate", 1e-3), recipe.get("momentum", 0.9)
    params = groups(net, recipe)
    if not params:
        raise OmmaError(say("train.nothing_learns"))
    # Not the library's fused kernels: they read memory as it lies, and a restored momentum or a gradient averaged over ranks may lie in
    # another order than a channels-last weight. The grid's resume cells caught it.
    if name in ("gd", "sgd"):
        return torch.optim.SGD(params, rate)
    if name in ("momentum", "nesterov"):
        return torch.optim.SGD(params, rate, momentum=momentum, nesterov=name == "nesterov")
    if name == "rmsprop":
        return torch.optim.RMSprop(params, rate, momentum=0.0)
    if name == "muon":
        return Muon(params, rate, momentum=momentum)
    # All tensors at once: half the time of one after the other.
    betas = momentum, 0.999
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name](params, rate, betas, foreach=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The rate of this step, shared out over the groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]


def lasso(params: Iterable[nn.Parameter], strength: float) -> torch.Tensor:
    """L1 regularisation: the sum of magnitudes of the weights that decay, times `strength`."""
    return strength * sum((p.abs().sum() for p in params if p.requires_grad and p.dim() > 1), torch.zeros(()))

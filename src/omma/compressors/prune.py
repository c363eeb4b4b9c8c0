"""Structured pruning: whole channels that matter least are taken out, and what is left learns from the whole network again."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import nn

from omma.bundle import Bundle
from omma.catalog import need
from omma.compressors.compressor import Shop, copy_of
from omma.engine.checkpoint import Checkpoints
from omma.engine.loop import learn
from omma.engine.measure import times
from omma.engine.turn import Players
from omma.errors import NotMeaningful
from omma.models.network import Network
from omma.parts.surgery import plan_of
from omma.recipe import Recipe
from omma.run.prepare import batches_of, validator
from omma.tasks.task import Batch, Task
from omma.words import say

ROUND = 8  # channels: what processors take at once
LONGEST = 20  # epochs of fine-tuning


def prune(shop: Shop, bundle: Bundle) -> Bundle:
    """A narrower network, fine-tuned; its card holds the plan that rebuilds it.

    Raises:
        OmmaError: torch-pruning is not installed.
        NotMeaningful: the network has no channels to spare, or cannot be taken apart.
    """
    need("torch_pruning", "compress", "prune")
    if bundle.task.asks == "seed":
        raise NotMeaningful(say("compress.no_prune_drawn"))
    if set(bundle.nets) != {"net"}:
        raise NotMeaningful(say("compress.several_nets"))
    whole = bundle.net
    net = copy.deepcopy(whole)
    thin(net, shop.share, bundle.views.channels, bundle.views.size)
    plan = whole_plan(bundle, net)
    if not plan:
        raise NotMeaningful(say("compress.nothing_to_prune"))
    net = tuned(shop, bundle, net)
    thinner = copy_of(bundle, {"net": net.cpu().eval()})
    thinner.card["surgery"] = plan
    return thinner


def whole_plan(bundle: Bundle, net: Network) -> dict[str, list[int]]:
    """The plan from the network its name builds (not from one that was pruned before) to this one."""
    from omma.models.making import build

    card, views = bundle.card, bundle.views
    with torch.device("meta"):
        named = build(
            card["model"], channels=views.channels, size=views.size, outputs=bundle.task.outputs, **card.get("model_settings", {})
        )
    try:
        return plan_of(named, net)
    except ValueError:
        raise NotMeaningful(say("compress.cannot_prune")) from None


def thin(net: Network, share: float, channels: int, size: int) -> None:
    """Take `share` of the channels out of every layer that can spare them, in place; coupled layers together (Fang et al. 2023)."""
    import torch_pruning

    example = torch.zeros(2, channels, size, size)
    flags = {name: p.requires_grad for name, p in net.named_parameters()}
    for p in net.parameters():
        p.requires_grad_(True)  # frozen layers carry channels too, and are found by their gradients
    net.eval()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pruner = torch_pruning.pruner.MetaPruner(
                net, example, importance=torch_pruning.importance.GroupMagnitudeImportance(p=2), pruning_ratio=share,
                ignored_layers=net.dead_ends(), round_to=ROUND,
            )  # fmt: skip
            pruner.step()
        with torch.no_grad():
            net(example)
    except Exception:
        raise NotMeaningful(say("compress.cannot_prune")) from None
    for name, p in net.named_parameters():
        p.requires_grad_(flags[name])


class Distil:
    """A task whose loss also asks the narrow network to say what the whole one says (Ba & Caruana 2014: outputs, not labels alone)."""

    def __init__(self, task: Task, teacher: Network) -> None:
        self._task, self._teacher = task, teacher.eval()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def turns(self, nets: dict[str, nn.Module], batch: Batch, step: int):
        yield "net", self.loss(nets["net"], batch)

    def loss(self, net: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        # Which objects a network names is no vector to come near to, and the good pictures are known: it learns from the truth.
        if self._teacher.gives in ("objects", "picture", "frame"):
            return self._task.loss(net, batch)  # type: ignore[return-value]
        said = net(batch.pictures)
        with torch.no_grad():
            wanted = self._teacher(batch.pictures)
        spread = wanted.float().std().clamp_min(1e-6)
        taught = ((said - wanted) / spread).float().square().mean()
        own: Any = self._task.loss(_Said(said), batch)
        return {"loss": own if torch.is_tensor(own) else sum(own.values()), "distance": taught}


class _Said(nn.Module):
    """A network that has answered already."""

    def __init__(self, said: torch.Tensor) -> None:
        super().__init__()
        self._answer = said

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self._answer


def tuned(shop: Shop, bundle: Bundle, net: Network) -> Network:
    """The narrow network after fine-tuning by the house's own loop; its best step on validation."""
    machine, task = shop.machine, bundle.task
    recipe = tuning(bundle.recipe)
    teacher = copy.deepcopy(bundle.net)
    machine.place(net)
    machine.place(teacher)
    batches = batches_of(shop.frames, shop.dataset, task, bundle.views, recipe, machine)
    validate = validator(task, batches, bundle.views)
    distil: Any = Distil(task, teacher)
    players = Players.gather(distil, net, recipe)
    if shop.budget.kind == "seconds":
        seconds, val = shop.budget.amount, max(1, shop.dataset.counts().get("val", 0))
        cost = times(seconds, distil, players, batches, recipe, machine, validate, val)
        total = int((seconds - recipe.get("evals", 4) * val * cost.answer) / cost.step)
        total = max(1, min(total, LONGEST * batches.per_epoch))
    else:
        total = shop.budget.steps(batches.per_epoch)
    keep = Checkpoints(shop.folder / f"tuning-{len(list(shop.folder.iterdir()))}")
    for event in learn(distil, players, batches, recipe, machine, keep, validate, total):
        if event["event"] in ("step", "eval"):
            shop.watch.step(say("compress.tuning"), event["step"], total)
    shop.watch.end(say("compress.tuning"))
    net.load_state_dict(keep.best().tensors["net-net"])
    return net


def tuning(recipe: Recipe) -> Recipe:
    """The recipe the network was trained with, at a third of its rate; nothing that belongs to a start from nothing."""
    recipe = Recipe.from_json(copy.deepcopy(recipe.json()))
    recipe.rate = recipe.get("rate", 1e-3) / 3
    recipe.optimizer = "adamw" if recipe.optimizer in (None, "gd") else recipe.optimizer
    recipe.batch = min(recipe.get("batch", 64), 1024)
    recipe.schedule, recipe.warmup, recipe.evals, recipe.early_stop = "cosine", 0.05, 4, 0
    recipe.ema, recipe.freeze, recipe.layer_decay, recipe.progressive = 0.0, False, 1.0, 0.0
    return recipe

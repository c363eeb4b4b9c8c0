"""Adaptation, a task that wraps a task: it learns from labelled pictures what it is to answer about others (Ganin et al. 2016, DANN).

A classifier of domains learns to tell the features of both kinds of pictures apart, and the network, whose gradient of that is reversed,
learns features by which nobody can. Everything else is said by the task that is wrapped: whatever answers never sees the classifier.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from omma.errors import NotMeaningful, OmmaError
from omma.models.network import Network
from omma.parts.adapting.reversal import Domains, reverse, strength_at
from omma.tasks.task import Batch, Task
from omma.words import say


class _Both(nn.Module):
    """A network that answers one half of its pictures and keeps the features of both.

    Both go through at once, so that batch norm takes the statistics of both, as it will keep them.

    Args:
        net: whose features the head reads.
        beside: (B, C, H, W) pictures of the other domain.
    """

    features: torch.Tensor

    def __init__(self, net: Network, beside: torch.Tensor) -> None:
        super().__init__()
        self.net, self.beside = net, beside

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B, outputs)."""
        self.features = self.net.features(torch.cat([pictures, self.beside]))
        return self.net.head(self.net.drop(self.features[: len(pictures)]))


class Adapted(Task):
    """What adaptation adds to a task: made by `adapted`, which mixes it into the task's own class."""

    width: int

    def nets(self, model: nn.Module) -> dict[str, nn.Module]:
        """A critic beside the network; as with any critic, no answer is computed with it, and no bundle holds it."""
        return super().nets(model) | {"critic": Domains(self.width).to(next(model.parameters()).device)}

    def turns(self, nets: dict[str, nn.Module], batch: Batch, step: int) -> Iterator[tuple[str, Any]]:
        """Both step on gradients taken at the same place: the critic is asked about features from before the network stepped."""
        terms, features = self._confused(nets, batch)
        yield "net", terms
        del terms  # it holds a graph, and others take their turns now
        yield "critic", {"domain": told_apart(nets["critic"], features)}

    def _confused(self, nets: dict[str, nn.Module], batch: Batch) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """The losses of the task and of domains that are to be confused; (2B, F) features without their graph."""
        assert batch.beside is not None, "adaptation has pictures of two domains"
        both = _Both(nets["net"], batch.beside)  # type: ignore[arg-type]
        said = self.loss(both, batch)
        terms = said if isinstance(said, dict) else {"loss": said}
        apart = told_apart(nets["critic"], reverse(both.features, strength_at(batch.progress)))
        return terms | {"confusion": apart}, both.features.detach()


def told_apart(critic: nn.Module, features: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of a classifier of domains on (2B, F) features, the first half of which are the source's."""
    count = len(features) // 2
    return F.binary_cross_entropy_with_logits(critic(features).float(), (torch.arange(2 * count, device=features.device) < count).float())


def adapted(task: Task, net: Network, width: int) -> Task:
    """The same task, adapting on the way.

    Args:
        task: it answers about a picture as a whole.
        net: that will learn.
        width: of its features.

    Raises:
        NotMeaningful: the task's answers are not read from one row of features.
        OmmaError: nothing in the network learns features.
    """
    kind = type(task)
    if task.reads != "row" or type(net).forward is not Network.forward or kind.turns is not Task.turns:
        raise NotMeaningful(say("adapt.no_features"))
    if not any(p.requires_grad for name, p in net.named_parameters() if not name.startswith("head.")):
        raise OmmaError(say("adapt.nothing_learns", model=net.name))
    # The class keeps the name and home of the task's own: bundles say what was wrapped.
    found: Task = type(kind.__name__, (Adapted, kind), {"__module__": kind.__module__, "width": width})(task.names, **task.settings)
    return found

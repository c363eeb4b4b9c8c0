"""Grad-CAM: which feature maps speak for it, and where they are strong (Selvaraju et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn import functional as F

from omma.errors import NotMeaningful
from omma.explainers.explainer import Question
from omma.models.network import Network
from omma.words import say


def gradcam(question: Question, pictures: torch.Tensor) -> torch.Tensor:
    """(B, C, S, S) → (B, S, S): the last maps weighted by their mean gradient, negative evidence cut off.

    Reads `Network.maps`, so it serves every network that has them: convolutions, and transformers whose tokens lie on a grid.

    Raises:
        NotMeaningful: the network has no maps that still know where things are.
    """
    with torch.enable_grad(), _watched(question) as seen:
        score = question(pictures)
    maps = seen[0] if seen else None
    if maps is None or maps.dim() != 4 or not maps.requires_grad:
        raise NotMeaningful(say("explain.no_maps"), None, say("explain.no_maps_fix"))
    (slope,) = torch.autograd.grad(score.sum(), maps)
    heat = (slope.mean((2, 3), keepdim=True) * maps.detach()).sum(1, keepdim=True).relu()
    return F.interpolate(heat, size=pictures.shape[2:], mode="bilinear", align_corners=False)[:, 0].float()


@contextmanager
def _watched(question: Question) -> Iterator[list[torch.Tensor]]:
    """Keeps what the network's `maps` returned, as the start of a graph of its own: nothing before it is differentiated."""
    seen: list[torch.Tensor] = []
    network = next((net for net in question.nets.values() if isinstance(net, Network)), None)
    if network is None:
        yield seen
        return
    plain = network.maps

    def kept(pictures: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            maps = plain(pictures)
        seen.append(maps.detach().requires_grad_(True))
        return seen[-1]

    network.maps = kept  # type: ignore[method-assign]
    try:
        yield seen
    except NotImplementedError:
        seen.clear()
        raise NotMeaningful(say("explain.no_maps"), None, say("explain.no_maps_fix")) from None
    finally:
        del network.maps

"""Deviation: where a picture differs from what a network that knows good ones would draw (Bergmann et al. 2019)."""

from __future__ import annotations

import torch

from omma.errors import NotMeaningful
from omma.explainers.explainer import Question
from omma.tasks.task import Batch
from omma.words import say


def deviation(question: Question, pictures: torch.Tensor) -> torch.Tensor:
    """(B, C, S, S) → (B, S, S): the smoothed squared error of the picture drawn again.

    Raises:
        NotMeaningful: the network draws nothing again.
    """
    with torch.no_grad():
        found = question.task.infer(question.nets, Batch(pictures))
    if "error" not in found:
        raise NotMeaningful(say("explain.no_error"), None, say("explain.no_error_fix"))
    return found["error"].float()

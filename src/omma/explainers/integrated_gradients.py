"""Integrated gradients: each pixel's share of the score, from the mean colour to the picture (Sundararajan et al. 2017)."""

from __future__ import annotations

import torch

from omma.explainers.explainer import Question

STEPS, AT_ONCE = 64, 32


def integrated_gradients(question: Question, pictures: torch.Tensor) -> torch.Tensor:
    """(B, C, S, S) → (B, S, S): evidence for it, the channels added up; evidence against it is negative."""
    return attributions(question, pictures).sum(1).float()


def attributions(question: Question, pictures: torch.Tensor, steps: int = STEPS) -> torch.Tensor:
    """(B, C, S, S) shares that add up to the score of the picture less the score of the mean colour."""
    from captum.attr import IntegratedGradients

    with torch.enable_grad():
        return (
            IntegratedGradients(question)
            .attribute(pictures, baselines=torch.zeros_like(pictures), n_steps=steps, internal_batch_size=max(AT_ONCE, len(pictures)))
            .detach()
        )

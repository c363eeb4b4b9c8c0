"""Occlusion: how much the score falls when a square of the picture is covered with the mean colour (Zeiler & Fergus 2014)."""

from __future__ import annotations

import torch

from omma.explainers.explainer import Question

AT_ONCE = 32


def occlusion(question: Question, pictures: torch.Tensor) -> torch.Tensor:
    """(B, C, S, S) → (B, S, S): mean fall of the score over the squares that covered a pixel; a square is an eighth of the side."""
    from captum.attr import Occlusion

    channels, side = pictures.shape[1], max(2, pictures.shape[2] // 8)
    with torch.no_grad():
        falls = Occlusion(question).attribute(
            pictures,
            sliding_window_shapes=(channels, side, side),
            strides=(channels, max(1, side // 2), max(1, side // 2)),
            baselines=0,
            perturbations_per_eval=AT_ONCE,
        )
    return falls.mean(1).float()

"""The few numbers between a network and an answer: temperature and thresholds, fitted on validation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from omma.answers.answer import six
from omma.errors import OmmaError
from omma.words import say

_SURE = 1e-6  # nothing is stated to be less probable, or more
_STEEPEST = math.log(10)


def temperature(logits: torch.Tensor, target: torch.Tensor) -> float:
    """The divisor of (N, C) `logits` with the least log-loss against (N,) class indices (Guo et al. 2017).

    Log-loss is convex in 1/temperature, so a golden-section search over 0.05–20 finds it.
    """
    logits = logits.double()
    return _search(lambda t: torch.nn.functional.cross_entropy(logits / t, target).item())


def temperature_binary(logits: torch.Tensor, target: torch.Tensor) -> float:
    """The same for (N, C) independent classes with (N, C) truths of 0 and 1."""
    logits, target = logits.double(), target.double()
    return _search(lambda t: torch.nn.functional.binary_cross_entropy_with_logits(logits / t, target).item())


def _search(loss, low: float = 0.05, high: float = 20.0) -> float:
    """Minimum of a function that is unimodal in 1/t."""
    golden = (5**0.5 - 1) / 2
    a, b = 1 / high, 1 / low
    for _ in range(60):
        left, right = b - golden * (b - a), a + golden * (b - a)
        a, b = (a, right) if loss(1 / left) <= loss(1 / right) else (left, b)
    return round(2 / (a + b), 6)


def log_odds_line(share: torch.Tensor, right: torch.Tensor) -> list[float]:
    """Slope and offset that log-odds of (N,) stated probabilities need to be those of being right ((N,) bool; Platt 1999).

    The least log-loss, where a slope of 1 and an offset of 0 have the weight of one observation: a few objects that are all right make
    nobody certain. The slope is above 0, so that no order changes.
    """
    from scipy.optimize import minimize

    said, truth = _log_odds(share.double()).numpy(), right.double().numpy()

    def loss(line: np.ndarray) -> float:
        odds = math.exp(line[0]) * said + line[1]
        return float((np.logaddexp(0, odds) - truth * odds).sum() + (line**2).sum() / 2)

    steepness, offset = minimize(loss, np.zeros(2), bounds=[(-_STEEPEST, _STEEPEST), (None, None)]).x
    return [round(math.exp(steepness), 6), round(float(offset), 6)]


def moved(share: torch.Tensor, line: Sequence[float]) -> torch.Tensor:
    """Probabilities of any shape with their log-odds moved along `log_odds_line`; 0 stays 0."""
    slope, offset = line
    return torch.where(share > 0, (_log_odds(share) * slope + offset).sigmoid(), torch.zeros_like(share))


def _log_odds(share: torch.Tensor) -> torch.Tensor:
    share = share.clamp(_SURE, 1 - _SURE)
    return (share / (1 - share)).log()


def reject_level(shares: torch.Tensor, target: torch.Tensor) -> float:
    """The lowest top probability at which the answers kept are wrong half as often as all together; 0 where none is."""
    top, label = shares.max(1)
    top, order = top.sort(descending=True)
    wrong = (label != target)[order].double()
    whole = wrong.mean()
    if whole == 0:
        return 0.0
    kept = torch.nonzero(wrong.cumsum(0) / torch.arange(1, len(wrong) + 1) <= whole / 2)
    return round(float(top[kept[-1, 0]]), 6) if len(kept) else 0.0


def best_thresholds(shares: torch.Tensor, target: torch.Tensor) -> list[float]:
    """For each of C classes the threshold of best F1; 0.5 where all or none of the samples have it."""
    return [0.5 if row.all() else threshold_for(share, row)[0] for share, row in zip(shares.T, target.T > 0.5, strict=True)]


def threshold_for(
    share: torch.Tensor, truth: torch.Tensor, missed: int = 0, goal: str = "", calibrated: bool = False
) -> tuple[float, bool]:
    """The probability from which on something is shown: best F1, or what a person asked for; and whether that can be had at all.

    Where it cannot: what comes nearest to it. Halfway to the next lower one, so that rounding does not tip it.

    Args:
        share: (N,) probabilities of what might be shown.
        truth: (N,) bool, whether it should be.
        missed: what should be shown and is not among the N at all.
        goal: "", `f1`, `recall>=0.95` (the highest threshold that finds so many) or `precision>=0.95` (the lowest that is right so often).
        calibrated: the probabilities are the shares of such that are right. Then F1 is best at half of what it is there (Lipton et al.
            2014), and of thresholds that so few objects cannot tell apart, those within a standard error of the best, the nearest to that
            is taken: F1 is flat there, and where its highest point lies is chance.
    """
    kind, level = parse_goal(goal)
    total = int(truth.sum()) + missed
    if not len(share) or not total:
        return 0.5, kind == "f1"
    share, order = share.double().sort(descending=True)
    hits, shown = truth[order].double().cumsum(0), torch.arange(1, len(share) + 1)
    # Only the last of several equal probabilities is a place where a threshold can cut.
    last = torch.cat([share[1:] != share[:-1], torch.tensor([True])])
    enough = last & ((hits / total if kind == "recall" else hits / shown) >= level)
    if kind == "recall":
        best = int(enough.nonzero()[0, 0]) if enough.any() else len(share) - 1
    elif kind == "precision":
        best = int(enough.nonzero()[-1, 0]) if enough.any() else 0
    else:
        f1 = torch.where(last, 2 * hits / (shown + total), -1)
        best = int(f1.argmax())
        if calibrated:
            top = float(f1[best])
            alike = f1 >= top - (top * (1 - top) / total) ** 0.5
            cuts = (share + torch.cat([share[1:], share[-1:] * 0])) / 2
            best = int(torch.where(alike, (cuts - top / 2).abs(), 2).argmin())
    below = share[best + 1] if best + 1 < len(share) else share[best] * 0
    return six(float((share[best] + below) / 2)), kind == "f1" or bool(enough.any())


def parse_goal(goal: str) -> tuple[str, float]:
    """(`f1`, 0) or (`recall` | `precision`, share).

    Raises:
        OmmaError: it is none of these.
    """
    kind, sign, level = goal.replace(" ", "").partition(">=")
    if not sign and kind in ("", "f1"):
        return "f1", 0.0
    try:
        share = float(level)
    except ValueError:
        share = -1.0
    if kind not in ("recall", "precision") or not 0 < share <= 1:
        raise OmmaError(say("train.goal", goal=goal))
    return kind, share

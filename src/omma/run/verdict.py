"""Does the run over- or underfit, in words, and what to try."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from omma.words import both


def verdict(rows: Iterable[dict[str, Any]], train: float | None, share: bool = True) -> dict[str, Any]:
    """{"word": overfit | underfit | early | fine | unknown, "text": {language: sentence}, …}.

    Args:
        rows: the event stream.
        train: the deciding score on training pictures as they are, higher is better.
        share: whether the score lies in 0–1. Others depend on the pictures as much as on the network (decibels of sky and of grass),
            so that training is no yardstick: then the course alone tells.

    The rule: a gap to training of more than a quarter of what is left to gain (and 0.02) is overfitting, the more so when the
    validation loss rose from its lowest point; a score still rising by more than 0.01 over the last fifth wants a longer run;
    otherwise a training score below 0.75, or below 0.9 and hardly above validation, is underfitting.
    """
    looks = [row for row in rows if row["event"] == "eval"]
    if looks and train is None:
        return {"word": "unknown", "text": both("train.verdict_none")}
    if not looks or train is None:
        return {"word": "unknown", "text": both("train.verdict_unknown")}
    scores = [row["score"] for row in looks]
    best = max(scores)
    losses = [row["val_loss"] for row in looks if "val_loss" in row]
    gap = train - best
    rising = len(scores) >= 5 and scores[-1] - max(scores[: -max(1, len(scores) // 5)]) > 0.01
    if not share:
        return _by_course(scores, train)
    facts: dict[str, Any] = {"train": round(train, 4), "val": round(best, 4), "gap": round(gap, 4)}
    worse = bool(losses) and losses[-1] > 1.1 * min(losses)
    if gap > max(0.02, 0.25 * (1 - best)) and (worse or gap > 0.05):
        return {"word": "overfit", "text": both("train.verdict_overfit", **facts)} | facts
    if rising:
        return {"word": "early", "text": both("train.verdict_early", **facts)} | facts
    if train < 0.9 and (gap < 0.02 or train < 0.75):
        return {"word": "underfit", "text": both("train.verdict_underfit", **facts)} | facts
    return {"word": "fine", "text": both("train.verdict_fine", **facts)} | facts


def _by_course(scores: list[float], train: float) -> dict[str, Any]:
    """A score that has fallen by a hundredth from its best is overfitting; one that rose by as much in the last fifth wants longer."""
    best = max(scores)
    slack = 0.01 * abs(best)
    facts: dict[str, Any] = {"train": round(train, 4), "val": round(best, 4), "gap": round(train - best, 4)}
    if scores[-1] < best - slack:
        return {"word": "overfit", "text": both("train.verdict_overfit", **facts)} | facts
    if len(scores) >= 5 and scores[-1] - max(scores[: -max(1, len(scores) // 5)]) > slack:
        return {"word": "early", "text": both("train.verdict_early", **facts)} | facts
    return {"word": "fine", "text": both("train.verdict_fine", **facts)} | facts

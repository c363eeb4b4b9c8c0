"""Recall of objects: of the objects there are, the share that is found (IoU ≥ 0.5)."""

from __future__ import annotations

from omma.metrics._found import Found
from omma.metrics.recall import Recall


class BoxRecall(Found, Recall):
    """Recall at the operating threshold; the mean over the classes that occur or are named."""

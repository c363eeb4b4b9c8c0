"""Precision of objects: of the boxes shown, the share that is right (IoU ≥ 0.5)."""

from __future__ import annotations

from omma.metrics._found import Found
from omma.metrics.precision import Precision


class BoxPrecision(Found, Precision):
    """Precision at the operating threshold; the mean over the classes that occur or are named."""

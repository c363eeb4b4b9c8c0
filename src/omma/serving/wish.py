"""What somebody asks of a model that draws, in JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from omma.errors import DataError, OmmaError
from omma.words import say

KNOWN = ("seed", "class", "truncation")
MOST_BYTES = 4096


def seeds_of(bundle: Any, blob: bytes) -> np.ndarray:
    """`{"seed": 7, "class": "cat", "truncation": 0.7}` → (1, L) float32.

    Args:
        blob: JSON; what is left out is seed 0, a class by chance, and no truncation.

    Raises:
        DataError: another thing.
    """
    try:
        wish = json.loads(blob) if len(blob) <= MOST_BYTES else None
    except (ValueError, RecursionError):
        wish = None
    if not isinstance(wish, dict):
        raise DataError(say("serve.no_wish"))
    if strange := sorted(wish.keys() - set(KNOWN)):
        raise DataError(say("serve.strange_wish", key=str(strange[0])[:40], known=", ".join(KNOWN)))
    seed, about, truncation = wish.get("seed", 0), wish.get("class"), wish.get("truncation", 1.0)
    whole = type(seed) is int and 0 <= seed < 1 << 63
    share = type(truncation) in (int, float) and 0 <= truncation <= 1
    if not whole or not share or not isinstance(about, str | None):
        raise DataError(say("serve.bad_wish"))
    try:
        return bundle.seeds(seed, 1, about, float(truncation))
    except OmmaError as error:
        raise DataError(error.what) from None

"""Objects by their masks: what the matching asks of instances instead of boxes."""

from __future__ import annotations

import numpy as np

from omma.answers import _rle
from omma.answers.instances import Instances


def overlap(prediction: Instances, truth: Instances, mine: np.ndarray, theirs: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """IoU of some predicted and some true masks of a picture, see `_matching.Overlap`: (A, B)."""
    told, true = ([answer.counts[place] for place in places] for answer, places in ((prediction, mine), (truth, theirs)))
    return _rle.iou(told, true, truth.height, truth.width, crowd)


def areas(answer: Instances) -> np.ndarray:
    """How many pixels each object has: (n,) float64."""
    return np.array([_rle.area(text, answer.height, answer.width) for text in answer.counts], float)

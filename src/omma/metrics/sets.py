"""Which metrics belong to which kind of answer; the first one decides what is best."""

from __future__ import annotations

from collections.abc import Sequence

from omma.metrics.accuracy import Accuracy
from omma.metrics.average_precision import AveragePrecision
from omma.metrics.balanced_accuracy import BalancedAccuracy
from omma.metrics.brier import Brier
from omma.metrics.ece import Ece
from omma.metrics.f1 import F1
from omma.metrics.log_loss import LogLoss
from omma.metrics.mae import Mae
from omma.metrics.metric import Metric
from omma.metrics.mse import Mse
from omma.metrics.precision import Precision
from omma.metrics.r2 import R2
from omma.metrics.recall import Recall
from omma.metrics.roc_auc import RocAuc
from omma.metrics.top5 import Top5

AVERAGES = ("macro", "micro", "weighted")


def classification(names: Sequence[str]) -> dict[str, Metric]:
    """One class a picture; accuracy decides. Top-5 only where there are more than five classes."""
    first: dict[str, Metric] = {"accuracy": Accuracy(names), "balanced_accuracy": BalancedAccuracy(names)}
    if len(names) > 5:
        first["top5"] = Top5(names)
    return first | _averaged(names) | _of_probabilities(names, several=False)


def multilabel(names: Sequence[str]) -> dict[str, Metric]:
    """Several classes a picture; mean average precision decides: it needs no threshold, so a lucky one cannot win."""
    ranked: dict[str, Metric] = {"average_precision": AveragePrecision(names)}
    return ranked | {"subset_accuracy": Accuracy(names)} | _averaged(names) | _of_probabilities(names, several=True)


def regression(names: Sequence[str]) -> dict[str, Metric]:
    """Numbers; R² decides: it has no unit, so several numbers can be averaged."""
    return {"r2": R2(names), "mae": Mae(names), "mse": Mse(names)}


def _averaged(names: Sequence[str]) -> dict[str, Metric]:
    kinds = {"precision": Precision, "recall": Recall, "f1": F1}
    return {f"{key}_{average}": kind(names, average) for key, kind in kinds.items() for average in AVERAGES}


def _of_probabilities(names: Sequence[str], several: bool) -> dict[str, Metric]:
    ranked = {"roc_auc": RocAuc(names), "average_precision": AveragePrecision(names)}
    return ranked | {"log_loss": LogLoss(names, several), "brier": Brier(names, several), "ece": Ece(names, several)}

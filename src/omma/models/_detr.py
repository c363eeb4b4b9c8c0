"""Detectors of Hugging Face transformers (D-FINE, RT-DETRv2, RF-DETR), fine-tuned from published weights and never trained from scratch."""

from __future__ import annotations

from omma.models._detr_hybrid import HybridDetr
from omma.models._detr_library import whole
from omma.models._detr_queries import Detr
from omma.models._detr_sizes import SIZES
from omma.models._detr_windowed import WindowedDetr
from omma.models.network import Network

TRIED = False  # it cannot run on shapes alone: the library reads values as it goes
FAMILIES: dict[str, type[Detr]] = {"DFine": HybridDetr, "RTDetrV2": HybridDetr, "RfDetr": WindowedDetr}


def names() -> list[str]:
    """Every detector whose published weights are free to use, `transformers/` in front."""
    return list(SIZES)


def known(name: str) -> bool:
    """Whether it is one of them; a hub's address is no name."""
    return name in SIZES


def make(name: str, channels: int, size: int, outputs: int) -> Network:
    """One of them, with random weights."""
    return FAMILIES[SIZES[name].family](name, channels, size, outputs, whole(name, channels, outputs))

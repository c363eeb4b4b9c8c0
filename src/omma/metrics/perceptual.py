"""Perceptual distance: how differently a network sees answer and truth, of every picture, then their mean; LPIPS with its weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from omma.errors import OmmaError
from omma.metrics._reference import WHITE, AgainstReference
from omma.metrics.metric import Gallery, Records
from omma.models.eyes import Eyes, digest, seeing
from omma.parts.drawing.perceptual import lpips
from omma.parts.weights import read
from omma.words import say

SMALL = (32, 64)  # pixels of a side: the smallest that networks are tried on, in which nothing vanishes on the way
MOST = 512  # pixels of a side that are looked at in one piece


class Perceptual(AgainstReference):
    """How far features of answer and truth are apart, see `parts/drawing/perceptual.py`; 0 = they look the same.

    All channels are seen, grey three times; the border is left out as for PSNR. Pictures longer than 512 pixels are cut into parts side by
    side, which bounds memory; of smaller ones the number is that of Zhang et al. 2018, unless the network knows one size alone, to which
    they are brought. A shorter side under 32 pixels (AlexNet: 64) has no number.

    Args:
        names: not used.
        features: by whose eyes, see `eyes`; after a `+` the file of the weights of LPIPS for them. Numbers by different ones cannot be
            compared.
        border: as in `AgainstReference`.
    """

    better = "lower"
    scale = "positive"

    def __init__(self, names: Sequence[str], features: str, border: int = 0) -> None:
        super().__init__(names, "RGB", border)
        self.features, self.file = parted(features)
        self.protocol = {"border": border, "features": called(features)}

    def value(self, said: Any, true: Any) -> float:
        """Raises: OmmaError: the network or the weights are not here, or do not fit each other."""
        one, two = self.planes(said, true)
        if min(two.shape[:2]) < least(self.features):
            return float("nan")
        (encoder, weights), total = opened(self.features, self.file), 0.0
        for down in parts(two.shape[0]):
            for across in parts(two.shape[1]):
                made, wanted = (_planes(picture[down, across]).to(encoder.mean.device) for picture in (one, two))
                with torch.no_grad():
                    try:
                        told = float(lpips(encoder.maps(made), encoder.maps(wanted), weights))
                    except ValueError:
                        raise OmmaError(say("restore.not_for", features=encoder.name), self.file) from None
                total += told * made.shape[2] * made.shape[3]
        return total / (two.shape[0] * two.shape[1])

    def galleries(self, records: Records, most: int = 12) -> list[Gallery]:
        """The pictures that look least like what they should be."""
        order = np.argsort(-records["value"], kind="stable")  # NaN is last
        places = [int(i) for i in order[:most] if records["value"][i] > 0]
        return [Gallery("worst_seen", places)] if places else []


def parts(length: int) -> list[slice]:
    """A side in equal parts of at most `MOST` pixels."""
    edges = np.linspace(0, length, -(-length // MOST) + 1).round().astype(int).tolist()
    return [slice(first, last) for first, last in pairwise(edges)]


@lru_cache(maxsize=8)
def least(name: str) -> int:
    """Pixels of a shorter side from which on these eyes see something."""
    encoder = seeing(name)
    for side in SMALL:
        with suppress(RuntimeError), torch.no_grad():  # what is halved too often has no size any more
            encoder.maps(encoder.mean.new_zeros(1, 3, side, side))
            return side
    return SMALL[-1]


def parted(features: str) -> tuple[str, str]:
    """`NAME+WEIGHTS.safetensors` → (the network, the file of LPIPS's weights or "")."""
    name, plus, file = features.rpartition("+")
    whole = any(Path(one).exists() for one in (features, features.partition(":")[2]) if one)
    return (name, file) if plus and file.endswith(".safetensors") and not whole else (features, "")


def opened(name: str, file: str) -> tuple[Eyes, tuple[torch.Tensor, ...]]:
    """The eyes, and the weights of LPIPS where there are some; both are kept.

    Raises:
        OmmaError: the network or the weights are not here.
    """
    return seeing(name), weights_of(file) if file else ()


def called(features: str) -> str:
    """What these eyes are called where the number is told; the word itself where they are not here (any more)."""
    name, file = parted(features)
    try:
        return seeing(name).name + (f" + {Path(file).stem} {digest(Path(file))}" if file else "")
    except (OmmaError, OSError):
        return features


@lru_cache(maxsize=4)
def weights_of(file: str) -> tuple[torch.Tensor, ...]:
    """(C,) for each depth, in the order of the numbers in their names, as the authors' files have them: `lin0.model.1.weight` (1, C, 1, 1).

    Raises:
        OmmaError: no such file, or one that holds something else.
    """
    found: dict[int, torch.Tensor] = {}
    for key, value in read(file).items():
        number = re.search(r"\d+", key)
        if number is None or value.numel() != max(value.shape, default=0) or not value.is_floating_point():
            raise OmmaError(say("restore.no_lpips", tensor=key), file)
        found[int(number[0])] = value.flatten()
    return tuple(found[place] for place in sorted(found))


def _planes(picture: np.ndarray) -> torch.Tensor:
    """(h, w, c) on 0–255 → (1, c, h, w), 0–1."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)[None] / WHITE, np.float32))

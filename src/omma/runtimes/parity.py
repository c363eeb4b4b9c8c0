"""The gate: two ways of computing a model must give the same answers before one may stand for the other.

Whether two answers are the same, each answer says itself (`Answer.same`: the label unless the top two are within 1e-3, |Δ probability|
≤ 1e-3, numbers 1e-4). Beside that, every output must be there, of the same shape, finite where the other is, and near it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from omma.words import say

if TYPE_CHECKING:
    from omma.bundle import Bundle

# Pictures → operated tensors by name, batch in front.
Computes = Callable[[Any], dict[str, np.ndarray]]
NEAR = 1e-3  # of an output's own size, at least of 1
SHOWN = 5


@dataclass(slots=True)
class Parity:
    """What the gate found.

    Args:
        ok: the answers are the same on every picture.
        pictures: how many were compared.
        worst: the largest difference of any output, as a share of its size (at least of 1).
        lines: what differs, in words; empty when nothing does.
        failed: how many pictures have another answer.
    """

    ok: bool = True
    pictures: int = 0
    worst: float = 0.0
    lines: list[str] = field(default_factory=list)
    failed: int = 0

    def refuse(self, line: str, pictures: int = 0) -> None:
        """Note a difference."""
        self.ok = False
        self.failed += pictures
        if len(self.lines) < SHOWN:
            self.lines.append(line)


def gate(bundle: Bundle, a: Computes, b: Computes, batches: Iterable[Any]) -> Parity:
    """Compare two ways of computing a model on the same pictures.

    Args:
        bundle: names, task and operating point.
        a: the one that was measured.
        b: the one that wants to stand for it.
        batches: what both are called with, one after the other; at least one picture in all.
    """
    parity = Parity()
    for batch in batches:
        compare(bundle, a(batch), b(batch), parity)
    if not parity.pictures:
        parity.refuse(say("runtimes.no_pictures"))
    return parity


def compare(bundle: Bundle, mine: dict[str, np.ndarray], other: dict[str, np.ndarray], parity: Parity, located: bool = False) -> Parity:
    """Compare the operated tensors of one batch; adds to `parity`.

    Args:
        located: they are about pictures already, not about frames.
    """
    import torch

    from omma.engine.told import told

    task, numbers = bundle.task, bundle.task.answer.compared
    count = len(next(iter(mine.values())))
    start, parity.pictures = parity.pictures, parity.pictures + count
    if list(mine) != list(other):
        parity.refuse(say("runtimes.other_outputs", mine=", ".join(mine), other=", ".join(other)), count)
        return parity
    for name, tensor in mine.items():
        if tensor.shape != other[name].shape or tensor.dtype.kind != other[name].dtype.kind:
            found, wanted = f"{other[name].dtype}{other[name].shape}", f"{tensor.dtype}{tensor.shape}"
            parity.refuse(say("runtimes.other_shape", name=name, found=found, wanted=wanted), count)
            return parity
        if numbers is not None and name not in numbers:
            continue
        far = distance(tensor, other[name])
        parity.worst = max(parity.worst, far)
        if not far <= NEAR:
            parity.refuse(say("runtimes.far", name=name, far=f"{far:.2g}", near=NEAR))
    sides = [{key: torch.from_numpy(np.array(tensor)) for key, tensor in side.items()} for side in (mine, other)]
    if located:
        said = [[answer.settle(bundle.point) for answer in task.decode(side)] for side in sides]
    else:
        said = [told(task, side, bundle.point) for side in sides]
    for place, (one, two) in enumerate(zip(*said, strict=True)):
        if not one.same(two):
            parity.refuse(say("runtimes.other_answer", place=start + place, mine=short(one.json()), other=short(two.json())), 1)
    return parity


def distance(mine: np.ndarray, other: np.ndarray) -> float:
    """The largest difference of two float arrays, relative to the larger of 1 and their size; 0 for other kinds, which answers judge."""
    if mine.dtype.kind != "f" or not mine.size:
        return 0.0
    if not (np.isfinite(mine).all() and np.isfinite(other).all()):
        return float("inf")
    return float(np.abs(mine.astype(np.float64) - other).max() / max(1.0, float(np.abs(mine).max())))


def short(row: dict[str, Any]) -> str:
    """An answer's JSON without the list of all probabilities."""
    return ", ".join(f"{key} {value}" for key, value in row.items() if key != "probabilities")

"""Which detections are right, in tensors of frames: what thresholds are fitted to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from omma.answers.operating import threshold_for
from omma.answers.placed import Truth
from omma.parts.boxes import pairs

NEAR = 0.5  # IoU from which on an object counts as found
Row = dict[str, torch.Tensor]  # one picture's rows
Shared = Callable[[Row, Row], torch.Tensor]  # detections, objects → (K, M) IoU


@dataclass(frozen=True, slots=True)
class Judged:
    """The detections that count (neither unused nor on an ignored object), and how many objects there are to find.

    Args:
        share: (N,) their probabilities; calibrated, where thresholds are asked for.
        hit: (N,) bool, whether right.
        kind: (N,) int64, the class each names.
        objects: (C,) int64, objects of each class.
    """

    share: torch.Tensor
    hit: torch.Tensor
    kind: torch.Tensor
    objects: torch.Tensor

    def threshold(self, goal: str) -> tuple[float, bool]:
        """One for all classes, and whether it serves the goal."""
        return threshold_for(self.share, self.hit, int(self.objects.sum() - self.hit.sum()), goal, calibrated=True)

    def thresholds(self, goal: str) -> list[tuple[float, bool]]:
        """One for each class; for a class without objects that of all together."""
        common = self.threshold(goal)
        return [self._of(place).threshold(goal) if count else common for place, count in enumerate(self.objects.tolist())]

    def _of(self, place: int) -> Judged:
        mine = self.kind == place
        return Judged(self.share[mine], self.hit[mine], self.kind[mine], self.objects[place : place + 1])


def judged(tensors: dict[str, torch.Tensor], truth: Truth, classes: int, shared: Shared | None = None) -> Judged:
    """Detections of all pictures against their truths, one to one, the more probable first.

    Args:
        tensors: {"boxes": (B, K, 4), "probabilities": (B, K) descending, "classes": (B, K)}.
        truth: as `Boxes.tensors` made it.
        classes: how many there are.
        shared: how much the objects of a picture overlap; by their boxes when left out.
    """
    rows: list[tuple[float, bool, int]] = []
    objects = torch.zeros(classes, dtype=torch.int64)
    for row in range(len(tensors["boxes"])):
        counts = truth["classes"][row] >= 0
        kinds, aside = (truth[key][row][counts] for key in ("classes", "ignored"))
        objects += torch.bincount(kinds[~aside], minlength=classes)
        found, true = ({key: value[row] for key, value in side.items()} for side in (tensors, truth))
        overlap = (shared or by_boxes)(found, true)[:, counts] * (tensors["classes"][row][:, None] == kinds)
        for place in tensors["probabilities"][row].nonzero().flatten().tolist():
            best, at = overlap[place].max(0) if len(kinds) else (torch.tensor(0.0), torch.tensor(0))
            hit = bool(best >= NEAR)
            if hit and aside[at]:
                continue
            rows.append((float(tensors["probabilities"][row, place]), hit, int(tensors["classes"][row, place])))
            if hit:
                overlap[:, at] = 0  # an object is found once
    share, hits, kind = zip(*rows, strict=True) if rows else ((), (), ())
    return Judged(torch.tensor(share), torch.tensor(hits, dtype=torch.bool), torch.tensor(kind, dtype=torch.int64), objects)


def by_boxes(found: Row, true: Row) -> torch.Tensor:
    """(K, M) IoU of the boxes of a picture's detections and objects."""
    return pairs(found["boxes"], true["boxes"])


def by_masks(masks: torch.Tensor, objects: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(K, M) IoU of masks with the objects of a map, among pixels of which something is known; (M,) how many pixels each object has.

    Args:
        masks: (K, S, S) bool.
        objects: (S, S), as `Instances.tensors` made it.
        count: M.
    """
    on = objects.flatten().long()
    areas = torch.bincount(on[on >= 0], minlength=count + 1)
    # NumPy finds the few pixels of many masks five times as fast.
    who, where = map(torch.from_numpy, np.divmod(np.flatnonzero(masks.numpy()), len(on)))
    known = on[where] >= 0
    both = torch.bincount((who * (count + 1) + on[where])[known], minlength=len(masks) * (count + 1)).view(len(masks), count + 1)
    union = both.sum(1, keepdim=True) + areas - both
    return (both / union.clamp_min(1))[:, 1:], areas[1:]

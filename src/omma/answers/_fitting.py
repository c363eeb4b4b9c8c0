"""Which detections are right, in tensors of frames: what thresholds are fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from omma.answers.operating import threshold_for
from omma.answers.placed import Truth
from omma.parts.boxes import pairs

NEAR = 0.5  # IoU from which on an object counts as found


@dataclass(frozen=True, slots=True)
class Judged:
    """The detections that count (neither unused nor on an ignored object), and how many objects there are to find.

    Args:
        share: (N,) their probabilities.
        hit: (N,) bool, whether right.
        kind: (N,) int64, the class each names.
        objects: (C,) int64, objects of each class.
    """

    share: torch.Tensor
    hit: torch.Tensor
    kind: torch.Tensor
    objects: torch.Tensor

    def threshold(self, goal: str) -> float:
        """One for all classes."""
        return threshold_for(self.share, self.hit, int(self.objects.sum() - self.hit.sum()), goal)

    def thresholds(self, goal: str) -> list[float]:
        """One for each class; for a class without objects that of all together."""
        common = self.threshold(goal)
        return [self._of(place).threshold(goal) if count else common for place, count in enumerate(self.objects.tolist())]

    def _of(self, place: int) -> Judged:
        mine = self.kind == place
        return Judged(self.share[mine], self.hit[mine], self.kind[mine], self.objects[place : place + 1])


def judged(tensors: dict[str, torch.Tensor], truth: Truth, classes: int) -> Judged:
    """Detections of all pictures against their truths, one to one, the more probable first.

    Args:
        tensors: {"boxes": (B, K, 4), "probabilities": (B, K) descending, "classes": (B, K)}.
        truth: as `Boxes.tensors` made it.
        classes: how many there are.
    """
    rows: list[tuple[float, bool, int]] = []
    objects = torch.zeros(classes, dtype=torch.int64)
    for row in range(len(tensors["boxes"])):
        counts = truth["classes"][row] >= 0
        kinds, aside, corners = (truth[key][row][counts] for key in ("classes", "ignored", "boxes"))
        objects += torch.bincount(kinds[~aside], minlength=classes)
        overlap = pairs(tensors["boxes"][row], corners) * (tensors["classes"][row][:, None] == kinds)
        for place in tensors["probabilities"][row].nonzero().flatten().tolist():
            best, at = overlap[place].max(0) if len(corners) else (torch.tensor(0.0), torch.tensor(0))
            found = bool(best >= NEAR)
            if found and aside[at]:
                continue
            rows.append((float(tensors["probabilities"][row, place]), found, int(tensors["classes"][row, place])))
            if found:
                overlap[:, at] = 0  # an object is found once
    share, hit, kind = zip(*rows, strict=True) if rows else ((), (), ())
    return Judged(torch.tensor(share), torch.tensor(hit, dtype=torch.bool), torch.tensor(kind, dtype=torch.int64), objects)

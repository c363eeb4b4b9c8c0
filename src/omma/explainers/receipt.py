"""The faithfulness receipt of an explanation: is what it points at what the network looks at?

Deletion and insertion (RISE, Petsiuk et al. 2018): the frame is cut into cells; in the map's order, most important first, cells are covered
with the mean colour (the score should fall early: a small area under the curve) or uncovered on a blurred picture (it should rise early: a
large area). The same is done in random orders of the same cells. A map whose gap between both areas is not three deviations above that of
random orders explains nothing, and the receipt says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from omma.explainers.explainer import Question

GRID, STEPS, ORDERS, AT_ONCE = 16, 10, 8, 32


@dataclass(slots=True, frozen=True)
class Receipt:
    """Areas under the curves, in the unit of the score (an average over the share of cells changed).

    Args:
        deletion: of the map; smaller is better.
        insertion: of the map; larger is better.
        random_deletion, random_insertion: (mean, standard deviation) over random orders.
        random_gap: (mean, standard deviation) of insertion less deletion over random orders.
        orders: how many random orders.
        flat: the map is the same everywhere: it points at nothing.
    """

    deletion: float
    insertion: float
    random_deletion: tuple[float, float]
    random_insertion: tuple[float, float]
    random_gap: tuple[float, float]
    orders: int
    flat: bool = False

    @property
    def beats_random(self) -> bool:
        """Whether the gap is more than three deviations above that of random orders."""
        mean, spread = self.random_gap
        return not self.flat and self.insertion - self.deletion > mean + 3 * spread + 1e-6 * (1 + abs(mean))

    def json(self) -> dict[str, Any]:
        def pair(values: tuple[float, float]) -> dict[str, float]:
            return {"mean": round(values[0], 6), "sd": round(values[1], 6)}

        return {
            "deletion": round(self.deletion, 6),
            "insertion": round(self.insertion, 6),
            "random": {"deletion": pair(self.random_deletion), "insertion": pair(self.random_insertion), "orders": self.orders},
            "beats_random": self.beats_random,
        }


@torch.no_grad()
def receipt(
    question: Question,
    pictures: torch.Tensor,
    heat: torch.Tensor,
    *,
    orders: int = ORDERS,
    seed: int = 0,
    blank: torch.Tensor | None = None,
) -> Receipt:
    """Measure one map: `pictures` (1, C, S, S) normalised, `heat` (1, S, S); `blank` is what covers, the mean colour when open."""
    side = min(GRID, pictures.shape[2])
    worth = F.adaptive_avg_pool2d(heat[:, None], side).flatten()
    chance = torch.Generator().manual_seed(seed)
    shuffled = [torch.randperm(side * side, generator=chance) for _ in range(orders + 1)]
    # Cells of equal worth come in a random order too: reading order would be an answer the map did not give.
    ranked = [shuffled[0][worth.cpu()[shuffled[0]].argsort(descending=True, stable=True)], *shuffled[1:]]
    blurred = _blur(pictures) if blank is None else blank
    blank = torch.zeros_like(pictures) if blank is None else blank
    deletion = torch.tensor([_area(question, pictures, blank, order, side) for order in ranked], dtype=torch.float64)
    insertion = torch.tensor([_area(question, blurred, pictures, order, side) for order in ranked], dtype=torch.float64)

    def spread(values: torch.Tensor) -> tuple[float, float]:
        return float(values.mean()), float(values.std())

    gap = (insertion - deletion)[1:]
    return Receipt(
        float(deletion[0]),
        float(insertion[0]),
        spread(deletion[1:]),
        spread(insertion[1:]),
        spread(gap),
        orders,
        bool(worth.max() == worth.min()),
    )


def _area(question: Question, start: torch.Tensor, end: torch.Tensor, order: torch.Tensor, side: int) -> float:
    """Mean score while the cells of `start` become those of `end` in this order (trapezoid rule)."""
    place = torch.empty(side * side)
    place[order] = torch.arange(side * side, dtype=torch.float32)
    changed = torch.stack([place < round(side * side * k / STEPS) for k in range(STEPS + 1)]).view(-1, 1, side, side)
    masks = F.interpolate(changed.float(), size=start.shape[2:], mode="nearest").to(start.device)
    scores = torch.cat([question(end * m + start * (1 - m)) for m in masks.split(AT_ONCE)]).double()
    return float((scores[1:] + scores[:-1]).mean() / 2)


def _blur(pictures: torch.Tensor) -> torch.Tensor:
    """A box blur over a quarter of the side, twice: colours stay, shapes go."""
    reach = max(1, pictures.shape[2] // 8)
    for _ in range(2):
        pictures = F.avg_pool2d(F.pad(pictures, [reach] * 4, mode="replicate"), 2 * reach + 1, 1)
    return pictures

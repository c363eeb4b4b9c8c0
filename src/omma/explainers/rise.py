"""RISE: what random masks leave uncovered when the score is high (Petsiuk et al. 2018; about one object of a detector, D-RISE, 2021)."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from omma.explainers.explainer import Question

MASKS, CELLS, AT_ONCE = 320, 8, 32


@torch.no_grad()
def rise(question: Question, pictures: torch.Tensor, *, masks: int = MASKS, seed: int = 0) -> torch.Tensor:
    """(B, C, S, S) → (B, S, S): how the score goes with a pixel being uncovered, over random smooth masks; covered is the mean colour.

    The covariance, not the mean of the masks weighted by the score: it is zero where covering changes nothing.

    Args:
        masks: how many; the noise of the map falls with their root.
        seed: of the masks.
    """
    side, chance = pictures.shape[2], torch.Generator().manual_seed(seed)
    step = -(-side // CELLS)
    grids = (torch.rand(masks, 1, CELLS + 1, CELLS + 1, generator=chance) < 0.5).float()
    wide = F.interpolate(grids, size=((CELLS + 1) * step,) * 2, mode="bilinear", align_corners=False)
    corners = torch.randint(0, step, (masks, 2), generator=chance).tolist()
    cut = torch.stack([one[:, y : y + side, x : x + side] for one, (y, x) in zip(wide, corners, strict=True)]).to(pictures.device)
    heats = []
    for picture in pictures:
        scores = torch.cat([question(picture * some) for some in cut.split(AT_ONCE)]).double()
        heats.append(((scores - scores.mean()).float()[:, None, None] * cut[:, 0]).mean(0) * 4)
    return torch.stack(heats)

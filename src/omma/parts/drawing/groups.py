"""Pictures that look alike, in groups that occur equally often: what a generator without classes is taught by (after Liu et al. 2020)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

SIDE = 14  # places on a side that are compared, at most
ROUNDS, EVENINGS = 30, 20  # of moving the centres, and of evening out what falls to each in a round
SOFT = 0.1  # of the distance to the nearest centre: how softly pictures fall to a centre while shares are evened out


class Groups(nn.Module):
    """Which of `count` groups a picture falls to: pictures (B, C, S, S) → (B, count), 1 at its group, else 0.

    k-means over small copies, with an offset for each centre that makes groups about equally frequent (optimal transport with entropy,
    Cuturi 2013). So every group can be drawn as often as every other. Until `find` has seen pictures all fall to the first.

    Args:
        count: of groups.
        channels, size: of the pictures.
    """

    centres: torch.Tensor
    offsets: torch.Tensor

    def __init__(self, count: int, channels: int, size: int) -> None:
        super().__init__()
        self.side = min(SIDE, size)
        self.register_buffer("centres", torch.zeros(count, channels * self.side**2))
        self.register_buffer("offsets", torch.zeros(count))

    @torch.no_grad()
    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        nearest = (apart(self._small(pictures), self.centres) + self.offsets).argmin(1)
        return F.one_hot(nearest, len(self.centres)).to(pictures.dtype)

    @torch.no_grad()
    def find(self, pictures: torch.Tensor) -> None:
        """Find groups in pictures (B, C, S, S); centres begin at pictures evenly far apart in their order, nothing is drawn by lot."""
        points, count = self._small(pictures), len(self.centres)
        centres, offsets = points[torch.arange(count) * len(points) // count].clone(), self.offsets
        for _ in range(ROUNDS):
            far = apart(points, centres)
            offsets = evened(far)
            nearest = F.one_hot((far + offsets).argmin(1), count).to(points.dtype)
            held = nearest.sum(0)[:, None]
            centres = torch.where(held > 0, nearest.T @ points / held.clamp_min(1), centres)
        self.centres.copy_(centres)
        self.offsets.copy_(evened(apart(points, centres)))

    def _small(self, pictures: torch.Tensor) -> torch.Tensor:
        return F.adaptive_avg_pool2d(pictures.float(), self.side).flatten(1)


def apart(points: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """(B, D) and (K, D) → (B, K) squared distances."""
    return points.square().sum(1, keepdim=True) - 2 * points @ centres.T + centres.square().sum(1)


def evened(far: torch.Tensor) -> torch.Tensor:
    """(B, K) squared distances → (K,) what to add to those of each centre for all to be nearest to about as many (Sinkhorn's iteration)."""
    soft = SOFT * far.amin(1).mean().clamp_min(1e-6)
    near, shares = -far / soft, far.new_zeros(far.shape[1])
    for _ in range(EVENINGS):
        shares = shares - torch.log_softmax(near + shares, 1).logsumexp(0)
        shares = shares - shares.mean()
    return -shares * soft

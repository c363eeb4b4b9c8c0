"""WordTree: a softmax over every group of siblings, so that a label may be as exact as it can (Redmon & Farhadi 2017, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class WordTree(nn.Module):
    """A tree of classes: each has a probability given its parent, and absolutely the product along its way from the root.

        Pr(terrier) = Pr(terrier | dog) · Pr(dog | mammal) · … · Pr(animal)

    Args:
        parents: of each class, counted from 1; 0 = it hangs from the root. () with `count` classes = all hang from the root: a softmax.
        count: classes.

    Raises:
        ValueError: not one parent a class, a parent that is no class, or a circle.
    """

    siblings: torch.Tensor
    ways: torch.Tensor
    depth: torch.Tensor

    def __init__(self, parents: Sequence[int], count: int) -> None:
        super().__init__()
        parents = list(parents) or [0] * count
        if len(parents) != count or not all(0 <= parent <= count for parent in parents):
            raise ValueError(parents)
        above: list[list[int]] = []  # of each class: itself, its parent, and so on
        for place in range(count):
            way, step = [place], parents[place]
            while step:
                if step - 1 in way:
                    raise ValueError(parents)  # a circle
                way.append(step - 1)
                step = parents[step - 1]
            above.append(way)
        ways = [[float(other in way) for other in range(count)] for way in above]
        siblings = [[mine == theirs for theirs in parents] for mine in parents]
        self.register_buffer("siblings", torch.tensor(siblings), persistent=False)
        self.register_buffer("ways", torch.tensor(ways), persistent=False)  # [class, itself or what is above it]
        self.register_buffer("depth", torch.tensor([len(way) for way in above]), persistent=False)

    def conditional(self, logits: torch.Tensor) -> torch.Tensor:
        """(…, C) → (…, C): the logarithm of each class's probability given its parent."""
        groups = logits[..., None, :].masked_fill(~self.siblings, -torch.inf)
        return logits - groups.logsumexp(-1)

    def absolute(self, logits: torch.Tensor) -> torch.Tensor:
        """(…, C) → (…, C): the logarithm of each class's probability."""
        return self.conditional(logits) @ self.ways.T

    def loss(self, logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """(N, C), (N,) → (N,): −log of the class's probability. What is below a class in the tree learns nothing from it."""
        return -(self.conditional(logits) * self.ways[classes]).sum(-1)

    def chosen(self, logits: torch.Tensor, sure: float) -> torch.Tensor:
        """(…, C) → (…, C): the probability of the one class that is said, 0 for all others.

        From the root down, always to the likeliest child, until the next one would be less probable than `sure`.
        """
        shares = self.absolute(logits).exp()
        best = self.conditional(logits)
        groups = best[..., None, :].masked_fill(~self.siblings, -torch.inf)
        first = best >= groups.amax(-1)  # the likeliest of its siblings
        good = first & ((shares >= sure) | (self.depth == 1))
        # Reached: itself and all above it are good. Said: reached, and nothing that is reached lies deeper.
        reached = (good.to(shares.dtype) @ self.ways.T) >= self.depth
        deepest = torch.where(reached, self.depth, 0).amax(-1, keepdim=True)
        return shares * (reached & (self.depth == deepest))

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

    group: torch.Tensor
    parent: torch.Tensor
    depth: torch.Tensor

    def __init__(self, parents: Sequence[int], count: int) -> None:
        super().__init__()
        parents = list(parents) or [0] * count
        if len(parents) != count or not all(0 <= parent <= count for parent in parents):
            raise ValueError(parents)
        depths = []
        for place in range(count):
            depth, step = 1, parents[place]
            while step:
                depth, step = depth + 1, parents[step - 1]
                if depth > count:
                    raise ValueError(parents)  # a circle
            depths.append(depth)
        self.levels, self.count = max(depths, default=1), count
        self.register_buffer("group", torch.tensor(parents), persistent=False)  # siblings have one parent
        self.register_buffer("parent", torch.tensor([max(0, parent - 1) for parent in parents]), persistent=False)
        self.register_buffer("depth", torch.tensor(depths), persistent=False)

    def conditional(self, logits: torch.Tensor) -> torch.Tensor:
        """(…, C) → (…, C): the logarithm of each class's probability given its parent."""
        if self.levels == 1:
            return logits.log_softmax(-1)
        group = self.group.expand_as(logits)
        off = logits - self._largest(logits.detach()).gather(-1, group)
        sums = off.new_zeros(*off.shape[:-1], self.count + 1).scatter_add(-1, group, off.exp())
        return off - sums.gather(-1, group).log()

    def absolute(self, logits: torch.Tensor) -> torch.Tensor:
        """(…, C) → (…, C): the logarithm of each class's probability."""
        given = found = self.conditional(logits)
        for _ in range(self.levels - 1):  # one level further down each time
            found = given + torch.where(self.depth > 1, found[..., self.parent], torch.zeros_like(found))
        return found

    def loss(self, logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """(N, C), (N,) → (N,): −log of the class's probability. What is below a class in the tree learns nothing from it."""
        return -self.absolute(logits).gather(1, classes[:, None])[:, 0]

    def chosen(self, logits: torch.Tensor, sure: float) -> torch.Tensor:
        """(…, C) → (…, C): the probability of the one class that is said, 0 for all others.

        From the root down, always to the likeliest child, until the next one would be less probable than `sure`.
        """
        shares, top = self.absolute(logits).exp(), self.depth == 1
        likeliest = logits >= self._largest(logits).gather(-1, self.group.expand_as(logits))
        good = likeliest & ((shares >= sure) | top)
        reached = good
        for _ in range(self.levels - 1):
            reached = good & (top | reached[..., self.parent])
        deepest = torch.where(reached, self.depth, 0).amax(-1, keepdim=True)
        return shares * (reached & (self.depth == deepest))

    def _largest(self, logits: torch.Tensor) -> torch.Tensor:
        """(…, C) → (…, C + 1): the largest logit of every group of siblings; of those that are none, very small."""
        lowest = logits.new_full((*logits.shape[:-1], self.count + 1), -1e30)
        return lowest.scatter_reduce(-1, self.group.expand_as(logits), logits, "amax")

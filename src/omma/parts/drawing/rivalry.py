"""The games of a generator and its critic: what each makes small, and what keeps the critic from becoming too steep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

# (B,) verdicts on true pictures and on made ones → scalar.
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Losses = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Game:
    """One game. Verdicts may be computed in bfloat16; losses and penalties are float32.

    Args:
        judging: what the critic makes small.
        drawing: what the generator makes small.
        penalty: on the critic's gradients: `length` of 1 between true and made pictures (Gulrajani et al. 2017), or `zero` on true ones
            (R1, Mescheder et al. 2018), or `both`, on true and made ones (R1 and R2).
        weight: of the penalty where a person says nothing.
        every: the generator takes its turn at every so many steps.
        paired: whether the generator's loss reads the verdicts on true pictures.
    """

    judging: Loss
    drawing: Loss
    penalty: str = "zero"
    weight: float = 0.0
    every: int = 1
    paired: bool = False

    def of_critic(self, critic: nn.Module, true: torch.Tensor, made: torch.Tensor, classes: torch.Tensor, weight: float = 0.0) -> Losses:
        """{"critic": what it makes small, and its penalties by name, weighted}.

        Args:
            critic: (pictures (B, C, S, S), classes (B, K)) → (B,).
            true, made: (B, C, S, S), 0–1, of the same classes.
            classes: (B, K).
            weight: of the penalty; 0 = the game's own.
        """
        weight = weight or self.weight
        # What a gradient is taken at is a leaf of its own: nothing passes on to the generator.
        true = true.detach().requires_grad_(weight > 0 and self.penalty in ("zero", "both"))
        made = made.detach().requires_grad_(weight > 0 and self.penalty == "both")
        on_true, on_made = critic(true, classes).float(), critic(made, classes).float()
        terms = {"critic": self.judging(on_true, on_made)}
        if weight > 0 and self.penalty == "length":
            share = torch.rand(len(true), 1, 1, 1, device=true.device)
            mixed = torch.lerp(made, true, share).requires_grad_()
            length = (squared(critic(mixed, classes), mixed) + 1e-12).sqrt()
            terms["penalty"] = weight * (length - 1).square().mean()
        elif weight > 0:
            terms["r1"] = weight / 2 * squared(on_true, true).mean()
            if self.penalty == "both":
                terms["r2"] = weight / 2 * squared(on_made, made).mean()
        return terms

    def of_generator(self, critic: nn.Module, true: torch.Tensor, made: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Scalar the generator makes small; gradients pass through the critic, see `frozen` for them not to stay there."""
        on_made = critic(made, classes).float()
        if not self.paired:
            return self.drawing(on_made, on_made)
        with torch.no_grad():
            on_true = critic(true, classes).float()
        return self.drawing(on_true, on_made)


def squared(said: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """(B,) float32: squared length of the gradient of each of (B,) verdicts with respect to its picture; can be learned from."""
    (slope,) = torch.autograd.grad(said.float().sum(), pictures, create_graph=True)
    return slope.float().square().sum((1, 2, 3))


GAMES = {
    # A critic says how probably a picture is true; the generator makes that large instead of the opposite small, which would leave it
    # without a gradient at first (Goodfellow et al. 2014).
    "standard": Game(
        judging=lambda true, made: F.softplus(-true).mean() + F.softplus(made).mean(),
        drawing=lambda true, made: F.softplus(-made).mean(),
    ),
    # The difference of the means is a distance between what is true and what is made (Arjovsky et al. 2017), if the critic's slope is
    # at most 1, and the better the critic the truer it is: five turns of it to one (Gulrajani et al. 2017).
    "wasserstein": Game(
        judging=lambda true, made: made.mean() - true.mean(),
        drawing=lambda true, made: -made.mean(),
        penalty="length",
        weight=10.0,
        every=5,
    ),
    # What is told apart well enough counts no more (Lim & Ye 2017; Miyato et al. 2018).
    "hinge": Game(
        judging=lambda true, made: F.relu(1 - true).mean() + F.relu(1 + made).mean(),
        drawing=lambda true, made: -made.mean(),
    ),
    # A made picture is to look truer than the true one beside it: each pair counts, so no mode can be left out for nothing
    # (Jolicoeur-Martineau 2018; with both penalties it converges, Huang et al. 2024).
    "relativistic": Game(
        judging=lambda true, made: F.softplus(made - true).mean(),
        drawing=lambda true, made: F.softplus(true - made).mean(),
        penalty="both",
        weight=1.0,
        paired=True,
    ),
}

"""The contract: everything a verb needs to know about what is being learned.

A verb never asks which task it has. One sample's journey:

    truth   ─answer.tensors→ batch.truth ─┐
    picture ─views→ batch.pictures ─infer→ tensors ─answer.operate→ tensors ─decode→ Answer
                              └─ turns → (who, loss) → engine
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from omma.data.sample import Batch

__all__ = ["Batch", "Task"]

if TYPE_CHECKING:
    import torch
    from torch import nn

    from omma.answers.answer import Answer
    from omma.data.fingerprint import Fingerprint
    from omma.metrics.metric import Metric
    from omma.recipe import Recipe


class Task:
    """What can be learned. Stateless apart from its names and its settings; a plain task writes `loss`, `infer`, `decode`, `metrics`.

    Args:
        names: the classes, or the names of the numbers, in the order of the network's outputs.
        settings: keyword values, one per entry of `SETTINGS`; unknown ones are refused by `Recipe`.
    """

    # What goes in: a "picture"; a "style", a picture and those it is to be painted like, which `predict` may name; or a "seed", numbers
    # of chance and the class that is wanted: then `Batch.pictures` of `infer` are rows of `parts/drawing/seeds.py`, and every verb draws
    # them instead of reading files.
    asks: ClassVar[str] = "picture"
    # What a dataset becomes for it, see `data/own/given.py`: its "labels" as they are, "pairs" of a bad picture and a good one, a
    # picture "itself" as both, "good" ones alone, or pictures that are "themselves" the truth.
    poses: ClassVar[str] = "labels"
    answer: ClassVar[type[Answer]]
    # name → (default, what it does); read without making a task.
    SETTINGS: ClassVar[dict[str, tuple[Any, str]]] = {}
    # What its networks give (`Network.gives`), and the networks to begin with where those are special, the usual one first.
    reads: ClassVar[str] = "row"
    models: ClassVar[tuple[str, ...]] = ()
    # How it is explained unless a person says otherwise.
    explains: ClassVar[str] = "gradcam"
    # The losses that `loss=` takes; () = any.
    LOSSES: ClassVar[tuple[str, ...]] = ()
    # Whether its networks keep some of its settings inside: then `furnish(net)` puts them there before the first step.
    furnishes: ClassVar[bool] = False
    # Whether, of pictures at their own size, the mean loss on validation chooses the step, since no metric alone tells all that is wanted;
    # otherwise the first metric does.
    by_loss: ClassVar[bool] = False
    # Steps after which the players' turns begin anew; `nets` sets it where that depends on them.
    cycle: int = 1

    def __init__(self, names: Sequence[str], **settings: Any) -> None:
        self.names = list(names)
        self.settings = {key: default for key, (default, _) in self.SETTINGS.items()} | settings

    @property
    def outputs(self) -> int:
        """How many numbers the network's head gives for one picture."""
        return len(self.names)

    @property
    def scale(self) -> int:
        """How many times larger than what is given an answer that is a picture is."""
        return 1

    def plan(self, fingerprint: Fingerprint, recipe: Recipe) -> Recipe:
        """What the data says about the settings: returns a recipe in which open values are filled."""
        return recipe

    def nets(self, model: nn.Module) -> dict[str, nn.Module]:
        """The networks by the name of the player that trains them."""
        return {"net": model}

    def loss(self, net: nn.Module, batch: Batch) -> torch.Tensor | dict[str, torch.Tensor]:
        """What is to become small: a scalar, or named scalars that are added up."""
        raise NotImplementedError

    def turns(self, nets: dict[str, nn.Module], batch: Batch, step: int) -> Iterator[tuple[str, torch.Tensor | dict[str, torch.Tensor]]]:
        """Who learns from which loss, in which order. Code after a `yield` runs once that player has stepped."""
        yield "net", self.loss(nets["net"], batch)

    def infer(self, nets: dict[str, nn.Module], batch: Batch) -> dict[str, torch.Tensor]:
        """All the arithmetic of an answer up to the operating point, exportable; batch in front."""
        raise NotImplementedError

    def decode(self, tensors: dict[str, torch.Tensor], batch: Batch | None = None) -> Sequence[Answer]:
        """Operated tensors → answers: wraps and adds names, never thresholds."""
        raise NotImplementedError

    def metrics(self) -> dict[str, Metric]:
        """Metrics by name; the first decides what is best."""
        raise NotImplementedError

    def score(self, tensors: dict[str, torch.Tensor], about: str | None = None, at: torch.Tensor | None = None) -> torch.Tensor:
        """(B,): the number an explanation asks about, from the tensors of `infer`.

        Args:
            about: a class; the top one when open.
            at: (4,) corners in the frame, for answers that lie somewhere: what is said of this place.
        """
        raise NotImplementedError

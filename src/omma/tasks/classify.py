"""Classification: one class out of several for each picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from omma import catalog
from omma.answers.label import Label
from omma.tasks.task import Batch, Task

if TYPE_CHECKING:
    import torch
    from torch import nn


class Classify(Task):
    """`infer` gives {"logits": (B, C)}."""

    answer = Label
    LOSSES = ("cross_entropy", "nll", "focal", "mse", "bce", "hinge")
    SETTINGS: ClassVar[dict[str, tuple[Any, str]]] = {
        "loss": ("cross_entropy", "cross_entropy, nll, focal, mse, bce or hinge"),
        "label_smoothing": (0.0, "share given to the other classes"),
        "class_weights": ((), "weight of each class in the loss; () = equal"),
    }

    def plan(self, fingerprint, recipe):
        from omma.tasks.plan import plan_pictures

        plan_pictures(fingerprint, recipe)
        if "task.label_smoothing" not in recipe.origin and self.settings["loss"] == "cross_entropy":
            recipe.task_settings["label_smoothing"] = 0.2 if recipe.model.startswith("quick") else 0.1
        return recipe

    def loss(self, net: nn.Module, batch: Batch) -> torch.Tensor:
        import torch

        weights = self.settings["class_weights"]
        weight = torch.as_tensor(weights, dtype=torch.float32, device=batch.pictures.device) if len(weights) else None
        loss = catalog.find("losses", self.settings["loss"])
        return loss(net(batch.pictures), batch.truth["target"], weight=weight, smoothing=self.settings["label_smoothing"])

    def infer(self, nets: dict[str, nn.Module], batch: Batch) -> dict[str, torch.Tensor]:
        return {"logits": nets["net"](batch.pictures)}

    def decode(self, tensors: dict[str, torch.Tensor], batch: Batch | None = None) -> list[Label]:
        shares = tensors["probabilities"].float().cpu().numpy()
        return [Label(self.names[place], self.names, row) for row, place in zip(shares, tensors["label"].tolist(), strict=True)]

    def metrics(self):
        from omma.metrics.sets import classification

        return classification(self.names)

    def score(self, tensors: dict[str, torch.Tensor], about: str | None = None, at: torch.Tensor | None = None) -> torch.Tensor:
        from omma.tasks.plan import one_column

        return one_column(tensors["logits"], self.names, about)

"""Multi-label classification: which classes are present, any number of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from omma import catalog
from omma.answers.labels import Labels
from omma.tasks.task import Batch, Task

if TYPE_CHECKING:
    import torch
    from torch import nn


class Multilabel(Task):
    """`infer` gives {"logits": (B, C)}, each class on its own."""

    answer = Labels
    LOSSES = ("bce", "focal_binary")
    SETTINGS: ClassVar[dict[str, tuple[Any, str]]] = {
        "loss": ("bce", "bce or focal_binary"),
        "label_smoothing": (0.0, "distance kept from 0 and 1"),
        "class_weights": ((), "weight of a present class in the loss; () = equal"),
    }

    def plan(self, fingerprint, recipe):
        from omma.tasks.plan import plan_pictures

        return plan_pictures(fingerprint, recipe)

    def loss(self, net: nn.Module, batch: Batch) -> torch.Tensor:
        import torch

        weights = self.settings["class_weights"]
        weight = torch.as_tensor(weights, dtype=torch.float32, device=batch.pictures.device) if len(weights) else None
        loss = catalog.find("losses", self.settings["loss"])
        return loss(net(batch.pictures), batch.truth["target"], weight=weight, smoothing=self.settings["label_smoothing"])

    def infer(self, nets: dict[str, nn.Module], batch: Batch) -> dict[str, torch.Tensor]:
        return {"logits": nets["net"](batch.pictures)}

    def decode(self, tensors: dict[str, torch.Tensor], batch: Batch | None = None) -> list[Labels]:
        shares = tensors["probabilities"].float().cpu().numpy()
        present = tensors["labels"].bool().tolist()
        return [
            Labels(tuple(name for name, here in zip(self.names, flags, strict=True) if here), self.names, row)
            for row, flags in zip(shares, present, strict=True)
        ]

    def metrics(self):
        from omma.metrics.sets import multilabel

        return multilabel(self.names)

    def score(self, tensors: dict[str, torch.Tensor], about: str | None = None, at: torch.Tensor | None = None) -> torch.Tensor:
        from omma.tasks.plan import one_column

        return one_column(tensors["logits"], self.names, about)

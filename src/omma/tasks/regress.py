"""Regression: one or several numbers for each picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from omma import catalog
from omma.answers.numbers import Numbers
from omma.tasks.task import Batch, Task

if TYPE_CHECKING:
    import torch
    from torch import nn


class Regress(Task):
    """The network learns standardised numbers; `infer` gives {"numbers": (B, K)} in the table's units.

    With `loss=gaussian` the head is twice as wide and `infer` also gives {"spread": (B, K)}, a standard deviation.
    """

    answer = Numbers
    LOSSES = ("huber", "mse", "gaussian")
    SETTINGS: ClassVar[dict[str, tuple[Any, str]]] = {
        "loss": ("huber", "mse, huber or gaussian (likelihood with a predicted variance)"),
        "centre": ((), "mean of each number over the training part; from the data"),
        "width": ((), "standard deviation of each number; from the data"),
    }

    @property
    def outputs(self) -> int:
        return len(self.names) * (2 if self.settings["loss"] == "gaussian" else 1)

    def plan(self, fingerprint, recipe):
        from omma.tasks.plan import plan_pictures

        stats = [fingerprint.number_stats[name] for name in self.names]
        recipe.task_settings.setdefault("centre", [mean for mean, *_ in stats])
        recipe.task_settings.setdefault("width", [max(spread, 1e-6) for _, spread, *_ in stats])
        return plan_pictures(fingerprint, recipe)

    def _scale(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        count = len(self.names)
        centre = torch.as_tensor(list(self.settings["centre"]) or [0.0] * count, dtype=torch.float32, device=like.device)
        width = torch.as_tensor(list(self.settings["width"]) or [1.0] * count, dtype=torch.float32, device=like.device)
        return centre, width

    def loss(self, net: nn.Module, batch: Batch) -> torch.Tensor:
        centre, width = self._scale(batch.pictures)
        loss = catalog.find("losses", self.settings["loss"])
        return loss(net(batch.pictures), (batch.truth["target"] - centre) / width)

    def infer(self, nets: dict[str, nn.Module], batch: Batch) -> dict[str, torch.Tensor]:
        raw = nets["net"](batch.pictures).float()
        centre, width = self._scale(raw)
        count = len(self.names)
        tensors = {"numbers": raw[:, :count] * width + centre}
        if self.outputs > count:
            tensors["spread"] = (raw[:, count:].clamp(-10, 10) / 2).exp() * width
        return tensors

    def decode(self, tensors: dict[str, torch.Tensor], batch: Batch | None = None) -> list[Numbers]:
        def named(rows: torch.Tensor) -> list[dict[str, float]]:
            return [dict(zip(self.names, row, strict=True)) for row in rows.tolist()]

        spreads = named(tensors["spread"]) if "spread" in tensors else [None] * len(tensors["numbers"])
        width = self.settings["width"]
        scale = dict(zip(self.names, map(float, width), strict=True)) if len(width) else None
        return [Numbers(numbers, spread, scale) for numbers, spread in zip(named(tensors["numbers"]), spreads, strict=True)]

    def metrics(self):
        from omma.metrics.sets import regression

        return regression(self.names)

    def score(self, tensors: dict[str, torch.Tensor], about: str | None = None, at: torch.Tensor | None = None) -> torch.Tensor:
        from omma.tasks.plan import one_column

        return one_column(tensors["numbers"], self.names, about)

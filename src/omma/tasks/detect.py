"""Object detection: which objects, and where, as boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from omma.answers.boxes import Boxes
from omma.tasks.task import Batch, Task

if TYPE_CHECKING:
    import torch
    from torch import nn


class Detect(Task):
    """`infer` gives {"boxes": (B, K, 4), "probabilities": (B, K) descending, "classes": (B, K), "extent": (B, 2)} of the frame.

    The network owns its assignment and its losses (`Network.gives` "objects"); rows it does not use have the probability 0.
    """

    answer: ClassVar[type[Boxes]] = Boxes
    reads = "objects"
    models: ClassVar[tuple[str, ...]] = (
        "anchor-free",
        "anchor-free-small",
        "torchvision/fasterrcnn_resnet50_fpn_v2",
        "torchvision/ssdlite320_mobilenet_v3_large",
    )
    SETTINGS: ClassVar[dict[str, tuple[Any, str]]] = {
        "goal": ("", "what each class's threshold of what is shown is chosen for: f1, recall>=SHARE or precision>=SHARE"),
    }

    def plan(self, fingerprint, recipe):
        from omma.tasks.plan import plan_places

        # From scratch Muon takes steps of eight as well as AdamW takes steps of four, and learns classes sooner (decision 16); no mosaic.
        model = "anchor-free-small" if recipe.preset == "fast" else "anchor-free"
        batch = 8 if fingerprint.train < 4000 else 16
        rate, dials = 2e-3, {"warmup": 0.15, "shift": 0.15, "batch": 4 if fingerprint.train < 1000 else batch}
        if str(recipe.model).startswith("transformers/"):  # gently, from published weights; not measured here
            rate, dials = 2e-4, dials | {"weight_decay": 1e-4, "clip": 0.1}
        return plan_places(fingerprint, recipe, model, rates={"adamw": rate}, blends=True, ours={"batch": batch}, **dials)

    def loss(self, net: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        return net(batch.pictures, batch.truth)

    def infer(self, nets: dict[str, nn.Module], batch: Batch) -> dict[str, torch.Tensor]:
        found = nets["net"](batch.pictures)
        side = batch.pictures.shape[2]
        return found | {"extent": found["classes"][:, :1].expand(-1, 2) * 0 + side}

    def decode(self, tensors: dict[str, torch.Tensor], batch: Batch | None = None) -> Sequence[Boxes]:
        rows = {key: value.cpu().numpy() for key, value in tensors.items()}
        return [self.one({key: value[at] for key, value in rows.items()}) for at in range(len(rows["boxes"]))]

    def one(self, row: dict[str, Any]) -> Boxes:
        """The answer about one picture, from its rows of every tensor."""
        height, width = map(int, row["extent"])
        used = row["probabilities"] > 0
        labels = [self.names[place] for place in row["classes"][used]]
        return Boxes(width, height, labels, row["boxes"][used].astype(float), row["probabilities"][used], classes=self.names)

    def metrics(self):
        from omma.metrics.sets import detection

        return detection(self.names)

    def score(self, tensors: dict[str, torch.Tensor], about: str | None = None, at: torch.Tensor | None = None) -> torch.Tensor:
        """The probability of the surest object of a class (of any); of a place, times its overlap with it (D-RISE, Petsiuk et al. 2021)."""
        import torch

        from omma.parts import boxes as geometry
        from omma.tasks.plan import one_column

        share = tensors["probabilities"][:, None] * (tensors["classes"][:, None] == torch.arange(len(self.names))[:, None]).to(
            torch.float32
        )
        if at is not None:
            there = at.to(tensors["boxes"]).expand(len(tensors["boxes"]), 1, 4)
            share = share * geometry.pairs(tensors["boxes"], there).transpose(1, 2)
        return one_column(share.amax(2), self.names, about)

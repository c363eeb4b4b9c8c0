"""RF-DETR: a windowed vision transformer (DINOv2), one scale, and groups of queries that learn side by side."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn
from torch.func import functional_call

from omma.models._detr_library import QUERIES
from omma.models._detr_queries import Detr, Elsewhere, by_kind


class Trunk(nn.Module):
    """The library's backbone and projector, which know no padding; the maps between them and the queries can be put in from outside."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.backbone, self.projector = encoder.backbone, encoder.projector
        self.instead: list[torch.Tensor] = []

    def maps(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """(B, C, S, S) → (B, D, h, w), the only scale."""
        return [self.projector(self.backbone(pictures).feature_maps)]

    def forward(self, pictures: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, C, S, S) → (B, D, h, w), and (B, h, w) where they count: everywhere."""
        maps = self.instead.pop() if self.instead else self.maps(pictures)[0]
        return maps, torch.ones_like(maps[:, 0], dtype=torch.bool)


class WindowedDetr(Detr):
    """RF-DETR (Robinson et al. 2025). Of its groups of queries (Group DETR, Chen et al. 2023) only the first answers after training."""

    ROWS: ClassVar = ("class_embed.", "model.enc_out_class_embed.")
    COLOURS: ClassVar = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    def taken(self, net: Any) -> list[nn.Module]:
        classes = [net.class_embed, *net.model.enc_out_class_embed]
        net.class_embed, *groups = (Elsewhere(layer) for layer in classes)
        net.model.enc_out_class_embed = nn.ModuleList(groups)
        net.model.backbone = Trunk(net.model.backbone)
        return classes

    def places(self, side: int) -> int:
        return (side // self.body.config.backbone_config.patch_size) ** 2

    def limit(self, count: int) -> None:
        super().limit(count)
        self.body.model.num_queries = count
        # The library's loss believes it is always learning, and would look for groups that do not answer.
        self.body.config.group_detr = self.body.model.group_detr if self.training else 1

    def answers(self, pictures: torch.Tensor, **more: Any) -> Any:
        model, count = self.body.model, self.body.config.num_queries
        if not self.training or count == QUERIES:
            return super().answers(pictures, **more)
        tables = {"query_feat": model.query_feat, "reference_point_embed": model.reference_point_embed}
        # Fewer queries: the first of each group; the library takes all rows and would no longer know which group they are of.
        few = {f"model.{key}.weight": table.weight.unflatten(0, (-1, QUERIES))[:, :count].flatten(0, 1) for key, table in tables.items()}
        return functional_call(self.body, few, (pictures,), more)

    def losses(self, found: Any) -> dict[str, torch.Tensor]:
        config = self.body.config
        shares = {"ce": config.class_loss_coefficient, "bbox": config.bbox_loss_coefficient, "giou": config.giou_loss_coefficient}
        kinds = {key: key.split("_")[1] for key in found.loss_dict}  # what is counted and not learned from has no share
        return by_kind({key: shares[kind] * found.loss_dict[key] for key, kind in kinds.items() if kind in shares})

    def stages(self) -> list[nn.Module]:
        trunk = self.body.model.backbone.backbone
        return [trunk.embeddings, *trunk.encoder.layer, trunk.layernorm]

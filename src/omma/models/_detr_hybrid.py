"""D-FINE and RT-DETRv2: a convolutional trunk, an encoder that mixes its scales, and noisy copies of the truth to learn from."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from omma.models._detr_queries import Detr, Elsewhere, by_kind

# Layers that the library lists under two names, and files under either.
TWICE = ("class_embed.", "bbox_embed.")
# Tables the library remembers for the whole process: what inference mode left there cannot be learned through.
REMEMBERED = ("_cached_generate_anchors", "_cached_build_2d_sinusoidal_position_embedding")


class Words(nn.Module):
    """Classes as vectors (K, D), for the noisy copies of the truth that learning starts from; the number K is no class and is zero."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone())

    def forward(self, classes: torch.Tensor) -> torch.Tensor:
        """(…) int → (…, D)."""
        return F.embedding(classes, torch.cat([self.weight, self.weight.new_zeros(1, self.weight.shape[1])]))


class Trunk(nn.Module):
    """The library's backbone without its masks of padding, which nobody reads; the last maps can be put in from outside."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.instead: list[torch.Tensor] = []

    def maps(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """(B, C, S, S) → (B, D, h, w) each, fine to coarse."""
        return list(self.model(pictures).feature_maps)

    def forward(self, pictures: torch.Tensor, mask: torch.Tensor) -> list[tuple[torch.Tensor, None]]:
        """(B, C, S, S) → maps, each beside the mask the library expects."""
        maps = self.maps(pictures)
        if self.instead:
            maps[-1] = self.instead.pop()
        return [(level, None) for level in maps]


class HybridDetr(Detr):
    """D-FINE (Peng et al. 2024) and RT-DETRv2 (Lv et al. 2024)."""

    ROWS: ClassVar = ("class_embed.", "model.decoder.class_embed.", "model.enc_score_head.", "model.denoising_class_embed.")
    # Pictures from 0 to 1, not normalised.
    COLOURS: ClassVar = ((0.0,) * 3, (1.0,) * 3)

    def taken(self, net: Any) -> list[nn.Module]:
        model = net.model
        del net.class_embed, net.bbox_embed  # the decoder's own are those that work
        classes = [*model.decoder.class_embed, model.enc_score_head, Words(model.denoising_class_embed.weight[:-1])]
        *layers, first, words = (Elsewhere(layer) for layer in classes)
        model.decoder.class_embed = nn.ModuleList(layers)
        model.enc_score_head, model.denoising_class_embed = first, words
        model.backbone = Trunk(model.backbone.model)
        for module in net.modules():
            for key in REMEMBERED:
                if hasattr(type(module), key):
                    setattr(module, key, getattr(type(module), key).__wrapped__)
        return classes

    def places(self, side: int) -> int:
        return sum((side // stride) ** 2 for stride in self.body.config.feat_strides)

    def answers(self, pictures: torch.Tensor, **more: Any) -> Any:
        decoder = self.body.model.decoder
        if "labels" in more and hasattr(decoder, "reg_scale"):  # weights bring their own, the library's loss asks the settings
            self.body.config.reg_scale = float(decoder.reg_scale)
        return super().answers(pictures, **more)

    def losses(self, found: Any) -> dict[str, torch.Tensor]:
        losses = by_kind(found.loss_dict)
        # No object in the whole batch, no noisy copies: their layer has a gradient all the same, of zeros.
        return losses | {"vfl": losses["vfl"] + 0 * self.head[-1].weight.sum()}

    def stages(self) -> list[nn.Module]:
        trunk = self.body.model.backbone.model
        return [piece for piece in [trunk.embedder, *trunk.encoder.stages] if any(True for _ in piece.parameters())]

    def completed(self, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Layers that a file holds under one of their two names, under both; those it shares between decoder layers, in each."""
        whole = dict(state)
        for key, value in state.items():
            inner = key.removeprefix("model.decoder.")
            if inner.startswith(TWICE):
                whole.setdefault(inner, value)
                whole.setdefault(f"model.decoder.{inner}", value)
        for key, value in [*whole.items()]:
            name, _, rest = key.partition("_embed.0.")
            if f"{name.removeprefix('model.decoder.')}_embed." in TWICE:
                for place in range(1, self.body.config.decoder_layers):
                    whole.setdefault(f"{name}_embed.{place}.{rest}", value)
        return whole

"""Detectors of Hugging Face transformers (D-FINE, RT-DETRv2), fine-tuned from published weights and never trained from scratch.

Layers, assignment and losses are the library's. Nothing but `model.safetensors` is ever fetched or read: no code, no pickles, no settings.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import box_convert

from omma.errors import OmmaError
from omma.models._detr_sizes import SIZES
from omma.models._torchvision_objects import padded, rounded, targets_of
from omma.models.backbone import Backbone, fetched, weights_file
from omma.models.network import Network
from omma.parts.suppress import FLOOR
from omma.parts.weights import read
from omma.words import say

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # before the library is imported
# It checks its own shapes by asking tensors for their values, which no exported graph can.
os.environ.setdefault("TRANSFORMERS_DISABLE_TORCH_CHECK", "1")

Truth = dict[str, torch.Tensor]
FILE = "model.safetensors"
TRIED = False  # it cannot run on shapes alone: the library reads values as it goes
QUERIES, MOST = 300, 100  # places the library looks at, and objects of a picture we keep
STRIDE = 32
# What tells classes apart; made anew for other classes.
ROWS = ("class_embed.", "model.decoder.class_embed.", "model.enc_score_head.", "model.denoising_class_embed.")
# Layers that the library lists under two names, and files under either.
TWICE = ("class_embed.", "bbox_embed.")
# Tables the library remembers for the whole process: what inference mode left there cannot be learned through.
REMEMBERED = ("_cached_generate_anchors", "_cached_build_2d_sinusoidal_position_embedding")


def names() -> list[str]:
    """Every detector whose published weights are free to use, `transformers/` in front."""
    return list(SIZES)


def known(name: str) -> bool:
    """Whether it is one of them; a hub's address is no name."""
    return name in SIZES


def make(name: str, channels: int, size: int, outputs: int) -> Network:
    """One of them, with random weights."""
    return Detr(name, channels, size, outputs, whole(name, channels, outputs))


def whole(name: str, channels: int, outputs: int, state: dict[str, torch.Tensor] | None = None) -> Any:
    """The library's own network, with random weights or those of a file, as far as they fit; `untaken` lists what they do not fill."""
    import transformers

    size = SIZES[name]
    body: dict[str, Any] = {
        "model_type": "hgnet_v2" if size.family == "DFine" else "rt_detr_resnet",
        "out_indices": [2, 3, 4],
        "num_channels": channels,
    }
    body |= size.body
    if "stem_channels" in body:
        body["stem_channels"] = [channels, *body["stem_channels"][1:]]
    # Tied: a table of which layer stands in for which, which would overwrite later layers with the first one.
    config = getattr(transformers, f"{size.family}Config")(
        backbone_config=body, num_labels=outputs, num_queries=QUERIES, tie_word_embeddings=False, **size.rest
    )
    kind = getattr(transformers, f"{size.family}ForObjectDetection")
    # It asks for the length of a batch: as a plain number that would tie exported graphs to the batch they were traced with.
    sys.modules[kind.__module__].len = _length  # type: ignore[attr-defined]
    with _silent():
        if state is None:
            return kind(config)
        net, told = kind.from_pretrained(
            None, config=config, state_dict=state, ignore_mismatched_sizes=True, output_loading_info=True, dtype=torch.float32
        )
    mismatched = [row[0] if isinstance(row, tuple) else row for row in told["mismatched_keys"]]
    net.untaken = [key for key in {*told["missing_keys"], *mismatched} if not key.endswith("num_batches_tracked")]
    return net


def _length(values: Any) -> Any:
    """`len`, which of a tensor stays open while a graph is traced."""
    return values.shape[0] if isinstance(values, torch.Tensor) else len(values)


@contextmanager
def _silent() -> Iterator[None]:
    """The library reports every tensor that does not fit and draws a bar; what a person has to know we say ourselves."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


class Elsewhere(nn.Module):
    """Stands where the library had a layer that is now of the head and listed there."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self._layer = [layer]  # in a list: not listed here too

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """As the layer."""
        return self._layer[0](values)


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

    def forward(self, pictures: torch.Tensor, mask: torch.Tensor) -> list[tuple[torch.Tensor, None]]:
        """(B, C, S, S) → maps, fine to coarse."""
        maps = list(self.model(pictures).feature_maps)
        if self.instead:
            maps[-1] = self.instead.pop()
        return [(level, None) for level in maps]


class Detr(Backbone):
    """A set of queries, each of which answers with one object or none: no suppression of doubles follows.

    Args:
        net: the library's network; its class layers become the head.
        name, channels, size, outputs: see `omma.models.making.build`.
    """

    gives: ClassVar[str] = "objects"
    from_scratch: ClassVar[bool] = False
    body: Any
    head: Any

    def __init__(self, name: str, channels: int, size: int, outputs: int, net: Any) -> None:
        super().__init__(name, channels, size, outputs)
        self.most, self.body = MOST, net
        model = net.model
        del net.class_embed, net.bbox_embed  # the decoder's own are those that work
        classes: list[nn.Module] = [*model.decoder.class_embed, model.enc_score_head, Words(model.denoising_class_embed.weight[:-1])]
        self.head = nn.ModuleList(classes)
        *layers, first, words = (Elsewhere(layer) for layer in classes)
        model.decoder.class_embed = nn.ModuleList(layers)
        model.enc_score_head, model.denoising_class_embed = first, words
        model.backbone = Trunk(model.backbone.model)
        for module in [*net.modules()]:
            for key in REMEMBERED:
                if hasattr(type(module), key):
                    setattr(module, key, getattr(type(module), key).__wrapped__)
            # Numbers that are not learned: as parameters they would be thawed with the rest.
            for key, value in [*module.named_parameters(recurse=False)]:
                if not value.requires_grad:
                    delattr(module, key)
                    module.register_buffer(key, value.detach())

    def forward(self, pictures: torch.Tensor, truth: Truth | None = None) -> dict[str, torch.Tensor]:  # type: ignore[override]
        """(B, C, S, S) → detections; with truth → named losses. Objects that are ignored count as background."""
        wide = rounded(pictures.shape[2])
        strides = self.body.config.feat_strides
        self.body.config.num_queries = min(QUERIES, sum((wide // stride) ** 2 for stride in strides))  # small pictures have fewer places
        if "maps" in self.__dict__:  # somebody watches the maps
            self.body.model.backbone.instead = [self.maps(pictures)]
        if truth is None:
            return self._detections(self.body(padded(pictures)), wide, pictures.shape[2])
        with torch.autocast(pictures.device.type, enabled=False):  # the assignment is reckoned in float32
            config, decoder = self.body.config, self.body.model.decoder
            if hasattr(decoder, "reg_scale"):  # weights bring their own, the library's loss asks the settings
                config.reg_scale = float(decoder.reg_scale)
            return self._losses(self.body(padded(pictures.float()), labels=_labels(truth, wide)))

    def _losses(self, found: Any) -> dict[str, torch.Tensor]:
        """The library's weighted losses of all layers, summed by kind."""
        losses: dict[str, torch.Tensor] = {}
        for key, value in found.loss_dict.items():
            kind = key.split("_")[1]
            losses[kind] = losses.get(kind, torch.zeros((), device=found.logits.device)) + value
        # No object in the whole batch, no noisy copies: their layer has a gradient all the same, of zeros.
        losses["vfl"] = losses["vfl"] + 0 * self.head[-1].weight.sum()
        return losses

    def _detections(self, found: Any, wide: int, side: int) -> dict[str, torch.Tensor]:
        """The most probable pairs of query and class."""
        chances = found.logits.float().sigmoid()
        count, classes = chances.shape[1], chances.shape[2]
        sure, place = chances.flatten(1).topk(min(self.most, count * classes), dim=1)
        query = torch.div(place, classes, rounding_mode="floor")
        boxes = found.pred_boxes.float().gather(1, query[..., None].expand(-1, -1, 4)) * wide
        centres, halves = boxes[..., :2], boxes[..., 2:].clamp_min(0) / 2
        boxes = torch.cat([centres - halves, centres + halves], -1).clamp(0, side)
        return {"boxes": boxes, "probabilities": torch.where(sure >= FLOOR, sure, 0.0), "classes": place - query * classes}

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.body.model.backbone.model(padded(pictures)).feature_maps[-1]

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.mean((2, 3))

    def stages(self) -> list[nn.Module]:
        trunk = self.body.model.backbone.model
        return [piece for piece in [trunk.embedder, *trunk.encoder.stages] if any(True for _ in piece.parameters())]

    def published(self) -> tuple[str, str, bool]:
        from huggingface_hub import try_to_load_from_cache

        url = f"https://huggingface.co/{SIZES[self.name].weights}/resolve/main/{FILE}"
        there = isinstance(try_to_load_from_cache(SIZES[self.name].weights, FILE), str)
        return url, say("models.by_hand", url=url), there

    def _fetched(self) -> Path:
        """Where the published file lies now: kept from an earlier time, or fetched by the library."""
        from huggingface_hub import try_to_load_from_cache
        from transformers.utils import cached_file

        where = SIZES[self.name].weights
        kept = try_to_load_from_cache(where, FILE)
        return Path(kept) if isinstance(kept, str) else Path(str(fetched(self, lambda: cached_file(where, FILE, token=False))))

    def state_from(self, how: str) -> dict[str, torch.Tensor]:
        """The state of a body that has read the published weights (`yes`), a .safetensors file, or the one in a folder."""
        path = self._fetched() if how == "yes" else weights_file(how)
        path = path / FILE if path.is_dir() else path
        try:
            net = whole(self.name, 3, self.outputs, _completed(read(path), SIZES[self.name].rest.get("decoder_layers", 6)))
        except (RuntimeError, ValueError, KeyError):
            raise OmmaError(say("models.another", model=self.name), path) from None
        if not all(key.startswith(ROWS) for key in net.untaken):
            raise OmmaError(say("models.another", model=self.name), path)
        size = SIZES[self.name]
        # These read pictures from 0 to 1, not normalised.
        self.origin = {
            "weights": size.weights if how == "yes" else weights_file(how).name,
            "licence": size.licence if how == "yes" else "unknown",
            "mean": [0.0] * self.channels,
            "std": [1.0] * self.channels,
        }
        state = Detr(self.name, 3, self.size, self.outputs, net).state_dict()
        mine = self.state_dict()
        return {key: _recoloured(value, mine[key]) for key, value in state.items() if not key.startswith("head.")}


def _labels(truth: Truth, side: int) -> list[Truth]:
    """Truth as `Boxes.tensors` makes it → classes and boxes (cx, cy, w, h) in shares of the side, of each picture."""
    return [
        {"class_labels": target["labels"], "boxes": box_convert(target["boxes"].float() / side, "xyxy", "cxcywh")}
        for target in targets_of(truth, 0)
    ]


def _completed(state: dict[str, torch.Tensor], layers: int) -> dict[str, torch.Tensor]:
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
            for place in range(1, layers):
                whole.setdefault(f"{name}_embed.{place}.{rest}", value)
    return whole


def _recoloured(value: torch.Tensor, mine: torch.Tensor) -> torch.Tensor:
    """Published filters for other channels: their mean, as strong as before."""
    if value.shape == mine.shape:
        return value
    return value.mean(1, keepdim=True).expand_as(mine) * (value.shape[1] / mine.shape[1])

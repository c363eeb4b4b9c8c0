"""What DETR-like detectors have in common: queries that answer with one object or none, and weights from one published file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn
from torchvision.ops import box_convert

from omma.errors import OmmaError
from omma.models._detr_library import QUERIES, whole
from omma.models._detr_sizes import SIZES
from omma.models._torchvision_objects import padded, rounded, targets_of
from omma.models.backbone import Backbone, fetched, per_channel, weights_file
from omma.parts.suppress import FLOOR
from omma.parts.weights import read
from omma.words import say

Truth = dict[str, torch.Tensor]
FILE = "model.safetensors"
MOST = 100  # objects of a picture we keep


class Elsewhere(nn.Module):
    """Stands where the library had a layer that is now of the head and listed there."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self._layer = [layer]  # in a list: not listed here too

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """As the layer."""
        return self._layer[0](values)


class Detr(Backbone):
    """A set of queries, each of which answers with one object or none: no suppression of doubles follows.

    Layers, assignment and losses are the library's. A family says where its class layers and its maps are.

    Args:
        net: the library's network; its class layers become the head.
        name, channels, size, outputs: see `omma.models.making.build`.
    """

    gives: ClassVar[str] = "objects"
    from_scratch: ClassVar[bool] = False
    # What tells classes apart, as the library names it; made anew for other classes.
    ROWS: ClassVar[tuple[str, ...]]
    # Mean and standard deviation of the pictures the weights were trained on.
    COLOURS: ClassVar[tuple[tuple[float, ...], tuple[float, ...]]]
    body: Any
    head: Any

    def __init__(self, name: str, channels: int, size: int, outputs: int, net: Any) -> None:
        super().__init__(name, channels, size, outputs)
        self.most, self.body = MOST, net
        self.head = nn.ModuleList(self.taken(net))
        # Numbers that are not learned: as parameters they would be thawed with the rest.
        for module in [*net.modules()]:
            for key, value in [*module.named_parameters(recurse=False)]:
                if not value.requires_grad:
                    delattr(module, key)
                    module.register_buffer(key, value.detach())

    def taken(self, net: Any) -> list[nn.Module]:
        """Take the class layers out of the library's network, and make `net.model.backbone` one whose maps can be asked for and put in."""
        raise NotImplementedError

    def places(self, side: int) -> int:
        """How many places the maps of pictures of a side have."""
        raise NotImplementedError

    def limit(self, count: int) -> None:
        """From now on so many queries."""
        self.body.config.num_queries = count

    def losses(self, found: Any) -> dict[str, torch.Tensor]:
        """The library's losses of all layers by kind, weighted."""
        raise NotImplementedError

    def answers(self, pictures: torch.Tensor, **more: Any) -> Any:
        """What the library's network gives."""
        return self.body(pictures, **more)

    def completed(self, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A published file's tensors under all names the library reads them by."""
        return state

    def forward(self, pictures: torch.Tensor, truth: Truth | None = None) -> dict[str, torch.Tensor]:  # type: ignore[override]
        """(B, C, S, S) → detections; with truth → named losses. Objects that are ignored count as background."""
        wide = rounded(pictures.shape[2])
        self.limit(min(QUERIES, self.places(wide)))  # small pictures have fewer places
        if "maps" in self.__dict__:  # somebody watches the maps
            self.body.model.backbone.instead = [self.maps(pictures)]
        if truth is None:
            return self._detections(self.answers(padded(pictures)), wide, pictures.shape[2])
        with torch.autocast(pictures.device.type, enabled=False):  # the assignment is reckoned in float32
            return self.losses(self.answers(padded(pictures.float()), labels=_labels(truth, wide)))

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
        return self.body.model.backbone.maps(padded(pictures))[-1]

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.mean((2, 3))

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
            net = whole(self.name, 3, self.outputs, self.completed(read(path)))
        except (RuntimeError, ValueError, KeyError):
            raise OmmaError(say("models.another", model=self.name), path) from None
        if not all(key.startswith(self.ROWS) for key in net.untaken):
            raise OmmaError(say("models.another", model=self.name), path)
        size = SIZES[self.name]
        mean, std = self.COLOURS
        self.origin = {
            "weights": size.weights if how == "yes" else weights_file(how).name,
            "licence": size.licence if how == "yes" else "unknown",
            "mean": per_channel(mean, self.channels),
            "std": per_channel(std, self.channels),
        }
        state = type(self)(self.name, 3, self.size, self.outputs, net).state_dict()
        mine = self.state_dict()
        return {key: _recoloured(value, mine[key]) for key, value in state.items() if not key.startswith("head.")}


def by_kind(losses: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The library's losses (`loss_bbox`, `loss_bbox_0` …) summed over layers."""
    found: dict[str, torch.Tensor] = {}
    for key, value in losses.items():
        kind = key.split("_")[1]
        found[kind] = found[kind] + value if kind in found else value
    return found


def _labels(truth: Truth, side: int) -> list[Truth]:
    """Truth as `Boxes.tensors` makes it → classes and boxes (cx, cy, w, h) in shares of the side, of each picture."""
    return [
        {"class_labels": target["labels"], "boxes": box_convert(target["boxes"].float() / side, "xyxy", "cxcywh")}
        for target in targets_of(truth, 0)
    ]


def _recoloured(value: torch.Tensor, mine: torch.Tensor) -> torch.Tensor:
    """Published filters for other channels: their mean, as strong as before."""
    if value.shape == mine.shape:
        return value
    return value.mean(1, keepdim=True).expand_as(mine) * (value.shape[1] / mine.shape[1])

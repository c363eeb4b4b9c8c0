"""A network by name: one of ours, or one of timm's, torchvision's or transformers'."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from omma import catalog
from omma.models.backbone import built
from omma.models.network import Network
from omma.words import say

FAMILIES = ("timm", "torchvision", "transformers")
# A few to begin with, from light to heavy; `names` lists all.
EXAMPLES = {
    "torchvision/mobilenet_v3_small": "light, for phones and boards",
    "torchvision/shufflenet_v2_x1_0": "light, fast on a CPU",
    "torchvision/resnet18": "the usual first choice",
    "timm/resnet50": "the usual second one",
    "timm/convnext_tiny": "a modern convolutional network",
    "timm/vit_small_patch16_224": "a vision transformer",
    "torchvision/efficientnet_b0": "accurate for its size, slow to train",
    "torchvision/alexnet": "of historical interest",
}


def build(name: str, *, channels: int, size: int, outputs: int, pretrained: str = "no", **settings: Any) -> Network:
    """A network by name: one of ours, `timm/NAME`, `torchvision/NAME` or `transformers/NAME`.

    Args:
        channels: input channels.
        size: side of the input, pixels.
        outputs: width of the head.
        pretrained: no, yes (fetch the published weights) or a .safetensors file (of transformers, a folder too); see `Network.start`.
        settings: the model's own, see `settings_of`.

    Raises:
        OmmaError: no such model, or no such setting.
    """
    maker = _maker(name)
    known = settings_of(name)
    for key in settings:
        if key not in known:
            raise catalog.unknown(say("errors.kind_setting", model=name), key, list(known))
    net = maker(name, channels=channels, size=size, outputs=outputs, **settings)
    net.name = name
    if pretrained != "no":
        # Where only shapes are wanted, weights would be fetched for nothing; a bundle that asks for them is up to no good.
        if torch.empty(0).device.type == "meta":
            raise catalog.unknown(say("errors.kind_setting", model=name), "pretrained", list(known))
        net.start(pretrained)
    return net


def settings_of(name: str) -> dict[str, Any]:
    """A model's own settings and their defaults."""
    fixed = {"name", "channels", "size", "outputs"}
    maker = _maker(name)
    own = getattr(inspect.getmodule(maker), "DEFAULTS", {}).get(name, {})  # where they differ by name
    return {key: own.get(key, p.default) for key, p in inspect.signature(maker).parameters.items() if key not in fixed}


def learns(name: str) -> str:
    """The optimizer a classifier is planned with: of ours its family's `LEARNS`, where its paper or a measurement asks for another."""
    return "adamw" if "/" in name else getattr(catalog.module("models", name), "LEARNS", "nesterov")


def _maker(name: str):
    """The `build(name, *, channels, size, outputs, **settings)` of the family the name belongs to."""
    if "/" in name:
        return borrowed
    return catalog.module("models", name).build


def names(family: str) -> list[str]:
    """Every network of a library of `FAMILIES`, with the family in front."""
    return [name for library in _libraries(family) for name in library.names()]


def borrowed(name: str, *, channels: int, size: int, outputs: int) -> Network:
    """A network by its own name, `timm/resnet50` or `torchvision/alexnet`, with random weights; see `Backbone.start`.

    Raises:
        OmmaError: no such network (the nearest are named), or it does not take pictures of this size.
    """
    family, _, _ = name.partition("/")
    if family not in FAMILIES:
        raise catalog.unknown("model", name, list(EXAMPLES))
    library = next((library for library in _libraries(family) if library.known(name)), None)
    if library is None:
        raise catalog.unknown("model", name, names(family))
    if not getattr(library, "TRIED", True):
        return built(name, size, channels, lambda: library.make(name, channels, size, outputs))
    with torch.device("meta"):  # shapes only: does the size pass through, before any weight is drawn?
        twin = built(name, size, channels, lambda: library.make(name, channels, size, outputs)).eval()
        built(name, size, channels, lambda: twin(torch.zeros(1, channels, size, size)))
    if torch.empty(0).device.type == "meta":
        return twin.train()
    return built(name, size, channels, lambda: library.make(name, channels, size, outputs))


def _libraries(family: str) -> list[Any]:
    """The files that know networks of a family: classifiers, and where things are."""
    if family == "timm":
        catalog.need("timm", "timm", say("models.timm_networks"))
        from omma.models import _timm

        return [_timm]
    if family == "transformers":
        catalog.need("transformers", "detr", say("models.detr_networks"))
        from omma.models import _detr

        return [_detr]
    from omma.models import _torchvision, _torchvision_clips, _torchvision_objects, _torchvision_pixels

    return [_torchvision, _torchvision_pixels, _torchvision_objects, _torchvision_clips]

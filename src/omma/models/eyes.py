"""A network that only looks: by what it sees, made pictures are measured and styles are told apart. It is named wherever that is told."""

from __future__ import annotations

import hashlib
import json
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from omma.errors import OmmaError
from omma.models.making import FAMILIES, build
from omma.models.network import Network
from omma.parts.weights import read
from omma.words import say

RANDOM = "random"
WIDTHS = (32, 64, 128, 256)
LOUD = 4.0  # what random weights see is multiplied with, so that its mean square is about 1, as a trained network's is: kernels expect that
SIDE = 224  # of the frames that borrowed networks look at
_NOTED = threading.local()  # maps on their way: several threads may look through one network


class Eyes(nn.Module):
    """Pictures → what is seen in them; frozen, in evaluation mode, never trained.

    Attributes:
        name: what it is called where numbers are told: a kind of network and the first digits of its weights.
        channels: that it reads; grey is repeated, colour averaged.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, net: nn.Module, name: str, channels: int, size: int | None, mean: Any, std: Any) -> None:
        super().__init__()
        self.net, self.name, self.channels, self.size = net, name, channels, size
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32).view(1, -1, 1, 1))
        self.eval().requires_grad_(False)
        for stage in self._stages():
            stage.register_forward_hook(_note)

    def train(self, mode: bool = True) -> Eyes:
        """Stays as it is: what is measured by must not change."""
        return super().train(False)

    def entered(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w), 0–1 → as the network reads them: its channels, normalised, at its size where it has one."""
        if pictures.shape[1] != self.channels:
            grey = pictures.mean(1, keepdim=True)
            pictures = grey.expand(-1, self.channels, -1, -1)
        if self.size is not None and pictures.shape[2:] != (self.size, self.size):
            pictures = F.interpolate(pictures, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False)
        return (pictures - self.mean) / self.std

    def maps(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """(B, C, h, w), 0–1 → the feature maps after each stage, from fine to coarse; gradients pass."""
        seen: list[torch.Tensor] = []
        _NOTED.maps = seen
        try:
            self._last(self.entered(pictures))
        finally:
            _NOTED.maps = None
        return [one for one in seen if isinstance(one, torch.Tensor) and one.dim() == 4]

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w), 0–1 → (B, F)."""
        entered = self.entered(pictures)
        return self.net.features(entered) if isinstance(self.net, Network) else LOUD * self.net(entered)[:, :, 0, 0]

    def _stages(self) -> list[nn.Module]:
        return self.net.stages() if isinstance(self.net, Network) else [one for one in self.net.children() if isinstance(one, Look)]

    def _last(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.net.maps(pictures) if isinstance(self.net, Network) else self.net(pictures)


def _note(stage: nn.Module, given: Any, said: Any) -> None:
    """Keep what a stage says for whoever asks in this thread."""
    if getattr(_NOTED, "maps", None) is not None:
        _NOTED.maps.append(said)


class Look(nn.Sequential):
    """Two 3×3 convolutions with a ReLU each."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU())


def eyes(name: str) -> Eyes:
    """A network by name.

    Args:
        name: `random`, whose weights nobody trained: the same on every machine, and good enough to tell made pictures from true ones
            (Naeem et al. 2020) and styles apart (Ustyuzhaninov et al. 2017); the folder of a bundle or of a run; or `timm/NAME:FILE`,
            `torchvision/NAME:FILE` with its weights in a .safetensors file.

    Raises:
        OmmaError: no such thing.
    """
    if name == RANDOM:
        return unlearned()
    family, _, rest = name.partition("/")
    model, _, file = name.partition(":")
    if family in FAMILIES and rest and not Path(name).exists():
        if not file:
            raise OmmaError(say("models.eyes_weights", name=name), None, say("models.eyes_fix"))
        net = build(model, channels=3, size=SIDE, outputs=1000, pretrained=file)
        mean, std = net.origin.get("mean", (0.485, 0.456, 0.406)), net.origin.get("std", (0.229, 0.224, 0.225))
        return Eyes(net, f"{model} {digest(Path(file))}", 3, SIDE, mean, std)
    return kept(Path(name))


@lru_cache(2)
def looking(name: str) -> Eyes:
    """`eyes`, opened once: drawn pictures are looked at again and again."""
    return eyes(name)


@lru_cache(maxsize=8)
def seeing(name: str) -> Eyes:
    """`eyes`, opened once, for what is compared place by place: pictures of any size where the network can.

    Raises:
        OmmaError: no such network, or one that has no maps.
    """
    with torch.inference_mode(False):  # gradients may pass through what is kept
        return freed(eyes(name), name)


def freed(found: Eyes, name: str) -> Eyes:
    """The same, at the pictures' own size where its network can."""
    size, found.size = found.size, None
    with torch.no_grad():
        try:
            maps = found.maps(found.mean.new_zeros(1, 3, 64, 96))
        except (RuntimeError, AssertionError, ValueError):  # a transformer that knows one size
            found.size = size
            maps = found.maps(found.mean.new_zeros(1, 3, SIDE, SIDE))
    if not maps:
        raise OmmaError(say("stylize.no_maps", name=name))
    return found


def name_of(name: str) -> str:
    """What these eyes are called where numbers are told; the word itself where they are not here (any more)."""
    try:
        return looking(name).name
    except OmmaError:
        return name


def unlearned(seed: int = 0) -> Eyes:
    """Four stages of convolutions with random weights (He et al. 2015), halved between; what it sees is the mean of the last maps."""
    chance = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for before, width in zip((3, *WIDTHS[:-1]), WIDTHS, strict=True):
        layers += [Look(before, width), nn.AvgPool2d(2, ceil_mode=True)]
    net = nn.Sequential(*layers[:-1], nn.AdaptiveAvgPool2d(1))
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            fan = layer.in_channels * 9
            layer.weight.data = torch.randn(layer.weight.shape, generator=chance) * (2 / fan) ** 0.5
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return Eyes(net, f"{RANDOM}-{seed}" if seed else RANDOM, 3, None, (0.5,) * 3, (0.25,) * 3)


def kept(folder: Path) -> Eyes:
    """The network of a bundle, as its card says how it is built; what its answers mean is not asked.

    Raises:
        OmmaError: no bundle of a network that looks at pictures, or its weights are not those of its card.
    """
    folder = folder / "bundle" if (folder / "bundle" / "bundle.json").is_file() else folder
    file = folder / "weights.safetensors"
    try:
        card = json.loads((folder / "bundle.json").read_text("utf-8"))
        views, settings = card["views"], dict(card["model_settings"])
        channels, size, outputs = int(views["channels"]), int(views["size"]), len(card["names"])
        mean, std = views["mean"], views["std"]
        # Nothing is fetched for a card, and only what has the shapes of the file is built.
        sound = "pretrained" not in settings and not card.get("surgery") and not card.get("runtime")
        with torch.device("meta"):
            twin = build(card["model"], channels=channels, size=size, outputs=outputs, **settings) if sound else None
    except (OSError, ValueError, KeyError, TypeError):
        raise OmmaError(say("models.no_eyes", name=str(folder)), None, say("models.eyes_fix")) from None
    if twin is None or twin.gives in ("drawn", "objects"):
        raise OmmaError(say("models.no_eyes", name=str(folder)), None, say("models.eyes_fix"))
    tensors = {key.removeprefix("net."): value for key, value in read(file).items() if key.startswith("net.")}
    for key, value in twin.state_dict().items():
        found = tuple(tensors[key].shape) if key in tensors else None
        if found != tuple(value.shape):
            raise OmmaError(say("models.does_not_fit", tensor=key, found=found, wanted=tuple(value.shape)), file)
    net = build(card["model"], channels=channels, size=size, outputs=outputs, **settings)
    net.load_state_dict({key: tensors[key] for key in net.state_dict()})
    return Eyes(net, f"omma {card['model']} {digest(file)}", channels, None if views.get("fit") == "own" else size, mean, std)


def digest(file: Path) -> str:
    """The first digits of what tells a file's content from others."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]

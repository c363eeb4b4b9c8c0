"""Networks of torchvision, taken apart into trunk (until the last maps), neck (until the features) and a head of ours."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, ClassVar

import torch
import torchvision.models as zoo
from torch import nn

from omma.models.backbone import Backbone, fetched, lively, per_channel, weights_file
from omma.models.network import Network
from omma.parts.weights import fill, read
from omma.words import say

Parts = tuple[list[nn.Module], list[nn.Module], int]


def names() -> list[str]:
    """Every classifier, `torchvision/` in front."""
    return [f"torchvision/{name}" for name in zoo.list_models(module=zoo)]


def known(name: str) -> bool:
    """Whether the library has it."""
    return name in names()


def make(name: str, channels: int, size: int, outputs: int) -> Network:
    """One of them, with random weights."""
    device = torch.empty(0).device
    # Some count their layers with tensors, which have no values where only shapes are wanted.
    with torch.device("cpu" if "regnet" in name else device):
        net = whole(name, channels, size)
        kind = TorchvisionVit if isinstance(net, zoo.VisionTransformer) else TorchvisionNet
        return kind(name, channels, size, outputs, net).to(device)


def whole(name: str, channels: int, size: int, **more: Any) -> nn.Module:
    """The library's own network with random weights, reading `channels`."""
    own = name.removeprefix("torchvision/")
    if own in ("googlenet", "inception_v3"):
        more |= {"aux_logits": False, "init_weights": True, "transform_input": False}
    if own.startswith("vit_"):
        more["image_size"] = size
    if own.startswith("maxvit"):
        more["input_size"] = (size, size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of how some will initialise in the future
        net = zoo.get_model(own, weights=None, **more)
    read_channels(net, channels)
    lively(net)
    return net


def read_channels(net: nn.Module, channels: int) -> None:
    """Replace the first convolution by one for other channels."""
    for parent in net.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.Conv2d):
                if child.in_channels == channels:
                    return
                fresh = nn.Conv2d(
                    channels, child.out_channels, child.kernel_size, child.stride, child.padding, bias=child.bias is not None,  # type: ignore[arg-type]
                )  # fmt: skip
                setattr(parent, name, fresh)
                return


def _parts(net: Any) -> Parts:
    """(trunk, neck, width of the features) of any of the library's families but the plain transformers."""
    children = dict(net.named_children())
    one: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    if isinstance(net, zoo.SwinTransformer):
        return [net.features, net.norm, net.permute], one, net.head.in_features
    if isinstance(net, zoo.SqueezeNet):  # its head is a convolution; ours reads the mean of what that one read
        return [net.features], one, net.classifier[1].in_channels
    if isinstance(net, zoo.DenseNet):
        return [net.features, nn.ReLU()], one, net.classifier.in_features
    if "fc" in children:
        skipped = ("avgpool", "dropout", "fc", "aux1", "aux2", "AuxLogits")
        return [child for name, child in children.items() if name not in skipped], one, net.fc.in_features
    trunk = [net.stem, *net.blocks] if isinstance(net, zoo.MaxVit) else [children["features" if "features" in children else "layers"]]
    inner = list(children["classifier"].children())
    last = max(i for i, module in enumerate(inner) if isinstance(module, nn.Linear))
    width = inner[last].in_features
    inner = inner[:last]
    while inner and isinstance(inner[-1], nn.Dropout):  # ours stands before the head
        inner.pop()
    pool = [] if isinstance(net, zoo.MaxVit) else [children.get("avgpool", nn.AdaptiveAvgPool2d(1))]
    flat = [] if any(isinstance(module, nn.Flatten) for module in inner) else [nn.Flatten()]
    return trunk, [*pool, *flat, *inner], width


class TorchvisionBackbone(Backbone):
    """How published weights come in, for all kinds: each is made from the library's own `net`."""

    # Layers of the library that tell classes apart; where they are of another width ours stay as they are.
    HEADS: ClassVar[tuple[str, ...]] = ("fc.", "classifier.", "heads.", "head.")

    def __init__(self, name: str, channels: int, size: int, outputs: int, net: Any) -> None:
        super().__init__(name, channels, size, outputs)

    def fresh(self) -> Any:
        """The library's own network with random weights."""
        return whole(self.name, self.channels, self.size)

    def colours(self, weights: Any, net: Any) -> tuple[Any, Any]:
        """Mean and std of the pictures that published weights have seen."""
        transforms = weights.transforms()
        return transforms.mean, transforms.std

    def take(self, net: Any, state: dict[str, torch.Tensor], where: str) -> None:
        """Fill the library's own network."""
        fill(net, state, where, {})

    def published(self) -> tuple[str, str, bool]:
        url = zoo.get_model_weights(self.name.removeprefix("torchvision/")).DEFAULT.url
        caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
        folder = Path(os.environ.get("TORCH_HOME") or caches).expanduser() / "hub" / "checkpoints"
        return url, say("models.by_hand_into", url=url, folder=folder), (folder / url.rpartition("/")[2]).is_file()

    def state_from(self, how: str) -> dict[str, torch.Tensor]:
        own = self.name.removeprefix("torchvision/")
        weights = zoo.get_model_weights(own).DEFAULT
        if how == "yes":
            # weights_only: tensors and nothing else are unpickled.
            load = lambda: weights.get_state_dict(progress=False, check_hash=True, weights_only=True)  # noqa: E731
            state = fetched(self, load)
            where = str(weights)
        else:
            where = str(weights_file(how))
            state = read(where)
        net = self.fresh()
        state = {key: _fitted(net, key, value) for key, value in state.items() if not key.startswith(("aux", "AuxLogits"))}
        for key, value in net.state_dict().items():  # a head of another width is replaced by ours in any case
            if key.startswith(self.HEADS) and (key not in state or state[key].shape != value.shape):
                state[key] = value
        self.take(net, state, where)
        mean, std = self.colours(weights, net)
        self.origin = {
            "weights": str(weights) if how == "yes" else weights_file(how).name,
            "licence": weights.meta.get("license", "BSD-3-Clause (torchvision)") if how == "yes" else "unknown",
            "mean": per_channel(mean, self.channels),
            "std": per_channel(std, self.channels),
        }
        state = type(self)(self.name, self.channels, self.size, self.outputs, net).state_dict()
        return {key: value for key, value in state.items() if not key.startswith("head.")}


def _tensor(net: nn.Module, key: str) -> torch.Tensor | None:
    """A parameter or buffer by its name in the state."""
    parent, _, name = key.rpartition(".")
    try:
        return getattr(net.get_submodule(parent), name, None)
    except AttributeError:
        return None


def _fitted(net: nn.Module, key: str, value: torch.Tensor) -> torch.Tensor:
    """Published filters for other channels, published positions for another grid."""
    mine = _tensor(net, key)
    if mine is None or mine.shape == value.shape:
        return value
    if value.dim() == 4 and mine.dim() == 4 and mine.shape[0] == value.shape[0] and mine.shape[2:] == value.shape[2:]:
        return value.mean(1, keepdim=True).expand_as(mine) * (value.shape[1] / mine.shape[1])
    if key == "encoder.pos_embedding":
        side, theirs = (round((tensor.shape[1] - 1) ** 0.5) for tensor in (mine, value))
        grid = value[:, 1:].transpose(1, 2).reshape(1, -1, theirs, theirs)
        grid = nn.functional.interpolate(grid, size=(side, side), mode="bicubic", align_corners=True)
        return torch.cat([value[:, :1], grid.flatten(2).transpose(1, 2)], 1)
    return value


class TorchvisionNet(TorchvisionBackbone):
    """Trunk, neck, head."""

    def __init__(self, name: str, channels: int, size: int, outputs: int, net: Any) -> None:
        super().__init__(name, channels, size, outputs, net)
        trunk, neck, width = _parts(net)
        self.trunk, self.neck, self.head = nn.Sequential(*trunk), nn.Sequential(*neck), nn.Linear(width, outputs)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.trunk(pictures)

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        return self.neck(maps)

    def stages(self) -> list[nn.Module]:
        first = self.trunk[0]
        pieces = [*first.children(), *self.trunk[1:]] if isinstance(first, nn.Sequential) else list(self.trunk)
        return [piece for piece in [*pieces, self.neck] if any(True for _ in piece.parameters())]


class TorchvisionVit(TorchvisionBackbone):
    """A plain transformer: `maps` are the tokens as the last block reads them, the class token is remembered for `pool`."""

    body: Any

    def __init__(self, name: str, channels: int, size: int, outputs: int, net: Any) -> None:
        super().__init__(name, channels, size, outputs, net)
        self.body = net
        self.head = nn.Linear(net.hidden_dim, outputs)
        net.heads = nn.Identity()
        self._beside: list[torch.Tensor] = []

    def _before_last(self, pictures: torch.Tensor) -> torch.Tensor:
        encoder, patches = self.body.encoder, self.body._process_input(pictures)
        # shape[0], not len(): an exported graph would be tied to the batch it was traced with
        tokens = torch.cat([self.body.class_token.expand(patches.shape[0], -1, -1), patches], 1)
        tokens = encoder.dropout(tokens + encoder.pos_embedding)
        for layer in encoder.layers[:-1]:
            tokens = layer(tokens)
        return tokens

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        tokens = self._before_last(pictures)
        side = self.size // self.body.patch_size
        self._beside[:] = [tokens[:, :1]]
        return tokens[:, 1:].transpose(1, 2).reshape(tokens.shape[0], -1, side, side)

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        tokens = torch.cat([self._beside.pop(), maps.flatten(2).transpose(1, 2)], 1)
        return self._after(tokens)

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        if "maps" in self.__dict__:  # somebody watches the maps
            return super().features(pictures)
        return self._after(self._before_last(pictures))

    def _after(self, tokens: torch.Tensor) -> torch.Tensor:
        encoder = self.body.encoder
        return encoder.ln(encoder.layers[-1](tokens))[:, 0]

    def stages(self) -> list[nn.Module]:
        encoder = self.body.encoder
        return [*self.loose(self.body), *self.loose(encoder), self.body.conv_proj, *encoder.layers, encoder.ln]

"""Networks of timm: the library's own body, a head of ours."""

from __future__ import annotations

import warnings
from typing import Any

import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from omma.errors import OmmaError
from omma.models.backbone import Backbone, built, fetched, lively, per_channel, weights_file
from omma.parts.weights import read
from omma.words import say


def names() -> list[str]:
    """Every network, `timm/` in front."""
    return [f"timm/{name}" for name in timm.list_models()]


def known(name: str) -> bool:
    """Whether the library has it; a hub's address is no name."""
    return timm.is_model(name.removeprefix("timm/")) and ":" not in name


def body(name: str, channels: int, size: int, **more: Any) -> nn.Module:
    """The network without its head; those that were made for one size are told ours."""
    own = name.removeprefix("timm/")
    card = timm.get_pretrained_cfg(own, allow_unregistered=True)
    sized: dict[str, Any] = {"img_size": size} if card is not None and card.fixed_input_size else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of registries and deprecated aliases: nothing a person can mend
        try:
            net = timm.create_model(own, num_classes=0, in_chans=channels, **sized, **more)
        except TypeError:  # fixed in size, but not by that word: then the picture must have its size
            net = timm.create_model(own, num_classes=0, in_chans=channels, **more)
    lively(net)
    return net


def make(name: str, channels: int, size: int, outputs: int) -> TimmNet:
    """One of them, with random weights."""
    return TimmNet(name, channels, size, outputs)


class TimmBackbone(Backbone):
    """How published weights come in: timm reads them into a body like ours."""

    def fresh(self, **more: Any) -> nn.Module:
        """Such a body; `more` goes to timm."""
        return body(self.name, self.channels, self.size, **more)

    def published(self) -> tuple[str, str, bool]:
        card = timm.get_pretrained_cfg(self.name.removeprefix("timm/"), allow_unregistered=True)
        if card is None or not (card.hf_hub_id or card.url):
            raise OmmaError(say("models.no_published", model=self.name), None, say("models.no_published_fix"))
        url = f"https://huggingface.co/{card.hf_hub_id}/resolve/main/model.safetensors" if card.hf_hub_id else str(card.url)
        return url, say("models.by_hand", url=url), False

    def state_from(self, how: str) -> dict[str, torch.Tensor]:
        more: dict[str, Any] = {}
        if how != "yes":
            file = weights_file(how)
            read(file)  # refuses what is not a whole .safetensors file, before timm opens it
            more = {"pretrained_cfg_overlay": {"file": str(file)}}
        load = lambda: self.fresh(pretrained=True, **more)  # noqa: E731
        try:
            loaded: Any = fetched(self, load) if how == "yes" else built(self.name, self.size, self.channels, load)
        except OmmaError as error:
            if how == "yes" or "state_dict" not in error.what:
                raise
            raise OmmaError(say("models.another", model=self.name), how) from None
        card = loaded.pretrained_cfg
        named = f"{self.name}.{card['tag']}" if card.get("tag") else self.name
        self.origin = {
            "weights": named if how == "yes" else str(weights_file(how).name),
            "licence": (how == "yes" and card.get("license")) or "unknown",
            "mean": per_channel(card["mean"], self.channels),
            "std": per_channel(card["std"], self.channels),
        }
        return {f"body.{key}": value for key, value in loaded.state_dict().items()}


class TimmNet(TimmBackbone):
    """`forward_features` and `forward_head` of timm, in our words.

    Transformers: `maps` are the tokens on their grid as the last block reads them, since behind it only the class token may be looked at;
    the tokens beside the grid are remembered for `pool`, which must follow its own `maps`.
    """

    body: Any

    def __init__(self, name: str, channels: int, size: int, outputs: int) -> None:
        super().__init__(name, channels, size, outputs)
        self.body = self.fresh()
        self.head = nn.Linear(getattr(self.body, "head_hidden_size", None) or self.body.num_features, outputs)
        self._beside: list[torch.Tensor] = []

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        if isinstance(self.body, VisionTransformer):
            tokens = self._before_last(pictures)
        else:
            found = self.body.forward_features(pictures)
            if found.dim() == 4:
                return found.permute(0, 3, 1, 2) if self._channels_last(found) else found
            tokens = found
            if getattr(self.body, "global_pool", "avg") == "token":
                raise NotImplementedError  # what is read is no place of the picture
        beside = getattr(self.body, "num_prefix_tokens", 0) or 0
        rows, columns = self._grid(tokens.shape[1] - beside)
        self._beside[:] = [tokens[:, :beside]]
        return tokens[:, beside:].transpose(1, 2).reshape(tokens.shape[0], -1, rows, columns)

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        if not self._beside:
            found = maps.permute(0, 2, 3, 1) if getattr(self.body, "output_fmt", "NCHW") == "NHWC" else maps
            return self.body.forward_head(found, pre_logits=True)
        tokens = torch.cat([self._beside.pop(), maps.flatten(2).transpose(1, 2)], 1)
        if isinstance(self.body, VisionTransformer):
            tokens = self.body.norm(self.body.blocks[-1](tokens))
        return self.body.forward_head(tokens, pre_logits=True)

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        if "maps" in self.__dict__:  # somebody watches the maps
            return super().features(pictures)
        return self.body.forward_head(self.body.forward_features(pictures), pre_logits=True)

    def stages(self) -> list[nn.Module]:
        pieces: list[nn.Module] = []
        for name, child in self.body.named_children():
            inner = list(child.children()) if name in ("blocks", "stages", "layers", "features") else [child]
            pieces += [piece for piece in inner if any(True for _ in piece.parameters())]
        return self.loose(self.body) + pieces

    def _before_last(self, pictures: torch.Tensor) -> torch.Tensor:
        body = self.body
        tokens = body.norm_pre(body.patch_drop(body._pos_embed(body.patch_embed(pictures))))
        for block in body.blocks[:-1]:
            tokens = block(tokens)
        return tokens

    def _grid(self, places: int) -> tuple[int, int]:
        side = round(places**0.5)
        if side * side != places:
            raise NotImplementedError
        return side, side

    def _channels_last(self, found: torch.Tensor) -> bool:
        return getattr(self.body, "output_fmt", "NCHW") == "NHWC"


class Encoder(TimmBackbone):
    """The maps of several stages, for decoders.

    Args:
        name, channels, size: as for any backbone.
        stride: coarsest maps wanted, in pixels of the picture; where the library cannot keep them so fine they stay as they are.
    """

    body: Any

    def __init__(self, name: str, channels: int, size: int, stride: int = 32) -> None:
        super().__init__(name, channels, size, 0)
        self.stride = stride
        self.body = self.fresh()
        self.widths: list[int] = self.body.feature_info.channels()
        self.strides: list[int] = self.body.feature_info.reduction()

    def fresh(self, **more: Any) -> nn.Module:
        if self.stride < 32:
            try:
                return super().fresh(features_only=True, output_stride=self.stride, **more)
            except (TypeError, AssertionError, NotImplementedError):  # this family has no dilated form
                pass
        return super().fresh(features_only=True, **more)

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:  # type: ignore[override]
        """(B, C, S, S) → maps (B, widths[i], S / strides[i], S / strides[i]), fine to coarse."""
        maps = self.body(pictures)
        last = str(getattr(self.body, "output_fmt", "NCHW")).endswith("NHWC")
        return [found.permute(0, 3, 1, 2) for found in maps] if last else list(maps)

    def stages(self) -> list[nn.Module]:
        return self.loose(self.body) + [piece for piece in self.body.children() if any(True for _ in piece.parameters())]

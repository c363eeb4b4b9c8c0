"""Transformers that learn small pictures from nothing: ViT-Lite and CCT (Hassani et al. 2021, Escaping the Big Data Paradigm)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from omma.errors import OmmaError
from omma.models.network import Network
from omma.words import say

NAMES = {
    "vit-lite": "ViT-Lite-7/4 (Hassani et al. 2021): a vision transformer for pictures of 32 pixels, patches of 4, 3.7 M weights",
    "cct": "CCT-7/3×1 (Hassani et al. 2021): the same on convolved patches, with a mean weighed by attention, 3.8 M weights",
}
LEARNS = "adamw"  # as the paper has it
WIDTH, HEADS, LAYERS, PATCH = 256, 4, 7, 4


class Attention(nn.Module):
    """Every token reads all: softmax(Q Kᵀ / √d) V in several heads (Vaswani et al. 2017): (B, N, D) → (B, N, D)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """See the class."""
        q, k, v = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, heads, N, d)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Attention and two dense layers with GELU, each normalised first and added to what came in: (B, N, D) → (B, N, D)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2, self.dense1, self.dense2 = nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """See the class."""
        tokens = tokens + self.attention(self.norm1(tokens))
        return tokens + self.dense2(F.gelu(self.dense1(self.norm2(tokens))))


class Small(Network):
    """What both have: tokens with learned places, layers, a norm. The places fit one picture size only.

    Args:
        tokens: places a side.
        width, heads, layers: of the transformer.
        extra: tokens beside the grid.
    """

    def __init__(self, tokens: int, width: int, heads: int, layers: int, extra: int) -> None:
        super().__init__()
        self.side = tokens
        self.places = nn.Parameter(torch.empty(1, tokens * tokens + extra, width))
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def start_small(self) -> None:
        """As the paper begins: truncated normal draws of 0.02, no biases."""
        nn.init.trunc_normal_(self.places, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def grid(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, side², D) tokens → (B, D, side, side) maps."""
        return tokens.transpose(1, 2).unflatten(2, (self.side, self.side))

    def stages(self) -> list[nn.Module]:
        """From input to output; places and the class token, which belong to no layer, first."""
        loose = nn.Module()
        for key, value in dict(self.named_parameters(recurse=False)).items():
            loose.register_parameter(key, value)
        others = [child for name, child in self.named_children() if name not in ("head", "drop", "layers", "norm")]
        return [loose, *others, *self.layers, self.norm]


class VitLite(Small):
    """A class token among the patches says the answer (Dosovitskiy et al. 2021), in small.

        C×32×32 → 8×8 patches of 4×4 → 64 + 1 tokens of 256 → 7 layers → the class token → outputs

    `maps` are the patches as the last layer reads them: behind it, only the class token is looked at.

    Args:
        size: side of the pictures, a multiple of 4.
        channels, outputs: see `omma.models.making.build`.
    """

    def __init__(self, channels: int, size: int, outputs: int) -> None:
        super().__init__(size // PATCH, WIDTH, HEADS, LAYERS, 1)
        self.patches = nn.Conv2d(channels, WIDTH, PATCH, PATCH, bias=False)
        self.token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.head = nn.Linear(WIDTH, outputs)
        nn.init.kaiming_normal_(self.patches.weight)
        self.start_small()
        self._token: list[torch.Tensor] = []

    def _before_last(self, pictures: torch.Tensor) -> torch.Tensor:
        patches = self.patches(pictures).flatten(2).transpose(1, 2)
        # shape[0], not len(): an exported graph would be tied to the batch it was traced with
        tokens = torch.cat([self.token.expand(patches.shape[0], -1, -1), patches], 1) + self.places
        for layer in self.layers[:-1]:
            tokens = layer(tokens)
        return tokens

    def _after(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.norm(self.layers[-1](tokens))[:, 0]

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) → (B, 256, S / 4, S / 4); the class token is remembered for the `pool` that must follow."""
        tokens = self._before_last(pictures)
        self._token[:] = [tokens[:, :1]]
        return self.grid(tokens[:, 1:])

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, 256, h, w) → (B, 256)."""
        return self._after(torch.cat([self._token.pop(), maps.flatten(2).transpose(1, 2)], 1))

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) → (B, 256)."""
        if "maps" in self.__dict__:  # somebody watches the maps
            return super().features(pictures)
        return self._after(self._before_last(pictures))


class Cct(Small):
    """A 3×3 convolution and pooling make the tokens, so that patches overlap; the mean of the tokens is weighed by what they say.

        C×32×32 → conv 3×3, ReLU, pool → 256 tokens of 256 → 7 layers → weighed mean → outputs

    Args:
        size: side of the pictures.
        channels, outputs: see `omma.models.making.build`.
    """

    def __init__(self, channels: int, size: int, outputs: int) -> None:
        super().__init__(-(-size // 2), WIDTH, HEADS, LAYERS, 0)
        self.tokens = nn.Sequential(nn.Conv2d(channels, WIDTH, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.weigh = nn.Linear(WIDTH, 1)
        self.head = nn.Linear(WIDTH, outputs)
        nn.init.kaiming_normal_(self.tokens[0].weight)  # type: ignore[arg-type]
        self.start_small()

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) → (B, 256, ⌈S / 2⌉, ⌈S / 2⌉)."""
        tokens = self.tokens(pictures).flatten(2).transpose(1, 2) + self.places
        for layer in self.layers:
            tokens = layer(tokens)
        return self.grid(self.norm(tokens))

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, 256, h, w) → (B, 256)."""
        tokens = maps.flatten(2).transpose(1, 2)
        return (self.weigh(tokens).softmax(1) * tokens).sum(1)


def build(name: str, *, channels: int, size: int, outputs: int) -> Small:
    """`vit-lite` or `cct`.

    Raises:
        OmmaError: pictures too small or, for `vit-lite`, no multiple of 4 pixels.
    """
    if size < 2 * PATCH:
        raise OmmaError(say("models.too_small", size=size, smallest=2 * PATCH))
    if name == "cct":
        return Cct(channels, size, outputs)
    if size % PATCH:
        raise OmmaError(say("models.setting", key="size", value=size, range=f"{PATCH}, {2 * PATCH}, {3 * PATCH} …"))
    return VitLite(channels, size, outputs)

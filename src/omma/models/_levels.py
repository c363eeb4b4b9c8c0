"""The body of a network of timm or torchvision, tapped where its maps change size: what a pyramid is built on."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn

from omma.errors import OmmaError
from omma.models.backbone import built
from omma.models.making import borrowed
from omma.words import say

TRIAL = 256  # pixels: every stride divides it


class Levels(nn.Module):
    """Maps at strides 8, 16 and 32 (and 4, if asked for) of somebody else's classifier.

    Args:
        name: `timm/NAME` or `torchvision/NAME`.
        channels: of the pictures.
        size: side of the pictures, pixels.
        finest: stride of the finest maps.

    Raises:
        OmmaError: no such network, or its maps do not have these strides.
    """

    def __init__(self, name: str, channels: int, size: int, finest: int) -> None:
        super().__init__()
        self.name, self.channels, self.size = name, channels, size
        self.strides = [stride for stride in (4, 8, 16, 32) if stride >= finest]
        whole = borrowed(name, channels=channels, size=size, outputs=1)
        pieces = _timm_pieces(name, channels, size) if name.startswith("timm/") else _pieces(whole)
        taps = built(name, size, channels, lambda: _taps(pieces, channels))
        missing = [stride for stride in self.strides if stride not in taps]
        if missing:
            reason = f"strides {sorted(taps)}, not {self.strides}"
            raise OmmaError(say("models.cannot_build", model=name, size=size, channels=channels, reason=reason))
        self.taps = [taps[stride][0] for stride in self.strides]
        self.widths = [taps[stride][1] for stride in self.strides]
        self.pieces = pieces if isinstance(pieces, nn.ModuleDict) else nn.ModuleList(list(pieces)[: self.taps[-1] + 1])
        self.origin: dict[str, Any] = {}

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """(B, C, H, W) → maps at `strides`: (B, widths[i], h, w)."""
        found = _run(self.pieces, pictures)
        return [found[tap] for tap in self.taps]

    def stages(self) -> list[nn.Module]:
        """From input to output."""
        return [piece for piece in self.pieces.children() if any(True for _ in piece.parameters())]

    def start(self, how: str) -> None:
        """Take the classifier's weights, published (`yes`) or from its .safetensors file; sets `origin`.

        Raises:
            OmmaError: see `Backbone.start`.
        """
        whole = borrowed(self.name, channels=self.channels, size=self.size, outputs=1)
        whole.start(how)
        self.origin = whole.origin
        if isinstance(self.pieces, nn.ModuleDict):  # timm's own cut: names differ by a dot
            given = {key.removeprefix("body.").replace(".", "_"): value for key, value in whole.state_dict().items()}
            self.pieces.load_state_dict({key: given[key.replace(".", "_")] for key in self.pieces.state_dict()})
        else:
            for mine, theirs in zip(self.pieces, _pieces(whole), strict=False):
                mine.load_state_dict(theirs.state_dict())


def _pieces(whole: Any) -> nn.ModuleList:
    """The trunk of one of torchvision's, in the smallest pieces that follow one another."""
    if not hasattr(whole, "trunk"):  # a plain transformer: one size of maps
        return nn.ModuleList()
    found: list[nn.Module] = []
    for piece in whole.trunk:
        found += list(piece.children()) if type(piece) is nn.Sequential else [piece]
    return nn.ModuleList(found)


def _timm_pieces(name: str, channels: int, size: int) -> nn.ModuleDict:
    """timm cuts its own networks."""
    from omma.models import _timm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cut: Any = built(name, size, channels, lambda: _timm.body(name, channels, size, features_only=True))
    return cut


def _run(pieces: nn.Module, pictures: torch.Tensor) -> list[torch.Tensor]:
    """What each tap of timm's, or each piece of torchvision's, gives."""
    if isinstance(pieces, nn.ModuleDict):
        return pieces(pictures)
    found = []
    for piece in pieces.children():
        pictures = piece(pictures)
        found.append(pictures)
    return found


@torch.no_grad()
def _taps(pieces: nn.Module, channels: int) -> dict[int, tuple[int, int]]:
    """stride → (which of the maps is the last of its size, its channels), found out by looking once."""
    trained = pieces.training
    pieces.eval()
    where = next(pieces.parameters(), torch.empty(0)).device
    found: dict[int, tuple[int, int]] = {}
    for place, maps in enumerate(_run(pieces, torch.zeros(1, channels, TRIAL, TRIAL, device=where))):
        # Channels behind the maps (swin) make them not square; borders that are cut off make them not divide.
        if maps.dim() == 4 and maps.shape[2] == maps.shape[3] and TRIAL % maps.shape[2] == 0:
            found[TRIAL // maps.shape[2]] = (place, maps.shape[1])
    pieces.train(trained)
    return found

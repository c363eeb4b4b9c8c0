"""What networks from pictures to pictures have in common: denoising, sharpening, enlarging."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from omma.errors import OmmaError
from omma.models.network import Network
from omma.words import say

# Scales, and the steps in which networks get there that enlarge twofold or threefold at a time.
STEPS: dict[int, tuple[int, ...]] = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}
MOST_WIDE, MOST_DEEP = 4096, 256


class Restorer(Network):
    """Pictures (B, C, h, w), 0–1, of any size → pictures, not clamped; as many channels as came in, whatever `outputs` says.

    `forward` is `finish` of what the head says of the last maps. A subclass writes `maps`, sets `head`, and `finish` where something
    is added to what the head says.

    Args:
        channels: of the pictures.
        scale: how much larger the answer is than the picture that came from outside.
    """

    gives: ClassVar[str] = "picture"

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        self.channels, self.scale = channels, scale

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.mean((2, 3))

    def finish(self, said: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        """What the head says, (B, ?, h′, w′), and the pictures (B, C, h, w) → the answer."""
        return said

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w), 0–1 → (B, C, s·h, s·w), s = `scale` where the network enlarges, else 1."""
        return self.finish(self.head(self.drop(self.maps(pictures))), pictures)

    def stages(self) -> list[nn.Module]:
        """Rows of layers one by one, other pieces whole."""
        found: list[nn.Module] = []
        for piece in super().stages():
            found += list(piece.children()) if isinstance(piece, nn.Sequential | nn.ModuleList) else [piece]
        return [piece for piece in found if next(piece.parameters(), None) is not None]

    def start(self, how: str) -> None:
        """As of any network; a head that does not fit is refused too, since it does not depend on the data.

        Raises:
            OmmaError: there are no such weights, or they are of a network of other settings.
        """
        if how in ("no", "yes"):
            super().start(how)
            return
        from omma.parts.weights import fill, read

        tensors = self._named({key.removeprefix("net."): tensor for key, tensor in read(how).items()}, how)
        fill(self, tensors, how, {})
        for key, tensor in self.head.state_dict(prefix="head.").items():
            found = tuple(tensors[key].shape) if key in tensors else None
            if found != tuple(tensor.shape):
                raise OmmaError(say("models.does_not_fit", tensor=key, found=found, wanted=tuple(tensor.shape)), how)
        self.origin = {"weights": Path(how).name, "licence": "unknown"}

    def _named(self, tensors: dict[str, torch.Tensor], where: str) -> dict[str, torch.Tensor]:
        """Tensors of a file under the names they have here."""
        return tensors


def whole(pictures: torch.Tensor, step: int) -> torch.Tensor:
    """(B, C, h, w) → the same with both sides rounded up to multiples of `step`, two at least: the last row and column are repeated.

    Two, since a graph for any size has no sides of a single place: what is traced for several is another computation than for one.
    """
    height, width = pictures.shape[2:]
    more: list[Any] = [torch.sym_max((side + step - 1) // step, 2) * step - side for side in (width, height)]
    return F.pad(pictures, (0, more[0], 0, more[1]), mode="replicate")


def cut(pictures: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) → (B, C, h, w): the upper left corner, as large as `like`.

    As a padding by less than nothing: a slice would ask, where a graph for any size is traced, whether it cuts anything.
    """
    return F.pad(pictures, (0, like.shape[3] - pictures.shape[3], 0, like.shape[2] - pictures.shape[2]))


def enlarged(pictures: torch.Tensor, scale: int) -> torch.Tensor:
    """(B, C, h, w) → (B, C, s·h, s·w), bicubic: what a network that enlarges adds to."""
    if scale == 1:
        return pictures
    return F.interpolate(pictures, scale_factor=scale, mode="bicubic", align_corners=False)


def possible(name: str, scale: int, scales: Sequence[int] = ()) -> int:
    """`scale`, if the network can do it; `scales` empty: any from 1.

    Raises:
        OmmaError: it cannot.
    """
    if scale < 1 or (scales and scale not in scales):
        known = ", ".join(map(str, scales)) or "1, 2, 3, …"
        raise OmmaError(say("models.no_scale", model=name, scale=scale, scales=known))
    return scale


def sound(depth: int, *widths: int, least: int = 1, most: int = MOST_DEEP) -> None:
    """Refuse depths out of `least` to `most`, and widths that make no network.

    Raises:
        OmmaError: they do not.
    """
    if not least <= depth <= most or any(not 1 <= width <= MOST_WIDE for width in widths):
        raise OmmaError(say("models.shape", widths="-".join(map(str, widths)), depth=depth))


def numbered(tensors: dict[str, torch.Tensor], depth: int, plain: bool, where: str) -> dict[str, torch.Tensor]:
    """Names of published rows of convolutions with a ReLU between, `model.0.weight`, `model.2.weight` …, as `body.…` and `head.…`.

    Args:
        tensors: by name; others than these stay as they are.
        depth: convolutions of the network.
        plain: whether the network has no batch norm.
        where: named in errors.

    Raises:
        OmmaError: the file has another depth, or no batch norm where the network has.
    """
    places = {int(key.split(".")[1]) for key in tensors if key.startswith("model.") and key.endswith(".weight")}
    if not places:
        return tensors
    if len(places) != depth or not plain:
        raise OmmaError(say("models.other_settings", settings=f"depth={len(places)} norm=none"), where)
    last = f"model.{max(places)}."
    return {key.replace(last, "head.").replace("model.", "body."): tensor for key, tensor in tensors.items()}

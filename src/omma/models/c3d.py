"""C3D (Tran, Bourdev, Fergus, Torresani & Paluri 2015): 3×3×3 convolutions over clips and volumes."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from omma.errors import OmmaError
from omma.models.network import Network
from omma.words import say

NAMES = {
    "c3d": "C3D (Tran et al. 2015): 3-D convolutions over clips of 16 frames, 80 M weights with the published head",
    "c3d-small": "the same with an eighth of the maps and of the units",
}
SHARE = {"c3d": 1, "c3d-small": 8}
GROUPS = ((64,), (128,), (256, 256), (512, 512), (512, 512))  # maps of the convolutions before each pooling
HIDDEN = 4096
SMALLEST = 32


class C3d(Network):
    """Eight convolutions, five poolings, two dense layers.

        (B, T·c, S, S) → c×16×112×112 → 64×16×56×56 → 128×8×28×28 → 256×4×14×14 → 512×2×7×7 → 512×1×4×4 → 4096 → 4096 → outputs

    A clip or volume comes as a picture whose channels are its frames or slices, one after the other; T = 1 is a single picture, for which
    a 3×3×3 convolution is a 3×3 one. Pooling stops in time where one moment is left. Fits one size only, as the dense layers read places.

    Args:
        frames: T.
        share: of how many of the published maps and units one is left, n.
        forget: share dropped behind the dense layers.
        channels, size, outputs: see `omma.models.making.build`.
    """

    def __init__(self, frames: int, share: int, forget: float, channels: int, size: int, outputs: int) -> None:
        super().__init__()
        self.frames, inputs, time, side = frames, channels // frames, frames, size
        groups: list[nn.Module] = []
        for place, widths in enumerate(GROUPS):
            layers: list[nn.Module] = []
            for width in widths:
                layers += [nn.Conv3d(inputs, width // share, 3, padding=1), nn.ReLU()]
                inputs = width // share
            last = place == len(GROUPS) - 1
            step = 1 if place == 0 or time == 1 else 2  # the first pooling leaves time alone
            layers.append(nn.MaxPool3d((step, 2, 2), padding=(0, 1, 1) if last else 0))
            time, side = time // step, (side + 2 * last) // 2
            groups.append(nn.Sequential(*layers))
        self.groups = nn.ModuleList(groups)
        self.dense1 = nn.Linear(inputs * time * side * side, HIDDEN // share)
        self.dense2 = nn.Linear(HIDDEN // share, HIDDEN // share)
        self.forget = nn.Dropout(forget)
        self.head = nn.Linear(HIDDEN // share, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, T·c, S, S) → (B, D·t, h, w): the last maps, those of each moment beside one another."""
        maps = pictures.unflatten(1, (self.frames, -1)).transpose(1, 2)
        for group in self.groups:
            maps = group(maps)
        return maps.flatten(1, 2)

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, D·t, h, w) → (B, 4096 / n)."""
        return self.forget(F.relu(self.dense2(self.forget(F.relu(self.dense1(maps.flatten(1)))))))


def build(name: str, *, channels: int, size: int, outputs: int, frames: int = 1, forget: float = 0.5) -> C3d:
    """`c3d` or `c3d-small`; `frames=16` for clips of sixteen.

    Raises:
        OmmaError: channels that are not so many frames, pictures too small, or no share.
    """
    if frames < 1 or channels % frames:
        raise OmmaError(say("models.frames", channels=channels, frames=frames))
    if size < SMALLEST:
        raise OmmaError(say("models.too_small", size=size, smallest=SMALLEST))
    if not 0 <= forget < 1:
        raise OmmaError(say("models.setting", key="forget", value=forget, range="0 ≤ forget < 1"))
    return C3d(frames, SHARE[name], forget, channels, size, outputs)

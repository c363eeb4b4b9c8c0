"""SRResNet: residual blocks with batch norm, the generator of SRGAN (Ledig et al. 2017); 1.5 M weights."""

from __future__ import annotations

import torch
from torch import nn

from omma import catalog
from omma.errors import OmmaError
from omma.models._restorer import STEPS, Restorer, possible, sound
from omma.words import say

NAMES = {
    "srresnet": "SRResNet: residual blocks with batch norm, trained for small errors (Ledig et al. 2017)",
    "srgan": "the same against a critic, and by what an encoder sees: sharper, and further from the truth",
}
ENDS = ("plain", "tanh")


class Block(nn.Module):
    """Two 3×3 convolutions with batch norm, PReLU between, beside a shortcut: (B, width, h, w) → the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps + self.bn2(self.conv2(self.prelu(self.bn1(self.conv1(maps)))))


class Larger(nn.Module):
    """(B, width, h, w) → (B, width, step·h, step·w): a 3×3 convolution, channels become pixels, PReLU."""

    def __init__(self, width: int, step: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width * step**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(step)
        self.prelu = nn.PReLU()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.prelu(self.shuffle(self.conv(maps)))


class Srresnet(Restorer):
    """9×9 and PReLU, blocks beside a shortcut around all of them, enlarging in steps of two or three, 9×9.

    Args:
        blocks: residual blocks.
        width: channels.
        end: `plain`, as the paper's network that is trained for small errors; `tanh`, as published generators of SRGAN have it: answers
            are (tanh + 1) / 2, and PReLU instead of batch norm closes the blocks.
        channels, scale: see `Restorer`; 8 is three steps of two.
    """

    enlarges = True

    def __init__(self, blocks: int, width: int, end: str, channels: int, scale: int) -> None:
        super().__init__(channels, scale)
        self.end = end
        self.stem = nn.Sequential(nn.Conv2d(channels, width, 9, padding=4), nn.PReLU())
        self.body = nn.ModuleList(Block(width) for _ in range(blocks))
        self.close = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.PReLU() if end == "tanh" else nn.BatchNorm2d(width))
        self.up = nn.Sequential(*(Larger(width, step) for step in STEPS[scale]))
        self.head = nn.Conv2d(width, channels, 9, padding=4)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        first = maps = self.stem(pictures)
        for block in self.body:
            maps = block(maps)
        return self.up(first + self.close(maps))

    def finish(self, said: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        return (said.tanh() + 1) / 2 if self.end == "tanh" else said

    def dead_ends(self) -> list[nn.Module]:
        """The head, and what is shuffled into pixels: there channels belong together by fours or nines."""
        return [self.head, *(larger.conv for larger in self.up if isinstance(larger, Larger))]

    def _named(self, tensors: dict[str, torch.Tensor], where: str) -> dict[str, torch.Tensor]:
        """Published names, `block1` the stem to `block8` the end: for five blocks; more where there are more."""
        if "block1.0.weight" not in tensors:
            return tensors
        blocks = sum(key.startswith("block") and key.endswith(".conv1.weight") for key in tensors)
        if blocks != len(self.body) or self.end != "tanh":
            raise OmmaError(say("models.other_settings", settings=f"blocks={blocks} end=tanh"), where)
        ours = {"block1": "stem", **{f"block{place + 2}": f"body.{place}" for place in range(blocks)}, f"block{blocks + 2}": "close"}
        ours |= {f"block{blocks + 3}.{place}": f"up.{place}" for place in range(len(self.up))}
        ours[f"block{blocks + 3}.{len(self.up)}"] = "head"
        named = {}
        for key, tensor in tensors.items():
            theirs = next((name for name in ours if key.startswith(f"{name}.")), None)
            named[key if theirs is None else ours[theirs] + key.removeprefix(theirs)] = tensor
        return named


def build(
    name: str, *, channels: int, size: int, outputs: int, scale: int = 1, blocks: int = 16, width: int = 64, end: str = "plain"
) -> Srresnet:
    """`srresnet`, or `srgan`, the same network, which learns from other losses (`tasks/restore.py`).

    `blocks=5 end=tanh` takes the weights of a published SRGAN. `outputs` is not used: as many channels come out as go in.

    Raises:
        OmmaError: no such scale or end, or a shape that makes no network.
    """
    sound(blocks, width)
    if end not in ENDS:
        raise catalog.unknown("end", end, list(ENDS))
    return Srresnet(blocks, width, end, channels, possible(name, scale, list(STEPS)))

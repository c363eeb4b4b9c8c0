"""A 3×3 convolution that learns as a sum of branches and computes as one (Ding et al. 2021; Zhang et al. 2021, ECBSR)."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional as F

Net = TypeVar("Net", bound=nn.Module)


class Merged(nn.Conv2d):
    """(B, inputs, h, w) → (B, outputs, h, w): 3×3, plus 1×1, plus 1×1 to twice the width and 3×3 back, plus the identity.

    All branches are linear, so their sum is a 3×3 convolution; its kernel is added up from the branches in each call, in training and
    after, which costs next to nothing beside the convolution and leaves nothing to be kept in step.

    Args:
        inputs, outputs: channels; with as many outputs as inputs the identity is a branch.
        gain: size of the first outputs, 1 for as large as the inputs.
    """

    same: torch.Tensor

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        wide, same = 2 * max(inputs, outputs), inputs == outputs
        # A step of an optimizer changes this product in every channel between; without the share it would be a far longer step.
        self.share = 0.5 * inputs**-0.5
        self.point = nn.Parameter(torch.zeros(outputs, inputs))
        self.widen = nn.Parameter(torch.randn(wide, inputs) * inputs**-0.5)
        self.narrow = nn.Parameter(torch.randn(outputs, wide, 3, 3) * (2 / 9) ** 0.5)
        self.register_buffer("same", torch.eye(outputs) if same else torch.zeros(outputs, inputs), persistent=False)
        with torch.no_grad():
            share = gain * (0.35 if same else 0.7)  # beside the identity the rest starts small
            self.weight.normal_(0, share * (inputs * 9) ** -0.5)
            self.narrow.mul_(share)
            nn.init.zeros_(self.bias)  # type: ignore[arg-type]

    def kernel(self) -> torch.Tensor:
        """(outputs, inputs, 3, 3): all branches as one."""
        centre = F.pad((self.point + self.same)[:, :, None, None], (1, 1, 1, 1))
        return self.weight + centre + self.share * torch.einsum("okyx,ki->oiyx", self.narrow, self.widen)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return F.conv2d(maps, self.kernel(), self.bias, padding=1)


def branched(net: nn.Module) -> bool:
    """Whether there is anything for `plain` to do."""
    return any(isinstance(module, Merged) for module in net.modules())


@torch.no_grad()
def plain(net: Net) -> Net:
    """A copy with plain convolutions in place of `Merged` ones: the same answers, the weights that have to be carried."""
    twin = copy.deepcopy(net)
    for path, module in list(twin.named_modules()):
        if isinstance(module, Merged):
            conv = nn.Conv2d(module.in_channels, module.out_channels, 3, padding=1).to(module.weight)
            conv.weight.copy_(module.kernel())
            conv.load_state_dict({"bias": module.bias}, strict=False)
            above, _, name = path.rpartition(".")
            setattr(twin.get_submodule(above), name, conv)
    return twin

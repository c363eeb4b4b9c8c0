"""What a network costs: parameters, layers with weights, multiply-adds for one picture, and memory, counted on shapes alone."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def cost(net: Any, channels: int, size: int) -> dict[str, Any]:
    """Parameters, layers with weights, multiply-adds for one picture and memory; the network itself is left as it is.

    Multiply-adds are counted where convolutions and matrix products run, whoever calls them: layers, attention (its projections and its
    two products), recurrence, `einsum`, the suppression behind a detector. What happens number by number (activations, norms, pooling,
    sampling between pixels) and deformable convolution are not counted, nor what scikit-image computes before a classical model.

    Memory: bytes of the weights, and of what all layers give for one picture, which learning has to hold, in float32.

    Args:
        net: any network of ours; its `gives` says whether it reads a picture or a draw.
        channels, size: of the picture.

    Returns:
        `parameters`, `layers`, `macs`, `memory` = {`weights`, `maps`}; the last two are None where a network cannot run on shapes alone.
    """
    layers = [m for m in net.modules() if isinstance(m, nn.modules.conv._ConvNd | nn.Linear)]
    facts: dict[str, Any] = {"parameters": sum(p.numel() for p in net.parameters()), "layers": len(layers)}
    values = 0

    def keep(module: nn.Module, given: Any, output: Any) -> None:
        nonlocal values
        values += output.numel() if isinstance(output, torch.Tensor) else 0

    # No gradients, because the counter follows those of what goes into layers, and stumbles over views of weights (learned queries).
    shapes = copy.deepcopy(net).to("meta").eval().requires_grad_(False)
    for module in shapes.modules():
        if not list(module.children()):
            module.register_forward_hook(keep)
    given = (1, channels, size, size) if net.gives != "drawn" else (1, net.latent + net.classes)
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            shapes(torch.empty(*given, device="meta"))
        facts["macs"] = counter.get_total_flops() // 2  # it counts a product and a sum as two
        facts["memory"] = {"weights": 4 * facts["parameters"], "maps": 4 * values}
    except (NotImplementedError, RuntimeError):  # a network that cannot run on shapes alone
        facts["macs"] = facts["memory"] = None
    return facts

"""PyTorch as it is: always there, on every device."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from omma.runtimes.runtime import Runtime

if TYPE_CHECKING:
    from omma.bundle import Bundle


class Eager(Runtime):
    """The pipeline itself, in channels_last.

    Args:
        device: where the bundle is moved; `cpu`, `cuda` ….
    """

    name: ClassVar[str] = "eager"

    def __init__(self, bundle: Bundle, lanes: int = 1, device: str = "cpu") -> None:
        super().__init__(bundle, lanes)
        import torch

        from omma.engine.machine import laid_out

        self.device = torch.device(device)
        for net in bundle.nets.values():
            laid_out(net.to(self.device))
        self._pipeline = bundle.pipeline().to(self.device)

    def infer(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        import torch

        with torch.inference_mode():
            tensors = self._pipeline.infer(torch.from_numpy(np.ascontiguousarray(frames)).to(self.device))
            return {key: tensor.cpu().numpy() for key, tensor in tensors.items()}

"""The contract of a runtime: what computes a trained model's answers, whichever library does the sums.

A runtime computes `Task.infer` (`Pipeline.infer`: normalise, views of test time, network) and nothing after it. The operating
point is applied here, once for all of them, so a threshold can change without another graph.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from omma.answers.answer import Answer
    from omma.bundle import Bundle
    from omma.data.spatial.windows import Spot

# Frames (N, S, S, C) uint8 → tensors of `Task.infer`, batch in front.
Infer = Callable[[np.ndarray], dict[str, np.ndarray]]
MOST = 64  # frames at once


class Runtime:
    """A bundle on one library; one runtime per process, because their threads disturb each other.

    Args:
        bundle: an opened bundle.
        lanes: calls of `run` that may be in work at once, each with its share of the cores: 1 answers one call soonest,
            as many as there are cores answers most pictures a second.
    """

    name: ClassVar[str] = ""
    # A package to import and what of `pip install omma[…]` brings it; "" where torch is enough.
    package: ClassVar[str] = ""
    extra: ClassVar[str] = ""

    def __init__(self, bundle: Bundle, lanes: int = 1) -> None:
        self.bundle, self.lanes = bundle, lanes
        self._threads: int | None = None
        if lanes > 1:
            import torch

            # Each lane resizes its own pictures with torch: threads of torch in every lane would fight for the cores.
            self._threads = torch.get_num_threads()
            torch.set_num_threads(share(lanes))

    def infer(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """(N, S, S, C) uint8 → tensors of `Task.infer`; may be called from `lanes` threads at once."""
        raise NotImplementedError

    def run(self, frames: np.ndarray, point: dict[str, Any] | None = None) -> dict[str, np.ndarray]:
        """(N, S, S, C) uint8 → operated tensors, batch in front; `point` overrides values of the operating point."""
        return {key: tensor.numpy() for key, tensor in self._operated(frames, point).items()}

    def answers(
        self, frames: np.ndarray | Sequence[np.ndarray], point: dict[str, Any] | None = None, places: Sequence[Spot] | None = None
    ) -> list[Answer]:
        """(N, S, S, C) uint8 → N answers, settled; about the pictures where `places` say how they lie in their N frames.

        Pictures at their own size may come as a list, (H, W, C) each.
        """
        from omma.engine.told import told

        if self.bundle.views.fit == "own":
            return [self._picture(one, point) for one in frames]
        assert isinstance(frames, np.ndarray), "frames of one size"
        return told(self.bundle.task, self._operated(frames, point), self.bundle.point | (point or {}), places)

    def _picture(self, picture: np.ndarray, point: dict[str, Any] | None) -> Answer:
        """The answer to a picture at its own size, part by part.

        A network that is shown the whole first, reduced, answers large pictures by PyTorch: no graph remembers what it saw.
        """
        import torch

        from omma.engine.painting.tiles import painted, remembers

        net = self.bundle.nets.get("net")

        def ask(part: np.ndarray) -> dict[str, Any]:
            return self.run(part, point)

        def torchs(part: np.ndarray) -> dict[str, Any]:
            with torch.inference_mode():
                return self.bundle.pipeline(point)(torch.from_numpy(part))

        asked = torchs if self.package and remembers(net, picture) else ask
        return painted(asked, self.bundle.task, self.bundle.views, picture, net=net)

    def _operated(self, frames: np.ndarray, point: dict[str, Any] | None) -> dict[str, Any]:
        import torch

        # A large picture may be hundreds of frames.
        parts = [self.infer(frames[start : start + MOST]) for start in range(0, max(1, len(frames)), MOST)]
        rows = parts[0] if len(parts) == 1 else {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        tensors = {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in rows.items()}
        with torch.inference_mode():
            return self.bundle.task.answer.operate(tensors, self.bundle.point | (point or {}))

    def close(self) -> None:
        """Give back the threads that were taken from the rest of the process."""
        if self._threads is not None:
            import torch

            torch.set_num_threads(self._threads)
            self._threads = None


def natively(bundle: Bundle, engine: Infer, frames: np.ndarray) -> dict[str, np.ndarray]:
    """Frames through a graph; where they are pictures at their own size, with as many channels as the graph reads.

    What a task does with grey and colour (see `Restore.restored`) is done around the graph, which stands for the network.
    """
    views = bundle.views
    if views.fit != "own":
        return engine(frames)
    frames = np.ascontiguousarray(frames, np.float32)
    if frames.shape[3] == views.channels:
        return engine(frames)
    import torch

    from omma.tasks.task import Batch

    def ask(pictures: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(engine((pictures * 255).permute(0, 2, 3, 1).contiguous().numpy())["restored"])

    ask.channels, ask.enlarges = views.channels, True  # type: ignore[attr-defined]
    with torch.inference_mode():
        found = bundle.task.infer({"net": ask}, Batch(views.finish(torch.from_numpy(frames))))  # type: ignore[dict-item]
    return {key: value.numpy() for key, value in found.items()}


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(lanes: int) -> int:
    """Compute threads for each of `lanes` calls at once."""
    return max(1, cores() // max(1, lanes))

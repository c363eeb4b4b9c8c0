"""What leaves the house: the whole model as one module, from a picture of any size to named answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn

import omma
from omma.answers.placed import Placed
from omma.data.decode import to_rgb8
from omma.data.views import InGraph
from omma.tasks.task import Task

if TYPE_CHECKING:
    from omma.bundle import Bundle
    from omma.data.spatial.windows import Spot

INPUT = "picture"
DYNAMIC = {0: "N", 1: "H", 2: "W"}
SEED = "seed"  # the input of a model that draws
MIDDLE = 256  # pixels on a side of what a picture at its own size is compared by


class Whole(nn.Module):
    """`Views.frame` as arithmetic, then the pipeline with its operating point.

    (N, H, W, 3) uint8, any N, H and W → named tensors, batch in front, in the order of `Answer.operate`. A model that draws has nothing
    to frame: (N, L) float32 rows of seeds, any N.
    """

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self.enter = InGraph(bundle.views)
        self.pipeline = bundle.pipeline()

    def entered(self, picture: torch.Tensor) -> torch.Tensor:
        """What the pipeline is given: frames, or the seeds as they are."""
        return picture if self.pipeline.task.asks == "seed" else self.enter(picture)

    def forward(self, picture: torch.Tensor) -> dict[str, torch.Tensor]:
        if self.pipeline.task.asks == "seed":
            return self.pipeline(picture)
        return leave(self.pipeline.task, self.pipeline(self.enter(picture)), self.enter.spot(picture), self.pipeline.point)


def leave(task: Task, tensors: dict[str, torch.Tensor], place: Spot, point: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Operated tensors of frames → of the pictures, where the answer lies somewhere."""
    return task.answer.locate(tensors, place, point) if issubclass(task.answer, Placed) else tensors


@dataclass(slots=True)
class Graph:
    """A bundle ready to be written: the module, an example, and what a reader must know.

    Args:
        bundle: where it comes from.
        whole: the module, on the CPU, in evaluation mode.
        example: (2, H, W, C) uint8; the lengths are such that none could be taken for another. Or (2, L) float32 seeds.
        outputs: names in order.
        source: the input's name.
        dynamic: its dimensions of any length.
    """

    bundle: Bundle
    whole: Whole
    example: torch.Tensor
    outputs: list[str]
    source: str = INPUT
    dynamic: dict[int, str] = field(default_factory=lambda: dict(DYNAMIC))

    @classmethod
    def of(cls, bundle: Bundle) -> Graph:
        whole = Whole(bundle).to("cpu").eval()
        if bundle.task.asks == "seed":
            rows = torch.from_numpy(bundle.asked(2))
            with torch.no_grad():
                return cls(bundle, whole, rows, list(whole(rows)), SEED, {0: "N"})
        size = bundle.views.size
        example = torch.zeros(2, size + 5, size + 9, max(3, bundle.views.channels), dtype=torch.uint8)
        with torch.no_grad():
            return cls(bundle, whole, example, list(whole(example)))

    def metadata(self) -> dict[str, str]:
        """What is written beside the graph: names and operating point as JSON, where it came from."""
        bundle = self.bundle
        return {
            "classes": json.dumps(bundle.names, ensure_ascii=False),
            "operating_point": json.dumps(bundle.point),
            "task": str(bundle.card.get("task", "")),
            "model": str(bundle.card.get("model", "")),
            "views": json.dumps(bundle.views.json()),
            "omma": omma.__version__,
            "weights_sha256": bundle.digest,
        } | ({"numbers_of_chance": str(bundle.net.latent)} if self.source == SEED else {})


def shown(bundle: Bundle, picture: np.ndarray) -> np.ndarray:
    """A decoded picture as the exported input reads it: (H, W, 3) uint8, or with the network's own channels where those are others."""
    if bundle.views.fit == "own":  # any size is as good as another, and a photograph would take minutes
        top, left = (max(0, side - MIDDLE) // 2 for side in picture.shape[:2])
        picture = picture[top : top + MIDDLE, left : left + MIDDLE]
    return to_rgb8(picture) if bundle.views.channels in (1, 3) else bundle.views._eight_bits(picture)


class Exporter:
    """The contract: one file a format.

    `write` makes the file; `read` gives back, from the file alone and without omma's network, what computes its answers.
    """

    suffix: ClassVar[str] = ""
    # Whether the 8-bit graph of a quantised bundle can be written in this format.
    quantised: ClassVar[bool] = False

    def write(self, graph: Graph, path: Path) -> None:
        """Write one file.

        Raises:
            DiskError: the disk does not take it.
            Exception: whatever the exporter says of an operation it cannot write.
        """
        raise NotImplementedError

    def answer(self, path: Path, batches: list[np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        """The file's answers to batches of pictures, (N, H, W, C) uint8 each, in order."""
        raise NotImplementedError

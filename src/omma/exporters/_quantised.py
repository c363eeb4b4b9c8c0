"""A quantised copy as one graph: pictures → frames, its own 8-bit graph, the operating point — three graphs joined end to end."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from omma.answers.placed import Placed
from omma.data.views import InGraph
from omma.errors import DiskError
from omma.exporters.graph import Graph, leave
from omma.runtimes._graphs import own_graph, write_onnx
from omma.words import say

if TYPE_CHECKING:
    from omma.bundle import Bundle

FRAMES = "frames"
SIDES = {"down": "H", "across": "W"}  # as many ones as the picture has rows and columns


class Enter(nn.Module):
    """(N, H, W, 3) uint8, any H and W → {"frames": (N, S, S, C) uint8}, seeds as they are; for answers that lie somewhere also the sides of
    the picture."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self.enter = InGraph(bundle.views)
        self.placed = issubclass(bundle.task.answer, Placed)
        self.drawn = bundle.task.asks == "seed"

    def forward(self, picture: torch.Tensor) -> dict[str, torch.Tensor]:
        if self.drawn:
            return {FRAMES: picture.clone()}
        frames = {FRAMES: self.enter(picture)}
        if not self.placed:
            return frames
        place = self.enter.spot(picture)
        return frames | dict(zip(SIDES, (place.down.line, place.across.line), strict=True))


class Leave(nn.Module):
    """Tensors of `Task.infer`, and the sides of the picture where they matter → operated tensors, about the pictures."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self.enter, self.task, self.point = InGraph(bundle.views), bundle.task, bundle.point

    def forward(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        inner = {key: value for key, value in tensors.items() if key not in SIDES}
        operated = self.task.answer.operate(inner, self.point)
        if len(inner) == len(tensors):
            return operated
        return leave(self.task, operated, self.enter.between(*(tensors[side] for side in SIDES)), self.point)


def write_quantised(graph: Graph, path: Path) -> Path:
    """Write what a quantised bundle computes, from the picture to the answer, as a single ONNX file.

    Its input, outputs and metadata are those of any export; the middle is the bundle's own graph, byte for byte.

    Raises:
        DiskError: the disk does not take it.
        ValueError: the bundle's graph speaks another version of ONNX than the parts around it.
    """
    import onnx

    bundle = graph.bundle
    core = onnx.ModelProto.FromString(own_graph(bundle))
    with torch.no_grad(), tempfile.TemporaryDirectory(prefix="omma-") as folder:
        tensors = {name: t.clone() for name, t in graph.whole.pipeline.infer(graph.whole.entered(graph.example)).items()}
        first, last = Path(folder) / "first.onnx", Path(folder) / "last.onnx"
        entered = Enter(bundle)(graph.example)
        sides = {name: line for name, line in entered.items() if name != FRAMES}
        write_onnx(Enter(bundle), graph.example, first, source=graph.source, outputs=list(entered), dynamic=graph.dynamic)
        dynamic = {f"core/{name}": {0: "N"} for name in tensors} | {f"enter/{name}": {0: SIDES[name]} for name in sides}
        write_onnx(Leave(bundle), tensors | sides, last, source=list(dynamic), outputs=graph.outputs, dynamic=dynamic)
        model = joined(onnx.load(str(first)), core, onnx.load(str(last)))
    for key, value in graph.metadata().items():
        model.metadata_props.add(key=key, value=value)
    try:
        path.write_bytes(model.SerializeToString())
    except OSError as error:
        raise DiskError(say("runtimes.not_written", reason=error.strerror or error), path) from None
    return path


def joined(first: Any, core: Any, last: Any) -> Any:
    """Three `onnx.ModelProto`, end to end; every name but the outer inputs and outputs says which part it belongs to.

    The inputs of `last` are called `core/NAME`: an answer may have an output of the same name as a tensor it is made of; `enter/NAME`
    comes from `first`.
    """
    from onnx import checker, compose

    version = max(model.ir_version for model in (first, core, last))
    for model in (first, core, last):
        model.ir_version = version
        del model.metadata_props[:]
    _same_operators(first, core, last)
    between = [f"core/{output.name}" for output in core.graph.output]
    first = compose.add_prefix(first, "enter/", rename_inputs=False)
    core = compose.add_prefix(core, "core/")
    last = compose.add_prefix(last, "leave/", rename_inputs=False, rename_outputs=False)
    sides = [output.name for output in first.graph.output if output.name != f"enter/{FRAMES}"]
    whole = compose.merge_models(first, core, [(f"enter/{FRAMES}", f"core/{FRAMES}")], producer_name="omma")
    whole = compose.merge_models(whole, last, [(name, name) for name in [*sides, *between]], producer_name="omma")
    checker.check_model(whole)
    return whole


def _same_operators(*models: Any) -> None:
    """Every part names the operator sets of all: joining asks for equal versions, and an unused set means nothing."""
    versions: dict[str, int] = {}
    for model in models:
        for entry in model.opset_import:
            if versions.setdefault(entry.domain, entry.version) != entry.version:
                raise ValueError(f"operator set {entry.domain or 'ai.onnx'}: {versions[entry.domain]} and {entry.version}")

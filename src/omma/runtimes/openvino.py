"""OpenVINO: a compiled graph, on Intel and AMD processors."""

from __future__ import annotations

import importlib
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from omma.runtimes.runtime import Infer, Runtime, cores, natively

if TYPE_CHECKING:
    from omma.bundle import Bundle


def engine(graph: Path | bytes, lanes: int = 1) -> Infer:
    """A graph of one input and named outputs, ready; may be called from `lanes` threads at once. Imports no torch."""
    core = _openvino().Core()
    model = core.read_model(graph) if isinstance(graph, bytes) else core.read_model(str(graph))
    compiled = core.compile_model(
        model,
        "CPU",
        # float32 throughout: processors that multiply bfloat16 would otherwise round to it without a word.
        {
            "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY" if lanes == 1 else "THROUGHPUT",
            "INFERENCE_NUM_THREADS": cores(), "NUM_STREAMS": lanes,
        },
    )  # fmt: skip
    names = [output.get_any_name() for output in compiled.outputs]
    mine = threading.local()

    def infer(pictures: np.ndarray) -> dict[str, np.ndarray]:
        if not hasattr(mine, "request"):
            mine.request = compiled.create_infer_request()
        results = mine.request.infer([np.ascontiguousarray(pictures)])
        return {name: np.array(results[place]) for place, name in enumerate(names)}

    return infer


def _openvino() -> Any:
    """The package without its telemetry: importing it sends an event unless its messenger is missing."""
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    # By name, because this file is called the same.
    return importlib.import_module("openvino")


class Openvino(Runtime):
    """The bundle's pipeline as a graph under OpenVINO."""

    name: ClassVar[str] = "openvino"
    package: ClassVar[str] = "openvino"
    extra: ClassVar[str] = "openvino"

    def __init__(self, bundle: Bundle, lanes: int = 1) -> None:
        from omma.runtimes._graphs import graph_of

        super().__init__(bundle, lanes)
        self._engine = engine(graph_of(bundle), lanes)

    def infer(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        return natively(self.bundle, self._engine, frames)

"""ONNX Runtime: a compiled graph, on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from omma.runtimes.runtime import Infer, Runtime, natively, share

if TYPE_CHECKING:
    from omma.bundle import Bundle


def engine(graph: Path | bytes, lanes: int = 1) -> Infer:
    """A graph of one input and named outputs, ready; may be called from `lanes` threads at once. Imports no torch."""
    session = session_of(graph, share(lanes))
    source = session.get_inputs()[0].name
    names = [output.name for output in session.get_outputs()]

    def infer(pictures: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, {source: pictures}), strict=True))

    return infer


def session_of(graph: Path | bytes, threads: int) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # A thread that spins while it waits takes the core from whoever decodes pictures.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph if isinstance(graph, bytes) else str(graph), options, providers=["CPUExecutionProvider"])


class Ort(Runtime):
    """The bundle's pipeline as a graph under ONNX Runtime; a quantised bundle's own graph."""

    name: ClassVar[str] = "ort"
    package: ClassVar[str] = "onnxruntime"
    extra: ClassVar[str] = "export"

    def __init__(self, bundle: Bundle, lanes: int = 1) -> None:
        from omma.runtimes._graphs import graph_of

        super().__init__(bundle, lanes)
        self._engine = engine(graph_of(bundle), lanes)

    def infer(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        return natively(self.bundle, self._engine, frames)

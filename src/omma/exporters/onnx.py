"""ONNX: one file that any ONNX runtime reads; input `picture`, uint8 (N, H, W, 3), or `seed`, float32 (N, L)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from omma.catalog import need
from omma.exporters.graph import Exporter, Graph
from omma.runtimes._graphs import write_onnx
from omma.runtimes.ort import engine


class Onnx(Exporter):
    """The whole model with names and operating point in `metadata_props`."""

    suffix: ClassVar[str] = ".onnx"
    quantised: ClassVar[bool] = True

    def write(self, graph: Graph, path: Path) -> None:
        for package in ("onnx", "onnxscript", "onnxruntime"):
            need(package, "export", "onnx")
        if graph.bundle.card.get("runtime", {}).get("file"):
            from omma.exporters._quantised import write_quantised

            write_quantised(graph, path)
            return
        write_onnx(
            graph.whole, graph.example, path, source=graph.source, outputs=graph.outputs, dynamic=graph.dynamic, metadata=graph.metadata()
        )

    def answer(self, path: Path, batches: list[np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        infer = engine(path)
        for batch in batches:
            yield infer(batch)

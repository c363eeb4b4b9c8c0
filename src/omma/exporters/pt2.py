"""torch.export: one file that PyTorch reads; input `picture`, uint8 (N, H, W, 3), or `seed`, float32 (N, L)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from omma.errors import DiskError, Refused
from omma.exporters.graph import Exporter, Graph
from omma.words import say

PATIENCE = 600  # seconds the reading child may take


class Pt2(Exporter):
    """The whole model as an exported program; `extra_files` hold names and operating point.

    Reading such a file unpickles, so it is read in a child process only, and only the one just written.
    """

    suffix: ClassVar[str] = ".pt2"

    def write(self, graph: Graph, path: Path) -> None:
        dynamic = dict.fromkeys(graph.dynamic, torch.export.Dim.DYNAMIC)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(graph.whole, (graph.example,), dynamic_shapes=(dynamic,))
            for part in program.graph_module.modules():
                for node in getattr(getattr(part, "graph", None), "nodes", ()):
                    node.meta.pop("stack_trace", None)  # file names of this machine
            try:
                torch.export.save(program, path, extra_files=graph.metadata())
            except OSError as error:
                raise DiskError(say("export.not_written", reason=error.strerror or error), path) from None

    def answer(self, path: Path, batches: list[np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        with tempfile.TemporaryDirectory(prefix="omma-") as folder:
            given, taken = Path(folder) / "pictures.npz", Path(folder) / "answers.npz"
            np.savez(given, **{str(place): batch for place, batch in enumerate(batches)})  # type: ignore[arg-type]
            words = [sys.executable, "-m", "omma.exporters._reload", str(path), str(given), str(taken)]
            try:
                child = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=PATIENCE, stdin=subprocess.DEVNULL)
            except subprocess.TimeoutExpired:
                raise Refused(say("export.unreadable", reason=f"> {PATIENCE} s"), path) from None
            if child.returncode:
                raise Refused(say("export.unreadable", reason=(child.stderr.strip().splitlines() or ["?"])[-1][:300]), path)
            with np.load(taken, allow_pickle=False) as answers:
                keys = [key.partition(".") for key in answers.files]
                for place in range(len(batches)):
                    yield {name: answers[f"{batch}.{name}"] for batch, _, name in keys if batch == str(place)}

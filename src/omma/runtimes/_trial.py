"""One graph on one library in a process of its own: its outputs, and how fast it is. Imports neither torch nor a network.

python -m omma.runtimes._trial NAME GRAPH FRAMES.npy OUT.npz [SECONDS]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np

from omma.runtimes.runtime import Infer

BATCHES = (1, 16)


def pace(infer: Infer, frames: np.ndarray, seconds: float) -> list[float]:
    """Pictures a second at each of `BATCHES`: the best of several runs, `seconds` long in all."""
    rates = []
    for size in BATCHES:
        batch = np.resize(frames, (size, *frames.shape[1:]))
        infer(batch)
        began, best, runs = time.perf_counter(), float("inf"), 0
        while runs < 2 or time.perf_counter() - began < seconds / len(BATCHES):
            start = time.perf_counter()
            infer(batch)
            best, runs = min(best, time.perf_counter() - start), runs + 1
        rates.append(size / best)
    return rates


def main(words: Sequence[str]) -> None:
    """Write the outputs for all frames, key by key, and `rates`."""
    name, graph, frames_file, out, seconds = words
    infer = import_module(f"omma.runtimes.{name}").engine(Path(graph))
    frames = np.load(frames_file, allow_pickle=False)
    outputs = {f"out.{key}": value for key, value in infer(frames).items()}
    rates = pace(infer, frames, float(seconds)) if float(seconds) > 0 else []
    np.savez(out, rates=np.array(rates), **outputs)


if __name__ == "__main__":
    main(sys.argv[1:])

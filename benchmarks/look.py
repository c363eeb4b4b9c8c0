"""What `omma look --out` needs for a network of a library at 224 pixels: seconds after imports, and megabytes of the page.

    python benchmarks/look.py [--model resnet18] [--rounds 5]

Processor seconds are those of this process alone, so other programs on the machine do not count; wall seconds are what a person
waits, and hold only on an idle machine. One thread: what one core needs at most. The median round counts, the worst is printed too.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from _table import begin, report

from omma.models.making import build
from omma.verbs.look import look


def measured(model: str, out: Path) -> dict[str, Any]:
    """One page, from the name on the command line to the file on disk."""
    processor, wall = time.process_time(), time.perf_counter()
    made = look(model, out=str(out), device="cpu")
    return {
        "processor s": time.process_time() - processor,
        "wall s": time.perf_counter() - wall,
        "MB": made.size / 1e6,
        "layers": made.layers,
    }


def main() -> None:
    reader = argparse.ArgumentParser()
    reader.add_argument("--model", default="resnet18")
    reader.add_argument("--rounds", type=int, default=5)
    wanted = reader.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        # What is imported on the way is imported now: a small page of a network of the same library.
        build("torchvision/resnet18", channels=3, size=64, outputs=2)
        look("keras-same", size=16, out=str(Path(folder) / "first.html"), device="cpu")
        rounds = [measured(wanted.model, Path(folder) / "page.html") for _ in range(wanted.rounds)]
    keys = ("processor s", "wall s", "MB")
    middle: dict[str, Any] = {key: statistics.median(row[key] for row in rounds) for key in keys}
    worst: dict[str, Any] = {key: max(row[key] for row in rounds) for key in keys}
    report("look", [{"round": "median", **middle}, {"round": "worst", **worst}], model=wanted.model, rounds=rounds)


if __name__ == "__main__":
    begin(main)

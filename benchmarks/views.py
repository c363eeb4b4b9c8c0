"""Training pictures of 32 pixels a second on one core: flip + shift + erase + normalise, ours against torchvision's transforms per sample.

    python benchmarks/views.py [--pictures 20000] [--batch 512] [--rounds 5]

torchvision: `v2` transforms (reflected crop, flip, float, normalise, erase) on uint8 tensors inside a DataLoader, with no worker and
with one. A worker is a second process: it may use a second core, and the row says so. Sides take turns; the median round counts.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from _table import begin, report
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from omma.answers.label import Label
from omma.data.batches import Batches
from omma.data.frames import Frames
from omma.data.sample import Dataset as Pictures
from omma.data.sample import Sample
from omma.data.views import Views
from omma.engine import machine
from omma.recipe import Recipe
from omma.tasks.classify import Classify

MEAN, STD = (0.491, 0.482, 0.447), (0.247, 0.243, 0.262)
NAMES = [str(i) for i in range(10)]


class PerSample(Dataset):
    """One picture at a time, as is usual."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self.pixels, self.labels = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), labels
        self.vary = v2.Compose(
            [
                v2.RandomCrop(32, padding=4, padding_mode="reflect"),
                v2.RandomHorizontalFlip(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
                v2.RandomErasing(p=1.0, scale=(0.0625, 0.0625), ratio=(1.0, 1.0)),
            ]
        )

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, place: int):
        return self.vary(self.pixels[place]), int(self.labels[place])


def ours(pixels: np.ndarray, labels: np.ndarray, batch: int) -> Callable[[int], int]:
    """Batches as a run makes them: order, truth, flip, shift, erase, normalise."""
    data = Pictures(
        [Sample(str(i), row=i, truth=Label(NAMES[k]), split="train") for i, k in enumerate(labels)],
        NAMES,
        "classify",
        Path("-"),
        "npz",
        pixels,
    )
    views = Views(32, 3, "squash", MEAN, STD)
    recipe = Recipe().put("you", batch=batch, flip=True, shift=0.125, erase=0.25)
    batches = Batches(Frames(data, views), data, Classify(NAMES), views, recipe)

    def some(rounds: int) -> int:
        return sum(len(batches.at(step)) for step in range(rounds * batches.per_epoch, (rounds + 1) * batches.per_epoch))

    return some


def theirs(pixels: np.ndarray, labels: np.ndarray, batch: int, workers: int) -> Callable[[int], int]:
    """The DataLoader over a part that takes about as long; the worker lives through all rounds."""
    part = PerSample(pixels[:4000], labels[:4000])
    loader = DataLoader(part, batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0, drop_last=True)
    return lambda rounds: sum(len(pictures) for pictures, _ in loader)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--pictures", type=int, default=20_000)
    words.add_argument("--batch", type=int, default=512)
    words.add_argument("--rounds", type=int, default=5)
    args = words.parse_args()
    machine.setup("cpu", threads=1)  # as a run begins; the other side has its memory settings too
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (args.pictures, 32, 32, 3), np.uint8)
    labels = draw.integers(0, 10, args.pictures)
    sides = {
        "omma": ours(pixels, labels, args.batch),
        "torchvision v2, DataLoader, num_workers=0": theirs(pixels, labels, args.batch, 0),
        "torchvision v2, DataLoader, num_workers=1 (a second process)": theirs(pixels, labels, args.batch, 1),
    }
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(args.rounds + 1):
        for name, side in sides.items():
            start = time.perf_counter()
            count = side(turn)
            if turn:  # the first round warms up
                speeds[name].append(count / (time.perf_counter() - start))
    middle = {name: statistics.median(values) for name, values in speeds.items()}
    rows = [
        {"what": name, "pictures/s": round(middle[name]), "slowest": round(min(values)), "fastest": round(max(values)),
         "omma is × faster": round(middle["omma"] / middle[name], 1)}
        for name, values in speeds.items()
    ]  # fmt: skip
    report("views", rows, batch=args.batch, pictures=args.pictures, threads=1)


if __name__ == "__main__":
    begin(main)

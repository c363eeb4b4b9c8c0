"""Three small medical sets from scratch: balanced accuracy and AUC with intervals, and what a leak-safe split changes.

    OMMA_MIRROR=FOLDER python benchmarks/medical.py [--budget 5min] [--sets busi-ultrasound.zip …]

FOLDER holds the archives. Each set is learned twice with the same words: split without leaks, and split at random (what most tools
do; the same shares, near-duplicates torn apart). Sets that come with their own test part have no second row.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from _table import begin, report

SETS = ["busi-ultrasound.zip", "brain-mri-tumor.zip", "pneumoniamnist-imbalanced.npz"]


def row(name: str, how: str, told) -> dict:
    cells = {"set": name, "split": how}
    for key in ("balanced_accuracy", "roc_auc"):
        score = told.scores[key]
        cells[key] = f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
    return cells | {"n": told.scores["accuracy"]["n"], "minutes": round(told.seconds / 60, 1), "steps": told.steps}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--budget", default="5min")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--sets", nargs="+", default=SETS)
    words.add_argument("settings", nargs="*", default=["balance=weights"])
    args = words.parse_args()
    from omma.data.split import random_split
    from omma.formats import csv as tables
    from omma.formats.format import open_data
    from omma.verbs.train import train

    rows = []
    for name in args.sets:
        path = Path(os.environ["OMMA_MIRROR"]) / name
        with tempfile.TemporaryDirectory() as folder:
            told = train(str(path), *args.settings, budget=args.budget, seed=args.seed, out=f"{folder}/safe")
            rows.append(row(name, "without leaks", told))
            print(rows[-1], flush=True)
            dataset = open_data(path)
            if all(sample.split is None for sample in dataset.samples):
                table = Path(folder) / "random.csv"
                tables.write(random_split(dataset, args.seed), table)
                told = train(str(table), *args.settings, budget=args.budget, seed=args.seed, out=f"{folder}/random")
                rows.append(row(name, "at random", told))
                print(rows[-1], flush=True)
    report("medical", rows, budget=args.budget)


if __name__ == "__main__":
    begin(main)

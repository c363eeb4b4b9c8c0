"""One digit of MNIST is good, the other nine are odd: AUROC on the 10,000 test pictures, in given minutes (or steps) a digit.

    OMMA_MIRROR=FOLDER python benchmarks/reconstruct.py [--minutes 4] [--steps 600] [--models autoencoder-dense,autoencoder,vae]
        [--digits 0-9] [--seed 0] [--keep DIR] [k=v …]

FOLDER holds `mnist-20k.zip`: about 2,000 training pictures of a digit, a tenth of which chooses the best step and the threshold. No odd
picture is learned from or chosen by.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from _table import begin, report

HOME = Path(os.environ.get("OMMA_MIRROR", "."))
ARCHIVE = "mnist-20k.zip"


def row_of(model: str, digit: int, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train on one digit, measure on all; `model` "" is the one that data decides on."""
    from omma.verbs.evaluate import evaluate
    from omma.verbs.train import train

    began = time.monotonic()
    out = f"{args.keep or folder}/mnist-{digit}{model and '-'}{model}"
    words = [f"good={digit}", *([f"model={model}"] if model else []), *args.settings]
    budget = f"{args.steps} steps" if args.steps else f"{args.minutes * 60:.0f}s"
    told = train(str(HOME / ARCHIVE), *words, task="reconstruct", seed=args.seed, budget=budget, out=out)
    minutes = (time.monotonic() - began) / 60
    found = evaluate(out, str(HOME / ARCHIVE), split="test").scores
    row: dict[str, Any] = {"model": told.model, "digit": digit, "minutes": minutes, "steps": told.steps}
    row |= {key: str(found[key]) for key in ("anomaly_auroc", "anomaly_recall", "anomaly_precision", "reconstruction")}
    row["value"] = found["anomaly_auroc"].value
    print(row, flush=True)
    return row


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--minutes", type=float, default=4)
    words.add_argument("--steps", type=int, help="instead of minutes, which depend on the machine")
    words.add_argument("--models", default="", help="joined by commas; left out, the one that data decides on")
    words.add_argument("--digits", default="0-9", help="0-9, or 2,5,8")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--keep", help="a folder for the runs")
    words.add_argument("settings", nargs="*")
    args = words.parse_intermixed_args()
    first, dash, last = args.digits.partition("-")
    digits = list(range(int(first), int(last) + 1)) if dash else [int(text) for text in args.digits.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        rows = [row_of(model, digit, args, Path(folder)) for model in args.models.split(",") for digit in digits]
    for model in dict.fromkeys(row["model"] for row in rows):
        mine = [row for row in rows if row["model"] == model]
        mean = f"{statistics.mean(row['value'] for row in mine):.4f}"
        rows.append({"model": model, "digit": "mean", "minutes": sum(row["minutes"] for row in mine), "value": mean})
    report("reconstruct_mnist", rows, **vars(args))


if __name__ == "__main__":
    begin(main)

"""The library against the formula pages' ten-line references, forward and backward: the largest difference on many random shapes.

    python benchmarks/formulas.py [--shapes 1000] [PAGE …]

A shape is one drawing of sizes, settings and float64 numbers; the pages are in docs/en/explanation, their code in examples/formulas.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from _table import begin, report

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import torch

from formulas import CASES, TOLERANCE, worst


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("pages", nargs="*", choices=[*CASES, []], default=[])
    words.add_argument("--shapes", type=int, default=1000)
    args = words.parse_args()
    torch.set_num_threads(1)  # small arrays
    rows = []
    for page in args.pages or CASES:
        start = time.monotonic()
        (largest, what), seed = max((worst(page, seed), seed) for seed in range(args.shapes))
        rows.append({"page": page, "shapes": args.shapes, "largest difference": largest, "of": what, "seed": seed})
        rows[-1] |= {"agrees": largest <= TOLERANCE, "seconds": time.monotonic() - start}
        print(rows[-1], flush=True)
    report("formulas", rows, tolerance=TOLERANCE, torch=torch.__version__)
    raise SystemExit(0 if all(row["agrees"] for row in rows) else 1)


if __name__ == "__main__":
    begin(main)

"""A compressed copy of a trained network against the fastest float32 runtime: pictures a second in turns, points lost on held-out pictures.

    python benchmarks/compressed.py RUN --data cifar10 [--budget 5min] [--max-drop 0.5] [--rounds 5]

RUN is a run folder (for the CIFAR row: `omma train cifar10 model=quick`). The copy is made by `omma compress`, opened again as anybody
would open it, and measured once more beside every float32 runtime that is installed: each in a process of its own, one after the other,
round by round; the best round counts, for both sides. The score of both on the held-out part is measured by the runtime that was timed.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from _table import begin, report

SECONDS = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--data", required=True)
    parser.add_argument("--budget", default="5min")
    parser.add_argument("--max-drop", type=float, default=0.5)
    parser.add_argument("--method", default=None)
    parser.add_argument("--rounds", type=int, default=5)
    words = parser.parse_args()

    from omma import bundle as bundles
    from omma.runtimes._graphs import make
    from omma.runtimes._trial import pace
    from omma.runtimes.choose import candidates, named, run_child, trial_frames
    from omma.verbs.compress import compress

    with tempfile.TemporaryDirectory() as folder:
        made = compress(
            words.run, data=words.data, max_drop=words.max_drop, out=Path(folder) / "copy", budget=words.budget, method=words.method
        )
        print("\n".join(made.lines()))
        whole, copy = bundles.open(words.run), bundles.open(made.bundle)
        graphs = {"float32": make(whole, Path(folder) / "whole.onnx")}
        own = copy.card.get("runtime", {}).get("file")
        graphs["copy"] = Path(made.bundle) / own if own else make(copy, Path(folder) / "copy.onnx")
        runs = [("float32", name) for name in ["eager", *candidates()]] + [("copy", name) for name in (["ort"] if own else candidates())]
        frames, rates = trial_frames(whole), {run: np.zeros(2) for run in runs}
        for _ in range(words.rounds):
            for what, runtime in runs:
                if runtime == "eager":
                    found = pace(named("eager", whole).infer, frames, SECONDS)
                else:
                    found = run_child(runtime, graphs[what], frames, SECONDS)[0]
                rates[what, runtime] = np.maximum(rates[what, runtime], found)
        best = np.max([rate for (what, _), rate in rates.items() if what == "float32"], axis=0)
        rows = [
            {"model": what, "runtime": runtime, "b1, pictures/s": rate[0], "b16, pictures/s": rate[1],
             "b1 ×": rate[0] / best[0], "b16 ×": rate[1] / best[1]}
            for (what, runtime), rate in rates.items()
        ]  # fmt: skip
        judged = made.held_out or made.chosen
        rows += [
            {"model": f"{judged.metric} before", "runtime": str(judged.before)},
            {"model": f"{judged.metric} after", "runtime": str(judged.after)},
            {"model": "points lost", "runtime": f"{judged.drop:+.3f} (paired difference {judged.difference})"},
            {"model": "megabytes", "runtime": f"{made.size[0] / 1e6:.2f} → {made.size[1] / 1e6:.2f}"},
        ]
        rows = [{key: float(value) if isinstance(value, np.floating) else value for key, value in row.items()} for row in rows]
        report("compressed", rows, made=made.json(), setting=vars(words))


if __name__ == "__main__":
    begin(main)

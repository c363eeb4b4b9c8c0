"""Optimizers and regularisers compared in one run: MNIST, a small net, the same pictures and epochs for all; curves and a verdict in words.

    OMMA_MIRROR=FOLDER python benchmarks/optimizers.py [--epochs 30] [--seeds 5] [--train 0.1] [--keep DIR] [--only NAME …] [--threads 1]

FOLDER holds `mnist-20k.zip`. Every row is `omma train` with one thing changed. All learn from the same share of the training part
(`--train`: a tenth of 20,000, and what looks like it); what is held out of it chooses among three strengths of each (one run each, by
another seed than those reported), the 10,000 test pictures are read once a run. Runs lie in DIR: killed and started again, it goes on
where it was. 93 runs as it stands, of about a minute on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
from functools import partial
from pathlib import Path
from typing import Any

from _table import begin, report
from scipy.stats import t as student

from omma.bundle import open as opened
from omma.errors import NonFinite
from omma.report.sketch import Sketch

DATA = Path(os.environ.get("OMMA_MIRROR", ".")) / "mnist-20k.zip"
CHOOSING = 1000  # the seed that strengths are chosen by; no reported run has it
# All rows begin here: nothing that regularises but what the row says.
PLAIN = {
    "task": "classify", "size": "28", "batch": "64", "schedule": "cosine", "warmup": "0.05", "weight_decay": "0", "l1": "0", "dropout": "0",
    "flip": "no", "shift": "0", "tta": "none", "task.label_smoothing": "0", "evals": "10",
}  # fmt: skip
# What each row changes, and the key among whose three values validation chooses.
OPTIMIZERS: dict[str, tuple[dict[str, str], str, tuple[str, ...]]] = {
    "full-batch GD": ({"optimizer": "gd"}, "rate", ("0.1", "0.3", "1")),
    "mini-batch SGD": ({"optimizer": "sgd"}, "rate", ("0.03", "0.1", "0.3")),
    "momentum": ({"optimizer": "momentum"}, "rate", ("0.01", "0.03", "0.1")),
    "RMSProp": ({"optimizer": "rmsprop"}, "rate", ("0.0003", "0.001", "0.003")),
    "Adam": ({"optimizer": "adam"}, "rate", ("0.0003", "0.001", "0.003")),
    "Muon": ({"optimizer": "muon"}, "rate", ("0.005", "0.015", "0.05")),
}
BASE = {"optimizer": "momentum", "rate": "0.03"}
REGULARISERS: dict[str, tuple[dict[str, str], str, tuple[str, ...]]] = {
    "none": (BASE, "rate", ("0.03",)),
    "L1": (BASE, "l1", ("0.00003", "0.0001", "0.0003")),
    "L2": (BASE, "weight_decay", ("0.0005", "0.002", "0.008")),
    "dropout": (BASE, "dropout", ("0.25", "0.5", "0.75")),
    "batch norm": (BASE | {"model.norm": "batch"}, "rate", ("0.01", "0.03", "0.1")),
    "augmentation": (BASE | {"rotate": "10", "scale": "0.1"}, "shift", ("0.03", "0.06", "0.1")),
}


def run(args: argparse.Namespace, settings: dict[str, str], seed: int) -> dict[str, Any] | None:
    """One run of `omma train`, begun, gone on with, or only read: its scores and curves; None where its loss did not stay finite."""
    from omma.verbs.train import train

    folder = args.keep / f"{'_'.join(f'{key}={value}' for key, value in sorted(settings.items()))}_{seed}"
    row = folder / "row.json"
    if not row.exists():
        if folder.exists() and not (folder / "recipe.json").exists():
            shutil.rmtree(folder)  # killed before anything was decided
        if not folder.exists():
            words = (PLAIN | settings | {"val": f"{1 - args.train:g}", "threads": str(args.threads), "model": "keras-valid"}).items()
            begun = {"seed": seed, "budget": f"{args.epochs} epochs", "out": str(folder)}
            act = partial(train, str(DATA), *(f"{key}={value}" for key, value in words), **begun)
        else:
            act = partial(train, resume=str(folder))
        try:
            if not (folder / "bundle" / "bundle.json").exists():
                act()
            found = {"test": opened(folder).card["scores"]["metrics"]["accuracy"]["value"], **curves(folder)}
        except NonFinite:
            found = None
        row.write_text(json.dumps(found), "utf-8")
    return json.loads(row.read_text("utf-8"))


def curves(folder: Path) -> dict[str, Any]:
    """What a run's events say: loss on what it learned from and accuracy on what was held out, (epoch, value) each."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text("utf-8").splitlines()]
    pace = next(event["per_epoch"] for event in events if event["event"] == "start")
    steps = {event["step"]: event["loss"] for event in events if event["event"] == "step" and "loss" in event}
    looks = {event["step"]: event["score"] for event in events if event["event"] == "eval"}
    return {"loss": [(step / pace, loss) for step, loss in steps.items()], "val": [(step / pace, score) for step, score in looks.items()]}


def chosen(args: argparse.Namespace, settings: dict[str, str], key: str, values: tuple[str, ...]) -> dict[str, str]:
    """The settings with the value that validation prefers, by a run each with a seed that is not reported."""
    tries = [settings | {key: value} for value in values]
    if len(tries) == 1:
        return tries[0]
    runs = [(words, run(args, words, CHOOSING)) for words in tries]
    return max(((words, one) for words, one in runs if one), key=lambda pair: max(score for _, score in pair[1]["val"]))[0]


def told(mean: float, rest: list[float], compared: int) -> tuple[float, float, str]:
    """The interval of paired differences over seeds, as wide as `compared` comparisons at once ask for, and what it says."""
    if len(rest) < 2:
        return float("nan"), float("nan"), "cannot tell"
    half = student.ppf(1 - 0.025 / compared, len(rest) - 1) * statistics.stdev(rest) / len(rest) ** 0.5
    return mean - half, mean + half, "better" if mean - half > 0 else "worse" if mean + half < 0 else "cannot tell"


def group(args: argparse.Namespace, rows: dict[str, Any], against: str) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """Every row of one comparison over all seeds, beside the row `against`."""
    runs: dict[str, list[dict[str, Any]]] = {}
    words: dict[str, dict[str, str]] = {}
    for name in (name for name in rows if not args.only or name in (*args.only, against)):
        words[name] = chosen(args, *rows[name])
        found = [run(args, words[name], seed) for seed in range(args.seeds)]
        runs[name] = [one for one in found if one]
        if len(runs[name]) < args.seeds:
            raise SystemExit(f"{name} {words[name]}: the loss did not stay finite with every seed")
        print(name, words[name], [round(one["test"], 4) for one in runs[name]], flush=True)
    table = []
    for name, mine in runs.items():
        tests = [one["test"] for one in mine]
        spread = student.ppf(0.975, len(tests) - 1) * statistics.stdev(tests) / len(tests) ** 0.5 if len(tests) > 1 else float("nan")
        row = {"row": name, rows[name][1]: words[name][rows[name][1]], "accuracy": statistics.mean(tests), "±": spread}
        if name != against:
            apart = [test - other["test"] for test, other in zip(tests, runs[against], strict=True)]
            low, high, word = told(statistics.mean(apart), apart, max(1, len(runs) - 1))
            row |= {"difference": statistics.mean(apart), "low": low, "high": high, "verdict": f"{word}, against {against}"}
        table.append(row)
    return table, runs


def drawn(sketch: Sketch, runs: dict[str, list[dict[str, Any]]]) -> None:
    """Mean curves over the seeds, from the lowest to the highest around them: loss on training pictures, accuracy on held-out ones."""
    for key, log, mark in (("loss", True, "L"), ("val", False, "A")):
        lines, bands = {}, {}
        for name, mine in runs.items():
            table = [[value for _, value in one[key]] for one in mine]
            columns = list(zip(*table, strict=True))
            lines[name] = [at for at, _ in mine[0][key]], [statistics.mean(column) for column in columns]
            bands[name] = [min(column) for column in columns], [max(column) for column in columns]
        sketch.lines(lines, x="epoch", y=mark, bands=bands, log=log, size=(340, 240))
    sketch.row()


def verdict(rows: list[dict[str, Any]], against: str) -> str:
    """One paragraph: who ended highest, who differs from the row all are compared with, of whom nothing can be said."""
    best = max(rows, key=lambda row: row["accuracy"])
    said = [f"highest: {best['row']}, {best['accuracy']:.4f}"]
    for word in ("better", "worse", "cannot tell"):
        names = [
            f"{row['row']} ({row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}])"
            for row in rows
            if row.get("verdict", "").startswith(word)
        ]
        said += [f"{word} {'from' if word == 'cannot tell' else 'than'} {against}: {', '.join(names)}"] if names else []
    return "; ".join(said)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--epochs", type=int, default=30)
    words.add_argument("--seeds", type=int, default=5)
    words.add_argument("--train", type=float, default=0.1, help="share of the 20,000 training pictures that is learned from, 0.1 at least")
    words.add_argument("--keep", type=Path, default=Path(__file__).parent / "out" / "optimizers", help="the folder of the runs")
    words.add_argument("--only", nargs="*", default=[], choices=[*OPTIMIZERS, *REGULARISERS])
    words.add_argument("--threads", type=int, default=1)
    args = words.parse_args()
    args.keep = args.keep / f"epochs={args.epochs}_train={args.train:g}"
    args.keep.mkdir(parents=True, exist_ok=True)
    sketch, every, said = Sketch(), [], {}
    for kind, rows, against in (("optimizers", OPTIMIZERS, "mini-batch SGD"), ("regularisers", REGULARISERS, "none")):
        if args.only and not set(args.only) & set(rows):
            continue
        found, runs = group(args, rows, against)
        drawn(sketch, runs)
        every += found
        said[kind] = verdict(found, against)
    sketch.save(args.keep.parent / "optimizers.svg")
    report("optimizers", every, verdict=said, epochs=args.epochs, seeds=args.seeds, pictures=args.train)
    print(*(f"{kind}: {text}" for kind, text in said.items()), f"curves: {args.keep.parent / 'optimizers.svg'}", sep="\n")


if __name__ == "__main__":
    begin(main)

"""The two Keras tutorial networks on CIFAR-10, theirs and ours, epoch by epoch in turns.

    python benchmarks/keras_cifar.py --keras PYTHON --peer keras_cifar10.py --data cifar-10-python.tar.xz [--seeds 3]

PYTHON is an interpreter with tensorflow; without it the Keras rows say so and there is no ratio. Same settings on both sides: Adam,
batch 64, pictures divided by 255, no augmentation, all 50,000 training pictures, accuracy on the test set after the last epoch.
Epochs are timed by each side itself, training only; the two processes take turns epoch by epoch (one is stopped while the other runs).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys

from _table import begin, report

OURS = """
import json, sys, time, torch
from omma.formats.format import open_data
from omma.engine import machine as machines, turn
from omma.engine.turn import Players
from omma.data.frames import Frames
from omma.data.batches import Batches
from omma.data.views import Views
from omma.models.making import build
from omma.recipe import Recipe
from omma.tasks.classify import Classify
data, kind, epochs, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
machine = machines.setup("cpu")
dataset = open_data(data)
still = {"schedule": "constant", "warmup": 0.0, "flip": False, "shift": 0.0, "weight_decay": 0.0}
recipe = Recipe().put("you", seed=seed, batch=64, optimizer="adam", rate=1e-3, **still)
task = Classify(dataset.names)
views = Views(32, 3, "squash", (0.0,) * 3, (1.0,) * 3, "none")
torch.manual_seed(seed)
net = machine.place(build(f"keras-{kind}", channels=3, size=32, outputs=10))
players = Players.gather(task, net, recipe)
batches = Batches(Frames(dataset, views), dataset, task, views, recipe)
test = [i for i, s in enumerate(dataset.samples) if s.split == "test"]
step = 0
for epoch in range(epochs):
    net.train()
    start = time.perf_counter()
    for _ in range(batches.per_epoch):
        torch.manual_seed(seed * 1_000_003 + step)
        told = turn.take(task, players, batches.at(step), step, recipe, machine, 1e-3, 64)
        step += 1
    seconds = time.perf_counter() - start
    net.eval()
    right = 0
    with torch.inference_mode():
        for batch in batches.plain(test, 500):
            right += (net(batch.pictures).argmax(1) == batch.truth["target"].argmax(1)).sum().item()
    print(json.dumps({"epoch": epoch + 1, "seconds": round(seconds, 2), "test_accuracy": right / len(test)}), flush=True)
"""


def in_turns(commands: dict[str, list[str]], epochs: int) -> dict[str, list[dict]]:
    """Run several processes that print one JSON line an epoch, letting one run at a time."""
    running = {name: subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for name, c in commands.items()}
    for process in running.values():
        os.kill(process.pid, signal.SIGSTOP)
    rows: dict[str, list[dict]] = {name: [] for name in commands}
    for _ in range(epochs):
        for name, process in running.items():
            os.kill(process.pid, signal.SIGCONT)
            rows[name].append(json.loads(process.stdout.readline()))
            if len(rows[name]) < epochs:
                os.kill(process.pid, signal.SIGSTOP)
    for process in running.values():
        process.wait()
    return rows


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--keras", help="an interpreter with tensorflow")
    words.add_argument("--peer", help="the Keras script")
    words.add_argument("--data", required=True)
    words.add_argument("--kind", nargs="+", default=["same", "valid"])
    words.add_argument("--epochs", type=int, default=10)
    words.add_argument("--seeds", type=int, default=3)
    words.add_argument("--keras-seeds", type=int, help="fewer seeds for their side, beside the first of ours")
    words.add_argument("--first", type=int, default=0, help="the first seed, to go on with what was cut off")
    args = words.parse_args()
    table = []
    for kind in args.kind:
        told: dict[str, list] = {"omma": [], "keras": []}
        for seed in range(args.first, args.first + args.seeds):
            commands = {"omma": [sys.executable, "-c", OURS, args.data, kind, str(args.epochs), str(seed)]}
            if args.keras and args.peer and seed - args.first < (args.seeds if args.keras_seeds is None else args.keras_seeds):
                commands["keras"] = [args.keras, args.peer, kind, "--epochs", str(args.epochs), "--seed", str(seed), "--data", args.data]
            for name, rows in in_turns(commands, args.epochs).items():
                told[name].append(rows)
        # Epochs are compared where they ran in turns.
        turns = len(told["keras"]) or args.seeds
        times = {name: statistics.median(r["seconds"] for rows in runs[:turns] for r in rows) for name, runs in told.items() if runs}
        for name, runs in told.items():
            last = [rows[-1]["test_accuracy"] for rows in runs]
            row = {"network": kind, "side": name, "accuracy": statistics.mean(last) if last else "not installed"}
            if last:
                row |= {"spread": statistics.pstdev(last), "epoch_s": times[name], "seeds": len(last)}
            if "keras" in times and name == "omma":
                row["epoch / keras"] = times["omma"] / times["keras"]
            table.append(row)
    report("keras_cifar", table, epochs=args.epochs)


if __name__ == "__main__":
    begin(main)

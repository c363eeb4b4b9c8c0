"""CIFAR-10 from scratch: the default recipe in a given time, the best preset, and the share of the machine's peak.

    python benchmarks/cifar10.py default --seconds 190 [--seeds 3]     seconds: what Keras took for its ten epochs (keras_cifar.py)
    python benchmarks/cifar10.py best [--epochs 16] [--seeds 3]        all 50,000 training pictures, nothing chosen on the way
    python benchmarks/cifar10.py throughput                            the full-width network's training step against a matrix product

Everything was chosen on 5,000 training pictures held out; the test set is read once, at the end of each run.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time

from _table import begin, report


def runs(data: str, seeds: range, keep: str | None, words: list[str], **flags: str) -> list[dict]:
    """Whole runs, from the command's start to the bundle; `keep` is the folder that holds them afterwards."""
    from omma.verbs.train import train

    rows = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            start = time.monotonic()
            told = train(data, *words, seed=seed, out=f"{keep or folder}/cifar10-{seed}", **flags)
            seconds = time.monotonic() - start
        score = told.scores["accuracy"]
        rows.append(
            {"seed": seed, "accuracy": score["value"], "low": score["low"], "high": score["high"], "steps": told.steps, "seconds": seconds}
        )
        print(rows[-1], flush=True)
    values = [row["accuracy"] for row in rows]
    rows.append(
        {
            "seed": "mean ± sd",
            "accuracy": statistics.mean(values),
            "low": statistics.pstdev(values),
            "seconds": statistics.mean(r["seconds"] for r in rows),
        }
    )
    return rows


def throughput(batch: int = 256, rounds: int = 12, warm: int = 4) -> list[dict]:
    """A step of `quick` and a float32 matrix product, in turns; 2 operations a multiply-add, backward twice forward.

    The first `warm` rounds do not count: memory that was never touched before costs more than the arithmetic.
    """
    import torch

    from omma.data.views import Views
    from omma.engine import machine as machines
    from omma.engine import turn
    from omma.engine.turn import Players
    from omma.models.making import build
    from omma.recipe import Recipe
    from omma.tasks.classify import Classify
    from omma.tasks.task import Batch

    machine = machines.setup("cpu")
    net = machine.place(build("quick", channels=3, size=32, outputs=10))
    task, recipe = Classify([str(i) for i in range(10)]), Recipe().put("you", optimizer="muon", rate=0.01, momentum=0.7)
    players = Players.gather(task, net, recipe)
    views = Views(32, 3, "squash", (0.5,) * 3, (0.25,) * 3, "none")
    frames = torch.randint(0, 256, (batch, 32, 32, 3), dtype=torch.uint8)
    data = Batch(views.finish(frames), {"target": torch.eye(10)[torch.randint(0, 10, (batch,))]})
    work = 3 * 2 * multiplications(net, data.pictures[:1]) * batch
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    step_rate, peak = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        turn.take(task, players, data, 0, recipe, machine, 1e-4, batch)
        step_rate.append(work / (time.perf_counter() - start))
        start = time.perf_counter()
        for _ in range(5):
            a @ b
        peak.append(5 * 2 * 2048**3 / (time.perf_counter() - start))
    share = statistics.median(s / p for s, p in zip(step_rate[warm:], peak[warm:], strict=True))
    return [
        {
            "step GFLOP/s": statistics.median(step_rate[warm:]) / 1e9,
            "matrix product GFLOP/s": statistics.median(peak[warm:]) / 1e9,
            "share": share,
        }
    ]


def multiplications(net, picture) -> int:
    """Multiply-adds of one forward pass, counted at the convolutions and dense layers."""
    import torch

    count = 0

    def look(module, inputs, output):
        nonlocal count
        if isinstance(module, torch.nn.Conv2d):
            count += output.numel() * module.weight[0].numel()
        elif isinstance(module, torch.nn.Linear):
            count += output.numel() * module.in_features

    hooks = [module.register_forward_hook(look) for module in net.modules()]
    net.eval()
    with torch.inference_mode():
        net(picture)
    for hook in hooks:
        hook.remove()
    net.train()
    return count


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("what", choices=["default", "best", "throughput"])
    words.add_argument("--data", default="cifar10")
    words.add_argument("--seconds", type=float, default=190)
    words.add_argument("--epochs", type=float, default=16)
    words.add_argument("--seeds", type=int, default=3)
    words.add_argument("--keep", help="a folder for the runs")
    words.add_argument("--first", type=int, default=0, help="the first seed, to go on with what was cut off")
    args = words.parse_args()
    seeds = range(args.first, args.first + args.seeds)
    if args.what == "throughput":
        rows = throughput()
    elif args.what == "default":
        rows = runs(args.data, seeds, args.keep, [], budget=f"{args.seconds}s")
    else:
        rows = runs(args.data, seeds, args.keep, ["val=0", "evals=1"], preset="best", budget=f"{args.epochs} epochs")
    report(f"cifar10_{args.what}", rows, **vars(args))


if __name__ == "__main__":
    begin(main)

"""kill -9 at random moments, at least a quarter of them inside a checkpoint write; resumed, the run must end in the same bits.

    python benchmarks/kill_resume.py [--kills 20] [--seed 0]

Each trial is a real training run on digits in a forked process, killed by SIGKILL once (some twice), then resumed in a fresh fork to
its end. Compared with the uninterrupted run: network, average and optimizer tensors, the loop's own numbers, and every step and eval
row of the event stream (clock fields aside).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from _table import begin, report

STEPS, EVERY = 60, 4
WORDS = {"model": "quick-narrow", "budget": f"{STEPS} steps", "seed": "3"}
SETTINGS = [f"checkpoint={EVERY}", "ema=0.9", "dropout=0.1", "evals=6", "batch=32", "threads=1"]


def fork(work, fault: str | None = None) -> int:
    """A child that does `work()` and ends; its output goes nowhere."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        if fault:
            os.environ["OMMA_FAULT"] = fault
        sys.stdout.flush()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        if not os.environ.get("OMMA_DEBUG"):
            os.dup2(null, 2)
        work()
        code = 0
    finally:
        os._exit(code)


def train(out: Path) -> None:
    from omma.progress import Watch
    from omma.run.start import start

    start("digits", None, dict(WORDS), list(SETTINGS), None, str(out), None, None, "cpu", Watch())


def resume(out: Path) -> None:
    from omma.progress import Watch
    from omma.run import course

    if (out / "recipe.json").exists():
        course.resume(str(out), False, "cpu", Watch())
    else:  # killed before anything was written: the same command again
        train(out)


def outcome(out: Path) -> dict:
    """Everything that must be equal."""
    from omma.run.folder import RunFolder

    run = RunFolder(out)
    found = run.keep.latest()
    tensors = {f"{file}/{key}": value.numpy().tobytes() for file, group in found.tensors.items() for key, value in group.items()}
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in run.rows() if row["event"] in ("step", "eval")]
    weights = json.loads((run.bundle / "bundle.json").read_text("utf-8"))["weights"]["sha256"]
    return {"step": found.step, "tensors": tensors, "state": found.state, "rows": rows, "weights": weights}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--kills", type=int, default=20)
    words.add_argument("--seed", type=int, default=0)
    args = words.parse_args()
    import omma.report.run
    import omma.run.start  # noqa: F401

    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        start = time.monotonic()
        os.waitpid(fork(lambda: train(home / "whole")), 0)
        whole, took = outcome(home / "whole"), time.monotonic() - start
        table = []
        for trial in range(args.kills):
            out = home / f"kill-{trial}"
            inside = trial % 4 == 0 or trial % 7 == 3
            fault = f"kill@{draw.choice(['write', 'fsync', 'rename', 'any'])}:{draw.randint(1, 12)}" if inside else None
            killed = False
            while not killed:  # a run that was faster than its killer is no trial
                shutil.rmtree(out, ignore_errors=True)
                child = fork(lambda out=out: train(out), fault)
                moment = draw.uniform(0.05, 0.9) * took
                if not inside:
                    time.sleep(moment)
                    os.kill(child, signal.SIGKILL)
                _, status = os.waitpid(child, 0)
                killed = os.WIFSIGNALED(status)
                if not killed and fault:
                    fault = f"kill@any:{draw.randint(1, 12)}"
            before = len(list((out / "checkpoints").glob("step-*"))) if out.exists() else 0
            if trial % 5 == 1:  # and once more while it resumes
                child = fork(lambda out=out: resume(out))
                time.sleep(draw.uniform(0.1, 0.6) * took)
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            _, status = os.waitpid(fork(lambda out=out: resume(out)), 0)
            end = outcome(out) if os.WEXITSTATUS(status) == 0 else None
            same = end == whole
            table.append(
                {
                    "kill": trial + 1,
                    "moment": fault or f"{moment:.1f} s",
                    "inside a write": inside,
                    "killed": killed,
                    "checkpoints": before,
                    "same bits": same,
                }
            )
            print(
                f"{trial + 1}/{args.kills} {fault or f'{moment:.1f} s':20s} {'same bits' if same else 'DIFFERENT'}",
                file=sys.stderr,
                flush=True,
            )
    good = sum(row["same bits"] for row in table)
    report("kill_resume", table, same=good, of=len(table), inside=sum(row["inside a write"] for row in table))
    print(f"{good}/{len(table)} bit-identical, {sum(row['inside a write'] for row in table)} of them killed inside a checkpoint write")
    sys.exit(good != len(table))


if __name__ == "__main__":
    begin(main)

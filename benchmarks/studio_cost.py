"""What watching costs: the same training with the studio open, a browser on its Train page, and without, in pairs, taking turns.

    python benchmarks/studio_cost.py [--pairs 4] [--steps 400] [--data digits] [--train-cores 0] [--watch-cores 1]

Training is `omma train` in a process of its own; with the studio, `omma studio` and a headless chromium run beside it and are there before
the first step. Counted is from the first step that is told to the last: steps by second of the wall, and by second of the training
process's own processor time, which other people's work on the same core leaves alone. What the server and the browser themselves used is
told too: on a machine with a core to spare that is all the rest.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from _table import begin, report

from omma.metrics.bootstrap import student

TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Pairs, then the ratio of their paces with its interval."""
    say = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    say.add_argument("--pairs", type=int, default=4)
    say.add_argument("--steps", type=int, default=400)
    say.add_argument("--data", default="digits")
    say.add_argument("--size", type=int, default=32)
    say.add_argument("--train-cores", default="", help="cores of the training, such as 0 or 0,1; any when left out")
    say.add_argument("--watch-cores", default="", help="cores of the server and the browser")
    asked = say.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="omma-studio-cost-"))
    rows: list[dict[str, Any]] = []
    try:
        for pair in range(asked.pairs):
            for watched in (True, False) if pair % 2 else (False, True):
                row = once(folder, f"run-{pair}-{'watched' if watched else 'alone'}", watched, asked)
                rows.append({"pair": pair, "watched": watched, **row})
                print(json.dumps(rows[-1]), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    table: list[dict[str, Any]] = []
    for key, name in (("by_processor", "steps a second of its own processor time"), ("by_wall", "steps a second of the wall")):
        value, low, high = ratio(rows, key)
        table.append({"what": name, "with / without": value, "low": low, "high": high})
    beside = [row["beside"] / row["wall"] for row in rows if row["watched"]]
    table.append(
        {"what": "cores that server and browser used", "with / without": float(np.mean(beside)), "low": min(beside), "high": max(beside)}
    )
    report("studio_cost", table, runs=rows, pairs=asked.pairs, steps=asked.steps)


def ratio(rows: list[dict[str, Any]], key: str) -> tuple[float, float, float]:
    """With / without, the geometric mean of the pairs and its interval (Student's t on logarithms)."""
    logs = [
        math.log(next(row[key] for row in rows if row["pair"] == pair and row["watched"]))
        - math.log(next(row[key] for row in rows if row["pair"] == pair and not row["watched"]))
        for pair in sorted({row["pair"] for row in rows})
    ]
    middle = float(np.mean(logs))
    half = student(len(logs) - 1) * float(np.std(logs, ddof=1)) / math.sqrt(len(logs)) if len(logs) > 1 else math.nan
    return math.exp(middle), math.exp(middle - half), math.exp(middle + half)


def once(folder: Path, name: str, watched: bool, asked: argparse.Namespace) -> dict[str, float]:
    """One training: {"steps", "wall", "processor", "beside": seconds, "by_wall", "by_processor": steps a second}."""
    words = ["train", asked.data, "--task", "classify", "--preset", "fast", "--budget", f"{asked.steps} steps", "--seed", "0", "--device",
             "cpu", "--out", f"runs/{name}", f"size={asked.size}", "threads=1", "early_stop=0"]  # fmt: skip
    with watching(folder, name, asked) if watched else nobody() as beside:
        before = sum(map(seconds_of, beside))
        train = started(words, folder, asked.train_cores)
        first: tuple[int, float, float] | None = None
        last, after = first, before
        events, place = folder / "runs" / name / "events.jsonl", 0
        while train.poll() is None:
            time.sleep(0.1)
            spent = seconds_of(train.pid)
            if not events.is_file():
                continue
            with events.open("rb") as file:
                file.seek(place)
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            place += len(whole)
            for line in whole.splitlines():
                row = json.loads(line)
                if row["event"] == "step":
                    last = row["step"], row["seconds"], spent
                    if first is None:
                        first, before = last, sum(map(seconds_of, beside))
            if last is not None and last[0] < asked.steps:
                after = sum(map(seconds_of, beside))
        if train.returncode or first is None or last is None:
            raise SystemExit(f"training ended with {train.returncode}")
    steps, wall, processor = (b - a for a, b in zip(first, last, strict=True))
    return {"steps": steps, "wall": round(wall, 3), "processor": round(processor, 3), "beside": round(after - before, 3),
            "by_wall": steps / wall, "by_processor": steps / processor}  # fmt: skip


@contextmanager
def nobody() -> Iterator[list[int]]:
    """No studio, no browser."""
    yield []


@contextmanager
def watching(folder: Path, name: str, asked: argparse.Namespace) -> Iterator[list[int]]:
    """The studio, and a browser on the page of a run that is about to begin; the processes of both."""
    import socket

    import httpx
    from playwright.sync_api import sync_playwright

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    home = folder / "home"
    server = started(["studio", asked.data, "--port", str(port), "--no-open"], folder, asked.watch_cores)
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                httpx.get(url, timeout=5)
                break
            except httpx.TransportError:
                if server.poll() is not None:
                    raise SystemExit("the studio did not start") from None
                time.sleep(0.2)
        token = (home / "studio" / "token").read_text().strip()
        with sync_playwright() as play:
            known = set(below(os.getpid()))
            browser = play.chromium.launch(executable_path=shutil.which("chromium") or None, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page()
            page.set_default_timeout(120_000)
            page.goto(f"{url}/?token={token}")
            page.goto(f"{url}/#/1/train/{name}")
            page.wait_for_selector(".run")
            mine = [pid for pid in below(os.getpid()) if pid not in known]
            for pid in mine:
                pin(pid, asked.watch_cores)
            yield [server.pid, *mine]
            points = page.evaluate("document.querySelectorAll('.run .chart polyline').length")
            if not points:
                raise SystemExit("the page drew no curve: nothing was watched")
            browser.close()
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def started(words: list[str], folder: Path, cores: str) -> subprocess.Popen[bytes]:
    """`omma WORDS` in the folder, on these cores."""
    made = subprocess.Popen(
        [sys.executable, "-m", "omma", *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"OMMA_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    pin(made.pid, cores)
    return made


def pin(pid: int, cores: str) -> None:
    """Keep a process on some cores."""
    if cores:
        os.sched_setaffinity(pid, {int(core) for core in cores.split(",")})


def below(pid: int) -> list[int]:
    """Every process under one."""
    children = [int(word) for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split()]
    return children + [other for child in children for other in below(child)]


def seconds_of(pid: int) -> float:
    """Processor seconds a process has used; 0 once it is gone."""
    try:
        row = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(row[11]) + int(row[12])) / TICKS


if __name__ == "__main__":
    begin(main)

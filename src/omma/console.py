"""What a person sees while a verb works: bars with time left and curves on a terminal, sparse plain lines elsewhere."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Self, TextIO

from omma.progress import Watch
from omma.words import say

SPARSE = 10.0  # seconds between two plain lines about the same work
BLOCKS = "▁▂▃▄▅▆▇█"


class Console(Watch):
    """A watch that writes on stderr; stdout belongs to results.

    Args:
        quiet: say nothing (ranks other than the first).
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet, self.began = quiet, time.monotonic()
        self._lively = (
            not quiet and sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb") and "NO_PROGRESS" not in os.environ
        )
        self._progress: Any = None
        self._bars: dict[str, Any] = {}
        self._told: dict[str, tuple[float, float]] = {}  # what → (began, last told), seconds
        self._curves: dict[str, list[float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def step(self, what: str, done: float, total: float | None = None, **facts: object) -> None:
        if self.quiet:
            return
        if self._lively:
            self._bar(what, done, total, facts)
        else:
            self._plain(what, done, total, facts)

    def end(self, what: str) -> None:
        bar = self._bars.pop(what, None)
        if bar is not None and self._progress is not None:
            self._progress.remove_task(bar)
        began, last = self._told.pop(what, (0.0, 0.0))
        if last > began:  # only what was long enough to be told about
            self._write(say("cli.done", what=what, time=clock(time.monotonic() - began)))

    def say(self, line: str) -> None:
        self._write(line)

    def warn(self, line: str) -> None:
        self._write(say("cli.warning", line=line), style="yellow")

    def event(self, event: dict) -> None:
        """A validation becomes one line with the curve so far."""
        if event.get("event") != "eval" or self.quiet:
            return
        parts = []
        for key in ("loss", "score"):
            value = event.get(key)
            value = value.get("value") if isinstance(value, dict) else value
            if isinstance(value, int | float):
                curve = self._curves.setdefault(key, [])
                curve.append(float(value))
                parts.append(f"{say(f'cli.{key}')} {value:.4f} {sparks(curve)}")
        if parts:
            self._write(say("cli.eval", step=event.get("step", "?"), parts="   ".join(parts)))

    def print(self, out: TextIO, line: str) -> None:
        """A line of the result; above the bars when both share one terminal."""
        if self._progress is not None and out.isatty():
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            try:
                out.write(line + "\n")
            except UnicodeEncodeError:  # a file name that is no UTF-8
                out.write(line.encode("utf-8", "backslashreplace").decode() + "\n")

    def _write(self, line: str, style: str | None = None) -> None:
        if self.quiet:
            return
        if self._progress is not None:
            self._progress.console.print(line, markup=False, highlight=False, style=style, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def _bar(self, what: str, done: float, total: float | None, facts: dict[str, object]) -> None:
        if self._progress is None:
            from rich.console import Console as Terminal
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(24),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                TextColumn("·"),
                TimeRemainingColumn(),
            )
            self._progress = Progress(*columns, TextColumn("{task.fields[facts]}"), console=Terminal(stderr=True), transient=True)
            self._progress.start()
        if what not in self._bars:
            self._bars[what] = self._progress.add_task(what.replace("[", r"\["), total=total, completed=int(done), facts=told(facts))
        self._progress.update(self._bars[what], completed=done, total=total, facts=told(facts))

    def _plain(self, what: str, done: float, total: float | None, facts: dict[str, object]) -> None:
        now = time.monotonic()
        began, last = self._told.setdefault(what, (now, now))
        if now - last < SPARSE:
            return
        self._told[what] = (began, now)
        share = f"{done / total:.0%}" if total else f"{done:g}"
        left = say("cli.left", time=clock((now - began) * (total - done) / done)) if total and done else ""
        self._write("  ".join(part for part in (what, share, left, told(facts)) if part))


def told(facts: dict[str, object]) -> str:
    """Numbers beside a bar, short."""
    return "  ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in facts.items())


def clock(seconds: float) -> str:
    """Seconds as `7s`, `3min 20s` or `2h 05min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}min {whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h {whole % 3600 // 60:02d}min"


def sparks(values: list[float], width: int = 20) -> str:
    """A curve as a row of blocks, the last `width` values."""
    shown = [v for v in values if math.isfinite(v)][-width:]
    if len(shown) < 2:
        return ""
    low, high = min(shown), max(shown)
    return "".join(BLOCKS[round((v - low) / (high - low or 1) * (len(BLOCKS) - 1))] for v in shown)


@contextmanager
def results() -> Iterator[TextIO]:
    """The stream for results alone: whatever else is printed meanwhile, by Python or below it, goes to stderr."""
    out: TextIO = sys.stdout
    if out is not sys.__stdout__:  # a test or another program holds it
        with redirect_stdout(sys.stderr):
            yield out
        return
    out.flush()
    kept = os.dup(out.fileno())
    with os.fdopen(kept, "w", encoding="utf-8", errors="surrogateescape") as mine, redirect_stdout(sys.stderr):
        os.dup2(sys.stderr.fileno(), out.fileno())
        try:
            yield mine
        finally:
            os.dup2(kept, out.fileno())


def to_json(value: Any) -> str:
    """One line of JSON: 中文 as it is, NaN and infinity as null, NumPy's numbers as numbers."""
    line = json.dumps(plain(value), ensure_ascii=False, allow_nan=False)
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:  # a file name that is no UTF-8: escaped, so that it still opens
        line = json.dumps(plain(value), allow_nan=False)
    return line


def plain(value: Any) -> Any:
    """Only what JSON has."""
    if isinstance(value, dict):
        return {str(key): plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "json"):
        return plain(value.json())
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def line_of(value: Any) -> str:
    """A result that has no lines of its own."""
    return value if isinstance(value, str) else to_json(value)

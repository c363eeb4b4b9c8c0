"""Hostile label files: every case of tests/hostile_labels.py, each read in a child process of its own.

    python benchmarks/hostile_labels.py

Counts what must be 220 of 220 — file and record named, all that is sound kept — and what must be 0: deaths, and files that take more
than a second. A child that takes ten seconds or 4 GB is killed and counts as dead.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from _table import begin, report

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hostile_labels import CASES, MARK, make, outcome
from hostile_sound import SOUND

SECONDS, PATIENCE, MEMORY = 1.0, 10.0, 4 << 30


def child(name: str, folder: Path, ear: Connection) -> None:
    """Read one case and tell: what is amiss, seconds, and megabytes of memory it took."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    try:
        amiss = outcome(name, folder)
    except BaseException as error:
        amiss = f"raised {type(error).__name__}: {error}"[:300]
    seconds = time.perf_counter() - began
    ear.send({"amiss": amiss, "seconds": seconds, "MB": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024})


def judged(name: str, folder: Path) -> dict:
    """What became of one case; `died` where its process did not live to tell."""
    make(name, folder)
    mouth, ear = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=child, args=(name, folder, ear))
    process.start()
    ear.close()
    told = {"amiss": "died", "seconds": PATIENCE, "MB": 0.0}
    if mouth.poll(PATIENCE):
        with contextlib.suppress(EOFError):
            told = mouth.recv()
    if told["amiss"] == "died":
        process.kill()
    process.join()
    return {"case": name, "format": CASES[name].format, "died": told["amiss"] == "died" or process.exitcode != 0, **told}


def row(name: str, found: list[dict]) -> dict:
    """One line of the table."""
    slowest = max(found, key=lambda told: told["seconds"])
    return {
        "format": name,
        "files": len(found),
        "named with file and record": f"{sum(not told['amiss'] for told in found)}/{len(found)}",
        "deaths": sum(told["died"] for told in found),
        "over 1 s": sum(told["seconds"] > SECONDS for told in found),
        "slowest s": slowest["seconds"],
        "slowest": slowest["case"],
        "most MB": max(told["MB"] for told in found),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        for format in SOUND:  # what reading imports is imported before the children part from us
            SOUND[format](Path(scratch) / format)
        from omma.formats.format import open_data

        for format in SOUND:
            open_data(Path(scratch) / format, format)
        found = [judged(name, Path(scratch) / f"case{place}" / "data") for place, name in enumerate(CASES)]
        marks = len(list(Path(scratch).rglob(MARK))) + Path(MARK).exists()
    bad = [told for told in found if told["amiss"] or told["died"] or told["seconds"] > SECONDS]
    for told in bad:
        print(told)
    rows = [row(format, [told for told in found if told["format"] == format]) for format in SOUND]
    report("hostile_labels", [*rows, row("all", found)], bad=bad, programs_run=marks)
    sys.exit(bool(bad or marks))


if __name__ == "__main__":
    begin(main)

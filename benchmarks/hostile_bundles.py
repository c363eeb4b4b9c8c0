"""Hostile bundles: every attack of tests/attacks*.py against `omma.open`, with what was seen and how long it took.

    python benchmarks/hostile_bundles.py

Counts what must be 0: bundles that open, errors of another kind, code run, processes, sockets, files opened outside of the bundle.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from _table import begin, report

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import omma
from attacks import ATTACKS, MARK, Attack, Witness, warm_up
from attacks_of_pictures import OF_PICTURES, SOUND
from models_at_hand import bundle_of
from omma.errors import BundleError


def outcome(name: str, attack: Attack, sound: Path, scratch: Path) -> dict:
    """One attack: how it ended, seconds of CPU, what the witness saw."""
    folder = scratch / name[:100] / "bundle"
    shutil.copytree(sound, folder)
    attack(folder)
    witness, ended = Witness(folder), "opened"
    began = time.process_time()
    with witness:
        try:
            omma.open(folder)
        except BundleError:
            ended = "refused"
        except BaseException as error:
            ended = type(error).__name__
    return {"attack": name, "ended": ended, "seconds": time.process_time() - began, "seen": witness.seen}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        os.chdir(scratch)
        made = bundle_of()
        made.card["task"] = "classify"
        sound = made.save(scratch / "sound")
        others = {task: make().save(scratch / f"sound-{task}") for task, make in SOUND.items()}
        for folder in (sound, *others.values()):
            warm_up(folder)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = [outcome(attack, ATTACKS[attack], sound, scratch) for attack in sorted(ATTACKS)]
        found += [outcome(name, attack, others[task], scratch) for name, (task, attack) in sorted(OF_PICTURES.items())]
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        marks = len(list(scratch.rglob(MARK)))
    bad = [row for row in found if row["ended"] != "refused" or row["seen"]]
    for row in bad:
        print(row)
    slowest = max(found, key=lambda row: row["seconds"])
    row = {
        "attacks": len(found),
        "refused": sum(row["ended"] == "refused" for row in found),
        "run or touched": sum(bool(row["seen"]) for row in found) + marks,
        "slowest CPU s": slowest["seconds"],
        "slowest": slowest["attack"],
        "memory grown MB": grown,
    }
    report("hostile_bundles", [row], bad=[{**row, "seen": [list(map(str, event)) for event in row["seen"]]} for row in bad])
    sys.exit(bool(bad))


if __name__ == "__main__":
    begin(main)

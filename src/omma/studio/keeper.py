"""Keeps one job: starts the command, passes signals on, writes down how it ended; nobody needs to watch it.

python -m omma.studio.keeper FOLDER

`FOLDER/wish.json` says what to do. The keeper holds a lock while it lives, so that whoever looks later, a restarted server too, knows
whether the job is at work without trusting a process number.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

WISH, LINES, LOG, RESULT, DONE, LOCK = "wish.json", "lines.txt", "log.txt", "result.json", "done.json", "lock"


def keep(folder: Path) -> int:
    """Run the command of `wish.json` to its end: {"words": after `omma`, "language", "cwd"}; it reads `lines.txt`, where there is one."""
    lock = (folder / LOCK).open("a+")
    for _ in range(40):  # whoever looks whether we are at work holds it for a moment
        if locked := _locked(lock):
            break
        time.sleep(0.05)
    if not locked:
        lock.close()
        return 0  # another keeper has it
    wish = json.loads((folder / WISH).read_text("utf-8"))
    lines = folder / LINES if (folder / LINES).is_file() else Path(os.devnull)
    with (folder / LOG).open("ab") as log, (folder / RESULT).open("wb") as result, lines.open("rb") as told:
        child = start(wish, told, result, log)

        def pass_on(number: int, frame: Any) -> None:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, pass_on)
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        code = child.wait()
    partial = folder / f"{DONE}.partial"
    partial.write_text(json.dumps({"code": code, "ended": time.time()}), "utf-8")
    partial.replace(folder / DONE)
    lock.close()
    return 0


def start(wish: dict[str, Any], told: Any, result: Any, log: Any) -> subprocess.Popen[bytes]:
    """The command of a wish, with the files it reads and writes."""
    env = os.environ | {"OMMA_LANG": wish["language"], "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen([sys.executable, "-m", "omma", *wish["words"]], stdin=told, stdout=result, stderr=log, cwd=wish["cwd"], env=env)


def _locked(file: Any) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: the file itself cannot be opened twice for writing there
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def alive(folder: Path) -> int | None:
    """The process number of the keeper at work in this folder; None where nobody is."""
    try:
        with (folder / LOCK).open("r+") as file:
            try:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except ImportError:  # Windows: whoever wrote no ending is at work
                return None if (folder / DONE).exists() else _number(file)
            except OSError:
                return _number(file)
            return None
    except OSError:
        return None


def _number(file: Any) -> int:
    file.seek(0)
    text = file.read().strip()
    return int(text) if text.isdecimal() else 0


if __name__ == "__main__":
    sys.exit(keep(Path(sys.argv[1])))

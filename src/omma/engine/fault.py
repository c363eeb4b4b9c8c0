"""Faults on purpose: `OMMA_FAULT=kill@POINT:N` ends this process at the N-th call of a point; inert without it.

Points are the system calls of the checkpoint writer (`write fsync rename remove`, or `any` of them), so that tests reach
every line of recovery.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

_calls: Counter[str] = Counter()


def fault(point: str) -> None:
    """Called right before system call `point`."""
    plan = os.environ.get("OMMA_FAULT")
    if not plan:
        return
    what, _, where = plan.partition("@")
    name, _, count = where.partition(":")
    _calls[point] += 1
    _calls["any"] += 1
    if name in (point, "any") and _calls[name] == int(count or 1):
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(28, "No space left on device (on purpose)")

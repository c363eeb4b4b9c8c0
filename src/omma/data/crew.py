"""Many pictures at once: decoders let other threads run, so threads are enough."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

AHEAD = 32  # results waiting per thread: what is decoded but not yet used stays small


def threads() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(work: Callable[[A], B], things: Iterable[A], count: int | None = None) -> Iterator[B]:
    """`work(thing)` of every thing, in order, a bounded number of them ahead.

    Args:
        work: called in a thread; its exception is raised where its result would have come.
        things: what to work on; read as needed.
        count: threads; default one a core.
    """
    count = count or threads()
    pending: deque[Future[B]] = deque()
    pool = ThreadPoolExecutor(count)
    try:
        for thing in things:
            pending.append(pool.submit(work, thing))
            if len(pending) >= count * AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

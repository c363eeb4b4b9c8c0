"""Pictures of many askers computed together: one compute thread, a queue with an end, and nobody computed for in vain."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# Frames (N, S, S, C) uint8 → one answer for each.
Compute = Callable[[np.ndarray], Sequence[Any]]


class Full(Exception):
    """The queue has no place left; `wait` seconds from now it may."""

    def __init__(self, wait: int) -> None:
        super().__init__(f"full for about {wait} s")
        self.wait = wait


class Expired(Exception):
    """The deadline passed while waiting; nothing was computed."""


@dataclass(slots=True)
class Job:
    """One framed picture that waits for its answer."""

    frame: np.ndarray
    deadline: float  # of time.monotonic()
    future: Future = field(default_factory=Future)


class Batcher:
    """Takes whatever waits, up to `most` pictures, and computes it at once: alone a picture never waits for company.

    Args:
        compute: called in the one compute thread only.
        most: pictures in a batch.
        limit: pictures that may wait.
    """

    def __init__(self, compute: Compute, *, most: int = 16, limit: int = 64) -> None:
        self._compute, self.most, self.limit = compute, most, limit
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self.batches: dict[int, int] = {}
        self.computed = self.skipped = 0
        self.busy_seconds = 0.0
        self._each = 0.0  # seconds a picture takes of late
        self._thread = threading.Thread(target=self._work, name="omma-compute", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def rate(self) -> float:
        """Pictures a second while computing, of late; 0 before the first."""
        return 1 / self._each if self._each else 0.0

    def wait(self) -> int:
        """Whole seconds until a full queue is empty again, at least 1: what Retry-After says."""
        rate = self.rate()
        return min(60, max(1, math.ceil(self.limit / rate))) if rate else 1

    def submit(self, frame: np.ndarray, deadline: float) -> Future:
        """Queue one frame (S, S, C); the future gives its answer, `Expired`, or what `compute` raised. Cancelling it leaves the queue.

        Raises:
            Full: at once.
        """
        job = Job(frame, deadline)
        with self._changed:
            if self._closing or len(self._waiting) >= self.limit:
                # Those who left still hold a place: see whether there are any before sending somebody away.
                self._waiting = deque(waiting for waiting in self._waiting if not waiting.future.cancelled())
                if self._closing or len(self._waiting) >= self.limit:
                    raise Full(self.wait())
            self._waiting.append(job)
            self._changed.notify()
        return job.future

    def close(self, seconds: float = 3.0) -> None:
        """Answer what waits, then stop."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(seconds)

    def _take(self) -> list[Job] | None:
        """The next batch of jobs somebody still wants; None when closed and empty."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            if not self._waiting:
                return None
            taken: list[Job] = []
            while self._waiting and len(taken) < self.most:
                if taken and self._waiting[0].frame.shape != taken[0].frame.shape:
                    break  # pictures at their own size: only those of one size can be computed at once
                job = self._waiting.popleft()
                if not job.future.set_running_or_notify_cancel():
                    self.skipped += 1
                elif time.monotonic() > job.deadline:
                    self.skipped += 1
                    job.future.set_exception(Expired())
                else:
                    taken.append(job)
            return taken

    def _work(self) -> None:
        while (jobs := self._take()) is not None:
            if not jobs:
                continue
            began = time.monotonic()
            try:
                answers = self._compute(np.stack([job.frame for job in jobs]))
                assert len(answers) == len(jobs)
            except BaseException as error:
                for job in jobs:
                    job.future.set_exception(error)
                continue
            took = time.monotonic() - began
            self.busy_seconds += took
            self._each = took / len(jobs) if not self._each else 0.8 * self._each + 0.2 * took / len(jobs)
            self.computed += len(jobs)
            self.batches[len(jobs)] = self.batches.get(len(jobs), 0) + 1
            for job, answer in zip(jobs, answers, strict=True):
                job.future.set_result(answer)

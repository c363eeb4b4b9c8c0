"""What the service counts, in Prometheus' text format."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omma.serving.desk import Desk

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Meter:
    """Requests by status, and how long they took."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0
        self.refused: dict[int, int] = {}  # the guard's own count, by status

    def count(self, status: int, seconds: float) -> None:
        """One request was answered."""
        self.statuses[status] += 1
        self.seconds += seconds
        self.buckets[next((i for i, edge in enumerate(BUCKETS) if seconds <= edge), len(BUCKETS))] += 1

    def fault(self, error: Exception) -> None:
        """Our own mistake: its kind on stderr, nothing a caller chose."""
        print(f"omma serve: {type(error).__name__}", file=sys.stderr, flush=True)

    def text(self, desk: Desk) -> str:
        """Everything, one line each."""
        queue, lines = desk.batcher, []

        def row(name: str, kind: str, help: str, *values: tuple[str, float]) -> None:
            lines.extend([f"# HELP omma_{name} {help}", f"# TYPE omma_{name} {kind}"])
            lines.extend(f"omma_{name}{labels} {value:g}" for labels, value in values)

        row(
            "requests_total",
            "counter",
            "pictures asked about, by status",
            *((f'{{status="{s}"}}', n) for s, n in sorted(self.statuses.items())),
        )
        row(
            "refused_total",
            "counter",
            "requests turned away at the door",
            *((f'{{status="{s}"}}', n) for s, n in sorted(self.refused.items())),
        )
        total, rows = 0, []
        for edge, n in zip((*map(str, BUCKETS), "+Inf"), self.buckets, strict=True):
            total += n
            rows.append((f'_bucket{{le="{edge}"}}', float(total)))
        row(
            "request_seconds", "histogram", "from the body's arrival to the answer", *rows, ("_sum", self.seconds), ("_count", float(total))
        )
        row("inside", "gauge", "requests being worked on", ("", desk.inside))
        row("queue", "gauge", "framed pictures that wait", ("", queue.waiting))
        row("pictures_total", "counter", "pictures computed", ("", queue.computed))
        row("skipped_total", "counter", "pictures nobody waited for any more, not computed", ("", queue.skipped))
        row("compute_seconds_total", "counter", "time spent computing", ("", queue.busy_seconds))
        row("batches_total", "counter", "batches computed, by size", *((f'{{size="{s}"}}', n) for s, n in sorted(queue.batches.items())))
        return "\n".join(lines) + "\n"

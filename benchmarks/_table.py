"""What every benchmark script does: begin, and at its end print a table and write JSON."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omma.errors import OmmaError


def begin(main: Callable[[], None]) -> None:
    """Run a script; what a person can mend is told in one line, with the exit code of the command line."""
    try:
        main()
    except OmmaError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.code) from None


def machine() -> dict[str, Any]:
    """The machine a number was measured on."""
    import os

    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?"
    )
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "python": platform.python_version()}


def report(name: str, rows: list[dict[str, Any]], **facts: Any) -> None:
    """Print `rows` as a table and write them to benchmarks/out/NAME.json."""
    out = Path(__file__).parent / "out"
    out.mkdir(exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps({"rows": rows, "machine": machine(), **facts}, indent=1, ensure_ascii=False), "utf-8")
    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_cell(row.get(key, "")) for key in keys] for row in rows]
    widths = [max(len(key), *(len(row[i]) for row in cells)) for i, key in enumerate(keys)]
    print("  ".join(key.ljust(w) for key, w in zip(keys, widths, strict=True)))
    for row in cells:
        print("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)))


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

"""Look through a dataset before learning from it: unreadable files, copies, leaks, labels, balance."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from omma.progress import Watch

if TYPE_CHECKING:
    from omma.checks.findings import Findings


def check(
    data: str, *, fix: bool = False, target: str | None = None, format: str | None = None, out: str | None = None, watch: Watch = Watch()
) -> Findings:
    """Look at every picture and label once and say what is wrong, with file names and what to do; originals are never touched.

    Args:
        data: a path or a source's name.
        fix: also write clean.csv, a list without what is faulty, to learn from.
        target: pictures a model is to adapt to (train target=…), looked at too; their labels are not.
        format: how the data lies on disk; sniffed when left out.
        out: folder for report.html, findings.json and clean.csv; default check-NAME.

    Raises:
        OmmaError: no such path or source.
        DataError: nothing there that could be a dataset.
    """
    from omma.checks.findings import inspect, write_clean
    from omma.data.beside import unlabelled
    from omma.formats.format import open_data
    from omma.report.dataset import dataset_page

    dataset = open_data(data, format, watch)
    found = inspect(dataset, data, watch)
    found.notes += dataset.notes
    if target is not None:
        found.target = inspect(unlabelled(open_data(target, None, watch)), target, watch, labels=False)
    folder = Path(out) if out else Path(f"check-{_name(data)}")
    folder.mkdir(parents=True, exist_ok=True)
    if fix:
        write_clean(found, folder / "clean.csv")
    found.report = folder / "report.html"
    _write(found.report, dataset_page(found).html())
    if found.target is not None:
        found.target.report = folder / "target.html"
        _write(found.target.report, dataset_page(found.target).html())
    _write(folder / "findings.json", json.dumps(found.json(), ensure_ascii=False, indent=1))
    return found


def _name(data: str) -> str:
    """The last part of a path, or a source's name, as part of a folder's name."""
    if not Path(data).expanduser().exists():  # `table.csv:column,column` is named after the table
        left, colon, _ = data.rpartition(":")
        data = left if colon and Path(left).expanduser().exists() else data
    stem = Path(data).expanduser().resolve().name if Path(data).expanduser().exists() else data
    return re.sub(r"[^\w.-]+", "-", stem.removesuffix(Path(stem).suffix) or stem).strip("-.") or "data"


def _write(path: Path, text: str) -> None:
    """All of it or nothing; names that are no Unicode stay readable."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, "utf-8", errors="backslashreplace")
    part.replace(path)

"""What a model answered (`omma predict --out FOLDER`), as labels to begin with: correcting is faster than labelling.

A row that says what cannot be read, a frame of a clip, and an answer the model is unsure of are no labels: they are counted or left open.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from omma.answers import _rle
from omma.answers.answer import Answer
from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.answers.mask import VOID, Mask
from omma.answers.numbers import Numbers
from omma.data.decode import decode
from omma.data.recast import TASK
from omma.data.sample import Dataset, Refused, Sample
from omma.errors import DataError
from omma.formats._objects import Objects, size_of
from omma.progress import Watch
from omma.words import say

JOURNAL, ABOUT = "predictions.jsonl", "predictions.about.json"
MOST = 512 << 20  # bytes of a journal

Row = dict[str, Any]
Reader = Callable[["_Journal", Row, Path, str], Answer | None]


def sniff(path: Path) -> float:
    """0.95 for a folder of predictions, or its journal."""
    folder = path if path.is_dir() else path.parent
    return 0.95 if (path.is_dir() or path.name == JOURNAL) and (folder / JOURNAL).is_file() and (folder / ABOUT).is_file() else 0.0


def read(path: Path, watch: Watch | None = None) -> Dataset:
    """One sample for each picture that was answered; only what the model showed is a label.

    Raises:
        DataError: no journal, or nothing in it that can be used.
    """
    watch, path = watch or Watch(), Path(path)
    journal = _Journal(path if path.is_dir() else path.parent)
    for number, line in enumerate(watch.each(say("formats.reading", name=path.name), journal.lines()), 1):
        journal.take(f"{JOURNAL}:{number}", line)
    return journal.dataset(path)


class _Journal:
    """Rows on their way to samples."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: dict[Path, tuple[Answer | None, str]] = {}
        self.names: dict[str, None] = {}
        self.refused: list[Refused] = []
        self.frames = self.unsure = 0
        self.kind: str | None = None
        self.outlined = False

    def lines(self) -> list[str]:
        try:
            if (self.folder / JOURNAL).stat().st_size > MOST:
                raise DataError(say("formats.too_large", size=MOST >> 20), self.folder / JOURNAL)
            lines = (self.folder / JOURNAL).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(say("objects.malformed", reason=str(error)), self.folder / JOURNAL) from None
        self.outlined = any('"rle":' in line for line in lines)  # a picture without objects does not say which kind they would be
        return lines

    def take(self, record: str, line: str) -> None:
        """One row; what is no label is named."""
        try:
            row = json.loads(line)
            if "frame" in row:
                self.frames += 1
            elif "error" in row:
                self.refused.append(Refused(record, str(row["error"])))
            else:
                self._answered(record, row)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, DataError) as error:
            reason = error.what if isinstance(error, DataError) else str(error) or type(error).__name__
            self.refused.append(Refused(record, say("objects.malformed", reason=reason[:200])))

    def _answered(self, record: str, row: Row) -> None:
        picture = Path(row["path"])
        picture = Path(os.path.abspath(picture if picture.exists() else self.folder.parent / picture))
        key = next((key for key in READERS if key in row), None)
        if key is None or not picture.is_file():
            raise ValueError(say("objects.missing", path=str(row["path"])) if key else "boxes, mask, label, labels, numbers?")
        if picture in self.found:
            raise ValueError(say("objects.named_twice", path=str(picture), record=self.found[picture][1]))
        truth = READERS[key](self, row, picture, record)
        if truth is not None and self.kind not in (None, truth.kind):
            raise ValueError(f"{self.kind} / {truth.kind}")
        self.kind = truth.kind if truth is not None else self.kind
        self.found[picture] = truth, record

    def dataset(self, path: Path) -> Dataset:
        if not self.found:
            raise DataError(say("formats.predictions_none", rows=len(self.refused) + self.frames), path)
        base = os.path.commonpath([picture.parent for picture in self.found])
        samples = [
            Sample(Path(os.path.relpath(picture, base)).as_posix(), picture, truth=truth, record=record)
            for picture, (truth, record) in self.found.items()
        ]
        made = Dataset(sorted(samples, key=lambda one: one.id), list(self.names), TASK.get(self.kind or ""), path, "predictions")
        made.refused = self.refused
        made.notes.append(say("formats.predictions_note", count=len(samples)))
        if self.unsure:
            made.notes.append(say("formats.predictions_unsure", count=self.unsure))
        if self.frames:
            made.notes.append(say("formats.predictions_frames", count=self.frames))
        return made

    def called(self, *names: str) -> None:
        self.names |= dict.fromkeys(names)

    def boxes(self, row: Row, picture: Path, record: str) -> Answer:
        """Objects, with their outlines where the model gives any."""
        width, height = size_of(picture, (int(row["width"]), int(row["height"])))
        objects = Objects(width, height, self.refused)
        for place, one in enumerate(row["boxes"]):
            where, label = f"{record}: boxes[{place}]", str(one["label"])
            counts = None
            if self.outlined:
                counts = str(one["rle"]["counts"])
                _rle.area(counts, height, width)  # names what is no mask of this picture
            if objects.add(where, label, one["box"], counts=counts):
                self.called(label)
        return objects.answer(masks=self.outlined)

    def mask(self, row: Row, picture: Path, record: str) -> Answer:
        file = Path(row["mask"])
        file = file if file.is_file() else self.folder / file.name
        names = [str(row["classes"][str(place)]) for place in range(len(row["classes"]))]
        pixels = decode(file)
        pixels = pixels[:, :, 0] if pixels.ndim == 3 else pixels
        size_of(picture, (pixels.shape[1], pixels.shape[0]))
        odd = pixels[(pixels >= len(names)) & (pixels != VOID)]
        if pixels.dtype != np.uint8 or len(odd):
            raise ValueError(say("objects.mask_value", value=odd[0] if len(odd) else pixels.dtype, count=len(names)))
        self.called(*names)
        return Mask.of(np.ascontiguousarray(pixels), names)

    def label(self, row: Row, picture: Path, record: str) -> Answer | None:
        self.called(*row.get("probabilities", [row["label"]]))
        if row.get("unsure"):
            self.unsure += 1
            return None
        return Label(str(row["label"]))

    def labels(self, row: Row, picture: Path, record: str) -> Answer:
        self.called(*row.get("probabilities", ()))
        return Labels(tuple(str(one["label"]) for one in row["labels"]))

    def numbers(self, row: Row, picture: Path, record: str) -> Answer:
        self.called(*row["numbers"])
        return Numbers({name: float(value) for name, value in row["numbers"].items()})


READERS: dict[str, Reader] = {
    "boxes": _Journal.boxes, "mask": _Journal.mask, "label": _Journal.label, "labels": _Journal.labels, "numbers": _Journal.numbers,
}  # fmt: skip

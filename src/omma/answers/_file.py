"""What a model said of the pictures it was scored on, kept beside the report, so that numbers can be taken apart later."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omma.answers._whole import from_whole, whole
from omma.answers.answer import Answer
from omma.errors import DataError, DiskError
from omma.words import say

FILE = "answers.jsonl"
MOST = 256 << 20  # bytes; answers that take more are asked for again where they are wanted


@dataclass(slots=True)
class Kept:
    """Answers and truths of N pictures, in one order.

    Args:
        split: the part of the data they are.
        ids: of the pictures.
        predictions, truths: as metrics take them.
    """

    split: str
    ids: list[str]
    predictions: list[Answer]
    truths: list[Answer]


def keep(folder: Path, kept: Kept, kind: type[Answer], names: list[str]) -> Path | None:
    """FOLDER/answers.jsonl: a row about all, then a row a picture; None where such answers are no plain values, or too large.

    Args:
        kept: what was said and what is true.
        kind: of answer, all of them.
        names: of the task; told once.

    Raises:
        DiskError: it cannot be written.
    """
    path = folder / FILE
    partial = path.with_name(f"{FILE}.partial")
    whole_ones = True
    try:
        path.unlink(missing_ok=True)
        with partial.open("w", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind.kind, "split": kept.split, "names": names}) + "\n")
            for name, said, true in zip(kept.ids, kept.predictions, kept.truths, strict=True):
                sides = [_row(one, names) if type(one) is kind else None for one in (said, true)]
                whole_ones = None not in sides and file.tell() < MOST
                if not whole_ones:
                    break
                file.write(json.dumps({"id": name, "said": sides[0], "true": sides[1]}) + "\n")
        if not whole_ones:
            partial.unlink()
            return None
        partial.replace(path)
        return path
    except OSError as error:
        raise DiskError(say("train.disk", reason=error.strerror or error), folder, say("train.disk_fix")) from None


def _row(answer: Answer, names: list[str]) -> dict[str, Any] | None:
    row = whole(answer)
    if row is not None and row.get("classes") == names:
        del row["classes"]  # the same for all: told once
    return row


def _answer(kind: type[Answer], row: dict[str, Any], names: list[str]) -> Answer:
    return from_whole(
        kind, row if "classes" in row or "classes" not in getattr(kind, "__dataclass_fields__", ()) else row | {"classes": names}
    )


def read(path: Path, kind: type[Answer]) -> Kept:
    """What `keep` wrote.

    Raises:
        DataError: it is torn, or of another kind of answer.
    """
    try:
        with path.open(encoding="utf-8") as file:
            about = json.loads(next(file))
            if about["kind"] != kind.kind:
                raise ValueError(about["kind"])
            found, names = Kept(str(about["split"]), [], [], []), [str(name) for name in about["names"]]
            for line in file:
                row = json.loads(line)
                found.ids.append(str(row["id"]))
                found.predictions.append(_answer(kind, row["said"], names))
                found.truths.append(_answer(kind, row["true"], names))
    except OSError as error:
        raise DataError(error.strerror or type(error).__name__, path) from None
    except (StopIteration, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(say("objects.malformed", reason=str(error)[:200]), path) from None
    return found

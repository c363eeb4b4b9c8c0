"""Where answers go: a journal that an interrupted run goes on from, a table, sorted folders, drawn pictures."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any, TextIO

from omma.errors import DiskError, NotMeaningful, OmmaError
from omma.words import say

if TYPE_CHECKING:
    import numpy as np

JOURNAL, TABLE, ABOUT = "predictions.jsonl", "predictions.csv", "predictions.about.json"
NONE = "_none"  # the folder of pictures on which nothing was found
UNREADABLE = "_unreadable"


class Folder:
    """An output folder: everything in it was written by omma, so nothing of a person's is ever written over.

    Args:
        out: the folder; new, empty, or one of earlier predictions.
        question: what was asked — model, operating point, form; other answers may not be mixed with these.

    Attributes:
        known: rows of an interrupted run by what they are about, see `key_of`.
        clips: clips that were answered to their end, and what is told of each, see `note_clip`.

    Raises:
        OmmaError: the folder holds something else, or answers to another question.
        DiskError: it cannot be made.
    """

    def __init__(self, out: Path, question: dict[str, Any]) -> None:
        self.out, self.question = out, question
        self._journal: TextIO | None = None
        about = self._about()
        if about is None and out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise OmmaError(say("predict.not_ours"), out, say("predict.not_ours_fix"))
        if about is not None and about.get("question") != question:
            raise OmmaError(say("predict.other_question"), out, say("predict.not_ours_fix"))
        try:
            out.mkdir(parents=True, exist_ok=True)
            # A finished folder is answered anew, an interrupted one goes on.
            self.known = {} if about is None or about.get("finished") else self._read()
            self.clips = dict(about.get("clips", {})) if about is not None and self.known else {}
            if not self.known:
                (out / JOURNAL).write_text("", "utf-8")
            self._write_about(False)
        except OSError as error:
            raise _disk(error, out) from None

    def _about(self) -> dict[str, Any] | None:
        try:
            about = json.loads((self.out / ABOUT).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return about if isinstance(about, dict) else None

    def _write_about(self, finished: bool) -> None:
        partial = self.out / f".{ABOUT}"
        about = {"question": self.question, "finished": finished} | ({"clips": self.clips} if self.clips else {})
        partial.write_text(json.dumps(about, ensure_ascii=False), "utf-8", "backslashreplace")
        partial.replace(self.out / ABOUT)

    def _read(self) -> dict[str, dict[str, Any]]:
        """What was answered before, by `key_of`; a last line that was cut off is removed."""
        path, rows, sound = self.out / JOURNAL, {}, 0
        blob = path.read_bytes() if path.exists() else b""
        for line in blob.splitlines(keepends=True):
            try:
                row = json.loads(line)
                if not line.endswith(b"\n"):
                    break
                rows[key_of(row)], sound = row, sound + len(line)
            except (ValueError, KeyError, TypeError):
                break
        if sound < len(blob):
            os.truncate(path, sound)
        return rows

    def forget(self) -> None:
        """Start again: what was answered before does not count."""
        self.keep({})

    def keep(self, rows: dict[str, dict[str, Any]]) -> None:
        """Of the rows of an interrupted run these; the journal is the old or the new one, whatever happens meanwhile."""
        partial = self.out / f".{JOURNAL}"
        try:
            with partial.open("w", encoding="utf-8", errors="backslashreplace") as file:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows.values())
            partial.replace(self.out / JOURNAL)
        except OSError as error:
            raise _disk(error, self.out) from None
        self.known = rows

    def note(self, row: dict[str, Any]) -> None:
        """Add a row to the journal; it is on its way to the disk when this returns."""
        try:
            if self._journal is None:
                self._journal = (self.out / JOURNAL).open("a", encoding="utf-8", errors="backslashreplace")
            self._journal.write(json.dumps(row, ensure_ascii=False) + "\n")
            self._journal.flush()
        except OSError as error:
            raise _disk(error, self.out) from None

    def note_clip(self, name: str, about: dict[str, Any]) -> None:
        """A clip was answered to its end: `rows` of it in the journal, how long a frame took, the clip `drawn`."""
        self.clips[name] = about
        try:
            self._write_about(False)
        except OSError as error:
            raise _disk(error, self.out) from None

    def close(self, finished: bool) -> None:
        """Everything is answered, or the rest is left for another time."""
        if self._journal is not None:
            self._journal.close()
        if finished:
            self._write_about(True)


def key_of(row: dict[str, Any]) -> str:
    """What a row is about: a picture by its path, a frame of a clip by its place too."""
    return f"{row['path']}\0{row['frame']}" if "frame" in row else row["path"]


def question_of(bundle: Any, point: dict[str, Any], as_: str, nearest: int | None, embed: bool) -> dict[str, Any]:
    """What decides the answers beside the pictures."""
    settled = json.dumps(point, sort_keys=True)
    return {
        "weights": bundle.digest, "point": hashlib.sha256(settled.encode()).hexdigest(), "as": as_, "nearest": nearest, "embed": embed,
    }  # fmt: skip


class Table:
    """`predictions.csv`: one row a picture, the same columns in every row."""

    def __init__(self, out: Path, sample: dict[str, Any]) -> None:
        self._file = (out / TABLE).open("w", encoding="utf-8-sig", errors="backslashreplace", newline="")
        columns = [key for key in flat(sample) if key != "unsure"]
        self._rows = csv.DictWriter(self._file, ["path", *columns, "unsure", "nearest", "error"], restval="", extrasaction="ignore")
        self._rows.writeheader()

    def write(self, row: dict[str, Any]) -> None:
        self._rows.writerow(flat(row))

    def close(self) -> None:
        self._file.close()


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """An answer's JSON as columns: `probabilities.cat`; several labels joined with `;`."""
    columns: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            columns |= {f"{key}.{name}": inner for name, inner in value.items()}
        elif isinstance(value, list):
            columns[key] = ";".join(str(one.get("id", one.get("label"))) for one in value)
        else:
            columns[key] = value
    return columns


def folders_of(row: dict[str, Any]) -> list[str]:
    """The folders a picture is sorted into, see `sortable`."""
    if "error" in row:
        return [UNREADABLE]
    return ([safe(one["label"]) for one in row["labels"]] or [NONE]) if "labels" in row else [safe(row["label"])]


def sortable(kind: str) -> None:
    """Refuse what names no folder.

    Raises:
        NotMeaningful: the answers are of another kind than classes.
    """
    if kind not in ("label", "labels"):
        raise NotMeaningful(say("predict.nothing_to_sort_by", kind=say(f"convert.kind.{kind}")))


def safe(name: str) -> str:
    """A class name as a folder's name on every system."""
    kept = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", name).strip(". ")
    return kept[:100] if kept and kept not in (NONE, UNREADABLE) else f"_{kept}"


def sort_into(out: Path, row: dict[str, Any], below: str) -> None:
    """Copy a picture into the folder of each of its labels; the original is not touched."""
    if not below:
        return
    for name in folders_of(row):
        _put(out / name / below, lambda place: shutil.copyfile(row["path"], place))


def draw_into(out: Path, path: str, answer: Any, below: str, channels: int = 3) -> None:
    """Write the picture with its answer on it as `<name>.jpg`, the whole old name before it, so that no two are the same.

    Args:
        channels: that the network reads; of a clip that it reads as a whole, the frame in the middle is drawn on.
    """
    from omma.data.decode import to_rgb8
    from omma.data.moving.sampled import as_read, moments, poster

    picture = as_read(Path(path), channels)
    frames = moments(channels) if picture.shape[2] == channels else 1
    keep_drawn(out, answer.draw(to_rgb8(poster(picture, frames))), below)


def keep_drawn(out: Path, drawn: np.ndarray, below: str) -> None:
    """Write a drawn picture, (H, W, 3) uint8."""
    from PIL import Image

    _put(out / f"{below}.jpg", lambda place: Image.fromarray(drawn).save(place, "JPEG", quality=92))


def _put(place: Path, write: Any) -> None:
    """A file, whole or not at all."""
    partial = place.with_name(f".omma-{os.getpid()}-{get_ident()}.partial")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        partial.replace(place)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise _disk(error, place) from None


def _disk(error: OSError, where: Path) -> DiskError:
    return DiskError(say("predict.not_written", reason=error.strerror or error), where)

"""A run folder: what was asked, what was decided, what happened."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from omma.data.sample import Dataset
from omma.engine.checkpoint import Checkpoints
from omma.errors import DataError, DiskError, OmmaError
from omma.recipe import Recipe
from omma.words import say


@dataclass
class Facts:
    """What a resumed run must find unchanged, and where its data lies.

    Args:
        where, format: as given to `open_data`.
        data, split: digests of the dataset and of its parts.
        total: steps, once minutes were turned into them.
        notes: what a reader of the scores must know.
        surgery: the pruning plan of the model gone on from.
        views, origin: how pictures enter, and which weights it started from.
        target: digest of the pictures it adapts to; "" = it adapts to none.
    """

    where: str
    format: str | None
    data: str
    names: list[str]
    threads: int
    world: int
    total: int
    fingerprint: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)
    start_from: str | None = None
    how_split: str = ""
    notes: list[str] = field(default_factory=list)
    surgery: dict[str, Any] = field(default_factory=dict)
    views: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
    target: str = ""


class RunFolder:
    """Paths and files of one run.

    Args:
        path: the folder; `create` makes it, `open` expects it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events, self.split = path / "events.jsonl", path / "split.csv"
        self._log: Any = None
        self._lock: Any = None

    @property
    def keep(self) -> Checkpoints:
        return Checkpoints(self.path / "checkpoints")

    @property
    def bundle(self) -> Path:
        return self.path / "bundle"

    @classmethod
    def create(cls, out: str | None, name: str) -> Self:
        """A new folder: `out`, or the next free `runs/NAME-N`.

        Raises:
            OmmaError: `out` holds a run already.
            DiskError: it cannot be made.
        """
        if out is not None and (Path(out) / "recipe.json").exists():
            raise OmmaError(say("train.exists"), out, say("train.exists_fix", run=out))
        try:
            if out is not None:
                path = Path(out)
                path.mkdir(parents=True, exist_ok=True)
            else:
                number = 1
                while (path := Path("runs") / f"{name}-{number}").exists():
                    number += 1
                path.mkdir(parents=True)
        except OSError as error:
            raise DiskError(say("train.no_folder", reason=error.strerror or error), out or "runs") from None
        return cls(path)

    @classmethod
    def open(cls, path: str) -> Self:
        """An existing run.

        Raises:
            OmmaError: not a run folder.
        """
        if not (Path(path) / "recipe.json").is_file():
            raise OmmaError(say("train.not_a_run"), path, say("train.not_a_run_fix"))
        return cls(Path(path))

    @contextmanager
    def or_nothing(self) -> Iterator[None]:
        """A run that is refused before anything was written leaves no folder behind."""
        try:
            yield
        except BaseException:
            # Only what a run itself makes: in a folder that was there before, others' empty folders are theirs.
            for folder in (*self.path.glob("folds/*"), self.path / "folds", self.path):
                with suppress(OSError):
                    folder.rmdir()
            raise

    def lock(self) -> None:
        """Only one trainer in a folder; the lock goes with the process, however that ends.

        Raises:
            OmmaError: another process trains here.
        """
        self._lock = (self.path / "lock").open("a+")
        try:
            import fcntl

            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # Windows
            return
        except OSError:
            self._lock.seek(0)
            pid = self._lock.read().strip() or "?"
            self.close()
            raise OmmaError(say("train.locked", pid=pid), self.path) from None
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    def write(self, recipe: Recipe, facts: Facts, dataset: Dataset) -> None:
        """Recipe, facts and split, all before step 1."""
        write_text(self.path / "recipe.toml", recipe.toml())
        write_text(self.path / "recipe.json", json.dumps({"recipe": recipe.json(), "facts": asdict(facts)}, ensure_ascii=False, indent=1))
        with self.split.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["id", "split", "group"])
            rows.writerows([s.id, s.split, s.group or ""] for s in dataset.samples)

    def read(self) -> tuple[Recipe, Facts]:
        """What `write` wrote."""
        data = json.loads((self.path / "recipe.json").read_text("utf-8"))
        return Recipe.from_json(data["recipe"]), Facts(**data["facts"])

    def splits(self) -> dict[str, str]:
        """id → split as this run used it."""
        with self.split.open(encoding="utf-8", newline="") as file:
            return {row["id"]: row["split"] for row in csv.DictReader(file)}

    def put_split(self, dataset: Dataset) -> Dataset:
        """The labelled pictures of a freshly read dataset, in the parts this run used.

        Raises:
            DataError: a picture is new or gone; nothing was changed.
        """
        parts, known = self.splits(), dataset.labelled()
        ids = {sample.id for sample in known.samples}
        if ids != parts.keys():
            odd = sorted(ids ^ parts.keys())
            shown = ", ".join(odd[:5]) + (" …" if len(odd) > 5 else "")
            raise DataError(say("train.data_changed", count=len(odd), files=shown), dataset.root)
        for sample in known.samples:
            sample.split = parts[sample.id]
        return known

    def log(self, event: dict[str, Any]) -> None:
        """One row of the event stream, on disk before the next step."""
        if self._log is None:
            self._log = self.events.open("a", encoding="utf-8")
        self._log.write(json.dumps(event, ensure_ascii=False) + "\n")
        self._log.flush()

    def show(self, step: int, pictures: Sequence[np.ndarray]) -> None:
        """Pictures as they were at a step, each in a row of its own, as `samples/step-000123.png`; nothing where there are none."""
        from PIL import Image

        if not pictures:
            return
        wide = max(one.shape[1] for one in pictures)
        rows = [np.pad(one, ((0, 4), (0, wide - one.shape[1]), (0, 0)), constant_values=255) for one in pictures]
        try:
            (self.path / "samples").mkdir(exist_ok=True)
            Image.fromarray(np.concatenate(rows)).save(self.path / "samples" / f"step-{step:06d}.png")
        except OSError as error:
            raise DiskError(say("train.disk", reason=error.strerror or error), self.path, say("train.disk_fix")) from None

    def rewind(self, step: int) -> None:
        """Forget rows after `step`: the resumed run writes them again, the same."""
        rows = [row for row in self.rows() if row.get("step", 0) <= step and row["event"] not in ("end", "stopped")]
        partial = self.events.with_suffix(".partial")
        write_text(partial, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        partial.replace(self.events)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The event stream; a row torn by a kill is left out."""
        if not self.events.exists():
            return
        for line in self.events.read_text("utf-8", errors="replace").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue

    def close(self) -> None:
        """Close the log and let go of the lock."""
        for file in (self._log, self._lock):
            if file is not None:
                file.close()
        self._log = self._lock = None


def write_text(path: Path, text: str) -> None:
    """A whole small file.

    Raises:
        DiskError: the disk does not take it.
    """
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise DiskError(say("train.disk", reason=error.strerror or error), path, say("train.disk_fix")) from None

"""CIFAR-10 and CIFAR-100 in their original pickles, from a folder or an archive; nothing in them is executed."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from omma.data.sample import Dataset
from omma.data.store import archive
from omma.errors import DataError
from omma.formats._packed import packed
from omma.formats._unpickle import Forbidden, load
from omma.progress import Watch
from omma.words import say

_TEN = {f"data_batch_{i}": "train" for i in range(1, 6)} | {"test_batch": "test"}
_HUNDRED = {"train": "train", "test": "test"}
_WANTED = frozenset(_TEN) | frozenset(_HUNDRED) | {"batches.meta", "meta"}
_MOST = 1 << 30


def sniff(path: Path) -> float:
    """0.95 for a folder or archive that holds the batches by their names."""
    if path.is_dir():
        names = {entry.name for entry in path.iterdir() if entry.is_file()}
        return 0.95 if names & _TEN.keys() or {"train", "test", "meta"} <= names else 0.0
    if not archive.is_archive(path) or path.suffix == ".zip":
        return 0.0
    try:
        with tarfile.open(path, "r:*") as tar:
            for _ in range(4):
                about = tar.next()
                if about is not None and about.name.strip("./").startswith(("cifar-10-batches-py", "cifar-100-python")):
                    return 0.95
    except (OSError, EOFError, tarfile.TarError, ValueError):
        pass
    return 0.0


def read(path: Path, watch: Watch | None = None) -> Dataset:
    """(N, 32, 32, 3) uint8, the order of the files kept; ids `train/00000`, `test/00000`.

    Raises:
        DataError: not CIFAR, damaged, or a pickle that asks for more than data.
    """
    watch = watch or Watch()
    batches = dict(_members(path, watch))
    files = _TEN if batches.keys() & _TEN.keys() else _HUNDRED
    parts, notes = [(split, *_batch(batches[name], path)) for name, split in files.items() if name in batches], []
    if missing := [name for name in files if name not in batches]:
        notes.append(say("formats.parts_missing", names=", ".join(missing)))
    if not parts:
        raise DataError(say("formats.no_pictures_inside"), path)
    return packed(parts, _names(batches.get("batches.meta") or batches.get("meta")), path, "cifar", notes)


def _members(path: Path, watch: Watch):
    """(name, unpickled content) of every file that counts."""
    found: Iterator[tuple[str, int, IO[bytes] | None]]
    if path.is_dir():
        found = ((entry.name, entry.stat().st_size, None) for entry in sorted(path.iterdir()) if entry.is_file())
    else:
        found = ((name.rpartition("/")[2], size, file) for name, size, file in archive.members(path))
    for done, (name, size, file) in enumerate(found):
        if name not in _WANTED:
            continue
        if size > _MOST:
            raise DataError(say("formats.too_large", size=size >> 20), f"{path}: {name}")
        watch.step(say("formats.reading", name=path.name), done)
        data = (path / name).read_bytes() if file is None else archive.read(file, size, path)
        try:
            yield name, load(data)
        except Forbidden as error:
            raise DataError(say("formats.pickle_asks", what=str(error)[:80]), f"{path}: {name}") from None
        except ValueError as error:
            raise DataError(say("formats.pickle_broken", reason=str(error)[:120]), f"{path}: {name}") from None
    watch.end(say("formats.reading", name=path.name))


def _key(batch: dict, *names: str):
    for name in names:
        for key in (name, name.encode()):
            if key in batch:
                return batch[key]
    return None


def _batch(batch: object, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(N, 32, 32, 3) pictures and (N,) labels of one file."""
    if not isinstance(batch, dict):
        raise DataError(say("formats.pickle_broken", reason=type(batch).__name__), path)
    pixels, labels = _key(batch, "data"), _key(batch, "fine_labels", "labels")
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != 3072:
        raise DataError(say("formats.pickle_broken", reason="data"), path)
    if not isinstance(labels, list) or len(labels) != len(pixels) or not all(isinstance(label, int) for label in labels):
        raise DataError(say("formats.pickle_broken", reason="labels"), path)
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), np.array(labels, np.int64)


def _names(meta: object) -> list[str] | None:
    names = _key(meta, "fine_label_names", "label_names") if isinstance(meta, dict) else None
    if not isinstance(names, list):
        return None
    return [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in names]

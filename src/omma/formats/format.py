"""The contract of a format, and the one door every verb takes to data: a path or a source's name → a dataset.

A format is a file here with `sniff(path) -> float` (0–1, how sure it is that this is its own), `read(path, watch) -> Dataset`
and, where it makes sense, `write(dataset, path)`. `csv` also takes the target columns a person named.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from pathlib import Path

from omma import catalog
from omma.answers.label import Label
from omma.answers.picture import Picture
from omma.data.decode import PICTURE_SUFFIXES, hidden, probe
from omma.data.recast import kind_of, seen_as
from omma.data.sample import Dataset
from omma.data.sources import fetch, home, sources
from omma.data.store import archive
from omma.errors import DataError, OmmaError
from omma.progress import Watch
from omma.words import say

_ANIMATED = frozenset({".gif", ".tif", ".tiff", ".webp"})


def open_data(where: str | Path, format: str | None = None, watch: Watch | None = None, kind: str | None = None) -> Dataset:
    """The dataset at a path, or of a source by name.

    Args:
        where: a folder, a table, an array file, an archive, or a source's name. `path:column` or `path:column,column` names the target
            columns of a table.
        format: the reader to use; None finds out.
        kind: of answer that is wanted: labels that say where objects are also say which are there, and how many (see `recast.seen_as`).
        watch: is told about fetching and reading.

    Raises:
        OmmaError: no such path, source or format; says what was probably meant.
        DataError: nothing there that can be used; says what was found.
    """
    watch = watch or Watch()
    path, columns = _where(str(where))
    source = None
    if path is None:
        source = sources()[str(where)]
        path = fetch(source.name, watch)
        format = format or source.format
    dataset = read(path, format, watch, columns)
    dataset.notes += _frames(dataset)
    if source is not None:
        dataset.source, dataset.hints = source.name, source.hints
        if source.names:
            _rename(dataset, list(source.names))
    return dataset if kind is None else seen_as(dataset, kind)


def _where(text: str) -> tuple[Path | None, list[str] | None]:
    """(path or None for a source, target columns or None)."""
    path = Path(text).expanduser()
    if path.exists():
        return path, None
    if text in sources():
        return None, None
    left, colon, right = text.rpartition(":")
    if colon and left and right and Path(left).expanduser().exists():
        return Path(left).expanduser(), [column.strip() for column in right.split(",") if column.strip()]
    if re.match(r"https?://|ftp://|s3://", text):
        raise OmmaError(say("formats.url"), text, say("formats.url_fix"))
    around = path.parent if path.parent.is_dir() else Path()
    near = [str(around / name) if around != Path() else name for name in _siblings(around)]
    close = difflib.get_close_matches(text, [*sources(), *near], 3, 0.6)
    fix = say("formats.did_you_mean", close=", ".join(close)) if close else say("formats.sources_are", names=", ".join(sources()))
    raise OmmaError(say("formats.nowhere"), text, fix)


def _siblings(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir() if not hidden(entry.name)]
    except OSError:
        return []


def read(path: Path, format: str | None, watch: Watch, columns: list[str] | None = None) -> Dataset:
    """The dataset at an existing path; an archive is unpacked into the cache, but spoken of by its own name."""
    if not archive.is_archive(path) or _reads_itself(path, format):
        return _read(path, format, watch, columns)
    folder = unpacked(path, watch)
    try:
        dataset = _read(folder, format, watch, columns)
    except DataError as error:
        where, fix = (None if text is None else str(text).replace(str(folder), str(path)) for text in (error.where, error.fix))
        raise DataError(error.what, where, fix) from None
    dataset.notes = [note.replace(str(folder), str(path)) for note in dataset.notes]
    return dataset


def _read(path: Path, format: str | None, watch: Watch, columns: list[str] | None) -> Dataset:
    """The dataset at an existing folder or file, by the named format or the likeliest."""
    try:
        path = _inner(path) if format is None else path
        name = format or ("csv" if columns else sniff(path))
        reader = catalog.module("formats", name)
        if columns is None:
            return reader.read(path, watch)
        if name != "csv":
            raise OmmaError(say("formats.no_columns", format=name), path)
        return reader.read(path, watch, columns)
    except PermissionError as error:
        raise DataError(say("decode.forbidden"), error.filename or path) from None


def sniff(path: Path) -> str:
    """The name of the format a path is in.

    Raises:
        DataError: none; says what lies there.
    """
    sure = {name: catalog.module("formats", name).sniff(path) for name in catalog.names("formats")}
    best = max(sure, key=lambda name: (sure[name], name))
    if sure[best] > 0:
        return best
    if path.is_dir():
        from omma.formats.folders import found

        raise DataError(say("formats.no_pictures", found=found(path)), path, say("formats.no_pictures_fix"))
    if path.suffix.lower() in PICTURE_SUFFIXES:
        raise DataError(say("formats.one_picture"), path, say("formats.one_picture_fix", path=path))
    raise DataError(say("formats.no_format", formats=", ".join(catalog.names("formats"))), path)


def _reads_itself(path: Path, format: str | None) -> bool:
    """Whether a format reads this archive in memory."""
    from omma.formats import cifar

    return format in (None, "cifar") and cifar.sniff(path) > 0


def unpacked(path: Path, watch: Watch) -> Path:
    """An archive's content in the cache, found again by the archive's own sum."""
    key = archive.digest(path)[:16]
    stem = re.sub(r"[^\w.-]", "_", path.name.split(".")[0])[:60]
    return archive.unpack(path, home() / "unpacked" / f"{stem}-{key}", watch)


def _inner(path: Path) -> Path:
    """The folder that matters: single folders around everything are taken off, as archives have them; a class folder is not."""
    while path.is_dir():
        entries = [entry for entry in path.iterdir() if not hidden(entry.name)]
        if len(entries) != 1 or not entries[0].is_dir() or entries[0].is_symlink():
            break
        if not any(entry.is_dir() or entry.suffix.lower() not in PICTURE_SUFFIXES for entry in entries[0].iterdir()):
            break
        path = entries[0]
    return path


def _rename(dataset: Dataset, names: list[str]) -> None:
    """Class numbers → the names a source gives them."""
    for sample in dataset.samples:
        if isinstance(sample.truth, Label):
            sample.truth = Label(names[int(sample.truth.label)])
    dataset.names = names


def _frames(dataset: Dataset) -> list[str]:
    """A word about files that hold several pictures, of which the first is read; at most 200 are looked into."""
    paths = [sample.path for sample in dataset.samples if sample.path is not None and sample.path.suffix.lower() in _ANIMATED]
    several = []
    for path in paths[:: -(-len(paths) // 200) or 1]:
        try:
            several += [path.name] if probe(path).frames > 1 else []
        except DataError:
            continue
    return [say("formats.first_frame", names=", ".join(several[:3]), count=len(several))] if several else []


def describe(dataset: Dataset) -> list[str]:
    """What was read, in a few lines for people: counts, classes, splits, what was refused, and the notes."""
    kinds = Counter(sample.split for sample in dataset.samples)
    splits = ", ".join(f"{split} {count}" for split, count in kinds.items() if split)
    if kind_of(dataset) == Picture.kind:
        lines = [say("formats.read_pairs", count=len(dataset.labelled()), format=dataset.format, splits=splits or "–")]
    else:
        lines = [say("formats.read", count=len(dataset), format=dataset.format, names=len(dataset.names), splits=splits or "–")]
    if dataset.refused:
        lines.append(say("formats.refused", count=len(dataset.refused), shown=some_refused(dataset)))
    return lines + dataset.notes


def some_refused(dataset: Dataset) -> str:
    """The first of what cannot be used, each with its reason."""
    return "; ".join(f"{row.where}: {row.reason}" for row in dataset.refused[:3])

"""Data sets by name: what `sources.toml` lists, fetched only when asked, verified before use.

    OMMA_HOME      where fetched sets are kept (default ~/.cache/omma)
    OMMA_MIRROR    a folder, or an http(s) address, that is asked first
    OMMA_OFFLINE   1 forbids every use of the network

A file lying in `OMMA_HOME/downloads/<source>/` counts as fetched: that is where to put one by hand.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from omma.data.store import archive
from omma.data.store.fetch import download, reachable
from omma.errors import DataError, OmmaError
from omma.progress import Watch
from omma.words import say

_FILE = Path(__file__).with_name("sources.toml")


@dataclass(slots=True, frozen=True)
class File:
    """One file of a source.

    Args:
        name: what it is called where it is kept.
        urls: where it is, the best address first.
        check: `md5:…`, `sha1:…` or `sha256:…`.
        size: bytes; 0 if the origin does not say.
    """

    name: str
    urls: tuple[str, ...]
    check: str
    size: int = 0


@dataclass(slots=True, frozen=True)
class Source:
    """A data set known by name.

    Args:
        name: the word to say.
        title: what it is.
        task, format: what it is for and which reader reads it.
        licence: as its authors state it.
        published: where the checksums were published.
        files: what to fetch; none for a set that comes with a package.
        members: last name → md5 of files inside the archive: an archive packed otherwise counts if these match.
        inside: the folder in the archive that holds the data.
        names: class names in order, where the files only hold numbers.
        hints: settings of a recipe that the kind of picture asks for (a mirrored 3 is no 3).
        shipped: the file of an installed package that holds the set, `package/folder/file`; without it and without files, it is drawn.
    """

    name: str
    title: str
    task: str
    format: str
    licence: str
    published: str
    files: tuple[File, ...] = ()
    members: dict[str, str] = field(default_factory=dict)
    inside: str = ""
    names: tuple[str, ...] = ()
    hints: dict[str, Any] = field(default_factory=dict)
    shipped: str = ""

    @property
    def megabytes(self) -> int:
        """What there is to fetch, 10⁶ bytes."""
        return round(sum(file.size for file in self.files) / 1e6)


@cache
def sources() -> dict[str, Source]:
    """Every source, by name."""
    table = tomllib.loads(_FILE.read_text("utf-8"))
    found = {}
    for name, row in table.items():
        files = tuple(File(f["name"], tuple(f["urls"]), f["check"], f.get("size", 0)) for f in row.pop("files", ()))
        names = tuple(row.pop("names", ()))
        found[name] = Source(name, files=files, names=names, **row)
    return found


def home() -> Path:
    """Where omma keeps what it fetched and measured: `OMMA_HOME`, else ~/.cache/omma."""
    return Path(os.environ.get("OMMA_HOME") or Path.home() / ".cache" / "omma")


def fetch(name: str, watch: Watch | None = None) -> Path:
    """The folder (or file) a source lies in: from the cache, a file put there by hand, the mirror, or the network, in this order.

    Raises:
        OmmaError: no such source.
        DataError: out of reach, forbidden, or not what was published; says which file to fetch by hand and where to put it.
    """
    table, watch = sources(), watch or Watch()
    if name not in table:
        from omma.catalog import unknown

        raise unknown("source", name, list(table))
    source = table[name]
    if not source.files:
        return _shipped(source)
    folder = home() / "sources" / name
    if not (folder / "source.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        _bring(source, folder, watch)
    return folder / source.inside if source.inside else folder


def _shipped(source: Source) -> Path:
    """The file of a package that a source comes with; of one that its reader draws, only the name: there is no such file."""
    from importlib.util import find_spec

    if not source.shipped:
        return Path(source.name)
    package, _, rest = source.shipped.partition("/")
    spec = find_spec(package)
    path = Path(spec.origin).parent / rest if spec and spec.origin else Path(Path(rest).name)
    if not path.is_file():
        raise DataError(say("sources.no_digits"), path)
    return path


def _bring(source: Source, folder: Path, watch: Watch) -> None:
    """Every file of a source, verified, into its folder, which appears only when it is whole."""
    (home() / "sources").mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{source.name}.", dir=home() / "sources"))
    origins = {}
    try:
        repacked = _repacked(source, partial, watch)
        if repacked is None:
            for file in source.files:
                path, mine = _one(source, file, watch)
                origins[file.name] = str(path)
                if archive.is_archive(path):
                    _spread(archive.unpack(path, partial / ".archive", watch), partial)
                else:
                    shutil.copyfile(path, partial / file.name)
                if mine:
                    path.unlink(missing_ok=True)
            _confirm(source, partial)
        else:
            origins["members"] = str(repacked)
        stamp = {"source": source.name, "origins": origins, "published": source.published, "licence": source.licence}
        (partial / "source.json").write_text(json.dumps(stamp, ensure_ascii=False, indent=1), "utf-8")
        archive.settle(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _spread(inner: Path, partial: Path) -> None:
    """What an archive held, one level up; a single folder around everything is taken off."""
    tops = list(inner.iterdir())
    layer = tops[0] if len(tops) == 1 and tops[0].is_dir() else inner
    for path in layer.iterdir():
        path.rename(partial / path.name)
    shutil.rmtree(inner)


def _confirm(source: Source, folder: Path) -> None:
    """The members a reader needs are there and are the published ones."""
    for name, check in source.members.items():
        path = folder / name
        if not path.is_file():
            raise DataError(say("sources.member_missing", name=name), source.name)
        _same(path, check)


def _same(path: Path, check: str) -> None:
    kind, _, wanted = check.partition(":")
    found = archive.digest(path, kind)
    if found != wanted:
        raise DataError(say("sources.checksum", kind=kind, found=found, wanted=wanted), path.name)


def _local(source: Source) -> list[Path]:
    """Folders to look in before the network: what was put there by hand, then the mirror."""
    places = [home() / "downloads" / source.name]
    mirror = os.environ.get("OMMA_MIRROR")
    if mirror and "://" not in mirror:
        places += [Path(mirror) / source.name, Path(mirror)]
    return places


def _repacked(source: Source, partial: Path, watch: Watch) -> Path | None:
    """A local archive of another packing whose members are the published ones: unpacked; None if there is none."""
    if not source.members:
        return None
    stem = source.files[0].name.split(".")[0]
    for place in _local(source):
        for path in sorted(place.glob(f"{stem}*")) if place.is_dir() else ():
            if path.name != source.files[0].name and archive.is_archive(path):
                target = partial / ".archive"
                _spread(archive.unpack(path, target, watch, frozenset(source.members)), partial)
                try:
                    _confirm(source, partial)
                except DataError as error:
                    watch.warn(say("sources.mirror_differs", path=path, reason=error.what))
                    for left in partial.iterdir():
                        left.unlink() if left.is_file() else shutil.rmtree(left)
                    continue
                return path
    return None


def _one(source: Source, file: File, watch: Watch) -> tuple[Path, bool]:
    """One file, verified, and whether it is a download of ours that may be removed."""
    for place in _local(source):
        path = place / file.name
        if path.is_file():
            try:
                _same(path, file.check)
                return path, False
            except DataError as error:
                watch.warn(say("sources.mirror_differs", path=path, reason=error.what))
    target = home() / "downloads" / source.name / file.name
    mirror = os.environ.get("OMMA_MIRROR", "").rstrip("/")
    served = [f"{mirror}/{source.name}/{file.name}", f"{mirror}/{file.name}"] if "://" in mirror else []
    by_hand = say("sources.by_hand", url=file.urls[0], path=target)
    if os.environ.get("OMMA_OFFLINE", "") not in ("", "0"):
        raise DataError(say("sources.offline"), source.name, by_hand)
    reasons = []
    for url in [*served, *file.urls]:
        try:
            kind, _, wanted = file.check.partition(":")
            return download(url, target, hashlib.new(kind), wanted, watch, file.size), True
        except OmmaError as error:
            reasons.append(f"{reachable(url)}: {error.what}")
            if error.code == 74:
                raise
    raise DataError("; ".join(reasons), source.name, by_hand)

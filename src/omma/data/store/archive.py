"""Archives opened without trust: names are computed by us, nothing leaves the folder, sizes are capped, links and devices are left out."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO

from omma.data.decode import hidden
from omma.errors import DataError, DiskError
from omma.progress import Watch
from omma.words import say

# Larger sets are worth unpacking by hand.
MAX_FILES, MAX_TOTAL, MAX_RATIO, FREE_RATIO = 2_000_000, 64 << 30, 200, 1 << 30
SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
_BROKEN = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, NotImplementedError, RuntimeError, ValueError)
_BLOCK = 1 << 20


def is_archive(path: Path) -> bool:
    """Whether a file is called like an archive we open."""
    return path.name.lower().endswith(SUFFIXES) and path.is_file()


def members(path: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """(name, size, open file) of every regular file, in the archive's order; a name is relative and never climbs.

    Raises:
        DataError: damaged, encrypted, a name that leaves the folder, or beyond the caps.
    """
    try:
        opened = _zip(path) if path.name.lower().endswith(".zip") else _tar(path)
        total, cap = 0, MAX_RATIO * path.stat().st_size
        for count, (name, size, file) in enumerate(opened):
            total += size
            if count >= MAX_FILES or total > MAX_TOTAL or (total > FREE_RATIO and total > cap):
                raise DataError(say("sources.archive_bomb", gigabytes=total >> 30, files=count + 1), path)
            yield _safe(name, path), size, file
    except _BROKEN as error:
        raise DataError(say("sources.archive_broken", reason=str(error)[:160]), path) from None


def _safe(name: str, path: Path) -> str:
    """A member's name as a relative path below the folder it goes to."""
    clean = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in clean.parts if part != "."]
    if clean.is_absolute() or not parts or ".." in parts or "\0" in name or ":" in parts[0]:
        raise DataError(say("sources.archive_climbs", name=name[:120]), path)
    return "/".join(parts)


def _tar(path: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    with tarfile.open(path, "r:*") as tar:
        while (about := tar.next()) is not None:
            # tarfile remembers every header it has passed: a million pictures would fill the memory.
            tar.members = []  # type: ignore[attr-defined]
            if about.isreg() and not about.issparse():
                file = tar.extractfile(about)
                if file is not None:
                    yield about.name, about.size, file


def _zip(path: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        encoding = _encoding(archive.infolist())
        for about in archive.infolist():
            if about.is_dir() or about.external_attr >> 28 == 0xA:
                continue
            if about.flag_bits & 1:
                raise DataError(say("sources.archive_locked"), path)
            with archive.open(about) as file:
                name = about.filename if about.flag_bits & 0x800 else about.filename.encode("cp437").decode(encoding)
                yield name, about.file_size, file


def _encoding(abouts: list[zipfile.ZipInfo]) -> str:
    """How names without the UTF-8 flag are written: UTF-8 all the same, or GBK as Chinese Windows does, else what the standard says.

    All names together decide: a short one may be valid in several.
    """
    names = [about.filename.encode("cp437") for about in abouts if not about.flag_bits & 0x800]
    for encoding in ("utf-8", "gbk"):
        try:
            b"/".join(names).decode(encoding)
            return encoding
        except UnicodeError:
            continue
    return "cp437"


def unpack(path: Path, folder: Path, watch: Watch | None = None, keep: frozenset[str] | None = None) -> Path:
    """All members into `folder`, which appears only when it is whole; hidden files are left out.

    Args:
        path: the archive.
        folder: where to; if it is there already, it is returned as it is.
        watch: is told how many bytes were written.
        keep: only members with these last names.

    Raises:
        DataError: as `members`.
        DiskError: the disk does not take it.
    """
    if folder.is_dir():
        return folder
    watch = watch or Watch()
    partial = _beside(folder)
    try:
        done = 0
        for name, size, file in members(path):
            if any(map(hidden, name.split("/"))) or (keep is not None and name.rpartition("/")[2] not in keep):
                continue
            target = partial / name
            _write(target, file, size, path)
            done += size
            watch.step(say("sources.unpacking", name=path.name), done)
        return settle(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        watch.end(say("sources.unpacking", name=path.name))


def _beside(folder: Path) -> Path:
    """An empty folder of our own on the same disk."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise DiskError(say("sources.disk", reason=error.strerror or error), folder) from None


def _write(target: Path, file: IO[bytes], size: int, path: Path) -> None:
    """One member, at most as long as it says; reading and writing fail in different words."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        out = open(target, "xb")  # noqa: SIM115
    except FileExistsError:
        raise DataError(say("sources.archive_twice", name=target.name), path) from None
    except OSError as error:
        raise DiskError(say("sources.disk", reason=error.strerror or error), target) from None
    with out:
        while size > 0:
            block = read(file, min(size, _BLOCK), path)
            try:
                out.write(block)
            except OSError as error:
                raise DiskError(say("sources.disk", reason=error.strerror or error), target) from None
            size -= len(block)


def read(file: IO[bytes], size: int, path: Path) -> bytes:
    """The next `size` bytes (fewer only when a block is asked for piecemeal); damage has one kind of error.

    Raises:
        DataError: the archive ends too early or is damaged here.
    """
    try:
        block = file.read(size)
    except _BROKEN as error:
        raise DataError(say("sources.archive_broken", reason=str(error)[:160]), path) from None
    if not block and size:
        raise DataError(say("sources.archive_broken", reason="EOF"), path)
    return block


def settle(partial: Path, folder: Path) -> Path:
    """Give a finished folder its name; if another process was faster, its copy is the one."""
    try:
        os.chmod(partial, 0o755)
        partial.rename(folder)
    except OSError as error:
        if not folder.is_dir():
            raise DiskError(say("sources.disk", reason=error.strerror or error), folder) from None
    return folder


def digest(path: Path, kind: str = "sha256") -> str:
    """The checksum of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()

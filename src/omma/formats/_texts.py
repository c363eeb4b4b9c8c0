"""Text out of files that nobody vouches for: capped in size, whatever its encoding, never mistaken for pictures or programs."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from omma.data.decode import hidden, inside
from omma.words import say

MOST = 8 << 20  # bytes of a label file: ten thousand objects with outlines
_JUNK = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
# One pair of high bytes between plain letters is an accented word (größe), not a Chinese character.
_ACCENTS = re.compile(rb"[A-Za-z][\xa1-\xf7][\xa1-\xfe][A-Za-z]")


def decoded(raw: bytes, cut: bool = False) -> tuple[str, str]:
    """The text and the encoding it was in: UTF-8 with or without mark, UTF-16 with mark, GBK where every high byte is part of a
    Chinese character, else Latin-1.

    Args:
        cut: only the beginning of a file is given; its last character may be torn.
    """
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace"), "UTF-16"
    for trim in range(4 if cut else 1):
        try:
            return raw[: len(raw) - trim].decode("utf-8-sig"), "UTF-8"
        except UnicodeDecodeError:
            continue
    for trim in range(0 if _ACCENTS.search(raw) else 2 if cut else 1):
        try:
            return raw[: len(raw) - trim].decode("gb2312"), "GBK"
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1"), "Latin-1"


def read_bytes(path: Path, top: str, most: int = MOST) -> bytes:
    """A whole file of bearable size.

    Args:
        top: the real path of the folder it must lie in.

    Raises:
        ValueError: missing, no regular file, too large, not to be read, or a link that leaves the folder.
    """
    try:
        if os.path.islink(path) and not inside(path, top):
            raise ValueError(say("formats.leaves", path=path.name))
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            raise ValueError(say("decode.not_a_file"))
        if about.st_size > most:
            raise ValueError(say("formats.too_large", size=about.st_size >> 20))
        return path.read_bytes()
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None


def head(path: Path, size: int = 4096) -> bytes:
    """The first bytes of a regular file, for those who only want to guess; b"" where there are none to be had."""
    try:
        if not path.is_file():  # a pipe would keep us waiting
            return b""
        with open(path, "rb") as file:
            return file.read(size)
    except OSError:
        return b""


def read_text(path: Path, top: str, most: int = MOST) -> tuple[str, str]:
    """The text of a file and its encoding; raises ValueError as `read_bytes` does, and where it is no text."""
    text, encoding = decoded(read_bytes(path, top, most))
    if _JUNK.search(text):
        raise ValueError(say("formats.not_text"))
    return text, encoding


def find_files(folder: Path, suffixes: tuple[str, ...], most: int | None = None) -> list[Path]:
    """Every file below a folder with such a suffix (lower case), sorted by folder; hidden ones and linked folders are left out.

    Args:
        most: stop looking after so many entries of folders, for those who only want to guess.
    """
    found, seen = [], 0
    for here, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if not hidden(name))
        found += [Path(here, name) for name in sorted(files) if name.lower().endswith(suffixes) and not hidden(name)]
        seen += len(files) + len(below)
        if most is not None and seen > most:
            break
    return found

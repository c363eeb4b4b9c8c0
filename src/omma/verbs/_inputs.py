"""Which pictures a person means: files, folders, globs, a list on stdin; and where each one's output belongs."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omma.errors import OmmaError
from omma.words import say

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+://")


@dataclass(slots=True)
class Inputs:
    """Pictures in the order they were named, each once.

    Args:
        files: as a person may open them from the folder where the command runs.
        missing: place among `files` → why there is nothing to read.
    """

    files: list[str] = field(default_factory=list)
    missing: dict[int, str] = field(default_factory=dict)

    def below(self) -> list[str]:
        """The path of each file below the deepest folder that holds them all: different for different files, never upward."""
        full = [os.path.abspath(file) for file in self.files]
        there = [os.path.dirname(file) for place, file in enumerate(full) if place not in self.missing]
        try:
            base = os.path.commonpath(there) if there else ""
        except ValueError:  # several drives: each becomes a folder
            base = ""
        # What is missing has no output.
        return [
            "" if i in self.missing else os.path.relpath(f, base) if base else f.replace(":", "").lstrip("\\/") for i, f in enumerate(full)
        ]


def gather(
    words: Sequence[str | os.PathLike[str]], without: Path | None = None, lines: Iterable[str] | None = None, in_time: bool = False
) -> Inputs:
    """Every picture or clip that is meant by `words`; a folder means its pictures, and where it has none its clips.

    Args:
        words: files, folders (searched below), globs, or `-`: one path a line on stdin.
        without: a folder whose files are not meant (where answers are written).
        lines: what to read for `-`; stdin.
        in_time: what a folder or a glob means is a sequence: frame2 comes before frame10.

    Raises:
        OmmaError: nothing was named, or an address of the network was.
    """
    if not words:
        raise OmmaError(say("predict.nothing_named"))
    found, seen = Inputs(), set()
    skip = None if without is None else os.path.join(os.path.realpath(without), "")

    def add(file: str, reason: str | None = None) -> None:
        key = os.path.abspath(file)
        if key in seen or (skip is not None and os.path.join(os.path.realpath(file), "").startswith(skip)):
            return
        seen.add(key)
        if reason is not None:
            found.missing[len(found.files)] = reason
        found.files.append(file)

    for word in (os.fspath(word) for word in words):
        for one in _listed(sys.stdin if lines is None else lines) if word == "-" else [word]:
            meant = _meant(one)
            for file, reason in sorted(meant, key=lambda pair: in_order(pair[0])) if in_time else meant:
                add(file, reason)
    return found


def _listed(lines: Iterable[str]) -> list[str]:
    return [line.rstrip("\r\n") for line in lines if line.strip()]


def _meant(word: str) -> list[tuple[str, str | None]]:
    """(file, reason why it cannot be read or None) of one word."""
    if _URL.match(word):
        raise OmmaError(say("predict.url"), word, say("predict.url_fix"))
    path = Path(word).expanduser()
    if path.is_dir():
        return [(file, None) for file in _below(path)] or [(word, say("predict.empty_folder"))]
    if path.exists():
        return [(str(path), None)]
    if glob.has_magic(word):
        matches = sorted(glob.glob(str(path), recursive=True))
        return [pair for match in matches for pair in _matched(match)] or [(word, say("predict.no_match"))]
    return [(word, say("predict.absent"))]


def _matched(match: str) -> list[tuple[str, str | None]]:
    """What a glob found: a folder means its pictures, as when it is named."""
    return [(file, None) for file in _below(Path(match))] if os.path.isdir(match) else [(match, None)]


def _below(folder: Path) -> list[str]:
    from omma.data.decode import find_pictures
    from omma.data.moving.clip import CLIP_SUFFIXES

    return [str(file) for file in find_pictures(folder) or find_pictures(folder, CLIP_SUFFIXES)]


def in_order(path: str) -> tuple[Any, ...]:
    """A key to sort files by as people count: folder by folder, the numbers in names by their value."""

    def counted(text: str) -> list[str | int]:
        # Text and digits take turns, so that like is compared with like.
        return [int(one) if place % 2 else one.casefold() for place, one in enumerate(re.split(r"(\d+)", text))]

    folder, name = os.path.split(path)
    return [counted(part) for part in Path(folder).parts], counted(name), path  # the path itself parts 1.png from 01.png

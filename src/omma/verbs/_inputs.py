"""Which pictures a person means: files, folders, globs, a list on stdin; and where each one's output belongs."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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


def gather(words: Sequence[str | os.PathLike[str]], without: Path | None = None, lines: Iterable[str] | None = None) -> Inputs:
    """Every picture that is meant by `words`.

    Args:
        words: files, folders (searched below), globs, or `-`: one path a line on stdin.
        without: a folder whose files are not meant (where answers are written).
        lines: what to read for `-`; stdin.

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
            for file, reason in _meant(one):
                add(file, reason)
    return found


def _listed(lines: Iterable[str]) -> list[str]:
    return [line.rstrip("\r\n") for line in lines if line.strip()]


def _meant(word: str) -> list[tuple[str, str | None]]:
    """(file, reason why it cannot be read or None) of one word."""
    from omma.data.decode import find_pictures

    if _URL.match(word):
        raise OmmaError(say("predict.url"), word, say("predict.url_fix"))
    path = Path(word).expanduser()
    if path.is_dir():
        return [(str(file), None) for file in find_pictures(path)] or [(word, say("predict.empty_folder"))]
    if path.exists():
        return [(str(path), None)]
    if glob.has_magic(word):
        matches = sorted(glob.glob(str(path), recursive=True))
        return [pair for match in matches for pair in _matched(match)] or [(word, say("predict.no_match"))]
    return [(word, say("predict.absent"))]


def _matched(match: str) -> list[tuple[str, str | None]]:
    """What a glob found: a folder means its pictures, as when it is named."""
    from omma.data.decode import find_pictures

    return [(str(file), None) for file in find_pictures(Path(match))] if os.path.isdir(match) else [(match, None)]

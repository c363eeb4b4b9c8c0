"""Which picture a table's cell means: by path, by name without suffix, in `images/`; never outside the folder."""

from __future__ import annotations

import os
import unicodedata
from functools import cached_property
from pathlib import Path, PurePosixPath

from omma.data.decode import find_pictures, inside
from omma.data.sample import Sample
from omma.formats.folders import PLAIN, SPLITS
from omma.words import say

_LONGEST = 255  # bytes of one name in a path


class Pictures:
    """Every picture below a folder, to be found by what people write.

    Args:
        root: the folder the table lies in.
    """

    def __init__(self, root: Path) -> None:
        self.root, self._top = root, os.path.realpath(root)

    @cached_property
    def _index(self) -> dict[str, Path]:
        """Path, and path without suffix → picture; made only when a cell is not simply a path."""
        index: dict[str, Path] = {}
        for path in find_pictures(self.root):
            key = unicodedata.normalize("NFC", path.relative_to(self.root).as_posix())
            index[key] = path
            index.setdefault(key.rpartition(".")[0], path)
        return index

    @cached_property
    def _below(self) -> list[str]:
        """Folders to look into: masks and label maps carry the same names, so only those that are called like pictures."""
        tops = {key.split("/")[0] for key in self._index if "/" in key}
        return ["", *(f"{top}/" for top in sorted(tops) if top.lower() in PLAIN or top.lower() in SPLITS)]

    def find(self, cell: str) -> Path | None:
        """The picture a cell means, if there is one.

        Raises:
            ValueError: it lies outside the folder.
        """
        key = self._key(cell)
        if not key or "\0" in key:
            return None
        plain = self.root / key
        if plain.is_file():
            if not inside(plain, self._top):
                raise ValueError(say("formats.row_leaves", path=cell[:120]))
            return plain
        key = unicodedata.normalize("NFC", key)
        return next((self._index[below + key] for below in self._below if below + key in self._index), None)

    def _key(self, cell: str) -> str:
        """The cell as a path below the root; "" where it can be none."""
        text = cell.strip().replace("\\", "/")
        if text.startswith("/"):
            if not inside(text, self._top):
                raise ValueError(say("formats.row_leaves", path=cell[:120]))
            text = os.path.relpath(os.path.realpath(text), self._top)
        parts: list[str] = []
        for part in PurePosixPath(text).parts:
            if part == ".." and not parts:
                raise ValueError(say("formats.row_leaves", path=cell[:120]))
            parts.pop() if part == ".." else parts.append(part)
        # What no file system takes as a name is the name of no picture; asking for it would be an error of its own.
        return "" if any(len(part.encode("utf-8", "replace")) > _LONGEST for part in parts) else "/".join(parts)

    def sample(self, cell: str, record: str) -> Sample:
        """The sample a row is about.

        Raises:
            ValueError: no such picture, or outside the folder.
        """
        if not cell:
            raise ValueError(say("formats.row_no_path"))
        path = self.find(cell)
        if path is None:
            raise ValueError(say("formats.row_absent", path=cell[:120]))
        return Sample(path.relative_to(self.root).as_posix(), path, record=record)

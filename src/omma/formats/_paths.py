"""Which picture a table's cell means: by path, by name without suffix, in `images/`; never outside the folder."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path, PurePosixPath

from omma.data.decode import find_pictures, inside
from omma.data.sample import Sample
from omma.formats.folders import PLAIN, SPLITS
from omma.words import say


class Pictures:
    """Every picture below a folder, to be found by what people write.

    Args:
        root: the folder the table lies in.
    """

    def __init__(self, root: Path) -> None:
        self.root, self._top = root, os.path.realpath(root)
        self._by_path: dict[str, Path] = {}
        self._by_stem: dict[str, Path] = {}
        for path in find_pictures(root):
            key = unicodedata.normalize("NFC", path.relative_to(root).as_posix())
            self._by_path[key] = path
            self._by_stem.setdefault(key.rpartition(".")[0], path)
        tops = {key.split("/")[0] for key in self._by_path if "/" in key}
        # Masks and label maps carry the same names: only folders that are called like pictures are looked into.
        self._below = ["", *(f"{top}/" for top in sorted(tops) if top.lower() in PLAIN or top.lower() in SPLITS)]

    def find(self, cell: str) -> Path | None:
        """The picture a cell means, if there is one.

        Raises:
            ValueError: it lies outside the folder.
        """
        text = unicodedata.normalize("NFC", cell.strip().replace("\\", "/"))
        if text.startswith("/"):
            if not inside(text, self._top):
                raise ValueError(say("formats.row_leaves", path=cell[:120]))
            text = os.path.relpath(os.path.realpath(text), self._top)
        parts: list[str] = []
        for part in PurePosixPath(text).parts:
            if part == ".." and not parts:
                raise ValueError(say("formats.row_leaves", path=cell[:120]))
            parts.pop() if part == ".." else parts.append(part)
        key = "/".join(parts)
        for below in self._below:
            path = self._by_path.get(below + key) or self._by_stem.get(below + key)
            if path is not None:
                return path
        plain = self.root / key
        if key and plain.is_symlink() and not inside(plain, self._top):
            raise ValueError(say("formats.row_leaves", path=cell[:120]))
        return plain if key and "\0" not in key and plain.is_file() and inside(plain, self._top) else None

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

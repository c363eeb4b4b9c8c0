"""Which picture a label file means that lies in a folder of its own: by path, else by the end of a path, never outside the root."""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property
from pathlib import Path

from omma.data.decode import find_pictures, inside
from omma.formats._paths import Pictures
from omma.formats.folders import SPLITS
from omma.words import say


def split_of(*names: str) -> str | None:
    """The part that names of files or folders speak of: `instances_train2017`, `valid`, `测试集`; the first that does counts."""
    for name in names:
        for word in re.split(r"[\W\d_]+", name.lower()):
            if word in SPLITS:
                return SPLITS[word]
    return None


class Beside(Pictures):
    """Every picture below a folder, to be found from a label file that lies somewhere in it."""

    @cached_property
    def _whole(self) -> dict[str, Path]:
        return {_nfc(path.relative_to(self.root).as_posix()): path for path in find_pictures(self.root)}

    @cached_property
    def _tails(self) -> dict[str, list[str]]:
        """File name → paths below the root."""
        tails: dict[str, list[str]] = {}
        for key in self._whole:
            tails.setdefault(key.rpartition("/")[2], []).append(key)
        return tails

    def locate(self, name: str, near: str = "", split: str | None = None) -> Path:
        """The picture meant by `name`: a path below `near`, or below any folder that leads to one picture only.

        Args:
            name: as the label file has it: with folders or without.
            near: folder of the label file below the root.
            split: its part, which decides between `train/1.jpg` and `val/1.jpg`.

        Raises:
            ValueError: no such picture, several, or outside the root.
        """
        ahead = f"{near}/" if near else ""
        key = _nfc(self._key(name if name.strip().startswith(("/", "\\")) else ahead + name.strip()))
        if (path := self._at(key)) is not None:
            return path
        if ahead and (path := self._at(key := key.removeprefix(ahead))) is not None:
            return path
        found = [tail for tail in self._tails.get(key.rpartition("/")[2], ()) if f"/{tail}".endswith(f"/{key}")]
        if len(found) > 1:
            found = [tail for tail in found if ahead and tail.startswith(ahead)] or found
        if len(found) > 1 and split:
            found = [tail for tail in found if split_of(*tail.split("/")[-2::-1]) == split] or found
        if len(found) > 1:
            raise ValueError(say("objects.ambiguous", path=name[:120], found=", ".join(found[:3])))
        if not found:
            raise ValueError(say("objects.missing", path=name[:120]))
        return self._whole[found[0]]

    def _at(self, key: str) -> Path | None:
        """The picture at a path; nothing is listed before a path fails."""
        if "_whole" in self.__dict__ and key in self._whole:
            return self._whole[key]
        path = self.root / key
        if "\0" in key or not path.is_file():
            return None
        if not inside(path, self._top):
            raise ValueError(say("formats.row_leaves", path=key[:120]))
        return path


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)

"""Which good picture belongs to which bad one: two folders side by side, below train, val and test or above them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from omma.data.decode import find_pictures, hidden
from omma.formats.folders import SPLITS

BAD = frozenset(
    {
        "input", "inputs", "lq", "lr", "low", "noisy", "blur", "blurry", "blurred", "degraded", "bad", "source",
        "输入", "低清", "噪声",
    }
)  # fmt: skip
GOOD = frozenset(
    {
        "target", "targets", "gt", "hq", "hr", "high", "clean", "sharp", "good", "groundtruth", "ground_truth",
        "目标", "高清", "清晰",
    }
)  # fmt: skip
# Classes are called so, too: of such folders the pictures must tell.
CLASSES = frozenset(
    {"low", "noisy", "blur", "blurry", "blurred", "bad", "high", "clean", "sharp", "good", "低清", "噪声", "高清", "清晰"}
)  # fmt: skip
_SCALE = r"x[2348]"
_SCALE_FOLDER = re.compile(_SCALE, re.I)  # LR/X4/0001x4.png
_SCALE_TAIL = re.compile(rf"[_-]?{_SCALE}$", re.I)

Key = tuple[tuple[str, ...], str]  # folders below the side, name without suffix


@dataclass(slots=True)
class Layout:
    """What belongs together below a folder.

    Args:
        pairs: (bad, good), sorted by the bad one.
        alone: bad pictures without a good one of the same name.
        unused: good pictures without a bad one.
        several: bad pictures with several good ones that differ in their suffix alone.
        open: bad pictures of a part that has no folder of good ones at all.
        sides: (folder of bad pictures, folder of good ones) as they are called, the first pair of names first.
        rest: where pictures lie that are on neither side, and how many.
    """

    pairs: list[tuple[Path, Path]] = field(default_factory=list)
    alone: list[Path] = field(default_factory=list)
    unused: list[Path] = field(default_factory=list)
    several: list[Path] = field(default_factory=list)
    open: list[Path] = field(default_factory=list)
    sides: list[tuple[str, str]] = field(default_factory=list)
    rest: Counter[str] = field(default_factory=Counter)

    def add(self, other: Layout) -> None:
        """Take over the pairs of another part, and what it has left over."""
        for name in ("pairs", "alone", "unused", "several", "open"):
            getattr(self, name).extend(getattr(other, name))
        self.sides += [names for names in other.sides if names not in self.sides]


def promising(root: Path) -> bool:
    """Whether folders are called like both sides: a look at two levels, whatever the size of the whole."""
    return any(all(_sides(top)) for top in _tops(root))


def find(root: Path) -> Layout | None:
    """The pairs below a folder; None where nothing is paired."""
    layout = Layout()
    for top in _tops(root):
        bad, good = _sides(top)
        if bad and good:
            # Of several folders the two that belong together best are read, the others are the rest.
            found = [_match(one, two) for one in bad for two in good]
            layout.add(max(found, key=lambda each: len(each.pairs)))
        elif bad and top != root:
            layout.open += [path for folder in bad for path in find_pictures(folder)]
    if not layout.pairs:
        return None
    known = {path for pair in layout.pairs for path in pair}
    known |= {*layout.alone, *layout.unused, *layout.several, *layout.open}
    layout.rest = Counter(path.relative_to(root).parent.as_posix() for path in find_pictures(root) if path not in known)
    for paths in (layout.pairs, layout.alone, layout.unused, layout.several, layout.open):
        paths.sort()
    return layout


def split_of(root: Path, picture: Path) -> str | None:
    """The part that the folders of a picture speak of."""
    return next((SPLITS[part.lower()] for part in picture.relative_to(root).parts[:-1] if part.lower() in SPLITS), None)


def _tops(root: Path) -> list[Path]:
    """Folders in which both sides may lie: the root, and train, val and test below it."""
    return [root, *(folder for folder in _folders(root) if folder.name.lower() in SPLITS)]


def _sides(top: Path) -> tuple[list[Path], list[Path]]:
    """Folders of bad pictures and of good ones, by their names."""
    below = _folders(top)
    bad, good = ([folder for folder in below if spoken(folder.name) in names] for names in (BAD, GOOD))
    return bad, good


def spoken(name: str) -> str:
    """A folder's name as it is compared."""
    return unicodedata.normalize("NFC", name).casefold()


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False) and not hidden(entry.name))
    except OSError:
        return []


def _match(bad: Path, good: Path) -> Layout:
    """Pair by the same path without suffix; then without what says the scale."""
    layout = Layout(sides=[(bad.name, good.name)])
    index: dict[Key, list[Path]] = defaultdict(list)
    for path in find_pictures(good):
        index[_key(good, path)].append(path)
    used: set[Path] = set()
    for path in find_pictures(bad):
        key = _key(bad, path)
        found = index.get(key) or index.get(_unscaled(key)) or []
        chosen = found if len(found) < 2 else [one for one in found if one.suffix == path.suffix]
        if len(chosen) == 1:
            layout.pairs.append((path, chosen[0]))
            used.add(chosen[0])
        else:
            (layout.several if found else layout.alone).append(path)
            used.update(found)
    layout.unused = [path for paths in index.values() for path in paths if path not in used]
    return layout


def _key(side: Path, path: Path) -> Key:
    *folders, name = (unicodedata.normalize("NFC", part) for part in path.relative_to(side).parts)
    return tuple(folders), name.rpartition(".")[0]


def _unscaled(key: Key) -> Key:
    return tuple(part for part in key[0] if not _SCALE_FOLDER.fullmatch(part)), _SCALE_TAIL.sub("", key[1])

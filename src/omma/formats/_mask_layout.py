"""Which mask is of which picture: `images/` beside `labels/` or `masks/`, train and test above or below, a file a picture or an object."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from omma.data.decode import PICTURE_SUFFIXES, find_pictures, hidden
from omma.formats.folders import PLAIN, SPLITS

TRUTHS = frozenset(
    {
        "labels", "label", "masks", "mask", "annotations", "annotation", "annots", "annot", "segmentations", "segmentation", "seg", "segs",
        "gt", "gts", "groundtruth", "ground_truth", "ground-truth", "instances", "instance_masks", "label_maps", "labelmaps", "1st_manual",
        "manual", "掩膜", "标注", "标签", "分割",
    }
)  # fmt: skip
FIELDS = frozenset({"fov", "roi", "field", "field_of_view", "mask", "视野"})  # `mask` only where other masks lie beside it
# `train` beside `train_labels`: CamVid and its like are often packed so.
_BESIDE = re.compile(r"[_\- ]?(labels?|masks?|annots?|annotations?|gt|segs?|segmentations?)", re.I)
_OF_MASK = re.compile(r"[_\-. ](masks?|segs?|segmentation|labels?|labelids|gt|ground_?truth|annotations?|manual\d?|掩膜|标注)$", re.I)
_OF_PICTURE = re.compile(r"[_\-. ](images?|imgs?|pictures?|photos?|training|test|leftimg8bit|原图)$", re.I)

_GLANCE = 64  # entries of a folder

Parts = tuple[str, ...]
Site = tuple[Parts, str]  # a folder: (those above it, its name)
Found = list[tuple[Parts, Path]]  # files below a folder: (folders between, file)


@dataclass(slots=True)
class Layout:
    """What belongs together below a folder.

    Args:
        pairs: (picture, its masks), sorted: no mask for a picture nobody labelled, several where every object has a file.
        truth: what the folder of masks is called.
        each: every object has a file of its own.
        strays: masks without a picture.
        fields: picture → the mask of its field of view.
        field: what the folder of those is called; "" where there is none.
        spare: other folders with masks of the same pictures.
        rest: where pictures lie that are none of these, and how many.
    """

    pairs: list[tuple[Path, list[Path]]]
    truth: str
    each: bool
    strays: list[Path]
    fields: dict[Path, Path]
    field: str
    spare: list[str]
    rest: Counter[str]


@dataclass(slots=True)
class _Match:
    """The pictures of one folder and the masks of another, paired."""

    pictures: Site
    pairs: dict[Path, list[Path]] = field(default_factory=dict)
    strays: list[Path] = field(default_factory=list)
    each: bool = False

    @property
    def hits(self) -> int:
        return sum(map(bool, self.pairs.values()))


def promising(root: Path, deep: int = 3, wide: int = 24) -> bool:
    """Whether the names of folders speak for masks: a look at some of them, whatever the size of the whole."""
    try:
        with os.scandir(root) as entries:
            below = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and not hidden(entry.name))
    except OSError:
        return False
    if any(_has_pictures(root / mask) for _, mask, _ in _beside(below)):
        return True
    return deep > 1 and any(promising(root / name, deep - 1, wide // 3) for name in below[:wide])


def _has_pictures(folder: Path, deep: int = 3) -> bool:
    """Whether pictures lie in a folder, by a look at a few of its entries: label files of other formats lie in such folders, too."""
    try:
        with os.scandir(folder) as entries:
            some = [entry for entry, _ in zip(entries, range(_GLANCE), strict=False) if not hidden(entry.name)]
    except OSError:
        return False
    if any(os.path.splitext(entry.name)[1].lower() in PICTURE_SUFFIXES for entry in some):
        return True
    inner = [Path(entry.path) for entry in some if entry.is_dir(follow_symlinks=False)]
    return deep > 1 and any(_has_pictures(one, deep - 1) for one in inner[:3])


def _beside(names: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """(folder of pictures, folder that may hold their masks, what to call that) among folders lying side by side."""
    low = {name: name.casefold() for name in names}
    plain = [name for name in low if low[name] in PLAIN]
    others = [name for name in low if low[name] not in PLAIN and low[name] not in SPLITS]
    yield from ((picture, mask, mask) for picture in plain for mask in others)
    for split in (name for name in low if low[name] in SPLITS):
        tails = [(name, _BESIDE.fullmatch(low[name].removeprefix(low[split]))) for name in low if low[name].startswith(low[split])]
        yield from ((split, name, tail[1]) for name, tail in tails if tail)
    strange = [name for name in others if low[name] not in TRUTHS | FIELDS]
    if not plain and len(strange) == 1:
        yield from ((strange[0], name, name) for name in others if name != strange[0])


def find(root: Path) -> Layout | None:
    """The pictures and masks below a folder; None where no folder holds masks for the pictures of another."""
    files = [(path, _parts(path, root)) for path in find_pictures(root)]
    below: dict[Site, Found] = defaultdict(list)
    families: dict[Parts, set[str]] = defaultdict(set)
    for path, parts in files:
        for i in range(len(parts) - 1):
            below[parts[:i], parts[i]].append((parts[i + 1 : -1], path))
            families[parts[:i]].add(parts[i])
    matches: dict[str, list[_Match]] = defaultdict(list)
    for prefix, names in sorted(families.items()):
        for pictures, masks, called in _beside(sorted(names)):
            matches[called].append(_match((prefix, pictures), below[prefix, pictures], below[prefix, masks]))
    good = {name: rows for name, rows in matches.items() if any(row.hits for row in rows)}
    if not good:
        return None
    ranked = sorted(good, key=lambda name: (name.casefold() not in TRUTHS, -sum(row.hits for row in good[name]), name))
    views = [name for name in ranked if name.casefold() in FIELDS]
    truths = [name for name in ranked if name not in views] or views[:1]
    views = [name for name in views if name not in truths]
    rows = good[truths[0]]
    pairs = {path: masks for row in rows for path, masks in row.pairs.items()} | _unlabelled(rows, below, families)
    fields = {path: masks[0] for row in good[views[0]] for path, masks in row.pairs.items() if masks} if views else {}
    known = {path for group in good.values() for row in group for masks in [*row.pairs.values(), row.strays] for path in masks}
    rest = Counter("/".join(parts[:-1]) or "." for path, parts in files if path not in known and path not in pairs)
    return Layout(
        sorted(pairs.items()), truths[0], any(row.each for row in rows), sorted(path for row in rows for path in row.strays), fields,
        views[0] if views else "", [*truths[1:], *views[1:]], rest,
    )  # fmt: skip


def _parts(path: Path, root: Path) -> Parts:
    return tuple(unicodedata.normalize("NFC", part) for part in path.relative_to(root).parts)


def _unlabelled(rows: list[_Match], below: dict[Site, Found], families: dict[Parts, set[str]]) -> dict[Path, list[Path]]:
    """Pictures of folders called like those with masks: `test/images` beside `train/images`, `test` beside `train`."""
    used = {row.pictures for row in rows}
    names = {name.casefold() for _, name in used} & PLAIN
    sites = [(prefix, name) for prefix, inside in families.items() for name in inside if name.casefold() in names]
    sites += [
        (prefix, name) for prefix, split in used if split.casefold() in SPLITS for name in families[prefix] if name.casefold() in SPLITS
    ]
    return {path: [] for site in sites if site not in used for _, path in below[site]}


def _match(site: Site, pictures: Found, masks: Found) -> _Match:
    """Pair by the same name in the same folder below; then by names without what says `mask` or `image`; every mask once."""
    out = _Match(site, {path: [] for _, path in pictures})
    used: set[Path] = set()
    for mine, theirs in ((_stem, _stem), (_whole, _stem), (_stem, _bare), (_plain, _stem), (_plain, _bare), (_plain, _barest)):
        index: dict[tuple[Parts, str], list[Path]] = defaultdict(list)
        for rest, path in reversed(masks):
            if path not in used:
                index[rest, theirs(path)].append(path)
        for rest, path in pictures:
            if not out.pairs[path] and (left := index.get((rest, mine(path)))):
                out.pairs[path] = [left.pop()]
                used.add(out.pairs[path][0])
    if not used:
        _each(out, pictures, masks, used)
    out.strays = [path for _, path in masks if path not in used]
    return out


def _each(out: _Match, pictures: Found, masks: Found, used: set[Path]) -> None:
    """A folder of masks for every picture: `masks/NAME/1.png` for `images/NAME.png`, or `NAME/masks/1.png` for `NAME/images/NAME.png`."""
    folders: dict[Parts, list[Path]] = defaultdict(list)
    for rest, path in masks:
        folders[rest].append(path)
    prefix = out.pictures[0]
    alone = len(pictures) == 1 and bool(prefix) and _stem(pictures[0][1]) == prefix[-1]
    for rest, path in pictures:
        own = folders.get((*rest, _stem(path)), []) or (folders.get((), []) if alone else [])
        out.pairs[path] = sorted(own)
        used.update(own)
        out.each |= bool(own)


def _stem(path: Path) -> str:
    return unicodedata.normalize("NFC", path.stem)


def _whole(path: Path) -> str:
    """A picture's name with its suffix: some tools call the mask of `a.jpg` `a.jpg.png`."""
    return unicodedata.normalize("NFC", path.name)


def _bare(path: Path) -> str:
    """A mask's name without `_mask`, `_seg`, `_label` …"""
    return _OF_MASK.sub("", _stem(path))


def _plain(path: Path) -> str:
    """A picture's name without `_image`, `_training` …"""
    return _OF_PICTURE.sub("", _stem(path))


def _barest(path: Path) -> str:
    return _OF_PICTURE.sub("", _bare(path))

"""Pairs of pictures: `input/` beside `target/` (or lr and hr, noisy and clean …), the bad picture and the good one of one name."""

from __future__ import annotations

import shutil
from collections import Counter
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from omma.answers.picture import Picture
from omma.data import recast
from omma.data.crew import in_threads
from omma.data.decode import Probe, decode, probe, to_rgb8
from omma.data.likeness.pairing import likeness
from omma.data.sample import Dataset, Refused, Sample, good_file
from omma.errors import DataError, DiskError
from omma.formats import _pair_layout as layouts
from omma.formats import masks
from omma.formats._mask_layout import TRUTHS
from omma.formats._pair_layout import CLASSES, Layout, spoken
from omma.formats._written import names_of
from omma.progress import Watch
from omma.words import say

HOLDS = ("picture",)
NAME = "picture"
FACTORS = (1, 2, 3, 4, 8)  # how many times larger the good picture may be
_SURE = 0.9  # above class folders (0.5) and masks (0.85)
_LOOK, _ALIKE = 5, 0.5  # pairs that are looked at where classes may be called so, and the likeness from which two are a pair
_HEADERS = 16


class _Sizes(NamedTuple):
    """(width, height) of both pictures of a pair, or why one of them cannot be used."""

    bad: tuple[int, int] = (0, 0)
    good: tuple[int, int] = (0, 0)
    refused: Refused | None = None


def sniff(path: Path) -> float:
    """0.9 for two folders called like bad and good pictures that hold the same names, 0 for anything else.

    Classes may be called `low` and `high` or `bad` and `good`, too: then there must be nothing beside them, and the pictures must be alike.
    Masks lie in folders called `gt`, too: what looks like masks is none of ours.
    """
    if not path.is_dir() or not layouts.promising(path):
        return 0.0
    layout = layouts.find(path)
    if layout is None or len(layout.pairs) < len(layout.alone):
        return 0.0
    if any(spoken(good) in TRUTHS for _, good in layout.sides) and masks.sniff(path) > 0:
        return 0.0
    if all(spoken(name) in CLASSES for names in layout.sides for name in names):
        return _SURE if not layout.rest and len(layout.pairs) >= len(layout.unused) and _alike(path, layout) else 0.0
    return _SURE


def _alike(root: Path, layout: Layout) -> bool:
    """Whether most of some pairs show the same thing, one a whole number of times as large."""
    chosen = [layout.pairs[int(place)] for place in np.linspace(0, len(layout.pairs) - 1, min(_LOOK, len(layout.pairs)))]
    told = []
    for bad, good in chosen:
        try:
            sizes = _sizes(root, bad, good)
            told.append(sizes.refused is None and factor(sizes.bad, sizes.good) > 0 and likeness(decode(bad), decode(good)) >= _ALIKE)
        except DataError:
            continue
    return 2 * sum(told) > len(told)


def read(path: Path, watch: Watch | None = None) -> Dataset:
    """Samples whose picture is the bad one and whose truth is the good one, read when it is asked for.

    Only headers are read here. `record` and the name of a truth are the path of the good picture below the root. All good pictures must be
    the same number of times as large as theirs, see `scale_of`. Whatever has no partner, cannot be read or has another size is refused.
    A part without a folder of good pictures is unlabelled.

    Raises:
        DataError: no two such folders, or not one pair that can be used.
    """
    root, watch = Path(path), watch or Watch()
    layout = layouts.find(root) if root.is_dir() else None
    if layout is None:
        raise DataError(say("pairs.none"), root, say("pairs.none_fix"))
    data = Dataset([], [NAME], recast.TASK[Picture.kind], root, "pairs")
    for paths, reason in ((layout.alone, "alone"), (layout.unused, "unused"), (layout.several, "several")):
        data.refused += [Refused(_name(root, one), say(f"pairs.refused.{reason}")) for one in paths]
    headers = in_threads(lambda pair: _sizes(root, *pair), layout.pairs)
    rows = list(zip(layout.pairs, watch.each(say("pairs.reading"), headers, len(layout.pairs)), strict=True))
    factors = [factor(sizes.bad, sizes.good) for _, sizes in rows]
    scale = Counter(times for times in factors if times).most_common(1)
    for ((bad, good), sizes), times in zip(rows, factors, strict=True):
        if (refused := sizes.refused or _unfitting(_name(root, bad), sizes, times, scale[0][0] if scale else 0)) is not None:
            data.refused.append(refused)
        else:
            data.samples.append(_sample(root, bad, good))
    if not data.samples:
        shown = "; ".join(f"{row.where}: {row.reason}" for row in data.refused[:3])
        raise DataError(say("pairs.unusable", count=len(data.refused), shown=shown), root)
    data.samples += [Sample(_name(root, one), one, split=layouts.split_of(root, one)) for one in layout.open]
    data.samples.sort(key=lambda sample: sample.id)
    data.notes += _notes(layout, scale[0][0])
    return data


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _sample(root: Path, bad: Path, good: Path) -> Sample:
    name = _name(root, good)
    truth = Picture(partial(_pixels, good), name, given=partial(_pixels, bad))
    return Sample(_name(root, bad), bad, truth=truth, split=layouts.split_of(root, bad), record=name)


def _pixels(path: Path) -> np.ndarray:
    """As stored, where a `Picture` can hold that: (H, W, C) uint8 or uint16; else colour of 8 bits."""
    picture = decode(path)
    return picture if _holds(picture) else to_rgb8(picture)


def _holds(picture: np.ndarray) -> bool:
    return picture.dtype in (np.uint8, np.uint16) and picture.shape[2] <= 4


def _sizes(root: Path, bad: Path, good: Path) -> _Sizes:
    """From the headers alone."""
    heads: list[Probe] = []
    for path in (bad, good):
        try:
            heads.append(probe(path))
        except DataError as error:
            return _Sizes(refused=Refused(_name(root, path), error.what))
    # A BMP counts the bits of all its channels.
    if (heads[1].bits > 16 and heads[1].format != "bmp") or heads[1].channels > 4:
        return _Sizes(refused=Refused(_name(root, good), say("pairs.refused.deep", bits=heads[1].bits, channels=heads[1].channels)))
    return _Sizes((heads[0].width, heads[0].height), (heads[1].width, heads[1].height))


def _unfitting(where: str, sizes: _Sizes, times: int, scale: int) -> Refused | None:
    """Why sizes do not belong together; None where they do."""
    if times == scale and times:
        return None
    values = {key: f"{width}×{height}" for key, (width, height) in (("bad", sizes.bad), ("good", sizes.good))}
    if not times:
        return Refused(where, say("pairs.refused.sizes", **values, factors=", ".join(map(str, FACTORS))))
    return Refused(where, say("pairs.refused.other_scale", **values, scale=scale))


def factor(bad: tuple[int, int], good: tuple[int, int]) -> int:
    """How many times larger the good picture is, one of `FACTORS`; 0 where it is none of them, or not the same on both sides."""
    return next((times for times in FACTORS if bad[0] and good == (times * bad[0], times * bad[1])), 0)


def scale_of(dataset: Dataset) -> int:
    """How many times larger the good pictures of a dataset are, from the headers of up to 16 pairs; 1 where nothing can be read."""
    dataset = dataset.whole or dataset
    places = [place for place, sample in enumerate(dataset.samples) if isinstance(sample.truth, Picture)]
    seen: Counter[int] = Counter()
    for place in np.linspace(0, len(places) - 1, min(_HEADERS, len(places))).astype(int):
        sample = dataset.samples[places[place]]
        try:
            height, width = dataset.extent(places[place])
            file = good_file(dataset, sample)
            if file is not None:
                head = probe(file)
                high, wide = head.height, head.width
            else:
                assert isinstance(sample.truth, Picture)
                high, wide = sample.truth.pixels.shape[:2]
        except DataError:
            continue
        seen[factor((width, height), (wide, high))] += 1
    del seen[0]
    return seen.most_common(1)[0][0] if seen else 1


def _notes(layout: Layout, scale: int) -> list[str]:
    """What a person should know about how the folder was understood."""
    notes = [say("pairs.sides", bad=bad, good=good) for bad, good in layout.sides]
    notes += [say("pairs.scale", scale=scale)] if scale > 1 else []
    notes += [say("pairs.open", count=len(layout.open))] if layout.open else []
    where = ", ".join(folder for folder, _ in layout.rest.most_common(5))
    return notes + ([say("pairs.rest", count=layout.rest.total(), where=where)] if layout.rest else [])


def write(dataset: Dataset, path: Path, watch: Watch | None = None) -> list[str]:
    """`input/` and `target/`, below train, val and test where there are parts; says what was lost, in words.

    Files are copied as they are, pictures in memory become PNG without loss. Both pictures of a pair have the name of the bad one.

    Args:
        dataset: its truths are `Picture`, or None: those pictures are left out.
        path: a folder, made if need be.

    Raises:
        DataError: a good picture that lies in no file cannot be made.
        DiskError: the disk does not take it.
    """
    names, watch = names_of(dataset), watch or Watch()
    places = [place for place, sample in enumerate(dataset.samples) if isinstance(sample.truth, Picture)]

    def put(place: int) -> bool:
        """Write a pair; whether more than a PNG can hold was lost of the bad picture."""
        sample = dataset.samples[place]
        top = path / sample.split if sample.split else path
        assert isinstance(sample.truth, Picture)
        file, target = good_file(dataset, sample), top / "target" / names[place].name
        _put(target.with_suffix(file.suffix if file else ".png"), file or sample.truth)
        if sample.path is not None:
            _put(top / "input" / names[place].name, sample.path)
            return False
        picture = dataset.picture(place)
        _put(top / "input" / names[place].name, Picture.of(picture if _holds(picture) else to_rgb8(picture)))
        return not _holds(picture)

    try:
        path.mkdir(parents=True, exist_ok=True)
        lost = sum(watch.each(say("pairs.writing"), in_threads(put, places), len(places)))
    except OSError as error:
        raise DiskError(say("formats.not_written", reason=error.strerror or error), path) from None
    bare = len(dataset) - len(places)
    grouped = sum(sample.group is not None for sample in dataset.samples)
    words = [say("pairs.lost_open", count=bare)] if bare else []
    words += [say("formats.lost_groups", count=grouped)] if grouped else []
    return words + ([say("pairs.lost_depth", count=lost)] if lost else [])


def _put(target: Path, what: Path | Picture) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(what, Path):
        shutil.copyfile(what, target)
    else:
        target.write_bytes(what.png())

"""Pictures that lie in arrays rather than in files: parts with labels → one dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from omma.answers.answer import Answer
from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.answers.numbers import Numbers
from omma.data.sample import Dataset, Sample
from omma.errors import DataError
from omma.formats._kinds import TASK, Kind
from omma.words import say


def packed(
    parts: Sequence[tuple[str | None, np.ndarray, np.ndarray | None]],
    names: list[str] | None,
    root: Path,
    format: str,
    notes: list[str] | None = None,
) -> Dataset:
    """A dataset out of (split, pictures, labels) parts.

    Args:
        parts: one split may come in several; pictures (N, H, W) or (N, H, W, C), any number type;
            labels (N,) or (N, 1) integers, (N, C) zeros and ones, or fractions; or None.
        names: class names by number; None names them by their number.
        root: where it was read from.
        format: the reader's name.
        notes: what a person should know.

    Raises:
        DataError: counts differ, no pictures, a label without a name.
    """
    notes = list(notes or ())
    labels = [None if given is None else _flat(given) for _, _, given in parts]
    known = [given for given in labels if given is not None]
    kind, names = _kind(known, names, root)
    blocks = [eight(pictures, notes, root) for _, pictures, _ in parts]
    sizes = Counter[str | None]()
    for (split, _, _), block, given in zip(parts, blocks, labels, strict=True):
        if given is not None and len(given) != len(block):
            raise DataError(say("formats.counts_differ", pictures=len(block), labels=len(given), split=split or "all"), root)
        sizes[split] += len(block)
    if not sizes.total():
        raise DataError(say("formats.no_pictures_inside"), root)
    samples: list[Sample] = []
    done = Counter[str | None]()
    for (split, _, _), block, given in zip(parts, blocks, labels, strict=True):
        truths = [None] * len(block) if given is None else _truths(given, kind, names, root)
        width, first, start = max(5, len(str(sizes[split] - 1))), done[split], len(samples)
        samples += [
            Sample(f"{split or 'all'}/{first + place:0{width}d}", row=start + place, truth=truth, split=split)
            for place, truth in enumerate(truths)
        ]
        done[split] += len(block)
    samples.sort(key=lambda sample: sample.id)
    task, names = (TASK[kind], names) if known else (None, [])
    return Dataset(samples, names, task, root, format, _together(blocks), notes=list(dict.fromkeys(notes)))


def _together(blocks: list[np.ndarray]) -> np.ndarray | list[np.ndarray]:
    """One (N, H, W, C) array, copied once; a list of pictures where sizes differ."""
    if len({block.shape[1:] for block in blocks}) > 1:
        return [np.ascontiguousarray(picture) for block in blocks for picture in block]
    pixels = np.empty((sum(map(len, blocks)), *blocks[0].shape[1:]), np.uint8)
    start = 0
    for block in blocks:
        pixels[start : start + len(block)] = block
        start += len(block)
    return pixels


def eight(pictures: np.ndarray, notes: list[str], root: Path) -> np.ndarray:
    """Any array of pictures → (N, H, W, C) uint8; says so where values were scaled."""
    if pictures.ndim == 3:
        pictures = pictures[..., None]
    if pictures.ndim != 4:
        raise DataError(say("formats.odd_shape", shape=pictures.shape), root)
    if pictures.shape[-1] not in (1, 3, 4) and pictures.shape[1] in (1, 3, 4):
        pictures = pictures.transpose(0, 2, 3, 1)
    if 0 in pictures.shape[1:] and len(pictures):
        raise DataError(say("formats.odd_shape", shape=pictures.shape), root)
    if pictures.dtype == np.uint8:
        return pictures
    if pictures.dtype == bool:
        return pictures.astype(np.uint8) * 255
    if pictures.dtype.kind not in "fiu" or not len(pictures):
        raise DataError(say("formats.odd_values", dtype=pictures.dtype), root)
    if not np.isfinite(pictures).all():
        raise DataError(say("formats.odd_values", dtype="NaN, ∞"), root)
    low, high = float(pictures.min()), float(pictures.max())
    if pictures.dtype.kind in "iu" and low >= 0 and high <= 255:
        return pictures.astype(np.uint8)
    if pictures.dtype == np.uint16:
        low, high = 0.0, 65535.0
    elif low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    notes.append(say("formats.scaled", low=f"{low:g}", high=f"{high:g}"))
    values = (pictures.astype(np.float32) - low) * (255 / max(high - low, 1e-12))
    return values.round().clip(0, 255).astype(np.uint8)


def _flat(labels: np.ndarray) -> np.ndarray:
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def _kind(labels: list[np.ndarray], names: list[str] | None, root: Path) -> tuple[Kind, list[str]]:
    """What kind of truth the labels are, and its names."""
    if not labels:
        return Label, []
    first = labels[0]
    if first.ndim == 2:
        if not all(given.ndim == 2 and given.shape[1] == first.shape[1] and np.isin(given, (0, 1)).all() for given in labels):
            raise DataError(say("formats.odd_labels", shape=first.shape), root)
        single = all((given.sum(1) == 1).all() for given in labels)
        return Label if single else Labels, names or [str(i) for i in range(first.shape[1])]
    if first.ndim != 1:
        raise DataError(say("formats.odd_labels", shape=first.shape), root)
    if first.dtype.kind in "US":
        return Label, sorted({str(value) for given in labels for value in given.tolist()})
    if not all(given.dtype.kind in "iuf" and np.isfinite(given.astype(np.float64)).all() for given in labels):
        raise DataError(say("formats.odd_values", dtype=first.dtype), root)
    if any(given.dtype.kind == "f" and (given != given.round()).any() for given in labels):
        return Numbers, ["target"]
    return Label, names or [str(i) for i in sorted({int(value) for given in labels for value in np.unique(given)})]


def _truths(labels: np.ndarray, kind: Kind, names: list[str], root: Path) -> list[Answer]:
    if kind is Numbers:
        return [Numbers({names[0]: float(value)}) for value in labels]
    if labels.ndim == 2:
        rows = [tuple(names[i] for i in np.flatnonzero(row)) for row in labels]
        return [Labels(row) if kind is Labels else Label(row[0]) for row in rows]
    if labels.dtype.kind in "US":
        return [Label(str(value)) for value in labels.tolist()]
    numbered = {int(name): name for name in names} if all(name.lstrip("-").isdigit() for name in names) else dict(enumerate(names))
    values = labels.astype(np.int64)
    if missing := set(np.unique(values).tolist()) - numbered.keys():
        raise DataError(say("formats.no_name_for", number=min(missing), count=len(names)), root)
    return [Label(numbered[value]) for value in values.tolist()]

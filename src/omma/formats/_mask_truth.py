"""From mask files to answers: classes of pixels, objects of a label map, one object a file; what cannot be used is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from omma.answers import _rle
from omma.answers.answer import Answer
from omma.answers.mask import VOID, Mask
from omma.data.decode import probe
from omma.data.sample import Refused
from omma.errors import DataError
from omma.formats._mask_files import MaskFile, open_mask
from omma.formats._mask_meaning import Meaning
from omma.formats._mask_names import Legend
from omma.formats._objects import Objects
from omma.words import say

Told = tuple[Answer | None, list[Refused]]  # a truth, and what could not be used


def reason(error: DataError | ValueError) -> str:
    """Why a file cannot be used; its name stands elsewhere."""
    return error.what if isinstance(error, DataError) else str(error)


def opened(path: Path, size: tuple[int, int]) -> MaskFile:
    """A mask as large as its picture, (width, height).

    Raises:
        DataError, ValueError: as `open_mask`; or of another size.
    """
    mask = open_mask(path)
    if (mask.width, mask.height) != size:
        raise ValueError(say("objects.mask_size", found=f"{mask.width} × {mask.height}", wanted=f"{size[0]} × {size[1]}"))
    return mask


def classes(mask: MaskFile, meaning: Meaning, view: Path | None, root: Path) -> Told:
    """The class of every pixel; nobody's where the mask of the field of view is black.

    Args:
        view: that mask, if there is one.

    Raises:
        ValueError: a code stands for nothing.
    """
    pixels, refused = mask.through(meaning.classes_of(mask)), []
    if view is not None:
        try:
            pixels[~_set(opened(view, (mask.width, mask.height)))] = VOID
        except (DataError, ValueError) as error:
            refused.append(Refused(view.relative_to(root).as_posix(), reason(error)))
    return Mask.of(pixels, meaning.names), refused


def objects(mask: MaskFile, meaning: Meaning, legend: Legend, record: str) -> Told:
    """The objects of a label map; 0 is background.

    Args:
        record: the map's path below the root, by which `objects.csv` knows it.
    """
    from scipy import ndimage  # comes with scikit-learn

    refused: list[Refused] = []
    found = Objects(mask.width, mask.height, refused)
    places = mask.through(np.arange(1, len(mask.codes) + 1, dtype=np.int32))
    runs = _runs(places, len(mask.codes))
    for place, (code, where) in enumerate(zip(mask.codes.tolist(), ndimage.find_objects(places), strict=True)):
        if code == 0 or (code == VOID and mask.palette is not None):
            continue
        label = legend.objects.get((record, code)) if legend.listed else meaning.names[0]
        if label is None:
            refused.append(Refused(f"{record}: {code}", say("objects.no_class")))
            continue
        rows, columns = where
        counts = _rle.from_runs(runs[place].tolist(), mask.height, mask.width)
        found.add(f"{record}: {code}", label, (columns.start, rows.start, columns.stop, rows.stop), counts=counts)
    return found.answer(masks=True), refused


def _runs(places: np.ndarray, count: int) -> list[np.ndarray]:
    """COCO's uncompressed run lengths of where each of the values 1 to `count` stands, all in one pass over the (H, W) picture."""
    flat = places.ravel(order="F")  # COCO's runs go down the columns
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    ends = np.append(starts[1:], flat.size)
    order = np.argsort(flat[starts], kind="stable")
    cuts = np.searchsorted(flat[starts][order], np.arange(2, count + 1))
    edges = np.split(np.stack([starts, ends], 1)[order], cuts)
    return [np.diff(one.ravel(), prepend=0, append=flat.size) for one in edges]


def each(picture: Path, masks: list[Path], label: str, root: Path) -> Told:
    """The objects of a picture, every one in a file of its own."""
    refused: list[Refused] = []
    try:
        head = probe(picture)
    except DataError as error:
        return None, [Refused(picture.relative_to(root).as_posix(), error.what)]
    found = Objects(head.width, head.height, refused)
    for path in masks:
        record = path.relative_to(root).as_posix()
        try:
            shape = _set(opened(path, (head.width, head.height)))
            if not shape.any():
                raise ValueError(say("masks.empty"))
        except (DataError, ValueError) as error:
            refused.append(Refused(record, reason(error)))
            continue
        counts = _rle.encode(shape)
        found.add(record, label, _rle.box(counts, head.height, head.width), counts=counts)
    return found.answer(masks=True), refused


def _set(mask: MaskFile) -> np.ndarray:
    """(height, width) bool: what is at least half as bright as the brightest."""
    levels = mask.colours() & 255 if mask.palette is not None or mask.colour else mask.codes
    return mask.through(levels * 2 >= max(1, levels.max()))

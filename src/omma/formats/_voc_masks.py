"""VOC's masks: the class of every pixel from `SegmentationClass`, objects from `SegmentationObject`, 255 (or its colour) for void."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from omma.answers import _rle
from omma.answers.mask import VOID, Mask
from omma.data.sample import Refused
from omma.errors import DataError
from omma.formats._mask_files import MaskFile, open_mask
from omma.formats._objects import Objects
from omma.formats._texts import read_text
from omma.formats._voc_folder import Folder
from omma.formats._voc_xml import Annotation
from omma.words import say

# The challenge's own classes, by number (Everingham et al. 2010).
CHALLENGE = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog", "horse",
    "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
_VOID_COLOUR = 0xE0E0C0
NUMBERS = [str(number) for number in range(VOID)]  # names where nobody gives any
_PLAIN = "object"  # the class of objects nobody gave a class


def palette() -> np.ndarray:
    """(256, 3) uint8: the challenge's colours, the bits of a number dealt out to red, green and blue from the highest down."""
    numbers = np.arange(256)
    colours = np.zeros((256, 3), int)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((numbers >> (3 * bit + channel)) & 1) << (7 - bit)
    return colours.astype(np.uint8)


@dataclass(slots=True)
class Classes:
    """What the values of `SegmentationClass` mean.

    Args:
        names: by number; None where nobody says: then numbers are names.
        colours: 0xRRGGBB → number, from `labelmap.txt`.
    """

    names: list[str] | None
    colours: dict[int, int]

    def table(self, file: MaskFile) -> np.ndarray:
        """(V,) numbers of the codes of a file, `VOID` where they mean nothing.

        Raises:
            ValueError: a value that is no class.
        """
        found = file.colours().tolist()
        known = all(colour in self.colours or colour == _VOID_COLOUR for colour in found)
        painted = file.colour or (bool(self.colours) and (file.layers or (file.palette is not None and known)))
        if painted:
            numbers = [VOID if colour == _VOID_COLOUR else self.colours.get(colour) for colour in found]
        else:
            numbers = [int(code) for code in file.codes]
        most = VOID if self.names is None else len(self.names)
        for number, code in zip(numbers, found if painted else file.codes, strict=True):
            if number is None or (number != VOID and number >= most):
                raise ValueError(say("objects.mask_value", value=f"#{code:06x}" if painted else int(code), count=most))
        return np.array(numbers, np.uint8)


def classes_of(folder: Folder, refused: list[Refused]) -> Classes:
    """From `labelmap.txt` (`name:r,g,b:parts:actions` a line); the challenge's own where the folder is called like it."""
    if folder.labelmap is None:
        own = re.fullmatch(r"VOC20\d\d.*", folder.root.name, re.I)
        return Classes(list(CHALLENGE) if own else None, {})
    where = folder.where(folder.labelmap)
    names: list[str] = []
    colours: dict[int, int] = {}
    try:
        text, _ = read_text(folder.labelmap, os.path.realpath(folder.root))
    except ValueError as error:
        refused.append(Refused(where, str(error)))
        return Classes(None, {})
    for line, row in enumerate(text.splitlines(), 1):
        match = re.fullmatch(r"(.+?):(?:(\d{1,3}),(\d{1,3}),(\d{1,3}))?(?::[^:]*){0,2}", row.strip())
        if not row.strip() or (row.startswith("#") and not match):
            continue
        name = match[1] if match else row.strip()
        if name in names:
            refused.append(Refused(f"{where}:{line}", say("objects.duplicate_id", id=name[:80])))
            continue
        if match and match[2]:
            red, green, blue = (int(match[place]) for place in (2, 3, 4))
            colours.setdefault(red << 16 | green << 8 | blue, len(names))
        names.append(name)
    return Classes(names, colours)


def opened(path: Path, size: tuple[int, int]) -> MaskFile:
    """A mask of the size of its picture (width, height).

    Raises:
        ValueError: damaged, no mask, or of another size.
    """
    try:
        file = open_mask(path)
    except DataError as error:
        raise ValueError(error.what) from None
    if (file.width, file.height) != size:
        raise ValueError(say("objects.mask_size", found=f"{file.width} × {file.height}", wanted=f"{size[0]} × {size[1]}"))
    return file


def semantic(path: Path, size: tuple[int, int], classes: Classes) -> tuple[Mask, int]:
    """(the class of every pixel, the highest number in it). Raises ValueError as `opened`, and for a value that is no class."""
    file = opened(path, size)
    table = classes.table(file)
    used = table[table != VOID]
    highest = int(used.max()) if len(used) else 0
    return Mask.of(file.through(table), classes.names or NUMBERS), highest


def separate(path: Path, objects: Objects, where: str, xml: Annotation | None, of_class: Path | None, classes: Classes) -> None:
    """Add the objects of a picture: pixels of value k are the k-th object of its annotation.

    Without an annotation, an object's class is the one most of its pixels have in `SegmentationClass`; without that, `object`.

    Raises:
        ValueError: as `opened`.
    """
    from scipy import ndimage  # comes with scikit-learn

    size = objects.width, objects.height
    file = opened(path, size)
    pixels = file.through(_places(file))
    kinds = None if of_class is None or xml is not None else _numbers(of_class, size, classes)
    for number, found in enumerate(ndimage.find_objects(pixels), 1):
        if found is None:
            continue
        rows, columns = found
        mask = np.zeros(pixels.shape, bool)
        mask[found] = pixels[found] == number
        label, aside = _PLAIN, False
        if xml is not None:
            if number > len(xml.things) or not xml.things[number - 1].label:
                objects.refused.append(Refused(f"{where}: {number}", say("objects.no_class")))
                continue
            label, aside = xml.things[number - 1].label, xml.things[number - 1].difficult
        elif kinds is not None:
            votes = np.bincount(kinds[mask], minlength=VOID + 1)
            votes[[0, VOID]] = 0
            if not votes.any():
                objects.refused.append(Refused(f"{where}: {number}", say("objects.no_class")))
                continue
            best = int(votes.argmax())
            label = classes.names[best] if classes.names else str(best)
        box = columns.start, rows.start, columns.stop, rows.stop
        objects.add(f"{where}: {number}", label, box, aside, _rle.encode(mask))


def _places(file: MaskFile) -> np.ndarray:
    """(V,) int32: what each code of `SegmentationObject` counts; 0 for background and void."""
    codes, void = file.codes, file.colours() == _VOID_COLOUR
    if file.colour:
        # Painted with the challenge's colours, each stands for its place among them; with others, for its place in this file.
        known = {int(colour): place for place, colour in enumerate(palette().astype(int) @ (1 << 16, 1 << 8, 1))}
        sound = all(int(code) in known for code in codes[~void])
        codes = np.array([known.get(int(code), 0) if sound else place * (code != 0) for place, code in enumerate(codes, 1)])
    elif file.depth == 8:
        void |= codes == VOID
    return np.where(void, 0, codes).astype(np.int32)


def _numbers(path: Path, size: tuple[int, int], classes: Classes) -> np.ndarray:
    file = opened(path, size)
    return file.through(classes.table(file))

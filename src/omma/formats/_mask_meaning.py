"""What the codes of masks stand for: classes, an object against its background, colours of a table, or one object each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from omma.answers.mask import BACKGROUND, VOID, is_background
from omma.errors import DataError
from omma.formats._mask_files import MaskFile
from omma.formats._mask_layout import TRUTHS
from omma.formats._mask_names import Legend, is_void
from omma.words import say

OBJECT = "object"
NUMBERED = frozenset({"instances", "instance_masks", "label_maps", "labelmaps"})  # folders of label maps, whatever lies in them
MOST_COLOURS = 64  # classes told by colour alone: more are a photograph or a drawing with soft edges
_DARK, _LIGHT, _HALF = 32, 223, 128  # grey values a blurred or lossy mask of two classes keeps to, and where it is cut
_CLEAN = 0.98  # of all pixels
MOSTLY = 0.9  # of all masks
_MANY, _LOOK = 10, 20
_NOISE = 1 << 14  # stretches of one value
_ENDS = (VOID, 0xFFFF)


@dataclass(slots=True)
class Meaning:
    """How masks are read.

    Args:
        names: the classes.
        objects: values number objects: the masks are label maps.
        places: code → place in `names`, or `VOID`.
        by_colour: codes are looked up by their colour, not by their number.
        cut: grey values from here on are the second class; None where every value has its own.
        file: where the names or colours were read.
        notes: what was decided, and how to say otherwise.
    """

    names: list[str]
    objects: bool = False
    places: dict[int, int] = field(default_factory=dict)
    by_colour: bool = False
    cut: int | None = None
    file: str = ""
    notes: list[str] = field(default_factory=list)

    def sound(self, mask: MaskFile) -> None:
        """Whether a file can be what the others are.

        Raises:
            ValueError: colours among numbers, or a JPEG, whose numbers are not those that were written.
        """
        if mask.colour and not self.by_colour:
            raise ValueError(say("masks.colour_among_grey"))
        if mask.lossy and self.cut is None and (self.objects or not set(mask.codes.tolist()) <= self.places.keys()):
            raise ValueError(say("masks.lossy"))

    def classes_of(self, mask: MaskFile) -> np.ndarray:
        """(V,) uint8: the place in `names`, or `VOID`, of each code of a mask.

        Raises:
            ValueError: as `sound`; or a code stands for nothing; says which.
        """
        self.sound(mask)
        if self.cut is not None:
            return (mask.codes >= self.cut).astype(np.uint8)
        codes = (mask.colours() if self.by_colour else mask.codes).tolist()
        for code in codes:
            if code not in self.places:
                if self.by_colour:
                    raise ValueError(say("masks.colour_unknown", colour=f"{code >> 16} {code >> 8 & 255} {code & 255}"))
                known = sorted(self.places.keys() - set(_ENDS) if self.file else self.places)
                if self.file:
                    raise ValueError(say("objects.mask_value", value=code, count=len(known)))
                raise ValueError(say("masks.value_unknown", value=code, known=", ".join(map(str, known[:8]))))
        return np.array([self.places[code] for code in codes], np.uint8)


def decide(masks: list[MaskFile], legend: Legend, folder: str, root: Path) -> Meaning:
    """What the masks of a folder mean, all of them looked at.

    Args:
        masks: at least one.
        legend: what files beside them say.
        folder: what the folder of masks is called; an object without a name is called after it.
        root: for the error.

    Raises:
        DataError: too many colours, and no table of them.
    """
    if (legend.listed or folder.casefold() in NUMBERED) and not any(mask.colour for mask in masks):
        return _label_maps(legend, folder, say("masks.why_table") if legend.listed else say("masks.why_folder", folder=folder))
    coloured, single = sum(mask.colour for mask in masks), sum(not mask.layers and mask.palette is None for mask in masks)
    if (coloured and coloured >= single) or (legend.colours and not legend.names and all(mask.layers for mask in masks)):
        return _colours(masks, legend, folder, root)
    if legend.colours and not legend.names and all(mask.palette is not None and _in_table(mask, legend) for mask in masks):
        return _colours(masks, legend, folder, root)
    grey = [mask for mask in masks if not mask.colour]
    if two := _two(grey, legend, folder):
        return two
    names = legend.by_value
    over = sum(bool(set(mask.codes.tolist()) - set(_ENDS)) and _top(mask) >= len(names) for mask in grey)
    if sum(mask.depth == 16 for mask in grey) * 2 > len(grey) and (len(names) < 2 or over * 2 > len(grey)):
        return _label_maps(legend, folder, say("masks.why_deep"))
    if (not names or over * 2 > len(grey)) and _numbered(grey):
        return _label_maps(legend, folder, say("masks.why_regions"))
    return _values(grey, legend, root)


def _top(mask: MaskFile) -> int:
    """The largest code that is no mark for void."""
    return max((code for code in mask.codes.tolist() if code not in _ENDS), default=0)


def _called(folder: str) -> str:
    """What an object is called: as the folder its mask lies in, unless that is only called `masks`."""
    return OBJECT if folder.casefold() in TRUTHS else folder


def numbering(legend: Legend, folder: str, note: str) -> Meaning:
    """Every object by itself: the class of each as `objects.csv` says, else one class for all."""
    listed = [name for name in legend.scored if legend.listed or not is_background(name)]
    names = listed if legend.listed or len(listed) == 1 else []
    return Meaning(list(dict.fromkeys([*names, *legend.objects.values()])) or [_called(folder)], objects=True, notes=[note])


def _label_maps(legend: Legend, folder: str, why: str) -> Meaning:
    return numbering(legend, folder, say("masks.numbered", why=why))


def _in_table(mask: MaskFile, legend: Legend) -> bool:
    return set(mask.colours().tolist()) <= legend.colours.keys()


def _colours(masks: list[MaskFile], legend: Legend, folder: str, root: Path) -> Meaning:
    """Colours of the table beside the masks; without one, each colour is a class, and black against one other is the background."""
    if legend.colours:
        names = [name for name in dict.fromkeys(legend.colours.values()) if not is_void(name)]
        places = {colour: VOID if is_void(name) else names.index(name) for colour, name in legend.colours.items()}
        void = [name for name in dict.fromkeys(legend.colours.values()) if is_void(name)]
        return Meaning(
            names, False, places, True, None, legend.colour_file, [say("masks.by_colour", file=legend.colour_file), *_void(void)]
        )
    found = sorted({colour for mask in masks for colour in mask.colours().tolist()})
    if len(found) > MOST_COLOURS:
        raise DataError(say("masks.many_colours", count=len(found)), root, say("masks.many_colours_fix"))
    if len(found) == 2 and found[0] == 0:
        return _pair(folder, {0: 0, found[1]: 1}, True)
    names = [f"#{colour:06x}" for colour in found]
    note = say("masks.colours_unnamed", names=", ".join(names[:6]), count=len(names))
    return Meaning(names, False, {colour: place for place, colour in enumerate(found)}, True, None, "", [note])


def _void(names: list[str]) -> list[str]:
    return [say("masks.unscored", names=", ".join(names))] if names else []


def _pair(folder: str, places: dict[int, int], by_colour: bool = False, names: list[str] | None = None) -> Meaning:
    names = names or [BACKGROUND[0], _called(folder)]
    return Meaning(names, False, places, by_colour, None, "", [say("masks.two", ground=names[0], name=names[1])])


def _two(masks: list[MaskFile], legend: Legend, folder: str) -> Meaning | None:
    """An object against its background: 0 and one other value, edges blurred or not; None where it is something else."""
    named = legend.scored
    names = [BACKGROUND[0], *(named or [_called(folder)])] if len(named) < 2 else named
    if len(named) > 2 or legend.unscored or names[0] == names[1] or any(mask.palette is not None for mask in masks):
        return None
    deep = all(mask.depth == 16 for mask in masks)
    pixels = _pixels(masks)
    if set(pixels) == {0}:
        return None if len(named) == 2 or deep else _pair(folder, {0: 0, 1: 1, VOID: 1}, names=names)
    held = [set(mask.codes.tolist()) for mask in masks if mask.codes.any()]
    # A few masks that hold something else are faulty, and will be named; many of them speak for another meaning.
    white = next((end for end in _ENDS if sum(codes <= {0, end} for codes in held) >= MOSTLY * len(held)), None)
    if white is not None:
        return _pair(folder, {0: 0, white: 1}, names=names)
    other = max(pixels)
    if set(pixels) <= {0, other} and len(named) < 2 and not (other == 1 and deep):
        return _pair(folder, {0: 0, other: 1}, names=names)
    if two_ended(masks):
        meaning = _pair(folder, {}, names=names)
        meaning.cut = _HALF
        meaning.notes.append(say("masks.soft", cut=_HALF, name=names[1]))
        return meaning
    return None


def two_ended(masks: list[MaskFile]) -> bool:
    """Whether grey masks keep to black and white but for their edges: two classes, blurred by resizing or by JPEG."""
    pixels = _pixels(masks)
    ends = sum(count for code, count in pixels.items() if code <= _DARK or code >= _LIGHT)
    soft = len(pixels) > 16 or any(mask.lossy for mask in masks)
    return soft and _LIGHT <= max(pixels) <= VOID and ends >= _CLEAN * pixels.total() and not any(mask.colour for mask in masks)


def _pixels(masks: list[MaskFile]) -> Counter[int]:
    """Code → pixels, over all masks."""
    total: Counter[int] = Counter()
    for mask in masks:
        total.update(dict(zip(mask.codes.tolist(), mask.counts.tolist(), strict=True)))
    return total


def _numbered(masks: list[MaskFile]) -> bool:
    """Whether values of 8 bits number objects: 1, 2, 3 … without a gap, of varying number, each a single region."""
    tops = [_top(mask) for mask in masks]
    dense = sum(set(mask.codes.tolist()) | {0} == set(range(top + 1)) for mask, top in zip(masks, tops, strict=True))
    if max(tops) < _MANY or len(set(tops)) < min(3, len(masks)) or dense < 0.95 * len(masks):
        return False
    regions = [whole for mask in masks[:: max(1, len(masks) // _LOOK)] for whole in _single(mask)]
    return sum(regions) >= 0.95 * len(regions)


def _single(mask: MaskFile) -> list[bool]:
    """Of every value but 0: is it one connected region?"""
    from scipy import ndimage  # comes with scikit-learn

    if mask.runs > max(_NOISE, mask.width * mask.height // 4):
        return [False]  # to look at every value would take minutes
    values = mask.through(mask.codes)
    touching = np.ones((3, 3), bool)
    return [
        ndimage.label(values[place] == value + 1, touching)[1] == 1
        for value, place in enumerate(ndimage.find_objects(values))
        if place is not None
    ]


def _values(masks: list[MaskFile], legend: Legend, root: Path) -> Meaning:
    """Every value is a class: a line of the names, or, without names, called by its number."""
    file = legend.file or legend.colour_file
    if given := legend.by_value:
        names = legend.scored
        places = {value: VOID if is_void(name) else names.index(name) for value, name in enumerate(given)}
        notes = [say("masks.indexed", file=file, count=len(names)), *_void(legend.unscored)]
    else:
        found = sorted({code for mask in masks for code in mask.codes.tolist() if not mask.lossy})
        rest = [code for code in found if code not in _ENDS]
        void = any(mask.palette is not None for mask in masks) or max(rest, default=0) < MOST_COLOURS
        kept = rest if void and rest else found
        if len(kept) > VOID:
            raise DataError(say("masks.many_values", count=len(kept)), root, say("masks.many_values_fix"))
        names = [str(code) for code in kept]
        places = {code: place for place, code in enumerate(kept)}
        notes = [say("masks.unnamed", names=", ".join(names[:8]), count=len(names))]
    ends = [end for end in _ENDS if end not in places]
    if any(end in mask.codes for end in ends for mask in masks):
        notes.append(say("masks.void_ends"))
    return Meaning(names, False, places | dict.fromkeys(ends, VOID), False, None, file, notes)

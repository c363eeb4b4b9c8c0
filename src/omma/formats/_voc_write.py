"""Writing VOC: pictures, annotations, masks as palette PNGs, and a list for each part; what they cannot hold is said."""

from __future__ import annotations

import re
from collections import Counter
from itertools import zip_longest
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from omma.answers import _rle
from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.answers.mask import BACKGROUND, VOID, Mask
from omma.data.sample import Dataset
from omma.errors import DiskError
from omma.formats._voc_masks import palette
from omma.formats._written import names_of, put_pictures, shape_of
from omma.progress import Watch
from omma.words import say

_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2
_OBJECT = """\
	<object>
		<name>{name}</name>
		<pose>Unspecified</pose>
		<truncated>0</truncated>
		<difficult>{difficult}</difficult>
		<bndbox>
			<xmin>{box[0]}</xmin>
			<ymin>{box[1]}</ymin>
			<xmax>{box[2]}</xmax>
			<ymax>{box[3]}</ymax>
		</bndbox>
	</object>
"""
_ANNOTATION = """\
<annotation>
	<folder>JPEGImages</folder>
	<filename>{filename}</filename>
	<source>
		<database>omma</database>
	</source>
	<size>
		<width>{shape[0]}</width>
		<height>{shape[1]}</height>
		<depth>{shape[2]}</depth>
	</size>
	<segmented>{segmented}</segmented>
{objects}</annotation>
"""


def write(dataset: Dataset, path: Path, watch: Watch | None = None) -> list[str]:
    """The dataset in VOC's layout; returns what was lost, in words.

    Boxes and outlines have an annotation for each picture (`xmin = x1 + 1`, `xmax = x2`, fractions kept). Outlines and masks have a
    palette PNG in `SegmentationClass`, its values places in `labelmap.txt`, 255 void; outlines another one in `SegmentationObject`, k for
    the k-th object, later ones over earlier ones. A picture nobody labelled has neither. One without a part stands in `default.txt`.

    Args:
        dataset: truths `Boxes`, `Instances` or `Mask`.
        path: a new folder.
        watch: told about pictures.

    Raises:
        DiskError: the disk does not take it.
    """
    path = Path(path)
    files = names_of(dataset)
    put_pictures(dataset, path / "JPEGImages", files, watch)
    lost = Counter[str]()
    drawn = any(isinstance(sample.truth, Instances | Mask) for sample in dataset.samples)
    objects = any(isinstance(sample.truth, Boxes) for sample in dataset.samples)
    # Where masks come from outlines, the first class is what no object covers.
    classes = [BACKGROUND[0], *dataset.names] if drawn and objects and BACKGROUND[0] not in dataset.names else list(dataset.names)
    lists: dict[str, list[str]] = {}
    try:
        for place, (sample, file) in enumerate(zip(dataset.samples, files, strict=True)):
            truth, stem = sample.truth, file.stem
            lists.setdefault(sample.split or "default", []).append(stem)
            lost["groups"] += sample.group is not None
            lost["not_jpg"] += file.suffix.lower() != ".jpg"
            if isinstance(truth, Boxes):
                _text(path / "Annotations" / f"{stem}.xml", _annotation(truth, str(file), shape_of(dataset, place)))
                lost["points"] += int((np.abs(truth.boxes[:, 2:] - truth.boxes[:, :2] - 1) < 5e-4).all(1).sum())
            if isinstance(truth, Instances):
                kinds, numbers = _painted(truth, classes, lost)
                _png(path / "SegmentationClass" / f"{stem}.png", kinds)
                _png(path / "SegmentationObject" / f"{stem}.png", numbers)
            elif isinstance(truth, Mask):
                _png(path / "SegmentationClass" / f"{stem}.png", _numbered(truth, classes))
        kinds_of_list = ["Main"] * (objects or not drawn) + ["Segmentation"] * drawn
        if {"train", "val"} & lists.keys():
            lists["trainval"] = sorted(lists.get("train", []) + lists.get("val", []))
        for name, stems in lists.items():
            for kind in kinds_of_list:
                _text(path / "ImageSets" / kind / f"{name}.txt", "".join(f"{stem}\n" for stem in stems))
        rows = zip_longest(map(_plain, classes), [",".join(map(str, colour)) for colour in palette()[: len(classes)]], fillvalue="")
        _text(path / "labelmap.txt", "".join(f"{name}:{colour}::\n" for name, colour in rows))
    except OSError as error:
        raise DiskError(say("formats.not_written", reason=error.strerror or error), error.filename or path) from None
    renamed = [name for name in dataset.names if _plain(name) != name]
    lines = [say("formats.voc_names", names=", ".join(map(repr, renamed)))] if renamed else []
    return lines + [say(f"formats.lost_{what}", count=count) for what, count in lost.items() if count]


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8", newline="\n")


def _plain(name: str) -> str:
    """A class name as XML and a line of a list can hold it."""
    return re.sub(r"[\t\r\n]", " ", _UNWRITABLE.sub("\ufffd", name)).strip()


def _annotation(truth: Boxes, filename: str, shape: tuple[int, int, int]) -> str:
    rows = []
    for place, label in enumerate(truth.labels):
        box = [f"{value:.4f}".rstrip("0").rstrip(".") for value in truth.boxes[place] + np.array([1, 1, 0, 0])]
        difficult = int(truth.ignored is not None and bool(truth.ignored[place]))
        rows.append(_OBJECT.format(name=escape(_plain(label)), difficult=difficult, box=box))
    segmented = int(isinstance(truth, Instances))
    return _ANNOTATION.format(filename=escape(filename), shape=shape, segmented=segmented, objects="".join(rows))


def _painted(truth: Instances, classes: list[str], lost: Counter[str]) -> tuple[np.ndarray, np.ndarray]:
    """(class, number of the object) of every pixel; an object that is to be ignored is void."""
    kinds = np.full((truth.height, truth.width), classes.index(BACKGROUND[0]), np.uint8)
    numbers = np.zeros(kinds.shape, np.uint8)
    for place, counts in enumerate(truth.counts):
        mask = _rle.decode(counts, truth.height, truth.width)
        lost["covered"] += int((mask & (numbers > 0)).sum())
        kind = classes.index(truth.labels[place])
        aside = truth.ignored is not None and bool(truth.ignored[place])
        lost["outlines"] += place + 1 >= VOID or kind >= VOID
        kinds[mask] = VOID if aside or kind >= VOID else kind
        numbers[mask] = min(place + 1, VOID)
    return kinds, numbers


def _numbered(truth: Mask, classes: list[str]) -> np.ndarray:
    """The pixels as places in the classes of the whole dataset."""
    if list(truth.classes) == classes:
        return truth.pixels
    table = np.full(VOID + 1, VOID, np.uint8)
    table[: len(truth.classes)] = [classes.index(name) for name in truth.classes]
    return table[truth.pixels]


def _png(path: Path, values: np.ndarray) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values)
    picture.putpalette(palette().tobytes())
    picture.save(path)

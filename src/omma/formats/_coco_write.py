"""Writing COCO JSON: `annotations/instances_<part>.json` beside `images/`; masks as run lengths, which hold every pixel."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from omma.answers import _rle
from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.data.sample import Dataset, Sample
from omma.errors import DiskError
from omma.formats._written import names_of, put_pictures, shape_of
from omma.progress import Watch
from omma.words import say


def write(dataset: Dataset, path: Path, watch: Watch | None = None) -> list[str]:
    """The dataset in COCO's layout, one file for each part; returns what was lost, in words.

    Classes are numbered from 1 in the order of `names`; an outline of whatever form, holes and all, is written as compressed run lengths of
    the very same pixels; an ignored object as `iscrowd`. Pictures nobody labelled go into `image_info….json`, which has no list
    `annotations`: a picture in the other files is known to hold just what is written there.

    Args:
        dataset: truths `Boxes` or `Instances`.
        path: a new folder.
        watch: told about pictures.

    Raises:
        DiskError: the disk does not take it.
    """
    path = Path(path)
    names = names_of(dataset)
    put_pictures(dataset, path / "images", names, watch)
    files: dict[str, list[int]] = {}
    for place, sample in enumerate(dataset.samples):
        kind = "image_info" if sample.truth is None else "instances"
        files.setdefault(f"{kind}_{sample.split}" if sample.split else kind, []).append(place)
    for name, places in (files or {"instances": []}).items():
        content = _content(dataset, places, names, labelled=name.startswith("instances"))
        _put(path / "annotations" / f"{name}.json", json.dumps(content, allow_nan=False))
    grouped = sum(sample.group is not None for sample in dataset.samples)
    return [say("formats.lost_groups", count=grouped)] if grouped else []


def _put(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise DiskError(say("formats.not_written", reason=error.strerror or error), path) from None


def _content(dataset: Dataset, places: list[int], names: list[PurePosixPath], labelled: bool) -> dict[str, Any]:
    """One file; ids count from 1."""
    category = {name: number for number, name in enumerate(dataset.names, 1)}
    images, annotations = [], []
    for number, place in enumerate(places, 1):
        sample = dataset.samples[place]
        width, height, _ = shape_of(dataset, place)
        images.append({"id": number, "file_name": str(names[place]), "width": width, "height": height})
        annotations += [row | {"image_id": number} for row in _objects(sample, category)]
    content: dict[str, Any] = {"info": {"description": "omma"}, "licenses": [], "images": images}
    if labelled:
        content["annotations"] = [{"id": number} | row for number, row in enumerate(annotations, 1)]
    content["categories"] = [{"id": number, "name": name, "supercategory": ""} for name, number in category.items()]
    return content


def _objects(sample: Sample, category: dict[str, int]) -> list[dict[str, Any]]:
    """The objects of a picture, without ids."""
    truth, rows = sample.truth, []
    if not isinstance(truth, Boxes):
        return []
    for place, label in enumerate(truth.labels):
        x1, y1, x2, y2 = (float(value) for value in truth.boxes[place])
        row: dict[str, Any] = {
            "category_id": category[label],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "iscrowd": int(truth.ignored is not None and bool(truth.ignored[place])),
            "segmentation": [],
        }
        if isinstance(truth, Instances):
            counts = truth.counts[place]
            row["area"] = _rle.area(counts, truth.height, truth.width)
            row["segmentation"] = {"size": [truth.height, truth.width], "counts": counts}
        rows.append(row)
    return rows

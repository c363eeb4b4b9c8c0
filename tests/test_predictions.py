"""What a model answered comes back as labels: every kind of answer, and nothing that is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omma.answers import _rle
from omma.answers.mask import VOID, Mask
from omma.errors import DataError
from omma.formats import coco
from omma.formats.format import open_data, sniff
from omma.formats.predictions import ABOUT, JOURNAL

HEIGHT, WIDTH = 40, 60


def folder(home: Path, rows: list[dict | str], count: int = 4) -> Path:
    """Pictures beside a folder of predictions, as `predict` leaves them; `{n}` in a path is the n-th picture's."""
    (home / "图片").mkdir(parents=True)
    paths = [home / "图片" / f"{n}.png" for n in range(count)]
    for n, path in enumerate(paths):
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), 40 * n, np.uint8)).save(path)
    out = home / "answers"
    out.mkdir()
    lines = [row if isinstance(row, str) else json.dumps({"path": str(paths[n])} | row, ensure_ascii=False) for n, row in enumerate(rows)]
    (out / JOURNAL).write_text("\n".join(lines) + "\n", "utf-8")
    (out / ABOUT).write_text(json.dumps({"question": "", "finished": True}), "utf-8")
    return out


def objects(*boxes, **more) -> dict:
    rows = [{"label": label, "probability": 0.9, "box": list(box), **more} for label, *box in boxes]
    return {"width": WIDTH, "height": HEIGHT, "boxes": rows} | ({} if rows else {"probabilities": []})


def test_boxes_become_labels_that_another_tool_reads(tmp_path):
    out = folder(tmp_path, [objects(("猫", 1, 2, 20, 30), ("dog", 30, 5, 55, 35)), objects(), {"error": "torn"}])
    assert sniff(out) == "predictions"
    data = open_data(out)
    assert data.task == "detect" and data.names == ["猫", "dog"] and len(data) == 2
    first = data.samples[0].truth
    assert first.labels == ["猫", "dog"] and first.probabilities is None and first.boxes[1].tolist() == [30, 5, 55, 35]
    assert len(data.samples[1].truth) == 0, "a picture on which nothing was found holds nothing"
    assert [(one.where, one.reason) for one in data.refused] == [(f"{JOURNAL}:3", "torn")]
    coco.write(data, tmp_path / "coco")
    again = open_data(tmp_path / "coco")
    assert [len(sample.truth) for sample in again.samples] == [2, 0] and set(again.names) == {"猫", "dog"}


def test_outlines_keep_their_masks_and_a_picture_without_any_is_of_their_kind(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[5:20, 10:30] = True
    rle = {"size": [HEIGHT, WIDTH], "counts": _rle.encode(mask)}
    data = open_data(folder(tmp_path, [objects(), objects(("cell", 10, 5, 30, 20), rle=rle)]))
    assert data.task == "instances" and {sample.truth.kind for sample in data.samples} == {"instances"}
    assert np.array_equal(data.samples[1].truth.masks()[0], mask)


def test_masks_are_read_from_their_pictures(tmp_path):
    names = ["ground", "路"]
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[10:, 20:], pixels[:2] = 1, VOID
    said = Mask.of(pixels, names).written(tmp_path / "answers-mask")
    data = open_data(folder(tmp_path, [said]))
    assert data.task == "segment" and data.names == names and np.array_equal(data.samples[0].truth.pixels, pixels)


def test_labels_and_numbers(tmp_path):
    shares = {"cat": 0.7, "dog": 0.3}
    sure = {"label": "cat", "probability": 0.7, "probabilities": shares}
    data = open_data(folder(tmp_path / "a", [sure, sure | {"unsure": True}]))
    assert data.task == "classify" and data.names == ["cat", "dog"]
    assert [sample.truth and sample.truth.label for sample in data.samples] == ["cat", None]
    assert any("1" in note and "unsure" in note for note in data.notes)
    several = {"labels": [{"label": "cat", "probability": 0.7}], "probabilities": shares}
    assert open_data(folder(tmp_path / "b", [several])).samples[0].truth.labels == ("cat",)
    assert open_data(folder(tmp_path / "c", [{"numbers": {"weight": 2.5}}])).samples[0].truth.numbers == {"weight": 2.5}


BAD = {
    "no json": "{",
    "not a record": "[1, 2]",
    "no such picture": json.dumps({"path": "/nowhere.png", "label": "a"}),
    "no answer": {"width": 3},
    "another size": objects(("a", 1, 1, 5, 5)) | {"width": 7},
    "no size": {"boxes": []},
    "a label that is missing": {"width": WIDTH, "height": HEIGHT, "boxes": [{"box": [1, 1, 5, 5]}]},
    "a mask that is gone": {"mask": "gone.png", "classes": {"0": "a"}},
    "a number that is none": {"numbers": {"a": "many"}},
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("name", list(BAD))
def test_a_row_that_makes_no_sense_is_named_and_the_rest_goes_on(name, tmp_path):
    data = open_data(folder(tmp_path, [BAD[name], objects(("a", 1, 1, 9, 9))]))
    assert [one.where for one in data.refused] == [f"{JOURNAL}:1"] and len(data) == 1


@pytest.mark.parametrize("box", [[1, 1, float("nan"), 5], [9, 1, 3, 5], [1, 1, 1e9, 5], [1, 1, 1, 1], "abcd"])
def test_a_box_that_makes_no_sense_is_named_and_the_others_stay(box, tmp_path):
    row = objects(("a", 1, 1, 9, 9))
    row["boxes"].append({"label": "a", "probability": 0.5, "box": box})
    data = open_data(folder(tmp_path, [row]))
    assert [one.where for one in data.refused] == [f"{JOURNAL}:1: boxes[1]"] and len(data.samples[0].truth) == 1


def test_frames_of_clips_are_counted_and_nothing_at_all_is_said(tmp_path):
    data = open_data(folder(tmp_path / "a", [objects(("a", 1, 1, 9, 9)), objects() | {"frame": 0}]))
    assert len(data) == 1 and any("1 frames" in note for note in data.notes)
    with pytest.raises(DataError, match="no answer"):
        open_data(folder(tmp_path / "b", [objects() | {"frame": 0}]))

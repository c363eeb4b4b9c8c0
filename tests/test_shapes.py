"""Drawn shapes: the same every time, quick, with outlines that fit what is seen, some touching, some partly covered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from omma.answers.instances import Instances
from omma.data.sample import Dataset
from omma.data.sources import sources
from omma.errors import DataError
from omma.formats import masks, shapes
from omma.formats.format import open_data, sniff


@pytest.fixture(scope="module")
def data() -> Dataset:
    return open_data("shapes")


def test_no_download_and_a_part_for_each_purpose(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data.counts() == {"train": 200, "val": 50, "test": 50} and data.names == ["circle", "box", "star"]
    assert (data.source, data.format, data.task) == ("shapes", "shapes", "detect") and data.task == sources()["shapes"].task
    assert isinstance(data.pixels, np.ndarray) and data.pixels.shape == (300, 128, 128, 3) and data.pixels.dtype == np.uint8
    ids = [sample.id for sample in data.samples]
    assert ids == sorted(ids) and len(set(ids)) == 300 and not sources()["shapes"].files
    place = ids.index("val/00003")
    assert np.array_equal(data.picture(place), shapes.draw(203)[0]) and data.samples[place].split == "val"


def test_a_folder_of_that_name_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    for name in ("shapes/cat/1.png", "shapes/dog/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert open_data("shapes").format == "folders" and sniff(Path("shapes")) == "folders"
    with pytest.raises(DataError, match="drawn"):
        open_data("shapes", format="shapes")


def test_the_same_every_time_and_no_two_alike(data: Dataset) -> None:
    first, truth = shapes.draw(7)
    again, same = shapes.draw(7)
    assert np.array_equal(first, again) and truth.json() == same.json()
    other, _ = shapes.draw(7, seed=1)
    assert not np.array_equal(first, other)
    assert len({picture.tobytes() for picture in data.pixels}) == 300


def test_every_truth_is_boxes_outlines_and_a_count(data: Dataset) -> None:
    for sample in data.samples:
        truth = sample.truth
        assert isinstance(truth, Instances) and (truth.width, truth.height) == (128, 128)
        assert len(truth.labels) == len(truth.boxes) == len(truth.counts) and set(truth.labels) <= set(data.names)
        assert truth.probabilities is None and truth.ignored is None
        for shape, (x1, y1, x2, y2) in zip(truth.masks(), truth.boxes.astype(int), strict=True):
            inside = shape[y1:y2, x1:x2]
            assert shape.sum() == inside.sum() and inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()


def test_a_little_challenge(data: Dataset) -> None:
    """Empty pictures, all classes alike, many sizes, touching and partly covered objects: about as often as intended."""
    counts = [len(sample.truth) for sample in data.samples]
    assert 0.01 < np.mean([count == 0 for count in counts]) < 0.1 and max(counts) == 9 and 3 < np.mean(counts) < 7
    labels = [label for sample in data.samples for label in sample.truth.labels]
    assert all(abs(labels.count(name) / len(labels) - 1 / 3) < 0.05 for name in data.names)
    sides = np.concatenate([(s.truth.boxes[:, 2:] - s.truth.boxes[:, :2]).max(1) for s in data.samples])
    assert sides.min() >= 5 and np.percentile(sides, 10) < 16 and np.percentile(sides, 90) > 36
    touching = 0
    for sample in data.samples[:60]:
        shapes_ = sample.truth.masks()
        assert shapes_.sum(0).max(initial=0) <= 1, "a pixel shows one object"
        grown = [ndimage.binary_dilation(shape) for shape in shapes_]
        touching += sum((grown[i] & shapes_[j]).any() for i in range(len(grown)) for j in range(i))
    assert 0.2 < touching / sum(counts[:60]) < 0.9


def test_outlines_lie_where_the_picture_changes() -> None:
    """Colours just inside and just outside of an outline differ; those of the same outline laid elsewhere do not."""

    def step(picture: np.ndarray, mask: np.ndarray) -> float:
        ring = ndimage.binary_dilation(mask, iterations=3) & ~ndimage.binary_dilation(mask)
        core = mask & ~ndimage.binary_erosion(mask, iterations=3)
        return float(np.abs(picture[core].mean(0) - picture[ring].mean(0)).max())

    mine, moved = [], []
    for number in range(20, 32):
        picture, truth = shapes.draw(number)
        for mask in truth.masks():
            mine.append(step(picture, mask))
            moved.append(step(picture, np.roll(mask, (43, 43), (0, 1))))
    assert np.mean(np.array(mine) > 15) > 0.95 and np.median(mine) > 2 * np.median(moved)


@pytest.mark.parametrize(("name", "least", "most"), [("circle", 0.99, 1.01), ("box", 0.55, 1.0), ("star", 0.36, 0.72)])
def test_every_class_fills_its_circle_as_it_should(name: str, least: float, most: float) -> None:
    rng, whole = np.random.default_rng(0), (slice(0, 128), slice(0, 128))
    share = [(shapes._depth(rng, name, 64, 64, 30, whole) > 0).sum() / (np.pi * 30**2) for _ in range(40)]
    assert least < min(share) and max(share) < most


def test_as_masks_on_disk_and_back(data: Dataset, tmp_path: Path) -> None:
    some = data.choose([0, 1, 2, 150, 151, 152])
    assert masks.write(some, tmp_path / "out") == []
    again = open_data(tmp_path / "out")
    assert again.task == "instances" and again.names == data.names and again.counts() == some.counts()
    for place, (mine, back) in enumerate(zip(some.samples, again.samples, strict=True)):
        assert back.id == f"images/{mine.id}.png" and np.array_equal(some.picture(place), again.picture(place))
        assert back.truth.json() == mine.truth.json()


@pytest.mark.parametrize("kind", ["boxes", "mask", "numbers"])
def test_what_other_tasks_learn_from_them(data: Dataset, kind: str) -> None:
    from omma.data.recast import recast

    some = data.choose(list(range(12)))
    other, _ = recast(some, kind)
    for mine, theirs in zip(some.samples, other.samples, strict=True):
        assert theirs.truth.kind == kind
        if kind == "boxes":
            assert np.array_equal(theirs.truth.boxes, mine.truth.boxes)
        elif kind == "numbers":
            assert max(theirs.truth.numbers.values()) == len(mine.truth)
        else:
            assert ((theirs.truth.pixels > 0) == (mine.truth.masks().sum(0) > 0)).all()

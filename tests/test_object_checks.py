"""What `omma check` says of boxes, outlines and masks: every planted fault is found and named, sound labels have none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from omma.answers import _rle
from omma.answers._marks import palette
from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.answers.label import Label
from omma.answers.mask import VOID, Mask
from omma.checks.finding import Finding
from omma.checks.findings import Findings, inspect, write_clean
from omma.checks.object_doubles import BLOCK, doubles
from omma.data.sample import Dataset, Refused, Sample
from omma.report.dataset import _pictures, dataset_page
from scenes import scene

WIDTH, HEIGHT = 200, 100


def boxes(*objects, ignored=None):
    """`Boxes` of (class, corners)."""
    corners = np.array([box for _, box in objects], float).reshape(-1, 4)
    return Boxes(WIDTH, HEIGHT, [name for name, _ in objects], corners, None, None if ignored is None else np.array(ignored))


def usual(place):
    """Two objects of different size and class, elsewhere in every picture."""
    return boxes(("cat", (10 + place, 10, 40 + place, 30)), ("狗", (90, 20 + place % 9, 150, 80)))


def seen(truths, names=("cat", "狗"), task="detect", refused=(), splits=()) -> Findings:
    """What is found in pictures that differ, with these truths."""
    pixels = np.stack([scene(place, HEIGHT, WIDTH) for place in range(len(truths))])
    samples = [Sample(f"{place:02}", row=place, truth=truth) for place, truth in enumerate(truths)]
    for sample, split in zip(samples, splits, strict=False):
        sample.split = split
    return inspect(Dataset(samples, list(names), task, Path("set"), "test", pixels=pixels, refused=list(refused)), "set")


def kinds(found):
    return {finding.kind: finding for finding in found.findings}


@pytest.fixture(scope="module")
def sound():
    return seen([usual(place) for place in range(60)])


def test_sound_boxes_have_nothing_to_remark(sound):
    assert sound.code == 0 and kinds(sound).keys() == {"few"}, "60 pictures are few, and that is all"


def test_the_report_counts_and_draws_objects(sound):
    html = dataset_page(sound).html()
    assert "objects in a picture, median – most" in html and "2 – 2" in html and "24 – 40 – 60" in html
    picture, about, _ = _pictures(Finding("few", "advice"), sound, [0])[0]
    assert about == "cat · 狗 · 00" and (picture == usual(0).draw(scene(0, HEIGHT, WIDTH))).all()
    plain = _pictures(Finding("few", "advice"), seen([None]), [0])[0][0]
    assert (plain == scene(0, HEIGHT, WIDTH)).all()


def test_a_class_has_one_colour_in_every_picture_of_the_report():
    """Second by name, also where the picture does not show the first."""
    corners = (90, 20, 150, 80)
    one, two = (seen([boxes(*objects)]) for objects in ([("狗", corners)], [("cat", (10, 10, 40, 30)), ("狗", corners)]))
    drawn = [_pictures(Finding("few", "advice"), found, [0])[0][0] for found in (one, two)]
    edges = [{tuple(pixel) for pixel in picture[140:142, 190:].reshape(-1, 3).tolist()} for picture in drawn]
    blue = palette(["cat", "狗"])["狗"]
    assert all(blue in edge for edge in edges)


def test_small_and_whole_objects():
    """1 % of the longer side of 200 pixels is 2: at it is not under it."""
    truths = [usual(place) for place in range(60)]
    truths[7] = boxes(("cat", (5, 5, 6.5, 30)), ("cat", (50, 5, 52, 30)), ("狗", (5, 50, 6, 51)))
    truths[9] = boxes(("狗", (0, 0, 200, 100)), ("cat", (0, 0, 200, 90)))
    truths[11] = boxes(("cat", (5, 5, 6, 6)), ("cat", (0, 0, 200, 100)), ignored=[True, True])
    found = kinds(seen(truths))
    tiny, whole = found["object_tiny"], found["object_whole"]
    assert list(tiny.places) == [7] and tiny.values["objects"] == 2 and tiny.reasons == {"07": "cat 2 × 25, 狗 1 × 1"}
    assert list(whole.places) == [9] and whole.values["objects"] == 1 and whole.severity == tiny.severity == "advice"
    assert "fewer than 6 pixels once the picture has 640" in tiny.what()


def test_counts_of_objects():
    crowd = boxes(*(("cat", (i, 5, i + 20, 30)) for i in range(101)))
    full = boxes(*(("cat", (i, 5, i + 20, 30)) for i in range(100)))
    found = kinds(seen([crowd, full, *(usual(place) for place in range(30))]))
    assert list(found["object_crowded"].places) == [0] and found["object_crowded"].reasons == {"00": "101"}
    assert "object_empty" not in found
    half = kinds(seen([*(boxes() for _ in range(10)), *(usual(place) for place in range(10))]))
    assert "object_empty" not in half
    most = kinds(seen([*(boxes() for _ in range(11)), *(usual(place) for place in range(10))]))["object_empty"]
    assert list(most.places) == list(range(11)) and most.values["pictures"] == 21


def test_objects_drawn_twice():
    truths = [usual(place) for place in range(60)]
    truths[3] = boxes(*(("cat", (left, 10, 110, 60)) for left in (10, 12, 16, 10)), ("狗", (10, 10, 110, 60)))
    truths[4] = boxes(("cat", (10, 10, 110, 60)), ("cat", (10, 10, 110, 60)), ignored=[False, True])
    found = seen(truths)
    double = kinds(found)["object_double"]
    assert found.code == 1 and double.severity == "fault" and list(double.places) == [3]
    assert doubles(truths[3]) == [(0, 1), (0, 3), (1, 2), (1, 3)] and double.values["objects"] == 3
    assert double.reasons["03"].startswith("cat [12, 10, 110, 60], cat [16, 10, 110, 60]")


def test_how_many_objects_overlap_another_is_told():
    """IoU 0.5 is 50 of 100 columns shared of 150: two cats of 90 columns that share 60 of 120."""
    truths = [usual(place) for place in range(59)]
    truths[2] = boxes(("cat", (10, 10, 100, 60)), ("狗", (40, 10, 130, 60)), ("cat", (150, 10, 190, 60)))
    truths[5] = boxes(("cat", (10, 10, 100, 60)), ("cat", (41, 10, 131, 60)))
    truths[6] = boxes(("cat", (10, 10, 100, 60)), ("cat", (10, 10, 100, 60)), ignored=[False, True])
    found = seen(truths)
    overlap = kinds(found)["object_overlap"]
    assert found.code == 0 and overlap.severity == "advice" and list(overlap.places) == [2] and overlap.reasons == {"02": "2"}
    assert overlap.values["objects"] == 2 and overlap.values["share"] == "1.7%", "2 of 118 that count"


def test_doubles_are_found_beyond_a_block():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (BLOCK + 90, 2))
    rows = [("cat", (x, y, x + 3, y + 3)) for x, y in corners]
    truth = boxes(*rows, rows[5], rows[BLOCK + 7])
    pairs = doubles(truth)
    assert {(5, BLOCK + 90), (BLOCK + 7, BLOCK + 91)} <= set(pairs) and len(pairs) < 20
    assert doubles(boxes()) == []


def test_crossing_outlines_share_a_box_and_are_no_doubles():
    bars = np.zeros((2, HEIGHT, WIDTH), bool)
    for i in range(60):
        bars[0, 10 + i, 10 + i : 14 + i] = bars[1, 10 + i, 69 - i : 73 - i] = True
    counts = [_rle.encode(bar) for bar in bars]
    corners = np.array([[10, 10, 73, 70]] * 2, float)
    cross = Instances(WIDTH, HEIGHT, ["cat"] * 2, corners, counts=counts)
    same = Instances(WIDTH, HEIGHT, ["cat"] * 2, corners, counts=[counts[0]] * 2)
    assert doubles(cross) == [] and doubles(same) == [(0, 1)]


def test_balance_of_objects():
    truths = [boxes(("cat", (10, 10, 40, 30)), ("cat", (60, 10, 90, 30)), ("cat", (100, 50, 140, 90))) for _ in range(40)]
    truths[0] = boxes(("狗", (10, 10, 40, 30)), ("狗", (60, 10, 90, 30)), ignored=[False, True])
    found = kinds(seen(truths, names=("cat", "狗", "bird")))
    assert found["object_absent"].files == ["bird"] and found["object_few"].files == ["狗"]
    assert found["object_unequal"].values == {"ratio": "117", "most": "cat", "high": "117", "least": "狗", "low": "1"}
    assert not {"few_in_class", "unbalanced", "one_class", "empty_class"} & found.keys(), "those speak of pictures"


def test_one_class_of_objects_is_no_finding():
    found = kinds(seen([boxes(("raccoon", (10 + i, 10, 40 + i, 30))) for i in range(60)], names=("raccoon",)))
    assert found.keys() == {"few"}


def test_unlabelled_among_labelled():
    found = seen([*(usual(place) for place in range(58)), None, boxes()])
    assert found.code == 0 and kinds(found)["unlabelled_some"].names(found.seen.dataset) == ["58"], "an empty one is labelled"
    plain = seen([None] * 5, task=None)
    assert "unlabelled_some" not in kinds(plain) and "unlabelled" in kinds(plain)
    mixed = seen([Label("cat"), None, Label("狗")], task="classify")
    assert kinds(mixed)["unlabelled_some"].count == 1


def test_bad_records_are_a_fault():
    found = seen([usual(place) for place in range(60)], refused=[Refused("x.json: annotations[3]", "the box has no area")])
    assert found.code == 1 and "x.json: annotations[3] (the box has no area)" in "\n".join(found.lines())


def mask(*shares, names=("background", "road", "sky"), void=0):
    """A mask whose columns are shared out among the classes."""
    pixels = np.repeat(np.arange(len(shares)), shares)[None].repeat(HEIGHT, 0)
    pixels[:, :void] = VOID
    return Mask.of(pixels.astype(np.uint8), names)


ROADS = ("background", "road", "sky")


def test_sound_masks_have_nothing_to_remark():
    assert kinds(seen([mask(60, 70, 70) for _ in range(30)], ROADS, "segment")).keys() == {"few"}


def test_masks_of_one_class_and_of_void():
    truths = [mask(60, 70, 70) for _ in range(20)]
    truths[3], truths[5], truths[8] = mask(200, 0, 0), mask(0, 0, 200), mask(100, 50, 50, void=200)
    found = seen(truths, ROADS, "segment")
    one, void = kinds(found)["mask_one_class"], kinds(found)["mask_void"]
    assert found.code == 0 and one.reasons == {"03": "background", "05": "sky"} and one.values["pictures"] == 20
    assert list(void.places) == [8] and "mask_same" not in kinds(found)


def test_masks_that_are_all_the_same_are_a_fault():
    found = seen([*(mask(200, 0, 0) for _ in range(9)), mask(100, 50, 50, void=200)], ROADS, "segment")
    assert found.code == 1 and kinds(found)["mask_same"].values == {"name": "background"} and "mask_one_class" not in kinds(found)
    assert "mask_same" not in kinds(seen([mask(200, 0, 0), mask(0, 0, 200)], ROADS, "segment"))


def test_rare_and_absent_classes_of_pixels():
    found = kinds(seen([mask(199, 1, 0) for _ in range(20)], ROADS, "segment"))
    assert found["mask_absent"].files == ["sky"] and found["mask_rare"].files == ["road"]
    assert "road (0.50%)" in found["mask_rare"].what()


def test_copies_are_compared_by_what_is_drawn_on_them():
    """The same pixels with other boxes contradict each other; a mirrored copy has its boxes elsewhere, and that is right."""
    pixels = np.stack([scene(place, HEIGHT, WIDTH) for place in range(30)])
    pixels[1], pixels[3], pixels[5] = pixels[0], pixels[2], pixels[4][:, ::-1]
    truths = [usual(place) for place in range(30)]
    truths[3] = truths[2]
    samples = [Sample(f"{place:02}", row=place, truth=truth) for place, truth in enumerate(truths)]
    found = kinds(inspect(Dataset(samples, ["cat", "狗"], "detect", Path("set"), "test", pixels=pixels), "set"))
    assert found["conflict"].groups == [[0, 1]] and found["conflict"].reasons == {"00": "cat, 狗", "01": "cat, 狗"}
    assert found["exact"].count == 2 and found["near"].count == 1 and "near_conflict" not in found


def test_near_copies_across_splits_leak():
    pixels = np.stack([scene(place, HEIGHT, WIDTH) for place in range(30)])
    pixels[29] = pixels[4][:, ::-1]
    samples = [Sample(f"{p:02}", row=p, truth=usual(p), split="test" if p > 20 else "train") for p in range(30)]
    found = kinds(inspect(Dataset(samples, ["cat", "狗"], "detect", Path("set"), "test", pixels=pixels), "set"))
    assert found["leak"].groups == [[4, 29]] and found["leak"].severity == "fault"


def test_spellings_of_classes_of_objects():
    found = seen([boxes(("cat", (10 + i, 10, 40 + i, 30)), ("Cat " if i < 3 else "狗", (90, 10, 140, 30))) for i in range(60)])
    assert kinds(found)["label_variants"].rename == {"Cat ": "cat"}


def test_a_clean_list_never_loses_masks(tmp_path):
    """A table cannot hold them: none is written, and that is said."""
    from PIL import Image

    samples = []
    for place in range(3):
        Image.fromarray(scene(place, HEIGHT, WIDTH)).save(tmp_path / f"{place}.png")
        samples.append(Sample(f"{place}.png", tmp_path / f"{place}.png", truth=mask(60, 70, 70)))
    found = inspect(Dataset(samples, list(ROADS), "segment", tmp_path, "test"), "set")
    write_clean(found, tmp_path / "clean.csv")
    assert not (tmp_path / "clean.csv").exists() and "a list cannot hold classes of pixels" in found.notes[-1]

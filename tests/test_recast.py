"""One kind of truth as another: what can be kept is kept to the pixel, what cannot is said with its number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omma.answers import _rle
from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.answers.mask import VOID, Mask
from omma.answers.numbers import Numbers
from omma.data.recast import TASK, count_objects, kind_of, recast
from omma.data.sample import Dataset, Sample
from omma.errors import OmmaError
from omma.words import LANGUAGES, room

SIDE = 12


def dataset(*truths, names=("cat", "狗")):
    samples = [Sample(f"{i}.png", Path(f"{i}.png"), truth=truth, split="train") for i, truth in enumerate(truths)]
    task = next((TASK[t.kind] for t in truths if t is not None), None)
    return Dataset(samples, list(names), task, Path("."), "test")


def shape(y1, y2, x1, x2):
    pixels = np.zeros((SIDE, SIDE), bool)
    pixels[y1:y2, x1:x2] = True
    return pixels


def outlined(*objects, ignored=None):
    """`Instances` of (class, pixels)."""
    counts = [_rle.encode(pixels) for _, pixels in objects]
    boxes = np.array([_rle.box(text, SIDE, SIDE) for text in counts], float).reshape(-1, 4)
    return Instances(SIDE, SIDE, [label for label, _ in objects], boxes, None, None if ignored is None else np.array(ignored), counts)


def boxed(*objects, ignored=None):
    """`Boxes` of (class, corners)."""
    corners = np.array([box for _, box in objects], float).reshape(-1, 4)
    return Boxes(SIDE, SIDE, [label for label, _ in objects], corners, None, None if ignored is None else np.array(ignored))


TWO = outlined(("cat", shape(0, 4, 0, 4)), ("狗", shape(2, 8, 2, 8)))


def test_the_same_kind_is_the_same_dataset():
    data = dataset(TWO)
    same, lost = recast(data, "instances")
    assert same is data and lost == [] and kind_of(data) == "instances" and count_objects(data) == 2


def test_outlines_lose_their_shape_and_keep_everything_else():
    data = dataset(outlined(("cat", shape(0, 4, 0, 4)), ("狗", shape(2, 8, 2, 9)), ignored=[False, True]), outlined(), None)
    boxes, lost = recast(data, "boxes")
    first, empty, unknown = (sample.truth for sample in boxes.samples)
    assert type(first) is Boxes and first.labels == ["cat", "狗"] and first.ignored.tolist() == [False, True]
    assert first.boxes.tolist() == [[0, 0, 4, 4], [2, 2, 9, 8]]
    assert len(empty) == 0 and type(empty) is Boxes and unknown is None
    assert boxes.task == "detect" and boxes.samples[0].split == "train" and boxes.names == data.names
    assert len(lost) == 1 and "2 outlines" in lost[0]
    assert kind_of(data) == "instances", "what was given is left as it is"


def test_boxes_become_filled_rectangles_and_that_is_said():
    data = dataset(boxed(("cat", (1, 2, 4, 7)), ("狗", (0.4, 0.6, 2.6, 3.4)), ("狗", (5.1, 5.1, 5.7, 5.7)), ("cat", (11.5, 0, 12, 12))))
    masks, lost = recast(data, "instances")
    truth = masks.samples[0].truth
    assert [int(pixels.sum()) for pixels in truth.masks()] == [15, 3 * 2, 1, 12]
    assert truth.boxes.tolist() == data.samples[0].truth.boxes.tolist(), "the boxes themselves are not moved"
    assert truth.masks()[1, 1:3, 0:3].all() and masks.task == "instances"
    assert len(lost) == 1 and "4 masks" in lost[0] and "rectangles" in lost[0]


@given(st.floats(0, SIDE - 0.5), st.floats(0, SIDE - 0.5), st.floats(0.5, SIDE), st.floats(0.5, SIDE))
@settings(max_examples=200, deadline=None)
def test_a_rectangle_is_its_box_to_half_a_pixel(x1, y1, width, height):
    box = (x1, y1, min(x1 + width, SIDE), min(y1 + height, SIDE))
    masks, _ = recast(dataset(boxed(("cat", box))), "instances")
    found = np.array(_rle.box(masks.samples[0].truth.counts[0], SIDE, SIDE))
    sides = np.array(box[2:]) - box[:2]
    slack = np.where(np.tile(sides, 2) < 1, 1, 0.5)  # of a box thinner than a pixel one pixel remains
    assert (np.abs(found - box) <= slack + 1e-9).all(), (box, found)


def test_outlines_become_classes_of_pixels_and_the_later_object_wins():
    mask, lost = recast(dataset(TWO, outlined()), "mask")
    first, empty = (sample.truth.pixels for sample in mask.samples)
    assert mask.names == ["background", "cat", "狗"] == list(mask.samples[0].truth.classes) and mask.task == "segment"
    assert (first[2:8, 2:8] == 2).all() and (first == 1).sum() == 16 - 4 and (first == 0).sum() == 144 - 16 - 36 + 4
    assert not empty.any()
    assert "2 objects" in lost[0] and "in 1 pictures" in lost[1] and "the 4 pixels" in lost[1] and "background" in lost[2]


def test_objects_of_one_class_that_overlap_take_nothing_from_one_another():
    """Negative control of the one above."""
    _, lost = recast(dataset(outlined(("cat", shape(0, 4, 0, 4)), ("cat", shape(2, 8, 2, 8)))), "mask")
    assert not any("overlap" in line for line in lost)


def test_what_counts_neither_way_becomes_void_below_everything():
    truth = outlined(("cat", shape(0, 4, 0, 4)), ("狗", shape(2, 8, 2, 8)), ignored=[False, True])
    mask, lost = recast(dataset(truth), "mask")
    pixels = mask.samples[0].truth.pixels
    assert (pixels[:4, :4] == 1).all() and (pixels == VOID).sum() == 36 - 4
    assert any("1 objects" in line and "void" in line for line in lost) and not any("overlap" in line for line in lost)


def test_a_class_called_background_is_the_background():
    mask, lost = recast(dataset(outlined(("cat", shape(0, 2, 0, 2))), names=("cat", "background")), "mask")
    assert mask.names == ["cat", "background"] and (mask.samples[0].truth.pixels == 1).sum() == 140
    assert not any("background" in line for line in lost)


def test_more_classes_than_a_mask_holds():
    names = [str(i) for i in range(255)]
    with pytest.raises(OmmaError, match="256 classes are too many"):
        recast(dataset(outlined(("0", shape(0, 2, 0, 2))), names=names), "mask")
    assert len(recast(dataset(outlined(("0", shape(0, 2, 0, 2))), names=names[:254]), "mask")[0].names) == 255


def test_boxes_become_a_mask_through_rectangles_and_all_is_said():
    mask, lost = recast(dataset(boxed(("狗", (1, 2, 4, 7)))), "mask")
    assert (mask.samples[0].truth.pixels == 2).sum() == 15 and len(lost) == 3 and "rectangles" in lost[0]


def pixels_of(*rows):
    return np.array([[VOID if sign == "?" else int(sign) for sign in row] for row in rows], np.uint8)


def test_regions_become_objects():
    pixels = pixels_of("110022", "110020", "001100", "000011", "2????2")
    objects, lost = recast(dataset(Mask.of(pixels, ["background", "cat", "狗"]), None, names=["background", "cat", "狗"]), "instances")
    truth = objects.samples[0].truth
    assert list(truth.labels) == ["cat", "狗", "狗", "狗"], "corners touch: the chain of 1 is one object"
    assert truth.boxes.tolist() == [[0, 0, 6, 4], [4, 0, 6, 2], [0, 4, 1, 5], [5, 4, 6, 5]]
    assert truth.masks()[0].sum() == 8 and objects.names == ["cat", "狗"] and objects.samples[1].truth is None
    assert "4 connected regions" in lost[0] and "background" in lost[1] and "1 pictures have void" in lost[2]


def test_without_a_background_every_class_has_regions():
    objects, lost = recast(dataset(Mask.of(pixels_of("0011", "0011"), ["sky", "road"]), names=["sky", "road"]), "instances")
    assert list(objects.samples[0].truth.labels) == ["sky", "road"] and len(lost) == 1


def test_of_numbered_classes_nought_is_the_background():
    objects, _ = recast(dataset(Mask.of(pixels_of("0011", "0011"), ["0", "7"]), names=["0", "7"]), "instances")
    assert list(objects.samples[0].truth.labels) == ["7"] and objects.names == ["7"]


@given(st.integers(0, 2**31), st.integers(2, 14), st.integers(2, 14))
@settings(max_examples=60, deadline=None)
def test_a_mask_survives_being_objects(seed, height, width):
    names = ["background", "cat", "狗"]
    pixels = np.random.default_rng(seed).integers(0, 3, (height, width)).astype(np.uint8)
    objects, _ = recast(dataset(Mask.of(pixels, names), names=names), "instances")
    truth = objects.samples[0].truth
    assert truth.masks().sum(0).max(initial=0) <= 1, "regions do not overlap"
    mask, lost = recast(objects, "mask")
    assert mask.names == names and (mask.samples[0].truth.pixels == pixels).all()
    assert not any("overlap" in line for line in lost)


def test_objects_are_counted():
    data = dataset(outlined(("cat", shape(0, 2, 0, 2)), ("cat", shape(5, 7, 5, 7)), ("狗", shape(9, 11, 9, 11))), outlined(), None)
    numbers, lost = recast(data, "numbers")
    assert numbers.names == ["cat", "狗", "total"] and numbers.task == "regress"
    assert numbers.samples[0].truth.numbers == {"cat": 2.0, "狗": 1.0, "total": 3.0}
    assert numbers.samples[1].truth.numbers == {"cat": 0.0, "狗": 0.0, "total": 0.0} and numbers.samples[2].truth is None
    assert len(lost) == 1 and "3 objects" in lost[0]


def test_counts_of_one_class_of_a_class_called_total_and_of_what_is_ignored():
    one, _ = recast(dataset(boxed(("cat", (0, 0, 2, 2)), ("cat", (0, 0, 9, 9)), ignored=[False, True]), names=["cat"]), "numbers")
    assert one.names == ["cat"] and one.samples[0].truth.numbers == {"cat": 1.0}
    odd, _ = recast(dataset(boxed(("total", (0, 0, 2, 2))), names=["total", "cat"]), "numbers")
    assert odd.samples[0].truth.numbers == {"total": 1.0, "cat": 0.0}
    _, lost = recast(dataset(boxed(("cat", (0, 0, 2, 2)), ("cat", (0, 0, 9, 9)), ignored=[False, True]), names=["cat"]), "numbers")
    assert "1 objects" in lost[0] and "1 objects that count neither" in lost[1]


def test_regions_are_counted_and_both_losses_said():
    pixels = pixels_of("1010", "0000")
    numbers, lost = recast(dataset(Mask.of(pixels, ["background", "cell"]), names=["background", "cell"]), "numbers")
    assert numbers.samples[0].truth.numbers == {"cell": 2.0} and len(lost) == 3


def test_which_classes_are_there():
    labels, lost = recast(dataset(TWO, boxed(("狗", (0, 0, 2, 2)), ("狗", (0, 0, 3, 3))), outlined()), "labels")
    assert [sample.truth.labels for sample in labels.samples] == [("cat", "狗"), ("狗",), ()] and labels.task == "multilabel"
    assert len(lost) == 1
    seen, _ = recast(dataset(Mask.of(pixels_of("02?", "020"), ["bg", "cat", "狗"]), names=["bg", "cat", "狗"]), "labels")
    assert seen.samples[0].truth.labels == ("狗",) and seen.names == ["cat", "狗"]


def test_one_class_a_picture_is_a_class():
    one, _ = recast(dataset(boxed(("狗", (0, 0, 2, 2)), ("狗", (0, 0, 3, 3))), boxed(("cat", (0, 0, 2, 2)))), "label")
    assert [sample.truth.label for sample in one.samples] == ["狗", "cat"] and one.task == "classify"
    with pytest.raises(OmmaError, match=r"2 pictures show several classes or none.*0\.png, 1\.png"):
        recast(dataset(TWO, boxed()), "label")
    several, lost = recast(dataset(Label("cat")), "labels")
    assert several.samples[0].truth.labels == ("cat",) and lost == []


def test_boxes_among_outlines_count_as_boxes():
    data = dataset(TWO, boxed(("cat", (1, 2, 4, 7))))
    assert kind_of(data) == "boxes"
    boxes, lost = recast(data, "boxes")
    assert all(type(sample.truth) is Boxes for sample in boxes.samples) and "2 outlines" in lost[0]
    masks, lost = recast(data, "instances")
    assert masks.samples[0].truth is TWO and "1 masks" in lost[0], "real outlines stay"


@pytest.mark.parametrize(
    ("truth", "kind"),
    [
        (Label("cat"), "boxes"), (Label("cat"), "mask"), (Labels(("cat",)), "instances"), (Numbers({"n": 1.0}), "boxes"),
        (Numbers({"n": 1.0}), "label"), (Label("cat"), "numbers"), (Labels(("cat",)), "numbers"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("tongue", LANGUAGES)
def test_what_has_no_meaning_is_one_line(truth, kind, tongue, monkeypatch):
    monkeypatch.setenv("OMMA_LANG", tongue)
    with pytest.raises(OmmaError) as refused:
        recast(dataset(truth), kind)
    words = room(tongue, "convert")
    assert words[f"kind.{truth.kind}"] in str(refused.value) and words[f"kind.{kind}"] in str(refused.value)
    assert "\n" not in str(refused.value)


def test_unlabelled_pictures_become_nothing():
    with pytest.raises(OmmaError, match="none of these pictures has a label"):
        recast(dataset(None, None), "boxes")

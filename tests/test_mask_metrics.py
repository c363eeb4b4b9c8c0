"""Metrics of masks and of instances say what their papers, a slow count, or the field's own tools say."""

from __future__ import annotations

from dataclasses import replace
from time import process_time

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn import metrics as sk

from omma.answers import _rle
from omma.answers.instances import Instances
from omma.answers.mask import VOID, Mask
from omma.errors import OmmaError
from omma.metrics.bootstrap import compare, interval, measure
from omma.metrics.metric import Score
from omma.metrics.pixel_auc import PixelAuc
from omma.metrics.pixel_ece import PixelEce
from omma.metrics.sets import instances, segmentation
from omma.recipe import Recipe
from omma.report.evaluation import shown
from omma.tasks.segment import Segment
from omma.words import number, room

NAMES = ["background", "树", "road", "never", "sky"]
SHOWN = [0, 1, 2, 4]
COUNT = 12


def blocks(rng, height, width, values, size=8):
    """A label map of blocks, as coarse as objects are."""
    small = rng.choice(values, (-(-height // size), -(-width // size)))
    return np.kron(small, np.ones((size, size), np.uint8))[:height, :width].astype(np.uint8)


def wrongly(rng, truth, values, share=0.3):
    """`truth` with some of its blocks of four pixels given another class."""
    wrong = np.kron(rng.random((-(-truth.shape[0] // 4), -(-truth.shape[1] // 4))) < share, np.ones((4, 4), bool))
    return np.where(wrong[: truth.shape[0], : truth.shape[1]], blocks(rng, *truth.shape, values, 4), truth)


@pytest.fixture(scope="module")
def scenes():
    """(predictions, truths, weights with zeros): label maps of several sizes, with open pixels in the truth."""
    rng = np.random.default_rng(3)
    said, true = [], []
    for place in range(COUNT):
        truth = blocks(rng, 40 + place, 61 - place, SHOWN)
        said.append(wrongly(rng, truth, SHOWN))
        true.append(np.where(blocks(rng, *truth.shape, [0, 0, 0, 1], 5) == 1, VOID, truth))
    return [Mask.of(a, NAMES) for a in said], [Mask.of(a, NAMES) for a in true], rng.integers(0, 4, COUNT)


def value(metric, said, true, weight=None):
    return metric.summary(metric.records(said, true), np.ones(len(true), np.float32) if weight is None else np.asarray(weight, np.float32))


def parts(metric, said, true):
    return dict(zip(metric.names, metric.each(metric.records(said, true), np.ones((len(true), 1), np.float32))[:, 0], strict=True))


def of(rows, names=("background", "lesion")):
    return Mask.of(np.array(rows), list(names))


def square(top, left, side, height=60, width=80):
    pixels = np.zeros((height, width), np.uint8)
    pixels[top : top + side, left : left + side] = 1
    return pixels


# ── pixels ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("weighted", [False, True])
def test_overlaps_agree_with_scikit_learn(scenes, weighted):
    said, true, drawn = scenes
    weight = drawn if weighted else np.ones(COUNT)
    y = np.concatenate([mask.pixels.ravel() for mask in true])
    p = np.concatenate([mask.pixels.ravel() for mask in said])
    w = np.concatenate([np.full(mask.pixels.size, part) for mask, part in zip(true, weight, strict=True)])
    y, p, w = y[y != VOID], p[y != VOID], w[y != VOID]
    counted = {"sample_weight": w, "average": "macro"}
    wanted = {
        "mIoU": sk.jaccard_score(y, p, labels=SHOWN, **counted),
        "dice": sk.f1_score(y, p, labels=SHOWN[1:], **counted),
        "pixel_accuracy": sk.accuracy_score(y, p, sample_weight=w),
    }
    metrics = segmentation(NAMES)
    assert {key: value(metrics[key], said, true, weight) for key in wanted} == pytest.approx(wanted, abs=1e-9)
    for key, score in (("mIoU", sk.jaccard_score), ("dice", sk.f1_score)):
        rows = metrics[key].each(metrics[key].records(said, true), np.asarray(weight, np.float32)[:, None])[:, 0]
        assert rows[SHOWN] == pytest.approx(score(y, p, labels=SHOWN, sample_weight=w, average=None), abs=1e-9)
        assert np.isnan(rows[3])


def test_dice_of_pictures_is_the_mean_of_their_dice(scenes):
    said, true, drawn = scenes
    means = []
    for c in SHOWN[1:]:
        own = []
        for a, b in zip(said, true, strict=True):
            a, b = (a.pixels == c) & (b.pixels != VOID), b.pixels == c
            own.append(2 * (a & b).sum() / (a.sum() + b.sum()))
        means.append(np.average(own, weights=drawn))
    assert value(segmentation(NAMES)["dice_picture"], said, true, drawn) == pytest.approx(np.mean(means), abs=1e-9)


def test_a_small_lesion_weighs_as_much_as_a_large_one_only_in_the_mean_over_pictures():
    true = [of(square(10, 10, 40)), of(square(10, 10, 2))]
    said = [true[0], of(square(50, 50, 2))]
    metrics = segmentation(["background", "lesion"])
    assert value(metrics["dice"], said, true) == pytest.approx(2 * 1600 / (2 * 1600 + 8))
    assert value(metrics["dice_picture"], said, true) == 0.5


def test_dice_of_one_foreground_class_is_not_flattered_by_the_background():
    true, said = [of(square(10, 10, 20))], [of(square(10, 10, 0))]
    metrics = segmentation(["background", "lesion"])
    found = {key: value(metrics[key], said, true) for key in ("mIoU", "dice", "dice_picture", "pixel_accuracy")}
    assert found == pytest.approx({"mIoU": 4400 / 4800 / 2, "dice": 0, "dice_picture": 0, "pixel_accuracy": 4400 / 4800})
    assert parts(metrics["dice"], said, true) == pytest.approx({"background": 2 * 4400 / (2 * 4400 + 400), "lesion": 0})
    # Two classes of which neither is called background are both meant.
    land = [Mask.of(mask.pixels, ["sea", "land"]) for mask in (*said, *true)]
    assert value(segmentation(["sea", "land"])["dice"], land[:1], land[1:]) == pytest.approx(4400 / (2 * 4400 + 400))


def test_a_picture_without_a_lesion_is_left_out_unless_one_is_invented():
    clean, lesion, invented = of(square(0, 0, 0)), of(square(5, 5, 10)), of(square(30, 30, 4))
    metric = segmentation(["background", "lesion"])["dice_picture"]
    assert value(metric, [clean, lesion], [clean, lesion]) == 1
    assert value(metric, [invented, lesion], [clean, lesion]) == 0.5
    assert np.isnan(value(metric, [clean], [clean]))


@pytest.mark.parametrize("key", segmentation(NAMES))
def test_what_is_said_of_open_pixels_changes_nothing(scenes, key):
    said, true, _ = scenes
    metric = segmentation(NAMES)[key]
    other = [Mask.of(np.where(t.pixels == VOID, 2, s.pixels), NAMES) for s, t in zip(said, true, strict=True)]
    assert any(not np.array_equal(a.pixels, b.pixels) for a, b in zip(said, other, strict=True))
    before, after = metric.records(said, true), metric.records(other, true)
    assert before.keys() == after.keys() and all(np.array_equal(before[k], after[k], equal_nan=True) for k in before)


def test_a_pixel_the_prediction_leaves_open_is_missed_and_nothing_is_invented():
    true, said = of([[1, 1, 1, 0]]), of([[1, VOID, 1, VOID]])
    records = segmentation(["background", "lesion"])["mIoU"].records([said], [true])
    assert {key: rows[0].tolist() for key, rows in records.items()} == {
        "tp": [0, 2],
        "fp": [0, 0],
        "fn": [1, 1],
        "confusion": [[0, 0], [0, 2]],
    }


def test_a_class_named_but_never_true_counts_as_zero():
    metric = segmentation(["a", "b", "c"])["mIoU"]
    said, true = of([[0, 0, 0, 2]], "abc"), of([[0, 0, 0, 0]], "abc")
    assert parts(metric, [said], [true]) == pytest.approx({"a": 0.75, "b": np.nan, "c": 0}, nan_ok=True)
    assert value(metric, [said], [true]) == 0.375


@pytest.mark.parametrize("key", segmentation(NAMES))
def test_classes_in_another_order_are_matched_by_name(scenes, key):
    said, true, _ = scenes
    order = [3, 0, 4, 2, 1]
    table = np.full(256, VOID)
    table[order] = range(5)
    turned = [Mask.of(table[mask.pixels], [NAMES[i] for i in order]) for mask in said]
    metric = segmentation(NAMES)[key]
    assert value(metric, turned, true) == value(metric, said, true)


def test_confusion_counts_every_scored_pixel_once_and_shows_where(scenes):
    said, true, _ = scenes
    metric = segmentation(NAMES)["mIoU"]
    records = metric.records(said, true)
    y, p = (np.concatenate([mask.pixels.ravel() for mask in side]) for side in (true, said))
    wanted = sk.confusion_matrix(y[y != VOID], p[y != VOID], labels=range(5))
    assert metric.figure(records) == {"kind": "confusion", "names": NAMES, "counts": wanted.tolist()}
    *pairs, least = metric.galleries(records, 4)
    np.fill_diagonal(wanted, 0)
    assert [pair.values["count"] for pair in pairs] == np.sort(wanted.ravel())[::-1][:3].tolist()
    for pair in pairs:
        a, b = NAMES.index(pair.values["true"]), NAMES.index(pair.values["named"])
        counts = [((t.pixels == a) & (s.pixels == b)).sum() for s, t in zip(said, true, strict=True)]
        assert pair.places[0] == np.argmax(counts) and pair.values["count"] == sum(counts)
    own = [value(metric, [s], [t]) for s, t in zip(said, true, strict=True)]
    assert least.places == np.argsort(own)[:4].tolist()
    assert [gallery.title for gallery in metric.galleries(metric.records(true, true))] == [], "nothing to show of a perfect answer"


def test_many_classes_are_counted_without_a_table_for_each_picture():
    names = [f"c{i}" for i in range(255)]
    rng = np.random.default_rng(0)
    true = rng.integers(0, 255, (64, 64))
    true[0] = VOID
    said = np.where(rng.random((64, 64)) < 0.5, true, rng.integers(0, 255, (64, 64)))
    metric = segmentation(names)["mIoU"]
    records = metric.records([Mask.of(said, names)], [Mask.of(true, names)])
    assert "confusion" not in records and metric.figure(records) is None
    wanted = sk.jaccard_score(true[1:].ravel(), said[1:].ravel(), average="macro", labels=np.unique([true[1:], said[1:]]))
    assert metric.summary(records, np.ones(1)) == pytest.approx(wanted, abs=1e-9)


def test_pictures_of_another_size_are_no_prediction():
    with pytest.raises(AssertionError, match="size"):
        segmentation(["background", "lesion"])["mIoU"].records([of([[1, 0]])], [of([[1], [0]])])


# ── outlines ────────────────────────────────────────────────────────────────────────────────────────────


def outline(pixels, c, frame):
    """Slowly: the pixels of a class that erosion by a cross takes away."""
    return np.argwhere((pixels == c) & ~ndimage.binary_erosion(pixels == c, border_value=not frame))


def by_class(scenes, frame):
    """(picture, class) → both outlines, open pixels cut out."""
    said, true, _ = scenes
    for place, (s, t) in enumerate(zip(said, true, strict=True)):
        a, b = np.where(t.pixels == VOID, VOID, s.pixels), t.pixels
        for c in range(len(NAMES)):
            yield place, c, outline(a, c, frame), outline(b, c, frame)


def test_boundary_f1_agrees_with_every_pair_of_outline_pixels(scenes):
    scores = np.full((COUNT, len(NAMES)), np.nan)
    for place, c, a, b in by_class(scenes, frame=False):
        if len(a) and len(b):
            far = cdist(a, b)
            reach = 0.0075 * np.hypot(scenes[1][place].height, scenes[1][place].width)
            precision, recall = (far.min(1) <= reach).mean(), (far.min(0) <= reach).mean()
            scores[place, c] = 2 * precision * recall / (precision + recall)
        elif len(a) or len(b):
            scores[place, c] = 0
    metric = segmentation(NAMES)["boundary_f1"]
    assert np.allclose(metric.records(*scenes[:2])["value"], scores, atol=1e-12, equal_nan=True)
    assert value(metric, *scenes) == pytest.approx(np.average(np.nanmean(scores, 1), weights=scenes[2]), abs=1e-9)


# At 7 pixels the upright sides match near their corners only: 410 of 796 pixels of the square's outline, 410 of 800 of the ground's.
@pytest.mark.parametrize(("shift", "wanted"), [(0, 1.0), (6, 1.0), (7, (410 / 796 + 410 / 800) / 2)])
def test_outlines_within_three_quarters_of_a_per_cent_of_the_diagonal_match(shift, wanted):
    true, said = of(square(100, 100, 200, 480, 640)), of(square(100, 100 + shift, 200, 480, 640))  # diagonal 800: 6 pixels
    assert value(segmentation(["background", "lesion"])["boundary_f1"], [said], [true]) == pytest.approx(wanted, abs=1e-12)


def test_the_frame_of_a_picture_is_nobodys_boundary():
    true, said = np.zeros((200, 100), np.uint8), np.zeros((200, 100), np.uint8)
    true[:50], said[:90] = 1, 1  # a horizon 40 rows too low: no part of it matches, though both run along three sides
    metric = segmentation(["land", "sky"])["boundary_f1"]
    masks = [Mask.of(pixels, ["land", "sky"]) for pixels in (said, true)]
    assert value(metric, masks[:1], masks[1:]) == 0
    assert value(metric, masks[:1], masks[:1]) == 1
    whole = Mask.of(np.zeros((9, 9)), ["land", "sky"])
    assert np.isnan(value(metric, [whole], [whole])), "without an outline there is nothing to judge"


def test_hd95_agrees_with_every_pair_of_outline_pixels(scenes):
    far = np.full((COUNT, len(NAMES)), np.nan)
    for place, c, a, b in by_class(scenes, frame=True):
        if len(a) and len(b):
            table = cdist(a, b)
            far[place, c] = max(np.percentile(table.min(1), 95), np.percentile(table.min(0), 95))
    assert np.isfinite(far[:, SHOWN]).all() and np.isnan(far[:, 3]).all()
    metric = segmentation(NAMES)["hd95"]
    assert np.allclose(metric.records(*scenes[:2])["value"], far, atol=1e-9, equal_nan=True)
    assert value(metric, *scenes) == pytest.approx(np.average(far[:, [1, 2, 4]], axis=0, weights=scenes[2]).mean(), abs=1e-9)


def test_hd95_in_millimetres_where_pixels_are_not_square():
    """7 columns of 0.3 mm apart; a square moved by 7 rows of 0.5 mm; the diagonal of 60 × 80 pixels is 30 × 24 mm."""
    here, across, down, nothing = of(square(10, 10, 20)), of(square(10, 17, 20)), of(square(17, 10, 20)), of(square(0, 0, 0))
    names = ["background", "lesion"]
    metric = segmentation(names, (0.5, 0.3))["hd95"]
    found = [value(metric, [said], [here]) for said in (across, down, nothing)]
    assert found == pytest.approx([2.1, 3.5, np.hypot(30, 24)])
    assert value(segmentation(names, (0.5,))["hd95"], [across], [here]) == pytest.approx(3.5)
    assert value(segmentation(names, (0.5, 0.3))["boundary_f1"], [across], [here]) == value(
        segmentation(names)["boundary_f1"], [across], [here]
    )
    score = interval(metric, metric.records([across, down], [here, here]))
    assert score.json()["unit"] == "mm" and Score.from_json(score.json()) == score
    assert shown(score, metric).startswith("2.8 mm (") and number(score.value, score.unit) == "2.8000 mm"
    assert "unit" not in interval(segmentation(names)["dice"], segmentation(names)["dice"].records([across], [here])).json()


@pytest.mark.parametrize("spacing", ["0", "-1,2", "1,2,3", "inf"])
def test_a_spacing_that_is_none_is_one_line(spacing):
    recipe = Recipe(task="segment").tell([f"spacing={spacing}"])
    with pytest.raises(OmmaError, match="spacing="):
        Segment(NAMES, **recipe.task_settings).plan(None, recipe)


def test_hd95_is_read_off_the_picture_and_a_missed_class_costs_the_diagonal():
    metric = segmentation(["background", "lesion"])["hd95"]
    nothing, here, aside = of(square(0, 0, 0)), of(square(10, 10, 20)), of(square(10, 17, 20))
    assert value(metric, [here], [here]) == 0
    assert value(metric, [aside], [here]) == 7
    for said, true in ((nothing, here), (here, nothing)):
        assert value(metric, [said], [true]) == 100  # 60 × 80
    assert value(metric, [nothing, aside], [nothing, here]) == 7, "a picture where neither side shows it says nothing"
    assert metric.galleries(metric.records([here, nothing, aside], [here] * 3))[0].places == [1, 2]
    assert (metric.better, metric.unit, metric.scale) == ("lower", "px", "positive")


# ── objects ─────────────────────────────────────────────────────────────────────────────────────────────


def objects(masks, labels=None, sure=None, ignored=None, size=(4, 20)):
    """Instances from masks (H, W)."""
    masks = [np.asarray(mask, bool) for mask in masks]
    height, width = masks[0].shape if masks else size
    counts = [_rle.encode(mask) for mask in masks]
    corners = np.array([_rle.box(text, height, width) for text in counts]).reshape(-1, 4)
    aside = None if ignored is None else np.array(ignored, bool)
    return Instances(width, height, labels or ["cell"] * len(masks), corners, sure, aside, counts)


def strip(row, start, end):
    """Pixels `start` to `end` of one row of a picture of 4 × 20."""
    mask = np.zeros((4, 20), bool)
    mask[row, start:end] = True
    return mask


FOUR = [strip(0, 0, 10), strip(1, 0, 10), strip(2, 0, 10), strip(3, 0, 10)]
# IoU 1, 0.8 and 0.6 with the first three; the fourth is missed, two are invented: one touches the third, one nothing.
SAID = [strip(0, 0, 10), strip(1, 0, 8), strip(2, 0, 6), strip(2, 6, 10), strip(3, 12, 20)]


def test_panoptic_quality_worked_by_hand():
    metrics = instances(["cell"])
    found = {key: value(metrics[key], [objects(SAID)], [objects(FOUR)]) for key in ("PQ", "SQ", "RQ")}
    assert found == pytest.approx({"PQ": 2.4 / (3 + 0.5 * 2 + 0.5 * 1), "SQ": 0.8, "RQ": 3 / 4.5})
    assert found["PQ"] == pytest.approx(found["SQ"] * found["RQ"])


def test_nuclei_ap_worked_by_hand():
    # Three pairs up to 0.6, two up to 0.8, one beyond; of 4 true and 5 predicted objects.
    metrics = instances(["cell"])
    wanted = (3 * 3 / (9 - 3) + 4 * 2 / (9 - 2) + 3 * 1 / (9 - 1)) / 10
    assert value(metrics["AP_nuclei"], [objects(SAID)], [objects(FOUR)]) == pytest.approx(wanted)
    assert value(metrics["AP_nuclei_50"], [objects(SAID)], [objects(FOUR)]) == 0.5
    # The mean is over pictures, however many objects they hold.
    one = [objects(FOUR[:1])]
    assert value(metrics["AP_nuclei_50"], [objects(SAID), *one], [objects(FOUR), *one]) == 0.75


def test_half_of_an_object_is_a_pair_for_nuclei_ap_once_and_none_for_panoptic_quality():
    metrics = instances(["cell"])
    halves, whole = objects([strip(0, 0, 5), strip(0, 5, 10)]), objects([strip(0, 0, 10)])
    assert value(metrics["AP_nuclei_50"], [halves], [whole]) == 0.5
    assert value(metrics["PQ"], [halves], [whole]) == value(metrics["SQ"], [halves], [whole]) == 0


def test_an_object_said_twice_is_found_once():
    metrics = instances(["cell"])
    twice = objects([strip(0, 0, 9), strip(0, 0, 10), strip(0, 1, 10)])
    found = {key: value(metrics[key], [twice], [objects(FOUR[:1])]) for key in ("PQ", "AP_nuclei")}
    assert found == pytest.approx({"PQ": 1 / 2, "AP_nuclei": 1 / 3}), "the best of the three is the pair"


def test_a_right_mask_with_the_wrong_name_is_missed_and_invented():
    metrics = instances(["a", "b"])
    said, true = objects(FOUR[:2], ["b", "b"]), objects(FOUR[:2], ["a", "b"])
    assert value(metrics["AP_nuclei_50"], [said], [true]) == pytest.approx(1 / 3)
    assert parts(metrics["AP_nuclei_50"], [said], [true]) == pytest.approx({"a": 0, "b": 0.5})
    assert parts(metrics["PQ"], [said], [true]) == pytest.approx({"a": 0, "b": 2 / 3})
    assert value(metrics["PQ"], [said], [true]) == pytest.approx(1 / 3)


def test_what_lies_in_an_ignored_object_is_not_held_against_anyone():
    metrics = instances(["cell", "other"])
    crowd = np.zeros((4, 20), bool)
    crowd[2:] = True
    said = objects([FOUR[0], strip(2, 3, 9), strip(1, 10, 12), strip(3, 0, 20)])
    true = objects([FOUR[0], crowd], ignored=[False, True])
    assert value(metrics["AP_nuclei_50"], [said], [true]) == value(metrics["PQ"], [said], [true]) * 0 + 1 / 2, "one of three counts"
    assert value(metrics["PQ"], [said], [true]) == pytest.approx(1 / 1.5)
    # An ignored object of another class excuses nothing, and no ignored object is ever found or missed.
    other = objects([FOUR[0], crowd], ["cell", "other"], ignored=[False, True])
    assert value(metrics["AP_nuclei_50"], [said], [other]) == 1 / 4
    assert value(metrics["AP_nuclei_50"], [objects(FOUR[:1])], [true]) == 1
    # Half inside is not more than half.
    both = np.zeros((4, 20), bool)
    both[1:3, 12:] = True
    assert value(metrics["AP_nuclei_50"], [objects([FOUR[0], both])], [true]) == 1 / 2


def test_what_is_below_the_threshold_is_not_shown_and_ranks_all_the_same():
    said = objects([FOUR[0], FOUR[1], strip(3, 12, 20)], sure=np.array([0.9, 0.5, 0.49], np.float32))
    keys = ("PQ", "AP_nuclei_50", "mask_AP50")
    for threshold, wanted in ((0.5, (4 / 6, 0.5)), (0.6, (2 / 5, 0.25)), (0.0, (4 / 7, 2 / 5))):
        metrics = instances(["cell"], threshold)
        ranked = pytest.approx([*wanted, 51 / 101])
        assert [value(metrics[key], [said], [objects(FOUR)]) for key in keys] == ranked


def test_answers_are_not_taken_for_those_before():
    """Metrics share the pairs of the last answers; others must be looked at anew."""
    metric = instances(["cell"])["PQ"]
    right, nothing = objects(FOUR), objects([])
    found = [value(metric, [said], [objects(FOUR)]) for said in (right, nothing, right)]
    assert found == [1, 0, 1]
    records = metric.records([right], [right])
    records["told"] = records["told"] * 2
    assert value(metric, [right], [right]) == 1


def test_pictures_without_objects():
    metrics = instances(["cell"])
    nothing, one = objects([]), objects(FOUR[:1])
    for key in ("AP_nuclei", "AP_nuclei_50", "PQ"):
        assert np.isnan(value(metrics[key], [nothing], [nothing]))
        assert value(metrics[key], [nothing], [one]) == value(metrics[key], [one], [nothing]) == 0
        assert value(metrics[key], [nothing, one], [nothing, one]) == 1


def nuclei(rng, size=64, count=14):
    """Disks of a label map: later ones cover earlier ones, so none overlap."""
    y, x = np.mgrid[:size, :size]
    labels = np.zeros((size, size), int)
    for k, (cy, cx, r) in enumerate(zip(*rng.uniform(0, size, (2, count)), rng.uniform(3, 9, count), strict=True), 1):
        labels[(y - cy) ** 2 + (x - cx) ** 2 < r * r] = k
    return labels


def masks_of(labels):
    return [labels == k for k in np.unique(labels) if k]


def moved(rng, known):
    """Some of the masks with their names, a little aside."""
    return [(np.roll(mask, rng.integers(-1, 2, 2), (0, 1)), name) for mask, name in known if rng.random() < 0.85]


def surely(guesses, sure, size):
    return objects([mask for mask, _ in guesses], [name for _, name in guesses], np.asarray(sure, np.float32), size=size)


@pytest.fixture(scope="module")
def fields():
    """(predictions, truths, weights) of two classes: label maps moved a little, objects lost and invented; some masks overlap."""
    rng = np.random.default_rng(11)
    said, true = [], []
    for place in range(COUNT):
        labels = nuclei(rng)
        masks, names = masks_of(labels), ["a" if k % 5 else "b" for k in np.unique(labels) if k]
        guesses = [*moved(rng, [*zip(masks, names, strict=True)]), *((mask, "a") for mask in masks_of(nuclei(rng, count=3)))]
        # No two are equally sure: COCO's numbers depend on the order of those that are.
        said.append(surely(guesses, rng.random(len(guesses)), labels.shape))
        crowds = [place % 3 == 0 and i == 2 for i in range(len(masks))]
        true.append(objects(masks, names, ignored=crowds))
    return said, true, rng.integers(0, 4, COUNT)


def test_disjoint_masks_agree_with_an_optimal_assignment():
    """As StarDist and Cellpose count: an assignment of label maps at every level."""
    rng, scores, quality = np.random.default_rng(5), [], np.zeros(3)
    said, true = [], []
    for _ in range(8):
        a = nuclei(rng)
        b = np.roll(a, rng.integers(-2, 3, 2), (0, 1)) * ndimage.binary_erosion(np.ones_like(a), iterations=5)
        first, second = masks_of(b), masks_of(a)
        table = np.array([[(p & t).sum() / (p | t).sum() for t in second] for p in first])
        levels = []
        for level in np.linspace(0.5, 0.95, 10):
            hits = (table >= level - 1e-12)[linear_sum_assignment(table >= level - 1e-12, maximize=True)].sum()
            levels.append(hits / (len(first) + len(second) - hits))
        scores.append(levels)
        quality += table[table > 0.5].sum(), (table > 0.5).sum(), len(first) + len(second)
        said.append(objects(first))
        true.append(objects(second))
    metrics = instances(["cell"])
    assert 0.1 < np.mean(scores) < 0.9, "neither hopeless nor perfect"
    assert value(metrics["AP_nuclei"], said, true) == pytest.approx(np.mean(scores), abs=1e-12)
    assert value(metrics["AP_nuclei_50"], said, true) == pytest.approx(np.mean(scores, 0)[0], abs=1e-12)
    assert value(metrics["PQ"], said, true) == pytest.approx(2 * quality[0] / quality[2], abs=1e-12)
    assert value(metrics["SQ"], said, true) == pytest.approx(quality[0] / quality[1], abs=1e-12)


def by_pycocotools(said, true, names):
    """mAP, AP50 and AP75 of masks, as COCO's own evaluation gives them."""
    pictures = [{"id": i + 1, "height": t.height, "width": t.width} for i, t in enumerate(true)]

    def rows(answers):
        found = []
        for i, answer in enumerate(answers):
            for place, (label, counts) in enumerate(zip(answer.labels, answer.counts, strict=True)):
                row = {"id": len(found) + 1, "image_id": i + 1, "category_id": names.index(label) + 1}
                row |= {"segmentation": {"size": [answer.height, answer.width], "counts": counts}}
                row |= {"area": _rle.area(counts, answer.height, answer.width), "iscrowd": 0}
                if answer.ignored is not None:
                    row["iscrowd"] = int(answer.ignored[place])
                if answer.probabilities is not None:
                    row["score"] = float(answer.probabilities[place])
                found.append(row)
        return found

    sets = []
    for answers in (true, said):
        whole = COCO()
        whole.dataset = {"images": pictures, "annotations": rows(answers), "categories": [{"id": i + 1} for i in range(len(names))]}
        whole.createIndex()
        sets.append(whole)
    judge = COCOeval(*sets, "segm")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return judge.stats[:3]


@pytest.mark.parametrize("seed", range(4))
def test_mask_ap_is_pycocotools(seed, capsys):
    """Crowds, equal scores, overlapping masks, empty pictures, classes without truths or without predictions."""
    rng = np.random.default_rng(seed)
    names, said, true = ["a", "b", "only said", "only true", "never"], [], []
    for place in range(10):
        masks = masks_of(nuclei(rng, 48, 8)) if place != 3 else []
        labels = [names[i] for i in rng.choice([0, 0, 1, 3], len(masks))]
        true.append(objects(masks, labels, ignored=rng.random(len(masks)) < 0.15, size=(48, 48)))
        known = [*zip(masks, labels, strict=True)] if place != 7 else []
        guesses = [(mask, name if rng.random() < 0.9 else "b") for mask, name in moved(rng, known + known[:3]) if name != "only true"]
        guesses += [(mask, "only said" if rng.random() < 0.5 else "a") for mask in masks_of(nuclei(rng, 48, 2)) if place not in (5, 7)]
        said.append(surely(guesses, rng.random(len(guesses)).round(1), (48, 48)))
    wanted = by_pycocotools(said, true, names)
    metrics = instances(names)
    found = [value(metrics[key], said, true) for key in ("mask_mAP", "mask_AP50", "mask_AP75")]
    assert 0.05 < wanted[0] < 0.9, "neither hopeless nor perfect"
    assert found == pytest.approx(wanted, abs=1e-6)


def test_masks_are_compared_and_not_their_boxes():
    """Two halves of a square along its diagonal share their box and hardly a pixel."""
    upper, lower = np.triu(np.ones((20, 20), bool)), np.tril(np.ones((20, 20), bool))
    sure = np.ones(1, np.float32)
    metrics = instances(["cell"])
    assert value(metrics["mask_AP50"], [objects([upper], sure=sure)], [objects([lower])]) == 0
    assert value(metrics["mask_AP50"], [objects([upper], sure=sure)], [objects([upper])]) == 1


# ── every metric of both sets ───────────────────────────────────────────────────────────────────────────

EVERY = [("scenes", key) for key in segmentation(NAMES)] + [("fields", key) for key in instances(["a", "b"])]


@pytest.fixture(params=EVERY, ids=[key for _, key in EVERY])
def case(request):
    """(metric, predictions, truths, weights)."""
    where, key = request.param
    metric = segmentation(NAMES)[key] if where == "scenes" else instances(["a", "b"])[key]
    return metric, *request.getfixturevalue(where)


def test_a_weight_of_two_is_the_picture_twice(case):
    metric, said, true, drawn = case
    rows = np.repeat(np.arange(COUNT), drawn)
    found = value(metric, said, true, drawn)
    assert np.isfinite(found) and found == pytest.approx(value(metric, [said[i] for i in rows], [true[i] for i in rows]), abs=1e-9)


def test_the_order_of_pictures_does_not_matter_nor_where_a_set_is_cut(case):
    metric, said, true, _ = case
    whole = metric.records(said, true)
    assert all(len(rows) == COUNT for rows in whole.values())
    once = np.ones(COUNT, np.float32)
    assert metric.summary(whole, once) == pytest.approx(value(metric, said[::-1], true[::-1]), abs=1e-12)
    halves = [metric.records(said[part], true[part]) for part in (slice(5), slice(5, None))]
    joined = {key: np.concatenate([half[key] for half in halves]) for key in whole}
    assert metric.summary(joined, once) == pytest.approx(metric.summary(whole, once), abs=1e-12)
    first = np.arange(COUNT) < 5
    assert metric.summary(whole, first.astype(np.float32)) == pytest.approx(value(metric, said[:5], true[:5]), abs=1e-12)


def test_many_drawings_at_once_are_the_drawings_one_by_one(case):
    metric, said, true, _ = case
    weights = np.random.default_rng(0).integers(0, 3, (COUNT, 6)).astype(np.float32)
    records = metric.records(said, true)
    whole, rows = metric.both(records, weights)
    assert whole == pytest.approx([metric.summary(records, weight) for weight in weights.T], abs=1e-9, nan_ok=True)
    assert whole == pytest.approx(metric.summaries(records, weights), abs=1e-12, nan_ok=True)
    again = metric.each(records, weights)
    assert (rows is None) == (again is None) and (rows is None or np.allclose(rows, again, equal_nan=True))


def test_the_truth_is_perfect_and_pictures_of_others_are_not(case):
    """Negative control: answers about other pictures must not look good."""
    metric, said, true, _ = case
    sure = [replace(t, ignored=None, probabilities=np.ones(len(t), np.float32)) if isinstance(t, Instances) else t for t in true]
    best = value(metric, sure, true)
    assert best == pytest.approx(1.0 if metric.better == "higher" else 0.0)
    assert abs(value(metric, said, true) - best) > 0.05
    if isinstance(said[0], Instances):
        worse = value(metric, said[1:] + said[:1], true) - value(metric, said, true)
        assert (worse if metric.better == "lower" else -worse) > 0.05


def test_every_number_has_an_interval_and_a_verdict(case):
    metric, said, true, _ = case
    measured = measure({"it": metric}, said, true, draws=200)
    score = measured.scores["it"]
    assert score.n == COUNT and score.low < score.value < score.high
    for name, part in measured.parts.get("it", {}).items():
        assert np.isnan(part.value) if name == "never" else part.low <= part.value <= part.high
    records = measured.records["it"]
    assert compare(metric, records, records, draws=200).word == "cannot tell"


@pytest.mark.parametrize("key", ["mIoU", "dice_picture"])
def test_intervals_hold_what_they_promise(key):
    """Regions whose overlap differs from picture to picture, large ones more of it: 92 to 98 of 100 intervals of 95 % hold the truth."""
    metric = segmentation(["background", "a", "b"])[key]

    def records(rng, count):
        area = rng.gamma(2, 500, (count, 3)) + 50
        share = rng.beta(6, 2, (count, 3)) * np.minimum(1, 0.7 + area / 5000)
        found, extra = (area * share).astype(int), (area * rng.beta(2, 8, (count, 3))).astype(int)
        return {"tp": found, "fp": extra, "fn": area.astype(int) - found}

    truth = metric.summary(records(np.random.default_rng(0), 200_000), np.ones(200_000, np.float32))
    rng = np.random.default_rng(1)
    found = [interval(metric, records(rng, 60), draws=200, seed=i) for i in range(200)]
    assert 0.92 <= np.mean([score.low <= truth <= score.high for score in found]) <= 0.98


@pytest.mark.parametrize("tongue", ["en", "zh"])
def test_every_metric_has_its_words(tongue):
    words, headings = room(tongue, "metrics"), room(tongue, "evaluate")
    for key in segmentation(["a"]) | instances(["a"]):
        assert f"name.{key}" in words and f"means.{key}" in words, key
    assert all(f"gallery.{title}" in headings for title in ("least_overlap", "furthest_outline", "worst_found"))


def test_the_deciding_metric_comes_first():
    assert list(segmentation(NAMES)) == ["mIoU", "dice", "dice_picture", "pixel_accuracy", "boundary_f1", "hd95", "pixel_ece"]
    assert next(iter(instances(["a"]))) == "mask_mAP"


# ── cost ────────────────────────────────────────────────────────────────────────────────────────────────


def test_records_and_drawings_are_quick():
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(11)]
    true = [Mask.of(blocks(rng, 360, 480, range(11), 20), names) for _ in range(5)] * 10
    said = [Mask.of(wrongly(rng, mask.pixels, range(11)), names) for mask in true[:5]] * 10
    metric = segmentation(names)["mIoU"]
    spent = []
    for _ in range(3):
        start = process_time()
        records = metric.records(said, true)
        spent.append(process_time() - start)
    assert min(spent) <= 0.25, f"50 pictures of 480 × 360 took {min(spent):.2f} s"
    weights = rng.integers(0, 3, (50, 1000)).astype(np.float32)
    start = process_time()
    metric.both(records, weights)
    assert process_time() - start <= 1.0


# ── probabilities of pixels ─────────────────────────────────────────────────────────────────────────────


def unsure(count: int = 5, seed: int = 0):
    """Two classes, probabilities that know something, a few pixels nobody labelled: truths and answers."""
    rng = np.random.default_rng(seed)
    truths, said = [], []
    for _ in range(count):
        height, width = rng.integers(8, 30, 2)
        true = (rng.random((height, width)) < 0.3).astype(np.uint8)
        second = np.clip(0.35 * true + rng.random((height, width)) * 0.65, 0, 1)
        true[rng.random((height, width)) < 0.1] = VOID
        told = (second >= 0.5).astype(np.uint8)
        truths.append(Mask.of(true, ["ground", "vessel"]))
        said.append(Mask.of(told, ["ground", "vessel"], np.where(told == 1, second, 1 - second)))
    return said, truths


def second_of(said, truths):
    """(S,) probability of the second class and (S,) whether it is true, of every labelled pixel; as probabilities are kept."""
    shares = [np.where(s.pixels == 1, s.probabilities, 1 - s.probabilities)[t.pixels != VOID] for s, t in zip(said, truths, strict=True)]
    return np.concatenate(shares), np.concatenate([t.pixels[t.pixels != VOID] == 1 for t in truths])


def test_the_auc_of_pixels_is_that_of_the_field():
    said, truths = unsure()
    metric, (share, true) = PixelAuc(["ground", "vessel"]), second_of(said, truths)
    records = metric.records(said, truths)
    assert metric.summary(records, np.ones(5)) == pytest.approx(sk.roc_auc_score(true, share), abs=1e-9)
    twice = np.array([2.0, 0, 1, 1, 1])
    again = second_of([said[0], said[0], *said[2:]], [truths[0], truths[0], *truths[2:]])
    assert metric.summary(records, twice) == pytest.approx(sk.roc_auc_score(again[1], again[0]), abs=1e-9)
    plain = [Mask.of(one.pixels, one.classes) for one in said]
    assert metric.summary(metric.records(plain, truths), np.ones(5)) < metric.summary(records, np.ones(5))
    nothing = [Mask.of(np.full((4, 4), VOID, np.uint8), ["ground", "vessel"])]
    assert np.isnan(metric.summary(metric.records(nothing, nothing), np.ones(1)))


def test_the_calibration_of_pixels_is_the_mean_gap_of_fifteen_bins():
    said, truths = unsure(4, 1)
    metric = PixelEce(["ground", "vessel"])
    sure = np.concatenate([s.probabilities[t.pixels != VOID] for s, t in zip(said, truths, strict=True)]).astype(float)
    right = np.concatenate([(s.pixels == t.pixels)[t.pixels != VOID] for s, t in zip(said, truths, strict=True)])
    bins = -(-np.rint(sure * 255).astype(int) * 15 // 255)
    wanted = sum(abs(sure[bins == b].sum() - right[bins == b].sum()) for b in range(16)) / len(sure)
    assert metric.summary(metric.records(said, truths), np.ones(4)) == pytest.approx(wanted, abs=1e-6)
    perfect = [Mask.of(np.where(t.pixels == VOID, 0, t.pixels), t.classes) for t in truths]
    assert metric.summary(metric.records(perfect, truths), np.ones(4)) == 0

"""Answers of where things are: JSON and back, equal within a tolerance, drawn to be read, run lengths nobody can crash."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from omma.answers import _marks, _rle, draw
from omma.answers.boxes import Boxes, overlaps
from omma.answers.instances import Instances
from omma.answers.mask import VOID, Mask

# pycocotools' own `decode` has not heard of NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

NAMES = ["cat", "犬", "a b", "Größe", "0"]
EITHER = st.booleans()
quick = settings(max_examples=40, deadline=None)


@st.composite
def boxes(pick, sure=EITHER):
    """Any truth or prediction with sound boxes."""
    width, height = pick(st.integers(2, 5000)), pick(st.integers(2, 5000))
    count = pick(st.integers(0, 6))
    share = st.floats(0, 1, width=32)
    near = np.array([[pick(share), pick(share)] for _ in range(count)]).reshape(-1, 2) * (width - 1, height - 1)
    far = near + 1 + np.array([[pick(share), pick(share)] for _ in range(count)]).reshape(-1, 2) * (np.array([width, height]) - near - 1)
    labels = [pick(st.sampled_from(NAMES)) for _ in range(count)]
    predicted = pick(sure)
    shares = np.array([pick(share) for _ in range(count)], np.float32) if predicted else None
    aside = None if predicted else np.array([pick(st.booleans()) for _ in range(count)], bool)
    return Boxes(width, height, labels, np.concatenate([near, far], 1), shares, aside)


@st.composite
def masks(pick, most=14):
    """(H, W) bool of any shape and filling."""
    height, width = pick(st.integers(1, most)), pick(st.integers(1, most))
    rng = np.random.default_rng(pick(st.integers(0, 2**32)))
    return rng.random((height, width)) < pick(st.sampled_from([0, 0.05, 0.3, 0.5, 0.7, 0.95, 1]))


def instances(*masks, sure=None, labels=None):
    height, width = masks[0].shape
    counts = [_rle.encode(one) for one in masks]
    names = labels or ["cell"] * len(masks)
    return Instances(
        width, height, names, np.zeros((len(masks), 4)), None if sure is None else np.array(sure, "f4"), counts=counts
    ).fitted()


def disc(radius=20, x=50, y=40, shape=(80, 100)):
    rows, columns = np.indices(shape) + 0.5
    return np.hypot(rows - y, columns - x) < radius


def there_and_back(answer):
    row = json.loads(json.dumps(answer.json(), allow_nan=False))
    again = type(answer).from_json(row)
    assert again.json() == row
    return again


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────


@quick
@given(boxes())
def test_boxes_come_back_from_json(answer):
    again = there_and_back(answer)
    assert again.same(answer) and answer.same(again)
    assert (again.probabilities is None) == (answer.probabilities is None) and list(again.labels) == list(answer.labels)


@pytest.mark.parametrize("kind", [Boxes, Instances])
def test_nothing_found_and_nothing_there_are_told_apart(kind):
    found, there = there_and_back(kind(9, 7, probabilities=np.zeros(0, "f4"))), there_and_back(kind(9, 7))
    assert found.probabilities is not None and there.probabilities is None
    assert len(found) == len(there) == 0 and found.boxes.shape == (0, 4)


def test_boxes_have_the_shape_that_scripts_read():
    answer = Boxes(40, 30, ["猫"], np.array([[1.23456, 2, 30.5, 20]]), np.array([0.75], "f4"), classes=["猫"], floor=0.5)
    row = {"width": 40, "height": 30, "boxes": [{"label": "猫", "probability": 0.75, "box": [1.235, 2.0, 30.5, 20.0]}]}
    assert answer.json() == row
    assert Boxes.from_json({"path": "x.jpg", **row}).same(answer)
    crowd = Boxes(40, 30, ["a", "b"], np.array([[1, 2, 3, 4], [0, 0, 9, 9.0]]), ignored=np.array([False, True]))
    assert [one.get("ignored") for one in crowd.json()["boxes"]] == [None, True]
    assert there_and_back(crowd).ignored.tolist() == [False, True]


@quick
@given(st.lists(masks(), min_size=1, max_size=1), st.booleans())
def test_instances_come_back_from_json(drawn, predicted):
    answer = instances(*drawn, ~drawn[0], sure=[0.25, 1.0] if predicted else None)
    again = there_and_back(answer)
    assert again.same(answer) and (again.masks() == np.stack([drawn[0], ~drawn[0]])).all()
    size, counts = answer.json()["boxes"][0]["rle"].values()
    assert (coco.decode({"size": size, "counts": counts.encode()}) == drawn[0]).all()


@quick
@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 12), st.integers(0, 4))
def test_masks_come_back_from_json_void_and_all(seed, height, width, classes):
    pixels = np.random.default_rng(seed).integers(0, classes + 1, (height, width))
    answer = Mask.of(np.where(pixels == classes, VOID, pixels), NAMES[:classes])
    again = there_and_back(answer)
    assert (again.pixels == answer.pixels).all() and again.classes == answer.classes and again.same(answer)
    row = answer.json()
    assert sum(row["pixels"].values()) == (answer.pixels != VOID).sum() and list(row["rle"]) == list(row["pixels"])
    assert row["classes"] == {str(place): name for place, name in enumerate(NAMES[:classes])}


def test_a_mask_is_not_made_of_nonsense():
    for pixels, names in (([[2]], ["a", "b"]), ([[-1]], ["a"]), ([[256]], ["a"]), ([[0]], ["a", "a"]), ([0], ["a"])):
        with pytest.raises(AssertionError):
            Mask.of(np.array(pixels), names)


# ── the same ────────────────────────────────────────────────────────────────────────────────────────────


@quick
@given(boxes(), st.randoms())
def test_order_does_not_matter(answer, chance):
    order = list(range(len(answer)))
    chance.shuffle(order)
    assert answer.same(answer.keep(order)) and answer.keep(order).same(answer)


def three(**change):
    given = {
        "width": 200,
        "height": 100,
        "labels": ["a", "a", "b"],
        "boxes": np.array([[10, 10, 60, 60], [100, 20, 190, 90], [0, 0, 50, 50.0]]),
        "probabilities": np.array([0.9, 0.5, 0.2], "f4"),
    }
    return Boxes(**given | change)


@pytest.mark.parametrize(
    "change",
    [
        {"width": 201},
        {"labels": ["b", "a", "b"]},
        {"labels": ["b", "a", "a"]},
        {"boxes": three().boxes + np.array([0, 0, 1, 0])},
        {"probabilities": three().probabilities + np.float32(0.002)},
        {"probabilities": np.array([0.5, 0.9, 0.2], "f4")},
        {"boxes": three().boxes * np.nan},
        {"probabilities": three().probabilities * np.nan},
        {"ignored": np.array([True, False, False])},
    ],
)
def test_what_is_not_the_same(change):
    assert not three().same(three(**change)) and not three(**change).same(three())


def test_what_is_the_same():
    assert three().same(three(boxes=three().boxes + 0.05, probabilities=three().probabilities - np.float32(0.0005)))
    assert three().same(three(probabilities=None)) and three(probabilities=None).same(three())
    assert not three().same(Mask.of(np.zeros((100, 200), int), ["a"]))
    assert not three().same(Instances(200, 100, three().labels, three().boxes, three().probabilities, counts=[""] * 3))


def test_an_object_more_is_a_difference_unless_it_is_next_to_nothing():
    more = Boxes(9, 9, ["a"], np.array([[1, 1, 5, 5.0]]), np.array([0.8], "f4"))
    none = Boxes(9, 9, probabilities=np.zeros(0, "f4"))
    assert not more.same(none) and not none.same(more)
    more.probabilities[:] = 0.0009
    assert more.same(none) and none.same(more)
    # A truth has no probability to be next to nothing.
    assert not Boxes(9, 9, ["a"], more.boxes).same(Boxes(9, 9))


def test_a_threshold_between_two_probabilities_is_no_difference():
    kept = Boxes(9, 9, ["a"], np.array([[1, 1, 5, 5.0]]), np.array([0.5003], "f4"), floor=0.5)
    none = Boxes(9, 9, probabilities=np.zeros(0, "f4"), floor=0.5)
    assert kept.same(none) and none.same(kept)
    kept.probabilities[:] = 0.502
    assert not kept.same(none) and not none.same(kept)


def test_each_object_is_matched_once_and_the_first_choice_may_be_wrong():
    place = np.array([[0, 0, 100, 100.0]])
    chain = [Boxes(200, 200, ["a"] * 2, place.repeat(2, 0), np.array(share, "f4")) for share in ((0.5, 0.5008), (0.5008, 0.5016))]
    assert chain[0].same(chain[1]) and chain[1].same(chain[0])
    # Control: two of one side would both need the single near one of the other.
    twice = Boxes(200, 200, ["a"] * 2, place.repeat(2, 0), np.array([0.5, 0.6], "f4"))
    assert not twice.same(chain[0]) and not chain[0].same(twice)


def test_instances_are_the_same_but_for_a_thousandth_of_their_box():
    whole = disc()
    edge = np.argwhere(whole & ~np.roll(whole, 1, 1))

    def without(count):
        less = whole.copy()
        less[tuple(edge[8 : 8 + count].T)] = False
        return instances(less, sure=[0.7])

    one = instances(whole, sure=[0.7])
    assert one.same(one) and one.same(without(1)) and not one.same(without(2))  # the box is 40 × 40
    assert not one.same(instances(disc(x=51), sure=[0.7])) and not one.same(instances(whole, sure=[0.6]))
    # The boxes of a disc and a ring are the same: the masks tell them apart.
    assert not one.same(instances(whole & ~disc(10), sure=[0.7]))
    pair = instances(disc(10, 20, 20), disc(12, 70, 50), sure=[0.4, 0.6])
    assert pair.same(pair.keep([1, 0])) and not pair.same(pair.keep([0])) and not pair.same(pair.keep([0, 0]))


def test_masks_are_the_same_but_for_a_thousandth_of_the_picture():
    pixels = np.zeros((50, 40), int)
    pixels[:25] = 1
    mask = Mask.of(pixels, ["a", "b"])
    changed = [pixels.copy() for _ in range(4)]
    changed[0][0, :2] = 0
    changed[1][0, :3] = 0
    changed[2][0, :3] = VOID
    assert [mask.same(Mask.of(one, ["a", "b"])) for one in changed] == [True, False, False, True]
    assert mask.same(Mask.of(1 - pixels, ["b", "a"])) and not mask.same(Mask.of(pixels, ["b", "a"]))
    assert not mask.same(Mask.of(pixels.T, ["a", "b"])) and not mask.same(three())


# ── helpers ─────────────────────────────────────────────────────────────────────────────────────────────


def test_keep_takes_everything_of_an_object_along():
    three_cells = instances(disc(5, 10, 10), disc(9, 30, 30), disc(7, 80, 60), sure=[0.1, 0.2, 0.3], labels=["a", "b", "c"])
    by_places, by_truth = three_cells.keep([2, 0]), three_cells.keep(three_cells.probabilities < 0.25)
    assert by_places.labels == ["c", "a"] and by_truth.labels == ["a", "b"]
    assert by_places.counts == [three_cells.counts[2], three_cells.counts[0]] and np.allclose(by_places.probabilities, [0.3, 0.1])
    assert (by_truth.boxes == three_cells.boxes[:2]).all() and len(three_cells) == 3
    assert len(three_cells.keep([])) == len(Boxes(3, 3).keep(np.zeros(0, bool))) == 0
    assert three_cells.keep([]).masks().shape == (0, 80, 100)


def test_boxes_are_fitted_to_masks():
    mask = np.zeros((30, 40), bool)
    mask[5:9, 7:20] = mask[20, 3] = True
    assert instances(mask, ~(mask | True)).boxes.tolist() == [[3, 5, 20, 21], [0, 0, 0, 0]]


def test_overlaps():
    a = np.array([[0, 0, 10, 10], [5, 5, 5, 5.0]])
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [5, 5, 5, 5.0]])
    assert np.allclose(overlaps(a, b), [[1, 1 / 3, 0, 0], [0, 0, 0, 1]])


# ── drawing ─────────────────────────────────────────────────────────────────────────────────────────────


def ground(height, width, value=120):
    return np.full((height, width, 3), value, np.uint8)


def test_a_box_is_drawn_on_its_border_and_nowhere_else():
    picture = ground(400, 500)
    drawn = Boxes(500, 400, ["a"], np.array([[100, 150, 300, 350.0]])).draw(picture)
    assert (picture == 120).all() and drawn.shape == picture.shape and drawn.dtype == np.uint8
    orange = _marks.palette("a")["a"]
    for line in (drawn[150, 100:300], drawn[349, 100:300], drawn[150:350, 100], drawn[150:350, 299]):
        assert (line == orange).all()
    inside, halo = drawn[160:340, 110:290], drawn[149, 200]
    assert (inside == 120).all() and (halo == _marks.contrast(orange)).all()
    beyond = drawn.copy()
    beyond[120:352, 98:302] = 120  # box and caption
    assert (beyond == 120).all()


def test_a_small_object_is_not_hidden_by_its_own_line():
    drawn = Boxes(3000, 2000, ["a"], np.array([[1000, 1000, 1024, 1024.0]])).draw(ground(2000, 3000))
    assert (drawn[1005:1019, 1005:1019] == 120).all() and (drawn[1000, 1000:1024] != 120).any(1).all()


def test_lines_stay_visible_at_the_border_of_a_picture():
    drawn = Boxes(500, 400, ["a"], np.array([[0, 0, 500, 400.0]])).draw(ground(400, 500))
    assert (drawn[[0, -1]] != 120).any(2).all() and (drawn[:, [0, -1]] != 120).any(2).all()


@pytest.mark.parametrize("shape", [(20, 20), (1, 1), (300, 5), (5, 300), (3000, 4000)])
def test_objects_are_drawn_on_pictures_of_any_size(shape):
    height, width = shape
    corners = np.array([[0.1, 0.1, 0.5, 0.6], [0.45, 0.4, 0.97, 0.9]]) * (width, height, width, height)
    drawn = Boxes(width, height, ["star", "中文"], corners, np.array([0.9, 0.5], "f4")).draw(ground(*shape))
    assert drawn.dtype == np.uint8 and drawn.shape[1] >= min(64, 12 * width) and drawn.shape[0] >= height
    for colour in _marks.palette(["star", "中文"]).values():
        assert (drawn[:: max(1, height // 500)] == colour).all(2).any()


def test_objects_are_found_again_on_enlarged_and_on_reduced_pictures():
    answer = Boxes(20, 20, ["a"], np.array([[5, 10, 15, 20.0]]))
    for side, scale in ((20, 23), (800, 40)):
        drawn = answer.draw(ground(side, side))
        rows, columns = np.nonzero((drawn == _marks.palette("a")["a"]).all(2))
        assert (columns.min(), rows.max() + 1) == (5 * scale, 20 * scale)
    mask = Mask.of(np.eye(2, dtype=int), ["background", "a"])
    drawn = mask.draw(ground(600, 600))[:600]
    assert (drawn[:290, :290] == 120).mean() < 0.1 and (drawn[:290, 310:] == 120).all()


def apart(spots, width, height):
    rows = np.array([spot for spot in spots if spot is not None])
    assert (rows[:, :2] >= 0).all() and (rows[:, 2:] <= (width, height)).all()
    common = (np.minimum(rows[:, None, 2:], rows[None, :, 2:]) - np.maximum(rows[:, None, :2], rows[None, :, :2])).clip(0).prod(2)
    return not np.triu(common, 1).any()


def test_captions_of_a_crowd_do_not_cover_each_other():
    corners = np.array([[60 + 7 * i, 60 + 5 * i, 160 + 7 * i, 150 + 5 * i] for i in range(12)], float)
    sizes = np.full((12, 2), (70, 16))
    spots = _marks.arrange(corners, sizes, 400, 300)
    assert None not in spots and apart(spots, 400, 300)
    # Control: every caption on top of its own box would cover others.
    above = np.concatenate([corners[:, :2] - (0, 16), corners[:, :2] + (70, 0)], 1)
    assert not apart(above, 400, 300)


@quick
@given(boxes(st.just(True)), st.integers(1, 300), st.integers(1, 40))
def test_captions_never_leave_the_picture(answer, wide, tall):
    spots = _marks.arrange(answer.boxes, np.full((len(answer), 2), (wide, tall)), answer.width, answer.height)
    held = wide <= answer.width and tall <= answer.height
    assert all((spot is not None) <= held for spot in spots) and (not held or not spots or spots[0] is not None)
    assert not any(spots) or apart(spots, answer.width, answer.height)


def test_where_captions_would_hide_the_objects_a_legend_names_them():
    """Control: the same objects, few of them, have their names beside them."""
    corners = np.array([[20 * i, 20 * k, 20 * i + 12, 20 * k + 12] for i in range(25) for k in range(20)], float)
    many = Boxes(500, 400, ["nucleus"] * 500, corners)
    assert len(many.draw(ground(400, 500))) > 400 and len(many.keep([0, 90, 200]).draw(ground(400, 500))) == 400


def test_the_surest_object_has_its_caption_first():
    place = np.array([[0, 0, 500, 400.0]])
    texts = []

    class Seen(_marks.Sheet):
        def captions(self, boxes, given, colours):
            texts.extend(given)
            return super().captions(boxes, given, colours)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_marks, "Sheet", Seen)
        Boxes(500, 400, ["a", "b", "a"], place.repeat(3, 0), np.array([0.2, 0.9, 0.5], "f4")).draw(ground(400, 500))
    assert texts == ["b 90%", "a 50%", "a 20%"]


def one(label, classes):
    return Boxes(500, 400, [label], np.array([[100, 150, 300, 350.0]]), np.array([0.5], "f4"), classes=classes).draw(ground(400, 500))


def test_names_no_font_can_draw_are_numbers_the_same_on_every_picture(monkeypatch):
    monkeypatch.setattr(draw, "cjk_font", lambda: None)
    assert np.array_equal(one("狗", ["猫", "dog", "狗"]), one("#2", ["猫", "dog", "#2"]))
    assert not np.array_equal(one("狗", ["猫", "dog", "狗"]), one("#1", ["猫", "dog", "#1"]))
    mask = np.zeros((9, 9), int)
    drawn = [Mask.of(mask, [name]).draw(ground(9, 9)) for name in ("猫", "#1", "#2")]
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])


def test_chinese_names_are_drawn_where_a_font_has_them():
    if draw.cjk_font() is None:
        pytest.skip("no font with 中文 on this system")
    assert not np.array_equal(one("狗", ["狗"]), one("猫", ["猫"])) and not np.array_equal(one("狗", ["狗"]), one("#1", ["#1"]))


def test_a_class_has_one_colour_on_every_picture():
    classes = ["a", "b", "c"]
    assert (one("c", classes) == _marks.palette(classes)["c"]).all(2).any()
    assert not (one("c", ["c"]) == _marks.palette(classes)["c"]).all(2).any()


def test_touching_objects_are_parted_by_their_outlines():
    left, right = np.zeros((100, 100), bool), np.zeros((100, 100), bool)
    left[20:80, 10:50] = right[20:80, 50:90] = True
    drawn = instances(left, right).draw(ground(500, 500))
    colour = _marks.palette(["cell"])["cell"]
    solid = (drawn == colour).all(2)
    assert solid[300, 248:252].all() and not solid[300, 60:240].any() and not solid[300, 260:440].any()
    assert (drawn[300, 60:240] != 120).any(1).all() and (drawn[300, 460:] == 120).all()


def test_a_mask_shows_classes_and_leaves_void_and_background_alone():
    pixels = np.full((40, 60), VOID)
    pixels[:, 20:40], pixels[:, 40:] = 0, 1
    drawn = Mask.of(pixels, ["Background", "road"]).draw(ground(400, 600))
    strip, field = drawn[400:], drawn[:400]
    road = _marks.palette(["Background", "road"])["road"]
    assert (field[:, :400] == 120).all() and (field[:, 400:] != 120).any(2).all() and (field[200, 400] == road).all()
    assert (strip == road).all(2).any() and not (strip == _marks.palette(["Background"])["Background"]).all(2).any()
    assert len(Mask.of(np.full((4, 4), VOID), []).draw(ground(50, 50))) > 448  # nothing, and a line that says so


def test_an_answer_without_objects_says_so():
    assert len(Boxes(500, 400).draw(ground(400, 500))) > 400 and len(Instances(500, 400).draw(ground(400, 500))) > 400


def seen_by(colours, matrix):
    """sRGB as people without one kind of cone see it (Viénot, Brettel & Mollon 1999)."""
    linear = (np.array(colours, float) / 255) ** 2.2
    return 255 * (linear @ np.array(matrix).T).clip(0, 1) ** (1 / 2.2)


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(3),
        [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    ],
    ids=["all cones", "no red", "no green"],
)
def test_colours_are_told_apart_with_any_colour_vision(matrix):
    def nearest(colours):
        seen = seen_by(colours, matrix)
        return min(np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i])

    assert nearest(list(_marks.palette("abcdefg").values())) > 35
    if not np.array_equal(matrix, np.eye(3)):  # control: a red and a green 92 apart to everybody else
        assert nearest([(170, 90, 40), (80, 110, 40)]) < 35


def test_every_class_has_its_own_colour_and_letters_that_can_be_read_on_it():
    colours = list(_marks.palette([str(place) for place in range(255)]).values())
    assert len(set(colours)) == 255

    def light(colour):
        linear = (np.array(colour) / 255) ** 2.2
        return float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05

    for colour in colours:
        pair = sorted((light(colour), light(_marks.contrast(colour))))
        assert pair[1] / pair[0] >= 4, colour  # between what WCAG 2.2 asks for large letters (3) and for small ones (4.5)


# ── run lengths ─────────────────────────────────────────────────────────────────────────────────────────


def native(counts, mask):
    return {"size": list(mask.shape), "counts": counts.encode()}


@quick
@given(masks())
def test_run_lengths_are_those_of_coco(mask):
    counts = _rle.encode(mask)
    assert counts.encode() == coco.encode(np.asfortranarray(mask, np.uint8))["counts"]
    assert (_rle.decode(counts, *mask.shape) == mask).all()
    assert _rle.area(counts, *mask.shape) == mask.sum() == coco.area(native(counts, mask))
    x, y, wide, tall = coco.toBbox(native(counts, mask))
    assert _rle.box(counts, *mask.shape) == (x, y, x + wide, y + tall)


def test_long_runs_come_back():
    mask = np.zeros((3000, 4000), bool)
    mask[1000:2500, 300:3900] = mask[17, 3] = True
    assert (_rle.decode(_rle.encode(mask), *mask.shape) == mask).all()


@quick
@given(masks(), st.integers(0, 2**32))
def test_empty_runs_change_nothing(mask, seed):
    """Some writers leave runs of no pixel; pycocotools' boxes, and with them its IoU, go wrong on them."""
    runs = _rle._parse(_rle.encode(mask), *mask.shape).tolist()
    cut = int(np.random.default_rng(seed).integers(len(runs)))
    odd = [*runs[:cut], runs[cut] // 2, 0, runs[cut] - runs[cut] // 2, *runs[cut + 1 :]]
    assert _rle.from_runs(odd, *mask.shape) == _rle.from_runs(runs, *mask.shape) == _rle.encode(mask)
    # As a compressed string.
    text = coco.frPyObjects({"size": list(mask.shape), "counts": odd}, *mask.shape)["counts"].decode()
    assert (_rle.decode(text, *mask.shape) == mask).all() and _rle.box(text, *mask.shape) == _rle.box(_rle.encode(mask), *mask.shape)
    assert _rle.iou([text], [_rle.encode(mask)], *mask.shape)[0, 0] == float(mask.any())


@quick
@given(st.integers(0, 2**32), st.integers(0, 4), st.integers(0, 4))
def test_iou_is_counted_pixel_by_pixel(seed, many, others):
    rng = np.random.default_rng(seed)
    mine, theirs = rng.random((many, 9, 7)) < 0.5, rng.random((others, 9, 7)) < 0.4
    crowd = rng.random(others) < 0.5
    found = _rle.iou([_rle.encode(m) for m in mine], [_rle.encode(m) for m in theirs], 9, 7, crowd)
    assert found.shape == (many, others)
    for i, a in enumerate(mine):
        for k, b in enumerate(theirs):
            assert found[i, k] == pytest.approx((a & b).sum() / max(1, a.sum() if crowd[k] else (a | b).sum()))


HOSTILE = ["", " ", "中文", "0", "o", "\x00", "~", "`", "ooooooooo0", "0" * 500, "o" * 10_000, "1" + "O" * 90, None, 7, b"d0", ["1"], True]


@pytest.mark.parametrize("counts", HOSTILE, ids=lambda one: repr(one)[:20])
def test_hostile_counts_are_refused_in_words(counts):
    for read in (_rle.decode, _rle.area, _rle.box, lambda c, h, w: _rle.iou([c], [c], h, w)):
        with pytest.raises(ValueError, match="run lengths do not describe 8 × 12"):
            read(counts, 12, 8)


@pytest.mark.parametrize(("height", "width"), [(0, 5), (-1, 5), (5, -1), (1 << 20, 1 << 20), (2.0, 3), ("4", 4), (None, 4), (True, 4)])
def test_sizes_no_picture_has_are_refused_before_anything_is_allocated(height, width):
    tracemalloc.start()
    try:
        for call in (lambda: _rle.decode("01", height, width), lambda: _rle.from_runs([4], height, width)):
            with pytest.raises(ValueError, match="run lengths"):
                call()
        with pytest.raises(ValueError, match="run lengths"):
            _rle.from_polygons([np.array([[0, 0], [1, 0], [0, 1.0]])], height, width)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("runs", [[11], [13], [-1, 13], [6.0, 6], ["12"], "12", None, 12, [1 << 70], [True, 11.0], [float("nan"), 12]])
def test_hostile_runs_are_refused(runs):
    with pytest.raises(ValueError, match="run lengths do not describe 4 × 3"):
        _rle.from_runs(runs, 3, 4)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=130), max_size=12), st.integers(1, 9), st.integers(1, 9))
def test_any_text_is_refused_or_is_a_mask(text, height, width):
    try:
        mask = _rle.decode(text, height, width)
    except ValueError:
        return
    assert mask.shape == (height, width) and _rle.area(text, height, width) == mask.sum()
    assert (coco.decode({"size": [height, width], "counts": text.encode()}) == mask).all()


# ── outlines ────────────────────────────────────────────────────────────────────────────────────────────


def drawn_again(mask):
    """How many outer outlines less holes lie over each pixel."""
    found = np.zeros(mask.shape, int)
    for sign, outlines in ((1, _rle.polygons(mask)), (-1, _rle.holes(mask))):
        for outline in outlines:
            found += sign * _rle.decode(_rle.from_polygons([outline], *mask.shape), *mask.shape)
    return found


@quick
@given(masks())
def test_outlines_give_the_very_same_pixels(mask):
    assert (drawn_again(mask) == mask).all()


def test_outlines_of_a_ring_with_an_island():
    mask = disc(30) & ~disc(20) | disc(8)
    assert len(_rle.polygons(mask)) == 2 and len(_rle.holes(mask)) == 1 and (drawn_again(mask) == mask).all()
    square = np.zeros((9, 9), bool)
    square[2:5, 3:7] = True
    outline = _rle.polygons(square)[0]
    assert sorted(map(tuple, outline.tolist())) == [(3, 2), (3, 5), (7, 2), (7, 5)] and not _rle.holes(square)
    assert len(_rle.polygons(np.eye(5, dtype=bool))) == 1  # pixels that touch at a corner stay together
    assert _rle.polygons(np.zeros((3, 3), bool)) == []


def test_polygons_are_drawn_as_pycocotools_draws_them():
    rng = np.random.default_rng(0)
    for _ in range(30):
        rows = [rng.random((int(rng.integers(3, 9)), 2)) * (40, 30) for _ in range(int(rng.integers(1, 4)))]
        wanted = coco.merge(coco.frPyObjects([row.ravel().tolist() for row in rows], 30, 40))
        assert _rle.from_polygons(rows, 30, 40).encode() == wanted["counts"]
    assert _rle.area(_rle.from_polygons([], 30, 40), 30, 40) == 0


@pytest.mark.parametrize(
    ("polygon", "words"),
    [
        ([[0, 0], [1, 1]], "three points"),
        ([[0, 0, 0], [1, 1, 1], [2, 0, 2]], "three points"),
        ([[0, 0], [np.nan, 1], [1, 0]], "not finite"),
        ([[0, 0], [np.inf, 1], [1, 0]], "not finite"),
        ([[0, 0], [1e9, 1], [1, 0]], "outside"),
        ([[0, 0], [1, -1e9], [1, 0]], "outside"),
        ([[0, 0], [40, 30]] * 5000, "fills it many times"),
    ],
)
def test_hostile_polygons_never_reach_the_rasteriser(polygon, words, monkeypatch):
    monkeypatch.setattr(coco, "frPyObjects", lambda *a: pytest.fail("the rasteriser was called"))
    with pytest.raises(ValueError, match=words):
        _rle.from_polygons([np.array(polygon, float)], 30, 40)

"""Metrics of boxes say what pycocotools, a slow count or a small case worked out by hand says; drawings match nothing again."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from omma import catalog
from omma.answers.boxes import Boxes
from omma.metrics import _matching, mean_ap
from omma.metrics._matching import IOUS, Matcher, box_iou, match
from omma.metrics._mistakes import KINDS
from omma.metrics.bootstrap import compare, interval, measure
from omma.metrics.froc import RATES
from omma.metrics.mean_ap import MeanAp
from omma.metrics.sets import detection
from omma.report.charts import draw
from omma.words import LANGUAGES, room

NAMES = ["cat", "狗", "never"]
COCO_KEYS = ("mAP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR1", "AR10", "AR100")


def boxes(rows, size=300):
    """Boxes from rows (label, x1, y1, x2, y2[, score or ignored])."""
    corners = np.array([row[1:5] for row in rows], float).reshape(-1, 4)
    last = None if not rows or len(rows[0]) < 6 else np.array([row[5] for row in rows])
    labels = [row[0] for row in rows]
    if last is None or last.dtype == bool:
        return Boxes(size, size, labels, corners, None, last)
    return Boxes(size, size, labels, corners, last.astype(np.float32))


def some(seed, count=12, most=8, scores=None, spread=200, aside=0.15, names=NAMES[:2], sizes=(0, 1, 8, 20, 32, 50, 96, 110)):
    """Pictures with every kind of trouble: empty ones, crowds, near and exact copies, no area, sizes at the borders of the ranges."""
    rng = np.random.default_rng(seed)
    predictions, truths = [], []
    for _ in range(count):
        true = scattered(rng, rng.integers(0, most), spread, sizes)
        label = rng.integers(0, len(names), len(true))
        copies = rng.integers(0, 3, len(true))
        near = np.repeat(true, copies, 0) + rng.integers(-4, 5, (copies.sum(), 4)) * (rng.random((copies.sum(), 1)) < 0.8)
        near[:, 2:] = np.maximum(near[:, :2], near[:, 2:])
        extra = scattered(rng, rng.integers(0, most // 2), spread, sizes)
        said = np.concatenate([near, extra])
        named = np.concatenate([np.repeat(label, copies), rng.integers(0, len(names), len(extra))])
        sure = rng.integers(1, scores, len(said)) / scores if scores else rng.random(len(said))
        truths.append(Boxes(300, 300, [names[i] for i in label], true, None, rng.random(len(true)) < aside))
        predictions.append(Boxes(300, 300, [names[i] for i in named], said, sure.astype(np.float32)))
    return predictions, truths


def scattered(rng, count, spread, sizes):
    corner = rng.integers(0, spread, (count, 2)).astype(float)
    return np.concatenate([corner, corner + rng.choice(sizes, (count, 2))], 1)


def oracle(predictions, truths, names=NAMES):
    """pycocotools on the same answers: its numbers by our names, NaN for its −1, and (K,) AP of each class."""
    number = {name: i + 1 for i, name in enumerate(names)}

    def rows(answers):
        found = []
        for picture, answer in enumerate(answers):
            for k, (x1, y1, x2, y2) in enumerate(answer.boxes.tolist()):
                row = {"id": len(found) + 1, "image_id": picture + 1, "category_id": number[answer.labels[k]]}
                row |= {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
                row |= {"iscrowd": int(answer.ignored is not None and answer.ignored[k])}
                found.append(row if answer.probabilities is None else row | {"score": float(answer.probabilities[k])})
        return found

    sides = []
    for answers in (truths, predictions):
        side = COCO()
        side.dataset = {"images": [{"id": i + 1} for i in range(len(truths))], "categories": [{"id": i} for i in number.values()]}
        side.dataset["annotations"] = rows(answers)
        side.createIndex()
        sides.append(side)
    judge = COCOeval(*sides, "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    each = judge.eval["precision"][:, :, :, 0, 2].mean((0, 1))
    return dict(zip(COCO_KEYS, np.where(judge.stats < 0, np.nan, judge.stats), strict=False)), np.where(each < 0, np.nan, each)


def ours(predictions, truths, weights=None, names=NAMES):
    """Key → (D,) of COCO's nine numbers, and (K, D) AP of each class."""
    metrics = detection(names)
    weights = np.ones((len(truths), 1), np.float32) if weights is None else weights
    told = {key: metrics[key].summaries(metrics[key].records(predictions, truths), weights) for key in COCO_KEYS}
    return told, metrics["mAP"].each(metrics["mAP"].records(predictions, truths), weights)


def agree(predictions, truths, names=NAMES):
    mine, each = ours(predictions, truths, names=names)
    theirs, of_class = oracle(predictions, truths, names)
    for key in COCO_KEYS:
        np.testing.assert_allclose(mine[key][0], theirs[key], rtol=0, atol=1e-9, err_msg=key)
    np.testing.assert_allclose(each[:, 0], of_class, rtol=0, atol=1e-9)
    return mine


# ── exactly COCO's ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"scores": 4},
        {"spread": 12, "scores": 6},
        {"most": 150, "count": 3, "spread": 40},
        {"aside": 0.6, "spread": 40},
        {"names": ["cat"], "most": 20},
        {"sizes": (0, 1, 2), "spread": 4},
        {"sizes": (1e-3, 1e4), "spread": 2},
    ],
    ids=["random", "equal scores", "crowded", "over a hundred", "crowds", "one class", "tiny", "huge"],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_numbers_are_those_of_pycocotools(words, seed):
    value = agree(*some(seed, **words))["AR100"][0]
    assert value > 0


ONE = ("cat", 10, 10, 60, 60)
# The first prediction overlaps both truths as much; which one it takes decides whether the second finds the one it needs.
LEFT, RIGHT, BOTH, FIRST = ("cat", 0, 0, 30, 10), ("cat", 10, 0, 40, 10), ("cat", 5, 0, 35, 10, 0.9), ("cat", 0, 0, 28, 10, 0.8)
HOSTILE = {
    "equal overlaps": ([[BOTH, FIRST]], [[LEFT, RIGHT]]),
    "equal overlaps, turned": ([[BOTH, FIRST]], [[RIGHT, LEFT]]),
    "no predictions": ([[]], [[ONE]]),
    "no truths": ([[(*ONE, 0.9)]], [[]]),
    "nothing at all": ([[]], [[]]),
    "all ignored": ([[(*ONE, 0.9)], [(*ONE, 0.5)]], [[(*ONE, True)], [(*ONE, True)]]),
    "a crowd takes all": (
        [[("cat", 10 + i, 10, 60 + i, 60, 0.5 + i / 100) for i in range(9)]],
        [[("cat", 0, 0, 200, 200, True), (*ONE, False)]],
    ),
    "copies of a truth": ([[(*ONE, 0.9)] * 3], [[ONE] * 5]),
    "copies of a prediction": ([[(*ONE, 0.9)] * 150], [[ONE]]),
    "exactly half": ([[("cat", 0, 0, 10, 10, 0.5)]], [[("cat", 0, 0, 10, 20)]]),
    "the right one is the 101st": ([[("cat", 200, 200, 210, 210, 0.9)] * 100 + [(*ONE, 0.8)]], [[ONE]]),
    "a prediction of another size": ([[("cat", 0, 0, 33, 33, 0.9)]], [[("cat", 0, 0, 32, 32)]]),
    "no area": ([[("cat", 5, 5, 5, 9, 0.9)]], [[("cat", 5, 5, 5, 9), ONE]]),
    "far beyond": ([[("cat", 0, 0, 2e5, 2e5, 0.9)]], [[("cat", 0, 0, 2e5, 2e5), ONE]]),
    "a class of its own in each picture": (
        [[("cat", 0, 0, 9, 9, 0.4)], [("狗", 0, 0, 9, 9, 0.6)]],
        [[("狗", 0, 0, 9, 9)], [("狗", 0, 0, 9, 9)]],
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_sets_too(name):
    said, true = HOSTILE[name]
    agree([boxes(rows) for rows in said], [boxes(rows) for rows in true])


GRID = st.integers(0, 6)
SIDE = st.sampled_from([0, 1, 2, 4])


@st.composite
def answers(draw, last):
    rows = draw(st.lists(st.tuples(st.sampled_from(NAMES), GRID, GRID, SIDE, SIDE, last), max_size=6))
    # Scaled so that the borders between the sizes (32 and 96 pixels) are often met.
    return boxes([(name, 16 * x, 16 * y, 16 * (x + w), 16 * (y + h), more) for name, x, y, w, h, more in rows])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(answers(st.sampled_from([0.25, 0.5, 0.75])), answers(st.booleans())), min_size=1, max_size=4))
def test_numbers_agree_whatever_the_boxes(pairs):
    agree([said for said, _ in pairs], [true for _, true in pairs])


def test_recalls_that_floats_put_a_step_higher():
    """35 of 100 is not quite the 36th recall in floats; pycocotools goes by the floats."""
    said, true = [], []
    for i in range(100):
        hit = i < 35
        said.append(boxes([(*ONE, 0.9 - i / 200)] if hit else [("cat", 200, 200, 240, 240, 0.9 - i / 200)]))
        true.append(boxes([ONE]))
    value = agree(said, true)["mAP"][0]
    assert value == pytest.approx(35 / 101)


# ── drawings ────────────────────────────────────────────────────────────────────────────────────────────


def repeated(weights, predictions, truths):
    places = np.repeat(np.arange(len(truths)), weights.astype(int))
    return [predictions[i] for i in places], [truths[i] for i in places]


def test_a_drawing_is_the_set_with_pictures_repeated():
    predictions, truths = some(3, count=10)
    weights = np.random.default_rng(0).integers(0, 4, (10, 4)).astype(np.float32)
    mine, each = ours(predictions, truths, weights)
    for column in range(4):
        theirs, of_class = oracle(*repeated(weights[:, column], predictions, truths))
        for key in ("mAP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR100"):
            np.testing.assert_allclose(mine[key][column], theirs[key], rtol=0, atol=1e-9, err_msg=key)
        np.testing.assert_allclose(each[:, column], of_class, rtol=0, atol=1e-9)


def test_blocks_and_parts_change_nothing(monkeypatch):
    predictions, truths = some(4, count=20, scores=9)
    weights = np.random.default_rng(1).integers(0, 3, (20, 30)).astype(np.float32)
    whole, _ = ours(predictions, truths, weights)
    matched = match(predictions, truths, NAMES)
    monkeypatch.setattr(mean_ap, "AT_ONCE", 50)
    monkeypatch.setattr(_matching, "IN_PART", 10)
    monkeypatch.setattr(_matching, "AT_ONCE", 20)
    small, _ = ours(predictions, truths, weights)
    for key in COCO_KEYS:
        np.testing.assert_allclose(small[key], whole[key], rtol=0, atol=1e-14)
    assert np.array_equal(match(predictions, truths, NAMES).outcome, matched.outcome)


def test_weights_need_not_be_whole():
    predictions, truths = some(5)
    weights = np.random.default_rng(1).integers(0, 3, (12, 5)).astype(float)
    # An eighth of a whole number is exact too, but is told the other way.
    for key, values in ours(predictions, truths, weights)[0].items():
        np.testing.assert_allclose(ours(predictions, truths, weights / 8)[0][key], values, rtol=0, atol=1e-12)


def test_a_class_that_was_not_drawn_is_left_out_of_the_mean():
    said = [boxes([(*ONE, 0.9)]), boxes([("狗", 10, 10, 60, 60, 0.9), ("狗", 0, 0, 9, 9, 0.95)])]
    true = [boxes([ONE]), boxes([("狗", 10, 10, 60, 60)])]
    mine, each = ours(said, true, np.array([[1.0, 1, 0, 0], [1, 0, 1, 0]]))
    np.testing.assert_allclose(mine["mAP"], [0.75, 1, 0.5, np.nan])
    np.testing.assert_allclose(each, [[1, 1, np.nan, np.nan], [0.5, np.nan, 0.5, np.nan], [np.nan] * 4])


def test_matching_is_done_once_for_a_set_and_again_for_other_answers(monkeypatch):
    calls = []
    monkeypatch.setattr(_matching, "match", lambda *words: calls.append(0) or match(*words))
    predictions, truths = some(0)
    measure(detection(NAMES), predictions, truths, draws=10)
    assert len(calls) == 1
    matcher = Matcher(NAMES)
    first = matcher(predictions, truths)
    assert matcher(list(predictions), truths) is first
    predictions[0] = boxes([])
    assert matcher(predictions, truths) is not first, "a list that was changed is another list"


def test_the_order_of_pictures_does_not_matter_where_scores_differ():
    predictions, truths = some(6)
    turned, _ = ours(predictions[::-1], truths[::-1])
    for key, value in ours(predictions, truths)[0].items():
        assert value[0] == pytest.approx(turned[key][0], abs=1e-12), key


# ── the matching ────────────────────────────────────────────────────────────────────────────────────────


def test_any_overlap_can_take_the_place_of_boxes():
    predictions, truths = some(7, spread=40, scores=5)

    def overlap(prediction, truth, mine, theirs, crowd):
        a, b = (np.concatenate([one.boxes[:, :2], one.boxes[:, 2:] - one.boxes[:, :2]], 1) for one in (prediction, truth))
        return box_iou(a[mine][:, None], b[theirs], crowd)

    plain, asked = match(predictions, truths, NAMES), match(predictions, truths, NAMES, overlap)
    assert np.array_equal(plain.outcome, asked.outcome) and np.array_equal(plain.partner, asked.partner)
    nowhere = match(predictions, truths, NAMES, lambda *words: np.zeros((len(words[2]), len(words[3]))))
    assert (plain.outcome == 1).any() and not (nowhere.outcome == 1).any() and (nowhere.partner == -1).all()
    small = match(predictions, truths, NAMES, area=lambda answer: np.full(len(answer), 5.0))
    assert not small.counts[:, 2:].any() and small.counts[:, 1].sum() == small.counts[:, 0].sum()


def test_a_prediction_without_probabilities_is_sure():
    assert match([boxes([ONE])], [boxes([ONE])], NAMES).predicted.score == [1.0]


def test_a_class_nobody_knows_is_a_fault_of_ours():
    with pytest.raises(KeyError):
        match([boxes([("ox", 0, 0, 9, 9)])], [boxes([])], NAMES)


# ── at the operating threshold ──────────────────────────────────────────────────────────────────────────

SEEN = [
    # Found, found twice (the second is invented), missed, one below the threshold.
    ([(*ONE, 0.9), ("cat", 11, 10, 60, 60, 0.8), ("cat", 200, 200, 250, 250, 0.3)], [ONE, ("cat", 200, 200, 250, 250)]),
    # A dog named a cat; a dog badly placed; a crowd that was hit.
    (
        [("cat", 100, 100, 150, 150, 0.7), ("狗", 30, 0, 80, 50, 0.7), ("狗", 200, 200, 220, 220, 0.99)],
        [("狗", 100, 100, 150, 150, False), ("狗", 0, 0, 50, 50, False), ("狗", 200, 200, 300, 300, True)],
    ),
    ([], []),
]
SAID, TRUE = [boxes(said) for said, _ in SEEN], [boxes(true) for _, true in SEEN]


def at_threshold(key, threshold=0.5):
    metric = detection(NAMES, threshold)[key]
    return metric, metric.records(SAID, TRUE)


def test_precision_recall_and_f1_by_hand():
    once = np.ones((3, 1))
    # Cats: 3 shown, 1 right, of 2; dogs: 1 shown beside the crowd's, none right, of 2; `never` is neither.
    for key, cat in (("precision", 1 / 3), ("recall", 1 / 2), ("f1", 2 / 5)):
        metric, records = at_threshold(key)
        np.testing.assert_allclose(metric.each(records, once)[:, 0], [cat, 0, np.nan])
        assert metric.summary(records, once[:, 0]) == pytest.approx(cat / 2)
    metric, records = at_threshold("recall", 0.3)
    assert metric.each(records, once)[0, 0] == 1.0
    assert metric.carriers(records).tolist() == [1, 1, 0]


def test_confusion_counts_every_object_once():
    metric, records = at_threshold("f1")
    figure = metric.figure(records)
    assert figure["names"] == [*NAMES, "background"]
    assert figure["counts"] == [[1, 0, 0, 1], [1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0]]


def test_galleries_show_each_kind_of_mistake():
    metric, records = at_threshold("f1")
    rooms = {gallery.title: gallery for gallery in metric.galleries(records)}
    assert rooms["confused"].places == [1] and rooms["confused"].values == {"true": "狗", "named": "cat", "count": 1}
    kinds = ("missed", "invented", "badly_placed", "right")
    assert {kind: (rooms[kind].places, rooms[kind].values) for kind in kinds} == {
        "missed": ([0], {"count": 1}),
        "invented": ([0], {"count": 1}),
        "badly_placed": ([1], {"count": 1}),
        "right": ([0], {"count": 1}),
    }
    corners = {kind: [rows.tolist() for rows in gallery.corners] for kind, gallery in rooms.items()}
    assert (
        corners
        == {
            "confused": [[[100, 100, 150, 150]]],
            "missed": [[[200, 200, 250, 250]]],
            "invented": [[[11, 10, 60, 60]]],
            "badly_placed": [[[0, 0, 80, 50]]],  # what was said and what was meant
            "right": [[[*ONE[1:]]]],
        }
    )
    perfect = metric.records(TRUE, TRUE)
    assert [gallery.title for gallery in metric.galleries(perfect)] == ["right"] and metric.figure(perfect)["counts"][-1] == [0, 0, 0, 0]


@pytest.mark.parametrize("seed", range(3))
def test_mistakes_add_up(seed):
    """Every shown box that counts and every truth that counts stands in the confusion once."""
    predictions, truths = some(seed, spread=60)
    matched, metric = match(predictions, truths, NAMES), detection(NAMES)["f1"]
    records = metric.records(predictions, truths)
    counts = np.array(metric.figure(records)["counts"])
    shown = (matched.predicted.score >= 0.5) & (matched.outcome[:, 0, 0] >= 0)
    assert counts[:, :-1].sum(0).tolist() == np.bincount(matched.predicted.label[shown], minlength=3).tolist()
    assert counts[:-1].sum(1).tolist() == np.bincount(matched.true.label[matched.counts[:, 0]], minlength=3).tolist()
    missed, invented, badly_placed, right = (sum(int((rows == place).sum()) for rows in records["kind"]) for place in range(len(KINDS)))
    assert invented + badly_placed == counts[-1].sum() and right == np.trace(counts)
    assert missed <= counts[:, -1].sum()


# ── FROC and calibration ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scores", [None, 5])
def test_froc_is_what_a_slow_count_says(scores):
    predictions, truths = some(8, count=15, scores=scores, spread=60, names=["cat"])
    weights = np.random.default_rng(2).integers(0, 3, (15, 3)).astype(float)
    metric = detection(["cat"])["froc"]
    told = metric.each(metric.records(predictions, truths), weights)
    matched = match(predictions, truths, ["cat"])
    outcome, picture, score = matched.outcome[:, 0, 0], matched.predicted.picture, matched.predicted.score
    for column, weight in enumerate(weights.T):
        total = weight[matched.true.picture[matched.counts[:, 0]]].sum()
        found = np.zeros(len(RATES))
        for level in np.unique(score):
            alarms, hits = (weight[picture[(score >= level) & (outcome == kind)]].sum() for kind in (0, 1))
            found = np.where(alarms <= RATES * weight.sum(), np.maximum(found, hits), found)
        assert told[0, column] == pytest.approx((found / total).mean())


def test_froc_of_nothing_said_is_nothing_found():
    metric = detection(NAMES)["froc"]
    records = metric.records([boxes([])], [boxes([ONE])])
    assert metric.summary(records, np.ones(1)) == 0.0
    assert metric.figure(metric.records([boxes([])], [boxes([])])) is None


def calibrated(rng, count, power):
    """Boxes whose stated probability p is right p**power of the time."""
    said, true = [], []
    for _ in range(count):
        stated = rng.uniform(0.5, 1, 10)
        rows = [("cat", 50 * i, 0, 50 * i + 40, 40, p) for i, p in enumerate(stated)]
        said.append(boxes(rows))
        true.append(boxes([row[:5] for row, p in zip(rows, stated, strict=True) if rng.random() < p**power]))
    return said, true


def test_calibration_error_is_the_gap_between_probability_and_precision():
    metric, rng = detection(["cat"])["d_ece"], np.random.default_rng(0)
    honest, boastful = (metric.records(*calibrated(rng, 300, power)) for power in (1, 3))
    assert metric.summary(honest, np.ones(300)) < 0.04
    # ∫ (p − p³) dp over 0.5–1, twice, is 0.28.
    assert metric.summary(boastful, np.ones(300)) == pytest.approx(0.28, abs=0.04)
    assert sum(row["count"] for row in metric.figure(honest)["bins"]) == 3000
    nothing = metric.records([boxes([(*ONE, 0.2)])], [boxes([ONE])])
    assert np.isnan(metric.summary(nothing, np.ones(1))), "below the threshold nobody sees it"


# ── intervals, words, pictures ──────────────────────────────────────────────────────────────────────────


def test_every_metric_has_an_interval_a_name_and_a_figure_that_can_be_drawn():
    predictions, truths = some(9, count=25)
    metrics = detection(NAMES)
    assert next(iter(metrics)) == "mAP" and set(COCO_KEYS) < set(metrics)
    measured = measure(metrics, predictions, truths, draws=60)
    kinds = []
    for key, score in measured.scores.items():
        assert score.low <= score.value <= score.high and score.low < score.high, key
        assert {len(rows) for rows in measured.records[key].values()} == {25}
        assert all(f"{part}.{key}" in room(tongue, "metrics") for part in ("name", "means") for tongue in LANGUAGES), key
        assert catalog.find("metrics", catalog.key_of("metrics", type(metrics[key]))) is type(metrics[key])
        if (figure := metrics[key].figure(measured.records[key])) is not None:
            kinds.append(figure["kind"])
            assert "<svg" in draw(json.loads(json.dumps(figure, allow_nan=False)))[0][0]
    assert sorted(kinds) == ["confusion", "froc", "precision_recall", "reliability"]
    assert set(measured.parts["mAP"]) == set(NAMES) and np.isnan(measured.parts["mAP"]["never"].value)


@pytest.mark.parametrize(("said", "true"), [([], []), ([(*ONE, 0.9)], []), ([], [(*ONE, True)]), ([], [ONE])])
def test_what_is_undefined_stays_so_without_a_word(said, true):
    """Warnings are errors here."""
    measured = measure(detection(NAMES), [boxes(said)] * 3, [boxes(true)] * 3, draws=20)
    assert np.isnan(measured.scores["mAP"].value) == (true != [ONE])
    for key, metric in detection(NAMES).items():
        metric.figure(measured.records[key])
        metric.galleries(measured.records[key])


def simulated(rng, count, noise=0.06):
    """Pictures of up to five objects of two classes, found three times out of four, with alarms that are less sure."""
    said, true = [], []
    for _ in range(count):
        rows = []
        for i in range(rng.integers(1, 6)):
            near, far = 60 * i + rng.random(2) * 5, 60 * i + 30 + rng.random(2) * 25
            rows.append((NAMES[rng.integers(0, 2)], *near, *far))
        seen = [(row[0], *(np.array(row[1:]) + rng.normal(0, 40 * noise, 4)), rng.beta(5, 2)) for row in rows if rng.random() < 0.75]
        seen += [(NAMES[rng.integers(0, 2)], 300, 300, 340, 340, rng.beta(2, 4)) for _ in range(rng.poisson(0.7))]
        said.append(boxes(seen))
        true.append(boxes(rows))
    return said, true


def test_the_better_of_two_is_told_on_the_same_pictures():
    said, true = simulated(np.random.default_rng(1), 60)
    worse = [answer.keep(np.arange(0, len(answer), 2)) for answer in said]
    metric = detection(NAMES)["mAP"]
    a, b = metric.records(said, true), metric.records(worse, true)
    assert compare(metric, a, b, draws=100).word == "better"
    assert compare(metric, b, a, draws=100).word == "worse"
    assert compare(metric, a, a, draws=100).word == "cannot tell"


@pytest.mark.slow
@pytest.mark.parametrize("words", [{}, {"iou": 0.5}], ids=["mAP", "AP50"])
def test_intervals_hold_the_number_of_many_pictures(words):
    metric, rng = MeanAp(NAMES[:2], **words), np.random.default_rng(11)
    truth = metric.summary(metric.records(*simulated(rng, 6000)), np.ones(6000))
    found = [interval(metric, metric.records(*simulated(rng, 80)), draws=200, seed=i) for i in range(200)]
    held = [score.low <= truth <= score.high for score in found]
    assert 0.91 <= np.mean(held) <= 0.985


def test_thresholds_are_cocos_own():
    assert IOUS.tolist() == COCOeval(iouType="bbox").params.iouThrs.tolist()
    assert mean_ap.RECALLS.tolist() == COCOeval(iouType="bbox").params.recThrs.tolist()
    assert [list(ends) for ends in _matching.SIZES.values()] == COCOeval(iouType="bbox").params.areaRng

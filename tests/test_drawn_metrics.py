"""Metrics of drawn pictures say what their papers or a slow count say, and do not depend on the order of pictures."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest

from omma.answers.drawn import Drawn
from omma.metrics import bootstrap
from omma.metrics._seen import among, shuffled
from omma.metrics.fid import Fid, frechet
from omma.metrics.kid import Kid
from omma.metrics.manifold import inside
from omma.metrics.metric import Metric
from omma.metrics.sets import generation
from omma.report.evaluation import Evaluation, shown
from omma.report.page import Page
from omma.report.run import _scores
from omma.words import room

KEYS = ["kid", "fid", "precision", "recall", "copied", "kid_real", "fid_real"]
METRICS = generation(["picture"])


def pictures(rows, near=None, names: str = "") -> list[Drawn]:
    """One for each row of features; called `names` and a number, where they are to have a name."""
    table = np.asarray(rows, np.float32)
    near = np.full(len(table), np.nan) if near is None else near
    return [
        Drawn(lambda: np.zeros((2, 2, 1), np.uint8), name=f"{names}{i}" if names else "", seen=row, near=float(far))
        for i, (row, far) in enumerate(zip(table, near, strict=True))
    ]


def normal(count: int, width: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """(count, width) float32: nothing is rounded when pictures keep them."""
    return (np.random.default_rng(seed).normal(size=(count, width)) + shift).astype(np.float32)


def value(key: str, made: list[Drawn], true: list[Drawn]) -> float:
    metric = METRICS[key]
    return metric.summary(metric.records(made, true), np.ones(len(true)))


def all_of(count: int) -> np.ndarray:
    return np.ones(count, bool)


def both(made: np.ndarray, true: np.ndarray) -> dict[str, np.ndarray]:
    """Records of which every picture counts."""
    return {"made": made.astype(float), "true": true.astype(float), "of_made": all_of(len(made)), "of_true": all_of(len(true))}


def drawings(count: int, width: int = 7) -> np.ndarray:
    return next(bootstrap.drawn(count, draws=width))


# ── FID ─────────────────────────────────────────────────────────────────────────────────────────────────


def root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T


def slow_fid(one: np.ndarray, other: np.ndarray) -> float:
    """As the paper writes it, of two sets."""
    a, b = (np.cov(rows.astype(float), rowvar=False) for rows in (one, other))
    return closed(one.mean(0, dtype=float), a, other.mean(0, dtype=float), b)


def closed(m: np.ndarray, a: np.ndarray, n: np.ndarray, b: np.ndarray) -> float:
    return float(np.square(m - n).sum() + np.trace(a) + np.trace(b) - 2 * np.trace(root(root(a) @ b @ root(a))))


def test_fid_of_normal_distributions_is_the_closed_form():
    rng = np.random.default_rng(0)
    mixing, other = rng.normal(size=(2, 4, 4))
    wanted = closed(np.ones(4), mixing.T @ mixing, np.zeros(4), other.T @ other)
    made, true = rng.normal(size=(2, 20_000, 4))
    assert value("fid", pictures(made @ mixing + 1), pictures(true @ other)) == pytest.approx(wanted, rel=0.05)
    # Of samples that have these very means and covariances it is that number.
    exact = [np.linalg.qr(rows - rows.mean(0))[0] * 19_999**0.5 for rows in (made, true)]
    assert Fid([]).summary(both(exact[0] @ mixing + 1, exact[1] @ other), np.ones(20_000)) == pytest.approx(wanted, rel=1e-9)
    # In one dimension: difference of the means and of the deviations, both squared.
    line = both(3 + 2 * exact[0][:, :1], 1 + 5 * exact[1][:, :1])
    assert Fid([]).summary(line, np.ones(20_000)) == pytest.approx(4 + 9, rel=1e-9)


@pytest.mark.parametrize("count", [5, 12, 80])
def test_fid_is_that_of_the_paper(count):
    made, true = normal(count, 8, 0, 0.3), normal(count, 8, 1)
    records = METRICS["fid"].records(pictures(made), pictures(true))
    half = made[records["of_made"]], true[records["of_true"]]
    assert len(half[0]) == len(half[1]) == count // 2
    assert value("fid", pictures(made), pictures(true)) == pytest.approx(slow_fid(*half), rel=1e-6)
    assert Fid([]).summary(both(made, true), np.ones(count)) == pytest.approx(slow_fid(made, true), rel=1e-6)


def test_fid_of_a_set_and_itself_is_nothing():
    rows = normal(60, 8, 0)
    assert Fid([]).summary(both(rows, rows), np.ones(60)) == pytest.approx(0, abs=1e-9)
    dead = np.concatenate([rows, np.zeros_like(rows), rows], 1)  # without full rank, as features of a network have it
    assert Fid([]).summary(both(dead, dead), np.ones(60)) == pytest.approx(0, abs=1e-9)
    assert frechet(np.zeros(3), np.zeros((1, 3)), np.ones(3), np.zeros((1, 3))) == 3


@pytest.mark.parametrize("count", [7, 40])
def test_fid_of_weights_is_that_of_the_repeated_set(count):
    made, true = normal(count, 9, 0, 0.3), normal(count, 9, 1)
    weights = drawings(count)
    found = Fid([]).summaries(both(made, true), weights)
    for column, drawn in enumerate(weights.T.astype(int)):
        assert found[column] == pytest.approx(slow_fid(np.repeat(made, drawn, 0), np.repeat(true, drawn, 0)), rel=1e-6)


def test_halves_are_as_far_apart_as_a_perfect_generator_is():
    found = [
        [value(key, pictures(normal(120, 10, s)), pictures(normal(120, 10, 99 + s))) for key in ("fid", "fid_real")] for s in range(40)
    ]
    fid, real = np.mean(found, 0)
    assert real > 1 and fid == pytest.approx(real, rel=0.05)
    whole = np.mean([Fid([]).summary(both(normal(120, 10, s), normal(120, 10, 99 + s)), np.ones(120)) for s in range(40)])
    assert whole < 0.7 * real, "more pictures, less of it: why both are of halves"


# ── KID ─────────────────────────────────────────────────────────────────────────────────────────────────


def slow_kid(made: np.ndarray, true: np.ndarray, made_from=None, true_from=None) -> float:
    """A double loop, two pictures of one set left out where they are copies of one."""
    made_from = range(len(made)) if made_from is None else made_from
    true_from = range(len(true)) if true_from is None else true_from

    def mean(one, of, other, other_of, same):
        pairs = [
            (float(x.astype(float) @ y.astype(float)) / len(x) + 1) ** 3
            for x, i in zip(one, of, strict=True)
            for y, j in zip(other, other_of, strict=True)
            if not same or i != j
        ]
        return np.mean(pairs)

    within = mean(made, made_from, made, made_from, True) + mean(true, true_from, true, true_from, True)
    return within - 2 * mean(made, made_from, true, true_from, False)


def test_kid_is_a_double_loop():
    made, true = normal(9, 4, 0, 0.4), normal(9, 4, 1)
    assert value("kid", pictures(made), pictures(true)) == pytest.approx(slow_kid(made, true), rel=1e-9)
    records = METRICS["kid_real"].records(pictures(made), pictures(true))
    halves = true[records["of_made"]], true[records["of_true"]]
    assert len(halves[0]) == len(halves[1]) == 4 and not (records["of_made"] & records["of_true"]).any()
    assert value("kid_real", pictures(made), pictures(true)) == pytest.approx(slow_kid(*halves), rel=1e-9)


def test_kid_of_weights_is_that_of_the_repeated_set_without_pairs_of_one_picture():
    made, true = normal(11, 4, 0, 0.4), normal(11, 4, 1)
    weights = drawings(11)
    found = Kid([]).summaries(both(made, true), weights)
    for column, drawn in enumerate(weights.T.astype(int)):
        places = np.repeat(np.arange(11), drawn)
        assert found[column] == pytest.approx(slow_kid(made[places], true[places], places, places), rel=1e-9)


def test_kid_knows_no_bias():
    for count in (6, 30):
        pairs = [value("kid", pictures(normal(count, 5, s)), pictures(normal(count, 5, 5000 + s))) for s in range(300)]
        error = np.std(pairs) / 300**0.5
        assert abs(np.mean(pairs)) < 3 * error, "0 on average, however few"
        assert min(pairs) < 0 < max(pairs)
    assert value("kid", pictures(normal(200, 5, 0, 0.5)), pictures(normal(200, 5, 1))) > 20 * error


def test_kid_takes_at_most_so_many_pictures(monkeypatch):
    monkeypatch.setattr(Kid, "most", 20)
    records = METRICS["kid"].records(pictures(normal(50, 4, 0)), pictures(normal(50, 4, 1)))
    assert records["of_made"].sum() == records["of_true"].sum() == 20 and len(records["made"]) == 50
    assert METRICS["kid"].carriers(records) == [20]


# ── precision and recall ────────────────────────────────────────────────────────────────────────────────


def test_precision_and_recall_by_hand():
    """The third neighbour of true 0, 1, 2, 3, 10 is 3, 2, 2, 3, 9 away; of drawn 1, 2.5, 6.5, 7, 30 it is 6, 4.5, 5.5, 6, 27.5."""
    true, made = [[x] for x in (0.0, 1, 2, 3, 10)], [[x] for x in (1.0, 2.5, 6.5, 7, 30)]
    assert inside(np.array(made), np.array(true)).tolist() == [True, True, True, True, False]
    assert inside(np.array(true), np.array(made)).tolist() == [True, True, True, True, True]
    assert value("precision", pictures(made), pictures(true)) == 0.8
    assert value("recall", pictures(made), pictures(true)) == 1
    # 19 = 10 + 9 lies on the border, which belongs to the ball.
    assert inside(np.array([[19.0], [19.001], [-3], [-3.001], [1e9]]), np.array(true)).tolist() == [True, False, True, False, False]


def test_neighbours_are_those_of_all_distances():
    points, around = normal(60, 6, 0, 0.5), normal(60, 6, 1)
    apart = np.linalg.norm(around[:, None].astype(float) - around, axis=2)
    reach = np.sort(apart, 1)[:, 3]
    wanted = (np.linalg.norm(points[:, None].astype(float) - around, axis=2) <= reach).any(1)
    assert 0 < wanted.sum() < 60 and (inside(points.astype(float), around.astype(float)) == wanted).all()


def test_one_good_picture_again_and_again_is_precise_and_recalls_little():
    true = normal(200, 3, 0)
    made = np.repeat(true[:1] * 0.01, 200, 0) + 1e-3 * normal(200, 3, 1)
    assert value("precision", pictures(made), pictures(true)) == 1
    assert value("recall", pictures(made), pictures(true)) < 0.05
    wide = 5 * normal(200, 3, 1)
    assert value("precision", pictures(wide), pictures(true)) < 0.5 < 0.9 < value("recall", pictures(wide), pictures(true))
    same = np.repeat(true[:1], 200, 0)
    assert value("precision", pictures(same), pictures(true)) == 1 and value("recall", pictures(same), pictures(true)) == 1 / 200


# ── copied ──────────────────────────────────────────────────────────────────────────────────────────────


def copied(near, true) -> float:
    return value("copied", pictures(np.zeros((len(near), 1)), near), pictures(np.zeros((len(true), 1)), true))


def test_copies_are_copied_and_honest_pictures_are_one_in_a_hundred():
    rng = np.random.default_rng(0)
    far = rng.gamma(9, 1, (2, 1000))
    assert copied(np.zeros(1000), far[0]) == 1
    assert copied(np.where(np.arange(1000) < 300, 0, far[1] + 1), far[0]) == 0.3
    honest = [copied(*rng.gamma(9, 1, (2, 1000))) for _ in range(60)]
    assert np.mean(honest) == pytest.approx(0.01, abs=0.002)
    assert copied(far[0], far[0]) == pytest.approx(0.009), "nearer than the tenth of them"


def test_of_few_pictures_the_nearest_is_the_limit():
    true = np.arange(1.0, 51)
    assert copied(np.where(np.arange(50) < 5, 0.5, 1.0), true) == 0.1
    assert copied(true, true) == 0


def test_the_limit_is_drawn_with_the_pictures():
    near, true = np.random.default_rng(1).gamma(9, 1, (2, 300))
    metric = METRICS["copied"]
    weights = drawings(300, 20)
    found = metric.summaries({"near": near, "true": true}, weights)
    for column, drawn in enumerate(weights.T.astype(int)):
        limit = np.sort(np.repeat(true, drawn))[2]  # of 300, three are 1 %
        assert found[column] == pytest.approx((np.repeat(near, drawn) < limit).mean())


def test_the_most_suspicious_pictures_come_first():
    near = np.array([5.0, 0.1, 3.0, 0.0, 9.0])
    records = METRICS["copied"].records(pictures(np.zeros((5, 1)), near), pictures(np.zeros((5, 1)), near))
    (gallery,) = METRICS["copied"].galleries(records, most=3)
    assert gallery.places == [3, 1, 2] and all(f"gallery.{gallery.title}" in room(tongue, "evaluate") for tongue in ("en", "zh"))


# ── all of them ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("names", ["", "true "])
def test_order_does_not_matter(names):
    rng = np.random.default_rng(0)
    made, true = pictures(normal(31, 40, 0, 0.2), rng.random(31)), pictures(normal(31, 40, 1), rng.random(31), names)
    made[3].seen = made[8].seen  # a picture drawn twice
    mixed = [made[i] for i in rng.permutation(31)], [true[i] for i in rng.permutation(31)]
    for key in KEYS:
        once = value(key, made, true)
        assert value(key, made[::-1], true[::-1]) == pytest.approx(once, abs=1e-9), key
        assert value(key, *mixed) == pytest.approx(once, abs=1e-9), f"{key}: it means nothing which picture stands beside which"


def test_halves_are_of_chance():
    rows = np.arange(1000.0)[:, None]
    for names in ("", "picture "):
        order = shuffled(pictures(rows, names=names), rows)
        assert sorted(order) == list(range(1000)) and abs(order[:500].mean() - 500) < 50
        assert abs(np.corrcoef(order, np.arange(1000))[0, 1]) < 0.1
    assert among(4, np.array([2, 0])).tolist() == [True, False, True, False]


def test_what_nobody_looked_at_has_no_number():
    far = np.ones(6)
    good = pictures(normal(6, 3, 0), far), pictures(normal(6, 3, 1), far)
    assert all(np.isfinite(value(key, *good)) for key in KEYS)
    for spoil in (None, np.array([1, np.nan, 0], np.float32)):
        made, true = pictures(normal(6, 3, 0)), pictures(normal(6, 3, 1))
        true[2].seen = spoil
        assert all(np.isnan(value(key, made, true)) for key in KEYS)
        rows = bootstrap.scores(METRICS, made, true)
        assert all(row.json()["value"] is None and row.json()["low"] is None for row in rows.values())
    for few in (0, 1):
        told = bootstrap.scores(METRICS, good[0][:few], good[1][:few])
        assert all(np.isnan(told[key].value) for key in KEYS if key != "copied" or not few)
    assert np.isnan(value("precision", good[0][:3], good[1][:3])) and np.isfinite(value("precision", good[0][:4], good[1][:4]))


@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_hold_their_number(grouped):
    rng = np.random.default_rng(0)
    made, true = pictures(normal(60, 8, 0, 0.3), rng.random(60)), pictures(normal(60, 8, 1), rng.random(60))
    start = time.process_time()
    found = bootstrap.measure(METRICS, made, true, [i // 2 for i in range(60)] if grouped else None).scores
    assert time.process_time() - start < 3, "a second or so where nothing else runs"
    assert list(found) == KEYS
    for key, row in found.items():
        assert np.isfinite([row.low, row.value, row.high]).all() and row.low <= row.value <= row.high and row.low < row.high, key
        assert row.n == 60 and (row.protocol == {"features": "random"}) == (key != "copied")
    assert found["kid"].low < 0.1 < found["fid"].low and found["fid"].value > found["fid_real"].value


@pytest.mark.parametrize(("key", "apart"), [("fid", 0.3), ("kid", 0.3), ("fid", 0.0)])
def test_intervals_hold_what_they_promise(key, apart):
    """What a number is on average at this size lies within 95 % of the intervals, or a few more: of sets of one kind, they are too wide."""
    metric, count = METRICS[key], 200
    sets = [metric.records(pictures(normal(count, 6, 2 * s, apart)), pictures(normal(count, 6, 2 * s + 1))) for s in range(150)]
    found = [bootstrap.interval(metric, records, draws=60, seed=s) for s, records in enumerate(sets)]
    truth = np.mean([score.value for score in found])
    held = np.mean([score.low <= truth <= score.high for score in found])
    assert held >= 0.91, "5 % of 150 may miss, give or take"
    assert all(score.low > 0 for score in found) or key == "kid"


class Counting(Metric):
    """How many drawings it was asked for."""

    def __init__(self, draws: int | None) -> None:
        super().__init__([])
        self.asked = 0
        self.draws = draws

    def records(self, predictions, truths):
        return {"it": np.arange(float(len(truths)))}

    def summaries(self, records, weights):
        self.asked += weights.shape[1]
        return records["it"] @ weights / weights.sum(0) / 20


def test_a_metric_may_ask_for_fewer_drawings(monkeypatch):
    monkeypatch.setattr(bootstrap, "AT_ONCE", 64 * 20)  # 64 drawings a block
    few, all_of_them = Counting(100), Counting(None)
    found = bootstrap.measure({"few": few, "all": all_of_them}, [None] * 20, [None] * 20)
    assert (few.asked, all_of_them.asked, found.draws) == (101, 1001, 1000)
    a, b = (found.scores[key] for key in ("few", "all"))
    assert a.value == b.value and (a.high - a.low) == pytest.approx(b.high - b.low, rel=0.3)
    few.asked = 0
    bootstrap.compare(few, found.records["few"], found.records["few"])
    assert few.asked == 2 + 4 * 100
    assert Fid.draws == 200 and Metric.draws is Kid.draws is None


def test_two_generators_are_compared_on_the_same_true_pictures():
    true = pictures(normal(80, 5, 0))
    for key in ("kid", "fid"):
        near, far = (METRICS[key].records(pictures(normal(80, 5, 1, shift)), true) for shift in (0.1, 1.5))
        assert bootstrap.compare(METRICS[key], near, far, draws=200).word == "better"
        assert bootstrap.compare(METRICS[key], far, near, draws=200).word == "worse"


# ── told ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_network_that_looked_is_told(monkeypatch):
    monkeypatch.setenv("OMMA_LANG", "en")
    metrics = generation([], features="resnet18 0a1b2c")
    assert list(metrics) == KEYS and [metric.better for metric in metrics.values()].count("higher") == 2
    made, true = pictures(normal(12, 3, 0), np.ones(12)), pictures(normal(12, 3, 1), np.ones(12))
    measured = bootstrap.measure(metrics, made, true)
    samples = [SimpleNamespace(id=str(i)) for i in range(12)]
    evaluation = Evaluation("set", "test", None, samples, [], made, metrics, measured)
    table = evaluation.json()
    assert table["features"] == "resnet18 0a1b2c" == table["fid"]["protocol"]["features"] and "protocol" not in table["copied"]
    line = next(row for row in evaluation.lines() if row.startswith("  KID "))
    assert line.endswith("[seen by resnet18 0a1b2c]")
    assert shown(measured.scores["fid"], metrics["fid"], "zh").endswith("[特征网络 resnet18 0a1b2c]")
    plain = Evaluation("set", "test", None, samples, [], made, {"copied": metrics["copied"]}, bootstrap.Measured({}, {}, measured.records))
    assert "features" not in plain.json()


def test_precision_of_sets_is_not_said_to_be_of_boxes():
    metrics = generation([])
    made, true = pictures(normal(12, 3, 0), np.ones(12)), pictures(normal(12, 3, 1), np.ones(12))
    page = Page("title", "lead")
    _scores(page, Evaluation("set", "test", None, [], [], made, metrics, bootstrap.measure(metrics, made, true)))
    html = page.html()
    for tongue in ("en", "zh"):
        words = room(tongue, "metrics")
        told = [f"means.{metric.meaning or key}" for key, metric in metrics.items()]
        assert {"means.drawn_precision", "means.drawn_recall"} < set(told) and all(key in words for key in told)
        assert all(f"name.{key}" in words for key in metrics)
        assert words["means.drawn_recall"] in html and words["means.recall"] not in html

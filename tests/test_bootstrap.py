"""Intervals hold what they promise, comparisons are paired, and all metrics see the same drawings."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from omma.answers.label import Label
from omma.answers.numbers import Numbers
from omma.metrics import bootstrap
from omma.metrics.sets import classification, regression

SETS, DRAWS = 500, 200
# Of 500 sets; 92–98 % is what a 95 % interval must hold.
LEAST, MOST = 0.92, 0.98


def coverage(metric, make, truth, sets=SETS, draws=DRAWS):
    """Share of simulated sets whose interval holds the true value."""
    rng = np.random.default_rng(20)
    found = [bootstrap.interval(metric, make(rng), draws=draws, seed=i) for i in range(sets)]
    return np.mean([score.low <= truth <= score.high for score in found])


def one_of(priors, right):
    """Truth and answer of a classifier that is right with probability `right[class]`, else names another class."""
    eye = np.eye(len(priors), dtype=bool)

    def make(rng, count):
        truth = rng.choice(len(priors), count, p=priors)
        hit = rng.random(count) < np.array(right)[truth]
        named = np.where(hit, truth, (truth + 1 + rng.integers(0, len(priors) - 1, count)) % len(priors))
        return {"truth": eye[truth], "predicted": eye[named], "right": hit}

    return make


@pytest.mark.parametrize(("count", "share"), [(100, 0.95), (100, 0.5), (30, 0.8)])
def test_coverage_of_accuracy(count, share):
    metric = classification(["a", "b"])["accuracy"]
    held = coverage(metric, lambda rng: {"right": rng.random(count) < share}, share)
    assert LEAST <= held <= MOST


def test_percentiles_would_not_have_held():
    """Negative control: why the interval of a share is not the plain percentile of the drawings."""
    rng, held = np.random.default_rng(20), 0
    for seed in range(SETS):
        right = rng.random(100) < 0.97
        drawings = np.concatenate([right @ w / 100 for w in bootstrap.drawn(100, None, DRAWS, seed)])
        low, high = np.percentile(drawings, [2.5, 97.5])
        held += low <= 0.97 <= high
    assert held / SETS < LEAST
    assert LEAST <= coverage(classification(["a", "b"])["accuracy"], lambda rng: {"right": rng.random(100) < 0.97}, 0.97) <= MOST


@pytest.mark.parametrize(
    "key", ["f1_macro", "balanced_accuracy", *(pytest.param(key, marks=pytest.mark.slow) for key in ("precision_macro", "f1_weighted"))]
)
def test_coverage_of_metrics_over_classes(key):
    make = one_of([0.5, 0.3, 0.2], [0.95, 0.85, 0.7])
    metric = classification(["a", "b", "c"])[key]
    truth = metric.summary(make(np.random.default_rng(0), 1_000_000), np.ones(1_000_000, np.float32))
    assert LEAST <= coverage(metric, lambda rng: make(rng, 200), truth) <= MOST


@pytest.mark.parametrize(("count", "prior", "apart"), [(200, 0.3, 1.5), pytest.param(100, 0.2, 3.0, marks=pytest.mark.slow)])
def test_coverage_of_auc(count, prior, apart):
    metric = classification(["a"])["roc_auc"]

    def make(rng):
        truth = np.append([True, False], rng.random(count - 2) < prior)
        return {"truth": truth[:, None], "probabilities": (rng.normal(size=count) + apart * truth)[:, None]}

    assert LEAST <= coverage(metric, make, NormalDist().cdf(apart / 2**0.5)) <= MOST


@pytest.mark.parametrize(("key", "truth"), [("mse", 1.0), ("mae", (2 / np.pi) ** 0.5), ("r2", 0.75)])
def test_coverage_of_errors(key, truth):
    metric = regression(["x"])[key]

    def make(rng):
        true = rng.normal(size=(100, 1)) * 2
        return {"truth": true, "predicted": true + rng.normal(size=(100, 1))}

    assert LEAST <= coverage(metric, make, truth) <= MOST


def calibrated(rng, count, slope):
    """Stated probabilities and whether it happened, with odds raised to `slope`: 1 is calibrated, less is too sure."""
    stated = np.clip(rng.beta(5, 1.5, count), 1e-6, 1 - 1e-6)
    odds = (stated / (1 - stated)) ** slope
    return stated, rng.random(count) < odds / (1 + odds)


def test_coverage_of_log_loss():
    metric = classification(["a"])["log_loss"]

    def make(rng, count=200):
        stated, happened = calibrated(rng, count, 0.6)
        return {"loss": -np.log(np.where(happened, stated, 1 - stated))}

    truth = make(np.random.default_rng(0), 2_000_000)["loss"].mean()
    assert LEAST <= coverage(metric, make, truth) <= MOST


@pytest.mark.parametrize("key", ["brier", "log_loss"])
@pytest.mark.parametrize("others", [0.0, 1e-12, 1e-4])
@pytest.mark.parametrize("one", [0.2, 0.9])
def test_one_picture_that_carries_all_the_loss_does_not_blow_the_interval_up(key, others, one):
    score = bootstrap.interval(classification(["a", "b"])[key], {"loss": np.array([one] + [others] * 39)})
    assert 0 < score.low < score.value < score.high < min(one, 10 * score.value)


def test_drawings_of_nearly_equal_truths_do_not_blow_the_interval_up():
    """r² divides by the spread of the truths, which a drawing of the same few pictures hardly has."""
    true = np.array([[1.0]] * 3 + [[1.1], [5.0]])
    told = true + np.array([[0.5], [-0.5], [0.2], [0.1], [-0.4]])
    score = bootstrap.interval(regression(["x"])["r2"], {"truth": true, "predicted": told})
    assert -1e9 < score.low < score.value < score.high <= 1


def test_an_interval_ends_where_the_score_does():
    score = bootstrap.interval(classification(["a", "b"])["brier"], {"loss": np.array([1.0, 1.0, 0.0])})
    assert score.high == 1.0


@pytest.mark.parametrize(("count", "slope"), [(1000, 0.6), pytest.param(400, 0.4, marks=pytest.mark.slow)])
def test_coverage_of_calibration_error(count, slope):
    metric = classification(["a", "b"])["ece"]

    def make(rng, count=count):
        stated, happened = calibrated(rng, count, slope)
        inside = np.clip(np.ceil(stated * 15).astype(int) - 1, 0, 14)[:, None] == np.arange(15)
        return {"stated": inside * stated[:, None], "happened": inside * happened[:, None], "count": inside * 1.0}

    truth = metric.summary(make(np.random.default_rng(0), 500_000), np.ones(500_000))
    assert LEAST <= coverage(metric, make, truth) <= MOST


def test_groups_widen_the_interval_as_much_as_they_should():
    """Ten pictures of a patient that are all right or all wrong are one picture; drawing them apart must fail the promise."""
    metric = classification(["a", "b"])["accuracy"]
    groups = np.repeat(np.arange(40), 10)
    rng, together, apart = np.random.default_rng(3), 0, 0
    for seed in range(300):
        records = {"right": np.repeat(rng.random(40) < 0.8, 10)}
        score = bootstrap.interval(metric, records, groups, DRAWS, seed)
        together += score.low <= 0.8 <= score.high
        score = bootstrap.interval(metric, records, None, DRAWS, seed)
        apart += score.low <= 0.8 <= score.high
    assert LEAST <= together / 300 <= MOST
    assert apart / 300 < 0.7


def test_a_perfect_score_is_not_certain():
    metric = classification(["a", "b"])["accuracy"]
    score = bootstrap.interval(metric, {"right": np.ones(50, bool)})
    assert score.value == score.high == 1.0
    assert 0.9 < score.low < 0.95


def test_a_perfect_rare_class_is_less_certain_than_a_common_one():
    names = ["rare", "common"]
    true = [Label("rare")] * 4 + [Label("common")] * 200
    recall = bootstrap.measure(classification(names), true, true).parts["recall_macro"]
    assert recall["rare"].low < 0.6 < 0.95 < recall["common"].low


def test_the_same_question_gets_the_same_answer_and_every_drawing_is_whole():
    blocks = list(bootstrap.drawn(70, None, 30, 5))
    again = list(bootstrap.drawn(70, None, 30, 5))
    assert all(np.array_equal(a, b) for a, b in zip(blocks, again, strict=True))
    weights = np.concatenate(blocks, axis=1)
    assert weights.shape == (70, 30) and (weights.sum(0) == 70).all()
    assert not np.array_equal(weights, np.concatenate(list(bootstrap.drawn(70, None, 30, 6)), axis=1))
    grouped = next(bootstrap.drawn(6, ["a", "a", "b", "b", "b", "c"], 50))
    assert (grouped[0] == grouped[1]).all() and (grouped[2] == grouped[4]).all() and not (grouped[0] == grouped[2]).all()


def test_metrics_of_one_evaluation_share_their_drawings():
    """Recall (micro) is accuracy here, so drawn together they have the very same interval."""
    rng = np.random.default_rng(0)
    true = [Label(name) for name in rng.choice(["a", "b"], 80)]
    said = [Label(name) for name in rng.choice(["a", "b"], 80)]
    found = bootstrap.scores(classification(["a", "b"]), said, true)
    assert found["accuracy"].low == pytest.approx(found["recall_micro"].low, abs=1e-9)
    assert found["accuracy"].low < found["accuracy"].value < found["accuracy"].high
    assert found["accuracy"].n == 80


def test_nothing_measured_is_undefined_not_an_error():
    score = bootstrap.scores(classification(["a", "b"]), [], [])["accuracy"]
    assert np.isnan(score.value) and score.n == 0
    assert score.json() == {"value": None, "low": None, "high": None, "n": 0}
    assert bootstrap.Score.from_json(score.json()).n == 0


@pytest.mark.parametrize(("freedom", "within"), [(2, 0.06), (4, 0.01), (10, 0.001), (1000, 1e-5)])
def test_quantiles_of_student(freedom, within):
    assert bootstrap.student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=within)


def test_wilson_is_wilson():
    wanted = stats.binomtest(95, 100).proportion_ci(method="wilson")
    assert bootstrap.wilson(0.95, 100, NormalDist().inv_cdf(0.975)) == pytest.approx((wanted.low, wanted.high))


def pair(count, a_right, b_right, together, seed):
    """Two models that share `together` of their luck."""
    rng = np.random.default_rng(seed)
    luck = rng.random(count)
    other = np.where(rng.random(count) < together, luck, rng.random(count))
    return {"right": luck < a_right}, {"right": other < b_right}


def test_comparison_finds_a_real_difference_and_says_which_way():
    accuracy = classification(["a", "b"])["accuracy"]
    a, b = pair(1000, 0.90, 0.85, 0.9, 0)
    better = bootstrap.compare(accuracy, a, b)
    assert better.word == "better" and better.difference.low > 0 and better.p < 0.01
    worse = bootstrap.compare(accuracy, b, a)
    assert worse.word == "worse" and worse.difference.value == pytest.approx(-better.difference.value)
    error = regression(["x"])["mse"]
    truth = np.random.default_rng(0).normal(size=(200, 1))
    good, bad = ({"truth": truth, "predicted": truth + off} for off in (0.1, 0.5))
    assert bootstrap.compare(error, good, bad).word == "better"


def test_comparison_is_paired():
    """The same two scores on unrelated pictures cannot be told apart: the pairing is what makes it sharp."""
    accuracy = classification(["a", "b"])["accuracy"]
    a, b = pair(1000, 0.90, 0.88, 1.0, 1)
    assert bootstrap.compare(accuracy, a, b).word == "better"
    shuffled = {"right": np.random.default_rng(2).permutation(b["right"])}
    assert bootstrap.compare(accuracy, a, shuffled).word == "cannot tell"


def test_the_same_model_cannot_be_told_from_itself():
    a, _ = pair(200, 0.8, 0.8, 1.0, 0)
    verdict = bootstrap.compare(classification(["a", "b"])["accuracy"], a, a)
    assert verdict.word == "cannot tell" and verdict.p == 1.0 and verdict.difference.low == verdict.difference.high == 0.0


def test_p_is_that_of_mcnemar():
    a, b = (
        {"right": np.repeat([True, True, False, False], [150, 14, 5, 31])},
        {"right": np.repeat([True, False, True, False], [150, 14, 5, 31])},
    )
    verdict = bootstrap.compare(classification(["a", "b"])["accuracy"], a, b, draws=8000)
    assert verdict.p == pytest.approx(stats.binomtest(14, 19).pvalue, abs=0.015)


def test_equal_models_are_rarely_called_different():
    accuracy = classification(["a", "b"])["accuracy"]
    called = [bootstrap.compare(accuracy, *pair(150, 0.85, 0.85, 0.5, seed), draws=DRAWS, seed=seed).word for seed in range(300)]
    assert np.mean([word != "cannot tell" for word in called]) <= 0.08


def test_ranked_metrics_are_compared_too():
    rng = np.random.default_rng(0)
    truth = rng.random(400) < 0.3
    sharp, dull = ({"truth": truth[:, None], "probabilities": (rng.normal(size=400) + d * truth)[:, None]} for d in (2.5, 0.8))
    verdict = bootstrap.compare(classification(["a"])["roc_auc"], sharp, dull, draws=300)
    assert verdict.word == "better" and verdict.p < 0.02


def test_numbers_are_scored_from_answers():
    true = [Numbers({"x": float(i)}) for i in range(30)]
    said = [Numbers({"x": float(i) + (i % 3)}) for i in range(30)]
    found = bootstrap.scores(regression(["x"]), said, true)
    assert found["mae"].value == 1.0 and found["mae"].low < 1.0 < found["mae"].high
    assert found["r2"].high < 1.0


def test_large_sets_are_drawn_less_often_and_their_intervals_stay():
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(60)]
    true = [Label(name) for name in rng.choice(names, 20_000)]
    said = [truth if lucky else Label(names[0]) for truth, lucky in zip(true, rng.random(20_000) < 0.8, strict=True)]
    only = {"accuracy": classification(names)["accuracy"]}
    few, many = bootstrap.measure(only, said, true), bootstrap.measure(only, said, true, draws=1000)
    assert (few.draws, many.draws) == (250, 1000)
    a, b = few.scores["accuracy"], many.scores["accuracy"]
    assert (a.high - a.low) == pytest.approx(b.high - b.low, rel=0.2)

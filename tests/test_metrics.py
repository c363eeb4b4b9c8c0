"""Every metric says what scikit-learn (or torchmetrics) says, weights included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.answers.numbers import Numbers
from omma.metrics.bootstrap import measure
from omma.metrics.sets import classification, multilabel, regression

NAMES = ["cat", "狗", "bird", "fish", "fox", "hen", "owl"]
COUNT = 300


@pytest.fixture(scope="module")
def draw():
    return np.random.default_rng(7)


@pytest.fixture(scope="module")
def single(draw):
    """(truth (N,), probabilities (N, C) with ties, weights (N,) with zeros)."""
    truth = draw.choice(len(NAMES), COUNT, p=[0.4, 0.2, 0.15, 0.1, 0.08, 0.05, 0.02])
    logits = draw.normal(size=(COUNT, len(NAMES))).round(1)
    logits[np.arange(COUNT), truth] += 1.5
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return truth, shares, draw.integers(0, 4, COUNT)


@pytest.fixture(scope="module")
def several(draw):
    truth = draw.random((COUNT, len(NAMES))) < 0.3
    shares = np.clip((draw.random((COUNT, len(NAMES))) * 0.8 + 0.3 * truth).round(2), 0.01, 0.99)
    return truth, shares, draw.integers(0, 4, COUNT)


def labels_of(truth, shares):
    said = [Label(NAMES[row.argmax()], NAMES, row) for row in shares]
    return said, [Label(NAMES[t]) for t in truth]


def sets_of(truth, shares):
    def names(flags):
        return tuple(name for name, flag in zip(NAMES, flags, strict=True) if flag)

    return [Labels(names(row > 0.5), NAMES, row) for row in shares], [Labels(names(row)) for row in truth]


def value(metric, said, true, weight):
    return metric.summary(metric.records(said, true), np.asarray(weight, np.float32))


@pytest.mark.parametrize("weighted", [False, True])
def test_one_label_agrees_with_scikit_learn(single, weighted):
    truth, shares, drawn = single
    weight = drawn if weighted else np.ones(COUNT)
    said, true = labels_of(truth, shares)
    named, every = shares.argmax(1), list(range(len(NAMES)))
    one_hot = np.eye(len(NAMES))[truth]
    wanted = {
        "accuracy": sk.accuracy_score(truth, named, sample_weight=weight),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, named, sample_weight=weight),
        "top5": sk.top_k_accuracy_score(truth, shares, k=5, sample_weight=weight, labels=every),
        "roc_auc": sk.roc_auc_score(one_hot, shares, average="macro", sample_weight=weight),
        "average_precision": sk.average_precision_score(one_hot, shares, average="macro", sample_weight=weight),
        "log_loss": sk.log_loss(truth, shares, sample_weight=weight, labels=every),
        "brier": sk.brier_score_loss(truth, shares, sample_weight=weight, labels=every, scale_by_half=True),
    }
    for average in ("macro", "micro", "weighted"):
        p, r, f, _ = sk.precision_recall_fscore_support(truth, named, average=average, sample_weight=weight, zero_division=0)
        wanted |= {f"precision_{average}": p, f"recall_{average}": r, f"f1_{average}": f}
    found = {key: value(metric, said, true, weight) for key, metric in classification(NAMES).items() if key != "ece"}
    assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_several_labels_agree_with_scikit_learn(several, weighted):
    truth, shares, drawn = several
    weight = drawn if weighted else np.ones(COUNT)
    said, true = sets_of(truth, shares)
    named = shares > 0.5
    wanted = {
        "subset_accuracy": sk.accuracy_score(truth, named, sample_weight=weight),
        "roc_auc": sk.roc_auc_score(truth, shares, average="macro", sample_weight=weight),
        "average_precision": sk.average_precision_score(truth, shares, average="macro", sample_weight=weight),
        "log_loss": np.mean([sk.log_loss(truth[:, c], shares[:, c], sample_weight=weight) for c in range(len(NAMES))]),
        "brier": np.mean([sk.brier_score_loss(truth[:, c], shares[:, c], sample_weight=weight) for c in range(len(NAMES))]),
    }
    for average in ("macro", "micro", "weighted"):
        p, r, f, _ = sk.precision_recall_fscore_support(truth, named, average=average, sample_weight=weight, zero_division=0)
        wanted |= {f"precision_{average}": p, f"recall_{average}": r, f"f1_{average}": f}
    found = {key: value(metric, said, true, weight) for key, metric in multilabel(NAMES).items() if key != "ece"}
    assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_numbers_agree_with_scikit_learn(draw, weighted):
    truth = draw.normal(1000.0, 3.0, (COUNT, 2)) * [1, 40]
    guess = truth + draw.normal(0, 1.0, (COUNT, 2)) * [1, 90]
    weight = draw.integers(0, 4, COUNT) if weighted else np.ones(COUNT)

    def named(table):
        return [Numbers({"cells": float(a), "面积": float(b)}) for a, b in table]

    metrics = regression(["cells", "面积"])
    found = {key: value(metric, named(guess), named(truth), weight) for key, metric in metrics.items()}
    wanted = {
        "r2": sk.r2_score(truth, guess, sample_weight=weight),
        "mae": sk.mean_absolute_error(truth, guess, sample_weight=weight),
        "mse": sk.mean_squared_error(truth, guess, sample_weight=weight),
    }
    assert found == pytest.approx(wanted, rel=1e-6)
    parts = metrics["mae"].each(metrics["mae"].records(named(guess), named(truth)), np.asarray(weight, np.float32)[:, None])[:, 0]
    assert parts == pytest.approx(sk.mean_absolute_error(truth, guess, sample_weight=weight, multioutput="raw_values"), rel=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_calibration_error_agrees_with_torchmetrics(single, several):
    from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

    truth, shares, drawn = single
    said, true = labels_of(truth, shares)
    metric = classification(NAMES)["ece"]
    wanted = multiclass_calibration_error(torch.tensor(shares), torch.tensor(truth), len(NAMES), n_bins=15, norm="l1")
    assert value(metric, said, true, np.ones(COUNT)) == pytest.approx(float(wanted), abs=1e-6)
    repeated = np.repeat(np.arange(COUNT), drawn)
    wanted = multiclass_calibration_error(torch.tensor(shares[repeated]), torch.tensor(truth[repeated]), len(NAMES), n_bins=15, norm="l1")
    assert value(metric, said, true, drawn) == pytest.approx(float(wanted), abs=1e-6)
    truth, shares, _ = several
    wanted = binary_calibration_error(torch.tensor(shares.ravel()), torch.tensor(truth.ravel()).int(), n_bins=15, norm="l1")
    assert value(multilabel(NAMES)["ece"], *sets_of(truth, shares), np.ones(COUNT)) == pytest.approx(float(wanted), abs=2e-3)


def test_a_weight_of_two_is_the_picture_twice(single, several):
    """Every metric of every set, also those nobody else offers: weights are counts."""
    for metrics, said, true, drawn in (
        (classification(NAMES), *labels_of(*single[:2]), single[2]),
        (multilabel(NAMES), *sets_of(*several[:2]), several[2]),
    ):
        rows = np.repeat(np.arange(COUNT), drawn)
        for key, metric in metrics.items():
            twice = value(metric, [said[i] for i in rows], [true[i] for i in rows], np.ones(len(rows)))
            assert value(metric, said, true, drawn) == pytest.approx(twice, abs=1e-6), key


def test_many_drawings_at_once_are_the_drawings_one_by_one(single):
    said, true = labels_of(*single[:2])
    weights = np.random.default_rng(0).integers(0, 3, (COUNT, 5)).astype(np.float32)
    for key, metric in classification(NAMES).items():
        records = metric.records(said, true)
        whole, parts = metric.both(records, weights)
        assert whole == pytest.approx([metric.summary(records, w) for w in weights.T], abs=1e-6), key
        again = metric.each(records, weights)
        assert (parts is None) == (again is None)
        assert parts is None or np.array_equal(parts, again, equal_nan=True)


def test_a_class_that_does_not_occur_is_left_out_not_counted_as_zero():
    names = ["a", "b", "never"]
    said = [Label("a", names, np.array([0.8, 0.2, 0.0])), Label("b", names, np.array([0.3, 0.7, 0.0]))]
    true = [Label("a"), Label("b")]
    found = {key: value(metric, said, true, np.ones(2)) for key, metric in classification(names).items()}
    assert all(found[key] == 1.0 for key in ("accuracy", "balanced_accuracy", "f1_macro", "precision_macro", "recall_macro", "roc_auc"))
    assert np.isnan(measure(classification(names), said, true).parts["roc_auc"]["never"].value)


def test_an_answer_without_probabilities_is_sure_of_itself():
    said, true = [Label("a"), Label("a")], [Label("a"), Label("b")]
    found = {key: value(metric, said, true, np.ones(2)) for key, metric in classification(["a", "b"]).items()}
    assert found["accuracy"] == 0.5
    assert found["log_loss"] == pytest.approx(-np.log(1e-7) / 2, rel=0.01)
    assert found["brier"] == 0.5


def test_classes_in_another_order_are_matched_by_name():
    said = [Label("b", ["b", "a"], np.array([0.9, 0.1]))]
    metric = classification(["a", "b"])["log_loss"]
    assert value(metric, said, [Label("b")], np.ones(1)) == pytest.approx(-np.log(0.9))


def test_the_deciding_metric_comes_first_and_notices_a_shuffle(single):
    """Negative control: answers given to the wrong pictures must not look good."""
    said, true = labels_of(*single[:2])
    first = next(iter(classification(NAMES)))
    assert (first, next(iter(multilabel(NAMES))), next(iter(regression(["x"])))) == ("accuracy", "average_precision", "r2")
    metric = classification(NAMES)[first]
    mixed = [said[i] for i in np.random.default_rng(1).permutation(COUNT)]
    assert value(metric, mixed, true, np.ones(COUNT)) < value(metric, said, true, np.ones(COUNT)) - 0.2


def test_galleries_show_the_pictures_behind_the_numbers(single):
    truth, shares, _ = single
    said, true = labels_of(truth, shares)
    metrics = classification(NAMES)
    pairs = metrics["accuracy"].galleries(metrics["accuracy"].records(said, true))
    for gallery in pairs:
        pair = (gallery.values["true"], gallery.values["named"])
        assert {(true[i].label, said[i].label) for i in gallery.places} == {pair}
        assert gallery.values["count"] == sum((t.label, s.label) == pair for t, s in zip(true, said, strict=True))
    wrong, unsure = metrics["log_loss"].galleries(metrics["log_loss"].records(said, true), 5)
    losses = -np.log(shares[np.arange(COUNT), truth])
    assert wrong.places[0] == losses.argmax() and all(said[i].label != true[i].label for i in wrong.places)
    assert unsure.places[0] == shares.max(1).argmin()


def test_confusion_counts_every_picture_once(single):
    truth, shares, _ = single
    metric = classification(NAMES)["accuracy"]
    figure = metric.figure(metric.records(*labels_of(truth, shares)))
    assert np.array_equal(figure["counts"], sk.confusion_matrix(truth, shares.argmax(1), labels=range(len(NAMES))))
    several = multilabel(NAMES)["subset_accuracy"]
    said = [Labels(("cat", "狗"), NAMES, np.full(len(NAMES), 0.5))]
    assert several.figure(several.records(said, [Labels(("cat",))])) is None

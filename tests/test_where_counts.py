"""Labels that say where things are also say which are there and how many: what today's tasks learn from them."""

from __future__ import annotations

import numpy as np
import pytest

from omma.data.recast import seen_as
from omma.formats.format import open_data
from omma.verbs.train import train


@pytest.fixture(scope="module")
def boxes():
    """Drawing them takes a second."""
    return open_data("shapes")


def test_the_door_takes_the_kind_that_is_wanted():
    counts = open_data("shapes", kind="numbers")
    assert counts.task == "regress" and {sample.truth.kind for sample in counts.samples} == {"numbers"}


def test_shapes_count_their_objects(boxes):
    counts = seen_as(boxes, "numbers")
    assert counts.task == "regress" and counts.names[-1] == "total"
    for before, after in zip(boxes.samples, counts.samples, strict=True):
        assert after.truth.numbers["total"] == len(before.truth)


def test_shapes_say_which_classes_are_there(boxes):
    labels = seen_as(boxes, "labels")
    assert labels.task == "multilabel"
    for before, after in zip(boxes.samples, labels.samples, strict=True):
        assert set(after.truth.labels) == set(before.truth.labels)


def test_pictures_as_a_whole_stay_what_they_are():
    digits = open_data("digits")
    assert seen_as(digits, "numbers") is digits


def test_what_is_lost_is_told(boxes):
    assert len(seen_as(boxes, "labels").notes) > len(boxes.notes)


def test_a_run_on_counts_is_evaluated_on_the_same_counts(tmp_path):
    run = train("shapes", "size=32", task="regress", budget="4 steps", out=str(tmp_path / "run"))
    again = run.evaluate()
    assert again.scores["mae"].value == pytest.approx(run.scores["mae"]["value"]) and again.scores["mae"].n == run.scores["mae"]["n"]
    assert np.isfinite(run.scores["mae"]["value"])

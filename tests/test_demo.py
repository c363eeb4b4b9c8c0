"""The tour: every road it offers goes through to its report."""

from __future__ import annotations

from pathlib import Path

import pytest

from omma import cli
from omma.verbs.demo import PICTURES, TOURS, demo
from omma.words import LANGUAGES, room


@pytest.mark.parametrize(("tour", "kind"), [("digits", "label"), ("shapes", "boxes")])
def test_a_tour_shows_what_held_out_pictures_are_told(tour, kind, tmp_path):
    made = demo(tour, budget="2 steps", out=str(tmp_path / "run"))
    assert len(made.predictions) == PICTURES
    assert all(kind in row and kind in row["truth"] for row in made.predictions)
    assert Path(made.trained.report).is_file() and (tmp_path / "run" / "explained.png").is_file()
    told = "\n".join(made.lines())
    assert all(row["path"] in told for row in made.predictions) and str(made.trained.report) in told


def test_a_tour_that_is_none_is_named(capsys):
    assert cli.run(["demo", "digit"]) == 2
    told = capsys.readouterr().err.strip()
    assert "digits" in told and len(told.splitlines()) == 1


def test_every_tour_has_words_in_both_languages():
    assert all(room(tongue, "demo")[f"begin.{tour}"] for tongue in LANGUAGES for tour in TOURS)

"""Captions that can be read, heat maps that tell the truth, 中文 that is never an empty box."""

from __future__ import annotations

import numpy as np
import pytest

from omma.answers import draw
from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.answers.numbers import Numbers

LINES = ["cat 98%", "中文类别"]


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.mark.parametrize("shape", [(8, 8), (1, 1), (300, 5), (5, 300), (480, 640), (900, 1600)])
def test_a_banner_keeps_the_picture_and_adds_a_legible_strip(shape):
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    drawn = draw.banner(picture, ["cat 98%"])
    grown = draw.enlarge(picture)
    assert drawn.dtype == np.uint8 and drawn.shape[1] == grown.shape[1] >= 64
    assert np.array_equal(drawn[: len(grown)], grown)
    strip = drawn[len(grown) :].astype(int)
    assert len(strip) >= 12
    # Light letters on a dark ground: the contrast of WCAG AAA is 7:1, this is about 15:1.
    assert strip.max() - strip.min() > 200 and (strip.mean(2) > 200).sum() > 20


def test_the_picture_that_was_given_is_not_written_on(picture):
    before = picture.copy()
    draw.banner(picture, LINES)
    draw.overlay(picture, np.ones((3, 3)))
    assert np.array_equal(picture, before)


def test_different_words_look_different_and_long_ones_stay_inside(picture):
    assert not np.array_equal(draw.banner(picture, ["cat"]), draw.banner(picture, ["dog"]))
    assert draw.banner(picture, ["w" * 500]).shape == draw.banner(picture, ["w"]).shape
    assert len(draw.banner(picture, ["a", "b"])) > len(draw.banner(picture, ["a"]))


def test_chinese_is_drawn_where_a_font_has_it(picture):
    if draw.cjk_font() is None:
        pytest.skip("no font with 中文 on this system")
    assert draw.legend(LINES) == {}
    # Two characters no font would draw alike unless both were the empty box.
    assert not np.array_equal(draw.banner(picture, ["猫"]), draw.banner(picture, ["狗"]))


def test_a_name_has_the_same_number_on_every_picture(picture, monkeypatch):
    """Control: without the names both lines would be `#1`, and nobody could tell the cat from the dog."""
    monkeypatch.setattr(draw, "cjk_font", lambda: None)
    names = ["猫", "dog", "猫 头鹰"]
    assert draw.legend(names) == {"#1": "猫", "#2": "猫 头鹰"}
    owl = Label("猫 头鹰", names, np.array([0.1, 0.2, 0.7], "float32")).draw(picture)
    assert np.array_equal(owl, draw.banner(picture, ["#2 70%"]))
    assert np.array_equal(Label("猫", names, np.array([0.8, 0.1, 0.1], "float32")).draw(picture), draw.banner(picture, ["#1 80%"]))
    assert not np.array_equal(owl, draw.banner(picture, ["猫 头鹰 70%"]))


def test_without_a_font_there_is_a_numbered_legend_and_no_empty_box(picture, monkeypatch):
    monkeypatch.setattr(draw, "cjk_font", lambda: None)
    draw._font.cache_clear()
    assert draw.legend([*LINES, "狗", "中文类别"]) == {"#1": "中文类别", "#2": "狗"}
    assert np.array_equal(draw.banner(picture, LINES), draw.banner(picture, ["cat 98%", "#1"]))
    draw._font.cache_clear()


def test_letters_pillow_has_not_are_never_empty_boxes(picture, monkeypatch):
    """Pillow's own font has hardly more than ASCII; what it lacks must be drawn with another font, or stand as a number."""
    monkeypatch.setattr(draw, "cjk_font", lambda: None)
    assert draw.legend(["Größe", "café", "dog", "µm", "مرحبا"]) == {"#1": "Größe", "#2": "café", "#3": "µm", "#4": "مرحبا"}
    assert draw.legend(["a b-c…", "98% ± 2 · #1 (x), y/z_0 'q'"]) == {}
    assert not np.array_equal(draw.banner(picture, ["Größe"]), draw.banner(picture, ["Gr  e"]))


def test_letters_no_font_here_has_are_numbers_even_where_chinese_is_drawn():
    if draw.cjk_font() is None:
        pytest.skip("no font with 中文 on this system")
    assert draw.legend(["Größe", "中文", "\U0010fffd"]) == {"#1": "\U0010fffd"}


def test_every_answer_draws_itself(picture):
    shares = np.array([0.9, 0.1])
    answers = [
        Label("猫", ["猫", "b"], shares),
        Label("猫"),
        Labels(("猫",), ["猫", "b"], shares),
        Labels(()),
        Numbers({"n": 3.0}, {"n": 0.5}),
    ]
    for answer in answers:
        assert answer.draw(picture).shape[0] > draw.enlarge(picture).shape[0]


def test_heat_shows_where_and_how_much(picture):
    grey = np.full((64, 64, 3), 128, np.uint8)
    heat = np.zeros((4, 4))
    heat[0, 3] = 1
    shown = draw.overlay(grey, heat).astype(int)
    changed = np.abs(shown - draw.overlay(grey, np.zeros((4, 4)))).sum(2)
    assert changed[:16, -16:].mean() > 20 * max(changed[32:, :32].mean(), 0.1)
    assert draw.overlay(picture, np.array([[np.nan, 7.0]])).shape == picture.shape


def test_colours_rise_in_lightness_so_that_nobody_misreads_them():
    shades = draw.colours(np.linspace(0, 1, 50)).astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(shades) > 0).all()
    assert draw.colours(np.array(0.0)).tolist() == [0x44, 0x01, 0x54]


def test_a_grid_holds_every_picture_whole():
    pictures = [np.full((h, w, 3), v, np.uint8) for h, w, v in ((10, 10, 40), (50, 20, 90), (7, 90, 140))]
    sheet = draw.grid(pictures, ["a", "b", "中文"], side=100)
    assert sheet.shape[1] == 2 * 100 + 4 or sheet.shape[1] > 200
    assert all((sheet == value).all(2).sum() > 100 for value in (40, 90, 140))
    assert draw.grid(pictures[:1], side=50).shape == (50, 50, 3)

"""Pictures that stand alone: well-formed SVG, one shape for what there is to see, nothing for what is not there."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from omma.report.sketch import Sketch

SVG = "{http://www.w3.org/2000/svg}"


def shapes(sketch: Sketch, kind: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(sketch.svg()).iter(SVG + kind))


def texts(sketch: Sketch) -> list[str]:
    return [str(one.text) for one in shapes(sketch, "text")]


def test_cells_are_blue_above_0_and_orange_below_and_fuller_the_farther():
    drawn = [one for one in shapes(Sketch().cells([[1.0, 0.0], [-4.0, 2.0]]), "rect") if "fill-opacity" in one.attrib]
    assert [(one.get("fill"), one.get("fill-opacity")) for one in drawn] == [
        ("var(--a)", "0.25"),
        ("var(--b)", "1.00"),
        ("var(--a)", "0.50"),
    ]


def test_numbers_are_as_short_as_they_may_be_and_what_is_no_number_is_crossed_out():
    sketch = Sketch().cells([[1.0, -0.25], [math.nan, -0.001]], "x < y", numbers=True)
    assert sorted(texts(sketch)) == sorted(["1", "-0.25", "0", "x < y"])
    assert len([one for one in shapes(sketch, "path") if one.get("class") == "faint"]) == 1


def test_cells_of_nothing_but_zeros_and_marks():
    sketch = Sketch().cells([[0, 0], [0, 0]], marked=[(1, 0)])
    framed = [one for one in shapes(sketch, "rect") if one.get("class") == "frame"]
    assert [(one.get("x"), one.get("y")) for one in framed] == [("0.0", "26.0")]


def test_lines_leave_out_what_is_not_finite_and_stay_inside_their_axes():
    sketch = Sketch().lines({"a": ([0, 1, 2], [1.0, math.nan, 3.0]), "b": ([0, 2], [2, 2])}, x="x", y="y", size=(100, 80))
    lines = [one for one in shapes(sketch, "polyline") if one.get("class") == "line"]
    assert [len(str(one.get("points")).split()) for one in lines] == [2, 2]
    ends = [tuple(map(float, point.split(","))) for one in lines for point in str(one.get("points")).split()]
    assert all(0 <= x <= 100 and 0 <= y <= 80 for x, y in ends) and {"a", "b", "x", "y"} <= set(texts(sketch))
    assert lines[0].get("stroke") != lines[1].get("stroke")


def test_a_logarithmic_axis_names_powers_of_ten_and_leaves_out_what_has_none():
    sketch = Sketch().lines({"a": ([0, 1, 2], [0.01, 0.0, 100.0])}, log=True)
    assert {"0.01", "1", "100"} <= set(texts(sketch)) and "nan" not in sketch.svg()


def test_a_band_lies_around_its_line_in_its_colour():
    sketch = Sketch().lines({"a": ([0, 1], [1, 1]), "b": ([0, 1], [3, 3])}, bands={"b": ([2, 2.5], [4, 3.5])})
    (band,) = shapes(sketch, "polygon")
    assert len(str(band.get("points")).split()) == 4 and band.get("fill") == shapes(sketch, "polyline")[1].get("stroke")


@pytest.mark.parametrize("series", [{}, {"a": ([1], [2])}, {"a": ([], [])}, {"a": ([0, 1], [5, 5])}])
def test_little_to_draw_is_drawn(series):
    assert "nan" not in Sketch().lines(series, dots=True).svg()


def test_rows_stand_below_each_other_and_signs_between():
    one, two = Sketch().cells([[1]]).sign("=").cells([[1]]), Sketch().cells([[1]]).row().cells([[1]])
    size = lambda sketch: tuple(float(v) for v in str(ElementTree.fromstring(sketch.svg()).get("viewBox")).split()[2:])  # noqa: E731
    assert size(one)[0] > size(two)[0] and size(one)[1] < size(two)[1] and "=" in texts(one)


def test_the_colours_are_those_of_the_pages_and_follow_the_reader():
    text = Sketch().cells([[1]]).svg()
    assert "--a:" in text and "prefers-color-scheme:dark" in text

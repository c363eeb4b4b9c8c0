"""Pictures that stand alone as SVG files: arrays as coloured cells, lines on axes, signs between them; light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from omma.report.charts import ticks

# Sides of a cell, of axes and of their room, in the SVG's own units.
CELL, WIDE, HIGH = 26, 260, 190
LEFT, BOTTOM, GAP, EDGE, LINE = 46, 34, 22, 14, 18
# Cells with numbers are this much wider.
BROAD = 1.5
COLOURS = ("var(--a)", "var(--b)", "var(--c)", "var(--d)", "#b08900", "#c4416b", "#3f8f8b", "#7a6a58")


class Sketch:
    """Panels in rows; each method adds one and returns the sketch.

    >>> Sketch().cells([[1, 0], [0, -1]], "A").sign("=").cells([[2, 0], [0, -2]], "2 A / 2").save("A.svg")
    """

    def __init__(self) -> None:
        self.rows: list[list[tuple[float, float, str]]] = [[]]

    def row(self) -> Sketch:
        """What follows stands below."""
        self.rows.append([])
        return self

    def sign(self, text: str) -> Sketch:
        """A sign between two panels."""
        return self._add(_length(text, 20), 24, _text(_length(text, 20) / 2, 18, text, "middle", "ink", 20))

    def cells(
        self, values: Any, title: str = "", *, numbers: bool = False, marked: Iterable[tuple[int, int]] = (), side: float = CELL,
        most: float | None = None, digits: int = 2,
    ) -> Sketch:  # fmt: skip
        """An array (H, W): blue above 0, orange below, paper at 0.

        Args:
            values: numbers; NaN is crossed out.
            numbers: written into the cells, with so many `digits` behind the point at most.
            marked: (row, column) of cells that are framed.
            most: the value of the fullest colour; the largest magnitude when open.
        """
        rows = [[float(value) for value in row] for row in values]
        top = most or max((abs(value) for row in rows for value in row if math.isfinite(value)), default=0.0) or 1.0
        wide, head = side * (BROAD if numbers else 1), LINE if title else 0
        parts: list[str] = []
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                parts.append(_cell(j * wide, head + i * side, wide, side, value, top))
                if numbers and math.isfinite(value):
                    tone = "on" if abs(value) > 0.6 * top else "ink"
                    parts.append(_text((j + 0.5) * wide, head + (i + 0.5) * side + 4, _number(value, digits), "middle", tone, 11))
        parts.append(_grid(head, wide, side, len(rows), max(map(len, rows))))
        for i, j in marked:
            parts.append(f'<rect class="frame" x="{j * wide:.1f}" y="{head + i * side:.1f}" width="{wide:.1f}" height="{side:.1f}"/>')
        width = max(wide * max(map(len, rows)), _length(title, 12))
        parts.append(_text(0, 11, title, "start", "ink", 12) if title else "")
        return self._add(width, head + side * len(rows), "".join(parts))

    def lines(
        self, series: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str = "", *, x: str = "", y: str = "",
        faint: Iterable[tuple[Sequence[float], Sequence[float]]] = (), bands: Mapping[str, tuple[Sequence[float], Sequence[float]]] = {},
        dots: bool = False, log: bool = False, size: tuple[float, float] = (WIDE, HIGH),
        span: tuple[float, float, float, float] | None = None,
    ) -> Sketch:  # fmt: skip
        """Lines on axes with their names below.

        Args:
            series: name → (xs, ys), at most eight; points that are not finite are left out.
            faint: grey lines without a name, behind: level lines, a diagonal.
            bands: name of a line → (lows, highs) at its xs: an interval around it.
            dots: a circle at every point, and no line.
            log: the axis of y is in powers of ten.
            span: x0, x1, y0, y1 of the axes; what lies outside is cut off. What the lines reach when open.
        """
        lines = {name: _finite(xs, _lifted(ys, log)) for name, (xs, ys) in series.items()}
        edges = {name: _band(series[name][0], _lifted(low, log), _lifted(high, log)) for name, (low, high) in bands.items()}
        axes = _Axes([p for line in (*lines.values(), *edges.values()) for p in line], size, LINE if title else 4, log, span)
        parts = [axes.drawn(x, y), f'<svg x="{LEFT}" y="{axes.head}" width="{size[0]}" height="{size[1]}" overflow="hidden">']
        parts += [f'<polyline class="faint" points="{axes.path(_finite(xs, ys))}"/>' for xs, ys in faint]
        for name, edge in edges.items():
            parts.append(f'<polygon fill="{COLOURS[list(series).index(name) % 8]}" opacity=".15" points="{axes.path(edge)}"/>')
        for place, line in enumerate(lines.values()):
            colour = COLOURS[place % 8]
            if dots:
                parts += [f'<circle fill="{colour}" cx="{axes.x(a):.1f}" cy="{axes.y(b):.1f}" r="3.5"/>' for a, b in line]
            else:
                parts.append(f'<polyline class="line" stroke="{colour}" points="{axes.path(line)}"/>')
        key, below = _key(list(series), LEFT + size[0])
        parts.append(f'</svg><g transform="translate(0 {axes.head + size[1] + BOTTOM + (LINE if x else 0)})">{key}</g>')
        parts.append(_text(LEFT, 11, title, "start", "ink", 12) if title else "")
        return self._add(LEFT + size[0], axes.head + size[1] + BOTTOM + (LINE if x else 0) + below, "".join(parts))

    def svg(self) -> str:
        """The whole as text; colours follow the reader's light or dark setting."""
        palette = "".join(files("omma.report").joinpath("page.css").read_text("utf-8").splitlines()[:2])
        style = palette + (
            "text{font-family:system-ui,sans-serif;fill:var(--soft)}.ink{fill:var(--ink)}.on{fill:#fff}.grid{stroke:var(--edge)}"
            ".line{fill:none;stroke-width:2;stroke-linejoin:round}.faint{fill:none;stroke:var(--soft);stroke-opacity:.45}"
            ".frame{fill:none;stroke:var(--ink);stroke-width:2}"
        )
        parts: list[str] = []
        top, width = float(EDGE), 0.0
        for row in (row for row in self.rows if row):
            high, left = max(height for _, height, _ in row), float(EDGE)
            for wide, height, drawn in row:
                parts.append(f'<g transform="translate({left:.1f} {top + (high - height) / 2:.1f})">{drawn}</g>')
                left += wide + GAP
            top, width = top + high + GAP, max(width, left)
        box = f'width="{width - GAP + EDGE:.0f}" height="{top - GAP + EDGE:.0f}"'
        view = f'viewBox="0 0 {width - GAP + EDGE:.0f} {top - GAP + EDGE:.0f}"'
        paper = '<rect width="100%" height="100%" fill="var(--paper)"/>'
        return f'<svg xmlns="http://www.w3.org/2000/svg" {box} {view}><style>{style}</style>{paper}{"".join(parts)}</svg>\n'

    def save(self, path: str | Path) -> None:
        """Write the SVG file."""
        Path(path).write_text(self.svg(), "utf-8")

    def _add(self, width: float, height: float, drawn: str) -> Sketch:
        self.rows[-1].append((width, height, drawn))
        return self


class _Axes:
    """Where a value lies on a panel of lines."""

    def __init__(
        self, points: list[tuple[float, float]], size: tuple[float, float], head: float, log: bool, span: tuple[float, ...] | None
    ) -> None:
        (self.wide, self.high), self.head, self.log = size, head, log
        if span is None:
            rows = points or [(0.0, 0.0), (1.0, 1.0)]
            span = min(a for a, _ in rows), max(a for a, _ in rows), min(b for _, b in rows), max(b for _, b in rows)
        self.xs, self.ys = ticks(span[0], span[1], 4), ticks(span[2], span[3], 4)

    def x(self, value: float) -> float:
        return (value - self.xs[0]) / (self.xs[-1] - self.xs[0]) * self.wide

    def y(self, value: float) -> float:
        return (self.ys[-1] - value) / (self.ys[-1] - self.ys[0]) * self.high

    def path(self, line: list[tuple[float, float]]) -> str:
        return " ".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in line)

    def drawn(self, x: str, y: str) -> str:
        parts = []
        for value in self.ys:
            at = self.head + self.y(value)
            shown = float(f"{10**value:.3g}") if self.log else value + 0.0
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{LEFT + self.wide:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>')
            parts.append(_text(LEFT - 6, at + 4, f"{shown:g}", "end", "", 11))
        for value in self.xs:
            parts.append(_text(LEFT + self.x(value), self.head + self.high + 15, f"{value + 0.0:g}", "middle", "", 11))
        parts.append(_text(LEFT + self.wide, self.head + self.high + 32, x, "end", "ink", 12) if x else "")
        parts.append(_text(LEFT + 4, self.head + 12, y, "start", "ink", 12) if y else "")
        return "".join(parts)


def _cell(x: float, y: float, width: float, height: float, value: float, top: float) -> str:
    """One coloured square; a cross where there is no number."""
    if not math.isfinite(value):
        return f'<path class="faint" d="M{x:.1f} {y:.1f}l{width:.1f} {height:.1f}m0 {-height:.1f}l{-width:.1f} {height:.1f}"/>'
    share = min(1.0, abs(value) / top)
    if share < 0.005:
        return ""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} fill="var(--{"a" if value > 0 else "b"})" fill-opacity="{share:.2f}"/>'


def _grid(head: float, wide: float, side: float, rows: int, columns: int) -> str:
    """The lines between cells and around them."""
    across = "".join(f"M0 {head + i * side:.1f}h{columns * wide:.1f}" for i in range(rows + 1))
    down = "".join(f"M{j * wide:.1f} {head:.1f}v{rows * side:.1f}" for j in range(columns + 1))
    return f'<path class="grid" d="{across}{down}"/>'


def _lifted(values: Sequence[float], log: bool) -> Sequence[float]:
    """The values, or their powers of ten; what has none is no number."""
    return [math.log10(v) if v > 0 else math.nan for v in values] if log else values


def _finite(xs: Sequence[float], ys: Sequence[float]) -> list[tuple[float, float]]:
    return [(float(a), float(b)) for a, b in zip(xs, ys, strict=True) if math.isfinite(a) and math.isfinite(b)]


def _band(xs: Sequence[float], lows: Sequence[float], highs: Sequence[float]) -> list[tuple[float, float]]:
    """The outline of what lies between two lines: along the one, back along the other."""
    return [*_finite(xs, lows), *reversed(_finite(xs, highs))]


def _key(names: list[str], width: float) -> tuple[str, float]:
    """A dot and a name each, in rows that fit; and how high they are."""
    parts: list[str] = []
    x, y = 0.0, 0.0
    for place, name in enumerate(names):
        if not name:
            continue
        wide = 16 + _length(name, 12) + 12
        if x and x + wide > width:
            x, y = 0.0, y + LINE
        parts.append(
            f'<circle fill="{COLOURS[place % 8]}" cx="{x + 5:.1f}" cy="{y:.1f}" r="5"/>{_text(x + 14, y + 4, name, "start", "", 12)}'
        )
        x += wide
    return "".join(parts), y + 8 if parts else 0.0


def _text(x: float, y: float, text: str, anchor: str, kind: str, size: int) -> str:
    tone = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{tone}>{escape(text, quote=False)}</text>'


def _length(text: str, size: float) -> float:
    """About how wide a text is."""
    return sum(1.0 if ord(letter) > 0x2E80 else 0.62 for letter in text) * size


def _number(value: float, digits: int) -> str:
    """As few digits as say it."""
    return f"{round(value, digits) + 0.0:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"

"""Charts as SVG text, drawn by small functions of our own: colours come from the page, so both themes fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from omma.answers._marks import palette
from omma.report.page import Markup, Text, words
from omma.words import both

WIDTH, HEIGHT = 500, 300
# Room around the axes: left, right, top, bottom.
LEFT, RIGHT, TOP, BOTTOM = 78, 16, 14, 46
# More names than this cannot be told apart in a table of colours.
MOST_CELLS = 60


def curves(series: Sequence[tuple[Text, Sequence[float], Sequence[float]]], x: Text, y: Text, floor: float | None = None) -> Markup:
    """Lines over a common axis: (name, xs, ys) each; points that are not finite are left out. At most four lines."""
    lines = [(name, [(a, b) for a, b in zip(xs, ys, strict=True) if math.isfinite(a) and math.isfinite(b)]) for name, xs, ys in series]
    points = [point for _, line in lines for point in line]
    if not points:
        return Markup("")
    low = min(b for _, b in points) if floor is None else floor
    frame = Frame(min(a for a, _ in points), max(a for a, _ in points), low, max(b for _, b in points))
    drawn = [frame.axes(x, y)]
    for place, (_, line) in enumerate(lines):
        path = " ".join(f"{frame.x(a):.1f},{frame.y(b):.1f}" for a, b in _thin(line))
        drawn.append(f'<polyline class="l{place % 4}" points="{path}"/>')
        if len(line) < 30:
            drawn += [f'<circle class="f{place % 4}" cx="{frame.x(a):.1f}" cy="{frame.y(b):.1f}" r="3"/>' for a, b in line]
    return _svg(WIDTH, HEIGHT, "".join(drawn), _key([name for name, _ in lines]))


def bar(value: float, low: float, high: float, top: float = 1.0) -> Markup:
    """One score with its interval on a track from 0 to `top`, for a cell of a table."""
    if not math.isfinite(value):
        return Markup("–")
    place = [max(0.0, min(1.0, v / top if top else 0.0)) * 196 + 2 for v in (value, low, high)]
    spread = ""
    if math.isfinite(low) and math.isfinite(high):
        spread = (
            f'<line class="whisker" x1="{place[1]:.1f}" x2="{place[2]:.1f}" y1="9" y2="9"/>'
            f'<line class="whisker" x1="{place[1]:.1f}" x2="{place[1]:.1f}" y1="5" y2="13"/>'
            f'<line class="whisker" x1="{place[2]:.1f}" x2="{place[2]:.1f}" y1="5" y2="13"/>'
        )
    return Markup(
        '<svg class="bar" viewBox="0 0 200 18" preserveAspectRatio="none" role="img" aria-hidden="true">'
        f'<rect class="track" x="2" y="7" width="196" height="4" rx="2"/>'
        f'<rect class="part" x="2" y="4" width="{max(0.0, place[0] - 2):.1f}" height="10" rx="2"/>{spread}</svg>'
    )


def confusion(names: Sequence[str], counts: Sequence[Sequence[int]]) -> Markup:
    """Rows true, columns predicted; colour is the share of the row, the number in a cell the count."""
    size = len(names)
    if size > MOST_CELLS:
        return Markup("")
    cell = 46 if size <= 8 else 36 if size <= 16 else 24
    longest = max(map(_width, names))
    left = min(150, 14 + 7.5 * longest) + 24
    head = min(110, 12 + 6 * longest) if longest > 4 else 22
    parts = [_label(left + size * cell / 2, head + size * cell + 24, both("report.axis.predicted"), "middle", "ink")]
    middle = head + size * cell / 2
    parts.append(_label(14, middle, both("report.axis.true"), "middle", "ink", f"rotate(-90 14 {middle:.0f})"))
    for row, line in enumerate(counts):
        total = sum(line)
        y = head + row * cell
        parts.append(_label(left - 6, y + cell / 2 + 4, _cut(names[row], 18), "end", "", "", names[row]))
        x = left + row * cell + cell / 2
        turned = f"rotate(-45 {x:.0f} {head - 6:.0f})" if longest > 4 else ""
        parts.append(_label(x, head - 6, _cut(names[row], 16), "start" if turned else "middle", "", turned, names[row]))
        for column, count in enumerate(line):
            share = count / total if total else 0.0
            shown = f"{names[row]} → {names[column]}: {count} ({share:.0%})"
            place = f'x="{left + column * cell + 1:.0f}" y="{y + 1:.0f}" width="{cell - 2}" height="{cell - 2}" rx="3"'
            parts.append(f'<rect class="track" fill-opacity="0.45" {place}/>')
            parts.append(f'<rect class="cell" fill-opacity="{share**0.7:.3f}" {place}><title>{words(shown)}</title></rect>')
            if count and cell >= 36:
                tone = "on" if share > 0.5 else "ink"
                parts.append(_label(left + column * cell + cell / 2, y + cell / 2 + 4.5, str(count), "middle", tone))
    width = left + size * cell + (head * 0.7 if longest > 4 else 8)
    return _svg(width, head + size * cell + 32, "".join(parts), "", scroll=width > 420)


def reliability(bins: Sequence[dict[str, float]]) -> Markup:
    """What was stated against what happened: on the diagonal the probabilities mean what they say; dots grow with their number."""
    frame = Frame(0, 1, 0, 1)
    most = max((one["count"] for one in bins), default=1)
    parts = [frame.axes(both("report.axis.stated"), both("report.axis.happened"))]
    parts.append(f'<line class="dash" x1="{frame.x(0):.1f}" y1="{frame.y(0):.1f}" x2="{frame.x(1):.1f}" y2="{frame.y(1):.1f}"/>')
    for one in bins:
        x, y = frame.x(one["stated"]), frame.y(one["happened"])
        parts.append(f'<line class="l1" stroke-opacity=".5" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.y(one["stated"]):.1f}" y2="{y:.1f}"/>')
        shown = words(f"{one['stated']:.2f} → {one['happened']:.2f} ({one['count']})")
        radius = 3 + 8 * math.sqrt(one["count"] / most)
        parts.append(f'<circle class="f0" fill-opacity=".85" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{shown}</title></circle>')
    return _svg(WIDTH, HEIGHT, "".join(parts))


def scatter(truth: Sequence[float], predicted: Sequence[float], name: str) -> Markup:
    """True against predicted numbers, with the line where both are equal."""
    values = [value for value in (*truth, *predicted) if math.isfinite(value)]
    if not values:
        return Markup("")
    frame = Frame(min(values), max(values), min(values), max(values))
    parts = [frame.axes(_named(both("report.axis.true"), name), _named(both("report.axis.predicted"), name))]
    low, high = min(values), max(values)
    parts.append(f'<line class="dash" x1="{frame.x(low):.1f}" y1="{frame.y(low):.1f}" x2="{frame.x(high):.1f}" y2="{frame.y(high):.1f}"/>')
    parts += [
        f'<circle class="dot" cx="{frame.x(a):.1f}" cy="{frame.y(b):.1f}" r="3.5"/>'
        for a, b in zip(truth, predicted, strict=True)
        if math.isfinite(a) and math.isfinite(b)
    ]
    return _svg(WIDTH, HEIGHT, "".join(parts))


def places(groups: Sequence[Group], x: Text, y: Text) -> Markup:
    """Dots on a plane, each with its name on it; crosses for the groups that are marked. Colours are in the order of the groups."""
    points = [point for group in groups for point in zip(group.xs, group.ys, strict=True)]
    if not points:
        return Markup("")
    frame = Frame(min(a for a, _ in points), max(a for a, _ in points), min(b for _, b in points), max(b for _, b in points))
    parts, marks = [frame.axes(x, y)], []
    for group, colour in zip(groups, palette([str(place) for place in range(len(groups))]).values(), strict=True):
        tone = "#{:02x}{:02x}{:02x}".format(*colour)
        marks.append(f'<span><svg class="mark" viewBox="0 0 10 10">{_mark(5, 5, 4, tone, group.crossed)}</svg>{words(group.name)}</span>')
        for a, b, name in zip(group.xs, group.ys, group.titles, strict=True):
            parts.append(_mark(frame.x(a), frame.y(b), 3, tone, group.crossed, f"<title>{words(name)}</title>"))
    return _svg(WIDTH, HEIGHT, "".join(parts), f'<div class="key">{"".join(marks)}</div>' if len(groups) > 1 else "")


def _mark(x: float, y: float, size: float, tone: str, crossed: bool, title: str = "") -> str:
    if not crossed:
        return f'<circle fill="{tone}" fill-opacity=".8" cx="{x:.1f}" cy="{y:.1f}" r="{size}">{title}</circle>'
    way = f"M{x - size:.1f} {y - size:.1f}l{2 * size} {2 * size}m0 {-2 * size}l{-2 * size} {2 * size}"
    return f'<path stroke="{tone}" stroke-width="2" d="{way}">{title}</path>'


@dataclass(slots=True)
class Group:
    """Points of `places` that have one colour: where each lies, and what it is called."""

    name: Text
    xs: list[float]
    ys: list[float]
    titles: list[str]
    crossed: bool = False


class Frame:
    """Axes from (x0, y0) to (x1, y1): where a value lies on the drawing."""

    def __init__(self, x0: float, x1: float, y0: float, y1: float) -> None:
        self.xs, self.ys = ticks(x0, x1), ticks(y0, y1)
        self.x0, self.x1 = min(x0, self.xs[0]), max(x1, self.xs[-1])
        self.y0, self.y1 = min(y0, self.ys[0]), max(y1, self.ys[-1])

    def x(self, value: float) -> float:
        return LEFT + (value - self.x0) / ((self.x1 - self.x0) or 1) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.y0) / ((self.y1 - self.y0) or 1) * (HEIGHT - TOP - BOTTOM)

    def axes(self, x: Text, y: Text) -> str:
        """Grid, ticks and names."""
        parts = []
        for value in self.ys:
            at = self.y(value)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
            parts.append(_label(LEFT - 8, at + 4.5, _number(value, self.ys), "end"))
        parts += [_label(self.x(value), HEIGHT - BOTTOM + 19, _number(value, self.xs), "middle") for value in self.xs]
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(_label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x, "middle", "ink"))
        middle = (TOP + HEIGHT - BOTTOM) / 2
        parts.append(_label(12, middle, y, "middle", "ink", f"rotate(-90 12 {middle:.0f})"))
        return "".join(parts)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`."""
    if not high > low:
        low, high = low - (abs(low) * 0.1 or 0.5), high + (abs(high) * 0.1 or 0.5)
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [place * step for place in range(first, last + 1)]


def _number(value: float, among: Sequence[float]) -> str:
    step = abs(among[1] - among[0]) if len(among) > 1 else 1.0
    if abs(value) >= 1e6 or step < 1e-4:
        return f"{value:.3g}"
    digits = max(0, min(4, -math.floor(math.log10(step) + 1e-9) + (1 if f"{step:e}".startswith("2.5") else 0)))
    return f"{value + 0.0:,.{digits}f}"


def _thin(line: list[tuple[float, float]], most: int = 600) -> list[tuple[float, float]]:
    """At most `most` points, each the mean of its stretch: a long run stays a small page."""
    if len(line) <= most:
        return line
    stretches = [line[len(line) * i // most : len(line) * (i + 1) // most] for i in range(most)]
    return [(sum(a for a, _ in part) / len(part), sum(b for _, b in part) / len(part)) for part in stretches]


def _label(x: float, y: float, text: Text, anchor: str = "start", kind: str = "", turned: str = "", whole: str = "") -> str:
    extra = (f' class="{kind}"' if kind else "") + (f' transform="{turned}"' if turned else "")
    title = f"<title>{words(whole)}</title>" if whole and whole != text else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{words(text, "tspan")}{title}</text>'


def _key(names: Sequence[Text]) -> str:
    """What each line is, under the drawing, in words that wrap."""
    if len(names) < 2:
        return ""
    marks = [
        f'<span><svg class="mark" viewBox="0 0 10 10"><circle class="f{i % 4}" cx="5" cy="5" r="5"/></svg>{words(n)}</span>'
        for i, n in enumerate(names)
    ]
    return f'<div class="key">{"".join(marks)}</div>'


def _svg(width: float, height: float, inside: str, below: str = "", scroll: bool = False) -> Markup:
    box = f'viewBox="0 0 {width:.0f} {height:.0f}" role="img"'
    if scroll:
        return Markup(f'<div class="scroll"><svg class="whole" width="{width:.0f}" {box}>{inside}</svg></div>{below}')
    return Markup(f"<svg {box}>{inside}</svg>{below}")


def _named(texts: dict[str, str], name: str) -> dict[str, str]:
    return {tongue: f"{text}: {name}" for tongue, text in texts.items()}


def _cut(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _width(name: str) -> int:
    """Places a name takes, 中文 letters counting two."""
    return sum(2 if ord(letter) > 0x2E80 else 1 for letter in name)


def draw(figure: dict) -> list[tuple[Markup, Text]]:
    """What a metric asked to be drawn (see `Metric.figure`): drawings with their captions."""
    kind = figure["kind"]
    if kind == "confusion":
        return [(confusion(figure["names"], figure["counts"]), both("report.figure.confusion"))]
    if kind == "reliability":
        return [(reliability(figure["bins"]), both("report.figure.reliability"))]
    if kind == "scatter":
        rows = zip(figure["names"], figure["truth"], figure["predicted"], strict=True)
        return [(scatter(truth, predicted, name), both("report.figure.scatter", name=name)) for name, truth, predicted in rows]
    if kind == "precision_recall":
        lines = [(both("report.curve.iou", level=level), figure["recall"], row) for level, row in figure["precision"].items()]
        return [(curves(lines, both("report.axis.recall"), both("report.axis.precision"), 0.0), both("report.figure.precision_recall"))]
    if kind == "froc":
        line = ("FROC", figure["rates"], figure["sensitivity"])
        return [(curves([line], both("report.axis.alarms"), both("report.axis.sensitivity"), 0.0), both("report.figure.froc"))]
    return []

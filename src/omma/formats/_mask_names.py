"""Names beside masks: of values (`classes.txt`), of colours (`label_colors.txt`, `class_dict.csv`), of objects (`objects.csv`)."""

from __future__ import annotations

import csv as tables_of_text
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from omma.data.sample import Refused
from omma.formats._texts import read_text
from omma.words import say

NAMES = ("classes.txt", "class_names.txt", "classnames.txt", "codes.txt", "labels.txt")
COLOURS = (
    "label_colors.txt", "label_colours.txt", "class_dict.csv", "class_dict_seg.csv", "labelmap.txt", "colors.txt", "colours.txt",
    "colormap.txt", "class_colors.txt",
)  # fmt: skip
OBJECTS = "objects.csv"
MOST = 64 << 20  # bytes of a list: a million objects
VOIDS = frozenset({"unlabelled", "unlabeled", "void", "ignore", "ignored", "未标注", "忽略"})
_RGB = r"(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})"
_BEFORE = re.compile(rf"{_RGB}[\s,;:]+(?P<name>\S.*)")
_AFTER = re.compile(rf"(?P<name>\S.*?)[\s,;:]+{_RGB}[\s,;]*(?::.*)?")  # two colons behind: the label map of CVAT


def is_void(name: str) -> bool:
    """Whether pixels of a class called so are left out of learning and scoring."""
    return name.strip().casefold() in VOIDS


@dataclass(slots=True)
class Legend:
    """What the files beside masks say.

    Args:
        names: class by value, as in the file; what is not scored still stands in its place.
        file: where the names were read; "" where nowhere.
        colours: colour 0xRRGGBB → class.
        colour_file: where the colours were read.
        listed: there is an `objects.csv`.
        objects: (mask's path below the root, value) → class, as it says.
        lines: (the same key) → the line of `objects.csv`.
    """

    names: list[str] = field(default_factory=list)
    file: str = ""
    colours: dict[int, str] = field(default_factory=dict)
    colour_file: str = ""
    listed: bool = False
    objects: dict[tuple[str, int], str] = field(default_factory=dict)
    lines: dict[tuple[str, int], int] = field(default_factory=dict)

    @property
    def by_value(self) -> list[str]:
        """Names by value: those of the list, else those of the colour table in its order."""
        return self.names or list(self.colours.values())

    @property
    def scored(self) -> list[str]:
        """Class names that count, each once, in order."""
        return [name for name in dict.fromkeys(self.by_value) if not is_void(name)]

    @property
    def unscored(self) -> list[str]:
        return [name for name in dict.fromkeys(self.by_value) if is_void(name)]


def read_legend(folders: Iterable[Path], refused: list[Refused], notes: list[str]) -> Legend:
    """What lies in the first of `folders` that has it.

    Args:
        refused: lines that cannot be used are added here.
        notes: what a person should know is added here.
    """
    legend = Legend()
    for folder in folders:
        top = os.path.realpath(folder)
        at_hand = {entry.name.casefold(): entry for entry in folder.iterdir() if entry.is_file()} if folder.is_dir() else {}
        names = next((at_hand[name] for name in NAMES if name in at_hand), None)
        colours = next((at_hand[name] for name in COLOURS if name in at_hand), None)
        if names is not None and not legend.file:
            lines = [line.strip() for line in _text(names, top, refused, notes).splitlines()]
            while lines and not lines[-1]:
                lines.pop()
            if lines and all(_coloured(line) for line in lines):
                colours = colours or names
            elif lines:
                legend.names, legend.file = _named(lines, names.name, notes), names.name
        if colours is not None and not legend.colours:
            legend.colours, legend.colour_file = _table(_text(colours, top, refused, notes), colours.name, refused), colours.name
        if OBJECTS in at_hand and not legend.listed:
            legend.listed = True
            _objects(legend, _text(at_hand[OBJECTS], top, refused, notes), refused)
    return legend


def _text(path: Path, top: str, refused: list[Refused], notes: list[str]) -> str:
    """The text of a file; "" where it is none, which is said."""
    try:
        text, encoding = read_text(path, top, MOST)
    except ValueError as error:
        refused.append(Refused(path.name, str(error)))
        return ""
    if not encoding.startswith("UTF"):
        notes.append(say("formats.latin", name=path.name, encoding=encoding))
    return text


def _named(lines: list[str], file: str, notes: list[str]) -> list[str]:
    """One name a line; an empty line keeps its place, or every class behind it would have the wrong name."""
    for value in (value for value, line in enumerate(lines) if not line):
        notes.append(say("masks.empty_line", file=file, line=value + 1, value=value))
    twice = sorted({line for line in lines if line and lines.count(line) > 1})
    if twice:
        notes.append(say("masks.names_twice", file=file, names=", ".join(twice)))
    return [line or str(value) for value, line in enumerate(lines)]


def _coloured(line: str) -> re.Match[str] | None:
    """A line with a name and a colour, if it is one."""
    match = _BEFORE.fullmatch(line) or _AFTER.fullmatch(line)
    return match if match and max(map(int, match.group(1, 2, 3) if match.re is _BEFORE else match.group(2, 3, 4))) < 256 else None


def _table(text: str, file: str, refused: list[Refused]) -> dict[int, str]:
    """Colour → name; a heading, comments and empty lines are passed over, other lines without a colour are refused."""
    table: dict[int, str] = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        match = _coloured(line)
        if match is None:
            if table or any(sign.isdigit() for sign in line):
                refused.append(Refused(f"{file}:{number}", say("masks.no_colour")))
            continue
        red, green, blue = map(int, match.group(1, 2, 3) if match.re is _BEFORE else match.group(2, 3, 4))
        colour, name = red << 16 | green << 8 | blue, match["name"].strip().strip('"')
        if table.setdefault(colour, name) != name:
            refused.append(Refused(f"{file}:{number}", say("masks.colour_twice", colour=f"{red} {green} {blue}", name=table[colour])))
    return table


def _objects(legend: Legend, text: str, refused: list[Refused]) -> None:
    """`mask,value,label` for every object of the label maps."""
    for number, row in enumerate(tables_of_text.reader(text.splitlines()), 1):
        if number == 1 or not any(row):
            continue
        try:
            key = row[0], int(row[1])
            if not row[2].strip():
                raise ValueError(say("objects.no_class"))
        except (IndexError, ValueError) as error:
            refused.append(Refused(f"{OBJECTS}:{number}", say("objects.malformed", reason=str(error)[:80])))
            continue
        if key in legend.objects:
            refused.append(Refused(f"{OBJECTS}:{number}", say("objects.duplicate_id", id=f"{key[0]} {key[1]}")))
            continue
        legend.objects[key], legend.lines[key] = row[2], number

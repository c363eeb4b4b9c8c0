"""Objects and regions drawn on pictures: colours of classes, box lines, translucent masks, captions that stay apart, a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from omma.answers import draw

Colour = tuple[int, int, int]

# Okabe & Ito (2008), colours that people with any kind of colour vision tell apart; black is left out, pictures have enough of it.
_OKABE_ITO = ("e69f00", "56b4e9", "009e73", "f0e442", "0072b2", "d55e00", "cc79a7")
# Later classes take the same hues darker (below 0) or lighter, far steps first.
_SHADES = (0.0, -0.45, 0.5, -0.22, 0.27, -0.65, 0.7)
GREY: Colour = (150, 150, 150)  # of objects that do not count
_INK, _PAPER = (20, 22, 26), (245, 246, 248)
SIDE = 448  # pixels: a picture narrower than this has no room for captions beside its objects
_VEIL = 115  # of 256: how much of a mask's colour lies over the picture
# Captions may cover a quarter of a picture, if their objects are as large, and always a little.
_MOST, _LITTLE = 0.25, 0.03


def palette(names: Sequence[str]) -> dict[str, Colour]:
    """A colour for each class, the same wherever the classes are the same."""
    return {name: _colour(place) for place, name in enumerate(names)}


def _colour(place: int) -> Colour:
    code, round_ = _OKABE_ITO[place % len(_OKABE_ITO)], place // len(_OKABE_ITO)
    # From the 50th class on steps between those, so that none of 255 is the same as another.
    shade = _SHADES[round_] if round_ < len(_SHADES) else round_ * 11 % 31 / 30 * 1.45 - 0.71
    end = 255 if shade > 0 else 0
    red, green, blue = (round(value + (end - value) * abs(shade)) for value in bytes.fromhex(code))
    return red, green, blue


def contrast(colour: Colour) -> Colour:
    """Dark for a light colour, light for a dark one: of a halo, or of letters on it."""
    light = np.dot((np.array(colour) / 255) ** 2.2, (0.2126, 0.7152, 0.0722))
    return _INK if light > 0.18 else _PAPER


class Sheet:
    """A picture, enlarged where it is small, on which objects given in pixels of another size are drawn.

    Args:
        picture: (H, W, 3) uint8; not written on.
        width, height: of the picture the objects belong to, pixels.
    """

    def __init__(self, picture: np.ndarray, width: int, height: int) -> None:
        self.canvas = draw.enlarge(picture, SIDE).copy()
        tall, wide = self.canvas.shape[:2]
        # A narrow picture is padded left and right: what is drawn lies between.
        self.inner = max(1, tall // max(1, picture.shape[0])) * picture.shape[1]
        self.left = (wide - self.inner) // 2
        self.size, self.scale = (height, width), (self.inner / max(1, width), tall / max(1, height))
        side = float(np.sqrt(tall * wide))
        self.line = max(2, round(side / 320))
        self.letter = int(np.clip(side / 60, 12, 96))

    def place(self, boxes: np.ndarray) -> np.ndarray:
        """(N, 4) corners in pixels of the objects' picture → of the canvas."""
        across, down = self.scale
        spread = np.asarray(boxes, float).reshape(-1, 4) * (across, down, across, down) + (self.left, 0, self.left, 0)
        tall, wide = self.canvas.shape[:2]
        return np.nan_to_num(spread).clip(0, (wide, tall, wide, tall))

    def frames(self, boxes: np.ndarray, colours: Sequence[Colour]) -> None:
        """Lines along the inside of boxes with a halo on either side, the large ones first so that none is hidden."""
        image = Image.fromarray(self.canvas)
        pen = ImageDraw.Draw(image)
        corners = self.place(boxes)
        for place in np.argsort(-_areas(corners), kind="stable"):
            x1, y1 = np.floor(corners[place, :2]).astype(int).tolist()
            x2, y2 = np.maximum(np.ceil(corners[place, 2:]).astype(int) - 1, (x1, y1)).tolist()
            line = min(self.line, max(2, min(x2 - x1, y2 - y1) // 8))  # what is small must not be hidden by its own box
            halo = max(1, line // 3)
            for inset, width, colour in ((-halo, line + 2 * halo, contrast(colours[place])), (0, line, colours[place])):
                left, top = max(0, x1 + inset), max(0, y1 + inset)
                right, bottom = min(image.width - 1, x2 - inset), min(image.height - 1, y2 - inset)
                pen.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour, width=width)
        self.canvas = np.asarray(image).copy()

    def veil(self, values: np.ndarray, colours: Mapping[int, Colour], box: Sequence[float] | None = None) -> None:
        """Translucent colours over pixels, each region with a solid outline; a value without a colour leaves the picture as it is.

        Args:
            values: (H, W) uint8 of the objects' picture.
            colours: of each value.
            box: corners around what is coloured, to look at nothing else.
        """
        height, width = self.size
        x1, y1, x2, y2 = self.place(np.array([(0, 0, width, height) if box is None else box]))[0]
        rows, columns = np.arange(int(y1), int(np.ceil(y2))), np.arange(int(x1), int(np.ceil(x2)))
        if not len(rows) or not len(columns):
            return
        across, down = self.scale
        near = ((rows + 0.5) / down).astype(int).clip(0, height - 1), ((columns - self.left + 0.5) / across).astype(int).clip(0, width - 1)
        region = values[np.ix_(*near)]
        table, kept = np.zeros((256, 3), np.uint16), np.full(256, 256, np.uint16)
        for value, colour in colours.items():
            table[value], kept[value] = colour, 256 - _VEIL
        edge = (kept < 256)[region] & _edges(region, self.line)
        view = self.canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        for channel in range(3):  # one after the other: large pictures are large enough once
            tint = table[:, channel]
            mixed = (view[..., channel] * kept[region] + (tint * (256 - kept))[region]) >> 8
            view[..., channel] = np.where(edge, tint[region], mixed)

    def captions(self, boxes: np.ndarray, texts: Sequence[str], colours: Sequence[Colour]) -> int:
        """Write each object's text beside it; how many found no room is returned."""
        font = draw.font_for(self.letter, texts)
        pad = max(2, self.letter // 5)
        widest = self.canvas.shape[1] * 0.45
        texts = [draw.shorten(text, font, widest) for text in texts]
        sizes = np.array([(font.getlength(text) + 2 * pad, self.letter + 2 * pad) for text in texts]).reshape(-1, 2)
        tall, wide = self.canvas.shape[:2]
        corners = self.place(boxes)
        spots = arrange(corners, np.ceil(sizes), wide, tall)
        image = Image.fromarray(self.canvas)
        pen = ImageDraw.Draw(image)
        for box, spot, text, colour in zip(corners, spots, texts, colours, strict=True):
            if spot is None:
                continue
            x1, y1, x2, y2 = spot
            if thread := _thread(spot, box):
                pen.line(thread, fill=colour, width=max(1, self.line // 2))
            pen.rectangle((x1, y1, x2 - 1, y2 - 1), fill=colour)
            pen.text((x1 + pad, (y1 + y2) / 2), text, fill=contrast(colour), font=font, anchor="lm")
        self.canvas = np.asarray(image).copy()
        return sum(spot is None for spot in spots)

    def room(self, texts: Sequence[str], boxes: np.ndarray) -> bool:
        """Whether captions with these texts would leave enough of the picture and its objects to be seen."""
        font = draw.font_for(self.letter, texts)
        covered = sum(font.getlength(text) + self.letter / 2 for text in texts) * self.letter * 1.4
        whole = self.canvas.shape[0] * self.canvas.shape[1]
        return covered <= np.clip(_areas(self.place(boxes)).sum(), _LITTLE * whole, _MOST * whole)

    def legend(self, entries: Sequence[tuple[Colour, str]]) -> np.ndarray:
        """The canvas with a strip below it: a patch of colour and what it stands for, as many in a row as fit."""
        font = draw.font_for(self.letter, [text for _, text in entries])
        wide, letter = self.canvas.shape[1], self.letter
        gap = max(3, letter // 2)
        texts = [draw.shorten(text, font, wide - 3 * gap - letter) for _, text in entries]
        spots, x, y = [], gap, gap
        for text in texts:
            step = letter + round(font.getlength(text)) + 2 * gap
            if x > gap and x + step > wide:
                x, y = gap, y + letter + gap
            spots.append((x, y))
            x += step
        strip = Image.new("RGB", (wide, y + letter + gap), _INK)
        pen = ImageDraw.Draw(strip)
        for (x, y), text, (colour, _) in zip(spots, texts, entries, strict=True):
            pen.rectangle((x, y, x + letter - 1, y + letter - 1), fill=colour)
            pen.text((x + letter + gap // 2, y + letter / 2), text, fill=_PAPER, font=font, anchor="lm")
        return np.concatenate([self.canvas, np.asarray(strip)])


def arrange(boxes: np.ndarray, sizes: np.ndarray, width: int, height: int) -> list[tuple[float, float, float, float] | None]:
    """Where captions go: each beside its box, none over another, none out of the picture; the first in order choose first.

    Args:
        boxes: (N, 4) corners on the canvas.
        sizes: (N, 2) width and height of each caption, pixels.
        width, height: of the canvas.

    Returns:
        N corners x1, y1, x2, y2, or None where nothing near the box is free.
    """
    taken = np.zeros((0, 4))
    spots: list[tuple[float, float, float, float] | None] = []
    for box, size in zip(boxes, sizes, strict=True):
        last = np.array((width, height)) - size
        corner = _tries(box, *size).clip(0, last.clip(0))
        tries = np.concatenate([corner, corner + size], 1)
        apart = (tries[:, None, :2] >= taken[None, :, 2:]) | (tries[:, None, 2:] <= taken[None, :, :2])
        free = np.flatnonzero(np.all(np.any(apart, axis=2), axis=1) & np.all(last >= 0))
        if not len(free):
            spots.append(None)
            continue
        taken = np.concatenate([taken, tries[free[:1]]])
        x1, y1, x2, y2 = tries[free[0]].tolist()
        spots.append((x1, y1, x2, y2))
    return spots


def _tries(box: np.ndarray, wide: float, tall: float) -> np.ndarray:
    """(T, 2) upper left corners of a caption: along the borders of its box, outside first, then further and further away."""
    x1, y1, x2, y2 = box
    columns = (x1, x2 - wide, (x1 + x2 - wide) / 2)
    near = [(x, y) for y in (y1 - tall, y2, y1, y2 - tall) for x in columns] + [(x, (y1 + y2 - tall) / 2) for x in (x1 - wide, x2)]
    steps = np.array([(across, down) for across in range(-3, 4) for down in range(-8, 9)]) * (wide / 2, tall)
    far = steps[np.argsort(np.hypot(*steps.T), kind="stable")] + (x1, y1 - tall)
    return np.concatenate([near, far])


def _thread(spot: Sequence[float], box: np.ndarray) -> list[tuple[float, float]] | None:
    """A line from a caption to its box where they do not touch."""
    ends = []
    for low, high in ((0, 2), (1, 3)):
        inner, outer = max(spot[low], box[low]), min(spot[high], box[high])
        ends.append(((inner + outer) / 2,) * 2 if inner <= outer + 1 else (outer, inner) if spot[high] <= box[low] else (inner, outer))
    (x1, x2), (y1, y2) = ends
    return None if (x1, y1) == (x2, y2) else [(float(x1), float(y1)), (float(x2), float(y2))]


def _edges(values: np.ndarray, depth: int) -> np.ndarray:
    """Where another value, or the end of the (H, W) uint8 array, is at most `depth` pixels away."""
    return _reach(values, depth, np.minimum, 0) != _reach(values, depth, np.maximum, 255)


def _reach(values: np.ndarray, depth: int, pick: np.ufunc, beyond: int) -> np.ndarray:
    """The least or largest value within `depth` pixels along both axes: windows joined to ever wider ones."""
    found = np.pad(values, depth, constant_values=beyond)
    for axis in (0, 1):
        wide, whole = 1, 2 * depth + 1
        while wide < whole:
            step = min(wide, whole - wide)
            found = np.swapaxes(found, 0, axis)
            found = np.swapaxes(pick(found[:-step], found[step:]), 0, axis)
            wide += step
    return found


def _areas(corners: np.ndarray) -> np.ndarray:
    return (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])

"""Circles, boxes and stars on textured grounds, drawn on the spot: 300 pictures of 128×128 with boxes, outlines and counts, no download."""

from __future__ import annotations

from functools import cache
from math import cos, exp, hypot, log, pi, sin
from pathlib import Path

import numpy as np

from omma.answers import _rle
from omma.answers.instances import Instances
from omma.data.sample import Dataset, Sample
from omma.errors import DataError
from omma.progress import Watch
from omma.words import say

Part = tuple[slice, slice]

CLASSES = ("circle", "box", "star")
SIZE, SEED = 128, 0
PARTS = {"train": 200, "val": 50, "test": 50}
_SMALL, _LARGE = 6.0, 26.0  # radius in pixels
_SEEN = 0.55  # of every object stays in sight
_MOST, _TRIES = 9, 12
_EMPTY = 0.04  # of the pictures hold nothing: a detector must learn that, too
_CLOSE = 0.45  # of the objects touch or partly cover another


def sniff(path: Path) -> float:
    """0: it lies nowhere."""
    return 0.0


def read(path: Path, watch: Watch | None = None) -> Dataset:
    """(300, 128, 128, 3) uint8 with `Instances`, which are boxes too; each mask is what of an object is in sight.

    The same pictures every time: each is drawn from a seed and its own number alone.

    Raises:
        DataError: somebody's own folder is there.
    """
    if path.exists():
        raise DataError(say("formats.drawn"), path)
    watch = watch or Watch()
    rows = [(split, number) for split, count in PARTS.items() for number in range(count)]
    pixels = np.empty((len(rows), SIZE, SIZE, 3), np.uint8)
    samples = []
    for row, (split, number) in enumerate(watch.each(say("formats.drawing"), rows)):
        pixels[row], truth = draw(row)
        samples.append(Sample(f"{split}/{number:05d}", row=row, truth=truth, split=split))
    return Dataset(sorted(samples, key=lambda sample: sample.id), list(CLASSES), "detect", path, "shapes", pixels)


def draw(number: int, seed: int = SEED) -> tuple[np.ndarray, Instances]:
    """One picture, (128, 128, 3) uint8, and where its objects are.

    Args:
        number: which of the endless row of pictures.
        seed: which row.
    """
    rng = np.random.default_rng((seed, number))
    canvas, owner = _ground(rng), np.zeros((SIZE, SIZE), np.uint8)
    placed: list[tuple[float, float, float]] = []
    labels: list[str] = []
    area, seen = np.zeros(0, int), np.zeros(0, int)  # pixels of every object when it was laid, and those still in sight
    wanted = 0 if rng.random() < _EMPTY else int(rng.integers(1, _MOST + 1))
    for _ in range(wanted * _TRIES):
        x, y, radius = _place(rng, placed)
        label = CLASSES[rng.integers(len(CLASSES))]
        part = _around(x, y, radius)
        depth = _depth(rng, label, x, y, radius, part)
        inside = depth > 0
        left = seen - np.bincount(owner[part][inside], minlength=len(seen) + 1)[1:]
        if inside.sum() < _SEEN * 1.6 * radius**2 or (left < _SEEN * area).any():
            continue
        labels.append(label)
        placed.append((x, y, radius))
        area, seen = np.append(area, inside.sum()), np.append(left, inside.sum())
        owner[part][inside] = len(labels)
        _paint(rng, canvas[part], depth, part)
        if len(labels) == wanted:
            break
    canvas += np.float32(rng.uniform(0, 6)) * rng.standard_normal((SIZE, SIZE, 1), np.float32)
    canvas += 2 * rng.standard_normal(canvas.shape, np.float32)
    return canvas.round().clip(0, 255).astype(np.uint8), _truth(owner, labels)


def _truth(owner: np.ndarray, labels: list[str]) -> Instances:
    """What of each object is in sight."""
    counts, boxes = [], np.zeros((len(labels), 4))
    for place in range(len(labels)):
        shape = np.asfortranarray(owner == place + 1)
        rows, columns = np.flatnonzero(shape.any(1)), np.flatnonzero(shape.any(0))
        boxes[place] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        counts.append(_rle.encode(shape))
    return Instances(SIZE, SIZE, labels, boxes, counts=counts)


def _around(x: float, y: float, radius: float) -> Part:
    """The rows and columns an object and its shadow lie in."""
    reach = radius + 5
    return slice(max(0, int(y - reach)), int(y + reach) + 1), slice(max(0, int(x - reach)), int(x + reach) + 1)


def _place(rng: np.random.Generator, placed: list[tuple[float, float, float]]) -> tuple[float, float, float]:
    """x, y and radius in pixels: anywhere, or close to an object that is there."""
    radius = exp(rng.uniform(log(_SMALL), log(_LARGE)))
    if placed and rng.random() < _CLOSE:
        x, y, other = placed[rng.integers(len(placed))]
        away, angle = (radius + other) * rng.uniform(0.72, 1.0), rng.uniform(0, 2 * pi)
        x, y = x + away * cos(angle), y + away * sin(angle)
        if 0.5 * radius < min(x, y) and max(x, y) < SIZE - 0.5 * radius:
            return x, y, radius
    x, y = rng.uniform(0.6 * radius, SIZE - 0.6 * radius, 2)
    return float(x), float(y), radius


@cache
def _grid() -> tuple[np.ndarray, np.ndarray]:
    """x and y of the centre of every pixel."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32) + 0.5
    return x, y


def _depth(rng: np.random.Generator, label: str, x: float, y: float, radius: float, part: Part) -> np.ndarray:
    """(H, W) of a part of the picture: how far inside a shape every pixel's centre lies, in pixels; below 0 outside."""
    angle = rng.uniform(0, 2 * pi)
    across, down = _grid()[0][part] - x, _grid()[1][part] - y
    if label == "circle":
        return radius - np.hypot(across, down)
    u, v = across * cos(angle) + down * sin(angle), down * cos(angle) - across * sin(angle)
    if label == "box":
        long, short = 0.88 * radius, 0.88 * radius * rng.uniform(0.6, 1)
        return np.minimum(long - np.abs(u), short - np.abs(v))
    # A star is one line from a tip to the notch beside it, turned and mirrored: fold every point into that sector.
    points, notch = int(rng.integers(4, 7)), rng.uniform(0.42, 0.55)
    sector = pi / points
    turn = np.abs((np.arctan2(v, u) + sector) % (2 * sector) - sector)
    distance = np.hypot(u, v)
    u, v = distance * np.cos(turn), distance * np.sin(turn)
    run, rise = radius * (notch * cos(sector) - 1), radius * notch * sin(sector)
    return (rise * (radius - u) + run * v) / hypot(run, rise)


def _colour(rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> np.ndarray:
    """(3,) 0–255: any hue."""
    hue, s, v = rng.uniform(), rng.uniform(*saturation), rng.uniform(*value)
    shares = 1 - s * np.clip(np.abs((hue * 6 + np.array((0, 4, 2))) % 6 - 3) - 1, 0, 1)
    return (255 * v * shares).astype(np.float32)


@cache
def _spread(cells: int) -> np.ndarray:
    """(128, cells): linear interpolation between `cells` values along a side."""
    places = np.linspace(0, cells - 1, SIZE)
    return np.clip(1 - np.abs(places[:, None] - np.arange(cells)), 0, 1).astype(np.float32)


def _noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    """(128, 128) 0–1: smooth between random values on a grid."""
    return _spread(cells) @ rng.random((cells, cells), np.float32) @ _spread(cells).T


def _ground(rng: np.random.Generator) -> np.ndarray:
    """(128, 128, 3) float: two colours mixed by clouds, stripes, a weave or grain; thin lines that are no objects."""
    x, y = _grid()
    clouds = 0.6 * _noise(rng, 4) + 0.25 * _noise(rng, 12) + 0.15 * _noise(rng, 40)
    angle, step = rng.uniform(0, pi), rng.uniform(5, 14)
    wave = 2 * pi / step * (x * cos(angle) + y * sin(angle)) + 5 * clouds
    cross = 2 * pi / step * (y * cos(angle) - x * sin(angle))
    texture = rng.integers(4)
    if texture == 1:
        clouds = 0.5 + 0.35 * np.sin(wave)
    elif texture == 2:
        clouds = 0.5 + 0.25 * (np.sin(wave) + np.sin(cross))
    elif texture == 3:
        clouds = 0.5 * clouds + 0.5 * rng.random(x.shape, np.float32)
    mix = clouds[..., None]
    canvas = _colour(rng, (0.1, 0.5), (0.3, 0.95)) * mix + _colour(rng, (0.1, 0.5), (0.3, 0.95)) * (1 - mix)
    for _ in range(rng.integers(0, 3)):
        angle, shift, bend = rng.uniform(0, pi), rng.uniform(-50, 50), rng.uniform(-0.004, 0.004)
        u, v = (x - 64) * cos(angle) + (y - 64) * sin(angle), (y - 64) * cos(angle) - (x - 64) * sin(angle)
        _lay(canvas, _colour(rng, (0.2, 0.8), (0.2, 0.9)), 0.8 * np.clip(1.2 - np.abs(v - shift - bend * u**2), 0, 1))
    return canvas


def _paint(rng: np.random.Generator, canvas: np.ndarray, depth: np.ndarray, part: Part) -> None:
    """Lay an object on its part of the canvas: a shadow, a colour unlike what lies below, light from one side, sometimes a dark rim."""
    x, y = (axis[part] for axis in _grid())
    below = canvas[depth > 0].mean(0)
    colour = _colour(rng, (0.35, 0.95), (0.4, 1.0))
    for _ in range(3):
        if np.abs(colour - below).max() > 60:
            break
        colour = _colour(rng, (0.35, 0.95), (0.4, 1.0))
    shadow = np.roll(np.clip(0.5 + depth / 3, 0, 1), (2, 2), (0, 1))
    shadow[:2], shadow[:, :2] = 0, 0
    canvas *= (1 - 0.35 * shadow)[..., None]
    angle = rng.uniform(0, 2 * pi)
    light = (
        1
        + rng.uniform(0, 0.006) * ((x - 64) * cos(angle) + (y - 64) * sin(angle))
        + rng.uniform(0, 0.25) * (rng.random(x.shape, np.float32) - 0.5)
    )
    rim = 1 - (0.45 * np.clip(2 - depth, 0, 1) if rng.random() < 0.5 else 0)
    _lay(canvas, colour * (light * rim)[..., None], np.clip(depth + 0.5, 0, 1))


def _lay(canvas: np.ndarray, colour: np.ndarray, cover: np.ndarray) -> None:
    """Blend a colour over the canvas where `cover` (0–1) says."""
    canvas += cover[..., None] * (colour - canvas)

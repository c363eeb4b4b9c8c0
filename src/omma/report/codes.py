"""The latent map: held-out pictures where their codes lie, and what the network draws there."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from omma.answers import draw
from omma.answers.picture import shown
from omma.answers.rebuilt import Rebuilt
from omma.data.frames import Frames
from omma.errors import OmmaError
from omma.report import charts
from omma.report.evaluation import Evaluation
from omma.report.page import Page, Text
from omma.words import LANGUAGES, both

if TYPE_CHECKING:
    from omma.bundle import Bundle

MOST, AT_ONCE = 2_000, 64  # pictures on the map, and through the network at once
LEAST = 3
ACROSS, DOWN, CELL = 16, 10, 64  # fields of the map, and pixels of one
EDGE = 0.01  # share of the pictures on each side that lie beyond the fields, and are shown in the last one
CLASSES = 12  # more classes are not told apart by colour
_EMPTY, _ODD = (236, 238, 240), (213, 94, 0)


class Plane(NamedTuple):
    """Two directions through the codes.

    Args:
        places: (N, 2), where each code lies.
        centre: (D,), the code at (0, 0).
        axes: (2, D), of length 1; row i is a step of 1 along axis i.
        shares: of the variance of the codes along each axis, 0–1.
    """

    places: np.ndarray
    centre: np.ndarray
    axes: np.ndarray
    shares: tuple[float, float]


def plane_of(codes: np.ndarray) -> Plane:
    """The plane in which (N, D) codes vary most: their first two principal components, by SVD; of at most two numbers the codes themselves.

    The sign of an axis is arbitrary: its largest coordinate is made positive, so that a map is the same wherever it is computed.
    """
    if (count := codes.shape[1]) <= 2:
        spread = codes.var(0, dtype=np.float64)
        whole = np.pad(spread / max(float(spread.sum()), 1e-30), (0, 2 - count))
        return Plane(np.pad(codes, ((0, 0), (0, 2 - count))), np.zeros(count), np.eye(2, count), (float(whole[0]), float(whole[1])))
    centre = codes.mean(0, dtype=np.float64)
    off = codes.astype(np.float64) - centre
    _, sizes, ways = np.linalg.svd(off, full_matrices=False)
    axes = ways[:2] * np.sign(ways[np.arange(2), np.abs(ways[:2]).argmax(1)])[:, None]
    shares = sizes**2 / max(float((sizes**2).sum()), 1e-30)
    return Plane(off @ axes.T, centre, axes, (float(shares[0]), float(shares[1])))


class Fields:
    """The plane cut into `ACROSS` × `DOWN` fields, row by row from the upper left; what lies beyond belongs to the last one.

    Args:
        places: (N, 2) on the plane, second axis upwards.
    """

    def __init__(self, places: np.ndarray) -> None:
        low, high = np.quantile(places, [EDGE, 1 - EDGE], 0)
        self.low, self.step = low, np.maximum(high - low, 1e-9) / (ACROSS, DOWN)

    def middles(self) -> np.ndarray:
        """(ACROSS · DOWN, 2): the middle of each field on the plane."""
        right, up = np.meshgrid(np.arange(ACROSS) + 0.5, np.arange(DOWN)[::-1] + 0.5)
        return self.low + np.stack([right.ravel(), up.ravel()], 1) * self.step

    def chosen(self, places: np.ndarray) -> list[int | None]:
        """For each field which of (N, 2) places in it lies nearest to its middle; None for an empty one."""
        cells = np.clip(((places - self.low) / self.step).astype(int), 0, (ACROSS - 1, DOWN - 1))
        number = (DOWN - 1 - cells[:, 1]) * ACROSS + cells[:, 0]
        far = np.square((places - self.middles()[number]) / self.step).sum(1)
        found: list[int | None] = [None] * (ACROSS * DOWN)
        for place in np.argsort(-far, kind="stable").tolist():  # the nearest come last
            found[number[place]] = place
        return found


def codes_into(made: Page, evaluation: Evaluation, bundle: Bundle) -> None:
    """Add the section, where answers are pictures rebuilt from codes; of many pictures every so many."""
    if not evaluation.predictions or not isinstance(evaluation.predictions[0], Rebuilt):
        return
    count = len(evaluation.samples)
    rows = sorted({place * count // MOST for place in range(MOST)}) if count > MOST else list(range(count))
    try:
        frames = Frames(evaluation.dataset.choose([evaluation.places[row] for row in rows]), bundle.views)
        rows = [rows[place] for place in frames.usable]
        pictures = frames.get(torch.tensor(frames.usable))
    except OmmaError:  # what was measured before cannot be read any more
        return
    if len(rows) < LEAST:
        return
    codes = _codes(bundle, pictures)
    plane = plane_of(codes)
    made.section(both("reconstruct.codes.section"), both("reconstruct.codes.lead", count=f"{len(rows):,}", numbers=codes.shape[1]))
    if codes.shape[1] > 2:
        told = {"first": f"{plane.shares[0]:.1%}", "second": f"{plane.shares[1]:.1%}", "both": f"{sum(plane.shares):.1%}"}
        made.text(both("reconstruct.codes.variance", **told), "quiet")
    axes = [both("reconstruct.codes.axis" if codes.shape[1] > 2 else "reconstruct.codes.number", place=place) for place in (1, 2)]
    made.chart(charts.places(_groups(evaluation, rows, plane.places), axes[0], axes[1]), both("reconstruct.codes.dots"))
    fields = Fields(plane.places)
    cells = [
        _cell(pictures[place].numpy(), _odd(evaluation, rows[place])) if place is not None else _blank()
        for place in fields.chosen(plane.places)
    ]
    made.heading(both("reconstruct.codes.seen"))
    wide = ACROSS * (CELL + 4)
    made.pictures([(draw.grid(cells, (), CELL, ACROSS), both("reconstruct.codes.seen_is"), "")], wide)
    made.heading(both("reconstruct.codes.walk"))
    drawn = _walk(bundle, plane.centre + fields.middles() @ plane.axes)
    made.pictures([(draw.grid([shown(one) for one in drawn], (), CELL, ACROSS), both("reconstruct.codes.walk_is"), "")], wide)


def _codes(bundle: Bundle, pictures: torch.Tensor) -> np.ndarray:
    """(N, D) float32 of frames (N, S, S, C) uint8."""
    net, device = bundle.net.eval(), next(bundle.net.parameters()).device
    with torch.inference_mode():
        parts = [net.features(bundle.views.finish(some.to(device))).float().cpu() for some in pictures.split(AT_ONCE)]
    return torch.cat(parts).numpy()


def _walk(bundle: Bundle, codes: np.ndarray) -> list[np.ndarray]:
    """What the network draws from (N, D) codes: (S, S, C) uint8 each."""
    net, device = bundle.net.eval(), next(bundle.net.parameters()).device
    with torch.inference_mode():
        parts = [net.head(some.to(device)).float().clamp(0, 1).cpu() for some in torch.from_numpy(codes.astype(np.float32)).split(AT_ONCE)]
    return list((torch.cat(parts) * 255).round().byte().permute(0, 2, 3, 1).numpy())


def _odd(evaluation: Evaluation, row: int) -> bool:
    return bool(getattr(evaluation.samples[row].truth, "odd", False))


def _groups(evaluation: Evaluation, rows: list[int], places: np.ndarray) -> list[charts.Group]:
    """Good ones first, then odd ones, which are crossed; a group for each class where there are a few."""
    keys = []
    for row in rows:
        truth = evaluation.samples[row].truth
        assert isinstance(truth, Rebuilt)
        keys.append((bool(truth.odd), ", ".join(truth.shows)))
    count = Counter(keys)
    if len(count) > CLASSES or not all(name for _, name in count):
        keys = [(odd, "") for odd, _ in keys]
    groups = {}
    for key in sorted(set(keys)):
        odd, name = key
        word = both("reconstruct.odd" if odd else "reconstruct.good")
        said: Text = {t: f"{name} ({word[t]})" for t in LANGUAGES} if name else word
        groups[key] = charts.Group(said, [], [], [], odd)
    for row, key, (x, y) in zip(rows, keys, places.tolist(), strict=True):
        group, answer = groups[key], evaluation.predictions[row]
        group.xs.append(x)
        group.ys.append(y)
        group.titles.append(f"{evaluation.samples[row].id} · {getattr(answer, 'anomaly', float('nan')):.3g}")
    return list(groups.values())


def _cell(frame: np.ndarray, odd: bool) -> np.ndarray:
    """A frame to look at, (S, S, 3) uint8; an odd one inside a coloured line."""
    picture = shown(frame)
    if not odd:
        return picture
    wide = max(1, picture.shape[0] // 16)
    edged = np.empty((picture.shape[0] + 2 * wide, picture.shape[1] + 2 * wide, 3), np.uint8)
    edged[:] = _ODD
    edged[wide:-wide, wide:-wide] = picture
    return edged


def _blank() -> np.ndarray:
    return np.full((CELL, CELL, 3), _EMPTY, np.uint8)

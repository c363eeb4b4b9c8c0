"""Nuclei that touch: how many of these pairs a model keeps apart, and a picture of ten such places, the truth beside the answer.

    OMMA_MIRROR=FOLDER python benchmarks/touching.py RUN [--split test] [--out FILE.png]

RUN was trained by `where.py dsb --keep …`. Two nuclei touch where their pixels are at most one pixel apart along `CONTACT` pixels; they are
kept apart if two different answers lie on them with an IoU of 0.5 or more. The ten are spread over the pictures, longest contacts first.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path

import numpy as np
from _table import begin, report
from PIL import Image
from where import prepared

from omma import bundle as bundles
from omma.answers import _marks, _rle
from omma.answers.draw import grid
from omma.answers.instances import Instances
from omma.data.decode import decode, to_rgb8
from omma.data.sample import Dataset
from omma.engine.predicting import answered
from omma.formats.format import open_data
from omma.progress import Watch
from omma.run.folder import RunFolder

CONTACT = 4  # pixels
PLACES = 10
ROOM = 12  # pixels around a pair
SIDE = 240  # pixels of a place in the picture


def touching(truth: Instances) -> dict[tuple[int, int], int]:
    """Pairs of objects that touch, and along how many pixels."""
    numbers = truth._numbered().numpy()
    tall, wide = numbers.shape
    pairs: dict[tuple[int, int], int] = {}
    for down, right in ((0, 1), (0, 2), (1, 0), (2, 0), (1, 1), (1, -1)):
        a = numbers[: tall - down, max(0, -right) : wide - max(0, right)]
        b = numbers[down:, max(0, right) : wide + min(0, right)]
        met = (a > 0) & (b > 0) & (a != b)
        for one, other in zip(a[met], b[met], strict=True):
            key = (min(one, other) - 1, max(one, other) - 1)
            pairs[key] = pairs.get(key, 0) + 1
    return {key: count for key, count in pairs.items() if count >= CONTACT}


def apart(truth: Instances, found: Instances, pairs: dict[tuple[int, int], int]) -> list[bool]:
    """Whether each pair has two answers of its own."""
    shared = _rle.iou(list(truth.counts), list(found.counts), truth.height, truth.width)
    best = shared.argmax(1) if len(found) else np.zeros(len(truth), int)
    hit = shared.max(1) >= 0.5 if len(found) else np.zeros(len(truth), bool)
    return [bool(hit[a] and hit[b] and best[a] != best[b]) for a, b in pairs]


def place(picture: np.ndarray, truth: Instances, found: Instances, pair: tuple[int, int]) -> list[np.ndarray]:
    """What is around a pair: the picture, the truth, the answer."""
    low, high = truth.boxes[list(pair), :2].min(0), truth.boxes[list(pair), 2:].max(0)
    middle, half = (low + high) / 2, (high - low).max() / 2 + ROOM
    box = tuple(map(int, (*(middle - half), *(middle + half))))
    level = picture.astype(float)
    level = ((level - level.min()) * (255 / max(1.0, np.ptp(level)))).astype(np.uint8)
    return [np.asarray(Image.fromarray(side).crop(box)) for side in (level, outlined(level, truth), outlined(level, found))]


def outlined(picture: np.ndarray, answer: Instances) -> np.ndarray:
    """The picture with the border of each object, in colours that take turns."""
    shown = picture.copy()
    colours = itertools.cycle(_marks.palette("abcdefg").values())
    for text, colour in zip(answer.counts, colours, strict=False):
        mask = _rle.decode(text, answer.height, answer.width)
        shown[mask & _marks._edges(mask.view(np.uint8), 1)] = colour
    return shown


def chosen(pairs: list[dict[tuple[int, int], int]]) -> list[tuple[int, tuple[int, int]]]:
    """(picture, pair): in each round the longest contact left of every picture."""
    ranked = [sorted(of, key=lambda key: -of[key]) for of in pairs]
    rounds = itertools.zip_longest(*([(at, pair) for pair in of] for at, of in enumerate(ranked)))
    return [one for some in rounds for one in some if one is not None][:PLACES]


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("run")
    words.add_argument("--split", default="test")
    words.add_argument("--out", default=str(Path(__file__).parent / "out" / "touching.png"))
    args = words.parse_args()
    bundle = bundles.open(args.run)
    with tempfile.TemporaryDirectory() as folder:
        dataset = RunFolder.open(args.run).put_split(open_data(prepared("dsb", Path(folder)))).part(args.split)
        draw(dataset, bundle, args.out)


def draw(dataset: Dataset, bundle: bundles.Bundle, out: str) -> None:
    """Count, and draw ten."""
    said = answered(bundle, dataset, Watch())
    samples = [dataset.samples[at] for at in said.places]
    truths = [sample.truth for sample in samples]
    found = [answer.settle(bundle.point).seen() for answer in said.answers]
    pairs = [touching(truth) for truth in truths]
    kept = [apart(*three) for three in zip(truths, found, pairs, strict=True)]
    ten = chosen(pairs)
    cells = [side for at, pair in ten for side in place(to_rgb8(decode(samples[at].path)), truths[at], found[at], pair)]
    Image.fromarray(grid(cells, ["picture", "truth", "answer"] * len(ten), side=SIDE, columns=6)).save(out)
    of_ten = sum(kept[which][list(pairs[which]).index(pair)] for which, pair in ten)
    row = {"pictures": len(samples), "pairs that touch": sum(map(len, pairs)), "kept apart": sum(map(sum, kept)), "of the ten": of_ten}
    report("touching", [row], picture=out)


if __name__ == "__main__":
    begin(main)

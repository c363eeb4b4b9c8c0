"""COCO's numbers of 5,000 pictures × 100 boxes beside faster-coco-eval, and the time 1,000 bootstrap drawings take.

    python benchmarks/mean_ap.py [--pictures 5000] [--boxes 100] [--classes 1 80] [--draws 1000]

Both sides start from answers in memory and give all numbers of COCO's summary that omma tells; the peer's own preparation (its index of
truths, its reading of results) is timed apart and not held against it. The last column says which bar was missed; the script then exits
with 1.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
import time
import tracemalloc
from typing import Any

import numpy as np
from _table import begin, report

from omma.answers.boxes import Boxes
from omma.metrics.bootstrap import interval
from omma.metrics.sets import detection

KEYS = ("mAP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR1", "AR10", "AR100")
# How much longer than the peer, how far from its numbers, seconds for the drawings.
RATIO, APART, SECONDS = 1.5, 1e-6, 60.0
SIDE = 640


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--boxes", type=int, default=100, help="objects, and predictions, a picture")
    parser.add_argument("--classes", type=int, nargs="+", default=[1, 80])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3, help="each side is timed this often, in turns; the median counts")
    words = parser.parse_args()
    rows = [measure(words, classes) for classes in words.classes]
    report("mean_ap", rows, pictures=words.pictures, boxes=words.boxes, draws=words.draws)
    sys.exit(any(row["missed"] for row in rows))


def measure(words: argparse.Namespace, classes: int) -> dict[str, Any]:
    """One row of the table."""
    names = [f"c{i}" for i in range(classes)]
    predictions, truths = answers(words.pictures, words.boxes, names)
    mine, prepared, theirs = [], [], []
    for _ in range(words.rounds):
        numbers, seconds = timed(lambda: ours(names, predictions, truths))
        mine.append(seconds)
        judged, before, seconds = peer(names, predictions, truths)
        prepared.append(before)
        theirs.append(seconds)
    apart = max(abs(a - b) for a, b in zip(numbers, judged, strict=True))
    metric = detection(names)["mAP"]
    records = metric.records(predictions, truths)
    tracemalloc.start()
    busy = time.process_time()
    score, drawing = timed(lambda: interval(metric, records, draws=words.draws))
    busy, held = time.process_time() - busy, tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    row = {"classes": classes, "omma s": statistics.median(mine), "peer s": statistics.median(theirs)}
    row |= {"ratio": row["omma s"] / row["peer s"], "peer prepares s": statistics.median(prepared), "apart": apart}
    row |= {"mAP": str(score), f"{words.draws} drawings s": drawing, "drawings CPU s": busy, "drawings MiB": held}
    bars = {"time": row["ratio"] <= RATIO, "numbers": apart <= APART, "drawings": drawing <= SECONDS}
    return row | {"missed": ", ".join(name for name, kept in bars.items() if not kept)}


def answers(pictures: int, boxes: int, names: list[str]) -> tuple[list[Boxes], list[Boxes]]:
    """Objects of every size, three of four found with places of every quality, as many alarms as are missing; one in a hundred a crowd."""
    rng = np.random.default_rng(0)
    predictions, truths = [], []
    for _ in range(pictures):
        true, label = scattered(rng, boxes), rng.integers(0, len(names), boxes)
        found = rng.random(boxes) < 0.75
        size = np.tile(true[:, 2:] - true[:, :2], 2)
        near = (true + rng.normal(0, 0.12, (boxes, 4)) * size)[found]
        said = np.concatenate([near, scattered(rng, boxes - len(near))])
        said[:, 2:] = np.maximum(said[:, 2:], said[:, :2] + 1)
        named = np.concatenate([label[found], rng.integers(0, len(names), boxes - len(near))])
        sure = np.concatenate([rng.beta(4, 2, len(near)), rng.beta(2, 4, boxes - len(near))]).astype(np.float32)
        order = rng.permutation(boxes)
        predictions.append(Boxes(SIDE, SIDE, [names[i] for i in named[order]], said[order], sure[order]))
        truths.append(Boxes(SIDE, SIDE, [names[i] for i in label], true, None, rng.random(boxes) < 0.01))
    return predictions, truths


def scattered(rng: np.random.Generator, count: int) -> np.ndarray:
    corner = rng.random((count, 2)) * 0.9 * SIDE
    return np.concatenate([corner, corner + np.exp(rng.normal(3.5, 0.8, (count, 2)))], 1)


def ours(names: list[str], predictions: list[Boxes], truths: list[Boxes]) -> list[float]:
    """From answers to numbers, the matching included."""
    metrics = detection(names)
    once = np.ones(len(truths))
    return [metrics[key].summary(metrics[key].records(predictions, truths), once) for key in KEYS]


def peer(names: list[str], predictions: list[Boxes], truths: list[Boxes]) -> tuple[list[float], float, float]:
    """The same numbers by faster-coco-eval, the seconds it takes to get ready, and the seconds of the evaluation itself."""
    from faster_coco_eval import COCO, COCOeval_faster

    number = {name: i + 1 for i, name in enumerate(names)}
    annotations, results = rows(truths, number), rows(predictions, number)
    images = [{"id": i + 1, "width": SIDE, "height": SIDE} for i in range(len(truths))]
    categories = [{"id": i, "name": name} for name, i in number.items()]
    with contextlib.redirect_stdout(io.StringIO()):
        index, before = timed(lambda: COCO({"info": {}, "images": images, "annotations": annotations, "categories": categories}))
        loaded, reading = timed(lambda: index.loadRes(results))
        judge = COCOeval_faster(index, loaded, "bbox")
        _, seconds = timed(lambda: (judge.evaluate(), judge.accumulate(), judge.summarize()))
    return [float(value) for value in judge.stats[: len(KEYS)]], before + reading, seconds


def rows(given: list[Boxes], number: dict[str, int]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for picture, answer in enumerate(given):
        for k, (x1, y1, x2, y2) in enumerate(answer.boxes.tolist()):
            row = {"image_id": picture + 1, "category_id": number[answer.labels[k]], "bbox": [x1, y1, x2 - x1, y2 - y1]}
            if answer.probabilities is not None:
                row["score"] = float(answer.probabilities[k])
            else:
                row |= {"id": len(found) + 1, "area": (x2 - x1) * (y2 - y1), "iscrowd": int(answer.ignored[k])}
            found.append(row)
    return found


def timed(work: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


if __name__ == "__main__":
    begin(main)

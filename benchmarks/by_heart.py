"""Can a network learn at all? Eight pictures that are training, validation and test part alike, until it knows them by heart.

    OMMA_MIRROR=FOLDER python benchmarks/by_heart.py yolo|yolo-v2|fcn [--model NAME] [--size 320] [--steps 1500] [k=v …]

FOLDER holds bccd.zip and camvid.zip. Scores are AP50 for boxes and mIoU for classes of pixels; nothing varies, only learning is tried.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from _table import begin, report

from omma.data.sample import Dataset
from omma.formats import coco, masks
from omma.formats.format import open_data
from omma.progress import Watch

HOME = Path(os.environ.get("OMMA_MIRROR", "."))
# row → (network, task, archive, side of the frame)
ROWS = {
    "yolo": ("yolo-small", "detect", "bccd.zip", 384),
    "yolo-v2": ("yolo-v2-small", "detect", "bccd.zip", 384),
    "fcn": ("fcn-small", "segment", "camvid.zip", 256),
}
# Nothing varies, and every step sees all.
STILL = ["flip=no", "shift=0", "scale=0", "colour=0", "fit=squash", "batch=8", "evals=4", "test=0", "val=0"]
OWN = {
    "yolo": ["stride=32", "forget=0", "optimizer=adamw", "rate=0.001"],
    "yolo-v2": ["optimizer=adamw", "rate=0.002"],
    "fcn": ["forget=0"],
}
SCORES = {"detect": "AP50", "segment": "mIoU"}


def eight(data: str, count: int = 8) -> Dataset:
    """The first `count` pictures with truths, in every part."""
    whole = open_data(data)
    chosen = [sample for sample in whole.samples if sample.truth is not None][:count]
    parts = [replace(s, id=f"{part}-{Path(s.id).name}", split=part) for part in ("train", "val", "test") for s in chosen]
    return replace(whole, samples=parts)


def learned(
    model: str, task: str, data: str, size: int, steps: int, words: list[str] | None = None, out: str | None = None
) -> dict[str, Any]:
    """Train on them and score them."""
    from omma.verbs.train import train

    began = time.monotonic()
    own = next((OWN[key] for key in sorted(OWN, key=len, reverse=True) if model.startswith(key)), [])
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "eight"
        (masks if task == "segment" else coco).write(eight(data), place, Watch())
        settings = [*STILL, f"size={size}", *own, *(words or [])]
        told = train(str(place), *settings, model=model, task=task, seed=0, budget=f"{steps} steps", out=f"{folder}/run")
    scores = {name: score["value"] for name, score in told.scores.items()}
    name = SCORES[task]
    return {"model": model, "score": scores[name], "name": name, "steps": told.steps, "minutes": (time.monotonic() - began) / 60}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("row", choices=ROWS)
    words.add_argument("--model")
    words.add_argument("--size", type=int)
    words.add_argument("--steps", type=int, default=1500)
    words.add_argument("settings", nargs="*")
    args = words.parse_intermixed_args()
    model, task, archive, size = ROWS[args.row]
    row = learned(args.model or model, task, str(HOME / archive), args.size or size, args.steps, args.settings)
    report(f"by_heart_{args.row}", [row], **vars(args))


if __name__ == "__main__":
    begin(main)

"""Does adaptation help? Digits of MNIST with labels, of USPS without: accuracy on USPS's test part, with and without `target=`.

    OMMA_MIRROR=FOLDER python benchmarks/adapt.py [--model dann] [--seeds 5] [--steps 400] [--keep FOLDER] [--tune] [k=v …]

FOLDER holds mnist-20k.zip and usps.npz. Both runs of a seed have the same source pictures, steps, order and start; the difference is paired
by picture, seeds taken together. `--tune` keeps the test part shut: 1,500 pictures of USPS's training part take its place, and nobody
adapts to them. `--keep` leaves the runs in a folder and learns only those that are not there yet.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _table import begin, report

from omma.data.sample import Dataset
from omma.formats.format import open_data

HOME = Path(os.environ.get("OMMA_MIRROR", "."))
HELD = 1500
DRAWS = 2000
# Nothing of the source is held out: what it would tell is not asked, and every second goes into learning.
SETTINGS = ["val=0", "test=0", "tta=none", "flip=no"]


def pixels(dataset: Dataset, split: str) -> tuple[np.ndarray, np.ndarray]:
    """(N, H, W) uint8 pictures and (N,) int64 classes of a part."""
    places = [i for i, sample in enumerate(dataset.samples) if sample.split == split]
    labels = [int(dataset.samples[i].truth.label) for i in places]  # type: ignore[union-attr]
    return np.stack([dataset.picture(i)[..., 0] for i in places]), np.array(labels)


def written(folder: Path, tune: bool) -> tuple[Path, Path]:
    """The source's training part, and the target with the part that is reported on as `test`."""
    source, target = folder / "mnist.npz", folder / "usps.npz"
    pictures, labels = pixels(open_data(str(HOME / "mnist-20k.zip")), "train")
    np.savez(source, train_images=pictures, train_labels=labels)
    whole = open_data(str(HOME / "usps.npz"))
    train, test = pixels(whole, "train"), pixels(whole, "test")
    if tune:
        train, test = tuple(part[:-HELD] for part in train), tuple(part[-HELD:] for part in train)  # type: ignore[assignment]
    np.savez(target, train_images=train[0], train_labels=train[1], test_images=test[0], test_labels=test[1])
    return source, target


def right(run: Path, target: Path) -> np.ndarray:
    """(N,) 1 where a picture of the target's test part is answered rightly."""
    from omma.bundle import open as open_bundle
    from omma.engine.predicting import answers
    from omma.progress import Watch

    held = open_data(str(target)).part("test")
    said, refused = answers(open_bundle(run), replace(held, samples=held.samples), Watch())
    assert not refused
    return np.array([one.label == sample.truth.label for one, sample in zip(said, held.samples, strict=True)], float)  # type: ignore[union-attr]


def both(model: str, seed: int, steps: int, words: list[str], source: Path, target: Path, folder: Path) -> list[dict[str, Any]]:
    """One seed, source-only and adapted."""
    from omma.verbs.train import train

    rows = []
    for how, more in (("source only", []), ("adapted", [f"target={target}"])):
        began = time.monotonic()
        out = folder / f"{how.replace(' ', '-')}-{seed}"
        if not (out / "bundle").is_dir():
            train(str(source), *SETTINGS, *words, *more, task="classify", model=model, seed=seed, budget=f"{steps} steps", out=str(out))
        seconds = time.monotonic() - began
        hits = right(out, target)
        rows.append({"seed": seed, "how": how, "accuracy": float(hits.mean()), "seconds": seconds, "hits": hits})
        print(f"seed {seed} {how:<12} {hits.mean():.4f} of {len(hits)}, {seconds:.0f} s", flush=True)
    return rows


def difference(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Adapted minus source-only, seeds and pictures drawn again together: how it would be with other seeds and other digits."""
    pairs = np.stack([
        next(r["hits"] for r in rows if r["seed"] == seed and r["how"] == "adapted")
        - next(r["hits"] for r in rows if r["seed"] == seed and r["how"] == "source only")
        for seed in sorted({row["seed"] for row in rows})
    ])  # fmt: skip
    chance = np.random.default_rng(0)
    drawn = [
        pairs[chance.integers(0, len(pairs), len(pairs))][:, chance.integers(0, pairs.shape[1], pairs.shape[1])].mean()
        for _ in range(DRAWS)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"difference": float(pairs.mean()), "low": float(low), "high": float(high), "better": int((pairs.mean(1) > 0).sum())}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--model", default="dann")
    words.add_argument("--seeds", type=int, default=5)
    words.add_argument("--first", type=int, default=0)
    words.add_argument("--steps", type=int, default=400)
    words.add_argument("--keep", type=Path)
    words.add_argument("--tune", action="store_true")
    words.add_argument("settings", nargs="*")
    args = words.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as name:
        place = args.keep or Path(name)
        place.mkdir(parents=True, exist_ok=True)
        source, target = written(place, args.tune)
        rows = [
            row
            for seed in range(args.first, args.first + args.seeds)
            for row in both(args.model, seed, args.steps, args.settings, source, target, place)
        ]
    told = difference(rows)
    for row in rows:
        del row["hits"]
    means = {how: statistics.mean(row["accuracy"] for row in rows if row["how"] == how) for how in ("source only", "adapted")}
    report("adapt", rows, **means, **told, **{key: value for key, value in vars(args).items() if key not in ("settings", "keep")})


if __name__ == "__main__":
    begin(main)

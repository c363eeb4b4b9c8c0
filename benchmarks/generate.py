"""Pictures drawn from chance: how many of them a classifier takes for digits, FID of five ways beside each other, faces and copying.

    OMMA_MIRROR=FOLDER python benchmarks/generate.py digits [--minutes 10] [--seeds 3] [--model r3gan] [--eyes RUN] [--keep DIR] [k=v …]
    OMMA_MIRROR=FOLDER python benchmarks/generate.py beside [--minutes 20] [--model NAME …] [--eyes RUN] [--keep DIR] [k=v …]
    OMMA_MIRROR=FOLDER python benchmarks/generate.py faces  [--minutes 30] [--model r3gan] [--keep DIR] [k=v …]

FOLDER holds `mnist-20k.zip` and `orl-faces.zip`. `digits` draws 10,000 pictures, without a class, and asks a classifier that was trained
apart, on the same training part and to 99 % at least (`--eyes`, a run; trained first where none is named). `beside` gives every network
the same minutes and measures FID by what that classifier sees, over five sampling seeds, beside two halves of the true pictures.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _table import begin, report

from omma import bundle as bundles
from omma.bundle import Bundle
from omma.data.own.given import posed
from omma.data.sample import Dataset
from omma.data.split import split
from omma.engine.painting.drawing import by, drawn, rows_of
from omma.formats.format import open_data
from omma.metrics.bootstrap import student
from omma.report.drawings import beside, closest_pair, stacked

HOME = Path(os.environ.get("OMMA_MIRROR", "."))
DIGITS, FACES = "mnist-20k.zip", "orl-faces.zip"
MODELS = ("dcgan", "wgan-gp", "sngan", "r3gan", "flow")
COUNT, SURE, SAMPLINGS = 10_000, 0.9, 5
NEARER = 0.7  # truncation that is shown beside the whole of chance


def trained(archive: str, out: str, minutes: float, seed: int, model: str, settings: list[str]) -> tuple[Bundle, dict[str, Any]]:
    """A run, and what it took."""
    from omma.verbs.train import train

    began = time.monotonic()
    told = train(str(HOME / archive), *settings, task="generate", model=model, seed=seed, budget=f"{minutes * 60:.0f}s", out=out)
    return bundles.open(out), {"model": model, "seed": seed, "minutes": (time.monotonic() - began) / 60, "steps": told.steps}


def classifier(args: argparse.Namespace, folder: str) -> str:
    """The run of a classifier that is right 99 times in a hundred.

    Raises:
        SystemExit: it is not.
    """
    from omma.verbs.train import train

    run = args.eyes
    if run is None:
        run = f"{folder}/eyes"
        train(str(HOME / DIGITS), task="classify", budget="4min", out=run)
    score = bundles.open(run).card["scores"]["metrics"]["accuracy"]
    print("classifier", run, score, flush=True)
    if score["value"] < 0.99:
        raise SystemExit(f"{run} is right in {score['value']:.2%} of the pictures only")
    return str(run)


def digits(args: argparse.Namespace, folder: str) -> list[dict[str, Any]]:
    """Seed by seed: how many of 10,000 drawn pictures the classifier is sure of, and which digits they are."""
    judge = bundles.open(classifier(args, folder))
    rows = []
    for seed in range(args.first, args.first + args.seeds):
        model = args.model[0] if args.model else "r3gan"
        bundle, row = trained(DIGITS, f"{folder}/digits-{model}-{seed}", args.minutes, seed, model, ["classes=no", *args.settings])
        sure, names = judged(bundle, judge, seed)
        shares = {name: count / COUNT for name, count in sorted(Counter(names).items())}
        row |= {
            "sure": sure,
            f"sure at truncation {NEARER}": judged(bundle, judge, seed, NEARER)[0],
            "least": min(shares.values()),
            "most": max(shares.values()),
            "kinds": len(shares),
            "shares": str(shares),
        }
        rows.append(row)
        print(row, flush=True)
    return rows


def judged(bundle: Bundle, judge: Bundle, seed: int, truncation: float = 1.0) -> tuple[float, list[str]]:
    """The share of drawn pictures with a probability of at least `SURE`, and the class that each is taken for."""
    rows = rows_of(bundle.task, bundle.net, seed, COUNT, truncation=truncation)
    made = stacked(drawn(by(bundle.pipeline()), bundle.task, rows))
    pipeline, sure, names = judge.pipeline(), 0, []
    with torch.inference_mode():
        for some in made.split(256):
            frames = torch.from_numpy(np.stack([judge.views.frame(picture) for picture in some.numpy()]))
            found = pipeline(frames)["probabilities"]
            sure += int((found.amax(1) >= SURE).sum())
            names += [judge.names[place] for place in found.argmax(1).tolist()]
    return sure / len(made), names


def every_way(args: argparse.Namespace, folder: str) -> list[dict[str, Any]]:
    """One equal budget for each network, one yardstick."""
    eyes = classifier(args, folder)
    rows = []
    for model in args.model or MODELS:
        settings = ["classes=no", f"features={eyes}", *args.settings]
        bundle, row = trained(DIGITS, f"{folder}/beside-{model}", args.minutes, args.first, model, settings)
        rows.append(row | measured(bundle, held(bundle, DIGITS)))
        print(rows[-1], flush=True)
    return rows


def held(bundle: Bundle, archive: str) -> tuple[Dataset, Dataset]:
    """The part of a set that no run learned from, and what it learned from."""
    whole = posed(open_data(HOME / archive), bundle.task.poses, bundle.task.settings)
    whole = split(whole, bundle.recipe.seed, val=bundle.recipe.val, test=bundle.recipe.test)
    return whole.part("test"), whole.part("train")


def measured(bundle: Bundle, parts: tuple[Dataset, Dataset], samplings: int = SAMPLINGS) -> dict[str, Any]:
    """Every metric, its mean and 95 % interval over sampling seeds."""
    from omma.progress import Watch

    values: dict[str, list[float]] = {}
    for seed in range(samplings):
        true, said = beside(bundle, parts[0], parts[1], Watch(), seed=seed)
        truths = [true.samples[place].truth for place in said.places]
        for key, metric in bundle.task.metrics().items():
            found = metric.summary(metric.records(said.answers, truths), np.ones(len(truths), np.float32))  # type: ignore[arg-type]
            values.setdefault(key, []).append(found)
    row: dict[str, Any] = {"pictures": len(said.places)}
    for key, found in values.items():
        reach = student(len(found) - 1) * statistics.stdev(found) / len(found) ** 0.5
        mean = statistics.mean(found)
        row[key] = f"{mean:.4f} [{mean - reach:.4f}, {mean + reach:.4f}]"
    return row | {"features": str(bundle.task.metrics()["kid"].protocol.get("features"))}


def faces(args: argparse.Namespace, folder: str) -> list[dict[str, Any]]:
    """Faces of 64 pixels: KID, and whether a drawn one lies nearer to a training face than the faces of two people lie to each other."""
    model = args.model[0] if args.model else "r3gan"
    out = f"{folder}/faces-{model}"
    bundle, row = trained(FACES, out, args.minutes, args.first, model, ["classes=no", "size=64", "fit=squash", *args.settings])
    parts = held(bundle, FACES)
    by_person = split(posed(open_data(HOME / FACES), bundle.task.poses, {"classes": "yes"}), bundle.recipe.seed)
    row |= measured(bundle, parts)
    made = drawn(by(bundle.pipeline()), bundle.task, rows_of(bundle.task, bundle.net, 7, 1000))
    row |= {"nearest of 1,000": nearest_of(made, parts[1], bundle), "two people": closest_pair(by_person.part("train"), bundle.views)}
    print(row, flush=True)
    return [row]


def nearest_of(made: list[Any], learned: Dataset, bundle: Bundle) -> float:
    """How near the nearest of drawn pictures lies to one that was learned from, mirrored ones too."""
    from omma.data.frames import Frames
    from omma.report.drawings import nearest, small

    frames = Frames(learned, bundle.views)
    known, own = small(frames.get(torch.tensor(frames.usable))), stacked(made)
    return min(float(nearest(small(one), known)[0].min()) for one in (own, own.flip(2)))


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("row", choices=["digits", "beside", "faces"])
    words.add_argument("--minutes", type=float, default=10)
    words.add_argument("--seeds", type=int, default=1)
    words.add_argument("--first", type=int, default=0)
    words.add_argument("--model", action="append", default=[], choices=MODELS)
    words.add_argument("--eyes", help="the run of a classifier of digits")
    words.add_argument("--keep", help="a folder for the runs")
    words.add_argument("settings", nargs="*")
    args = words.parse_intermixed_args()
    work = {"digits": digits, "beside": every_way, "faces": faces}[args.row]
    with tempfile.TemporaryDirectory() as folder:
        rows = work(args, args.keep or folder)
    report(f"generate_{args.row}", rows, **vars(args))


if __name__ == "__main__":
    begin(main)

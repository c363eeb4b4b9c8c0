"""Where things are, from scratch, on real sets: scores on a part that chose nothing, in given minutes on this machine.

    OMMA_MIRROR=FOLDER python benchmarks/where.py bccd|raccoon|dsb|camvid|ph2|drive [--minutes 20] [--seeds 1] [--beside MODEL] [k=v …]

FOLDER holds the archives. The reported part is: BCCD and CamVid, their validation part; raccoon, omma's own split of seed 0; DSB2018, a
fifth of each kind of picture; PH² and DRIVE, every picture once, by folds (minutes are those of one fold). What chooses (best step,
threshold) is a part of the rest. Minutes run from the command's start to the bundle. What stands `--beside` is trained as it is planned for
that network, in the same minutes; the settings are ours.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from _table import begin, report

from omma.answers.mask import VOID, Mask
from omma.data.decode import decode, to_rgb8
from omma.data.sample import Dataset, Sample
from omma.data.split import split
from omma.formats import coco, masks
from omma.formats.format import open_data
from omma.progress import Watch

HOME = Path(os.environ.get("OMMA_MIRROR", "."))
# set → (archive, the scores asked for, folds)
SETS: dict[str, tuple[str, tuple[str, ...], int | None]] = {
    "bccd": ("bccd.zip", ("AP50", "mAP"), None),
    "raccoon": ("raccoon.zip", ("AP50", "mAP"), None),
    "dsb": ("dsb2018-nuclei.zip", ("AP_nuclei_50", "AP_nuclei", "PQ"), None),
    "camvid": ("camvid.zip", ("mIoU", "pixel_accuracy"), None),
    "ph2": ("ph2-skin-lesions.zip", ("dice", "mIoU"), 5),
    "drive": ("drive-train.zip", ("dice", "pixel_auc"), 4),
}
# bfloat16 halves a step where the processor multiplies it (avx512_bf16, amx); elsewhere it is slower: say precision=float32.
# What was chosen on parts of the training parts that were held out (of PH² and DRIVE, which are scored whole by folds, on a fifth that is
# scored later, too); settings of the command line come after.
CHOSEN = {
    "bccd": ["fit=squash", "quarter=yes"],
    "dsb": ["model=star", "turn=true", "fit=windows", "size=256", "balance=pictures", "precision=bfloat16"],
    "camvid": ["model=unet", "size=384", "fit=squash", "batch=8", "widths=16-32-64-128-256"],
    "ph2": ["model=unet-small", "stride=2", "size=192", "batch=8", "fit=squash"],
    "drive": ["model=unet-small", "stride=1", "fit=windows", "size=320", "batch=4"],
}


def reported(dataset: Dataset) -> Dataset:
    """The validation part becomes the part that is reported; what chooses will come out of training."""
    return replace(dataset, samples=[replace(s, split="test" if s.split == "val" else s.split) for s in dataset.samples])


def by_kind(dataset: Dataset) -> Dataset:
    """A fifth of each kind of picture is reported: every fifth of those sorted by their number of nuclei."""
    with (Path(dataset.root) / "index.csv").open(encoding="utf-8") as file:
        kinds = {row["id"]: row["kind"] for row in csv.DictReader(file)}
    samples, order = list(dataset.samples), np.random.default_rng(0).permutation(len(dataset))
    for kind in sorted(set(kinds.values())):
        mine = [i for i in order if kinds[Path(samples[i].id).stem] == kind]
        mine.sort(key=lambda i: len(samples[i].truth or ()))
        for place, i in enumerate(mine):
            samples[i] = replace(samples[i], split="test" if place % 5 == 2 else "train")
    return replace(dataset, samples=samples)


def inside_the_view(archive: Path, folder: Path) -> Dataset:
    """DRIVE: vessels against ground, nothing asked outside the field of view."""
    from omma.data.store.archive import unpack

    root = unpack(archive, folder)
    first = next(root.rglob("images")).parent
    samples = []
    for path in sorted((first / "images").iterdir()):
        pictures = {}
        for part in ("vessels", "fov"):
            file = next(file for file in sorted((first / part).iterdir()) if file.stem.split("_")[0] == path.stem.split("_")[0])
            pictures[part] = to_rgb8(decode(file))[..., 0] > 127
        pixels = np.where(pictures["fov"], pictures["vessels"].astype(np.uint8), VOID)
        samples.append(Sample(path.name, path, truth=Mask.of(pixels, ["background", "vessel"])))
    return Dataset(samples, ["background", "vessel"], "segment", first, "masks")


def prepared(name: str, folder: Path) -> str:
    """A path that `train` takes."""
    archive = HOME / SETS[name][0]
    write: Callable = masks.write if name in ("camvid", "drive") else coco.write
    if name == "drive":
        dataset = inside_the_view(archive, folder / "unpacked")
    elif name in ("bccd", "camvid"):
        dataset = reported(open_data(archive))
    elif name == "dsb":
        dataset = by_kind(open_data(archive))
    else:
        return str(archive)
    target = folder / name
    write(dataset, target, Watch())
    return str(target)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("set", choices=list(SETS))
    words.add_argument("--minutes", type=float, default=20)
    words.add_argument("--seeds", type=int, default=1)
    words.add_argument("--first", type=int, default=0)
    words.add_argument("--keep", help="a folder for the runs")
    words.add_argument("--beside", action="append", default=[], help="another network that gets the same minutes; may be repeated")
    words.add_argument("settings", nargs="*")
    args = words.parse_intermixed_args()
    from omma.verbs.evaluate import evaluate
    from omma.verbs.train import train

    _, wanted, folds = SETS[args.set]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = prepared(args.set, Path(folder))
        print("split", split(open_data(data), 0, val=0.1).digest()[:16], flush=True)
        asked = [CHOSEN.get(args.set, []) + args.settings, *([f"model={name}"] for name in args.beside)]
        for seed, settings in itertools.product(range(args.first, args.first + args.seeds), asked):
            began = time.monotonic()
            seconds = args.minutes * 60 * ((folds or 0) + 1)
            out = f"{args.keep or folder}/{args.set}-{seed}-{asked.index(settings)}"
            told = train(data, *settings, seed=seed, folds=folds, budget=f"{seconds:.0f}s", out=out)
            row = {"set": args.set, "asked": " ".join(settings), "seed": seed}
            row |= {"minutes": (time.monotonic() - began) / 60, "steps": told.steps}
            for key in wanted:
                score = told.scores[key]
                row[key] = f"{score['value']:.4f} [{score['low']:.4f}, {score['high']:.4f}]"
            if args.set in ("bccd", "camvid"):  # what each class has
                classes = evaluate(out, data).per_class
                row |= {name: scores[wanted[0]].value for name, scores in classes.items()}
            rows.append(row | {"value": told.scores[wanted[0]]["value"]})
            print(rows[-1], flush=True)
    for settings in asked:
        values = [row["value"] for row in rows if row.get("asked") == " ".join(settings)]
        mean = f"{statistics.mean(values):.4f} ± {statistics.pstdev(values):.4f}"
        rows.append({"set": args.set, "asked": " ".join(settings), "seed": "mean ± sd", wanted[0]: mean})
    report(f"where_{args.set}", rows, **vars(args))


if __name__ == "__main__":
    begin(main)

"""Restoration from scratch on the BSD400 crops alone: decibels on Set5 and Set12 beside the published figures, in given minutes.

    OMMA_MIRROR=FOLDER python benchmarks/restore.py denoise|x2|x3|x4|deblur|jpeg [--minutes 60] [--seeds 1] [--keep DIR] [k=v …]
    OMMA_MIRROR=FOLDER python benchmarks/restore.py weights          # published weights, loaded from FOLDER/weights
    OMMA_MIRROR=FOLDER python benchmarks/restore.py window RUN       # a 4000 × 3000 photograph through RUN: memory, and equal to the whole

FOLDER holds `restoration-benchmarks.zip`. A twentieth of the crops is held out and chooses the best step; the sets of the literature are
looked at once, at the end. Noise is float, neither clipped nor rounded; answers are rounded to 8 bits before they are measured.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _table import begin, report

from omma import bundle as bundles
from omma.data.own.given import posed
from omma.data.sample import Dataset
from omma.data.store.archive import unpack
from omma.formats.format import open_data
from omma.progress import Watch

HOME = Path(os.environ.get("OMMA_MIRROR", "."))
ARCHIVE = "restoration-benchmarks.zip"
# row → (what is done to good pictures, the sets it is measured on, what others published there)
ROWS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "denoise": ("noise:25", ("Set12",), "BM3D 29.97, DnCNN (556 K) 30.43"),
    "x2": ("reduce:2", ("Set5",), "SRCNN 36.66, FSRCNN 36.94"),
    "x3": ("reduce:3", ("Set5",), "SRCNN 32.75, FSRCNN 33.06"),
    "x4": ("reduce:4", ("Set5",), "SRCNN 30.49, FSRCNN 30.55"),
    "deblur": ("blur:1.6", ("Set5", "Set14"), ""),
    "jpeg": ("jpeg:10", ("Set5", "Set14"), "on Classic5, which is not here: ARCNN 29.03, DnCNN-3 29.40"),
}
GREY = ("deblur", "jpeg")  # measured on luma, as it was published


def unpacked(folder: Path) -> Path:
    """The archive's folders."""
    return unpack(HOME / ARCHIVE, folder / "unpacked")


def crops(root: Path) -> Dataset:
    """The crops of BSD400, every twentieth held out."""
    data = open_data(root / "BSD400-train-gray180", "folders")
    return replace(data, samples=[replace(s, split="val" if place % 20 == 7 else "train") for place, s in enumerate(data.samples)])


def parts(root: Path, folder: Path) -> Path:
    """The crops below `train` and `val`, for the command line's reader."""
    target = folder / "crops"
    for sample in crops(root).samples:
        assert sample.path is not None
        place = target / str(sample.split) / sample.path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(sample.path.read_bytes())
    return target


def measured(run: str, pictures: Path, grey: bool, ensemble: str = "no") -> dict[str, Any]:
    """Scores of a run on a set of the literature, with or without the mean over eight ways to turn a picture."""
    from omma.report.evaluation import evaluate_bundle

    bundle = bundles.open(run)
    bundle.task.settings["ensemble"] = ensemble
    data = open_data(pictures, "folders")
    if grey:
        data = on_luma(data)
    found = evaluate_bundle(bundle, posed(data, bundle.task.poses, bundle.task.settings), "all", Watch())
    return dict(found.scores.items()) | {"protocol": found.scores["psnr"].protocol}


def on_luma(data: Dataset) -> Dataset:
    """The same pictures as the luma of BT.601, whole numbers."""
    import torch

    from omma.data.decode import decode
    from omma.parts.colour import luma

    planes = []
    for sample in data.samples:
        assert sample.path is not None
        pixels = decode(sample.path)
        colour = torch.from_numpy(np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels[..., :3]).permute(2, 0, 1).float()
        planes.append(luma(colour).round().to(torch.uint8).permute(1, 2, 0).numpy())
    samples = [replace(sample, path=None, row=place) for place, sample in enumerate(data.samples)]
    return replace(data, samples=samples, pixels=planes)


def rows_of(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Train and measure, seed by seed."""
    from omma.verbs.train import train

    degrade, sets, published = ROWS[args.row]
    root = unpacked(folder)
    data = parts(root, folder)
    rows = []
    for seed in range(args.first, args.first + args.seeds):
        began = time.monotonic()
        out = f"{args.keep or folder}/{args.row}-{seed}"
        words = [f"degrade={degrade}", "test=0", *args.settings]
        told = train(str(data), *words, task="restore", seed=seed, budget=f"{args.minutes * 60:.0f}s", out=out)
        row: dict[str, Any] = {"row": args.row, "seed": seed, "minutes": (time.monotonic() - began) / 60, "steps": told.steps}
        row["parameters"] = bundles.open(out).card["weights"]["parameters"]
        for name in sets:
            scores = measured(out, root / name, args.row in GREY)
            row |= {f"{name} {key}": str(scores[key]) for key in ("psnr", "ssim", "gain")} | {"value": scores["psnr"].value}
            row["protocol"] = str(scores["protocol"])
            row[f"{name} psnr, eight ways"] = str(measured(out, root / name, args.row in GREY, "yes")["psnr"])
        rows.append(row | {"published": published})
        print(rows[-1], flush=True)
    values = [row["value"] for row in rows]
    return [*rows, {"row": args.row, "seed": "mean ± sd", "value": f"{statistics.mean(values):.3f} ± {statistics.pstdev(values):.3f}"}]


def weights(folder: Path) -> list[dict[str, Any]]:
    """DnCNN on the seven pictures of Set12 with 256 pixels, SRGAN ×4 on Set5 in RGB."""
    from omma.bundle import Bundle
    from omma.data.views import Views
    from omma.models.making import build
    from omma.report.evaluation import evaluate_bundle
    from omma.tasks.restore import Restore

    root = unpacked(folder)
    rows = []
    cases: list[tuple[str, str, dict[str, Any], dict[str, Any], int, float]] = [
        ("dncnn-gray-sigma25", "dncnn", {"norm": "none"}, {"degrade": "noise:25"}, 1, 30.37),
        ("srgan-x4-generator", "srresnet", SRGAN, {"degrade": "reduce:4", "channel": "RGB", "border": 0}, 3, 28.70),
    ]
    for file, model, settings, asked, channels, stated in cases:
        task = Restore(["picture"], **asked)
        net = build(model, channels=channels, size=64, outputs=1, pretrained=str(HOME / "weights" / f"{file}.safetensors"), **settings)
        bundle = Bundle(task, {"net": net.eval()}, Views(64, channels, "own", (0.0,), (1.0,), overlap=64), {}, {"model": model})
        data = open_data(root / ("Set12" if channels == 1 else "Set5"), "folders")
        if channels == 1:
            data = data.choose([place for place in range(len(data)) if data.extent(place) == (256, 256)])
        score = evaluate_bundle(bundle, posed(data, task.poses, task.settings), "all").scores["psnr"]
        rows.append({"weights": file, "pictures": score.n, "psnr": score.value, "stated": stated, "protocol": str(score.protocol)})
    return rows


SRGAN: dict[str, Any] = {"scale": 4, "blocks": 5, "end": "tanh"}


def window(run: str) -> list[dict[str, Any]]:
    """A made photograph of 4000 × 3000 through `predict`, and a part of it that straddles tiles against the whole at once."""
    import torch

    from omma.engine.painting.tiles import painted

    bundle = bundles.open(run)
    draw = np.random.default_rng(0)
    small = draw.integers(0, 256, (60, 80, 3), np.uint8)
    from PIL import Image

    photograph = np.asarray(Image.fromarray(small).resize((4000, 3000), Image.Resampling.BICUBIC))
    pipeline = bundle.pipeline()

    def ask(part: np.ndarray) -> dict[str, Any]:
        with torch.inference_mode():
            return pipeline(torch.from_numpy(part))

    began = time.monotonic()
    found = painted(ask, bundle.task, bundle.views, photograph)
    seconds, peak = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    piece = np.ascontiguousarray(photograph[:1400, :1400])
    tiled, whole = painted(ask, bundle.task, bundle.views, piece), painted(ask, bundle.task, bundle.views, piece, tile=4096)
    off = int(np.abs(tiled.pixels.astype(int) - whole.pixels.astype(int)).max())
    return [
        {"given": "4000 × 3000", "made": f"{found.pixels.shape[1]} × {found.pixels.shape[0]}", "seconds": seconds, "GB": peak, "off": off}
    ]


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("row", choices=[*ROWS, "weights", "window"])
    words.add_argument("run", nargs="?", help="of `window`")
    words.add_argument("--minutes", type=float, default=60)
    words.add_argument("--seeds", type=int, default=1)
    words.add_argument("--first", type=int, default=0)
    words.add_argument("--keep", help="a folder for the runs")
    words.add_argument("settings", nargs="*")
    args = words.parse_intermixed_args()
    if args.run and "=" in args.run:
        args.settings, args.run = [args.run, *args.settings], None
    with tempfile.TemporaryDirectory() as folder:
        if args.row == "window":
            found = window(args.run)
        else:
            found = weights(Path(folder)) if args.row == "weights" else rows_of(args, Path(folder))
    report(f"restore_{args.row}", found, **vars(args))


if __name__ == "__main__":
    begin(main)

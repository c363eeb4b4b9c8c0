"""`omma predict` on a folder of 640×480 JPEGs against a hand-written loop of decode + resize + raw onnxruntime over the same files.

    python benchmarks/predict.py [--pictures 200] [--rounds 3] [--models torchvision/resnet18,torchvision/mobilenet_v3_small]

Every side is a process of its own that waits while another works; they take turns. The hand-written loop runs the very graph omma keeps,
with onnxruntime's own settings. omma chooses its runtime itself (once, before the clock; the seconds are told), beside it eager PyTorch.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

OUT = Path(__file__).parent / "out" / "predict.json"
PHOTOS = ("bccd.zip",)  # of 640 × 480, in OMMA_MIRROR or ../shared/datasets
SIDES = ("hand", "omma", "eager")


def photographs(folder: Path, count: int) -> str:
    """`count` JPEGs of 640 × 480: real ones where they are at hand, else shades with noise; returns which."""
    folder.mkdir(parents=True)
    for root in (os.environ.get("OMMA_MIRROR", ""), Path(__file__).parents[2] / "shared" / "datasets"):
        for name in PHOTOS:
            if root and (Path(root) / name).is_file():
                with zipfile.ZipFile(Path(root) / name) as archive:
                    names = sorted(n for n in archive.namelist() if n.endswith(".jpg"))
                    for place in range(count):
                        (folder / f"{place:04}.jpg").write_bytes(archive.read(names[place % len(names)]))
                return name
    from PIL import Image

    draw = np.random.default_rng(0)
    for place in range(count):
        coarse = draw.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        picture = np.asarray(Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC)).astype(np.int16)
        grain = draw.normal(0, 6, picture.shape)
        Image.fromarray((picture + grain).clip(0, 255).astype(np.uint8)).save(folder / f"{place:04}.jpg", quality=90)
    return "shades with noise"


def make(model: str, where: Path) -> None:
    """A bundle with drawn weights, 224 px, 1000 classes."""
    import torch

    from omma.bundle import Bundle
    from omma.data.views import Views
    from omma.models.making import build
    from omma.tasks.classify import Classify

    torch.manual_seed(0)
    task = Classify([f"c{n}" for n in range(1000)])
    net = build(model, channels=3, size=224, outputs=1000).eval()
    views = Views(224, 3, "squash", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    Bundle(task, task.nets(net), views, {"temperature": 1.0, "threshold": 0.0}, {"task": "classify", "model": model}).save(where)


def hand(bundle: Path, files: list[str], batch: int):
    """What one writes without omma; the same graph, so only the way round it differs."""
    import onnxruntime
    import simplejpeg
    from PIL import Image

    from omma.bundle import open as opened
    from omma.runtimes._graphs import graph_of

    graph = graph_of(opened(bundle))
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])

    def load(file: str) -> np.ndarray:
        with open(file, "rb") as stream:
            picture = simplejpeg.decode_jpeg(stream.read(), "RGB")
        return np.asarray(Image.fromarray(picture).resize((224, 224), Image.Resampling.BILINEAR))

    def run() -> list[int]:
        labels: list[int] = []
        for start in range(0, len(files), batch):
            frames = np.stack([load(file) for file in files[start : start + batch]])
            labels += session.run(None, {"frames": frames})[0].argmax(1).tolist()
        return labels

    return run, "onnxruntime"


def ours(bundle: Path, files: list[str], batch: int, runtime: str | None):
    """`omma predict`, from opened bundle to the last row; opening and choosing is what a command does once."""
    import omma
    from omma.runtimes import choose

    opened = omma.open(bundle)
    if runtime is None:
        runtime = choose.fastest(opened, lanes=2).name
    # Opening is done once: the loop by hand has its session open, too.
    from omma import bundle as bundles

    bundles.open = lambda *_: opened

    def run() -> list[int]:
        return [int(row["label"][1:]) for row in omma.predict(bundle, *files, batch=batch, runtime=runtime)]

    return run, runtime


def worker(side: str, bundle: str, folder: str, batch: int) -> None:
    """Get ready, then one pass for each line on stdin: seconds and a checksum of the labels."""
    files = sorted(str(file) for file in Path(folder).glob("*.jpg"))
    began = time.perf_counter()
    run, name = (
        hand(Path(bundle), files, batch) if side == "hand" else ours(Path(bundle), files, batch, "eager" if side == "eager" else None)
    )
    ready = time.perf_counter() - began
    run()
    print(json.dumps({"runtime": name, "ready": ready}), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        labels = run()
        print(json.dumps({"seconds": time.perf_counter() - began, "labels": labels}), flush=True)


def turns(bundle: Path, folder: Path, batch: int, rounds: int, count: int) -> dict:
    """All sides, one after the other, `rounds` times."""
    words = [sys.executable, __file__, "--worker"]
    sides = {}
    for side in SIDES:  # one gets ready after the other
        child = subprocess.Popen(
            [*words, side, str(bundle), str(folder), str(batch)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        sides[side] = (child, json.loads(child.stdout.readline()))
    rates: dict[str, list[float]] = {side: [] for side in SIDES}
    labels = {}
    for _ in range(rounds):
        for side, (child, _about) in sides.items():
            child.stdin.write("go\n")
            child.stdin.flush()
            answer = json.loads(child.stdout.readline())
            rates[side].append(count / answer["seconds"])
            labels[side] = answer["labels"]
    for child, _about in sides.values():
        child.stdin.close()
        child.wait()
    alike = float(np.mean(np.array(labels["omma"]) == np.array(labels["eager"])))
    ratio = statistics.median(a / b for a, b in zip(rates["omma"], rates["hand"], strict=True))
    return {
        "batch": batch, "rates": {side: round(statistics.median(r), 1) for side, r in rates.items()}, "ratio": round(ratio, 3),
        "runtime": sides["omma"][1]["runtime"], "ready": {side: round(about["ready"], 1) for side, (_, about) in sides.items()},
        "same_labels_as_eager": alike,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", default="torchvision/resnet18,torchvision/mobilenet_v3_small")
    parser.add_argument("--worker", nargs=4, metavar=("SIDE", "BUNDLE", "FOLDER", "BATCH"))
    told = parser.parse_args()
    if told.worker:
        worker(told.worker[0], told.worker[1], told.worker[2], int(told.worker[3]))
        return
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["OMMA_HOME"] = str(Path(scratch) / "home")
        folder = Path(scratch) / "photos"
        photos = photographs(folder, told.pictures)
        rows = []
        print(
            f"{told.pictures} JPEGs of 640 × 480 ({photos}), pictures a second, median of {told.rounds}, {os.cpu_count()} cores", flush=True
        )
        print(f"{'model':<32}{'batch':>6}{'hand':>9}{'omma':>9}{'eager':>9}{'omma/hand':>11}  runtime", flush=True)
        for model in told.models.split(","):
            bundle = Path(scratch) / model.replace("/", "-")
            make(model, bundle)
            for batch in (1, 16):
                row = {"model": model, **turns(bundle, folder, batch, told.rounds, told.pictures)}
                rows.append(row)
                rates = "".join(f"{row['rates'][side]:>9.1f}" for side in SIDES)
                print(f"{model:<32}{batch:>6}{rates}{row['ratio']:>11.2f}  {row['runtime']}", flush=True)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"pictures": told.pictures, "photos": photos, "cores": os.cpu_count(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()

"""Style, learned from photographs of flowers alone: Johnson's losses beside those of Gatys, and seconds for 512 × 512.

    OMMA_MIRROR=FOLDER python benchmarks/style.py losses [--minutes 30] [--steps 500] [--pictures 10] [--side 256] [--keep DIR] [k=v …]
    python benchmarks/style.py seconds [--threads 2]

FOLDER holds `flowers5.zip`. The painting is drawn here: strokes along a whirling field in a few colours. Both are measured by the losses
they made small, content and style as the settings weigh them, seen through the same encoder; and by the scores of an encoder held out.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _table import begin, report
from PIL import Image, ImageDraw

HOME = Path(os.environ.get("OMMA_MIRROR", "."))
ARCHIVE = "flowers5.zip"
PALETTE = ((16, 32, 92), (28, 70, 150), (66, 128, 190), (150, 190, 210), (240, 200, 60), (225, 140, 30), (20, 20, 40), (245, 235, 180))


def painted(side: int = 512, seed: int = 0) -> Image.Image:
    """Strokes of some width and length along a whirling field, thousands of them, one over the other."""
    draw = np.random.default_rng(seed)
    canvas = Image.new("RGB", (side, side), PALETTE[1])
    pen = ImageDraw.Draw(canvas)
    centres = draw.uniform(0, side, (5, 2))
    for _ in range(side * 6):
        x, y = draw.uniform(0, side, 2)
        near = int(np.hypot(*(centres - (x, y)).T).argmin())
        away = np.array([x, y]) - centres[near]
        ring = int(np.hypot(*away) / (side / 20))
        colour = np.array(PALETTE[(ring * 3 + near + int(draw.integers(0, 2))) % len(PALETTE)]) + draw.normal(0, 12, 3)
        angle = np.arctan2(away[1], away[0]) + np.pi / 2 + draw.normal(0, 0.2)
        half = draw.uniform(0.5, 1.0) * side / 22 * np.array([np.cos(angle), np.sin(angle)])
        pen.line([x - half[0], y - half[1], x + half[0], y + half[1]], tuple(map(int, colour.clip(0, 255))), max(2, side // 48))
    return canvas


def photographs(folder: Path, count: int) -> tuple[Path, list[Path]]:
    """A folder to learn from, and `count` pictures that are not in it."""
    from omma.data.decode import find_pictures
    from omma.data.store.archive import unpack

    files = find_pictures(unpack(HOME / ARCHIVE, folder / "unpacked"))
    held = files[:: len(files) // count][:count]
    there = folder / "photographs"
    there.mkdir()
    for file in files:
        if file not in held:
            (there / f"{file.parent.name}-{file.name}").write_bytes(file.read_bytes())
    return there, held


def part(file: Path, side: int) -> np.ndarray:
    """(side, side, 3) uint8: the middle of a picture, its shorter side brought to `side` pixels."""
    from omma.tasks.stylize import painting

    return painting(file, side).permute(1, 2, 0).numpy()


def losses(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Learn, then compare picture by picture with optimising each."""
    import torch

    from omma import bundle as bundles
    from omma.answers.picture import Picture
    from omma.models.making import build
    from omma.parts.style import coarser, from_content, from_style, told_content
    from omma.verbs.train import train

    there, held = photographs(folder, args.pictures)
    style = folder / "painting.png"
    painted().save(style)
    out = Path(args.keep or folder) / "johnson"
    began = time.monotonic()
    told = train(
        str(there), f"style={style}", "test=0", "val=0.02", *args.settings, task="stylize", budget=f"{args.minutes * 60:.0f}s", out=str(out)
    )
    minutes = (time.monotonic() - began) / 60
    bundle = bundles.open(out)
    task, net = bundle.task, bundle.net
    judges = task.metrics()
    own = build("gatys", channels=3, size=128, outputs=1, steps=args.steps, painting=net.paintings.shape[2])
    task.furnish(own)
    rows = []
    for file in held:
        pixels = part(file, args.side)
        picture = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
        wanted = coarser(own.eyes.maps(picture))
        row: dict[str, Any] = {"picture": file.name[:12]}
        for name, who in (("johnson", net), ("gatys", own)):
            began = time.monotonic()
            with torch.inference_mode():
                made = who(picture).clamp(0, 1)
            row[f"{name} s"] = time.monotonic() - began
            made, content, style_weight = made.clone(), float(own.balance[0]), float(own.balance[1])
            with torch.no_grad():
                seen = coarser(own.eyes.maps(made))
                near = float(from_content(told_content(seen), told_content(wanted)))
                alike = float(from_style(seen, own.texture(own.eyes).mixed(own.mix[None])))
            row |= {f"{name} content": near, f"{name} style": alike, f"{name} sum": content * near + style_weight * alike}
            answer, truth = Picture.of(made[0].permute(1, 2, 0).numpy()), Picture.of(pixels)
            row |= {f"{name} {key}*": float(metric.records([answer], [truth])["value"][0]) for key, metric in judges.items()}
            if args.keep:
                Image.fromarray(np.concatenate([pixels, answer.deep(8)], 1)).save(Path(args.keep) / f"{file.stem}-{name}.png")
        rows.append(row)
        print(row, flush=True)
    mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key != "picture"}
    ratio = mean["johnson sum"] / mean["gatys sum"]
    return [*rows, {"picture": "mean"} | mean | {"ratio": ratio, "steps learned": told.steps, "minutes": minutes}]


def seconds(threads: int) -> list[dict[str, Any]]:
    """Median seconds of one picture of 512 × 512 through networks with drawn weights."""
    import torch

    from omma.models.making import build

    torch.set_num_threads(threads)
    rows = []
    picture = torch.rand(1, 3, 512, 512)
    kinds: list[tuple[str, str, dict[str, Any]]] = [
        ("johnson-half", "johnson-half", {}), ("johnson", "johnson", {}), ("adain, its own encoder", "adain", {}),
        ("adain, VGG-16", "adain", {"looks": "torchvision/vgg16"}),
    ]  # fmt: skip
    for name, model, settings in kinds:
        torch.manual_seed(0)
        net = build(model, channels=3, size=128, outputs=1, **settings).eval().to(memory_format=torch.channels_last)
        took = []
        with torch.inference_mode():
            for _ in range(5):
                began = time.monotonic()
                net(picture)
                took.append(time.monotonic() - began)
        count = sum(p.numel() for p in net.parameters()) / 1e6
        rows.append({"network": name, "weights": f"{count:.2f} M", "threads": threads, "seconds": sorted(took[1:])[1]})
    return rows


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("row", choices=["losses", "seconds"])
    words.add_argument("--minutes", type=float, default=30)
    words.add_argument("--steps", type=int, default=500)
    words.add_argument("--pictures", type=int, default=10)
    words.add_argument("--side", type=int, default=256)
    words.add_argument("--threads", type=int, default=2)
    words.add_argument("--keep", help="a folder for the run and the pictures")
    words.add_argument("settings", nargs="*")
    args = words.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as folder:
        found = seconds(args.threads) if args.row == "seconds" else losses(args, Path(folder))
    report(f"style_{args.row}", found, **vars(args))


if __name__ == "__main__":
    begin(main)

"""One network of every family on CIFAR-10, from nothing, in equal time on this machine: accuracy with its interval, and what it costs.

    OMMA_MIRROR=FOLDER python benchmarks/leaderboard.py [--seconds 600] [--seeds 1] [--only NAME …] [--out FOLDER] [--set k=v …]

Every network is trained as `omma train` plans it for that network; nothing is chosen for one of them. Time runs from the command's start to
the bundle, so a network that takes long for a step takes few. What is finished lies in --out and is not done again: the command goes on
where it was stopped. `leaderboard.md` (a table) and `leaderboard.svg` (accuracy over multiply-adds) are written there; `--publish` puts
them where the pages of the leaderboard and of the gallery are written from.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

from _table import begin, machine, report

# The smallest of each family that learns CIFAR-10 at 32 × 32 (those of the libraries at the size they can take).
FAMILIES: dict[str, list[str]] = {
    "pixels": [], "hog": ["loss=hinge"], "sift-words": ["loss=hinge"],
    "lenet": [], "keras-same": [], "quick-narrow": [], "quick": [], "nin": [], "resnet20": [], "se-resnet20": [],
    "densenet-bc-100": [], "shufflenet-v1": [], "shufflenet-v2": [], "vit-lite": [], "rcnn": [], "convlstm": [], "stn": [],
    "c3d": [], "c3d-small": [], "darknet19-small": [], "encoder": [], "dann": [],
    "torchvision/alexnet": ["size=64"], "torchvision/vgg11_bn": [], "torchvision/googlenet": [], "torchvision/inception_v3": ["size=75"],
    "torchvision/resnet18": [], "torchvision/densenet121": [], "torchvision/squeezenet1_1": [], "torchvision/mobilenet_v2": [],
    "torchvision/mobilenet_v3_small": [], "torchvision/mnasnet0_5": [], "torchvision/efficientnet_b0": [], "torchvision/regnet_y_400mf": [],
    "torchvision/convnext_tiny": [], "torchvision/vit_b_32": [], "torchvision/swin_t": [], "torchvision/efficientnet_v2_s": [],
    "torchvision/r3d_18": [], "timm/seresnet18": [], "timm/poolformer_s12": [], "timm/deit_tiny_patch16_224": [],
    "timm/maxvit_rmlp_pico_rw_256": [],
}  # fmt: skip
SIZE = 32
BESIDE = 12.0  # from a point of the picture to its name
PUBLISHED = Path(__file__).parent.parent / "docs" / "leaderboard.json"


def cost(name: str, words: list[str]) -> dict[str, Any]:
    """Parameters and multiply-adds at the size it is trained at."""
    import torch

    from omma.models.cost import cost as counted
    from omma.models.making import build

    size = next((int(word.removeprefix("size=")) for word in words if word.startswith("size=")), SIZE)
    with torch.device("meta"):
        net = build(name, channels=3, size=size, outputs=10)
    found = counted(net, 3, size)
    return {"parameters": found["parameters"], "macs": found["macs"]}


def measured(name: str, seed: int, words: list[str], args: argparse.Namespace) -> dict[str, Any]:
    """One run, or what it was when it was done before."""
    from omma.verbs.train import train

    place = args.out / f"{name.replace('/', '-')}-{args.seconds:g}s-{seed}"
    done = place.with_suffix(".json")
    if done.exists():
        return json.loads(done.read_text("utf-8"))
    tries = sum(1 for _ in args.out.glob(f"{place.name}.try*"))
    began = time.monotonic()
    told = train(args.data, *words, model=name, task="classify", seed=seed, budget=f"{args.seconds:g}s", out=f"{place}.try{tries}")
    score = told.scores["accuracy"]
    row = {"name": name, "seed": seed, "steps": told.steps, "seconds": time.monotonic() - began}
    row |= {key: score[key] for key in ("value", "low", "high", "n")}
    done.write_text(json.dumps(row), "utf-8")
    return row


def together(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The seeds of one network: the mean, and the interval of the first or the range of several."""
    values = [row["value"] for row in rows]
    low, high = (min(values), max(values)) if len(rows) > 1 else (rows[0]["low"], rows[0]["high"])
    return {"name": name, "accuracy": statistics.mean(values), "low": low, "high": high, "seeds": len(rows), "steps": rows[0]["steps"]}


def table(rows: list[dict[str, Any]], facts: dict[str, Any]) -> str:
    """The leaderboard in Markdown, the best first."""
    head = "| network | year | accuracy | interval | parameters | million multiply-adds | steps |"
    told = f"{facts['seconds']:g} seconds each, {facts['seeds']} seed(s), {facts['cores']} core(s) of {facts['cpu']}"
    lines = [" ".join(["CIFAR-10,", told, *facts["settings"]]), "", head, "|---|---|---|---|---|---|---|"]
    from omma.models.gallery import family

    for row in sorted(rows, key=lambda row: -row["accuracy"]):
        listed, macs = family(row["name"]), row["macs"]
        interval = f"{100 * row['low']:.1f} – {100 * row['high']:.1f}"
        cells = [row["name"], str(listed.year if listed else ""), f"{100 * row['accuracy']:.2f} %", interval, f"{row['parameters']:,}"]
        lines.append("| " + " | ".join([*cells, f"{macs / 1e6:.1f}" if macs else "–", f"{row['steps']:,}"]) + " |")
    return "\n".join(lines) + "\n"


def apart(wanted: list[tuple[float, float, str]], line: float = 13, letter: float = 6.3) -> list[float]:
    """Heights for words that should begin at (x, y), so that none lies over another or over a point: the nearest free one each, from the
    left on. Points lie `BESIDE` to the left of their words."""
    placed = [(x - BESIDE - 5, x - BESIDE + 5, y) for x, y, _ in wanted]
    heights = dict[int, float]()
    for place in sorted(range(len(wanted)), key=lambda i: wanted[i][0]):
        x, y, word = wanted[place]
        end = x + letter * len(word)
        tries = (y + sign * step for step in range(0, 400, 2) for sign in (1, -1))
        free = next(t for t in tries if all(x > right or end < left or abs(t - at) >= line for left, right, at in placed))
        placed.append((x, end, free))
        heights[place] = free
    return [heights[place] for place in range(len(wanted))]


def picture(rows: list[dict[str, Any]]) -> str:
    """Accuracy over multiply-adds (logarithmic) as SVG; every point has its name."""
    import math

    drawn = [row for row in rows if row["macs"]]
    wide, high, left, top = 960, 640, 60, 20
    xs = [math.log10(row["macs"]) for row in drawn]
    low, up = math.floor(min(xs)), max(math.ceil(max(xs)), math.floor(min(xs)) + 1)
    least = min(0.9, min(row["low"] for row in drawn))

    def at(row: dict[str, Any], value: float) -> tuple[float, float]:
        x = left + (math.log10(row["macs"]) - low) / (up - low) * (wide - left - 150)
        return x, top + (1 - (value - least) / (1 - least)) * (high - top - 50)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif" font-size="12">']
    parts.append(f'<rect width="{wide}" height="{high}" fill="white"/>')
    for power in range(low, up + 1):
        x = left + (power - low) / (up - low) * (wide - left - 150)
        parts.append(f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{top}" y2="{high - 50}" stroke="#ddd"/>')
        label = f"{10**power / 1e6:g} M"
        parts.append(f'<text x="{x:.0f}" y="{high - 32}" text-anchor="middle" fill="#444">{label}</text>')
    for tenth in range(math.ceil(10 * least), 11):
        y = top + (1 - (tenth / 10 - least) / (1 - least)) * (high - top - 50)
        parts.append(f'<line x1="{left}" x2="{wide - 150}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eee"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#444">{10 * tenth} %</text>')
    parts.append(f'<text x="{wide / 2:.0f}" y="{high - 10}" text-anchor="middle" fill="#222">multiply-adds a picture</text>')
    words = [f"{row['name'].rpartition('/')[2]} {100 * row['accuracy']:.1f}" for row in drawn]
    corners = [at(row, row["accuracy"]) for row in drawn]
    heights = apart([(x + BESIDE, y, word) for (x, y), word in zip(corners, words, strict=True)])
    for row, word, height in zip(drawn, words, heights, strict=True):
        (x, y), (_, bottom), (_, head) = at(row, row["accuracy"]), at(row, row["low"]), at(row, row["high"])
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{head:.1f}" y2="{bottom:.1f}" stroke="#2a6fb0"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#2a6fb0"><title>{row["name"]}: {row["accuracy"]:.4f}</title></circle>')
        parts.append(f'<line x1="{x + 4:.1f}" y1="{y:.1f}" x2="{x + BESIDE - 1:.1f}" y2="{height:.1f}" stroke="#999"/>')
        parts.append(f'<text x="{x + BESIDE:.1f}" y="{height + 4:.1f}" fill="#222">{word}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--data", default="cifar10")
    words.add_argument("--seconds", type=float, default=600)
    words.add_argument("--seeds", type=int, default=1)
    words.add_argument("--only", nargs="+", choices=FAMILIES, default=list(FAMILIES), metavar="NAME")
    words.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "leaderboard")
    words.add_argument("--set", nargs="*", default=[], metavar="k=v", help="settings for every network alike")
    words.add_argument("--publish", action="store_true", help="put the scores where the gallery page reads them")
    args = words.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in args.only:
        found = [measured(name, seed, [*FAMILIES[name], *args.set], args) for seed in range(args.seeds)]
        rows.append(together(name, found) | cost(name, FAMILIES[name]))
        print(rows[-1], flush=True)
        here = machine()
        facts = {"seconds": args.seconds, "seeds": args.seeds, "cores": here["cores"], "cpu": here["cpu"], "settings": args.set}
        (args.out / "leaderboard.md").write_text(table(rows, facts), "utf-8")
        (args.out / "leaderboard.svg").write_text(picture(rows), "utf-8")
    if args.publish:
        kept = ("accuracy", "low", "high", "parameters", "macs", "steps")
        told = facts | {"scores": {row["name"]: {key: row[key] for key in kept} for row in rows}}
        PUBLISHED.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
        (PUBLISHED.parent / "pictures" / "leaderboard.svg").write_text(picture(rows), "utf-8")
    report("leaderboard", rows, seconds=args.seconds, seeds=args.seeds)


if __name__ == "__main__":
    begin(main)

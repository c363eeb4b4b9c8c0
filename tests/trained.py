"""A small trained model and its data, made in a second: three colours as PNG files, a run folder with bundle, split and events."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from omma.answers.label import Label
from omma.bundle import Bundle, versions
from omma.data.frames import Frames
from omma.data.sample import Dataset, Sample
from omma.data.views import Views
from omma.models.making import build
from omma.recipe import Recipe
from omma.tasks.classify import Classify
from omma.tasks.task import Batch, Task

SIZE = 8
# A class name that would be a script, one in another language, a plain one.
COLOURS = {"<script>alert(1)<": (200, 40, 40), "green": (40, 200, 40), "蓝色": (40, 40, 200)}


def picture(colour, rng, noise=60.0):
    """(12, 10, 3) uint8: a colour with noise."""
    return np.clip(rng.normal(colour, noise, (12, 10, 3)), 0, 255).astype(np.uint8)


def write_photos(folder: Path, each: int = 12, lies: bool = False, names: dict | None = None) -> Path:
    """PNG files, one folder a class; with `lies` every fifth shows another class than it says."""
    rng = np.random.default_rng(0)
    colours = names or COLOURS
    for name, colour in colours.items():
        (folder / name).mkdir(parents=True)
        other = list(colours.values())[(list(colours).index(name) + 1) % len(colours)]
        for place in range(each):
            shown = other if lies and place % 5 == 4 else colour
            Image.fromarray(picture(shown, rng)).save(folder / name / f"{place:03d}.png")
    return folder


def learn(task: Task, dataset: Dataset, steps: int = 40) -> Bundle:
    """The smallest network on the training part (all of it where there is none), a plain loop."""
    torch.manual_seed(0)
    views = Views(SIZE, 3, "squash", (0.4,), (0.3,))
    net = build("keras-same", channels=3, size=SIZE, outputs=task.outputs)
    places = [i for i, s in enumerate(dataset.samples) if s.split in (None, "train")]
    pictures = views.finish(Frames(dataset, views).get(torch.tensor(places)))
    truth = task.answer.tensors([dataset.samples[i].truth for i in places], task.names)
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    net.eval()  # without dropout it needs fewer steps
    for _ in range(steps):
        optimizer.zero_grad()
        task.loss(net, Batch(pictures, truth)).backward()
        optimizer.step()
    recipe = Recipe().put("plan", task="classify", model="keras-same", size=SIZE, channels=3)
    card = {"model": "keras-same", "recipe": recipe.json(), "versions": versions(), "created": "2026-01-01T00:00:00+00:00"}
    return Bundle(task, dict(task.nets(net)), views, {}, card)


def write_run(run: Path, dataset: Dataset, where: str) -> Bundle:
    """RUN with bundle, split.csv and events.jsonl, as `train` leaves them."""
    run.mkdir(parents=True)
    bundle = learn(Classify(dataset.names), dataset)
    bundle.point = {"temperature": 1.5, "threshold": 0.4}
    bundle.card["data"] = {"where": where, "format": "folders", "digest": dataset.digest(), "how_split": "", "counts": dataset.counts()}
    bundle.save(run / "bundle")
    with (run / "split.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "split", "group"])
        rows.writerows([s.id, s.split, s.group or ""] for s in dataset.samples)
    events = [{"event": "start", "step": 0, "total": 40}]
    events += [{"event": "step", "step": step, "loss": 2.0 / step, "rate": 0.002} for step in range(1, 41)]
    events += [{"event": "eval", "step": step, "score": 0.5, "val_loss": 1.0, "val_accuracy": step / 50} for step in (20, 40)]
    events += [{"event": "verdict", "step": 40, "word": "fine", "text": {"en": "it fits <well>", "zh": "拟合良好"}}]
    (run / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in events) + '{"event": "torn', "utf-8")
    return bundle


def packed(truths: list, names: list[str], task: str, pictures: list[np.ndarray]) -> Dataset:
    """A dataset in memory."""
    samples = [Sample(f"p{i:03d}", None, i, truth) for i, truth in enumerate(truths)]
    return Dataset(samples, names, task, Path("memory"), "npz", pictures)


def parts(dataset: Dataset) -> Dataset:
    """Every fourth picture for testing, every sixth of the rest for validation."""
    for place, sample in enumerate(dataset.samples):
        sample.split = "test" if place % 4 == 0 else "val" if place % 6 == 1 else "train"
    return dataset


__all__ = ["COLOURS", "Label", "learn", "packed", "parts", "picture", "write_photos", "write_run"]

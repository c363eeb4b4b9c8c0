"""Bundles without training: a small network with drawn weights, for tests of everything that comes after learning."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from omma import catalog
from omma.bundle import Bundle
from omma.data.views import Views
from omma.models.making import build

POINTS = {
    "classify": {"temperature": 1.5, "threshold": 0.4},
    "multilabel": {"temperature": 1.2, "threshold": [0.5, 0.45, 0.55]},
    "regress": {"spread": 1.3},
}


def bundle_of(
    task: str = "classify", *, names=("cat", "dog", "鸟"), model: str = "resnet20", size: int = 16, channels: int = 3, tta: str = "none",
    fit: str = "squash", **settings,
) -> Bundle:  # fmt: skip
    """A bundle of any task; its outputs are spread over the classes, so that answers differ from picture to picture."""
    torch.manual_seed(0)
    made = catalog.find("tasks", task)(list(names), **settings)
    views = Views(size, channels, fit, (0.5,) * channels, (0.25,) * channels, tta)
    net = build(model, channels=channels, size=size, outputs=made.outputs).eval()
    calm(net, views)
    card = {"model": model, "model_settings": {}, "recipe": {}, "scores": {}, "data": {}}
    return Bundle(made, made.nets(net), views, dict(POINTS[task]), card)


def calm(net: nn.Module, views: Views) -> None:
    """Scale the head until the outputs for a few pictures are about ±1: drawn weights answer everything with certainty otherwise."""
    frames = np.stack([views.frame(picture) for picture in pictures(8)])
    with torch.no_grad():
        outputs = net(views.finish(torch.from_numpy(frames)))
        net.head.weight /= outputs.std().clamp_min(1e-6)
        outputs = net(views.finish(torch.from_numpy(frames)))
        net.head.bias -= outputs.mean(0)


def pictures(count: int, size: tuple[int, int] | None = None, seed: int = 0) -> list[np.ndarray]:
    """Shades with a blob each, (H, W, 3) uint8, of different sizes unless `size` says one."""
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        height, width = size or tuple(int(n) for n in draw.integers(18, 50, 2))
        y, x = np.mgrid[:height, :width]
        blob = np.exp(-((y - draw.uniform(0, height)) ** 2 + (x - draw.uniform(0, width)) ** 2) / draw.uniform(20, 200))
        colour = draw.uniform(0, 255, (2, 3))
        made.append((colour[0] * blob[..., None] + colour[1] * (1 - blob[..., None]) * y[..., None] / height).astype(np.uint8))
    return made


def folder_of(where: Path, count: int = 6, size: tuple[int, int] | None = None, suffix: str = ".png", seed: int = 0) -> list[Path]:
    """Pictures as files `0.png …`."""
    where.mkdir(parents=True, exist_ok=True)
    files = [where / f"{place}{suffix}" for place in range(count)]
    for file, picture in zip(files, pictures(count, size, seed), strict=True):
        Image.fromarray(picture).save(file)
    return files


class _Frames:
    """Calibration pictures for `quantise`, once."""

    def __init__(self, made):
        self.left = [np.stack([made.views.frame(picture) for picture in pictures(8, seed=3)])]

    def get_next(self):
        return {"frames": self.left.pop()} if self.left else None

    def __iter__(self):
        return iter([{"frames": frames} for frames in self.left])


def quantised(where: Path, task: str = "classify", **settings) -> Bundle:
    """A bundle whose answers come from its own 8-bit graph."""
    from omma import bundle as bundles
    from omma.compressors.int8 import quantise
    from omma.runtimes._graphs import make

    made = bundle_of(task, **settings)
    made.card["task"] = task
    made.save(where)
    blob = quantise(make(made, where / "whole.onnx"), where / "model.int8.onnx", _Frames(made)).read_bytes()
    (where / "whole.onnx").unlink()
    made.card["runtime"] = {"name": "ort", "file": "model.int8.onnx", "sha256": hashlib.sha256(blob).hexdigest()}
    made.save(where)
    return bundles.open(where)


def in_onnx(net: nn.Module, few: torch.Tensor, more: torch.Tensor, path: Path) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """What a network of named outputs says of `more` pictures, and what its graph says, traced with `few`; the batch is open."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    batch = {0: torch.export.Dim("n")}
    torch.onnx.export(net, (few,), path, dynamo=True, input_names=["x"], dynamic_shapes=(batch,), verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        wanted = net(more)
    return wanted, dict(zip(wanted, map(torch.from_numpy, session.run(None, {"x": more.numpy()})), strict=True))

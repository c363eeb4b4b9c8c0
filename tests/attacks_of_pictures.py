"""Hostile bundles of the tasks whose answer is a picture: cards that lie about what `attacks.py` does not have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from attacks import Attack, _card
from omma import catalog
from omma.bundle import Bundle
from omma.data.views import Views
from omma.models.making import build


def made(task: str, model: str, names: list[str], views: Views, settings: dict[str, Any], **shape: Any) -> Bundle:
    """A small bundle with drawn weights."""
    torch.manual_seed(0)
    kind = catalog.find("tasks", task)(names, **settings)
    net = build(model, channels=views.channels, size=views.size, outputs=kind.outputs, **shape).eval()
    card = {"task": task, "model": model, "model_settings": shape, "recipe": {}, "scores": {}, "data": {}, "fingerprint": {}}
    return Bundle(kind, {"net": net}, views, {"threshold": 0.5} if task == "reconstruct" else {}, card)


def frames(size: int = 16, channels: int = 1, fit: Any = "squash", overlap: int = 0) -> Views:
    return Views(size, channels, fit, (0.0,) * channels, (1.0,) * channels, overlap=overlap)


SOUND: dict[str, Callable[[], Bundle]] = {
    "restore": lambda: made("restore", "dncnn", ["picture"], frames(32, fit="own", overlap=4), {"degrade": "noise:25"}, width=8, depth=3),
    "reconstruct": lambda: made("reconstruct", "vae", ["anomaly"], frames(), {}, widths=[8], latent=2),
    "generate": lambda: made("generate", "dcgan", ["cat", "dog"], frames(), {}, width=8, latent=4),
    "stylize": lambda: made(
        "stylize", "johnson", ["picture"], frames(32, 3, "own", 32), {"style": "-"}, width=4, blocks=1, styles=1, painting=32
    ),
}

# Of every task: what verbs read in a card beside the network.
ALL: dict[str, dict[str, Any]] = {
    "counts_list": {"fingerprint": {"class_counts": ["os.system"]}},
    "counts_word": {"fingerprint": {"class_counts": "cat"}},
    "counts_of_words": {"fingerprint": {"class_counts": {"train": {"cat": "many"}}}},
    "counts_of_lists": {"fingerprint": {"class_counts": {"train": [1, 2]}}},
    "counts_negative": {"fingerprint": {"class_counts": {"train": {"cat": -1}}}},
    "counts_endless": {"fingerprint": {"class_counts": {"train": {"cat": 10**30}}}},
    "sizes_word": {"fingerprint": {"width": "wide"}},
    "sizes_torn": {"fingerprint": {"width": {"median": 3}, "height": {"median": 3}}},
    "parts_list": {"fingerprint": {"splits": [1]}},
    "shares_words": {"fingerprint": {"pixel_shares": {"cat": "all"}}},
    "scores_list": {"scores": {"split": "test", "metrics": ["psnr"]}},
    "scores_words": {"scores": {"split": "test", "metrics": {"psnr": {"value": "best", "low": 1, "high": 2, "n": 3}}}},
    "scores_torn": {"scores": {"split": "test", "metrics": {"psnr": {"value": 1.0}}}},
    "data_number": {"data": {"where": 7}},
    "data_table": {"data": {"where": {"a": "/etc/passwd"}}},
    "data_format": {"data": {"where": "x", "format": ["csv"]}},
    "origin_table": {"origin": {"weights": {"__class__": "os.system"}}},
    "runtime_list": {"runtime": {"file": ["int8.onnx"]}},
    "recipe_origin": {"recipe": {"origin": ["you"]}},
    "parameters_word": {"weights__parameters": "few"},
    "frame_of_windows": {"views__fit": "windows"},
    "point_word": {"operating_point": {"threshold": "os.system"}},
    "model_of_another_task": {"model": "resnet20", "model_settings": {}},
    "no_such_setting": {"task_settings": {"hook": "os.system"}},
}

# Of one task.
OWN: dict[str, dict[str, dict[str, Any]]] = {
    "restore": {
        "degrade_code": {"task_settings": {"degrade": "__import__('os')"}},
        "degrade_list": {"task_settings": {"degrade": ["noise:25"]}},
        "degrade_endless": {"task_settings": {"degrade": "+".join(["noise:25"] * 100_000)}},
        "scale_huge": {"task_settings": {"degrade": "noise:25", "scale": 10**9}},
        "scale_word": {"task_settings": {"degrade": "noise:25", "scale": "x"}},
        "width_huge": {"model_settings": {"width": 65_536, "depth": 60}},
        "depth_negative": {"model_settings": {"width": 8, "depth": -3}},
        "frames": {"views__fit": "squash"},
        "overlap_huge": {"views__overlap": 10**9},
        "overlap_word": {"views__overlap": "wide"},
        "overlap_negative": {"views__overlap": -4},
    },
    "reconstruct": {
        "latent_huge": {"model_settings": {"widths": [8], "latent": 65_536}},
        "latent_negative": {"model_settings": {"widths": [8], "latent": -2}},
        "latent_word": {"model_settings": {"widths": [8], "latent": "two"}},
        "widths_huge": {"model_settings": {"widths": [65_536] * 8, "latent": 2}},
        "pictures": {"views__fit": "own"},
        "names_two": {"names": ["anomaly", "other"], "task": "classify", "task_settings": {}},
        "threshold_list": {"operating_point": {"threshold": [0.5, 0.5, 0.5]}},
    },
    "generate": {
        "latent_huge": {"model_settings": {"width": 8, "latent": 10**9}},
        "latent_negative": {"model_settings": {"width": 8, "latent": -4}},
        "width_word": {"model_settings": {"width": "os.system", "latent": 4}},
        "other_names": {"names": [str(number) for number in range(1000)]},
        "pictures": {"views__fit": "own"},
        "size_huge": {"views__size": 4096},
    },
    "stylize": {
        "styles_huge": {"model_settings": {"width": 4, "blocks": 1, "styles": 65_536, "painting": 65_536}},
        "painting_negative": {"model_settings": {"width": 4, "blocks": 1, "styles": 1, "painting": -32}},
        "blocks_huge": {"model_settings": {"width": 4, "blocks": 65_536, "styles": 1, "painting": 32}},
        "looks_code": {"model": "adain", "model_settings": {"looks": "__import__('os').system('true')"}},
        "looks_path": {"model": "adain", "model_settings": {"looks": "/etc/passwd"}},
        "looks_file": {"model": "gatys", "model_settings": {"looks": 'resnet20 {"pretrained": "/etc/passwd"}'}},
        "looks_hub": {"model": "gatys", "model_settings": {"looks": "timm/hf-hub:evil/model"}},
        "looks_itself": {"model": "gatys", "model_settings": {"looks": 'gatys {"channels": 3, "size": 32, "outputs": 1}'}},
        "looks_deep": {"model": "gatys", "model_settings": {"looks": "resnet20 " + '{"a":' * 20_000}},
        "looks_wide": {"model": "gatys", "model_settings": {"looks": 'quick {"channels": 3, "size": 32, "outputs": 1, "widths": [65536]}'}},
        "steps_endless": {"model": "gatys", "model_settings": {"steps": 10**9}},
        "colours_code": {"task_settings": {"style": "-", "encoder": ["os.system"]}},
        "frames": {"views__fit": "squash"},
    },
}  # fmt: skip

OF_PICTURES: dict[str, tuple[str, Attack]] = {}
for _task, _own in OWN.items():
    for _name, _values in (ALL | _own).items():

        def _spoil(folder: Path, values: dict[str, Any] = _values) -> None:
            _card(folder, **values)

        OF_PICTURES[f"{_task}_{_name}"] = (_task, _spoil)

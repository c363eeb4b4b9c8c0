"""A trained model as a folder a person can read: weights, card, views, classes, provenance; `open` and `Bundle.save`.

    weights.safetensors   every tensor of the networks an answer needs, keys `<player>.<name>`
    bundle.json           what it is (see `card.py`), plain values only: no class paths, no code, no file paths that are opened
    README.md             the card, for people

Nothing in a bundle is executed. Opening checks, in this order: sizes, JSON against the schema, SHA-256 of the weights,
the safetensors header against the network's own shapes (built without memory), and only then reads a tensor.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

import omma
from omma import catalog
from omma.card import inside, plausible, read_card
from omma.data.views import Views
from omma.engine.painting.drawing import rows_of
from omma.engine.pipeline import Pipeline
from omma.engine.told import is_placed, told
from omma.errors import BundleError, DiskError, OmmaError
from omma.models.making import build
from omma.models.network import Blank, Network
from omma.parts.drawing.seeds import FREE
from omma.recipe import Recipe
from omma.tasks.task import Batch, Task
from omma.words import number, say

MAX_HEADER, MAX_TENSORS = 4 << 20, 20_000


@dataclass
class Bundle:
    """A trained model, ready to answer.

    Args:
        task: what was learned, with its names and settings.
        nets: networks by player; the one of a plain task is `net`.
        views: how pictures enter.
        point: the operating point.
        card: the rest of `bundle.json`.
        path: the folder it was opened from; None before it is saved.
    """

    task: Task
    nets: dict[str, torch.nn.Module]
    views: Views
    point: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None

    @property
    def net(self) -> Network:
        return self.nets["net"]  # type: ignore[return-value]

    @property
    def names(self) -> list[str]:
        return self.task.names

    @property
    def recipe(self) -> Recipe:
        return Recipe.from_json(self.card.get("recipe", {}))

    @property
    def digest(self) -> str:
        """SHA-256 of the weights file."""
        return self.card.get("weights", {}).get("sha256", "")

    def pipeline(self, point: dict[str, Any] | None = None) -> Pipeline:
        """The finished model, in evaluation mode; `point` overrides values of the operating point."""
        return Pipeline(self.task, self.nets, self.views, self.point | (point or {})).eval()

    def asked(self, count: int = 1) -> np.ndarray:
        """Something that goes in, for whoever tries what comes out: (count, S, S, C) uint8 black frames, or (count, L) float32 seeds."""
        if self.task.asks == "seed":
            return self.seeds(0, count)
        return np.zeros((count, self.views.size, self.views.size, self.views.channels), np.uint8)

    def seeds(self, seed: int, count: int, about: str | None = None, truncation: float = FREE) -> np.ndarray:
        """(count, L) float32: what pictures are drawn from, see `rows_of`; classes come up as often as they were learned."""
        counts = self.card.get("fingerprint", {}).get("class_counts", {}).get("train")
        return rows_of(self.task, self.net, seed, count, about=about, counts=counts, truncation=truncation)

    def json(self) -> dict[str, Any]:
        """The whole card as written to `bundle.json`."""
        own = {
            "omma": omma.__version__, "schema": 1, "task": catalog.key_of("tasks", type(self.task)),
            "task_settings": self.task.settings, "names": self.names,
            "views": self.views.json(), "operating_point": self.point,
        }  # fmt: skip
        return {"created": datetime.now(UTC).isoformat(timespec="seconds")} | self.card | own

    def save(self, folder: str | Path) -> Path:
        """Write the bundle: everything beside the old one first, then in its place; returns the folder.

        Raises:
            DiskError: the disk does not take it; what was there before is untouched.
        """
        folder = Path(folder)
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
            tensors = {
                f"{who}.{key}": self._stored(t.detach().cpu().contiguous().clone())
                for who, net in self.nets.items()
                for key, t in net.state_dict().items()
            }
            save_file(tensors, partial / "weights.safetensors")
            sha = hashlib.sha256((partial / "weights.safetensors").read_bytes()).hexdigest()
            self.card["weights"] = {
                "sha256": sha,
                "tensors": len(tensors),
                "parameters": sum(p.numel() for n in self.nets.values() for p in n.parameters()),
            }
            card = self.json()
            (partial / "bundle.json").write_text(json.dumps(card, ensure_ascii=False, indent=1, allow_nan=False), "utf-8")
            (partial / "README.md").write_text(readme(card), "utf-8")
            for extra in self._extras():
                shutil.copy2(extra, partial / extra.name)
            if folder.exists():
                old = folder.with_name(folder.name + ".old")
                shutil.rmtree(old, ignore_errors=True)
                folder.rename(old)
                partial.rename(folder)
                shutil.rmtree(old)
            else:
                partial.rename(folder)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise DiskError(say("bundle.not_written", reason=error.strerror or error), folder) from None
        self.path = folder
        return folder

    def _stored(self, tensor: torch.Tensor) -> torch.Tensor:
        """Beside a quantised graph, which answers, matrices are kept in half precision: they serve explanations only."""
        small = tensor.dtype == torch.float32 and tensor.dim() > 1 and bool(self._extras())
        return tensor.half() if small and bool(tensor.half().isfinite().all()) else tensor

    def _extras(self) -> list[Path]:
        """Files beside the weights that travel along (a quantised graph)."""
        file = self.card.get("runtime", {}).get("file")
        return [self.path / file] if self.path and file and (self.path / file).is_file() else []


def readme(card: dict[str, Any]) -> str:
    """The card as Markdown."""
    scores = [
        f"| {name} | {number(s['value'], s.get('unit', ''))} | {number(s['low'])} – {number(s['high'])} | {s['n']} |"
        for name, s in card.get("scores", {}).get("metrics", {}).items()
    ]
    names = ", ".join(map(str, card["names"][:50])) + (" …" if len(card["names"]) > 50 else "")
    data = card.get("data", {})
    rows = [
        f"# {card['model']} · {card['task']}", "", f"- names: {names}", f"- input: {card['views']}",
        f"- data: {data.get('where', '?')} ({data.get('how_split', '')})",
        *([f"- adapted to pictures without labels: {data['target']}"] if data.get("target") else []),
        f"- operating point: {card['operating_point']}", f"- weights: {card['weights']}, origin {card.get('origin') or 'random start'}",
        f"- made by omma {card['omma']}, {card.get('created', '')}", "", f"Measured on: {card.get('scores', {}).get('split', '–')}", "",
        "| metric | value | 95 % interval | n |", "|---|---|---|---|", *scores, "",
        "```python", "import omma", "for row in omma.predict('this-folder', 'pictures/'):", "    print(row)", "```", "",
    ]  # fmt: skip
    return "\n".join(rows)


def locate(where: str | Path) -> Path:
    """The bundle folder meant by a bundle or a run folder (its best).

    Raises:
        BundleError: neither.
    """
    path = Path(where)
    for folder in (path, path / "bundle"):
        if (folder / "bundle.json").is_file():
            return folder
    if (path / "checkpoints").is_dir():
        raise BundleError(say("bundle.unfinished"), path, say("bundle.unfinished_fix", run=path))
    raise BundleError(say("bundle.none" if path.exists() else "bundle.absent"), path, say("bundle.none_fix"))


def _weights(folder: Path, card: dict[str, Any], most: int) -> bytes:
    """The checked bytes of the weights file, which cannot be longer than a header and the `most` bytes of the network's tensors."""
    path = folder / "weights.safetensors"
    inside(folder, path)
    size = path.stat().st_size
    if size > most + MAX_HEADER:
        raise BundleError(say("bundle.too_large", size=size, cap=most + MAX_HEADER), path)
    with path.open("rb") as file:
        head = int.from_bytes(file.read(8), "little")
        if head > min(MAX_HEADER, size):
            raise BundleError(say("bundle.header", size=head), path)
        file.seek(0)
        blob = file.read()
    if hashlib.sha256(blob).hexdigest() != card["weights"].get("sha256"):
        raise BundleError(say("bundle.changed"), path, say("bundle.changed_fix"))
    try:
        header = json.loads(blob[8 : 8 + head])
        if not isinstance(header, dict) or len(header) > MAX_TENSORS:
            raise ValueError("too many tensors")
    except (ValueError, RecursionError) as error:
        raise BundleError(say("bundle.bad_weights", reason=str(error)[:200]), path) from None
    return blob


def _network(card: dict[str, Any], task: Task, views: Views) -> Network:
    """The network the card describes, with its pruning plan carried out."""
    net = build(card["model"], channels=views.channels, size=views.size, outputs=task.outputs, **card.get("model_settings", {}))
    if card.get("surgery"):
        from omma.parts.surgery import operate

        operate(net, card["surgery"])
    return net


def _fitting(task: Task, net: Network, views: Views) -> None:
    """Network and views are of a kind that the task can use.

    Raises:
        OmmaError: they are not.
    """
    if net.gives != task.reads:
        raise OmmaError(say("bundle.other_network", gives=net.gives, reads=task.reads))
    if (views.fit == "own") != (task.reads == "picture") or (views.fit == "windows" and not is_placed(task)):
        raise OmmaError(say("bundle.other_fit", fit=views.fit))


def _answers(task: Task, gives: str, point: dict[str, Any]) -> None:
    """Settings and operating point go together: the arithmetic of an answer is done once, on a network's output of zeros."""
    tensors = task.infer({"net": Blank(gives, task.outputs)}, Batch(torch.zeros(1, 1, 8, 8)))
    told(task, task.answer.operate(tensors, point), point)


def open(where: str | Path, device: str = "cpu") -> Bundle:
    """A trained model, checked and ready; `where` is a bundle folder or a run folder (its best).

    Raises:
        BundleError: absent, damaged, hostile, or of another kind; nothing was executed.
    """
    folder = locate(where)
    card = read_card(folder)
    try:
        kind = catalog.find("tasks", card["task"])
        for key, value in card.get("task_settings", {}).items():
            if key not in kind.SETTINGS:
                raise BundleError(say("bundle.unknown_key", key=f"task_settings.{key[:60]}"), folder)
            if not plausible(value, kind.SETTINGS[key][0]):
                raise BundleError(say("bundle.absurd", key=f"task_settings.{key}"), folder)
        task = kind(card["names"], **card.get("task_settings", {}))
        views = Views.from_json(card["views"])
        with torch.device("meta"):  # no memory yet: the shapes must fit first
            built = _network(card, task, views)
            shapes = {f"net.{key}": (t.shape, t.dtype) for key, t in built.state_dict().items()}
        _fitting(task, built, views)
        _answers(task, built.gives, card.get("operating_point", {}))
    except (
        OmmaError,
        AssertionError,
        TypeError,
        ValueError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RuntimeError,
        MemoryError,
    ) as error:
        raise BundleError(
            say("bundle.cannot_build", reason=str(error).splitlines()[0][:200] if str(error) else type(error).__name__), folder
        ) from None
    try:
        tensors = load(_weights(folder, card, sum(shape.numel() * dtype.itemsize for shape, dtype in shapes.values())))
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise BundleError(say("bundle.bad_weights", reason=str(error)[:200]), folder / "weights.safetensors") from None
    if card.get("runtime", {}).get("file"):
        tensors = {key: t.float() if t.dtype == torch.float16 else t for key, t in tensors.items()}
    for key in sorted(shapes.keys() | tensors.keys()):
        found = (tensors[key].shape, tensors[key].dtype) if key in tensors else None
        if found != shapes.get(key):
            raise BundleError(
                say("bundle.shape", key=key, found=found and tuple(found[0]), wanted=shapes.get(key) and tuple(shapes[key][0])), folder
            )
        if found is not None and tensors[key].is_floating_point() and not torch.isfinite(tensors[key]).all():
            raise BundleError(say("bundle.not_finite", key=key), folder)
    net = _network(card, task, views)
    net.load_state_dict({key.removeprefix("net."): t for key, t in tensors.items()})
    net.origin = dict(card.get("origin", {}))
    nets = {who: module.to(device).eval() for who, module in answering(task.nets(net)).items()}
    return Bundle(task, nets, views, card.get("operating_point", {}), card, folder)


def answering(nets: dict[str, torch.nn.Module]) -> dict[str, torch.nn.Module]:
    """The networks that answers are computed with: critics only taught them."""
    return {who: net for who, net in nets.items() if not who.startswith("critic")}


def versions() -> dict[str, str]:
    """Versions of what a number depends on."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {
        "python": platform.python_version(),
        "omma": omma.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
    }
    packages = "torch torchvision timm transformers numpy pillow simplejpeg onnxruntime openvino captum safetensors"
    for package in packages.split():
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

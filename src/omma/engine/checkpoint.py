"""Checkpoints that survive anything: a kill at any moment leaves the last good one whole.

`step-N.partial/` → files and a manifest (sizes, SHA-256) → fsync each → fsync the folder → rename → fsync the parent → read
back. Only then may older ones go: the last two and the best stay. The newest is found by scanning; there is no pointer to tear.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from omma.engine.fault import fault
from omma.errors import DiskError
from omma.words import say

Tensors = dict[str, dict[str, torch.Tensor]]


@dataclass(slots=True)
class Checkpoint:
    """One moment of a run: tensors by file and the loop's own numbers."""

    step: int
    tensors: Tensors
    state: dict[str, Any]
    path: Path


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: `RUN/checkpoints`, created when missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.skipped: list[str] = []

    def steps(self) -> list[int]:
        """Steps of all finished checkpoints, oldest first."""
        return sorted(int(p.name[5:]) for p in self.folder.glob("step-*") if p.is_dir() and p.name[5:].isdigit())

    def path(self, step: int) -> Path:
        return self.folder / f"step-{step:06d}"

    def save(self, step: int, tensors: Tensors, state: dict[str, Any], best: int | None = None) -> Path:
        """Write one; keep it, the one before and the best.

        Raises:
            DiskError: the disk does not take it; older checkpoints are untouched, nothing half-written stays.
        """
        target, partial = self.path(step), self.folder / f"step-{step:06d}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir()
            manifest = {}
            blobs = {f"{name}.safetensors": save(_contiguous(group)) for name, group in tensors.items()}
            blobs["state.json"] = json.dumps(state, allow_nan=False).encode()
            for name, blob in blobs.items():
                _write(partial / name, blob)
                manifest[name] = {"size": len(blob), "sha256": hashlib.sha256(blob).hexdigest()}
            _write(partial / "manifest.json", json.dumps({"step": step, "files": manifest}).encode())
            _sync_folder(partial)
            if target.exists():  # the same step, resumed and saved again: same bits, so the old one may stay until the rename
                fault("remove")
                shutil.rmtree(target)
            fault("rename")
            os.rename(partial, target)
            _sync_folder(self.folder)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise DiskError(say("train.disk", reason=error.strerror or error), self.folder, say("train.disk_fix")) from None
        if self.verify(step) is None:
            raise DiskError(say("train.disk_lies"), target, say("train.disk_fix"))
        self._prune({*self.steps()[-2:], best})
        return target

    def _prune(self, keep: set[int | None]) -> None:
        for step in self.steps():
            if step not in keep:
                fault("remove")
                shutil.rmtree(self.path(step), ignore_errors=True)

    def verify(self, step: int) -> dict[str, bytes] | None:
        """The checked bytes of every file, or None if anything differs from the manifest."""
        path = self.path(step)
        try:
            manifest = json.loads((path / "manifest.json").read_bytes())
            blobs = {name: (path / name).read_bytes() for name in manifest["files"]}
            good = all(hashlib.sha256(blobs[name]).hexdigest() == row["sha256"] for name, row in manifest["files"].items())
            return blobs if good and manifest["step"] == step else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def read(self, step: int) -> Checkpoint | None:
        """One checkpoint, or None if it is damaged."""
        blobs = self.verify(step)
        if blobs is None:
            return None
        tensors = {name.removesuffix(".safetensors"): load(blob) for name, blob in blobs.items() if name.endswith(".safetensors")}
        return Checkpoint(step, tensors, json.loads(blobs["state.json"]), self.path(step))

    def latest(self) -> Checkpoint | None:
        """The newest whole checkpoint; damaged ones are named in `skipped`, half-written ones swept away."""
        for partial in self.folder.glob("*.partial"):
            shutil.rmtree(partial, ignore_errors=True)
        for step in reversed(self.steps()):
            found = self.read(step)
            if found is not None:
                return found
            self.skipped.append(self.path(step).name)
        return None

    def best(self) -> Checkpoint:
        """The checkpoint of the best step; the newest one where nothing was held out."""
        last = self.latest()
        assert last is not None, "a run always has the checkpoint of step 0"
        step = last.state["best_step"]
        return (self.read(step) if step is not None else None) or last


def _contiguous(group: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value.detach().cpu().contiguous() for key, value in group.items()}


def _write(path: Path, blob: bytes) -> None:
    with path.open("wb") as file:
        fault("write")
        file.write(blob)
        file.flush()
        fault("fsync")
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    fault("fsync")
    if os.name == "nt":  # Windows has no handle for a folder; its rename is durable on its own
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def pack_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """An optimizer's memory as tensors and plain numbers, without pickle."""
    whole = optimizer.state_dict()
    tensors = {f"{i}.{key}": value for i, row in whole["state"].items() for key, value in row.items() if isinstance(value, torch.Tensor)}
    numbers = {
        f"{i}.{key}": value for i, row in whole["state"].items() for key, value in row.items() if not isinstance(value, torch.Tensor)
    }
    return tensors, numbers


def unpack_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], numbers: dict[str, Any]) -> None:
    """The inverse; the groups' own settings come from the recipe."""
    whole = optimizer.state_dict()
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**tensors, **numbers}.items():
        place, _, key = name.partition(".")
        state.setdefault(int(place), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})

"""How a network became what it is: its filters and maps at every checkpoint of a run, and the loss around where it ended."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from omma.data.frames import Frames
from omma.data.own.given import posed
from omma.data.own.originals import Originals
from omma.data.sample import Dataset
from omma.data.sources import home
from omma.data.spatial.cut import in_windows
from omma.engine.machine import Machine
from omma.errors import OmmaError
from omma.inside.subject import Sight, Subject, watched
from omma.inside.sums import order
from omma.progress import Watch
from omma.run.folder import RunFolder
from omma.run.prepare import batches_of, validator
from omma.words import say

SIDE, REACH = 9, 1.0  # points along each direction, and how far they go: so many of the last moves
PICTURES, PATIENCE = 48, 60.0  # pictures a loss is the mean of, and seconds the surface may take
CHANNELS = 8


@dataclass
class Moment:
    """A network as it was at a step.

    Args:
        step: of the run.
        filters: (outputs, inputs, kh, kw) of the first convolution; None without one.
        maps: key of a step → {channel: (h, w)} on the picture.
    """

    step: int
    filters: np.ndarray | None
    maps: dict[str, dict[int, np.ndarray]] = field(default_factory=dict)


@dataclass
class Surface:
    """The loss on a plane through the weights: `last + a · first direction + b · second`, which a point on the grid says.

    Args:
        axis: (n,) values of a and b.
        losses: (n, n): row b, column a; NaN where it is not a number.
        marks: step → (a, b), checkpoints that lie in the plane.
        pictures: how many the loss is the mean of.
        drawn: whether the second direction is one of chance, since there was no second move.
    """

    axis: np.ndarray
    losses: np.ndarray
    marks: dict[int, tuple[float, float]]
    pictures: int
    drawn: bool


def states(run: RunFolder, of: Subject) -> dict[int, dict[str, dict[str, torch.Tensor]]]:
    """Step → weights of each network that answers, of every whole checkpoint; averaged ones where the run averaged.

    Raises:
        OmmaError: there is none, or they are of another network.
    """
    found: dict[int, dict[str, dict[str, torch.Tensor]]] = {}
    for step in run.keep.steps():
        moment = run.keep.read(step)
        if moment is None:
            continue
        found[step] = {}
        for who in of.bundle.nets:
            rows = moment.tensors.get(f"average-{who}") or moment.tensors.get(f"net-{who}") or {}
            found[step][who] = {key: value for key, value in rows.items() if key != "average.steps"}
    if not found:
        raise OmmaError(say("look.no_checkpoints"), run.path)
    for saved in found.values():
        for who, net in of.bundle.nets.items():
            own, theirs = net.state_dict(), saved[who]
            if own.keys() != theirs.keys() or any(own[key].shape != value.shape for key, value in theirs.items()):
                raise OmmaError(say("look.other_run"), run.path)
    return found


def moments(run: RunFolder, of: Subject, before: Sight, watch: Watch = Watch()) -> list[Moment]:
    """The network at every checkpoint, on the same picture; the model itself is not changed."""
    saved = states(run, of)
    twin = Subject(copy.copy(of.bundle), of.title, of.random)
    twin.bundle.nets = {who: copy.deepcopy(net).eval() for who, net in of.bundle.nets.items()}
    with torch.no_grad():
        # The same channels all the time: those that are strongest in the end.
        told = {step.key: order(step.maps)[:CHANNELS] for step in watched(of, before).steps}
        found = []
        for step, rows in watch.each(say("look.moments"), saved.items()):
            for who, net in twin.bundle.nets.items():
                net.load_state_dict(rows[who])
            one = Moment(step, _filters(twin.bundle.nets))
            for seen in watched(twin, before).steps:
                kept = told.get(seen.key)
                if kept is not None and max(kept, default=0) < seen.channels:
                    maps = seen.maps.float().cpu().numpy()
                    one.maps[seen.key] = {channel: maps[channel] for channel in kept}
            found.append(one)
    return found


def _filters(nets: dict[str, nn.Module]) -> np.ndarray | None:
    """The kernels of the first convolution that reads pictures."""
    for net in nets.values():
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                return module.weight.detach().float().cpu().numpy().copy()  # the weights go on to the next checkpoint
    return None


def surface(run: RunFolder, of: Subject, dataset: Dataset, watch: Watch = Watch()) -> Surface | None:
    """The mean loss of held-out pictures around the last weights, along the last moves of the run.

    The first direction is from the last but one checkpoint to the last, the second from the one before, made square to the first; where
    there is none a direction of chance with the size of every filter of the last weights (Li et al. 2018). Batch statistics move along
    with the weights of a checkpoint, and stand still along chance.

    Args:
        dataset: of the run, with truths.

    Returns:
        None where the players of the task have no common loss.
    """
    saved = states(run, of)
    steps = sorted(saved)
    if len(steps) < 2:
        return None
    loss, count = _loss(run, of, dataset, watch)
    if loss is None:
        return None
    nets = {who: copy.deepcopy(net).eval() for who, net in of.bundle.nets.items()}
    flat = {step: _flat(saved[step]) for step in steps}
    last, first = flat[steps[-1]], flat[steps[-1]] - flat[steps[-2]]
    second = flat[steps[-1]] - flat[steps[-3]] if len(steps) > 2 else None
    if second is not None:
        second = second - first * (second @ first) / (first @ first).clamp_min(1e-20)
    drawn = second is None or float(second.norm()) < 1e-3 * float(first.norm())
    if second is None or drawn:
        second = _chance(saved[steps[-1]], first)
    if not float(first.norm()):
        return None

    def at(a: float, b: float) -> float:
        _fill(nets, last + a * first + b * second)
        return loss(nets)

    start = time.perf_counter()
    at(0.0, 0.0)
    seconds = time.perf_counter() - start
    side = SIDE if seconds * SIDE**2 < PATIENCE else 5
    axis = np.linspace(-REACH, REACH, side)
    losses = np.array([[at(a, b) for a in axis] for b in watch.each(say("look.surface"), axis)])
    basis = torch.stack([first, second])
    marks = {step: tuple((basis @ (flat[step] - last) / (basis * basis).sum(1)).tolist()) for step in steps}
    near = {step: mark for step, mark in marks.items() if max(map(abs, mark)) <= REACH + 1e-6}
    return Surface(axis, losses, near, count, drawn)


def _loss(run: RunFolder, of: Subject, dataset: Dataset, watch: Watch):
    """(networks → mean loss of a part that was held out, pictures of it); (None, 0) where there is no such loss."""
    recipe, _ = run.read()
    task, views = of.bundle.task, of.bundle.views
    known = run.put_split(posed(dataset, task.poses, task.settings))
    seen = in_windows(known, views)
    frames = Originals(seen, views, watch) if views.fit == "own" else Frames(seen, views, home(), watch)
    device = next(of.bundle.net.parameters()).device
    batches = batches_of(frames, seen, task, views, recipe, Machine(device, "float32", torch.get_num_threads()))
    part = "val" if frames.part("val") else "train"
    validate = None if task.asks != "picture" else validator(task, batches, views, part, PICTURES)
    if validate is None:
        return None, 0

    def loss(nets: dict[str, nn.Module]) -> float:
        return validate(nets)[1].get(f"{part}_loss", float("nan"))

    return loss, min(PICTURES, len(frames.part(part)))


def _flat(rows: dict[str, dict[str, torch.Tensor]]) -> torch.Tensor:
    """Every number that moves, one after the other, in double precision."""
    return torch.cat([v.flatten().double() for who in sorted(rows) for _, v in sorted(rows[who].items()) if v.is_floating_point()])


def _fill(nets: dict[str, nn.Module], flat: torch.Tensor) -> None:
    """The inverse; a variance may not become negative."""
    place = 0
    for who in sorted(nets):
        for key, value in sorted(nets[who].state_dict().items()):
            if value.is_floating_point():
                part = flat[place : place + value.numel()].view(value.shape)
                place += value.numel()
                value.copy_(part.clamp_min(0) if key.endswith("running_var") else part)


def _chance(rows: dict[str, dict[str, torch.Tensor]], like: torch.Tensor) -> torch.Tensor:
    """A direction of chance, filter by filter as large as the filters, then as long as `like`; statistics stand still."""
    draw = torch.Generator().manual_seed(0)
    parts = []
    for who in sorted(rows):
        for _, value in sorted(rows[who].items()):
            if not value.is_floating_point():
                continue
            part = torch.randn(value.shape, generator=draw, dtype=torch.float64)
            if value.dim() > 1:
                size = value.double().flatten(1).norm(dim=1) / part.flatten(1).norm(dim=1).clamp_min(1e-12)
                part = part * size.view(-1, *[1] * (value.dim() - 1))
            else:
                part = torch.zeros_like(part)
            parts.append(part.flatten())
    found = torch.cat(parts)
    found = found - like * (found @ like) / (like @ like).clamp_min(1e-20)  # square to it
    return found * like.norm() / found.norm().clamp_min(1e-20)


def folder_of(run: str | Path) -> RunFolder:
    """The run whose checkpoints are shown.

    Raises:
        OmmaError: not a run folder.
    """
    return RunFolder.open(str(run))

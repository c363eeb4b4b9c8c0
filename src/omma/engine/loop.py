"""How learning happens, whatever is learned: one function that yields events.

Everything drawn is a function of (seed, epoch, sample) or (seed, step, rank), so a checkpoint is the networks, their
optimizers and averages, and the few numbers of `State`; a run that is killed and resumed ends in the same bits.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from omma.data.batches import Batches
from omma.engine import turn
from omma.engine.checkpoint import Checkpoint, Checkpoints, Tensors, pack_optimizer, unpack_optimizer
from omma.engine.machine import Machine
from omma.engine.schedule import Course
from omma.engine.turn import Players
from omma.errors import NonFinite
from omma.recipe import Recipe
from omma.tasks.task import Batch, Task
from omma.words import say

Event = dict[str, Any]
# Networks → (score, higher is better; every number to log).
Validate = Callable[[dict[str, nn.Module]], tuple[float, dict[str, float]]]
ROLLBACKS = 3


@dataclass(slots=True)
class State:
    """The loop's own numbers, saved with every checkpoint."""

    total: int
    step: int = 0
    tail: tuple[int, int, float] | None = None
    rollbacks: int = 0
    micro: int = 1 << 30
    best: float | None = None
    best_step: int | None = None
    stale: int = 0
    window: dict[str, float] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)


def learn(
    task: Task,
    players: Players,
    batches: Batches,
    recipe: Recipe,
    machine: Machine,
    keep: Checkpoints,
    validate: Validate | None,
    total: int,
    *,
    resume: Checkpoint | None = None,
    stop: Callable[[], bool] = lambda: False,
    deadline: float | None = None,
) -> Iterator[Event]:
    """Train for `total` steps.

    Args:
        players: networks, optimizers, averages; changed in place.
        keep: where checkpoints go.
        validate: scores the judged networks; None when nothing is held out.
        resume: go on from here.
        stop: asked after every step; True saves and ends.
        deadline: `time.monotonic()` the run should end by: from half of the time on, steps are counted again.

    Yields:
        {"event": "start" | "step" | "eval" | "notice" | "checkpoint" | "rollback" | "stopped" | "end", "step", …}

    Raises:
        NonFinite: the loss stayed NaN or infinite after three roll-backs at half the rate each.
        DiskError: a checkpoint could not be written.
    """
    state = State(total) if resume is None else restore(resume, players)
    course = Course(recipe.get("schedule", "cosine"), recipe.get("warmup", 0.0), state.total, state.tail)
    pace = Pace(recipe, state.total, state.step)
    if resume is None and machine.is_first:
        keep.save(0, tensors_of(players), asdict(state))
    yield {"event": "start", "step": state.step, "total": state.total, "per_epoch": batches.per_epoch, "resumed": resume is not None}
    while state.step < course.last:
        batch = batches.at(state.step, state.step / course.total)
        told, notice = attempt(task, players, batch, state, recipe, machine, course)
        if notice:
            yield {"event": "notice", "step": state.step, "text": notice}
        if machine.any(not all(math.isfinite(value) for value in told.values())):
            yield roll_back(state, course, players, keep, batches, batch, machine)
            continue
        state.step += 1
        for name, value in told.items():
            state.window[name] = state.window.get(name, 0.0) + value
            state.counted[name] = state.counted.get(name, 0) + 1  # not every player has a turn in every step
        last = state.step >= course.last
        if state.step % pace.log == 0 or last:
            yield _step_row(state, course, batches, recipe)
        if validate is not None and (last or _is_mark(state, recipe.get("evals", 10))):
            yield _evaluate(state, course, players, validate, recipe, machine)
        if deadline is not None and state.step % pace.guard == 0:
            _guard(state, course, deadline, pace, machine)
        halt = machine.any(stop())
        if last or halt or state.best_step == state.step or machine.agree(pace.due(state.step)):
            yield _save(state, course, players, keep, machine)
            pace.saved()
        if halt and not last:
            yield {"event": "stopped", "step": state.step}
            return
    yield {"event": "end", "step": state.step, "best": state.best, "best_step": state.best_step, "rollbacks": state.rollbacks}


def attempt(
    task: Task, players: Players, batch: Batch, state: State, recipe: Recipe, machine: Machine, course: Course
) -> tuple[dict[str, float], str | None]:
    """One step; when memory runs out before anything stepped, the micro-batch is halved and the step taken again."""
    micro = min(state.micro, recipe.get("micro_batch", len(batch)))
    rate = recipe.get("rate", 1e-3) * course.at(state.step) * 0.5**state.rollbacks
    notice = None
    for net in players.nets.values():
        net.train()
    while True:
        # Dropout and noise depend on where we are, not on what was drawn before.
        torch.manual_seed((recipe.seed * 1_000_003 + state.step) * 1_009 + machine.rank)
        buffers = [(b, b.clone()) for net in players.nets.values() for b in net.buffers()]
        before = [p._version for net in players.nets.values() for p in net.parameters()]
        try:
            told = turn.take(task, players, batch, state.step, recipe, machine, rate, micro)
            return {name: float(value) for name, value in told.items()}, notice
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            stepped = before != [p._version for net in players.nets.values() for p in net.parameters()]
            if not _is_memory(error) or micro <= 1 or stepped or machine.world > 1:
                raise
        with torch.no_grad():
            for buffer, copy in buffers:
                buffer.copy_(copy)
        gc.collect()
        if machine.device.type == "cuda":
            torch.cuda.empty_cache()
        micro = state.micro = max(1, min(micro, len(batch)) // 2)
        notice = say("train.memory", micro=micro, batch=len(batch))


def _is_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "not enough memory" in str(error) or "out of memory" in str(error)


def roll_back(state: State, course: Course, players: Players, keep: Checkpoints, batches: Batches, batch: Batch, machine: Machine) -> Event:
    """Back to the last good checkpoint with half the rate.

    Raises:
        NonFinite: that was done three times already.
    """
    files = batches.ids(batch)
    failed, rollbacks = state.step, state.rollbacks + 1
    if rollbacks > ROLLBACKS:
        raise NonFinite(
            say("train.non_finite", step=failed, times=ROLLBACKS, files=", ".join(files[:8])), None, say("train.non_finite_fix")
        )
    machine.wait()
    found = keep.latest()
    assert found is not None, "a run always has the checkpoint of step 0"
    fresh = restore(found, players)
    for name in State.__dataclass_fields__:
        setattr(state, name, getattr(fresh, name))
    state.rollbacks = rollbacks
    course.tail = state.tail
    return {"event": "rollback", "step": state.step, "failed": failed, "rate_factor": 0.5**rollbacks, "files": files}


def _step_row(state: State, course: Course, batches: Batches, recipe: Recipe) -> Event:
    means = {name: value / state.counted[name] for name, value in state.window.items()}
    state.window, state.counted = {}, {}
    rate = recipe.get("rate", 1e-3) * course.at(state.step - 1) * 0.5**state.rollbacks
    return {
        "event": "step",
        "step": state.step,
        "epoch": round(state.step / batches.per_epoch, 4),
        "total": course.last,
        "rate": rate,
        **means,
    }


def _is_mark(state: State, evals: int) -> bool:
    """Whether a look is due: `evals` of them at even distances up to the planned end, and as far apart beyond it."""
    return state.step == round(state.total * round(state.step * evals / state.total) / evals)


def _evaluate(state: State, course: Course, players: Players, validate: Validate, recipe: Recipe, machine: Machine) -> Event:
    """Score the judged networks on validation; remember the best; end early when patience is over."""
    score, numbers = machine.agree(validate(players.judged()) if machine.is_first else None)
    if state.best is None or score >= state.best:
        state.best, state.best_step, state.stale = score, state.step, 0
    else:
        state.stale += 1
        if 0 < recipe.get("early_stop", 0) <= state.stale:
            course.end_early(state.step, max(1, state.total // 10))
    return {"event": "eval", "step": state.step, "score": score, **numbers}


def _save(state: State, course: Course, players: Players, keep: Checkpoints, machine: Machine) -> Event:
    state.tail = course.tail
    if machine.is_first:
        keep.save(state.step, tensors_of(players), asdict(state), state.best_step)
    machine.wait()
    return {"event": "checkpoint", "step": state.step}


def tensors_of(players: Players) -> Tensors:
    """Everything a run is made of, as tensors by file; the optimizers' plain numbers ride as 0-d float64 tensors."""
    found: Tensors = {}
    for who, net in players.nets.items():
        found[f"net-{who}"] = dict(net.state_dict())
        if who in players.averages:
            average = players.averages[who]
            found[f"average-{who}"] = dict(average.net.state_dict()) | {"average.steps": torch.tensor(average.steps)}
        if who in players.optimizers:
            tensors, numbers = pack_optimizer(players.optimizers[who])
            found[f"optimizer-{who}"] = tensors | {f"number.{k}": torch.tensor(float(v), dtype=torch.float64) for k, v in numbers.items()}
    return found


def restore(found: Checkpoint, players: Players) -> State:
    """Put a checkpoint's tensors back and return its numbers."""
    for who, net in players.nets.items():
        net.load_state_dict(found.tensors[f"net-{who}"])
        if who in players.averages:
            rows = dict(found.tensors[f"average-{who}"])
            players.averages[who].steps = int(rows.pop("average.steps"))
            players.averages[who].net.load_state_dict(rows)
        if who in players.optimizers:
            rows = found.tensors[f"optimizer-{who}"]
            numbers = {k.removeprefix("number."): v.item() for k, v in rows.items() if k.startswith("number.")}
            unpack_optimizer(players.optimizers[who], {k: v for k, v in rows.items() if not k.startswith("number.")}, numbers)
    state = State(**found.state)
    state.tail = tuple(state.tail) if state.tail else None  # type: ignore[assignment]
    return state


class Pace:
    """When to log, to look at the clock and to save: never part of what is learned."""

    def __init__(self, recipe: Recipe, total: int, step: int) -> None:
        self.log = max(1, min(50, total // 40))
        self.guard = max(1, min(50, total // 40))
        self.every = recipe.checkpoint
        self.began = self.last = time.monotonic()
        self.looks = [(step, self.began)]

    def due(self, step: int) -> bool:
        """Every so many steps when told, else about every 30 seconds."""
        return step % self.every == 0 if self.every else time.monotonic() - self.last > 30

    def saved(self) -> None:
        self.last = time.monotonic()

    def seconds(self, step: int) -> float:
        """Mean wall-clock of a step in the later half of those so far, everything included."""
        now = time.monotonic()
        self.looks.append((step, now))
        before, then = self.looks[(len(self.looks) - 1) // 2]
        return (now - then) / max(1, step - before)


def _guard(state: State, course: Course, deadline: float, pace: Pace, machine: Machine) -> None:
    """From half of the time, or of the steps, on: as many steps, annealed, as the machine has shown to take in what is left.

    Few steps tell little of a machine, and a half is enough to anneal in: a run that was slow at first need not be cut short.
    """
    now = time.monotonic()
    left, each, leeway = deadline - now, pace.seconds(state.step), 0.05 * (deadline - pace.began)
    length = max(1, int(left / each)) if left > 0 else max(1, state.total // 50)
    wanted = (course.last - state.step) * each
    late, early = wanted > left + leeway, wanted < left - leeway
    half = now - pace.began > left or 2 * state.step >= course.total
    if machine.agree(half and (late or early)):
        change = course.end_early if machine.agree(late) else course.end_later
        change(state.step, machine.agree(length))

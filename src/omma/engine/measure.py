"""Minutes into steps: a few steps on copies are timed, then thrown away."""

from __future__ import annotations

import copy
import time

import torch

from omma.data.batches import Batches
from omma.engine import turn
from omma.engine.loop import Validate
from omma.engine.machine import Machine
from omma.engine.turn import Players
from omma.recipe import Recipe
from omma.tasks.task import Task


def steps_in(
    seconds: float,
    task: Task,
    players: Players,
    batches: Batches,
    recipe: Recipe,
    machine: Machine,
    validate: Validate | None,
    looks: float,
) -> tuple[int, dict[str, float]]:
    """How many steps fit into `seconds`, `looks` validations (and what is worth as much) included, and what was measured (seconds).

    The timing itself is paid from the budget. Networks, optimizers and chance are left as they were.
    """
    began = time.monotonic()
    twin = copy.deepcopy(players)
    small = recipe.get("progressive", 0.0)

    def step_at(progress: float) -> float:
        """Median seconds of a step; the first one warms caches and does not count."""
        took: list[float] = []
        start = time.monotonic()
        while len(took) < 4 or (time.monotonic() - start < min(3.0, 0.03 * seconds) and len(took) < 40):
            tick = time.monotonic()
            batch = batches.at(len(took), progress)
            told = turn.take(task, twin, batch, 0, recipe, machine, 0.0, recipe.get("micro_batch", len(batch)))
            float(sum(told.values()))  # waits for the device
            took.append(time.monotonic() - tick)
        return sorted(took[1:])[len(took[1:]) // 2]

    step = (1 - small) * step_at(1.0) + (small * step_at(0.0) if small else 0.0)
    look = 0.0
    if validate is not None:
        start = time.monotonic()
        if machine.is_first:
            validate(twin.judged())
        look = time.monotonic() - start
    if machine.device.type == "cuda":
        torch.cuda.empty_cache()
    left = seconds - (time.monotonic() - began) - looks * look
    measured = {"step_seconds": step, "validation_seconds": look}
    return machine.agree(max(1, int(left / step))), machine.agree(measured)

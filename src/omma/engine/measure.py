"""Minutes into steps: a few steps on copies are timed, then thrown away."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import numpy as np
import torch

from omma.data.batches import Batches
from omma.engine import turn
from omma.engine.loop import Validate
from omma.engine.machine import Machine
from omma.engine.turn import Players
from omma.recipe import Recipe
from omma.tasks.task import Task

# The first answers pay for what is made once (memory, kernels of this size), twice their price in a deep network: they are timed again
# where that costs less than so much of the time there is.
AGAIN = 0.02


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of a training step and of answering one picture held out."""

    step: float
    answer: float


def times(
    seconds: float, task: Task, players: Players, batches: Batches, recipe: Recipe, machine: Machine, look: Validate | None, pictures: int
) -> Times:
    """What a run on this machine will cost, measured within a few hundredths of `seconds`.

    Args:
        look: scores networks on `pictures` pictures; None where nothing is held out.

    Networks, optimizers and chance are left as they were: copies are timed and thrown away.
    """
    twin = copy.deepcopy(players)
    small, cycle = recipe.get("progressive", 0.0), task.cycle

    def step_at(progress: float) -> float:
        """Mean seconds of a step over a cycle of turns: the median of each of its places, of whole cycles.

        The first half warms caches, memory and the processor, and does not count.
        """
        took: list[float] = []
        start = time.monotonic()
        while machine.agree(len(took) < max(4, 2 * cycle) or (time.monotonic() - start < min(12.0, 0.02 * seconds) and len(took) < 40)):
            tick = time.monotonic()
            batch = batches.at(len(took), progress)
            told = turn.take(task, twin, batch, len(took), recipe, machine, 0.0, recipe.get("micro_batch", len(batch)))
            float(sum(told.values()))  # waits for the device
            took.append(time.monotonic() - tick)
        return over_cycle(took, cycle)

    step = (1 - small) * step_at(1.0) + (small * step_at(0.0) if small else 0.0)
    answer = 0.0
    if look is not None and machine.is_first:
        answer = _took(look, twin) / pictures
        if answer * pictures < AGAIN * seconds:
            answer = min(answer, _took(look, twin) / pictures)
    if machine.device.type == "cuda":
        torch.cuda.empty_cache()
    found = machine.agree((step, answer))
    return Times(*found)


def _took(look: Validate, players: Players) -> float:
    """Seconds of a look."""
    start = time.monotonic()
    look(players.judged())
    return time.monotonic() - start


def over_cycle(took: list[float], cycle: int) -> float:
    """Mean seconds of a step: at each place of a cycle of turns the median over the whole cycles in the later half, one at least.

    Args:
        took: seconds of one step after the other, of one cycle at least.
        cycle: steps after which turns begin anew.
    """
    count = max(1, len(took) // 2 // cycle) * cycle
    return float(np.median(np.reshape(took[-count:], (-1, cycle)), 0).mean())

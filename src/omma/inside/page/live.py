"""A look inside that stays in memory: maps, arithmetic and gradients are made when the page asks for them."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from omma.inside.look import Inside
from omma.inside.page.parts import Held, short
from omma.inside.page.sheet import QUERIES, SIDES, Sheet, Writing, ill
from omma.inside.slopes import health, slopes
from omma.inside.subject import asks
from omma.inside.sums import INS, Sums
from omma.inside.unit import unit
from omma.words import both

PIXELS = 4_000_000  # of one layer's maps: larger ones are shown smaller
NAMES = 1000  # that can be chosen from


class Live:
    """One look inside behind a page that asks.

    Args:
        found: what was computed; its graph stays for other questions.
    """

    def __init__(self, found: Inside) -> None:
        self.found, self._lock = found, threading.Lock()
        self._parts = Held()
        self._writing = _Asked(found, False, self._parts)
        self.sheet: Sheet = self._writing.write()

    def part(self, number: int) -> bytes | None:
        """The bytes of a part, see `Parts`; None where there is none."""
        return self._parts.made(number)

    def unit(self, place: int, channel: int, y: int, x: int, every: bool = False) -> dict[str, Any]:
        """Where one number comes from, see `inside.unit`.

        Args:
            every: all inputs are told one by one.

        Raises:
            IndexError: there is no such unit.
        """
        return unit(self.found.seen, place, channel, y, x, None if every else INS)

    def ask(self, about: str | None, at: tuple[float, float, float, float] | None) -> dict[str, Any]:
        """Follow an answer back: {"ask", "rows" by step, "picture", "health" by step}, as the page reads them.

        Args:
            about: a class; the surest when open.
            at: a box, or a region, in pixels of the picture.

        Raises:
            OmmaError: no such name.
            NotMeaningful: the task's answers lie nowhere, but `at` says where.
        """
        found = self.found
        with self._lock:
            one = asks(found.subject, found.before, found.seen, found.answer, about, at, others=0)[0]
            back = slopes(found.seen, one.about, one.score)
        told = health(found.seen, back)
        return {
            "ask": {"about": back.about, "score": short([back.score])[0]},
            "rows": [self._writing._slopes(back, place, True) for place in range(len(found.seen.steps))],
            "picture": self._writing._picture_slope(back),
            "health": [ill(told[place]) if place in told else None for place in range(len(found.seen.steps))],
        }


class _Asked(Writing):
    """The page of such a look: exact numbers come with the unit that is asked about, maps in their own size."""

    def write(self) -> Sheet:
        made = super().write()
        task = self.found.subject.bundle.task
        made.data["question"] = {"names": list(task.names[:NAMES]), "placed": bool(_placed(task.answer))}
        return made

    def _wanted(self) -> list[list[int]]:
        return [[] for _ in self.steps]

    def _side_of(self, place: int) -> int | None:
        count, height, width = self.maps[place].shape
        return next((side for side in SIDES if count * min(side, height) * min(side, width) <= PIXELS), SIDES[-1])

    def _exact(self, place: int) -> dict[str, Any]:
        return {}

    def _exact_picture(self, values: np.ndarray) -> dict[str, Any]:
        return {}

    def _sums(self, place: int, sums: Sums) -> dict[str, Any]:
        return {
            "kind": sums.kind,
            "outs": sums.outs,
            "ins": sums.ins,
            "numbers": {key: sums.numbers[key] for key in "k" if key in sums.numbers},
        }

    def _left(self) -> list[dict[str, str]]:
        rows = [both("look.left.live", ins=INS)]
        if any(step.attention is not None and step.attention.shape[1] > QUERIES for step in self.steps):
            rows.append(both("look.left.queries", count=QUERIES))
        return [*rows, *self._unseen()]


def _placed(answer: type) -> bool:
    """Whether a question may say where."""
    from omma.answers.placed import Placed

    return issubclass(answer, Placed)

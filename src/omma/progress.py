"""How a verb tells what it is doing: one small protocol that the command line, the studio and tests fill in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")


class Watch:
    """Somebody who watches a verb work. This one looks away: every method does nothing.

    Verbs take `watch: Watch = Watch()`; the command line passes one that draws bars with time left.
    """

    def step(self, what: str, done: float, total: float | None = None, **facts: object) -> None:
        """`done` of `total` of `what` (a short sentence) is finished; `facts` are numbers worth showing beside it."""

    def end(self, what: str) -> None:
        """`what` is finished: its bar may go."""

    def say(self, line: str) -> None:
        """One line to read, kept on the screen."""

    def warn(self, line: str) -> None:
        """One line that asks for attention."""

    def event(self, event: dict) -> None:
        """One row of a run's event stream."""

    def each(self, what: str, things: Iterable[T], total: int | None = None) -> Iterator[T]:
        """`things`, one by one, telling how far we are."""
        total = total if total is not None else len(things) if isinstance(things, Sized) else None
        for done, thing in enumerate(things):
            self.step(what, done, total)
            yield thing
        self.end(what)


class Unrepeated(Watch):
    """Passes everything on to another watch, but each sentence only the first time: for verbs that do the same work several times."""

    def __init__(self, watch: Watch) -> None:
        self._watch, self._heard = watch, set[str]()

    def step(self, what: str, done: float, total: float | None = None, **facts: object) -> None:
        self._watch.step(what, done, total, **facts)

    def end(self, what: str) -> None:
        self._watch.end(what)

    def say(self, line: str) -> None:
        if line not in self._heard:
            self._heard.add(line)
            self._watch.say(line)

    def warn(self, line: str) -> None:
        if line not in self._heard:
            self._heard.add(line)
            self._watch.warn(line)

    def event(self, event: dict) -> None:
        self._watch.event(event)

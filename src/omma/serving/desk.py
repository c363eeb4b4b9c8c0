"""From the bytes somebody sent to the answer's JSON: decoded in a few threads, computed in one, forgotten when nobody waits any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from omma.errors import DataError
from omma.serving.batcher import Batcher, Expired, Full
from omma.words import say

# JSON, a picture, or a map and the JSON of what it belongs to.
Told = dict[str, Any] | bytes | tuple[bytes, dict[str, Any]]


class Runs(Protocol):
    """What of a runtime is needed here."""

    def run(self, frames: np.ndarray) -> dict[str, np.ndarray]: ...

    def answers(self, frames: np.ndarray) -> Sequence[Any]: ...


class Gone(Exception):
    """Whoever asked has left."""


class Model:
    """A bundle and the runtime that computes it: the same decoder, views, runtime and operating point as `predict`.

    Args:
        bundle: an opened bundle.
        runtime: frames (N, S, S, C) uint8 → operated tensors.
        max_pixels: of one picture.
    """

    def __init__(self, bundle: Any, runtime: Runs, max_pixels: int = 40_000_000) -> None:
        self.bundle, self.runtime, self.max_pixels = bundle, runtime, max_pixels

    @property
    def draws(self) -> bool:
        """Whether it is asked by a seed, in JSON, and not by a picture."""
        return self.bundle.task.asks == "seed"

    def frames(self, blob: bytes) -> tuple[np.ndarray, Any]:
        """The bytes of a picture file → (frames, S, S, C) uint8, and where the picture lies in them, or what its answer is dressed with.

        Of a model that draws: `{"seed", "class", "truncation"}` in JSON, each of which may be left out → one row of seeds.

        Raises:
            DataError: not a picture, damaged, or too large; the size is read from the header, before any pixel. Or no such JSON.
        """
        if self.draws:
            from omma.serving.wish import seeds_of

            return seeds_of(self.bundle, blob), None
        from omma.data.decode import probe
        from omma.data.moving.sampled import as_read

        about = probe(blob)
        if about.width * about.height > self.max_pixels:
            raise DataError(say("serve.too_many_pixels", width=about.width, height=about.height, cap=self.max_pixels // 1_000_000))
        picture = as_read(blob, self.bundle.views.channels, name=say("serve.picture"))
        frames = self.bundle.views.frames(picture)
        return frames, (picture, blob) if self._own else self.bundle.views.spot(*picture.shape[:2])

    @property
    def _own(self) -> bool:
        return self.bundle.views.fit == "own"

    def rows(self, frames: np.ndarray) -> Sequence[Any]:
        """(N, S, S, C) uint8 → the operated tensors of each of N frames, as a batch of one; of pictures at their own size the answers."""
        if self._own:
            return self.runtime.answers(frames)
        found = self.runtime.run(frames)
        return [{key: value[row : row + 1] for key, value in found.items()} for row in range(len(frames))]

    @property
    def maps(self) -> bool:
        """Whether an answer has a map beside its JSON."""
        from omma.answers.placed import Framed

        return issubclass(self.bundle.task.answer, Framed)

    def tell(self, rows: Sequence[Any], place: Any, shown: bool = False) -> Told:
        """One picture's answer as JSON, from the rows of its frames; an answer that is a picture as a PNG file.

        Args:
            shown: the map is wanted, where there is one: then a PNG file and the JSON.
        """
        import torch

        from omma.answers.placed import Framed
        from omma.data.own.dress import dressed
        from omma.engine.told import told

        if self._own:
            return dressed(rows[0], *place).png()
        if self.draws:
            tensors = {key: torch.from_numpy(value) for key, value in rows[0].items()}
            return self.bundle.task.decode(tensors)[0].in_depth(8).png()
        tensors = {key: torch.from_numpy(np.concatenate([row[key] for row in rows])) for key in rows[0]}
        said = told(self.bundle.task, tensors, self.bundle.point, [place])[0]
        return (said.png(), said.json()) if shown and isinstance(said, Framed) else said.json()


@dataclass(slots=True)
class _Asker:
    deadline: float  # of time.monotonic()
    left: bool = False


class Desk:
    """Where pictures are handed in.

    Args:
        model: what answers.
        batcher: the one compute thread.
        places: requests inside at once; one more is refused at once.
        decoders: threads that decode.
        seconds: an answer that would come later is not worth computing.
    """

    def __init__(self, model: Model, batcher: Batcher, *, places: int = 64, decoders: int = 1, seconds: float = 10.0) -> None:
        self.model, self.batcher, self.places, self.seconds = model, batcher, places, seconds
        self.inside = 0
        self._pool = ThreadPoolExecutor(decoders, thread_name_prefix="omma-decode")

    def full(self) -> int | None:
        """Seconds after which trying again makes sense; None while there is a place and an answer would come well in time."""
        rate = self.batcher.rate()
        too_late = rate > 0 and self.inside >= max(self.batcher.most, rate * self.seconds / 2)
        return self.batcher.wait() if self.inside >= self.places or too_late else None

    async def answer(self, blob: bytes, leaving: Callable[[], Awaitable[None]], shown: bool = False) -> Told:
        """The answer's JSON, or the PNG file of an answer that is a picture.

        Args:
            blob: the bytes of a picture file.
            leaving: returns when whoever asked has gone.
            shown: as of `Model.tell`.

        Raises:
            Full, Expired, Gone, DataError.
        """
        if (wait := self.full()) is not None:
            raise Full(wait)
        self.inside += 1
        asker = _Asker(time.monotonic() + self.seconds)
        work = asyncio.ensure_future(self._work(blob, asker, shown))
        left = asyncio.ensure_future(leaving())
        try:
            await asyncio.wait({work, left}, timeout=self.seconds, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            raise Gone if left.done() else Expired
        finally:
            asker.left = True
            for task in (work, left):
                task.cancel()
            await asyncio.gather(work, left, return_exceptions=True)
            self.inside -= 1

    async def _work(self, blob: bytes, asker: _Asker, shown: bool) -> Told:
        frames, place = await asyncio.get_running_loop().run_in_executor(self._pool, self._frames, blob, asker)
        # The windows of a large picture take turns with other people's pictures.
        rows = [await asyncio.wrap_future(self.batcher.submit(frame, asker.deadline)) for frame in frames]
        # Not behind pictures that wait to be decoded, and not where the others' requests are read.
        return await asyncio.to_thread(self.model.tell, rows, place, shown)

    def _frames(self, blob: bytes, asker: _Asker) -> tuple[np.ndarray, Any]:
        if asker.left or time.monotonic() > asker.deadline:
            raise Expired
        return self.model.frames(blob)

    def close(self) -> None:
        """Finish what is in work."""
        self.batcher.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

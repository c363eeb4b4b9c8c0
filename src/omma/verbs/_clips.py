"""Moving pictures through `predict`: one answer a frame, in order, a drawn clip, and how long a frame takes."""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omma.errors import DataError
from omma.verbs._answering import Job, Row, Told
from omma.words import say

if TYPE_CHECKING:
    import numpy as np

    from omma.answers.answer import Answer
    from omma.data.moving.clip import Clip
    from omma.data.moving.film import Film
    from omma.verbs._inputs import Inputs
    from omma.verbs._outputs import Table

# So many frames fewer than the file promises, or a fiftieth of them, are a rounded duration; more are told.
FEW = 2


class Latency:
    """How long frames took, from being decoded to being answered; drawing and writing are not part of it."""

    def __init__(self) -> None:
        self._took = array("d")

    def __len__(self) -> int:
        return len(self._took)

    def note(self, seconds: float) -> None:
        """One more frame."""
        self._took.append(seconds * 1000)

    def percentile(self, share: float) -> float | None:
        """Milliseconds in which `share` percent of the frames were answered, between two of them on the line; None of none."""
        import numpy as np

        return float(np.percentile(np.asarray(self._took), share)) if self._took else None

    @property
    def p50(self) -> float | None:
        return self.percentile(50)

    @property
    def p99(self) -> float | None:
        return self.percentile(99)

    def json(self) -> dict[str, Any]:
        """{"frames", "p50_ms", "p99_ms"}."""
        return {"frames": len(self), "p50_ms": self.p50, "p99_ms": self.p99}


@dataclass(slots=True)
class Take:
    """What becomes one drawn clip: a clip, or pictures that follow each other in one folder.

    Args:
        places: among the inputs; one of a clip.
        clip: None of pictures.
        moving: it has a time: a clip, readable or not, or pictures that shall become one.
        error: why a clip cannot be read.
    """

    places: list[int]
    clip: Clip | None = None
    moving: bool = False
    error: str = ""

    @property
    def total(self) -> int | None:
        """Rows it will give, as far as it says."""
        return len(self.places) if self.clip is None else self.clip.count


class Shot(NamedTuple):
    """One picture on its way to its row.

    Args:
        place: of its file among the inputs.
        named: what its row begins with.
        picture: as decoded; None where there is none.
        error: why not.
    """

    place: int
    named: dict[str, Any]
    picture: np.ndarray | None
    error: str = ""


def takes(inputs: Inputs, as_: str) -> list[Take] | None:
    """The inputs as takes; None where there are pictures alone, and each is for itself.

    Raises:
        OmmaError: there is something moving, and OpenCV is not installed.
    """
    from omma.data.moving.clip import CLIP_SUFFIXES, open_clip, opencv

    def is_clip(place: int) -> bool:
        return place not in inputs.missing and os.path.splitext(inputs.files[place])[1].lower() in CLIP_SUFFIXES

    joined = as_ == "clip"
    if not joined and not any(map(is_clip, range(len(inputs.files)))):
        return None
    opencv()
    found: list[Take] = []
    folder = None  # of the pictures that the last take holds
    for place, file in enumerate(inputs.files):
        if is_clip(place):
            try:
                found.append(Take([place], open_clip(Path(file)), True))
            except DataError as error:
                found.append(Take([place], None, True, error.what))
            folder = None
        elif folder is not None and os.path.dirname(os.path.abspath(file)) == folder:
            found[-1].places.append(place)
        else:
            found.append(Take([place], moving=joined))
            folder = os.path.dirname(os.path.abspath(file)) if joined else None
    return found


@dataclass(slots=True)
class Reel(Job):
    """`Job` where something moves: one take after the other, frame by frame, each with the whole machine.

    Args:
        takes: the inputs, see `takes`.
        latency: of the frames of all takes that move.
        held: what is being answered.
        film: what it becomes, where it becomes one.
    """

    takes: list[Take] = field(default_factory=list)
    latency: Latency = field(default_factory=Latency)
    held: list[Shot] = field(default_factory=list)
    film: Film | None = None

    @property
    def filmed(self) -> bool:
        """Whether a take that moves becomes a clip: with answers drawn on it, or of answers that are pictures."""
        return self.as_ == "clip" or (self.opened.task.answer.kind == "picture" and self.as_ != "drawn")

    @property
    def total(self) -> int | None:
        counts = [take.total for take in self.takes]
        return None if None in counts else sum(count or 0 for count in counts)

    def rows(self) -> Iterator[Row]:
        """Every row, and at the end how long a frame took."""
        yield from Job.rows(self)
        if len(self.latency):
            self._tell("predict.latency", self.latency)

    def _tell(self, key: str, latency: Latency, **more: Any) -> None:
        self.watch.say(say(key, frames=len(latency), p50=f"{latency.percentile(50):.1f}", p99=f"{latency.percentile(99):.1f}", **more))

    def _known(self) -> dict[str, dict[str, Any]]:
        """Rows of an interrupted run. A clip goes on with its next frame; one that was being drawn begins anew."""
        if self.folder is None:
            return {}
        rows = _by_path(self.folder.known)
        open_ = {path for take in self.takes if not self._complete(take, rows) for path in self._paths(take)}
        kept = {
            key: row for key, row in self.folder.known.items()
            if row["path"] not in open_ or (not self.filmed and "error" not in row)
        }  # fmt: skip
        if len(kept) < len(self.folder.known):
            self.folder.keep(kept)
        named = set(self.inputs.files)
        known = {key: row for key, row in kept.items() if row["path"] in named}
        if known:
            self.watch.say(say("predict.going_on", done=len(known), total=self.total or "?"))
        return known

    def _paths(self, take: Take) -> list[str]:
        return [self.inputs.files[place] for place in take.places]

    def _complete(self, take: Take, rows: dict[str, list[dict[str, Any]]]) -> bool:
        """Whether every row of a take is in the journal, and its drawn clip where it belongs."""
        count = sum(len(rows.get(path, ())) for path in self._paths(take))
        if not take.moving or self.folder is None:
            return bool(count)
        about = self.folder.clips.get(self._paths(take)[0], {})
        drawn = about.get("drawn")
        return about.get("rows") == count and (drawn is None or (self.folder.out / drawn).is_file())

    def _in_order(self, known: dict[str, dict[str, Any]]) -> Iterator[tuple[int, Row, np.ndarray | None]]:
        before = _by_path(known)
        stems = self._stems() if self.filmed else [""] * len(self.takes)
        warm = False
        for take, stem in zip(self.takes, stems, strict=True):
            rows = [row for path in self._paths(take) for row in before.get(path, ())]
            for row in rows:
                yield take.places[0], Row(row), None
            if self._complete(take, before):
                continue
            if not warm:
                self.engine.answers(self.opened.asked(), self.point)  # the first answer of all takes longer: it is no frame's
                warm = True
            yield from self._answered(take, stem, len(rows))

    def _answered(self, take: Take, stem: str, start: int) -> Iterator[tuple[int, Row, np.ndarray | None]]:
        """The rows of a take from frame `start` on; its drawn clip stands under its name when the last row is written."""
        film, latency, count, whole, drawn = self._film(take, stem), Latency(), start, False, None
        self.film = film
        try:
            for batch in self._batches(self._shots(take, start)):
                self.held = [shot for shot, _ in batch]
                answers = self._answer(list(range(len(batch))))
                now = time.perf_counter()
                for slot, ((shot, since), (answer, features)) in enumerate(zip(batch, answers, strict=True)):
                    if not isinstance(answer, str | dict):
                        if take.moving:
                            latency.note(now - since)
                            self.latency.note(now - since)
                        self._show(slot, answer, film)
                    yield shot.place, self._row(slot, answer, features), features
                    count += 1
            whole = True
        finally:
            if film is not None:
                drawn = film.close(whole)
        self.held = []
        if take.moving:
            self._ended(take, latency, count, drawn)

    def _batches(self, shots: Iterable[Shot]) -> Iterator[list[tuple[Shot, float]]]:
        """Shots, and when each was decoded, `batch` at a time."""
        waiting: list[tuple[Shot, float]] = []
        for shot in shots:
            waiting.append((shot, time.perf_counter()))
            if len(waiting) == self.batch:
                yield waiting
                waiting = []
        if waiting:
            yield waiting

    def _shots(self, take: Take, start: int) -> Iterator[Shot]:
        if take.clip is not None:
            yield from self._frames(take.places[0], take.clip, start)
            return
        for place, path in zip(take.places, self._paths(take), strict=True):
            try:
                if take.error:
                    raise DataError(take.error)
                yield Shot(place, {"path": path}, Job._picture(self, place))
            except DataError as error:
                yield Shot(place, {"path": path}, None, error.what)

    def _frames(self, place: int, clip: Clip, start: int) -> Iterator[Shot]:
        """The frames that can be read; of what is cut off, one shot that says so."""
        path, read, error = self.inputs.files[place], start, ""
        try:
            for frame in clip.frames(start):
                read = frame.place + 1
                yield Shot(place, {"path": path, "frame": frame.place, "seconds": frame.seconds}, frame.picture)
        except DataError as damage:
            error = damage.what
        lacking = None if clip.count is None else clip.count - read
        if clip.cut and not error and (lacking is None or lacking > 0):
            error = say("predict.clip_cut", read=read, count=clip.count or "?")
        if error:
            yield Shot(place, {"path": path} | ({"frame": read} if read else {}), None, error)
        elif lacking is not None and lacking > max(FEW, read // 50):
            self.watch.warn(say("predict.clip_short", path=path, read=read, count=clip.count))

    def _picture(self, place: int) -> np.ndarray:
        shot = self.held[place]
        if shot.picture is None:
            raise DataError(shot.error)
        return shot.picture

    def _file(self, place: int) -> Path:
        return Path(self.inputs.files[self.held[place].place])

    def _dressed(self, place: int, answer: Answer, original: np.ndarray) -> Told:
        """A frame has nothing beside its pixels, and becomes no file of its own; a picture among clips is what it always is."""
        if self.film is not None or "frame" in self.held[place].named:
            return answer
        if self.as_ == "drawn":
            self._show(place, answer, None)
        return Job._dressed(self, place, answer, original)

    def _told(self, place: int, answer: Answer) -> dict[str, Any]:
        if answer.kind == "picture" and (self.film is not None or "frame" in self.held[place].named):
            return {} if self.film is None else {"file": str(self.film.path)}
        return Job._told(self, place, answer)

    def _named(self, place: int) -> dict[str, Any]:
        return self.held[place].named

    def _stem(self, place: int) -> str:
        shot = self.held[place]
        below = self.below[shot.place]
        return f"{below}.frames/{shot.named['frame']:06d}" if "frame" in shot.named else self.stems[shot.place]

    def _table(self) -> Table | None:
        if self.folder is None or self.as_ != "csv":
            return None
        from omma.verbs._outputs import Table

        return Table(self.folder.out, {"frame": 0, "seconds": 0.0} | self.engine.answers(self.opened.asked(), self.point)[0].json())

    def _draw(self, place: int, answer: Answer) -> None:
        """Not here, where the time is taken: see `_show`."""

    def _show(self, slot: int, answer: Answer, film: Film | None) -> None:
        """The drawn picture where it belongs; of an answer that is a picture, itself in a clip that nobody asked to be drawn on."""
        picture = self.held[slot].picture
        if film is not None and self.as_ != "clip":
            from omma.answers.picture import Picture, shown

            assert isinstance(answer, Picture), "other answers become clips where they are drawn"
            film.add(shown(answer.deep(8)))
            return
        if self.folder is None or picture is None or (film is None and self.as_ != "drawn"):
            return
        from omma.data.decode import to_rgb8
        from omma.verbs._outputs import keep_drawn

        picture = to_rgb8(picture)
        drawn = answer.draw(picture)
        if film is None:
            keep_drawn(self.folder.out, drawn, self._stem(slot))
        else:
            film.add(drawn, _room(drawn, picture))

    def _film(self, take: Take, stem: str) -> Film | None:
        if self.folder is None or not self.filmed or not take.moving:
            return None
        from omma.data.moving.film import Film

        return Film(self.folder.out / stem, take.clip.rate if take.clip is not None else None)

    def _stems(self) -> list[str]:
        """Where each take's drawn clip lies below the folder, without its suffix: a clip's own name, or that of the pictures' folder."""
        stems: list[str] = []
        for take in self.takes:
            place = take.places[0]
            below, whole = Path(self.below[place] or "clip"), Path(os.path.abspath(self.inputs.files[place]))
            if take.clip is None and not take.error:
                below = below.parent if below.parent.name else Path(whole.parent.name or "clip")
                names = [below]
            else:
                names = [below.with_suffix(""), below]  # a.mov beside a.mp4
            names += [below.with_name(f"{below.name}-{n}") for n in range(2, len(self.takes) + 2)]
            taken = {stem.casefold() for stem in stems}
            stems.append(next(name.as_posix() for name in names if name.as_posix().casefold() not in taken))
        return stems

    def _ended(self, take: Take, latency: Latency, rows: int, drawn: Path | None) -> None:
        path = self._paths(take)[0]
        if self.folder is not None:
            about = {"rows": rows, **latency.json()}
            self.folder.note_clip(path, about | ({} if drawn is None else {"drawn": drawn.relative_to(self.folder.out).as_posix()}))
        if len(latency) and sum(one.moving for one in self.takes) > 1:
            self._tell("predict.latency_of", latency, path=path if take.clip is not None else os.path.dirname(path) or path)


def _by_path(known: dict[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in known.values():
        rows.setdefault(row["path"], []).append(row)
    return rows


def _room(drawn: np.ndarray, picture: np.ndarray) -> int:
    """Rows to keep free below a first frame: later ones may have a strip below them (a legend, "-") where this one has none."""
    import numpy as np

    from omma.answers.draw import banner

    width = drawn.shape[1]
    strip = banner(np.zeros((1, width, 3), np.uint8), ["-"]).shape[0]
    return max(0, max(1, width // picture.shape[1]) * picture.shape[0] + strip - drawn.shape[0])

"""The work of `predict`: from a file to its row, many at once, in order, and every row where it belongs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from omma.errors import DataError, DiskError, Interrupted
from omma.progress import Watch
from omma.words import say

if TYPE_CHECKING:
    import numpy as np

    from omma.answers.answer import Answer
    from omma.bundle import Bundle
    from omma.runtimes.runtime import Runtime
    from omma.verbs._features import Embedding, Neighbours
    from omma.verbs._inputs import Inputs
    from omma.verbs._outputs import Folder, Table


# An answer, its JSON where it is written already, or why there is none.
Told: TypeAlias = "Answer | dict[str, Any] | str"
# What a person does not read on the screen.
HIDDEN = ("path", "probabilities", "width", "height", "rle", "classes")


def short_names(below: list[str]) -> list[str]:
    """Files without their endings; with them where two would be the same."""
    bare = [str(Path(name).with_suffix("")) if name else "" for name in below]
    count = Counter(name.casefold() for name in bare)
    return [short if count[short.casefold()] == 1 else name for short, name in zip(bare, below, strict=True)]


class Row(dict):
    """One picture's answer as JSON values: `{"path", …}`, or `{"path", "error"}`."""

    def json(self) -> dict[str, Any]:
        return dict(self)

    def lines(self) -> list[str]:
        rest = {key: value for key, value in self.items() if key not in HIDDEN}
        if "error" in rest:
            return [say("predict.row_error", path=self["path"], error=rest["error"])]
        return [f"{self['path']}\t" + "\t".join(_short(key, value) for key, value in rest.items())]


def _short(key: str, value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1%}" if key == "probability" else f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:.6g}" for name, number in value.items())
    if isinstance(value, list):
        named = [(one.get("label", one.get("id", "")), one.get("probability", one.get("similarity"))) for one in value]
        return ", ".join(f"{name} {number:.1%}" for name, number in named) or "–"
    if value is False:
        return "–"
    return say(f"predict.{key}") if value is True else str(value)


@dataclass(slots=True)
class Job:
    """One run of `predict`: chunks of pictures answered in threads, rows written and handed out in order.

    Args:
        opened: the model.
        engine: what computes it, in as many threads as it has lanes.
        inputs: the pictures.
        point: values of the operating point that a person set.
        batch: pictures of one chunk.
        watch: sees the progress.
        as_: what is written below `folder`.
        neighbours: training pictures to name, if asked for.
        folder: where rows are kept, if anywhere.
        embed: where features are written, if anywhere.
        keep_format: answers that are pictures are files like their originals.
    """

    opened: Bundle
    engine: Runtime
    inputs: Inputs
    point: dict[str, Any]
    batch: int
    watch: Watch
    as_: str
    neighbours: Neighbours | None
    folder: Folder | None
    embed: Path | None
    keep_format: bool = False
    below: list[str] = field(default_factory=list)
    stems: list[str] = field(default_factory=list)

    @property
    def total(self) -> int | None:
        """Rows in all; None where nobody knows."""
        return len(self.inputs.files)

    def rows(self) -> Iterator[Row]:
        """Every row; those an interrupted run has answered come from its journal."""
        from omma.verbs._features import Embedding
        from omma.verbs._outputs import key_of

        known = self._known()
        self.below = self.inputs.below() if self.folder is not None else []
        self.stems = short_names(self.below) if self.opened.task.answer.kind == "picture" else self.below
        table, embedding, finished, done = None, None, False, 0
        try:
            if self.embed is not None:
                embedding = Embedding(self.embed, sum("error" not in row for row in known.values()))
            table = self._table()
            for done, (place, row, features) in enumerate(self._in_order(known), 1):
                if embedding is not None:
                    self._embed(embedding, row, features)
                self._write(place, row, table, key_of(row) in known)
                self.watch.step(say("predict.working"), done, self.total)
                yield row
            finished = True
        except KeyboardInterrupt:
            fix = say("predict.interrupted_fix") if self.folder is not None else None
            raise Interrupted(say("predict.interrupted", done=done, total=self.total or "?"), fix=fix) from None
        finally:
            self.watch.end(say("predict.working"))
            self.engine.close()
            for thing in (embedding, self.folder):
                if thing is not None:
                    thing.close(finished)
            if table is not None:
                table.close()

    def _known(self) -> dict[str, dict[str, Any]]:
        """Rows of an interrupted run; none when its features are gone."""
        if self.folder is None:
            return {}
        files = self.inputs.files
        known = {path: row for path, row in self.folder.known.items() if path in set(files)}
        from omma.verbs._features import Embedding

        # Rows were written in the order of the pictures: what is known must be their beginning, or features would not be in theirs.
        in_order = list(known) == files[: len(known)]
        rows = sum("error" not in row for row in known.values())
        if self.embed is not None and known and not (in_order and Embedding.holds(self.embed, rows, self._width())):
            self.folder.forget()
            return {}
        if known:
            self.watch.say(say("predict.going_on", done=len(known), total=len(files)))
        return known

    def _width(self) -> int:
        return self._features(self.opened.asked()).shape[1]

    def _features(self, frames: np.ndarray) -> np.ndarray:
        from omma.verbs._features import features

        return features(self.opened, frames)

    def _table(self) -> Table | None:
        """The table, its columns those of any answer of this model."""
        if self.folder is None or self.as_ != "csv":
            return None
        from omma.verbs._outputs import Table

        return Table(self.folder.out, self.engine.answers(self.opened.asked(), self.point)[0].json())

    def _in_order(self, known: dict[str, dict[str, Any]]) -> Iterator[tuple[int, Row, np.ndarray | None]]:
        """(place, row, features) of every picture: chunks between known rows are answered ahead in threads."""
        from omma.data.crew import in_threads

        files = self.inputs.files
        width = self._width() if known and self.embed is not None else 0
        todo = [place for place, file in enumerate(files) if file not in known]
        chunks = [todo[start : start + self.batch] for start in range(0, len(todo), self.batch)]
        ahead = in_threads(self._answer, chunks, self.engine.lanes)
        answered = (one for chunk in ahead for one in chunk)
        try:
            for place, file in enumerate(files):
                if file in known:
                    yield place, Row(known[file]), self._blank_row(width)
                    continue
                answer, features = next(answered)
                yield place, self._row(place, answer, features), features
        finally:
            answered.close()
            ahead.close()  # type: ignore[attr-defined]

    def _blank_row(self, width: int) -> np.ndarray | None:
        import numpy as np

        return np.zeros(width, np.float32) if width else None

    def _answer(self, places: list[int]) -> list[tuple[Told, np.ndarray | None]]:
        """In a thread: files → (answer, or why there is none, and features).

        An answer that is a picture is written here: where many wait for their turn, they would not fit into memory.
        """
        import numpy as np

        results: list[tuple[Told, np.ndarray | None]] = [("", None)] * len(places)
        frames, whole, spots, good = [], [], [], []
        own = self.opened.views.fit == "own"  # of any size, so they come one by one
        wanted = self.neighbours is not None or self.embed is not None  # features, of pictures as a whole
        for slot, place in enumerate(places):
            try:
                picture = self._picture(place)
                frames.append(self.opened.views.frames(picture))
                if wanted:
                    whole.append(frames[-1][0] if len(frames[-1]) == 1 else self.opened.views.frame(picture))
                spots.append(self.opened.views.spot(*picture.shape[:2]))
                good.append(slot)
            except DataError as error:
                results[slot] = (error.what, None)
        if not frames:
            return results
        batch = np.concatenate(frames)
        features = self._features(np.stack(whole)) if wanted else None
        for row, (slot, answer) in enumerate(zip(good, self.engine.answers(batch, self.point, spots), strict=True)):
            told: Told = self._dressed(places[slot], answer, picture) if own else answer
            results[slot] = (told, None if features is None else features[row])
            if self.folder is not None and self.as_ == "drawn":
                self._draw(places[slot], answer)
        return results

    def _picture(self, place: int) -> np.ndarray:
        from omma.data.moving.sampled import as_read

        if place in self.inputs.missing:
            raise DataError(self.inputs.missing[place])
        return as_read(Path(self.inputs.files[place]), self.opened.views.channels)

    def _dressed(self, place: int, answer: Answer, original: np.ndarray) -> Told:
        """JSON of an answer that is a picture, written with what its original has beside what a network sees."""
        from omma.answers.picture import Picture
        from omma.data.own.dress import dressed

        assert isinstance(answer, Picture)
        return self._told(place, dressed(answer, original, self._file(place)))

    def _file(self, place: int) -> Path:
        return Path(self.inputs.files[place])

    def _draw(self, place: int, answer: Answer) -> None:
        from omma.verbs._outputs import draw_into

        assert self.folder is not None
        draw_into(self.folder.out, self.inputs.files[place], answer, self.below[place], self.opened.views.channels)

    def _row(self, place: int, answer: Told, features: np.ndarray | None) -> Row:
        if isinstance(answer, str):
            return Row(**self._named(place), error=answer)
        row = Row(**self._named(place), **(answer if isinstance(answer, dict) else self._told(place, answer)))
        if self.neighbours is not None and features is not None:
            row["nearest"] = self.neighbours.of(features)
        return row

    def _named(self, place: int) -> dict[str, Any]:
        return {"path": self.inputs.files[place]}

    def _stem(self, place: int) -> str:
        return self.stems[place]

    def _told(self, place: int, answer: Answer) -> dict[str, Any]:
        """The answer's JSON; what does not fit into a row lies beside it in the folder, where there is one."""
        from omma.answers.picture import Picture
        from omma.answers.placed import Framed, Placed

        if self.folder is None or not isinstance(answer, Placed | Picture | Framed):
            return answer.json()
        stem = self.folder.out / self._stem(place)
        try:
            if isinstance(answer, Picture) and self.keep_format:
                return answer.written(stem, self._file(place).suffix)
            return answer.written(stem)
        except OSError as error:
            raise DiskError(say("predict.not_written", reason=error.strerror or error), self.folder.out) from None

    def _embed(self, embedding: Embedding, row: Row, features: np.ndarray | None) -> None:
        if "error" in row or features is None:
            return
        if self.folder is not None and row["path"] in self.folder.known:
            embedding.skip(row["path"], len(features))
        else:
            embedding.add(row["path"], features)

    def _write(self, place: int, row: Row, table: Table | None, known: bool) -> None:
        """A row where it belongs; the journal last, so that a row in it is a row done."""
        if self.folder is None:
            return
        if table is not None:
            try:
                table.write(row)
            except OSError as error:
                raise DiskError(say("predict.not_written", reason=error.strerror or error), self.folder.out) from None
        if known:
            return
        if self.as_ == "folders":
            from omma.verbs._outputs import sort_into

            sort_into(self.folder.out, row, self.below[place])
        self.folder.note(row)

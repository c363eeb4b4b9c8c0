"""`predict` of a model that draws: so many pictures from a seed, one file each, and what is drawn beside them when asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omma.errors import DiskError, Interrupted, OmmaError
from omma.progress import Watch
from omma.verbs._answering import Row
from omma.words import say

if TYPE_CHECKING:
    import numpy as np

    from omma.bundle import Bundle
    from omma.verbs.predict import Predictions

COUNT, MOST, WAYS = 16, 1_000_000, 8  # pictures, at most; how many ways between two are drawn
MARK = "omma"  # the text of a PNG file in which stands what it was drawn from
BESIDE = {"grid": "grid.png", "between": "between.png"}


def draw(
    opened: Bundle,
    paths: Sequence[str | Path],
    asked: dict[str, Any],
    out: str | Path | None,
    device: str,
    runtime: str | None,
    watch: Watch,
) -> Predictions:
    """Rows `{"path", "file", "seed", "place", "label"}`, a picture each, drawn as they are taken.

    A picture's file says what it was drawn from, so the same words said again go on where they were, and nothing of a person's is ever
    written over.

    Raises:
        OmmaError: no place to write to, a folder that holds something else, a class that was not learned, or a model that draws nothing.
    """
    from omma.runtimes.choose import named
    from omma.verbs.predict import Predictions

    if opened.task.asks != "seed":
        raise OmmaError(say("generate.draws_nothing", flags=", ".join(f"--{key}" for key in asked)), opened.path)
    if paths:
        raise OmmaError(say("generate.no_pictures"), None, say("generate.no_pictures_fix"))
    if out is None:
        raise OmmaError(say("generate.out_wanted"))
    count, truncation = asked.get("count", COUNT), asked.get("truncation", 1.0)
    for name, value, low, high in (
        ("count", count, 1, MOST), ("truncation", truncation, 0, 1), ("between", asked.get("between", 2), 2, 64),
        ("seed", asked.get("seed", 0), 0, (1 << 63) - 1),
    ):  # fmt: skip
        if not low <= value <= high:
            raise OmmaError(say("predict.out_of_range", name=name, value=value, low=low, high=high))
    work = Drawing(opened, Path(out), asked | {"count": count, "truncation": truncation}, watch)
    work.open()
    name = "ort" if opened.card.get("runtime", {}).get("file") else runtime or "eager"
    engine = named(name, opened, device=_device(device) if name == "eager" or device != "auto" else "cpu")
    return Predictions(work.rows(engine), count, engine.name)


def _device(device: str) -> str:
    from omma.engine.machine import device_of

    return str(device_of(device))


class Drawing:
    """One call: the seeds, the files, and what is drawn beside them.

    Args:
        opened: the model.
        out: the folder; new, empty, or one of the same drawing.
        asked: count, seed, class, truncation, grid, between.
    """

    def __init__(self, opened: Bundle, out: Path, asked: dict[str, Any], watch: Watch) -> None:
        from omma.engine.painting.drawing import labels_of

        self.opened, self.out, self.asked, self.watch = opened, out, asked, watch
        self.seed, self.count = asked.get("seed", 0), asked["count"]
        self.seeds = opened.seeds(self.seed, self.count, asked.get("class"), asked["truncation"])
        self.labels = labels_of(opened.task, self.seeds)
        self.names = [f"{place:05d}.png" for place in range(self.count)]

    def open(self) -> None:
        """Make the folder; what lies in it must be pictures of this very drawing.

        Raises:
            OmmaError: something else lies there.
            DiskError: it cannot be made.
        """
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            found = sorted(path for path in self.out.iterdir() if not path.name.endswith(".partial"))
        except OSError as error:
            raise DiskError(say("predict.not_written", reason=error.strerror or error), self.out) from None
        mine = {name: place for place, name in enumerate(self.names)}
        for path in found:
            beside = path.name in BESIDE.values() and _marked(path) is not None
            if not beside and (path.name not in mine or _marked(path) != self._mark(mine[path.name])):
                raise OmmaError(say("generate.not_ours", file=path.name), self.out, say("predict.not_ours_fix"))
        self.done = {path.name for path in found} & set(self.names)

    def rows(self, engine: Any) -> Iterator[Row]:
        """Every picture's row; those that lie there already are not drawn again."""
        from omma.engine.painting.drawing import AT_ONCE, drawn

        kept: list[np.ndarray] = []
        done = 0
        try:
            for start in range(0, self.count, AT_ONCE):
                places = range(start, min(start + AT_ONCE, self.count))
                wanted = [place for place in places if self.names[place] not in self.done or self._shown(place)]
                made = dict(zip(wanted, drawn(engine.run, self.opened.task, self.seeds[wanted]) if wanted else [], strict=True))
                for place in places:
                    path = self.out / self.names[place]
                    if place in made and self._shown(place):
                        kept.append(made[place].draw(made[place].pixels))
                    if path.name not in self.done:
                        write(path, made[place].pixels, self._mark(place))
                    done += 1
                    self.watch.step(say("generate.drawing"), done, self.count)
                    label = {"label": self.labels[place]} if self.labels[place] else {}
                    yield Row(path=str(path), file=str(path), seed=self.seed, place=place, **label)
            self._beside(engine, kept)
        except KeyboardInterrupt:
            raise Interrupted(say("predict.interrupted", done=done, total=self.count), fix=say("predict.interrupted_fix")) from None
        finally:
            self.watch.end(say("generate.drawing"))
            engine.close()

    def _shown(self, place: int) -> bool:
        return bool(self.asked.get("grid")) and place < 1024

    def _beside(self, engine: Any, kept: list[np.ndarray]) -> None:
        """The grid, and what lies between one picture and the next."""
        import numpy as np

        from omma.answers import draw
        from omma.engine.painting.drawing import between, drawn

        about = self._mark(0) | {"count": self.count}
        side = max(64, self.opened.views.size)
        if kept:
            write(self.out / BESIDE["grid"], draw.grid(kept, self.labels[: len(kept)] if any(self.labels) else (), side), about)
        if (steps := self.asked.get("between")) is None:
            return
        task, rows = self.opened.task, self.seeds
        ends = rows if len(rows) > 1 else np.concatenate([rows, rows])
        ways = np.concatenate([between(task, ends[place : place + 2], steps) for place in range(min(WAYS, len(ends) - 1))])
        made = [one.draw(one.pixels) for one in drawn(engine.run, task, ways)]
        write(self.out / BESIDE["between"], draw.grid(made, (), side, steps), about | {"between": steps})

    def _mark(self, place: int) -> dict[str, Any]:
        """What a picture was drawn from: anybody may see that no camera made it."""
        about = {"made_by": "omma", "weights": self.opened.digest, "seed": self.seed, "place": place}
        about |= {"label": self.labels[place]} if self.labels[place] else {}
        return about | ({"truncation": self.asked["truncation"]} if self.asked["truncation"] != 1 else {})


def write(path: Path, pixels: np.ndarray, about: dict[str, Any]) -> None:
    """A PNG file with `about` in it, whole or not at all.

    Raises:
        DiskError: the disk does not take it.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    words = PngInfo()
    words.add_itxt(MARK, json.dumps(about, ensure_ascii=False))
    partial = path.with_name(f".{path.name}.partial")
    try:
        Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(partial, "PNG", pnginfo=words)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DiskError(say("predict.not_written", reason=error.strerror or error), path) from None


def _marked(path: Path) -> dict[str, Any] | None:
    """What `write` wrote into a file; None where it did not write it."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            found = json.loads(getattr(picture, "text", {})[MARK])
    except (OSError, ValueError, KeyError, TypeError, SyntaxError):
        return None
    return found if isinstance(found, dict) else None

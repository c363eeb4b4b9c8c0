"""Train on handwriting or drawn shapes in a minute or two, predict, explain, report: nothing to download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omma.progress import Watch
from omma.words import metric, say

if TYPE_CHECKING:
    from omma.data.sample import Dataset
    from omma.verbs._trained import Trained
    from omma.verbs.explain import Explanation

PICTURES = 5
# What is learned → as which task, and how long.
TOURS = {"digits": ("classify", "40s"), "shapes": ("detect", "2min")}


@dataclass
class Tour:
    """What the demo made.

    Args:
        trained: the finished run.
        predictions: a few held-out pictures: prediction JSON and the truth, as JSON of the same kind.
        explanation: of the first one.
    """

    trained: Trained
    predictions: list[dict[str, Any]]
    explanation: Explanation

    def json(self) -> dict[str, Any]:
        return {**self.trained.json(), "predictions": self.predictions, "explanation": self.explanation.json()}

    def lines(self) -> list[str]:
        from omma.report.pictures import phrase

        name, score = next(iter(self.trained.scores.items()))
        shown = {key: f"{100 * score[key]:.1f}" for key in ("value", "low", "high")}
        lines = [say("demo.score", metric=metric(name), **shown, n=score["n"]), ""]
        for row in self.predictions:
            lines.append(say("demo.predicted", path=row["path"], said=phrase(row), truth=phrase(row["truth"])))
        proof = [line for line in self.explanation.lines()[1:] if self.explanation.out not in line]
        lines += ["", say("demo.explained", path=self.explanation.out), *(f"  {line}" for line in proof)]
        lines += ["", say("demo.report", path=self.trained.report), "", say("demo.next", run=self.trained.run).strip()]
        return lines


def demo(
    tour: Literal["digits", "shapes"] = "digits",
    *,
    budget: str | None = None,
    out: str | None = None,
    device: str = "auto",
    watch: Watch = Watch(),
) -> Tour:
    """Go once through what omma does: read real handwriting that comes with scikit-learn, or find shapes that are drawn on the spot.

    Args:
        tour: digits, one class a picture; or shapes, a box around every object.
        budget: 40s, 10 epochs or 300 steps; when left out 40s for digits, 2min for shapes.
        out: the run folder; runs/digits-1 or runs/shapes-1 when left out.
        device: where to compute.

    Raises:
        DiskError: the run folder cannot be written.
    """
    from omma.formats.format import open_data
    from omma.verbs.explain import explain
    from omma.verbs.predict import predict
    from omma.verbs.train import train

    watch.say(say(f"demo.begin.{tour}"))
    task, usual = TOURS[tour]
    trained = train(tour, task=task, budget=budget or usual, seed=0, out=out, device=device, watch=watch)
    truths = _held_out(open_data(tour, None, watch), trained.run, trained.run / "pictures")
    bundle = str(trained.run)
    rows = [{**row.json(), "truth": truths[row.json()["path"]]} for row in predict(bundle, *truths, device=device, watch=watch)]
    explanation = explain(bundle, next(iter(truths)), out=str(trained.run / "explained.png"), device=device, watch=watch)
    return Tour(trained, rows, explanation)


def _held_out(dataset: Dataset, run: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """A few pictures the model has not learned from, as files; path → truth."""
    import numpy as np
    from PIL import Image

    from omma.run.folder import RunFolder

    part = RunFolder(run).put_split(dataset).part("test")
    folder.mkdir(parents=True, exist_ok=True)
    truths: dict[str, dict[str, Any]] = {}
    for place, truth in enumerate(part.truths()[:PICTURES]):
        path = folder / f"{place}.png"
        Image.fromarray(np.squeeze(part.picture(place))).save(path)
        truths[str(path)] = truth.json()
    return truths

"""Train on handwriting in about a minute, predict, explain, report: nothing to download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omma.progress import Watch
from omma.words import metric, say

if TYPE_CHECKING:
    from omma.data.sample import Dataset
    from omma.verbs._trained import Trained
    from omma.verbs.explain import Explanation

PICTURES = 5


@dataclass
class Tour:
    """What the demo made.

    Args:
        trained: the finished run.
        predictions: a few held-out pictures: prediction JSON and the truth.
        explanation: of the first one.
    """

    trained: Trained
    predictions: list[dict[str, Any]]
    explanation: Explanation

    def json(self) -> dict[str, Any]:
        return {**self.trained.json(), "predictions": self.predictions, "explanation": self.explanation.json()}

    def lines(self) -> list[str]:
        name, score = next(iter(self.trained.scores.items()))
        shown = {key: f"{100 * score[key]:.1f}" for key in ("value", "low", "high")}
        lines = [say("demo.score", metric=metric(name), **shown, n=score["n"]), ""]
        for row in self.predictions:
            sure = f"{row['probability']:.1%}"
            lines.append(say("demo.predicted", path=row["path"], label=row["label"], sure=sure, truth=row["truth"]))
        proof = [line for line in self.explanation.lines()[1:] if self.explanation.out not in line]
        lines += ["", say("demo.explained", path=self.explanation.out), *(f"  {line}" for line in proof)]
        lines += ["", say("demo.report", path=self.trained.report), "", say("demo.next", run=self.trained.run).strip()]
        return lines


def demo(
    *,
    budget: str = "40s",
    out: str | None = None,
    device: str = "auto",
    watch: Watch = Watch(),
) -> Tour:
    """Go once through what omma does, on real handwriting that comes with scikit-learn.

    Args:
        budget: 40s, 10 epochs or 300 steps.
        out: the run folder; runs/digits-1 when left out.
        device: where to compute.

    Raises:
        DiskError: the run folder cannot be written.
    """
    from omma.formats.format import open_data
    from omma.verbs.explain import explain
    from omma.verbs.predict import predict
    from omma.verbs.train import train

    watch.say(say("demo.begin"))
    trained = train("digits", budget=budget, seed=0, out=out, device=device, watch=watch)
    dataset = open_data("digits", None, watch)
    files = _held_out(dataset, trained.run, trained.run / "pictures")
    bundle = str(trained.run)
    rows = [
        {**row.json(), "truth": files[Path(row.json()["path"]).name]}
        for row in predict(bundle, *_paths(trained.run, files), device=device, watch=watch)
    ]
    first = next(iter(_paths(trained.run, files)))
    explanation = explain(bundle, first, out=str(trained.run / "explained.png"), device=device, watch=watch)
    return Tour(trained, rows, explanation)


def _paths(run: Path, files: dict[str, str]) -> list[str]:
    return [str(run / "pictures" / name) for name in files]


def _held_out(dataset: Dataset, run: Path, folder: Path) -> dict[str, str]:
    """A few pictures the model has not learned from, as files; file name → truth."""
    import csv

    import numpy as np
    from PIL import Image

    with (run / "split.csv").open(encoding="utf-8", newline="") as file:
        held_out = {row["id"] for row in csv.DictReader(file) if row["split"] == "test"}
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    for place, sample in enumerate(dataset.samples):
        if sample.id in held_out and sample.truth is not None and len(files) < PICTURES:
            name = f"{len(files)}.png"
            Image.fromarray(np.squeeze(dataset.picture(place))).save(folder / name)
            files[name] = str(sample.truth.json()["label"])
    return files

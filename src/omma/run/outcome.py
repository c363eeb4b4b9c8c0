"""What a finished run tells."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omma.words import language, metric, number, say


@dataclass
class Outcome:
    """A finished run.

    Args:
        run: its folder.
        task, model: by name.
        split: the part the scores were measured on; "" where nothing was held out.
        scores: metric → {"value", "low", "high", "n"} and, where it has one, "unit".
        verdict: over- or underfitting, in words.
        steps, seconds: what it took.
        report: the page for people.
        notes: what a reader must know about the scores.
        data: as it was named.
    """

    run: Path
    task: str
    model: str
    split: str
    scores: dict[str, Any]
    verdict: dict[str, Any]
    steps: int
    seconds: float
    report: Path | None = None
    notes: list[str] = field(default_factory=list)
    data: str = "DATA"

    @property
    def bundle(self) -> Path:
        """The trained model's folder."""
        return self.run / "bundle"

    def json(self) -> dict[str, Any]:
        own: dict[str, Any] = {"run": str(self.run), "bundle": str(self.bundle), "report": str(self.report) if self.report else None}
        own |= {"task": self.task, "model": self.model, "split": self.split, "scores": self.scores, "verdict": self.verdict["word"]}
        return own | {"steps": self.steps, "seconds": round(self.seconds, 2), "notes": self.notes}

    def lines(self) -> list[str]:
        """What a person reads when training is over."""
        lines = []
        for name, score in list(self.scores.items())[:4]:
            text = f"{number(score['value'], score.get('unit', ''))} [{number(score['low'])}, {number(score['high'])}]"
            lines.append(say("train.result", metric=metric(name), score=text, n=score["n"], split=self.split))
        lines += [self.verdict["text"][language()], *self.notes, say("train.ended", minutes=self.seconds / 60)]
        if self.report:
            lines.append(say("train.report", path=self.report))
        return [*lines, say("train.next", run=shlex.quote(str(self.run)), data=shlex.quote(self.data))]

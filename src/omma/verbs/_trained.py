"""A finished run as Python holds it: its scores, and the verbs one says next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from omma.run.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from omma.bundle import Bundle
    from omma.verbs.evaluate import Evaluation


class Trained(Outcome):
    """`omma.train("photos/").evaluate("photos/test")`."""

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        return cls(**vars(outcome))

    def open(self) -> Bundle:
        """The trained model."""
        from omma.bundle import open

        return open(self.run)

    def evaluate(self, data: str | None = None, **words: Any) -> Evaluation:
        """`omma.evaluate` on this run."""
        from omma.verbs.evaluate import evaluate

        return evaluate(str(self.run), data, **words)

    def predict(self, *paths: str, **words: Any) -> Iterator[Any]:
        """`omma.predict` with this run."""
        from omma.verbs.predict import predict

        return iter(predict(str(self.run), *paths, **words))

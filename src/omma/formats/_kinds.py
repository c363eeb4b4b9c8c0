"""Which task a kind of truth proposes."""

from __future__ import annotations

from omma.answers.answer import Answer
from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.answers.numbers import Numbers

Kind = type[Answer]
TASK: dict[Kind, str] = {Label: "classify", Labels: "multilabel", Numbers: "regress"}

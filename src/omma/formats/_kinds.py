"""Which task a kind of truth proposes."""

from __future__ import annotations

from omma.answers.answer import Answer
from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.answers.numbers import Numbers
from omma.data import recast

Kind = type[Answer]
TASK: dict[Kind, str] = {kind: recast.TASK[kind.kind] for kind in (Label, Labels, Numbers)}

"""What may go wrong and what to do about it.

    OmmaError                 2   something a person can mend: a name, a setting, a missing package
    ├── DataError             3   a picture, a label, a dataset
    ├── BundleError           4   a trained model that is not what it says
    ├── Refused               5   a promise could not be kept (parity gate, slower copy): nothing was written
    ├── NotMeaningful         6   this cell of the task × verb table has no meaning
    ├── NonFinite            65   the loss stayed NaN or infinite after three roll-backs
    ├── DiskError            74   the disk is full or does not take the file
    └── Interrupted         130   Ctrl-C; everything was saved first

Exit code 0 is success; `check` exits 1 when it finds faults. An `assert` is for ourselves; these are for people.
"""

from __future__ import annotations

from pathlib import Path


class OmmaError(Exception):
    """One clear line for a person: what happened, where, and the next step.

    Args:
        what: what is wrong, in the reader's language (see `omma.words.say`).
        where: the file, record or setting it happened at.
        fix: what to do about it.
    """

    code = 2

    def __init__(self, what: str, where: str | Path | None = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(str(self))

    def __str__(self) -> str:
        line = self.what if self.where is None else f"{self.where}: {self.what}"
        line = line if self.fix is None else f"{line} — {self.fix}"
        return line.replace("\r", " ").replace("\n", " ")


class DataError(OmmaError):
    """A picture, a label or a dataset that cannot be used."""

    code = 3


class BundleError(OmmaError):
    """A trained model that is damaged, hostile or of another kind."""

    code = 4


class Refused(OmmaError):
    """A promise could not be kept, so nothing was written."""

    code = 5


class NotMeaningful(OmmaError):
    """This task has no such verb, and why."""

    code = 6


class NonFinite(OmmaError):
    """The loss stayed NaN or infinite."""

    code = 65


class DiskError(OmmaError):
    """The disk is full or does not take the file."""

    code = 74


class Interrupted(OmmaError):
    """Ctrl-C; what was learned so far is saved."""

    code = 130

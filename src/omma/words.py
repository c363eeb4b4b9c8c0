"""Two languages: every sentence a person reads, by key, from `locale/<language>/<room>.toml`."""

from __future__ import annotations

import locale
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "zh")
_HOME = Path(__file__).parent / "locale"
_SPOKEN: ContextVar[str | None] = ContextVar("spoken", default=None)


@contextmanager
def speaking(tongue: str | None) -> Iterator[None]:
    """Inside, whatever is said is said in this language: one server answers readers of both. None changes nothing."""
    before = _SPOKEN.set(tongue if tongue in LANGUAGES else _SPOKEN.get())
    try:
        yield
    finally:
        _SPOKEN.reset(before)


def language() -> str:
    """`en` or `zh`: what `speaking` asks for, then `OMMA_LANG`, then the system's own setting."""
    if (spoken := _SPOKEN.get()) is not None:
        return spoken
    wanted = os.environ.get("OMMA_LANG") or os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG")
    if not wanted:
        wanted = locale.getlocale()[0] or "en"
    return "zh" if wanted.lower().startswith("zh") else "en"


@cache
def room(tongue: str, name: str) -> dict[str, str]:
    """All sentences of one room in one language, keys joined with dots."""
    path = _HOME / tongue / f"{name}.toml"
    return _flat(tomllib.loads(path.read_text("utf-8"))) if path.exists() else {}


def _flat(table: dict, prefix: str = "") -> dict[str, str]:
    rows: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            rows |= _flat(value, f"{prefix}{key}.")
        else:
            rows[f"{prefix}{key}"] = str(value)
    return rows


def say(key: str, tongue: str | None = None, /, **values: object) -> str:
    """The sentence for `room.key…` in the reader's language, its `{placeholders}` filled in.

    >>> say("errors.unknown_name", "en", kind="task", name="clasify", close="classify")
    "there is no task called 'clasify': did you mean classify?"
    """
    name, _, rest = key.partition(".")
    tongue = tongue or language()
    sentence = room(tongue, name).get(rest) or room("en", name).get(rest)
    assert sentence is not None, f"no sentence for {key!r}"
    return sentence.format(**values) if values else sentence


def both(key: str, /, **values: object) -> dict[str, str]:
    """The sentence in every language: for reports that switch in place."""
    return {tongue: say(key, tongue, **values) for tongue in LANGUAGES}


def metric(name: str) -> str:
    """A metric as JSON names it; in other languages than English with its own word in front."""
    tongue = language()
    word = room(tongue, "metrics").get(f"name.{name}", "")
    return name if tongue == "en" else word if word.casefold() == name.casefold() else f"{word} {name}".strip()


def number(value: float | None, unit: str = "") -> str:
    """Four digits behind the point and the unit; – for what is not defined (a score of one picture, of a class that is absent)."""
    return "–" if value is None else f"{value:.4f} {unit}".rstrip()

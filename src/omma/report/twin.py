"""The other language of a sentence that was kept in one: found by the template it was made from."""

from __future__ import annotations

import re
from functools import cache, partial
from pathlib import Path

from omma import words
from omma.words import LANGUAGES, room

_ROOMS = Path(words.__file__).parent / "locale" / "en"


def twin(sentence: str) -> str | dict[str, str]:
    """{language: sentence} where a template of any room made it, else the sentence as it is.

    Runs keep notes, split descriptions and reasons as a person read them; a report shows them in both languages.

    >>> twin("this recipe cannot be read (no such file)")["zh"] != "this recipe cannot be read (no such file)"
    True
    """
    for pattern, key, place in _templates():
        found = pattern.fullmatch(sentence)
        if found is None:
            continue
        values = found.groupdict()
        texts = {}
        for tongue in LANGUAGES:
            template = room(tongue, place).get(key)
            if template is None:
                return sentence
            # What was filled in may itself be a sentence of ours (a reason inside a message).
            inner = {name: _inner(value, tongue) for name, value in values.items()}
            texts[tongue] = _PLACE.sub(partial(_filled, inner), template)
        return texts
    return sentence


_PLACE = re.compile(r"\{(?P<name>\w+)(?:![rsa])?(?::[^{}]*)?\}")


def _filled(values: dict[str, str], place: re.Match[str]) -> str:
    return values.get(place["name"], place[0])


def _inner(value: str, tongue: str) -> str:
    other = twin(value) if len(value) > 12 else value
    return other[tongue] if isinstance(other, dict) else other


@cache
def _templates() -> list[tuple[re.Pattern[str], str, str]]:
    """Every sentence of every room as a pattern, the most particular first; one that is all placeholder says nothing."""
    rows = []
    for path in _ROOMS.glob("*.toml"):
        for tongue in LANGUAGES:
            for key, template in room(tongue, path.stem).items():
                plain = _PLACE.sub("", template)
                if len(plain.strip()) >= 4:
                    rows.append((len(plain), _pattern(template), key, path.stem))
    rows.sort(key=lambda row: (-row[0], row[3], row[2]))
    return [(pattern, key, place) for _, pattern, key, place in rows]


def _pattern(template: str) -> re.Pattern[str]:
    parts, seen, end = [], set(), 0
    for place in _PLACE.finditer(template):
        parts.append(re.escape(template[end : place.start()]))
        name = place["name"]
        parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>.*?)")
        seen.add(name)
        end = place.end()
    return re.compile("".join([*parts, re.escape(template[end:])]), re.DOTALL)

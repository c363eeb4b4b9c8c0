"""`bundle.json`, the card of a model: read and checked before anything in it is believed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omma.errors import BundleError
from omma.words import say

MAX_JSON, MAX_SETTING = 4 << 20, 1 << 16
# key → type; a bundle with other keys is of another time or of another hand.
SCHEMA: dict[str, type | tuple[type, ...]] = {
    "omma": str, "schema": int, "task": str, "task_settings": dict, "names": list, "model": str, "model_settings": dict, "views": dict,
    "operating_point": dict, "recipe": dict, "fingerprint": dict, "scores": dict, "weights": dict, "origin": dict, "data": dict,
    "versions": dict, "created": str, "surgery": dict, "runtime": dict, "parent": dict, "notes": list,
}  # fmt: skip
_NAME = re.compile(r"(?:(?:timm|torchvision|transformers)/)?[A-Za-z0-9_.\-]{1,100}")


def _word(value: Any) -> bool:
    return isinstance(value, str) or value is None


def _number(value: Any) -> bool:
    return type(value) in (int, float) or value is None


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 53


def _each(sound: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A table whose every value is sound."""
    return lambda table: isinstance(table, dict) and all(sound(value) for value in table.values())


def _spread(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(_count(value.get(key)) for key in ("median", "min", "max")))


def _score(value: Any) -> bool:
    numbers = isinstance(value, dict) and all(key in value and _number(value[key]) for key in ("value", "low", "high"))
    return numbers and _count(value.get("n")) and _word(value.get("unit"))


def plausible(value: Any, default: Any) -> bool:
    """Whether a setting may have this value: of the kind of its default, words and numbers of no unheard-of size."""
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, str | int | float):
        number = type(value) in (int, float) and abs(value) < 1e9
        return number or (isinstance(default, str) and isinstance(value, str) and len(value) <= MAX_SETTING)
    return True


# What verbs read inside the parts of a card, and what it must be where it is there.
PARTS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "data": {**dict.fromkeys(("where", "format", "digest", "how_split", "target", "target_digest"), _word), "counts": _each(_count)},
    "fingerprint": {
        **dict.fromkeys(("width", "height", "objects", "sides"), _spread), "splits": _each(_count), "class_counts": _each(_each(_count)),
        "pixel_shares": _each(lambda share: _number(share) and share is not None),
    },
    "scores": {"split": _word, "metrics": _each(_score)},
    "origin": dict.fromkeys(("weights", "licence"), _word),
    "runtime": dict.fromkeys(("name", "file", "sha256", "kind"), _word),
    "recipe": {"origin": _each(_word)},
    "weights": {"sha256": _word, "parameters": _count},
}  # fmt: skip


def read_card(folder: Path) -> dict[str, Any]:
    """`bundle.json`, checked against the schema before anything is believed."""
    path = folder / "bundle.json"
    inside(folder, path)
    if path.stat().st_size > MAX_JSON:
        raise BundleError(say("bundle.too_large", size=path.stat().st_size, cap=MAX_JSON), path)
    try:
        card = json.loads(path.read_text("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError, UnicodeDecodeError) as error:
        raise BundleError(say("bundle.bad_json", reason=str(error)[:200]), path) from None
    if not isinstance(card, dict):
        raise BundleError(say("bundle.bad_json", reason="not an object"), path)
    for key, value in card.items():
        if key not in SCHEMA:
            raise BundleError(say("bundle.unknown_key", key=key[:60]), path)
        if not isinstance(value, SCHEMA[key]):
            raise BundleError(say("bundle.wrong_type", key=key), path)
    for key in ("omma", "schema", "task", "names", "model", "views", "weights"):
        if key not in card:
            raise BundleError(say("bundle.missing_key", key=key), path)
    if card["schema"] != 1:
        raise BundleError(say("bundle.schema", schema=card["schema"], version=card["omma"]), path)
    _plain(card, path)
    return card


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


def _plain(card: dict[str, Any], path: Path) -> None:
    """Names are names and sizes are sizes: nothing that could build the unthinkable."""
    if not _NAME.fullmatch(card["model"]) or ".." in card["model"] or not _NAME.fullmatch(card["task"]):
        raise BundleError(say("bundle.bad_name", name=str(card["model"])[:60]), path)
    for part, values in PARTS.items():
        for key, sound in values.items():
            if key in card.get(part, {}) and not sound(card[part][key]):
                raise BundleError(say("bundle.wrong_type", key=f"{part}.{key}"), path)
    names = card["names"]
    if (
        not 0 < len(names) <= MAX_SETTING
        or not all(isinstance(name, str) and len(name) <= 1000 for name in names)
        or len(set(names)) != len(names)
    ):
        raise BundleError(say("bundle.bad_names"), path)
    for name, value in card.get("operating_point", {}).items():
        held = value if isinstance(value, list) else [value]
        if len(held) > MAX_SETTING or not all(type(v) in (int, float) and abs(v) < 1e9 for v in held):
            raise BundleError(say("bundle.absurd", key=f"operating_point.{name[:60]}"), path)
    warmth = card.get("operating_point", {}).get("temperature", 1)
    if isinstance(warmth, list) or warmth <= 0:
        raise BundleError(say("bundle.absurd", key="operating_point.temperature"), path)
    for key in ("model_settings", "views"):
        for name, value in card.get(key, {}).items():
            held = value if isinstance(value, list) else [value]
            if (
                len(held) > 64
                or any(isinstance(v, int | float) and abs(v) > MAX_SETTING for v in held)
                or any(isinstance(v, dict | list) for v in held)
            ):
                raise BundleError(say("bundle.absurd", key=f"{key}.{name}"), path)


def inside(folder: Path, path: Path) -> None:
    """A regular file of this folder, not a link out of it."""
    if not path.is_file() or path.is_symlink():
        raise BundleError(say("bundle.missing_file", file=path.name), folder)

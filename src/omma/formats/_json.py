"""JSON as label files hold it: whatever is wrong with a file becomes one sentence, never a crash."""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Any

from omma.errors import DataError
from omma.words import say

MOST = 1 << 30  # bytes of one file
_DIGITS = 18  # longer whole numbers count nothing in a picture; Python takes minutes over the longest


def load(path: Path) -> Any:
    """The content of a file.

    NaN and Infinity are read as they stand and endless numbers as infinity, so that whoever looks at a record can refuse it by name.

    Raises:
        DataError: too large, not text, not JSON, or nested too deep.
    """
    try:
        if (size := path.stat().st_size) > MOST:
            raise DataError(say("formats.too_large", size=size >> 20), path)
        return json.loads(path.read_bytes(), parse_int=_whole)
    except RecursionError:
        raise DataError(say("formats.json_deep"), path) from None
    except MemoryError:
        raise DataError(say("decode.memory"), path) from None
    except OSError as error:
        raise DataError(error.strerror or str(error), path) from None
    except ValueError as error:
        raise DataError(say("formats.json_broken", reason=shown(str(error))), path) from None


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else float(digits)


def shown(value: object) -> str:
    """A value as a message may hold it: short, and writable whatever it is."""
    text = value if isinstance(value, str) else reprlib.repr(value)
    return text[:120].encode("utf-8", "backslashreplace").decode()


def text(value: object) -> str | None:
    """A string with something in it that can be written as UTF-8; None for anything else."""
    if not isinstance(value, str) or not value.strip():
        return None
    return value if value.encode("utf-8", "replace").decode() == value else None


def whole(value: object) -> int | None:
    """A whole number, also one written as 3.0; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def numbers(value: object, count: int) -> list[float]:
    """So many numbers, finite or not.

    Raises:
        ValueError: anything else.
    """
    sound = isinstance(value, list) and len(value) == count and all(type(one) in (int, float) for one in value)
    if not sound:
        raise ValueError(say("objects.no_numbers", box=shown(value)))
    return [float(one) for one in value]  # type: ignore[attr-defined]

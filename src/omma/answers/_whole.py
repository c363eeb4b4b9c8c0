"""An answer as plain JSON values with nothing rounded and nothing left out: what is kept to be counted again, not read by people."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from omma.answers.answer import Answer

# What an array may hold: nothing that would have to be executed to be read.
DTYPES = ("bool", "uint8", "int16", "int32", "int64", "float32", "float64")


def whole(answer: Answer) -> dict[str, Any] | None:
    """Field → value, without what its kind says is `unkept`; None where one is no plain value (a picture that is loaded when asked)."""
    if not is_dataclass(answer):
        return None
    try:
        return {field.name: _told(getattr(answer, field.name)) for field in fields(answer) if field.name not in answer.unkept}
    except TypeError:
        return None


def from_whole(kind: type[Answer], row: Mapping[str, Any]) -> Answer:
    """The inverse of `whole`.

    Raises:
        ValueError: not such an answer.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(row, Mapping) or row.keys() - known:
        raise ValueError(f"no {kind.kind}")
    try:
        return kind(**{key: _read(value) for key, value in row.items()})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no {kind.kind}") from error


def _told(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.name in DTYPES:
        return {"array": _text(np.ascontiguousarray(value).tobytes()), "dtype": value.dtype.name, "shape": list(value.shape)}
    if isinstance(value, bytes):
        return {"bytes": _text(value)}
    if isinstance(value, Mapping):
        return {"table": [[_told(key), _told(one)] for key, one in value.items()]}
    if isinstance(value, tuple | list):
        return [_told(one) for one in value]
    raise TypeError(type(value).__name__)


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_read(one) for one in value)
    if not isinstance(value, Mapping):
        return value
    if "bytes" in value:
        return base64.b64decode(value["bytes"])
    if "table" in value:
        return {_read(key): _read(one) for key, one in value["table"]}
    if value["dtype"] not in DTYPES:
        raise ValueError(f"no array of {value['dtype']}")
    return np.frombuffer(base64.b64decode(value["array"]), value["dtype"]).reshape(value["shape"]).copy()


def _text(blob: bytes) -> str:
    return base64.b64encode(blob).decode("ascii")

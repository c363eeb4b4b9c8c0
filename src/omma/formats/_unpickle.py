"""Python pickles of numbers, read without executing anything: containers and numeric arrays, nothing else has a name here."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

_KINDS = "biufSV"


class Forbidden(ValueError):
    """The pickle asks for something that is not data."""


class _Dtype:
    """Stands for `numpy.dtype` while a pickle is read."""

    def __init__(self, code: Any = "u1", *_: Any) -> None:
        code = code.decode("ascii") if isinstance(code, bytes) else code
        if not isinstance(code, str) or len(code) > 8:
            raise Forbidden("dtype")
        self.value = np.dtype(code)
        if self.value.kind not in _KINDS or self.value.hasobject:
            raise Forbidden(f"dtype {code}")

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", b"<", b">"):
            order = state[1].decode() if isinstance(state[1], bytes) else state[1]
            self.value = self.value.newbyteorder(order)  # type: ignore[arg-type]


class _Array:
    """Stands for `numpy.ndarray` while a pickle is read."""

    value: np.ndarray

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, columns, raw = state
        if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple):
            raise Forbidden("array")
        raw = raw.encode("latin-1") if isinstance(raw, str) else raw
        if not isinstance(raw, bytes):
            raise Forbidden("array of objects")
        self.value = np.frombuffer(raw, dtype.value).reshape(shape, order="F" if columns else "C")


def _reconstruct(*_: Any) -> _Array:
    """Stands for `numpy.core.multiarray._reconstruct`."""
    return _Array()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Stands for `_codecs.encode`, by which Python 3 writes bytes in old protocols."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Forbidden("encoding")
    return text.encode("latin-1")


_ALLOWED = {("numpy", "ndarray"): _Array, ("numpy", "dtype"): _Dtype, ("_codecs", "encode"): _encode} | {
    (f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")
}


# The pure Python reader: the one written in C makes room for whatever memo index a file names, however large.
class _Reader(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise Forbidden(f"{module}.{name}")
        return _ALLOWED[module, name]

    def persistent_load(self, _: Any) -> Any:
        raise Forbidden("persistent id")


def load(data: bytes) -> Any:
    """Dicts, lists, tuples, numbers, bytes and arrays out of a pickle; text of Python 2 stays bytes.

    Raises:
        Forbidden: it names anything else; nothing was executed.
        ValueError: it is damaged.
    """
    try:
        return _plain(_Reader(io.BytesIO(data), encoding="bytes").load())
    except Forbidden:
        raise
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def _plain(thing: Any) -> Any:
    """Arrays in the places of their stand-ins, two levels deep: as deep as data sets go."""
    if isinstance(thing, _Array):
        return thing.value
    if isinstance(thing, dict):
        return {key: value.value if isinstance(value, _Array) else value for key, value in thing.items()}
    return thing

"""When and with what a photograph was taken, as its EXIF block says."""

from __future__ import annotations

import hashlib
import math
import re
from datetime import UTC, datetime
from typing import NamedTuple

from PIL.Image import Exif

# EXIF 2.32: DateTimeOriginal and the serial number lie in the Exif IFD, maker and model in the first one.
_EXIF_IFD, _ORIGINAL, _SERIAL, _MAKE, _MODEL = 0x8769, 0x9003, 0xA431, 0x010F, 0x0110
_TIME = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)")
_MARK, _ROOM = b"Exif\0\0", 1 << 16


class Moment(NamedTuple):
    """Seconds of the camera's own clock (NaN: unknown), and a hash of which camera it was (0: unknown)."""

    seconds: float = math.nan
    camera: int = 0


def taken(data: bytes) -> Moment:
    """The moment of a picture file's bytes; unknown where there is no EXIF block near its start or it is damaged."""
    start = data.find(_MARK, 0, _ROOM)
    if start < 0:
        return Moment()
    exif = Exif()
    try:
        exif.load(data[start : start + _ROOM])
        inner = exif.get_ifd(_EXIF_IFD)
        found = _TIME.match(str(inner.get(_ORIGINAL, "")))
        if found is None:
            return Moment()
        seconds = datetime(*map(int, found.groups()), tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]
    except Exception:  # a damaged EXIF block may break its reader in any way, and is no reason to lose the picture
        return Moment()
    name = f"{exif.get(_MAKE)}\0{exif.get(_MODEL)}\0{inner.get(_SERIAL)}".encode("utf-8", "replace")
    return Moment(seconds, int.from_bytes(hashlib.blake2b(name, digest_size=7).digest(), "big"))

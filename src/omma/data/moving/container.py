"""What the first bytes of a moving picture say: its container, and whether the file ends before the container does."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

# More boxes than this one after the other were made to keep a reader busy.
_MOST = 100_000
_BOXES = {b"ftyp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"sidx"}


def container(head: bytes) -> str:
    """mp4 (and mov, 3gp), avi, mkv (and webm), mpeg, ts, flv, asf or ogg by the first 400 bytes of a file; "" = none of them.

    The name of the file plays no part. What is not among these is never handed to a decoder: lists of other files, for one.
    """
    if head[4:8] in _BOXES:
        return "mp4"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    starts = {
        b"\x1a\x45\xdf\xa3": "mkv", b"\0\0\x01\xba": "mpeg", b"\0\0\x01\xb3": "mpeg", b"FLV\x01": "flv", b"\x30\x26\xb2\x75": "asf",
        b"OggS": "ogg",
    }  # fmt: skip
    if head[:4] in starts:
        return starts[head[:4]]
    # Packets of a transport stream begin with 0x47 every 188 bytes; cameras put four bytes of time before each.
    return "ts" if head[:189:188] == b"GG" or head[4:197:192] == b"GG" else ""


def cut_off(path: Path, kind: str) -> bool:
    """Whether the file ends before its container says it does; False where the container does not say."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if kind == "mp4":
            return _boxes_end(file, size) > size
        if kind == "avi":
            return _riffs_end(file, size) > size
        return kind == "mkv" and _segment_end(file) > size


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Where the last box ends (ISO/IEC 14496-12, 4.2): boxes lie one after the other, each with its size in front."""
    at = 0
    for _ in range(_MOST):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return size if not head else at + 8
        length = struct.unpack(">I", head[:4])[0]
        if length == 1 and len(head) == 16:  # the size follows in 64 bits
            length = struct.unpack(">Q", head[8:])[0]
        if length == 0:  # until the end of the file
            return size
        if length < 8:
            return at
        at += length
        if at > size:
            return at
    return at


def _riffs_end(file: BinaryIO, size: int) -> int:
    """Where the last RIFF list ends; a size of 0 is one that the camera never came to write."""
    at = 0
    for _ in range(_MOST):
        file.seek(at)
        head = file.read(12)
        if len(head) < 12 or head[:4] != b"RIFF":
            return at
        length = struct.unpack("<I", head[4:8])[0]
        at += 8 + length
        if at > size or not length:
            return at
        at += length & 1
    return at


def _segment_end(file: BinaryIO) -> int:
    """Where the segment of a Matroska file ends (RFC 9559); 0 where it was written without knowing."""
    file.seek(4)
    header, width = _number(file.read(8))
    file.seek(4 + width + header)
    head = file.read(12)
    if head[:4] != b"\x18\x53\x80\x67":
        return 0
    length, width = _number(head[4:])
    unknown = length == (1 << 7 * width) - 1
    return 0 if unknown or not width else file.tell() - len(head) + 4 + width + length


def _number(data: bytes) -> tuple[int, int]:
    """(value, bytes it takes) of a length in EBML (RFC 8794, 4): zeros in front of the first 1 say how many bytes follow."""
    width = 9 - data[0].bit_length() if data else 9
    if width > 8 or len(data) < width:
        return 0, 0
    return int.from_bytes(data[:width], "big") & ((1 << 7 * width) - 1), width


def head_of(path: Path) -> tuple[bytes, int]:
    """(first 400 bytes, size) of a file; (b"", −1) of what is no regular file: a pipe would keep us waiting."""
    if not os.path.isfile(path):
        return b"", -1
    with path.open("rb") as file:
        return file.read(400), os.fstat(file.fileno()).st_size

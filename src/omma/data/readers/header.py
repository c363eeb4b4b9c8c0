"""What a picture file says about itself, read from its first bytes without decoding a pixel."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

from omma.words import say

# Real files stay far below these; a file beyond them was made to keep a decoder busy.
MAX_CHUNKS, MAX_FRAMES, MAX_SEGMENTS = 100_000, 10_000, 10_000

# EXIF orientation: stored in IFD0 of the Exif block, tag 274 (CIPA DC-008, 4.6.4).
_ORIENTATION = 274


class Unreadable(Exception):
    """A picture that cannot be used; the message is a sentence for people."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(say(f"decode.{key}", None, **values))


@dataclass(slots=True)
class Header:
    """What the first bytes promise.

    Args:
        format: jpeg, png, webp, tiff, bmp, gif or pnm.
        width, height: pixels as stored, before the orientation is applied.
        channels: how many `decode` will give.
        bits: of one stored value.
        frames: pictures in the file; the first is read.
        orientation: EXIF, 1–8.
        more: what the format's own reader wants to know.
    """

    format: str
    width: int
    height: int
    channels: int
    bits: int
    frames: int = 1
    orientation: int = 1
    more: dict[str, Any] = field(default_factory=dict)


def kind(data: bytes) -> str:
    """The format by its magic number; the file's name plays no part.

    Raises:
        Unreadable: none of the formats omma reads.
    """
    head = bytes(data[:16])
    if head[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "tiff"
    if head[:2] == b"BM":
        return "bmp"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if len(head) > 2 and head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in b" \t\r\n#":
        return "pnm"
    if not head:
        raise Unreadable("empty")
    raise Unreadable("unknown", found=_guess(head))


def _guess(head: bytes) -> str:
    """What a file that is no picture of ours probably is."""
    known = {
        b"%PDF": "PDF", b"PK\x03\x04": "ZIP", b"<svg": "SVG", b"<?xm": "XML", b"<!DO": "HTML", b"<htm": "HTML",
        b"\0\0\0\x0cjP": "JPEG 2000", b"8BPS": "PSD", b"\x1f\x8b": "gzip", b"DDS ": "DDS", b"v/1\x01": "OpenEXR",
    }  # fmt: skip
    for magic, name in known.items():
        if head.lower().startswith(magic.lower()):
            return name
    if head[4:8] == b"ftyp":
        return "HEIC/AVIF"
    return head[:8].hex(" ")


def orientation(exif: bytes) -> int:
    """EXIF orientation 1–8 from a bare TIFF structure; 1 where it is absent or damaged."""
    if exif[:6] == b"Exif\0\0":
        exif = exif[6:]
    order = {b"II": "<", b"MM": ">"}.get(bytes(exif[:2]))
    if order is None or len(exif) < 8:
        return 1
    try:
        place = struct.unpack_from(f"{order}I", exif, 4)[0]
        count = struct.unpack_from(f"{order}H", exif, place)[0]
        for entry in range(min(count, 512)):
            tag, type_, _, value = struct.unpack_from(f"{order}HHIH", exif, place + 2 + 12 * entry)
            if tag == _ORIENTATION and type_ == 3:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


# Start-of-frame markers: every C0–CF apart from DHT, JPG and DAC.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def jpeg(data: bytes) -> Header:
    """JPEG by its marker segments (ITU-T T.81 annex B)."""
    place, turn, adobe, size = 2, 1, None, len(data)
    for _ in range(MAX_SEGMENTS):
        while place < size and data[place] == 0xFF and place + 1 < size and data[place + 1] == 0xFF:
            place += 1
        if place + 4 > size or data[place] != 0xFF:
            raise Unreadable("truncated" if place + 4 > size else "damaged")
        marker = data[place + 1]
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            place += 2
            continue
        length = data[place + 2] << 8 | data[place + 3]
        if marker in _FRAMES:
            if place + 10 > size:
                raise Unreadable("truncated")
            bits, height, width, parts = struct.unpack_from(">BHHB", data, place + 4)
            more = {"marker": marker, "parts": parts, "adobe": adobe}
            return Header("jpeg", width, height, 1 if parts == 1 else 3, bits, 1, turn, more)
        if marker in (0xDA, 0xD9) or length < 2:
            raise Unreadable("damaged")
        if marker == 0xE1 and turn == 1 and data[place + 4 : place + 10] == b"Exif\0\0":
            turn = orientation(data[place + 10 : place + 2 + length])
        elif marker == 0xEE and data[place + 4 : place + 9] == b"Adobe" and length >= 14:
            adobe = data[place + 15]
        place += 2 + length
    raise Unreadable("busy")


def png(data: bytes) -> Header:
    """PNG by its chunks, to the end: a file without IEND is truncated."""
    if len(data) < 33:
        raise Unreadable("truncated")
    if data[12:16] != b"IHDR":
        raise Unreadable("damaged")
    width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
    header = Header("png", width, height, {0: 1, 2: 3, 3: 3, 4: 4, 6: 4}.get(colour, 0), bits)
    if not header.channels:
        raise Unreadable("damaged")
    place, seen = 33, False
    for _ in range(MAX_CHUNKS):
        if place + 8 > len(data):
            raise Unreadable("truncated")
        length = int.from_bytes(data[place : place + 4], "big")
        name = data[place + 4 : place + 8]
        if place + 12 + length > len(data):
            raise Unreadable("truncated")
        if name == b"IEND":
            return header
        if name == b"IDAT":
            seen = True
        elif name == b"tRNS" and not seen:
            header.channels = 4
        elif name == b"acTL" and length == 8:
            header.frames = int.from_bytes(data[place + 8 : place + 12], "big")
        elif name == b"eXIf":
            header.orientation = orientation(data[place + 8 : place + 8 + length])
        place += 12 + length
    raise Unreadable("busy")


def check_png(data: bytes) -> None:
    """Every chunk that shapes pixels has the checksum it was written with; libpng would decode on and give wrong pixels.

    Raises:
        Unreadable: one has not.
    """
    place = 8
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        end = place + 8 + length
        # A small letter in front means that a chunk may be left out; transparency may not.
        if not data[place + 4] & 0x20 or data[place + 4 : place + 8] == b"tRNS":
            if zlib.crc32(memoryview(data)[place + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
                raise Unreadable("checksum")
            if data[place + 4 : place + 8] == b"IEND":
                return
        place = end + 4


def webp(data: bytes) -> Header:
    """WebP by its RIFF chunks (the container specification of WebP)."""
    if len(data) < 30 or 8 + int.from_bytes(data[4:8], "little") > len(data):
        raise Unreadable("truncated")
    first = data[12:16]
    header = Header("webp", 0, 0, 3, 8)
    if first == b"VP8X":
        header.width = int.from_bytes(data[24:27], "little") + 1
        header.height = int.from_bytes(data[27:30], "little") + 1
        header.channels = 4 if data[20] & 0x10 else 3
    elif first == b"VP8 ":
        header.width, header.height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    elif first == b"VP8L":
        packed = int.from_bytes(data[21:25], "little")
        header.width, header.height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        header.channels = 4 if packed >> 28 & 1 else 3
    else:
        raise Unreadable("damaged")
    place, frames = 12, 0
    for _ in range(MAX_CHUNKS):
        if place + 8 > len(data):
            header.frames = max(1, frames)
            return header
        name, length = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        frames += name == b"ANMF"
        if name == b"EXIF":
            header.orientation = orientation(data[place + 8 : place + 8 + length])
        place += 8 + length + (length & 1)
    raise Unreadable("busy")


def gif(data: bytes) -> Header:
    """GIF89a by its blocks: size, number of frames, whether the first one has a transparent colour."""
    if len(data) < 13:
        raise Unreadable("truncated")
    width, height, packed = struct.unpack_from("<HHB", data, 6)
    header = Header("gif", width, height, 3, 8, 0)
    place = 13 + (3 << (packed & 7) + 1 if packed & 0x80 else 0)
    for _ in range(MAX_CHUNKS):
        mark = data[place] if place < len(data) else 0x3B
        if mark == 0x3B:
            break
        if mark == 0x21:
            if not header.frames and data[place + 1 : place + 3] == b"\xf9\x04" and data[place + 3] & 1:
                header.channels = 4
            place = _after_blocks(data, place + 2)
        elif mark == 0x2C and place + 10 <= len(data):
            local = data[place + 9]
            header.frames += 1
            place = _after_blocks(data, place + 11 + (3 << (local & 7) + 1 if local & 0x80 else 0))
        else:
            break
    if not header.frames:
        raise Unreadable("truncated" if place >= len(data) else "damaged")
    return header


def _after_blocks(data: bytes, place: int) -> int:
    """Where a chain of sub-blocks (length byte, bytes, …, zero) ends."""
    while place < len(data) and data[place]:
        place += 1 + data[place]
    return place + 1


def bmp(data: bytes) -> Header:
    """BMP by its information header (12 bytes of OS/2, or 40 and more of Windows)."""
    if len(data) < 34:
        raise Unreadable("truncated")
    size = int.from_bytes(data[14:18], "little")
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        packing = 0
    else:
        width, height, _, bits, packing = struct.unpack_from("<iiHHI", data, 18)
    return Header("bmp", width, abs(height), 3, bits, more={"packing": packing})

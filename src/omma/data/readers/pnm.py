"""PBM, PGM and PPM (Netpbm): plain and raw, 1 to 16 bits."""

from __future__ import annotations

import re

import numpy as np

from omma.data.readers.header import Header, Unreadable

_WORD = re.compile(rb"(?:[ \t\r\n\v\f]|#[^\r\n]*[\r\n])*(\d{1,10})")
_MAX_PLAIN = 64 << 20


def header(data: bytes) -> Header:
    """The words before the pixels: magic, width, height and, for grey and colour, the value of white."""
    magic = data[1] - 48
    place, words = 2, []
    for _ in range(2 if magic in (1, 4) else 3):
        word = _WORD.match(data[place : place + 4096])
        if word is None:
            raise Unreadable("truncated" if len(data) < place + 16 else "damaged")
        words.append(int(word[1]))
        place += word.end()
    white = words[2] if len(words) == 3 else 1
    if not 0 < white < 65536:
        raise Unreadable("damaged")
    more = {"magic": magic, "white": white, "start": place + (magic > 3)}
    return Header("pnm", words[0], words[1], 3 if magic in (3, 6) else 1, white.bit_length(), more=more)


def read(data: bytes, head: Header) -> np.ndarray:
    """(H, W, 1 or 3) uint8, or uint16 where white is above 255; white becomes 255 or 65535."""
    magic, white, start = head.more["magic"], head.more["white"], head.more["start"]
    count = head.width * head.height * head.channels
    values: np.ndarray
    if magic == 4:
        row = (head.width + 7) // 8
        raw = np.frombuffer(data, np.uint8, offset=start)[: row * head.height]
        if raw.size < row * head.height:
            raise Unreadable("truncated")
        values = 1 - np.unpackbits(raw.reshape(head.height, row), axis=1, count=head.width)
    elif magic > 4:
        raw = np.frombuffer(data, ">u2" if white > 255 else np.uint8, count=-1 if white < 256 else (len(data) - start) // 2, offset=start)
        values = raw[:count]
    else:
        values = _plain(data[start:], magic, count)
    if values.size < count:
        raise Unreadable("truncated")
    values = values.reshape(head.height, head.width, head.channels)
    if magic == 1:
        values = 1 - values
    if int(values.max()) > white:
        raise Unreadable("damaged")
    full, dtype = (255, np.uint8) if white < 256 else (65535, np.uint16)
    if white == full:
        return values.astype(dtype)
    return ((values.astype(np.uint32) * full + white // 2) // white).astype(dtype)


def _plain(text: bytes, magic: int, count: int) -> np.ndarray:
    """Numbers written as text; the bits of a plain PBM need no space between them."""
    if len(text) > _MAX_PLAIN:
        raise Unreadable("busy")
    text = re.sub(rb"#[^\r\n]*", b" ", text)
    if magic == 1:
        bits = np.frombuffer(text.translate(None, b" \t\r\n\v\f"), np.uint8)[:count] - 48
        if bits.size and bits.max() > 1:
            raise Unreadable("damaged")
        return bits
    words = text.split(None, count)[:count]
    if any(len(word) > 5 or not word.isdigit() for word in words):
        raise Unreadable("damaged")
    return np.array(words, "S5").astype(np.uint32) if words else np.empty(0, np.uint32)

"""TIFF and BigTIFF, first page: 1 to 64 bits, integers and floats, any number of channels."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np

from omma.data.readers.header import MAX_FRAMES, Header, Unreadable

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4, 16: 8, 17: 8, 18: 8}
# Tag → name, of those that shape the pixels (TIFF 6.0).
_TAGS = {
    256: "width", 257: "height", 258: "bits", 259: "compression", 262: "photometric", 273: "offsets", 274: "turn", 277: "samples",
    278: "rows", 279: "counts", 284: "planar", 320: "palette", 322: "tile_width", 323: "tile_height", 324: "offsets", 325: "counts",
    338: "extra", 32997: "depth",
}  # fmt: skip
_MAX_PARTS, _MAX_CHANNELS = 65_536, 1_024
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _MASK, _CMYK, _YCBCR = range(7)


def header(data: bytes) -> Header:
    """The first page's tags, and how many pages follow."""
    order = "<" if data[:2] == b"II" else ">"
    big = 43 in (data[2], data[3])
    try:
        if big and struct.unpack_from(f"{order}HH", data, 4) != (8, 0):
            raise Unreadable("damaged")
        place = struct.unpack_from(f"{order}Q" if big else f"{order}I", data, 8 if big else 4)[0]
        tags, after = _page(data, place, order, big)
        frames = _pages(data, after, order, big, place)
    except struct.error:
        raise Unreadable("truncated") from None
    samples, bits = _one(tags, "samples", 1), tags.get("bits", (1,))
    if not 0 < samples <= _MAX_CHANNELS or len(set(bits)) != 1 or _one(tags, "depth", 1) != 1:
        raise Unreadable("odd_tiff", what=f"{samples} × {bits[:4]} bits")
    head = Header("tiff", _one(tags, "width", 0), _one(tags, "height", 0), 0, bits[0], frames, more={"tags": tags})
    turn = _one(tags, "turn", 1)
    head.orientation = turn if 1 <= turn <= 8 else 1
    head.channels = _channels(tags, samples)
    _whole(data, tags, head)
    return head


def _page(data: bytes, place: int, order: str, big: bool) -> tuple[dict[str, tuple[int, ...]], int]:
    """The tags of one page that we know, and where the next page starts."""
    count = struct.unpack_from(f"{order}Q" if big else f"{order}H", data, place)[0]
    if count > 4096:
        raise Unreadable("damaged")
    tags: dict[str, tuple[int, ...]] = {}
    step, first = (20, place + 8) if big else (12, place + 2)
    for entry in range(count):
        start = first + step * entry
        tag, type_, number = struct.unpack_from(f"{order}HHQ" if big else f"{order}HHI", data, start)
        if tag not in _TAGS or type_ not in _SIZES:
            continue
        if number > 200_000:
            raise Unreadable("busy")
        where, room = (start + 12, 8) if big else (start + 8, 4)
        if _SIZES[type_] * number > room:
            where = struct.unpack_from(f"{order}Q" if big else f"{order}I", data, where)[0]
        code = {1: "B", 2: "H", 4: "I", 8: "Q"}[_SIZES[type_]]
        tags[_TAGS[tag]] = struct.unpack_from(f"{order}{number}{code}", data, where)
    return tags, struct.unpack_from(f"{order}Q" if big else f"{order}I", data, first + step * count)[0]


def _pages(data: bytes, place: int, order: str, big: bool, first: int) -> int:
    """How many pages the chain holds; a loop ends it."""
    seen = {first}
    while place and place not in seen and len(seen) <= MAX_FRAMES:
        seen.add(place)
        try:
            count = struct.unpack_from(f"{order}Q" if big else f"{order}H", data, place)[0]
            place = struct.unpack_from(f"{order}Q" if big else f"{order}I", data, place + (8 + 20 * count if big else 2 + 12 * count))[0]
        except (struct.error, OverflowError):
            break
    return len(seen)


def _one(tags: dict[str, tuple[int, ...]], name: str, default: int) -> int:
    value = tags.get(name)
    return value[0] if value else default


def _channels(tags: dict[str, tuple[int, ...]], samples: int) -> int:
    """How many channels `read` gives."""
    look = _one(tags, "photometric", _BLACK_IS_ZERO)
    if look == _PALETTE:
        return 3
    if look == _CMYK:
        return 3
    alpha = any(kind in (1, 2) for kind in tags.get("extra", ()))
    if samples == 2:
        return 4 if alpha else 3
    return 3 if samples == 4 and not alpha else samples


def _whole(data: bytes, tags: dict[str, tuple[int, ...]], head: Header) -> None:
    """Every strip or tile lies inside the file and there are not absurdly many."""
    offsets, counts = tags.get("offsets", ()), tags.get("counts", ())
    if not offsets or len(offsets) != len(counts):
        raise Unreadable("damaged")
    if len(offsets) > _MAX_PARTS or _one(tags, "tile_width", 1) * _one(tags, "tile_height", 1) > 1 << 26:
        raise Unreadable("busy")
    if len(offsets) < _parts(tags, head):
        raise Unreadable("truncated")
    size = len(data)
    if any(start <= 0 or count <= 0 or start + count > size for start, count in zip(offsets, counts, strict=True)):
        raise Unreadable("truncated")


def _parts(tags: dict[str, tuple[int, ...]], head: Header) -> int:
    """How many strips or tiles the picture needs; a reader fills what is missing with black."""
    planes = _one(tags, "samples", 1) if _one(tags, "planar", 1) == 2 else 1
    if "tile_width" in tags:
        wide, high = _one(tags, "tile_width", 0), _one(tags, "tile_height", 0)
        return planes * -(-head.width // max(wide, 1)) * -(-head.height // max(high, 1))
    return planes * -(-head.height // min(max(_one(tags, "rows", head.height), 1), max(head.height, 1)))


def read(data: bytes, head: Header) -> np.ndarray:
    """(H, W, C) uint8, uint16 or float32; grey with white = 0 is inverted, palettes and CMYK become RGB.

    Integers of other widths than 8 and 16 bits are scaled to them (1–7 → 8, 9–15 → 16); signed and wider ones and floats become float32.
    """
    import tifffile

    tags = head.more["tags"]
    look, bits = _one(tags, "photometric", _BLACK_IS_ZERO), head.bits
    if look > _YCBCR:
        raise Unreadable("odd_tiff", what=f"photometric {look}")
    with tifffile.TiffFile(io.BytesIO(data), _multifile=False) as file:
        page: Any = file.pages[head.more.get("frame", 0)]
        if head.more.get("frame", 0):
            _alike(page, file.pages[0], len(data))
        values = page.asarray(maxworkers=1)
        axes = page.axes
    if axes == "SYX":
        values = values.transpose(1, 2, 0)
    elif axes == "YX":
        values = values[..., None]
    elif axes != "YXS":
        raise Unreadable("odd_tiff", what=axes)
    if values.shape[:2] != (head.height, head.width):
        raise Unreadable("damaged")
    if look == _PALETTE:
        return _painted(values[..., 0], tags.get("palette", ()), bits)
    values = _full(values, bits)
    if look == _WHITE_IS_ZERO and values.dtype.kind == "u":
        values = np.iinfo(values.dtype).max - values
    if look == _CMYK:
        return cmyk(values)
    if look == _YCBCR and _one(tags, "compression", 1) not in (6, 7):
        return _from_ycbcr(values)
    return _arranged(values, tags.get("extra", ()))


def _alike(page: Any, first: Any, size: int) -> None:
    """A later page is as large as the first, which was looked at before anything was decoded, and lies inside the file."""
    ends = zip(page.dataoffsets, page.databytecounts, strict=True)
    if page.shape != first.shape or page.dtype != first.dtype or any(start <= 0 or start + count > size for start, count in ends):
        raise Unreadable("damaged")


def _full(values: np.ndarray, bits: int) -> np.ndarray:
    """Values on the full scale of uint8 or uint16; anything else as float32."""
    if values.dtype == bool:
        return values.astype(np.uint8) * 255
    if values.dtype.kind != "u" or values.dtype.itemsize > 2:
        return values.astype(np.float32)
    full = np.iinfo(values.dtype).max
    top = (1 << bits) - 1
    if top >= full:
        return values
    return ((np.minimum(values, top).astype(np.uint32) * int(full) + top // 2) // top).astype(values.dtype)


def _painted(values: np.ndarray, palette: tuple[int, ...], bits: int) -> np.ndarray:
    """Palette indices → (H, W, 3) uint8; the colours are 16-bit, but some writers put 8-bit ones there."""
    if bits > 16 or len(palette) != 3 << bits:
        raise Unreadable("damaged")
    colours: np.ndarray = np.array(palette, np.uint32).reshape(3, -1).T
    colours = colours if colours.max() < 256 else colours >> 8
    return colours.astype(np.uint8)[values.astype(np.int64)]


def cmyk(values: np.ndarray) -> np.ndarray:
    """(H, W, ≥ 4) ink, full = all ink → (H, W, 3) of the same type, without a colour profile."""
    if values.dtype.kind != "u" or values.shape[2] < 4:
        raise Unreadable("odd_tiff", what="CMYK")
    full = int(np.iinfo(values.dtype).max)
    paper = full - values[..., :4].astype(np.uint64)
    return ((paper[..., :3] * paper[..., 3:] + full // 2) // full).astype(values.dtype)


def _from_ycbcr(values: np.ndarray) -> np.ndarray:
    """ITU-R BT.601 full range, as TIFF writes it without subsampling."""
    if values.dtype != np.uint8 or values.shape[2] != 3:
        raise Unreadable("odd_tiff", what="YCbCr")
    y, b, r = (values[..., i].astype(np.float32) for i in range(3))
    b, r = b - 128, r - 128
    rgb = np.stack([y + 1.402 * r, y - 0.344136 * b - 0.714136 * r, y + 1.772 * b], 2)
    return rgb.round().clip(0, 255).astype(np.uint8)


def _arranged(values: np.ndarray, extra: tuple[int, ...]) -> np.ndarray:
    """Grey + alpha → RGBA; alpha last and not multiplied in; four channels without an alpha → the first three."""
    count = values.shape[2]
    alpha = next((count - len(extra) + i for i, kind in enumerate(extra) if kind in (1, 2)), None)
    if count == 2 and alpha is None:
        return np.concatenate([values, np.zeros_like(values[..., :1])], 2)
    if alpha is None or count not in (2, 4):
        return values[..., :3] if count == 4 else values
    if extra[0] == 1 and values.dtype.kind == "u":
        full = int(np.iinfo(values.dtype).max)
        cover = values[..., alpha:].astype(np.uint64)
        colour = values[..., :alpha].astype(np.uint64)
        values[..., :alpha] = np.minimum((colour * full + cover // 2) // np.maximum(cover, 1), full)
    return values if count == 4 else values[..., [0, 0, 0, 1]]

"""One decoder for every entrance: the same pixels in training, on the command line and in the service.

    (H, W, 1) grey · (H, W, 3) RGB · (H, W, 4) RGBA · (H, W, n) as stored         upright by EXIF, first frame
    uint8, or uint16 with white = 65535, or float32 as stored

Grey with alpha becomes RGBA, palettes RGB or RGBA, CMYK RGB; two channels become three (the last is 0), and four of which none is
declared alpha the first three, so that a fourth channel always is alpha. Colour profiles are not applied.
Size, pixels and frames are capped from the header, before anything is decoded.
"""

from __future__ import annotations

import io
import logging
import mmap
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import simplejpeg

from omma.data.readers import header as headers
from omma.data.readers import pnm, tiff
from omma.data.readers.header import Header, Unreadable
from omma.errors import DataError
from omma.words import say

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".ppm", ".pgm", ".pbm", ".pnm"}
)
MAX_BYTES = 256 << 20
# What Pillow calls a bomb: 178,956,970 pixels; phones reach 200 million with their largest mode, OMMA_MAX_PIXELS lets them in.
MAX_PIXELS = 178_956_970
# No photograph or scan shrinks 500 times; a PNG of nothing does, and fills the memory.
_BOMB_PIXELS, _BOMB_RATIO = 32_000_000, 500

# Libraries note trouble in their logs; without a handler that would land on the screen of whoever asked for a picture.
for _library in ("imagecodecs", "tifffile", "PIL"):
    logging.getLogger(_library).addHandler(logging.NullHandler())

_HEADERS = {
    "jpeg": headers.jpeg, "png": headers.png, "webp": headers.webp, "gif": headers.gif, "bmp": headers.bmp,
    "tiff": tiff.header, "pnm": pnm.header,
}  # fmt: skip


@dataclass(slots=True, frozen=True)
class Probe:
    """What the header of a picture file says.

    Args:
        format: jpeg, png, webp, tiff, bmp, gif or pnm — by content, whatever the file is called.
        width, height: pixels of the upright picture.
        channels: of the array `decode` gives.
        bits: of one stored value.
        frames: pictures in the file; `decode` reads the first.
        orientation: EXIF, 1–8; 1 is upright.
    """

    format: str
    width: int
    height: int
    channels: int
    bits: int
    frames: int
    orientation: int


def max_pixels() -> int:
    """The most pixels a picture may have: `OMMA_MAX_PIXELS`, else 178,956,970."""
    text = os.environ.get("OMMA_MAX_PIXELS")
    return MAX_PIXELS if not text or not text.isdigit() else int(text)


def decode(source: Path | bytes, *, name: str | None = None, frame: int = 0) -> np.ndarray:
    """The picture, upright: (H, W, C) uint8, uint16 or float32, C = 1, 3, 4 or more (see the top of this file).

    Args:
        source: a file, or the bytes of one.
        name: what to call it in an error; the path if there is one.
        frame: which of the pictures a GIF, WebP or TIFF may hold.

    Raises:
        DataError: not a picture, damaged, truncated or too large; names the file and the reason.
    """
    try:
        data = source if isinstance(source, bytes) else _bytes(source)
        head = _header(data)
        if not 0 <= frame < max(1, head.frames):
            raise Unreadable("damaged")
        head.more["frame"] = frame
        picture = _READERS[head.format](data, head)
        return picture if head.orientation == 1 else _upright(picture, head.orientation)
    except Exception as error:
        raise _refused(error, source, name) from None


class Stored(NamedTuple):
    """A picture whose values are numbers of something, not brightness: as stored, upright, looked up nowhere.

    Args:
        values: (H, W, C) uint8, uint16 or float32; of a palette PNG the places in its palette.
        palette: (256, 3) uint8 of a palette PNG, else None.
        lossy: a JPEG, whose values are only nearly what was written.
    """

    values: np.ndarray
    palette: np.ndarray | None
    lossy: bool


def stored(source: Path | bytes, *, name: str | None = None) -> Stored:
    """The numbers of a mask: as `decode`, but palettes are not looked up, and 1, 2 or 4 bits are not stretched to 8.

    Raises:
        DataError: as `decode`.
    """
    try:
        data = source if isinstance(source, bytes) else _bytes(source)
        head = _header(data)
        indexed = head.format == "png" and data[25] == 3
        values, palette = _indices(data) if indexed else (_READERS[head.format](data, head), None)
        if head.format == "png" and data[25] == 0 and head.bits < 8:
            values = values[..., :1] // (255 // ((1 << head.bits) - 1))
        values = values if head.orientation == 1 else _upright(values, head.orientation)
        return Stored(values, palette, head.format == "jpeg")
    except Exception as error:
        raise _refused(error, source, name) from None


def _indices(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Places in the palette of a PNG (H, W, 1), and the palette (256, 3)."""
    from PIL.PngImagePlugin import PngImageFile

    headers.check_png(data)
    picture = PngImageFile(io.BytesIO(data))
    values = np.asarray(picture)[..., None]
    palette = np.zeros((256, 3), np.uint8)
    colours = np.array(picture.getpalette(), np.uint8).reshape(-1, 3)[:256]
    palette[: len(colours)] = colours
    return values, palette


def probe(path: Path | bytes) -> Probe:
    """The header alone: cheap, no pixel is decoded.

    Raises:
        DataError: as `decode`, as far as a header can tell.
    """
    try:
        if isinstance(path, bytes):
            return _told(_header(path), path)
        descriptor = os.open(path, _OPEN)
        try:
            with mmap.mmap(descriptor, _regular(descriptor), access=mmap.ACCESS_READ) as data:
                return _told(_header(data), data)  # type: ignore[arg-type]
        finally:
            os.close(descriptor)
    except Exception as error:
        raise _refused(error, path, None) from None


def to_rgb8(picture: np.ndarray) -> np.ndarray:
    """Any decoded picture → (H, W, 3) uint8: what people see and networks get.

    Grey is repeated, alpha laid over white, further channels left out. uint16 is divided by 257. Floats within 0–1 are multiplied by 255;
    others are stretched from their smallest to their largest value; NaN counts as the smallest.
    """
    if picture.dtype != np.uint8:
        picture = _eight(picture)
    channels = picture.shape[2]
    if channels == 3:
        return picture
    if channels == 1:
        return np.repeat(picture, 3, axis=2)
    if channels == 4:
        cover = picture[..., 3:].astype(np.uint32)
        return ((picture[..., :3] * cover + 255 * (255 - cover) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(picture[..., :3])


def _eight(picture: np.ndarray) -> np.ndarray:
    if picture.dtype == np.uint16:
        return ((picture.astype(np.uint32) + 128) // 257).astype(np.uint8)
    values = picture.astype(np.float32)
    sound = np.isfinite(values)
    low, high = (float(values[sound].min()), float(values[sound].max())) if sound.any() else (0.0, 1.0)
    low, high = (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
    values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    # In double precision: the range of a float32 may itself be beyond float32.
    return ((values.astype(np.float64) - low) * (255 / max(high - low, 1e-300))).round().clip(0, 255).astype(np.uint8)


def find_pictures(folder: Path, suffixes: frozenset[str] = PICTURE_SUFFIXES) -> list[Path]:
    """Every picture file below a folder by its suffix, sorted; hidden files are skipped, links that leave the folder are not followed."""
    top = os.path.realpath(folder)
    found = []
    for here, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if not hidden(name))
        for name in files:
            if os.path.splitext(name)[1].lower() in suffixes and not hidden(name):
                path = os.path.join(here, name)
                if not os.path.islink(path) or inside(path, top):
                    found.append(Path(path))
    return sorted(found)


def hidden(name: str) -> bool:
    """Whether a file or folder is the system's own and nobody's data."""
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "@eaDir")


def inside(path: str | Path, top: str) -> bool:
    """Whether `path`, every link followed, lies below `top` (a real path)."""
    real = os.path.realpath(path)
    return real == top or real.startswith(top.rstrip(os.sep) + os.sep)


# A pipe must not keep us waiting for a writer.
_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def _regular(descriptor: int) -> int:
    """The size of an open file, if it is one of bearable size."""
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        raise Unreadable("not_a_file")
    if about.st_size > MAX_BYTES:
        raise Unreadable("too_many_bytes", size=about.st_size >> 20, cap=MAX_BYTES >> 20)
    if not about.st_size:
        raise Unreadable("empty")
    return about.st_size


def _bytes(path: str | Path) -> bytes:
    """The whole file. System calls, not file objects: for small pictures half the time is spent here."""
    descriptor = os.open(path, _OPEN)
    try:
        size = _regular(descriptor)
        data = os.read(descriptor, size)
        while len(data) < size and (more := os.read(descriptor, size - len(data))):
            data += more
        return data
    finally:
        os.close(descriptor)


def _header(data: bytes) -> Header:
    """What the file promises, if it may be decoded at all."""
    if len(data) > MAX_BYTES:
        raise Unreadable("too_many_bytes", size=len(data) >> 20, cap=MAX_BYTES >> 20)
    head = _HEADERS[headers.kind(data)](data)
    pixels, cap = head.width * head.height, max_pixels()
    if head.width <= 0 or head.height <= 0:
        raise Unreadable("no_pixels", width=head.width, height=head.height)
    if pixels > cap or pixels * head.channels * max(head.bits, 8) > 64 * cap:
        raise Unreadable("too_many_pixels", width=head.width, height=head.height, channels=head.channels, cap=cap)
    if head.frames > headers.MAX_FRAMES:
        raise Unreadable("too_many_frames", frames=head.frames, cap=headers.MAX_FRAMES)
    if pixels > _BOMB_PIXELS and pixels * head.channels * head.bits // 8 > _BOMB_RATIO * len(data):
        raise Unreadable("bomb", width=head.width, height=head.height, size=len(data))
    return head


def _told(head: Header, data: bytes) -> Probe:
    width, height = (head.width, head.height) if head.orientation < 5 else (head.height, head.width)
    if head.format == "bmp":
        head.channels = {"1": 1, "L": 1, "RGBA": 4}.get(_bmp(data[: 1 << 16]).mode, 3)
    return Probe(head.format, width, height, head.channels, head.bits, head.frames, head.orientation)


def _upright(picture: np.ndarray, orientation: int) -> np.ndarray:
    """Undo how the camera was held: EXIF 2 mirrored, 3 turned by 180°, 4 both, 5–8 the same with rows and columns exchanged."""
    if orientation > 4:
        picture = picture.swapaxes(0, 1)
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return np.ascontiguousarray(picture[rows, columns])


def _refused(error: Exception, source: Path | bytes, name: str | None) -> DataError:
    """Any exception of any library → one kind, with the file and a reason."""
    where = name or (say("decode.bytes") if isinstance(source, bytes) else str(source))
    if isinstance(error, Unreadable):
        return DataError(str(error), where)
    if isinstance(error, FileNotFoundError):
        return DataError(say("decode.absent"), where)
    if isinstance(error, PermissionError):
        return DataError(say("decode.forbidden"), where)
    if isinstance(error, MemoryError):
        return DataError(say("decode.memory"), where)
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    cut = any(word in reason.lower() for word in ("truncated", "premature", "too small", "unexpected end", "not enough"))
    return DataError(say("decode.truncated") if cut else say("decode.broken", reason=reason), where)


def _jpeg(data: bytes, head: Header) -> np.ndarray:
    if head.more["parts"] not in (1, 3) or head.bits != 8:
        return _odd_jpeg(data, head)
    # Every scan of a progressive file passes over the whole picture: a few thousand empty ones would take minutes.
    if head.more["marker"] in (0xC2, 0xCA) and (scans := data.count(b"\xff\xda")) > 64 and scans * head.width * head.height > 1 << 28:
        raise Unreadable("busy")
    space = "GRAY" if head.channels == 1 else "RGB"
    try:
        return simplejpeg.decode_jpeg(data, space)
    except ValueError as error:
        # Stray bytes before the end mark harm no pixel, and many cameras write them.
        if "extraneous bytes before marker 0xd9" not in str(error):
            raise
        return simplejpeg.decode_jpeg(data, space, strict=False)


def _odd_jpeg(data: bytes, head: Header) -> np.ndarray:
    """CMYK and YCCK (Adobe's are stored inverted), and 12 bits."""
    if head.bits == 8 and head.more["parts"] == 4:
        from PIL.JpegImagePlugin import JpegImageFile

        picture = JpegImageFile(io.BytesIO(data))
        if data.count(b"\xff\xda") > 64:
            raise Unreadable("busy")
        return tiff.cmyk(np.asarray(picture))
    if head.bits == 12 and head.more["parts"] in (1, 3):
        import imagecodecs

        # This reader fills up what is missing without a word.
        if data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
            raise Unreadable("truncated")
        values = imagecodecs.jpeg_decode(data, bitspersample=12).astype(np.uint32)
        return ((values * 65535 + 2047) // 4095).astype(np.uint16).reshape(head.height, head.width, -1)
    raise Unreadable("odd_jpeg", parts=head.more["parts"], bits=head.bits)


def _png(data: bytes, head: Header) -> np.ndarray:
    import imagecodecs

    headers.check_png(data)
    # libpng reads 16 bits as they are; Pillow would make 8 of them without a word.
    picture = imagecodecs.png_decode(data)
    picture = picture[..., None] if picture.ndim == 2 else picture
    return picture[..., [0, 0, 0, 1]] if picture.shape[2] == 2 else picture


def _webp(data: bytes, head: Header) -> np.ndarray:
    from PIL.WebPImagePlugin import WebPImageFile

    picture = WebPImageFile(io.BytesIO(data))
    picture.seek(head.more.get("frame", 0))
    if picture.size != (head.width, head.height):
        raise Unreadable("damaged")
    return np.asarray(picture)


def _gif(data: bytes, head: Header) -> np.ndarray:
    from PIL.GifImagePlugin import GifImageFile

    picture = GifImageFile(io.BytesIO(data))
    if picture.size[0] * picture.size[1] > max_pixels():
        raise Unreadable("damaged")
    picture.seek(head.more.get("frame", 0))
    return np.asarray(picture.convert("RGBA" if head.channels == 4 else "RGB"))


def _bmp(data: bytes):
    from PIL.BmpImagePlugin import BmpImageFile, DibImageFile

    return (BmpImageFile if data[:2] == b"BM" else DibImageFile)(io.BytesIO(data))


def _bmp_pixels(data: bytes, head: Header) -> np.ndarray:
    # Pillow unpacks run lengths in Python, byte by byte.
    if head.more["packing"] in (1, 2) and (len(data) > 8 << 20 or head.width * head.height > 1 << 24):
        raise Unreadable("busy")
    picture = _bmp(data)
    if picture.size != (head.width, head.height):
        raise Unreadable("damaged")
    grey = picture.mode in ("1", "L")
    values = np.asarray(picture.convert("L" if grey else "RGBA" if picture.mode == "RGBA" else "RGB"))
    return values[..., None] if grey else values


_READERS = {"jpeg": _jpeg, "png": _png, "webp": _webp, "gif": _gif, "bmp": _bmp_pixels, "tiff": tiff.read, "pnm": pnm.read}

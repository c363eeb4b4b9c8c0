"""The decoder against pictures built here, pixel by pixel, in every mode and format."""

from __future__ import annotations

import io
import os
import struct
import time
import zlib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import imagecodecs
import numpy as np
import pytest
import simplejpeg
import tifffile
from PIL import Image

from omma.data import decode as module
from omma.data.decode import decode, find_pictures, probe, to_rgb8
from omma.errors import DataError

H, W = 24, 40


def smooth(channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    """(H, W, C) gradients that differ by channel and direction, over the whole range of the type."""
    y, x = np.mgrid[0:H, 0:W]
    planes = [x / (W - 1), y / (H - 1), (x + y) / (H + W - 2), 1 - 0.9 * x / (W - 1), (y * x % 7) / 7, 0.5 + 0 * x]
    values = np.stack(planes[:channels], 2)
    return values.astype(np.float32) if dtype is np.float32 else (values * np.iinfo(dtype).max).round().astype(dtype)


def pil(picture: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def tiff(values: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


def png16(values: np.ndarray) -> bytes:
    """A 16-bit PNG by hand, so that no library of the decoder wrote it."""
    channels = values.shape[2]

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tag(number: int, value: int) -> bytes:
    """A TIFF entry of one 32-bit number."""
    return struct.pack("<HHII", number, 4, 1, value)


def rgb(channels: int = 3) -> Image.Image:
    return Image.fromarray(smooth(channels).squeeze())


def ink() -> tuple[np.ndarray, np.ndarray]:
    """CMYK ink (255 = all) and the RGB it means."""
    values = smooth(4)
    paper = 255 - values.astype(int)
    return values, ((paper[..., :3] * paper[..., 3:] + 127) // 255).astype(np.uint8)


def palette() -> tuple[Image.Image, np.ndarray]:
    picture = rgb().quantize(16)
    return picture, np.asarray(picture.convert("RGB"))


def see_through() -> tuple[bytes, np.ndarray]:
    picture, colours = palette()
    alpha = bytes(range(0, 256, 16))
    truth = np.dstack([colours, np.frombuffer(alpha, np.uint8)[np.asarray(picture)]])
    return pil(picture, "PNG", transparency=alpha), truth


def grey_alpha() -> tuple[np.ndarray, np.ndarray]:
    values = smooth(2)
    return values, values[..., [0, 0, 0, 1]]


def bits() -> tuple[Image.Image, np.ndarray]:
    truth = (smooth(1) > 120).astype(np.uint8) * 255
    return Image.fromarray(truth[..., 0]).convert("1"), truth


def cases() -> dict[str, tuple[bytes, np.ndarray, int]]:
    """name → (file, truth, allowed error)."""
    one, indexed, four = bits(), palette(), ink()
    grey, colour, cover = smooth(1), smooth(3), smooth(4)
    u16, f32 = smooth(3, np.uint16), smooth(3, np.float32)
    table: dict[str, tuple[bytes, np.ndarray, int]] = {
        "png 1": (pil(one[0], "PNG"), one[1], 0),
        "png grey": (pil(rgb(1), "PNG"), grey, 0),
        "png rgb": (pil(rgb(), "PNG"), colour, 0),
        "png rgba": (pil(rgb(4), "PNG"), cover, 0),
        "png grey alpha": (pil(la(), "PNG"), grey_alpha()[1], 0),
        "png palette": (pil(indexed[0], "PNG"), indexed[1], 0),
        "png palette tRNS": (*see_through(), 0),
        "png colour key": (pil(rgb(), "PNG", transparency=(0, 0, 0)), np.dstack([colour, 255 * (colour.any(2)).astype(np.uint8)]), 0),
        "png 16 grey": (png16(smooth(1, np.uint16)), smooth(1, np.uint16), 0),
        "png 16 rgb": (png16(u16), u16, 0),
        "png 16 rgba": (png16(smooth(4, np.uint16)), smooth(4, np.uint16), 0),
        "png 16 grey alpha": (png16(smooth(2, np.uint16)), smooth(2, np.uint16)[..., [0, 0, 0, 1]], 0),
        "webp lossless": (pil(rgb(), "WEBP", lossless=True), colour, 0),
        "webp lossless alpha": (pil(rgb(4), "WEBP", lossless=True, exact=True), cover, 0),
        "webp lossy": (pil(rgb(), "WEBP", quality=100), colour, 12),
        "bmp 1": (pil(one[0], "BMP"), one[1], 0),
        "bmp grey": (pil(rgb(1), "BMP"), grey, 0),
        "bmp rgb": (pil(rgb(), "BMP"), colour, 0),
        "bmp palette": (pil(indexed[0], "BMP"), indexed[1], 0),
        "gif palette": (pil(indexed[0], "GIF"), indexed[1], 0),
        "pgm": (pil(rgb(1), "PPM"), grey, 0),
        "ppm": (pil(rgb(), "PPM"), colour, 0),
        "pbm": (pil(one[0], "PPM"), one[1], 0),
        "ppm plain": (f"P3 # words\n{W} {H} 255\n{' '.join(map(str, colour.ravel()))}".encode(), colour, 0),
        "pgm plain 1000": (f"P2\n{W} {H}\n1000\n{' '.join(['500'] * H * W)}\n".encode(), np.full((H, W, 1), 32768, np.uint16), 0),
        "pbm plain": (f"P1\n{W} {H}\n{''.join(map(str, (one[1] == 0).astype(int).ravel()))}\n".encode(), one[1], 0),
        "ppm 16": (f"P6 {W} {H} 65535\n".encode() + u16.astype(">u2").tobytes(), u16, 0),
        "jpeg grey": (pil(rgb(1), "JPEG", quality=95), grey, 3),
        "jpeg rgb": (pil(rgb(), "JPEG", quality=98, subsampling=0), colour, 3),
        "jpeg progressive": (pil(rgb(), "JPEG", quality=98, subsampling=0, progressive=True), colour, 3),
        "jpeg 4:2:0": (pil(rgb(), "JPEG", quality=98, subsampling=2), colour, 12),
        "jpeg ycck (Adobe, inverted)": (ycck(255 - four[0]), four[1], 6),
        "jpeg 12 grey": (imagecodecs.jpeg_encode(smooth(1, np.uint16) >> 4, 98, bitspersample=12), smooth(1, np.uint16), 3 * 257),
        "jpeg cmyk (Adobe, inverted)": (pil(cmyk(), "JPEG", quality=98), four[1], 3),
    }
    planes, grey_kind = smooth(6, np.float32).transpose(2, 0, 1), {"photometric": "minisblack", "planarconfig": "contig"}
    for order in "<>":
        table[f"tiff 16 rgb {order}"] = (tiff(u16, photometric="rgb", byteorder=order), u16, 0)
    table |= {
        "tiff 1 group4": (pil(one[0], "TIFF", compression="group4"), one[1], 0),
        "tiff grey": (tiff(grey[..., 0]), grey, 0),
        "tiff white is zero": (tiff(255 - grey[..., 0], photometric="miniswhite"), grey, 0),
        "tiff rgb lzw": (pil(rgb(), "TIFF", compression="tiff_lzw"), colour, 0),
        "tiff rgb deflate predictor": (tiff(colour, photometric="rgb", compression="deflate", predictor=True), colour, 0),
        "tiff rgb tiles": (tiff(colour, photometric="rgb", tile=(16, 16)), colour, 0),
        "tiff rgb planes": (tiff(colour.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"), colour, 0),
        "tiff rgba": (tiff(cover, photometric="rgb"), cover, 0),
        "tiff palette": (pil(indexed[0], "TIFF"), indexed[1], 0),
        "tiff cmyk": (pil(cmyk(), "TIFF"), four[1], 0),
        "tiff jpeg": (pil(rgb(), "TIFF", compression="jpeg", quality=98), colour, 3),
        "tiff 16 grey": (tiff(smooth(1, np.uint16)[..., 0]), smooth(1, np.uint16), 0),
        "tiff float rgb": (tiff(f32, photometric="rgb"), f32, 0),
        "tiff float grey big": (tiff(f32[..., 0] * 4000 - 1000, bigtiff=True), f32[..., :1] * 4000 - 1000, 0),
        "tiff half": (tiff(f32.astype(np.float16), photometric="rgb"), f32.astype(np.float16).astype(np.float32), 0),
        "tiff int16": (tiff(grey[..., 0].astype(np.int16) - 100), grey.astype(np.float32) - 100, 0),
        "tiff five channels": (tiff(smooth(5), **grey_kind), smooth(5), 0),
        "tiff six float planes": (tiff(planes, photometric="minisblack", planarconfig="separate"), smooth(6, np.float32), 0),
        "tiff two channels": (tiff(smooth(2), **grey_kind), np.dstack([smooth(2), np.zeros((H, W), np.uint8)]), 0),
        "tiff grey alpha": (tiff(smooth(2), **grey_kind, extrasamples=["unassalpha"]), grey_alpha()[1], 0),
        "tiff rgb and infrared": (tiff(cover, photometric="rgb", extrasamples=["unspecified"]), colour, 0),
    }  # fmt: skip
    return table


def la() -> Image.Image:
    values = smooth(2)
    return Image.merge("LA", [Image.fromarray(values[..., 0]), Image.fromarray(values[..., 1])])


def ycck(inverted: np.ndarray) -> bytes:
    return imagecodecs.jpeg_encode(np.ascontiguousarray(inverted), 98, colorspace="CMYK", outcolorspace="YCCK")


def cmyk() -> Image.Image:
    return Image.merge("CMYK", [Image.fromarray(plane) for plane in np.ascontiguousarray(ink()[0].transpose(2, 0, 1))])


CASES = cases()


@pytest.mark.parametrize("name", CASES)
def test_pixels_are_the_truth(name: str, tmp_path: Path) -> None:
    data, truth, allowed = CASES[name]
    path = tmp_path / "图片.bin"
    path.write_bytes(data)
    picture = decode(path)
    assert picture.dtype == truth.dtype and picture.shape == truth.shape
    assert np.abs(picture.astype(np.float64) - truth.astype(np.float64)).max() <= allowed
    assert np.array_equal(picture, decode(data))
    told = probe(path)
    assert told == probe(data)
    assert (told.height, told.width, told.channels) == picture.shape
    assert told.format == {"pbm": "pnm", "pgm": "pnm", "ppm": "pnm"}.get(name.split()[0], name.split()[0])
    assert to_rgb8(picture).shape == (*picture.shape[:2], 3) and to_rgb8(picture).dtype == np.uint8


def exif(orientation: int) -> bytes:
    about = Image.Exif()
    about[274] = orientation
    return about.tobytes()


def held(truth: np.ndarray, orientation: int) -> np.ndarray:
    """What a camera stores that is held like this; the definition of the EXIF standard, not the decoder's inverse."""
    stored = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1], 5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1), 7: lambda a: a[::-1, ::-1].transpose(1, 0, 2), 8: lambda a: np.rot90(a, -1),
    }  # fmt: skip
    return np.ascontiguousarray(stored[orientation](truth))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation_is_upright(format: str, orientation: int) -> None:
    truth = smooth()
    stored = held(truth, orientation)
    if format == "TIFF":
        data = tiff(stored, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    else:
        options = {"JPEG": {"quality": 98, "subsampling": 0}, "PNG": {}, "WEBP": {"lossless": True}}[format]
        data = pil(Image.fromarray(stored), format, exif=exif(orientation), **options)
    assert np.abs(decode(data).astype(int) - truth).max() <= (3 if format == "JPEG" else 0)
    assert (probe(data).width, probe(data).height, probe(data).orientation) == (W, H, orientation)


def test_ignoring_orientation_would_be_seen() -> None:
    """Negative control of the test above."""
    data = pil(Image.fromarray(held(smooth(), 6)), "PNG", exif=exif(6))
    head = module._header(data)
    assert module._png(data, head).shape != smooth().shape


def test_sixteen_bits_survive_where_pillow_drops_them() -> None:
    truth = smooth(3, np.uint16)
    data = png16(truth)
    assert np.asarray(Image.open(io.BytesIO(data))).dtype == np.uint8
    assert np.array_equal(decode(data), truth)


def test_alpha_lies_over_white() -> None:
    picture = np.zeros((1, 3, 4), np.uint8)
    picture[0, :, 3] = 0, 128, 255
    assert to_rgb8(picture)[0, :, 0].tolist() == [255, 127, 0]


def test_floats_and_wide_integers_become_visible() -> None:
    assert to_rgb8(np.array([[[0.0], [0.5], [1.0]]], np.float32))[0, :, 0].tolist() == [0, 128, 255]
    assert to_rgb8(np.array([[[-50.0], [np.nan], [150.0], [np.inf]]], np.float32))[0, :, 0].tolist() == [0, 0, 255, 255]
    assert to_rgb8(np.array([[[0], [128], [129], [65535]]], np.uint16))[0, :, 0].tolist() == [0, 0, 1, 255]
    big = np.finfo(np.float32).max
    assert to_rgb8(np.array([[[-big], [big]]], np.float32))[0, :, 0].tolist() == [0, 255]


def test_first_frame_and_count() -> None:
    frames = [Image.fromarray(np.full((8, 8, 3), shade, np.uint8)) for shade in (10, 100, 200)]
    for format in ("GIF", "WEBP", "TIFF", "PNG"):
        data = pil(frames[0], format, save_all=True, append_images=frames[1:], **({"lossless": True} if format == "WEBP" else {}))
        assert probe(data).frames == 3, format
        assert (decode(data) == 10).all(), format


def test_transparent_gif_keeps_its_alpha() -> None:
    picture = rgb().quantize(8)
    data = pil(picture, "GIF", transparency=3)
    assert np.array_equal(decode(data)[..., 3] == 0, np.asarray(picture) == 3)
    assert probe(data).channels == 4


LOSSLESS = [name for name in CASES if name.split()[0] in ("jpeg", "png", "tiff", "ppm", "pgm", "pbm", "bmp", "gif", "webp")]


@pytest.mark.parametrize("name", LOSSLESS)
def test_truncated_is_refused_by_name(name: str, tmp_path: Path) -> None:
    data = CASES[name][0]
    for share in (0.03, 0.3, 0.6, 0.9):
        path = tmp_path / f"holiday {share}.jpg"
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(DataError) as caught:
            decode(path)
        assert path.name in str(caught.value) and "\n" not in str(caught.value)


def test_jpeg_without_its_end_is_refused() -> None:
    for options in ({}, {"progressive": True}):
        data = pil(rgb().resize((400, 300)), "JPEG", quality=95, **options)
        with pytest.raises(DataError, match="truncated"):
            decode(data[:-2])
        with pytest.raises(DataError, match="truncated"):
            decode(data[: len(data) * 2 // 3] + b"\xff\xd9")


def test_a_png_with_wrong_pixels_is_refused() -> None:
    """Flipped bits that can still be unpacked: libpng and many readers go on and give other pixels."""
    data = pil(Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)), "PNG", compress_level=0)
    place = data.index(b"IDAT") + 500
    with pytest.raises(DataError, match="checksum"):
        decode(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])


def test_a_tiff_that_lacks_strips_is_refused() -> None:
    data = tiff(np.full((64, 8), 200, np.uint8), rowsperstrip=64)
    assert (decode(data) == 200).all()
    with pytest.raises(DataError, match="truncated"):
        decode(data.replace(tag(278, 64), tag(278, 16)))


def test_libraries_write_nothing_on_the_screen(capfd: pytest.CaptureFixture) -> None:
    fuzz = fuzzing()
    sound = list(fuzz.seeds().values())
    for index in range(200):
        fuzz.one(fuzz.picture(index, 3, sound), "a.jpg")
    assert capfd.readouterr() == ("", "")


def test_stray_bytes_before_the_end_do_no_harm() -> None:
    data = simplejpeg.encode_jpeg(smooth(), 98, colorsubsampling="444")
    assert np.array_equal(decode(data[:-2] + b"\0\0\0" + data[-2:]), decode(data))
    assert np.array_equal(decode(data + b"\0" * 10), decode(data))


def png_of(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


MANY_FRAMES = (b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0") * 12_000
MANY_CHUNKS = (b"\0\0\0\0tEXt" + struct.pack(">I", zlib.crc32(b"tEXt"))) * 110_000
HOSTILE = {
    "png of 2 gigapixels": png_of(50_000, 40_000),
    "png bomb of 84 megapixels": png_of(9_165, 9_165),
    "png of no pixels": png_of(0, 10),
    "tiff of 17 gigapixels": tiff(np.zeros((8, 8), np.uint8)).replace(tag(256, 8), tag(256, 1 << 31)),
    "gif": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\0;",
    "gif of 12,000 frames": pil(palette()[0], "GIF")[:-1] + MANY_FRAMES + b";",
    "png of 110,000 chunks": png_of(1, 1)[:-12] + MANY_CHUNKS + png_of(1, 1)[-12:],
    "ppm": b"P6 99999 99999 255\n",
    "empty": b"",
    "text": "就是文字".encode(),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "pdf": b"%PDF-1.7 ...",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "one letter": b"P",
    "jpeg of 10,000 segments": b"\xff\xd8" + b"\xff\xfe\0\x02" * 20_000,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_at_once(name: str) -> None:
    started = time.perf_counter()
    with pytest.raises(DataError) as caught:
        decode(HOSTILE[name], name="upload.jpg")
    assert "upload.jpg" in str(caught.value)
    assert time.perf_counter() - started < 1


def test_progressive_jpeg_of_thousands_of_scans_is_refused() -> None:
    data = pil(Image.new("RGB", (4000, 3000)), "JPEG", progressive=True)
    place = data.rindex(b"\xff\xda")
    started = time.perf_counter()
    with pytest.raises(DataError, match="parts"):
        decode(data[:place] + data[place:-2] * 3000 + b"\xff\xd9")
    assert time.perf_counter() - started < 1


def test_cap_can_be_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pil(rgb(), "PNG")
    monkeypatch.setenv("OMMA_MAX_PIXELS", str(H * W - 1))
    with pytest.raises(DataError, match="OMMA_MAX_PIXELS"):
        decode(data)
    monkeypatch.setenv("OMMA_MAX_PIXELS", str(H * W))
    assert decode(data).shape == (H, W, 3)


def test_what_is_not_a_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", tmp_path, tmp_path / "无.png"):
        for read in (decode, probe):
            with pytest.raises(DataError, match=path.name):
                read(path)
    with open(tmp_path / "huge.jpg", "wb") as file:
        file.truncate(module.MAX_BYTES + 1)
    with pytest.raises(DataError, match="256 MB"):
        decode(tmp_path / "huge.jpg")


def test_any_exception_becomes_one_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (
        OSError("x"),
        SyntaxError("x"),
        ValueError("x"),
        struct.error("x"),
        MemoryError(),
        RecursionError("x"),
        ZeroDivisionError(),
    ):

        def breaks(data: bytes, head: object, error: Exception = error) -> np.ndarray:
            raise error

        monkeypatch.setitem(module._READERS, "png", breaks)
        with pytest.raises(DataError, match=r"cat\.png"):
            decode(pil(rgb(), "PNG"), name="cat.png")


def test_three_hundred_injured_pictures_are_decoded_or_named(monkeypatch: pytest.MonkeyPatch) -> None:
    fuzz = fuzzing()
    sound = list(fuzz.seeds().values())
    assert len(sound) == 60 and all(fuzz.one(data, "sound.jpg")["outcome"] == "decoded" for data in sound)
    rows = [fuzz.one(fuzz.picture(i, 7, sound), f"picture-{i}.jpg") | {"index": i} for i in range(300)]
    table = fuzz.summary(rows)
    assert table["decoded"] + table["refused, by name"] == 300 and table["hangs over 2 s"] == 0
    assert sum(row["reached"] for row in rows) >= 90 and table["refused, by name"] >= 90
    # Negative controls: a decoder that lets an exception through, or refuses without a name, is seen.
    monkeypatch.setattr(module, "decode", lambda *_, **__: {}[0])
    assert fuzz.one(sound[0], "a.jpg")["outcome"] == "escaped"

    def nameless(*_: object, **__: object) -> None:
        raise DataError("bad")

    monkeypatch.setattr(module, "decode", nameless)
    assert fuzz.one(sound[0], "a.jpg")["outcome"] == "unnamed"


def fuzzing() -> ModuleType:
    """`benchmarks/fuzz_decode.py`, by its path."""
    spec = spec_from_file_location("fuzz_decode", Path(__file__).parents[1] / "benchmarks" / "fuzz_decode.py")
    assert spec is not None and spec.loader is not None
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_pictures_are_found_in_order(tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    outside.write_bytes(b"")
    top = tmp_path / "照片"
    for name in ("b/2.PNG", "b/10.jpg", "a/猫.webp", "a/notes.txt", ".hidden/x.png", "a/._x.jpg", "__MACOSX/a.jpg"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(b"")
    (top / "a/leaves.png").symlink_to(outside)
    (top / "a/stays.png").symlink_to(top / "b/2.PNG")
    (top / "loop").symlink_to(top)
    assert [path.relative_to(top).as_posix() for path in find_pictures(top)] == ["a/stays.png", "a/猫.webp", "b/10.jpg", "b/2.PNG"]


def woven(values: np.ndarray, bits: int) -> bytes:
    """An interlaced grey PNG (Adam7) of 1, 2, 4, 8 or 16 bits, by hand."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = b""
    for y, x, down, right in ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)):
        for row in values[y::down, x::right]:
            if len(row):
                digits = "".join(f"{int(value):0{bits}b}" for value in row)
                digits += "0" * (-len(digits) % 8)
                rows += b"\0" + int(digits, 2).to_bytes(len(digits) // 8, "big")
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_interlaced_png_of_every_depth(bits: int) -> None:
    values = np.random.default_rng(0).integers(0, 1 << bits, (11, 13))
    full = 65535 if bits == 16 else 255
    assert np.array_equal(decode(woven(values, bits))[..., 0], values * full // ((1 << bits) - 1))

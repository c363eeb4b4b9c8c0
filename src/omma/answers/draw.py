"""Drawing on pictures: captions that can be read at any size, heat maps, grids."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# A caption needs about this many pixels to be read; smaller pictures are enlarged.
SMALLEST = 224
# Fonts that hold 中文, where the usual systems keep them; the first that opens is taken.
_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts", "/System/Library/Fonts", "/Library/Fonts")
_CJK = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "NotoSansSC-Regular.ttf",
    "NotoSansSC-Regular.otf",
    "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "STHeiti Light.ttc",
    "msyh.ttc",
    "simhei.ttf",
    "simsun.ttc",
    "ukai.ttc",
    "uming.ttc",
)
# Viridis at nine places (van der Walt & Smith 2015): even in lightness, read alike by people with and without colour blindness.
_VIRIDIS = ("440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725")


def banner(picture: np.ndarray, lines: Sequence[str], names: Sequence[str] = ()) -> np.ndarray:
    """The picture with a strip of `lines` below it, light on dark, enlarged first where it is too small to read.

    Nothing of the picture is covered. A character no font on this system can draw is never shown as an empty box: its line
    becomes `#1`, `#2` …, and `legend` says what they stand for. A line that begins with one of `names` keeps the rest, and its number is
    that name's in `legend(names)`: the same on every picture of a model.

    Args:
        picture: (H, W, 3) uint8.
        lines: from top to bottom; long ones are shortened in the middle.
        names: a model's names, with which lines may begin.

    Returns:
        (H', W', 3) uint8.
    """
    picture = enlarge(picture)
    width = picture.shape[1]
    # About 26 letters in a row, and never smaller than 12 pixels.
    height = int(np.clip(width / 15, 12, 64))
    lines = [by_number(line, names) for line in lines]
    shown = [number if (number := _numbers(lines).get(line)) else line for line in lines]
    font = font_for(height, shown)
    gap = max(3, height // 3)
    strip = Image.new("RGB", (width, gap + len(shown) * (height + gap)), (20, 22, 26))
    pen = ImageDraw.Draw(strip)
    for row, line in enumerate(shown):
        pen.text((gap, gap + row * (height + gap)), shorten(line, font, width - 2 * gap), (245, 246, 248), font=font, anchor="lt")
    return np.concatenate([picture, np.asarray(strip)])


def legend(lines: Sequence[str]) -> dict[str, str]:
    """{"#1": line} for the lines this system has no font for; {} where every one can be drawn."""
    return {number: line for line, number in _numbers(lines).items()}


def enlarge(picture: np.ndarray, side: int = SMALLEST) -> np.ndarray:
    """A small picture blown up by a whole factor, its pixels kept square; a large one unchanged. (H, W, 3) uint8."""
    assert picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8, "pictures to draw on are (H, W, 3) uint8"
    factor = max(1, -(-side // max(1, picture.shape[1])))
    # A tall sliver must not become a tower.
    factor = max(1, min(factor, 4096 // max(1, picture.shape[0])))
    picture = picture.repeat(factor, 0).repeat(factor, 1)
    missing = 64 - picture.shape[1]
    return np.pad(picture, ((0, 0), (missing // 2, missing - missing // 2), (0, 0))) if missing > 0 else picture


def overlay(picture: np.ndarray, heat: np.ndarray, strength: float = 0.6) -> np.ndarray:
    """A heat map over a picture: colour says how much, the picture's own light stays visible.

    Args:
        picture: (H, W, 3) uint8.
        heat: (h, w) float, 0–1; stretched to the picture. Values outside are clipped, NaN counts as 0.
        strength: 0–1, of the colour where the map is 1; it fades with the map, so unimportant places stay as they are.
    """
    height, width = picture.shape[:2]
    heat = np.clip(np.nan_to_num(np.asarray(heat, "float32")), 0, 1)
    heat = np.asarray(Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR))
    grey = picture.astype("float32").mean(2, keepdims=True)
    # Half the colour of the picture goes, so that colours of the map cannot be mistaken for its own.
    calm = 0.5 * picture + 0.5 * grey
    share = (strength * (0.25 + 0.75 * heat))[..., None]
    return np.clip(calm * (1 - share) + colours(heat).astype("float32") * share + 0.5, 0, 255).astype("uint8")


def outlined(picture: np.ndarray, corners: Sequence[float], height: int, width: int) -> np.ndarray:
    """A white box at corners in pixels of a picture of `height` × `width`, which may be drawn larger."""
    from omma.answers import _marks

    sheet = _marks.Sheet(picture, width, height)
    sheet.frames(np.array([corners]), [(255, 255, 255)])
    return sheet.canvas


def ringed(drawn: np.ndarray, picture: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """White rings around (n, 4) corners in pixels of a picture, on what an answer has drawn of it."""
    from omma.answers import _marks

    sheet = _marks.Sheet(picture, picture.shape[1], picture.shape[0])
    image = Image.fromarray(drawn)
    pen = ImageDraw.Draw(image)
    for x1, y1, x2, y2 in sheet.place(boxes):
        # Around the box, corners and lines included, and wide enough to be seen around a few pixels.
        across, down = (max(1.42 * (high - low) / 2, 6 * sheet.line) + 2 * sheet.line for low, high in ((x1, x2), (y1, y2)))
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        tall, wide = sheet.canvas.shape[:2]
        corners = np.array([x - across, y - down, x + across, y + down]).clip(sheet.line, (wide, tall, wide, tall)).tolist()
        for wider, width, colour in ((sheet.line, 3 * sheet.line, (20, 22, 26)), (0, sheet.line, (255, 255, 255))):
            halo = (-wider, -wider, wider, wider)
            pen.ellipse([value + more for value, more in zip(corners, halo, strict=True)], outline=colour, width=width)
    return np.asarray(image)


def colours(values: np.ndarray) -> np.ndarray:
    """Numbers 0–1 of any shape → (…, 3) uint8, viridis."""
    stops = np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in _VIRIDIS], "float32")
    place = np.clip(values, 0, 1) * (len(stops) - 1)
    low = np.minimum(place.astype(int), len(stops) - 2)
    rest = (place - low)[..., None]
    return (stops[low] * (1 - rest) + stops[low + 1] * rest + 0.5).astype("uint8")


def grid(pictures: Sequence[np.ndarray], captions: Sequence[str] = (), side: int = SMALLEST, columns: int | None = None) -> np.ndarray:
    """Pictures in equal cells, whole and centred, each with its caption below: (H, W, 3) uint8.

    Args:
        pictures: (h, w, 3) uint8 each, of any size.
        captions: one a picture, or none.
        side: of a cell, pixels.
        columns: default: about as wide as it is high.
    """
    assert len(pictures), "a grid of nothing"
    cells = [_cell(picture, side) for picture in pictures]
    if captions:
        cells = [banner(cell, [caption]) for cell, caption in zip(cells, captions, strict=True)]
    columns = columns or int(np.ceil(len(cells) ** 0.5))
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % columns)
    edged = [np.pad(cell, ((0, 4), (0, 4), (0, 0)), constant_values=255) for cell in cells]
    return np.concatenate([np.concatenate(edged[i : i + columns], 1) for i in range(0, len(edged), columns)])[:-4, :-4]


def _cell(picture: np.ndarray, side: int) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    kind = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    cell = Image.new("RGB", (side, side), (236, 238, 240))
    cell.paste(Image.fromarray(picture).resize(size, kind), ((side - size[0]) // 2, (side - size[1]) // 2))
    return np.asarray(cell)


def _numbers(lines: Sequence[str]) -> dict[str, str]:
    """line → `#n` for the lines that cannot be drawn here."""
    wide = cjk_font()
    lost = (line for line in lines if not _plain(line) and (wide is None or not all(_has(wide, letter) for letter in line)))
    return {line: f"#{place}" for place, line in enumerate(dict.fromkeys(lost), 1)}


def by_number(line: str, names: Sequence[str]) -> str:
    """A line whose leading name cannot be drawn here, with the name's number in its place."""
    found = [(name, number) for name, number in _numbers(names).items() if line == name or line.startswith(name + " ")]
    if not found:
        return line
    name, number = max(found, key=lambda pair: len(pair[0]))  # one name may begin with another
    return number + line[len(name) :]


def _plain(line: str) -> bool:
    """Whether Pillow's own font, a few letters beyond ASCII, has every letter."""
    return all(_has(None, letter) for letter in line)


@cache
def _has(path: Path | None, letter: str) -> bool:
    """Whether a font file (None: Pillow's own font) has a letter: what it has not, it draws as it draws what nobody may define."""
    font = _opened(path, 16)
    return letter.isspace() or bytes(font.getmask(letter)) != bytes(font.getmask("\U0010ffff"))


def shorten(line: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The line, shortened in the middle until it is at most `width` pixels wide."""
    if font.getlength(line) <= width:
        return line
    low, high = 0, len(line)
    while low < high:
        kept = (low + high + 1) // 2
        low, high = (kept, high) if font.getlength(_short(line, kept)) <= width else (low, kept - 1)
    return _short(line, low)


def _short(line: str, kept: int) -> str:
    tail = kept // 3
    return line[: kept - tail] + "…" + line[len(line) - tail :] if kept < len(line) else line


def font_for(size: int, lines: Sequence[str]) -> ImageFont.FreeTypeFont:
    """A font of `size` pixels that has every letter of `lines`, as far as this system has one."""
    return _font(size, any(not _plain(line) for line in lines))


@cache
def _font(size: int, wide: bool) -> ImageFont.FreeTypeFont:
    return _opened(cjk_font() if wide else None, size)


def _opened(path: Path | None, size: int) -> ImageFont.FreeTypeFont:
    if path is not None:
        return ImageFont.truetype(str(path), size)
    plain = ImageFont.load_default(size)
    assert isinstance(plain, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return plain


@cache
def cjk_font() -> Path | None:
    """A font file with 中文 on this system; None where there is none."""
    import os

    folders = [Path(folder).expanduser() for folder in _FOLDERS]
    if windows := os.environ.get("WINDIR"):
        folders.append(Path(windows) / "Fonts")
    found = {path.name: path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.name in _CJK}
    for name in _CJK:
        if name in found:
            try:
                ImageFont.truetype(str(found[name]), 12)
            except OSError:
                continue
            return found[name]
    return None

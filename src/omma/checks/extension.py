"""Files whose name promises another format than they hold."""

from __future__ import annotations

from collections.abc import Iterator

from omma.checks.finding import Finding, Seen

SUFFIXES = {
    "jpeg": {".jpg", ".jpeg", ".jpe", ".jfif"},
    "png": {".png"},
    "webp": {".webp"},
    "tiff": {".tif", ".tiff"},
    "bmp": {".bmp", ".dib"},
    "gif": {".gif"},
    "pnm": {".ppm", ".pgm", ".pbm", ".pnm"},
}


def extension(seen: Seen) -> Iterator[Finding]:
    """omma reads by content; other programs go by the name and fail."""
    reasons: dict[str, str] = {}
    places = []
    for i, (sample, format) in enumerate(zip(seen.dataset.samples, seen.looks.formats.tolist(), strict=True)):
        if format and sample.path is not None and sample.path.suffix.lower() not in SUFFIXES.get(format, {sample.path.suffix.lower()}):
            places.append(i)
            reasons[sample.id] = format
    if places:
        yield Finding("extension", "fault", places=places, reasons=reasons)

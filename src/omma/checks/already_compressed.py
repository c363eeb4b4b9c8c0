"""Good pictures that were compressed hard before: a network learns to put their blocks and fringes into others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from omma.checks._pairs import bare, of_files
from omma.checks.finding import Finding, Seen
from omma.data.decode import Probe

LEAST = 75  # what programs write unless told otherwise; above, blocks are hardly seen
# The table for brightness in annex K of ITU-T T.81, row by row: what libjpeg has at quality 50.
_HALF = np.array(
    [
        16, 11, 10, 16, 24, 40, 51, 61,
        12, 12, 14, 19, 26, 58, 60, 55,
        14, 13, 16, 24, 40, 57, 69, 56,
        14, 17, 22, 29, 51, 87, 80, 62,
        18, 22, 37, 56, 68, 109, 103, 77,
        24, 35, 55, 64, 81, 104, 113, 92,
        49, 64, 78, 87, 103, 121, 120, 101,
        72, 92, 95, 98, 112, 100, 103, 99,
    ]
)  # fmt: skip


def already_compressed(seen: Seen) -> Iterator[Finding]:
    """`already_compressed`, advice: JPEG files whose table for brightness is that of a quality below 75; `already_compressed_source` of
    pictures of which nobody says that they are good.
    """
    poor = of_files(seen.dataset, _poor)
    if poor:
        samples = seen.dataset.samples
        reasons = {samples[place].id: f"{samples[place].record or samples[place].id}, q = {quality}" for place, quality in poor.items()}
        values = {"least": LEAST, "worst": min(poor.values())}
        kind = "already_compressed_source" if bare(seen.dataset) else "already_compressed"
        yield Finding(kind, "advice", values, places=list(poor), reasons=reasons)


def _poor(path: Path, head: Probe) -> int | None:
    if head.format != "jpeg":
        return None
    quality = quality_of(path)
    return quality if quality is not None and quality < LEAST else None


def quality_of(path: Path) -> int | None:
    """The quality, 1–100, whose table libjpeg would have written nearest to that of a JPEG file; None where there is no table.

    The Independent JPEG Group multiplies annex K's table by 50 / q below 50 and by 2 − q / 50 above.
    """
    from PIL.JpegImagePlugin import JpegImageFile

    with open(path, "rb") as file:
        try:
            picture = JpegImageFile(file)
            table = np.array(picture.quantization[picture.layer[0][3]])
        except (SyntaxError, ValueError, LookupError, OSError):
            return None
    return int(np.abs(_tables() - table).sum(1).argmin()) + 1 if len(table) == 64 else None


def _tables() -> np.ndarray:
    """(100, 64): the table of each quality."""
    quality = np.arange(1, 101)[:, None]
    percent = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return ((_HALF * percent + 50) // 100).clip(1, 255)

"""A clip on its way to the disk: frames of one size, beside its final name until it is whole."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from omma.data.moving.clip import opencv
from omma.errors import DiskError, OmmaError
from omma.words import say

RATE = 25.0  # frames a second of pictures that do not say how fast they follow each other
# What every browser plays and a build of OpenCV may write: VP8 in WebM, free and four times as fast as VP9; H.264 where a system has it.
FORMS = ((".webm", "VP80"), (".mp4", "avc1"))
LARGEST = 4096  # pixels a side: beyond, players give up, and so does the encoder a little later
_INK = (20, 22, 26)  # of what lies beside a picture, as below a drawn one


class Film:
    """A moving picture being written. The first frame decides the size, `LARGEST` at most; later ones are laid on it whole.

    Args:
        stem: the file to write, without its suffix: the form decides it.
        rate: frames a second; `RATE` when None.
    """

    def __init__(self, stem: Path, rate: float | None = None) -> None:
        self._stem, self._rate = stem, rate or RATE
        self._writer: Any = None
        self._partial = self._final = stem
        self._size = (0, 0)
        self.count = 0

    def add(self, picture: np.ndarray, room: int = 0) -> None:
        """The next frame, (H, W, 3) uint8 RGB.

        Args:
            room: rows to keep free below, for later frames that are taller; asked of the first.

        Raises:
            DiskError: the file cannot be made.
            OmmaError: this OpenCV can write no clip.
        """
        cv2 = opencv()
        if self._writer is None:
            sides = picture.shape[0] + room, picture.shape[1]
            scale = min(1.0, LARGEST / max(sides))
            # Colour is kept for two by two pixels.
            self._size = (2 * math.ceil(sides[0] * scale / 2), 2 * math.ceil(sides[1] * scale / 2))
            self._open()
        self._writer.write(cv2.cvtColor(fitted(picture, *self._size), cv2.COLOR_RGB2BGR))
        self.count += 1

    @property
    def path(self) -> Path:
        """The file it becomes, once it has a frame."""
        return self._final

    def close(self, whole: bool) -> Path | None:
        """The finished file under its name; None, and no file, where there was no frame or it is not `whole`.

        Raises:
            DiskError: what was written cannot be read: the disk is full.
        """
        if self._writer is None:
            return None
        self._writer.release()
        self._writer = None
        if not whole:
            self._partial.unlink(missing_ok=True)
            return None
        try:
            if not self._sound():
                raise OSError(say("decode.film_unsound"))
            self._partial.replace(self._final)
        except OSError as error:
            self._partial.unlink(missing_ok=True)
            raise DiskError(say("decode.film_not_written", reason=error.strerror or error), self._final) from None
        return self._final

    def _open(self) -> None:
        cv2 = opencv()
        try:
            self._stem.parent.mkdir(parents=True, exist_ok=True)
            for suffix, code in FORMS:
                self._final = self._stem.with_name(self._stem.name + suffix)
                self._partial = self._stem.with_name(f".{self._stem.name}.partial{suffix}")
                self._partial.write_bytes(b"")  # says why, where a file cannot be made; OpenCV does not
                backend = cv2.CAP_FFMPEG if suffix == ".webm" else cv2.CAP_ANY
                with _hushed():
                    code_ = cv2.VideoWriter_fourcc(*code)
                    writer = cv2.VideoWriter(os.fsencode(self._partial), backend, code_, self._rate, self._size[::-1])
                if writer.isOpened():
                    self._writer = writer
                    return
                self._partial.unlink(missing_ok=True)
        except OSError as error:
            raise DiskError(say("decode.film_not_written", reason=error.strerror or error), self._final) from None
        raise OmmaError(say("decode.film_no_codec"), self._stem)

    def _sound(self) -> bool:
        """Whether the file says it has what was written: an encoder does not tell that the disk was full."""
        cv2 = opencv()
        capture = cv2.VideoCapture(os.fsencode(self._partial), cv2.CAP_FFMPEG)
        try:
            return capture.isOpened() and abs(capture.get(cv2.CAP_PROP_FRAME_COUNT) - self.count) <= 1
        finally:
            capture.release()


def fitted(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8 on a canvas of (height, width): whole, at its own size where it fits, at the top, the rest dark."""
    if picture.shape[:2] == (height, width):
        return picture
    scale = min(1.0, height / picture.shape[0], width / picture.shape[1])
    if scale < 1:
        cv2 = opencv()
        sides = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
        picture = cv2.resize(picture, sides, interpolation=cv2.INTER_AREA)
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = _INK
    left = (width - picture.shape[1]) // 2
    canvas[: picture.shape[0], left : left + picture.shape[1]] = picture
    return canvas


@contextmanager
def _hushed() -> Iterator[None]:
    """OpenCV prints a line about every WebM past its own log level: for that moment nobody hears it."""
    with suppress(Exception):  # a stream of a test or a closed one
        sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # there is no stderr at all
        yield
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)

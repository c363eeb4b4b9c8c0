"""A moving picture, read frame by frame: upright, one frame in memory, whatever can be read of a damaged file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from omma import catalog
from omma.data.decode import max_pixels
from omma.data.moving.container import container, cut_off, head_of
from omma.errors import DataError
from omma.words import say

CLIP_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".3gp", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".m2ts", ".ogv", ".flv", ".wmv"}
)
# A file may name other files and addresses; only containers that hold their frames themselves are opened, and nothing but files.
_ALONE = "format_whitelist;mov,mp4,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,asf,ogg|protocol_whitelist;file"


class Frame(NamedTuple):
    """One frame of a clip.

    Args:
        place: 0, 1, 2 … in the order shown.
        seconds: when it is shown, from the start of the clip.
        picture: (H, W, 3) uint8, RGB, upright.
    """

    place: int
    seconds: float
    picture: np.ndarray


@dataclass(slots=True, frozen=True)
class Clip:
    """What a moving picture says of itself; `frames` reads it.

    Args:
        path: the file.
        width, height: of the upright frames, pixels.
        rate: frames a second, None where the file does not say.
        count: frames, as far as the file says: counted by some containers, estimated from the duration by others; None = not said.
        cut: the file ends before its container does: what is missing cannot be read.
    """

    path: Path
    width: int
    height: int
    rate: float | None
    count: int | None
    cut: bool

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Every frame that can be read from place `start` on; one is held at a time.

        Raises:
            DataError: not one frame can be read, or a frame is too large.
        """
        capture = _capture(self.path)
        place, seconds = 0, 0.0
        try:
            while capture.grab():
                seconds = self._time(capture, place, seconds)
                if place >= start:
                    yield Frame(place, seconds, self._picture(capture))
                place += 1
        finally:
            capture.release()
        if not place:
            raise DataError(say("decode.clip_no_frame"), self.path)

    def _time(self, capture: Any, place: int, before: float) -> float:
        """When the frame just read is shown; a file without sound times gets even ones."""
        told = capture.get(opencv().CAP_PROP_POS_MSEC) / 1000
        if place and not (math.isfinite(told) and told > before):
            told = before + 1 / (self.rate or 25)
        return round(told, 4) if place else 0.0

    def _picture(self, capture: Any) -> np.ndarray:
        found, picture = capture.retrieve()
        if not found or picture is None or picture.ndim != 3:
            raise DataError(say("decode.clip_damaged"), self.path)
        _bearable(picture.shape[1], picture.shape[0], self.path)
        return opencv().cvtColor(picture, opencv().COLOR_BGR2RGB)


def open_clip(path: Path) -> Clip:
    """A moving picture by its content (see `container`), whatever it is called; rotation noted by a camera is undone.

    Raises:
        DataError: absent, empty, no moving picture, damaged beyond its first frame or too large; names the file and the reason.
        OmmaError: OpenCV is not installed (the extra `video`).
    """
    try:
        head, size = head_of(path)
        if size <= 0:
            raise DataError(say("decode.empty" if size == 0 else "decode.not_a_file" if path.exists() else "decode.absent"), path)
        kind = container(head)
        if not kind:
            raise DataError(say("decode.clip_unknown"), path)
        cut = cut_off(path, kind)
    except PermissionError:
        raise DataError(say("decode.forbidden"), path) from None
    except OSError as error:
        raise DataError(say("decode.broken", reason=error.strerror or error), path) from None
    capture, cv2 = _capture(path, cut), opencv()
    try:
        width, height = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        rate, count = (capture.get(key) for key in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
    finally:
        capture.release()
    if min(width, height) <= 0:
        raise DataError(say("decode.clip_damaged"), path)
    _bearable(width, height, path)
    return Clip(path, width, height, rate if 0 < rate <= 1000 else None, int(count) if 0 < count < 1e9 else None, cut)


@cache
def opencv() -> Any:
    """The library that decodes and encodes, silent.

    Raises:
        OmmaError: it is not installed.
    """
    # It and the FFmpeg inside speak on stderr of every damaged packet, where a person reads what omma says; whoever wants to hear it may.
    quiet = "OPENCV_LOG_LEVEL" not in os.environ
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    cv2 = catalog.need("cv2", "video", say("decode.moving"))
    if quiet:
        cv2.utils.logging.setLogLevel(0)
    return cv2


@contextmanager
def _alone() -> Iterator[None]:
    """While a clip is opened, FFmpeg is told what it may open; its options come through the environment alone."""
    key = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
    before = os.environ.get(key)
    os.environ[key] = _ALONE
    try:
        yield
    finally:
        if before is None:
            del os.environ[key]
        else:
            os.environ[key] = before


def _capture(path: Path, cut: bool = False) -> Any:
    cv2 = opencv()
    with _alone():
        # The whole path, so that no name is taken for an address; as bytes, because names need not be UTF-8.
        capture = cv2.VideoCapture(os.fsencode(os.path.abspath(path)), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        capture.release()
        raise DataError(say("decode.clip_cut_early" if cut else "decode.clip_damaged"), path)
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture


def _bearable(width: int, height: int, path: Path) -> None:
    if width * height > max_pixels():
        raise DataError(say("decode.too_many_pixels", width=width, height=height, channels=3, cap=max_pixels()), path)

"""One file from the network: resumed where it broke off, verified, in place only when it is whole."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from omma.errors import DataError, DiskError
from omma.progress import Watch
from omma.words import say

TIMEOUT, TRIES, BLOCK = 30, 4, 1 << 18
_LOST = (urllib.error.URLError, http.client.HTTPException, OSError, ValueError)


def reachable(url: str) -> str:
    """The host of an address, to name in a message."""
    return urlsplit(url).netloc


def download(url: str, target: Path, sha: Any, wanted: str, watch: Watch, size: int = 0) -> Path:
    """`url` → `target`; a `.part` beside it is what an earlier try left.

    Args:
        url: http or https.
        target: the finished file.
        sha: an empty hash object of `hashlib`.
        wanted: its hexadecimal digest.
        watch: is told the bytes.
        size: what the file should have, for the bar; 0 if unknown.

    Raises:
        DataError: out of reach, refused by the server, or not what was published.
        DiskError: the disk does not take it.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DataError(say("sources.odd_address"), url)
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(say("sources.disk", reason=error.strerror or error), target.parent) from None
    for fresh in (False, True):
        if fresh:
            part.unlink(missing_ok=True)
        resumed = part.exists() and part.stat().st_size > 0
        _bytes(url, part, watch, size)
        found = _digest(part, sha.copy())
        if found == wanted:
            os.replace(part, target)
            return target
        # A part of an older version of the file can only be told by the sum: then once more from the start.
        if not resumed:
            break
    part.unlink(missing_ok=True)
    raise DataError(say("sources.checksum", kind=sha.name, found=found, wanted=wanted), url)


def _digest(path: Path, sha: Any) -> str:
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def _bytes(url: str, part: Path, watch: Watch, size: int) -> None:
    """Fill `part` to the end, going on after a lost connection; a server that gives nothing new three times has lost."""
    left, what = TRIES, say("sources.fetching", name=part.stem)
    try:
        while True:
            had = part.stat().st_size if part.exists() else 0
            try:
                if _go_on(url, part, had, watch, what, size):
                    return
                reason: object = say("sources.broke_off")
            except urllib.error.HTTPError as error:
                error.close()
                if error.code == 416 and had:
                    return
                raise DataError(say("sources.http", code=error.code, reason=error.reason), url) from None
            except _LOST as error:
                reason = getattr(error, "reason", None) or error
            left = TRIES if part.exists() and part.stat().st_size > had else left - 1
            if not left or not isinstance(reason, str | TimeoutError | ConnectionError | http.client.HTTPException):
                raise DataError(say("sources.unreachable", reason=str(reason)[:160]), url)
    finally:
        watch.end(what)


def _go_on(url: str, part: Path, had: int, watch: Watch, what: str, size: int) -> bool:
    """One connection; True when the server's last byte has come."""
    request = urllib.request.Request(url, headers={"User-Agent": "omma", "Accept-Encoding": "identity"})
    if had:
        request.add_header("Range", f"bytes={had}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        going_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {had}-")
        done = had if going_on else 0
        length = answer.headers.get("Content-Length")
        total = done + int(length) if length else None
        with _opened(part, "ab" if going_on else "wb") as out:
            while block := answer.read(BLOCK):
                try:
                    out.write(block)
                    out.flush()
                except OSError as error:
                    raise DiskError(say("sources.disk", reason=error.strerror or error), part) from None
                done += len(block)
                watch.step(what, done, total or size or None, bytes=done)
    return total is None or done >= total


def _opened(part: Path, mode: str):
    try:
        return open(part, mode)
    except OSError as error:
        raise DiskError(say("sources.disk", reason=error.strerror or error), part) from None

"""Which of many thumbnails show the same picture: a search by blocks of matrix products, then a closer look at each candidate.

1. Each thumbnail becomes 35 low cosine frequencies of its brightness, of length one. Mirroring changes the sign of those that are odd
   across, so one product of the even and one of the odd parts compare a picture with another and with its mirror image.
2. A crop moves what is in the picture: candidates are compared again with the directions in which small crops change the 35 numbers
   left free (tangent distance, Simard et al. 1993).
3. The few that are left are aligned and compared in detail (`align.py`).

The thresholds were chosen on CIFAR-10: of 2,500 planted copies (resized, JPEG 50, mirrored, cropped) each step keeps 98 % and more, and
of its 1.8 billion pairs 1.9 million, 11,000 and 3,400 are left, which are the near-duplicates the set is known for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from omma.data.align import fit
from omma.data.crew import in_threads
from omma.data.looks import SIDE
from omma.progress import Watch
from omma.words import say

FREQUENCIES = 8
FLAT = 3.0  # levels: a thumbnail that varies less shows nothing one could recognise
CANDIDATE, TANGENT = 0.84, 0.975
DETAIL, TEXTURE = 0.955, 0.945  # of the same picture; a different ship on the same horizon reaches 0.97 and 0.9
COUSIN = 0.8  # of two pictures of one scene
OVERLAP = 0.7  # share of the picture that both must show
CROPPED = 0.06  # share of the side by which the tangents are taken
ROWS, COLUMNS = 512, 4096  # of a block of products: small enough for a processor's cache
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


def _cosines() -> np.ndarray:
    """(8, 32): the lowest rows of the orthonormal discrete cosine transform."""
    k, x = np.arange(FREQUENCIES)[:, None], np.arange(SIDE)[None]
    rows = np.cos(np.pi * (2 * x + 1) * k / (2 * SIDE)) * (2 / SIDE) ** 0.5
    rows[0] /= 2**0.5
    return rows.astype(np.float32)


def _crop(low: float, high: float) -> np.ndarray:
    """(32, 32): linear interpolation that shows the part from `low` to `high` of a line."""
    source = (np.arange(SIDE) + 0.5) * (high - low) + low * SIDE - 0.5
    return np.maximum(0, 1 - np.abs(source[:, None] - np.arange(SIDE)[None])).astype(np.float32)


_COSINES = _cosines()
_DOWN, _ACROSS = np.meshgrid(np.arange(FREQUENCIES), np.arange(FREQUENCIES), indexing="ij")
_KEEP = (_DOWN + _ACROSS < FREQUENCIES) & (_DOWN + _ACROSS > 0)
_ODD = _ACROSS[_KEEP] % 2 == 1
_MIRROR = np.where(_ODD, -1, 1).astype(np.float32)
_CROPS = [_COSINES @ _crop(CROPPED, 1), _COSINES @ _crop(0, 1 - CROPPED)]


@dataclass(slots=True)
class _Marks:
    """Of n thumbnails: (n, 35) unit vectors, and (n, 5, 35) orthonormal bases of the vector and its four crops."""

    vector: np.ndarray
    basis: np.ndarray
    even: np.ndarray
    odd: np.ndarray


def alike_pairs(thumbs: np.ndarray, places: np.ndarray, watch: Watch = Watch()) -> tuple[list[tuple[int, int, str]], list[tuple[int, int]]]:
    """Compare every two thumbnails.

    Args:
        thumbs: (N, 32, 32, 3) uint8.
        places: (n,) int, those to compare.
        watch: told how many are compared.

    Returns:
        (first, second, `same` or `mirrored`) of pairs that show the same picture, and (first, second) of pairs that show much the same
        scene without being copies; first < second, sorted.
    """
    places = _not_flat(thumbs, np.sort(places))
    marks, what = _marks(thumbs, places), say("split.comparing")
    blocks = [(row, column) for row in range(0, len(places), ROWS) for column in range(row // COLUMNS * COLUMNS, len(places), COLUMNS)]
    found: list[np.ndarray] = []
    with threadpool_limits(1):  # our own threads each take a block; theirs would only stand in the way
        for done, rows in enumerate(in_threads(lambda block: _search(marks, *block), blocks)):
            watch.step(what, done + 1, len(blocks))
            found.append(rows)
    watch.end(what)
    pairs = np.concatenate(found) if found else np.empty((0, 3), np.int64)
    return _judge(thumbs, places[pairs[:, 0]], places[pairs[:, 1]], pairs[:, 2] > 0)


def _not_flat(thumbs: np.ndarray, places: np.ndarray) -> np.ndarray:
    keep = [places[i : i + 4096][_grey(thumbs[places[i : i + 4096]]).std((1, 2)) > FLAT] for i in range(0, len(places), 4096)]
    return np.concatenate(keep) if keep else places


def _grey(thumbs: np.ndarray) -> np.ndarray:
    return thumbs.astype(np.float32) @ _LUMINANCE


def _marks(thumbs: np.ndarray, places: np.ndarray) -> _Marks:
    n, width = len(places), int(_KEEP.sum())
    vector, basis = np.empty((n, width), np.float32), np.empty((n, 5, width), np.float32)
    for start in range(0, n, 2048):
        grey = _grey(thumbs[places[start : start + 2048]])
        views = [(_COSINES @ grey @ _COSINES.T)[:, _KEEP]]
        views += [(_COSINES @ grey @ crop.T)[:, _KEEP] for crop in _CROPS] + [(crop @ grey @ _COSINES.T)[:, _KEEP] for crop in _CROPS]
        length = np.maximum(np.linalg.norm(views[0], axis=1, keepdims=True), 1e-6)
        vector[start : start + 2048] = views[0] / length
        frame = np.stack([views[0], *(view - views[0] for view in views[1:])], 2) / length[..., None]
        basis[start : start + 2048] = np.linalg.qr(frame)[0].transpose(0, 2, 1)
    return _Marks(vector, basis, np.ascontiguousarray(vector[:, ~_ODD]), np.ascontiguousarray(vector[:, _ODD]))


def _search(marks: _Marks, row: int, column: int) -> np.ndarray:
    """(m, 3) int: places of rows and columns of one block that may show the same, and whether mirrored."""
    same = marks.even[row : row + ROWS] @ marks.even[column : column + COLUMNS].T
    turned = marks.odd[row : row + ROWS] @ marks.odd[column : column + COLUMNS].T
    np.add(same, np.abs(turned), out=same)
    flat = np.flatnonzero(same > CANDIDATE)
    width = turned.shape[1]
    first, second = flat // width + row, flat % width + column
    ahead = second > first
    first, second, mirrored = first[ahead], second[ahead], turned.reshape(-1)[flat[ahead]] < 0
    keep = np.concatenate(
        [_tangent(marks, first[i : i + 8192], second[i : i + 8192], mirrored[i : i + 8192]) for i in range(0, len(first), 8192)]
        or [mirrored]
    )
    return np.stack([first[keep], second[keep], mirrored[keep]], 1).astype(np.int64)


def _tangent(marks: _Marks, first: np.ndarray, second: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """(m,) bool: whether one lies in the plane that small crops of the other span."""
    turn = np.where(mirrored[:, None], _MIRROR, np.float32(1))
    one = marks.basis[first] @ (marks.vector[second] * turn)[..., None]
    two = marks.basis[second] @ (marks.vector[first] * turn)[..., None]
    return np.maximum((one**2).sum((1, 2)), (two**2).sum((1, 2))) > TANGENT**2


def _judge(thumbs: np.ndarray, first: np.ndarray, second: np.ndarray, mirrored: np.ndarray) -> tuple[list, list]:
    """Align what is left and sort it into copies and cousins."""
    copies: list[tuple[int, int, str]] = []
    cousins: list[tuple[int, int]] = []
    for start in range(0, len(first), 1024):
        a, b, turn = (column[start : start + 1024] for column in (first, second, mirrored))
        other = thumbs[b]
        other[turn] = other[turn][:, :, ::-1]
        found = fit(thumbs[a], other)
        copy = (found.detail > DETAIL) & (found.texture > TEXTURE) & (found.overlap > OVERLAP)
        cousin = ~copy & (np.minimum(found.detail, found.texture) > COUSIN) & (found.overlap > OVERLAP)
        copies += [(int(i), int(j), "mirrored" if t else "same") for i, j, t in zip(a[copy], b[copy], turn[copy], strict=True)]
        cousins += [(int(i), int(j)) for i, j in zip(a[cousin], b[cousin], strict=True)]
    return sorted(copies), sorted(cousins)

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

from omma.data.crew import in_threads
from omma.data.likeness.align import fit
from omma.data.looks import SIDE
from omma.progress import Watch
from omma.words import say

FREQUENCIES = 8
FLAT = 3.0  # levels: a thumbnail that varies less shows nothing one could recognise
CANDIDATE, TANGENT = 0.84, 0.975
CROWD = 30  # candidates a picture may have on average: among chest X-rays or digits everything is alike, and more is asked of a copy
JUDGED, JUDGED_EACH = 10_000, 0.25  # pairs aligned at most, and more for each picture: the likeliest ones
DETAIL, TEXTURE = 0.955, 0.945  # of the same picture; a different ship on the same horizon reaches 0.97 and 0.9
# (partners, what is asked of both where a picture would have more): the ones of a thousand hands are no copies of each other.
CROWDED = ((4, 0.985), (8, 0.995), (12, 0.999))
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
    level: float = CANDIDATE


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
    marks.level = _level(marks)
    blocks = [(row, column) for row in range(0, len(places), ROWS) for column in range(row // COLUMNS * COLUMNS, len(places), COLUMNS)]
    found = [np.empty((0, 4), np.float64)]
    with threadpool_limits(1):  # our own threads each take a block; theirs would only stand in the way
        for done, rows in enumerate(in_threads(lambda block: _search(marks, *block), blocks)):
            watch.step(what, done + 1, len(blocks))
            found.append(rows)
        watch.end(what)
        pairs = np.concatenate(found)
        pairs = pairs[np.argsort(-pairs[:, 3], kind="stable")[: JUDGED + int(JUDGED_EACH * len(places))]]
        first, second = (places[pairs[:, side].astype(np.int64)] for side in (0, 1))
        return _judge(thumbs, first, second, pairs[:, 2] > 0, watch)


def _not_flat(thumbs: np.ndarray, places: np.ndarray) -> np.ndarray:
    keep = [places[i : i + 4096][_grey(thumbs[places[i : i + 4096]]).std((1, 2)) > FLAT] for i in range(0, len(places), 4096)]
    return np.concatenate(keep) if keep else places


def _grey(thumbs: np.ndarray) -> np.ndarray:
    return thumbs.astype(np.float32) @ _LUMINANCE


def _marks(thumbs: np.ndarray, places: np.ndarray) -> _Marks:
    n, width = len(places), int(_KEEP.sum())
    vector, basis = np.empty((n, width), np.float32), np.empty((n, 5, width), np.float32)
    # What all pictures share says nothing about two of them. Its odd part stays: a mirrored set is as good as the set.
    common = np.zeros(width, np.float32)
    for start in range(0, n, 2048):
        common += _frequencies(thumbs[places[start : start + 2048]])[:, 0].sum(0) / n
    common[_ODD] = 0
    for start in range(0, n, 2048):
        views = _frequencies(thumbs[places[start : start + 2048]])
        views[:, 1:] -= views[:, :1]
        views[:, 0] -= common
        length = np.maximum(np.linalg.norm(views[:, 0], axis=1), 1e-6)[:, None]
        vector[start : start + 2048] = views[:, 0] / length
        basis[start : start + 2048] = np.linalg.qr((views / length[..., None]).transpose(0, 2, 1))[0].transpose(0, 2, 1)
    return _Marks(vector, basis, np.ascontiguousarray(vector[:, ~_ODD]), np.ascontiguousarray(vector[:, _ODD]))


def _frequencies(thumbs: np.ndarray) -> np.ndarray:
    """(n, 5, 35): low frequencies of each thumbnail, and of the four that lack a strip at one side."""
    grey = _grey(thumbs)
    views = [_COSINES @ grey @ _COSINES.T]
    views += [_COSINES @ grey @ crop.T for crop in _CROPS] + [crop @ grey @ _COSINES.T for crop in _CROPS]
    return np.stack([view[:, _KEEP] for view in views], 1)


def _level(marks: _Marks) -> float:
    """The likeness from which a pair is a candidate: raised where too many pairs would be, judged by an even sample."""
    n = len(marks.vector)
    some = np.unique(np.linspace(0, n - 1, min(n, 256)).astype(int))
    likeness = marks.even[some] @ marks.even.T + np.abs(marks.odd[some] @ marks.odd.T)
    crowd = min(CROWD * len(some), likeness.size - 1)
    return max(CANDIDATE, float(np.partition(likeness.reshape(-1), -crowd - 1)[-crowd - 1])) if n > CROWD else CANDIDATE


def _search(marks: _Marks, row: int, column: int) -> np.ndarray:
    """(m, 4): places of rows and columns of one block that may show the same, whether mirrored, and how alike apart from small crops."""
    same = marks.even[row : row + ROWS] @ marks.even[column : column + COLUMNS].T
    turned = marks.odd[row : row + ROWS] @ marks.odd[column : column + COLUMNS].T
    np.add(same, np.abs(turned), out=same)
    flat = np.flatnonzero(same > marks.level)
    width = turned.shape[1]
    first, second = flat // width + row, flat % width + column
    ahead = second > first
    first, second, mirrored = first[ahead], second[ahead], turned.reshape(-1)[flat[ahead]] < 0
    rows = [np.empty((0, 4))]
    for i in range(0, len(first), 8192):
        a, b, turn = first[i : i + 8192], second[i : i + 8192], mirrored[i : i + 8192]
        alike = _tangent(marks, a, b, turn)
        keep = alike > TANGENT
        rows.append(np.stack([a[keep], b[keep], turn[keep], alike[keep]], 1))
    return np.concatenate(rows)


def _tangent(marks: _Marks, first: np.ndarray, second: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """(m,): how nearly one lies in the plane that small crops of the other span, 0–1."""
    turn = np.where(mirrored[:, None], _MIRROR, np.float32(1))
    one = marks.basis[first] @ (marks.vector[second] * turn)[..., None]
    two = marks.basis[second] @ (marks.vector[first] * turn)[..., None]
    return np.sqrt(np.maximum((one**2).sum((1, 2)), (two**2).sum((1, 2))))


def _judge(thumbs: np.ndarray, first: np.ndarray, second: np.ndarray, mirrored: np.ndarray, watch: Watch) -> tuple[list, list]:
    """Align what is left and sort it into copies and cousins."""

    def look(part: slice) -> tuple[np.ndarray, np.ndarray]:
        other = thumbs[second[part]]
        other[mirrored[part]] = other[mirrored[part]][:, :, ::-1]
        found = fit(thumbs[first[part]], other)
        seen = found.overlap > OVERLAP
        return found.detail * seen, found.texture * seen

    parts, what = [slice(i, i + 256) for i in range(0, len(first), 256)], say("split.aligning")
    detail, texture = np.empty(len(first), np.float32), np.empty(len(first), np.float32)
    for done, (part, (one, two)) in enumerate(zip(parts, in_threads(look, parts), strict=True)):
        detail[part], texture[part] = one, two
        watch.step(what, done + 1, len(parts))
    watch.end(what)
    likeness = np.minimum(detail, texture)
    copy = (detail > DETAIL) & (texture > TEXTURE)
    for most, level in CROWDED:
        partners = np.bincount(np.concatenate([first[copy], second[copy]]), minlength=len(thumbs))
        copy &= (np.maximum(partners[first], partners[second]) <= most) | (likeness > level)
    cousin = ~copy & (likeness > COUSIN)
    rows = zip(first[copy].tolist(), second[copy].tolist(), mirrored[copy].tolist(), strict=True)
    copies = [(i, j, "mirrored" if turned else "same") for i, j, turned in rows]
    return sorted(copies), sorted(zip(first[cousin].tolist(), second[cousin].tolist(), strict=True))

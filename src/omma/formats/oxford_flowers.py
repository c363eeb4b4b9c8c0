"""Oxford Flowers 102: pictures called image_00001.jpg, labels and splits in MATLAB files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from omma.answers.label import Label
from omma.data.decode import find_pictures
from omma.data.sample import Dataset, Refused, Sample
from omma.errors import DataError
from omma.progress import Watch
from omma.words import say

_PARTS = {"trnid": "train", "valid": "val", "tstid": "test"}


def sniff(path: Path) -> float:
    """0.95 for a folder with `imagelabels.mat`."""
    return 0.95 if (path / "imagelabels.mat").is_file() else 0.0


def read(path: Path, watch: Watch | None = None) -> Dataset:
    """Classes are called by their numbers, 1 to 102, as upstream; its own train, val and test parts where `setid.mat` is there.

    Raises:
        DataError: a MATLAB file is damaged.
    """
    labels = _matrix(path / "imagelabels.mat")["labels"]
    splits = {}
    if (path / "setid.mat").is_file():
        rows = _matrix(path / "setid.mat")
        splits = {int(number): split for key, split in _PARTS.items() if key in rows for number in rows[key]}
    samples, refused = [], []
    for picture in find_pictures(path):
        number = picture.stem.rpartition("_")[2]
        if not number.isdecimal() or not 0 < int(number) <= len(labels):
            refused.append(Refused(str(picture), say("formats.no_label_for")))
            continue
        truth = Label(str(int(labels[int(number) - 1])))
        samples.append(Sample(picture.relative_to(path).as_posix(), picture, truth=truth, split=splits.get(int(number))))
    names = [str(i) for i in range(1, int(labels.max()) + 1)]
    return Dataset(sorted(samples, key=lambda sample: sample.id), names, "classify", path, "oxford_flowers", refused=refused)


def _matrix(path: Path) -> dict[str, np.ndarray]:
    """The numbers in a MATLAB 5 file, each flat."""
    from scipy.io import loadmat

    try:
        return {key: np.ravel(value) for key, value in loadmat(path).items() if isinstance(value, np.ndarray) and value.dtype.kind in "iuf"}
    except Exception as error:
        raise DataError(say("formats.idx_broken", reason=str(error)[:120]), path) from None

"""Oxford-IIIT Pet: pictures called breed_1.jpg, parts in trainval.txt and test.txt."""

from __future__ import annotations

from pathlib import Path

from omma.answers.label import Label
from omma.data.decode import find_pictures
from omma.data.sample import Dataset, Refused, Sample
from omma.formats.folders import in_order
from omma.progress import Watch
from omma.words import say

_PARTS = {"trainval.txt": "train", "test.txt": "test"}


def _lists(path: Path) -> list[Path]:
    return [place / name for place in (path, path / "annotations") for name in _PARTS if (place / name).is_file()]


def sniff(path: Path) -> float:
    """0.95 for a folder with `trainval.txt` and `test.txt` in it or in `annotations/`."""
    return 0.95 if path.is_dir() and len(_lists(path)) == 2 else 0.0


def read(path: Path, watch: Watch | None = None) -> Dataset:
    """The breed is the picture's name up to the last `_`; its own train and test parts. Lines that name no picture are refused."""
    pictures = {picture.stem: picture for picture in find_pictures(path) if picture.suffix.lower() == ".jpg"}
    samples, refused, seen = [], [], set[str]()
    for table in _lists(path):
        for line, row in enumerate(table.read_text("utf-8", "replace").splitlines(), 1):
            stem = row.split(" ")[0].strip()
            if not stem or stem.startswith("#"):
                continue
            record = f"{table.name}:{line}"
            if stem not in pictures or stem in seen:
                refused.append(Refused(record, say("formats.row_absent", path=stem)))
                continue
            seen.add(stem)
            picture, breed = pictures[stem], stem.rpartition("_")[0]
            split = _PARTS[table.name]
            samples.append(Sample(picture.relative_to(path).as_posix(), picture, truth=Label(breed), split=split, record=record))
    names = in_order({stem.rpartition("_")[0] for stem in seen})
    return Dataset(sorted(samples, key=lambda sample: sample.id), names, "classify", path, "oxford_pets", refused=refused)

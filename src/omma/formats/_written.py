"""Pictures of a dataset that is written in another format: copied under names that never collide, 中文 kept."""

from __future__ import annotations

import re
import shutil
from itertools import chain, count
from pathlib import Path, PurePosixPath

from omma.data.sample import Dataset
from omma.errors import DataError, DiskError
from omma.progress import Watch
from omma.words import say


def names_of(dataset: Dataset, splits: bool = False) -> list[PurePosixPath]:
    """A file name for every sample, unique without its suffix (label files share the stem).

    Args:
        splits: put each sample below a folder called by its split, where it has one.
    """
    taken: set[str] = set()
    names: list[PurePosixPath] = []
    for sample in dataset.samples:
        suffix = sample.path.suffix if sample.path is not None else ".png"
        whole = PurePosixPath(sample.id)
        stem = re.sub(r'[\x00-\x1f<>:"|?*\\]', "_", whole.stem if sample.path is not None else whole.name)[:120] or "_"
        folder = f"{sample.split}/" if splits and sample.split else ""
        # Names are compared as careful systems do: without case.
        spare = (f"{stem}-{n}" for n in count(2))
        candidates = chain([stem, re.sub(r"[^\w.-]+", "_", str(whole.with_suffix("")))[-120:]], spare)
        stem = next(name for name in candidates if (folder + name).casefold() not in taken)
        taken.add((folder + stem).casefold())
        names.append(PurePosixPath(folder + stem + suffix))
    return names


def put_pictures(dataset: Dataset, folder: Path, names: list[PurePosixPath], watch: Watch | None = None) -> None:
    """Copy every picture to `folder / name`: files byte for byte, packed pixels as PNG.

    Raises:
        DiskError: the disk does not take it.
    """
    from PIL import Image

    from omma.data.decode import to_rgb8

    watch = watch or Watch()
    for place, name in enumerate(watch.each(say("formats.copying"), names)):
        target, source = folder / name, dataset.samples[place].path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if source is not None:
                shutil.copyfile(source, target)
            else:
                pixels = dataset.picture(place)
                Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else to_rgb8(pixels)).save(target)
        except OSError as error:
            raise DiskError(say("formats.not_written", reason=error.strerror or error), target) from None


def shape_of(dataset: Dataset, place: int) -> tuple[int, int, int]:
    """(width, height, channels) of a sample's upright picture, from its header where it is a file; zeros where that cannot be read."""
    from omma.data.decode import probe

    path = dataset.samples[place].path
    if path is None:
        height, width, channels = dataset.picture(place).shape
        return width, height, channels
    try:
        head = probe(path)
    except DataError:
        return 0, 0, 0
    return head.width, head.height, head.channels

"""What is given of a picture that is to become better, and how good it should become.

Where pairs are on disk, a sample's file is the bad picture and its truth the good one. Where good pictures are all there is, each is its
own truth, and `Dataset.spoil` makes it bad: anew at every step of training, always in the same way where it is measured.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from omma.answers.picture import Picture
from omma.data.degrade.chain import Chain, parse
from omma.data.degrade.noise import MEASURED
from omma.data.recast import judged, kind_of
from omma.data.sample import Dataset
from omma.data.views import as_own
from omma.errors import OmmaError
from omma.words import say


def posed(dataset: Dataset, settings: Mapping[str, Any]) -> Dataset:
    """A dataset as a task with these settings asks about it; itself for most.

    What `degrade` is asked of makes pictures better: its dataset is one of pairs. What asks which are `good` learns from these alone:
    its dataset says of every picture whether it is odd.

    Args:
        settings: of the task, all of them.

    Raises:
        OmmaError: good pictures are all there is, and nothing says how they become bad; or nothing says which are good.
    """
    if "good" in settings:
        return judged(dataset, settings["good"])
    if "degrade" not in settings or kind_of(dataset) == Picture.kind:
        return dataset
    if settings["degrade"]:
        return spoilt(dataset, parse(settings["degrade"]))
    if settings.get("learn") == "noisy":
        return replace(spoilt(dataset, Chain(())), notes=[say("restore.noisy")])
    raise OmmaError(say("restore.no_degrade"), dataset.root, say("restore.no_degrade_fix"))


def spoilt(dataset: Dataset, chain: Chain) -> Dataset:
    """A dataset of good pictures as one of pairs that `chain` makes; other labels play no part."""
    samples = []
    for place, sample in enumerate(dataset.samples):
        good = partial(_whole_steps, partial(dataset.picture, place), chain.scale)
        truth = Picture(good, sample.id, given=partial(_spoilt, good, chain, key_of(sample.id)))
        samples.append(replace(sample, truth=truth))
    notes = [say("restore.spoilt", chain=chain.text)]  # what was noted before is about labels, which nobody needs here
    return replace(dataset, samples=samples, names=[Picture.kind], task="restore", spoil=chain, notes=notes)


def given(dataset: Dataset, place: int, channels: int) -> np.ndarray:
    """What the model sees of a sample, (H, W, C) uint8, or float32 of 0–255 (noise lies beyond).

    Args:
        channels: that the network reads, see `as_own`.

    Raises:
        DataError: the file cannot be decoded.
    """
    truth = dataset.samples[place].truth
    if dataset.spoil is not None and isinstance(truth, Picture) and truth.given is not None:
        return truth.given()
    return as_own(dataset.picture(place), channels)


def key_of(name: str) -> int:
    """The number a sample's chance derives from where it is measured: the same in every part and order of its dataset."""
    return zlib.crc32(name.encode())


def _whole_steps(read: Callable[[], np.ndarray], scale: int) -> np.ndarray:
    """A picture cut to sides that are whole multiples of `scale`, as everybody measures it."""
    picture = read()
    height, width = (max(scale, side // scale * scale) for side in picture.shape[:2])
    if picture.shape[0] < height or picture.shape[1] < width:  # a single pixel too few: repeated
        below, right = height - picture.shape[0], width - picture.shape[1]
        picture = np.pad(picture, ((0, max(0, below)), (0, max(0, right)), (0, 0)), mode="edge")
    picture = picture[:height, :width]
    return picture[..., :3] if picture.shape[2] == 4 else picture


def _spoilt(read: Callable[[], np.ndarray], chain: Chain, key: int) -> np.ndarray:
    """(h, w, C) float32, 0–255."""
    clean = as_own(read(), 3).astype(np.float32)
    planes = torch.from_numpy(clean).permute(2, 0, 1)[None].contiguous()
    found, _ = chain(planes, torch.tensor([key]), 0, MEASURED)
    return found[0].permute(1, 2, 0).contiguous().numpy()

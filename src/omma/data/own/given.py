"""What a task asks of pictures that are their own truth: what is given of one that is to become better, and how good it should become.

Where pairs are on disk, a sample's file is the bad picture and its truth the good one. Where good pictures are all there is, each is its
own truth, and `Dataset.spoil` makes it bad: anew at every step of training, always in the same way where it is measured. What is drawn
from chance is learned from pictures that are their own truth, and nothing is given of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from omma.answers.drawn import Drawn
from omma.answers.label import Label
from omma.answers.picture import Picture
from omma.data.degrade.chain import Chain, parse
from omma.data.degrade.noise import MEASURED
from omma.data.recast import judged, kind_of
from omma.data.sample import Dataset
from omma.data.views import as_own
from omma.errors import OmmaError
from omma.words import say


def posed(dataset: Dataset, how: str, settings: Mapping[str, Any]) -> Dataset:
    """A dataset as a task asks about it.

    Args:
        how: `Task.poses`.
        settings: of the task, all of them.

    Raises:
        OmmaError: nothing says how good pictures become bad, which are good, or which class each shows, where that is asked.
    """
    return _POSED[how](dataset, settings)


def _pairs(dataset: Dataset, settings: Mapping[str, Any]) -> Dataset:
    """Bad pictures beside good ones: those on disk, or what `degrade` makes of good ones."""
    if kind_of(dataset) == Picture.kind:
        return dataset
    if settings["degrade"]:
        return spoilt(dataset, parse(settings["degrade"]))
    if settings.get("learn") == "noisy":
        return replace(spoilt(dataset, Chain(())), notes=[say("restore.noisy")])
    raise OmmaError(say("restore.no_degrade"), dataset.root, say("restore.no_degrade_fix"))


def _itself(dataset: Dataset, settings: Mapping[str, Any]) -> Dataset:
    """Of each picture the picture is given, and what is to be made of it is measured by it: other labels play no part."""
    if not settings["style"]:
        raise OmmaError(say("stylize.no_style"), None, say("stylize.no_style_fix"))
    notes = [say("stylize.looked_through", encoder=settings["encoder"])]
    return replace(spoilt(dataset, Chain(())), task="stylize", notes=notes)


def _themselves(dataset: Dataset, settings: Mapping[str, Any]) -> Dataset:
    """Each picture is its own truth, with its class where one class is said of each and `classes` is not "no"."""
    labels = {sample.truth.label for sample in dataset.samples if isinstance(sample.truth, Label)}
    whole = bool(labels) and all(isinstance(sample.truth, Label) for sample in dataset.samples)
    wanted = str(settings.get("classes", "no"))
    if wanted == "yes" and not (whole and len(labels) > 1):
        raise OmmaError(say("generate.no_classes"), dataset.root, say("generate.no_classes_fix"))
    asked = whole and len(labels) > 1 and wanted != "no"
    samples = []
    for place, sample in enumerate(dataset.samples):
        label = sample.truth.label if asked and isinstance(sample.truth, Label) else ""
        samples.append(replace(sample, truth=Drawn(partial(dataset.picture, place), sample.id, label=label)))
    names = list(dataset.names) if asked else [Drawn.kind]
    notes = [say("generate.by_class", count=len(names)) if asked else say("generate.as_one")]
    return replace(dataset, samples=samples, names=names, task="generate", notes=notes)


_POSED: dict[str, Callable[[Dataset, Mapping[str, Any]], Dataset]] = {
    "labels": lambda dataset, settings: dataset,
    "pairs": _pairs,
    "itself": _itself,
    "good": lambda dataset, settings: judged(dataset, settings["good"]),
    "themselves": _themselves,
}


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

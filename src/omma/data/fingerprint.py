"""What a dataset looks like in numbers: what plans the settings, and what a saved model remembers of its data."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np

from omma.answers.boxes import Boxes
from omma.answers.drawn import Drawn
from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.answers.mask import VOID, Mask
from omma.answers.numbers import Numbers
from omma.data.crew import in_threads
from omma.data.decode import decode, to_rgb8
from omma.data.sample import Dataset, Sample, good_file
from omma.errors import DataError
from omma.progress import Watch
from omma.words import say

SAMPLED = 2_000  # pictures measured: the mean is then known to about 0.005 of the full range
PIXELS = 65_536  # of one picture, evenly spread: enough for a mean and a deviation
GREY = 1.5  # of 255: channels that differ less on average carry no colour (JPEG rounds a little)


SPREADS = ("width", "height", "objects", "sides")
SHOWN = 20  # classes in a line


class Spread(NamedTuple):
    """Median, least and greatest of a size in pixels, or of a number."""

    median: int
    min: int
    max: int


class NumberStats(NamedTuple):
    """Mean, standard deviation, least and greatest of one number over the training part, in the table's unit."""

    mean: float
    std: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A dataset in numbers.

    Args:
        count: samples, of every split.
        splits: split → samples.
        width, height: of the sampled pictures, upright, in pixels.
        channels: of a frame, what a network needs to see: 1 where every sampled picture is grey (also grey stored as colour), else 3.
        mean, std: of each channel over the training part, 0–1, every picture counting the same; as long as `channels`.
        class_counts: split → class → samples that show it (of masks see `pixel_shares`); samples of no split count under `open`.
        number_stats: number → its statistics over the training part.
        digest: SHA-256 over `Dataset.digest()` and the contents of the sampled files.
        measured: pictures that were read for this.
        objects: median, least and greatest number of objects in a picture of the training part; None where none have places.
        sides: of those objects, the square root of the box's area in pixels; None where there is no object.
        pixel_shares: class → its share of the labelled pixels of the sampled masks.
        frames: of a clip or volume, which come one after another in a picture's channels.
    """

    count: int
    splits: dict[str, int]
    width: Spread
    height: Spread
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_counts: dict[str, dict[str, int]]
    number_stats: dict[str, NumberStats]
    digest: str
    measured: int
    objects: Spread | None = None
    sides: Spread | None = None
    pixel_shares: dict[str, float] = field(default_factory=dict)
    frames: int = 1

    @property
    def train(self) -> int:
        """Samples to learn from; before a split, all."""
        return self.splits.get("train", self.count)

    @property
    def looks_like_digits(self) -> bool:
        """Whether mirroring would change what a picture means: grey pictures whose classes are the ten digits or letters."""
        names = {name for counts in self.class_counts.values() for name in counts}
        return self.channels == 1 and len(names) >= 10 and all(len(name) == 1 and name.isascii() for name in names)

    def json(self) -> dict[str, Any]:
        """Plain JSON values; the inverse is `from_json`."""
        spreads = {key: None if (one := getattr(self, key)) is None else one._asdict() for key in SPREADS}
        return asdict(self) | spreads | {"number_stats": {name: stats._asdict() for name, stats in self.number_stats.items()}}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """A fingerprint as `json` wrote it."""
        # Older cards do not have the last two.
        spreads = {key: Spread(**data[key]) if data.get(key) else None for key in SPREADS}
        stats = {name: NumberStats(**row) for name, row in data["number_stats"].items()}
        return cls(**data | spreads | {"mean": tuple(data["mean"]), "std": tuple(data["std"]), "number_stats": stats})

    def lines(self) -> list[str]:
        """What a person wants to know, one sentence a line."""
        splits = ", ".join(f"{name} {count:,}" for name, count in self.splits.items()) or say("split.no_parts")
        sizes: dict[str, Any] = {"w": self.width.median, "h": self.height.median, "least": f"{self.width.min}×{self.height.min}"}
        sizes["most"] = f"{self.width.max}×{self.height.max}"
        lines = [say("split.print_count", count=f"{self.count:,}", splits=splits)]
        lines.append(say("split.print_size" if self.width.min != self.width.max else "split.print_one_size", **sizes))
        lines.append(say("split.print_grey" if self.channels == 1 else "split.print_colour"))
        counts = self.class_counts.get("train") or self.class_counts.get("open") or {}
        if counts:
            rare, common = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
            words: dict[str, Any] = {"classes": len(counts), "rare": rare, "least": counts[rare], "common": common, "most": counts[common]}
            lines.append(say("split.print_classes", **words))
        if self.objects is not None:
            lines.append(say("split.print_objects", **self.objects._asdict()))
        if self.sides is not None:
            lines.append(say("split.print_sides", **self.sides._asdict()))
        if self.pixel_shares:
            shares = sorted(self.pixel_shares.items(), key=lambda pair: -pair[1])
            lines.append(say("split.print_pixels", shares=", ".join(f"{name} {share:.2%}" for name, share in shares[:SHOWN])))
        for name, stats in self.number_stats.items():
            told: dict[str, Any] = {key: f"{value:.4g}" for key, value in stats._asdict().items()}
            lines.append(say("split.print_number", name=name, **told))
        return lines


def take(dataset: Dataset, watch: Watch = Watch()) -> Fingerprint:
    """Measure a dataset: at most 2,000 pictures of its training part, the same ones every time.

    Args:
        dataset: split or not; without a training part every sample counts as one.
        watch: told how many of the sampled pictures are read.

    Raises:
        DataError: no sampled picture can be read.
    """
    train = [i for i, sample in enumerate(dataset.samples) if sample.split == "train"] or list(range(len(dataset)))
    places = sorted(train, key=lambda i: hashlib.blake2b(dataset.samples[i].id.encode(), digest_size=8).digest())[:SAMPLED]
    sha = hashlib.sha256(dataset.digest().encode())
    what, rows = say("split.measuring"), []
    for done, (content, row) in enumerate(in_threads(lambda i: _measure(dataset, i), places)):
        watch.step(what, done + 1, len(places))
        sha.update(content)
        if row is not None:
            rows.append(row)
    watch.end(what)
    if not rows:
        raise DataError(say("split.nothing_readable"), dataset.root, say("split.nothing_readable_fix", root=dataset.root))
    table = np.array(rows)
    grey = bool((table[:, 2] < GREY).all()) and dataset.frames == 1
    mean, std = _levels(table[:, 3:6], table[:, 6:9], grey)
    return Fingerprint(
        count=len(dataset), splits=dataset.counts(), width=_spread(table[:, 0]), height=_spread(table[:, 1]), channels=1 if grey else 3,
        mean=mean, std=std, class_counts=_class_counts(dataset), number_stats=_number_stats(dataset.samples[i] for i in train),
        digest=sha.hexdigest(), measured=len(rows), pixel_shares=_pixel_shares((dataset.samples[i] for i in places), dataset.names),
        frames=dataset.frames, **_objects(dataset.samples[i] for i in train),
    )  # fmt: skip


def _measure(dataset: Dataset, index: int) -> tuple[bytes, list[float] | None]:
    """Digest of the contents, and [width, height, colourfulness, three means, three mean squares], or None where it cannot be read."""
    sample = dataset.samples[index]
    try:
        if sample.path is None:
            picture = dataset.picture(index)
            # One array of pixels is covered by `Dataset.digest`; pictures of many sizes are not.
            content = b"" if isinstance(dataset.pixels, np.ndarray) else np.ascontiguousarray(picture).tobytes()
        else:
            content = sample.path.read_bytes()
            picture = decode(content, name=sample.path.name)
        if (good := good_file(dataset, sample)) is not None and good != sample.path:
            content += good.read_bytes()
        height, width = picture.shape[:2]
        step = _stride(height, width)
        seen = picture[::step, ::step]
        seen = seen.reshape(seen.shape[0], -1, seen.shape[2] // dataset.frames)  # frames beside one another
        pixels = to_rgb8(seen).reshape(-1, 3).astype(np.float32)
    except (DataError, OSError):
        return b"", None
    colour = float((pixels.max(1) - pixels.min(1)).mean())
    pixels /= 255
    return hashlib.sha256(content).digest(), [width, height, colour, *pixels.mean(0, np.float64), *np.square(pixels).mean(0, np.float64)]


def _stride(height: int, width: int) -> int:
    """Every how many rows and columns are looked at."""
    return max(1, int((height * width / PIXELS) ** 0.5))


def _levels(means: np.ndarray, squares: np.ndarray, grey: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel from every picture's own (N, 3) means and mean squares."""
    mean, square = means.mean(0), squares.mean(0)
    std = np.sqrt(np.maximum(square - mean**2, 0.0))
    if grey:
        mean, std = mean[1:2], std[1:2]
    # A set of one flat colour has no deviation; dividing by it must still be possible.
    return tuple(round(float(m), 6) for m in mean), tuple(max(round(float(s), 6), 1e-3) for s in std)


def _spread(values: np.ndarray) -> Spread:
    return Spread(int(np.median(values)), int(values.min()), int(values.max()))


def _class_counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for sample in dataset.samples:
        truth = sample.truth
        one = [truth.label] if isinstance(truth, Label | Drawn) and truth.label else []
        shown = set(truth.labels) if isinstance(truth, Labels | Boxes) else one
        if shown:
            counts.setdefault(sample.split or "open", Counter()).update(shown)
    return {split: {name: count[name] for name in dataset.names} for split, count in counts.items()}


def _objects(samples: Iterable[Sample]) -> dict[str, Spread]:
    """`objects` and `sides`, those that are known; what is to be ignored does not count."""
    truths = [sample.truth for sample in samples if isinstance(sample.truth, Boxes)]
    boxes = [truth.boxes if truth.ignored is None else truth.boxes[~truth.ignored] for truth in truths]
    if not boxes:
        return {}
    corners = np.concatenate(boxes)
    found = {"objects": _spread(np.array([len(rows) for rows in boxes]))}
    return found | ({"sides": _spread(np.sqrt((corners[:, 2:] - corners[:, :2]).prod(1)).round())} if len(corners) else {})


def _pixel_shares(samples: Iterable[Sample], names: list[str]) -> dict[str, float]:
    pixels = dict.fromkeys(names, 0)
    for sample in samples:
        if isinstance(truth := sample.truth, Mask):
            step = _stride(truth.height, truth.width)
            seen = truth.pixels[::step, ::step].ravel()
            for name, count in zip(truth.classes, np.bincount(seen, minlength=VOID + 1).tolist(), strict=False):
                pixels[name] = pixels.get(name, 0) + count
    total = sum(pixels.values())
    return {name: round(count / total, 6) for name, count in pixels.items()} if total else {}


def _number_stats(samples: Iterable[Sample]) -> dict[str, NumberStats]:
    columns: dict[str, list[float]] = {}
    for sample in samples:
        if isinstance(sample.truth, Numbers):
            for name, value in sample.truth.numbers.items():
                columns.setdefault(name, []).append(value)
    return {name: NumberStats(float(np.mean(v)), float(np.std(v)), float(np.min(v)), float(np.max(v))) for name, v in columns.items()}

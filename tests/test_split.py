"""A split that never tears apart what belongs together, keeps proportions, and depends on nothing but seed and ids."""

import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from omma.answers import _rle
from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.answers.mask import VOID, Mask
from omma.answers.numbers import Numbers
from omma.data.duplicates import Duplicates
from omma.data.fingerprint import Fingerprint, take
from omma.data.recast import present
from omma.data.sample import Dataset, Sample
from omma.data.split import folds, random_split, split
from omma.errors import DataError

ALONE = Duplicates()


def table(classes, groups=None, splits=None, pixels=None):
    samples = [
        Sample(
            f"{i:05d}.png",
            row=i,
            truth=truth if hasattr(truth, "json") else Label(str(truth)),
            group=groups and groups[i],
            split=splits and splits[i],
        )
        for i, truth in enumerate(classes)
    ]
    names = sorted({s.truth.label for s in samples if isinstance(s.truth, Label)})
    return Dataset(samples, names, "classify", Path("x"), "npz", pixels)


def parts(dataset):
    return {sample.id: sample.split for sample in dataset.samples}


def test_shares_and_strata():
    done = split(table([i % 7 for i in range(1000)]), near=ALONE)
    for split_, share in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
        counts = Counter(s.truth.label for s in done.part(split_).samples)
        assert max(counts.values()) - min(counts.values()) <= 2
        assert abs(counts.total() - 1000 * share) <= 1


def test_nothing_that_belongs_together_is_torn():
    groups = [f"patient {i // 7}" for i in range(350)]
    near = Duplicates([[3, 340]], [(10, 200, "same"), (200, 300, "mirrored")], [[50, 120]])
    done = split(table([i % 3 for i in range(350)], groups), near=near)
    for a, b in ((3, 340), (10, 200), (200, 300), (50, 120)):
        assert done.samples[a].split == done.samples[b].split
    by_group = {}
    for sample in done.samples:
        by_group.setdefault(sample.group, set()).add(sample.split)
    assert all(len(found) == 1 for found in by_group.values())


def test_a_random_split_does_tear_them():
    """Negative control: the promise above is not kept by luck."""
    done = random_split(table([i % 3 for i in range(350)], [f"patient {i // 7}" for i in range(350)]))
    by_group = {}
    for sample in done.samples:
        by_group.setdefault(sample.group, set()).add(sample.split)
    assert sum(len(found) > 1 for found in by_group.values()) > 20


@pytest.mark.parametrize("seed", range(20))
def test_parts_keep_their_share_within_two_groups(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 1 + int(rng.choice([3, 10, 40])), 60)
    groups = [f"g{g}" for g, size in enumerate(sizes) for _ in range(size)]
    classes = rng.integers(0, int(rng.choice([1, 2, 8])), len(groups)).tolist()
    counts = split(table(classes, groups), seed, near=ALONE).counts()
    for part, share in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
        assert abs(counts[part] - share * len(groups)) <= 2 * sizes.max()


def test_the_order_of_files_plays_no_part_and_the_seed_does():
    dataset = table([i % 5 for i in range(400)], [f"g{i // 3}" for i in range(400)])
    plain = parts(split(dataset, 1, near=ALONE))
    shuffled = Dataset(random.Random(0).sample(dataset.samples, 400), dataset.names, "classify", Path("x"), "npz")
    assert parts(split(shuffled, 1, near=ALONE)) == plain
    assert parts(split(dataset, 2, near=ALONE)) != plain


def test_every_class_is_learned_and_no_part_is_empty():
    done = split(table(["a"] * 30 + ["b", "c", "d"]), near=ALONE)
    assert {s.truth.label for s in done.part("train").samples} == {"a", "b", "c", "d"}
    for count in (3, 4, 5, 8):
        assert set(split(table(["a"] * count), near=ALONE).counts()) == {"train", "val", "test"}
    assert split(table(["a"]), near=ALONE).counts() == {"train": 1}


def test_shares_must_leave_something_to_learn_from():
    for val, test in ((0.9, 0.1), (0.5, 0.5), (0.6, 0.9)):
        with pytest.raises(DataError, match=f"val={val}, test={test}: nothing is left"):
            split(table([0, 1] * 10), val=val, test=test)
    given = ["test" if i % 5 == 0 else "train" for i in range(100)]
    done = split(
        table([i % 2 for i in range(100)], splits=given), val=0.9, test=0.1, near=Duplicates([])
    )  # a part that is there needs no share
    assert done.counts() == {"train": 8, "val": 72, "test": 20}


def test_given_parts_are_kept_and_what_is_missing_comes_out_of_training():
    given = ["test" if i % 5 == 0 else "train" for i in range(500)]
    done = split(table([i % 2 for i in range(500)], splits=given), near=Duplicates([[1, 2, 3]]))
    assert done.counts() == {"train": 360, "val": 40, "test": 100}
    assert all(s.split == "test" for s, part in zip(done.samples, given, strict=True) if part == "test")
    assert len({done.samples[i].split for i in (1, 2, 3)}) == 1
    whole = table(["a"] * 6, splits=["train", "train", "val", "val", "test", "test"])
    assert parts(split(whole)) == parts(whole) and split(whole).how_split


def test_open_samples_follow_their_copies():
    splits = ["test", None, "train", None, *[None] * 20]
    done = split(table(["a"] * 24, splits=splits), near=Duplicates([[0, 1], [2, 3]]))
    assert done.samples[1].split == "test" and all(s.split for s in done.samples)
    assert done.samples[0].split == "test"
    assert done.samples[2].split == done.samples[3].split


def test_a_dataset_without_training_part_is_refused():
    with pytest.raises(DataError, match=r"test"):
        split(table(["a"] * 3, splits=["test"] * 3), near=ALONE)
    with pytest.raises(DataError):
        split(table([]), near=ALONE)


def test_several_labels_and_numbers_are_spread():
    several = [Labels(("common", "rare") if i % 20 == 0 else ("common",)) for i in range(200)]
    done = split(table(several), near=ALONE)
    rare = Counter(s.split for s in done.samples if "rare" in s.truth.labels)
    assert rare["train"] == 7 and rare["val"] == 1 and rare["test"] == 2
    numbers = [Numbers({"n": float(i)}) for i in range(300)]
    done = split(table(numbers), near=ALONE)
    means = [np.mean([s.truth.numbers["n"] for s in done.part(part).samples]) for part in ("train", "val", "test")]
    assert max(means) - min(means) < 12


def boxed(*labels):
    return Boxes(40, 40, list(labels), np.array([[2.0, 2, 20, 20]] * len(labels)).reshape(-1, 4))


def outlined(*labels):
    square = np.zeros((40, 40), bool)
    square[2:20, 2:20] = True
    truth = boxed(*labels)
    return Instances(40, 40, truth.labels, truth.boxes, counts=[_rle.encode(square)] * len(labels))


def masked(*labels):
    names = ["background", "common", "rare", "zebra"]
    pixels = np.zeros((8, 8), np.uint8)
    for row, label in enumerate(labels):
        pixels[row] = names.index(label)
    return Mask.of(pixels, names)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("truth", [boxed, outlined, masked])
def test_objects_are_spread_by_the_rarest_class_of_their_picture_and_empty_ones_too(truth, seed):
    """Of 120 pictures 10 show a rare class beside the common one, and 10 nothing."""
    kinds = {0: ("common", "rare"), 1: ()}
    truths = [truth(*kinds.get(i % 12, ("common", "common"))) for i in range(120)]
    dataset = table(truths)
    dataset.names = ["background", "common", "rare", "zebra"]
    done = split(dataset, seed, near=ALONE)
    for places in ((0,), (1,), range(2, 12)):
        held = Counter(s.split for i, s in enumerate(done.samples) if i % 12 in places)
        for part, share in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
            assert abs(held[part] - share * held.total()) <= 1, (places, held)
    for fold in folds(dataset, 5, seed, near=ALONE):
        for part in ("train", "test"):
            assert any("rare" in present(s.truth) for s in fold.part(part).samples)


@pytest.mark.parametrize("seed", range(20))
def test_a_class_that_is_nowhere_the_rarest_is_learned_too(seed):
    """`rare` is in three pictures, beside a rarer class in each."""
    pairs = [("rare", f"x{i}") for i in range(3)] + [(f"x{i}",) for i in range(3)] + [("common",)] * 24
    done = split(table([boxed(*pair) for pair in pairs]), seed, near=ALONE)
    assert {name for s in done.part("train").samples for name in present(s.truth)} == {"rare", "x0", "x1", "x2", "common"}


def test_folds_hold_every_sample_out_once():
    made = folds(table([i % 4 for i in range(203)], [f"g{i // 2}" for i in range(203)]), 5, near=ALONE)
    held = Counter(s.id for fold in made for s in fold.part("test").samples)
    assert len(made) == 5 and set(held.values()) == {1} and len(held) == 203
    for fold in made:
        assert 36 <= fold.counts()["test"] <= 46 and fold.counts()["val"] > 10
        sides = {}
        for sample in fold.samples:
            sides.setdefault(sample.group, set()).add(sample.split)
        assert all(len(found) == 1 for found in sides.values())
    with pytest.raises(DataError):
        folds(table(["a"] * 3), 5, near=ALONE)


def test_split_finds_copies_itself():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    pixels[40:] = pixels[:20][:, :, ::-1]
    done = split(table(["a"] * 60, pixels=pixels))
    assert all(done.samples[i].split == done.samples[40 + i].split for i in range(20))
    assert "20" in done.how_split


def test_fingerprint_measures_the_training_part_and_comes_back_from_json():
    pixels = np.zeros((40, 8, 12, 3), np.uint8)
    pixels[:20, ..., 0] = 255  # training: half of the pictures are red
    pixels[30:] = 200  # testing does not count
    dataset = table(["a"] * 10 + ["b"] * 30, splits=["train"] * 10 + ["val"] * 5 + ["train"] * 15 + ["test"] * 10, pixels=pixels)
    print_ = take(dataset)
    assert print_.channels == 3 and print_.mean == (pytest.approx(15 / 25), 0, 0)
    assert print_.std[0] == pytest.approx(np.sqrt(0.6 * 0.4), abs=1e-5)
    assert print_.width[0] == 12 and print_.height.max == 8 and print_.splits == {"train": 25, "val": 5, "test": 10}
    assert print_.class_counts["train"] == {"a": 10, "b": 15}
    assert Fingerprint.from_json(json.loads(json.dumps(print_.json()))) == print_
    assert take(dataset) == print_ and len(print_.lines()) >= 4
    pixels[0, 0, 0, 0] = 1
    assert take(dataset).digest != print_.digest


def test_fingerprint_knows_objects_and_pixels_of_classes():
    """Sides are roots of areas: 2 × 8 is a square of 4. What is ignored, void or outside of training does not count."""
    pixels = np.zeros((4, 10, 20, 3), np.uint8)
    ones = np.array([[0.0, 0, 2, 8], [0, 0, 9, 9], [0, 0, 20, 5]])
    truths = [Boxes(20, 10, ["a"] * 3, ones), Boxes(20, 10), Boxes(20, 10, ["a"] * 2, ones[:2], None, np.array([True, False]))]
    samples = [Sample(f"{i}", row=i, truth=truth, split="train") for i, truth in enumerate(truths)]
    samples.append(Sample("3", row=3, truth=Boxes(20, 10, ["a"], ones[:1] / 2), split="test"))
    print_ = take(Dataset(samples, ["a"], "detect", Path("set"), "test", pixels=pixels))
    assert print_.objects == (1, 0, 3) and print_.sides == (9, 4, 10) and print_.pixel_shares == {}
    assert Fingerprint.from_json(json.loads(json.dumps(print_.json()))) == print_
    assert any("1 (median), from 0 to 3" in line for line in print_.lines()) and any("9 pixels" in line for line in print_.lines())
    half = np.zeros((10, 20), np.uint8)
    half[:5], half[9] = 1, VOID
    masks = [Sample(f"{i}", row=i, truth=Mask.of(half, ["a", "b", "c"]), split="train") for i in range(4)]
    shown = take(Dataset(masks, ["a", "b", "c"], "segment", Path("set"), "test", pixels=pixels))
    assert shown.pixel_shares == {"a": pytest.approx(4 / 9, abs=1e-6), "b": pytest.approx(5 / 9, abs=1e-6), "c": 0}
    assert shown.objects is None and Fingerprint.from_json(json.loads(json.dumps(shown.json()))) == shown
    older = {key: value for key, value in shown.json().items() if key not in ("objects", "sides", "pixel_shares")}
    assert Fingerprint.from_json(older).pixel_shares == {} and Fingerprint.from_json(older).width == shown.width


def test_fingerprint_knows_grey_numbers_and_digits(tmp_path):
    from PIL import Image

    for i in range(3):
        Image.fromarray(np.full((10, 10, 3), 50 * i, np.uint8)).save(tmp_path / f"{i}.png")
    samples = [Sample(f"{i}.png", tmp_path / f"{i}.png", truth=Numbers({"n": float(i)}), split="train") for i in range(3)]
    print_ = take(Dataset(samples, ["n"], "regress", tmp_path, "csv"))
    assert print_.channels == 1 and len(print_.mean) == 1
    assert print_.number_stats["n"].mean == 1 and print_.number_stats["n"].high == 2
    digits = take(table([str(i % 10) for i in range(20)], pixels=np.zeros((20, 8, 8, 1), np.uint8)))
    assert digits.looks_like_digits and not print_.looks_like_digits
    before = print_.digest
    Image.fromarray(np.full((10, 10, 3), 51, np.uint8)).save(tmp_path / "1.png")
    assert take(Dataset(samples, ["n"], "regress", tmp_path, "csv")).digest != before
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(b"x")
    with pytest.raises(DataError):
        take(Dataset(samples, ["n"], "regress", tmp_path, "csv"))

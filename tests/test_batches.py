"""Which pictures make up which step is a function of the step, and of nothing that happened before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.answers.numbers import Numbers
from omma.data.batches import Batches
from omma.data.frames import Frames
from omma.data.sample import Dataset, Sample
from omma.data.views import Views
from omma.errors import OmmaError
from omma.recipe import Recipe
from omma.tasks.classify import Classify
from omma.tasks.multilabel import Multilabel
from omma.tasks.regress import Regress

NAMES = ["cat", "dog", "狐狸"]
VIEWS = Views(8, 3)


def dataset(count: int = 50, truth=lambda i: Label(NAMES[i % 3]), split=lambda i: "train") -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
    samples = [Sample(f"{i:03}", row=i, truth=truth(i), split=split(i)) for i in range(count)]
    return Dataset(samples, NAMES, "classify", Path("packed"), "npz", pixels)


def batches(data: Dataset | None = None, task=None, rank: int = 0, world: int = 1, **values) -> Batches:
    data = data or dataset()
    recipe = Recipe(seed=values.pop("seed", 1)).put("you", **({"batch": 8, "flip": True, "shift": 0.125} | values))
    return Batches(Frames(data, VIEWS), data, task or Classify(NAMES), VIEWS, recipe, rank, world)


def test_an_epoch_sees_every_picture_at_most_once():
    it = batches()
    assert it.per_epoch == 6  # 50 pictures: two wait
    for epoch in range(3):
        seen = torch.cat([it.at(step).index for step in range(epoch * 6, epoch * 6 + 6)])
        assert len(seen.unique()) == len(seen) == 48
    orders = [torch.cat([it.index(step) for step in range(epoch * 6, epoch * 6 + 6)]).tolist() for epoch in range(3)]
    assert orders[0] != orders[1] != orders[2]


def test_a_step_is_the_same_from_wherever_one_comes():
    forward, backward = batches(mixup=0.4), batches(mixup=0.4)
    ahead = [forward.at(step) for step in range(14)]
    for step in reversed(range(14)):
        batch = backward.at(step)
        assert torch.equal(batch.index, ahead[step].index) and torch.equal(batch.pictures, ahead[step].pictures)
        assert torch.equal(batch.truth["target"], ahead[step].truth["target"])
    assert not torch.equal(batches(seed=2).at(0).index, ahead[0].index), "another seed, another order"


def test_truth_and_picture_belong_together():
    data = dataset()
    batch = batches(data, flip=False, shift=0.0).at(3)
    assert batch.pictures.shape == (8, 3, 8, 8)
    assert torch.equal(batch.truth["target"].argmax(1), batch.index % 3)
    assert torch.equal(batch.pictures, VIEWS.finish(torch.from_numpy(data.pixels[batch.index.numpy()])))
    assert batches(data).ids(batch) == [f"{i:03}" for i in batch.index.tolist()]


def test_only_the_training_part_is_learned_from():
    it = batches(dataset(split=lambda i: ("train", "val", "test")[i % 3]))
    seen = torch.cat([it.at(step).index for step in range(it.per_epoch)])
    assert it.per_epoch == 2 and (seen % 3 == 0).all()


def test_a_set_smaller_than_a_batch_is_one_batch():
    it = batches(dataset(5), batch=64)
    assert it.per_epoch == 1 and sorted(it.at(0).index.tolist()) == [0, 1, 2, 3, 4]


def test_gradient_descent_takes_everything_at_once():
    it = batches(optimizer="gd", batch=8)
    assert it.per_epoch == 1 and len(it.at(0)) == 50


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_a_batch_out(world):
    alone = batches()
    ranks = [batches(rank=rank, world=world) for rank in range(world)]
    for step in (0, 5, 6, 11):
        together = [rank.at(step) for rank in ranks]
        assert torch.equal(torch.cat([batch.index for batch in together]), alone.at(step).index)
        assert torch.equal(torch.cat([batch.pictures for batch in together]), alone.at(step).pictures)
        assert all(len(batch) for batch in together)


def test_sampling_makes_classes_equal():
    lopsided = dataset(600, truth=lambda i: Label(NAMES[0 if i % 20 else 1 + i % 40 // 20]))
    plain, fair = (batches(lopsided, balance=balance, batch=100) for balance in ("none", "sampling"))
    shares = [torch.stack([it.at(step).truth["target"].mean(0) for step in range(60)]).mean(0) for it in (plain, fair)]
    assert shares[0].max() > 0.9 and (shares[1] - 1 / 3).abs().max() < 0.03
    assert torch.equal(fair.at(7).index, batches(lopsided, balance="sampling", batch=100).at(7).index)


def test_pictures_come_up_as_often_however_many_windows_they_are_read_in():
    data = dataset(400)
    for place, sample in enumerate(data.samples):
        sample.of = max(0, place - 390)  # the first 391 are windows of one picture, nine pictures have one each
    plain, fair = (batches(data, balance=balance, batch=100) for balance in ("none", "pictures"))
    large = [float((torch.cat([it.index(step) for step in range(40)]) <= 390).double().mean()) for it in (plain, fair)]
    assert large[0] > 0.95 and abs(large[1] - 0.1) < 0.03
    assert len(torch.cat([fair.index(step) for step in range(40)]).unique()) > 200, "in another window each time"


def test_sampling_of_several_labels_and_of_none():
    data = dataset(300, truth=lambda i: Labels((NAMES[0],) if i % 10 else ()))
    data.samples[5].truth = Labels((NAMES[1], NAMES[2]))
    it = batches(data, Multilabel(NAMES), balance="sampling", batch=100)
    targets = torch.cat([it.at(step).truth["target"] for step in range(30)])
    nothing = (targets.sum(1) == 0).float().mean()
    assert 0.2 < nothing < 0.35 and targets[:, 1].mean() > 0.2
    with pytest.raises(OmmaError, match="balance"):
        batches(dataset(truth=lambda i: Numbers({"size": i + 0.5})), Regress(["size"]), balance="sampling")


def test_numbers_are_truths_too():
    batch = batches(dataset(truth=lambda i: Numbers({"size": i + 0.5})), Regress(["size"])).at(0)
    assert torch.equal(batch.truth["target"][:, 0], batch.index + 0.5)


def test_plain_is_in_order_and_not_varied():
    data = dataset(20)
    it = batches(data, rotate=30.0)
    found = list(it.plain([4, 2, 19, 0, 7], 2))
    assert [batch.index.tolist() for batch in found] == [[4, 2], [19, 0], [7]]
    assert torch.equal(torch.cat([batch.pictures for batch in found]), VIEWS.finish(torch.from_numpy(data.pixels[[4, 2, 19, 0, 7]])))
    assert torch.equal(found[1].truth["target"].argmax(1), found[1].index % 3) and not list(it.plain([], 4))


def test_pictures_without_truth_are_predicted_not_learned():
    data = dataset(20)
    data.samples[3].truth = None
    it = batches(data, batch=4)
    assert 3 not in it.places.tolist()
    first, second = it.plain([0, 1, 2, 3], 2)
    assert torch.equal(first.truth["target"].argmax(1), first.index % 3) and second.truth == {}
    for sample in data.samples:
        sample.truth = None
    with pytest.raises(OmmaError, match="no picture"):
        batches(data)


def test_unreadable_pictures_are_left_out(tmp_path):
    from PIL import Image

    samples = []
    for i in range(6):
        Image.fromarray(np.full((8, 8, 3), i, np.uint8)).save(tmp_path / f"{i}.png")
        samples.append(Sample(f"{i}.png", tmp_path / f"{i}.png", truth=Label(NAMES[i % 3]), split="train"))
    (tmp_path / "2.png").write_bytes(b"nothing")
    data = Dataset(samples, NAMES, "classify", tmp_path, "folders")
    it = batches(data, batch=5)
    assert sorted(it.at(0).index.tolist()) == [0, 1, 3, 4, 5]


def test_lazy_frames_give_the_same_batches(tmp_path):
    data = dataset(30)
    recipe = Recipe(seed=1).put("you", batch=8, flip=True, shift=0.125)
    data.pixels = [np.kron(picture, np.ones((2, 2, 1), np.uint8)) for picture in data.pixels]
    packed, lazy = (Batches(Frames(data, VIEWS, limit=limit), data, Classify(NAMES), VIEWS, recipe) for limit in (1 << 30, 0))
    assert lazy.frames.lazy and not packed.frames.lazy
    for step in range(5):
        assert torch.equal(packed.at(step).pictures, lazy.at(step).pictures)


def test_smaller_pictures_first():
    it = batches(progressive=0.5)
    assert it.at(0, 0.2).pictures.shape == (8, 3, 6, 6) and it.at(0, 0.6).pictures.shape == (8, 3, 8, 8)
    assert it.at(0, 0.2).pictures.is_contiguous(memory_format=torch.channels_last)

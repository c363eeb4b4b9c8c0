"""Hand-made features as networks: the same numbers as scikit-image's, the same classifier as scikit-learn's, and every verb."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import omma
from omma import catalog
from omma.errors import OmmaError
from omma.models.making import build
from omma.testing import check_model


@pytest.mark.parametrize(("name", "channels", "settings"), [("pixels", 1, {}), ("hog", 3, {}), ("sift-words", 3, {"words": 16})])
def test_promises(name, channels, settings):
    check_model(name, size=24, channels=channels, resumes=True, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pixels", "hog", "sift-words"])
def test_graphs_answer_the_same(name):
    check_model(name, size=32, exports=True)


@pytest.mark.parametrize(
    ("name", "size", "settings", "line"),
    [
        ("hog", 7, {}, "at least 8"), ("sift-words", 15, {}, "at least 16"), ("hog", 32, {"bins": 1}, "bins"),
        ("sift-words", 32, {"words": 1}, "words"),
    ],
)  # fmt: skip
def test_what_makes_no_features(name, size, settings, line):
    with pytest.raises(OmmaError, match=line):
        build(name, channels=3, size=size, outputs=2, **settings)


@pytest.mark.parametrize(("channels", "cell"), [(1, 4), (3, 8)])
def test_hog_is_scikit_images(channels, cell):
    feature = pytest.importorskip("skimage.feature")
    torch.manual_seed(0)
    pictures = torch.rand(2, channels, 32, 32, dtype=torch.float64)
    mine = build("hog", channels=channels, size=32, outputs=2, cell=cell).maps(pictures)
    for one, found in zip(pictures, mine, strict=True):
        given = one.permute(1, 2, 0).numpy() if channels == 3 else one[0].numpy()
        blocks = feature.hog(
            given, 9, (cell, cell), (2, 2), "L2-Hys", feature_vector=False, channel_axis=-1 if channels == 3 else None
        )  # (h, w, 2, 2, 9)
        wanted = torch.from_numpy(blocks).permute(2, 3, 4, 0, 1).flatten(0, 2)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_descriptors_turn_with_the_picture():
    """An edge gives its direction; a quarter turn moves every bin by two and every cell around the middle."""
    net = build("sift-words", channels=1, size=16, outputs=2, words=4)
    x = torch.arange(16.0).expand(1, 1, 16, 16)
    found = net.descriptors(x)[0, :, 0, 0].view(4, 4, 8)
    assert (found[1:3, 1:3].argmax(2) == 0).all() and found.square().sum().item() == pytest.approx(1, abs=1e-4)
    turned = net.descriptors(x.transpose(2, 3))[0, :, 0, 0].view(4, 4, 8)
    assert (turned[1:3, 1:3].argmax(2) == 2).all()
    assert net.descriptors(torch.zeros(1, 1, 16, 16)).abs().sum() == 0


def test_words_are_the_middles_of_descriptors():
    torch.manual_seed(0)
    net = build("sift-words", channels=1, size=16, outputs=2, words=2)
    x = torch.arange(16.0).expand(1, 1, 16, 16)
    ramps = torch.cat([x, x.transpose(2, 3)]).repeat(20, 1, 1, 1) + 0.01 * torch.rand(40, 1, 16, 16)
    net.prepare(ramps)
    said = net.maps(ramps).argmax(1).flatten()
    assert (said[0::2] == said[0]).all() and (said[1::2] == said[1]).all() and said[0] != said[1]
    again = build("sift-words", channels=1, size=16, outputs=2, words=2)
    again.prepare(ramps)
    assert torch.equal(again.words, net.words), "no draw"


def test_hinge_by_hand():
    hinge = catalog.find("losses", "hinge")
    outputs, target = torch.tensor([[2.0, -0.5, 0.5], [0.0, 1.0, -3.0]]), torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    assert hinge(outputs, target).item() == pytest.approx(((0.5**2 + 1.5**2) + 1.0) / 2)
    weighed = hinge(outputs, target, weight=torch.tensor([0.0, 0.0, 1.0]))
    assert weighed.item() == pytest.approx(1.5**2 / 2)


@pytest.mark.slow
def test_pixels_are_logistic_regression(tmp_path):
    """`omma train digits --model pixels` finds what scikit-learn finds: better, worse or cannot tell is cannot tell."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    told = omma.train("digits", "threads=1", "shift=0", model="pixels", budget="60 epochs", seed=0, out=str(tmp_path / "run"), device="cpu")
    score = told.scores["accuracy"]
    pictures, kinds = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(kinds))
    cut = len(order) * 4 // 5
    theirs = LogisticRegression(max_iter=2000).fit(pictures[order[:cut]] / 16, kinds[order[:cut]])
    right = theirs.score(pictures[order[cut:]] / 16, kinds[order[cut:]])
    spread = 2 * math.sqrt(right * (1 - right) / (len(order) - cut))
    assert score["low"] - spread <= right <= score["high"] + spread, (score, right)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pixels", "hog", "sift-words"])
def test_yardsticks_through_the_verbs(name, tmp_path):
    told = omma.train(
        "digits", "threads=1", "loss=hinge", "size=32", model=name, budget="3 epochs", seed=0, out=str(tmp_path / "run"), device="cpu"
    )
    assert told.scores["accuracy"]["value"] > 0.6
    from models_at_hand import folder_of

    answers = list(omma.predict(str(tmp_path / "run"), *map(str, folder_of(tmp_path / "pictures", 3))))
    assert len(answers) == 3
    assert omma.evaluate(str(tmp_path / "run"), "digits").json()["accuracy"]["value"] > 0.6

"""Explanations find what the network looks at, add up, and admit it when they do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from models_at_hand import pictures, quantised
from omma.answers.boxes import Boxes
from omma.data.views import Views
from omma.errors import NotMeaningful, OmmaError
from omma.explainers.explainer import Question, choose, unframe
from omma.explainers.gradcam import gradcam
from omma.explainers.integrated_gradients import attributions, integrated_gradients
from omma.explainers.occlusion import occlusion
from omma.explainers.receipt import receipt
from omma.explainers.rise import rise
from omma.models.network import Network
from omma.tasks.classify import Classify
from omma.tasks.detect import Detect
from omma.tasks.regress import Regress
from omma.verbs.explain import corners_of, explained

SIZE = 32


class Brightest(Network):
    """Answers `bright` by the sum of positive red inside the window it is told to look at; `dark` is its opposite."""

    def __init__(self, window: slice | None = None) -> None:
        super().__init__()
        self.window = window
        self.body = nn.Conv2d(3, 2, 3, padding=1, bias=False)
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.body.weight.zero_()
            self.body.weight[0, 0, 1, 1] = 1.0
            self.body.weight[1, 1, 1, 1] = 1.0
            self.head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))

    def maps(self, pictures):
        maps = self.body(pictures).relu()
        if self.window is not None:
            keep = torch.zeros_like(maps)
            keep[:, :, self.window, self.window] = 1
            maps = maps * keep
        return maps

    def pool(self, maps):
        return maps.flatten(2).sum(2)


class Blind(Network):
    """A network without maps."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3 * SIZE * SIZE, 2)

    def features(self, pictures):
        return pictures.flatten(1)


def planted() -> torch.Tensor:
    """A dim noisy picture with a bright red square at rows and columns 20–27."""
    picture = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3)) * 0.05
    picture[0, 0, 20:28, 20:28] = 2.0
    return picture


def question(net: nn.Module, about: str = "bright") -> Question:
    return Question(Classify(["bright", "dark"]), {"net": net.eval()}, about)


def inside(heat: torch.Tensor) -> float:
    """Share of the positive heat that lies on the planted square (and two pixels around it)."""
    heat = heat.clamp_min(0)
    return float(heat[0, 18:30, 18:30].sum() / heat.sum())


@pytest.mark.parametrize("method", [gradcam, integrated_gradients, occlusion, rise])
def test_every_method_finds_the_planted_patch(method):
    picture = planted()
    heat = method(question(Brightest()), picture)
    assert heat.shape == (1, SIZE, SIZE)
    peak = divmod(int(heat.flatten().argmax()), SIZE)
    assert 20 <= peak[0] < 28 and 20 <= peak[1] < 28
    assert inside(heat) > 0.6


def test_integrated_gradients_are_complete():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 2)).eval()
    ask = question(net)
    pictures = torch.randn(2, 3, SIZE, SIZE)
    shares = attributions(ask, pictures)
    with torch.no_grad():
        difference = ask(pictures) - ask(torch.zeros_like(pictures))
    assert torch.allclose(shares.sum((1, 2, 3)).float(), difference, rtol=1e-3, atol=1e-4)


def test_a_faithful_map_beats_random_and_its_opposite_does_not():
    picture, ask = planted(), question(Brightest())
    heat = gradcam(ask, picture)
    good = receipt(ask, picture, heat)
    assert good.beats_random
    assert good.deletion < good.random_deletion[0] and good.insertion > good.random_insertion[0]
    assert not receipt(ask, picture, -heat).beats_random


@pytest.mark.parametrize("seed", range(5))
def test_a_random_map_does_not_beat_random(seed):
    heat = torch.rand(1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed + 100))
    ask = question(Brightest())
    proof = receipt(ask, torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(9)), heat, orders=32)
    mean, spread = proof.random_gap
    assert abs(proof.insertion - proof.deletion - mean) < 4 * spread


def test_a_map_of_another_network_does_not_beat_random():
    # The defect a receipt exists for: the map shows the square, the network looks elsewhere.
    picture = planted()
    heat = gradcam(question(Brightest()), picture)
    assert not receipt(question(Brightest(slice(0, 8))), picture, heat).beats_random


def test_a_flat_map_points_at_nothing():
    assert not receipt(question(Brightest()), planted(), torch.zeros(1, SIZE, SIZE)).beats_random


def test_gradcam_leaves_the_network_as_it_was():
    net = Brightest().eval()
    gradcam(question(net), planted())
    assert "maps" not in vars(net)


def test_a_network_without_maps_has_no_gradcam():
    with pytest.raises(NotMeaningful):
        gradcam(question(Blind()), planted())


def test_the_question_is_about_the_top_class_or_the_named_one():
    task = Classify(["cat", "dog", "owl"])
    tensors = {"logits": torch.tensor([[0.0, 3.0, 1.0]])}
    assert choose(task, tensors, None) == "dog"
    assert choose(task, tensors, "owl") == "owl"
    with pytest.raises(OmmaError, match="owl"):
        choose(task, tensors, "owll")
    numbers = Regress(["area", "count"], centre=[0, 0], width=[1, 1])
    assert choose(numbers, {"numbers": torch.tensor([[4.0, 9.0]])}, "count") == "count"


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
@pytest.mark.parametrize("shape", [(48, 96), (96, 48), (40, 40)])
def test_heat_lies_where_the_picture_is(fit, shape):
    """A square drawn on the original is found at the same place after frame and unframe."""
    views = Views(SIZE, 3, fit)
    height, width = shape
    picture = np.zeros((height, width, 3), np.uint8)
    rows, columns = slice(height // 2 - 6, height // 2 + 2), slice(width // 2 + 2, width // 2 + 10)
    picture[rows, columns] = 255
    heat = views.frame(picture)[:, :, 0].astype("float32")
    if fit == "pad":
        heat = np.where(heat == views.filling[0], 0, heat)
    whole = unframe(heat, views, height, width)
    assert whole.shape == shape
    ys, xs = np.nonzero(whole > 127)
    assert abs(ys.mean() - (height // 2 - 2.5)) < 1.5 and abs(xs.mean() - (width // 2 + 5.5)) < 1.5


def test_what_a_crop_never_saw_stays_cold():
    whole = unframe(np.ones((SIZE, SIZE), "float32"), Views(SIZE, 3, "crop"), 40, 100)
    assert not whole[:, :30].any() and not whole[:, 70:].any() and whole[:, 30:70].all()


@pytest.fixture
def bundle(tmp_path):
    """A small network that was never trained, in a folder with a name of its own."""
    from omma.bundle import Bundle
    from omma.models.making import build

    torch.manual_seed(0)
    net = build("quick", channels=3, size=SIZE, outputs=2, widths=(8, 8)).eval()
    views = Views(SIZE, 3, "crop", (0.5,) * 3, (0.25,) * 3, "flip")
    card = {"model": "quick", "model_settings": {"widths": [8, 8], "depth": 2}}
    return Bundle(Classify(["猫", "dog"]), {"net": net}, views, {"temperature": 1.0}, card).save(tmp_path / "模型")


@pytest.mark.parametrize("method", ["gradcam", "integrated_gradients", "occlusion", "rise"])
def test_the_verb_writes_an_overlay_and_speaks_json(bundle, tmp_path, method):
    import json

    from PIL import Image

    from omma.verbs.explain import explain

    picture = tmp_path / "画 1.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(picture)
    told = explain(bundle, picture, method=method, about="猫", out=tmp_path / "new" / "o.png")
    row = json.loads(json.dumps(told.json()))
    assert row["path"] == str(picture) and row["about"] == "猫" and row["answer"]["label"] in ("猫", "dog")
    assert isinstance(row["receipt"]["beats_random"], bool)
    assert told.heat.shape == (50, 70) and np.isfinite(told.heat).all()
    assert np.asarray(Image.open(row["out"])).shape == told.overlay.shape
    assert not list((tmp_path / "new").glob("*.partial"))
    assert all("\n" not in line for line in told.lines())


def test_the_verb_says_in_one_line_what_is_wrong(bundle, tmp_path):
    from omma.errors import DataError
    from omma.verbs.explain import explain

    (tmp_path / "x.png").write_bytes(b"nothing")
    with pytest.raises(OmmaError, match="gradcam"):
        explain(bundle, tmp_path / "x.png", method="grad-cam")
    with pytest.raises(DataError):
        explain(bundle, tmp_path / "x.png", out=tmp_path / "o.png")
    assert not (tmp_path / "o.png").exists()


def test_the_answer_explained_is_the_one_predicted(bundle):
    from omma import bundle as bundles
    from omma.verbs.explain import explained

    opened = bundles.open(bundle)
    original = np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    answer, asked, at, heat, _ = explained(opened, original, "gradcam", None)
    frames = torch.from_numpy(opened.views.frame(original))[None]
    with torch.no_grad():
        said = opened.task.decode(opened.pipeline()(frames))[0]
    assert answer.same(said, 1e-6) and asked == said.label and at is None and heat.shape == (40, 60)


def test_a_quantised_copy_is_asked_about_what_its_own_graph_says(tmp_path):
    """Control: the network beside the graph always says `cat`; what the graph says is explained all the same."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    made = quantised(tmp_path / "b")
    with torch.no_grad():
        made.net.head.bias.copy_(torch.tensor([100.0, 0.0, 0.0]))
    said = [explained(made, picture, "occlusion", None)[:2] for picture in pictures(4)]
    assert [about for _, about in said] == [answer.label for answer, _ in said]
    assert {about for _, about in said} != {"cat"}


# ── why this object ─────────────────────────────────────────────────────────────────────────────────────

BOXES = torch.tensor([[2.0, 2.0, 12.0, 12.0], [19.0, 19.0, 29.0, 29.0]])


class TwoSpots(nn.Module):
    """Finds two objects, as surely as there is red where each of them lies."""

    def forward(self, pictures):
        red = [pictures[:, 0, int(y1) : int(y2), int(x1) : int(x2)].mean((1, 2)) for x1, y1, x2, y2 in BOXES]
        sure = torch.stack(red, 1).mul(2).sub(1).sigmoid()
        count = len(pictures)
        return {"boxes": BOXES.expand(count, 2, 4), "probabilities": sure, "classes": torch.zeros(count, 2, dtype=torch.long)}


@pytest.mark.parametrize("method", [rise, occlusion])
def test_it_is_this_object_that_is_explained(method):
    """Control: asked about the other one, the same picture gets another map."""
    picture = torch.zeros(1, 3, SIZE, SIZE)
    picture[:, 0, 2:12, 2:12], picture[:, 0, 19:29, 19:29] = 2.0, 1.8
    for box, rows in zip(BOXES, (slice(1, 13), slice(18, 30)), strict=True):
        heat = method(Question(Detect(["spot"]), {"net": TwoSpots()}, "spot", box), picture)[0].clamp_min(0)
        here = torch.zeros(SIZE, SIZE, dtype=torch.bool)
        here[rows, rows] = True
        assert heat[here].mean() > 4 * heat[~here].mean()


def test_the_place_meant_is_an_object_of_the_answer():
    boxes = np.array([[0.0, 0, 10, 10], [20, 20, 40, 40], [22, 22, 41, 41]])
    answer = Boxes(64, 64, ["cell", "cell", "rock"], boxes, np.array([0.9, 0.5, 0.7], np.float32))
    assert answer.meant(None, None) == ("cell", (0, 0, 10, 10))
    assert answer.meant("rock", None) == ("rock", (22, 22, 41, 41))
    assert answer.meant(None, (19, 19, 39, 39)) == ("cell", (20, 20, 40, 40))
    assert answer.meant("rock", (19, 19, 39, 39)) == ("rock", (22, 22, 41, 41))
    assert answer.meant(None, (50, 50, 60, 60)) == (None, (50, 50, 60, 60)), "nothing was found there: why not?"
    assert answer.meant("tree", None) == ("tree", None)


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "5,5,5,9", "9,0,1,4", "nan,0,1,1", "-1,0,4,4"])
def test_corners_that_make_no_sense_are_named(text):
    with pytest.raises(OmmaError, match="--at"):
        corners_of(text)
    assert corners_of("1,2.5,3,4") == (1, 2.5, 3, 4) and corners_of(None) is None


def test_a_task_without_places_says_so(bundle):
    from omma import bundle as bundles

    with pytest.raises(NotMeaningful, match="--at"):
        explained(bundles.open(bundle), np.zeros((40, 60, 3), np.uint8), "gradcam", None, at=(1, 1, 5, 5))

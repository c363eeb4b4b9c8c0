"""Large pictures: windows cover them, answers of windows become one answer, in eager arithmetic and inside a graph."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.answers.mask import Mask
from omma.data.sample import Dataset, Sample
from omma.data.spatial.cut import by_picture, in_windows
from omma.data.spatial.windows import GRID, starts
from omma.data.views import InGraph, Views
from omma.engine.told import Teller, told
from omma.tasks.detect import Detect
from omma.tasks.segment import Segment
from test_spatial import NAMES, scene

SIZE, OVERLAP = 96, 32
VIEWS = Views(SIZE, 3, "windows", (0.5,) * 3, (0.25,) * 3, overlap=OVERLAP)
SIZES = [(96, 96), (97, 96), (200, 90), (250, 333), (40, 300), (128, 160)]


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(st.integers(1, 3000), st.sampled_from([64, 96, 100, 320]), st.integers(0, 160))
@settings(max_examples=150, deadline=None)
def test_windows_cover_a_side_and_share_what_they_should(length, size, overlap):
    overlap = min(overlap, size // 2)
    found = starts(length, size, overlap).tolist()
    assert found[0] == 0 and length <= found[-1] + size < length + GRID + size * (len(found) == 1)
    assert all(start % GRID == 0 for start in found)
    if size - overlap >= GRID:
        assert all(b - a <= size - overlap for a, b in pairwise(found))
    assert (len(found) == 1) == (length <= size)


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("whole", [False, True])
def test_a_map_that_was_cut_comes_back(height, width, whole):
    """What every window says alike is what is said; whoever is cut apart is joined at the right pixel."""
    views = replace(VIEWS, whole=whole)
    picture = noise(height, width)
    place = views.spot(height, width)
    frames = torch.from_numpy(views.frames(picture)).permute(0, 3, 1, 2).float()
    assert len(frames) == place.frames == len(views.windows(height, width))
    back = place.maps(frames)
    assert back.shape == (1, 3, height, width) and place.extent.tolist() == [[height, width]] and bool(place.shown().all())
    assert torch.allclose(back[0], torch.from_numpy(picture).permute(2, 0, 1).float(), atol=1e-3)


class Local(nn.Module):
    """Sees 25 pixels around; halves its maps twice on the way."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
        self.up = nn.Sequential(nn.Upsample(scale_factor=4), nn.Conv2d(8, 3, 3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.up(self.down(x)).mul(8).softmax(1)


@pytest.mark.parametrize(("overlap", "seamless"), [(OVERLAP, True), (0, False)])
def test_a_local_network_sees_no_seam(overlap, seamless):
    """Equal to the whole picture within 1/255 where windows share as much as the network sees; control: not where they share nothing."""
    height, width = 256, 320
    views = Views(SIZE, 3, "windows", (0.5,) * 3, (0.25,) * 3, overlap=overlap)
    net, picture = Local().eval(), noise(height, width)
    with torch.no_grad():
        said = views.spot(height, width).maps(net(views.finish(torch.from_numpy(views.frames(picture)))))
        pixels = torch.from_numpy(picture)[None].permute(0, 3, 1, 2).float()
        whole = net(views.normalise(pixels))
    far = float((said - whole).abs().max())
    assert (far <= 1 / 255) == seamless, far


# ── objects ─────────────────────────────────────────────────────────────────────────────────────────────


def objects(height: int, width: int, count: int, seed: int) -> Boxes:
    """Boxes that do not overlap much, from 6 pixels to most of the picture."""
    rng = np.random.default_rng(seed)
    kept: list[np.ndarray] = []
    for _ in range(60 * count):
        w, h = np.exp(rng.uniform(np.log(6), np.log(0.8 * min(height, width)), 2))
        if max(w, h) > 2.5 * min(w, h):
            continue
        x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
        box = np.array([x, y, x + w, y + h])
        lows = [np.maximum(box[:2], one[:2]) for one in kept]
        highs = [np.minimum(box[2:], one[2:]) for one in kept]
        if all((high - low).clip(0).prod() < 0.1 * min((box[2:] - box[:2]).prod(), (one[2:] - one[:2]).prod())
               for low, high, one in zip(lows, highs, kept, strict=True)):  # fmt: skip
            kept.append(box)
        if len(kept) == count:
            break
    return Boxes(width, height, [NAMES[1 + i % 2] for i in range(len(kept))], np.array(kept))


def seen(truth: Boxes, views: Views, rows: int = 60) -> dict[str, torch.Tensor]:
    """What a perfect network says of every frame: the objects of which at least a tenth shows, as far as it shows."""
    frames = views.windows(truth.height, truth.width)
    tensors = {"boxes": torch.zeros(len(frames), rows, 4), "probabilities": torch.zeros(len(frames), rows),
               "classes": torch.zeros(len(frames), rows, dtype=torch.long),
               "extent": torch.full((len(frames), 2), views.size)}  # fmt: skip
    for frame, (top, left, tall, wide) in enumerate(frames):
        place, row = views.place(tall, wide), 0
        for label, box in zip(truth.labels, truth.boxes, strict=True):
            inside = (box - [left, top, left, top]).clip(0, [wide, tall, wide, tall])
            if (inside[2:] - inside[:2]).prod() < 0.1 * (box[2:] - box[:2]).prod():
                continue
            tensors["boxes"][frame, row] = place.framed(torch.from_numpy(inside.astype(np.float32))[None])[0]
            tensors["classes"][frame, row], tensors["probabilities"][frame, row] = NAMES.index(label), 0.9 - 0.001 * row
            row += 1
    return tensors


@pytest.mark.parametrize("seed", range(12))
def test_an_object_on_a_seam_is_found_once(seed):
    rng = np.random.default_rng(seed)
    height, width = int(rng.integers(97, 400)), int(rng.integers(97, 400))
    views, truth = replace(VIEWS, whole=True), objects(height, width, 14, seed)
    tensors = seen(truth, views)
    said = told(Detect(NAMES), tensors, {}, [views.spot(height, width)])[0]
    assert (said.width, said.height) == (width, height)
    assert len(said) == len(truth), (len(said), len(truth))
    found = Boxes(width, height, said.labels, said.boxes)
    for label, box in zip(truth.labels, truth.boxes, strict=True):
        near = [np.abs(box - other).max() for name, other in zip(found.labels, found.boxes, strict=True) if name == label]
        assert min(near) <= 1.5, "corners of the coarse pass are as exact as its pixels"
    # Control: without the rule there are more answers than objects.
    assert (tensors["probabilities"] > 0).sum() > len(truth)


def test_without_the_whole_picture_what_no_window_shows_is_not_invented():
    truth = Boxes(300, 300, ["red"], np.array([[20.0, 20.0, 280.0, 280.0]]))
    said = told(Detect(NAMES), seen(truth, VIEWS), {}, [VIEWS.spot(300, 300)])[0]
    assert not len(said)
    views = replace(VIEWS, whole=True)
    assert len(told(Detect(NAMES), seen(truth, views), {}, [views.spot(300, 300)])[0]) == 1


# ── inside a graph ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("height", "width"), [*SIZES, (50, 60)])
@pytest.mark.parametrize("whole", [False, True])
def test_the_graph_cuts_the_same_windows(height, width, whole):
    views = replace(VIEWS, whole=whole)
    graph, pictures = InGraph(views), np.stack([noise(height, width, seed) for seed in range(2)])
    cut = graph(torch.from_numpy(pictures)).numpy()
    plain = np.concatenate([views.frames(picture) for picture in pictures])
    if whole and max(height, width) <= SIZE:  # one frame holds it: the graph looks twice
        cut = cut[::2]
    assert np.array_equal(cut, plain)
    if max(height, width) > SIZE:
        maps = torch.from_numpy(cut).permute(0, 3, 1, 2).float()
        assert torch.equal(graph.spot(torch.from_numpy(pictures)).maps(maps)[:1], views.spot(height, width).maps(maps[: len(cut) // 2]))


# ── data ────────────────────────────────────────────────────────────────────────────────────────────────


def large(kind: str) -> Dataset:
    picture, mask, outlined = scene(150, 230)
    truth = mask if kind == "mask" else outlined
    if kind == "boxes":
        truth = Boxes(outlined.width, outlined.height, outlined.labels, outlined.boxes)
    small = noise(60, 60)
    samples = [Sample("a", row=0, truth=truth, split="train"), Sample("b", row=1, truth=None, split="val")]
    return Dataset(samples, NAMES, "detect", None, "test", [picture, small])  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["mask", "boxes", "instances"])
def test_windows_are_samples_with_their_part_of_the_truth(kind):
    data = large(kind)
    cut = in_windows(data, VIEWS)
    parts = VIEWS.windows(150, 230)
    assert len(cut) == len(parts) + 1 and cut.whole is data and cut.samples[-1].id == "b"
    assert len({sample.id for sample in cut.samples}) == len(cut)
    for place, (top, left, tall, wide) in enumerate(parts):
        assert cut.extent(place) == (tall, wide)
        assert np.array_equal(cut.picture(place), data.picture(0)[top : top + tall, left : left + wide])
        truth = cut.samples[place].truth
        assert (truth.width, truth.height) == (wide, tall)
        if isinstance(truth, Mask):
            assert np.array_equal(truth.pixels, data.samples[0].truth.pixels[top : top + tall, left : left + wide])
        else:
            assert (truth.boxes >= 0).all() and (truth.boxes[:, 2:] <= [wide, tall]).all()
        if isinstance(truth, Instances):
            whole = data.samples[0].truth.masks()[:, top : top + tall, left : left + wide]
            assert np.array_equal(truth.masks(), whole[whole.any((1, 2))])
    assert in_windows(data, replace(VIEWS, fit="pad")) is data


def test_an_object_of_which_little_shows_is_ignored():
    truth = Boxes(200, 100, ["red", "red"], np.array([[90.0, 10, 110, 30], [10.0, 10, 30, 30]]))
    (part,) = truth.cut([VIEWS.windows(100, 200)[0]])
    assert len(part) == 2 and part.boxes[0].tolist() == [90, 10, 96, 30]
    assert part.ignored is None, "six twentieths of it show"
    moved = replace(truth, boxes=truth.boxes + np.array([4, 0, 4, 0]))
    assert moved.cut([VIEWS.windows(100, 200)[0]])[0].ignored.tolist() == [True, False]
    assert truth.aside_below(25).ignored.tolist() == [True, True] and truth.aside_below(20) is truth


def test_pictures_are_told_as_soon_as_their_frames_are_there():
    data = large("mask")
    cut = in_windows(data, VIEWS)
    everything = list(range(len(cut)))
    assert by_picture(cut, everything) == {0: everything[:-1], 1: [everything[-1]]}
    assert by_picture(cut, everything[1:]) == {1: [everything[-1]]}, "a picture of which a window is missing is not told"
    task, spots = Segment(NAMES), [VIEWS.spot(*data.extent(place)) for place in (0, 1)]
    shares = torch.rand(len(cut), 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).softmax(1)
    at_once = told(task, {"probabilities": shares}, {}, spots)
    teller, late = Teller(task, {}, spots), []
    for part in shares.split(4):
        late.append(teller.hear({"probabilities": part}))
    assert not late[0]
    assert all(a.same(b) for a, b in zip(at_once, [answer for some in late for answer in some], strict=True))
    with pytest.raises(AssertionError, match="frames"):
        told(task, {"probabilities": shares}, {}, spots[:1])


# ── a whole road ────────────────────────────────────────────────────────────────────────────────────────


def test_windows_mean_nothing_to_a_task_that_looks_at_the_whole(tmp_path):
    from omma import train
    from omma.errors import OmmaError

    with pytest.raises(OmmaError, match="fit=windows"):
        train("digits", "fit=windows", budget="2 steps", out=str(tmp_path / "run"))


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("segment", ["model=unet-small"]),
        pytest.param("detect", ["model=anchor-free-small", "most=30"], marks=pytest.mark.slow),
        pytest.param("instances", ["model=star", "most=40"], marks=pytest.mark.slow),
    ],
)
def test_learned_asked_and_exported_in_windows(task, words, tmp_path):
    """Training, validation, evaluation, prediction, explanation and export agree about a picture of several frames."""
    from PIL import Image

    from omma import bundle as bundles
    from omma import evaluate, explain, export, predict, train

    run = tmp_path / "run"
    told_ = train("shapes", "size=64", "fit=windows", "batch=8", *words, task=task, budget="6 steps", out=str(run))
    opened = bundles.open(run)
    assert opened.views.fit == "windows" and opened.views.whole == (task != "segment")
    assert opened.views.spot(128, 128).frames == 9 + opened.views.whole
    name = next(iter(told_.scores))
    again = evaluate(str(run), data="shapes")
    assert abs(again.scores[name].value - told_.scores[name]["value"]) < 1e-6
    picture = tmp_path / "图" / "a.png"
    picture.parent.mkdir()
    Image.fromarray(noise(150, 230)).save(picture)
    (row,) = predict(str(run), picture)
    assert (row["width"], row["height"]) == (230, 150)
    seen_ = explain(str(run), picture, out=tmp_path / "why.png", **({} if task == "segment" else {"method": "occlusion"}))
    assert seen_.heat.shape == (150, 230)
    pytest.importorskip("onnxruntime")
    made = export(str(run), to="onnx", data=picture.parent, out=tmp_path / "m.onnx")
    assert made.pictures > 1

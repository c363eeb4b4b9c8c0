"""Where things are: coordinates between pictures and frames, and truths that move with their pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omma.answers import _rle
from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.answers.mask import VOID, Mask
from omma.answers.operating import threshold_for
from omma.answers.placed import Move
from omma.data import chance
from omma.data.recast import recast
from omma.data.sample import Dataset, Sample
from omma.data.spatial.along import Along
from omma.data.spatial.truths import Truths
from omma.data.views import InGraph, Views
from omma.recipe import Recipe
from omma.run import advice
from omma.tasks.detect import Detect
from omma.tasks.segment import Segment

SIDE = 64
NAMES = ["background", "red", "绿"]


def scene(height: int = 48, width: int = 72) -> tuple[np.ndarray, Mask, Instances]:
    """Two rectangles and a disc, each class in a colour of its own."""
    from omma.answers import _rle

    pixels = np.zeros((height, width), np.uint8)
    y, x = np.mgrid[:height, :width]
    shapes = [
        ((y >= 4) & (y < 20) & (x >= 6) & (x < 30), 1),
        ((y >= 30) & (y < 44) & (x >= 10) & (x < 22), 2),
        ((y - 24) ** 2 + (x - 54) ** 2 < 144, 1),
    ]
    for where, kind in shapes:
        pixels[where] = kind
    picture = np.zeros((height, width, 3), np.uint8)
    for kind in (1, 2):
        picture[pixels == kind, kind - 1] = 255
    labels = [NAMES[kind] for _, kind in shapes]
    counts = [_rle.encode(where) for where, _ in shapes]
    boxes = np.array([_rle.box(text, height, width) for text in counts], float)
    return picture, Mask.of(pixels, NAMES), Instances(width, height, labels, boxes, None, None, counts)


def views(fit: str = "pad", size: int = SIDE) -> Views:
    return Views(size, 3, fit, (0.0,) * 3, (1.0,) * 3)


# ── frames ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fit", ["squash", "pad", "crop"])
@pytest.mark.parametrize(("height", "width"), [(48, 72), (200, 90), (64, 64), (7, 300)])
def test_coordinates_come_back_from_the_frame(fit, height, width):
    place = views(fit).place(height, width)
    boxes = torch.tensor([[width * 0.45, height * 0.4, width * 0.55, height * 0.6]])
    if fit == "crop":  # only the middle is shown
        side = min(height, width)
        boxes = torch.tensor([[width / 2 - side / 4, height / 2 - side / 4, width / 2 + side / 4, height / 2 + side / 4]])
    framed = place.framed(boxes)
    assert (framed >= 0).all() and (framed <= SIDE).all()
    torch.testing.assert_close(place.boxes(framed), boxes, atol=1e-3, rtol=0)
    assert place.extent.tolist() == [[height, width]]


@pytest.mark.parametrize("fit", ["squash", "pad", "crop"])
def test_truth_lies_where_the_frame_shows_it(fit):
    picture, mask, found = scene()
    frame = views(fit).frame(picture)
    own = Mask.tensors([mask], NAMES, views(fit))["mask"][0].numpy()
    for kind in (1, 2):
        bright = frame[..., kind - 1] > 127
        assert (bright & (own == kind)).sum() / max(1, (bright | (own == kind)).sum()) > 0.9, "the mask is not where the colour is"
    box = Boxes.tensors([found], NAMES, views(fit))["boxes"][0, 1]
    rows, columns = np.nonzero(frame[..., 1] > 127)
    if len(rows):
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(box.numpy(), seen, atol=1.01)


def test_an_exported_graph_knows_the_same_place():
    for fit in ("squash", "pad", "crop"):
        plain, graph = views(fit).place(33, 91), InGraph(views(fit)).spot(torch.zeros(2, 33, 91, 3, dtype=torch.uint8))
        points = torch.rand(5, 2) * SIDE
        torch.testing.assert_close(plain.points(points), graph.points(points), check_dtype=False)
        torch.testing.assert_close(plain.maps(torch.eye(SIDE)), graph.maps(torch.eye(SIDE)))
        assert torch.equal(plain.extent, graph.extent) and torch.equal(plain.shown(), graph.shown())


def test_maps_spread_over_the_picture_again():
    _, mask, _ = scene(96, 144)
    place = views("pad", 96).place(96, 144)
    framed = Mask.tensors([mask], NAMES, views("pad", 96))["mask"]
    shares = torch.nn.functional.one_hot(framed.long().clamp_max(2), 3).permute(0, 3, 1, 2).float()
    back = Mask.locate({"probabilities": shares}, place, {})["mask"][0].numpy()
    assert back.shape == (96, 144) and (back == mask.pixels).mean() > 0.97


def test_what_a_crop_does_not_show_is_void():
    place = views("crop").place(48, 72)
    located = Mask.locate({"probabilities": torch.ones(1, 2, SIDE, SIDE) / 2}, place, {"threshold": 0.5})
    pixels = located["mask"][0]
    assert (pixels[:, :12] == VOID).all() and (pixels[:, 60:] == VOID).all() and (pixels[:, 12:60] == 1).all()


# ── moving ──────────────────────────────────────────────────────────────────────────────────────────────


def varied(answer, truth, frame, copies: int = 8, size: int = SIDE, **settings):
    recipe = Recipe().put("you", **{"flip": False, "shift": 0.0, "scale": 0.0, "rotate": 0.0, "colour": 0.0, "erase": 0.0} | settings)
    frames = torch.from_numpy(np.repeat(frame[None], copies, 0))
    rows = {key: value.expand(copies, *value.shape[1:]).clone() for key, value in truth.items()}
    return Along(views(size=size), recipe, answer)(frames, rows, torch.arange(copies), 3)


WAYS = [
    {"flip": True}, {"shift": 0.2}, {"scale": 0.5}, {"rotate": 40.0}, {"quarter": True}, {"mosaic": 1.0},
    {"flip": True, "shift": 0.1, "scale": 0.4, "rotate": 15.0, "quarter": True, "mosaic": 0.5},
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(way))
def test_masks_move_with_their_pictures(way):
    picture, mask, _ = scene()
    frame = views().frame(picture)
    pictures, moved = varied(Mask, Mask.tensors([mask], NAMES, views()), frame, **way)
    colours = torch.stack([pictures[:, :2].sum(1) < 0.5, pictures[:, 0] > 0.5, pictures[:, 1] > 0.5], 1)
    known = moved["mask"] != VOID
    right = colours.gather(1, moved["mask"].long().clamp_max(2)[:, None])[:, 0]
    assert right[known].float().mean() > 0.95, "the mask is not where the colour went"
    assert known.float().mean() > 0.3 and not torch.equal(moved["mask"][0], moved["mask"][1]), "every copy is another one"
    assert (pictures[:, :, :, :].permute(0, 2, 3, 1)[~known] < 0.51).all(), "where nothing is known nothing shows"


@pytest.mark.parametrize("way", [way for way in WAYS if "rotate" not in way], ids=lambda way: "-".join(way))
def test_boxes_move_with_their_pictures(way):
    """The green rectangle is where its box says."""
    picture, _, found = scene()
    only = found.keep(np.array([1]))
    pictures, moved = varied(Boxes, Boxes.tensors([only], NAMES, views()), views().frame(picture), **way)
    assert (moved["classes"] >= 0).sum() >= 4
    for shown, corners, kinds in zip(pictures, moved["boxes"], moved["classes"], strict=True):
        green = (shown[1] > 0.5).numpy()
        inside = np.zeros_like(green)
        for x1, y1, x2, y2 in corners[kinds >= 0].round().int().tolist():
            inside[y1:y2, x1:x2] = True
            assert green[y1:y2, x1:x2].mean() > 0.7, "a box holds what is not its object"
        assert (green & ~inside).sum() <= 0.25 * max(12, green.sum()), "green lies outside every box"


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(way))
def test_instances_keep_their_numbers_and_fit_their_boxes(way):
    picture, _, found = scene()
    _, moved = varied(Instances, Instances.tensors([found], NAMES, views()), views().frame(picture), **way)
    for objects, boxes, kinds, aside in zip(*(moved[key] for key in ("objects", "boxes", "classes", "ignored")), strict=True):
        numbers = set(objects[objects > 0].tolist())
        rows, asked = ({place + 1 for place in some.nonzero().flatten().tolist()} for some in (kinds >= 0, (kinds >= 0) & ~aside))
        assert asked <= numbers <= rows, "a number without a row, or an object without pixels"
        for number in numbers:
            down, across = (objects == number).nonzero(as_tuple=True)
            seen = [across.min(), down.min(), across.max() + 1, down.max() + 1]
            assert boxes[number - 1].tolist() == [float(value) for value in seen]


def test_gamma_keeps_black_white_and_order():
    _, mask, _ = scene()
    line = np.linspace(0, 255, SIDE).astype(np.uint8)[None, :, None].repeat(SIDE, 0).repeat(3, 2)
    curves, moved = varied(Mask, Mask.tensors([mask], NAMES, views()), line, copies=16, gamma=1.0)
    rows, middle = curves[:, 0, 0], curves[:, 0, 0, SIDE // 2]
    assert (rows.diff(dim=1) >= 0).all() and torch.allclose(rows[:, [0, -1]], rows[:1, [0, -1]], atol=1e-5)
    assert middle.min() < middle.mean() - 0.1 and middle.max() > middle.mean() + 0.1, "darker in some, brighter in others"
    assert (moved["mask"] == moved["mask"][0]).all()


def test_noise_is_of_the_picture_and_not_of_what_fills_its_frame():
    picture, mask, _ = scene()
    frame, truth = views().frame(np.full_like(picture, 200)), Mask.tensors([mask], NAMES, views())
    shown = torch.from_numpy(frame[..., 0] == 200)
    (noisy, moved), (again, _), (plain, _) = (varied(Mask, truth, frame, copies=64, noise=share) for share in (0.1, 0.1, 0.0))
    apart = (noisy - plain)[:, 0]
    assert not shown.all() and apart[:, ~shown].abs().max() == 0
    assert torch.equal(noisy, again) and torch.equal(moved["mask"], truth["mask"].expand_as(moved["mask"]))
    black, white = (views().finish(torch.full((1, SIDE, SIDE, 3), value, dtype=torch.uint8)).max() for value in (0, 255))
    share = apart[:, shown].std(1) / (white - black)
    assert share.max() < 0.105 and share.max() > 0.08 and share.min() < 0.02, "deviations of all sizes up to the one asked for"
    assert abs(np.corrcoef(apart[:2, shown])[0, 1]) < 0.1, "every picture has its own"


def test_two_pictures_shown_through_each_other_have_the_objects_of_both():
    """Green on black and red on black: where a box of a colour is asked for, at least a quarter of that colour shows."""
    picture, _, found = scene()
    frames = torch.from_numpy(np.stack([views().frame(picture * [place % 2, 1 - place % 2, 0]).astype(np.uint8) for place in range(8)]))
    rows = [found.keep(np.array([0, 2] if place % 2 else [1])) for place in range(8)]
    still = {"flip": False, "shift": 0.0, "scale": 0.0, "rotate": 0.0, "colour": 0.0, "erase": 0.0}
    vary = Along(views(), Recipe().put("you", mixup=0.6, **still), Boxes)
    truth, index = Boxes.tensors(rows, NAMES, views()), torch.arange(8)
    pictures, moved = vary(frames, truth, index, 0)
    both = 0
    for shown, corners, kinds, aside in zip(pictures, moved["boxes"], moved["classes"], moved["ignored"], strict=True):
        if len(set(kinds[kinds >= 0].tolist())) < 2:
            continue
        both += 1
        for (x1, y1, x2, y2), kind, out in zip(corners.round().int().tolist(), kinds.tolist(), aside.tolist(), strict=True):
            if kind >= 0:
                share = shown[kind - 1, y1 + 3 : y2 - 3, x1 + 3 : x2 - 3].max()
                assert (share < 0.25) == out, "an object is asked for that hardly shows, or is not asked for though it does"
    assert both >= 3, "half of the partners are of the other colour"
    again = vary(frames, truth, index, 0)
    assert torch.equal(again[0], pictures) and not torch.equal(vary(frames, truth, index, 1)[0], pictures)
    _, kept = vary(frames[:1], {key: value[:1] for key, value in truth.items()}, index[:1], 0)
    assert len(kept["classes"][0]) == len(truth["classes"][0]), "alone there is nobody to be mixed with"
    assert not Along(views(), Recipe().put("you", mixup=0.6, **still), Instances).tables


@pytest.mark.parametrize("degrees", [0, 30, 45, 90])
def test_a_box_that_turns_is_fitted_to_its_outline(degrees):
    """A disc beside an object without an outline: the disc's box stays as wide as the disc, the other's holds its turned corners."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    disc = (y - 32) ** 2 + (x - 32) ** 2 < 20**2
    found = Instances(SIDE, SIDE, ["red"], np.array([[12.0, 12, 52, 52]]), counts=[_rle.encode(disc)])
    bare = Boxes(SIDE, SIDE, ["red"], np.array([[12.0, 12, 52, 52]]))
    dataset = recast(Dataset([Sample("a", truth=found), Sample("b", truth=bare)], NAMES, "detect", root=None, format=""), "boxes")[0]  # type: ignore[arg-type]
    assert dataset.samples[0].truth.kind == "boxes"
    index, cpu = torch.tensor([0, 1]), torch.device("cpu")
    truth = Truths(dataset, Detect(NAMES), views(), cpu, True).at(index)
    assert "hull" not in Truths(dataset, Detect(NAMES), views(), cpu).at(index), "costs nothing where nothing turns"
    angle = torch.tensor(degrees * np.pi / 180)
    turn = torch.eye(3).repeat(2, 1, 1)
    turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1] = angle.cos(), -angle.sin(), angle.sin(), angle.cos()
    moved = Boxes.move(truth, [Move(index, turn, torch.tensor([[-1.0, -1, 1, 1]] * 2))], SIDE)
    sides = (moved["boxes"][..., 2:] - moved["boxes"][..., :2])[:, 0]
    assert (sides[0] - 40).abs().max() < 1.1 and sides[0, 0] == pytest.approx(float(sides[0, 1]), abs=1e-3), "corners of pixels stick out"
    torch.testing.assert_close(sides[1], torch.full((2,), 40 * float(angle.cos() + angle.sin())), atol=1e-3, rtol=0)


def test_a_picture_that_shows_an_object_goes_on_showing_one():
    """One small object in a corner, another in the middle of the second picture, none in the third: only the first is held back."""
    corner, middle = [1.0, 1, 9, 9], [28.0, 28, 36, 36]
    rows = [Boxes(SIDE, SIDE, ["red"] * len(where), np.array(where).reshape(-1, 4)) for where in ([corner], [corner, middle], [])]
    truth, count = Boxes.tensors(rows * 32, NAMES, views()), 96
    recipe = Recipe().put("you", shift=0.25, scale=0.3, rotate=20.0, quarter=True, flip=True, colour=0.0, erase=0.0)
    vary, index = Along(views(), recipe, Boxes), torch.arange(count)
    frames = torch.zeros(count, SIDE, SIDE, 3, dtype=torch.uint8)
    _, moved = vary(frames, truth, index, 0)
    asked = ((moved["classes"] >= 0) & ~moved["ignored"]).any(1).view(32, 3)
    assert asked[:, :2].all() and not asked[:, 2].any()
    draws = dict(zip(vary.draws, chance.uniform(vary.seed, 0, index, vary.draws), strict=True))
    held, free = vary._own(draws, truth), vary._own(draws, {})
    other = (held != free).flatten(1).any(1).view(32, 3)
    assert 3 < other[:, 0].sum() < 32 and not other[:, 1:].any(), "where an object shows anyway all is as it was drawn"
    _, alone = vary(frames[3:4], {key: value[3:4] for key, value in truth.items()}, index[3:4], 0)
    assert torch.equal(alone["boxes"][0, 0], moved["boxes"][3, 0]), "what becomes of a picture does not depend on its batch"


def test_an_object_that_left_is_gone_and_one_half_gone_is_cut():
    truth = {
        "boxes": torch.tensor([[[0.0, 0, 20, 20], [40, 40, 64, 64]]]),
        "classes": torch.tensor([[0, 1]]),
        "ignored": torch.zeros(1, 2, dtype=torch.bool),
    }
    right = torch.eye(3)[None].clone()
    right[0, 0, 2] = 0.5  # what is read lies 16 pixels to the right: objects move 16 to the left
    moved = Boxes.move(truth, [Move(torch.tensor([0]), right, torch.tensor([[-1.0, -1, 1, 1]]))], SIDE)
    assert moved["boxes"][0, 0].tolist() == [0, 0, 4, 20] and moved["ignored"][0, 0], "a fifth of it shows: nobody is asked for it"
    assert moved["boxes"][0, 1].tolist() == [24, 40, 48, 64] and moved["classes"][0].tolist() == [0, 1]
    right[0, 0, 2] = 1.5
    moved = Boxes.move(truth, [Move(torch.tensor([0]), right, torch.tensor([[-1.0, -1, 1, 1]]))], SIDE)
    assert moved["classes"].tolist() == [[1]] and moved["boxes"][0, 0].tolist() == [0, 40, 16, 64]


def test_the_same_seed_moves_the_same_way():
    picture, mask, _ = scene()
    frame, truth = views().frame(picture), Mask.tensors([mask], NAMES, views())
    (a, b), (c, d) = (varied(Mask, truth, frame, **WAYS[-1]) for _ in range(2))
    assert torch.equal(a, c) and torch.equal(b["mask"], d["mask"])


# ── truths by place ─────────────────────────────────────────────────────────────────────────────────────


def test_truths_are_the_same_kept_or_made_when_asked_for(monkeypatch):
    from omma.data.spatial import truths

    _, mask, _ = scene()
    flat = Mask.of(np.ones((30, 30), np.uint8), NAMES)
    samples = [Sample("a", truth=mask), Sample("b"), Sample("c", truth=flat)]
    dataset = Dataset(samples, NAMES, "segment", root=None, format="")  # type: ignore[arg-type]
    kept = Truths(dataset, Segment(NAMES), views(), torch.device("cpu"))
    monkeypatch.setattr(truths, "IN_MEMORY", 0)
    made = Truths(dataset, Segment(NAMES), views(), torch.device("cpu"))
    assert kept.first() is not None and made.first() is None and kept.known.tolist() == [True, False, True]
    for index in (torch.tensor([2, 0]), torch.tensor([0])):
        assert torch.equal(kept.at(index)["mask"], made.at(index)["mask"])


# ── operating point ─────────────────────────────────────────────────────────────────────────────────────


def detections():
    """Three right at 0.9, 0.6, 0.4; two wrong at 0.5, 0.3; one object is never found."""
    boxes = torch.tensor([[[0.0, 0, 10, 10], [20, 20, 30, 30], [50, 0, 60, 10], [40, 40, 50, 50], [0, 50, 10, 60]]])
    tensors = {"boxes": boxes, "probabilities": torch.tensor([[0.9, 0.6, 0.5, 0.4, 0.3]]), "classes": torch.zeros(1, 5, dtype=torch.long)}
    true = torch.tensor([[[0.0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 50, 50], [0, 0, 0, 0], [30, 0, 40, 8]]])
    kinds = torch.tensor([[0, 0, 0, -1, 0]])
    return tensors, {"boxes": true, "classes": kinds, "ignored": torch.zeros(1, 5, dtype=torch.bool)}


@pytest.mark.parametrize(
    ("goal", "threshold"), [("", 0.35), ("f1", 0.35), ("recall>=0.5", 0.55), ("recall >= 0.95", 0.15), ("precision>=0.99", 0.55)]
)
def test_the_threshold_serves_the_goal(goal, threshold):
    tensors, truth = detections()
    assert torch.equal(shown(tensors, Boxes.fit(tensors, truth, ["cell"], goal)), tensors["probabilities"] > threshold)


@pytest.mark.parametrize("goal", ["recall>=0.99", "precision>=1"])
def test_a_goal_out_of_reach_is_told_with_the_classes_that_miss_it(goal):
    """One object is never found; of a second class there is only what is wrong, at 0.95, and one object that is not found either."""
    tensors, truth = detections()
    tensors = tensors | {"probabilities": torch.tensor([[0.95, 0.6, 0.5, 0.4, 0.3]]), "classes": torch.tensor([[1, 0, 0, 0, 0]])}
    truth["classes"][0, 0] = 0
    point = Boxes.fit(tensors, truth, ["cell", "dust"], goal)
    both = goal.startswith("recall")
    assert point["unreached"] == ([0, 1] if both else [1])
    line = advice.unreached(point, ["cell", "dust"], goal)[0]
    assert goal in line and "dust" in line and ("cell" in line) == both
    assert "unreached" not in point and not advice.unreached(point, ["cell", "dust"], goal), "a point holds what answers are made with"


def test_a_goal_for_pixels_out_of_reach_is_told():
    logits = torch.zeros(1, 2, 4, 4)
    logits[0, 1, :2] = 1.0
    wrong = {"mask": (logits[:, 1] < 0.5).to(torch.uint8)}
    assert Mask.fit({"logits": logits}, wrong, ["ground", "lesion"], "precision>=0.9")["unreached"] == [1]
    assert "unreached" not in Mask.fit({"logits": logits}, wrong, ["ground", "lesion"], "recall>=0.9")


def shown(tensors, point):
    return Boxes.operate(tensors, point)["probabilities"].double() >= torch.tensor(point["threshold"])[tensors["classes"]]


def test_stated_probabilities_become_shares_that_are_right():
    """What is right as often as the square of its odds says; objects far apart, so that each answer is judged alone."""
    count, classes = 4000, 2
    rng = torch.Generator().manual_seed(0)
    said = torch.rand(1, count, generator=rng).sort(descending=True).values
    right = (2 * (said / (1 - said)).log() + 0.5).sigmoid()
    hit = torch.rand(1, count, generator=rng) < right
    corner = torch.arange(count)[:, None] * torch.tensor([20.0, 0, 20, 0])
    boxes = (corner + torch.tensor([0.0, 0, 10, 10]))[None]
    kinds = torch.arange(count)[None] % classes
    tensors = {"boxes": boxes, "probabilities": said, "classes": kinds}
    truth = {"boxes": boxes, "classes": torch.where(hit, kinds, -1), "ignored": torch.zeros(1, count, dtype=torch.bool)}
    point = Boxes.fit(tensors, truth, ["a", "b"])
    told = Boxes.operate(tensors, point)["probabilities"]
    assert point["log_odds"] == pytest.approx([2, 0.5], abs=0.2)
    assert (told - right).abs().max() < 0.05 < (said - right).abs().max()
    assert (told.diff() <= 0).all(), "no order changes"


def test_a_few_objects_make_nobody_certain():
    from omma.answers.operating import log_odds_line, moved

    few, line = torch.tensor([0.9, 0.8, 0.7]), log_odds_line(torch.tensor([0.9, 0.8, 0.7]), torch.ones(3, dtype=torch.bool))
    assert (few < moved(few, line)).all() and moved(few, line).max() < 0.99
    assert log_odds_line(torch.zeros(0), torch.zeros(0, dtype=torch.bool)) == [1, 0]
    backwards = log_odds_line(torch.linspace(0.1, 0.9, 50), torch.arange(50) < 25)
    assert backwards[0] > 0, "more probable stays more probable"


def test_unused_rows_stay_unused_and_faint_ones_keep_their_order():
    tensors, _ = detections()
    faint = tensors | {"probabilities": torch.tensor([[0.5, 0.02, 0.0015, 0.001, 0.0]])}
    told = Boxes.operate(faint, {"log_odds": [4.0, 0.3]})["probabilities"]
    answer = Detect(["cell"]).decode(tensors | {"probabilities": told, "extent": torch.tensor([[64, 64]])})[0].settle({"threshold": 0.0})
    stated = [row["probability"] for row in answer.json()["boxes"]]
    assert told[0, 4] == 0 and len(stated) == 4 and stated == sorted(set(stated), reverse=True)
    assert Boxes.operate(faint, {"threshold": [0.5]}) is faint, "a bundle of before"


def test_where_f1_is_flat_the_threshold_is_where_calibrated_probabilities_have_it():
    found = []
    for seed in range(20):
        draw = torch.Generator().manual_seed(seed)
        share = torch.rand(300, generator=draw) ** 0.25
        hit = torch.rand(300, generator=draw) < share
        level, served = threshold_for(share, hit, 10, calibrated=True)
        best, total = threshold_for(share, hit, 10)[0], int(hit.sum()) + 10
        top, here = (2 * float(hit[share > at].sum()) / (int((share > at).sum()) + total) for at in (best, level))
        assert served and abs(level - top / 2) < 0.05 and here >= top - (top * (1 - top) / total) ** 0.5 - 1e-9
        found.append((level, best))
    settled, chance = torch.tensor(found).std(0).tolist()
    assert settled < chance / 3, "the highest point of a flat curve lies anywhere"


def test_each_class_has_a_threshold_of_its_own():
    tensors, truth = detections()
    tensors["classes"][0, 2:], truth["classes"][0, 2], truth["classes"][0, 4] = 1, 1, -1
    # The rare one is right at 0.4, wrong at 0.5 and 0.3.
    names = ["cell", "platelet", "nowhere"]
    point = Boxes.fit(tensors, truth, names)
    wanted = tensors["probabilities"] > torch.tensor([0.3, 0.35])[tensors["classes"]]
    assert torch.equal(shown(tensors, point), wanted) and len(point["threshold"]) == 3
    seldom = tensors | {"classes": tensors["classes"] * 0 + 2}
    assert torch.equal(shown(seldom, point), tensors["probabilities"] > 0.45), "a class that is nowhere takes what suits all"
    answer = Detect(names).decode(tensors | {"extent": torch.tensor([[64, 64]])})[0].settle({"threshold": [0.7, 0.45, 0.0]})
    assert [(row["label"], round(row["probability"], 1)) for row in answer.json()["boxes"]] == [("cell", 0.9), ("platelet", 0.5)]
    told = answer.keep(np.array([0, 2]))
    assert answer.same(told) and not answer.same(answer.keep(np.array([0]))), "only what is not shown may be missing"
    with pytest.raises(ValueError, match="zip"):
        answer.settle({"threshold": [0.5]})


def test_an_ignored_object_is_neither_found_nor_missed():
    tensors, truth = detections()
    truth["ignored"][0, 4] = True  # the one that is never found: then everything can be found
    from omma.answers._fitting import judged

    assert judged(tensors, truth, 1).objects.tolist() == [3] and judged(*detections(), 1).objects.tolist() == [4]


@pytest.mark.parametrize("given", ["masks", "outlines"])
def test_outlines_are_found_by_their_pixels_and_not_by_their_boxes(given):
    """Of two objects with right boxes one is outlined wrongly; a third, ignored, has no pixels of its own on the map."""
    tensors, truth = detections()
    corners = truth["boxes"][:, :2]
    boxes = torch.cat([corners, corners, truth["boxes"][:, 4:]], 1)
    thin = torch.tensor([[0.0, 0], [1, 0], [10, 10], [0, 1]])  # within its box, and little of it
    whole = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    low, far = boxes[..., None, :2], boxes[..., None, 2:]
    outlines = low + whole * (far - low)
    outlines[:, 1] = low[:, 1] + thin
    tensors = tensors | {"boxes": boxes, "extent": torch.full((1, 2), 64)}
    tensors |= (
        {"outlines": outlines} if given == "outlines" else {"masks": Instances.locate(tensors | {"outlines": outlines}, None, {})["masks"]}
    )
    objects = torch.zeros(1, 64, 64, dtype=torch.int16)
    objects[0, 0:10, 0:10], objects[0, 20:30, 20:30] = 1, 2
    truth = truth | {"objects": objects, "classes": torch.tensor([[0, 0, -1, -1, 0]]), "ignored": torch.tensor([[False] * 4 + [True]])}
    from omma.answers._fitting import judged

    found = judged(tensors, truth, 1, Instances._shared)
    assert found.hit.tolist() == [True, False, False, True] and found.objects.tolist() == [2]
    assert judged(tensors, truth, 1).hit.tolist() == [True, True, False, False], "their boxes are right"
    bare = {key: value[:, :0] if key not in ("extent", "objects") else value for key, value in tensors.items()}
    assert not len(judged(bare, truth, 1, Instances._shared).share)
    assert Instances.fit(tensors, truth, ["cell"]) != Boxes.fit(tensors, truth, ["cell"])


def test_thresholds_hide_objects_from_people_and_not_from_measures():
    task = Detect(["cell"])
    tensors, _ = detections()
    answer = task.decode(tensors | {"extent": torch.tensor([[64, 64]])})[0].settle({"threshold": 0.45})
    assert len(answer) == 5 and [row["probability"] for row in answer.json()["boxes"]] == pytest.approx([0.9, 0.6, 0.5])
    assert Boxes.from_json(answer.json()).same(answer)
    truth = Boxes(64, 64, ["cell"] * 3, np.array([[0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 50, 50.0]]))
    metrics = task.metrics()
    once = np.ones(1, np.float32)
    value = {key: metrics[key].summary(metrics[key].records([answer], [truth]), once) for key in ("precision", "recall", "AP50")}
    assert value["precision"] == pytest.approx(2 / 3) and value["recall"] == pytest.approx(2 / 3)
    assert value["AP50"] > 0.8, "the fourth box, which nobody sees, still counts for the average precision"
    answer.settle({"threshold": 0.0})
    assert len(answer.json()["boxes"]) == 5

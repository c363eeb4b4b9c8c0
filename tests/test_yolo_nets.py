"""YOLO v1 and v2, FCN: losses against cases worked by hand, anchors, the tree of words, alignment, and that eight pictures are learned."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from omma.errors import OmmaError
from omma.models.making import build
from omma.parts.classics.darknet import anchors_of, owners, shape_iou
from omma.parts.classics.wordtree import WordTree
from omma.testing import check_model

MIRROR = Path(os.environ.get("OMMA_MIRROR", Path(__file__).parents[1] / ".." / "shared" / "datasets"))


def truth(boxes, classes, ignored=None) -> dict[str, torch.Tensor]:
    kinds = torch.tensor(classes)
    aside = torch.tensor(ignored) if ignored else torch.zeros_like(kinds, dtype=torch.bool)
    return {"boxes": torch.tensor(boxes, dtype=torch.float32), "classes": kinds, "ignored": aside}


@pytest.mark.parametrize("name", ["yolo-small", "yolo-v2-small", "darknet19-small", "fcn-small"])
def test_promises(name):
    check_model(name, size=64)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "channels", "settings"),
    [
        ("yolo-small", 96, 1, {"stride": 32, "boxes": 3, "hidden": 64}), ("yolo-v2-small", 75, 3, {"anchors": 2}),
        ("yolo-9000", 64, 3, {"tree": (0, 1, 1, 0, 4)}), ("yolo", 64, 3, {"hidden": 64}), ("yolo-v2", 64, 1, {}), ("darknet19", 40, 1, {}),
        ("fcn-small", 45, 1, {"norm": "none"}), ("fcn", 32, 3, {"norm": "batch"}),
    ],
)  # fmt: skip
def test_promises_of_the_others(name, size, channels, settings):
    check_model(name, size=size, channels=channels, **settings)


@pytest.mark.parametrize(
    ("name", "size", "settings", "line"),
    [
        ("yolo", 60, {}, "at least 64"), ("yolo", 64, {"stride": 16}, "stride"), ("yolo", 64, {"boxes": 0}, "boxes=0"),
        ("yolo-v2", 60, {}, "at least 64"), ("yolo-v2", 64, {"anchors": 40}, "anchors=40"), ("yolo-9000", 64, {"tree": (0, 3)}, "tree=0-3"),
        ("yolo-9000", 64, {"tree": (2, 1)}, "tree=2-1"), ("fcn", 20, {}, "at least 32"), ("fcn", 64, {"norm": "group"}, "norm"),
    ],
)  # fmt: skip
def test_what_makes_no_network_is_refused_in_one_line(name, size, settings, line):
    with pytest.raises(OmmaError, match=line):
        build(name, channels=3, size=size, outputs=2, **settings)


# ── the first one ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def first():
    """A grid of 2 × 2 on pictures of 128 pixels, two boxes a cell, three classes."""
    torch.manual_seed(0)
    return build("yolo-small", channels=3, size=128, outputs=3, hidden=8)


def test_the_first_ones_loss_by_hand(first):
    """One object of class 1 with its middle at (96, 32), 32 wide, 64 high: the upper right cell, in its middle; a quarter, a half wide."""
    scores, rows = torch.zeros(1, 4, 3), torch.zeros(1, 4, 2, 5)
    scores[0, 1] = torch.tensor([0.2, 0.7, 0.1])
    rows[0, 1, 0] = torch.tensor([0.5, 0.5, 0.5, math.sqrt(0.5), 0.4])  # exactly there: overlap 1
    rows[0, 1, 1] = torch.tensor([0.5, 0.5, 1.0, 1.0, 0.3])  # as large as the picture
    rows[0, 0, 0, 4], rows[0, 3, 1, 4] = 0.5, -0.2
    found = first.losses(scores, rows, truth([[[80, 0, 112, 64]]], [[1]]))
    assert found["place"] == pytest.approx(0, abs=1e-6) and found["size"] == pytest.approx(0, abs=1e-6)
    assert found["object"] == pytest.approx((0.4 - 1) ** 2, abs=1e-5)
    assert found["nothing"] == pytest.approx(0.5 * (0.3**2 + 0.5**2 + 0.2**2), abs=1e-6)
    assert found["class"] == pytest.approx(0.2**2 + 0.3**2 + 0.1**2, abs=1e-6)


def test_the_responsible_box_learns_place_and_size(first):
    scores, rows = torch.zeros(1, 4, 3), torch.zeros(1, 4, 2, 5)
    scores[0, 1, 1] = 1
    rows[0, 1, 0] = torch.tensor([0.3, 0.9, 0.6, 0.6, 0.5])
    rows[0, 1, 1] = torch.tensor([0.5, 0.5, 0.05, 0.05, 0.0])  # a speck: overlaps less
    found = first.losses(scores, rows, truth([[[80, 0, 112, 64]]], [[1]]))
    assert found["place"] == pytest.approx(5 * (0.2**2 + 0.4**2), abs=1e-5)
    assert found["size"] == pytest.approx(5 * ((0.6 - 0.5) ** 2 + (0.6 - math.sqrt(0.5)) ** 2), abs=1e-5)
    # Its box: middle (1.3, 0.9) / 2, sides 0.36; the object's: middle (0.75, 0.25), sides 0.25 × 0.5, all shares of the picture.
    left, right, top, bottom = 0.65 - 0.18, 0.65 + 0.18, 0.45 - 0.18, 0.45 + 0.18
    shared = (min(right, 0.875) - max(left, 0.625)) * (min(bottom, 0.5) - max(top, 0.0))
    overlap = shared / (0.36**2 + 0.125 - shared)
    assert found["object"] == pytest.approx((0.5 - overlap) ** 2, abs=1e-5) and found["class"] == 0


def test_what_is_ignored_is_neither_learned_nor_denied(first):
    scores, rows = torch.zeros(1, 4, 3), torch.ones(1, 4, 2, 5)
    found = first.losses(scores, rows, truth([[[80, 0, 112, 64]]], [[1]], [[True]]))
    assert found["object"] == found["class"] == found["place"] == 0
    assert found["nothing"] == pytest.approx(0.5 * 6)  # the two of its cell are spared


def test_of_two_in_one_cell_the_larger_is_learned(first):
    scores, rows = torch.zeros(1, 4, 3), torch.zeros(1, 4, 2, 5)
    scores[0, 0, 2] = 1
    both = truth([[[0, 0, 60, 60], [20, 20, 30, 30]]], [[2, 0]])
    assert first.losses(scores, rows, both)["class"] == 0
    turned = {key: value.flip(1) for key, value in both.items()}
    assert first.losses(scores, rows, turned)["class"] == 0, "whatever the order"


def test_the_first_one_decodes_what_it_learns(first):
    """Cells that say the truth are read as the truth."""
    scores, rows = torch.zeros(1, 4, 3), torch.zeros(1, 4, 2, 5)
    scores[0, 1, 1] = 1
    rows[0, 1, 0] = torch.tensor([0.5, 0.5, 0.5, math.sqrt(0.5), 0.9])
    first.dense = lambda pictures: (scores, rows)
    found = first.eval()(torch.zeros(1, 3, 128, 128))
    assert (found["probabilities"][0] > 0.5).sum() == 1 and found["classes"][0, 0] == 1
    torch.testing.assert_close(found["boxes"][0, 0], torch.tensor([80.0, 0, 112, 64]), atol=1e-3, rtol=0)
    assert found["probabilities"][0, 0] == pytest.approx(0.9, abs=1e-4)


# ── the second ──────────────────────────────────────────────────────────────────────────────────────────


def test_anchors_are_found():
    draw = np.random.default_rng(0)
    shapes = np.array([[10, 12], [40, 20], [90, 100]])
    sides = torch.tensor(shapes[draw.integers(0, 3, 300)] * draw.uniform(0.95, 1.05, (300, 2)), dtype=torch.float32)
    torch.testing.assert_close(anchors_of(sides, 3), torch.tensor(shapes, dtype=torch.float32), rtol=0.03, atol=0)
    assert torch.equal(anchors_of(sides, 3), anchors_of(sides.flip(0), 3)), "in whatever order"
    assert anchors_of(torch.zeros(4, 2), 2).shape == (2, 2) and anchors_of(sides[:1], 3).shape == (3, 2)
    assert shape_iou(torch.tensor([[2.0, 2]]), torch.tensor([[4.0, 1]])).item() == pytest.approx(2 / 6)


def test_slots_are_owned_by_the_largest():
    boxes = torch.tensor([[[0, 0, 2, 2], [0, 0, 9, 9], [0, 0, 5, 5], [0, 0, 99, 99]]], dtype=torch.float32)
    valid = torch.tensor([[True, True, True, False]])
    assert owners(boxes, torch.tensor([[1, 1, 3, 1]]), valid, 4).tolist() == [[-1, 1, -1, 2]]
    assert owners(boxes[:, :0], torch.zeros(1, 0, dtype=torch.long), valid[:, :0], 2).tolist() == [[-1, -1]]


def second(**settings):
    torch.manual_seed(0)
    net = build("yolo-v2-small", channels=3, size=64, outputs=2, anchors=2, **settings)
    net.anchors.copy_(torch.tensor([[8.0, 8.0], [32.0, 16.0]]))
    return net


def test_the_second_ones_loss_by_hand():
    """Two by two cells of 32 pixels. One object, 32 × 16, its middle at (48, 8): the upper right cell, half across, a quarter down."""
    net = second()
    _, _, grid = net.dense(torch.zeros(1, 3, 64, 64))
    assert grid.tolist()[3] == [1, 0, 32, 16] and grid.tolist()[4] == [0, 1, 8, 8]
    rows, logits = torch.zeros(1, 8, 5), torch.zeros(1, 8, 2)
    rows[..., 4] = -20.0  # sure of nothing
    rows[0, 3] = torch.tensor([0.0, 0.0, 0.1, 0.0, 0.0])
    rows[0, 6, 4] = 0.0  # another that says ½
    logits[0, 3] = torch.tensor([1.0, 3.0])
    found = net.losses(rows, logits, grid, truth([[[32, 0, 64, 16]]], [[1]]), torch.Size((64, 64)))
    weight = 2 - 32 * 16 / 64**2
    assert found["box"] == pytest.approx(weight * ((0.5 - 0.25) ** 2 + 0.1**2), abs=1e-5)
    width = 32 * math.exp(0.1)  # its box: middle (48, 16), so half of it lies below the object's
    shared = 32 * 8
    overlap = shared / (width * 16 + 32 * 16 - shared)
    assert found["object"] == pytest.approx(5 * (0.5 - overlap) ** 2, abs=1e-4)
    assert found["nothing"] == pytest.approx(0.25, abs=1e-5)
    assert found["class"] == pytest.approx(math.log(1 + math.exp(-2)), abs=1e-5)


def test_a_box_that_overlaps_an_object_is_left_alone():
    net = second()
    _, _, grid = net.dense(torch.zeros(1, 3, 64, 64))
    rows, logits = torch.zeros(1, 8, 5), torch.zeros(1, 8, 2)
    rows[..., 4] = -20.0
    rows[0, 2] = torch.tensor([0.0, -20.0, math.log(4), math.log(2), 0.0])  # the small anchor, blown up: nearly the object
    object_ = truth([[[32, -8, 64, 8]]], [[0]])
    assert net.losses(rows, logits, grid, object_, torch.Size((64, 64)))["nothing"] < 1e-6
    rows[0, 2, 2] = math.log(1)
    assert net.losses(rows, logits, grid, object_, torch.Size((64, 64)))["nothing"] == pytest.approx(0.25, abs=1e-4)


def test_it_takes_the_shapes_of_the_true_boxes():
    net = second()
    net.look_at(truth([[[0, 0, 10, 20], [5, 5, 15, 25]], [[0, 0, 40, 40], [0, 0, 1, 1]]], [[0, 1], [1, -1]]))
    torch.testing.assert_close(net.anchors, torch.tensor([[10.0, 20], [40, 40]]))
    net.look_at(truth([[[0, 0, 1, 1]]], [[-1]]))
    torch.testing.assert_close(net.anchors, torch.tensor([[10.0, 20], [40, 40]]))


def test_finer_maps_are_passed_through_where_they_lie():
    """Four neighbours become channels of one place: nothing is moved."""
    net = second().eval()
    pictures = torch.randn(1, 3, 64, 64)
    other = pictures.clone()
    other[:, :, 48:, 48:] += 1
    seen = []
    net.join.register_forward_pre_hook(lambda module, given: seen.append(given[0][:, :64]))
    with torch.no_grad():
        net.maps(pictures), net.maps(other)
    moved = (seen[0] != seen[1]).any(1)[0]
    assert seen[0].shape == (1, 64, 2, 2) and moved[1, 1]


# ── the tree of words ───────────────────────────────────────────────────────────────────────────────────

# animal(1) → dog(2), cat(3); dog → terrier(4), husky(5); thing(6)
TREE = (0, 1, 1, 2, 2, 0)


def test_probabilities_of_a_tree_by_hand():
    tree = WordTree(TREE, 6)
    logits = torch.tensor([1.0, 0.0, 0.0, 2.0, 0.0, 1.0])
    animal, dog, terrier = 0.5, 0.5, math.exp(2) / (math.exp(2) + 1)
    wanted = [animal, animal * dog, animal * (1 - dog), animal * dog * terrier, animal * dog * (1 - terrier), 0.5]
    torch.testing.assert_close(tree.absolute(logits).exp(), torch.tensor(wanted))
    assert tree.loss(logits[None], torch.tensor([3])).item() == pytest.approx(-math.log(animal * dog * terrier))
    assert tree.loss(logits[None], torch.tensor([1])).item() == pytest.approx(-math.log(animal * dog))


def test_a_label_teaches_only_what_lies_above_it():
    tree, logits = WordTree(TREE, 6), torch.zeros(1, 6, requires_grad=True)
    tree.loss(logits, torch.tensor([1])).sum().backward()
    assert (logits.grad[0] != 0).tolist() == [True, True, True, False, False, True]


def test_the_tree_is_followed_while_it_is_sure():
    tree = WordTree(TREE, 6)
    logits = torch.tensor([4.0, 3.0, 0.0, 0.2, 0.0, 0.0])  # an animal, a dog, a terrier perhaps
    assert tree.chosen(logits, 0.6).nonzero().flatten().tolist() == [1]
    assert tree.chosen(logits, 0.4).nonzero().flatten().tolist() == [3]
    assert tree.chosen(logits, 0.99).nonzero().flatten().tolist() == [0]
    torch.testing.assert_close(tree.chosen(logits, 0.4)[3], tree.absolute(logits).exp()[3])


def test_a_tree_without_branches_is_a_softmax():
    tree, logits = WordTree((), 4), torch.randn(5, 4)
    torch.testing.assert_close(tree.absolute(logits), logits.log_softmax(1))
    classes = torch.tensor([0, 3, 1, 2, 2])
    torch.testing.assert_close(tree.loss(logits, classes), torch.nn.functional.cross_entropy(logits, classes, reduction="none"))
    torch.testing.assert_close(tree.chosen(logits, 0.5).amax(1), logits.softmax(1).amax(1))


def test_a_large_tree_is_quick():
    """As many words as YOLO9000 has, eight below each: probabilities of siblings add up to their parent's."""
    parents = tuple(place // 8 for place in range(9418))
    tree, logits = WordTree(parents, 9418), 3 * torch.randn(2, 9418)
    shares = tree.absolute(logits).exp()
    below = torch.zeros(2, 9419).index_add(1, tree.group, shares)
    torch.testing.assert_close(below[:, 0], torch.ones(2))
    torch.testing.assert_close(below[:, 1:1000], shares[:, :999], rtol=1e-4, atol=1e-7)
    assert ((tree.chosen(logits, 0.5) > 0).sum(1) == 1).all()


@pytest.mark.parametrize("parents", [(1,), (0, 3), (2, 1), (0,), (0, -1)])
def test_what_is_no_tree(parents):
    with pytest.raises(ValueError):
        WordTree(parents, 2)


# ── for every pixel ─────────────────────────────────────────────────────────────────────────────────────


def test_enlargement_begins_bilinear():
    from omma.models.fcn import bilinear

    ramp = torch.arange(6.0).view(1, 1, 1, 6).expand(1, 2, 6, 6)
    with torch.no_grad():
        large = bilinear(2, 2)(ramp)
    assert large.shape == (1, 2, 12, 12)
    wanted = torch.nn.functional.interpolate(ramp, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(large[..., 2:-2, 2:-2], wanted[..., 2:-2, 2:-2])


def test_scores_of_three_levels_lie_on_one_another():
    from omma.models.fcn import Scores

    head = Scores((1, 1, 1), 1)
    for level in range(3):
        torch.nn.init.ones_(head.scores[level].weight)
    fine, middle, coarse = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 4, 4)
    fine[..., 4, 10] = middle[..., 3, 5] = coarse[..., 1, 2] = 1
    told = head(fine, middle, coarse)[0, 0]
    assert told.shape == (128, 128)
    for maps in (fine, middle, coarse):  # the mass of each lies where its place lies
        alone = head(*(one if one is maps else torch.zeros_like(one) for one in (fine, middle, coarse)))[0, 0]
        step = 128 // maps.shape[2]
        row, column = (int(place) for place in maps[0, 0].nonzero()[0])
        y, x = torch.meshgrid(torch.arange(128) + 0.5, torch.arange(128) + 0.5, indexing="ij")
        weight = alone / alone.sum()
        assert (weight * x).sum().item() == pytest.approx((column + 0.5) * step, abs=1.5)
        assert (weight * y).sum().item() == pytest.approx((row + 0.5) * step, abs=1.5)


# ── what they can learn by heart ────────────────────────────────────────────────────────────────────────


def learned(*words):
    """benchmarks/by_heart.py, at a size that a test can afford."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    from by_heart import learned

    return learned(*words)


@pytest.mark.slow
@pytest.mark.skipif(not (MIRROR / "bccd.zip").exists(), reason="needs the mirror: bccd.zip")
@pytest.mark.parametrize(("name", "size", "steps"), [("yolo", 256, 600), ("yolo-v2", 192, 300)])
def test_eight_pictures_are_learned_by_heart(name, size, steps):
    row = learned(f"{name}-small", "detect", str(MIRROR / "bccd.zip"), size, steps)
    assert row["score"] >= 0.9, row


@pytest.mark.slow
@pytest.mark.skipif(not (MIRROR / "camvid.zip").exists(), reason="needs the mirror: camvid.zip")
def test_eight_streets_are_learned_by_heart():
    row = learned("fcn-small", "segment", str(MIRROR / "camvid.zip"), 224, 400)
    assert row["score"] >= 0.9, row


def drawn(count: int = 6, size: int = 64) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
    """Pictures with two plain rectangles each, one bright and one dark; their boxes, and their pixels (0 ground, 1 bright, 2 dark)."""
    draw = np.random.default_rng(0)
    pictures, boxes, masks = torch.zeros(count, 3, size, size), torch.zeros(count, 2, 4), torch.zeros(count, size, size, dtype=torch.long)
    for place in range(count):
        for kind in range(2):
            wide, high = draw.integers(14, 28, 2)
            x, y = draw.integers(0, size // 2 - wide // 2) + kind * size // 2 - (wide // 2 if kind else 0), draw.integers(0, size - high)
            pictures[place, :, y : y + high, x : x + wide] = 1.5 if kind == 0 else -1.5
            boxes[place, kind] = torch.tensor([x, y, x + wide, y + high])
            masks[place, y : y + high, x : x + wide] = kind + 1
    both = {"boxes": boxes, "classes": torch.tensor([[0, 1]]).expand(count, 2), "ignored": torch.zeros(count, 2, dtype=torch.bool)}
    return pictures, both, masks


def learn(net: torch.nn.Module, steps: int, loss) -> torch.nn.Module:
    """So many steps of Adam on `loss(net)`, its rate falling."""
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 2e-3 * (1 - step / steps)
        optimizer.zero_grad()
        loss(net.train()).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimizer.step()
    return net.eval()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings"), [("yolo-small", {"stride": 32, "forget": 0.0, "hidden": 128}), ("yolo-v2-small", {"anchors": 2})]
)
def test_drawn_boxes_are_found_again(name, settings):
    from omma.parts.boxes import iou

    torch.manual_seed(0)
    pictures, both, _ = drawn()
    net = build(name, channels=3, size=64, outputs=2, **settings)
    if hasattr(net, "look_at"):
        net.look_at(both)
    learn(net, 150, lambda net: sum(net(pictures, both).values()))
    with torch.no_grad():
        found = net(pictures)
    best = {0: [], 1: []}
    for place in range(len(pictures)):
        for kind in best:
            mine = found["classes"][place] == kind
            sure = torch.where(mine, found["probabilities"][place], -1)
            best[kind].append(iou(found["boxes"][place, sure.argmax()], both["boxes"][place, kind]).item())
            assert sure.max() > 0.5, (place, kind, sure.max())
    assert min(best[0] + best[1]) > 0.5, best


@pytest.mark.slow
def test_drawn_pixels_are_found_again():
    torch.manual_seed(0)
    pictures, _, masks = drawn()
    net = build("fcn-small", channels=3, size=64, outputs=3, forget=0.0)
    learn(net, 120, lambda net: torch.nn.functional.cross_entropy(net(pictures), masks))
    with torch.no_grad():
        said = net(pictures).argmax(1)
    overlaps = [((said == kind) & (masks == kind)).sum() / ((said == kind) | (masks == kind)).sum() for kind in range(3)]
    assert min(overlaps) > 0.8, overlaps

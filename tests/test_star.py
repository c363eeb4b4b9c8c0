"""The network of star-convex outlines: its losses, its suppression, what it learns, and that it leaves the house."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omma.errors import OmmaError
from omma.models.making import build, settings_of
from omma.models.star import Star, filled, levelled
from omma.parts import rays

SMALL = {"widths": (8, 16, 32), "rays": 16}


def small(outputs: int = 1, size: int = 64, channels: int = 1, **settings) -> Star:
    torch.manual_seed(0)
    net = build("star", channels=channels, size=size, outputs=outputs, **(SMALL | settings))
    assert isinstance(net, Star)
    return net


def discs(count: int, size: int, seed: int, kinds: int = 1) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Pictures of discs, some of which touch; the class is whether they are bright or dark."""
    chance = np.random.default_rng(seed)
    pictures, objects = np.zeros((count, 1, size, size), np.float32), np.zeros((count, size, size), np.int16)
    classes = np.full((count, 12), -1)
    place = np.arange(size) + 0.5
    for one in range(count):
        for number in range(1, 9):
            x, y = chance.uniform(0, size, 2)
            radius, kind = chance.uniform(4, 9), int(chance.integers(kinds))
            disc = (place[None] - x) ** 2 + (place[:, None] - y) ** 2 < radius**2
            if disc.sum() < 20 or (disc & (objects[one] > 0)).any():
                continue
            objects[one][disc], classes[one, number - 1] = number, kind
            pictures[one, 0][disc] = 1.0 - 2 * kind
    pictures += chance.normal(0, 0.05, pictures.shape).astype(np.float32)
    return torch.from_numpy(pictures), {"objects": torch.from_numpy(objects), "classes": torch.from_numpy(classes)}


def checked(found: dict[str, torch.Tensor], batch: int, size: int) -> None:
    """What every detection keeps."""
    boxes, probabilities, corners = found["boxes"], found["probabilities"], found["outlines"]
    count = probabilities.shape[1]
    assert boxes.shape == (batch, count, 4) and found["classes"].shape == (batch, count) and corners.shape == (batch, count, 16, 2)
    assert found["classes"].dtype == torch.int64 and boxes.dtype == probabilities.dtype == torch.float32
    assert (probabilities.diff(dim=1) <= 0).all() and (probabilities >= 0).all() and (probabilities <= 1).all()
    assert ((probabilities == 0) | (probabilities >= 0.001)).all()
    assert torch.isfinite(corners).all() and (boxes >= 0).all() and (boxes <= size).all() and (boxes[..., 2:] >= boxes[..., :2]).all()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("outputs", [1, 3])
def test_it_keeps_its_promises(stride, outputs):
    net = small(outputs, stride=stride)
    assert net.gives == "objects"
    assert set(SMALL) | {"stride", "most", "overlap", "norm", "level", "turn"} == settings_of("star").keys()
    pictures, truth = discs(3, 64, 0, outputs)
    losses = net(pictures, truth)
    assert set(losses) == {"object", "distance"} and all(torch.isfinite(one) and one.dim() == 0 for one in losses.values())
    sum(losses.values()).backward()
    assert not [key for key, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0], "a gradient reaches every weight"
    staged = {id(p) for part in [*net.stages(), net.head] for p in part.parameters()}
    assert all(id(p) in staged for p in net.parameters())
    assert net.head.out_channels == outputs and net.head in net.dead_ends()
    net.eval()
    with torch.no_grad():
        found, alone, maps = net(pictures), net(pictures[1:2]), net.maps(pictures)
    checked(found, 3, 64)
    assert maps.shape[2:] == (64 // stride, 64 // stride) and net.pool(maps).dim() == 2
    torch.testing.assert_close(alone["probabilities"][0], found["probabilities"][1], rtol=1e-3, atol=1e-3)
    # Rows of an untrained network are nearly equal in probability and may change places.
    apart = (alone["boxes"][0][:, None] - found["boxes"][1]).abs().amax(2).amin(1)
    assert (apart < 1e-2).float().mean() > 0.95, "boxes depend on neighbours"


@pytest.mark.parametrize("size", [33, 50])
def test_any_size_of_frame(size):
    net = small(size=size)
    pictures, truth = discs(2, size, 1)
    assert all(torch.isfinite(loss) for loss in net(pictures, truth).values())
    with torch.no_grad():
        checked(net.eval()(pictures), 2, size)


def test_empty_unknown_and_padded_truths_are_finite():
    net = small()
    pictures, truth = discs(2, 64, 2)
    nothing = {"objects": torch.zeros(2, 64, 64, dtype=torch.int16), "classes": torch.full((2, 4), -1)}
    unknown = {"objects": torch.full((2, 64, 64), -1, dtype=torch.int16), "classes": torch.full((2, 0), -1)}
    full = {"objects": torch.ones(2, 64, 64, dtype=torch.int16), "classes": torch.zeros(2, 1, dtype=torch.long)}
    for case in (nothing, unknown, full, truth | {"classes": torch.full_like(truth["classes"], -1)}):
        net.zero_grad()
        losses = net(pictures, case)
        assert all(torch.isfinite(loss) for loss in losses.values())
        sum(losses.values()).backward()
        assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    assert net(pictures, unknown)["object"] == 0, "pictures that change from pixel to pixel are no filling"
    assert net(pictures, nothing)["distance"] == 0
    assert torch.isfinite(net(torch.zeros(2, 1, 64, 64), truth)["object"]), "a picture of one colour"


def test_what_is_not_known_teaches_nothing():
    net = small().eval()
    pictures, truth = discs(1, 64, 3)
    maps = net.maps(pictures)
    logits, borders = net.head(maps), net.border(maps)
    masked = truth["objects"].clone()
    masked[:, :, 32:] = -1
    moved = logits.clone()
    moved[..., 16:] += 3
    before, after = (net._losses(one, borders, truth | {"objects": masked}) for one in (logits, moved))
    assert torch.equal(before["object"], after["object"])


def test_the_filling_around_a_picture_holds_no_objects():
    net = small(stride=1)
    pictures, truth = discs(1, 64, 3)
    pictures[..., 40:], truth["objects"][..., 40:] = 0.3, -1
    assert filled(pictures)[..., 40:].all() and not filled(pictures)[..., :40].any()
    plain = levelled(pictures)[..., :40]
    pictures[..., 40:] = -7.0
    assert torch.equal(levelled(pictures)[..., :40], plain), "what fills a frame changes nothing in the picture"
    pictures[..., 40:] = 0.3
    logits = torch.zeros(1, 1, 64, 64, requires_grad=True)
    net._losses(logits, torch.zeros(1, 16, 64, 64), truth, filled(pictures)[:, 0])["object"].backward()
    assert (logits.grad[..., 40:] > 0).all(), "learned to be background"


def test_dark_objects_on_bright_ground_are_seen_as_bright_ones_on_dark_ground():
    pictures, _ = discs(2, 64, 3)
    one, other = levelled(pictures, True), levelled(-pictures, True)
    torch.testing.assert_close(one, other)
    assert (one.amax((1, 2, 3)) > -one.amin((1, 2, 3))).all(), "what is rare is bright"
    torch.manual_seed(0)
    net = small(turn=True).eval()
    torch.testing.assert_close(net(pictures)["probabilities"], net(-pictures)["probabilities"])


def borders(net: Star, reach: torch.Tensor) -> torch.Tensor:
    """What the network has to say for these distances."""
    return 5 * torch.atanh((reach / net.unit).log() / 5)


def test_a_ray_that_leaves_the_picture_may_be_longer_but_not_shorter():
    net = small(stride=1)
    truth = {"objects": torch.ones(1, 64, 64, dtype=torch.int16), "classes": torch.zeros(1, 1, dtype=torch.long)}
    logits = torch.zeros(1, 1, 64, 64)
    assert net._losses(logits, borders(net, torch.full((1, 16, 64, 64), 90.0)), truth)["distance"] == 0
    assert net._losses(logits, borders(net, torch.full((1, 16, 64, 64), 0.5)), truth)["distance"] > 0.5


def perfect(net: Star, objects: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs as a network would have them that has learned this truth by heart."""
    star = rays.measure(objects, net.rays, net.stride)
    grid = objects[:, :: net.stride, :: net.stride]
    logits = torch.full((grid.numel(), 1), -9.0)
    logits[star.place, 0] = torch.logit(star.depth.clamp(0.01, 0.99))
    reach = torch.ones(grid.numel(), net.rays)
    reach[star.place] = star.reach
    shape = (*grid.shape, -1)
    return logits.view(shape).permute(0, 3, 1, 2), borders(net, reach.view(shape).permute(0, 3, 1, 2))


@pytest.mark.parametrize("stride", [1, 2])
def test_each_object_is_found_once_also_where_they_touch(stride):
    objects = torch.zeros(1, 128, 128, dtype=torch.int16)
    number = 0
    for row in range(0, 128, 16):
        for column in range(0, 128, 16):  # a full board of squares that touch
            number += 1
            objects[0, row : row + 16, column : column + 16] = number
    objects[0, 64:, 64:] = 99  # one large square instead of the last quarter
    net = small(size=128, stride=stride)
    found = net._found(*perfect(net, objects), 128)
    sure = found["probabilities"][0] > 0.5
    masks = rays.paste(found["outlines"][0][sure], torch.ones(128), torch.ones(128))
    assert len(masks) == 49
    for value in objects.unique().tolist():
        true = objects[0] == value
        overlap = ((masks & true).sum((1, 2)) / (masks | true).sum((1, 2))).max()
        assert overlap > 0.8, f"object {value} is found with {overlap:.2f}"


@pytest.mark.parametrize("wrong", [{"rays": 7}, {"stride": 3}, {"norm": "layer"}, {"widths": (8,)}, {"widths": (8, 0)}, {"size": 16}])
def test_settings_that_make_no_network(wrong):
    size = wrong.pop("size", 64)
    with pytest.raises(OmmaError):
        build("star", channels=1, size=size, outputs=1, **wrong)


def test_more_objects_than_rows_leave_the_most_probable():
    net = small(most=5)
    with torch.no_grad():
        found = net.eval()(torch.randn(2, 1, 64, 64))
    checked(found, 2, 64)
    assert found["probabilities"].shape == (2, 5)
    few = small(most=10_000, size=32)
    with torch.no_grad():
        assert few.eval()(torch.randn(1, 1, 32, 32))["probabilities"].shape == (1, 256)


def hits(net: Star, pictures: torch.Tensor, truth: dict[str, torch.Tensor]) -> tuple[int, int, int]:
    """Found with IoU above 0.5 and the right class, told, true."""
    with torch.no_grad():
        found = net.eval()(pictures)
    right = told = true = 0
    for one in range(len(pictures)):
        sure = found["probabilities"][one] > 0.4
        masks, kinds = rays.paste(found["outlines"][one][sure], torch.ones(64), torch.ones(64)), found["classes"][one][sure]
        told += len(masks)
        for value in truth["objects"][one].unique().tolist():
            if value < 1:
                continue
            true += 1
            mask = truth["objects"][one] == value
            overlap = (masks & mask).sum((1, 2)) / (masks | mask).sum((1, 2)).clamp_min(1)
            right += int(((overlap > 0.5) & (kinds == truth["classes"][one, value - 1])).any())
    return right, told, true


def trained(outputs: int, steps: int) -> Star:
    net = small(outputs)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / steps)
        losses = net(*discs(8, 64, 100 + step, outputs))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    return net


def test_it_learns_discs_of_two_classes():
    net = trained(2, 150)
    right, told, true = hits(net, *discs(8, 64, 7, 2))
    assert right / (told + true - right) > 0.6, f"{right} of {true} right, {told} told"


def test_the_same_seed_gives_the_same_weights():
    one, other = trained(1, 3), trained(1, 3)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.slow  # the grid exports one too
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_it_leaves_the_house(tmp_path, runtime):
    library = pytest.importorskip(runtime)
    pytest.importorskip("onnxscript")
    from omma.runtimes._graphs import write_onnx

    net = small(2, most=40).eval()
    with torch.no_grad():  # so that there is something to suppress
        net.head.weight.mul_(300)
        net.border.weight.mul_(60)
    pictures, _ = discs(3, 64, 8, 2)
    outputs = ["boxes", "probabilities", "classes", "outlines"]
    path = write_onnx(net, torch.randn(5, 1, 64, 64), tmp_path / "star.onnx", source="pictures", outputs=outputs, dynamic={0: "N"})
    if runtime == "onnxruntime":
        session = library.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        told = dict(zip(outputs, session.run(outputs, {"pictures": pictures.numpy()}), strict=True))
    else:
        model = library.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        told = {port.any_name: value for port, value in model(pictures.numpy()).items()}
    with torch.no_grad():
        plain = net(pictures)
    assert (plain["probabilities"] > 0).sum() > 10
    for key, value in plain.items():
        near = np.isclose(told[key], value.numpy(), rtol=1e-3, atol=1e-3).reshape(3, 40, -1).all(2)
        assert near[plain["probabilities"].numpy() > 0].mean() > 0.95, key

"""Classifiers of the literature, written to be read: as large as published, their formulas, their gradients, what sizes they take."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional as F

from omma.errors import OmmaError
from omma.models.making import build
from omma.testing import check_model
from test_models import holds

# name, settings, channels, size, outputs → parameters: the paper's own configuration.
PUBLISHED = [
    ("lenet", {}, 1, 32, 10, 60_000),
    ("nin", {}, 3, 32, 10, 966_986),
    ("resnet110", {}, 3, 32, 10, 1_727_962),
    ("densenet-bc-100", {}, 3, 32, 10, 769_162),
    ("densenet-bc-250", {}, 3, 32, 10, 15_324_406),
    ("densenet-bc-190", {}, 3, 32, 10, 25_624_430),
    ("shufflenet-v2", {"times": 0.5}, 3, 224, 1000, 1_366_792),
    ("shufflenet-v2", {}, 3, 224, 1000, 2_278_604),
    ("vit-lite", {}, 3, 32, 10, 3_716_618),
    ("cct", {}, 3, 32, 10, 3_760_139),
    ("rcnn", {}, 3, 32, 10, 672_202),
    ("rcnn", {"width": 128}, 3, 32, 10, 1_191_178),
    ("rcnn", {"width": 160}, 3, 32, 10, 1_857_610),
    ("c3d", {"frames": 16}, 48, 112, 101, 78_409_573),
]
SMALLEST = [("lenet", 32), ("nin", 16), ("se-resnet20", 16), ("shufflenet-v2", 32), ("vit-lite", 16), ("rcnn", 16), ("stn", 28)]
MORE = [
    ("densenet-bc-100", 16, {}), ("shufflenet-v1", 32, {}), ("shufflenet-v1", 32, {"groups": 8}), ("cct", 15, {}), ("c3d-small", 32, {}),
    ("convlstm", 24, {"widths": (16, 8)}), ("lenet", 70, {}), ("lenet", 20, {"head": "linear"}), ("nin", 37, {}),
    ("rcnn", 33, {"steps": 0}), ("shufflenet-v2", 50, {"times": 0.5}), ("stn", 40, {"turn": False}),
    ("densenet-bc-100", 19, {"depth": 10, "growth": 4}),
    ("se-resnet56", 16, {"reduction": 4}), ("c3d-small", 45, {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "channels", "size", "outputs", "weights"), PUBLISHED)
def test_as_large_as_published(name, settings, channels, size, outputs, weights):
    with torch.device("meta"):
        net = build(name, channels=channels, size=size, outputs=outputs, **settings)
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == weights


@pytest.mark.parametrize(("name", "size"), SMALLEST)
def test_promises(name, size):
    holds(name, size)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "settings"), MORE)
@pytest.mark.parametrize("channels", [1, 4])
def test_promises_at_other_sizes_and_channels(name, size, settings, channels):
    check_model(name, size=size, channels=channels, **settings)


@pytest.mark.parametrize(
    ("name", "size", "settings", "line"),
    [
        ("lenet", 7, {}, "at least 8"), ("lenet", 32, {"head": "softmax"}, "softmax"), ("nin", 7, {}, "at least 8"),
        ("nin", 32, {"forget": 1.0}, "forget"), ("densenet-bc-100", 32, {"depth": 41}, "depth"),
        ("shufflenet-v1", 32, {"groups": 5}, "groups"), ("shufflenet-v2", 32, {"times": 3.0}, "times"),
        ("vit-lite", 30, {}, "size"), ("rcnn", 32, {"width": 0}, "width"),
        ("convlstm", 32, {"frames": 2}, "frames"), ("convlstm", 32, {"rows": 6}, "rows"), ("stn", 20, {}, "at least 24"),
        ("c3d", 32, {"frames": 2}, "frames"), ("c3d", 20, {}, "at least 32"), ("se-resnet20", 32, {"reduction": 0}, "reduction"),
    ],
)  # fmt: skip
def test_what_makes_no_network_is_refused_in_one_line(name, size, settings, line):
    with pytest.raises(OmmaError, match=line) as error:
        build(name, channels=3, size=size, outputs=2, **settings)
    assert "\n" not in str(error.value)


# ── LeNet-5 ─────────────────────────────────────────────────────────────────────────────────────────────


def test_codes_are_a_gaussian_around_each_class():
    head = build("lenet", channels=1, size=32, outputs=7).head
    features = torch.randn(5, 84)
    wanted = -(features[:, None] - head.codes).square().sum(2) / 2
    torch.testing.assert_close(head(features), wanted)
    assert set(head.codes.unique().tolist()) == {-1, 1} and not list(head.parameters())
    assert torch.equal(head.codes, build("lenet", channels=3, size=32, outputs=7).head.codes), "the same codes every time"


def test_layers_have_the_weights_of_the_paper():
    net = build("lenet", channels=1, size=32, outputs=10)
    counts = {name: sum(p.numel() for p in child.parameters()) for name, child in net.named_children()}
    wanted = {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48_120, "f6": 10_164, "head": 0}
    assert {key: counts[key] for key in wanted} == wanted


# ── ShuffleNet ──────────────────────────────────────────────────────────────────────────────────────────


def test_shuffling_deals_channels_out():
    from omma.models.shufflenet import shuffle

    maps = torch.arange(6.0).view(1, 6, 1, 1)
    assert shuffle(maps, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert shuffle(maps, 3).flatten().tolist() == [0, 2, 4, 1, 3, 5]


@pytest.mark.parametrize(("groups", "millions"), [(1, 143), (2, 140), (3, 137), (4, 133), (8, 137)])
def test_shufflenet_v1_multiplies_as_often_as_published(groups, millions):
    """Table 1 of the paper, 1×; its figures leave out the classifier behind the mean."""
    from omma.models.cost import cost

    with torch.device("meta"):
        net = build("shufflenet-v1", channels=3, size=224, outputs=1000, groups=groups)
    body = cost(net, 3, 224)["macs"] - net.head.weight.numel()
    assert abs(body / 1e6 - millions) < 1.0


# ── recurrent convolution ───────────────────────────────────────────────────────────────────────────────


def test_a_recurrent_layer_is_its_equation():
    from omma.models.rcnn import Recurrent

    torch.manual_seed(0)
    layer, maps = Recurrent(8, 2), torch.randn(2, 8, 5, 5)

    def response(x: torch.Tensor) -> torch.Tensor:
        near = F.pad(x.square(), (0, 0, 0, 0, 1, 0))  # N = K / 8 + 1 = 2 maps: the one before and itself
        return x / (1 + 0.001 / 2 * (near[:, :-1] + near[:, 1:])) ** 0.75

    u = layer.forth(maps)
    state = response(u.relu())
    for _ in range(2):
        state = response((u + F.conv2d(state, layer.again.weight, padding=1)).relu())
    torch.testing.assert_close(layer(maps), state)


@pytest.mark.parametrize("width", [8, 20, 96])
def test_response_norm_is_pytorchs(width):
    from omma.models.rcnn import ResponseNorm

    maps = (30 * torch.randn(2, width, 4, 3, generator=torch.Generator().manual_seed(width))).requires_grad_()
    ours, theirs = ResponseNorm(width), torch.nn.LocalResponseNorm(width // 8 + 1, alpha=0.001, beta=0.75, k=1.0)
    torch.testing.assert_close(ours(maps), theirs(maps))
    (one,), (other,) = (torch.autograd.grad(norm(maps).square().sum(), maps) for norm in (ours, theirs))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_context_grows_with_the_steps():
    from omma.models.rcnn import Recurrent

    for steps in (0, 1, 3):
        layer, maps = Recurrent(4, steps), torch.randn(1, 4, 21, 21, requires_grad=True)
        torch.nn.init.constant_(layer.forth.weight, 0.1)
        if steps:
            torch.nn.init.constant_(layer.again.weight, 0.1)
        layer(maps.abs())[0, :, 10, 10].sum().backward()
        assert int((maps.grad.abs().sum((0, 1))[10] > 0).sum()) == 3 + 2 * steps


def test_gradients_through_time_are_the_true_ones():
    from omma.models.rcnn import Recurrent

    torch.manual_seed(0)
    layer = Recurrent(4, 3).double()
    maps = torch.randn(1, 4, 4, 4, dtype=torch.float64, requires_grad=True)
    forth, again, bias = layer.forth.weight, layer.again.weight, layer.forth.bias

    def whole(maps, forth, again, bias):
        given = {"forth.weight": forth, "again.weight": again, "forth.bias": bias}
        return torch.func.functional_call(layer, given, maps)

    assert gradcheck(whole, (maps, forth, again, bias), atol=1e-6)


# ── convolutional LSTM ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("widths", "weights"), [((256,), 13_524_496), ((128, 128), 10_042_896), ((128, 64, 64), 7_585_296)]
)  # table 1 of Shi et al.
def test_the_forecaster_is_as_large_as_published(widths, weights):
    from omma.parts.classics.convlstm import Forecaster

    with torch.device("meta"):
        assert sum(p.numel() for p in Forecaster(16, widths).parameters()) == weights


def test_a_cell_is_its_equations():
    from omma.parts.classics.convlstm import Cell

    torch.manual_seed(0)
    cell, given = Cell(3, 2, 3), torch.randn(2, 3, 4, 4)
    torch.nn.init.normal_(cell.peek)
    hidden, memory = torch.randn(2, 2, 4, 4), torch.randn(2, 2, 4, 4)
    i, f, c, o = F.conv2d(torch.cat([given, hidden], 1), cell.gates.weight, cell.gates.bias, padding=1).split(2, 1)
    ci, cf, co = cell.peek
    i, f = torch.sigmoid(i + ci * memory), torch.sigmoid(f + cf * memory)
    new = f * memory + i * torch.tanh(c)
    wanted = torch.sigmoid(o + co * new) * torch.tanh(new), new
    torch.testing.assert_close(cell(given, (hidden, memory)), wanted)


def test_gradients_through_the_memory_are_the_true_ones():
    from omma.parts.classics.convlstm import Encoder

    torch.manual_seed(0)
    encoder = Encoder(1, (2, 1), 3).double()
    for cell in encoder.cells:
        torch.nn.init.normal_(cell.peek)
    named = dict(encoder.named_parameters())
    clip = torch.randn(1, 3, 1, 3, 3, dtype=torch.float64, requires_grad=True)

    def last(clip, *weights):
        return torch.func.functional_call(encoder, dict(zip(named, weights, strict=True)), clip)[-1][0]

    assert gradcheck(last, (clip, *named.values()), atol=1e-6)


def test_clips_and_bands():
    net = build("convlstm", channels=6, size=16, outputs=3, frames=3, widths=(4,)).eval()
    clip = torch.randn(2, 6, 16, 16)
    moments = net.moments(clip)
    assert moments.shape == (2, 3, 2, 16, 16) and torch.equal(moments[:, 1], clip[:, 2:4])
    assert not torch.allclose(net(clip), net(clip.unflatten(1, (3, 2)).flip(1).flatten(1, 2))), "time has a direction"
    still = build("convlstm", channels=2, size=22, outputs=3, widths=(4,))
    bands = still.moments(picture := torch.randn(2, 2, 22, 22))
    assert bands.shape == (2, 3, 2, 8, 24) and torch.equal(bands[:, 1, :, :, :22], picture[:, :, 8:16])


# ── spatial transformer ─────────────────────────────────────────────────────────────────────────────────


def test_the_transformer_begins_as_the_identity_and_then_turns():
    from omma.models.stn import Transformer

    turn, pictures = Transformer(2, 24), torch.randn(2, 2, 24, 24)
    torch.testing.assert_close(turn(pictures), pictures, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        turn.affine.bias.copy_(torch.tensor([0.0, -1, 0, 1, 0, 0]))
    torch.testing.assert_close(turn(pictures), pictures.rot90(1, (2, 3)), rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        turn.affine.bias.copy_(torch.tensor([1.0, 0, 2 * 3 / 24, 0, 1, 0]))
    torch.testing.assert_close(turn(pictures)[..., :-3], pictures[..., 3:], rtol=1e-4, atol=1e-4)
    assert turn(pictures)[..., -3:].abs().max() < 1e-4


def test_the_grid_is_torchs_own():
    from omma.models.stn import Transformer

    torch.manual_seed(0)
    turn, pictures = Transformer(1, 26), torch.randn(3, 1, 26, 26)
    torch.nn.init.normal_(turn.affine.weight)
    grid = F.affine_grid(turn.matrix(pictures), [3, 1, 26, 26], align_corners=False)
    torch.testing.assert_close(turn(pictures), F.grid_sample(pictures, grid, align_corners=False), rtol=1e-4, atol=1e-4)


# ── 3-D convolution ─────────────────────────────────────────────────────────────────────────────────────


def test_a_clip_is_convolved_in_time():
    torch.manual_seed(0)
    net = build("c3d-small", channels=16, size=32, outputs=3, frames=16).eval()
    clip = torch.randn(2, 16, 32, 32)
    assert net.maps(clip).shape == (2, 64, 2, 2), "sixteen moments become one"
    with torch.no_grad():
        assert not torch.allclose(net(clip), net(clip.flip(1))), "time has a direction"
    first = net.groups[0][0]
    wanted = sum(F.conv2d(clip[:, t + 4 : t + 5], first.weight[:, :, t], padding=1) for t in range(3)) + first.bias[:, None, None]
    torch.testing.assert_close(first(clip.unflatten(1, (16, 1)).transpose(1, 2))[:, :, 5], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [3, 8, 12])
def test_clips_of_torchvision(channels):
    """Eight grey frames, four in colour, or a single picture: the same numbers as the library's own network."""
    check_model("torchvision/r3d_18", size=32, channels=channels)
    from omma.models._torchvision_clips import TorchvisionClip, whole

    torch.manual_seed(0)
    theirs, clip = whole("torchvision/r3d_18", channels).eval(), torch.randn(2, channels, 32, 32)
    frames = clip.unflatten(1, (channels if channels == 8 else channels // 3, -1)).transpose(1, 2)
    net = TorchvisionClip("torchvision/r3d_18", channels, 32, 4, theirs).eval()
    theirs.fc = torch.nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(net.features(clip), theirs(frames), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [("quick", "muon"), ("lenet", "muon"), ("vit-lite", "adamw"), ("cct", "adamw"), ("nin", "nesterov"), ("torchvision/resnet18", "adamw")],
)
def test_each_is_planned_with_the_optimizer_it_learns_with(name, optimizer):
    from omma.data.fingerprint import Fingerprint, Spread
    from omma.recipe import Recipe
    from omma.tasks.classify import Classify

    side = Spread(32, 32, 32)
    many = Fingerprint(6000, {"train": 6000}, side, side, 3, [0.5] * 3, [0.25] * 3, {}, {}, "", 1)
    assert Classify(["a", "b"]).plan(many, Recipe(model=name)).optimizer == optimizer
    assert Classify(["a", "b"]).plan(many, Recipe(model=name, optimizer="sgd", origin={"optimizer": "you"})).optimizer == "sgd"

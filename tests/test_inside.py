"""What is computed of the inside of a network, against networks whose numbers are known another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from omma.inside import classical
from omma.inside.field import WHOLE
from omma.inside.recurrent import states
from omma.inside.slopes import health, slopes
from omma.inside.sums import account, sums_of
from omma.inside.trace import PICTURE, trace


class Lenet(nn.Module):
    """Convolution, pool, convolution, product: the classical chain, its last steps written as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.pool, self.two = nn.Conv2d(3, 6, 5, padding=2), nn.MaxPool2d(2), nn.Conv2d(6, 20, 3)
        self.out = nn.Linear(20 * 6 * 6, 4)

    def forward(self, x):
        x = F.relu(self.one(x))
        x = torch.relu(self.two(self.pool(x)))
        return self.out(x.flatten(1))


class Residual(nn.Module):
    """In-place sums and functions, groups, dilation, strides: what overwrites what came before."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depth = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8)
        self.norm, self.act = nn.BatchNorm2d(8), nn.ReLU(inplace=True)

    def forward(self, x):
        start = self.start(x)
        found = self.norm(self.depth(start))
        found += start
        return self.act(found)


class Fork(nn.Module):
    """Down and up again, with a bridge: a small U."""

    def __init__(self, mode: str = "nearest") -> None:
        super().__init__()
        self.inside, self.down, self.under = nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(4, 4, 2, stride=2) if mode == "deconv" else nn.Upsample(scale_factor=2, mode=mode)
        self.out = nn.Conv2d(8, 2, 3, padding=1)

    def forward(self, x):
        side = self.inside(x)
        return self.out(torch.cat([side, self.up(self.under(self.down(side)))], 1))


class Attends(nn.Module):
    """Patches, a class token, one block of torch's own."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.token = nn.Conv2d(3, 8, 4, stride=4), nn.Parameter(torch.zeros(1, 1, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        rows = self.patches(x).flatten(2).transpose(1, 2)
        rows = torch.cat([self.token.expand(len(rows), -1, -1), rows], 1)
        return self.out(self.block(rows)[:, 0])


class Reads(nn.Module):
    """Rows of a picture, one after the other, by a recurrent layer."""

    def __init__(self, kind=nn.LSTM, first: bool = True) -> None:
        super().__init__()
        self.first, self.rows, self.out = first, kind(8, 5, batch_first=first), nn.Linear(5, 2)

    def forward(self, x):
        rows = x[:, 0]
        found, _ = self.rows(rows if self.first else rows.transpose(0, 1))
        return self.out(found[:, -1] if self.first else found[-1])


def watch(net: nn.Module, *shape: int, seed: int = 0):
    """(trace, picture) of a network in evaluation mode on numbers of chance."""
    torch.manual_seed(seed)
    net.eval()
    for module in net.modules():  # a fresh norm does nothing
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    picture = torch.randn(1, *shape, requires_grad=True)
    return trace(lambda: net(picture), {"net": net}, picture), picture


def found(seen, key: str):
    return next(step for step in seen.steps if step.key == key)


# ── what is seen ────────────────────────────────────────────────────────────────────────────────────────


def test_every_layer_is_seen_with_what_it_gave():
    torch.manual_seed(0)
    net = Lenet()
    seen, picture = watch(net, 3, 16, 16)
    assert [step.key for step in seen.steps] == ["one", "relu", "pool", "two", "relu (2)", "out"]
    assert [[given.place for given in step.given] for step in seen.steps] == [[PICTURE], [0], [1], [2], [3], [4]]
    one = net.one(picture)
    two = net.two(net.pool(F.relu(one)))
    for key, value in (("one", one), ("relu", F.relu(one)), ("two", two), ("out", net.out(torch.relu(two).flatten(1)))):
        assert torch.equal(found(seen, key).value, value), key
    assert torch.equal(seen.answer, net(picture))
    assert found(seen, "one").macs == 6 * 16 * 16 * 75 and found(seen, "two").macs == 20 * 36 * 54 and found(seen, "out").macs == 4 * 720
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_what_is_changed_in_place_is_shown_as_it_was():
    torch.manual_seed(0)
    net = Residual()
    seen, picture = watch(net, 3, 16, 16)
    start = net.start(picture)
    norm = net.norm(net.depth(start))
    assert torch.equal(found(seen, "norm").value, norm) and torch.equal(found(seen, "add").value, norm + start)
    assert torch.equal(found(seen, "act").value, (norm + start).relu())
    assert [given.place for given in found(seen, "add").given] == [2, 0]
    # and so are the gradients: that of the norm is not that of the sum behind it
    seen.answer.sum().backward()
    on = (norm + start > 0).float()
    assert torch.equal(seen.slopes[3], on) and torch.equal(seen.slopes[2], on) and torch.equal(seen.slopes[4], torch.ones_like(on))


def test_operations_that_are_no_layers_are_counted():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Conv2d(1, 2, 1)

        def forward(self, x):
            return torch.linalg.svdvals(self.one(x)).cumsum(-1)

    seen, _ = watch(Odd(), 1, 4, 4)
    assert seen.unseen == {"linalg_svdvals": 1} | ({"cumsum": 1} if "cumsum" in seen.unseen else {})


def test_a_visitor_sees_the_same_and_nothing_is_kept():
    torch.manual_seed(0)
    net = Residual()
    seen, picture = watch(net, 3, 16, 16)
    visited = []
    with torch.no_grad():
        light = trace(lambda: net(picture), {"net": net}, picture, visit=lambda step: visited.append((step.key, step.maps.mean().item())))
    assert not light.steps
    assert [key for key, _ in visited] == [step.key for step in seen.steps]
    assert visited[0][1] == pytest.approx(seen.steps[0].maps.mean().item())


# ── what a unit sees ────────────────────────────────────────────────────────────────────────────────────


def measured(net: nn.Module, shape: tuple[int, ...], key: str, y: int, x: int) -> tuple[int, int, int, int]:
    """Corners of the pixels that move a unit, both ends included, when every weight is positive."""
    for name, weight in net.named_parameters():
        weight.data.fill_(0.0 if "bias" in name else 1.0)
    total = torch.zeros(shape[1:])
    # A pool passes only its largest on: over several pictures each pixel is it once.
    for seed in range(24):
        picture = torch.rand(1, *shape, generator=torch.Generator().manual_seed(seed), requires_grad=True)
        kept = {}

        def keep(module, given, out, kept=kept):
            kept["out"] = out

        hook = dict(net.named_modules())[key].register_forward_hook(keep)
        net(picture)
        hook.remove()
        (slope,) = torch.autograd.grad(kept["out"][0, :, y, x].sum(), picture)
        total += slope.abs().sum((0, 1))
    rows, columns = total.sum(1).nonzero().flatten().tolist(), total.sum(0).nonzero().flatten().tolist()
    return rows[0], columns[0], rows[-1], columns[-1]


@pytest.mark.parametrize(
    ("make", "shape", "key"),
    [
        (Lenet, (3, 16, 16), "two"),
        (Residual, (3, 24, 24), "depth"),
        (Fork, (1, 16, 16), "out"),
        (lambda: Fork("deconv"), (1, 16, 16), "out"),
    ],
)
def test_the_field_of_a_unit_is_what_moves_it(make, shape, key):
    net = make().eval()
    seen, _ = watch(net, *shape)
    step = found(seen, key)
    assert step.field is not None and not step.field.whole
    height, width = shape[1:]
    for y, x in ((0, 0), (3, 2), (step.maps.shape[1] - 1, step.maps.shape[2] // 2)):
        top, left, bottom, right = step.field.box(y, x)
        inside = (max(0, top), max(0, left), min(height - 1, bottom), min(width - 1, right))
        real = measured(net, shape, key, y, x)
        if make is Fork or key == "out":  # beyond a nearest neighbour a unit sees up to one step less to a side
            assert inside[0] <= real[0] and inside[1] <= real[1] and inside[2] >= real[2] and inside[3] >= real[3]
            assert (real[2] - real[0]) >= (inside[2] - inside[0]) - 2
        else:
            assert inside == real


def test_a_field_through_a_linear_interpolation_holds_all_that_moves_a_unit():
    net = Fork("bilinear").eval()
    seen, _ = watch(net, 1, 16, 16)
    field = found(seen, "out").field
    for y, x in ((0, 0), (5, 8), (15, 15)):
        top, left, bottom, right = field.box(y, x)
        real = measured(net, (1, 16, 16), "out", y, x)
        assert top <= real[0] and left <= real[1] and bottom >= real[2] and right >= real[3]


def test_behind_attention_a_product_or_a_recurrence_everything_is_seen():
    assert found(watch(Lenet(), 3, 16, 16)[0], "out").field == WHOLE
    seen, _ = watch(Attends(), 3, 16, 16)
    assert found(seen, "patches").field.box(1, 2) == (4, 8, 7, 11)
    assert seen.steps[-1].field == WHOLE
    assert watch(Reads(), 1, 8, 8)[0].steps[0].field == WHOLE


# ── sums ────────────────────────────────────────────────────────────────────────────────────────────────


class Sums(nn.Module):
    """One weighted layer alone."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x if isinstance(self.layer, nn.Conv2d | nn.ConvTranspose2d) else x.flatten(1))


LAYERS = [
    (nn.Conv2d(20, 12, 3, stride=2, padding=1), (20, 9, 8)),
    (nn.Conv2d(20, 40, (3, 1), padding=(2, 0), dilation=2, groups=4, bias=False), (20, 9, 8)),
    (nn.Conv2d(6, 12, 3, padding="same", groups=6), (6, 7, 7)),
    (nn.ConvTranspose2d(20, 10, 3, stride=2, padding=1, output_padding=1), (20, 5, 4)),
    (nn.ConvTranspose2d(12, 12, 4, stride=2, groups=3), (12, 5, 4)),
    (nn.Linear(60, 12), (60, 1, 1)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=[type(one).__name__ + str(i) for i, (one, _) in enumerate(LAYERS)])
def test_a_number_is_the_sum_that_is_told(layer, shape):
    """Every term is the product of two real numbers, and the rest is just what the other inputs give."""
    seen, picture = watch(Sums(layer), *shape)
    step = seen.steps[-1]
    told, whole = sums_of(seen, step), sums_of(seen, step, None, None)
    draw = np.random.default_rng(0)
    with torch.no_grad():
        for row, out in enumerate(told.outs):
            y, x = (int(draw.integers(length)) for length in step.maps.shape[1:])
            few, all_ = account(seen, step, told, out, y, x), account(seen, step, whole, out, y, x)
            assert few.total == float(step.maps[out, y, x])
            assert abs(all_.rest) < 1e-5
            kept = torch.zeros_like(picture)
            kept[:, told.ins[row]] = picture[:, told.ins[row]]
            own = layer(kept if picture[0].dim() == 3 and not isinstance(layer, nn.Linear) else kept.flatten(1))
            bias = 0.0 if layer.bias is None else float(layer.bias[out])
            alone = float(own.reshape(step.value.shape).flatten(2)[0, out, y * step.maps.shape[2] + x] if own.dim() == 4 else own[0, out])
            assert sum(term.product for term in few.terms) == pytest.approx(alone - bias, abs=1e-5)
            assert few.bias == bias and few.rest == pytest.approx(few.total - alone, abs=1e-5)


def test_the_strongest_channels_and_inputs_are_told():
    torch.manual_seed(0)
    layer = nn.Conv2d(20, 12, 1, bias=False)
    layer.weight.data.mul_(torch.arange(1, 13).view(-1, 1, 1, 1).float())
    layer.weight.data[:, :4] *= 1e-4
    seen, _ = watch(Sums(layer), 20, 6, 6)
    told = sums_of(seen, seen.steps[-1])
    strength = seen.steps[-1].maps.abs().mean((1, 2))
    assert told.outs == strength.sort(descending=True).indices[:8].tolist()
    assert all(sorted(ins) == list(range(4, 20)) for ins in told.ins)


# ── the way back ────────────────────────────────────────────────────────────────────────────────────────


def test_gradients_are_those_of_a_backward_pass():
    torch.manual_seed(0)
    net = Lenet()
    seen, picture = watch(net, 3, 16, 16)
    first = slopes(seen, "one", lambda: seen.answer[:, 1])
    other = slopes(seen, "two", lambda: seen.answer[:, 2])
    plain = net(picture)
    weight, given = torch.autograd.grad(plain[0, 1], [net.two.weight, picture])
    place = [step.key for step in seen.steps].index("two")
    assert torch.allclose(first.kernels[place], weight, atol=1e-6) and torch.allclose(first.picture, given[0], atol=1e-6)
    assert first.score == pytest.approx(float(plain[0, 1].detach())) and not torch.equal(first.maps[0], other.maps[0])
    # a step along a map's gradient changes the score by its square
    step = first.maps[place]
    with torch.no_grad():
        moved = net.out(torch.relu(found(seen, "two").value + 1e-3 * step).flatten(1))[0, 1]
    assert float(moved - plain[0, 1].detach()) == pytest.approx(1e-3 * float(step.square().sum()), rel=0.05)


def test_dead_flat_and_vanished_layers_are_told():
    net = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1), nn.Sigmoid(), nn.Conv2d(3, 1, 1))
    net[0].bias.data[1] = -1e3
    net[2].weight.data.mul_(1e3)
    seen, _ = watch(net, 1, 8, 8)
    told = health(seen, slopes(seen, "x", lambda: seen.answer.sum()))
    assert told[1].dead == [1] and told[3].flat > 0.5
    deep = nn.Sequential(*(layer for _ in range(9) for layer in (nn.Conv2d(2, 2, 1), nn.Sigmoid())))
    seen, _ = watch(deep, 2, 4, 4)
    assert health(seen, slopes(seen, "x", lambda: seen.answer.sum()))[0].word == "vanished"
    loud = nn.Sequential(*(nn.Conv2d(2, 2, 1) for _ in range(6)))
    for layer in loud:
        layer.weight.data.mul_(30)
    seen, _ = watch(loud, 2, 4, 4)
    assert health(seen, slopes(seen, "x", lambda: seen.answer.sum()))[0].word == "exploded"


def test_what_no_layer_is_asked_of_has_no_gradient():
    seen, _ = watch(Lenet(), 3, 16, 16)
    assert not slopes(seen, "nothing", lambda: torch.ones(1)).maps


# ── attention and recurrence ────────────────────────────────────────────────────────────────────────────


def test_the_shares_of_an_attention_are_the_layers_own():
    torch.manual_seed(0)
    net = Attends()
    seen, picture = watch(net, 3, 16, 16)
    step = next(step for step in seen.steps if step.attention is not None)
    rows = net.patches(picture).flatten(2).transpose(1, 2)
    rows = torch.cat([net.token, rows], 1)
    real = net.block.self_attn(rows, rows, rows, average_attn_weights=False)[1][0]
    assert step.attention.shape == (2, 17, 17) and torch.allclose(step.attention, real, atol=1e-6)
    assert torch.allclose(step.attention.sum(-1), torch.ones(2, 17), atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_the_shares_of_a_fused_attention_are_reckoned_from_what_goes_in(causal):
    class Fused(nn.Module):
        def __init__(self):
            super().__init__()
            self.all = nn.Linear(8, 24)

        def forward(self, x):
            query, key, value = self.all(x[:, 0]).view(1, -1, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
            return F.scaled_dot_product_attention(query, key, value, is_causal=causal)

    seen, _ = watch(Fused(), 1, 9, 8)
    step = next(step for step in seen.steps if step.attention is not None)
    value = seen.steps[0].value.view(1, -1, 3, 2, 4).permute(2, 0, 3, 1, 4)[2]
    assert torch.allclose(step.attention @ value[0], step.value[0], atol=1e-6)
    assert not causal or not step.attention.triu(1).any()


@pytest.mark.parametrize(("kind", "first"), [(nn.LSTM, True), (nn.GRU, True), (nn.GRU, False), (nn.RNN, True)])
def test_states_through_the_steps(kind, first):
    torch.manual_seed(0)
    net = Reads(kind, first)
    seen, picture = watch(net, 1, 6, 8)
    step = seen.steps[0]
    held = states(seen, step)
    plain, last = net.rows(picture[:, 0] if first else picture[:, 0].transpose(0, 1))
    assert torch.allclose(held.hidden[0], plain[0] if first else plain[:, 0], atol=1e-6)
    assert (held.cell is not None) == (kind is nn.LSTM)
    if kind is nn.LSTM:
        assert torch.allclose(held.cell[0, -1], last[1][0, 0], atol=1e-6)
    assert step.maps.shape == (5, 1, 6)


@pytest.mark.parametrize("layer", [nn.LSTM(8, 5, 2, bidirectional=True), nn.GRU(8, 5, 3, batch_first=True, bidirectional=True, bias=False)])
def test_states_of_both_directions(layer):
    """Of every layer: the last row of each is what torch's own layer ends with, those of the last layer what it gives."""
    first = layer.batch_first
    net = Calls(lambda net, x: net.layer(x[:, 0] if first else x[:, 0].transpose(0, 1))[0], layer)
    seen, picture = watch(net, 1, 6, 8)
    held = states(seen, seen.steps[0])
    with torch.no_grad():
        plain, last = layer(picture[:, 0] if first else picture[:, 0].transpose(0, 1))
    ends, rows = last if isinstance(last, tuple) else (last,), plain[0] if first else plain[:, 0]
    assert held.directions == 2 and held.hidden.shape == (2 * layer.num_layers, 6, 5)
    for row in range(2 * layer.num_layers):
        for found, end in zip((held.hidden, held.cell), ends, strict=False):
            assert torch.allclose(found[row, 0 if row % 2 else -1], end[row, 0], atol=1e-6)
    assert torch.allclose(torch.cat([held.hidden[-2], held.hidden[-1]], 1), rows, atol=1e-6)


class Calls(nn.Module):
    """A function of one layer as a network."""

    def __init__(self, function, layer) -> None:
        super().__init__()
        self.function, self.layer = function, layer

    def forward(self, x):
        return self.function(self, x)


# ── eyes nobody trained ─────────────────────────────────────────────────────────────────────────────────


def scene() -> np.ndarray:
    """(48, 64) 0–1: a bright square on a dark ground."""
    grey = np.full((48, 64), 0.1)
    grey[12:36, 16:48] = 0.9
    return grey


def test_slopes_and_edges_are_where_the_square_ends():
    grey = scene()
    down, across = classical.sobel(grey)
    assert abs(across[24, 16]) == pytest.approx(3.2) and down[24, 16] == 0 and abs(down[12, 30]) == pytest.approx(3.2)
    edges = classical.canny(grey)
    assert 100 < edges.sum() < 120 and not edges[20:28, 24:40].any() and not edges[:6].any()
    assert edges[24, 14:19].sum() == 1 and edges[24, 45:50].sum() == 1
    assert not classical.canny(np.full((16, 16), 0.5)).any()


def test_they_agree_with_opencv():
    cv2 = pytest.importorskip("cv2")
    draw = np.random.default_rng(0)
    grey = draw.random((40, 56))
    down, across = classical.sobel(grey)
    assert np.allclose(down, cv2.Sobel(grey, cv2.CV_64F, 0, 1, borderType=cv2.BORDER_REPLICATE))
    assert np.allclose(across, cv2.Sobel(grey, cv2.CV_64F, 1, 0, borderType=cv2.BORDER_REPLICATE))
    ours, theirs = classical.canny(scene()), cv2.Canny((scene() * 255).astype(np.uint8), 50, 100) > 0
    near = cv2.dilate(theirs.astype(np.uint8), np.ones((5, 5))) > 0
    assert near[ours].mean() > 0.95


def test_gabor_and_hog_tell_directions():
    x = np.mgrid[:64, :64][1]
    waves = 0.5 + 0.5 * np.sin(2 * math.pi * x / 8)  # vertical stripes, 8 pixels a wave
    answers = {
        (wave, round(math.degrees(turn), 1)): np.abs(answer[16:-16, 16:-16]).mean() for wave, turn, _, answer in classical.gabor(waves)
    }
    assert max(answers, key=answers.get) == (8.0, 0.0) and answers[8.0, 0.0] > 5 * answers[8.0, 90.0]
    assert all(abs(kernel.sum()) < 1e-9 for _, _, kernel, _ in classical.gabor(waves))
    cells = classical.hog(waves)
    assert cells.shape == (8, 8, 9)
    inner = cells[2:-2, 2:-2].mean((0, 1))
    assert inner[[0, 8]].sum() > 0.95 * inner.sum()  # slopes lie across

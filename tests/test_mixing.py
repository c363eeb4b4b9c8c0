"""Arithmetic of what mixes numbers: softmax, attention, products, interpolation and gates, told from the layers' own numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from omma.inside.sums import sums_of
from omma.inside.trace import trace
from omma.inside.unit import unit


class Calls(nn.Module):
    """A function as a network."""

    def __init__(self, function, **parts) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleDict(parts)

    def forward(self, x):
        return self.function(self, x)


def watch(function, *shape, **parts):
    torch.manual_seed(0)
    net, picture = Calls(function, **parts).eval(), torch.randn(1, *shape)
    with torch.no_grad():
        return trace(lambda: net(picture), {"net": net}, picture)


def of(seen, op):
    """(place, step) of the last of a kind."""
    return [(place, step) for place, step in enumerate(seen.steps) if step.op == op][-1]


def units(step, count=6):
    """Some units of a step, its corners among them."""
    sides, draw = step.maps.shape, np.random.default_rng(1)
    return [
        (0, 0, 0),
        tuple(length - 1 for length in sides),
        *(tuple(int(draw.integers(length)) for length in sides) for _ in range(count)),
    ]


# ── softmax ─────────────────────────────────────────────────────────────────────────────────────────────

SOFT = [
    (lambda net, x: F.softmax(net.parts["c"](x), 1), (3, 6, 5), {"c": nn.Conv2d(3, 7, 1)}, "c"),
    (lambda net, x: net.parts["c"](x).softmax(-1), (3, 6, 5), {"c": nn.Conv2d(3, 7, 1)}, "x"),
    (lambda net, x: torch.softmax(net.parts["c"](x), dim=2), (3, 6, 5), {"c": nn.Conv2d(3, 7, 1)}, "y"),
    (lambda net, x: net.parts["l"](x.flatten(1)).softmax(1), (3, 2, 2), {"l": nn.Linear(12, 20)}, "c"),
    (lambda net, x: net.parts["l"](x.flatten(2)).softmax(1), (3, 2, 5), {"l": nn.Linear(10, 4)}, "x"),
]


@pytest.mark.parametrize(("function", "shape", "parts", "axis"), SOFT, ids=["map", "row", "column", "classes", "tokens"])
def test_a_share_is_made_of_all_along_its_axis(function, shape, parts, axis):
    seen = watch(function, *shape, **parts)
    place, step = of(seen, "softmax")
    coming = seen.coming(step.given[0])
    for channel, y, x in units(step):
        found = unit(seen, place, channel, y, x)
        sums = found["sums"]
        assert sums["kind"] == "softmax" and sums["numbers"]["axis"] == axis
        line = coming[:, y, x] if axis == "c" else coming[channel, :, x] if axis == "y" else coming[channel, y]
        assert sums["line"] == line.tolist()
        at = {"c": y * step.maps.shape[2] + x, "y": x, "x": y}[axis]
        value = float(coming[channel, y, x])
        assert math.exp(value - sums["most"][at]) / sums["total"][at] == pytest.approx(found["total"], rel=1e-5)
        assert found["total"] == float(step.maps[channel, y, x])
    told = sums_of(seen, step)
    assert len(told.outs) == min(8, step.channels) and (step.maps.shape[1:].numel() > 1 or set(told.ins[0]) == set(range(step.channels)))


# ── attention ───────────────────────────────────────────────────────────────────────────────────────────


def attends(net, x, **how):
    """Two heads of width 4 over the places of a map, as timm's blocks do it."""
    tokens = net.parts["l"](x.flatten(2).transpose(1, 2))
    query, key, value = tokens.reshape(1, -1, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
    how = {name: one(tokens) if callable(one) else one for name, one in how.items()}
    return F.scaled_dot_product_attention(query, key, value, **how)


MASKS = {
    "plain": {},
    "causal": {"is_causal": True},
    "scaled": {"scale": 0.3},
    "barred": {"attn_mask": lambda x: torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril(2)},
    "added": {"attn_mask": lambda x: torch.linspace(-2, 2, 2 * x.shape[1] ** 2).view(1, 2, x.shape[1], -1)},
}


@pytest.mark.parametrize("how", MASKS, ids=str)
def test_an_attention_is_shares_of_values_by_query_and_key(how):
    """Nothing but the numbers that are told gives the number that is shown; they are the tensors' own."""
    seen = watch(lambda net, x: attends(net, x, **MASKS[how]), 3, 3, 4, l=nn.Linear(3, 24))
    place, step = of(seen, "attention")
    query, key, value = (seen.raw(given)[0] for given in step.given)
    for channel, y, x in units(step):
        found = unit(seen, place, channel, y, x)
        sums, n = found["sums"], found["sums"]["numbers"]
        token, head = n["asks"], channel // 4
        assert sums["kind"] == "attention" and n["head"] == head and token == n["prefix"] + y * step.maps.shape[2] + x
        assert sums["q"] == query[head, token].tolist()
        assert sums["k"] == key[head].flatten().tolist() and sums["v"] == value[head, :, channel % 4].tolist()
        scores = np.array(sums["k"]).reshape(-1, 4) @ np.array(sums["q"]) * n["scale"] + np.array(sums.get("mask", 0.0))
        scores[[t for t in range(len(scores)) if n["causal"] and t > token]] = -np.inf
        shares = np.exp(scores - scores.max())
        assert (shares / shares.sum()) @ np.array(sums["v"]) == pytest.approx(found["total"], abs=1e-5)
        assert shares / shares.sum() == pytest.approx(step.attention[head, token].numpy(), abs=1e-5)
    told = sums_of(seen, step)
    assert {out // 4 for out in told.outs} == {told.numbers["head"]}, "of one head, so that a page stays small"
    assert told.arrays["v"].shape == (len(told.outs), 12) and told.arrays["q"].shape == (12, 4)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_torchs_own_heads_are_shares_of_values_behind_the_weights_that_join_them(bias, masked):
    def attends(net, x):
        rows = net.parts["l"](x.flatten(2).transpose(1, 2))
        mask = torch.ones(rows.shape[1], rows.shape[1], dtype=torch.bool).triu(4) if masked else None
        return net.parts["m"](rows, rows, rows, attn_mask=mask)[0]

    parts = {"l": nn.Linear(3, 8), "m": nn.MultiheadAttention(8, 2, bias=bias, batch_first=True)}
    torch.manual_seed(0)
    net, picture = Calls(attends, **parts).eval(), torch.randn(1, 3, 3, 4)
    seen = trace(lambda: net(picture), {"net": net}, picture)
    place, step = of(seen, "attention")
    for channel, y, x in units(step):
        found = unit(seen, place, channel, y, x)
        sums, n = found["sums"], found["sums"]["numbers"]
        assert sums["kind"] == "heads" and n["heads"] == 2 and len(sums["shares"]) == 2 * n["keys"]
        assert sums["shares"] == step.attention[:, n["asks"]].flatten().tolist()
        again = np.exp(np.array(sums["scores"]).reshape(2, -1))
        assert (again / again.sum(1, keepdims=True)).ravel() == pytest.approx(sums["shares"], abs=1e-6)
        total = np.dot(sums["shares"], sums["through"]) + sum(sums.get("bias", []))
        assert total == pytest.approx(found["total"], abs=1e-5)
    told = sums_of(seen, step)
    assert told.kind == "heads" and told.arrays["through"].shape == (8, 2, 12)


def test_a_product_of_matrices_is_a_row_with_a_column():
    def both(net, x):
        tokens = net.parts["l"](x.flatten(2).transpose(1, 2))
        query, key, value = tokens.reshape(1, -1, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        return (query @ key.transpose(-2, -1)).softmax(-1) @ value

    seen = watch(both, 3, 3, 4, l=nn.Linear(3, 24))
    places = [place for place, step in enumerate(seen.steps) if step.op == "matmul"]
    assert len(places) == 2
    for place in places:
        for channel, y, x in units(seen.steps[place]):
            found = unit(seen, place, channel, y, x)
            sums = found["sums"]
            assert sums["kind"] == "matmul" and len(sums["left"]) == sums["numbers"]["wide"]
            assert np.dot(sums["left"], sums["right"]) == pytest.approx(found["total"], abs=1e-5)
    whole = sums_of(seen, seen.steps[places[0]])
    assert whole.arrays["left"].shape == (2, 12, 4) and whole.arrays["right"].shape == (2, 4, 12)


# ── interpolation ───────────────────────────────────────────────────────────────────────────────────────

SIZES = [
    {"scale_factor": 2, "mode": "nearest"},
    {"size": (9, 11), "mode": "bilinear"},
    {"size": (9, 11), "mode": "bilinear", "align_corners": True},
    {"scale_factor": (1.7, 2.3), "mode": "bilinear"},
    {"scale_factor": 2.5, "mode": "bicubic"},
    {"scale_factor": 1.5, "mode": "bilinear", "recompute_scale_factor": True},
    {"size": (3, 2), "mode": "area"},
    {"size": (4, 3), "mode": "bilinear", "antialias": True},
]


@pytest.mark.parametrize("how", SIZES, ids=lambda how: "-".join(f"{value}" for value in how.values()))
def test_an_interpolation_is_neighbours_by_their_weights(how):
    seen = watch(lambda net, x: F.interpolate(net.parts["c"](x), **how), 3, 6, 5, c=nn.Conv2d(3, 4, 1))
    place, step = of(seen, "resize")
    coming = seen.coming(step.given[0])
    for channel, y, x in units(step):
        found = unit(seen, place, channel, y, x)
        sums, own = found["sums"], found["sums"]["reads"][0]["own"]
        assert sums["kind"] == "resize"
        values = np.array(own["values"]).reshape(own["h"], own["w"])
        assert values == pytest.approx(coming[channel, own["y"] : own["y"] + own["h"], own["x"] : own["x"] + own["w"]].numpy(), abs=0)
        (rows, tall), (columns, wide) = sums["numbers"]["down"][y], sums["numbers"]["across"][x]
        total = sum(
            a * b * values[row - own["y"], column - own["x"]]
            for row, a in zip(rows, tall, strict=True)
            for column, b in zip(columns, wide, strict=True)
        )
        assert total == pytest.approx(found["total"], abs=1e-5)


# ── gates ───────────────────────────────────────────────────────────────────────────────────────────────


def state(cell, gates, before, last):
    """(the new state, the new cell) by the textbook, from [W x, b, U h, b] of every gate."""
    sig = lambda v: 1 / (1 + math.exp(-v))  # noqa: E731
    sums = [sum(gate) for gate in gates]
    if cell == "lstm":
        now = sig(sums[1]) * last + sig(sums[0]) * math.tanh(sums[2])
        return sig(sums[3]) * math.tanh(now), now
    if cell == "gru":
        n = math.tanh(gates[2][0] + gates[2][1] + sig(sums[0]) * (gates[2][2] + gates[2][3]))
        return (1 - sig(sums[1])) * n + sig(sums[1]) * before, None
    return (math.tanh(sums[0]) if cell == "tanh" else max(0.0, sums[0])), None


CELLS = [
    (nn.LSTM(5, 6, batch_first=True), "lstm"), (nn.LSTM(5, 6, num_layers=2, bias=False), "lstm"), (nn.GRU(5, 6, batch_first=True), "gru"),
    (nn.GRU(5, 6, num_layers=2), "gru"), (nn.RNN(5, 6, batch_first=True), "tanh"), (nn.RNN(5, 6, nonlinearity="relu"), "relu"),
    (nn.GRU(5, 6, batch_first=True, bidirectional=True), "gru"), (nn.LSTM(5, 6, bidirectional=True), "lstm"),
    (nn.LSTM(5, 6, num_layers=2, batch_first=True, bidirectional=True), "lstm"), (nn.GRU(5, 6, num_layers=3, bidirectional=True), "gru"),
    (nn.RNN(5, 6, num_layers=2, bias=False, bidirectional=True), "tanh"),
]  # fmt: skip


def reads(begun=None):
    """A function that reads the rows of a picture with its recurrent layer, from nothing or from another state."""

    def reading(net, x):
        layer, rows = net.parts["r"], x[:, 0]
        return layer(rows if layer.batch_first else rows.transpose(0, 1), *([] if begun is None else [begun]))[0]

    return reading


@torch.no_grad()
def cells_of(layer, rows):
    """[(T, H)] the cell of an LSTM of one layer after each step, of every direction: torch's own, that has read so far and no further."""
    found = []
    for way in range(1 + layer.bidirectional):
        parts = [rows[time:] if way else rows[: time + 1] for time in range(len(rows))]
        found.append(torch.stack([layer(part.unsqueeze(0 if layer.batch_first else 1))[1][1][way, 0] for part in parts]))
    return found


@pytest.mark.parametrize(("layer", "cell"), CELLS, ids=[f"{type(one).__name__}{i}" for i, (one, _) in enumerate(CELLS)])
def test_a_state_is_made_of_its_gates(layer, cell):
    """By the textbook, of the numbers that are told; the state before is the neighbour's on the very map, whichever way it is read."""
    seen = watch(reads(), 1, 7, 5, r=layer)
    place, step = of(seen, "recurrent")
    assert step.channels == 6 * (1 + layer.bidirectional)
    cells = cells_of(layer, seen.picture[0, 0]) if cell == "lstm" and layer.num_layers == 1 else None
    for channel in range(step.channels):
        way, number = divmod(channel, 6)
        for x in (0, 1, 6):
            found = unit(seen, place, channel, 0, x)
            sums, n = found["sums"], found["sums"]["numbers"]
            assert sums["kind"] == "gates" and n["cell"] == cell and n["steps"] == 7 and (channel >= n["forwards"]) == way
            gates = np.array(sums["gates"]).reshape(7, n["gates"], 4)[x]
            last = sums["cell"][x] if "cell" in sums else None
            made, now = state(cell, gates.tolist(), sums["before"][x], last)
            assert made == pytest.approx(found["total"], abs=1e-5)
            back, end = (x + 1, 6) if way else (x - 1, 0)
            assert sums["before"][x] == (0 if x == end else pytest.approx(float(step.maps[channel, 0, back]), abs=1e-6))
            assert x != end or not last
            assert cells is None or now == pytest.approx(float(cells[way][x, number]), abs=1e-5)


@pytest.mark.parametrize(
    ("layer", "begun"),
    [
        (nn.GRU(5, 6, batch_first=True), torch.ones(1, 1, 6)),
        (
            nn.LSTM(5, 6, num_layers=2, bidirectional=True),
            (torch.linspace(-1, 1, 24).view(4, 1, 6), torch.linspace(1, 2, 24).view(4, 1, 6)),
        ),
    ],
    ids=["gru", "lstm"],
)
def test_a_recurrence_that_began_elsewhere_is_told_from_there(layer, begun):
    seen = watch(reads(begun), 1, 7, 5, r=layer)
    place, step = of(seen, "recurrent")
    first = begun if isinstance(begun, tuple) else (begun,)
    top = (layer.num_layers - 1) * (1 + layer.bidirectional)
    for channel in range(step.channels):
        way, number = divmod(channel, 6)
        x = 6 if way else 0
        found = unit(seen, place, channel, 0, x)
        sums, n = found["sums"], found["sums"]["numbers"]
        assert sums["before"][x] == float(first[0][top + way, 0, number])
        last = sums["cell"][x] if "cell" in sums else None
        assert last is None or last == float(first[1][top + way, 0, number])
        gates = np.array(sums["gates"]).reshape(7, n["gates"], 4)[x].tolist()
        assert state(n["cell"], gates, sums["before"][x], last)[0] == pytest.approx(found["total"], abs=1e-5)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_a_recurrence_with_a_projection_is_not_told():
    seen = watch(reads(), 1, 7, 5, r=nn.LSTM(5, 6, batch_first=True, proj_size=3))
    place, step = of(seen, "recurrent")
    assert unit(seen, place, 0, 0, 3)["sums"]["kind"] == "" and step.channels == 3

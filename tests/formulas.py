"""The formula pages' references beside the libraries: a case draws a shape by chance and gives both sides, forward and backward."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HOME = Path(__file__).parent.parent
sys.path.insert(0, str(HOME / "scripts"))
import write_docs  # noqa: E402

from omma import catalog  # noqa: E402
from omma.answers.label import Label  # noqa: E402
from omma.engine import optim  # noqa: E402
from omma.metrics.accuracy import Accuracy  # noqa: E402
from omma.metrics.f1 import F1  # noqa: E402
from omma.metrics.precision import Precision  # noqa: E402
from omma.metrics.recall import Recall  # noqa: E402
from omma.recipe import Recipe  # noqa: E402

# (what, reference, library) each.
Pairs = Iterator[tuple[str, Any, Any]]
CASES: dict[str, Callable[[np.random.Generator], Pairs]] = {}
TOLERANCE = 1e-6


@cache
def page(name: str) -> SimpleNamespace:
    """The functions of one page; its pictures are not drawn."""
    room: dict[str, Any] = {}
    for cell, text in write_docs.cells(write_docs.FORMULAS / f"{name}.py").items():
        if not cell.endswith("picture"):
            exec(compile(text, f"{name}.py: {cell}", "exec"), room)
    return SimpleNamespace(**room)


def case(draw: Callable[[np.random.Generator], Pairs]) -> Callable[[np.random.Generator], Pairs]:
    """Enter a case under its own name."""
    CASES[draw.__name__] = draw
    return draw


def difference(ours: Any, theirs: Any) -> float:
    """The largest difference, in units of the largest number if that is above 1; infinite where shapes differ or one side has NaN alone."""
    a, b = (np.asarray(v.detach() if isinstance(v, torch.Tensor) else v, float) for v in (ours, theirs))
    if a.shape != b.shape or (np.isnan(a) != np.isnan(b)).any():
        return float("inf")
    return float(np.nanmax(np.abs(a - b), initial=0.0) / max(1.0, np.nanmax(np.abs(b), initial=0.0)))


def worst(name: str, seed: int) -> tuple[float, str]:
    """The largest difference of one drawing, and of what."""
    return max((difference(a, b), what) for what, a, b in CASES[name](np.random.default_rng(seed)))


def learns(array: np.ndarray) -> torch.Tensor:
    """A float64 tensor that has a gradient."""
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def backward(y: torch.Tensor, g: np.ndarray | float, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The library's gradients of the inputs, given that of the answer."""
    return torch.autograd.grad(y, inputs, torch.as_tensor(g, dtype=y.dtype))


# ── layers ──────────────────────────────────────────────────────────────────────────────────────────────


@case
def convolution(draw: np.random.Generator) -> Pairs:
    p = page("convolution")
    n, groups, c, o, s, pad, d, u, v = (
        int(draw.integers(*r)) for r in [(1, 4), (1, 4), (1, 4), (1, 4), *[(1, 4)], (0, 4), (1, 4), (1, 5), (1, 5)]
    )
    high, wide = (int(draw.integers(max(1, d * (side - 1) + 1 - 2 * pad), 11)) for side in (u, v))
    x, k = draw.normal(size=(n, c * groups, high, wide)), draw.normal(size=(o * groups, c, u, v))
    b, how = draw.normal(size=o * groups), {"stride": s, "padding": pad, "dilation": d, "groups": groups}
    tx, tk, tb = learns(x), learns(k), learns(b)
    y, ours = F.conv2d(tx, tk, tb, **how), p.convolve(x, k, b, **how)
    yield "y", ours, y
    g = draw.normal(size=y.shape)
    gx, gk, gb = backward(y, g, tx, tk, tb)
    back = p.input_gradient(g, k, x.shape, **how)
    yield "∂x", back, gx
    yield "∂k", p.kernel_gradient(g, x, k.shape, **how), gk
    yield "∂b", g.sum((0, 2, 3)), gb
    rest = [side - ((out - 1) * s - 2 * pad + d * (own - 1) + 1) for side, out, own in zip((high, wide), y.shape[2:], (u, v), strict=True)]
    if max(rest) < max(s, d):  # what the library's own transposed convolution can be asked for
        one = F.conv_transpose2d(torch.tensor(g), tk, None, s, pad, rest, groups, d)
        yield "transposed", back, one
    if x[0].size <= 150:  # the matrix has a column for every number of the picture
        A = p.matrix(k, x.shape[1:], **how)
        yield "A x", (x.reshape(n, -1) @ A.T).reshape(y.shape) + b[:, None, None], y
        yield "Aᵀ g", (g.reshape(n, -1) @ A).reshape(x.shape), gx
    seen = p.columns(x, k, s, pad, d)
    yield "columns", seen, F.unfold(torch.tensor(x), (u, v), d, pad, s)
    if groups == 1:
        yield "k · columns", (k.reshape(o, -1) @ seen).reshape(y.shape) + b[:, None, None], y


@case
def pooling(draw: np.random.Generator) -> Pairs:
    p = page("pooling")
    n, c, size, stride = (int(draw.integers(1, top)) for top in (4, 4, 5, 5))
    pad = int(draw.integers(0, size // 2 + 1))
    high, wide = (int(draw.integers(max(1, size - 2 * pad), 12)) for _ in range(2))
    x = draw.normal(size=(n, c, high, wide))
    tx = learns(x)
    y, (ours, where) = F.max_pool2d(tx, size, stride, pad), p.max_pool(x, size, stride, pad)
    yield "max", ours, y
    g = draw.normal(size=y.shape)
    yield "∂x of max", p.max_unpool(g, where, x.shape, size, stride, pad), backward(y, g, tx)[0]
    y = F.avg_pool2d(tx, size, stride, pad)
    yield "mean", p.average_pool(x, size, stride, pad), y
    yield "∂x of mean", p.average_unpool(g, x.shape, size, stride, pad), backward(y, g, tx)[0]
    if size <= min(high, wide):  # windows side by side: un-pooling is a layer too
        top, place = F.max_pool2d(torch.tensor(x), size, size, return_indices=True)
        ours, where = p.max_pool(x, size, size)
        yield "un-pooled", p.max_unpool(ours, where, x.shape, size, size), F.max_unpool2d(top, place, size, size, output_size=x.shape)


@case
def dense(draw: np.random.Generator) -> Pairs:
    p = page("dense")
    n, i, h, o = (int(size) for size in draw.integers(1, 12, 4))
    x, w, b, w2, b2 = (draw.normal(size=size) for size in [(n, i), (h, i), h, (o, h), o])
    tensors = tx, tw, tb, tw2, tb2 = tuple(learns(array) for array in (x, w, b, w2, b2))
    g = draw.normal(size=(n, h))
    y = F.linear(tx, tw, tb)
    yield "dense", p.dense(x, w, b), y
    yield from zip(("∂x", "∂w", "∂b"), p.dense_gradient(g, x, w), backward(y, g, tx, tw, tb), strict=True)
    for name in ("relu", "sigmoid", "tanh"):
        far = draw.normal(size=(n, h)) * 10 ** draw.uniform(-1, 2.5)
        seen = learns(far)
        y, ours = getattr(torch, name)(seen), getattr(p, name)(far)
        yield name, ours, y
        yield f"∂{name}", getattr(p, f"{name}_gradient")(g, ours), backward(y, g, seen)[0]
    y = F.linear(F.relu(F.linear(tx, tw, tb)), tw2, tb2)
    ours, hidden = p.network(x, w, b, w2, b2)
    yield "network", ours, y
    g = draw.normal(size=(n, o))
    yield from zip(("∂x", "∂w1", "∂b1", "∂w2", "∂b2"), p.network_gradient(g, x, hidden, w, w2), backward(y, g, *tensors), strict=True)


@case
def normalisation(draw: np.random.Generator) -> Pairs:
    p = page("normalisation")
    n, c, high, wide = (int(draw.integers(*r)) for r in [(1, 6), (1, 6), (2, 8), (1, 8)])
    x, scale, shift, g = (draw.normal(size=size) for size in [(n, c, high, wide), c, c, (n, c, high, wide)])
    x = x * 10 ** draw.uniform(-2, 2) + draw.normal()
    tx = learns(x)
    for name, axes, layer in [("batch", p.BATCH, nn.BatchNorm2d), ("instance", p.INSTANCE, nn.InstanceNorm2d)]:
        net = layer(c, affine=True, track_running_stats=name == "batch").double()
        net.weight.data, net.bias.data = torch.tensor(scale), torch.tensor(shift)
        y, (ours, level, slope) = net(tx), p.normalise(x, axes, scale, shift)
        yield name, ours, y
        theirs = backward(y, g, tx, net.weight, net.bias)
        yield from zip((f"∂x of {name}", "∂scale", "∂shift"), p.normalise_gradient(g, level, slope, axes, scale), theirs, strict=True)
        if name == "batch":
            known = p.remember((np.zeros(c), np.ones(c)), x)
            yield "known", np.stack(known), torch.stack([net.running_mean, net.running_var])
            y = net.eval()(tx)
            yield "later", p.normalise_known(x, known, scale, shift), y
    rate, seed = draw.uniform(0, 0.9), int(draw.integers(1 << 30))
    torch.manual_seed(seed)
    kept = F.dropout(torch.ones_like(tx), rate) > 0  # which ones the library leaves out, with this seed
    torch.manual_seed(seed)
    y, (ours, mask) = F.dropout(tx, rate), p.drop(x, rate, np.where(kept.numpy(), 1.0, 0.0))
    yield "dropout", ours, y
    yield "∂x of dropout", p.drop_gradient(g, mask, rate), backward(y, g, tx)[0]


@case
def attention(draw: np.random.Generator) -> Pairs:
    p = page("attention")
    n, count, t, s, d, e = (int(draw.integers(*r)) for r in [(1, 4), (1, 5), (1, 9), (1, 9), (1, 9), (1, 9)])
    q, k, v, g = (draw.normal(size=(n, count, *rest)) for rest in [(t, d), (s, d), (s, e), (t, e)])
    may = draw.random((t, s)) < 0.6
    may[:, 0] = True  # who may look at nobody has no answer
    inputs = tuple(learns(array) for array in (q, k, v))
    for name, mask in [("all", None), ("masked", may)]:
        y = F.scaled_dot_product_attention(*inputs, attn_mask=None if mask is None else torch.tensor(mask))
        ours, a = p.attention(q, k, v, True if mask is None else mask)
        yield name, ours, y
        yield from zip(("∂q", "∂k", "∂v"), p.attention_gradient(g, q, k, v, a), backward(y, g, *inputs), strict=True)
    x, w, out, g = (
        draw.normal(size=size) for size in [(n, t, d * count), (3 * d * count, d * count), (d * count, d * count), (n, t, d * count)]
    )
    net = nn.MultiheadAttention(d * count, count, bias=False, batch_first=True).double()
    net.in_proj_weight.data, net.out_proj.weight.data, tx = torch.tensor(w), torch.tensor(out), learns(x)
    y, (ours, between) = net(tx, tx, tx, need_weights=False)[0], p.multi_head(x, w, out, count)
    yield "heads", ours, y
    theirs = backward(y, g, tx, net.in_proj_weight, net.out_proj.weight)
    yield from zip(("∂x", "∂w", "∂out"), p.multi_head_gradient(g, x, w, out, count, between), theirs, strict=True)


@case
def recurrence(draw: np.random.Generator) -> Pairs:
    p = page("recurrence")
    t, n, i, h = (int(size) for size in draw.integers(1, 8, 4))
    x, g = draw.normal(size=(t, n, i)), draw.normal(size=(t, n, h))
    for name, layer, gates in [("rnn", nn.RNN, 1), ("lstm", nn.LSTM, 4)]:
        net, tx = layer(i, h).double(), learns(x)
        net.bias_hh_l0.data.zero_()  # the library has two offsets where one will do
        w, u, b = (value.detach().numpy() for value in (net.weight_ih_l0, net.weight_hh_l0, net.bias_ih_l0))
        assert len(w) == gates * h
        y = net(tx)[0]
        theirs = backward(y, g, tx, net.weight_ih_l0, net.weight_hh_l0, net.bias_ih_l0)
        if name == "rnn":
            ours = p.recur(x, w, u, b)
            yield name, ours[1:], y
            back = p.recur_gradient(g, x, ours, w, u)
        else:
            ours, kept = p.lstm(x, w, u, b)
            yield name, ours, y
            back = p.lstm_gradient(g, x, kept, w, u)
        yield from zip((f"∂x of {name}", "∂w", "∂u", "∂b"), back, theirs, strict=True)


# ── losses ──────────────────────────────────────────────────────────────────────────────────────────────


def _beside(name: str, ours: tuple[Any, Any], seen: torch.Tensor, *theirs: torch.Tensor) -> Pairs:
    """A loss and its gradient beside those of the library and of omma."""
    for place, loss in enumerate(theirs):
        yield f"{name} {place}", ours[0], loss
        yield f"∂{name} {place}", ours[1], backward(loss, 1.0, seen)[0]


@case
def losses(draw: np.random.Generator) -> Pairs:
    p, mine = page("losses"), lambda name: catalog.find("losses", name)
    n, c = int(draw.integers(1, 12)), int(draw.integers(2, 12))
    y, t, z = draw.normal(size=(n, c)) * 2, draw.normal(size=(n, c)), draw.normal(size=(n, c)) * 10 ** draw.uniform(-1, 1.5)
    ty, tt, tz = learns(y), torch.tensor(t), learns(z)
    yield from _beside("mse", p.mse(y, t), ty, F.mse_loss(ty, tt), mine("mse")(ty, tt))
    yield from _beside("huber", p.huber(y, t), ty, F.huber_loss(ty, tt), mine("huber")(ty, tt))
    bend = draw.uniform(0.1, 3)
    yield from _beside("huber bent elsewhere", p.huber(y, t, bend), ty, F.huber_loss(ty, tt, delta=bend))
    shares, weight, smoothing = draw.dirichlet(np.ones(c), n), draw.uniform(0.1, 3, c), draw.uniform(0, 0.5)
    soft, heavy = torch.tensor(shares), torch.tensor(weight)
    plain = F.cross_entropy(tz, soft), mine("cross_entropy")(tz, soft)
    yield from _beside("cross_entropy", p.cross_entropy(z, shares), tz, *plain)
    full = F.cross_entropy(tz, soft, heavy, label_smoothing=smoothing), mine("cross_entropy")(tz, soft, weight=heavy, smoothing=smoothing)
    yield from _beside("cross_entropy weighted and smoothed", p.cross_entropy(z, shares, weight, smoothing), tz, *full)
    true = draw.integers(0, c, n)
    index = torch.tensor(true)
    hard = F.one_hot(index, c).double()
    yield from _beside("nll", p.nll(z, true), tz, F.nll_loss(tz.log_softmax(1), index), F.cross_entropy(tz, index), mine("nll")(tz, hard))
    yield from _beside(
        "nll weighted", p.nll(z, true, weight), tz, F.nll_loss(tz.log_softmax(1), index, heavy), mine("nll")(tz, hard, weight=heavy)
    )
    some = torch.tensor(draw.random((n, c)))
    yield from _beside("bce", p.bce(z, some.numpy()), tz, F.binary_cross_entropy_with_logits(tz, some), mine("bce")(tz, some))


# ── optimizers ──────────────────────────────────────────────────────────────────────────────────────────

STEPS = 5


def _walked(start: np.ndarray, gradients: list[np.ndarray], made: Callable[[list[torch.Tensor]], torch.optim.Optimizer]) -> torch.Tensor:
    """Where a library's optimizer is after these gradients."""
    w = learns(start)
    optimizer = made([w])
    for g in gradients:
        w.grad = torch.tensor(g)
        optimizer.step()
    return w


class _One(nn.Module):
    """A network of one array, which omma's `optim.make` takes as any other; what is named head is not a hidden layer."""

    def __init__(self, start: np.ndarray, name: str = "w", free: bool = False) -> None:
        super().__init__()
        w = nn.Parameter(torch.tensor(start))
        if free:
            w.scale_free = True  # type: ignore[attr-defined]
        self.body = nn.ParameterDict({name: w})


def _trained(start: np.ndarray, gradients: list[np.ndarray], free: bool = False, **settings: Any) -> torch.Tensor:
    """The same by omma's own, under its recipe's names."""
    net = _One(start, free=free)
    optimizer = optim.make(net, Recipe().put("you", **settings))
    optim.set_rate(optimizer, settings["rate"])
    for g in gradients:
        net.body["w"].grad = torch.tensor(g)
        optimizer.step()
    return net.body["w"]


@case
def optimizers(draw: np.random.Generator) -> Pairs:
    p, torched = page("optimizers"), torch.optim
    shape = tuple(int(size) for size in draw.integers(1, 7, int(draw.choice([2, 4]))))
    start, gradients = draw.normal(size=shape), [draw.normal(size=shape) * 10 ** draw.uniform(-2, 1) for _ in range(STEPS)]
    rate, keep, decay = 10 ** draw.uniform(-3, -0.5), draw.uniform(0.5, 0.99), 10 ** draw.uniform(-4, -1)

    def walk(step: Callable[..., tuple[Any, ...]]) -> np.ndarray:
        w, memory = start, ()
        for t, g in enumerate(gradients, 1):
            w, *memory = step(w, g, t, *memory)
        return w

    make = {"rate": rate, "momentum": keep, "weight_decay": 0.0}
    ours = walk(lambda w, g, t: (p.descend(w, g, rate, decay),))
    yield "sgd with L2", ours, _walked(start, gradients, lambda w: torched.SGD(w, rate, weight_decay=decay))
    for name in ("gd", "sgd"):
        yield f"omma {name}", ours, _trained(start, gradients, optimizer=name, **make | {"weight_decay": decay})
    for name in ("momentum", "nesterov"):
        ahead = name == "nesterov"
        ours = walk(lambda w, g, t, m=0.0, ahead=ahead: p.momentum(w, g, m, rate, keep, ahead))
        yield name, ours, _walked(start, gradients, lambda w, ahead=ahead: torched.SGD(w, rate, keep, nesterov=ahead))
        yield f"omma {name}", ours, _trained(start, gradients, optimizer=name, **make)
    ours = walk(lambda w, g, t, v=0.0: p.rmsprop(w, g, v, rate))
    yield "rmsprop", ours, _walked(start, gradients, lambda w: torched.RMSprop(w, rate))
    yield "omma rmsprop", ours, _trained(start, gradients, optimizer="rmsprop", **make)
    for name, library, fade in [("adam", torched.Adam, 0.0), ("adamw", torched.AdamW, decay)]:
        ours = walk(lambda w, g, t, m=0.0, v=0.0, fade=fade: p.adam(w, g, m, v, t, rate, (keep, 0.999), decay=fade))
        yield (
            name,
            ours,
            _walked(start, gradients, lambda w, library=library, fade=fade: library(w, rate, (keep, 0.999), weight_decay=fade)),
        )
        yield f"omma {name}", ours, _trained(start, gradients, optimizer=name, **make | {"weight_decay": fade})
    ours = walk(lambda w, g, t, m=0.0: p.muon(w, g, m, rate, keep, decay))
    yield "omma muon", ours, _trained(start, gradients, optimizer="muon", **make | {"weight_decay": decay})
    ours = walk(lambda w, g, t, m=0.0: p.muon(w, g, m, rate, keep, free=True))
    yield "omma muon before a norm", ours, _trained(start, gradients, free=True, optimizer="muon", **make)
    gradients = [g.reshape(-1) for g in gradients]
    start = start.reshape(-1)  # a vector follows Adam, at a tenth of the rate, and does not decay
    ours = walk(lambda w, g, t, m=0.0, v=0.0: p.adam(w, g, m, v, t, 0.1 * rate, (keep, 0.99)))
    yield "omma muon of a vector", ours, _trained(start, gradients, optimizer="muon", **make | {"weight_decay": decay})
    start, gradients = start.reshape(shape), [g.reshape(shape) for g in gradients]
    if len(shape) == 2:  # the library's own takes matrices only, in bfloat16; what it iterates towards is compared
        left, _, right = np.linalg.svd(gradients[0], full_matrices=False)
        values = left.T @ p.orthogonal(gradients[0], 30) @ right.T
        yield "directions kept", values, np.diag(np.diag(values))
        yield "singular values near 1", np.clip(np.diag(values), 0.6, 1.3), np.diag(values)
    w = learns(start)
    yield from _beside("lasso", p.lasso(start, decay), w, decay * w.abs().sum(), optim.lasso([w], decay))
    yield from _beside("ridge", p.ridge(start, decay), w, decay / 2 * w.square().sum())


# ── what is counted ─────────────────────────────────────────────────────────────────────────────────────


COUNTED = {"accuracy": Accuracy, "precision": Precision, "recall": Recall, "f1": F1}


@case
def scores(draw: np.random.Generator) -> Pairs:
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    p = page("scores")
    n, c = int(draw.integers(1, 60)), int(draw.integers(2, 8))
    true, named = draw.integers(0, c, n), draw.integers(0, c, n)
    table = p.confusion(true, named, c)
    there = sorted({*true.tolist(), *named.tolist()})
    names = [f"class {i}" for i in range(c)]
    answers, truths = [[Label(names[i]) for i in row] for row in (named, true)]
    counted = {name: kind(names) for name, kind in COUNTED.items()}
    records = {name: metric.records(answers, truths) for name, metric in counted.items()}
    once = np.ones((n, 1))
    whole = {name: metric.summaries(records[name], once)[0] for name, metric in counted.items()}
    yield "accuracy", p.accuracy(table), accuracy_score(true, named)
    yield "omma accuracy", p.accuracy(table), whole["accuracy"]
    theirs = precision_recall_fscore_support(true, named, labels=there, zero_division=0)
    for name, ours, other in zip(("precision", "recall", "f1"), p.scores(table), theirs, strict=False):
        yield name, ours[there], other
        yield f"omma {name}", ours, counted[name].each(records[name], once)[:, 0]
        yield f"omma macro {name}", p.macro(ours), whole[name]

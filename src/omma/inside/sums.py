"""Where one number of a layer comes from: the window, the weights, their products and the sum."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from omma.inside import mixing, moved
from omma.inside.kinds import maps_of
from omma.inside.trace import JOINS, Given, Step, Trace

OUTS, INS = 8, 16  # channels whose numbers are kept, and inputs of each: the strongest


@dataclass
class Sums:
    """How the numbers of one layer are made.

    Args:
        kind: conv, deconv, max, avg, adaptive, batch, layer, group, act, join, softmax, attention, heads, matmul, resize, gates, moved;
            "" where nothing is summed, or nobody saw of what.
        outs: the channels it is told of, the strongest first.
        ins: for each of them the input channels that are told one by one, the strongest first; all others are one term.
        inputs: how many input channels each output has.
        numbers: plain values: k, s, p, d, eps, …
        arrays: values by output (and input): weight (outs, ins, taps), bias, mean …
        reads: what comes in, one for each input whose numbers are read where they lie.
    """

    kind: str
    outs: list[int]
    ins: list[list[int]] = field(default_factory=list)
    inputs: int = 0
    numbers: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    reads: list[Given] = field(default_factory=list)


def strengths(maps: torch.Tensor) -> torch.Tensor:
    """(C, h, w) → (C,): how strong each map is, the mean of its absolute values."""
    return maps.float().abs().mean((1, 2)).nan_to_num()


def order(maps: torch.Tensor) -> list[int]:
    """The channels, the strongest first."""
    return strengths(maps).sort(descending=True, stable=True).indices.tolist()


def sums_of(seen: Trace, step: Step, outs: int | None = OUTS, ins: int | None = INS, channel: int | None = None) -> Sums:
    """How the strongest channels of a layer are made.

    Args:
        outs, ins: how many output channels and inputs of each are told; None: all.
        channel: this one alone.
    """
    found = Sums("", order(step.maps)[:outs] if channel is None else [channel], reads=step.given)
    made = _KINDS.get(step.op)
    if step.op in JOINS:
        made = _join
    if made is None or not step.given:
        return found
    coming = seen.coming(step.given[0])
    if coming is None and step.op not in JOINS:
        return found
    made(seen, step, coming, found, ins)
    return found


def _numpy(value: torch.Tensor | None) -> np.ndarray | None:
    return None if value is None else value.detach().float().cpu().numpy()


def _weighted(seen: Trace, step: Step, coming: torch.Tensor, found: Sums, ins: int | None) -> None:
    """Convolutions, transposed ones, and products with a matrix, which are convolutions of one place."""
    weight, bias, groups = step.terms["weight"].detach(), step.terms["bias"], step.terms.get("groups", 1)
    if step.op == "linear":
        if coming.shape[1:] != step.maps.shape[1:] or coming.shape[0] != weight.shape[1]:
            return
        weight, plain = weight[:, :, None], {"k": (1, 1), "s": (1, 1), "p": (0, 0), "d": (1, 1)}
    else:
        plain = {key: tuple(step.terms[key]) for key in "kspd"}
        if step.op == "deconv":  # (in, out / groups, kh, kw) → (out, in / groups, taps)
            rows = weight.flatten(2).unflatten(0, (groups, -1)).transpose(1, 2)
            weight = rows.flatten(0, 1)
        else:
            weight = weight.flatten(2)
    each = weight.shape[1]
    about = strengths(coming)
    found.kind, found.inputs = ("deconv" if step.op == "deconv" else "conv"), each
    found.numbers = {key: list(value) for key, value in plain.items()} | {"shape": list(coming.shape[1:])}
    found.ins = _chosen(weight, about, found.outs, groups, ins, together=step.maps.shape[1:].numel() > 1)
    first = [out // (weight.shape[0] // groups) * each for out in found.outs]
    found.arrays["weight"] = np.stack(
        [_numpy(weight[out][[i - start for i in chosen]]) for out, start, chosen in zip(found.outs, first, found.ins, strict=True)]  # type: ignore[misc]
    )
    if bias is not None:
        found.arrays["bias"] = _numpy(bias[found.outs])  # type: ignore[assignment]


def _chosen(weight: torch.Tensor, about: torch.Tensor, outs: list[int], groups: int, ins: int | None, together: bool) -> list[list[int]]:
    """The input channels that move each output most: size of its weights times strength of the input.

    Args:
        together: the same inputs for all outputs of a group, those that move them most in sum: maps are long, and each is kept once.
    """
    each, wide = weight.shape[1], weight.shape[0] // groups
    many = each if ins is None else min(ins, each)
    chosen: list[list[int]] = []
    for out in outs:
        group = out // wide
        rows = [other for other in outs if other // wide == group] if together else [out]
        moved = weight[rows].abs().sum((0, 2)) * about[group * each : (group + 1) * each]
        chosen.append([group * each + int(i) for i in moved.sort(descending=True, stable=True).indices[:many]])
    return chosen


def _pool(seen: Trace, step: Step, coming: torch.Tensor, found: Sums, ins: int | None) -> None:
    found.kind = {"max_pool": "max", "avg_pool": "avg", "adaptive_avg": "adaptive", "adaptive_max": "adaptive", "mean": "adaptive"}[step.op]
    if coming.shape[0] != step.channels or (step.op == "mean" and not _over_places(step.maps, coming)):
        found.kind = ""
        return
    found.ins, found.inputs = [[out] for out in found.outs], 1
    found.numbers = {"shape": list(coming.shape[1:]), "to": list(step.maps.shape[1:]), "most": step.op.endswith("max")}
    if found.kind != "adaptive":
        found.numbers |= {key: list(step.terms[key]) for key in "kspd"}
        if found.kind == "avg":
            found.numbers |= {"count_padding": step.terms["count_padding"], "divisor": step.terms["divisor"]}


def _over_places(maps: torch.Tensor, coming: torch.Tensor) -> bool:
    """Whether a mean was taken over all places of each channel; over channels is another thing."""
    return maps.shape[1:].numel() == 1 and torch.allclose(maps.flatten(), coming.mean((1, 2)), rtol=1e-3, atol=1e-5)


def _batch(seen: Trace, step: Step, coming: torch.Tensor, found: Sums, ins: int | None) -> None:
    if not step.terms:
        return
    found.kind, found.ins, found.inputs = "batch", [[out] for out in found.outs], 1
    found.numbers = {"eps": step.terms["eps"]}
    _each(step, found, ("mean", "var", "weight", "bias"))


def _layer(seen: Trace, step: Step, coming: torch.Tensor, found: Sums, ins: int | None) -> None:
    if not step.terms["last"] or coming.shape != step.maps.shape:
        return
    found.kind, found.ins, found.inputs = "layer", [[out] for out in found.outs], 1
    mean, var = coming.double().mean(0), coming.double().var(0, correction=0)
    found.numbers = {"eps": step.terms["eps"]}
    found.arrays |= {"mean": mean.float().cpu().numpy(), "var": var.float().cpu().numpy()}  # (h, w): each place has its own
    _each(step, found, ("weight", "bias"))


def _group(seen: Trace, step: Step, coming: torch.Tensor, found: Sums, ins: int | None) -> None:
    found.kind, found.ins, found.inputs = "group", [[out] for out in found.outs], 1
    rows = coming.double().unflatten(0, (step.terms["groups"], -1)).flatten(1)
    wide = step.channels // step.terms["groups"]
    found.numbers = {"eps": step.terms["eps"]}
    for name, value in (("mean", rows.mean(1)), ("var", rows.var(1, correction=0))):
        found.arrays[name] = value[[out // wide for out in found.outs]].float().cpu().numpy()
    _each(step, found, ("weight", "bias"))


def _each(step: Step, found: Sums, names: tuple[str, ...]) -> None:
    """One value for each told channel."""
    for name in names:
        value = step.terms[name]
        if value is not None:
            found.arrays[name] = _numpy(value[found.outs])  # type: ignore[assignment]


def _act(seen: Trace, step: Step, coming: torch.Tensor, found: Sums, ins: int | None) -> None:
    if coming.shape != step.maps.shape:
        return
    found.kind, found.ins, found.inputs = "act", [[out] for out in found.outs], 1
    found.numbers = {key: value for key, value in step.terms.items() if key != "weight"}
    if step.terms.get("weight") is not None:  # of PReLU: one for all, or one for each
        found.arrays["weight"] = _numpy(step.terms["weight"].expand(step.channels)[found.outs])  # type: ignore[assignment]


def _join(seen: Trace, step: Step, coming: torch.Tensor | None, found: Sums, ins: int | None) -> None:
    """What is added or multiplied place by place; what is spread over places or channels is told as it is read."""
    whole = [joined(seen, step, given) for given in step.given]
    if any(one is None for one in whole):
        return
    found.kind, found.ins, found.inputs = "join", [[out] for out in found.outs], 1
    found.numbers = {"name": step.op, "number": step.terms.get("number")}


def joined(seen: Trace, step: Step, given: Given) -> torch.Tensor | None:
    """(C, h, w): one input of a sum as it is read at every place of what comes out."""
    raw = seen.raw(given)
    if raw is None:
        return None
    try:
        return maps_of(raw.expand(step.value.shape), step.layout)
    except RuntimeError:
        return None


_KINDS: dict[str, Any] = {
    "conv": _weighted, "deconv": _weighted, "linear": _weighted, "max_pool": _pool, "avg_pool": _pool, "adaptive_avg": _pool,
    "adaptive_max": _pool, "mean": _pool, "batch_norm": _batch, "layer_norm": _layer, "group_norm": _group, "act": _act,
    "softmax": mixing.softmax, "attention": mixing.attention, "matmul": mixing.matmul, "resize": mixing.resize,
    "recurrent": mixing.recurrent, "cat": moved.cat, "pad": moved.pad, "shuffle": moved.shuffle,
}  # fmt: skip


@dataclass
class Term:
    """One product of a sum: `value · weight`, of input `channel` at (y, x); a window beyond the edge reads 0."""

    channel: int
    y: int
    x: int
    value: float
    weight: float

    @property
    def product(self) -> float:
        return self.value * self.weight


@dataclass
class Account:
    """One number of a convolution or product with a matrix, taken apart: `total = bias + products + rest`.

    Args:
        terms: of the inputs that are told one by one.
        rest: what all others give together, and what 32 bits round off.
    """

    terms: list[Term]
    bias: float
    rest: float
    total: float


def account(seen: Trace, step: Step, sums: Sums, out: int, y: int, x: int) -> Account:
    """The sum behind output channel `out` at (y, x), as the page draws it.

    Raises:
        ValueError: the layer is no weighted sum, or this channel is not told.
    """
    if sums.kind not in ("conv", "deconv") or out not in sums.outs:
        raise ValueError(f"{step.key} has no sum for channel {out}")
    row = sums.outs.index(out)
    coming = seen.coming(step.given[0])
    assert coming is not None
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = (sums.numbers[key] for key in "kspd")
    height, width = sums.numbers["shape"]
    terms = []
    for place, channel in enumerate(sums.ins[row]):
        for tap in range(kh * kw):
            i, j = divmod(tap, kw)
            if sums.kind == "conv":
                at_y, at_x = y * sh - ph + i * dh, x * sw - pw + j * dw
            else:
                (at_y, odd_y), (at_x, odd_x) = divmod(y + ph - i * dh, sh), divmod(x + pw - j * dw, sw)
                if odd_y or odd_x:
                    continue
            inside = 0 <= at_y < height and 0 <= at_x < width
            value = float(coming[channel, at_y, at_x]) if inside else 0.0
            terms.append(Term(channel, at_y, at_x, value, float(sums.arrays["weight"][row, place, tap])))
    bias = float(sums.arrays["bias"][row]) if "bias" in sums.arrays else 0.0
    total = float(step.maps[out, y, x])
    return Account(terms, bias, total - bias - sum(term.product for term in terms), total)

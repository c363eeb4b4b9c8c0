"""Where one number comes from that mixes numbers by numbers: softmax, attention, products, interpolation, gates of a recurrence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from omma.inside.kinds import axis_of
from omma.inside.recurrent import states

if TYPE_CHECKING:
    from omma.inside.sums import Sums
    from omma.inside.trace import Step, Trace

NUMBERS = 65_536  # of one array that is told with a layer: more are told of no layer
TAPS = 16  # numbers a row of an interpolation is made of at most


def softmax(seen: Trace, step: Step, coming: torch.Tensor, found: Sums, ins: int | None) -> None:
    """e^(value − largest) ÷ sum of all such, along one axis: the largest and the sum are told, for every place."""
    axis = axis_of(step.layout, step.terms["dim"], step.value.dim())
    if axis == "t":  # in a row they are one side of the maps, in a grid none
        axis = "x" if step.layout.grid is None else None
    if axis is None or coming.shape != step.maps.shape:
        return
    along = "cyx".index(axis)
    values = coming.detach().double()
    most = values.amax(along)
    total = (values - most.unsqueeze(along)).exp().sum(along)
    rows = slice(None) if axis == "c" else found.outs
    found.kind, found.numbers = "softmax", {"axis": axis, "count": coming.shape[along]}
    found.arrays |= {"most": _plain(most[rows]), "total": _plain(total[rows])}
    # Of a vector all numbers are few enough to be told.
    alone = axis == "c" and coming.shape[1:].numel() == 1
    found.ins = [list(range(len(coming))) if alone else [out] for out in found.outs]
    found.inputs = len(found.ins[0])


def attention(seen: Trace, step: Step, coming: torch.Tensor, found: Sums, ins: int | None) -> None:
    """Σ share · value over the keys; shares are the softmax of query · key. Told for the channels of one head, that of the strongest."""
    raws = [seen.raw(given) for given in step.given]
    if len(raws) != 3 or any(one is None for one in raws):
        return
    if "causal" not in step.terms:
        _heads(seen, step, found)
        return
    query, key, value = (one[0] if one.dim() == 4 else one[:1] for one in raws if one is not None)  # (heads, tokens, width)
    if not query.shape[0] == key.shape[0] == value.shape[0] or max(query.numel(), key.numel()) > NUMBERS * len(query):
        return
    wide = value.shape[2]
    head = found.outs[0] // wide
    mask = _mask(step.terms["mask"], (*query.shape[:2], key.shape[1]), head)
    if isinstance(mask, torch.Tensor) and mask.numel() > NUMBERS:
        return
    found.kind, found.inputs, found.reads = "attention", 1, []
    found.outs = [out for out in found.outs if out // wide == head]
    found.ins = [[out] for out in found.outs]
    scale = step.terms["scale"] or query.shape[2] ** -0.5
    found.numbers = {
        "head": head, "wide": query.shape[2], "keys": key.shape[1], "scale": float(scale), "causal": bool(step.terms["causal"]),
        "prefix": step.layout.prefix, "across": step.maps.shape[2],
    }  # fmt: skip
    found.arrays |= {"q": _plain(query[head]), "k": _plain(key[head])}
    found.arrays["v"] = _plain(value[head][:, [out % wide for out in found.outs]].t())
    if mask is not None:
        found.arrays["mask"] = _plain(mask)


def _heads(seen: Trace, step: Step, found: Sums) -> None:
    """torch's own layer of many heads: Σ share · (value through the output weights) over heads and keys, and a bias."""
    terms, shares = step.terms, step.attention
    if not terms["plain"] or shares is None or (len(found.outs) > 1 and shares.numel() > NUMBERS):
        return
    rows = [seen.raw(given) for given in step.given]
    lifts = [None] * 3 if terms["lift"] is None else terms["lift"].detach().double().chunk(3)
    query, key, value = (
        F.linear(row[:, 0].double(), weight, lift).unflatten(1, (terms["heads"], -1)).transpose(0, 1)  # (heads, tokens, width)
        for row, weight, lift in zip(rows, terms["in"].detach().double().chunk(3), lifts, strict=True)
        if row is not None
    )
    scores = query @ key.transpose(1, 2) * query.shape[2] ** -0.5
    for head in range(terms["heads"]):
        mask = _mask(terms["mask"], tuple(scores.shape), head)
        scores[head] += 0 if mask is None else mask
    if not torch.allclose(scores.softmax(-1), shares.double(), atol=1e-4):  # something else had a say
        return
    onto = terms["out"].detach().double()[found.outs].unflatten(1, (terms["heads"], -1))  # (outs, heads, width)
    found.kind, found.inputs, found.reads, found.ins = "heads", 1, [], [[out] for out in found.outs]
    found.numbers = {"heads": terms["heads"], "keys": key.shape[1], "prefix": step.layout.prefix, "across": step.maps.shape[2]}
    found.arrays |= {"scores": _plain(scores), "shares": _plain(shares), "through": _plain(torch.einsum("ohd,hkd->ohk", onto, value))}
    if terms["out_bias"] is not None:
        found.arrays["bias"] = _plain(terms["out_bias"][found.outs])


def _mask(given: torch.Tensor | None, shape: tuple[int, ...], head: int) -> torch.Tensor | None:
    """(queries, keys) what is added to the scores of one head; far below zero where nothing is taken."""
    if given is None:
        return None
    whole = given.expand(1, *shape)[0, head] if given.dim() == 4 else given.expand(shape)[head]
    return torch.where(whole, 0.0, -1e30) if whole.dtype == torch.bool else whole.float().clamp_min(-1e30)


def matmul(seen: Trace, step: Step, coming: torch.Tensor, found: Sums, ins: int | None) -> None:
    """Σ left · right: a row of one matrix with a column of the other, for every head."""
    raws = [seen.raw(given) for given in step.given]
    if len(raws) != 2 or step.layout.kind != "chw" or any(one is None or one.dim() != 4 for one in raws):
        return
    left, right = (one[0] for one in raws if one is not None)
    if not len(left) == len(right) == step.channels:
        return
    each = max(left[0].numel(), right[0].numel())
    found.outs = found.outs[: max(1, NUMBERS // each)]
    found.kind, found.numbers, found.inputs, found.reads = "matmul", {"wide": left.shape[2]}, 1, []
    found.ins = [[out] for out in found.outs]
    found.arrays |= {"left": _plain(left[found.outs]), "right": _plain(right[found.outs])}


def resize(seen: Trace, step: Step, coming: torch.Tensor, found: Sums, ins: int | None) -> None:
    """Σ weight · value of the neighbours; the weights are those torch gives to each row and column."""
    sides = [_taps(step.terms, side, coming.shape[1 + side], step.maps.shape[1 + side]) for side in (0, 1)]
    if any(one is None for one in sides) or coming.shape[0] != step.channels:
        return
    found.kind, found.inputs, found.ins = "resize", 1, [[out] for out in found.outs]
    found.numbers = {"down": sides[0], "across": sides[1]}


def _taps(terms: dict[str, Any], side: int, length: int, out: int) -> list[list[list[float]]] | None:
    """For each place along a side, [where it reads], [by what weight]; None where it reads too many."""
    given: dict[str, Any] = {"mode": terms["mode"], "align_corners": terms["align"], "antialias": terms["antialias"]}
    if terms["factor"] is not None and not terms["recompute"]:
        factors = terms["factor"] if isinstance(terms["factor"], tuple | list) else (terms["factor"],) * 2
        given["scale_factor"] = tuple(float(factors[side]) if i == side else 1.0 for i in (0, 1))
    else:
        given["size"] = (out, 2) if side == 0 else (2, out)
    # Of each place alone, what does it give to every other? Two wide, for torch reads what is one wide as if it lay otherwise.
    ones = torch.eye(length).view(1, length, *((length, 1) if side == 0 else (1, length)))
    shown = F.interpolate(ones.repeat((1, 1, 1, 2) if side == 0 else (1, 1, 2, 1)), **given)[0]
    rows = (shown[:, :, 0] if side == 0 else shown[:, 0]).t()
    if rows.shape[0] != out or int((rows != 0).sum(1).max()) > TAPS:
        return None
    found = []
    for row in rows:
        places = row.nonzero().flatten().tolist() or [0]
        found.append([places, row[places].tolist()])
    return found


def recurrent(seen: Trace, step: Step, coming: torch.Tensor, found: Sums, ins: int | None) -> None:
    """The gates of the last layer: what the input and the state before give each of them, by the layer's own weights.

    Of a direction that reads backwards the state before is that of the step behind.
    """
    module, held = step.module, states(seen, step)
    if held is None or not isinstance(module, nn.RNNBase) or module.proj_size:
        return
    size, two = module.hidden_size, held.directions
    top = (module.num_layers - 1) * two  # the last layer's first row
    shown = torch.cat([held.hidden[top + way] for way in range(two)], 1)
    raw = seen.raw(step.given[0])
    if raw is None or not torch.allclose(shown, step.maps[:, 0].t(), atol=1e-4):
        return
    rows = torch.cat([held.hidden[top - two + way] for way in range(two)], 1) if top else raw[0] if module.batch_first else raw[:, 0]
    told = [_gates(module, top + way, rows.double(), held.before(top + way).double()) for way in range(two)]
    before, last = [held.before(top + way) for way in range(two)], [held.before_cell(top + way) for way in range(two)]
    found.kind, found.inputs, found.reads, found.ins = "gates", 1, [], [[out] for out in found.outs]
    cell = {nn.LSTM: "lstm", nn.GRU: "gru"}.get(type(module)) or str(getattr(module, "nonlinearity", "tanh"))
    found.numbers = {"cell": cell, "gates": told[0].shape[1], "steps": len(rows), "forwards": size}
    places = [divmod(out, size) for out in found.outs]
    found.arrays["gates"] = _plain(torch.stack([told[way][:, :, unit] for way, unit in places]))
    found.arrays["before"] = _plain(torch.stack([before[way][:, unit] for way, unit in places]))
    cells = [one[:, unit] for way, unit in places if (one := last[way]) is not None]
    if cells:
        found.arrays["cell"] = _plain(torch.stack(cells))


def _gates(module: nn.RNNBase, at: int, rows: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """(T, gates, H, 4): W x, its bias, U h and its bias for each gate of one layer and direction."""
    into, back, *lifts = (one.detach().double() for one in module.all_weights[at])
    none = into.new_zeros(len(into))
    lift, more = lifts or (none, none)
    parts = [rows @ into.t(), lift, before @ back.t(), more]
    return torch.stack([one.expand(len(rows), -1) for one in parts], 2).unflatten(1, (-1, module.hidden_size))


def _plain(value: torch.Tensor) -> np.ndarray:
    return value.detach().float().cpu().contiguous().numpy()

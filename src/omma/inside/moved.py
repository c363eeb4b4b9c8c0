"""Where one number comes from that was put somewhere else and not changed: joined side by side, padded, shuffled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from omma.inside.kinds import axis_of

if TYPE_CHECKING:
    from omma.inside.sums import Sums
    from omma.inside.trace import Given, Step, Trace

_BEYOND = -1  # a place of the padding that is nobody's


def cat(seen: Trace, step: Step, coming: torch.Tensor, found: Sums, ins: int | None) -> None:
    """Inputs side by side: which of them holds a number is told by where along the axis each begins."""
    raws = [seen.raw(given) for given in step.given]
    axis, dim = axis_of(step.layout, step.terms["dim"], step.value.dim()), step.terms["dim"]
    kinds = {given.layout.kind for given in step.given if given.place is not None and given.layout is not None}
    if axis is None or any(one is None for one in raws) or not kinds <= {step.layout.kind}:
        return
    # Numbers that were changed on their way by something nobody saw are not those that came out.
    if not _same(torch.cat([one for one in raws if one is not None], dim), step.value):
        return
    lengths = [one.shape[dim] for one in raws if one is not None]
    _told(step, found, {"axis": axis, "starts": [sum(lengths[:i]) for i in range(len(lengths))]})


def pad(seen: Trace, step: Step, coming: torch.Tensor, found: Sums, ins: int | None) -> None:
    """For each row, column and channel that which it was copied from; beyond the edge a constant has no such."""
    raw, terms, layout = seen.raw(step.given[0]), step.terms, step.layout
    if raw is None or not _same(_padded(raw, terms, terms["value"]), step.value):
        return
    numbers: dict[str, Any] = {"mode": terms["mode"], "value": terms["value"]}
    for place, (low, high) in enumerate(zip(terms["sides"][::2], terms["sides"][1::2], strict=True)):
        dim = step.value.dim() - 1 - place
        axis = axis_of(layout, dim, step.value.dim())
        if not low and not high:
            continue
        if axis is None or (axis == "t" and layout.grid is not None):
            return
        line = torch.arange(raw.shape[dim], dtype=torch.float64).view(1, 1, -1)
        whence = _padded(line, terms | {"sides": (low, high)}, _BEYOND)
        numbers["x" if axis == "t" else axis] = whence.flatten().int().tolist()
    _told(step, found, numbers)


def _padded(raw: torch.Tensor, terms: dict[str, Any], value: float) -> torch.Tensor:
    mode = terms["mode"]
    return F.pad(raw, terms["sides"], mode, value if mode == "constant" else None)


def shuffle(seen: Trace, step: Step, coming: torch.Tensor, found: Sums, ins: int | None) -> None:
    """Channels become places: times² of them are one, each of its own row and column of every square."""
    _told(step, found, {"times": step.terms["times"]})


def _told(step: Step, found: Sums, numbers: dict[str, Any]) -> None:
    """Which inputs there are, and how the tokens of each lie; no number is told twice."""
    found.kind, found.inputs, found.reads, found.ins = "moved", 1, [], [[out] for out in found.outs]
    lies = [_lies(given) for given in step.given]
    tokens = step.layout.kind in ("tc", "sbc")
    found.numbers = numbers | {"how": step.op, "from": lies, "tokens": tokens, "prefix": step.layout.prefix, "across": step.maps.shape[2]}


def _lies(given: Given) -> dict[str, Any]:
    """One input, for the page.

    "place": of the step it came from, None: of none; "moved": something lies between; "prefix", "across": of its tokens, None: one row.
    """
    layout = given.layout
    grid = None if layout is None else layout.grid
    return {
        "place": given.place, "moved": given.own is not None, "prefix": layout.prefix if layout and grid else 0,
        "across": None if grid is None else grid[1],
    }  # fmt: skip


def _same(one: torch.Tensor, two: torch.Tensor) -> bool:
    return one.shape == two.shape and torch.allclose(one.detach(), two, rtol=0, atol=0, equal_nan=True)

"""One number of a layer on demand: how it is made, with just the numbers that it is made of."""

from __future__ import annotations

from typing import Any

import torch

from omma.inside.sums import INS, Sums, joined, sums_of
from omma.inside.trace import JOINS, Given, Step, Trace

Box = tuple[int, int, int, int]  # top, left, bottom, right: the last two are not in it


def unit(seen: Trace, place: int, channel: int, y: int, x: int, ins: int | None = INS) -> dict[str, Any]:
    """{"sums", "row", "total"} of one unit, as the page's script reads them; values are float32, told exactly.

    Args:
        place: of the step.
        channel, y, x: the unit, on the step's maps.
        ins: how many inputs are told one by one; None: all.

    Raises:
        IndexError: there is no such unit.
    """
    if not 0 <= place < len(seen.steps):
        raise IndexError(place)
    step = seen.steps[place]
    if not (0 <= channel < step.maps.shape[0] and 0 <= y < step.maps.shape[1] and 0 <= x < step.maps.shape[2]):
        raise IndexError(channel)
    sums = sums_of(seen, step, ins=ins, channel=channel)
    row: dict[str, Any] = {"kind": sums.kind, "outs": sums.outs, "ins": sums.ins, "inputs": sums.inputs, "numbers": sums.numbers}
    row |= {name: value.ravel().tolist() for name, value in sums.arrays.items()} | _alone(seen, step, sums, y, x)
    row["reads"] = [_read(seen, step, sums, given, (channel, y, x)) for given in sums.reads] if sums.kind else []
    return {"sums": row, "row": 0, "total": float(step.maps[channel, y, x])}


def _alone(seen: Trace, step: Step, sums: Sums, y: int, x: int) -> dict[str, Any]:
    """Of arrays with a number for every unit only those of this one; of a softmax all that it is a share of."""
    n = sums.numbers
    if sums.kind == "softmax":
        coming, axis = seen.coming(step.given[0]), n["axis"]
        assert coming is not None
        line = coming[:, y, x] if axis == "c" else coming[sums.outs[0], :, x] if axis == "y" else coming[sums.outs[0], y]
        return {"line": line.detach().float().cpu().tolist()}
    if sums.kind in ("attention", "heads"):
        token = n["prefix"] + y * n["across"] + x
        n["asks"] = token
        if sums.kind == "heads":
            return {name: sums.arrays[name][:, token].ravel().tolist() for name in ("scores", "shares")}
        return {name: sums.arrays[name][token].tolist() for name in ("q", "mask") if name in sums.arrays}
    if sums.kind == "matmul":
        n["alone"] = True
        return {"left": sums.arrays["left"][0, y].tolist(), "right": sums.arrays["right"][0, :, x].tolist()}
    return {}


def _read(seen: Trace, step: Step, sums: Sums, given: Given, at: tuple[int, int, int]) -> dict[str, Any]:
    """The numbers of an input that one unit reads."""
    if step.op in JOINS:
        whole = joined(seen, step, given)
        assert whole is not None
        return _own(whole, [at[0]], (at[1], at[2], at[1] + 1, at[2] + 1))
    coming = seen.coming(given)
    if coming is None:
        return {}
    channels = sorted({i for one in sums.ins for i in one})
    return _own(coming, channels, _window(sums, at[1], at[2], tuple(coming.shape[1:])))  # type: ignore[arg-type]


def _own(maps: torch.Tensor, channels: list[int], box: Box) -> dict[str, Any]:
    top, left, bottom, right = box
    values = maps[channels, top:bottom, left:right].detach().float().cpu().flatten().tolist()
    return {"own": {"values": values, "channels": channels, "y": top, "x": left, "h": bottom - top, "w": right - left}}


def _window(sums: Sums, y: int, x: int, size: tuple[int, int]) -> Box:
    """The part of the maps that come in, from which a unit is made."""
    n = sums.numbers
    if sums.kind in ("conv", "max", "avg"):
        low = [at * n["s"][i] - n["p"][i] for i, at in enumerate((y, x))]
        high = [start + (n["k"][i] - 1) * n["d"][i] for i, start in enumerate(low)]
    elif sums.kind == "deconv":
        high = [(at + n["p"][i]) // n["s"][i] for i, at in enumerate((y, x))]
        low = [-((n["d"][i] * (n["k"][i] - 1) - at - n["p"][i]) // n["s"][i]) for i, at in enumerate((y, x))]
    elif sums.kind == "adaptive":
        low = [at * length // out for at, length, out in zip((y, x), n["shape"], n["to"], strict=True)]
        high = [-(-(at + 1) * length // out) - 1 for at, length, out in zip((y, x), n["shape"], n["to"], strict=True)]
    elif sums.kind == "resize":
        spans = [n["down"][y][0], n["across"][x][0]]
        low, high = [int(min(one)) for one in spans], [int(max(one)) for one in spans]
    else:
        low = high = [y, x]
    top, left = (min(max(0, at), size[i] - 1) for i, at in enumerate(low))
    bottom, right = (min(max(0, at), size[i] - 1) + 1 for i, at in enumerate(high))
    return top, left, max(bottom, top + 1), max(right, left + 1)

"""What part of the picture a unit can see: followed from layer to layer, so that any unit's is known; one unit's measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from omma.inside.kinds import LAYERS, Layout


@dataclass(frozen=True)
class Side:
    """Along one side: unit `i` sees the pixels `i · jump + low` to `i · jump + high`, both included; beyond the picture is nothing."""

    jump: float = 1.0
    low: float = 0.0
    high: float = 0.0

    def window(self, size: int, stride: float, before: float, apart: int = 1) -> Side:
        """Behind a window of `size` units, `apart` from one another, `stride` on for every unit, that begins `before` the first."""
        start = self.low - before * self.jump
        return Side(self.jump * stride, start, self.high + ((size - 1) * apart - before) * self.jump)

    def spread(self, size: int, stride: int, before: int, apart: int = 1) -> Side:
        """Behind a transposed convolution: unit `i` is made of those `j` with `i = j · stride − before + k · apart`."""
        least, most = (before - (size - 1) * apart) / stride, before / stride
        return Side(self.jump / stride, self.low + least * self.jump, self.high + most * self.jump)

    def enlarged(self, factor: float, reach: float) -> Side:
        """Behind an interpolation to `factor` times as many units; a unit is mixed of those within `reach`, 0 copies the nearest."""
        jump, middle = self.jump / factor, (0.5 / factor - 0.5) * self.jump
        around = max(reach, 1 - 1 / factor if factor > 1 else reach) * self.jump
        return Side(jump, self.low + middle - around, self.high + middle + around)

    def joined(self, other: Side) -> Side | None:
        """What either of two sees; None where they do not lie on the same grid."""
        if not math.isclose(self.jump, other.jump, rel_tol=1e-6):
            return None
        return Side(self.jump, min(self.low, other.low), max(self.high, other.high))


@dataclass(frozen=True)
class Field:
    """What the units of a layer see of the picture.

    Args:
        down, across: along its sides.
        whole: every unit may see all of it.
        gated: beside its window a unit is moved by numbers that were made of the whole picture (a gate, a norm over the map).
    """

    down: Side = Side()
    across: Side = Side()
    whole: bool = False
    gated: bool = False

    def json(self) -> dict[str, object]:
        """As the page draws it."""
        if self.whole:
            return {"whole": True}
        sides = {name: [side.jump, side.low, side.high] for name, side in (("down", self.down), ("across", self.across))}
        return sides | ({"gated": True} if self.gated else {})

    def box(self, y: int, x: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of what unit (y, x) sees, in pixels, both ends included; not cut at the picture's edge."""
        (top, bottom), (left, right) = (
            (math.floor(i * side.jump + side.low + 1e-6), math.ceil(i * side.jump + side.high - 1e-6))
            for i, side in ((y, self.down), (x, self.across))
        )
        return top, left, bottom, right


WHOLE = Field(whole=True)


def pair(value: object) -> tuple[int, int]:
    """One number for both sides, or two."""
    if isinstance(value, Sequence):
        return (int(value[0]), int(value[-1]))
    return (int(value), int(value))  # type: ignore[call-overload]


def through(op: str, field: Field, terms: dict, before: Sequence[int], after: Sequence[int]) -> Field:
    """The field behind a layer with one input.

    Args:
        op: the kind of layer, see `kinds.LAYERS`.
        terms: its numbers: k, s, p, d, and what else the kind has.
        before, after: (h, w) of what comes in and out.
    """
    if field.whole or op not in LAYERS.values():
        return field
    sides = (field.down, field.across)
    if op in ("conv", "max_pool", "avg_pool"):
        found = [side.window(terms["k"][i], terms["s"][i], terms["p"][i], terms["d"][i]) for i, side in enumerate(sides)]
    elif op == "deconv":
        found = [side.spread(terms["k"][i], terms["s"][i], terms["p"][i], terms["d"][i]) for i, side in enumerate(sides)]
    elif op in ("adaptive_avg", "adaptive_max", "mean"):
        if tuple(after) == (1, 1):
            return WHOLE
        found = [side.window(math.ceil(b / a) + (b % a > 0), b / a, 0) for side, b, a in zip(sides, before, after, strict=True)]
    elif op == "resize":
        reach = 0.0 if terms.get("mode", "nearest") == "nearest" else 2.0 if terms["mode"] == "bicubic" else 1.0
        found = [side.enlarged(a / b, reach * max(1, b / a)) for side, b, a in zip(sides, before, after, strict=True)]
    elif op == "shuffle":
        times = terms["times"]
        found = [Side(side.jump / times, side.low - side.jump * (times - 1) / times, side.high) for side in sides]
    elif op == "pad":
        found = [side.window(1, 1, begin) for side, begin in zip(sides, terms["p"], strict=True)]
    elif op == "group_norm":
        return Field(*sides, gated=True)
    else:
        return field
    return Field(found[0], found[1], gated=field.gated)


def together(fields: Sequence[Field | None], full: Sequence[bool]) -> Field | None:
    """The field of what is joined; None where one is not known, or the grids do not fit.

    Args:
        full: whether each lies place by place on the others; what is spread over all places is a gate.
    """
    known = [field for field, here in zip(fields, full, strict=True) if here]
    if not known or any(field is None for field in known):
        return None
    gated = not all(full) or any(field.gated for field in known if field)
    if any(field.whole for field in known if field):
        return WHOLE
    down, across = known[0].down, known[0].across  # type: ignore[union-attr]
    for field in known[1:]:
        assert field is not None
        one, two = down.joined(field.down), across.joined(field.across)
        if one is None or two is None:
            return None
        down, across = one, two
    return Field(down, across, gated=gated)


def carried(field: Field | None, layout: Layout | None, before: torch.Tensor, after: torch.Tensor) -> tuple[Field | None, Layout | None]:
    """Field and layout of numbers that were moved: kept while their places still lie side by side.

    Args:
        before, after: the tensors.
    """
    if before.shape == after.shape:
        return field, layout
    grid = None if layout is None else layout.grid or _grid(before, layout)
    fresh = _turned(before, after, layout) or _laid(after, grid, layout)
    if field is None or field.whole or grid is None or grid[0] * grid[1] == 1:
        return (WHOLE if field is not None and after.dim() == 2 else field), fresh
    shape, (rows, columns) = tuple(after.shape), grid
    beside = any(shape[i : i + 2] == (rows, columns) for i in range(1, len(shape)))
    in_line = any(rows * columns + (layout.prefix if layout else 0) == length for length in shape[1:])
    if after.dim() == 2:
        return WHOLE, fresh
    return (field if beside or in_line else None), fresh


def _grid(value: torch.Tensor, layout: Layout) -> tuple[int, int] | None:
    if value.dim() == 4:
        kinds = {"chw": (2, 3), "hwc": (1, 2)}
        return (int(value.shape[kinds[layout.kind][0]]), int(value.shape[kinds[layout.kind][1]])) if layout.kind in kinds else None
    return None


def _turned(before: torch.Tensor, after: torch.Tensor, layout: Layout | None) -> Layout | None:
    """Of a view with its dimensions in another order: told by where the channels' stride went, since sizes may be alike."""
    if layout is None or layout.kind not in ("chw", "hwc") or not before.dim() == after.dim() == 4 or before.data_ptr() != after.data_ptr():
        return None
    dim = 1 if layout.kind == "chw" else 3
    went = [i for i in (1, 2, 3) if (after.stride(i), after.shape[i]) == (before.stride(dim), before.shape[dim])]
    return None if len(went) != 1 or went == [2] else Layout("chw" if went == [1] else "hwc", sure=layout.sure or went == [3])


def _laid(after: torch.Tensor, grid: tuple[int, int] | None, before: Layout | None) -> Layout | None:
    """How what was moved lies: tokens remember the grid they came from."""
    kind = {2: "c", 3: "tc", 4: "chw"}.get(after.dim())
    if kind is None:
        # Not to be shown, but the grid must not be lost on the way to heads and back.
        return None if grid is None else Layout("none", before.prefix if before else 0, grid)
    prefix = before.prefix if before else 0
    if kind == "tc" and grid is not None and after.shape[1] == grid[0] * grid[1] + prefix:
        return Layout(kind, prefix, grid)
    if kind == "chw" and grid is not None and tuple(after.shape[1:3]) == grid and tuple(after.shape[2:]) != grid:
        return Layout("hwc", sure=True)
    return Layout(kind, prefix, grid if kind == "tc" else None)

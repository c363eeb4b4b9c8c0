"""Star-convex objects: how far pixels are from the border of their object along rays, and from rays back to outlines and masks.

After Schmidt et al. 2018, "Cell detection with star-convex polygons" (StarDist). Ray 0 points right; the rays go round clockwise as seen.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch.nn import functional as F

# Objects are walked through in steps of a power of two: about this many from the middle to the border, however large they are.
_STRIDES = 8
_RINGS = 3  # sample points of an overlap on each ray
_ROWS = 1 << 14  # pixels whose rays are walked at once
_CANVAS = 1 << 20  # pixels of boxes that outlines are drawn in at once


class Stars(NamedTuple):
    """What `measure` finds at the N places of the grid that lie in an object.

    Args:
        place: (N,) int64, flat place in the (B, h, w) grid.
        label: (N,) int64, value of the label map there.
        reach: (N, R) float32, pixels from the pixel's centre to the border of its object.
        cut: (N, R) bool, the ray ended at the edge of what is known: the object reaches so far at least.
        depth: (N,) float32 in (0, 1], distance to the nearest border over the largest such distance in its object.
    """

    place: torch.Tensor
    label: torch.Tensor
    reach: torch.Tensor
    cut: torch.Tensor
    depth: torch.Tensor


def directions(rays: int) -> torch.Tensor:
    """(R, 2) float32 unit vectors x, y."""
    angle = torch.arange(rays, dtype=torch.float64) * (2 * math.pi / rays)
    return torch.stack([angle.cos(), angle.sin()], 1).float()


def measure(objects: torch.Tensor, rays: int, stride: int = 1, some: slice = slice(None)) -> Stars:
    """Distances to the border from every `stride`-th pixel that lies in an object.

    Rays are walked pixel by pixel as digital lines, in large objects by longer steps that are halved at the end; a gap narrower than an
    eighth of an object's radius may so be stepped over.

    Args:
        objects: (B, H, W) int16 label map: 0 = background, −1 = not known; beyond the picture nothing is known either.
        rays: how many.
        stride: of the grid; its places are pixels 0, stride, 2 · stride … of rows and columns.
        some: which of the rays are walked; R of them.
    """
    grid = objects[:, ::stride, ::stride]
    place = (grid.flatten() > 0).nonzero()[:, 0]
    label = grid.flatten()[place].long()
    across = grid.shape[2]
    picture, spot = place // (grid.shape[1] * across), place % (grid.shape[1] * across)
    # One number for each object of the batch.
    most = int(label.max()) + 1 if len(label) else 1
    name = picture * most + label
    area = torch.bincount(name, minlength=len(objects) * most) * stride**2
    step = 2 ** (area.float().clamp_min(1) / math.pi).sqrt().div(_STRIDES).clamp_min(1).log2().floor().long()[name]
    margin = int(step.max()) if len(step) else 1
    padded = F.pad(objects, (margin,) * 4, value=-1)
    row, column = spot // across * stride + margin, spot % across * stride + margin
    base = (picture * padded.shape[1] + row) * padded.shape[2] + column
    table, pace = _lines(rays, max(objects.shape[1:]) + 2 * margin, padded.shape[2], objects.device)
    table, pace = table[:, some].contiguous(), pace[some]
    reach = torch.empty(len(place), len(pace), device=objects.device)
    cut = torch.empty(len(place), len(pace), dtype=torch.bool, device=objects.device)
    for size in sorted(set(step.tolist())) if margin > 1 else [1]:
        for rows in (step == size).nonzero()[:, 0].split(_ROWS):  # what fits into a cache
            count, beyond = _walk(padded.flatten(), base[rows], table, size)
            reach[rows], cut[rows] = (count + 0.5) * pace, beyond < 0
    nearest = reach.masked_fill(cut, math.inf).amin(1).clamp_max(float(max(objects.shape[1:])))
    widest = torch.ones(len(area), device=objects.device).scatter_reduce_(0, name, nearest, "amax", include_self=False)
    return Stars(place, label, reach, cut, nearest / widest[name])


def _lines(rays: int, longest: int, across: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(T, R) int64: offset in a flat map `across` pixels wide after t steps of digital lines, and (R,) length of one step."""
    way = directions(rays).double()
    pace = 1 / way.abs().amax(1)
    steps = torch.arange(longest + 1, dtype=torch.float64)[:, None, None] * (way * pace[:, None])
    # Rounding noise must not tell a ray from its mirror image.
    x, y = steps.mul(1e6).round().div(1e6).round().long().unbind(2)
    return (y * across + x).to(device), pace.float().to(device)


def _spot(steps: torch.Tensor, rays: int) -> torch.Tensor:
    """(N, R) steps along each ray → places in the flat table of `_lines`."""
    return steps.long() * rays + torch.arange(rays, device=steps.device)


def _walk(flat: torch.Tensor, base: torch.Tensor, table: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, R) int32 steps along each ray before another label comes, for pixels at `base`, walked `size` at a time; and that label."""
    rays = table.shape[1]
    own, found = flat[base][:, None], torch.zeros(len(base), rays, dtype=torch.int32, device=base.device)
    rows, from_, label = torch.arange(len(base), device=base.device), base[:, None], own
    inside = torch.ones(len(base), rays, dtype=torch.bool, device=base.device)
    count, step = torch.zeros_like(found), 0
    while len(rows):
        step += size
        # Where a ray has ended nothing is looked at; it may be far outside.
        inside &= flat[(from_ + table[step]).clamp_(0, len(flat) - 1)] == label
        count += inside
        going = inside.any(1).nonzero()[:, 0]
        if 4 * len(going) < 3 * len(rows):  # copying costs too
            found[rows] = count
            rows, from_, label, inside, count = rows[going], from_[going], label[going], inside[going], count[going]
    found *= size
    while size > 1:
        size //= 2
        ahead = flat[base[:, None] + table.flatten()[_spot(found + size, rays)]] == own
        found += ahead * size
    return found, flat[base[:, None] + table.flatten()[_spot(found + 1, rays)]]


def outlines(centres: torch.Tensor, reach: torch.Tensor) -> torch.Tensor:
    """(…, 2) centres x, y and (…, R) distances → (…, R, 2) vertices x, y."""
    return centres[..., None, :] + reach[..., None] * directions(reach.shape[-1]).to(reach.device)


def areas(reach: torch.Tensor) -> torch.Tensor:
    """(…, R) distances → (…) area of the star polygon."""
    return (reach * reach.roll(-1, -1)).sum(-1) * (math.sin(2 * math.pi / reach.shape[-1]) / 2)


def inside(points: torch.Tensor, reach: torch.Tensor) -> torch.Tensor:
    """(…, P, 2) points relative to the centre of the star polygon with (…, R) distances → (…, P) bool, in exportable arithmetic.

    A point lies between two rays; there the polygon is a triangle, whose far side the point is before or beyond.
    """
    rays = reach.shape[-1]
    sector = 2 * math.pi / rays
    x, y = points.unbind(-1)
    angle = torch.atan2(y, x)
    angle = torch.where(angle < 0, angle + 2 * math.pi, angle)
    left = (angle / sector).floor().clamp(0, rays - 1)
    angle = angle - left * sector
    far = points.square().sum(-1).sqrt()
    left = left.long()
    flat = 1 / reach.clamp_min(1e-6)
    near, next_ = flat.gather(-1, left), flat.roll(-1, -1).gather(-1, left)
    return far * (torch.sin(sector - angle) * near + torch.sin(angle) * next_) <= math.sin(sector)


def shared(centres: torch.Tensor, reach: torch.Tensor, partners: torch.Tensor) -> torch.Tensor:
    """Which part of the smaller of two star polygons the other covers, for some pairs, by sample points; exportable arithmetic.

    Args:
        centres: (B, K, 2) x, y.
        reach: (B, K, R) distances.
        partners: (B, K, J) int64, with which others each is compared.

    Returns:
        (B, K, J) float32, intersection over the smaller area.
    """
    count, rays = reach.shape[1:]
    index = partners.flatten(1)[..., None]
    theirs = reach.gather(1, index.expand(-1, -1, rays)).view(-1, count, partners.shape[2], rays)
    ours = reach[:, :, None].expand_as(theirs)
    between = centres[:, :, None] - centres.gather(1, index.expand(-1, -1, 2)).view(-1, count, partners.shape[2], 2)
    # Points of the smaller, seen from the middle of the larger.
    less = (areas(ours) <= areas(theirs))[..., None]
    small, large = torch.where(less, ours, theirs), torch.where(less, theirs, ours)
    between = torch.where(less, between, -between)
    # In the triangle between two rays: rings of equal area, on the way to the middle of its far side.
    rings = ((torch.arange(_RINGS, device=reach.device) + 0.5) / _RINGS).sqrt()
    corners = small[..., None] * directions(rays).to(reach.device)
    middle = (corners + corners.roll(-1, -2)) / 2
    points = (middle[..., None, :, :] * rings[:, None, None] + between[..., None, None, :]).flatten(-3, -2)
    share = small * small.roll(-1, -1)
    share = share / share.sum(-1, keepdim=True).clamp_min(1e-6)
    covered = inside(points, large).to(reach.dtype).unflatten(-1, (_RINGS, rays)).mean(-2)
    return (covered * share).sum(-1)


def paste(vertices: torch.Tensor, down: torch.Tensor, across: torch.Tensor) -> torch.Tensor:
    """Polygons as masks: pixels whose centre lies inside; any polygons, also stretched and moved ones; exportable arithmetic.

    Along each row of pixels the sides that cross it are counted, those that go down less those that go up: 0 is outside.

    Args:
        vertices: (…, K, R, 2) x, y in pixels of the picture, from the corner of its first pixel. One without area covers nothing.
        down, across: (H,) and (W,), as many ones as the picture has rows and columns; see `data/spatial/place.py`.

    Returns:
        (…, K, H, W) bool.
    """
    if torch.compiler.is_exporting() or torch.jit.is_tracing():
        return _pasted(vertices.flatten(0, -3), down, across).view(*vertices.shape[:-2], down.shape[0], across.shape[0])
    # Each within its box, those of like size together: pages that nothing is written on take no memory.
    masks = torch.zeros(*vertices.shape[:-2], len(down), len(across), dtype=torch.bool, device=vertices.device)
    limits = torch.tensor([len(across), len(down)], device=vertices.device)
    flat = vertices.flatten(0, -3)
    low, high = flat.amin(1).floor().clamp_min(0).long(), torch.minimum(flat.amax(1).ceil().long(), limits)
    sides, pages = high - low, masks.flatten(0, -3)
    seen = (sides > 0).all(1).nonzero()[:, 0]
    order = seen[sides[seen].amax(1).argsort(descending=True)]
    while len(order):
        some = order[: max(1, _CANVAS // int(sides[order[0]].max()) ** 2)]
        order = order[len(some) :]
        wide, tall = sides[some].amax(0).tolist()
        patches = _pasted(flat[some] - low[some][:, None], down.new_ones(tall), across.new_ones(wide))
        for page, patch, (left, top), (x, y) in zip(some.tolist(), patches, low[some].tolist(), sides[some].tolist(), strict=True):
            pages[page, top : top + y, left : left + x] = patch[:y, :x]
    return masks


def _pasted(vertices: torch.Tensor, down: torch.Tensor, across: torch.Tensor) -> torch.Tensor:
    """(K, R, 2) → (K, H, W) bool."""
    row = (torch.cumsum(torch.ones_like(down, dtype=vertices.dtype), 0) - 0.5)[:, None]
    x, y = vertices[:, None].unbind(3)  # (K, 1, R)
    x_next, y_next = x.roll(-1, 2), y.roll(-1, 2)
    turn = (y_next > row).to(torch.int32) - (y > row).to(torch.int32)  # ±1 where the side crosses the row of pixels
    rise = y_next - y
    part = (row - y) / torch.where(rise == 0, torch.ones_like(rise), rise)
    crossing = x + part.clamp(0, 1) * (x_next - x)
    wide = torch.ones_like(across, dtype=vertices.dtype).sum()
    first = torch.minimum(torch.ceil(crossing - 0.5).clamp_min(0), wide).long()  # the first pixel right of it
    wound = torch.zeros(vertices.shape[0], down.shape[0], across.shape[0] + 1, dtype=torch.int32, device=vertices.device)
    return wound.scatter_add(2, first, turn).cumsum(2, dtype=torch.int32)[:, :, :-1] != 0

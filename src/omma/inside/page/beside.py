"""What a page shows beside the layers: the picture, eyes nobody trained, and the training of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from omma.data.moving.sampled import moments, poster
from omma.inside import classical
from omma.inside.look import Inside
from omma.inside.page.parts import Parts, short, smaller
from omma.inside.trace import PICTURE

EYES = 112  # pixels of what other eyes see


def shown(parts: Parts, frame: np.ndarray, side: int) -> dict[str, Any]:
    """A frame (h, w, C) uint8 in colour, for the eye: of a clip or volume the moment in the middle."""
    frame = poster(frame, moments(frame.shape[2]))
    colour = frame[:, :, :3] if frame.shape[2] >= 3 else frame[:, :, :1].repeat(3, 2)
    planes = np.rint(smaller(colour.transpose(2, 0, 1).astype(np.float32), side)).astype(np.uint8)
    return {"rgb": parts.bytes8(planes), "h": planes.shape[1], "w": planes.shape[2], "of": list(frame.shape[:2])}


def classical_of(found: Inside, parts: Parts, full: bool) -> dict[str, Any] | None:
    """The same picture by eyes that nobody trained, and the first layer's learned filters."""
    frame = found.before.frame
    if not frame.size or min(frame.shape[:2]) < 2 * classical.CELL:
        return None
    grey = classical.grey_of(frame)
    down, across = classical.sobel(grey)
    bank = classical.gabor(grey)
    cells = classical.hog(grey)
    maps = [down, across, np.hypot(down, across), classical.canny(grey).astype(float), *(answer for *_, answer in bank)]
    names = [
        ["sobel_down"],
        ["sobel_across"],
        ["sobel"],
        ["canny"],
        *(["gabor", wave, round(np.degrees(turn), 1)] for wave, turn, *_ in bank),
    ]
    row: dict[str, Any] = {
        "names": names,
        "pic": parts.pictures(smaller(np.array(maps, np.float32), max(maps[0].shape) if full else EYES)),
    }
    row["kernels"] = [parts.pictures(kernel[None].astype(np.float32)) for _, _, kernel, _ in bank]
    row["hog"] = {"part": parts.floats(cells), "shape": list(cells.shape)}
    first = next((i for i, step in enumerate(found.seen.steps) if step.op == "conv" and PICTURE in {one.place for one in step.given}), None)
    if first is not None:
        weight = found.seen.steps[first].terms["weight"].detach().float().cpu().numpy()
        row["filters"] = {"step": first, **filters_of(parts, weight)}
    return row


def course_of(found: Inside, parts: Parts, side: int) -> dict[str, Any]:
    """Filters and maps at each checkpoint, and the loss around the last."""
    row: dict[str, Any] = {"moments": []}
    places = {step.key: place for place, step in enumerate(found.seen.steps)}
    for moment in found.moments:
        one: dict[str, Any] = {"step": moment.step, "maps": {}}
        if moment.filters is not None:
            one["filters"] = filters_of(parts, moment.filters)
        for key, maps in moment.maps.items():
            if key in places and maps:
                stack = smaller(np.stack(list(maps.values())), side)
                one["maps"][str(places[key])] = {"outs": list(maps), **parts.pictures(stack)}
        row["moments"].append(one)
    if found.surface is not None:
        plane = found.surface
        row["surface"] = {
            "axis": short(plane.axis), "losses": [short(one) for one in plane.losses], "pictures": plane.pictures, "drawn": plane.drawn,
            "marks": {str(step): short(mark) for step, mark in plane.marks.items()},
        }  # fmt: skip
    return row


def filters_of(parts: Parts, weight: np.ndarray) -> dict[str, Any]:
    """Kernels (outputs, inputs, kh, kw) as pictures: in colour where three channels are read, else the first one's; all on one scale."""
    top = float(np.abs(weight).max()) or 1.0
    planes = weight[:, :3] if weight.shape[1] == 3 else weight[:, :1].repeat(3, 1)
    pixels = np.rint((planes / top + 1) * 127.5).astype(np.uint8)
    return {
        "rgb": parts.bytes8(pixels.reshape(-1, *pixels.shape[2:])),
        "count": len(pixels),
        "h": pixels.shape[2],
        "w": pixels.shape[3],
        "top": short([top])[0],
    }

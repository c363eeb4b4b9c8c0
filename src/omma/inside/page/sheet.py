"""What a page shows of a look inside, as plain values and packed parts; what is left out is counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from omma.inside.look import Inside
from omma.inside.page.beside import EYES, classical_of, course_of, shown
from omma.inside.page.parts import Parts, short, smaller
from omma.inside.recurrent import states
from omma.inside.slopes import Health, Slopes
from omma.inside.sums import INS, OUTS, Sums, joined, strengths, sums_of
from omma.inside.trace import JOINS, PICTURE, Given, Step
from omma.words import both

# An ordinary page shows maps as large as keeps all of them under so many pixels, and exact numbers of as large a middle.
PIXELS, NUMBERS = 14_000_000, 3_500_000
SIDES = (448, 224, 112, 56, 28, 14)
QUERIES = 256  # tokens whose shares are shown, of more
SLOPE_SIDE = 28  # pixels of a gradient's pictures, and of those of earlier checkpoints


@dataclass
class Sheet:
    """A page's content.

    Args:
        data: plain values.
        parts: numbers and pictures that `data` points to.
        left: what is not on the page, in both languages.
    """

    data: dict[str, Any]
    parts: Parts
    left: list[dict[str, str]] = field(default_factory=list)


def sheet(found: Inside, full: bool = False) -> Sheet:
    """Everything of a look inside, packed.

    Args:
        full: leave nothing out: all channels exactly, all inputs of every sum, maps at their own size.
    """
    return Writing(found, full, Parts()).write()


class Writing:
    """One page while it is written."""

    def __init__(self, found: Inside, full: bool, parts: Parts) -> None:
        self.found, self.full, self.parts = found, full, parts
        self.steps = found.seen.steps
        self.maps = [step.maps.float().cpu().numpy() for step in self.steps]
        self.sums = [sums_of(found.seen, step, *((None, None) if full else (OUTS, INS))) for step in self.steps]
        self.side = self._side(PIXELS, [one.shape for one in self.maps])
        self.wanted = self._wanted()
        self.window = self._side(NUMBERS, [(len(self.wanted[i]), *maps.shape[1:]) for i, maps in enumerate(self.maps)])

    def _side(self, most: int, shapes: list[tuple[int, ...]]) -> int | None:
        """The largest side of maps at which all of them together hold at most so many numbers; None: as they are."""
        if self.full:
            return None
        for side in SIDES:
            total = 0
            for count, *sides in shapes:
                total += count * int(np.prod([min(side, length) for length in sides]))
            if total <= most:
                return side
        return SIDES[-1]

    def _wanted(self) -> list[list[int]]:
        """The channels of every step whose exact numbers something shown is made of, in order."""
        wanted: list[set[int]] = [set(one.outs) for one in self.sums]
        for one in self.sums:
            if not one.kind:
                continue
            for given in one.reads:
                if given.own is None and given.place is not None and given.place >= 0:
                    channels = {i for ins in one.ins for i in ins}
                    wanted[given.place] |= {i for i in channels if i < self.steps[given.place].channels}
        return [sorted(one) for one in wanted]

    def write(self) -> Sheet:
        found = self.found
        rows = [self._step(place) for place in range(len(self.steps))]
        data = {
            "title": found.subject.title,
            "task": type(found.subject.bundle.task).__name__.lower(),
            "picture": self._picture(),
            "answer": _said(found),
            "asks": [{"about": one.about, "score": short([one.score])[0]} for one in found.slopes],
            "notes": found.notes,
            "modules": self._modules(),
            "steps": rows,
            "unseen": found.seen.unseen,
            "slopes": [self._picture_slope(one) for one in found.slopes],
            "classical": classical_of(found, self.parts, self.full),
        }
        if found.peaks is not None:
            data["peaks"] = [
                shown(self.parts, frame, 96) | {"name": name} for frame, name in zip(found.peaks.frames, found.peaks.names, strict=True)
            ]
        if found.moments:
            data["course"] = course_of(found, self.parts, max(SIDES) if self.full else SLOPE_SIDE)
        left = self._left()
        data["left"] = left
        return Sheet(data, self.parts, left)

    # ── one step ────────────────────────────────────────────────────────────────────────────────────────────

    def _step(self, place: int) -> dict[str, Any]:
        step, sums = self.steps[place], self.sums[place]
        row: dict[str, Any] = {
            "key": step.key, "path": step.path, "word": step.word, "op": step.op, "shape": list(step.value.shape), "kind": step.layout.kind,
            "prefix": step.layout.prefix, "c": len(self.maps[place]), "h": self.maps[place].shape[1], "w": self.maps[place].shape[2],
            "reads": sorted({given.place for given in step.given if given.place is not None}), "seconds": short([step.seconds], 3)[0],
            "macs": step.macs, "parameters": _own_parameters(step), "field": None if step.field is None else step.field.json(),
            "strength": short(strengths(step.maps).cpu(), 4), "pic": self._pictures(place), "exact": self._exact(place),
            "sums": self._sums(place, sums), "slopes": [self._slopes(one, place, i == 0) for i, one in enumerate(self.found.slopes)],
        }  # fmt: skip
        if step.attention is not None:
            row["attention"] = self._attention(step)
        held = states(self.found.seen, step)
        if held is not None:
            row["states"] = {
                name: {"part": self.parts.floats(value.float().cpu().numpy()), "shape": list(value.shape), "ways": held.directions}
                for name, value in (("hidden", held.hidden), ("cell", held.cell))
                if value is not None
            }
        if (one := self.found.health.get(place)) is not None:
            row["health"] = ill(one)
        peaks = self.found.peaks
        if peaks is not None and step.key in peaks.best:
            best = peaks.best[step.key]
            row["peaks"] = {"places": best[:, :, :3].astype(int).tolist(), "values": [short(one, 4) for one in best[:, :, 3]]}
            row["dead_always"] = peaks.dead.get(step.key, [])
        return row

    def _pictures(self, place: int) -> dict[str, Any]:
        """All channels as 8-bit pictures; what is a function of each number of an earlier layer is drawn from that one's pictures."""
        step, given = self.steps[place], self.steps[place].given
        source = given[0].place if given and given[0].own is None else None
        plain = (
            step.op in ("act", "batch_norm") and source is not None and source >= 0 and self.maps[source].shape == self.maps[place].shape
        )
        if plain and not self.full:
            if step.op == "act" and step.terms["name"] != "prelu":
                return {"of": source, "name": step.terms["name"], **{k: v for k, v in step.terms.items() if isinstance(v, float | str)}}
            if step.op == "batch_norm" and step.terms:
                gain, lift = _affine(step)
                return {"of": source, "gain": short(gain), "lift": short(lift)}
        return self.parts.pictures(smaller(self.maps[place], self._side_of(place) or max(self.maps[place].shape[1:])))

    def _side_of(self, place: int) -> int | None:
        """The largest side at which a step's maps are shown; None: as they are."""
        return self.side

    def _exact(self, place: int) -> dict[str, Any]:
        return self._numbers(self.maps[place], self.wanted[place])

    def _numbers(self, maps: np.ndarray, channels: list[int]) -> dict[str, Any]:
        """Float32 of some channels: all places, or a window around the middle."""
        side = self.window or max(maps.shape[1:])
        (y, tall), (x, wide) = ((max(0, (length - side) // 2), min(side, length)) for length in maps.shape[1:])
        return {
            "part": self.parts.floats(maps[channels, y : y + tall, x : x + wide]),
            "channels": channels,
            "y": y,
            "x": x,
            "h": tall,
            "w": wide,
        }

    def _sums(self, place: int, sums: Sums) -> dict[str, Any]:
        row: dict[str, Any] = {"kind": sums.kind, "outs": sums.outs}
        if not sums.kind:
            return row
        row |= {"inputs": sums.inputs, "numbers": sums.numbers, "reads": [self._read(place, given, sums) for given in sums.reads]}
        if sums.kind in ("conv", "deconv"):
            row["ins"] = sums.ins
        for name, value in sums.arrays.items():
            row[name] = {"part": self.parts.floats(value)} if value.size > 64 else short(value, 9)
        return row

    def _read(self, place: int, given: Given, sums: Sums) -> dict[str, Any]:
        """Where the numbers lie that come in: with an earlier step, with the picture, or here."""
        step = self.steps[place]
        if step.op in JOINS:
            whole = joined(self.found.seen, step, given)
            source = None if given.place is None or given.place < 0 else self.maps[given.place].shape
            if given.own is None and source == self.maps[place].shape:
                return {"step": given.place}
            assert whole is not None
            # What is the same at every place is kept once.
            few = whole[:, : 1 if whole.stride(1) == 0 else None, : 1 if whole.stride(2) == 0 else None]
            return {"own": self._numbers(few.detach().float().cpu().numpy(), sums.outs)}
        if given.own is None and given.place is not None:
            return {"picture": True} if given.place == PICTURE else {"step": given.place}
        coming = self.found.seen.coming(given)
        assert coming is not None
        return {"own": self._numbers(coming.detach().float().cpu().numpy(), sorted({i for ins in sums.ins for i in ins}))}

    def _attention(self, step: Step) -> dict[str, Any]:
        assert step.attention is not None
        shares = step.attention.float().cpu().numpy()
        queries = np.arange(shares.shape[1])
        if not self.full and len(queries) > QUERIES:
            queries = np.unique(np.linspace(0, len(queries) - 1, QUERIES).astype(int))
        shares = shares[:, queries]
        most = shares.max(2)
        pixels = np.rint(shares / np.maximum(most, 1e-30)[:, :, None] * 255).astype(np.uint8)
        return {"part": self.parts.bytes8(pixels), "heads": len(shares), "queries": queries.tolist(), "keys": shares.shape[2],
                "most": self.parts.floats(most)}  # fmt: skip

    def _slopes(self, found: Slopes, place: int, wholly: bool) -> dict[str, Any] | None:
        """The gradient at a step: its size, each channel's, and where it lies; `wholly`: the strongest channels' maps too."""
        slope = found.maps.get(place)
        if slope is None:
            return None
        maps = slope.float().cpu().numpy()
        row: dict[str, Any] = {"size": short([found.size(place) or 0.0], 5)[0]}
        side = max(maps.shape[1:]) if self.full else SLOPE_SIDE
        row["pic"] = self.parts.pictures(smaller(np.abs(maps).sum(0, keepdims=True), side))
        kernel = found.kernels.get(place)
        if kernel is not None:
            weight = self.steps[place].terms["weight"]
            row["kernel"] = short([float(kernel.float().norm()), float(weight.detach().float().norm())], 5)
        if wholly:
            row["strength"] = short(strengths(slope).cpu(), 4)
            outs = self.sums[place].outs
            row["maps"] = {"outs": outs, **self.parts.pictures(smaller(maps[outs], side))}
            if kernel is not None and self.sums[place].kind == "conv":
                row["taps"] = {"part": self.parts.floats(_taps(self.steps[place], kernel, self.sums[place]))}
        return row

    # ── the rest of the page ────────────────────────────────────────────────────────────────────────────────

    def _picture(self) -> dict[str, Any]:
        before = self.found.before
        row: dict[str, Any] = {"name": before.name, "corner": list(before.corner), "part": list(before.part)}
        if before.frame.size:
            row |= shown(self.parts, before.frame, max(before.frame.shape[:2]))
        seen = self.found.seen
        coming = seen.coming(Given(PICTURE, None, None))
        assert coming is not None
        values = coming.detach().float().cpu().numpy()
        row |= {"c": len(values), "tall": values.shape[1], "wide": values.shape[2]}
        side = max(values.shape[1:])
        row |= self._exact_picture(values)
        row["pic"] = self.parts.pictures(smaller(values, side))
        return row

    def _exact_picture(self, values: np.ndarray) -> dict[str, Any]:
        """Every sum of the first layer reads it, so it is kept whole."""
        height, width = values.shape[1:]
        kept = {"part": self.parts.floats(values), "channels": list(range(len(values))), "y": 0, "x": 0, "h": height, "w": width}
        return {"exact": kept}

    def _picture_slope(self, found: Slopes) -> dict[str, Any] | None:
        slope = found.picture
        if slope is None or slope.shape[1:].numel() < 2:
            return None
        maps = slope.float().abs().sum(0, keepdim=True).cpu().numpy()
        return self.parts.pictures(smaller(maps, max(maps.shape[1:]) if self.full else EYES))

    def _modules(self) -> dict[str, list[Any]]:
        """Path → class and parameters of every module that holds a step."""
        paths: dict[str, list[Any]] = {}
        nets = self.found.seen.nets
        for who, net in nets.items():
            for name, module in net.named_modules():
                path = name if len(nets) == 1 else f"{who}.{name}".rstrip(".")
                paths[path] = [type(module).__name__, sum(one.numel() for one in module.parameters())]
        used = {".".join(parts[:i]) for step in self.steps for parts in [step.path.split(".")] for i in range(len(parts) + 1)}
        return {path: row for path, row in paths.items() if path in used}

    def _left(self) -> list[dict[str, str]]:
        """What this page does not hold."""
        if self.full:
            rows = [both("look.left.nothing")]
        else:
            rows = [both("look.left.numbers", outs=OUTS, ins=INS)]
            largest = max((max(maps.shape[1:]) for maps in self.maps), default=0)
            rows.append(both("look.left.slopes", side=SLOPE_SIDE, eyes=EYES))
            if self.side is not None and largest > self.side:
                rows.append(both("look.left.smaller", side=self.side))
            if self.window is not None and largest > self.window:
                rows.append(both("look.left.window", side=self.window))
            if any(step.attention is not None and step.attention.shape[1] > QUERIES for step in self.steps):
                rows.append(both("look.left.queries", count=QUERIES))
        return [*rows, *self._unseen()]

    def _unseen(self) -> list[dict[str, str]]:
        """What no page shows of this network."""
        rows = []
        if any(step.count > 1 for step in self.steps):
            rows.append(both("look.left.parts"))
        if any(step.layout.prefix for step in self.steps):
            rows.append(both("look.left.prefix"))
        if self.found.seen.unseen:
            names = ", ".join(f"{name} × {count}" for name, count in sorted(self.found.seen.unseen.items()))
            rows.append(both("look.left.unseen", names=names))
        return rows


def _said(found: Inside) -> str | None:
    """The answer in a few letters."""
    from omma.report.phrase import phrase

    return None if found.answer is None else phrase(found.answer)


def ill(one: Health) -> dict[str, Any]:
    """What is wrong or right with a layer, as the page reads it."""
    return {"dead": one.dead, "flat": None if one.flat is None else short([one.flat], 4)[0], "word": one.word}


def _own_parameters(step: Step) -> int:
    """Of the layer a step ran in; a module with parts counts those that run unseen inside it."""
    weights: list[Any] = [step.terms.get(name) for name in ("weight", "bias")]
    own = sum(one.numel() for one in weights if one is not None)
    if step.op in ("recurrent", "attention"):
        return sum(one.numel() for one in step.module.parameters()) if step.word != "scaled_dot_product_attention" else 0
    return own


def _affine(step: Step) -> tuple[np.ndarray, np.ndarray]:
    """What multiplies and what is added, for every channel of a batch norm in service."""
    values = {
        key: None if (one := step.terms[key]) is None else one.detach().double().cpu().numpy() for key in ("mean", "var", "weight", "bias")
    }
    gain = 1 / np.sqrt(values["var"] + step.terms["eps"])
    gain = gain if values["weight"] is None else gain * values["weight"]
    return gain, (0 if values["bias"] is None else values["bias"]) - values["mean"] * gain


def _taps(step: Step, kernel: Any, sums: Sums) -> np.ndarray:
    """(outs, ins, taps) of a kernel's gradient, in the order of the weights that are told."""
    flat = kernel.float().cpu().flatten(2).numpy() if kernel.dim() > 2 else kernel.float().cpu().numpy()[:, :, None]
    each, wide = flat.shape[1], flat.shape[0] // int(step.terms.get("groups", 1))
    return np.stack([flat[out][[i - out // wide * each for i in ins]] for out, ins in zip(sums.outs, sums.ins, strict=True)])

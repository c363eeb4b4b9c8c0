"""What is looked into: a trained model, or a network by its name, with a picture before it and a question about what it says."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from omma import bundle as bundles
from omma import catalog
from omma.answers.answer import Answer
from omma.answers.placed import Placed
from omma.bundle import Bundle
from omma.data.moving.sampled import as_read
from omma.data.sample import Dataset
from omma.data.views import Views, as_own
from omma.engine.told import told
from omma.errors import NotMeaningful, OmmaError
from omma.explainers.explainer import choose
from omma.inside.trace import Step, Trace, trace
from omma.models.backbone import Backbone
from omma.models.making import FAMILIES, build
from omma.tasks.task import Batch
from omma.words import both, say

Words = dict[str, str]
CLASSES, OWN = 10, 224  # outputs of a network that has learned nothing; pixels of the part that is looked at where any size goes
OTHERS = 2  # names that are asked about beside the one that was


@dataclass
class Subject:
    """A model to look into.

    Args:
        bundle: the model; of a network by name one with random weights.
        title: its name for people.
        random: whether its weights were drawn from chance.
        notes: what a reader must know, in both languages.
    """

    bundle: Bundle
    title: str
    random: bool
    notes: list[Words] = field(default_factory=list)

    @property
    def seeded(self) -> bool:
        """Whether it is asked by a seed, not by a picture."""
        return self.bundle.task.asks == "seed"


def subject(model: str, size: int | None = None, weights: str | None = None, device: str = "cpu") -> Subject:
    """A bundle or run folder, or a network by its name: nothing is ever fetched.

    Args:
        size: side of the frame of a named network, pixels; its usual one when open.
        weights: a .safetensors file for a named network.

    Raises:
        BundleError: a folder that is no model.
        OmmaError: no such network, or weights for a model that has its own.
        NotMeaningful: answers are found by optimising the picture: there is no forward pass to look at.
    """
    if Path(model).exists() or (model not in catalog.names("models") and os.sep in model and model.partition("/")[0] not in FAMILIES):
        if weights is not None or size is not None:
            raise OmmaError(say("look.has_its_own"), model)
        opened = bundles.open(model, device)
        found = Subject(opened, Path(model).name or model, False)
        if opened.card.get("runtime", {}).get("file"):
            found.notes.append(both("look.quantised"))
    else:
        found = _named(model, size, weights, device)
    if getattr(found.bundle.net, "optimises", False):
        raise NotMeaningful(say("look.optimised"), model)
    for net in found.bundle.nets.values():
        net.eval()
    return found


def _named(model: str, size: int | None, weights: str | None, device: str) -> Subject:
    """A network by its name, with weights from a file, from the library's own cache, or from chance."""
    name = _full(model)
    side = size or _usual_size(name)
    with torch.device("meta"):
        gives = build(name, channels=3, size=side, outputs=CLASSES).gives
    kinds = [kind for one in catalog.names("tasks") if (kind := catalog.find("tasks", one)).reads == gives]
    kind = next((one for one in kinds if name in one.models), kinds[0])
    task = kind([say("look.class_n", n=place + 1) for place in range(CLASSES)])
    torch.manual_seed(0)
    net = build(name, channels=3, size=side, outputs=task.outputs, pretrained=weights or "no")
    notes: list[Words] = []
    if weights is None and isinstance(net, Backbone) and _cached(net):
        net.start("yes")  # the file lies in the library's cache: it is read, not fetched
    if net.origin:
        notes.append(both("look.weights_from", weights=str(net.origin.get("weights", weights))))
    else:
        notes.append(both("look.random"))
    plain = (0.0, 1.0) if gives == "frame" else (0.5, 0.25)
    mean, std = (tuple(net.origin.get(key) or (otherwise,)) for key, otherwise in zip(("mean", "std"), plain, strict=True))
    views = Views(side, 3, "own" if gives == "picture" else "squash", mean, std)
    bundle = Bundle(task, {"net": net.to(device).eval()}, views, {}, {"model": name})
    return Subject(bundle, name, not net.origin, notes)


def _full(model: str) -> str:
    """`resnet18` → `torchvision/resnet18`; names of ours as they are.

    Raises:
        OmmaError: nobody knows it; says which was probably meant.
    """
    if "/" in model or model in catalog.names("models"):
        return model
    from omma.models.making import names

    known: list[str] = []
    for family in ("torchvision", "timm"):
        try:
            found = names(family)
        except OmmaError:  # an extra that is not here
            continue
        if f"{family}/{model}" in found:
            return f"{family}/{model}"
        known += found
    raise catalog.unknown(say("look.network"), model, [*catalog.names("models"), *known])


def _usual_size(name: str) -> int:
    """Side of the frame that a network is usually given, pixels."""
    from omma.tasks.plan import PLACED_SIZES

    tasks = [catalog.find("tasks", task) for task in catalog.names("tasks")]
    if any(name in task.models for task in tasks if issubclass(task.answer, Placed)):
        return PLACED_SIZES["balanced"]
    return 224 if "/" in name else 32


def _cached(net: Backbone) -> bool:
    """Whether its published weights lie on this machine already."""
    try:
        return net.published()[2]
    except OmmaError:
        return False


@dataclass
class Sight:
    """What lies before the model.

    Args:
        name: of the picture, for people.
        frame: (h, w, C) uint8, what the network is shown; (0, 0, 3) where it is asked by a seed.
        picture: (1, C, h, w) normalised, or (1, L) seeds; its gradient can be asked for.
        spot: where the picture lies in its frame; None without one.
        corner: (left, top) of the part of the original that is shown, pixels.
        part: (height, width) of that part.
        notes: what a reader must know.
    """

    name: str
    frame: np.ndarray
    picture: torch.Tensor
    spot: Any = None
    corner: tuple[int, int] = (0, 0)
    part: tuple[int, int] = (0, 0)
    notes: list[Words] = field(default_factory=list)


def stored(of: Subject, dataset: Dataset, place: int) -> np.ndarray:
    """(H, W, C) one picture of the data as the model reads it: of a file that holds several frames so many as its network takes.

    Raises:
        DataError: it cannot be read.
    """
    sample = dataset.samples[place]
    if sample.path is None or sample.window is not None:
        return dataset.picture(place)
    return as_read(Path(sample.path), of.bundle.views.channels)


def sight(of: Subject, original: np.ndarray | None, name: str, at: tuple[float, ...] | None = None, seed: int = 0) -> Sight:
    """Put a decoded picture (H, W, C) before the model as it enters in service; of several frames the one that says most.

    Args:
        at: corners in the picture that a question is about: then the frame that shows them.
        seed: what a model that draws is asked by.
    """
    bundle, views = of.bundle, of.bundle.views
    device = next(bundle.net.parameters()).device
    if of.seeded:
        rows = torch.from_numpy(bundle.seeds(seed, 1)).to(device)
        return Sight(say("look.seed", seed=seed), np.zeros((0, 0, 3), np.uint8), rows.requires_grad_(True))
    assert original is not None
    notes: list[Words] = []
    height, width = original.shape[:2]
    if views.fit == "own":
        top, left = (_around(length, None if at is None else (at[i] + at[i + 2]) / 2) for i, length in ((1, height), (0, width)))
        cut = original[top : top + OWN, left : left + OWN]
        if cut.shape != original.shape:
            notes.append(both("look.part", width=cut.shape[1], height=cut.shape[0]))
        frame = as_own(cut, views.channels)
        shown = np.clip(np.rint(frame), 0, 255).astype(np.uint8)
        spot = None
    else:
        left, top, cut = _window(of, original, at, device, notes)
        frame = shown = views.frame(cut)
        spot = views.spot(*cut.shape[:2])
    picture = views.finish(torch.from_numpy(np.ascontiguousarray(frame[None])).to(device)).contiguous()
    return Sight(name, shown, picture.requires_grad_(True), spot, (left, top), tuple(cut.shape[:2]), notes)


def _around(length: int, middle: float | None) -> int:
    """Where a part of `OWN` pixels begins, its middle there or in the middle of all."""
    return int(min(max(0, (length / 2 if middle is None else middle) - OWN / 2), max(0, length - OWN)))


def _window(
    of: Subject, original: np.ndarray, at: tuple[float, ...] | None, device: torch.device, notes: list[Words]
) -> tuple[int, int, np.ndarray]:
    """(left, top, part) of a picture that is looked at: all of it, or of several windows the one that says most."""
    views, task = of.bundle.views, of.bundle.task
    parts = views.windows(*original.shape[:2])
    if len(parts) == 1:
        return 0, 0, original
    parts = parts[:-1] if views.whole else parts
    if at is not None:
        x, y = (at[0] + at[2]) / 2, (at[1] + at[3]) / 2
        chosen = min(parts, key=lambda one: abs(one.left + one.width / 2 - x) + abs(one.top + one.height / 2 - y))
    else:
        frames = [views.frame(original[one.top : one.top + one.height, one.left : one.left + one.width]) for one in parts]
        with torch.no_grad():
            worth = [
                float(task.score(task.infer(of.bundle.nets, Batch(views.finish(torch.from_numpy(one[None]).to(device)))))) for one in frames
            ]
        chosen = parts[max(range(len(parts)), key=worth.__getitem__)]
    notes.append(both("look.window", count=len(parts), left=chosen.left, top=chosen.top))
    return chosen.left, chosen.top, original[chosen.top : chosen.top + chosen.height, chosen.left : chosen.left + chosen.width]


def watched(of: Subject, before: Sight, visit: Callable[[Step], None] | None = None) -> Trace:
    """One forward pass of the model as it answers, see `trace`; the answer are the tensors of `Task.infer`."""
    nets = dict(of.bundle.nets)
    return trace(lambda: of.bundle.task.infer(nets, Batch(before.picture)), nets, before.picture, visit=visit)


def answer_of(of: Subject, before: Sight, seen: Trace) -> Answer | None:
    """What the model says of what is shown; None where it says nothing about a picture."""
    bundle = of.bundle
    if of.seeded or bundle.views.fit == "own":
        return None
    tensors = {key: value.detach().cpu() for key, value in seen.answer.items()}
    operated = bundle.task.answer.operate(tensors, bundle.point)
    return told(bundle.task, operated, bundle.point, [before.spot])[0]


@dataclass(frozen=True)
class Ask:
    """A question about what was said.

    Args:
        about: for people.
        name: of the task; "" where it has none.
        score: the number whose gradient is followed.
    """

    about: str
    name: str
    score: Callable[[], torch.Tensor]


def asks(
    of: Subject, before: Sight, seen: Trace, answer: Answer | None, about: str | None, at: tuple[float, ...] | None, others: int = OTHERS
) -> list[Ask]:
    """The question of a person (the surest class, box or number when open), and beside it the next few names.

    Args:
        at: corners in the picture: a box, or a region.

    Raises:
        OmmaError: no such name.
        NotMeaningful: nothing lies anywhere in this task's answers.
    """
    task, names = of.bundle.task, of.bundle.task.names
    if of.seeded:
        if about is not None and about not in names:
            raise catalog.unknown(say("explain.name"), about, names)
        return [Ask(say("look.drawn"), "", lambda: next(iter(seen.answer.values())).mean())]
    inside = None if at is None else _moved(at, before)
    if isinstance(answer, Placed):
        about, inside = answer.meant(about, inside)  # type: ignore[arg-type]
    elif inside is not None and of.bundle.views.fit != "own":
        raise NotMeaningful(say("explain.nowhere"))
    spot = _corners(of, before, inside)
    tensors = {key: value.detach() for key, value in seen.answer.items()}
    asked = choose(task, tensors, about, spot)

    def ask(name: str) -> Ask:
        shown = name if spot is None else say("look.about_at", about=name, at=", ".join(f"{float(value):.0f}" for value in spot))
        return Ask(shown, name, lambda: task.score(seen.answer, name, spot))

    worth = {name: float(task.score(tensors, name, spot)) for name in names[:1000]}
    differ = len({round(value, 9) for value in worth.values()}) > 1
    rest = sorted((name for name in worth if name != asked), key=lambda name: -worth[name])[:others] if differ else []
    return [ask(name) for name in (asked, *rest)]


def _moved(at: tuple[float, ...], before: Sight) -> tuple[float, ...]:
    """Corners in the picture → in the part of it that is shown."""
    return tuple(value - before.corner[i % 2] for i, value in enumerate(at))


def _corners(of: Subject, before: Sight, inside: tuple[float, ...] | None) -> torch.Tensor | None:
    """(4,) corners in the frame."""
    if inside is None:
        return None
    corners = torch.tensor(inside, dtype=torch.float32)
    found = corners if of.bundle.views.fit == "own" else of.bundle.views.place(*before.part).framed(corners)
    return found.to(before.picture.device)


def drawn_scene(side: int = 224) -> np.ndarray:
    """(side, side, 3) uint8: a drawn scene with what first layers look for: edges of every direction, waves, a disc, shades and colours."""
    y, x = np.mgrid[:side, :side] / side
    waves = 0.5 + 0.5 * np.sin(60 * np.hypot(x - 0.75, y - 0.25))
    pixels = np.stack([0.35 + 0.5 * x, 0.45 + 0.3 * y, 0.75 - 0.4 * x * y], 2)
    pixels[(x > 0.5) & (y < 0.5)] = waves[(x > 0.5) & (y < 0.5), None] * np.array([0.9, 0.85, 0.7])
    disc = np.hypot(x - 0.27, y - 0.3) < 0.17
    pixels[disc] = np.array([0.85, 0.25, 0.2]) * (1.15 - 1.2 * np.hypot(x - 0.22, y - 0.24)[disc, None])
    board = ((x * 16).astype(int) + (y * 16).astype(int)) % 2 == 0
    lower = (x < 0.5) & (y > 0.56) & (y < 0.94) & (x > 0.06)
    pixels[lower] = np.where(board[lower, None], np.array([0.1, 0.12, 0.16]), np.array([0.95, 0.94, 0.9]))
    lines = (np.abs(((x + y) * 14) % 1 - 0.5) < 0.12) & (x > 0.55) & (y > 0.55)
    pixels[lines] = np.array([0.1, 0.35, 0.2])
    return (pixels.clip(0, 1) * 255).astype(np.uint8)

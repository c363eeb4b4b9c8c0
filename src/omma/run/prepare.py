"""From a dataset and a few words to everything the loop needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from omma import bundle as bundles
from omma import catalog
from omma.answers.answer import Answer
from omma.answers.picture import Picture, strip
from omma.data.batches import Batches
from omma.data.beside import Beside, unlabelled
from omma.data.fingerprint import Fingerprint
from omma.data.frames import Frames
from omma.data.own.crops import LOOKED, Crops
from omma.data.own.originals import Originals
from omma.data.sample import Dataset
from omma.data.sources import home
from omma.data.spatial.cut import by_picture, in_windows
from omma.data.views import Views
from omma.engine.loop import Validate
from omma.engine.machine import Machine
from omma.engine.painting.tiles import painted
from omma.engine.pipeline import Pipeline
from omma.engine.told import Teller, is_placed, spots
from omma.engine.turn import Players
from omma.errors import DataError, NotMeaningful, OmmaError
from omma.formats.format import open_data
from omma.models.making import build, settings_of
from omma.models.network import Network
from omma.parts.reach import reach
from omma.parts.surgery import operate
from omma.progress import Watch
from omma.recipe import Recipe
from omma.run.advice import takes, width_of
from omma.run.balance import class_weights
from omma.run.drawing import drawing
from omma.run.folder import Facts
from omma.run.glimpse import Glimpses
from omma.tasks._adapted import adapted
from omma.tasks.task import Batch, Task
from omma.words import say

REFUSED_SHARE = 0.01  # more unreadable pictures than this stop training unless allowed
UNKNOWN = 64  # pixels around a part, for networks that look at all of a picture
STRIPS = 4  # pictures that are shown on the way
PICTURES = 64  # at most so many are looked at while a network learns that makes pictures better


@dataclass
class Ready:
    """All that a run is made of."""

    task: Task
    recipe: Recipe
    dataset: Dataset
    views: Views
    net: Network
    players: Players
    batches: Batches
    validate: Validate | None


def decide(dataset: Dataset, fingerprint: Fingerprint, recipe: Recipe) -> Task:
    """Let the data fill what is open in the recipe; returns the task with its settings."""
    task = catalog.find("tasks", recipe.task or "")(dataset.names, **recipe.task_settings)
    task.plan(fingerprint, recipe)
    if recipe.balance == "weights" and "class_weights" in task.SETTINGS and not recipe.task_settings.get("class_weights"):
        seen = (sample.truth for sample in dataset.samples if sample.split == "train")
        recipe.task_settings["class_weights"] = class_weights(seen, fingerprint, dataset.names)
    weights = recipe.task_settings.get("class_weights") or []
    if weights and (len(weights) != len(dataset.names) or min(weights) < 0 or max(weights) == 0):
        raise OmmaError(say("train.class_weights", count=len(weights), names=len(dataset.names)))
    return type(task)(dataset.names, **recipe.task_settings)


def target_of(recipe: Recipe, watch: Watch) -> Dataset | None:
    """The pictures a recipe asks to adapt to, without what anybody said of them; None where it asks for none.

    Raises:
        NotMeaningful: the task looks at more than one row of features.
        OmmaError: no such data, or only the head learns.
        DataError: nothing there that can be read.
    """
    if recipe.target is None:
        return None
    if catalog.find("tasks", str(recipe.task)).reads != "row":
        raise NotMeaningful(say("adapt.no_features"))
    if recipe.freeze:
        raise OmmaError(say("adapt.nothing_learns", model="freeze=yes"))
    return unlabelled(open_data(recipe.target, None, watch))


def ready(
    task: Task, recipe: Recipe, dataset: Dataset, fingerprint: Fingerprint, machine: Machine, start: bundles.Bundle | None, watch: Watch,
    kept: Facts | None = None, target: Dataset | None = None,
) -> Ready:  # fmt: skip
    """Build networks, frames and batches.

    Args:
        start: an earlier model to go on from.
        kept: of a run whose checkpoint brings the weights: nothing is fetched, opened or measured again.
        target: pictures to adapt to, see `target_of`.
    """
    torch.manual_seed(recipe.seed)
    settings = dict(recipe.model_settings)
    if "pretrained" not in settings and recipe.pretrained != "no":
        settings["pretrained"] = recipe.pretrained
    if start is not None or kept is not None:
        settings.pop("pretrained", None)
    if settings.get("pretrained") == "yes":
        watch.say(say("train.fetching", model=recipe.model))
    assert recipe.model and recipe.size and recipe.channels
    net = build(recipe.model, channels=recipe.channels, size=recipe.size, outputs=task.outputs, **settings)
    if net.gives != task.reads:
        raise OmmaError(
            say("train.other_kind", model=recipe.model, task=recipe.task),
            None,
            say("train.other_kind_fix", models=", ".join(_suited(task))),
        )
    if not net.from_scratch and not net.origin and start is None and kept is None:
        raise OmmaError(say("train.never_from_scratch", model=recipe.model), None, say("train.never_from_scratch_fix"))
    recipe.model_settings = {k: v for k, v in settings.items() if k != "pretrained"}
    net.drop.p = recipe.get("dropout", 0.0)
    if recipe.progressive and not takes(net, recipe.channels, recipe.size * 3 // 4):
        watch.warn(say("train.ignored", key="progressive", reason=recipe.model))
        recipe.progressive = 0.0
    if surgery := kept.surgery if kept else start.card.get("surgery") if start else None:
        narrowed(net, task, surgery)
    if start is not None:
        continue_from(net, task, start)
    net.origin = dict(kept.origin) if kept else net.origin
    if kept is None and task.furnishes:  # what a network keeps of its task's settings (styles) lies in its checkpoints later
        task.furnish(net)  # type: ignore[attr-defined]
    views = Views.from_json(kept.views) if kept and kept.views else views_for(recipe, fingerprint, net, start)
    if views.fit == "windows" and not is_placed(task):
        raise OmmaError(say("train.windows", task=recipe.task))
    seen = in_windows(dataset, views)
    frames = Originals(seen, views, watch) if views.fit == "own" else Frames(seen, views, home(), watch)
    _told_refused(frames, dataset, recipe, watch)
    beside = None
    if target is not None:
        task = adapted(task, net, width_of(net, views.channels, views.size))
        others = Frames(target, views, home(), watch)
        _told_refused(others, target, recipe, watch)
        beside = Beside(others, views, recipe, machine.device)
    train = frames.part("train")
    if len(train) < 2:
        raise DataError(say("train.too_few", count=len(train)), dataset.root)
    if recipe.optimizer == "gd":
        recipe.batch = len(train)
    batches = batches_of(frames, seen, task, views, recipe, machine, beside)
    if kept is None and start is None and views.fit != "own":
        _shown(net, views, frames, batches, torch.tensor(train[:: max(1, len(train) // 2048)][:2048]))
    machine.place(net)
    players = Players.gather(task, net, recipe)
    watched = None if net.optimises else validator(task, batches, views)
    return Ready(task, recipe, dataset, views, net, players, batches, watched)


def _told_refused(frames: Frames | Originals, dataset: Dataset, recipe: Recipe, watch: Watch) -> None:
    """Name pictures that cannot be read.

    Raises:
        DataError: they are more than a few.
    """
    if not frames.refused:
        return
    count, share = len(frames.refused), len(frames.refused) / len(dataset)
    watch.warn(say("train.refused", count=count, first=frames.refused[0].where, reason=frames.refused[0].reason))
    if share > REFUSED_SHARE and not recipe.allow_refused:
        raise DataError(say("train.too_many_refused", count=count, share=f"{share:.1%}"), dataset.root, say("train.too_many_fix"))


def _shown(net: Network, views: Views, frames: Any, batches: Batches, some: torch.Tensor) -> None:
    """A network that begins with the data sees some of what it will learn from, and their truths (the shapes of anchors)."""
    net.prepare(views.finish(frames.get(some)))
    if callable(look_at := getattr(net, "look_at", None)):
        look_at(batches.truths.at(some))


def batches_of(
    frames: Frames | Originals, seen: Dataset, task: Task, views: Views, recipe: Recipe, machine: Machine, beside: Beside | None = None
) -> Batches:
    """What a task learns from, step by step: pictures in frames, or parts of pictures at their own size."""
    where = (machine.rank, machine.world, machine.device)
    if isinstance(frames, Originals):
        return Crops(frames, seen, views, recipe, task.scale, *where)
    return Batches(frames, seen, task, views, recipe, *where, beside)


def _suited(task: Task) -> list[str]:
    """Networks a task can be learned with, to name a few."""
    own = task.models or ("quick", "quick-narrow", "torchvision/resnet18", "timm/resnet50")
    return list(own)


def views_for(recipe: Recipe, fingerprint: Fingerprint, net: Network, start: bundles.Bundle | None) -> Views:
    """How pictures enter: a pretrained network keeps the normalisation it was trained with."""
    assert recipe.size and recipe.channels
    if recipe.fit == "own":
        return windowed(Views(recipe.size, recipe.channels, "own", (0.0,), (1.0,)), recipe, net)
    if start is not None and start.views.size == recipe.size and start.views.channels == recipe.channels:
        views = replace(start.views, fit=recipe.get("fit", start.views.fit), tta=recipe.get("tta", start.views.tta))
        return windowed(views, recipe, net)
    mean, std = net.origin.get("mean"), net.origin.get("std")
    if net.gives in ("frame", "drawn"):  # what it draws is what it reads
        mean, std = [0.0] * recipe.channels, [1.0] * recipe.channels
    if mean is None:
        mean, std = fingerprint.mean, fingerprint.std
        if len(mean) != recipe.channels:
            mean, std = [sum(mean) / len(mean)] * recipe.channels, [sum(std) / len(std)] * recipe.channels
    spread = tuple(max(float(s), 1e-3) for s in std)  # type: ignore[union-attr]
    views = Views(recipe.size, recipe.channels, recipe.get("fit", "squash"), tuple(map(float, mean)), spread, recipe.get("tta", "none"))
    return windowed(views, recipe, net)


def windowed(views: Views, recipe: Recipe, net: Network) -> Views:
    """How windows overlap, where pictures are read in them; networks of objects also see the whole picture.

    Pictures at their own size are read in parts that overlap by as far as the network looks.
    """
    if views.fit == "own":
        far = reach(net.still() if net.remembers else net, recipe.get("channels", 3))  # type: ignore[operator]
        return replace(views, overlap=UNKNOWN if far is None else far, whole=net.remembers or far is None)
    if views.fit != "windows":
        return replace(views, overlap=0, whole=False)
    return replace(views, overlap=min(recipe.get("overlap", views.size // 4), views.size // 2), whole=net.gives == "objects")


def narrowed(net: Network, task: Task, surgery: dict[str, Any]) -> None:
    """Carry out a pruning plan; the head keeps as many rows as there are names now, with a start of its own."""
    operate(net, {path: [task.outputs, wanted[1]] if path == "head" else wanted for path, wanted in surgery.items()})
    for module in net.head.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()  # type: ignore[operator]


def continue_from(net: Network, task: Task, start: bundles.Bundle) -> None:
    """Take over every tensor of an earlier model that fits; the head row by row, by class name, so new classes are welcome.

    Raises:
        OmmaError: a body of another shape was asked for.
    """
    mine, theirs = net.state_dict(), start.net.state_dict()
    rows = {name: i for i, name in enumerate(start.names)}
    for key, value in mine.items():
        if key not in theirs:
            continue
        if theirs[key].shape == value.shape and (not key.startswith("head.") or start.names == task.names):
            value.copy_(theirs[key])
        elif key.startswith("head.") and value.shape[1:] == theirs[key].shape[1:]:
            for place, name in enumerate(task.names):
                if name in rows:
                    value[place].copy_(theirs[key][rows[name]])
        elif not key.startswith("head."):
            found, wanted = tuple(theirs[key].shape), tuple(value.shape)
            raise OmmaError(say("models.does_not_fit", tensor=key, found=found, wanted=wanted), str(start.path))
    net.origin = {"weights": f"omma bundle {start.digest[:12]}", "licence": start.card.get("origin", {}).get("licence", "")}


def from_bundle(recipe: Recipe, start: bundles.Bundle) -> None:
    """The earlier model's shape becomes this run's, unless a person says otherwise."""
    model = continued(recipe, start)
    recipe.put("bundle", model=model, size=start.views.size, channels=start.views.channels, fit=start.views.fit)
    known, own = start.card.get("model_settings", {}), settings_of(model)
    if model == start.card["model"]:
        known = own | known  # what a bundle of before says nothing of is not for a newer plan to choose
    else:
        known = {key: known[key] for key in known.keys() & own.keys()}
    for key in known:
        recipe.model_settings.setdefault(key, known[key])
        recipe.origin.setdefault(f"model.{key}", "bundle")


def continued(recipe: Recipe, start: bundles.Bundle) -> str:
    """The network that goes on from an earlier one: one of the same name, or the one that this says goes on from its body where the
    task wants other answers than it gives."""
    wanted = catalog.find("tasks", recipe.task).reads if recipe.task else start.net.gives
    return start.net.continues if start.net.continues and wanted != start.net.gives else start.card["model"]


def same_model(recipe: Recipe, start: bundles.Bundle) -> None:
    """Refuse to go on from an earlier model with a network of another name.

    Raises:
        OmmaError: they differ.
    """
    if recipe.model != (model := continued(recipe, start)):
        raise OmmaError(say("train.other_model", here=recipe.model, there=model), str(start.path))


def validator(task: Task, batches: Batches, views: Views, split: str = "val", most: int | None = None) -> Validate | None:
    """Scores networks on one part, not averaged over views; None where the part is empty. The first metric decides, the mean loss is told
    beside it.

    Args:
        most: look at so many pictures at most, evenly chosen.
    """
    if isinstance(batches, Crops):
        return _restoring(task, batches, split, most)
    if task.asks == "seed":
        return drawing(task, batches, views, split, most)
    pictures = by_picture(batches.dataset, batches.frames.part(split))
    some = list(pictures)
    if most is not None and len(some) > most:
        some = some[:: len(some) // most][:most]
    if not some:
        return None
    places = [place for picture in some for place in pictures[picture]]
    whole = batches.dataset.whole or batches.dataset
    truths = whole.choose(some).truths()
    first, metric = next(iter(task.metrics().items()))
    found = spots(task, views, whole, some)
    lie = None if found is None else list(found)  # headers are read once, however often is validated

    glimpses = Glimpses(whole, some) if most is None else None
    shown: list[np.ndarray] = []

    def validate(nets: dict[str, torch.nn.Module]) -> tuple[float, dict[str, float]]:
        once: dict[str, torch.nn.Module] = {who: Once(net) for who, net in nets.items()}
        pipeline = Pipeline(task, once, replace(views, tta="none"), {}).eval()
        answers: list[Answer] = []
        teller, loss = Teller(task, {}, lie), 0.0
        with torch.inference_mode():
            for batch in batches.plain(places):
                tensors = {key: value.cpu() for key, value in task.answer.operate(pipeline.look(batch.pictures), {}).items()}
                answers += teller.hear(tensors)
                loss += whole_loss(task, once, batch) * len(batch)
        value = metric.summary(metric.records(answers, truths), np.ones(len(truths), np.float32))
        if glimpses is not None:
            shown[:] = glimpses.of(answers)
        return (value if metric.better == "higher" else -value), {f"{split}_loss": loss / len(places), f"{split}_{first}": value}

    validate.shown = shown  # type: ignore[attr-defined]
    return validate


def _restoring(task: Task, batches: Crops, split: str, most: int | None) -> Validate | None:
    """The same for pictures at their own size: the middle of each, at most `LOOKED` pixels on a side of what is given."""
    places = batches.frames.part(split)
    most = min(most or PICTURES, PICTURES)
    places = places[:: max(1, len(places) // most)][:most]
    if not places:
        return None
    pairs = [batches.middle(place, LOOKED) for place in places]
    truths = [Picture(partial(_itself, good), "-", given=partial(_itself, bad)) for bad, good in pairs]
    first, metric = next(iter(task.metrics().items()))

    def validate(nets: dict[str, torch.nn.Module]) -> tuple[float, dict[str, float]]:
        pipeline = Pipeline(task, nets, batches.views, {}).eval()
        with torch.inference_mode():
            answers = [
                painted(lambda part: pipeline(torch.from_numpy(part).to(batches.device)), task, batches.views, bad) for bad, _ in pairs
            ]
            loss = float(np.mean([whole_loss(task, nets, batch) for batch in batches.plain(places)]))
        value = metric.summary(metric.records(answers, truths), np.ones(len(truths), np.float32))
        shown[:] = [strip(bad, answer.pixels, good) for (bad, good), answer in zip(pairs[:STRIPS], answers, strict=False)]
        score = value if metric.better == "higher" else -value
        return -loss if task.by_loss else score, {f"{split}_loss": loss, f"{split}_{first}": value}

    shown: list[np.ndarray] = []
    validate.shown = shown  # type: ignore[attr-defined]
    return validate


def _itself(pixels: np.ndarray) -> np.ndarray:
    return pixels


class Once(torch.nn.Module):
    """A network that answers the same tensor once: an answer and its loss share one forward pass."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net
        self.seen: tuple[torch.Tensor | None, Any] = (None, None)

    def forward(self, pictures: torch.Tensor, *more: Any) -> Any:
        if more:  # a network that owns its losses
            return self.net(pictures, *more)
        if self.seen[0] is not pictures:
            self.seen = (pictures, self.net(pictures))
        return self.seen[1]


def whole_loss(task: Task, nets: Mapping[str, torch.nn.Module], batch: Batch) -> float:
    """The mean loss of one batch in evaluation mode; NaN for tasks whose players have no common loss."""
    if "net" not in nets:
        return float("nan")
    loss: Any = task.loss(nets["net"], batch)
    return float(sum(loss.values()) if isinstance(loss, dict) else loss)

"""What a person should hear before learning begins: settings that will be ignored, pictures on both sides, a budget that is too short."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from omma import catalog
from omma.answers.placed import Placed
from omma.data.duplicates import Duplicates
from omma.data.sample import Dataset
from omma.models.network import Network
from omma.recipe import Recipe
from omma.words import language, room, say

SLOW = {"momentum", "nesterov", "muon", "adam", "adamw"}  # the optimizers that have a momentum
# What means nothing to answers that lie somewhere, and to those that do not.
STILL, MOVED = ("mixup", "cutmix", "trivial", "progressive", "tta"), ("mosaic", "quarter")
EPOCHS = 5  # what a short run should at least see of its pictures


def leaks(dataset: Dataset, near: Duplicates) -> Iterator[str]:
    """A sentence for clusters of near-duplicates, and one for groups, that the parts a dataset came with tear apart."""
    parts = [sample.split for sample in dataset.samples]
    torn = [cluster for cluster in near.clusters() if len({parts[i] for i in cluster} - {None}) > 1]
    if torn:
        yield say("train.leak", count=len(torn), pictures=sum(map(len, torn)))
    people: dict[str, set[str]] = {}
    for sample in dataset.samples:
        if sample.group and sample.split:
            people.setdefault(sample.group, set()).add(sample.split)
    if count := sum(len(seen) > 1 for seen in people.values()):
        yield say("train.torn", count=count)


def ignored(recipe: Recipe, given: Mapping[str, int], from_bundle: bool, names: int = 0) -> Iterator[str]:
    """A sentence for every setting a person made that this run will not use.

    Args:
        recipe: as planned.
        given: the sizes of the parts the dataset came with.
        from_bundle: whether an earlier model is gone on from.
        names: how many there are.
    """
    answer = catalog.find("tasks", str(recipe.task)).answer
    placed = issubclass(answer, Placed)
    loss = recipe.task_settings.get("loss", "")
    weighed = catalog.find("tasks", str(recipe.task)).SETTINGS
    held = recipe.val > 0 or "val" in given
    reasons = {
        "momentum": recipe.optimizer not in SLOW and f"optimizer={recipe.optimizer}",
        "batch": recipe.optimizer == "gd" and "optimizer=gd",
        "layer_decay": recipe.freeze and "freeze=yes",
        "early_stop": not held and "val=0",
        "evals": not held and "val=0",
        "val": recipe.val > 0 and "val" in given and say("train.part_given", part="val"),
        "test": recipe.test > 0 and "test" in given and say("train.part_given", part="test"),
        "pretrained": from_bundle and "--from",
        "task.label_smoothing": loss == "nll" and recipe.task_settings.get("label_smoothing", 0) > 0 and "loss=nll",
        "task.goal": recipe.task_settings.get("goal") and answer.aimed not in (None, names) and say("train.count_of_classes", count=names),
        **dict.fromkeys(STILL if placed else MOVED, f"task={recipe.task}"),
        **({"mixup": False} if placed and answer.blends else {}),
        "overlap": recipe.fit != "windows" and f"fit={recipe.fit}",
        "balance": (recipe.balance == "weights" and "class_weights" not in weighed and f"task={recipe.task}")
        or (recipe.balance == "pictures" and recipe.fit != "windows" and f"fit={recipe.fit}"),
    }
    # A recipe file repeats every setting, used or not: only what was said aloud is answered.
    for key, reason in reasons.items():
        if reason and recipe.origin.get(key) == "you":
            yield say("train.ignored", key=key.removeprefix("task."), reason=reason)
    if loss == "nll" and (recipe.mixup or recipe.cutmix):
        yield say("train.hard_targets")


def unreached(point: dict[str, Any], names: Sequence[str], goal: str) -> list[str]:
    """A sentence for a goal that no threshold serves on validation, taken out of what `Answer.fit` says."""
    short = [names[place] for place in point.pop("unreached", [])]
    return [say("train.unreached", goal=goal, names=", ".join(short))] if short else []


def short(recipe: Recipe, total: int, per_epoch: int, seconds: float) -> str | None:
    """What to try where a timed budget allows less than one epoch.

    Args:
        total: steps that fit.
        per_epoch: steps an epoch has.
        seconds: wall-clock of a step.
    """
    if total >= per_epoch:
        return None
    minutes = max(1, round(EPOCHS * per_epoch * seconds / 60 + 0.5))
    size = max(32, (recipe.size or 64) // 2 // 16 * 16)
    words = [f"--budget {minutes}min", *(["--preset fast"] if recipe.preset != "fast" else [])]
    words += [f"size={size}"] if size < (recipe.size or 0) else []
    return say("train.short", share=f"{total / per_epoch:.0%}", words=", ".join(words))


def weights(net: Network) -> Iterator[str]:
    """What it starts from, and under which licence; nothing for a start from nothing."""
    if net.origin:
        yield say("train.weights", weights=net.origin.get("weights"), licence=net.origin.get("licence") or "–")


def takes(net: Network, channels: int, size: int) -> bool:
    """Whether a network takes pictures of another size than it was built for, tried without memory."""
    twin = copy.deepcopy(net).to("meta").eval()
    try:
        twin(torch.zeros(2, channels, size, size, device="meta"))
    except (AssertionError, RuntimeError, ValueError):
        return False
    return True


def width_of(net: Network, channels: int, size: int) -> int:
    """How wide a network's features are, tried without memory."""
    twin = copy.deepcopy(net).to("meta").eval()
    return int(twin.features(torch.zeros(2, channels, size, size, device="meta")).shape[1])


def settings(recipe: Recipe) -> Iterator[str]:
    """The resolved recipe in a line for each origin but the defaults, strongest first; what the data left switched off is not said."""
    lines: dict[str, list[str]] = {}
    for key, value, origin in recipe.rows():
        if origin == "plan" and value in (0, False, "none", []):
            continue
        lines.setdefault(origin, []).append(f"{key}={_shown(value)}")
    for origin in ("you", "file", "bundle", "source", "plan", "preset"):
        if origin in lines:
            yield say("train.settings", origin=room(language(), "report").get(f"origins.{origin}", origin), words=" ".join(lines[origin]))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ",".join(_shown(one) for one in value[:8]) + ("…" if len(value) > 8 else "")
    return f"{value:g}" if isinstance(value, float) else f'"{value}"' if " " in str(value) else str(value)

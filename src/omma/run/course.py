"""The course of a run: plan, learn, judge, pack; from its beginning or from where it stopped."""

from __future__ import annotations

import re
import shlex
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from omma import bundle as bundles
from omma import catalog
from omma.data.fingerprint import Fingerprint, take
from omma.data.own.given import posed
from omma.data.sample import Dataset
from omma.engine import machine as machines
from omma.engine.budget import parse
from omma.engine.loop import learn
from omma.engine.machine import Machine
from omma.engine.measure import times
from omma.errors import Interrupted, OmmaError
from omma.formats.format import open_data, some_refused
from omma.progress import Watch
from omma.recipe import Recipe
from omma.run import advice, finish
from omma.run.folder import Facts, RunFolder
from omma.run.health import Health
from omma.run.outcome import Outcome
from omma.run.prepare import PICTURES, Ready, decide, ready, target_of, validator
from omma.words import say

RESERVE = 0.02  # share of a timed budget kept for what nobody foresees
FEW = 256  # pictures that tell how long answering takes
JUDGED = 0.25  # share of a timed budget up to which judging may cost several times as much, for views averaged that nobody asked for
LOOKED = 0.1  # share of it above which a single validation is one too many to be made twice
# Validations of a run that adapts: pictures of the source do not tell after which step its target is answered best, so the last one counts.
ONCE = 1


@dataclass(frozen=True)
class Scene:
    """Where a run takes place.

    Args:
        data, format: as given to `open_data`.
        began: `time.monotonic()` of the command's start; budgets of minutes run from there.
    """

    data: str
    format: str | None
    machine: Machine
    watch: Watch
    began: float


def begin(
    run: RunFolder, dataset: Dataset, recipe: Recipe, parent: bundles.Bundle | None, scene: Scene, share: float = 1.0,
    notes: Sequence[str] = (), given: Mapping[str, int] = MappingProxyType({}),
) -> Outcome:  # fmt: skip
    """Plan, write down what was decided, learn.

    Args:
        share: of a timed budget, over when this run ends.
        notes: what is known already that a reader of the scores must hear.
        given: sizes of the parts the dataset came with.
    """
    machine, watch = scene.machine, scene.watch
    target = target_of(recipe, watch)
    print_of = take(dataset, watch)
    task = decide(dataset, print_of, recipe)
    if target is not None:
        recipe.put("plan", evals=ONCE)
        notes = [*notes, say("adapt.note", target=shlex.quote(str(recipe.target)), count=len(target), run=shlex.quote(str(run.path)))]
    made = ready(task, recipe, dataset, print_of, machine, parent, watch, target=target)
    notes = [*notes, *advice.ignored(recipe, given, parent is not None, len(dataset.names))]
    budget = parse(recipe.get("budget", "10min"))
    measured: dict[str, float] = {}
    deadline = None
    if budget.kind == "seconds":
        total, deadline, measured = count_steps(made, scene, scene.began + budget.amount * share)
    else:
        total = budget.steps(made.batches.per_epoch)
    if measured and (text := advice.short(recipe, total, made.batches.per_epoch, measured["step_seconds"])):
        notes.append(text)
    for note in notes:
        watch.warn(note)
    facts = Facts(
        scene.data, scene.format, dataset.digest(), dataset.names, machine.threads, machine.world, total, print_of.json(), measured,
        str(parent.path) if parent else None, dataset.how_split, notes, parent.card.get("surgery", {}) if parent else {},
        made.views.json(), made.net.origin, target.digest() if target else "",
    )  # fmt: skip
    if machine.is_first:
        run.lock()
        run.write(recipe, facts, dataset)
    machine.wait()
    epochs = total / made.batches.per_epoch
    plan = {"pictures": len(dataset), "names": len(dataset.names), "task": recipe.task, "model": recipe.model, "size": recipe.size}
    watch.say(say("train.plan", **plan, total=total, epochs=epochs, split=dataset.how_split))
    for line in [*advice.settings(recipe), *advice.weights(made.net)]:
        watch.say(line)
    return go(run, made, facts, scene, deadline, None)


def count_steps(made: Ready, scene: Scene, end: float) -> tuple[int, float, dict[str, float]]:
    """Minutes into steps: (steps, `time.monotonic()` by which learning should be over, what was measured in seconds).

    Judging at the end is paid from the budget; validations on the way get a twentieth of it, or are two. Where that would leave little to
    learn with, views are averaged only if they were asked for, and validation is looked at once.
    """
    watch, recipe, counts = scene.watch, made.recipe, made.batches.dataset.counts()
    what = say("train.measuring")
    watch.step(what, 0)
    val, test = counts.get("val", 0), counts.get("test", 0)
    few = validator(made.task, made.batches, made.views, "val", FEW)
    left = scene.machine.agree(end - time.monotonic())
    cost = times(max(1.0, left), made.task, made.players, made.batches, recipe, scene.machine, few, min(val, FEW) or 1)
    look = val * cost.answer
    often = max(2, min(10, int(0.05 * left / look))) if 0 < look <= LOOKED * left and recipe.target is None else ONCE
    recipe.put("plan", evals=often)
    judged = (val + test) * made.batches.heavier * cost.answer  # what is judged may be larger than what was looked at on the way
    copies = {"flip": 2, "shift": 3, "flip+shift": 6}.get(str(recipe.tta), 1)
    if judged * copies > JUDGED * left and copies > 1 and recipe.put("plan", tta="none").tta == "none":
        made.views, copies = replace(made.views, tta="none"), 1
    again = PICTURES if made.views.fit == "own" else 2000  # of those it learned from
    judging = judged * copies + min(again, counts.get("train", 0)) * cost.answer + 3.0 + 1e-3 * (test or val)
    deadline = end - judging - RESERVE * left
    total = max(1, int((deadline - time.monotonic() - recipe.get("evals", 10) * look) / cost.step))
    total, deadline = scene.machine.agree((total, deadline))
    watch.end(what)
    watch.say(say("train.seconds_left", total=total, step=cost.step, look=look))
    return total, deadline, {"step_seconds": cost.step, "validation_seconds": look, "judging_seconds": judging}


def resume(path: str, anyway: bool, device: str, watch: Watch) -> Outcome:
    """Go on with a run from its newest whole checkpoint; bit for bit what it would have been.

    Raises:
        OmmaError: data, classes, threads or world size differ from what the run began with.
    """
    began = time.monotonic()
    run = RunFolder.open(path)
    recipe, facts = run.read()
    machine = machines.setup(device, recipe.precision, recipe.threads or facts.threads)
    if machine.world != facts.world:
        raise OmmaError(say("train.world", before=facts.world, now=machine.world), path, say("train.world_fix", before=facts.world))
    kind = catalog.find("tasks", recipe.task or "")
    asked = kind([], **recipe.task_settings).settings
    dataset = posed(open_data(facts.where, facts.format, watch, kind.answer.kind), kind.poses, asked)
    dataset = run.put_split(told(dataset, facts.where, watch))
    dataset.how_split = facts.how_split
    target = target_of(recipe, watch)
    for what, before, now in (
        ("data", facts.data, dataset.digest()),
        ("target", facts.target, target.digest() if target else ""),
        ("names", facts.names, dataset.names),
        ("threads", facts.threads, machine.threads),
    ):
        if before != now and not (anyway and what != "names"):
            shown = [str(v) if len(str(v)) < 90 else f"{str(v)[:90]} …" for v in (before, now)]
            raise OmmaError(say("train.changed", what=what, before=shown[0], now=shown[1]), path, say("train.changed_fix"))
    print_of = Fingerprint.from_json(facts.fingerprint)
    task = catalog.find("tasks", recipe.task or "")(dataset.names, **recipe.task_settings)
    keep = run.keep
    found = keep.latest()
    if keep.skipped:
        watch.warn(say("train.skipped", names=", ".join(keep.skipped)))
    # Killed before its first checkpoint: again from step 0.
    parent = bundles.open(facts.start_from) if facts.start_from and found is None else None
    made = ready(task, recipe, dataset, print_of, machine, parent, watch, facts if found else None, target)
    if machine.is_first:
        run.lock()
        run.rewind(found.step if found else 0)
    return go(run, made, facts, Scene(facts.where, facts.format, machine, watch, began), None, found)


def go(run: RunFolder, made: Ready, facts: Facts, scene: Scene, deadline: float | None, found: Any) -> Outcome:
    """Learn, then judge and pack."""
    try:
        step, halted = follow(run, made, facts, scene, deadline, found)
        if halted:
            raise Interrupted(say("train.stopped", step=step, run=run.path))
        return finish.judge(run, made, facts, scene.machine, scene.watch, scene.began, step)
    finally:
        run.close()


def follow(run: RunFolder, made: Ready, facts: Facts, scene: Scene, deadline: float | None, found: Any) -> tuple[int, bool]:
    """Run the loop, writing and telling its events; returns the last step and whether it was stopped before the end."""
    machine, watch = scene.machine, scene.watch
    curves = _tensorboard(run) if made.recipe.tensorboard and machine.is_first else None
    step, halted, health = 0, False, Health()
    with stopping() as stop:
        events = learn(
            made.task, made.players, made.batches, made.recipe, machine, run.keep, made.validate, facts.total,
            resume=found, stop=stop.is_set, deadline=deadline,
        )  # fmt: skip
        for event in events:
            step, halted = event["step"], event["event"] == "stopped"
            if machine.is_first:
                run.log(event | {"seconds": round(time.monotonic() - scene.began, 2)})
                tell(watch, event, facts.total)
                for text in health.hear(event):
                    notice = {"event": "notice", "step": step, "text": text}
                    run.log(notice)
                    tell(watch, notice, facts.total)
                if event["event"] == "eval":
                    run.show(event["step"], getattr(made.validate, "shown", []))
                if curves:
                    for key, value in event.items():
                        if isinstance(value, float):
                            curves.add_scalar(key, value, step)
    watch.end(say("train.learning"))
    if curves:
        curves.close()
    return step, halted


def tell(watch: Watch, event: dict[str, Any], total: int) -> None:
    """An event as a person follows it."""
    watch.event(event)
    kind = event["event"]
    if kind in ("start", "step", "eval"):
        numbers = {k: v for k, v in event.items() if isinstance(v, float) and k not in ("epoch", "norm")}
        watch.step(say("train.learning"), event["step"], event.get("total", total), **numbers)
    elif kind == "notice":
        watch.warn(event["text"])
    elif kind == "rollback":
        files = ", ".join(event["files"][:4])
        watch.warn(say("train.rolled_back", failed=event["failed"], step=event["step"], factor=event["rate_factor"], files=files))


@contextmanager
def stopping():
    """A flag that Ctrl-C or SIGTERM raises: the loop then saves and ends. A second Ctrl-C ends at once."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def raise_flag(number: int, frame: Any) -> None:
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    old = {number: signal.signal(number, raise_flag) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def told(dataset: Dataset, where: str, watch: Watch) -> Dataset:
    """What a run learns from, the labelled pictures; what is left out is told, and so are the notes.

    Args:
        where: the data as it was named.
    """
    if dataset.refused:
        count, shown = len(dataset.refused), some_refused(dataset)
        watch.warn(say("train.left_out", count=count, shown=shown, data=shlex.quote(where)))
    for note in dataset.notes:
        watch.say(note)
    known = dataset.labelled()
    if 0 < len(known) < len(dataset):
        watch.warn(say("train.unlabelled", count=len(dataset) - len(known)))
    return known


def slug(data: str) -> str:
    """A folder name from a data path: its last part, letters of any language kept."""
    stem = Path(data.partition(":")[0] if not Path(data).exists() else data).resolve().name if "/" in data or Path(data).exists() else data
    return re.sub(r"[^\w\-]+", "-", stem.split(".")[0]).strip("-") or "run"


def _tensorboard(run: RunFolder) -> Any:
    catalog.need("tensorboard", "tensorboard", "tensorboard=yes")
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(run.path / "tensorboard"))

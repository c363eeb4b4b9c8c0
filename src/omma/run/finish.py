"""From the best checkpoint to a bundle: operating point, honest scores, card."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from omma.answers.answer import Answer
from omma.bundle import Bundle, answering, versions
from omma.engine.machine import Machine
from omma.engine.told import is_placed, told
from omma.models.making import build, settings_of
from omma.parts import merged
from omma.parts.surgery import plan_of
from omma.progress import Watch
from omma.report.evaluation import evaluate_bundle
from omma.report.run import write_report
from omma.run import advice
from omma.run.folder import Facts, RunFolder
from omma.run.outcome import Outcome
from omma.run.prepare import Ready, validator
from omma.run.verdict import verdict
from omma.words import say

MOST = 200  # pictures an operating point is fitted on, where answers are maps


def best_nets(run: RunFolder, made: Ready) -> float | None:
    """Put the judged networks of the best step (the last one where nothing was held out) in place; returns their validation score."""
    found = run.keep.best()
    for who, net in made.players.nets.items():
        rows = found.tensors.get(f"average-{who}", found.tensors[f"net-{who}"])
        net.load_state_dict({key: value for key, value in rows.items() if key != "average.steps"})
        net.eval()
    return found.state["best"]


def fit_on_validation(bundle: Bundle, made: Ready, plain: float | None) -> list[str]:
    """Set the bundle's operating point, and its views of test time: averaging stays only where validation is answered no worse with it.

    Returns a sentence where the goal is out of reach.

    Args:
        plain: the score of validation without averaging; higher is better.
    """
    places = made.batches.frames.part("val")
    if not places or made.task.answer.fit.__func__ is Answer.fit.__func__:  # type: ignore[attr-defined]
        return []
    if is_placed(made.task):  # maps of every picture at once would not fit into memory
        places = places[:: -(-len(places) // MOST)]
    truths = made.batches.dataset.choose(places).truths()  # a point is fitted on frames
    tensors = asked(bundle, made, places)
    if made.views.tta != "none" and made.recipe.origin.get("tta") != "you" and plain is not None:
        metric = next(iter(made.task.metrics().values()))
        answers = told(made.task, made.task.answer.operate(tensors, {}), {})
        value = metric.summary(metric.records(answers, truths), np.ones(len(truths), np.float32))
        if (value if metric.better == "higher" else -value) < plain:
            bundle.views = made.views = replace(made.views, tta="none")
            made.recipe.tta = "none"
            bundle.card["recipe"] = made.recipe.json()
            tensors = asked(bundle, made, places)
    truth = made.task.answer.tensors(truths, made.task.names, made.views)
    goal = made.task.settings.get("goal", "")
    bundle.point = made.task.answer.fit(tensors, truth, made.task.names, goal)
    return advice.unreached(bundle.point, made.task.names, goal)


def asked(bundle: Bundle, made: Ready, places: list[int]) -> dict[str, torch.Tensor]:
    """Tensors of `infer` about these places, on the CPU."""
    pipeline = bundle.pipeline()
    with torch.inference_mode():
        rows = [{key: value.float().cpu() for key, value in pipeline.infer(frames).items()} for frames in batches_of_frames(made, places)]
    return {key: torch.cat([row[key] for row in rows]) for key in rows[0]}


def batches_of_frames(made: Ready, places: list[int], size: int = 128):
    """(N, S, S, C) uint8 frames of these places on the run's device, a few at a time."""
    device = next(made.net.parameters()).device
    for start in range(0, len(places), size):
        yield made.batches.frames.get(torch.tensor(places[start : start + size])).to(device)


def pack(run: RunFolder, made: Ready, facts: Facts, machine: Machine) -> Bundle:
    """The bundle of a finished run, operating point fitted, notes in its card; not yet scored or saved."""
    plain = best_nets(run, made)
    card: dict[str, Any] = {
        "model": made.recipe.model,
        "model_settings": settings_of(str(made.recipe.model)) | made.recipe.model_settings,  # a later default changes no answer
        "recipe": made.recipe.json(),
        "fingerprint": facts.fingerprint,
        "origin": made.net.origin,
        "data": {
            "where": facts.where,
            "format": facts.format,
            "digest": facts.data,
            "how_split": facts.how_split,
            "counts": made.dataset.counts(),
            "source": made.dataset.source,
            **({"target": made.recipe.target, "target_digest": facts.target} if facts.target else {}),
        },
        "versions": versions() | {"threads": str(machine.threads), "world": str(machine.world)},
    }
    if facts.surgery:
        card["surgery"] = plan_of(_whole(made), made.net)
    nets = answering(made.players.nets)
    if merged.branched(made.net):  # branches helped to learn; what is carried are their sums
        nets |= {"net": merged.plain(made.net)}
        card["model_settings"] |= {"plain": True}
    bundle = Bundle(made.task, nets, made.views, {}, card)
    bundle.card["notes"] = [*facts.notes, *fit_on_validation(bundle, made, plain)]
    return bundle


def _whole(made: Ready) -> torch.nn.Module:
    """The network as its name builds it, without memory."""
    with torch.device("meta"):
        return build(
            str(made.recipe.model), channels=made.views.channels, size=made.views.size, outputs=made.task.outputs,
            **made.recipe.model_settings,
        )  # fmt: skip


def train_score(made: Ready, most: int = 2000) -> tuple[float, dict[str, float]] | None:
    """The judged networks on a part of what they learned from, not varied: for the verdict on over- and underfitting."""
    if made.net.optimises:  # minutes a picture: `evaluate` does that when asked
        return None
    score = validator(made.task, made.batches, made.views, "train", most)
    return score(made.players.nets) if score else None


def judge(run: RunFolder, made: Ready, facts: Facts, machine: Machine, watch: Watch, began: float, steps: int) -> Outcome:
    """Pack the best step, score it once on the part that chose nothing, write bundle and report."""
    bundle = pack(run, made, facts, machine)
    parts = made.dataset.counts()
    part = "test" if parts.get("test") else "val" if parts.get("val") else ""
    slow = made.net.optimises
    part = "" if slow else part
    notes = bundle.card["notes"]
    if part != "test":
        notes.append(say("train.no_test") if part else say("stylize.not_scored" if slow else "train.no_score"))
    evaluation = None
    if part and machine.is_first:
        watch.step(say("train.scoring"), 0)
        evaluation = evaluate_bundle(bundle, made.dataset.part(part), part, watch, data=facts.where, learned=made.dataset.part("train"))
        scores = evaluation.scores
        bundle.card["scores"] = {"split": part, "metrics": {name: score.json() for name, score in scores.items()}}
        watch.end(say("train.scoring"))
    rows = list(run.rows())
    seen = train_score(made)
    share = next(iter(made.task.metrics().values())).scale in ("share", "below_one")
    words = verdict(rows, seen[0] if seen else None, share)
    trained = Outcome(run.path, made.recipe.task or "", made.recipe.model or "", part, {}, words, steps, 0.0, None, notes, facts.where)
    if machine.is_first:
        bundle.save(run.bundle)
        run.log({"event": "verdict", "step": steps, **words})
        if evaluation is not None:
            evaluation.keep(run.path, bundle.task)
        trained.report = write_report(run.path, bundle, evaluation, made.dataset, watch)
        scored = bundle.card.get("scores", {}).get("metrics", {})
        run.log({"event": "bundle", "step": steps, "scores": scored, "seconds": round(time.monotonic() - began, 2)})
    trained.scores = machine.agree(bundle.card.get("scores", {}).get("metrics", {}))
    trained.seconds = time.monotonic() - began
    return trained

"""Adaptation: the gradient that is turned round, pictures without labels beside every batch, and what is left of them in a bundle."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import omma
from omma import cli
from omma.data.batches import Batches
from omma.data.beside import Beside, unlabelled
from omma.data.frames import Frames
from omma.data.views import Views
from omma.engine import turn
from omma.engine.turn import Players
from omma.errors import Interrupted, NotMeaningful, OmmaError
from omma.formats.format import open_data
from omma.models.making import build
from omma.parts.adapting.reversal import Domains, reverse, strength_at
from omma.progress import Watch
from omma.recipe import Recipe
from omma.tasks._adapted import adapted
from omma.tasks.classify import Classify
from omma.tasks.task import Batch
from omma.verbs.train import train
from toys import CPU

WORDS = ["model=dann", "threads=1", "tta=none", "size=16", "optimizer=momentum", "rate=0.02", "batch=16", "checkpoint=2"]
STEPS = "6 steps"


def pictures(path, *, size=(16, 16), channels=3, seed=0, count=40, turned=0, test=True):
    """Noisy pictures, bright ones of class 1, as .npz; `turned` shifts the labels and nothing else."""
    draw = np.random.default_rng(seed)
    parts = {}
    for part, many in (("train", count), *((("test", count // 2),) if test else ())):
        labels = np.arange(many) % 2
        shape = (many, *size, channels) if channels > 1 else (many, *size)
        bright = (labels * 120).reshape(-1, *[1] * (len(shape) - 1))
        parts |= {f"{part}_images": (draw.integers(0, 100, shape) + bright).astype("uint8"), f"{part}_labels": (labels + turned) % 2}
    np.savez(path, **parts)
    return str(path)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("source") / "源.npz")


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("target") / "目标.npz", size=(12, 20), channels=1, seed=1, count=24)


@pytest.fixture(scope="module")
def done(source, target, tmp_path_factory):
    return train(source, *WORDS, f"target={target}", budget=STEPS, out=str(tmp_path_factory.mktemp("runs") / "run"), seed=4)


def test_the_gradient_comes_back_reversed():
    values = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(5, dtype=torch.float64)
    assert torch.equal(reverse(values, 0.3), values)
    ((reverse(values, 0.3) @ weights).sum()).backward()
    assert torch.allclose(values.grad, -0.3 * weights.expand(3, 5))


def test_its_strength_grows_as_the_paper_says():
    assert strength_at(0.0) == 0 and strength_at(1.0) == pytest.approx(0.9999092, abs=1e-7) and strength_at(3.0) == strength_at(1.0)
    assert strength_at(0.1) == pytest.approx(np.tanh(0.5))  # 2 σ(x) − 1 = tanh(x / 2)


def players(recipe):
    torch.manual_seed(3)
    net = build("dann", channels=1, size=16, outputs=2)
    task = adapted(Classify(["a", "b"]), net, 100)
    return task, Players.gather(task, net, recipe)


def some(progress=0.4):
    draw = torch.Generator().manual_seed(1)
    one, other = torch.randn(8, 1, 16, 16, generator=draw), torch.randn(8, 1, 16, 16, generator=draw)
    return Batch(one, {"target": torch.eye(2)[torch.arange(8) % 2]}, torch.arange(8), other, progress)


@pytest.mark.parametrize("micro", [8, 4])
def test_a_step_is_the_papers_step(micro):
    """One backward pass through a reversal moves the network, the head and the classifier of domains as the two turns do (eq. 13–15)."""
    recipe = Recipe().put("you", optimizer="sgd", rate=0.1, weight_decay=0.0)
    task, made = players(recipe)
    _, mine = players(recipe)
    batch = some()
    told = turn.take(task, made, batch, 0, recipe, CPU, 0.1, micro)
    net, critic = mine.nets["net"], mine.nets["critic"]
    features = net.features(torch.cat([batch.pictures, batch.beside]))
    said = critic(reverse(features, strength_at(0.4)))
    apart = nn.functional.binary_cross_entropy_with_logits(said, torch.tensor([1.0] * 8 + [0.0] * 8))
    loss = task.loss(net, batch)
    (loss + apart).backward()
    assert torch.allclose(told["loss"], loss.detach(), atol=1e-5)
    assert torch.allclose(told["domain"], apart.detach(), atol=1e-5) and torch.allclose(told["confusion"], apart.detach(), atol=1e-5)
    for who in ("net", "critic"):
        for (name, moved), p in zip(made.nets[who].named_parameters(), mine.nets[who].parameters(), strict=True):
            assert torch.allclose(moved, p - 0.1 * p.grad, atol=1e-6), (who, name)


def test_nothing_is_confused_at_the_beginning():
    """With λ = 0 the network moves as if it were alone."""
    recipe = Recipe().put("you", optimizer="sgd", rate=0.1, weight_decay=0.0)
    task, made = players(recipe)
    _, alone = players(recipe)
    turn.take(task, made, some(0.0), 0, recipe, CPU, 0.1, 8)
    turn.take(
        Classify(["a", "b"]), Players({"net": alone.nets["net"]}, {"net": alone.optimizers["net"]}), some(0.0), 0, recipe, CPU, 0.1, 8
    )
    for moved, p in zip(made.nets["net"].parameters(), alone.nets["net"].parameters(), strict=True):
        assert torch.allclose(moved, p, atol=1e-6)


def test_what_goes_beside_depends_on_the_step_alone(source, target):
    views, recipe = Views(16, 3), Recipe(seed=2).put("you", batch=16, shift=0.125, flip=True)
    data, others = open_data(source).part("train"), unlabelled(open_data(target))
    assert len(others) == 24 and all(sample.truth is None for sample in others.samples), "its test part is not looked at"

    def batches(rank=0, world=1):
        beside = Beside(Frames(others, views), views, recipe)
        return Batches(Frames(data, views), data, Classify(data.names), views, recipe, rank, world, beside=beside)

    ahead, whole = batches(), [batches().at(step, step / 4).beside for step in range(4)]
    for step in (3, 0, 2, 1):
        found = ahead.at(step, step / 4)
        assert found.beside.shape == found.pictures.shape and torch.equal(found.beside, whole[step]) and found.progress == step / 4
    parts = [batches(rank, 2).at(1).beside for rank in (0, 1)]
    assert torch.equal(torch.cat(parts), whole[1])
    plain = Batches(Frames(data, views), data, Classify(data.names), views, recipe)
    assert torch.equal(plain.at(2).pictures, ahead.at(2).pictures) and plain.at(2).beside is None
    few = Beside(Frames(others.choose([0, 1, 2]), views), views, recipe)
    assert len(few.at(5, 0, 16, 16)) == 16, "few pictures come up again within a batch"


def test_labels_of_the_target_reach_nothing(done, source, target, tmp_path):
    other = pictures(tmp_path / "目标.npz", size=(12, 20), channels=1, seed=1, count=24, turned=1)
    assert open_data(other).samples[0].truth != open_data(target).samples[0].truth
    again = train(source, *WORDS, f"target={other}", budget=STEPS, out=str(tmp_path / "run"), seed=4)
    assert omma.open(again.run).digest == omma.open(done.run).digest
    facts = [json.loads((one.run / "recipe.json").read_text("utf-8"))["facts"]["target"] for one in (done, again)]
    assert facts[0] and facts[0] == facts[1], "not even a resume asks for them"


def test_its_pictures_do(done, source, tmp_path):
    other = pictures(tmp_path / "other.npz", seed=2)
    sums = {omma.open(done.run).digest}
    for name, words in (("adapted", [f"target={other}"]), ("alone", [])):
        sums.add(omma.open(train(source, *WORDS, *words, budget=STEPS, out=str(tmp_path / name), seed=4).run).digest)
    assert len(sums) == 3


def test_a_bundle_is_the_wrapped_tasks_and_says_what_it_adapted_to(done, target, capsys):
    bundle = omma.open(done.run)
    assert list(bundle.nets) == ["net"] and bundle.card["task"] == "classify" and type(bundle.task) is Classify
    assert bundle.card["data"]["target"] == target and len(bundle.card["data"]["target_digest"]) == 64
    assert target in (done.bundle / "README.md").read_text("utf-8") and any(target in note for note in bundle.card["notes"])
    assert target in done.report.read_text("utf-8")
    assert cli.run(["show", str(done.run)]) == 0 and target in capsys.readouterr().out
    found = omma.evaluate(str(done.run), target)
    assert found.json()["n"] == 12, "its labels are there to report on"


def test_the_last_step_counts(done):
    rows = [json.loads(line) for line in (done.run / "events.jsonl").read_text("utf-8").splitlines()]
    assert [row["step"] for row in rows if row["event"] == "eval"] == [6]
    steps = [row for row in rows if row["event"] == "step"]
    assert all({"loss", "confusion", "domain"} <= row.keys() for row in steps)


def test_a_killed_run_goes_on_bit_for_bit(done, source, target, tmp_path):
    class Stop(Watch):
        def event(self, event):
            if event["event"] == "step" and event["step"] == 3:
                os.kill(os.getpid(), 2)

    with pytest.raises(Interrupted):
        train(source, *WORDS, f"target={target}", budget=STEPS, out=str(tmp_path / "run"), seed=4, watch=Stop())
    train(resume=str(tmp_path / "run"))
    assert omma.open(tmp_path / "run").digest == omma.open(done.run).digest


def test_a_resume_wants_the_same_target(source, tmp_path):
    class Stop(Watch):
        def event(self, event):
            if event["event"] == "step" and event["step"] == 3:
                os.kill(os.getpid(), 2)

    other = pictures(tmp_path / "other.npz", seed=2)
    with pytest.raises(Interrupted):
        train(source, *WORDS, f"target={other}", budget=STEPS, out=str(tmp_path / "run"), watch=Stop())
    pictures(tmp_path / "other.npz", seed=3)
    with pytest.raises(OmmaError, match="target"):
        train(resume=str(tmp_path / "run"))


def test_what_cannot_adapt_says_so(source, target, tmp_path):
    for words in (["model=hog"], ["freeze=yes"]):
        with pytest.raises(OmmaError, match="adapt"):
            train(source, f"target={target}", "threads=1", *words, budget="2 steps", out=str(tmp_path / "run"))
    with pytest.raises(NotMeaningful):
        train(source, f"target={target}", "threads=1", task="generate", budget="2 steps", out=str(tmp_path / "run"))
    with pytest.raises(OmmaError):
        train(source, "target=nowhere.npz", "threads=1", budget="2 steps", out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_the_classifier_of_domains_is_as_wide_as_the_papers():
    assert Domains(100).hidden.out_features == 100 and Domains(4096).hidden.out_features == 1024
    assert Domains(5)(torch.randn(7, 5)).shape == (7,)


def test_check_looks_at_the_target_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    for folder in ("source/a", "source/b", "target"):
        (tmp_path / folder).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(draw.integers(0, 256, (24, 24, 3)).astype("uint8")).save(tmp_path / folder / f"{i}.png")
    assert cli.run(["check", "source", "--target", "target", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["target"]["pictures"] == 3 and "unlabelled" not in {row["kind"] for row in told["target"]["findings"]}
    (tmp_path / "target" / "cut.png").write_bytes((tmp_path / "target" / "0.png").read_bytes()[:200])
    assert cli.run(["check", "source", "--target", "target"]) == 1
    assert "cut.png" in capsys.readouterr().out and (tmp_path / "check-source" / "target.html").is_file()

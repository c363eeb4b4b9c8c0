"""A run on disk: what is written before step 1, what a resume refuses, going on from a model, folds, the verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import omma
from omma.answers.boxes import Boxes
from omma.answers.mask import Mask
from omma.answers.numbers import Numbers
from omma.data.sample import Dataset, Sample
from omma.errors import DataError, Interrupted, OmmaError
from omma.formats import voc
from omma.progress import Watch
from omma.run import course
from omma.run.folder import RunFolder
from omma.run.start import learnable
from omma.run.verdict import verdict
from omma.verbs.train import train

WORDS = ["model=quick-narrow", "widths=4,8", "depth=1", "threads=1", "tta=none"]


def write(path, classes=("a", "b"), each=40, seed=0, shift=0):
    """Noisy 16 × 16 pictures, one brightness a class, as .npz with a train and a test part."""
    draw = np.random.default_rng(seed)
    parts = {}
    for part, count in (("train", each), ("test", each // 2)):
        labels = np.arange(count * len(classes)) % len(classes)
        pictures = draw.integers(0, 80, (len(labels), 16, 16, 3)) + (labels * 150 // len(classes))[:, None, None, None] + shift
        parts |= {f"{part}_images": pictures.astype("uint8"), f"{part}_labels": labels}
    np.savez(path, **parts)
    return str(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("数据") / "two.npz")


@pytest.fixture(scope="module")
def done(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    return train(data, *WORDS, budget="20 steps", out=str(out), seed=4)


class Order(Watch):
    """Remembers which files were there when the first step was told."""

    def __init__(self, out):
        self.out, self.there = out, None

    def event(self, event):
        if self.there is None:
            self.there = {path.name for path in self.out.iterdir()}


def test_everything_decided_is_written_before_the_first_step(data, tmp_path):
    watch = Order(tmp_path / "run")
    train(data, *WORDS, budget="2 steps", out=str(tmp_path / "run"), watch=watch)
    assert {"recipe.toml", "recipe.json", "split.csv", "events.jsonl", "checkpoints"} <= watch.there


def test_a_run_tells_its_scores_with_intervals_on_what_was_held_out(done):
    told = done.json()
    score = told["scores"]["accuracy"]
    assert told["split"] == "test" and score["n"] == 40 and score["low"] <= score["value"] <= score["high"]
    assert (done.bundle / "bundle.json").is_file() and done.report.is_file()
    assert any("accuracy" in line for line in done.lines())


def test_the_same_words_give_the_same_weights(done, data, tmp_path):
    again = train(data, *WORDS, budget="20 steps", out=str(tmp_path / "run"), seed=4)
    other = train(data, *WORDS, budget="20 steps", out=str(tmp_path / "other"), seed=5)
    sums = [omma.open(run.run).digest for run in (done, again, other)]
    assert sums[0] == sums[1] != sums[2]


def test_a_recipe_file_says_it_again(done, data, tmp_path):
    again = train(data, recipe=str(done.run / "recipe.toml"), out=str(tmp_path / "run"))
    assert omma.open(again.run).digest == omma.open(done.run).digest


def interrupt(data, out, after=8):
    """A run stopped by a real signal after some steps."""

    class Stop(Watch):
        def event(self, event):
            if event["event"] == "eval" and event["step"] >= after:
                os.kill(os.getpid(), 2)

    with pytest.raises(Interrupted) as error:
        train(data, *WORDS, budget="20 steps", out=str(out), seed=4, watch=Stop())
    assert f"--resume {out}" in str(error.value)


def test_ctrl_c_saves_and_the_resumed_run_is_the_same(done, data, tmp_path):
    interrupt(data, tmp_path / "run")
    train(resume=str(tmp_path / "run"))
    assert omma.open(tmp_path / "run").digest == omma.open(done.run).digest

    def rows(run):
        kept = [{k: v for k, v in row.items() if k != "seconds"} for row in RunFolder(run).rows()]
        return [row for row in kept if row["event"] in ("step", "eval")]

    assert rows(tmp_path / "run") == rows(done.run)


@pytest.mark.parametrize("what", ["data", "names", "threads", "gone", "world"])
def test_a_resume_refuses_what_has_changed_naming_both(what, tmp_path, monkeypatch):
    data = write(tmp_path / "set.npz")
    interrupt(data, tmp_path / "run")
    if what == "data":
        write(tmp_path / "set.npz", shift=1)
    elif what == "names":
        path = tmp_path / "run" / "recipe.json"
        row = json.loads(path.read_text("utf-8"))
        row["facts"]["names"] = ["0", "other"]
        path.write_text(json.dumps(row), "utf-8")
    elif what == "threads":
        path = tmp_path / "run" / "recipe.json"
        path.write_text(path.read_text("utf-8").replace('"threads": 1,\n  "world"', '"threads": 2,\n  "world"'), "utf-8")
        assert json.loads(path.read_text("utf-8"))["facts"]["threads"] == 2
    elif what == "gone":
        write(tmp_path / "set.npz", each=30)
    else:
        path = tmp_path / "run" / "recipe.json"
        path.write_text(path.read_text("utf-8").replace('"world": 1', '"world": 2'), "utf-8")
    with pytest.raises(OmmaError) as error:
        train(resume=str(tmp_path / "run"))
    line = str(error.value)
    assert "\n" not in line and {"data": "data", "names": "other", "threads": "threads", "gone": "set.npz", "world": "2"}[what] in line
    if what == "threads":
        train(resume=str(tmp_path / "run"), anyway=True)


@pytest.fixture
def gaps(tmp_path):
    """A VOC folder of 24 pictures with one or two objects; one picture has no annotation, one object of another no area."""
    draw, folder = np.random.default_rng(0), tmp_path / "gaps"
    pictures = [draw.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(24)]
    boxes = np.array([[2.0, 2, 12, 14], [16, 8, 30, 30]])
    truths = [Boxes(32, 32, ["a", "b"][: 1 + i % 2], boxes[: 1 + i % 2]) for i in range(24)]
    samples = [Sample(f"p{i:02d}", None, i, truth) for i, truth in enumerate(truths)]
    voc.write(Dataset(samples, ["a", "b"], "detect", folder, "npz", pictures), folder)
    (folder / "Annotations" / "p03.xml").unlink()
    odd = folder / "Annotations" / "p05.xml"
    odd.write_text(odd.read_text("utf-8").replace("<xmax>30", "<xmax>5"), "utf-8")
    return str(folder)


def test_what_is_left_out_is_told_and_the_rest_is_resumed(gaps, tmp_path):
    lines = []

    class Ear(Watch):
        def warn(self, line):
            lines.append(line)

        def say(self, line):
            lines.append(line)

        def event(self, event):
            if event["event"] == "eval":
                os.kill(os.getpid(), 2)

    with pytest.raises(Interrupted):
        train(gaps, *WORDS, "evals=3", task="multilabel", budget="6 steps", out=str(tmp_path / "run"), watch=Ear())
    first = next(place for place, line in enumerate(lines) if line.startswith("23 pictures"))
    refused = next(place for place, line in enumerate(lines) if "p05.xml" in line)
    unlabelled = next(place for place, line in enumerate(lines) if "label" in line and line.startswith("1 "))
    assert max(refused, unlabelled) < first and f"omma check {gaps}" in lines[refused] and lines[refused].startswith("1 ")
    assert train(resume=str(tmp_path / "run")).steps == 6


def test_nothing_left_out_is_not_told(data, tmp_path):
    lines = []

    class Ear(Watch):
        def warn(self, line):
            lines.append(line)

    train(data, *WORDS, budget="2 steps", out=str(tmp_path / "run"), watch=Ear())
    assert not any("left out" in line for line in lines)


def test_resume_takes_everything_from_the_run(done):
    with pytest.raises(OmmaError, match="seed"):
        train(resume=str(done.run), seed=3)


def test_a_folder_that_holds_a_run_is_not_written_over(done, data):
    with pytest.raises(OmmaError, match="resume"):
        train(data, budget="2 steps", out=str(done.run))


def test_two_trainers_in_one_folder(done):
    first = RunFolder(done.run)
    first.lock()
    with pytest.raises(OmmaError, match=str(os.getpid())):
        RunFolder(done.run).lock()
    first.close()


def test_a_later_default_of_the_network_leaves_a_bundle_as_it_is(data, tmp_path, monkeypatch):
    from omma.models import quick

    done = train(data, *(word for word in WORDS if word != "depth=1"), budget="2 steps", out=str(tmp_path / "run"))
    monkeypatch.setitem(quick.build.__kwdefaults__, "depth", 1)
    bundle = omma.open(done.run)
    assert bundle.card["model_settings"] == {"widths": [4, 8], "depth": 2} and len(bundle.net.groups[0].convs) == 2


def test_going_on_from_a_model_keeps_the_rows_of_known_classes(done, tmp_path):
    three = write(tmp_path / "three.npz", classes=("a", "b", "c"))
    more = train(three, budget="4 steps", from_=str(done.run), out=str(tmp_path / "run"))
    bundle = omma.open(more.run)
    assert len(bundle.names) == 3 and bundle.card["origin"]["weights"].startswith("omma bundle")
    from omma.models.making import build
    from omma.run.prepare import continue_from

    start = omma.open(done.run)
    net = build(bundle.card["model"], channels=3, size=16, outputs=3, **bundle.card["model_settings"])
    continue_from(net, bundle.task, start)
    for place, name in enumerate(bundle.names):
        if name in start.names:
            assert (net.head.weight[place] == start.net.head.weight[start.names.index(name)]).all()


def test_another_network_cannot_go_on(done, data, tmp_path):
    with pytest.raises(OmmaError, match="resnet20"):
        train(data, "model=resnet20", from_=str(done.run), out=str(tmp_path / "run"))


def test_folds_answer_every_picture_once(tmp_path):
    data = write(tmp_path / "set.npz", each=20)
    told = train(data, *WORDS, budget="6 steps", folds=2, out=str(tmp_path / "run"))
    assert told.scores["accuracy"]["n"] == 60 and told.split == "2 folds" and told.notes
    page = told.report.read_text("utf-8")
    assert "2 folds" in page and told.notes[-1] in page
    assert json.loads((tmp_path / "run" / "bundle" / "bundle.json").read_text("utf-8"))["scores"]["split"] == "2 folds"


def test_nothing_held_out_is_said(data, tmp_path):
    labels = np.arange(40) % 2
    pictures = np.random.default_rng(0).integers(0, 80, (40, 16, 16, 3)) + (labels * 90)[:, None, None, None]
    np.savez(tmp_path / "all.npz", images=pictures.astype("uint8"), labels=labels)
    told = train(str(tmp_path / "all.npz"), *WORDS, "val=0", "test=0", budget="4 steps", out=str(tmp_path / "run"))
    assert told.scores == {} and told.verdict["word"] == "unknown" and told.notes


@pytest.mark.parametrize("task", ["detect", "instances", "segment", "regress", "multilabel"])
def test_classes_of_pictures_teach_no_other_task(task, data, tmp_path):
    with pytest.raises(OmmaError, match=f"labels are classes, and {task} learns from .*--task classify"):
        train(data, task=task, budget="2 steps", out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_one_class_is_nothing_to_learn(tmp_path):
    np.savez(tmp_path / "one.npz", images=np.zeros((9, 16, 16, 3), "uint8"), labels=np.zeros(9, int))
    with pytest.raises(DataError) as error:
        train(str(tmp_path / "one.npz"), budget="2 steps", out=str(tmp_path / "run"))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("layout", ["labelme", "yolo"])
@pytest.mark.parametrize("task", [None, "multilabel", "segment", "regress"])
def test_no_object_is_nothing_to_learn(layout, task, tmp_path):
    for place in range(4):
        shade = np.full((16, 16, 3), 50 * place, np.uint8)
        picture = tmp_path / "set" / ("images" if layout == "yolo" else "") / f"{place}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(shade).save(picture)
        empty = {"shapes": [], "imagePath": picture.name, "imageHeight": 16, "imageWidth": 16}
        label = tmp_path / "set" / "labels" / f"{place}.txt" if layout == "yolo" else picture.with_suffix(".json")
        label.parent.mkdir(exist_ok=True)
        label.write_text("" if layout == "yolo" else json.dumps(empty), "utf-8")
    with pytest.raises(DataError, match="no picture holds an object"):
        train(str(tmp_path / "set"), task=task, budget="2 steps", out=str(tmp_path / "run"))


def masked(*classes):
    """Two pictures, each of whose pixels is of one class."""
    names = ["background", "cat"]
    truths = [Mask.of(np.full((16, 16), names.index(name), np.uint8), names) for name in classes]
    return Dataset([Sample(str(i), None, i, truth) for i, truth in enumerate(truths)], names, "segment", Path("x"), "npz")


def boxed(ignored=None):
    """Ten pictures with one and the same box."""
    truth = Boxes(16, 16, ["part"], np.array([[2.0, 2, 9, 9]]), ignored=ignored)
    return Dataset([Sample(str(i), None, i, truth) for i in range(10)], ["part"], "detect", Path("x"), "npz")


def counted():
    """Four pictures with one and the same count."""
    truth = Numbers({"cells": 3.0})
    return Dataset([Sample(str(i), None, i, truth) for i in range(4)], ["cells"], "regress", Path("x"), "npz")


def test_what_lies_somewhere_may_lie_alike_everywhere():
    learnable(boxed(), "x")
    learnable(masked("background", "cat"), "x")


@pytest.mark.parametrize(
    ("dataset", "word"),
    [
        (masked("background", "background"), "no picture holds an object"),
        (masked("cat", "cat"), "one class only .'cat'"),
        (boxed(np.array([True])), "no picture holds an object"),
        (counted(), "same numbers"),
    ],
)
def test_what_lies_nowhere_or_everywhere_is_refused(dataset, word):
    with pytest.raises(DataError, match=word):
        learnable(dataset, "x")


@pytest.mark.parametrize("folds", [None, 1, 2])
def test_a_run_that_is_refused_leaves_no_folder(data, tmp_path, folds):
    with pytest.raises(OmmaError):
        train(str(data), "model=quick", "depth=9999999", budget="1 step", folds=folds, out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_refused_takes_nothing_of_others_away(data, tmp_path):
    (tmp_path / "run" / "mine").mkdir(parents=True)
    with pytest.raises(OmmaError):
        train(str(data), "model=quick", "depth=9999999", budget="1 step", folds=2, out=str(tmp_path / "run"))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine"]


def test_python_says_it_in_one_breath(done, data):
    assert done.evaluate(data, split="test").scores["accuracy"].n == 40


def test_default_folders_count_up(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [RunFolder.create(None, course.slug(data)).path.name for _ in range(2)]
    assert names == ["two-1", "two-2"]


def looks(scores, losses):
    return [{"event": "eval", "score": s, "val_loss": v} for s, v in zip(scores, losses, strict=True)]


@pytest.mark.parametrize(
    ("scores", "losses", "train_score", "word"),
    [
        ([0.6, 0.7, 0.7, 0.7, 0.7], [1.0, 0.7, 0.8, 0.9, 1.0], 0.99, "overfit"),
        ([0.5, 0.6, 0.7, 0.75, 0.8], [1.0, 0.9, 0.8, 0.7, 0.6], 0.81, "early"),
        ([0.6, 0.62, 0.62, 0.62, 0.62], [1.0] * 5, 0.63, "underfit"),
        ([0.2, 0.218, 0.218, 0.218, 0.218], [2.2] * 5, 0.24, "underfit"),
        ([0.9, 0.96, 0.97, 0.97, 0.97], [0.3, 0.2, 0.1, 0.1, 0.1], 0.975, "fine"),
    ],
)
def test_the_verdict(scores, losses, train_score, word):
    told = verdict(looks(scores, losses), train_score)
    assert told["word"] == word and set(told["text"]) == {"en", "zh"}


@pytest.mark.slow
def test_two_processes_resume_and_another_world_is_refused(data, tmp_path):
    """torchrun over gloo on the CPU: the whole run and the resumed one end in the same bits."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "omma", "train"]
    words = [data, *WORDS, "checkpoint=4", "--budget", "12 steps", "--device", "cpu"]
    calm = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*torchrun, *words, "--out", str(tmp_path / "whole")], check=True, env=calm, capture_output=True)
    killed = subprocess.run(
        [*torchrun, *words, "--out", str(tmp_path / "cut")], check=False, env=calm | {"OMMA_FAULT": "kill@rename:3"}, capture_output=True
    )
    assert killed.returncode != 0
    refused = subprocess.run(
        [sys.executable, "-m", "omma", "train", "--resume", str(tmp_path / "cut")], check=False, env=calm, capture_output=True
    )
    assert refused.returncode == 2 and b"2" in refused.stderr and b"Traceback" not in refused.stderr
    subprocess.run([*torchrun, "--resume", str(tmp_path / "cut"), "--device", "cpu"], check=True, env=calm, capture_output=True)
    assert omma.open(tmp_path / "whole").digest == omma.open(tmp_path / "cut").digest

"""Answers that a run keeps, taken apart: nothing is lost on the way, thresholds say what `evaluate` says, cells show their pictures."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from torch import nn

import trained
from omma import bundle as bundles
from omma import catalog
from omma.answers import _file as answers
from omma.answers._whole import from_whole, whole
from omma.answers.answer import Answer
from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.answers.mask import Mask
from omma.answers.numbers import Numbers
from omma.answers.picture import Picture
from omma.bundle import Bundle
from omma.data.views import Views
from omma.engine.predicting import point_scores
from omma.errors import DataError
from omma.formats.format import open_data
from omma.metrics._confused import Confused
from omma.metrics.metric import Gallery
from omma.report.evaluation import Evaluation
from omma.report.operating import LEVELS, apart, swept
from omma.tasks.classify import Classify
from omma.tasks.detect import Detect
from omma.tasks.multilabel import Multilabel
from omma.tasks.task import Task
from omma.verbs.evaluate import evaluate
from test_box_metrics import NAMES, some
from test_studio import Running


@dataclass(slots=True, eq=False)
class Clock(Answer):
    """An answer nobody in the house knows."""

    hours: np.ndarray
    said: str = ""
    kind: ClassVar[str] = "clock"

    def json(self):
        return {"hour": int(self.hours[0])}

    def draw(self, picture):
        drawn = picture.copy()
        drawn[:] = self.hours[0] * 20
        return drawn


class Early(Confused):
    """Morning taken for evening: a metric that nobody in the house knows."""

    def records(self, predictions, truths):
        return {
            "late": np.array([[one.hours[0] >= 12 for one in (true, said)] for true, said in zip(truths, predictions, strict=True)], int)
        }

    def figure(self, records):
        return {"kind": "confusion", "names": self.names, "counts": np.histogram2d(*records["late"].T, 2)[0].astype(int).tolist()}

    def behind(self, records, true, named):
        return Gallery("confused", np.flatnonzero((records["late"] == (true, named)).all(1)).tolist())


class TellTime(Task):
    """A task that only this file knows."""

    answer = Clock

    def metrics(self):
        return {"early": Early(self.names)}


def of_every_kind() -> list[Answer]:
    rng = np.random.default_rng(0)
    shares = rng.random(3).astype(np.float32)
    corners = np.array([[0.1, 1 / 3, 7, 8]])
    return [
        Label("猫", ["猫", "b", "c"], shares, True), Label("b"), Labels(("b",), ["a", "b"], shares[:2]), Labels(()),
        Numbers({"weight": 1 / 3}, {"weight": 0.1}), Mask.of(rng.integers(0, 2, (5, 4)), ["a", "b"], rng.random((5, 4))),
        Boxes(9, 9, ["a"], corners, shares[:1], None, classes=["a", "b"], floor=1 / 7, shown={"a": 1 / 3, "b": 0.5}),
        Boxes(9, 9, ["a"], corners, None, np.array([True])), Instances(9, 9, ["a"], corners, None, None, ["1d0"]),
        Clock(rng.random((2, 2))),
    ]  # fmt: skip


@pytest.mark.parametrize("answer", of_every_kind(), ids=lambda one: one.kind)
def test_nothing_is_rounded_or_left_out(answer):
    back = from_whole(type(answer), json.loads(json.dumps(whole(answer))))
    for one in fields(answer):
        mine, theirs = getattr(answer, one.name), getattr(back, one.name)
        if isinstance(mine, np.ndarray):
            assert mine.dtype == theirs.dtype and np.array_equal(mine, theirs), one.name
        else:
            assert (tuple(mine) if isinstance(mine, list) else mine) == theirs, one.name


def test_what_is_no_plain_value_is_not_kept():
    assert whole(Picture(lambda: np.zeros((2, 2, 3), np.uint8))) is None
    for row in ({"nothing": 1}, {"label": {"array": "", "dtype": "object", "shape": [0]}}, [], {"label": {"odd": 1}}, {}):
        with pytest.raises(ValueError):
            from_whole(Label, row)


def several(names=("a", "b", "never", "always"), count=60, seed=1):
    """Predictions and truths of several classes; some probabilities are thresholds themselves."""
    rng = np.random.default_rng(seed)
    shares = np.round(rng.random((count, len(names))), 2).astype(np.float32)
    true = rng.random(shares.shape) < 0.2 + 0.6 * shares
    true[:, 2], true[:, 3] = False, True
    said = [Labels((), names, row) for row in shares]
    return said, [Labels(tuple(n for n, here in zip(names, row, strict=True) if here)) for row in true]


def test_of_several_classes_every_threshold_is_what_evaluate_says():
    said, true = several()
    metrics = Multilabel(["a", "b", "never", "always"]).metrics()
    found, second = swept(metrics, said, true), swept(metrics, said, true, "b")
    once = np.ones((len(true), 1), np.float32)
    for place in (0, 1, 37, 50, 73, 99, 100):
        level = float(LEVELS[place])
        told = [
            replace(one, labels=tuple(n for n, share in zip(one.classes, one.probabilities, strict=True) if share >= np.float32(level)))
            for one in said
        ]
        measured = point_scores(metrics, told, true)
        for key in ("precision", "recall", "f1"):
            metric = metrics[f"{key}_macro"]
            assert found[key][place] == measured[f"{key}_macro"], (key, level)
            assert second[key][place] == pytest.approx(metric.each(metric.records(told, true), once)[1, 0], abs=0, nan_ok=True)
        assert found["said"][place] == sum(len(one.labels) for one in told)


def test_of_objects_every_threshold_is_what_evaluate_says():
    said, true = some(3, count=20, scores=50)
    metrics = Detect(NAMES).metrics()
    found, dogs = swept(metrics, said, true), swept(metrics, said, true, "狗")
    once = np.ones((len(true), 1), np.float32)
    for place in (0, 4, 25, 50, 80, 100):
        told = [replace(one, shown=float(LEVELS[place])) for one in said]
        measured = point_scores(metrics, told, true)
        for key in ("precision", "recall", "f1"):
            assert found[key][place] == pytest.approx(measured[key], abs=0, nan_ok=True), (key, place)
            own = metrics[key].each(metrics[key].records(told, true), once)[NAMES.index("狗"), 0]
            assert dogs[key][place] == pytest.approx(own, abs=0, nan_ok=True)


def test_of_one_class_a_threshold_is_one_against_the_rest():
    rng = np.random.default_rng(2)
    shares = rng.dirichlet((1, 1), 80).astype(np.float32)
    true = [Label("ab"[int(rng.random() < p)]) for p in shares[:, 1]]
    said = [Label("ab"[row.argmax()], ["a", "b"], row) for row in shares]
    metrics = Classify(["a", "b"]).metrics()
    sick = np.array([one.label == "b" for one in true])
    found = swept(metrics, said, true, "b")
    for place in (10, 50, 90):
        told = shares[:, 1] >= np.float32(LEVELS[place])
        assert found["precision"][place] == pytest.approx((sick & told).sum() / told.sum())
        assert found["recall"][place] == pytest.approx((sick & told).sum() / sick.sum())
    # Of all classes together only the one that is said counts; at 0 that is what `evaluate` says.
    whole_of = swept(metrics, said, true)
    assert whole_of["precision"][0] == point_scores(metrics, said, true)["precision_macro"] and whole_of["said"][0] == 80


# ── over HTTP ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A studio with a run of one class a picture and one of several, both with their answers."""
    cwd = tmp_path_factory.mktemp("judged")
    photos = trained.write_photos(cwd / "photos", 6, lies=True)
    dataset = trained.parts(open_data(str(photos)))
    trained.write_run(cwd / "runs" / "one-1", dataset, str(photos))
    many = trained.parts(open_data(str(photos)))
    for sample in many.samples:
        sample.truth = Labels((sample.truth.label,))
    made = trained.learn(Multilabel(many.names), many)
    made.point = {"temperature": 1.3, "threshold": 0.3}
    made.card["data"] = {"where": str(photos), "format": "folders", "digest": "x"}
    made.save(cwd / "runs" / "many-1" / "bundle")
    for name in ("one-1", "many-1"):
        run = cwd / "runs" / name
        (run / "recipe.json").write_text(json.dumps({"recipe": {"task": "x"}, "facts": {"where": str(photos), "format": None}}))
        found = evaluate(str(run), str(photos), split="all", out=str(run))
        assert found.report == str(run / "report.html") and (run / answers.FILE).is_file()
    running = Running(tmp_path_factory.mktemp("home"), cwd)
    running.id = running.post("/api/projects", data=str(photos))["id"]
    yield running
    running.close()


def test_the_pictures_behind_a_cell(world):
    about = world.get(f"/api/p/{world.id}/answers/one-1")
    assert about["state"] == "there" and about["count"] == 18 and about["confusion"]["unit"] == "pictures"
    names, table = about["confusion"]["names"], np.array(about["confusion"]["counts"])
    assert table.sum() == 18
    seen = []
    for i, true in enumerate(names):
        for j, named in enumerate(names):
            rows = world.get("/api/runs/one-1/cell", true=i, named=j)["rows"]
            assert len(rows) == table[i, j]
            seen += rows
            for one in world.get("/api/runs/one-1/said", rows=",".join(map(str, rows))):
                assert one["id"].startswith(f"{true}/") and one["text"].startswith(named) and one["true"] == true
    assert sorted(seen) == list(range(18)), "every answer is in one cell"
    reply = world.client.get(f"/api/runs/one-1/said/{seen[0]}/shown", params={"true": 0, "named": 0})
    assert reply.headers["content-type"] == "image/jpeg" and len(reply.content) > 300
    small = world.get("/api/runs/one-1/thumbs", rows="0,17,99")
    assert list(small) == ["0", "17"] and all(one.startswith("data:image/jpeg;base64,") for one in small.values())
    for bad in ({"true": 9, "named": 0}, {"true": "x", "named": 0}, {"true": -1, "named": 0}):
        assert world.client.get("/api/runs/one-1/cell", params=bad).status_code == 422
    assert world.client.get("/api/runs/one-1/said/99/shown").status_code == 422


@pytest.mark.parametrize("level", [0.05, 0.5, 0.62])
def test_the_slider_says_what_evaluate_says_at_that_threshold(world, level, tmp_path):
    """The model with another operating point, asked and measured again from the pictures on."""
    run = world.studio.runs / "many-1"
    curve = world.get("/api/runs/many-1/threshold")
    other = bundles.open(run)
    other.point["threshold"] = level
    other.save(tmp_path / "other")
    measured = evaluate(str(tmp_path / "other"), str(world.studio.cwd / "photos"), split="all").json()
    place = curve["levels"].index(level)
    for key in ("precision", "recall", "f1"):
        assert curve[key][place] == pytest.approx(measured[f"{key}_macro"]["value"], abs=0), key
    one = world.get("/api/runs/many-1/threshold", **{"class": "green"})
    assert one["recall"][place] == pytest.approx(measured["classes"]["green"]["recall"]["value"], abs=0)
    kinds = world.get("/api/runs/many-1/apart", level=level, **{"class": "green"})
    assert len(kinds["right"]) == one["right"][place] and len(kinds["missed"]) == one["true"] - one["right"][place]
    assert curve["own"] == 0.3 and set(curve["named"]) == {"precision", "recall", "f1"}
    assert world.client.get("/api/runs/many-1/threshold", params={"class": "unknown"}).status_code == 422


def test_a_run_that_kept_no_answers_is_asked_again(world, tmp_path):
    run = world.studio.runs / "one-1"
    (run / answers.FILE).rename(tmp_path / "kept")
    try:
        assert world.get(f"/api/p/{world.id}/answers/one-1")["state"] == "none"
        assert world.client.get("/api/runs/one-1/cell", params={"true": 0, "named": 0}).status_code == 422
        begun = []
        world.studio.jobs.begin, real = lambda project, words, run=None: begun.append(words) or 5, world.studio.jobs.begin
        world.post(f"/api/p/{world.id}/answers/one-1")
        world.studio.jobs.begin = real
        (words,) = begun
        assert words[:3] == ["evaluate", str(run.relative_to(world.studio.cwd)), "--out"]
        evaluate(str(run), str(world.studio.cwd / "photos"), split="all", out=words[3])
        assert world.get(f"/api/p/{world.id}/answers/one-1")["count"] == 18
        (world.studio.judge.folder(run) / answers.FILE).write_text('{"kind": "label", "split": "x", "names": []}\n{"id"')
        assert world.client.get("/api/runs/one-1/cell", params={"true": 0, "named": 0}).status_code == 422
        (world.studio.judge.folder(run) / answers.FILE).unlink()
    finally:
        (tmp_path / "kept").rename(run / answers.FILE)


def run_of(world, name, task, said, true, monkeypatch, point=None, kept=True):
    """A run folder with the answers of a task to the pictures of the studio, and a card."""
    opened = world.studio.shelf.get(world.id).dataset
    samples = [replace(sample, truth=one) for sample, one in zip(opened.samples, true, strict=False)]
    run = world.studio.runs / name
    made = Bundle(task, {"net": nn.Linear(1, 1)}, Views(8, 3, "squash", (0.5,) * 3, (0.2,) * 3), point or {}, {"model": "x", "data": {}})
    keys = ("classify", "detect", "segment", "reconstruct", "regress", "restore")
    known = {key: catalog.find("tasks", key) for key in keys} | {"tell_time": TellTime}
    monkeypatch.setattr(catalog, "key_of", lambda room, kind: next(key for key, one in known.items() if one is kind))
    monkeypatch.setattr(catalog, "find", lambda room, key: known[key])
    made.save(run / "bundle")
    (run / "recipe.json").write_text(json.dumps({"recipe": {}, "facts": {"where": str(world.studio.cwd / "photos"), "format": None}}))
    nothing = SimpleNamespace(samples=samples, predictions=said, split="test")
    assert Evaluation.keep(nothing, run, task) == (run / answers.FILE if kept else None)
    return run


def test_objects_missed_and_invented_are_cells_of_the_background(world, monkeypatch):
    said, true = some(1, count=18, scores=20)
    run_of(world, "boxes-1", Detect(NAMES), said, true, monkeypatch)
    found = world.get(f"/api/p/{world.id}/answers/boxes-1")
    table = np.array(found["confusion"]["counts"])
    assert found["confusion"]["unit"] == "objects" and found["confusion"]["names"] == [*NAMES, "background"] and found["split"] == "test"
    metric = Detect(NAMES).metrics()["f1"]
    assert table.tolist() == metric.figure(metric.records(said, true))["counts"]
    rows = world.get("/api/runs/boxes-1/cell", true=0, named=3)["rows"]
    assert table[0, 3] and rows and len(rows) == len(set(rows)), "cats that were missed"
    plain = world.client.get(f"/api/runs/boxes-1/said/{rows[0]}/shown").content
    ringed = world.client.get(f"/api/runs/boxes-1/said/{rows[0]}/shown", params={"true": 0, "named": 3}).content
    assert plain != ringed and Image.open(io.BytesIO(ringed)).size[0] > 500


def test_a_task_that_a_test_defines_has_its_page(world, monkeypatch):
    """Its answers are kept, counted by its own metric, and draw themselves; no page knew of it."""
    said = [Clock(np.array([hour])) for hour in range(6, 15)]
    true = [Clock(np.array([hour + 1])) for hour in range(6, 15)]
    run_of(world, "time-1", TellTime(["early", "late"]), said, true, monkeypatch)
    found = world.get(f"/api/p/{world.id}/answers/time-1")
    assert found["confusion"]["counts"] == [[5, 0], [1, 3]] and found["classes"] == []
    assert world.get("/api/runs/time-1/cell", true=1, named=0)["rows"] == [5]
    assert "11" in world.get("/api/runs/time-1/said", rows="5")[0]["text"]
    shown = np.asarray(Image.open(io.BytesIO(world.client.get("/api/runs/time-1/said/5/shown").content)).convert("L"), float)
    assert abs(shown[:, :8].mean() - 240) < 4 and abs(shown[:, -8:].mean() - 220) < 4, "the truth on the left, the answer on the right"
    assert world.client.get("/api/runs/time-1/threshold").status_code == 422


@pytest.mark.parametrize("case", ["labels", "boxes"])
def test_right_invented_and_missed_are_what_the_slider_counts(case):
    """For every threshold: as many statements in their pictures as the curve says, counted picture by picture."""
    said, true = several() if case == "labels" else some(5, count=15, scores=30)
    names = ["a", "b", "never", "always"] if case == "labels" else NAMES
    metrics = (Multilabel if case == "labels" else Detect)(names).metrics()
    curve = swept(metrics, said, true, names[1])
    for place in (0, 30, 60, 95):
        found = apart(metrics, said, true, names[1], float(LEVELS[place]))
        assert all(len(rows) == len(set(rows)) for rows in found.values())
        alone = {"right": 0, "invented": 0, "missed": 0}
        for row in range(len(said)):  # each picture by itself
            own = swept(metrics, said[row : row + 1], true[row : row + 1], names[1], LEVELS[place : place + 1])
            counts = {"right": own["right"][0], "invented": own["said"][0] - own["right"][0], "missed": own["true"] - own["right"][0]}
            for what, count in counts.items():
                alone[what] += count
                assert (row in found[what]) == (count > 0), (what, row)
        assert alone == {"right": curve["right"][place], "invented": curve["said"][place] - curve["right"][place],
                         "missed": curve["true"] - curve["right"][place]}  # fmt: skip


def test_answers_of_another_kind_are_refused(world):
    with pytest.raises(DataError):
        answers.read(world.studio.runs / "one-1" / answers.FILE, Boxes)
    assert answers.read(world.studio.runs / "one-1" / answers.FILE, Label).split == "all"

"""Odd pictures by a network that knows good ones alone: which are good, the threshold, the map, and what goes on from it."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import omma
from browsing import refuse_broken, see_made, served_page
from omma.answers.boxes import Boxes
from omma.answers.label import Label
from omma.answers.numbers import Numbers
from omma.answers.rebuilt import Rebuilt, threshold
from omma.data.own.given import posed
from omma.data.recast import judged
from omma.data.sample import Dataset, Sample
from omma.data.split import folds, split
from omma.data.views import Views
from omma.errors import DataError, NotMeaningful, OmmaError
from omma.formats.format import open_data
from omma.metrics.sets import reconstruction
from omma.models.autoencoder import divergence, needed
from omma.models.making import build
from omma.tasks.reconstruct import Reconstruct
from omma.tasks.task import Batch

SIDE = 16


def picture(draw: np.random.Generator, odd: bool) -> np.ndarray:
    """Stripes of some brightness; odd ones have a blot."""
    pixels = draw.integers(0, 20, (SIDE, SIDE, 3)).astype(float)
    pixels[:, draw.integers(0, 3) :: 4] += 100 + 60 * draw.random()
    if odd:
        pixels[5:11, 4:9] = 230
    return pixels.clip(0, 255).astype(np.uint8)


def folder(where: Path, **counts: int) -> Path:
    """`train__good=30`: so many pictures in train/good; all but the good ones have a blot."""
    draw = np.random.default_rng(1)
    for name, count in counts.items():
        here = where.joinpath(*name.split("__"))
        here.mkdir(parents=True)
        for i in range(count):
            Image.fromarray(picture(draw, not name.endswith(("good", "OK", "合格")))).save(here / f"{here.name}-{i:02}.png")
    return where


def made(truths: list, names: list[str], splits: list[str | None] | None = None) -> Dataset:
    """A data set of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (len(truths), 8, 8, 3), np.uint8)
    rows = enumerate(zip(truths, splits or [None] * len(truths), strict=True))
    samples = [Sample(f"{i:03}", row=i, truth=truth, split=part) for i, (truth, part) in rows]
    return Dataset(samples, names, None, Path("."), "memory", pixels)


def odd_of(dataset: Dataset) -> list[bool | None]:
    return [None if sample.truth is None else sample.truth.odd for sample in dataset.samples]


# ── which pictures are good ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["good", "OK", "Normal", "正常", "合格", "良品", "好"])
def test_a_class_that_is_called_good_is(name):
    found = judged(made([Label(name), Label("crack"), Label(name)], [name, "crack"]))
    assert odd_of(found) == [False, True, False] and found.task == "reconstruct" and found.names == ["anomaly"]


def test_the_only_class_is_good_and_so_are_pictures_without_labels():
    assert odd_of(judged(made([Label("screw")] * 3, ["screw"]))) == [False] * 3
    assert odd_of(judged(made([None] * 3, []))) == [False] * 3
    assert odd_of(judged(made([Numbers({"width": 1.0}), Numbers({"width": 2.0})], ["width"]))) == [False] * 2


def test_without_a_good_class_among_several_it_asks():
    data = made([Label("a"), Label("b")], ["a", "b"])
    with pytest.raises(OmmaError, match="a, b"):
        judged(data)
    assert odd_of(judged(data, "b")) == [True, False] and odd_of(judged(data, "a, b")) == [False, False]
    with pytest.raises(OmmaError):
        judged(data, "c")


def test_of_pictures_with_objects_those_without_are_good():
    empty, some = Boxes(8, 8), Boxes(8, 8, ["scratch"], np.array([[1.0, 1, 4, 4]]))
    assert odd_of(judged(made([empty, some, None], ["scratch"]))) == [False, True, None]
    with pytest.raises(DataError):
        judged(made([some], ["scratch"]))


def test_odd_pictures_never_lie_in_the_training_part():
    truths = [Label(name) for name in ("good", "bad") * 6]
    parts: list[str | None] = ["train"] * 6 + ["test"] * 6
    found = judged(made(truths, ["bad", "good"], parts))
    assert len(found) == 9 and not any(s.truth.odd for s in found.samples if s.split == "train") and len(found.notes) == 2
    done = split(found, val=0.3)
    assert set(done.counts()) == {"train", "val", "test"} and not any(s.truth.odd for s in done.samples if s.split != "test")


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_open_odd_pictures_are_tested_on_and_good_ones_split_as_if_alone(share):
    truths = [Label("good")] * 40 + [Label("bad")] * 10
    found = judged(made(truths, ["bad", "good"]))
    done, alone = split(found, test=share), split(found.choose(list(range(40))), test=share)
    assert [s.split for s in done.samples] == [s.split for s in alone.samples] + ["test"] * 10
    assert done.how_split.startswith(alone.how_split)
    for fold in folds(found, 4):
        assert not any(s.truth.odd for s in fold.samples if s.split in ("train", "val"))
        assert any(s.truth.odd for s in fold.part("test").samples)


def test_only_a_task_that_asks_which_are_good_is_told():
    data = made([Label("good"), Label("bad")], ["bad", "good"])
    assert posed(data, "labels", {"loss": "mse"}) is data
    assert odd_of(posed(data, "good", {"good": ""})) == [False, True]
    assert odd_of(posed(posed(data, "good", {"good": ""}), "good", {"good": ""})) == [False, True]


# ── threshold and answers ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("alarms", [0.01, 0.05, 0.3])
def test_of_many_scores_as_many_lie_above_as_were_asked_for(alarms):
    scores = np.random.default_rng(0).gamma(3, size=1000)
    assert (scores > threshold(scores, alarms)).sum() == int(1000 * alarms)


def test_of_few_scores_the_tail_is_guessed_and_none_lies_above():
    draw = np.random.default_rng(0)
    shares = []
    for _ in range(300):
        scores = draw.gamma(3, size=20)
        level = threshold(scores, 0.01)
        assert level > scores.max()
        shares.append((draw.gamma(3, size=500) > level).mean())
    assert 0.003 < np.mean(shares) < 0.03
    assert threshold([0.2], 0.01) > 0.2


def test_the_threshold_is_that_of_good_validation_pictures():
    tensors = {"anomaly": torch.tensor([0.1, 0.2, 0.9, 0.8])}
    point = Rebuilt.fit(tensors, Rebuilt.tensors([Rebuilt(False), Rebuilt(False), Rebuilt(True), Rebuilt(True)], []), ["anomaly"], 0.01)
    assert 0.2 < point["threshold"] < 0.8
    assert Rebuilt.fit(tensors, {"odd": torch.ones(4)}, ["anomaly"]) == {}


def said(anomaly: float, odd: bool | None = None, mean: float = 0.0) -> Rebuilt:
    return Rebuilt(odd, anomaly, np.full((SIDE, SIDE), anomaly, np.float32), np.zeros((SIDE, SIDE, 3), np.uint8), mean)


def test_json_brings_an_answer_back_and_its_map_has_the_size_of_the_picture(tmp_path):
    views = Views(SIDE, 3, "pad", (0.0,) * 3, (1.0,) * 3)
    answer = said(0.25, True).lie(views.spot(30, 60))
    assert answer.json() == {"anomaly": 0.25, "odd": True} and Rebuilt.from_json(answer.json()).same(answer)
    assert not answer.same(said(0.26, True)) and not Rebuilt(True).same(Rebuilt(False))
    row = answer.written(tmp_path / "a" / "one.png")
    with Image.open(row["map"]) as found:
        assert found.size == (60, 30) and set(np.unique(np.asarray(found))) == {128}  # the root of a quarter of white
    assert json.loads(json.dumps(row))["odd"] is True


def test_what_a_frame_cut_off_is_no_error():
    answer = said(0.25).lie(Views(SIDE, 3, "crop", (0.0,) * 3, (1.0,) * 3).spot(20, 40))
    assert (answer.heat[:, :10] == 0).all() and (answer.heat[:, 10:30] > 0.2).all()


def test_drawn_the_odd_place_is_the_one_that_glows():
    plain = np.full((40, 40, 3), 128, np.uint8)
    error = np.zeros((SIDE, SIDE), np.float32)
    error[:8, :8] = 0.5
    drawn = Rebuilt(True, 0.5, error, None, 0.01).draw(plain)
    warm = drawn[..., 1].astype(int) - drawn[..., 2]
    wide = drawn.shape[1]
    assert warm[: wide // 4, : wide // 4].mean() > 30 + warm[wide // 2 : wide * 3 // 4, wide // 2 :].mean()
    assert drawn.shape[0] > wide and Rebuilt(True).draw(plain).shape[0] > 40


# ── metrics ─────────────────────────────────────────────────────────────────────────────────────────────


def test_metrics_against_counting_by_hand():
    draw = np.random.default_rng(0)
    odd = draw.random(200) < 0.3
    scores = draw.random(200) + 0.5 * odd
    predictions = [said(score, score > 0.9, mean=score / 10) for score in scores]
    truths = [Rebuilt(bool(one)) for one in odd]
    found = {key: m.summary(m.records(predictions, truths), np.ones(200)) for key, m in reconstruction(["anomaly"]).items()}
    above = scores[odd][:, None] > scores[~odd][None]
    assert found["anomaly_auroc"] == pytest.approx(above.mean())
    assert found["reconstruction"] == pytest.approx(scores[~odd].mean() / 10)
    assert found["anomaly_recall"] == pytest.approx((scores[odd] > 0.9).mean())
    assert found["anomaly_precision"] == pytest.approx(odd[scores > 0.9].mean())


def test_where_all_are_good_the_auroc_is_undefined_and_the_error_is_not():
    predictions, truths = [said(0.1, False, 0.5), said(0.2, False, 0.7)], [Rebuilt(False)] * 2
    found = {key: m.summary(m.records(predictions, truths), np.ones(2)) for key, m in reconstruction(["anomaly"]).items()}
    assert found["reconstruction"] == pytest.approx(0.6)
    assert all(np.isnan(found[key]) for key in ("anomaly_auroc", "anomaly_recall", "anomaly_precision"))


# ── networks and the task ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [16, 28, 30, 65])
@pytest.mark.parametrize("name", ["autoencoder", "vae", "autoencoder-dense"])
def test_every_size_comes_back_at_its_size(name, size):
    net = build(name, channels=1, size=size, outputs=1, latent=5).eval()
    assert net(torch.rand(2, 1, size, size)).shape == (2, 1, size, size) and net.features(torch.rand(2, 1, size, size)).shape == (2, 5)


def test_halvings_stop_where_few_places_are_left_and_nonsense_is_refused():
    assert [len(needed((8,) * 8, size)) for size in (8, 16, 28, 64, 128)] == [1, 2, 3, 4, 5]
    for words in ({"latent": -1}, {"widths": (0,)}, {"widths": (8,) * 9}):
        with pytest.raises(OmmaError):
            build("autoencoder", channels=1, size=28, outputs=1, **words)


def test_divergence_is_the_closed_form():
    draw = torch.Generator().manual_seed(0)
    mean, spread = (torch.randn(4, 3, generator=draw, dtype=torch.float64) for _ in range(2))
    bell = torch.distributions.Normal(mean, (spread / 2).exp())
    wanted = torch.distributions.kl_divergence(bell, torch.distributions.Normal(torch.zeros_like(mean), 1.0)).sum(1)
    torch.testing.assert_close(divergence(mean, spread), wanted)


def test_a_variational_network_draws_from_its_bells_only_while_it_learns():
    net = build("vae", channels=1, size=16, outputs=1, latent=4)
    pictures = torch.rand(8, 1, 16, 16)
    told = net(pictures, True)
    assert told["divergence"].shape == (8,) and not torch.equal(net(pictures), net(pictures))
    net.eval()
    torch.testing.assert_close(net(pictures), net(pictures), rtol=0, atol=0)
    net.train()
    with torch.no_grad():
        plain, heavy = (Reconstruct(["anomaly"], beta=beta, denoise=0.0).loss(net, Batch(pictures)) for beta in (1.0, 3.0))
    assert set(plain) == {"loss", "divergence"} and float(heavy["divergence"]) == pytest.approx(3 * float(plain["divergence"]), rel=1e-4)


def test_noise_is_added_to_what_is_seen_but_not_to_what_is_wanted():
    class Sees(torch.nn.Module):
        def forward(self, pictures, whole=False):
            self.seen = pictures
            return pictures

    net, clean = Sees(), torch.rand(4, 1, 64, 64)
    loss = Reconstruct(["anomaly"], denoise=0.2).loss(net, Batch(clean))["loss"]
    assert float(loss) == pytest.approx(0.04, rel=0.1)
    assert float(Reconstruct(["anomaly"], denoise=0.2).loss(net.eval(), Batch(clean))["loss"]) == 0


def test_an_edge_aside_is_less_odd_than_a_stroke_that_is_not_there():
    class Draws(torch.nn.Module):
        def __init__(self, answer):
            super().__init__()
            self.answer = answer

        def forward(self, pictures, whole=False):
            return self.answer

    stroke, aside, blank = (torch.zeros(1, 1, 32, 32) for _ in range(3))
    stroke[..., 4:28, 10:14], aside[..., 4:28, 11:15] = 1, 1
    task = Reconstruct(["anomaly"])
    near, gone = (task.infer({"net": Draws(answer)}, Batch(stroke)) for answer in (aside, blank))
    assert near["mean"] * 2 == pytest.approx(float(gone["mean"])) and near["anomaly"] < 0.85 * gone["anomaly"]
    assert 0 <= float(near["anomaly"]) < float(gone["anomaly"]) <= 1


# ── through the verbs ───────────────────────────────────────────────────────────────────────────────────

WORDS = ["model=autoencoder", "latent=4", "widths=8-16", "batch=16", "rate=0.01", "threads=1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on a layout as industrial sets have it: good pictures to learn from, good and odd ones to test on, a few odd ones astray."""
    home = tmp_path_factory.mktemp("odd")
    data = folder(home / "parts", train__good=60, train__blot=4, test__good=16, test__blot=16)
    run = omma.train(str(data), *WORDS, task="reconstruct", budget="60 steps", out=str(home / "run"), device="cpu")
    return home, data, run


def test_odd_ones_are_found_and_never_learned_from(trained):
    _, data, run = trained
    parts = {line.split(",")[0]: line.split(",")[1] for line in (run.run / "split.csv").read_text("utf-8").splitlines()[1:]}
    assert not any("blot" in name for name, part in parts.items() if part != "test")
    assert not any(name.startswith("train/blot") for name in parts) and sum(part == "test" for part in parts.values()) == 32
    row = omma.evaluate(str(run.run)).json()
    assert row["anomaly_auroc"]["value"] > 0.95 and row["n"] == 32
    assert any("left out" in note for note in open_and_judge(data).notes)


def open_and_judge(data: Path) -> Dataset:
    return posed(open_data(data), "good", {"good": ""})


def test_predict_says_how_odd_and_where(trained, tmp_path):
    _, data, run = trained
    rows = list(omma.predict(str(run.run), str(data / "test"), out=str(tmp_path / "out"), device="cpu"))
    assert {key for row in rows for key in row} == {"path", "anomaly", "odd", "map"}
    blots, goods = ([row["anomaly"] for row in rows if name in row["path"]] for name in ("blot", "good"))
    assert np.mean(blots) > np.mean(goods)
    with Image.open(next(row["map"] for row in rows if "blot" in row["path"])) as found:
        heat = np.asarray(found).astype(float)
    assert heat.shape == (SIDE, SIDE) and heat[5:11, 4:9].mean() > 1.5 * heat[:4].mean()
    (quiet,) = omma.predict(str(run.run), rows[0]["path"], threshold=1.0, device="cpu")
    assert quiet["odd"] is False and "map" not in quiet
    drawn = list(omma.predict(str(run.run), rows[0]["path"], out=str(tmp_path / "drawn"), as_="drawn", device="cpu"))
    assert len(drawn) == 1 and len(list((tmp_path / "drawn").rglob("*.jpg"))) == 1
    codes = tmp_path / "codes.npz"
    list(omma.predict(str(run.run), rows[0]["path"], embed=str(codes), device="cpu"))
    with np.load(codes) as kept:
        assert kept["features"].shape == (1, 4)


def test_the_map_of_what_is_odd_explains_it(trained, tmp_path):
    _, data, run = trained
    found = omma.explain(str(run.run), str(data / "test" / "blot" / "blot-00.png"), out=str(tmp_path / "why.png"), device="cpu")
    assert found.method == "deviation" and found.receipt.beats_random and found.heat[5:11, 4:9].mean() > found.heat[:4].mean()
    for method in ("gradcam", "occlusion", "integrated_gradients"):
        omma.explain(str(run.run), str(data / "test" / "blot" / "blot-00.png"), method=method, out=str(tmp_path / "x.png"), device="cpu")


def test_the_exported_file_says_the_same(trained, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    _, data, run = trained
    out = tmp_path / "odd.onnx"
    omma.export(str(run.run), to="onnx", data=str(data), out=str(out))
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    some = sorted((data / "test" / "blot").glob("*.png"))[:4]
    pixels = np.stack([np.asarray(Image.open(path)) for path in some])
    told = dict(zip([one.name for one in session.get_outputs()], session.run(None, {"picture": pixels}), strict=True))
    rows = list(omma.predict(str(run.run), *map(str, some), device="cpu"))
    assert set(told) == {"anomaly", "odd", "mean", "error", "rebuilt"} and told["rebuilt"].shape == (4, SIDE, SIDE, 3)
    assert told["anomaly"] == pytest.approx([row["anomaly"] for row in rows], abs=1e-5)
    assert told["odd"].tolist() == [row["odd"] for row in rows]


def test_its_first_half_starts_a_classifier(trained, tmp_path):
    _, data, run = trained
    out = tmp_path / "classes"
    words = ["batch=16", "threads=1", "task=classify"]
    found = omma.train(str(data), *words, from_=str(run.run), budget="2 steps", out=str(out), device="cpu")
    made_of, began = found.open(), run.open()
    assert made_of.card["model"] == "encoder" and made_of.card["model_settings"]["latent"] == 4 and made_of.names == ["blot", "good"]
    assert "omma bundle" in made_of.card["origin"]["weights"]
    same = torch.corrcoef(torch.stack([one.net.body[0].conv.weight.flatten() for one in (made_of, began)]))[0, 1]
    assert same > 0.9, "two steps do not lead far from where it began"
    with pytest.raises(OmmaError, match="encoder"):
        omma.train(str(data), "model=quick", *words, from_=str(run.run), budget="2 steps", out=str(tmp_path / "no"), device="cpu")


def test_so_does_that_of_fully_connected_layers(trained, tmp_path):
    _, data, _ = trained
    words = ["task=classify", "batch=16", "threads=1"]
    dense = omma.train(str(data), "threads=1", task="reconstruct", budget="2 steps", out=str(tmp_path / "dense"), device="cpu")
    assert dense.open().card["model"] == "autoencoder-dense", "small pictures"
    found = omma.train(str(data), *words, from_=str(dense.run), budget="2 steps", out=str(tmp_path / "classes"), device="cpu")
    assert found.open().card["model"] == "encoder-dense"


def test_it_goes_on_as_itself(trained, tmp_path):
    _, data, run = trained
    found = omma.train(
        str(data), "threads=1", task="reconstruct", from_=str(run.run), budget="2 steps", out=str(tmp_path / "more"), device="cpu"
    )
    assert found.open().card["model"] == "autoencoder"


@pytest.mark.parametrize("words", [["fit=windows"], ["goal=1.5"], ["good=nobody"]])
def test_what_has_no_meaning_is_refused(trained, tmp_path, words):
    _, data, _ = trained
    with pytest.raises(OmmaError):
        omma.train(str(data), *words, task="reconstruct", budget="2 steps", out=str(tmp_path / "no"), device="cpu")
    assert not (tmp_path / "no").exists()


def test_unlabelled_pictures_are_all_good_and_measured_without_an_auroc(tmp_path):
    data = folder(tmp_path / "flat", good=40)
    run = omma.train(
        str(data / "good"), "model=vae", *WORDS[1:], task="reconstruct", budget="4 steps", out=str(tmp_path / "run"), device="cpu"
    )
    assert run.scores["reconstruction"]["value"] > 0 and run.scores["anomaly_auroc"]["value"] is None
    assert "threshold" in run.open().point and "divergence" in (run.run / "events.jsonl").read_text("utf-8")


def test_another_task_has_no_such_map(trained, tmp_path):
    from omma.explainers.deviation import deviation
    from omma.explainers.explainer import Question
    from omma.tasks.classify import Classify

    net = build("encoder", channels=3, size=16, outputs=2).eval()
    with pytest.raises(NotMeaningful):
        deviation(Question(Classify(["a", "b"]), {"net": net}, "a"), torch.rand(1, 3, 16, 16))
    assert replace(Rebuilt(True), odd=False).odd is False


def test_the_service_answers_json_and_on_demand_the_map_that_predict_writes(trained, tmp_path):
    pytest.importorskip("httpx")
    from fastapi.testclient import TestClient

    from omma.serving.app import create
    from omma.serving.page import front

    _, data, run = trained
    blot = data / "test" / "blot" / "blot-00.png"
    (row,) = omma.predict(str(run.run), str(blot), out=str(tmp_path / "out"), device="cpu")
    service = service_of(run)
    with TestClient(create(service)) as client:
        plain = client.post("/predict", content=blot.read_bytes())
        assert set(plain.json()) == {"anomaly", "odd"} and plain.json()["anomaly"] == pytest.approx(row["anomaly"], rel=1e-4)
        shown = client.post("/predict", content=blot.read_bytes(), headers={"Accept": "image/png"})
        assert shown.headers["content-type"] == "image/png" and json.loads(shown.headers["omma-answer"]) == plain.json()
        with Image.open(io.BytesIO(shown.content)) as one, Image.open(row["map"]) as other:
            assert one.size == other.size == (SIDE, SIDE) and one.mode == "L"
            assert np.abs(np.asarray(one).astype(int) - np.asarray(other)).max() <= 1
        either = client.post("/predict", content=blot.read_bytes(), headers={"Accept": "application/json, image/png"})
        assert either.json() == plain.json()
        broken = client.post("/predict", content=b"no picture", headers={"Accept": "image/png"})
        assert broken.status_code == 422 and broken.json()["error"]
        told = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["responses"]["200"]
        assert set(told["content"]) == {"application/json", "image/png"}
    assert '"maps": true' in front(service.card)
    service.desk.close()


def service_of(run):
    from omma.runtimes.choose import named
    from omma.serving.app import Service
    from omma.serving.batcher import Batcher
    from omma.serving.desk import Desk, Model

    opened = run.open()
    model = Model(opened, named("eager", opened))
    card = {"task": "reconstruct", "model": "autoencoder", "names": ["anomaly"], "runtime": "eager", "maps": model.maps}
    return Service(Desk(model, Batcher(model.rows)), card)


def test_the_page_shows_verdict_and_map(trained):
    _, data, run = trained
    with served_page(service_of(run)) as (page, complaints):
        see_made(page, data / "test" / "blot" / "blot-00.png")
        assert page.evaluate("document.getElementById('made').naturalWidth") == SIDE and not complaints
        told = json.loads(page.evaluate("document.getElementById('json').textContent"))
        assert set(told) == {"anomaly", "odd"} and page.inner_text("#says")
        refuse_broken(page)


# ── the latent map ──────────────────────────────────────────────────────────────────────────────────────


def test_the_plane_is_that_of_the_principal_components_and_names_their_share():
    from omma.report.codes import plane_of

    draw = np.random.default_rng(0)
    ways, _ = np.linalg.qr(draw.normal(size=(6, 6)))
    codes = (draw.normal(size=(4000, 6)) * [3, 2, 0.5, 0.5, 0.5, 0.5]) @ ways.T + 7
    plane = plane_of(codes.astype(np.float32))
    assert plane.shares == pytest.approx((9 / 14, 4 / 14), abs=0.02)
    assert np.abs(plane.axes @ ways[:, :2]) == pytest.approx(np.eye(2), abs=0.03)
    assert (plane.axes[np.arange(2), np.abs(plane.axes).argmax(1)] > 0).all()
    back = plane.centre + plane.places @ plane.axes
    assert np.square(back - codes).sum(1).mean() == pytest.approx(1.0, abs=0.1), "what lies in the four directions that are left out"
    two = plane_of(codes[:, :2])
    assert (two.places == codes[:, :2]).all() and (two.axes == np.eye(2)).all() and sum(two.shares) == pytest.approx(1)
    assert plane_of(codes[:, :1]).places.shape == (4000, 2)


def test_every_field_shows_the_picture_nearest_to_its_middle():
    from omma.report.codes import ACROSS, DOWN, Fields

    places = np.random.default_rng(0).normal(size=(500, 2))
    fields = Fields(places)
    middles, chosen = fields.middles(), fields.chosen(places)
    assert middles[0, 0] == middles[:, 0].min() and middles[0, 1] == middles[:, 1].max(), "from the upper left"
    assert len(chosen) == ACROSS * DOWN and None in chosen and len({one for one in chosen if one is not None}) > 60
    inside = [row for row in range(500) if (np.abs(places[row] - middles[40]) < fields.step / 2).all()]
    assert chosen[40] == (min(inside, key=lambda row: np.square((places[row] - middles[40]) / fields.step).sum()) if inside else None)
    assert chosen[int(np.abs(middles - [[0, 0]]).sum(1).argmin())] is not None, "most lie in the middle"


def test_the_report_shows_where_codes_lie_and_what_is_drawn_there(trained):
    *_, run = trained
    page = (run.run / "report.html").read_text("utf-8")
    assert "Latent map" in page and "编码图" in page and "principal components" in page
    assert "<title>test/blot/blot-00 ·" in page or "<title>test/blot/blot-00.png ·" in page
    assert "blot (odd)" in page and "good (good)" in page and page.count("<path stroke=") == 16 + 1, "16 odd pictures, and the legend"


def test_a_code_of_two_numbers_is_its_own_map(tmp_path):
    data = folder(tmp_path / "flat", good=40)
    words = ["model=vae", "latent=2", *WORDS[2:]]
    run = omma.train(str(data / "good"), *words, task="reconstruct", budget="4 steps", out=str(tmp_path / "run"), device="cpu")
    page = (run.run / "report.html").read_text("utf-8")
    assert "number 1 of the code" in page and "principal components" not in page and "What the network draws there" in page


def test_another_task_has_no_latent_map(trained, tmp_path):
    _, data, _ = trained
    found = omma.train(str(data), "batch=16", "threads=1", task="classify", budget="2 steps", out=str(tmp_path / "c"), device="cpu")
    assert "Latent map" not in (found.run / "report.html").read_text("utf-8")

"""Models that draw, as people use them: files that say what they are, words that mean nothing refused, a service that takes a wish."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

import omma
from omma import cli
from omma.data.own.given import posed
from omma.engine.painting.drawing import between, rows_of
from omma.errors import DataError, NotMeaningful, OmmaError
from omma.formats.format import open_data
from omma.models.eyes import eyes
from omma.progress import Watch
from omma.report.drawings import closest_pair, nearest, small
from omma.run.drawing import BLIND
from omma.run.health import Health
from omma.serving.wish import seeds_of

SETTINGS = ["width=8", "latent=8", "batch=16", "evals=2", "looks=8"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Dark and bright squares of 16 pixels in two class folders."""
    folder, draw = tmp_path_factory.mktemp("画") / "方块", np.random.default_rng(0)
    for i in range(60):
        name, level = (("暗", 40), ("bright", 200))[i % 2]
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(level - 30, level + 30, (16, 16), np.uint8)).save(folder / name / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def run(pictures):
    out = pictures.parent / "run"
    omma.train(str(pictures), *SETTINGS, task="generate", model="dcgan", budget="12 steps", out=str(out), device="cpu")
    return out


def read(path):
    """(pixels as whole numbers, what the file says of itself)"""
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int), dict(getattr(picture, "text", {}))


def files(folder):
    return sorted(path.name for path in folder.iterdir())


# ── what goes in ────────────────────────────────────────────────────────────────────────────────────────


def test_pictures_are_their_own_truth_with_a_class_where_there_are_two(pictures):
    data = open_data(pictures)
    asked = posed(data, "themselves", {"classes": "auto"})
    assert asked.names == data.names and [s.truth.label for s in asked.samples] == [s.truth.label for s in data.samples]
    assert (asked.samples[3].truth.pixels == data.picture(3)).all()
    as_one = posed(data, "themselves", {"classes": "no"})
    assert as_one.names == ["drawn"] and {s.truth.label for s in as_one.samples} == {""}
    with pytest.raises(OmmaError, match="no two classes"):
        posed(posed_alone(data), "themselves", {"classes": "yes"})


def posed_alone(data):
    return data.choose([place for place, sample in enumerate(data.samples) if sample.truth.label == "暗"])


def test_between_two_seeds_lies_a_way_that_begins_and_ends_there(run):
    bundle = omma.open(str(run))
    rows = rows_of(bundle.task, bundle.net, 3, 2)
    way = between(bundle.task, rows, 5)
    assert way.shape == (5, rows.shape[1]) and np.allclose(way[[0, -1]], rows, atol=1e-6)
    assert np.allclose(way[:, bundle.net.latent :].sum(1), 1)


# ── predict ─────────────────────────────────────────────────────────────────────────────────────────────


def test_exactly_so_many_files_each_says_what_it_is(run, tmp_path):
    rows = list(omma.predict(str(run), count=5, seed=4, class_="暗", out=str(tmp_path / "画"), device="cpu"))
    assert files(tmp_path / "画") == [f"{place:05d}.png" for place in range(5)] and len(rows) == 5
    pixels, text = read(rows[3]["file"])
    assert pixels.shape == (16, 16)
    assert json.loads(text["omma"]) == {"made_by": "omma", "weights": omma.open(str(run)).digest, "seed": 4, "place": 3, "label": "暗"}


def test_a_picture_depends_on_its_seed_and_place_alone(run, tmp_path):
    few = list(omma.predict(str(run), count=2, seed=4, out=str(tmp_path / "few"), device="cpu"))
    many = list(omma.predict(str(run), count=70, seed=4, out=str(tmp_path / "many"), device="cpu"))
    other = list(omma.predict(str(run), count=2, seed=5, out=str(tmp_path / "other"), device="cpu"))
    made = [[read(row["file"])[0] for row in rows[:2]] for rows in (few, many, other)]
    assert all(np.abs(a - b).max() <= 1 for a, b in zip(made[0], made[1], strict=True))
    assert any((a != b).any() for a, b in zip(made[0], made[2], strict=True))


def test_the_same_words_go_on_and_others_write_over_nothing(run, tmp_path):
    out = tmp_path / "out"
    list(omma.predict(str(run), count=3, seed=1, out=str(out), device="cpu"))
    kept = (out / "00000.png").stat().st_mtime_ns
    (out / "00002.png").unlink()
    list(omma.predict(str(run), count=3, seed=1, out=str(out), device="cpu"))
    assert files(out) == ["00000.png", "00001.png", "00002.png"] and (out / "00000.png").stat().st_mtime_ns == kept
    with pytest.raises(OmmaError, match=r"00000\.png"):
        omma.predict(str(run), count=3, seed=2, out=str(out), device="cpu")
    (out / "mine.txt").write_text("mine")
    with pytest.raises(OmmaError, match=r"mine\.txt"):
        omma.predict(str(run), count=3, seed=1, out=str(out), device="cpu")


def test_a_grid_and_the_ways_between_only_when_asked_for(run, tmp_path):
    list(omma.predict(str(run), count=4, seed=1, grid=True, between=3, out=str(tmp_path / "out"), device="cpu"))
    assert files(tmp_path / "out") == [*(f"{place:05d}.png" for place in range(4)), "between.png", "grid.png"]
    assert read(tmp_path / "out" / "between.png")[0].shape[1] >= 3 * 64


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--count", "0", "--out", "x"], 2, "count"),
        (["--class", "cat", "--out", "x"], 2, "cat"),
        (["--truncation", "2", "--out", "x"], 2, "truncation"),
        (["--count", "2"], 2, "--out"),
        (["picture.png", "--out", "x"], 2, "seed"),
    ],
)
def test_words_that_mean_nothing_are_refused_in_one_line(run, words, code, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["predict", str(run), *words]) == code
    said = capsys.readouterr().err.strip()
    assert told in said and "\n" not in said.replace("\n  ", " ") and not (tmp_path / "x").exists()


def test_what_draws_is_not_explained_and_not_cross_validated(run, pictures, capsys):
    assert cli.run(["explain", str(run), str(next(pictures.rglob("*.png")))]) == 6
    assert "chance" in capsys.readouterr().err
    with pytest.raises(NotMeaningful):
        omma.train(str(pictures), *SETTINGS, task="generate", model="dcgan", folds=2, budget="4 steps", out=str(pictures.parent / "folds"))


# ── measured ────────────────────────────────────────────────────────────────────────────────────────────


def test_numbers_name_the_eyes_they_were_seen_with(run, pictures):
    found = omma.evaluate(str(run), str(pictures))
    row = json.loads(json.dumps(found.json()))
    assert row["features"] == "random" and {"fid", "kid", "precision", "recall", "copied", "kid_real", "fid_real"} <= row.keys()
    assert row["kid"]["protocol"] == {"features": "random"}
    with pytest.raises(OmmaError, match="no-such"):
        omma.evaluate(str(run), str(pictures), features="no-such-folder")


def test_eyes_are_the_same_everywhere_and_may_be_a_bundle(tmp_path, pictures):
    import torch

    one, two = eyes("random"), eyes("random")
    frames = torch.rand(2, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    assert torch.equal(one.features(frames), two.features(frames)) and one.features(frames).shape == (2, 256)
    assert [maps.shape[1] for maps in one.maps(frames)] == [32, 64, 128, 256]
    run = omma.train(str(pictures), "model=keras-same", "optimizer=adam", budget="2 steps", out=str(tmp_path / "see"), device="cpu")
    seen = eyes(str(run.run))
    assert seen.name.startswith("omma keras-same ") and seen.features(frames).dim() == 2
    (tmp_path / "see" / "bundle" / "bundle.json").write_text("{}")
    with pytest.raises(OmmaError, match="bundle"):
        eyes(str(tmp_path / "see"))


def test_copies_are_found_mirrored_or_not():
    import torch

    known = torch.randint(0, 256, (6, 8, 8, 1), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    far, place = nearest(small(known[[4, 1]]), small(known))
    assert place.tolist() == [4, 1] and far.max() < 1e-3
    assert nearest(small(known[[2]].flip(2)), small(known))[0].item() > 0.1


def test_the_closest_pair_of_different_classes(pictures):
    data = posed(open_data(pictures), "themselves", {"classes": "yes"})
    from omma.data.views import Views

    assert 0.4 < closest_pair(data, Views(16, 1, "squash", (0.0,), (1.0,))) < 0.8


@pytest.mark.slow
def test_did_the_samples_help(run, pictures, tmp_path):
    found = omma.evaluate(str(run), str(pictures), helps="20 steps").json()["helps"]
    assert found["verdict"] in ("better", "worse", "cannot tell") and found["added"] == found["true"] > 0


def test_health_names_what_goes_wrong_once():
    health = Health()
    usual = [{"event": "step", "step": i, "critic": 1.4, "norm": 1.0} for i in range(6)]
    assert not [text for event in usual for text in health.hear(event)]
    won = [{"event": "step", "step": 10 + i, "critic": 0.001, "norm": 1.0} for i in range(7)]
    assert len([text for event in won for text in health.hear(event)]) == 1
    assert "rate" in next(health.hear({"event": "step", "step": 20, "critic": 1.4, "norm": 1e4}))
    assert "r3gan" in next(health.hear({"event": "eval", "step": 21, "val_spread": 0.1}))
    assert not list(health.hear({"event": "eval", "step": 22, "val_spread": 0.1}))
    lively = Health()  # a Wasserstein critic's loss has no floor
    assert not [text for i in range(20) for text in lively.hear({"event": "step", "step": i, "critic": -i / 10, "norm": 1.0})]


def test_samples_of_the_same_seeds_are_kept_on_the_way(run):
    shown = sorted((run / "samples").glob("step-*.png"))
    assert len(shown) == 2 and all(read(path)[0].shape[1] > 64 for path in shown)
    text = (run / "report.html").read_text("utf-8")
    assert "What it draws" in text and "它画了什么" in text and "Is it copying?" in text


def test_eyes_that_nobody_trained_choose_no_moment_but_refuse_a_bad_one(run):
    """Moments they find nearer than `BLIND` count the same, and of those the last is kept."""
    told = [json.loads(line) for line in (run / "events.jsonl").read_text("utf-8").splitlines()]
    looks = [event for event in told if event["event"] == "eval"]
    assert looks and all(event["score"] <= -max(BLIND, event["val_kid"]) + 1e-9 for event in looks)
    near = [event["step"] for event in looks if event["score"] == max(event["score"] for event in looks)]
    assert next(event for event in told if event["event"] == "end")["best_step"] == near[-1]


# ── export and serve ────────────────────────────────────────────────────────────────────────────────────


def test_an_export_needs_no_pictures(run, tmp_path):
    told = omma.export(str(run), to="onnx", out=str(tmp_path / "drawn.onnx"))
    assert told.inputs == {"seed": f"float32 (N, {8 + 2})"} and told.pictures >= 64 and "(N, 16, 16, 1)" in told.outputs["drawn"]
    import onnxruntime

    session = onnxruntime.InferenceSession(str(tmp_path / "drawn.onnx"), providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["numbers_of_chance"] == "8" and json.loads(facts["classes"]) == omma.open(str(run)).names


@pytest.mark.parametrize(
    "blob",
    [b"", b"[1]", b"no json", b'{"seed": -1}', b'{"seed": true}', b'{"class": "cat"}', b'{"truncation": 7}', b'{"size": 1}', b"{" * 5000],
)
def test_wishes_that_cannot_be_fulfilled(run, blob):
    with pytest.raises(DataError):
        seeds_of(omma.open(str(run)), blob)


def test_a_service_draws_what_predict_draws(run, tmp_path):
    from fastapi.testclient import TestClient

    from omma.verbs import serve as verb

    service, _ = verb._service(str(run), "cpu", 8, Watch())
    try:
        with TestClient(verb.guarded(service, "127.0.0.1", 8000, None), base_url="http://127.0.0.1:8000") as client:
            answer = client.post("/predict", json={"seed": 3, "class": "bright"})
            (row,) = list(omma.predict(str(run), count=1, seed=3, class_="bright", out=str(tmp_path / "one"), device="cpu"))
            made, kept = (read(what)[0] for what in (io.BytesIO(answer.content), row["file"]))
            assert answer.headers["content-type"] == "image/png" and np.abs(made - kept).max() <= 1
            assert client.post("/predict", content=b"no wish").status_code == 422
            front = client.get("/").text
            assert 'id="wish"' in front and '"draws": true' in front and "bright" in front
            body = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]["content"]
            assert list(body) == ["application/json"]
    finally:
        service.desk.close()

"""Clips and volumes sent to the studio as bytes: Try and Inside read as many frames of them as `omma predict` does of the file."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

import omma
from models_at_hand import bundle_of
from omma.bundle import Bundle
from omma.data.decode import decode
from omma.data.moving.sampled import as_read
from omma.data.views import Views
from omma.models.making import build
from omma.tasks.classify import Classify
from test_studio import Running
from test_whole_clips import volume

pytest.importorskip("httpx")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A studio with a run that reads four frames, one that reads a picture, and a project of volumes."""
    cwd = tmp_path_factory.mktemp("work")
    views = Views(16, 12, "squash", (0.5,) * 12, (0.25,) * 12)
    torch.manual_seed(0)
    net = build("lenet", channels=12, size=16, outputs=2, head="linear").eval()
    with torch.no_grad():
        net.head.weight.mul_(8)
    card = {"model": "lenet", "model_settings": {"head": "linear"}, "recipe": {}, "scores": {}, "data": {}}
    of = Bundle(Classify(["left", "right"]), {"net": net}, views, {"temperature": 1.0, "threshold": 0.0}, card)
    of.save(cwd / "runs" / "clips-1" / "bundle")
    bundle_of("classify", names=("left", "right", "still")).save(cwd / "runs" / "stills-1" / "bundle")
    for name, step in (("left", -1), ("right", 1)):
        (cwd / "volumes" / name).mkdir(parents=True)
        for i in range(2):
            volume(cwd / "volumes" / name / f"{i}.tif", 20 + i, seed=i, step=step)
    running = Running(tmp_path_factory.mktemp("home"), cwd)
    running.id = running.post("/api/projects", data=str(cwd / "volumes"))["id"]
    running.runs = cwd / "runs"
    yield running
    running.close()


@pytest.fixture(scope="module", params=["tif", "gif", "webp"])
def several(request, tmp_path_factory):
    """A file of several pictures that differ."""
    file = tmp_path_factory.mktemp("files") / f"several.{request.param}"
    volume(file, 11, seed=3)
    if request.param == "webp":
        pages = [Image.new("RGB", (32, 24), (25 * place, 90, 200 - 20 * place)) for place in range(10)]
        pages[0].save(file, save_all=True, append_images=pages[1:], lossless=True)
    return file


def answered(world, run, file):
    reply = world.client.post(f"/api/runs/{run}/answer", params={"name": file.name}, content=file.read_bytes())
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.mark.parametrize("run", ["clips-1", "stills-1"])
def test_what_is_sent_is_answered_as_predict_answers_the_file(world, several, run):
    """All frames where the network reads several, the first where it reads a picture; the drawn answer is of the moment in the middle."""
    (row,) = list(omma.predict(str(world.runs / run), str(several), runtime="eager"))
    found = answered(world, run, several)
    assert found["json"] == {key: value for key, value in row.items() if key != "path"}
    assert world.get(f"/api/runs/{run}/about")["frames"] == (4 if run == "clips-1" else 1)
    first = several.with_suffix(".png")
    Image.fromarray(decode(several)[..., :3].repeat(3 if decode(several).shape[2] == 1 else 1, 2)).save(first)
    if run == "stills-1":
        assert answered(world, run, first)["json"] == found["json"]
    else:
        reply = world.client.post(f"/api/runs/{run}/answer", params={"name": "one.png"}, content=first.read_bytes())
        assert reply.status_code == 422 and "12" in reply.json()["error"], "one frame is not four"


def test_inside_sees_the_same_frames(world, several):
    """Of a file that is sent, of one on this machine and of one of a project alike."""
    reply = world.client.post("/api/inside", params={"model": "clips-1", "name": several.name}, content=several.read_bytes())
    assert reply.status_code == 200, reply.text
    live = world.studio.looks.get(reply.json()["key"])
    views = live.found.subject.bundle.views
    assert live.found.before.frame.shape == (16, 16, 12)
    assert (live.found.before.frame == views.frame(as_read(several, 12))).all() and live.found.before.name == several.name
    row = answered(world, "clips-1", several)["json"]
    assert live.found.answer.json()["probabilities"] == pytest.approx(row["probabilities"], abs=1e-5)
    there = world.client.post("/api/inside", params={"model": "clips-1", "picture": str(several)}).json()
    assert (world.studio.looks.get(there["key"]).found.before.frame == live.found.before.frame).all()


def test_inside_reads_the_volumes_of_a_project_and_those_that_excite(world):
    """The project reads a page of each; a network of four frames is shown four."""
    reply = world.client.post("/api/inside", params={"model": "clips-1", "project": world.id, "item": 2, "peaks": 1})
    assert reply.status_code == 200, reply.text
    found = world.studio.looks.get(reply.json()["key"]).found
    files = sorted((world.runs.parent / "volumes").rglob("*.tif"))
    views = found.subject.bundle.views
    assert (found.before.frame == views.frame(as_read(files[2], 12))).all() and found.before.name == "right/0.tif"
    assert len(found.peaks.frames) == 4
    first = world.client.post("/api/inside", params={"model": "clips-1", "project": world.id}).json()["key"]
    assert world.studio.looks.get(first).found.before.frame.shape[2] == 12


def test_a_clip_is_read_from_its_bytes(world, tmp_path):
    """As from the file; a model of pictures says what to do; a damaged one is named as it was sent."""
    clips = pytest.importorskip("test_clips")
    file = clips.moving(tmp_path / "bright.mp4", 9)
    (row,) = list(omma.predict(str(world.runs / "clips-1"), str(file), runtime="eager"))
    assert answered(world, "clips-1", file)["json"] == {key: value for key, value in row.items() if key != "path"}
    reply = world.client.post("/api/inside", params={"model": "clips-1", "name": file.name}, content=file.read_bytes())
    frame = world.studio.looks.get(reply.json()["key"]).found.before.frame
    assert (frame == world.studio.looks.get(reply.json()["key"]).found.subject.bundle.views.frame(as_read(file, 12))).all()
    assert len({frame[..., place].mean().round() for place in range(0, 12, 3)}) == 4, "it grows brighter"
    reply = world.client.post("/api/runs/stills-1/answer", params={"name": file.name}, content=file.read_bytes())
    assert reply.status_code == 422 and "omma predict runs/stills-1" in reply.json()["error"]
    reply = world.client.post("/api/runs/clips-1/answer", params={"name": "broken.mp4"}, content=file.read_bytes()[:200])
    assert reply.status_code == 422 and "broken.mp4" in reply.json()["error"] and "omma-clip" not in reply.json()["error"]

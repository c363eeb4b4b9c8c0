"""Clips and volumes as one sample each: frames evenly taken, one after another in the channels, through every verb."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

import omma
from omma import cli
from omma.bundle import Bundle
from omma.data.decode import decode
from omma.data.fingerprint import take
from omma.data.looks import look_over
from omma.data.moving.sampled import FRAMES, as_read, moments, poster, sampled, sheet
from omma.data.views import Views
from omma.engine.machine import laid_out
from omma.errors import DataError
from omma.formats.format import open_data
from omma.models.making import build
from omma.tasks.classify import Classify
from omma.testing import check_format
from omma.verbs.train import train

WORDS = ["threads=1", "tta=none", "size=32", "batch=4", "val=0.25", "test=0.25"]


def volume(path, count=20, size=(24, 32), seed=0, depth="uint8", step=1):
    """A square that moves to the right, or to the left with `step` −1: no single slice tells which; (H, W) = `size`."""
    draw = np.random.default_rng(seed)
    slices = draw.integers(0, 30, (count, *size)).astype(depth)
    for place in range(count):
        left = (seed * 5 + step * place) % (size[1] - 8)
        slices[place, 8:16, left : left + 8] = 200
    if depth == "uint16":
        slices *= 64
    pages = [Image.fromarray(one) for one in slices]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return slices


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    root = tmp_path_factory.mktemp("体数据")
    for name, step in (("left", -1), ("right", 1)):
        (root / name).mkdir()
        for i in range(4):
            volume(root / name / f"{i}.tif", 20 + i, seed=i, step=step)
    return root


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A small network with drawn weights that reads 16 frames in colour."""
    torch.manual_seed(0)
    views = Views(16, 48, "squash", (0.5,) * 48, (0.25,) * 48)
    card = {"model": "lenet", "model_settings": {"head": "linear"}, "recipe": {}, "scores": {}, "data": {}}
    net = build("lenet", channels=48, size=16, outputs=2, head="linear").eval()
    return Bundle(Classify(["left", "right"]), {"net": net}, views, {"temperature": 1.0, "threshold": 0.0}, card).save(
        tmp_path_factory.mktemp("bundles") / "reads-clips"
    )


def test_frames_are_evenly_taken(tmp_path):
    slices = volume(tmp_path / "a.tif", 32)
    picture = sampled(tmp_path / "a.tif", 4)
    assert picture.shape == (24, 32, 12) and picture.dtype == np.uint8
    for place, slice_ in enumerate((4, 12, 20, 28)):  # the middles of four stretches of eight
        assert (picture[..., 3 * place : 3 * place + 3] == slices[slice_][..., None]).all()
    assert (sampled((tmp_path / "a.tif").read_bytes(), 4) == picture).all()
    few = sampled(tmp_path / "a.tif", 64)
    assert (few[..., 0] == slices[0][...]).all() and (few[..., 3] == slices[0]).all() and (few[..., 6] == slices[1]).all()
    assert (poster(picture, 4) == slices[20][..., None]).all() and poster(picture, 1) is picture
    whole = sheet(picture, 4)
    assert whole.shape == (48, 64, 3) and (whole[24:, 32:] == slices[28][..., None]).all() and sheet(picture, 1) is picture


def test_gifs_and_deep_volumes(tmp_path):
    volume(tmp_path / "a.gif", 10)
    assert sampled(tmp_path / "a.gif", 5).shape == (24, 32, 15)
    assert not (sampled(tmp_path / "a.gif", 2)[..., :3] == sampled(tmp_path / "a.gif", 2)[..., 3:]).all()
    slices = volume(tmp_path / "deep.tif", 8, depth="uint16")
    assert (sampled(tmp_path / "deep.tif", 8)[..., ::3] == ((slices.astype(int) + 128) // 257).transpose(1, 2, 0)).all()


def test_a_network_says_how_it_reads_a_file(tmp_path):
    slices = volume(tmp_path / "a.tif", 16)
    Image.fromarray(slices[0]).save(tmp_path / "one.png")
    assert [moments(channels) for channels in (1, 3, 4, 6, 48, 7)] == [1, 1, 1, 2, 16, 1]
    assert as_read(tmp_path / "a.tif", 3).shape == (24, 32, 1) and as_read(tmp_path / "a.tif", 48).shape == (24, 32, 48)
    assert as_read(tmp_path / "one.png", 48).shape == (24, 32, 1), "one picture is no clip: the views refuse it"


def test_later_pages_are_decoded_too_and_no_more(tmp_path, monkeypatch):
    slices = volume(tmp_path / "a.tif", 3)
    assert (decode(tmp_path / "a.tif", frame=2)[..., 0] == slices[2]).all()
    with pytest.raises(DataError):
        decode(tmp_path / "a.tif", frame=3)
    pages = [Image.fromarray(slices[0]), Image.fromarray(slices[1][:10])]
    pages[0].save(tmp_path / "odd.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match=r"odd\.tif"):
        sampled(tmp_path / "odd.tif", 2)
    with pytest.raises(DataError):
        sampled(tmp_path / "gone.tif", 2)
    monkeypatch.setenv("OMMA_MAX_PIXELS", str(24 * 32 * 4))
    assert sampled(tmp_path / "a.tif", 4).shape == (24, 32, 12)
    with pytest.raises(DataError, match=r"a\.tif"):
        sampled(tmp_path / "a.tif", 5)


def test_a_folder_of_volumes_is_a_dataset(volumes):
    dataset = open_data(volumes, "clips")
    assert len(dataset) == 8 and dataset.names == ["left", "right"] and dataset.frames == FRAMES
    assert dataset.samples[0].id == "left/0.tif" and dataset.picture(0).shape == (24, 32, 48)
    print_ = take(dataset)
    assert (print_.frames, print_.channels, len(print_.mean)) == (16, 3, 3) and print_.width.median == 32
    assert type(print_).from_json(print_.json()) == print_
    pages = [sampled(dataset.pixels.files[i]) / 255 for i in range(8)]
    assert print_.mean[0] == pytest.approx(np.mean(pages), abs=0.01), "of all frames"
    looks = look_over(dataset)
    assert not looks.errors and len({bytes(row) for row in looks.pixel_hash}) == 8
    plain = open_data(volumes)
    assert plain.format == "folders" and any("--format clips" in note for note in plain.notes)


def test_its_digest_is_that_of_its_files(volumes, tmp_path):
    before = open_data(volumes, "clips").digest()
    assert open_data(volumes, "clips").digest() == before
    (tmp_path / "a").mkdir()
    volume(tmp_path / "a" / "1.tif", 5)
    one = open_data(tmp_path, "clips").digest()
    volume(tmp_path / "a" / "1.tif", 6)
    assert open_data(tmp_path, "clips").digest() != one != before


def test_a_volume_is_answered_as_a_whole(bundle, volumes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = volumes / "left" / "0.tif"
    rows = list(omma.predict(str(bundle), str(one), str(volumes / "right"), runtime="eager"))
    assert len(rows) == 5 and all(row["label"] in ("left", "right") and "frame" not in row for row in rows)
    assert cli.run(["predict", str(bundle), str(one), "--as", "drawn", "--out", "drawn", "--runtime", "eager"]) == 0
    assert decode(next((tmp_path / "drawn").rglob("*.jpg"))).shape[2] == 3
    Image.fromarray(decode(one)[..., 0]).save("slice.png")
    row = next(iter(omma.predict(str(bundle), "slice.png", runtime="eager")))
    assert "48" in row["error"], "one slice is refused, and it is said why"


def test_a_volume_is_explained(bundle, volumes, tmp_path):
    found = omma.explain(str(bundle), str(volumes / "left" / "0.tif"), method="gradcam", out=str(tmp_path / "why.png"))
    assert found.overlay.shape[2] == 3 and (tmp_path / "why.png").is_file()


def test_the_service_reads_a_volume(bundle, volumes):
    from omma.runtimes.choose import named
    from omma.serving.desk import Model

    opened = omma.open(bundle)
    frames, _ = Model(opened, named("eager", opened)).frames((volumes / "left" / "0.tif").read_bytes())
    assert frames.shape == (1, 16, 16, 48)


def test_check_looks_at_volumes(volumes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["check", str(volumes), "--format", "clips", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 8


def test_three_dimensional_convolutions_keep_their_layout():
    flat, deep = (build(name, channels=3, size=32, outputs=2) for name in ("nin", "c3d-small"))
    assert laid_out(deep) is deep and all(p.is_contiguous() for p in deep.parameters())
    assert any(p.is_contiguous(memory_format=torch.channels_last) for p in laid_out(flat).parameters() if p.dim() == 4)


def test_clips_are_read_without_being_told(tmp_path):
    cv2 = pytest.importorskip("cv2", reason="moving pictures are an extra: pip install 'omma[video]'")
    from test_clips import moving

    assert cv2
    for name in ("up", "down"):
        (tmp_path / name).mkdir()
        for i in range(2):
            moving(tmp_path / name / f"{i}.mp4", count=20)
    check_format("clips", tmp_path)
    dataset = open_data(tmp_path)
    assert dataset.format == "clips" and len(dataset) == 4 and any("16" in note for note in dataset.notes)
    picture = dataset.picture(0)
    assert picture.shape == (48, 64, 48)
    levels = picture[30:, 40:].mean((0, 1))[::3]
    assert (np.diff(levels) > 0).all(), "it grows brighter from frame to frame"


@pytest.mark.slow
def test_volumes_are_trained_on_evaluated_exported_and_answered(volumes, tmp_path):
    done = train(str(volumes), *WORDS, format="clips", budget="2 steps", seed=1, out=str(tmp_path / "run"))
    opened = omma.open(done.run)
    assert opened.views.channels == 48 and opened.card["model"] == "c3d-small" and opened.card["model_settings"]["frames"] == 16
    again = train(str(volumes), *WORDS, format="clips", budget="2 steps", seed=1, out=str(tmp_path / "again"))
    assert omma.open(again.run).digest == opened.digest
    assert omma.evaluate(str(done.run)).json()["n"] >= 1
    assert omma.evaluate(str(done.run), str(volumes), format="clips", split="all").json()["n"] == 8
    written = omma.export(str(done.run), to="onnx", data=str(volumes), format="clips", out=str(tmp_path / "volume.onnx"))
    assert written.json()["parity"]["ok"] if "parity" in written.json() else (tmp_path / "volume.onnx").is_file()
    assert len(list(omma.predict(str(done.run), str(volumes)))) == 8


@pytest.mark.slow
def test_what_moves_to_the_left_is_told_from_what_moves_to_the_right(tmp_path):
    for name, step in (("left", -1), ("right", 1)):
        for part, count in (("train", 24), ("test", 12)):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(count):
                volume(tmp_path / part / name / f"{i}.tif", 16, seed=i + 100 * (part == "test"), step=step)
    words = [
        "model=c3d-small",
        "tta=none",
        "size=32",
        "batch=8",
        "val=0",
        "flip=no",
        "shift=0",
        "optimizer=adamw",
        "rate=0.001",
        "forget=0",
    ]
    told = train(str(tmp_path), *words, format="clips", budget="120 steps", out=str(tmp_path / "run"))
    assert told.scores["accuracy"]["value"] > 0.9

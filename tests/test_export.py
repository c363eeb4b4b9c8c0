"""Export: the file that leaves answers as the model that was measured, or it does not leave."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import omma
from models_at_hand import bundle_of, folder_of, pictures, quantised
from omma.errors import BundleError, DataError, OmmaError, Refused
from omma.exporters import pt2
from omma.exporters.graph import Graph, Whole
from omma.runtimes.choose import named
from omma.verbs import export as verb

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
EXAMPLE = Path(__file__).parent.parent / "examples" / "onnxruntime_only.py"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("照片")
    folder_of(folder, 5)
    folder_of(folder / "same", 3, (24, 36), ".jpg")
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    made = bundle_of(fit="crop")
    made.card["task"] = "classify"
    made.save(tmp_path_factory.mktemp("run") / "bundle")
    return omma.open(made.path)


@pytest.fixture(scope="module")
def exported(bundle, photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "模型.onnx"
    return omma.export(bundle.path, to="onnx", data=photos, out=out)


def test_it_says_what_was_proven(exported):
    row = exported.json()
    assert row["own"] == 8 and row["pictures"] > 8 and row["worst"] < 1e-4 and row["to"] == "onnx"
    assert row["bytes"] == exported.out.stat().st_size and row["inputs"] == {"picture": "uint8 (N, H, W, 3)"}
    assert row["outputs"] == {"label": "(N)", "probability": "(N)", "probabilities": "(N, 3)"}
    assert "same answers on" in exported.lines()[0]
    assert [file.name for file in exported.out.parent.iterdir()] == [exported.out.name], "nothing else was left"


def test_the_file_is_as_promised(exported, bundle):
    session = onnxruntime.InferenceSession(str(exported.out), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    assert (entry.name, entry.type, entry.shape) == ("picture", "tensor(uint8)", ["N", "H", "W", 3])
    assert [output.name for output in session.get_outputs()] == ["label", "probability", "probabilities"]
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == ["cat", "dog", "鸟"] and json.loads(about["operating_point"]) == bundle.point
    assert about["task"] == "classify" and about["omma"] == omma.__version__ and json.loads(about["views"])["fit"] == "crop"
    assert b"site-packages" not in exported.out.read_bytes()


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (16, 16), (17, 15), (480, 640)])
@pytest.mark.parametrize("count", [1, 3])
def test_any_size_and_any_number_of_pictures(exported, bundle, size, count):
    session = onnxruntime.InferenceSession(str(exported.out), providers=["CPUExecutionProvider"])
    batch = np.stack(pictures(count, size, seed=sum(size)))
    found = dict(zip(("label", "probability", "probabilities"), session.run(None, {"picture": batch}), strict=True))
    wanted = named("eager", bundle).run(np.stack([bundle.views.frame(picture) for picture in batch]))
    np.testing.assert_allclose(found["probabilities"], wanted["probabilities"], atol=1e-5)
    assert found["probabilities"].shape == (count, 3) and found["label"].dtype == np.int64


@pytest.mark.parametrize(
    ("task", "outputs", "settings"),
    [
        ("multilabel", {"labels": "(N, 3)", "probabilities": "(N, 3)"}, {"fit": "pad", "tta": "flip+shift"}),
        (
            "regress",
            {"numbers": "(N, 3)", "spread": "(N, 3)"},
            {"loss": "gaussian", "centre": [5.0, 0, 1], "width": [1.0, 2, 3], "channels": 1},
        ),
    ],
)
def test_other_answers_leave_the_same_way(task, outputs, settings, photos, tmp_path):
    made = bundle_of(task, **settings)
    made.card["task"] = task
    made.save(tmp_path / "bundle")
    found = omma.export(tmp_path / "bundle", data=photos, out=tmp_path / "model.onnx")
    assert found.outputs == outputs and found.worst < 1e-3


def _spoilt(monkeypatch, share):
    """What is exported is not what is measured."""
    whole = Whole.__init__

    def init(self, bundle):
        whole(self, bundle)
        with torch.no_grad():
            self.pipeline.nets["net"].head.bias[0] += share

    monkeypatch.setattr(Whole, "__init__", init)
    # The measured side opens the weights anew.
    monkeypatch.setattr(verb, "proven", _with_fresh_weights(verb.proven))


def _with_fresh_weights(proven):
    return lambda opened, *rest: proven(omma.open(opened.path), *rest)


def test_nothing_is_written_when_an_answer_differs(bundle, photos, tmp_path, monkeypatch):
    """Negative control: one number of the head is off by a hundredth."""
    _spoilt(monkeypatch, 0.01)
    (tmp_path / "model.onnx").write_bytes(b"an older one")
    with pytest.raises(Refused, match="nothing was written") as refused:
        omma.export(bundle.path, data=photos, out=tmp_path / "model.onnx")
    assert refused.value.code == 5
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_bytes() == b"an older one"


def test_an_exact_copy_passes_the_same_control(bundle, photos, tmp_path, monkeypatch):
    _spoilt(monkeypatch, 0.0)
    assert omma.export(bundle.path, data=photos, out=tmp_path / "model.onnx").out.exists()


def test_a_resize_that_differs_is_seen(bundle, photos, tmp_path, monkeypatch):
    """Negative control: the network is the same, but pictures enter it otherwise."""
    from omma.data.views import InGraph

    crop = InGraph._span
    monkeypatch.setattr(InGraph, "_span", lambda self, length, other: (crop(self, length, other)[0] * 0, *crop(self, length, other)[1:]))
    with pytest.raises(Refused):
        omma.export(bundle.path, data=photos, out=tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_what_it_needs_is_said(bundle, photos, tmp_path):
    with pytest.raises(OmmaError, match="--data"):
        omma.export(bundle.path)
    with pytest.raises(OmmaError, match="onnx"):
        omma.export(bundle.path, to="onx", data=photos)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        omma.export(bundle.path, data=tmp_path / "empty", out=tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_picture_that_cannot_be_read_is_said_and_the_others_count(bundle, photos, tmp_path):
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos" / "0.png").write_bytes(b"no picture")
    warned = []

    class Ears(omma.progress.Watch):
        def warn(self, line):
            warned.append(line)

    found = verb.own_pictures(bundle, tmp_path / "photos", None, Ears())
    assert len(found) == 7 and "0.png" in warned[0]


@pytest.mark.parametrize("format", ["masks", "voc"])
def test_label_maps_are_no_pictures_to_prove_a_file_on(bundle, tmp_path, format):
    """Pictures are bright, label maps dark."""
    from omma.answers.mask import Mask
    from omma.data.sample import Dataset, Sample
    from omma.formats import masks, voc

    folder_of(tmp_path / "photos", 4)
    truth = Mask.of((np.arange(24 * 36).reshape(24, 36) % 2).astype(np.uint8), ["background", "spot"])
    files = sorted((tmp_path / "photos").iterdir())
    for file in files:
        Image.fromarray(np.full((24, 36, 3), 200, np.uint8)).save(file)
    samples = [Sample(file.name, file, truth=truth, split="train") for file in files]
    dataset = Dataset(samples, ["background", "spot"], "segment", tmp_path / "photos", "masks")
    {"masks": masks, "voc": voc}[format].write(dataset, tmp_path / "set")
    found = verb.own_pictures(bundle, tmp_path / "set", None, omma.progress.Watch())
    assert len(found) == 4 and all(picture.min() == 200 for picture in found)


def test_the_example_runs_where_there_is_no_omma(exported, bundle, photos, tmp_path):
    """In a process that cannot import omma or torch."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['omma'] = sys.modules['torch'] = None\n")
    files = [str(photos / "0.png"), str(photos / "same" / "1.jpg")]
    words = [sys.executable, str(EXAMPLE), str(exported.out), *files]
    done = subprocess.run(
        words, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path), "PYTHONIOENCODING": "utf-8"}, timeout=120
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    frames = np.stack([bundle.views.frame(np.asarray(Image.open(file).convert("RGB"))) for file in files])
    for row, wanted in zip(rows, named("eager", bundle).answers(frames), strict=True):
        # Two JPEG decoders may differ by a grey level, so the probability is held to 1 %.
        assert row["label"] == wanted.label and row["unsure"] == wanted.unsure
        assert row["probability"] == pytest.approx(wanted.probability, abs=1e-2)


def test_a_program_of_torch_is_read_back_and_compared(bundle, photos, tmp_path, monkeypatch):
    """The child's work is done here: `_reload` imports nothing of omma's network."""
    from omma.exporters import _reload

    def run(words, **_):
        _reload.main(words[3:])
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(pt2.subprocess, "run", run)
    found = omma.export(bundle.path, to="pt2", data=photos, out=tmp_path / "model.pt2")
    assert found.out.exists() and found.worst < 1e-5 and found.pictures > 8
    assert b"site-packages" not in found.out.read_bytes()
    _spoilt(monkeypatch, 0.01)
    with pytest.raises(Refused):
        omma.export(bundle.path, to="pt2", data=photos, out=tmp_path / "other.pt2")
    assert not (tmp_path / "other.pt2").exists()


@pytest.mark.slow
def test_the_program_is_read_by_a_real_child(bundle, photos, tmp_path):
    assert omma.export(bundle.path, to="pt2", data=photos, out=tmp_path / "model.pt2").pictures > 8


def test_a_child_that_fails_is_a_refusal(bundle, tmp_path):
    with pytest.raises(Refused, match="read back"):
        (tmp_path / "no.pt2").write_bytes(b"nothing")
        list(pt2.Pt2().answer(tmp_path / "no.pt2", [np.zeros((1, 4, 4, 3), np.uint8)]))


def test_the_example_input_has_lengths_of_its_own(bundle):
    """Were two lengths alike, the exporter could take one for the other."""
    assert len(set(Graph.of(bundle).example.shape)) == 4


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("classify", {"fit": "crop"}),
        ("regress", {"loss": "gaussian", "centre": [5.0, 0, 1], "width": [1.0, 2, 3], "channels": 1}),
    ],
)
def test_a_quantised_model_leaves_with_its_own_graph_inside(task, settings, photos, tmp_path):
    made = quantised(tmp_path / "b", task, **settings)
    found = omma.export(made.path, data=photos, out=tmp_path / "model.onnx")
    assert found.own == 8 and found.pictures > 8 and found.worst < 1e-4
    session = onnxruntime.InferenceSession(str(found.out), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    assert (entry.name, entry.type, entry.shape) == ("picture", "tensor(uint8)", ["N", "H", "W", 3])
    assert [output.name for output in session.get_outputs()] == list(found.outputs)
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == made.names and json.loads(about["operating_point"]) == made.point
    batch = np.stack(pictures(3, (23, 31)))
    frames = np.stack([made.views.frame(picture) for picture in batch])
    answers = dict(zip(found.outputs, session.run(None, {"picture": batch}), strict=True))
    wanted = named("ort", made).run(frames)
    for name in wanted:
        np.testing.assert_allclose(answers[name], wanted[name], atol=1e-5)
    # Control: the float32 network beside the graph answers otherwise, so it was not this that was exported.
    exact = bundle_of(task, **settings).pipeline()(torch.from_numpy(frames))
    assert max(float(np.abs(exact[name].detach().double().numpy() - answers[name]).max()) for name in wanted) > 1e-4


def test_a_quantised_graph_that_was_changed_does_not_leave(photos, tmp_path):
    made = quantised(tmp_path / "b")
    blob = (made.path / "model.int8.onnx").read_bytes()
    (made.path / "model.int8.onnx").write_bytes(blob + b"x")
    with pytest.raises(BundleError, match="SHA-256"):
        omma.export(made.path, data=photos, out=tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_format_without_a_place_for_8_bits_says_so(photos, tmp_path):
    made = quantised(tmp_path / "b")
    with pytest.raises(Refused, match="quantised"):
        omma.export(made.path, to="pt2", data=photos, out=tmp_path / "model.pt2")

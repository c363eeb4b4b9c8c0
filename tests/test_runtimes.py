"""Runtimes: whichever library computes, the answers are the same, or it does not compute."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from models_at_hand import bundle_of, pictures
from omma.errors import BundleError, OmmaError
from omma.progress import Watch
from omma.runtimes import _graphs, choose
from omma.runtimes.eager import Eager
from omma.runtimes.ort import Ort
from omma.runtimes.parity import gate

pytest.importorskip("onnxruntime")


class Ears(Watch):
    """Keeps what is said."""

    def __init__(self):
        self.warned = []

    def warn(self, line):
        self.warned.append(line)


@pytest.fixture(scope="module")
def bundle():
    return bundle_of(tta="flip")


@pytest.fixture(scope="module")
def frames(bundle):
    return np.stack([bundle.views.frame(picture) for picture in pictures(12)])


def test_eager_answers_as_the_pipeline_does(bundle, frames):
    wanted = bundle.pipeline()(torch.from_numpy(frames))
    found = Eager(bundle).run(frames)
    assert list(found) == ["label", "probability", "probabilities"]
    for key, tensor in wanted.items():
        np.testing.assert_allclose(found[key], tensor.detach().numpy(), atol=1e-5)


def test_ort_passes_the_gate_in_batches_of_any_length_and_from_two_threads(bundle, frames):
    eager, ort = Eager(bundle), Ort(bundle, lanes=2)
    parity = gate(bundle, eager.run, ort.run, [frames, frames[:1], frames[:5]])
    assert parity.ok and parity.pictures == 18 and parity.worst < 1e-4, parity
    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(ort.run, [frames[i : i + 1] for i in range(12)]))
    together = ort.run(frames)
    for place, row in enumerate(rows):
        np.testing.assert_allclose(row["probabilities"][0], together["probabilities"][place], atol=1e-5)
    ort.close()


def test_a_runtime_gives_the_threads_back(bundle):
    before = torch.get_num_threads()
    lanes = Eager(bundle, lanes=64)
    assert torch.get_num_threads() == 1
    lanes.close()
    assert torch.get_num_threads() == before


def test_a_point_given_later_counts_without_another_graph(bundle, frames):
    ort = Ort(bundle)
    assert not any(answer.unsure for answer in ort.answers(frames, {"threshold": 0.0}))
    assert all(answer.unsure for answer in ort.answers(frames, {"threshold": 1.0}))
    colder = ort.run(frames, {"temperature": 0.1})["probability"]
    assert (colder > ort.run(frames)["probability"]).all()


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_the_gate_refuses_other_weights(bundle, frames, share):
    """Negative control: the same network with its head moved a little is another model."""
    other = bundle_of(tta="flip")
    with torch.no_grad():
        other.net.head.weight += share * torch.randn_like(other.net.head.weight)
    parity = gate(bundle, Eager(bundle).run, Eager(other).run, [frames])
    assert not parity.ok and parity.failed > 0 and parity.lines


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t | {"probability": t["probability"] + 0.01},
        lambda t: t | {"probabilities": t["probabilities"] * np.nan},
        lambda t: t | {"label": (t["label"] + 1) % 3},
        lambda t: {key: t[key] for key in ("probability", "label", "probabilities")},
        lambda t: t | {"probabilities": t["probabilities"][:, :2]},
        lambda t: t | {"label": t["label"].astype("float32")},
    ],
    ids=["probability", "nan", "label", "order", "shape", "kind"],
)
def test_the_gate_sees_every_output(bundle, frames, spoil):
    eager = Eager(bundle)
    assert not gate(bundle, eager.run, lambda batch: spoil(eager.run(batch)), [frames]).ok


def test_the_gate_sees_labels_that_do_not_follow_from_their_probabilities(frames):
    several = bundle_of("multilabel")
    eager = Eager(several)
    assert gate(several, eager.run, eager.run, [frames]).ok
    parity = gate(several, eager.run, lambda batch: (t := eager.run(batch)) | {"labels": ~t["labels"]}, [frames])
    assert not parity.ok


def test_numbers_are_held_to_their_own_tolerance(frames):
    numbers = bundle_of("regress", centre=[10.0, 0.0, 1.0], width=[1.0, 2.0, 3.0], loss="gaussian")
    eager = Eager(numbers)
    shift = lambda by: lambda batch: (t := eager.run(batch)) | {"numbers": t["numbers"] + np.float32(by)}  # noqa: E731
    assert gate(numbers, eager.run, shift(1e-5), [frames]).ok
    assert not gate(numbers, eager.run, shift(5e-3), [frames]).ok


def test_small_numbers_are_held_to_their_own_range(frames):
    """A share between 0 and 0.001 that is off by 1e-5 is wrong, though 1e-5 is little."""
    numbers = bundle_of("regress", centre=[5e-4] * 3, width=[1e-4] * 3)
    eager = Eager(numbers)
    assert gate(numbers, eager.run, eager.run, [frames]).ok
    assert not gate(numbers, eager.run, lambda batch: (t := eager.run(batch)) | {"numbers": t["numbers"] + np.float32(1e-5)}, [frames]).ok


def test_no_picture_is_no_proof(bundle):
    assert not gate(bundle, Eager(bundle).run, Eager(bundle).run, []).ok


def test_a_kept_graph_belongs_to_its_weights(bundle):
    other = bundle_of(tta="flip")
    assert _graphs.key_of(other) == _graphs.key_of(bundle)
    with torch.no_grad():
        other.net.head.bias += 1
    assert _graphs.key_of(other) != _graphs.key_of(bundle)


def test_the_graph_tells_nothing_of_this_machine(bundle):
    blob = _graphs.graph_of(bundle).read_bytes()
    assert b"site-packages" not in blob and b".py" not in blob


def _children_answer(monkeypatch, rates, spoil=lambda outputs: outputs):
    """`run_child` as if in a child: the real graph in this process, with rates as told."""
    from importlib import import_module

    asked = []

    def run_child(name, graph, frames, seconds):
        asked.append(name)
        return rates[name] if seconds else [], spoil(import_module(f"omma.runtimes.{name}").engine(graph)(frames))

    monkeypatch.setattr(choose, "run_child", run_child)
    monkeypatch.setattr(choose, "SECONDS", 0.02)
    monkeypatch.setattr(choose, "candidates", lambda: list(rates))
    return asked


def test_the_fastest_is_measured_once_and_remembered(bundle, frames, monkeypatch, tmp_path):
    monkeypatch.setenv("OMMA_HOME", str(tmp_path))
    asked = _children_answer(monkeypatch, {"ort": [1e9, 1e9]})
    assert not choose.ready(bundle)
    assert choose.fastest(bundle, frames=frames).name == "ort" and asked == ["ort"]
    assert choose.ready(bundle)
    assert choose.fastest(bundle).name == "ort" and asked == ["ort"], "remembered"
    other = bundle_of(tta="flip")
    with torch.no_grad():
        other.net.head.bias += 0.5
    assert not choose.ready(other), "other weights have not passed the gate"
    assert choose.fastest(other).name == "ort" and asked == ["ort", "ort"], "not measured again, but proven"


def test_a_slower_runtime_is_not_chosen(bundle, monkeypatch, tmp_path):
    monkeypatch.setenv("OMMA_HOME", str(tmp_path))
    _children_answer(monkeypatch, {"ort": [1e-3, 1e-3]})
    assert choose.fastest(bundle).name == "eager"


def test_a_runtime_that_answers_otherwise_is_left_out_and_said(bundle, monkeypatch, tmp_path):
    """Negative control: fast and wrong."""
    monkeypatch.setenv("OMMA_HOME", str(tmp_path))
    _children_answer(monkeypatch, {"ort": [1e9, 1e9]}, lambda outputs: {key: value + 0.2 * value[::-1] for key, value in outputs.items()})
    ears = Ears()
    assert choose.fastest(bundle, ears).name == "eager"
    assert "other answers" in ears.warned[0]


def test_a_runtime_that_fails_costs_nothing(bundle, monkeypatch, tmp_path):
    monkeypatch.setenv("OMMA_HOME", str(tmp_path))
    ears = Ears()
    _children_answer(monkeypatch, {"ort": [1e9, 1e9]})

    def breaks(*_):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(choose, "run_child", breaks)
    assert choose.fastest(bundle, ears).name == "eager" and "no such kernel" in ears.warned[0]


def test_a_home_that_cannot_be_written_leaves_eager(bundle, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OMMA_HOME", str(tmp_path / "file"))
    _children_answer(monkeypatch, {"ort": [1e9, 1e9]})
    ears = Ears()
    assert choose.fastest(bundle, ears).name == "eager" and ears.warned


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ort", "openvino"])
def test_a_real_child_gives_the_same_answers(name, bundle, frames):
    pytest.importorskip(name if name == "openvino" else "onnxruntime")
    rates, outputs = choose.run_child(name, _graphs.graph_of(bundle), frames, 0.1)
    assert len(rates) == 2 and min(rates) > 0
    assert gate(bundle, Eager(bundle).run, lambda _: choose.operated(bundle, outputs), [frames]).ok


def test_an_unknown_or_unfit_runtime_is_said(bundle, monkeypatch):
    with pytest.raises(OmmaError, match="ort"):
        choose.named("orrt", bundle)
    with pytest.raises(OmmaError, match="CPU only"):
        choose.named("ort", bundle, device="cuda")
    monkeypatch.setattr(choose, "_installed", lambda kind: False)
    with pytest.raises(OmmaError, match="pip install"):
        choose.named("ort", bundle)


def test_openvino_is_imported_without_its_messenger(monkeypatch):
    """Importing the package sends an event when `openvino_telemetry` can be imported."""
    from omma.runtimes import openvino

    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)
    monkeypatch.setattr(openvino.importlib, "import_module", lambda name: sys.modules.get("openvino_telemetry", "free to talk"))
    assert openvino._openvino() is None
    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)


def test_a_quantised_bundle_answers_with_its_own_graph_only(bundle, frames, tmp_path):
    import hashlib

    own = bundle_of(tta="flip")
    own.card["task"] = "classify"
    own.save(tmp_path / "b")
    blob = _graphs.graph_of(bundle).read_bytes()
    (tmp_path / "b" / "int8.onnx").write_bytes(blob)
    own.card["runtime"] = {"file": "int8.onnx", "sha256": hashlib.sha256(blob).hexdigest()}
    assert choose.fastest(own).name == "ort" and choose.ready(own)
    with pytest.raises(OmmaError, match="quantised"):
        choose.named("eager", own)
    (tmp_path / "b" / "int8.onnx").write_bytes(blob + b"x")
    with pytest.raises(BundleError, match="SHA-256"):
        choose.named("ort", own)
    for name in ("../int8.onnx", "/etc/passwd", ".hidden", "none.onnx"):
        own.card["runtime"]["file"] = name
        with pytest.raises(BundleError):
            choose.named("ort", own)


def test_a_graph_that_reads_other_files_is_refused(bundle, tmp_path):
    """Weights in another file could be any file of this machine."""
    import hashlib

    onnx = pytest.importorskip("onnx")
    model = onnx.load(_graphs.graph_of(bundle))
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, location="../../etc/passwd")
    tensor.ClearField("raw_data")
    own = bundle_of(tta="flip")
    own.save(tmp_path / "b")
    blob = model.SerializeToString()
    (tmp_path / "b" / "int8.onnx").write_bytes(blob)
    own.card["runtime"] = {"file": "int8.onnx", "sha256": hashlib.sha256(blob).hexdigest()}
    with pytest.raises(BundleError, match="another file"):
        choose.named("ort", own)


def test_the_memory_survives_nonsense(bundle, monkeypatch, tmp_path):
    monkeypatch.setenv("OMMA_HOME", str(tmp_path))
    for text in ("", "[]", "{", json.dumps({choose._place(bundle): "fast"}), json.dumps({choose._place(bundle): {"ort": 3}})):
        (tmp_path / "runtimes.json").write_text(text)
        assert choose.remembered(bundle) is None
    choose.remember(bundle, {"eager": 1.0, "ort": 2.0})
    assert choose.remembered(bundle) == {"eager": 1.0, "ort": 2.0}

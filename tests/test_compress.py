"""Copies: what a plan rebuilds, what 8 bits keep, what is refused, and who was allowed to see which picture."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from omma import bundle as bundles
from omma.answers.label import Label
from omma.bundle import Bundle
from omma.compressors import _judge as judge
from omma.compressors.compressor import Shop, copy_of
from omma.compressors.prune import Distil, thin, whole_plan
from omma.data.frames import Frames
from omma.data.sample import Dataset, Sample
from omma.data.views import Views
from omma.engine import machine as machines
from omma.engine.budget import Budget
from omma.errors import BundleError, NotMeaningful, OmmaError, Refused
from omma.models.cost import cost
from omma.models.making import build
from omma.parts.surgery import operate, plan_of
from omma.progress import Watch
from omma.recipe import Recipe
from omma.tasks.classify import Classify
from omma.tasks.task import Batch
from omma.verbs import compress as verb

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("torch_pruning")
SIZE, NAMES = 16, ["down", "flat", "up"]
WIDTHS = (16, 32)
VIEWS = Views(SIZE, 3, mean=(0.5,) * 3, std=(0.25,) * 3)


def pictures(count: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Noisy ramps that rise, fall or stay: easy, but not without looking."""
    draw = np.random.default_rng(seed)
    kinds = draw.integers(0, 3, count)
    ramp = (kinds - 1)[:, None, None, None] * np.linspace(-60, 60, SIZE)[None, :, None, None]
    pixels = 128 + ramp + draw.normal(0, 35, (count, SIZE, SIZE, 3))
    return pixels.clip(0, 255).astype(np.uint8), [NAMES[k] for k in kinds]


def dataset(count: int = 360) -> Dataset:
    pixels, labels = pictures(count)
    parts = ["train" if i % 3 == 0 else "val" if i % 3 == 1 else "test" for i in range(count)]
    samples = [
        Sample(f"{part}/{i:05d}", row=i, truth=Label(label), split=part) for i, (part, label) in enumerate(zip(parts, labels, strict=True))
    ]
    return Dataset(samples, NAMES, "classify", Path("ramps"), "packed", pixels, how_split="given")


def card() -> dict:
    recipe = Recipe(task="classify", model="quick", size=SIZE, channels=3, batch=32, optimizer="adamw", rate=3e-3)
    return {"task": "classify", "model": "quick", "model_settings": {"widths": list(WIDTHS), "depth": 2}, "recipe": recipe.json()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Bundle:
    """A small network that knows the ramps."""
    torch.manual_seed(0)
    data, task = dataset(), Classify(NAMES)
    net = build("quick", channels=3, size=SIZE, outputs=3, widths=WIDTHS)
    frames = torch.from_numpy(data.pixels[::3])
    truth = task.answer.tensors([s.truth for s in data.samples[::3]], NAMES)
    net.prepare(VIEWS.finish(frames))
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], 3e-3)
    for _ in range(25):
        optimizer.zero_grad()
        task.loss(net.train(), Batch(VIEWS.finish(frames), truth)).backward()
        optimizer.step()
    bundle = Bundle(task, {"net": net.eval()}, VIEWS, {"temperature": 1.0}, card())
    bundle.save(tmp_path_factory.mktemp("whole") / "bundle")
    return bundles.open(bundle.path)


@pytest.fixture
def shop(tmp_path) -> Shop:
    data = dataset()
    return Shop(data, Frames(data, VIEWS), machines.setup("cpu", threads=1), tmp_path, Budget("steps", 8))


def accuracy(shop: Shop, bundle: Bundle, runtime: str, split: str = "test") -> float:
    from omma.runtimes.choose import named

    said = judge.answers(bundle, shop.inferred(named(runtime, bundle), shop.places(split)))
    return float(np.mean([a.label == t.label for a, t in zip(said, shop.truths(shop.places(split)), strict=True)]))


def test_a_plan_rebuilds_the_pruned_network(trained):
    net = copy.deepcopy(trained.net)
    thin(net, 0.5, 3, SIZE)
    plan = whole_plan(trained, net)
    again = operate(build("quick", channels=3, size=SIZE, outputs=3, widths=WIDTHS), json.loads(json.dumps(plan)))
    again.load_state_dict(net.state_dict())
    x = torch.randn(4, 3, SIZE, SIZE)
    assert torch.equal(again.eval()(x), net.eval()(x))
    assert cost(net, 3, SIZE)["macs"] < 0.6 * cost(trained.net, 3, SIZE)["macs"]
    assert net.head.out_features == 3 and net.stem.out_channels == trained.net.stem.out_channels


def test_a_network_pruned_twice_is_rebuilt_from_its_name(trained):
    net = copy.deepcopy(trained.net)
    for _ in range(2):
        thin(net, 0.3, 3, SIZE)
    again = operate(build("quick", channels=3, size=SIZE, outputs=3, widths=WIDTHS), whole_plan(trained, net))
    again.load_state_dict(net.state_dict())


def test_frozen_layers_stay_frozen(trained):
    net = copy.deepcopy(trained.net)
    before = {name: p.requires_grad for name, p in net.named_parameters()}
    thin(net, 0.5, 3, SIZE)
    assert {name: p.requires_grad for name, p in net.named_parameters()} == before
    assert not all(before.values())


HOSTILE = [
    {"nowhere": [1, 1]}, {"head": [3]}, {"head": [3, 10**12]}, {"head": [0, 32]}, {"head": [-3, 32]}, {"head": "3"}, {"head": [3.0, 32]},
    {"groups": [1, 1]}, {"": [1, 1]}, {"head": [True, True]}, {"groups.0.norms.0": [8, 4]}, {"head": [4, 32]}, {"__class__": [1, 1]},
]  # fmt: skip


@pytest.mark.parametrize("plan", HOSTILE)
def test_a_hostile_plan_is_refused(trained, plan):
    with pytest.raises(ValueError, match="surgery"):
        operate(build("quick", channels=3, size=SIZE, outputs=3, widths=WIDTHS), plan)


def test_a_hostile_plan_in_a_bundle_is_a_bundle_error(trained, tmp_path):
    bad = copy_of(trained, trained.nets)
    bad.card["surgery"] = {"head": [3, 10**12]}
    bad.save(tmp_path / "bad")
    with pytest.raises(BundleError):
        bundles.open(tmp_path / "bad")


def test_what_no_plan_can_tell_is_noticed():
    whole, other = nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Sequential(nn.Conv2d(3, 4, 5))
    with pytest.raises(ValueError, match="cannot tell"):
        plan_of(whole, other)


def test_folding_changes_no_answer(tmp_path, trained):
    """Conv → pool → norm folds where the scale is positive, and stays where it is not."""
    import onnxruntime

    from omma.compressors._fold import fold
    from omma.runtimes._graphs import make

    def run(model):
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return session.run(None, {"frames": pictures(8, 5)[0]})[0]

    net = copy.deepcopy(trained.net)
    with torch.no_grad():
        net.groups[1].norms[0].weight[3] = -1.0  # a maximum may not change places with this one
    odd = Bundle(trained.task, {"net": net}, VIEWS, {}, card())
    for bundle, left in ((trained, 0), (odd, 1)):
        model = onnx.load(str(make(bundle, tmp_path / f"{left}.onnx")))
        before = run(model)
        folded = fold(model)
        onnx.checker.check_model(model)
        norms = sum(node.op_type == "BatchNormalization" for node in model.graph.node)
        assert norms == left and folded >= 1
        assert np.abs(run(model) - before).max() < 1e-4 * max(1, np.abs(before).max())


def test_int8_keeps_the_answers_and_is_read_with_its_own_graph(trained, shop, tmp_path):
    from omma.compressors.int8 import int8
    from omma.runtimes.choose import fastest, named

    copy = int8(shop, trained)
    assert accuracy(shop, trained, "eager") > 0.9
    assert abs(accuracy(shop, copy, "ort") - accuracy(shop, trained, "eager")) <= 0.03
    graph = onnx.load(str(copy.path / copy.card["runtime"]["file"])).graph
    kinds = {init.data_type for init in graph.initializer}
    assert onnx.TensorProto.INT8 in kinds
    folder = copy.save(tmp_path / "复制")
    again = bundles.open(folder)
    runtime = fastest(again)
    assert runtime.name == "ort"
    frames = pictures(32, 7)[0]
    assert np.array_equal(runtime.infer(frames)["logits"], named("ort", copy).infer(frames)["logits"])
    assert (folder / "weights.safetensors").stat().st_size < 0.6 * (trained.path / "weights.safetensors").stat().st_size
    with pytest.raises(OmmaError):
        named("eager", again)
    # The graph is part of what is signed.
    blob = bytearray((folder / "model.int8.onnx").read_bytes())
    blob[-20] ^= 1
    (folder / "model.int8.onnx").write_bytes(blob)
    with pytest.raises(BundleError):
        fastest(bundles.open(folder))


def test_a_quantised_copy_is_evaluated_by_its_own_graph(trained, shop, tmp_path):
    """Negative control: networks beside the graph that answer nonsense must not show in the score."""
    from omma.compressors.int8 import int8
    from omma.report.evaluation import evaluate_bundle

    made = int8(shop, trained)
    made.save(tmp_path / "int8")
    opened = bundles.open(tmp_path / "int8")
    with torch.no_grad():
        opened.net.head.weight.zero_()
    assert evaluate_bundle(opened, shop.dataset.part("test"), "test").scores["accuracy"].value > 0.85


def test_nobody_learns_from_validation_or_held_out_pictures(trained, shop, monkeypatch):
    """int8 calibrates, and fine-tuning trains, on the training part only."""
    from omma.compressors.int8 import int8
    from omma.compressors.prune import prune

    seen: set[int] = set()
    plain = Frames.get

    def watched(self, index, *rest):
        seen.update(index.tolist())
        return plain(self, index, *rest)

    monkeypatch.setattr(Frames, "get", watched)
    int8(shop, trained)
    assert seen and seen <= set(shop.places("train"))
    seen.clear()
    prune(shop, trained)
    assert seen & set(shop.places("train")) and not seen & set(shop.places("test"))


def test_fine_tuning_brings_a_pruned_network_back(trained, shop):
    from omma.compressors.prune import prune

    shop.share, shop.budget = 0.5, Budget("steps", 25)
    bare = copy.deepcopy(trained.net)
    thin(bare, 0.5, 3, SIZE)
    cut = copy_of(trained, {"net": bare.eval()})
    made = prune(shop, trained)
    assert made.card["surgery"] and accuracy(shop, made, "eager") >= max(0.85, accuracy(shop, cut, "eager"))
    made.save(shop.folder / "thin")
    x = torch.randn(3, 3, SIZE, SIZE)
    assert torch.allclose(bundles.open(shop.folder / "thin").net(x), made.net(x), atol=1e-6)


def test_distilling_pulls_towards_the_teacher():
    torch.manual_seed(0)
    teacher, net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    batch = Batch(torch.randn(64, 3, 2, 2), {"target": torch.eye(3)[torch.randint(3, (64,))]})
    teacher.gives = "row"
    task = Distil(Classify(NAMES), teacher)
    assert task.loss(teacher, batch)["distance"].item() == 0.0
    optimizer = torch.optim.Adam(net.parameters(), 0.05)
    first = task.loss(net, batch)["distance"].item()
    for _ in range(60):
        optimizer.zero_grad()
        sum(task.loss(net, batch).values()).backward()
        optimizer.step()
    assert task.loss(net, batch)["distance"].item() < 0.3 * first
    assert teacher[1].weight.grad is None


@pytest.fixture
def at_hand(trained, shop, monkeypatch):
    """The verb on this shop, its speeds told by `speed` (measuring takes minutes; the real thing is in `benchmarks`)."""
    monkeypatch.setattr(verb, "_shop", lambda *_: shop)
    told = {"whole": 100.0, "copy": 250.0}

    def speeds(shop, found):
        return {name: judge.Speed("ort", told["whole" if name == "whole" else "copy"], 1000.0) for name in found}

    monkeypatch.setattr(judge, "speeds", speeds)
    return SimpleNamespace(path=trained.path, told=told)


def test_compress_writes_a_bundle_that_keeps_its_promise(at_hand, tmp_path):
    out = tmp_path / "out"
    made = verb.compress(at_hand.path, data="ramps", max_drop=3.0, out=out, method="int8")
    row = json.loads(json.dumps(made.json()))
    assert row["method"] == "int8" and row["bundle"] == str(out)
    assert row["speed"]["ratio"] == pytest.approx(2.5**0.5, rel=1e-3)
    for part in ("validation", "test"):
        score = row[part]
        assert score["before"]["low"] <= score["before"]["value"] <= score["before"]["high"] and score["after"]["n"] == 120
        assert score["drop"] == pytest.approx(100 * (score["before"]["value"] - score["after"]["value"]), abs=1e-3)
        assert score["drop"] <= 3.0
    opened = bundles.open(out)
    assert opened.card["scores"]["split"] == "test" and opened.card["parent"]["sha256"] == bundles.open(at_hand.path).digest
    assert opened.point != {"temperature": 1.0}  # fitted again
    assert all("\n" not in line for line in made.lines())
    with pytest.raises(NotMeaningful):
        verb.compress(out, data="ramps", out=tmp_path / "twice")


def test_a_copy_that_is_not_faster_is_refused_with_the_numbers(at_hand, tmp_path):
    at_hand.told["copy"] = 99.0
    with pytest.raises(Refused, match="1000"):
        verb.compress(at_hand.path, data="ramps", max_drop=50, out=tmp_path / "out", method="int8")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_copy_that_loses_too_much_is_refused(at_hand, tmp_path, monkeypatch, split):
    """A defect is planted into the copy's answers, on the part that chooses or on the part that is kept for the end."""
    plain = Shop.inferred

    def spoiled(self, runtime, places):
        tensors = plain(self, runtime, places)
        if runtime.bundle.card.get("runtime") and places == self.places(split):
            tensors["logits"][::4] = tensors["logits"][::4].roll(1, 1)
        return tensors

    monkeypatch.setattr(Shop, "inferred", spoiled)
    with pytest.raises(Refused):
        verb.compress(at_hand.path, data="ramps", max_drop=3.0, out=tmp_path / "out", method="int8")
    assert not (tmp_path / "out").exists()


def test_odd_wishes_are_one_clear_line(at_hand, tmp_path):
    for words in ({"method": "int9"}, {"max_drop": -1.0}, {"budget": "soon"}):
        with pytest.raises(OmmaError):
            verb.compress(at_hand.path, data="ramps", out=tmp_path / "out", **words)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    with pytest.raises(OmmaError):
        verb.compress(at_hand.path, data="ramps", out=tmp_path / "full")


def test_points_are_of_a_share_or_percent():
    share = SimpleNamespace(better="higher", scale="share")
    distance = SimpleNamespace(better="lower", scale="positive")
    assert judge.points_lost(share, 0.95, 0.94) == pytest.approx(1.0)
    assert judge.points_lost(distance, 2.0, 2.1) == pytest.approx(5.0)
    assert judge.points_lost(distance, 2.0, 1.9) == pytest.approx(-5.0)


def test_a_network_without_channels_to_spare_says_so(shop):
    from omma.compressors.prune import prune

    net = build("quick", channels=3, size=SIZE, outputs=3, widths=(8, 8))
    small = Bundle(Classify(NAMES), {"net": net}, VIEWS, {}, card() | {"model_settings": {"widths": [8, 8], "depth": 2}})
    with pytest.raises(NotMeaningful):
        prune(shop, small)


def test_the_watch_is_told(shop, trained):
    from omma.compressors.prune import prune

    lines: list[str] = []

    class Ear(Watch):
        def step(self, what, done, total=None, **facts):
            lines.append(what)

    shop.watch = Ear()
    prune(shop, trained)
    assert lines


def test_fine_tuning_fits_into_minutes_too(trained, shop):
    from omma.compressors.prune import prune

    shop.budget = Budget("seconds", 1.0)
    assert prune(shop, trained).card["surgery"]


def test_the_card_of_a_copy_is_read_by_people():
    from omma.verbs.show import _parent

    speed = {"before": {"runtime": "ort", "one": 304.0, "many": 166.2}, "after": {"runtime": "ort", "one": 874.8, "many": 1006.8}}
    held = {"metric": "accuracy", "before": {"value": 0.75}, "after": {"value": 0.7467}}
    told = _parent({"method": "int8", "sha256": "ab" * 32, "speed": speed, "validation": held, "test": None})
    assert "validation accuracy 0.7500 → 0.7467" in told and "304 → 875" in told and "166 → 1,007" in told and "{" not in told
    assert "strange" in _parent({"method": "strange"})  # of another hand

"""`evaluate`: the right part, the right numbers, and a clear word where something does not fit."""

from __future__ import annotations

import csv
import hashlib
import shutil

import numpy as np
import pytest
import torch

from omma import bundle as bundles
from omma.answers.boxes import Boxes
from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.answers.numbers import Numbers
from omma.bundle import Bundle, versions
from omma.data.sample import Dataset, Sample
from omma.data.views import Views
from omma.engine.predicting import answered, answers
from omma.errors import DataError, OmmaError
from omma.formats import voc
from omma.formats.format import open_data
from omma.models.making import build, settings_of
from omma.recipe import Recipe
from omma.report.evaluation import evaluate_bundle
from omma.tasks.detect import Detect
from omma.tasks.multilabel import Multilabel
from omma.tasks.regress import Regress
from omma.verbs.evaluate import evaluate
from trained import COLOURS, learn, packed, parts, picture, write_photos, write_run


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("评估")


@pytest.fixture(scope="module")
def photos(home):
    return write_photos(home / "照片", lies=True)


@pytest.fixture(scope="module")
def run(home, photos):
    write_run(home / "run", parts(open_data(str(photos))), str(photos))
    return home / "run"


@pytest.fixture(scope="module")
def whole(run, photos):
    return evaluate(str(run), str(photos))


def test_its_own_data_means_the_part_its_run_held_out(run, photos, whole):
    assert whole.split == "test" and len(whole.samples) == 9
    assert {sample.id for sample in whole.samples} == {s.id for s in parts(open_data(str(photos))).part("test").samples}
    assert evaluate(str(run)).json() == whole.json() | {"data": str(photos)}


def test_the_numbers_are_those_of_the_answers(run, photos, whole):
    """By hand: every picture of the test part through the pipeline, one by one."""
    model = bundles.open(run)
    right = []
    for sample in whole.samples:
        one = model.pipeline()(torch.from_numpy(model.views.frame(np.asarray(_open(sample.path)))[None]))
        right.append(model.names[int(one["label"])] == sample.truth.label)
    assert whole.scores["accuracy"].value == pytest.approx(np.mean(right), abs=1e-9)
    assert whole.scores["accuracy"].value > 0.5


def _open(path):
    from PIL import Image

    return Image.open(path).convert("RGB")


def test_json_is_what_scripts_were_promised(whole):
    row = whole.json()
    assert row["split"] == "test" and row["n"] == 9
    for key in ("accuracy", "balanced_accuracy", "f1_macro", "f1_micro", "f1_weighted", "roc_auc", "average_precision", "log_loss", "ece"):
        assert set(row[key]) == {"value", "low", "high", "n"}
        assert row[key]["low"] <= row[key]["value"] <= row[key]["high"], key
    assert set(row["classes"]) == set(COLOURS) and set(row["classes"]["green"]) >= {"precision", "recall", "f1"}
    assert np.sum(row["confusion"]["counts"]) == 9
    assert {sample["show"] for sample in row["pictures"]} == {"confused", "wrong", "unsure"}


def test_lines_are_read_by_people(whole, monkeypatch):
    assert any(line.strip().startswith("Accuracy ") and "%" in line for line in whole.lines())
    monkeypatch.setenv("OMMA_LANG", "zh")
    assert any("准确率" in line for line in whole.lines())


def test_nothing_of_the_model_is_changed(run, photos):
    def digest():
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (run / "bundle").iterdir()}

    before = digest()
    evaluate(str(run), str(photos), split="val")
    assert digest() == before


@pytest.mark.parametrize(("split", "count"), [("val", 6), ("train", 21), ("all", 36)])
def test_a_named_part(run, photos, split, count):
    found = evaluate(str(run), str(photos), split=split)
    assert len(found.samples) == count
    assert found.notes, "a part the model has used says so"


def test_other_data_is_scored_whole_or_by_its_test_part(run, home):
    other = write_photos(home / "other", 3)
    assert (found := evaluate(str(run), str(other))).split == "all" and len(found.samples) == 9 and not found.notes
    split = home / "split"
    shutil.copytree(other, split / "test")
    shutil.copytree(other, split / "train")
    assert (found := evaluate(str(run), str(split))).split == "test" and len(found.samples) == 9
    with pytest.raises(DataError, match=r"val.*test"):
        evaluate(str(run), str(split), split="val")


def test_changed_data_is_other_data(run, photos, home):
    """Negative control: the run's parts may not be laid over data that only looks like its own."""
    changed = home / "changed"
    shutil.copytree(photos, changed)
    first = sorted((changed / "green").iterdir())[0]
    first.write_bytes(first.read_bytes() + b"tail")
    assert evaluate(str(run), str(changed)).split == "all"


@pytest.fixture
def boxed(home, tmp_path):
    """(run folder, VOC folder) of boxes; one picture has no annotation, so the run's split does not name it."""
    draw, folder = np.random.default_rng(0), tmp_path / "boxes"
    samples = [Sample(f"p{i:02d}", None, i, Boxes(48, 48, ["a"], np.array([[4.0, 4, 20 + i % 9, 28]]))) for i in range(16)]
    pictures = [draw.integers(0, 256, (48, 48, 3), dtype=np.uint8) for _ in samples]
    voc.write(Dataset(samples, ["a"], "detect", folder, "npz", pictures), folder)
    sorted((folder / "Annotations").glob("*.xml"))[3].unlink()
    dataset = parts(open_data(str(folder)).labelled())
    assert len(dataset) == 15
    task, views = Detect(dataset.names), Views(48, 3, "squash", (0.5,) * 3, (0.25,) * 3)
    net = build("anchor-free-small", channels=3, size=48, outputs=task.outputs, width=8)
    settings = settings_of("anchor-free-small") | {"width": 8}
    card = {"model": "anchor-free-small", "model_settings": settings, "recipe": Recipe().put("plan", task="detect").json()}
    card["data"] = {"where": str(folder), "format": "voc", "digest": dataset.digest()}
    Bundle(task, dict(task.nets(net)), views, {}, card | {"versions": versions(), "created": ""}).save(tmp_path / "run" / "bundle")
    with (tmp_path / "run" / "split.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "split", "group"], *([s.id, s.split, ""] for s in dataset.samples)])
    return tmp_path / "run", folder


def test_a_picture_nobody_labelled_does_not_make_other_data_of_its_own(boxed):
    found = evaluate(str(boxed[0]))
    assert found.split == "test" and len(found.samples) == 4 and not any("split" in note for note in found.notes)
    assert len(evaluate(str(boxed[0]), split="train").samples) == 8


def test_own_data_that_has_changed_says_what_differs(boxed):
    run, folder = boxed
    gone = sorted((folder / "Annotations").glob("*.xml"))[0]
    text = gone.read_text("utf-8")
    gone.unlink()
    found = evaluate(str(run), str(folder) + "/")
    assert found.split == "all" and len(found.samples) == 14
    assert any(gone.stem in note and "learned from" in note for note in found.notes)
    with pytest.raises(DataError, match=gone.stem):
        evaluate(str(run), split="test")
    gone.write_text(text.replace("<xmin>5<", "<xmin>6<"), "utf-8")
    assert any("labels" in note and "learned from" in note for note in evaluate(str(run)).notes)
    shutil.copytree(folder, folder.with_name("other"))
    assert not any("learned from" in note for note in evaluate(str(run), str(folder.with_name("other"))).notes)


def test_a_bundle_apart_from_its_run_cannot_tell_what_it_learned_from(run, photos, home):
    shutil.copytree(run / "bundle", home / "apart" / "bundle")
    found = evaluate(str(home / "apart" / "bundle"))
    assert found.split == "all" and any("split.csv" in note for note in found.notes)


def test_names_that_do_not_match_are_refused_by_name(run, home):
    wrong = write_photos(home / "wrong", 2, names={"<script>alert(1)<": (200, 0, 0), "grün": (0, 200, 0), "蓝色": (0, 0, 200)})
    with pytest.raises(DataError, match=r"grün.*green"):
        evaluate(str(run), str(wrong))


def test_a_class_that_is_not_there_is_said(run, home):
    fewer = write_photos(home / "fewer", 2, names={name: COLOURS[name] for name in ("green", "蓝色")})
    found = evaluate(str(run), str(fewer))
    assert len(found.samples) == 4 and "<script>" in found.notes[0]


def test_an_unreadable_picture_is_named_and_not_scored(run, home):
    broken = write_photos(home / "broken", 3)
    (broken / "green" / "001.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    found = evaluate(str(run), str(broken))
    assert found.json()["n"] == 8
    assert [row["path"].endswith("001.png") for row in found.json()["refused"]] == [True]
    assert "001.png" in "\n".join(found.lines())


def test_pictures_without_labels_are_no_test(run, home):
    flat = home / "flat"
    write_photos(home / "some", 2)
    shutil.copytree(home / "some" / "green", flat)
    with pytest.raises(OmmaError):
        evaluate(str(run), str(flat))


def test_an_unknown_part_is_a_word_to_correct(run):
    with pytest.raises(OmmaError, match="test"):
        evaluate(str(run), split="tset")


def test_compare_finds_the_better_model_and_no_difference_where_there_is_none(run, photos, home):
    model = bundles.open(run)
    torch.nn.init.zeros_(model.net.head.weight)
    model.save(home / "dull" / "bundle")
    found = evaluate(str(run), str(photos), split="all", compare=str(home / "dull"))
    row = found.json()["compare"]
    assert row["verdict"] == "better" and row["difference"]["low"] > 0 and row["p"] < 0.05
    assert row["this"]["value"] - row["that"]["value"] == pytest.approx(row["difference"]["value"])
    assert any("better than" in line for line in found.lines())
    same = evaluate(str(run), str(photos), compare=str(run))
    assert same.compared.verdict.word == "cannot tell"


def test_compare_refuses_a_model_of_other_classes(run, photos, home):
    other = bundles.open(run)
    other.task.names[1] = "gras"
    other.save(home / "gras" / "bundle")
    with pytest.raises(DataError, match=r"gras.*green"):
        evaluate(str(run), str(photos), compare=str(home / "gras"))


def test_groups_are_drawn_together_and_shown(run, photos):
    model, dataset = bundles.open(run), open_data(str(photos))
    for place, sample in enumerate(dataset.samples):
        sample.group = "left" if place % 3 else "right"
    found = evaluate_bundle(model, dataset, "all")
    assert found.groups == 2 and set(found.subgroups) == {"left", "right"}
    assert {s.n for s in found.subgroups.values()} == {12, 24}
    alone = evaluate_bundle(model, open_data(str(photos)), "all")
    assert alone.groups is None and alone.scores["accuracy"].low > found.scores["accuracy"].low


def test_several_labels_and_numbers_go_the_same_way():
    rng = np.random.default_rng(0)
    colours = list(COLOURS.values())
    shown = [[c for c in range(3) if rng.random() < 0.5] for _ in range(40)]
    pictures = [picture(np.sum([np.array(colours[c]) for c in cs], 0) / 2 if cs else (0, 0, 0), rng, 15.0) for cs in shown]
    names = ["a", "b", "c"]
    data = packed([Labels(tuple(names[c] for c in cs)) for cs in shown], names, "multilabel", pictures)
    found = evaluate_bundle(learn(Multilabel(names), data), data, "all").json()
    assert found["average_precision"]["value"] > 0.8 and found["confusion"] is None and set(found["classes"]) == set(names)
    data = packed(
        [Numbers({"bright": float(p.mean()), "red": float(p[..., 0].mean())}) for p in pictures], ["bright", "red"], "regress", pictures
    )
    task = Regress(["bright", "red"], centre=[80.0, 80.0], width=[40.0, 40.0])
    found = evaluate_bundle(learn(task, data, 150), data, "all")
    row = found.json()
    assert row["r2"]["value"] > 0.5 and set(row["numbers"]["red"]) == {"r2", "mae", "mse"}
    assert {figure["kind"] for figure in found.figures} == {"scatter"}
    short = packed([Numbers({"bright": 1.0})], ["bright"], "regress", pictures[:1])
    with pytest.raises(DataError, match="red"):
        evaluate_bundle(learn(task, data, 1), short, "all")


def test_truths_of_another_kind_are_refused_but_one_label_is_a_set(run, photos):
    pictures = [np.zeros((8, 8, 3), np.uint8)] * 2
    numbers = packed([Numbers({"green": 1.0})] * 2, ["green"], "regress", pictures)
    with pytest.raises(DataError, match="numbers"):
        evaluate_bundle(bundles.open(run), numbers, "all")
    task = Multilabel(["a", "b"])
    single = packed([Label("a"), Label("b")], ["a", "b"], "classify", pictures)
    several = packed([Labels(("a",)), Labels(("b",))], ["a", "b"], "multilabel", pictures)
    model = learn(task, several, 1)
    assert evaluate_bundle(model, single, "all").scores == evaluate_bundle(model, several, "all").scores


def test_answers_come_in_order_at_any_batch_and_carry_the_operating_point(run, photos):
    model, dataset = bundles.open(run), open_data(str(photos))
    some, refused = answers(model, dataset, batch=7)
    other, _ = answers(model.pipeline(), dataset, batch=64)
    assert not refused and len(some) == len(dataset) and all(a.same(b, 1e-5) for a, b in zip(some, other, strict=True))
    model.point["threshold"] = 1.01
    assert all(answer.unsure for answer in answers(model, dataset)[0])
    assert answered(model, dataset.choose([])).answers == []


@pytest.mark.parametrize("device", ["cuda:77", "gpu", "tpu:0"])
@pytest.mark.parametrize("verb", ["evaluate", "explain", "predict", "export", "serve"])
def test_a_device_that_is_not_here_is_one_line(run, photos, verb, device, tmp_path):
    """Not a fault of ours with PyTorch's own words, whichever verb is asked."""
    import omma

    words = {"evaluate": [photos], "serve": [], "export": []}.get(verb, [next(photos.rglob("*.png"))])
    flags = {"explain": {"out": tmp_path / "o.png"}, "export": {"data": photos, "out": tmp_path / "o.onnx"}, "serve": {"port": 0}}
    with pytest.raises(OmmaError) as told:
        getattr(omma, verb)(str(run), *map(str, words), device=device, **flags.get(verb, {}))
    assert told.value.code == 2 and not list(tmp_path.iterdir())

"""The gallery: every network is listed with its paper, counts are the paper's or say why not, and `show` and `models` tell it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import omma
from omma import catalog, cli
from omma.models.gallery import agrees, everything, families, family
from omma.models.making import build
from omma.verbs.models import models
from omma.words import LANGUAGES, room

LIGHT = ["lenet", "cifar-resnet", "rcnn", "shufflenet-v1", "vit-lite", "se-resnet", "convlstm", "stn"]


def shown(name: str) -> dict:
    return json.loads(json.dumps(omma.show(name).json(), allow_nan=False))


def test_every_network_of_ours_is_listed():
    missing = [name for name in catalog.names("models") if family(name) is None and name not in catalog.plugged("models")]
    assert not missing, missing


def test_what_is_listed_exists():
    for one in families():
        if one.ours:
            mine = {name for name in one.names if "/" not in name}
            assert mine <= set(catalog.names("models")), one.key
        assert one.source.startswith("https://") and 1950 < one.year < 2027 and len(one.input) == 3 and one.input[1] == one.input[2]
        assert set(one.tasks) <= set(catalog.names("tasks")) and one.tasks


@pytest.mark.parametrize("tongue", LANGUAGES)
def test_every_family_says_what_it_brought(tongue):
    told = room(tongue, "gallery")
    assert {key.partition(".")[2] for key in told if key.startswith("brought.")} == {one.key for one in families()}


def test_the_longest_pattern_is_meant():
    assert family("timm/vit_base_patch16_224").key == "vit" and family("timm/vit_tiny_patch16_224").key == "deit"
    assert family("torchvision/efficientnet_v2_s").key == "efficientnet-v2" and family("torchvision/efficientnet_b0").key == "efficientnet"
    assert family("nobody/knows") is None


@pytest.mark.parametrize(
    ("figure", "count", "same"),
    [
        ("60,000", 60_000, True), ("60,000", 60_001, False), ("0.27M", 269_722, True), ("0.27M", 275_100, False), 
        ("138M", 138_357_544, True),        ("<25M", 23_834_568, True), ("<25M", 25_000_001, False), ("1.8G", 1_814_073_344, True), 
        ("400k", 399_700, True),
    ],
)  # fmt: skip
def test_figures_are_compared_as_the_paper_rounds(figure, count, same):
    assert agrees(figure, count) is same


def test_no_figure_is_no_figure():
    with pytest.raises(ValueError, match="about"):
        agrees("about 3", 3)


def check_counts(key: str) -> None:
    """Every figure of a family is met, or a sentence says why not; and no sentence stands where it is met."""
    one = next(f for f in families() if f.key == key)
    excused = {name.removeprefix("why.") for name in room("en", "gallery") if name.startswith("why.")}
    for name in sorted(one.parameters.keys() | one.macs.keys()):
        facts = shown(name)
        met = [
            agrees(figures[name], facts[what]) for what, figures in (("parameters", one.parameters), ("macs", one.macs)) if name in figures
        ]
        assert all(met) or name in excused, (name, facts["published"], facts["parameters"], facts["macs"])
        assert not (all(met) and name in excused), f"{name} is as published: no excuse is wanted"


@pytest.mark.parametrize("key", LIGHT)
def test_counts_are_the_papers(key):
    check_counts(key)


@pytest.mark.slow
@pytest.mark.parametrize("key", [one.key for one in families() if (one.parameters or one.macs) and one.key not in LIGHT])
def test_counts_of_the_others_are_the_papers(key):
    if any(name.startswith("timm/") for one in families() if one.key == key for name in one.parameters):
        pytest.importorskip("timm")
    check_counts(key)


def test_every_excuse_is_for_a_figure():
    figures = {name for one in families() for name in (*one.parameters, *one.macs)}
    assert {key.removeprefix("why.") for key in room("en", "gallery") if key.startswith("why.")} <= figures


@pytest.mark.parametrize(("name", "weights", "input"), [("lenet", 60_000, [1, 32, 32]), ("resnet20", 269_722, [3, 32, 32])])
def test_show_tells_scripts(name, weights, input):
    facts = shown(name)
    assert {"name", "paper", "year", "source", "parameters", "macs", "input"} <= facts.keys()
    assert facts["name"] == name and facts["parameters"] == weights and facts["input"] == input and facts["macs"] > 100_000
    assert facts["memory"]["weights"] == 4 * weights and facts["memory"]["maps"] > 4 * input[1] ** 2


def test_show_counts_with_the_published_head():
    facts = shown("torchvision/alexnet")
    assert facts["parameters"] == 61_100_840 and facts["outputs"] == 1000 and facts["input"] == [3, 224, 224] and facts["year"] == 2012
    assert facts["macs"] == 714_188_480


def test_timm_says_its_own_size():
    pytest.importorskip("timm")
    assert shown("timm/resnet18")["parameters"] == 11_689_512


def test_models_lists_them_all(capsys):
    assert cli.run(["models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["models"]
    names = [row["name"] for row in rows]
    assert set(catalog.names("models")) < set(names) and "torchvision/vgg16" in names and len(names) == len(set(names)) > 150
    assert names == everything()
    assert {"name", "tasks", "paper", "year", "source"} <= rows[0].keys()


def test_models_of_a_task(capsys):
    assert cli.run(["models", "--task", "generate"]) == 0
    out = capsys.readouterr().out
    assert "dcgan" in out and "resnet20" not in out and "2016" in out
    assert cli.run(["models", "--task", "generates"]) == 2
    assert "generate" in capsys.readouterr().err
    names = {row["name"] for row in models(task="segment").json()["models"]}
    assert {"unet", "torchvision/fcn_resnet50"} <= names and "lenet" not in names and "torchvision/ssd300_vgg16" not in names


@pytest.mark.slow
def test_tasks_are_what_the_networks_give():
    """What the list says a network can learn is what it gives."""
    reads = {task: catalog.find("tasks", task).reads for task in catalog.names("tasks")}
    for name in catalog.names("models"):
        one = family(name)
        if one is None:
            continue
        with torch.device("meta"):
            net = build(name, channels=one.input[0], size=one.input[1], outputs=one.outputs, **one.settings)
        assert {reads[task] for task in one.tasks} == {net.gives}, name


COUNTS = Path(__file__).parents[1] / "docs" / "gallery.json"
BOARD = Path(__file__).parents[1] / "docs" / "leaderboard.json"
SCRIPTS, BENCHMARKS = (str(Path(__file__).parents[1] / room) for room in ("scripts", "benchmarks"))


def test_the_page_counts_every_family():
    rows = json.loads(COUNTS.read_text("utf-8"))
    assert {key: row["name"] for key, row in rows.items()} == {one.key: one.example for one in families()}


@pytest.mark.parametrize("key", ["lenet", "cifar-resnet", "convlstm"])
def test_what_the_page_counts_is_true(key, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from count_networks import counted

    row = json.loads(COUNTS.read_text("utf-8"))[key]
    assert {"name": row["name"], **json.loads(json.dumps(counted(row["name"])))} == row


@pytest.mark.slow
@pytest.mark.parametrize("key", [one.key for one in families()])
def test_all_that_the_page_counts_is_true(key, monkeypatch):
    row = json.loads(COUNTS.read_text("utf-8"))[key]
    facts = shown(row["name"])
    assert (facts["parameters"], facts["macs"]) == (row["parameters"], row["macs"])


def test_every_family_of_classifiers_has_a_row_on_the_leaderboard_above_chance():
    rows = json.loads(BOARD.read_text("utf-8"))["scores"]
    assert {one.key for one in families() if one.tasks[0] == "classify"} == {family(name).key for name in rows}
    assert {name: row for name, row in rows.items() if not 0.11 < row["low"] < row["accuracy"] < row["high"] < 1} == {}


@pytest.mark.parametrize("name", ["lenet", "resnet20", "torchvision/squeezenet1_1"])
def test_what_the_leaderboard_says_of_cost_is_true(name, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from leaderboard import FAMILIES, cost

    row = json.loads(BOARD.read_text("utf-8"))["scores"][name]
    assert cost(name, FAMILIES[name]) == {key: row[key] for key in ("parameters", "macs")}


def test_names_in_the_picture_of_the_leaderboard_lie_over_no_name_and_no_point(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from leaderboard import BESIDE, apart

    wide = 6.3 * len("a name of some length")
    wanted = [(100.0 + 7 * place, 50.0 + place % 3, "a name of some length") for place in range(12)]
    heights = apart(wanted)
    taken = sorted(zip(heights, (x for x, _, _ in wanted), strict=True))
    assert [(a, b) for a in taken for b in taken if a < b and abs(a[0] - b[0]) < 13 and abs(a[1] - b[1]) < wide] == []
    points = [(y, x - BESIDE) for x, y, _ in wanted]
    assert [(a, b) for a in taken for b in points if abs(a[0] - b[0]) < 13 and a[1] <= b[1] <= a[1] + wide] == []
    assert apart([(100.0, 50.0, "alone")]) == [50.0]


def test_a_drawing_has_a_box_for_every_shape(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from write_docs import drawing

    svg = drawing([[3, 32, 32], [16, 32, 32], [64, 8, 8]])
    assert svg.count("<rect") == 3 and ">64<" in svg and ">8²<" in svg and svg.startswith("<svg")

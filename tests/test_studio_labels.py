"""Labels drawn by hand: what strokes add up to, that the file says what the screen showed, and the model's proposals."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.answers.mask import Mask
from omma.errors import OmmaError
from omma.formats.format import open_data
from omma.studio import keeper, labels
from omma.studio.pages import label as page
from test_studio import Running


@pytest.fixture
def world(tmp_path):
    """A studio about five unlabelled pictures of 120 × 90 pixels."""
    folder = tmp_path / "plain 图"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(5):
        Image.fromarray(rng.integers(0, 255, (90, 120, 3), np.uint8)).save(folder / f"{i}.png")
    running = Running(tmp_path / "home", tmp_path)
    running.id = running.post("/api/projects", data=str(folder))["id"]
    yield running
    running.close()


def kind(world, name):
    return world.post(f"/api/p/{world.id}/labels/kind", kind=name)


def stroke(world, place, **body):
    return world.post(f"/api/p/{world.id}/label/{place}", stroke=body)


def saved(world, format):
    path = world.post(f"/api/p/{world.id}/labels/save", format=format)["path"]
    return {sample.id.rsplit("/")[-1]: sample.truth for sample in open_data(path).samples}, path


def test_tags_become_a_table_that_trains(world):
    assert kind(world, "label")["tools"] == ["tag"]
    for place, name in enumerate(["cat", "dog", "cat"]):
        state = stroke(world, place, do="tag", names=[name])
        assert state["tags"] == [name]
    about = world.get(f"/api/p/{world.id}/labels")
    assert about["classes"] == ["cat", "dog"] and about["count"] == 3 and "csv" in about["formats"]
    found, _ = saved(world, "csv")
    assert {name: truth.label for name, truth in found.items()} == {"0.png": "cat", "1.png": "dog", "2.png": "cat"}
    where = page.for_training(SimpleNamespace(studio=world.studio, project=world.id))
    dataset = open_data(where)
    assert dataset.task == "classify" and len(dataset) == 3 and all(sample.path.is_file() for sample in dataset.samples)
    assert page.for_training(SimpleNamespace(studio=world.studio, project=world.id)) == where, "the same labels are written once"
    stroke(world, 3, do="tag", names=["dog"])
    assert page.for_training(SimpleNamespace(studio=world.studio, project=world.id)) != where


def test_several_tags_and_none_of_them(world):
    kind(world, "labels")
    stroke(world, 0, do="tag", names=["a", "b"])
    stroke(world, 1, do="tag", names=[])
    dataset = page.labelled(SimpleNamespace(studio=world.studio, project=world.id))
    truths = [sample.truth for sample in dataset.samples]
    assert isinstance(truths[0], Labels) and truths[0].labels == ("a", "b") and truths[1].labels == () and truths[2] is None


def test_boxes_go_to_coco_and_back(world):
    kind(world, "boxes")
    first = stroke(world, 0, do="add", label="cell", box=[80.25, 60.5, 10.5, 20.25])["things"][0]
    assert first["box"] == [10.5, 20.25, 80.25, 60.5], "corners in order"
    second = stroke(world, 0, do="add", label="cell", box=[-5, -5, 500, 50])["things"][1]
    assert second["box"] == [0, 0, 120, 50], "within the picture"
    stroke(world, 0, do="set", of=first["key"], label="nucleus")
    stroke(world, 0, do="set", of=first["key"], box=[11, 21, 81, 61])
    stroke(world, 0, do="drop", of=second["key"])
    stroke(world, 1, do="add", label="cell", box=[1, 2, 3, 4])
    world.post(f"/api/p/{world.id}/label/1/undo")
    found, _ = saved(world, "coco")
    assert list(found["0.png"].labels) == ["nucleus"] and np.allclose(found["0.png"].boxes, [[11, 21, 81, 61]])
    assert "1.png" not in found or found["1.png"] is None, "what was undone is not there"


def test_a_label_of_the_dataset_is_what_one_begins_with(world, tmp_path):
    kind(world, "boxes")
    stroke(world, 0, do="add", label="cell", box=[10, 20, 30, 40])
    stroke(world, 0, do="add", label="cell", box=[50, 20, 70, 40])
    _, path = saved(world, "coco")
    world.id = world.post("/api/projects", data=path)["id"]
    state = world.get(f"/api/p/{world.id}/label/0")
    assert state["kind"] == "boxes" and [thing["key"] for thing in state["things"]] == ["t0", "t1"]
    state = stroke(world, 0, do="drop", of="t0")
    assert [thing["box"] for thing in state["things"]] == [[50, 20, 70, 40]]
    state = stroke(world, 0, do="set", of="t1", box=[51, 20, 70, 40])
    assert state["things"][0]["box"][0] == 51
    assert world.post(f"/api/p/{world.id}/label/0/undo")["things"][0]["box"][0] == 50
    assert world.post(f"/api/p/{world.id}/label/0/undo")["redo"]
    assert len(world.post(f"/api/p/{world.id}/label/0/undo")["things"]) == 2, "nothing more to undo: the dataset's own stays"


def test_outlines_and_a_brush_go_to_coco_pixel_by_pixel(world):
    kind(world, "instances")
    stroke(world, 0, do="add", label="cell", points=[[10, 10], [50, 10], [50, 40], [10, 40]])
    state = stroke(world, 0, do="brush", label="dot", points=[[90, 50]], width=20)
    dot = state["things"][1]["key"]
    stroke(world, 0, do="brush", label="dot", points=[[90, 50], [105, 50]], width=20, on=dot)
    stroke(world, 0, do="brush", points=[[10, 25], [60, 25]], width=4, erase=True)
    found, _ = saved(world, "coco")
    truth = found["0.png"]
    assert isinstance(truth, Instances) and list(truth.labels) == ["cell", "dot"]
    cell, dots = truth.masks()
    expected = np.zeros((90, 120), bool)
    expected[10:40, 10:50] = True
    expected[23:27, :50] = False
    assert (cell == expected).all()
    ys, xs = np.mgrid[:90, :120] + 0.5
    away = np.hypot(xs - np.clip(xs, 90, 105), ys - 50)
    assert (dots == (away <= 10)).all(), "every pixel whose centre the brush covers, and no other"


def test_pixels_have_classes(world):
    kind(world, "mask")
    stroke(world, 0, do="brush", label="road", points=[[0, 80], [120, 80]], width=20)
    stroke(world, 0, do="add", label="sky", points=[[0, 0], [120, 0], [120, 30], [0, 30]])
    stroke(world, 0, do="brush", points=[[60, 15]], width=10, erase=True)
    found, _ = saved(world, "masks")
    truth = next(iter(found.values()))
    assert isinstance(truth, Mask)
    names = list(truth.classes)
    pixels = truth.pixels
    assert (pixels[72:88] == names.index("road")).all() and pixels[10, 5] == names.index("sky") and names[pixels[15, 60]] == labels.GROUND
    rings = world.get(f"/api/p/{world.id}/label/0")["things"]
    assert {thing["label"] for thing in rings} == {"road", "sky"} and len(rings[-1]["rings"]) == 2, "the hole is a ring of its own"


def test_what_the_screen_shows_is_what_the_file_says():
    """Rings drawn with the even-odd rule are the mask, holes and all."""
    from PIL import ImageDraw

    mask = np.zeros((40, 40), bool)
    mask[5:30, 5:30] = True
    mask[10:20, 10:20] = False
    mask[32:36, 2:9] = True
    drawn = np.zeros((40, 40), bool)
    for ring in labels.rings(mask):
        sheet = Image.new("1", (40, 40))
        ImageDraw.Draw(sheet).polygon([(x - 0.5, y - 0.5) for x, y in ring], fill=1)
        drawn ^= np.asarray(sheet)
    assert (drawn != mask).sum() <= 2 * 120, "rings lie on the borders of pixels"
    assert all(float(value).is_integer() for ring in labels.rings(mask) for point in ring for value in point)


@pytest.mark.parametrize(
    "body",
    [None, [], {}, {"do": "fly"}, {"do": "tag", "names": ["a"]}, {"do": "add", "label": "a", "box": [0, 0, 1]},
     {"do": "add", "label": "", "box": [0, 0, 1, 1]}, {"do": "add", "label": "a", "box": [0, 0, float("inf"), 1]},
     {"do": "add", "label": "a", "box": [0, 0, "x", 1]}, {"do": "add", "label": "a" * 300, "box": [0, 0, 1, 1]},
     {"do": "add", "label": ["a"], "box": [0, 0, 1, 1]}, {"do": "brush", "label": "a", "points": [[0, 0]], "width": 5},
     {"do": "set", "of": "1", "box": [1]}],
)  # fmt: skip
def test_what_is_no_stroke_is_refused(body):
    with pytest.raises(OmmaError):
        labels.sound(body, "boxes")


@pytest.mark.parametrize(
    "body",
    [{"do": "brush", "label": "a", "points": [], "width": 5}, {"do": "brush", "label": "a", "points": [[0, 0]], "width": 0},
     {"do": "brush", "label": "a", "points": [[0, 0]] * 20_001, "width": 5}, {"do": "add", "label": "a", "points": [[0, 0], [1, 1]]},
     {"do": "brush", "label": "a", "points": [[0, float("nan")]], "width": 5}],
)  # fmt: skip
def test_what_is_no_stroke_of_pixels_is_refused(body):
    with pytest.raises(OmmaError):
        labels.sound(body, "instances")


def test_strokes_of_another_kind_wait_for_theirs(world):
    kind(world, "boxes")
    stroke(world, 0, do="add", label="cell", box=[1, 2, 30, 40])
    kind(world, "label")
    assert world.get(f"/api/p/{world.id}/label/0")["things"] == []
    stroke(world, 0, do="tag", names=["cell"])
    kind(world, "boxes")
    assert len(world.get(f"/api/p/{world.id}/label/0")["things"]) == 1


def test_a_proposal_is_strokes_of_the_kind():
    shares = np.array([0.2, 0.8], "float32")
    assert page.proposed(Label("b", ["a", "b"], shares), "label") == [{"do": "tag", "names": ["b"]}]
    boxes = Boxes(20, 10, ["a"], np.array([[1.0, 2, 3, 4]]), np.array([0.9], "float32"))
    assert page.proposed(boxes, "boxes") == [{"do": "add", "label": "a", "box": [1.0, 2.0, 3.0, 4.0]}]
    assert page.proposed(boxes, "label") == []
    for told, kind in ((page.proposed(boxes, "boxes"), "boxes"),):
        assert [labels.sound(body, kind) for body in told] == told


def test_the_least_sure_comes_first(world):
    kind(world, "label")
    out = world.studio.home / "sorted"
    out.mkdir(parents=True)
    root = Path(world.studio.store.known(world.id)["data"])
    sure = {0: 0.9, 1: 0.4, 2: 0.7, 3: 0.99, 4: 0.5}
    rows = [{"path": str(root / f"{place}.png"), "label": "a", "probability": share} for place, share in sure.items()]
    (out / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    folder = world.studio.home / "job"
    folder.mkdir()
    (folder / keeper.DONE).write_text('{"code": 0, "ended": 1}')
    world.studio.store.job(world.id, "predict", ["predict", "run", str(root), "--out", str(out)], str(folder), None)
    found = world.get(f"/api/p/{world.id}/labels/order")
    assert found["places"] == [1, 4, 2, 0, 3] and found["by"] == "sureness"
    stroke(world, 1, do="tag", names=["a"])
    assert world.get(f"/api/p/{world.id}/labels/order")["places"] == [4, 2, 0, 3, 1], "what is done comes last"


@pytest.mark.parametrize("format", ["csv", "coco", "npz"])
def test_every_format_can_be_sorted(world, monkeypatch, format):
    """A table, a file of boxes, pictures in arrays: `predict` is given every picture as a file, and its answers find their places."""
    root = Path(world.studio.store.known(world.id)["data"])
    target = world.studio.cwd / "as" / format
    target.parent.mkdir()
    if format == "npz":
        target = target.with_suffix(".npz")
        np.savez(target, x_train=np.arange(5 * 8 * 8 * 3, dtype=np.uint8).reshape(5, 8, 8, 3), y_train=np.arange(5) % 2)
    elif format == "csv":
        target = root / "table.csv"
        target.write_text("file,label\n" + "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(5)))
    else:
        kind(world, "boxes")
        for place in range(5):
            stroke(world, place, do="add", label="a", box=[1, 2, 30, 40])
        target = saved(world, "coco")[1]
    world.id = world.post("/api/projects", data=str(target))["id"]
    begun = {}

    def begin(project, words, run=None, as_json=True, lines=None):
        folder = world.studio.home / "job"
        folder.mkdir()
        (folder / keeper.DONE).write_text('{"code": 0, "ended": 1}')
        begun.update(words=words, lines=lines)
        return world.studio.store.job(project, words[0], words, str(folder), None)

    monkeypatch.setattr(world.studio.jobs, "begin", begin)
    (world.studio.runs / "r-1").mkdir(parents=True)
    world.post(f"/api/p/{world.id}/labels/sort", run="r-1")
    assert begun["words"][:3] == ["predict", str(Path("runs") / "r-1"), "-"] and len(begun["lines"]) == 5
    assert all(Path(line).is_file() for line in begun["lines"])
    out = Path(begun["words"][-1])
    out.mkdir()
    shares = [0.9, 0.4, 0.7, 0.99, 0.5]
    rows = [{"path": str(Path(line)), "label": "a", "probability": p} for line, p in zip(begun["lines"], shares, strict=True)]
    (out / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert world.get(f"/api/p/{world.id}/labels/order")["places"] == [1, 4, 2, 0, 3]


def test_a_stroke_that_waited_belongs_to_its_picture(world):
    """Pictures were added meanwhile: the place has become another one's, the name has not."""
    kind(world, "label")
    root = Path(world.studio.store.known(world.id)["data"])
    name = world.get(f"/api/p/{world.id}/label/2")["id"]
    Image.new("RGB", (20, 20)).save(root / "0a.png")
    told = world.post(f"/api/p/{world.id}/label/2", stroke={"do": "tag", "names": ["cat"]}, sample=name)
    assert told["id"] == name and told["place"] == 3 and told["tags"] == ["cat"]


def test_what_a_job_reads_on_stdin(tmp_path, monkeypatch):
    """A list of files for `predict -`: the keeper hands it over; a command without one reads nothing."""
    read = []

    def start(wish, told, result, log):
        read.append(told.read().decode())
        return SimpleNamespace(wait=lambda: 0)

    monkeypatch.setattr(keeper, "start", start)
    monkeypatch.setattr(keeper.signal, "signal", lambda *words: None)
    (tmp_path / keeper.WISH).write_text(json.dumps({"words": ["predict"], "language": "en", "cwd": str(tmp_path)}))
    keeper.keep(tmp_path)
    (tmp_path / keeper.LINES).write_text("a.png\n猫.png\n", "utf-8")
    keeper.keep(tmp_path)
    assert read == ["", "a.png\n猫.png\n"] and json.loads((tmp_path / keeper.DONE).read_text())["code"] == 0


def test_sureness_of_every_kind_of_row():
    assert page.sureness({"label": "a", "probability": 0.7, "probabilities": {"a": 0.7, "b": 0.3}}) == 0.7
    sure = Mask.of(np.zeros((2, 2), int), ["a"], np.array([[1.0, 1.0], [0.5, 0.5]]))
    assert page.sureness(sure.json()) == pytest.approx(0.75, abs=0.01), "of a mask the mean over its pixels"
    assert page.sureness({"labels": [], "probabilities": {"a": 0.5, "b": 0.5}}) == 0
    assert page.sureness({"boxes": [{"probability": 0.9}, {"probability": 1.0}]}) == pytest.approx(0.9)
    assert page.sureness({"boxes": []}) == 0 and page.sureness({"numbers": {"x": 1}}) == 0


def test_nothing_labelled_is_one_clear_line(world):
    reply = world.client.post(f"/api/p/{world.id}/labels/save", json={"format": "csv"})
    assert reply.status_code == 422 and "nothing is labelled" in reply.json()["error"]
    stroke(world, 0, do="tag", names=["a"])
    assert world.client.post(f"/api/p/{world.id}/labels/save", json={"format": "yolo"}).status_code == 422, (
        "cannot hold one class a picture"
    )

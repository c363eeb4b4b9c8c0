"""Predict: every picture gets its own answer, in order, whatever else lies around it, and nothing is written over."""

from __future__ import annotations

import csv
import io
import json
import shutil
import threading

import numpy as np
import pytest
from PIL import Image

import omma
from models_at_hand import bundle_of, folder_of, pictures
from omma.errors import Interrupted, NotMeaningful, OmmaError
from omma.runtimes import choose
from omma.verbs import _answering
from omma.verbs._inputs import gather


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    made = bundle_of()
    made.card["task"] = "classify"
    return made.save(tmp_path_factory.mktemp("run") / "bundle")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two folders with equal file names, one file that is no picture, and the working folder beside them."""
    folder_of(tmp_path / "图片" / "a", 4, seed=1)
    folder_of(tmp_path / "图片" / "b", 4, seed=2)
    (tmp_path / "图片" / "b" / "1.png").write_bytes(b"no picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "图片"


def rows_of(bundle, *paths, **words):
    return list(omma.predict(bundle, *paths, runtime=words.pop("runtime", "eager"), **words))


def test_each_picture_gets_its_own_answer_in_order(bundle, photos):
    opened = omma.open(bundle)
    found = omma.predict(bundle, "图片", batch=3, runtime="eager")
    rows = list(found)
    assert [row["path"] for row in rows] == [f"图片/{folder}/{n}.png" for folder in "ab" for n in range(4)]
    eager = choose.named("eager", opened)
    for row in rows:
        if "error" in row:
            assert row["path"] == "图片/b/1.png"
            continue
        wanted = eager.answers(opened.views.frame(np.asarray(Image.open(row["path"])))[None])[0].json()
        assert row["label"] == wanted["label"] and row["probability"] == pytest.approx(wanted["probability"], abs=1e-5)
        assert (photos.parent / row["path"]).exists() and sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert len({row["probability"] for row in rows if "error" not in row}) == 7, "pictures of their own"
    assert (found.failed, found.code, found.total) == (1, 3, 8)


@pytest.mark.parametrize("batch", [1, 2, 5, 16])
def test_the_batch_changes_nothing(bundle, photos, batch):
    one, other = rows_of(bundle, "图片", batch=1), rows_of(bundle, "图片", batch=batch)
    for a, b in zip(one, other, strict=True):
        assert a.get("label") == b.get("label") and a.get("probability", 0) == pytest.approx(b.get("probability", 0), abs=1e-4)


def test_all_is_well_is_zero(bundle, photos):
    found = omma.predict(bundle, "图片/a", runtime="eager")
    assert len(list(found)) == 4 and found.code == 0


def test_files_globs_and_a_list_on_stdin(bundle, photos, monkeypatch):
    assert [row["path"] for row in rows_of(bundle, "图片/a/3.png", "图片/*/0.png")] == ["图片/a/3.png", "图片/a/0.png", "图片/b/0.png"]
    monkeypatch.setattr("sys.stdin", io.StringIO("图片/b/2.png\r\n\n图片/a/1.png\n"))
    assert [row["path"] for row in rows_of(bundle, "-")] == ["图片/b/2.png", "图片/a/1.png"]


def test_named_twice_is_answered_once(bundle, photos):
    assert len(rows_of(bundle, "图片/a", "图片/a/1.png", photos / "a", "./图片/a/../a/2.png")) == 4


def test_what_is_not_there_is_named_and_the_rest_goes_on(bundle, photos):
    (photos / "empty").mkdir()
    rows = rows_of(bundle, "图片/none.png", "图片/a/0.png", "图片/*.tif", "图片/empty")
    assert ["error" in row for row in rows] == [True, False, True, True]
    assert "no such file" in rows[0]["error"]


@pytest.mark.parametrize("word", ["http://host/1.jpg", "https://host/1.jpg", "s3://bucket/1.jpg", "file:///etc/1.jpg"])
def test_addresses_are_never_fetched(bundle, photos, word, monkeypatch):
    with pytest.raises(OmmaError, match="network"):
        omma.predict(bundle, word)
    monkeypatch.setattr("sys.stdin", io.StringIO(word + "\n"))
    with pytest.raises(OmmaError, match="network"):
        omma.predict(bundle, "-")


def test_a_file_whose_name_looks_like_a_glob_is_that_file(photos):
    shutil.copy(photos / "a" / "0.png", photos / "[1].png")
    assert gather([photos / "[1].png"]).files == [str(photos / "[1].png")]


@pytest.mark.parametrize(
    "words",
    [{"as_": "csv"}, {"as_": "folders"}, {"threshold": 1.5}, {"nearest": 0}, {"batch": 0}, {"runtime": "ortt"}, {"device": "gpu9"}],
)
def test_settings_that_make_no_sense_are_refused_at_once(bundle, photos, words):
    with pytest.raises(OmmaError):
        omma.predict(bundle, "图片", **words)


def test_nothing_named_is_said(bundle):
    with pytest.raises(OmmaError, match="name pictures"):
        omma.predict(bundle)


def test_a_threshold_says_what_is_unsure(bundle, photos):
    assert all(row.get("unsure") for row in rows_of(bundle, "图片/a", threshold=1.0))
    assert not any(row.get("unsure") for row in rows_of(bundle, "图片/a", threshold=0.0))


def test_a_threshold_says_which_labels_are_present(photos, tmp_path):
    several = bundle_of("multilabel")
    several.card["task"] = "multilabel"
    where = several.save(tmp_path / "several")
    assert all(len(row["labels"]) == 3 for row in rows_of(where, "图片/a", threshold=0.0))
    assert all(row["labels"] == [] for row in rows_of(where, "图片/a", threshold=1.0))


def _journal(out):
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text("utf-8").splitlines()]


def test_rows_are_kept_as_they_come(bundle, photos, tmp_path):
    rows = rows_of(bundle, "图片", out=tmp_path / "out")
    assert _journal(tmp_path / "out") == [dict(row) for row in rows]


def test_a_table(bundle, photos, tmp_path):
    rows = rows_of(bundle, "图片", out=tmp_path / "out", as_="csv")
    with (tmp_path / "out" / "predictions.csv").open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    assert [line["path"] for line in table] == [row["path"] for row in rows]
    assert float(table[0]["probabilities.鸟"]) == rows[0]["probabilities"]["鸟"] and table[5]["error"]


def test_sorted_copies_never_write_over_each_other(bundle, photos, tmp_path):
    before = {file: file.read_bytes() for file in photos.rglob("*.png")}
    rows = rows_of(bundle, "图片", out=tmp_path / "out", as_="folders")
    copies = list((tmp_path / "out").rglob("*.png"))
    assert len(copies) == 8
    for row in rows:
        name, below = row.get("label", "_unreadable"), row["path"].removeprefix("图片/")
        assert (tmp_path / "out" / name / below).read_bytes() == (tmp_path / row["path"]).read_bytes()
    assert before == {file: file.read_bytes() for file in photos.rglob("*.png")}, "the originals are as they were"


def test_drawn_pictures_never_write_over_each_other(bundle, photos, tmp_path):
    shutil.copy(photos / "a" / "0.png", photos / "a" / "0.bmp")
    Image.open(photos / "a" / "1.png").convert("RGB").save(photos / "a" / "0.jpg")
    rows_of(bundle, "图片", out=tmp_path / "out", as_="drawn")
    drawn = sorted(file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*.jpg"))
    assert drawn == sorted(
        [f"{folder}/{n}.png.jpg" for folder in "ab" for n in range(4) if (folder, n) != ("b", 1)] + ["a/0.bmp.jpg", "a/0.jpg.jpg"]
    )
    with Image.open(tmp_path / "out" / drawn[0]) as picture:
        assert picture.size[0] >= 18


@pytest.mark.parametrize("name", ["../../up", "a/b", "", "..", "con:", "x" * 300])
def test_a_class_name_cannot_leave_the_folder(name):
    from omma.verbs._outputs import safe

    assert "/" not in safe(name) and "\\" not in safe(name) and safe(name) not in ("", ".", "..") and len(safe(name)) <= 101


def test_numbers_cannot_be_sorted_into_folders(photos, tmp_path):
    numbers = bundle_of("regress", centre=[1.0, 0, 0], width=[1.0, 1, 1])
    numbers.card["task"] = "regress"
    where = numbers.save(tmp_path / "numbers")
    rows = rows_of(where, "图片/a")
    assert set(rows[0]["numbers"]) == {"cat", "dog", "鸟"}
    with pytest.raises(NotMeaningful, match="answers with numbers"):
        omma.predict(where, "图片/a", out=tmp_path / "out", as_="folders")
    assert not (tmp_path / "out").exists(), "another form may be asked for in its place"


@pytest.mark.parametrize("kind", ["boxes", "instances", "mask"])
def test_what_lies_somewhere_cannot_be_sorted_into_folders_and_says_what_it_is(kind):
    from omma.verbs._outputs import sortable
    from omma.words import say

    with pytest.raises(NotMeaningful, match=say(f"convert.kind.{kind}")):
        sortable(kind)


def test_a_folder_with_other_things_is_left_alone(bundle, photos, tmp_path):
    for out in (photos, photos / "a" / "0.png"):
        with pytest.raises(OmmaError, match="folder"):
            omma.predict(bundle, "图片", out=out, runtime="eager")
    rows_of(bundle, "图片", out=tmp_path / "out")
    with pytest.raises(OmmaError, match="another model, threshold or form"):
        omma.predict(bundle, "图片", out=tmp_path / "out", threshold=0.9, runtime="eager")


def test_what_was_written_is_not_predicted_again(bundle, photos):
    for _ in range(2):
        assert len(rows_of(bundle, "图片", out="图片/out", as_="drawn")) == 8


def _counting(monkeypatch):
    """Which pictures are decoded from now on."""
    from omma.data.moving import sampled

    seen, real = [], sampled.decode
    monkeypatch.setattr(sampled, "decode", lambda source, **words: seen.append(str(source)) or real(source, **words))
    return seen


@pytest.mark.parametrize("as_", ["jsonl", "csv", "folders"])
def test_an_interrupted_run_goes_on_where_it_was(bundle, photos, tmp_path, monkeypatch, as_):
    whole = rows_of(bundle, "图片", out=tmp_path / "whole", as_=as_, embed=tmp_path / "whole.npz")
    words = {"out": tmp_path / "out", "as_": as_, "embed": tmp_path / "part.npz", "batch": 1}
    stopped = omma.predict(bundle, "图片", runtime="eager", **words)
    first = [next(stopped) for _ in range(3)]
    stopped.close()
    with (tmp_path / "out" / "predictions.jsonl").open("ab") as file:
        file.write(b'{"path": "cut o')
    assert not (tmp_path / "part.npz").exists()
    seen = _counting(monkeypatch)
    rows = rows_of(bundle, "图片", **words)
    assert len(seen) == 5 and not set(seen) & {row["path"] for row in first}
    assert [row["path"] for row in rows] == [row["path"] for row in whole] == [row["path"] for row in _journal(tmp_path / "out")]
    for name in {file.relative_to(tmp_path / "whole") for file in (tmp_path / "whole").rglob("*.png")}:
        assert (tmp_path / "out" / name).exists()
    with np.load(tmp_path / "whole.npz") as one, np.load(tmp_path / "part.npz") as two:
        assert one["paths"].tolist() == two["paths"].tolist()
        np.testing.assert_allclose(one["features"], two["features"], rtol=1e-4, atol=1e-5)
    seen.clear()
    rows_of(bundle, "图片", **words)
    assert len(seen) == 8, "a finished run is answered anew"


def test_ctrl_c_says_how_far_it_came(bundle, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(_answering.Job, "_write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(Interrupted, match="goes on from here") as stopped:
        rows_of(bundle, "图片", out=tmp_path / "out")
    assert stopped.value.code == 130


def test_features_are_what_the_head_reads(bundle, photos, tmp_path):
    import torch

    rows_of(bundle, "图片", embed=tmp_path / "f.npz", batch=2)
    opened = omma.open(bundle)
    with np.load(tmp_path / "f.npz") as file:
        paths, features = file["paths"].tolist(), file["features"]
    assert paths == [f"图片/{folder}/{n}.png" for folder in "ab" for n in range(4) if (folder, n) != ("b", 1)]
    frames = torch.from_numpy(np.stack([opened.views.frame(np.asarray(Image.open(path))) for path in paths]))
    with torch.no_grad():
        wanted = opened.net.features(opened.views.finish(frames)).numpy()
    np.testing.assert_allclose(features, wanted, rtol=1e-4, atol=1e-5)
    assert not list(tmp_path.glob("*.partial"))


def test_the_nearest_training_picture_of_itself_is_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place, name in enumerate(("cat", "dog", "鸟")):
        folder_of(tmp_path / "set" / name, 6, seed=place)
    made = bundle_of()
    made.card |= {"task": "classify", "data": {"where": str(tmp_path / "set")}}
    made.save(tmp_path / "run" / "bundle")
    held_out = {"cat/0.png", "dog/1.png"}
    lines = [f"{n}/{i}.png,{'val' if f'{n}/{i}.png' in held_out else 'train'}," for n in ("cat", "dog", "鸟") for i in range(6)]
    (tmp_path / "run" / "split.csv").write_text("\n".join(["id,split,group", *lines]), "utf-8")
    rows = rows_of("run", "set", nearest=2)
    for row in rows:
        assert len(row["nearest"]) == 2 and row["nearest"][0]["similarity"] >= row["nearest"][1]["similarity"]
        assert not {near["id"] for near in row["nearest"]} & held_out, "only what it learned from"
        itself = row["path"].removeprefix("set/")
        if itself not in held_out:
            assert row["nearest"][0]["similarity"] == pytest.approx(1, abs=1e-4)
            assert itself in {near["id"] for near in row["nearest"]}
    assert len(list((tmp_path / "run").glob("features-*.npz"))) == 1, "kept beside the run"
    shutil.rmtree(tmp_path / "set" / "dog")
    with pytest.raises(OmmaError, match="trained on"):
        omma.predict("run", "set", nearest=1)
    with pytest.raises(OmmaError, match="--data"):
        omma.predict("run", "set/cat", nearest=1, data=str(tmp_path / "gone"))


def test_memory_stays_bounded(bundle, tmp_path, monkeypatch):
    """While nobody takes rows, decoding stops: only so many chunks are ever ahead."""
    from omma.data import crew

    files = [str(tmp_path / f"{place}.png") for place in range(400)]
    Image.fromarray(pictures(1, (8, 8))[0]).save(files[0])
    for file in files[1:]:
        shutil.copy(files[0], file)
    seen = _counting(monkeypatch)
    monkeypatch.setattr(crew, "AHEAD", 4)
    found = omma.predict(bundle, tmp_path, runtime="eager", batch=2)
    next(found)
    for thread in threading.enumerate():
        thread.join(0.05) if thread is not threading.current_thread() else None
    assert 2 <= len(seen) <= 2 * 4 * crew.threads() + 2
    found.close()
    assert len(seen) < 100


def test_few_pictures_are_not_worth_measuring_and_many_are(bundle, photos, monkeypatch):
    from omma.verbs import predict as verb

    asked = []
    monkeypatch.setattr(choose, "ready", lambda opened: False)
    monkeypatch.setattr(
        choose, "fastest", lambda opened, watch, device, lanes: asked.append(lanes) or choose.named("eager", opened, lanes=lanes)
    )
    assert omma.predict(bundle, "图片").runtime == "eager" and not asked
    monkeypatch.setattr(verb, "WORTH_MEASURING", 0.0)
    omma.predict(bundle, "图片")
    assert asked


def test_another_runtime_gives_the_same_rows(bundle, photos):
    pytest.importorskip("onnxruntime")
    for one, other in zip(rows_of(bundle, "图片", runtime="eager"), rows_of(bundle, "图片", runtime="ort"), strict=True):
        assert one.get("label") == other.get("label") and one.get("probability", 0) == pytest.approx(other.get("probability", 0), abs=1e-3)


def test_a_quantised_bundle_answers_with_its_graph_and_still_has_features(photos, tmp_path):
    import hashlib

    from omma.runtimes._graphs import graph_of

    pytest.importorskip("onnxruntime")
    blob = graph_of(bundle_of()).read_bytes()
    made = bundle_of()
    made.card["task"] = "classify"
    where = made.save(tmp_path / "q")
    (where / "int8.onnx").write_bytes(blob)
    card = json.loads((where / "bundle.json").read_text("utf-8"))
    card["runtime"] = {"file": "int8.onnx", "sha256": hashlib.sha256(blob).hexdigest()}
    (where / "bundle.json").write_text(json.dumps(card), "utf-8")
    found = omma.predict(where, "图片/a", embed=tmp_path / "f.npz")
    assert found.runtime == "ort" and len(list(found)) == 4
    with np.load(tmp_path / "f.npz") as file:
        assert file["features"].shape == (4, 64)
    with pytest.raises(OmmaError, match="quantised"):
        omma.predict(where, "图片/a", runtime="eager")


def test_the_command_prints_one_object_a_line(bundle, photos, capsys):
    from omma import cli

    code = cli.run(["predict", str(bundle), "图片", "--json", "--runtime", "eager", "--threshold", "0"])
    out = capsys.readouterr().out.splitlines()
    assert code == 3 and len(out) == 8
    assert set(json.loads(out[0])) == {"path", "label", "probability", "probabilities"} and set(json.loads(out[5])) == {"path", "error"}


def test_a_row_is_readable():
    row = _answering.Row(path="1.png", label="cat", probability=0.5, probabilities={"cat": 0.5}, unsure=True)
    assert row.lines() == ["1.png\tcat\t50.0%\tunsure"]
    assert "cannot be read" in _answering.Row(path="1.png", error="why").lines()[0]
    assert _answering.Row(path="1.png", numbers={"n": 2.0}).lines() == ["1.png\tn 2"]
    assert _answering.Row(path="1.png", labels=[]).lines() == ["1.png\t–"]

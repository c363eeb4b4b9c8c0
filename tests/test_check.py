"""`omma check`: every planted fault is found and named, a sound set has none, the clean list is clean and the originals untouched."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from omma import catalog
from omma.checks.finding import Finding
from omma.checks.label_text import plain, tidy
from omma.formats.format import open_data
from omma.progress import Watch
from omma.verbs.check import check
from omma.words import LANGUAGES, room, say
from scenes import scene

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def sound(tmp_path):
    """120 different pictures in two classes with train and test parts."""
    for part, count in (("train", 40), ("test", 20)):
        for k, name in enumerate(("猫", "dog")):
            folder = tmp_path / "photos" / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(scene(1000 * k + i + 100 * (part == "test"), 32, 40)).save(folder / f"{name}{i:02d}.png")
    return tmp_path / "photos"


def kinds(found):
    return {finding.kind: finding for finding in found.findings}


def test_a_sound_set_has_no_faults(sound):
    found = check(str(sound))
    assert found.code == 0 and not found.findings
    assert found.json()["faults"] == 0 and found.json()["pictures"] == 120
    assert any(say("check.clean") in line for line in found.lines())
    assert (found.report.parent.name, found.report.exists()) == ("check-photos", True)


def test_every_planted_fault_is_found_and_named(sound):
    dog, cat = sound / "train" / "dog", sound / "train" / "猫"
    (dog / "cut.png").write_bytes((dog / "dog00.png").read_bytes()[:500])
    (dog / "broken.jpg").write_bytes(b"this is not a picture")
    Image.fromarray(scene(7001, 32, 40)).save(dog / "lies.png", "JPEG", quality=95)
    (dog / "again.png").write_bytes((dog / "dog01.png").read_bytes())
    (cat / "wrong.png").write_bytes((dog / "dog02.png").read_bytes())
    Image.fromarray(scene(3, 32, 40)[:, ::-1]).save(dog / "x.png")  # no copy of any: classes start at 0 and 1000
    Image.fromarray(scene(1005, 32, 40)).save(sound / "test" / "dog" / "leak.jpg", quality=50)
    Image.fromarray(np.full((32, 40, 3), 90, np.uint8)).save(dog / "flat.png")
    Image.fromarray(scene(7002, 8, 30)).save(dog / "tiny.png")
    Image.fromarray(scene(7003, 40, 400)).save(dog / "long.png")
    (sound / "train" / "bird").mkdir()
    found = check(str(sound), fix=True)
    seen = kinds(found)
    assert found.code == 1
    names = {kind: finding.names(found.seen.dataset) for kind, finding in seen.items()}
    assert names["truncated"] == ["train/dog/cut.png"] and names["unreadable"] == ["train/dog/broken.jpg"]
    assert names["extension"] == ["train/dog/lies.png"] and names["constant"] == ["train/dog/flat.png"]
    assert names["tiny"] == ["train/dog/tiny.png"] and names["long"] == ["train/dog/long.png"]
    assert set(names["exact"]) >= {"train/dog/again.png", "train/dog/dog01.png"}
    assert set(names["conflict"]) == {"train/dog/dog02.png", "train/猫/wrong.png"}
    assert {"train/dog/dog05.png", "test/dog/leak.jpg"} <= set(names["leak"])
    assert any("bird" in name for name in seen["empty_class"].files)
    _clean_list_holds(found, sound)
    text = found.report.read_text("utf-8")
    assert "猫" in text and "data:image" in text
    row = json.loads((found.report.parent / "findings.json").read_text("utf-8"))
    assert row == json.loads(json.dumps(found.json())) and row["faults"] == len(found.faults)
    assert all({"kind", "severity", "count", "what", "do", "files"} <= finding.keys() for finding in row["findings"])


def _clean_list_holds(found, sound):
    """What the clean list leaves out, and that nothing else changed."""
    before = sorted(path for path in sound.rglob("*") if path.is_file())
    clean = open_data(found.clean)
    kept = {sample.path.relative_to(sound).as_posix() for sample in clean.samples}
    gone = {path.relative_to(sound).as_posix() for path in before} - kept
    assert {"train/dog/cut.png", "train/dog/broken.jpg", "train/dog/flat.png", "train/dog/dog02.png", "train/猫/wrong.png"} <= gone
    assert "train/dog/dog05.png" in gone and "test/dog/leak.jpg" in kept  # the copy that is measured stays
    assert len({"train/dog/again.png", "train/dog/dog01.png"} & gone) == 1
    again = check(str(found.clean), out="again")
    assert {finding.kind for finding in again.faults} == {"extension"}
    assert clean.counts().keys() == {"train", "test"}


def test_the_originals_are_not_touched(sound):
    (sound / "train" / "dog" / "again.png").write_bytes((sound / "train" / "dog" / "dog01.png").read_bytes())
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in sound.rglob("*") if path.is_file()}
    check(str(sound), fix=True)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in sound.rglob("*") if path.is_file()} == before


def test_spellings_of_a_class_become_one(tmp_path):
    rows = [(f"{i:02d}.png", ("Cat", "cat", "dog")[i % 3] if i else "C\u200bat") for i in range(30)]
    for name, _ in rows:
        Image.fromarray(scene(int(name[:2]))).save(tmp_path / name)
    with open(tmp_path / "labels.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows, ("gone.png", "dog")])
    found = check("labels.csv", fix=True, out="out")
    seen = kinds(found)
    assert seen["label_variants"].severity == "fault" and len(seen["label_variants"].rename) == 2
    assert seen["refused"].names(found.seen.dataset) == ["labels.csv:32"] and "list" not in seen["refused"].do()
    assert set(open_data(found.clean).names) in ({"Cat", "dog"}, {"cat", "dog"})


def test_names_that_differ_are_not_taken_for_spellings():
    """Negative control for the test above."""
    assert plain("Cat ") == plain("cat") == plain("ＣＡＴ") and plain("cafe\u0301") == plain("café")
    assert plain("cat") != plain("cats") and plain("C") != plain("D") and tidy("  a  b ") == "a b"


def test_advice_alone_exits_with_zero(tmp_path):
    for name, count in (("a", 3), ("b", 40)):
        (tmp_path / "few" / name).mkdir(parents=True)
        for i in range(count):
            picture = Image.fromarray(scene(i + 500 * (name == "b")))
            (picture.convert("L") if i % 2 else picture).save(tmp_path / "few" / name / f"{i}.png")
    found = check("few")
    assert found.code == 0 and {"few", "few_in_class", "unbalanced", "channel_mix"} <= kinds(found).keys()


def test_packed_sets_are_checked_and_have_no_list(tmp_path):
    pictures = np.stack([scene(i, 28, 28) for i in range(60)])
    pictures[30] = pictures[3]
    np.savez(tmp_path / "set.npz", images=pictures, labels=np.arange(60) % 3)
    found = check("set.npz", fix=True)
    assert kinds(found)["exact"].count == 1 and found.clean is None
    assert any(say("check.no_clean") in note for note in found.notes)


def test_unlabelled_pictures_and_progress(tmp_path):
    class Teller(Watch):
        def __init__(self):
            self.told = []

        def step(self, what, done, total=None, **facts):
            self.told.append((what, done, total))

    (tmp_path / "flat").mkdir()
    for i in range(5):
        Image.fromarray(scene(i)).save(tmp_path / "flat" / f"{i}.png")
    watch = Teller()
    found = check("flat", watch=watch)
    assert found.code == 0 and {"unlabelled", "few"} <= kinds(found).keys()
    assert all(total for _, _, total in watch.told) and len({what for what, *_ in watch.told}) >= 2


def test_every_check_is_one_file_with_one_function():
    assert len(catalog.names("checks")) >= 10
    for name in catalog.names("checks"):
        assert callable(catalog.find("checks", name)), name


@pytest.mark.parametrize("tongue", LANGUAGES)
def test_every_finding_has_both_sentences(tongue):
    """The kinds are read from the files, so that a new one without words fails here."""
    import re
    from pathlib import Path

    import omma.checks

    source = "".join(path.read_text("utf-8") for path in Path(omma.checks.__file__).parent.glob("*.py"))
    found = set(re.findall(r'Finding\("(\w+)"', source)) | set(re.findall(r'[(]"(\w+)", (?:tiny|huge|long|odd|short|broken|looks)', source))
    sentences = room(tongue, "check")
    assert len(found) >= 20 and all({kind, f"{kind}_do"} <= sentences.keys() for kind in found), found - sentences.keys()
    assert Finding("few", "advice", {"pictures": 3, "want": 9}, files=["x"]).what(tongue)

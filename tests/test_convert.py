"""`omma convert`: any format into any other, what is lost said on stderr, and the target whole or not there at all."""

from __future__ import annotations

import errno
import json
import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import omma
from omma import catalog, cli
from omma.answers import _rle
from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.answers.label import Label
from omma.answers.mask import Mask
from omma.data.recast import count_objects, kind_of
from omma.data.sample import Dataset, Refused, Sample
from omma.errors import DiskError
from omma.formats._written import names_of, put_pictures
from omma.formats.format import open_data
from omma.progress import Watch
from scenes import scene

HEIGHT, WIDTH = 30, 40
NAMES = ["cat", "狗"]
KINDS = {"boxes": Boxes, "instances": Instances, "label": Label}


def truth_of(kind: str, place: int):
    """Two objects, or one class; the last picture holds nothing."""
    if kind == Label.kind:
        return Label(NAMES[place % 2])
    corners = np.array([[2, 3, 12, 13], [20, 10, 36, 28]], float)[: 0 if place == 3 else 2]
    labels = NAMES[: len(corners)]
    if kind == Boxes.kind:
        return Boxes(WIDTH, HEIGHT, labels, corners)
    masks = np.zeros((len(corners), HEIGHT, WIDTH), bool)
    for pixels, (x1, y1, x2, y2) in zip(masks, corners.astype(int), strict=True):
        pixels[y1:y2, x1:x2] = True
    if kind == Mask.kind:
        return Mask.of(sum((masks[i] * (i + 1) for i in range(len(masks))), np.zeros((HEIGHT, WIDTH), int)), ["background", *NAMES])
    return Instances(WIDTH, HEIGHT, labels, corners, counts=[_rle.encode(pixels) for pixels in masks])


class Fake:
    """A format that keeps answers as they are: pictures and one file of JSON rows.

    Args:
        holds: kinds of answers it says it can write.
    """

    def __init__(self, *holds: str) -> None:
        self.HOLDS = holds

    def sniff(self, path: Path) -> float:
        return float((path / "truth.json").is_file())

    def read(self, path: Path, watch: Watch) -> Dataset:
        page = json.loads((path / "truth.json").read_text("utf-8"))
        samples = [
            Sample(row["id"], path / row["id"], truth=None if row["truth"] is None else KINDS[page["kind"]].from_json(row["truth"]))
            for row in page["rows"]
        ]
        refused = [Refused(f"truth.json: {n}", "no object") for n in range(page["bad"])]
        task = {"boxes": "detect", "instances": "instances", "label": "classify"}[page["kind"]]
        return Dataset(samples, page["names"], task, path, "fake", refused=refused)

    def write(self, dataset: Dataset, path: Path, watch: Watch | None = None) -> list[str]:
        names = names_of(dataset)
        put_pictures(dataset, path, names, watch)
        rows = [
            {"id": str(name), "truth": None if s.truth is None else s.truth.json()} for name, s in zip(names, dataset.samples, strict=True)
        ]
        store(path, str(kind_of(dataset)), rows, dataset.names)
        return [f"{count_objects(dataset)} shoelaces"]


def store(path: Path, kind: str, rows: list[dict], names: list[str] = NAMES, bad: int = 0) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    page = {"kind": kind, "rows": rows, "names": names, "bad": bad}
    (path / "truth.json").write_text(json.dumps(page, ensure_ascii=False), "utf-8")
    return path


@pytest.fixture
def formats(monkeypatch):
    """`formats(fake=Fake("boxes"))` adds formats to the catalogue."""
    real_module, real_names = catalog.module, catalog.names
    added: dict[str, object] = {"fake": Fake("boxes", "instances", "label")}
    monkeypatch.setattr(catalog, "names", lambda room: sorted([*real_names(room), *(added if room == "formats" else ())]))
    monkeypatch.setattr(
        catalog, "module", lambda room, name: added[name] if room == "formats" and name in added else real_module(room, name)
    )
    return added.update


def folder(where: Path, kind: str, bad: int = 0) -> Path:
    """Four pictures with two objects each but the last, in the fake format."""
    rows = []
    for place, name in enumerate(["a.png", "深/b.png", "c.png", "d.png"]):
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene(place, HEIGHT, WIDTH)).save(where / name)
        rows.append({"id": name, "truth": truth_of(kind, place).json()})
    return store(where, kind, rows, bad=bad)


@pytest.fixture
def data(tmp_path, formats):
    return folder(tmp_path / "图片", "instances")


def run(*words: object) -> int:
    return cli.run(["convert", *map(str, words)])


# ── what is written and said ────────────────────────────────────────────────────────────────────────────


def test_pictures_objects_and_the_next_command(data, tmp_path, formats, capsys):
    formats({"plain": Fake("boxes")})
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    assert run(data, tmp_path / "my out", "--format", "plain") == 0
    out, err = capsys.readouterr()
    assert "4 pictures with 6 objects" in out and f"omma train {shlex.quote(str(tmp_path / 'my out'))}" in out
    assert "6 outlines were left out" in err and "6 shoelaces" in err and "outlines" not in out
    back = open_data(tmp_path / "my out", "fake")
    assert [type(sample.truth) for sample in back.samples] == [Boxes] * 4 and count_objects(back) == 6
    assert back.samples[0].truth.boxes.tolist() == [[2, 3, 12, 13], [20, 10, 36, 28]]
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my out", "图片"], "nothing else lies about"


def test_what_the_format_holds_is_not_changed(data, tmp_path, capsys):
    """Negative control: no loss is made up."""
    assert run(data, tmp_path / "same", "--format", "fake") == 0
    assert "outlines" not in capsys.readouterr().err
    assert open_data(tmp_path / "same").samples[0].truth.counts == open_data(data).samples[0].truth.counts


def test_json_is_one_object(tmp_path, formats, capsys):
    data = folder(tmp_path / "in", "boxes", bad=5)
    assert run(data, tmp_path / "out", "--format", "fake", "--json") == 0
    out, err = capsys.readouterr()
    row = json.loads(out)
    assert row["pictures"] == 4 and row["objects"] == 6 and row["kind"] == "boxes" and row["format"] == "fake"
    assert row["out"] == str(tmp_path / "out") and row["lost"] == ["6 shoelaces"]
    assert row["refused"] == [{"where": f"truth.json: {n}", "reason": "no object"} for n in range(5)]
    assert "5 files or rows cannot be used" in err and "truth.json: 0: no object" in err and "truth.json: 4" not in err


def test_classes_have_a_line_of_their_own(tmp_path, formats, capsys):
    data = folder(tmp_path / "in", "label")
    assert run(data, tmp_path / "out", "--format", "fake") == 0
    out = capsys.readouterr().out
    assert "4 pictures written as fake" in out and "objects" not in out


def test_the_reader_may_be_named(data, tmp_path, formats, capsys):
    formats({"twin": Fake("boxes")})
    assert run(data, tmp_path / "out", "--format", "fake", "--from-format", "twin") == 0
    assert run(data, tmp_path / "more", "--format", "fake", "--from-format", "cocoo") == 2
    assert "did you mean coco" in capsys.readouterr().err


def test_from_python_with_progress(data, tmp_path):
    class Teller(Watch):
        def __init__(self):
            self.told, self.warned = [], []

        def step(self, what, done, total=None, **facts):
            self.told.append((what, done, total))

        def warn(self, line):
            self.warned.append(line)

    watch = Teller()
    made = omma.convert(str(data), str(tmp_path / "deep" / "er" / "out"), format_="fake", watch=watch)
    assert made.out == tmp_path / "deep" / "er" / "out" and (made.out / "truth.json").is_file()
    assert ("copying pictures", 3, 4) in watch.told and watch.warned == made.lost == ["6 shoelaces"]


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────────


def one_line(capsys) -> str:
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("omma: ")]
    assert out == "" and len(lines) == 1 and "Traceback" not in err, err
    return lines[0]


def test_nothing_is_written_over(data, tmp_path, capsys):
    for make in (lambda p: p.write_text("mine"), lambda p: (p.mkdir(), (p / "x").write_text("mine")), lambda p: p.symlink_to("nowhere")):
        target = tmp_path / f"taken{len(list(tmp_path.iterdir()))}"
        make(target)
        assert run(data, target, "--format", "fake") == 2
        assert "it exists already" in one_line(capsys)
        assert target.is_symlink() or "mine" in (target if target.is_file() else target / "x").read_text()


def test_an_empty_folder_may_be_filled(data, tmp_path):
    (tmp_path / "empty").mkdir()
    assert run(data, tmp_path / "empty", "--format", "fake") == 0
    assert (tmp_path / "empty" / "truth.json").is_file()


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["--format", "fakee"], 2, "did you mean fake"),
        (["--format", "digits"], 2, "omma does not write digits"),
        ([], 2, "--format is missing"),
        (["--format", "square"], 6, "square cannot hold outlines of objects"),
    ],
)
def test_a_target_that_is_none(data, tmp_path, formats, capsys, words, code, part):
    formats({"square": Fake("numbers")})
    assert run(data, tmp_path / "out", *words) == code
    assert part in one_line(capsys) and not (tmp_path / "out").exists()


def test_pictures_without_labels(tmp_path, formats, capsys):
    Image.fromarray(scene(0)).save(tmp_path / "a.png")
    assert run(tmp_path, tmp_path.parent / "no-labels-out", "--format", "fake") == 2
    assert "none of these pictures has a label" in one_line(capsys)


def test_no_such_path(tmp_path, formats, capsys):
    assert run(tmp_path / "nothing", tmp_path / "out", "--format", "fake") == 2
    assert "no such path" in one_line(capsys)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 74), (DiskError("the disk is full"), 74), (KeyboardInterrupt(), 130),
        (MemoryError(), 71), (ValueError("a bug"), 70),
    ],
)  # fmt: skip
@pytest.mark.parametrize("empty", [False, True])
def test_what_fails_leaves_nothing(data, tmp_path, formats, capsys, error, code, empty):
    class Torn(Fake):
        def write(self, dataset, path, watch=None):
            super().write(dataset, path, watch)
            raise error

    formats({"torn": Torn("instances")})
    if empty:
        (tmp_path / "out").mkdir()
    assert run(data, tmp_path / "out", "--format", "torn") == code
    assert len(capsys.readouterr().err.splitlines()) <= 2
    assert sorted(path.name for path in tmp_path.iterdir()) == (["out", "图片"] if empty else ["图片"])
    assert not empty or not any((tmp_path / "out").iterdir())


# ── the formats there are ───────────────────────────────────────────────────────────────────────────────

PLACED = ["boxes", "instances", "mask"]
WRITERS = [name for name in catalog.names("formats") if {*PLACED} & {*getattr(catalog.module("formats", name), "HOLDS", ())}]


def made(where: Path, kind: str) -> Dataset:
    """Four pictures in memory, two objects each but the last."""
    pixels = np.stack([scene(place, HEIGHT, WIDTH) for place in range(4)])
    samples = [Sample(f"{place}", row=place, truth=truth_of(kind, place)) for place in range(4)]
    names = ["background", *NAMES] if kind == Mask.kind else list(NAMES)
    return Dataset(samples, names, "-", where, "memory", pixels=pixels)


@pytest.mark.parametrize("kind", PLACED)
@pytest.mark.parametrize("name", WRITERS)
def test_any_to_any(name, kind, tmp_path, formats, capsys):
    """Every kind of truth into every format there is: what comes back has the same pictures, objects and classes."""
    formats({"memory": SimpleNamespace(sniff=lambda path: float(path.suffix == ".memory"), read=lambda path, watch: made(path, kind))})
    (tmp_path / "in.memory").touch()
    target = tmp_path / f"{name}-出"
    assert run(tmp_path / "in.memory", target, "--format", name, "--json") == 0, capsys.readouterr().err
    row = json.loads(capsys.readouterr().out)
    assert row["pictures"] == 4 and (row["objects"] == 6 or row["kind"] == "mask")
    # VOC keeps outlines beside boxes, and is read for its boxes unless their folder is named.
    back = open_data(target / "SegmentationObject" if (name, kind) == ("voc", "instances") else target)
    assert back.format == name and not back.refused, [(r.where, r.reason) for r in back.refused]
    assert kind_of(back) == row["kind"] and set(NAMES) <= set(back.names)
    known = [sample for sample in back.samples if sample.truth is not None]
    assert len(back) == 4 and len(known) in (3, 4)
    if row["kind"] != "mask":
        assert count_objects(back) == 6
        for sample in known[:3]:
            assert sorted(sample.truth.labels) == NAMES
            assert np.abs(sample.truth.boxes[np.argsort(sample.truth.boxes[:, 0])] - [[2, 3, 12, 13], [20, 10, 36, 28]]).max() <= 0.5


def test_the_six_formats_of_the_issue_can_be_written():
    assert {"coco", "voc", "yolo", "masks", "labelme", "csv"} <= set(WRITERS)

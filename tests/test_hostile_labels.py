"""Label files are read without trust: whatever is wrong with one, file and record are named, soon, and what is sound stays."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from attacks import Witness
from hostile_labels import CASES, MARK, make, outcome, size_of
from hostile_sound import SOUND
from omma.formats import format as door

HANGING = 20.0  # seconds; how fast it is, the benchmark tells
LOOKED_FOR = ("open", "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "exec", "os.mkdir", "os.remove", "os.rename")


@pytest.fixture(scope="module", autouse=True)
def _warm(tmp_path_factory):
    """What reading may import is imported, so that a witness sees only what the files make it do."""
    for format in SOUND:
        for number, name in enumerate(name for name in sorted(CASES) if CASES[name].format == format):
            if number % 9 == 0:
                folder = tmp_path_factory.mktemp("warm") / "data"
                make(name, folder)
                outcome(name, folder)


@pytest.mark.parametrize("name", sorted(CASES))
def test_it_is_named(name, tmp_path, monkeypatch):
    make(name, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    began = time.process_time()
    with Witness(tmp_path) as witness:
        amiss = outcome(name, tmp_path / "data")
    spent = time.process_time() - began
    assert not amiss, amiss
    assert spent < HANGING, f"{spent:.2f} s"
    seen = [row for row in witness.seen if row[0] in LOOKED_FOR or row[0].startswith("socket.")]
    assert not [row for row in seen if "site-packages" not in row[1] and "/lib/python" not in row[1]], seen
    assert not list(tmp_path.rglob(MARK))


@pytest.mark.parametrize("format", sorted(SOUND))
def test_the_sound_ones_read_whole(format, tmp_path):
    """Negative control: it is what was done to them that is refused."""
    SOUND[format](tmp_path / "data")
    data = door.open_data(tmp_path / "data")
    assert data.format == format and not data.refused
    assert {Path(s.id).stem: size_of(s.truth) for s in data.samples} == ({"a": 1, "b": 1} if format == "masks" else {"a": 2, "b": 2})


@pytest.mark.parametrize("name", ["coco: box, inverted", "voc: no class", "yolo: unknown class", "csv: nan", "masks: turned"])
def test_a_reader_that_is_silent_or_drops_more_is_caught(name, tmp_path, monkeypatch):
    """Negative control of the judge."""
    make(name, tmp_path / "data")
    real = door.open_data(tmp_path / "data", CASES[name].format)
    monkeypatch.setattr(door, "open_data", lambda *_: replace(real, refused=[]))
    assert outcome(name, tmp_path / "data").startswith("not named")
    monkeypatch.setattr(door, "open_data", lambda *_: replace(real, samples=real.samples[:1]))
    assert "is left" in outcome(name, tmp_path / "data")
    endless = [replace(row, reason=row.reason * 1000) for row in real.refused]
    monkeypatch.setattr(door, "open_data", lambda *_: replace(real, refused=endless))
    assert outcome(name, tmp_path / "data") == "not named in one readable line"


def test_there_are_220():
    assert len(CASES) == 220 and {case.format for case in CASES.values()} == set(SOUND)

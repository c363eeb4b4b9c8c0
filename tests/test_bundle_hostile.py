"""A bundle is opened without trust: whatever somebody did to one, it is refused in one line, soon, and nothing of it is run."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

import omma
from attacks import ATTACKS, MARK, Witness, warm_up
from attacks_of_pictures import OF_PICTURES, SOUND
from models_at_hand import bundle_of
from omma.errors import BundleError

SECONDS = 3.0  # of the processor, on a slow machine: what hangs takes minutes


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    made = bundle_of()
    made.card["task"] = "classify"
    where = made.save(tmp_path_factory.mktemp("sound") / "bundle")
    warm_up(where)
    return where


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_it_is_refused(name, sound, tmp_path, monkeypatch):
    folder = tmp_path / "bundle"
    shutil.copytree(sound, folder)
    ATTACKS[name](folder)
    monkeypatch.chdir(tmp_path)
    refused_soon(folder, tmp_path)


@pytest.fixture(scope="module")
def of_pictures(tmp_path_factory):
    """A sound bundle of each task that answers with pictures."""
    where = {task: make().save(tmp_path_factory.mktemp(task) / "bundle") for task, make in SOUND.items()}
    for folder in where.values():
        warm_up(folder)
    return where


@pytest.mark.parametrize("name", sorted(OF_PICTURES))
def test_one_that_answers_with_pictures_is_refused(name, of_pictures, tmp_path, monkeypatch):
    task, attack = OF_PICTURES[name]
    folder = tmp_path / "bundle"
    shutil.copytree(of_pictures[task], folder)
    attack(folder)
    monkeypatch.chdir(tmp_path)
    refused_soon(folder, tmp_path)


@pytest.mark.parametrize("task", sorted(SOUND))
def test_the_sound_ones_open(task, of_pictures, tmp_path):
    """Negative control."""
    folder = tmp_path / "bundle"
    shutil.copytree(of_pictures[task], folder)
    with Witness(folder) as witness:
        opened = omma.open(folder)
    assert not witness.seen and opened.card["task"] == task
    counts = {"train": {"cat": 3, "dog": 1}}
    card = json.loads((folder / "bundle.json").read_text("utf-8")) | {"fingerprint": {"class_counts": counts}}
    (folder / "bundle.json").write_text(json.dumps(card), "utf-8")
    again = omma.open(folder)
    if task == "generate":
        assert again.seeds(0, 400)[:, -2].mean() > 0.6, "classes come up as often as they were learned"


def refused_soon(folder: Path, above: Path) -> None:
    """Opening is refused in one line, soon, and nothing of the bundle is run."""
    began = time.process_time()
    with Witness(folder) as witness, pytest.raises(BundleError) as refused:
        omma.open(folder)
    spent = time.process_time() - began
    assert not witness.seen, witness.seen
    assert spent < SECONDS, f"{spent:.2f} s"
    assert not list(above.rglob(MARK)) and not Path(MARK).exists()
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 1000 and refused.value.code == 4


def test_the_sound_one_opens_under_the_same_eyes(sound, tmp_path):
    """Negative control: it is the attacks that are refused, not bundles."""
    folder = tmp_path / "bundle"
    shutil.copytree(sound, folder)
    with Witness(folder) as witness:
        opened = omma.open(folder)
    assert not witness.seen and opened.names == ["cat", "dog", "鸟"]


def test_the_witness_sees_what_it_should(tmp_path):
    """Negative control: a loader that runs what it reads does not pass."""
    import pickle

    from attacks import pickle_as_weights

    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "bundle.json").write_text("{}")
    pickle_as_weights(tmp_path / "bundle")
    with Witness(tmp_path / "bundle") as witness:
        pickle.loads((tmp_path / "bundle" / "weights.safetensors").read_bytes().replace(b"touch", b"true "))
        (tmp_path / "other").write_text("")
    assert {"pickle.find_class", "os.system", "open"} <= {event for event, _ in witness.seen}


def test_there_are_many(sound):
    assert len(ATTACKS) >= 100
    assert json.loads((sound / "bundle.json").read_text("utf-8"))["schema"] == 1

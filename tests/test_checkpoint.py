"""Checkpoints: a kill at every system call, damage, a full disk."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from omma.engine import fault as faults
from omma.engine.checkpoint import Checkpoints
from omma.errors import DiskError


def tensors(value: float):
    return {
        "net-net": {"w": torch.full((3, 2), value), "b": torch.arange(2)},
        "optimizer-net": {"0.momentum_buffer": torch.full((2,), value)},
    }


def test_what_is_read_is_what_was_written(tmp_path):
    keep = Checkpoints(tmp_path)
    keep.save(7, tensors(1.5), {"total": 9, "tail": None})
    found = keep.latest()
    assert found.step == 7 and found.state == {"total": 9, "tail": None}
    assert torch.equal(found.tensors["net-net"]["w"], torch.full((3, 2), 1.5)) and found.tensors["net-net"]["b"].dtype == torch.int64


def test_the_last_two_and_the_best_are_kept(tmp_path):
    keep = Checkpoints(tmp_path)
    for step in range(1, 7):
        keep.save(step, tensors(step), {}, best=2)
    assert keep.steps() == [2, 5, 6]


@pytest.mark.parametrize("file", ["net-net.safetensors", "optimizer-net.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("how", ["flip", "cut", "gone"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, file, how):
    keep = Checkpoints(tmp_path)
    keep.save(1, tensors(1), {"n": 1})
    keep.save(2, tensors(2), {"n": 2})
    path = keep.path(2) / file
    blob = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    else:
        blob[len(blob) // 2] ^= 1
        path.write_bytes(bytes(blob) if how == "flip" else bytes(blob[:-1]))
    found = keep.latest()
    assert found.step == 1 and keep.skipped == ["step-000002"]


@pytest.mark.parametrize("call", range(1, 14))
def test_a_full_disk_at_any_call_leaves_the_last_good_one(tmp_path, monkeypatch, call):
    keep = Checkpoints(tmp_path)
    keep.save(1, tensors(1), {})
    monkeypatch.setenv("OMMA_FAULT", f"full@any:{call}")
    faults._calls.clear()
    try:
        keep.save(2, tensors(2), {})
    except DiskError as error:
        assert error.code == 74 and not list(tmp_path.glob("*.partial"))
    monkeypatch.delenv("OMMA_FAULT")
    assert keep.latest().step in (1, 2)


WRITER = """
import sys, torch
from pathlib import Path
from omma.engine.checkpoint import Checkpoints
keep = Checkpoints(Path(sys.argv[1]))
for step in (1, 2, 3, 4):
    keep.save(step, {"net-net": {"w": torch.full((3,), float(step))}}, {"n": step}, best=1)
"""


def test_a_kill_at_every_system_call_recovers(tmp_path):
    """Forks instead of starting Python anew for each call: the whole point is to try every single one."""
    n = 0
    while True:
        n += 1
        folder = tmp_path / str(n)
        child = os.fork()
        if child == 0:  # the writer
            os.environ["OMMA_FAULT"] = f"kill@any:{n}"
            faults._calls.clear()
            try:
                sys.argv = ["writer", str(folder)]
                exec_writer(folder)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        found = Checkpoints(folder).latest()
        assert not list(folder.glob("*.partial"))
        if os.WIFEXITED(status):
            break
        if found is not None:
            assert torch.equal(found.tensors["net-net"]["w"], torch.full((3,), float(found.step))) and found.state == {"n": found.step}
        Checkpoints(folder).save(9, {"net-net": {"w": torch.zeros(1)}}, {})  # and one can go on from there
    assert n > 30 and found.step == 4


def exec_writer(folder):
    keep = Checkpoints(folder)
    for step in (1, 2, 3, 4):
        keep.save(step, {"net-net": {"w": torch.full((3,), float(step))}}, {"n": step}, best=1)


@pytest.mark.slow
def test_a_real_process_killed_while_writing(tmp_path):
    for n in (1, 5, 9):
        done = subprocess.run(
            [sys.executable, "-c", WRITER, str(tmp_path / str(n))], env=os.environ | {"OMMA_FAULT": f"kill@fsync:{n}"}, check=False
        )
        assert done.returncode == -9
        assert (tmp_path / str(n)).exists()

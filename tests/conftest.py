"""What every test stands on: few threads, one language, a cache of its own; beside other workers a core of its own."""

from __future__ import annotations

import os

# Before torch is imported: tests run beside one another, and two spinning thread pools cost five times the time.
if (worker := os.environ.get("PYTEST_XDIST_WORKER")) and hasattr(os, "sched_setaffinity"):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})
    os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.pop("OMMA_DEBUG", None)

import pytest


@pytest.fixture(scope="session", autouse=True)
def _home_of_the_session(tmp_path_factory):
    """Nothing is read from, or written to, the cache of whoever runs the tests."""
    os.environ["OMMA_HOME"] = str(tmp_path_factory.mktemp("omma-home"))
    os.environ.setdefault("OMMA_OFFLINE", "1")


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    """Sentences are compared in one language."""
    monkeypatch.setenv("OMMA_LANG", "en")


def pytest_addoption(parser):
    """`--grid-out FILE`: where test_grid.py writes the task × verb table."""
    parser.addoption("--grid-out", default=None, help="write the task × verb table here (docs/grid.json)")

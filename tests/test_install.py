"""The wheel: it builds, installs into a fresh environment, and works there with what torch and the others already are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

HOME = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from the checkout without reaching for the network."""
    folder = tmp_path_factory.mktemp("wheel")
    line = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--disable-pip-version-check",
        "-q",
        "-w",
        str(folder),
        str(HOME),
    ]
    subprocess.run(line, check=True, capture_output=True, text=True)
    (built,) = folder.glob("omma-*.whl")
    return built


@pytest.fixture(scope="module")
def fresh(wheel, tmp_path_factory):
    """A fresh environment that holds the wheel; the packages it needs are lent by this one, so that torch is not fetched again."""
    import venv

    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--no-deps",
        "--no-index",
        "--disable-pip-version-check",
        "-q",
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True, text=True)
    # Behind the fresh packages, and without this environment's own .pth files: an editable omma must not come along.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def say(python: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess:
    keep = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run([str(python), "-P", "-m", "omma", *words], cwd=cwd, env=keep, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_what_is_in_the_wheel(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for part in ("omma/locale/zh/cli.toml", "omma/data/sources.toml", "omma/report/page.css", "omma/verbs/train.py"):
        assert part in names, part
    assert any(name.endswith("LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "docs", "benchmarks"))]


def test_the_wheel_works_in_a_fresh_environment(fresh, tmp_path):
    """Version and place, then a small run from its first step to a prediction."""
    told = say(fresh, "--version", cwd=tmp_path)
    assert told.returncode == 0 and told.stdout.startswith("omma "), told.stderr
    place = subprocess.run(
        [str(fresh), "-P", "-c", "import omma; print(omma.__file__)"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert str(fresh.parent.parent) in place.stdout, "this is not the installed wheel"
    trained = say(fresh, "train", "digits", "budget=2 steps", "threads=1", "--out", "run", "--device", "cpu", "--json", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert set(json.loads(trained.stdout)["scores"]["accuracy"]) == {"value", "low", "high", "n"}
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000

"""The laws of the house, each with a planted violation that must be caught."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

import laws
from omma import catalog

HOME = Path(__file__).parent.parent
SRC = HOME / "src" / "omma"
LOCALE = SRC / "locale"
TASKS = set(catalog.names("tasks"))


@pytest.fixture
def planted(tmp_path):
    """A house with one file in it: `planted("data/x.py", text)` gives its root."""

    def plant(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return tmp_path

    return plant


def lines(found: list[str]) -> str:
    return "\n".join(found)


# ── floors ──────────────────────────────────────────────────────────────────────────────────────────────


def test_imports_run_downhill():
    assert not (found := laws.downhill(SRC)), lines(found)


@pytest.mark.parametrize(
    "text",
    ["from omma.verbs.train import train", "def f():\n    from omma import bundle", "from . import x", "import omma\nomma.train('x')"],
)
def test_an_import_uphill_is_caught(planted, text):
    assert laws.downhill(planted("data/x.py", f'"""Caption."""\n{text}\n'))


def test_imports_for_type_checkers_may_climb(planted):
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from omma.bundle import Bundle\n"
    assert not laws.downhill(planted("data/x.py", text))


def test_no_circles():
    assert not (found := laws.circles(SRC)), lines(found)


def test_a_circle_is_caught(planted):
    planted("data/a.py", "from omma.data import b\n")
    assert laws.circles(planted("data/b.py", "from omma.data.a import f\n"))


# ── sizes, captions, docstrings, contracts ──────────────────────────────────────────────────────────────


def test_sizes():
    assert not (found := laws.sizes(SRC)), lines(found)


def test_large_files_functions_and_folders_are_caught(planted):
    assert laws.sizes(planted("x.py", "a = 1\n" * (laws.LINES + 1)))
    assert laws.sizes(planted("y/x.py", "def f():\n" + "    a = 1\n" * laws.BODY))
    for i in range(laws.FILES + 1):
        planted(f"folder/f{i}.py", "a = 1\n")
    assert any("folder" in row for row in laws.sizes(planted("folder/last.py", "a = 1\n")))


@pytest.mark.parametrize("folder", ["src/omma", "tests", "benchmarks", "examples", "scripts"])
def test_every_file_has_a_caption(folder):
    assert not (found := laws.captions(HOME / folder)), lines(found)


def test_a_file_without_caption_is_caught(planted):
    assert laws.captions(planted("x.py", "import os\n"))
    assert laws.captions(planted("x.py", '# a comment\n"""Late."""\n'))


def test_public_things_say_what_they_are():
    assert not (found := laws.public_docstrings(SRC)), lines(found)


def test_a_silent_function_is_caught(planted):
    assert laws.public_docstrings(planted("x.py", '"""Caption."""\ndef f():\n    pass\n'))


CONTRACTS = [
    ("tasks/task.py", "Task"),
    ("answers/answer.py", "Answer"),
    ("metrics/metric.py", "Metric"),
    ("models/network.py", "Network"),
    ("progress.py", "Watch"),
]


@pytest.mark.parametrize(("file", "name"), CONTRACTS)
def test_a_contract_has_at_most_eight_methods(file, name):
    assert len(found := laws.methods_of(SRC, file, name)) <= laws.METHODS, found


def test_a_ninth_method_is_counted(planted):
    root = planted("x.py", "class X:\n" + "".join(f"    def m{i}(self): ...\n" for i in range(9)))
    assert len(laws.methods_of(root, "x.py", "X")) > laws.METHODS


def test_no_verb_asks_which_task_it_has():
    assert not (found := laws.asks_for_task(SRC, TASKS)), lines(found)


@pytest.mark.parametrize(
    "text", ["if task == 'classify': pass", "x = kind in ('regress', 'other')", "match t:\n    case 'multilabel':\n        pass"]
)
def test_asking_for_the_task_is_caught(planted, text):
    assert laws.asks_for_task(planted("verbs/x.py", text), TASKS)
    assert not laws.asks_for_task(planted("tasks/y.py", text).joinpath("tasks"), set())


# ── safety ──────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_read_is_executed_and_nothing_phones_home():
    assert not (found := laws.dangers(SRC)), lines(found)


@pytest.mark.parametrize(
    "text",
    [
        "import pickle\npickle.load(f)",
        "torch.load(f)",
        "eval('1')",
        "exec('1')",
        "archive.extractall()",
        "subprocess.run('ls', shell=True)",
        "yaml.load(f)",
        "numpy.load(f, allow_pickle=True)",
        "import urllib.request",
        "from urllib import request",
        "import requests",
        "import pickle\nclass U(pickle.Unpickler):\n    pass",
        "torch.export.load(f)",
    ],
)
def test_danger_is_caught(planted, text):
    assert laws.dangers(planted("data/x.py", text))


def test_putting_a_network_into_evaluation_mode_is_no_danger(planted):
    assert not laws.dangers(planted("data/x.py", "net.eval()\n"))


def test_nothing_of_one_machine_travels():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=HOME, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git checkout: nothing to list")
    files = {}
    for name in filter(None, listed.stdout.split("\0")):
        path = HOME / name
        if (
            path.is_file()
            and path.suffix not in (".png", ".jpg", ".ico", ".woff2")
            and name not in ("tests/laws.py", "tests/test_house.py")
        ):
            files[name] = path.read_text("utf-8", errors="replace")
    assert not (found := laws.of_one_machine(files)), lines(found)


@pytest.mark.parametrize("text", ["/home/ann/photos", "see /root/x", "/work/main", "pip install --index-url x", "https://pypi.org/simple"])
def test_a_machine_path_is_caught(text):
    assert laws.of_one_machine({"x.md": f"a line\n{text}/y\n"})


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────


def test_both_languages_are_whole():
    assert not (found := laws.languages_agree(LOCALE)), lines(found)


def test_a_missing_sentence_and_a_lost_placeholder_are_caught(planted):
    planted("en/x.toml", 'a = "one {n}"\nb = "two"\n')
    found = laws.languages_agree(planted("zh/x.toml", 'a = "一"\n'))
    assert len(found) == 2


def test_every_word_said_exists():
    assert not (found := laws.said(SRC, LOCALE)), lines(found)


def test_an_unknown_key_and_a_wrong_value_are_caught(planted):
    planted("locale/en/x.toml", 'a = "one {n}"\n')
    root = planted("code/y.py", "say('x.b')\nsay('x.a', m=1)\nsay(f'z.{name}')\nsay('x.a', n=1)\n")
    assert len(laws.said(root / "code", root / "locale")) == 3


def test_no_sentence_is_left_over():
    assert not (found := laws.unspoken(SRC, LOCALE)), lines(found)


def test_a_left_over_sentence_is_caught(planted):
    planted("locale/en/x.toml", 'a = "one"\nb = "two"\n[c]\nd = "three"\n')
    root = planted("code/y.py", "say('x.a')\nsay(f'x.c.{name}')\n")
    assert laws.unspoken(root / "code", root / "locale") == ["x.b"]


def test_words_for_people_stand_in_locale():
    assert not (found := laws.bare_sentences(SRC)), lines(found)


def test_a_bare_sentence_is_caught(planted):
    assert laws.bare_sentences(planted("x.py", "raise DataError('this picture is broken')\n"))
    assert laws.bare_sentences(planted("x.py", "watch.say(f'all {n} of them are done')\n"))


# ── licences ────────────────────────────────────────────────────────────────────────────────────────────

REFUSED = re.compile(r"\b(A?GPL|LGPL|GNU|SSPL|BUSL|CC-BY-NC|non-?commercial|proprietary)", re.I)
FREE = re.compile(r"MIT|BSD|Apache|ISC|PSF|Python Software|MPL|Mozilla|Unlicense|HPND|Zlib|CC0|CNRI|public domain|0BSD", re.I)
# What torch brings along for NVIDIA's cards: redistributable, closed, and absent from a CPU build.
DRIVERS = ("nvidia-", "cuda-")


def licence(name: str) -> str:
    """What a package says of its licence: the expression, else the classifiers, else the field (first lines)."""
    facts = distribution(name).metadata
    classified = [c for c in facts.get_all("Classifier") or [] if c.startswith("License ::")]
    return facts.get("License-Expression") or " / ".join(classified) or (facts.get("License") or "")[:200]


def verdict(name: str, text: str) -> str | None:
    """Why a licence does not pass; None where it does."""
    if name.startswith(DRIVERS):
        return None
    # `A OR B` is a choice: one acceptable part is enough; `A AND B` must pass whole.
    choices = re.split(r"\s+OR\s+", text) if " OR " in text else [text]
    if any(FREE.search(c) and not REFUSED.search(re.sub(r"WITH GCC-exception\S*", "", c)) for c in choices):
        return None
    return f"{name}: {text or 'no licence stated'}"


def chain() -> set[str]:
    """Every installed package omma can bring in, its extras for tests aside."""
    from packaging.requirements import Requirement

    seen: set[tuple[str, str]] = set()

    def walk(name: str, extra: str) -> None:
        if (name, extra) in seen:
            return
        seen.add((name, extra))
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            seen.discard((name, extra))  # an optional package that is not here
            return
        for text in needs:
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                for inner in need.extras or {""}:
                    walk(need.name.lower(), inner)
                walk(need.name.lower(), "")

    walk("omma", "")
    walk("omma", "all")
    return {name for name, _ in seen} - {"omma"}


def test_licences_of_the_whole_chain_are_permissive():
    names = chain()
    assert {"torch", "numpy", "click"} <= names
    found = [why for name in sorted(names) if (why := verdict(name, licence(name)))]
    assert not found, lines(found)


@pytest.mark.parametrize(
    "text", ["AGPL-3.0-only", "GNU General Public License v3 (GPLv3)", "CC-BY-NC-4.0", "", "LGPL-2.1-or-later", "MIT AND GPL-3.0-only"]
)
def test_a_closing_licence_is_caught(text):
    assert verdict("x", text)


@pytest.mark.parametrize(
    "text", ["MIT", "Apache-2.0", "BSD-3-Clause", "MPL-2.0 AND MIT", "GPL-3.0-only OR MIT", "License :: OSI Approved :: BSD License"]
)
def test_an_open_licence_passes(text):
    assert verdict("x", text) is None


# ── tests about tests ───────────────────────────────────────────────────────────────────────────────────


def test_few_tests_start_processes():
    found = laws.child_tests(HOME / "tests")
    assert len(found) <= 12, lines(found)


def test_a_test_that_starts_a_process_is_counted(planted):
    planted("test_x.py", "def go():\n    subprocess.run(['x'])\ndef test_a():\n    go()\ndef test_b():\n    pass\n")
    assert len(laws.child_tests(planted("test_y.py", "import pytest\n@pytest.mark.slow\ndef test_c():\n    subprocess.run(['x'])\n"))) == 1


def test_the_python_that_runs_this_is_supported():
    assert sys.version_info >= (3, 11)

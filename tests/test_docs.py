"""What the documentation says is true: links resolve, examples run, generated pages are up to date, both languages agree."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omma import cli, flags
from omma.formats import shapes

HOME = Path(__file__).parent.parent
sys.path.insert(0, str(HOME / "scripts"))
import write_docs  # noqa: E402

PAGES = sorted([*HOME.glob("*.md"), *(HOME / "docs").rglob("*.md")])
ENGLISH = [HOME / "README.md", *sorted((HOME / "docs" / "en").rglob("*.md"))]
BLOCK = re.compile(r"(<!-- not run: (?P<why>[^\n]*) -->\n)?```(?P<kind>sh|python|toml|json|math)\n(?P<text>.*?)```", re.S)
# What makes a run of the pages small, by the task that its command names.
SMALL = {
    "detect": ["size=64", "model=anchor-free-small", "most=20"],
    "instances": ["size=64", "model=star", "widths=8-16-32", "most=20"],
    "segment": ["size=64", "model=unet-small"],
    "restore": ["size=16", "model=span", "width=8", "depth=3"],
    "stylize": ["size=16"],
    "reconstruct": ["size=32", "model=autoencoder-dense"],
    "generate": ["size=16", "model=dcgan", "width=8"],
    "": ["size=32", "model=resnet20"],
}
BUDGET = re.compile(r'--budget ("[^"]*"|\S+)')


def name(path: Path) -> str:
    return path.relative_to(HOME).as_posix()


def twin(path: Path) -> Path:
    """The same page in 中文."""
    return HOME / "README.zh.md" if path.parent == HOME else HOME / "docs" / "zh" / path.relative_to(HOME / "docs" / "en")


def blocks(path: Path, kind: str) -> list[tuple[str, bool]]:
    """(text, whether it is run) of every block of one kind."""
    return [(m["text"], m["why"] is None) for m in BLOCK.finditer(path.read_text("utf-8")) if m["kind"] == kind]


def broken_links(path: Path, text: str) -> list[str]:
    """Links to files that are not there."""
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    return [t for t in targets if not re.match(r"\w+:", t) and not (path.parent / t).exists()]


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_resolve(path):
    assert not broken_links(path, path.read_text("utf-8"))


def test_a_broken_link_is_caught():
    assert broken_links(HOME / "README.md", "see [here](docs/nowhere.md) and [there](README.md)") == ["docs/nowhere.md"]


@pytest.mark.parametrize("path", write_docs.pages(), ids=name)
def test_what_is_generated_is_up_to_date(path):
    assert path.read_text("utf-8") == write_docs.pages()[path](), "make tidy"


def test_a_stale_page_is_caught():
    assert write_docs.between("<!-- tree -->\nold\n<!-- /tree -->", "tree", "new") == "<!-- tree -->\nnew\n<!-- /tree -->"


def test_every_file_stands_in_the_tree_once():
    tree = write_docs.tree()
    for path in (HOME / "src" / "omma").rglob("*.py"):
        if path.name != "__init__.py":
            assert re.search(rf"^ +{re.escape(path.name)} +\S", tree, re.M), path.name


@pytest.mark.parametrize("path", ENGLISH, ids=name)
def test_both_languages_say_the_same_commands(path):
    for kind in ("sh", "python", "toml", "json", "math"):
        assert blocks(path, kind) == blocks(twin(path), kind)


@pytest.mark.parametrize("path", ENGLISH, ids=name)
def test_commands_have_the_flags_they_say(path):
    for text, _ in blocks(path, "sh"):
        for line in text.splitlines():
            words = shlex.split(line.split(" > ")[0])
            assert words[0] == "omma"
            flags.command_of(words[1]).make_context(words[1], words[2:])


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder like the one the pages speak of: photos/, new-pictures/, painting.jpg; the source `shapes` draws a tenth of its pictures."""
    monkeypatch.setattr(shapes, "PARTS", {part: count // 10 for part, count in shapes.PARTS.items()})
    draw = np.random.default_rng(0)
    monkeypatch.chdir(tmp_path)
    for where, count in (("photos/cat", 14), ("photos/dog", 14), ("new-pictures", 3)):
        (tmp_path / where).mkdir(parents=True)
        for i in range(1, count + 1):
            pixels = draw.integers(0, 90, (24, 24, 3)) + (140 if "cat" in where else 0) * np.array([1, 0, 0])
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / where / f"{i}.jpg", quality=95)
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "painting.jpg")
    return tmp_path


RUNS = [p for p in ENGLISH if any(run for kind in ("sh", "python") for _, run in blocks(p, kind))]


@pytest.mark.parametrize("path", RUNS, ids=name)
def test_every_example_runs(path, desk, capsys):
    """Top to bottom, as a reader would; budgets become two steps, so that a page takes seconds."""
    for text, run in blocks(path, "sh"):
        for line in text.splitlines() if run else ():
            words = shlex.split(BUDGET.sub('--budget "2 steps"', line.split(" > ")[0]))
            if words[1] == "train":
                words += ["threads=1", *SMALL[next((task for task in SMALL if task in words), "")]]
            assert cli.run(words[1:]) in (0, 1), f"{line}\n{capsys.readouterr().err}"
    room: dict = {}  # one session, as a reader has it
    for text, run in blocks(path, "python"):
        if run:
            small = re.sub(
                r'omma\.train\("photos/", budget="[^"]*"\)', 'omma.train("photos/", "threads=1", "size=32", budget="2 steps")', text
            )
            exec(compile(small, name(path), "exec"), room)


OVERVIEW = HOME / "docs" / "en" / "explanation" / "overview.md"


def inline(path: Path) -> list[str]:
    """The commands that stand in running text, with what they are to do."""
    found = re.findall(r"`(omma [^`]+)`", path.read_text("utf-8"))
    return [text for text in found if len(text.split()) > 2 or text == "omma demo"]


def test_the_overview_says_the_same_commands_in_both_languages_and_they_parse():
    found = inline(OVERVIEW)
    assert found == inline(twin(OVERVIEW)) and len(found) > 20
    for text in found:
        words = shlex.split(text)
        flags.command_of(words[1]).make_context(words[1], words[2:])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_command_of_the_overview_works(desk, capsys):
    more = {"train": ["threads=1", *SMALL[""]], "demo": ["--budget", "2 steps", "--out"]}
    for place, text in enumerate(inline(OVERVIEW)):
        words = shlex.split(BUDGET.sub('--budget "2 steps"', text))
        words += more.get(words[1], []) + [f"demo-{place}"] * (words[1] == "demo")
        fine = (0, 5) if words[1] == "compress" else (0, 1)  # refused: a network of two steps has nothing to keep
        assert cli.run(words[1:]) in fine, f"{text}\n{capsys.readouterr().err}"


@pytest.mark.parametrize("path", ENGLISH, ids=name)
def test_toml_blocks_are_toml(path):
    for text, _ in blocks(path, "toml"):
        tomllib.loads(text)


@pytest.mark.parametrize("path", sorted((HOME / "recipes").glob("*.toml")), ids=name)
def test_every_recipe_is_taken_and_says_what_it_reaches(path):
    from omma.recipe import Recipe

    recipe = Recipe().read(path)
    assert recipe.task and recipe.origin["budget"] == "file"
    head = path.read_text("utf-8").split("\n\n")[0].lower()
    assert all(word in head for word in ("data", "hardware", "minutes", "score")), "a recipe states data, hardware, minutes, score"
    assert "three seeds" in head and "benchmarks/" in head and f"--recipe recipes/{path.name}" in head

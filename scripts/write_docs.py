"""Write what is generated: the tree and the table in both READMEs, the reference pages, the code of the formula pages and its pictures.

`python scripts/write_docs.py`, or `make tidy`.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
SRC = HOME / "src" / "omma"
GRID = HOME / "docs" / "grid.json"
# What the pages of formulas show: each file is one page's code, in cells that begin with `# %% NAME`, and draws its pictures where it runs.
FORMULAS, DRAWN = HOME / "examples" / "formulas", HOME / "docs" / "pictures" / "formulas"
TONGUES = ("en", "zh")
ROOMS = {  # what each folder is for; files say it themselves
    "answers": "what people label and models reply: draws itself, speaks JSON",
    "checks": "what can be wrong with a dataset",
    "compressors": "smaller copies, one method a file",
    "data": "from files to batches",
    "engine": "how learning happens, whatever is learned",
    "explainers": "where an answer comes from, one method a file",
    "exporters": "files that answer without omma, one kind a file",
    "inside": "what happens between a picture and an answer, for the eye",
    "formats": "how a dataset lies on disk: sniff, read, write",
    "locale": "every sentence, in English and 中文",
    "losses": "one loss a file",
    "metrics": "one metric a file, and their intervals",
    "models": "networks, one family a file",
    "page": "a look inside as one file",
    "parts": "what several networks share",
    "report": "one self-contained page",
    "run": "a run from data to bundle",
    "runtimes": "who computes: eager, onnxruntime, OpenVINO — the fastest that agrees",
    "serving": "the verbs over HTTP",
    "tasks": "what can be learned",
    "verbs": "what you can do: one file = one function = one command",
}


def caption(path: Path) -> str:
    """The first line of a file."""
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n")[0].rstrip(".")


def tree() -> str:
    """Every file of the package with its caption."""

    def walk(folder: Path, depth: int) -> list[str]:
        rows = []
        for path in sorted(folder.iterdir(), key=lambda p: (p.is_dir(), p.name)):
            pad = "  " * depth
            if path.is_dir() and path.name not in ("__pycache__", "locale") and any(path.rglob("*.py")):
                rows += [f"{pad}{path.name + '/':<{28 - len(pad)}}{ROOMS.get(path.name, '')}".rstrip(), *walk(path, depth + 1)]
            elif path.suffix == ".py" and path.name != "__init__.py":
                rows.append(f"{pad}{path.name:<{28 - len(pad)}}{caption(path)}")
        return rows

    return "\n".join(["```", "src/omma/", *walk(SRC, 1), f"  {'locale/':<26}{ROOMS['locale']}", "```"])


def grid(tongue: str) -> str:
    """Task × verb, as the tests found it: ✓ works, – has no meaning (and says why)."""
    found = json.loads(GRID.read_text("utf-8"))
    head = {"en": "task", "zh": "任务"}[tongue]
    verbs = found["verbs"]
    rows = [f"| {head} | " + " | ".join(verbs) + " |", "|---|" + ":-:|" * len(verbs)]
    rows += [f"| {task} | " + " | ".join(cells[v] for v in verbs) + " |" for task, cells in found["cells"].items()]
    return "\n".join(rows)


def command_line(tongue: str) -> str:
    """The help of every verb."""
    from omma import catalog, cli, flags

    title = {"en": "# The command line", "zh": "# 命令行"}[tongue]
    note = {"en": "Written from `omma --help` by `make tidy`.", "zh": "由 `make tidy` 从 `omma --help` 生成。"}[tongue]
    pages = [title, "", note, "", "```", cli.overview(), "```"]
    for verb in catalog.names("verbs"):
        pages += ["", f"## {verb}", "", "```", flags.help_of(verb), "```"]
    return "\n".join(pages) + "\n"


def settings(tongue: str) -> str:
    """Every setting of the recipe and of the tasks."""
    from omma.verbs.show import show

    title = {"en": "# Settings", "zh": "# 设置"}[tongue]
    note = {
        "en": "Written from `omma show settings` by `make tidy`. Each is a `key=value` word of `omma train`, or a line of a recipe file; "
        "the values a run used, and where each came from, are in its `recipe.toml`.",
        "zh": "由 `make tidy` 从 `omma show settings` 生成。每一项都可以作为 `omma train` 的 `key=value`，或写进配方文件；"
        "一次运行用到的值及其来源见 `recipe.toml`。",
    }[tongue]
    head = {"en": "| key | value · what it does |", "zh": "| 键 | 取值 · 作用 |"}[tongue]
    rows = [f"| `{key}` | {text.replace('|', chr(92) + '|')} |" for key, text in show("settings").rows]
    return "\n".join([title, "", note, "", head, "|---|---|", *rows]) + "\n"


def cells(path: Path) -> dict[str, str]:
    """The cells of a file of formulas, by name."""
    found = re.split(r"^# %% (.+)\n", path.read_text("utf-8"), flags=re.M)[1:]
    return {name: text.strip() for name, text in zip(found[::2], found[1::2], strict=True)}


def with_cells(page: Path, path: Path) -> str:
    """A page of formulas, with the code of its file."""
    text = page.read_text("utf-8")
    for name, code in cells(path).items():
        text = between(text, f"{path.name}: {name}", f"```python\n{code}\n```")
    return text


def drawn() -> dict[str, str]:
    """Every picture of the formula pages, drawn anew: file name → SVG."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for path in sorted(FORMULAS.glob("*.py")):
            exec(compile(path.read_text("utf-8"), path.name, "exec"), {})
        return {path.name: path.read_text("utf-8") for path in sorted(Path(folder).glob("*.svg"))}


def between(text: str, mark: str, new: str) -> str:
    """A page with the part between two marks replaced."""
    pattern = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", re.S)
    assert pattern.search(text), f"the marks of {mark} are missing"
    return pattern.sub(lambda m: f"{m[1]}{new}\n{m[2]}", text)


def pages() -> dict[Path, Callable[[], str]]:
    """Every generated page and how it is made."""
    made: dict[Path, Callable[[], str]] = {}
    for tongue in TONGUES:
        readme = HOME / ("README.md" if tongue == "en" else "README.zh.md")
        made[readme] = lambda p=readme, t=tongue: between(between(p.read_text("utf-8"), "tree", tree()), "grid", grid(t))
        room = HOME / "docs" / tongue / "reference"
        made[room / "command-line.md"] = lambda t=tongue: in_tongue(t, command_line)
        made[room / "settings.md"] = lambda t=tongue: in_tongue(t, settings)
        for path in sorted(FORMULAS.glob("*.py")):
            page = HOME / "docs" / tongue / "explanation" / f"{path.stem}.md"
            made[page] = lambda p=page, f=path: with_cells(p, f)
    return made


def in_tongue(tongue: str, make: Callable[[str], str]) -> str:
    """A page made while omma speaks one language."""
    before = os.environ.get("OMMA_LANG")
    os.environ["OMMA_LANG"] = tongue
    try:
        return make(tongue)
    finally:
        os.environ.pop("OMMA_LANG") if before is None else os.environ.update(OMMA_LANG=before)


def main() -> None:
    """Write every page and picture that has changed."""
    pictures = {DRAWN / name: lambda svg=svg: svg for name, svg in drawn().items()}
    for path, make in (pages() | pictures).items():
        text = make()
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            print(path.relative_to(HOME), file=sys.stderr)


if __name__ == "__main__":
    main()

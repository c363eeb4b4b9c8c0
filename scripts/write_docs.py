"""Write what is generated: the tree and the table in both READMEs, the reference pages, the code of the formula pages and its pictures.

`python scripts/write_docs.py`, or `make tidy`.
"""

from __future__ import annotations

import ast
import json
import math
import os
import re
import sys
import tempfile
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
SRC = HOME / "src" / "omma"
GRID = HOME / "docs" / "grid.json"
# What the pages of formulas show: each file is one page's code, in cells that begin with `# %% NAME`, and draws its pictures where it runs.
FORMULAS, DRAWN = HOME / "examples" / "formulas", HOME / "docs" / "pictures" / "formulas"
COUNTS = HOME / "docs" / "gallery.json"
SCORES = HOME / "docs" / "leaderboard.json"
NETWORKS = HOME / "docs" / "pictures" / "networks"
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
    "pages": "what each page of the studio asks",
    "serving": "the verbs over HTTP",
    "studio": "the verbs, with a mouse",
    "tasks": "what can be learned",
    "verbs": "what you can do: one file = one function = one command",
}


GALLERY: dict[str, dict[str, Any]] = {
    "en": {
        "title": "# The gallery of networks",
        "note": "Written from `omma show NAME` by `make tidy`. Counts are at the published size and with the published head; what a paper "
        "says of itself stands beside them. In a drawing every box is what a stage gives: its height stands for pixels, its width for "
        "channels (both logarithmic), the numbers below are channels and side; the first box is the picture. "
        "`omma models` lists every network, "
        "`omma train DATA --model NAME` learns with it.",
        "scores": "[Scores on CIFAR-10](leaderboard.md): learned from nothing in {minutes:g} minutes on {cores} of {cpu} ({settings}; "
        "seeds: {seeds}), tested on 10,000 pictures, with the 95 % interval.",
        "cores": {1: "one core", 2: "two cores"},
        "plain": "no setting changed",
        "board": "network | year | accuracy | parameters | million multiply-adds | steps",
        "parameters": "parameters",
        "macs": "million multiply-adds",
        "paper": "the paper says",
        "figure": {"parameters": "{} parameters", "macs": "{} multiply-adds"},
        "names": "names:",
        "tasks": {
            "classify": "One class a picture",
            "detect": "Boxes",
            "instances": "Outlines",
            "segment": "A class for every pixel",
            "restore": "Better pictures",
            "stylize": "Paint like",
            "reconstruct": "What is odd",
            "generate": "Draw more",
        },
    },
    "zh": {
        "title": "# 网络画廊",
        "note": "由 `make tidy` 从 `omma show NAME` 生成。数量按论文发表时的尺寸与输出层计算，旁边是论文自己给出的数字。"
        "图中每个方块是一个阶段的输出：高度表示像素，宽度表示通道（均取对数），下面的数字是通道数与边长；第一个方块是图片。"
        "`omma models` 列出所有网络，"
        "`omma train DATA --model NAME` 用它学习。",
        "scores": "[CIFAR-10 成绩](leaderboard.md)：在 {cpu} 的{cores}上用 {minutes:g} 分钟从零学起（{settings}；种子数：{seeds}），"
        "以 10,000 张图片测试，附 95 % 区间。",
        "cores": {1: "一个核", 2: "两个核"},
        "plain": "未改任何设置",
        "board": "网络 | 年份 | 准确率 | 参数 | 百万次乘加 | 步数",
        "parameters": "个参数",
        "macs": "百万次乘加",
        "paper": "论文给出",
        "figure": {"parameters": "{} 个参数", "macs": "{} 次乘加"},
        "names": "名称：",
        "tasks": {
            "classify": "每张图片一个类别",
            "detect": "框",
            "instances": "轮廓",
            "segment": "逐像素分类",
            "restore": "修复图片",
            "stylize": "模仿画风",
            "reconstruct": "发现异常",
            "generate": "生成更多",
        },
    },
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


def gallery(tongue: str) -> str:
    """Every family of networks: what it brought, a drawing, its counts, its paper, its score."""
    from omma.models.gallery import families
    from omma.verbs.show import why_of
    from omma.words import say

    counts = json.loads(COUNTS.read_text("utf-8"))
    found = json.loads(SCORES.read_text("utf-8"))
    words = GALLERY[tongue]
    text = [words["title"], "", words["note"], "", facts(found, tongue), ""]
    for task, heading in words["tasks"].items():
        text += [f"## {heading}", ""]
        for one in families():
            if one.tasks[0] == task:
                text += [*_entry(one, counts[one.key], found["scores"], words, say(f"gallery.brought.{one.key}"), why_of(one.example)), ""]
    return "\n".join(text).rstrip("\n") + "\n"


def _entry(one: Any, counted: dict[str, Any], scores: dict[str, Any], words: dict[str, Any], brought: str, why: str) -> list[str]:
    """A family's part of the gallery page."""
    from omma.models.gallery import family

    (channels, size, _), told = one.input, {"parameters": one.parameters, "macs": one.macs}
    cost = f"{counted['parameters']:,} {words['parameters']}"
    if counted["macs"]:
        cost += f" · {counted['macs'] / 1e6:,.1f} {words['macs']}"
    figures = [words["figure"][key].format(what[one.example]) for key, what in told.items() if one.example in what]
    said = f" · {words['paper']} {', '.join(figures)}" if figures else ""
    lines = [f"### {one.example.rpartition('/')[2] if not one.ours else one.example}", "", f"{brought[0].upper()}{brought[1:]}.", ""]
    if len(counted["shapes"]) > 2:
        lines += [f"![{one.key}](../../pictures/networks/{one.key}.svg)", ""]
    lines += [f"- {one.year} · [{one.paper}]({one.source})", f"- `{one.example}`, {size}×{size}×{channels}: {cost}{said}"]
    if why:
        lines.append(f"- {why[0].upper()}{why[1:]}.")
    lines += [f"- CIFAR-10, `{name}`: {scored(row)}" for name, row in scores.items() if family(name) == one]
    names = ", ".join(f"`{name}`" for name in one.names)
    return [*lines, f"- {words['names']} {names}"]


def scored(row: dict[str, Any]) -> str:
    """An accuracy and its interval."""
    return f"{100 * row['accuracy']:.2f} % [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"


def facts(found: dict[str, Any], tongue: str) -> str:
    """What the scores of a leaderboard stand on: time, machine, settings, seeds."""
    words = GALLERY[tongue]
    told = {"minutes": found["seconds"] / 60, "settings": ", ".join(f"`{word}`" for word in found["settings"]) or words["plain"]}
    return words["scores"].format(**told, cores=words["cores"].get(found["cores"], found["cores"]), cpu=found["cpu"], seeds=found["seeds"])


def leaderboard(tongue: str) -> str:
    """What `benchmarks/leaderboard.py --publish` left, the best first."""
    from omma.models.gallery import family

    found = json.loads(SCORES.read_text("utf-8"))
    rows = [facts(found, tongue), "", f"| {GALLERY[tongue]['board']} |", "|---|--:|--:|--:|--:|--:|"]
    for name, row in sorted(found["scores"].items(), key=lambda pair: -pair[1]["accuracy"]):
        listed = family(name)
        assert listed, f"{name} is no network of the gallery"
        macs = f"{row['macs'] / 1e6:,.1f}" if row["macs"] else "–"
        rows.append(f"| `{name}` | {listed.year} | {scored(row)} | {row['parameters']:,} | {macs} | {row['steps']:,} |")
    return "\n".join(rows)


def drawing(shapes: list[list[int]]) -> str:
    """A network as boxes: as high as its maps have pixels, as wide as they have channels, both by their logarithm."""
    gap, middle, x, parts = 16, 70, 10.0, []
    for place, (channels, height, _) in enumerate(shapes):
        tall, wide = 12 + 12 * math.log2(max(height, 1)), 4 + 3 * math.log2(max(channels, 1))
        kind = "#8aa4bd" if place else "#c8b48a"
        parts.append(f'<rect x="{x:.1f}" y="{middle - tall / 2:.1f}" width="{wide:.1f}" height="{tall:.1f}" rx="2" fill="{kind}"/>')
        centre = x + wide / 2
        parts.append(f'<text x="{centre:.1f}" y="140" text-anchor="middle">{channels}</text>')
        parts.append(f'<text x="{centre:.1f}" y="153" text-anchor="middle">{height}²</text>')
        x += max(wide, 22) + gap
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {x:.0f} 162" width="{x:.0f}" height="162"'
    return f'{head} font-family="sans-serif" font-size="10" fill="#556">\n' + "\n".join(parts) + "\n</svg>\n"


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
        made[room / "gallery.md"] = lambda t=tongue: in_tongue(t, gallery)
        board = room / "leaderboard.md"
        made[board] = lambda p=board, t=tongue: between(p.read_text("utf-8"), "leaderboard", leaderboard(t))
    for key, row in json.loads(COUNTS.read_text("utf-8")).items():
        if len(row["shapes"]) > 2:
            made[NETWORKS / f"{key}.svg"] = lambda s=row["shapes"]: drawing(s)
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

"""A look inside as one page: everything in one file, nothing is requested, and no name in it is ever read as HTML."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from omma.inside.page.sheet import Sheet
from omma.report.page import digest, words
from omma.words import both, language, room

_HOME = Path(__file__).parent
_REPORT = _HOME.parent.parent / "report"
SCRIPTS = ("base", "maps", "network", "sums", "mixing", "moved", "layer", "views", "overview", "start")


def page(made: Sheet) -> str:
    """HTML that opens from a disk without a network, in light and dark, in English and 中文."""
    style = (_REPORT / "page.css").read_text("utf-8") + (_HOME / "look.css").read_text("utf-8")
    script = (_REPORT / "page.js").read_text("utf-8") + script_of()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest(style)}'; "
        f"script-src 'sha256-{digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    title = str(made.data["title"])
    parts = "".join(f'<script type="text/plain" id="p{i}">{text}</script>\n' for i, text in enumerate(made.parts.texts))
    return (
        f'<!doctype html>\n<html lang="{language()}" data-lang="{language()}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{html.escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{_body(title, made)}\n"
        f'<script type="application/json" id="words">{plain(sentences())}</script>\n'
        f'<script type="application/json" id="data">{plain(made.data)}</script>\n{parts}<script>{script}</script>\n</body>\n</html>\n'
    )


def framed(made: Sheet, styles: Iterable[str], scripts: Iterable[str]) -> str:
    """HTML that stands in a page of a server: styles and scripts by address, parts asked for, switches left to the page around it."""
    links = "".join(f'<link rel="stylesheet" href="{html.escape(one)}">\n' for one in styles)
    first, *later = (f'<script src="{html.escape(one)}"></script>\n' for one in scripts)
    title = str(made.data["title"])
    return (
        f'<!doctype html>\n<html lang="{language()}" data-lang="{language()}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n'
        f'<title>{html.escape(title)}</title>\n{links}{first}</head>\n<body class="framed">\n{_body(title, made, switches=False)}\n'
        f'<script type="application/json" id="words">{plain(sentences())}</script>\n'
        f'<script type="application/json" id="data">{plain(made.data)}</script>\n{"".join(later)}</body>\n</html>\n'
    )


def _body(title: str, made: Sheet, switches: bool = True) -> str:
    """The frame that the script fills; `switches` of language and theme, where nobody else has them."""

    picture = "sight" if switches else "picture"

    def section(key: str, name: str, lead: str = "") -> str:
        return f'<section><h2>{words(both(f"look.part_of.{name}"))}</h2>{lead}<div id="{key}"></div></section>'

    tools = (
        '<div class="tools"><button id="tongue" type="button"><span class="en" lang="zh">中文</span>'
        f'<span class="zh" lang="en">English</span></button><button id="theme" type="button">{words(both("report.theme"))}</button></div>'
    )
    folding = (
        f'<p class="quiet" id="totals"></p><div class="bar"><button id="fold" type="button">{words(both("look.page.fold"))}</button>'
        f'<button id="unfold" type="button">{words(both("look.page.unfold"))}</button><input id="seek" type="search"></div>'
    )
    tools = tools if switches else ""
    lead = both("look.lead", task=str(made.data["task"]), picture=str(made.data["picture"]["name"]))
    return (
        f"<header><div><h1>{html.escape(title)}</h1><p>{words(lead)}</p></div>{tools}</header>\n<main>\n"
        f'<noscript><p class="warn">{words(both("look.no_script"))}</p></noscript>\n'
        f"{section('sight', picture)}\n"
        f'<div class="walk">{section("map", "map", folding)}<section id="layer"></section></div>\n'
        f"{section('slopes', 'slopes')}\n{section('course', 'course')}\n{section('classical', 'classical')}\n</main>"
    )


def script_of() -> str:
    """All of the page's own script, as one function of its own."""
    body = "\n".join((_HOME / f"{name}.js").read_text("utf-8") for name in SCRIPTS)
    return f'(function () {{\n"use strict";\n{body}\n}})();\n'


def sentences() -> dict[str, dict[str, str]]:
    """What the script says, by key, in both languages; placeholders are filled there."""
    return {f"page.{name}": both(f"look.page.{name}") for key in room("en", "look") for name in re.findall(r"^page\.(.+)", key)}


def plain(value: Any) -> str:
    """JSON that cannot end the script it stands in, whatever names it holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return (
        text.replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("&", "\\u0026")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )

"""One self-contained HTML page: no request leaves it, every word from outside is escaped, every sentence is there in both languages."""

from __future__ import annotations

import base64
import hashlib
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from omma.words import LANGUAGES, both, language

if TYPE_CHECKING:
    import numpy as np

# What may stand wherever a person reads: a name or number as it is, or a sentence by language (see `words.both`).
LARGE = 400  # pixels
Text = str | int | float | dict[str, str]
# Pictures together; a page over 15 MB is slow to open on a phone.
PICTURE_BYTES = 10_000_000
_HOME = Path(__file__).parent


class Markup(str):
    """HTML that this package wrote itself; everything else is escaped."""


def words(text: Text, tag: str = "span") -> Markup:
    """Escaped HTML of a text; both languages lie side by side and the page shows one. Inside SVG the tag is `tspan`."""
    if isinstance(text, Markup):
        return text
    if isinstance(text, dict):
        if len(set(text.values())) == 1:
            return Markup(html.escape(next(iter(text.values()))))
        return Markup("".join(f'<{tag} class="{t}" lang="{t}">{html.escape(text[t])}</{tag}>' for t in LANGUAGES))
    return Markup(html.escape(str(text)))


class Page:
    """A report, written from top to bottom; every method returns the page.

    Args:
        title: the heading and the browser's title.
        lead: one line under the heading.
    """

    def __init__(self, title: Text, lead: Text = "") -> None:
        self.title, self.lead = title, lead
        self._parts: list[str] = []
        self._contents: list[tuple[str, Text]] = []
        self._room = PICTURE_BYTES
        self.left_out = 0

    def section(self, title: Text, text: Text = "") -> Self:
        """Begin a section: a heading, an entry in the contents, and a paragraph if there is one."""
        key = f"s{len(self._contents) + 1}"
        self._parts.append(("</section>" if self._contents else "") + f'<section id="{key}"><h2>{words(title)}</h2>')
        self._contents.append((key, title))
        return self.text(text) if text else self

    def heading(self, title: Text) -> Self:
        """A smaller heading inside a section."""
        self._parts.append(f"<h3>{words(title)}</h3>")
        return self

    def text(self, text: Text, kind: str = "") -> Self:
        """A paragraph; `kind` is `good`, `note`, `warn` or `quiet`."""
        self._parts.append(f'<p class="{kind}">{words(text)}</p>' if kind else f"<p>{words(text)}</p>")
        return self

    def cards(self, rows: Sequence[tuple[Text, Text, Text]]) -> Self:
        """Large numbers: (name, number, what stands under it)."""
        cells = "".join(
            f"<div><b>{words(name)}</b><strong>{words(value)}</strong><i>{words(below)}</i></div>" for name, value, below in rows
        )
        self._parts.append(f'<div class="cards">{cells}</div>')
        return self

    def table(self, rows: Sequence[Sequence[Text]], header: Sequence[Text] = (), kind: str = "") -> Self:
        """A table; cells may be `Markup` (a bar). The first column is text, others are set as numbers."""
        head = f"<thead><tr>{''.join(f'<th>{words(cell)}</th>' for cell in header)}</tr></thead>" if header else ""
        body = "".join(f"<tr>{''.join(f'<td>{words(cell)}</td>' for cell in row)}</tr>" for row in rows)
        wrap = "wide long" if len(rows) > 30 else "wide"
        self._parts.append(f'<div class="{wrap}"><table class="{kind}">{head}<tbody>{body}</tbody></table></div>')
        return self

    def facts(self, rows: Sequence[tuple[Text, Text]]) -> Self:
        """What something is, line by line: (what, value)."""
        self._parts.append(f"<dl>{''.join(f'<div><dt>{words(k)}</dt><dd>{words(v)}</dd></div>' for k, v in rows)}</dl>")
        return self

    def code(self, lines: Sequence[str]) -> Self:
        """Commands to copy."""
        self._parts.append(f"<pre>{html.escape(chr(10).join(lines))}</pre>")
        return self

    def chart(self, svg: str, caption: Text = "") -> Self:
        """A drawing from `report.charts`."""
        below = f"<figcaption>{words(caption)}</figcaption>" if caption else ""
        self._parts.append(f'<figure class="chart">{svg}{below}</figure>')
        return self

    def charts(self, drawings: Sequence[tuple[str, Text]]) -> Self:
        """Drawings side by side where there is room."""
        self._parts.append('<div class="pair">')
        for svg, caption in drawings:
            self.chart(svg, caption)
        self._parts.append("</div>")
        return self

    def picture(self, picture: np.ndarray, caption: Text = "", name: str = "") -> Self:
        """One picture, (H, W, 3) uint8; left out (and counted) once the page holds 10 MB of them."""
        return self.pictures([(picture, caption, name)])

    def pictures(self, rows: Sequence[tuple[np.ndarray, Text, str]], side: int = 320) -> Self:
        """Pictures in a row that wraps: (picture (H, W, 3) uint8, caption, file name); large ones are scaled to `side` pixels.

        Those of more than `LARGE` get the room to be looked at one by one.
        """
        figures = []
        for picture, caption, name in rows:
            source = _data(picture, side)
            if len(source) > self._room:
                self.left_out += 1
                continue
            self._room -= len(source)
            kind = ' class="dots"' if max(picture.shape[:2]) < 96 else ""
            shown = html.escape(name, quote=True)
            image = f'<img src="{source}" alt="{shown}" title="{shown}"{kind}>'
            figures.append(f"<figure>{image}<figcaption>{words(caption)}</figcaption></figure>")
        if figures:
            kind = "pictures large" if side > LARGE else "pictures"
            self._parts.append(f'<div class="{kind}">{"".join(figures)}</div>')
        return self

    def slide(self, before: np.ndarray, after: np.ndarray, true: np.ndarray, name: str) -> Self:
        """Two pictures of one size under a slider, and a third beside them: (H, W, 3) uint8 each, shown without loss, one to one."""
        sources = [_lossless(picture) for picture in (before, after, true)]
        size = sum(map(len, sources))
        if size > self._room:
            self.left_out += 1
            return self
        self._room -= size
        label = html.escape(name, quote=True)
        images = [
            f'<img src="{source}" alt="{label}" class="{kind}">' for source, kind in zip(sources, ("below", "above", ""), strict=True)
        ]
        bar = f'<input type="range" min="0" max="100" value="50" aria-label="{label}">'
        told = words(both("report.slide_of", name=name))
        self._parts.append(
            f'<div class="slides"><figure><div class="slide">{images[0]}{images[1]}{bar}</div><figcaption>{told}</figcaption></figure>'
            f"<figure>{images[2]}<figcaption>{words(both('report.slide_true'))}</figcaption></figure></div>"
        )
        return self

    def html(self) -> str:
        """The whole page as one text."""
        style, script = (_HOME / "page.css").read_text("utf-8").strip(), (_HOME / "page.js").read_text("utf-8").strip()
        # Only this style and this script may act; nothing may be fetched, framed or sent.
        policy = (
            f"default-src 'none'; img-src data:; style-src 'sha256-{digest(style)}'; script-src 'sha256-{digest(script)}'; "
            "base-uri 'none'; form-action 'none'"
        )
        if self.left_out:
            self.text(both("report.left_out", count=self.left_out), "quiet")
        contents = "".join(f'<a href="#{key}">{words(title)}</a>' for key, title in self._contents)
        close = "</section>" if self._contents else ""
        plain = self.title[language()] if isinstance(self.title, dict) else str(self.title)
        return (
            f'<!doctype html>\n<html lang="{language()}" data-lang="{language()}">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n'
            f"<title>{html.escape(plain)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
            f'<header><div><h1>{words(self.title)}</h1><p>{words(self.lead)}</p></div><div class="tools">'
            f'<button id="tongue" type="button"><span class="en" lang="zh">中文</span><span class="zh" lang="en">English</span></button>'
            f'<button id="theme" type="button">{words(both("report.theme"))}</button></div></header>\n'
            f"<nav>{contents}</nav>\n<main>\n{chr(10).join(self._parts)}{close}\n</main>\n<script>{script}</script>\n</body>\n</html>\n"
        )


def _data(picture: np.ndarray, side: int) -> str:
    """A picture as a data: address; small ones without loss, so that their pixels can be judged."""
    from PIL import Image

    image = Image.fromarray(picture)
    small = max(image.size) < 96
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    store = io.BytesIO()
    if small:
        image.save(store, "PNG", optimize=True)
    else:
        image.save(store, "JPEG", quality=82)
    return f"data:image/{'png' if small else 'jpeg'};base64,{base64.b64encode(store.getvalue()).decode()}"


def _lossless(picture: np.ndarray) -> str:
    from PIL import Image

    store = io.BytesIO()
    Image.fromarray(picture).save(store, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(store.getvalue()).decode()}"


def digest(text: str) -> str:
    """SHA-256 as a content security policy names it."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

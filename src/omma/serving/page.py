"""The pages of the service: everything inside, nothing fetched from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import escape
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse

from omma.words import LANGUAGES, language, room

_HERE = Path(__file__).parent


def front(card: dict[str, Any]) -> str:
    """The page to drop a picture on."""
    words = {
        tongue: {key.removeprefix("page."): text for key, text in room(tongue, "serve").items() if key.startswith("page.")}
        for tongue in LANGUAGES
    }
    facts = {"words": words, "language": language(), "card": card}
    # "<" may not appear in a data block, or a class called "</script>" would end it.
    blob = json.dumps(facts, ensure_ascii=False).replace("<", "\\u003c")
    return (_HERE / "page.html").read_text("utf-8").replace("{facts}", blob)


def docs(openapi: dict[str, Any]) -> str:
    """The OpenAPI description as a plain page."""
    rows = []
    for path, methods in openapi["paths"].items():
        for method, about in methods.items():
            answers = "".join(f"<li><code>{escape(code)}</code> {escape(r['description'])}</li>" for code, r in about["responses"].items())
            takes = ", ".join(about.get("requestBody", {}).get("content", {}))
            takes = f"<p>takes: <code>{escape(takes)}</code></p>" if takes else ""
            head = f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2><p>{escape(about.get('summary', ''))}</p>"
            rows.append(f"{head}{takes}<ul>{answers}</ul>")
    style = re.search(r"<style>.*?</style>", (_HERE / "page.html").read_text("utf-8"), re.DOTALL)
    assert style is not None
    info = openapi["info"]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>omma</title>{style[0]}</head><body><main><h1>omma {escape(info['version'])}</h1><p>{info['description']}</p>"
        f'<p><a href="/openapi.json">openapi.json</a> · <a href="/">/</a></p>{"".join(rows)}</main></body></html>'
    )


def response(html: str) -> HTMLResponse:
    """The page under a policy that runs its own script and nothing else."""

    def hashes(tag: str) -> str:
        parts = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(p.encode()).digest()).decode()}'" for p in parts) or "'none'"

    policy = (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; img-src blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return HTMLResponse(html, headers={"Content-Security-Policy": policy})

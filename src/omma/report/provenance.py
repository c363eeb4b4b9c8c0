"""Where a model came from and what to do with it next: the last sections of a report."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import omma
from omma.report.page import Page, Text
from omma.words import both, room

if TYPE_CHECKING:
    from omma.bundle import Bundle


def provenance(made: Page, bundle: Bundle, card: dict[str, Any]) -> None:
    """Model, weights, licence, data, digests, versions, and every setting with its origin."""
    made.section(both("report.section.provenance"))
    data, origin, weights = card.get("data", {}), card.get("origin", {}), card.get("weights", {})
    rows: list[tuple[Text, Text]] = [
        (both("report.from.model"), f"{card['model']} {_settings(card.get('model_settings', {}))}".strip()),
        (both("report.from.parameters"), f"{weights['parameters']:,}" if "parameters" in weights else "–"),
        (both("report.from.weights"), origin.get("weights") or both("report.from.scratch")),
        (both("report.from.licence"), origin.get("licence") or "–"),
        (both("report.from.views"), _settings(bundle.views.json())),
        (both("report.from.point"), _settings(bundle.point) or "–"),
        (both("report.from.data"), f"{data.get('where', '–')}" + (f" ({data['format']})" if data.get("format") else "")),
        *([(both("report.from.target"), str(data["target"]))] if data.get("target") else []),
        (both("report.from.digest"), str(data.get("digest", "–"))),
        (both("report.from.sha"), str(weights.get("sha256", "–"))),
        (both("report.from.versions"), _settings(card.get("versions", {}))),
        (both("report.from.omma"), omma.__version__),
    ]
    made.facts(rows)
    made.heading(both("report.recipe"))
    cells: list[list[Text]] = [[key, _value(value), _origin(origin)] for key, value, origin in bundle.recipe.rows()]
    made.table(cells, (both("report.setting"), both("report.value"), both("report.origin")))


def what_next(made: Page, bundle: Bundle, data: str) -> None:
    """The commands one says next, ready to copy."""
    made.section(both("report.section.next"))
    run = str(bundle.path.parent if bundle.path and bundle.path.name == "bundle" else bundle.path or "RUN")
    for key, line in {
        "predict": f"omma predict {shlex.quote(run)} PICTURES",
        "explain": f"omma explain {shlex.quote(run)} PICTURE",
        "compress": f"omma compress {shlex.quote(run)} --data {shlex.quote(data)}",
        "export": f"omma export {shlex.quote(run)} --to onnx --data {shlex.quote(data)}",
        "serve": f"omma serve {shlex.quote(run)}",
    }.items():
        made.text(both(f"report.next.{key}"), "quiet").code([line])


def _settings(values: dict[str, Any]) -> str:
    return " · ".join(f"{key} {_value(value)}" for key, value in values.items() if value not in (None, "", [], {}))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        shown = ", ".join(_value(one) for one in value[:12])
        return shown + (f" … ({len(value)})" if len(value) > 12 else "")
    return str(value)


def _origin(origin: str) -> Text:
    return both(f"report.origins.{origin}") if f"origins.{origin}" in room("en", "report") else origin

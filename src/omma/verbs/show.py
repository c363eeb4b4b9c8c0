"""The card of a trained model, a network's size, or what there is: models, tasks, formats, sources, settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omma import catalog
from omma.words import number, say

if TYPE_CHECKING:
    from omma.bundle import Bundle

LISTS = ("models", "tasks", "formats", "sources", "explainers", "compressors", "exporters", "losses", "settings")


@dataclass
class Card:
    """Facts about one thing, in order.

    Args:
        facts: what `--json` prints.
        rows: (what, value) as people read them.
    """

    facts: dict[str, Any]
    rows: list[tuple[str, str]]

    def json(self) -> dict[str, Any]:
        return self.facts

    def lines(self) -> list[str]:
        width = max((_columns(what) for what, _ in self.rows), default=0) + 2
        return [f"{what}{' ' * (width - _columns(what))}{value}".rstrip() for what, value in self.rows]


def show(what: str) -> Card:
    """Say what a model is: task, classes, size, scores with intervals, recipe, where it came from.

    Args:
        what: a bundle or run folder, a model's name, or one of the lists (models, tasks, formats, sources, settings …).

    Raises:
        BundleError: a folder that is no bundle, or a damaged one.
        OmmaError: no such folder, model or list.
    """
    if not Path(what).exists():
        if what in LISTS:
            return _list(what)
        if "/" not in what or what.startswith(("timm/", "torchvision/", "transformers/")):
            return _network(what)
    from omma import bundle

    return _card(bundle.open(what))


def _card(bundle: Bundle) -> Card:
    """Everything a person asks of a trained model before using it."""
    from omma.models.cost import cost as counted

    size = sum(file.stat().st_size for file in bundle.path.glob("*") if file.is_file()) if bundle.path else 0
    card = bundle.json()
    cost = counted(bundle.net, bundle.views.channels, bundle.views.size)
    facts = {**card, **cost, "bytes": size, "path": str(bundle.path)}
    scores, data = card.get("scores", {}), card.get("data", {})
    names = ", ".join(card["names"][:20]) + (f" … ({len(card['names'])})" if len(card["names"]) > 20 else "")
    rows = [
        (
            say("show.task"),
            f"{card['task']} · {catalog.caption('tasks', card['task'])}" if card["task"] in catalog.names("tasks") else card["task"],
        ),
        (say("show.names"), names),
        (say("show.model"), f"{card['model']}{_braces(card.get('model_settings'))}"),
        (say("show.size"), _cost_words(cost, size)),
        *_score_rows(scores),
        (say("show.views"), _braces(card["views"]).strip()),
        (say("show.point"), _braces(card["operating_point"]).strip() or "–"),
        (say("show.data"), f"{data.get('where', '?')} · {data.get('how_split', '')}".rstrip(" ·")),
        *([(say("show.target"), str(data["target"]))] if data.get("target") else []),
        (say("show.recipe"), _recipe_words(card.get("recipe", {}))),
        (say("show.origin"), _braces(card.get("origin")).strip() or say("show.random")),
        (say("show.made"), f"omma {card.get('omma', '?')} · {card.get('created', '')}"),
    ]
    if card.get("parent"):
        rows.append((say("show.parent"), _parent(card["parent"])))
    return Card(facts, [*rows, *((say("show.note"), str(note)) for note in card.get("notes", []))])


def _parent(parent: dict[str, Any]) -> str:
    """What a copy was made from and what that changed, on one line; a card of another hand is shown as it is."""
    try:
        parts = [str(parent["method"]), str(parent["sha256"])[:12]]
        for part in ("validation", "test"):
            if row := parent.get(part):
                parts.append(f"{part} {row['metric']} {row['before']['value']:.4f} → {row['after']['value']:.4f}")
        before, after = parent["speed"]["before"], parent["speed"]["after"]
        parts += [f"{before[key]:,.0f} → {after[key]:,.0f} {say(f'show.{key}')}" for key in ("one", "many")]
        return " · ".join(parts)
    except (LookupError, TypeError, ValueError):
        return _braces(parent).strip()


def _score_rows(scores: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for name, score in scores.get("metrics", {}).items():
        if isinstance(score, dict) and isinstance(score.get("value"), int | float):
            interval = f"[{number(score['low'])}, {number(score['high'])}]"
            rows.append((name, f"{number(score['value'], score.get('unit', ''))} {interval} · n {score['n']} · {scores.get('split', '?')}"))
    return rows or [(say("show.scores"), say("show.unmeasured"))]


def _recipe_words(recipe: dict[str, Any]) -> str:
    """What was set otherwise than by default, as key=value words."""
    origin = recipe.get("origin", {})
    words = [f"{key}={value}" for key, value in recipe.items() if origin.get(key, "default") != "default" and value is not None]
    return " ".join(words) or "–"


def _braces(values: dict[str, Any] | None) -> str:
    """Values of a table as ` key=value, …`; long ones shortened."""
    shown = []
    for key, value in (values or {}).items():
        if isinstance(value, float):
            value = f"{value:.4g}"
        elif isinstance(value, list | tuple):
            value = "[" + " ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in value[:8]) + (" …]" if len(value) > 8 else "]")
        shown.append(f"{key}={value}")
    return " " + ", ".join(shown) if shown else ""


def _network(name: str) -> Card:
    """A network that has not learned anything yet: who published it, and its parameters and multiply-adds at the published size."""
    if name not in catalog.names("models") and "/" not in name:
        raise catalog.unknown(say("show.thing"), name, [*catalog.names("models"), *LISTS])
    import torch

    from omma.models.cost import cost as counted
    from omma.models.gallery import family
    from omma.models.making import build, settings_of

    (channels, size, outputs), listed = _published(name), family(name)
    settings = settings_of(name) | (listed.settings if listed else {})
    with torch.device("meta"):  # shapes only: no memory, no weights
        net = build(name, channels=channels, size=size, outputs=outputs, **(listed.settings if listed else {}))
    cost = counted(net, channels, size)
    caption = catalog.caption("models", name) if name in catalog.names("models") else ""
    rows = [(say("show.model"), f"{name} {caption}".strip())]
    facts: dict[str, Any] = {"name": name, "paper": None, "year": None, "source": None}
    if listed is not None:
        facts |= {"paper": listed.paper, "year": listed.year, "source": listed.source}
        rows.append((say("show.paper"), f"{listed.paper} · {listed.year} · {listed.source}"))
    at = f"{size} × {size} × {channels}" + (f" → {outputs}" if outputs else "")  # of what draws without being asked for a class: none
    rows += [(say("show.size"), _cost_words(cost, 0)), (say("show.at"), at)]
    if listed is not None and (told := {k: v for k, v in (("parameters", listed.parameters), ("macs", listed.macs)) if name in v}):
        facts["published"] = {key: figures[name] for key, figures in told.items()}
        rows.append((say("show.published"), _braces(facts["published"]).strip()))
    if why := why_of(name):
        rows.append((say("show.why"), why))
    facts |= {"input": [channels, size, size], "outputs": outputs, "settings": settings, **cost}
    facts |= {"model": name, "size": size, "channels": channels}
    return Card(facts, [*rows, *((key, str(value)) for key, value in facts["settings"].items())])


def why_of(name: str) -> str:
    """Why a network's counts are not its paper's figures, in a line; empty where they are."""
    from omma.words import room

    return say(f"gallery.why.{name}") if f"why.{name}" in room("en", "gallery") else ""


def _published(name: str) -> tuple[int, int, int]:
    """Channels and side of the pictures a network was published for, and the outputs of its published head."""
    from omma.answers.placed import Placed
    from omma.models.gallery import family
    from omma.tasks.plan import PLACED_SIZES

    listed = family(name)
    if name.startswith("timm/"):
        catalog.need("timm", "timm", say("models.timm_networks"))
        import timm

        card = timm.get_pretrained_cfg(name.removeprefix("timm/"), allow_unregistered=True)
        if card is not None and card.input_size:
            return card.input_size[0], card.input_size[-1], card.num_classes or 1000
    if listed is not None:
        return listed.input[0], listed.sizes.get(name, listed.input[-1]), listed.outputs
    tasks = [catalog.find("tasks", task) for task in catalog.names("tasks")]
    if any(name in task.models for task in tasks if issubclass(task.answer, Placed)):
        return 3, PLACED_SIZES["balanced"], 10
    return (3, 224, 1000) if "/" in name else (3, 32, 10)


def _cost_words(cost: dict[str, Any], size: int) -> str:
    words = [say("show.parameters", count=f"{cost['parameters']:,}", layers=cost["layers"])]
    words += [say("show.macs", count=f"{cost['macs'] / 1e6:,.1f}")] if cost["macs"] else []
    if not size and cost["memory"]:
        words.append(say("show.memory", **{key: f"{count / 1e6:,.1f}" for key, count in cost["memory"].items()}))
    words += [f"{size / 1e6:.2f} MB"] if size else []
    return " · ".join(words)


def _list(what: str) -> Card:
    """Names with captions: of a room, of the sources, or of a recipe's settings."""
    if what == "sources":
        from omma.data.sources import sources

        rows = [(name, f"{source.task} · {source.licence}") for name, source in sorted(sources().items())]
    elif what == "settings":
        from omma.recipe import HINTS, SETTABLE

        rows = [(key, f"{_hint(HINTS[key], field)} · {say(f'recipe.about.{key}')}") for key, field in SETTABLE.items()]
        for task in catalog.names("tasks"):
            settings = catalog.find("tasks", task).SETTINGS
            rows += [
                (f"task.{key} ({task})", f"[{_like(default)}] · {_about(task, key, help)}") for key, (default, help) in settings.items()
            ]
        rows.append(("model.…", say("show.model_settings")))
    else:
        rows = [(name, catalog.caption(what, name)) for name in catalog.names(what)]
        if what == "models":
            rows += [(f"{family}/NAME", say(f"show.{family}")) for family in ("timm", "torchvision", "transformers")]
    return Card({what: dict(rows)}, rows)


def _hint(hint: Any, field: Any) -> str:
    """What a setting takes, and what it is when nobody says otherwise: the words to choose from, or a kind and its range."""
    from typing import Literal, get_args, get_origin

    inner = hint if get_origin(hint) is Literal or not get_args(hint) else next(a for a in get_args(hint) if a is not type(None))
    low, high = field.metadata.get("low"), field.metadata.get("high")
    kind = " | ".join(map(str, get_args(inner))) or ("yes | no" if inner is bool else "")
    if inner in (int, float):
        kind = f"{low:g} – {'∞' if high is None else f'{high:g}'}"
    default = say("show.open") if field.default is None else _like(field.default)
    return f"{kind} [{default}]".strip()


def _like(value: Any) -> str:
    """A value as one writes it on the command line."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _about(task: str, key: str, help: str) -> str:
    """What a task's setting is, in the reader's language; a plug-in speaks for itself."""
    from omma.words import room

    return say(f"recipe.about_{task}.{key}") if f"about_{task}.{key}" in room("en", "recipe") else help


def _columns(text: str) -> int:
    """Width on a terminal: 中文 takes two columns a sign."""
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)

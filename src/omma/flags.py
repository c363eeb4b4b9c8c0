"""From a verb's function to its flags and its help: signature, docstring and the words of both languages."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from typing import Any

import click

from omma import catalog
from omma.errors import OmmaError
from omma.words import language, room, say

Parameter = inspect.Parameter
BARE = ("settings", "paths")  # of these there may be none: a model that draws is asked by a seed


class Kind(click.ParamType):
    """A number or one of several words, refused in the reader's language."""

    def __init__(self, name: str, choices: tuple[str, ...] = ()) -> None:
        self.name, self.choices = name, choices

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        flag = param.opts[0] if param is not None else ""
        if self.choices and value not in self.choices:
            raise catalog.unknown(say("cli.value_of", flag=flag), str(value), list(self.choices))
        try:
            number = {"int": int, "float": float}.get(self.name, str)(value)
        except (TypeError, ValueError):
            raise OmmaError(say(f"cli.not_{self.name}", flag=flag, value=value)) from None
        if self.name == "float" and number != number:
            raise OmmaError(say("cli.not_float", flag=flag, value=value))
        return number


def function_of(verb: str) -> Callable[..., Any]:
    """The verb itself: the function named after its file."""
    return getattr(catalog.module("verbs", verb), verb)


def caller_of(verb: str) -> Callable[[Any, dict[str, Any]], Any]:
    """The verb as `call(watch, values)`: positional words in their places, the rest by name."""
    function = function_of(verb)

    def call(watch: Any, values: dict[str, Any]) -> Any:
        places: list[Any] = []
        named: dict[str, Any] = {}
        parameters = inspect.signature(function).parameters
        variadic = any(p.kind is Parameter.VAR_POSITIONAL for p in parameters.values())
        for name, parameter in parameters.items():
            if name == "watch":
                named["watch"] = watch
            elif name not in values:
                continue
            elif parameter.kind is Parameter.VAR_POSITIONAL:
                places += values[name]
            elif parameter.kind is Parameter.KEYWORD_ONLY or not variadic:
                named[name] = values[name]
            else:
                places.append(values[name])
        if "device" not in parameters and values.get("device") not in (None, "cpu", "auto"):
            watch.warn(say("cli.device_unused", verb=verb))
        return function(*places, **named)

    return call


def command_of(verb: str) -> click.Command:
    """A verb's function as a command whose flags are its parameters."""
    parameters = inspect.signature(function_of(verb)).parameters
    built: list[click.Parameter] = [
        _parameter(p, _positional(p, parameters)) for p in parameters.values() if p.name not in ("watch", "json")
    ]
    if "device" not in parameters:
        built.append(click.Option(["--device"], type=Kind("str"), metavar="DEVICE"))
    built.append(click.Option(["--json"], is_flag=True))
    return click.Command(verb, params=built, add_help_option=False)


def _positional(parameter: Parameter, among: Any) -> bool:
    """A word without a flag: what has no default, and what stands before a `*` or a `*rest`."""
    starred = any(p.kind in (Parameter.VAR_POSITIONAL, Parameter.KEYWORD_ONLY) for p in among.values())
    if parameter.kind is Parameter.VAR_POSITIONAL:
        return True
    return parameter.kind is Parameter.POSITIONAL_OR_KEYWORD and (parameter.default is Parameter.empty or starred)


def _parameter(parameter: Parameter, positional: bool) -> click.Parameter:
    needed = parameter.default is Parameter.empty
    kind, shown = _kind(parameter), metavar(parameter, positional)
    default: dict[str, Any] = {} if needed else {"default": parameter.default}  # click takes a default of None for one
    if parameter.kind is Parameter.VAR_POSITIONAL:
        return click.Argument([parameter.name], nargs=-1, required=parameter.name not in BARE, type=kind, metavar=shown)
    if positional:
        return click.Argument([parameter.name], type=kind, metavar=shown, required=needed, **default)
    flag = "--" + parameter.name.rstrip("_").replace("_", "-")
    if _is_flag(parameter):
        both = f"{flag}/--no-{flag[2:]}" if parameter.default is not False else flag
        return click.Option([parameter.name, both], is_flag=True, default=parameter.default)
    many = _names(parameter) & {"list", "Sequence", "tuple", "Iterable"}
    return click.Option([parameter.name, flag], type=kind, metavar=shown, multiple=bool(many), required=needed, **default)


def _names(parameter: Parameter) -> set[str]:
    """The words of an annotation, read as text: nothing is imported to know that something is an `int | None`."""
    text = "" if parameter.annotation is Parameter.empty else parameter.annotation
    text = text if isinstance(text, str) else getattr(text, "__name__", str(text))
    return set(re.findall(r"\w+", text))


def _is_flag(parameter: Parameter) -> bool:
    return isinstance(parameter.default, bool) or "bool" in _names(parameter)


def _kind(parameter: Parameter) -> Kind:
    names = _names(parameter)
    if "Literal" in names and isinstance(parameter.annotation, str):
        words = tuple(node.value for node in ast.walk(ast.parse(parameter.annotation)) if isinstance(node, ast.Constant) and node.value)
        return Kind("str", tuple(map(str, words)))
    return Kind("float" if "float" in names else "int" if "int" in names and "str" not in names else "str")


def metavar(parameter: Parameter, positional: bool = False) -> str:
    """How a value is shown in the usage line."""
    if parameter.name == "settings":
        return "key=value …"
    if parameter.kind is Parameter.VAR_POSITIONAL:
        return parameter.name.upper().removesuffix("S") + " …"
    if positional:
        return parameter.name.upper()
    kind = _kind(parameter)
    return "|".join(kind.choices) or {"int": "N", "float": "X"}.get(kind.name, parameter.name.rstrip("_").upper())


def say_or(key: str, otherwise: str) -> str:
    """A sentence of the command line, or what a plug-in says of itself."""
    name, _, rest = key.partition(".")
    return room(language(), name).get(rest) or otherwise


def help_of(verb: str) -> str:
    """What `omma VERB --help` prints: caption, usage, every word and flag, an example."""
    function = function_of(verb)
    notes, rows, usage = described(function), [], [f"omma {verb}"]
    for param in command_of(verb).params:
        name = str(param.name)
        text = say_or(f"cli.flag.{name}", "") or notes.get(name, "")
        if isinstance(param, click.Argument):
            shown = str(param.metavar)
            usage.append(shown if param.required else f"[{shown}]")
        else:
            takes = "" if getattr(param, "is_flag", False) else f" {param.metavar}"
            shown = "/".join([*param.opts, *param.secondary_opts]) + takes
            usage += [shown] if param.required else []
            default = None if isinstance(param.default, bool) or param.required else param.default
            text += f" [{default}]" if isinstance(default, str | int | float) else ""
        rows.append((shown, text))
    width = min(28, max(len(shown) for shown, _ in rows) + 2)
    lines = [f"  {shown:<{width}}{text}" if len(shown) < width else f"  {shown}\n  {'':<{width}}{text}" for shown, text in rows]
    caption = say_or(f"cli.verb.{verb}", catalog.caption("verbs", verb))
    more = say_or(f"cli.about.{verb}", "")
    example = say_or(f"cli.example.{verb}", f"omma {verb} --help")
    head = [caption, "", say("cli.usage_of", usage=" ".join(usage) + " " + say("cli.flags")), *(["", more.strip()] if more else [])]
    return "\n".join([*head, "", *lines, "", say("cli.example_is"), *(f"  {line}" for line in example.strip().splitlines())])


def described(function: Callable[..., Any]) -> dict[str, str]:
    """What the `Args:` part of a docstring says of each parameter."""
    text = inspect.cleandoc(function.__doc__ or "")
    _, _, part = text.partition("Args:\n")
    found: dict[str, str] = {}
    name = ""
    for line in part.splitlines():
        start = re.match(r"    \*?(\w+): (.*)", line)
        if start:
            name = start[1]
            found[name] = start[2]
        elif line.startswith("     ") and name:
            found[name] += " " + line.strip()
        elif line.strip():
            break
    return found

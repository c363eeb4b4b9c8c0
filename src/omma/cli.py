"""The command line: every file in verbs/ is a command, its function's parameters are the flags; help never imports torch."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn, TextIO

import click

import omma
from omma import catalog
from omma.console import Console, line_of, results, to_json
from omma.errors import DataError, DiskError, Interrupted, OmmaError
from omma.flags import caller_of, command_of, help_of, say_or
from omma.words import say

BUG, MEMORY, PIPE = 70, 71, 141
# The order in which people meet the verbs; others follow by name.
ROAD: tuple[str, ...] = (
    "demo", "check", "convert", "train", "evaluate", "predict", "explain", "look", "compress", "export", "serve", "studio", "show",
    "models",
)  # fmt: skip
# What an operating system says when a file could not be written or reached: for a person, not a bug of ours.
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


def main() -> NoReturn:
    """The `omma` script: words in, an exit code out."""
    if not os.environ.get("OMMA_DEBUG"):
        warnings.simplefilter("ignore")  # other people's; ours are told through the watch
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal without UTF-8 shows \u4e2d rather than nothing
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(words: list[str]) -> int:
    """One command, as `main` would run it; prints, and returns the exit code instead of leaving."""
    as_json = "--json" in words
    try:
        return _run(words)
    except BrokenPipeError:  # `omma predict … | head`: nobody reads on
        _hush(sys.stdout)
        return PIPE
    except (OmmaError, click.ClickException, KeyboardInterrupt, MemoryError, OSError) as error:
        if os.environ.get("OMMA_DEBUG"):
            traceback.print_exc()
        return _tell(_for_people(error), as_json)
    except Exception as error:
        told = OmmaError(say("cli.bug", kind=type(error).__name__, reason=_first_line(error), file=_traceback_file()))
        told.code = BUG
        return _tell(told, as_json)


def _run(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        verb = words[1] if words[:1] == ["help"] and len(words) > 1 else None
        print(help_of(_known(verb)) if verb else overview())
        return 0
    if words[0] in ("--version", "-V"):
        print(f"omma {omma.__version__}")
        return 0
    verb, rest = _known(words[0]), words[1:]
    if {"--help", "-h"} & set(rest[: rest.index("--")] if "--" in rest else rest):
        print(help_of(verb))
        return 0
    return perform(verb, rest)


def perform(verb: str, words: list[str]) -> int:
    """Read the flags of one verb, let it work, print what it found; returns the exit code."""
    command, call = command_of(verb), caller_of(verb)
    values = command.make_context(f"omma {verb}", list(words), resilient_parsing=False).params
    as_json, leader = bool(values.pop("json", False)), os.environ.get("RANK", "0") == "0"
    with results() as out, Console(quiet=not leader) as watch:
        result = call(watch, values)
        if getattr(result, "page", None) is not None:  # a verb says which page is to be opened: it does not know the studio
            from omma.studio.server import open_studio

            result = open_studio(result, watch)
        if isinstance(result, Iterator):
            for row in result:
                _print(out, row, as_json, watch, leader)
        elif result is not None:
            _print(out, result, as_json, watch, leader)
        out.flush()
    return int(getattr(result, "code", 0) or 0)


def _print(out: TextIO, result: Any, as_json: bool, watch: Console, leader: bool) -> None:
    """One result: an object of JSON on one line, or its lines; ranks other than the first are silent."""
    if not leader:
        return
    if as_json:
        watch.print(out, to_json(result.json() if hasattr(result, "json") else result))
    else:
        for line in result.lines() if hasattr(result, "lines") else [line_of(result)]:
            watch.print(out, line)


def overview() -> str:
    """What `omma --help` prints: every verb with its caption; nothing is imported but words."""
    verbs = catalog.names("verbs")
    order = [v for v in ROAD if v in verbs] + [v for v in verbs if v not in ROAD]
    width = max(map(len, order)) + 2
    rows = [f"  {verb:<{width}}{say_or(f'cli.verb.{verb}', catalog.caption('verbs', verb))}" for verb in order]
    return "\n".join([say("cli.title"), "", say("cli.usage"), "", *rows, "", say("cli.epilog")])


def _known(verb: str) -> str:
    if verb not in catalog.names("verbs"):
        raise catalog.unknown(say("cli.a_command"), verb, catalog.names("verbs"))
    return verb


def _for_people(error: BaseException) -> OmmaError:
    """Any error that is not a bug of ours, as one line with an exit code."""
    if isinstance(error, OmmaError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted(say("cli.interrupted"))
    if isinstance(error, click.ClickException):
        return _of_click(error)
    if isinstance(error, MemoryError):
        told = OmmaError(say("cli.memory"))
        told.code = MEMORY
        return told
    assert isinstance(error, OSError)
    reason = error.strerror or str(error)
    if error.errno in _DISK_FULL:
        return DiskError(say("cli.disk", reason=reason), error.filename, say("cli.disk_fix"))
    kind = DataError if isinstance(error, FileNotFoundError) else DiskError
    return kind(say("cli.file", reason=reason), error.filename)


def _of_click(error: click.ClickException) -> OmmaError:
    """What was wrong with the words, with the nearest flag that exists."""
    context = getattr(error, "ctx", None)
    name = context.info_name if context is not None else "omma"
    fix = say("cli.see_help", command=name)
    if isinstance(error, click.NoSuchOption) and context is not None:
        flags = [flag for p in context.command.params if isinstance(p, click.Option) for flag in (*p.opts, *p.secondary_opts)]
        return catalog.unknown(say("cli.a_flag"), error.option_name, flags, name)
    if isinstance(error, click.MissingParameter) and error.param is not None:
        shown = error.param.opts[0] if isinstance(error.param, click.Option) else error.param.make_metavar(context)  # type: ignore[arg-type]
        return OmmaError(say("cli.missing", name=shown), name, fix)
    return OmmaError(error.format_message(), name, fix)


def _tell(error: OmmaError, as_json: bool) -> int:
    """One line on stderr: with --json an object, so that a script need not read sentences; returns the exit code."""
    if as_json:
        where = None if error.where is None else str(error.where)
        row = {"kind": type(error).__name__, "code": error.code, "what": error.what, "where": where, "fix": error.fix}
        print(to_json({"error": row}), file=sys.stderr)
    else:
        print(f"omma: {error}", file=sys.stderr)
    return error.code


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]


def _traceback_file() -> str:
    """Where the details of a bug were written; they hold file names of this machine, so they are sent nowhere."""
    if os.environ.get("OMMA_DEBUG"):
        traceback.print_exc()
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="omma-bug-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(f"omma {omma.__version__}\n{sys.argv!r}\n\n{traceback.format_exc()}")
            return file.name
    except OSError:
        traceback.print_exc()
        return "stderr"


def _hush(stream: TextIO) -> None:
    """Nobody reads this stream any more: what Python still flushes at its end goes nowhere."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        return

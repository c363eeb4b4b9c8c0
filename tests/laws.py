"""The laws of the house as functions: each reads source under a folder and returns what breaks it, one line a finding."""

from __future__ import annotations

import ast
import re
import string
import tomllib
from collections.abc import Iterator
from pathlib import Path

FLOORS = [
    "errors words progress",
    "answers parts losses catalog",
    "models metrics recipe card",
    "data",
    "tasks formats engine",
    "bundle",
    "runtimes exporters explainers compressors checks report serving run inside",
    "verbs",
    "studio",
    "cli console flags testing __init__ __main__",
]
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms.split()}
# Rooms whose files are equals: one file an entry, as many as there are.
EQUALS = {
    "models",
    "formats",
    "metrics",
    "losses",
    "answers",
    "tasks",
    "verbs",
    "explainers",
    "exporters",
    "compressors",
    "runtimes",
    "checks",
}
LINES, BODY, FILES, METHODS = 400, 60, 15, 8
# The only places where such a thing may stand, each with its reason.
NETWORK_DOOR = {"data/store/fetch.py"}  # downloads by name, when asked
UNPICKLER_DOOR = re.compile(r"formats/\w+\.py$")  # a subclass whose find_class refuses everything but an allow-list
PT2_DOOR = re.compile(r"exporters/\w+\.py$")  # reloads what it has just written, in a child process
NETWORK = {"urllib.request", "http.client", "requests", "httpx", "ftplib", "aiohttp", "urllib3", "smtplib", "telnetlib"}


def sources(root: Path) -> Iterator[tuple[str, str, ast.Module]]:
    """(path below root, text, tree) of every Python file."""
    for path in sorted(root.rglob("*.py")):
        text = path.read_text("utf-8")
        yield path.relative_to(root).as_posix(), text, ast.parse(text)


def room_of(module: str) -> str:
    """`omma.data.views` → `data`; `omma` → `__init__`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports(tree: ast.AST, package: str = "omma") -> Iterator[tuple[int, str]]:
    """(line, module) of every import of this package, those inside functions too, those for type checkers left out."""
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for child in node.body
        for inner in ast.walk(child)
    }
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, a.name) for a in node.names if a.name.split(".")[0] == package)
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == package:
            if node.module == package:
                yield from ((node.lineno, f"{package}.{a.name}") for a in node.names)
            else:
                yield node.lineno, str(node.module)


def downhill(root: Path) -> list[str]:
    """Imports that climb, relative imports, and rooms without a floor."""
    found = []
    for name, _, tree in sources(root):
        room = name.split("/")[0].removesuffix(".py")
        if room not in FLOOR:
            found.append(f"{name}: room {room!r} has no floor")
            continue
        for line, module in imports(tree):
            if module != "omma" and FLOOR.get(room_of(module), 99) > FLOOR[room]:
                found.append(f"{name}:{line}: {room} imports {module}, which lies above")
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                found.append(f"{name}:{node.lineno}: relative import")
            inside = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "omma"
            if inside and FLOOR[room] < len(FLOORS) - 1 and node.attr != "__version__":
                found.append(f"{name}:{node.lineno}: omma.{node.attr} reaches above")
    return found


def circles(root: Path) -> list[str]:
    """Modules that import one another at their top."""
    graph: dict[str, set[str]] = {}
    for name, _, tree in sources(root):
        module = "omma." + name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        top = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        graph[module] = set()
        for node in top.body:
            for _, target in imports(node):
                whole = [f"{target}.{a.name}" for a in node.names] if isinstance(node, ast.ImportFrom) else []
                graph[module] |= {target, *whole}
    found, done = [], set()

    def walk(module: str, road: list[str]) -> None:
        if module in road:
            found.append(" → ".join([*road[road.index(module) :], module]))
        elif module not in done:
            for target in sorted(graph[module] & graph.keys()):
                walk(target, [*road, module])
            done.add(module)

    for module in graph:
        walk(module, [])
    return found


def sizes(root: Path) -> list[str]:
    """Files, functions and folders that have grown too large."""
    found = []
    for name, text, tree in sources(root):
        if (count := text.count("\n")) > LINES:
            found.append(f"{name}: {count} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (count := _code_lines(node)) > BODY:
                found.append(f"{name}:{node.lineno}: {node.name} has {count} lines")
    for folder in [root, *(p for p in root.rglob("*") if p.is_dir())]:
        count = sum(1 for p in folder.glob("*.py") if p.name != "__init__.py")
        if folder.name not in EQUALS and count > FILES:
            found.append(f"{folder.relative_to(root)}: {count} files")
    return found


def _code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring: what has to be held in mind."""
    first = node.body[0]
    said = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) is not None else 0
    return node.end_lineno - node.lineno + 1 - said


def captions(root: Path) -> list[str]:
    """Files whose first line is not a one-line caption."""
    found = []
    for name, text, tree in sources(root):
        caption = (ast.get_docstring(tree) or "").split("\n")[0]
        if not caption or not text.startswith('"""') or len(caption) > 140:
            found.append(f"{name}: no caption in its first line")
    return found


def public_docstrings(root: Path) -> list[str]:
    """Public functions and classes that say nothing about themselves; methods of a contract inherit theirs."""
    found = []
    for name, _, tree in sources(root):
        for node in tree.body:
            named = isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
            if named and not node.name.startswith("_") and not ast.get_docstring(node):
                found.append(f"{name}:{node.lineno}: {node.name} has no docstring")
    return found


def asks_for_task(root: Path, tasks: set[str]) -> list[str]:
    """Comparisons with a task's name outside of tasks/."""
    found = []
    for name, _, tree in sources(root):
        if name.startswith("tasks/"):
            continue
        for node in ast.walk(tree):
            parts: list[ast.expr] = []
            if isinstance(node, ast.Compare):
                parts = [node.left, *node.comparators]
            elif isinstance(node, ast.MatchValue):
                parts = [node.value]
            words = {c.value for part in parts for c in ast.walk(part) if isinstance(c, ast.Constant) and isinstance(c.value, str)}
            if words & tasks:
                found.append(f"{name}:{node.lineno}: asks whether the task is {', '.join(sorted(words & tasks))}")
    return found


def dangers(root: Path) -> list[str]:
    """Calls that execute what they read, unpack without looking, or speak to the network."""
    found = []
    for name, _, tree in sources(root):
        for node in ast.walk(tree):
            bad = _bad_call(node, name) if isinstance(node, ast.Call) else _bad_import(node, name)
            if bad:
                found.append(f"{name}:{node.lineno}: {bad}")
    return found


def _bad_call(node: ast.Call, name: str) -> str | None:
    dotted = ast.unparse(node.func)
    keywords = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
    if dotted in {
        "eval",
        "exec",
        "compile",
        "__import__",
        "os.system",
        "os.popen",
        "yaml.load",
        "marshal.loads",
        "marshal.load",
        "joblib.load",
    }:
        return dotted
    if re.fullmatch(r"(pickle|cPickle|dill|cloudpickle)\.(load|loads)|torch\.load|torch\.jit\.load|torch\.hub\.\w+", dotted):
        return dotted
    if dotted == "torch.export.load" and not PT2_DOOR.search(name):
        return dotted
    if dotted.endswith("pickle.Unpickler") or (dotted == "Unpickler"):
        return dotted  # only a subclass with its own find_class may be made
    if dotted.endswith(".extractall") or keywords.get("shell") is True or keywords.get("allow_pickle") is True:
        return dotted
    return None


def _bad_import(node: ast.AST, name: str) -> str | None:
    modules = (
        [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    )
    if set(modules) & NETWORK and name not in NETWORK_DOOR:
        return f"imports {modules[0]}"
    if (
        isinstance(node, ast.ImportFrom)
        and node.module == "urllib"
        and any(a.name == "request" for a in node.names)
        and name not in NETWORK_DOOR
    ):
        return "imports urllib.request"
    if "pickle" in modules and not UNPICKLER_DOOR.search(name):
        return "imports pickle"
    if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("Unpickler") for base in node.bases):
        methods = {m.name for m in node.body if isinstance(m, ast.FunctionDef)}
        return None if "find_class" in methods else "an Unpickler without find_class"
    return None


def sentences(locale: Path, tongue: str) -> dict[str, str]:
    """`room.key` → sentence of one language."""

    def flat(table: dict, prefix: str) -> Iterator[tuple[str, str]]:
        for key, value in table.items():
            yield from flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", str(value))]

    rows: dict[str, str] = {}
    for path in sorted((locale / tongue).glob("*.toml")):
        rows |= dict(flat(tomllib.loads(path.read_text("utf-8")), f"{path.stem}."))
    return rows


def holes(sentence: str) -> set[str]:
    """The placeholders of a sentence."""
    return {re.split(r"[.\[]", name)[0] for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def languages_agree(locale: Path) -> list[str]:
    """Keys or placeholders that one language has and the other has not; sentences left in the other's tongue."""
    en, zh = sentences(locale, "en"), sentences(locale, "zh")
    found = [f"{key}: only in {'en' if key in en else 'zh'}" for key in sorted(en.keys() ^ zh.keys())]
    for key in sorted(en.keys() & zh.keys()):
        try:
            if holes(en[key]) != holes(zh[key]):
                found.append(f"{key}: placeholders differ: {sorted(holes(en[key]))} {sorted(holes(zh[key]))}")
        except ValueError as error:
            found.append(f"{key}: {error}")
    return found


def said(root: Path, locale: Path) -> list[str]:
    """Calls of say() whose key does not exist, or whose values are not the sentence's placeholders."""
    en = sentences(locale, "en")
    found = []
    for name, _, tree in sources(root):
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("say", "both", "say_or") and node.args):
                continue
            if ast.unparse(node.func).endswith("watch.say"):
                continue
            for pattern in _keys(node.args[0]):
                keys = [key for key in en if re.fullmatch(pattern, key)]
                if not keys:
                    found.append(f"{name}:{node.lineno}: no sentence {pattern}")
                given = {k.arg for k in node.keywords}
                if len(keys) == 1 and None not in given and given - {"tongue"} != holes(en[keys[0]]):
                    found.append(f"{name}:{node.lineno}: {keys[0]} wants {sorted(holes(en[keys[0]]))}, is given {sorted(map(str, given))}")
    return found


def _keys(node: ast.expr) -> list[str]:
    """The keys an expression may stand for, as patterns; [] where it is a plain variable."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [re.escape(node.value)]
    if isinstance(node, ast.IfExp):
        return _keys(node.body) + _keys(node.orelse)
    if isinstance(node, ast.JoinedStr):
        return ["".join(re.escape(str(p.value)) if isinstance(p, ast.Constant) else ".*" for p in node.values)]
    return []


def unspoken(root: Path, locale: Path) -> list[str]:
    """Sentences nobody says: their key stands nowhere in the source, not even as a pattern."""
    exact: set[str] = set()
    patterns: set[str] = set()
    for _, _, tree in sources(root):
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                exact.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                pattern = _keys(node)[0]
                if re.match(r"[a-z_]+\\\.", pattern):
                    patterns.add(pattern)
    return [key for key in sentences(locale, "en") if key not in exact and not any(re.fullmatch(p, key) for p in patterns)]


def bare_sentences(root: Path) -> list[str]:
    """Errors and notes whose words stand in the source instead of in locale/."""
    found = []
    errors = {"OmmaError", "DataError", "BundleError", "Refused", "NotMeaningful", "NonFinite", "DiskError", "Interrupted"}
    for name, _, tree in sources(root):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            dotted = ast.unparse(node.func)
            if dotted in errors or re.fullmatch(r"(self\.)?watch\.(say|warn)", dotted):
                for value in (*node.args, *(k.value for k in node.keywords)):
                    text = "".join(str(c.value) for c in [value, *getattr(value, "values", [])] if isinstance(c, ast.Constant))
                    if re.search(r"[a-z]{2,} [a-z]{2,}", text):
                        found.append(f"{name}:{node.lineno}: {text[:60]!r} belongs to locale/")
    return found


def methods_of(root: Path, file: str, name: str) -> list[str]:
    """Public methods of a contract; properties aside, and a reader that only inverts a writer (`from_json`) counts with it."""
    tree = ast.parse((root / file).read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            own = [m for m in node.body if isinstance(m, ast.FunctionDef) and not m.name.startswith("_")]
            return [m.name for m in own if "property" not in map(ast.unparse, m.decorator_list) and not m.name.startswith("from_")]
    raise AssertionError(f"{file} has no {name}")


MACHINE = re.compile(
    r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+|tmp/\w{1,3})/"  # somebody's folders
    r"|[A-Z]:\\\\Users"
    r"|(?:extra-|--)?index-url\b|files\.python[h]osted|py[p]i\.org|artifactory|nexus\.|\bmirror[s]?\.[a-z0-9-]+\.(?:com|net|org|cn)"
)


def of_one_machine(files: dict[str, str]) -> list[str]:
    """Paths of a machine and hosts of a registry in files that travel."""
    return [
        f"{name}:{number}: {match[0]}"
        for name, text in files.items()
        for number, line in enumerate(text.splitlines(), 1)
        if (match := MACHINE.search(line))
    ]


def child_tests(folder: Path) -> list[str]:
    """Tests that start processes and run by default: importing costs seconds each time."""
    found = []
    for name, text, tree in sources(folder):
        helpers = {
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef)
            and not node.name.startswith("test")
            and re.search(r"subprocess\.|Popen|spawn", ast.unparse(node))
        }
        slow_file = "pytestmark" in text and "slow" in text.split("pytestmark")[1][:80]
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test") and not slow_file:
                body = ast.unparse(node)
                starts = re.search(r"subprocess\.|Popen", body) or any(re.search(rf"\b{h}\b", body) for h in helpers)
                if starts and not any("slow" in ast.unparse(d) or "gpu" in ast.unparse(d) for d in node.decorator_list):
                    found.append(f"{name}:{node.lineno}: {node.name}")
    return found

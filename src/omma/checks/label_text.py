"""Class names that differ only in case, spaces or Unicode form: `Cat`, `cat `, `ＣＡＴ` are one class to a person."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator

from omma.checks.conflicts import classes
from omma.checks.finding import Finding, Seen


def label_text(seen: Seen) -> Iterator[Finding]:
    """`label_variants`: several spellings of one name; `label_blank`: a name with spaces around it or invisible signs in it."""
    count = Counter(name for sample in seen.dataset.samples for name in classes(sample))
    spellings: dict[str, list[str]] = {}
    for name in sorted(count):
        spellings.setdefault(plain(name), []).append(name)
    several = {key: names for key, names in spellings.items() if len(names) > 1}
    if several:
        rename: dict[str, str] = {}
        for names in several.values():
            best = max(names, key=lambda name: (name == tidy(name), count[name], name))
            rename |= {name: tidy(best) for name in names if name != tidy(best)}
        shown = "; ".join(" = ".join(f"'{name}' ({count[name]})" for name in names) for names in list(several.values())[:6])
        yield Finding("label_variants", "fault", {"shown": shown}, files=[n for names in several.values() for n in names], rename=rename)
    blank = [name for key, names in spellings.items() if len(names) == 1 for name in names if name != tidy(name)]
    if blank:
        shown = ", ".join(repr(name) for name in blank[:8])
        yield Finding("label_blank", "fault", {"shown": shown}, files=blank, rename={name: tidy(name) for name in blank})


def tidy(name: str) -> str:
    """A name in composed Unicode form, without invisible signs, spaces around it or double spaces in it."""
    visible = "".join(c for c in unicodedata.normalize("NFC", name) if unicodedata.category(c) not in ("Cf", "Cc") or c in "\t\n")
    return " ".join(visible.split())


def plain(name: str) -> str:
    """What two spellings of one name share."""
    return " ".join(unicodedata.normalize("NFKC", tidy(name)).casefold().replace("_", " ").replace("-", " ").split())

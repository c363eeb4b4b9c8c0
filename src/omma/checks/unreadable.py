"""Files that cannot be decoded, and those that end too early."""

from __future__ import annotations

from collections.abc import Iterator

from omma.checks.finding import Finding, Seen
from omma.words import LANGUAGES, say


def unreadable(seen: Seen) -> Iterator[Finding]:
    """`truncated` and `unreadable`, each file with its reason."""
    cut = {say("decode.truncated", tongue) for tongue in LANGUAGES}
    short = [i for i, reason in sorted(seen.looks.errors.items()) if reason in cut]
    broken = [i for i, reason in sorted(seen.looks.errors.items()) if reason not in cut]
    for kind, places in (("truncated", short), ("unreadable", broken)):
        if places:
            reasons = {seen.dataset.samples[i].id: seen.looks.errors[i] for i in places}
            yield Finding(kind, "fault", places=places, reasons=reasons, drop=places)

"""How many objects each class has: none, too few, or far fewer than another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from omma.checks.conflicts import classes
from omma.checks.finding import Finding, Seen, some

FEW, UNEQUAL = 50, 10  # 50 objects give a recall ± 14 points; detectors bear more inequality than classifiers


def object_balance(seen: Seen) -> Iterator[Finding]:
    """`object_absent`, `object_few` and `object_unequal`, all advice; objects that are to be ignored do not count."""
    if not seen.objects:
        return
    counts = Counter(dict.fromkeys(seen.dataset.names, 0))
    counts.update(name for place, _ in seen.objects for name in classes(seen.dataset.samples[place]))
    absent = sorted(name for name in counts if not counts[name])
    if absent:
        yield Finding("object_absent", "advice", {"names": some(absent)}, files=absent)
    there = Counter({name: count for name, count in counts.items() if count})
    few = sorted((name for name in there if there[name] < FEW), key=lambda name: (there[name], name))
    if few:
        names = some([f"{name} ({there[name]})" for name in few])
        yield Finding("object_few", "advice", {"want": FEW, "names": names}, files=few)
    if len(there) > 1 and (ratio := max(there.values()) / min(there.values())) >= UNEQUAL:
        (most, high), (least, low) = there.most_common(1)[0], min(there.items(), key=lambda item: (item[1], item[0]))
        values = {"ratio": f"{ratio:.0f}", "most": most, "high": f"{high:,}", "least": least, "low": f"{low:,}"}
        yield Finding("object_unequal", "advice", values, files=[least])

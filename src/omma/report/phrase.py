"""An answer in a few letters, for captions; needs nothing that computes."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from omma.answers.answer import Answer
from omma.words import say


def phrase(answer: Answer | dict[str, Any]) -> str:
    """An answer, or its JSON, in a few letters: `cat (93%)`, `a, b`, `cells 12.4`, `3 RBC, 1 WBC`, `road 41 %, sky 22 %`."""
    row = answer.json() if isinstance(answer, Answer) else answer
    if "label" in row:
        return str(row["label"]) + (f" ({row['probability']:.0%})" if "probability" in row else "")
    if "labels" in row:
        names = [str(one["label"]) + (f" ({one['probability']:.0%})" if "probability" in one else "") for one in row["labels"]]
        return ", ".join(names) or "–"
    if "odd" in row or "anomaly" in row:
        word = say(f"reconstruct.{'odd' if row['odd'] else 'good'}") if "odd" in row else ""
        return f"{word} {row['anomaly']:.3g}".strip() if "anomaly" in row else word
    if "numbers" in row:
        return ", ".join(f"{name} {value:.4g}" for name, value in row["numbers"].items())
    if "boxes" in row:
        counts = Counter(one["label"] for one in row["boxes"])
        return ", ".join(f"{count} {name}" for name, count in counts.most_common(4)) or "–"
    if "pixels" in row:
        total = row["width"] * row["height"]
        most = sorted(row["pixels"].items(), key=lambda pair: -pair[1])[:3]
        return ", ".join(f"{name} {count / total:.0%}" for name, count in most) or "–"
    return json.dumps(row, ensure_ascii=False)[:60]

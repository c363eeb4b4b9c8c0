"""Count every family's example network for the gallery page: `python scripts/count_networks.py [FAMILY …]` fills docs/gallery.json.

Without a family those that are not there yet are counted.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
COUNTS = HOME / "docs" / "gallery.json"
MOST = 14  # boxes of a drawing


def shapes(name: str) -> list[list[int]]:
    """(channels, height, width) of what each stage of a network gives for one picture; where they repeat, once."""
    import torch

    from omma.models.gallery import family
    from omma.models.making import build

    one = family(name)
    assert one is not None
    with torch.device("meta"):
        net: Any = build(name, channels=one.input[0], size=one.input[1], outputs=one.outputs, **one.settings).eval()
    found: list[list[int]] = [list(one.input)]

    def look(module: Any, given: Any, output: Any) -> None:
        output = output[-1] if isinstance(output, list | tuple) and output else output
        if not isinstance(output, torch.Tensor) or output.shape[0] != 1 or output.dim() < 3:
            return
        if output.dim() == 3:  # tokens, on their grid
            side = math.isqrt(output.shape[1])
            shape = [output.shape[2], side, side]
        else:
            shape = [output.shape[1], *output.shape[-2:]]  # of a clip: one moment
        if shape != found[-1]:
            found.append(shape)

    for stage in net.stages():
        stage.register_forward_hook(look)
    given = (1, *one.input) if net.gives != "drawn" else (1, net.latent + net.classes)
    try:
        with torch.no_grad():
            net.to("meta")(torch.empty(given, device="meta"))
    except (NotImplementedError, RuntimeError):  # cannot run on shapes alone
        return []
    if net.gives == "drawn":
        found.pop(0)
    return found[:MOST]


def counted(name: str) -> dict[str, Any]:
    """Parameters, multiply-adds and shapes of one network as published."""
    from omma.verbs.show import show

    facts = show(name).json()
    return {"parameters": facts["parameters"], "macs": facts["macs"], "shapes": shapes(name)}


def main(keys: list[str]) -> None:
    """Write the counts of these families, or of those that are missing; what no longer exists goes."""
    from omma.models.gallery import families

    rows = json.loads(COUNTS.read_text("utf-8")) if COUNTS.exists() else {}
    listed = {one.key: one for one in families()}
    for key in keys or [key for key in listed if key not in rows or rows[key]["name"] != listed[key].example]:
        rows[key] = {"name": listed[key].example, **counted(listed[key].example)}
        lines = [f" {json.dumps(name)}: {json.dumps(rows[name])}" for name in listed if name in rows]
        COUNTS.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
        print(key, rows[key]["parameters"], rows[key]["macs"], file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Mean absolute error, in the numbers' own unit."""

from __future__ import annotations

from typing import Any

import numpy as np

from omma.metrics.counts import average
from omma.metrics.metric import Gallery, Records
from omma.metrics.residuals import OfNumbers

# More points than this make a scatter plot slow to open and no clearer.
POINTS = 1500


class Mae(OfNumbers):
    """Mean of |predicted − true|."""

    better = "lower"
    scale = "positive"

    def each(self, records: Records, weights: np.ndarray) -> np.ndarray:
        return average(np.abs(records["predicted"] - records["truth"]), weights)

    def figure(self, records: Records) -> dict[str, Any]:
        """True against predicted, evenly thinned to at most 1,500 points."""
        count = len(records["truth"])
        chosen = np.linspace(0, count - 1, min(count, POINTS)).astype(int)
        tables = {key: records[key][chosen].T.tolist() for key in ("truth", "predicted")}
        return {"kind": "scatter", "names": self.names, **tables}

    def galleries(self, records: Records, most: int = 12) -> list[Gallery]:
        """The pictures whose numbers are furthest off, each number measured in its own typical error."""
        off = np.abs(records["predicted"] - records["truth"])
        typical = np.maximum(off.mean(0), 1e-12) if len(off) else 1.0
        places = np.argsort(-(off / typical).max(1, initial=0.0), kind="stable")[:most].tolist()
        return [Gallery("furthest", places)] if places else []

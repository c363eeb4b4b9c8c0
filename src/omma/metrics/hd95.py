"""HD95: how far the outlines of a class are apart, all but the worst twentieth of them; in pixels or millimetres."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omma.metrics._of_classes import OfClasses
from omma.metrics._outlines import OfOutlines, nearest
from omma.metrics._pixels import foreground
from omma.metrics.counts import mean_of_defined
from omma.metrics.metric import Gallery, Records


class Hd95(OfOutlines, OfClasses):
    """The 95th percentile of the distances from one outline to the other, the larger of both directions (Huttenlocher et al. 1993).

    Mean over the pictures where either side shows the class, then over the classes without the background. A class that one side
    alone shows has no distance: it counts as the picture's diagonal, the most it could be, as leaving it out would reward whoever
    finds nothing. A region that runs out of the picture ends at the frame, as in MONAI.

    Args:
        names: the classes.
        spacing: millimetres from one row of pixels to the next, and from one column to the next; one number for both; () = in pixels.
    """

    better = "lower"
    scale = "positive"
    frame = True

    def __init__(self, names: Sequence[str], spacing: Sequence[float] = ()) -> None:
        super().__init__(names)
        self.unit = "mm" if len(spacing) else "px"
        if len(spacing):
            self.spacing = float(spacing[0]), float(spacing[-1])

    def one(self, told: np.ndarray, true: np.ndarray, diagonal: float) -> float:
        if not len(told) or not len(true):
            return diagonal
        return float(max(np.percentile(nearest(a, b), 95) for a, b in ((told, true), (true, told))))

    def averaged(self) -> np.ndarray:
        return foreground(self.names)

    def galleries(self, records: Records, most: int = 12) -> list[Gallery]:
        """The pictures whose outlines are furthest from the true ones."""
        own = mean_of_defined(records["value"][:, foreground(self.names)], axis=1)
        places = [int(i) for i in np.argsort(-own, kind="stable")[:most] if own[i] > 0]
        return [Gallery("furthest_outline", places)] if places else []

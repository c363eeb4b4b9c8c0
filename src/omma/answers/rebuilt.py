"""A picture as a network that knows only good ones would draw it: where it differs, something is odd."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from omma.answers.answer import Answer, six
from omma.answers.placed import Framed

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from omma.data.spatial.place import Place
    from omma.data.views import Views

ALARMS = 0.01  # share of good pictures that may be called odd, where nobody says another
HOT = 4.0  # times the typical error of a picture that is drawn in the strongest colour, at least


@dataclass(slots=True, eq=False)
class Rebuilt(Framed):
    """The picture rebuilt, how odd it is, and where. Of a truth only `odd` is known.

    Args:
        odd: whether it is not like the good ones; of a prediction without a threshold None.
        anomaly: how odd, 0–1: the error where it is largest beside what there is to see; see `tasks/reconstruct.py`.
        error: (S, S) float32, squared error around each pixel of the frame, 0–1; None of a truth.
        frame: (S, S, C) uint8, the frame as the network draws it; None of a truth.
        mean: mean squared error of the frame, 0–1.
        place: where the picture lies in the frame; None: it is the frame.
        shows: the classes by which a truth was judged; () where it has none.
    """

    odd: bool | None = None
    anomaly: float = float("nan")
    error: np.ndarray | None = None
    frame: np.ndarray | None = None
    mean: float = float("nan")
    place: Place | None = None
    shows: tuple[str, ...] = ()
    kind: ClassVar[str] = "rebuilt"
    compared: ClassVar[tuple[str, ...] | None] = ("anomaly", "mean")
    unkept: ClassVar[frozenset[str]] = frozenset({"error", "frame", "place"})

    def json(self) -> dict[str, Any]:
        """{"anomaly", "odd"}, those that are known."""
        row: dict[str, Any] = {} if self.anomaly != self.anomaly else {"anomaly": six(self.anomaly)}
        return row | ({} if self.odd is None else {"odd": self.odd})

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(data.get("odd"), float(data.get("anomaly", "nan")))

    def lie(self, place: Place) -> Self:
        return replace(self, place=place)

    @property
    def heat(self) -> np.ndarray:
        """(H, W) float32: `error` at the size of the picture, 0 where the frame does not show it; of the frame where no place is known."""
        import torch

        assert self.error is not None, "a truth has no map"
        if self.place is None:
            return self.error
        return (self.place.maps(torch.from_numpy(self.error)) * self.place.shown()).numpy()

    def png(self) -> bytes:
        """The map: grey, of the picture's size, white where the squared error is 1 (its root is drawn)."""
        from omma.answers import _png

        return _png.encode(np.rint(np.sqrt(self.heat.clip(0, 1)) * 255).astype(np.uint8)[..., None])

    def written(self, stem: Path) -> dict[str, Any]:
        """`json`, and "map": path of the map."""
        path = stem.with_name(f"{stem.name}.map.png")
        partial = path.with_name(f".{path.name}.partial")
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(self.png())
        partial.replace(path)
        return self.json() | {"map": str(path)}

    def draw(self, picture: np.ndarray) -> np.ndarray:
        """The picture, coloured where it differs from what was expected, and the verdict; where no map is kept, the verdict."""
        from omma.answers import draw
        from omma.words import say

        word = say("reconstruct.unknown" if self.odd is None else "reconstruct.odd" if self.odd else "reconstruct.good")
        if self.error is None:
            return draw.banner(picture, [word if self.anomaly != self.anomaly else f"{word} {self.anomaly:.3g}"])
        heat = self.heat
        # What every good picture shows a little of must not glow: the scale begins to be full well above the typical error.
        top = max(float(heat.max()), HOT * float(self.mean), 1e-6)
        return draw.banner(draw.overlay(draw.enlarge(picture), np.sqrt(heat.clip(0, None) / top)), [f"{word} {self.anomaly:.3g}"])

    def same(self, other: Answer, tolerance: float = 1e-3) -> bool:
        """Whether both are as odd, within `tolerance` of their size, at least 0.1; what is called odd follows from it.

        Two truths are the same where both are odd or both are not.
        """
        if not isinstance(other, Rebuilt):
            return False
        if self.anomaly != self.anomaly or other.anomaly != other.anomaly:
            return self.odd == other.odd
        return abs(self.anomaly - other.anomaly) <= tolerance * max(0.1, self.anomaly, other.anomaly)

    @classmethod
    def tensors(cls, truths: Sequence[Rebuilt], names: Sequence[str], views: Views | None = None) -> dict[str, torch.Tensor]:
        """{"odd": (B,) float, 1 or 0}; of what nobody knows 0."""
        import torch

        return {"odd": torch.tensor([float(bool(truth.odd)) for truth in truths])}

    @classmethod
    def fit(cls, tensors: dict[str, torch.Tensor], truth: dict[str, torch.Tensor], names: Sequence[str], goal: Any = "") -> dict[str, Any]:
        """{"threshold": from which anomaly on a picture is odd}, by good validation pictures alone; {} where there are none.

        Args:
            goal: share of good pictures that may be called odd, 0–1; see `threshold`.
        """
        good = tensors["anomaly"].double()[truth["odd"] < 0.5].tolist()
        return {"threshold": six(threshold(good, float(goal or ALARMS)))} if good else {}

    @classmethod
    def operate(cls, tensors: dict[str, torch.Tensor], point: dict[str, Any]) -> dict[str, torch.Tensor]:
        """{"anomaly": (B,), "odd": (B,) bool where there is a threshold, "mean": (B,), "error": (B, S, S), "rebuilt": (B, S, S, C)}."""
        out = {"anomaly": tensors["anomaly"].float()}
        if "threshold" in point:
            out["odd"] = out["anomaly"] > float(point["threshold"])
        rest = {"mean": tensors["mean"].float(), "error": tensors["error"].float()}
        return out | rest | {"rebuilt": tensors["rebuilt"].float().permute(0, 2, 3, 1)}


def threshold(scores: Sequence[float], alarms: float) -> float:
    """The score above which a share of `alarms` of pictures like these lie.

    Where there are enough of them (1 / `alarms`), halfway between the scores that lie around that share. Of fewer nothing of the kind was
    seen yet: the upper half is taken for an exponential tail, whose mean excess over the median says where so small a share begins; it
    is never below the largest score.
    """
    ranked = np.sort(np.asarray(scores, float))
    count = len(ranked)
    if count * alarms >= 1:
        place = count - int(count * alarms)  # so many lie below
        return float((ranked[place - 1] + ranked[place]) / 2)
    middle = float(np.median(ranked))
    excess = float((ranked[ranked >= middle] - middle).mean())
    # Nearly equal scores still differ a little on other pictures.
    tail = middle + excess * float(np.log(0.5 / alarms)) if alarms < 0.5 else middle
    return max(tail, float(ranked[-1]) * 1.01)

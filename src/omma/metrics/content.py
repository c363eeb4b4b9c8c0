"""Content: how much of what a picture shows is lost, seen by an encoder held out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from omma.metrics._reference import AgainstReference
from omma.metrics._styles import entering, judging
from omma.parts.style import coarser, from_content, told_content


class Content(AgainstReference):
    """Squared distance of features between answer and picture, over how much those of the picture vary; the mean of that.

    0 = nothing has changed; a painted picture has changed by intention, so this is read beside `Style` (feature reconstruction, Johnson
    et al. 2016).

    Args:
        names: not used.
        judge: name of the encoder, see `judging`.
    """

    better = "lower"
    scale = "positive"

    def __init__(self, names: Sequence[str], judge: str) -> None:
        super().__init__(names)
        self.judge = judge
        self.protocol = {"encoder": judging(judge).name}

    def value(self, said: Any, true: Any) -> float:
        with torch.no_grad():
            made, wanted = (told_content(coarser(judging(self.judge).maps(entering(one.pixels)))) for one in (said, true))
            return float(from_content(made, wanted))

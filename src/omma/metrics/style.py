"""Style: how far an answer still is from the style, as a share of how far the picture was, seen by an encoder held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from omma.metrics._reference import AgainstReference
from omma.metrics._styles import entering, judging
from omma.metrics.metric import Gallery, Records
from omma.models._styled import texture_of
from omma.parts.style import Texture, coarser, from_style

# (K, 3, P, P) uint8 and (K,) their shares; None where nobody knows them.
Paintings = Callable[[], tuple[torch.Tensor, torch.Tensor] | None]


class Style(AgainstReference):
    """Squared distance of Gram matrices (Gatys et al. 2016; Johnson et al. 2016) to the style's, of the answer over that of the picture.

    Of each picture; the whole is their mean: 0 is the style itself, 1 as far from it as before. The encoder is another one than pictures
    are made by, since those fit whatever it sees; numbers by several encoders do not compare. Several styles count by their shares.

    Args:
        names: not used.
        judge: name of the encoder, see `judging`.
        paintings: asked when it is measured.
    """

    better = "lower"
    scale = "positive"

    def __init__(self, names: Sequence[str], judge: str, paintings: Paintings) -> None:
        super().__init__(names)
        self.judge, self.paintings = judge, paintings
        self.protocol = {"encoder": judging(judge).name}
        self._wanted: list[tuple[torch.Tensor, torch.Tensor]] | None = None

    def value(self, said: Any, true: Any) -> float:
        """NaN where the style is not known, or the picture has it already."""
        if self._wanted is None:
            self._wanted = self._looked()
        if not self._wanted:
            return float("nan")
        with torch.no_grad():
            told = [float(from_style(coarser(judging(self.judge).maps(entering(one))), self._wanted)) for one in (said.pixels, true.pixels)]
        return told[0] / told[1] if told[1] > 0 else float("nan")

    def _looked(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        found = self.paintings()
        if found is None:
            return []
        paintings, mix = (one.cpu() for one in found)
        with torch.no_grad():
            texture: Texture = texture_of(judging(self.judge), paintings)
            return texture.mixed(mix[None])

    def galleries(self, records: Records, most: int = 12) -> list[Gallery]:
        """The pictures that are furthest from the style."""
        order = np.argsort(-records["value"], kind="stable")  # NaN is last
        places = [int(i) for i in order[:most] if not np.isnan(records["value"][i])]
        return [Gallery("worst_styled", places)] if places else []

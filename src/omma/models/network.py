"""What every network in the house can do beside `forward`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from omma.errors import OmmaError
from omma.words import say


class Network(nn.Module):
    """A body that turns pictures into features and a head that turns features into outputs.

    A subclass sets `self.head` and writes `features` and `maps`; `stages` serves freezing and layer-wise rates.
    """

    head: nn.Module
    # What `forward` gives: "row" (B, outputs); "pixels" (B, outputs, S, S) logits at frame resolution;
    # "objects": forward(pictures) → detections, forward(pictures, truth) → named losses;
    # "picture" (B, C, s·h, s·w) pictures, 0–1, at the size that came in or s times as large, see `_restorer.Restorer`;
    # "frame" (B, C, S, S): the frames it reads, which are not normalised, drawn again, see `autoencoder.Autoencoder`;
    # "drawn" (B, C, S, S) pictures, 0–1, from chance instead of pictures, see `_generator.Generator`.
    gives: ClassVar[str] = "row"
    name = ""  # as `making.build` was asked for it
    # Whether it can be trained from random weights; False: only from published ones.
    from_scratch: ClassVar[bool] = True
    # What a person should know about the weights it started from: {"weights": …, "licence": …}; empty = random.
    # Published weights also bring the mean and std of the pictures they were trained on.
    origin: dict[str, Any]
    # How it learns against a critic, see `parts/drawing/rivalry.py`; "" = without one.
    game: ClassVar[str] = ""
    # Of a network from pictures to pictures: whether it enlarges by its `scale`, or gets pictures that are enlarged already;
    enlarges: ClassVar[bool] = False
    # whether `forward` also takes the level of the noise, where that is known;
    hears_noise: ClassVar[bool] = False
    # whether what it says anywhere depends on all of the picture in a way that it can remember, see `still` and `steady` of
    # `_styled.Styled`, and whether a reduced copy tells it; whether even large pictures are answered in one piece;
    remembers: ClassVar[bool] = False
    reduced: ClassVar[bool] = True
    at_once: ClassVar[bool] = False
    # whether an answer is found by optimising the picture: then nothing learns, and no graph can answer.
    optimises: ClassVar[bool] = False
    # The network that goes on from this one's body where other answers are wanted (`train --from`); "" = one of the same name.
    continues: ClassVar[str] = ""
    # Parts of names as published files have them → as this network has them.
    RENAMED: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.origin = {}
        self.drop = nn.Dropout(0.0)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) pictures → (B, D, h, w): the last feature maps that still know where things are."""
        raise NotImplementedError

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, D, h, w) → (B, F) features."""
        raise NotImplementedError

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B, F): what the head reads, what `predict --embed` writes."""
        return self.pool(self.maps(pictures))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B, outputs)."""
        return self.head(self.drop(self.features(pictures)))

    def stages(self) -> list[nn.Module]:
        """The body from input to output in a few pieces, without the head: for freezing and layer-wise learning rates."""
        return [child for name, child in self.named_children() if name not in ("head", "drop")]

    def start(self, how: str) -> None:
        """Take weights from a .safetensors file; `no` does nothing, `yes` fetches the published ones where there are any.

        Raises:
            OmmaError: there are none, or the file does not fit.
        """
        if how == "no":
            return
        if how == "yes":
            raise OmmaError(say("models.no_published", model=self.name or type(self).__name__), None, say("models.no_published_fix"))
        from omma.parts.weights import fill, read

        fill(self, read(how), how, self.RENAMED)
        self.origin = {"weights": Path(how).name, "licence": "unknown"}

    def prepare(self, pictures: torch.Tensor) -> None:
        """Called once before step 1 with up to 4,096 normalised training pictures (B, C, H, W): data-dependent starts (whitening)."""

    def dead_ends(self) -> list[nn.Module]:
        """Modules that must keep their width when the network is pruned."""
        return [self.head]


def blank(gives: str, count: int, outputs: int) -> Any:
    """What a network of this kind gives when it sees nothing: of the right names and shapes, for whoever has to try what follows."""
    if gives == "pixels":
        return torch.zeros(count, outputs, 8, 8)
    if gives in ("picture", "frame", "drawn"):
        return torch.zeros(count, 1, 8, 8)
    if gives == "objects":
        corners, none = torch.zeros(count, 1, 4), torch.zeros(count, 1)
        return {"boxes": corners, "probabilities": none, "classes": none.long(), "masks": torch.zeros(count, 1, 8, 8)}
    return torch.zeros(count, outputs)


class Blank(Network):
    """Sees nothing, and gives what a network of this kind gives, see `blank`: stands for one whose weights are not wanted.

    Args:
        kind: as `Network.gives`.
        outputs: how many.
    """

    enlarges = True
    channels = 1

    def __init__(self, kind: str, outputs: int) -> None:
        super().__init__()
        self.kind, self.outputs = kind, outputs

    def forward(self, pictures: torch.Tensor) -> Any:
        return blank(self.kind, len(pictures), self.outputs)

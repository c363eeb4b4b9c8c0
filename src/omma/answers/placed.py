"""The part of the contract for answers that lie somewhere: their truth moves with the picture, their reply is carried back to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from omma.answers.answer import Answer

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from omma.data.spatial.windows import Spot, Window
    from omma.data.views import Views

Truth = dict[str, "torch.Tensor"]
Corners = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels of the picture


class Move(NamedTuple):
    """One picture's way onto another canvas; several on one canvas make a mosaic.

    Args:
        source: (B,) int64, whose picture it is, by its row in the batch.
        theta: (B, 3, 3), where each place of the canvas is read in that picture; both from −1 to 1, as `affine_grid` has it.
        window: (B, 4) corners x1, y1, x2, y2 of the part of the canvas it covers, −1 to 1; without area: it does not show.
    """

    source: torch.Tensor
    theta: torch.Tensor
    window: torch.Tensor


class Framed(Answer):
    """An answer about a frame that is told where its picture lies in it: maps of it can then be spread over the picture.

    Unlike what is `Placed`, it has as many numbers as the frame, however large the picture is; its truth does not move.
    """

    def lie(self, place: Any) -> Self:
        """A copy that knows its place, see `data/spatial/place.py`."""
        raise NotImplementedError

    def png(self) -> bytes:
        """Its map at the size of the picture, as a PNG file."""
        raise NotImplementedError

    def written(self, stem: Path) -> dict[str, Any]:
        """As of `Placed`."""
        return self.json()


class Placed(Answer):
    """An answer about places of its picture.

    A network sees frames (see `Views`): `tensors` are in pixels of the frame, and so are the outputs of `Task.infer`; answers are in
    pixels of the original. `locate` is what lies between, arithmetic that an exported model contains.

    Attributes:
        blends: `mix` has a meaning: two pictures may be shown through each other.
    """

    blends: ClassVar[bool] = False

    def meant(self, about: str | None, at: Corners | None) -> tuple[str | None, Corners | None]:
        """What a question about a name, or about a place in the picture, is about: the name and corners, as far as they are known."""
        return about, at

    def written(self, stem: Path) -> dict[str, Any]:
        """What scripts read, as `json`, with what is too large for a row in files called `stem` and more."""
        return self.json()

    def cut(self, windows: Sequence[Window]) -> list[Self]:
        """The answer about each of these parts of the picture; an object of which less than a quarter shows there is ignored."""
        raise NotImplementedError

    def aside_below(self, length: float) -> Self:
        """A copy in which objects shorter than `length` pixels are ignored: too small for a picture made small. Itself without objects."""
        return self

    @classmethod
    def turning(cls, truths: Sequence[Any], views: Views) -> Truth:
        """What `move` takes beside `tensors` to follow pictures that turn by any angle; {} for most."""
        return {}

    @classmethod
    def move(cls, truth: Truth, moves: Sequence[Move], size: int) -> Truth:
        """The truth of pictures that moved: what left the canvas is gone, what is cut is smaller.

        Args:
            truth: as `tensors` made it, of the pictures before.
            moves: what each canvas is made of; windows do not overlap.
            size: side of frame and canvas, pixels.
        """
        raise NotImplementedError

    @classmethod
    def locate(cls, tensors: dict[str, torch.Tensor], place: Spot | None, point: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Operated tensors of frames → the same about the pictures, all of one size; with None the frame is the picture.

        Where pictures are read in windows, each has `place.frames` rows one after the other.
        """
        raise NotImplementedError

"""Objects with their boxes, said at every point of a pyramid of maps: one stage, no anchors, made for training from nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from omma import catalog
from omma.errors import OmmaError
from omma.models.making import EXAMPLES
from omma.models.network import Network
from omma.parts import boxes as geometry
from omma.parts.assign import assign_batch
from omma.parts.pyramid import Body, Pyramid, Tower, grid
from omma.parts.suppress import pick
from omma.parts.unet import NORMS
from omma.parts.weights import read
from omma.words import say

NAMES = {
    "anchor-free": "detector: one stage, no anchors, learns from a few hundred pictures without pretrained weights",
    "anchor-free-small": "the same at a third of the arithmetic",
}
DEFAULTS = {"anchor-free": {"width": 32}, "anchor-free-small": {"width": 20}}
BLOCKS = {"anchor-free": (1, 2, 2, 2), "anchor-free-small": (1, 1, 1, 1)}
SMALLEST = 33  # pixels: two points a side at stride 32, or a batch of one picture has nothing to normalise
# A box before anything is learned, in strides: 32 pixels at stride 8, 128 at stride 32.
START = 4.0
# Probability of every class at every point before anything is learned (Lin et al. 2017, focal loss).
PRIOR = 0.01
BOX_WEIGHT = 2.0
# A point's cross-entropy counts as much as its word is off, to this power (Li et al. 2020).
FOCUS = 1
_REACH = 6.0  # e^±6: sides between 1/100 and 1600 strides


class AnchorFree(Network):
    """Residual body, pyramid, two towers; SimOTA says which points learn which object (after FCOS, YOLOX and RTMDet).

    The class output of a point is trained to be the IoU of its own box with the object (Li et al. 2020, Zhang et al. 2021): one number
    says what it is and how well it lies, and needs no second one beside it.

    Args:
        body: maps at rising strides: `forward(pictures) → list`, `.widths`, `.strides`, `.stages()`.
        width: channels of the pyramid.
        norm: `batch` or `group`.
        most: detections given back, K.
        overlap: of two boxes of one class that overlap more (IoU), the better one stays.
        outputs: classes.
    """

    gives: ClassVar[str] = "objects"

    def __init__(self, body: Any, width: int, norm: str, most: int, overlap: float, outputs: int) -> None:
        super().__init__()
        self.body = body
        self.neck = Pyramid(body.widths, width, norm)
        levels = len(body.widths)
        self.kind = Tower(width, 2, levels, norm)
        self.place = Tower(width, 2, levels, norm)
        self.sides = nn.Conv2d(width, 4, 1)
        self.head = nn.Conv2d(width, outputs, 1)
        nn.init.normal_(self.sides.weight, std=0.01)
        nn.init.normal_(self.head.weight, std=0.01)
        assert self.sides.bias is not None and self.head.bias is not None
        nn.init.zeros_(self.sides.bias)
        nn.init.constant_(self.head.bias, -math.log((1 - PRIOR) / PRIOR))
        self.most, self.overlap = most, overlap
        self._coarser: list[torch.Tensor] = []

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B, D, h, w): the finest level of the pyramid; the coarser ones are remembered for what must follow."""
        fine, *coarser = self.neck(self.body(pictures))
        self._coarser[:] = coarser
        return fine

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, D, h, w) → (B, D): mean."""
        self._coarser.clear()
        return maps.mean((2, 3))

    def dense(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """What every point says, before any is chosen.

        Returns:
            (B, A, outputs) logits; (B, A, 4) boxes, frame pixels; (A, 2) points; (A,) strides.
        """
        fine = self.maps(pictures)
        levels = self.neck.climb([fine, *self._coarser])
        self._coarser.clear()
        logits = [self.head(self.drop(level)) for level in self.kind(levels)]
        shapes = [self.sides(level) for level in self.place(levels)]
        points, strides = grid([(level.shape[2], level.shape[3]) for level in levels], self.body.strides, pictures.device)
        return _rows(logits), boxes_of(_rows(shapes).float(), points, strides), points, strides

    def forward(self, pictures: torch.Tensor, truth: dict[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:  # type: ignore[override]
        """Detections, see `pick`; with truth ("boxes", "classes", "ignored"): {"class", "box"}, scalar losses."""
        logits, boxes, points, strides = self.dense(pictures)
        if truth is not None:
            return losses(logits.float(), boxes, points, strides, truth)
        height, width = pictures.shape[2:]
        x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
        boxes = torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], -1)
        return pick(logits.float(), boxes, most=self.most, overlap=self.overlap)

    def start(self, how: str) -> None:
        """A file with the weights of a whole detector, or weights of the borrowed backbone: `yes`, or its classifier's file."""
        if how == "no" or not hasattr(self.body, "start") or (how != "yes" and any("neck." in key for key in read(how))):
            super().start(how)
        else:
            self.body.start(how)
            self.origin = self.body.origin

    def stages(self) -> list[nn.Module]:
        return [*self.body.stages(), self.neck, nn.ModuleList([self.kind, self.place, self.sides])]

    def dead_ends(self) -> list[nn.Module]:
        return [self.head, self.sides, self.neck, self.kind, self.place]


def _rows(levels: Sequence[torch.Tensor]) -> torch.Tensor:
    """(B, D, hᵢ, wᵢ) of every level → (B, A, D)."""
    return torch.cat([level.flatten(2) for level in levels], 2).transpose(1, 2)


def boxes_of(said: torch.Tensor, points: torch.Tensor, strides: torch.Tensor) -> torch.Tensor:
    """(B, A, 4) offset of the centre and logarithm of the sides, in strides → (B, A, 4) corners, frame pixels.

    The centre may lie off the point (Ge et al. 2021, YOLOX): a box smaller than the grid holds no point at all.
    """
    middle = points + said[..., :2] * strides[:, None]
    half = said[..., 2:].clamp(-_REACH, _REACH).exp() * (strides[:, None] * (START / 2))
    return torch.cat([middle - half, middle + half], -1)


def losses(
    logits: torch.Tensor, boxes: torch.Tensor, points: torch.Tensor, strides: torch.Tensor, truth: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Quality focal loss of every class at every point, and 1 − GIoU of the boxes that learn an object.

    The former (Li et al. 2020) is the cross-entropy with the IoU that the point should foresee, times how far off it is: without this the
    thousands of points that know there is nothing outweigh the few in small and rare objects, and those are never learned. How far off is
    not squared, as published: what tells two classes of similar objects apart would fade too soon (`shapes`, mAP 0.64 instead of 0.54).
    Both are sums over the batch, divided by how many points learn an object, or by the pictures where those are more: a batch
    without objects is as heavy as any other.

    Args:
        logits, boxes, points, strides: see `AnchorFree.dense`.
        truth: see `assign_batch`.
    """
    owners, aside = assign_batch(logits, boxes, points, strides, truth)
    picture, place = (owners >= 0).nonzero(as_tuple=True)
    row = owners[picture, place]
    mine, wanted = boxes[picture, place], truth["boxes"][picture, row].float()
    target = torch.zeros_like(logits)
    target[picture, place, truth["classes"][picture, row]] = geometry.iou(mine.detach(), wanted)
    off = (target - logits.detach().sigmoid()).abs()
    terms = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * off**FOCUS
    share = 1 / max(len(row), len(logits))
    return {
        "class": (terms * ~aside[..., None]).sum() * share,
        "box": (1 - geometry.giou(mine, wanted)).sum() * (share * BOX_WEIGHT),
    }


def build(
    name: str, *, channels: int, size: int, outputs: int, backbone: str = "own", width: int = 0, norm: str = "batch", finest: int = 8,
    most: int = 100, overlap: float = 0.45,
) -> AnchorFree:  # fmt: skip
    """`anchor-free` or `anchor-free-small`.

    Args:
        channels, size, outputs: see `omma.models.making.build`.
        backbone: `own`, or a classifier that can bring published weights: `timm/NAME`, `torchvision/NAME`.
        width: channels at stride 4; twice as many at 8, four times at 16, eight times at 32, twice in the pyramid.
        norm: `batch` or `group`.
        finest: stride of the finest level, 8, or 4 where objects are under 12 pixels.
        most: detections a picture, at most.
        overlap: see `AnchorFree`. Of held-out blood cells 0.3 to 0.6 find as many; boxes of large animals lie loosely and come twice above
            0.5 (raccoon, AP50 0.84 at 0.4, 0.80 at 0.6).

    Raises:
        OmmaError: a setting out of range, or pictures too small.
    """
    width = width or DEFAULTS[name]["width"]
    if norm not in NORMS:
        raise catalog.unknown("norm", norm, list(NORMS))
    if not (4 <= width <= 512 and finest in (4, 8) and 1 <= most <= 1000 and 0 < overlap < 1):
        reason = f"width={width}, finest={finest}, most={most}, overlap={overlap}"
        raise OmmaError(say("models.cannot_build", model=name, size=size, channels=channels, reason=reason))
    if size < SMALLEST:
        raise OmmaError(say("models.too_small", size=size, smallest=SMALLEST))
    if "/" in backbone:
        from omma.models._levels import Levels

        return AnchorFree(Levels(backbone, channels, size, finest), 2 * width, norm, most, overlap, outputs)
    if backbone != "own":
        raise catalog.unknown("backbone", backbone, ["own", *EXAMPLES])
    body = Body(channels, [width, 2 * width, 4 * width, 8 * width], BLOCKS[name], norm, finest)
    return AnchorFree(body, 2 * width, norm, most, overlap, outputs)

"""YOLOv2 and YOLO9000 (Redmon & Farhadi 2017): anchors found by k-means, finer maps passed through, a tree of words."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from omma.errors import OmmaError
from omma.models.network import Network
from omma.parts import boxes as geometry
from omma.parts.classics.darknet import COARSE, FINE, anchors_of, cells, conv, corners, narrowed, owners, shape_iou, trunk
from omma.parts.classics.wordtree import WordTree
from omma.parts.suppress import pick
from omma.words import say

NAMES = {
    "yolo-v2": "YOLOv2 (Redmon & Farhadi 2017): five anchors found by k-means in your boxes, finer maps passed through",
    "yolo-v2-small": "the same with a quarter of the channels",
    "yolo-9000": "YOLO9000 (Redmon & Farhadi 2017): three anchors, and classes that hang in a tree (tree=0-1-1 …)",
}
SHARE = {"yolo-v2-small": 4}
ANCHORS = {"yolo-9000": 3}
STRIDE = 32
SMALLEST = 64
# Weights of the terms, and the overlap from which a box that learns no object is left alone (the authors' yolo-voc.cfg).
COORD, OBJECT, NO_OBJECT, CLASS, SPARED = 1.0, 5.0, 1.0, 1.0, 0.6
_REACH = 6.0  # e^±6: sides between 1/400 and 400 anchors


class YoloV2(Network):
    """Every cell of the coarsest maps says for each of K anchors: where, how large, whether, and what.

        C×416×416 → 512×26×26 ─1×1→ 64×26×26 ─four pixels into channels→ 256×13×13 ┐
                        └→ 1024×13×13 ─two 3×3→ 1024×13×13 ──────────────────────── ┴→ 3×3 1024 → K·(5 + C)×13×13

        x = (σ(tx) + cell) · 32    y alike    w = anchor · e^tw    h alike    confidence σ(to)    class by softmax, or by the tree

    Anchors are shapes in pixels: k-means over the true boxes finds them before step 1. Any picture size from 64.

    Args:
        share: of how many of the published channels one is left.
        anchors: K.
        tree: parent of each class from 1 on, 0 = the root; () = a plain softmax.
        sure: the tree is followed down while a class is at least so probable.
        most, overlap: see `omma.parts.suppress.pick`.
        channels, size, outputs: see `omma.models.making.build`.
    """

    gives: ClassVar[str] = "objects"
    anchors: torch.Tensor

    def __init__(
        self, share: int, anchors: int, tree: tuple[int, ...], sure: float, most: int, overlap: float,
        channels: int, size: int, outputs: int,
    ) -> None:  # fmt: skip
        super().__init__()
        width = 1024 // share
        self.fine, self.coarse = trunk(channels, narrowed(FINE, share)), trunk(512 // share, narrowed(COARSE, share))
        self.deeper = nn.Sequential(conv(width, width, 3), conv(width, width, 3))
        self.through, self.join = conv(512 // share, 64 // share, 1), conv(width + 256 // share, width, 3)
        self.head = nn.Conv2d(width, anchors * (5 + outputs), 1)
        nn.init.normal_(self.head.weight, std=0.01)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        self.tree, self.sure = WordTree(tree, outputs), sure
        self.outputs, self.most, self.overlap = outputs, most, overlap
        # Until it has seen boxes: squares from a twelfth to the whole of the picture.
        self.register_buffer("anchors", torch.logspace(-1.1, 0, anchors)[:, None].expand(-1, 2) * size)

    def look_at(self, truth: dict[str, torch.Tensor]) -> None:
        """Take the shapes of these true boxes for anchors ("boxes" (B, M, 4) frame pixels, "classes" (B, M), −1 = none)."""
        boxes = truth["boxes"][truth["classes"] >= 0].float()
        if len(boxes):
            self.anchors.copy_(anchors_of(boxes[:, 2:] - boxes[:, :2], len(self.anchors)))

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B, D, ⌈H / 32⌉, ⌈W / 32⌉): what the head reads."""
        fine = self.fine(pictures)
        coarse = self.deeper(self.coarse(fine))
        passed = self.through(fine)
        passed = F.pad(passed, (0, passed.shape[3] % 2, 0, passed.shape[2] % 2))
        return self.join(torch.cat([F.pixel_unshuffle(passed, 2), coarse], 1))

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, D, h, w) → (B, D)."""
        return maps.mean((2, 3))

    def dense(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What is said: (B, A, 5) tx, ty, tw, th, to; (B, A, outputs) class logits; (A, 4) cell's x, y and its anchor's sides, pixels.

        A counts cells line by line, and in each its anchors.
        """
        said = self.head(self.drop(self.maps(pictures))).float()
        rows, columns, count = said.shape[2], said.shape[3], len(self.anchors)
        said = said.unflatten(1, (count, -1)).permute(0, 3, 4, 1, 2).flatten(1, 3)
        grid = cells(rows, columns, said.device).repeat_interleave(count, 0)
        return said[..., :5], said[..., 5:], torch.cat([grid, self.anchors.repeat(rows * columns, 1)], 1)

    def forward(self, pictures: torch.Tensor, truth: dict[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:  # type: ignore[override]
        """Detections, see `pick`; with truth ("boxes", "classes", "ignored"): {"box", "object", "nothing", "class"}, scalar losses."""
        rows, logits, grid = self.dense(pictures)
        if truth is not None:
            return self.losses(rows, logits, grid, truth, pictures.shape[2:])
        height, width = pictures.shape[2:]
        boxes = boxes_of(rows, grid)
        x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
        boxes = torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], -1)
        sure = rows[..., 4:].sigmoid() * self.tree.chosen(logits, self.sure)
        return pick(torch.logit(sure.clamp(1e-6, 1 - 1e-6)), boxes, most=self.most, overlap=self.overlap)

    def losses(
        self, rows: torch.Tensor, logits: torch.Tensor, grid: torch.Tensor, truth: dict[str, torch.Tensor], extent: torch.Size
    ) -> dict[str, torch.Tensor]:
        """Squares for places and confidence, −log of the class; sums, divided by the pictures.

        An object is learned by the anchor most like it in shape, in the cell of its middle, with the weight 2 − its share of the picture,
        so that small ones count as much. The confidence learns the overlap. Boxes that overlap some object by over 0.6 are left alone, the
        others learn to be sure of nothing.

        Args:
            rows, logits, grid: see `dense`.
            truth: "boxes" (B, M, 4) frame pixels, "classes" (B, M), −1 = none, "ignored" (B, M).
            extent: height and width of the pictures.
        """
        wanted, count = truth["boxes"].float(), len(self.anchors)
        there = truth["classes"] >= 0
        learned = there & ~truth["ignored"]
        sides, middle = (wanted[..., 2:] - wanted[..., :2]).clamp_min(0), (wanted[..., :2] + wanted[..., 2:]) / (2 * STRIDE)
        high, wide = -(-extent[0] // STRIDE), -(-extent[1] // STRIDE)
        x, y = middle[..., 0].floor().clamp(0, wide - 1), middle[..., 1].floor().clamp(0, high - 1)
        kind = shape_iou(sides.flatten(0, 1), self.anchors).argmax(1).view(sides.shape[:2])
        slots = ((y * wide + x) * count).long() + kind
        owner = owners(wanted, slots, learned, rows.shape[1])
        picture, slot = (owner >= 0).nonzero(as_tuple=True)
        row = owner[picture, slot]
        boxes, target, mine = boxes_of(rows, grid), wanted[picture, row], rows[picture, slot]
        found = geometry.iou(boxes[picture, slot].detach(), target)
        with torch.no_grad():
            near = geometry.pairs(boxes, wanted) * there[:, None]
            quiet = (near.amax(2) if near.shape[2] else near.new_zeros(near.shape[:2])) < SPARED
            quiet[picture, slot] = False
        aim = (middle[picture, row] - grid[slot, :2]).clamp(0, 1)
        stretch = (sides[picture, row].clamp_min(1e-3) / grid[slot, 2:].clamp_min(1e-3)).log().clamp(-_REACH, _REACH)
        weight = 2 - sides[picture, row].prod(-1) / float(extent[0] * extent[1])
        off = (mine[:, :2].sigmoid() - aim).square().sum(1) + (mine[:, 2:4] - stretch).square().sum(1)
        share = 1 / len(rows)
        said = rows[..., 4].sigmoid()
        return {
            "box": COORD * share * (weight * off).sum(),
            "object": OBJECT * share * (said[picture, slot] - found).square().sum(),
            "nothing": NO_OBJECT * share * (said.square() * quiet).sum(),
            "class": CLASS * share * self.tree.loss(logits[picture, slot], truth["classes"][picture, row]).sum(),
        }

    def stages(self) -> list[nn.Module]:
        """From input to output."""
        layers = [*self.fine, *self.coarse, self.deeper, self.through, self.join]
        return [layer for layer in layers if any(True for _ in layer.parameters())]


def boxes_of(rows: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """(B, A, 5) and (A, 4) of `YoloV2.dense` → (B, A, 4) corners, frame pixels."""
    middle = (rows[..., :2].sigmoid() + grid[:, :2]) * STRIDE
    return corners(middle, rows[..., 2:4].clamp(-_REACH, _REACH).exp() * grid[:, 2:])


def build(
    name: str, *, channels: int, size: int, outputs: int, anchors: int = 0, tree: tuple[int, ...] = (), sure: float = 0.5, most: int = 100,
    overlap: float = 0.5,
) -> YoloV2:  # fmt: skip
    """`yolo-v2` (`anchors=5`) or `yolo-9000` (`anchors=3`, `tree=0-1-1` with the parent of each class, 0 for the root).

    Raises:
        OmmaError: a setting out of range, a tree that is none, or pictures too small.
    """
    if size < SMALLEST:
        raise OmmaError(say("models.too_small", size=size, smallest=SMALLEST))
    anchors = anchors or ANCHORS.get(name, 5)
    if not (1 <= anchors <= 32 and 0 < sure < 1 and 1 <= most <= 1000 and 0 < overlap < 1):
        reason = f"anchors={anchors}, sure={sure}, most={most}, overlap={overlap}"
        raise OmmaError(say("models.cannot_build", model=name, size=size, channels=channels, reason=reason))
    try:
        return YoloV2(SHARE.get(name, 1), anchors, tuple(tree), sure, most, overlap, channels, size, outputs)
    except ValueError:
        raise OmmaError(say("models.tree", tree="-".join(map(str, tree)), count=outputs)) from None

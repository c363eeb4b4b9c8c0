"""YOLO (Redmon, Divvala, Girshick & Farhadi 2016): one look, a grid, and every cell says what lies in it and where."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from omma import catalog
from omma.errors import OmmaError
from omma.models.network import Network
from omma.parts import boxes as geometry
from omma.parts.classics.darknet import SLOPE, Plan, cells, corners, owners, trunk
from omma.parts.suppress import pick
from omma.words import say

NAMES = {
    "yolo": "YOLO (Redmon et al. 2016): 24 convolutions, two dense layers, a grid of cells that each say one object",
    "yolo-small": "the same after its Fast YOLO, with nine convolutions",
}
# (channels, side of the kernel, stride) or pooling; the published plan, figure 3 of the paper.
PLANS: dict[str, Plan] = {
    "yolo": (
        (64, 7, 2), "pool", (192, 3, 1), "pool", (128, 1, 1), (256, 3, 1), (256, 1, 1), (512, 3, 1), "pool",
        *(((256, 1, 1), (512, 3, 1)) * 4), (512, 1, 1), (1024, 3, 1), "pool",
        *(((512, 1, 1), (1024, 3, 1)) * 2), (1024, 3, 1), (1024, 3, 2), (1024, 3, 1), (1024, 3, 1),
    ),
    "yolo-small": (
        (16, 3, 1), "pool", (32, 3, 1), "pool", (64, 3, 1), "pool", (128, 3, 1), "pool", (256, 3, 1), "pool", (512, 3, 1), "pool",
        (512, 3, 1), (512, 3, 1), (256, 3, 1),
    ),
}  # fmt: skip
HIDDEN = {"yolo": 4096, "yolo-small": 1024}
STRIDES = (32, 64)
COORD, NO_OBJECT = 5.0, 0.5  # λ of equation 3


class Yolo(Network):
    """A trunk, a dense layer over all places, and for each of S × S cells: C class scores, and B boxes of x, y, √w, √h and confidence.

        C×448×448 → 1024×7×7 → 4096 → 7×7×(C + 5·B)

    Fits one picture size only, as the dense layers read places; a cell says one class, so of objects whose middles share a cell only the
    largest is learned.

    Args:
        plan: of the trunk.
        hidden: units of the dense layer.
        stride: pixels of a cell's side: 64 as published, 32 for a grid twice as fine.
        boxes: of each cell, B.
        norm: batch norm in the trunk, as the authors' own later files have it; the paper had none, and published weights to begin with.
        forget: share dropped behind the dense layer.
        most, overlap: see `omma.parts.suppress.pick`.
        channels, size, outputs: see `omma.models.making.build`.
    """

    gives: ClassVar[str] = "objects"

    def __init__(
        self, plan: Plan, hidden: int, stride: int, boxes: int, norm: bool, forget: float, most: int, overlap: float,
        channels: int, size: int, outputs: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.trunk = trunk(channels, plan, norm)
        self.side, self.size = -(-size // stride), size
        self.boxes, self.outputs, self.most, self.overlap = boxes, outputs, most, overlap
        width = [step[0] for step in plan if not isinstance(step, str)][-1]
        self.hidden, self.forget = nn.Linear(width * self.side**2, hidden), nn.Dropout(forget)
        self.head = nn.Linear(hidden, self.side**2 * (outputs + 5 * boxes))
        nn.init.kaiming_normal_(self.hidden.weight, a=SLOPE, nonlinearity="leaky_relu")
        nn.init.normal_(self.head.weight, std=0.01)
        with torch.no_grad():  # at first every box is half a cell into its cell and a quarter of the picture wide
            said = self.head.bias.zero_().view(self.side**2, -1)
            said[:, outputs:].unflatten(1, (boxes, 5))[..., :4] = 0.5

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) → (B, D, h, w): the last maps of the trunk."""
        return self.trunk(pictures)

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, D, h, w) → (B, hidden)."""
        return self.forget(nn.functional.leaky_relu(self.hidden(maps.flatten(1)), SLOPE))

    def dense(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the cells say: (B, S², outputs) class scores and (B, S², B, 5) boxes.

        Of a box: x, y (in cells, from the cell's corner), √w, √h (as shares of the picture), confidence.
        """
        said = self.head(self.drop(self.features(pictures))).float().unflatten(1, (self.side**2, -1))
        return said[..., : self.outputs], said[..., self.outputs :].unflatten(2, (self.boxes, 5))

    def placed(self, rows: torch.Tensor) -> torch.Tensor:
        """(…, S², B, 4) of `dense` → corners, as shares of the picture."""
        middle = (rows[..., :2] + cells(self.side, self.side, rows.device)[:, None]) / self.side
        return corners(middle, rows[..., 2:4].square())

    def forward(self, pictures: torch.Tensor, truth: dict[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:  # type: ignore[override]
        """Detections, see `pick`; with truth ("boxes", "classes", "ignored"): the scalar losses of `losses`."""
        scores, rows = self.dense(pictures)
        if truth is not None:
            return self.losses(scores, rows, truth)
        boxes = (self.placed(rows) * self.size).clamp(0, self.size).flatten(1, 2)
        sure = (rows[..., 4:].clamp(0, 1) * scores[:, :, None].clamp(0, 1)).flatten(1, 2)
        return pick(torch.logit(sure.clamp(1e-6, 1 - 1e-6)), boxes, most=self.most, overlap=self.overlap)

    def losses(self, scores: torch.Tensor, rows: torch.Tensor, truth: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Equation 3 of the paper, every term a sum of squares, divided by the pictures.

        Of the boxes of a cell that an object's middle falls into, the one that overlaps it most learns it, and learns its overlap as its
        confidence; all other boxes learn to be sure of nothing, except in cells of objects that are ignored.

        Args:
            scores, rows: see `dense`.
            truth: "boxes" (B, M, 4) frame pixels, "classes" (B, M), −1 = none, "ignored" (B, M).
        """
        wanted = truth["boxes"].float() / self.size
        middle = (wanted[..., :2] + wanted[..., 2:]) / 2
        place = (middle * self.side).floor().clamp(0, self.side - 1)
        slots = (place[..., 1] * self.side + place[..., 0]).long()
        there, aside = truth["classes"] >= 0, truth["ignored"] & (truth["classes"] >= 0)
        owner = owners(wanted, slots, there & ~aside, self.side**2)
        spared = owners(wanted, slots, aside, self.side**2) >= 0
        picture, cell = (owner >= 0).nonzero(as_tuple=True)
        row = owner[picture, cell]
        target, mine = wanted[picture, row], rows[picture, cell]
        found = geometry.iou(self.placed(rows)[picture, cell].detach(), target[:, None])  # (N, B)
        best = found.argmax(1)
        mine, found = mine[torch.arange(len(best)), best], found.amax(1)
        share = 1 / len(scores)
        offset = middle[picture, row] * self.side - place[picture, row]
        sides = (target[:, 2:] - target[:, :2]).clamp_min(0).sqrt()
        kind = nn.functional.one_hot(truth["classes"][picture, row], self.outputs).float()
        quiet = ~spared[..., None].expand(-1, -1, self.boxes).clone()
        quiet[picture, cell, best] = False
        return {
            "place": COORD * share * (mine[:, :2] - offset).square().sum(),
            "size": COORD * share * (mine[:, 2:4] - sides).square().sum(),
            "object": share * (mine[:, 4] - found).square().sum(),
            "nothing": NO_OBJECT * share * (rows[..., 4].square() * quiet).sum(),
            "class": share * (scores[picture, cell] - kind).square().sum(),
        }

    def stages(self) -> list[nn.Module]:
        """Trunk, dense layer."""
        return [*(layer for layer in self.trunk if any(True for _ in layer.parameters())), self.hidden]

    def dead_ends(self) -> list[nn.Module]:
        """What reads places keeps its width."""
        return [self.head, self.hidden]


def build(
    name: str, *, channels: int, size: int, outputs: int, stride: int = 64, boxes: int = 2, hidden: int = 0, norm: bool = True,
    forget: float = 0.5, most: int = 100, overlap: float = 0.5,
) -> Yolo:  # fmt: skip
    """`yolo` or `yolo-small`; `stride=32` makes the grid twice as fine, `norm=no` is the network of the paper to the layer.

    Raises:
        OmmaError: a setting out of range, or pictures too small.
    """
    if stride not in STRIDES:
        raise catalog.unknown("stride", str(stride), [str(one) for one in STRIDES])
    if size < STRIDES[1]:
        raise OmmaError(say("models.too_small", size=size, smallest=STRIDES[1]))
    hidden = hidden or HIDDEN[name]
    if not (1 <= boxes <= 16 and 1 <= hidden <= 16384 and 0 <= forget < 1 and 1 <= most <= 1000 and 0 < overlap < 1):
        reason = f"boxes={boxes}, hidden={hidden}, forget={forget}, most={most}, overlap={overlap}"
        raise OmmaError(say("models.cannot_build", model=name, size=size, channels=channels, reason=reason))
    plan = PLANS[name]
    if stride == 32:  # the last halving is left out
        last = max(place for place, step in enumerate(plan) if step == "pool" or step[2] == 2)
        step = plan[last]
        plan = (*plan[:last], *(() if isinstance(step, str) else ((step[0], step[1], 1),)), *plan[last + 1 :])
    return Yolo(plan, hidden, stride, boxes, norm, forget, most, overlap, channels, size, outputs)

"""Objects like blobs, each with its outline: a U-Net that tells how far the border is along rays (StarDist, Schmidt et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from omma import catalog
from omma.errors import OmmaError
from omma.models.network import Network
from omma.parts import rays as stars
from omma.parts.suppress import ROUNDS
from omma.parts.unet import NORMS, UNet, norm_of
from omma.words import say

NAMES = {"star": "outlines of blob-like objects (nuclei, cells, grains) from scratch: U-Net with distances along 32 rays"}
RAYS = (8, 16, 32, 64, 128)
FLOOR = 0.02  # less probable outlines are no answer: there are hundreds, and each takes as long as an object
_PARTNERS = 12  # others that each outline is compared with
_TOUCH = 0.25  # of the smaller box: below, outlines cannot share much of the smaller one's area
_EVEN, _NOISE, _FAR = 1e-3, 1e-3, 5.0  # in spreads of the dataset (the second squared); the last in spreads of the picture
_SPAN = 5.0  # distances lie between e⁻⁵ and e⁵ of the unit


def filled(pictures: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) → (B, 1, H, W) bool: where nothing changes from pixel to pixel, as in what fills a frame around its picture."""
    even = ((_highest(pictures) + _highest(-pictures)).amax(1, keepdim=True) < _EVEN).to(pictures.dtype)
    return _highest(even) > 0  # what a pixel was compared with is as even as itself


def _highest(maps: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W): the highest of each pixel and its eight neighbours; where channels are few, ten times as fast as pooling."""
    wide = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    rows = torch.maximum(torch.maximum(wide[:, :, :-2], wide[:, :, 1:-1]), wide[:, :, 2:])
    return torch.maximum(torch.maximum(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])


def levelled(pictures: torch.Tensor, turn: bool = False) -> torch.Tensor:
    """(B, C, H, W) → the same with mean 0 and spread 1 in each picture; what fills its frame is not counted.

    Args:
        turn: dark for bright where the rarer pixels are dark, so that objects are bright on all grounds.
    """
    shown = (~filled(pictures)).to(pictures.dtype)
    count = (shown.sum((1, 2, 3), keepdim=True) * pictures.shape[1]).clamp_min(1)
    mean = (pictures * shown).sum((1, 2, 3), keepdim=True) / count
    spread = ((pictures - mean).square() * shown).sum((1, 2, 3), keepdim=True) / count
    even = ((pictures - mean) / (spread + _NOISE).sqrt()).clamp(-_FAR, _FAR)
    if not turn:
        return even
    lean = (even * even * even * shown).sum((1, 2, 3), keepdim=True)  # of the third moment only the sign
    return torch.where(lean < 0, -even, even)


class Star(Network):
    """At each place of a grid: is it deep in an object of a class, and how far is that object's border along each ray?

    The head tells, class by class, the distance to the nearest border, 1 where an object is deepest. Peaks of this are candidates; of
    outlines that cover each other the more probable stays.

    Args:
        rays: corners of an outline.
        widths: channels at each resolution, from the grid's to the coarsest.
        stride: of the grid: 1 for objects of a few pixels, 2 is four times as fast.
        most: objects a picture, at most.
        overlap: an outline is dropped when a more probable one shares this part of the smaller of both.
        norm: `batch` or `group`.
        level: give every picture the mean 0 and the spread 1 first, so that dim ones are seen as bright ones are.
        turn: and make bright what is rare, so that dark objects on bright ground are seen as bright ones on dark ground are.
        channels, size, outputs: see `omma.models.making.build`.
    """

    gives: ClassVar[str] = "objects"

    def __init__(
        self,
        rays: int,
        widths: Sequence[int],
        stride: int,
        most: int,
        overlap: float,
        norm: str,
        level: bool,
        turn: bool,
        channels: int,
        size: int,
        outputs: int,
    ) -> None:
        super().__init__()
        self.rays, self.stride, self.most, self.overlap = rays, stride, most, overlap
        self.level, self.turn = level, turn
        self.unit = size / 32  # pixels; a distance before anything is learned
        width = widths[0]
        if stride > 1:
            self.stem = nn.Sequential(nn.Conv2d(channels, width, 3, stride, padding=1, bias=False), norm_of(norm, width), nn.ReLU(True))
        self.body = UNet(width if stride > 1 else channels, widths, norm)
        self.neck = nn.Sequential(nn.Conv2d(width, 2 * width, 3, padding=1, bias=False), norm_of(norm, 2 * width), nn.ReLU(True))
        self.border = nn.Conv2d(2 * width, rays, 1)
        self.head = nn.Conv2d(2 * width, outputs, 1)
        assert self.border.bias is not None and self.head.bias is not None
        nn.init.normal_(self.border.weight, std=0.01)
        nn.init.zeros_(self.border.bias)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.constant_(self.head.bias, -2.0)  # most places are not deep in an object

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        pictures = levelled(pictures, self.turn) if self.level or self.turn else pictures
        return self.neck(self.body(self.stem(pictures) if self.stride > 1 else pictures))

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.mean((2, 3))

    def forward(self, pictures: torch.Tensor, truth: dict[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:  # type: ignore[override]
        """(B, C, S, S) → boxes, probabilities, classes and outlines (B, K, R, 2), x and y of the corners; with the truth → losses."""
        maps = self.maps(pictures)
        # What follows is reckoned in float32 whatever the network multiplies in.
        logits, borders = self.head(maps).float(), self.border(maps).float()
        if truth is None:
            return self._found(logits, borders, pictures.shape[2])
        # Beyond its borders the picture is not known, but that there are no objects in the filling has to be learned.
        empty = filled(pictures)[:, 0, :: self.stride, :: self.stride]
        return self._losses(logits, borders, truth, empty)

    def stages(self) -> list[nn.Module]:
        first = [self.stem] if self.stride > 1 else []
        return [*first, *self.body.stages(), self.neck, self.border]

    def dead_ends(self) -> list[nn.Module]:
        return [self.head, self.border]

    def _reach(self, outputs: torch.Tensor) -> torch.Tensor:
        """Any number → pixels above 0, with a slope everywhere."""
        return self.unit * (_SPAN * torch.tanh(outputs / _SPAN)).exp()

    def _losses(
        self, logits: torch.Tensor, borders: torch.Tensor, truth: dict[str, torch.Tensor], empty: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """`object`: cross-entropy with the depth in an object, mean over known places. `distance`: see below, mean by depth.

        Distances are wrong by a factor, not by pixels, so that small objects count as large ones do: the longer of truth and guess over the
        shorter, summed over the rays (polar IoU, Xie et al. 2020).
        """
        objects, kinds = truth["objects"], logits.shape[1]
        # In training every second ray, by chance the even or the odd ones: walking them all takes a quarter of a step.
        some = slice(int(torch.randint(2, ())), None, 2) if self.training else slice(None)
        star = stars.measure(objects, self.rays, self.stride, some)
        grid = objects[:, :: self.stride, :: self.stride] >= 0
        known = (grid if empty is None else grid | empty).flatten().to(logits.dtype)
        area = logits.shape[2] * logits.shape[3]
        kind = truth["classes"][star.place // area, star.label - 1]
        counted = (kind >= 0).to(logits.dtype)
        known[star.place] = counted
        depth = star.depth * counted
        target = torch.zeros(len(known), kinds, dtype=logits.dtype, device=logits.device)
        target[star.place, kind.clamp_min(0)] = depth
        wrong = F.binary_cross_entropy_with_logits(logits.permute(0, 2, 3, 1).reshape(-1, kinds), target, reduction="none").sum(1)
        borders = borders[:, some]
        told = self._reach(borders.permute(0, 2, 3, 1).reshape(-1, borders.shape[1])[star.place])
        # A ray that left the picture tells how long it is at least.
        told = torch.where(star.cut, torch.minimum(told, star.reach), told)
        apart = (torch.maximum(told, star.reach).sum(1) / torch.minimum(told, star.reach).sum(1)).log()
        return {
            "object": (wrong * known).sum() / known.sum().clamp_min(1),
            "distance": (apart * depth).sum() / depth.sum().clamp_min(1),
        }

    def _found(self, logits: torch.Tensor, borders: torch.Tensor, size: int) -> dict[str, torch.Tensor]:
        """Peaks of the probability, the most probable outline of those that cover each other, in descending order."""
        across = logits.shape[3]
        score, kind = logits.max(1)
        peak = F.max_pool2d(score[:, None], 3, 1, padding=1)[:, 0] == score
        most = count = min(self.most, score.shape[1] * across)
        probabilities, place = (score.sigmoid() * peak).flatten(1).topk(count)
        traced = torch.compiler.is_exporting() or torch.jit.is_tracing() or score.device.type == "meta"
        if not traced:  # what is too improbable to stay need not be compared
            count = max(1, int((probabilities >= FLOOR).sum(1).max()))
            probabilities, place = probabilities[:, :count], place[:, :count]
        row = torch.div(place, across, rounding_mode="floor")
        centres = torch.stack([place - row * across, row], 2).to(score.dtype) * self.stride + 0.5
        index = place[:, None].expand(-1, self.rays, -1)
        reach = self._reach(borders.flatten(2).gather(2, index).transpose(1, 2)).clamp_max(float(size))
        corners = stars.outlines(centres, reach)
        boxes = torch.cat([corners.amin(2), corners.amax(2)], 2)
        probabilities = probabilities * self._kept(centres, reach, boxes, probabilities >= FLOOR)
        probabilities, order = probabilities.topk(count)
        used = (probabilities > 0).to(corners.dtype)[..., None]  # an unused row has no area, so that nothing is pasted
        corners = corners.gather(1, order[..., None, None].expand(-1, -1, self.rays, 2)) * used[..., None]
        boxes = boxes.clamp(0.0, float(size)).gather(1, order[..., None].expand(-1, -1, 4)) * used
        classes = kind.flatten(1).gather(1, place).gather(1, order)
        found = {"boxes": boxes, "probabilities": probabilities, "classes": classes, "outlines": corners}
        if count == most:
            return found
        return {key: F.pad(value, (0,) * (2 * value.dim() - 4) + (0, most - count)) for key, value in found.items()}

    def _kept(self, centres: torch.Tensor, reach: torch.Tensor, boxes: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """(B, K) 1 where no more probable outline that itself is kept covers too much of this one or is covered by it."""
        count = centres.shape[1]
        low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
        high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
        common = (high - low).clamp_min(0).prod(3)
        area = (boxes[..., 2:] - boxes[..., :2]).prod(2)
        touch = common > _TOUCH * torch.minimum(area[:, :, None], area[:, None])
        rank = torch.arange(count, device=boxes.device)
        # Whoever hides an outline is more probable than it: the most probable of those that could.
        order = (touch & (rank[:, None] > rank)) * (count - rank).to(reach.dtype)
        order, partners = order.topk(min(_PARTNERS, count))
        hides = ((stars.shared(centres, reach, partners) > self.overlap) & (order > 0)).to(reach.dtype)
        start = valid.to(reach.dtype)
        kept = start
        for _ in range(ROUNDS):  # see `parts/suppress.py`
            hidden = (hides * kept.gather(1, partners.flatten(1)).view_as(hides)).amax(2)
            kept = start * (1 - hidden)
        return kept


def build(
    name: str,
    *,
    channels: int,
    size: int,
    outputs: int,
    rays: int = 32,
    widths: tuple[int, ...] = (32, 64, 128, 256),
    stride: int = 2,
    most: int = 512,
    overlap: float = 0.4,
    norm: str = "batch",
    level: bool = True,
    turn: bool = False,
) -> Star:
    """`star`; `stride=1` for objects of a few pixels, `rays=64` for ragged ones, `widths=16-32-64` for a smaller body.

    Raises:
        OmmaError: settings that make no such network, or pictures that are too small for it.
    """
    for key, value, known in (("rays", rays, RAYS), ("stride", stride, (1, 2)), ("norm", norm, NORMS)):
        if value not in known:
            raise catalog.unknown(key, str(value), [str(one) for one in known])
    if not 2 <= len(widths) <= 8 or any(width < 1 for width in widths):
        raise OmmaError(say("models.widths", widths="-".join(map(str, widths))))
    smallest = stride * 2 ** (len(widths) - 1) + 1
    if size < smallest:  # a batch of one picture would have nothing to normalise
        raise OmmaError(say("models.too_small", size=size, smallest=smallest))
    return Star(rays, widths, stride, max(1, most), overlap, norm, level, turn, channels, size, outputs)

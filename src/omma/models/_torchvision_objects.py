"""Detectors of torchvision: layers, assignment and losses are the library's; detections are arithmetic that can be exported."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, ClassVar, Self

import torch
import torchvision.models as zoo
from torch import nn
from torch.nn import functional as F
from torchvision.models import detection
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from omma.errors import OmmaError
from omma.models import _torchvision_regions as regions
from omma.models._torchvision import TorchvisionBackbone, read_channels
from omma.models._torchvision_rows import Link
from omma.models.network import Network
from omma.parts.suppress import pick
from omma.words import say

Truth = dict[str, torch.Tensor]
MOST = 100  # objects of a picture
STEP = 32  # pixels: feature pyramids want sides that can be halved five times
# The library's own numbers are for servers: so many regions of a picture are looked at while two cores learn.
REGIONS = {"rpn_pre_nms_top_n_train": 1000, "rpn_post_nms_top_n_train": 500, "box_batch_size_per_image": 128}


def names() -> list[str]:
    """Every detector of boxes or masks, `torchvision/` in front."""
    return [f"torchvision/{name}" for name in zoo.list_models(module=zoo.detection) if "keypoint" not in name]


def known(name: str) -> bool:
    """Whether the library has it."""
    return name in names()


def make(name: str, channels: int, size: int, outputs: int) -> Network:
    """One of them, with random weights."""
    net = whole(name, channels, outputs)
    kind: type[Detector]
    if isinstance(net, detection.FasterRCNN):
        kind = Regions
    elif isinstance(net, detection.FCOS):
        kind = Fcos
    else:
        kind = Retina if isinstance(net, detection.RetinaNet) else Ssd
    return kind(name, channels, size, outputs, net)


def whole(name: str, channels: int, outputs: int) -> Any:
    """The library's own network with random weights; some of them count the background as their first class."""
    own = name.removeprefix("torchvision/")
    dense = own.startswith(("retinanet", "fcos"))
    more: dict[str, Any] = dict(REGIONS) if "rcnn" in own else {}
    net = zoo.get_model(own, weights=None, weights_backbone=None, num_classes=outputs + (not dense), **more)
    read_channels(net, channels)
    return net


class Detector(TorchvisionBackbone):
    """What all of them share. The library's own entrance, which normalises and resizes pictures, is left aside.

    Args:
        net: the library's network; its last layers become the head.
        name, channels, size, outputs: see `omma.models.making.build`.
    """

    gives: ClassVar[str] = "objects"
    first: ClassVar[int] = 0  # the library's number of the first class
    body: Any
    settled: torch.Tensor

    def __init__(self, name: str, channels: int, size: int, outputs: int, net: Any) -> None:
        super().__init__(name, channels, size, outputs, net)
        self.body, self.most = net, MOST
        self.head = nn.ModuleList(link.rows for link in self.links(net))
        # 1: batch norms keep the statistics they were published with, since batches of detectors are small.
        self.register_buffer("settled", torch.zeros((), dtype=torch.int64))

    def links(self, net: Any) -> list[Link]:
        """Put links where the library's last layers were."""
        raise NotImplementedError

    def losses(self, pictures: torch.Tensor, targets: list[Truth]) -> dict[str, torch.Tensor]:
        """The library's losses; targets as it wants them."""
        raise NotImplementedError

    def detect(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        """{"boxes": (B, K, 4), "probabilities": (B, K), "classes": (B, K)}."""
        raise NotImplementedError

    def forward(self, pictures: torch.Tensor, truth: Truth | None = None) -> dict[str, torch.Tensor]:  # type: ignore[override]
        """(B, C, S, S) → detections; with truth → named losses. Objects that are ignored count as background."""
        return self.detect(pictures) if truth is None else self.losses(pictures, targets_of(truth, self.first))

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        return list(self.body.backbone.body(padded(pictures)).values())[-1]

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.mean((2, 3))

    def pyramid(self, pictures: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        """(B, C, S, S) → maps of several resolutions, fine to coarse."""
        found = self.body.backbone.body(padded(pictures))
        if "maps" in self.__dict__:  # somebody watches the maps
            found[next(reversed(found))] = self.maps(pictures)
        return self.body.backbone.fpn(found)

    def stages(self) -> list[nn.Module]:
        return [piece for piece in self.body.backbone.body.children() if any(True for _ in piece.parameters())]

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if mode and not self.settled.is_meta and self.settled:
            for module in self.body.backbone.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def fresh(self) -> Any:
        return whole(self.name, self.channels, self.outputs)

    def colours(self, weights: Any, net: Any) -> tuple[Any, Any]:
        return net.transform.image_mean, net.transform.image_std

    def take(self, net: Any, state: dict[str, torch.Tensor], where: str) -> None:
        # The library's own way in: it knows how its older files called what it calls otherwise today.
        try:
            lost = net.load_state_dict(state, strict=False).missing_keys
        except RuntimeError:
            raise OmmaError(say("models.another", model=self.name), where) from None
        lost = [key for key in lost if not key.endswith("num_batches_tracked")]
        if lost:
            wanted = tuple(net.state_dict()[lost[0]].shape)
            raise OmmaError(say("models.does_not_fit", tensor=lost[0], found=None, wanted=wanted), where)

    def start(self, how: str) -> None:
        super().start(how)
        if how != "no":
            self.settled.fill_(1)
            self.train(self.training)


class Dense(Detector):
    """Every place of the maps answers."""

    HEADS = ("head.classification_head.cls_logits.", "head.classification_head.module_list.")

    def links(self, net: Any) -> list[Link]:
        head = net.head.classification_head
        head.cls_logits = Link(head.cls_logits, self.outputs, head.num_anchors, by_class=False, background=False)
        return [head.cls_logits]

    def answers(self, pictures: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor, list[int]]:
        """What the library's head gives for (B, A, …) places, their (A, 4) anchors, and how many places each level has."""
        maps = list(self.pyramid(pictures).values())
        return self._asked(maps, regions.anchors(self.body.anchor_generator, maps, rounded(pictures.shape[2])))

    def _asked(self, maps: list[torch.Tensor], anchors: list[torch.Tensor]) -> tuple[dict[str, torch.Tensor], torch.Tensor, list[int]]:
        found = {key: value.float() for key, value in self.body.head(maps).items()}
        return found, torch.cat(anchors), [level.shape[0] for level in anchors]

    def boxes(self, found: dict[str, torch.Tensor], anchors: torch.Tensor) -> torch.Tensor:
        """(B, A, 4) corners."""
        return regions.decoded(found["bbox_regression"], anchors, self.body.box_coder.weights)

    def logits(self, found: dict[str, torch.Tensor]) -> torch.Tensor:
        """(B, A, K), whose sigmoid are probabilities."""
        return found["cls_logits"]

    def detect(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        found, anchors, _ = self.answers(pictures)
        boxes = self.boxes(found, anchors).clamp(0, pictures.shape[2])
        return pick(self.logits(found), boxes, most=self.most, overlap=self.body.nms_thresh)

    def losses(self, pictures: torch.Tensor, targets: list[Truth]) -> dict[str, torch.Tensor]:
        found, anchors, _ = self.answers(pictures)
        return self.body.compute_loss(targets, found, [anchors] * len(pictures))


class Retina(Dense):
    """RetinaNet (Lin et al. 2017)."""


class Fcos(Dense):
    """FCOS (Tian et al. 2019): how central a place is in its box weighs its probability."""

    def boxes(self, found: dict[str, torch.Tensor], anchors: torch.Tensor) -> torch.Tensor:
        sides = (anchors[:, 2:] - anchors[:, :2]).repeat(1, 2)
        centres = ((anchors[:, 2:] + anchors[:, :2]) / 2).repeat(1, 2)
        return centres + found["bbox_regression"] * sides * anchors.new_tensor([-1, -1, 1, 1])

    def logits(self, found: dict[str, torch.Tensor]) -> torch.Tensor:
        return regions.logit((F.logsigmoid(found["cls_logits"]) + F.logsigmoid(found["bbox_ctrness"])) / 2)

    def losses(self, pictures: torch.Tensor, targets: list[Truth]) -> dict[str, torch.Tensor]:
        found, anchors, counts = self.answers(pictures)
        return self.body.compute_loss(targets, found, [anchors] * len(pictures), counts)


class Ssd(Dense):
    """SSD (Liu et al. 2016) and SSDlite; any size of picture, no padding."""

    first = 1

    def links(self, net: Any) -> list[Link]:
        layers = net.head.classification_head.module_list
        found = []
        for place, count in enumerate(net.anchor_generator.num_anchors_per_location()):
            holder, key = (layers[place], "1") if isinstance(layers[place], nn.Sequential) else (layers, str(place))
            found.append(Link(holder.get_submodule(key), self.outputs, count, by_class=False, background=True))
            setattr(holder, key, found[-1])
        return found

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        features = self.body.backbone.features
        return features[0](pictures) if isinstance(features[0], nn.Sequential) else features(pictures)

    def pyramid(self, pictures: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        if "maps" not in self.__dict__:
            return self.body.backbone(pictures)
        return self.watched(self.maps(pictures))

    def watched(self, maps: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        """The pyramid above given first maps."""
        backbone = self.body.backbone
        lite = isinstance(backbone.features[0], nn.Sequential)
        found = [maps if lite else backbone.scale_weight.view(1, -1, 1, 1) * F.normalize(maps)]
        for block in [*backbone.features[1:], *backbone.extra] if lite else backbone.extra:
            maps = block(maps)
            found.append(maps)
        return OrderedDict((str(place), level) for place, level in enumerate(found))

    def answers(self, pictures: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor, list[int]]:
        maps = list(self.pyramid(pictures).values())
        return self._asked(maps, regions.default_boxes(self.body.anchor_generator, maps, pictures.shape[2]))

    def logits(self, found: dict[str, torch.Tensor]) -> torch.Tensor:
        return regions.logit(found["cls_logits"].log_softmax(-1)[..., 1:])

    def losses(self, pictures: torch.Tensor, targets: list[Truth]) -> dict[str, torch.Tensor]:
        found, anchors, _ = self.answers(pictures)
        nowhere = torch.full((len(anchors),), -1, dtype=torch.int64, device=anchors.device)
        matched = [self.body.proposal_matcher(box_iou(t["boxes"], anchors)) if len(t["boxes"]) else nowhere for t in targets]
        return self.body.compute_loss(targets, found, [anchors] * len(pictures), matched)

    def stages(self) -> list[nn.Module]:
        pieces = [inner for piece in self.body.backbone.features for inner in (piece if isinstance(piece, nn.Sequential) else [piece])]
        return [piece for piece in pieces if any(True for _ in piece.parameters())]


class Regions(Detector):
    """Faster R-CNN (Ren et al. 2015) and Mask R-CNN (He et al. 2017): regions are proposed, then each is looked at."""

    first = 1
    HEADS = ("roi_heads.box_predictor.", "roi_heads.mask_predictor.mask_fcn_logits.")

    def links(self, net: Any) -> list[Link]:
        predictor, heads = net.roi_heads.box_predictor, net.roi_heads
        predictor.cls_score = Link(predictor.cls_score, self.outputs, 1, by_class=True, background=True)
        predictor.bbox_pred = Link(predictor.bbox_pred, self.outputs, 4, by_class=True, background=True)
        found = [predictor.cls_score, predictor.bbox_pred]
        if heads.has_mask():
            heads.mask_predictor.mask_fcn_logits = Link(
                heads.mask_predictor.mask_fcn_logits, self.outputs, 1, by_class=True, background=True
            )
            found.append(heads.mask_predictor.mask_fcn_logits)
        return found

    def losses(self, pictures: torch.Tensor, targets: list[Truth]) -> dict[str, torch.Tensor]:
        pyramid, side = self.pyramid(pictures), pictures.shape[2]
        rpn, heads = self.body.rpn, self.body.roi_heads
        modes = rpn.training, heads.training
        rpn.training = heads.training = True  # of these two alone: only so does the library tell its losses
        try:
            proposals, losses = rpn(ImageList(padded(pictures), [(side, side)] * len(pictures)), pyramid, targets)
            return losses | heads(pyramid, proposals, [(rounded(side), rounded(side))] * len(pictures), targets)[1]
        finally:
            rpn.training, heads.training = modes

    def detect(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        pyramid, side, heads = self.pyramid(pictures), pictures.shape[2], self.body.roi_heads
        wide = rounded(side)
        proposals, alive = regions.proposals(self.body.rpn, list(pyramid.values()), wide, side)
        maps = [pyramid[key] for key in heads.box_roi_pool.featmap_names if key in pyramid]
        scores, deltas = heads.box_predictor(heads.box_head(regions.cut(maps, proposals, wide, heads.box_roi_pool)))
        found = regions.judged(
            scores.unflatten(0, proposals.shape[:2]), deltas.unflatten(0, proposals.shape[:2]), proposals, alive, side,
            weights=heads.box_coder.weights, most=self.most, overlap=heads.nms_thresh,
        )  # fmt: skip
        if not heads.has_mask():
            return found
        logits = heads.mask_predictor(heads.mask_head(regions.cut(maps, found["boxes"], wide, heads.mask_roi_pool)))
        logits = logits.unflatten(0, found["boxes"].shape[:2])
        which = (found["classes"] + 1)[:, :, None, None, None].expand(-1, -1, 1, logits.shape[3], logits.shape[4])
        return found | {"masks": regions.pasted(logits.gather(2, which)[:, :, 0].sigmoid(), found["boxes"], side)}


def rounded(side: int) -> int:
    """The next side that can be halved five times."""
    return side + -side % STEP


def padded(pictures: torch.Tensor) -> torch.Tensor:
    """(B, C, S, S) → the same with zeros at the right and the bottom, of a rounded side."""
    more = rounded(pictures.shape[2]) - pictures.shape[2]
    return F.pad(pictures, (0, more, 0, more)) if more else pictures


def targets_of(truth: Truth, first: int) -> list[Truth]:
    """Truth as `Boxes.tensors` or `Instances.tensors` make it → what the library wants of each picture, ignored objects left out."""
    sides = truth["boxes"][..., 2:] - truth["boxes"][..., :2]
    there = (truth["classes"] >= 0) & ~truth["ignored"] & (sides > 0).all(-1)
    found = []
    for place, rows in enumerate(there):
        target = {"boxes": truth["boxes"][place, rows], "labels": truth["classes"][place, rows] + first}
        if "objects" in truth:
            numbers = rows.nonzero()[:, 0] + 1
            target["masks"] = (truth["objects"][place] == numbers[:, None, None]).to(torch.uint8)
        found.append(target)
    return found

"""Torchvision's networks for pixels and for objects: taken apart and put together, they compute what the library computes."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
import torch
import torchvision.models as zoo
from safetensors.torch import save_file
from torch import nn
from torchvision.models import detection
from torchvision.models.detection import _utils as library
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import _default_anchorgen
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.ops import MultiScaleRoIAlign, box_iou
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from models_at_hand import in_onnx
from omma.errors import OmmaError
from omma.models import _torchvision_objects as objects
from omma.models import _torchvision_regions as regions
from omma.models._torchvision_rows import Link
from omma.models.making import build, names
from omma.testing import check_model

SIDE, CLASSES, MOST = 64, 3, 12
KINDS = ("retina", "fcos", "ssd", "faster", "mask")
SEGMENTERS = ("torchvision/fcn_resnet50", "torchvision/deeplabv3_mobilenet_v3_large", "torchvision/lraspp_mobilenet_v3_large")
DETECTORS = (
    "torchvision/fasterrcnn_resnet50_fpn_v2", "torchvision/retinanet_resnet50_fpn_v2", "torchvision/fcos_resnet50_fpn",
    "torchvision/ssdlite320_mobilenet_v3_large", "torchvision/maskrcnn_resnet50_fpn_v2",
)  # fmt: skip


class AsItIs(nn.Module):
    """In place of the library's own normalising and resizing."""

    def forward(self, pictures: list[torch.Tensor], targets: Any = None) -> tuple[ImageList, Any]:
        return ImageList(torch.stack(pictures), [(p.shape[1], p.shape[2]) for p in pictures]), targets

    def postprocess(self, found: list[dict[str, torch.Tensor]], sizes: Any, _: Any) -> list[dict[str, torch.Tensor]]:
        for row, size in [] if self.training else zip(found, sizes, strict=True):
            if "masks" in row:
                row["masks"] = paste_masks_in_image(row["masks"], row["boxes"], size)
        return found


def light(kind: str, ours: bool = True) -> Any:
    """A small network of each kind as the library builds it, or as we do; it answers with 12 objects."""
    torch.manual_seed(0)
    kinds = {"retina": objects.Retina, "fcos": objects.Fcos, "ssd": objects.Ssd, "faster": objects.Regions, "mask": objects.Regions}
    net = library_s(kind)
    if ours:
        net = kinds[kind]("light", 3, SIDE, CLASSES, net)
        net.most = MOST
    return net


def library_s(kind: str) -> Any:
    pyramid = {"backbone_name": "resnet18", "weights": None, "trainable_layers": 5}
    if kind in ("retina", "fcos"):
        backbone = resnet_fpn_backbone(
            **pyramid, norm_layer=nn.BatchNorm2d, returned_layers=[2, 3, 4], extra_blocks=LastLevelP6P7(256, 256)
        )
        return (detection.RetinaNet if kind == "retina" else detection.FCOS)(backbone, CLASSES, score_thresh=0.0)
    if kind == "ssd":
        return detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=CLASSES + 1, score_thresh=0.0)
    backbone = resnet_fpn_backbone(**pyramid, norm_layer=nn.BatchNorm2d)
    made = detection.FasterRCNN if kind == "faster" else detection.MaskRCNN
    few = {"rpn_pre_nms_top_n_test": regions.PROPOSALS, "rpn_post_nms_top_n_test": regions.PROPOSALS, "box_batch_size_per_image": 32}
    return made(backbone, CLASSES + 1, box_score_thresh=0.0, box_detections_per_img=MOST, **few)


@pytest.fixture(autouse=True)
def few_regions(monkeypatch):
    monkeypatch.setattr(regions, "PROPOSALS", 40)


@cache
def kept(kind: str) -> Any:
    """One of ours whose classes differ clearly, in evaluation mode; not to be changed."""
    net = light(kind).train()
    for rows in net.head:
        nn.init.normal_(rows.weight, std=2 / rows.weight[0].numel() ** 0.5)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # as if it had seen many pictures
    with torch.no_grad():
        net(pictures(), truth())
    return net.eval()


def truth(size: int = SIDE) -> dict[str, torch.Tensor]:
    boxes = torch.tensor([[[4, 6, 30, 40], [20, 10, 60, 30], [0, 0, 9, 9]], [[0, 0, 0, 0]] * 3]).float()
    objects_of = torch.zeros(2, size, size, dtype=torch.int16)
    objects_of[0, 6:40, 4:30], objects_of[0, 10:30, 20:60], objects_of[0, :9, :9] = 1, 2, -1
    return {
        "boxes": boxes,
        "classes": torch.tensor([[0, 2, 1], [-1, -1, -1]]),
        "ignored": torch.tensor([[False, False, True], [False] * 3]),
        "objects": objects_of,
    }


def pictures(count: int = 2, size: int = SIDE) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(7))


# ── the pieces ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("by_class", [False, True])
def test_sorted_rows_give_what_the_layer_gave(by_class, background):
    torch.manual_seed(0)
    count = 3 + background
    for layer, given in ((nn.Conv2d(4, 2 * count, 3, padding=1), torch.randn(2, 4, 5, 5)), (nn.Linear(6, 2 * count), torch.randn(5, 6))):
        link = Link(layer, 3, 2, by_class, background)
        torch.testing.assert_close(link(given), layer(given))
        assert link.rows.weight.shape[0] == 3 and link.rows.weight.dim() == layer.weight.dim(), "a row for each class"
        link.rows.weight.data[1] += 1
        changed = (
            (link(given) - layer(given)).abs().flatten(2).sum((0, 2)) if given.dim() == 4 else (link(given) - layer(given)).abs().sum(0)
        )
        place = 1 + background
        mine = [place * 2, place * 2 + 1] if by_class else [place, count + place]
        assert (changed > 1e-3).nonzero()[:, 0].tolist() == mine


def test_anchors_are_the_library_s():
    maps = [torch.zeros(1, 8, side, side) for side in (8, 4, 2, 1, 1)]
    generator = _default_anchorgen()
    found = torch.cat(regions.anchors(generator, maps, SIDE))
    torch.testing.assert_close(found, generator(ImageList(torch.zeros(1, 3, SIDE, SIDE), [(SIDE, SIDE)]), maps)[0])
    for steps in (None, [8, 16, 32, 64, 64]):
        boxes = detection.anchor_utils.DefaultBoxGenerator([[2, 3]] * 5, steps=steps)
        found = torch.cat(regions.default_boxes(boxes, maps, SIDE))
        torch.testing.assert_close(found, boxes(ImageList(torch.zeros(1, 3, SIDE, SIDE), [(SIDE, SIDE)]), maps)[0])


def test_boxes_are_decoded_as_the_library_does():
    chance = torch.Generator().manual_seed(0)
    corners = torch.rand(20, 2, generator=chance) * 50
    boxes = torch.cat([corners, corners + 1 + torch.rand(20, 2, generator=chance) * 30], 1)
    deltas = torch.randn(20, 4, generator=chance) * 3
    coder = library.BoxCoder((10.0, 10.0, 5.0, 5.0))
    torch.testing.assert_close(regions.decoded(deltas, boxes, coder.weights), coder.decode_single(deltas, boxes))
    share = torch.tensor([1e-6, 0.2, 0.5, 0.999])
    torch.testing.assert_close(regions.logit(share.log()).sigmoid(), share, rtol=1e-4, atol=1e-7)


def test_regions_are_cut_as_the_library_does():
    chance = torch.Generator().manual_seed(0)
    maps = {str(place): torch.randn(2, 4, 128 >> place, 128 >> place, generator=chance) for place in range(4)}
    corners = torch.rand(2, 9, 2, generator=chance) * 200
    boxes = torch.cat([corners, corners + torch.logspace(0.5, 2.5, 9)[None, :, None]], 2)
    pooler = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)
    wanted = pooler(maps, list(boxes), [(512, 512)] * 2)
    torch.testing.assert_close(regions.cut(list(maps.values()), boxes, 512, pooler), wanted, rtol=1e-4, atol=1e-5)


def test_masks_are_pasted_into_their_boxes():
    mask = torch.ones(1, 2, 8, 8)
    mask[0, 1, :, 4:] = 0
    boxes = torch.tensor([[[10.0, 20, 42, 52], [-8.0, 4, 8, 12]]])
    found = regions.pasted(mask, boxes, 64)
    assert found.shape == (1, 2, 64, 64)
    assert found[0, 0, 23:49, 13:39].eq(1).all() and found[0, 0].sum() == pytest.approx(32 * 32, rel=0.01)
    assert found[0, 0, :18].eq(0).all() and found[0, 0, :, 44:].eq(0).all()
    assert found[0, 1, :, 2:].max() < 0.5, "the left half of the second lies outside the picture, its right half is empty"


def test_targets_leave_out_padding_and_what_is_ignored():
    given = truth()
    given["boxes"][0, 1, 2] = 20  # without area: it left the picture but for a line
    found = objects.targets_of(given, 1)
    assert [len(t["boxes"]) for t in found] == [1, 0]
    assert found[0]["labels"].tolist() == [1] and found[0]["masks"].sum() == (given["objects"][0] == 1).sum()
    assert found[1]["masks"].shape == (0, SIDE, SIDE) and found[1]["boxes"].shape == (0, 4)


# ── detectors ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", KINDS)
def test_losses_are_the_library_s(kind):
    net, given = light(kind).train(), truth()
    torch.manual_seed(1)
    found = net(pictures(), given)
    assert all(loss.dim() == 0 and torch.isfinite(loss) for loss in found.values())
    sum(found.values()).backward()
    assert not [key for key, p in net.named_parameters() if p.grad is None]
    whole = light(kind, ours=False).train()
    whole.transform = AsItIs()
    torch.manual_seed(1)
    wanted = whole(list(pictures()), objects.targets_of(given, net.first))
    assert found.keys() == wanted.keys()
    for key, loss in wanted.items():
        torch.testing.assert_close(found[key], loss, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_without_objects_can_be_learned_and_judged(kind):
    empty = truth() | {"classes": torch.full((2, 3), -1)}
    losses = light(kind).train()(pictures(), empty)
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    with torch.inference_mode():
        judged = kept(kind)(pictures(), truth())
    assert all(torch.isfinite(loss) for loss in judged.values()), "in evaluation there are losses too"
    assert not any(module.training for module in kept(kind).modules())


@pytest.mark.parametrize("kind", KINDS)
def test_detections_are_the_library_s(kind):
    net = kept(kind)
    whole = light(kind, ours=False)
    other = type(net)("light", 3, SIDE, CLASSES, whole)  # the library's own network, with our rows in it
    other.load_state_dict(net.state_dict())
    whole.transform = AsItIs()
    with torch.no_grad():
        found, wanted = net(pictures()), whole.eval()(list(pictures()))
    for place, row in enumerate(wanted):
        sure = found["probabilities"][place]
        # The library looks at the best of each level or class, we at the best of all: compared is what is far from that border.
        row = {key: value[(row["boxes"][:, 2:] > row["boxes"][:, :2]).all(1)] for key, value in row.items()}
        top = row["scores"].argsort(descending=True)[:10]
        torch.testing.assert_close(sure[:10], row["scores"][top], rtol=1e-3, atol=1e-4)
        for score, box, label in zip(row["scores"][top], row["boxes"][top], row["labels"][top], strict=True):
            near = (sure - score).abs() < 1e-3
            same = near & (found["classes"][place] == label - net.first) & (box_iou(box[None], found["boxes"][place])[0] > 0.99)
            assert same.any(), f"{score:.3f} {box.tolist()} {label} is not among the answers"
            if "masks" in row:
                mine = found["masks"][place, same.nonzero()[0, 0]]
                theirs = row["masks"][(row["boxes"] == box).all(1).nonzero()[0, 0], 0]
                # The library rounds boxes to whole pixels, we do not: neighbourhoods are compared.
                rough = [torch.nn.functional.avg_pool2d(mask[None], 8) for mask in (mine, theirs)]
                torch.testing.assert_close(*rough, rtol=0, atol=0.15)
                assert mine.max() > 0.3


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_an_explanation_can_stand_between_body_and_answer(kind):
    net = copy.copy(kept(kind))
    with torch.no_grad():
        maps = net.maps(pictures())
        plain = net(pictures())["probabilities"]
        net.maps = lambda _: maps
        torch.testing.assert_close(net(pictures())["probabilities"], plain, rtol=1e-4, atol=1e-5)
        net.maps = lambda _: torch.zeros_like(maps)
        assert not torch.equal(net(pictures())["probabilities"], plain)


def test_a_side_that_cannot_be_halved_is_padded():
    net = kept("fcos")
    with torch.no_grad():
        found = net(pictures(size=50))
    assert (found["boxes"] <= 50).all() and (found["boxes"] >= 0).all()


def test_published_statistics_are_kept(tmp_path):
    net = light("fcos")
    assert net.train().body.backbone.body.bn1.training
    net.settled.fill_(1)
    assert not net.train().body.backbone.body.bn1.training and net.body.head.training
    before = net.body.backbone.body.bn1.running_mean.clone()
    net(pictures(), truth())
    assert torch.equal(net.body.backbone.body.bn1.running_mean, before)


def test_the_head_has_a_row_for_each_class_and_stands_in_the_state_once():
    for kind in KINDS:
        net = kept(kind)
        rows = {key: value for key, value in net.state_dict().items() if key.startswith("head.")}
        assert rows and all(len(value) == CLASSES for value in rows.values())
        pointers = [p.data_ptr() for p in net.state_dict().values() if p.numel()]
        assert len(set(pointers)) == len(pointers), "no tensor under two names"


# ── by name ─────────────────────────────────────────────────────────────────────────────────────────────


def test_they_are_among_the_names():
    assert {*SEGMENTERS, *DETECTORS, "torchvision/resnet18"} <= set(names("torchvision"))
    assert not any("keypoint" in name for name in names("torchvision"))
    with pytest.raises(OmmaError, match="fcos_resnet50_fpn"):
        build("torchvision/fcos_resnet50", channels=3, size=64, outputs=2)


@pytest.mark.parametrize(("name", "channels"), [(SEGMENTERS[2], 3), (DETECTORS[3], 1)])
def test_light_ones_keep_their_promises(name, channels):
    check_model(name, size=SIDE, outputs=CLASSES, channels=channels)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SEGMENTERS, *DETECTORS, "torchvision/ssd300_vgg16"])
def test_all_of_them_keep_their_promises(name):
    check_model(name, size=320 if "ssd300" in name else 96, outputs=CLASSES)


def test_lraspp_is_the_library_s():
    torch.manual_seed(0)
    whole = zoo.get_model("lraspp_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=4).eval()
    from omma.models._torchvision_pixels import TorchvisionPixels

    net = TorchvisionPixels("torchvision/lraspp_mobilenet_v3_large", 3, SIDE, 4, whole).eval()
    with torch.no_grad():
        torch.testing.assert_close(net(pictures()), whole(pictures())["out"], rtol=1e-4, atol=1e-5)


def test_weights_from_a_file(tmp_path):
    whole = zoo.get_model("lraspp_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=21)
    save_file(whole.state_dict(), tmp_path / "pixels.safetensors")
    net: Any = build(
        "torchvision/lraspp_mobilenet_v3_large", channels=3, size=SIDE, outputs=4, pretrained=str(tmp_path / "pixels.safetensors")
    )
    assert torch.equal(net.decoder[0][0].weight, whole.classifier.cbr[0].weight) and net.origin["std"] == [0.229, 0.224, 0.225]
    whole = zoo.get_model("ssdlite320_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=91)
    save_file(whole.state_dict(), tmp_path / "objects.safetensors")
    name = "torchvision/ssdlite320_mobilenet_v3_large"
    net = build(name, channels=3, size=SIDE, outputs=4, pretrained=str(tmp_path / "objects.safetensors"))
    assert torch.equal(net.body.backbone.extra[0][0][0].weight, whole.backbone.extra[0][0][0].weight)
    assert net.origin["mean"] == [0.5] * 3 and net.settled == 1 and not net.train().body.backbone.features[0][0][1].training
    with pytest.raises(OmmaError, match="do not fit"):
        build(name, channels=3, size=SIDE, outputs=4, pretrained=str(tmp_path / "pixels.safetensors"))


# ── on the way out of the house ─────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_they_leave_the_house(tmp_path, kind):
    wanted, found = in_onnx(kept(kind), pictures(), pictures(3), tmp_path / "net.onnx")
    torch.testing.assert_close(found["probabilities"], wanted["probabilities"], rtol=1e-3, atol=1e-4)
    clear = wanted["probabilities"] > 0.01
    close = (found["boxes"] - wanted["boxes"]).abs().amax(2)[clear] < 0.1
    assert close.float().mean() > 0.95, "boxes of equal probability may change places, no others"

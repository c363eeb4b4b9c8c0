"""The detector of ours: its promises, hostile truths, export, and that it learns."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from omma.errors import OmmaError
from omma.models.anchor_free import PRIOR, losses
from omma.models.making import build, settings_of
from omma.parts.suppress import FLOOR

SIZE = 64


def small(outputs: int = 3, size: int = SIZE, channels: int = 3, **settings) -> nn.Module:
    torch.manual_seed(0)
    return build("anchor-free-small", channels=channels, size=size, outputs=outputs, **({"width": 8, "most": 20} | settings))


def truth(rows: list[list[list[float]]], classes: list[list[int]], ignored: list[list[bool]] | None = None) -> dict[str, torch.Tensor]:
    boxes = torch.tensor(rows, dtype=torch.float32).reshape(len(rows), -1, 4)
    kinds = torch.tensor(classes, dtype=torch.long).reshape(len(rows), -1)
    return {"boxes": boxes, "classes": kinds, "ignored": torch.tensor(ignored) if ignored else torch.zeros_like(kinds, dtype=torch.bool)}


TWO = truth([[[5, 5, 30, 30], [40, 40, 60, 62]], [[10, 20, 50, 60], [0, 0, 0, 0]]], [[0, 2], [1, -1]])


def test_detections():
    net = small().eval()
    found = net(torch.randn(2, 3, SIZE, SIZE))
    assert found["boxes"].shape == (2, 20, 4) and found["boxes"].dtype == torch.float32
    assert found["probabilities"].shape == (2, 20) and found["classes"].shape == (2, 20) and found["classes"].dtype == torch.int64
    sure = found["probabilities"]
    assert (sure.diff(dim=1) <= 0).all() and ((sure == 0) | (sure >= FLOOR)).all()
    assert found["boxes"].min() >= 0 and found["boxes"].max() <= SIZE
    assert found["classes"].min() >= 0 and found["classes"].max() < 3


@pytest.mark.parametrize("settings", [{}, {"norm": "group"}, {"finest": 4}, {"channels": 1}, {"size": 75}])
def test_losses_reach_every_weight(settings):
    net = small(**settings).train()
    size, channels = settings.get("size", SIZE), settings.get("channels", 3)
    named = net(torch.randn(2, channels, size, size), TWO)
    assert set(named) == {"class", "box"} and all(loss.dim() == 0 and loss.isfinite() for loss in named.values())
    sum(named.values()).backward()
    dry = [key for key, p in net.named_parameters() if p.grad is None]
    assert not dry, dry
    staged = {id(p) for stage in net.stages() for p in stage.parameters()} | {id(p) for p in net.head.parameters()}
    assert not [key for key, p in net.named_parameters() if id(p) not in staged]


def test_maps_are_what_the_answer_depends_on():
    """What Grad-CAM does: the maps taken for the start of a graph of their own."""
    net = small().eval()
    plain, pictures = net.maps, torch.randn(1, 3, SIZE, SIZE)
    with torch.no_grad():
        wanted = net(pictures)
        maps = net.maps(pictures)
    assert maps.dim() == 4 and net.features(pictures).shape == (1, maps.shape[1])
    seen = []

    def kept(given: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            seen.append(plain(given).requires_grad_(True))
        return seen[0]

    net.maps = kept
    found = net(pictures)
    torch.testing.assert_close(found, wanted)
    found["probabilities"].sum().backward()
    assert seen[0].grad.abs().sum() > 0
    copy.deepcopy(net)  # nothing of a graph is left in it


def test_a_picture_does_not_depend_on_its_neighbours():
    net, pictures = small().eval(), torch.randn(3, 3, SIZE, SIZE)
    with torch.no_grad():
        together, alone = net(pictures), net(pictures[1:2])
    for key in together:
        torch.testing.assert_close(together[key][1:2], alone[key], rtol=1e-4, atol=1e-4)


HOSTILE = {
    "none at all": truth([[], []], [[], []]),
    "padding only": truth([[[0, 0, 0, 0]], [[0, 0, 0, 0]]], [[-1], [-1]]),
    "one pixel": truth([[[3, 3, 4, 4]], [[63, 63, 64, 64]]], [[0], [2]]),
    "less than one pixel": truth([[[3, 3, 3.01, 3.01]], [[0, 0, 0.2, 64]]], [[0], [2]]),
    "no area": truth([[[3, 3, 3, 3]], [[10, 10, 10, 40]]], [[0], [1]]),
    "the whole frame": truth([[[0, 0, 64, 64]], [[0, 0, 64, 64]]], [[0], [1]]),
    "one place, many objects": truth([[[10, 10, 30, 30]] * 300] * 2, [[0, 1, 2] * 100] * 2),
    "all ignored": truth([[[0, 0, 64, 64]], [[5, 5, 20, 20]]], [[0], [1]], [[True], [True]]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_losses_of_hostile_truths_are_finite(name):
    net = small().train()
    for scale in (1.0, 30.0):
        net.zero_grad()
        named = net(torch.randn(2, 3, SIZE, SIZE) * scale, HOSTILE[name])
        whole = sum(named.values())
        whole.backward()
        assert whole.isfinite() and whole < 300, whole
        assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_empty_pictures_weigh_as_others_do():
    net, pictures = small().eval(), torch.randn(2, 3, SIZE, SIZE)
    empty = net(pictures, HOSTILE["none at all"])
    assert empty["box"] == 0 and 0 < empty["class"] < 10 * net(pictures, TWO)["class"] + 10


def test_what_is_known_does_not_outweigh_what_is_not():
    """As a detector begins, one point learns among thousands that know there is nothing; plain cross-entropy would be sixty to one."""
    logits = torch.full((1, 2000, 3), math.log(PRIOR / (1 - PRIOR)), requires_grad=True)
    points = torch.arange(2000)[:, None] * torch.tensor([8.0, 0.0])
    boxes = torch.cat([points - 4, points + 4], 1)[None]
    wanted = truth([[[4004, -4, 4012, 4]]], [[1]])
    losses(logits, boxes, points, torch.full((2000,), 8.0), wanted)["class"].backward()
    learns = logits.grad[0] < 0
    assert learns.nonzero().tolist() == [[501, 1]]
    assert -logits.grad[0, learns].sum() > logits.grad[0, ~learns].sum()


def test_points_in_ignored_objects_learn_nothing():
    net, pictures = small().eval(), torch.randn(1, 3, SIZE, SIZE)
    alone = truth([[[5, 5, 30, 30], [0, 0, 0, 0]]], [[0, -1]])
    beside = truth([[[5, 5, 30, 30], [32, 32, 64, 64]]], [[0, 1]], [[False, True]])
    without, with_it = net(pictures, alone), net(pictures, beside)
    assert with_it["class"] < without["class"] and torch.equal(with_it["box"], without["box"])


def test_rows_of_padding_and_their_order_change_nothing():
    net, pictures = small().eval(), torch.randn(2, 3, SIZE, SIZE)
    padded = {"boxes": TWO["boxes"][:, [1, 0]], "classes": TWO["classes"][:, [1, 0]], "ignored": TWO["ignored"]}
    more = {key: torch.cat([value, torch.full_like(value, -1 if key == "classes" else 0)], 1) for key, value in padded.items()}
    torch.testing.assert_close(net(pictures, TWO), net(pictures, more))


@pytest.mark.parametrize(
    ("settings", "line"),
    [({"size": 32}, "33"), ({"width": 2}, "width=2"), ({"norm": "layer"}, "layer"), ({"finest": 5}, "finest=5"),
     ({"overlap": 1.0}, "overlap"), ({"most": 0}, "most=0"),
     ({"backbone": "resnet18"}, "resnet18"), ({"backbone": "torchvision/vit_b_32", "size": 224}, "vit_b_32")],
)  # fmt: skip
def test_what_cannot_be_built_is_told_in_one_line(settings, line):
    with pytest.raises(OmmaError, match=line):
        small(**settings)


def test_settings():
    assert settings_of("anchor-free")["width"] > settings_of("anchor-free-small")["width"] > 0
    large, light = (build(name, channels=3, size=320, outputs=3) for name in ("anchor-free", "anchor-free-small"))
    assert sum(p.numel() for p in large.parameters()) > 2 * sum(p.numel() for p in light.parameters())


def test_a_file_of_another_detector_fills_all_but_the_head(tmp_path):
    mine, other = small(outputs=3), small(outputs=5)
    nn.init.normal_(other.neck.laterals[0][0].weight)
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    before = mine.head.weight.clone()
    mine.start(str(tmp_path / "other.safetensors"))
    assert torch.equal(mine.neck.laterals[0][0].weight, other.neck.laterals[0][0].weight) and torch.equal(mine.head.weight, before)
    with pytest.raises(OmmaError, match="anchor-free-small"):
        mine.start("yes")


@pytest.mark.parametrize("name", ["torchvision/resnet18", "timm/resnet18"])
def test_a_borrowed_backbone_learns_and_takes_its_own_weights(name, tmp_path):
    if name.startswith("timm"):
        pytest.importorskip("timm")
    net = small(backbone=name)
    assert net.body.strides == [8, 16, 32] and net.body.widths == [128, 256, 512]
    sum(net(torch.randn(2, 3, SIZE, SIZE), TWO).values()).backward()
    assert all(p.grad is not None for p in net.parameters())
    theirs = build(name, channels=3, size=SIZE, outputs=1000)
    inner = theirs.body if name.startswith("timm") else theirs.trunk
    state = {key: value.contiguous() for key, value in _published(name).items()}
    save_file(state, tmp_path / "classifier.safetensors")
    net.start(str(tmp_path / "classifier.safetensors"))
    assert net.origin["weights"] == "classifier.safetensors" and len(net.origin["mean"]) == 3
    wanted = state["layer3.0.conv1.weight"]
    assert any(torch.equal(p, wanted) for p in net.body.parameters()) and len(list(inner.parameters())) > 0


def _published(name: str) -> dict[str, torch.Tensor]:
    """A classifier's state as its library names it."""
    torch.manual_seed(5)
    if name.startswith("timm"):
        import timm

        return timm.create_model("resnet18").state_dict()
    import torchvision

    return torchvision.models.resnet18().state_dict()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["torchvision/mobilenet_v3_small", "torchvision/convnext_tiny", "torchvision/densenet121", "torchvision/regnet_y_400mf",
             "torchvision/efficientnet_b0", "torchvision/shufflenet_v2_x0_5", "timm/convnext_atto", "timm/mobilenetv3_small_050"],
)  # fmt: skip
def test_more_borrowed_backbones(name):
    if name.startswith("timm"):
        pytest.importorskip("timm")
    net = small(backbone=name)
    sum(net(torch.randn(2, 3, SIZE, SIZE), TWO).values()).backward()
    assert net.eval()(torch.randn(1, 3, SIZE, SIZE))["boxes"].shape == (1, 20, 4)


@pytest.mark.slow  # the grid exports one too
def test_an_exported_graph_says_the_same(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from omma.runtimes._graphs import write_onnx

    net = taught(small(), 3).eval()
    example = torch.randn(2, 3, SIZE, SIZE)
    outputs = ["boxes", "probabilities", "classes"]
    path = write_onnx(net, example, tmp_path / "net.onnx", source="pictures", outputs=outputs, dynamic={0: "N"})
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for count in (1, 3):
        pictures = torch.randn(count, 3, SIZE, SIZE)
        with torch.no_grad():
            wanted = net(pictures)
        assert (wanted["probabilities"] > 0).sum() >= 2 * count
        for value, answer in zip(session.run(None, {"pictures": pictures.numpy()}), wanted.values(), strict=True):
            np.testing.assert_allclose(value, answer.numpy(), rtol=1e-3, atol=1e-3)


def scenes(count: int, seed: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Bright and dark squares, one to three a picture."""
    chance = torch.Generator().manual_seed(seed)
    pictures = 0.2 * torch.randn(count, 3, SIZE, SIZE, generator=chance)
    boxes, classes = torch.zeros(count, 3, 4), torch.full((count, 3), -1)
    for n in range(count):
        for row in range(int(torch.randint(1, 4, (1,), generator=chance))):
            side = int(torch.randint(8, 24, (1,), generator=chance))
            x, y = (torch.rand(2, generator=chance) * (SIZE - side)).int().tolist()
            classes[n, row] = torch.randint(2, (1,), generator=chance)
            pictures[n, :, y : y + side, x : x + side] = 2.0 if classes[n, row] else -2.0
            boxes[n, row] = torch.tensor([x, y, x + side, y + side])
    return pictures, {"boxes": boxes, "classes": classes, "ignored": torch.zeros_like(classes, dtype=torch.bool)}


def taught(net: nn.Module, steps: int) -> nn.Module:
    """A few steps on such scenes."""
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 4e-3 * min((step + 1) / 10, 1 - step / (steps + 1))
        optimizer.zero_grad()
        sum(net.train()(*scenes(16, step)).values()).backward()
        optimizer.step()
    return net


def test_it_learns():
    net = taught(small(outputs=2), 100).eval()
    pictures, wanted = scenes(40, 10_000)
    with torch.no_grad():
        found = net(pictures)
    from omma.parts import boxes as geometry

    right = 0
    for n in range(40):
        real = wanted["classes"][n] >= 0
        best = geometry.pairs(wanted["boxes"][n][real], found["boxes"][n])
        best = best * (wanted["classes"][n][real][:, None] == found["classes"][n]) * (found["probabilities"][n] > 0.2)
        right += int((best.amax(1) > 0.5).sum())
    assert right > 0.6 * int((wanted["classes"] >= 0).sum())

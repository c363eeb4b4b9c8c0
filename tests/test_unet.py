"""Networks that answer for every pixel: U-Nets and DeepLabv3+, from scratch and behind an encoder of timm."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from omma.errors import OmmaError
from omma.models._pixels import Pixels
from omma.models.making import build, settings_of
from omma.parts.unet import Decoder, Twice, UNet, norm_of
from omma.testing import check_model

ENCODER = "timm/mobilenetv3_small_050"


def small(size: int = 32, outputs: int = 3, **settings) -> Pixels:
    torch.manual_seed(0)
    net = build("unet-small", channels=3, size=size, outputs=outputs, **({"widths": (8, 16, 24)} | settings))
    assert isinstance(net, Pixels)
    return net


# ── the body ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_maps_are_halved_and_come_back(norm):
    body = UNet(3, (8, 16, 32), norm)
    maps = body.encode(torch.randn(2, 3, 24, 32))
    assert [tuple(found.shape) for found in maps] == [(2, 8, 24, 32), (2, 16, 12, 16), (2, 32, 6, 8)]
    assert body(torch.randn(2, 3, 24, 32)).shape == (2, 8, 24, 32)


@pytest.mark.parametrize("size", [(20, 20), (17, 30), (1, 5)])
def test_any_size_is_padded_with_zeros_and_cut(size):
    torch.manual_seed(0)
    body = UNet(1, (4, 8, 16)).eval()
    pictures = torch.randn(1, 1, *size)
    whole = F.pad(pictures, (0, -size[1] % 4, 0, -size[0] % 4))
    assert body(pictures).shape == (1, 4, *size)
    torch.testing.assert_close(body(pictures), body(whole)[:, :, : size[0], : size[1]])


def test_the_decoder_joins_what_the_encoder_saw():
    """With every convolution set by hand: joins add the skip and the enlarged coarse map."""
    decoder = Decoder([1, 1], [1])
    decoder.lifts[0].weight.data.fill_(1)
    decoder.joins[0] = torch.nn.Conv2d(2, 1, 1, bias=False)
    decoder.joins[0].weight.data.fill_(1)
    fine, coarse = torch.rand(1, 1, 4, 6), torch.rand(1, 1, 2, 3)
    wanted = fine + F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(decoder([fine, coarse]), wanted)


def test_norms():
    assert norm_of("group", 12).num_groups == 4 and norm_of("group", 64).num_groups == 8 and norm_of("group", 7).num_groups == 1
    with pytest.raises(ValueError, match="batch or group"):
        norm_of("layer", 8)
    assert Twice(3, 8, stride=2)(torch.zeros(2, 3, 9, 8)).shape == (2, 8, 5, 4)


# ── the networks ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("channels", [1, 3])
def test_unet_keeps_its_promises(channels):
    check_model("unet-small", channels=channels, size=28, widths=(8, 12, 16), norm="group")
    check_model("unet", channels=channels, size=32, widths=(8, 16))


@pytest.mark.parametrize("stride", [2, 4])
def test_a_coarser_unet_keeps_its_promises(stride):
    check_model("unet", channels=3, size=33, widths=(8, 16), stride=stride)
    maps = small(33, stride=stride).encode(torch.randn(2, 3, 33, 33))
    assert maps[0].shape[2:] >= (-(-33 // stride),) * 2, "the finest maps have the stride asked for"


def test_large_pictures_are_answered_at_half_the_resolution():
    with torch.device("meta"):
        assert [build("unet", channels=3, size=size, outputs=2).stride for size in (128, 192, 320)] == [1, 2, 2]
        assert build("unet", channels=3, size=320, outputs=2, stride=1).stride == 1
    with pytest.raises(OmmaError, match="3"):
        small(stride=3)


def test_usual_sizes():
    assert settings_of("unet") == {"widths": (32, 64, 128, 256), "norm": "batch", "encoder": "own", "stride": 0}
    with torch.device("meta"):
        nets = {name: build(name, channels=3, size=64, outputs=2) for name in ("unet", "unet-small")}
    weights = {name: sum(p.numel() for p in net.parameters()) for name, net in nets.items()}
    assert 1.7e6 < weights["unet"] < 2.3e6 and 0.4e6 < weights["unet-small"] < 0.6e6
    assert all(net.gives == "pixels" for net in nets.values())


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"widths": (8,)}, "two to eight widths"),
        ({"widths": (8, 0)}, "8-0"),
        ({"norm": "layer"}, "batch, group"),
        ({"encoder": "timm/resnet81"}, "timm/resnet"),
    ],
)
def test_shapes_that_make_no_unet_are_refused(settings, line):
    if "encoder" in settings:
        pytest.importorskip("timm")
    with pytest.raises(OmmaError, match=line):
        build("unet", channels=3, size=32, outputs=2, **settings)


def test_it_learns_to_tell_bright_from_dark_and_where_the_edge_is():
    net = small(outputs=2).train()
    chance = torch.Generator().manual_seed(1)
    x = torch.arange(32)
    corners = torch.randint(4, 14, (8, 2), generator=chance)
    inside = (x >= corners[:, :1]) & (x < corners[:, :1] + 12)
    truth = inside[:, :, None] & inside[:, None, :]
    pictures = truth[:, None].float().expand(-1, 3, -1, -1) + 0.3 * torch.randn(8, 3, 32, 32, generator=chance)
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(25):
        loss = F.cross_entropy(net(pictures), truth.long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        right = (net(pictures).argmax(1) == truth).float().mean()
    assert right > 0.98, f"{right:.3f} of the pixels"


def test_an_explanation_asks_the_coarsest_maps():
    net = small().eval()
    seen = net.encode(torch.zeros(1, 3, 32, 32))
    assert net.maps(torch.zeros(1, 3, 32, 32)).shape == seen[-1].shape == (1, 24, 8, 8)
    pictures = torch.randn(2, 3, 32, 32)
    plain = net(pictures)
    net.maps = lambda pictures: torch.zeros(2, 24, 8, 8)  # as an explainer stands between
    assert not torch.equal(net(pictures), plain)
    del net.maps
    torch.testing.assert_close(net(pictures), plain)


# ── behind an encoder of timm ───────────────────────────────────────────────────────────────────────────


def test_unet_behind_an_encoder():
    pytest.importorskip("timm")
    check_model("unet", size=64, encoder=ENCODER, widths=(16, 32))


def test_the_finest_level_looks_at_the_picture_itself():
    pytest.importorskip("timm")
    net = build("unet", channels=2, size=64, outputs=2, encoder=ENCODER)
    assert net.decoder.joins[0][0].in_channels == 2 + 16 and net.head.in_channels == 16
    assert len(net.decoder.joins) == len(net.encoder.widths)


def test_deeplab_keeps_its_promises():
    pytest.importorskip("timm")
    check_model("deeplabv3plus", size=64, encoder=ENCODER, width=24)


def test_deeplab_sees_context_at_stride_16_and_edges_at_4():
    pytest.importorskip("timm")
    net = build("deeplabv3plus", channels=3, size=64, outputs=2, encoder=ENCODER, width=16, norm="group")
    maps = net.encode(torch.zeros(1, 3, 64, 64))
    assert maps[-1].shape[2] == 4 and maps[net.fine].shape[2] == 16
    assert [branch[0].dilation[0] for branch in net.context.near[1:]] == [6, 12, 18]
    assert net.train()(torch.zeros(1, 3, 64, 64)).shape == (1, 2, 64, 64), "a batch of one picture can be learned"


def test_an_encoder_starts_from_a_file(tmp_path):
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("mobilenetv3_small_050", num_classes=1000)
    save_file(theirs.state_dict(), tmp_path / "timm.safetensors")
    net = build("unet", channels=3, size=64, outputs=2, encoder=ENCODER, pretrained=str(tmp_path / "timm.safetensors")).eval()
    pictures = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        wanted = theirs.eval().forward_intermediates(pictures, intermediates_only=True)[0]
        torch.testing.assert_close(net.encode(pictures)[0], wanted, rtol=1e-4, atol=1e-5)
    assert net.origin["weights"] == "timm.safetensors" and net.origin["mean"] == [0.485, 0.456, 0.406]


def test_nothing_is_fetched_for_a_network_that_has_nothing_to_fetch(monkeypatch):
    pytest.importorskip("timm")
    monkeypatch.setenv("OMMA_OFFLINE", "1")
    with pytest.raises(OmmaError, match="no published weights"):
        build("unet", channels=3, size=64, outputs=2, pretrained="yes")
    with pytest.raises(OmmaError, match=r"OMMA_OFFLINE.*by hand"):
        build("unet", channels=3, size=64, outputs=2, encoder=ENCODER, pretrained="yes")


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder", ["timm/resnet18", "timm/convnext_atto", "timm/swin_tiny_patch4_window7_224", "timm/vit_tiny_patch16_224"]
)
def test_other_encoders(encoder):
    pytest.importorskip("timm")
    for name in ("unet", "deeplabv3plus"):
        torch.manual_seed(0)
        net = build(name, channels=3, size=64, outputs=3, encoder=encoder)
        logits = net(torch.randn(2, 3, 64, 64))
        assert logits.shape == (2, 3, 64, 64)
        logits.sum().backward()
        assert all(p.grad is not None for p in net.head.parameters())


# ── on the way out of the house ─────────────────────────────────────────────────────────────────────────


def exported(net: torch.nn.Module, pictures: torch.Tensor, path):
    """What the ONNX file of a network says about a batch of another length."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    torch.onnx.export(net, (pictures,), path, dynamo=True, input_names=["x"], dynamic_shapes=({0: torch.export.Dim("n")},), verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    more = torch.cat([pictures, pictures.flip(3)])
    with torch.no_grad():
        return torch.from_numpy(session.run(None, {"x": more.numpy()})[0]), net(more)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "settings"),
    [
        ("unet-small", 30, {}),
        ("unet-small", 32, {"norm": "group"}),
        ("unet", 64, {"encoder": ENCODER}),
        ("deeplabv3plus", 64, {"encoder": ENCODER}),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_they_leave_the_house(tmp_path, name, size, settings):
    if "encoder" in settings:
        pytest.importorskip("timm")
    torch.manual_seed(0)
    net = build(name, channels=3, size=size, outputs=3, **settings).eval()
    found, wanted = exported(net, torch.randn(2, 3, size, size), tmp_path / "net.onnx")
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_it_can_be_pruned():
    pytest.importorskip("torch_pruning")
    from omma.compressors.prune import thin
    from omma.parts.surgery import operate, plan_of

    net, whole = small(), small()
    thin(net, 0.5, 3, 32)
    plan = plan_of(whole, net)
    assert plan and sum(p.numel() for p in net.parameters()) < 0.6 * sum(p.numel() for p in whole.parameters())
    again = operate(small(), plan)
    again.load_state_dict(net.state_dict())
    assert again.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)

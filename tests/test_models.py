"""Every network keeps the same promises, and weights come in only when asked and only when they fit."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from omma import catalog
from omma.errors import OmmaError
from omma.models.making import build, settings_of
from omma.models.network import Network
from omma.recipe import Recipe
from omma.testing import check_model

OURS = ["keras-same", "keras-valid", "resnet20", "quick", "quick-narrow"]
THEIRS = ["torchvision/alexnet", "torchvision/resnet18", "torchvision/mobilenet_v3_small", "torchvision/squeezenet1_1"]
# More of torchvision's ways to be built, and of timm's: slow, because importing and drawing weights takes seconds.
MORE = [
    ("torchvision/vit_b_32", 64), ("torchvision/vgg11", 64), ("torchvision/googlenet", 64), ("torchvision/inception_v3", 75),
    ("torchvision/densenet121", 64), ("torchvision/shufflenet_v2_x0_5", 64), ("torchvision/mobilenet_v2", 64),
    ("torchvision/mnasnet0_5", 64),
    ("torchvision/efficientnet_b0", 64), ("torchvision/convnext_tiny", 64), ("torchvision/regnet_y_400mf", 64), ("torchvision/swin_t", 64),
    ("torchvision/maxvit_t", 224), ("timm/vit_tiny_patch16_224", 64), ("timm/swin_tiny_patch4_window7_224", 64), ("timm/convnext_atto", 64),
    ("timm/mobilenetv3_small_050", 64), ("timm/mixer_s16_224", 224), ("timm/deit_tiny_distilled_patch16_224", 64),
]  # fmt: skip
MIRROR = Path(os.environ.get("OMMA_MIRROR", Path(__file__).parents[1] / ".." / "shared" / "datasets"))


def holds(name: str, size: int, channels: int = 3) -> Network:
    """`check_model`, and that the pieces make up the whole."""
    check_model(name, size=size, channels=channels)
    torch.manual_seed(1)
    net = build(name, channels=channels, size=size, outputs=4).eval()
    pictures = torch.randn(2, channels, size, size)
    with torch.no_grad():
        features, answers = net.features(pictures), net(pictures)
        torch.testing.assert_close(net.pool(net.maps(pictures)), features, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(net.head(features), answers, rtol=1e-4, atol=1e-5)
        assert torch.equal(net(pictures), answers), "in evaluation the same question has the same answer"
    maps = net.maps(pictures).detach().requires_grad_(True)  # what Grad-CAM does
    net.head(net.pool(maps)).sum().backward()
    assert maps.grad is not None and maps.grad.abs().sum() > 0, "answers do not depend on the maps"
    return net


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("channels", [1, 3])
def test_our_networks(name, channels):
    holds(name, 32, channels)


@pytest.mark.parametrize("name", THEIRS)
def test_torchvision(name):
    holds(name, 64)


def test_timm():
    pytest.importorskip("timm")
    holds("timm/resnet18", 48, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), MORE)
def test_more_of_them(name, size):
    if name.startswith("timm"):
        pytest.importorskip("timm")
    holds(name, size)


@pytest.mark.slow
def test_a_transformer_that_pools_one_token_has_no_maps_but_answers():
    pytest.importorskip("timm")
    net = build("timm/cait_xxs24_224", channels=3, size=64, outputs=3).eval()
    assert net(torch.randn(1, 3, 64, 64)).shape == (1, 3)
    with pytest.raises(NotImplementedError):
        net.maps(torch.randn(1, 3, 64, 64))


@pytest.mark.parametrize(
    ("name", "weights"), [("keras-same", 1_147_466), ("keras-valid", 122_570), ("resnet20", 269_722), ("resnet56", 853_018)]
)
def test_as_large_as_published(name, weights):
    assert sum(p.numel() for p in build(name, channels=3, size=32, outputs=10).parameters()) == weights


@pytest.mark.parametrize(("name", "least"), [("torchvision/mnasnet0_5", 0.01), ("torchvision/resnet18", 0.1)])
def test_batch_norms_of_the_libraries_follow_within_a_run_of_minutes(name, least):
    """MNASNet's would remember what they began with for ten thousand steps."""
    with torch.device("meta"):
        net = build(name, channels=3, size=32, outputs=10)
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {least}
    norm = norms[0].to_empty(device="cpu")
    norm.reset_parameters()
    for _ in range(400):
        norm(torch.full((2, norm.num_features, 2, 2), 5.0) + torch.tensor([-1.0, 1.0]))
    assert norm.running_mean.sub(5).abs().max() < 0.1


def test_a_batch_norm_stands_after_each_convolution_where_asked_for():
    net = build("keras-valid", channels=1, size=28, outputs=10, norm="batch")
    kinds = [type(layer).__name__ for layer in net.convolutions]
    assert kinds == [*["Conv2d", "BatchNorm2d", "MaxPool2d", "ReLU"] * 2, "Conv2d", "BatchNorm2d", "ReLU"]
    assert all(layer.bias is None for layer in net.convolutions if isinstance(layer, torch.nn.Conv2d))
    with pytest.raises(OmmaError, match="norm"):
        build("keras-valid", channels=1, size=28, outputs=10, norm="bath")


def test_quick_is_as_large_as_asked():
    full = build("quick", channels=3, size=32, outputs=10)
    assert 1.9e6 < sum(p.numel() for p in full.parameters()) < 2.1e6
    assert build("quick", channels=3, size=32, outputs=10, widths=(8, 16), depth=1).head.in_features == 16
    for size, places in ((17, 2), (32, 3), (64, 7), (96, 5), (224, 5)):
        maps = build("quick-narrow", channels=3, size=size, outputs=2).eval().maps(torch.zeros(1, 3, size, size))
        assert maps.shape[2] == places


def test_the_stem_whitens():
    net = build("quick", channels=3, size=16, outputs=4)
    colour = torch.tensor([[1.0, 0, 0], [0.9, 0.3, 0], [0.5, 0.5, 0.7]])
    pictures = torch.einsum("bchw,dc->bdhw", torch.randn(200, 3, 16, 16), colour)
    net.prepare(pictures)
    with torch.no_grad():
        seen = (net.stem(pictures) - net.stem.bias.view(1, -1, 1, 1)).transpose(0, 1).flatten(1)
    kept, negative = seen.split(12)
    assert torch.equal(kept, -negative)
    covariance = kept @ kept.T / kept.shape[1]
    assert (covariance - torch.eye(12)).abs().max() < 0.05
    assert not net.stem.weight.requires_grad
    net.prepare(torch.zeros(10, 3, 16, 16))
    assert torch.isfinite(net.stem.weight).all()


@pytest.mark.parametrize(
    ("name", "size", "line"),
    [
        ("quick", 8, "at least 9"), ("keras-same", 4, "at least 8"), ("keras-valid", 10, "at least 18"),
        ("torchvision/alexnet", 40, "40 × 40"),
        ("torchvision/vit_b_16", 65, "65 × 65"),
    ],
)  # fmt: skip
def test_a_size_that_does_not_pass_is_refused_in_one_line(name, size, line):
    with pytest.raises(OmmaError, match=line):
        build(name, channels=3, size=size, outputs=2)


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("torchvision/resnet19", "torchvision/resnet18"),
        ("resnet21", "resnet20"),
        ("quik", "quick"),
        ("torchvison/resnet18", "torchvision/resnet18"),
    ],
)
def test_did_you_mean(name, close):
    with pytest.raises(OmmaError, match=close):
        build(name, channels=3, size=32, outputs=2)


def test_examples_exist():
    from omma.models.making import EXAMPLES, names

    assert {name for name in EXAMPLES if name.startswith("torchvision/")} <= set(names("torchvision"))


def test_names_of_timm():
    pytest.importorskip("timm")
    from omma.models.making import EXAMPLES, names

    assert {name for name in EXAMPLES if name.startswith("timm/")} <= set(names("timm"))
    for name in ("timm/resnet81", "timm/hf-hub:someone/something"):
        with pytest.raises(OmmaError):
            build(name, channels=3, size=32, outputs=2)


def test_settings_are_known_and_reach_the_network():
    assert settings_of("quick") == {"widths": (64, 256, 256), "depth": 2} and settings_of("torchvision/alexnet") == {}
    recipe = Recipe().tell(["model=quick", "widths=8-16-24", "depth=1"])
    assert recipe.model_settings == {"widths": (8, 16, 24), "depth": 1}
    assert build("quick", channels=3, size=32, outputs=2, **recipe.model_settings).head.in_features == 24
    with pytest.raises(OmmaError, match="depth"):
        build("quick", channels=3, size=32, outputs=2, deph=3)
    with pytest.raises(OmmaError, match="depth=0"):
        build("quick", channels=3, size=32, outputs=2, depth=0)


def test_settings_of_a_backbone_do_not_import_its_library():
    code = """
import sys
from omma.models.making import settings_of
settings_of("timm/resnet50")
print({"timm", "torchvision"} & {*sys.modules})
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_models_are_in_the_catalogue_with_captions():
    assert set(OURS) < set(catalog.names("models")) and not any("backbone" in name for name in catalog.names("models"))
    assert all(catalog.caption("models", name) for name in catalog.names("models"))


# Weights from elsewhere.


def test_weights_from_a_file_keep_everything_but_another_head(tmp_path):
    first = build("resnet20", channels=3, size=32, outputs=10)
    published = {f"module.{key.replace('head.', 'linear.')}": value for key, value in first.state_dict().items()}
    save_file(published, tmp_path / "权重.safetensors")
    same = build("resnet20", channels=3, size=32, outputs=10, pretrained=str(tmp_path / "权重.safetensors"))
    assert all(torch.equal(value, first.state_dict()[key]) for key, value in same.state_dict().items())
    assert same.origin["weights"] == "权重.safetensors"
    other = build("resnet20", channels=3, size=32, outputs=3, pretrained=str(tmp_path / "权重.safetensors"))
    assert torch.equal(other.conv1.weight, first.conv1.weight) and other.head.weight.shape == (3, 64)
    with pytest.raises(OmmaError, match="conv1"):
        build("resnet20", channels=1, size=32, outputs=3, pretrained=str(tmp_path / "权重.safetensors"))
    with pytest.raises(OmmaError, match=r"layer1\.3"):
        build("resnet32", channels=3, size=32, outputs=3, pretrained=str(tmp_path / "权重.safetensors"))


def test_weights_of_torchvision_from_a_file(tmp_path):
    import torchvision

    theirs = torchvision.models.mobilenet_v3_small(weights=None, num_classes=1000)
    save_file({k: v for k, v in theirs.state_dict().items() if "num_batches" not in k}, tmp_path / "small.safetensors")
    net = build("torchvision/mobilenet_v3_small", channels=3, size=64, outputs=5, pretrained=str(tmp_path / "small.safetensors"))
    pictures = torch.randn(2, 3, 64, 64)
    theirs.classifier[3] = nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(net.eval().features(pictures), theirs.eval()(pictures), rtol=1e-4, atol=1e-5)
    assert net.origin["mean"] == [0.485, 0.456, 0.406] and net.origin["licence"] == "unknown"
    grey = build("torchvision/mobilenet_v3_small", channels=1, size=64, outputs=5, pretrained=str(tmp_path / "small.safetensors"))
    with torch.no_grad():
        torch.testing.assert_close(
            grey.eval().features(pictures[:, :1]), theirs(pictures[:, :1].expand(-1, 3, -1, -1).contiguous()), rtol=1e-3, atol=1e-4
        )


def test_weights_of_timm_from_a_file(tmp_path):
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("resnet18", num_classes=1000)
    save_file(theirs.state_dict(), tmp_path / "timm.safetensors")
    net = build("timm/resnet18", channels=3, size=64, outputs=5, pretrained=str(tmp_path / "timm.safetensors"))
    pictures = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        wanted = theirs.eval().forward_head(theirs.forward_features(pictures), pre_logits=True)
        torch.testing.assert_close(net.eval().features(pictures), wanted, rtol=1e-4, atol=1e-5)


class Trap:
    """A pickle that leaves a trace when it is opened."""

    def __init__(self, trace: str) -> None:
        self.trace = trace

    def __reduce__(self):
        return open, (self.trace, "w")


def test_other_files_are_refused_unopened(tmp_path):
    (tmp_path / "net.pth").write_bytes(pickle.dumps(Trap(str(tmp_path / "trace"))))
    (tmp_path / "net.safetensors").write_bytes((tmp_path / "net.pth").read_bytes())
    for name in ("resnet20", "torchvision/resnet18"):
        for file in ("net.pth", "net.safetensors", "absent.safetensors"):
            with pytest.raises(OmmaError, match=file):
                build(name, channels=3, size=64, outputs=2, pretrained=str(tmp_path / file))
    assert not (tmp_path / "trace").exists()


def test_nothing_is_fetched_unasked(monkeypatch):
    def fetch(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fetch)
    monkeypatch.setattr("socket.socket.connect", fetch)
    monkeypatch.setenv("OMMA_OFFLINE", "1")
    build("torchvision/mobilenet_v3_small", channels=3, size=64, outputs=2)
    with pytest.raises(OmmaError, match=r"OMMA_OFFLINE.*https://download.pytorch.org/models/mobilenet_v3_small-\w+.pth by hand"):
        build("torchvision/mobilenet_v3_small", channels=3, size=64, outputs=2, pretrained="yes")
    with pytest.raises(OmmaError, match=r"OMMA_OFFLINE.*https://huggingface.co/timm/resnet18.\w+/resolve/main/model.safetensors by hand"):
        build("timm/resnet18", channels=3, size=64, outputs=2, pretrained="yes")
    with pytest.raises(OmmaError, match="no published weights"):
        build("resnet20", channels=3, size=64, outputs=2, pretrained="yes")
    # A bundle is first built without memory: one that asks for weights gets no further.
    with torch.device("meta"), pytest.raises(OmmaError, match="pretrained"):
        build("torchvision/mobilenet_v3_small", channels=3, size=64, outputs=2, pretrained="yes")


def test_a_fetch_that_fails_is_told_in_one_line(monkeypatch):
    monkeypatch.delenv("OMMA_OFFLINE", raising=False)
    monkeypatch.setattr(
        "torchvision.models._api.load_state_dict_from_url", lambda *_, **__: (_ for _ in ()).throw(OSError("no route to host"))
    )
    with pytest.raises(OmmaError, match="no route to host"):
        build("torchvision/mobilenet_v3_small", channels=3, size=64, outputs=2, pretrained="yes")


def test_published_weights_know_their_licence_and_colours(monkeypatch):
    import torchvision

    monkeypatch.delenv("OMMA_OFFLINE", raising=False)
    theirs = torchvision.models.mobilenet_v3_small(weights=None)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *_, **__: theirs.state_dict())
    net = build("torchvision/mobilenet_v3_small", channels=3, size=64, outputs=2, pretrained="yes")
    assert net.origin["weights"].endswith("IMAGENET1K_V1") and net.origin["licence"].startswith("BSD-3")
    assert net.origin["mean"] == [0.485, 0.456, 0.406] and torch.equal(net.trunk[0][0][0].weight, theirs.features[0][0].weight)


def test_a_plain_transformer_computes_what_the_library_does():
    import torchvision

    torch.manual_seed(0)
    theirs = torchvision.models.VisionTransformer(32, 16, 2, 4, 24, 48, num_classes=3).eval()
    from omma.models._torchvision import TorchvisionVit

    pictures = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        theirs.encoder.pos_embedding.normal_()
        theirs.class_token.normal_()
        theirs.heads = nn.Identity()
        wanted = theirs(pictures)
        net = TorchvisionVit("torchvision/vit_small", 3, 32, 5, theirs).eval()
        torch.testing.assert_close(net.features(pictures), wanted, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(net.pool(net.maps(pictures)), wanted, rtol=1e-4, atol=1e-5)


def test_published_positions_fit_another_grid():
    from omma.models._torchvision import _fitted, whole

    net, large = whole("torchvision/vit_b_32", 3, 64), torch.zeros(1, 50, 768)
    large[:, 1:] = torch.linspace(0, 1, 49).view(1, 49, 1)
    fitted = _fitted(net, "encoder.pos_embedding", large)
    assert fitted.shape == (1, 5, 768)
    torch.testing.assert_close(fitted[0, [1, 4], 0], torch.tensor([0.0, 1.0]))


@pytest.mark.slow
def test_the_published_resnet20_is_as_good_as_published():
    file, archive = MIRROR / "weights" / "cifar10-resnet20.safetensors", MIRROR / "cifar-10-python.tar.xz"
    if not file.exists() or not archive.exists():
        pytest.skip("needs the mirror: weights/cifar10-resnet20.safetensors and cifar-10-python.tar.xz")
    net = build("resnet20", channels=3, size=32, outputs=10, pretrained=str(file)).eval()
    with tarfile.open(archive) as tar:
        member = next(m for m in tar if m.name.endswith("test_batch"))
        raw = pickle.load(tar.extractfile(member), encoding="bytes")  # a file of ours, checked by the mirror's notes
    pictures = torch.from_numpy(raw[b"data"].reshape(-1, 3, 32, 32)).float() / 255
    pictures = (pictures - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        found = torch.cat([net(part).argmax(1) for part in pictures.split(500)])
    assert float((found == torch.from_numpy(np.array(raw[b"labels"]))).float().mean()) == pytest.approx(0.9173, abs=5e-4)

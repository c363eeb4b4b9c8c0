"""The literature's networks through what comes after learning: exact resume, export, one step of `train`; and what only they can learn."""

from __future__ import annotations

import gzip
import math
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import omma
from omma import catalog
from omma.models.gallery import family
from omma.models.making import build
from omma.testing import check_model

MIRROR = Path(os.environ.get("OMMA_MIRROR", Path(__file__).parents[1] / ".." / "shared" / "datasets"))
# The smallest of each family, and the size that is quickest.
SMALLEST = {
    "lenet": 28, "nin": 16, "resnet20": 16, "densenet-bc-100": 16, "se-resnet20": 16, "shufflenet-v1": 32, "shufflenet-v2": 32,
    "vit-lite": 16, "cct": 16, "rcnn": 16, "convlstm": 16, "stn": 24, "c3d-small": 32, "darknet19-small": 32, "fcn-small": 32,
    "yolo-small": 64, "yolo-v2-small": 64,
}  # fmt: skip
SIX = ["lenet", "shufflenet-v2", "vit-lite", "rcnn", "stn", "fcn-small"]
QUICK = {"convlstm": {"widths": (8, 4)}, "yolo-small": {"hidden": 16}, "densenet-bc-100": {"depth": 10}}


@pytest.mark.parametrize("name", ["lenet", "rcnn", "stn"])
def test_a_cut_run_ends_in_the_same_bits(name):
    check_model(name, size=SMALLEST[name], resumes=True, **QUICK.get(name, {}))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SMALLEST if name not in ("lenet", "rcnn", "stn")])
def test_a_cut_run_of_the_others_ends_in_the_same_bits(name):
    check_model(name, size=SMALLEST[name], resumes=True, **QUICK.get(name, {}))


def test_a_network_that_keeps_something_aside_is_caught(monkeypatch):
    from omma.models.stn import Stn

    plain = Stn.maps

    def forgetful(self, pictures):
        if self.training:
            self.seen = getattr(self, "seen", 0) + 1
            return plain(self, pictures) * (1 + self.seen)
        return plain(self, pictures)

    monkeypatch.setattr(Stn, "maps", forgetful)
    with pytest.raises(AssertionError, match="outside its state"):
        check_model("stn", size=24, resumes=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_graphs_answer_the_same(name):
    check_model(name, size=SMALLEST[name], exports=name not in ("yolo-small", "yolo-v2-small"), **QUICK.get(name, {}))


@pytest.mark.slow
@pytest.mark.parametrize("name", SIX[:-1])
def test_they_leave_as_onnx_files(name, tmp_path):
    """`omma export` proves the file on pictures, or writes nothing."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from models_at_hand import bundle_of, folder_of

    folder_of(tmp_path / "pictures", 4)
    torch.manual_seed(0)
    made = bundle_of(model="resnet20", size=SMALLEST[name])
    net = build(name, channels=3, size=SMALLEST[name], outputs=3).eval()
    made.nets["net"], made.card["model"], made.card["task"] = net, name, "classify"
    made.save(tmp_path / "bundle")
    row = omma.export(tmp_path / "bundle", to="onnx", data=tmp_path / "pictures", out=tmp_path / "out.onnx").json()
    assert row["worst"] < 1e-3 and (tmp_path / "out.onnx").exists()


CLASSIFIERS = [n for n in catalog.names("models") if (one := family(n)) and "classify" in one.tasks and not n.startswith("encoder")]
# One of each library family beside them; the size where 32 pixels are too few.
BORROWED = [
    ("torchvision/alexnet", 64), ("torchvision/vgg11", 32), ("torchvision/vgg11_bn", 32), ("torchvision/googlenet", 32),
    ("torchvision/inception_v3", 75), ("torchvision/resnet18", 32), ("torchvision/densenet121", 32), ("torchvision/squeezenet1_1", 32),
    ("torchvision/shufflenet_v2_x0_5", 32), ("torchvision/mobilenet_v2", 32), ("torchvision/mobilenet_v3_small", 32),
    ("torchvision/mnasnet0_5", 32), ("torchvision/efficientnet_b0", 32), ("torchvision/efficientnet_v2_s", 32),
    ("torchvision/regnet_y_400mf", 32), ("torchvision/convnext_tiny", 32), ("torchvision/vit_b_32", 32), ("torchvision/swin_t", 32),
    ("torchvision/maxvit_t", 224), ("timm/seresnet18", 32), ("timm/vit_tiny_patch16_224", 32), ("timm/poolformer_s12", 32),
    ("timm/deit_tiny_patch16_224", 32), ("torchvision/r3d_18", 32),
]  # fmt: skip
HEAVY = {"c3d": ["batch=2"], "densenet-bc-190": ["batch=2"], "densenet-bc-250": ["batch=2"], "densenet-bc-100": ["batch=4"]}


@pytest.fixture(scope="module")
def little_cifar(tmp_path_factory):
    """Twelve pictures of 32 × 32 in ten classes' stead: what `cifar10` is to a network that takes one step."""
    from PIL import Image

    folder, draw = tmp_path_factory.mktemp("cifar"), np.random.default_rng(0)
    for part, count in (("train", 6), ("test", 2)):
        for kind in ("cat", "dog"):
            place = folder / part / kind
            place.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(draw.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(place / f"{part}-{number}.png")
    return folder


def takes_a_step(name: str, data: Path, out: Path, *words: str) -> None:
    told = omma.train(str(data), "val=0", "evals=1", "threads=1", *words, model=name, budget="1 steps", out=str(out), device="cpu")
    assert told.steps == 1 and 0 <= told.scores["accuracy"]["value"] <= 1
    assert omma.open(out).card["model"] == name


@pytest.mark.parametrize("name", ["lenet", "nin"])
def test_train_takes_the_smallest(name, little_cifar, tmp_path):
    takes_a_step(name, little_cifar, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_train_takes_every_classifier_of_ours(name, little_cifar, tmp_path):
    takes_a_step(name, little_cifar, tmp_path / "run", *HEAVY.get(name, []))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), BORROWED)
def test_train_takes_one_of_every_family_of_the_libraries(name, size, little_cifar, tmp_path):
    if name.startswith("timm"):
        pytest.importorskip("timm")
    takes_a_step(name, little_cifar, tmp_path / "run", f"size={size}", "batch=4")


# ── what they learn and a plain network cannot ──────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def digits():
    """(2000, 28, 28) float 0–1 and (2000,) int64 of MNIST."""
    file = MIRROR / "mnist-20k.zip"
    if not file.exists():
        pytest.skip("needs the mirror: mnist-20k.zip")
    with zipfile.ZipFile(file) as archive:
        names = {Path(name).name: name for name in archive.namelist()}
        images, labels = (
            next(n for key, n in names.items() if key.startswith("train20k") and word in key) for word in ("images", "labels")
        )
        pixels = np.frombuffer(gzip.decompress(archive.read(images)), np.uint8, offset=16).reshape(-1, 28, 28)[:2000]
        kinds = np.frombuffer(gzip.decompress(archive.read(labels)), np.uint8, offset=8)[:2000]
    return torch.from_numpy(pixels / np.float32(255)), torch.from_numpy(kinds.astype(np.int64))


def moving(digits: torch.Tensor, frames: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips (N, frames, 32, 32) of a digit that walks in one of four directions, and the direction; the middle frame tells nothing."""
    draw = np.random.default_rng(seed)
    small = F.interpolate(digits[:, None], (14, 14), mode="area")[:, 0]
    clips = torch.zeros(len(small), frames, 32, 32)
    way = torch.from_numpy(draw.integers(0, 4, len(small)))
    for place, (step, middle) in enumerate(zip(way.tolist(), draw.integers(6, 13, (len(small), 2)), strict=True)):
        for time in range(frames):
            y, x = middle + 2 * (time - frames // 2) * np.array([(0, 1), (0, -1), (1, 0), (-1, 0)][step])
            clips[place, time, y : y + 14, x : x + 14] = small[place]
    return clips, way


def taught(net: torch.nn.Module, pictures: torch.Tensor, kinds: torch.Tensor, steps: int, rate: float = 2e-3) -> float:
    """Share of the last quarter that is right after learning from the rest."""
    torch.manual_seed(0)
    optimizer, cut = torch.optim.Adam(net.parameters(), rate), len(pictures) * 3 // 4
    for step in range(steps):
        rows = torch.randint(0, cut, (48,))
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / steps)
        F.cross_entropy(net.train()(pictures[rows]), kinds[rows]).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        return (net.eval()(pictures[cut:]).argmax(1) == kinds[cut:]).float().mean().item()


@pytest.mark.slow
def test_memory_tells_where_a_digit_goes_and_one_look_does_not(digits):
    torch.manual_seed(0)
    clips, way = moving(digits[0], 5, 0)
    memory = build("convlstm", channels=5, size=32, outputs=4, frames=5, widths=(16, 16), kernel=3)
    one_look = build("resnet20", channels=1, size=32, outputs=4)
    seen = taught(one_look, clips[:, 2:3], way, 120)
    moved = taught(memory, clips, way, 250)
    assert moved > 0.9 and seen < 0.45, (moved, seen)


@pytest.mark.slow
def test_a_transformer_reads_digits_that_lie_about(digits):
    """Turned by up to 60° and moved by up to a third of the picture: with the transformer fewer mistakes than without."""
    draw = torch.Generator().manual_seed(0)
    turn = (torch.rand(len(digits[0]), generator=draw) * 2 - 1) * math.pi / 3
    move = (torch.rand(len(digits[0]), 2, generator=draw) * 2 - 1) * 0.6
    rows = torch.stack([turn.cos(), -turn.sin(), move[:, 0], turn.sin(), turn.cos(), move[:, 1]], 1).view(-1, 2, 3)
    wide = F.pad(digits[0][:, None], (7, 7, 7, 7))
    lying = F.grid_sample(wide, F.affine_grid(rows, list(wide.shape), align_corners=False), align_corners=False)
    right = {}
    for turns in (True, False):
        torch.manual_seed(0)
        right[turns] = taught(build("stn", channels=1, size=42, outputs=10, width=16, hidden=64, turn=turns), lying, digits[1], 500, 1e-3)
    assert right[True] > right[False] + 0.02, right

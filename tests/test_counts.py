"""As many weights as the layers of the papers have: their tables typed again and added up by hand, without any network."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
import torch

from omma.models.cost import cost
from omma.models.gallery import family
from omma.models.making import build


def conv(inputs: int, width: int, side: int = 3, bias: bool = True) -> int:
    """Weights of a convolution; of a dense layer with side 1."""
    return inputs * width * side**2 + bias * width


def norm(width: int) -> int:
    """Scale and shift of batch or instance norm."""
    return 2 * width


def chain(inputs: int, layers: Iterable[tuple[int, int]], bias: bool) -> int:
    """(width, side) one after the other; those without a bias are followed by a norm."""
    total = 0
    for width, side in layers:
        total += conv(inputs, width, side, bias) + (0 if bias else norm(width))
        inputs = width
    return total


def vgg(groups: tuple[int, ...], evened: bool) -> int:
    """Table 1 of Simonyan & Zisserman: so many 3×3 convolutions of 64, 128, 256, 512 and 512 maps, then 4096, 4096, 1000."""
    widths = [width for width, count in zip((64, 128, 256, 512, 512), groups, strict=True) for _ in range(count)]
    total = sum(conv(i, w) for i, w in zip([3, *widths], widths, strict=False)) + evened * norm(sum(widths))
    return total + conv(512 * 49, 4096, 1) + conv(4096, 4096, 1) + conv(4096, 1000, 1)


def resnet(blocks: tuple[int, ...], bottleneck: bool) -> int:
    """Table 1 of He et al.; where channels grow a 1×1 convolution stands beside (option B)."""
    total, inputs = conv(3, 64, 7, False) + norm(64), 64
    for stage, count in enumerate(blocks):
        width = 64 << stage
        out = 4 * width if bottleneck else width
        for _ in range(count):
            if inputs != out:
                total += conv(inputs, out, 1, False) + norm(out)
            total += chain(inputs, [(width, 1), (width, 3), (out, 1)] if bottleneck else [(width, 3)] * 2, False)
            inputs = out
    return total + conv(inputs, 1000, 1)


def densenet(blocks: tuple[int, ...], growth: int, begin: int) -> int:
    """Table 1 of Huang et al.: norms stand before convolutions, every block ends in half of its maps."""
    total, maps = conv(3, begin, 7, False) + norm(begin), begin
    for place, count in enumerate(blocks):
        for _ in range(count):
            total += norm(maps) + conv(maps, 4 * growth, 1, False) + norm(4 * growth) + conv(4 * growth, growth, 3, False)
            maps += growth
        total += norm(maps)
        if place < len(blocks) - 1:
            total += conv(maps, maps // 2, 1, False)
            maps //= 2
    return total + conv(maps, 1000, 1)


# Figure 3 of Redmon et al. 2016 and table 6 of Redmon & Farhadi 2017: (width, side).
YOLO = [
    (64, 7), (192, 3), (128, 1), (256, 3), (256, 1), (512, 3), *[(256, 1), (512, 3)] * 4, (512, 1), (1024, 3), *[(512, 1), (1024, 3)] * 2,
    (1024, 3), (1024, 3), (1024, 3), (1024, 3),
]  # fmt: skip
DARKNET = [
    (32, 3), (64, 3), (128, 3), (64, 1), (128, 3), (256, 3), (128, 1), (256, 3), (512, 3), (256, 1), (512, 3), (256, 1), (512, 3),
    (1024, 3), (512, 1), (1024, 3), (512, 1), (1024, 3),
]  # fmt: skip


def yolo_v2(anchors: int, classes: int) -> int:
    """Section 3: Darknet-19, two more 3×3 of 1024, 26 × 26 maps through 64 channels into 256, a third one, and what is said."""
    deeper = chain(1024, [(1024, 3)] * 2, False) + conv(512, 64, 1, False) + norm(64) + conv(1024 + 256, 1024, 3, False) + norm(1024)
    return chain(3, DARKNET, False) + deeper + conv(1024, anchors * (5 + classes), 1)


def fcn(classes: int) -> int:
    """VGG-16, its dense layers as convolutions, scores of three levels, and three transposed convolutions of 4, 4 and 16 pixels."""
    body = vgg((2, 2, 3, 3, 3), False) - conv(4096, 1000, 1)
    return (
        body + sum(conv(width, classes, 1) for width in (256, 512, 4096)) + sum(conv(classes, classes, side, False) for side in (4, 4, 16))
    )


def srresnet() -> int:
    """Figure 4 of Ledig et al., with one slope a PReLU; 1.5 M in table 1 of Lim et al. 2017."""
    block = 2 * (conv(64, 64) + norm(64)) + 1
    return conv(3, 64, 9) + 1 + 16 * block + conv(64, 64) + norm(64) + 2 * (conv(64, 256) + 1) + conv(64, 3, 9)


def style() -> int:
    """The table of Johnson et al.'s supplement, with instance norm instead of batch norm (Ulyanov et al.)."""
    body = chain(3, [(32, 9), (64, 3), (128, 3), *[(128, 3)] * 10, (64, 3), (32, 3)], False)
    return body + conv(32, 3, 9)


def dcgan() -> int:
    """Figure 1 of Radford et al.: 100 numbers → 1024×4×4 → 512 → 256 → 128 → 3×64×64; 4×4 kernels here."""
    return 100 * 1024 * 16 + norm(1024) + chain(1024, [(512, 4), (256, 4), (128, 4)], False) + conv(128, 3, 4)


def faster_rcnn(classes: int) -> int:
    """ResNet-50, a pyramid of 256 maps at four levels, what proposes (three anchors a place), and 7×7 places → 1024 → 1024 → answers."""
    pyramid = sum(conv(width, 256, 1) + conv(256, 256) for width in (256, 512, 1024, 2048))
    proposing = conv(256, 256) + conv(256, 3, 1) + conv(256, 12, 1)
    saying = conv(256 * 49, 1024, 1) + conv(1024, 1024, 1) + conv(1024, classes + 1, 1) + conv(1024, 4 * (classes + 1), 1)
    return resnet((3, 4, 6, 3), True) - conv(2048, 1000, 1) + pyramid + proposing + saying


def unet(widths: tuple[int, ...] = (32, 64, 128, 256)) -> int:
    """Two convolutions at every resolution, both ways; ours lifts by 1×1 and reads pictures of 320 pixels at half of them."""
    down = conv(3, 32, 3, False) + norm(32) + sum(chain(i, [(w, 3)] * 2, False) for i, w in zip((32, *widths), widths, strict=False))
    up = sum(conv(deep, w, 1, False) + chain(2 * w, [(w, 3)] * 2, False) for w, deep in pairwise(widths))
    return down + up + conv(32, 2, 1)


def autoencoder(code: int = 32) -> int:
    """Three halvings of 32 pixels to 64×4×4, a code, and back; its last layer gives four pixels a place."""
    down = chain(3, [(16, 3), (32, 3), (64, 3)], False) + conv(64 * 16, code, 1)
    return down + conv(code, 64 * 16, 1) + chain(64, [(32, 3), (16, 3)], False) + conv(16, 12)


def by_layers(code: int = 32) -> int:
    """3,072 numbers → 256 → 64 → code and back, batch norm between."""
    down = chain(3072, [(256, 1), (64, 1)], False) + conv(64, code, 1)
    return down + chain(code, [(64, 1), (256, 1)], False) + conv(256, 3072, 1)


def nin() -> int:
    """The authors' CIFAR-10 file: 192-160-96, 192-192-192, 192-192-10."""
    widths = [(192, 5), (160, 1), (96, 1), (192, 5), (192, 1), (192, 1), (192, 3), (192, 1), (10, 1)]
    return chain(3, widths, True)


def spatial(size: int = 42) -> int:
    """Two 5×5 convolutions look, six numbers come out; then 9×9 and 7×7, a dense layer of 256 and the classes."""
    seen, read = ((size - 4) // 2 - 4) // 2, ((size - 8) // 2 - 6) // 2
    look = chain(1, [(20, 5), (20, 5)], True) + conv(20 * seen**2, 20, 1) + conv(20, 6, 1)
    return look + chain(1, [(32, 9), (32, 7)], True) + conv(32 * read**2, 256, 1) + conv(256, 10, 1)


def dann() -> int:
    """Figure 4 of Ganin et al., digits: 5×5 of 32, 5×5 of 48, 100, 100, and the labels."""
    return chain(3, [(32, 5), (48, 5)], True) + conv(48 * 16, 100, 1) + conv(100, 100, 1) + conv(100, 10, 1)


OURS = {
    "yolo": chain(3, YOLO, True) + conv(7 * 7 * 1024, 4096, 1) + conv(4096, 7 * 7 * 30, 1), "yolo-v2": yolo_v2(5, 20),
    "yolo-9000": yolo_v2(3, 9418), "darknet19": chain(3, DARKNET, False) + conv(1024, 1000, 1), "fcn": fcn(21), "srresnet": srresnet(),
    "srgan": srresnet(), "johnson": style(), "dcgan": dcgan(), "unet": unet(), "autoencoder": autoencoder(),
    "autoencoder-dense": by_layers(), "nin": nin(), "stn": spatial(), "dann": dann(),
}  # fmt: skip
THEIRS = {
    "torchvision/vgg11": vgg((1, 1, 2, 2, 2), False), "torchvision/vgg11_bn": vgg((1, 1, 2, 2, 2), True),
    "torchvision/vgg13": vgg((2, 2, 2, 2, 2), False), "torchvision/vgg13_bn": vgg((2, 2, 2, 2, 2), True),
    "torchvision/vgg16": vgg((2, 2, 3, 3, 3), False), "torchvision/vgg16_bn": vgg((2, 2, 3, 3, 3), True),
    "torchvision/vgg19": vgg((2, 2, 4, 4, 4), False), "torchvision/vgg19_bn": vgg((2, 2, 4, 4, 4), True),
    "torchvision/resnet18": resnet((2, 2, 2, 2), False), "torchvision/resnet34": resnet((3, 4, 6, 3), False),
    "torchvision/resnet50": resnet((3, 4, 6, 3), True), "torchvision/resnet101": resnet((3, 4, 23, 3), True),
    "torchvision/resnet152": resnet((3, 8, 36, 3), True),
    "torchvision/densenet121": densenet((6, 12, 24, 16), 32, 64), "torchvision/densenet169": densenet((6, 12, 32, 32), 32, 64),
    "torchvision/densenet201": densenet((6, 12, 48, 32), 32, 64), "torchvision/densenet161": densenet((6, 12, 36, 24), 48, 96),
    "torchvision/fasterrcnn_resnet50_fpn": faster_rcnn(90),
}  # fmt: skip


def made(name: str, **settings):
    """A network as published, without memory."""
    one = family(name)
    with torch.device("meta"):
        return build(name, channels=one.input[0], size=one.input[1], outputs=one.outputs, **(one.settings | settings))


def weights(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("name", OURS)
def test_the_layers_of_the_paper_add_up(name):
    assert weights(made(name)) == OURS[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", THEIRS)
def test_the_layers_of_the_paper_add_up_in_the_libraries_too(name):
    assert weights(made(name)) == THEIRS[name]


def test_the_second_yolo_fills_the_authors_file():
    """Their yolov2.weights, of 80 classes, has 203,934,260 bytes: 16 of head, then float32, with the running means and variances."""
    with torch.device("meta"):
        whole = build("yolo-v2", channels=3, size=416, outputs=80)
    running = sum(value.numel() for key, value in whole.state_dict().items() if "running" in key)
    assert 4 * (weights(whole) + running) + 16 == 203_934_260


@pytest.mark.parametrize("depth", [20, 56])
def test_excitation_costs_what_its_paper_says(depth):
    """2 / r · Σ N · C² weights over the stages (equation 5 of Hu et al.), biases apart; as many multiply-adds, as each is used once."""
    plain, excited = (cost(made(f"{kind}{depth}"), 3, 32) for kind in ("resnet", "se-resnet"))
    blocks, r = (depth - 2) // 6, 16
    formula = 2 * sum(blocks * width**2 for width in (16, 32, 64)) // r
    biases = sum(blocks * (width + width // r) for width in (16, 32, 64))
    assert excited["parameters"] - plain["parameters"] == formula + biases and excited["macs"] - plain["macs"] == formula


def test_what_a_googlenet_with_wide_branches_would_have():
    """What the gallery says of torchvision's: 5×5 convolutions where it has 3×3 ones, table 1 of Szegedy et al."""
    branches = [(16, 32), (32, 96), (16, 48), (24, 64), (24, 64), (32, 64), (32, 128), (32, 128), (48, 128)]
    assert weights(made("torchvision/googlenet")) + sum(i * w * (25 - 9) for i, w in branches) == 7_005_832


def test_attention_is_what_the_compact_transformers_paper_leaves_out():
    """Its 0.239 G and 0.947 G are ours without the two products of each of seven attentions."""
    for name, tokens, said in (("vit-lite", 65, 0.239), ("cct", 256, 0.947)):
        assert round((cost(made(name), 3, 32)["macs"] - 7 * 2 * tokens**2 * 256) / 1e9, 3) == said

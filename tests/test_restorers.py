"""Networks from pictures to pictures: sizes, scales, reach, published shapes and weights."""

from __future__ import annotations

import io
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from omma import catalog
from omma.errors import OmmaError
from omma.models._restorer import STEPS, Restorer, enlarged, whole
from omma.models.ffdnet import Told
from omma.models.making import build, settings_of
from omma.models.network import blank
from omma.parts import reach as reaching
from omma.parts.merged import Merged, plain
from omma.parts.noise_level import noise_level
from omma.parts.reach import GLOBAL, reach
from omma.testing import check_model

# The smallest of each family that still has every kind of layer.
SMALL = {
    "srcnn": {"widths": (8, 4)},
    "vdsr": {"depth": 4, "width": 8},
    "fsrcnn": {"detail": 12, "width": 6, "depth": 2},
    "espcn": {"widths": (8, 6)},
    "edsr": {"blocks": 2, "width": 8},
    "srresnet": {"blocks": 2, "width": 8},
    "dncnn": {"depth": 4, "width": 8},
    "ffdnet": {"depth": 4, "width": 8},
    "span": {"depth": 4, "width": 8},
    "nafnet": {"width": 4, "down": (1, 1), "middle": 1, "up": (1, 1)},
    "unet-restore": {"widths": (6, 8, 10)},
}
ENLARGE = ("fsrcnn", "espcn", "edsr", "srresnet", "span")
MIRROR = Path(os.environ.get("OMMA_MIRROR", ""))


def small(name: str, channels: int = 1, seed: int = 0, **settings) -> Restorer:
    torch.manual_seed(seed)
    net = build(name, channels=channels, size=16, outputs=1, **(SMALL[name] | settings))
    assert isinstance(net, Restorer)
    return net


def lively(net: nn.Module) -> nn.Module:
    """With every weight moved a little, as learning would: what begins as zero hides what it is multiplied with."""
    with torch.no_grad():
        for weight in net.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel()))
    return net


def weights(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def kernels(net: nn.Module) -> int:
    """Weights as papers count them: without offsets and slopes."""
    return sum(p.numel() for p in net.parameters() if p.dim() > 1)


# ── what all keep ───────────────────────────────────────────────────────────────────────────────────────


def test_the_list_is_whole():
    homes = {name: getattr(build(name, channels=1, size=8, outputs=1, **SMALL.get(name, {})), "gives", "") for name in SMALL}
    assert set(homes.values()) == {"picture"} and set(SMALL) <= set(catalog.names("models"))
    assert {name for name in SMALL if small(name).enlarges} == set(ENLARGE)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("channels", "scale", "size"), [(1, 1, 9), (3, 2, 8)])
def test_they_keep_their_promises(name, channels, scale, size):
    check_model(name, channels=channels, size=size, scale=scale, **SMALL[name])


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("srcnn", {"middle": 5}), ("dncnn", {"norm": "none"}), ("ffdnet", {"norm": "none"}), ("srresnet", {"end": "tanh", "scale": 4}),
        ("span", {"attention": False}), ("span", {"depth": 1, "scale": 3}), ("span", {"depth": 3, "coarse": 6}),
        ("unet-restore", {"norm": "group"}),
        ("edsr", {"scale": 8}), ("espcn", {"scale": 8}),
    ],
)  # fmt: skip
def test_so_do_their_other_shapes(name, settings):
    check_model(name, size=8, **(SMALL[name] | settings))


@pytest.mark.parametrize(("name", "scale"), [(name, scale) for name in SMALL for scale in STEPS if (name, scale) != ("fsrcnn", 8)])
def test_any_size_comes_out_as_large_as_it_should(name, scale):
    net = lively(small(name, 2, scale=scale)).eval()
    times = scale if net.enlarges else 1
    for height, width in ((1, 1), (7, 5), (2, 9), (16, 16)):
        pictures = torch.rand(2, 2, height, width)
        with torch.no_grad():
            said, maps = net(pictures), net.maps(pictures)
        assert said.shape == (2, 2, times * height, times * width) and torch.isfinite(said).all()
        assert net.features(pictures).shape == maps.shape[:2]
    assert net.scale == scale


@pytest.mark.parametrize("name", SMALL)
def test_bfloat16(name):
    net = lively(small(name, 3, scale=2)).eval()
    pictures = torch.rand(2, 3, 9, 8)
    with torch.no_grad():
        wanted = net(pictures)
        with torch.autocast("cpu", torch.bfloat16):
            found = net(pictures)
    assert (found.float() - wanted).abs().mean() < 0.02 * wanted.abs().mean().clamp_min(1)


@pytest.mark.parametrize("name", SMALL)
def test_they_learn_one_picture_by_heart(name):
    net = small(name, 1, scale=2).train()
    chance = torch.Generator().manual_seed(3)
    good = torch.rand(2, 1, 6, 6, generator=chance).repeat_interleave(2, 2).repeat_interleave(2, 3)
    bad = F.avg_pool2d(good, 2) if net.enlarges else good + 0.2 * torch.randn(good.shape, generator=chance)
    if not net.enlarges:
        good, bad = good[..., :8, :8], bad[..., :8, :8]
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    course = []
    for _ in range(40):
        loss = F.mse_loss(net(bad), good)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        course.append(loss.item())
    assert course[-1] < 0.6 * course[0], course[::8]


@pytest.mark.parametrize("name", SMALL)
def test_pieces_make_up_the_body(name):
    net = small(name)
    staged = [p for stage in net.stages() for p in stage.parameters()]
    body = [key for key, _ in net.named_parameters() if not key.startswith("head.")]
    assert len(staged) == len(body) and len({id(p) for p in staged}) == len(body)
    assert net.head in net.dead_ends()


def test_an_empty_picture_for_who_sees_nothing():
    assert blank("picture", 3, 7).shape == (3, 1, 8, 8)


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "settings", "line"),
    [
        *((name, {"scale": 5}, "1, 2, 3, 4") for name in ENLARGE), *((name, {"scale": 0}, "scale is one of") for name in SMALL),
        ("fsrcnn", {"scale": 8}, "8 times"), ("srcnn", {"middle": 2}, "1, 3, 5"), ("srcnn", {"widths": (8,)}, "widths=8"),
        ("espcn", {"widths": (8, 8, 8)}, "8-8-8"), ("vdsr", {"depth": 1}, "depth=1"), ("edsr", {"width": 0}, "widths=0"),
        ("dncnn", {"norm": "group"}, "batch, none"), ("ffdnet", {"depth": 10**9}, "depth=1000000000"), ("span", {"width": -1}, "-1"),
        ("srresnet", {"end": "sigmoid"}, "plain, tanh"), ("nafnet", {"up": (1,)}, "depth=1"), ("unet-restore", {"norm": "none"}, "batch"),
        ("unet-restore", {"widths": (8,)}, "widths=8"),
    ],
)  # fmt: skip
def test_what_makes_no_network_is_refused_in_one_line(name, settings, line):
    with pytest.raises(OmmaError, match=line) as caught:
        small(name, **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(set(SMALL) - set(ENLARGE)))
def test_networks_that_get_enlarged_pictures_take_any_scale(name):
    net = small(name, scale=7)
    assert net.scale == 7 and not net.enlarges and "scale" in settings_of(name)


# ── as large as published ───────────────────────────────────────────────────────────────────────────────

# (name, channels, settings, weights of kernels, or of everything, which is published)
PUBLISHED = [
    ("srcnn", 1, {}, 8_032, None),  # 9-1-5
    ("srcnn", 1, {"middle": 5}, 57_184, None),  # 9-5-5
    ("vdsr", 1, {}, 664_704, None),
    ("fsrcnn", 1, {"scale": 3}, 12_464, None),  # d, s, m = 56, 12, 4; 12,809 with 173 offsets and 172 slopes
    ("fsrcnn", 1, {"scale": 3, "detail": 32, "width": 5, "depth": 1}, 3_937, None),  # FSRCNN-s
    ("espcn", 1, {"scale": 4}, None, 24_752),
    ("edsr", 3, {"scale": 2}, None, 1_369_859),
    ("edsr", 3, {"scale": 4}, None, 1_517_571),
    ("srresnet", 3, {"scale": 4}, None, 1_549_462),
    ("srgan", 3, {"scale": 4}, None, 1_549_462),  # the same network
    ("dncnn", 1, {"norm": "none"}, None, 555_137),  # as the published file of 17 layers
    ("dncnn", 1, {}, None, 556_097),  # with batch norm
    ("ffdnet", 1, {"norm": "none"}, None, 485_316),
    ("nafnet", 3, {"width": 64, "down": (1, 1, 1, 28), "middle": 1, "up": (1, 1, 1, 1)}, None, 67_888_835),  # "67.9 M"
]


@pytest.mark.parametrize(("name", "channels", "settings", "of_kernels", "of_all"), PUBLISHED)
def test_as_large_as_published(name, channels, settings, of_kernels, of_all):
    with torch.device("meta"):
        net = build(name, channels=channels, size=32, outputs=1, **settings)
    assert of_kernels in (None, kernels(net)) and of_all in (None, weights(net))


def test_the_small_one_is_small():
    sizes = {(channels, scale): build("span", channels=channels, size=8, outputs=1, scale=scale) for channels in (1, 3) for scale in (1, 4)}
    merged = {key: weights(plain(net)) for key, net in sizes.items()}
    assert merged == {(1, 1): 86_644, (1, 4): 24_544, (3, 1): 93_564, (3, 4): 31_920}
    assert weights(sizes[1, 4]) == 91_816


# ── branches ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("inputs", "outputs"), [(5, 5), (2, 6), (6, 3)])
def test_one_kernel_says_what_the_branches_say(inputs, outputs):
    torch.manual_seed(0)
    conv = lively(Merged(inputs, outputs))
    maps = torch.randn(2, inputs, 7, 6)
    wide = F.conv2d(maps, conv.widen[:, :, None, None])
    branches = [F.conv2d(maps, conv.weight, conv.bias, padding=1), F.conv2d(maps, conv.point[:, :, None, None])]
    branches += [conv.share * F.conv2d(wide, conv.narrow, padding=1), *([maps] if inputs == outputs else [])]
    torch.testing.assert_close(conv(maps), sum(branches), rtol=1e-5, atol=1e-5)


def test_plain_convolutions_say_the_same_and_nothing_is_kept_in_step(tmp_path):
    net = lively(small("span", 2, scale=3)).eval()
    pictures = torch.rand(1, 2, 9, 7)
    bare = plain(net)
    assert not any(isinstance(module, Merged) for module in bare.modules()) and any(isinstance(m, Merged) for m in net.modules())
    with torch.no_grad():
        torch.testing.assert_close(bare(pictures), net(pictures), rtol=1e-5, atol=1e-5)
        save_file(net.state_dict(), tmp_path / "span.safetensors")
        again = small("span", 2, seed=1, scale=3, pretrained=str(tmp_path / "span.safetensors")).eval()
        assert torch.equal(again(pictures), net(pictures)) and again.origin["weights"] == "span.safetensors"


def test_the_small_one_beats_bicubic_on_a_picture_it_has_learned():
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    good = (((x * 0.9 + y * 0.4).sin() > 0) * 0.6 + 0.2)[None, None]
    bad = F.avg_pool2d(good, 2)
    net = small("span", scale=2).train()
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(60):
        loss = F.l1_loss(net(bad), good)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert F.mse_loss(net.eval()(bad), good) < 0.5 * F.mse_loss(enlarged(bad, 2), good)


# ── how far they see ────────────────────────────────────────────────────────────────────────────────────


def convs(*sides: int, **settings) -> nn.Sequential:
    return nn.Sequential(*(layer for side in sides for layer in (nn.Conv2d(1, 1, side, padding="same", **settings), nn.ReLU())))


@pytest.mark.parametrize(
    ("net", "far"),
    [
        (convs(3, 3, 3), 3), (convs(1), 0), (convs(9, 1, 5), 6), (convs(3, dilation=5), 5), (convs(3, 3, dilation=20), 40),
        (nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4, 4, 3, padding=1), nn.PixelShuffle(2)), 3),  # from a cell's far corner
        (nn.Sequential(nn.AvgPool2d(4), nn.Upsample(scale_factor=4)), 3), (nn.Sequential(convs(3), nn.Upsample(scale_factor=2)), 1),
        (nn.Conv2d(1, 1, (1, 5), padding=(0, 2)), 2), (nn.Conv2d(1, 1, (7, 1), padding=(3, 0)), 3),
        (nn.Sequential(convs(3), nn.GroupNorm(1, 1)), GLOBAL), (nn.Sequential(convs(3), nn.BatchNorm2d(1)), 1),
    ],
)  # fmt: skip
def test_the_reach_of_known_stacks(net, far):
    before = {key: value.clone() for key, value in net.state_dict().items()}
    assert reach(net) == far
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items()), "the network itself is left alone"


@pytest.mark.parametrize(
    ("name", "settings", "far"),
    [
        ("srcnn", {}, 6), ("vdsr", {}, 4), ("dncnn", {}, 4), ("espcn", {"scale": 3}, 4), ("span", {"scale": 4}, 6), ("span", {}, 13),
        ("span", {"coarse": 8, "depth": 5}, 23),  # cells of two: four convolutions; cells of four: three; and from a cell's far corner
        ("nafnet", {}, GLOBAL), ("ffdnet", {}, GLOBAL), ("unet-restore", {"norm": "group"}, GLOBAL),
    ],
)  # fmt: skip
def test_the_reach_of_ours(name, settings, far):
    assert reach(small(name, 2, **settings)) == far


@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize("name", sorted(SMALL))
def test_narrow_pictures_show_the_reach_of_wide_ones(name, scale):
    """Whichever width it takes, against the full period on both sides."""
    net = Told(small(name)) if name == "ffdnet" else small(name, **({"scale": scale} if name in ENLARGE else {}))
    twin = reaching._averaging(net)
    for turned in (False, True):
        assert reaching._far(twin, 1, turned) == reaching._far(twin, 1, turned, [reaching.PERIOD])


def test_paths_that_fade_are_not_taken_for_none():
    deep = convs(*[3] * 300)
    with pytest.raises(reaching._Faint):
        reaching._along(reaching._averaging(deep), 1, False, 1)
    assert reach(deep) == 300, "then wider pictures are asked"


# Of EDSR: the stem, two convolutions in each of 16 blocks, the one that closes them, the head; of VDSR 20 in a row.
@pytest.mark.parametrize(("name", "far"), [("edsr", 35), ("vdsr", 20)])
def test_a_large_network_is_asked_in_seconds(name, far):
    net = build(name, channels=3, size=32, outputs=1)
    began = time.process_time()
    assert reach(net) == far
    assert time.process_time() - began < 15


def test_it_is_global_only_where_the_level_is_not_told():
    assert reach(small("ffdnet").still()) == 9  # four convolutions on cells of two, from a cell's far corner


@pytest.mark.parametrize(
    ("name", "settings"), [("span", {"scale": 2}), ("unet-restore", {}), ("fsrcnn", {"scale": 3}), ("edsr", {"scale": 2})]
)
def test_tiles_with_this_margin_are_parts_of_the_whole(name, settings):
    net = lively(small(name, **settings)).eval()
    far, step = reach(net), 4
    assert far is not None
    margin = -(-far // step) * step
    pictures = torch.rand(1, 1, 2 * margin + 12, 2 * margin + 8)
    times = net.scale if net.enlarges else 1
    with torch.no_grad():
        said, tile = net(pictures), net(pictures[..., 4:-4, : 2 * margin + 8])
        changed = pictures.clone()
        changed[..., 0, 0] += 1  # one step further than it sees
        again = net(changed)
    middle = slice(margin * times, (margin + 4) * times)
    torch.testing.assert_close(tile[..., middle, middle], said[..., middle.start + 4 * times : middle.stop + 4 * times, middle])
    inside = slice((far + 1) * times, None)
    torch.testing.assert_close(again[..., inside, inside], said[..., inside, inside])


# ── how strong noise is ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("deviation", [0.01, 0.1, 0.3])
def test_the_level_of_noise_is_found(deviation):
    y, x = torch.meshgrid(torch.linspace(0, 1, 96), torch.linspace(0, 2, 90), indexing="ij")
    noise = torch.randn(4, 3, 96, 90, generator=torch.Generator().manual_seed(0))
    found = noise_level(x + y + deviation * noise)
    assert found.shape == (4,) and ((found / deviation - 1).abs() < 0.03).all()


def test_slopes_and_tiny_pictures_have_no_noise():
    y, x = torch.meshgrid(torch.linspace(0, 1, 9), torch.linspace(0, 2, 8), indexing="ij")
    assert noise_level((0.3 * x - y)[None, None]).abs().max() < 1e-6
    for height, width in ((1, 1), (2, 5), (5, 1)):
        assert noise_level(torch.full((2, 1, height, width), 0.7)).abs().max() < 1e-6


def test_a_level_that_is_told_is_used():
    net = lively(small("ffdnet")).eval()
    pictures = torch.rand(2, 1, 7, 6)
    with torch.no_grad():
        estimated = net(pictures, 255 * noise_level(pictures))
        torch.testing.assert_close(estimated, net(pictures))
        assert not torch.allclose(net(pictures, torch.tensor([5.0, 75.0])), estimated)


def test_borders_are_repeated_to_whole_steps():
    pictures = torch.rand(1, 2, 5, 8)
    found = whole(pictures, 4)
    assert found.shape == (1, 2, 8, 8) and torch.equal(found[:, :, :5], pictures)
    assert torch.equal(found[:, :, 5:], pictures[:, :, 4:].expand(-1, -1, 3, -1))
    assert whole(pictures[:, :, :1, :4], 4).shape == (1, 2, 8, 8), "two steps at least"


@pytest.mark.parametrize("name", ["span", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ffdnet", "unet-restore", "nafnet"))])
def test_a_graph_of_torch_takes_pictures_of_any_size(name):
    """Down to one pixel: where several pixels become one place, there are two places at least, as in every larger picture."""
    net = lively(small(name, channels=1)).eval()
    any_size = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    program = torch.export.export(plain(net), (torch.rand(2, 1, 13, 18),), dynamic_shapes=(any_size,)).module()
    for shape in ((1, 1, 1, 1), (1, 1, 2, 7), (3, 1, 17, 2), (1, 1, 40, 23)):
        pictures = torch.rand(shape)
        with torch.no_grad():
            torch.testing.assert_close(program(pictures), net(pictures), rtol=1e-4, atol=1e-5)


# ── weights from elsewhere ──────────────────────────────────────────────────────────────────────────────


def as_published(net: Restorer) -> dict[str, torch.Tensor]:
    """A row of convolutions as published files number it."""
    last = max(int(key.split(".")[1]) for key in net.state_dict() if key.startswith("body.")) + 2
    return {key.replace("body.", "model.").replace("head.", f"model.{last}."): value for key, value in net.state_dict().items()}


@pytest.mark.parametrize("name", ["dncnn", "ffdnet"])
def test_rows_of_convolutions_from_a_file(name, tmp_path):
    theirs = lively(small(name, norm="none")).eval()
    file = str(tmp_path / "weights.safetensors")
    save_file(as_published(theirs), file)
    pictures = torch.rand(1, 1, 6, 8)
    with torch.no_grad():
        assert torch.equal(small(name, seed=1, norm="none", pretrained=file).eval()(pictures), theirs(pictures))
    with pytest.raises(OmmaError, match="depth=4 norm=none"):
        small(name, pretrained=file)
    with pytest.raises(OmmaError, match="depth=4 norm=none"):
        small(name, norm="none", depth=3, pretrained=file)
    with pytest.raises(OmmaError, match=r"body\.0\.weight"):
        small(name, channels=3, norm="none", pretrained=file)


def test_a_head_that_does_not_fit_is_refused(tmp_path):
    net = small("vdsr")
    for change in ({"head.weight": torch.zeros(2, 8, 3, 3)}, {"head.weight": None}):
        changed = {f"net.{key}": value for key, value in (net.state_dict() | change).items() if value is not None}
        save_file(changed, tmp_path / "weights.safetensors")
        with pytest.raises(OmmaError, match=r"head\.weight"):
            small("vdsr", pretrained=str(tmp_path / "weights.safetensors"))
    with pytest.raises(OmmaError, match="no published weights"):
        small("vdsr", pretrained="yes")


def picture_of(name: str) -> np.ndarray:
    with zipfile.ZipFile(MIRROR / "restoration-benchmarks.zip") as archive:
        return np.asarray(Image.open(io.BytesIO(archive.read(name))))


def published(file: str) -> str:
    if "OMMA_MIRROR" not in os.environ or not (MIRROR / "weights" / file).is_file():
        pytest.skip(f"OMMA_MIRROR names no folder with weights/{file} and restoration-benchmarks.zip")
    return str(MIRROR / "weights" / file)


def psnr(found: np.ndarray, good: np.ndarray) -> float:
    """Of (H, W, C), 0–1, rounded to 8 bits first."""
    return float(10 * np.log10(255**2 / np.square(np.rint(found.clip(0, 1) * 255) - good).mean()))


def restored(net: nn.Module, picture: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return net(torch.from_numpy(picture).permute(2, 0, 1)[None].float())[0].permute(1, 2, 0).numpy()


@pytest.mark.slow
def test_published_dncnn_denoises_as_well_as_published():
    file = published("dncnn-gray-sigma25.safetensors")
    net = build("dncnn", channels=1, size=32, outputs=1, norm="none", pretrained=file).eval()
    chance, found = np.random.RandomState(0), []
    for place in range(1, 8):
        good = picture_of(f"Set12/{place:02d}.png")[..., None].astype(float)
        found.append(psnr(restored(net, good / 255 + chance.normal(0, 25 / 255, good.shape)), good))
    assert np.mean(found) == pytest.approx(30.37, abs=0.02)


def shrinking(long: int, times: int) -> np.ndarray:
    """(long / times, long): bicubic, its kernel widened by `times`, borders mirrored, as MATLAB does it."""
    rows = np.zeros((long // times, long))
    for place, row in enumerate(rows):
        centre = (place + 0.5) * times - 0.5
        at = np.arange(int(np.floor(centre)) - 2 * times, int(np.floor(centre)) + 2 * times + 2)
        off = abs(at - centre) / times
        near, far = 1.5 * off**3 - 2.5 * off**2 + 1, -0.5 * off**3 + 2.5 * off**2 - 4 * off + 2
        share = np.where(off <= 1, near, np.where(off <= 2, far, 0))
        np.add.at(row, np.where(at < 0, -1 - at, np.where(at >= long, 2 * long - 1 - at, at)), share / share.sum())
    return rows


@pytest.mark.slow
def test_published_srgan_enlarges_as_well_as_published():
    file = published("srgan-x4-generator.safetensors")
    net = build("srresnet", channels=3, size=32, outputs=1, scale=4, blocks=5, end="tanh", pretrained=file).eval()
    found = []
    for name in ("baby", "bird", "butterfly", "head", "woman"):
        good = picture_of(f"Set5/{name}_GT.png").astype(float)
        good = good[: good.shape[0] // 4 * 4, : good.shape[1] // 4 * 4]
        bad = np.einsum("yh,xw,hwc->yxc", shrinking(good.shape[0], 4), shrinking(good.shape[1], 4), good, optimize=True)
        found.append(psnr(restored(net, np.rint(bad.clip(0, 255)) / 255), good))
    assert np.mean(found) == pytest.approx(28.70, abs=0.02)
    for settings in ({"blocks": 5}, {"end": "tanh"}):
        with pytest.raises(OmmaError, match="blocks=5 end=tanh"):
            build("srresnet", channels=3, size=32, outputs=1, scale=4, pretrained=file, **settings)
    with pytest.raises(OmmaError, match=r"head|up"):
        build("srresnet", channels=3, size=32, outputs=1, scale=2, blocks=5, end="tanh", pretrained=file)


# ── on the way out of the house ─────────────────────────────────────────────────────────────────────────


def opened(net: nn.Module, channels: int = 1) -> torch.export.ExportedProgram:
    """Traced once, for any number and size of pictures."""
    free = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    return torch.export.export(net, (torch.rand(2, channels, 10, 13),), dynamic_shapes=(free,))


@pytest.mark.parametrize(
    ("name", "scale"), [("span", 1), ("span", 4), ("ffdnet", 1), *(pytest.param(name, 2, marks=pytest.mark.slow) for name in SMALL)]
)
def test_one_graph_for_any_size(name, scale):
    net = lively(small(name, scale=scale)).eval()
    program = opened(net).module()
    for shape in ((1, 1, 16, 16), (3, 1, 7, 5), (2, 1, 6, 21)):
        pictures = torch.rand(shape)
        with torch.no_grad():
            torch.testing.assert_close(program(pictures), net(pictures), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
@pytest.mark.filterwarnings("ignore")
def test_one_onnx_file_for_any_size(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    net = lively(small(name, scale=2)).eval()
    free = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    example = (torch.rand(2, 1, 10, 13),)
    torch.onnx.export(net, example, tmp_path / "net.onnx", dynamo=True, input_names=["x"], dynamic_shapes=(free,), verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    for shape in ((1, 1, 16, 16), (3, 1, 7, 5)):
        pictures = torch.rand(shape)
        with torch.no_grad():
            found = torch.from_numpy(session.run(None, {"x": pictures.numpy()})[0])
            torch.testing.assert_close(found, net(pictures), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["srcnn", "vdsr", "espcn", "edsr", "srresnet", "dncnn", "ffdnet", "unet-restore"])
def test_they_can_be_pruned(name):
    pytest.importorskip("torch_pruning")
    from omma.compressors.prune import thin
    from omma.parts.surgery import operate, plan_of

    wide = {"widths": (32, 16)} if name in ("srcnn", "espcn") else {"widths": (16, 32)} if name == "unet-restore" else {"width": 32}
    net, full = small(name, scale=2, **wide), small(name, scale=2, **wide)
    thin(net, 0.5, 1, 16)
    plan = plan_of(full, net)
    assert plan and weights(net) < 0.7 * weights(full)
    again = operate(small(name, scale=2, **wide), plan)
    again.load_state_dict(net.state_dict())
    assert again.eval()(torch.zeros(1, 1, 7, 5)).shape == net.eval()(torch.zeros(1, 1, 7, 5)).shape


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fsrcnn", "span", "nafnet"])
def test_those_whose_channels_hang_together_are_left_whole(name):
    pytest.importorskip("torch_pruning")
    from omma.compressors.prune import thin
    from omma.parts.surgery import plan_of

    net, full = small(name, scale=2), small(name, scale=2)
    thin(net, 0.5, 1, 16)
    assert plan_of(full, net) == {}

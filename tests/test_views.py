"""Every entrance makes the same frame: a file, a packed set, a service and an exported graph."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from omma.data.frames import Frames, reflect
from omma.data.sample import Dataset, Sample
from omma.data.views import InGraph, Views, grey, resize
from omma.errors import BundleError, DataError

SIZES = [(48, 64), (37, 53), (32, 32), (301, 201), (17, 200), (1, 1), (2, 90), (33, 31), (200, 20), (16, 16)]


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.astype(int) - b.astype(int))


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_graph_equals_the_frame(fit, channels):
    same, total = 0, 0
    for size in (32, 45):
        views = Views(size, channels, fit, (0.45,), (0.2,))
        for place, (height, width) in enumerate(SIZES):
            picture = noise(height, width, seed=place)
            frame = views.frame(picture)
            graph = InGraph(views)(torch.from_numpy(picture)[None])
            assert graph.dtype == torch.uint8 and graph.shape == (1, size, size, channels) == (1, *frame.shape)
            far = apart(graph[0].numpy(), frame)
            assert far.max() <= 1, (fit, height, width)
            same, total = same + int((far == 0).sum()), total + far.size
    assert same / total >= 0.999


def test_a_resize_without_antialias_would_be_caught():
    picture, views = noise(64, 64), Views(16, 3)
    plain = nn.functional.interpolate(torch.from_numpy(picture).permute(2, 0, 1)[None].float(), (16, 16), mode="bilinear")
    assert apart(views.frame(picture), plain[0].permute(1, 2, 0).round().byte().numpy()).max() > 20


def triangle(source: int, out: int) -> np.ndarray:
    """(out, source) weights of an antialiased bilinear resize, from its definition."""
    scale = source / out
    support = max(1.0, scale)
    centre = scale * (np.arange(out) + 0.5)[:, None]
    weights = np.maximum(0, 1 - np.abs((np.arange(source) + 0.5 - centre) / support))
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize(("height", "width"), [(20, 30), (64, 64), (7, 100), (150, 33)])
def test_resize_is_the_filter_it_says(height, width):
    picture = noise(90, 61)
    across = np.floor(np.einsum("ow,hwc->hoc", triangle(61, width), picture) + 0.5)
    wanted = np.floor(np.einsum("oh,hwc->owc", triangle(90, height), across) + 0.5)
    far = apart(resize(picture, height, width), wanted)
    assert far.max() <= 1 and (far == 0).mean() > 0.97
    # Pillow chooses the order of the two passes by their cost, and rounds between them.
    pillow = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))
    assert apart(resize(picture, height, width), pillow).max() <= 1


def test_crop_takes_the_centre_and_pad_keeps_everything():
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, 20:60] = 200
    assert (Views(20, 3, "crop").frame(picture) == 200).all()
    padded = Views(20, 3, "pad", (0.5,), (0.2,)).frame(picture)
    assert (padded[:5] == 128).all() and (padded[15:] == 128).all() and (padded[5:15, 8:12] == 200).all() and (padded[5:15, :4] == 0).all()
    assert (Views(20, 3, "squash").frame(picture)[:, 8:12] == 200).all()


def test_a_picture_of_the_right_size_is_taken_as_it_is():
    picture = noise(32, 32)
    for fit in ("squash", "crop", "pad"):
        assert np.array_equal(Views(32, 3, fit).frame(picture), picture)


def test_depth_and_channels_become_what_the_network_reads():
    colour = Views(8, 3)
    assert (colour.frame(np.full((8, 8, 1), 77, np.uint8)) == 77).all()
    assert (colour.frame(np.full((8, 8, 1), 65535, np.uint16)) == 255).all()
    assert (colour.frame(np.full((8, 8, 3), 0.5, np.float32)) == 128).all()
    glass = np.full((8, 8, 4), 0, np.uint8)
    assert (colour.frame(glass) == 255).all(), "what is transparent lies over white"
    assert colour.frame(np.full((8, 8), 3, np.uint8)).shape == (8, 8, 3)
    single = Views(8, 1, "squash", (0.5,), (0.2,))
    ramp = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    assert np.array_equal(single.frame(np.repeat(ramp, 3, 2)), ramp), "grey made colour comes back unchanged"
    picture = noise(8, 8)
    assert np.array_equal(grey(picture)[..., 0], np.asarray(Image.fromarray(picture).convert("L")))


def test_other_channels_only_where_they_match():
    many = Views(8, 6, "squash", (0.5,), (0.2,))
    assert many.frame(noise(20, 20, 6)).shape == (8, 8, 6)
    assert many.frame(noise(8, 8, 6).astype(np.uint16)).dtype == np.uint8
    for picture, views in ((noise(8, 8, 3), many), (noise(8, 8, 6), Views(8, 3))):
        with pytest.raises(DataError, match="channels"):
            views.frame(picture)


def test_finish_normalises_and_lies_channels_last():
    views = Views(6, 3, "squash", (0.5, 0.4, 0.3), (0.2, 0.25, 0.5))
    frames = torch.from_numpy(np.stack([noise(6, 6, seed=s) for s in range(4)]))
    pictures = views.finish(frames)
    wanted = (frames.permute(0, 3, 1, 2).double() / 255 - torch.tensor(views.mean).view(3, 1, 1)) / torch.tensor(views.std).view(3, 1, 1)
    assert pictures.shape == (4, 3, 6, 6) and pictures.dtype == torch.float32
    assert pictures.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(pictures.double(), wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(views.normalise(frames.permute(0, 3, 1, 2).float()), pictures)
    assert torch.equal(frames, torch.from_numpy(np.stack([noise(6, 6, seed=s) for s in range(4)]))), "frames stay as they were"


def test_copies():
    pictures = torch.randn(2, 3, 32, 32)
    assert Views(32).copies(pictures)[0] is pictures and len(Views(32).copies(pictures)) == 1
    flip = Views(32, tta="flip").copies(pictures)
    assert torch.equal(flip[1].flip(3), pictures) and len(flip) == 2
    both = Views(32, tta="flip+shift").copies(pictures)
    assert len(both) == 6 and all(view.shape == pictures.shape for view in both)
    assert torch.equal(both[2][:, :, 1:, 1:], pictures[:, :, :-1, :-1]) and torch.equal(both[4][:, :, :-1, :-1], pictures[:, :, 1:, 1:])


def test_views_are_json_and_nonsense_is_refused():
    views = Views(32, 3, "pad", (0.1, 0.2, 0.3), (0.2, 0.2, 0.2), "flip")
    assert Views.from_json(views.json()) == views
    for change in (
        {"size": 0},
        {"size": 1 << 20},
        {"std": [0, 0, 0]},
        {"mean": [0.5, 0.5]},
        {"fit": "stretch"},
        {"tta": 3},
        {"more": 1},
        {"mean": "abc"},
    ):
        with pytest.raises(BundleError):
            Views.from_json(views.json() | change)


class Road(nn.Module):
    """The way of an export: any picture, frame, normalised copies."""

    def __init__(self, views: Views) -> None:
        super().__init__()
        self.views, self.inside = views, InGraph(views)

    def forward(self, pictures):
        return torch.stack(self.views.copies(self.views.finish(self.inside(pictures))))


@pytest.mark.parametrize(
    ("fit", "channels"), [("pad", 3), pytest.param("squash", 3, marks=pytest.mark.slow), pytest.param("crop", 1, marks=pytest.mark.slow)]
)
def test_an_exported_graph_takes_other_sizes(fit, channels, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    views = Views(32, channels, fit, (0.45,), (0.2,), "flip+shift")
    any_size = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC}
    example = torch.zeros(2, 50, 60, 3, dtype=torch.uint8)
    program = torch.onnx.export(Road(views).eval(), (example,), dynamo=True, dynamic_shapes=(any_size,), opset_version=18, verbose=False)
    program.save(tmp_path / "road.onnx")
    session = runtime.InferenceSession(tmp_path / "road.onnx")
    for count, height, width in ((1, 99, 40), (3, 32, 32), (2, 7, 120)):
        pictures = np.stack([noise(height, width, seed=s) for s in range(count)])
        (found,) = session.run(None, {session.get_inputs()[0].name: pictures})
        frames = torch.from_numpy(np.stack([views.frame(picture) for picture in pictures]))
        wanted = torch.stack(views.copies(views.finish(frames))).numpy()
        far = np.abs(found - wanted) * 0.2 * 255  # in levels
        assert found.shape == wanted.shape and far.max() < 1.001 and (far < 0.01).mean() > 0.995


# Frames of a dataset.


def folder(tmp_path, count=9, bad=()):
    root = tmp_path / "图片"
    root.mkdir()
    samples = []
    for place in range(count):
        path = root / f"{place}.png"
        Image.fromarray(noise(20 + place, 30, seed=place)).save(path)
        if place in bad:
            path.write_bytes(path.read_bytes()[:60])
        samples.append(Sample(path.name, path))
    return Dataset(samples, [], None, root, "folders")


def test_frames_are_the_same_wherever_they_are_kept(tmp_path):
    dataset, views, index = folder(tmp_path), Views(16), torch.tensor([8, 0, 3, 3])
    memory = Frames(dataset, views)
    disk = Frames(dataset, views, tmp_path / "cache", limit=0)
    again = Frames(dataset, views, tmp_path / "cache", limit=0)
    lazy = Frames(dataset, views, limit=0)
    lazy.prefetch(index[:2])
    wanted = torch.from_numpy(np.stack([views.frame(dataset.picture(i)) for i in index.tolist()]))
    for frames in (memory, disk, again, lazy):
        assert torch.equal(frames.get(index), wanted)
        assert torch.equal(frames.get(index, 3), reflect(wanted, 3))
        assert torch.equal(frames.get(index), wanted), "after a margin was asked for"
        assert frames.usable == list(range(9)) and not frames.refused
    assert lazy.lazy and not disk.lazy
    assert len(list((tmp_path / "cache" / "frames").iterdir())) == 1


def test_a_cache_of_other_views_is_not_taken(tmp_path):
    dataset = folder(tmp_path)
    Frames(dataset, Views(16, fit="crop"), tmp_path / "cache", limit=0)
    frames = Frames(dataset, Views(16, fit="squash"), tmp_path / "cache", limit=0)
    assert torch.equal(frames.get(torch.tensor([2]))[0], torch.from_numpy(Views(16, fit="squash").frame(dataset.picture(2))))


@pytest.mark.parametrize("limit", [1 << 30, 0])
def test_what_cannot_be_read_is_named(tmp_path, limit):
    dataset = folder(tmp_path, bad=(2, 5))
    for _ in range(2):  # the second time from the cache
        frames = Frames(dataset, Views(16), tmp_path / "cache", limit=limit)
        assert frames.usable == [0, 1, 3, 4, 6, 7, 8]
        assert [refused.where for refused in frames.refused] == [str(dataset.samples[i].path) for i in (2, 5)]
        assert all(refused.reason for refused in frames.refused)


def test_what_is_decoded_later_is_looked_at_now(tmp_path):
    dataset = folder(tmp_path)
    dataset.samples[4].path.write_bytes(b"not a picture")
    frames = Frames(dataset, Views(16), limit=0)
    assert frames.lazy and frames.usable == [0, 1, 2, 3, 5, 6, 7, 8] and frames.refused[0].where.endswith("4.png")
    with pytest.raises(DataError, match=r"4\.png"):
        frames.get(torch.tensor([1, 4]))


def test_nothing_readable_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"0\.png"):
        Frames(folder(tmp_path, 2, bad=(0, 1)), Views(16))


def test_packed_pixels_are_taken_without_a_copy(tmp_path):
    pixels = np.stack([noise(16, 16, seed=s) for s in range(6)])
    dataset = Dataset([Sample(str(i), row=i) for i in range(6)], [], None, tmp_path, "npz", pixels)
    frames = Frames(dataset, Views(16))
    assert frames._store is not None and frames._store.data_ptr() == pixels.ctypes.data
    part = Frames(dataset.choose([4, 1]), Views(16))
    assert torch.equal(part.get(torch.tensor([0, 1])), torch.from_numpy(pixels[[4, 1]]))
    assert torch.equal(part.get(torch.tensor([1]), 2), reflect(torch.from_numpy(pixels[[1]]), 2))
    odd = Dataset(dataset.samples, [], None, tmp_path, "npz", [noise(10 + i, 20) for i in range(6)])
    assert torch.equal(Frames(odd, Views(16)).get(torch.tensor([5]))[0], torch.from_numpy(Views(16).frame(noise(15, 20))))


def test_reflect_is_numpys():
    frames = torch.from_numpy(np.stack([noise(5, 5, seed=s) for s in range(2)]))
    for margin in (0, 1, 4, 6):
        wanted = np.pad(frames.numpy(), ((0, 0), (margin, margin), (margin, margin), (0, 0)), "reflect")
        assert np.array_equal(reflect(frames, margin).numpy(), wanted)


def test_a_read_only_picture_is_no_trouble():
    picture = np.asarray(Image.open(io.BytesIO(png(noise(20, 20)))))
    assert Views(16).frame(picture).shape == (16, 16, 3)
    assert resize(np.frombuffer(noise(9, 9).tobytes(), np.uint8).reshape(9, 9, 3), 4, 4).shape == (4, 4, 3)


def png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png")
    return file.getvalue()

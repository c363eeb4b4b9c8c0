"""Copies are found however they were changed; pictures that only look alike are not."""

import numpy as np
import pytest
from PIL import Image

from omma.answers.label import Label
from omma.data.duplicates import Duplicates, near_duplicates, unite
from omma.data.likeness import alike
from omma.data.looks import Looks, look_over
from omma.data.readers.exif import taken
from omma.data.sample import Dataset, Sample
from scenes import changed, scene


def of(pictures):
    """A dataset that lies in memory."""
    samples = [Sample(f"{i:04d}", row=i, truth=Label("a")) for i in range(len(pictures))]
    return Dataset(samples, ["a"], "classify", None, "npz", list(pictures))


@pytest.mark.parametrize("kind", ["resize", "jpeg", "mirror", "crop"])
@pytest.mark.parametrize("size", [(96, 128), (32, 32)])
def test_planted_copies_are_found_and_nothing_else(kind, size):
    originals = [scene(i, *size) for i in range(40)]
    copies = [changed(picture, kind, i) for i, picture in enumerate(originals)]
    near = near_duplicates(of(originals + copies)).near
    hits = {(i, i + 40) for i in range(40)} & {pair[:2] for pair in near}
    assert len(hits) >= 39
    assert len(near) == len(hits)
    if kind == "mirror":
        assert {how for *_, how in near} == {"mirrored"}


def test_equal_pixels_are_exact_whatever_the_file(tmp_path):
    picture = Image.fromarray(scene(1))
    for name in ("a.png", "b.bmp"):
        picture.save(tmp_path / name)
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes())
    Image.fromarray(scene(2)).save(tmp_path / "d.png")
    samples = [Sample(name, tmp_path / name) for name in ("a.png", "b.bmp", "c.png", "d.png")]
    found = near_duplicates(Dataset(samples, [], None, tmp_path, "folders"))
    assert found.exact == [[0, 1, 2]] and not found.near
    assert found.clusters() == [[0, 1, 2]]


def test_flat_and_smooth_pictures_do_not_pair_up():
    rng = np.random.default_rng(0)
    flat = [np.full((64, 64, 3), level, np.uint8) + rng.integers(0, 3, (64, 64, 3), dtype=np.uint8) for level in range(0, 240, 12)]
    ramps = []
    for i in range(20):
        slope = np.linspace(0, 60 + 5 * i, 64)[:, None] + np.linspace(0, 3 * i, 64)[None] + 40
        ramps.append(np.repeat((slope[..., None] + rng.normal(0, 3, (64, 64, 3))).clip(0, 255).astype(np.uint8), 1, 2))
    assert not near_duplicates(of(flat + ramps)).near


def test_a_picture_with_half_of_it_replaced_is_no_copy():
    """Negative control: the search must not live off the part that two pictures share."""
    pictures = []
    for i in range(20):
        one, other = scene(i), scene(1000 + i)
        pictures += [one, np.concatenate([one[:, :64], other[:, 64:]], 1)]
    assert not near_duplicates(of(pictures)).near


def test_the_closer_look_is_what_keeps_strangers_apart(monkeypatch):
    """Negative control: without the alignment's verdict the same pictures do pair up, so the test above can fail."""
    pictures = []
    for i in range(20):
        one, other = scene(i), scene(1000 + i)
        pictures += [one, (one * 0.8 + other * 0.2).astype(np.uint8)]
    strict = len(near_duplicates(of(pictures)).near)
    monkeypatch.setattr(alike, "DETAIL", 0.2)
    monkeypatch.setattr(alike, "TEXTURE", 0.2)
    monkeypatch.setattr(alike, "CROWDED", ())
    assert len(near_duplicates(of(pictures)).near) > strict


def test_the_order_of_the_pictures_changes_nothing():
    pictures = [scene(i, 32, 32) for i in range(30)] + [changed(scene(i, 32, 32), "jpeg") for i in range(10)]
    plain = {frozenset(pair[:2]) for pair in near_duplicates(of(pictures)).near}
    order = np.random.default_rng(0).permutation(40)
    mixed = near_duplicates(of([pictures[i] for i in order])).near
    assert {frozenset((int(order[a]), int(order[b]))) for a, b, _ in mixed} == plain and len(plain) == 10


def test_bursts_by_the_camera_clock(tmp_path):
    def shot(name, second, model="M"):
        exif = Image.Exif()
        exif[0x0110] = model
        exif.get_ifd(0x8769)[0x9003] = f"2024:05:06 07:08:{second:02d}"
        Image.fromarray(scene(hash(name) % 1000)).save(tmp_path / name, exif=exif)

    shot("a.jpg", 10), shot("b.jpg", 12), shot("c.jpg", 14), shot("d.jpg", 30), shot("e.jpg", 13, "other camera")
    for i in range(20):  # so that three of them are no large share of the set
        Image.fromarray(scene(2000 + i)).save(tmp_path / f"z{i:02d}.jpg")
    names = sorted(path.name for path in tmp_path.iterdir())
    found = near_duplicates(Dataset([Sample(name, tmp_path / name) for name in names], [], None, tmp_path, "folders"))
    assert [[names[i] for i in group] for group in found.bursts] == [["a.jpg", "b.jpg", "c.jpg"]]


def test_a_damaged_exif_block_is_no_moment():
    assert np.isnan(taken(b"\xff\xd8\xff\xe1Exif\0\0II*\0\xff\xff\xff\xff" + bytes(50)).seconds)
    assert np.isnan(taken(b"nothing").seconds)


def test_unreadable_pictures_are_noted_not_raised(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture at all")
    Image.fromarray(scene(3)).save(tmp_path / "b.png")
    dataset = Dataset(
        [Sample("a.png", tmp_path / "a.png"), Sample("gone.png", tmp_path / "gone.png"), Sample("b.png", tmp_path / "b.png")],
        [],
        None,
        tmp_path,
        "folders",
    )
    looks = look_over(dataset)
    assert set(looks.errors) == {0, 1} and looks.readable().tolist() == [False, False, True]
    assert not near_duplicates(dataset, looks=looks).clusters()


def test_many_thumbnails_lie_on_disk(monkeypatch):
    from omma.data import looks

    monkeypatch.setattr(looks, "ON_DISK", 1000)
    assert isinstance(Looks.empty(3).thumbs, np.memmap)


def test_unite_merges_what_overlaps():
    assert unite([[5, 3], [1, 2], [3, 9], [7]]) == [[1, 2], [3, 5, 9], [7]]
    assert Duplicates([[0, 1]], [(1, 4, "same")]).clusters() == [[0, 1, 4]]

"""Moving pictures: one answer a frame, in order, whatever the file is called or lacks; a drawn clip; the time a frame takes."""

from __future__ import annotations

import csv
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import omma
from models_at_hand import POINTS, bundle_of, folder_of
from omma import catalog, cli
from omma.bundle import Bundle
from omma.data.moving import clip as clips
from omma.data.moving import container
from omma.data.moving.film import Film, fitted
from omma.data.views import Views
from omma.errors import DataError, DiskError, OmmaError
from omma.models.making import build
from omma.progress import Watch
from omma.runtimes import choose
from omma.runtimes.runtime import Runtime
from omma.verbs import _clips
from omma.verbs._inputs import gather, in_order

cv2 = pytest.importorskip("cv2", reason="moving pictures are an extra: pip install 'omma[video]'")

NETS = {
    "segment": ("unet-small", {"widths": (8, 16)}),
    "detect": ("anchor-free-small", {"most": 5}),
    "instances": ("star", {"widths": (8, 16, 32), "most": 5}),
    "reconstruct": ("autoencoder", {"widths": (8, 16), "latent": 8}),
    "restore": ("dncnn", {"depth": 3, "width": 8}),
    "stylize": ("johnson", {"width": 4, "blocks": 1, "painting": 16}),
}
STILL = ("restore", "stylize")  # answers with pictures, one by one
LOOK = [name for name in catalog.names("tasks") if catalog.find("tasks", name).asks != "seed"]
CODES = {".mp4": "mp4v", ".mov": "mp4v", ".avi": "MJPG", ".mkv": "VP80"}
RATE = 12.5


def moving(path: Path, count: int = 8, size: tuple[int, int] = (48, 64), rate: float = RATE) -> Path:
    """A clip that grows brighter from frame to frame, its upper left quarter red; (H, W) = `size`."""
    height, width = size
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*CODES[path.suffix]), rate, (width, height))
    assert writer.isOpened()
    y, x = np.mgrid[:height, :width]
    for place in range(count):
        frame = np.full((height, width, 3), 20 + 180 * place // max(1, count - 1), np.uint8)
        frame[(y < height // 2) & (x < width // 2)] = (20, 20, 220)  # BGR
        writer.write(frame)
    writer.release()
    return path


def read(path: Path) -> tuple[list[np.ndarray], float]:
    """Every frame of a clip, RGB, and its rate, by OpenCV alone."""
    capture, frames = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), []
    while (found := capture.read())[0]:
        frames.append(np.ascontiguousarray(found[1][..., ::-1]))
    return frames, capture.get(cv2.CAP_PROP_FPS)


def any_bundle(task: str) -> Bundle:
    """An untrained model of any task."""
    if task in POINTS:
        return bundle_of(task)
    name, settings = NETS[task]
    made = catalog.find("tasks", task)(["background", "cell"])
    net = build(name, channels=3, size=64, outputs=made.outputs, **settings).eval()
    card = {"model": name, "model_settings": settings, "recipe": {}, "scores": {}, "data": {}}
    views = Views(64, 3, "own", (0.0,), (1.0,), overlap=3) if task in STILL else Views(64, 3, "pad")
    return Bundle(made, made.nets(net), views, {} if task in STILL else {"threshold": 0.001}, card)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    made = bundle_of(names=("cat", "dog", "owl"))
    made.card["task"] = "classify"
    return made.save(tmp_path_factory.mktemp("run") / "bundle")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(bundle, *paths, **words):
    return omma.predict(bundle, *paths, runtime="eager", device="cpu", **words)


def journal(out):
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text("utf-8").splitlines()]


def only(folder, pattern="*"):
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob(pattern) if file.is_file())


# ── a frame, its answer, its place ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("task", STILL)
def test_what_answers_with_pictures_makes_a_clip_of_a_clip(task, here):
    made = any_bundle(task)
    made.card["task"] = task
    where = made.save(here / "bundle")
    moving(here / "片段.avi", 4)
    frames, _ = read(here / "片段.avi")
    Image.fromarray(frames[0]).save(here / "帧.png")
    with pytest.raises(OmmaError, match="--out"):
        asked(where, "片段.avi")
    rows = list(asked(where, "片段.avi", "帧.png", out="out"))
    film = str(Path("out") / "片段.webm")
    assert [row.get("frame") for row in rows] == [0, 1, 2, 3, None] and [row["file"] for row in rows] == [film] * 4 + ["out/帧.png"]
    assert only(here / "out") == sorted(["predictions.about.json", "predictions.jsonl", "片段.webm", "帧.png"])
    shown, rate = read(here / "out" / "片段.webm")
    engine = choose.named("eager", omma.open(where))
    wanted = [picture.deep(8) for picture in engine.answers([np.ascontiguousarray(frame) for frame in frames])]
    assert rate == RATE and len(shown) == 4 and shown[0].shape == wanted[0].shape
    assert all(np.abs(one.astype(int) - other).mean() < 12 for one, other in zip(shown, wanted, strict=True)), "but for the codec"
    with Image.open(here / "out" / "帧.png") as still:
        assert np.array_equal(np.asarray(still), wanted[0]), "a picture among clips is written as it always is"
    cut = asked(where, "片段.avi", "帧.png", out="cut")
    assert next(cut)["frame"] == 0 and next(cut)["frame"] == 1
    cut.close()
    assert "片段.webm" not in only(here / "cut") and not [name for name in only(here / "cut") if "partial" in name]
    assert [row.get("frame") for row in asked(where, "片段.avi", "帧.png", out="cut")] == [0, 1, 2, 3, None]
    assert len(read(here / "cut" / "片段.webm")[0]) == 4, "an interrupted clip begins anew"
    list(asked(where, "片段.avi", "帧.png", out="drawn", as_="drawn"))
    assert len([name for name in only(here / "drawn") if name.startswith("片段.avi.frames/")]) == 4


@pytest.mark.parametrize("task", [name for name in LOOK if name not in STILL])
def test_every_frame_is_answered_as_that_picture_would_be(task, here):
    made = any_bundle(task)
    made.card["task"] = task
    where = made.save(here / "bundle")
    moving(here / "片段.avi", 4)
    frames, _ = read(here / "片段.avi")
    opened = omma.open(where)
    rows = list(asked(where, "片段.avi"))
    engine = choose.named("eager", opened)
    assert [(row["path"], row["frame"], row["seconds"]) for row in rows] == [("片段.avi", n, n / RATE) for n in range(4)]
    for row, frame in zip(rows, frames, strict=True):
        (wanted,) = engine.answers(opened.views.frame(frame)[None], {}, [opened.views.place(*frame.shape[:2])])
        assert opened.task.answer.from_json(row).same(opened.task.answer.from_json(wanted.json()))
    drawn = list(asked(where, "片段.avi", out="out", as_="clip"))
    assert len(drawn) == 4 and len(read(here / "out" / "片段.webm")[0]) == 4
    masks = [Path(row["mask"]) for row in drawn if "mask" in row]
    assert len(set(masks)) == len(masks) == (4 if task == "segment" else 0) and all(path.is_file() for path in masks)


def test_the_command_prints_a_row_a_frame_and_last_how_long_one_takes(bundle, here, capfd):
    moving(here / "片段.mp4")
    words = [str(bundle), "片段.mp4", "--json", "--runtime", "eager", "--out", "画", "--as", "clip"]
    assert cli.run(["predict", *words]) == 0
    said = capfd.readouterr()
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert [row["frame"] for row in rows] == list(range(8))
    assert list(rows[0])[:3] == ["path", "frame", "seconds"] and {"label", "probability"} <= rows[0].keys()
    (last,) = said.err.splitlines()
    assert last.startswith("8 frames") and "50th percentile" in last and "99th percentile" in last


def test_a_drawn_clip_shows_each_frame_with_its_answer(bundle, here):
    moving(here / "a.mp4")
    frames, _ = read(here / "a.mp4")
    opened = omma.open(bundle)
    list(asked(bundle, "a.mp4", out="out", as_="clip"))
    drawn, rate = read(here / "out" / "a.webm")
    assert rate == pytest.approx(RATE, rel=0.01) and only(here / "out") == ["a.webm", "predictions.about.json", "predictions.jsonl"]
    engine = choose.named("eager", opened)
    for frame, shown in zip(frames, drawn, strict=True):
        wanted = engine.answers(opened.views.frame(frame)[None])[0].draw(frame)
        assert abs(fitted(wanted, *shown.shape[:2]).astype(int) - shown).mean() < 8
    assert abs(drawn[0].astype(int) - drawn[-1]).mean() > 40, "what the clip shows does change"


def test_forms_of_answers(bundle, here):
    moving(here / "a.avi", 3)
    list(asked(bundle, "a.avi", out="table", as_="csv"))
    with (here / "table" / "predictions.csv").open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    assert [(line["path"], line["frame"]) for line in table] == [("a.avi", "0"), ("a.avi", "1"), ("a.avi", "2")]
    assert float(table[2]["seconds"]) == 2 / RATE and table[0]["probabilities.owl"]
    list(asked(bundle, "a.avi", out="drawn", as_="drawn"))
    assert only(here / "drawn", "*.jpg") == [f"a.avi.frames/{n:06d}.jpg" for n in range(3)]
    lines = [row.lines() for row in asked(bundle, "a.avi")]
    assert lines[1][0].startswith("a.avi\t1\t0.08\t")


@pytest.mark.parametrize("words", [{"as_": "folders", "out": "out"}, {"embed": "f.npz"}])
def test_what_has_no_meaning_for_clips_is_refused_in_one_line(bundle, here, words):
    moving(here / "a.avi", 2)
    with pytest.raises(OmmaError, match="moving pictures"):
        asked(bundle, "a.avi", **words)
    assert not (here / "out").exists()


def test_the_batch_changes_nothing(bundle, here):
    moving(here / "a.mkv", 5)
    one, other = (list(asked(bundle, "a.mkv", batch=batch)) for batch in (None, 3))
    assert [row["frame"] for row in other] == list(range(5))
    for a, b in zip(one, other, strict=True):
        assert a["label"] == b["label"] and a["probability"] == pytest.approx(b["probability"], abs=1e-4)


def test_pictures_and_clips_in_one_command(bundle, here):
    folder_of(here / "some", 2)
    moving(here / "a.avi", 2)
    rows = list(asked(bundle, "some/0.png", "a.avi", "some/1.png", "none.avi"))
    assert [(row["path"], row.get("frame")) for row in rows[:4]] == [("some/0.png", None), ("a.avi", 0), ("a.avi", 1), ("some/1.png", None)]
    assert "no such file" in rows[4]["error"]
    alone = list(asked(bundle, "some"))
    assert [rows[0]["probability"], rows[3]["probability"]] == pytest.approx([row["probability"] for row in alone], abs=1e-4)


def test_a_camera_held_upright(here):
    """The turn a camera notes in the track header (ISO/IEC 14496-12, 8.3.2) is undone: 90° carries the upper left to the upper right."""
    blob = bytearray(moving(here / "a.mp4", 2).read_bytes())
    start = blob.index(b"tkhd") + 44
    assert struct.unpack(">9i", blob[start : start + 36]) == (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    blob[start : start + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    (here / "turned.mp4").write_bytes(blob)
    flat, turned = clips.open_clip(here / "a.mp4"), clips.open_clip(here / "turned.mp4")
    assert (flat.width, flat.height, turned.width, turned.height) == (64, 48, 48, 64)
    corners = [next(one.frames()).picture for one in (flat, turned)]
    assert [picture.shape for picture in corners] == [(48, 64, 3), (64, 48, 3)]
    assert corners[0][8, 8, 0] > 150 > corners[0][8, -8, 0] and corners[1][8, -8, 0] > 150 > corners[1][8, 8, 0]


def test_memory_stays_bounded(bundle, here, monkeypatch):
    """While nobody takes rows, nothing is decoded."""
    seen, real = [], clips.Clip._picture
    monkeypatch.setattr(clips.Clip, "_picture", lambda self, capture: seen.append(1) or real(self, capture))
    found = asked(bundle, moving(here / "a.avi", 30))
    assert found.total == 30 and next(found)["frame"] == 0 and len(seen) == 1
    found.close()


# ── frames of a folder ──────────────────────────────────────────────────────────────────────────────────


def stills(folder: Path, names: list[str]) -> None:
    """Pictures, each brighter than the one before."""
    folder.mkdir(parents=True)
    for place, name in enumerate(names):
        Image.fromarray(np.full((40, 60, 3), 20 * place, np.uint8)).save(folder / name)


def test_a_folder_of_frames_becomes_a_clip_in_the_order_people_count(bundle, here):
    names = [f"frame{n}.png" for n in range(1, 12)]
    assert sorted(names) != names, "letter by letter frame10 would come before frame2"
    stills(here / "帧", names)
    (here / "帧" / "frame7.png").write_bytes(b"no picture")
    found = asked(bundle, "帧", out="out", as_="clip")
    rows = list(found)
    assert [row["path"] for row in rows] == [f"帧/{name}" for name in names]
    assert ["error" in row for row in rows] == [name == "frame7.png" for name in names] and found.code == 3
    shown, rate = read(here / "out" / "帧.webm")
    light = [frame[:40].mean() for frame in shown]
    assert len(shown) == 10 and light == sorted(light) and rate == 25 and light[-1] - light[0] > 100


def test_each_folder_of_frames_is_a_clip_of_its_own(bundle, here):
    stills(here / "all" / "a", ["1.png", "2.png"])
    stills(here / "all" / "b", ["1.png"])
    rows = list(asked(bundle, "all", out="out", as_="clip"))
    assert [row["path"] for row in rows] == ["all/a/1.png", "all/a/2.png", "all/b/1.png"]
    assert [len(read(here / "out" / name)[0]) for name in ("a.webm", "b.webm")] == [2, 1]


def test_a_folder_means_its_pictures_and_where_it_has_none_its_clips(here):
    (here / "d").mkdir()
    moving(here / "d" / "a.avi", 2)
    assert gather(["d"]).files == ["d/a.avi"]
    folder_of(here / "d", 1)
    assert gather(["d"]).files == ["d/0.png"] and gather(["d/*"]).files == ["d/0.png", "d/a.avi"]


def test_numbers_in_names_count():
    names = ["a/b/1.png", "a/x2y10.png", "a/x2y9.png", "a/x10y1.png", "a/X3.png", "a/07.png", "a/7.png"]
    assert sorted(names, key=in_order) == ["a/07.png", "a/7.png", "a/x2y9.png", "a/x2y10.png", "a/X3.png", "a/x10y1.png", "a/b/1.png"]


def test_frames_of_other_sizes_are_shown_whole():
    tall, wide = np.full((90, 40, 3), 200, np.uint8), np.full((30, 80, 3), 200, np.uint8)
    for picture in (tall, wide):
        canvas = fitted(picture, 60, 60)
        assert canvas.shape == (60, 60, 3)
        rows, columns = np.where((canvas > 150).all(2))
        shape = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert shape[0] / shape[1] == pytest.approx(picture.shape[0] / picture.shape[1], rel=0.1) and not (canvas[-1, 0] > 150).all()
    assert fitted(tall, 90, 40) is tall


def test_a_film_has_room_for_later_frames_and_a_size_that_players_bear(here):
    for name, sides, room, size in (("odd", (31, 47), 6, (38, 48)), ("huge", (40, 6000), 0, (28, 4096))):
        film = Film(here / name)
        film.add(np.full((*sides, 3), 99, np.uint8), room)
        film.add(np.zeros((90, 20, 3), np.uint8), 50)
        frames, rate = read(film.close(True))
        assert [frame.shape for frame in frames] == [(*size, 3)] * 2 and rate == 25


def test_two_clips_of_one_stem_are_both_drawn(bundle, here):
    moving(here / "a.avi", 2)
    moving(here / "a.mov", 3)
    list(asked(bundle, "a.avi", "a.mov", out="out", as_="clip"))
    assert [len(read(here / "out" / name)[0]) for name in ("a.webm", "a.mov.webm")] == [2, 3]


# ── what is damaged, or is no clip ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["a.avi", "a.mkv"])
def test_of_a_clip_that_is_cut_off_the_rest_is_answered_and_what_lacks_is_named(bundle, here, name):
    blob = moving(here / name, 40).read_bytes()
    (here / name).write_bytes(blob[: int(len(blob) * 0.7)])
    found = asked(bundle, name, out="out", as_="clip")
    rows = list(found)
    good = len(rows) - 1
    assert 3 <= good < 40 and [row["frame"] for row in rows] == list(range(good + 1))
    assert rows[-1] == {"path": name, "frame": good, "error": f"the file is cut off: {good} of 40 frames could be read"}
    assert (found.code, len(found.latency), len(read(here / "out" / "a.webm")[0])) == (3, good, good)
    assert not clips.open_clip(moving(here / f"whole{name}", 4)).cut, "a whole one is not said to be cut off"


def test_what_is_no_clip_is_named_in_one_line_and_the_rest_goes_on(bundle, here):
    moving(here / "good.mp4", 2)
    (here / "text.mp4").write_text("this is no video\n" * 40)
    (here / "empty.mp4").write_bytes(b"")
    Image.new("RGB", (8, 8)).save(here / "png.png")
    (here / "png.png").rename(here / "png.mp4")
    (here / "cut.mp4").write_bytes((here / "good.mp4").read_bytes()[:600])
    (here / "torn.avi").write_bytes(b"RIFF\x10\0\0\0AVI " + bytes(200))
    # A list names another file, which a decoder would open, whatever the list is called.
    (here / "list.mp4").write_text("ffconcat version 1.0\nfile good.mp4\n")
    assert cv2.VideoCapture(str(here / "list.mp4"), cv2.CAP_FFMPEG).isOpened()
    bad = ["text.mp4", "empty.mp4", "png.mp4", "cut.mp4", "torn.avi", "list.mp4"]
    found = asked(bundle, *bad, "good.mp4")
    rows = list(found)
    assert [row["path"] for row in rows] == [*bad, "good.mp4", "good.mp4"] and found.failed == 6
    for row, words in zip(rows, ("not a moving", "empty", "not a moving", "cut off before", "damaged", "not a moving"), strict=False):
        assert words in row["error"] and row.keys() == {"path", "error"}
        with pytest.raises(DataError, match=words) as refused:
            clips.open_clip(here / row["path"])
        assert "\n" not in str(refused.value) and row["path"] in str(refused.value)


def test_no_list_of_other_files_is_opened_even_behind_the_first_look(here, monkeypatch):
    moving(here / "good.mp4", 2)
    (here / "list.mp4").write_text("ffconcat version 1.0\nfile good.mp4\n")
    monkeypatch.setattr(clips, "container", lambda head: "mp4")
    with pytest.raises(DataError):
        clips.open_clip(here / "list.mp4")
    assert clips.open_clip(here / "good.mp4").count == 2 and "OPENCV_FFMPEG_CAPTURE_OPTIONS" not in clips.os.environ


def test_frames_beyond_the_cap_are_refused(here, monkeypatch):
    moving(here / "a.mp4", 2)
    monkeypatch.setenv("OMMA_MAX_PIXELS", "3000")
    with pytest.raises(DataError, match="too large"):
        clips.open_clip(here / "a.mp4")


def test_a_clip_that_promises_more_than_it_has_is_told(bundle, here, monkeypatch):
    class Ear(Watch):
        heard: list[str] = []  # noqa: RUF012

        def warn(self, line):
            self.heard.append(line)

    moving(here / "a.avi", 4)
    real = clips.open_clip
    monkeypatch.setattr(clips, "open_clip", lambda path: clips.Clip(path, 64, 48, RATE, 90, real(path).cut))
    assert len(list(asked(bundle, "a.avi", watch=Ear()))) == 4
    assert any("90 frames, 4 could be read" in line for line in Ear.heard)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypisom", "mp4"), (b"\0\0\0\x08wide\0\0", "mp4"), (b"RIFF\1\2\3\4AVI LIST", "avi"), (b"\x1aE\xdf\xa3\x9f", "mkv"),
        (b"\0\0\x01\xba!", "mpeg"), (b"G" + b"\0" * 187 + b"G", "ts"), (b"\0\0\0\0G" + b"\0" * 191 + b"G", "ts"), (b"OggS\0", "ogg"),
        (b"RIFF\1\2\3\4WAVE", ""), (b"#EXTM3U\n", ""), (b"", ""), (b"\xff\xd8\xff\xe0", ""), (b"v=0\nc=IN IP4 1.2.3.4\n", ""),
    ],
)  # fmt: skip
def test_containers_are_known_by_their_first_bytes(head, kind):
    assert container.container(head) == kind


def test_where_files_end(here):
    def cut(blob: bytes, kind: str) -> bool:
        (here / "x").write_bytes(blob)
        return container.cut_off(here / "x", kind)

    box = struct.pack(">I4s", 16, b"free") + bytes(8)
    long = struct.pack(">I4sQ", 1, b"mdat", 40) + bytes(24)
    assert not cut(box + long, "mp4") and cut(box + long[:-1], "mp4") and cut(box + long[:5], "mp4")
    assert not cut(box + struct.pack(">I4s", 0, b"mdat") + bytes(9), "mp4"), "until the end of the file"
    riff = b"RIFF" + struct.pack("<I", 4) + b"AVI "
    assert not cut(riff * 2, "avi") and cut(riff + b"RIFF" + struct.pack("<I", 5) + b"AVIX", "avi")
    header, sized, open_ = b"\x1aE\xdf\xa3\x82AB", b"\x18\x53\x80\x67\x84", b"\x18\x53\x80\x67\x01" + b"\xff" * 7
    assert not cut(header + sized + b"abcd", "mkv") and cut(header + sized + b"abc", "mkv") and not cut(header + open_ + b"abc", "mkv")


# ── how long a frame takes ──────────────────────────────────────────────────────────────────────────────


def test_percentiles():
    latency = _clips.Latency()
    assert latency.p50 is None and latency.json() == {"frames": 0, "p50_ms": None, "p99_ms": None}
    for n in range(1, 101):
        latency.note(n / 1000)
    assert (latency.p50, latency.p99) == (pytest.approx(50.5), pytest.approx(99.01))


def test_the_time_of_a_frame_is_that_of_its_answer_alone(bundle, here, monkeypatch):
    """By a clock that only answering and drawing move."""
    clock, calls, real = [0.0], [0], Runtime.answers

    def answers(self, *words):
        calls[0] += 1
        clock[0] += 9.0 if calls[0] == 1 else 0.5 if calls[0] == 4 else 0.02
        return real(self, *words)

    opened = omma.open(bundle)
    drawn = opened.task.answer.draw
    monkeypatch.setattr(opened.task.answer, "draw", lambda self, picture: clock.__setitem__(0, clock[0] + 3) or drawn(self, picture))
    monkeypatch.setattr(Runtime, "answers", answers)
    monkeypatch.setattr(_clips.time, "perf_counter", lambda: clock[0])
    found = asked(bundle, moving(here / "a.avi", 5), out="out", as_="clip")
    assert found.latency.p50 is None and len(list(found)) == 5
    assert len(found.latency) == 5 and found.latency.p50 == pytest.approx(20) and found.latency.p99 == pytest.approx(480.8)
    about = json.loads((here / "out" / "predictions.about.json").read_text("utf-8"))["clips"][str(here / "a.avi")]
    assert about == {"rows": 5, "frames": 5, "p50_ms": pytest.approx(20), "p99_ms": pytest.approx(480.8), "drawn": "a.webm"}
    assert asked(bundle, folder_of(here / "p", 1)[0]).latency is None, "nothing moves there"


# ── interrupted ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("as_", ["jsonl", "csv", "drawn", "clip"])
def test_an_interrupted_clip_goes_on_and_nothing_is_lost_or_twice(bundle, here, monkeypatch, as_):
    moving(here / "a.avi", 3)
    moving(here / "b.avi", 6)
    whole = list(asked(bundle, "a.avi", "b.avi", out="whole", as_=as_))
    stopped = asked(bundle, "a.avi", "b.avi", out="out", as_=as_)
    assert [next(stopped)["frame"] for _ in range(5)] == [0, 1, 2, 0, 1]
    stopped.close()
    with (here / "out" / "predictions.jsonl").open("ab") as file:
        file.write(b'{"path": "b.avi", "fra')
    assert only(here / "out", "*.webm") == (["a.webm"] if as_ == "clip" else []), "no half clip, under whatever name"
    calls, real = [], _clips.Reel._answer
    monkeypatch.setattr(_clips.Reel, "_answer", lambda self, places: calls.append(1) or real(self, places))
    rows = list(asked(bundle, "a.avi", "b.avi", out="out", as_=as_))
    keys = [(row["path"], row["frame"]) for row in whole]
    assert [(row["path"], row["frame"]) for row in rows] == keys == [(row["path"], row["frame"]) for row in journal(here / "out")]
    assert [row["probability"] for row in rows] == pytest.approx([row["probability"] for row in whole], abs=1e-4)
    assert len(calls) == (6 if as_ == "clip" else 4)
    assert only(here / "out", "*.[jw]*") == only(here / "whole", "*.[jw]*")
    if as_ == "clip":
        assert [len(read(here / "out" / name)[0]) for name in ("a.webm", "b.webm")] == [3, 6]


def test_a_disk_that_does_not_take_the_clip_is_told(here):
    (here / "file").write_bytes(b"")
    with pytest.raises(DiskError):
        Film(here / "file" / "a").add(np.zeros((8, 8, 3), np.uint8))
    film = Film(here / "b")
    film.add(np.zeros((9, 7, 3), np.uint8))
    film.count += 5  # as if five more had been sent and never arrived
    with pytest.raises(DiskError, match="full"):
        film.close(True)
    assert only(here) == ["file"]


def test_without_opencv_one_line_says_what_to_install(bundle, here, monkeypatch):
    moving(here / "a.avi", 2)
    folder_of(here / "p", 1)
    monkeypatch.setitem(sys.modules, "cv2", None)
    clips.opencv.cache_clear()
    with pytest.raises(OmmaError, match=r"omma\[video\]"):
        asked(bundle, "a.avi")
    assert "label" in next(asked(bundle, "p")), "pictures need none of it"
    clips.opencv.cache_clear()

"""The studio's Inside page over real HTTP: what it computes on demand is the tensors, and nobody else sees it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from models_at_hand import bundle_of, folder_of
from omma.inside.page import live as live_page
from omma.inside.page.live import Live
from omma.inside.page.sheet import sheet
from omma.studio.pages import inside as inside_page
from omma.verbs.look import inside_of
from omma.words import room
from test_studio import Running

pytest.importorskip("httpx")
EVIL = ["</script><script>owned()</script>", "<img src=x onerror=owned()>", "鸟 & {n} \u2028"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A studio with a run of evil classes and a project of three pictures."""
    cwd = tmp_path_factory.mktemp("work")
    bundle_of("classify", names=EVIL).save(cwd / "runs" / "evil-1" / "bundle")
    folder = cwd / "photos" / EVIL[1].replace("/", "_")
    folder.mkdir(parents=True)
    world = Running(tmp_path_factory.mktemp("home"), cwd)
    world.pictures = folder_of(folder, 3, (30, 24))
    world.id = world.post("/api/projects", data=str(cwd / "photos"))["id"]
    yield world
    world.close()


def begun(world, body=None, status=200, **words):
    """A look, begun as the page begins it."""
    reply = world.client.post("/api/inside", params=words, content=body)
    assert reply.status_code == status, reply.text
    return reply.json()


@pytest.fixture(scope="module")
def looked(world):
    """(key, what the server holds) of the run, asked about a picture that was sent."""
    key = begun(world, world.pictures[0].read_bytes(), model="evil-1", name="<b>.png")["key"]
    return key, world.studio.looks.get(key)


def test_the_frame_is_the_page_of_look_with_parts_to_ask_for(world, looked):
    """One script, one style, in files; data as plain text; its policy lets nothing else run."""
    key, live = looked
    reply = world.client.get(f"/api/inside/{key}/frame")
    text, policy = reply.text, reply.headers["content-security-policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy and "frame-ancestors 'self'" in policy
    assert reply.headers["x-frame-options"] == "SAMEORIGIN"
    assert re.findall(r"<script src=\"([^\"]*)\"", text) == list(inside_page.SCRIPTS) and "<b>.png" not in text and "owned()<" not in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    assert data["picture"]["name"] == "<b>.png" and len(data["steps"]) == len(live.found.seen.steps) > 60
    assert data["asks"] == [] and data["question"]["names"] == EVIL
    for path in (*inside_page.SCRIPTS, *inside_page.STYLES):
        assert world.client.get(path).status_code == 200, path
    assert "ommaUnit" in world.client.get("/static/look.js").text


def test_maps_come_when_they_are_asked_for(world, looked):
    """8 bits of every channel, and nothing was packed before."""
    key, live = looked
    data = live.sheet.data
    assert live.sheet.parts.texts == []
    row = next(row for row in data["steps"] if row["op"] == "conv")
    step = live.found.seen.steps[data["steps"].index(row)]
    reply = world.client.get(f"/api/inside/{key}/part/{row['pic']['part']}")
    pixels = np.frombuffer(reply.content, np.uint8).reshape(row["c"], row["pic"]["h"], row["pic"]["w"]).cumsum(2, dtype=np.uint8)
    low, high = (np.array(row["pic"][name])[:, None, None] for name in ("low", "high"))
    assert np.abs(low + pixels / 255 * (high - low) - step.maps.detach().numpy()).max() <= (high - low).max() / 255
    assert world.client.get(f"/api/inside/{key}/part/99999").status_code == 422


def test_any_unit_of_any_channel_is_told(world, looked):
    """Not only the strongest: windows, kernels, sums and totals are the tensors' own, at edges too."""
    key, live = looked
    seen, draw, kinds = live.found.seen, np.random.default_rng(0), set()
    for place, step in enumerate(seen.steps):
        channels, height, width = step.maps.shape
        for channel, y, x in ((0, 0, 0), (channels - 1, height - 1, width - 1), (int(draw.integers(channels)), height // 2, width // 3)):
            found = world.get(f"/api/inside/{key}/unit/{place}/{channel}/{y}/{x}")
            assert found["total"] == float(step.maps[channel, y, x]), step.key
            sums = found["sums"]
            kinds.add(sums["kind"])
            for given, read in zip(step.given, sums["reads"], strict=False):
                own = read["own"]
                if step.op in ("add", "mul"):
                    continue
                maps = seen.coming(given)[own["channels"], own["y"] : own["y"] + own["h"], own["x"] : own["x"] + own["w"]]
                assert own["values"] == maps.detach().flatten().tolist()
            if sums["kind"] == "conv":
                every = world.get(f"/api/inside/{key}/unit/{place}/{channel}/{y}/{x}", every=1)["sums"]
                assert len(every["ins"][0]) == every["inputs"] and len(sums["ins"][0]) == min(16, every["inputs"])
                assert _sum(seen, step, every, y, x) == pytest.approx(found["total"], rel=1e-4, abs=1e-5)
    assert {"conv", "batch", "act", "join", "adaptive"} <= kinds
    for path in ("0/0/999/0", "999/0/0/0", "0/99999/0/0"):
        assert world.client.get(f"/api/inside/{key}/unit/{path}").status_code == 422


def _sum(seen, step, sums, y, x):
    """A convolution by what the page was given alone."""
    n, own, total = sums["numbers"], sums["reads"][0]["own"], (sums.get("bias") or [0])[0]
    values = np.array(own["values"]).reshape(len(own["channels"]), own["h"], own["w"])
    taps = [(i, j) for i in range(n["k"][0]) for j in range(n["k"][1])]
    for place, channel in enumerate(sums["ins"][0]):
        for tap, (i, j) in enumerate(taps):
            row = y * n["s"][0] - n["p"][0] + i * n["d"][0] - own["y"]
            column = x * n["s"][1] - n["p"][1] + j * n["d"][1] - own["x"]
            if 0 <= row < own["h"] and 0 <= column < own["w"]:
                total += values[own["channels"].index(channel), row, column] * sums["weight"][place * len(taps) + tap]
    return total


def test_gradients_come_when_they_are_asked_for(world, looked):
    key, live = looked
    found = world.get(f"/api/inside/{key}/back", about=EVIL[1])
    assert found["ask"]["about"] == EVIL[1] and len(found["rows"]) == len(live.found.seen.steps)
    other = inside_of(str(world.studio.runs / "evil-1"), str(world.pictures[0]), about=EVIL[1], device="cpu")
    page = sheet(other).data
    for row, wanted in zip(found["rows"], page["steps"], strict=True):
        want = wanted["slopes"][0]
        assert (row is None) == (want is None) and (row is None or row["size"] == pytest.approx(want["size"], rel=1e-3))
    surest = world.get(f"/api/inside/{key}/back")["ask"]["about"]
    assert surest in EVIL and live.found.slopes == []
    reply = world.client.get(f"/api/inside/{key}/back", params={"about": "no such class"}, headers={"x-omma-language": "zh"})
    assert reply.status_code == 422 and "\n" not in reply.json()["error"]
    assert world.client.get(f"/api/inside/{key}/back", params={"at": "0,0,4,4"}).status_code == 422


def test_a_picture_may_be_sent_chosen_or_named(world):
    assert begun(world, model="evil-1", project=world.id, item=2)["picture"].endswith("2.png")
    assert begun(world, model="evil-1", picture=str(world.pictures[1]))["picture"] == "1.png"
    assert begun(world, model="keras-same", size=32)["title"] == "keras-same"


@pytest.mark.parametrize(
    ("words", "body"),
    [
        ({}, None),
        ({"model": "no-such-network"}, None),
        ({"model": "../../etc"}, None),
        ({"model": "evil-1"}, b"no picture"),
        ({"model": "evil-1", "size": "nan"}, None),
        ({"model": "keras-same", "size": "99999999"}, None),
        ({"model": "evil-1", "picture": "/nowhere.png"}, None),
        ({"model": "evil-1", "project": "77"}, None),
    ],
)
def test_what_cannot_be_looked_into_is_one_line(world, words, body):
    error = begun(world, body, 422, **words)["error"]
    assert error and "\n" not in error and "Traceback" not in error


def test_two_looks_stay_and_the_rest_is_let_go(world):
    keys = [begun(world, model="keras-same", size=32)["key"] for _ in range(3)]
    states = [world.client.get(f"/api/inside/{key}").status_code for key in keys]
    assert states == [422, 200, 200]
    reply = world.client.get(f"/api/inside/{keys[0]}/frame", headers={"x-omma-language": "zh"})
    assert reply.json()["error"] == room("zh", "studio")["no_look"]


@pytest.mark.parametrize("path", ["", "/frame", "/part/0", "/unit/0/0/0/0", "/back"])
def test_nobody_else_sees_it(world, path):
    """Without the token, under another name, or from another page."""
    import httpx

    key = begun(world, model="keras-same", size=32)["key"]
    url = f"{world.url}/api/inside/{key}{path}"
    assert httpx.get(url).status_code == 401
    known = world.client.headers["authorization"]
    assert httpx.get(url, headers={"authorization": known, "host": "evil.example"}).status_code == 421
    assert httpx.get(url, headers={"authorization": known, "origin": "http://evil.example"}).status_code == 403


def test_a_large_layer_is_shown_smaller_and_told_exactly(monkeypatch):
    """Maps keep their size while they are few; numbers are those of the layer."""
    monkeypatch.setattr(live_page, "PIXELS", 40_000)
    found = inside_of("keras-same", size=64, back=False, device="cpu")
    live = Live(found)
    first = live.sheet.data["steps"][0]
    assert (first["h"], first["w"]) == (64, 64) and first["pic"]["h"] <= 28
    assert live.unit(0, 3, 63, 63)["total"] == float(found.seen.steps[0].maps[3, 63, 63])


def test_networks_to_choose_from(world):
    found = world.get("/api/networks")
    assert found["runs"] == ["evil-1"] and {"keras-same", "torchvision/resnet18"} <= set(found["names"])

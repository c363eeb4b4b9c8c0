"""The studio over real HTTP: closed doors, what it remembers, every page's questions, jobs that outlive it."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import trained
from omma import catalog
from omma.answers.answer import Answer
from omma.errors import OmmaError
from omma.serving.server import bind, server_for
from omma.studio import jobs, keeper, runs, server, shelf, thumbs
from omma.studio.app import STATIC, Studio
from omma.studio.pages import data as data_page
from omma.studio.pages import projects, train
from omma.studio.shelf import look, phrase
from omma.studio.store import Store
from omma.words import LANGUAGES, room, speaking

httpx = pytest.importorskip("httpx")
TOKEN = "a-token-for-tests-0123456789-abcdefgh"


class Running:
    """A studio in a thread on a free port."""

    def __init__(self, home: Path, cwd: Path) -> None:
        self.studio = Studio(home, cwd)
        sock = bind("127.0.0.1", 0)
        self.port = sock.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = server_for(server.guarded(self.studio, self.port, TOKEN))
        server.ends(self.server, self.studio)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [sock]}, daemon=True)
        self.thread.start()
        self.client = httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=30)

    def get(self, path, **query):
        reply = self.client.get(path, params=query)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def post(self, path, **words):
        reply = self.client.post(path, json=words)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def close(self) -> None:
        self.server.handle_exit(signal.SIGTERM, None)
        self.thread.join(10)
        assert not self.thread.is_alive(), "it ends"
        self.client.close()
        self.studio.store.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A studio about three colours of pictures, and a working folder."""
    cwd = tmp_path_factory.mktemp("work")
    photos = trained.write_photos(cwd / "photos", 6)
    running = Running(tmp_path_factory.mktemp("home"), cwd)
    running.photos = photos
    running.id = running.post("/api/projects", data=str(photos))["id"]
    yield running
    running.close()


# ── the door ────────────────────────────────────────────────────────────────────────────────────────────


def raw(world, *lines: str) -> str:
    """The first line of the answer to a request written by hand."""
    with socket.create_connection(("127.0.0.1", world.port), timeout=10) as link:
        link.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return link.recv(400).decode("latin-1").splitlines()[0]


@pytest.mark.parametrize("path", ["/", "/api/projects", "/static/app.js", "/api/p/1/thumbs", "/api/runs/x/stream", "/api/words/en"])
def test_nothing_is_shown_without_the_token(world, path):
    assert httpx.get(world.url + path).status_code == 401
    assert httpx.get(world.url + path, headers={"authorization": "Bearer wrong-wrong-wrong"}).status_code == 401
    assert httpx.get(world.url + path, cookies={f"omma-studio-{world.port}": TOKEN}).status_code == 401, "the cookie is not the token"
    assert httpx.get(world.url + path, params={"token": "wrong"}).status_code == 401


def test_the_token_in_the_address_becomes_a_cookie_and_is_left_behind(world):
    with httpx.Client(base_url=world.url) as client:
        reply = client.get("/", params={"token": TOKEN})
        assert reply.status_code == 303 and reply.headers["location"] == "/"
        cookie = reply.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
        page = client.get("/")
        assert page.status_code == 200 and "unsafe" not in page.headers["content-security-policy"]
        assert page.headers["x-frame-options"] == "DENY"


def test_a_tab_stays_open_when_the_studio_is_started_again(world):
    first = server.guarded(world.studio, world.port, TOKEN)
    again = server.guarded(world.studio, world.port, TOKEN)
    assert first._session == again._session != TOKEN
    assert server.guarded(world.studio, world.port, TOKEN + "x")._session != first._session


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "[::1]:{port}"])
def test_a_name_that_is_not_ours_is_refused(world, host):
    """DNS rebinding: the browser speaks to us under somebody else's name."""
    line = raw(world, "GET / HTTP/1.1", f"Host: {host.format(port=world.port)}", f"Authorization: Bearer {TOKEN}", "Connection: close")
    assert " 421 " in line


def test_another_page_is_refused(world):
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{world.port + 1}", f"https://127.0.0.1:{world.port}"):
        assert world.client.post("/api/projects", json={"data": "digits"}, headers={"origin": origin}).status_code == 403
    assert world.client.get("/api/projects", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert world.client.get("/api/projects", headers={"origin": world.url}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", None])
def test_no_websocket_is_ever_opened(world, origin):
    """There is none: events are plain answers, which the guard sees like all others."""
    lines = ["GET /api/runs/x/stream HTTP/1.1", f"Host: 127.0.0.1:{world.port}", "Connection: Upgrade", "Upgrade: websocket",
             "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]  # fmt: skip
    lines += [f"Origin: {origin}"] if origin else []
    assert " 101 " not in raw(world, *lines)
    assert (" 403 " if origin else " 401 ") in raw(world, *lines)


def test_only_files_of_the_pages_are_given(world):
    for path in (
        "/static/../store.py",
        "/static/%2e%2e/store.py",
        "/static/x.js",
        "/static/index.html",
        "/static/..%2fapp.py",
        "/static//etc/passwd.js",
    ):
        assert world.client.get(path).status_code == 404, path
    assert "polyline" in world.client.get("/static/chart.js").text and "--paper" in world.client.get("/static/report.css").text


def test_a_taken_port_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setenv("OMMA_HOME", str(tmp_path))
    with bind("127.0.0.1", 0) as sock, pytest.raises(OmmaError) as told:
        server.open_studio(SimpleNamespace(data=None, port=sock.getsockname()[1], browser=False, page="data"))
    assert "\n" not in str(told.value) and "--port" in str(told.value)


def test_the_token_is_kept_where_only_this_person_reads_it(tmp_path):
    first = server.key(tmp_path / "studio")
    assert len(first) >= 40 and server.key(tmp_path / "studio") == first
    assert (tmp_path / "studio" / "token").stat().st_mode & 0o077 == 0


# ── what it remembers ───────────────────────────────────────────────────────────────────────────────────

STROKES = """
import sys
from pathlib import Path
from omma.studio.store import Store
store = Store(Path(sys.argv[1]))
project = store.project("photos", "photos")
for number in range(int(sys.argv[2]), 200):
    store.stroke(project, "a.png", {"do": "add", "label": "x", "box": [0, 0, number, 1]}, f"m{number}")
    print(number, flush=True)
"""


@pytest.mark.slow
def test_a_killed_server_has_lost_no_stroke(tmp_path):
    """kill -9 at four moments; whatever was said to be kept is there, once, and in order."""
    told: list[int] = []
    while len(told) < 200:
        words = [sys.executable, "-c", STROKES, str(tmp_path / "s.db"), str(len(told))]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as run:
            stop = len(told) + 61
            for line in run.stdout:
                told.append(int(line))
                if len(told) == stop:
                    run.kill()
    # Where the answer to the last one was lost, it was sent again under its mark.
    store = Store(tmp_path / "s.db")
    kept = [row["body"]["box"][2] for row in store.strokes(1)]
    assert kept == list(range(200))
    assert store.rows("PRAGMA journal_mode")[0]["journal_mode"] == "wal" and store.rows("PRAGMA synchronous")[0]["synchronous"] == 2
    store.close()


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path / "s.db")
    yield found
    found.close()


def test_undo_and_redo(store):
    project = store.project("a", "a")
    for name in "abc":
        store.stroke(project, "1", {"do": "tag", "names": [name]})
    store.stroke(project, "2", {"do": "tag", "names": ["z"]})

    def live():
        return [row["body"]["names"][0] for row in store.strokes(project, "1") if row["live"]]

    assert store.undo(project, "1") and store.undo(project, "1") and live() == ["a"]
    assert store.redo(project, "1") and live() == ["a", "b"]
    store.stroke(project, "1", {"do": "tag", "names": ["d"]})
    assert live() == ["a", "b", "d"] and not store.redo(project, "1"), "what was undone is gone once something else is done"
    assert [store.undo(project, "1") for _ in range(4)] == [True, True, True, False]
    assert len(store.strokes(project, "2")) == 1


def test_a_stroke_sent_twice_counts_once(store):
    project = store.project("a", "a")
    body = {"do": "tag", "names": ["a"]}
    assert store.stroke(project, "1", body, "m") == store.stroke(project, "1", body, "m") and len(store.strokes(project)) == 1


def test_a_newer_memory_is_not_touched(tmp_path):
    Store(tmp_path / "s.db").close()
    with closing(sqlite3.connect(tmp_path / "s.db")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(OmmaError, match="newer"):
        Store(tmp_path / "s.db")
    (tmp_path / "t.db").write_bytes(b"no database, but a long enough text to be read as one" * 40)
    with pytest.raises(OmmaError, match="cannot be opened"):
        Store(tmp_path / "t.db")


def test_forgetting_a_project_leaves_the_others(store):
    a, b = store.project("a", "a"), store.project("b", "b")
    for project in (a, b):
        store.stroke(project, "1", {"do": "tag", "names": ["x"]})
        store.job(project, "check", ["check", "a"], "folder", None)
        store.add_class(project, "x")
    store.forget(a)
    assert [row["id"] for row in store.projects()] == [b]
    assert not store.strokes(a) and not store.jobs(a) and store.strokes(b) and store.jobs(b) and store.classes(b) == ["x"]


# ── projects ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_project_is_a_path_a_table_or_a_source(world):
    assert world.post("/api/projects", data="photos")["id"] == world.id, "as named from the working folder"
    assert world.post("/api/projects", data="digits")["id"] != world.id
    reply = world.client.post("/api/projects", json={"data": "nowhere"})
    assert reply.status_code == 422 and "nowhere" in reply.json()["error"]
    assert world.client.post("/api/projects", content=b"[1]").status_code == 422


def test_folders_to_choose_from(world):
    found = world.get("/api/folders")
    assert "photos" in found["folders"] and found["path"] == str(world.studio.cwd)
    assert world.get("/api/folders", under=str(world.photos / "green"))["pictures"] == 6
    assert world.client.get("/api/folders", params={"under": "/no/such/place"}).status_code == 422


@pytest.mark.parametrize(
    ("name", "kept"),
    [("a.png", "a.png"), ("../../out.png", "out.png"), ("/etc/x.png", "etc/x.png"), ("猫/一.png", "猫/一.png"), ("..\\b.png", "b.png"),
     (".hidden.png", "hidden.png"), ("<img src=x onerror=alert(1)>.png", "_img src=x onerror=alert(1)_.png")],
)  # fmt: skip
def test_dropped_pictures_stay_in_their_folder(world, tmp_path, name, kept):
    made = world.post("/api/projects/new", name="neu/../x")
    folder = Path(made["data"])
    assert folder.parent == world.studio.cwd
    blob = (world.photos / "green" / "000.png").read_bytes()
    reply = world.client.post(f"/api/p/{made['id']}/drop", params={"name": name}, content=blob)
    assert reply.status_code == 200 and reply.json()["name"] == kept, reply.text
    assert (folder / kept).read_bytes() == blob
    again = world.client.post(f"/api/p/{made['id']}/drop", params={"name": name}, content=blob).json()["name"]
    assert again != kept and (folder / again).is_file(), "nothing is written over"


def test_what_is_no_picture_is_not_kept(world):
    made = world.post("/api/projects/new", name="none")
    for name, blob in (("a.png", b"no picture"), ("a.html", b"<script>"), ("", b""), ("a.svg", b"<svg/>")):
        assert world.client.post(f"/api/p/{made['id']}/drop", params={"name": name}, content=blob).status_code == 422
    assert not list(Path(made["data"]).rglob("*"))


# ── data ────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_the_dataset_is(world):
    about = world.get(f"/api/p/{world.id}/data")
    assert about["count"] == 18 and about["labelled"] == 18 and about["task"] == "classify" and about["kind"] == "label"
    assert {row["name"]: row["count"] for row in about["classes"]} == dict.fromkeys(trained.COLOURS, 6)
    assert about["check"]["state"] == "none"
    there = world.client.get(f"/api/p/{world.id}/data", headers={"x-omma-language": "zh"}).json()
    assert "18 pictures" in about["lines"][0] and "张" in there["lines"][0], "in the language of whoever reads"


def test_a_folder_is_listed_once_and_its_changes_are_seen(world, tmp_path, monkeypatch):
    """Ten thousand thumbnails ask ten thousand times; what is new, in the folder or in one right in it, shows all the same."""
    photos = trained.write_photos(tmp_path / "photos", 2)
    listed = []
    monkeypatch.setattr(shelf.os, "scandir", lambda path, real=os.scandir: listed.append(path) or real(path))
    first = world.studio.shelf.of(str(photos))
    once = len(listed)
    for _ in range(5):
        assert world.studio.shelf.of(str(photos)) is first
    assert len(listed) == once
    (photos / "green" / "new.png").write_bytes((photos / "green" / "000.png").read_bytes())
    assert len(world.studio.shelf.of(str(photos)).dataset) == 7
    (photos / "more").mkdir()
    (photos / "more" / "new.png").write_bytes((photos / "green" / "000.png").read_bytes())
    assert len(world.studio.shelf.of(str(photos)).dataset) == 8


def test_filters(world):
    def shown(**query):
        return world.get(f"/api/p/{world.id}/places", **query)["places"]

    every = shown()
    assert every == list(range(18))
    named = {name: shown(**{"class": name}) for name in trained.COLOURS}
    assert sorted(place for places in named.values() for place in places) == every and all(len(places) == 6 for places in named.values())
    assert shown(text="00") == every and len(shown(text="003")) == 3 and not shown(text="nothing like it")
    assert not shown(**{"class": "unknown"}) and not shown(labelled="no") and shown(split="none") == every
    rows = world.get(f"/api/p/{world.id}/items", places="0,1,17,400")
    assert [row["place"] for row in rows] == [0, 1, 17] and all(row["text"] in trained.COLOURS for row in rows)


def test_thumbnails_are_made_once(world, monkeypatch):
    first = world.get(f"/api/p/{world.id}/thumbs", places="2,5,400,x")
    assert list(first) == ["2", "5"] and all(one.startswith("data:image/jpeg;base64,") for one in first.values())
    monkeypatch.setattr("omma.studio.thumbs.shown", lambda *words: pytest.fail("made again"))
    assert world.get(f"/api/p/{world.id}/thumbs", places="2,5") == first
    row = world.get(f"/api/p/{world.id}/items", places="2")[0]
    monkeypatch.undo()
    whole = world.client.get(f"/api/p/{world.id}/picture/2", params={"v": row["v"]})
    assert whole.headers["content-type"] == "image/jpeg" and "immutable" in whole.headers["cache-control"]


def test_a_changed_file_has_another_address(world):
    path = world.photos / "green" / "005.png"
    place = next(i for i in range(18) if world.get(f"/api/p/{world.id}/one/{i}")["id"] == "green/005.png")
    before = world.get(f"/api/p/{world.id}/one/{place}")["v"]
    Image.new("RGB", (9, 9), (1, 2, 3)).save(path)
    assert world.get(f"/api/p/{world.id}/one/{place}")["v"] != before


def test_an_unreadable_picture_has_a_cross(world):
    path = world.photos / "green" / "004.png"
    path.write_bytes(b"broken")
    place = world.get(f"/api/p/{world.id}/places", text="green/004")["places"][0]
    assert world.get(f"/api/p/{world.id}/thumbs", places=place)[str(place)] == thumbs.address(thumbs.blank())
    assert world.client.get(f"/api/p/{world.id}/picture/{place}").status_code == 200
    assert world.get(f"/api/p/{world.id}/one/{place}")["problem"]
    for bad in (18, 10**9):
        assert world.client.get(f"/api/p/{world.id}/picture/{bad}").status_code == 422


class Clock(Answer):
    """An answer nobody in the house knows."""

    kind = "clock"

    def __init__(self, hour: int) -> None:
        self.hour = hour

    def json(self):
        return {"hour": self.hour}

    def draw(self, picture):
        drawn = picture.copy()
        drawn[:, :, 0] = 255
        return drawn


def test_an_answer_nobody_knows_draws_itself():
    """A task that a test defines needs no page of its own."""
    from omma.data.sample import Dataset, Sample
    from omma.studio.thumbs import shown

    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    dataset = Dataset([Sample("a", row=0, truth=Clock(7)), Sample("b", row=1)], [], "tell_time", Path("clocks"), "own", pixels)
    found = look(dataset)
    assert found.kind == "clock" and "7" in phrase(Clock(7)) and found.names == []
    assert (shown(dataset, 0, drawn=True)[..., 0] == 255).all() and not shown(dataset, 0).any() and not shown(dataset, 1, drawn=True).any()


def test_findings_and_the_clean_list(world, tmp_path):
    """What `check` says, told as the job would tell it: copies side by side, faults gone from the clean list, originals untouched."""
    from omma.verbs.check import check

    photos = trained.write_photos(tmp_path / "photos", 6)
    (photos / "green" / "copy.png").write_bytes((photos / "green" / "000.png").read_bytes())
    (photos / "green" / "broken.png").write_bytes(b"broken")
    before = {path: path.read_bytes() for path in photos.rglob("*.png")}
    number = world.post("/api/projects", data=str(photos))["id"]
    out = world.studio.home / "checks" / str(number)
    found = check(str(photos), fix=True, out=str(out))
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / keeper.RESULT).write_text(json.dumps(found.json(), default=str), "utf-8")
    (folder / keeper.DONE).write_text(json.dumps({"code": 1, "ended": 1.0}))
    world.studio.store.job(number, "check", ["check", str(photos)], str(folder), None)
    about = world.get(f"/api/p/{number}/data")["check"]
    kinds = {row["kind"]: place for place, row in enumerate(about["findings"])}
    assert about["state"] == "done" and "exact" in kinds and "unreadable" in kinds, kinds
    groups = world.get(f"/api/p/{number}/places", finding=str(kinds["exact"]))
    names = [row["id"] for row in world.get(f"/api/p/{number}/items", places=",".join(map(str, groups["places"])))]
    assert sorted(names) == ["green/000.png", "green/copy.png"] and groups["groups"] == [0, 0]
    assert len(world.get(f"/api/p/{number}/places", finding=str(kinds["unreadable"]))["places"]) == 1
    assert world.client.get(f"/api/p/{number}/places", params={"finding": "99"}).status_code == 422
    assert world.client.get(f"/api/p/{number}/places", params={"finding": "-1"}).status_code == 422
    assert world.post(f"/api/p/{number}/clean", use=True)["clean"] == str(out / "clean.csv")
    assert "broken" not in (out / "clean.csv").read_text("utf-8-sig")
    assert {path: path.read_bytes() for path in photos.rglob("*.png")} == before
    assert world.post(f"/api/p/{number}/clean", use=False)["clean"] is None


# ── jobs and runs ───────────────────────────────────────────────────────────────────────────────────────


def until(look, seconds=60.0):
    """What `look` returns once it is true."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)
    return found


def test_a_job_is_a_command_of_its_own(world):
    number = world.studio.jobs.begin(world.id, ["show", "tasks"], as_json=False)
    done = until(lambda: (row := world.studio.jobs.one(number))["state"] not in ("begins", "works") and row)
    assert done["state"] == "done" and any("classify" in line for line in jobs.printed(done["folder"]))
    store = Store(world.studio.store.path)
    again = jobs.Jobs(store, world.studio.home / "jobs", world.studio.cwd)  # a server that was started again
    assert again.one(number)["state"] == "done" and again.one(number)["code"] == 0
    store.close()


def test_a_job_that_fails_says_why_in_the_readers_language(world):
    with speaking("zh"):
        number = world.studio.jobs.begin(world.id, ["check", "no-such-folder"])
    done = until(lambda: (row := world.studio.jobs.one(number))["state"] not in ("begins", "works") and row)
    assert done["state"] == "failed" and "no-such-folder" in done["error"] and "没有" in done["error"]


def test_a_job_whose_keeper_is_gone_is_lost(world, tmp_path):
    (tmp_path / keeper.LOG).write_text("")
    number = world.studio.store.job(world.id, "train", ["train", "x"], str(tmp_path), None)
    assert world.studio.jobs.one(number)["state"] == "lost" and not world.studio.jobs.stop(number)


def test_training_is_begun_as_one_would_type_it(world, monkeypatch):
    begun = {}
    monkeypatch.setattr(world.studio.jobs, "begin", lambda project, words, run=None, as_json=True: begun.update(words=words, run=run) or 1)
    made = world.post(f"/api/p/{world.id}/train", task="classify", preset="fast", budget="2min", seed=3, settings=["flip=no"])
    where = str(Path("runs") / "photos-1")
    assert begun["words"] == ["train", str(world.photos), "--task", "classify", "--preset", "fast", "--budget", "2min", "--seed", "3",
                              "flip=no", "--out", where]  # fmt: skip
    assert made["run"] == "photos-1" and begun["run"] == world.studio.runs / "photos-1"
    for bad in ("--out=/tmp", "-x", "nothing"):
        assert world.client.post(f"/api/p/{world.id}/train", json={"settings": [bad]}).status_code == 422


@pytest.fixture
def run(world):
    """A run folder with events, as `omma train` writes them."""
    path = world.studio.runs / "done-1"
    path.mkdir(parents=True, exist_ok=True)
    recipe = {"recipe": {"task": "classify", "model": "quick", "budget": "2min"}, "facts": {"where": str(world.photos), "total": 20}}
    (path / "recipe.json").write_text(json.dumps(recipe))
    score = {"accuracy": {"value": 0.9, "low": 0.8, "high": 0.95, "n": 18}}
    rows = [{"event": "start", "step": 0, "total": 20}, {"event": "step", "step": 10, "loss": 0.5, "seconds": 3.0},
            {"event": "bundle", "step": 20, "scores": score, "seconds": 9.5}]  # fmt: skip
    (path / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_runs_of_the_command_line_are_there_too(world, run):
    row = next(row for row in world.get(f"/api/p/{world.id}/runs")["runs"] if row["name"] == "done-1")
    assert row["state"] == "done" and row["score"]["value"] == 0.9 and row["seconds"] == 9.5 and row["mine"] and row["metric"] == "accuracy"
    for name in ("..", "../photos", "no-such-run", "%2e%2e"):
        assert world.client.get(f"/api/runs/{name}/summary").status_code in (404, 422)
    with pytest.raises(OmmaError):
        runs.one(world.studio.runs, "../photos")


def test_events_are_streamed_as_they_are_written(world, run):
    seen, ids = [], []
    with world.client.stream("GET", "/api/runs/done-1/stream") as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        for line in reply.iter_lines():
            if line.startswith("id:"):
                ids.append(line[4:])
            if line.startswith("data: ["):
                seen += json.loads(line[6:])
                if len(seen) == 3:
                    with (run / "events.jsonl").open("a") as file:
                        file.write('{"event": "step", "step": 30}\n{"event": "torn')
                if len(seen) == 4:
                    break
    assert [row["step"] for row in seen] == [0, 10, 20, 30]
    with world.client.stream("GET", "/api/runs/done-1/stream", headers={"last-event-id": ids[0]}) as reply:
        line = next(line for line in reply.iter_lines() if line.startswith("data: ["))
    assert [row["step"] for row in json.loads(line[6:])] == [30], "a reader who comes back is told the rest"


@pytest.mark.slow
def test_watching_costs_next_to_nothing(world, run):
    """Three pages follow a run that writes five rows a second: under 5 % of one core, told in seconds of computing, not of waiting."""
    over = threading.Event()

    def follow():
        with world.client.stream("GET", "/api/runs/done-1/stream") as reply:
            for _ in reply.iter_lines():
                if over.is_set():
                    return

    readers = [threading.Thread(target=follow, daemon=True) for _ in range(3)]
    for reader in readers:
        reader.start()
    time.sleep(2)
    began, worked = time.monotonic(), time.process_time()
    with (run / "events.jsonl").open("a") as file:
        for step in range(75):
            file.write(json.dumps({"event": "step", "step": 100 + step, "loss": 0.5, "seconds": 1.0}) + "\n")
            file.flush()
            time.sleep(0.2)
    share = (time.process_time() - worked) / (time.monotonic() - began)
    over.set()
    print(f"{share:.2%} of a core, readers included")
    assert share < 0.05


def test_a_run_at_work_is_seen_by_its_lock(tmp_path):
    assert not runs.at_work(tmp_path)
    (tmp_path / "lock").write_text("999999999")
    assert not runs.at_work(tmp_path), "a number that is nobody's"
    import fcntl

    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(str(os.getpid()))
        file.flush()
        assert runs.at_work(tmp_path)
    assert not runs.at_work(tmp_path), "its number lives on, but it holds nothing"


def test_it_ends_although_somebody_still_listens(tmp_path):
    running = Running(tmp_path / "home", tmp_path)
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "events.jsonl").write_text('{"event": "start", "step": 0}\n')
    heard = threading.Event()

    def listen():
        with httpx.stream("GET", f"{running.url}/api/runs/a/stream", headers={"authorization": f"Bearer {TOKEN}"}, timeout=30) as reply:
            for _ in reply.iter_lines():
                heard.set()

    reader = threading.Thread(target=listen)
    reader.start()
    assert heard.wait(20)
    began = time.monotonic()
    running.close()
    reader.join(10)
    assert not reader.is_alive() and time.monotonic() - began < 9


# ── models: try and out ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def model(world):
    """A run with a model that was trained for a second."""
    from omma.formats.format import open_data

    photos = trained.write_photos(world.studio.cwd / "colours", 6)
    run = world.studio.runs / "colours-1"
    trained.write_run(run, trained.parts(open_data(str(photos))), str(photos))
    (run / "recipe.json").write_text(json.dumps({"recipe": {"task": "classify"}, "facts": {"where": str(photos)}}))
    return run, photos


def test_an_answer_is_that_of_predict_drawn_on_the_picture(world, model):
    from omma.verbs.predict import predict

    run, photos = model
    picture = photos / "green" / "003.png"
    reply = world.client.post("/api/runs/colours-1/answer", params={"name": "x.png"}, content=picture.read_bytes())
    assert reply.status_code == 200, reply.text
    found, (row,) = reply.json(), list(predict(run, picture))
    assert found["json"]["label"] == row["label"] == "green"
    assert found["json"]["probabilities"] == pytest.approx(row["probabilities"], abs=1e-5)
    assert found["drawn"].startswith("data:image/") and "green" in found["text"]
    about = world.get("/api/runs/colours-1/about")
    assert about["asks"] == "picture" and about["threshold"] == 0.4
    store = io.BytesIO()
    Image.new("RGB", (12, 10), (105, 100, 100)).save(store, "PNG")
    for level, unsure in (("1", True), ("0", None)):
        reply = world.client.post("/api/runs/colours-1/answer", params={"threshold": level}, content=store.getvalue())
        assert reply.json()["json"].get("unsure") is unsure
    assert world.client.post("/api/runs/colours-1/answer", params={"threshold": "much"}, content=store.getvalue()).status_code == 422


def test_why_is_explained_and_proven(world, model):
    picture = (model[1] / "green" / "003.png").read_bytes()
    reply = world.client.post("/api/runs/colours-1/why", params={"name": "../../x.png"}, content=picture)
    assert reply.status_code == 200, reply.text
    assert reply.json()["drawn"].startswith("data:image/") and len(reply.json()["lines"]) == 2


@pytest.mark.parametrize("body", [b"", b"no picture", b"\x89PNG\r\n\x1a\n broken"])
def test_what_cannot_be_read_is_one_line(world, model, body):
    for what in ("answer", "why"):
        reply = world.client.post(f"/api/runs/colours-1/{what}", content=body)
        assert reply.status_code == 422 and "\n" not in reply.json()["error"]
    assert world.client.post("/api/runs/colours-1/draw", json={"seed": 1}).status_code == 422, "it draws no pictures"


def test_a_task_that_a_test_defines_needs_no_page(world, model, monkeypatch):
    """What answers is asked for frames and answers; what it says is drawn by itself and told in its own words."""
    views = SimpleNamespace(fit="squash", channels=3, frames=lambda picture: picture[None], spot=lambda *size: None)
    opened = SimpleNamespace(task=SimpleNamespace(asks="picture"), views=views)
    engine = SimpleNamespace(answers=lambda frames, point, spots: [Clock(len(frames))], close=lambda: None)
    monkeypatch.setattr(world.studio.models, "get", lambda run: (opened, engine))
    found = world.client.post("/api/runs/colours-1/answer", content=(model[1] / "green" / "003.png").read_bytes()).json()
    assert found["json"] == {"hour": 1} and found["drawn"].startswith("data:image/png")


def test_taking_a_model_elsewhere_is_what_one_would_type(world, model, monkeypatch):
    begun = []
    monkeypatch.setattr(world.studio.jobs, "begin", lambda project, words, run=None, as_json=True: begun.append((words, as_json)) or 7)
    base = f"/api/p/{world.id}/out/colours-1"
    world.post(f"{base}/export", to="onnx")
    world.post(f"{base}/compress", drop=1)
    (export, told), (compress, _) = begun
    run = str(Path("runs") / "colours-1")
    assert export[:5] == ["export", run, "--to", "onnx", "--out"] and export[-2:] == ["--data", str(model[1])] and not told
    assert compress[:4] == ["compress", run, "--max-drop", "1.0"] and compress[-2:] == ["--data", str(model[1])]
    assert world.client.post(f"{base}/export", json={"to": "nothing"}).status_code == 422
    assert world.client.post(f"{base}/compress", json={"drop": "much"}).status_code == 422
    assert world.get(base)["serve"].startswith(f"omma serve {run}")


def test_the_report_may_stand_in_our_frame_and_nothing_else(world, model):
    path = model[0] / "report.html"
    path.write_text("<!doctype html><p>a report</p>")
    reply = world.client.get("/api/runs/colours-1/report")
    assert reply.headers["x-frame-options"] == "SAMEORIGIN" and "a report" in reply.text
    assert world.client.get("/").headers["x-frame-options"] == "DENY"


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────


def test_every_word_of_the_pages_is_there_and_used():
    text = "\n".join(path.read_text("utf-8") for path in STATIC.rglob("*.js"))
    said = set(re.findall(r'\bt\("(\w+)"', text)) | set(re.findall(r'"(first_picture|last_picture|with_labels\w*)"', text))
    patterns = {re.sub(r"\$\{[^}]*\}", r"\\w+", one) for one in re.findall(r"\bt\(`([^`]*)`", text)}
    known = {key.removeprefix("page.") for key in room("en", "studio") if key.startswith("page.")}
    assert said <= known, f"no sentence: {sorted(said - known)}"
    spare = [key for key in known - said if not any(re.fullmatch(pattern, key) for pattern in patterns)]
    assert not spare, f"nobody says: {spare}"


def test_no_page_makes_markup_of_text():
    """Names of files and classes are text: nothing is built from strings, so nothing in them can run."""
    for path in STATIC.rglob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", path.read_text("utf-8")), (
            path.name
        )


def test_no_page_knows_a_task_by_name():
    tasks = "|".join(catalog.names("tasks"))
    for path in STATIC.rglob("*.js"):
        assert not re.search(rf"[\"'`]({tasks})[\"'`]", path.read_text("utf-8")), path.name


@pytest.mark.parametrize("tongue", LANGUAGES)
def test_every_task_is_told_in_both_languages(world, tongue):
    reply = world.client.get(f"/api/p/{world.id}/tasks", headers={"x-omma-language": tongue}).json()
    assert reply["proposed"] == "classify" == reply["tasks"][0]["name"]
    assert {row["name"] for row in reply["tasks"]} == set(catalog.names("tasks"))
    if tongue == "zh":
        assert all(re.search(r"[\u4e00-\u9fff]", row["text"]) for row in reply["tasks"])


def test_the_sentences_come_in_the_language_of_the_page(world):
    errors = {tongue: world.client.get("/api/jobs/4711", headers={"x-omma-language": tongue}).json()["error"] for tongue in LANGUAGES}
    assert errors == {"en": room("en", "studio")["no_job"], "zh": room("zh", "studio")["no_job"]}
    assert world.get("/api/words/zh")["nav_train"] == "训练" and world.client.get("/api/words/xx").status_code == 404


def test_tables_of_pages_have_no_address_twice():
    rows = [(method, path) for page in (projects, data_page, train) for method, path, _ in page.TABLE]
    assert len(rows) == len(set(rows))

"""The service over real HTTP: right answers, closed doors, an end to every queue."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from omma.answers.label import Label
from omma.data.views import Views
from omma.errors import OmmaError
from omma.serving.app import Service
from omma.serving.batcher import Batcher, Expired, Full
from omma.serving.desk import Desk, Model
from omma.serving.server import bind, server_for
from omma.tasks.classify import Classify
from omma.verbs.serve import guarded, serve

httpx = pytest.importorskip("httpx")
TOKEN = "a-token-for-tests-0123456789"
NAMES = ["red", "green", "blue", "</script><script>document.title='owned'</script>"]


class Fingerprint:
    """A runtime whose answer is a function of its very input, so that a swapped answer shows."""

    name = "fingerprint"

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.sizes, self.gate = seconds, [], threading.Event()
        self.gate.set()

    def run(self, frames):
        self.gate.wait(10)
        time.sleep(self.seconds)
        self.sizes.append(len(frames))
        share = frames.reshape(len(frames), -1, 3).mean(1) / 255
        share = np.concatenate([share, np.full((len(frames), 1), 0.01)], 1)
        share = (share / share.sum(1, keepdims=True)).astype("float32")
        return {"label": share.argmax(1), "probability": share.max(1), "probabilities": share}


def png(colour: tuple[int, int, int], size: int = 8) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(out, "PNG")
    return out.getvalue()


def truth(colour: tuple[int, int, int]) -> dict:
    share = np.array([*colour, 2.55]) / 255
    share = (share / share.sum()).astype("float32")
    return Label(NAMES[int(share.argmax())], NAMES, share).json()


class Running:
    """A service in a thread on a free port."""

    def __init__(self, *, token=TOKEN, seconds=0.0, places=64, most=16, deadline=10.0, max_body=None, patience=None):
        self.runtime = Fingerprint(seconds)
        bundle = SimpleNamespace(views=Views(8), task=Classify(NAMES), point={"threshold": 0.4}, names=NAMES)
        model = Model(bundle, self.runtime, max_pixels=1_000_000)
        self.batcher = Batcher(model.rows, most=most, limit=places)
        desk = Desk(model, self.batcher, places=places, seconds=deadline)
        self.service = Service(desk, {"task": "classify", "model": "tiny", "names": NAMES, "runtime": "fingerprint"})
        sock = bind("127.0.0.1", 0)
        self.port = sock.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.guard = guarded(self.service, "127.0.0.1", self.port, token)
        if max_body:
            self.guard.max_body = max_body
        if patience:
            self.guard.seconds = patience
        self.server = server_for(self.guard)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [sock]})
        self.thread.start()
        while not self.server.started:
            time.sleep(0.005)
        self.client = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20, trust_env=False)

    def close(self):
        self.runtime.gate.set()
        self.client.close()
        self.server.should_exit = True
        self.thread.join(12)
        assert not self.thread.is_alive()
        self.service.desk.close()

    def raw(self, request: bytes, seconds: float = 5.0) -> bytes:
        """Whatever comes back for these very bytes."""
        with socket.create_connection(("127.0.0.1", self.port), seconds) as sock:
            sock.sendall(request)
            answer = b""
            try:
                while chunk := sock.recv(65536):
                    answer += chunk
                    if b"\r\n\r\n" in answer:
                        break
            except (TimeoutError, ConnectionResetError):
                pass
            return answer


@pytest.fixture(scope="module")
def service():
    running = Running()
    yield running
    running.close()


@pytest.fixture
def own():
    """Make services of one's own; they are closed afterwards."""
    made = []

    def make(**settings):
        made.append(Running(**settings))
        return made[-1]

    yield make
    for running in made:
        running.close()


def test_a_picture_gets_its_answer(service):
    reply = service.client.post("/predict", content=png((200, 30, 20)))
    assert reply.status_code == 200
    assert reply.json() == truth((200, 30, 20))
    form = service.client.post("/predict", files={"picture": ("图.png", png((20, 30, 200)))})
    assert form.json() == truth((20, 30, 200))


def test_the_operating_point_is_read(service):
    assert service.client.post("/predict", content=png((100, 100, 100))).json()["unsure"] is True
    assert "unsure" not in service.client.post("/predict", content=png((200, 10, 10))).json()


def test_every_route_wants_the_token(service):
    from omma.serving.app import create

    routes = [(path, method.upper()) for path, methods in create(service.service).openapi()["paths"].items() for method in methods]
    routes += [("/", "GET"), ("/docs", "GET"), ("/openapi.json", "GET"), ("/nowhere", "GET"), ("/predict", "OPTIONS"), ("/", "TRACE")]
    assert len(routes) >= 8
    with httpx.Client(base_url=service.url, trust_env=False) as stranger:
        for path, method in routes:
            for headers in (
                {},
                {"Authorization": "Bearer wrong"},
                {"Authorization": f"Basic {TOKEN}"},
                {"Cookie": f"{service.guard.cookie}=x"},
            ):
                reply = stranger.request(method, path, headers=headers)
                assert reply.status_code == (200 if path == "/health" else 401), (path, method, headers)
                assert TOKEN not in reply.text
        assert stranger.get("/predict", params={"token": TOKEN}).status_code == 401  # in an address only for the page
        assert stranger.get("/", params={"token": "x" * 40}).status_code == 401


def test_the_address_with_the_token_becomes_a_cookie(service):
    with httpx.Client(base_url=service.url, trust_env=False) as reader:
        reply = reader.get("/", params={"token": TOKEN})
        assert reply.status_code == 303 and reply.headers["location"] == "/"
        cookie = reply.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
        assert reader.get("/").status_code == 200
        assert reader.post("/predict", content=png((1, 200, 3))).json() == truth((1, 200, 3))


def test_without_a_token_nobody_is_asked(own):
    running = own(token=None)
    assert httpx.post(f"{running.url}/predict", content=png((9, 8, 200)), trust_env=False).json() == truth((9, 8, 200))


HOSTS = [
    "", "evil.com", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.nip.io:{port}", "localhost.:{port}", "evil.com:{port}",
    "127.0.0.1:{port}.evil.com", "127.0.0.1:{port}@evil.com", "[::ffff:127.0.0.1]:{port}",
    "0.0.0.0:{port}", "2130706433:{port}", "127.0.0.1:{port},evil.com",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_other_hosts_are_refused_even_for_health(service, host):
    for path in ("/health", "/", "/predict"):
        line = f"GET {path} HTTP/1.1\r\nHost: {host.format(port=service.port)}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        status = int(service.raw(line.encode()).split()[1])
        assert status in (400, 421), (host, path)


def test_odd_request_lines_are_refused(service):
    good = f"Host: 127.0.0.1:{service.port}\r\nAuthorization: Bearer {TOKEN}\r\n"
    twice = f"GET /health HTTP/1.1\r\n{good}Host: evil.com\r\n\r\n"
    absolute = f"GET http://evil.com/health HTTP/1.1\r\n{good}\r\n"
    smuggle = f"POST /predict HTTP/1.1\r\n{good}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    for text in (twice, absolute, "GET /health HTTP/1.1\r\n\r\n", "nonsense\r\n\r\n"):
        assert int(service.raw(text.encode()).split()[1]) in (400, 421), text
    assert service.raw(smuggle.encode()).split()[1] in (b"400", b"413")
    assert service.client.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
@pytest.mark.parametrize(
    "line",
    ["Origin http://evil.com", "Origin null", "Origin http://a.localhost:{port}", "Origin https://127.0.0.1:{port}",
     "Sec-Fetch-Site cross-site", "Sec-Fetch-Site same-site"],
)  # fmt: skip
def test_pages_of_other_sites_are_refused(service, method, line):
    key, value = line.format(port=service.port).split()
    headers = {key: value}
    reply = service.client.request(method, "/predict", headers=headers)
    assert reply.status_code == 403
    assert not any(key.lower().startswith("access-control") for key in reply.headers)


def test_our_own_page_may_ask(service):
    headers = {"Origin": service.url, "Sec-Fetch-Site": "same-origin"}
    assert service.client.post("/predict", content=png((1, 2, 200)), headers=headers).status_code == 200


@pytest.mark.parametrize("body", [b"", b"not a picture", png((1, 2, 3))[:40], b"\x89PNG\r\n\x1a\n" + b"\0" * 50, b"<svg onload='x'/>"])
def test_a_bad_picture_is_named_without_a_path(service, body):
    reply = service.client.post("/predict", content=body)
    assert reply.status_code in (400, 422)
    assert set(reply.json()) == {"error"}
    for leak in ("/usr", "/home", "/tmp", "/work", "Traceback", "site-packages", ".py", os.path.expanduser("~")):
        assert leak not in reply.json()["error"], reply.json()


def test_too_many_pixels_are_refused_from_the_header(service):
    assert service.client.post("/predict", content=png((0, 0, 0), 1001)).status_code == 422


def test_forms_with_no_file_or_several_are_refused(service):
    several = [("picture", ("a.png", png((1, 2, 3)))), ("picture", ("b.png", png((1, 2, 3))))]
    assert service.client.post("/predict", files=several).status_code == 400
    assert service.client.post("/predict", data={"picture": "x"}, files={}).status_code in (400, 422)
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    assert service.client.post("/predict", content=b"--x\r\nno", headers=broken).status_code == 400


def test_a_large_body_is_refused_before_it_is_read(own):
    running = own(max_body=10_000)
    assert running.client.post("/predict", content=b"x" * 10_001).status_code == 413
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\nAuthorization: Bearer {TOKEN}\r\n"
    began = time.monotonic()
    assert b" 413 " in running.raw(f"{head}Content-Length: 10000000000\r\n\r\n".encode())
    chunked = b"Transfer-Encoding: chunked\r\n\r\n" + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 4
    assert b" 413 " in running.raw(head.encode() + chunked)
    assert b" 415 " in running.raw(f"{head}Content-Encoding: gzip\r\nContent-Length: 10\r\n\r\n".encode())
    assert time.monotonic() - began < 1
    assert running.guard.held == 0
    assert running.client.post("/predict", content=png((200, 2, 3))).status_code == 200


def test_a_slow_body_is_ended(own):
    running = own(patience=0.3)
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 100\r\n\r\nabc"
    began = time.monotonic()
    assert b" 408 " in running.raw(head.encode())
    assert time.monotonic() - began < 2 and running.guard.held == 0


def test_a_slow_header_is_ended(own, monkeypatch):
    from omma.serving import server

    monkeypatch.setattr(server, "HEADER_SECONDS", 0.3)
    running = own()
    with socket.create_connection(("127.0.0.1", running.port), 5) as sock:
        began = time.monotonic()
        try:
            while time.monotonic() - began < 4:
                sock.sendall(b"G")
                sock.settimeout(0.1)
                try:
                    if sock.recv(1) == b"":
                        break
                except TimeoutError:
                    continue
        except OSError:
            pass
        assert time.monotonic() - began < 2


def test_batches_form_and_no_answer_is_swapped(own):
    running = own(seconds=0.01)
    chance = np.random.default_rng(0)
    colours = [tuple(int(v) for v in chance.integers(0, 256, 3)) for _ in range(300)]
    with ThreadPoolExecutor(24) as pool:
        replies = list(pool.map(lambda c: running.client.post("/predict", content=png(c)).json(), colours))
    for colour, reply in zip(colours, replies, strict=True):
        reply.pop("unsure", None)
        assert reply == truth(colour)
    assert max(running.runtime.sizes) > 1
    assert sum(running.runtime.sizes) == 300


def test_more_than_there_are_places_is_told_to_come_back(own):
    running = own(places=4, most=2)
    running.runtime.gate.clear()

    async def flood():
        async with httpx.AsyncClient(base_url=running.url, headers=running.client.headers, timeout=20, trust_env=False) as client:

            async def ask():
                began = time.monotonic()
                reply = await client.post("/predict", content=png((200, 1, 1)))
                return reply, time.monotonic() - began

            asked = [asyncio.ensure_future(ask()) for _ in range(20)]
            while sum(task.done() for task in asked) < 16:
                await asyncio.sleep(0.01)
            running.runtime.gate.set()
            return await asyncio.gather(*asked)

    replies = asyncio.run(flood())
    refused = [(reply, seconds) for reply, seconds in replies if reply.status_code == 429]
    assert len(refused) == 16
    assert all(int(reply.headers["retry-after"]) >= 1 for reply, _ in refused)
    answers = [reply.json() for reply, _ in replies if reply.status_code == 200]
    assert answers == [truth((200, 1, 1))] * 4
    text = running.client.get("/metrics").text
    assert 'omma_refused_total{status="429"}' in text or 'omma_requests_total{status="429"}' in text


def test_an_expired_request_is_never_computed(own):
    running = own(deadline=0.2, most=1)
    running.runtime.gate.clear()
    with ThreadPoolExecutor(3) as pool:
        replies = list(pool.map(lambda _: running.client.post("/predict", content=png((1, 1, 200))), range(3)))
    assert [reply.status_code for reply in replies] == [503] * 3
    running.runtime.gate.set()
    time.sleep(0.2)
    assert sum(running.runtime.sizes) <= 1  # the one that was already being computed
    assert running.client.post("/predict", content=png((1, 1, 200))).status_code == 200


def test_whoever_leaves_is_not_computed(own):
    running = own(most=1)
    running.runtime.gate.clear()
    picture = png((5, 5, 200))
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += f"Content-Length: {len(picture)}\r\n\r\n"
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", running.port), 5) as sock:
            sock.sendall(head.encode() + picture)
            time.sleep(0.02)
    end = time.monotonic() + 5
    while running.service.desk.inside and time.monotonic() < end:
        time.sleep(0.02)
    assert running.service.desk.inside == 0
    running.runtime.gate.set()
    assert running.client.post("/predict", content=picture).status_code == 200
    assert sum(running.runtime.sizes) <= 2


def test_stopping_answers_what_is_in_work(own):
    running = own()
    running.runtime.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(running.client.post, "/predict", content=png((200, 9, 9)))
        while not running.service.desk.inside:
            time.sleep(0.01)
        running.server.should_exit = True
        time.sleep(0.2)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{running.url}/health", trust_env=False)
        running.runtime.gate.set()
        assert asked.result().json() == truth((200, 9, 9))


def test_a_fault_of_ours_says_nothing_of_the_inside(own, capfd):
    running = own()

    def broken(frames):
        raise RuntimeError("/secret/path is broken")

    running.runtime.run = broken
    reply = running.client.post("/predict", content=png((1, 2, 3)))
    assert reply.status_code == 500 and "secret" not in reply.text
    assert "secret" not in capfd.readouterr().err
    del running.runtime.run
    assert running.client.post("/predict", content=png((200, 2, 3))).status_code == 200


def test_the_interface_is_described_without_fetching_anything(service):
    about = service.client.get("/openapi.json").json()
    assert "/predict" in about["paths"]
    page = service.client.get("/docs").text
    assert "POST /predict" in page
    for html in (page, service.client.get("/").text):
        for sign in ('src="http', 'href="http', "//cdn", "@import", "url("):
            assert sign not in html
    reply = service.client.get("/")
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert service.client.get("/nowhere").json() == {"error": "Not Found"}
    assert service.client.get("/predict").status_code == 405


def test_metrics_count(service):
    before = service.client.get("/metrics").text
    service.client.post("/predict", content=png((200, 2, 3)))
    after = service.client.get("/metrics").text

    def computed(text):
        return float(next(line for line in text.splitlines() if line.startswith("omma_pictures_total")).split()[1])

    assert computed(after) == computed(before) + 1
    assert 'omma_request_seconds_bucket{le="+Inf"}' in after


def test_the_page_in_a_real_browser(service, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    if not os.path.exists("/usr/bin/chromium"):
        pytest.skip("no chromium here")
    picture = tmp_path / "红.png"
    picture.write_bytes(png((230, 20, 10), 64))
    with playwright.sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        outside, complaints = [], []
        page.on("request", lambda r: None if r.url.startswith((service.url, "blob:", "data:")) else outside.append(r.url))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.goto(f"{service.url}/?token={TOKEN}")
        assert "token" not in page.url
        page.set_input_files("#file", str(picture))
        page.locator("#says", has_text="red").wait_for()
        assert page.title() == "omma"  # the class name that is a script did not run
        page.click("#tongue")
        assert page.evaluate("document.documentElement.lang") == "zh"
        page.set_input_files("#file", {"name": "x.png", "mimeType": "image/png", "buffer": b"broken"})
        page.wait_for_selector("#says.bad")
        browser.close()
    assert not outside
    assert not [text for text in complaints if "422" not in text]


def test_a_taken_port_is_one_clear_line(tmp_path):
    with bind("127.0.0.1", 0) as sock, pytest.raises(OmmaError) as told:
        serve(tmp_path, port=sock.getsockname()[1])
    assert "\n" not in str(told.value) and "--port" in str(told.value)


@pytest.mark.parametrize(
    "wish", [{"host": "0.0.0.0"}, {"host": "192.168.1.5"}, {"token": "short"}, {"host": "0.0.0.0", "expose": True, "no_token": True}]
)
def test_unsafe_wishes_are_refused(tmp_path, wish):
    with pytest.raises(OmmaError):
        serve(tmp_path, port=0, **wish)


def test_the_queue_forgets_those_who_left():
    gate = threading.Event()
    batcher = Batcher(lambda frames: [gate.wait(5) for _ in frames], most=1, limit=2)
    late = time.monotonic() + 60
    first = batcher.submit(np.zeros((1, 1, 3)), late)
    while not first.running():
        time.sleep(0.005)
    waiting = [batcher.submit(np.zeros((1, 1, 3)), late) for _ in range(2)]
    with pytest.raises(Full):
        batcher.submit(np.zeros((1, 1, 3)), late)
    waiting[0].cancel()
    expired = batcher.submit(np.zeros((1, 1, 3)), time.monotonic() - 1)
    gate.set()
    with pytest.raises(Expired):
        expired.result(5)
    assert first.result(5) and waiting[1].result(5)
    batcher.close()
    assert batcher.computed == 2 and batcher.skipped >= 1


def test_the_service_says_what_the_model_says(tmp_path):
    """A real network, its runtime and its operating point; a JPEG through the same decoder and views."""
    import torch
    from PIL import Image

    from omma import bundle as bundles
    from omma.bundle import Bundle
    from omma.data.decode import decode
    from omma.models.making import build
    from omma.runtimes.choose import named

    torch.manual_seed(0)
    net = build("quick", channels=3, size=16, outputs=3, widths=(8, 8)).eval()
    card = {"model": "quick", "model_settings": {"widths": [8, 8], "depth": 2}}
    views = Views(16, 3, "pad", (0.5,) * 3, (0.25,) * 3, "flip")
    folder = Bundle(Classify(["a", "b", "c"]), {"net": net}, views, {"temperature": 0.3, "threshold": 0.99}, card).save(tmp_path / "b")
    opened = bundles.open(folder)
    model = Model(opened, named("eager", opened))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 44, 3), dtype=np.uint8)).save(tmp_path / "p.jpg")
    blob = (tmp_path / "p.jpg").read_bytes()
    frames, place = model.frames(blob)
    frame = views.frame(decode(tmp_path / "p.jpg"))
    assert np.array_equal(frames, frame[None])
    answer = Label.from_json(model.tell(model.rows(np.stack([frame, frame[::-1]]))[:1], place))
    with torch.no_grad():
        said = opened.task.decode(opened.pipeline()(torch.from_numpy(frame)[None]))[0].settle(opened.point)
    assert answer.same(said, 1e-5) and answer.unsure and said.unsure


@pytest.mark.parametrize(("runtime", "while_serving"), [("ort", 1), ("openvino", 1), ("eager", 3)])
def test_torch_leaves_the_cores_to_whatever_computes(runtime, while_serving):
    import torch

    from omma.verbs.serve import torch_threads

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with torch_threads(runtime):
            assert torch.get_num_threads() == while_serving
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_sigterm_ends_the_command_with_exit_code_0(tmp_path):
    """The command itself in a process: it prints where it is, answers, and stops when told to."""
    import re
    import signal
    import subprocess
    import sys

    import torch

    from omma.bundle import Bundle
    from omma.models.making import build

    net = build("quick", channels=3, size=16, outputs=2, widths=(8, 8)).eval()
    card = {"model": "quick", "model_settings": {"widths": [8, 8], "depth": 2}}
    folder = Bundle(Classify(["a", "b"]), {"net": net}, Views(16), {}, card).save(tmp_path / "b")
    assert torch.isfinite(net.head.weight).all()
    env = os.environ | {"OMMA_TOKEN": TOKEN, "OMMA_LANG": "en", "OMMA_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "omma", "serve", str(folder), "--port", "0", "--json"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        url = next(found[0] for line in server.stderr if (found := re.search(r"http://127\.0\.0\.1:\d+/", line)))
        reply = httpx.post(f"{url}predict", content=png((1, 2, 3)), headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False)
        while reply.status_code == 503:
            time.sleep(0.1)
            reply = httpx.get(f"{url}health", trust_env=False)
        assert reply.status_code == 200
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        out, _ = server.communicate(timeout=30)
        assert server.returncode == 0 and time.monotonic() - began < 15
        assert json.loads(out)["pictures"] == 1
    finally:
        server.kill()
        server.wait()


def test_answers_do_not_wait_for_acknowledgements(service):
    """Nagle's delay would add 40 ms to every answer of a kept-open connection."""
    took = []
    for _ in range(20):
        began = time.perf_counter()
        service.client.get("/health")
        took.append(time.perf_counter() - began)
    assert sorted(took)[5] < 0.03

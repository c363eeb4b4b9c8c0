"""Sources by name: fetched from a server on this machine that breaks off, lies and refuses; verified; in place only when whole."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import re
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omma import catalog
from omma.data import sources as module
from omma.data.recast import TASK
from omma.data.sources import File, Source, fetch, sources
from omma.data.store import fetch as fetching
from omma.data.store.archive import digest
from omma.errors import DataError, OmmaError
from omma.formats.format import open_data
from omma.progress import Watch
from test_formats import cifar10


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`; notes every request; `breaks` bytes into an answer it hangs up, so often."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.breaks: list[int] = []
        self.ranges = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        if self.path not in self.server.files:
            return self.send_error(404)
        content = self.server.files[self.path]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cut = self.server.breaks.pop(0) if self.server.breaks else None
        self.wfile.write(content[start : None if cut is None else start + cut])
        return None


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("OMMA_HOME", str(tmp_path / "家"))
    monkeypatch.setenv("OMMA_LANG", "en")
    for name in ("OMMA_MIRROR", "OMMA_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield made
        made.shutdown()


def content(classes: tuple[str, ...] = ("cat", "dog")) -> bytes:
    """A tar.gz of class folders, large enough to break off in the middle."""
    file = io.BytesIO()
    noise = np.random.default_rng(0)
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name in classes:
            for i in range(3):
                picture = io.BytesIO()
                Image.fromarray(noise.integers(0, 256, (50, 50, 3), np.uint8)).save(picture, "PNG")
                about = tarfile.TarInfo(f"set/{name}/{i}.png")
                about.size = len(picture.getvalue())
                tar.addfile(about, io.BytesIO(picture.getvalue()))
    return file.getvalue()


CONTENT = content()


@pytest.fixture
def source(server: Server, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A source `pets-small` on the server."""
    server.files["/set.tgz"] = CONTENT
    file = File("set.tgz", (f"{server.url}/set.tgz",), f"md5:{hashlib.md5(CONTENT).hexdigest()}", len(CONTENT))
    made = Source("pets-small", "two kinds", "classify", "folders", "CC0", "here", (file,))
    monkeypatch.setattr(module, "sources", lambda: {"pets-small": made})
    monkeypatch.setattr("omma.formats.format.sources", module.sources)
    return made


class Seen(Watch):
    def __init__(self) -> None:
        self.steps: list[tuple[str, float, float | None]] = []
        self.warnings: list[str] = []

    def step(self, what: str, done: float, total: float | None = None, **facts: object) -> None:
        self.steps.append((what, done, total))

    def warn(self, line: str) -> None:
        self.warnings.append(line)


def test_a_source_is_fetched_verified_and_kept(server: Server, source: Source) -> None:
    seen = Seen()
    data = open_data("pets-small", watch=seen)
    assert (data.names, len(data), data.source) == (["cat", "dog"], 6, "pets-small")
    assert seen.steps and any(what.endswith("set.tgz") and done == total == len(CONTENT) for what, done, total in seen.steps)
    open_data("pets-small")
    assert server.asked == [("/set.tgz", None)]
    assert not list(module.home().rglob("*.part")) and not list(module.home().rglob("*.tgz"))


def test_a_broken_connection_goes_on_where_it_was(server: Server, source: Source) -> None:
    server.breaks = [10_000, 5_000]
    assert len(open_data("pets-small")) == 6
    assert [wanted for _, wanted in server.asked] == [None, "bytes=10000-", "bytes=15000-"]


def test_a_part_left_behind_is_gone_on_with(server: Server, source: Source) -> None:
    part = module.home() / "downloads/pets-small/set.tgz.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:20_000])
    assert len(open_data("pets-small")) == 6
    assert server.asked == [("/set.tgz", "bytes=20000-")]


@pytest.mark.parametrize("size", [20_000, 10_000_000])
def test_a_part_of_something_else_is_thrown_away(server: Server, source: Source, size: int) -> None:
    part = module.home() / "downloads/pets-small/set.tgz.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(size))
    assert len(open_data("pets-small")) == 6


def test_a_server_without_ranges_starts_again(server: Server, source: Source) -> None:
    server.ranges, server.breaks = False, [10_000]
    assert len(open_data("pets-small")) == 6


def test_a_server_that_never_finishes_is_given_up(server: Server, source: Source) -> None:
    server.breaks = [10_000] + [0] * 20
    with pytest.raises(DataError) as caught:
        open_data("pets-small")
    message = str(caught.value)
    assert "broke off" in message and "by hand" in message and str(module.home() / "downloads/pets-small/set.tgz") in message
    assert len(server.asked) <= 2 + fetching.TRIES and not (module.home() / "sources/pets-small").exists()
    server.breaks = []
    assert len(open_data("pets-small")) == 6, "what had come is of use the next time"
    assert server.asked[-1] == ("/set.tgz", "bytes=10000-")


def test_a_wrong_file_is_never_used(server: Server, source: Source) -> None:
    server.files["/set.tgz"] = content(("evil", "other"))
    with pytest.raises(DataError, match=f"md5 is {hashlib.md5(server.files['/set.tgz']).hexdigest()}, published is"):
        open_data("pets-small")
    assert not [path for path in module.home().rglob("*") if path.is_file()]


def test_a_missing_file_and_an_unreachable_host_say_what_to_do(server: Server, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files.clear()
    with pytest.raises(DataError, match=r"404.*by hand.*OMMA_MIRROR"):
        open_data("pets-small")
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match=r"127\.0\.0\.1.*out of reach.*by hand.*set\.tgz"):
        open_data("pets-small")


def test_offline_asks_nobody(server: Server, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMMA_OFFLINE", "1")
    monkeypatch.setenv("OMMA_MIRROR", server.url)
    with pytest.raises(DataError, match=r"OMMA_OFFLINE.*by hand"):
        open_data("pets-small")
    assert not server.asked


def test_a_file_put_there_by_hand_counts(server: Server, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMMA_OFFLINE", "1")
    place = module.home() / "downloads/pets-small/set.tgz"
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    assert len(open_data("pets-small")) == 6 and not server.asked
    assert place.exists(), "what a person put there is theirs"


@pytest.mark.parametrize("place", ["set.tgz", "pets-small/set.tgz"])
@pytest.mark.parametrize("kind", ["folder", "server"])
def test_the_mirror_is_asked_first(server: Server, source: Source, kind: str, place: str, tmp_path: Path, monkeypatch) -> None:
    if kind == "folder":
        (tmp_path / "mirror" / place).parent.mkdir(parents=True)
        (tmp_path / "mirror" / place).write_bytes(CONTENT)
        monkeypatch.setenv("OMMA_MIRROR", str(tmp_path / "mirror"))
        assert len(open_data("pets-small")) == 6 and not server.asked
    else:
        server.files[f"/m/{place}"] = CONTENT
        monkeypatch.setenv("OMMA_MIRROR", f"{server.url}/m/")
        assert len(open_data("pets-small")) == 6 and ("/set.tgz", None) not in server.asked


def test_a_wrong_file_in_the_mirror_is_named_and_left_aside(server: Server, source: Source, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "set.tgz").write_bytes(b"something else")
    monkeypatch.setenv("OMMA_MIRROR", str(tmp_path))
    seen = Seen()
    assert len(open_data("pets-small", watch=seen)) == 6
    assert server.asked == [("/set.tgz", None)] and any("left aside" in line for line in seen.warnings)


@pytest.mark.parametrize("packing", ["tar.xz", "tar", "zip"])
def test_another_packing_counts_if_its_members_are_the_published_ones(server: Server, tmp_path: Path, monkeypatch, packing: str) -> None:
    folder = cifar10(tmp_path / "cifar-10-batches-py")
    checks = {path.name: f"md5:{digest(path, 'md5')}" for path in folder.iterdir()}
    file = File("cifar-10-python.tar.gz", (f"{server.url}/none",), "md5:0", 1)
    made = Source("cifar10", "ten", "classify", "cifar", "none", "here", (file,), checks)
    monkeypatch.setattr(module, "sources", lambda: {"cifar10": made})
    monkeypatch.setattr("omma.formats.format.sources", module.sources)
    monkeypatch.setenv("OMMA_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("OMMA_OFFLINE", "1")
    (tmp_path / "mirror").mkdir()
    path = tmp_path / "mirror" / f"cifar-10-python.{packing}"

    def pack() -> None:
        if packing == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                for member in folder.iterdir():
                    archive.write(member, f"x/{member.name}")
        else:
            with tarfile.open(path, "w:xz" if packing == "tar.xz" else "w") as tar:
                tar.add(folder, "x")

    pack()
    assert len(open_data("cifar10")) == 120
    good = (folder / "data_batch_4").read_bytes()
    (folder / "data_batch_4").write_bytes(good[:-10] + b"\0" + good[-9:])
    pack()
    monkeypatch.setenv("OMMA_HOME", str(tmp_path / "second"))
    seen = Seen()
    with pytest.raises(DataError, match="OMMA_OFFLINE"):
        open_data("cifar10", watch=seen)
    assert any("data_batch_4" in line or "md5" in line for line in seen.warnings)


def test_a_torn_home_is_made_anew(server: Server, source: Source) -> None:
    folder = fetch("pets-small")
    (folder / "source.json").unlink()
    for path in folder.rglob("*.png"):
        path.unlink()
    assert len(open_data("pets-small")) == 6


def test_only_http_is_spoken(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    for url in (f"file://{tmp_path}/x", "ftp://127.0.0.1/x"):
        with pytest.raises(DataError, match="http"):
            fetching.download(url, tmp_path / "y", hashlib.new("md5"), hashlib.md5(b"x").hexdigest(), Watch())


# the list itself


def test_every_source_says_where_its_checksum_was_published() -> None:
    lengths = {"md5": 32, "sha1": 40, "sha256": 64}
    table = sources()
    assert {"digits", "cifar10", "cifar100", "mnist", "fashion-mnist", "imagenette", "flowers102", "pets", "mit-indoor"} <= set(table)
    for source in table.values():
        assert source.published and source.licence and source.title and source.format in catalog.names("formats"), source.name
        assert source.task in TASK.values()
        for check in [*(file.check for file in source.files), *source.members.values()]:
            kind, _, value = check.partition(":")
            assert re.fullmatch(rf"[0-9a-f]{{{lengths[kind]}}}", value), (source.name, check)
        assert all(url.startswith(("https://", "http://")) for file in source.files for url in file.urls)


def test_the_checksums_are_those_torchvision_publishes() -> None:
    from torchvision import datasets

    ours = {(source.name, file.name): file.check.removeprefix("md5:") for source in sources().values() for file in source.files}
    theirs = {("cifar10", datasets.CIFAR10.filename): datasets.CIFAR10.tgz_md5}
    theirs[("cifar100", datasets.CIFAR100.filename)] = datasets.CIFAR100.tgz_md5
    theirs |= {("mnist", name): check for name, check in datasets.MNIST.resources}
    theirs |= {("fashion-mnist", name): check for name, check in datasets.FashionMNIST.resources}
    theirs |= {("flowers102", name): check for name, check in datasets.Flowers102._file_dict.values()}
    theirs |= {("pets", url.rpartition("/")[2]): check for url, check in datasets.OxfordIIITPet._RESOURCES}
    theirs[("imagenette", "imagenette2-160.tgz")] = datasets.Imagenette._ARCHIVES["160px"][1]
    assert theirs.items() <= ours.items()
    for name, their in {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}.items():
        listed = dict(map(tuple, their.train_list + their.test_list)) | {their.meta["filename"]: their.meta["md5"]}
        assert {key: check.removeprefix("md5:") for key, check in sources()[name].members.items()} == listed
    assert list(sources()["fashion-mnist"].names) == datasets.FashionMNIST.classes


def test_unknown_source() -> None:
    with pytest.raises(OmmaError, match="did you mean"):
        fetch("cifar11")


@pytest.mark.slow
def test_cifar_from_the_real_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = Path(os.environ.get("OMMA_MIRROR") or Path(__file__).parents[2] / "shared" / "datasets")
    if not (mirror / "cifar-10-python.tar.xz").is_file():
        pytest.skip(f"no cifar-10-python.tar.xz in {mirror}")
    monkeypatch.setenv("OMMA_HOME", str(tmp_path))
    monkeypatch.setenv("OMMA_MIRROR", str(mirror))
    monkeypatch.setenv("OMMA_OFFLINE", "1")
    data = open_data("cifar10")
    assert data.counts() == {"train": 50_000, "test": 10_000} and data.pixels.shape == (60_000, 32, 32, 3)
    assert data.pixels[:50_000].mean(axis=(0, 1, 2)) / 255 == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)

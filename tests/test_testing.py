"""What plug-ins are held to: the house's own tasks and models pass, and each broken promise is caught."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from omma import catalog
from omma.answers import _rle
from omma.answers.boxes import Boxes
from omma.answers.drawn import Drawn
from omma.answers.instances import Instances
from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.answers.mask import Mask
from omma.answers.numbers import Numbers
from omma.answers.picture import Picture
from omma.answers.rebuilt import Rebuilt
from omma.formats.format import open_data
from omma.models.network import Network
from omma.testing import check_format, check_model, check_task

NAMES = ["a", "b", "c"]


def masks() -> list[Mask]:
    """A block of each class on the ground of another."""
    pixels = np.zeros((6, 48, 64), np.uint8)
    for i in range(6):
        pixels[i] = i % 3
        pixels[i, 8 + 3 * i : 30 + 3 * i, 10 : 40 - 2 * i] = (i + 1) % 3
    return [Mask.of(one, NAMES) for one in pixels]


def outlined() -> list[Instances]:
    """The same blocks as objects, and one of the ground's class."""
    found = []
    for i, mask in enumerate(masks()):
        inner = mask.pixels == (i + 1) % 3
        corner = np.zeros((48, 64), bool)
        corner[2:8, 44:60] = True
        counts = [_rle.encode(inner), _rle.encode(corner)]
        boxes = np.array([_rle.box(text, 48, 64) for text in counts], float)
        found.append(Instances(64, 48, [NAMES[(i + 1) % 3], NAMES[i % 3]], boxes, None, None, counts))
    return found


def true_pictures() -> list[Drawn]:
    """Noise of three classes."""
    found = [Drawn.of(np.random.default_rng(i).integers(0, 256, (16, 16, 3), np.uint8)) for i in range(6)]
    for i, one in enumerate(found):
        one.label = NAMES[i % 3]
    return found


TRUTHS = {
    "classify": [Label(name) for name in "abcabc"],
    "multilabel": [Labels(tuple(present)) for present in ("a", "ab", "", "c", "bc", "abc")],
    "segment": masks(),
    "detect": [Boxes(64, 48, one.labels, one.boxes) for one in outlined()],
    "instances": outlined(),
    "restore": [Picture.of(np.random.default_rng(i).integers(0, 256, (64, 64, 3), np.uint8)) for i in range(6)],
    "generate": true_pictures(),
    "stylize": [Picture.of(np.random.default_rng(i).integers(0, 256, (64, 64, 3), np.uint8)) for i in range(6)],
    "reconstruct": [Rebuilt(odd) for odd in (False, True, False, False, True, False)],
    "regress": [Numbers({"a": i * 1.0, "b": -i * 2.0, "c": 3.0 + i}) for i in range(6)],
}
# Of a family with small members the large ones are tried where time is no matter.
LARGE = (
    "resnet32", "resnet44", "resnet56", "resnet110", "se-resnet32", "se-resnet44", "se-resnet56", "se-resnet110",
    "densenet-bc-190", "densenet-bc-250", "darknet19", "c3d", "fcn", "yolo", "yolo-v2", "yolo-9000",
)  # fmt: skip
SMALL = [
    pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name
    for name in catalog.names("models")
    if "/" not in name and name not in ("fast", "gatys")
]


@pytest.mark.parametrize("task", catalog.names("tasks"))
def test_every_task_keeps_the_contract(task):
    check_task(task, NAMES, TRUTHS[task])


@pytest.mark.parametrize("model", SMALL)
def test_every_model_keeps_its_promises(model):
    check_model(model, size=64 if model.startswith(("anchor-free", "yolo")) else 32)


@pytest.fixture
def plug_in(monkeypatch):
    """`plug_in(room, thing)` puts something into the catalogue under the name `strange`."""

    def add(thing):
        find = catalog.find
        monkeypatch.setattr(catalog, "find", lambda room, name: thing if name == "strange" else find(room, name))

    return add


def test_a_task_that_loses_a_picture_is_caught(plug_in):
    class Loses(catalog.find("tasks", "classify")):
        def decode(self, tensors, batch=None):
            return super().decode(tensors, batch)[1:]

    plug_in(Loses)
    with pytest.raises(AssertionError, match="one answer a picture"):
        check_task("strange", NAMES, TRUTHS["classify"])


def test_a_task_that_does_not_learn_is_caught(plug_in):
    class Climbs(catalog.find("tasks", "classify")):
        def loss(self, net, batch):
            return -super().loss(net, batch).clamp(max=50) * 0 + torch.stack([p.sum() for p in net.parameters()]).sum() * -1e-3

    class Climber(Climbs):
        def turns(self, nets, batch, step):
            yield "net", self.loss(nets["net"], batch) + 0.1 * step

    plug_in(Climber)
    with pytest.raises(AssertionError, match="does not fall"):
        check_task("strange", NAMES, TRUTHS["classify"])


class Mixes(Network):
    """A net that looks at the other pictures of the batch."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.body = torch.nn.Conv2d(3, 4, 3, padding=1)
        self.head = torch.nn.Linear(4, outputs)

    def maps(self, pictures):
        return self.body(pictures - pictures.mean(0, keepdim=True))

    def pool(self, maps):
        return maps.mean((2, 3))


def test_a_model_that_looks_at_its_neighbours_is_caught(monkeypatch):
    from omma.models import making

    monkeypatch.setattr(making, "build", lambda name, *, outputs, **_: Mixes(outputs))
    monkeypatch.setattr(making, "settings_of", lambda name: {})
    with pytest.raises(AssertionError, match="neighbours"):
        check_model("mixes")


@pytest.fixture
def folder(tmp_path):
    draw = np.random.default_rng(0)
    for name in ("cats", "狗"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(draw.integers(0, 255, (8, 8, 3), np.uint8)).save(tmp_path / "data" / name / f"{i}.png")
    return tmp_path / "data"


def test_folders_keep_the_contract_of_a_format(folder, tmp_path):
    assert check_format("folders", folder, tmp_path / "copy").names == ["cats", "狗"]


def test_a_format_that_touches_files_is_caught(folder, monkeypatch):
    reader = catalog.module("formats", "folders")
    real = reader.read

    def read(path, watch=None):
        (path / "cats" / "0.png").write_bytes((path / "cats" / "1.png").read_bytes())
        return real(path, watch)

    monkeypatch.setattr(reader, "read", read)
    with pytest.raises(AssertionError, match="changed the files"):
        check_format("folders", folder)


@pytest.fixture
def documented(tmp_path, monkeypatch):
    """The plug-in of the documentation, installed: its files, its entry points. Gives the page's last example, to be run."""
    page = (Path(__file__).parent.parent / "docs" / "en" / "how-to" / "plug-ins.md").read_text("utf-8")
    blocks = re.findall(r"```(\w+)\n(.*?)```", page, re.S)
    package = tmp_path / "site" / "my_package"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for _, text in blocks:
        if head := re.match(r"# my_package/(\w+\.py)\n", text):
            (package / head[1]).write_text(text, "utf-8")
    points = tomllib.loads(next(text for kind, text in blocks if kind == "toml"))["project"]["entry-points"]
    about = tmp_path / "site" / "my_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n", "utf-8")
    lines = [line for group, entries in points.items() for line in (f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()))]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path / "site")
    catalog._entries.cache_clear()
    yield blocks[-1][1]
    catalog._entries.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "my_package"]:
        del sys.modules[name]


def test_the_documented_plug_in_works(documented, folder, monkeypatch):
    monkeypatch.chdir(folder)
    rows = [f"{path.relative_to(folder)} {path.parent.name}" for path in sorted(folder.rglob("*.png"))]
    (folder / "some-pictures.lines").write_text("\n".join(rows), "utf-8")
    assert "check_model" in documented and "check_task" in documented and "check_format" in documented
    exec(compile(documented, "plug-ins.md", "exec"), {})
    assert open_data("some-pictures.lines").format == "lines"


def test_a_bundle_of_a_plug_in_opens_again(documented, tmp_path):
    """It is kept under the name by which the plug-in is found, not under the module's."""
    from omma import bundle as bundles
    from omma.data.views import Views
    from omma.models.making import build

    task = catalog.find("tasks", "grades")(NAMES)
    net = build("my_net", channels=3, size=8, outputs=3, width=4)
    card = {"model": "my_net", "model_settings": {"width": 4}}
    folder = bundles.Bundle(task, task.nets(net), Views(8), {"temperature": 1.0}, card).save(tmp_path / "b")
    opened = bundles.open(folder)
    assert opened.json()["task"] == "grades" and type(opened.task) is type(task)

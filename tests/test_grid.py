"""The product of the sum: every task through every verb, on tiny pictures, in one process; the table in the READMEs is printed from this.

pytest tests/test_grid.py --grid-out docs/grid.json && make tidy
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import runpy
import signal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import omma
from omma import catalog, cli
from omma.errors import Interrupted, NotMeaningful, OmmaError
from omma.progress import Watch

TASKS = catalog.names("tasks")
VERBS = ["check", "convert", "train", "resume", "evaluate", "predict", "explain", "look", "compress", "export", "serve", "show"]
SIDE, COUNT, STEPS, MODEL = 16, 120, 48, "keras-same"
FOUND: dict[str, dict[str, str]] = {}
EXAMPLE = Path(__file__).parent.parent / "examples" / "onnxruntime_only.py"


# ── tiny pictures ───────────────────────────────────────────────────────────────────────────────────────


def picture(draw: np.random.Generator, red: float, bright: float) -> np.ndarray:
    """A noisy square with a red upper half of some strength and a bright lower half of some."""
    pixels = draw.integers(0, 90, (SIDE, SIDE, 3)).astype(float)
    pixels[: SIDE // 2, :, 0] += 160 * red
    pixels[SIDE // 2 :, :, 1:] += 160 * bright
    return pixels.astype(np.uint8)


def classify(folder: Path, draw: np.random.Generator) -> Path:
    """Class folders, one with a name in 中文."""
    for i in range(COUNT):
        name, red, bright = [("red", 1, 0), ("亮", 0, 1), ("both", 1, 1)][i % 3]
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(draw, red, bright)).save(folder / name / f"{i:03}.png")
    return folder


def multilabel(folder: Path, draw: np.random.Generator) -> Path:
    """A table whose label column names several."""
    folder.mkdir(parents=True)
    rows = ["path,labels"]
    for i in range(COUNT):
        red, bright = i % 2, i // 2 % 2
        Image.fromarray(picture(draw, red, bright)).save(folder / f"{i:03}.png")
        rows.append(f"{i:03}.png,{';'.join(n for n, here in (('red', red), ('bright', bright)) if here)}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder


def regress(folder: Path, draw: np.random.Generator) -> Path:
    """A table with two numbers a picture."""
    folder.mkdir(parents=True)
    rows = ["path,redness,brightness"]
    for i in range(COUNT):
        red, bright = draw.random(2)
        Image.fromarray(picture(draw, red, bright)).save(folder / f"{i:03}.png")
        rows.append(f"{i:03}.png,{10 * red:.4f},{-2 * bright:.4f}")
    (folder / "numbers.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder


def scene(draw: np.random.Generator) -> tuple[np.ndarray, list[tuple[str, np.ndarray]]]:
    """A noisy ground with one to three squares and discs apart from one another: (H, W, 3) uint8, [(class, (H, W) bool)]."""
    height, width = 48, 64
    pixels = draw.integers(0, 90, (height, width, 3)).astype(np.uint8)
    y, x = np.mgrid[:height, :width]
    found = []
    for cell in draw.permutation(6)[: draw.integers(1, 4)]:
        top, left, half = 24 * (cell // 3) + 12, 20 * (cell % 3) + 12, draw.integers(6, 9)
        name = ("square", "圆")[int(draw.integers(2))]
        here = (abs(y - top) < half) & (abs(x - left) < half) if name == "square" else (y - top) ** 2 + (x - left) ** 2 < half**2
        pixels[here] = (230, 200, 40) if name == "square" else (30, 120, 240)
        found.append((name, here))
    return pixels, found


def segment(folder: Path, draw: np.random.Generator) -> Path:
    """Pictures beside index masks of the same stems, the names of the classes in a list."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    names = ["background", "square", "圆"]
    (folder / "classes.txt").write_text("\n".join(names) + "\n", "utf-8")
    for i in range(COUNT):
        pixels, found = scene(draw)
        mask = np.zeros(pixels.shape[:2], np.uint8)
        for name, here in found:
            mask[here] = names.index(name)
        Image.fromarray(pixels).save(folder / "images" / f"{i:03}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{i:03}.png")
    return folder


def objects(folder: Path, draw: np.random.Generator, outlined: bool) -> Path:
    """A COCO file beside its pictures."""
    from omma.answers import _rle
    from omma.answers.boxes import Boxes
    from omma.answers.instances import Instances
    from omma.data.sample import Dataset, Sample
    from omma.formats import coco
    from omma.progress import Watch

    pictures, samples = [], []
    for i in range(COUNT):
        pixels, found = scene(draw)
        height, width = pixels.shape[:2]
        counts = [_rle.encode(here) for _, here in found]
        boxes = np.array([_rle.box(text, height, width) for text in counts], float)
        labels = [name for name, _ in found]
        truth = Instances(width, height, labels, boxes, None, None, counts) if outlined else Boxes(width, height, labels, boxes)
        pictures.append(pixels)
        samples.append(Sample(f"{i:03}.png", row=i, truth=truth))
    task = "instances" if outlined else "detect"
    coco.write(Dataset(samples, ["square", "圆"], task, folder, "coco", np.stack(pictures)), folder, Watch())
    return folder


def detect(folder: Path, draw: np.random.Generator) -> Path:
    return objects(folder, draw, outlined=False)


def instances(folder: Path, draw: np.random.Generator) -> Path:
    return objects(folder, draw, outlined=True)


def restore(folder: Path, draw: np.random.Generator) -> Path:
    """Noisy pictures of smooth scenes beside the scenes themselves, of several sizes."""
    for part in ("input", "target"):
        (folder / part).mkdir(parents=True)
    for i in range(COUNT):
        height, width = 40 + 4 * (i % 3), 56 - 8 * (i % 2)
        y, x = np.mgrid[:height, :width] / 12
        waves = draw.uniform(0.5, 1.5, (3, 2))
        good = np.stack([128 + 90 * np.sin(a * x + i) * np.cos(b * y) for a, b in waves], 2)
        noisy = good + draw.normal(0, 30, good.shape)
        Image.fromarray(good.clip(0, 255).astype(np.uint8)).save(folder / "target" / f"{i:03}.png")
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / "input" / f"{i:03}.png")
    return folder


def reconstruct(folder: Path, draw: np.random.Generator) -> Path:
    """Good pictures of stripes of some strength, and a few with a bright blot."""
    for name, count in (("good", COUNT), ("blot", COUNT // 5)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = draw.integers(0, 20, (SIDE, SIDE, 3)).astype(float)
            pixels[:, draw.integers(0, 3) :: 4] += 100 + 60 * draw.random()
            if name == "blot":
                top, left = draw.integers(1, SIDE - 6, 2)
                pixels[top : top + 5, left : left + 5] = 220
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{name}-{i:03}.png")
    return folder


def generate(folder: Path, draw: np.random.Generator) -> Path:
    """As `classify`, of two classes."""
    for i in range(COUNT):
        name = ("red", "亮")[i % 2]
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(draw, *((1, 0), (0, 1))[i % 2])).save(folder / name / f"{i:03}.png")
    return folder


def stylize(folder: Path, draw: np.random.Generator) -> Path:
    """Smooth scenes of several sizes, and beside their folder stripes to paint like."""
    for i in range(COUNT):
        name = ("近", "far")[i % 2]
        (folder / name).mkdir(parents=True, exist_ok=True)
        y, x = np.mgrid[: 40 + 4 * (i % 3), : 56 - 8 * (i % 2)] / 12
        waves = draw.uniform(0.5, 1.5, (3, 2))
        Image.fromarray(np.stack([128 + 90 * np.sin(a * x + i) * np.cos(b * y) for a, b in waves], 2).astype(np.uint8)).save(
            folder / name / f"{i:03}.png"
        )
    y, x = np.mgrid[:48, :48]
    Image.fromarray(np.where(((x + y) // 5 % 2)[..., None] == 0, (230, 180, 30), (20, 40, 120)).astype(np.uint8)).save(
        folder.parent / "画.png"
    )
    return folder


DATA = {
    "classify": classify, "multilabel": multilabel, "regress": regress, "segment": segment, "detect": detect, "instances": instances,
    "restore": restore, "reconstruct": reconstruct, "generate": generate, "stylize": stylize,
}  # fmt: skip
PLAIN = ["batch=32", "optimizer=adam", "rate=0.003", "flip=no"]
# Where things are: frames of 64 pixels, networks as narrow as they come.
SETTINGS = {
    "segment": ["model=unet-small", "widths=8-16", "batch=8", "rate=0.01", "mosaic=0"],
    "detect": ["model=anchor-free-small", "batch=8", "rate=0.004", "mosaic=0", "size=64", "most=20"],
    "instances": ["model=star", "widths=8-16-32", "batch=8", "size=64", "most=20"],
    "reconstruct": ["model=autoencoder", "task=reconstruct", "widths=16-32", "latent=8", "batch=32", "rate=0.02"],
    "generate": ["model=dcgan", "task=generate", "width=16", "latent=16", "batch=32", "rate=0.004", "ema=0.9"],
    "stylize": ["model=johnson", "task=stylize", "width=4", "blocks=1", "batch=8", "size=32", "rate=0.01", "painting=48"],
    "restore": ["model=dncnn", "depth=4", "width=16", "batch=8", "size=24", "rate=0.01"],
}
PLACED = {"segment", "detect", "instances"}
PICTURED = {"restore", "stylize"}  # a picture is answered by a picture


class World:
    """What one task's cells share: its pictures and one finished run."""

    def __init__(self, task: str, home: Path) -> None:
        self.task, self.home = task, home
        self.folder = DATA[task](home / "数据" / task, np.random.default_rng(0))
        self.data = f"{self.folder}:redness,brightness" if task == "regress" else str(self.folder)

    def train(self, out: str, watch: Watch | None = None) -> Any:
        own = SETTINGS.get(self.task, [f"model={MODEL}", *PLAIN])
        own = [*own, f"style={self.folder.parent / '画.png'}"] if self.task == "stylize" else own
        settings = [*own, f"budget={STEPS} steps", "evals=3", "checkpoint=10"]
        return omma.train(self.data, *settings, out=str(self.home / out), device="cpu", watch=watch or Watch())

    @property
    @cache  # noqa: B019 — three worlds that live as long as the tests
    def trained(self) -> Any:
        return self.train(f"run-{self.task}")

    @property
    def run(self) -> str:
        return str(self.trained.run)

    @property
    def pictures(self) -> str:
        """The folder of pictures only: masks are pictures too, and so are better pictures."""
        return str(self.folder / {"segment": "images", "restore": "input", "reconstruct": "good"}.get(self.task, ""))

    def ask(self, run: str, *pictures: str, out: str = "out") -> list[Any]:
        """Rows of `predict`; an answer that is a picture needs a place to lie. What draws is asked for as many as there are."""
        place = {"out": str(self.home / f"{out}-{self.task}")} if self.task in PICTURED | {"generate"} else {}
        if self.task == "generate":
            return list(omma.predict(run, count=len(pictures), seed=7, device="cpu", **place))
        return list(omma.predict(run, *pictures, device="cpu", **place))

    @property
    def some(self) -> str:
        return str(next(iter(sorted(Path(self.pictures).rglob("*.png")))))


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    home = tmp_path_factory.mktemp("grid")
    return {task: World(task, home) for task in TASKS}


@pytest.fixture(autouse=True)
def _short_measures(monkeypatch):
    """Runtimes are measured for a moment: here it matters that they are, not which one is faster."""
    from omma.compressors import _judge
    from omma.runtimes import choose

    for module in (choose, _judge):
        monkeypatch.setattr(module, "SECONDS", 0.1)
    monkeypatch.setattr(_judge, "ROUNDS", 1)


# ── the cells ───────────────────────────────────────────────────────────────────────────────────────────


def check(world: World) -> None:
    """Nothing wrong is found in good pictures, and a damaged one is."""
    result = omma.check(world.data, out=str(world.home / f"check-{world.task}"))
    assert getattr(result, "code", 0) == 0, result.lines()
    json.dumps(result.json(), allow_nan=False)
    (Path(world.some).parent / "torn.png").write_bytes(Path(world.some).read_bytes()[:60])
    try:
        torn = omma.check(world.data, out=str(world.home / f"check-{world.task}"))
    finally:
        (Path(world.some).parent / "torn.png").unlink()
    if world.task == "classify":  # a table names its pictures: a stray file is none of them
        assert torn.code == 1 and "torn.png" in json.dumps(torn.json(), ensure_ascii=False)


def convert(world: World) -> None:
    """The same pictures with the same truths in another place; a target that cannot hold them says why and leaves nothing behind."""
    from omma.formats.format import open_data

    out = world.home / "转换" / world.task
    written = omma.convert(
        world.data, str(out), format_={"segment": "masks", "instances": "coco", "restore": "pairs"}.get(world.task, "csv")
    )
    json.dumps(written.json(), allow_nan=False)
    before, after = open_data(world.data), open_data(f"{out}:redness,brightness" if world.task == "regress" else out)
    assert (after.task, after.names, len(after)) == (before.task, before.names, len(before))
    places = {Path(sample.id).stem: place for place, sample in enumerate(after.samples)}
    for place, sample in enumerate(before.samples):
        there = places[Path(sample.id).stem]
        assert after.samples[there].truth.same(sample.truth) and (after.picture(there) == before.picture(place)).all()
    if world.task in PLACED:
        return
    with pytest.raises(OmmaError):
        omma.convert(world.data, str(out) + "-coco", format_="coco")
    assert not out.with_name(f"{world.task}-coco").exists()


def constant(task: Any, truths: list[Any], seen: list[Any]) -> Any:
    """The best answer that looks at no picture: shares of the classes, the mean, the commonest class everywhere, or no object at all."""
    import torch

    if task.answer.kind == "mask":
        common = max(task.names, key=lambda name: sum((truth.pixels == task.names.index(name)).sum() for truth in seen))
        return [task.answer.of(np.full((t.height, t.width), task.names.index(common), np.uint8), task.names) for t in truths]
    if task.answer.kind == "picture":  # and of pictures the one that was given
        return [task.answer.of(truth.given()) for truth in truths]
    if task.answer.kind in ("boxes", "instances"):
        return [task.answer(truth.width, truth.height, probabilities=np.zeros(0, np.float32)) for truth in truths]

    truth = task.answer.tensors(seen, task.names)["target"].float().mean(0)
    rows = truth.expand(len(truths), -1)
    tensors = (
        {"numbers": rows} if task.outputs == len(task.names) and "numbers" in Path(task.answer.__module__.replace(".", "/")).name else {}
    )
    tensors = tensors or {"logits": rows.clamp(1e-4, 1 - 1e-4).logit()}
    return task.decode(task.answer.operate({k: v.to(torch.float32) for k, v in tensors.items()}, {}))


def train(world: World) -> None:
    """Better than the best constant answer, with an interval that leaves it out."""
    from omma.data.own.given import posed
    from omma.formats.format import open_data

    trained = world.trained
    first, score = next(iter(trained.scores.items()))
    task = trained.open().task
    dataset = open_data(world.data)
    if world.task == "stylize":  # on disk there are pictures; what is asked of them is the task's
        dataset = posed(dataset, task.poses, task.settings)
    with (trained.run / "split.csv").open(encoding="utf-8") as file:
        parts = {row["id"]: row["split"] for row in csv.DictReader(file)}
    held = [s.truth for s in dataset.samples if parts[s.id] == trained.split]
    seen = [s.truth for s in dataset.samples if parts[s.id] == "train"]
    metric = task.metrics()[first]
    if world.task == "reconstruct":  # its truths hold no picture: the mean of those it learned from
        good = {
            part: [i for i, s in enumerate(dataset.samples) if parts[s.id] == part and s.truth.label == "good"] for part in parts.values()
        }
        mean = np.mean([dataset.picture(i) / 255 for i in good["train"]], 0)
        value = np.mean([np.square(dataset.picture(i) / 255 - mean).mean() for i in good[trained.split]])
    elif world.task == "generate":
        value = _all_alike(trained.open(), dataset, parts, trained.split)
    else:
        value = metric.summary(metric.records(constant(task, held, seen), held), np.ones(len(held)))
    assert score["n"] == len(held) > 0
    assert score["low"] > value if metric.better == "higher" else score["high"] < value, (first, score, value)
    assert {"recipe.toml", "recipe.json", "events.jsonl", "split.csv", "bundle", "report.html"} <= {p.name for p in trained.run.iterdir()}


def _all_alike(bundle: Any, dataset: Any, parts: dict[str, str], held: str) -> float:
    """The first metric of a model that always draws the mean of what it learned from."""
    import torch

    from omma.report.drawings import look, pixels_of

    frames = {part: [dataset.picture(i) for i, s in enumerate(dataset.samples) if parts[s.id] == part] for part in ("train", held)}
    true = torch.from_numpy(np.stack(frames[held]))
    mean = torch.from_numpy(np.stack(frames["train"])).float().mean(0).byte().expand_as(true)
    sides = [[pixels_of(one) for one in side] for side in (mean, true)]
    for pictures, side in zip(sides, (mean, true), strict=True):
        look(pictures, side, "random")
    metric = next(iter(bundle.task.metrics().values()))
    return metric.summary(metric.records(*sides), np.ones(len(true)))


class Stopper(Watch):
    """Presses Ctrl-C once, at a step."""

    def __init__(self, at: int) -> None:
        self.at: int | None = at

    def event(self, event: dict) -> None:
        if event["event"] == "step" and self.at is not None and event["step"] >= self.at:
            self.at = None
            os.kill(os.getpid(), signal.SIGINT)


def resume(world: World) -> None:
    """Stopped and gone on with: the same weights, scores and validations, bit for bit."""
    whole = world.trained
    with pytest.raises(Interrupted, match="--resume"):
        world.train(f"stopped-{world.task}", Stopper(STEPS // 2 + 3))
    resumed = omma.train(resume=str(world.home / f"stopped-{world.task}"), device="cpu")
    assert resumed.open().digest == whole.open().digest, "the weights differ"
    assert resumed.scores == whole.scores

    def evals(run: Path) -> list[dict]:
        rows = [json.loads(line) for line in (run / "events.jsonl").read_text("utf-8").splitlines()]
        return [{k: v for k, v in row.items() if "second" not in k} for row in rows if row["event"] == "eval"]

    assert evals(resumed.run) == evals(whole.run) != []


def evaluate(world: World) -> None:
    """The run's own held-out part again: the very scores training ended with; and no difference to itself."""
    result = omma.evaluate(world.run, world.data)
    row = json.loads(json.dumps(result.json(), allow_nan=False, default=str))
    scores = row.get("scores", row)
    for name, score in world.trained.scores.items():
        assert scores[name]["value"] == pytest.approx(score["value"], abs=1e-6), name
    same = omma.evaluate(world.run, world.data, compare=world.run).json()
    assert "cannot tell" in json.dumps(same)


def predict(world: World) -> None:
    """One answer a picture, which JSON brings back; a torn file is named and the rest goes on. What draws draws the same again."""
    if world.task == "generate":
        rows, again = (world.ask(world.run, *"abc", out=out) for out in ("once", "again"))
        assert [row["place"] for row in rows] == [0, 1, 2] and {row["label"] for row in rows} <= {"red", "亮"}
        pixels = [[np.asarray(Image.open(row["file"])) for row in some] for some in (rows, again)]
        assert all((a == b).all() and a.shape == (SIDE, SIDE, 3) for a, b in zip(*pixels, strict=True))
        return
    torn = world.home / f"torn-{world.task}.png"
    torn.write_bytes(Path(world.some).read_bytes()[:60])
    asked = [world.pictures, str(torn)]
    rows = [json.loads(json.dumps(row.json(), allow_nan=False)) for row in world.ask(world.run, *asked)]
    good = [row for row in rows if "error" not in row]
    assert len(good) == COUNT and len(rows) == COUNT + 1 and "torn" in next(row["path"] for row in rows if "error" in row)
    answer = world.trained.open().task.answer
    for row in good:
        assert Path(row["path"]).exists()
        again = answer.from_json(row)
        assert again.same(answer.from_json(again.json()))


def explain(world: World) -> None:
    """An overlay and its receipt."""
    out = world.home / f"why-{world.task}.png"
    result = omma.explain(world.run, world.some, out=str(out), device="cpu")
    row = json.loads(json.dumps(result.json(), allow_nan=False))
    assert row["about"] in world.trained.open().names and row["receipt"]
    with Image.open(out) as overlay:
        assert overlay.size[0] >= SIDE


def look(world: World) -> None:
    """One page of every layer that ran."""
    out = world.home / f"look-{world.task}.html"
    made = omma.look(world.run, *([] if world.task == "generate" else [world.some]), out=str(out), device="cpu")
    row = json.loads(json.dumps(made.json(), allow_nan=False))
    assert row["layers"] >= 4 and row["macs"] > 0 and not row["random"] and out.stat().st_size == row["size"]
    assert any(one.maps for one in made.inside.slopes)


def compress(world: World) -> None:
    """A copy that is smaller and measured again — or a refusal with the numbers."""
    from omma.errors import Refused

    out = world.home / f"small-{world.task}"
    try:
        # Every way for one task that looks at a picture as a whole and one that looks at pixels; for the others one way each.
        several = ("detect", "instances", "regress", "restore", "reconstruct", "generate", "stylize")
        method = {**dict.fromkeys(several, "int8"), "multilabel": "prune"}.get(world.task)
        result = omma.compress(world.run, data=world.data, max_drop=5.0, out=str(out), method=method, budget="20 steps", device="cpu")
    except Refused as why:  # on tiny networks a copy is seldom faster: then nothing may be written
        assert any(sign.isdigit() for sign in str(why)) and not out.exists()
        return
    json.dumps(result.json(), allow_nan=False)
    rows = world.ask(str(out), world.some, out="small-out")
    assert len(rows) == 1 and "error" not in rows[0]
    if "int8" in result.method:
        with pytest.raises(NotMeaningful):
            omma.compress(str(out), data=world.data)


def without_omma(model: Path, picture: str) -> dict[str, Any]:
    """What the example says that needs nothing of ours."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        runpy.run_path(str(EXAMPLE))["main"](str(model), picture)
    return json.loads(said.getvalue())


def export(world: World) -> None:
    """The file answers like the model, run by onnxruntime alone on the picture's own bytes."""
    import onnxruntime

    out = world.home / f"{world.task}.onnx"
    omma.export(world.run, to="onnx", data=world.data, out=str(out))
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    if world.task == "generate":
        from omma.engine.painting.drawing import rows_of

        bundle, (row,) = world.trained.open(), world.ask(world.run, "one", out="one")
        counts = bundle.card["fingerprint"]["class_counts"]["train"]
        (made,) = session.run(None, {"seed": rows_of(bundle.task, bundle.net, 7, 1, counts=counts)})
        assert bundle.task.answer.of(made[0]).in_depth(8).same(bundle.task.answer.from_json(row))
        return
    pixels = np.asarray(Image.open(world.some).convert("RGB"))[None]
    outputs = dict(zip([o.name for o in session.get_outputs()], session.run(None, {"picture": pixels}), strict=True))
    (row,) = world.ask(world.run, world.some, out="one")
    bundle = world.trained.open()
    if world.task in PICTURED:
        assert bundle.task.answer.of(outputs["restored"][0]).in_depth(8).same(bundle.task.answer.from_json(row))
    elif world.task in PLACED:
        import torch

        (said,) = bundle.task.decode({name: torch.from_numpy(value) for name, value in outputs.items()})
        assert said.settle(bundle.point).same(bundle.task.answer.from_json(row))
        shown = without_omma(out, world.some)
        if "boxes" in row:
            assert sorted(one["label"] for one in shown["boxes"]) == sorted(one["label"] for one in row["boxes"])
        else:
            assert {name: count for name, count in shown["pixels"].items() if count} == pytest.approx(row["pixels"], rel=0.02)
    elif "anomaly" in outputs:
        assert outputs["anomaly"][0] == pytest.approx(row["anomaly"], abs=1e-4) and bool(outputs["odd"][0]) == row["odd"]
    elif "probabilities" in outputs:
        assert outputs["probabilities"][0] == pytest.approx(list(row["probabilities"].values()), abs=2e-3)
        assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == bundle.names
    else:
        assert outputs["numbers"][0] == pytest.approx(list(row["numbers"].values()), abs=2e-3 * 10)


def serve(world: World) -> None:
    """The picture's bytes over HTTP: the same JSON as predict."""
    from fastapi.testclient import TestClient

    from omma.verbs import serve as verb

    service, _ = verb._service(world.run, "cpu", 8, Watch())
    try:
        guard = verb.guarded(service, "127.0.0.1", 8000, None)
        with TestClient(guard, base_url="http://127.0.0.1:8000") as client:
            if world.task == "generate":
                (row,) = world.ask(world.run, "one", out="served")
                answer = client.post("/predict", json={"seed": 7, "class": row["label"]})
                assert answer.headers["content-type"] == "image/png"
                made = Image.open(io.BytesIO(answer.content))
                assert np.abs(np.asarray(made).astype(int) - np.asarray(Image.open(row["file"]))).max() <= 1
                assert client.post("/predict", json={"seed": "seven"}).status_code == 422
                return
            answer = client.post("/predict", content=Path(world.some).read_bytes())
            assert answer.status_code == 200, answer.text
            (row,) = world.ask(world.run, world.some, out="served")
            got = world.trained.open().task.answer
            if world.task in PICTURED:
                assert answer.headers["content-type"] == "image/png" and answer.content == Path(row["file"]).read_bytes()
            else:
                assert got.from_json(answer.json()).same(got.from_json(row))
            assert client.post("/predict", content=b"no picture").status_code == 422
    finally:
        service.desk.close()


def show(world: World) -> None:
    """The card, on the command line and as JSON."""
    card = omma.show(world.run)
    facts = json.loads(json.dumps(card.json(), allow_nan=False, default=str))
    assert facts["task"] == world.task and facts["parameters"] > 1000 and facts["macs"] > 1000
    text = "\n".join(card.lines())
    model = SETTINGS.get(world.task, [f"model={MODEL}"])[0].removeprefix("model=")
    assert model in text and all(name in text for name in facts["names"]) and "[" in text


CELLS = {
    "check": check, "convert": convert, "train": train, "resume": resume, "evaluate": evaluate, "predict": predict, "explain": explain,
    "look": look, "compress": compress, "export": export, "serve": serve, "show": show,
}  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("task", TASKS)
def test_cell(task, verb, worlds):
    """One cell of the table: it works, or says in a line why it has no meaning."""
    assert set(TASKS) <= DATA.keys(), "every task has its tiny pictures here"
    mark = "✗"
    try:
        CELLS[verb](worlds[task])
        mark = "✓"
    except NotMeaningful as why:
        assert len(str(why)) > 20
        mark = "–"
    finally:
        FOUND.setdefault(task, {})[verb] = mark


def test_every_verb_is_in_the_grid():
    assert set(catalog.names("verbs")) - {"demo", "models", "studio"} <= set(VERBS)


def test_a_cell_without_meaning_says_why_and_exits_6(monkeypatch, capsys):
    from omma import flags

    def fake():
        raise NotMeaningful("a generator takes no picture, so there is nothing to explain")

    monkeypatch.setattr(flags, "function_of", lambda name: fake)
    assert cli.run(["show"]) == 6
    assert capsys.readouterr().err == "omma: a generator takes no picture, so there is nothing to explain\n"


def test_the_table_in_the_docs_is_what_was_found(request):
    """Runs last; with --grid-out it writes the table instead."""
    if {task: set(cells) for task, cells in FOUND.items()} != {task: set(VERBS) for task in TASKS}:
        pytest.skip("only a part of the grid was run")
    found = {"verbs": VERBS, "cells": {task: {verb: FOUND[task][verb] for verb in VERBS} for task in TASKS}}
    target = request.config.getoption("--grid-out")
    if target:
        Path(target).write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", "utf-8")
    kept = json.loads((Path(__file__).parent.parent / "docs" / "grid.json").read_text("utf-8"))
    assert found == kept, "pytest tests/test_grid.py --grid-out docs/grid.json && make tidy"

"""Label: strokes kept as they are drawn, the model's proposal, the least sure first, and a dataset in any format that holds it."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from omma import catalog
from omma.answers.answer import Answer
from omma.answers.instances import Instances
from omma.data.recast import TASK
from omma.data.sample import Dataset
from omma.errors import DataError, OmmaError
from omma.progress import Watch
from omma.studio import labels, runs
from omma.studio.ask import Ask
from omma.studio.shelf import Opened, phrase
from omma.words import say


def about(ask: Ask) -> dict[str, Any]:
    """What is labelled: its kind, the classes, how many pictures were touched, and what it can be saved as."""
    found = ask.studio.shelf.get(ask.project)
    kind = kind_of(ask, found)
    writers = [name for name in catalog.names("formats") if kind in getattr(catalog.module("formats", name), "HOLDS", ())]
    return {
        "kind": kind, "kinds": list(labels.TOOLS), "tools": labels.TOOLS[kind], "classes": classes(ask, found), "formats": writers,
        "count": len(touched(ask)), "pictures": len(found.dataset),
        "labelled": sum(sample.truth is not None and sample.truth.kind == kind for sample in found.dataset.samples),
    }  # fmt: skip


def kind_of(ask: Ask, found: Opened) -> str:
    """The kind a person chose, or that of the dataset's labels, or one class a picture."""
    known = ask.studio.store.known(ask.project)["kind"]
    return known or (found.kind if found.kind in labels.TOOLS else "label")


def classes(ask: Ask, found: Opened) -> list[str]:
    """The dataset's classes, those that were added, and any that a stroke used."""
    own = [name for name in found.dataset.names if found.kind in labels.TOOLS]
    return [name for name in dict.fromkeys([*own, *found.names, *ask.studio.store.classes(ask.project)]) if name != labels.GROUND]


def touched(ask: Ask) -> set[str]:
    """Ids of the pictures somebody labelled here."""
    return {row["sample"] for row in ask.studio.store.strokes(ask.project) if row["live"]}


def choose(ask: Ask) -> dict[str, Any]:
    """Another kind of answer; strokes of other kinds stay, and count again when their kind does."""
    kind = ask.text("kind")
    if kind not in labels.TOOLS:
        raise OmmaError(say("studio.not_understood"))
    ask.studio.store.keep_kind(ask.project, kind)
    return about(ask)


def add_class(ask: Ask) -> dict[str, Any]:
    """One more class."""
    name = ask.text("name")
    if not name or len(name) > 200:
        raise OmmaError(say("studio.no_name"))
    ask.studio.store.add_class(ask.project, name)
    return {"classes": classes(ask, ask.studio.shelf.get(ask.project))}


def sheet_of(ask: Ask, found: Opened, place: int, strokes: list[dict[str, Any]] | None = None) -> labels.Sheet:
    """The label of one picture as it stands.

    Raises:
        DataError: the picture cannot be read, so nothing can be said of places in it.
    """
    sample, kind = found.dataset.samples[place], kind_of(ask, found)
    flat = labels.TOOLS[kind] == ("tag",)
    height, width = (1, 1) if flat else found.dataset.extent(place)
    rows = ask.studio.store.strokes(ask.project, sample.id) if strokes is None else strokes
    mine = [row for row in rows if row["live"] and _fits(row["body"], kind)]
    return labels.draw(labels.begin(kind, sample.truth, classes(ask, found), width, height), mine)


def _fits(body: dict[str, Any], kind: str) -> bool:
    try:
        labels.sound(body, kind)
    except OmmaError:
        return False
    return True


def one(ask: Ask) -> dict[str, Any]:
    """One picture's label, for the page to draw."""
    found, place = ask.studio.shelf.sample(ask.project, ask.path["place"])
    return _state(ask, found, place)


def _state(ask: Ask, found: Opened, place: int) -> dict[str, Any]:
    sample = found.dataset.samples[place]
    rows = ask.studio.store.strokes(ask.project, sample.id)
    state = labels.shown(sheet_of(ask, found, place, rows))
    if state["width"] == 1:
        state["height"], state["width"] = found.dataset.extent(place)
    able = {"undo": any(row["live"] for row in rows), "redo": any(not row["live"] for row in rows)}
    return (
        state | able | {"id": sample.id, "place": place, "v": ask.studio.thumbs.version(sample, found.digest), "was": phrase(sample.truth)}
    )


def stroke(ask: Ask) -> dict[str, Any]:
    """Keep one stroke, on the disk before this answers; then the whole label as it is now."""
    told = ask.json()
    found = ask.studio.shelf.get(ask.project)
    # A stroke that waited for a server may come after pictures were added: it belongs to its picture, not to its place.
    place = found.place.get(str(told["sample"]), ask.path["place"]) if told.get("sample") else ask.path["place"]
    found, place = ask.studio.shelf.sample(ask.project, place)
    body = labels.sound(told.get("stroke"), kind_of(ask, found))
    for name in [body["label"]] if "label" in body else body.get("names", []):
        if name not in classes(ask, found):
            ask.studio.store.add_class(ask.project, name)
    mark = str(told["mark"])[:40] if told.get("mark") else None
    ask.studio.store.stroke(ask.project, found.dataset.samples[place].id, body, mark)
    return _state(ask, found, place)


def undo(ask: Ask) -> dict[str, Any]:
    """Take the last stroke back."""
    found, place = ask.studio.shelf.sample(ask.project, ask.path["place"])
    ask.studio.store.undo(ask.project, found.dataset.samples[place].id)
    return _state(ask, found, place)


def redo(ask: Ask) -> dict[str, Any]:
    """Do it again."""
    found, place = ask.studio.shelf.sample(ask.project, ask.path["place"])
    ask.studio.store.redo(ask.project, found.dataset.samples[place].id)
    return _state(ask, found, place)


def guess(ask: Ask) -> dict[str, Any]:
    """What a model says of one picture, as strokes a person can take over: {"text", "strokes"}."""
    found, place = ask.studio.shelf.sample(ask.project, ask.path["place"])
    run = runs.one(ask.studio.runs, ask.query.get("run", ""))
    picture = found.dataset.picture(place)
    with ask.studio.models.lock:
        opened, engine = ask.studio.models.get(run)
        spots = None if opened.views.fit == "own" else [opened.views.spot(*picture.shape[:2])]
        said = engine.answers(opened.views.frames(picture), {}, spots)[0]
    from omma.report.phrase import phrase as told

    return {"text": told(said), "strokes": proposed(said, kind_of(ask, found))}


def proposed(said: Answer, kind: str) -> list[dict[str, Any]]:
    """An answer as strokes of a kind; [] where it says nothing of that kind."""
    row = said.json()
    if kind in ("label", "labels") and "label" in row:
        return [{"do": "tag", "names": [row["label"]]}]
    if kind == "labels" and "labels" in row:
        return [{"do": "tag", "names": [one["label"] for one in row["labels"]]}]
    if kind == "boxes":
        return [{"do": "add", "label": one["label"], "box": one["box"]} for one in row.get("boxes", [])]
    if kind == Instances.kind and "boxes" in row:
        from omma.answers import _rle

        found = []
        for one in row["boxes"]:
            if "rle" in one:
                height, width = one["rle"]["size"]
                found += [
                    {"do": "add", "label": one["label"], "points": ring}
                    for ring in labels.rings(_rle.decode(one["rle"]["counts"], height, width).astype(bool))[:1]
                ]
        return found
    return []


def sort(ask: Ask) -> dict[str, Any]:
    """`omma predict` over every picture of the dataset, whatever format it lies in, so that what the model is least sure of comes first."""
    run = runs.one(ask.studio.runs, ask.text("run"))
    found = ask.studio.shelf.get(ask.project)
    files = _files(ask, found)
    _written(found, files)
    out = ask.studio.home / "sorted" / f"{ask.project}-{uuid.uuid4().hex[:8]}"
    out.parent.mkdir(parents=True, exist_ok=True)
    words = ["predict", str(run.relative_to(ask.studio.cwd)), "-", "--out", str(out)]
    lines = [file for file in files if "\n" not in file and "\r" not in file]
    return {"job": ask.studio.jobs.begin(ask.project, words, run, as_json=False, lines=lines)}


def _files(ask: Ask, found: Opened) -> list[str]:
    """A file of each picture; of pictures that lie in arrays, where `_written` puts them."""
    folder = ask.studio.home / "arrays" / found.digest[:16]
    return [
        str(sample.path.absolute() if sample.path is not None else folder / f"{i}.png") for i, sample in enumerate(found.dataset.samples)
    ]


def _written(found: Opened, files: list[str]) -> None:
    """Pictures of arrays as files, once."""
    from PIL import Image

    from omma.data.decode import to_rgb8

    for place, (sample, file) in enumerate(zip(found.dataset.samples, files, strict=True)):
        if sample.path is None and not Path(file).is_file():
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            partial = Path(f"{file}.partial")
            Image.fromarray(to_rgb8(found.dataset.picture(place))).save(partial, "PNG", compress_level=1)
            partial.replace(file)


def order(ask: Ask) -> dict[str, Any]:
    """Places in the order of labelling: what a model is least sure of first, where one was asked; else those without a label first."""
    found = ask.studio.shelf.get(ask.project)
    kind, done = kind_of(ask, found), touched(ask)
    sure = _sureness(ask, found)

    def rank(place: int) -> tuple[Any, ...]:
        sample = found.dataset.samples[place]
        labelled = sample.truth is not None and sample.truth.kind == kind
        return (sample.id in done, sure.get(place, 2.0), labelled, place) if sure else (sample.id in done or labelled, place)

    places = sorted(range(len(found.dataset)), key=rank)
    return {
        "places": places,
        "by": "sureness" if sure else "unlabelled",
        "sure": {place: sure[place] for place in places[:400] if place in sure},
    }


def _sureness(ask: Ask, found: Opened) -> dict[int, float]:
    """Place → 0–1 as the newest `predict` over the dataset told; of several objects or labels the mean."""
    job = next((job for job in ask.studio.jobs.of(ask.project) if job["verb"] == "predict" and job["state"] == "done"), None)
    if job is None:
        return {}
    path = Path(job["words"][job["words"].index("--out") + 1]) / "predictions.jsonl"
    where = {file: place for place, file in enumerate(_files(ask, found))}
    sure: dict[int, float] = {}
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    for line in lines:
        row = json.loads(line)
        place = where.get(row["path"])
        if place is not None and "error" not in row:
            sure[place] = sureness(row)
    return sure


def sureness(row: dict[str, Any]) -> float:
    """How sure an answer is, 0–1: its probability, of a mask the mean over its pixels; of several labels or objects the mean of how far
    each is from even."""
    if "probability" in row:
        return float(row["probability"])
    shares = row.get("probabilities")
    shares = (
        list(shares.values()) if isinstance(shares, dict) else [one["probability"] for one in row.get("boxes", []) if "probability" in one]
    )
    return sum(2 * abs(share - 0.5) for share in shares) / len(shares) if shares else 0.0


def labelled(ask: Ask) -> Dataset:
    """The dataset with what was labelled here in place of what it said; of another kind than labelled here, truths are left out."""
    found = ask.studio.shelf.get(ask.project)
    kind, rows = kind_of(ask, found), ask.studio.store.strokes(ask.project)
    by: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by.setdefault(row["sample"], []).append(row)
    samples = []
    for place, sample in enumerate(found.dataset.samples):
        truth = sample.truth if sample.truth is not None and sample.truth.kind == kind else None
        if any(row["live"] for row in by.get(sample.id, [])):
            try:
                truth = labels.answer(sheet_of(ask, found, place, by[sample.id]))
            except DataError:
                truth = None
        samples.append(replace(sample, truth=truth))
    names = classes(ask, found)
    if kind == "mask":
        names = labels.begin("mask", None, names, 1, 1).names
        samples = [replace(one, truth=_whole(one.truth, names)) for one in samples]
    used = Counter(name for one in samples for name in _names(one.truth))
    return replace(found.dataset, samples=samples, names=[name for name in names if kind == "mask" or used[name]], task=TASK[kind])


def _whole(truth: Any, names: list[str]) -> Any:
    """A mask in the classes of all."""
    return (
        truth
        if truth is None or list(truth.classes) == names
        else labels.answer(labels.begin("mask", truth, names, truth.width, truth.height))
    )


def _names(truth: Any) -> list[str]:
    from omma.data.recast import present

    return list(present(truth))


def write(ask: Ask, format: str, target: Path) -> tuple[Path, list[str]]:
    """Everything labelled, as a dataset: (what to open it by, what was lost).

    Raises:
        OmmaError: nothing is labelled yet.
    """
    dataset = labelled(ask)
    known = dataset.labelled()
    if not len(known):
        raise OmmaError(say("studio.nothing_labelled"))
    if format == "csv" and all(sample.path is not None for sample in known.samples):
        target = target / "labels.csv"  # a table names pictures where they are
    lost = catalog.module("formats", format).write(known, target, Watch())
    return target, lost


def save(ask: Ask) -> dict[str, Any]:
    """A new folder beside the runs with everything labelled, in a format of one's choice; the originals stay as they are."""
    known = ask.studio.store.known(ask.project)
    format = ask.text("format")
    if format not in about(ask)["formats"]:
        raise catalog.unknown("format", format, about(ask)["formats"])
    folder = runs.free(ask.studio.cwd, f"{Path(known['name']).stem}-labels")
    path, lost = write(ask, format, folder)
    return {"path": str(path), "lost": lost, "count": len(touched(ask))}


def for_training(ask: Ask) -> str:
    """What `omma train` is given: labels of now, written down in a folder of the studio; the same labels lie in the same folder."""
    found = ask.studio.shelf.get(ask.project)
    kind, rows = kind_of(ask, found), ask.studio.store.strokes(ask.project)
    said = repr((kind, found.stamp, found.dataset.stamp(), [(row["id"], row["live"]) for row in rows]))
    folder = ask.studio.home / "labels" / f"{ask.project}-{hashlib.sha256(said.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"
    known = folder.with_suffix(".path")  # written last: what is half written is written again
    if known.is_file():
        return known.read_text("utf-8", "surrogateescape")
    shutil.rmtree(folder, ignore_errors=True)
    path = str(write(ask, labels.FORMATS[kind], folder)[0])
    known.write_text(path, "utf-8", "surrogateescape")
    return path


TABLE = (
    ("GET", "/api/p/{project:int}/labels", about),
    ("POST", "/api/p/{project:int}/labels/kind", choose),
    ("POST", "/api/p/{project:int}/labels/class", add_class),
    ("POST", "/api/p/{project:int}/labels/sort", sort),
    ("GET", "/api/p/{project:int}/labels/order", order),
    ("POST", "/api/p/{project:int}/labels/save", save),
    ("GET", "/api/p/{project:int}/label/{place:int}", one),
    ("POST", "/api/p/{project:int}/label/{place:int}", stroke),
    ("POST", "/api/p/{project:int}/label/{place:int}/undo", undo),
    ("POST", "/api/p/{project:int}/label/{place:int}/redo", redo),
    ("GET", "/api/p/{project:int}/label/{place:int}/guess", guess),
)

"""The slider of answers that are pictures: pixels of two classes and anomalies at any threshold, kept at a bounded size."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from omma.answers import _file as answers
from omma.answers.mask import VOID, Mask
from omma.answers.numbers import Numbers
from omma.answers.picture import Picture
from omma.answers.rebuilt import Rebuilt
from omma.engine.predicting import point_scores
from omma.metrics.anomaly_auroc import AnomalyAuroc
from omma.metrics.dice import Dice
from omma.metrics.pixel_auc import PixelAuc
from omma.report.operating import alone, apart_alone, swept_alone
from omma.tasks.detect import Detect
from omma.tasks.multilabel import Multilabel
from omma.tasks.reconstruct import Reconstruct
from omma.tasks.regress import Regress
from omma.tasks.restore import Restore
from omma.tasks.segment import Segment
from test_studio_results import run_of, world  # noqa: F401

NAMES = ["background", "肿瘤"]


def pixels(count=18, size=(30, 24), steps=True, seed=0):
    """(probabilities of the second class, truths): every eighth pixel is void, the answer is right more often than not; (H, W) = `size`."""
    draw = np.random.default_rng(seed)
    shares = draw.random((count, *size))
    shares = np.rint(shares * 255) / 255 if steps else shares
    true = (draw.random(shares.shape) < shares).astype(np.uint8)
    true[:, ::2, ::4] = VOID
    true[0] = 0  # a picture without it
    return shares.astype(np.float32), [Mask.of(one, NAMES) for one in true]


def said(shares, level=0.4):
    """Masks as a model of that threshold gives them."""
    point = {"threshold": level}
    both = torch.from_numpy(np.stack([1 - shares, shares], 1))
    found = Mask.locate({"probabilities": both}, None, point)
    return Segment(NAMES).decode(found)


@pytest.mark.parametrize("level", [0.0, 0.2, 0.4, 0.77, 1.0])
def test_of_two_classes_every_threshold_is_what_evaluate_says(level):
    """The model with another operating point, asked again, against what is reckoned from the masks of the first: pixel by pixel."""
    shares, true = pixels()
    metric = alone(Segment(NAMES).metrics())
    assert isinstance(metric, PixelAuc) and metric.about() == "肿瘤"
    records = metric.records(said(shares), true)
    curve = swept_alone(metric, records, 0.4)
    place = curve["levels"].index(level)
    real = Dice(NAMES).records(said(shares, level), true)
    hits, invented, missed = (int(real[key][:, 1].sum()) for key in ("tp", "fp", "fn"))
    assert (curve["right"][place], curve["said"][place], curve["true"]) == (hits, hits + invented, hits + missed)
    assert curve["f1"][place] == pytest.approx(point_scores({"dice": Dice(NAMES)}, said(shares, level), true)["dice"])
    assert curve["recall"][place] == pytest.approx(hits / (hits + missed))
    found = apart_alone(metric, records, level)
    for what, key in (("right", "tp"), ("invented", "fp"), ("missed", "fn")):
        each = real[key][:, 1]
        assert set(found[what]) == set(np.flatnonzero(each)) and (np.diff(each[found[what]]) <= 0).all()
    # and the very mask that is drawn
    for first, second in zip(said(shares), said(shares, level), strict=True):
        again = metric.at(first, level)
        assert (again.pixels == second.pixels).all() and np.allclose(again.probabilities, second.probabilities, atol=1e-6)


def test_finer_probabilities_are_told_within_a_step():
    """Half a step of 1/255 below and above: the real counts lie on either side."""
    shares, true = pixels(steps=False, seed=1)
    metric = PixelAuc(NAMES)
    records = metric.records(said(shares), true)
    right, named, _ = metric.tallies(records, np.array([0.3]))
    for level, more in ((0.3 - 1 / 510, True), (0.3 + 1 / 510, False)):
        real = Dice(NAMES).records(said(shares, level), true)
        for mine, theirs in ((right[:, 0], real["tp"][:, 1]), (named[:, 0], (real["tp"] + real["fp"])[:, 1])):
            assert (mine <= theirs).all() if more else (mine >= theirs).all()


def test_classes_in_another_order_and_void_answers():
    """A mask names its classes as it likes; what it leaves open is neither said nor invented, but missed where it is true."""
    shares, true = pixels(1)
    first = said(shares)[0]
    turned = Mask.of(np.where(first.pixels == VOID, VOID, 1 - first.pixels), NAMES[::-1], first.probabilities)
    metric = PixelAuc(NAMES)
    for key in ("first", "second"):
        assert (metric.records([turned], true)[key] == metric.records([first], true)[key]).all()
    assert metric.at(turned, 0.7).classes == NAMES[::-1] and (metric.at(turned, 0.7).pixels == 1 - metric.at(first, 0.7).pixels).all()
    holes = first.pixels.copy()
    holes[:5] = VOID
    assert (metric.at(Mask.of(holes, NAMES, first.probabilities), 0.1).pixels[:5] == VOID).all()


def rebuilt(count=18, seed=0):
    """(answers, truths) of pictures some of which are odd; each answer with maps of its own."""
    draw = np.random.default_rng(seed)
    odd = draw.random(count) < 0.4
    scores = np.float32(0.31 + 0.03 * draw.random(count) + 0.02 * odd).tolist()
    maps = draw.random((count, 64, 64)).astype(np.float32)
    told = [Rebuilt(score > 0.345, score, one, np.zeros((64, 64, 3), np.uint8), 0.1) for score, one in zip(scores, maps, strict=True)]
    return told, [Rebuilt(bool(one)) for one in odd]


def test_of_anomalies_every_threshold_is_what_evaluate_says():
    told, true = rebuilt()
    task = Reconstruct(["good", "bad"])
    metrics = task.metrics()
    metric = alone(metrics)
    assert isinstance(metric, AnomalyAuroc) and metric.about() == "odd"
    records = metric.records(told, true)
    curve = swept_alone(metric, records, 0.345)
    levels = np.array(curve["levels"])
    scores = [one.anomaly for one in told]
    assert len(levels) == 101 and levels[0] <= min(scores) and levels[-1] >= max(scores) and levels[-1] - levels[0] < 0.1
    for place in (0, 30, 45, 99):
        again = [metric.at(one, levels[place]) for one in told]
        point = Rebuilt.operate({key: torch.zeros(18) for key in ("mean", "error")} | {"anomaly": torch.tensor(scores),
            "rebuilt": torch.zeros(18, 1, 1, 1)}, {"threshold": float(levels[place])})  # fmt: skip
        assert [one.odd for one in again] == point["odd"].tolist()
        real = point_scores(metrics, again, true)
        for key in ("precision", "recall"):
            wanted = real[f"anomaly_{key}"]
            assert curve[key][place] == pytest.approx(0.0 if np.isnan(wanted) else wanted)
        found = apart_alone(metric, records, levels[place])
        odd = np.array([one.odd for one in true])
        called = np.array([one.odd for one in again])
        assert sorted(found["missed"]) == np.flatnonzero(odd & ~called).tolist()
        assert [scores[row] for row in found["invented"]] == sorted((scores[row] for row in found["invented"]), reverse=True)
    wide = swept_alone(metric, records, 0.9)["levels"]
    assert wide[0] <= min(scores) and wide[-1] >= 0.9, "the model's own threshold can be reached"


def test_of_a_rebuilt_picture_two_numbers_are_kept(tmp_path):
    """Whatever its maps hold: a line a picture, read back, drawn as a verdict."""
    told, true = rebuilt()
    task = Reconstruct(["good", "bad"])
    path = answers.keep(tmp_path, answers.Kept("test", [f"{i}.png" for i in range(18)], told, true), Rebuilt, task.names)
    assert path.stat().st_size < 18 * 400
    back = answers.read(path, Rebuilt)
    assert [(one.odd, one.anomaly, one.mean) for one in back.predictions] == [(one.odd, one.anomaly, one.mean) for one in told]
    assert [one.odd for one in back.truths] == [one.odd for one in true] and back.predictions[0].error is None
    metric = AnomalyAuroc(task.names)
    for key, value in metric.records(told, true).items():
        assert (metric.records(back.predictions, back.truths)[key] == value).all()
    picture = np.zeros((80, 120, 3), np.uint8)
    assert (back.predictions[0].draw(picture) != replace(back.predictions[0], anomaly=0.9).draw(picture)).any()


def test_what_has_classes_to_choose_from_is_not_told_alone():
    assert alone(Multilabel(["a", "b"]).metrics()) is None and alone(Detect(["a"]).metrics()) is None
    assert alone(Segment(["a", "b", "c"]).metrics()) is None and alone(Regress(["n"]).metrics()) is None


# ── over HTTP ───────────────────────────────────────────────────────────────────────────────────────────


def sizes(world):  # noqa: F811
    dataset = world.studio.shelf.get(world.id).dataset
    return [dataset.extent(place) for place in range(len(dataset))]


def test_the_page_of_masks_has_a_slider(world, monkeypatch):  # noqa: F811
    """Counts in pixels, the pictures behind them, drawn at the threshold that is chosen."""
    ((height, width),) = set(sizes(world))
    shares, true = pixels(18, (height, width))
    run_of(world, "masks-1", Segment(NAMES), said(shares), true, monkeypatch, {"threshold": 0.4})
    about = world.get(f"/api/p/{world.id}/answers/masks-1")
    assert about["alone"] == {"name": "肿瘤", "counts": "pixels"} and about["classes"] == [] and about["why"] is None
    curve = world.get("/api/runs/masks-1/threshold")
    assert curve["own"] == 0.4 and set(curve["named"]) == {"precision", "recall", "f1"} and not curve["several"]
    real = Dice(NAMES).records(said(shares, 0.8), true)
    assert curve["right"][80] == real["tp"][:, 1].sum()
    kinds = world.get("/api/runs/masks-1/apart", level=0.8)
    assert set(kinds["missed"]) == set(np.flatnonzero(real["fn"][:, 1]))
    row = kinds["missed"][0]
    drawn = [world.client.get(f"/api/runs/masks-1/said/{row}/shown", params=one).content for one in ({}, {"level": 0.4}, {"level": 0.99})]
    assert drawn[0] == drawn[1] != drawn[2]
    wide, thin = (np.asarray(Image.open(io.BytesIO(one)).convert("RGB"), float) for one in (drawn[0], drawn[2]))
    middle = wide.shape[1] // 2
    same = slice(0, wide.shape[0] // 2)
    assert np.abs(wide[same, : middle - 8] - thin[same, : middle - 8]).mean() < 2 < np.abs(wide[same, middle:] - thin[same, middle:]).mean()
    texts = [world.get("/api/runs/masks-1/said", rows=row, **one)[0]["text"] for one in ({}, {"level": 0.99})]
    assert texts[0] != texts[1]
    small = [world.get("/api/runs/masks-1/thumbs", rows=row, **one)[str(row)] for one in ({}, {"level": 0.99})]
    assert small[0] != small[1]
    assert world.client.get("/api/runs/masks-1/apart", params={"level": "much"}).status_code == 422


def test_the_page_of_anomalies_has_a_slider(world, monkeypatch):  # noqa: F811
    told, true = rebuilt()
    run_of(world, "odd-1", Reconstruct(["good", "bad"]), told, true, monkeypatch, {"threshold": 0.345})
    for tongue, word in (("en", "odd"), ("zh", "异常")):
        about = world.client.get(f"/api/p/{world.id}/answers/odd-1", headers={"x-omma-language": tongue}).json()
        assert about["alone"] == {"name": word, "counts": "pictures"} and about["confusion"] is None
    curve = world.get("/api/runs/odd-1/threshold")
    place = int(np.argmin(np.abs(np.array(curve["levels"]) - 0.345)))
    kinds = world.get("/api/runs/odd-1/apart", level=curve["levels"][place])
    assert len(kinds["right"]) == curve["right"][place] and len(kinds["missed"]) == curve["true"] - curve["right"][place]
    assert world.client.get("/api/runs/odd-1/said/3/shown").headers["content-type"] == "image/jpeg"


def test_where_a_threshold_means_nothing_the_page_says_so(world, monkeypatch):  # noqa: F811
    """Many classes of pixels, numbers, restored pictures: one line, in both languages."""
    ((height, width),) = set(sizes(world))
    draw = np.random.default_rng(3)
    three = [Mask.of(draw.integers(0, 3, (height, width)), ["a", "b", "c"], np.ones((height, width))) for _ in range(18)]
    numbers = [Numbers({"n": float(i)}) for i in range(18)]
    pictures = [Picture(lambda: np.zeros((4, 4, 3), np.uint8))] * 18
    runs = {
        "many-masks": (Segment(["a", "b", "c"]), three, "two classes", True),
        "numbers-1": (Regress(["n"]), numbers, "numbers", True),
        "restored-1": (Restore(["clean"]), pictures, "pictures", False),
    }
    for name, (task, both, word, kept) in runs.items():
        run_of(world, name, task, both, both, monkeypatch, kept=kept)
        about = world.get(f"/api/p/{world.id}/answers/{name}")
        assert word in about["why"] and about.get("alone") is None, about
        chinese = world.client.get(f"/api/p/{world.id}/answers/{name}", headers={"x-omma-language": "zh"}).json()["why"]
        assert "阈值" in chinese
        assert world.client.get(f"/api/runs/{name}/threshold").status_code == 422


def test_answers_that_are_too_large_are_not_asked_for_again_and_again(world, monkeypatch, tmp_path):  # noqa: F811
    run = world.studio.runs / "one-1"
    (run / answers.FILE).rename(tmp_path / "kept")
    try:
        job = {"id": 3, "verb": "evaluate", "run": str(run), "state": "done", "error": None}
        known = world.studio.judge.folder(run)
        monkeypatch.setattr(world.studio.jobs, "of", lambda project: [job | {"words": ["evaluate", "x", "--out", str(known)]}])
        about = world.get(f"/api/p/{world.id}/answers/one-1")
        assert about["state"] == "unable" and "too large" in about["why"]
        monkeypatch.setattr(world.studio.jobs, "of", lambda project: [job | {"words": ["evaluate", "x", "--out", "of-other-weights"]}])
        assert world.get(f"/api/p/{world.id}/answers/one-1")["state"] == "none"
    finally:
        (tmp_path / "kept").rename(run / answers.FILE)

"""Styles beyond the grid: what is told of them by hand, networks that keep and mix them, large pictures, and words at prediction time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import omma
from omma import cli
from omma.bundle import Bundle
from omma.data.views import Views
from omma.engine.painting.tiles import painted, remembering, remembers
from omma.errors import NotMeaningful, OmmaError
from omma.models._styled import Norm, bare, looks_of
from omma.models.eyes import eyes, seeing, unlearned
from omma.models.making import build
from omma.parts import style as styles
from omma.parts.colour import ycbcr
from omma.parts.reach import reach
from omma.tasks.stylize import Stylize, files_of, painting
from omma.tasks.task import Batch
from omma.testing import check_model

SMALL = {"width": 4, "blocks": 1, "painting": 32}


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colours, (H, W, 3) uint8."""
    draw = np.random.default_rng(seed)
    small = draw.integers(0, 256, (max(2, height // 12), max(2, width // 12), 3), np.uint8)
    return np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def strokes(side: int = 48, seed: int = 0) -> np.ndarray:
    """Slanting stripes of two colours, (H, W, 3) uint8."""
    y, x = np.mgrid[:side, :side]
    colours = np.random.default_rng(seed).integers(0, 256, (2, 3))
    return np.where((((x + (1 + seed) * y) // 5) % 2)[..., None] == 0, *colours).astype(np.uint8)


def as_paintings(*pictures: np.ndarray, side: int = 32) -> torch.Tensor:
    cut = [Image.fromarray(picture).resize((side, side)) for picture in pictures]
    return torch.stack([torch.from_numpy(np.asarray(one).copy()).permute(2, 0, 1) for one in cut])


def network(name: str, count: int = 1, **settings):
    """A network that keeps some stripes; its weights are drawn."""
    torch.manual_seed(0)
    small = SMALL if name.startswith("johnson") else {"painting": 32}
    net = build(name, channels=3, size=32, outputs=1, styles=count, **(small | settings))
    net.learn_styles(as_paintings(*(strokes(seed=seed) for seed in range(count))), torch.ones(count), seeing("random"))
    return net.eval()


def bundle_of(net, **settings) -> Bundle:
    task = Stylize(["picture"], style="-", **settings)
    far = reach(net.still(), 3)
    return Bundle(task, task.nets(net), Views(32, 3, "own", (0.0,), (1.0,), overlap=far, whole=True), {}, {"model": "johnson"})


@pytest.fixture
def folder(tmp_path) -> Path:
    """Pictures of several sizes, one of them grey, below names in 中文, and two paintings beside them."""
    place = tmp_path / "照片" / "风景"
    place.mkdir(parents=True)
    for i in range(8):
        picture = Image.fromarray(photograph(40 + 4 * (i % 3), 52, i))
        (picture.convert("L") if i == 3 else picture).save(place / f"图{i}.png")
    for name, seed in (("画", 0), ("另一幅", 1)):
        Image.fromarray(strokes(seed=seed)).save(tmp_path / f"{name}.png")
    return tmp_path


# ── what a style is ─────────────────────────────────────────────────────────────────────────────────────


def test_gram_by_hand():
    maps = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])  # two channels, two places
    assert styles.gram(maps)[0].tolist() == [[5 / 4, 1 / 4], [1 / 4, 10 / 4]]
    less = torch.tensor([[1.0, 1.0]])
    assert styles.gram(maps, less)[0].tolist() == [[1 / 4, -2 / 4], [-2 / 4, 8 / 4]]
    mean, spread = styles.moments(maps)
    assert mean[0].tolist() == [1.5, 1.0] and spread[0].tolist() == pytest.approx([0.5, 2.0], abs=1e-4)


def test_a_picture_has_its_own_style_and_content():
    maps = [torch.rand(2, 3, 8, 8), torch.rand(2, 5, 4, 4)]
    texture = styles.Texture.of(maps)
    assert styles.from_style(maps, texture.mixed(torch.eye(2))).tolist() == pytest.approx([0, 0], abs=1e-9)
    assert (styles.from_style([one.flip(0) for one in maps], texture.mixed(torch.eye(2))) > 1e-4).all()
    assert styles.from_content(maps[0], maps[0]).tolist() == [0, 0]


def test_a_mix_is_the_style_of_pictures_side_by_side():
    one, two = torch.rand(1, 3, 6, 4), torch.rand(1, 3, 6, 4)
    mixed = styles.Texture.of([torch.cat([one, two])]).mixed(torch.tensor([[0.5, 0.5]]))
    assert styles.from_style([torch.cat([one, two], 3)], mixed).item() == pytest.approx(0, abs=1e-9)


def test_the_last_map_of_each_resolution_counts():
    maps = [torch.zeros(1, c, s, s) for c, s in ((1, 8), (2, 8), (3, 4), (4, 2), (5, 2), (6, 1), (7, 1))]
    assert [one.shape[1] for one in styles.coarser(maps)] == [2, 3, 5, 7]


def test_neighbours_that_differ_are_counted():
    assert styles.variation(torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])).item() == 1
    assert styles.variation(torch.rand(2, 3, 1, 1)).tolist() == [0, 0]


# ── networks ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("name", "settings"), [
    ("johnson", {**SMALL, "styles": 2}), ("johnson-half", SMALL), ("adain", {"painting": 32}),
    ("gatys", {"painting": 32, "steps": 2}), ("gatys", {"painting": 32, "steps": 2, "how": "lbfgs"}),
])  # fmt: skip
def test_networks_keep_their_promises(name, settings):
    check_model(name, size=30, **settings)


def test_a_norm_scales_by_shares_of_styles():
    norm, maps = Norm(3, 2), torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        norm.gain.copy_(torch.tensor([[1.0, 1, 1], [3.0, 3, 3]]))
        norm.shift.copy_(torch.tensor([[0.0, 0, 0], [2.0, 2, 2]]))
        out = norm(maps, torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    mean, spread = styles.moments(out)
    assert mean[0].tolist() == pytest.approx([0] * 3, abs=1e-3) and mean[1].tolist() == pytest.approx([1] * 3, abs=1e-3)
    assert spread[0].tolist() == pytest.approx([1] * 3, abs=1e-2) and spread[1].tolist() == pytest.approx([2] * 3, abs=1e-2)


def test_features_take_on_the_statistics_of_the_style():
    net = network("adain")
    seen = net.features_of(torch.rand(1, 3, 40, 40))[-1]
    wanted = styles.moments(net.features_of(net.paintings.float() / 255)[-1])
    worn = styles.moments(net.dressed(seen, *wanted))
    alive = styles.moments(seen)[1] > 0.05  # a channel that is flat in the picture stays flat
    assert alive.float().mean() > 0.5
    for mine, theirs in zip(worn, wanted, strict=True):
        torch.testing.assert_close(mine[alive], theirs[alive], rtol=0.01, atol=0.01)
    torch.testing.assert_close(wanted[0], net.centre)


@torch.no_grad()
def test_without_strength_a_picture_stays_what_it_is():
    picture = torch.rand(1, 3, 24, 28)
    feed = network("johnson")
    feed.strength.fill_(0)
    torch.testing.assert_close(feed(picture), picture)
    any_style = network("adain")
    any_style.strength.fill_(0)
    drawn = any_style.head(any_style.decoder(any_style.features_of(torch.nn.functional.pad(picture, (0, 4, 0, 0), mode="replicate"))[-1]))
    torch.testing.assert_close(any_style(picture), drawn[..., :24, :28])


@torch.no_grad()
def test_colours_are_kept_where_that_is_asked():
    net, picture = network("johnson"), torch.rand(1, 3, 24, 28)
    plain = net(picture)
    net.keep.fill_(1)
    kept = ycbcr(net(picture) * 255)
    torch.testing.assert_close(kept[:, 1:], ycbcr(picture * 255)[:, 1:], rtol=0, atol=0.01)
    torch.testing.assert_close(kept[:, :1], ycbcr(plain * 255)[:, :1], rtol=0, atol=0.01)


@torch.no_grad()
def test_mixed_styles_lie_between():
    net, picture = network("adain", 2), torch.rand(1, 3, 24, 24)
    said = []
    for share in (0.0, 0.5, 1.0):
        net.mix.copy_(torch.tensor([1 - share, share]))
        said.append(net(picture))
    far = (said[0] - said[2]).abs().mean()
    assert far > 1e-4 and (said[1] - said[0]).abs().mean() < far and (said[1] - said[2]).abs().mean() < far


def test_lessons_show_styles_of_many_colours():
    from omma.models.adain import examples

    draws = torch.rand(64, 8, generator=torch.Generator().manual_seed(0))
    found = examples(as_paintings(strokes()), draws, 8)
    assert found.shape == (64, 3, 16, 16) and found.min() >= 0 and found.max() <= 1
    alike = draws[:, 1] < 0.5
    assert (found[alike] == found[alike][:1]).all() and len({round(float(one.mean()), 3) for one in found[~alike]}) > 8


def test_an_encoder_is_built_again_from_its_words(tmp_path):
    assert looks_of("torchvision/vgg11:weights.safetensors") == "torchvision/vgg11"
    net = build("resnet20", channels=3, size=32, outputs=4)
    views = Views(32, 3, "squash", (0.5,) * 3, (0.25,) * 3)
    from omma import catalog

    task = catalog.find("tasks", "classify")(list("abcd"))
    Bundle(task, {"net": net}, views, {}, {"model": "resnet20", "model_settings": {}, "recipe": {}, "data": {}}).save(tmp_path / "网")
    looks = looks_of(str(tmp_path / "网"))
    made = build("adain", channels=3, size=32, outputs=1, looks=looks, painting=32)
    made.learn_styles(as_paintings(strokes()), torch.ones(1), seeing(str(tmp_path / "网")))
    picture = torch.rand(1, 3, 32, 32)
    theirs = styles.coarser(seeing(str(tmp_path / "网")).maps(picture))
    torch.testing.assert_close(made.features_of(picture)[-1], theirs[-1])
    with pytest.raises(OmmaError):
        bare("span")


def test_of_vgg_no_more_is_carried_than_is_looked_through():
    with torch.device("meta"):
        net = build("adain", channels=3, size=32, outputs=1, looks="torchvision/vgg16", painting=32)
    assert net.step == 8 and net.norm is not None and net.centre.shape == (1, 512)
    carried = sum(p.numel() for p in net.eyes.parameters())
    assert carried == 2_915_648, "the convolutions up to relu4_1"


# ── pictures of any size ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["johnson", "adain"])
@torch.no_grad()
def test_parts_make_the_whole(name, monkeypatch):
    """Larger than what is shown first: parts say what the whole says under the same statistics."""
    from omma.engine.painting import tiles

    monkeypatch.setattr(tiles, "THUMBNAIL", 48)
    net = network(name)
    bundle = bundle_of(net)
    picture, pipeline = photograph(150, 203), bundle.pipeline()
    assert remembers(net, picture) and bundle.views.overlap < 100

    def ask(part):
        return pipeline(torch.from_numpy(part))

    tiled, whole = (painted(ask, bundle.task, bundle.views, picture, tile, net).pixels.astype(int) for tile in (64, 4096))
    assert tiled.shape == whole.shape == picture.shape and np.abs(tiled - whole).max() <= 1
    alone = painted(ask, bundle.task, bundle.views, picture, 64).pixels.astype(int)
    assert name == "adain" or np.abs(alone - whole).max() > 2, "without what was shown first there are seams"
    with remembering(net, picture):
        pass
    assert np.array_equal(painted(ask, bundle.task, bundle.views, picture, 64).pixels, alone), "and nothing of it stays"


def test_a_runtime_of_graphs_leaves_large_pictures_to_torch(monkeypatch):
    from omma.engine.painting import tiles
    from omma.runtimes.eager import Eager

    monkeypatch.setattr(tiles, "THUMBNAIL", 48)
    bundle = bundle_of(network("johnson"))
    eager = Eager(bundle)
    (wanted,) = eager.answers([photograph(60, 70)])
    monkeypatch.setattr(Eager, "package", "a library of graphs")
    monkeypatch.setattr(eager, "run", lambda *_: pytest.fail("a graph was asked"))
    assert eager.answers([photograph(60, 70)])[0].same(wanted)


def test_a_long_picture_is_optimised_small():
    net = network("gatys", steps=3, most=24)
    (said,) = net(torch.rand(1, 3, 40, 60))
    assert said.shape == (3, 40, 60)


# ── a picture that is optimised ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["adam", "lbfgs"])
def test_optimising_makes_the_losses_small(how):
    net, picture = network("gatys", steps=20, how=how), torch.from_numpy(photograph(32, 40)).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        made = net(picture)
    before, after = (float(sum(net.losses(one.clone(), picture).values())) for one in (picture, made))
    assert after < 0.7 * before and made.min() >= 0 and made.max() <= 1


def test_what_is_optimised_is_not_learned_but_kept(folder, tmp_path):
    """`train` ends at once; the bundle answers; what has no meaning says why, with its own exit code."""
    words = ["model=gatys", "steps=4", "painting=32", f"style={folder / '画.png'}", "size=32"]
    run = omma.train(str(folder / "照片"), *words, task="stylize", out=str(tmp_path / "run"), device="cpu")
    assert run.steps == 1 and run.scores == {}
    rows = list(omma.predict(str(run.run), str(folder / "照片"), out=str(tmp_path / "out"), device="cpu"))
    assert len(rows) == 8 and all(Path(row["file"]).exists() for row in rows)
    with pytest.raises(NotMeaningful, match="nothing to export"):
        omma.export(str(run.run), data=str(folder / "照片"), out=str(tmp_path / "x.onnx"))
    with pytest.raises(NotMeaningful, match="no weights"):
        omma.compress(str(run.run), data=str(folder / "照片"))
    with pytest.raises(NotMeaningful, match="many steps"):
        omma.explain(str(run.run), rows[0]["path"], out=str(tmp_path / "why.png"), device="cpu")
    assert cli.run(["export", str(run.run), "--data", str(folder / "照片"), "--out", str(tmp_path / "x.onnx")]) == 6
    assert cli.run(["serve", str(run.run), "--port", "0"]) == 6


# ── runs ────────────────────────────────────────────────────────────────────────────────────────────────


WORDS = ["painting=32", "size=24", "batch=4", "evals=1", "checkpoint=3"]


def train(folder: Path, out: str, *words: str, steps: int = 6, **more):
    small = [] if "model=adain" in words else ["model=johnson", "width=4", "blocks=1"]
    asked = ["test=0.25", *small, *WORDS, f"style={folder / '画.png'}", *words]
    return omma.train(str(folder / "照片"), *asked, task="stylize", budget=f"{steps} steps", out=str(folder / out), device="cpu", **more)


@pytest.mark.parametrize("model", ["johnson", "adain"])
def test_a_run_goes_on_bit_for_bit_though_the_painting_has_gone(folder, model):
    from omma.errors import Interrupted
    from test_grid import Stopper

    two = f"style={folder / '画.png'},{folder / '另一幅.png'}"
    whole = train(folder, "whole", f"model={model}", two, "mix=1,3")
    with pytest.raises(Interrupted):
        train(folder, "stopped", f"model={model}", two, "mix=1,3", watch=Stopper(4))
    for name in ("画.png", "另一幅.png"):
        (folder / name).unlink()
    resumed = omma.train(resume=str(folder / "stopped"), device="cpu")
    assert resumed.open().digest == whole.open().digest and resumed.scores == whole.scores
    assert resumed.open().net.mix.tolist() == [0.25, 0.75]
    assert whole.scores["style"]["protocol"] == {"encoder": "random-1"}


@pytest.mark.parametrize("name", ["johnson-half", "adain"])
def test_losses_are_reckoned_in_float32_whatever_a_step_multiplies_in(name):
    settings = {"width": 4, "blocks": 1} if name == "johnson-half" else {}
    net = build(name, channels=3, size=32, outputs=1, painting=32, **settings).eval()
    net.paintings.copy_(torch.randint(0, 256, net.paintings.shape, dtype=torch.uint8))
    encoder, pictures, draws = seeing("random"), torch.rand(2, 3, 32, 32), torch.rand(2, 8)
    with torch.autocast("cpu", torch.bfloat16):  # what is kept of the style is first looked at here
        coarse = net.lesson(pictures, draws, encoder)
    fine = net.lesson(pictures, draws, encoder)
    for key, loss in coarse.items():
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, fine[key], rtol=0.05, atol=1e-3)
    assert all(one.dtype == torch.float32 for one in net.texture(encoder).products)


def test_the_step_with_the_least_loss_is_kept(folder, tmp_path):
    run = train(folder, "run", "evals=3", steps=6)
    rows = [json.loads(line) for line in (folder / "run" / "events.jsonl").read_text("utf-8").splitlines()]
    looks = [row for row in rows if row["event"] == "eval"]
    assert len(looks) == 3 and all(row["score"] == -row["val_loss"] for row in looks)
    kept = next(row for row in rows if row["event"] == "end")["best_step"]
    assert kept == min(looks, key=lambda row: row["val_loss"])["step"] and run.steps == 6


def test_predict_paints_like_another_picture(folder, capsys):
    run = str(train(folder, "run", "model=adain", steps=2).run)
    pictures = str(folder / "照片")
    capsys.readouterr()
    asked = ["predict", run, pictures, "--device", "cpu", "--json", "--out"]
    said = {}
    for name, more in (("如前", []), ("另", ["--style", str(folder / "另一幅.png")]), ("弱", ["--strength", "0.2"])):
        assert cli.run([*asked, str(folder / name), *more]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert {Path(row["file"]).relative_to(folder / name).as_posix() for row in rows} >= {"图0.png", "图7.png"}
        said[name] = [np.asarray(Image.open(row["file"])).astype(int) for row in rows]
        assert all(Path(row["path"]).exists() for row in rows) and said[name][3].shape[2] == 3, "grey is painted in colour"
    assert any((one != two).any() for one, two in zip(said["如前"], said["另"], strict=True))
    assert any((one != two).any() for one, two in zip(said["如前"], said["弱"], strict=True))
    assert cli.run([*asked, str(folder / "如前"), "--style", str(folder / "另一幅.png")]) == 2, "a folder answers one question"
    assert cli.run([*asked, str(folder / "x"), "--style", "nowhere.png"]) == 2
    assert cli.run([*asked, str(folder / "x"), "--strength", "2"]) == 2


def test_what_was_learned_stays(folder, tmp_path):
    two = f"style={folder / '画.png'},{folder / '另一幅.png'}"
    run = str(train(folder, "run", two, steps=2).run)
    bundle = omma.open(run)
    bundle.task.restyle(bundle.net, str(folder / "另一幅.png"), None)
    assert bundle.net.mix.tolist() == [0, 1], "one of those it has learned may be named"
    Image.fromarray(strokes(seed=5)).save(folder / "未学.png")
    with pytest.raises(OmmaError, match="has learned other"):
        omma.predict(run, str(folder / "照片"), out=str(tmp_path / "out"), style=str(folder / "未学.png"))
    from models_at_hand import bundle_of as plain

    made = plain()
    made.card["task"] = "classify"
    made.save(tmp_path / "cats")
    with pytest.raises(OmmaError, match="does not paint"):
        omma.predict(str(tmp_path / "cats"), str(folder / "照片"), strength=0.5)


def test_words_that_mean_nothing_are_refused(folder):
    for words, told in (
        ([], "paint like"), (["style=nowhere.png"], "no picture"), ([f"style={folder / '画.png'}", "mix=1,2"], "share out"),
        ([f"style={folder / '画.png'}", "colours=blue"], "colours"), ([f"style={folder / '画.png'}", "model=span"], "johnson"),
        ([f"style={folder / '画.png'}", "strength=2"], "strength"), ([f"style={folder / '画.png'}", "fit=squash"], "fit"),
    ):  # fmt: skip
        with pytest.raises(OmmaError, match=told):
            omma.train(str(folder / "照片"), *words, task="stylize", budget="1 step", out=str(folder / "no"), device="cpu")
        assert not (folder / "no").exists()


def test_names_of_styles(folder, tmp_path):
    assert len(files_of(str(folder / "照片" / "风景"))) == 8
    assert files_of(f"{folder / '画.png'}, {folder / '另一幅.png'}") == [folder / "画.png", folder / "另一幅.png"]
    odd = tmp_path / "a, b.png"
    Image.fromarray(strokes(60)[:40]).save(odd)
    assert files_of(str(odd)) == [odd] and painting(odd, 20).shape == (3, 20, 20)


# ── scores ──────────────────────────────────────────────────────────────────────────────────────────────


def test_scores_know_the_style_from_the_picture(folder):
    from omma.answers.picture import Picture

    net = network("johnson")
    task = Stylize(["picture"], style="-")
    task.nets(net)
    given, style = Picture.of(photograph(32, 32)), Picture.of(net.paintings[0].permute(1, 2, 0).numpy())
    metrics = task.metrics()
    assert list(metrics) == ["style", "content"] and all(metric.better == "lower" for metric in metrics.values())
    rows = {key: metric.records([given, style], [given, given])["value"] for key, metric in metrics.items()}
    assert rows["style"].tolist() == pytest.approx([1, 0], abs=1e-3) and rows["content"][0] == 0 and rows["content"][1] > 0.1
    assert np.isnan(Stylize(["picture"]).metrics()["style"].records([given], [given])["value"][0]), "nobody knows the style"
    assert unlearned(1).name != eyes("random").name
    assert task.infer(task.nets(net), Batch(torch.rand(1, 1, 8, 9)))["restored"].shape == (1, 3, 8, 9)

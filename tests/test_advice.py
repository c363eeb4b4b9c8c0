"""What a person hears before learning begins, and what becomes of settings that cannot be taken at their word."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import omma
from omma.data.duplicates import Duplicates
from omma.data.sample import Dataset, Sample
from omma.engine.measure import Times
from omma.errors import Interrupted, OmmaError
from omma.progress import Watch
from omma.recipe import ORIGINS, SETTABLE, Recipe
from omma.report.twin import twin
from omma.run import advice, course
from omma.verbs.train import train

WORDS = ["model=quick-narrow", "widths=8,8", "depth=1", "threads=1", "tta=none"]


class Ears(Watch):
    """Keeps what is said."""

    def __init__(self):
        self.said, self.warned = [], []

    def say(self, line):
        self.said.append(line)

    def warn(self, line):
        self.warned.append(line)


def pictures(count, seed=0):
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    coarse = draw.integers(0, 60, (count, 4, 4, 3)).repeat(4, 1).repeat(4, 2)
    return (coarse * 2 + (labels * 100)[:, None, None, None]).astype("uint8"), labels


def parts(path, copies):
    """A set with given parts; `copies` of its test pictures are training pictures."""
    (train_x, train_y), (test_x, test_y) = pictures(40), pictures(20, seed=1)
    test_x[:copies], test_y[:copies] = train_x[:copies], train_y[:copies]
    np.savez(path, train_images=train_x, train_labels=train_y, test_images=test_x, test_labels=test_y)
    return str(path)


def test_copies_across_given_parts_are_told_and_kept_with_the_run(tmp_path):
    ears = Ears()
    done = train(parts(tmp_path / "leaky.npz", 6), *WORDS, budget="2 steps", out=str(tmp_path / "run"), watch=ears)
    (line,) = [line for line in ears.warned if "lie across the parts" in line]
    assert line.startswith("6 groups") and line in done.notes and line in omma.open(done.run).card["notes"]
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert line in page and twin(line)["zh"] in page
    clean = train(parts(tmp_path / "clean.npz", 0), *WORDS, budget="2 steps", out=str(tmp_path / "other"), watch=(ears := Ears()))
    assert not ears.warned and not clean.notes


def test_groups_torn_by_given_parts_are_told():
    rows = [Sample(id=f"{i}", group="anna" if i < 2 else None, split=split) for i, split in enumerate(["train", "test", "test"])]
    told = list(advice.leaks(Dataset(rows, [], None, "csv", "."), Duplicates()))
    assert len(told) == 1 and told[0].startswith("1 groups")


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["optimizer=rmsprop", "momentum=0.5"], "momentum"),
        (["optimizer=gd", "batch=8"], "batch"),
        (["freeze=yes", "layer_decay=0.5"], "layer_decay"),
        (["val=0", "early_stop=3"], "early_stop"),
        (["loss=nll", "label_smoothing=0.1"], "label_smoothing"),
        (["loss=nll", "mixup=0.2"], "mixup"),
        (["fit=pad", "balance=pictures"], "balance"),
    ],
)
def test_a_setting_that_is_ignored_warns(words, key):
    recipe = Recipe(task="classify").tell(words)
    recipe.optimizer = recipe.optimizer or "muon"
    (line,) = advice.ignored(recipe, {}, False)
    assert key in line
    assert not list(advice.ignored(Recipe(task="classify").tell(["optimizer=momentum", "momentum=0.5"]), {}, False))


@pytest.mark.parametrize("task", ["detect", "segment"])
@pytest.mark.parametrize("goal", ["nonsense", "recall>=1.5", "recall>=nan", "f1>=0.5", "precision"])
def test_a_goal_that_is_none_is_refused_before_anything_is_learned(task, goal, tmp_path):
    with pytest.raises(OmmaError, match="is none of"):
        Recipe(task=task).tell([f"goal={goal}"])
    (tmp_path / "own.toml").write_text(f'task = "{task}"\n[task_settings]\ngoal = "{goal}"\n', "utf-8")
    with pytest.raises(OmmaError, match="is none of"):
        Recipe().read(tmp_path / "own.toml")


def test_a_goal_for_pixels_of_many_classes_is_ignored_aloud():
    recipe = Recipe(task="segment").tell(["goal=recall>=0.9"])
    (line,) = advice.ignored(recipe, {}, False, 4)
    assert "goal is ignored" in line and "4 classes" in line
    assert not list(advice.ignored(recipe, {}, False, 2))
    assert not list(advice.ignored(Recipe(task="segment").tell(["goal="]), {}, False, 4))
    assert not list(advice.ignored(Recipe(task="detect").tell(["goal=recall>=0.9"]), {}, False, 4))


def test_a_share_of_what_is_given_and_weights_beside_a_bundle_are_ignored_aloud():
    recipe = Recipe(task="regress").tell(["test=0.3", "pretrained=yes", "balance=weights"])
    assert len(list(advice.ignored(recipe, {"train": 5, "test": 5}, True))) == 3


def test_a_timed_budget_below_an_epoch_names_what_would_fit():
    recipe = Recipe(preset="best", size=128)
    line = advice.short(recipe, total=10, per_epoch=100, seconds=3.0)
    assert "10%" in line and "--budget 26min" in line and "--preset fast" in line and "size=64" in line
    assert advice.short(recipe, total=100, per_epoch=100, seconds=3.0) is None


@pytest.mark.parametrize(
    ("words", "answer", "tta", "origin", "evals"),
    [([], 1e-4, "flip", "preset", 10), ([], 100.0, "none", "plan", 1), (["tta=flip"], 100.0, "flip", "you", 1)],
)
def test_judging_leaves_a_timed_budget_something_to_learn_with(tmp_path, monkeypatch, words, answer, tta, origin, evals):
    """Where answering is slow, views nobody asked for are not averaged and validation is looked at once."""
    monkeypatch.setattr(course, "times", lambda *_: Times(step=60.0, answer=answer))
    monkeypatch.setattr(course, "learn", lambda *_, **__: (_ for _ in ()).throw(Interrupted("planned")))
    data, plain = parts(tmp_path / "set.npz", 0), [word for word in WORDS if not word.startswith("tta")]
    with pytest.raises(Interrupted, match="planned"):
        train(data, *plain, *words, "rotate=0", "flip=yes", budget="1h", out=str(tmp_path / "run"))
    kept = json.loads((tmp_path / "run" / "recipe.json").read_text("utf-8"))
    assert (kept["recipe"]["tta"], kept["recipe"]["origin"]["tta"], kept["recipe"]["evals"]) == (tta, origin, evals)
    assert kept["facts"]["views"]["tta"] == tta and kept["facts"]["total"] >= 1


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("epochs=3", '--budget "3 epochs"'),
        ("steps=20", '--budget "20 steps"'),
        ("minutes=5", '--budget "5 min"'),
        ("lr=0.1", "rate"),
        ("batch_size=8", "batch"),
        ("widths=8,8", "--model quick"),
        ("loss=huber", "cross_entropy"),
    ],
)
def test_words_of_other_tools_are_answered_with_ours(word, answer):
    with pytest.raises(OmmaError) as told:
        Recipe(task="classify").tell([word])
    assert answer in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize("loss", ["cross_entropy", "nll", "focal", "mse", "bce", "hinge"])
def test_every_loss_of_classes_learns(loss, tmp_path):
    done = train(parts(tmp_path / "set.npz", 0), *WORDS, f"loss={loss}", budget="60 steps", out=str(tmp_path / "run"))
    assert done.scores["accuracy"]["low"] > 0.5


def test_class_weights_are_one_for_each_class(tmp_path):
    data = parts(tmp_path / "set.npz", 0)
    with pytest.raises(OmmaError, match="3 numbers for 2 classes"):
        train(data, *WORDS, "class_weights=1,2,3", budget="2 steps", out=str(tmp_path / "run"))
    done = train(data, *WORDS, "class_weights=1,2.5", budget="2 steps", out=str(tmp_path / "other"))
    assert list(omma.open(done.run).task.settings["class_weights"]) == [1.0, 2.5]


def test_classes_of_pixels_are_weighed_by_how_little_they_cover(tmp_path):
    """Median frequency by hand: half of the pixels, a quarter, and a sixteenth of the one picture in two that shows it."""
    from omma.answers.mask import VOID, Mask
    from omma.data.fingerprint import Fingerprint
    from omma.run.balance import class_weights

    names = ["ground", "road", "sign", "never"]
    one = np.zeros((16, 16), np.uint8)
    one[:, 8:] = 1
    two = one.copy()
    two[:4, :4], two[12:, 12:] = 2, VOID
    weights = class_weights([Mask.of(one, names), None, Mask.of(two, names)], Fingerprint, names)  # type: ignore[arg-type]
    share = np.array([(128 + 112) / 496, (128 + 112) / 496, 16 / 240])
    assert weights == pytest.approx([*np.median(share) / share, 1.0], abs=1e-6)
    assert class_weights([Mask.of(np.full((4, 4), VOID, np.uint8), names)], Fingerprint, names) == [1.0] * 4  # type: ignore[arg-type]


def test_a_recipe_file_keeps_signs_and_small_numbers(tmp_path):
    recipe = Recipe(task="regress")
    recipe.task_settings = {"centre": [-4.5, 1e-05], "width": [2.0, 3e-07]}
    (tmp_path / "recipe.toml").write_text(recipe.toml(), "utf-8")
    again = Recipe(task="regress").read(tmp_path / "recipe.toml")
    assert list(again.task_settings["centre"]) == [-4.5, 1e-05] and list(again.task_settings["width"]) == [2.0, 3e-07]


def test_the_settings_are_told_with_their_origins(tmp_path):
    ears = Ears()
    done = train(parts(tmp_path / "set.npz", 0), *WORDS, budget="2 steps", out=str(tmp_path / "run"), watch=ears)
    told = [line for line in ears.said if line.startswith("settings")]
    assert "widths=8,8" in told[0] and "(you)" in told[0] and any("(the data)" in line and "size=16" in line for line in told)
    assert "# you" in (done.run / "recipe.toml").read_text("utf-8").split("[model_settings]")[1]


def test_a_pruned_copy_is_gone_on_from_and_stays_narrow(tmp_path):
    from omma.parts.surgery import operate

    first = train(parts(tmp_path / "set.npz", 0), *WORDS, budget="20 steps", out=str(tmp_path / "run"))
    bundle = omma.open(first.run)
    weights = {key: value.clone() for key, value in bundle.net.state_dict().items()}
    plan = {"groups.0.convs.0": [4, bundle.net.stem.out_channels], "groups.0.norms.0": [4, 4], "groups.1.convs.0": [8, 4]}
    operate(bundle.net, plan)
    for key, value in bundle.net.state_dict().items():
        value.copy_(weights[key][tuple(slice(0, n) for n in value.shape)])
    bundle.card["surgery"] = plan
    bundle.save(tmp_path / "narrow")
    three = tmp_path / "three.npz"
    np.savez(three, images=pictures(60)[0], labels=np.arange(60) % 3)
    more = train(str(three), "threads=1", budget="4 steps", from_=str(tmp_path / "narrow"), out=str(tmp_path / "more"))
    grown = omma.open(more.run)
    shapes = {key: tuple(value.shape) for key, value in bundle.net.state_dict().items()}
    assert all(tuple(v.shape) == shapes[k] for k, v in grown.net.state_dict().items() if not k.startswith("head."))
    assert grown.net.head.weight.shape[0] == 3 and grown.net.head.weight.isfinite().all()
    assert json.loads((tmp_path / "more" / "recipe.json").read_text("utf-8"))["facts"]["surgery"] == plan


def test_a_run_that_goes_on_from_a_file_or_a_model_resumes_without_either(tmp_path):
    class Stop(Ears):
        def event(self, event):
            if event["event"] == "eval" and event["step"] >= 4:
                os.kill(os.getpid(), 2)

    data = parts(tmp_path / "set.npz", 0)
    first = train(data, *WORDS, budget="4 steps", out=str(tmp_path / "first"))
    file = tmp_path / "weights.safetensors"
    shutil.copy(first.bundle / "weights.safetensors", file)
    # Brighter pictures: their own mean and deviation are not those of the model gone on from.
    arrays = dict(np.load(data))
    np.savez(tmp_path / "other.npz", **{key: value + 60 if "images" in key else value for key, value in arrays.items()})
    for name, words, start in (("bundle", ["threads=1", "tta=none"], str(first.run)), ("file", [*WORDS, f"pretrained={file}"], None)):
        told = {"budget": "10 steps", "from_": start}
        whole = train(str(tmp_path / "other.npz"), *words, **told, out=str(tmp_path / f"{name}-whole"), watch=(ears := Ears()))
        assert any(line.startswith("starts from") and "licence" in line for line in ears.said)
        with pytest.raises(Interrupted):
            train(str(tmp_path / "other.npz"), *words, **told, out=str(tmp_path / f"{name}-cut"), watch=Stop())
        if name == "file":
            file.unlink()
        again = train(resume=str(tmp_path / f"{name}-cut"))
        assert omma.open(again.run).digest == omma.open(whole.run).digest
        assert omma.open(again.run).card["origin"] == omma.open(whole.run).card["origin"]


def test_smaller_pictures_are_not_shown_to_a_network_of_one_size():
    class Fixed(torch.nn.Module):
        def forward(self, pictures):
            assert pictures.shape[2] == 16
            return pictures.mean((1, 2, 3))

    assert advice.takes(Fixed(), 3, 16) and not advice.takes(Fixed(), 3, 12)


def test_three_pictures_are_told_to_be_few_and_undefined_scores_are_dashes(tmp_path):
    np.savez(tmp_path / "few.npz", images=pictures(3)[0], labels=np.array([0, 0, 1]))
    done = train(str(tmp_path / "few.npz"), *WORDS, budget="2 steps", out=str(tmp_path / "run"))
    assert any(score["value"] is None or score["low"] is None for score in done.scores.values())
    assert "–" in "\n".join(done.lines()) and "None" not in "\n".join(done.lines())
    assert "None" not in "\n".join(omma.show(str(done.run)).lines())
    assert done.report.is_file()


@pytest.mark.parametrize("tongue", ["en", "zh"])
def test_every_setting_is_told_in_both_languages(tongue, monkeypatch):
    monkeypatch.setenv("OMMA_LANG", tongue)
    told = omma.show("settings").json()["settings"]
    assert told["val"].startswith("0 – 0.9 [0.1]") and "adamw" in told["optimizer"]
    for key, field in SETTABLE.items():
        assert (field.metadata["help"] in told[key]) == (tongue == "en" or key == "trivial"), key


def test_every_origin_has_a_name():
    for origin in ORIGINS:
        recipe = Recipe(task="classify")
        recipe.put(origin, flip=True)
        told = list(advice.settings(recipe))
        assert (origin == "default") == (not told) and all("flip=yes" in line for line in told)


def test_another_shape_cannot_go_on(tmp_path):
    data = parts(tmp_path / "set.npz", 0)
    first = train(data, *WORDS, budget="2 steps", out=str(tmp_path / "run"))
    with pytest.raises(OmmaError, match="do not fit"):
        train(data, "widths=4,4", "threads=1", budget="2 steps", from_=str(first.run), out=str(tmp_path / "other"))


def test_a_goal_out_of_reach_is_told_and_kept_with_the_run(tmp_path):
    """Where the few pixels of the second class lie is drawn by lot: no threshold shows them alone."""
    draw = np.random.default_rng(0)
    for place in range(8):
        for folder, values in (("images", draw.integers(0, 256, (32, 32, 3))), ("masks", draw.random((32, 32)) < 0.03)):
            (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values.astype(np.uint8)).save(tmp_path / "set" / folder / f"{place}.png")
    words = ["task=segment", "model=unet-small", "size=32", "goal=precision>=1", "val=0.25", "test=0.25", "threads=1"]
    done = train(str(tmp_path / "set"), *words, budget="1 step", out=str(tmp_path / "run"))
    kept = omma.open(done.run)
    (line,) = [line for line in done.notes if "precision>=1" in line]
    assert line in kept.card["notes"] and line in done.lines() and "unreached" not in kept.point
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert twin(line)["zh"].replace(">", "&gt;") in page

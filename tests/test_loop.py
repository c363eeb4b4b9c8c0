"""The loop: turns, micro-batches, roll-backs, early ends, and resuming in the same bits."""

from __future__ import annotations

import copy
import time

import pytest
import torch

from omma.engine import turn
from omma.engine.checkpoint import Checkpoints
from omma.engine.loop import learn, tensors_of
from omma.engine.measure import over_cycle, times
from omma.engine.turn import Players
from omma.errors import NonFinite
from omma.tasks.classify import Classify
from toys import CPU, TinyBatches, TinyNet, TwoPlayers, tiny_recipe


def players(recipe, seed=0):
    torch.manual_seed(seed)
    task = Classify(["a", "b"])
    return task, Players.gather(task, CPU.place(TinyNet()), recipe)


def validate(nets):
    weight = nets["net"].head.weight
    return float(-weight.abs().sum()), {"val_loss": float(weight.square().sum())}


def run(folder, recipe, total=20, resume=None, stop=lambda: False, batches=None, check=validate):
    task, who = players(recipe)
    keep = Checkpoints(folder)
    events = list(learn(task, who, batches or TinyBatches(), recipe, CPU, keep, check, total, resume=resume, stop=stop))
    return who, events, keep


def bits(who):
    return {f"{file}/{key}": value.clone() for file, group in tensors_of(who).items() for key, value in group.items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def rows(events, after=0):
    return [e for e in events if e["event"] in ("step", "eval") and e["step"] > after]


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "rmsprop", "adam", "adamw", "muon"])
def test_a_resumed_run_ends_in_the_same_bits(tmp_path, optimizer):
    recipe = tiny_recipe(optimizer=optimizer, checkpoint=3)
    whole, events, _ = run(tmp_path / "whole", recipe)
    count = iter(range(100))
    _, _, keep = run(tmp_path / "cut", recipe, stop=lambda: next(count) == 6)
    found = keep.latest()
    assert found is not None and 0 < found.step < 20
    again, more, _ = run(tmp_path / "cut", recipe, resume=found)
    assert same(bits(whole), bits(again))
    assert rows(events, found.step) == rows(more)


def test_a_resume_that_forgets_the_optimizer_is_caught(tmp_path):
    """Negative control: the comparison above would see a defect."""
    recipe = tiny_recipe(checkpoint=3)
    whole, _, _ = run(tmp_path / "whole", recipe)
    count = iter(range(100))
    _, _, keep = run(tmp_path / "cut", recipe, stop=lambda: next(count) == 6)
    found = keep.latest()
    found.tensors["optimizer-net"] = {key: torch.zeros_like(value) for key, value in found.tensors["optimizer-net"].items()}
    again, _, _ = run(tmp_path / "cut", recipe, resume=found)
    assert not same(bits(whole), bits(again))


@pytest.mark.parametrize(
    ("pace", "steps"),
    [
        (lambda step: 1.0, range(100, 101)),  # as planned
        (lambda step: 0.5, range(185, 206)),  # twice as fast as was planned: nearly twice the steps
        (lambda step: 2.0, range(46, 56)),  # half as fast
        (lambda step: 4.0 if step < 10 else 0.75, range(86, 94)),  # slow at first: what came later counts
    ],
)
def test_the_clock_decides_at_half_time_how_many_steps_there_are(tmp_path, monkeypatch, pace, steps):
    """100 steps are planned in 100 seconds."""
    now, taken = [0.0], turn.take

    def take(*args, **kwargs):
        now[0] += pace(len(seen))
        seen.append(args[6])
        return taken(*args, **kwargs)

    seen: list[float] = []
    monkeypatch.setattr("omma.engine.loop.time.monotonic", lambda: now[0])
    monkeypatch.setattr(turn, "take", take)
    recipe = tiny_recipe(schedule="onecycle", evals=4)
    task, who = players(recipe)
    events = list(learn(task, who, TinyBatches(), recipe, CPU, Checkpoints(tmp_path), validate, 100, deadline=100.0))
    assert events[-1]["event"] == "end" and events[-1]["step"] in steps and len(seen) == events[-1]["step"]
    assert now[0] <= 106 and seen[-1] < 0.03 * max(seen), "the rate is down when the time is over"
    looks = [event["step"] for event in events if event["event"] == "eval"]
    assert len(looks) == len(set(looks)) and max(b - a for a, b in zip([0, *looks], looks, strict=False)) <= 25


def test_micro_batches_give_the_gradient_of_the_whole_batch():
    recipe = tiny_recipe(optimizer="sgd", ema=0.0)
    task = Classify(["a", "b"])
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    batch = TinyBatches(batch=10).at(0)
    grads = []
    for micro in (10, 3):
        who = Players.gather(task, copy.deepcopy(net), recipe)
        turn.take(task, who, batch, 0, recipe, CPU, 0.0, micro)
        grads.append(who.nets["net"][1].weight.grad)
    assert torch.allclose(grads[0], grads[1], atol=1e-6)


def test_out_of_memory_halves_the_micro_batch_and_goes_on(tmp_path, monkeypatch):
    real, calls = turn.take, []

    def short_of_memory(task, who, batch, step, recipe, machine, rate, micro):
        calls.append(micro)
        if micro > 2:
            with torch.no_grad():
                who.nets["net"].body[1].running_mean += 7  # what a half-done forward leaves behind
            raise torch.OutOfMemoryError("out of memory")
        return real(task, who, batch, step, recipe, machine, rate, micro)

    monkeypatch.setattr(turn, "take", short_of_memory)
    who, events, _ = run(tmp_path, tiny_recipe(), total=3)
    assert calls[:3] == [8, 4, 2] and set(calls[3:]) == {2}
    assert [e for e in events if e["event"] == "notice"] and events[-1]["event"] == "end"
    assert who.nets["net"].body[1].running_mean.abs().max() < 5


def test_other_errors_are_not_taken_for_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(turn, "take", lambda *a: (_ for _ in ()).throw(RuntimeError("shape mismatch")))
    with pytest.raises(RuntimeError, match="shape"):
        run(tmp_path, tiny_recipe(), total=3)


def test_a_bad_batch_rolls_back_names_its_pictures_and_never_reaches_a_file(tmp_path):
    _, events, keep = run(tmp_path, tiny_recipe(checkpoint=2), batches=TinyBatches(bad_step=7))
    back = next(e for e in events if e["event"] == "rollback")
    assert back["failed"] == 7 and back["step"] == 6 and back["rate_factor"] == 0.5 and back["files"][0] == "0.png"
    assert events[-1]["event"] == "end"
    for step in keep.steps():
        for group in keep.read(step).tensors.values():
            assert all(torch.isfinite(t).all() for t in group.values() if t.is_floating_point())


def test_a_batch_that_stays_bad_stops_after_three_roll_backs(tmp_path):
    with pytest.raises(NonFinite) as error:
        run(tmp_path, tiny_recipe(checkpoint=2), batches=TinyBatches(bad_step=7, cures=False))
    assert "0.png" in str(error.value) and error.value.code == 65
    assert Checkpoints(tmp_path).latest() is not None


def test_early_stopping_jumps_to_an_annealed_tail(tmp_path):
    falling = iter(range(0, -1000, -1))
    _, events, keep = run(tmp_path, tiny_recipe(evals=20, early_stop=3), total=40, check=lambda nets: (float(next(falling)), {}))
    assert events[-1]["step"] < 40
    assert [e for e in events if e["event"] == "step"][-1]["rate"] < 0.02
    assert events[-1]["best_step"] in keep.steps()


def test_a_player_steps_before_the_code_after_its_yield(tmp_path):
    task = TwoPlayers(["a", "b"])
    torch.manual_seed(0)
    model = torch.nn.ModuleDict({"maker": torch.nn.Linear(4, 4), "judge": torch.nn.Linear(4, 1)})
    before = model["judge"].weight.detach().clone()
    who = Players.gather(task, model, tiny_recipe(ema=0.5))
    maker = model["maker"].weight.detach().clone()
    turn.take(task, who, TinyBatches().at(0), 0, tiny_recipe(), CPU, 0.1, 3)
    assert not torch.equal(before, task.after_judge) and torch.equal(task.after_judge, model["judge"].weight)
    assert torch.equal(maker, model["maker"].weight) and who.averages["maker"].steps == 0  # no turn: frozen, not averaged
    turn.take(task, who, TinyBatches().at(1), 1, tiny_recipe(), CPU, 0.1, 3)
    assert not torch.equal(maker, model["maker"].weight) and who.averages["maker"].steps == 1


def test_learning_needs_nothing_held_out(tmp_path):
    _, events, keep = run(tmp_path, tiny_recipe(), total=4, check=None)
    assert events[-1]["best_step"] is None and keep.latest().step == 4


def test_a_step_costs_what_one_costs_over_a_cycle_of_turns():
    """At each place of a cycle the median counts, of whole cycles of the later half; one turn in five is no outlier."""
    assert over_cycle([9, 9, 9, 9, 9, 1, 1, 1, 1, 6], 5) == 2.0
    assert over_cycle([9, 9, 9, 9, 9, 9, 1, 8, 1, 3, 1, 3], 2) == 2.0
    assert over_cycle([7, 7, 1, 2, 9], 1) == 5.5


def test_turns_that_come_later_are_measured_too():
    class Slow(TwoPlayers):
        """Its maker, who has a turn at every second step, takes 40 ms."""

        cycle = 2

        def turns(self, nets, batch, step):
            yield from super().turns(nets, batch, step)
            time.sleep(0.04 * (step % 2))

    model = torch.nn.ModuleDict({"maker": torch.nn.Linear(4, 4), "judge": torch.nn.Linear(4, 1)})
    task, recipe = Slow(["a", "b"]), tiny_recipe(ema=0.0)
    before = copy.deepcopy(model.state_dict())
    found = times(1.0, task, Players.gather(task, model, recipe), TinyBatches(), recipe, CPU, None, 1)
    assert found.step >= 0.02 and all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize(("seconds", "calls"), [(1000.0, 2), (0.5, 1)])
def test_answers_are_timed_again_when_they_are_warm_where_there_is_time(seconds, calls):
    took = iter([0.3, 0.0])

    def look(nets):
        time.sleep(next(took))
        return 0.0, {}

    model = torch.nn.ModuleDict({"maker": torch.nn.Linear(4, 4), "judge": torch.nn.Linear(4, 1)})
    task, recipe = TwoPlayers(["a", "b"]), tiny_recipe(ema=0.0)
    found = times(seconds, task, Players.gather(task, model, recipe), TinyBatches(), recipe, CPU, look, 10)
    assert len(list(took)) == 2 - calls and (found.answer < 0.03) == (calls == 2)

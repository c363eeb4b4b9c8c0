"""Losses, schedules, optimizers, budgets: the small parts of learning against hand-worked or library values."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from omma import catalog
from omma.engine import optim
from omma.engine.average import Average
from omma.engine.budget import parse
from omma.engine.muon import orthogonal
from omma.engine.schedule import Course, factor
from omma.errors import OmmaError
from toys import TinyNet, tiny_recipe

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.0]])
HARD = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def test_cross_entropy_and_nll_agree_on_hard_targets():
    want = -(LOGITS.log_softmax(1) * HARD).sum(1).mean()
    assert torch.allclose(catalog.find("losses", "cross_entropy")(LOGITS, HARD), want)
    assert torch.allclose(catalog.find("losses", "nll")(LOGITS, HARD), want)


def test_class_weights_weigh():
    weight = torch.tensor([1.0, 1.0, 3.0])
    terms = -(LOGITS.log_softmax(1) * HARD).sum(1)
    assert torch.allclose(catalog.find("losses", "nll")(LOGITS, HARD, weight=weight), (terms[0] + 3 * terms[1]) / 4)


def test_focal_without_focus_is_cross_entropy_and_fades_easy_pictures():
    focal = catalog.find("losses", "focal")
    assert torch.allclose(focal(LOGITS, HARD, gamma=0.0), catalog.find("losses", "cross_entropy")(LOGITS, HARD))
    easy = torch.tensor([[9.0, 0.0, 0.0]])
    assert focal(easy, HARD[:1]) < 1e-4 * catalog.find("losses", "cross_entropy")(easy, HARD[:1])


def test_binary_losses():
    target = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    want = F.binary_cross_entropy(LOGITS.sigmoid(), target)
    assert torch.allclose(catalog.find("losses", "bce")(LOGITS, target), want)
    assert torch.allclose(catalog.find("losses", "focal_binary")(LOGITS, target, gamma=0.0), want)


def test_losses_of_numbers():
    truth = torch.tensor([[1.0], [2.0]])
    guess = torch.tensor([[1.5], [-1.0]])
    assert catalog.find("losses", "mse")(guess, truth).item() == pytest.approx((0.25 + 9) / 2)
    assert catalog.find("losses", "huber")(guess, truth).item() == pytest.approx((0.125 + 2.5) / 2)
    with_variance = torch.cat([guess, torch.log(torch.tensor([[4.0], [9.0]]))], 1)
    want = F.gaussian_nll_loss(guess, truth, torch.tensor([[4.0], [9.0]]), eps=0)
    assert catalog.find("losses", "gaussian")(with_variance, truth).item() == pytest.approx(want.item())


@pytest.mark.parametrize("name", ["cosine", "onecycle", "trapezoid"])
def test_schedules_rise_and_end_annealed(name):
    values = [factor(name, (i + 0.5) / 1000, 0.1) for i in range(1000)]
    assert values[0] < 0.01 and max(values) > 0.99 and values[-1] < 0.01
    assert all(a <= b for a, b in pairwise(values[:100]))


def test_step_and_constant():
    assert [factor("step", p) for p in (0.4, 0.6, 0.9)] == [1.0, 0.1, 0.01]
    assert factor("constant", 0.9) == 1.0


def test_an_early_end_is_annealed_too():
    course = Course("constant", 0.0, 100)
    course.end_early(50, 10)
    assert course.last == 60 and course.at(49) == 1.0 and course.at(59) == pytest.approx(0.05)
    late = Course("constant", 0.0, 100)
    late.end_early(95, 10)
    assert late.last == 100


def test_a_machine_that_becomes_slower_again_ends_the_run_sooner_again():
    course = Course("onecycle", 0.0, 1000)
    course.end_early(200, 600)
    before = course.at(500)
    course.end_early(500, 100)
    assert course.last == 600 and course.at(500) == pytest.approx(before, rel=0.02) and course.at(599) < 0.01
    course.end_early(550, 80)
    assert course.last == 600, "an end is never put off"


def test_a_machine_that_became_faster_takes_more_steps_where_the_rate_falls():
    course = Course("onecycle", 0.0, 1000)
    course.end_later(500, 700)
    assert course.last == 1200 and course.at(500) == pytest.approx(0.5, abs=0.01) and course.at(1199) < 0.01
    course.end_later(600, 900)
    assert course.last == 1200, "put off once"
    course.end_early(900, 100)
    assert course.last == 1000 and course.at(999) < 0.01
    for name in ("constant", "step", "trapezoid"):
        even = Course(name, 0.0, 1000)
        even.end_later(500, 700)
        assert even.last == 1000


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [("10min", "seconds", 600), ("90s", "seconds", 90), ("1.5 h", "seconds", 5400), ("20 epochs", "epochs", 20), ("1 step", "steps", 1)],
)
def test_budgets(text, kind, amount):
    assert (parse(text).kind, parse(text).amount) == (kind, amount)


@pytest.mark.parametrize("text", ["", "ten minutes", "0min", "-3 epochs", "5 parsecs", "5"])
def test_a_budget_that_is_none_is_refused_in_one_line(text):
    with pytest.raises(OmmaError) as error:
        parse(text)
    assert "10min" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["gd", "sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "muon"])
def test_every_optimizer_finds_the_bottom(name):
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 2)
    x = torch.randn(64, 3)
    y = x @ torch.tensor([[1.0, -2.0], [0.5, 0.0], [0.0, 3.0]])
    optimizer = optim.make(net, tiny_recipe(optimizer=name, rate=0.1 if name != "rmsprop" else 0.02, weight_decay=0.0))
    for step in range(300):
        optimizer.zero_grad()
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        optim.set_rate(optimizer, (0.1 if name != "rmsprop" else 0.02) * (1 - step / 300))
        optimizer.step()
    assert loss.item() < 1e-2


def test_muons_update_is_nearly_orthogonal():
    torch.manual_seed(1)
    for shape in ((4, 9), (9, 4), (6, 6)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape), steps=6))
        assert values.min() > 0.3 and values.max() < 1.4


def test_muon_leaves_vectors_and_the_head_to_adam():
    torch.manual_seed(0)
    net, other = TinyNet(), TinyNet()
    other.load_state_dict(net.state_dict())
    optimizer = optim.make(net, tiny_recipe(optimizer="muon", rate=0.02, momentum=0.9, weight_decay=0.0))
    vectors = [p for group in optimizer.param_groups if group["adam"] for p in group["params"]]
    assert {id(net.head.weight), *(id(p) for p in net.parameters() if p.dim() == 1)} == {id(p) for p in vectors}
    twins = dict(zip(map(id, net.parameters()), other.parameters(), strict=True))
    library = torch.optim.Adam([twins[id(p)] for p in vectors], 0.002, betas=(0.9, 0.99))
    for _ in range(5):
        for p in vectors:
            p.grad = torch.randn_like(p)
            twins[id(p)].grad = p.grad.clone()
        optimizer.step()
        library.step()
    for p in vectors:
        torch.testing.assert_close(p, twins[id(p)])


def test_groups_decay_matrices_only_and_share_the_rate_by_depth():
    net = TinyNet()
    found = optim.groups(net, tiny_recipe(layer_decay=0.5))
    assert all((group["weight_decay"] > 0) == all(p.dim() > 1 for p in group["params"]) for group in found)
    shares = {id(p): group["share"] for group in found for p in group["params"]}
    assert shares[id(net.head.weight)] == 1.0 and shares[id(net.body[1].weight)] == 0.5 and shares[id(net.body[0].weight)] == 0.25


def test_freezing_leaves_the_head():
    net = TinyNet()
    learn = [p for group in optim.groups(net, tiny_recipe(freeze=True)) for p in group["params"]]
    assert {id(p) for p in learn} == {id(p) for p in net.head.parameters()}


def test_average_follows():
    net = torch.nn.Linear(1, 1, bias=False)
    net.weight.data.fill_(0.0)
    average = Average(net, 0.5)
    net.weight.data.fill_(1.0)
    average.follow(net)
    assert average.net.weight.item() == pytest.approx(1 - min(0.5, 1 / 10))


def test_l1_counts_matrices():
    net = torch.nn.Linear(2, 1)
    assert optim.lasso(net.parameters(), 0.5).item() == pytest.approx(0.5 * net.weight.abs().sum().item())
    assert math.isfinite(optim.lasso([], 0.5).item())

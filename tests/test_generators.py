"""Networks that draw pictures from chance: what they promise, the games they learn by, and who learns from which loss."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from omma import catalog
from omma.answers.drawn import Drawn
from omma.data.fingerprint import Fingerprint, Spread
from omma.engine import turn
from omma.engine.loop import restore, tensors_of
from omma.engine.machine import Machine
from omma.engine.turn import Players
from omma.errors import NotMeaningful, OmmaError
from omma.models._generator import halvings
from omma.models.flow import nearly
from omma.models.making import build, settings_of
from omma.models.network import Blank
from omma.parts.drawing.augment import augment, cut_out, moved, recoloured
from omma.parts.drawing.critic import frozen
from omma.parts.drawing.groups import Groups
from omma.parts.drawing.rivalry import GAMES, squared
from omma.parts.drawing.seeds import seeds
from omma.recipe import Recipe
from omma.tasks.generate import PACES, Generate
from omma.tasks.task import Batch
from omma.testing import check_model

SMALL = {
    "dcgan": {"width": 8, "latent": 6},
    "wgan-gp": {"width": 8, "latent": 6},
    "sngan": {"width": 8, "latent": 6},
    "r3gan": {"width": 8, "latent": 6},
    "flow": {"width": 8, "steps": 2},
}
PLAYED = [name for name in SMALL if name != "flow"]
CPU = Machine(torch.device("cpu"), "float32", 1)


@pytest.fixture(autouse=True)
def _same_chance():
    torch.manual_seed(0)


def small(name: str, *, channels: int = 1, size: int = 16, outputs: int = 0, **settings):
    return build(name, channels=channels, size=size, outputs=outputs, **(SMALL[name] | settings))


def batch_of(count: int = 4, classes: int = 0, size: int = 16) -> Batch:
    """Grey noise; the classes come up in turn."""
    asked = torch.eye(classes)[torch.arange(count) % classes] if classes else torch.zeros(count, 0)
    return Batch(torch.rand(count, 1, size, size), {"class": asked}, torch.arange(count))


# ── networks ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_list_is_whole():
    assert set(SMALL) <= set(catalog.names("models")) and set(Generate.models) == set(SMALL)
    assert {small(name).game for name in PLAYED} == set(GAMES) and not small("flow").game
    assert all(settings.keys() <= settings_of(name).keys() for name, settings in SMALL.items())


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("channels", "size", "outputs"), [(1, 16, 0), (3, 22, 5)])
def test_they_keep_their_promises(name, channels, size, outputs):
    check_model(name, channels=channels, size=size, outputs=outputs, **SMALL[name])


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [8, 15, 28, 36, 64, 100])
def test_any_size(name, size):
    net = small(name, size=size, width=4).eval()
    with torch.no_grad():
        drawn = net(torch.randn(2, net.latent))
        assert drawn.shape == (2, 1, size, size)
        if net.game:
            assert net.critic()(drawn, torch.zeros(2, 0)).shape == (2,)


def test_the_coarsest_maps():
    assert [halvings(size) for size in (8, 16, 28, 30, 32, 64, 128)] == [(4, 1), (4, 2), (7, 2), (4, 3), (4, 3), (4, 4), (4, 5)]


@pytest.mark.parametrize("name", SMALL)
def test_what_makes_no_network_is_refused(name):
    with pytest.raises(OmmaError, match="at least 8"):
        small(name, size=7)
    with pytest.raises(OmmaError, match="width=0"):
        small(name, width=0)
    with pytest.raises(OmmaError, match="depth=0" if name == "r3gan" else "0 steps" if name == "flow" else "latent=0"):
        small(name, **({"r3gan": {"depth": 0}, "flow": {"steps": 0}}.get(name, {"latent": 0})))


@pytest.mark.parametrize("name", PLAYED)
def test_chance_begins_in_several_places(name):
    net = small(name, kinds=4).eval()
    rows = torch.from_numpy(seeds(3, 20, net.latent))
    begun = net.begin(rows)
    assert torch.equal(begun[:, : net.latent], rows)
    assert torch.equal(begun[:, net.latent :], F.one_hot(rows[:, :4].argmax(1), 4).float())
    # Where the largest changes hands, however little its number, the picture is another one.
    near = rows[:1].clone()
    first, second = near[0, :4].topk(2).indices.tolist()
    near[0, second] = near[0, first] + 1e-5
    with torch.no_grad():
        moved = (net(near) - net(rows[:1])).abs().max()
        nudged = net(rows[:1] + 1e-5 * torch.eye(1, net.latent)) - net(rows[:1])
    assert moved > 100 * nudged.abs().max()
    assert small(name, kinds=64).kinds == net.latent and not small(name).kinds  # as an earlier bundle says nothing of it
    with pytest.raises(OmmaError, match="-1"):
        small(name, kinds=-1)


@pytest.mark.parametrize("name", SMALL)
def test_a_class_can_be_asked_for(name):
    net = small(name, outputs=3)
    if name == "flow":  # which begins as one that says nothing
        for p in net.parameters():
            nn.init.normal_(p, 0, 0.1)
    rows = torch.from_numpy(np.stack([seeds(0, 1, net.latent, 3, about=about)[0] for about in range(3)]))
    with torch.no_grad():
        drawn = net.eval()(rows)
    assert not torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[1], drawn[2])


def test_spectral_normalisation_holds_every_layer():
    critic = small("sngan", outputs=3).critic()
    for _ in range(60):
        critic(torch.rand(2, 1, 16, 16), torch.eye(2, 3))
    critic.eval()
    layers = [layer for layer in critic.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(layers) == 4
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


def test_residual_blocks_begin_as_their_shortcuts():
    from omma.models.r3gan import Block

    block, maps = Block(8, 4), torch.randn(2, 8, 5, 5)
    assert torch.equal(block(maps), maps)
    assert block.near.weight.std().item() == pytest.approx(4**-0.25 * math.sqrt(2 / 1.04 / 72), rel=0.1)


def test_a_straight_way_is_followed_exactly():
    start, velocity = torch.randn(2, 1, 4, 4), torch.randn(2, 1, 4, 4)
    for steps in (1, 3):
        state, ahead, time = nearly(lambda state, time: velocity, start, steps)
        torch.testing.assert_close(state + velocity / steps, start + velocity)
        assert time == pytest.approx(1 - 0.5 / steps)
        torch.testing.assert_close(ahead, start + time * velocity)


def test_a_way_that_bends_with_time_is_followed_to_the_second_order():
    """dx/dt = 2t from 0 ends at 1; the midpoint method is exact for it, Euler's would end at 0.5 in one step."""
    state, _, time = nearly(lambda state, time: torch.full_like(state, 2 * time), torch.zeros(1), 1)
    assert (state + 2 * time).item() == 1


@pytest.mark.parametrize(("size", "channels"), [(16, 1), (18, 3)])
def test_flow_folds_and_unfolds(size, channels):
    """Where the velocity is nothing, the seed itself comes out, clamped."""
    net = small("flow", size=size, channels=channels, steps=3).eval()
    nn.init.zeros_(net.head.conv.bias)
    noise = torch.randn(2, channels, size, size)
    with torch.no_grad():
        torch.testing.assert_close(net(noise.flatten(1)), ((noise + 1) / 2).clamp(0, 1))


def test_flow_learns_the_mean_way():
    """A network that is one number learns the mean of true − noise: of white pictures 1, of deviation 1, so that the loss nears 1."""
    net = small("flow")
    with torch.no_grad():
        net.head.conv.bias.fill_(1.0)
    loss = net.lesson(torch.ones(64, 1, 16, 16), torch.zeros(64, 0))["loss"]
    assert loss.item() == pytest.approx(1, abs=0.05)


def test_blank():
    task = Generate(["drawn"])
    assert task.infer({"net": Blank("drawn", 0)}, Batch(torch.zeros(1, 6)))["drawn"].shape == (1, 1, 8, 8)


# ── seeds ───────────────────────────────────────────────────────────────────────────────────────────────


def test_ten_seeds_are_the_first_ten_of_a_hundred():
    many = seeds(7, 100, 5, 3)
    assert many.shape == (100, 8) and (many[:10] == seeds(7, 10, 5, 3)).all()
    assert (many[40:50] == seeds(7, 10, 5, 3, first=40)).all() and not (many[:10] == seeds(8, 10, 5, 3)).all()
    assert (many[:, 5:].sum(1) == 1).all() and many[:, 5:].mean(0).min() > 0.1


def test_truncation_and_classes():
    plain = seeds(7, 20, 5, 3, about=1)
    assert (plain[:, 6] == 1).all() and np.allclose(seeds(7, 20, 5, 3, about=1, truncation=0.5)[:, :5], plain[:, :5] / 2)
    assert (seeds(7, 20, 5, 2, shares=[0, 1])[:, 6] == 1).all()


# ── games ───────────────────────────────────────────────────────────────────────────────────────────────


class Leans(nn.Module):
    """A linear critic: 3 times the first pixel and 4 times the second, so that its gradient is 5 long; a class counts 10."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([3.0, 4.0, 0.0, 0.0]))

    def forward(self, pictures, classes):
        return pictures.flatten(1) @ self.weight + 10 * classes.sum(1)


NONE = torch.zeros(2, 0)
# Verdicts 3 and 0 on true pictures, 0 and 4 on made ones.
TRUE = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0]]).view(2, 1, 2, 2)
MADE = torch.tensor([[0.0, 0, 0, 0], [0, 1, 0, 0]]).view(2, 1, 2, 2)


def soft(value: float) -> float:
    return math.log1p(math.exp(value))


@pytest.mark.parametrize(
    ("game", "critic", "generator"),
    [
        ("standard", (soft(-3) + soft(0)) / 2 + (soft(0) + soft(4)) / 2, (soft(0) + soft(-4)) / 2),
        ("wasserstein", 2 - 1.5, -2),
        ("hinge", (0 + 1) / 2 + (1 + 5) / 2, -2),
        ("relativistic", (soft(-3) + soft(4)) / 2, (soft(3) + soft(-4)) / 2),
    ],
)
def test_games_by_hand(game, critic, generator):
    played = GAMES[game]
    assert played.of_critic(Leans(), TRUE, MADE, NONE)["critic"].item() == pytest.approx(critic, rel=1e-6)
    assert played.of_generator(Leans(), TRUE, MADE, NONE).item() == pytest.approx(generator, rel=1e-6)


@pytest.mark.parametrize(
    ("game", "weight", "wanted"),
    [
        ("wasserstein", 0.0, {"penalty": 10 * (5 - 1) ** 2}),
        ("wasserstein", 2.0, {"penalty": 2 * (5 - 1) ** 2}),
        ("relativistic", 0.4, {"r1": 0.2 * 25, "r2": 0.2 * 25}),
        ("standard", 0.4, {"r1": 0.2 * 25}),
        ("hinge", 0.4, {"r1": 0.2 * 25}),
        ("standard", 0.0, {}),
        ("hinge", 0.0, {}),
    ],
)
def test_penalties_of_a_linear_critic(game, weight, wanted):
    critic = Leans()
    terms = GAMES[game].of_critic(critic, TRUE, MADE, NONE, weight)
    found = {key: value.item() for key, value in terms.items() if key != "critic"}
    assert found == pytest.approx(wanted, rel=1e-5)
    if "r1" in terms:  # weight / 2 · |w|² falls as fast as weight · w
        (slope,) = torch.autograd.grad(terms["r1"], critic.weight)
        torch.testing.assert_close(slope, weight * critic.weight)


def test_the_games_own_weight():
    terms = GAMES["relativistic"].of_critic(Leans(), TRUE, MADE, NONE)
    assert terms["r2"].item() == pytest.approx(GAMES["relativistic"].weight / 2 * 25)


def test_classes_are_told():
    asked = torch.ones(2, 1)
    assert GAMES["wasserstein"].of_generator(Leans(), TRUE, MADE, asked).item() == pytest.approx(-12)


def test_squared_gradients_are_of_each_picture():
    pictures = torch.tensor([[1.0], [3.0]]).view(2, 1, 1, 1).requires_grad_()
    torch.testing.assert_close(squared(pictures.square().flatten(), pictures), torch.tensor([4.0, 36.0]))


def test_frozen_lets_gradients_pass():
    critic, made = Leans(), MADE.clone().requires_grad_()
    with frozen(critic):
        loss = GAMES["relativistic"].of_generator(critic, TRUE, made, NONE)
    loss.backward()
    assert critic.weight.grad is None and critic.weight.requires_grad and made.grad.abs().sum() > 0


@pytest.mark.parametrize("name", PLAYED)
def test_pieces_add_up_to_the_whole(name):
    """Losses of a batch are the means of those of its halves, where no batch norm looks across: small memory changes nothing."""
    net = small(name)
    critic = net.critic().eval()  # running means instead of the batch's; spectral norm without its iteration
    true, made = torch.rand(2, 4, 1, 16, 16)
    whole = GAMES[net.game].of_critic(critic, true, made, torch.zeros(4, 0))
    halves = [GAMES[net.game].of_critic(critic, true[s], made[s], torch.zeros(2, 0)) for s in (slice(2), slice(2, 4))]
    for key, value in whole.items():
        if key != "penalty":  # of places drawn anew
            torch.testing.assert_close(value, (halves[0][key] + halves[1][key]) / 2)


# ── variation ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("channels", [1, 3])
def test_augmented_pictures_keep_their_shape_and_pass_gradients(channels):
    pictures = torch.rand(16, channels, 16, 16, requires_grad=True)
    seen = augment(pictures)
    assert seen.shape == pictures.shape and seen.min() > -0.6 and seen.max() < 1.6
    assert not torch.equal(seen[0], seen[1])
    seen.sum().backward()
    assert torch.isfinite(pictures.grad).all() and (pictures.grad != 0).any((1, 2, 3)).all()
    torch.manual_seed(5)
    first = augment(pictures)
    torch.manual_seed(5)
    assert torch.equal(first, augment(pictures))


def test_moved_pictures_are_whole_but_for_the_border():
    pictures = torch.arange(256.0).view(1, 1, 16, 16).expand(50, -1, -1, -1)
    seen = moved(pictures)
    offsets = {tuple((one[0] == 119).nonzero()[0].tolist()) for one in seen}  # the pixel at (7, 7)
    assert all(abs(y - 7) <= 2 and abs(x - 7) <= 2 for y, x in offsets) and len(offsets) > 8
    assert (seen == 0.5).any()


def test_holes_and_colours():
    white = torch.ones(40, 1, 16, 16)
    holes = (cut_out(white) == 0.5).sum((1, 2, 3))
    assert holes.max() == 64 and holes.min() >= 16  # half of the side, a quarter of that in a corner
    grey = recoloured(white * 0.5)
    assert torch.equal(grey, grey[..., :1, :1].expand_as(grey)) and grey.min() >= 0.25 and grey.max() <= 0.75
    assert grey.std() > 0.05


# ── the task ────────────────────────────────────────────────────────────────────────────────────────────


def players(name: str, classes: int = 0, **settings) -> tuple[Generate, Players, Recipe]:
    task = Generate([f"c{i}" for i in range(classes)] or ["drawn"], **settings)
    recipe = Recipe(optimizer="adam", rate=1e-3, momentum=0.5, ema=0.9, clip=0.0)
    return task, Players.gather(task, small(name, outputs=task.outputs), recipe), recipe


def graded(net: nn.Module) -> bool:
    return any(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("augmented", ["no", "yes"])
@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("name", PLAYED)
def test_losses_reach_the_right_player_only(name, classes, augmented):
    task, made, _ = players(name, classes, augment=augmented)
    net, critic = made.nets["net"], made.nets["critic"]
    turns = task.turns(made.nets, batch_of(4, classes), 4)
    who, terms = next(turns)
    sum(terms.values()).backward()
    assert who == "critic" and "critic" in terms and graded(critic) and not graded(net)
    critic.zero_grad()
    who, terms = next(turns)
    sum(terms.values()).backward()
    assert who == "net" and set(terms) == {"loss"} and not graded(critic)
    assert all(p.grad is not None for p in net.parameters())
    assert next(turns, None) is None


def test_wasserstein_critics_take_five_turns_to_one():
    task, made, _ = players("wgan-gp")
    who = [[who for who, _ in task.turns(made.nets, batch_of(), step)] for step in range(10)]
    assert who == ([["critic"]] * 4 + [["critic", "net"]]) * 2


def test_flow_learns_alone():
    task, made, recipe = players("flow", 2)
    assert set(made.nets) == {"net"}
    first = turn.take(task, made, batch_of(4, 2), 0, recipe, CPU, 1e-3, 4)
    assert set(first) == {"loss", "norm"}


def test_only_those_who_answer_have_an_average():
    _, made, _ = players("r3gan")
    assert set(made.averages) == {"net"} and set(made.judged()) == {"net", "critic"}


@pytest.mark.parametrize("name", SMALL)
def test_bfloat16(name):
    task, made, recipe = players(name, 2)
    before = [p.clone() for p in made.nets["net"].parameters()]
    for step in (3, 4):
        told = turn.take(task, made, batch_of(4, 2), step, recipe, replace(CPU, precision="bfloat16"), 1e-3, 4)
        assert all(math.isfinite(value) for value in told.values())
    assert any(not torch.equal(p, old) for p, old in zip(made.nets["net"].parameters(), before, strict=True))


@pytest.mark.parametrize("name", ["r3gan", "dcgan", "sngan"])
def test_micro_batches_and_resuming(name):
    """Two steps in pieces; and the second of them again, from what the first left behind."""
    task, made, recipe = players(name, 2, augment="yes")

    def step(number: int, who: Players) -> dict[str, float]:
        torch.manual_seed(number)
        return {key: float(value) for key, value in turn.take(task, who, batch_of(6, 2), number, recipe, CPU, 1e-3, 4).items()}

    step(0, made)
    kept = {name: {key: value.clone() for key, value in rows.items()} for name, rows in tensors_of(made).items()}
    wanted = step(1, made)
    _, other, _ = players(name, 2, augment="yes")
    from omma.engine.checkpoint import Checkpoint

    restore(Checkpoint(1, kept, {"total": 2, "step": 1}, None), other)  # type: ignore[arg-type]
    assert step(1, other) == wanted
    for mine, theirs in zip(tensors_of(made).items(), tensors_of(other).items(), strict=True):
        assert mine[0] == theirs[0] and all(torch.equal(value, theirs[1][key]) for key, value in mine[1].items())


def fingerprint(side: int, channels: int, train: int = 6000) -> Fingerprint:
    spread = Spread(side, side, side)
    return Fingerprint(train, {"train": train}, spread, spread, channels, [0.5] * channels, [0.25] * channels, {}, {}, "", 1)


@pytest.mark.parametrize(
    ("side", "channels", "wanted"),
    [(28, 1, {"size": 28, "flip": False}), (32, 3, {"size": 32, "flip": True}), (500, 3, {"size": 64, "flip": True})],
)
def test_the_plan(side, channels, wanted):
    recipe = Generate(["drawn"]).plan(fingerprint(side, channels), Recipe())
    assert {key: getattr(recipe, key) for key in wanted} == wanted and recipe.fit == "crop" and recipe.colour == 0
    assert recipe.channels == channels and recipe.optimizer == "adam" and recipe.model == Generate.models[0]
    assert recipe.task_settings["augment"] == "no"
    assert Generate(["drawn"]).plan(fingerprint(side, channels, 300), Recipe()).task_settings["augment"] == "yes"


@pytest.mark.parametrize("fit", ["windows", "own"])
def test_pictures_are_drawn_whole(fit):
    with pytest.raises(OmmaError, match=f"fit={fit}"):
        Generate(["drawn"]).plan(fingerprint(28, 1), Recipe(fit=fit, origin={"fit": "you"}))


@pytest.mark.parametrize(("key", "value"), [("classes", "maybe"), ("augment", "some"), ("penalty", -1.0), ("looks", 1)])
def test_settings_that_mean_nothing(key, value):
    with pytest.raises(OmmaError, match=key):
        Generate(["drawn"]).plan(fingerprint(28, 1), Recipe(task_settings={key: value}))


def test_answers():
    task = Generate(["a", "b"])
    assert task.outputs == 2 and Generate(["drawn"]).outputs == 0
    operated = Drawn.operate(task.infer({"net": small("r3gan", outputs=2)}, Batch(torch.zeros(3, 8))), {})
    drawn = task.decode({key: value.detach() for key, value in operated.items()})
    assert len(drawn) == 3 and all(one.pixels.shape == (16, 16, 1) for one in drawn)
    with pytest.raises(NotMeaningful):
        task.score({})


# ── learning ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rate", "steps", "most"), [("r3gan", 1e-3, 300, 0.8), ("dcgan", 1e-3, 600, 0.7), ("flow", 3e-3, 400, 0.8)]
)
def test_two_kinds_of_squares_are_both_drawn(name, rate, steps, most):
    """White squares on black, and black ones on white, each somewhere else: after a few hundred steps both kinds are drawn, and
    little else: what is continuous in its numbers draws something between two kinds too."""
    count = 64
    task = Generate(["drawn"])
    net = build(name, channels=1, size=16, outputs=0, **({"width": 16} if name == "flow" else {"width": 16, "latent": 8}))
    recipe = Recipe(optimizer="adam", rate=rate, momentum=PACES[name][1], ema=0.98, clip=0.0)
    made = Players.gather(task, net, recipe)
    for step in range(steps):
        torch.manual_seed(step)
        turn.take(task, made, Batch(squares(count), {"class": torch.zeros(count, 0)}), step, recipe, CPU, rate, count)
    torch.manual_seed(0)
    with torch.no_grad():
        drawn = made.judged()["net"](torch.randn(200, net.latent))
    border = torch.cat([drawn[:, 0, 0], drawn[:, 0, -1], drawn[:, 0, :, 0], drawn[:, 0, :, -1]], 1).mean(1)
    share = drawn.mean((1, 2, 3))
    on_black, on_white = (border < 0.2) & (share > 0.1) & (share < 0.35), (border > 0.8) & (share < 0.9) & (share > 0.65)
    assert on_black.float().mean() > 0.25 and on_white.float().mean() > 0.25
    assert (on_black | on_white).float().mean() > most


def squares(count: int) -> torch.Tensor:
    """(count, 1, 16, 16): a square of 7 pixels somewhere within a border of two, white on black or the other way round."""
    pictures = torch.zeros(count, 1, 16, 16)
    for one, (down, across) in zip(pictures, torch.randint(2, 8, (count, 2)).tolist(), strict=True):
        one[:, down : down + 7, across : across + 7] = 1
    turned = torch.rand(count, 1, 1, 1) < 0.5
    return torch.where(turned, 1 - pictures, pictures)


# ── groups ──────────────────────────────────────────────────────────────────────────────────────────────


def blots(count: int, shares: tuple[float, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, 1, 12, 12) pictures with a blot in one of several corners, so often in each, in no order; and in which."""
    torch.manual_seed(0)
    corner = torch.multinomial(torch.tensor(shares), count, replacement=True)
    pictures = torch.rand(count, 1, 12, 12) * 0.3
    for place, where in enumerate(corner.tolist()):
        down, across = 6 * (where // 2), 6 * (where % 2)
        pictures[place, :, down : down + 6, across : across + 6] += 0.6
    return pictures, corner


def test_groups_hold_what_looks_alike_and_are_equally_frequent():
    pictures, _ = blots(600, (0.25, 0.25, 0.25, 0.25))
    groups = Groups(4, 1, 12)
    groups.find(pictures)
    fresh, where = blots(400, (0.25, 0.25, 0.25, 0.25))
    told = groups(fresh)
    assert torch.equal(told.sum(1), torch.ones(400))
    pairs = {(int(a), int(b)) for a, b in zip(told.argmax(1), where, strict=True)}
    assert len(pairs) == 4, "one corner, one group"
    # Where one corner is seen far more often, it is shared by several groups rather than being one huge one.
    pictures, _ = blots(1000, (0.7, 0.1, 0.1, 0.1))
    groups = Groups(8, 1, 12)
    groups.find(pictures)
    shares = groups(pictures).mean(0)
    assert shares.min() > 0.06 and shares.max() < 0.2


def test_groups_are_found_the_same_way_twice_and_in_few_pictures():
    pictures, _ = blots(5, (0.5, 0.5, 0.0, 0.0))
    one, two = Groups(8, 1, 12), Groups(8, 1, 12)
    for groups in (one, two):
        groups.find(pictures)
    assert torch.equal(one.centres, two.centres) and torch.isfinite(one.offsets).all()
    assert torch.equal(one(pictures).sum(1), torch.ones(5))


@pytest.mark.parametrize("name", PLAYED)
def test_a_critic_is_told_the_group_that_a_made_picture_begins_in(name):
    net = small(name, groups=4)
    assert net.told == 4 and small(name, groups=4, outputs=3).groups is None, "classes say more than groups do"
    pictures = torch.rand(40, net.channels, net.size, net.size)
    net.prepare(pictures)
    told = net.tell(pictures, torch.zeros(40, 0))
    rows = net.chance(told)
    assert torch.equal(rows[:, :4].argmax(1), told.argmax(1)) and torch.equal(net.begin(rows)[:, net.latent :], told)
    assert net.critic()(pictures, told).shape == (40,)
    with pytest.raises(OmmaError, match="groups=-2"):
        small(name, groups=-2)


def test_numbers_of_a_group_are_as_likely_as_any():
    """What is drawn for groups that come up evenly has mean 0, deviation 1, and no numbers that hang together."""
    torch.manual_seed(0)
    net = small("dcgan", groups=4)
    rows = net.chance(F.one_hot(torch.arange(40_000) % 4, 4).float())
    assert rows.mean(0).abs().max() < 0.03 and (rows.std(0) - 1).abs().max() < 0.03
    assert (torch.corrcoef(rows.T) - torch.eye(net.latent)).abs().max() < 0.03

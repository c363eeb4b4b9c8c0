"""Two players on two ranks that add gradients up: the same steps as one rank takes, equal weights on both, resumed to the same bits."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import distributed

import omma
from omma.engine import turn
from omma.engine.machine import Machine
from omma.engine.turn import Players
from omma.errors import Interrupted
from omma.models.making import build
from omma.progress import Watch
from omma.tasks.generate import Generate
from omma.tasks.task import Batch
from toys import tiny_recipe

WORLD = 2


def ranks(work: Callable[..., Any], *words: Any) -> None:
    """`work(rank, *words)` in two processes that can speak to each other over gloo; what fails there fails here.

    They are forks of this one: torch is imported already, and one thread each computes.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("fork")
    trouble = context.Queue()
    players = [context.Process(target=_rank, args=(work, rank, port, trouble, words)) for rank in range(WORLD)]
    for player in players:
        player.start()
    for player in players:
        player.join(240)
    late = [player for player in players if player.is_alive()]
    for player in late:
        player.kill()
        player.join()
    told = [trouble.get() for player in players if player.exitcode not in (0, -signal.SIGKILL)]
    assert not told and not late, "\n".join(told) or "a rank waits for the other one"


def _rank(work: Callable[..., Any], rank: int, port: int, trouble: Any, words: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(WORLD), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(WORLD)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMMA_THREADS": "1"}
    try:
        distributed.init_process_group("gloo")
        work(rank, *words)
        distributed.destroy_process_group()
    except BaseException:
        trouble.put(traceback.format_exc())
        raise SystemExit(1) from None


# ── one step after the other ────────────────────────────────────────────────────────────────────────────


def numbered(classes: torch.Tensor) -> torch.Tensor:
    """Four numbers drawn from a seed that belongs to each picture, so that it does not matter which rank draws them, and its class."""
    draws = [torch.randn(4, generator=torch.Generator().manual_seed(int(row[0] * 1000))) for row in classes]
    return torch.cat([torch.stack(draws), classes], 1)


def steps(model: str, machine: Machine, micro: int, count: int = 4) -> Players:
    """Players after a few steps of eight pictures, of which each rank has its half."""
    torch.manual_seed(0)
    task = Generate(["a"], augment="no")
    net = build(model, channels=1, size=16, outputs=1, width=4, latent=4)
    net.chance = numbered
    recipe = tiny_recipe(momentum=0.5, clip=1.0)  # Adam would make a step of what is rounded differently
    torch.manual_seed(1)  # the critic's weights
    players = Players.gather(task, net, recipe)
    for who, player in players.nets.items():
        # Batch norm looks at the pictures of one micro-batch; without it the gradient of a batch is the mean of its parts'.
        assert model != "r3gan" or not [one for one in player.modules() if "BatchNorm" in type(one).__name__], who
    share = 8 // machine.world
    for step in range(count):
        index = torch.arange(8) + 8 * step
        whole = torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(step))
        mine = slice(share * machine.rank, share * (machine.rank + 1))
        classes = (index[mine].float() / 64)[:, None]
        batch = Batch(whole[mine], {"class": classes}, index[mine])
        torch.manual_seed(100 * step + machine.rank)
        turn.take(task, players, batch, step, recipe, machine, 0.05, micro)
    return players


def weights(players: Players) -> dict[str, torch.Tensor]:
    """Every tensor of every player and of the averages."""
    nets = players.nets | {f"average {who}": one.net for who, one in players.averages.items()}
    return {f"{who} {key}": value.clone() for who, net in nets.items() for key, value in net.state_dict().items()}


def _half(rank: int, model: str, micro: int, folder: Path) -> None:
    machine = Machine(torch.device("cpu"), "float32", 1, rank, WORLD)
    torch.save(weights(steps(model, machine, micro)), folder / f"{rank}.pt")


def both(model: str, micro: int, folder: Path) -> list[dict[str, torch.Tensor]]:
    ranks(_half, model, micro, folder)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(WORLD)]


def test_two_ranks_that_accumulate_step_as_one_rank_does(tmp_path):
    """R3GAN, whose penalties are gradients of gradients: four micro-batches on two ranks, the step of the whole batch."""
    alone = weights(steps("r3gan", Machine(torch.device("cpu"), "float32", 1), 8))
    begun = weights(steps("r3gan", Machine(torch.device("cpu"), "float32", 1), 8, count=0))
    one, other = both("r3gan", 2, tmp_path)
    assert one.keys() == alone.keys() and any(key.startswith("critic") for key in one)
    for key, value in alone.items():
        assert torch.equal(one[key], other[key]), f"{key} differs between the ranks"
        torch.testing.assert_close(one[key], value, rtol=1e-4, atol=1e-6, msg=lambda text, key=key: f"{key}: {text}")
    assert sum((alone[key] - begun[key]).abs().max() > 1e-3 for key in alone if alone[key].dim()) > 10, "they have learned"


@pytest.mark.parametrize("model", ["dcgan", pytest.param("wgan-gp", marks=pytest.mark.slow), pytest.param("sngan", marks=pytest.mark.slow)])
def test_both_ranks_hold_the_same_tensors(model, tmp_path):
    """Also of players whose turn it was not, though batch norm has seen other pictures on each rank."""
    one, other = both(model, 2, tmp_path)
    assert [key for key in one if not torch.equal(one[key], other[key])] == []
    assert all(torch.isfinite(value).all() for value in one.values() if value.is_floating_point())


# ── whole runs ──────────────────────────────────────────────────────────────────────────────────────────


class Stopper(Watch):
    """Presses Ctrl-C once, at a step, on one rank."""

    def __init__(self, at: int) -> None:
        self.at = at

    def event(self, event: dict) -> None:
        if event["event"] == "step" and event["step"] == self.at:
            os.kill(os.getpid(), signal.SIGINT)


def _train(rank: int, folder: Path, out: str, words: tuple[str, ...], at: int | None) -> None:
    budget = {"budget": "9 steps", "out": str(folder / out), "device": "cpu"}
    task, *words = words
    if at is None:
        omma.train(str(folder / "pictures"), *words, task=task, **budget)
        return
    with pytest.raises(Interrupted):
        omma.train(str(folder / "pictures"), *words, task=task, watch=Stopper(at) if rank == 0 else Watch(), **budget)


def _resume(rank: int, folder: Path, out: str) -> None:
    omma.train(resume=str(folder / out), device="cpu")


GAN = ("generate", "width=4", "latent=4", "size=16", "batch=8", "micro_batch=2", "evals=1", "looks=2", "checkpoint=3")
SRGAN = ("restore", "degrade=reduce:2", "model=srgan", "blocks=1", "width=4", "size=8", "batch=4", "micro_batch=1", "evals=1")


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((*GAN, "model=dcgan"), id="dcgan"),
        pytest.param((*GAN, "model=r3gan", "augment=yes"), id="r3gan", marks=pytest.mark.slow),
        # Its generator waits for its turn when this is stopped: what batch norm has seen since is kept all the same.
        pytest.param((*GAN, "model=wgan-gp"), id="wgan-gp", marks=pytest.mark.slow),
        pytest.param((*SRGAN, "checkpoint=3"), id="srgan", marks=pytest.mark.slow),
    ],
)
def test_two_players_on_two_ranks_go_on_bit_for_bit(words, tmp_path):
    draw = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for i in range(24):
        pixels = draw.integers(0, 256, (6, 6, 3), np.uint8)
        Image.fromarray(pixels).resize((24, 24)).save(tmp_path / "pictures" / f"{i:02}.png")
    ranks(_train, tmp_path, "whole", words, None)
    ranks(_train, tmp_path, "stopped", words, 4)
    at = [json.loads(line) for line in (tmp_path / "stopped" / "events.jsonl").read_text("utf-8").splitlines()]
    assert [row["step"] for row in at if row["event"] == "stopped"] == [4]
    ranks(_resume, tmp_path, "stopped")
    one, two = (omma.open(str(tmp_path / out)) for out in ("whole", "stopped"))
    assert one.digest == two.digest
    last = [sorted((tmp_path / out / "checkpoints").iterdir())[-1] for out in ("whole", "stopped")]
    assert last[0].name == last[1].name and "9" in last[0].name
    for name in sorted(path.name for path in last[0].glob("*.safetensors")):
        assert (last[0] / name).read_bytes() == (last[1] / name).read_bytes(), f"{name} differs"

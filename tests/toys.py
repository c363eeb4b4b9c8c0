"""Small things that tests share: a task and batches without any files."""

from __future__ import annotations

import torch
from torch import nn

from omma.engine.machine import Machine
from omma.recipe import Recipe
from omma.tasks.classify import Classify
from omma.tasks.task import Batch, Task

CPU = Machine(torch.device("cpu"), "float32", torch.get_num_threads())


class TinyBatches:
    """Two kinds of noisy 8 × 8 pictures; batch `step` is a pure function of the step."""

    def __init__(self, batch: int = 8, per_epoch: int = 5, bad_step: int | None = None, cures: bool = True) -> None:
        self.batch, self.per_epoch, self.bad_step, self.cures, self.asked = batch, per_epoch, bad_step, cures, 0

    def at(self, step: int, progress: float = 1.0) -> Batch:
        self.asked += 1
        draw = torch.Generator().manual_seed(step % self.per_epoch)
        label = torch.arange(self.batch) % 2
        pictures = torch.randn(self.batch, 1, 8, 8, generator=draw) + (label * 2.0 - 1).view(-1, 1, 1, 1)
        if step == self.bad_step:
            pictures = pictures * float("nan")
            if self.cures:
                self.bad_step = None
        return Batch(pictures, {"target": nn.functional.one_hot(label, 2).float()}, torch.arange(self.batch))

    def ids(self, batch: Batch) -> list[str]:
        return [f"{i}.png" for i in batch.index.tolist()]


class TinyNet(nn.Module):
    """Convolution, batch norm, dropout, head: everything that has state or chance."""

    def __init__(self) -> None:
        super().__init__()
        second = nn.Conv2d(6, 6, 3, padding=1)
        self.body = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), second, nn.AdaptiveAvgPool2d(2), nn.Flatten()
        )
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(24, 2)

    def stages(self) -> list[nn.Module]:
        return [self.body[0], nn.ModuleList([self.body[1], self.body[3]])]

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.body(pictures)))


class TwoPlayers(Task):
    """A maker and a judge who take turns: the contract of adversarial learning on numbers."""

    answer = Classify.answer

    def nets(self, model: nn.Module) -> dict[str, nn.Module]:
        return {"maker": model["maker"], "judge": model["judge"]}

    def turns(self, nets, batch, step):
        real = batch.pictures.flatten(1)[:, :4]
        fake = nets["maker"](real)
        yield "judge", {"judge": nets["judge"](real).mean() - nets["judge"](fake.detach()).mean()}
        self.after_judge = nets["judge"].weight.detach().clone()
        if step % 2 == 1:
            yield "maker", nets["judge"](nets["maker"](real)).mean()


def tiny_recipe(**values) -> Recipe:
    """A recipe with everything the loop asks for."""
    base = {
        "optimizer": "nesterov",
        "rate": 0.05,
        "momentum": 0.9,
        "schedule": "onecycle",
        "warmup": 0.2,
        "evals": 4,
        "weight_decay": 1e-4,
        "ema": 0.9,
    }
    return Recipe().put("you", **(base | values))

"""Generation: new pictures drawn from chance, like those that were learned from; of a class, where pictures have classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from omma.answers.drawn import Drawn
from omma.catalog import unknown
from omma.errors import NotMeaningful, OmmaError
from omma.tasks.task import Batch, Task
from omma.words import say

if TYPE_CHECKING:
    import torch
    from torch import nn

BUDGETS = {"fast": "5min", "balanced": "15min", "best": "60min"}  # on two cores
SIZES = {"fast": 32, "balanced": 64, "best": 128}  # pixels, for pictures larger than `plan.SMALL`
FEW = 5_000  # pictures to learn from: below, the critic sees them varied
# Of Adam: peak rate, and how much of the last gradients is kept (its first beta). Critics that are held by their gradients keep none.
# MNIST, one core, share of drawn digits that a classifier is sure of: dcgan 0.40 after 1,100 steps at half of this rate, 0.51 at this one.
PACES = {"dcgan": (1e-3, 0.5), "r3gan": (1e-3, 0.0), "sngan": (2e-4, 0.0), "wgan-gp": (2e-4, 0.0), "flow": (2e-3, 0.9)}
USUAL = (2e-4, 0.5)
# Groups of pictures that look alike, by which a generator is taught where no class can be asked for, with at least so many pictures each.
# MNIST without its classes, 800 steps of dcgan, the share of drawn digits that a classifier is sure of: 0.52 from 32 places of which the
# critic is not told, 0.73 from 64 groups; 0.87 with the ten classes.
GROUPS, EACH = 64, 100


class Generate(Task):
    """`infer` gives {"drawn": (B, C, S, S)}, 0–1, from seeds (B, latent + classes); see `parts/drawing/seeds.py`."""

    asks = "seed"
    poses = "themselves"
    answer = Drawn
    reads = "drawn"
    models = ("dcgan", "r3gan", "sngan", "wgan-gp", "flow")
    SETTINGS: ClassVar[dict[str, tuple[Any, str]]] = {
        "classes": ("auto", "whether a class can be asked for: auto: where pictures have classes; yes; no: all are one kind"),
        "features": ("random", "what pictures are measured by: random, the folder of a trained model, or timm/NAME:FILE.safetensors"),
        "augment": ("auto", "whether the critic sees pictures varied (DiffAugment): auto: below 5,000 pictures; yes; no"),
        "penalty": (0.0, "weight of the penalty on the critic's gradients; 0 = the game's own"),
        "looks": (1000, "how many pictures are drawn where it is measured while it learns"),
    }

    @property
    def outputs(self) -> int:
        """How many classes can be asked for; 0 where all pictures are one kind."""
        return 0 if self.names == [Drawn.kind] else len(self.names)

    def plan(self, fingerprint, recipe):
        from omma.models.making import settings_of
        from omma.tasks.plan import SMALL, plan_pictures

        self._settled(fingerprint.train, recipe)
        recipe.put("plan", model=self.models[0], optimizer=recipe.optimizer or "adam")
        known, groups = settings_of(str(recipe.model)), min(GROUPS, fingerprint.train // EACH)
        if "groups" in known and groups > 1 and not self.outputs:
            groups = recipe.model_settings.setdefault("groups", groups)
            recipe.model_settings.setdefault("latent", max(groups, known["latent"]))
        plan_pictures(fingerprint, recipe)
        recipe.put("preset", budget=BUDGETS[recipe.preset])
        side = max(fingerprint.width[0], fingerprint.height[0])
        if side > SMALL:
            recipe.put("plan", size=min(SIZES[recipe.preset], int(side + 15) // 16 * 16))
        rate, momentum = PACES.get(str(recipe.model), USUAL)
        if recipe.optimizer in ("adam", "adamw"):
            recipe.put("plan", rate=rate, momentum=momentum)
        # A digit in a mirror is none; most of what has a colour looks as true there.
        mirrored = side > SMALL or recipe.channels != 1
        values: dict[str, Any] = {
            "fit": "crop", "batch": min(64, max(1, fingerprint.train)), "schedule": "cosine", "warmup": 0.0, "ema": 0.999, "evals": 5,
            "early_stop": 0, "weight_decay": 0.0, "clip": 1.0 if recipe.model == "flow" else 0.0, "flip": mirrored, "shift": 0.0,
            "scale": 0.0, "rotate": 0.0, "colour": 0.0,
        }  # fmt: skip
        recipe.put("plan", **values)
        if recipe.fit in ("windows", "own"):
            raise OmmaError(say("generate.fit", fit=recipe.fit))
        # What is drawn is as true as what was learned from: blends and what no picture looks like would be drawn too.
        recipe.tta, recipe.mixup, recipe.cutmix, recipe.trivial, recipe.progressive = "none", 0.0, 0.0, False, 0.0
        return recipe

    def _settled(self, train: int, recipe: Any) -> None:
        """Refuse words that mean nothing, and decide whether so many pictures are few."""
        for key, known in (("classes", ("auto", "yes", "no")), ("augment", ("auto", "yes", "no"))):
            if (word := str(recipe.task_settings.get(key, "auto"))) not in known:
                raise unknown(say("recipe.value_of", key=key), word, list(known))
        for key, low in (("penalty", 0), ("looks", 2)):
            if (value := recipe.task_settings.get(key, self.SETTINGS[key][0])) < low:
                raise OmmaError(say("recipe.out_of_range", key=key, value=value, low=low, high="∞"))
        if recipe.task_settings.get("augment", "auto") == "auto":
            recipe.task_settings["augment"] = "yes" if train < FEW else "no"

    def nets(self, model: nn.Module) -> dict[str, nn.Module]:
        players: dict[str, nn.Module] = {"net": model}
        if model.game:
            players["critic"] = model.critic().to(next(model.parameters()).device)  # type: ignore[operator]
            self.cycle = self._game(players).every
        return players

    def turns(self, nets: dict[str, nn.Module], batch: Batch, step: int) -> Iterator[tuple[str, Any]]:
        if "critic" not in nets:
            yield "net", self.loss(nets["net"], batch)
            return
        # Each turn is computed in a call of its own: nothing that holds a graph waits here while others take theirs.
        yield "critic", self._judged(nets, batch)
        if (step + 1) % self._game(nets).every == 0:
            yield "net", {"loss": self._drawn(nets, batch)}

    def loss(self, net: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        """What a generator without a critic learns from."""
        return net.lesson(batch.pictures, batch.truth["class"])  # type: ignore[operator]

    def _game(self, nets: dict[str, nn.Module]) -> Any:
        from omma.parts.drawing.rivalry import GAMES

        return GAMES[str(nets["net"].game)]

    def _judged(self, nets: dict[str, nn.Module], batch: Batch) -> dict[str, torch.Tensor]:
        """The critic's losses on true pictures and on as many made ones of the same classes."""
        import torch

        net: Any = nets["net"]
        true = batch.pictures
        told = net.tell(true, batch.truth["class"])
        with torch.no_grad():
            made = net(net.chance(told)).float()
        game, weight = self._game(nets), float(self.settings["penalty"])
        return game.of_critic(nets["critic"], self._varied(true), self._varied(made), told, weight)

    def _drawn(self, nets: dict[str, nn.Module], batch: Batch) -> torch.Tensor:
        """The generator's loss; gradients pass through the critic, and none stay."""
        from omma.parts.drawing.critic import frozen

        net: Any = nets["net"]
        true = batch.pictures
        told = net.tell(true, batch.truth["class"])
        made = net(net.chance(told)).float()
        with frozen(nets["critic"]):
            return self._game(nets).of_generator(nets["critic"], self._varied(true), self._varied(made), told)

    def _varied(self, pictures: torch.Tensor) -> torch.Tensor:
        if self.settings["augment"] != "yes":
            return pictures
        from omma.parts.drawing.augment import augment

        return augment(pictures)

    def infer(self, nets: dict[str, nn.Module], batch: Batch) -> dict[str, torch.Tensor]:
        return {"drawn": nets["net"](batch.pictures)}

    def decode(self, tensors: dict[str, torch.Tensor], batch: Batch | None = None) -> list[Drawn]:
        return [Drawn.of(one) for one in tensors["drawn"].cpu().numpy()]

    def metrics(self):
        from omma.metrics.sets import generation
        from omma.models.eyes import name_of

        return generation(self.names, name_of(str(self.settings["features"])))

    def score(self, tensors: dict[str, torch.Tensor], about: str | None = None, at: torch.Tensor | None = None) -> torch.Tensor:
        """None: nothing was looked at.

        Raises:
            NotMeaningful: always.
        """
        raise NotMeaningful(say("generate.no_question"))

"""Restoration: a good picture from a bad one — denoised, enlarged, sharpened, without the traces of JPEG."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from omma.answers.picture import Picture
from omma.catalog import unknown
from omma.errors import OmmaError
from omma.tasks.task import Batch, Task
from omma.words import say

if TYPE_CHECKING:
    import torch
    from torch import nn

# Sides of what is learned from, pixels of the bad picture, and minutes of the presets on two cores.
SIDES = {"same": 64, "larger": 32}
BUDGETS = {"fast": "5min", "balanced": "30min", "best": "60min"}
EDGE = 1e-3  # of 0–1: from here on Charbonnier's loss grows as the difference does
LEARN = ("clean", "noisy")
# What networks wish to learn from where nobody says otherwise, after the literature they are of.
WISHES: dict[str, dict[str, Any]] = {"srgan": {"loss": "l1", "perceptual": 0.1, "adversarial": 0.005}}
# The shape of `span` where nothing is enlarged. Grey noise of 25, four minutes of one core, one seed, decibels on eight crops held out:
# 29.65 with 48 channels at one resolution, 29.91 so, and 30.10 so with Muon in place of Adam.
COARSE = {"width": 32, "depth": 5, "coarse": 48}


class Restore(Task):
    """`infer` gives {"restored": (B, C, s·h, s·w)}, 0–1, of pictures of any size; see `data/own/given.py` for what is learned from."""

    poses = "pairs"
    answer = Picture
    reads = "picture"
    models = ("span", "unet-restore", "dncnn", "ffdnet", "fsrcnn", "espcn")
    explains = "attribution"
    LOSSES = ("l2", "l1", "charbonnier")
    SETTINGS: ClassVar[dict[str, tuple[Any, str]]] = {
        "degrade": ("", "what is to be undone: noise:25, noise:5-50, photons, reduce:4, blur:1.6, jpeg:40, dark, flat, haze; joined by +"),
        "scale": (0, "how many times larger the answer is; 0 = as the pairs, or `degrade`, have it"),
        "loss": ("l2", "l2 (what PSNR measures), l1 or charbonnier"),
        "learn": ("clean", "clean: from good pictures; noisy: from noisy ones alone, each pixel from its neighbours"),
        "perceptual": (0.0, "weight of what an encoder sees otherwise in answer and truth (try 0.1, with one that has learned to see)"),
        "encoder": ("random", "by which `perceptual` sees: random, a run or bundle, or timm/NAME:FILE, torchvision/NAME:FILE"),
        "adversarial": (0.0, "weight of a critic that tells made pictures from true ones (try 0.005): sharper, and further from the truth"),
        "ensemble": ("no", "yes: the mean of the answers to all eight ways a picture can be turned and mirrored; eight times as slow"),
        "features": ("", "network by which answers are also measured, named like `encoder`; NAME:FILE+FILE: with the weights of LPIPS"),
        "channel": ("auto", "what PSNR and SSIM are measured on: Y (luma), RGB, or auto: Y where pictures are enlarged"),
        "border": (-1, "pixels of each border that are not measured; -1 = the scale where pictures are enlarged, else 0"),
    }  # fmt: skip

    @property
    def scale(self) -> int:
        """How many times larger the answer is than what is given."""
        from omma.data.degrade.chain import parse

        spoilt = self.settings["degrade"]
        return int(self.settings["scale"]) or (parse(spoilt).scale if spoilt else 1)

    def plan(self, fingerprint, recipe):
        from omma.models.making import settings_of

        scale = self.scale
        recipe.put("preset", budget=BUDGETS[recipe.preset])
        recipe.put("plan", model="span", channels=fingerprint.channels, fit="own", size=SIDES["same" if scale == 1 else "larger"])
        if recipe.fit != "own":
            raise OmmaError(say("restore.fit", fit=recipe.fit))
        if "scale" in settings_of(str(recipe.model)):
            recipe.model_settings.setdefault("scale", scale)
        folded = recipe.model == "span" and scale == 1  # works at half of the resolution and below
        if folded and recipe.model_settings.get("depth", COARSE["depth"]) >= 3:
            recipe.model_settings = COARSE | recipe.model_settings
        for key, value in WISHES.get(str(recipe.model), {}).items():
            recipe.task_settings.setdefault(key, value)
        self._settled({**self.settings, **recipe.task_settings})
        recipe.put("plan", optimizer=recipe.optimizer or ("muon" if folded else "adamw"))
        optimizer = str(recipe.optimizer)
        rate = {"muon": 0.02, "adam": 4e-3, "adamw": 4e-3}.get(optimizer, 1e-2)
        values: dict[str, Any] = {
            "batch": 16, "schedule": "onecycle", "momentum": 0.9, "warmup": 0.03, "evals": 5, "early_stop": 0, "clip": 1.0, "ema": 0.0,
            "weight_decay": 0.0, "rate": rate, "balance": "none", "dropout": 0.0, "flip": True, "quarter": True, "tta": "none",
        }  # fmt: skip
        if self.settings["learn"] == "noisy":  # nothing held out tells which moment is best: the last one, then
            values["evals"] = 1
        recipe.put("plan", **values)
        return recipe

    def _settled(self, settings: dict[str, Any]) -> None:
        """Refuse words that mean nothing, and an encoder that is not there, before anything is learned.

        Raises:
            OmmaError: one of these.
        """
        from omma.metrics._reference import CHANNELS

        for key, known in (("learn", LEARN), ("channel", CHANNELS), ("ensemble", ("no", "yes"))):
            if settings[key] not in known:
                raise unknown(say("recipe.value_of", key=key), str(settings[key]), list(known))
        for key, low in (("perceptual", 0), ("adversarial", 0), ("border", -1)):
            if settings[key] < low:
                raise OmmaError(say("recipe.out_of_range", key=key, value=settings[key], low=low, high="∞"))
        if settings["learn"] == "noisy" and max(settings["perceptual"], settings["adversarial"]) > 0:
            raise OmmaError(say("restore.nothing_true"))
        if settings["perceptual"] > 0:
            from omma.models.eyes import seeing

            seeing(str(settings["encoder"]))
        if settings["features"]:
            from omma.metrics.perceptual import opened, parted

            opened(*parted(str(settings["features"])))

    def nets(self, model: nn.Module) -> dict[str, nn.Module]:
        from omma.parts.drawing.critic import Critic

        players: dict[str, nn.Module] = {"net": model}
        if self.settings["adversarial"] > 0:
            players["critic"] = Critic(model.channels).to(next(model.parameters()).device)  # type: ignore[arg-type]
        return players

    def turns(self, nets: dict[str, nn.Module], batch: Batch, step: int) -> Iterator[tuple[str, Any]]:
        if "critic" not in nets:
            yield "net", self.loss(nets["net"], batch)
            return
        # Each turn is computed in a call of its own: nothing that holds a graph waits here while other micro-batches take theirs.
        yield "critic", self._judged(nets, batch)
        yield "net", self._made(nets, batch)

    def _judged(self, nets: dict[str, nn.Module], batch: Batch) -> torch.Tensor:
        """The critic's loss on good pictures and on as many made ones."""
        import torch

        from omma.parts.drawing.critic import told_apart

        with torch.no_grad():
            made = self.through(nets["net"], batch.pictures, batch.truth.get("noise")).float()
        return told_apart(nets["critic"](batch.truth["picture"]).float(), nets["critic"](made).float())

    def _made(self, nets: dict[str, nn.Module], batch: Batch) -> dict[str, torch.Tensor]:
        """The maker's losses; gradients pass through the critic, and none stay."""
        from omma.parts.drawing.critic import frozen, told_apart

        true = batch.truth["picture"]
        made = self.through(nets["net"], batch.pictures, batch.truth.get("noise")).float()
        with frozen(nets["critic"]):
            doubt = told_apart(nets["critic"](made).float(), nets["critic"](true).float())
        return self.far(made, true) | {"adversarial": doubt * self.settings["adversarial"]}

    def loss(self, net: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        if self.settings["learn"] == "noisy":
            from omma.parts.neighbours import neighbours

            return {"loss": neighbours(lambda pictures: self.through(net, pictures), batch.pictures)}
        return self.far(self.through(net, batch.pictures, batch.truth.get("noise")).float(), batch.truth["picture"])

    def far(self, made: torch.Tensor, true: torch.Tensor) -> dict[str, torch.Tensor]:
        """How far answers (B, C, H, W) are from the truth, pixel by pixel, and as an encoder sees them where that counts."""
        import torch

        off, kind, weight = made - true, self.settings["loss"], self.settings["perceptual"]
        each = off.square() if kind == "l2" else off.abs() if kind == "l1" else (off.square() + EDGE**2).sqrt()
        told = {"loss": each.mean()}
        if weight > 0:
            from omma.models.eyes import seeing
            from omma.parts.drawing.perceptual import perceptual

            encoder = seeing(str(self.settings["encoder"])).to(made.device)
            with torch.no_grad():
                wanted = encoder.maps(true)
            told["perceptual"] = weight * perceptual(encoder.maps(made), wanted).mean()
        return told

    def infer(self, nets: dict[str, nn.Module], batch: Batch) -> dict[str, torch.Tensor]:
        net = nets["net"]
        if self.settings["ensemble"] == "no":
            return {"restored": self.restored(net, batch.pictures)}
        return {"restored": turned_mean(lambda pictures: self.restored(net, pictures), batch.pictures)}

    def restored(self, net: Any, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) → (B, C, s·h, s·w), C = 1 or 3 whatever the network reads.

        A network of one channel is given the luma of what it enlarges, while the colours are enlarged by bicubic interpolation; without
        enlarging, one channel after the other. Of a network of three channels grey gets the mean.
        """
        import torch

        from omma.parts.bicubic import enlarge
        from omma.parts.colour import rgb, ycbcr

        reads, found, scale = net.channels, pictures.shape[1], self.scale
        if reads == found:
            return self.through(net, pictures)
        if found == 1:
            return self.through(net, pictures.expand(-1, reads, -1, -1)).mean(1, keepdim=True)
        if scale == 1:
            return self.through(net, pictures.flatten(0, 1)[:, None]).squeeze(1).unflatten(0, (-1, found))
        parts = ycbcr(pictures * 255)
        bright = self.through(net, parts[:, :1] / 255) * 255
        return rgb(torch.cat([bright.to(parts.dtype), enlarge(parts[:, 1:], scale)], 1)) / 255

    def through(self, net: Any, pictures: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        """The network's answer; one that does not enlarge is given what bicubic interpolation makes.

        Args:
            noise: (B,) deviation of each picture's noise, of 0–255, where it is known.
        """
        from omma.parts.bicubic import enlarge

        if self.scale > 1 and not net.enlarges:
            pictures = enlarge(pictures, self.scale)
        return net(pictures, noise) if noise is not None and net.hears_noise else net(pictures)

    def decode(self, tensors: dict[str, torch.Tensor], batch: Batch | None = None) -> list[Picture]:
        return [Picture.of(one) for one in tensors["restored"].cpu().numpy()]

    def metrics(self):
        from omma.metrics.sets import restoration

        larger = self.scale > 1
        channel, border = self.settings["channel"], int(self.settings["border"])
        channel = "Y" if larger and channel == "auto" else channel
        return restoration(self.names, channel, border if border >= 0 else self.scale * larger, str(self.settings["features"]))

    def score(self, tensors: dict[str, torch.Tensor], about: str | None = None, at: torch.Tensor | None = None) -> torch.Tensor:
        """How much there is to see at a place of the answer: the sum of its slopes (Gu & Dong 2021), at (4,) corners of what was given."""
        return slopes(tensors["restored"], at, self.scale)


def turned_mean(answer: Callable[[torch.Tensor], torch.Tensor], pictures: torch.Tensor) -> torch.Tensor:
    """The mean of the answers to (B, C, h, w) turned and mirrored in all eight ways, each turned back (Timofte et al. 2016)."""
    total: Any = 0
    for quarters in range(4):
        turned = pictures.rot90(quarters, (2, 3))
        for one in (answer(turned), answer(turned.flip(3)).flip(3)):
            total = total + one.rot90(-quarters, (2, 3))
    return total / 8


def slopes(picture: torch.Tensor, at: torch.Tensor | None, scale: int) -> torch.Tensor:
    """(B,): the sum of the slopes of (B, C, s·h, s·w) pictures, or of what lies between (4,) corners of what was given."""
    down, across = picture.diff(dim=2).abs(), picture.diff(dim=3).abs()
    if at is None:
        return down.sum((1, 2, 3)) + across.sum((1, 2, 3))
    left, top, right, bottom = (round(float(value) * scale) for value in at)
    inside = slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))
    return down[:, :, inside[0], inside[1]].sum((1, 2, 3)) + across[:, :, inside[0], inside[1]].sum((1, 2, 3))

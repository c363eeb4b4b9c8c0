"""Style: pictures painted as another one is — optimised one by one, or by a network that has learned the style, or any."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from omma.answers.picture import Picture
from omma.errors import OmmaError
from omma.tasks.task import Batch, Task
from omma.words import say

if TYPE_CHECKING:
    import torch
    from torch import nn

BUDGETS = {"fast": "5min", "balanced": "30min", "best": "60min"}
COLOURS = ("style", "keep")
DRAWS = 8  # numbers of chance for each picture of a lesson


class Stylize(Task):
    """`infer` gives {"restored": (B, 3, h, w)}, 0–1, of pictures of any size.

    The styles are pixels that lie in the network (`models/_styled.py`), so that a bundle needs no other file; `settings` say only where
    they were read. What it is measured by asks the network for them.
    """

    asks = "style"
    poses = "itself"
    answer = Picture
    reads = "picture"
    models = ("johnson", "johnson-half", "adain", "gatys")
    explains = "attribution"
    furnishes = True
    by_loss = True  # the nearest to the style is a picture that shows nothing else
    _model: Any = None  # whose styles results are measured by
    SETTINGS: ClassVar[dict[str, tuple[Any, str]]] = {
        "style": ("", "the pictures to paint like: files or folders, joined by commas; several are mixed"),
        "mix": ("", "shares of several styles, joined by commas; alike when open"),
        "encoder": ("random", "what sees styles: random, a run or bundle, or timm/NAME:FILE, torchvision/NAME:FILE with its weights"),
        "judge": ("", "what results are measured by, named like encoder; random weights of another seed when open"),
        "content_weight": (1.0, "weight of what the picture shows"),
        "style_weight": (5.0, "weight of the style"),
        "smooth": (6.0, "weight of differences between neighbouring pixels"),
        "strength": (1.0, "0: the picture itself (adain: as its decoder draws it), to 1: painted"),
        "colours": ("style", "style: those of the style; keep: the picture's own"),
    }  # fmt: skip

    def plan(self, fingerprint, recipe):
        from omma.models._styled import looks_of
        from omma.models.making import settings_of

        self._sound()
        recipe.put("preset", budget=BUDGETS[recipe.preset])
        recipe.put("plan", model="johnson", channels=3, fit="own", size=128)
        if recipe.fit != "own":
            raise OmmaError(say("restore.fit", fit=recipe.fit))
        if recipe.model not in self.models:
            raise OmmaError(say("stylize.model", model=recipe.model, models=", ".join(self.models)))
        known = settings_of(str(recipe.model))
        recipe.model_settings["styles"] = len(files_of(str(self.settings["style"])))
        if "looks" in known:
            recipe.model_settings.setdefault("looks", looks_of(str(self.settings["encoder"])))
        recipe.put("plan", optimizer=recipe.optimizer or "adam")
        values: dict[str, Any] = {
            "batch": 2, "schedule": "onecycle", "momentum": 0.9, "warmup": 0.05, "evals": 5, "early_stop": 0, "clip": 1.0, "ema": 0.0,
            "weight_decay": 0.0, "rate": 2e-3, "balance": "none", "dropout": 0.0, "flip": True, "quarter": False, "tta": "none",
        }  # fmt: skip
        if "steps" in known:  # every picture is optimised by itself: there is nothing to learn first, whatever time there is
            recipe.budget = "1 step"
            values["batch"] = 1
        recipe.put("plan", **values)
        return recipe

    def _sound(self) -> None:
        """Refuse settings that mean nothing.

        Raises:
            OmmaError: colours that are neither, or a strength out of 0–1.
        """
        if self.settings["colours"] not in COLOURS:
            raise OmmaError(say("stylize.colours", colours=self.settings["colours"]))
        strong(float(self.settings["strength"]))

    def nets(self, model: nn.Module) -> dict[str, nn.Module]:
        self._model = model
        return {"net": model}

    def furnish(self, net: nn.Module) -> None:
        """Put styles, weights, strength and colours of the settings into a network that learns them for the first time.

        Raises:
            OmmaError: no such file, no such encoder, or shares that are not as many as the styles.
            DataError: a file is no picture.
        """
        import torch

        from omma.models._styled import Styled
        from omma.models.eyes import seeing

        assert isinstance(net, Styled)
        self._put(net, str(self.settings["style"]), str(self.settings["mix"]), seeing(str(self.settings["encoder"])))
        weights = [float(self.settings[key]) for key in ("content_weight", "style_weight", "smooth")]
        net.balance.copy_(torch.tensor(weights))
        net.strength.fill_(float(self.settings["strength"]))
        net.keep.fill_(float(self.settings["colours"] == "keep"))

    def restyle(self, net: nn.Module, style: str | None, strength: float | None) -> dict[str, Any]:
        """Other styles, or another strength, for the answers to come; returns what tells these from others.

        Args:
            style: files or folders, joined by commas; None = as it is.
            strength: 0–1; None = as it is.

        Raises:
            OmmaError: the network paints in no other styles than those it has learned, no such file, or a strength out of 0–1.
        """
        from omma.models._styled import Styled

        assert isinstance(net, Styled)
        if style is not None:
            if net.free:
                self._put(net, style, "", None)
            else:
                net.mix = self._learned(net, style)
        if strength is not None:
            net.strength.fill_(strong(strength))
        seen = net.paintings.numpy().tobytes() + net.mix.numpy().tobytes()
        return {"strength": float(net.strength), "styles": hashlib.sha256(seen).hexdigest()}

    def _learned(self, net: Any, style: str) -> torch.Tensor:
        """(K,) shares of the styles that a network has learned, of those among them that are named.

        Raises:
            OmmaError: it has not learned one of these.
        """
        mix = net.mix.new_zeros(len(net.mix))
        for file in files_of(style):
            named = (net.paintings == painting(file, net.paintings.shape[2])).flatten(1).all(1)
            if not named.any():
                raise OmmaError(say("stylize.learned_only"), str(file), say("stylize.learned_only_fix"))
            mix[named.nonzero()[0]] += 1
        return mix / mix.sum()

    def _put(self, net: Any, style: str, mix: str, encoder: Any) -> None:
        import torch

        files = files_of(style)
        try:
            shares = [float(part) for part in mix.split(",")] if mix else [1.0] * len(files)
        except ValueError:
            shares = []
        if len(shares) != len(files) or min(shares) < 0 or sum(shares) <= 0:
            raise OmmaError(say("stylize.mix", mix=mix, count=len(files)))
        net.learn_styles(torch.stack([painting(file, net.paintings.shape[2]) for file in files]), torch.tensor(shares), encoder)

    def loss(self, net: nn.Module, batch: Batch, step: int = 0) -> torch.Tensor | dict[str, torch.Tensor]:
        import torch

        from omma.data import chance
        from omma.models._styled import Styled
        from omma.models.eyes import seeing

        if not isinstance(net, Styled):  # a network without a style has the picture to learn
            return (net(batch.pictures) - batch.pictures).square().mean()
        index = torch.arange(len(batch)) if batch.index is None else batch.index
        draws = chance.uniform(0, step, index.cpu(), list(range(60, 60 + DRAWS))).T.to(batch.pictures.device)
        encoder = seeing(str(self.settings["encoder"])).to(batch.pictures.device)
        return net.lesson(batch.pictures, draws, encoder)

    def turns(self, nets, batch, step):
        if nets["net"].optimises:
            return
        yield "net", self.loss(nets["net"], batch, step)

    def infer(self, nets: dict[str, nn.Module], batch: Batch) -> dict[str, torch.Tensor]:
        """A grey picture is painted in colour."""
        pictures = batch.pictures
        if pictures.shape[1] == 1:
            pictures = pictures.expand(-1, 3, -1, -1)
        return {"restored": nets["net"](pictures)}

    def decode(self, tensors: dict[str, torch.Tensor], batch: Batch | None = None) -> list[Picture]:
        return [Picture.of(one) for one in tensors["restored"].cpu().numpy()]

    def metrics(self):
        from omma.metrics.sets import stylization

        return stylization(self.names, str(self.settings["judge"]), self._paintings)

    def _paintings(self) -> Any:
        from omma.models._styled import Styled

        return (self._model.paintings, self._model.mix) if isinstance(self._model, Styled) else None

    def score(self, tensors: dict[str, torch.Tensor], about: str | None = None, at: torch.Tensor | None = None) -> torch.Tensor:
        """How much there is to see at a place of the answer: the sum of its slopes (Gu & Dong 2021), at (4,) corners of the picture."""
        from omma.tasks.restore import slopes

        return slopes(tensors["restored"], at, self.scale)


def strong(strength: float) -> float:
    """Itself, where it is a strength.

    Raises:
        OmmaError: it is not in 0–1.
    """
    if not 0 <= strength <= 1:
        raise OmmaError(say("predict.out_of_range", name="strength", value=strength, low=0, high=1))
    return strength


def files_of(style: str) -> list[Path]:
    """The picture files meant by names of files and folders, joined by commas.

    Raises:
        OmmaError: nothing is named, or what is named is not there.
    """
    from omma.data.decode import find_pictures

    if not style:
        raise OmmaError(say("stylize.no_style"), None, say("stylize.no_style_fix"))
    found: list[Path] = []
    for word in [style] if Path(style).expanduser().exists() else [one.strip() for one in style.split(",") if one.strip()]:
        path = Path(word).expanduser()
        pictures = find_pictures(path) if path.is_dir() else [path] if path.is_file() else []
        if not pictures:
            raise OmmaError(say("stylize.absent"), word, say("stylize.no_style_fix"))
        found += pictures
    return found


def painting(file: Path, side: int) -> torch.Tensor:
    """(3, side, side) uint8: the middle of a picture, its shorter side brought to `side` pixels.

    Raises:
        DataError: it cannot be decoded.
    """
    import numpy as np
    import torch
    from PIL import Image

    from omma.data.decode import decode, to_rgb8

    picture = to_rgb8(decode(file))
    height, width = picture.shape[:2]
    share = side / min(height, width)
    sides = max(side, round(width * share)), max(side, round(height * share))
    scaled = np.asarray(Image.fromarray(picture).resize(sides, Image.Resampling.BICUBIC))
    top, left = ((length - side) // 2 for length in scaled.shape[:2])
    return torch.from_numpy(scaled[top : top + side, left : left + side].copy()).permute(2, 0, 1).contiguous()

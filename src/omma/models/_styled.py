"""What networks that paint in the style of other pictures have in common: the styles they keep, strength, colours, large pictures."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from omma.errors import NotMeaningful, OmmaError
from omma.models._restorer import Restorer
from omma.models.eyes import RANDOM, SIDE, Eyes, eyes, freed
from omma.models.making import FAMILIES, build
from omma.models.network import Network
from omma.parts.colour import rgb, ycbcr
from omma.parts.style import LEVELS, TINY, Texture, coarser, exact
from omma.words import say

MOST = 64  # styles of one network
# What norms have seen of a picture as a whole, by thread: several pictures are answered at once.
_KEPT = threading.local()


class Norm(nn.Module):
    """Instance normalisation, which every style scales in its own way (Ulyanov et al. 2017; Dumoulin et al. 2017).

    Args:
        width: channels.
        styles: how many scales and shifts there are; 0 = none, what comes out has mean 0 and deviation 1.
    """

    def __init__(self, width: int, styles: int) -> None:
        super().__init__()
        self.still = False  # leave out what looks at the whole picture
        if styles:
            self.gain = nn.Parameter(torch.ones(styles, width))
            self.shift = nn.Parameter(torch.zeros(styles, width))

    def forward(self, maps: torch.Tensor, mix: torch.Tensor | None = None) -> torch.Tensor:
        """(B, C, h, w) and (1 or B, K) shares of the styles → (B, C, h, w)."""
        if not self.still:
            mean, scale = self._statistics(maps)
            maps = (maps - mean) * scale
        if mix is None:
            return maps
        return maps * (mix @ self.gain)[..., None, None] + (mix @ self.shift)[..., None, None]

    def _statistics(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and one over the deviation of each channel, (B, C, 1, 1); of the whole picture, where that was looked at before."""
        kept = getattr(_KEPT, "seen", None)
        if kept is not None and id(self) in kept:
            return kept[id(self)]
        mean = maps.mean((2, 3), keepdim=True)
        found = mean, ((maps - mean).square().mean((2, 3), keepdim=True) + TINY).rsqrt()
        if kept is not None and _KEPT.looking:
            kept[id(self)] = found
        return found


class Styled(Restorer):
    """Pictures (B, C, h, w), 0–1, of any size → the same in the style of the pictures it keeps; see `Restorer`.

    A subclass writes `paint` and `lesson`, `learned` where something follows from new styles, and `free` where it takes any style.

    Args:
        channels: of the pictures.
        styles: how many it keeps.
        painting: pixels on a side of what is kept of each.

    Attributes:
        paintings: (K, 3, P, P) uint8.
        mix: (K,) their shares, which add up to 1.
        strength: () 0 = the picture itself, 1 = painted.
        keep: () 1 = the picture keeps its own colours (Gatys et al. 2017, luminance alone is painted).
        balance: (3,) weights of content, style and smoothness.
    """

    # Whether other styles can be had without learning anew.
    free: ClassVar[bool] = False
    remembers: ClassVar[bool] = True
    paintings: torch.Tensor
    mix: torch.Tensor
    strength: torch.Tensor
    keep: torch.Tensor
    balance: torch.Tensor

    def __init__(self, channels: int, styles: int, painting: int) -> None:
        if not 1 <= styles <= MOST or not 16 <= painting <= 2048:
            raise OmmaError(say("stylize.styles", count=styles, most=MOST, side=painting))
        super().__init__(channels, 1)
        self.register_buffer("paintings", torch.zeros(styles, 3, painting, painting, dtype=torch.uint8))
        self.register_buffer("mix", torch.full((styles,), 1 / styles))
        self.register_buffer("strength", torch.ones(()))
        self.register_buffer("keep", torch.zeros(()))
        self.register_buffer("balance", torch.ones(3))
        self._texture: tuple[Any, Texture] | None = None

    @torch.no_grad()
    def learn_styles(self, paintings: torch.Tensor, mix: torch.Tensor, encoder: Eyes | None = None) -> None:
        """Keep these styles from now on.

        Args:
            paintings: (K, 3, P, P) uint8.
            mix: (K,) shares; only their ratios count.
            encoder: what the network looks through from now on, where it has one of its own; None = as before.
        """
        assert paintings.shape[2:] == self.paintings.shape[2:], f"{tuple(paintings.shape)} for {tuple(self.paintings.shape)}"
        device = self.paintings.device
        self.paintings = paintings.to(device)
        self.mix = (mix / mix.sum()).to(device, torch.float32)
        if encoder is not None:
            self.look_through(encoder)
        self.learned()

    def look_through(self, encoder: Eyes) -> None:
        """Take over the weights of an encoder; nothing where there is none inside."""

    def learned(self) -> None:
        """The styles are others now."""

    def texture(self, encoder: Eyes) -> Texture:
        """What an encoder sees in the styles; looked at once."""
        key = encoder.name, str(self.paintings.device), hash(self.paintings.cpu().numpy().tobytes())
        if self._texture is None or self._texture[0] != key:
            with torch.inference_mode(False), torch.no_grad(), exact(self.paintings):  # gradients may pass by what is kept
                self._texture = key, texture_of(encoder, self.paintings)
        return self._texture[1]

    def lesson(self, pictures: torch.Tensor, draws: torch.Tensor, encoder: Eyes) -> dict[str, torch.Tensor]:
        """What is to become small, by name.

        Args:
            pictures: (B, C, h, w), 0–1.
            draws: (B, 8) chance, 0–1.
            encoder: by which pictures are told apart while it learns.
        """
        raise NotImplementedError

    def paint(self, pictures: torch.Tensor, mix: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) and (1 or B, K) shares → the pictures as painted, at full strength and in the style's colours."""
        return self.head(self.drop(self.maps(pictures, mix)))

    def maps(self, pictures: torch.Tensor, mix: torch.Tensor | None = None) -> torch.Tensor:
        raise NotImplementedError

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w), 0–1 → the same, in the kept mix, strength and colours."""
        return self.coloured(pictures + self.strength * (self.paint(pictures, self.mix[None]) - pictures), pictures)

    def coloured(self, made: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        """What was made, with the colours of the pictures as far as `keep` says."""
        if self.channels != 3:
            return made
        own, new = ycbcr(pictures * 255), ycbcr(made * 255)
        kept = rgb(torch.cat([new[:, :1], own[:, 1:]], 1)) / 255
        return made + self.keep * (kept - made)

    def still(self) -> nn.Module:
        """A copy that normalises nothing: as far as it looks, parts of a picture must overlap, see `steady`."""
        twin = copy.deepcopy(self)
        for module in twin.modules():
            if isinstance(module, Norm):
                module.still = True
            if isinstance(module, Eyes):  # so that positive weights keep everything positive
                module.mean.zero_()
                module.std.fill_(1.0)
        return twin

    @contextmanager
    def steady(self, small: torch.Tensor) -> Iterator[None]:
        """Within, and in this thread, parts of a picture are normalised by what its reduced copy says of the whole.

        So parts fit together however large the picture is (Chen et al. 2022, thumbnail instance normalisation).

        Args:
            small: (1, C, h, w), 0–1.
        """
        _KEPT.seen, _KEPT.looking = {}, True
        try:
            with torch.no_grad():
                self(small)
            _KEPT.looking = False
            yield
        finally:
            _KEPT.seen = None

    def dead_ends(self) -> list[nn.Module]:
        """All: norms by style and shortcuts tie the widths together."""
        return [module for module in self.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def texture_of(encoder: Eyes, paintings: torch.Tensor) -> Texture:
    """What an encoder sees in (K, 3, P, P) uint8 pictures, one at a time."""
    each = [Texture.of(coarser(encoder.maps(one[None].float() / 255))) for one in paintings]
    levels = range(len(each[0].means))
    return Texture([torch.cat([t.means[i] for t in each]) for i in levels], [torch.cat([t.products[i] for t in each]) for i in levels])


def meaningful(net: Network, verb: str) -> None:
    """Refuse what has no meaning for a network that optimises pictures.

    Raises:
        NotMeaningful: it does.
    """
    if net.optimises:
        raise NotMeaningful(say(f"stylize.optimised.{verb}"))


def looks_of(name: str) -> str:
    """What of an encoder's name says how it is built, without its weights: `random`, `torchvision/vgg16`, `resnet20 {"size": 32, …}`."""
    family, _, rest = name.partition("/")
    if name == RANDOM or (family in FAMILIES and rest and not Path(name).exists()):
        return name.partition(":")[0]
    folder = Path(name) / "bundle" if (Path(name) / "bundle" / "bundle.json").is_file() else Path(name)
    try:
        card = json.loads((folder / "bundle.json").read_text("utf-8"))
        views = card["views"]
        told = {"channels": views["channels"], "size": views["size"], "outputs": len(card["names"]), **card["model_settings"]}
        return f"{card['model']} {json.dumps(told)}"
    except (OSError, ValueError, KeyError, TypeError):
        raise OmmaError(say("models.no_eyes", name=name), None, say("models.eyes_fix")) from None


def bare(looks: str) -> Eyes:
    """An encoder as `looks_of` names it, its weights to be filled in.

    Raises:
        OmmaError: no such network, or one that does not look at pictures.
    """
    device = torch.empty(0).device
    with torch.device("cpu"):  # its weights are drawn, or read, even where only shapes are wanted
        if looks == RANDOM:
            return freed(eyes(RANDOM), looks).to(device)
    model, _, told = looks.partition(" ")
    try:
        settings: dict[str, Any] = json.loads(told) if told else {"channels": 3, "size": SIDE, "outputs": 1}
        net: Network = build(model, **{key: value for key, value in settings.items() if key not in ("pretrained", "looks")})
    except (ValueError, TypeError, KeyError):
        raise OmmaError(say("models.no_eyes", name=looks[:60]), None, say("models.eyes_fix")) from None
    if net.gives not in ("row", "pixels", "frame"):
        raise OmmaError(say("models.no_eyes", name=looks[:60]), None, say("models.eyes_fix"))
    net.head = nn.Identity()  # what it was asked once is of no concern here
    if hasattr(net, "neck"):
        net.neck = nn.Identity()
    channels = int(settings["channels"])
    return freed(Eyes(net, model, channels, int(settings["size"]), [0.5] * channels, [0.25] * channels), looks)


@torch.no_grad()
def shortened(found: Eyes) -> Eyes:
    """Without what lies beyond the first map of the coarsest level, where pieces follow one another: of VGG up to relu4_1."""
    chain = getattr(found.net, "trunk", None)
    if isinstance(chain, nn.Sequential) and len(chain) == 1:
        chain = chain[0]
    if not isinstance(chain, nn.Sequential):
        return found
    maps, sizes = found.mean.new_zeros(1, found.channels, 64, 64), set[int]()
    for place, piece in enumerate(chain):
        maps = piece(maps)
        sizes |= {maps.shape[-1]} if next(piece.parameters(), None) is not None else set()
        if len(sizes) == LEVELS:
            end = place + 1
            while end < len(chain) and isinstance(chain[end], nn.BatchNorm2d | nn.ReLU):
                end += 1
            del chain[end:]
            break
    return found


def fill(mine: Eyes, theirs: Eyes) -> None:
    """Put an encoder's weights and its normalisation into another of the same build."""
    own, given = mine.state_dict(), theirs.state_dict()
    missing = [key for key, value in own.items() if key not in given or given[key].shape != value.shape]
    if missing:
        raise OmmaError(say("models.does_not_fit", tensor=missing[0], found=None, wanted=tuple(own[missing[0]].shape)), theirs.name)
    mine.load_state_dict({key: given[key] for key in own})
    mine.name, mine.size = theirs.name, theirs.size

"""How far around a pixel a network looks: measured on a copy, not reckoned from its layers."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

GLOBAL = None  # the reach of a network that looks at the whole picture
PERIOD = 16  # pixels after which a network with strides treats places alike; the usual strides divide it
_SHORTEST, _LONGEST = 64, 1024  # pixels, sides of the pictures it is tried on
_WIDTHS = (1, 2, 4, 8, PERIOD)  # pixels across, the first that the network takes: how far it looks along does not depend on it
_FAINT = 1e-250  # a slope that is less stands for paths that may have vanished; on wider pictures there are more of them


@torch.enable_grad()
def reach(net: nn.Module, channels: int | None = None) -> int | None:
    """The largest distance in input pixels at which a pixel can change what the network says at another; `GLOBAL` if there is no end.

    Pictures (1, C, h, w) go in, pictures of the same size or a multiple come out; the gradient of the answer at one place tells which
    pixels it depends on. Weights are taken as positive averages, so that no path is dead or cancelled: it is what the network could
    depend on, whatever it learned. Tiles that overlap by twice this distance give the same answer as the whole picture.

    Args:
        net: any module from pictures to pictures; it is not changed.
        channels: of its pictures; left open, `net.channels`.
    """
    twin = _averaging(net)
    channels = channels or int(getattr(net, "channels", 1))
    found = 0
    for turned in (False, True):  # along columns, then along rows
        far = _far(twin, channels, turned)
        if far is None:
            return GLOBAL
        found = max(found, far)
    return found


def _averaging(net: nn.Module) -> nn.Module:
    """A copy in double precision whose layers average: every weight positive, no offsets."""
    twin = copy.deepcopy(net).cpu().double().eval()
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, weight in twin.named_parameters():
            weight.requires_grad_(False)
            if weight.dim() > 1:
                drawn = torch.rand(weight.shape, generator=chance, dtype=torch.float64) + 0.5
                weight.copy_(drawn / drawn.flatten(1).sum(1).view(-1, *[1] * (weight.dim() - 1)))
            else:
                weight.fill_(0.0 if key.endswith("bias") else 1.0)
        for key, kept in twin.named_buffers():
            if key.endswith(("running_mean", "running_var")):
                kept.fill_(float(key.endswith("running_var")))
    return twin


class _Faint(Exception):
    """Slopes too small to be told from none."""


Seen = dict[int, tuple[int, int]]  # phase → how far it sees to either side


def _far(twin: nn.Module, channels: int, turned: bool, widths: Sequence[int] = _WIDTHS) -> int | None:
    """The reach along one side, on long pictures as narrow as the network takes; longer ones as long as it touches their ends.

    A picture of one column may be too simple for what looks at all of it (a noise level, a norm): what a narrow one shows is confirmed on
    a wide one, or asked there.
    """
    for width in widths[:-1]:
        try:
            found = _along(twin, channels, turned, width)
        except Exception:  # too narrow for its strides or its borders, or slopes too faint: each network says so in its own way
            continue
        if found is None:
            return None
        if _confirmed(twin, channels, turned, found):
            return _most(found)
        break
    found = _along(twin, channels, turned, widths[-1])
    return None if found is None else _most(found)


def _most(found: Seen) -> int:
    return max(far for pair in found.values() for far in pair)


def _confirmed(twin: nn.Module, channels: int, turned: bool, found: Seen) -> bool:
    """Whether a picture of a period's width, in single precision, shows the same at both ends of a period."""
    length = -(-2 * (_most(found) + 2 * PERIOD) // PERIOD) * PERIOD
    wide = _looked(copy.deepcopy(twin).float(), channels, turned, PERIOD, length, torch.float32, (0, PERIOD - 1))
    return wide is not None and all(found[phase] == pair for phase, pair in wide.items())


def _along(twin: nn.Module, channels: int, turned: bool, width: int) -> Seen | None:
    """What places of a period see on a picture that is long enough; None where none is."""
    length = _SHORTEST
    while length <= _LONGEST:
        if (found := _looked(twin, channels, turned, width, length, torch.float64)) is not None:
            return found
        length *= 2
    return None


def _looked(
    net: nn.Module, channels: int, turned: bool, width: int, length: int, kind: torch.dtype, phases: Sequence[int] = range(PERIOD)
) -> Seen | None:
    """What places of a period in the middle see; None where an end of the picture is reached.

    Raises:
        ValueError: the answer is no whole multiple of the picture.
        _Faint: on a narrow picture slopes are so small that others may have vanished.
    """
    shape = (1, channels, width, length) if turned else (1, channels, length, width)
    pictures = torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(kind)
    if width < PERIOD:  # bright: where grey is taken for zero all stays positive, and the few paths there are are not cut off
        pictures = 0.6 + 0.4 * pictures
    pictures.requires_grad_(True)
    said = net(pictures)
    said = said.transpose(2, 3) if turned else said
    if said.shape[2] % length or said.shape[2] // length * width != said.shape[3]:
        raise ValueError(f"{tuple(pictures.shape)} became {tuple(said.shape)}")
    scale, middle = said.shape[2] // length, length // 2 // PERIOD * PERIOD
    chance = torch.Generator().manual_seed(2)
    found: Seen = {}

    def look(phase: int) -> bool:
        row = middle + phase
        patch = said[:, :, row * scale : (row + 1) * scale]
        weight = torch.rand(patch.shape, generator=chance).to(kind)
        (slope,) = torch.autograd.grad((patch * weight).sum(), pictures, retain_graph=True)
        if width < PERIOD and bool(((slope != 0) & (slope.abs() < _FAINT)).any()):
            raise _Faint
        seen = (slope != 0).any(1).any(1 if turned else 2)[0].nonzero().flatten().tolist() or [row]
        found[phase] = (row - seen[0], seen[-1] - row)
        return seen[0] > 0 and seen[-1] < length - 1

    if not all(map(look, (phases[0], phases[-1]))):
        return None
    # A network without strides sees as far to both sides from everywhere; of others each place is asked.
    if len({far for pair in found.values() for far in pair}) > 1 and not all(map(look, phases[1:-1])):
        return None
    return found

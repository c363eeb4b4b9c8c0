"""Chance without memory: every draw is a hash of (seed, epoch, sample, draw), so it never depends on who asks, when, or how many at once.

The hash is the finaliser of splitmix64 (Steele, Lea & Flood 2014) in wrapping int64 arithmetic, the same on every device.
A `draw` names what the number is for; two purposes must use two draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

_MASK = (1 << 64) - 1
_GOLDEN, _ONE, _TWO = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
ORDER = 1 << 20  # the draw that shuffles an epoch; far from those of augmentation


def _signed(value: int) -> int:
    """The int64 with the same 64 bits."""
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


def _mixed(value: int) -> int:
    """One number through the finaliser, in Python's own integers."""
    value &= _MASK
    value = ((value ^ (value >> 30)) * _ONE) & _MASK
    value = ((value ^ (value >> 27)) * _TWO) & _MASK
    return value ^ (value >> 31)


def _shifted(value: torch.Tensor, bits: int) -> torch.Tensor:
    """Logical shift to the right: int64 shifts drag the sign along, which the mask takes away."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def bits(seed: int, epoch: int, samples: torch.Tensor, draw: int | Sequence[int]) -> torch.Tensor:
    """64 random bits for each of `samples` ((B,) int64, any device) as (B,) int64; for K draws at once, (K, B)."""
    epoch_base = _mixed(_mixed(seed + _GOLDEN) ^ (epoch * _ONE))
    if isinstance(draw, int):
        base: int | torch.Tensor = _signed(_mixed(epoch_base ^ (draw * _TWO)))
    else:
        base = torch.tensor([[_signed(_mixed(epoch_base ^ (one * _TWO)))] for one in draw], device=samples.device)
    value = samples.long() * _signed(_GOLDEN) + base
    value = (value ^ _shifted(value, 30)) * _signed(_ONE)
    value = (value ^ _shifted(value, 27)) * _signed(_TWO)
    return value ^ _shifted(value, 31)


def uniform(seed: int, epoch: int, samples: torch.Tensor, draw: int | Sequence[int]) -> torch.Tensor:
    """(B,) float32 in [0, 1), multiples of 2⁻²⁴; for K draws at once, (K, B)."""
    return _shifted(bits(seed, epoch, samples, draw), 40).float() * 2.0**-24


def normal(seed: int, epoch: int, samples: torch.Tensor, draw: int) -> torch.Tensor:
    """(B,) float32 of mean 0 and deviation 1 (Box and Muller 1958: the two halves of one hash)."""
    value = bits(seed, epoch, samples, draw)
    radius = (_shifted(value, 32).double() + 1) * 2.0**-32  # (0, 1]: its logarithm is finite
    angle = (value & 0xFFFFFFFF).double() * 2.0**-32
    return ((-2 * radius.log()).sqrt() * (2 * math.pi * angle).cos()).float()


def randint(seed: int, epoch: int, samples: torch.Tensor, draw: int, high: int) -> torch.Tensor:
    """(B,) int64 in [0, high), `high` at most 2³¹; the bias is below high / 2³¹."""
    assert 0 < high <= 1 << 31
    return (_shifted(bits(seed, epoch, samples, draw), 33) * high) >> 31


def order(seed: int, epoch: int, n: int) -> torch.Tensor:
    """(n,) int64: the permutation of one epoch."""
    return bits(seed, epoch, torch.arange(n), ORDER).argsort(stable=True)

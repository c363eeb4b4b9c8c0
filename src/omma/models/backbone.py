"""Any network of timm or torchvision by its own name, cut into a body and a head of ours."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from omma.errors import OmmaError
from omma.models.network import Network
from omma.words import say

T = TypeVar("T")
# The least weight of a batch in the averages of batch norm. MNASNet's (0.0003) forget what they began with after ten thousand steps:
# a run of minutes would be answered with statistics of networks it has long left.
LIVELY = 0.01


class Backbone(Network):
    """What both libraries have in common.

    Args:
        name: with the family in front.
        channels, size, outputs: see `omma.models.making.build`.
    """

    def __init__(self, name: str, channels: int, size: int, outputs: int) -> None:
        super().__init__()
        self.name, self.channels, self.size, self.outputs = name, channels, size, outputs

    def loose(self, module: nn.Module) -> list[nn.Module]:
        """Parameters that belong to no layer (class tokens, positions) as a stage of their own."""
        own = dict(module.named_parameters(recurse=False))
        if not own:
            return []
        stage = nn.Module()
        for key, value in own.items():
            stage.register_parameter(key, value)
        return [stage]

    def published(self) -> tuple[str, str, bool]:
        """Where the published weights lie, what to do with that file when it was fetched by hand, and whether it is there already.

        Raises:
            OmmaError: there are none.
        """
        raise NotImplementedError

    def state_from(self, how: str) -> dict[str, torch.Tensor]:
        """The state of a body that has read the published weights (`yes`) or a file; sets `origin`."""
        raise NotImplementedError

    def start(self, how: str) -> None:
        """Take published weights: `yes` fetches them, a .safetensors file is read, `no` does nothing.

        Raises:
            OmmaError: there are none, they cannot be fetched, or the file does not fit.
        """
        if how == "no":
            return
        if how == "yes" and os.environ.get("OMMA_OFFLINE", "") not in ("", "0"):
            _, by_hand, there = self.published()
            if not there:
                raise OmmaError(say("models.offline", model=self.name), None, by_hand)
        state = self.state_from(how)
        self.load_state_dict({key: state.get(key, value) for key, value in self.state_dict().items()})


def lively(net: nn.Module) -> None:
    """Let the averages of batch norm follow within hundreds of steps, whatever the library would have them do; answers do not change."""
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.momentum is not None:
            module.momentum = max(module.momentum, LIVELY)


def per_channel(values: Any, channels: int) -> list[float]:
    """Three published numbers for as many channels as there are: themselves, or their mean."""
    values = [float(v) for v in values]
    return values if len(values) == channels else [sum(values) / len(values)] * channels


def fetched(net: Backbone, get: Callable[[], T]) -> T:
    """What `get` downloads, or one line that says what went wrong, with the file to fetch by hand."""
    _, by_hand, _ = net.published()
    hub = logging.getLogger("huggingface_hub")  # it tells of every retry; the last word is ours
    level = hub.level
    hub.setLevel(logging.CRITICAL)
    try:
        return get()
    except OmmaError:
        raise
    except Exception as error:  # whatever a hub's client throws: network, disk, a missing file
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise OmmaError(say("models.not_fetched", model=net.name, reason=reason), None, by_hand) from None
    finally:
        hub.setLevel(level)


def built(name: str, size: int, channels: int, make: Callable[[], T]) -> T:
    """What `make` builds; a size the network does not take is told in one line."""
    try:
        return make()
    except OmmaError:
        raise
    except (AssertionError, RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise OmmaError(say("models.cannot_build", model=name, size=size, channels=channels, reason=reason)) from None


def weights_file(how: str) -> Path:
    """The file meant by `pretrained=FILE`."""
    return Path(how).expanduser()

"""Weights from a .safetensors file into a network, by name and shape."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from omma.errors import OmmaError
from omma.words import say


def read(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a .safetensors file; nothing else is ever opened, since other formats can carry code.

    Raises:
        OmmaError: another kind of file, absent or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    if path.suffix != ".safetensors":
        raise OmmaError(say("models.not_safetensors"), path, say("models.not_safetensors_fix"))
    try:
        return load_file(path)
    except FileNotFoundError:
        raise OmmaError(say("models.no_file"), path) from None
    except (SafetensorError, OSError, ValueError) as error:
        raise OmmaError(say("models.unreadable", reason=str(error)[:200]), path) from None


def fill(net: nn.Module, tensors: Mapping[str, torch.Tensor], where: str | Path, renamed: Mapping[str, str]) -> None:
    """Copy every tensor into its namesake. A head of another width keeps its random start; anything else must fit.

    Args:
        net: what is filled; its head is called `head`.
        tensors: by name; those of a bundle (`net.…`) are understood.
        where: named in errors.
        renamed: parts of names as the file has them → as the network has them.

    Raises:
        OmmaError: a tensor is missing or has another shape.
    """
    named = {}
    for key, value in tensors.items():
        for theirs, ours in {"net.": "", **renamed}.items():
            key = ours + key.removeprefix(theirs) if key.startswith(theirs) else key
        named[key] = value
    mine = net.state_dict()
    for key, value in mine.items():
        found = named.get(key)
        if found is not None and found.shape == value.shape:
            value.copy_(found)
        elif not key.startswith("head.") and not key.endswith("num_batches_tracked"):
            shape = None if found is None else tuple(found.shape)
            raise OmmaError(say("models.does_not_fit", tensor=key, found=shape, wanted=tuple(value.shape)), where)

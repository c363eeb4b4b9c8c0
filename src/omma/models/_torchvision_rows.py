"""The last layers of torchvision's detectors, their rows sorted by class, so that a head can be taken over class by class."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class Rows(nn.Module):
    """What a layer knows of each class: `weight` (K, R · D, …) and `bias` (K, R), R filters for each of K classes."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)


class Link(nn.Module):
    """Stands where the library's layer stood and gives what that one gave, from the rows of the head and the background's own.

    Args:
        layer: a convolution or linear layer of the library; its start is taken over.
        classes: K.
        filters: R.
        by_class: whether the library puts a class's filters side by side; else a filter's classes.
        background: whether the library's first class is no object.
    """

    def __init__(self, layer: nn.Conv2d | nn.Linear, classes: int, filters: int, by_class: bool, background: bool) -> None:
        super().__init__()
        self.by_class, self.filters = by_class, filters
        self.padding = layer.padding if isinstance(layer, nn.Conv2d) else None
        count = classes + background
        assert layer.bias is not None and len(layer.weight) == count * filters, "as many rows as classes and filters ask for"
        sorts = (count, filters) if by_class else (filters, count)
        weight, bias = layer.weight.detach().unflatten(0, sorts), layer.bias.detach().unflatten(0, sorts)
        if not by_class:
            weight, bias = weight.transpose(0, 1), bias.transpose(0, 1)
        # Four dimensions at most: more cannot lie in channels-last order.
        weight = weight.flatten(1, 2).clone()
        # In a list: the rows belong to the head and are listed there, not here too.
        self._rows = [Rows(weight[int(background) :], bias[int(background) :].clone())]
        self.ground = Rows(weight[:1].clone(), bias[:1].clone()) if background else None

    @property
    def rows(self) -> Rows:
        """The rows of the classes, for the head."""
        return self._rows[0]

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """As the library's layer."""
        weight: torch.Tensor = self.rows.weight
        bias: torch.Tensor = self.rows.bias
        if self.ground is not None:
            weight, bias = torch.cat([self.ground.weight, weight]), torch.cat([self.ground.bias, bias])
        weight = weight.unflatten(1, (self.filters, -1))
        if not self.by_class:
            weight, bias = weight.transpose(0, 1), bias.transpose(0, 1)
        weight, bias = weight.flatten(0, 1), bias.flatten()
        return F.linear(maps, weight, bias) if self.padding is None else F.conv2d(maps, weight, bias, padding=self.padding)

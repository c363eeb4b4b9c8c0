"""Metrics whose figure is a confusion matrix: they also know which pictures stand behind each cell."""

from __future__ import annotations

from omma.metrics.metric import Gallery, Metric, Records


class Confused(Metric):
    """A subclass draws a figure of the kind `confusion`."""

    def behind(self, records: Records, true: int, named: int) -> Gallery:
        """Every picture of the cell in row `true` and column `named` of the figure, those with most of it first."""
        raise NotImplementedError

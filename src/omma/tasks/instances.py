"""Instance segmentation: which objects, and the outline of each."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from omma.answers import _rle
from omma.answers.instances import Instances as Outlined
from omma.tasks.detect import Detect


class Instances(Detect):
    """As detection; beside its boxes the network gives masks (B, K, S, S), or outlines (B, K, R, 2)."""

    answer: ClassVar[type[Outlined]] = Outlined
    models: ClassVar[tuple[str, ...]] = ("star", "torchvision/maskrcnn_resnet50_fpn_v2")

    def plan(self, fingerprint, recipe):
        from omma.tasks.plan import plan_places

        # Few pictures a step: outlines are learned by many steps rather than by large ones.
        rates = {"muon": 0.05, "adamw": 3e-3}
        return plan_places(fingerprint, recipe, "star", rates=rates, quarter=True, batch=4, weight_decay=0.01, colour=0.4, scale=0.4)

    def one(self, row: dict[str, Any]) -> Outlined:
        height, width = map(int, row["extent"])
        # One mask after the other: of a large picture all of them at once would not fit into memory. One without a pixel is no object.
        masks = ((place, row["masks"][place]) for place in row["probabilities"].nonzero()[0])
        outlined = {place: _rle.encode(mask) for place, mask in masks if mask.any()}
        used, counts = np.array(list(outlined), int), list(outlined.values())
        labels = [self.names[place] for place in row["classes"][used]]
        found = Outlined(
            width, height, labels, row["boxes"][used].astype(float), row["probabilities"][used], None, counts, classes=self.names
        )
        return found.fitted()

    def metrics(self):
        from omma.metrics.sets import instances

        return instances(self.names)

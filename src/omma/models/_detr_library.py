"""Detectors as transformers builds them, from the settings of our table and the tensors of one file.

Nothing but `model.safetensors` is ever fetched or read: no code, no pickles, no settings.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from omma.models._detr_sizes import SIZES

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # before the library is imported
# It checks its own shapes by asking tensors for their values, which no exported graph can.
os.environ.setdefault("TRANSFORMERS_DISABLE_TORCH_CHECK", "1")

QUERIES = 300  # places the library looks at
TRUNKS = {"DFine": "hgnet_v2", "RTDetrV2": "rt_detr_resnet", "RfDetr": "rf_detr_dinov2"}


def whole(name: str, channels: int, outputs: int, state: dict[str, torch.Tensor] | None = None) -> Any:
    """The library's own network, with random weights or those of a file, as far as they fit; `untaken` lists what they do not fill."""
    import transformers

    size = SIZES[name]
    body: dict[str, Any] = {"model_type": TRUNKS[size.family], "out_indices": [2, 3, 4], "num_channels": channels}
    body |= size.body
    if "stem_channels" in body:
        body["stem_channels"] = [channels, *body["stem_channels"][1:]]
    # Tied: a table of which layer stands in for which, which would overwrite later layers with the first one.
    config = getattr(transformers, f"{size.family}Config")(
        backbone_config=body, num_labels=outputs, num_queries=QUERIES, tie_word_embeddings=False, **size.rest
    )
    kind = getattr(transformers, f"{size.family}ForObjectDetection")
    # It asks for the length of a batch: as a plain number that would tie exported graphs to the batch they were traced with.
    sys.modules[kind.__module__].len = _length  # type: ignore[attr-defined]
    with _silent():
        if state is None:
            return kind(config)
        net, told = kind.from_pretrained(
            None, config=config, state_dict=state, ignore_mismatched_sizes=True, output_loading_info=True, dtype=torch.float32
        )
    mismatched = [row[0] if isinstance(row, tuple) else row for row in told["mismatched_keys"]]
    net.untaken = [key for key in {*told["missing_keys"], *mismatched} if not key.endswith("num_batches_tracked")]
    return net


def _length(values: Any) -> Any:
    """`len`, which of a tensor stays open while a graph is traced."""
    return values.shape[0] if isinstance(values, torch.Tensor) else len(values)


@contextmanager
def _silent() -> Iterator[None]:
    """The library reports every tensor that does not fit and draws a bar; what a person has to know we say ourselves."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()

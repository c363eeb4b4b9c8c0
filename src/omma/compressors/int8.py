"""int8 static quantisation: 8-bit weights (one scale a channel) and 8-bit maps, ranges measured on training pictures."""

from __future__ import annotations

import hashlib
import logging
import warnings
from pathlib import Path
from typing import Any

import torch

from omma.bundle import Bundle
from omma.catalog import need
from omma.compressors.compressor import AT_ONCE, Shop, copy_of
from omma.errors import NotMeaningful
from omma.words import say

FILE = "model.int8.onnx"
CALIBRATION = 512  # pictures
# What is computed in 8 bits; all else (normalising, GELU, softmax) stays float32.
KINDS = ("Conv", "Gemm", "MatMul", "MaxPool", "AveragePool", "GlobalAveragePool", "Add", "Relu", "Clip", "Concat")


def int8(shop: Shop, bundle: Bundle) -> Bundle:
    """The same networks with a quantised graph beside them; its card names the graph, its SHA-256 and the runtime.

    Raises:
        OmmaError: onnx or onnxruntime is not installed.
        NotMeaningful: the network has nothing that could be computed in 8 bits.
    """
    need("onnx", "compress", "int8")
    need("onnxruntime", "compress", "int8")
    from omma.runtimes._graphs import make

    folder = shop.folder / f"int8-{len(list(shop.folder.iterdir()))}"
    folder.mkdir()
    whole = make(bundle, folder / "whole.onnx")
    quantise(whole, folder / FILE, _Reader(shop))
    whole.unlink()
    copy = copy_of(bundle, bundle.nets)
    copy.path = folder
    blob = (folder / FILE).read_bytes()
    copy.card["runtime"] = {"name": "ort", "file": FILE, "sha256": hashlib.sha256(blob).hexdigest(), "bytes": len(blob), "kind": "int8"}
    return copy


class _Reader:
    """Training pictures for `quantize_static`, in a fixed order."""

    def __init__(self, shop: Shop) -> None:
        places = shop.places("train")
        chosen = torch.randperm(len(places), generator=torch.Generator().manual_seed(shop.seed))[:CALIBRATION]
        kind = "float32" if shop.own or shop.seeds else "uint8"  # as the graph reads them
        self._batches = [frames.numpy().astype(kind) for frames in shop.batches([places[i] for i in chosen.sort().values.tolist()])]

    def get_next(self) -> dict[str, Any] | None:
        return {"frames": self._batches.pop(0)} if self._batches else None

    def __iter__(self) -> _Reader:
        return self

    def __next__(self) -> dict[str, Any]:
        if (row := self.get_next()) is None:
            raise StopIteration
        return row


def quantise(whole: Path, target: Path, reader: Any) -> Path:
    """Write the quantised form of a float32 graph.

    Raises:
        NotMeaningful: nothing in it can be.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from omma.compressors._fold import fold

    folded, ready = whole.with_suffix(".folded.onnx"), whole.with_suffix(".ready.onnx")
    model = onnx.load(str(whole))
    fold(model)
    onnx.save(model, str(folded))
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quant_pre_process(str(folded), str(ready), skip_symbolic_shape=True)
            graph = onnx.load(str(ready)).graph
            chosen = _behind_a_convolution(graph)
            if not chosen:
                raise NotMeaningful(say("compress.nothing_to_quantise"))
            quantize_static(
                str(ready), str(target), reader, quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=not has_vnni(),
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_quantize=chosen, op_types_to_quantize=list(KINDS),
            )  # fmt: skip
    finally:
        logging.disable(logging.NOTSET)
        for path in (folded, ready):
            path.unlink(missing_ok=True)
    return target


def _behind_a_convolution(graph: Any) -> list[str]:
    """Names of the nodes to quantise: from the first convolution or product to the last; what prepares the picture, and what turns maps
    into boxes, stays exact."""
    learned = {tensor.name for tensor in graph.initializer}
    reached: set[str] = set()
    chosen = []
    for place, node in enumerate(graph.node):
        node.name = node.name or f"node_{place}"
        # A product of two things that were computed is no layer.
        start = node.op_type in ("Conv", "Gemm") or (node.op_type == "MatMul" and any(name in learned for name in node.input))
        if start or any(name in reached for name in node.input):
            reached.update(node.output)
            chosen.append((node, start))
    needed: set[str] = set()
    for node, start in reversed(chosen):
        if start or any(name in needed for name in node.output):
            needed.update(node.input)
    return [node.name for node, start in chosen if node.op_type in KINDS and (start or any(name in needed for name in node.output))]


def has_vnni() -> bool:
    """Whether this processor adds 8-bit products without saturating; others need 7-bit weights to be right."""
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return False
    return any(flag in flags for flag in ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp"))


assert AT_ONCE <= CALIBRATION

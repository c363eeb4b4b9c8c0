"""Any module as one ONNX file; and the graph of a bundle, made once and kept beside `OMMA_HOME`."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from omma.errors import BundleError, DiskError
from omma.words import say

if TYPE_CHECKING:
    from omma.bundle import Bundle
    from omma.engine.pipeline import Pipeline

# Counted up when graphs are made otherwise: kept ones are then made anew.
GRAPHS = 1


def write_onnx(
    module: nn.Module,
    example: torch.Tensor | dict[str, torch.Tensor],
    path: Path,
    *,
    source: str | Sequence[str],
    outputs: Sequence[str],
    dynamic: dict[int, str] | dict[str, dict[int, str]],
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a module of one input (or a dict of them) and named outputs as a single ONNX file, whole or not at all.

    Args:
        module: `forward(example) -> dict` with the keys `outputs`, in that order.
        example: an input; at least 2 long wherever it is dynamic.
        path: where; its folder is made.
        source: name of the input, or names of the entries in their order.
        outputs: names of the outputs.
        dynamic: dimension → name, for those that may have any length; where inputs differ in that, by the names of `source`.
        metadata: what is written into `metadata_props`.

    Raises:
        DiskError: the disk does not take it.
        Exception: whatever the exporter says of an operation it cannot write.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    names = [source] if isinstance(source, str) else list(source)
    sides: Any = {name: dynamic.get(name, dynamic) for name in names}  # type: ignore[call-overload]
    free: Any = [dict.fromkeys(sides[name], torch.export.Dim.DYNAMIC) for name in names]
    free = dict(zip(example, free, strict=True)) if isinstance(example, dict) else free[0]
    given = (example, {}) if isinstance(example, dict) else (example,)  # a dict in the last place would be taken for keywords
    with warnings.catch_warnings(), torch.no_grad(), _hushed("torch.onnx", "onnxscript", "torch.export"):
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            module.eval(), given, dynamo=True, verbose=False, input_names=names, output_names=list(outputs),
            dynamic_shapes=(free,),
        )  # fmt: skip
    model = program.model
    _forget_where(model)
    for entry in model.graph.inputs:
        for place, name in sides[entry.name].items():
            _rename_dimension(model, str(entry.shape[place]), name)
    model.metadata_props.update(metadata or {})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        program.save(str(partial), external_data=False)
        partial.replace(path)
    except OSError as error:
        raise DiskError(say("runtimes.not_written", reason=error.strerror or error), path) from None
    finally:
        partial.unlink(missing_ok=True)
    return path


class _hushed:
    """Loggers that are not for people, silent for a while."""

    def __init__(self, *names: str) -> None:
        self._loggers = [logging.getLogger(name) for name in names]

    def __enter__(self) -> None:
        self._levels = [logger.level for logger in self._loggers]
        for logger in self._loggers:
            logger.setLevel(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        for logger, level in zip(self._loggers, self._levels, strict=True):
            logger.setLevel(level)


def _forget_where(model: Any) -> None:
    """Remove the exporter's notes: stack traces with file names of the machine it ran on."""
    model.metadata_props.clear()
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        for thing in (graph, *graph.all_nodes(), *graph.inputs, *graph.outputs, *graph.initializers.values()):
            thing.metadata_props.clear()
            if hasattr(thing, "doc_string"):
                thing.doc_string = None
        for node in graph.all_nodes():
            for output in node.outputs:
                output.metadata_props.clear()


def _rename_dimension(model: Any, old: str, new: str) -> None:
    """A length's name as people know it, wherever the exporter's own appears alone."""
    import onnx_ir

    for value in (*model.graph.inputs, *model.graph.outputs):
        if value.shape is not None:
            value.shape = onnx_ir.Shape([new if str(length) == old else length for length in value.shape])


def graph_of(bundle: Bundle) -> Path | bytes:
    """The bundle's pipeline up to the operating point as a graph: input `frames` (N, S, S, C) uint8, outputs of `Task.infer`.

    Of pictures at their own size (N, H, W, C) float32 of 0–255, C as the network reads; see `runtime.natively` for other C. Where seeds
    are asked for, (N, L) float32.

    A bundle whose card names a `runtime` file answers with that file (quantised); its bytes are checked against the card.

    Raises:
        BundleError: the file is missing, or is not the one the card was written for.
    """
    if bundle.card.get("runtime", {}).get("file"):
        return own_graph(bundle)
    path = kept_at(bundle)
    return path if path.is_file() else make(bundle, path)


def own_graph(bundle: Bundle) -> bytes:
    """The bytes of the graph that a bundle brings along, checked."""
    runtime = bundle.card["runtime"]
    name = str(runtime["file"])
    if bundle.path is None or Path(name).name != name or name.startswith("."):
        raise BundleError(say("bundle.missing_file", file=name[:60]), bundle.path)
    file = bundle.path / name
    if file.is_symlink() or not file.is_file():
        raise BundleError(say("bundle.missing_file", file=name[:60]), bundle.path)
    blob = file.read_bytes()
    if hashlib.sha256(blob).hexdigest() != runtime.get("sha256"):
        raise BundleError(say("runtimes.changed"), file)
    if b"location" in blob:  # the key by which a tensor names another file; only then is the graph worth parsing twice
        from onnx import ModelProto

        if any(tensor.external_data for tensor in _tensors(ModelProto.FromString(blob))):
            raise BundleError(say("runtimes.elsewhere"), file)
    return blob


def _tensors(message: Any) -> Iterator[Any]:
    """Every tensor anywhere in an ONNX message."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for part in value if field.is_repeated else [value]:
            if field.message_type.name == "TensorProto":
                yield part
            else:
                yield from _tensors(part)


def kept_at(bundle: Bundle) -> Path:
    """Where the graph of these weights, in these views, is kept."""
    from omma.data.sources import home

    return home() / "graphs" / f"{key_of(bundle)}.onnx"


def key_of(bundle: Bundle) -> str:
    """Everything a graph is made of, as 24 hexadecimal digits."""
    card = bundle.card
    parts = [
        GRAPHS, torch.__version__, weights_of(bundle), type(bundle.task).__module__, bundle.task.settings, bundle.names,
        bundle.views.json(), card.get("model"), card.get("model_settings"), card.get("surgery"),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]


def weights_of(bundle: Bundle) -> str:
    """SHA-256 of the weights as they are now, whatever the card says (a network may have been changed since)."""
    sha = hashlib.sha256()
    for who, net in sorted(bundle.nets.items()):
        for key, tensor in net.state_dict().items():
            sha.update(f"{who}.{key}".encode())
            sha.update(tensor.detach().cpu().contiguous().numpy().data)
    return sha.hexdigest()


class UpToThePoint(nn.Module):
    """A pipeline without its last step."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self.pipeline = pipeline

    def forward(self, frames: torch.Tensor) -> dict[str, torch.Tensor]:
        """(N, S, S, C) uint8 → tensors of `Task.infer`."""
        return self.pipeline.infer(frames)


def make(bundle: Bundle, path: Path) -> Path:
    """Write the graph of a bundle's pipeline, up to the operating point."""
    pipeline = bundle.pipeline()
    size, channels = bundle.views.size, bundle.views.channels
    device = next(pipeline.parameters()).device
    own = bundle.views.fit == "own"  # of any size, and values may be deeper than 8 bits
    frames = torch.zeros(2, size + 5, size + 9, channels) if own else torch.from_numpy(bundle.asked(2))
    frames = frames.to(device)
    with torch.no_grad():
        outputs = list(pipeline.infer(frames))
    free = {0: "N", 1: "H", 2: "W"} if own else {0: "N"}
    return write_onnx(UpToThePoint(pipeline), frames, path, source="frames", outputs=outputs, dynamic=free)

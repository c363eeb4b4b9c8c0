"""Batch norms that stand behind a pooling, folded into the convolution before it: exact, and one pass over the maps less."""

from __future__ import annotations

from typing import Any

import numpy as np


def fold(model: Any) -> int:
    """Fold Conv → MaxPool → BatchNormalization and Conv → BatchNormalization in an `onnx.ModelProto`, in place; how many were folded.

    A maximum may change places with a scale only where that is positive, so other batch norms stay.
    """
    from onnx import numpy_helper

    graph = model.graph
    values = {init.name: init for init in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    users: dict[str, int] = {}
    for node in graph.node:
        for name in node.input:
            users[name] = users.get(name, 0) + 1
    for out in graph.output:
        users[out.name] = users.get(out.name, 0) + 1
    folded = 0
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        between = makers.get(norm.input[0])
        pool = between if between is not None and between.op_type == "MaxPool" else None
        conv = makers.get(pool.input[0]) if pool is not None else between
        alone = conv is not None and conv.op_type == "Conv" and all(users[n.output[0]] == 1 for n in (conv, pool) if n is not None)
        if not alone or conv is None or not all(name in values for name in (*norm.input[1:], *conv.input[1:])):
            continue
        if any(users[name] > 1 for name in conv.input[1:]):
            continue
        gain, lift, mean, spread = (numpy_helper.to_array(values[name]).astype(np.float64) for name in norm.input[1:5])
        epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
        scale = gain / np.sqrt(spread + epsilon)
        if pool is not None and not (scale > 0).all():
            continue
        _scale(conv, values, graph, scale, lift - mean * scale)
        for node in graph.node:
            for place, name in enumerate(node.input):
                if name == norm.output[0]:
                    node.input[place] = norm.input[0]
        for out in graph.output:
            assert out.name != norm.output[0], "a network does not end in a batch norm"
        graph.node.remove(norm)
        folded += 1
    used = {name for node in graph.node for name in node.input} | {out.name for out in graph.output}
    for init in [init for init in graph.initializer if init.name not in used]:
        graph.initializer.remove(init)
    return folded


def _scale(conv: Any, values: dict[str, Any], graph: Any, scale: np.ndarray, lift: np.ndarray) -> None:
    """conv · scale + lift, channel by channel."""
    from onnx import numpy_helper

    weight = numpy_helper.to_array(values[conv.input[1]]).astype(np.float64)
    values[conv.input[1]].CopyFrom(numpy_helper.from_array((weight * scale.reshape(-1, 1, 1, 1)).astype(np.float32), conv.input[1]))
    if len(conv.input) > 2 and conv.input[2]:
        bias = numpy_helper.to_array(values[conv.input[2]]).astype(np.float64)
        values[conv.input[2]].CopyFrom(numpy_helper.from_array((bias * scale + lift).astype(np.float32), conv.input[2]))
        return
    name = f"{conv.input[1]}.folded_bias"
    graph.initializer.append(numpy_helper.from_array(lift.astype(np.float32), name))
    del conv.input[2:]
    conv.input.append(name)

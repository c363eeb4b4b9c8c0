"""The numbers a layer computes with: window, weights, counts of multiply-adds, and the shares of an attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn import functional as F

from omma.inside.field import pair


def _at(args: Any, kwargs: Mapping[str, Any], place: int, name: str, default: Any = None) -> Any:
    """A value by its place or its name."""
    return args[place] if len(args) > place else kwargs.get(name, default)


def terms_of(op: str, name: str, args: Any, kwargs: Mapping[str, Any], inputs: list[torch.Tensor]) -> dict[str, Any]:
    """What the arithmetic of a call is made of, by kind of layer; tensors are the layer's own."""
    made = _TERMS.get(op)
    return {} if made is None else made(name, args, kwargs, inputs)


def _conv(name: str, args: Any, kwargs: Mapping[str, Any], inputs: Any) -> dict[str, Any]:
    weight = _at(args, kwargs, 1, "weight")
    size, stride = tuple(weight.shape[2:]), pair(_at(args, kwargs, 3, "stride", 1))
    padding, apart = _at(args, kwargs, 4, "padding", 0), pair(_at(args, kwargs, 5, "dilation", 1))
    if isinstance(padding, str):
        padding = 0 if padding == "valid" else [(k - 1) * d // 2 for k, d in zip(size, apart, strict=True)]
    return {"weight": weight, "bias": _at(args, kwargs, 2, "bias"), "k": size, "s": stride, "p": pair(padding), "d": apart,
            "groups": int(_at(args, kwargs, 6, "groups", 1))}  # fmt: skip


def _deconv(name: str, args: Any, kwargs: Mapping[str, Any], inputs: Any) -> dict[str, Any]:
    weight = _at(args, kwargs, 1, "weight")
    return {"weight": weight, "bias": _at(args, kwargs, 2, "bias"), "k": tuple(weight.shape[2:]),
            "s": pair(_at(args, kwargs, 3, "stride", 1)), "p": pair(_at(args, kwargs, 4, "padding", 0)),
            "groups": int(_at(args, kwargs, 6, "groups", 1)),
            "d": pair(_at(args, kwargs, 7, "dilation", 1))}  # fmt: skip


def _pool(name: str, args: Any, kwargs: Mapping[str, Any], inputs: Any) -> dict[str, Any]:
    size = pair(_at(args, kwargs, 1, "kernel_size"))
    stride = _at(args, kwargs, 2, "stride")
    found: dict[str, Any] = {
        "k": size,
        "s": pair(stride) if stride not in (None, [], ()) else size,
        "p": pair(_at(args, kwargs, 3, "padding", 0)),
    }
    if name.startswith("max"):
        return found | {"d": pair(_at(args, kwargs, 4, "dilation", 1))}
    return found | {"d": (1, 1), "count_padding": bool(_at(args, kwargs, 5, "count_include_pad", True)),
                    "divisor": _at(args, kwargs, 6, "divisor_override")}  # fmt: skip


def _batch_norm(name: str, args: Any, kwargs: Mapping[str, Any], inputs: Any) -> dict[str, Any]:
    found = {key: _at(args, kwargs, place, long) for place, key, long in (
        (1, "mean", "running_mean"), (2, "var", "running_var"), (3, "weight", "weight"), (4, "bias", "bias"))}  # fmt: skip
    training = bool(_at(args, kwargs, 5, "training", False)) or found["mean"] is None
    return {} if training else found | {"eps": float(_at(args, kwargs, 7, "eps", 1e-5))}


def _layer_norm(name: str, args: Any, kwargs: Mapping[str, Any], inputs: Any) -> dict[str, Any]:
    shape = _at(args, kwargs, 1, "normalized_shape")
    return {"weight": _at(args, kwargs, 2, "weight"), "bias": _at(args, kwargs, 3, "bias"), "eps": float(_at(args, kwargs, 4, "eps", 1e-5)),
            "last": len(shape) == 1}  # fmt: skip


def _group_norm(name: str, args: Any, kwargs: Mapping[str, Any], inputs: Any) -> dict[str, Any]:
    return {"groups": int(_at(args, kwargs, 1, "num_groups")), "weight": _at(args, kwargs, 2, "weight"),
            "bias": _at(args, kwargs, 3, "bias"), "eps": float(_at(args, kwargs, 4, "eps", 1e-5))}  # fmt: skip


def _act(name: str, args: Any, kwargs: Mapping[str, Any], inputs: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name.rstrip("_")}
    if found["name"] == "leaky_relu":
        found["slope"] = float(_at(args, kwargs, 1, "negative_slope", 0.01))
    if found["name"] == "elu":
        found["slope"] = float(_at(args, kwargs, 1, "alpha", 1.0))
    if found["name"] == "prelu":
        found["weight"] = _at(args, kwargs, 1, "weight")
    if found["name"] == "gelu":
        found["approximate"] = _at(args, kwargs, 1, "approximate", "none")
    if found["name"] == "hardtanh":
        found |= {"low": float(_at(args, kwargs, 1, "min_val", -1.0)), "high": float(_at(args, kwargs, 2, "max_val", 1.0))}
    return found


def _join(name: str, args: Any, kwargs: Mapping[str, Any], inputs: Any) -> dict[str, Any]:
    if len(inputs) > 1:
        return {}
    number = next((one for one in (*args, *kwargs.values()) if isinstance(one, int | float)), None)
    return {"number": number}


def _pad(name: str, args: Any, kwargs: Mapping[str, Any], inputs: Any) -> dict[str, Any]:
    sides = list(_at(args, kwargs, 1, "pad"))
    left, top = (sides[0] if sides else 0), (sides[2] if len(sides) > 2 else 0)
    return {"p": (top, left), "sides": [int(side) for side in sides], "mode": _at(args, kwargs, 2, "mode", "constant"),
            "value": float(_at(args, kwargs, 3, "value", 0) or 0)}  # fmt: skip


def _attention(name: str, args: Any, kwargs: Mapping[str, Any], inputs: Any) -> dict[str, Any]:
    if not name.startswith("multi"):
        return {"kind": "tc", "mask": _at(args, kwargs, 3, "attn_mask"), "causal": _at(args, kwargs, 5, "is_causal", False),
                "scale": kwargs.get("scale")}  # fmt: skip
    given = {key: _at(args, kwargs, place, key) for place, key in enumerate(_POSITIONAL)}
    odd = ("bias_k", "bias_v", "add_zero_attn")
    plain = not any(given[key] is not None and given[key] is not False for key in odd) and kwargs.get("key_padding_mask") is None
    return {"kind": "sbc", "heads": int(given["num_heads"]), "in": given["in_proj_weight"], "lift": given["in_proj_bias"],
            "out": given["out_proj_weight"], "out_bias": given["out_proj_bias"], "mask": kwargs.get("attn_mask"),
            "plain": plain and given["in_proj_weight"] is not None and not kwargs.get("use_separate_proj_weight", False)}  # fmt: skip


def _begun(state: Any) -> list[torch.Tensor]:
    """[h, c of an LSTM] with which a recurrence begins."""
    return [one.detach() for one in (state if isinstance(state, tuple | list) else (state,))]


_TERMS: dict[str, Any] = {
    "conv": _conv, "deconv": _deconv, "max_pool": _pool, "avg_pool": _pool, "batch_norm": _batch_norm, "layer_norm": _layer_norm,
    "group_norm": _group_norm, "act": _act, "pad": _pad, **dict.fromkeys(("add", "mul", "sub", "div"), _join),
    "linear": lambda name, args, kwargs, inputs: {"weight": _at(args, kwargs, 1, "weight"), "bias": _at(args, kwargs, 2, "bias")},
    "resize": lambda name, args, kwargs, inputs: {
        "mode": _at(args, kwargs, 3, "mode", "nearest"), "factor": _at(args, kwargs, 2, "scale_factor"),
        "align": _at(args, kwargs, 4, "align_corners"), "recompute": bool(_at(args, kwargs, 5, "recompute_scale_factor", False)),
        "antialias": bool(_at(args, kwargs, 6, "antialias", False))},
    "softmax": lambda name, args, kwargs, inputs: {"dim": _at(args, kwargs, 1, "dim")},
    "shuffle": lambda name, args, kwargs, inputs: {"times": int(_at(args, kwargs, 1, "upscale_factor"))},
    "cat": lambda name, args, kwargs, inputs: {"dim": int(_at(args, kwargs, 1, "dim", kwargs.get("axis", 0)))},
    "recurrent": lambda name, args, kwargs, inputs: {"first": bool(args[-1]), "gates": list(args[2]), "begun": _begun(args[1])},
    "attention": _attention,
}  # fmt: skip


def macs_of(op: str, terms: dict[str, Any], value: torch.Tensor, inputs: list[torch.Tensor]) -> int:
    """Multiply-adds of one call; what only compares or adds counts nothing."""
    if op == "conv":
        return value.numel() * terms["weight"][0].numel()
    if op == "deconv":
        return inputs[0].numel() * terms["weight"][0].numel()
    if op == "linear":
        return value.numel() * terms["weight"].shape[1]
    if op == "matmul":
        return value.numel() * inputs[0].shape[-1]
    if op == "recurrent":
        return inputs[0].shape[0] * inputs[0].shape[1] * sum(one.numel() for one in terms["gates"] if one.dim() > 1)
    if op == "attention" and len(inputs) == 3:
        queries, keys, width = inputs[0].numel(), inputs[1].shape[-2], inputs[2].shape[-1]
        if terms["kind"] == "sbc":  # products with three weights before, one behind
            steps, size = inputs[0].shape[0] * inputs[0].shape[1], inputs[0].shape[-1]
            return 4 * steps * size * size + 2 * queries * inputs[1].shape[0]
        return queries * keys + queries // inputs[0].shape[-1] * keys * width
    return 0


def heads_of(op: str, name: str, args: Any, kwargs: Mapping[str, Any], value: torch.Tensor) -> torch.Tensor | None:
    """(heads, queries, keys): what each token takes of every other, of the first in the batch; None where nothing attends."""
    if op == "softmax":
        square = value.dim() in (3, 4) and value.shape[-1] > 1 and value.shape[-2] > 1
        return (value[0] if value.dim() == 4 else value).detach().clone() if square else None
    if op != "attention":
        return None
    if name.startswith("multi"):
        more = dict(kwargs) | {"need_weights": True, "average_attn_weights": False, "training": False}
        found = F.multi_head_attention_forward(*args[:13], **{k: v for k, v in more.items() if k not in _POSITIONAL[: len(args)]})[1]
        return None if found is None else found[0].detach()
    query, key = args[0], _at(args, kwargs, 1, "key")
    mask, causal, scale = _at(args, kwargs, 3, "attn_mask"), kwargs.get("is_causal", False), kwargs.get("scale")
    if query.dim() < 3 or query.shape[-2] < 2:
        return None
    scores = query.float() @ key.float().transpose(-1, -2) * (scale or query.shape[-1] ** -0.5)
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), float("-inf"))
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    shares = scores.softmax(-1)
    return (shares[0] if shares.dim() == 4 else shares).detach()


_POSITIONAL = (
    "query", "key", "value", "embed_dim_to_check", "num_heads", "in_proj_weight", "in_proj_bias", "bias_k", "bias_v", "add_zero_attn",
    "dropout_p", "out_proj_weight", "out_proj_bias",
)  # fmt: skip

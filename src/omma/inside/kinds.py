"""Which operations of torch are layers, which only move numbers, and where channels and places lie in what they give."""

from __future__ import annotations

from dataclasses import dataclass

import torch


def _words(text: str) -> list[str]:
    return text.split()


# As torch calls it → what kind of layer it is.
LAYERS: dict[str, str] = {
    "conv1d": "other", "conv2d": "conv", "conv3d": "other", "conv_transpose2d": "deconv", "linear": "linear", "lstm": "recurrent",
    "gru": "recurrent", "rnn_tanh": "recurrent", "rnn_relu": "recurrent", "embedding": "other", "batch_norm": "batch_norm",
    "layer_norm": "layer_norm", "group_norm": "group_norm", "instance_norm": "other", "local_response_norm": "other", "rms_norm": "other",
    "max_pool2d": "max_pool", "max_pool2d_with_indices": "max_pool", "avg_pool2d": "avg_pool", "adaptive_avg_pool2d": "adaptive_avg",
    "adaptive_max_pool2d": "adaptive_max", "mean": "mean", "softmax": "softmax", "matmul": "matmul", "bmm": "matmul",
    "__matmul__": "matmul", "scaled_dot_product_attention": "attention", "multi_head_attention_forward": "attention",
    "interpolate": "resize", "upsample": "resize", "pixel_shuffle": "shuffle", "pad": "pad", "grid_sample": "other",
    **dict.fromkeys(_words("cat concat concatenate"), "cat"),
    **dict.fromkeys(_words("add add_ __add__ __radd__ __iadd__"), "add"),
    **dict.fromkeys(_words("mul mul_ __mul__ __rmul__ __imul__"), "mul"),
    **dict.fromkeys(_words("sub sub_ __sub__ __isub__"), "sub"),
    **dict.fromkeys(_words("div div_ __truediv__ true_divide"), "div"),
    **dict.fromkeys(
        _words("relu relu_ relu6 gelu silu sigmoid sigmoid_ tanh tanh_ hardswish hardsigmoid leaky_relu leaky_relu_ elu elu_ selu celu "
        "mish softplus prelu hardtanh logsigmoid"),
        "act",
    ),
}  # fmt: skip
# These give the numbers they were given, elsewhere.
MOVES = frozenset(
    _words(
        "flatten reshape view view_as permute transpose transpose_ contiguous to clone detach expand expand_as squeeze unsqueeze unbind "
        "chunk split split_with_sizes __getitem__ dropout dropout_ float type_as roll movedim narrow select t"
    )
)
# Whose numbers are more than one of their inputs' in turn: what one of them looked at, all of it has.
GLOBAL = frozenset({"attention", "matmul", "softmax", "recurrent", "other", "mean"})
PREFIXES = (0, 1, 2, 5)  # tokens that may stand before those of the picture: none, class, class and distillation, class and registers

_AXES = {"chw": "?cyx", "hwc": "?yxc", "tc": "?tc", "sbc": "t?c", "c": "?c"}


@dataclass(frozen=True)
class Layout:
    """Where channels and places lie in a tensor.

    Args:
        kind: "chw" (B, C, H, W); "hwc" (B, H, W, C); "tc" (B, T, C) tokens; "sbc" (T, B, C) the same with the batch inside; "c" (B, C);
            "heads" (B, heads, T, D), the channels of a head side by side.
        prefix: tokens that stand before those of the picture.
        grid: rows and columns of the tokens; None where they lie in no grid.
        sure: an operation said so; else it is what such tensors usually are.
    """

    kind: str
    prefix: int = 0
    grid: tuple[int, int] | None = None
    sure: bool = False


def axis_of(layout: Layout, dim: int | None, dims: int) -> str | None:
    """Which side a dimension is: "c", "y", "x", or "t" the tokens, whether they lie in a grid or in a row; None: none of them."""
    letters = _AXES.get(layout.kind, "")
    return None if dim is None or len(letters) != dims or letters[dim] == "?" else letters[dim]


def usual(value: torch.Tensor) -> Layout | None:
    """How a tensor of so many dimensions usually lies; None where nobody knows."""
    kind = {2: "c", 3: "tc", 4: "chw"}.get(value.dim())
    return None if kind is None else square(Layout(kind), value)


def square(layout: Layout, value: torch.Tensor) -> Layout:
    """The same with a grid for its tokens, where they fill a square and no grid is known."""
    if layout.kind not in ("tc", "sbc", "heads") or layout.grid is not None:
        return layout
    count = value.shape[{"tc": 1, "sbc": 0, "heads": 2}[layout.kind]]
    for prefix in PREFIXES:
        side = round(max(0, count - prefix) ** 0.5)
        if side > 1 and side * side == count - prefix:
            return Layout(layout.kind, prefix, (side, side), layout.sure)
    return layout


def maps_of(value: torch.Tensor, layout: Layout) -> torch.Tensor:
    """(C, h, w): the first of a batch as maps, one a channel; tokens beside the picture are left out, see `beside`.

    Tokens without a grid, and the steps of a sequence, are one row; a vector is one place.
    """
    if layout.kind == "chw":
        return value[0]
    if layout.kind == "hwc":
        return value[0].permute(2, 0, 1)
    if layout.kind == "c":
        return value[0, :, None, None]
    if layout.kind == "heads":
        rows = value[0].transpose(0, 1).flatten(1)
    else:
        rows = value[0] if layout.kind == "tc" else value[:, 0]
    if layout.grid is None:
        return rows.t()[:, None, :]
    return rows[layout.prefix :].t().reshape(-1, *layout.grid)


def count_of(value: torch.Tensor, layout: Layout) -> int:
    """How many of them the batch holds."""
    return value.shape[1] if layout.kind == "sbc" else value.shape[0]


def channels_of(value: torch.Tensor, layout: Layout) -> int:
    """How many channels there are."""
    if layout.kind == "heads":
        return int(value.shape[1] * value.shape[3])
    return int(value.shape[1 if layout.kind in ("chw", "c") else -1])

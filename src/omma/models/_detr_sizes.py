"""DETR-like detectors by name: how large each is, where its published weights lie and under which licence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Size:
    """One network of `transformers`.

    Args:
        family: of the library's classes: `DFine` (Peng et al. 2024), `RTDetrV2` (Lv et al. 2024) or `RfDetr` (Robinson et al. 2025).
        weights: the repository of its published weights on Hugging Face, a `model.safetensors` in it.
        body: settings of its trunk where they differ from the library's own.
        rest: settings of all that follows.
        licence: of the weights, as their card states it.
    """

    family: str
    weights: str
    body: dict[str, Any] = field(default_factory=dict)
    rest: dict[str, Any] = field(default_factory=dict)
    licence: str = "Apache-2.0"


def _hgnet(stem: tuple[int, int], mid: list[int], out: list[int], blocks: list[int], layers: int, affine: bool) -> dict[str, Any]:
    """HGNetV2: `stem` widths, then for each of four stages the widths inside and at the end, its blocks, and layers of a block."""
    return {
        "stem_channels": [3, *stem], "stage_in_channels": [stem[1], *out[:-1]], "stage_mid_channels": mid, "stage_out_channels": out,
        "hidden_sizes": out, "stage_num_blocks": blocks, "stage_numb_of_layers": [layers] * 4, "use_learnable_affine_block": affine,
    }  # fmt: skip


def _basic(depths: list[int]) -> dict[str, Any]:
    """A ResNet of plain blocks."""
    return {"hidden_sizes": [64, 128, 256, 512], "depths": depths, "layer_type": "basic"}


def _rf(size: str, side: int, layers: int) -> Size:
    """RF-DETR: a DINOv2 small in 2×2 windows of patches of 16 pixels (frames of 32, 64 …), positions for frames of `side`, a decoder."""
    body = {
        "hidden_size": 384, "num_attention_heads": 6, "num_hidden_layers": 12, "out_indices": [3, 6, 9, 12], "patch_size": 16,
        "num_windows": 2, "image_size": side, "use_mask_token": False,
    }  # fmt: skip
    # Its authors train without dropout, unlike the library; what stands for masked patches is only for learning without labels.
    return Size("RfDetr", f"Roboflow/rf-detr-{size}", body, {"decoder_layers": layers, "decoder_n_points": 2, "dropout": 0.0})


_B0 = _hgnet((16, 16), [16, 32, 64, 128], [64, 256, 512, 1024], [1, 1, 2, 1], 3, True)
_POINTS = {"decoder_n_points": [3, 6, 3]}

# D-FINE medium: of its weights those that saw Objects365 first are the ones whose card was found to state a licence.
# RF-DETR: its XL and 2XL are published under another licence, and its base was followed by medium.
SIZES: dict[str, Size] = {
    "transformers/dfine-nano": Size(
        "DFine", "ustc-community/dfine-nano-coco", _B0 | {"out_indices": [3, 4]},
        {
            "num_feature_levels": 2, "feat_strides": [16, 32], "encode_proj_layers": [1], "encoder_in_channels": [512, 1024],
            "encoder_hidden_dim": 128, "encoder_ffn_dim": 512, "d_model": 128, "decoder_ffn_dim": 512, "decoder_in_channels": [128, 128],
            "decoder_n_points": [6, 6], "decoder_layers": 3, "depth_mult": 0.5, "hidden_expansion": 0.34,
        },
    ),
    "transformers/dfine-small": Size(
        "DFine", "ustc-community/dfine-small-coco", _B0,
        _POINTS | {"encoder_in_channels": [256, 512, 1024], "decoder_layers": 3, "depth_mult": 0.34, "hidden_expansion": 0.5},
    ),
    "transformers/dfine-medium": Size(
        "DFine", "ustc-community/dfine-medium-obj2coco",
        _hgnet((24, 32), [32, 64, 128, 256], [96, 384, 768, 1536], [1, 1, 3, 1], 4, True),
        _POINTS | {"encoder_in_channels": [384, 768, 1536], "decoder_layers": 4, "depth_mult": 0.67},
    ),
    "transformers/dfine-large": Size(
        "DFine", "ustc-community/dfine-large-coco", _hgnet((32, 48), [48, 96, 192, 384], [128, 512, 1024, 2048], [1, 1, 3, 1], 6, False),
        _POINTS,
    ),
    "transformers/dfine-xlarge": Size(
        "DFine", "ustc-community/dfine-xlarge-coco", _hgnet((32, 64), [64, 128, 256, 512], [128, 512, 1024, 2048], [1, 2, 5, 2], 6, False),
        _POINTS | {"encoder_hidden_dim": 384, "encoder_ffn_dim": 2048, "decoder_in_channels": [384, 384, 384]},
    ),
    "transformers/rtdetrv2-r18": Size(
        "RTDetrV2", "PekingU/rtdetr_v2_r18vd", _basic([2, 2, 2, 2]),
        {"encoder_in_channels": [128, 256, 512], "hidden_expansion": 0.5, "decoder_layers": 3},
    ),
    "transformers/rtdetrv2-r34": Size(
        "RTDetrV2", "PekingU/rtdetr_v2_r34vd", _basic([3, 4, 6, 3]),
        {"encoder_in_channels": [128, 256, 512], "hidden_expansion": 0.5, "decoder_layers": 4},
    ),
    "transformers/rtdetrv2-r50": Size("RTDetrV2", "PekingU/rtdetr_v2_r50vd"),
    "transformers/rtdetrv2-r101": Size(
        "RTDetrV2", "PekingU/rtdetr_v2_r101vd", {"depths": [3, 4, 23, 3]},
        {"encoder_hidden_dim": 384, "encoder_ffn_dim": 2048, "decoder_in_channels": [384, 384, 384]},
    ),
    "transformers/rfdetr-nano": _rf("nano", 384, 2),
    "transformers/rfdetr-small": _rf("small", 512, 3),
    "transformers/rfdetr-medium": _rf("medium", 576, 4),
    "transformers/rfdetr-large": _rf("large", 704, 4),
}  # fmt: skip

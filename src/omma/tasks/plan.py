"""What the data says about the settings of any task that looks at a picture as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omma.catalog import unknown
from omma.words import say

if TYPE_CHECKING:
    import torch

    from omma.data.fingerprint import Fingerprint
    from omma.recipe import Recipe

SMALL = 48  # pixels: up to here a picture is learned at its own size


def plan_pictures(fingerprint: Fingerprint, recipe: Recipe) -> Recipe:
    """Size, channels, network, rates and views by rule; each rule names what it looked at."""
    side = max(fingerprint.width[0], fingerprint.height[0])
    small = side <= SMALL
    aspect = side / max(1, min(fingerprint.width[0], fingerprint.height[0]))
    recipe.put("plan", **_view(side, small, aspect, recipe), channels=1 if fingerprint.channels == 1 else 3)
    train = fingerprint.splits.get("train", fingerprint.count)
    recipe.put("preset", **PRESETS[recipe.preset])
    recipe.put("plan", **_learning(train, small, recipe))
    if small and fingerprint.looks_like_digits:
        recipe.put("plan", flip=False)
    return recipe


# Dials that do not depend on the data. Minutes are for two cores.
PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"budget": "2min", "tta": "none"},
    "balanced": {"budget": "10min", "tta": "flip"},
    "best": {"budget": "40min", "tta": "flip+shift"},
}
SIZES = {"fast": 64, "balanced": 96, "best": 128}


def _view(side: int, small: bool, aspect: float, recipe: Recipe) -> dict[str, Any]:
    if small:
        size = max(16, (side + 3) // 4 * 4)
    else:
        size = 224 if recipe.model and "/" in recipe.model else min(SIZES[recipe.preset], (side + 15) // 16 * 16)
    return {"size": size, "fit": "squash" if aspect <= 1.6 else "pad"}


def _learning(train: int, small: bool, recipe: Recipe) -> dict[str, Any]:
    """Batch, optimizer and views by how much there is to learn from."""
    if recipe.model is None:
        recipe.put("plan", model="quick" if recipe.preset == "best" or not small else "quick-narrow")
    scratch = recipe.model is not None and not recipe.model.startswith(("timm/", "torchvision/"))
    batch = 256 if train >= 20_000 else 64 if train >= 2_000 else 32 if train >= 500 else 16
    values: dict[str, Any] = {
        "batch": min(batch, max(1, train)), "warmup": 0.1, "evals": 10, "early_stop": 0, "clip": 0.0, "balance": "none", "ema": 0.0, "dropout": 0.0,
        "flip": True, "shift": 0.0625, "rotate": 0.0, "scale": 0.0, "colour": 0.0, "trivial": False, "erase": 0.0, "mixup": 0.0, "cutmix": 0.0,
    }  # fmt: skip
    optimizer = recipe.optimizer or ("nesterov" if scratch else "adamw")
    values |= {"optimizer": optimizer, "schedule": "onecycle", "momentum": 0.9} | RATES[optimizer]
    if not small:
        values |= {"scale": 0.2, "rotate": 10.0, "colour": 0.2}
    return values


# Peak rate and decay that suit each optimizer on standard networks.
RATES: dict[str, dict[str, float]] = {
    "gd": {"rate": 0.5, "weight_decay": 0.0}, "sgd": {"rate": 0.1, "weight_decay": 5e-4}, "momentum": {"rate": 0.05, "weight_decay": 5e-4},
    "nesterov": {"rate": 0.05, "weight_decay": 5e-4}, "rmsprop": {"rate": 1e-3, "weight_decay": 0.0}, "adam": {"rate": 1e-3, "weight_decay": 0.0},
    "adamw": {"rate": 1e-3, "weight_decay": 0.05}, "muon": {"rate": 0.02, "weight_decay": 0.01},
}  # fmt: skip


def one_column(tensor: torch.Tensor, names: Sequence[str], about: str | None) -> torch.Tensor:
    """(B,): the column of the named output, or of each picture's largest one.

    Raises:
        OmmaError: no output has that name.
    """
    if about is None:
        return tensor.amax(1)
    if about not in names:
        raise unknown(say("errors.kind_name"), about, list(names))
    return tensor[:, list(names).index(about)]

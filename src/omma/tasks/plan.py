"""What the data says about the settings of any task that looks at a picture as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from omma.catalog import unknown
from omma.words import say

if TYPE_CHECKING:
    import torch

    from omma.data.fingerprint import Fingerprint
    from omma.recipe import Recipe

SMALL = 48  # pixels: up to here a picture is learned at its own size

# Dials that do not depend on the data. Minutes are for two cores.
PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"budget": "2min", "tta": "none"},
    "balanced": {"budget": "10min", "tta": "flip"},
    "best": {"budget": "40min", "tta": "flip+shift"},
}
SIZES = {"fast": 64, "balanced": 96, "best": 128}  # pixels, for pictures larger than SMALL and networks of our own

# Peak rate and decay that suit each optimizer on standard networks.
RATES: dict[str, dict[str, float]] = {
    "gd": {"rate": 0.5, "weight_decay": 0.0},
    "sgd": {"rate": 0.1, "weight_decay": 5e-4},
    "momentum": {"rate": 0.05, "weight_decay": 5e-4},
    "nesterov": {"rate": 0.05, "weight_decay": 5e-4},
    "rmsprop": {"rate": 1e-3, "weight_decay": 0.0},
    "adam": {"rate": 1e-3, "weight_decay": 0.0},
    "adamw": {"rate": 1e-3, "weight_decay": 0.05},
    "muon": {"rate": 0.02, "weight_decay": 0.01},
}


def plan_pictures(fingerprint: Fingerprint, recipe: Recipe) -> Recipe:
    """Size, channels, network, rates and views by rule, from how large, how many and how grey the pictures are."""
    from omma.models.making import settings_of

    width, height = fingerprint.width[0], fingerprint.height[0]
    small = max(width, height) <= SMALL
    train = fingerprint.train
    recipe.put("preset", **PRESETS[recipe.preset])
    recipe.put("plan", channels=fingerprint.frames * (1 if fingerprint.channels == 1 else 3))
    if recipe.model is None:
        quick_one = "quick" if recipe.preset == "best" else "quick-narrow"
        recipe.put("plan", model=quick_one if fingerprint.frames == 1 else "c3d-small")
    if fingerprint.frames > 1 and "frames" in settings_of(str(recipe.model)):
        recipe.model_settings.setdefault("frames", fingerprint.frames)
    quick = str(recipe.model).startswith("quick")
    recipe.put("plan", **_view(width, height, small, recipe), **_learning(train, quick, recipe), **_variation(train, small, quick))
    if not recipe.flip:  # what was not learned from mirrored pictures is not asked about them
        recipe.put("plan", tta="shift" if "shift" in str(recipe.tta) else "none")
    return recipe


def _view(width: float, height: float, small: bool, recipe: Recipe) -> dict[str, Any]:
    """Side of the input and how a picture becomes square."""
    side = max(width, height)
    if small:
        size = max(16, int(side + 3) // 4 * 4)
    else:
        size = 224 if "/" in str(recipe.model) else min(SIZES[recipe.preset], int(side + 15) // 16 * 16)
    return {"size": size, "fit": "squash" if side <= 1.6 * min(width, height) else "pad"}


def _learning(train: int, quick: bool, recipe: Recipe) -> dict[str, Any]:
    """Batch, optimizer and schedule by how much there is to learn from."""
    from omma.models.making import learns

    batch = (
        (512 if recipe.preset == "best" else 256)
        if train >= 20_000
        else 128
        if train >= 4_000
        else 64
        if train >= 1_000
        else 32
        if train >= 300
        else 16
    )
    batch = min(batch if quick else min(batch, 128), max(1, train))
    optimizer = recipe.optimizer or learns(str(recipe.model))
    values: dict[str, Any] = {"optimizer": optimizer, "schedule": "onecycle", "momentum": 0.9, "warmup": 0.1} | RATES[optimizer]
    if optimizer == "muon" and quick:  # measured on CIFAR-10, see benchmarks: straight down from the full rate, which grows with √batch
        values |= {"momentum": 0.7, "warmup": 0.0, "rate": round(0.11 * (batch / 256) ** 0.5, 4), "weight_decay": 0.0}
    spare = {"batch": batch, "evals": 10, "early_stop": 0, "clip": 0.0, "balance": "none", "ema": 0.0, "dropout": 0.0}
    return values | spare


def _variation(train: int, small: bool, quick: bool) -> dict[str, Any]:
    """How pictures vary: the fewer and the larger they are, the more."""
    values: dict[str, Any] = {
        "flip": True, "shift": 0.0625, "rotate": 0.0, "scale": 0.0, "colour": 0.0, "trivial": False, "erase": 0.0, "mixup": 0.0,
        "cutmix": 0.0, "progressive": 0.6 if quick and train >= 20_000 else 0.0,
    }  # fmt: skip
    return values if small else values | {"scale": 0.2, "rotate": 10.0, "colour": 0.2}


# Where things are: sides of the frame, and the presets' minutes on two cores.
PLACED_SIZES = {"fast": 192, "balanced": 320, "best": 416}  # pixels
PLACED_BUDGETS = {"fast": "3min", "balanced": "20min", "best": "60min"}


def plan_places(
    fingerprint: Fingerprint,
    recipe: Recipe,
    model: str,
    *,
    rates: Mapping[str, float] | None = None,
    blends: bool = False,
    ours: Mapping[str, Any] | None = None,
    **dials: Any,
) -> Recipe:
    """The same for tasks whose answers lie somewhere: larger frames, variation that moves the truth along.

    Args:
        model: the usual network of the task.
        rates: of optimizers that want another rate here than elsewhere.
        blends: whether two pictures may be shown through each other.
        ours: what networks of our own that learn from nothing do otherwise still.
        dials: what this task does otherwise.
    """
    # From scratch with Muon: AP_nuclei_50 0.77 after 300 steps on DSB2018 (AdamW 0.37), mIoU 0.42 after 200 on CamVid (0.31), mAP 0.43
    # after 500 steps of eight on `shapes` (0.27 even in steps of sixteen).
    width, height = fingerprint.width[0], fingerprint.height[0]
    recipe.put("preset", budget=PLACED_BUDGETS[recipe.preset])
    recipe.put("plan", model=model, channels=1 if fingerprint.channels == 1 else 3)
    side = max(width, height)
    size = min(PLACED_SIZES[recipe.preset], -(-int(side) // 32) * 32)
    recipe.put("plan", size=max(64, size), fit="squash" if side <= 1.1 * min(width, height) else "pad")
    from_nothing = "/" not in str(recipe.model) and recipe.pretrained == "no"
    recipe.put("plan", optimizer=recipe.optimizer or ("muon" if from_nothing else "adamw"))
    values: dict[str, Any] = {
        "batch": 16, "schedule": "onecycle", "momentum": 0.9, "warmup": 0.05, "evals": 5, "early_stop": 0, "clip": 10.0,
        "balance": "none", "ema": 0.0, "dropout": 0.0, "flip": True, "shift": 0.1, "rotate": 0.0, "scale": 0.3, "colour": 0.2, "erase": 0.0,
        "mosaic": 0.0, "quarter": False, "mixup": 0.0,
    } | RATES[str(recipe.optimizer)]  # fmt: skip
    optimizer = str(recipe.optimizer)
    values["rate"] = {"muon": 0.03, **(rates or {})}.get(optimizer, values["rate"])
    dials |= (ours or {}) if from_nothing else {}
    values |= {key: value for key, value in dials.items() if optimizer == "adamw" or key != "weight_decay"}
    values["batch"] = min(values["batch"], max(1, fingerprint.train))
    recipe.put("plan", **values)
    # What blends pictures, or makes them smaller on the way, has no meaning for maps of truth; whoever asked for it is warned.
    recipe.tta, recipe.trivial, recipe.cutmix, recipe.progressive = "none", False, 0.0, 0.0
    if not blends:
        recipe.mixup = 0.0
    return recipe


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

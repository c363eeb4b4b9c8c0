"""All that a run may be told, where each value came from, and how it is read and written.

A value's origin is, weakest first: `default`, `preset`, `plan` (the data), `source` (a known set), `bundle` (--from), `file`
(a recipe), `you`.
A task's and a model's own settings ride beside the recipe's: `key=value` finds its owner by name, `task.key` and
`model.key` say it where two owners share a name.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from omma import catalog
from omma.errors import OmmaError
from omma.words import say

ORIGINS = ("default", "preset", "plan", "source", "bundle", "file", "you")
Preset = Literal["fast", "balanced", "best"]


def _known(help: str, default: Any = None, *, low: float | None = None, high: float | None = None) -> Any:
    return field(default=default, metadata={"help": help, "low": low, "high": high})


@dataclass
class Recipe:
    """One run's settings. `None` means: left open, the plan fills it from the data."""

    task: str | None = _known("what to learn; sniffed from the data when open")
    model: str | None = _known("network, by name")
    preset: Preset = _known("how much to spend", "balanced")
    budget: str | None = _known("10min, 20 epochs or 3000 steps")
    seed: int = _known("what every draw derives from", 0, low=0)
    pretrained: str = _known("no, yes (fetch the published weights) or a .safetensors file", "no")

    val: float = _known("share of the training part held out to choose with; 0 = none", 0.1, low=0, high=0.9)
    test: float = _known("share held out to report on where the data names no test part", 0.2, low=0, high=0.9)
    target: str | None = _known("pictures like those it will be asked about, labels not looked at: it adapts to them (DANN)")
    allow_refused: bool = _known("go on although over 1 % of the pictures cannot be read", False)
    tensorboard: bool = _known("also write TensorBoard curves into the run folder", False)
    checkpoint: int | None = _known("steps between checkpoints; about every 30 seconds when open", None, low=1)
    threads: int | None = _known("compute threads; all cores when open", None, low=1)

    # What a picture looks like when it reaches the network.
    size: int | None = _known("side of the input, pixels", None, low=8, high=4096)
    fit: Literal["squash", "crop", "pad", "windows", "own"] | None = _known("how a picture becomes square; own: it stays as it is")
    overlap: int | None = _known("pixels that neighbouring windows share (fit=windows)", None, low=0, high=2048)
    channels: int | None = _known("1 grey, 3 colour", None, low=1, high=64)

    # How it learns.
    batch: int | None = _known("pictures a step", None, low=1)
    micro_batch: int | None = _known("pictures at once; the rest of the batch is accumulated", None, low=1)
    optimizer: Literal["gd", "sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "muon"] | None = _known("gd: full batch")
    rate: float | None = _known("peak learning rate", None, low=0)
    momentum: float | None = _known("of momentum, nesterov, muon, and the first beta of adam and adamw", None, low=0, high=1)
    schedule: Literal["constant", "step", "cosine", "onecycle", "trapezoid"] | None = _known("of the learning rate")
    warmup: float | None = _known("share of the steps", None, low=0, high=1)
    weight_decay: float | None = _known("L2: how fast weights fade", None, low=0)
    l1: float = _known("L1 on the weights", 0.0, low=0)
    dropout: float | None = _known("before the head", None, low=0, high=0.95)
    ema: float | None = _known("decay of the averaged weights; 0 = none", None, low=0, high=0.99999)
    clip: float | None = _known("largest gradient norm; 0 = none", None, low=0)
    early_stop: int | None = _known("validations without progress before the tail; 0 = never", None, low=0)
    evals: int | None = _known("validations in a run", None, low=1)
    freeze: bool = _known("train the head only", False)
    layer_decay: float = _known("rate of each stage over that of the next one", 1.0, low=0, high=1)
    balance: Literal["none", "weights", "sampling", "pictures"] | None = _known(
        "against unequal classes; pictures: of those read in windows, each comes up as often"
    )
    precision: Literal["float32", "bfloat16"] | None = _known("of the arithmetic; chosen by the machine when open")

    # How pictures vary while it learns.
    flip: bool | None = _known("mirror left and right")
    shift: float | None = _known("shift by up to this share of the side", None, low=0, high=0.5)
    rotate: float | None = _known("degrees", None, low=0, high=180)
    scale: float | None = _known("zoom by up to this share", None, low=0, high=0.9)
    colour: float | None = _known("strength of brightness, contrast and saturation changes", None, low=0, high=1)
    gamma: float | None = _known("brightness to a power of up to 1 + this, or of 1 over that", None, low=0, high=4)
    noise: float | None = _known("largest deviation of added noise as a share of the range", None, low=0, high=1)
    progressive: float | None = _known("share of the steps at three quarters of the size", None, low=0, high=1)
    quarter: bool | None = _known("turn by quarters, for pictures without an up (boxes, masks)")
    mosaic: float | None = _known("share of the pictures made of four (boxes, masks)", None, low=0, high=1)
    trivial: bool | None = _known("TrivialAugment")
    erase: float | None = _known("side of the erased square as a share; 0 = none", None, low=0, high=0.9)
    mixup: float | None = _known("Beta parameter; 0 = none", None, low=0)
    cutmix: float | None = _known("Beta parameter; 0 = none", None, low=0)
    tta: Literal["none", "flip", "shift", "flip+shift"] | None = _known("views averaged at prediction time")

    # Settings of the task and of the model ride beside.
    task_settings: dict[str, Any] = field(default_factory=dict)
    model_settings: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)

    def get(self, key: str, otherwise: Any) -> Any:
        """A value, or `otherwise` where it is still open."""
        value = getattr(self, key)
        return otherwise if value is None else value

    def put(self, origin: str, **values: Any) -> Self:
        """Set values unless a stronger origin has set them already; `None` is skipped. Returns itself."""
        for key, value in values.items():
            if value is not None and ORIGINS.index(self.origin.get(key, "default")) <= ORIGINS.index(origin):
                setattr(self, key, value)
                self.origin[key] = origin
        return self

    def tell(self, words: dict[str, str] | list[str], origin: str = "you") -> Self:
        """Take `key=value` words, each checked against its owner; see the module's first lines.

        Raises:
            OmmaError: unknown key, wrong kind of value, out of range, or a key two owners share.
        """
        pairs = words.items() if isinstance(words, dict) else (_pair(word) for word in words)
        # task and model first: they decide who owns the rest.
        for key, text in sorted(pairs, key=lambda pair: pair[0] not in ("task", "model")):
            self._tell(key, text, origin)
        return self

    def _tell(self, key: str, text: Any, origin: str) -> None:
        own, task, model = SETTABLE, self._task_settings(), self._model_settings()
        prefix, _, bare = key.rpartition(".")
        owners = [o for o, table in (("", own), ("task", task), ("model", model)) if bare in table and prefix in ("", o)]
        if not owners or prefix not in ("", "task", "model"):
            raise self._stranger(key, str(text), [*own, *task, *model])
        if len(owners) > 1 and "" not in owners:
            raise OmmaError(say("recipe.ambiguous", key=key, owners=", ".join(f"{o}.{bare}" for o in owners)))
        if owners[0] == "":
            value = _cast(key, text, HINTS[bare], SETTABLE[bare].metadata)
            catalog_room = {"task": "tasks"}.get(bare)
            if catalog_room and value is not None and value not in catalog.names(catalog_room):
                raise catalog.unknown(bare, value, catalog.names(catalog_room))
            self.put(origin, **{bare: value})
        else:
            if owners[0] == "task" and bare == "loss":
                self._fits(str(text))
            if owners[0] == "task" and bare == "goal" and isinstance(task["goal"], str):
                from omma.answers.operating import parse_goal

                parse_goal(str(text))
            default = (task if owners[0] == "task" else model)[bare]
            store = self.task_settings if owners[0] == "task" else self.model_settings
            name = f"{owners[0]}.{bare}"
            if ORIGINS.index(self.origin.get(name, "default")) <= ORIGINS.index(origin):
                store[bare] = _like(name, text, default)
                self.origin[name] = origin

    def _stranger(self, key: str, text: str, known: list[str]) -> OmmaError:
        """The error for a key nobody owns: what it is called here, or whose it is."""
        if unit := UNITS.get(key.lower().removesuffix("s")):
            amount = text if text.replace(".", "", 1).isdigit() else "10"
            return OmmaError(say("recipe.is_budget", key=key, words=f'--budget "{amount} {unit}"'))
        if key.lower() in ELSEWHERE:
            return OmmaError(say("recipe.is_called", key=key, name=ELSEWHERE[key.lower()]))
        if self.model is None and "." not in key:
            from omma.models.making import settings_of

            suited = [] if self.task is None else list(catalog.find("tasks", self.task).models or ("quick", "quick-narrow"))
            models = [name for name in catalog.names("models") if key in settings_of(name)]
            if models:
                models.sort(key=lambda name: suited.index(name) if name in suited else len(suited))
                return OmmaError(say("recipe.of_a_model", key=key, models=", ".join(models), one=models[0]))
        return catalog.unknown(say("recipe.setting"), key, known)

    def _fits(self, loss: str) -> None:
        """Refuse a loss that is made for another kind of answer; a plug-in's is taken at its word."""
        known = [*catalog.find("tasks", str(self.task)).LOSSES, *catalog.plugged("losses")]
        if loss not in known and catalog.find("tasks", str(self.task)).LOSSES:
            raise OmmaError(say("recipe.loss_of", task=self.task, loss=loss, known=", ".join(known)))

    def _task_settings(self) -> dict[str, Any]:
        return {} if self.task is None else {k: v for k, (v, _) in catalog.find("tasks", self.task).SETTINGS.items()}

    def _model_settings(self) -> dict[str, Any]:
        if self.model is None:
            return {}
        from omma.models.making import settings_of

        return settings_of(self.model)

    def rows(self) -> list[tuple[str, Any, str]]:
        """(key, value, origin) of everything that is set, for showing."""
        rows = [(f.name, getattr(self, f.name), self.origin.get(f.name, "default")) for f in SETTABLE.values()]
        for who in ("task", "model"):
            rows += [(f"{who}.{k}", v, self.origin.get(f"{who}.{k}", "plan")) for k, v in getattr(self, f"{who}_settings").items()]
        return [row for row in rows if row[1] is not None]

    def json(self) -> dict[str, Any]:
        """Plain values: everything, origins included."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of `json`; unknown keys are refused."""
        for key in data:
            if key not in {f.name for f in fields(cls)}:
                raise catalog.unknown(say("recipe.setting"), key, [f.name for f in fields(cls)])
        return cls(**data)

    def toml(self) -> str:
        """A file that `read` turns back into the same settings; the origin of each value stands beside it."""
        lines = [f"{key} = {_toml(value)}  # {origin}" for key, value, origin in self.rows() if "." not in key]
        for who in ("task", "model"):
            rows = [f"{key.partition('.')[2]} = {_toml(v)}  # {origin}" for key, v, origin in self.rows() if key.startswith(f"{who}.")]
            lines += ["", f"[{who}_settings]", *rows] if rows else []
        return "\n".join(lines) + "\n"

    def read(self, path: Path) -> Self:
        """Take the settings of a TOML file.

        Raises:
            OmmaError: not a readable TOML file, or a setting that is refused.
        """
        try:
            data = tomllib.loads(Path(path).read_text("utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise OmmaError(say("recipe.unreadable", reason=error), path) from None
        words = {k: v for k, v in data.items() if not isinstance(v, dict)}
        for who in ("task", "model"):
            words |= {f"{who}.{k}": v for k, v in data.pop(f"{who}_settings", {}).items()}
        return self.tell(words, "file")


HINTS = get_type_hints(Recipe)
SETTABLE = {f.name: f for f in fields(Recipe) if f.metadata}
# Keys that other tools have for the length of a run → the unit of a budget.
UNITS = {"epoch": "epochs", "step": "steps", "minute": "min", "min": "min", "hour": "h", "second": "s"}
# What other tools call a setting → what it is called here.
ELSEWHERE = {
    "lr": "rate", "learning_rate": "rate", "lr0": "rate", "batch_size": "batch", "bs": "batch", "wd": "weight_decay",
    "l2": "weight_decay", "optim": "optimizer", "opt": "optimizer", "imgsz": "size", "image_size": "size", "img_size": "size",
    "input_size": "size", "patience": "early_stop", "early_stopping": "early_stop", "lr_schedule": "schedule", "scheduler": "schedule",
    "sched": "schedule", "arch": "model", "network": "model", "backbone": "model", "random_seed": "seed", "smoothing": "label_smoothing",
    "color": "colour", "hflip": "flip", "rotation": "rotate", "trivialaugment": "trivial", "random_erasing": "erase", "cutout": "erase",
    "amp": "precision", "clip_grad": "clip", "class_weight": "class_weights", "warmup_epochs": "warmup", "time": "budget",
}  # fmt: skip


def _pair(word: str) -> tuple[str, str]:
    key, equals, text = word.partition("=")
    if not equals or not key:
        raise OmmaError(say("recipe.not_a_pair", word=word))
    return key.strip().replace("-", "_"), text.strip()


def _cast(key: str, text: Any, hint: Any, limits: Any) -> Any:
    """A word as the type of its field, within its limits."""
    options = [o for o in get_args(hint) if o is not type(None)] if get_origin(hint) is not Literal else [hint]
    hint = options[0] if options else hint
    if str(text).lower() in ("none", "auto"):
        return None
    if get_origin(hint) is Literal:
        if text not in get_args(hint):
            raise catalog.unknown(say("recipe.value_of", key=key), str(text), [str(a) for a in get_args(hint)])
        return text
    value = _like(key, text, hint())
    low, high = limits.get("low"), limits.get("high")
    if not isinstance(value, str) and ((low is not None and value < low) or (high is not None and value > high)):
        raise OmmaError(say("recipe.out_of_range", key=key, value=value, low=low, high="∞" if high is None else high))
    return value


def _like(key: str, text: Any, default: Any) -> Any:
    """A word read as the same kind of value as `default`."""
    if not isinstance(text, str):
        text = str(text).lower() if isinstance(text, bool) else ",".join(map(str, text)) if isinstance(text, list | tuple) else str(text)
    try:
        if isinstance(default, bool):
            return {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}[text.lower()]
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float):
            value = float(text)
            if value != value or value in (float("inf"), float("-inf")):
                raise ValueError
            return value
        if isinstance(default, tuple | list):
            # An empty list of ours waits for numbers; `32-128-128` reads as whole numbers only, since a minus may be a sign.
            kind = type(default[0]) if default else float
            parts = (text.replace("-", ",") if kind is int else text.strip("[]() ")).split(",")
            return type(default)(kind(part) for part in parts if part.strip())
        return text
    except (ValueError, KeyError):
        like = {bool: "yes/no", int: "1", float: "0.1", tuple: "1,2,3", list: "1,2,3"}[type(default)]
        raise OmmaError(say("recipe.wrong_kind", key=key, value=text, kind=like)) from None


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'

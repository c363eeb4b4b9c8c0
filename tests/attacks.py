"""Hostile bundles, made by script: each is a sound bundle with one thing done to it by somebody who wishes ill.

`ATTACKS` maps a name to a function that spoils a copy of a sound bundle, in place. `Witness` sees what opening one touches.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

Attack = Callable[[Path], None]
ATTACKS: dict[str, Attack] = {}
MARK = "omma-was-here"


def attack(function: Attack) -> Attack:
    ATTACKS[function.__name__] = function
    return function


def _card(folder: Path, **values: Any) -> None:
    """Change the card; a key with dots reaches into it."""
    path = folder / "bundle.json"
    card = json.loads(path.read_text("utf-8"))
    for key, value in values.items():
        place = card
        *above, last = key.split("__")
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    path.write_text(json.dumps(card), "utf-8")


def _text(folder: Path, text: str | bytes) -> None:
    (folder / "bundle.json").write_bytes(text if isinstance(text, bytes) else text.encode())


def _weights(folder: Path, blob: bytes, honest: bool = True) -> None:
    """Other weights; with `honest` the card carries their SHA-256, as a careful attacker's would."""
    (folder / "weights.safetensors").write_bytes(blob)
    if honest:
        _card(folder, weights__sha256=hashlib.sha256(blob).hexdigest())


def _split(folder: Path) -> tuple[dict[str, Any], bytes]:
    blob = (folder / "weights.safetensors").read_bytes()
    size = struct.unpack("<Q", blob[:8])[0]
    return json.loads(blob[8 : 8 + size]), blob[8 + size :]


def _join(header: Any, body: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


class Malice:
    """What a pickle would run."""

    def __reduce__(self):
        return os.system, (f"touch {MARK}",)


# Pickles and other formats under our names.
@attack
def pickle_as_weights(folder: Path) -> None:
    _weights(folder, pickle.dumps(Malice()))


@attack
def pickle_with_a_safetensors_length(folder: Path) -> None:
    blob = pickle.dumps(Malice())
    _weights(folder, struct.pack("<Q", len(blob)) + blob)


@attack
def torch_zip_as_weights(folder: Path) -> None:
    import torch

    torch.save({"net.head.weight": Malice()}, folder / "weights.safetensors")
    _weights(folder, (folder / "weights.safetensors").read_bytes())


@attack
def pickle_as_card(folder: Path) -> None:
    _text(folder, pickle.dumps(Malice()))


@attack
def numpy_as_weights(folder: Path) -> None:
    np.save(folder / "w.npy", np.array([Malice()], dtype=object), allow_pickle=True)
    _weights(folder, (folder / "w.npy").read_bytes())


@attack
def nothing_as_weights(folder: Path) -> None:
    _weights(folder, b"")


@attack
def weights_changed_by_one_bit(folder: Path) -> None:
    blob = bytearray((folder / "weights.safetensors").read_bytes())
    blob[-5] ^= 1
    _weights(folder, bytes(blob), honest=False)


# Headers that lie.
for _name, _size in {"huge": 1 << 60, "negative": 2**64 - 1, "five_megabytes": 5 << 20, "one_beyond": None}.items():

    def _header(folder: Path, size: int | None = _size) -> None:
        blob = (folder / "weights.safetensors").read_bytes()
        _weights(folder, struct.pack("<Q", len(blob) if size is None else size) + blob[8:])

    ATTACKS[f"header_{_name}"] = _header


@attack
def header_really_large(folder: Path) -> None:
    header, body = _split(folder)
    _weights(folder, _join(json.dumps(header).encode() + b" " * (6 << 20), body))


@attack
def header_of_many_tensors(folder: Path) -> None:
    header, body = _split(folder)
    extra = {f"t{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(60_000)}
    _weights(folder, _join(extra | header, body))


@attack
def header_deep(folder: Path) -> None:
    _weights(folder, _join(b"[" * 500_000, b""))


@attack
def header_no_object(folder: Path) -> None:
    _weights(folder, _join([], b""))


def _tensor(**lie: Any) -> Attack:
    def spoil(folder: Path) -> None:
        header, body = _split(folder)
        header["net.head.weight"] |= lie
        _weights(folder, _join(header, body))

    return spoil


ATTACKS |= {
    "tensor_dtype_lie": _tensor(dtype="F64"),
    "tensor_dtype_same_size": _tensor(dtype="I32"),
    "tensor_dtype_unknown": _tensor(dtype="OBJ"),
    "tensor_shape_transposed": _tensor(shape=[64, 3]),
    "tensor_shape_huge": _tensor(shape=[10**12, 10**12]),
    "tensor_shape_overflow": _tensor(shape=[2**63, 2]),
    "tensor_shape_negative": _tensor(shape=[-3, -64]),
    "tensor_offsets_overlap": _tensor(data_offsets=[0, 768]),
    "tensor_offsets_beyond": _tensor(data_offsets=[0, 2**40]),
    "tensor_offsets_backward": _tensor(data_offsets=[768, 0]),
}


@attack
def tensor_missing(folder: Path) -> None:
    from safetensors.numpy import load_file, save

    tensors = load_file(folder / "weights.safetensors")
    tensors.pop("net.head.weight")
    _weights(folder, save(tensors))


@attack
def tensor_too_many(folder: Path) -> None:
    from safetensors.numpy import load_file, save

    _weights(folder, save(load_file(folder / "weights.safetensors") | {"net.more": np.zeros(3, np.float32)}))


def _value(value: float) -> Attack:
    def spoil(folder: Path) -> None:
        from safetensors.numpy import load_file, save

        tensors = load_file(folder / "weights.safetensors")
        tensors["net.head.weight"] = tensors["net.head.weight"].copy()
        tensors["net.head.weight"][0, 0] = value
        _weights(folder, save(tensors))

    return spoil


ATTACKS |= {"weights_nan": _value(float("nan")), "weights_infinite": _value(float("inf"))}


@attack
def weights_sparse_terabyte(folder: Path) -> None:
    with (folder / "weights.safetensors").open("r+b") as file:
        file.truncate(1 << 40)


# Files that are not files of this folder.
@attack
def weights_a_link(folder: Path) -> None:
    path = folder / "weights.safetensors"
    shutil.move(path, folder.parent / "elsewhere")
    path.symlink_to(folder.parent / "elsewhere")


@attack
def card_a_link(folder: Path) -> None:
    (folder / "bundle.json").unlink()
    (folder / "bundle.json").symlink_to("/etc/passwd")


@attack
def weights_a_device(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    (folder / "weights.safetensors").symlink_to("/dev/zero")


@attack
def weights_a_pipe(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    os.mkfifo(folder / "weights.safetensors")


@attack
def card_a_pipe(folder: Path) -> None:
    (folder / "bundle.json").unlink()
    os.mkfifo(folder / "bundle.json")


@attack
def weights_a_folder(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    (folder / "weights.safetensors").mkdir()


# Cards that are no cards.
TEXTS = {
    "empty": b"",
    "list": b"[]",
    "deep": b'{"names":' + b"[" * 1_000_000,
    "deep_objects": b'{"a":' * 300_000,
    "not_utf8": b'{"omma": "\xff\xfe"}',
    "nan": b'{"omma": NaN}',
    "many_digits": b'{"schema": ' + b"9" * 1_000_000 + b"}",
    "nul": b"\0" * 1000,
    "utf16": '{"omma": "1"}'.encode("utf-16"),
}
for _name, _blob in TEXTS.items():
    ATTACKS[f"card_{_name}"] = lambda folder, blob=_blob: _text(folder, blob)


@attack
def card_large(folder: Path) -> None:
    with (folder / "bundle.json").open("r+b") as file:
        file.truncate(100 << 20)


# Values that would build, import or reach something.
HOSTILE = (
    "os.system", "../../../../etc/passwd", "/etc/passwd", "__import__", "torchvision/../../os", "hf-hub:evil/model",
    "timm/hf-hub:evil/model", "torchvision.models.resnet18", "file:///etc/passwd", "http://127.0.0.1:9/x", "resnet20\0", "x" * 10_000,
    "timm/local-dir:/etc", "network", "__init__", "../models/quick",
)  # fmt: skip
for _place in ("model", "task"):
    for _number, _value_of in enumerate(HOSTILE):
        ATTACKS[f"{_place}_name_{_number}"] = lambda folder, place=_place, value=_value_of: _card(folder, **{place: value})

CARDS: dict[str, dict[str, Any]] = {
    "class_path": {"class": "subprocess.Popen"},
    "target": {"_target_": "os.system"},
    "dunder": {"__class__": "os.system"},
    "model_class_path": {"model_settings___target_": "os.system"},
    "model_pretrained": {"model_settings": {"pretrained": "yes"}},
    "model_pretrained_file": {"model_settings": {"pretrained": "/etc/passwd"}},
    "model_settings_list": {"model_settings": ["os.system"]},
    "model_other_setting": {"model_settings": {"depth": 10**9}},
    "model_quick_deep": {"model": "quick", "model_settings": {"depth": 65_536}},
    "model_quick_wide": {"model": "quick", "model_settings": {"widths": [10**12] * 3}},
    "model_quick_widest": {"model": "quick", "model_settings": {"widths": [65_536] * 3}},
    "model_quick_negative": {"model": "quick", "model_settings": {"widths": [-1, -1, -1]}},
    "model_quick_words": {"model": "quick", "model_settings": {"widths": ["os", "system"]}},
    "model_quick_nested": {"model": "quick", "model_settings": {"widths": [[1], {"a": 1}]}},
    "model_other": {"model": "keras-same"},
    "task_settings_unknown": {"task_settings": {"loss": "cross_entropy", "hook": "os.system"}},
    "task_settings_self": {"task_settings": {"self": 1, "names": 2}},
    "task_not_a_task": {"task": "task"},
    "names_absurd": {"names": [str(n) for n in range(100_000)]},
    "names_numbers": {"names": [1, 2, 3]},
    "names_twice": {"names": ["a", "a", "b"]},
    "names_none": {"names": []},
    "names_long": {"names": ["x" * 10_000, "b", "c"]},
    "views_absurd": {"views__size": 10**12},
    "views_channels": {"views__channels": 10**12},
    "views_negative": {"views__size": -1},
    "views_float": {"views__size": 16.5},
    "views_unknown": {"views__hook": "os.system"},
    "views_fit": {"views__fit": "os.system"},
    "views_zero_std": {"views__std": [0, 0, 0]},
    "views_infinite": {"views__mean": [1e300, 0, 0]},
    "views_other_size": {"views__channels": 1},
    "point_zero": {"operating_point": {"temperature": 0}},
    "point_words": {"operating_point": {"temperature": "os.system"}},
    "point_nested": {"operating_point": {"threshold": {"a": 1}}},
    "point_lengths": {"operating_point": {"temperature": [1.0, 2.0], "threshold": 0.5}},
    "surgery_path": {"surgery": {"__class__": [1, 1]}},
    "surgery_climb": {"surgery": {"head.weight.__init__": [1, 1]}},
    "surgery_wide": {"surgery": {"head": [10**12, 10**12]}},
    "surgery_words": {"surgery": {"head": "os.system"}},
    "schema_new": {"schema": 99},
    "schema_word": {"schema": "1"},
    "weights_list": {"weights": ["../../etc/passwd"]},
    "weights_no_sha": {"weights": {}},
    "weights_sha_number": {"weights": {"sha256": 1}},
}
for _name, _values in CARDS.items():
    ATTACKS[f"card_{_name}"] = lambda folder, values=_values: _card(folder, **values)


@attack
def card_lacks_everything(folder: Path) -> None:
    _text(folder, "{}")


@attack
def card_regress_lengths(folder: Path) -> None:
    _card(folder, task="regress", task_settings={"centre": [1.0] * 7, "width": [1.0] * 7})


@attack
def card_multilabel_thresholds(folder: Path) -> None:
    _card(folder, task="multilabel", task_settings={}, operating_point={"temperature": 1.0, "threshold": [0.5] * 7})


class Witness:
    """Notes what happens while it looks: code compiled or run, processes, sockets, files outside of one folder.

    An audit hook cannot be taken away again, so there is one for the process, which looks only when told to.
    """

    FORBIDDEN = (
        "exec", "compile", "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "pickle.find_class", "ctypes.dlopen",
        "import", "shutil.rmtree", "os.remove", "os.rename", "os.mkdir", "urllib.Request",
    )  # fmt: skip
    _hooked: ClassVar[list[Witness]] = []

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen, self.looking = str(folder.resolve()), [], False
        if not Witness._hooked:
            sys.addaudithook(lambda event, arguments: [w._hear(event, arguments) for w in Witness._hooked])
        Witness._hooked.append(self)

    def __enter__(self) -> Witness:
        self.looking = True
        return self

    def __exit__(self, *_: object) -> None:
        self.looking = False
        Witness._hooked[:] = [self]

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.looking:
            return
        if event == "open":
            path = arguments[0]
            if isinstance(path, str | bytes) and not os.path.abspath(os.fsdecode(path)).startswith((self.folder, *OURS)):
                self.seen.append((event, os.fsdecode(path)))
        elif event in self.FORBIDDEN or event.startswith("socket."):
            self.seen.append((event, str(arguments)[:200]))


# Reading a sentence in the reader's language is not reading somebody's secrets.
OURS = (str(Path(__file__).parents[1] / "src" / "omma" / "locale"),)


def warm_up(sound: Path) -> None:
    """Everything that opening may import is imported, and every kind of refusal has been said once."""
    import contextlib

    import torchvision  # noqa: F401

    import omma
    from omma import catalog
    from omma.errors import BundleError
    from omma.models import making
    from omma.parts import surgery  # noqa: F401

    omma.open(sound)
    for room in ("tasks", "models"):
        for name in catalog.names(room):
            catalog.module(room, name)
    for name in ("torchvision/nobody", "timm/nobody", "nobody"):
        with contextlib.suppress(Exception):
            making.build(name, channels=3, size=8, outputs=2)
    with contextlib.suppress(BundleError):
        omma.open(sound.parent / "nowhere")

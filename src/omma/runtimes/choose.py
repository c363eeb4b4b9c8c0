"""The fastest float32 runtime that gives the same answers: measured once on this machine, remembered beside `OMMA_HOME`.

What is remembered: how fast each runtime is for an architecture at a size (`runtimes.json`), and which graphs passed the parity gate
(`graphs/<key>.<runtime>.passed`). Every candidate runs in a child process, because runtimes in one process disturb each other.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omma import catalog
from omma.errors import OmmaError
from omma.progress import Watch
from omma.runtimes.runtime import Runtime, cores
from omma.words import say

if TYPE_CHECKING:
    from omma.bundle import Bundle

SECONDS = 0.8  # of measuring, for each candidate
PATIENCE = 90  # seconds a child may take in all
# A faster runtime must be worth a graph: below this gain the pipeline itself stays.
GAIN = 1.05


def fastest(bundle: Bundle, watch: Watch = Watch(), device: Any = "cpu", *, lanes: int = 1, frames: np.ndarray | None = None) -> Runtime:
    """The runtime to use from now on in this process; measures when nothing is remembered (some seconds, once).

    Args:
        bundle: an opened bundle.
        watch: is told what is being measured.
        device: anything but the CPU is PyTorch's.
        lanes: see `Runtime`.
        frames: (N, S, S, C) uint8, pictures of the user for the parity gate; random ones are always there.
    """
    if str(device) != "cpu" or bundle.net.optimises:
        return named("eager", bundle, lanes=lanes, device=str(device))
    if bundle.card.get("runtime", {}).get("file"):
        return named("ort", bundle, lanes=lanes)
    rates = remembered(bundle)
    if rates is None:
        rates = measure(bundle, watch, frames)
        remember(bundle, rates)
    for name in sorted(rates, key=lambda name: -rates[name]):
        if name == "eager" or rates[name] < GAIN * rates["eager"]:
            break
        if _same(name, bundle, frames, watch):
            return named(name, bundle, lanes=lanes)
    return named("eager", bundle, lanes=lanes)


def ready(bundle: Bundle) -> bool:
    """Whether `fastest` would answer at once: measured before, and its graph made and passed."""
    if bundle.card.get("runtime", {}).get("file") or bundle.net.optimises:
        return True
    rates = remembered(bundle)
    if rates is None:
        return False
    best = max(rates, key=lambda name: rates[name])
    return best == "eager" or _passed(best, bundle).exists()


def named(name: str, bundle: Bundle, *, lanes: int = 1, device: str = "cpu") -> Runtime:
    """One runtime by its name.

    Raises:
        OmmaError: no such runtime, its package is not installed, or the bundle answers with another one only.
    """
    kind = catalog.find("runtimes", name)
    if kind.package and not _installed(kind):
        raise OmmaError(say("errors.missing_package", what=name, package=kind.package, extra=kind.extra))
    if bundle.card.get("runtime", {}).get("file") and name != "ort":
        raise OmmaError(say("runtimes.only_its_own", name=name), bundle.path)
    if name == "eager":
        return kind(bundle, lanes, device)
    from omma.models._styled import meaningful

    meaningful(bundle.net, "export")
    if device != "cpu":
        raise OmmaError(say("runtimes.cpu_only", name=name, device=device))
    return kind(bundle, lanes)


def candidates() -> list[str]:
    """Installed runtimes beside eager."""
    return [name for name in catalog.names("runtimes") if name != "eager" and _installed(catalog.find("runtimes", name))]


def _installed(kind: type[Runtime]) -> bool:
    return importlib.util.find_spec(kind.package) is not None


def measure(bundle: Bundle, watch: Watch = Watch(), frames: np.ndarray | None = None) -> dict[str, float]:
    """Pictures a second of every installed runtime that passes the gate: the geometric mean of batches of 1 and 16."""
    from omma.runtimes._trial import pace

    others = candidates()
    what = say("runtimes.measuring")
    watch.step(what, 0, len(others) + 1)
    eager = named("eager", bundle)
    rates = {"eager": _mean(pace(eager.infer, trial_frames(bundle, frames), SECONDS))}
    for done, name in enumerate(others, 1):
        watch.step(what, done, len(others) + 1)
        found = _try(name, bundle, frames, SECONDS, watch)
        if found is not None:
            rates[name] = _mean(found)
    watch.end(what)
    return rates


def _mean(rates: Any) -> float:
    return float(np.exp(np.mean(np.log(rates))))


def trial_frames(bundle: Bundle, frames: np.ndarray | None = None, random: int = 8) -> np.ndarray:
    """Random frames — flat noise and smooth shades — and up to 16 of the user's own: (N, S, S, C) uint8; or (N, L) seeds."""
    if bundle.task.asks == "seed":
        return bundle.asked(random)
    size, channels = bundle.views.size, bundle.views.channels
    draw = np.random.default_rng(0)
    noise = draw.integers(0, 256, (random // 2, size, size, channels), dtype=np.uint8)
    ends = draw.integers(0, 256, (random - random // 2, 2, 1, 1, channels)).astype(np.float64)
    slope = np.linspace(0, 1, size)[:, None, None]
    shades = np.broadcast_to(ends[:, 0] * (1 - slope) + ends[:, 1] * slope, (len(ends), size, size, channels))
    own = [] if frames is None else [frames[:16]]
    shown = np.concatenate([noise, shades.astype(np.uint8), *own])
    return shown.astype(np.float32) if bundle.views.fit == "own" else shown


def _same(name: str, bundle: Bundle, frames: np.ndarray | None, watch: Watch) -> bool:
    """Whether a runtime's graph of these weights passes the gate; asked once for each graph and version."""
    return _passed(name, bundle).exists() or _try(name, bundle, frames, 0.0, watch) is not None


def _try(name: str, bundle: Bundle, frames: np.ndarray | None, seconds: float, watch: Watch) -> list[float] | None:
    """A runtime in a child: its rates, or None when it fails or answers otherwise than eager, which is said."""
    from omma.runtimes._graphs import graph_of
    from omma.runtimes.parity import gate

    shown = trial_frames(bundle, frames)
    try:
        graph = graph_of(bundle)
        assert isinstance(graph, Path)
        rates, outputs = run_child(name, graph, shown, seconds)
    except Exception as error:  # an exporter or a library may fail in any way: eager is always there
        watch.warn(say("runtimes.failed", name=name, reason=(str(error).strip().splitlines() or [type(error).__name__])[0][:300]))
        return None
    parity = gate(bundle, named("eager", bundle).run, lambda _: operated(bundle, outputs), [shown])
    if not parity.ok:
        watch.warn(say("runtimes.refused", name=name, reason="; ".join(parity.lines)))
        return None
    _write(_passed(name, bundle), json.dumps({"pictures": parity.pictures, "worst": parity.worst}))
    return rates


def operated(bundle: Bundle, outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tensors of `Task.infer` with the operating point applied."""
    import torch

    tensors = bundle.task.answer.operate({key: torch.from_numpy(value) for key, value in outputs.items()}, bundle.point)
    return {key: tensor.numpy() for key, tensor in tensors.items()}


def run_child(name: str, graph: Path, frames: np.ndarray, seconds: float) -> tuple[list[float], dict[str, np.ndarray]]:
    """`omma.runtimes._trial` in a process of its own.

    Raises:
        RuntimeError: it failed or took too long; its last line.
    """
    with tempfile.TemporaryDirectory(prefix="omma-") as folder:
        given, taken = Path(folder) / "frames.npy", Path(folder) / "out.npz"
        np.save(given, frames)
        words = [sys.executable, "-m", "omma.runtimes._trial", name, str(graph), str(given), str(taken), str(seconds)]
        try:
            child = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=PATIENCE, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"more than {PATIENCE} s") from None
        if child.returncode or not taken.exists():
            raise RuntimeError((child.stderr.strip().splitlines() or [f"exit code {child.returncode}"])[-1])
        with np.load(taken, allow_pickle=False) as found:
            return found["rates"].tolist(), {key[4:]: found[key] for key in found.files if key.startswith("out.")}


def _home() -> Path:
    from omma.data.sources import home

    return home()


def _passed(name: str, bundle: Bundle) -> Path:
    from omma.runtimes._graphs import kept_at

    package = catalog.find("runtimes", name).package
    return kept_at(bundle).with_suffix(f".{name}-{version(package)}.passed")


def _place(bundle: Bundle) -> str:
    """The key of a measurement: architecture, views, machine, versions."""
    views = bundle.views
    net = [bundle.card.get("model"), bundle.card.get("model_settings"), bundle.card.get("surgery"), len(bundle.names)]
    libraries = [f"{name} {version(catalog.find('runtimes', name).package)}" for name in candidates()]
    machine = [processor(), cores(), f"torch {version('torch')}", *libraries]
    return json.dumps([*net, views.size, views.channels, views.tta, *machine], sort_keys=True)


def processor() -> str:
    """The name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    wanted = ("model name", "cpu family", "model\t", "CPU part")
    return " ".join(dict.fromkeys(line.partition(":")[2].strip() for line in lines if line.startswith(wanted)))


def remembered(bundle: Bundle) -> dict[str, float] | None:
    """Pictures a second by runtime, as measured before; None if never."""
    try:
        rates = json.loads((_home() / "runtimes.json").read_text("utf-8"))[_place(bundle)]
        rates = {name: float(rate) for name, rate in rates.items() if name in catalog.names("runtimes")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return rates if "eager" in rates else None


def remember(bundle: Bundle, rates: dict[str, float]) -> None:
    """Keep a measurement."""
    path = _home() / "runtimes.json"
    try:
        known = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        known = {}
    known = known if isinstance(known, dict) else {}
    known[_place(bundle)] = rates
    _write(path, json.dumps(known, indent=1))


def _write(path: Path, text: str) -> None:
    """A small file, whole or not at all; a home that takes none costs only time."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, "utf-8")
        partial.replace(path)
    except OSError:
        return

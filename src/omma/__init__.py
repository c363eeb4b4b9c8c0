"""omma (Greek: eye): pictures into models people can trust."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# Compute threads that wait may spin for a moment, not for milliseconds: when another program wants a core, two spinning threads
# cost a factor of two to five, and nothing where the machine is idle. Read once, when torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

__version__ = "0.1.0"
__all__ = ["check", "compress", "convert", "evaluate", "explain", "export", "look", "open", "predict", "serve", "show", "train"]

if TYPE_CHECKING:
    from omma.bundle import open
    from omma.verbs.check import check
    from omma.verbs.compress import compress
    from omma.verbs.convert import convert
    from omma.verbs.evaluate import evaluate
    from omma.verbs.explain import explain
    from omma.verbs.export import export
    from omma.verbs.look import look
    from omma.verbs.predict import predict
    from omma.verbs.serve import serve
    from omma.verbs.show import show
    from omma.verbs.train import train


def __getattr__(name: str) -> Any:
    """The public words, each imported when first said: `import omma` stays instant."""
    if name not in __all__:
        raise AttributeError(f"module 'omma' has no attribute {name!r}")
    from importlib import import_module

    home = "omma.bundle" if name == "open" else f"omma.verbs.{name}"
    return getattr(import_module(home), name)

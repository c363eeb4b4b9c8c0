"""A `.pt2` file read back in a process of its own, where nothing of omma is needed: its answers to pictures.

python -m omma.exporters._reload FILE.pt2 PICTURES.npz ANSWERS.npz
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

import numpy as np


def main(words: Sequence[str]) -> None:
    """Answer every array of `PICTURES.npz`: outputs are called `<array>.<output>`."""
    import torch

    file, pictures, out = words
    warnings.simplefilter("ignore")
    answers = {}
    module = torch.export.load(file).module()
    with torch.no_grad(), np.load(pictures, allow_pickle=False) as given:
        for place in given.files:
            for name, tensor in module(torch.from_numpy(given[place])).items():
                answers[f"{place}.{name}"] = tensor.numpy()
    np.savez(out, **answers)


if __name__ == "__main__":
    main(sys.argv[1:])

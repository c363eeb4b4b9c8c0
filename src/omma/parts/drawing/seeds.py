"""What a generator draws from: numbers of chance, and which class is wanted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FREE = 1.0  # the truncation that cuts nothing off


def seeds(
    seed: int,
    count: int,
    latent: int,
    classes: int = 0,
    *,
    about: int | None = None,
    shares: Sequence[float] | None = None,
    truncation: float = FREE,
    first: int = 0,
) -> np.ndarray:
    """(count, latent + classes) float32: for each picture numbers of mean 0 and deviation 1, then 1 at its class and 0 at the others.

    Picture `first + i` depends on `seed` and its own place only: ten pictures are the first ten of a hundred.

    Args:
        latent: numbers of chance for a picture.
        classes: how many there are; 0 where no class can be asked for.
        about: the class wanted; None draws one for each picture.
        shares: (classes,) how often each is drawn; even when left out.
        truncation: 0–1, what the numbers are multiplied with (of Brock et al. 2019 only the purpose): nearer to the middle pictures are
            cleaner, and more alike.
    """
    rows = np.zeros((count, latent + classes), np.float32)
    chances = np.full(classes, 1 / max(1, classes)) if shares is None else np.asarray(shares, float) / np.sum(shares)
    for place in range(count):
        draw = np.random.Generator(np.random.Philox(key=[seed % (1 << 64), first + place]))
        rows[place, :latent] = draw.standard_normal(latent, np.float32) * np.float32(truncation)
        if classes:
            one = int(np.searchsorted(chances.cumsum(), draw.random(), side="right")) if about is None else about
            rows[place, latent + min(one, classes - 1)] = 1
    return rows

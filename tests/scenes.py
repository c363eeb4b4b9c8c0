"""Pictures with structure at every scale, as photographs have, and the ways in which copies of them are made."""

import io

import numpy as np
from PIL import Image


def scene(seed, height=96, width=128):
    """A picture with structure at every scale, as photographs have: noise whose power falls with the square of the frequency."""
    rng = np.random.default_rng(seed)
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    fall = 1 / np.maximum(np.hypot(down, across), 1 / 96) ** 2
    layers = []
    for _ in range(3):
        noise = rng.normal(size=(height, across.shape[1])) + 1j * rng.normal(size=(height, across.shape[1]))
        layer = np.fft.irfft2(noise * fall, s=(height, width))
        layers.append((layer - layer.mean()) / layer.std())
    grey = layers[0]
    colour = np.stack([grey + 0.3 * layers[1], grey, grey + 0.3 * layers[2]], 2)
    return np.clip(128 + 45 * colour, 0, 255).astype(np.uint8)


def changed(picture, kind, seed=0):
    image, rng = Image.fromarray(picture), np.random.default_rng(seed)
    height, width = picture.shape[:2]
    if kind == "resize":
        factor = rng.choice([rng.uniform(0.5, 0.9), rng.uniform(1.1, 2)])  # never the same size: that would be an exact copy
        return np.asarray(image.resize((round(width * factor), round(height * factor)), Image.Resampling.BICUBIC))
    if kind == "jpeg":
        store = io.BytesIO()
        image.save(store, "JPEG", quality=50)
        return np.asarray(Image.open(store))
    if kind == "mirror":
        return np.ascontiguousarray(picture[:, ::-1])
    left, top = int(rng.integers(0, width // 20 + 1)), int(rng.integers(0, height // 20 + 1))
    return picture[top : top + height - height // 20, left : left + width - width // 20]

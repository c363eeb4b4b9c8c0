"""Batch norm, instance norm and dropout, forward and backward, in NumPy."""

# %% forward
import numpy as np

from omma.report.sketch import Sketch

BATCH, INSTANCE = (0, 2, 3), (2, 3)  # what is averaged over in (N, C, H, W)


def normalise(x, axes, scale, shift, eps=1e-5):
    """x (N, C, H, W), scale and shift (C,) → the answer; and the levels x̂ and the slope 1/σ that the way back needs."""
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    slope = 1 / np.sqrt(variance + eps)
    level = (x - mean) * slope
    return level * scale[:, None, None] + shift[:, None, None], level, slope


# %% backward
def normalise_gradient(g, level, slope, axes, scale):
    """∂L/∂x, ∂L/∂scale and ∂L/∂shift from g = ∂L/∂y: what would move the mean or the spread of a group is taken out."""
    inner = g * scale[:, None, None]
    along = (inner * level).mean(axes, keepdims=True)
    x = slope * (inner - inner.mean(axes, keepdims=True) - level * along)
    return x, (g * level).sum(BATCH), g.sum(BATCH)


# %% later
def remember(known, x, momentum=0.1):
    """The mean and variance (C,) each that batch norm keeps for later, after one more batch; its variance is that of a sample."""
    mean, variance = x.mean(BATCH), x.var(BATCH, ddof=1)
    return (1 - momentum) * known[0] + momentum * mean, (1 - momentum) * known[1] + momentum * variance


def normalise_known(x, known, scale, shift, eps=1e-5):
    """Batch norm of a trained network: a line of its own for each channel, whatever else is in the batch."""
    slope = scale / np.sqrt(known[1] + eps)
    return x * slope[:, None, None] + (shift - known[0] * slope)[:, None, None]


# %% dropout
def drop(x, rate, chance):
    """x with a share `rate` of its numbers left out, the others larger by as much; chance (as x) is drawn evenly from 0 to 1."""
    kept = chance >= rate
    return x * kept / (1 - rate), kept


def drop_gradient(g, kept, rate):
    """∂L/∂x from g = ∂L/∂y: what was left out learns nothing this time."""
    return g * kept / (1 - rate)


# %% picture
draw = np.random.default_rng(1)
x = draw.normal(size=(3, 2, 4, 4)) * np.array([0.5, 1, 2])[:, None, None, None] + np.array([[1, -1], [2, 0], [0, -3]])[:, :, None, None]
rows = {"x": x, "batch": normalise(x, BATCH, np.ones(2), np.zeros(2))[0], "instance": normalise(x, INSTANCE, np.ones(2), np.zeros(2))[0]}
rows["dropout, p = ½"] = drop(x, 0.5, draw.random(x.shape))[0]
sketch = Sketch()
for name, pictures in rows.items():
    for n, c in np.ndindex(3, 2):
        sketch.cells(pictures[n, c], f"{name}" if (n, c) == (0, 0) else f"n = {n + 1}, c = {c + 1}", side=20, most=np.abs(pictures).max())
    sketch.row()
sketch.save("normalisation.svg")

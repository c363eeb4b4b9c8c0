"""Pooling: the largest and the mean of every window, and how gradients find their way back through them, in NumPy."""

# %% forward
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from omma.report.sketch import Sketch


def windows(x, size, stride, padding, around):
    """Every window of x (N, C, H, W), laid out in a row: (N, C, H', W', size²); `around` stands where the picture ends."""
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)], constant_values=around)
    seen = sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    return seen.reshape(*seen.shape[:4], size * size)


def max_pool(x, size, stride, padding=0):
    """(N, C, H, W) → the largest of each window (N, C, H', W'), and its place in the window, 0 … size² − 1."""
    seen = windows(x, size, stride, padding, -np.inf)
    return seen.max(-1), seen.argmax(-1)


def average_pool(x, size, stride, padding=0):
    """(N, C, H, W) → the mean of each window (N, C, H', W'); zeros around the picture count as any other number."""
    return windows(x, size, stride, padding, 0.0).mean(-1)


# %% backward
def max_unpool(g, where, shape, size, stride, padding=0):
    """∂L/∂x = `shape` from g = ∂L/∂y (N, C, H', W'): each g goes to the one number that was the largest, and what meets is added."""
    x = np.zeros((*shape[:2], shape[2] + 2 * padding, shape[3] + 2 * padding))
    for n, c, i, j in np.ndindex(g.shape):
        down, right = divmod(where[n, c, i, j], size)
        x[n, c, i * stride + down, j * stride + right] += g[n, c, i, j]
    return x[:, :, padding : padding + shape[2], padding : padding + shape[3]]


def average_unpool(g, shape, size, stride, padding=0):
    """∂L/∂x = `shape` from g = ∂L/∂y (N, C, H', W'): each g is shared out alike over its window."""
    x = np.zeros((*shape[:2], shape[2] + 2 * padding, shape[3] + 2 * padding))
    for i, j in np.ndindex(g.shape[2:]):
        x[:, :, i * stride : i * stride + size, j * stride : j * stride + size] += g[..., i, j, None, None] / size**2
    return x[:, :, padding : padding + shape[2], padding : padding + shape[3]]


# %% picture
x = np.array(
    [[1, 3, 0, 2, 1, 0], [4, 2, 1, 5, 2, 1], [0, 1, 7, 1, 0, 3], [2, 0, 1, 0, 4, 1], [1, 6, 0, 2, 1, 0], [0, 1, 3, 1, 0, 2]], float
)
(largest, where), mean = max_pool(x[None, None], 2, 2), average_pool(x[None, None], 2, 2)
g = np.array([[1, -1, 0.5], [0, 2, -1], [1, 0, 1]])[None, None]
sketch = Sketch().cells(x, "x", numbers=True, digits=0, marked=[(2, 2), (2, 3), (3, 2), (3, 3)])
sketch.cells(largest[0, 0], "max", numbers=True, digits=0, marked=[(1, 1)]).cells(
    mean[0, 0], "mean", numbers=True, marked=[(1, 1)], most=7
).row()
sketch.cells(g[0, 0], "∂L/∂y", numbers=True).cells(max_unpool(g, where, (1, 1, 6, 6), 2, 2)[0, 0], "∂L/∂x, max", numbers=True)
sketch.cells(average_unpool(g, (1, 1, 6, 6), 2, 2)[0, 0], "∂L/∂x, mean", most=2).save("pooling.svg")

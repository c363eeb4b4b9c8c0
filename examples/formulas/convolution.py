"""Convolution: its formula, the matrix it is, and its two gradients, in NumPy."""

# %% forward
import numpy as np

from omma.report.sketch import Sketch


def places(x, k, stride, dilation):
    """Where kernels k (…, U, V) lie on pictures x (…, H, W): the size of the answer, and for each of its pixels a part of x."""
    u, v = (dilation * (side - 1) + 1 for side in k.shape[-2:])  # a dilated kernel has holes
    size = (x.shape[-2] - u) // stride + 1, (x.shape[-1] - v) // stride + 1
    rows, columns = ([slice(i * stride, i * stride + own, dilation) for i in range(n)] for n, own in zip(size, (u, v), strict=True))
    return size, {(i, j): (..., rows[i], columns[j]) for i, j in np.ndindex(size)}


def in_groups(x, k, padding, groups):
    """x (N, C, H, W) → (N, G, C/G, H + 2p, W + 2p) and k (O, C/G, U, V) → (G, O/G, C/G, U, V)."""
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    return x.reshape(len(x), groups, -1, *x.shape[2:]), k.reshape(groups, -1, *k.shape[1:])


def convolve(x, k, b, stride=1, padding=0, dilation=1, groups=1):
    """Pictures x (N, C, H, W), kernels k (O, C/G, U, V) and offsets b (O,) → (N, O, H', W')."""
    x, k = in_groups(x, k, padding, groups)
    size, parts = places(x, k, stride, dilation)
    y = np.zeros((len(x), *k.shape[:2], *size))  # (N, G, O/G, H', W')
    for (i, j), part in parts.items():
        y[..., i, j] = np.einsum("ngcuv,gocuv->ngo", x[part], k)
    return y.reshape(len(x), -1, *size) + b[:, None, None]


# %% picture
far = np.hypot(*np.mgrid[-5:6, -5:6])
disc = (far < 4).astype(float)
edge = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])  # Sobel's kernel: dark to light, from left to right
ways = {"padding": 1}, {"padding": 1, "stride": 2}, {"padding": 2, "dilation": 2}
whole, half, holes = (convolve(disc[None, None], edge[None, None], np.zeros(1), **how)[0, 0] for how in ways)
seen = [(i, j) for i in (3, 4, 5) for j in (0, 1, 2)]
sketch = Sketch().cells(disc, "x", side=14, marked=seen).sign("∗").cells(edge, "k", numbers=True, digits=0).sign("=")
sketch.cells(whole, "s = 1, p = 1", side=14, marked=[(4, 1)]).row()
sketch.cells(half, "s = 2, p = 1", side=14).cells(holes, "s = 1, p = 2, d = 2", side=14).save("convolution.svg")


# %% columns
def columns(x, k, stride=1, padding=0, dilation=1):
    """All parts of x (N, C, H, W) that the kernel sees, one a column: (N, C·U·V, H'·W'); `im2col` in the field's own words."""
    x, _ = in_groups(x, k, padding, 1)
    _, parts = places(x, k, stride, dilation)
    return np.stack([x[part].reshape(len(x), -1) for part in parts.values()], axis=2)


def matrix(k, shape, **how):
    """The matrix A of a convolution of pictures of one shape (C, H, W): y = A x. Its columns are the answers to the unit pictures."""
    units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
    return convolve(units, k, np.zeros(len(k)), **how).reshape(len(units), -1).T


# %% matrix-picture
A = matrix(edge[None, None], (1, 5, 5))
sketch = Sketch().cells(A, "A", side=12).sign("·").cells(disc[3:8, :5].reshape(25, 1), "x", side=12).sign("=")
sketch.cells(A @ disc[3:8, :5].reshape(25, 1), "y", side=12).save("convolution-matrix.svg")


# %% input-gradient
def input_gradient(g, k, shape, stride=1, padding=0, dilation=1, groups=1):
    """∂L/∂x (N, C, H, W) = `shape` from g = ∂L/∂y (N, O, H', W'): every g lays the kernel down where it was read."""
    x, k = in_groups(np.zeros(shape), k, padding, groups)
    g = g.reshape(len(g), groups, -1, *g.shape[2:])
    for (i, j), part in places(x, k, stride, dilation)[1].items():
        x[part] += np.einsum("ngo,gocuv->ngcuv", g[..., i, j], k)
    x = x.reshape(shape[0], shape[1], *x.shape[3:])
    return x[:, :, padding : padding + shape[2], padding : padding + shape[3]]


# %% kernel-gradient
def kernel_gradient(g, x, shape, stride=1, padding=0, dilation=1, groups=1):
    """∂L/∂k (O, C/G, U, V) = `shape`: how g = ∂L/∂y and the picture go together."""
    x, k = in_groups(x, np.zeros(shape), padding, groups)
    g = g.reshape(len(g), groups, -1, *g.shape[2:])
    for (i, j), part in places(x, k, stride, dilation)[1].items():
        k += np.einsum("ngo,ngcuv->gocuv", g[..., i, j], x[part])
    return k.reshape(shape)


# %% gradient-picture
g = np.zeros((1, 1, 5, 5))
g[0, 0, 1, 1], g[0, 0, 3, 3] = 1, -0.5
back = input_gradient(g, edge[None, None], (1, 1, 9, 9), stride=2, padding=1)
learn = kernel_gradient(np.sign(half)[None, None], disc[None, None], (1, 1, 3, 3), stride=2, padding=1)
sketch = (
    Sketch()
    .cells(g[0, 0], "∂L/∂y", side=18)
    .sign("∗ᵀ")
    .cells(edge, "k", side=18)
    .sign("=")
    .cells(back[0, 0], "∂L/∂x (s = 2)", side=18)
    .row()
)
sketch.cells(np.sign(half), "∂L/∂y", side=14).sign("⋆").cells(disc, "x", side=14).sign("=")
sketch.cells(learn[0, 0], "∂L/∂k (s = 2)", numbers=True, digits=0).save("convolution-gradients.svg")

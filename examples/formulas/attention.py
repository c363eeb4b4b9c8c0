"""Attention: every part of a picture asks all others, forward and backward, with several heads, in NumPy."""

# %% forward
import numpy as np

from omma.report.sketch import Sketch


def softmax(s):
    """Any numbers → shares that sum to 1 along the last axis; the largest is taken off first, so that nothing overflows."""
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(q, k, v, may=True):
    """Queries q (…, T, D), keys k (…, S, D), values v (…, S, E) → (…, T, E) and the shares (…, T, S); `may` says who looks at whom."""
    s = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    a = softmax(np.where(may, s, -np.inf))
    return a @ v, a


# %% backward
def attention_gradient(g, q, k, v, a):
    """∂L/∂q, ∂L/∂k and ∂L/∂v from g = ∂L/∂y (…, T, E); softmax hands back a ⊙ (∂L/∂a − its mean under a)."""
    ga = g @ v.swapaxes(-1, -2)
    gs = a * (ga - (ga * a).sum(-1, keepdims=True)) / np.sqrt(q.shape[-1])
    return gs @ k, gs.swapaxes(-1, -2) @ q, a.swapaxes(-1, -2) @ g


# %% heads
def heads(x, count):
    """(N, T, D) → (N, count, T, D/count)."""
    return x.reshape(*x.shape[:2], count, -1).swapaxes(1, 2)


def joined(x):
    """(N, H, T, D/H) → (N, T, D)."""
    return x.swapaxes(1, 2).reshape(len(x), x.shape[2], -1)


def multi_head(x, w, out, count):
    """x (N, T, D), w (3D, D) for queries, keys and values, out (D, D) → (N, T, D), and what stood between."""
    q, k, v = (heads(x @ part.T, count) for part in np.split(w, 3))
    y, a = attention(q, k, v)
    return joined(y) @ out.T, (q, k, v, a, joined(y))


def multi_head_gradient(g, x, w, out, count, between):
    """∂L/∂x, ∂L/∂w and ∂L/∂out from g = ∂L/∂y (N, T, D)."""
    *qkva, y = between
    parts = attention_gradient(heads(g @ out, count), *qkva)
    inner = np.concatenate([joined(part) for part in parts], axis=2)  # (N, T, 3D)
    return inner @ w, np.einsum("nto,nti->oi", inner, x), np.einsum("nto,nti->oi", g, y)


# %% picture
draw = np.random.default_rng(3)
kinds = np.array([0, 0, 1, 1, 1, 2, 0, 2, 2, 1])  # ten parts of a picture, of three kinds
x = np.eye(4)[kinds] * 3 + draw.normal(size=(10, 4)) * 0.3
v = np.eye(3)[kinds]
may = np.tri(10, dtype=bool)
(y, a), (z, c) = attention(x, x, v), attention(x, x, v, may)
sketch = (
    Sketch()
    .cells(x, "q = k", side=20)
    .cells(x @ x.T / 2, "q kᵀ / √D", side=20)
    .cells(a, "softmax", side=20)
    .sign("·")
    .cells(v, "v", side=20)
)
sketch.sign("=").cells(y, "y", side=20).row().cells(np.where(may, x @ x.T / 2, np.nan), "t ≥ s", side=20)
sketch.cells(c, "softmax", side=20).sign("·").cells(v, "v", side=20).sign("=").cells(z, "y", side=20).save("attention.svg")

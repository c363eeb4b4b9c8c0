"""Losses: squared error, Huber, cross-entropy and negative log-likelihood with their gradients, in NumPy."""

# %% numbers
import numpy as np

from omma.report.sketch import Sketch


def mse(y, t):
    """Mean of (y − t)² over all numbers; and ∂L/∂y."""
    return ((y - t) ** 2).mean(), 2 * (y - t) / y.size


def huber(y, t, bend=1.0):
    """Squared up to `bend`, straight beyond; and ∂L/∂y, which is held within ± bend."""
    off = np.abs(y - t)
    loss = np.where(off < bend, 0.5 * off**2, bend * (off - 0.5 * bend))
    return loss.mean(), np.clip(y - t, -bend, bend) / y.size


# %% classes
def log_softmax(z):
    """Logits z (N, C) → logarithms of shares."""
    z = z - z.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def cross_entropy(z, t, weight=1.0, smoothing=0.0):
    """Logits z (N, C), shares t (N, C) that sum to 1, weight (C,); and ∂L/∂z, which for equal weights is (softmax z − t) / N."""
    t = weight * ((1 - smoothing) * t + smoothing / z.shape[1])
    loss = -(t * log_softmax(z)).sum() / len(z)
    return loss, (np.exp(log_softmax(z)) * t.sum(1, keepdims=True) - t) / len(z)


def nll(z, true, weight=None):
    """Logits z (N, C) and the true class (N,) of each, weighted by weight (C,); and ∂L/∂z."""
    rows, shares = np.arange(len(z)), np.exp(log_softmax(z))
    each = np.ones(len(z)) if weight is None else weight[true]
    loss = -(each * log_softmax(z)[rows, true]).sum() / each.sum()
    return loss, (shares - np.eye(z.shape[1])[true]) * each[:, None] / each.sum()


# %% yes-or-no
def bce(z, t):
    """Each class on its own: logits z and 0 … 1 in t, of any shape; and ∂L/∂z = (σ(z) − t) / size."""
    loss = np.logaddexp(0, z) - t * z
    return loss.mean(), (np.exp(-np.logaddexp(0, -z)) - t) / z.size


# %% picture
off = np.linspace(-3, 3, 121)
one = {"MSE": mse, "Huber": huber}
values = {name: (off, [loss(np.array([e]), 0.0)[0] for e in off]) for name, loss in one.items()}
slopes = {name: (off, [loss(np.array([e]), 0.0)[1][0] for e in off]) for name, loss in one.items()}
sketch = Sketch().lines(values, x="y − t", y="L", span=(-3, 3, 0, 5)).lines(slopes, x="y − t", y="∂L/∂y", span=(-3, 3, -4, 4)).row()
sure = np.linspace(-6, 6, 121)  # z of the true class; the other one has 0
two = np.stack([sure, np.zeros(121)], 1)
apart = {"−log p": [cross_entropy(z[None], np.array([[1.0, 0]]))[0] for z in two]}
apart["ε = 0.1"] = [cross_entropy(z[None], np.array([[1.0, 0]]), smoothing=0.1)[0] for z in two]
apart["(p − 1)²"] = [mse(np.exp(log_softmax(z[None]))[0, :1], 1.0)[0] for z in two]
tug = {"−log p": (sure, [cross_entropy(z[None], np.array([[1.0, 0]]))[1][0, 0] for z in two])}
tug["ε = 0.1"] = sure, [cross_entropy(z[None], np.array([[1.0, 0]]), smoothing=0.1)[1][0, 0] for z in two]
share = np.exp(log_softmax(two))[:, 0]
tug["(p − 1)²"] = sure, 2 * (share - 1) * share * (1 - share)
sketch.lines({name: (sure, ys) for name, ys in apart.items()}, x="z", y="L").lines(tug, x="z", y="∂L/∂z").save("losses.svg")

"""Optimizers: one step of gradient descent, momentum, RMSProp, Adam and Muon, and the regularisers L1 and L2, in NumPy."""

# %% descent
import numpy as np

from omma.report.sketch import Sketch


def descend(w, g, rate, l2=0.0):
    """Gradient descent, and with the gradient of a few pictures drawn by chance SGD; L2 pulls every weight towards 0."""
    return w - rate * (g + l2 * w)


def batches(count, size, draw):
    """Which pictures each step of an epoch sees: all once, in an order drawn anew. Full-batch descent is size = count."""
    return np.array_split(draw.permutation(count), range(size, count, size))


# %% momentum
def momentum(w, g, m, rate, keep=0.9, nesterov=False):
    """Heavy ball (Polyak 1964): weights and memory after a step; Nesterov's looks one step ahead."""
    m = keep * m + g
    return w - rate * (g + keep * m if nesterov else m), m


# %% rmsprop
def rmsprop(w, g, v, rate, keep=0.99, eps=1e-8):
    """Every weight's step is divided by how large its gradients were lately (Hinton 2012)."""
    v = keep * v + (1 - keep) * g**2
    return w - rate * g / (np.sqrt(v) + eps), v


# %% adam
def adam(w, g, m, v, t, rate, keep=(0.9, 0.999), eps=1e-8, decay=0.0):
    """Momentum over RMSProp, both corrected for their start at 0 (Kingma & Ba 2015); t counts from 1; decay as in AdamW."""
    m, v = keep[0] * m + (1 - keep[0]) * g, keep[1] * v + (1 - keep[1]) * g**2
    step = m / (1 - keep[0] ** t) / (np.sqrt(v / (1 - keep[1] ** t)) + eps)
    return w * (1 - rate * decay) - rate * step, m, v


# %% muon
def orthogonal(m, steps=3):
    """(M, N) → singular values near 1, the same directions: Newton–Schulz, products of matrices only (Jordan et al. 2024)."""
    x = m / (np.linalg.norm(m) + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


def muon(w, g, m, rate, keep=0.9, decay=0.0, free=False):
    """Nesterov's momentum, made orthogonal; kernels w (O, C, U, V) are matrices (O, C·U·V). free: a norm follows, so |w| is held at √O."""
    m = keep * m + g
    step = orthogonal((g + keep * m).reshape(len(w), -1))
    step = step if free else step * np.sqrt(max(1, step.shape[0] / step.shape[1]))
    w = w * np.sqrt(len(w)) / np.linalg.norm(w) if free else w * (1 - rate * decay)
    return w - rate * step.reshape(w.shape), m


# %% regularisers
def lasso(w, strength):
    """L1: the sum of magnitudes, and its gradient, which pulls small weights as hard as large ones: they end at 0."""
    return strength * np.abs(w).sum(), strength * np.sign(w)


def ridge(w, strength):
    """L2: half the sum of squares, and its gradient, which fades with the weight."""
    return strength / 2 * (w**2).sum(), strength * w


# %% valley-picture
draw = np.random.default_rng(0)
seen = draw.normal(size=(64, 2)) * np.array([0.35, 2.0])  # 64 pictures of two numbers, one ten times as loud
truth = seen @ np.array([1.0, 1.0])
every = np.arange(64)
start, steps = np.array([-2.0, 2.5]), 60
hessian = seen.T @ seen / 64
around = np.linspace(0, 2 * np.pi, 61)
square = np.linalg.inv(np.linalg.cholesky(hessian)).T
rings = [(square @ np.stack([np.cos(around), np.sin(around)]) * r + 1).tolist() for r in (0.3, 0.8, 1.6, 3, 5)]


# %% race-picture
def slope(w, rows):
    """The gradient of half the mean squared error of some pictures."""
    return seen[rows].T @ (seen[rows] @ w - truth[rows]) / len(rows)


def walk(step, few=False):
    """The way of one optimizer down the valley: (steps + 1, 2); `step` (w, g, t, memory) → (w, memory)."""
    w, memory, way, chance = start, (), [start], np.random.default_rng(1)
    for t in range(1, steps + 1):
        w, *memory = step(w, slope(w, batches(64, 8, chance)[0] if few else every), t, *memory)
        way.append(w)
    return np.stack(way)


ways = {
    "GD": walk(lambda w, g, t: (descend(w, g, 0.3),)),
    "SGD": walk(lambda w, g, t: (descend(w, g, 0.3),), few=True),
    "momentum": walk(lambda w, g, t, m=0.0: momentum(w, g, m, 0.1, 0.8)),
    "RMSProp": walk(lambda w, g, t, v=0.0: rmsprop(w, g, v, 0.03, 0.9)),
    "Adam": walk(lambda w, g, t, m=0.0, v=0.0: adam(w, g, m, v, t, 0.25)),
}
lost = {name: (np.arange(steps + 1), ((way @ seen.T - truth) ** 2).mean(1) / 2) for name, way in ways.items()}
sketch = Sketch().lines({name: way.T for name, way in ways.items()}, x="w₁", y="w₂", faint=rings, span=(-3, 3, -1, 3), size=(300, 260))
sketch.lines(lost, x="t", y="L", log=True, size=(300, 260)).save("optimizers.svg")

# %% muon-picture
size = np.linspace(0.001, 1, 200)
spread = {f"× {n}": (size, [abs(orthogonal(np.diag([s, np.sqrt(1 - s * s)]), n)[0, 0]) for s in size]) for n in (0, 1, 3, 5)}
m = np.outer([1, -1, 0.5], [2, 1, 0, -1]) + 0.2 * np.random.default_rng(2).normal(size=(3, 4))
sketch = Sketch().cells(m, "m", numbers=True).sign("→").cells(orthogonal(m, 5), "o", numbers=True).row()
sketch.lines(spread, x="σ", y="σ′").cells(m @ m.T, "m mᵀ", numbers=True).sign("→")
sketch.cells(orthogonal(m, 5) @ orthogonal(m, 5).T, "o oᵀ", numbers=True).save("optimizers-muon.svg")

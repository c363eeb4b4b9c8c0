"""Recurrence: a layer that hears its own last answer, gradients through time, and the gates of an LSTM, in NumPy."""

# %% forward
import numpy as np

from omma.report.sketch import Sketch


def recur(x, w, u, b):
    """x (T, N, I), w (H, I), u (H, H), b (H,) → all states (T + 1, N, H); the first is 0."""
    h = [np.zeros((x.shape[1], len(u)))]
    for seen in x:
        h.append(np.tanh(seen @ w.T + h[-1] @ u.T + b))
    return np.stack(h)


# %% backward
def recur_gradient(g, x, h, w, u):
    """∂L/∂x, ∂L/∂w, ∂L/∂u and ∂L/∂b from g (T, N, H), the gradient of every state: from the last step to the first."""
    gx, gw, gu, gb, later = np.zeros_like(x), np.zeros_like(w), np.zeros_like(u), np.zeros(len(u)), 0.0
    for t in reversed(range(len(x))):
        s = (g[t] + later) * (1 - h[t + 1] ** 2)
        gx[t], later = s @ w, s @ u
        gw, gu, gb = gw + s.T @ x[t], gu + s.T @ h[t], gb + s.sum(0)
    return gx, gw, gu, gb


# %% lstm
def sigmoid(x):
    """Any number → between 0 and 1."""
    return np.exp(-np.logaddexp(0, -x))


def lstm(x, w, u, b):
    """x (T, N, I), w (4H, I), u (4H, H), b (4H,): gates i, f, what is new z, gate o → answers (T, N, H), and what the way back needs."""
    h = c = np.zeros((x.shape[1], u.shape[1]))
    answers, kept = [], []
    for seen in x:
        i, f, z, o = np.split(seen @ w.T + h @ u.T + b, 4, axis=1)
        i, f, z, o = sigmoid(i), sigmoid(f), np.tanh(z), sigmoid(o)
        before, c = (h, c), f * c + i * z
        h = o * np.tanh(c)
        answers, kept = [*answers, h], [*kept, (*before, i, f, z, o, np.tanh(c))]
    return np.stack(answers), kept


def lstm_gradient(g, x, kept, w, u):
    """∂L/∂x, ∂L/∂w, ∂L/∂u and ∂L/∂b from g (T, N, H): what a cell holds comes back through f alone, without a matrix."""
    gx, gw, gu, gb, gh, gc = np.zeros_like(x), np.zeros_like(w), np.zeros_like(u), np.zeros(len(u)), 0.0, 0.0
    for t, (h, c, i, f, z, o, out) in reversed(list(enumerate(kept))):
        gh = gh + g[t]
        gc = gc + gh * o * (1 - out**2)
        gates = gc * z * i * (1 - i), gc * c * f * (1 - f), gc * i * (1 - z**2), gh * out * o * (1 - o)
        s = np.concatenate(gates, axis=1)
        gx[t], gh, gc = s @ w, s @ u, gc * f
        gw, gu, gb = gw + s.T @ x[t], gu + s.T @ h, gb + s.sum(0)
    return gx, gw, gu, gb


# %% picture
steps, size = 40, 16
draw = np.random.default_rng(0)
turn = np.linalg.qr(draw.normal(size=(size, size)))[0]  # keeps lengths
x, g = draw.normal(size=(steps, 1, size)) * 0.02, np.zeros((steps, 1, size))
g[-1] = draw.normal(size=(1, size))  # only the last answer counts
w, b = np.eye(size), np.zeros(size)
reach = {}
for long in (0.8, 0.95, 1.05):
    gx = recur_gradient(g, x, recur(x, w, turn * long, b), w, turn * long)[0]
    reach[f"|u| = {long}"] = np.arange(steps), np.linalg.norm(gx[:, 0], axis=1)
w4, u4 = np.tile(w, (4, 1)), np.tile(turn * 0.1, (4, 1))
for open_, name in ((0.0, "f = ½"), (4.0, "f = 0.98")):
    b4 = np.repeat([0, open_, 0, 0], size)
    gx = lstm_gradient(g, x, lstm(x, w4, u4, b4)[1], w4, u4)[0]
    reach[f"LSTM, {name}"] = np.arange(steps), np.linalg.norm(gx[:, 0], axis=1)
Sketch().lines(reach, x="t", y="|∂L/∂xₜ|", log=True, size=(420, 280)).save("recurrence.svg")

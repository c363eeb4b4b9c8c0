"""Dense layers, ReLU, sigmoid and tanh, and the chain rule through them, in NumPy."""

# %% dense
import numpy as np

from omma.report.sketch import Sketch


def dense(x, w, b):
    """x (N, I), weights w (O, I), offsets b (O,) → (N, O)."""
    return x @ w.T + b


def dense_gradient(g, x, w):
    """∂L/∂x, ∂L/∂w and ∂L/∂b from g = ∂L/∂y (N, O)."""
    return g @ w, g.T @ x, g.sum(0)


# %% activations
def relu(x):
    """What is below 0 becomes 0."""
    return np.maximum(x, 0)


def sigmoid(x):
    """Any number → between 0 and 1; in a form that large numbers do not break."""
    return np.exp(-np.logaddexp(0, -x))


def tanh(x):
    """Any number → between −1 and 1: a sigmoid, stretched."""
    return 2 * sigmoid(2 * x) - 1


def relu_gradient(g, y):
    """∂L/∂x from g = ∂L/∂y and the answer y: it passes where y is above 0."""
    return g * (y > 0)


def sigmoid_gradient(g, y):
    """∂L/∂x: at most a quarter of g."""
    return g * y * (1 - y)


def tanh_gradient(g, y):
    """∂L/∂x: at most g, and that only around 0."""
    return g * (1 - y**2)


# %% network
def network(x, w1, b1, w2, b2):
    """Two dense layers with ReLU between: (N, I) → (N, O), and what stood between."""
    hidden = relu(dense(x, w1, b1))
    return dense(hidden, w2, b2), hidden


def network_gradient(g, x, hidden, w1, w2):
    """∂L/∂x and the gradients of w1, b1, w2, b2: the chain rule, from the end to the start."""
    g, w2_gradient, b2_gradient = dense_gradient(g, hidden, w2)
    x_gradient, w1_gradient, b1_gradient = dense_gradient(relu_gradient(g, hidden), x, w1)
    return x_gradient, w1_gradient, b1_gradient, w2_gradient, b2_gradient


# %% picture
at = np.linspace(-4, 4, 161)
functions = {"ReLU": (relu, relu_gradient), "σ": (sigmoid, sigmoid_gradient), "tanh": (tanh, tanh_gradient)}
values = {name: (at, f(at)) for name, (f, _) in functions.items()}
slopes = {name: (at, gradient(np.ones(161), f(at))) for name, (f, gradient) in functions.items()}
bends, begin = np.linspace(-4, 3, 8), np.ones((8, 1))  # where each of eight hidden ReLUs begins
hidden = relu(dense(at[:, None], begin, -bends))
end = np.linalg.lstsq(np.c_[hidden, np.ones(161)], np.sin(at), rcond=None)[0]  # the best second layer for a sine
made = network(at[:, None], begin, -bends, end[None, :8], end[8:])[0][:, 0]
sketch = Sketch().lines(values, x="x", y="y", span=(-4, 4, -1, 2)).lines(slopes, x="x", y="∂y/∂x", span=(-4, 4, 0, 1)).row()
bent = {f"{i + 1}": (at, hidden[:, i] * end[i] + end[8] * (i == 0)) for i in range(8)}
sketch.lines(bent, x="x", y="w₂ ReLU(x + b₁)", span=(-4, 4, -4, 4)).sign("Σ")
sketch.lines({"y": (at, made)}, x="x", faint=[(at, np.sin(at))], span=(-4, 4, -1, 1)).save("dense.svg")

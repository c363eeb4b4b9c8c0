"""Accuracy, precision, recall and F1: what is counted, in NumPy."""

# %% counts
import numpy as np

from omma.report.sketch import Sketch


def confusion(true, named, classes):
    """How often class i was called j: (C, C) from the true and the named class of each picture, (N,) each."""
    return np.bincount(true * classes + named, minlength=classes**2).reshape(classes, classes)


def accuracy(table):
    """Right of all."""
    return np.trace(table) / table.sum()


# %% scores
def ratio(above, below):
    """above / below; 0 where nothing is to be divided by."""
    return np.where(below > 0, above / np.maximum(below, 1), 0.0)


def scores(table):
    """Precision, recall and F1 of every class, (C,) each; NaN for a class that neither occurs nor is named."""
    right, named, true = np.diag(table), table.sum(0), table.sum(1)
    there = np.where(named + true > 0, 1.0, np.nan)
    return there * ratio(right, named), there * ratio(right, true), there * ratio(2 * right, named + true)


def macro(each):
    """The mean over the classes there are."""
    return np.nanmean(each)


# %% picture
table = np.array([[46, 3, 1], [8, 36, 6], [0, 2, 8]])
draw = np.random.default_rng(0)
good, bad = draw.normal(1, 1, 200), draw.normal(-1, 1, 800)  # how sure a network is of pictures with and without the thing
levels = np.linspace(-4, 4, 81)
true = np.repeat([1, 0], [200, 800])
rows = np.array([[s[1] for s in scores(confusion(true, (np.r_[good, bad] > level).astype(int), 2))] for level in levels])
curves = {name: (levels, rows[:, i]) for i, name in enumerate(("P", "R", "F1"))}
curves["A"] = levels, [accuracy(confusion(true, (np.r_[good, bad] > level).astype(int), 2)) for level in levels]
sketch = Sketch().cells(table, "↓ true, → named", numbers=True, digits=0, most=50)
for name, each in zip(("P", "R", "F1"), scores(table), strict=True):
    sketch.cells(each[:, None], name, numbers=True, most=1)
sketch.lines(curves, x="z >", span=(-4, 4, 0, 1)).save("scores.svg")

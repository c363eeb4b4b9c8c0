"""The formula pages: libraries agree with the ten-line references, the pages hold their code, the pictures are what it draws."""

from __future__ import annotations

import ast
import re

import numpy as np
import pytest
import torch

import formulas
from formulas import CASES, TOLERANCE, write_docs

SHAPES = 30
FILES = sorted(write_docs.FORMULAS.glob("*.py"))
LONGEST = 10
NUMBER = re.compile(r"-?\d+(?:\.(\d+))?")


def name(path) -> str:
    return path.stem


@pytest.mark.parametrize("case", CASES)
def test_library_and_reference_agree_forward_and_backward(case):
    assert max(found := [formulas.worst(case, seed) for seed in range(SHAPES)])[0] <= TOLERANCE, max(found)


def test_every_page_has_its_case():
    assert sorted(CASES) == [path.stem for path in FILES]


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_reference_is_caught(case, monkeypatch):
    """Every function of a page matters: one that answers a little less is found out."""
    page = formulas.page(case)
    checked = [f for f in vars(page).values() if callable(f) and getattr(f, "__module__", None) is None and f.__name__ in TOLD[case]]
    assert {f.__name__ for f in checked} == set(TOLD[case])
    for function in checked:
        with monkeypatch.context() as patch:
            patch.setattr(page, function.__name__, lambda *a, f=function, **k: shrunk(f(*a, **k)))
            assert max(formulas.worst(case, seed)[0] for seed in range(8)) > TOLERANCE, function.__name__


TOLD = {  # what each case compares by itself; helpers are compared through these
    "convolution": ["convolve", "columns", "matrix", "input_gradient", "kernel_gradient"],
    "pooling": ["max_pool", "average_pool", "max_unpool", "average_unpool"],
    "dense": [
        *("dense", "dense_gradient", "network", "network_gradient"),
        *("relu", "sigmoid", "tanh", "relu_gradient", "sigmoid_gradient", "tanh_gradient"),
    ],
    "normalisation": ["normalise", "normalise_gradient", "remember", "normalise_known", "drop", "drop_gradient"],
    "attention": ["attention", "attention_gradient", "multi_head", "multi_head_gradient"],
    "recurrence": ["recur", "recur_gradient", "lstm", "lstm_gradient"],
    "losses": ["mse", "huber", "cross_entropy", "nll", "bce"],
    "optimizers": ["descend", "momentum", "rmsprop", "adam", "muon", "lasso", "ridge"],
    "scores": ["accuracy", "scores", "macro"],
}


def shrunk(answer):
    """The same, 1 % smaller, in the first place."""
    if isinstance(answer, tuple):
        return shrunk(answer[0]), *answer[1:]
    return np.asarray(answer) * 0.99


def test_different_shapes_and_lonely_nans_are_differences():
    assert formulas.difference(np.zeros((2, 1)), torch.zeros(2)) == float("inf")
    assert formulas.difference([np.nan], torch.zeros(1)) == float("inf")
    assert formulas.difference([np.nan, 1.0], torch.tensor([float("nan"), 1.0])) == 0


def bodies(path):
    """(name, lines of its body without the docstring and comments) of every function of a page."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef):
            yield node.name, node.body[-1].end_lineno - node.body[1].lineno + 1, ast.get_docstring(node)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_references_have_ten_lines_and_say_what_they_do(path):
    for function, lines, told in bodies(path):
        assert lines <= LONGEST and told, f"{function}: {lines} lines"


@pytest.mark.parametrize("path", FILES, ids=name)
@pytest.mark.parametrize("tongue", write_docs.TONGUES)
def test_a_page_holds_all_cells_in_order(path, tongue):
    text = (write_docs.HOME / "docs" / tongue / "explanation" / f"{path.stem}.md").read_text("utf-8")
    assert re.findall(rf"<!-- {path.name}: (.+?) -->", text) == list(write_docs.cells(path))
    code = re.findall(r"```python\n(.*?)```", text, re.S)
    assert "\n".join(code) == "\n".join(f"{cell}\n" for cell in write_docs.cells(path).values())


def test_both_languages_have_the_same_formulas_and_pictures():
    for path in FILES:
        pages = [
            (write_docs.HOME / "docs" / tongue / "explanation" / f"{path.stem}.md").read_text("utf-8") for tongue in write_docs.TONGUES
        ]
        for pattern in (r"```math\n.*?```", r"\]\((\S+\.svg)\)"):
            here, there = (re.findall(pattern, text, re.S) for text in pages)
            assert here == there and here, path.name


@pytest.fixture(scope="module")
def drawn():
    return write_docs.drawn()


def test_the_pictures_are_what_the_pages_draw(drawn):
    stored = {path.name: path.read_text("utf-8") for path in write_docs.DRAWN.glob("*.svg")}
    assert stored.keys() == drawn.keys(), "make tidy"
    assert not [file for file in stored if not alike(stored[file], drawn[file])], "make tidy"


def test_every_picture_stands_on_its_page(drawn):
    for file in drawn:
        page = write_docs.HOME / "docs" / "en" / "explanation" / f"{file.removesuffix('.svg').split('-')[0]}.md"
        assert f"](../../pictures/formulas/{file})" in page.read_text("utf-8")


def alike(one: str, other: str) -> bool:
    """The same drawing; numbers may differ by one in their last place, as another machine's arithmetic may round them."""
    if NUMBER.sub("#", one) != NUMBER.sub("#", other):
        return False
    return all(
        abs(float(a[0]) - float(b[0])) <= 1.01 * 10 ** -len(a[1] or "")
        for a, b in zip(NUMBER.finditer(one), NUMBER.finditer(other), strict=True)
    )


def test_another_drawing_is_not_alike():
    assert alike('<a x="1.0"/>', '<a x="1.1"/>')
    assert not alike('<a x="1.0"/>', '<a x="1.3"/>') and not alike('<a x="1.0"/>', '<a y="1.0"/>')

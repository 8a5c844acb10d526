"""The same gradients through three checkers: check_gradient, SciPy's check_grad and PyTorch's gradcheck."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.report import Table
from tinynet import check_gradient, softmax

Function = Callable[[Any], Any]

NOT_INSTALLED = "not installed"
X, W = np.random.default_rng(0).standard_normal((2, 5, 5))  # one sample of each class
GRADIENT = X.T @ (softmax(X @ W) - np.eye(5)) / 5


def loss(W: Any) -> Any:
    """Return the cross-entropy of a softmax regression."""
    return -np.mean(np.log(softmax(X @ W).diagonal()))


CASES: dict[str, tuple[Function, Any]] = {  # a mistake: f, and the gradient at W
    "sign flipped": (loss, -GRADIENT),
    "1/n missing, n = 5": (loss, 5 * GRADIENT),
    "transposed": (loss, GRADIENT.T),
    "row 2 left at zero": (loss, np.where(np.arange(5)[:, None] == 2, 0.0, GRADIENT)),
    "W[1, 2] too large by 1 in 10,000": (loss, np.where(np.arange(25).reshape(5, 5) == 7, 1.0001 * GRADIENT, GRADIENT)),
    "ε = 1e-6 in f alone": (lambda W: -np.sum(np.log(softmax(W).diagonal() + 1e-6)), softmax(W) - np.eye(5)),
    "none": (loss, GRADIENT),
    "none; 1e6 added to f": (lambda W: 1e6 + loss(W), GRADIENT),
    "none; W rounded to float32 in f": (lambda W: loss(np.float32(W)), GRADIENT),
    "none; f a relu, at its kink": (lambda V: np.maximum(V - W, 0.0).sum(), np.zeros((5, 5))),
}


def compare() -> Table:
    """Return the table: a row a mistake, a column a checker."""
    rows = [[name, *(say(f, g) for say in CHECKERS.values())] for name, (f, g) in CASES.items()]
    return Table("What three checkers say", ("mistake", *CHECKERS), rows)


def _tinynet(f: Function, g: Any) -> str:
    mistakes = check_gradient(f, g, W.copy()).mistakes
    return "; ".join(f"{mistake.kind}, {mistake.where}" for mistake in mistakes) or "right"


def _scipy(f: Function, g: Any) -> str:
    try:
        from scipy.optimize import check_grad
    except ImportError:
        return NOT_INSTALLED
    return f"{check_grad(lambda w: f(w.reshape(W.shape)), lambda w: g.ravel(), W.ravel()):.1e}"


def _torch(f: Function, g: Any) -> str:
    try:
        import torch
        from torch.autograd.gradcheck import GradcheckError
    except ImportError:
        return NOT_INSTALLED
    given = {
        "forward": staticmethod(lambda _, w: torch.tensor(np.float64(f(w.detach().numpy())))),
        "backward": staticmethod(lambda _, upper: upper * torch.tensor(g)),
    }
    function: Any = type("Given", (torch.autograd.Function,), given)
    try:
        torch.autograd.gradcheck(function.apply, torch.tensor(W, requires_grad=True))
    except GradcheckError as error:
        return str(error).partition(" for")[0]
    return "passed"


CHECKERS: dict[str, Callable[[Function, Any], str]] = {
    "`check_gradient`": _tinynet,
    "`scipy.optimize.check_grad`": _scipy,
    "`torch.autograd.gradcheck`": _torch,
}

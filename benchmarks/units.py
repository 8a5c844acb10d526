"""One gradient of each kind of unit, on data in [0, 1] and standardised: its duration in units of backpropagation."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from benchmarks.backpropagation import Backpropagation
from benchmarks.measure import Run, interleave
from benchmarks.methods import as_vector
from benchmarks.problems import Problem, Shape, batches, extended_quotients
from benchmarks.report import Report, Table, duration, spread
from tinynet.data.samples import Samples
from tinynet.gradients.series import difference_quotients
from tinynet.gradients.workspace import Workspace

UNITS = ("tanh", "relu", "sigmoid", "silu")
SHAPES = (
    Shape("digits", 64, 50, 10, batch_size=100, sample=300),
    Shape("digits", 64, 50, 10, batch_size=100, sample=300, scaling="standard"),
    Shape("breast_cancer", 30, 10, 2, batch_size=32, scaling="standard"),
    Shape("images", 784, 50, 10, batch_size=100, sample=300),
    Shape("images", 784, 50, 10, batch_size=100, sample=300, scaling="standard"),
    Shape("images", 784, 128, 10, batch_size=128, sample=300),
    Shape("images", 784, 512, 10, batch_size=512, sample=100),
)
MOST_BATCHES = 8

INTRODUCTION = """\
The gradient of method "auto", as a training step calls it, beside backpropagation through the same units, in one
process bound to one core. A burst visits up to {most} batches one after the other, since a batch may hold a kink or
an outlier or none; networks are at their start, h = 1e-4. A ratio is the median over rounds, in brackets the
quartiles. What the series does not give: pairs of sample and unit that were measured, and outliers among the entries
of X, in percent of all, and in brackets the percentage that took the exact formula. The error is that of one
batch, the largest difference from the quotient in extended precision, in units of the largest entry. Standardised
columns that hardly vary have entries up to 42 on the digits."""


def measure(*, quick: bool = False) -> Report:
    """Measure every kind of unit on every shape."""
    rounds, shapes = (2, SHAPES[2:3]) if quick else (15, SHAPES)
    rows = [_row(Problem(shape, activation=unit), rounds) for shape, unit in product(shapes, UNITS)]
    columns = ("network", "units", "auto", "auto / NumPy backprop", "measured pairs", "outliers", "error")
    return Report("Kinds of units and data", INTRODUCTION.format(most=MOST_BATCHES), [Table("auto", columns, rows)])


def _row(problem: Problem, rounds: int) -> list[str]:
    shape, net = problem.shape, problem.net
    data = batches(shape, MOST_BATCHES)
    backpropagation = Backpropagation(
        shape.batch_size, shape.n_features, shape.hidden_units, shape.n_classes, net.activation.name
    )
    samples = [Samples(X, labels) for X, labels in data]

    def steps() -> None:
        for batch in samples:  # no gradient is kept, as in a training
            net.quotients(batch, problem.h, "auto")

    reference: Run = lambda: [backpropagation(net.params, X, labels) for X, labels in data]  # noqa: E731
    timing = interleave({"auto": steps}, reference, rounds=rounds, budget_s=60.0, title=shape.name)["auto"]
    gradient = net.numerical_gradient(problem.X, problem.labels, h=problem.h)
    error = np.abs(as_vector(gradient, problem) - extended_quotients(problem)).max()
    largest = max(float(np.abs(entry).max()) for entry in gradient.values())
    return [
        shape.name,
        net.activation.name,
        duration(timing.duration_s / len(data)),
        spread(timing.ratios),
        *_fallbacks(problem, data),
        f"{error / largest:.1e}",
    ]


def _fallbacks(problem: Problem, data: list[Any]) -> list[str]:
    """Return the shares of pairs and of entries of X that the series does not give."""
    workspace = Workspace()
    for X, labels in data:
        difference_quotients(problem.net.params, problem.net.activation, X, labels, problem.h, workspace=workspace)
    found, n = workspace.fallbacks, sum(len(X) for X, _ in data)
    pairs, entries = n * problem.shape.hidden_units, n * problem.shape.n_features
    return [
        f"{100 * found.measured / pairs:.3f} ({100 * found.exact / pairs:.3f})",
        f"{100 * found.outliers / entries:.3f} ({100 * found.exact_outliers / entries:.3f})",
    ]

"""Peak working memory of one gradient, beyond its inputs, its parameters and the gradient itself."""

from __future__ import annotations

import tracemalloc

from benchmarks.methods import METHODS, Method
from benchmarks.problems import Problem, Shape
from benchmarks.report import Report, Table, three_digits

SHAPE = Shape("images", 784, 2048, 10, batch_size=1024)
QUICK_SHAPE = Shape("images", 784, 64, 10, batch_size=64)
COMPARED = ("tinynet auto", "NumPy backprop")
MB = 1e6

INTRODUCTION = """\
The peak that tracemalloc sees during two gradients, a workspace that is kept from the first one included,
less the bytes of one gradient. Inputs and parameters were there before."""


def measure(*, quick: bool = False) -> Report:
    """Trace the allocations of auto and of backpropagation on a wide network."""
    problem = Problem(QUICK_SHAPE if quick else SHAPE)
    methods = [method for method in METHODS if method.name in COMPARED]
    rows = [[method.name, f"{three_digits(peak_bytes(problem, method) / MB)} MB"] for method in methods]
    inputs, parameters = three_digits(problem.X.nbytes / MB), three_digits(problem.theta.nbytes / MB)
    note = f"For comparison: inputs {inputs} MB, parameters {parameters} MB, gradient {parameters} MB."
    table = Table(problem.shape.name, ("method", "working memory"), rows, note)
    return Report("Working memory", INTRODUCTION, [table])


def peak_bytes(problem: Problem, method: Method) -> int:
    """Return the most bytes that two gradients held at a time, less those of a gradient."""
    tracemalloc.start()
    try:
        run = method.prepare(problem)
        for _ in range(2):
            run()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - problem.theta.nbytes

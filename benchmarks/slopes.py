"""A list of smooth functions with their derivatives, and what each way to differentiate makes of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.report import Report, Table
from tinynet import numerical_diff

Function = Callable[[Any], Any]

POINTS = 10.0 ** np.arange(-6, 11, 2)
MISSING = "not installed"
RESOLVED = 1e-12  # a slope that changes f by less than this part of itself over max(|x|, 1) is not in the values of f

INTRODUCTION = """\
Slopes at x = 1e-6, 1e-4, ..., 1e10, wherever f and its slope are finite and f, in float64, holds the slope. The truth
is the derivative, written by hand and taken in extended precision; evaluations are the points at which f is asked; an
error that is not a number counts as infinite. Every library is at its defaults."""

FORMS: dict[str, tuple[Function, Function]] = {  # f and its derivative, in any precision
    "sin u": (np.sin, np.cos),
    "cos u": (np.cos, lambda u: -np.sin(u)),
    "tanh u": (np.tanh, lambda u: 1 / np.cosh(u) ** 2),
    "arctan u": (np.arctan, lambda u: 1 / (1 + u * u)),
    "arcsinh u": (np.arcsinh, lambda u: 1 / np.hypot(1, u)),
    "exp u": (np.exp, np.exp),
    "exp −u": (lambda u: np.exp(-u), lambda u: -np.exp(-u)),
    "exp −u²": (lambda u: np.exp(-u * u), lambda u: -2 * u * np.exp(-u * u)),
    "sinh u": (np.sinh, np.cosh),
    "log u": (np.log, lambda u: 1 / u),
    "log(1 + u)": (np.log1p, lambda u: 1 / (1 + u)),
    "log(1 + u²)": (lambda u: np.log(1 + u * u), lambda u: 2 * u / (1 + u * u)),
    "log²u": (lambda u: np.log(u) ** 2, lambda u: 2 * np.log(u) / u),
    "√u": (np.sqrt, lambda u: 1 / (2 * np.sqrt(u))),
    "∛u": (np.cbrt, lambda u: 1 / (3 * np.cbrt(u) ** 2)),
    "√(1 + u²)": (lambda u: np.hypot(1, u), lambda u: u / np.hypot(1, u)),
    "u^1.7": (lambda u: u ** np.float64(1.7), lambda u: 1.7 * u ** np.float64(1.7 - 1)),
    "u²": (lambda u: u * u, lambda u: 2 * u),
    "u³ − u": (lambda u: u**3 - u, lambda u: 3 * u * u - 1),
    "u⁵": (lambda u: u**5, lambda u: 5 * u**4),
    "1/u": (lambda u: 1 / u, lambda u: -1 / (u * u)),
    "1/u²": (lambda u: 1 / (u * u), lambda u: -2 / u**3),
    "1/(1 + u²)": (lambda u: 1 / (1 + u * u), lambda u: -2 * u / (1 + u * u) ** 2),
    "u/(1 + u)": (lambda u: u / (1 + u), lambda u: 1 / (1 + u) ** 2),
    "u sin u": (lambda u: u * np.sin(u), lambda u: np.sin(u) + u * np.cos(u)),
    "sin(u)/u": (lambda u: np.sin(u) / u, lambda u: (u * np.cos(u) - np.sin(u)) / (u * u)),
    "u exp −u": (lambda u: u * np.exp(-u), lambda u: (1 - u) * np.exp(-u)),
    "u log u": (lambda u: u * np.log(u), lambda u: 1 + np.log(u)),
    "sin²u": (lambda u: np.sin(u) ** 2, lambda u: np.sin(2 * u)),
    "exp sin u": (lambda u: np.exp(np.sin(u)), lambda u: np.cos(u) * np.exp(np.sin(u))),
    "sin log u": (lambda u: np.sin(np.log(u)), lambda u: np.cos(np.log(u)) / u),
    "logistic u": (lambda u: 1 / (1 + np.exp(-u)), lambda u: np.exp(-u) / (1 + np.exp(-u)) ** 2),
    "log(1 + exp u)": (lambda u: np.logaddexp(0, u), lambda u: 1 / (1 + np.exp(-u))),
    "sin 5u + cos u": (lambda u: np.sin(5 * u) + np.cos(u), lambda u: 5 * np.cos(5 * u) - np.sin(u)),
}


@dataclass(frozen=True)
class Task:
    """A function at a point, with its true slope."""

    name: str
    f: Function
    x: float
    slope: float


def tasks() -> Iterator[Task]:
    """Yield 102 functions at x from 1e-6 to 1e10, wherever f and its slope are finite and f resolves the slope."""
    for form, (g, slope) in FORMS.items():
        for name, scale, factor, offset in (
            (form, 1.0, 1.0, 0.0),
            (f"{form}, u = 3x", 3.0, 1.0, 0.0),
            (f"1 + {form} / 2, u = x/7", 1 / 7, 0.5, 1.0),
        ):

            def f(x: Any, g: Function = g, scale: float = scale, factor: float = factor, offset: float = offset) -> Any:
                with np.errstate(all="ignore"):
                    return offset + factor * g(x * scale)

            for x in POINTS:
                with np.errstate(all="ignore"):
                    value = f(np.float64(x))
                    truth = factor * float(slope(np.longdouble(x) * np.longdouble(scale)) * np.longdouble(scale))
                resolved = abs(truth) * max(x, 1.0) > RESOLVED * abs(value)
                if np.isfinite(value) and np.isfinite(truth) and resolved and abs(value) < 1e290:
                    yield Task(name, f, float(x), truth)


def measure(*, quick: bool = False) -> Report:
    """Differentiate every function in every way."""
    return Report("Slopes of functions", INTRODUCTION, [compare(every=40 if quick else 1)])


def compare(every: int = 1) -> Table:
    """Return evaluations and errors of each way, over all tasks or every so many of them."""
    rows = []
    chosen = list(tasks())[::every]
    for name, way in WAYS.items():
        errors, evaluations, within = [], 0, []
        for task in chosen:
            points: list[int] = []

            def counted(x: Any, f: Function = task.f, points: list[int] = points) -> Any:
                points.append(np.size(x))
                return f(x)

            try:
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    slope, error = way(counted, task.x)
            except ImportError:
                rows.append([name, *[MISSING] * 4])
                break
            off = abs(slope - task.slope)
            errors.append(off / abs(task.slope))
            within.append(bool(off <= error))
            evaluations += sum(points)
        else:
            median, tenth = np.quantile(np.nan_to_num(errors, nan=np.inf), (0.5, 0.9), method="higher")
            share = f"{100 * np.mean(within):.0f} %" if name in ESTIMATES else ""
            rows.append([name, f"{evaluations / len(chosen):.1f}", f"{median:.0e}", f"{tenth:.0e}", share])
    return Table(
        f"{len(chosen)} slopes of {len({task.name for task in chosen})} functions, x from 1e-6 to 1e10",
        ("way", "evaluations", "median relative error", "of the worst tenth, at least", "within its estimate"),
        rows,
    )


def _approx_derivative(f: Function, x: float) -> tuple[float, float]:
    from scipy.optimize._numdiff import approx_derivative

    return float(np.ravel(approx_derivative(lambda v: f(v[0]), [x]))[0]), np.nan


def _scipy_differentiate(f: Function, x: float) -> tuple[float, float]:
    from scipy.differentiate import derivative

    found = derivative(f, np.array([x]))
    return float(found.df[0]), float(found.error[0])


def _numdifftools(f: Function, x: float) -> tuple[float, float]:
    import numdifftools

    slope, error, *_ = numdifftools.Derivative(f, full_output=True)(np.array(x))
    return float(slope), float(error)


ESTIMATES = ('tinynet, h="auto"', "scipy.differentiate.derivative", "numdifftools.Derivative")
WAYS: dict[str, Callable[[Function, float], tuple[float, float]]] = {
    "tinynet, h = 1e-4": lambda f, x: (float(numerical_diff(f, x)), np.nan),
    'tinynet, h="auto"': lambda f, x: numerical_diff(f, x, "auto", full_output=True),
    "scipy.optimize approx_derivative": _approx_derivative,
    "scipy.differentiate.derivative": _scipy_differentiate,
    "numdifftools.Derivative": _numdifftools,
}

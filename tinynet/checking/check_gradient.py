"""check_gradient, and the report that explains a wrong gradient.

What is measured and judged is in ``inspection.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tinynet.checking.entries import Entry
from tinynet.checking.function import MovableFunction
from tinynet.checking.inspection import QUOTIENT_STEP, Inspection, Options
from tinynet.checking.mistakes import Mistake
from tinynet.errors import InvalidTypeError, WrongGradientError
from tinynet.reports.text import table

SINGLE_SAMPLES = 8  # samples whose gradients are looked at one by one when that of a network is wrong
SHOWN = 10  # lines of the table of entries


@dataclass(frozen=True)
class GradientReport:
    """What `check_gradient` found; `str` of it is the text to read.

    Attributes
    ----------
    entries : tuple of Entry
        All that were measured, the worst first.
    mistakes : tuple of Mistake
        What explains the wrong ones: `kind`, `where`, `evidence`.
    notes : tuple of str
        What a reader must know beside the verdict: samples, noise, kinks.
    n_entries : int
        How many the arrays have.
    """

    entries: tuple[Entry, ...]
    mistakes: tuple[Mistake, ...]
    notes: tuple[str, ...]
    n_entries: int

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; a check in which no entry could be decided is not ok either."""
        return not self.mistakes

    @property
    def worst(self) -> Entry | None:
        """The entry farthest off in units of its tolerance; None when there is none."""
        return self.entries[0] if self.entries else None

    @property
    def wrong(self) -> tuple[Entry, ...]:
        """The wrong entries, the worst first."""
        return self.having("wrong")

    def having(self, verdict: str) -> tuple[Entry, ...]:
        """Return the entries of a verdict, the worst first."""
        return tuple(entry for entry in self.entries if entry.verdict == verdict)

    def raise_if_failed(self) -> None:
        """Raise a WrongGradientError, which is an AssertionError, with this text, unless `ok`."""
        if not self.ok:
            raise WrongGradientError(str(self))

    def __str__(self) -> str:
        """Return verdict, kinds of mistakes, the worst entries, and notes, a line each."""
        head = "the gradient is right" if self.ok else "the gradient is WRONG" if self.wrong else "nothing was decided"
        if self.ok and self.having("undecided"):
            head = "nothing wrong was found, but not all could be decided"
        lines = [f"{head}: {self._counts()}", *(f"  {mistake}" for mistake in self.mistakes)]
        shown = self.wrong[:SHOWN] or self.entries[:1]
        if shown:
            rows = [("entry", "expected", "error bar", "got", "ratio"), *map(_row, shown)]
            lines += [f"  {line}" for line in table(rows, str.ljust)]
        if len(self.wrong) > SHOWN:
            lines.append(f"  ... and {len(self.wrong) - SHOWN} more")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    def _counts(self) -> str:
        words = {"wrong": "wrong", "kink": "at a kink", "undecided": "undecided"}
        found = [f"{n} {word}" for verdict, word in words.items() if (n := len(self.having(verdict)))]
        return ", ".join([f"{len(self.entries):,} of {self.n_entries:,} entries measured", *found])


def check_gradient(
    f: Any,
    grad: Any,
    *x: Any,
    h: float | None = None,
    rtol: float = 1e-6,
    method: str = "central",
    sample: int | None = 64,
    seed: int = 0,
    bounds: Any = None,
) -> GradientReport:
    """Hold a gradient against measured slopes, each with an error bar, and say what is wrong with it.

    ``check_gradient(f, grad, x)`` for a function (``check_gradient(f, grad, x0, x1)`` for one of several arguments),
    ``check_gradient(net, X, y)`` for anything with `params`, `loss(X, y)` and `gradient(X, y)`; where there is no
    `gradient`, `numerical_gradient` is held to the quotient over its own h.

    Parameters
    ----------
    f : callable -> one real number
        May ignore its argument: writable floating-point arrays are moved **in place** and restored bit
        for bit, as `numerical_gradient` does it. Lists of numbers, integers and read-only arrays are copied to
        float64. Where f raises an ArithmeticError, ValueError or RuntimeError, or is nan, it counts as not finite.
    grad : arrays nested and shaped as `x`, or a callable that returns them for `x`
        None, for an array or for all below a key, is a gradient of zeros; of several arguments, a tuple.
    *x : array of any shape, or dicts, lists and tuples of arrays, nested
        Arrays of integers beside others of floats, whose gradient is 0 or None, are not moved.
    h : float above 0, optional
        The step, in units of x. None: chosen for each entry by how f varies and how noisy it is.
    rtol : float of at least 0
        What an entry may be off, beside its error bar, relative to itself; one of float32 also 1e-5 of the largest.
    method : "central", "richardson", "complex" or "quotient"
        "central": differences at two steps; where those leave a doubt, extrapolated, and at ten steps or more.
        "richardson": extrapolated to the step 0 always, more digits of a smooth f. "complex": Im f(x + ih) / h for an
        analytic f that takes complex numbers. "quotient": (f(x + h) − f(x − h)) / 2h itself, for a
        gradient that is one; h is 1e-4 unless given.
    sample : int of at least 1, optional
        An array with more entries is sampled, so that rows and columns are met evenly, and held as a whole
        against the slope along a random direction. None: every entry is measured.
    seed : int
        Of the sample and of the random directions.
    bounds : pair (low, high) of numbers or arrays, optional
        What every array can be compared with: f is asked nowhere else. None for either is no bound.

    Returns
    -------
    GradientReport
        `ok`, `worst`, `wrong`, `mistakes`, `notes`, `raise_if_failed()`; `str` explains.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        For an f that returns anything but one finite number at x or changes its argument, arrays that are not
        real and finite, a gradient of other keys or shapes, and bad options.

    References
    ----------
    The noise of f: Moré and Wild (2011). The choice of a step: Ridders (1982), Lepskii (1991). See ``slopes.py``.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> check_gradient(lambda x: np.sum(x**3), 3 * x**2, x).ok
    True
    >>> report = check_gradient(lambda x: np.sum(x**3), lambda x: -3 * x**2, x)
    >>> [mistake.kind for mistake in report.mistakes], report.worst.label
    (['sign flipped'], 'x[1, 1]')
    """
    options = Options(h, rtol, method, sample, seed, bounds)
    if not x:
        raise InvalidTypeError("x is missing: check_gradient(f, grad, x), or check_gradient(net, X, y)")
    if hasattr(f, "params") and hasattr(f, "loss"):
        return GradientReport(*_inspection_of_net(f, (grad, *x), options).run())
    if not callable(f):
        raise InvalidTypeError(f"f must be callable, or have params, loss and gradient; got {type(f).__name__}")
    return GradientReport(*Inspection(MovableFunction(f, x, options.bounds), grad, options).run())


def _inspection_of_net(net: Any, Xy: tuple[Any, ...], options: Options) -> Inspection:
    """Return the inspection of a network's gradient on samples X, y."""
    try:
        X, y = Xy
        n = len(X)
    except (TypeError, ValueError):
        wanted = "check_gradient(net, X, y), X with a row for each sample"
        raise InvalidTypeError(f"{wanted}; got {', '.join(type(x).__name__ for x in Xy)}") from None
    measured = not hasattr(net, "gradient")
    if measured and not hasattr(net, "numerical_gradient"):
        raise InvalidTypeError(f"{type(net).__name__} has params and loss, but neither gradient nor numerical_gradient")
    if measured:
        options = replace(options, method="quotient", h=options.h or QUOTIENT_STEP)
    gradient = partial(net.numerical_gradient, h=options.h) if measured else net.gradient
    rows = [slice(row, row + 1) for row in range(min(SINGLE_SAMPLES, n))]
    samples = [(lambda _, r=r: net.loss(X[r], y[r]), lambda r=r: gradient(X[r], y[r])) for r in rows if not measured]
    function = MovableFunction(lambda _: net.loss(X, y), (net.params,))
    return Inspection(function, lambda _: gradient(X, y), options, n, samples)


def _row(entry: Entry) -> tuple[str, ...]:
    known = math.isfinite(entry.error) and 0 < entry.error < abs(entry.expected) < math.inf
    digits = min(12, 1 + round(math.log10(abs(entry.expected) / entry.error))) if known else 6
    ratio = 6 if abs(entry.ratio - 1) > 1e-4 else 10
    measured = (f"{entry.expected:.{digits}g}", f"± {entry.error:.0e}")
    return (entry.label, *measured, f"{entry.got:.{digits}g}", f"{entry.ratio:.{ratio}g}")

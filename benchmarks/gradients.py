"""One gradient: its duration in units of backpropagation, and its error, for every way to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.measure import Run, Timing, interleave
from benchmarks.methods import METHODS, PEERS, Method, as_vector, numpy_backpropagation
from benchmarks.problems import Problem, Shape, extended_quotients
from benchmarks.report import Report, Table, duration, spread, three_digits
from tinynet.reports.plots import COLOURS, MARKERS

SHAPES = (
    Shape("moons", 2, 32, 2, batch_size=100),
    Shape("digits", 64, 50, 10, batch_size=100),
    Shape("images", 784, 50, 10, batch_size=100, sample=1_000),
    Shape("images", 784, 512, 10, batch_size=512, sample=200),
)
QUICK_SHAPES = (
    Shape("moons", 2, 32, 2, batch_size=100),
    Shape("digits", 64, 50, 10, batch_size=100, sample=100),
)
HARD = (("sign", 0.5), ("quantised:4", 0.5))  # activation and h; on the digits
NOT_INSTALLED = "not installed"
BUSY, STARVED = 1.1, 0.9  # CPU seconds a second: more than one core was used; another program had the core

INTRODUCTION = """\
All methods in one process bound to one core, interleaved: a round visits every method, each right
after NumPy backprop. A ratio is the median over rounds of duration / duration of NumPy backprop
beside it, in brackets its quartiles. h = 1e-4. The error is the largest difference from the
quotient in extended precision (every loss in `np.longdouble`, eps {eps:.0e}), in units of the
largest gradient entry; a derivative differs from the quotient by O(h²).
MNIST-shaped: images of 28 × 28 made from scikit-learn's digits (no download). The vmap methods take the
fastest of several chunk sizes, tried on the spot."""


@dataclass
class Result:
    """A method's row on one shape."""

    method: Method
    timing: Timing | None = None  # None: the library is not installed
    error: float = np.nan
    factor: float = 1.0  # weights over weights visited

    @property
    def ratios(self) -> Any:
        """Durations over NumPy backprop's, a round each."""
        return self.factor * np.array(self.timing.ratios if self.timing else [])

    def over(self, other: Result) -> str:
        """Return the median ratio to another method, in words where a library is not installed."""
        if self.timing is None or other.timing is None:
            return NOT_INSTALLED
        return three_digits(self.factor / other.factor * self.timing.over(other.timing))

    def cells(self, visited: int) -> list[str]:
        """Return the row of the table, for a sample of `visited` weights."""
        name, kind, timing = self.method.name, self.method.kind, self.timing
        if timing is None:
            return [name, kind, NOT_INSTALLED, "", "", "", ""]
        remarks = [f"extrapolated from {visited:,} entries"] if self.factor > 1 else []
        if max(timing.cores) > BUSY:
            remarks.append(f"used {max(timing.cores):.1f} cores")
        if np.median(timing.cores) < STARVED:
            remarks.append(f"had {np.median(timing.cores):.0%} of its core")
        time = duration(self.factor * timing.duration_s)
        return [
            name,
            kind,
            time,
            spread(self.ratios),
            f"{self.error:.1e}",
            str(len(timing.ratios)),
            "; ".join(remarks),
        ]


def measure(*, quick: bool = False) -> Report:
    """Measure every method on every shape, and units with levels on the digits."""
    rounds, budget_s = (2, 1.0) if quick else (15, 60.0)
    shapes = QUICK_SHAPES if quick else SHAPES
    by_shape, tables = {}, []
    for shape in shapes:
        problem = Problem(shape)
        results = compare(problem, METHODS, rounds=rounds, budget_s=budget_s)
        by_shape[shape.name] = results
        tables.append(_table(problem, results))
    digits_shape = next(shape for shape in shapes if shape.dataset == "digits")
    tables = [_headline(by_shape), *tables, _hard_table(digits_shape, rounds, budget_s)]
    introduction = INTRODUCTION.format(eps=np.finfo(np.longdouble).eps)
    return Report(
        "A gradient by every method", introduction, tables, lambda figure: _draw(figure, by_shape), size=(8.0, 5.0)
    )


def compare(problem: Problem, methods: tuple[Method, ...], *, rounds: int, budget_s: float) -> dict[str, Result]:
    """Return each method's timing and error on a problem; the first call, which compiles, is not timed."""
    truth = extended_quotients(problem)
    reference = numpy_backpropagation(problem)
    largest = max(float(np.abs(entry).max()) for entry in reference().values())
    results: dict[str, Result] = {}
    runs: dict[str, Run] = {}
    for method in methods:
        result = results[method.name] = Result(method)
        try:
            run = method.prepare(problem)
        except ImportError:
            continue
        runs[method.name] = run
        result.error = float(np.abs(as_vector(run(), problem) - truth).max()) / largest
        result.factor = len(problem.theta) / problem.n_entries if method.entrywise else 1.0
    timings = interleave(runs, reference, rounds=rounds, budget_s=budget_s, title=problem.shape.name)
    for name, timing in timings.items():
        results[name].timing = timing
    return results


def _table(problem: Problem, results: Mapping[str, Result]) -> Table:
    rows = [result.cells(problem.n_entries) for result in results.values()]
    total, visited = len(problem.theta), problem.n_entries
    checked = "all of them" if visited == total else f"{visited:,} of them, evenly spaced from a seeded start"
    return Table(
        f"{problem.shape.name}: {total:,} parameters",
        ("method", "gives", "time", "/ NumPy backprop", "error", "rounds", "remarks"),
        rows,
        f"Errors over {checked}.",
    )


def _headline(by_shape: Mapping[str, Mapping[str, Result]]) -> Table:
    rows = []
    for name, results in by_shape.items():
        auto = results["tinynet auto"]
        peers = [results[peer] for peer in PEERS if results[peer].timing]
        best = min(peers, key=lambda peer: float(np.median(peer.ratios)), default=None)
        rows.append(
            [
                name,
                three_digits(np.median(auto.ratios)),
                results["tinynet exact"].over(auto),
                results["loop"].over(auto),
                NOT_INSTALLED if best is None else f"{best.over(auto)} ({best.method.name})",
                f"{auto.error:.1e}",
            ]
        )
    columns = (
        "network",
        "auto / NumPy backprop",
        "exact / auto",
        "loop / auto",
        "best peer / auto",
        "error of auto",
    )
    return Table(
        "In short",
        columns,
        rows,
        "Medians over rounds of the ratio within a round. A peer is another library's way to the quotient.",
    )


def _hard_table(shape: Shape, rounds: int, budget_s: float) -> Table:
    """Units with levels at a large h, against backpropagation through tanh units of the same shape."""
    rows = []
    methods = tuple(method for method in METHODS if method.name in ("tinynet exact", "tinynet auto"))
    for activation, h in HARD:
        problem = Problem(shape, activation=activation, h=h)
        for result in compare(problem, methods, rounds=rounds, budget_s=budget_s).values():
            rows.append([activation, f"{h:g}", *result.cells(problem.n_entries)])
    return Table(
        f"Hard thresholds, {shape.name}",
        ("units", "h", "method", "gives", "time", "/ NumPy backprop of tanh units", "error", "rounds", "remarks"),
        rows,
        "A training step is this gradient and an update that is the same for both.",
    )


def _draw(figure: Any, by_shape: Mapping[str, Mapping[str, Result]]) -> None:
    ax = figure.subplots()
    names = [method.name for method in METHODS]
    for number, (shape, results) in enumerate(by_shape.items()):
        height = 0.16 * (number - (len(by_shape) - 1) / 2)
        for row, name in enumerate(names):
            result = results[name]
            if result.timing is None:
                continue
            colour = COLOURS[number]
            ax.plot(
                float(np.median(result.ratios)),
                row + height,
                MARKERS[number],
                color=colour,
                markerfacecolor="white" if result.factor > 1 else colour,
                markersize=6,
            )
        ax.plot([], [], MARKERS[number], color=COLOURS[number], label=shape)
    missing = {name for name in names if all(results[name].timing is None for results in by_shape.values())}
    ax.plot([], [], "o", color="black", markerfacecolor="white", label="hollow: extrapolated from a sample")
    ax.axvline(1.0, color="black", linewidth=0.8)
    ax.set_xscale("log")
    ax.set_yticks(range(len(names)), [f"{name} ({NOT_INSTALLED})" if name in missing else name for name in names])
    ax.invert_yaxis()
    ax.set_xlabel("duration of a gradient / duration of NumPy backpropagation (one core)")
    ax.grid(axis="x", which="major", alpha=0.4, linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize="small", loc="lower right")

"""How the cost of a gradient grows with the number of parameters, from a hundred to a million."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.gradients import Result, compare
from benchmarks.methods import METHODS
from benchmarks.problems import Problem, Shape
from benchmarks.report import Report, Table, duration
from tinynet.reports.plots import COLOURS, MARKERS

HIDDEN_UNITS = (1, 4, 13, 42, 133, 421, 1_333, 4_216, 13_333)  # 85 to 999,985 parameters
QUICK_HIDDEN_UNITS = (1, 4, 13, 42)
SAMPLE = 100
COMPARED = ("loop", "tinynet auto", "NumPy backprop")

INTRODUCTION = """\
The digits, a batch of 100, one hidden layer of {first:,} to {last:,} units. The loop makes two forward passes
a parameter, so its cost grows with the square of their number; beyond {sample} parameters it is
extrapolated from about {sample} of them. One process, one core, interleaved; medians over rounds."""


def measure(*, quick: bool = False) -> Report:
    """Time loop, auto and backpropagation on ever wider networks."""
    rounds, budget_s = (2, 1.0) if quick else (7, 30.0)
    units = QUICK_HIDDEN_UNITS if quick else HIDDEN_UNITS
    methods = tuple(method for method in METHODS if method.name in COMPARED)
    results: dict[int, Mapping[str, Result]] = {}
    for hidden_units in units:
        problem = Problem(Shape("digits", 64, hidden_units, 10, batch_size=100, sample=SAMPLE))
        results[len(problem.theta)] = compare(problem, methods, rounds=rounds, budget_s=budget_s)
    rows = [
        [f"{n:,}", f"{hidden_units:,}", *[duration(_seconds(by_name[name])) for name in COMPARED]]
        for hidden_units, (n, by_name) in zip(units, results.items(), strict=True)
    ]
    exponents = [f"{_exponent(results, name):.2f}" for name in COMPARED]
    rows.append(["exponent over the last decade", "", *exponents])
    table = Table("Cost against the number of parameters", ("parameters", "hidden units", *COMPARED), rows)
    introduction = INTRODUCTION.format(first=units[0], last=units[-1], sample=SAMPLE)
    return Report("How the cost grows", introduction, [table], lambda figure: _draw(figure, results))


def _seconds(result: Result) -> float:
    return result.factor * result.timing.duration_s if result.timing else np.nan


def _exponent(results: Mapping[int, Mapping[str, Result]], name: str) -> float:
    """Return the slope of log duration over log parameters between the last size and a tenth of it."""
    sizes = np.array(list(results))
    wide = sizes >= sizes[-1] / 11
    durations = [_seconds(by_name[name]) for by_name in results.values()]
    return float(np.polyfit(np.log(sizes[wide]), np.log(np.array(durations)[wide]), 1)[0])


def _draw(figure: Any, results: Mapping[int, Mapping[str, Result]]) -> None:
    ax = figure.subplots()
    sizes = list(results)
    for number, name in enumerate(COMPARED):
        seconds = [_seconds(by_name[name]) for by_name in results.values()]
        sampled = [by_name[name].factor > 1 for by_name in results.values()]
        colour = COLOURS[number]
        ax.plot(sizes, seconds, "-", color=colour, linewidth=1.2)
        for size, second, hollow in zip(sizes, seconds, sampled, strict=True):
            ax.plot(size, second, MARKERS[number], color=colour, markerfacecolor="white" if hollow else colour)
        ax.plot([], [], MARKERS[number] + "-", color=colour, label=name)
    ax.plot([], [], "o", color="black", markerfacecolor="white", label="hollow: extrapolated from a sample")
    ax.set(xscale="log", yscale="log", xlabel="parameters", ylabel="duration of a gradient (s)")
    ax.grid(alpha=0.3, linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize="small")

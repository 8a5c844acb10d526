"""What `check` found, in rows of numbers and in a figure."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinynet.checking.entries import label
from tinynet.checking.extended_precision import EPS
from tinynet.checking.network_check import Check, check
from tinynet.config.building import Run
from tinynet.reports.plots import COLOURS, new_figure, save_figure
from tinynet.storage.writing import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 80
NAMED_UNITS, NAMED_KINKS = 5, 6
FLOOR = 1e-17  # an error of 0 has no place on a logarithmic axis


@dataclass(frozen=True)
class CheckReport:
    """What a check prints and draws, and what is wrong, in a line, if anything is."""

    name: str
    text: str
    draw: Callable[[], Figure]
    fault: str | None

    def write(self, folder: Path) -> Path:
        """Write NAME.txt and NAME.png into `folder`, and return where the figure is."""
        write_atomically(folder / f"{self.name}.txt", self.text.encode())
        save_figure(self.draw(), folder / f"{self.name}.png")
        return folder / f"{self.name}.png"


def check_report(run: Run) -> CheckReport:
    """Put the gradient of `run` to the test; parameters and errors are those of `check`."""
    found = check(run)
    return CheckReport("check", check_text(found), lambda: plot_check(found), check_fault(found))


def check_text(found: Check) -> str:
    """Return the numbers in lines of at most 80 columns; docs/check.md says how to read them."""
    samples = f"samples {found.n_samples} of {found.n_batch} in the first batch"
    weights = f"weights {len(found.weights)}, seed {found.run.config.seed}; largest entry {found.scale:.3g}"
    head = f"{headline(found.run)}\n{samples}; {weights}"
    return "\n\n".join([head, _engine(found), _steps(found), _kinks(found), *map(paragraph, found.slow_steps)]) + "\n"


def check_fault(found: Check) -> str | None:
    """Return, in a line, how the engine breaks its bound; None when it keeps it."""
    if found.ok:
        return None
    errors, method = found.errors(found.engine), found.run.config.gradient.method
    worst = int(errors.argmax())
    return (
        f"the error of {method} is {errors[worst]:.1e} of the largest entry, above its bound of {found.bound:.1e}: "
        f"{label(*found.weights[worst])} is {found.engine[worst]:.9g}, in extended precision {found.truth[worst]:.9g}"
    )


def paragraph(text: str) -> str:
    """Return `text` in lines of at most 80 columns."""
    return textwrap.fill(" ".join(text.split()), COLUMNS, break_on_hyphens=False)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines, in columns as wide as their longest cells, the first aligned left."""
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(first), *map(str.rjust, row[1:], others)]).rstrip() for row in rows]


def headline(run: Run) -> str:
    """Return network and gradient of a run."""
    config, net = run.config, run.net
    sizes = "-".join(str(size) for size in (*net.shapes["W1"], net.shapes["b2"][0]))
    return paragraph(
        f"{config.name}: network {sizes} ({net.activation.name}), {net.n_parameters:,} parameters; "
        f"method {config.gradient.method}, h = {config.gradient.h:g}"
    )


def _engine(found: Check) -> str:
    method = found.run.config.gradient.method
    errors = {method: found.errors(found.engine), "loop": found.errors(found.loop)}
    rows = [["", "weights", *errors, f"worst of {method}"]]
    for key in found.run.net.params:
        own = np.array([name == key for name, _ in found.weights])
        worst = int(np.where(own, errors[method], -1.0).argmax())
        largest = (f"{error[own].max():.1e}" for error in errors.values())
        rows.append([key, f"{own.sum()}", *largest, label(*found.weights[worst])])
    verdict = "kept" if found.ok else "EXCEEDED"
    if math.isnan(found.bound):
        verdict = f'none is promised for method "{method}"'
    elif not found.bound < 1.0:
        verdict = "says nothing: losses so large round even in extended precision"
    title = f"THE ENGINE against extended precision (np.longdouble, eps {EPS:.1e})"
    return "\n".join([title, *table(rows), f"bound  {found.bound:.1e}  {verdict}"])


def _marks(found: Check) -> dict[str, float]:
    """Return the steps that are named in the table and in the figure."""
    return {"your h": found.run.config.gradient.h, "recommended": found.curve.recommended}


def _steps(found: Check) -> str:
    """Return the table of the step: whole powers of ten, and what is marked."""
    curve = found.curve
    rows, form = [["h", *curve.columns, ""]], ".1e" if curve.slope_error >= 0 else ".4f"
    for n, h in enumerate(curve.h):
        marks = [mark for mark, at in _marks(found).items() if at == h]
        if marks or abs(math.log10(h) - round(math.log10(h))) < 1e-6:
            values = ("" if math.isnan(column[n]) else f"{column[n]:{form}}" for column in curve.columns.values())
            rows.append([f"{h:.2g}", *values, ", ".join(marks)])
    last = f"Recommended: h = {curve.recommended:.1g}" if curve.recommended > 0 else "None is recommended"
    if curve.slope_error >= 0:
        last += f"; the slope is known to {max(curve.slope_error, EPS):.0e}"
    return "\n".join([f"THE STEP: {curve.what}", *table(rows), last])


def _kinks(found: Check) -> str:
    name, a = found.run.net.activation.name, found.a
    if not found.kinks:
        return f"KINKS\n{name} has none between {a.min():.3g} and {a.max():.3g}"
    places = " ".join(f"{kink.at:.4g}" for kink in found.kinks[:NAMED_KINKS])
    met = int(found.met.sum())
    units = [unit for unit in np.argsort(-found.met, kind="stable")[:NAMED_UNITS] if found.met[unit]]
    lines = [
        f"KINKS of {name}",
        f"{'jumps' if any(kink.is_jump for kink in found.kinks) else 'kinks':9}{len(found.kinks)}, at a = {places}",
        f"windows  {met:,} of {a.size:,} pairs of sample and unit, {100 * met / a.size:.3g} %",
        f"units    {' '.join(f'{unit} ({found.met[unit]:,})' for unit in units) or 'none'}",
    ]
    return "\n".join(lines)


def plot_check(found: Check) -> Figure:
    """Return a figure of two panels: what was measured by step, and the inputs of the activation."""
    figure, curve = new_figure(10.0, 3.8), found.curve
    steps, inputs = figure.subplots(1, 2, width_ratios=(5, 4))
    for (name, values), colour, style in zip(curve.columns.items(), COLOURS, ("o-", "s-", "d--"), strict=False):
        steps.plot(curve.h, np.maximum(values, FLOOR), style, color=colour, markersize=4, label=name)
    for (mark, h), style in zip(_marks(found).items(), (":", "--"), strict=True):
        if h > 0:
            steps.axvline(h, color="black", linewidth=0.8, linestyle=style, label=mark)
    steps.set(title=curve.what, xlabel="h", xscale="log", yscale="log" if curve.slope_error >= 0 else "linear")
    steps.legend(frameon=False, fontsize="small")
    inputs.hist(found.a.ravel(), bins=80, color=COLOURS[5])
    for kink in found.kinks:
        inputs.axvline(kink.at, color=COLOURS[1], linewidth=1.0)
    share = 100 * float(found.met.sum()) / found.a.size
    inputs.set(title=f"{share:.3g} % of the windows hold a kink (line)" if found.kinks else "no kinks")
    inputs.set(xlabel="a, the input of a unit", ylabel="pairs of sample and unit")
    tidy(steps, inputs)
    return figure


def tidy(*panels: Axes) -> None:
    """Give panels a faint grid and two open sides."""
    for ax in panels:
        ax.grid(alpha=0.3, linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)

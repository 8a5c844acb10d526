"""What `check` found, in rows of numbers and in a figure."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinynet.checking.extended_precision import EPS
from tinynet.checking.network_check import Array, Check, check
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


def paragraph(text: str) -> str:
    """Return `text` in lines of at most 80 columns."""
    return textwrap.fill(" ".join(text.split()), COLUMNS, break_on_hyphens=False)


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
    heads = [method] if method == "loop" else [method, "loop", f"{method} - loop"]
    lines = [
        f"THE ENGINE against extended precision (np.longdouble, eps {EPS:.1e})",
        f"{'':8}{'weights':>7}{''.join(f'{head:>15}' for head in heads)}   worst of {method}",
    ]
    for a in found.agreements:
        errors = (a.engine, a.loop, a.engine_to_loop)[: len(heads)]
        lines.append(f"{a.key:8}{a.n_weights:7}{''.join(f'{error:15.1e}' for error in errors)}   {a.worst}")
    verdict = "kept" if found.ok else "EXCEEDED"
    if math.isnan(found.bound):
        verdict = f'none is promised for method "{method}"'
    elif not found.bound < 1.0:
        verdict = "says nothing: losses so large round even in extended precision"
    return "\n".join([*lines, f"{'bound':15}{found.bound:15.1e}   {verdict}"])


def check_fault(found: Check) -> str | None:
    """Return, in a line, how the engine breaks its bound; None when it keeps it."""
    if found.ok:
        return None
    worst = found.worst
    return (
        f"the error of {found.run.config.gradient.method} is {worst.engine:.1e} of the largest entry, above its bound "
        f"of {found.bound:.1e}: {worst.worst} is {worst.got:.9g}, and in extended precision {worst.expected:.9g}"
    )


def _by_step(found: Check) -> tuple[Array, dict[str, Array], dict[int, str]]:
    """Return the steps, what was measured at each, and which of them are marked as what."""
    curve, census, method = found.curve, found.census, found.run.config.gradient.method
    if curve is None:
        return census.h, {"windows": census.shares, "moves": census.moves}, {census.chosen: "your h"}
    marks: dict[int, str] = {}
    best = [(curve.recommended, f"best for {method}"), (curve.recommended_for_loop, "best for loop")]
    for n, mark in dict.fromkeys([(curve.chosen, "your h"), *best]):
        marks[n] = f"{marks[n]}, {mark}" if n in marks else mark
    return curve.h, {method: curve.engine, "loop": curve.loop, "truncation": curve.truncation}, marks


def _steps(found: Check) -> str:
    """Return the table of the step, whole powers of ten and what is marked, and the recommended step."""
    (steps, columns, marks), curve, advised = _by_step(found), found.curve, found.census.recommended
    if curve is None:
        title = "how often it reaches a jump of the activation"
        last = f"Recommended: h = {advised:g}" if advised > 0 else "None is recommended"
    else:
        title = "error against the slope, the limit of the quotient for h to 0"
        best = f"Recommended: h = {curve.h[curve.recommended]:.1g}, error {curve.engine[curve.recommended]:.1e}"
        last = f"{best}; the slope is known to {max(curve.slope_error, EPS):.0e}"
    lines = [f"THE STEP: {title}", f"{'h':8}{''.join(f'{name:>12}' for name in columns)}"]
    for n, h in enumerate(steps):
        if n in marks or abs(math.log10(h) - round(math.log10(h))) < 1e-6:
            values = [f"{100 * c[n]:10.2f} %" if curve is None else f"{c[n]:12.1e}" for c in columns.values()]
            lines.append(f"{h:<8.2g}{''.join(values).replace('nan', '   ')}   {marks.get(n, '')}".rstrip())
    return "\n".join([*lines, last])


def _kinks(found: Check) -> str:
    census, name = found.census, found.run.net.activation.name
    if not census.kinks:
        return f"KINKS\n{name} has none between {census.a.min():.3g} and {census.a.max():.3g}"
    places = " ".join(f"{kink.at:.4g}" for kink in census.kinks[:NAMED_KINKS])
    met = int(census.met.sum())
    units = [unit for unit in np.argsort(-census.met, kind="stable")[:NAMED_UNITS] if census.met[unit]]
    lines = [
        f"KINKS of {name}",
        f"{'jumps' if census.has_jumps else 'kinks':9}{len(census.kinks)}, at a = {places}",
        f"windows  {met:,} of {census.n_pairs:,} pairs of sample and unit, {100 * met / census.n_pairs:.3g} %",
        f"units    {' '.join(f'{unit} ({census.met[unit]:,})' for unit in units) or 'none'}",
    ]
    return "\n".join(lines)


def plot_check(found: Check) -> Figure:
    """Return a figure of two panels: error (or width) by step, and the inputs of the activation."""
    figure = new_figure(10.0, 3.8)
    steps, inputs = figure.subplots(1, 2, width_ratios=(5, 4))
    _draw_steps(steps, found)
    _draw_inputs(inputs, found)
    tidy(steps, inputs)
    return figure


def tidy(*panels: Axes) -> None:
    """Give panels a faint grid and two open sides."""
    for ax in panels:
        ax.grid(alpha=0.3, linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)


def _draw_steps(ax: Axes, found: Check) -> None:
    (steps, columns, marks), has_slope, advised = _by_step(found), found.curve is not None, found.census.recommended
    for (name, values), colour, marker in zip(columns.items(), COLOURS, "osd", strict=False):
        colour, line = ("dimgrey", "--") if name == "truncation" else (colour, f"{marker}-")
        shown = np.maximum(values, FLOOR) if has_slope else 100 * values
        ax.plot(steps, shown, line, color=colour, markersize=4, label=name)
    lines = [(steps[n], mark) for n, mark in marks.items()] + [(advised, "recommended h")] * (
        not has_slope and advised > 0
    )
    for (h, mark), line in zip(lines, (":", "--", "-."), strict=False):
        ax.axvline(h, color="black", linewidth=0.8, linestyle=line, label=mark)
    title = "error of the gradient by step" if has_slope else "what reaches a jump, by step"
    scale, label = ("log", "error / largest entry") if has_slope else ("linear", "share (%)")
    ax.set(title=title, xlabel="h", ylabel=label, xscale="log", yscale=scale)
    ax.legend(frameon=False, fontsize="small")


def _draw_inputs(ax: Axes, found: Check) -> None:
    census = found.census
    ax.hist(census.a.ravel(), bins=80, color=COLOURS[5])
    for kink in census.kinks:
        ax.axvline(kink.at, color=COLOURS[1], linewidth=1.0)
    what, met = "jump" if census.has_jumps else "kink", 100 * float(census.met.sum()) / census.n_pairs
    title, key = f"{met:.3g} % of the windows hold a {what}", f" (lines: {what}s)"
    if not census.kinks:
        title, key = "no kinks", ""
    ax.set(title=title, xlabel=f"a, the input of a unit{key}", ylabel="pairs of sample and unit")

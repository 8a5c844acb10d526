"""What `check` found, in words of 80 columns and in a figure."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinynet.checking.extended_precision import EPS
from tinynet.checking.network_check import REACHED, Census, Check, Curve, check
from tinynet.config.building import Run
from tinynet.reports.plots import COLOURS, new_figure, save_figure
from tinynet.storage.writing import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 80
NAMED_UNITS, NAMED_KINKS = 5, 6


@dataclass(frozen=True)
class Findings:
    """What a command says: its text, what is drawn, and the fault, if there is one, in a line."""

    name: str
    text: str
    draw: Callable[[], Figure]
    fault: str | None

    def write(self, folder: Path) -> Path:
        """Write NAME.txt and NAME.png into `folder`, and return where the figure is."""
        write_atomically(folder / f"{self.name}.txt", self.text.encode())
        save_figure(self.draw(), folder / f"{self.name}.png")
        return folder / f"{self.name}.png"


def check_findings(run: Run) -> Findings:
    """Put the gradient of `run` to the test; parameters and errors are those of `check`."""
    found = check(run)
    return Findings("check", check_text(found), lambda: plot_check(found), check_fault(found))


def check_text(found: Check) -> str:
    """Return the findings as lines of at most 80 columns."""
    parts = [_head(found), _agreement(found), _steps(found), _kinks(found), *map(paragraph, found.slow_steps)]
    return "\n\n".join(parts) + "\n"


def paragraph(text: str) -> str:
    """Return `text` in lines of at most 80 columns."""
    return textwrap.fill(" ".join(text.split()), COLUMNS, break_on_hyphens=False)


def headline(run: Run) -> str:
    """Return network and gradient of a run in a line."""
    config, net = run.config, run.net
    sizes = "-".join(str(size) for size in (*net.shapes["W1"], net.shapes["b2"][0]))
    return (
        f"{config.name}: network {sizes} ({net.activation.name}), {net.n_parameters:,} parameters; "
        f"method {config.gradient.method}, h = {config.gradient.h:g}"
    )


def _head(found: Check) -> str:
    each, seed = max(a.n_weights for a in found.agreements), found.run.config.seed
    cut = f", {found.n_samples} of its {found.n_batch} samples" if found.n_samples < found.n_batch else ""
    samples = "" if cut else f", {found.n_batch} samples"
    return paragraph(
        f"{headline(found.run)}. Measured at the first weights, on the first batch{samples or cut}; "
        f"{len(found.weights)} weights, up to {each} of each array, drawn with seed {seed} and the largest entry. "
        f"Errors are the largest among these weights, in units of the largest entry, {found.scale:.3g}."
    )


def _agreement(found: Check) -> str:
    method = found.run.config.gradient.method
    heads = [method] if method == "loop" else [method, "loop", f"{method} - loop"]
    lines = [
        f"THE ENGINE against extended precision (np.longdouble, eps {EPS:.1e})",
        f"{'':8}{'weights':>7}{''.join(f'{head:>15}' for head in heads)}   worst of {method}",
    ]
    for a in found.agreements:
        errors = (a.engine, a.loop, a.engine_to_loop)[: len(heads)]
        lines.append(f"{a.key:8}{a.n_weights:7}{''.join(f'{error:15.1e}' for error in errors)}   {a.worst}")
    if math.isnan(found.bound):
        return "\n".join([*lines, f'{"bound":8}none is promised for method "{method}"'])
    fault, verdict = check_fault(found), "kept"
    if not found.bound < 1.0:
        verdict = "says nothing: losses so large round even in extended precision"
    elif fault is not None:
        verdict = "EXCEEDED"
    lines.append(f"{'bound':8}{'':7}{found.bound:15.1e}   {verdict}")
    return "\n".join(lines if fault is None else [*lines, paragraph(f"{fault}.")])


def check_fault(found: Check) -> str | None:
    """Return, in a line, how the engine breaks its bound; None when it keeps it."""
    if found.ok:
        return None
    worst = found.worst
    return (
        f"the error of {found.run.config.gradient.method} is {worst.engine:.1e} of the largest entry, above its bound "
        f"of {found.bound:.1e}: {worst.worst} is {worst.got:.9g}, and in extended precision {worst.expected:.9g}"
    )


def _steps(found: Check) -> str:
    """Return the table of the step, and the recommended one; docs/check.md says how to read it."""
    if found.curve is None:
        return _widths(found.census)
    curve, method = found.curve, found.run.config.gradient.method
    names = [method] if method == "loop" else [method, "loop"]
    lines = [
        "THE STEP: error against the slope, the limit of the quotient for h to 0",
        f"{'h':8}{''.join(f'{name:>12}' for name in names)}{'truncation':>14}",
    ]
    for n, h in enumerate(curve.h):
        if n not in (curve.chosen, curve.recommended, curve.recommended_for_loop) and not _is_decade(h):
            continue
        errors = [curve.engine[n], curve.loop[n]][-len(names) :]
        truncation = "" if np.isnan(curve.truncation[n]) else f"{curve.truncation[n]:.1e}"
        notes = ["your h"] if n == curve.chosen else []
        notes += [f"best for {method}"] if n == curve.recommended else []
        notes += ["best for loop"] if n == curve.recommended_for_loop and method != "loop" else []
        row = f"{h:<8.2g}{''.join(f'{error:12.1e}' for error in errors)}{truncation:>14}   {', '.join(notes)}"
        lines.append(row.rstrip())
    best = f"Recommended: h = {curve.h[curve.recommended]:.1g}, error {curve.engine[curve.recommended]:.1e}"
    return "\n".join([*lines, f"{best}; the slope is known to {max(curve.slope_error, EPS):.0e}"])


def _is_decade(h: float) -> bool:
    return abs(math.log10(h) - round(math.log10(h))) < 1e-6


def _widths(census: Census) -> str:
    lines = [
        "THE STEP: how often it reaches a jump of the activation",
        f"{'h':8}{'windows':>12}{'moves':>12}",
    ]
    for n, h in enumerate(census.h):
        if _is_decade(h) or n == census.chosen:
            lines.append(
                f"{h:<8.2g}{100 * census.shares[n]:10.2f} %{100 * census.moves[n]:10.2f} %"
                f"{'   your h' if n == census.chosen else ''}"
            )
    share = f"where {100 * REACHED:.0f} % of the windows hold a jump"
    advice = f"Recommended: h = {census.recommended:g}, {share}" if census.recommended > 0 else "None is recommended"
    return "\n".join([*lines, advice])


def _kinks(found: Check) -> str:
    census, name = found.census, found.run.net.activation.name
    if not census.kinks:
        return f"KINKS\n{name} has none between {census.a.min():.3g} and {census.a.max():.3g}"
    places = ", ".join(f"{kink.at:.4g}" for kink in census.kinks[:NAMED_KINKS])
    more = f" and {len(census.kinks) - NAMED_KINKS} more" if len(census.kinks) > NAMED_KINKS else ""
    met = int(census.met.sum())
    worst = [unit for unit in np.argsort(-census.met, kind="stable")[:NAMED_UNITS] if census.met[unit]]
    lines = [
        f"{name} {'jumps' if census.has_jumps else 'has kinks'} at a = {places}{more}",
        f"windows with one at your h: {met:,} of {census.n_pairs:,} pairs of sample and unit "
        f"({100 * met / census.n_pairs:.3g} %)",
        *([f"most: {', '.join(f'unit {unit} ({census.met[unit]:,})' for unit in worst)}"] if worst else []),
    ]
    return "\n".join(["KINKS", *lines])


def plot_check(found: Check) -> Figure:
    """Return a figure of two panels: error (or width) by step, and the inputs of the activation."""
    figure = new_figure(10.0, 3.8)
    steps, inputs = figure.subplots(1, 2, width_ratios=(5, 4))
    if found.curve is None:
        _draw_widths(steps, found.census, found.run.config.gradient.h)
    else:
        _draw_curve(steps, found.curve, found.run.config.gradient.method)
    _draw_inputs(inputs, found)
    for ax in (steps, inputs):
        ax.grid(alpha=0.3, linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_curve(ax: Axes, curve: Curve, method: str) -> None:
    floor = 1e-17  # an error of 0 has no place on a logarithmic axis
    ax.loglog(curve.h, np.maximum(curve.loop, floor), "s-", color=COLOURS[1], markersize=4, label="loop")
    if method != "loop":
        ax.loglog(curve.h, np.maximum(curve.engine, floor), "o-", color=COLOURS[0], markersize=4, label=method)
    ax.loglog(curve.h, curve.truncation, "--", color="dimgrey", label="truncation", zorder=3)
    ax.axvline(curve.h[curve.chosen], color="black", linewidth=0.8, linestyle=":", label="your h")
    best = curve.recommended
    mark = {"color": "black", "fillstyle": "none", "markersize": 9, "label": f"best h for {method}"}
    ax.loglog(curve.h[best], max(curve.engine[best], floor), "D", **mark)
    ax.set(title="error of the gradient by step", xlabel="h", ylabel="error / largest entry")
    ax.legend(frameon=False, fontsize="small")


def _draw_widths(ax: Axes, census: Census, h: float) -> None:
    ax.semilogx(census.h, 100 * census.shares, "o-", color=COLOURS[0], markersize=4, label="windows of units")
    ax.semilogx(census.h, 100 * census.moves, "s-", color=COLOURS[1], markersize=4, label="moves of weights")
    ax.axvline(h, color="black", linewidth=0.8, linestyle=":", label="your h")
    if census.recommended > 0:
        ax.axvline(census.recommended, color="black", linewidth=0.8, linestyle="--", label="recommended h")
    ax.set(title="what reaches a jump, by step", xlabel="h", ylabel="share (%)")
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

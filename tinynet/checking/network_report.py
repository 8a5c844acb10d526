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
ENOUGH = 1e-6  # of the largest entry: an error that no training notices
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
    parts = [_head(found), _agreement(found), _steps(found), _kinks(found), _cost(found)]
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
    return "\n".join([*lines, _advice(found, curve)])


def _is_decade(h: float) -> bool:
    return abs(math.log10(h) - round(math.log10(h))) < 1e-6


def _advice(found: Check, curve: Curve) -> str:
    """Say which step is recommended and why, and what the chosen one costs."""
    method = found.run.config.gradient.method
    best, chosen = curve.recommended, curve.chosen
    above = "truncation grows and kinks enter the windows"
    if not found.census.kinks:
        above = f"truncation grows{'' if math.isnan(power := _power(curve)) else f' as h^{power:.1f}'}"
    below = "nothing is gained: no two losses are subtracted, so that rounding does not grow"
    if curve.engine[-1] > 100 * curve.engine[best]:
        below = "the rounding of a difference grows as 1/h"
    of_loop = (
        ""
        if method == "loop"
        else (
            f"A loop does best at {curve.h[curve.recommended_for_loop]:.1g}: it subtracts losses, whose rounding is "
            "divided by 2h. "
        )
    )
    good = np.flatnonzero(curve.engine <= ENOUGH)
    enough = (
        f"Any h from {curve.h[good[-1]]:.1g} to {curve.h[good[0]]:.1g} is within {ENOUGH:g}."
        if len(good)
        else f"No h is within {ENOUGH:g}."
    )
    cause = "mostly truncation" if curve.truncation[chosen] > 0.5 * curve.engine[chosen] else "mostly rounding"
    return paragraph(
        f"Recommended for {method}: h = {curve.h[best]:.1g}, error {curve.engine[best]:.1e}. Above it, "
        f"{above}; below it, {below}. {of_loop}Your h = {curve.h[chosen]:g} has an estimated error of "
        f"{curve.engine[chosen]:.1e}, {cause}. {enough} The slope is known to {max(curve.slope_error, EPS):.0e}."
    )


def _power(curve: Curve) -> float:
    """Return the exponent of the truncation above the recommended step; nan where it cannot be told."""
    seen = np.flatnonzero(np.isfinite(curve.truncation) & (curve.truncation > 0) & (curve.h <= 0.1))
    if len(seen) < 2:
        return math.nan
    return float(np.polyfit(np.log(curve.h[seen]), np.log(curve.truncation[seen]), 1)[0])


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
    advice = (
        f"Recommended: h = {census.recommended:g}, where the windows of {100 * REACHED:.0f} % of the pairs of sample "
        "and unit hold a jump; sign units learned best between 60 and 95 % on the data sets tried (docs/check.md)."
        if census.recommended > 0
        else "None is recommended: most inputs of units are at a jump already."
    )
    meaning = (
        "A window is a ± h max(1, |x|), as far as one weight moves the input of a unit in a sample; a move is that of "
        "one weight of W1. The activation jumps: its slope says nothing, and h is the width over which the loss is "
        "averaged, not an error."
    )
    return "\n".join([*lines, paragraph(f"{meaning} {advice}")])


def _kinks(found: Check) -> str:
    census, name = found.census, found.run.net.activation.name
    if not census.kinks:
        return f"KINKS\n{name} has none between {census.a.min():.3g} and {census.a.max():.3g}."
    places = ", ".join(f"{kink.at:.4g}" for kink in census.kinks[:NAMED_KINKS])
    more = f" and {len(census.kinks) - NAMED_KINKS} more places" if len(census.kinks) > NAMED_KINKS else ""
    met = int(census.met.sum())
    worst = [unit for unit in np.argsort(-census.met, kind="stable")[:NAMED_UNITS] if census.met[unit]]
    units = ", ".join(f"unit {unit} ({census.met[unit]:,})" for unit in worst)
    what = "jumps" if census.has_jumps else "has kinks"
    return "KINKS\n" + paragraph(
        f"{name} {what} at a = {places}{more}. Of {census.n_pairs:,} pairs of training sample and unit, {met:,} have "
        f"one within their window at h = {found.run.config.gradient.h:g} ({100 * met / census.n_pairs:.3g} %)"
        f"{', most of them' if len(worst) > 1 else ''}{': ' + units if units else ''}."
    )


def _cost(found: Check) -> str:
    fastest = found.seconds["auto"]
    lines = [
        f"COST of a gradient of {found.n_batch} samples, on one core",
        f"{'method':8}{'time':>12}{'/ auto':>12}{f'{found.n_steps:,} steps':>16}",
    ]
    for method, seconds in sorted(found.seconds.items(), key=lambda item: item[1]):
        total = seconds * found.n_steps
        lines.append(f"{method:8}{duration_text(seconds):>12}{seconds / fastest:12,.3g}{duration_text(total):>16}")
    notes = f"The loop's is that of one forward pass, of which it needs {2 * found.run.net.n_parameters:,} a gradient."
    if found.n_samples < found.n_batch:
        notes += f" That of exact is extrapolated from {found.n_samples} of {found.n_batch} samples."
    return "\n".join([*lines, paragraph(notes), *map(paragraph, found.slow_steps)])


def duration_text(seconds: float) -> str:
    """Return a duration in three digits and a unit that suits it."""
    for size, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def plot_check(found: Check) -> Figure:
    """Return a figure of three panels: error (or width) by step, the inputs of the activation, the cost."""
    figure = new_figure(12.0, 3.8)
    steps, inputs, cost = figure.subplots(1, 3, width_ratios=(5, 4, 3))
    if found.curve is None:
        _draw_widths(steps, found.census, found.run.config.gradient.h)
    else:
        _draw_curve(steps, found.curve, found.run.config.gradient.method)
    _draw_inputs(inputs, found)
    _draw_cost(cost, found)
    for ax in (steps, inputs, cost):
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


def _draw_cost(ax: Axes, found: Check) -> None:
    names = sorted(found.seconds, key=lambda name: -found.seconds[name])
    bars = ax.barh(names, [found.seconds[name] for name in names], color=COLOURS[2])
    ax.bar_label(bars, [duration_text(found.seconds[name]) for name in names], padding=3, fontsize="small")
    ax.set_xscale("log")
    ax.margins(x=0.35)
    ax.set(title="cost of a gradient", xlabel="seconds, one core")

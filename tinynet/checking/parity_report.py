"""The parity certificate: what training twice showed, in rows of numbers and in a figure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tinynet.checking.network_report import CheckReport, headline, paragraph, tidy
from tinynet.checking.parity import Parity, parity
from tinynet.checking.slopes import EPS
from tinynet.config.building import Run
from tinynet.reports.plots import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCH_ROWS = 30  # of the table, beside the powers of two
PARITY_DIGITS = 3  # to which the curves must agree: more than a figure shows


def parity_report(run: Run, *, progress: bool = False) -> CheckReport:
    """Train `run` and its twin; parameters and errors are those of `parity`."""
    found = parity(run, progress=progress)
    return CheckReport("parity", parity_text(found), lambda: plot_parity(found), parity_fault(found))


def parity_text(found: Parity) -> str:
    """Return the certificate as lines of at most 80 columns; docs/check.md says how to read it."""
    head = f"{headline(found.run)}\ntrained twice, seed {found.run.config.seed}"
    return "\n\n".join([head, _table(found), _gaps(found), _verdict(found)]) + "\n"


def parity_fault(found: Parity) -> str | None:
    """Return what is wrong, in a line; None when nothing is."""
    if found.diverged is not None:
        return str(found.diverged)
    last, gap = found.moments[-1], found.unexplained
    if not math.isfinite(last.backpropagation_loss):
        became = f"the loss of the training by backpropagation became {last.backpropagation_loss}"
        return f"{became}; try a smaller learning rate"
    if gap is None:
        return None
    return (
        f"parity is not shown: in step {gap.step} the gradients differ by {gap.size:.1e} of the largest entry, most in "
        f"{gap.worst}; neither rounding nor truncation explains so much, and no kink is near"
    )


def _table(found: Parity) -> str:
    lines = [f"{'step':>7}{'epoch':>8}{'distance':>10}{'relative':>10}{'loss':>17}{'by backprop.':>17}{'digits':>8}"]
    every = math.ceil(found.run.config.training.epochs / EPOCH_ROWS)
    for m in found.moments:
        is_power = m.step & (m.step - 1) == 0
        if is_power or m.epoch % every == 0 or m is found.moments[-1]:
            digits = "all" if m.digits == math.inf else "?" if math.isnan(m.digits) else f"{max(0.0, m.digits):.1f}"
            lines.append(
                f"{m.step:7,}{m.epoch:8.2f}{m.distance:10.1e}{m.relative:10.1e}{m.loss:#17.10g}"
                f"{m.backpropagation_loss:#17.10g}{digits:>8}"
            )
    return "\n".join(lines)


def _gaps(found: Parity) -> str:
    """Return a column for the first gap of each kind between the gradients at the same weights."""
    columns = [["first gap", "step", "size", "kinks", "entry", "quotient", "derivative"]]
    kinds = {"above rounding": found.above_rounding, "beyond truncation": found.beyond_truncation}
    for kind, gap in {**kinds, "unexplained": found.unexplained}.items():
        numbers = ["none", *[""] * 5]
        if gap is not None:
            values = (f"{gap.quotient:.12g}", f"{gap.derivative:.12g}")
            numbers = [f"{gap.step:,}", f"{gap.size:.1e}", f"{gap.kinks:,}", gap.worst, *values]
        columns.append([kind, *numbers])
    lines = [
        f"{row[0]:11}{''.join(f'{number:>19}' for number in row[1:])}".rstrip() for row in zip(*columns, strict=True)
    ]
    return "\n".join([*lines, f"largest    {max(found.gaps, default=0.0):19.1e}"])


def _verdict(found: Parity) -> str:
    fault = parity_fault(found)
    if fault is not None:
        return paragraph(f"NO PARITY: {fault}")
    kinks, agree = found.beyond_truncation is not None, min(m.digits for m in found.moments) >= PARITY_DIGITS
    verdict = "PARITY but for kinks" if kinks else "PARITY" if agree else "NO PARITY to the end, by truncation alone"
    return f"{verdict}\nlabelled alike: {found.alike:,} of {len(found.run.dataset.X_train):,} training samples"


def plot_parity(found: Parity) -> Figure:
    """Return a figure: both curves of the loss, and how far the two trainings are apart."""
    figure = new_figure(11.0, 3.8)
    losses, distances = figure.subplots(1, 2)
    moments = [m for m in found.moments if m.step]
    steps = [m.step for m in moments]
    losses.loglog(steps, [m.loss for m in moments], color=COLOURS[5], linewidth=4, label="difference quotients")
    losses.loglog(steps, [m.backpropagation_loss for m in moments], "k--", linewidth=1.2, label="backpropagation")
    losses.set(title="training loss", xlabel="step", ylabel="cross-entropy (nats a sample)")
    every = np.arange(1, len(found.distances) + 1)
    gaps = np.abs([m.loss - m.backpropagation_loss for m in moments])
    for x, y, line, colour, label in (
        (every, found.gaps, "-", COLOURS[5], "gradients at the same weights"),
        (every, found.distances, "-", COLOURS[0], "parameters (relative)"),
        (steps, gaps, "o-", COLOURS[1], "losses (nats a sample)"),
    ):
        shown = np.where(np.asarray(y) > 0, y, np.nan)  # 0 has no place on a logarithmic axis
        distances.loglog(x, shown, line, color=colour, markersize=3, linewidth=1.2, label=label)
    distances.axhline(EPS, color="black", linewidth=0.8, linestyle=":", label="eps of float64")
    distances.set(title="how far apart", xlabel="step", ylabel="difference")
    firsts = ((found.above_rounding, "above rounding", "o"), (found.beyond_truncation, "beyond truncation", "D"))
    for gap, word, marker in firsts:
        if gap is not None:
            label = f"first {word}: step {gap.step:,}"
            distances.loglog(gap.step, gap.size, f"k{marker}", fillstyle="none", markersize=9, zorder=5, label=label)
    losses.legend(frameon=False, fontsize="small")
    figure.legend(
        handles=distances.get_legend_handles_labels()[0], loc="outside right upper", frameon=False, fontsize="small"
    )
    tidy(losses, distances)
    return figure

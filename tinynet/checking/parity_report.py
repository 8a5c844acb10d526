"""The parity certificate: what training twice showed, in rows of numbers and in a figure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tinynet.checking.network_report import CheckReport, headline, paragraph, table, tidy
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
    return "\n\n".join([head, _moments(found), _gaps(found), _verdict(found)]) + "\n"


def parity_fault(found: Parity) -> str | None:
    """Return what is wrong, in a line; None when nothing is."""
    if found.diverged is not None:
        return str(found.diverged)
    loss, gap = found.moments[-1].backpropagation_loss, found.first.get("unexplained")
    if not math.isfinite(loss):
        return f"the loss of the training by backpropagation became {loss}; try a smaller learning rate"
    if gap is None:
        return None
    return (
        f"parity is not shown: in step {gap.step} the gradients differ by {gap.size:.1e} of the largest entry, most in "
        f"{gap.entry}; neither rounding nor truncation explains so much, and no kink is near"
    )


def _moments(found: Parity) -> str:
    rows = [["step", "epoch", "distance", "loss", "by backprop.", "digits"]]
    every = math.ceil(found.run.config.training.epochs / EPOCH_ROWS)
    for m in found.moments:
        if m.step & (m.step - 1) == 0 or m.epoch % every == 0 or m is found.moments[-1]:
            digits = "all" if m.digits == math.inf else "?" if math.isnan(m.digits) else f"{max(0.0, m.digits):.1f}"
            losses = (f"{loss:#.10g}" for loss in (m.loss, m.backpropagation_loss))
            rows.append([f"{m.step:,}", f"{m.epoch:.2f}", f"{m.distance:.1e}", *losses, digits])
    return "\n".join(table(rows))


def _gaps(found: Parity) -> str:
    """Return a column for the first gap of each kind between the gradients at the same weights."""
    columns = [["first gap", "step", "size", "kinks", "entry", "quotient", "derivative"]]
    for kind in ("above rounding", "beyond truncation", "unexplained"):
        numbers = ["none", *[""] * 5]
        if gap := found.first.get(kind):
            values = (f"{gap.quotient:.12g}", f"{gap.derivative:.12g}")
            numbers = [f"{gap.step:,}", f"{gap.size:.1e}", f"{gap.kinks:,}", gap.entry, *values]
        columns.append([kind, *numbers])
    rows = list(zip(*columns, strict=True))
    return "\n".join([*table(rows), f"largest in any step: {max(found.gaps, default=0.0):.1e}"])


def _verdict(found: Parity) -> str:
    fault = parity_fault(found)
    if fault is not None:
        return paragraph(f"NO PARITY: {fault}")
    kinks, agree = "beyond truncation" in found.first, min(m.digits for m in found.moments) >= PARITY_DIGITS
    verdict = "PARITY but for kinks" if kinks else "PARITY" if agree else "NO PARITY to the end, by truncation alone"
    return f"{verdict}\nlabelled alike: {found.alike:,} of {len(found.run.dataset.X_train):,} training samples"


def plot_parity(found: Parity) -> Figure:
    """Return a figure: both curves of the loss, and how far the two trainings are apart."""
    figure = new_figure(11.0, 3.8)
    losses, apart = figure.subplots(1, 2)
    moments = [m for m in found.moments if m.step]
    steps = [m.step for m in moments]
    losses.loglog(steps, [m.loss for m in moments], color=COLOURS[5], linewidth=4, label="difference quotients")
    losses.loglog(steps, [m.backpropagation_loss for m in moments], "k--", linewidth=1.2, label="backpropagation")
    losses.set(title="training loss", xlabel="step", ylabel="cross-entropy (nats a sample)")
    for values, colour, label in (
        (found.gaps, COLOURS[5], "gradients at the same weights"),
        (found.distances, COLOURS[0], "parameters (relative)"),
    ):
        shown = np.where(np.array(values) > 0, values, np.nan)  # 0 has no place on a logarithmic axis
        apart.loglog(np.arange(1, len(shown) + 1), shown, color=colour, linewidth=1.2, label=label)
    apart.axhline(EPS, color="black", linewidth=0.8, linestyle=":", label="eps of float64")
    apart.set(title="how far apart", xlabel="step", ylabel="difference")
    for (kind, gap), marker in zip(found.first.items(), "oDX", strict=False):
        label = f"first {kind}: step {gap.step:,}"
        apart.loglog(gap.step, gap.size, f"k{marker}", fillstyle="none", markersize=9, zorder=5, label=label)
    losses.legend(frameon=False, fontsize="small")
    figure.legend(
        handles=apart.get_legend_handles_labels()[0], loc="outside right upper", frameon=False, fontsize="small"
    )
    tidy(losses, apart)
    return figure

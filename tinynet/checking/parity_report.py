"""What training twice showed, in words of 80 columns and in a figure: the parity certificate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tinynet.checking.network_report import Findings, headline, paragraph
from tinynet.checking.parity import Gap, Parity, parity
from tinynet.config.building import Run
from tinynet.reports.plots import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCH_ROWS = 30  # of the table, beside the powers of two
MOST_DIGITS = 15  # of a float64
PARITY_DIGITS = 3  # to which the curves must agree: more than a figure shows


def parity_findings(run: Run, *, progress: bool = False) -> Findings:
    """Train `run` and its twin; parameters and errors are those of `parity`."""
    found = parity(run, progress=progress)
    return Findings("parity", parity_text(found), lambda: plot_parity(found), parity_fault(found))


def parity_text(found: Parity) -> str:
    """Return the certificate as lines of at most 80 columns."""
    parts = [_head(found), _table(found), _digits(found), _causes(found), paragraph(_verdict(found))]
    return "\n\n".join(parts) + "\n"


def parity_fault(found: Parity) -> str | None:
    """Return what is wrong, in a line; None when nothing is."""
    if found.diverged is not None:
        return str(found.diverged)
    last = found.moments[-1]
    if not math.isfinite(last.backpropagation_loss):
        became = f"the loss of the training by backpropagation became {last.backpropagation_loss}"
        return f"{became}; try a smaller learning rate"
    if found.unexplained is None:
        return None
    return (
        f"parity is not shown: in step {found.unexplained.step} {_described(found.unexplained)}; "
        "neither rounding nor truncation explains so much, and no kink is near"
    )


def _head(found: Parity) -> str:
    config, name = found.run.config, found.run.net.activation.name
    convention = " (that of relu at 0 is taken as 0)" if name == "relu" else ""
    stopping = "; early stopping is left out" if config.training.patience is not None else ""
    return paragraph(
        f"{headline(found.run)}. Trained twice from seed {config.seed}, from the same weights and on the same batches: "
        f"by difference quotients, and by backpropagation with the derivative of {name}{convention}{stopping}. "
        "Distance: the largest of any parameter; relative: the norm of the difference over that of all parameters."
    )


def _table(found: Parity) -> str:
    lines = [f"{'step':>7}{'epoch':>8}{'distance':>10}{'relative':>10}{'loss':>17}{'by backprop.':>17}{'digits':>8}"]
    every = math.ceil(found.run.config.training.epochs / EPOCH_ROWS)
    for m in found.moments:
        is_power = m.step & (m.step - 1) == 0
        if is_power or m.epoch % every == 0 or m is found.moments[-1]:
            lines.append(
                f"{m.step:7,}{m.epoch:8.2f}{m.distance:10.1e}{m.relative:10.1e}{m.loss:#17.10g}"
                f"{m.backpropagation_loss:#17.10g}{_shown(m.digits):>8}"
            )
    return "\n".join(lines)


def _shown(digits: float) -> str:
    return "all" if digits == math.inf else "?" if math.isnan(digits) else f"{max(0.0, digits):.1f}"


def _digits(found: Parity) -> str:
    """Say until which step the losses agree to how many digits, as far as they were measured."""
    agreed, until, phrases = MOST_DIGITS, 0, []
    for m in found.moments:
        digits = 0 if math.isnan(m.digits) else int(min(max(m.digits, 0.0), MOST_DIGITS))
        if digits < agreed:
            if until:
                phrases.append(f"to {agreed} until step {until:,}")
            agreed = digits
        until = m.step
    last = f"to {agreed} until the last" if agreed else "to none at the last"
    listed = ", ".join([*phrases, f"{last}, step {until:,}"])
    return paragraph(f"Digits to which the curves of the loss agree, at the steps of the table: {listed}.")


def _causes(found: Parity) -> str:
    h, name = found.run.config.gradient.h, found.run.net.activation.name
    first, beyond = found.above_rounding, found.beyond_truncation
    if first is None:
        return paragraph(
            "No step has a difference above rounding: at the same weights, quotient and derivative are the same up to "
            f"{max(found.gaps, default=0.0):.1e} of the largest entry."
        )
    lines = [f"The first difference above rounding enters in step {first.step:,}, where {_described(first)}."]
    if first is not beyond:
        lines[0] += f" It is the truncation of the quotient, which goes with h² = {h * h:.1g}."
    if beyond is None:
        lines.append("None is larger than truncation explains.")
    elif beyond.kinks:
        windows = "1 pair of sample and unit has" if beyond.kinks == 1 else f"{beyond.kinks:,} pairs have"
        lines.append(
            f"The first beyond truncation enters in step {beyond.step:,}, where {_described(beyond)}: {windows} the "
            f"kink of {name} within the window. There the quotient takes the mean slope over the window, and the "
            "derivative that of one side. What follows is this difference, grown in training."
        )
    else:
        lines.append(f"The first beyond the order of h² enters in step {beyond.step:,}, where {_described(beyond)}.")
    return "\n".join(paragraph(line) for line in lines)


def _described(gap: Gap) -> str:
    return (
        f"the gradients differ by {gap.size:.1e} of the largest entry at the same weights, most in {gap.worst} "
        f"(quotient {gap.quotient:.12g}, derivative {gap.derivative:.12g})"
    )


def _verdict(found: Parity) -> str:
    fault = parity_fault(found)
    if fault is not None:
        return f"NO PARITY: {fault}."
    last, n = found.moments[-1], len(found.run.dataset.X_train)
    apart = f"relative distance {last.relative:.1e}; both label {found.alike:,} of {n:,} training samples alike"
    if found.beyond_truncation is None and not min(m.digits for m in found.moments) >= PARITY_DIGITS:
        return (
            f"NO PARITY to the end at h = {found.run.config.gradient.h:g}: truncation alone, grown in training, parts "
            f"the two; a smaller h keeps them together for longer. At the end: {apart}."
        )
    if found.beyond_truncation is None:
        return f"PARITY in {f'all {last.step:,} steps' if last.step > 1 else 'the only step'}. At the end: {apart}."
    return (
        f"PARITY but for kinks: every step's gradients agree as rounding, truncation and kinks explain, and the "
        f"trainings part in step {found.beyond_truncation.step:,}. At the end: {apart}."
    )


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
    distances.axhline(
        float(np.finfo(np.float64).eps), color="black", linewidth=0.8, linestyle=":", label="eps of float64"
    )
    distances.set(title="how far apart", xlabel="step", ylabel="difference")
    for gap, word in ((found.above_rounding, "above rounding"), (found.beyond_truncation, "beyond truncation")):
        if gap is not None:
            mark = {"color": "black", "fillstyle": "none", "markersize": 9, "zorder": 5, "linestyle": "none"}
            marker = "o" if gap is found.above_rounding else "D"
            distances.loglog(gap.step, gap.size, marker=marker, label=f"first {word}: step {gap.step:,}", **mark)
    losses.legend(frameon=False, fontsize="small")
    figure.legend(
        handles=distances.get_legend_handles_labels()[0], loc="outside right upper", frameon=False, fontsize="small"
    )
    for ax in (losses, distances):
        ax.grid(alpha=0.3, linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
    return figure

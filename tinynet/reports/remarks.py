"""Remarks on a run whose result misleads: worse than guessing, exploded, overfitted; and which weights it kept."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.config.sections import TrainingConfig
from tinynet.training.history import Epoch, History

MAX_RISE = 1.1  # of the validation loss from its lowest; more is a remark


def kept_epoch(training: TrainingConfig, history: History) -> Epoch:
    """Return the epoch whose weights the run ended with."""
    return history.best if training.keeps_best else history.rows[-1]


def kept_weights(training: TrainingConfig, history: History) -> str:
    """Return which weights the run ended with, in words."""
    kept, best = kept_epoch(training, history), history.best
    if math.isnan(best.validation_loss):
        return f"of epoch {kept.epoch}, {'the last' if kept is history.rows[-1] else 'of the lowest training loss'}"
    if kept is not best:
        return f"of epoch {kept.epoch}, the last; the lowest validation loss was in epoch {best.epoch}"
    last = "the last, and " if kept is history.rows[-1] else ""
    return f"of epoch {kept.epoch}, {last}that of the lowest validation loss"


def remarks(
    training: TrainingConfig,
    history: History,
    scores: dict[str, Any] | None,
    class_counts: npt.NDArray[Any],
    class_names: tuple[str, ...],
) -> list[str]:
    """Return a line for everything that makes the result of a run worth less than it looks.

    Parameters
    ----------
    training : TrainingConfig
    history : History
    scores : of the test part, as `score` returns them; None where it was not measured
    class_counts : array, shape (n_classes,)
        How many samples of each class there were to train on.
    class_names : tuple of str
    """
    if not len(history):
        return []
    balanced = training.class_weight == "balanced"  # then every class counts the same in the training loss
    weights = np.sign(class_counts) if balanced else class_counts
    frequencies = weights[weights > 0] / weights.sum()
    entropy = -float(np.sum(frequencies * np.log(frequencies)))
    found, scores, kept, best = list[str](), scores or {}, kept_epoch(training, history), history.best

    first, last = history.rows[0].train_loss, history.rows[-1].train_loss
    bars = {"that of the first epoch": first, "that of always giving the class frequencies": entropy}
    above = " and ".join(f"{what} ({bar:.4g})" for what, bar in bars.items() if last > bar)
    if above:
        exploded = last > min(first, 10 * entropy)
        remedy = "lower optimizer.learning_rate" if exploded else "train for more training.epochs"
        found.append(f"the training loss ended at {last:.4g} nats a sample, above {above}: {remedy}")

    loss, guessing = (scores.get(name) or math.nan for name in ("loss", "guessing_loss"))
    if kept.validation_loss > MAX_RISE * best.validation_loss:
        found.append(
            f"the validation loss rose from {best.validation_loss:.4g} in epoch {best.epoch} to "
            f"{kept.validation_loss:.4g} in epoch {kept.epoch}, whose weights the run ended with: "
            "training.keep=best keeps those of the lowest"
        )
    if loss > guessing >= kept.train_loss and not balanced:
        found.append(
            f"the test loss is {loss:.4g} nats a sample, above that of always giving the class frequencies "
            f"({guessing:.4g}), though the training loss is {kept.train_loss:.4g}"
        )

    part, answer = "test" if scores else "training", f"{class_names[class_counts.argmax()]!r}, the most frequent class"
    accuracy = scores.get("accuracy", kept.train_accuracy)
    majority = scores.get("majority_accuracy", class_counts.max() / class_counts.sum())
    if balanced:
        part, answer, majority = f"balanced {part}", "one and the same class", 1 / len(class_names)
        accuracy = scores.get("balanced_accuracy", accuracy)
    if accuracy <= majority:
        relation = "no more than" if accuracy == majority else "below"
        share = f"{100 * majority:.1f} % of always answering {answer}"
        found.append(f"the {part} accuracy of {100 * accuracy:.1f} % is {relation} the {share}")
    return found

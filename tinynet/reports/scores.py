"""How good predictions are: scores of one part of the data beside what guessing would get, ready for JSON."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.losses import mean_loss, softmax

Array = npt.NDArray[Any]

Z95 = 1.959963984540054  # the standard normal quantile of 97.5 %


def score(labels: Array, logits: Array, class_counts: Array) -> dict[str, Any]:
    """Return the scores of `logits` against `labels`, and what guessing from `class_counts` would get.

    Parameters
    ----------
    labels : integer array, shape (n_samples,), at least one sample
    logits : array, shape (n_samples, n_classes); logarithms of probabilities will do
    class_counts : array, shape (n_classes,)
        How many samples of each class there were to train on.

    Returns
    -------
    dict
        ``n_samples``; ``loss`` and ``guessing_loss``, that of always giving the class frequencies, in nats a
        sample; ``accuracy`` with ``accuracy_interval``, Wilson's interval at 95 %, and ``majority_accuracy``, that
        of always answering the most frequent class; ``balanced_accuracy``, ``macro_f1``; ``roc_auc``, of the second
        class of two, else the mean of one class against the rest; ``classes``, for each its ``n_samples``,
        ``precision``, ``recall`` and ``f1``. None stands for what is not defined: the precision of a class that
        was never predicted, the area where `labels` lack a class, any of these for logits that are not finite.

    References
    ----------
    E. B. Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 22, 1927.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    >>> scores = score(np.array([0, 0, 0, 1]), logits, class_counts=np.array([6, 2]))
    >>> scores["accuracy"], scores["majority_accuracy"], scores["roc_auc"], scores["classes"][1]["precision"]
    (0.75, 0.75, 1.0, 0.5)
    """
    n_classes, predicted = logits.shape[1], logits.argmax(axis=1)
    hits, said, true = (
        np.bincount(which, minlength=n_classes) for which in (labels[predicted == labels], predicted, labels)
    )
    with np.errstate(invalid="ignore"):  # 0 / 0 is nan: not defined
        precision, recall, f1 = hits / said, hits / true, 2 * hits / (said + true)
    right = int(hits.sum())
    with np.errstate(divide="ignore"):  # a class that training never saw has probability 0
        frequencies = np.log(class_counts / class_counts.sum())
    return {
        "n_samples": len(labels),
        "loss": _number(mean_loss(logits, labels)),
        "guessing_loss": _number(-frequencies[labels].mean()),
        "accuracy": right / len(labels),
        "accuracy_interval": list(wilson_interval(right, len(labels))),
        "majority_accuracy": float(np.mean(labels == class_counts.argmax())),
        "balanced_accuracy": _number(float(np.nanmean(recall))),
        "macro_f1": _number(float(np.nanmean(f1))),
        "roc_auc": _roc_auc(labels, softmax(logits)),
        "classes": [
            {"n_samples": int(n), "precision": _number(p), "recall": _number(r), "f1": _number(f)}
            for n, p, r, f in zip(true, precision, recall, f1, strict=True)
        ],
    }


def score_lines(scores: dict[str, Any] | None) -> list[str]:
    """Return what a terminal shows of the scores of a test part, in short lines; none for None."""
    if scores is None:
        return []
    interval = " to ".join(f"{100 * end:.1f}" for end in scores["accuracy_interval"])
    loss, guessing = (shown_score(scores[name], "#.4g") for name in ("loss", "guessing_loss"))
    balanced, f1, auc = (shown_score(scores[name]) for name in ("balanced_accuracy", "macro_f1", "roc_auc"))
    n, accuracy, majority = scores["n_samples"], 100 * scores["accuracy"], 100 * scores["majority_accuracy"]
    guessed = f"{majority:.1f} %, always the most frequent class; loss {guessing}, always the class frequencies"
    return [
        f"test accuracy  {accuracy:.1f} %  (95 % interval {interval} %, {n:,} samples)",
        f"by guessing    {guessed}",
        f"test loss      {loss} nats a sample",
        f"other scores   balanced accuracy {balanced}, macro F1 {f1}, ROC AUC {auc}",
    ]


def shown_score(value: float | None, digits: str = ".3f") -> str:
    """Return a score for the eye, a dash for one that is not defined."""
    return "—" if value is None else f"{value:{digits}}"


def wilson_interval(right: int, n_samples: int) -> tuple[float, float]:
    """Return the ends of Wilson's 95 % interval of a fraction, `right` of `n_samples`.

    Examples
    --------
    >>> [round(end, 3) for end in wilson_interval(92, 100)]
    [0.85, 0.959]
    """
    p, z2 = right / n_samples, Z95**2 / n_samples
    half = math.sqrt(z2 * p * (1 - p) + z2**2 / 4)
    return max((p + z2 / 2 - half) / (1 + z2), 0.0), min((p + z2 / 2 + half) / (1 + z2), 1.0)


def _roc_auc(labels: Array, probabilities: Array) -> float | None:
    """Return the share of pairs, a sample of a class and one of the rest, in the right order; a tie is half a pair."""
    n_classes = probabilities.shape[1]
    if not np.isfinite(probabilities).all() or len(np.unique(labels)) < n_classes:
        return None
    areas = []
    for k in range(1, 2) if n_classes == 2 else range(n_classes):
        own, rest = probabilities[labels == k, k], np.sort(probabilities[labels != k, k])
        below = rest.searchsorted(own, "left") + rest.searchsorted(own, "right")
        areas.append(below.mean() / (2 * len(rest)))
    return float(np.mean(areas))


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

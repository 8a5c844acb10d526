"""Scores against scikit-learn's metrics, and against guessing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn import metrics
from sklearn.dummy import DummyClassifier

from tinynet.losses import softmax
from tinynet.reports.scores import score, wilson_interval


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_scores_match_scikit_learn(n_classes: int, rng: np.random.Generator) -> None:
    labels = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, 80)])
    logits = rng.normal(size=(len(labels), n_classes)).round(1)  # to get ties
    counts = rng.integers(1, 50, n_classes)
    probabilities, predicted = softmax(logits), logits.argmax(axis=1)
    scores = score(labels, logits, counts)
    area = probabilities[:, 1] if n_classes == 2 else probabilities
    assert scores["roc_auc"] == pytest.approx(metrics.roc_auc_score(labels, area, multi_class="ovr"))
    assert scores["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(labels, predicted))
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(labels, predicted, average="macro"))
    assert scores["accuracy"] == metrics.accuracy_score(labels, predicted)
    assert scores["loss"] == pytest.approx(metrics.log_loss(labels, probabilities))
    by_class = metrics.precision_recall_fscore_support(labels, predicted)
    for column, expected in zip(("precision", "recall", "f1", "n_samples"), by_class, strict=True):
        assert [own[column] for own in scores["classes"]] == pytest.approx(list(expected))
    X, trained = np.zeros((counts.sum(), 1)), np.repeat(np.arange(n_classes), counts)
    for strategy, measure, name in (
        ("prior", metrics.log_loss, "guessing_loss"),
        ("most_frequent", metrics.accuracy_score, "majority_accuracy"),
    ):
        guesser: Any = DummyClassifier(strategy=strategy).fit(X, trained)
        guesses = (guesser.predict_proba if strategy == "prior" else guesser.predict)(np.zeros((len(labels), 1)))
        assert scores[name] == pytest.approx(measure(labels, guesses))


def test_an_undefined_score_is_none_without_a_warning() -> None:
    labels, logits = np.array([0, 0, 2]), np.log([[0.9, 0.05, 0.05], [0.8, 0.1, 0.1], [0.6, 0.3, 0.1]])
    scores = score(labels, logits, np.array([5, 3, 2]))
    assert scores["roc_auc"] is None  # nothing of class 1
    assert scores["classes"][1] == {"n_samples": 0, "precision": None, "recall": None, "f1": None}
    assert scores["classes"][2] == {"n_samples": 1, "precision": None, "recall": 0.0, "f1": 0.0}
    assert scores["balanced_accuracy"] == 0.5 and scores["macro_f1"] == pytest.approx(0.4)
    assert score(labels, logits, np.array([5, 3, 0]))["guessing_loss"] is None
    overflowed = score(np.array([0, 1]), np.array([[1.0, 2.0], [math.inf, -math.inf]]), np.array([1, 1]))
    assert overflowed["loss"] is None and overflowed["roc_auc"] is None


def test_a_huge_loss_is_not_clipped() -> None:
    assert score(np.array([0, 1]), np.array([[1e48, 0.0], [1e48, 0.0]]), np.array([1, 1]))["loss"] == 5e47


def test_the_wilson_interval_holds_what_its_test_accepts() -> None:
    for right, n in ((0, 8), (8, 8), (92, 100), (1, 3)):
        for end in wilson_interval(right, n):  # |p − end| is 1.96 standard errors of `end`
            error = 1.959963984540054 * math.sqrt(end * (1 - end) / n)
            assert abs(right / n - end) == pytest.approx(error, abs=1e-12)

"""What a trained model is worth on a labelled file: scores as text, as JSON, or a page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinynet.artifacts.model import Model
from tinynet.data.datasets import Dataset
from tinynet.reports.html import document, tiles
from tinynet.reports.predictions import prediction_sections
from tinynet.reports.run_page import score_tiles
from tinynet.reports.scores import score, score_lines, shown_score
from tinynet.reports.text import table
from tinynet.storage.reading import FilePath


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The scores of a model on a file.

    Attributes
    ----------
    data : Dataset, whose test part is the file
    logits : array, shape (n_samples, n_classes)
    scores : dict, as `score` returns it
        Guessing uses the training class counts, or the file's own if the model has none.
    unknown : dict, in how many rows a column holds a value that training never saw
    """

    data: Dataset
    logits: Any
    scores: dict[str, Any]
    unknown: dict[str, int]

    @property
    def text(self) -> str:
        """What a terminal shows: the scores, and a line a class."""
        rows = [["class", "samples", "precision", "recall", "F1"]]
        for name, own in zip(self.data.class_names, self.scores["classes"], strict=True):
            shown = (shown_score(own[key]) for key in ("precision", "recall", "f1"))
            rows.append([name, f"{own['n_samples']:,}", *shown])
        lines = [line.replace("test ", "file ", 1) for line in score_lines(self.scores)]
        return "\n".join([*lines, "", *table(rows)])

    @property
    def json(self) -> str:
        """The scores, the names of the classes and the confusion matrix, a row a true class."""
        matrix = np.zeros((self.data.n_classes, self.data.n_classes), dtype=int)
        np.add.at(matrix, (self.data.y_test, self.logits.argmax(axis=1)), 1)
        values = {"file": self.data.name, "class_names": self.data.class_names} | self.scores
        return json.dumps(values | {"confusion": matrix.tolist(), "unknown_levels": self.unknown}, indent=2)

    @property
    def page(self) -> bytes:
        """A page like that of a run, about the file."""
        lead = f"{len(self.data.y_test):,} samples of {self.data.name}."
        sections = prediction_sections(self.data, self.logits, self.scores, "file")
        parts = [tiles(score_tiles(self.scores, "file")), *sections]
        return document(self.data.name, lead, [], parts, what="evaluation")


def evaluate_file(model: Model, path: FilePath) -> Evaluation:
    """Return the scores of `model` on a labelled file, whose label has the name it had in training.

    Raises
    ------
    DataError
        As `Model.read_labelled` does.
    """
    rows, labels = model.read_labelled(path)
    X, none = model.scaled(rows), np.zeros(0, dtype=np.intp)
    empty = X[:0]
    data = Dataset(
        name=Path(path).name,
        X_train=empty,
        y_train=none,
        X_validation=empty,
        y_validation=none,
        X_test=X,
        y_test=labels,
        class_names=model.class_names,
        feature_names=model.feature_names,
        scaling=model.scaling,
    )
    logits = model.net.logits(X)
    counts = np.bincount(labels, minlength=data.n_classes) if model.class_counts is None else model.class_counts
    scores = score(labels, logits, counts)
    return Evaluation(data, logits, scores, model.unknown_levels(rows))

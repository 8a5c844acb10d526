"""The sample files in data/ are what data/README.md says they are."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_breast_cancer, load_iris

DATA = Path(__file__).parents[2] / "data"


def test_every_sample_file_is_explained() -> None:
    explanation = (DATA / "README.md").read_text(encoding="utf-8")
    files = [path.name for path in DATA.iterdir() if path.name != "README.md"]
    assert files
    assert all(f"| `{name}` |" in explanation for name in files)


@pytest.mark.parametrize(
    ("file", "source", "label"),
    [("iris.csv", load_iris, "species"), ("breast_cancer.csv", load_breast_cancer, "diagnosis")],
)
def test_a_sample_file_holds_the_data_of_scikit_learn(file: str, source: Callable[[], Any], label: str) -> None:
    bunch = source()
    with (DATA / file).open(encoding="utf-8", newline="") as text:
        header, *rows = csv.reader(text)
    assert header == [*bunch.feature_names, label]
    assert [[float(number) for number in row[:-1]] for row in rows] == bunch.data.tolist()
    assert [row[-1] for row in rows] == [str(bunch.target_names[label]) for label in bunch.target]

"""The sample files in data/ are what data/README.md says they are."""

from __future__ import annotations

import csv
from pathlib import Path

from sklearn.datasets import load_iris

DATA = Path(__file__).parents[1] / "data"


def test_every_sample_file_is_explained() -> None:
    explanation = (DATA / "README.md").read_text(encoding="utf-8")
    files = [path.name for path in DATA.iterdir() if path.name != "README.md"]
    assert files
    assert all(f"| `{name}` |" in explanation for name in files)


def test_iris_is_the_iris_of_scikit_learn_with_the_names_of_its_species() -> None:
    iris = load_iris()
    with (DATA / "iris.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == [*iris.feature_names, "species"]
    assert [[float(number) for number in row[:-1]] for row in rows] == iris.data.tolist()
    assert [row[-1] for row in rows] == [str(iris.target_names[label]) for label in iris.target]

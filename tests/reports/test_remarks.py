"""Remarks on misleading results, on the terminal and in summary.json, and which weights a run ended with."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinynet import Epoch, History
from tinynet.cli.main import main
from tinynet.config.sections import TrainingConfig
from tinynet.reports.remarks import kept_weights, remarks
from tinynet.reports.scores import score

LAST, BEST = TrainingConfig(), TrainingConfig(patience=5)
EVEN = np.array([50, 50])


def history(losses: list[float], validation: list[float] | None = None, accuracy: float = 0.9) -> History:
    pairs = zip(losses, validation or [math.nan] * len(losses), strict=True)
    return History(
        [Epoch(n, n, loss, accuracy, other, accuracy, 0.1, n, 0.1) for n, (loss, other) in enumerate(pairs, 1)]
    )


def remarked(run: History, training: TrainingConfig = LAST, scores: Any = None, counts: Any = EVEN) -> list[str]:
    return remarks(training, run, scores, counts, ("no", "yes"))


def trained(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> tuple[list[str], list[str]]:
    """Return the notes of a run on the terminal and those in its summary.json."""
    assert main(["train", *arguments, "--out", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    notes = [line.removeprefix("note").strip() for line in lines if line.startswith("note")]
    return notes, json.loads((folder / "summary.json").read_text(encoding="utf-8"))["remarks"]


def test_fault_57_a_loss_above_guessing_gets_a_note(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    exploding = ["optimizer.learning_rate=1e6", "network.activation='relu'", "training.epochs=6"]
    notes, stored = trained(capsys, tmp_path / "run", "moons", *exploding)
    assert notes == stored
    assert "training loss" in notes[0] and "0.6931" in notes[0] and "optimizer.learning_rate" in notes[0]
    assert remarked(history([0.8, 0.7])) != [] == remarked(history([0.8, 0.6]))
    lopsided = np.array([97, 3])  # the class frequencies have an entropy of 0.135
    assert len(remarked(history([0.8, 0.14], accuracy=0.98), counts=lopsided)) == 1
    assert remarked(history([0.8, 0.13], accuracy=0.98), counts=lopsided) == []


def test_fault_57_a_loss_that_ended_above_its_first_gets_a_note() -> None:
    (remark,) = remarked(history([0.3, 0.2, 0.4]))
    assert "0.4" in remark and "0.3" in remark and "first epoch" in remark
    assert remarked(history([0.3])) == remarked(history([])) == []


def test_fault_57_a_test_loss_above_guessing_gets_a_note() -> None:
    sure_and_wrong = score(np.array([0, 0, 1, 1]), np.array([[1.0, 0.0]] * 3 + [[30.0, 0.0]]), EVEN)
    assert "test loss" in remarked(history([0.5, 0.2]), scores=sure_and_wrong)[0]
    both = remarked(history([0.5, 0.2], [0.5, 0.9]), scores=sure_and_wrong)
    assert "validation loss rose" in both[0] and "test loss" in both[1]


def test_fault_58_an_accuracy_no_better_than_guessing_gets_a_note(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, rng: np.random.Generator
) -> None:
    rows = [f"{x:.3f},{'rare' if n % 50 < 3 else 'common'}" for n, x in enumerate(rng.normal(size=500))]
    (tmp_path / "table.csv").write_text("\n".join(["x,kind", *rows]) + "\n", encoding="utf-8")
    settings = ["[dataset]", 'name = "csv"', 'path = "table.csv"', "[training]", "epochs = 5"]
    (tmp_path / "table.toml").write_text("\n".join(settings), encoding="utf-8")
    notes, stored = trained(capsys, tmp_path / "run", str(tmp_path / "table.toml"))
    assert notes == stored
    assert "94.0 %" in notes[-1] and "'common'" in notes[-1]
    for right, said in ((93, True), (94, True), (95, False)):
        scores = {"loss": 0.2, "guessing_loss": 0.3, "accuracy": right / 100, "majority_accuracy": 0.94}
        assert bool(remarked(history([0.5, 0.2]), scores=scores)) is said
    balanced = TrainingConfig(class_weight="balanced")
    for recall, said in ((0.49, True), (0.5, True), (0.51, False)):
        scores = {"loss": 0.7, "guessing_loss": 0.3, "accuracy": 0.9, "balanced_accuracy": recall}
        found = remarked(history([0.9, 0.5]), balanced, scores | {"majority_accuracy": 0.94}, np.array([94, 6]))
        assert ("balanced test accuracy" in "".join(found)) is said
    assert "training accuracy" in remarked(history([0.6, 0.5], accuracy=0.5))[0]  # without a test part


def test_fault_59_a_validation_loss_that_rose_again_gets_a_note() -> None:
    risen = history([0.6, 0.4, 0.3, 0.2], [0.5, 0.45, 0.48, 0.5])
    (remark,) = remarked(risen)
    assert all(word in remark for word in ("0.45", "epoch 2", "0.5", "epoch 4", "training.keep=best"))
    assert remarked(history([0.6, 0.4, 0.3, 0.2], [0.5, 0.45, 0.48, 0.49])) == []
    assert remarked(risen, BEST) == []


def test_fault_59_the_output_says_which_weights_were_tested(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    risen = history([0.6, 0.4, 0.3, 0.2], [0.5, 0.45, 0.48, 0.5])
    assert kept_weights(LAST, risen) == "of epoch 4, the last; the lowest validation loss was in epoch 2"
    assert kept_weights(BEST, risen) == "of epoch 2, that of the lowest validation loss"
    assert kept_weights(LAST, history([0.5, 0.4])) == "of epoch 2, the last"
    assert main(["train", "iris", "training.epochs=2", "--out", str(tmp_path / "run")]) == 0
    assert "\nweights        of epoch 2, the last" in capsys.readouterr().out

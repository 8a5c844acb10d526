"""The programs in scripts/: each runs without a warning, draws its figure, prints the right numbers and is short."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "scripts"
SCRIPTS = sorted(set(FOLDER.glob("*.py")) - {FOLDER / "benchmark_gradients.py"})  # that one: test_benchmarks.py
Run = Callable[[str], tuple[str, Path]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs a script, once, and gives what it printed and where its figure is."""

    @cache
    def printed_and_figure(name: str) -> tuple[str, Path]:
        folder = tmp_path_factory.mktemp(name)
        script = next(script for script in SCRIPTS if script.stem == name)
        command = [sys.executable, "-W", "error", str(script), "figure.png"]
        process = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8")
        assert (process.returncode, process.stderr) == (0, "")
        return process.stdout, folder / "figure.png"

    return printed_and_figure


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\b\d+\.?\d*(?:e[-+]?\d+)?\b", text)]


def line_with(words: str, printed: str) -> str:
    (line,) = (line for line in printed.splitlines() if words in line)
    return line


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_has_40_lines_or_fewer_and_names_its_figure_after_itself(script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 40
    assert f'"{script.stem}.png"' in source


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_writes_a_figure_that_is_not_blank_and_nothing_else(script: Path, run: Run) -> None:
    printed, figure = run(script.stem)
    assert printed.strip()
    assert [path.name for path in figure.parent.iterdir()] == ["figure.png"]
    pixels = matplotlib.image.imread(figure)[..., :3]
    height, width, _ = pixels.shape
    assert height >= 400 and width >= 600
    for half in (pixels[:, : width // 2], pixels[:, width // 2 :]):
        assert (half.min(axis=2) < 0.9).mean() > 0.01


def test_numerical_diff_prints_the_slopes_of_the_textbook_and_counts_the_lost_steps(run: Run) -> None:
    printed, _ = run("numerical_diff")
    assert numbers(line_with("slope at 5", printed)) == pytest.approx([5, 0.2], abs=1e-11)
    assert numbers(line_with("slope at 10", printed)) == pytest.approx([10, 0.3], abs=1e-11)
    lost = sum(5 + 10.0**-k == 5 for k in range(1, 50))
    assert numbers(line_with("lost", printed))[:3] == [lost, 49, 10e-50]


def test_gradient_field_ends_where_each_learning_rate_leads(run: Run) -> None:
    printed, _ = run("gradient_field")
    shrunk = 0.8**100  # x ← x − 0.1 · 2x
    assert numbers(line_with("lr 0.1:", printed))[-2:] == pytest.approx([-3 * shrunk, 4 * shrunk], rel=1e-3)
    assert numbers(line_with("lr 1e-10:", printed))[-2:] == [-3, 4]
    assert min(map(abs, numbers(line_with("lr 10:", printed))[-2:])) > 1e11
    assert len(re.findall("warned: .* rounds to x", printed)) == 1


def test_two_by_three_measures_what_the_chain_rule_gives(run: Run) -> None:
    printed, _ = run("two_by_three")
    scores = [
        0.6 * 0.47355232 + 0.9 * 0.85557411,
        0.6 * 0.9977393 + 0.9 * 0.03563661,
        0.6 * 0.84668094 + 0.9 * 0.69422093,
    ]
    p = [math.exp(score) / sum(map(math.exp, scores)) for score in scores]
    gradient = [x * (p[k] - (k == 2)) for x in (0.6, 0.9) for k in range(3)]
    _, measured, closed_form = re.split("measured.*:|closed form:", printed)
    assert numbers(measured) == pytest.approx(gradient, abs=1e-8)
    assert numbers(closed_form)[:6] == pytest.approx(gradient, abs=1e-8)
    assert numbers(line_with("nats", printed)) == pytest.approx([-math.log(p[2])], abs=1e-8)
    assert 0 < numbers(line_with("largest difference", printed))[0] < 1e-8


@pytest.mark.parametrize(("name", "wanted"), [("train_digits", 96), ("train_moons", 95)])
def test_a_trained_network_reaches_the_accuracy_that_is_asked_of_it(name: str, wanted: float, run: Run) -> None:
    printed, _ = run(name)
    assert wanted <= numbers(line_with("test accuracy", printed))[0] <= 100


def test_train_digits_begins_at_chance_and_lowers_the_loss(run: Run) -> None:
    printed, _ = run("train_digits")
    (before,) = numbers(line_with("before training", printed))
    losses = [numbers(line)[1] for line in printed.splitlines() if line.startswith("epoch")]
    assert before == pytest.approx(math.log(10), abs=0.2)
    assert len(losses) == 4 and losses == sorted(losses, reverse=True) and losses[-1] < before / 10


def test_hard_thresholds_learn_from_wide_differences_alone(run: Run) -> None:
    printed, _ = run("train_hard_threshold")
    lines = [numbers(line) for line in printed.splitlines()]
    assert [line[0] for line in lines] == [1e-4, 0.2, 0.5, 1.0, 1e-4]
    narrow, *wide, tanh = (line[-1] for line in lines)
    assert narrow < 85 and min(wide) > 93 and max(wide) > tanh - 1.5


def test_workers_give_the_same_bits_at_every_cost_of_f(run: Run) -> None:
    printed, _ = run("workers")
    lines = printed.splitlines()
    assert len(lines) == 5 and all(line.endswith("give the same bits") for line in lines)
    costs, ratios = np.array([numbers(line) for line in lines])[:, [0, 2]].T
    assert (np.diff(costs) > 0).all() and (ratios > 0).all()

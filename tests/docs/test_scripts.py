"""The programs in scripts/: each is short, runs without a warning, draws its figure and prints the right numbers."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import numpy.typing as npt
import pytest
from programs import Run

FOLDER = Path(__file__).parents[2] / "scripts"
ELSEWHERE = {  # they draw no figure and have their own tests
    FOLDER / "benchmark_gradients.py",
    FOLDER / "figure.py",
    FOLDER / "write_api_page.py",
    FOLDER / "compare_gradient_checkers.py",
}
SCRIPTS = sorted(set(FOLDER.glob("*.py")) - ELSEWHERE)
IMAGES = Path(__file__).parents[2] / "docs" / "images"
Array = npt.NDArray[Any]


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\b\d+\.?\d*(?:e[-+]?\d+)?\b", text)]


def line_with(words: str, printed: str) -> str:
    (line,) = (line for line in printed.splitlines() if words in line)
    return line


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_is_short_and_names_its_figure_after_itself(script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 40
    assert f'figure_argument(__doc__, "{script.stem}.png")' in source


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_writes_a_figure_and_nothing_else(script: Path, run_script: Run) -> None:
    printed, figure = run_script(script.stem)
    assert printed.strip()
    assert [path.name for path in figure.parent.iterdir()] == ["figure.png"]
    pixels = matplotlib.image.imread(figure)[..., :3]
    height, width, _ = pixels.shape
    assert height >= 400 and width >= 600
    for half in (pixels[:, : width // 2], pixels[:, width // 2 :]):
        assert (half.min(axis=2) < 0.9).mean() > 0.01


def test_a_script_explains_its_argument_and_refuses_others(tmp_path: Path) -> None:
    for argument, status, expected in [
        ("--help", 0, "default: numerical_diff.png"),
        ("no/figure.png", 2, "there is no folder 'no'"),
        ("figure.doc", 2, ".png, .svg or .pdf"),
        ("figure.svg", 0, "slope at 5"),
    ]:
        command = [sys.executable, "-W", "error", str(FOLDER / "numerical_diff.py"), argument]
        display = {**os.environ, "MPLBACKEND": "tkagg", "DISPLAY": ""}  # no such display
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=display)
        assert ended.returncode == status and expected in ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr and [path.name for path in tmp_path.iterdir()] in ([], ["figure.svg"])


@pytest.mark.parametrize("name", [script.stem for script in SCRIPTS if (IMAGES / f"{script.stem}.png").exists()])
def test_the_figure_in_the_docs_is_what_the_script_draws(name: str, run_script: Run) -> None:
    _, figure = run_script(name)
    assert np.abs(tiles(IMAGES / f"{name}.png") - tiles(figure)).mean() < 0.01  # 0.007: all of it 4 pixels aside


def tiles(image: Path) -> Array:
    """Return the mean colours of squares of 20 pixels: another font changes them little, another curve much."""
    pixels = matplotlib.image.imread(image)[..., :3]
    height, width = pixels.shape[0] // 20, pixels.shape[1] // 20
    means = pixels[: height * 20, : width * 20].reshape(height, 20, width, 20, 3).mean(axis=(1, 3))
    return np.asarray(means)


def test_numerical_diff_prints_textbook_slopes_and_lost_steps(run_script: Run) -> None:
    printed, _ = run_script("numerical_diff")
    assert numbers(line_with("slope at 5", printed)) == [
        5,
        pytest.approx(0.2, abs=1e-12),
        pytest.approx(0.2 + 0.01 * 1e-4),
    ]
    assert numbers(line_with("slope at 10", printed)) == [
        10,
        pytest.approx(0.3, abs=1e-12),
        pytest.approx(0.3 + 0.01 * 1e-4),
    ]
    lost = sum(5 + 10.0**-k == 5 for k in range(1, 50))
    assert numbers(line_with("lost", printed))[:3] == [lost, 49, 10e-50]


def test_gradient_field_ends_where_each_learning_rate_leads(run_script: Run) -> None:
    printed, _ = run_script("gradient_field")
    for line in printed.splitlines()[:3]:
        x0, x1, *gradient = numbers(line)
        assert gradient == [2 * x0, 2 * x1]
    for lr, factor in [("0.1", 0.8), ("1e-10", 1 - 2e-10)]:  # x ← x − lr · 2x
        ends = pytest.approx([-3 * factor**100, 4 * factor**100], rel=2e-9)
        assert numbers(line_with(f"lr {lr}:", printed))[-2:] == ends
    assert numbers(line_with("lr 10:", printed))[-2:] == pytest.approx([-2.1e13, -1.3e12], rel=0.05)
    assert len(re.findall("warned: .* rounds to x", printed)) == 1


def test_two_by_three_measures_what_the_chain_rule_gives(run_script: Run) -> None:
    printed, _ = run_script("two_by_three")
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


@pytest.mark.parametrize(("name", "wanted"), [("training_loop", 95), ("train_digits", 96), ("train_moons", 95)])
def test_a_trained_network_reaches_the_required_accuracy(name: str, wanted: float, run_script: Run) -> None:
    printed, _ = run_script(name)
    assert wanted <= numbers(line_with("test accuracy", printed))[0] <= 100


def test_train_digits_starts_at_chance_and_lowers_the_loss(run_script: Run) -> None:
    printed, _ = run_script("train_digits")
    (before,) = numbers(line_with("before training", printed))
    losses = [numbers(line)[1] for line in printed.splitlines() if line.startswith("epoch")]
    assert before == pytest.approx(math.log(10), abs=0.2)
    assert len(losses) == 4 and losses == sorted(losses, reverse=True) and losses[-1] < before / 10


def test_workers_give_the_same_bits_however_slow_f_is(run_script: Run) -> None:
    printed, _ = run_script("workers")
    lines = printed.splitlines()
    assert len(lines) == 4 and all(line.endswith("give the same bits") for line in lines)
    costs, ratios = np.array([numbers(line) for line in lines])[:, [0, 2]].T
    assert costs[-1] > costs[0] and (ratios > 0).all()  # durations: those in between depend on the load

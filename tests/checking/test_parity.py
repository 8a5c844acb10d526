"""`tinynet check --parity`: two trainings, the certificate about them, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from pages import train as train_into
from reference import backpropagation as by_hand

from tinynet import TwoLayerNet
from tinynet.activations import get_activation
from tinynet.checking.parity import Moment, Parity, backpropagation, derivative_of, parity
from tinynet.cli.main import main
from tinynet.config.building import prepare
from tinynet.config.loading import load_config
from tinynet.gradients import series as differences

SHORT = "training.epochs=4"


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def trained_twice(config: str, *overrides: str) -> Parity:
    return parity(prepare(load_config(config, overrides)))


# The command


def test_the_certificate_is_printed_in_80_columns_and_saved(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "iris", SHORT, "--parity", "--out", "p"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and max(map(len, out.splitlines())) <= 80
    assert out.startswith("iris: network 4-10-3 (") and "\nPARITY" in out
    rows = re.findall(r"^(\d+) +(\d\.\d\d) +\S+e", out, flags=re.MULTILINE)
    assert [int(step) for step, _ in rows] == [0, 1, 2, 4, 7, 8, 14, 16, 21, 28]  # powers of 2, ends of 7 steps
    assert Path("p", "parity.txt").read_text(encoding="utf-8") in out
    height, width, _ = matplotlib.image.imread(Path("p", "parity.png")).shape
    assert width > 2 * height > 800


def test_units_without_a_derivative_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "iris", "network.activation='sign'", "--parity", "--out", "p"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and not list(Path().iterdir())
    assert err.startswith("tinynet: network.activation: 'sign' has no derivative")


def test_a_custom_function_is_refused_even_under_a_known_name() -> None:
    def tanh(a: Any) -> Any:
        return np.tanh(a) / 2

    with pytest.raises(ValueError, match=r"'tanh' has no derivative .* knows its values alone"):
        derivative_of(get_activation(tanh))


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ("digits", r"the loss became nan in epoch 1, step \d, at learning rate \S+; try a smaller learning rate"),
        ("iris", r"the loss of the training by backpropagation became nan; try a smaller learning rate"),
    ],
)
def test_a_diverging_training_is_certified_up_to_that_point(
    config: str, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    huge, kept = ["network.activation='relu'", "optimizer.learning_rate=1e30"], ["--out", "p"] * (config == "iris")
    assert main(["check", config, SHORT, *huge, "--parity", *kept]) == 3
    out, err = capsys.readouterr()
    assert re.fullmatch(f"tinynet: {fault}\n", err) and re.search(f"NO PARITY: {fault}", " ".join(out.split()))
    assert max(map(len, out.splitlines())) <= 80 and Path("p", "parity.png").is_file() == bool(kept)


def test_a_broken_engine_has_no_parity(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    right = differences.difference_quotients

    def wrong(*arguments: Any) -> dict[str, Any]:
        gradient = right(*arguments)
        return gradient | {"W2": gradient["W2"] * (1 + 1e-5)}

    monkeypatch.setattr(differences, "difference_quotients", wrong)
    assert main(["check", "iris", SHORT, "--parity"]) == 3
    out, err = capsys.readouterr()
    assert "\nNO PARITY: " in out and re.search(r"^step .* 1$", out, flags=re.MULTILINE)
    assert re.match(r"tinynet: parity is not shown: in step 1 the gradients differ by \d\.\de-06 of the largest", err)
    assert "W2[" in err


# The two trainings


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "relu", "silu"])
def test_backpropagation_is_the_limit_of_the_quotients(name: str, rng: np.random.Generator) -> None:
    net, X, y = TwoLayerNet(5, 4, 3, activation=name, seed=1), rng.standard_normal((12, 5)), rng.integers(0, 3, 12)
    slope = backpropagation(net.params, net.activation, X, y)
    quotient = net.numerical_gradient(X, y, h=1e-6, method="exact")
    for key in slope:
        np.testing.assert_allclose(slope[key], quotient[key], rtol=1e-8, atol=1e-10)


def test_the_first_training_has_the_bits_of_tinynet_train() -> None:
    settings = ("training.epochs=3", "seed=2", "optimizer.nesterov=true", "optimizer.warmup_epochs=1.0")
    found = trained_twice("iris", *settings)
    folder = train_into(Path("run"), "iris", *settings)
    with np.load(folder / "model.npz", allow_pickle=False) as model:
        for key, param in found.run.net.params.items():
            assert model[key].tobytes() == param.tobytes(), key


def test_the_second_training_is_plain_backpropagation() -> None:
    found = trained_twice("moons", "training.epochs=2", "optimizer.schedule='constant'", "network.activation='tanh'")
    run = prepare(load_config("moons", ["network.activation='tanh'"]))
    X, y, params = run.dataset.X_train, run.dataset.y_train, run.net.params
    velocity = {key: np.zeros_like(param) for key, param in params.items()}
    for epoch in (1, 2):
        order = np.random.default_rng([0, epoch]).permutation(len(X))
        for start in range(0, len(X), 50):
            rows = order[start : start + 50]
            z = np.tanh(X[rows] @ params["W1"] + params["b1"])
            gradient = by_hand(params, lambda a, z: 1 - z**2, z, X[rows], y[rows])
            for key, param in params.items():
                velocity[key] = 0.9 * velocity[key] + gradient[key]
                param -= 0.1 * velocity[key]
    ours, last = found.net.params, found.moments[-1]
    assert last.backpropagation_loss == pytest.approx(run.net.loss(X, y), rel=1e-13)
    assert last.loss == pytest.approx(found.run.net.loss(X, y), rel=1e-13)
    flat, twin = (np.concatenate([each[key].ravel() for key in ours]) for each in (ours, params))
    assert last.distance == pytest.approx(np.linalg.norm(flat - twin) / np.linalg.norm(flat), rel=1e-4)
    assert found.distances[-1] == last.distance


# The certificate


def test_with_a_small_step_every_difference_is_rounding() -> None:
    found = trained_twice("iris", SHORT, "gradient.h=1e-6")
    assert not found.first
    assert max(found.gaps) < 1e-11 and len(found.gaps) == len(found.distances) == 28
    assert "\nPARITY\n" in found.text()


def test_truncation_enters_at_once_and_falls_with_h_squared() -> None:
    wide, usual = (trained_twice("iris", SHORT, f"gradient.h={h}") for h in (1e-3, 1e-4))
    run, rows = prepare(load_config("iris")), np.random.default_rng([0, 1]).permutation(105)[:16]
    slopes = backpropagation(run.net.params, run.net.activation, run.dataset.X_train[rows], run.dataset.y_train[rows])
    for found in (wide, usual):
        (gap,) = found.first.values()
        assert gap.step == 1 and found.fault() is None
        key, _, index = gap.entry.rstrip("]").partition("[")
        assert gap.derivative == pytest.approx(slopes[key][tuple(map(int, index.split(", ")))], rel=1e-13)
    assert wide.gaps[0] / usual.gaps[0] == pytest.approx(100, rel=0.01)


def test_relu_trainings_separate_at_a_kink_in_a_window() -> None:
    found = trained_twice("digits", "network.activation='relu'", "training.epochs=1")
    beyond = found.first["beyond truncation"]
    assert beyond.kinks > 0 and "unexplained" not in found.first
    assert max(found.gaps[: beyond.step - 1]) < 1e-7 < 1e-5 < found.gaps[beyond.step - 1]
    assert "\nPARITY but for kinks\n" in found.text()


def test_too_large_a_step_separates_by_truncation_alone() -> None:
    found = trained_twice("iris", SHORT, "gradient.h=5.0")
    assert found.fault() is None
    assert "\nNO PARITY to the end" in found.text()


def test_digits_are_counted_from_the_relative_difference() -> None:
    for losses, digits in {(1.0, 1.0): np.inf, (1.0, 1.001): 3.0, (1e-5, 1.00001e-5): 5.0, (0.0, 1.0): 0.0}.items():
        assert Moment(1, 1.0, 0.0, *losses).digits == pytest.approx(digits, abs=1e-9)


def test_parity_has_no_early_stopping() -> None:
    found = trained_twice("iris", "training.patience=1", "training.epochs=6", "optimizer.learning_rate=3.0")
    assert len(found.gaps) == 6 * 7


def test_weights_whose_squares_overflow_have_a_distance() -> None:
    found = trained_twice("iris", "optimizer.learning_rate=1e200", "training.epochs=2")
    assert all(np.isfinite(found.distances))

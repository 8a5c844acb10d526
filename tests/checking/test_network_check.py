"""`tinynet check`: engine, step and kinks against independent oracles."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from reference import backpropagation, extended_gradient

from tinynet import TwoLayerNet
from tinynet.activations import get_activation
from tinynet.checking import network_check as check_module
from tinynet.checking.extended_precision import Extended
from tinynet.checking.network_check import Check, bound, check, reaches
from tinynet.checking.slopes import Kink, find_kinks
from tinynet.cli.main import main
from tinynet.config.building import prepare
from tinynet.config.loading import load_config
from tinynet.gradients import series as differences

EVERY = [("W1", (1, 2)), ("W1", (4, 0)), ("b1", (3,)), ("W2", (0, 1)), ("W2", (3, 2)), ("b2", (0,))]


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@cache
def checked(config: str, *overrides: str) -> Check:
    return measured_anew(config, *overrides)


def measured_anew(config: str, *overrides: str) -> Check:
    return check(prepare(load_config(config, overrides)))


def small(activation: Any, rng: np.random.Generator) -> tuple[TwoLayerNet, Any, Any]:
    return TwoLayerNet(5, 4, 3, activation=activation, seed=1), rng.standard_normal((12, 5)), rng.integers(0, 3, 12)


def break_engine(monkeypatch: pytest.MonkeyPatch, key: str, factor: float) -> None:
    """Multiply the engine's entries of one array by a factor."""
    right = differences.difference_quotients

    def wrong(*arguments: Any) -> dict[str, Any]:
        gradient = right(*arguments)
        return gradient | {key: gradient[key] * factor}

    monkeypatch.setattr(differences, "difference_quotients", wrong)


# The command


@pytest.mark.parametrize("words", [[], ["network.activation='relu'"], ["network.activation='sign'", "gradient.h=0.5"]])
def test_the_command_prints_all_parts_in_80_columns(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    kept = [] if words else ["--out", "c"]
    assert main(["check", "iris", *words, *kept]) == 0
    out, err = capsys.readouterr()
    assert err == "" and max(map(len, out.splitlines())) <= 80
    first, *parts = out.split("\n\n")
    assert first.startswith("iris: network 4-10-3 (")
    assert [part.split()[0] for part in parts] == ["THE", "THE", "KINKS", *(["figure"] if kept else [])]
    assert re.search(r"^bound  \d\.\de-09  kept$", parts[0], flags=re.MULTILINE)
    assert "your h" in parts[1] and "Recommended" in parts[1]
    if kept:
        assert Path("c", "check.txt").read_text(encoding="utf-8") == out.rpartition("\nfigure")[0]
        height, width, _ = matplotlib.image.imread(Path("c", "check.png")).shape
        assert width > 2 * height > 800
    assert sorted(path.name for path in Path().rglob("*.*")) == (["check.png", "check.txt"] if kept else [])


def test_a_wrong_config_gives_one_line_and_creates_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "iris", "gradient.h=0", "--out", "c"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "gradient.h" in err
    assert not list(Path().iterdir())


def test_a_loss_that_is_not_finite_has_no_gradient_to_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "iris", "network.activation='relu'", "network.weight_scale=1e200"]) == 3
    assert capsys.readouterr().err.startswith("tinynet: the loss became")


@pytest.mark.parametrize("key", ["W1", "b2"])
def test_a_broken_engine_is_detected_and_its_weight_named(
    key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    break_engine(monkeypatch, key, 1 + 1e-6)
    assert main(["check", "iris"]) == 3
    out, err = capsys.readouterr()
    assert re.search(r"^bound .* EXCEEDED$", out, flags=re.MULTILINE)
    assert re.match(rf"tinynet: the error of auto is .* above its bound of 1.0e-09: {key}\[\d+(, \d+)?\] is ", err)


def test_an_engine_that_gives_nan_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    break_engine(monkeypatch, "b2", np.nan)
    found = measured_anew("iris")
    nan = found.errors["auto"] == np.inf
    assert found.fault() and {key for (key, _), is_nan in zip(found.weights, nan, strict=True) if is_nan} == {"b2"}


# The engine


@pytest.mark.parametrize("name", ["tanh", "relu", "silu", "sign", "quantised:4"])
@pytest.mark.parametrize("h", [1e-4, 0.5])
def test_moving_a_weight_gives_the_extended_precision_quotient(name: str, h: float, rng: np.random.Generator) -> None:
    net, X, y = small(name, rng)
    truth = extended_gradient(net.params, net.activation.function, X, y, h)
    got = Extended(net, X, y).quotients(EVERY, h)
    np.testing.assert_allclose(got, [truth[key][index] for key, index in EVERY], rtol=1e-12, atol=1e-14)
    assert got.dtype == np.longdouble


@pytest.mark.parametrize(
    ("name", "derivative"),
    [("tanh", lambda a, z: 1 - z**2), ("sigmoid", lambda a, z: z * (1 - z)), ("relu", lambda a, z: a > 0)],
)
def test_the_extrapolated_slope_is_within_its_error_estimate(
    name: str, derivative: Callable[[Any, Any], Any], rng: np.random.Generator
) -> None:
    net, X, y = small(name, rng)
    wide = {key: param.astype(np.longdouble) for key, param in net.params.items()}
    z = net.activation(X @ wide["W1"] + wide["b1"])
    truth = backpropagation(wide, derivative, z, X.astype(np.longdouble), y)
    slopes, errors = Extended(net, X, y).slopes(EVERY)
    gaps = np.abs(slopes - [truth[key][index] for key, index in EVERY]).astype(float)
    assert gaps.max() < 1e-14 and (gaps <= 10 * errors).all() and errors.max() < 1e-12


def test_errors_are_measured_against_the_extended_loop() -> None:
    found = checked("iris")
    case_X, case_y = first_batch(found)
    net = found.run.net
    truth = extended_gradient(net.params, net.activation.function, case_X, case_y, 1e-4)
    for method in ("auto", "loop"):
        gradient = net.numerical_gradient(case_X, case_y, method=method)
        errors = [float(abs(gradient[key][index] - truth[key][index])) / found.scale for key, index in found.weights]
        np.testing.assert_allclose(found.errors[method], errors, rtol=0.01, atol=2e-15)
        for key, entries in gradient.items():
            own = [index for name, index in found.weights if name == key]
            assert len(own) == min(10, entries.size)
            assert tuple(map(int, np.unravel_index(np.abs(entries).argmax(), entries.shape))) in own
    assert found.errors["auto"].max() < 1e-12 < found.errors["loop"].max()


def first_batch(found: Check) -> tuple[Any, Any]:
    data, size = found.run.dataset, found.run.config.training.batch_size
    rows = np.random.default_rng([found.run.config.seed, 1]).permutation(len(data.X_train))[:size]
    return data.X_train[rows], data.y_train[rows]


def test_the_network_is_left_as_it_was() -> None:
    first = checked("iris").net.params
    for key, param in prepare(load_config("iris")).net.params.items():
        assert first[key].tobytes() == param.tobytes()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("gradient.method='series'", "none is promised"),
        ("gradient.method='loop'", "none is promised"),
        ("network.weight_scale=1e200", "losses this large lose too many digits even in extended precision"),
    ],
)
def test_a_missing_bound_is_stated(word: str, said: str) -> None:
    found = checked("iris", word)
    assert found.fault() is None and said in found.text()


@pytest.mark.parametrize("h", [1e-10, 1e-14])
def test_a_tiny_h_does_not_blame_the_engine_for_rounding(h: float) -> None:
    found = checked("iris", f"gradient.h={h}")
    assert found.fault() is None and found.errors["auto"].max() < 1e-11
    case_X, case_y = first_batch(found)
    rounding = Extended(found.run.net, case_X, case_y).quotients(found.weights, h)
    assert float(np.abs(rounding - Extended(found.run.net, case_X, case_y).truth(found.weights, h)).max()) > 1e-11


def test_the_bound_is_the_documented_one(rng: np.random.Generator) -> None:
    net, X, y = small("tanh", rng)
    ordinary = bound(net, X, y, 1e-4, 0.1)
    assert 1e-9 < ordinary < 2e-9
    assert bound(net, X * 1e6, y, 1e-4, 0.1) > 1e3 * ordinary
    assert bound(net, X, y, 1e-9, 0.1) == pytest.approx((ordinary - 1e-9) * 1e5, rel=1e-3)


def test_a_large_batch_is_cut_and_the_text_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_module, "MAX_PRODUCTS", 500)
    monkeypatch.setattr(check_module, "MAX_OF_LOOP", 1e5)
    found = measured_anew("iris")
    assert len(found.X) == 500 // 83 == 6 and "samples 6 of 16" in found.text()
    assert len(found.weights) == 4 + 4 + 4 + 3


# The step


def test_truncation_falls_as_h_squared_and_rounding_as_its_inverse() -> None:
    curve = checked("iris").curve
    at = {f"{h:.0e}": n for n, h in enumerate(curve.h)}
    engine, loop, truncation = (curve.columns[name] for name in ("auto", "loop", "truncation"))
    assert truncation[at["1e-02"]] / truncation[at["1e-04"]] == pytest.approx(1e4, rel=0.01)
    assert 10 < loop[at["1e-10"]] / loop[at["1e-08"]] < 1000
    assert engine[at["1e-12"]] < 3 * engine[at["1e-08"]] < 1e-12
    assert engine[at["1e-04"]] == pytest.approx(truncation[at["1e-04"]], rel=0.01)
    best = engine[curve.h == curve.recommended]
    assert curve.recommended < 1e-5 and best < 1e-12
    assert best <= 2 * engine.min() and (engine[curve.h > curve.recommended] > 2 * engine.min()).all()


@pytest.mark.parametrize("h", [2e-5, 1e-14, 30.0])
def test_the_chosen_step_is_in_the_table(h: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_module, "STEPS", np.array([1e-4, 1e-6]))
    steps = measured_anew("iris", f"gradient.h={h}").curve.h
    assert sorted([h, 1e-4, 1e-6], reverse=True) == list(steps)


def test_units_that_jump_get_a_width_and_no_slope() -> None:
    found = checked("iris", "network.activation='sign'", "gradient.h=0.2")
    net, X, curve = found.run.net, found.run.dataset.X_train, found.curve
    needed = np.sort((np.abs(X @ net.params["W1"]) / np.maximum(1, np.abs(X).max(axis=1, keepdims=True))).ravel())
    assert curve.recommended == pytest.approx(needed[int(0.75 * len(needed))], rel=0.05)
    assert list(curve.columns) == ["share"] and curve.columns["share"][curve.h == 0.2] == np.mean(needed <= 0.2)
    assert f"Recommended: h = {curve.recommended:.1g}" in found.text()
    zero = checked("iris", "network.activation='sign'", "network.weight_scale=0.0")
    assert "None is recommended" in zero.text()


# Kinks


@pytest.mark.parametrize(
    ("function", "kinks"),
    [
        *[(name, []) for name in ("tanh", "sigmoid", "silu", lambda a: np.sin(20 * a), lambda a: np.exp(-(a**2)))],
        ("relu", [Kink(0.0, is_jump=False)]),
        ("sign", [Kink(0.0, is_jump=True)]),
        ("quantised:4", [Kink(at, is_jump=True) for at in (-0.666667, 0.0, 0.666667)]),
        (lambda a: np.tanh(a) + 0.05 * np.abs(a - 0.3), [Kink(0.3, is_jump=False)]),
        (lambda a: np.clip(a, -0.5, 0.5) + (a > 0.7), [Kink(-0.5, False), Kink(0.5, False), Kink(0.7, True)]),
    ],
)
def test_kinks_are_found_anywhere_from_values_alone(function: Any, kinks: list[Kink]) -> None:
    for low, high in ((-3.1, 4.0), (-0.9, 0.9), (-2000.0, 3000.0)):
        found = find_kinks(get_activation(function), low, high)
        if high > 1000 and not kinks:  # a wave of length 0.3 or a bell, scanned in steps of a hundred
            assert len(found) <= 2
            continue
        assert [kink.is_jump for kink in found] == [kink.is_jump for kink in kinks]
        np.testing.assert_allclose([kink.at for kink in found], [kink.at for kink in kinks], atol=2e-6)
    assert len(find_kinks(get_activation("quantised:256"), -3.0, 3.0)) == 255


def test_the_units_with_the_most_kinks_are_named() -> None:
    found = checked("iris", "network.activation='relu'", "gradient.h=0.05")
    X, net = found.run.dataset.X_train, found.run.net
    by_hand = (np.abs(X @ net.params["W1"]) <= 0.05 * np.maximum(1, np.abs(X).max(axis=1, keepdims=True))).sum(axis=0)
    np.testing.assert_array_equal(found.met, by_hand)
    assert f"{by_hand.argmax()} ({by_hand.max()})" in found.text()
    assert f"{by_hand.sum()} of 1,050 pairs" in found.text()
    assert (reaches(found.a, X, []) == np.inf).all()


# The page


def test_the_page_shows_what_the_commands_print(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "check.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```\n\$ tinynet (.*)\n((?:.*\n)*?)```$", page, flags=re.MULTILINE)
    assert len(shown) == 2
    for command, text in shown:
        assert main(shlex.split(command)) == 0
        assert without_figures(capsys.readouterr().out) == without_figures(text), command


def without_figures(text: str) -> list[str]:
    return re.sub(r"[-\d][\d.,]*(e[-+]\d+)?", "N", text).split()

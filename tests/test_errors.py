"""Errors: ordinary except clauses catch them, they survive pickling, and they name what was received."""

from __future__ import annotations

import copy
import math
import pickle
import sys
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinynet import (
    ConfigError,
    DataError,
    DivergedError,
    Epoch,
    History,
    InvalidTypeError,
    InvalidValueError,
    NumericalWarning,
    RunFolderError,
    TinynetError,
    errors,
)
from tinynet.errors import check_choice, check_integer, check_memory, check_number, did_you_mean

ROOT = Path(__file__).parents[1]


def diverged() -> DivergedError:
    error = DivergedError(3, 17, 0.5, math.inf)
    error.history = History([Epoch(1, 8, 0.5, 0.9, 0.6, 0.8, 0.5, 100, 0.1, 1.0, 0.5)])
    return error


ERRORS: list[tuple[TinynetError, type[Exception]]] = [
    (InvalidValueError("x"), ValueError),
    (InvalidTypeError("x"), TypeError),
    (DataError("x"), ValueError),
    (ConfigError(["digits.toml: a: one", "command line: b: two"]), ValueError),
    (RunFolderError("x"), OSError),
    (diverged(), ArithmeticError),
]


def test_an_ordinary_except_clause_catches_each_error() -> None:
    for error, ordinary in ERRORS:
        assert isinstance(error, ordinary) and isinstance(error, TinynetError)
    assert issubclass(NumericalWarning, UserWarning)


@pytest.mark.parametrize("duplicate", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize("error", [error for error, _ in ERRORS])
def test_an_error_survives_pickling_and_copying(error: TinynetError, duplicate: Callable[[Any], Any]) -> None:
    other = duplicate(error)
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert vars(other) == vars(error)


@pytest.mark.parametrize(
    ("loss", "learning_rate", "message"),
    [
        (math.nan, 0.5, "the loss became nan in epoch 3, step 17, at learning rate 0.5; try a smaller learning rate"),
        (math.inf, 1e9, "the loss became inf in epoch 3, step 17, at learning rate 1e+09; try a smaller learning rate"),
        (0.25, 0.5, "the gradient became nan or inf in epoch 3, step 17, at learning rate 0.5; try a smaller"),
        (math.nan, math.nan, "the loss became nan in epoch 3, step 17; try a smaller learning rate"),
    ],
)
def test_a_divergence_names_epoch_and_step(loss: float, learning_rate: float, message: str) -> None:
    error = DivergedError(3, 17, learning_rate, loss)
    assert str(error).startswith(message)
    assert (error.epoch, error.step, error.history) == (3, 17, None)


def test_any_integer_or_real_type_is_accepted() -> None:
    integers = [check_integer("n", value, 1, 3) for value in (3, np.int8(3), np.uint64(3))]
    numbers = [check_number("x", value, 0.25, 1.0) for value in (0.25, np.float32(0.25), Fraction(1, 4))]
    assert (integers, {*map(type, integers)}) == ([3] * 3, {int})
    assert (numbers, {*map(type, numbers)}) == ([0.25] * 3, {float})


def test_anything_but_an_integer_or_a_number_is_a_type_error() -> None:
    neither: list[Any] = [True, "3", None, Decimal(3), np.bool_(True), [3], np.array([0.25]), 1j]
    for value in [*neither, 3.0, np.float64(3)]:
        with pytest.raises(InvalidTypeError, match="n must be an integer, got "):
            check_integer("n", value, 1)
    for value in neither:
        with pytest.raises(InvalidTypeError, match="x must be a number, got "):
            check_number("x", value)


def test_an_integer_out_of_range_names_its_limits() -> None:
    for limits, message in (([8], "at least 8"), ([1, 6], "at least 1 and at most 6")):
        with pytest.raises(InvalidValueError, match=f"^n must be {message}, got 7$"):
            check_integer("n", 7, *limits)


@pytest.mark.parametrize(
    ("value", "limits", "message"),
    [
        (math.nan, {}, "x must be a finite number, got nan"),
        (-math.inf, {}, "x must be a finite number, got -inf"),
        (10**400, {}, "x must be a finite number, got 1000"),
        (-1, {"low": 0}, "x must be a finite number at least 0, got -1"),
        (0.0, {"low": 0, "closed": False}, "x must be a finite number above 0, got 0.0"),
        (1, {"low": 0, "high": 1}, "x must be a finite number at least 0 and below 1, got 1"),
        (2, {"high": 1}, "x must be a finite number below 1, got 2"),
    ],
)
def test_a_number_out_of_range_names_its_limits(value: Any, limits: Any, message: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        check_number("x", value, **limits)
    assert str(caught.value).startswith(message)


def test_a_choice_is_returned_or_the_nearest_is_named() -> None:
    assert check_choice("method", "exact", ["auto", "exact"]) == "exact"
    message = r"^unknown method 'exat'; did you mean 'exact'\? allowed: auto, exact$"
    with pytest.raises(InvalidValueError, match=message):
        check_choice("method", "exat", ["auto", "exact"])
    with pytest.raises(InvalidValueError, match=r"^unknown method \['auto'\]; did you mean 'auto'|; allowed: auto$"):
        check_choice("method", ["auto"], ["auto"])
    assert did_you_mean("zzz", ["auto", "exact"]) == "; allowed: auto, exact"


def test_a_memory_error_names_the_size_needed_and_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", {"SC_PHYS_PAGES": 2**18, "SC_PAGE_SIZE": 4096}.__getitem__)
    check_memory("the weights", 2**27)
    with pytest.raises(InvalidValueError, match=r"would take 1\.0 GiB"):
        check_memory("the weights", 2**27 + 1)
    message = "the weights would take 1,536.0 GiB; this machine has 1.0 GiB of memory"
    with pytest.raises(InvalidValueError, match=message):
        check_memory("the weights", 2**27 * 1536)
    with pytest.raises(InvalidValueError, match="GiB of memory"):
        check_memory("the weights", 10**400)  # beyond any float


def test_a_missing_extra_names_a_command_for_this_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for clone, what in ((ROOT, "-e '.[onnx]'"), (tmp_path, f"-e '{ROOT}[onnx]'")):
        monkeypatch.chdir(clone)
        assert errors.missing_extra("onnx", "onnx").endswith(f" -m pip install {what}")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert ": python -m pip" in errors.missing_extra("onnx", "onnx")
    monkeypatch.setenv("PATH", "")
    assert f": {sys.executable} -m pip" in errors.missing_extra("onnx", "onnx")
    monkeypatch.setattr(errors, "__file__", str(tmp_path / "site-packages" / "tinynet" / "errors.py"))
    listed = ["numpy>=1.26", 'onnx>=1.16; extra == "onnx"', 'dask[distributed]>=2024.1; extra == "cluster"']
    monkeypatch.setattr("importlib.metadata.requires", lambda name: listed if name == "tinynet-trainer" else [])
    assert errors.missing_extra("dask", "cluster").endswith("pip install 'dask[distributed]>=2024.1'")

"""Learning-rate schedules: their formulas, their limits, and how training uses them."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinynet import SGD, InvalidTypeError, InvalidValueError, TwoLayerNet, schedules, train
from tinynet.schedules import Schedule, constant, cosine, step

RATES = st.floats(1e-6, 1e3)
TIMES = st.floats(0, 100)
WARMUPS = st.floats(0, 49)
EVERY: dict[str, Callable[..., Schedule]] = {
    "constant": constant,
    "step": lambda rate, **warmup: step(rate, step_epochs=50, step_factor=0.5, **warmup),
    "cosine": lambda rate, **warmup: cosine(rate, epochs=50, **warmup),
}


def test_schedules_can_be_pickled() -> None:
    for make in EVERY.values():
        schedule = make(0.3, warmup_epochs=2)
        assert [pickle.loads(pickle.dumps(schedule))(t) for t in (1, 7, 60)] == [schedule(t) for t in (1, 7, 60)]


@given(RATES, TIMES)
def test_a_constant_rate_is_the_same_bits_at_any_time(rate: float, t: float) -> None:
    assert constant(rate)(t) == rate


@given(RATES, TIMES, st.integers(1, 30), st.floats(0.01, 0.99))
def test_a_step_schedule_applies_its_factor_every_few_epochs(
    rate: float, t: float, step_epochs: int, factor: float
) -> None:
    expected = rate
    for epoch in range(step_epochs, 101, step_epochs):
        expected *= factor if epoch <= t else 1.0
    assert step(rate, step_epochs=step_epochs, step_factor=factor)(t) == pytest.approx(expected, rel=1e-12)


def test_a_step_schedule_divides_by_ten_by_default() -> None:
    assert [step(1.0, step_epochs=2)(t) for t in (1.999, 2.0, 3.999, 4.0)] == pytest.approx([1, 0.1, 0.1, 0.01])


@given(RATES, TIMES, st.integers(50, 100), WARMUPS)
def test_a_cosine_follows_the_formula_of_loshchilov_and_hutter(
    rate: float, t: float, epochs: int, warmup: float
) -> None:
    half_angle = np.pi / 2 * np.clip((np.longdouble(t) - warmup) / (epochs - warmup), 0, 1)  # (1 + cos 2x) / 2 = cos² x
    expected = float(rate * np.cos(half_angle) ** 2) * (t / warmup if t < warmup else 1.0)
    assert cosine(rate, epochs=epochs, warmup_epochs=warmup)(t) == pytest.approx(expected, rel=1e-9, abs=1e-15 * rate)


@pytest.mark.parametrize("name", EVERY)
@given(rate=RATES, warmup=st.floats(1e-3, 49))
def test_a_warm_up_rises_linearly_to_the_rate(name: str, rate: float, warmup: float) -> None:
    schedule = EVERY[name](rate, warmup_epochs=warmup)
    times = np.linspace(0, warmup, 9)
    assert [schedule(t) for t in times] == pytest.approx(rate * np.arange(9) / 8)
    assert schedule(warmup) == rate


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: constant(0.0), "learning_rate must be a finite number above 0, got 0.0"),
        (lambda: constant(math.nan), "learning_rate must be a finite number above 0, got nan"),
        (lambda: constant(0.1, warmup_epochs=-1), "warmup_epochs must be a finite number at least 0, got -1"),
        (lambda: step(0.1, step_epochs=0), "step_epochs must be at least 1, got 0"),
        (lambda: step(0.1, step_epochs=1, step_factor=0.0), "step_factor must be .* above 0 and below 1, got 0.0"),
        (lambda: step(0.1, step_epochs=1, step_factor=1.0), "step_factor must be .* above 0 and below 1, got 1.0"),
        (lambda: cosine(0.1, epochs=0), "epochs must be at least 1, got 0"),
        (lambda: cosine(0.1, epochs=5, warmup_epochs=5), "warmup_epochs must be below epochs, 5, got 5"),
        (lambda: cosine(-0.1, epochs=5), "learning_rate must be a finite number above 0, got -0.1"),
    ],
)
def test_fault_06_a_schedule_out_of_range_is_refused(make: Callable[[], Schedule], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        make()


def test_fault_05_a_schedule_of_the_wrong_type_is_refused() -> None:
    half: Any = 1.5
    with pytest.raises(InvalidTypeError, match=r"step_epochs must be an integer, got 1\.5"):
        step(0.1, step_epochs=half)


# In training


def trained(optimizer: Any, schedule: Schedule | None, epochs: int = 3) -> tuple[TwoLayerNet, list[float]]:
    """Train on 20 samples in batches of 8, three steps an epoch; return the network and the recorded rates."""
    rng = np.random.default_rng(4)
    net = TwoLayerNet(4, 5, 3, seed=1)
    X, y = rng.standard_normal((20, 4)), rng.integers(0, 3, 20)
    history = train(net, X, y, optimizer, epochs=epochs, batch_size=8, seed=0, schedule=schedule)
    return net, history["learning_rate"]


class Recorder(SGD):
    """SGD that records the rate of every step."""

    def __init__(self) -> None:
        super().__init__(1.0, momentum=0.5)
        self.rates: list[float] = []

    def update(self, params: Any, grads: Any) -> None:
        self.rates.append(self.learning_rate)
        super().update(params, grads)


def test_a_step_uses_the_rate_at_its_middle() -> None:
    optimizer = Recorder()
    _, recorded = trained(optimizer, lambda t: 0.01 * t, epochs=2)
    assert optimizer.rates == pytest.approx([0.01 * t / 6 for t in (1, 3, 5, 7, 9, 11)])
    assert recorded == [optimizer.rates[2], optimizer.rates[5]]


def test_a_constant_schedule_gives_the_same_bits_as_none() -> None:
    without, rates = trained(SGD(0.3, momentum=0.9), None)
    for rate in (0.3, 0.7):  # the schedule's replaces the optimizer's
        with_schedule, recorded = trained(SGD(rate, momentum=0.9), constant(0.3))
        assert all(param.tobytes() == with_schedule.params[key].tobytes() for key, param in without.params.items())
        assert recorded == rates == [0.3] * 3


@pytest.mark.parametrize("name", EVERY)
def test_no_step_of_a_run_has_a_rate_of_zero(name: str) -> None:
    optimizer = Recorder()
    trained(optimizer, EVERY[name](0.1, warmup_epochs=2), epochs=50)
    assert len(optimizer.rates) == 150
    assert 0 < min(optimizer.rates) <= max(optimizer.rates) <= 0.1


@pytest.mark.parametrize(
    ("schedule", "kind", "message"),
    [
        (0.1, InvalidTypeError, r"schedule must be a function of the epochs done, got 0\.1"),
        ("cosine", InvalidTypeError, "schedule must be a function of the epochs done, got 'cosine'"),
        (lambda t: math.nan, InvalidValueError, r"schedule\(0\.166667\) must be a finite .* got nan"),
        (lambda t: -t, InvalidValueError, r"schedule\(0\.166667\) must be .* at least 0, got -0\.1"),
        (lambda t: None, InvalidTypeError, r"schedule\(0\.166667\) must be a number, got None"),
    ],
)
def test_a_schedule_without_a_valid_rate_is_refused(schedule: Any, kind: type[Exception], message: str) -> None:
    optimizer = SGD(0.1)
    with pytest.raises(kind, match=message):
        trained(optimizer, schedule)
    assert optimizer.learning_rate == 0.1
    assert not optimizer.velocity


def test_a_schedule_needs_an_optimizer_with_a_rate() -> None:
    class Plain:
        def update(self, params: Any, grads: Any) -> None:
            pass

    with pytest.raises(InvalidTypeError, match="a schedule needs an optimizer with a learning_rate, got"):
        trained(Plain(), schedules.constant(0.1))

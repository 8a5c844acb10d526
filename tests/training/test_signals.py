"""^C and SIGTERM: held back until a step is finished, never lost, and passed to other handlers."""

from __future__ import annotations

import itertools
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tinynet.errors import Interrupted
from tinynet.training.history import History
from tinynet.training.interrupts import ECHO_S, STOPS, deferred_signals, termination_raised


@pytest.fixture(autouse=True)
def handlers_are_put_back() -> Iterator[None]:
    before = [signal.getsignal(number) for number in STOPS]
    yield
    assert [signal.getsignal(number) for number in STOPS] == before


@pytest.fixture
def slow_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make any two signals far apart in time."""
    clock = itertools.count(step=ECHO_S)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))


@pytest.mark.parametrize("first", STOPS)
@pytest.mark.parametrize("second", STOPS)
@pytest.mark.usefixtures("slow_time")
def test_the_second_and_third_signals_end_at_once(first: int, second: int) -> None:
    with pytest.raises(Interrupted) as caught, deferred_signals():
        signal.raise_signal(first)
        try:
            signal.raise_signal(second)
        finally:
            with pytest.raises(Interrupted):
                signal.raise_signal(second)
    assert (caught.value.signal, caught.value.at_once) == (second, True)


def test_a_sigterm_repeated_at_once_counts_as_one() -> None:
    with pytest.raises(Interrupted) as caught, termination_raised():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            caught_up = True
    assert caught_up and (caught.value.signal, caught.value.at_once) == (signal.SIGTERM, False)
    with pytest.raises(Interrupted) as caught, termination_raised():
        try:
            with deferred_signals() as stop:
                signal.raise_signal(signal.SIGTERM)
                interrupted = stop()
                assert interrupted is not None
                raise interrupted
        finally:
            signal.raise_signal(signal.SIGTERM)  # while a command writes its results
    assert caught.value is interrupted


def test_a_signal_that_comes_too_late_is_passed_on() -> None:
    with pytest.raises(Interrupted) as caught, termination_raised(), deferred_signals():
        signal.raise_signal(signal.SIGTERM)
    assert (caught.value.signal, caught.value.at_once) == (signal.SIGTERM, False)
    with pytest.raises(KeyboardInterrupt) as interrupt, deferred_signals():
        signal.raise_signal(signal.SIGINT)
    assert not isinstance(interrupt.value, Interrupted)


def test_an_error_propagates_unless_a_signal_came_before() -> None:
    with pytest.raises(ArithmeticError), deferred_signals():
        raise ArithmeticError
    with pytest.raises(KeyboardInterrupt) as caught, deferred_signals():
        signal.raise_signal(signal.SIGINT)
        raise ArithmeticError
    assert isinstance(caught.value.__context__, ArithmeticError)


@pytest.mark.parametrize("keep", [deferred_signals, termination_raised])
def test_other_signal_handlers_are_restored(keep: Any) -> None:
    def mine(number: int, frame: Any) -> None:
        heard.append(number)

    heard: list[int] = []
    before = {number: signal.signal(number, mine) for number in STOPS}
    try:
        with keep():
            assert signal.getsignal(signal.SIGTERM) is not mine
        for number in STOPS:
            signal.raise_signal(number)
        assert heard == list(STOPS)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("keep", [deferred_signals, termination_raised])
def test_a_handler_that_python_did_not_set_becomes_the_default(keep: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = dict.fromkeys(STOPS)  # None, as Python sees a handler of C code

    def exchange(number: Any, handler: Any) -> Any:
        before, handlers[number] = handlers[number], handler
        return before

    with monkeypatch.context() as patch:
        patch.setattr(signal, "signal", exchange)
        with keep():
            assert callable(handlers[signal.SIGTERM])
    assert handlers[signal.SIGTERM] is signal.SIG_DFL


def test_an_interrupt_that_the_shell_ignores_stays_ignored() -> None:
    before = {number: signal.signal(number, signal.SIG_IGN) for number in STOPS}
    try:
        with pytest.raises(Interrupted) as caught, deferred_signals() as stop:
            for _ in range(3):
                signal.raise_signal(signal.SIGINT)
            assert stop() is None
            signal.raise_signal(signal.SIGTERM)
            raise stop() or AssertionError
        assert caught.value.signal == signal.SIGTERM
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("keep", [deferred_signals, termination_raised])
def test_nothing_is_held_back_in_another_thread(keep: Any) -> None:
    before, results = [signal.getsignal(number) for number in STOPS], []

    def work() -> None:
        with keep() as stop:
            results.append([signal.getsignal(number) for number in STOPS] == before)
            results.append(stop is None or stop() is None)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results == [True, True]


def test_an_interruption_survives_the_way_from_a_worker() -> None:
    error = Interrupted(signal.SIGTERM, at_once=True)
    error.history = History()
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.signal, again.at_once, again.history) == (Interrupted, signal.SIGTERM, True, History())
    assert str(again) == "interrupted by signal 15" and isinstance(again, KeyboardInterrupt)

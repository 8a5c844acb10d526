"""Every exception a user can meet, and the small checks that raise them.

A message names what is wrong, what was received and what is allowed.
"""

from __future__ import annotations

import difflib
import math
import os
import shlex
import shutil
import sys
from collections.abc import Collection, Iterable
from numbers import Integral, Real
from pathlib import Path


class TinynetError(Exception):
    """Base of all errors that tinynet raises on purpose."""


class InvalidValueError(TinynetError, ValueError):
    """A value is outside what is allowed."""


class InvalidTypeError(TinynetError, TypeError):
    """A value has the wrong type."""


class DataError(InvalidValueError):
    """Samples or labels cannot be used: shape, missing values, classes."""


class ConfigError(InvalidValueError):
    """A config is wrong; ``faults`` holds one line for each fault."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Survive the pickling that brings an error home from a worker process."""
        return type(self), (self.faults,)


class RunFolderError(TinynetError, OSError):
    """A run folder cannot be created, written or read."""


class LockedError(RunFolderError):
    """Another process is writing into a folder."""


class DamagedError(RunFolderError):
    """No checkpoint in a folder can be read."""


class DivergedError(TinynetError, ArithmeticError):
    """The loss stopped being finite; ``epoch``, ``step`` and ``learning_rate`` say where, ``advice`` what to change."""

    def __init__(
        self,
        epoch: int,
        step: int,
        learning_rate: float,
        loss: float,
        advice: str = "try a smaller learning rate",
    ) -> None:
        self.epoch, self.step, self.learning_rate, self.loss, self.advice = epoch, step, learning_rate, loss, advice
        self.history: object = None  # the History of the epochs before, set by train
        what = "gradient became nan or inf" if math.isfinite(loss) else f"loss became {loss}"
        rate = "" if math.isnan(learning_rate) else f", at learning rate {learning_rate:g}"
        super().__init__(f"the {what} in epoch {epoch}, step {step}{rate}; {advice}")

    def __reduce__(self) -> tuple[type, tuple[object, ...], dict[str, object]]:
        """Survive the pickling that brings an error home from a worker process."""
        place = self.epoch, self.step, self.learning_rate, self.loss, self.advice
        return type(self), place, {"history": self.history}


class WrongGradientError(TinynetError, AssertionError):
    """A gradient did not pass its check; the text is that of the report."""


class Interrupted(KeyboardInterrupt):
    """^C or SIGTERM ended the training; ``signal`` is its number.

    ``at_once`` is True for the second signal, which does not wait for the step.
    """

    def __init__(self, signal: int, *, at_once: bool = False) -> None:
        self.signal, self.at_once = signal, at_once
        self.history: object = None  # the History of the epochs before, set by train
        super().__init__(f"interrupted by signal {signal}")

    def __reduce__(self) -> tuple[type, tuple[object, ...], dict[str, object]]:
        """Survive the pickling that brings an error home from a worker process."""
        return type(self), (self.signal,), {"at_once": self.at_once, "history": self.history}


class NumericalWarning(UserWarning):
    """A numerical result is what the arithmetic gives, but not what was meant."""


def check_integer(name: str, value: object, minimum: int, maximum: int | None = None) -> int:
    """Return `value` as an int from `minimum` to `maximum`, or raise naming `name`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InvalidTypeError(f"{name} must be an integer, got {value!r}")
    number = int(value)
    if number < minimum or (maximum is not None and number > maximum):
        limit = "" if maximum is None else f" and at most {maximum}"
        raise InvalidValueError(f"{name} must be at least {minimum}{limit}, got {value!r}")
    return number


def check_number(
    name: str, value: object, low: float = -math.inf, high: float = math.inf, *, closed: bool = True
) -> float:
    """Return `value` as a finite float in [low, high), or (low, high) when not `closed`."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InvalidTypeError(f"{name} must be a number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond the largest float
        number = math.inf
    inside = (low <= number if closed else low < number) and number < high
    if not (inside and math.isfinite(number)):
        parts = [] if low == -math.inf else [f"{'at least' if closed else 'above'} {low:g}"]
        parts += [] if high == math.inf else [f"below {high:g}"]
        raise InvalidValueError(
            f"{name} must be a finite number{' ' if parts else ''}{' and '.join(parts)}, got {value!r}"
        )
    return number


def check_step_size(h: object) -> float:
    """Return the step `h` of a difference as a float; it must be finite and above 0."""
    return check_number("h", h, 0.0, closed=False)


def check_choice(name: str, value: object, allowed: Collection[str]) -> str:
    """Return `value` when it is one of `allowed`, or raise with the nearest of them."""
    if isinstance(value, str) and value in allowed:
        return value
    raise InvalidValueError(f"unknown {name} {value!r}{did_you_mean(value, allowed)}")


def did_you_mean(value: object, allowed: Collection[str]) -> str:
    """Return the end of a message: the name nearest to `value`, and all that are allowed."""
    near = difflib.get_close_matches(str(value), allowed, n=1)
    guess = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{guess} allowed: {', '.join(name if name.isprintable() else repr(name) for name in allowed)}"


def missing_extra(libraries: str, extra: str) -> str:
    """Return the end of a message: what is not installed, and the command that installs it here."""
    from importlib.metadata import requires

    python = os.path.relpath(sys.executable) if sys.executable.startswith(os.getcwd() + os.sep) else sys.executable
    at_hand = shutil.which("python")
    if at_hand is not None and os.path.dirname(at_hand) == os.path.dirname(sys.executable):
        python = "python"
    clone = Path(__file__).parents[1]
    if (clone / "pyproject.toml").is_file():
        what = ["-e", f"{'.' if clone == Path.cwd() else clone}[{extra}]"]
    else:  # from a wheel, whose project need not be on any index
        listed = requires("tinynet-trainer") or []
        what = [line.partition(";")[0].strip() for line in listed if f'extra == "{extra}"' in line]
    return f"needs {libraries}, which is installed by: {shlex.join([python, '-m', 'pip', 'install', *what])}"


def check_memory(what: str, n_values: int) -> None:
    """Refuse `n_values` float64 values when they would not fit into this machine's memory."""
    from decimal import Decimal

    available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 2**36
    if 8 * n_values > available:
        raise InvalidValueError(
            f"{what} would take {Decimal(8 * n_values) / 2**30:,.1f} GiB; "  # n_values may be beyond any float
            f"this machine has {available / 2**30:,.1f} GiB of memory"
        )

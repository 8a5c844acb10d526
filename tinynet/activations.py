"""Named activations, and the checks that let any elementwise callable be one.

No derivative stands here: training measures slopes, it does not know them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.errors import InvalidTypeError, InvalidValueError, check_integer, did_you_mean

Array = npt.NDArray[Any]


def sigmoid(a: Array) -> Array:
    """Return 1 / (1 + exp(−a))."""
    with np.errstate(over="ignore"):  # exp(710) is inf and 1 / inf the right 0
        return np.asarray(1.0 / (1.0 + np.exp(-a)))


def relu(a: Array) -> Array:
    """Return max(a, 0)."""
    return np.maximum(a, 0.0)


def silu(a: Array) -> Array:
    """Return a · sigmoid(a), the smooth relative of relu (Elfwing et al., 2018)."""
    return a * sigmoid(a)


def sign(a: Array) -> Array:
    """Return −1, 0 or 1: np.sign without branches, which is faster where signs are mixed."""
    with np.errstate(over="ignore"):  # clip turns inf into 1
        z = np.asarray(a * 1e300)
        z *= 1e300  # twice, so that the smallest subnormal reaches 1
        return np.clip(z, -1.0, 1.0, out=z)


def quantised(levels: int) -> Callable[[Array], Array]:
    """Return a staircase of `levels` equally spaced values from −1 to 1.

    Examples
    --------
    >>> quantised(4)(np.array([-5.0, -0.5, 0.1, 0.9]))  # 2 bits
    array([-1.        , -0.33333333,  0.33333333,  1.        ])
    """
    function = partial(staircase, steps=check_integer("quantised levels", levels, 2) - 1)
    vars(function)["__name__"] = f"quantised:{levels}"
    return function


def staircase(a: Array, steps: int) -> Array:
    """Return the nearest of `steps` + 1 equally spaced values from −1 to 1."""
    z = np.asarray(np.clip(a, -1.0, 1.0))
    z += 1.0
    z *= steps / 2
    np.rint(z, out=z)
    z *= 2 / steps
    z -= 1.0
    return z


NAMED: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "relu": relu,
    "silu": silu,
    "identity": np.positive,
    "sign": sign,
}


@dataclass(frozen=True)
class Activation:
    """An elementwise function with a name; calling it gives a float array of the same shape."""

    name: str
    function: Callable[[Array], Any]

    def __call__(self, a: Array, out: Array | None = None) -> Array:
        """Apply the function to `a`, any shape, and check the shape of what comes back.

        A NumPy ufunc writes into `out`, which may be `a`; every other function returns a new array.
        """
        z = np.asarray(self.function(a, out=out) if isinstance(self.function, np.ufunc) else self.function(a))
        if z.shape != a.shape:
            raise InvalidValueError(f"activation {self.name!r} returned shape {z.shape} for input of shape {a.shape}")
        if z.dtype.kind == "c":
            raise InvalidValueError(f"activation {self.name!r} returned complex numbers; it must return real ones")
        return z if z.dtype.kind == "f" and z.dtype.itemsize >= 8 else z.astype(np.float64)

    def is_like(self, other: Activation) -> bool:
        """Return whether the names agree, and the values at some points; functions cannot be compared."""
        probe = np.linspace(-3.0, 3.0, 101)
        return self.name == other.name and np.array_equal(self(probe), other(probe.copy()))


def get_activation(activation: str | Callable[[Array], Any]) -> Activation:
    """Return the activation of a name ("tanh", ..., "quantised:4") or of a user's callable.

    Raises
    ------
    InvalidValueError
        For an unknown name, and for a callable that raises, changes its argument, is not finite
        and real, returns another shape or is not elementwise: it is tried on a few values.
    InvalidTypeError
        When it is neither a name nor callable.
    """
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str):
        return Activation(activation, _named(activation))
    if not callable(activation):
        raise InvalidTypeError(f"activation must be a name or an elementwise callable, got {activation!r}")
    name, function = getattr(activation, "__name__", type(activation).__name__), activation
    if isinstance(activation, np.ufunc) and "d->d" not in activation.types:
        function = partial(activation)  # which cannot write into an array of float64
    candidate = Activation(name, function)
    _try_out(candidate)
    return candidate


def _named(name: str) -> Callable[[Array], Any]:
    kind, _, levels = name.partition(":")
    if kind == "quantised" and levels.isascii() and levels.isdigit() and len(levels) < 10:
        return quantised(int(levels))
    if name in NAMED:
        return NAMED[name]
    raise InvalidValueError(f"unknown activation {name!r}{did_you_mean(name, [*NAMED, 'quantised:4'])}")


def _try_out(activation: Activation) -> None:
    probe = np.linspace(-3.0, 3.0, 14)[5 * np.arange(14) % 14].reshape(2, 7)  # not in order, which np.sort would keep
    argument = probe.copy()
    try:
        z = activation(argument)
        one_by_one = np.concatenate([activation(value) for value in probe.copy().reshape(-1, 1)]).reshape(probe.shape)
    except InvalidValueError:
        raise
    except Exception as error:
        raise InvalidValueError(f"activation {activation.name!r} raised {type(error).__name__}: {error}") from error
    if not np.array_equal(argument, probe):
        raise InvalidValueError(f"activation {activation.name!r} changes its argument; return a new array instead")
    if not np.isfinite(z).all():
        at, value = probe[~np.isfinite(z)][0], z[~np.isfinite(z)][0]
        raise InvalidValueError(f"activation {activation.name!r} returned {value} at {at:g}; it must be finite")
    if not np.allclose(z, one_by_one, rtol=1e-9, atol=1e-12):
        raise InvalidValueError(
            f"activation {activation.name!r} is not elementwise: "
            "a value's result depends on its neighbours or changes from call to call"
        )

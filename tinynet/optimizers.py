"""The optimizer: stochastic gradient descent with momentum."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.errors import InvalidValueError, check_number

Array = npt.NDArray[Any]


class SGD:
    """Stochastic gradient descent, defined step by step as in PyTorch's ``torch.optim.SGD``.

    For every parameter θ with gradient g::

        g ← g + weight_decay · θ
        v ← g                        in the first update
        v ← momentum · v + g         afterwards
        θ ← θ − learning_rate · (g + momentum · v)    with nesterov
        θ ← θ − learning_rate · v                     without

    Without momentum v is g, so that the last line is plain gradient descent. The learning rate
    is outside the velocity: changing it takes effect at once.

    Parameters
    ----------
    learning_rate : float above 0
    momentum : float in [0, 1)
    nesterov : bool, needs momentum above 0
    weight_decay : float of at least 0, the factor of an L2 penalty on every parameter

    Attributes
    ----------
    velocity : dict of arrays, the v above; empty before the first update
    update_norm : float, the Euclidean length of the last update of all parameters; nan before the first

    Raises
    ------
    InvalidValueError, InvalidTypeError
        When a hyper-parameter is out of range.

    References
    ----------
    Sutskever, Martens, Dahl and Hinton (2013), *On the importance of initialization and
    momentum in deep learning*.

    Examples
    --------
    >>> params = {"W1": np.array([1.0, 2.0])}
    >>> SGD(learning_rate=0.1).update(params, {"W1": np.array([1.0, -1.0])})
    >>> params["W1"]
    array([0.9, 2.1])
    """

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self.learning_rate = check_number("learning_rate", learning_rate, 0.0, closed=False)
        self.momentum = check_number("momentum", momentum, 0.0, 1.0)
        self.nesterov = bool(nesterov)
        self.weight_decay = check_number("weight_decay", weight_decay, 0.0)
        if self.nesterov and self.momentum == 0.0:
            raise InvalidValueError("nesterov needs a momentum above 0, got momentum 0")
        self.velocity: dict[str, Array] = {}
        self.update_norm = math.nan

    def __repr__(self) -> str:
        """Return the hyper-parameters."""
        names = ("learning_rate", "momentum", "nesterov", "weight_decay")
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    def update(self, params: MutableMapping[str, Array], grads: Mapping[str, Array]) -> None:
        """Change every array of `params` in place; `grads` has the same keys and shapes.

        Raises
        ------
        InvalidValueError
            When keys or shapes differ, before anything is changed.
        """
        self._check(params, grads)
        squares = 0.0
        for key, param in params.items():
            step = grads[key]
            if self.weight_decay:
                step = step + self.weight_decay * param
            if self.momentum:
                if key in self.velocity:
                    self.velocity[key] *= self.momentum
                    self.velocity[key] += step
                else:
                    self.velocity[key] = np.array(step)
                step = step + self.momentum * self.velocity[key] if self.nesterov else self.velocity[key]
            step = self.learning_rate * step
            param -= step
            squares += float(np.vdot(step, step))
        self.update_norm = math.sqrt(squares)

    def _check(self, params: Mapping[str, Array], grads: Mapping[str, Array]) -> None:
        if params.keys() != grads.keys():
            raise InvalidValueError(f"params and grads differ in keys: {sorted(params)} and {sorted(grads)}")
        for key, param in params.items():
            shapes = [np.shape(array) for array in (param, grads[key], self.velocity.get(key, param))]
            if not shapes[0] == shapes[1] == shapes[2]:
                raise InvalidValueError("shapes of {!r} differ: params {}, grads {}, velocity {}".format(key, *shapes))

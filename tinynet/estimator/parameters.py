"""The classifier's parameters: what each may be, and what MLPClassifier's names among them come to."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import Interval, Options, StrOptions

from tinynet.errors import InvalidValueError
from tinynet.network import METHODS
from tinynet.optimizers import SGD

Array = npt.NDArray[Any]

DEFAULT_RATE = 0.1
LARGEST_BATCH = 200  # of "auto"

COUNT = Interval(Integral, 1, None, closed="left")
ABOVE_0 = Interval(Real, 0, None, closed="neither")
AT_LEAST_0 = Interval(Real, 0, None, closed="left")
CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_units": [COUNT],
    "activation": [str, callable],
    "learning_rate": [ABOVE_0, StrOptions({"constant", "invscaling", "adaptive"}), callable],
    "momentum": [Interval(Real, 0, 1, closed="left")],
    "nesterovs_momentum": ["boolean"],
    "weight_decay": [AT_LEAST_0],
    "batch_size": [StrOptions({"auto"}), COUNT],
    "max_iter": [COUNT],
    "h": [ABOVE_0],
    "method": [StrOptions(set(METHODS))],
    "class_weight": [StrOptions({"balanced"}), dict, None],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [COUNT, Options(Real, {math.inf})],
    "tol": [AT_LEAST_0],
    "warm_start": ["boolean"],
    "verbose": ["verbose"],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "hidden_layer_sizes": [COUNT, "array-like", None],
    "learning_rate_init": [ABOVE_0, None],
    "alpha": [AT_LEAST_0, None],
    "power_t": [AT_LEAST_0],
}


def layer_size(options: Any) -> int:
    """Return the number of hidden units, by whichever name it was given."""
    given = options.hidden_units if options.hidden_layer_sizes is None else options.hidden_layer_sizes
    sizes = np.atleast_1d(given)
    if sizes.shape != (1,) or sizes.dtype.kind not in "iu" or sizes[0] < 1:
        raise InvalidValueError(
            f"hidden_layer_sizes={given!r}: there is one hidden layer here; give the number of its units, "
            "hidden_layer_sizes=(50,) or hidden_units=50"
        )
    return int(sizes[0])


def batch_size(options: Any, n_samples: int) -> int:
    """Return the size of a batch."""
    return min(LARGEST_BATCH, n_samples) if isinstance(options.batch_size, str) else int(options.batch_size)


def new_sgd(options: Any, n_samples: int) -> PenalisedSGD:
    """Return the optimizer of a training on so many samples, as it starts."""
    rate = options.learning_rate if isinstance(options.learning_rate, Real) else DEFAULT_RATE
    rate = rate if options.learning_rate_init is None else options.learning_rate_init
    nesterov = options.nesterovs_momentum and options.momentum > 0  # without momentum there is nothing to look ahead by
    sgd = PenalisedSGD(float(rate), options.momentum, nesterov, options.weight_decay)
    sgd.penalty = (options.alpha or 0.0) / min(batch_size(options, n_samples), n_samples)
    return sgd


class PenalisedSGD(SGD):
    """SGD with MLPClassifier's penalty: `penalty` times the weights, and not the intercepts, joins the gradient."""

    penalty = 0.0

    def update(self, params: MutableMapping[str, Array], grads: Mapping[str, Array]) -> None:
        """Change every array of `params` in place; `grads` has the same keys and shapes."""
        if self.penalty:
            grads = {**grads} | {key: grads[key] + self.penalty * params[key] for key in ("W1", "W2")}
        super().update(params, grads)

"""Units without a derivative: difference quotients against surrogates of one, seed by seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from benchmarks.backpropagation import straight_through
from benchmarks.datasets import Data, digits, images
from benchmarks.report import Report, Table, mean_and_sd
from benchmarks.training import BATCH_SIZE, HIDDEN_UNITS, LEARNING_RATE, MOMENTUM, QUICK_TASKS, Task
from tinynet import SGD, TwoLayerNet

Array = npt.NDArray[Any]
Gradient = Callable[[TwoLayerNet, Array, Array], Mapping[str, Array]]

TASKS = (Task("digits, 64-50-10", digits, 40), Task("5,000 images, 784-50-10", images, 20))

SLOPES: dict[str, Callable[[Array], Array]] = {
    "identity": np.ones_like,
    "clipped": lambda a: (np.abs(a) <= 1.0).astype(np.float64),
    "tanh slope": lambda a: 1.0 - np.tanh(a) ** 2,
    "none": np.zeros_like,
}

INTRODUCTION = """\
{hidden} hidden units, SGD with momentum {momentum:g}, learning rate {rate:g}, batches of {batch}; within a seed
every method has the same split, start and batches. Straight-through estimators backpropagate with a slope
in the place of the sign's derivative: 1, 1 where |a| ≤ 1, or that of tanh. Test accuracy in percent after
the last epoch, mean ± standard deviation over {seeds} seeds; "less this" is the paired difference in the same
form, and in brackets how many seeds the quotients won / lost / drew. No method was tuned to a data set. The
images of 28 × 28 are made from scikit-learn's digits: enlarged, shifted, noisy."""


def _quotient(h: float) -> Gradient:
    return lambda net, X, labels: net.numerical_gradient(X, labels, h=h)


def _straight_through(slope: str) -> Gradient:
    return lambda net, X, labels: straight_through(net, SLOPES[slope], X, labels)


BASELINES = ("sign, quotients with h = 0.5", "sign, quotients with h = 1")
METHODS: dict[str, tuple[str, Gradient]] = {  # activation and gradient
    BASELINES[0]: ("sign", _quotient(0.5)),
    BASELINES[1]: ("sign", _quotient(1.0)),
    "sign, straight-through identity": ("sign", _straight_through("identity")),
    "sign, straight-through clipped": ("sign", _straight_through("clipped")),
    "sign, straight-through tanh slope": ("sign", _straight_through("tanh slope")),
    "sign, first layer frozen": ("sign", _straight_through("none")),
    "tanh, quotients with h = 1e-4": ("tanh", _quotient(1e-4)),
}


def measure(*, quick: bool = False) -> Report:
    """Train every method on the digits and on images of 28 × 28, from the same starts."""
    n_seeds = 2 if quick else 10
    tables = [_table(task, n_seeds) for task in (QUICK_TASKS if quick else TASKS)]
    introduction = INTRODUCTION.format(
        hidden=HIDDEN_UNITS, momentum=MOMENTUM, rate=LEARNING_RATE, batch=BATCH_SIZE, seeds=n_seeds
    )
    return Report("Hard thresholds without a surrogate", introduction, tables)


def trained(data: Data, activation: str, gradient: Gradient, *, epochs: int, seed: int) -> TwoLayerNet:
    """Return the network that starts from `seed` and takes its batches in the order of `seed`, as in tinynet.train."""
    X, y, _, _ = data
    net = TwoLayerNet(X.shape[1], HIDDEN_UNITS, 10, activation=activation, seed=seed)
    optimizer = SGD(LEARNING_RATE, MOMENTUM)
    for epoch in range(1, epochs + 1):
        order = np.random.default_rng([seed, epoch]).permutation(len(X))
        for start in range(0, len(X), BATCH_SIZE):
            batch = order[start : start + BATCH_SIZE]
            optimizer.update(net.params, gradient(net, X[batch], y[batch]))
    return net


def _table(task: Task, n_seeds: int) -> Table:
    accuracies: dict[str, list[float]] = {name: [] for name in METHODS}
    for seed in tqdm(range(n_seeds), desc=task.name, unit="seed", disable=None, leave=False):
        data = task.load(seed)
        for name, (activation, gradient) in METHODS.items():
            net = trained(data, activation, gradient, epochs=task.epochs, seed=seed)
            accuracies[name].append(net.accuracy(*data[2:]))
    rows = [
        [name, mean_and_sd(accuracies[name], 100), *(beside(accuracies, b, name) for b in BASELINES)]
        for name in METHODS
    ]
    columns = ("method", "test accuracy (%)", *(f"{name.rpartition('with ')[2]} less this" for name in BASELINES))
    return Table(f"{task.name}, epochs: {task.epochs}", columns, rows)


def beside(accuracies: Mapping[str, list[float]], baseline: str, name: str) -> str:
    """Return what the baseline has above a method seed by seed, and how many seeds it won, lost and drew."""
    if name == baseline:
        return ""
    differences = np.subtract(accuracies[baseline], accuracies[name])
    counts = [int(count.sum()) for count in (differences > 0, differences < 0, differences == 0)]
    return f"{mean_and_sd(differences, 100, '+')} ({' / '.join(map(str, counts))})"

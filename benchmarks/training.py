"""Whole training: tinynet against scikit-learn's MLPClassifier, TinyNetClassifier and checkpoints against train."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks.datasets import Data, digits, images
from benchmarks.report import Report, Table, duration, mean_and_sd, spread
from tinynet import SGD, Checkpoints, TinyNetClassifier, TwoLayerNet, train

HIDDEN_UNITS, BATCH_SIZE, LEARNING_RATE, MOMENTUM = 50, 100, 0.1, 0.9

INTRODUCTION = """\
tinynet.train (difference quotients, h = 1e-4, method "auto") and scikit-learn's MLPClassifier (backpropagation):
{hidden} tanh units, SGD with momentum {momentum:g} (not Nesterov's), learning rate {rate:g}, batches of {batch},
no penalty, the same number of epochs, neither stops early. Seeds decide split, start and shuffles; each
library draws its own starts and shuffles. Two take turns in one process on one core, and the order
changes from pair to pair. tinynet's time includes the loss and accuracy over all training rows after
every epoch. The images of 28 × 28 are made from scikit-learn's digits: enlarged, shifted, noisy."""


Fit = Callable[[Data, int, int], tuple[float, float]]  # data, epochs, seed; gives seconds and test accuracy


@dataclass(frozen=True)
class Task:
    """A data set for a seed, and how many epochs to train."""

    name: str
    load: Callable[[int], Data]
    epochs: int


TASKS = (Task("digits, 64-50-10", digits, 20), Task("5,000 images, 784-50-10", images, 20))
LONGER_TASKS = (replace(TASKS[0], epochs=300), replace(TASKS[1], epochs=60))  # before 1 s no checkpoint is due
QUICK_TASKS = (
    Task("digits, 64-50-10", digits, 1),
    Task("200 images, 784-50-10", partial(images, n_train=200, n_test=100), 1),
)


def measure(*, quick: bool = False) -> Report:
    """Train both on the digits and on images of 28 × 28, in pairs."""
    n_seeds, n_pairs = (1, 1) if quick else (5, 3)
    note = (
        f"Seeds: {n_seeds}, each timed in {n_pairs} pair(s). Times and ratios are medians, in brackets the quartiles; "
        "accuracies mean ± standard deviation over the seeds."
    )
    introduction = INTRODUCTION.format(hidden=HIDDEN_UNITS, momentum=MOMENTUM, rate=LEARNING_RATE, batch=BATCH_SIZE)
    tables = []
    for title, fits, tasks in (
        ("Training, wall time in pairs", {"tinynet": _tinynet, "MLPClassifier": _scikit_learn}, TASKS),
        ("The estimator beside train, in pairs", {"TinyNetClassifier": _estimator, "train": _tinynet}, TASKS),
        ("Checkpoints, in pairs", {"train with checkpoints": _checkpointed, "train": _tinynet}, LONGER_TASKS),
    ):
        columns = ("data set", "epochs", "library", "wall time", f"/ {list(fits)[-1]}", "test accuracy (%)")
        rows = [row for task in (QUICK_TASKS if quick else tasks) for row in _rows(task, fits, n_seeds, n_pairs)]
        tables.append(Table(title, columns, rows, note))
    return Report("Whole training", introduction, tables)


def _rows(task: Task, libraries: Mapping[str, Fit], n_seeds: int, n_pairs: int) -> list[list[str]]:
    """Return a row a library, its times as they are and in units of those of the last one."""
    durations: dict[str, list[float]] = {name: [] for name in libraries}
    accuracies: dict[str, list[float]] = {name: [] for name in libraries}
    for fit in libraries.values():
        fit(task.load(0), 1, 0)  # warms up: imports, caches
    for seed, pair in product(range(n_seeds), range(n_pairs)):
        data = task.load(seed)
        for name in sorted(libraries, reverse=bool((seed + pair) % 2)):
            seconds, accuracy = libraries[name](data, task.epochs, seed)
            durations[name].append(seconds)
            accuracies[name].append(accuracy)
    rows = []
    for name in libraries:
        ratios = np.divide(durations[name], list(durations.values())[-1])
        wall = duration(float(np.median(durations[name])))
        correct = mean_and_sd(accuracies[name][::n_pairs], 100)  # all pairs of a seed give the same
        rows.append([task.name, str(task.epochs), name, wall, spread(ratios), correct])
    return rows


def _tinynet(data: Data, epochs: int, seed: int, folder: Any = None) -> tuple[float, float]:
    X, y, X_test, y_test = data
    started = time.perf_counter()
    net = TwoLayerNet(X.shape[1], HIDDEN_UNITS, 10, seed=seed)
    options: dict[str, Any] = {"epochs": epochs, "batch_size": BATCH_SIZE, "seed": seed}
    train(net, X, y, SGD(LEARNING_RATE, MOMENTUM), checkpoints=folder and Checkpoints(folder), **options)
    return time.perf_counter() - started, net.accuracy(X_test, y_test)


def _checkpointed(data: Data, epochs: int, seed: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(dir=".") as folder:  # on a disk, which /tmp may not be
        return _tinynet(data, epochs, seed, folder)


def _estimator(data: Data, epochs: int, seed: int) -> tuple[float, float]:
    X, y, X_test, y_test = data
    started = time.perf_counter()
    classifier = TinyNetClassifier(
        HIDDEN_UNITS,
        learning_rate=LEARNING_RATE,
        momentum=MOMENTUM,
        batch_size=BATCH_SIZE,
        max_iter=epochs,
        n_iter_no_change=epochs,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is to run all its epochs
        classifier.fit(X, y)
    return time.perf_counter() - started, float(classifier.score(X_test, y_test))


def _scikit_learn(data: Data, epochs: int, seed: int) -> tuple[float, float]:
    X, y, X_test, y_test = data
    started = time.perf_counter()
    classifier = MLPClassifier(
        hidden_layer_sizes=(HIDDEN_UNITS,),
        activation="tanh",
        solver="sgd",
        alpha=0.0,
        batch_size=BATCH_SIZE,
        learning_rate_init=LEARNING_RATE,
        momentum=MOMENTUM,
        nesterovs_momentum=False,
        max_iter=epochs,
        tol=0.0,
        n_iter_no_change=epochs,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is to run all its epochs
        classifier.fit(X, y)
    seconds = time.perf_counter() - started
    if classifier.n_iter_ != epochs:
        raise RuntimeError(f"MLPClassifier stopped after {classifier.n_iter_} of {epochs} epochs")
    return seconds, float(classifier.score(X_test, y_test))

"""Where the time of one gradient goes, piece by piece, and the share of gradients in a training."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.backpropagation import Backpropagation
from benchmarks.problems import Problem, Shape
from benchmarks.report import Report, Table, duration
from tinynet import SGD, TwoLayerNet, load_dataset, train
from tinynet.gradients import series as differences
from tinynet.gradients.workspace import PairArrays, SampleArrays, Workspace

SHAPE = Shape("digits", 64, 50, 10, batch_size=100)

INTRODUCTION = """\
The pieces of one gradient of method "auto", each called alone with warm buffers: the least of many calls.
Of these, backpropagation needs the matrix products of W1, the activation at one point instead of five, the
softmax, κ1 and the first terms of the output layer."""


def measure(*, quick: bool = False) -> Report:
    """Time the pieces of a gradient on digits, and the gradients within a training."""
    calls = 20 if quick else 3000
    return Report("Where the time goes", INTRODUCTION, [_pieces(calls), _training(2 if quick else 20)])


def _pieces(calls: int) -> Table:
    problem, T = Problem(SHAPE), differences
    params, activation, X, labels = problem.net.params, problem.net.activation, problem.X, problem.labels
    workspace = Workspace()
    series = T._Series(params, activation, X, labels, problem.h, True)
    series.gradient(workspace)
    (n, d), (m, k) = X.shape, params["W2"].shape
    of, at = workspace.get(SampleArrays, n, d, m, k), workspace.get(PairArrays, n, m, k)
    z, gradient = np.tanh(X @ params["W1"] + params["b1"]), np.empty((d, m))
    values = np.ascontiguousarray(activation(z + T.WINDOW * T.NODES)).reshape(5, -1)
    backpropagation = Backpropagation(n, d, m, k)

    def cubes() -> None:
        np.multiply(of.X, of.X, out=of.X3)
        np.multiply(of.X, of.X3, out=of.X3)
        np.dot(of.X3.T, of.B)

    pieces: dict[str, Callable[[], Any]] = {
        "X W1 and Xᵀ A": lambda: (np.dot(X, params["W1"], out=of.A), np.dot(X.T, of.A, out=gradient)),
        "X³ and (X³)ᵀ B, float32": cubes,
        "the activation at five points": lambda: activation(
            np.add(z, T.WINDOW * T.NODES, out=at.shifted), out=at.shifted
        ),
        "the polynomial through them": lambda: np.matmul(T.FIT, values, out=at.C),
        "softmax": lambda: series._errors(at, labels),
        "output layer": lambda: series._output_layer(at),
        "third-order terms B": lambda: series._third_order(at, labels, of.powers, of.B),
        "κ1": lambda: np.dot(at.e.T, series.D, out=at.lin),
        "guards": lambda: series._unfit(slice(0, n), at),
    }
    seconds = {name: _least(piece, calls) for name, piece in pieces.items()}
    whole = _least(lambda: T.difference_quotients(params, activation, X, labels, problem.h, "auto", workspace), calls)
    seconds["the rest: copies, sums, scaling, calls"] = whole - sum(seconds.values())
    beside = _least(lambda: backpropagation(params, X, labels), calls)
    rows = [[name, duration(t), f"{100 * t / whole:.0f} %"] for name, t in seconds.items()]
    rows += [["whole gradient", duration(whole), "100 %"], ["NumPy backprop, beside it", duration(beside), ""]]
    return Table(f"A gradient, {SHAPE.name}", ("piece", "time", "share"), rows)


def _least(run: Callable[[], Any], calls: int) -> float:
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)


def _training(epochs: int) -> Table:
    data, spent = load_dataset("digits"), [0.0]
    net = TwoLayerNet(data.n_features, SHAPE.hidden_units, data.n_classes, seed=0)
    gradient = net.quotients

    def timed(*arguments: Any) -> Any:
        started = time.perf_counter()
        result = gradient(*arguments)
        spent[0] += time.perf_counter() - started
        return result

    vars(net)["quotients"] = timed
    started = time.perf_counter()
    train(net, data.X_train, data.y_train, SGD(0.1, momentum=0.9), epochs=epochs, batch_size=100, seed=0)
    whole = time.perf_counter() - started
    rows = [["gradients", duration(spent[0]), f"{100 * spent[0] / whole:.0f} %"]]
    rows += [["whole training", duration(whole), "100 %"]]
    return Table(f"A training, {epochs} epochs of digits", ("piece", "time", "share"), rows)

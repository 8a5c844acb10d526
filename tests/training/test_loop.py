"""The training loop: what it visits, records and refuses, compared with backpropagation."""

from __future__ import annotations

import fcntl
import math
import os
import pty
import struct
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from reference import backpropagation
from resuming import untimed
from sklearn.utils.class_weight import compute_sample_weight

from tinynet import (
    SGD,
    DataError,
    DivergedError,
    Epoch,
    History,
    InvalidTypeError,
    InvalidValueError,
    TwoLayerNet,
    balanced_weights,
    load_dataset,
    train,
)
from tinynet.cli.main import main
from tinynet.training import progress


def problem(rng: np.random.Generator, n: int = 30) -> tuple[Any, Any]:
    return rng.standard_normal((n, 4)), rng.integers(0, 3, n)


def network() -> TwoLayerNet:
    return TwoLayerNet(4, 5, 3, seed=1)


def bits(net: TwoLayerNet) -> list[bytes]:
    return [param.tobytes() for param in net.params.values()]


def test_each_epoch_records_the_losses_of_the_whole_parts(rng: np.random.Generator) -> None:
    (X, y), (X_validation, y_validation) = problem(rng), problem(rng, 11)
    net, measured = network(), []

    def measure(row: Epoch) -> None:
        parts = [(X, y), (X_validation, y_validation)]
        measured.append([figure for part in parts for figure in (net.loss(*part), net.accuracy(*part))])

    history = train(
        net, X, y, SGD(0.25), epochs=3, batch_size=8, seed=0, validation=(X_validation, y_validation), on_epoch=measure
    )
    columns = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
    assert np.column_stack([history[column] for column in columns]).tolist() == measured
    steps = [(row.epoch, row.step, row.learning_rate) for row in history]
    assert steps == [(1, 4, 0.25), (2, 8, 0.25), (3, 12, 0.25)]
    assert not history.stopped_early


def test_without_validation_its_columns_are_nan(rng: np.random.Generator) -> None:
    X, y = problem(rng)
    plain, empty = network(), network()
    history = train(plain, X, y, SGD(0.1), epochs=2, batch_size=8, seed=0)
    assert np.isnan(history["validation_loss"] + history["validation_accuracy"]).all()
    same = train(empty, X, y, SGD(0.1), epochs=2, batch_size=8, seed=0, validation=(X[:0], y[:0]))
    assert str(untimed(same)) == str(untimed(history))


def test_loss_evaluations_equal_those_of_the_loop(rng: np.random.Generator) -> None:
    X, y = problem(rng)
    calls = 0

    def counting(a: Any) -> Any:
        nonlocal calls
        calls += 1
        return np.tanh(a)

    net = TwoLayerNet(4, 5, 3, activation=counting, seed=0)
    calls = 0
    history = train(net, X, y, SGD(0.1), epochs=3, batch_size=8, seed=0, method="loop")
    assert history["loss_evaluations"][-1] == calls - 3  # one more per epoch measures the training loss
    exact = train(network(), X, y, SGD(0.1), epochs=3, batch_size=8, seed=0, method="exact")
    assert exact["loss_evaluations"] == history["loss_evaluations"]


def backpropagation_losses(data: Any, net: TwoLayerNet, rate: float, momentum: float, epochs: int) -> list[float]:
    """Return the training losses of momentum descent with derivatives, in batches of 20."""
    velocity, losses = {key: np.zeros_like(param) for key, param in net.params.items()}, []
    for epoch in range(1, epochs + 1):
        order = np.random.default_rng([0, epoch]).permutation(len(data.X_train))
        for start in range(0, len(order), 20):
            X, y = (part[order[start : start + 20]] for part in (data.X_train, data.y_train))
            z = np.tanh(X @ net.params["W1"] + net.params["b1"])
            grads = backpropagation(net.params, lambda a, z: 1 - z**2, z, X, y)
            for key, param in net.params.items():
                velocity[key] = momentum * velocity[key] + grads[key]
                param -= rate * velocity[key]
        losses.append(net.loss(data.X_train, data.y_train))
    return losses


@pytest.mark.parametrize("method", ["exact", "auto", "loop"])
def test_training_follows_the_curve_of_backpropagation(method: str) -> None:
    data = load_dataset("iris", scaling="standard")
    nets = [TwoLayerNet(4, 8, 3, seed=0) for _ in range(3)]
    losses = train(
        nets[0], data.X_train, data.y_train, SGD(0.02, momentum=0.9), epochs=15, batch_size=20, seed=0, method=method
    )["train_loss"]
    assert losses[-1] < 0.25 * losses[0]
    np.testing.assert_allclose(losses, backpropagation_losses(data, nets[1], 0.02, 0.9, 15), rtol=1e-6)
    assert not np.allclose(losses, backpropagation_losses(data, nets[2], 0.02, 0.89, 15), rtol=1e-3)


class SignDescent:
    """An optimizer unlike SGD: every weight moves by a thousandth."""

    def update(self, params: dict[str, Any], grads: dict[str, Any]) -> None:
        for key in params:
            params[key] = params[key] - 1e-3 * np.sign(grads[key])


def test_any_object_with_update_is_an_optimizer(rng: np.random.Generator) -> None:
    X, y = problem(rng)
    net = network()
    before = {key: param.copy() for key, param in net.params.items()}
    history = train(net, X, y, SignDescent(), epochs=1, batch_size=30, seed=0)
    grads = network().numerical_gradient(X, y)
    for key, param in net.params.items():
        np.testing.assert_array_equal(param, before[key] - 1e-3 * np.sign(grads[key]))
    assert math.isnan(history["learning_rate"][0]) and math.isnan(history["update_norm"][0])
    assert history["gradient_norm"][0] > 0 and history.to_csv().endswith(",\n")


def test_on_epoch_gets_every_row_and_may_set_the_learning_rate(rng: np.random.Generator) -> None:
    X, y = problem(rng)
    optimizer, rows = SGD(0.4), []

    def halve(row: Epoch) -> None:
        rows.append(row)
        optimizer.learning_rate /= 2

    history = train(network(), X, y, optimizer, epochs=3, batch_size=8, seed=0, on_epoch=halve)
    assert rows == history.rows
    assert history["learning_rate"] == [0.4, 0.2, 0.1]


@pytest.mark.parametrize(("answer", "epochs"), [(True, 1), (np.True_, 1), (False, 3), (None, 3), (1, 3)])
def test_on_epoch_may_end_the_training(answer: object, epochs: int, rng: np.random.Generator) -> None:
    X, y = problem(rng)
    history = train(network(), X, y, SGD(0.1), epochs=3, batch_size=8, seed=0, on_epoch=lambda row: answer)
    assert len(history) == epochs
    assert history.stopped_early == (epochs == 1)


def overfitting(rng: np.random.Generator) -> tuple[Any, Callable[..., History]]:
    """Return validation data with random labels, and a training run that fits noise."""
    X, y = problem(rng, 20)
    validation = problem(rng, 200)

    def run(net: TwoLayerNet, **arguments: Any) -> History:
        return train(net, X, y, SGD(0.5, momentum=0.9), batch_size=5, seed=0, validation=validation, **arguments)

    return validation, run


def test_early_stopping_restores_the_best_weights(rng: np.random.Generator) -> None:
    validation, run = overfitting(rng)
    net = network()
    history = run(net, epochs=100, patience=4)
    losses = history["validation_loss"]
    assert history.stopped_early
    assert len(history) == history.best.epoch + 4 < 100
    assert history.best.validation_loss == min(losses) < min(losses[-4:])
    assert net.loss(*validation) == min(losses)


def test_keep_decides_which_weights_the_network_ends_with(rng: np.random.Generator) -> None:
    validation, run = overfitting(rng)
    for best in ({"keep": "best"}, {"patience": 50}):  # which does not run out
        net = network()
        history = run(net, epochs=6, **best)
        assert not history.stopped_early and history.kept == history.best.epoch < len(history) == 6
        assert net.loss(*validation) == min(history["validation_loss"]) < history["validation_loss"][-1]
    for keep in ("last", None):
        net = network()
        assert run(net, epochs=6, keep=keep).kept == 6
        assert net.loss(*validation) == history["validation_loss"][-1]
    assert run(network(), epochs=100, patience=4).kept == history.best.epoch


class Recording(SGD):
    """SGD that records the norms of its gradients and moves."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen: list[tuple[float, float]] = []

    def update(self, params: Any, grads: Any) -> None:
        before = np.concatenate([param.ravel() for param in params.values()])
        super().update(params, grads)
        moved = np.concatenate([param.ravel() for param in params.values()]) - before
        gradient = np.concatenate([grad.ravel() for grad in grads.values()])
        self.seen.append((float(np.linalg.norm(gradient)), float(np.linalg.norm(moved))))


@pytest.mark.parametrize("nesterov", [True, False])
def test_the_norms_of_an_epoch_are_root_mean_squares(nesterov: bool, rng: np.random.Generator) -> None:
    optimizer = Recording(0.3, 0.9, nesterov, 1e-3)
    history = train(network(), *problem(rng), optimizer, epochs=2, batch_size=8, seed=0)
    squares = np.square(optimizer.seen).reshape(2, 4, 2).mean(axis=1)
    np.testing.assert_allclose(np.sqrt(squares), np.transpose([history["gradient_norm"], history["update_norm"]]))


@pytest.mark.parametrize("method", ["auto", "exact", "loop"])
@pytest.mark.parametrize("weighted", [False, True])
def test_measure_during_gives_the_mean_over_the_batches(weighted: bool, method: str, rng: np.random.Generator) -> None:
    X, y = problem(rng)
    X[3, 2] = 300.0  # which the series leaves out
    weights = rng.random(30) + 0.1 if weighted else None
    net, expected = network(), []
    for epoch in (1, 2):
        total = np.zeros(3)
        for batch in net.samples(X, y, weights).batches(8, 0, epoch):
            w = np.ones(len(batch)) if batch.weights is None else batch.weights
            p = net.predict_proba(batch.X)
            losses, hits = -np.log(p[range(len(batch)), batch.labels]), p.argmax(axis=1) == batch.labels
            total += ((w * losses).sum(), w[hits].sum(), w.sum())
            SGD(0.2).update(net.params, net.quotients(batch, 1e-4, method))
        expected.append(total[:2] / total[2])
    options: Any = {"epochs": 3, "batch_size": 8, "seed": 0, "sample_weight": weights, "method": method}
    during, after = (train(network(), X, y, SGD(0.2), measure=measure, **options) for measure in ("during", "after"))
    figures = np.transpose([during["train_loss"], during["train_accuracy"]])
    np.testing.assert_allclose(figures[:2], expected, rtol=1e-9)
    assert during["train_loss"][2] == after["train_loss"][2] and during["train_loss"][0] != after["train_loss"][0]


def test_the_last_epoch_is_always_measured_after_training(rng: np.random.Generator) -> None:
    X, y = problem(rng)
    run = overfitting(rng)[1]
    plain: dict[str, Any] = {"batch_size": 8, "seed": 0, "epochs": 9}
    for measure in ("during", "after"):
        net = network()
        history = train(net, X, y, SGD(0.1), on_epoch=lambda row: row.epoch == 2, measure=measure, **plain)
        assert history["train_loss"][-1] == net.loss(X, y) and len(history) == 2
    stopped = [run(network(), epochs=100, patience=4, measure=measure) for measure in ("during", "after")]
    assert stopped[0]["train_loss"][-1] == stopped[1]["train_loss"][-1]


def test_balanced_weights_give_all_classes_the_same_weight(rng: np.random.Generator) -> None:
    y = rng.integers(0, 3, 30)
    y[:20] = 0
    weights = balanced_weights(y)
    assert weights.mean() == pytest.approx(1.0)
    np.testing.assert_allclose(np.bincount(y, weights), len(y) / 3)
    np.testing.assert_allclose(weights, compute_sample_weight("balanced", y))
    own = balanced_weights(y, rng.random(30))
    np.testing.assert_allclose(np.bincount(y, own), len(y) / 3)
    for wrong in ([], [[1, 2]]):
        with pytest.raises(DataError, match="one label a sample"):
            balanced_weights(wrong)


def test_fault_12_a_batch_size_above_the_data_gives_one_warning(rng: np.random.Generator) -> None:
    X, y = problem(rng)
    large, whole = network(), network()
    with pytest.warns(UserWarning, match="batch_size 31 is larger than the 30 training samples: one batch") as caught:
        history = train(large, X, y, SGD(0.1), epochs=3, batch_size=31, seed=0)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert history["step"] == [1, 2, 3]
    train(whole, X, y, SGD(0.1), epochs=3, batch_size=30, seed=0)  # and gives no warning
    assert bits(large) == bits(whole)


class Poisoned(SGD):
    """SGD that spoils a weight after a number of steps."""

    def __init__(self, learning_rate: float, steps: int, value: float) -> None:
        super().__init__(learning_rate)
        self.steps, self.value = steps, value

    def update(self, params: Any, grads: Any) -> None:
        super().update(params, grads)
        self.steps -= 1
        if self.steps == 0:
            params["W2"][0, 0] = self.value


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    ("spoiled_after", "found_in_step"),
    [(7, 8), (9, 9)],  # at the next gradient, or when the epoch is measured
)
def test_fault_30_a_loss_of_nan_or_inf_keeps_the_last_good_epoch(
    spoiled_after: int, found_in_step: int, value: float, rng: np.random.Generator
) -> None:
    X, y = problem(rng)
    net, good = network(), network()
    expected = train(good, X, y, SGD(0.1), epochs=2, batch_size=10, seed=0)
    message = f"loss became nan in epoch 3, step {found_in_step}, .* rate 0.1;"
    with pytest.raises(DivergedError, match=message) as caught:
        train(net, X, y, Poisoned(0.1, spoiled_after, value), epochs=9, batch_size=10, seed=0)
    error = caught.value
    assert (error.epoch, error.step, error.learning_rate) == (3, found_in_step, 0.1)
    assert bits(net) == bits(good)
    assert isinstance(error.history, History)
    assert str(untimed(error.history)) == str(untimed(expected))


@pytest.mark.parametrize("learning_rate", [1e30, 1e160, 1e308])
@pytest.mark.parametrize("activation", ["relu", "silu", "tanh", "sign"])
def test_fault_30_a_huge_learning_rate_ends_in_finite_weights(
    activation: str, learning_rate: float, rng: np.random.Generator
) -> None:
    X, y = problem(rng)
    X *= 100.0  # so that rate times gradient also overflows
    net = TwoLayerNet(4, 5, 3, activation=activation, seed=1)
    before = bits(net)
    try:
        history = train(net, X, y, SGD(learning_rate, momentum=0.9), epochs=5, batch_size=10, seed=0)
    except DivergedError as error:
        assert f"{learning_rate:g}" in str(error)
        assert isinstance(error.history, History) and len(error.history) == error.epoch - 1
        assert (bits(net) == before) == (error.epoch == 1)
    else:
        assert learning_rate < 1e308 and np.isfinite(history["train_loss"]).all()
    assert all(np.isfinite(param).all() for param in net.params.values())


def test_a_divergence_names_its_cause(rng: np.random.Generator) -> None:
    X, y = problem(rng)
    unit = X / np.abs(X).max()
    rates = {"small": 0.1, "large": 1e308}
    for case, samples, scale, rate, h, cause in (
        ("an ordinary size", X, None, "large", 1e-4, "try a smaller learning rate"),
        ("inputs of another unit", 1e150 * X, None, "small", 1e-4, "e+150: scale them"),
        ("large inputs, and a rate that is worse", 1e3 * X, None, "large", 1e-4, "try a smaller learning rate"),
        ("inputs near the largest number", 1.7e308 * unit, None, "small", 1e-4, "e+308: scale them"),
        ("weights whose logits overflow", X, 1e160, "small", 1e-4, "the weights are as large as"),
        ("a step that leaves the numbers", X, None, "small", 1e308, "h = 1e+308 moves a weight too far"),
    ):
        net = TwoLayerNet(4, 8, 3, activation="relu", weight_scale=scale, seed=0)
        with pytest.raises(DivergedError) as caught:
            train(net, samples, y, SGD(rates[rate], 0.9), epochs=50, batch_size=10, seed=0, h=h)
        assert cause in str(caught.value) and cause in caught.value.advice, case
    net = TwoLayerNet(4, 5, 3, activation="relu", weight_scale=1e5, seed=1)
    with pytest.raises(DivergedError, match="the inputs are as large as 1"):  # losses of the validation part
        train(net, X, y, SGD(1e-9), epochs=2, batch_size=10, seed=0, validation=(1e308 * unit, y))


GOOD: dict[str, Any] = {"epochs": 2, "batch_size": 10, "seed": 0}


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"epochs": 0}, InvalidValueError, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, InvalidValueError, "batch_size must be at least 1, got 0"),
        ({"seed": -1}, InvalidValueError, "seed must be at least 0, got -1"),
        ({"h": 0.0}, InvalidValueError, "h must be a finite number above 0, got 0.0"),
        ({"method": "exat"}, InvalidValueError, "unknown method 'exat'; did you mean 'exact'"),
        ({"optimizer": "sgd"}, InvalidTypeError, r"optimizer must have update\(params, grads\).*got 'sgd'"),
        ({"optimizer": SGD}, InvalidTypeError, "optimizer must have update"),
        ({"net": "net"}, InvalidTypeError, "net must be a TwoLayerNet, got 'net'"),
        ({"on_epoch": 3}, InvalidTypeError, "on_epoch must be a function of an Epoch, got 3"),
        ({"progress": "x"}, InvalidTypeError, "progress must be True, False or a function"),
        ({"patience": 3}, InvalidValueError, "patience needs validation data"),
        ({"patience": 0, "validation": (np.zeros((1, 4)), [0])}, InvalidValueError, "patience"),
        ({"keep": "best"}, InvalidValueError, 'keep="best" needs validation data'),
        ({"keep": "last", "patience": 1, "validation": (np.zeros((1, 4)), [0])}, InvalidValueError, "exclude each"),
        ({"keep": "beast"}, InvalidValueError, "unknown keep 'beast'; did you mean 'best'"),
        ({"measure": 1}, InvalidValueError, "unknown measure 1"),
        ({"validation": np.zeros((2, 4))}, InvalidTypeError, r"pair \(X, y\), a triple .* got ndarray"),
        ({"validation": ([], [], [1.0])}, DataError, "no samples to weigh"),
        ({"validation": (np.zeros((0, 4)), [0])}, DataError, "no rows"),
        ({"validation": (np.zeros((1, 5)), [0])}, DataError, "X has 5 features"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_changes(
    arguments: Any, kind: type[Exception], message: str, rng: np.random.Generator
) -> None:
    X, y = problem(rng)
    net = network()
    before = bits(net)
    with pytest.raises(kind, match=message):
        train(**({"net": net, "X": X, "y": y, "optimizer": SGD(0.1)} | GOOD | arguments))
    assert bits(net) == before


def terminal_output(monkeypatch: pytest.MonkeyPatch, columns: int, encoding: str, run: Callable[[], object]) -> bytes:
    """Return what `run` writes to stderr, a terminal of that many columns."""
    reader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with monkeypatch.context() as patch, os.fdopen(terminal, "w", encoding=encoding) as stream:
        patch.setattr(sys, "stderr", stream)
        run()
        print(end="\0", file=stream, flush=True)
        output = b""
        while not output.endswith(b"\0"):
            output += os.read(reader, 1024)
    os.close(reader)
    return output.rstrip(b"\0")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("columns", [20, 200])
def test_fault_38_the_progress_bar_fits_the_terminal(
    columns: int, encoding: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    (X, y), validation, history = problem(rng), problem(rng, 11), History()

    def run() -> None:
        options: dict[str, Any] = {"validation": validation, "progress": True}
        history.rows = train(network(), X, y, SGD(0.1), epochs=3, batch_size=10, seed=0, **options).rows

    lines = terminal_output(monkeypatch, columns, encoding, run).decode(encoding).replace("\n", "\r").split("\r")
    assert max(len(line.replace("\x1b[A", "")) for line in lines) <= columns
    last = [line for line in lines if line.strip()][-1]
    assert "100%" in last
    if columns == 200:
        (row,) = history.rows[-1:]
        loss = f"loss={row.train_loss:.4f} (validation {row.validation_loss:.4f})"
        accuracy = f"accuracy={row.train_accuracy:.4f} ({row.validation_accuracy:.4f})"
        assert "3/3" in last and loss in last and accuracy in last


def test_progress_calls_a_function_every_tenth_and_30_s(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    X, y = problem(rng)
    lines: list[str] = []
    options: dict[str, Any] = {"epochs": 40, "batch_size": 10, "seed": 0, "progress": lines.append}
    train(network(), X, y, SGD(0.1), **options)
    assert lines == []  # it took less than 30 s
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    train(network(), X, y, SGD(0.1), **options)
    assert [line.split(":")[0] for line in lines] == [f"epoch {n} of 40" for n in range(4, 41, 4)]
    assert "loss=" in lines[0]


@pytest.mark.parametrize("widgets", [True, False])
def test_a_notebook_shows_its_own_bar_or_a_text_bar(widgets: bool, tmp_path: Path) -> None:
    code = f"""
import importlib.util as util
find = util.find_spec
util.find_spec = lambda name: find(name) if {widgets} or name != "ipywidgets" else None
import numpy as np
from tinynet import SGD, TwoLayerNet, train
X, y = np.eye(4), np.arange(4) % 2
history = train(TwoLayerNet(4, 3, 2, seed=0), X, y, SGD(0.1), epochs=3, batch_size=2, seed=0, progress=True)
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, startup_timeout=300, timeout=300, resources=resources).execute()
    outputs = notebook.cells[0].outputs
    if widgets:
        assert any("application/vnd.jupyter.widget-view+json" in output.get("data", {}) for output in outputs)
    else:
        assert "3/3" in "".join(output.get("text", "") for output in outputs)


@pytest.mark.usefixtures("in_an_empty_folder")
def test_fault_38_the_command_has_a_progress_bar_unless_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["train", "iris", "training.epochs=20"]
    assert b"20/20" in terminal_output(monkeypatch, 100, "utf-8", lambda: main([*words, "--out", "a"]))
    assert terminal_output(monkeypatch, 100, "utf-8", lambda: main([*words, "--out", "b", "--quiet"])) == b""


def test_fault_38_no_progress_bar_where_stderr_is_not_a_terminal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    X, y = problem(rng)
    train(network(), X, y, SGD(0.1), epochs=2, batch_size=10, seed=0, progress=True)
    # by default
    assert terminal_output(monkeypatch, 80, "utf-8", lambda: train(network(), X, y, SGD(0.1), **GOOD)) == b""
    monkeypatch.setattr(sys, "stderr", None)
    train(network(), X, y, SGD(0.1), epochs=2, batch_size=10, seed=0, progress=True)
    assert capfd.readouterr() == ("", "")

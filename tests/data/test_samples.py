"""Samples: what is checked, the order they are visited in, and that their type changes no bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinynet import SGD, Checkpoints, DataError, InvalidTypeError, RunFolderError, TwoLayerNet, split_dataset, train
from tinynet.data import datasets
from tinynet.data.samples import Samples, ScaledRows


def problem(rng: np.random.Generator, n: int = 30) -> tuple[Any, Any]:
    return rng.integers(0, 100, (n, 4)), rng.integers(0, 3, n)


def test_batches_visit_every_sample_once_with_label_and_weight(rng: np.random.Generator) -> None:
    X, y = np.arange(10.0)[:, None], np.arange(10) % 3
    samples = Samples(X, y, 1.0 + np.arange(10))
    assert samples.weights is not None and samples.weights.mean() == pytest.approx(1.0)
    order = np.random.default_rng([7, 2]).permutation(10)
    got = [(batch.X[:, 0].tolist(), batch.labels, batch.weights) for batch in samples.batches(4, seed=7, epoch=2)]
    assert [len(X) for X, *_ in got] == [4, 4, 2]
    for part, whole in zip(zip(*got, strict=True), (X[:, 0], y, samples.weights), strict=True):
        np.testing.assert_array_equal(np.concatenate(part), whole[order])


def test_batches_continue_where_an_epoch_stopped(rng: np.random.Generator) -> None:
    samples = Samples(*problem(rng))
    whole = [batch.X.copy() for batch in samples.batches(7, seed=0, epoch=1)]
    rest = [batch.X.copy() for batch in samples.batches(7, seed=0, epoch=1, done=3)]
    assert len(rest) == 2 and all((a == b).all() for a, b in zip(rest, whole[3:], strict=True))
    assert list(samples.batches(7, seed=0, epoch=1, done=5)) == []


@pytest.mark.parametrize(
    "kind", ["u1", "bool", "f2", "f4", ">f8", "longdouble", "mapped", "columns", "list", "strided"]
)
def test_fault_25_any_type_and_layout_of_X_gives_the_same_bits(
    kind: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    X, y = problem(rng)
    X = X % 2 if kind == "bool" else X
    if kind == "mapped":
        np.save(tmp_path / "X.npy", X.astype(np.float64))
        other: Any = np.load(tmp_path / "X.npy", mmap_mode="r")
        assert np.shares_memory(Samples(other, y).X, other)
    else:
        layouts = {"columns": np.asfortranarray(X), "list": X.tolist(), "strided": np.repeat(X, 2, axis=1)[:, ::2]}
        other = layouts[kind] if kind in layouts else X.astype(kind)
    results = []
    for values in (X.astype(np.float64), other):
        net = TwoLayerNet(4, 5, 3, seed=0)
        train(net, values, y, SGD(0.01), epochs=2, batch_size=7, seed=0)
        gradient = net.numerical_gradient(values, y)
        arrays = [*net.params.values(), *gradient.values(), net.logits(values)]
        results.append([array.tobytes() for array in arrays] + [net.loss(values, y), net.accuracy(values, y)])
    assert results[0] == results[1]


@pytest.mark.parametrize("scaling", ["minmax", "standard", "none"])
def test_large_data_keep_their_type_and_are_scaled_by_the_batch(
    scaling: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    X, y = rng.integers(0, 256, (200, 4)).astype(np.uint8), np.arange(200) % 3
    X[:, 2] = 7
    copied = split_dataset(X, y, scaling=scaling)
    monkeypatch.setattr(datasets, "LARGEST_COPY", 0)
    kept = split_dataset(X, y, scaling=scaling)
    assert isinstance(kept.X_train, ScaledRows) and kept.X_train.base is X
    for name in ("X_train", "X_validation", "X_test"):
        rows = getattr(kept, name)
        np.testing.assert_allclose(np.asarray(rows), getattr(copied, name), atol=1e-12)
        np.testing.assert_array_equal(rows[3:5, 1], np.asarray(rows)[3:5, 1])
    assert kept.digest == copied.digest
    exact = dataclasses.replace(copied, **{n: np.asarray(getattr(kept, n)) for n in ("X_train", "X_validation")})
    results = []
    for data in (kept, exact):
        net = TwoLayerNet(4, 5, 3, seed=0)
        validation = (data.X_validation, data.y_validation)
        history = train(
            net, data.X_train, data.y_train, SGD(0.1), epochs=2, batch_size=9, seed=0, validation=validation
        )
        results.append([param.tobytes() for param in net.params.values()] + [history["validation_loss"]])
    assert results[0] == results[1]


@pytest.mark.parametrize("kind", ["uint8", "float32", "scaled"])
def test_checkpoints_identify_data_by_their_values(kind: str, tmp_path: Path, rng: np.random.Generator) -> None:
    X, y = problem(rng)
    other: Any = ScaledRows(X, np.arange(len(X))) if kind == "scaled" else X.astype(kind)
    options: dict[str, Any] = {"batch_size": 7, "seed": 0}
    train(TwoLayerNet(4, 5, 3, seed=0), X, y, SGD(0.01), epochs=1, checkpoints=Checkpoints(tmp_path), **options)
    again = Checkpoints(tmp_path, resume=True)
    assert len(train(TwoLayerNet(4, 5, 3), other, y, SGD(0.01), epochs=2, checkpoints=again, **options)) == 2
    (X if kind == "scaled" else other)[3] += 1
    with pytest.raises(RunFolderError, match="the training differs in training data"):
        train(TwoLayerNet(4, 5, 3), other, y, SGD(0.01), epochs=3, checkpoints=again, **options)


def test_samples_keep_the_type_of_their_input() -> None:
    X = np.arange(6, dtype=np.uint8).reshape(3, 2)
    assert Samples(X, [0, 1, 0]).X is X
    assert next(Samples(X, [0, 1, 0]).batches(2, 0, 1)).X.dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_fault_20_nan_is_named_in_any_type_of_number(dtype: Any) -> None:
    X = np.ones((5, 3), dtype)
    X[3, 1], X[4, 0] = np.nan, np.inf
    with pytest.raises(DataError, match="2 values that are nan or inf, the first in row 3, column 1"):
        Samples(X, [0] * 5)


def test_large_finite_numbers_whose_sum_overflows_are_accepted() -> None:
    assert len(Samples(np.full((4, 2), 1e308), [0, 1, 0, 1])) == 4


def test_a_network_names_samples_that_do_not_fit_it(rng: np.random.Generator) -> None:
    net, (X, y) = TwoLayerNet(4, 5, 3, seed=0), problem(rng)
    samples = Samples(X, y)
    assert net.samples(samples) is samples
    assert net.evaluate(samples) == (net.loss(X, y), net.accuracy(X, y))
    for wrong, message in ((Samples(X[:, 1:], y), "3 features"), (Samples(X, y + 1), "label 3 is outside")):
        with pytest.raises(DataError, match=message):
            net.samples(wrong)
    with pytest.raises(DataError, match="needs y"):
        net.samples(X)
    for beside in ((y, None), (None, np.ones(len(y)))):
        with pytest.raises(InvalidTypeError, match="hold labels and weights already"):
            net.samples(samples, *beside)


def test_one_hot_rows_are_labels_with_and_without_a_network(rng: np.random.Generator) -> None:
    X, y = problem(rng)
    np.testing.assert_array_equal(Samples(X, np.eye(3)[y]).labels, y)
    with pytest.raises(DataError, match="not one-hot"):
        Samples(X, np.eye(3)[y] * 2)
    with pytest.raises(DataError, match="one label a sample"):
        TwoLayerNet(4, 5, 3).samples(X, np.eye(4)[y])

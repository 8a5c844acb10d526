"""Softmax and cross-entropy against extended precision and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tinynet import cross_entropy, softmax
from tinynet.data.samples import check_X

logits_arrays = arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(2, 6)), elements=st.floats(-1e4, 1e4))


@given(logits_arrays, st.floats(-1e3, 1e3))
def test_softmax_does_not_change_when_all_logits_are_shifted(logits: Any, shift: float) -> None:
    np.testing.assert_allclose(softmax(logits + shift), softmax(logits), atol=1e-11)


@given(logits_arrays)
def test_softmax_gives_probabilities_in_the_order_of_the_logits(logits: Any) -> None:
    p = softmax(logits)
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-14)
    assert (p >= 0).all()
    assert (np.take_along_axis(p, logits.argsort(axis=1), axis=1) == np.sort(p, axis=1)).all()


@given(logits_arrays, st.integers(0, 1))
def test_cross_entropy_agrees_with_extended_precision(logits: Any, label: int) -> None:
    wide = logits.astype(np.longdouble)
    excess = wide - wide[:, [label]]
    largest = excess.max(axis=1, keepdims=True)
    expected = (largest[:, 0] + np.log(np.exp(excess - largest).sum(axis=1))).mean()
    labels = np.full(len(logits), label)
    assert cross_entropy(logits, labels) == pytest.approx(float(expected), rel=1e-13, abs=1e-18)


def test_large_logits_give_finite_losses_that_are_not_rounded() -> None:
    assert cross_entropy([[1e4, -1e4]], [0]) == 0.0
    assert cross_entropy([[1e4, -1e4]], [1]) == 2e4
    assert softmax([[1e4, -1e4]]).tolist() == [[1.0, 0.0]]
    assert cross_entropy([[50.0, 0.0]], [0]) == pytest.approx(np.exp(-50.0), rel=1e-12, abs=0)


def test_labels_may_be_integers_whole_floats_or_one_hot() -> None:
    logits = np.array([[1.0, 2.0, 3.0], [0.0, 5.0, 0.0]])
    one_hot = np.array([[0, 0, 1], [1, 0, 0]])
    expected = cross_entropy(logits, [2, 0])
    assert cross_entropy(logits, [2.0, 0.0]) == expected
    assert cross_entropy(logits, one_hot) == expected
    assert cross_entropy(logits, one_hot.astype(float)) == expected


def test_nan_and_infinite_logits_give_nan_without_a_warning() -> None:
    assert np.isnan(cross_entropy([[np.nan, 0.0]], [0]))
    assert np.isnan(softmax([np.inf, np.inf])).all()


@pytest.mark.parametrize("label", [-1, 3])
def test_fault_28_a_label_outside_the_classes_is_named(label: int) -> None:
    with pytest.raises(ValueError, match=f"label {label} is outside the network's classes 0..2"):
        cross_entropy(np.zeros((2, 3)), [0, label])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0], "one label a sample"),
        ([0.5, 1.0], "integer labels"),
        (["a", "b"], "integer labels"),
        ([[1, 1, 0], [0, 0, 1]], "not one-hot"),
        ([np.nan, 1.0], "integer labels"),
        ([[0], [1, 2]], "y must be a table of numbers, every row of the same length"),
    ],
)
def test_fault_22_invalid_labels_are_refused(y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cross_entropy(np.zeros((2, 3)), y)


def test_logits_must_have_two_dimensions() -> None:
    with pytest.raises(ValueError, match="logits must have shape"):
        cross_entropy([1.0, 2.0], [0])


def test_fault_26_a_sparse_matrix_is_refused_and_a_table_accepted() -> None:
    from scipy.sparse import csr_array

    class Table:
        """A stand-in for pandas and polars: an object with an `__array__` method."""

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return np.arange(6.0).reshape(3, 2)

    with pytest.raises(ValueError, match=r"X is a sparse csr_array; .* use X.toarray\(\)"):
        check_X(csr_array(np.eye(3)))
    assert check_X(Table()).tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    with pytest.raises(ValueError, match="y must have shape"):
        cross_entropy(np.zeros((3, 2)), csr_array(np.eye(3)))

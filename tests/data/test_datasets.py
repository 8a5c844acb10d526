"""load_dataset and split_dataset, against scikit-learn's arrays and the laws of a split."""

from __future__ import annotations

import dataclasses
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn import datasets as sklearn_datasets

from tinynet import DataError, Dataset, InvalidTypeError, InvalidValueError, load_dataset, split_dataset
from tinynet.data.bundled import DATASETS

NAMES = sorted(DATASETS)
SHAPES = {  # (n_samples, n_features, n_classes)
    "digits": (1797, 64, 10),
    "moons": (1000, 2, 2),
    "iris": (150, 4, 3),
    "wine": (178, 13, 3),
    "breast_cancer": (569, 30, 2),
    "circles": (1000, 2, 2),
    "blobs": (1000, 2, 3),
}
PARTS = ("train", "validation", "test")


def rows(data: Dataset) -> Any:
    return np.concatenate([getattr(data, f"X_{part}") for part in PARTS])


def labels(data: Dataset) -> Any:
    return np.concatenate([getattr(data, f"y_{part}") for part in PARTS])


def identical(first: Dataset, second: Dataset) -> bool:
    """Return whether all six arrays have the same bits."""
    keys = [f"{letter}_{part}" for letter in "Xy" for part in PARTS]
    return all(getattr(first, key).tobytes() == getattr(second, key).tobytes() for key in keys)


def two_classes(n: int = 40) -> tuple[Any, Any]:
    """Return one column of row numbers and labels that alternate."""
    return np.arange(float(n))[:, None], np.arange(n) % 2


@pytest.mark.parametrize("name", NAMES)
def test_every_data_set_has_three_parts_of_float64_rows_and_labels(name: str) -> None:
    data = load_dataset(name)
    n_samples, n_features, n_classes = SHAPES[name]
    assert (data.name, data.n_features, data.n_classes) == (name, n_features, n_classes)
    assert len(data.X_test) == round(0.2 * n_samples)
    assert len(data.X_validation) == round(0.1 * n_samples)
    assert len(rows(data)) == n_samples
    for part in PARTS:
        X, y = getattr(data, f"X_{part}"), getattr(data, f"y_{part}")
        assert X.dtype == np.float64 and X.flags.c_contiguous and X.shape == (len(y), n_features)
        assert y.dtype.kind == "i" and set(y) == set(range(n_classes))


@pytest.mark.parametrize("name", ["digits", "iris", "wine", "breast_cancer"])
def test_bundled_data_sets_hold_the_rows_that_scikit_learn_ships(name: str) -> None:
    bunch = getattr(sklearn_datasets, f"load_{name}")()
    data = load_dataset(name, scaling="none")
    expected = np.column_stack([bunch.data, bunch.target])
    ours = np.column_stack([rows(data), labels(data)])
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], expected[np.lexsort(expected.T)])
    assert data.class_names == tuple(str(label) for label in bunch.target_names)
    assert data.feature_names == tuple(bunch.feature_names)


def test_only_images_have_an_image_shape() -> None:
    data = load_dataset("digits", scaling="none")
    assert data.image_shape == (8, 8)
    images = {image.tobytes() for image in sklearn_datasets.load_digits().images}
    assert data.X_test[0].reshape(data.image_shape).tobytes() in images
    assert load_dataset("wine").image_shape is None


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "moons"])
def test_every_part_has_the_class_proportions_of_the_whole(name: str) -> None:
    data = load_dataset(name, seed=3)
    whole = np.bincount(labels(data)) / len(labels(data))
    for part in PARTS:
        y = getattr(data, f"y_{part}")
        assert np.abs(np.bincount(y) - whole * len(y)).max() <= 1, part


@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 4),
    st.integers(8, 60),
    st.sampled_from([0.0, 0.1, 0.25, 0.4]),
    st.sampled_from([0.0, 0.2, 0.33, 0.5]),
)
def test_a_split_is_a_partition(seed: int, n_classes: int, n: int, validation_size: float, test_size: float) -> None:
    X, y = np.arange(float(n))[:, None], np.random.default_rng(seed).integers(0, n_classes, n)
    assume(len(set(y)) > 1)
    try:
        data = split_dataset(X, y, seed=seed, validation_size=validation_size, test_size=test_size, scaling="none")
    except DataError as error:
        assert "too few" in str(error)
        assume(False)
    assert sorted(rows(data).ravel()) == list(range(n))
    assert len(data.X_test) == round(test_size * n) and len(data.X_validation) == round(validation_size * n)
    names = np.array(data.class_names, dtype=int)
    assert (names[labels(data)] == y[rows(data).ravel().astype(int)]).all()


def test_the_seed_decides_the_split() -> None:
    first, second, other = (load_dataset("iris", seed=seed) for seed in (7, 7, 8))
    assert identical(first, second) and not identical(first, other)


def test_the_seed_also_decides_the_points_of_synthetic_data() -> None:
    first, second, other = (load_dataset("moons", seed=seed, scaling="none") for seed in (7, 7, 8))
    assert identical(first, second)
    assert set(rows(first).ravel()).isdisjoint(rows(other).ravel())


def test_a_part_of_size_zero_is_empty_but_keeps_its_columns() -> None:
    data = load_dataset("iris", validation_size=0, test_size=0)
    assert data.X_validation.shape == data.X_test.shape == (0, 4)
    assert data.y_validation.shape == (0,) and len(data.X_train) == 150


@pytest.mark.parametrize("name", ["digits", "wine"])
def test_minmax_is_fitted_on_the_training_part_only(name: str) -> None:
    scaled, raw = load_dataset(name), load_dataset(name, scaling="none")
    assert scaled.X_train.min() == 0.0 and scaled.X_train.max() == 1.0
    low, high = raw.X_train.min(axis=0), raw.X_train.max(axis=0)
    for part in PARTS:
        expected = (getattr(raw, f"X_{part}") - low) / np.where(high == low, 1.0, high - low)
        np.testing.assert_allclose(getattr(scaled, f"X_{part}"), expected, rtol=1e-14)
    assert rows(scaled).max() > 1.0  # rows outside the training part may exceed 1


def test_standard_is_fitted_on_the_training_part_only() -> None:
    scaled, raw = load_dataset("wine", scaling="standard"), load_dataset("wine", scaling="none")
    np.testing.assert_allclose(scaled.X_train.mean(axis=0), 0.0, atol=1e-13)
    np.testing.assert_allclose(scaled.X_train.std(axis=0), 1.0, rtol=1e-13)
    expected = (raw.X_test - raw.X_train.mean(axis=0)) / raw.X_train.std(axis=0)
    np.testing.assert_allclose(scaled.X_test, expected, rtol=1e-12, atol=1e-13)
    assert np.abs(scaled.X_test.mean(axis=0)).max() > 0.01


def test_the_callers_arrays_are_not_modified() -> None:
    X, y = two_classes()
    before = X.copy()
    data = split_dataset(X, y, scaling="none")
    data.X_train[:] = -1.0
    np.testing.assert_array_equal(X, before)


def test_options_of_synthetic_data_are_passed_to_scikit_learn() -> None:
    data = load_dataset("blobs", n_samples=200, n_features=3, centers=4, cluster_std=0.0, scaling="none")
    assert (len(rows(data)), data.n_features, data.n_classes) == (200, 3, 4)
    assert len(np.unique(rows(data), axis=0)) == 4
    circles = rows(load_dataset("circles", n_samples=100, noise=0.0, factor=0.25, scaling="none"))
    np.testing.assert_allclose(np.unique(np.hypot(*circles.T).round(6)), [0.25, 1.0])
    moons = rows(load_dataset("moons", n_samples=100, noise=0.0, scaling="none"))
    np.testing.assert_allclose(np.hypot(*(moons[moons[:, 1] > 0.5]).T), 1.0)


def test_your_own_names_and_image_shape_are_kept() -> None:
    X, y = np.arange(80.0).reshape(20, 4), np.arange(20) % 2
    data = split_dataset(
        X, y, name="own", class_names=("off", "on"), feature_names=("a", "b", "c", "d"), image_shape=(2, 2)
    )
    assert (data.name, data.class_names, data.feature_names) == ("own", ("off", "on"), ("a", "b", "c", "d"))
    assert data.image_shape == (2, 2)
    assert split_dataset(X, y).feature_names == ("x0", "x1", "x2", "x3")
    for options, message in (
        ({"class_names": "a"}, "1 class_names for 2"),
        ({"feature_names": "ab"}, "2 feature_names"),
    ):
        with pytest.raises(DataError, match=message):
            split_dataset(X, y, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"name": "digit"}, InvalidValueError, "unknown dataset 'digit'; did you mean 'digits'.*allowed: .*blobs"),
        ({"name": "iris", "scaling": "standart"}, InvalidValueError, "unknown scaling 'standart'.*mean 'standard'"),
        ({"name": "moons", "noize": 0.1}, InvalidTypeError, "moons has no option 'noize'; did you mean 'noise'"),
        ({"name": "iris", "noise": 0.1}, InvalidTypeError, "iris has no option 'noise'; it takes none"),
        ({"name": "moons", "seed": 2**32}, InvalidValueError, "seed must be .* at most 4294967295, got 4294967296"),
        ({"name": "moons", "noise": -0.1}, InvalidValueError, "noise must be a finite number at least 0"),
        ({"name": "moons", "n_samples": 9}, InvalidValueError, "n_samples must be at least 10"),
        ({"name": "circles", "factor": 1.0}, InvalidValueError, "factor .* above 0 and below 1"),
        ({"name": "blobs", "centers": 1}, InvalidValueError, "centers must be at least 2"),
        ({"name": "iris", "test_size": 1.0}, InvalidValueError, "test_size must .* at least 0 and below 1"),
        ({"name": "iris", "validation_size": 0.5, "test_size": 0.5}, InvalidValueError, r"must be below 1, got 0.5 \+"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_allowed(arguments: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        load_dataset(**arguments)


@pytest.mark.parametrize(
    ("validation_size", "test_size", "message"),
    [
        (0.1, 0.01, "the test part would have 2 of 150 samples, too few for 3 classes"),
        (0.001, 0.2, "the validation part would have 0 of 150 samples"),
        (0.0, 0.99, r"the training part would have 2 of 150 samples.*\(validation_size=0, test_size=0.99\)"),
    ],
)
def test_fault_06_a_part_too_small_for_every_class_is_named(
    validation_size: float, test_size: float, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset("iris", validation_size=validation_size, test_size=test_size)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("moons", {"n_samples": 10**12}),
        ("blobs", {"n_samples": 10**6, "n_features": 10**8}),
    ],
)
def test_fault_13_data_too_large_for_memory_are_not_allocated(name: str, options: Any) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidValueError, match=r"samples of .* GiB; this machine has"):
            load_dataset(name, **options)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


def test_fault_13_more_centers_than_samples_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="centers must be at most n_samples, got 1000000000000"):
        load_dataset("blobs", centers=10**12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_fault_20_values_that_are_not_finite_are_counted_and_located(value: float) -> None:
    X, y = np.zeros((20, 3)), np.arange(20) % 2
    X[4, 2] = X[9, 0] = value
    with pytest.raises(DataError, match="2 values that are nan or inf, the first in row 4, column 2"):
        split_dataset(X, y)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros(4), "two dimensions"),
        (np.zeros((4, 0)), "no columns"),
        (np.zeros((0, 2)), "no rows"),
        ([[1.0], [2.0, 3.0]], "every row of the same length"),
        (np.full((4, 1), "a"), "real numbers"),
    ],
)
def test_fault_21_an_X_that_is_not_a_table_of_numbers_is_refused(X: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_dataset(X, np.arange(len(X)) % 2)


@pytest.mark.parametrize("y", [[0, 1, 0], np.zeros((40, 1)), 0])
def test_fault_21_a_y_of_the_wrong_length_is_refused(y: Any) -> None:
    with pytest.raises(DataError, match="one label for each of the 40 rows of X, got shape"):
        split_dataset(two_classes()[0], y)


@pytest.mark.parametrize(
    ("low", "high", "names", "dtype"),
    [
        ("no", "yes", ("no", "yes"), None),
        (-3, 12, ("-3", "12"), None),
        (1.0, 2.0, ("1", "2"), np.float16),
        (1.0, 1e300, ("1", str(int(1e300))), None),
        (False, True, ("False", "True"), None),
        (7, 250, ("7", "250"), np.uint8),
    ],
)
def test_fault_22_labels_become_numbers_and_their_names_are_kept(
    low: Any, high: Any, names: tuple[str, ...], dtype: Any
) -> None:
    X = two_classes()[0]  # row numbers; even rows get the higher label
    data = split_dataset(X, np.array([high, low] * 20, dtype=dtype), scaling="none")
    assert data.class_names == names
    assert (labels(data) == (rows(data)[:, 0] + 1) % 2).all()


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0.5, 1.0], r"whole numbers or strings, got values such as \[0.5, 0.5, 0.5\]"),
        ([np.nan, 1.0], "20 labels are missing"),
        ([None, "a"], "20 labels are missing"),
        ([1j, 1.0], "got dtype complex128"),
        ([3, 3], r"one class only \(3\)"),
    ],
)
def test_fault_22_labels_that_name_no_classes_are_refused(y: Any, message: str) -> None:
    values = np.asarray(y)[np.arange(40) % 2]
    with pytest.raises(DataError, match=message):
        split_dataset(two_classes()[0], values)


@pytest.mark.parametrize("n_rare", [1, 2])
def test_fault_22_a_class_with_too_few_samples_to_split_is_named(n_rare: int) -> None:
    X, y = two_classes(100)
    y = np.where(np.arange(100) < n_rare, "rare", np.where(y == 0, "even", "odd"))
    with pytest.raises(DataError, match=f"class 'rare' has {n_rare} of 100 samples: too few to put one into the"):
        split_dataset(X, y)


def test_a_class_of_three_has_one_in_every_part() -> None:
    X, y = two_classes(100)
    for seed in range(10):
        data = split_dataset(X, np.where(np.arange(100) < 3, 2, y), seed=seed)
        assert [(part == 2).sum() for part in (data.y_train, data.y_validation, data.y_test)] == [1, 1, 1]
        assert len(np.unique(rows(data), axis=0)) == 100 and len(data.y_test) == 20


@pytest.mark.parametrize("scaling", ["standard", "minmax"])
@pytest.mark.parametrize("constant", [0.1, 1e149, 1e-300])
def test_fault_23_a_constant_column_is_never_divided_by_zero(constant: float, scaling: str) -> None:
    X, y = two_classes()
    data = split_dataset(np.column_stack([X, np.full(40, constant)]), y, scaling=scaling)
    assert (rows(data)[:, 1] == 0.0).all()
    assert data.scaling.scale[1] == 1.0
    assert np.ptp(data.X_train[:, 0]) >= 1.0


@pytest.mark.parametrize("scaling", ["standard", "minmax"])
def test_fault_23_a_nearly_constant_column_stays_finite(scaling: str) -> None:
    X, y = two_classes()
    plain = split_dataset(X, y, scaling="none")
    tiny, huge = np.isin(X[:, 0], plain.X_train[0]), np.isin(X[:, 0], plain.X_test[0])
    column = np.where(tiny, 1e-310, np.where(huge, 1e149, 0.0))
    data = split_dataset(np.column_stack([X, column]), y, scaling=scaling)
    assert np.isfinite(rows(data)).all()


@pytest.mark.parametrize("value", [1e160, -1e308])
def test_fault_24_values_whose_squares_overflow_are_located(value: float) -> None:
    X, y = np.zeros((20, 3)), np.arange(20) % 2
    X[4, 2] = X[9, 0] = value
    with pytest.raises(
        DataError, match=r"2 values beyond ±1e\+150, whose squares overflow.*row 4, column 2: -?1e\+[13]"
    ):
        split_dataset(X, y)


@pytest.mark.parametrize("scaling", ["standard", "minmax", "none"])
def test_fault_24_the_largest_allowed_values_scale_without_warning(scaling: str) -> None:
    X, y = two_classes()
    data = split_dataset(np.where(X % 4 < 2, 1e150, -1e150), y, scaling=scaling)
    assert np.isfinite(rows(data)).all()
    if scaling != "none":
        assert np.abs(rows(data)).max() < 2.0


@pytest.mark.parametrize("name", NAMES)
def test_a_digest_covers_every_part_and_name_but_not_the_last_bits(name: str) -> None:
    data = load_dataset(name, scaling="standard")
    for part in PARTS:
        X, y = getattr(data, f"X_{part}").copy(), getattr(data, f"y_{part}").copy()
        assert dataclasses.replace(data, **{f"X_{part}": X * (1 + 1e-15)}).digest == data.digest
        X[-1, -1] += 1e-3
        y[0] = 1 - y[0]
        assert dataclasses.replace(data, **{f"X_{part}": X}).digest != data.digest
        assert dataclasses.replace(data, **{f"y_{part}": y}).digest != data.digest
    changes: list[dict[str, Any]] = [
        {"feature_names": data.feature_names[::-1]},
        {"class_names": data.class_names[::-1]},
        {f"X_{part}": 2.0 * getattr(data, f"X_{part}") for part in PARTS},
    ]
    for changed in changes:
        assert dataclasses.replace(data, **changed).digest != data.digest


def test_a_digest_accepts_columns_of_zeros_and_of_huge_numbers() -> None:
    X = np.array([[0.0, 1e-150], [0.0, 1e-150], [1.0, 1e150]])
    parts: dict[str, Any] = {f"X_{part}": X[:2] for part in PARTS}
    parts |= {f"y_{part}": np.array([0, 1]) for part in PARTS}
    data = dataclasses.replace(load_dataset("moons"), **parts)
    assert len(data.digest) == 16
    assert dataclasses.replace(data, X_test=X[1:]).digest != data.digest

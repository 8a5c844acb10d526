"""scikit-learn's data sets: those it brings along, and those it draws."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from tinynet.errors import InvalidValueError, check_integer, check_memory, check_number


@cache
def _bunch(name: str) -> Any:
    """Read one of scikit-learn's files once: a sweep asks for the same again and again."""
    from sklearn import datasets

    return getattr(datasets, f"load_{name}")()


def _bundled(name: str, seed: int) -> dict[str, Any]:
    bunch = _bunch(name)
    return {
        "X": bunch.data,
        "y": bunch.target,
        "class_names": tuple(map(str, bunch.target_names)),
        "feature_names": tuple(map(str, bunch.feature_names)),
        "image_shape": bunch.images.shape[1:] if "images" in bunch else None,
    }


def _moons(seed: int, n_samples: int = 1000, noise: float = 0.2) -> dict[str, Any]:
    from sklearn.datasets import make_moons

    X, y = make_moons(_n_samples(n_samples, 2), noise=check_number("noise", noise, 0), random_state=seed)
    return {"X": X, "y": y}


def _circles(seed: int, n_samples: int = 1000, noise: float = 0.1, factor: float = 0.5) -> dict[str, Any]:
    from sklearn.datasets import make_circles

    n_samples, noise = _n_samples(n_samples, 2), check_number("noise", noise, 0)
    factor = check_number("factor", factor, 0, 1, closed=False)
    X, y = make_circles(n_samples, noise=noise, factor=factor, random_state=seed)
    return {"X": X, "y": y}


def _blobs(
    seed: int, n_samples: int = 1000, n_features: int = 2, centers: int = 3, cluster_std: float = 1.0
) -> dict[str, Any]:
    from sklearn.datasets import make_blobs

    n_features, centers = check_integer("n_features", n_features, 1), check_integer("centers", centers, 2)
    n_samples = _n_samples(n_samples, n_features)
    if centers > n_samples:  # a list of all centers is made, however few samples there are
        raise InvalidValueError(f"centers must be at most n_samples, got {centers} centers for {n_samples} samples")
    cluster_std = check_number("cluster_std", cluster_std, 0)
    X, y = make_blobs(n_samples, n_features, centers=centers, cluster_std=cluster_std, random_state=seed)
    return {"X": X, "y": y}


def _n_samples(n_samples: int, n_features: int) -> int:
    n_samples = check_integer("n_samples", n_samples, 10)
    check_memory(f"{n_samples:,} samples of {n_features} features, twice over,", 2 * n_samples * n_features)
    return n_samples


DATASETS: dict[str, Callable[..., dict[str, Any]]] = {
    "digits": partial(_bundled, "digits"),
    "moons": _moons,
    "iris": partial(_bundled, "iris"),
    "wine": partial(_bundled, "wine"),
    "breast_cancer": partial(_bundled, "breast_cancer"),
    "circles": _circles,
    "blobs": _blobs,
}

"""A trained model: a network and what prepares raw rows for it, as stored in the model.npz of a run folder."""

from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.activations import get_activation
from tinynet.artifacts.run_folder import RunFolder
from tinynet.data.datasets import Dataset, Scaling, check_magnitude
from tinynet.data.npz_files import read_npz
from tinynet.data.preparation import ARRAYS, Preparation, plain_preparation
from tinynet.data.samples import check_X
from tinynet.data.sources import read_rows
from tinynet.data.tables import LARGEST, Table, some
from tinynet.errors import DataError, InvalidValueError, RunFolderError
from tinynet.network import TwoLayerNet
from tinynet.storage.messages import shown_path
from tinynet.storage.reading import FilePath, faults_of_file
from tinynet.storage.writing import write_named

Array = npt.NDArray[Any]

PARAMS = ("W1", "b1", "W2", "b2")
NAMES = ("activation", "class_names", "feature_names")
FORMULA = re.compile(r"[=+\-@\t\r]")
PREDICTIONS = "label,probability_"  # how `predictions_csv` begins
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Model:
    """A network with the scaling of its features and the names of its classes; it takes raw rows.

    Attributes
    ----------
    net : TwoLayerNet
    scaling : Scaling
    class_names : tuple of str, or of int where a classifier is exported; empty for the numbers of the classes
    feature_names : tuple of str
    preparation : Preparation or None
        What raw rows of a table go through: text, codes and gaps. None where the features are the columns.
    class_counts : array, shape (n_classes,), or None
        How many samples of each class there were to train on; older files do not tell.

    Examples
    --------
    >>> from tinynet import TwoLayerNet, load_dataset
    >>> data = load_dataset("iris")
    >>> model = Model(TwoLayerNet(4, 5, 3, seed=0), data.scaling, data.class_names, data.feature_names)
    >>> model.predict([[5.1, 3.5, 1.4, 0.2]]).shape, model.predict_proba([[5.1, 3.5, 1.4, 0.2]]).shape
    ((1,), (1, 3))
    """

    net: TwoLayerNet
    scaling: Scaling
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    preparation: Preparation | None = None
    class_counts: Array | None = None

    def __post_init__(self) -> None:
        """Check that names and scaling fit the network; DataError where they do not."""
        (d, _), (k,) = self.net.shapes["W1"], self.net.shapes["b2"]
        for name, sizes in (("class_names", (0, k)), ("feature_names", (d,))):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            if (n := len(getattr(self, name))) not in sizes:
                raise DataError(f"a network {d}-...-{k} needs {sizes[-1]} {name}, got {n}")
        if not isinstance(self.scaling, Scaling) or len(self.scaling.offset) != d:
            raise DataError(f"scaling must be a Scaling of {d} features, as a Dataset has, got {self.scaling!r:.100}")

    def __repr__(self) -> str:
        """Return the network and the first of its classes."""
        names = ", ".join(map(repr, self.class_names[:5])) + (", ..." if len(self.class_names) > 5 else "")
        return f"Model({self.net!r}, classes {names if len(names) <= 120 else len(self.class_names)})"

    def save(self, path: FilePath) -> None:
        """Write the model to a file that `load_model` reads.

        Raises
        ------
        InvalidValueError
            When the network has an activation of your own, which no file can hold.
        OSError
            When it cannot be written; what was there stays.
        """
        name = self.net.activation.name
        try:
            known = self.net.activation.is_like(get_activation(name))
        except InvalidValueError:
            known = False
        if not known:
            raise InvalidValueError(f"activation {name!r} is a function of your own, which no file can hold")
        write_named(Path(path), model_bytes(self.net, self))

    def predict(self, X: Any) -> Array:
        """Return the name of the most probable class of each row of `X`, shape (n_samples,).

        Raises
        ------
        DataError
            As `predict_proba` does.
        """
        names = self.class_names or range(self.net.shapes["b2"][0])
        return np.asarray(names)[self.net.predict(self.scaled(X))]

    def predict_proba(self, X: Any) -> Array:
        """Return the class probabilities of `X`, shape (n_samples, n_classes).

        Parameters
        ----------
        X : raw rows, shape (n_samples, n_columns), a data frame, or what `read` returned
            With the columns of `preparation` where there is one, and text and gaps among them; a level that
            training never saw counts as none of the known ones.

        Raises
        ------
        DataError
            For another number of columns, inf or huge values, and gaps where they are refused.
        """
        return self.net.predict_proba(self.scaled(X))

    def read(self, path: FilePath) -> Array | Table:
        """Return the raw rows in a file: array X of an .npz, else CSV.

        In CSV the features are found by the names in the header, and other columns are left out; without a
        header there must be as many columns as features.

        Raises
        ------
        DataError
            Naming the file, and the line and column where it is one.
        """
        return self._read(path)[0]

    def read_labelled(self, path: FilePath) -> tuple[Any, Array]:
        """Return the raw rows in a file, and their labels numbered as `class_names`.

        Raises
        ------
        DataError
            As `read` does, and for a label that is missing or no class.
        """
        return self._read(path, self.class_names)

    def _read(self, path: FilePath, class_names: tuple[str, ...] | None = None) -> tuple[Array | Table, Array]:
        known = self.preparation or plain_preparation(self.feature_names)
        rows, labels = read_rows(path, known, class_names)
        return rows if known is self.preparation else known.transform(rows), labels

    def unknown_levels(self, rows: Any) -> dict[str, int]:
        """Return, by column of text, the number of rows with a value that training never saw, where there are any."""
        known = self.preparation
        return {} if known is None else known.unknown_levels(rows if isinstance(rows, Table) else known.table(rows))

    def scaled(self, X: Any) -> Array:
        """Return raw rows as the network takes them: prepared and scaled, shape (n_samples, n_features)."""
        if self.preparation is None:
            X = check_X(X, len(self.feature_names)).astype(np.float64, copy=False)
        else:
            X = self.preparation.transform(X if isinstance(X, Table) else self.preparation.table(X))
        check_magnitude(X)
        return self.scaling.transform(X)


def plain_model(net: TwoLayerNet) -> Model:
    """Return a model of `net` with unscaled features, and numbers for class names."""
    (d, _), (k,) = net.shapes["W1"], net.shapes["b2"]
    names = tuple(map(str, range(k))), tuple(f"x{i}" for i in range(d))
    return Model(net, Scaling("none", np.zeros(d), np.ones(d)), *names)


def load_model(path: FilePath) -> Model:
    """Return the model in a file that was saved, or that a run left in its folder, wherever that is now.

    Raises
    ------
    RunFolderError
        When there is none, or it is damaged or not one of tinynet's.
    """
    folder = RunFolder(path) if os.path.isdir(path) else None
    if folder is not None and folder.model.is_file():
        path = folder.model
    elif folder is not None and folder.config.is_file():
        why = f"the run has not ended, or lost its {folder.model.name}"
        raise RunFolderError(f"{shown_path(path)}: {why}; resume it with: {folder.resume_command()}")
    elif not os.path.isfile(path):
        raise RunFolderError(
            f"{shown_path(path)}: not a run folder: it has no model.npz, which 'tinynet train' leaves in one"
        )
    try:
        arrays = read_npz(path, [*PARAMS, *NAMES, "offset", "scale"], [*ARRAYS, "class_counts"], compressed=False)
        with faults_of_file(path):
            return _model(arrays)
    except DataError as error:
        raise RunFolderError(str(error)) from error


def model_bytes(net: TwoLayerNet, data: Dataset | Model) -> bytes:
    """Return model.npz: parameters, activation, scaling, names and preparation; no pickled object."""
    buffer = BytesIO()
    arrays: dict[str, Any] = net.params | {
        "activation": np.array(net.activation.name),
        "offset": data.scaling.offset,
        "scale": data.scaling.scale,
        "class_names": np.array([str(name) for name in data.class_names or range(len(net.params["b2"]))]),
        "feature_names": np.array([str(name) for name in data.feature_names]),
    }
    if data.preparation is not None:
        arrays |= data.preparation.arrays()
    if data.class_counts is not None:
        arrays["class_counts"] = data.class_counts
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet would take a cell for a formula; numbers are not."""
    return FORMULA.match(text) is not None and NUMBER.fullmatch(text) is None


def predictions_csv(model: Model, X: Any, *, spreadsheet: bool = False) -> str:
    """Return CSV text with a line for each row of `X`: the label as it is spelled, and one probability per class.

    For a `spreadsheet`, a label that it would take for a formula gets an apostrophe before it.
    """
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["label", *(f"probability_{name}" for name in model.class_names)])
    scaled = model.scaled(X)
    for label, probabilities in zip(model.net.predict(scaled), model.net.predict_proba(scaled), strict=True):
        name = model.class_names[label]
        name = f"'{name}" if spreadsheet and is_formula(name) else name
        table.writerow([name, *(f"{probability:.6g}" for probability in probabilities)])
    return text.getvalue()


def _model(arrays: dict[str, Array]) -> Model:
    """Return the model in the arrays of a file; DataError names an array that does not fit."""
    W1, W2 = arrays["W1"], arrays["W2"]
    if W1.ndim != 2 or W2.ndim != 2:
        raise DataError(f"W1 and W2 must be matrices, got shapes {W1.shape} and {W2.shape}")
    (d, m), k = W1.shape, W2.shape[1]
    shapes = {"W1": (d, m), "b1": (m,), "W2": (m, k), "b2": (k,), "offset": (d,), "scale": (d,), "activation": ()}
    shapes |= {"class_names": (k,), "feature_names": (d,), "class_counts": (k,)}
    for name in [name for name in shapes if name in arrays]:
        kinds, what = ("U", "text") if name in NAMES else ("fiu", "numbers")
        if arrays[name].shape != shapes[name] or arrays[name].dtype.kind not in kinds:
            received = f"{arrays[name].dtype} of shape {arrays[name].shape}"
            raise DataError(f"{name} must be {what} of shape {shapes[name]}, as W1 is {W1.shape}, got {received}")
    with np.errstate(over="ignore"):
        numbers = {name: np.array(arrays[name], dtype=np.float64) for name in (*PARAMS, "offset", "scale")}
    for name, array in numbers.items():  # in float32 LARGEST itself would be inf
        if not (np.abs(array) <= LARGEST).all():
            raise DataError(f"{name} must hold finite numbers up to {LARGEST:g}")
    if not (numbers["scale"] * LARGEST >= 1).all():
        raise DataError("scale must be above 0, and not so small that what is divided by it overflows")
    counts = arrays.get("class_counts")
    if counts is not None and (counts.dtype.kind != "i" or (counts < 0).any()):
        raise DataError("class_counts must hold whole numbers from 0 on")
    net = TwoLayerNet(d, m, k, activation=str(arrays["activation"]), seed=0)
    net.params = {name: numbers[name] for name in PARAMS}
    scaling = Scaling("stored", numbers["offset"], numbers["scale"])
    class_names, feature_names = (tuple(arrays[name].tolist()) for name in ("class_names", "feature_names"))
    preparation, own = None, {name: arrays[name] for name in ARRAYS if name in arrays}
    if own:
        if absent := [name for name in ARRAYS if name not in own]:
            raise DataError(f"no array {some(absent)} beside {some(own)}")
        preparation = Preparation.from_arrays(own)
        if preparation.feature_names != feature_names:
            raise DataError("columns and levels do not belong to feature_names")
    return Model(net, scaling, class_names, feature_names, preparation, counts)

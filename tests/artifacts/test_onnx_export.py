"""An exported model: onnxruntime agrees with tinynet, and no other file is overwritten."""

from __future__ import annotations

import errno
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from tinynet import (
    ConfigError,
    Dataset,
    InvalidTypeError,
    InvalidValueError,
    Model,
    RunFolderError,
    TinyNetClassifier,
    TwoLayerNet,
    load_dataset,
    quantised,
)
from tinynet.activations import NAMED
from tinynet.artifacts import onnx_export as export
from tinynet.artifacts.onnx_export import export_onnx
from tinynet.cli.main import main
from tinynet.storage import writing

ACTIVATIONS = [*NAMED, "quantised:2", "quantised:4", "quantised:17", np.tanh, np.sign, quantised(4)]
RAW = {name: load_dataset(name, scaling="none") for name in ("iris", "wine")}
FILE = Path("model.onnx")


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def model_of(name: str = "iris", activation: Any = "tanh", scaling: str = "standard", size: float = 1.0) -> Model:
    """Return a network whose units cover the whole range of the activation."""
    data = load_dataset(name, scaling=scaling)
    net = TwoLayerNet(data.n_features, 20, data.n_classes, activation=activation, weight_scale=size, seed=1)
    net.params["b1"] += np.linspace(-2.0, 2.0, 20)
    net.params["b2"] += np.linspace(-1.0, 1.0, data.n_classes)
    return Model(net, data.scaling, data.class_names, data.feature_names)


def session(path: Path) -> Any:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def outcome(path: Path, X: Any) -> Any:
    """Return the labels and probabilities of onnxruntime."""
    return session(path).run(["label", "probabilities"], {"X": X})


def rows(data: Dataset) -> Any:
    return np.concatenate([data.X_train, data.X_validation, data.X_test])


def fault(model: Model, path: Path) -> str:
    """Return the one line that refuses an export; check that nothing changed."""
    before = {entry: entry.is_file() and entry.read_bytes() for entry in Path().iterdir()}
    with pytest.raises((ConfigError, InvalidValueError, RunFolderError)) as caught:
        export_onnx(model, path)
    assert {entry: entry.is_file() and entry.read_bytes() for entry in Path().iterdir()} == before
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda activation: str(activation).partition(" at ")[0])
def test_onnxruntime_gives_the_same_answers_for_raw_rows(activation: Any, capfd: pytest.CaptureFixture[str]) -> None:
    model, X = model_of("wine", activation), rows(RAW["wine"])
    difference = export_onnx(model, FILE)
    labels, probabilities = outcome(FILE, X)
    np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=0, atol=1e-12)
    assert probabilities.dtype == np.float64 and difference <= 1e-12
    assert labels.tolist() == model.predict(X).tolist() and len(set(labels)) > 1
    assert capfd.readouterr() == ("", "")  # no output from the libraries


def test_a_file_takes_any_number_of_rows_and_declares_its_types() -> None:
    export_onnx(model_of(), FILE)
    for n in (1, 7):
        labels, probabilities = outcome(FILE, np.zeros((n, 4)))
        assert labels.shape == (n,) and probabilities.shape == (n, 3)
    opened = session(FILE)
    described = [(value.name, value.type, value.shape) for value in (*opened.get_inputs(), *opened.get_outputs())]
    assert described == [
        ("X", "tensor(double)", ["n_samples", 4]),
        ("label", "tensor(string)", ["n_samples"]),
        ("probabilities", "tensor(double)", ["n_samples", 3]),
    ]


def test_any_names_of_classes_and_features_are_kept() -> None:
    names, features = ("a{}", 'b, "c"', "Übermut\n山"), ("w", "x", "=y", "z z")
    model = model_of()
    model = Model(model.net, model.scaling, names, features)
    export_onnx(model, FILE)
    meta = session(FILE).get_modelmeta()
    assert json.loads(meta.custom_metadata_map["class_names"]) == list(names)
    assert json.loads(meta.custom_metadata_map["feature_names"]) == list(features)
    assert meta.custom_metadata_map["activation"] == "tanh" and meta.producer_name == "tinynet"
    labels, probabilities = outcome(FILE, rows(RAW["iris"]))
    assert [names[k] for k in probabilities.argmax(axis=1)] == labels.tolist()
    assert len(set(labels)) > 1


def test_the_same_model_gives_the_same_valid_bytes() -> None:
    for name in ("a.onnx", "b.onnx"):
        export_onnx(model_of(activation="quantised:4"), Path(name))
    assert (Path("a.onnx")).read_bytes() == (Path("b.onnx")).read_bytes()
    onnx.checker.check_model(onnx.load(Path("a.onnx")), full_check=True)


def test_an_onnx_file_is_replaced() -> None:
    export_onnx(model_of("wine"), FILE)
    export_onnx(model_of("iris"), FILE)
    assert session(FILE).get_inputs()[0].shape[1] == 4
    assert [*Path().iterdir()] == [FILE]


def test_a_file_that_is_not_onnx_is_not_overwritten() -> None:
    for content in (b"", b"my notes\n", bytes(range(256)), b"PK\x03\x04" + bytes(100)):
        Path("thesis.txt").write_bytes(content)
        message = fault(model_of(), Path("thesis.txt"))
        assert message == "thesis.txt: exists and is not an ONNX file; choose another file"
    assert fault(model_of(), Path("/dev/null")).startswith("/dev/null: exists and is not an ONNX file")
    assert fault(model_of(), Path("..")) == "..: is a folder; name a file"


def test_a_custom_function_is_refused_even_under_a_known_name() -> None:
    def tanh(a: Any) -> Any:
        return np.tanh(2 * a)

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, a: Any) -> Any:
            return np.abs(a)

    for function, name in ((tanh, "tanh"), (Unhashable(), "Unhashable"), (np.arctan, "arctan")):
        message = fault(model_of(activation=function), FILE)
        assert message == (
            f"activation {name!r} is a function that tinynet has no ONNX operators for; "
            "it has them for tanh, sigmoid, relu, silu, identity, sign and quantised:LEVELS"
        )


def test_a_file_that_onnxruntime_contradicts_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(export.ACTIVATIONS, "tanh", "z = Sigmoid(a)")
    message = fault(model_of(), FILE)
    assert message.startswith("onnxruntime finds other probabilities than tinynet, by up to 0.")


def test_weights_too_large_to_agree_with_onnxruntime_are_named() -> None:
    model = model_of()
    model.net.params["W2"][:] = 1e14 * np.array([1.0, 1.0 + 1e-15, 1.0 - 1e-15]) * np.linspace(-1.0, 1.0, 20)[:, None]
    message = fault(model, FILE)
    assert message.endswith("1e-06 is allowed; the largest weight is 1e+14, and with huge ones rounding decides")


def test_more_weights_than_a_file_can_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MOST_BYTES", 1000)
    message = fault(model_of(), FILE)
    assert message == "163 parameters are too many: an ONNX file holds less than 2 GiB"


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_a_missing_extra_names_the_command_that_installs_it(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    message = fault(model_of(), FILE)
    assert message.startswith("export: needs onnx and onnxruntime, ") and "[onnx]" in message


@pytest.fixture
def iris() -> str:
    """Return the run folder of a short training on iris."""
    assert main(["train", "iris", "training.epochs=3", "--out", "run", "--quiet"]) == 0
    return "run"


def test_the_command_writes_the_file_and_says_how_it_was_checked(iris: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", iris, "iris.onnx"]) == 0
    out, err = capsys.readouterr()
    assert (out.splitlines(), err) == (
        [
            "model          iris.onnx",
            "checked        by onnxruntime, on 1,000 rows: the same probabilities within 1e-06",
        ],
        "",
    )
    labels, _ = outcome(Path("iris.onnx"), rows(RAW["iris"]))
    assert set(labels) <= {"setosa", "versicolor", "virginica"}


def test_fault_33_a_full_disk_fails_and_keeps_the_old_file(
    iris: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, "write_atomically", full)
    assert main(["export", iris, "iris.onnx"]) == 3
    assert capsys.readouterr() == ("", "tinynet: failed: iris.onnx: No space left on device\n")


def fitted(scaler: Any = None, activation: str = "relu", names: Any = None) -> tuple[Any, Any]:
    """Return a classifier, after `scaler` if there is one, and the raw rows that it was fitted on."""
    data = RAW["wine"]
    X = rows(data)
    y = np.arange(3)[np.concatenate([data.y_train, data.y_validation, data.y_test])]
    rate = 1e-5 if scaler is None or (isinstance(scaler, StandardScaler) and not scaler.with_std) else 0.1
    classifier = TinyNetClassifier(8, activation, learning_rate=rate, max_iter=30, tol=0, random_state=0)
    model = classifier if scaler is None else make_pipeline(scaler, classifier)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y if names is None else np.array(names)[y]), X


@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        MinMaxScaler((-1, 2)),
        MaxAbsScaler(),
        RobustScaler(),
    ],
    ids=str,
)
def test_a_pipeline_is_exported_with_its_scaler(scaler: Any) -> None:
    model, X = fitted(scaler)
    assert export_onnx(model, FILE) <= 1e-12
    labels, probabilities = outcome(FILE, X)
    np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=0, atol=1e-12)
    assert labels.dtype == np.int64 and labels.tolist() == model.predict(X).tolist()


@pytest.mark.parametrize("names", [[7, -3, 0], ["b", "a", "Ü"], [0.0, 4.0, 2.0]], ids=str)
def test_a_classifier_is_exported_with_its_labels(names: Any) -> None:
    model, X = fitted(names=names)
    export_onnx(model, FILE)
    labels, _ = outcome(FILE, X)
    expected = model.predict(X).tolist()
    assert labels.tolist() == (expected if names[0] == 7 else list(map(str, expected)))
    stored = json.loads(session(FILE).get_modelmeta().custom_metadata_map["class_names"])
    assert stored == (sorted(names) if names[0] == 7 else list(map(str, sorted(names))))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_graph_and_classifier_agree_on_extreme_rows(activation: str) -> None:
    model, X = fitted(activation=activation)
    export_onnx(model, FILE)
    extreme = np.where(np.arange(13) == np.arange(13)[:, None], 1e300, X[:13])
    labels, probabilities = outcome(FILE, extreme)
    np.testing.assert_array_equal(np.isnan(probabilities), np.isnan(model.predict_proba(extreme)))
    known = ~np.isnan(probabilities).any(axis=1)
    np.testing.assert_allclose(probabilities[known], model.predict_proba(extreme)[known], rtol=0, atol=1e-12)
    assert labels[known].tolist() == model.predict(extreme)[known].tolist()
    for value in (np.nan, np.inf):  # the classifier refuses what the graph accepts
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            model.predict(np.full((1, 13), value))
    assert np.isnan(outcome(FILE, np.full((1, 13), np.nan))[1]).all()


def test_a_model_without_class_names_is_exported_with_numbers() -> None:
    model = model_of()
    nameless = Model(model.net, model.scaling, (), model.feature_names)
    export_onnx(nameless, FILE)
    labels, _ = outcome(FILE, RAW["iris"].X_test)
    assert labels.tolist() == nameless.predict(RAW["iris"].X_test).tolist()
    assert [model.class_names[label] for label in labels] == model.predict(RAW["iris"].X_test).tolist()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "other",
    [
        TinyNetClassifier(),
        make_pipeline(PCA(), TinyNetClassifier()),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(MinMaxScaler(clip=True), TinyNetClassifier()),
    ],
    ids=["not fitted", "another step", "another classifier", "a scaler that clips"],
)
def test_a_model_that_cannot_be_exported_is_named(other: Any) -> None:
    if hasattr(other, "steps"):
        other.fit(rows(RAW["wine"]), np.arange(178) % 2)
    said = "export takes" if hasattr(other, "steps") else "which is not fitted$"
    with pytest.raises(InvalidTypeError, match=said):
        export_onnx(other, FILE)
    assert not FILE.exists()

"""A stored model: it predicts what the network predicted, and nothing else is accepted as a model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rights import unprivileged

from tinynet import (
    SGD,
    DataError,
    Dataset,
    Model,
    RunFolderError,
    TinynetError,
    TwoLayerNet,
    load_dataset,
    load_model,
    train,
)
from tinynet.artifacts.model import model_bytes, predictions_csv
from tinynet.data.datasets import Scaling

RAW = load_dataset("iris", scaling="none")


def trained() -> tuple[TwoLayerNet, Dataset]:
    data = load_dataset("iris", scaling="standard")
    net = TwoLayerNet(4, 5, 3, seed=0)
    train(net, data.X_train, data.y_train, SGD(0.1, momentum=0.9), epochs=5, batch_size=10, seed=0)
    return net, data


NET, DATA = trained()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    (tmp_path / "model.npz").write_bytes(model_bytes(NET, DATA))
    return tmp_path


def changed(folder: Path, **arrays: Any) -> Path:
    """Replace arrays of the model; None removes one."""
    with np.load(folder / "model.npz", allow_pickle=False) as model:
        whole = dict(model) | arrays
    np.savez(folder / "model.npz", **{name: array for name, array in whole.items() if array is not None})
    return folder


def fault(folder: Path) -> str:
    """Return the one line that says why a folder holds no model."""
    with pytest.raises(RunFolderError) as info:
        load_model(folder)
    assert isinstance(info.value, OSError) and str(info.value).isprintable()
    return str(info.value)


def test_a_model_read_back_gives_the_same_bits_for_raw_rows(folder: Path) -> None:
    model = load_model(folder)
    np.testing.assert_array_equal(model.predict_proba(RAW.X_test), NET.predict_proba(DATA.X_test))
    assert model.predict(RAW.X_test).tolist() == [DATA.class_names[k] for k in NET.predict(DATA.X_test)]
    assert (model.class_names, model.feature_names) == (DATA.class_names, DATA.feature_names)
    assert model.net.activation.name == "tanh" and model.predict(RAW.X_test[:0]).shape == (0,)


def test_a_model_does_not_need_its_file_after_loading(folder: Path) -> None:
    model = load_model(str(folder))
    (folder / "model.npz").unlink()
    before = model.predict_proba(RAW.X_test)
    model.net.params["b2"] += [0.0, 0.0, 1.0]
    assert (model.predict_proba(RAW.X_test)[:, 2] > before[:, 2]).all()


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (RAW.X_test[:, :3], "X has 3 features, the network was made for 4"),
        (RAW.X_test[0], r"for one sample use X.reshape\(1, -1\)"),
        ([[1.0, 2.0, np.nan, 4.0]], "1 values that are nan or inf, the first in row 0, column 2"),
        ([[1.0, 2.0, 1e200, 4.0]], r"1 values beyond ±1e\+150"),
    ],
)
def test_fault_27_rows_that_do_not_fit_are_refused(X: Any, message: str, folder: Path) -> None:
    for predict in (load_model(folder).predict, load_model(folder).predict_proba):
        with pytest.raises(DataError, match=message):
            predict(X)


def test_a_folder_without_a_model_is_not_a_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        assert fault(path).startswith(f"{path}: not a run folder: it has no model.npz")
    Path(tmp_path, "config.json").touch()
    assert fault(tmp_path).endswith(f"; resume it with: tinynet train --out {tmp_path} --resume")
    assert "not an NPZ archive" in fault(Path(__file__))
    assert fault(tmp_path / "a\nb\0").endswith("which 'tinynet train' leaves in one")


def test_a_model_without_read_permission_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)  # the folders above it are closed to others
    Path("model.npz").chmod(0)
    with unprivileged():
        assert fault(Path(".")) == "model.npz: cannot be read: Permission denied"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"W1": None}, "no array 'W1'; it has 'b1', 'W2'"),
        ({"W1": np.zeros(4)}, "W1 and W2 must be matrices, got shapes (4,) and (5, 3)"),
        ({"W2": np.zeros((6, 3))}, "W2 must be numbers of shape (5, 3), as W1 is (4, 5), got float64 of shape (6, 3)"),
        ({"b1": np.zeros((5, 1))}, "b1 must be numbers of shape (5,)"),
        ({"class_names": np.array(["a", "b"])}, "class_names must be text of shape (3,)"),
        ({"activation": np.array(["tanh"])}, "activation must be text of shape ()"),
        ({"activation": np.array("tnah")}, "unknown activation 'tnah'; did you mean 'tanh'?"),
        ({"W2": np.full((5, 3), "1")}, "W2 must be numbers of shape (5, 3), as W1 is (4, 5), got <U1"),
        ({"W1": np.full((4, 5), np.nan)}, "W1 must hold finite numbers up to 1e+150"),
        ({"scale": np.zeros(4)}, "scale must be above 0"),
        (
            {"W2": np.zeros((5, 1)), "b2": [0.0], "class_names": ["a"], "class_counts": None},
            "n_classes must be at least 2",
        ),
        ({"W1": np.zeros((0, 5)), "offset": [], "scale": [], "feature_names": np.zeros(0, "U1")}, "n_features must be"),
        ({"b1": np.array([None] * 5)}, "array b1 holds Python objects, which are never loaded"),
    ],
)
def test_fault_19_an_array_that_does_not_fit_is_named(arrays: Any, message: str, folder: Path) -> None:
    assert f"{folder}/model.npz: {message}" in fault(changed(folder, **arrays))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, len(model_bytes(NET, DATA)) - 1), change=st.binary(min_size=1, max_size=8))
def test_a_changed_model_gives_a_model_or_a_data_error(place: int, change: bytes, folder: Path) -> None:
    content = bytearray(model_bytes(NET, DATA))
    content[place : place + len(change)] = change
    (folder / "model.npz").write_bytes(content)
    try:
        assert load_model(folder).predict_proba(RAW.X_test).shape == (30, 3)
    except TinynetError as error:
        assert len(str(error).splitlines()) == 1


def model_of(class_names: tuple[str, ...]) -> Model:
    return Model(TwoLayerNet(4, 2, len(class_names), seed=0), DATA.scaling, class_names, DATA.feature_names)


def test_predictions_have_a_label_and_a_probability_per_class() -> None:
    header, *rows = predictions_csv(model_of(("a", "b, or c")), RAW.X_test).splitlines()
    assert header == 'label,probability_a,"probability_b, or c"' and len(rows) == 30
    for row, expected in zip(rows, model_of(("a", "b")).predict_proba(RAW.X_test), strict=True):
        label, *probabilities = row.rsplit(",", 2)
        assert label == ("a" if expected[0] >= 0.5 else '"b, or c"')
        np.testing.assert_allclose([float(cell) for cell in probabilities], expected, rtol=5e-6)


def test_the_label_is_right_where_probabilities_look_equal() -> None:
    model = model_of(("a", "b"))
    for key, value in (("W1", 0.0), ("W2", 0.0), ("b2", [0.0, 1e-17])):
        model.net.params[key][...] = value
    _, row = predictions_csv(model, RAW.X_test[:1]).splitlines()
    assert row == "b,0.5,0.5" and model.predict(RAW.X_test[:1]).tolist() == ["b"]


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-a", "'-a"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-1+2", "'-1+2"),
        ("-1", "-1"),
        ("+1.5e3", "+1.5e3"),
        ("a=b", "a=b"),
    ],
)
def test_fault_45_a_class_keeps_its_spelling_except_in_spreadsheets(name: str, cell: str) -> None:
    model = model_of((name, name))
    for spreadsheet, label in ((False, name), (True, cell)):
        rows = predictions_csv(model, RAW.X_test, spreadsheet=spreadsheet).splitlines()
        assert all(row.startswith(f"{label},0.") for row in rows[1:])
        assert rows[0].startswith("label,probability_")


@pytest.mark.parametrize("kind", ["names", "other order and columns", "no header", "npz"])
def test_rows_are_read_in_the_order_of_the_features(kind: str, tmp_path: Path) -> None:
    model, X = model_of(("a", "b")), RAW.X_test
    path = tmp_path / ("rows.NPZ" if kind == "npz" else "rows.txt")
    if kind == "npz":
        with path.open("wb") as file:
            np.savez(file, X=X)
    else:
        names, body = list(model.feature_names), X.astype(object)
        if kind == "other order and columns":
            names, body = ["id", *names[::-1], "species"], np.column_stack([["x"] * 30, body[:, ::-1], [""] * 30])
        lines = ([] if kind == "no header" else [names]) + body.tolist()
        path.write_text("".join(",".join(map(str, line)) + os.linesep for line in lines), encoding="utf-8")
    np.testing.assert_array_equal(model.read(path), X)


def test_a_header_of_numbers_is_recognised_by_feature_names(tmp_path: Path) -> None:
    model = Model(TwoLayerNet(2, 2, 2, seed=0), Scaling("none", np.zeros(2), np.ones(2)), ("a", "b"), ("0", "1"))
    (tmp_path / "rows.csv").write_text("1,0\n5,7\n", encoding="utf-8")
    np.testing.assert_array_equal(model.read(tmp_path / "rows.csv"), [[7.0, 5.0]])

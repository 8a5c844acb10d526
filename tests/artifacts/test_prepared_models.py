"""Models of tables with text and gaps: run folder, ONNX and scikit-learn agree on raw rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from tinynet import DataError, Dataset, RunFolderError, TwoLayerNet, load_dataset, load_model
from tinynet.artifacts.model import Model, model_bytes
from tinynet.artifacts.onnx_export import export_onnx
from tinynet.cli.main import main

NAMES = ["length", "label", "code", "weight"]  # one has the name of an output of the graph
NEW = np.array([[None, "violet", 1, 0.5], [51.5, None, 7, 0.0], [3.0, 'a "b"', 2, None]], dtype=object)
OPTIONS: dict[str, Any] = {"categorical": ["code"], "scaling": "standard", "validation_size": 0, "test_size": 0}


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> Any:
    """Return raw rows of four columns and a label, which are also in table.csv."""
    monkeypatch.chdir(tmp_path)
    length: list[Any] = rng.normal(50, 9, 90).round(2).tolist()
    label: list[Any] = rng.choice(["red", "green", 'a "b"', "ö, é"], 90).tolist()
    length[4] = label[6] = None
    kind = ["yes" if word == "red" else "no" for word in label]
    columns = [length, label, rng.integers(0, 3, 90).tolist(), rng.normal(0, 1, 90).tolist(), kind]
    frame_of(np.array(columns, dtype=object).T, [*NAMES, "kind"]).write_csv("table.csv")
    return np.array(columns[:4], dtype=object).T


def frame_of(rows: Any, names: list[str]) -> pl.DataFrame:
    return pl.DataFrame(rows.tolist(), schema=names, orient="row")


def model_of(data: Dataset, folder: str = "run") -> Model:
    net = TwoLayerNet(data.n_features, 5, data.n_classes, seed=1)
    Path(folder).mkdir()
    Path(folder, "model.npz").write_bytes(model_bytes(net, data))
    return load_model(folder)


def by_onnx(model: Model, rows: Any) -> Any:
    export_onnx(model, "model.onnx")
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    inputs: dict[str, Any] = {}
    for one, column in zip(session.get_inputs(), rows.T, strict=True):
        if one.type == "tensor(string)":
            inputs[one.name] = np.array([["" if cell is None else str(cell)] for cell in column], dtype=object)
        else:
            inputs[one.name] = column.astype(float)[:, None]
    return session, session.run(["label", "probabilities"], inputs)


def test_folder_onnx_and_pipeline_agree_on_raw_rows(rows: Any) -> None:
    model, raw = model_of(load_dataset("csv", path="table.csv", **OPTIONS)), np.concatenate([rows, NEW])
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    median = make_pipeline(FunctionTransformer(lambda X: X.astype(float)), SimpleImputer(strategy="median"))
    columns = [(name, median if name in ("length", "weight") else encoder, [i]) for i, name in enumerate(NAMES)]
    peer = make_pipeline(ColumnTransformer(columns), StandardScaler()).fit(rows)
    expected = model.net.predict_proba(peer.transform(raw).astype(float))
    np.testing.assert_allclose(model.predict_proba(raw), expected, rtol=0, atol=1e-9)
    session, (labels, probabilities) = by_onnx(model, raw)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-6)
    assert labels.tolist() == model.predict(raw).tolist()
    assert [one.name for one in session.get_inputs()] == ["length", "label_column", "code", "weight"]
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["columns"]) == NAMES


def test_rows_are_read_from_frames_and_files_by_name(rows: Any) -> None:
    model = model_of(load_dataset("csv", path="table.csv", **OPTIONS))
    frame = frame_of(NEW, NAMES).select("weight", "code", "label", "length")
    frame.write_csv("new.csv")
    for same in (frame, model.read("new.csv")):
        np.testing.assert_array_equal(model.predict_proba(same), model.predict_proba(NEW))
    assert model.unknown_levels(NEW) == {"label": 1, "code": 1}
    with pytest.raises(DataError, match="X has 3 columns, the model was trained on 4"):
        model.predict(NEW[:, :3])


def test_a_numeric_table_with_gaps_keeps_a_single_onnx_input(rows: Any) -> None:
    model = model_of(load_dataset("csv", path="table.csv", **OPTIONS | {"exclude": ["label"], "categorical": []}))
    raw = np.array([[None, 1.0, 0.5], [51.5, 0.0, None]], dtype=object)
    export_onnx(model, "model.onnx")
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(["probabilities"], {"X": raw.astype(float)})
    np.testing.assert_allclose(probabilities, model.predict_proba(raw), rtol=0, atol=1e-6)


def test_gaps_are_refused_where_training_refused_them(rows: Any) -> None:
    for missing in ("drop", "refuse"):
        Path("whole.csv").write_text("a,b,y\n" + "1,u,no\n2,v,yes\n" * 10)
        model = model_of(load_dataset("csv", path="whole.csv", missing=missing), missing)
        Path("new.csv").write_text("a,b\n1,u\n2,\n,v\n")
        with pytest.raises(DataError, match=r"^new\.csv: 2 values are missing in 'a', 'b': lines 3, 4"):
            model.read("new.csv")
        with pytest.raises(DataError, match="1 value is missing in 'a': row 0"):
            model.predict([[None, "u"]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fills": None}, "no array 'fills'"),
        ({"n_levels": np.array([-1, 5, 3])}, "do not belong together"),
        ({"gap_levels": np.array([True])}, "do not belong together"),
        ({"fills": np.array([np.inf, 0.0, 0.0, 0.0])}, "do not belong together"),
        ({"columns": np.array(["length", "label", "kode", "weight"])}, "do not belong to feature_names"),
        ({"style": np.array('{"separator": 1}')}, "style is damaged"),
        ({"class_counts": np.array([1, 2, 3])}, "class_counts"),
    ],
)
def test_a_damaged_preparation_is_refused(change: dict[str, Any], message: str, rows: Any) -> None:
    model_of(load_dataset("csv", path="table.csv", **OPTIONS))
    with np.load("run/model.npz", allow_pickle=False) as model:
        whole = dict(model) | change
    np.savez("run/model.npz", **{name: array for name, array in whole.items() if array is not None})
    with pytest.raises(RunFolderError, match=message):
        load_model("run")


def test_a_file_is_evaluated_as_text_json_and_page(rows: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "table.csv", "dataset.label=kind", "training.epochs=3", "--out", "run"]) == 0
    printed = capsys.readouterr().out
    assert "table          label: text, 5 columns of 0 and 1\n" in printed and "2 gaps filled in 2 columns" in printed
    summary = json.loads(Path("run/summary.json").read_text(encoding="utf-8"))
    assert summary["table"][1] == {
        **{"column": "label", "kind": "text", "levels": 4, "gaps": 1},
        "done": "5 columns of 0 and 1",
    }
    Path("new.csv").write_text("kind,weight,code,label,length\nno,0.5,1,violet,50\nyes,0.1,0,red,\nyes,1,1,red,60\n")
    assert main(["evaluate", "run", "new.csv", "--json", "--output", "page.html"]) == 0
    output = capsys.readouterr()
    scores, model = json.loads(output.out), load_model("run")
    right = model.predict(model.read("new.csv")) == ["no", "yes", "yes"]
    assert scores["accuracy"] == right.mean() and scores["unknown_levels"] == {"label": 1}
    assert "1 row has a value in column 'label' that training never saw, treated as" in output.err
    page = Path("page.html").read_text(encoding="utf-8")
    assert all(
        words in page for words in ("Confusion matrix", "File accuracy", "File loss", "<h2>File, class by class")
    )
    assert main(["evaluate", "run", "new.csv"]) == 0
    assert capsys.readouterr().out.startswith(f"file accuracy  {100 * right.mean():.1f} %")
    assert main(["predict", "run", "new.csv"]) == 0
    assert "that training never saw" in capsys.readouterr().err
    Path("new.csv").write_text("kind,weight,code,label,length\nperhaps,0.5,1,red,50\n")
    assert main(["evaluate", "run", "new.csv"]) == 2
    assert "new.csv: label 'perhaps' in column 'kind' is not one of the classes no, yes" in capsys.readouterr().err


def test_a_model_without_preparation_finds_the_label_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    iris = Path(__file__).parents[2] / "data" / "iris.csv"
    monkeypatch.chdir(tmp_path)
    assert main(["train", "iris", "training.epochs=20", "--out", "run", "--quiet"]) == 0
    assert main(["evaluate", "run", str(iris), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] > 0.9

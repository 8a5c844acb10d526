"""From your own file to predictions with the command, and where data files are looked for."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from answers import fault

from tinynet import load_dataset, load_model
from tinynet.cli.main import main
from tinynet.config.building import prepare
from tinynet.config.loading import load_config

DATA = Path(__file__).parents[2] / "data"
TINYNET = str(Path(sys.executable).with_name("tinynet"))
CONFIG = """
name = "tumours"
dataset = { name = "csv", path = "data/breast_cancer.csv", label = "diagnosis", scaling = "standard" }
training = { epochs = 5, batch_size = 32 }
"""
MEASURES = "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with a config and its data."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    shutil.copy(DATA / "breast_cancer.csv", folder / "data")
    (folder / "tumours.toml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


def table(text: str) -> tuple[list[str], list[list[str]]]:
    header, *rows = csv.reader(io.StringIO(text))
    return header, rows


def rows_file(rows: Sequence[object], header: str = MEASURES, name: str = "new.csv") -> str:
    Path(name).write_text(
        f"{header}\n" * bool(header) + "".join(f"{row}\n" for row in rows), "utf-8", "surrogateescape"
    )
    return name


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return model.npz of a short training on iris."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "iris", "training.epochs=3", "--out", str(folder), "--quiet"]) == 0
    return folder / "model.npz"


@pytest.fixture
def iris(model: Path) -> str:
    """Return a run folder with only the model left, which is all that predictions need."""
    Path("run").mkdir()
    shutil.copy(model, "run")
    return "run"


def test_a_csv_file_is_trained_on_and_predicted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "tumours.toml", "--out", "runs/first"]) == 0
    assert capsys.readouterr().out.startswith("tumours: network 30-50-2 (tanh)")
    summary = json.loads(Path("runs/first/summary.json").read_text(encoding="utf-8"))
    assert summary["test_accuracy"] > 0.9
    assert main(["predict", "runs/first", "data/breast_cancer.csv"]) == 0
    header, rows = table(capsys.readouterr().out)
    assert header == ["label", "probability_benign", "probability_malignant"]
    truth = [line.rpartition(",")[2] for line in Path("data/breast_cancer.csv").read_text().splitlines()[1:]]
    assert np.mean([row[0] == name for row, name in zip(rows, truth, strict=True)]) > 0.9
    proba = load_model("runs/first").predict_proba(load_model("runs/first").read("data/breast_cancer.csv"))
    np.testing.assert_allclose([[float(cell) for cell in row[1:]] for row in rows], proba, rtol=5e-6)


# predict


def test_output_goes_to_a_file_on_request(iris: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows_file(["5.1,3.5,1.4,0.2", "6.5,3.0,5.8,2.2"])
    assert main(["predict", iris, "new.csv"]) == 0
    printed = capsys.readouterr().out
    assert main(["predict", iris, "new.csv", "--output", "labels.csv"]) == 0
    assert capsys.readouterr().out == "" and Path("labels.csv").read_text(encoding="utf-8") == printed
    header, rows = table(printed)
    assert len(rows) == 2 and header[0] == "label"
    assert all(row[0] in ("setosa", "versicolor", "virginica") for row in rows)


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (MEASURES.replace("petal", "leaf"), "1,2,3,4", "the model: no column 'petal length (cm)', 'petal width (cm)'"),
        ("", "1,2,3", "line 1: 3 columns and no header; the model has 4: 'sepal length (cm)', 'sepal"),
        ("", "1,2,3,4,setosa", "line 1: 5 columns and no header; the model has 4: "),
        (MEASURES, "1,2,3,many", "column 'petal width (cm)': 'many' in line 2, where numbers belong"),
        (MEASURES, '1,2,3,"4,5"', "column 'petal width (cm)': '4,5' in line 2, where numbers belong; write numbers as"),
        (MEASURES, "1,2,3,-1e300", "column 'petal width (cm)': a number beyond ±1e+150 in line 2"),
        (MEASURES, "1,2,3,4\n\udce9", "line 3: not UTF-8: byte 0xe9; save it in that encoding, as the training table"),
        (MEASURES, "1,2,,4", "1 value is missing in 'petal length (cm)': line 2"),
    ],
)
def test_fault_27_rows_of_another_layout_are_refused_with_the_line(
    header: str, row: str, message: str, iris: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fault(capsys, "predict", iris, rows_file([row], header)).startswith(f"new.csv: {message}")


def test_fault_27_a_class_that_training_never_saw_does_not_matter(
    iris: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", iris, rows_file(["5.1,3.5,1.4,0.2,cactus"], MEASURES + ",species")]) == 0
    assert "cactus" not in capsys.readouterr().out


def test_a_label_column_is_ignored_without_a_header_too(capsys: pytest.CaptureFixture[str]) -> None:
    lines = (DATA / "iris.csv").read_text(encoding="utf-8").splitlines()[1:]
    labelled = [f"{name},{measures}" for measures, _, name in (line.rpartition(",") for line in lines)]
    rows_file(labelled, "", "labelled.csv")
    rows_file([line.partition(",")[2] for line in labelled], "", "bare.csv")
    override = ['dataset.name="csv"', 'dataset.path="labelled.csv"', "dataset.label=1", "training.epochs=2"]
    assert main(["train", "iris", *override, "--out", "run", "--quiet"]) == 0
    printed = []
    for name in ("labelled.csv", "bare.csv"):
        assert main(["predict", "run", name]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] and len(printed[0].splitlines()) == 151


def test_a_wrong_run_or_file_is_answered_in_one_line(iris: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fault(capsys, "predict", "runs", "new.csv").startswith("runs: not a run folder: it has no model.npz")
    missing = fault(capsys, "predict", iris, "new.csv")
    assert missing.startswith("new.csv: cannot be read: No such file or directory; ")
    assert "'sepal length (cm)', 'sepal width (cm)'" in missing and "X of 4 columns" in missing
    assert "'sepal length (cm)'" in fault(capsys, "evaluate", iris, "new.csv")
    assert "arguments are required: FILE" in fault(capsys, "predict", iris)
    Path(iris, "model.npz").write_bytes(Path(iris, "model.npz").read_bytes()[:1000])
    assert fault(capsys, "predict", iris, "new.csv").startswith("run/model.npz: not an NPZ archive, or a damaged one")


def test_output_that_cannot_be_written_is_refused(iris: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = rows_file(["5.1,3.5,1.4,0.2"])
    for output, reason in [("", "Is a directory"), ("nowhere/x.csv", "No such file"), (iris, "Is a directory")]:
        line = fault(capsys, "predict", iris, rows, "--output", output)
        assert line.startswith(f"command line: --output: {output!r} cannot be written: {reason}")
    assert "embedded null" in fault(capsys, "predict", iris, rows, "--output", "a\0b")


def test_output_replaces_nothing_but_what_the_command_wrote(iris: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows_file(["5.1,3.5,1.4,0.2,setosa"], f"{MEASURES},species")
    os.link("new.csv", "same.csv")
    for *words, own in (
        ("predict", iris, "new.csv", "labels"),
        ("evaluate", iris, "new.csv", "page"),
        ("schema", "keys"),
    ):
        for _ in range(2):
            assert main([*words, "--output", own]) == 0
        capsys.readouterr()
        for output in ("new.csv", "same.csv", f"{iris}/model.npz", "tumours.toml"):
            expected = f"--output: {output!r} exists, and 'tinynet {words[0]}' did not write it"
            assert expected in fault(capsys, *words, "--output", output)


# Where data files are looked for


def test_a_config_gives_the_same_data_set_as_load_dataset() -> None:
    loaded = prepare(load_config("tumours.toml", ["dataset.label=-1", 'dataset.separator=","', "dataset.header=true"]))
    same = load_dataset("csv", path="data/breast_cancer.csv", scaling="standard")
    np.testing.assert_array_equal(loaded.dataset.X_train, same.X_train)
    assert loaded.dataset.class_names == ("benign", "malignant")


def test_fault_43_a_project_moved_as_a_whole_repeats_its_runs(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["train", "tumours.toml", "--quiet", "--out", "runs/first"]) == 0
    config = json.loads(Path("runs/first/config.json").read_text(encoding="utf-8"))
    assert config["dataset"]["path"] == os.path.join("..", "..", "data", "breast_cancer.csv")
    shutil.copytree(project, tmp_path / "moved")
    shutil.rmtree(project / "data")
    monkeypatch.chdir(tmp_path / "moved")
    assert main(["train", "../moved/runs/first/config.json", "--quiet", "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "model.npz").read_bytes() == (project / "runs/first/model.npz").read_bytes()


def test_fault_43_a_run_without_its_data_takes_another_path(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "tumours.toml", "--quiet", "--out", "runs/first"]) == 0
    shutil.move("runs/first", tmp_path / "first")
    config = str(tmp_path / "first" / "config.json")
    expected = f"{config}: dataset.path: {tmp_path.parent / 'data' / 'breast_cancer.csv'}: cannot be read: No such file"
    assert fault(capsys, "train", config).startswith(expected)
    assert main(["train", config, 'dataset.path="data/breast_cancer.csv"', "--quiet", "--out", "again"]) == 0


def test_a_folder_with_a_variable_in_its_name_can_be_used(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "elsewhere")
    shutil.copytree(project, project / "in $WHERE")
    monkeypatch.chdir(project / "in $WHERE")
    for config, out in (("tumours.toml", "../first"), ("../first/config.json", "../again")):
        assert main(["train", config, "training.epochs=1", "--quiet", "--out", out]) == 0
    monkeypatch.setenv("WHERE", "data")
    assert main(["train", "tumours.toml", "dataset.path=$WHERE/breast_cancer.csv", "training.epochs=1", "--quiet"]) == 0


def test_a_fault_in_the_file_names_config_key_file_and_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Path("data/breast_cancer.csv").open("a", encoding="utf-8") as file:
        file.write("1,2,3\n")
    path = Path("data/breast_cancer.csv").absolute()
    expected = f"tumours.toml: dataset.path: {path}: line 571 has 3 columns, the rows before it have 31"
    assert fault(capsys, "train", "tumours.toml") == expected
    path.write_bytes(path.read_bytes()[: -len("1,2,3\n")])
    expected = f"tumours.toml and command line: dataset.test_path: {path.with_name('none.csv')}: cannot be read: "
    assert fault(capsys, "train", "tumours.toml", "dataset.test_path=data/none.csv").startswith(expected)


def test_fault_33_output_that_fills_the_disk_keeps_the_old_file(
    iris: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    Path("old.csv").write_text(old := "label,probability_a", encoding="utf-8")
    monkeypatch.setattr(os, "fsync", full)
    assert main(["predict", iris, rows_file(["5.1,3.5,1.4,0.2"]), "--output", "old.csv"]) == 3
    assert capsys.readouterr().err == "tinynet: failed: old.csv: No space left on device\n"
    assert Path("old.csv").read_text(encoding="utf-8") == old and not list(Path().glob(".*.tmp"))


def test_output_through_a_link_or_device_keeps_it(iris: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = rows_file(["5.1,3.5,1.4,0.2"])
    assert main(["predict", iris, file]) == 0
    wanted = capsys.readouterr().out
    Path("there.csv").write_text("label,probability_a", encoding="utf-8")
    Path("link.csv").symlink_to("there.csv")
    assert main(["predict", iris, file, "--output", "link.csv"]) == 0
    assert Path("link.csv").is_symlink() and Path("there.csv").read_text(encoding="utf-8") == wanted
    assert main(["predict", iris, file, "--output", "/dev/null"]) == 0 and Path("/dev/null").is_char_device()
    Path("stdout").symlink_to("/dev/stdout")
    with open("redirected.csv", "w", encoding="utf-8") as out:
        subprocess.run([TINYNET, "predict", iris, file, "--output", "stdout"], stdout=out, check=True)
    assert Path("stdout").is_symlink() and Path("redirected.csv").read_text(encoding="utf-8") == wanted

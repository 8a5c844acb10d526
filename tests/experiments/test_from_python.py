"""One call for a run, a sweep, a stored run and a report; saved files; output in a notebook."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet
from tinynet import (
    SGD,
    ConfigError,
    DataError,
    History,
    InvalidTypeError,
    InvalidValueError,
    Model,
    RunFolderError,
    TwoLayerNet,
    load_model,
    quantised,
)
from tinynet.config.sections import Config
from tinynet.experiments import load_run, run_experiment, run_sweep, write_report

IRIS: dict[str, Any] = {"dataset": {"name": "iris"}, "training": {"epochs": 2, "batch_size": 16}}


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def test_every_form_of_a_config_gives_the_same_bits() -> None:
    first = run_experiment(IRIS, {"optimizer.learning_rate": np.float64(0.2)}, out=Path("first"))
    Path("own.toml").write_text(
        'dataset.name = "iris"\noptimizer.learning_rate = 0.2\n[training]\nepochs = 2\nbatch_size = 16\n'
    )
    forms: list[Any] = [first.config, first.folder, "first", "first/config.json", Path("own.toml")]
    for number, form in enumerate(forms):
        again = run_experiment(form, out=f"again{number}")
        assert again.config == first.config and again.status == "completed"
        assert (again.model.net.params["W1"] == first.model.net.params["W1"]).all()
    assert IRIS == {"dataset": {"name": "iris"}, "training": {"epochs": 2, "batch_size": 16}}  # unchanged


def test_a_run_is_read_back_completely() -> None:
    run = run_experiment("iris", {"training.epochs": 3, "training.patience": None}, out="run")
    stored = load_run("run")
    assert (stored.config, stored.history, stored.summary) == (run.config, run.history, run.summary)
    assert stored.summary is not None and stored.summary.epochs == len(stored.history) == 3
    data = tinynet.load_dataset("iris", scaling="none")
    labels = np.asarray(data.class_names)[data.y_test]
    assert np.mean(stored.model.predict(data.X_test) == labels) == stored.summary.test_accuracy
    assert write_report(stored) == Path("run/report.html") and load_run(run).history == run.history


def test_a_table_path_is_relative_to_the_current_folder() -> None:
    Path("own.csv").write_text("x,y\n" + "1,a\n2,b\n" * 20)
    table = {"dataset": {"name": "csv", "path": "own.csv"}, "training": {"epochs": 1, "batch_size": 16}}
    run = run_experiment(table, out="runs/one")
    assert run.config.dataset.path == str(Path("own.csv").absolute()) == run_experiment("runs/one").config.dataset.path
    other = run_experiment(IRIS, {"dataset.name": "csv", "dataset.path": Path("own.csv")}, out="other")
    assert other.config.dataset.path == run.config.dataset.path
    Path("conf").mkdir()
    Path("conf/own.toml").write_text(
        'dataset = {name = "csv", path = "../own.csv"}\ntraining = {epochs = 1, batch_size = 16}\n'
    )
    tested = run_experiment("conf/own.toml", {"dataset.test_path": "own.csv"}, out="tested").config
    assert tested.dataset.path == tested.dataset.test_path == run.config.dataset.path
    axes = {"dataset.path": Path("own.csv"), "dataset.test_path": ["own.csv"], "seed": range(2)}
    swept = run_sweep("conf/own.toml", axes, out="swept").runs[0].config.dataset
    assert swept.path == swept.test_path == run.config.dataset.path
    plain = run_experiment(Config.model_validate(table), out="plain")
    assert plain.config.dataset.path == run.config.dataset.path


def test_a_sweep_returns_rows_a_table_and_runs() -> None:
    axes = {"optimizer.learning_rate": np.array([0.1, 0.3]), "seed": range(2), "name": "swept"}
    sweep = run_sweep("iris", axes, {"training.epochs": 1}, out="s")
    assert [row["optimizer.learning_rate"] for row in sweep.rows] == [0.1, 0.1, 0.3, 0.3]
    assert sorted(run.folder.path.name for run in sweep.runs) == sorted(row["run"] for row in sweep.rows)
    assert {run.config.name for run in sweep.runs} == {"swept"}
    assert str(sweep).count("learning_rate=") == 2 and "4 completed" in repr(sweep)
    assert write_report(sweep.folder) == Path("s/report.html") and Path("s/report.html").is_file()
    parallel = run_sweep("iris", axes, {"training.epochs": 1}, out="p", jobs=2)
    assert [row["best_validation_loss"] for row in parallel.rows] == [row["best_validation_loss"] for row in sweep.rows]


@pytest.mark.parametrize(
    ("config", "overrides", "named"),
    [
        ("iriss", {}, ["iriss", "'iris'"]),
        ({"training": {}}, {}, ["config: dataset: missing"]),
        (IRIS, {"training.epoch": 3}, ["config: unknown key training.epoch", "training.epochs"]),
        (IRIS, {"training.epochs": "3"}, ["config: training.epochs", "'3'"]),
        (IRIS, ["seed=1"], ["overrides", "dict"]),
        (3, {}, ["config must be", "got 3"]),
    ],
)
def test_a_fault_is_named_and_nothing_is_written(config: Any, overrides: Any, named: list[str]) -> None:
    with pytest.raises((ConfigError, TypeError)) as caught:
        run_experiment(config, overrides)
    assert all(part in str(caught.value) for part in named)
    assert not list(Path().iterdir())


def test_faults_of_axes_and_folders_are_named() -> None:
    with pytest.raises(ConfigError, match=r"sweep: unknown key sed\b.*\bseed\b"):
        run_sweep("iris", {"sed": [1, 2]})
    wrong: Any = {"axes must be a dict": {"axes": None}, "jobs must be an integer": {"axes": {}, "jobs": "2"}}
    for said, options in wrong.items():
        with pytest.raises(InvalidTypeError, match=said):
            run_sweep("iris", **options)
    with pytest.raises(ConfigError, match=r"nowhere/config.json: cannot be read"):
        load_run("nowhere")
    with pytest.raises(RunFolderError, match="no run folder was given"):
        write_report([])


def test_the_functions_are_imported_on_first_use() -> None:
    code = (
        "import sys, tinynet, tinynet.experiments as e; print('pydantic' in sys.modules, 'run_sweep' in dir(e)); "
        "from tinynet.experiments import run_experiment; print('pydantic' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.split() == ["False", "True", "True"]
    with pytest.raises(AttributeError, match="run_swep"):
        getattr(tinynet.experiments, "run_swep")  # noqa: B009


# Saved files


def test_a_network_and_a_model_are_saved_and_read() -> None:
    net, X = TwoLayerNet(3, 4, 2, activation="quantised:4", seed=1), np.eye(3)
    net.save("net.npz")
    plain = load_model("net.npz")
    assert (plain.net.predict_proba(X) == net.predict_proba(X)).all() and plain.net.activation.name == "quantised:4"
    assert (plain.class_names, plain.feature_names) == (("0", "1"), ("x0", "x1", "x2"))
    data = tinynet.load_dataset("iris")
    Model(TwoLayerNet(4, 5, 3, seed=0), data.scaling, data.class_names, data.feature_names).save("iris.npz")
    rows = tinynet.load_dataset("iris", scaling="none").X_test
    again = load_model(Path("iris.npz"))
    assert (again.net.predict(data.X_test) == np.searchsorted(data.class_names, again.predict(rows))).all()


def test_names_of_a_model_are_checked_and_saved_as_text() -> None:
    scaling = tinynet.load_dataset("iris").scaling
    for names in ((), (0, 1, 2), np.arange(3)):
        named: Any = (names, range(4))
        Model(TwoLayerNet(4, 5, 3, activation=quantised(4), seed=0), scaling, *named).save("m.npz")
        again = load_model("m.npz")
        assert (again.class_names, again.feature_names) == (("0", "1", "2"), ("0", "1", "2", "3"))
        assert again.net.activation.name == "quantised:4"
    wrong: Any = {
        "3 class_names, got 2": (scaling, ("a", "b"), "abcd"),
        "4 feature_names, got 1": (scaling, (), ("a",)),
        "scaling must be a Scaling of 4 features": (None, (), "abcd"),
    }
    for said, arguments in wrong.items():
        with pytest.raises(DataError, match=said):
            Model(TwoLayerNet(4, 5, 3), *arguments)


def test_a_custom_activation_is_not_saved() -> None:
    def relu(a: Any) -> Any:  # not tinynet's, whatever its name
        return np.maximum(a, -0.1)

    for activation in (lambda a: a / 2, relu):
        with pytest.raises(InvalidValueError, match="a function of your own"):
            TwoLayerNet(2, 3, 2, activation=activation).save("net.npz")
    assert not Path("net.npz").exists()


# Output in a notebook


def test_a_notebook_shows_objects_in_two_lines_with_sizes() -> None:
    run = run_experiment(IRIS, out="run")
    shown = {
        "TwoLayerNet(64, 50, 10, activation='relu')": TwoLayerNet(64, 50, 10, activation="relu"),
        "SGD(learning_rate=0.1, momentum=0.9": SGD(0.1, 0.9),
        "'iris': 105 train, 15 validation, 30 test; 4 features, 3 classes": tinynet.load_dataset("iris"),
        "classes 'setosa', 'versicolor', 'virginica'": run.model,
        "2 epochs, the best is 2 with validation_loss=": run.history,
        "no epochs": History(),
        "'run': completed, 2 epochs, test accuracy ": run,
    }
    for part, thing in shown.items():
        assert part in repr(thing) and len(repr(thing)) <= 160 and "\n" not in repr(thing)

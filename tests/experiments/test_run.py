"""One run and its folder: its files, that it can be repeated, and what happens when it cannot be written."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rights import unprivileged

import tinynet
from tinynet import ConfigError, DivergedError, RunFolderError, TwoLayerNet, schedules
from tinynet.artifacts.environment import blas_threads, environment
from tinynet.artifacts.run_folder import create_folder
from tinynet.artifacts.stored_runs import StoredRun
from tinynet.cli.main import main
from tinynet.config import loading
from tinynet.config.building import prepare
from tinynet.config.loading import load_config
from tinynet.experiments import run as run_module
from tinynet.experiments.run import RunWriter, execute

FILES = {
    *("config.json", "environment.json", "loss_curve.png", "metrics.csv", "model.npz", "report.html", "summary.json")
}
COLUMNS = [
    *("epoch", "step", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"),
    *("learning_rate", "loss_evaluations", "duration_s", "gradient_norm", "update_norm"),
]

Summary = dict[str, Any]


def files() -> set[str]:
    """Return the names in the run folder, except checkpoints, which a slow machine saves more often."""
    return {path.name for path in Path("run").iterdir() if not path.match("checkpoint-*.npz")}


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def train_iris(*overrides: str, folder: str = "run", source: str = "iris", report: bool = False) -> Summary:
    config = load_config(source, overrides or ["training.epochs=3"])
    return execute(prepare(config), create_folder(folder, config.name), report=report)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of three epochs with its report; tests only read it."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train_iris(folder=str(folder), report=True)
    return folder


def rows(folder: str = "run") -> list[dict[str, str]]:
    with Path(folder, "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def read_json(path: str) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


# The data


def test_runs_of_a_sweep_share_data_and_reread_a_changed_file() -> None:
    first, again, other = (
        prepare(load_config("iris", [rate, seed]))
        for rate, seed in (
            ("optimizer.learning_rate=0.1", "seed=1"),
            ("optimizer.learning_rate=0.3", "seed=1"),
            ("optimizer.learning_rate=0.3", "seed=2"),
        )
    )
    assert first.dataset is again.dataset
    assert not np.array_equal(again.dataset.X_train, other.dataset.X_train)
    for value in (1.0, 2.0):
        Path("own.csv").write_text("x,y\n" + f"{value},a\n{-value},b\n" * 20)
        Path("own.toml").write_text('[dataset]\nname = "csv"\npath = "own.csv"\nscaling = "none"\n')
        assert prepare(load_config("own.toml")).dataset.X_train.max() == value


# What is in a run folder


def test_a_run_writes_its_files_and_nothing_else(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert {name for name in names if not name.startswith("checkpoint-")} == FILES
    assert "checkpoint-000000021.npz" in names


def test_metrics_have_one_row_per_epoch_and_all_columns(finished: Path) -> None:
    table = rows(str(finished))
    assert [*table[0]] == COLUMNS and [row["epoch"] for row in table] == ["1", "2", "3"]
    assert [row["step"] for row in table] == ["7", "14", "21"]  # 105 samples in batches of 16
    assert table[-1]["loss_evaluations"] == str(2 * 83 * 21)
    summary = read_json(f"{finished}/summary.json")
    assert {name: float(cell) for name, cell in table[-1].items()} == summary["final"]


def test_without_validation_the_best_epoch_goes_by_training_loss() -> None:
    summary = train_iris("training.epochs=2", "dataset.validation_size=0")
    assert [row["validation_loss"] + row["validation_accuracy"] for row in rows()] == ["", ""]
    assert summary["n_validation"] == 0
    assert read_json("run/summary.json")["final"]["validation_loss"] is None
    assert summary["best"]["train_loss"] == min(float(row["train_loss"]) for row in rows())


def test_the_summary_holds_final_best_and_test_figures() -> None:
    summary = train_iris()
    stored = read_json("run/summary.json")
    assert stored == summary
    assert (stored["status"], stored["name"], stored["epochs"], stored["n_parameters"]) == ("completed", "iris", 3, 83)
    assert (stored["n_train"], stored["n_validation"], stored["n_test"]) == (105, 15, 30)
    best = min(rows(), key=lambda row: float(row["validation_loss"]))
    assert stored["best"]["epoch"] == int(best["epoch"])
    assert stored["duration_s"] >= sum(float(row["duration_s"]) for row in rows())


def test_the_model_alone_predicts_what_the_summary_says() -> None:
    train_iris("training.epochs=10", "network.activation='quantised:5'", "gradient.h=0.5")
    data = tinynet.load_dataset("iris", scaling="none")  # the raw rows of the same split
    with np.load("run/model.npz", allow_pickle=False) as model:
        shape = (*model["W1"].shape, model["b2"].size)
        net = TwoLayerNet(*shape, activation=str(model["activation"]))
        net.params = {key: model[key] for key in net.params}
        X = (data.X_test - model["offset"]) / model["scale"]
        assert model["class_names"].tolist() == ["setosa", "versicolor", "virginica"]
        assert model["feature_names"][0] == "sepal length (cm)"
    summary = read_json("run/summary.json")
    assert net.accuracy(X, data.y_test) == summary["test_accuracy"]
    assert net.loss(X, data.y_test) == pytest.approx(summary["test_loss"], rel=1e-12)


def test_the_environment_names_versions_platform_and_blas(finished: Path) -> None:
    stored = read_json(f"{finished}/environment.json")
    with blas_threads():
        assert stored == environment()
    assert stored["versions"]["python"] == sys.version.split()[0]
    assert stored["versions"]["numpy"] == np.__version__
    assert stored["versions"]["tinynet"] == tinynet.__version__
    assert all(library["num_threads"] >= 1 for library in stored["blas"])
    assert stored["cpu_count"] == os.cpu_count()


def test_blas_has_as_many_threads_as_the_config_says(finished: Path) -> None:
    train_iris("training.threads=2")
    for folder, number in ((finished, 1), ("run", 2)):
        assert {library["num_threads"] for library in read_json(f"{folder}/environment.json")["blas"]} == {number}


def test_every_setting_reaches_the_training() -> None:
    train_iris(
        *("training.epochs=3", "training.batch_size=9", "seed=7", "gradient.h=0.3", "gradient.method='loop'"),
        *("optimizer.learning_rate=0.2", "optimizer.momentum=0.5", "optimizer.nesterov=true"),
        *("optimizer.weight_decay=0.01", "network.hidden_units=4", "network.activation='sign'"),
        *("network.weight_scale=0.7", "dataset.scaling='minmax'", "dataset.test_size=0.3"),
        *("training.class_weight='balanced'", "training.measure='during'", "training.keep='best'"),
    )
    data = tinynet.load_dataset("iris", seed=7, test_size=0.3, scaling="minmax")
    net = TwoLayerNet(4, 4, 3, activation="sign", weight_scale=0.7, seed=7)
    optimizer = tinynet.SGD(0.2, momentum=0.5, nesterov=True, weight_decay=0.01)
    options: dict[str, Any] = {"batch_size": 9, "seed": 7, "h": 0.3, "method": "loop", "measure": "during"}
    options |= {"validation": (data.X_validation, data.y_validation), "keep": "best"}
    options["sample_weight"] = tinynet.balanced_weights(data.y_train)
    history = tinynet.train(net, data.X_train, data.y_train, optimizer, epochs=3, **options)
    assert [row["train_loss"] for row in rows()] == [str(loss) for loss in history["train_loss"]]
    with np.load("run/model.npz") as model:
        assert all((model[key] == param).all() for key, param in net.params.items())


@pytest.mark.parametrize(
    ("overrides", "schedule"),
    [
        ([], schedules.constant(0.2, warmup_epochs=1.5)),
        (
            ["optimizer.step_epochs=1", "optimizer.step_factor=0.5"],
            schedules.step(0.2, step_epochs=1, step_factor=0.5, warmup_epochs=1.5),
        ),
        (["optimizer.schedule='cosine'"], schedules.cosine(0.2, epochs=4, warmup_epochs=1.5)),
    ],
)
def test_every_schedule_reaches_the_training(overrides: list[str], schedule: schedules.Schedule) -> None:
    if "optimizer.step_epochs" in str(overrides):
        overrides = [*overrides, "optimizer.schedule='step'"]
    train_iris("training.epochs=4", "optimizer.learning_rate=0.2", "optimizer.warmup_epochs=1.5", *overrides)
    rates = [float(row["learning_rate"]) for row in rows()]
    assert rates == [schedule((7 * epoch - 0.5) / 7) for epoch in (1, 2, 3, 4)]  # at the last of 7 steps an epoch
    assert len(set(rates)) > 1


@pytest.mark.parametrize(
    ("preset", "wanted"),
    [
        ("digits", 0.97),
        pytest.param("digits-sign", 0.96, marks=pytest.mark.soak),
        pytest.param("digits-2bit", 0.96, marks=pytest.mark.soak),
    ],
)
def test_a_preset_reaches_its_required_accuracy_on_the_digits(preset: str, wanted: float) -> None:
    accuracies = [train_iris(f"seed={seed}", source=preset, folder=str(seed))["test_accuracy"] for seed in range(3)]
    assert wanted <= np.mean(accuracies) < 1


# Repeating a run


# Faults found before the run


def test_fault_13_hidden_units_too_many_for_memory_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory = {"SC_PHYS_PAGES": 100, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", memory.__getitem__)
    prepare(load_config("iris", ["network.hidden_units=200"]))  # 105 samples: 2 × 105 × 200 × 8 bytes
    with pytest.raises(ConfigError, match="300 hidden units of 105 samples would take"):
        prepare(load_config("iris", ["network.hidden_units=300"]))


# Where the folder is made


def test_two_runs_in_one_second_get_two_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda _: "20240229-120000")
    made = [str(create_folder(None, "iris").path) for _ in range(3)]
    assert made == [f"runs/iris-20240229-120000{end}" for end in ("", "-2", "-3")]
    assert all(Path(folder).is_dir() and not any(Path(folder).iterdir()) for folder in made)


def test_a_given_folder_is_created_or_used_if_empty() -> None:
    assert create_folder("a/b c/d", "x").path == Path("a/b c/d")
    assert create_folder("a/b c/d", "x").path.is_dir()
    assert not any(Path("a/b c/d").iterdir())


def refusal(out: str | None) -> str:
    before = sorted(Path().rglob("*"))
    with pytest.raises(RunFolderError) as caught:
        create_folder(out, "iris")
    assert isinstance(caught.value, OSError)
    assert sorted(Path().rglob("*")) == before
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_fault_10_an_existing_run_is_not_overwritten() -> None:
    train_iris("training.epochs=1")
    before = {path: path.read_bytes() for path in Path("run").iterdir()}
    assert refusal("run") == "run holds a run already; resume it with --resume, or choose another folder with --out"
    assert {path: path.read_bytes() for path in Path("run").iterdir()} == before


def test_fault_10_a_folder_with_other_things_in_it_is_not_used() -> None:
    Path("thesis.tex").touch()
    assert refusal(".") == ". is not empty; choose another folder with --out"
    assert refusal("") == "command line: --out: must name a folder, got ''"


def test_fault_10_a_file_in_place_of_the_folder_is_refused() -> None:
    Path("run").touch()
    Path("runs").touch()
    assert refusal("run") == "run is not a folder, which a run needs"
    assert refusal(None) == "runs is not a folder, which a run needs"
    assert refusal("run/x") == "run/x: cannot be written: Not a directory; choose another folder with --out"


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("x" * 300, "File name too long"),
        ("a\0b", "embedded null (byte|character in path)"),
        ("/proc/nothing/x", "No such file or directory"),
    ],
)
def test_fault_10_a_folder_that_cannot_be_made_is_refused(out: str, reason: str) -> None:
    end = f": cannot be written: .*{reason}; choose another folder with --out"
    assert re.search(end, refusal(out))


def test_fault_10_a_folder_without_write_permission_is_refused() -> None:
    Path("mine").mkdir()
    Path("secret").mkdir()
    for folder, mode in ((".", 0o555), ("mine", 0o555), ("secret", 0)):
        Path(folder).chmod(mode)
    end = "cannot be written: Permission denied; choose another folder with --out"
    with unprivileged():
        assert refusal("new") == f"new: {end}"
        assert refusal("mine") == f"mine: {end}"
        assert refusal("secret/inner") == f"secret/inner: {end}"
        assert refusal(None) == f"runs: {end}"
    for folder in (".", "mine", "secret"):
        Path(folder).chmod(0o755)


# The page of a run


def test_a_running_run_has_a_page_that_refreshes_until_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "PAGE_EVERY_S", 0.0)
    monkeypatch.setattr(run_module, "PAGE_SHARE", 0)
    pages: list[str] = []
    add = RunWriter.add

    def looks_at_the_page(writer: RunWriter, row: Any) -> None:
        add(writer, row)
        assert len(rows()) == row.epoch  # metrics.csv is on disk after every epoch
        pages.append(Path("run/report.html").read_text(encoding="utf-8"))

    monkeypatch.setattr(RunWriter, "add", looks_at_the_page)
    train_iris(report=True)
    assert len(pages) == 3 and all('http-equiv="refresh"' in page and "running" in page for page in pages)
    last = Path("run/report.html").read_text(encoding="utf-8")
    assert 'http-equiv="refresh"' not in last and "running" not in last and "completed" in last


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("a bug")])
def test_a_page_that_cannot_be_written_does_not_stop_training(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "PAGE_EVERY_S", 0.0)

    def fails(state: StoredRun, shown: object) -> None:
        if state.running:
            raise error

    monkeypatch.setattr(run_module, "write_run_page", fails)
    assert train_iris(report=True)["status"] == "completed"


def test_a_command_reads_the_config_of_a_run_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    train_iris()
    read, real = list[str](), loading.parsed_file

    def counted(source: str) -> Any:
        read.append(source)
        return real(source)

    monkeypatch.setattr(loading, "parsed_file", counted)
    for words in (["report", "run"], ["train", "--out", "run", "--resume", "training.epochs=4", "--quiet"]):
        read.clear()
        assert main(words) == 0
        assert read == ["run/config.json"], words


# Runs that fail


def test_fault_30_a_run_that_diverges_keeps_the_last_good_epoch() -> None:
    overrides = [
        "training.epochs=50",
        "network.activation='relu'",
        "optimizer.learning_rate=1e3",
        "dataset.scaling='none'",
    ]
    with pytest.raises(DivergedError) as caught:
        train_iris(*overrides, "optimizer.weight_decay=0.5", report=True)
    error, summary = caught.value, read_json("run/summary.json")
    assert summary["status"] == "diverged"
    assert summary["epochs"] == len(rows()) == error.epoch - 1 > 0
    assert (summary["test_loss"], summary["test_accuracy"]) == (None, None)
    assert files() == FILES


def test_fault_30_a_first_epoch_that_diverges_keeps_the_weights() -> None:
    config = load_config("iris", ["network.weight_scale=1e200", "network.activation='relu'"])
    run = prepare(config)
    before = run.net.params["W1"].copy()
    with pytest.raises(DivergedError, match="in epoch 1, step 1"):
        execute(run, create_folder("run", "iris"))
    assert rows() == []
    assert (read_json("run/summary.json")["final"], read_json("run/summary.json")["best"]) == (None, None)
    with np.load("run/model.npz") as model:
        assert (model["W1"] == before).all()


def test_a_run_that_meets_a_bug_writes_what_was_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    record = RunWriter.add

    def interrupted(writer: RunWriter, row: Any) -> None:
        record(writer, row)
        if row.epoch == 2:
            raise TypeError("bug")

    monkeypatch.setattr(RunWriter, "add", interrupted)
    with pytest.raises(TypeError):
        train_iris(report=True)
    summary = read_json("run/summary.json")
    assert (summary["status"], summary["epochs"], len(rows())) == ("failed", 2, 2)
    assert summary["test_accuracy"] is None  # measured once, at the end
    assert files() == FILES


def test_fault_42_a_clock_set_back_gives_no_negative_durations(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(10**9, 0, -1000))
    for name in ("time", "time_ns"):
        monkeypatch.setattr(time, name, lambda: next(moments))
    summary = train_iris()
    assert summary["duration_s"] > 0
    assert all(float(row["duration_s"]) > 0 for row in rows())

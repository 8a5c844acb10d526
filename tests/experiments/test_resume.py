"""Resumed run folders: they get the files of an uninterrupted run, or are refused."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resuming import altered, meta
from sweeping import untimed_metrics

from tinynet import SGD, ConfigError, RunFolderError
from tinynet.artifacts.run_folder import RunFolder
from tinynet.artifacts.stored_runs import load_resumed, read_run
from tinynet.cli.main import main
from tinynet.config.building import prepare
from tinynet.config.loading import load_config
from tinynet.errors import Interrupted
from tinynet.experiments.run import execute
from tinynet.training.state import LATER, paths

CONFIG = """
name = "small"
[dataset]
name = "csv"
path = "data.csv"
[network]
hidden_units = 4
[optimizer]
learning_rate = 0.3
momentum = 0.9
nesterov = true
schedule = "cosine"
warmup_epochs = 1
[training]
epochs = 4
batch_size = 20
patience = 3
checkpoint_every_s = 0
"""
N_STEPS, LAST = 3, 12  # steps per epoch, and in total


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with a config and its data."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    rng = np.random.default_rng(8)
    with Path("data.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["a", "b", "label"], *((*rng.normal(size=2), n % 3) for n in range(80))])
    Path("small.toml").write_text(CONFIG, encoding="utf-8")
    return Path.cwd()


@contextmanager
def interrupted_in(step: int) -> Iterator[None]:
    """Send SIGTERM in the middle of a step, counted from where the training starts."""
    update, steps = SGD.update, 0

    def interrupting(optimizer: Any, params: Any, grads: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == step:
            signal.raise_signal(signal.SIGTERM)
        update(optimizer, params, grads)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SGD, "update", interrupting)
        yield


def run(folder: str, *overrides: str, until: int | None = None, resume: bool = False) -> dict[str, Any] | None:
    """Train into a folder, completely or until the middle of a step."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    config = load_resumed(RunFolder(folder), None, overrides) if resume else load_config("small.toml", overrides)
    if until is None:
        return execute(prepare(config), RunFolder(folder), report=False, resume=resume, about={})
    with interrupted_in(until), pytest.raises(Interrupted):
        execute(prepare(config), RunFolder(folder), report=False, resume=resume, about={})
    return None


def files(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def untimed(folder: str) -> dict[str, Any]:
    """Return the content of the files without durations."""
    there: dict[str, Any] = {
        name: content for name, content in files(folder).items() if name in ("config.json", "model.npz")
    }
    there["metrics"] = untimed_metrics(Path(folder))
    there["summary"] = re.sub(r'"duration_s": [^\n]*', "", Path(folder, "summary.json").read_text())
    return there


@pytest.fixture
def half(project: Path) -> str:
    """Return a run folder whose training was interrupted in step 5."""
    run("half/run", until=5)
    return "half/run"


# The same files


def test_a_run_resumed_from_any_step_leaves_the_same_files(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)  # makes all durations equal
    run("whole/run")
    wanted = files("whole/run")
    assert wanted.keys() == {
        *("config.json", "environment.json", "metrics.csv", "model.npz", "summary.json"),
        *("checkpoint-000000011.npz", "checkpoint-000000012.npz"),
    }
    assert len(wanted["metrics.csv"].splitlines()) == 1 + 4
    for step in range(1, LAST + 1):
        run(f"{step}/run", until=step)
        summary = json.loads(Path(f"{step}/run/summary.json").read_text())
        assert (summary["status"], summary["epochs"]) == ("interrupted", (step - 1) // N_STEPS)
        run(f"{step}/run", resume=True)
        assert files(f"{step}/run") == wanted, step


def test_the_command_resumes_to_the_same_report(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)
    assert main(["train", "small.toml", "--out", "whole/run", "--quiet"]) == 0
    with interrupted_in(8):
        assert main(["train", "small.toml", "--out", "half/run", "--quiet"]) == 143
    assert "interrupted" in Path("half/run/report.html").read_text(encoding="utf-8")
    assert main(["train", "--out", "half/run", "--resume", "--quiet"]) == 0
    assert files("half/run").keys() == files("whole/run").keys() >= {"report.html", "loss_curve.png"}
    assert files("half/run") == files("whole/run")


def test_a_metrics_line_newer_than_the_checkpoint_is_rewritten(half: str) -> None:
    metrics = Path(half, "metrics.csv")
    lines = metrics.read_text().splitlines(keepends=True)
    assert len(lines) == 2
    metrics.write_text("".join(lines) + lines[1].replace("1,3", "2,6", 1) + "3,9,0.5,0.")  # as a killed run leaves it
    Path(half, "summary.json").unlink()
    run(half, resume=True)
    run("whole/run")
    assert untimed(half) == untimed("whole/run")


def test_added_epochs_give_the_same_files_as_one_long_run(project: Path) -> None:
    constant = ["optimizer.schedule='constant'"]
    run("half/run", "training.epochs=2", *constant)
    run("half/run", "training.epochs=6", resume=True)
    run("whole/run", "training.epochs=6", *constant)
    assert untimed("half/run") == untimed("whole/run")
    assert load_config("half/run/config.json").training.epochs == 6


def test_the_time_of_a_resumed_run_includes_all_parts(half: str) -> None:
    newest = paths(Path(half))[5]
    newest.write_bytes(altered(newest, lambda there: there.update(meta=meta(there, epoch_s=1000.0))))
    summary = run(half, resume=True)
    durations = read_run(RunFolder(half)).history["duration_s"]
    assert summary is not None
    assert 1000 < sum(durations) <= summary["duration_s"] < 1060


# What is refused


def refusal(capsys: pytest.CaptureFixture[str], *words: str, folder: str) -> list[str]:
    """Return the lines with which the command refuses to resume; check that the folder stays as it is."""
    before = files(folder)
    assert main(["train", *words, "--resume"]) == 2
    assert files(folder) == before
    out, err = capsys.readouterr()
    lines: list[str] = err.splitlines()
    assert all(line.startswith("tinynet: ") for line in lines)
    return [out, *(line.removeprefix("tinynet: ") for line in lines)] if out else [line[9:] for line in lines]


def test_fault_11_a_folder_with_nothing_to_resume_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    missing = "holds no run to resume: there is no config.json in it"
    assert refusal(capsys, "--out", "empty", folder="empty") == [f"empty {missing}"]
    assert refusal(capsys, "--out", "new", folder="empty") == [f"new {missing}"]
    assert not Path("new").exists()
    Path("empty/sweep.json").write_text("{}")
    [line] = refusal(capsys, "--out", "empty", folder="empty")
    assert line == f"empty {missing}, but it is a sweep's: 'tinynet sweep empty/sweep.json --resume'"
    for words in ([], ["small.toml"], ["seed=3"]):
        [line] = refusal(capsys, *words, folder="empty")
        assert line == "command line: --resume: name the folder with --out, or its config.json as CONFIG"


def test_fault_11_another_config_is_refused_with_the_keys_that_differ(
    half: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--out", half, "optimizer.learning_rate=0.1", "training.epochs=9", "network.activation='relu'", "seed=7"]
    assert refusal(capsys, *words, folder=half) == [
        f"{half}: the config differs in seed (0 in the folder, 7 now), "
        "network.activation (tanh in the folder, relu now), optimizer.learning_rate (0.3 in the folder, 0.1 now)"
    ]
    [line] = refusal(capsys, "iris", "--out", half, folder=half)
    parts = ["dataset.path (", " in the folder, absent now)", "dataset.name (csv in the folder, iris now)"]
    assert all(part in line for part in parts)
    [line] = refusal(capsys, f"{half}/config.json", "optimizer.schedule='constant'", folder=half)
    assert line.endswith("optimizer.schedule (cosine in the folder, constant now)")


def test_fault_11_a_config_edited_by_hand_is_refused(half: str, capsys: pytest.CaptureFixture[str]) -> None:
    config, newest = Path(half, "config.json"), paths(Path(half))[5]
    values = json.loads(config.read_text(encoding="utf-8"))
    values["network"]["weight_scale"], values["training"]["threads"] = 0.5, 2
    config.write_text(json.dumps(values), encoding="utf-8")
    edited = "network.weight_scale (None in the folder, 0.5 now), training.threads (1 in the folder, 2 now)"
    assert refusal(capsys, "--out", half, "--quiet", folder=half) == [f"{newest}: the training differs in {edited}"]

    def older(there: dict[str, bytes]) -> None:
        stored = json.loads(np.lib.format.read_array(io.BytesIO(there["meta"])).tobytes())["settings"]
        there["meta"] = meta(there, settings={key: stored[key] for key in stored.keys() - LATER})

    newest.write_bytes(altered(newest, older))
    assert run(half, resume=True) is not None


def test_fault_11_fewer_epochs_are_refused(half: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(half, "training.epochs=4", resume=True)
    words = ["--out", half, "--quiet", "training.epochs=3"]
    [line] = refusal(capsys, *words, folder=half)
    assert line == f"{half}: training.epochs must be at least the 4 that were trained, got 3"


def test_a_schedule_changed_by_more_epochs_gives_one_note(half: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--out", half, "--resume", "--quiet", "training.epochs=5"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    [line] = err.splitlines()
    assert line.startswith(
        "tinynet: note: the schedule is not that of the steps so far (learning rate 0.279904 in step 5, now "
    )


def test_fault_43_a_run_moved_with_its_data_can_be_resumed(
    half: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("whole/run")
    wanted = untimed("whole/run")
    shutil.copytree("half", tmp_path / "away/half")
    shutil.copy("data.csv", tmp_path / "away/data.csv")
    os.chdir(tmp_path / "away")
    shutil.rmtree("../project")
    assert main(["train", "--out", "half/run", "--resume", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "") and untimed("half/run") == wanted
    assert main(["report", "half/run", "--output", "again.html"]) == 0
    assert Path("again.html").stat().st_size > 10_000


def test_fault_43_a_run_whose_data_were_moved_is_told_where_they_are(
    half: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run("whole/run")
    wanted = untimed("whole/run")
    Path("data.csv").rename("whole/data.csv")
    assert main(["train", "--out", half, "--resume", "--quiet", "dataset.path=whole/data.csv"]) == 0
    assert capsys.readouterr() == ("", "") and b'"../../whole/data.csv"' in untimed(half)["config.json"]
    assert untimed(half) | {"config.json": None} == wanted | {"config.json": None}
    sweep = ["half/run/config.json", "dataset.path=whole/data.csv", "training.epochs=2", "seed=0,1", "--out", "s"]
    assert main(["sweep", *sweep, "--quiet"]) == 0
    Path("whole/data.csv").rename("data.csv")
    assert main(["sweep", "s/sweep.json", "--resume", "--quiet", "dataset.path=data.csv"]) == 0
    assert len(RunFolder("s").runs()) == 2 and capsys.readouterr() == ("", "")


def test_a_config_file_resumes_like_its_folder(half: str) -> None:
    folder = RunFolder(half)
    assert load_resumed(folder, "small.toml") == load_resumed(folder, None)
    assert load_resumed(folder, None) == load_resumed(folder, f"{half}/config.json")
    with pytest.raises(ConfigError, match="unknown key"):
        load_resumed(folder, None, ["training.epoch=3"])
    with pytest.raises(RunFolderError, match=r"config differs in training.patience \(3 in the folder, absent now\)"):
        Path("other.toml").write_text(CONFIG.replace("patience = 3\n", ""), encoding="utf-8")
        load_resumed(folder, "other.toml")

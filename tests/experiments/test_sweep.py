"""Sweeps: the folder and its content, the output, and the answer to a wrong command."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from answers import fault
from sweeping import QUICK, made_at, run_folders, statuses, swept, table

from tinynet.artifacts.run_folder import RunFolder
from tinynet.cli.main import main
from tinynet.experiments import sweep, sweep_table
from tinynet.experiments.axes import load_grid
from tinynet.experiments.sweep import create_sweep_folder, run_grid
from tinynet.experiments.sweep_table import results_table, write_table
from tinynet.experiments.workers import Outcomes, Task, Work, serial
from tinynet.storage.writing import write_atomically

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


# The folder of a sweep


def test_each_run_has_a_page_unless_no_reports_is_given() -> None:
    swept()
    pages = [(path / "report.html").read_text(encoding="utf-8") for path in run_folders()]
    assert len(pages) == 2 and all("This page leaves predictions out" in page for page in pages)
    assert all(path.name in page for path, page in zip(run_folders(), pages, strict=True))  # not .NAME.part
    assert not any(f".{path.name}.part" in page for path, page in zip(run_folders(), pages, strict=True))
    whole = run_folders()[0]
    assert main(["report", str(whole)]) == 0
    assert "This page leaves predictions out" not in (whole / "report.html").read_text(encoding="utf-8")
    swept("seed=0..1", *QUICK, "--no-reports", out="plain")
    assert not any((path / "report.html").exists() for path in run_folders("plain"))
    assert Path("plain/report.html").is_file()


def test_the_table_has_one_row_per_run_with_its_figures() -> None:
    swept("optimizer.learning_rate=0.1,0.3", "seed=0..1", *QUICK)
    rows = table()
    assert [row["run"] for row in rows] == [setting.folder for setting in load_grid("s/sweep.json").combinations]
    assert [(row["optimizer.learning_rate"], row["seed"]) for row in rows] == [
        ("0.1", "0"), ("0.1", "1"), ("0.3", "0"), ("0.3", "1")
    ]  # fmt: skip
    for row in rows:
        summary = json.loads(Path("s", row["run"], "summary.json").read_text())
        assert (row["status"], row["epochs"], row["error"]) == ("completed", "2", "")
        assert float(row["final_train_loss"]) == summary["final"]["train_loss"]
        assert float(row["best_validation_accuracy"]) == summary["best"]["validation_accuracy"]
        assert int(row["best_epoch"]) == summary["best"]["epoch"]
        for name in ("test_loss", "test_accuracy", "duration_s"):
            assert float(row[name]) == summary[name]


def test_the_table_is_always_whole_and_grows_as_runs_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def looks(path: Path, content: bytes) -> None:
        write_atomically(path, content)
        if path.name == "sweep.csv":
            seen.append(statuses())

    monkeypatch.setattr(sweep_table, "write_atomically", looks)
    monkeypatch.setattr(sweep, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(sweep, "SAVE_SHARE", 0)
    swept("seed=0..2", *QUICK)
    assert [row.count("completed") for row in seen] == [1, 2, 3, 3]
    assert all(len(row) == 3 and set(row) <= {"completed", "missing"} for row in seen)


def test_runs_with_the_same_data_are_consecutive(tmp_path: Path) -> None:
    grid = load_grid("iris", ["optimizer.learning_rate=0.1,0.3", "dataset.test_size=0.2,0.3", "seed=0..1"])
    worked: list[tuple[float, int]] = []

    def backend(work: Work, tasks: Iterable[Task]) -> Outcomes:
        worked.extend((config.dataset.test_size, config.seed) for config, _ in tasks)
        yield from ()

    run_grid(grid, RunFolder(tmp_path), backend)
    assert worked == [(size, seed) for size in (0.2, 0.3) for seed in (0, 1) for _ in range(2)]


def test_a_sweep_with_its_report_does_not_import_matplotlib() -> None:
    code = f"import sys; from tinynet.cli.main import main; main(['sweep', 'iris', 'seed=0..1', *{QUICK}, "
    code += "'--out', 's']); "
    code += "print('matplotlib' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert Path("s/report.html").is_file() and told.splitlines()[-1] == "False"


def test_no_cell_is_a_spreadsheet_formula() -> None:
    cells = {
        "=1+1": "'=1+1",
        "+1a": "'+1a",
        "\t=b": "'=b",
        "\r\nc": "c",
        'q"': 'q"',
    }
    write_table(RunFolder("."), [{str(place): cell for place, cell in enumerate([*cells, -1.5, None])}])
    _, row = csv.reader(Path("sweep.csv").read_text(encoding="utf-8").splitlines())
    assert row == [*cells.values(), "-1.5", ""]


def test_fault_41_a_diverged_run_is_recorded_and_others_continue(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["optimizer.learning_rate=0.1,1e300", "seed=0..1", 'network.activation="relu"', *QUICK]
    assert main(["sweep", "iris", *words, "--out", "s"]) == 0
    assert statuses() == ["completed", "completed", "diverged", "diverged"]
    assert [row["test_accuracy"] != "" for row in table()] == [True, True, False, False]
    out, err = capsys.readouterr()
    assert err == ""
    assert re.search(r"^learning_rate=1e\+300 +0 of 2 +- +-$", out, re.M)
    assert "runs           2 completed, 2 diverged" in out
    before = made_at()
    for named in (["s/sweep.json"], ["--out", "s"]):
        assert main(["sweep", *named, "--resume", "--quiet"]) == 0
    assert made_at() == before, "diverged is how it ended: it would again"


def test_a_sweep_prints_each_note_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "iris", "seed=0..2", *QUICK, "training.batch_size=5000", "--quiet"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "tinynet: note: batch_size 5000 is larger than the 105 training samples: one batch an epoch"


# Output


def test_a_sweep_prints_its_settings_best_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "iris", "optimizer.learning_rate=1e-6,0.3", "seed=0..2", *QUICK]) == 0
    out, err = capsys.readouterr()
    head, blank, columns, best, worst, weights, _, runs, duration, path, report = out.splitlines()
    assert head == "iris: 6 runs (2 optimizer.learning_rate × 3 seed) one after the other"
    assert columns.split("  ")[0] == "setting" and blank == ""
    assert re.fullmatch(r"learning_rate=0\.3 +3 +0\.\d+ \(0\.\d+ to 0\.\d+\) +\d+\.\d \(\d+\.\d to \d+\.\d\)", best)
    assert "weights of the last epoch" in weights
    assert worst.startswith("learning_rate=1e-06  3 ")
    assert runs == "runs           6 completed"
    assert re.fullmatch(r"time           \d+\.\d s", duration)
    assert re.fullmatch(r"table          runs/iris-sweep-\d{8}-\d{6}/sweep\.csv", path)
    assert Path(path.split()[1]).is_file()
    page = Path(report.removeprefix("report         ")).read_text(encoding="utf-8")
    assert report.endswith("/report.html") and "learning_rate" in page and "1e-06" in page
    assert err == ""  # no progress bar without a terminal


def test_fault_60_a_run_that_blew_up_does_not_move_its_setting(capsys: pytest.CaptureFixture[str]) -> None:
    grid = load_grid("iris", ["optimizer.learning_rate=0.1,0.3", "seed=0..2", "training.epochs=2"])
    rows = run_grid(grid, create_sweep_folder("s", grid), serial)
    calm = results_table(grid, rows).splitlines()
    best = calm[1].split()[0].partition("=")[2]
    next(row for row in rows if str(row["optimizer.learning_rate"]) == best)["final_validation_loss"] = 1e48
    lines = results_table(grid, rows).splitlines()
    assert any("1e+48" in line and float(line.split()[2]) < 1 for line in lines)
    kept = load_grid("iris", ["optimizer.learning_rate=0.1,0.3", "seed=0..2", "training.keep=best"])
    assert "weights of the best epoch" in results_table(kept, rows)


def test_without_validation_the_training_loss_decides(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["dataset.validation_size=0", "dataset.test_size=0"]
    assert main(["sweep", "iris", "optimizer.learning_rate=1e-6,0.3", *sizes, *QUICK]) == 0
    columns, best = capsys.readouterr().out.splitlines()[2:4]
    assert "train loss" in columns and best.startswith("learning_rate=0.3 ") and best.endswith(" -")


def nobody_works(work: Work, tasks: Iterable[Task]) -> Outcomes:
    yield from ()


def test_the_printed_table_fits_80_columns_and_20_settings() -> None:
    rates = ",".join(f"0.{number}23456789012345" for number in range(10, 31))
    axes = [f"optimizer.learning_rate={rates}", "gradient.h=0.0123456789012345,0.2", "training.batch_size=5,6"]
    grid = load_grid("iris", [*axes, "network.activation=relu,tanh"])
    rows = run_grid(grid, create_sweep_folder("s", grid), nobody_works)
    lines = results_table(grid, rows).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-2] == "... and 148 more settings"
    assert "batch_size=5" in results_table(grid, rows)


# Mistakes


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("seed=0..1 --jobs 0", "argument --jobs: must be from 1 to 9999, or -1 for all cores, got '0'; see "),
        ("seed=0..1 --dask tcp://x:1 --jobs 2", "--jobs: the cluster of --dask has workers of its own; leave one of "),
        ("seed=0..1 --dask tcp://127.0.0.1:x", "--dask: no scheduler answers at 'tcp://127.0.0.1:x': "),
        ("seed=0..1 --resume --out none", "none holds no sweep to resume: there is no sweep.json in it"),
        ("seed=0..1 --resume", "--resume: name the folder with --out, or its sweep.json as CONFIG"),
        ("network.hidden_units=5,9000000000", "network.hidden_units: 9,000,000,000 hidden units"),
        ("dataset.test_size=0.2,0.001", "dataset: "),
    ],
)
def test_a_wrong_command_is_answered_in_one_line(words: str, answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = fault(capsys, "sweep", "iris", *words.split())
    assert re.sub("^(iris and )?command line: ", "", line).startswith(answer)


def test_a_folder_with_a_sweep_is_not_used_for_another(capsys: pytest.CaptureFixture[str]) -> None:
    swept()
    line = fault(capsys, "sweep", "iris", "seed=0..1", *QUICK, "--out", "s")
    assert line == "s holds a sweep already; resume it with --resume, or choose another folder with --out"


def test_resuming_with_another_config_names_the_keys_that_differ(capsys: pytest.CaptureFixture[str]) -> None:
    swept()
    words = ["seed=0..2", "training.epochs=3", "network.hidden_units=3"]
    line = fault(capsys, "sweep", "iris", *words, "--out", "s", "--resume")
    differing = "training.epochs (2 in the folder, 3 now), sweep.seed ([0, 1] in the folder, [0, 1, 2] now)"
    assert line == f"s: the config differs in {differing}"


def test_your_own_table_can_be_swept_and_reported(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{n},{('red', 'blue')[n % 2]},{('yes', 'no')[n % 3 == 0]}\n" for n in range(60)]
    Path("own.csv").write_text("size,colour,kind\n" + "".join(rows), encoding="utf-8")
    axes = ["optimizer.learning_rate=0.03,0.1", "seed=0..2", "dataset.scaling=standard,minmax"]
    assert main(["sweep", "own.csv", *axes, *QUICK, "--out", "s"]) == 0
    out = capsys.readouterr().out
    assert out.count("colour: text, 2 columns of 0 and 1\n") == 1  # as for train, once for all runs
    assert Path("s/report.html").is_file()


def test_settings_without_a_validation_part_come_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "iris", "dataset.validation_size=0,0.1", *QUICK, "--out", "s"]) == 0
    lines = capsys.readouterr().out.splitlines()
    first, second = (line.split() for line in lines[lines.index("") + 2 :][:2])
    assert (first[0], second[0], second[2]) == ("validation_size=0.1", "validation_size=0", "-")


def test_a_sweep_of_very_many_seeds_can_be_repeated() -> None:
    grid = load_grid("iris", ["seed=0..2999"], many=True)
    folder = create_sweep_folder("s", grid)
    assert json.loads(folder.sweep.read_text(encoding="utf-8"))["sweep"] == {"seed": "0..2999"}
    assert load_grid("s/sweep.json", many=True).axes == grid.axes

"""Links and pipes where a run folder or one of its files is expected: read safely, or skipped."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from answers import fault
from sweeping import QUICK, TINYNET, results, run_folders, statuses, swept

from tinynet.artifacts.run_folder import RunFolder
from tinynet.artifacts.stored_runs import MAX_JSON, read_ending
from tinynet.cli.main import main

LIMITED = 'ulimit -v 8000000; exec "$0" "$@"'  # KiB; fails before the machine runs out of memory
CSV = "a,b,label\n" + "".join(f"{n % 7},{n % 5},{'no' if n % 3 else 'yes'}\n" for n in range(60))
CONFIG = '[dataset]\nname = "csv"\npath = "data.csv"\n[network]\nhidden_units = 3\n[training]\nepochs = 2\n'


@pytest.fixture(autouse=True)
def in_a_project_with_its_own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    Path("data.csv").write_text(CSV, encoding="utf-8")
    Path("my.toml").write_text(CONFIG, encoding="utf-8")


ODD: dict[str, Callable[[Path, str], object]] = {
    "pipe": lambda path, _: os.mkfifo(path),
    "endless": lambda path, _: path.symlink_to("/dev/zero"),
    "folder": lambda path, _: path.mkdir(),
    "large": lambda path, summary: path.write_text(summary + " " * MAX_JSON),
}


def test_a_run_with_an_unreadable_summary_is_trained_again() -> None:
    swept("seed=0..4", *QUICK)
    whole, runs = results("s"), run_folders()
    for make, run in zip(ODD.values(), runs, strict=False):
        text = (run / "summary.json").read_text(encoding="utf-8")
        (run / "summary.json").unlink()
        make(run / "summary.json", text)
    command = [TINYNET, "sweep", "s/sweep.json", "--resume", "--quiet"]
    done = subprocess.run(["bash", "-c", LIMITED, *command], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (0, b"", len(ODD)), done.stderr
    assert all(f"tinynet: note: {run}/summary.json: ".encode() in done.stderr for run in runs[:-1]), done.stderr
    assert statuses() == ["completed"] * 5
    aside = [path for path in run_folders() if ".aside-" in path.name]
    assert [path.name.partition(".aside")[0] for path in aside] == [run.name for run in runs[:-1]]
    for path in aside:
        assert read_ending(RunFolder(path)) is None
        path.rename(Path("..", path.name))
    assert results("s") == whole


def named_data(folder: Path) -> str:
    return str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["dataset"]["path"])


@pytest.mark.parametrize("place", ["../elsewhere/deep/runs", "results/of/2024"])
def test_a_run_behind_a_link_finds_its_data_by_any_path(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(place).mkdir(parents=True)
    Path("runs").symlink_to(place)
    assert main(["train", "my.toml", "--out", "runs/x", "--quiet"]) == 0
    real = Path("runs/x").resolve()
    assert main(["train", "--out", "runs/x", "--resume", "training.epochs=3", "--quiet"]) == 0
    assert main(["train", "--out", str(real), "--resume", "training.epochs=4", "--quiet"]) == 0
    monkeypatch.chdir(real)
    assert main(["train", "config.json", "--resume", "training.epochs=5", "--quiet"]) == 0
    assert named_data(real) == str(real.joinpath(named_data(real)).resolve())
    for folder in (".", str(real)):
        Path("report.html").unlink()
        assert main(["report", folder]) == 0
        assert "cannot be found" not in Path("report.html").read_text(encoding="utf-8")


def test_a_link_that_leads_to_itself_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("loop").symlink_to("loop")
    axes = ("iris", "seed=0..1")
    for words in (
        *(["train", "iris", "--out", "loop"], ["train", "--out", "loop", "--resume"], ["train", "loop/config.json"]),
        *(["sweep", *axes, "--out", "loop"], ["sweep", *axes, "--out", "loop", "--resume"], ["report", "loop"]),
        *(["check", "iris", "--out", "loop"], ["predict", "loop", "rows.csv"]),
    ):
        assert fault(capsys, *words).startswith("loop")


def test_a_run_inside_the_project_has_a_relative_data_path() -> None:
    assert main(["train", "my.toml", "--out", "a/../runs/x", "--quiet"]) == 0
    assert named_data(Path("runs/x")) == "../../data.csv"
    Path("elsewhere").mkdir()
    Path("linked").symlink_to("elsewhere")
    Path("data.csv").rename("elsewhere/data.csv")
    Path("data.csv").symlink_to("elsewhere/data.csv")
    assert main(["train", "my.toml", "dataset.path='linked/data.csv'", "--out", "runs/y", "--quiet"]) == 0
    assert named_data(Path("runs/y")) == "../../linked/data.csv"
    assert main(["train", "--out", "runs/x", "--resume", "training.epochs=3", "--quiet"]) == 0

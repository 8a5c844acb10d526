"""Links and pipes where a run folder, or a file in one, is expected: read safely, or passed over."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sweeping import QUICK, TINYNET, results, run_folders, statuses, swept

from tinynet.experiments.records import MAX_JSON
from tinynet.experiments.results import read_summary

COMMAND_S = 60  # a command that waits for a pipe would wait for ever
LIMITED = 'ulimit -v 8000000; exec "$0" "$@"'  # KiB, before all memory is taken


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")


def enlarged(path: Path, summary: str) -> None:
    path.write_text(summary + " " * MAX_JSON)


ODD: dict[str, Callable[[Path, str], object]] = {
    "pipe": lambda path, _: os.mkfifo(path),
    "endless": lambda path, _: path.symlink_to("/dev/zero"),
    "folder": lambda path, _: path.mkdir(),
    "large": enlarged,
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_summary_is_moved_aside_with_its_run_and_the_run_is_trained_again(kind: str) -> None:
    swept("seed=0..1", *QUICK)
    whole, first = results("s"), run_folders()[0]
    summary = first / "summary.json"
    text = summary.read_text(encoding="utf-8")
    summary.unlink()
    ODD[kind](summary, text)
    command = [TINYNET, "sweep", "s/sweep.json", "--resume", "--quiet"]
    done = subprocess.run(["bash", "-c", LIMITED, *command], capture_output=True, timeout=COMMAND_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert statuses() == ["completed"] * 2
    (aside,) = [path for path in run_folders() if ".damaged-" in path.name]
    assert aside.name.startswith(first.name) and read_summary(aside) is None
    aside.rename("aside")
    assert results("s") == whole

"""Promises of SECURITY.md about folders from strangers that no other test checks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sweeping import QUICK

from tinynet.cli.main import main
from tinynet.storage.writing import write_atomically


def test_writing_does_not_follow_a_link_in_a_strangers_folder(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine", encoding="utf-8")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "summary.json").symlink_to(precious)
    (folder / f".summary.json.{os.getpid()}.tmp").symlink_to(precious)
    write_atomically(folder / "summary.json", b"{}")
    assert (precious.read_text(encoding="utf-8"), (folder / "summary.json").read_bytes()) == ("mine", b"{}")


def test_writing_does_not_follow_a_link_that_replaces_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", "iris", "seed=0..1", *QUICK, "--quiet", "--out", "s"]) == 0
    run = next(path for path in Path("s").iterdir() if path.is_dir())
    run.rename("away")
    Path("elsewhere").mkdir()
    Path("s", f".{run.name}.part").symlink_to(Path("elsewhere").absolute())
    assert main(["sweep", "s/sweep.json", "--resume", "--quiet"]) == 0
    assert (run / "summary.json").is_file() and not list(Path("elsewhere").iterdir())

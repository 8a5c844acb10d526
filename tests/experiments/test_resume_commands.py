"""The command that an interrupted run suggests works in bash, whatever the folder is called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeping import QUICK, TINYNET, statuses

from tinynet.artifacts.run_folder import RunFolder
from tinynet.cli.main import main
from tinynet.experiments import sweep
from tinynet.storage.messages import typed_path

Capture = pytest.CaptureFixture[str]
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.sampled_from("'\"\\$`!\n af0"))
BYTES = st.binary().map(lambda name: os.fsdecode(name.replace(b"\0", b"")))
ODD = "it's \\a\n\udcff0\"$HOME"  # \\udcff is a byte that is not UTF-8
PLACES = [("-x", "-x"), (ODD, r"""$'it\'s \\a\n\xff0"$HOME'""")]


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def bash(script: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["bash", "-c", script], capture_output=True, check=False)


def typed_in_bash(command: str) -> list[str]:
    """Return the words that bash passes to tinynet."""
    words = bash(f"tinynet() {{ printf '%s\\0' \"$@\"; }}; {command}").stdout.split(b"\0")
    return [os.fsdecode(word) for word in words[:-1]]


def broken_off(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def interrupted(owner: Any, step: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture, *command: str) -> str:
    """Return how to resume a command that is interrupted in `owner.step`, as its one line on stderr says."""
    with monkeypatch.context() as patched:
        patched.setattr(owner, step, broken_off)
        assert main([*command, *QUICK, "--quiet"]) == 130
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    return line.partition("resume with: ")[2]


@given(st.lists(NAMES | BYTES, min_size=1))
def test_bash_reads_a_quoted_path_unchanged(paths: list[str]) -> None:
    words = [typed_path(path) for path in paths]
    assert all(word.isprintable() for word in words)
    read = bash(f"printf '%s\\0' {' '.join(words)}").stdout
    assert read.split(b"\0")[:-1] == [os.fsencode(path) for path in paths]


@pytest.mark.parametrize(("folder", "typed"), PLACES)
def test_the_command_that_resumes_a_run_can_be_pasted_into_bash(
    folder: str, typed: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    command = interrupted(RunFolder, "end", monkeypatch, capsys, "train", "iris", f"--out={folder}")
    assert command == f"tinynet train --out{'=' if folder == '-x' else ' '}{typed} --resume"
    assert main([*typed_in_bash(command), "--quiet"]) == 0
    assert Path(folder, "summary.json").is_file() and [path.name for path in Path().iterdir()] == [folder]


@pytest.mark.parametrize(("folder", "typed"), PLACES)
def test_the_command_that_resumes_a_sweep_can_be_pasted(
    folder: str, typed: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    command = interrupted(sweep, "train_one", monkeypatch, capsys, "sweep", "iris", "seed=0..1", f"--out={folder}")
    assert main(["train", f"--out={folder}", "--resume"]) == 2  # train gives the same answer
    assert f"it is a sweep's: '{command}'" in capsys.readouterr().err
    assert main([*typed_in_bash(command), "--quiet"]) == 0
    assert statuses(folder) == ["completed"] * 2


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -f counts otherwise elsewhere")
def test_a_run_whose_first_file_failed_starts_by_the_same_command() -> None:
    command = ["train", "iris", *QUICK, "--out", "x", "--quiet"]
    # a full disk would leave truncated bytecode
    full = bash(f"ulimit -f 0; PYTHONDONTWRITEBYTECODE=1 '{TINYNET}' {' '.join(command)}")
    assert full.returncode == 3
    last = full.stderr.decode().splitlines()[-1]  # joblib may complain before
    assert last == "tinynet: failed: x: File too large; nothing of it was saved yet; run the command again"
    assert main(command) == 0


@pytest.mark.parametrize("words", [["train"], ["train", "iris"], ["sweep", "iris", "seed=0..1"]])
def test_an_empty_folder_name_is_not_the_current_folder(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert main([*(words if len(words) > 1 else ["train", "iris"]), *QUICK, "--out", "here", "--quiet"]) == 0
    monkeypatch.chdir("here")
    before = sorted((path, path.stat().st_mtime_ns) for path in Path().rglob("*"))
    assert main([*words, *(QUICK if len(words) > 1 else ()), "--out", "", "--resume"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "name the folder with --out" in err
    assert main([words[0], "config.json" if words[0] == "train" else "sweep.json", "--out", "", "--resume"]) == 2
    assert "--out: must name a folder" in capsys.readouterr().err
    assert sorted((path, path.stat().st_mtime_ns) for path in Path().rglob("*")) == before

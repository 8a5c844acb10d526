"""Shared by the tests of crashes: commands in forked processes, calls that fail, and the outcome of a run."""

from __future__ import annotations

import builtins
import errno
import io
import json
import multiprocessing
import os
import shutil
import signal
import sys
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import numpy as np
from sweeping import result, run_folders, statuses

from tinynet.cli.main import main
from tinynet.training import state as checkpoint

FORK = multiprocessing.get_context("fork")
CALLS = ("fsync", "open", "mkdir", "rename", "replace", "unlink", "remove", "rmdir")  # in the module os
SAID = Path("said")  # the output of a forked command
Outcome = dict[str, Any]


def forked(*words: str, prepare: Callable[[], object] = lambda: None, said: Path = SAID) -> ForkProcess:
    """Start `tinynet` with `words` in a fork of this process, which need not import anything."""

    def command() -> None:
        sys.stdout = sys.stderr = said.open("w", encoding="utf-8")
        os.setsid()
        prepare()
        sys.exit(main(list(words)))

    process = FORK.Process(target=command)
    with warnings.catch_warnings():  # Python counts the threads of BLAS, which BLAS ends before a fork
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        process.start()
    return process


def ended(process: ForkProcess, timeout_s: float = 120) -> int:
    """Return the exit status, or the negative number of the signal that ended the process."""
    process.join(timeout_s)
    assert process.exitcode is not None, "the command hangs"
    return process.exitcode


def outcome(folder: str | Path) -> Outcome:
    """Return the outcome of a run without durations: its files and its last state, bit for bit."""
    folder = Path(folder)
    model, metrics = result(folder)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    for figures in (summary, summary["final"], summary["best"]):
        del figures["duration_s"]
    with np.load(list(checkpoint.paths(folder).values())[-1]) as archive:
        state = {name: archive[name].tobytes() for name in archive.files if name != "history"}
        state["history"] = archive["history"][:, [*range(8), 9, 10]].tobytes()
    files = {path.name: path.read_bytes() for path in folder.glob("*.png")}
    files["config.json"] = (folder / "config.json").read_bytes()
    return {"model": model, "metrics": metrics, "summary": summary, "state": state} | files


def half_written(folder: str | Path) -> list[Path]:
    """Return what a failed attempt has left below a folder, except locks that nobody holds."""
    return [path for path in Path(folder).rglob(".*") if path.suffix != ".lock" and path.name != ".lock"]


def cut_short(folder: str | Path) -> list[Path]:
    """Return the files below a folder that are not whole, except hidden ones and the growing metrics.csv."""
    ends = {".json": b"}\n", ".html": b"</html>\n", ".png": b"IEND\xaeB`\x82"}
    cut = []
    for path in (path for path in Path(folder).rglob("*") if path.is_file() and not path.name.startswith(".")):
        if path.suffix == ".npz":
            whole = zipfile.is_zipfile(path)
        else:
            whole = path.read_bytes().endswith(ends.get(path.suffix, b"\n"))
        if not whole:
            cut.append(path)
    return [path for path in cut if path.name != "metrics.csv"]


def saved_steps(folder: str | Path) -> int:
    """Return the step of the newest checkpoint in a run folder, or the sum over the runs of a sweep."""
    folders = [path for path in (Path(folder), *Path(folder).glob("*")) if path.is_dir()]
    return sum(max(checkpoint.paths(path), default=0) for path in folders)


def outcomes(folder: str | Path) -> dict[str, Outcome]:
    """Return the outcome of a run, or of each run of a sweep."""
    if not Path(folder, "sweep.json").exists():
        return {"": outcome(folder)}
    assert statuses(str(folder)) == ["completed"] * len(run_folders(str(folder)))
    return {path.name: outcome(path) for path in run_folders(str(folder))}


@cache
def reference(command: tuple[str, ...]) -> dict[str, Outcome]:
    """Return the outcome of a command run once in this process, which also imports all it needs."""
    assert main(list(command)) == 0
    whole = outcomes("x")
    shutil.rmtree("x")
    return whole


def to_go_on(command: tuple[str, ...], folder: str | Path) -> tuple[str, ...]:
    """Return the command that resumes another: the same again where not even the config was written."""
    kind, name = command[0], {"train": "config.json", "sweep": "sweep.json"}[command[0]]
    return (kind, str(Path(folder, name)), "--resume", "--quiet") if Path(folder, name).exists() else command


class Faults:
    """Counts the calls that change files; call number `at` fails, all from it on fail, or it is the last.

    Parameters
    ----------
    at : int, 0 to count only
    deed : "fail", "fail on" or "kill"
    watched : folder whose saved steps are noted when the fault happens
    """

    def __init__(self, at: int = 0, deed: str = "fail", watched: str = "") -> None:
        self.at, self.deed, self.watched = at, deed, watched
        self.count, self.saved = FORK.Value("i"), FORK.Value("i")

    def install(self) -> None:
        """Install the faults in this process, which does not outlive them."""
        for name in CALLS:
            setattr(os, name, self._met_before(name, getattr(os, name)))
        read: Any = io.open
        faults = self

        class Raw(io.FileIO):
            def write(self, content: Any) -> int:
                faults.meet("write", lambda: super(Raw, self).write(bytes(content)[: len(content) // 2]))
                return super().write(content)

        def opened(file: Any, mode: str = "r", *options: Any, opener: Any = None, **texts: Any) -> Any:
            if not set(mode) & set("wax+"):
                return read(file, mode, *options, opener=opener, **texts)
            faults.meet("open")
            raw = Raw(file, mode.replace("b", ""), opener=opener)
            binary = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            encoding, newline = texts.get("encoding") or "utf-8", texts.get("newline", "")
            return binary if "b" in mode else io.TextIOWrapper(binary, encoding, newline=newline)

        vars(io)["open"] = vars(builtins)["open"] = opened

    def meet(self, call: str, half: Callable[[], object] = lambda: None) -> None:
        """Count a call, and fail or die instead of it; before dying, do `half` of it."""
        self.count.value += 1
        if self.count.value == self.at:
            self.saved.value = saved_steps(self.watched)
            if self.deed == "kill":
                half()
                os.kill(os.getpid(), signal.SIGKILL)
        if self.count.value == self.at or (self.deed == "fail on" and self.count.value > self.at > 0):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), call)

    def _met_before(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def met(*arguments: Any, **options: Any) -> Any:
            self.meet(name)
            return call(*arguments, **options)

        return met

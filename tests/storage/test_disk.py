"""What reaches the disk and in which order; disks that are full, read-only or gone while a run writes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkProcess
from pathlib import Path

import pytest
from crashing import SAID, ended, forked, outcomes, reference, saved_steps, to_go_on
from rights import obey_permissions
from sweeping import TINYNET

from tinynet.cli.main import main

STRACE = shutil.which("strace")
WITHOUT = "no strace on this machine ('apt-get install strace'); .ci/run installs it"
CALLS = "mkdir,mkdirat,write,writev,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat"
MANY = ("training.epochs=50", "training.batch_size=105", "training.checkpoint_every_s=0", "--quiet")
TRAIN = ("train", "iris", *MANY, "--out", "x")
SWEEP = ("sweep", "iris", *MANY, "seed=0..1", "--out", "x")
MADE_AGAIN = ("loss_curve.png", "report.html", "sweep.csv")  # a command makes them again from the other files

Event = tuple[str, ...]  # a call and the files it names


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


# The order of calls


def traced(folder: Path, *words: str) -> list[Event]:
    """Run the real command and return its calls that change files in `folder`, in order."""
    log = folder.with_suffix(".log")
    if STRACE is None:
        pytest.fail(WITHOUT)
    strace = [STRACE, "-y", "-s", "0", "-e", f"trace={CALLS}", "-o", str(log)]
    subprocess.run([*strace, TINYNET, *words, "--out", str(folder), "--quiet"], check=True, timeout=120)
    events = []
    for line in log.read_text(encoding="utf-8").splitlines():
        call, _, rest = line.partition("(")
        files = re.findall(r'(?:<|")(/[^">]*)(?:>|")', rest)
        if any(file.startswith(str(folder)) or file == str(folder.parent) for file in files) and "= -1 " not in line:
            events.append((call, *files))
    return events


def unsafe(events: list[Event]) -> list[str]:
    """Return what a power cut could lose, given the calls in order."""
    faults: list[str] = []
    dirty, unnamed, promised = set[str](), set[str](), ""  # files not synced, names not synced, and a name to sync next
    made = set[str]()  # folders not synced
    for call, *files in [*events, ("end", "of all")]:
        file, name = files[-1], os.path.basename(files[-1])
        if promised and (call, file) != ("fsync", os.path.dirname(promised)):
            faults.append(f"{call} of {file} before the name {promised} is on disk")
        promised = ""
        if call in ("write", "writev", "pwrite64") and not name.endswith(".lock"):
            dirty.add(file)
            if not name.endswith((".tmp", "metrics.csv")):
                faults.append(f"{file} is written in place")
        elif call == "fsync":
            dirty.discard(file)
            unnamed, made = ({path for path in paths if os.path.dirname(path) != file} for paths in (unnamed, made))
        elif call.startswith("mkdir"):
            made.add(file)
        elif call.startswith("rename"):
            inside = {path for path in dirty | unnamed if path.startswith(f"{files[0]}/")}
            if files[0] in dirty or inside or (name == "summary.json" and dirty):
                faults.append(f"{file} gets its name before {dirty | inside} is on disk")
            if any(file.startswith(f"{folder}/") for folder in made):
                faults.append(f"{file} gets its name in a folder that may be lost: {made}")
            unnamed.add(file)
            promised = file if name.startswith("checkpoint-") or "." not in name else ""
    lost = {path for path in unnamed if not path.endswith(MADE_AGAIN)}
    return faults + [f"{path} never reaches the disk" for path in dirty | lost]


@pytest.mark.skipif(STRACE is None and not os.environ.get("CI"), reason=WITHOUT)
@pytest.mark.parametrize("command", [["train", "iris"], ["sweep", "iris", "seed=0..1"]], ids=["train", "sweep"])
def test_fault_32_data_are_synced_first_then_the_name(command: list[str], tmp_path: Path) -> None:
    short = ("training.epochs=2", "training.batch_size=60", "training.checkpoint_every_s=0")
    events = traced(tmp_path / "x", *command, *short)
    assert unsafe(events) == []
    checkpoints = [event for event in events if event[0].startswith("rename") and "checkpoint" in event[-1]]
    assert len(checkpoints) == 6 * len(list((tmp_path / "x").rglob("summary.json")))
    synced = [number for number, event in enumerate(events) if event[0] == "fsync"]
    assert len(synced) > 2 * len(checkpoints)
    for number in synced:
        assert unsafe(events[:number] + events[number + 1 :]), f"{events[number]} could be left out"


# Disks that are full, read-only or gone


def running(*words: str, prepare: Callable[[], object] = lambda: None, steps: int = 5) -> ForkProcess:
    """Start a command and return its process once it has saved that many steps."""
    process = forked(*words, prepare=prepare)
    while process.is_alive() and saved_steps("x") < steps:
        process.join(0.002)
    assert process.is_alive(), SAID.read_text(encoding="utf-8")
    return process


def stopped(process: ForkProcess, why: str, advice: str = "resume with: tinynet train .*") -> None:
    """Check that a run exits with 3 and one line that says why and how to resume."""
    assert ended(process) == 3
    (line,) = SAID.read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(rf"tinynet: failed: x\S*: {why}; {advice}", line)


def test_fault_33_a_run_that_hits_a_file_size_limit_can_be_resumed() -> None:
    whole = reference(TRAIN)
    limited = ["bash", "-c", 'ulimit -f 9; exec "$0" "$@"', TINYNET, *TRAIN]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert re.fullmatch(r"tinynet: failed: x\S*: File too large; resume with: tinynet train --out x --resume", line)
    assert 10 < saved_steps("x") < 50  # checkpoints grow with the history
    assert main(["train", "--out", "x", "--resume", "--quiet"]) == 0
    assert outcomes("x") == whole


@contextmanager
def small_disk(path: Path, n_bytes: int) -> Iterator[None]:
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def may_mount() -> bool:
    """Return whether this process may mount a file system: root may, but not in every container."""
    effective = re.search(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text(encoding="ascii"))
    return effective is not None and bool(int(effective[1], 16) >> 21 & 1)


@pytest.mark.skipif(not may_mount(), reason="a small file system can be mounted by root alone")
@pytest.mark.parametrize("command", [TRAIN, SWEEP], ids=["train", "sweep"])
def test_fault_33_a_run_on_a_full_disk_can_be_resumed(command: tuple[str, ...]) -> None:
    whole = reference(command)
    with small_disk(Path("x"), 2**18):
        process = running(*command, steps=20)
        with pytest.raises(OSError, match="No space left"), open("x/.ballast.lock", "wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(512))
        before = saved_steps("x")
        assert ended(process) == 3
        said = SAID.read_text(encoding="utf-8")
        assert "No space left on device" in said and all(line.startswith("tinynet: ") for line in said.splitlines())
        assert 20 <= before <= saved_steps("x") < 50
        Path("x/.ballast.lock").unlink()
        assert main(list(to_go_on(command, "x"))) == 0
        assert outcomes("x") == whole


def test_fault_33_a_run_whose_folder_becomes_read_only_can_resume() -> None:
    whole = reference(TRAIN)
    process = running(*TRAIN, prepare=obey_permissions)
    Path("x").chmod(0o555)
    stopped(process, "Permission denied")
    assert 5 <= saved_steps("x") < 50
    Path("x").chmod(0o777)
    assert ended(forked("train", "--out", "x", "--resume", "--quiet", prepare=obey_permissions)) == 0
    assert outcomes("x") == whole


def test_fault_33_a_run_whose_folder_is_moved_can_be_resumed_there() -> None:
    whole = reference(TRAIN)
    process = running(*TRAIN)
    Path("x").rename("elsewhere")
    stopped(process, "No such file or directory")
    assert not Path("x").exists() and 5 <= saved_steps("elsewhere") < 50
    assert main(["train", "--out", "elsewhere", "--resume", "--quiet"]) == 0
    assert outcomes("elsewhere") == whole


def test_fault_33_a_run_whose_folder_is_deleted_can_start_again() -> None:
    whole = reference(TRAIN)
    process = running(*TRAIN)
    Path("x").rename("trash")
    shutil.rmtree("trash")
    stopped(process, "No such file or directory", ".*")
    assert not Path("x").exists()
    assert main(list(TRAIN)) == 0
    assert outcomes("x") == whole

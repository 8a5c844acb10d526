"""Files that are written whole or not at all, and folders with one writer."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rights import another_user, unprivileged

from tinynet import SGD, RunFolderError, TwoLayerNet, train
from tinynet.errors import LockedError
from tinynet.storage import writing as storage
from tinynet.storage.locks import left_behind, only_writer
from tinynet.storage.writing import make_folder, sync_folder, write_atomically
from tinynet.training.checkpoints import Checkpoints

HOLDER = "from tinynet.storage.locks import only_writer; from pathlib import Path; import sys\n"
HOLD = HOLDER + "with only_writer(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


# Writing


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    call: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise error

    write_atomically(Path("file"), b"old")
    with monkeypatch.context() as patch:
        patch.setattr(call, fails)
        with pytest.raises(type(error)):
            write_atomically(Path("file"), b"new")
    assert Path("file").read_bytes() == b"old"
    assert [path.name for path in Path().iterdir()] == ["file"]


def test_a_missing_or_read_only_folder_cannot_be_written_or_locked() -> None:
    gone = Path("gone")
    for call in (
        lambda: write_atomically(gone / "file", b"new"),
        lambda: sync_folder(gone),
        only_writer(gone).__enter__,
    ):
        with pytest.raises(FileNotFoundError):
            call()
    Path("mine").mkdir()
    write_atomically(Path("mine/file"), b"old")
    Path("mine").chmod(0o555)
    for call in (lambda: write_atomically(Path("mine/file"), b"new"), only_writer(Path("mine")).__enter__):
        with unprivileged(), pytest.raises(PermissionError):
            call()
    Path("mine").chmod(0o755)
    assert [path.read_bytes() for path in Path("mine").iterdir()] == [b"old"]


def test_left_over_files_are_recognised_by_name() -> None:
    assert all(map(left_behind, (".lock", ".training.lock", ".file.12.tmp", ".model.npz.7.tmp")))
    assert not any(map(left_behind, ("file.tmp", "x.lock", ".hidden", ".tmp.txt", "config.json", "lock")))


# One writer


def refusal(folder: str | Path = ".", kind: type[RunFolderError] = LockedError) -> str:
    """Return why this process may not write into a folder."""
    with pytest.raises(kind) as caught, only_writer(Path(folder)):
        raise AssertionError
    return str(caught.value)


def here() -> str:
    """Return how a lock names this process."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def test_a_second_writer_in_the_same_process_is_refused() -> None:
    with only_writer(Path()):
        for other in (Path(), Path().absolute()):
            assert refusal(other) == f"{other}: {here()} is writing there; wait for its end, or choose another folder"
    with only_writer(Path()):
        pass
    assert not list(Path().iterdir())


def test_a_run_and_its_checkpoints_share_one_lock() -> None:
    seen: list[set[str]] = []

    def look(_: object) -> None:
        seen.append({path.name for path in Path("x").iterdir() if path.name.endswith(".lock")})
        assert here() in refusal("x")

    net, X, y = TwoLayerNet(2, 3, 2, seed=0), np.eye(2), [0, 1]
    train(net, X, y, SGD(0.1), epochs=1, batch_size=2, seed=0, checkpoints=Checkpoints("x"), on_epoch=look)
    assert seen == [{".lock"}] and not Path("x/.lock").exists()
    with only_writer(Path("x")) as check:
        again = Checkpoints("x", resume=True, writer=check)
        train(net, X, y, SGD(0.1), epochs=2, batch_size=2, seed=0, checkpoints=again, on_epoch=look)
        assert seen == [{".lock"}] * 2 and Path("x/.lock").exists()


def test_fault_16_a_killed_process_no_longer_holds_the_lock() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, "."], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        assert f"process {holder.pid} on {socket.gethostname()} is writing there" in refusal()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert Path(".lock").exists()
    with only_writer(Path()):
        pass
    assert not list(Path().iterdir())


def test_any_content_of_a_lock_gives_a_message_of_one_line() -> None:
    said = {b"": "another process", b"\x1b[2J\n" * 1000: "'\\x1b[2J", b"\xff\xfe": "\\xff\\xfe is writing"}
    for text, named in said.items():
        with only_writer(Path()):
            Path(".lock").write_bytes(text)
            message = refusal()
        assert message.startswith(f".: {named}") and message.isprintable() and len(message) < 2000


@pytest.mark.parametrize("left", ["nothing", "another"])
def test_a_lock_removed_while_waiting_for_it_is_not_taken(left: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock

    def late(file: Any, operation: int) -> None:
        Path(".lock").unlink()  # as the holder does when it ends
        if left == "another":
            Path(".lock").touch()
        flock(file, operation)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", late)
        assert "is writing there" in refusal()
    with only_writer(Path()):
        pass


def test_only_half_written_files_of_killed_processes_are_removed() -> None:
    for name in (".model.npz.1.tmp", "mine.tmp", "model.npz", ".hidden"):
        Path(name).touch()
    with only_writer(Path()):
        assert {path.name for path in Path().iterdir()} == {".lock", "mine.tmp", "model.npz", ".hidden"}


def test_a_file_that_is_being_written_is_not_removed() -> None:
    seen: list[str] = []

    def while_it_is_written(descriptor: int) -> None:
        with only_writer(Path()):
            seen.extend(path.name for path in Path().glob(".*.tmp"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", while_it_is_written)
        write_atomically(Path("report.html"), b"whole")
    assert seen == [f".report.html.{os.getpid()}.tmp"] and Path("report.html").read_bytes() == b"whole"


def test_a_temporary_file_removed_as_a_leftover_is_created_again(monkeypatch: pytest.MonkeyPatch) -> None:
    flock, removed = fcntl.flock, list[str]()

    def late(file: Any, operation: int) -> None:
        if not removed:
            removed.extend(path.name for path in Path().glob(".*.tmp"))
            Path(removed[0]).unlink()
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    write_atomically(Path("file"), b"new")
    assert removed == [f".file.{os.getpid()}.tmp"] and Path("file").read_bytes() == b"new"


def make_odd(path: Path, what: str) -> None:
    """Create something in the place of a file; links point to a precious one."""
    Path("precious").write_text("precious", encoding="utf-8")
    makers: dict[str, Callable[[], object]] = {
        "folder": path.mkdir,
        "foreign": path.touch,
        "pipe": lambda: os.mkfifo(path),
        "link": lambda: path.symlink_to("precious"),
        "hard link": lambda: os.link("precious", path),
    }
    makers[what]()


@pytest.mark.parametrize("what", ["folder", "link", "hard link", "pipe", "foreign"])
def test_a_path_that_only_looks_like_a_leftover_stays(what: str) -> None:
    path = Path(".x.tmp" if what == "foreign" else ".x.12.tmp")
    make_odd(path, what)
    with only_writer(Path()):
        pass
    assert os.path.lexists(path) and Path("precious").read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize("what", ["hard link", "pipe", "link"])
def test_a_lock_path_that_is_not_a_plain_file_is_refused(what: str) -> None:
    make_odd(Path(".lock"), what)
    assert refusal(kind=RunFolderError) == ".lock: is not a lock of tinynet's; remove it"
    assert Path("precious").read_text(encoding="utf-8") == "precious" and os.path.lexists(".lock")


def test_fault_16_another_users_lock_is_respected_only_while_held() -> None:
    Path().chmod(0o777)
    with only_writer(Path()):
        Path(".lock").chmod(0o644)
        with another_user():
            assert f"{here()} is writing there" in refusal()
        assert Path(".lock").exists()
    Path(".lock").write_text("process 1 on elsewhere", encoding="utf-8")  # its holder was killed
    Path(".lock").chmod(0o644)
    with another_user(), only_writer(Path()):
        assert Path(".lock").stat().st_uid == os.geteuid()
        assert Path(".lock").read_text(encoding="utf-8") == here()
    assert not Path(".lock").exists()


def test_another_users_lock_replaced_meanwhile_is_not_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    Path().chmod(0o777)
    Path(".lock").touch(0o644)
    flock, third = fcntl.flock, list[int]()

    def late(file: Any, operation: int) -> None:
        flock(file, operation)
        if not third:
            Path(".lock").rename("old")
            third.append(os.open(".lock", os.O_WRONLY | os.O_CREAT, 0o644))
            os.write(third[0], b"a third one")
            flock(third[0], operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with another_user():
        assert "a third one is writing there" in refusal()
    os.close(third[0])
    assert Path(".lock").read_text(encoding="utf-8") == "a third one"


def test_a_file_is_written_even_where_locks_are_not_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(file: Any, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", none)
    write_atomically(Path("predictions.csv"), b"whole")
    assert Path("predictions.csv").read_bytes() == b"whole"


def test_the_holder_notices_that_its_folder_was_moved() -> None:
    Path("run").mkdir()
    with only_writer(Path("run")) as check:
        check()
        Path("run").rename("moved")
        check()  # no new folder yet: a write there fails by itself
        Path("run").mkdir()
        with pytest.raises(RunFolderError, match=r"^run: lost its lock \(the folder was moved"):
            check()
        Path("run/.lock").touch()
        with pytest.raises(RunFolderError):
            check()
    assert Path("run/.lock").exists()


def test_a_new_folder_and_its_parents_are_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(storage, "sync_folder", synced.append)
    make_folder(Path("a/b/c"))
    assert Path("a/b/c").is_dir() and synced == [Path("a/b"), Path("a"), Path()]
    make_folder(Path("a/b/c"))
    assert len(synced) == 3


def test_a_lock_left_in_a_read_only_folder_locks_nothing() -> None:
    Path("run").mkdir()
    Path("run").chmod(0o777)
    with ExitStack() as writer:
        with unprivileged():
            writer.enter_context(only_writer(Path("run")))
        Path("run").chmod(0o555)
        with unprivileged():
            writer.close()
    assert [path.name for path in Path("run").iterdir()] == [".lock"]
    with unprivileged(), only_writer(Path("run")):
        pass

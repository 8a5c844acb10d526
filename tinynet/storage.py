"""What keeps files whole: atomic writes, and one writer a folder."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tinynet.errors import RunFolderError
from tinynet.files import shown_path

NAME_S = 0.2  # who has just taken a lock has written its name after so long


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, also after a loss of power.

    Until `sync_folder` was called, a loss of power may bring back what was there before.

    Raises
    ------
    OSError
        When it cannot be written; what was there stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        with temporary.open("xb") as file:  # a link is not followed
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:  # a second ^C among them
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_named(path: Path, content: bytes) -> None:
    """Write a file that a user has named, as `write_atomically` does, or straight into a pipe or what a link leads to.

    Raises
    ------
    RunFolderError
        When it cannot be opened.
    OSError
        With its name, when it was opened but the disk is full.
    """
    try:
        if path.exists() and (path.is_symlink() or not path.is_file()):
            path.write_bytes(content)
        else:
            write_atomically(path, content)
    except OSError as error:
        if error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise RunFolderError(f"{shown_path(path)}: cannot be written: {error.strerror}") from error


def check_target(path: Path, kind: str, is_one: Callable[[Path], bool]) -> None:
    """Refuse a place where no file can be written, and one that holds something else than a `kind` of file.

    Raises
    ------
    RunFolderError
        When `path` is a folder, a pipe or a device, in no folder, or a file of which `is_one` is false.
    """
    name = shown_path(path)
    try:
        if path.is_dir():
            raise RunFolderError(f"{name}: is a folder; name a file")
        if not path.parent.is_dir():
            raise RunFolderError(f"{name}: cannot be written: there is no folder {shown_path(path.parent)}")
        if path.exists() and not (path.is_file() and is_one(path)):  # a pipe could keep us waiting for ever
            raise RunFolderError(f"{name}: exists and is no {kind}; choose another file")
    except RunFolderError:
        raise
    except OSError as error:
        raise RunFolderError(f"{name}: cannot be written: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk: all renames in it are safe only after this."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def left_behind(name: str) -> bool:
    """Return whether a file is a lock, or what a killed process had half written: nothing that anybody would miss."""
    return name.startswith(".") and name.endswith((".lock", ".tmp"))


@contextmanager
def only_writer(folder: Path, lock: str = ".lock") -> Iterator[None]:
    """Be the one who writes into `folder`, by a lock on a file that the kernel releases when the process dies.

    Files half written by a process that was killed are removed; readers are never kept waiting.

    Raises
    ------
    RunFolderError
        When another process, or another thread, is writing there; it is named.
    OSError
        When the folder cannot be written.
    """
    import fcntl  # not there on every system

    path = folder / lock
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW  # in a stranger's folder it may be a link to anything
    with open(path, "r+", encoding="utf-8", opener=lambda name, _: os.open(name, flags, 0o666)) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(path.lstat(), os.fstat(file.fileno())):
                raise BlockingIOError  # it is another's by now
        except (BlockingIOError, FileNotFoundError) as error:  # or the one who held it has just removed it
            time.sleep(NAME_S)
            file.seek(0)
            holder = shown_path(file.read(200).strip() or "another process")
            raise RunFolderError(
                f"{shown_path(folder)}: {holder} is writing there; wait for its end, or choose another folder"
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        for half in folder.glob(".*.tmp"):
            half.unlink(missing_ok=True)
        try:
            yield
        finally:
            with suppress(OSError):  # the folder may be gone or read-only: then it stays, and locks nothing
                path.unlink(missing_ok=True)

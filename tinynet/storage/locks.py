"""One writer a folder: a lock that the kernel releases when its process dies."""

from __future__ import annotations

import os
import platform
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tinynet.errors import LockedError, RunFolderError
from tinynet.storage.messages import shown_path
from tinynet.storage.writing import HALF, still_has_name

LOCK = ".lock"
NAME_S = 0.2  # time allowed for a new holder to write its name
TRIES = 5  # while locks are released at once, as by commands that are refused

Check = Callable[[], None]


@contextmanager
def only_writer(folder: Path, *, tries: int = TRIES) -> Iterator[Check]:
    """Hold the lock of `folder`: only one process writes there. The kernel releases it when the process dies.

    Files half written by a process that was killed are removed; readers are never kept waiting.

    Yields
    ------
    callable
        To be called before something is written: it raises RunFolderError when the folder was moved away and
        another one has its name.

    Raises
    ------
    LockedError
        When another process, or another thread, is writing there; it is named.
    RunFolderError
        When the file in the lock's place is not a lock.
    OSError
        When the folder cannot be written.
    """
    import fcntl  # not every system has it

    path = folder / LOCK
    with open(path, "r+", encoding="utf-8", errors="backslashreplace", opener=_open_lock) as file:
        ours = os.fstat(file.fileno())
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_held = still_has_name(path, ours)  # its holder may have just removed it
        except BlockingIOError:
            is_held = False
        if not is_held:
            if still_has_name(path, ours):
                time.sleep(NAME_S)
            if tries > 1 and not still_has_name(path, ours):  # whoever held it has finished, or was refused
                with only_writer(folder, tries=tries - 1) as check:
                    yield check
                return
            file.seek(0)
            holder = shown_path(file.read(200).strip() or "another process")
            advice = "is writing there; wait for its end, or choose another folder"
            raise LockedError(f"{shown_path(folder)}: {holder} {advice}")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        _remove_half_written(folder)

        def check() -> None:
            if not still_has_name(path, ours) and folder.is_dir():
                raise RunFolderError(
                    f"{shown_path(folder)}: lost its lock (the folder was moved, or .lock was deleted); writing has "
                    "stopped; saved files are still in the folder, even if it was moved"
                )

        try:
            yield check
        finally:
            with suppress(OSError):  # the folder may be gone or read-only: then it stays, and locks nothing
                if still_has_name(path, ours):
                    path.unlink()


def left_behind(name: str) -> bool:
    """Return whether a file is a lock, or what a killed process left half written."""
    return (name.startswith(".") and name.endswith(LOCK)) or HALF.fullmatch(name) is not None


def _open_lock(name: str, _: int) -> int:
    """Open the file of a lock. One that another user's process left is replaced; one that it holds can be read."""
    with suppress(FileNotFoundError):
        if not _is_regular(os.lstat(name)):
            raise RunFolderError(f"{shown_path(name)}: is not a lock of tinynet's; remove it")
    writable, flags = os.O_RDWR | os.O_CREAT, os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(name, writable | flags, 0o666)
    except PermissionError as error:
        try:
            descriptor = os.open(name, os.O_RDONLY | flags)
        except FileNotFoundError:  # the folder itself may not be written
            raise error from None
    if not _remove_free(Path(name), descriptor):
        return descriptor
    os.close(descriptor)
    return os.open(name, writable | flags, 0o666)


def _is_regular(file: os.stat_result) -> bool:
    """Return whether it is a regular file with one name: in a stranger's folder it may be a link or a pipe."""
    return stat.S_ISREG(file.st_mode) and file.st_nlink <= 1


def _remove_half_written(folder: Path) -> None:
    """Remove what killed processes left half written, but nothing that a process is still writing."""
    for path in folder.glob(".*.tmp"):
        with suppress(FileNotFoundError, PermissionError):
            if HALF.fullmatch(path.name) and _is_regular(path.lstat()):
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    _remove_free(path, descriptor)
                finally:
                    os.close(descriptor)


def _remove_free(path: Path, descriptor: int) -> bool:
    """Remove a file whose lock nobody holds, and return whether that was so."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    if still_has_name(path, os.fstat(descriptor)):
        os.unlink(path)
    return True

"""What keeps files whole: atomic writes, and one writer a folder."""

from __future__ import annotations

import os
import re
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tinynet.errors import LockedError, RunFolderError
from tinynet.files import shown_path

NAME_S = 0.2  # who has just taken a lock has written its name after so long
HALF = re.compile(r"\..+\.[0-9]+\.tmp")  # of `write_atomically`, with the number of its process


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
        with _begun(temporary) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:  # a second ^C among them
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _begun(path: Path) -> BinaryIO:
    """Open a new file, locked as long as it is open, so that nobody takes it for what a killed process left."""
    import fcntl  # not there on every system

    while True:
        file = path.open("xb")  # a link is not followed
        with suppress(OSError):  # where a file system has no locks, a file that needs none is written all the same
            fcntl.flock(file, fcntl.LOCK_EX)
        if _is_there(path, os.fstat(file.fileno())):
            return file
        file.close()  # somebody was faster


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


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, and bring their names to the disk."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


def left_behind(name: str) -> bool:
    """Return whether a file is a lock, or what a killed process had half written: nothing that anybody would miss."""
    return (name.startswith(".") and name.endswith(".lock")) or HALF.fullmatch(name) is not None


@contextmanager
def only_writer(folder: Path, lock: str = ".lock") -> Iterator[Callable[[], None]]:
    """Be the one who writes into `folder`, by a lock on a file that the kernel releases when the process dies.

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
        When what stands in the lock's place is none.
    OSError
        When the folder cannot be written.
    """
    import fcntl  # not there on every system

    path = folder / lock
    with open(path, "r+", encoding="utf-8", errors="backslashreplace", opener=_open_lock) as file:
        ours = os.fstat(file.fileno())
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_there(path, ours):
                raise BlockingIOError  # the one who held it has just removed it
        except BlockingIOError as error:
            time.sleep(NAME_S)
            file.seek(0)
            holder = shown_path(file.read(200).strip() or "another process")
            raise LockedError(
                f"{shown_path(folder)}: {holder} is writing there; wait for its end, or choose another folder"
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        _remove_half_written(folder)

        def check() -> None:
            if not _is_there(path, ours) and folder.is_dir():
                raise RunFolderError(
                    f"{shown_path(folder)}: the lock of this process is not there any more: its folder was moved away, "
                    "or the lock removed; it writes no more, and what it has saved is where its folder is now"
                )

        try:
            yield check
        finally:
            with suppress(OSError):  # the folder may be gone or read-only: then it stays, and locks nothing
                if _is_there(path, ours):
                    path.unlink()


def _open_lock(name: str, _: int) -> int:
    """Open the file of a lock. One that another user's process left is replaced; one that it holds can be read."""
    with suppress(FileNotFoundError):
        if not _is_plain(os.lstat(name)):
            raise RunFolderError(f"{shown_path(name)}: is no lock of tinynet's; remove it")
    writable, flags = os.O_RDWR | os.O_CREAT, os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(name, writable | flags, 0o666)
    except PermissionError as error:
        try:
            descriptor = os.open(name, os.O_RDONLY | flags)
        except FileNotFoundError:  # it is the folder that may not be written
            raise error from None
    if not _is_free(Path(name), descriptor):
        return descriptor
    os.close(descriptor)
    return os.open(name, writable | flags, 0o666)


def _is_plain(file: os.stat_result) -> bool:
    """Return whether it is a file that has one name: in a stranger's folder it may be a link to anything, or a pipe."""
    return stat.S_ISREG(file.st_mode) and file.st_nlink <= 1


def _remove_half_written(folder: Path) -> None:
    """Remove what killed processes had half written, and nothing that somebody is at: a report's, for example."""
    for path in folder.glob(".*.tmp"):
        with suppress(FileNotFoundError, PermissionError):
            if HALF.fullmatch(path.name) and _is_plain(path.lstat()):
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    _is_free(path, descriptor)
                finally:
                    os.close(descriptor)


def _is_free(path: Path, descriptor: int) -> bool:
    """Return whether nobody holds the lock of a file; then it is removed."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    if _is_there(path, os.fstat(descriptor)):
        os.unlink(path)
    return True


def _is_there(path: Path, file: os.stat_result) -> bool:
    """Return whether a file still has its name, which nobody else has taken meanwhile."""
    try:
        return os.path.samestat(path.lstat(), file)
    except FileNotFoundError:
        return False

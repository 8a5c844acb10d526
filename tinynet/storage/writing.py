"""Files that are there whole or not at all, also after a loss of power."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from tinynet.errors import RunFolderError
from tinynet.storage.messages import shown_path

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
        with _open_locked(temporary) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:  # also a second ^C
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _open_locked(path: Path) -> BinaryIO:
    """Open a new file and lock it, so that no process takes it for one that a killed process left."""
    import fcntl  # not every system has it

    while True:
        file = path.open("xb")  # a link is not followed
        with suppress(OSError):  # a file system without locks is no reason not to write
            fcntl.flock(file, fcntl.LOCK_EX)
        if still_has_name(path, os.fstat(file.fileno())):
            return file
        file.close()  # another process was faster


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
    """Refuse a place where no file can be written, and one that holds something else than `kind`, such as "a report".

    Raises
    ------
    RunFolderError
        When `path` is a folder, a pipe or a device, in no folder, or a file of which `is_one` is false.
    """
    try:
        if path.is_dir():
            fault = "is a folder; name a file"
        elif not path.parent.is_dir():
            fault = f"cannot be written: there is no folder {shown_path(path.parent)}"
        elif path.exists() and not (path.is_file() and is_one(path)):  # a pipe could keep us waiting for ever
            fault = f"exists and is not {kind}; choose another file"
        else:
            return
    except OSError as error:
        fault = f"cannot be written: {error.strerror or error}"
    raise RunFolderError(f"{shown_path(path)}: {fault}")


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk: renames in it are safe only after this."""
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


def still_has_name(path: Path, file: os.stat_result) -> bool:
    """Return whether a file still has its name, and no other file has taken it."""
    try:
        return os.path.samestat(path.lstat(), file)
    except FileNotFoundError:
        return False

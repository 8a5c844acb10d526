"""Careful reading of files, and how messages show paths."""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tinynet.errors import DataError, InvalidValueError

Array = npt.NDArray[Any]
FilePath = str | os.PathLike[str]

MAX_SHOWN = 300  # characters of a path in a message
MAX_DIFFERING = 20  # values that a message names
CACHED = 2**19  # bytes that a core keeps at hand


@contextmanager
def faults_of_file(path: FilePath) -> Iterator[None]:
    """Put the name of a file before every line of a fault that is found in it."""
    try:
        yield
    except InvalidValueError as error:
        raise DataError("\n".join(f"{shown_path(path)}: {line}" for line in str(error).splitlines())) from error


@contextmanager
def open_regular_file(path: FilePath) -> Iterator[BinaryIO]:
    """Open a regular file, and put its name before every fault that is found in it."""
    name = shown_path(path)
    try:
        with faults_of_file(path):
            if "\0" in os.fspath(path) or not stat.S_ISREG(os.stat(path).st_mode):  # a pipe could keep us waiting
                raise DataError("is not a file")
            with open(path, "rb") as file:
                yield file
    except UnicodeEncodeError as error:  # half of a surrogate pair, which no file name holds
        raise DataError(f"{name}: is not a file") from error
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror or error}") from error


def read_text(path: FilePath, most: int) -> str:
    """Return the text of a regular file that has `most` bytes or fewer.

    Raises
    ------
    DataError
        When it is not a file, cannot be read, is larger, or not UTF-8.
    """
    with open_regular_file(path) as file:
        content = file.read(most + 1)
        if len(content) > most:
            raise DataError(f"larger than {most // 1024:,} KiB")
        return decoded(content)


def decoded(content: bytes) -> str:
    """Return bytes as text; DataError names the line that is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"line {line}: not UTF-8: byte 0x{content[error.start]:02x}") from error


def shown_path(path: FilePath) -> str:
    """Return a path or a name for a message: on one line whatever is in it, and cut when it is very long."""
    text = os.fspath(path)
    text = text if len(text) <= MAX_SHOWN else f"{text[:100]}…{text[101 - MAX_SHOWN :]}"
    return text if text and text.isprintable() else repr(text)


def differences(stored: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return "differs in KEY (x in the folder, y now), ...", or "" when nothing differs; nan is the same as nan."""
    absent = "absent"
    found = [
        f"{shown_path(key)} ({cut(stored.get(key, absent))} in the folder, {cut(now.get(key, absent))} now)"
        for key in {**stored, **now}
        if not _are_same(stored.get(key), now.get(key))
    ]
    return f"differs in {', '.join(found[:MAX_DIFFERING])}" if found else ""


def _are_same(there: object, here: object) -> bool:
    return there == here or (there != there and here != here)  # nan


def cut(value: object, most: int = 60) -> str:
    """Return a value for a message; of a long path the end tells more."""
    text = str(value)
    return shown_path(text if len(text) <= most else f"…{text[1 - most :]}")


def typed_path(path: FilePath) -> str:
    """Return a path as it is typed into bash, on one line whatever is in it."""
    text = os.fspath(path)
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + repr(b'"' + os.fsencode(text))[3:]  # the quote lets repr escape every ' in it; bash reads the rest


def digest(*arrays: Array | None) -> str:
    """Return a digest of numbers and shapes, whatever the arrays' layout in memory."""
    return digest_of_blocks(
        (None, ()) if table is None else (table.shape, row_blocks(table, CACHED)) for table in arrays
    )


def digest_of_blocks(tables: Iterable[tuple[tuple[int, ...] | None, Iterable[Array]]]) -> str:
    """Return the `digest` of tables that are given as their shapes and their rows, block by block."""
    sha = hashlib.sha256()
    for shape, blocks in tables:
        sha.update(str(shape).encode())
        for rows in blocks:
            sha.update(np.ascontiguousarray(rows).data)
    return sha.hexdigest()[:16]


def row_blocks(table: Array, most: int = 2**24, begin: int = 0, end: int | None = None) -> Iterator[Array]:
    """Yield the rows of `table`, in its order, in blocks of `most` bytes or less."""
    for block in row_slices(table, most, begin, end):
        yield table[block]


def row_slices(table: Array, most: int = 2**24, begin: int = 0, end: int | None = None) -> Iterator[slice]:
    """Yield where the blocks are."""
    n_rows = (len(table) if end is None else end) - begin
    size, larger = divmod(n_rows, n_blocks := 1 + table.nbytes * n_rows // max(1, len(table)) // most)
    for number in range(n_blocks):
        yield slice(begin, begin := begin + size + (number < larger))

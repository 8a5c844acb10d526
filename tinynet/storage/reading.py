"""Careful reading of files, and digests of what they hold."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tinynet.errors import DataError, InvalidValueError
from tinynet.storage.messages import shown_path

Array = npt.NDArray[Any]
FilePath = str | os.PathLike[str]

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


def has_mark(path: FilePath, mark: str) -> bool:
    """Return whether a regular file has `mark` near its beginning, which tells what wrote it."""
    with open(path, "rb") as file:
        return mark.encode() in file.read(2000)


def decoded(content: bytes) -> str:
    """Return bytes as text; DataError names the line that is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"line {line}: not UTF-8: byte 0x{content[error.start]:02x}") from error


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
    n_blocks = min(max(1, n_rows), 1 + table.nbytes * n_rows // max(1, len(table)) // most)
    size, larger = divmod(n_rows, n_blocks)
    for number in range(n_blocks):
        yield slice(begin, begin := begin + size + (number < larger))

"""The arrays of NPZ archives. What a file claims is checked before it is used; nothing is unpickled."""

from __future__ import annotations

import math
import mmap
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Collection
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tinynet.data.tables import some
from tinynet.errors import DataError, InvalidValueError, check_memory
from tinynet.storage.messages import shown_path
from tinynet.storage.reading import FilePath, open_regular_file

Array = npt.NDArray[Any]

NAMES = {  # of the arrays of samples, the first before the others
    "X": ("X", "x", "X_train", "x_train"),
    "y": ("y", "Y", "y_train"),
    "X_test": ("X_test", "x_test"),
    "y_test": ("y_test",),
}
# Raised for bytes that are not a ZIP archive, and for those that are not an array:
BAD_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError)
BAD_NPY = (tokenize.TokenError, SyntaxError, ValueError, TypeError, LookupError, OverflowError, MemoryError)


def read_npz(
    path: FilePath, wanted: Collection[str], optional: Collection[str] = (), *, compressed: bool = True
) -> dict[str, Array]:
    """Return arrays of an NPZ archive, read-only; those stored uncompressed are memory-mapped.

    Nothing is unpickled, and no more is allocated than the file can fill; `compressed` members may be refused.

    Parameters
    ----------
    path : path
    wanted, optional : names
        Arrays that must be there, and arrays that are returned where they are.
    compressed : bool

    Raises
    ------
    DataError
        For a damaged archive, a missing array, or one of other things than numbers or text.
    """
    with open_regular_file(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
                absent = [name for name in wanted if name not in members]
                if absent:
                    raise DataError(f"no array {some(absent)}; it has {some(members) or 'none'}")
                if not compressed and any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                    raise DataError("holds compressed arrays, which tinynet does not write there")
                names = [*wanted, *(name for name in optional if name in members)]
                return {name: _member(file, archive, members[name], name) for name in names}
        except InvalidValueError:
            raise
        except (*BAD_ZIP, *BAD_NPY) as error:
            raise DataError(f"not an NPZ archive, or a damaged one: {shown_path(f'{error!s:.300}')}") from error


def read_npz_samples(path: FilePath) -> dict[str, Array]:
    """Return X and y of an NPZ archive, and X_test and y_test where it has both.

    X may be called x, X_train or x_train; y also y_train; images (n, h, w) stay as they are.

    Raises
    ------
    DataError
        As `read_npz` does.
    """
    there = read_npz(path, (), [name for group in NAMES.values() for name in group])
    found = {key: there[name] for key, group in NAMES.items() for name in group[::-1] if name in there}
    if absent := [key for key in ("X", "y") if key not in found]:
        read_npz(path, absent)  # which says what there is
    return found if {"X_test", "y_test"} <= found.keys() else {key: found[key] for key in ("X", "y")}


def _member(file: BinaryIO, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Array:
    """Return one array of an archive."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others may take any memory
        raise DataError(f"array {name} is compressed by method {info.compress_type}, which NumPy does not use")
    with archive.open(info) as stream:
        shape, fortran_order, dtype = _npy_header(stream)
        if dtype.hasobject:
            raise DataError(f"array {name} holds Python objects, which are never loaded: they could run code")
        if dtype.kind not in "biufcU" or not dtype.itemsize:
            raise DataError(f"array {name} must hold numbers or text, got dtype {dtype}")
        begin = stream.tell()
        declared, there = math.prod(shape) * dtype.itemsize, info.file_size - begin
        if declared != there:
            raise DataError(f"array {name} of shape {shape} needs {declared:,} bytes, the file has {there:,}")
        check_memory(f"array {name} of shape {shape}", math.prod(shape))
        if info.compress_type == zipfile.ZIP_STORED:
            content = _mapped(file, info)[begin:]
        else:
            content = np.frombuffer(stream.read(), np.uint8)
    array = content.view(dtype).reshape(shape, order="F" if fortran_order else "C")
    if dtype.kind == "U":
        codes = content.view(np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
            raise DataError(f"array {name} holds text that is not valid Unicode")
    return array


def _npy_header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python and NumPy, about how the header is written
        if version == (1, 0):
            return np.lib.format.read_array_header_1_0(stream)
        if version == (2, 0):
            return np.lib.format.read_array_header_2_0(stream)
    raise DataError(f"an array in NPY format {version[0]}.{version[1]}, which plain numbers and text do not need")


def _mapped(file: BinaryIO, info: zipfile.ZipInfo) -> Array:
    """Return a stored member as bytes of the mapped file, its checksum compared."""
    file.seek(info.header_offset + 26)  # the local header is 30 bytes, the name and an extra field
    n_name, n_extra = struct.unpack("<HH", file.read(4))
    whole = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    begin = info.header_offset + 30 + n_name + n_extra
    content = whole[begin : begin + info.file_size]
    if zlib.crc32(content.data) != info.CRC:
        raise zipfile.BadZipFile(f"bad checksum of {info.filename}")
    return content

"""Tables in files: CSV text, and the arrays of NPZ archives. What a file claims is checked before it is believed."""

from __future__ import annotations

import csv
import difflib
import math
import mmap
import re
import struct
import tokenize
import warnings
import zipfile
import zlib
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tinynet.errors import DataError, InvalidValueError, check_memory
from tinynet.storage.reading import FilePath, open_regular_file, shown_path

Array = npt.NDArray[Any]
Row = tuple[int, list[str]]  # the line it begins on, and its cells

SEPARATORS = ("\t", ";", "|", ",")  # the later ones are the likelier to stand inside a cell
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
MAX_LINE = 2**24  # bytes, enough for half a million columns
MAX_NAME = 200  # characters of a column's or a class's name; an array of text is as wide as its longest
DAMAGE = (  # what zipfile and numpy raise on bytes that are no archive
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    tokenize.TokenError,
    ValueError,
    TypeError,
    LookupError,
    SyntaxError,
    RuntimeError,
    OverflowError,
    EOFError,
    MemoryError,
)


def read_csv(
    path: FilePath, *, label: str | int | None = None, separator: str | None = None, header: bool | None = None
) -> dict[str, Any]:
    """Return the X, y and feature_names of a CSV file; the arguments are those of `load_dataset`.

    Raises
    ------
    DataError
        Naming the line, and the column where it is one.
    """
    with open_regular_file(path) as file:
        header = True if header is None and isinstance(label, str) else header
        line, names, _, rows = _head(_rows(file, separator), header)
        at = _label_column(label, names)
        if len(names) == 1:
            raise DataError(f"line {line} is one column only, when separated by comma, semicolon, tab or |")
        features = [column for column in range(len(names)) if column != at]
        X, labels = _read_columns(rows, names, features, at)
    return {"X": X, "y": _as_labels(labels), "feature_names": tuple(names[column] for column in features)}


def read_csv_features(path: FilePath, feature_names: Sequence[str]) -> Array:
    """Return the X of a CSV file, its columns in the order of `feature_names`.

    Columns are found by name, and others left out; without a header there must be as many columns as features.

    Raises
    ------
    DataError
        Naming the line, and the column where it is one.
    """
    with open_regular_file(path) as file:
        line, names, header, rows = _head(_rows(file, None), None, feature_names)
        if not header and len(names) == len(feature_names):
            names = list(feature_names)
        places = {column: place for place, column in enumerate(names)}
        absent = [feature for feature in feature_names if feature not in places]
        if absent:
            if header:
                raise DataError(f"line {line}: no column {_some(absent)}; the columns are {_some(names)}")
            raise DataError(
                f"line {line}: {_columns(len(names))} and no header; "
                f"the model has {len(feature_names)} features: {_some(feature_names)}"
            )
        features = [places[feature] for feature in feature_names]
        return _read_columns(rows, names, features, None)[0]


def read_npz(path: FilePath, wanted: Collection[str], *, compressed: bool = True) -> dict[str, Array]:
    """Return the arrays `wanted` of an NPZ archive, read-only; those stored uncompressed are memory-mapped.

    Nothing is unpickled, and no more is allocated than the file can fill; `compressed` members may be refused.

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
                    raise DataError(f"no array {_some(absent)}; it has {_some(members) or 'none'}")
                if not compressed and any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                    raise DataError("holds compressed arrays, which tinynet does not write there")
                return {name: _member(file, archive, members[name], name) for name in wanted}
        except InvalidValueError:
            raise
        except DAMAGE as error:
            raise DataError(f"no NPZ archive, or a damaged one: {shown_path(f'{error!s:.300}')}") from error


def _rows(file: BinaryIO, separator: str | None) -> Iterator[Row]:
    """Yield the rows of a CSV file, at least one and all of the same length; blank lines are none."""
    lines, begin = _lines(file), 1
    for head in lines:
        if head.strip():
            break
        begin += 1
    else:
        raise DataError("is empty")
    separator = separator or max(SEPARATORS, key=lambda candidate: _n_cells(head, candidate))
    reader = csv.reader(chain([head], lines), delimiter=separator, skipinitialspace=True, strict=True)
    skipped, width = begin - 1, 0
    try:
        for cells in reader:
            if cells not in ([], [""]):
                width = width or len(cells)
                if len(cells) != width:
                    raise DataError(f"line {begin} has {_columns(len(cells))}, the first row has {width}")
                yield begin, cells
            begin = skipped + reader.line_num + 1
    except csv.Error as error:
        message = str(error).replace("\t", "\\t")  # it shows the separator as it is
        raise DataError(f"line {begin}: {message}") from error
    if not width:
        raise DataError("is empty")


def _head(
    rows: Iterator[Row], header: bool | None, wanted: Collection[str] = ()
) -> tuple[int, list[str], bool, Iterator[Row]]:
    """Return the first row's line, the names of the columns, whether it gave them, and the rows of data."""
    line, cells = next(rows)
    if header is None:
        is_known = bool(wanted) and {cell.strip() for cell in cells}.issuperset(wanted)
        header = is_known or not any(map(_is_number, cells))
    if header:
        return line, _column_names(line, cells), True, rows
    return line, [f"column {number}" for number in range(1, len(cells) + 1)], False, chain([(line, cells)], rows)


def _lines(file: BinaryIO) -> Iterator[str]:
    for number, raw in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), 1):
        if len(raw) > MAX_LINE:
            raise DataError(f"line {number} is longer than {MAX_LINE:,} bytes")
        try:
            line = raw.decode("utf-8" if number > 1 else "utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"line {number}: not UTF-8: byte 0x{error.object[error.start]:02x}") from error
        if "\0" in line:
            raise DataError(f"line {number}: holds a NUL byte, which no text does")
        yield line


def _n_cells(line: str, separator: str) -> int:
    with suppress(csv.Error):
        return len(next(csv.reader([line], delimiter=separator, skipinitialspace=True)))
    return 0


def _column_names(line: int, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    for number, name in enumerate(names, 1):
        if not name:
            raise DataError(f"line {line}: column {number} has no name; row numbers and the like must be taken out")
        if len(name) > MAX_NAME:
            raise DataError(f"line {line}: the name of column {number} has more than {MAX_NAME} characters")
    [(name, times)] = Counter(names).most_common(1)
    if times > 1:
        raise DataError(f"line {line}: {times} columns are called {name!r}")
    return names


def _label_column(label: str | int | None, names: list[str]) -> int:
    """Return the place of the label column: by name, by number from 1, or from the end by a negative number."""
    if isinstance(label, str):
        if label in names:
            return names.index(label)
        near = difflib.get_close_matches(label, names, n=1)
        guess = f"did you mean {near[0]!r}? " if near else ""
        raise DataError(f"no column {label!r} for the label; {guess}the columns are {_some(names)}")
    number = -1 if label is None else label
    if number == 0 or abs(number) > len(names):
        raise DataError(f"no column {number} for the label; there are {len(names)}, counted from 1, or −1 the last")
    return number - 1 if number > 0 else len(names) + number


def _read_columns(
    rows: Iterable[Row], names: list[str], features: list[int], at: int | None
) -> tuple[Array, list[str]]:
    """Return the numbers of the columns `features`, and the texts of the label column if there is one."""
    values, labels, lines, known = array("d"), list[str](), array("q"), dict[str, str]()
    for line, cells in rows:
        lines.append(line)
        if at is not None:
            label = cells[at].strip()
            if len(label) > MAX_NAME:
                raise DataError(f"line {line}: the label has more than {MAX_NAME} characters: {label[:40]!r}...")
            labels.append(known.setdefault(label, label))
        picked = [cells[column] for column in features]
        try:
            values.extend(_floats(picked))
        except ValueError:
            values.extend(_number(line, names, column, cells, at) for column in features)
    if not lines:
        raise DataError("has a header only")
    X = np.frombuffer(values).reshape(len(lines), len(features))
    _check_finite(X, labels, lines, [names[column] for column in features], None if at is None else names[at])
    return X, labels


def _check_finite(
    X: Array, labels: list[str], lines: Sequence[int], names: Sequence[str], label_name: str | None
) -> None:
    infinite, missing = np.argwhere(np.isinf(X)), np.argwhere(np.isnan(X))
    places = [(int(row), names[column]) for row, column in missing[:1]]
    unlabelled = [row for row, label in enumerate(labels) if not label]
    places += [(row, str(label_name)) for row in unlabelled[:1]]
    if places:
        row, name = min(places)
        n = len(missing) + len(unlabelled)
        values = "1 value is missing," if n == 1 else f"{n} values are missing, the first"
        raise DataError(f"{values} in line {lines[row]}, column {name!r}; take such rows out, or fill them in")
    for row, column in infinite:
        raise DataError(f"line {lines[row]}, column {names[column]!r}: a number beyond the largest float")


def _floats(cells: list[str]) -> list[float]:
    if "_" in "".join(cells):
        raise ValueError("Python reads 1_0 as 10, nobody else does")
    return list(map(float, cells))


def _number(line: int, names: list[str], column: int, cells: list[str], at: int | None) -> float:
    """Return the number in a cell, nan where it is missing, or raise naming the cell."""
    text = cells[column].strip()
    if text.lower() in MISSING:
        return math.nan
    try:
        return _floats([text])[0]
    except ValueError as error:
        shown = repr(text if len(text) <= 40 else f"{text[:40]}...")
        hint = "" if at is None else f"; text may stand in the label column alone, which is {names[at]!r}"
        if re.fullmatch(r"[+-]?\d*,\d+", text):
            hint = "; decimals need a point"
        raise DataError(f"line {line}, column {names[column]!r}: {shown} is not a number{hint}") from error


def _is_number(cell: str) -> bool:
    with suppress(ValueError):
        return bool(_floats([cell]))
    return False


def _as_labels(texts: list[str]) -> Array:
    """Return numbers where all labels are, so that class 10 comes after class 2, else the texts."""
    if all(map(_is_number, set(texts))):
        numbers = np.array(texts, dtype=np.float64)
        if (np.abs(numbers) < 2**53).all():
            return numbers
    return np.array(texts, dtype=object)


def _member(file: BinaryIO, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Array:
    """Return one array of an archive."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others take what memory they declare
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
            raise DataError(f"array {name} holds text that is no Unicode")
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


def _columns(number: int) -> str:
    return f"{number} column{'' if number == 1 else 's'}"


def _some(names: Collection[str]) -> str:
    """Return a few of many names for a message."""
    first = ", ".join(repr(name) for _, name in zip(range(8), names, strict=False))
    return first if len(names) <= 8 else f"{first} and {len(names) - 8} more"

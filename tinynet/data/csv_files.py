"""CSV files as people have them: separator, header and encoding are found, or refused with the reason."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tinynet.data.tables import MAX_NAME, MISSING_MARKS, Column, Table, is_number, some, text_column, with_a_point
from tinynet.errors import DataError, check_memory
from tinynet.storage.reading import FilePath, open_regular_file

Array = npt.NDArray[Any]
Row = tuple[int, list[str]]  # the line it begins on, and its cells

SEPARATORS = ("\t", ";", "|", ",")  # a later one is more likely to be part of a cell
MAX_LINE = 2**24  # bytes, enough for half a million columns
BLOCK = 2**20  # bytes read at once
CHUNK = 2**13  # cells in a block of text, few enough to stay in the cache
NUL = "\0"  # which no cell holds
HEAD = 20  # lines that the separator is found from
ENCODINGS = ("cp1252", "big5", "gb18030", "shift_jis", "euc_kr")
FILE_KINDS = {  # by their first bytes
    b"PK\x03\x04": "is a ZIP archive (an .xlsx workbook, perhaps); save the table as CSV",
    b"PAR1": "is a Parquet file; write the table as CSV",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook; save the table as CSV",
    b"\x89HDF": "is an HDF5 file; write the table as CSV",
    b"SQLite format 3": "is an SQLite database; write the table as CSV",
    b"BZh": "is compressed by bzip2; unpack it first, or compress it by gzip",
    b"\xfd7zXZ": "is compressed by xz; unpack it first, or compress it by gzip",
    b"%PDF": "is a PDF document, not a table",
}
CAUSES = {  # what Python's csv module means
    "unexpected end of data": "a quote is opened, but never closed",
    "expected after": "text behind a closing quote; a quote inside a quoted cell is doubled",
    "field larger": f"a cell longer than {csv.field_size_limit():,} characters; is a quote missing?",
}


@dataclass(frozen=True)
class Style:
    """How a CSV file is written; what is None is found from the file."""

    separator: str | None = None
    encoding: str = "utf-8"
    decimal: str = "."
    header: bool | None = None
    missing_marks: tuple[str, ...] = MISSING_MARKS


DEFAULT_STYLE = Style()


class _Levels(dict[str, int]):
    """Numbers the texts of a column in the order in which they appear."""

    def __missing__(self, text: str) -> int:
        self[text] = number = len(self)
        return number


def read_csv(
    path: FilePath,
    style: Style = DEFAULT_STYLE,
    as_text: Callable[[list[str]], Iterable[int]] = lambda names: (),
    known: Sequence[str] = (),
) -> Table:
    """Return the table in a CSV file, also one compressed by gzip.

    Parameters
    ----------
    path : path
    style : Style
    as_text : callable
        Takes the names of the columns and returns the places of those that stay text even if all are numbers.
    known : sequence of str
        Names of columns by which a header is known; without a header, the names of the columns themselves.

    Raises
    ------
    DataError
        Naming the file, the line, and the key that helps.
    """
    with open_regular_file(path) as file:
        try:
            return _table(_rows(_lines(file, style.encoding, known), style.separator), style, as_text, known)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DataError(f"is compressed by gzip, and damaged: {error}") from error


def _table(
    rows: Iterator[Row], style: Style, as_text: Callable[[list[str]], Iterable[int]], known: Sequence[str]
) -> Table:
    head = list(islice(rows, 3))
    (line, first), header = head.pop(0), style.header
    if head and len(head[0][1]) > len(first):  # as R writes row names, or a separator ends every line but the header
        if len(head) < 2 or header is False:
            raise DataError(_ragged(*head[0], len(first)))
        first, header = ["", *first] if head[0][1][-1].strip() else [*first, ""], True
    lines, cells = _read_columns(chain(head, rows), len(first))
    if len(first) > 1 and not first[-1].strip() and _column("", cells[-1], style, as_text=True).is_empty:
        first, cells = first[:-1], cells[:-1]  # a separator ends every line
    names = [cell.strip() for cell in first]
    if header is None and known:
        header = set(names).issuperset(known) or not any(map(is_number, names))
    titles = [f"column {number}" for number in range(1, len(names) + 1)]
    if known and not header and not set(titles).issuperset(known):
        titles = list(known)
        if len(names) != len(titles):
            n = f"{len(names)} column{'' if len(names) == 1 else 's'}"
            raise DataError(f"line {line}: {n} and no header; the model has {len(titles)}: {some(known)}")
    text = {*as_text(titles if header is False else names)}

    def columns() -> list[Column]:
        return [_column(titles[place], blocks, style, as_text=place in text) for place, blocks in enumerate(cells)]

    made = [] if header is False else columns()
    if header is None:
        header = _is_header(line, names, made, style)
    if not header:
        lines.insert(0, line)
        cells = [[cell, *blocks] for cell, blocks in zip(first, cells, strict=True)]
        for place, column in enumerate(made):  # numbers are not read twice
            if column.levels is None:
                made[place] = replace(column, values=np.append(_numbers(first[place], style), column.values))
            else:
                made[place] = _column(column.name, cells[place], style, as_text=True)
        made = made or columns()
    if not lines:
        raise DataError("has a header only")
    if len(names) == 1 and not known:
        raise DataError(f"line {line} is one column only, whether separated by comma, semicolon, tab, | or spaces")
    titles = _column_names(line, names, known) if header else titles
    return Table(
        tuple(replace(column, name=name) for column, name in zip(made, titles, strict=True)), np.array(lines), "line"
    )


def _lines(file: BinaryIO, encoding: str, known: Sequence[str]) -> Iterator[str]:
    """Yield the lines with their ends: LF, CR LF or CR."""
    start = file.read(16)
    file.seek(0)
    if what := other_kind(start):
        raise DataError(what)
    stream: Any = gzip.GzipFile(fileobj=file) if start.startswith(b"\x1f\x8b") else file
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)()
    number, carry, block = 1, "", b" "
    while block:
        block = stream.read(BLOCK)
        try:
            text = carry + decoder.decode(block, final=not block)
        except UnicodeError as error:
            raise DataError(_wrong_encoding(stream, encoding, number, error, known)) from error
        if NUL in text:
            raise DataError(
                f"line {number + text.partition(NUL)[0].count(chr(10))}: holds a NUL byte, which no text does"
            )
        end = max(text.rfind("\n"), text[:-1].rfind("\r")) + 1 if block else len(text)
        whole, carry = text[:end], text[end:]
        if len(carry) > MAX_LINE:
            raise DataError(f"line {number + whole.count(chr(10))} is longer than {MAX_LINE:,} bytes")
        yield from io.StringIO(whole, newline="")
        number += whole.count("\n") or whole.count("\r")


def other_kind(start: bytes) -> str:
    """Return what a file is that has these first bytes, and what to do with it; "" when it may be text."""
    return next((what for magic, what in FILE_KINDS.items() if start.startswith(magic)), "")


def _wrong_encoding(stream: Any, encoding: str, line: int, error: UnicodeError, known: Sequence[str]) -> str:
    place = ""
    if isinstance(error, UnicodeDecodeError):
        line += error.object[: error.start].count(b"\n")
        place = f": byte 0x{error.object[error.start]:02x}"
    if known:
        return f"line {line}: not {encoding.upper()}{place}; save it in that encoding, as the training table was"
    stream.seek(0)
    content, able = stream.read(2**24), list[str]()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        able, content = ["utf-16"], b""
    for other in ENCODINGS if content else ():
        with suppress(UnicodeError):
            content[: content.rfind(b"\n") + 1].decode(other)
            able.append(other)
    able = able or ["latin-1"]  # which reads any bytes
    hint = f"; it can be read as {', '.join(able[:4])}: dataset.encoding={able[0]}"
    return f"line {line}: not {encoding.upper()}{place}{hint}"


def _rows(lines: Iterator[str], separator: str | None) -> Iterator[Row]:
    """Yield the rows of a CSV file, at least one and all of the same length; blank lines are none."""
    head, written = list[str](), list[str]()
    while len(written) < HEAD and (line := next(lines, None)) is not None:
        head.append(line)
        written += [line] if line.strip() else []
    if written and (declared := re.fullmatch(r"sep=(.)\s*", written[0])):  # a line for Excel
        separator = separator or declared[1]
        head[head.index(written.pop(0))] = "\n"
    quote = "'" if written and re.fullmatch(r"\s*'[^']*'([\t;|, ]+'[^']*')*\s*", written[0]) else '"'
    separator = separator or _separator(written, quote)
    stream: Iterable[str] = chain(head, lines)
    if separator in ("space", " "):
        separator, stream = " ", (line.strip(" \r\n") for line in stream)
    reader = csv.reader(stream, delimiter=separator, quotechar=quote, skipinitialspace=True, strict=True)
    begin, width, n_rows = 1, 0, 0
    try:
        for cells in reader:
            if cells and cells != [""]:
                if n_rows == 0 or (n_rows == 1 and len(cells) == width + 1):
                    width = len(cells)
                if len(cells) != width:
                    raise DataError(_ragged(begin, cells, width))
                n_rows += 1
                yield begin, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        cause = next((cause for words, cause in CAUSES.items() if words in str(error)), "cannot be divided into cells")
        raise DataError(f"line {begin}: {cause}") from error
    if not width:
        raise DataError("is empty")


def _separator(head: list[str], quote: str) -> str:
    """Return the separator that gives the most columns; one that gives every line the same number comes first."""

    def n_cells(separator: str) -> tuple[bool, int]:
        lines = [" ".join(line.split()) for line in head] if separator == " " else head
        with suppress(csv.Error):
            reader = csv.reader(lines, delimiter=separator, quotechar=quote, skipinitialspace=True)
            counts = [len(cells) for cells in reader if cells and cells != [""]][:HEAD]
            if counts and (separator != " " or counts[0] == counts[-1] == max(counts)):
                return len(set(counts)) == 1 and counts[0] > 1, counts[0]
        return False, 0

    best = max(SEPARATORS, key=n_cells)
    return best if n_cells(best)[1] > 1 or n_cells(" ")[1] < 2 else " "


def _read_columns(rows: Iterator[Row], width: int) -> tuple[list[int], list[list[str]]]:
    """Return the line of each row, and for each column its cells in blocks of text, with NUL between them."""
    lines, columns = list[int](), [list[str]() for _ in range(width)]
    while chunk := list(islice(rows, max(1, CHUNK // width))):
        numbers, cells = zip(*chunk, strict=True)
        lines += numbers
        for blocks, column in zip(columns, zip(*cells, strict=True), strict=True):
            blocks.append(NUL.join(column))
        check_memory(f"a table of {len(lines):,} rows or more with {width} columns", len(lines) * width)
    return lines, columns


def _column(name: str, blocks: Sequence[str], style: Style, *, as_text: bool) -> Column:
    """Return the column whose cells are in `blocks`: of numbers, if all of them are numbers or gaps."""
    if not as_text:
        with suppress(ValueError):
            return Column(name, np.concatenate([np.zeros(0), *(_numbers(block, style) for block in blocks)]))
    levels = _Levels()
    codes = [np.fromiter(map(levels.__getitem__, block.split(NUL)), np.int32) for block in blocks]
    return text_column(name, list(levels), np.concatenate([np.zeros(0, np.int32), *codes]), style.missing_marks)


def _numbers(block: str, style: Style) -> Array:
    """Return the numbers in a block of cells, nan for gaps; ValueError where one is neither."""
    if "_" in block:  # Python reads 1_0 as 10, nobody else does
        raise ValueError
    cells = block.split(NUL)
    if style.decimal == ",":
        cells = [with_a_point(cell) for cell in cells]
    gaps = dict.fromkeys(style.missing_marks, "nan")
    with suppress(ValueError):  # blanks around a gap are rare, and to strip all cells takes time
        return np.fromiter(map(float, map(gaps.get, cells, cells)), np.float64, len(cells))
    cells = list(map(str.strip, cells))
    return np.fromiter(map(float, map(gaps.get, cells, cells)), np.float64, len(cells))


def _is_header(line: int, names: list[str], columns: list[Column], style: Style) -> bool:
    """Return whether the first line names the columns; DataError asks for `dataset.header` where that is not clear."""
    n_numbers, is_below, is_new = 0, False, False
    for name, column in zip(names, columns, strict=True):
        if name in style.missing_marks:  # a gap tells nothing
            continue
        if is_number(name, style.decimal):
            n_numbers += 1
        elif column.levels is None:
            return True  # a name above numbers
        else:
            is_below |= name in column.levels
            is_new |= name not in column.levels and 2 * len(column.levels) <= len(column.values)  # the others repeat
    whole = [int(name) for name in names if re.fullmatch(r"\d{1,9}", name)]
    counts = len(whole) == len(names) > 2 and whole == list(range(whole[0], whole[0] + len(whole)))
    doubtful = counts or is_new if n_numbers else is_below or len(set(names)) < len(names)
    if doubtful:
        raise DataError(
            f"line {line}: cannot tell whether this is a header or the first row ({some(names, 6)}); "
            "set dataset.header=true or false"
        )
    return not n_numbers


def _column_names(line: int, names: list[str], known: Sequence[str]) -> list[str]:
    for number, name in enumerate(names, 1):
        if len(name) > MAX_NAME:
            raise DataError(f"line {line}: the name of column {number} has more than {MAX_NAME} characters")
    [(name, times)] = Counter(filter(None, names)).most_common(1) or [("", 0)]
    if times > 1:
        hint = "" if known else "; if this line is not a header: dataset.header=false"
        raise DataError(f"line {line}: {times} columns are called {name!r}{hint}")
    return [name or (f"column {number}" if number > 1 else "") for number, name in enumerate(names, 1)]


def _ragged(line: int, cells: list[str], width: int) -> str:
    n = len(cells)
    return f"line {line} has {n} column{'' if n == 1 else 's'}, the rows before it have {width}"

"""CSV files as people have them: the separator, header and encoding found or refused by their cause."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tinynet.data.tables import COMMA_NUMBER, MAX_NAME, MISSING_MARKS, Column, Table, is_number, some, text_column
from tinynet.errors import DataError, check_memory
from tinynet.storage.reading import FilePath, open_regular_file

Array = npt.NDArray[Any]
Row = tuple[int, list[str]]  # the line it begins on, and its cells

SEPARATORS = ("\t", ";", "|", ",")  # the later ones are the likelier to stand inside a cell
MAX_LINE = 2**24  # bytes, enough for half a million columns
BLOCK = 2**20  # bytes read at once
CHUNK = 2**17  # cells converted at once
HEAD = 20  # lines that the separator is found from
ENCODINGS = ("cp1252", "big5", "gb18030", "shift_jis", "euc_kr")
FILE_KINDS = {  # by their first bytes
    b"PK\x03\x04": "is a ZIP archive (an .xlsx workbook, perhaps); save the table as CSV",
    b"PAR1": "is a Parquet file; write the table as CSV",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook; save the table as CSV",
    b"\x89HDF": "is an HDF5 file; write the table as CSV",
    b"SQLite format 3": "is an SQLite data base; write the table as CSV",
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
    """Numbers the texts of a column in order of their appearance."""

    def __missing__(self, text: str) -> int:
        self[text] = number = len(self)
        return number


def read_csv(
    path: FilePath,
    style: Style = Style(),
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
            return _read(file, style, as_text, known, set())
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DataError(f"is compressed by gzip, and damaged: {error}") from error


def _read(
    file: BinaryIO,
    style: Style,
    as_text: Callable[[list[str]], Iterable[int]],
    known: Sequence[str],
    mistaken: set[int],
    *,
    is_filled: bool = False,  # the last column, though its first cell is empty
) -> Table:
    file.seek(0)
    rows = _rows(_lines(file, style.encoding), style.separator)
    head = list(islice(rows, 3))
    (line, first), header = head.pop(0), style.header
    if head and len(head[0][1]) > len(first):  # as R writes row names, or a separator behind every row but the header
        if len(head) < 2 or header is False:
            raise DataError(_ragged(*head[0], len(first)))
        first, header = ["", *first] if head[0][1][-1].strip() else [*first, ""], True
    rest: Iterable[Row] = chain(head, rows)
    names = [cell.strip() for cell in first]
    if header is None and known:
        header = set(names).issuperset(known) or not any(map(is_number, names))
    own = [f"column {number}" for number in range(1, len(names) + 1)]
    if known and not header and not set(own).issuperset(known):
        own = list(known)
        if len(names) != len(own):
            n = f"{len(names)} column{'' if len(names) == 1 else 's'}"
            raise DataError(f"line {line}: {n} and no header; the model has {len(own)}: {some(known)}")
    if header is False:
        rest = chain([(line, first)], rest)
    text, named = set(mistaken), own if header is False else names
    may_end = len(names) > 1 and not names[-1] and not is_filled  # by a separator behind the last cell of every line
    if may_end:
        text.add(len(names) - 1)
        with suppress(DataError):  # told by the caller, unless the column is one after all
            text |= {*as_text(named[:-1])}
    else:
        text |= {*as_text(named)}
    columns = [_Cells(style, place in text) for place in range(len(names))]
    lines = _convert(rest, columns, len(names))
    wrong = {place for place, column in enumerate(columns) if column.mistaken}
    if wrong:
        return _read(file, style, as_text, known, mistaken | wrong, is_filled=is_filled)
    if header is None:
        header = _is_header(line, names, columns, style)
        if not header:
            lines.insert(0, line)
            for column, cell in zip(columns, first, strict=True):
                column.put_first(cell)
    if not lines:
        raise DataError("has a header only")
    columns_named = _column_names(line, names) if header else own
    made = [column.column(name) for column, name in zip(columns, columns_named, strict=True)]
    if may_end and not made.pop().is_empty:
        return _read(file, style, as_text, known, mistaken, is_filled=True)
    if len(made) == 1 and not known:
        raise DataError(
            f"line {line} is one column only, when separated by comma, semicolon, tab, | or spaces; "
            "dataset.separator names another"
        )
    return Table(tuple(made), np.array(lines), "line")


def _lines(file: BinaryIO, encoding: str) -> Iterator[str]:
    """Yield the lines with their ends: LF, CR LF or CR."""
    start = file.read(16)
    file.seek(0)
    for magic, what in FILE_KINDS.items():
        if start.startswith(magic):
            raise DataError(what)
    stream: Any = gzip.GzipFile(fileobj=file) if start.startswith(b"\x1f\x8b") else file
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)()
    number, carry, block = 1, "", b" "
    while block:
        block = stream.read(BLOCK)
        try:
            text = carry + decoder.decode(block, final=not block)
        except UnicodeError as error:
            raise DataError(_wrong_encoding(stream, encoding, number, error)) from error
        if "\0" in text:
            raise DataError(
                f"line {number + text[: text.index(chr(0))].count(chr(10))}: holds a NUL byte, which no text does"
            )
        end = max(text.rfind("\n"), text[:-1].rfind("\r")) + 1 if block else len(text)
        whole, carry = text[:end], text[end:]
        if len(carry) > MAX_LINE:
            raise DataError(f"line {number + whole.count(chr(10))} is longer than {MAX_LINE:,} bytes")
        yield from io.StringIO(whole, newline="")
        number += whole.count("\n") or whole.count("\r")


def _wrong_encoding(stream: Any, encoding: str, line: int, error: UnicodeError) -> str:
    place = ""
    if isinstance(error, UnicodeDecodeError):
        line += error.object[: error.start].count(b"\n")
        place = f": byte 0x{error.object[error.start]:02x}"
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
    begin, head = 1, list[str]()
    for line in lines:
        if head or line.strip():
            head.append(line)
            if len(head) > HEAD:
                break
        else:
            begin += 1
    if not head:
        raise DataError("is empty")
    if declared := re.fullmatch(r"sep=(.)\s*", head[0]):  # a line for Excel
        separator, begin, head = separator or declared[1], begin + 1, head[1:]
    quote = "'" if re.fullmatch(r"\s*'[^']*'([\t;|, ]+'[^']*')*\s*", head[0] if head else "") else '"'
    separator = separator or _separator(head, quote)
    stream: Iterable[str] = chain(head, lines)
    if separator in ("space", " "):
        separator, stream = " ", (line.strip(" \r\n") for line in stream)
    reader = csv.reader(stream, delimiter=separator, quotechar=quote, skipinitialspace=True, strict=True)
    skipped, width, n_rows = begin - 1, 0, 0
    try:
        for cells in reader:
            if cells and cells != [""]:
                if n_rows == 0 or (n_rows == 1 and len(cells) == width + 1):
                    width = len(cells)
                if len(cells) != width:
                    raise DataError(_ragged(begin, cells, width))
                n_rows += 1
                yield begin, cells
            begin = skipped + reader.line_num + 1
    except csv.Error as error:
        cause = next((cause for words, cause in CAUSES.items() if words in str(error)), "cannot be divided into cells")
        raise DataError(f"line {begin}: {cause}") from error
    if not width:
        raise DataError("is empty")


def _separator(head: list[str], quote: str) -> str:
    """Return the separator that divides the first lines into most columns, all into as many where one does."""

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


class _Cells:
    """The cells of one column while its file is read: numbers until text turns up."""

    def __init__(self, style: Style, as_text: bool) -> None:
        self.style, self.levels, self.parts = style, _Levels() if as_text else None, list[Array]()
        self.mistaken = False  # for numbers; the file is read again then

    def add(self, cells: Sequence[str]) -> None:
        if self.mistaken:
            return
        if self.levels is None:
            numbers = _numbers(cells, self.style)
            if numbers is not None:
                self.parts.append(numbers)
                return
            if self.parts:
                self.mistaken = True
                return
            self.levels = _Levels()
        self.parts.append(np.fromiter(map(self.levels.__getitem__, cells), np.int32, len(cells)))

    def put_first(self, cell: str) -> None:
        """Put a cell before all others; where numbers stand it is a number, or a gap."""
        self.add([cell])
        self.parts.insert(0, self.parts.pop())

    def column(self, name: str) -> Column:
        values = np.concatenate(self.parts) if self.parts else np.zeros(0)
        self.parts = []
        if self.levels is None:
            return Column(name, values)
        return text_column(name, list(self.levels), values, self.style.missing_marks)


def _convert(rows: Iterable[Row], columns: list[_Cells], width: int) -> list[int]:
    """Give the cells of all rows to their columns, and return the line of each row."""
    lines, chunk = list[int](), list[list[str]]()

    def convert() -> None:
        for column, cells in zip(columns, zip(*chunk, strict=True), strict=True):
            column.add(cells)
        chunk.clear()
        check_memory(f"a table of {len(lines):,} rows or more with {width} columns", len(lines) * width)

    for line, cells in rows:
        lines.append(line)
        chunk.append(cells)
        if len(chunk) * width >= CHUNK:
            convert()
    if chunk:
        convert()
    return lines


def _numbers(cells: Sequence[str], style: Style) -> Array | None:
    """Return the numbers in cells, nan for gaps; None when one of them is neither."""
    if style.decimal == ",":
        cells = [_with_a_point(cell) for cell in cells]
    if "_" in "".join(cells):  # Python reads 1_0 as 10, nobody else does
        return None
    marks = style.missing_marks
    for numbers in (
        map(float, cells),
        map(float, map(dict.fromkeys(marks, "nan").get, cells, cells)),
        (math.nan if cell.strip() in marks else float(cell) for cell in cells),
    ):
        with suppress(ValueError):
            return np.fromiter(numbers, np.float64, len(cells))
    return None


def _with_a_point(cell: str) -> str:
    is_written_so = COMMA_NUMBER.fullmatch(cell.strip())
    return cell.replace(".", "").replace(",", ".") if is_written_so else f"{cell}," if "." in cell else cell


def _is_header(line: int, names: list[str], columns: list[_Cells], style: Style) -> bool:
    """Return whether the first line names the columns; where the cells below it do not tell, ask."""
    n_rows, n_numbers, is_below, is_new = sum(map(len, columns[0].parts)), 0, False, False
    for name, column in zip(names, columns, strict=True):
        number = name not in style.missing_marks and _numbers([name], style) is not None
        n_numbers += number
        if column.levels is None:
            if not number and name not in style.missing_marks:
                return True  # a name above numbers
        elif not number:
            levels = {level.strip() for level in column.levels}
            is_below |= name in levels
            is_new |= name not in levels and 2 * len(levels) <= n_rows  # where levels repeat, this one does not
    whole = [int(name) for name in names if re.fullmatch(r"\d{1,9}", name)]
    counts = len(whole) == len(names) > 2 and whole == list(range(whole[0], whole[0] + len(whole)))
    doubtful = counts or is_new if n_numbers else is_below or len(set(names)) < len(names)
    if doubtful:
        raise DataError(
            f"line {line}: is it a header, or the first row ({some(names, 6)})? dataset.header=true or false tells"
        )
    return not n_numbers


def _column_names(line: int, names: list[str]) -> list[str]:
    for number, name in enumerate(names, 1):
        if len(name) > MAX_NAME:
            raise DataError(f"line {line}: the name of column {number} has more than {MAX_NAME} characters")
    [(name, times)] = Counter(filter(None, names)).most_common(1) or [("", 0)]
    if times > 1:
        raise DataError(
            f"line {line}: {times} columns are called {name!r}; if this line is no header: dataset.header=false"
        )
    return [name or (f"column {number}" if number > 1 else "") for number, name in enumerate(names, 1)]


def _ragged(line: int, cells: list[str], width: int) -> str:
    n = len(cells)
    return f"line {line} has {n} column{'' if n == 1 else 's'}, the rows before it have {width}"

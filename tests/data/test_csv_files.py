"""Your own CSV data: read as the owner meant it, or refused with line and column."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_files import attempt, fault
from sklearn.datasets import load_breast_cancer

from tinynet import DataError, InvalidTypeError, InvalidValueError, load_dataset, split_dataset
from tinynet.data.csv_files import MAX_LINE, Style, read_csv

DATA = Path(__file__).parents[2] / "data"
ROWS = [[0.5, -1.0, "no"], [1.5, 2e-3, "yes"]] * 10
WHOLE: dict[str, Any] = {"validation_size": 0.0, "test_size": 0.0, "scaling": "none"}


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def text(rows: list[list[Any]] = ROWS, header: str = "a,b,answer", separator: str = ",", end: str = "\n") -> str:
    lines = [header] if header else []
    return "".join(line + end for line in lines + [separator.join(map(str, row)) for row in rows])


def csv_file(content: str | bytes) -> Path:
    path = Path("own.csv")
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path, **options: Any) -> tuple[list[list[float]], list[str], tuple[str, ...]]:
    """Return the rows of numbers, the labels and the feature names of a file."""
    data = load_dataset("csv", path=path, **WHOLE, **options)
    order = np.lexsort(data.X_train.T[::-1])
    return data.X_train[order].tolist(), [data.class_names[k] for k in data.y_train[order]], data.feature_names


def is_as_meant(read: Any, names: tuple[str, ...] = ("a", "b")) -> bool:
    meant = sorted(ROWS)
    return bool(read == ([row[:2] for row in meant], [row[2] for row in meant], names))


# CSV that is read


def test_a_csv_file_gives_the_data_set_of_its_arrays() -> None:
    bunch = load_breast_cancer()
    own = load_dataset("csv", path=DATA / "breast_cancer.csv", seed=3)
    same = split_dataset(bunch.data, bunch.target_names[bunch.target], seed=3)
    assert own.class_names == ("benign", "malignant") and own.feature_names == tuple(bunch.feature_names)
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(own, f"X_{part}"), getattr(same, f"X_{part}"))
        np.testing.assert_array_equal(getattr(own, f"y_{part}"), getattr(same, f"y_{part}"))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_fault_18_the_separator_is_found_or_given(separator: str) -> None:
    path = csv_file(text(header=separator.join(["a", "b", "answer"]), separator=separator))
    assert is_as_meant(read(path)) and is_as_meant(read(path, separator=separator))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "  \n"])
def test_fault_18_line_ends_and_blank_lines_do_not_matter(end: str) -> None:
    assert is_as_meant(read(csv_file(text(end=end))))
    assert is_as_meant(read(csv_file(end + text(end=end))))
    assert is_as_meant(read(csv_file(25 * end + text(end=end))))  # more than the lines that the separator is found from
    assert is_as_meant(read(csv_file("\ufeff" + text(end=end).replace(",", " ,  ").rstrip(end))))


def test_fault_18_quoted_cells_may_hold_separators_and_line_ends() -> None:
    content = '"length, cm","the ""width""","kind\nof thing"\n"1.5", 2,"one, or ""1"""\n3, "4", "ö"\n'
    table = read_csv(csv_file(content), Style(header=True))
    assert table.names == ["length, cm", 'the "width"', "kind\nof thing"] and table.lines.tolist() == [3, 4]
    assert [column.values.tolist() for column in table.columns[:2]] == [[1.5, 3.0], [2.0, 4.0]]
    assert table.columns[2].levels == ('one, or "1"', "ö")


def test_fault_18_thousands_of_columns_are_read(rng: np.random.Generator) -> None:
    X = rng.standard_normal((6, 5000))
    content = io.StringIO()
    csv.writer(content).writerows([[*range(5000), "y"], *([*row, "ab"[i % 2]] for i, row in enumerate(X.tolist()))])
    table = read_csv(csv_file(content.getvalue()), Style(header=True))
    np.testing.assert_array_equal(np.column_stack([column.values for column in table.columns[:-1]]), X)
    assert table.names[4999] == "4999"


def test_fault_18_without_a_header_columns_are_numbered() -> None:
    assert is_as_meant(read(csv_file(text(header=""))), ("column 1", "column 2"))
    assert is_as_meant(read(csv_file(text(header="")), header=False), ("column 1", "column 2"))


@pytest.mark.parametrize("label", ["answer", 2, -2])
def test_the_label_column_is_given_by_name_or_number_from_one(label: Any) -> None:
    rows = [[a, name, b] for a, b, name in ROWS]
    assert is_as_meant(read(csv_file(text(rows, header="a,answer,b")), label=label))


def test_the_label_column_may_be_the_first() -> None:
    rows = [[name, a, b] for a, b, name in ROWS]
    assert is_as_meant(read(csv_file(text(rows, header="answer,a,b")), label=1))
    assert "missing in 'answer': line 3" in fault(csv_file("answer,a\nx,1\n,2\n"), label=1)


def test_fault_22_a_label_column_of_fractions_is_refused() -> None:
    with pytest.raises(DataError, match="label column 'answer' must hold whole numbers or words"):
        load_dataset("csv", path=csv_file(text([[1, 2, 0.5], [1, 2, 1.5]] * 9)))


# CSV that is refused


@pytest.mark.parametrize("content", ["", "\n", "  \r\n\n", '""\n'])
def test_fault_17_an_empty_csv_is_refused(content: str) -> None:
    assert fault(csv_file(content)) == "is empty"


def test_fault_17_a_csv_with_only_a_header_is_refused() -> None:
    assert fault(csv_file("a,b,answer\n")) == "has a header only"


def test_fault_17_a_folder_or_pipe_is_refused() -> None:
    assert fault(Path("nowhere.csv")) == "cannot be read: No such file or directory"
    Path("folder.csv").mkdir()
    os.mkfifo("pipe.csv")
    assert fault(Path("folder.csv")) == fault(Path("pipe.csv")) == "is not a file"


def test_fault_17_a_ragged_row_is_refused() -> None:
    assert fault(csv_file(text() + "1,2\n")) == "line 22 has 2 columns, the rows before it have 3"
    assert fault(csv_file('a,b,"ans\nwer"\n\n1,2,x\n1,2,x,\n')).startswith("line 5 has 4 columns")
    assert fault(csv_file("a,b,c\n1,2,x,9\n")) == "line 2 has 4 columns, the rows before it have 3"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,abc,no", "column 'b': 'abc' in line 22, where numbers belong"),
        ("1,1e999,no", "column 'b': an infinite number in line 22"),
        ("-inf,1,no", "column 'a': an infinite number in line 22"),
        ('"1,5",1,no', "column 'a': '1,5' in line 22"),
    ],
)
def test_fault_17_text_in_a_column_of_numbers_is_named(row: str, message: str) -> None:
    assert message in fault(csv_file(text() + row + "\n"))


def test_fault_17_a_missing_label_column_is_named() -> None:
    said = fault(csv_file(text()), label="anwser")
    assert said == "label: no column 'anwser'; did you mean 'answer'? the columns are 'a', 'b', 'answer'"
    for label in (0, 4, -4):
        assert fault(csv_file(text()), label=label).startswith(f"label: no column {label}; there are 3")
    wide = csv_file(",".join(f"x{i}" for i in range(1000)) + "\n")
    assert fault(wide, label="species").endswith("'x29' and 970 more")


def test_fault_17_missing_values_are_refused_on_request() -> None:
    content = text() + "1,,no\n?,NA,yes\n"
    assert "3 values are missing in 'a', 'b': lines 22, 23; dataset.missing" in fault(
        csv_file(content), missing="refuse"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\na,b,a\n1,2,x\n", "line 2: 2 columns are called 'a'"),
        ("a" * 201 + ",b\n1,x\n", "line 1: the name of column 1 has more than 200 characters"),
        ("a,b\n1," + "x" * 201 + "\n", "label column 'b': more than 200 characters in line 2: 'xxxx"),
        ("answer\nyes\nno\n", "line 1 is one column only"),
        ('a,b\n1,"x\n2,y\n', "line 2: a quote is opened, but never closed"),
        ('a,b\n1,x\n2,"x"y\n', "line 3: text behind a closing quote"),
        ("a,b\n1,x" + "y" * 200_000 + "\n", "line 2: a cell longer than"),
    ],
)
def test_fault_18_a_csv_that_cannot_be_read_is_refused_with_the_line(content: str, message: str) -> None:
    assert fault(csv_file(content)).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,x\n2,\xe9t\xe9\n", "line 3: not UTF-8: byte 0xe9; it can be read as cp1252: dataset.encoding=cp1252"),
        (text().encode("utf-16"), "line 1: not UTF-8: byte 0xff; it can be read as utf-16: dataset.encoding=utf-16"),
        (b"a,b\n1,x\n2,y\0\n", "line 3: holds a NUL byte, which no text does"),
        (b"a,b\n" + b"1" * (MAX_LINE + 1), "line 2 is longer than 16,777,216 bytes"),
    ],
)
def test_fault_14_a_csv_that_is_not_text_is_refused_with_the_line(content: bytes, message: str) -> None:
    assert fault(csv_file(content)).startswith(message)


def test_fault_14_a_path_with_a_nul_byte_is_refused() -> None:
    with pytest.raises(DataError, match=r"^'a\\x00b.csv': is not a file$"):
        load_dataset("csv", path="a\0b.csv")


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({}, InvalidTypeError, "path must name a file, got None"),
        ({"path": "own.csv", "lable": "x"}, InvalidTypeError, "csv has no option 'lable'; did you mean 'label'"),
        ({"path": "own.csv", "label": 1.5}, InvalidTypeError, "label must be an integer, got 1.5"),
        ({"path": "own.csv", "separator": ":"}, InvalidValueError, "unknown separator ':'"),
        ({"path": "own.csv", "exclude": "a"}, InvalidTypeError, "exclude must be a list, got 'a'"),
        ({"path": "own.csv", "encoding": "hex"}, InvalidValueError, "unknown encoding 'hex'"),
        ({"path": "own.csv", "image_shape": 28}, InvalidTypeError, r"image_shape must be \[height, width\]"),
        ({"path": "own.csv", "header": "no"}, InvalidTypeError, "header must be True, False or None, got 'no'"),
        ({"path": "own.csv", "label": "x", "header": False}, InvalidValueError, "label 'x' is a name"),
    ],
)
def test_a_wrong_option_is_named_before_the_file_is_opened(options: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        load_dataset("csv", **options)


@pytest.mark.parametrize(
    ("content", "label", "message"),
    [
        ("0.0,0.0,nan", -2, "one class only"),
        ("1,2,nan\n3,4,NA\n", -1, "label column 'column 3' holds nothing but gaps"),
        ("1,2,\n3,4,\n", 3, "label: no column 3"),
        ("x,y,z\n1,2,3\n", -1, "one class only"),
        ("x,y,z\n1,,a\n,2,b\n", -1, "every row has a gap"),
    ],
)
def test_a_table_without_usable_labels_or_rows_is_refused(content: str, label: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(csv_file(content), label=label, missing="drop")


@pytest.mark.parametrize(("label", "others"), [(2, "13"), (-2, "13"), (3, "12"), (-1, "12")])
def test_a_last_column_with_an_empty_first_cell_is_kept(label: int, others: str) -> None:
    table = csv_file("1,2,\n3,4,5\n1,6,6\n3,4,7\n")
    _, labels, names = read(table, label=label, missing="drop")
    assert names == tuple(f"column {place}" for place in others)
    assert sorted(labels) == (["4", "4", "6"] if abs(label) == 2 else ["5", "6", "7"])


def test_a_separator_at_the_end_of_every_line_adds_no_column() -> None:
    assert read(csv_file("1,2,\n3,4,\n1,6,\n"), label=-2)[2] == ("column 2",)


def test_a_table_with_nothing_but_gaps_is_refused() -> None:
    np.savez("own.npz", X=np.full((2, 2), np.nan), y=np.arange(2))
    with pytest.raises(DataError, match="no column is left for the features; left out are 'x0', 'x1'"):
        load_dataset("npz", path="own.npz", missing="refuse")


# Random tables and random bytes


CELLS = st.one_of(st.floats().map(str), st.sampled_from(["", "no", "yes", "1", '"', "NA", "\r", "\0", "é", "_", " "]))
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=12)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TABLES, st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["\n", "\r\n", "\r"]), st.integers(-3, 3))
def test_any_table_gives_a_data_set_or_a_data_error(
    rows: list[list[str]], separator: str, end: str, label: int
) -> None:
    attempt(Path("own.csv"), end.join(separator.join(row) for row in rows).encode(), label=label, **WHOLE)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["csv", "npz"]), st.binary(max_size=200))
def test_any_bytes_give_a_data_set_or_a_data_error(kind: str, content: bytes) -> None:
    attempt(Path(f"own.{kind}"), content)

"""Your own data in CSV: read as its owner meant it, or refused with the line and column."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_files import attempt, fault
from sklearn.datasets import load_breast_cancer

from tinynet import DataError, InvalidTypeError, InvalidValueError, load_dataset, split_dataset
from tinynet.data.tables import MAX_LINE, read_csv

DATA = Path(__file__).parents[2] / "data"
ROWS = [[0.5, -1.0, "no"], [1.5, 2e-3, "yes"]] * 10
WHOLE: dict[str, Any] = {"validation_size": 0.0, "test_size": 0.0, "scaling": "none"}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def text(rows: list[list[Any]] = ROWS, header: str = "a,b,answer", separator: str = ",", end: str = "\n") -> str:
    lines = [header] if header else []
    return "".join(line + end for line in lines + [separator.join(map(str, row)) for row in rows])


def csv_file(content: str | bytes) -> Path:
    path = Path("own.csv")
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def is_as_meant(data: dict[str, Any], names: tuple[str, ...] = ("a", "b")) -> bool:
    return bool(
        data["X"].tolist() == [row[:2] for row in ROWS]
        and data["y"].tolist() == [row[2] for row in ROWS]
        and data["feature_names"] == names
    )


# CSV as it should be


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
    assert is_as_meant(read_csv(path)) and is_as_meant(read_csv(path, separator=separator))


def test_fault_18_a_given_separator_is_not_searched_for() -> None:
    path = csv_file("p;q;r,answer\n" + "1,no\n2,yes\n" * 5)
    assert read_csv(path, separator=",")["feature_names"] == ("p;q;r",)
    with pytest.raises(DataError, match="line 2 has 1 column, the first row has 3"):
        read_csv(path)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\r\n\r\n", "  \n"])
def test_fault_18_line_ends_and_blank_lines_are_no_matter(end: str) -> None:
    assert is_as_meant(read_csv(csv_file(text(end=end))))
    assert is_as_meant(read_csv(csv_file(end + text(end=end))))


def test_fault_18_the_last_line_needs_no_end() -> None:
    assert is_as_meant(read_csv(csv_file(text().rstrip("\n"))))


def test_fault_18_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    assert is_as_meant(read_csv(csv_file(text().encode("utf-8-sig"))))


def test_fault_18_quoted_cells_may_hold_separators_quotes_and_line_ends() -> None:
    content = '"length, cm","the ""width""","kind\nof thing"\n"1.5", 2,"one, or ""1"""\n3, "4", "ö"\n'
    data = read_csv(csv_file(content))
    assert data["feature_names"] == ("length, cm", 'the "width"')
    assert data["X"].tolist() == [[1.5, 2.0], [3.0, 4.0]]
    assert data["y"].tolist() == ['one, or "1"', "ö"]


def test_fault_18_spaces_around_cells_are_no_part_of_them() -> None:
    spaced = text().replace(",", " ,  ")
    assert is_as_meant(read_csv(csv_file(spaced)))


def test_fault_18_thousands_of_columns(rng: np.random.Generator) -> None:
    X = rng.standard_normal((6, 5000))
    content = io.StringIO()
    csv.writer(content).writerows([[*range(5000), "y"], *([*row, "ab"[i % 2]] for i, row in enumerate(X.tolist()))])
    data = read_csv(csv_file(content.getvalue()), header=True)
    np.testing.assert_array_equal(data["X"], X)
    assert data["feature_names"][4999] == "4999"


def test_fault_18_without_a_header_columns_are_named_by_their_numbers() -> None:
    assert is_as_meant(read_csv(csv_file(text(header=""))), ("column 1", "column 2"))
    assert is_as_meant(read_csv(csv_file(text(header="")), header=False), ("column 1", "column 2"))


@pytest.mark.parametrize(("options", "named"), [({}, False), ({"header": True}, True), ({"label": "2"}, True)])
def test_fault_18_a_header_of_numbers_must_be_declared(options: Any, named: bool) -> None:
    data = read_csv(csv_file(text(header="0,1,2")), **options)
    assert is_as_meant(data, ("0", "1")) == named and len(data["X"]) == 21 - named


@pytest.mark.parametrize("label", ["answer", 2, -2])
def test_the_label_column_is_named_or_counted_from_one(label: Any) -> None:
    rows = [[a, name, b] for a, b, name in ROWS]
    assert is_as_meant(read_csv(csv_file(text(rows, header="a,answer,b")), label=label))


def test_the_label_column_may_be_the_first() -> None:
    rows = [[name, a, b] for a, b, name in ROWS]
    assert is_as_meant(read_csv(csv_file(text(rows, header="answer,a,b")), label=1))
    assert "1 value is missing, in line 3, column 'answer'" in fault(csv_file("answer,a\nx,1\n,2\n"), label=1)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["10", "9"], ("9", "10")),
        (["1.0", "-1"], ("-1", "1")),
        (["v10", "v9"], ("v10", "v9")),
        (["1_0", "9"], ("1_0", "9")),
        (["9007199254740993", "9007199254740992"], ("9007199254740992", "9007199254740993")),
        (["NA", "none"], ("NA", "none")),
        (["True", "False"], ("False", "True")),
    ],
)
def test_fault_22_class_names_are_kept_and_numbers_stand_in_their_order(
    labels: list[str], names: tuple[str, ...]
) -> None:
    path = csv_file(text([[i, 0, labels[i % 2]] for i in range(20)]))
    assert load_dataset("csv", path=path, **WHOLE).class_names == names


def test_fault_22_a_column_of_fractions_is_no_label() -> None:
    with pytest.raises(DataError, match=r"whole numbers or strings, got values such as \[0.5"):
        load_dataset("csv", path=csv_file(text([[1, 2, 0.5], [1, 2, 1.5]] * 9)))


# CSV that is refused, with the place


@pytest.mark.parametrize("content", ["", "\n", "  \r\n\n", '""\n'])
def test_fault_17_csv_empty(content: str) -> None:
    assert fault(csv_file(content)) == "is empty"


def test_fault_17_csv_header_only() -> None:
    assert fault(csv_file("a,b,answer\n")) == "has a header only"


def test_fault_17_csv_missing_file() -> None:
    assert fault(Path("nowhere.csv")) == "cannot be read: No such file or directory"


def test_fault_17_csv_folder_or_pipe() -> None:
    Path("folder.csv").mkdir()
    os.mkfifo("pipe.csv")
    assert fault(Path("folder.csv")) == fault(Path("pipe.csv")) == "is not a file"


def test_fault_17_csv_ragged_row() -> None:
    assert fault(csv_file(text() + "1,2\n")) == "line 22 has 2 columns, the first row has 3"
    assert fault(csv_file('a,b,"ans\nwer"\n\n1,2,x\n1,2,x,\n')) == "line 5 has 4 columns, the first row has 3"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,abc,no", "line 22, column 'b': 'abc' is not a number; text may stand in the label column alone, which is"),
        ("x" * 1000 + ",1,no", f"line 22, column 'a': '{'x' * 40}...' is not a number; text may stand"),
        ("1_000,1,no", "line 22, column 'a': '1_000' is not a number"),
        ("1,1e999,no", "line 22, column 'b': a number beyond the largest float"),
        ("-inf,1,no", "line 22, column 'a': a number beyond the largest float"),
        ('"1,5",1,no', "line 22, column 'a': '1,5' is not a number; decimals need a point"),
    ],
)
def test_fault_17_csv_text_where_a_number_belongs(row: str, message: str) -> None:
    assert message in fault(csv_file(text() + row + "\n"))


def test_fault_17_csv_decimal_commas() -> None:
    content = "5,1;3,5;setosa\n4,9;3,0;virginica\n"
    assert fault(csv_file(content)).startswith("line 2, column '5,1': '4,9' is not a number; decimals need")


def test_fault_17_csv_missing_label_column() -> None:
    message = "no column 'anwser' for the label; did you mean 'answer'? the columns are 'a', 'b', 'answer'"
    assert fault(csv_file(text()), label="anwser") == message
    wide = csv_file(",".join(f"x{i}" for i in range(1000)) + "\n")
    assert fault(wide, label="species").endswith("'x6', 'x7' and 992 more")


@pytest.mark.parametrize("label", [0, 4, -4])
def test_fault_17_csv_label_column_of_another_number(label: int) -> None:
    assert fault(csv_file(text()), label=label).startswith(f"no column {label} for the label; there are 3, counted")


@pytest.mark.parametrize("missing", ["", "NA", "nan", "N/A", "null", "None", " ? "])
def test_fault_17_csv_missing_values(missing: str) -> None:
    content = text() + f"1,{missing},no\n{missing},{missing},yes\n"
    assert fault(csv_file(content)).startswith("3 values are missing, the first in line 22, column 'b';")


def test_fault_17_csv_missing_label() -> None:
    assert fault(csv_file(text() + "1,2,\nnan,2,no\n")).startswith(
        "2 values are missing, the first in line 22, column 'answer';"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,,answer\n1,2,x\n", "line 1: column 2 has no name; row numbers and the like must be taken out"),
        ("\na,b,a\n1,2,x\n", "line 2: 2 columns are called 'a'"),
        ("a" * 201 + ",b\n1,x\n", "line 1: the name of column 1 has more than 200 characters"),
        ("a,b\n1," + "x" * 201 + "\n", "line 2: the label has more than 200 characters: 'xxxx"),
        ("answer\nyes\nno\n", "line 1 is one column only, when separated by comma, semicolon, tab or |"),
        ('a,b\n1,"x\n2,y\n', "line 2: unexpected end of data"),
        ('a,b\n1,x\n2,"x"y\n', "line 3: ',' expected after '\"'"),
        ("a,b\n1,x" + "y" * 200_000 + "\n", "line 2: field larger than field limit"),
        ("a,b\r1,x\r2,y\r", "line 1: new-line character seen in unquoted field"),
    ],
)
def test_fault_18_csv_that_cannot_be_read_is_refused_with_the_line(content: str, message: str) -> None:
    assert fault(csv_file(content)).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,x\n2,\xe9t\xe9\n", "line 3: not UTF-8: byte 0xe9"),
        (text().encode("utf-16"), "line 1: not UTF-8: byte 0xff"),
        (b"a,b\n1,x\n2,y\0\n", "line 3: holds a NUL byte, which no text does"),
        (b"a,b\n" + b"1" * (MAX_LINE + 1), "line 2 is longer than 16,777,216 bytes"),
    ],
)
def test_fault_14_csv_that_is_no_text_is_refused_with_the_line(content: bytes, message: str) -> None:
    assert fault(csv_file(content)) == message


def test_fault_14_a_path_with_a_nul_byte() -> None:
    with pytest.raises(DataError, match=r"^'a\\x00b.csv': is not a file$"):
        load_dataset("csv", path="a\0b.csv")


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({}, InvalidTypeError, "path must name a file, got None"),
        ({"path": 3}, InvalidTypeError, "path must name a file, got 3"),
        ({"path": "own.csv", "lable": "x"}, InvalidTypeError, "csv has no option 'lable'; did you mean 'label'"),
        ({"path": "own.csv", "label": 1.5}, InvalidTypeError, "label must be an integer, got 1.5"),
        ({"path": "own.csv", "label": True}, InvalidTypeError, "label must be an integer, got True"),
        ({"path": "own.csv", "separator": ":"}, InvalidValueError, "unknown separator ':'"),
        ({"path": "own.csv", "header": "no"}, InvalidTypeError, "header must be True, False or None, got 'no'"),
        ({"path": "own.csv", "label": "x", "header": False}, InvalidValueError, "label 'x' is a name"),
    ],
)
def test_a_wrong_option_is_named_before_the_file_is_opened(options: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        load_dataset("csv", **options)


def test_a_fault_of_a_file_is_found_before_scikit_learn_is_loaded() -> None:
    csv_file(text() + "1,2\n")
    code = """
import sys, tinynet
try:
    tinynet.load_dataset("csv", path="own.csv")
except tinynet.DataError as error:
    print("sklearn" in sys.modules, error)
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output == "False own.csv: line 22 has 2 columns, the first row has 3\n"


# Whatever the bytes


CELLS = st.one_of(st.floats().map(str), st.sampled_from(["", "no", "yes", "1", '"', "NA", "\r", "\0", "é", "_", " "]))
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=12)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TABLES, st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["\n", "\r\n", "\r"]), st.integers(-3, 3))
def test_a_table_of_anything_gives_a_data_set_or_a_fault(
    rows: list[list[str]], separator: str, end: str, label: int
) -> None:
    attempt(Path("own.csv"), end.join(separator.join(row) for row in rows).encode(), label=label, **WHOLE)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["csv", "npz"]), st.binary(max_size=200))
def test_bytes_of_any_kind_give_a_data_set_or_a_fault(kind: str, content: bytes) -> None:
    attempt(Path(f"own.{kind}"), content)

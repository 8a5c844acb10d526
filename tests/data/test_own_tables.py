"""Tables as people have them: text, gaps, codes, odd files; each is read, or refused with the key that helps."""

from __future__ import annotations

import gzip
import os
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from own_files import fault
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from tinynet import DataError, Dataset, load_dataset, split_dataset
from tinynet.config.building import prepare
from tinynet.config.loading import load_config
from tinynet.data.remarks import what_was_done

WHOLE: dict[str, Any] = {"validation_size": 0.0, "test_size": 0.0, "scaling": "none"}
COLOURS = ("red", "green", "blue")


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def table(n: int = 60, seed: int = 0, **columns: Any) -> dict[str, list[Any]]:
    """Return columns of numbers and text with gaps, and labels; `columns` adds to these or replaces them."""
    rng = np.random.default_rng(seed)
    length: list[Any] = rng.normal(50, 9, n).round(2).tolist()
    colour: list[Any] = rng.choice(COLOURS, n).tolist()
    length[3] = length[17] = colour[5] = "NA"
    kind = ["yes" if c == "red" else "no" for c in colour]
    return {"length": length, "colour": colour, "weight": rng.integers(0, 9, n).tolist()} | columns | {"kind": kind}


def written(columns: dict[str, list[Any]], separator: str = ",", end: str = "\n", header: bool = True) -> str:
    lines = [list(columns)] * header + [list(row) for row in zip(*columns.values(), strict=True)]
    return "".join(separator.join(map(str, line)) + end for line in lines)


def own(content: str | bytes | dict[str, list[Any]], name: str = "own.csv") -> Path:
    content = written(content) if isinstance(content, dict) else content
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(name)


def load(content: str | bytes | dict[str, list[Any]], **options: Any) -> Dataset:
    return load_dataset("csv", path=own(content), **WHOLE | options)


def same(one: Dataset, other: Dataset) -> None:
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(one, f"X_{part}"), getattr(other, f"X_{part}"))
        np.testing.assert_array_equal(getattr(one, f"y_{part}"), getattr(other, f"y_{part}"))
    assert (one.class_names, one.feature_names) == (other.class_names, other.feature_names)


# Preparation


@pytest.mark.parametrize(("scaling", "scaler"), [("standard", StandardScaler), ("minmax", MinMaxScaler)])
def test_preparation_equals_a_column_transformer_fitted_on_training(scaling: str, scaler: Any) -> None:
    columns = table(200)
    data = load_dataset("csv", path=own(columns), scaling=scaling, seed=4)
    y = np.array([data.class_names.index(name) for name in columns["kind"]])
    rows = np.arange(200)
    marked = split_dataset(rows[:, None], y, scaling="none", seed=4)
    numbers = [[np.nan if cell == "NA" else cell for cell in columns[name]] for name in ("length", "weight")]
    X = np.array([numbers[0], columns["colour"], numbers[1]], dtype=object).T
    peer = make_pipeline(
        ColumnTransformer(
            [
                ("length", SimpleImputer(strategy="median"), [0]),
                ("colour", OneHotEncoder(categories=[["blue", "green", "red", "NA"]], sparse_output=False), [1]),
                ("weight", SimpleImputer(strategy="median"), [2]),
            ]
        ),
        scaler(),
    ).fit(X[marked.X_train.ravel().astype(int)])
    for part in ("train", "validation", "test"):
        expected = peer.transform(X[getattr(marked, f"X_{part}").ravel().astype(int)])
        np.testing.assert_allclose(getattr(data, f"X_{part}"), expected, rtol=0, atol=1e-12)
    assert data.feature_names == ("length", "colour=blue", "colour=green", "colour=red", "colour=(gap)", "weight")


def test_a_data_frame_gives_the_data_set_of_its_file() -> None:
    columns = table(100)
    frame = pl.DataFrame({name: [None if cell == "NA" else cell for cell in cells] for name, cells in columns.items()})
    from_file = load_dataset("csv", path=own(columns), label="kind", exclude=["weight"])
    same(load_dataset(frame, label="kind", exclude=["weight"]), from_file)
    same(split_dataset(frame.select("length", "colour"), frame["kind"].to_numpy()), from_file)
    rows = np.array([[None if cell == "NA" else cell for cell in columns[name]] for name in ("length", "colour")]).T
    assert split_dataset(rows, columns["kind"]).feature_names[:2] == ("x0", "x1=blue")


def test_codes_become_columns_of_0_and_1_where_they_are_named() -> None:
    columns = table()
    data = load(columns, categorical=["weight"])
    assert [name for name in data.feature_names if name.startswith("weight=")][:2] == ["weight=0", "weight=1"]
    same(data, load(columns, categorical=[3]))


def test_columns_are_excluded_by_name_or_number_even_unusable_ones() -> None:
    columns = table(note=[f"note {i}" for i in range(60)])
    for exclude in (["note", "weight"], [4, -3], ["note", 3]):
        assert load(columns, exclude=[*exclude[:1], "weight"]).feature_names[:2] == ("length", "colour=blue")
    assert "exclude: no column 'nite'; did you mean 'note'?" in fault(own(columns), exclude=["nite"])
    assert "exclude: column 'kind' is the label" in fault(own(columns), exclude=["note", -1])


def test_a_test_part_may_have_a_file_of_its_own() -> None:
    columns, other = table(80), table(30, seed=1)
    other["colour"][0] = "violet"
    Path("test.csv").write_text(written(other))
    data = load_dataset("csv", path=own(columns), label="kind", test_path="test.csv", scaling="none", test_size=0.5)
    assert [len(part) for part in (data.y_train, data.y_validation, data.y_test)] == [72, 8, 30]
    assert data.X_test[0, 1:-1].sum() == 0 and data.X_test[0, 0] == other["length"][0]
    assert [data.class_names[k] for k in data.y_test] == other["kind"]
    Path("test.csv").write_text(written(other | {"kind": ["perhaps"] * 30}))
    with pytest.raises(
        DataError, match=r"test\.csv: label 'perhaps' in column 'kind' is not one of the classes no, yes"
    ):
        load_dataset("csv", path="own.csv", label="kind", test_path="test.csv")
    Path("test.csv").write_text(written(other | {"length": ["long"] * 30, "kind": ["", *["perhaps"] * 29]}))
    with pytest.raises(DataError, match=r"(?s)'length': 'long'.*1 label is missing.*'perhaps'"):
        load_dataset("csv", path="own.csv", label="kind", test_path="test.csv")
    Path("test.csv").write_text(written(other | {"length": [1e300] * 30}))
    with pytest.raises(DataError, match=r"test\.csv: column 'length': a number beyond .* in lines 2"):
        load_dataset("csv", path="own.csv", label="kind", test_path="test.csv")


def test_a_table_of_pixels_is_a_set_of_images() -> None:
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {f"p{i}": rng.integers(0, 9, 40).tolist() for i in range(6)} | {"p3": [0] * 40}
    data = load(columns | {"digit": [0, 1] * 20}, image_shape=[2, 3])
    assert data.image_shape == (2, 3) and data.n_features == 6
    with pytest.raises(DataError, match=r"image_shape \[2, 2\] has 4 pixels, a row has 6"):
        load(columns | {"digit": [0, 1] * 20}, image_shape=[2, 2])


# Numbered faults


@pytest.mark.parametrize(("mark", "others"), [("NA", ("yes", "no")), ("?", ("1", "2")), ("  ", ("1", "2"))])
def test_fault_44_a_gap_among_labels_is_not_a_class(mark: str, others: tuple[str, str]) -> None:
    columns: dict[str, list[Any]] = {"a": list(range(20)), "y": [*others] * 9 + [mark, mark]}
    assert "2 labels are missing in 'y': lines 20, 21; dataset.missing=\"drop\"" in fault(own(columns))
    data = load(columns, missing="drop")
    assert data.class_names == tuple(sorted(others)) and len(data.y_train) == 18
    np.savez("own.npz", X=np.arange(20.0)[:, None], y=np.array(columns["y"]))
    assert "2 labels are missing in 'y': rows 18, 19" in fault(Path("own.npz"))


@pytest.mark.parametrize("gap", [None, float("nan")])
def test_fault_44_none_and_nan_among_labels_are_not_classes(gap: Any) -> None:
    y = ["yes", "no"] * 9 + [gap, "no"]
    with pytest.raises(DataError, match="1 label is missing in 'y': row 18"):
        split_dataset(np.arange(20.0)[:, None], np.array(y, dtype=object))
    with pytest.raises(DataError, match="1 label is missing in 'y': row 18"):
        load_dataset(pl.DataFrame({"a": range(20), "y": [None if label is gap else label for label in y]}))


def test_fault_45_labels_of_a_file_keep_their_spelling() -> None:
    large = "9007199254740992 9007199254740993"
    for pair in ("000 01", "01 1", "10 1e1", "+ -", "False True", "9 10", "-1 1.0", "9 1_0", large):
        assert load({"a": list(range(20)), "y": pair.split()[::-1] * 10}).class_names == tuple(pair.split())


def test_fault_45_labels_of_arrays_are_numbers() -> None:
    for y in (np.array([1.0, 10.0] * 10), np.array([1, 10] * 10)):
        assert split_dataset(np.arange(20.0)[:, None], y).class_names == ("1", "10")


@pytest.mark.parametrize(
    "first", ["0,1,2", "2019,2020,kind", "60,2,c0", "3,1,zzz"], ids=["counted", "years", "metadata", "strange"]
)
def test_fault_46_an_ambiguous_first_line_must_be_declared(first: str) -> None:
    content = f"{first}\n" + "5,3,1\n4,2,0\n" * 9 if first == "0,1,2" else f"{first}\n" + "5,3,c0\n4,2,c1\n" * 9
    content = content.replace("60,2,c0", "60,2,c2")
    assert "line 1: cannot tell whether this is a header or the first row" in fault(own(content))
    assert len(load(content, header=True).y_train) == 18


def test_fault_46_a_table_of_letters_must_declare_its_header() -> None:
    content = "x,s,s,p\n" + "b,s,t,e\nx,y,s,p\n" * 10
    assert "set dataset.header=true or false" in fault(own(content))
    data = load(content, header=False)
    assert data.feature_names[:2] == ("column 1=b", "column 1=x") and len(data.y_train) == 21


def test_fault_46_a_line_with_excels_separator_is_skipped() -> None:
    data = load("sep=;\na;b;y\n" + "1,5;2;u\n2;3;v\n" * 5, decimal=",")
    assert data.feature_names == ("a", "b") and data.X_train[:, 0].max() == 2.0


def test_fault_47_a_first_column_without_a_name_is_left_out() -> None:
    columns: dict[str, list[Any]] = {"": list(range(60))} | table()
    data = load(columns)
    assert data.feature_names[0] == "length" and any("row numbers" in line for line in what_was_done(data.summary))
    r_rows = written(columns).replace(",length", "length", 1)
    same(load(r_rows), data)


def test_fault_48_text_becomes_a_column_for_each_level_and_for_gaps() -> None:
    data = load(table())
    assert data.X_train[5, 1:5].tolist() == [0, 0, 0, 1] and data.X_train[:, 1:5].sum() == 60
    many = table(name=[f"level {i % 51:05}" for i in range(60)])
    said = fault(own(many))
    assert "column 'name': text with 51 levels" in said and "dataset.exclude=name" in said
    assert load(many, max_levels=51).n_features == 6 + 51


def test_fault_48_a_level_that_training_never_saw_is_all_zeros() -> None:
    columns = table(100)
    columns["colour"][7] = "violet"
    for seed in range(40):
        data = load_dataset("csv", path=own(columns), scaling="none", seed=seed)
        rows = np.concatenate([data.X_validation, data.X_test])
        if "colour=violet" not in data.feature_names:
            assert (rows[:, 1:-1].sum(axis=1) == 0).any()
            return
    raise AssertionError("violet was in every training part")


def test_fault_49_gaps_are_filled_or_dropped_or_refused() -> None:
    columns = table(empty=["NA"] * 60)
    for name in ("length", "colour", "weight"):
        columns[name][9] = ""
    data = load(columns)
    median = np.median([cell for cell in columns["length"] if cell not in ("NA", "")])
    assert data.X_train[3, 0] == data.X_train[9, 0] == median and data.X_train[9, 4] == 1.0
    assert "empty: nothing but gaps, left out" in what_was_done(data.summary)
    constant = {"constant": [2.5] * 20 + ["NA"] * 40}
    assert what_was_done(load(constant | columns).summary)[-1] == what_was_done(data.summary)[-1]
    assert len(load(columns, missing="drop").y_train) == 56
    assert "missing in 'length', 'colour', 'weight': lines 5, 7, 11 and 1 more" in fault(own(columns), missing="refuse")
    assert load(columns, missing_marks=["", "NA", "0"]).n_features == data.n_features


def test_fault_50_all_unusable_columns_are_named_together() -> None:
    columns = table(
        note=[f"note {i}" for i in range(60)],
        day=[f"2020-01-{i % 28 + 1:02}T{i}" for i in range(60)],
        price=["1,5"] * 30 + ["2,25"] * 30,
        people=["1,234"] * 30 + ["12,345"] * 30,
        cost=["1.234.567"] * 30 + ["1.5"] * 30,
        size=[str(i) for i in range(59)] + ["12 cm"],
    )
    with pytest.raises(DataError) as caught:
        load_dataset("csv", path=own(written(columns, ";")), label="kind", max_levels=55)
    lines = str(caught.value).splitlines()
    assert all(line.startswith("own.csv: column '") for line in lines)
    for line, words in zip(
        lines,
        [
            ("'note'", "60 levels", "dataset.exclude=note", "dataset.max_levels=60"),
            ("'day'", "dates", "dataset.exclude=day", "column of days"),
            ("'price'", "decimal comma", 'dataset.decimal=","'),
            ("'people'", "commas between thousands"),
            ("'cost'", "points between thousands"),
            ("'size'", "'12 cm' in line 61", "dataset.missing_marks"),
        ],
        strict=True,
    ):
        assert all(word in line for word in words), line


@pytest.mark.parametrize(("cell", "marks"), [("-", None), ("", ["-", "NA"]), ('it\'s "no"', None)])
def test_fault_50_a_mark_among_numbers_is_told_as_it_is_typed(cell: str, marks: Any) -> None:
    said = fault(own(table(size=["1.5"] * 58 + [cell, "NA"])), missing_marks=marks)
    assert said.startswith(f"column 'size': {cell!r} in line 60, where numbers belong")
    data = prepare(load_config("own.csv", shlex.split(said.partition("gap: ")[2]))).dataset
    assert data.summary[3]["gaps"] == 2 and data.summary[0]["gaps"] == 2


@pytest.mark.parametrize("name", ["note", "it's", "'q'", "null", "a [b], c"])
def test_fault_50_a_column_is_left_out_by_what_the_message_types(name: str) -> None:
    columns = {f'"{name}"': [f"note {i}" for i in range(60)]} | table()
    typed = fault(own(columns)).partition("leave it out: ")[2].partition("; to keep")[0]
    assert name not in prepare(load_config("own.csv", shlex.split(typed))).dataset.feature_names


def test_signs_are_words_also_beside_decimal_commas() -> None:
    for decimal in ".,":
        assert "sign=+" in load(table(sign=["+", "-"] * 30), decimal=decimal, exclude=["length"]).feature_names


def test_fault_51_identifiers_and_leaking_columns_get_a_remark() -> None:
    columns = table(120)
    columns["kind"] = ["no", "yes"] * 60
    rng = np.random.default_rng(3)
    telling: dict[str, list[Any]] = {"answer": [0.5, 3.5] * 60, "coded": [3, 8] * 60, "word": ["n", "y"] * 60}
    kind = columns.pop("kind")
    own(columns | telling | {"number": list(range(120)), "id": rng.permutation(120).tolist(), "kind": kind})
    remarks = " ".join(load_dataset("csv", path="own.csv").remarks)
    for name in ("answer", "coded", "word"):
        assert f"column '{name}': tells more than 99 % of the labels" in remarks
    for name in ("number", "id"):
        assert f"column '{name}': a different value in nearly every row" in remarks
    assert not any(f"'{name}'" in remarks for name in ("length", "colour", "weight"))
    assert "dataset.exclude=answer" in remarks


def test_rare_classes_imbalance_and_wide_tables_get_a_remark() -> None:
    y = ["often"] * 56 + ["rare"] * 4
    columns = table(weight=[0, 1] * 30) | {"kind": y}
    remarks = load_dataset("csv", path=own(columns)).remarks
    assert "the test part has fewer than 3 rows of 'rare' (1)" in " ".join(remarks)
    assert any("56 rows are 'often', 4 are 'rare'" in one and "class_weight=balanced" in one for one in remarks)
    X = np.random.default_rng(0).normal(size=(30, 40))
    assert any("40 features are more than the 21" in one for one in split_dataset(X, np.arange(30) % 2).remarks)
    assert load_dataset("iris").remarks == ()


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (written(table(), end="\r").encode(), {}),
        (written(table(), end=",\n").encode(), {}),
        (written(table(), end=",\n").replace("kind,", "kind", 1).encode(), {}),
        (
            written(table(), " ")
            .replace("length", "'length'")
            .replace("colour weight kind", "'colour' 'weight' 'kind'"),
            {},
        ),
        (written(table(), "   ").encode(), {}),
        (written(table(), "\t").replace("length\tcolour\tweight\tkind", "'length'\t'colour'\t'weight'\t'kind'"), {}),
        (written(table()).encode("utf-16"), {"encoding": "utf-16"}),
        (gzip.compress(written(table()).encode()), {}),
        (written(table(), ";").replace(".", ","), {"decimal": ","}),
    ],
    ids=["CR", "end", "end without header", "spaces", "many spaces", "quotes", "UTF-16", "gz", "decimal comma"],
)
def test_fault_52_odd_files_are_read(content: Any, options: Any) -> None:
    same(load(content, **options), load(table()))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("名,y\n一,1\n二,2\n".encode("big5"), "it can be read as cp1252, big5"),
        ("é,y\nà,1\nb,2\n".encode("cp1252"), "dataset.encoding=cp1252"),
        (b"PK\x03\x04" + bytes(50), "ZIP archive (an .xlsx workbook"),
        (b"PAR1" + bytes(50), "Parquet"),
        (b"\x89HDF" + bytes(50), "HDF5"),
        (b"BZh9" + bytes(50), "bzip2"),
        (gzip.compress(written(table()).encode())[:-9], "compressed by gzip, and damaged"),
    ],
)
def test_fault_52_files_of_other_kinds_are_refused_with_the_reason(content: bytes, message: str) -> None:
    assert message in fault(own(content))


def test_fault_52_a_decimal_comma_allows_points_between_thousands() -> None:
    data = load("a;y\n" + "1.234,5;u\n12;v\n,5;u\n7;v\n" * 5, decimal=",")
    assert sorted(set(data.X_train.ravel().tolist())) == [0.5, 7.0, 12.0, 1234.5]
    assert "'1.5'" in fault(own("a;y\n" + "1,5;u\n2;v\n" * 20 + "1.5;u\n"), decimal=",")


def test_fault_53_images_one_hot_labels_and_test_arrays_are_read() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 255, (40, 5, 4), dtype=np.uint8), np.arange(40) % 3
    np.savez("plain.npz", X=X.reshape(40, 20), y=y)
    expected = load_dataset("npz", path="plain.npz")
    archives: dict[str, dict[str, Any]] = {
        "images": {"X": X, "y": y},
        "channel": {"x": X[..., None], "y": y},
        "one_hot": {"X": X, "y": np.eye(3)[y]},
        "one_column": {"X": X, "y": y[:, None]},
        "names": {"x_train": X, "y_train": y},
    }
    for name, arrays in archives.items():
        np.savez(f"{name}.npz", **arrays)
        data = load_dataset("npz", path=f"{name}.npz")
        same(data, expected)
        assert data.image_shape == (5, 4)
    np.savez("parts.npz", x_train=X, y_train=y, x_test=X[:7], y_test=y[:7])
    data = load_dataset("npz", path="parts.npz", scaling="none")
    assert (len(data.y_train) + len(data.y_validation), data.y_test.tolist()) == (40, y[:7].tolist())
    np.testing.assert_array_equal(data.X_test, X[:7].reshape(7, 20))


def test_fault_44_a_gap_among_test_labels_is_not_a_class() -> None:
    X, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
    np.savez("own.npz", X=X, y=y, X_test=X[:3], y_test=[0.0, np.nan, 1.0])
    with pytest.raises(DataError, match="1 label is missing in 'y_test': row 1"):
        load_dataset("npz", path="own.npz")
    for names in (["1.5", "2.5"], ["NA", "no"]):  # words that are classes when they are not missing marks
        np.savez("own.npz", X=X, y=np.array(names)[y], X_test=X[:3], y_test=np.array(names)[y[:3]])
        assert load_dataset("npz", path="own.npz", missing_marks=["?"]).y_test.tolist() == [0, 1, 0]


def test_gaps_in_an_npz_file_are_filled() -> None:
    X = np.arange(80.0).reshape(40, 2)
    X[3, 1] = np.nan
    np.savez("own.npz", X=X, y=np.arange(40) % 2)
    data = load_dataset("npz", path="own.npz", **WHOLE)
    assert data.X_train[3, 1] == np.nanmedian(X[:, 1]) and data.feature_names == ("x0", "x1")
    assert load_dataset("npz", path="own.npz", missing="drop", **WHOLE).X_train.shape == (39, 2)


def test_fault_54_home_and_variables_in_paths_are_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    own(table())
    monkeypatch.setenv("HOME", os.getcwd())
    monkeypatch.setenv("TABLES", os.getcwd())
    for path in ("~/own.csv", "$TABLES/own.csv", "${TABLES}/own.csv"):
        same(load_dataset("csv", path=path), load_dataset("csv", path="own.csv"))


def test_fault_55_a_class_too_small_for_all_parts_keeps_its_spelling() -> None:
    columns: dict[str, list[Any]] = {"a": list(range(40)), "y": ["01"] * 2 + ["1", "10"] * 19}
    with pytest.raises(DataError, match=r"class '01' has 2 of 40 samples.*0\.1, test_size=0\.2\); .* set one of"):
        load_dataset("csv", path=own(columns))
    for sizes in (0.0, 0.2), (0.1, 0.0):
        assert load(columns, validation_size=sizes[0], test_size=sizes[1]).class_names == ("01", "1", "10")
    with pytest.raises(DataError, match="set both of these to 0; each number"):
        load_dataset("csv", path=own(columns | {"y": ["01", "1"] + ["1", "10"] * 19}))
    assert len(load_dataset("csv", path="own.csv", validation_size=0, test_size=0).y_train) == 40


def test_fault_56_a_part_that_a_small_table_cannot_fill_is_named() -> None:
    own({"a": list(range(12)), "y": ["u", "v", "w"] * 4})
    for size, words in ((0.2, "the validation part would have 1 of 12"), (0.8, "the training part would have 1 of 12")):
        with pytest.raises(DataError, match=words + r".*too few for 3 classes \(validation_size=0\.1, test_size="):
            load_dataset("csv", path="own.csv", test_size=size)
    with pytest.raises(DataError, match=r"too few for 12 classes .*a class, not an amount"):
        load({"a": list(range(12)), "y": list(range(12))}, test_size=0.2)

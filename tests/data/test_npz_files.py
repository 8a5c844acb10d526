"""Your own NPZ data: what the arrays hold, never what a file merely claims."""

from __future__ import annotations

import io
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_files import attempt, fault

from tinynet import DataError, load_dataset, split_dataset
from tinynet.data.npz_files import read_npz

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def npz_file(**arrays: Any) -> Path:
    np.savez("own.npz", **arrays)
    return Path("own.npz")


def arrays(n: int = 30) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {"X": rng.integers(-50, 50, (n, 3)).astype(float), "y": np.array(["off", "on"])[np.arange(n) % 2]}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", [">f8", "f2", "i8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_npz_file_gives_the_data_set_of_its_arrays(save: Any, dtype: str, order: Any) -> None:
    X, y = arrays().values()
    save("own.npz", X=np.asarray(X, dtype=dtype, order=order), y=y, more=np.arange(3))
    own, same = load_dataset("npz", path="own.npz"), split_dataset(X, y, name="npz")
    np.testing.assert_array_equal(own.X_train, same.X_train)
    np.testing.assert_array_equal(own.y_test, same.y_test)
    assert own.class_names == ("off", "on") and own.feature_names == ("x0", "x1", "x2")


def test_uncompressed_arrays_are_mapped_and_not_read() -> None:
    X, y = np.zeros((1000, 1000)), np.arange(1000)
    npz_file(X=X, y=y)
    tracemalloc.start()
    try:
        data = read_npz("own.npz", ("X", "y"))
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()
    assert data["X"].shape == (1000, 1000) and data["y"].tolist() == y.tolist()
    with pytest.raises(ValueError, match="read-only"):
        data["X"][0, 0] = 1.0


def test_fault_19_a_missing_array_is_named() -> None:
    assert fault(npz_file(x=[[1.0]], labels=[1])) == "no array 'y'; it has 'x', 'labels'"
    np.savez("own.npz")
    assert fault(Path("own.npz")) == "no array 'X', 'y'; it has none"


class Bomb:
    """An object that creates a file when it is unpickled."""

    def __reduce__(self) -> Any:
        """Return what unpickling would call."""
        return Path.touch, (Path("exploded"),)


def test_fault_19_objects_are_refused_and_never_unpickled() -> None:
    path = npz_file(X=np.array([Bomb(), 1.0], dtype=object), y=[0, 1])
    assert fault(path).startswith("array X holds Python objects, which are never loaded")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", pickle.dumps(Bomb()))
        archive.writestr("y.npy", pickle.dumps(Bomb()))
    assert fault(path).startswith("not an NPZ archive, or a damaged one: the magic string is not correct")
    path.write_bytes(pickle.dumps(Bomb()))
    assert fault(path).startswith("not an NPZ archive, or a damaged one: File is not a zip file")
    assert not Path("exploded").exists()


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((4, 2, 2, 2)), np.zeros(4), "X must have two dimensions"),
        (np.zeros((4, 2), complex), np.zeros(4), "X must hold real numbers, got dtype complex128"),
        (np.zeros((4, 2), [("a", "f8")]), np.zeros(4), "array X must hold numbers or text, got dtype"),
        (np.zeros((4, 2)), np.array([b"a", b"b"] * 2), "array y must hold numbers or text, got dtype"),
        (np.zeros((4, 2)), np.array([""] * 4, dtype="U0"), "label column 'y' holds nothing but gaps"),
    ],
)
def test_fault_19_wrong_shapes_and_types_are_refused(X: Any, y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset("npz", path=npz_file(X=X, y=y))


def header(shape: str, descr: str = "<f8") -> bytes:
    """Return the header of an NPY file with any declaration."""
    fields = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(fields)) + fields


def crafted(X: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    npz_file(y=np.arange(4))
    with zipfile.ZipFile("own.npz", "a", compression) as archive:
        archive.writestr("X.npy", X)
    return Path("own.npz")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("(1000000000, 1000000000)", "needs 8,000,000,000,000,000,000 bytes, the file has 64"),
        (f"(4, {2**200})", "bytes, the file has 64"),
        ("(4, 3)", "array X of shape (4, 3) needs 96 bytes, the file has 64"),
        ("(4, 1)", "array X of shape (4, 1) needs 32 bytes, the file has 64"),
        ("(-4, -2)", "not an NPZ archive, or a damaged one: "),
        ("4", "not an NPZ archive, or a damaged one: "),
    ],
)
def test_fault_19_a_declared_shape_is_not_trusted(shape: str, message: str, compression: int) -> None:
    path = crafted(header(shape) + bytes(64), compression)
    tracemalloc.start()
    try:
        assert message in fault(path)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged"),
        (b"\x93NUMPY\x03\x00" + header("(4, 2)")[8:] + bytes(64), "NPY format 3.0"),
        (b"\x93NUMPY\x01\x00\x10\x00(((((((((((((((((", "damaged"),
        (header("(4, 2)", "<U1") + b"\xff" * 32, "array X holds text that is not valid Unicode"),
        (header("(4, 2)", "<U1") + struct.pack("<I", 0xD800) * 8, "array X holds text that is not valid Unicode"),
    ],
)
def test_fault_19_crafted_contents_are_refused(content: bytes, message: str) -> None:
    assert message in fault(crafted(content))


def test_fault_19_both_formats_of_a_header_are_read() -> None:
    second = b"\x93NUMPY\x02\x00" + struct.pack("<I", len(header("(4, 2)")[10:])) + header("(4, 2)")[10:]
    for begin in (header("(4, 2)"), second):
        X = read_npz(crafted(begin + np.arange(8.0).tobytes()), ["X"])["X"]
        assert X.tolist() == np.arange(8.0).reshape(4, 2).tolist()


def test_fault_19_text_of_either_byte_order_is_read() -> None:
    np.savez("own.npz", y=np.array(["a", "ö"], dtype=">U1"))
    assert read_npz("own.npz", ["y"])["y"].tolist() == ["a", "ö"]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_fault_19_a_truncated_or_damaged_file_is_refused(save: Any) -> None:
    save("own.npz", **arrays())
    path, whole = Path("own.npz"), Path("own.npz").read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        assert fault(path).startswith("not an NPZ archive, or a damaged one: ")
    path.write_bytes(whole[:300] + bytes([whole[300] ^ 1]) + whole[301:])
    assert fault(path).startswith("not an NPZ archive, or a damaged one: ")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_fault_19_one_flipped_bit_in_a_long_array_is_detected(save: Any) -> None:
    save("own.npz", X=np.random.default_rng(0).random((4000, 2)), y=np.arange(4000) % 2)
    path, whole = Path("own.npz"), Path("own.npz").read_bytes()
    path.write_bytes(whole[:30_000] + bytes([whole[30_000] ^ 1]) + whole[30_001:])
    assert fault(path).startswith("not an NPZ archive, or a damaged one: ")


def test_fault_13_a_compressed_array_larger_than_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed("own.npz", X=np.zeros((100, 100)), y=np.arange(100))
    monkeypatch.setattr("os.sysconf", lambda name: 100)
    assert "array X of shape (100, 100) would take 0.0 GiB" in fault(Path("own.npz"))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.booleans(), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=6)), max_size=4))
def test_a_changed_archive_gives_a_data_set_or_a_data_error(
    compressed: bool, changes: list[tuple[float, bytes]]
) -> None:
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays(10))
    content = bytearray(buffer.getvalue())
    for place, change in changes:
        begin = int(place * len(content))
        content[begin : begin + len(change)] = change
    attempt(Path("own.npz"), bytes(content))


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80), st.sampled_from([b"", header("(4, 2)"), header("(4,)", "<i8")[:-12]]))
def test_a_crafted_array_gives_a_data_set_or_a_data_error(content: bytes, begin: bytes) -> None:
    attempt(Path("own.npz"), crafted(begin + content).read_bytes())

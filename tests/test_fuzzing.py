"""Readers of configs, data, models, runs and checkpoints get damaged and crafted input: never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fuzzing
import numpy as np
import pytest
from fuzzing import ARRAYS, ODD_ARRAYS, TABLES, TARGETS, answer, crafted_array, npz_arrays, run_files, whole_archive
from resuming import npy

from tinynet import load_dataset
from tinynet.artifacts.stored_runs import MAX_CSV, MAX_JSON
from tinynet.reports.report import write_report

EXAMPLES = {"toml": 60, "json": 60, "overrides": 50, "csv": 150, "npz": 150, "model": 100, "rows": 60, "folder": 40}
EXAMPLES |= {"checkpoint": 60}


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.mark.parametrize("name", TARGETS)
def test_undamaged_input_is_accepted(name: str) -> None:
    target = TARGETS[name]()
    assert set(target.read(target.whole)) == {""}


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_or_crafted_input_is_accepted_or_named(name: str) -> None:
    fuzzing.fed(TARGETS[name](), EXAMPLES[name])()


@pytest.mark.soak
@pytest.mark.parametrize("name", TARGETS)
def test_ten_thousand_inputs_stay_within_time_and_memory_limits(name: str) -> None:
    command = [sys.executable, fuzzing.__file__, name, "10000", str(time.time_ns() % 2**32)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")
    print(process.stdout)


# The limits of time and memory work


def test_an_input_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzzing.DEADLINE_S", 0.1)
    with pytest.raises(fuzzing.TooLongError), fuzzing.deadline():
        time.sleep(5)
    time.sleep(0.15)


@pytest.mark.soak
def test_an_input_that_takes_a_gibibyte_is_stopped() -> None:
    program = "import fuzzing; fuzzing.limit_memory(); bytearray(2**29); print('half', flush=True); bytearray(2**31)"
    folder = Path(fuzzing.__file__).parent
    process = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert process.stdout == "half\n" and process.stderr.endswith("MemoryError\n")


# Faults that fuzzing has found


def own_npz(**changes: bytes) -> bytes:
    arrays = {name: npy(array) for name, array in ARRAYS.items()} | changes
    return fuzzing.archive([(f"{name}.npy", array) for name, array in arrays.items()])


def header(descr: str) -> bytes:
    return crafted_array(f"{{'descr': {descr}, 'fortran_order': False, 'shape': (12, 4), }}", b"\1\0", bytes(384))


def damaged_lzma() -> bytes:
    content = bytearray(whole_archive(ARRAYS, zipfile.ZIP_LZMA))
    content[48] ^= 0xFF
    return bytes(content)


def own_model(compression: int = zipfile.ZIP_STORED, **changes: Any) -> bytes:
    return whole_archive(npz_arrays(run_files()["model.npz"]) | changes, compression)


DAMAGED = "own.npz: not an NPZ archive, or a damaged one: "
NEWER_NUMPY = np.lib.NumpyVersion(np.__version__) >= "2.5.0"  # which has forgotten the name
OLD_NAME = f"{DAMAGED}descr is not a valid dtype" if NEWER_NUMPY else "array X must hold numbers or text, got dtype"
FOUND: dict[str, tuple[str, Callable[[], Any], str]] = {
    "an empty type": ("npz", lambda: own_npz(X=header("()")), DAMAGED + "tuple index out of range"),
    "a type without a size": ("npz", lambda: own_npz(X=header("('<f8',)")), DAMAGED + "tuple index out of range"),
    "a number for X_test": ("npz", lambda: own_npz(X_test=npy(1.0), y_test=npy(np.ones(1))), "a label for each"),
    "labels without a row": ("npz", lambda: own_npz(y=npy(np.zeros((0, 0)))), "y must"),
    "a single label": ("npz", lambda: own_npz(y=npy(np.array(1))), "y must"),
    "a type of an old name": ("npz", lambda: own_npz(X=header("'a'")), OLD_NAME),
    "an escape in a type": ("npz", lambda: own_npz(X=header("'<0\x1b[2JU4'")), r"\x1b[2J"),
    "LZMA": ("npz", damaged_lzma, "own.npz: array X is compressed by method 14, which NumPy does not use"),
    "long doubles": ("npz", lambda: own_npz(X=npy(ODD_ARRAYS[1])), "X holds 48 values that are nan or inf"),
    "a label of 4,933 digits": ("npz", lambda: own_npz(y=npy(ODD_ARRAYS[5])), "y must hold whole numbers or strings"),
    "inf in float32": ("model", lambda: own_model(b2=np.full(3, np.inf, "f4")), "b2 must hold finite numbers up to"),
    "a model that grows": (
        "model",
        lambda: own_model(zipfile.ZIP_DEFLATED, W1=np.zeros((2**20, 4))),
        "run/model.npz: holds compressed arrays, which tinynet does not write there",
    ),
    "half a quote": ("csv", lambda: (b'"a"b\tc\t"d"\n', {}), "own.csv: line 1: text behind a closing quote"),
    "a separator": ("csv", lambda: (TABLES[0].encode(), {"separator": "x"}), r"separator 'x'; allowed: '\t', ;, |, ,"),
    "a long cell": ("folder", lambda: {"metrics.csv": b"x" * 140_000 + b"\n"}, "metrics.csv: is damaged: field larger"),
    "a row without a run": ("folder", lambda: {"../sweep.csv": b"status,run\nkilled\n"}, "a row without a run"),
}


@pytest.mark.parametrize("what", FOUND)
def test_faults_found_by_fuzzing_are_named(what: str) -> None:
    name, given, message = FOUND[what]
    assert any(message in line for line in TARGETS[name]().read(given()))


def test_a_path_with_half_a_surrogate_pair_is_no_file() -> None:
    assert answer(load_dataset, "csv", path="\ud800.csv") == r"'\ud800.csv': is not a file"


@pytest.mark.parametrize("name", ["summary.json", "environment.json", "metrics.csv"])
def test_a_pipe_in_a_run_folder_does_not_block(name: str) -> None:
    fuzzing.read_folder({})
    Path("runs/run", name).unlink()
    os.mkfifo(f"runs/run/{name}")
    with fuzzing.deadline():
        assert answer(write_report, ["runs/run"], "page.html") == f"runs/run/{name}: is not a file"


@pytest.mark.parametrize(("name", "most"), [("summary.json", MAX_JSON), ("metrics.csv", MAX_CSV)])
def test_a_huge_file_in_a_run_folder_is_refused_unread(name: str, most: int) -> None:
    fuzzing.read_folder({})
    os.truncate(f"runs/run/{name}", 2**40)
    said = answer(write_report, ["runs/run"], "page.html")
    assert said == f"runs/run/{name}: larger than {most // 1024:,} KiB"

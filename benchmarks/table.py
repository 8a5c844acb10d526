"""A table of 100,000 rows and 20 columns, 10 of them text, from its file to features: tinynet beside pandas."""

from __future__ import annotations

import csv
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.measure import timed
from benchmarks.report import Report, Table, duration, spread, three_digits

ROWS, NUMBERS = 100_000, 10
LEVELS = (2, 3, 5, 8, 10, 12, 15, 20, 30, 40)  # of the text columns
GAPS = 0.02  # of the cells of every column

INTRODUCTION = """\
From a CSV file with gaps to training and test features, standardised and one-hot: `load_dataset`, and pandas.read_csv,
train_test_split and a ColumnTransformer of SimpleImputer, StandardScaler and OneHotEncoder. Every round is two new
processes; what they import beforehand is not counted. Memory is what the process grew by at its peak."""

TAIL = """
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
HEAD = """
before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
"""
TINYNET = f"""
import resource, sys, time
import sklearn.impute, sklearn.model_selection, sklearn.preprocessing
from tinynet import load_dataset
{HEAD}
load_dataset("csv", path=sys.argv[1], label="y", scaling="standard", validation_size=0)
{TAIL}"""
PANDAS = f"""
import resource, sys, time
import pandas
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
{HEAD}
X = pandas.read_csv(sys.argv[1])
y = X.pop("y")
training, test = train_test_split(X, test_size=0.2, stratify=y, random_state=0)
numbers, text = ([name for name in X if name[0] == kind] for kind in "nt")
transformer = ColumnTransformer([
    ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
    ("text", OneHotEncoder(handle_unknown="ignore", sparse_output=False), text),
])
transformer.fit_transform(training), transformer.transform(test)
{TAIL}"""
PROGRAMS = {"pandas and ColumnTransformer": PANDAS, "tinynet": TINYNET}


def measure(*, quick: bool = False) -> Report:
    """Time both programs, in turn."""
    n_rows, n_rounds = (1000, 1) if quick else (ROWS, 7)
    seconds, bytes_ = defaultdict(list), defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        write_table(path, n_rows)
        for _ in tqdm(range(n_rounds), desc="table", unit="round", disable=None, leave=False):
            for name, program in PROGRAMS.items():
                try:
                    _, printed = timed("-c", program, str(path))
                except RuntimeError as error:  # no pandas here
                    if "No module named" not in str(error):
                        raise
                    continue
                took_s, grew_kib = map(float, printed.split())
                seconds[name].append(took_s)
                bytes_[name].append(1024 * grew_kib)
    peer, rows = next(iter(PROGRAMS)), []
    for name in PROGRAMS:
        if name not in seconds:
            rows.append([name, "not installed", "", "", ""])
            continue
        took, grew = seconds[name], bytes_[name]
        ratios = [
            spread(np.divide(own, beside[peer])) if peer in beside else ""
            for own, beside in ((took, seconds), (grew, bytes_))
        ]
        memory = f"{three_digits(float(np.median(grew)) / 1e6)} MB"
        rows.append([name, duration(float(np.median(took))), ratios[0], memory, ratios[1]])
    head = ("program", "time", "/ pandas", "memory", "/ pandas")
    title = f"{n_rows:,} rows, {NUMBERS} columns of numbers, {len(LEVELS)} of text"
    note = f"Rounds: {n_rounds}. Medians, in brackets the quartiles."
    return Report("A table of text and gaps", INTRODUCTION, [Table(title, head, rows, note)])


def write_table(path: Path, n_rows: int) -> None:
    """Write a CSV file of numbers n0.., text t0.. and labels y."""
    rng = np.random.default_rng(0)
    columns = {f"n{i}": rng.normal(size=n_rows).round(4).astype(object) for i in range(NUMBERS)}
    for i, n_levels in enumerate(LEVELS):
        columns[f"t{i}"] = np.array([f"level {k}" for k in range(n_levels)], dtype=object)[
            rng.integers(0, n_levels, n_rows)
        ]
    for column in columns.values():
        column[rng.random(n_rows) < GAPS] = ""
    columns["y"] = rng.choice(np.array(["a", "b", "c"], dtype=object), n_rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        table.writerows(zip(*columns.values(), strict=True))

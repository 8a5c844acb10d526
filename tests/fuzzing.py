"""Damaged and crafted input for every reader; ``python tests/fuzzing.py TARGET N`` tries N examples within limits."""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import tomllib
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from resuming import Training, npy, sealed

from tinynet import TinynetError, load_dataset
from tinynet.artifacts.model import load_model, predictions_csv
from tinynet.artifacts.run_folder import RunFolder
from tinynet.config.building import prepare
from tinynet.config.loading import load_config, preset_names, preset_text
from tinynet.config.values import dotted_keys
from tinynet.experiments.axes import load_grid
from tinynet.experiments.run import execute
from tinynet.reports.report import write_report
from tinynet.training.checkpoints import Keeper

DEADLINE_S = 5
CHECKPOINT = "checkpoint-000000006.npz"
MEMORY = 2**30  # bytes, beyond what imports and library threads have taken
QUICK = ("training.epochs=2", "network.hidden_units=3")
Bytes = st.SearchStrategy[bytes]

# Damage


def damaged(seeds: list[bytes], words: list[bytes]) -> Bytes:
    """Return valid inputs with parts cut, repeated, moved, or replaced by `words` and others."""
    part = st.tuples(st.floats(0, 1), st.floats(0, 1) | st.just(0.0), st.sampled_from(["put", "cut", "twice", "move"]))
    new = st.sampled_from(words) | st.binary(max_size=6)
    changes = st.lists(st.tuples(part, new), min_size=1, max_size=5)
    return st.builds(_changed, st.sampled_from(seeds), changes)


def _changed(content: bytes, changes: list[tuple[tuple[float, float, str], bytes]]) -> bytes:
    for (place, length, kind), new in changes:
        begin = int(place * len(content))
        end = begin + int(length**6 * (len(content) - begin))  # mostly a few bytes
        part = content[begin:end]
        if kind == "put":
            content = content[:begin] + new + content[begin + (length > 0) * len(new) :]
        elif kind == "cut":
            content = content[:begin] + content[end:]
        elif kind == "twice":
            content = content[:end] + part * 2 + content[end:]
        else:
            content = new + content[:begin] + content[end:] + part
    return content


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
TYPES = ["<f8", ">f4", "<f2", "<f16", "<i8", "|b1", "<U1", "<U3", "|S8", "|O", "<c16", "<M8[s]", "<f8,<f8", "a"]
DESCRS = [*map(repr, TYPES), "()", "('<f8',)", "[('a', '<f8')]", "[('a', '|O')]", "'<U999999999'", "'\\d'", "1", "None"]
SHAPES = ["()", "(12,)", "(12, 4)", "(4, 12)", "(-1, 4)", "(-4, -12)", "(0, 4)", "(0,)", "(True, 12)", "(2**62,)", "5"]
SHAPES += ["(4611686018427387904, 4)", "(99999999999999999999999, 0)", "(12, 4, 1)", "((12,), 4)", "(12.0, 4)", "[12]"]
HEADERS = st.builds(
    "{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}".format,
    st.sampled_from(DESCRS),
    st.sampled_from(["False", "True", "0", "None"]),
    st.sampled_from(SHAPES),
)


def crafted_array(header: str, version: bytes, content: bytes) -> bytes:
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H" if version == b"\1\0" else "<I", len(text)) + text + content


CRAFTED = st.builds(
    crafted_array,
    HEADERS,
    st.sampled_from([b"\1\0", b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\0\0"]),
    st.binary(max_size=40) | st.sampled_from([0, 12, 48, 96, 192, 384, 768]).map(bytes),
)


def archive(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", compression) as file:
        warnings.simplefilter("ignore")  # the same name twice
        for name, content in members:
            file.writestr(name, content)
    return buffer.getvalue()


def whole_archive(arrays: dict[str, Any], compression: int = zipfile.ZIP_STORED) -> bytes:
    return archive([(f"{name}.npy", npy(array)) for name, array in arrays.items()], compression)


def archives(arrays: dict[str, Any]) -> Bytes:
    """Return NPZ archives that are damaged, or whose members are crafted, repeated or compressed differently."""
    whole = {f"{name}.npy": npy(array) for name, array in arrays.items()}
    odd = [npy(array) for array in ODD_ARRAYS]
    member = CRAFTED | damaged(list(whole.values()), [b"(", b"'", b"O", b"9", b"-", b",", b"\n", b"\xff"])
    names = st.sampled_from(sorted(whole))
    changed = st.dictionaries(names, st.sampled_from(odd) | member, max_size=2).map(
        lambda new: [*(whole | new).items()]
    )
    doubled = st.lists(st.tuples(names, st.sampled_from([*whole.values()]) | member), max_size=2)
    seeds = st.builds(archive, st.builds(list.__add__, changed, doubled), st.sampled_from(METHODS))
    zips = [whole_archive(arrays, method) for method in METHODS]
    signatures = [b"PK" + end for end in (b"\1\2", b"\3\4", b"\5\6", b"\6\6", b"\6\7")]
    return seeds | damaged(zips, [*signatures, b"\xff" * 4, b"\0" * 4, b"\x0e\0", b"\x0c\0"])


ODD_ARRAYS: list[Any] = [
    np.full((12, 4), np.inf, np.float32),
    np.full((12, 4), np.longdouble("1e4000")),
    np.full((12, 4), 1e200),
    np.full((12, 4), -128, np.int8),
    np.arange(48, dtype=np.float16).reshape(12, 4),
    np.full(12, np.longdouble("1e4932")),
    np.array(["a", "\x1b[2J"] * 6),
    np.array(["\ud800", "b"] * 6),
    np.array([True, False] * 6),
    np.array([0.5] * 12),
    np.array("tanh"),
    np.array("quantised:99999999999999999999"),
]


def encoded(texts: list[str]) -> list[bytes]:
    return [text.encode() for text in texts]


# Targets


@dataclass(frozen=True)
class Target:
    """Valid input, the same input damaged, and the reader, which uses only the current folder."""

    whole: Any
    inputs: st.SearchStrategy[Any]
    read: Callable[[Any], list[str]]


def answer(read: Callable[..., object], *arguments: Any, **options: Any) -> str:
    """Return the fault that tinynet names, in printable lines; '' when it accepts the input."""
    try:
        read(*arguments, **options)
    except TinynetError as error:
        lines = str(error).splitlines()
        assert lines and all(line.isprintable() and len(line) < 2000 for line in lines), lines
        return str(error)
    return ""


CONFIG = """name = "own"\nseed = 3\n[dataset]\nname = "blobs"\nn_samples = 60\n[network]\nhidden_units = 3
activation = "quantised:4"\n[optimizer]\nlearning_rate = 0.1\nschedule = "step"\nstep_epochs = 2
[training]\nepochs = 2\nbatch_size = 10\npatience = 3\n"""
SWEEP = '[sweep]\n"optimizer.learning_rate" = [0.1, 0.3]\nseed = "0..3"\nnetwork.activation = ["relu", "sign"]\n'
WORDS = [*"[]{}\"'=,.\n\r\0\\#-\t\ufeffé", '"""', "..", "\\u0000", "\\ud800", "nan", "inf", "1e400", "1e-400", "9" * 30]
WORDS += ["0x" + "f" * 1900, "true", "1979-05-27T07:32:00Z", "\x1b[2J", "0..99999", "0..99999999999999", "[sweep]\n"]
WORDS += ["[[sweep]]\n", "dataset.path", '"csv"', "[" * 900, '{"a":\n' * 900, "a." * 900, *dotted_keys()]


def json_of(text: str, **more: Any) -> bytes:
    return json.dumps(tomllib.loads(text) | more, indent=1).encode()


def config_inputs(kind: str) -> Bytes:
    texts = [CONFIG, CONFIG + SWEEP, *map(preset_text, preset_names())]
    if kind == "toml":
        return damaged(encoded(texts), encoded(WORDS))
    axes = {"sweep": {"optimizer": {"learning_rate": [0.1, 0.3]}, "seed": "0..3", "network.activation": ["relu"]}}
    return damaged([json_of(CONFIG), json_of(CONFIG, **axes), json_of(preset_text("digits"))], encoded(WORDS))


def read_config(kind: str, content: bytes) -> list[str]:
    path = f"own.{kind}"
    Path(path).write_bytes(content)
    return [answer(load_config, path), answer(load_grid, path, ["seed=0,1"])]


WHOLE_WORDS = ["optimizer.learning_rate=0.1,0.3", "seed=0..4", "name='a','b'", "training.patience=3"]
WHOLE_WORDS += ["dataset.label=-1", 'network.activation="relu","quantised:3"', 'dataset.path="a.csv"']
WHOLE_WORDS += ["dataset.noise=0.1,[0.2,{a=1}]"]


OVERRIDES = st.lists(damaged(encoded(WHOLE_WORDS), encoded(WORDS)).map(os.fsdecode), max_size=4)


def read_overrides(words: list[str]) -> list[str]:
    return [answer(load_config, "moons", words), answer(load_grid, "moons", ["training.epochs=4,5", *words])]


TABLES = ["a,b,label\n" + "1,2,x\n3,4.5e-3,y\n" * 12, "\ufeffa;b;label\r\n" + '1;2;"x;1"\r\n3;4;"y""2"\r\n' * 12]
TABLES += ["1\t2\t0\n3\t4\t1\n" * 12, 'a|"b\n2"|c\n' + "1| 2 |10\n3|4|9\n" * 12]
CELLS = [*',;\t|"\n\r\0\ufeff\u0661\u2028\x1c-', '""', "\r\n", "\n\n", "nan", "inf", "1e999", "1_0", "1,5"]
CELLS += ["9" * 400, "x" * 300, "label", "\x1b[2J", "NA", "=1+1", '"' + "x" * 140_000]
CSV = damaged(encoded(TABLES), [*encoded(CELLS), b"\xff", b"\xed\xa0\x80"])
CSV_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "label": st.sampled_from([-1, 1, 2, 3, -3, 4, 0, "label", "a", "lable", "\x1b[2J"]),
        "separator": st.sampled_from([",", ";", "\t", "|", "x"]),
        "header": st.booleans(),
        "scaling": st.sampled_from(["minmax", "standard", "none"]),
    },
)


def read_table(given: tuple[bytes, dict[str, Any]]) -> list[str]:
    Path("own.csv").write_bytes(given[0])
    return [answer(load_dataset, "csv", path="own.csv", **given[1])]


ARRAYS = {"X": np.arange(48.0).reshape(12, 4), "y": np.array(["off", "on", "on"] * 4)}


def read_arrays(content: bytes) -> list[str]:
    Path("own.npz").write_bytes(content)
    return [answer(load_dataset, "npz", path="own.npz", validation_size=0)]


@cache
def run_files() -> dict[str, bytes]:
    """Train once; return the files of the run."""
    with tempfile.TemporaryDirectory() as folder:
        execute(prepare(load_config("iris", [*QUICK, "name='run'"])), RunFolder(folder), report=False)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.0, 3.0, 4.0, 1.2]])


def read_model(content: bytes) -> list[str]:
    Path("run").mkdir(exist_ok=True)
    Path("run/model.npz").write_bytes(content)

    def predict() -> None:
        probabilities = load_model("run").predict_proba(ROWS)
        assert len(probabilities) == 2 and np.isfinite(probabilities).all()

    return [answer(predict)]


NEW_ROWS = b"sepal length (cm),sepal width (cm),petal length (cm),petal width (cm),more\n" + b"5.1,3.5,1.4,0.2,x\n" * 3
ROW_FILES = st.tuples(st.just("rows.csv"), damaged([NEW_ROWS, b"5.1,3.5,1.4,0.2\n" * 3], encoded(CELLS)))
ROW_FILES |= st.tuples(st.just("rows.npz"), archives({"X": np.arange(48.0).reshape(12, 4)}))


def read_rows(given: tuple[str, bytes]) -> list[str]:
    Path("run").mkdir(exist_ok=True)
    Path("run/model.npz").write_bytes(run_files()["model.npz"])
    Path(given[0]).write_bytes(given[1])
    model = load_model("run")
    return [answer(lambda: predictions_csv(model, model.read(given[0])))]


SWEEP_TABLE = b'run,status,error\nrun,completed,\nlost,killed,signal 9\nother,failed,"a, b"\n'


def run_folders() -> st.SearchStrategy[dict[str, bytes]]:
    """Return files that replace those of a run, and others beside it."""
    words = [*encoded(WORDS + CELLS), b"null", b"1e308", b"-1", b"NaN", b"-Infinity", b"</script>", b"..", b"/"]
    whole = run_files() | {"../sweep.csv": SWEEP_TABLE}
    names = ["config.json", "summary.json", "environment.json", "metrics.csv", "../sweep.csv"]
    part = st.sampled_from(names).flatmap(lambda name: st.tuples(st.just(name), damaged([whole[name]], words)))
    return st.lists(part, min_size=1, max_size=2).map(dict)


def read_folder(given: dict[str, bytes]) -> list[str]:
    shutil.rmtree("runs", ignore_errors=True)
    Path("runs/run").mkdir(parents=True)
    for name, content in (run_files() | given).items():
        Path("runs/run", name).write_bytes(content)
    return [answer(write_report, [folder], "report.html") for folder in ("runs/run", "runs")]


@cache
def checkpoint() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        Training().run(Path(folder), epochs=2)
        return Path(folder, CHECKPOINT).read_bytes()


def read_checkpoint(content: bytes) -> list[str]:
    Path("made").mkdir(exist_ok=True)
    Path("made", CHECKPOINT).write_bytes(content)
    with np.load(io.BytesIO(checkpoint())) as arrays:
        wanted = json.loads(arrays["meta"].tobytes())["settings"]
    return [answer(Keeper(Path("made"), 0.0).load, wanted, Training().net.params)]


def npz_arrays(content: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(content)) as arrays:
        return dict(arrays)


def checkpoints() -> Bytes:
    return damaged([checkpoint()], [b"PK", b"\0\0"]) | archives(npz_arrays(checkpoint())).map(sealed)


TARGETS: dict[str, Callable[[], Target]] = {
    "toml": lambda: Target(CONFIG.encode(), config_inputs("toml"), lambda content: read_config("toml", content)),
    "json": lambda: Target(json_of(CONFIG), config_inputs("json"), lambda content: read_config("json", content)),
    "overrides": lambda: Target(["seed=1"], OVERRIDES, read_overrides),
    "csv": lambda: Target((TABLES[0].encode(), {}), st.tuples(CSV, CSV_OPTIONS), read_table),
    "npz": lambda: Target(whole_archive(ARRAYS), archives(ARRAYS), read_arrays),
    "model": lambda: Target(run_files()["model.npz"], archives(npz_arrays(run_files()["model.npz"])), read_model),
    "rows": lambda: Target(("rows.csv", NEW_ROWS), ROW_FILES, read_rows),
    "folder": lambda: Target({"../sweep.csv": SWEEP_TABLE}, run_folders(), read_folder),
    "checkpoint": lambda: Target(checkpoint(), checkpoints(), read_checkpoint),
}


# Limits


class TooLongError(Exception):
    """An example took longer than the deadline."""


@contextmanager
def deadline() -> Iterator[None]:
    """Stop an example that takes longer than 5 s."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooLongError(f"still busy after {DEADLINE_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, DEADLINE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def limit_memory() -> None:
    """Limit this process to 1 GiB beyond what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def fed(target: Target, n_examples: int, **options: Any) -> Any:
    """Return a test that gives a target `n_examples` inputs in the current folder, with 5 s for each."""

    @settings(max_examples=n_examples, database=None, suppress_health_check=list(HealthCheck), **options)
    @given(target.inputs)
    def feed(given: Any) -> None:
        with deadline():
            target.read(given)

    return feed


def main(name: str, n_examples: int, seed_number: int = 0) -> None:
    """Run one target within the limits; print the number of examples, the seconds and the total memory."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        warnings.simplefilter("error")
        target = TARGETS[name]()
        target.read(target.whole)  # the first call imports what the target needs
        limit_memory()
        began = time.perf_counter()
        seed(seed_number)(fed(target, n_examples, deadline=None, phases=[Phase.generate, Phase.shrink]))()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(f"{name}: {n_examples:,} examples in {time.perf_counter() - began:.0f} s, {peak:.0f} MiB")
        os.chdir("/")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

"""Checkpoints that are damaged or malicious: they are refused, and the previous one is used."""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import re
import resource
import subprocess
import time
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from resuming import Training, altered, archive, members, meta, npy, sealed
from sweeping import QUICK, TINYNET

from tinynet import RunFolderError, TinynetError
from tinynet.artifacts.run_folder import RunFolder
from tinynet.config.building import prepare
from tinynet.config.loading import load_config
from tinynet.experiments.run import execute
from tinynet.training import state as state_module
from tinynet.training.checkpoints import Keeper
from tinynet.training.state import MAX_DIRECTORY, MAX_META, State, paths, to_bytes

Members = dict[str, bytes]
Refused = Callable[[Any], str]  # why a checkpoint of such content, or made so, is refused
NET = Training().net
NEWEST = "checkpoint-000000008.npz"
ADDRESS = re.compile("0x[0-9a-f]+")  # the address of an object in a message of Python


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training interrupted in step 8, the second of its third epoch."""
    folder = tmp_path_factory.mktemp("made")
    Training().run_until(8, folder)
    return folder


@pytest.fixture(scope="module")
def wanted(made: Path) -> dict[str, Any]:
    with np.load(made / NEWEST) as file:
        return dict(json.loads(file["meta"].tobytes())["settings"])


def load(folder: Path, wanted: dict[str, Any]) -> State:
    state = Keeper(folder, 0.0).load(wanted, NET.params)
    assert state is not None
    return state


def why_refused(folder: Path, wanted: dict[str, Any], content: bytes | Callable[[Path], object]) -> str:
    """Replace the newest checkpoint by `content`; return why the previous one is used, and none without it."""
    newest = folder / NEWEST
    newest.unlink(missing_ok=True)
    if callable(content):
        content(newest)
    else:
        newest.write_bytes(content)
    with pytest.warns(UserWarning, match="resuming from checkpoint-000000007.npz, the one before") as caught:
        assert load(folder, wanted).step == 7
    before = (folder / "checkpoint-000000007.npz").rename(folder / "away")
    try:
        with pytest.raises(RunFolderError) as alone:
            load(folder, wanted)
    finally:
        before.rename(folder / "checkpoint-000000007.npz")
    fault = str(alone.value)
    assert ADDRESS.sub("", str(caught[0].message)).startswith(ADDRESS.sub("", f"{fault}; "))
    assert fault.startswith(f"{newest}: ") and fault.isprintable() and len(fault) < 1000
    return fault.removeprefix(f"{newest}: ")


@pytest.fixture
def refused(made: Path, wanted: dict[str, Any], tmp_path: Path) -> Refused:
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return lambda content: why_refused(tmp_path, wanted, content)


def changed_meta(**changes: Any) -> Callable[[Members], object]:
    return lambda there: there.update(meta=meta(there, **changes))


# Damage


def assert_never_accepted(folder: Path, made: Path, wanted: dict[str, Any], damaged: Iterable[bytes]) -> int:
    """Check that each content of the newest checkpoint is refused for the previous one; return their number."""
    before, n = (made / "checkpoint-000000007.npz").read_bytes(), 0
    (folder / "checkpoint-000000007.npz").write_bytes(before)
    alone = folder / "alone"
    alone.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for content in damaged:
            (folder / NEWEST).write_bytes(content)
            assert to_bytes(load(folder, wanted)) == before
            (folder / NEWEST).replace(alone / NEWEST)
            with pytest.raises(RunFolderError, match=r": is cut short or damaged: its checksum does not match$"):
                load(alone, wanted)
            n += 1
    return n


def flipped(content: bytes, places: Iterable[int], bits: Iterable[int]) -> Iterable[bytes]:
    for place in places:
        for bit in bits:
            yield content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]


def test_fault_34_a_flipped_bit_is_detected_anywhere(made: Path, wanted: dict[str, Any], tmp_path: Path) -> None:
    content = (made / NEWEST).read_bytes()
    places = [*range(0, len(content), 61), *range(len(content) - 90, len(content), 5)]
    assert assert_never_accepted(tmp_path, made, wanted, flipped(content, places, [1])) > 120


def test_fault_34_a_cut_at_any_length_is_detected(made: Path, wanted: dict[str, Any], tmp_path: Path) -> None:
    content = (made / NEWEST).read_bytes()
    lengths = [*range(0, len(content), 61), *range(len(content) - 90, len(content), 5), 64, 63, 1]
    damaged = [*(content[:length] for length in lengths), content + b"\0", content + content, content[1:]]
    assert assert_never_accepted(tmp_path, made, wanted, damaged) > 120


@pytest.mark.soak
def test_fault_34_every_flipped_byte_and_every_cut_is_detected(
    made: Path, wanted: dict[str, Any], tmp_path: Path
) -> None:
    content, started = (made / NEWEST).read_bytes(), time.perf_counter()
    for name, damaged in (
        ("bits", flipped(content, range(len(content)), [1 << bit for bit in range(8)])),
        ("bytes", flipped(content, range(len(content)), [0xFF])),
        ("cuts", (content[:length] for length in range(len(content)))),
    ):
        (tmp_path / name).mkdir()
        n = assert_never_accepted(tmp_path / name, made, wanted, damaged)
        assert n == len(content) * (8 if name == "bits" else 1)
        print(f"{n:,} {name}, {time.perf_counter() - started:.0f} s")


def test_fault_34_a_checkpoint_under_another_name_is_refused(refused: Refused, made: Path) -> None:
    content = (made / "checkpoint-000000007.npz").read_bytes()
    assert refused(content) == "is not what tinynet wrote for such a network: step 7 after 2 epochs of 3 steps"


# Not a regular file


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, "is not a file"),
        (os.mkdir, "is not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a file"),
        (lambda path: path.symlink_to("nowhere"), "cannot be read: No such file or directory"),
        (lambda path: path.symlink_to(path.name), "cannot be read: Too many levels of symbolic links"),
    ],
)
def test_fault_36_a_pipe_or_folder_does_not_block(make: Any, message: str, refused: Refused) -> None:
    assert refused(make) == message


# Content that would run code


class Bomb:
    """Creates the folder `executed` when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what unpickling calls."""
        return os.mkdir, ("executed",)


@pytest.fixture
def nothing_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileExistsError):  # it really runs when it is unpickled
        for _ in range(2):
            pickle.loads(pickle.dumps(Bomb()))
    Path("executed").rmdir()
    yield
    assert not Path("executed").exists()


@pytest.mark.parametrize("name", ["meta", "history", "params_W1", "best_b2", "velocity_W2"])
@pytest.mark.usefixtures("nothing_is_executed")
def test_fault_36_pickled_objects_are_refused_and_never_loaded(name: str, refused: Refused, made: Path) -> None:
    bomb = npy(np.array([Bomb()], object), pickled=True)
    fault = refused(altered(made / NEWEST, lambda there: there.update({name: bomb})))
    assert fault == f"array {name} holds Python objects, which are never loaded: they could run code"
    header = npy(np.zeros(8))[:128]
    assert refused(altered(made / NEWEST, lambda there: there.update({name: header + pickle.dumps(Bomb())})))


@pytest.mark.usefixtures("nothing_is_executed")
def test_fault_36_a_plain_pickle_and_code_in_a_header_are_refused(refused: Refused, made: Path) -> None:
    assert refused(sealed(pickle.dumps([Bomb()] * 20))) == "does not end as what tinynet writes"
    code = "{'descr': __import__('os').mkdir('executed'), 'fortran_order': False, 'shape': (8,)}"
    header = b"\x93NUMPY\x01\x00" + len(code).to_bytes(2, "little") + code.encode()
    assert "not an NPZ archive, or a damaged one: " in refused(
        altered(made / NEWEST, lambda there: there.update(meta=header + bytes(64)))
    )


def test_fault_36_control_characters_do_not_reach_the_terminal(
    refused: Refused, made: Path, wanted: dict[str, Any], tmp_path: Path
) -> None:
    refused(altered(made / NEWEST, changed_meta(step="\x1b[2J\n" * 1000)))
    alone = tmp_path / "alone"
    alone.mkdir()
    settings = {f"\x1b[2J{number}\n" * 10: "\x1b[2J\n" * 100 for number in range(1000)}
    for change in (changed_meta(settings=settings), changed_meta(format_version="\x1b[2J\n" * 100)):
        (alone / NEWEST).write_bytes(altered(made / NEWEST, change))
        with pytest.raises(RunFolderError) as caught:
            load(alone, wanted)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 10_000


# Content that would take all memory


def header(shape: str, dtype: str = "<f8") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


BOMBS: dict[str, tuple[Any, str]] = {
    "shape": (lambda there: there.update(history=header("(2*3, 9)") + bytes(72)), "not an NPZ archive, or a damaged"),
    "declared": (
        lambda there: there.update(history=header("(1000000000000, 9)") + bytes(72)),
        "array history of shape (1000000000000, 9) needs 72,000,000,000,000 bytes, the file has 72",
    ),
    "nothing": (
        lambda there: there.update(history=header("(1000000000000000, 0)")),
        "is not what tinynet wrote for such a network",
    ),
    "letters": (lambda there: there.update(meta=header("(1,)", "<U100000000") + bytes(8)), "array meta of shape (1,)"),
    "deep list": (lambda there: there.update(meta=npy(np.full(2**20, ord("["), np.uint8))), "is not what tinynet"),
    "long number": (lambda there: there.update(meta=npy(np.full(2**20, ord("9"), np.uint8))), "is not what tinynet"),
    "huge meta": (lambda there: there.update(meta=npy(np.full(2**25, ord(" "), np.uint8))), "is not what tinynet"),
    "names": (
        lambda there: there.update({f"{number:06}": b"" for number in range(2000)}),
        "does not end as what tinynet writes",
    ),
}


def measured(refused: Refused, content: bytes) -> tuple[str, int]:
    """Return why a content is refused, and the bytes of memory that it takes."""
    tracemalloc.start()
    try:
        return refused(content), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", BOMBS)
def test_fault_36_a_file_that_would_take_all_memory_is_refused(name: str, refused: Refused, made: Path) -> None:
    change, message = BOMBS[name]
    fault, peak = measured(refused, altered(made / NEWEST, change))
    assert fault.startswith(message) and peak < 50e6


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_fault_36_compressed_members_are_refused_unread(compression: int, refused: Refused, made: Path) -> None:
    there = members(made / NEWEST)
    assert "holds compressed arrays" in refused(archive(there, compression))
    bomb = archive(there | {"meta": npy(np.zeros(2**24, np.uint8))}, compression)
    assert len(bomb) < 2**17
    fault, peak = measured(refused, bomb)
    assert "holds compressed arrays" in fault and peak < 8e6


def test_fault_36_a_second_directory_record_is_refused(refused: Refused, made: Path) -> None:
    content = (made / NEWEST).read_bytes()[:-64]
    locator = b"PK\x06\x07" + bytes(16)
    assert refused(sealed(content[:-22] + locator + content[-22:])) == "does not end as what tinynet writes"
    without_locator = sealed(content[:-22] + bytes(20) + content[-22:-2] + b"\0\0")
    assert refused(without_locator) != "does not end as what tinynet writes"
    other_comment = sealed(content[:-2] + b"\7\0" + b"comment")
    assert refused(other_comment) == "does not end as what tinynet writes"
    assert 10 * 100 * len(members(made / NEWEST)) < MAX_DIRECTORY


def test_fault_36_a_file_above_the_size_limit_is_refused_unread(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_module, "MAX_HISTORY", 1000)
    largest = 4 * 8 * NET.n_parameters + 1000 + MAX_META + MAX_DIRECTORY
    assert refused(bytes(largest)) == "is cut short or damaged: its checksum does not match"
    assert refused(bytes(largest + 1)) == f"has {largest + 1:,} bytes, more than such a network can need"


# Altered states


def changed(name: str, change: Callable[[Any], Any]) -> Callable[[Members], object]:
    def apply(there: Members) -> None:
        there[name] = npy(change(np.lib.format.read_array(io.BytesIO(there[name]))))

    return apply


def cell(row: int, column: int, value: float) -> Callable[[Any], Any]:
    def apply(table: Any) -> Any:
        table[row, column] = value
        return table

    return apply


VALUES: dict[str, list[Any]] = {
    "step": [7, -1, 10**400, 1e400, "8x", None, [], {}],
    "epoch_s": [-1.0, math.nan, math.inf, "long", None],
    "learning_rate": ["fast", None, []],
    "settings": [None, [], 3, "x", {"a": {}}, {"a": []}],
}
ALTERED: list[Any] = [
    *(changed_meta(**{key: value}) for key, values in VALUES.items() for value in values),
    *(lambda there, name=name: there.pop(name) for name in ("meta", "history", "params_b1", "velocity_W1", "good_W1")),
    *(
        lambda there, text=text: there.update(meta=npy(np.frombuffer(text, np.uint8)))
        for text in (b"{}", b"[]", b"null", b"3", b'"meta"', b"{", b"\xff", b"", b'{"format_version": 1}')
    ),
    *(lambda there, array=array: there.update(meta=npy(array)) for array in (np.uint8(3), np.zeros((2, 2)), "x", 1j)),
    *(changed("history", cell(1, 0, value)) for value in (1.0, 3.0, float("nan"))),
    *(changed("history", cell(1, 1, value)) for value in (5.0, float("nan"), float("inf"))),
    changed("history", cell(0, 1, 0.0)),
    *(
        changed("history", change)
        for change in (lambda t: t[:, :-1], lambda t: t[:1], lambda t: t[0], lambda t: t + 1j, lambda t: t.astype("U"))
    ),
    *(changed("params_W1", change) for change in (lambda W: W.T, lambda W: W[None], lambda W: W.astype(np.complex128))),
    changed("velocity_W1", lambda W: W.astype(np.float32)),
    changed("good_W1", lambda W: W.astype(">f8")),
]


@pytest.mark.parametrize("number", range(len(ALTERED)))
def test_fault_36_an_altered_state_is_refused(number: int, refused: Refused, made: Path) -> None:
    assert refused(altered(made / NEWEST, ALTERED[number]))


def test_fault_11_a_setting_missing_on_one_side_is_named_absent(made: Path, wanted: dict[str, Any]) -> None:
    with pytest.raises(RunFolderError, match=r"differs in extra \(absent in the folder, 1 now\)$"):
        load(made, wanted | {"extra": 1})
    with pytest.raises(RunFolderError, match=r"differs in h \(0\.0001 in the folder, absent now\)$"):
        load(made, {key: value for key, value in wanted.items() if key != "h"})


def test_fault_11_no_more_than_twenty_settings_are_named(made: Path, wanted: dict[str, Any]) -> None:
    with pytest.raises(RunFolderError, match=r", s19 \(absent in the folder, 19 now\) and 5 more$"):
        load(made, wanted | {f"s{i}": i for i in range(25)})


# Random bytes


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), max_size=4),
    cut=st.none() | st.floats(0, 1),
)
def test_any_bytes_with_a_digest_give_a_state_or_a_data_error(
    changes: list[tuple[float, bytes]], cut: float | None, made: Path, tmp_path: Path
) -> None:
    content = bytearray((made / NEWEST).read_bytes()[:-64])
    for place, new in changes:
        begin = int(place * len(content))
        content[begin : begin + len(new)] = new
    attempt(tmp_path, sealed(bytes(content[: None if cut is None else int(cut * len(content))])))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["format_version", "settings", "step", "epoch_s", "learning_rate", "stopped_early", "velocity", "sums", "during"]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3), setting=st.dictionaries(st.text(), JSON))
def test_any_meta_gives_a_state_or_a_data_error(changes: Any, setting: Any, made: Path, tmp_path: Path) -> None:
    there = members(made / NEWEST)
    if setting:
        changes = {"settings": json.loads(np.load(made / NEWEST)["meta"].tobytes())["settings"] | setting} | changes
    attempt(tmp_path, archive(there | {"meta": meta(there, **changes)}))


def attempt(folder: Path, content: bytes) -> None:
    """Resume from a checkpoint of these bytes: the training continues, or ends with one line of a tinynet error."""
    for path in folder.iterdir():
        path.unlink()
    (folder / NEWEST).write_bytes(content)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", UserWarning)
        try:
            Training(every_s=1e9).run(folder, resume=True, epochs=4)
        except TinynetError as error:
            assert str(error).isprintable()


# The command


@pytest.mark.usefixtures("nothing_is_executed")
def test_fault_36_the_command_refuses_crafted_checkpoints() -> None:
    Path("run").mkdir()
    execute(prepare(load_config("iris", [*QUICK, "training.checkpoint_every_s=0"])), RunFolder("run"), report=False)
    older, newest = paths(Path("run")).values()
    there = members(newest)
    newest.write_bytes(archive(there | {"meta": npy(np.array([Bomb()], object), pickled=True)}))
    older.write_bytes(archive(there | {"params_W1": npy(np.zeros(2**26, np.uint8))}, zipfile.ZIP_DEFLATED))
    files = {path: path.read_bytes() for path in Path("run").iterdir()}
    command, environment = [TINYNET, "train", "--out", "run", "--resume"], os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    limited = partial(resource.setrlimit, resource.RLIMIT_AS, (2**31, 2**31))  # bytes of address space
    ended = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited, env=environment, check=False)
    assert (ended.returncode, ended.stderr.splitlines()) == (
        2,
        [
            f"tinynet: {newest}: array meta holds Python objects, which are never loaded: they could run code",
            f"tinynet: {older}: holds compressed arrays, which tinynet does not write there",
        ],
    )
    assert {path: path.read_bytes() for path in Path("run").iterdir()} == files

"""Changes between two commands or during one: data, names, functions, folders, machines. None is silent."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resuming import Training, altered, meta, outcome
from sweeping import results, run_folders, statuses

from tinynet import SGD, InvalidTypeError, InvalidValueError, RunFolderError, TwoLayerNet
from tinynet.cli.main import main
from tinynet.errors import DivergedError, Interrupted
from tinynet.experiments import sweep as sweep_module
from tinynet.experiments.axes import load_grid
from tinynet.experiments.run import RunWriter
from tinynet.storage.locks import only_writer
from tinynet.training.checkpoints import Keeper
from tinynet.training.state import paths

SWEEP = ("sweep", "own.toml", "seed=0..2", "--out", "s", "--quiet")
CONFIG = """
dataset = {name = "csv", path = "data.csv"}
network = {hidden_units = 3}
training = {epochs = 3, batch_size = 20}
"""


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.toml").write_text(CONFIG, encoding="utf-8")
    written()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


def written(
    name: str = "data.csv",
    *,
    add: float = 0.0,
    at: int = -1,
    header: tuple[str, ...] = ("a", "b", "class"),
    label: str = "x",
) -> None:
    """Write a table with one number changed, other names, or another name for the first class."""
    rng = np.random.default_rng(8)
    rows = [[*rng.normal(size=2), (label, "y", "z")[n % 3]] for n in range(90)]
    rows[at][0] += add
    with Path(name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def files(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def said(capsys: pytest.CaptureFixture[str], *words: str, status: int) -> str:
    capsys.readouterr()
    assert main(list(words)) == status
    return capsys.readouterr().err


# Data


CHANGES: list[dict[str, Any]] = [
    *({"add": 1e-4, "at": at} for at in range(0, 90, 22)),  # rows of all three parts
    {"header": ("b", "a", "class")},
    {"header": ("a", "c", "class")},
    {"label": "w"},
]


def test_fault_11_a_run_does_not_resume_with_other_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "own.toml", "--out", "x", "--quiet"]) == 0
    before = files("x")
    for change in CHANGES:
        written(**change)
        message = said(capsys, "train", "--out", "x", "--resume", "--quiet", "training.epochs=5", status=2)
        there = r"tinynet: x/checkpoint-\d+\.npz: the training differs in .*data set \(\w+ in the folder, \w+ now\)\n"
        assert re.fullmatch(there, message) and files("x") == before, change


def test_fault_11_an_added_column_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["train", "own.toml", "--out", "x", "--quiet"]) == 0
    lines = Path("data.csv").read_text(encoding="utf-8").splitlines()
    wider = [f"{number % 7 if number else 'more'},{line}\n" for number, line in enumerate(lines)]
    Path("data.csv").write_text("".join(wider), encoding="utf-8")
    message = said(capsys, "train", "--out", "x", "--resume", status=2)
    assert "differs in network (2-3-3 in the folder, 3-3-3 now), " in message and "shape" not in message


def test_fault_11_a_sweep_does_not_resume_with_other_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(list(SWEEP)) == 0
    whole, first = results("s"), run_folders()[0]
    shutil.rmtree(run_folders()[2])
    before = files("s")
    written(add=1.0)
    assert said(capsys, *SWEEP, "--resume", status=2) == (
        f"tinynet: s: 2 runs, {first.name} for one, were trained on other data than "
        f"{Path('data.csv').absolute()} gives now; put the data back, or begin a new sweep with --out\n"
    )
    assert files("s") == before
    written()
    assert said(capsys, *SWEEP, "--resume", status=0) == "" and results("s") == whole


def change_data_after(n_runs: int, patch: pytest.MonkeyPatch, name: str = "data.csv") -> None:
    trained, runs = sweep_module.train_one, itertools.count(1)

    def changing(*arguments: Any, **options: Any) -> Any:
        result = trained(*arguments, **options)
        if next(runs) == n_runs:
            written(name, add=1.0)
        return result

    patch.setattr(sweep_module, "train_one", changing)


def test_fault_11_data_that_change_during_a_sweep_are_noticed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, first = Path("data.csv").absolute(), load_grid("own.toml", ["seed=0..2"]).combinations[0].folder
    with monkeypatch.context() as patch:
        change_data_after(1, patch)
        message = said(capsys, *SWEEP, status=2)
    assert message == (
        f"tinynet: s: {first} was trained on other data than {data} gives now: it has changed meanwhile; "
        "train these anew with: tinynet sweep s/sweep.json --resume\n"
    )
    assert statuses() == ["completed"] * 3  # the table stays
    message = said(capsys, *SWEEP, "--resume", status=0)
    (aside,) = Path("s").glob("*.aside-*")
    assert message == (
        f"tinynet: note: s: {first} was trained on other data than {data} gives now; "
        f"trained anew, and what was there is in {aside.name}\n"
    )
    aside.rename("aside")
    assert main(["sweep", "own.toml", "seed=0..2", "--out", "s2", "--quiet"]) == 0
    assert results("s") == results("s2")


def test_fault_11_data_that_change_after_the_last_read_are_noticed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        change_data_after(3, patch)
        message = said(capsys, *SWEEP, status=2)
    assert "tinynet: s: 3 runs, seed=0-" in message and "put the data back, or begin a new sweep" in message
    before = files("s")
    assert "tinynet: s: 3 runs, seed=0-" in said(capsys, *SWEEP, "--resume", status=2) and files("s") == before
    written()
    assert said(capsys, *SWEEP, "--resume", status=0) == ""


def test_fault_11_a_test_file_that_changes_during_a_sweep_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written("later.csv")
    Path("own.toml").write_text(CONFIG.replace('"data.csv"', '"data.csv", test_path = "later.csv"'), encoding="utf-8")
    change_data_after(1, monkeypatch, "later.csv")
    assert f"was trained on other data than {Path('later.csv').absolute()} gives now" in said(capsys, *SWEEP, status=2)


def begun_run(change: Callable[[Path], object]) -> Path:
    """Return the folder of a begun run of a sweep, with its newest checkpoint changed."""
    assert main(list(SWEEP)) == 0
    first = run_folders()[0]
    (first / "summary.json").unlink()
    part = first.rename(first.with_name(f".{first.name}.part"))
    change(list(paths(part).values())[-1])
    return part


def all_damaged(newest: Path) -> None:
    for path in paths(newest.parent).values():
        path.write_bytes(b"damaged")


def newer(path: Path) -> None:
    path.write_bytes(altered(path, lambda there: there.update(meta=meta(there, format_version=9))))


def other_data(path: Path) -> None:
    for finished in run_folders():
        shutil.rmtree(finished)
    written(add=1.0)


@pytest.mark.parametrize(
    ("change", "why"),
    [(other_data, "the training differs in "), (newer, "has format version 9")],
    ids=["data", "format"],
)
def test_fault_35_unsuitable_checkpoints_of_a_begun_run_are_kept(
    change: Callable[[Path], object], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    part = begun_run(change)
    before = {path: path.read_bytes() for path in part.glob("checkpoint-*")}
    message = said(capsys, *SWEEP, "--resume", status=3)
    assert why in message and message.count("\n") == 2
    assert statuses() == ["failed", "completed", "completed"]
    assert {path: path.read_bytes() for path in part.glob("checkpoint-*")} == before


def test_fault_34_a_run_with_only_damaged_checkpoints_starts_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    part = begun_run(all_damaged)
    name = part.name[1:-5]
    damaged = {path.name: path.read_bytes() for path in part.glob("checkpoint-*")}
    message = said(capsys, *SWEEP, "--resume", status=0)
    (aside,) = Path("s").glob("*.aside-*")
    assert message.startswith("tinynet: note: ") and message.count("\n") == 1
    assert "its checksum does not match" in message
    assert message.endswith(f"; {name} begins anew, and what was there is in {aside.name}\n")
    assert {path.name: path.read_bytes() for path in aside.glob("checkpoint-*")} == damaged
    assert statuses() == ["completed"] * 3 and not list(Path("s").glob(".*"))
    aside.rename("aside")
    assert main([*SWEEP[:3], "--out", "s2", "--quiet"]) == 0 and results("s2") == results("s")


def test_fault_34_a_run_that_started_again_can_be_resumed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    part = begun_run(all_damaged)
    record = RunWriter.add

    def interrupting(*arguments: Any) -> None:
        record(*arguments)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "add", interrupting)
        assert "interrupted" in said(capsys, *SWEEP, "--resume", status=130)
    assert paths(part)
    assert said(capsys, *SWEEP, "--resume", status=0) == "" and statuses() == ["completed"] * 3


@pytest.mark.parametrize("what", ["file", "dangling link", "file of an attempt"])
def test_a_foreign_path_in_place_of_a_run_does_not_stop_a_sweep(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(list(SWEEP)) == 0
    whole, first = results("s"), run_folders()[0]
    shutil.rmtree(first)
    if what == "file":
        first.write_text("mine", encoding="utf-8")
    elif what == "dangling link":
        first.symlink_to("/nowhere/at/all")
    else:
        Path("s", f".{first.name}.part").write_text("mine", encoding="utf-8")
    message = said(capsys, *SWEEP, "--resume", status=0)
    for aside in Path("s").glob("*.aside-*"):
        assert f"; trained anew, and what was there is in {aside.name}\n" in message
        aside.unlink()
    assert message.count("\n") == (what != "file of an attempt") and results("s") == whole


def test_fault_16_a_run_held_by_a_lost_worker_is_trained_elsewhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(list(SWEEP)) == 0
    whole, first = results("s"), run_folders()[0]
    part = first.rename(first.with_name(f".{first.name}.part"))
    (part / "summary.json").unlink()
    with only_writer(part):
        assert said(capsys, *SWEEP, "--resume", status=0) == ""
    assert results("s") == whole and not list(Path("s").glob(".*"))


# Runs of a sweep that were changed from outside


def cut(path: Path) -> None:
    (path / "metrics.csv").write_bytes((path / "metrics.csv").read_bytes()[:-9])


def extended(path: Path) -> None:
    assert main(["train", "--out", str(path), "--resume", "training.epochs=5", "--quiet"]) == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda path: (path / "summary.json").write_text('{"status": "completed"}'), "/summary.json: is damaged"),
        (lambda path: (path / "summary.json").unlink(), ": has not come to its end"),
        (cut, "metrics.csv: line 4: is damaged"),
        (lambda path: (path / "config.json").write_text("{"), "config.json: not valid JSON"),
        (extended, ": the config differs in training.epochs"),
    ],
    ids=["no figures", "no summary", "metrics cut", "config cut", "extended"],
)
def test_fault_40_a_run_changed_from_outside_is_trained_again(
    change: Callable[[Path], object], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(list(SWEEP)) == 0
    whole, first = results("s"), run_folders()[0]
    change(first)
    message = said(capsys, *SWEEP, "--resume", status=0)
    assert why in message and message.count("\n") == 1
    (aside,) = Path("s").glob("*.aside-*")
    assert f"; trained anew, and what was there is in {aside.name}\n" in message
    aside.rename("elsewhere")
    assert results("s") == whole and main(["report", "s"]) == 0


def test_fault_16_a_run_that_is_in_use_is_not_moved_aside(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(list(SWEEP)) == 0
    first, messages = run_folders()[0], list[str]()
    record = RunWriter.add

    def meanwhile(*arguments: Any) -> None:
        record(*arguments)
        if not messages:
            messages.append(said(capsys, *SWEEP, "--resume", status=2))

    monkeypatch.setattr(RunWriter, "add", meanwhile)
    assert main(["train", "--out", str(first), "--resume", "training.epochs=5", "--quiet"]) == 0
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    assert messages == [f"tinynet: {first}: {holder} is writing there; wait for its end, or choose another folder\n"]
    assert not list(Path("s").glob("*.aside-*"))


# Folders


def test_fault_43_a_moved_run_does_not_write_into_a_new_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record, others = RunWriter.add, list[dict[str, bytes]]()

    def moving(*arguments: Any) -> None:
        record(*arguments)
        if not others:
            others.append({})
            Path("x").rename("moved")
            assert main(["train", "own.toml", "--out", "x", "seed=7", "--quiet"]) == 0
            others[0] = files("x")

    train = ("train", "own.toml", "training.checkpoint_every_s=0", "--out", "x", "--quiet")
    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "add", moving)
        message = said(capsys, *train, status=2)
    assert files("x") == others[0]
    Path("x").rename("other")
    assert message.startswith("tinynet: x: lost its lock (the folder was moved, or .lock was deleted)")
    assert main(["train", "--out", "moved", "--resume", "--quiet"]) == 0
    assert main(list(train)) == 0
    assert results(".")["moved"] == results(".")["x"]


def test_fault_43_a_moved_training_leaves_other_locks_alone(tmp_path: Path) -> None:
    training, locks = Training(), list[bytes]()

    def moving(row: Any) -> None:
        if not locks:
            (tmp_path / "run").rename(tmp_path / "moved")
            (tmp_path / "run").mkdir()
            locks.append(b"another's")
            (tmp_path / "run/.lock").write_bytes(locks[0])

    with pytest.raises(RunFolderError, match="lost its lock"):
        training.run(tmp_path / "run", on_epoch=moving)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == {".lock": locks[0]}


def whole_training() -> Any:
    training = Training()
    return outcome(training, training.run())


# Machines


def test_resuming_with_other_libraries_or_processor_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "own.toml", "--out", "x", "--quiet"]) == 0
    path = Path("x/environment.json")
    there = json.loads(path.read_text(encoding="utf-8"))
    there["versions"]["numpy"], there["cpu_count"] = "1.0.0", 64  # it changes no bit
    path.write_text(json.dumps(there), encoding="utf-8")
    resume = ("train", "--out", "x", "--resume", "--quiet")
    assert said(capsys, *resume, status=0) == (
        f"tinynet: note: the environment differs in numpy (1.0.0 in the folder, {np.__version__} now): "
        "the last bits may not be those of a run that was never interrupted\n"
    )
    assert said(capsys, *resume, status=0) == ""
    for damaged in ("{", "[]", "3", '{"versions": 3}', "[" * 100_000):
        path.write_text(damaged, encoding="utf-8")
        assert said(capsys, *resume, status=0) == ""
        assert json.loads(path.read_text(encoding="utf-8"))["versions"]["numpy"] == np.__version__


# Networks and optimizers from Python


@pytest.mark.parametrize("when", ["checkpoint", "epoch", "signals", "diverged"])
def test_a_training_that_fails_before_saving_can_be_repeated(
    when: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(every_s=0.0 if when == "checkpoint" else 1e9)
    options: dict[str, Any] = {}
    update = training.optimizer.update

    def failing(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    def twice(params: Any, grads: Any) -> None:
        update(params, grads)
        for _ in range(2 if len(training.optimizer.velocity) else 0):
            signal.raise_signal(signal.SIGINT)

    def spoiled(params: Any, grads: Any) -> None:
        update(params, grads)
        params["W1"] += np.inf

    with monkeypatch.context() as patch:
        if when == "checkpoint":
            patch.setattr(Keeper, "save", failing)
        elif when == "epoch":
            options["on_epoch"] = lambda row: int("no number")
        else:
            training.optimizer.update = twice if when == "signals" else spoiled
        with pytest.raises((OSError, ValueError, Interrupted, DivergedError)):
            training.run(folder, **options)
        training.optimizer.__dict__.pop("update", None)
    assert not list(folder.iterdir()) and training.optimizer.learning_rate == 0.3
    assert outcome(training, training.run(folder, resume=True, every_s=0.0)) == whole_training()


def test_a_diverged_training_resumes_from_its_last_whole_epoch(tmp_path: Path) -> None:
    training = Training(every_s=1e9)
    update, n_updates = training.optimizer.update, 0

    def spoiled(params: Any, grads: Any) -> None:
        nonlocal n_updates
        update(params, grads)
        n_updates += 1
        if n_updates == 8:
            params["W1"] += np.inf

    training.optimizer.update = spoiled
    with pytest.raises(DivergedError):
        training.run(tmp_path)
    assert list(paths(tmp_path)) == [6]
    del training.optimizer.update
    assert outcome(training, training.run(tmp_path, resume=True)) == whole_training()


def test_fault_11_another_unnamed_activation_is_refused(tmp_path: Path) -> None:
    def training(activation: Any) -> Training:
        one = Training()
        one.net = TwoLayerNet(4, 5, 3, activation=activation, seed=1)
        return one

    training(lambda a: np.log(np.abs(a))).run_until(4, tmp_path / "log")  # it is infinite at 0
    with pytest.raises(RunFolderError, match="the training differs in activation's values"):
        training(lambda a: np.log(np.abs(2.0 * a))).run(tmp_path / "log", resume=True)
    training(lambda a: np.tanh(a)).run_until(4, tmp_path)
    for other in (lambda a: np.tanh(1.001 * a), lambda a: np.clip(a, -9.5, 9.5)):
        with pytest.raises(RunFolderError, match="the training differs in activation's values"):
            training(other).run(tmp_path, resume=True)
    assert len(training(lambda a: np.tanh(a)).run(tmp_path, resume=True)) > 2


class Nesterov(SGD):
    """An optimizer that differs from SGD only by name."""


class Counting(SGD):
    """An optimizer whose steps depend on the step number."""

    n_steps: int

    def update(self, params: Any, grads: Any) -> None:
        self.n_steps = getattr(self, "n_steps", 0) + 1
        super().update(params, {key: grad / self.n_steps for key, grad in grads.items()})


def test_fault_11_another_class_of_optimizer_is_refused(tmp_path: Path) -> None:
    Training().run_until(4, tmp_path)
    training = Training()
    training.optimizer = Nesterov(0.3, momentum=0.9, nesterov=True, weight_decay=1e-3)
    with pytest.raises(RunFolderError, match=r"the training differs in optimizer \(SGD in the folder, Nesterov now\)$"):
        training.run(tmp_path, resume=True)


def test_an_optimizer_with_state_beyond_checkpoints_is_refused(tmp_path: Path) -> None:
    training = Training()
    training.optimizer = Counting(0.1)
    with pytest.raises(InvalidTypeError, match=r"changes more as it trains: it has \{.*'n_steps': 1\}, and began with"):
        training.run(tmp_path / "x")
    assert not list((tmp_path / "x").iterdir()) and not training.optimizer.velocity


def test_fault_11_a_users_setting_that_differs_is_refused(tmp_path: Path) -> None:
    ours: dict[str, Any] = {"features": "v1", "width": 0.5, "note": None}
    Training(settings=ours).run_until(4, tmp_path)
    for other, named in (
        (ours | {"features": "v2"}, "differs in features (v1 in the folder, v2 now)"),
        ({}, "differs in features (v1 in the folder, absent now), width (0.5 in the folder, absent now)"),
    ):
        with pytest.raises(RunFolderError, match=re.escape(named)):
            Training(settings=other).run(tmp_path, resume=True)
    assert len(Training(settings=ours).run(tmp_path, resume=True)) > 2
    with pytest.raises(
        InvalidTypeError, match=r"^settings of checkpoints must be text and numbers by name, got 'a': \[1\]$"
    ):
        Training(settings={"a": [1]}).run(tmp_path / "x")
    with pytest.raises(
        InvalidValueError, match=r"^settings of checkpoints: 'seed' is compared already; give yours another"
    ):
        Training(settings={"seed": 1}).run(tmp_path / "x")
    assert not (tmp_path / "x").exists()


class Annealed:
    """A function with a state."""

    n_calls = 0

    def __call__(self) -> float:
        self.n_calls += 1
        return 1.0 / self.n_calls


@pytest.mark.parametrize(("attribute", "value"), [("moments", ({}, 1.0)), ("anneal", Annealed()), ("log", [])])
def test_an_optimizer_with_a_mutable_attribute_is_refused(attribute: str, value: object, folder: Path) -> None:
    training = Training()
    setattr(training.optimizer, attribute, value)
    with pytest.raises(InvalidTypeError, match=f"which has {attribute} besides$"):
        training.run(folder)
    training.optimizer.more = {}
    with pytest.raises(InvalidTypeError, match=f"which has {attribute}, more besides$"):
        training.run(folder)


def test_an_optimizer_may_have_any_names_and_plain_values(folder: Path) -> None:
    def with_attributes(**changes: Any) -> Training:
        training = Training(**changes)
        training.optimizer.seed, training.optimizer.clip, training.optimizer.betas = 9, np.nan, (0.9, np.float32(0.5))
        return training

    with_attributes().run_until(4, folder)
    with pytest.raises(RunFolderError, match=r"the training differs in seed \(3 in the folder, 4 now\)$"):
        with_attributes(seed=4).run(folder, resume=True)
    other = with_attributes()
    other.optimizer.seed = 8
    with pytest.raises(RunFolderError, match=r"the training differs in optimizer's seed \(9 in the folder, 8 now\)$"):
        other.run(folder, resume=True)
    other = with_attributes()
    other.optimizer.betas = (0.9, np.float32(0.25))
    with pytest.raises(RunFolderError, match="the training differs in betas "):
        other.run(folder, resume=True)
    training = with_attributes()
    assert outcome(training, training.run(folder, resume=True)) == whole_training()


def test_a_checkpoint_keeps_a_rate_changed_by_a_callback(folder: Path) -> None:
    def run(*epochs: int, optimizers: int, folder: Path | None) -> Any:
        training = Training(schedule=None, patience=None)
        for number, until in enumerate(epochs):
            if number < optimizers:
                training.optimizer = SGD(0.4)
            rate = training.optimizer

            def halve(row: Any, rate: Any = rate) -> None:
                rate.learning_rate /= 2

            history = training.run(folder, on_epoch=halve, resume=folder is not None, epochs=until)
        return outcome(training, history)

    assert run(2, 4, 6, optimizers=1, folder=folder / "same") == run(6, optimizers=1, folder=None)
    assert run(2, 4, 6, optimizers=3, folder=folder / "new") == run(6, optimizers=1, folder=None)
    training = Training(schedule=None, patience=None)
    training.optimizer = SGD(0.3)
    with pytest.raises(RunFolderError, match=r"the training differs in learning_rate \(0.4 in the folder, 0.3 now\)$"):
        training.run(folder / "same", resume=True)


def test_settings_that_cannot_be_read_back_are_not_written(folder: Path) -> None:
    with pytest.raises(InvalidValueError, match="checkpoints keep 1,048,576 bytes of settings at most, got 1,04"):
        Training(settings={"notes": "x" * 2**20}).run(folder)
    assert not list(folder.iterdir())
    Training(settings={"missing": np.nan}).run_until(4, folder)
    assert len(Training(settings={"missing": np.nan}).run(folder, resume=True)) > 2


def test_an_activation_that_raises_away_from_data_can_be_saved(folder: Path) -> None:
    def inverse(a: Any) -> Any:
        if (a == 0.0).any():
            raise ZeroDivisionError
        return np.tanh(a)

    def training() -> Training:
        one = Training()
        one.net = TwoLayerNet(4, 5, 3, activation=inverse, seed=1)
        return one

    training().run_until(4, folder)
    assert len(training().run(folder, resume=True)) > 2

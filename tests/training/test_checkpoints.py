"""Checkpoints: written whole, the last two kept, and resumed to the same bits from every step."""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from resuming import EPOCHS, N_STEPS, Training, altered, meta, npy, outcome

from tinynet import Checkpoints, History, InvalidTypeError, InvalidValueError, RunFolderError, TwoLayerNet, train
from tinynet.schedules import cosine
from tinynet.storage.reading import digest
from tinynet.training import checkpoints as checkpoint_module
from tinynet.training.checkpoints import Keeper
from tinynet.training.state import paths


@pytest.fixture(scope="module")
def whole() -> Any:
    """Return the outcome of a training that is never interrupted and saves nothing."""
    training = Training()
    return outcome(training, training.run())


def resumed(folder: Path, **changes: Any) -> Any:
    """Return the outcome of a training that goes on from the checkpoints in a folder."""
    training = Training(**changes)
    return outcome(training, training.run(folder, resume=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a training interrupted in step 8, the second of its third epoch."""
    Training().run_until(8, tmp_path / "run")
    return tmp_path / "run"


# The same bits


def test_the_reference_training_stops_early_with_its_best_weights(whole: Any) -> None:
    training = Training()
    history = training.run()
    assert history.stopped_early and 3 < len(history) < EPOCHS
    assert len(set(history["learning_rate"])) > 3
    last = Training()
    last.run(patience=None, epochs=len(history))
    assert outcome(last, history) != whole  # the best ones are restored


def test_a_training_resumed_from_any_step_ends_with_the_same_bits(whole: Any, tmp_path: Path) -> None:
    steps = N_STEPS * len(Training().run())
    for step in range(1, steps + 1):
        folder, number = tmp_path / str(step), (signal.SIGINT, signal.SIGTERM)[step % 2]
        interruption = Training().run_until(step, folder, number)
        assert (interruption.signal, interruption.at_once, max(paths(folder))) == (number, False, step)
        assert resumed(folder) == whole, step
        assert not list(folder.glob(".*"))


def test_a_training_interrupted_at_every_step_keeps_its_bits(whole: Any, tmp_path: Path) -> None:
    steps = N_STEPS * len(Training().run())
    for step in range(1, steps + 1):
        Training().run_until(step, tmp_path, resume=step > 1)
    assert resumed(tmp_path) == whole


def test_figures_measured_during_an_epoch_resume_to_the_same_bits(tmp_path: Path) -> None:
    during: dict[str, Any] = {"measure": "during", "patience": None, "keep": "best", "epochs": 5}
    one = Training(**during)
    wanted = outcome(one, one.run())
    for step in (1, 5, 6, 7, 14):
        Training(**during).run_until(step, tmp_path / str(step))
        assert resumed(tmp_path / str(step), **during) == wanted, step
    Training(**during).run(tmp_path / "short", epochs=2)
    assert resumed(tmp_path / "short", **during) == wanted


def test_the_losses_of_steps_resume_to_the_same_bits(tmp_path: Path) -> None:
    def losses_from(step: int, **changes: Any) -> list[float]:
        training, folder = Training(epochs=2), tmp_path / f"{step} {changes}"
        training.run_until(step, folder)
        return training.run(folder, resume=True, **changes).step_losses

    whole = Training(epochs=2)
    before = whole.net.loss(*whole.data)
    losses = whole.run().step_losses
    first = Training(epochs=1, batch_size=20)  # the batch is all the data
    assert len(losses) == 2 * N_STEPS and first.run().step_losses == pytest.approx([before], rel=1e-12)
    assert all(losses_from(step) == losses for step in (1, 4))
    assert losses_from(4, epochs=3) == [] == Training(epochs=3).run().step_losses


def test_a_checkpoint_in_the_first_format_can_be_resumed(whole: Any, folder: Path) -> None:
    def without(there: dict[str, bytes]) -> None:
        known = json.loads(np.lib.format.read_array(io.BytesIO(there["meta"])).tobytes())
        for name in ("sums", "during"):
            del known[name]
        for name in ("keep", "measure"):
            del known["settings"][name]
        known["format_version"] = 1
        there["meta"] = npy(np.frombuffer(json.dumps(known).encode(), np.uint8))
        there["history"] = npy(np.lib.format.read_array(io.BytesIO(there["history"]))[:, :9])

    for path in paths(folder).values():
        path.write_bytes(altered(path, without))
    training = Training()
    history = training.run(folder, resume=True)
    params, velocity, _, *rest = outcome(training, history)
    assert [params, velocity, *rest] == [*whole[:2], *whole[3:]]
    assert np.isnan(history["gradient_norm"][:2]).all() and history["gradient_norm"][2] > 0


def test_saving_does_not_change_the_training(whole: Any, tmp_path: Path) -> None:
    for resume in (False, True):  # resuming without a checkpoint starts the training
        training, folder = Training(), tmp_path / str(resume) / "b"
        assert outcome(training, training.run(folder, resume=resume)) == whole
        assert len(paths(folder)) == 2


def test_a_finished_training_resumes_without_a_step(whole: Any, tmp_path: Path) -> None:
    Training().run(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert resumed(tmp_path) == whole
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_fewer_epochs_than_were_trained_are_refused(folder: Path) -> None:
    training = Training()
    before = {key: param.copy() for key, param in training.net.params.items()}
    with pytest.raises(InvalidValueError, match="epochs must be at least the 2 that were trained, got 1"):
        training.run(folder, epochs=1, resume=True)
    assert all((training.net.params[key] == before[key]).all() for key in before) and not training.optimizer.velocity
    assert len(training.run(folder, epochs=2, resume=True)) == 2


def test_the_interrupted_optimizer_may_continue_itself(whole: Any, tmp_path: Path) -> None:
    training = Training()
    training.run_until(7, tmp_path)
    assert training.optimizer.velocity
    assert outcome(training, training.run(tmp_path, resume=True)) == whole


def test_a_second_signal_while_saving_leaves_no_half_file(
    whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, n_calls = os.fsync, itertools.count()

    def interrupted(descriptor: int) -> None:
        if not next(n_calls):
            signal.raise_signal(signal.SIGINT)
        fsync(descriptor)

    training = Training(every_s=1e9)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupted)
        error = training.run_until(8, tmp_path)
    assert error.at_once and isinstance(error.history, History) and len(error.history) == 2
    expected = Training(patience=None)
    expected.run(epochs=2)
    assert all((training.net.params[key] == param).all() for key, param in expected.net.params.items())
    assert list(tmp_path.iterdir()) == [tmp_path / "checkpoint-000000006.npz"]
    assert resumed(tmp_path) == whole


# What is refused


def refusal(folder: Path, training: Training | None = None, **changes: Any) -> str:
    """Return why a training is not resumed; check that the folder and the network stay as they are."""
    training = training or Training()
    files = {path: path.read_bytes() for path in folder.iterdir()}
    weights = {key: param.tobytes() for key, param in training.net.params.items()}
    with pytest.raises(RunFolderError) as caught:
        training.run(folder, **{"resume": True} | changes)
    assert {path: path.read_bytes() for path in folder.iterdir()} == files
    assert {key: param.tobytes() for key, param in training.net.params.items()} == weights
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 4}, "seed (3 in the folder, 4 now)"),
        ({"patience": None}, "patience (3 in the folder, None now), keep (best in the folder, last now)"),
        ({"schedule": None}, "schedule (True in the folder, False now), learning_rate (absent in the folder, 0.3 now)"),
        ({"seed": 4, "h": 1e-3}, "seed (3 in the folder, 4 now), h (0.0001 in the folder, 0.001 now)"),
    ],
)
def test_fault_11_another_setting_is_refused_and_named(changes: Any, named: str, folder: Path) -> None:
    assert refusal(folder, **changes) == f"{paths(folder)[8]}: the training differs in {named}"


def test_fault_11_another_momentum_or_rate_is_refused(tmp_path: Path) -> None:
    Training(schedule=None).run_until(4, tmp_path)
    training = Training(schedule=None)
    training.optimizer.learning_rate, training.optimizer.momentum = 0.2, 0.8
    named = "the training differs in momentum (0.9 in the folder, 0.8 now), learning_rate (0.3 in the folder, 0.2 now)"
    assert refusal(tmp_path, training).endswith(named)


@pytest.mark.parametrize("part", ["data", "validation"])
@pytest.mark.parametrize("which", [0, 1])
def test_fault_11_other_data_are_refused(part: str, which: int, folder: Path) -> None:
    training = Training()
    array = getattr(training, part)[which]
    array[-1] = (array[-1] + 1) % 3
    name = "training data" if part == "data" else "validation data"
    assert f"the training differs in {name} (" in refusal(folder, training)


def test_fault_11_another_network_is_refused(folder: Path) -> None:
    training = Training()
    training.net = TwoLayerNet(4, 5, 3, activation="relu", seed=1)
    assert "the training differs in activation (tanh in the folder, relu now)" in refusal(folder, training)
    training.net = TwoLayerNet(4, 6, 3, seed=1)
    assert refusal(folder, training).endswith("the training differs in network (4-5-3 in the folder, 4-6-3 now)")


def test_the_same_data_in_another_layout_are_accepted(whole: Any, folder: Path) -> None:
    training = Training()
    X, y = training.data
    training.data = [np.asfortranarray(X), y.astype(np.int8)]
    training.validation[0] = np.repeat(training.validation[0], 2, axis=0)[::2]
    assert outcome(training, training.run(folder, resume=True)) == whole


def test_fault_11_a_new_training_does_not_overwrite_checkpoints(folder: Path) -> None:
    assert refusal(folder, resume=False) == f"{folder} holds checkpoints already; resume=True goes on from them"


def test_fault_11_the_warning_of_another_schedule_names_the_caller(folder: Path) -> None:
    schedule = cosine(0.9, epochs=13, warmup_epochs=1.5)
    with pytest.warns(UserWarning, match="the schedule is not that of the steps so far") as caught:
        Training().run(folder, resume=True, schedule=schedule, epochs=3)
    assert len(caught) == 1 and Path(caught[0].filename).name == "resuming.py"


def test_checkpoints_are_passed_as_one_object(tmp_path: Path) -> None:
    with pytest.raises(InvalidTypeError, match=r"checkpoints must be tinynet.Checkpoints\(folder, ...\), got '"):
        Training().run(checkpoints=str(tmp_path))


@pytest.mark.parametrize("every_s", [-1.0, math.nan, math.inf])
def test_the_seconds_between_checkpoints_are_checked(every_s: float, tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="every_s must be a finite number at least 0"):
        Training().run(tmp_path / "new", every_s=every_s)
    assert not (tmp_path / "new").exists()


# Custom optimizers


class Own:
    """Momentum descent that replaces its velocity in every step, and has no rate and no __dict__."""

    __slots__ = ("velocity",)

    def __init__(self) -> None:
        self.velocity: Any = {}

    def update(self, params: dict[str, Any], grads: dict[str, Any]) -> None:
        self.velocity = {key: 0.9 * self.velocity.get(key, 0.0) + grads[key] for key in params}
        for key, param in params.items():
            param -= 0.05 * self.velocity[key]


def own(folder: Path | None, epochs: int, optimizer: Any, *, resume: bool = False) -> Any:
    training = Training()
    X, y = training.data
    checkpoints = None if folder is None else Checkpoints(folder, resume=resume)
    train(training.net, X, y, optimizer, epochs=epochs, batch_size=8, seed=0, checkpoints=checkpoints)
    return [param.tobytes() for param in training.net.params.values()]


def test_an_optimizer_may_replace_its_velocity_and_have_no_rate(tmp_path: Path) -> None:
    own(tmp_path, 2, Own())
    assert own(tmp_path, 4, Own(), resume=True) == own(None, 4, Own())


@pytest.mark.parametrize("velocity", [object(), None])
def test_an_optimizer_whose_state_is_not_its_velocity_is_refused(velocity: Any, tmp_path: Path) -> None:
    optimizer = Own()
    optimizer.velocity = velocity
    with pytest.raises(InvalidTypeError, match="checkpoints need an optimizer whose state is its velocity, as SGD's"):
        own(tmp_path / "new", 1, optimizer)
    assert not (tmp_path / "new").exists()


def test_a_velocity_that_cannot_be_read_back_is_not_written(tmp_path: Path) -> None:
    class Odd(Own):
        def update(self, params: dict[str, Any], grads: dict[str, Any]) -> None:
            self.velocity = {key: np.zeros((2, 2)) for key in params}

    message = "^checkpoints need a velocity with the keys, shapes and dtypes of the parameters$"
    with pytest.raises(InvalidTypeError, match=message):
        own(tmp_path, 1, Odd())
    assert not list(tmp_path.iterdir())


# When to save, and how many to keep


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return a clock that moves only when told to."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    return clock


def test_a_checkpoint_inside_an_epoch_is_due_after_every_s(clock: SimpleNamespace, tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, 1.0)
    assert not keeper.is_due() and Keeper(tmp_path, 0.0).is_due()
    clock.now += 1.1
    assert keeper.is_due()


def test_checkpoints_take_no_more_than_2_percent_of_the_time(
    clock: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = 0.0

    def write(path: Path, content: bytes) -> None:
        nonlocal spent
        clock.now, spent = clock.now + 0.2, spent + 0.2

    def train_an_epoch(row: Any) -> None:
        clock.now += 1.0

    monkeypatch.setattr(checkpoint_module, "write_atomically", write)
    Training(every_s=1e9, patience=None, epochs=200).run(tmp_path, on_epoch=train_an_epoch)
    assert 0.018 * 200 < spent < 0.0201 * 200


def test_the_digest_of_the_data_counts_as_checkpoint_time(
    clock: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*arguments: Any) -> dict[str, Any]:
        clock.now += 1.0
        return {}

    monkeypatch.setattr(checkpoint_module, "settings_of", slow)
    saved: list[bool] = []

    def train_an_epoch(row: Any) -> None:
        clock.now += 10.0
        saved.append(bool(paths(tmp_path)))

    Training(every_s=1e9, patience=None, epochs=8).run(tmp_path, on_epoch=train_an_epoch)
    assert saved == [False] * 6 + [True] * 2  # the first after 60 s


def test_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    there = []
    Training(patience=None, epochs=3).run(tmp_path, on_epoch=lambda _: there.append(list(paths(tmp_path))))
    assert there == [[2, 3], [5, 6], [8, 9]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-000000008.npz", "checkpoint-000000009.npz"]


def test_a_checkpoint_is_a_plain_npz_without_pickles(folder: Path) -> None:
    with np.load(paths(folder)[8], allow_pickle=False) as archive:
        kinds = {name: archive[name].dtype.str for name in archive}
    assert set(kinds.values()) == {"<f8", "|u1"}
    assert len(kinds) == 2 + 4 * 4


def test_files_with_other_names_are_not_checkpoints(folder: Path) -> None:
    for name in ("checkpoint-8.npz", "checkpoint-000000008.npz.tmp", "checkpoint-٠٠٠٠٠٠٠٠٩.npz", "model.npz"):
        (folder / name).touch()
    assert list(paths(folder)) == [7, 8]


def test_a_digest_depends_on_numbers_and_shapes() -> None:
    X = np.arange(12.0).reshape(3, 4)
    assert digest(X) == digest(np.asfortranarray(X)) == digest(np.repeat(X, 2, axis=1)[:, ::2])
    others = [digest(), digest(None), digest(None, None), digest(X.T), digest(X, X), digest(X.ravel()), digest(X + 1)]
    assert len({digest(X), *others}) == 8
    large = np.zeros((2**18, 20))[:, ::2]  # in several parts
    before = digest(large)
    large[-1, -1] = 1.0
    assert digest(large) != before


# Damage


def test_fault_34_a_damaged_newest_gives_way_to_the_one_before(whole: Any, folder: Path) -> None:
    newest = paths(folder)[8]
    newest.write_bytes(newest.read_bytes()[:-100])
    training = Training()
    with pytest.warns(UserWarning) as caught:
        history = training.run(folder, resume=True)
    assert outcome(training, history) == whole
    assert str(caught[0].message).startswith(f"{newest}: is cut short or damaged: ")
    assert len(caught) == 1 and Path(caught[0].filename).name == "resuming.py"  # the caller of train


def test_fault_34_a_damaged_checkpoint_is_removed_after_the_next(folder: Path) -> None:
    paths(folder)[8].write_bytes(b"")
    with pytest.warns(UserWarning, match="resuming from"):
        Training(every_s=1e9).run(folder, resume=True, epochs=3)
    assert list(paths(folder)) == [7, 9]


def test_fault_34_a_damaged_step_reached_again_is_saved_as_usual(folder: Path) -> None:
    paths(folder)[8].write_bytes(b"")
    with pytest.warns(UserWarning, match="resuming from"):
        Training().run_until(10, folder, resume=True)  # step 8 is damaged, so it continues from step 7
    assert list(paths(folder)) == [8, 9]
    Training().run_until(10, folder, resume=True)
    assert list(paths(folder)) == [9, 10]


def test_fault_35_a_newer_format_is_refused_with_both_versions(folder: Path) -> None:
    newest = paths(folder)[8]
    newest.write_bytes(altered(newest, lambda there: there.update(meta=meta(there, format_version=3))))
    assert refusal(folder) == (
        f"{newest}: has format version 3, and this tinynet reads 2; "
        "resume with the version of tinynet that wrote it, or a newer one"
    )

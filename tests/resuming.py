"""Shared by the tests of checkpoints: a small training, its interruption, and crafted files."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import signal
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinynet import SGD, Checkpoints, Epoch, History, TwoLayerNet, train
from tinynet.errors import Interrupted
from tinynet.schedules import cosine
from tinynet.training.state import DIGEST, paths

N_STEPS = 3  # steps an epoch; the last batch is smaller
EPOCHS = 8


class Training:
    """A training of 8 epochs that ends early, with momentum, a warm-up and a validation part."""

    def __init__(self, **changes: Any) -> None:
        rng = np.random.default_rng(5)
        self.data: list[Any] = [rng.standard_normal((20, 4)), rng.integers(0, 3, 20)]
        self.validation: list[Any] = [rng.standard_normal((30, 4)), rng.integers(0, 3, 30)]
        self.net = TwoLayerNet(4, 5, 3, seed=1)
        self.optimizer: Any = SGD(0.3, momentum=0.9, nesterov=True, weight_decay=1e-3)
        self.arguments: dict[str, Any] = {
            "epochs": EPOCHS,
            "batch_size": 8,
            "seed": 3,
            "patience": 3,
            "schedule": cosine(0.9, epochs=12, warmup_epochs=1.5),
            "every_s": 0.0,
        } | changes

    def run(self, folder: Path | None = None, **changes: Any) -> History:
        arguments = self.arguments | changes
        own = {name: arguments.pop(name) for name in ("every_s", "settings", "resume") if name in arguments}
        arguments["validation"] = tuple(self.validation)
        if folder is not None:
            arguments["checkpoints"] = Checkpoints(folder, **own)
        X, y = self.data
        return train(self.net, X, y, self.optimizer, **arguments)

    def run_until(self, step: int, folder: Path, number: int = signal.SIGINT, **changes: Any) -> Interrupted:
        """Send a signal in the middle of a step; return how the training was interrupted."""
        update = self.optimizer.update
        n_updates = max(paths(folder), default=0) if folder.is_dir() else 0

        def interrupting(params: Any, grads: Any) -> None:
            nonlocal n_updates
            n_updates += 1
            if n_updates == step:
                os.kill(os.getpid(), number)
            update(params, grads)

        self.optimizer.update = interrupting
        try:
            with pytest.raises(Interrupted) as caught:
                self.run(folder, **changes)
        finally:
            self.optimizer.update = update
        return caught.value


def outcome(training: Training, history: History) -> Any:
    """Return the bits of everything a training leaves, except durations."""
    parts = [training.net.params, training.optimizer.velocity]
    arrays = [{key: array.tobytes() for key, array in part.items()} for part in parts]
    return *arrays, str(untimed(history)), history.stopped_early, training.optimizer.learning_rate


def untimed(history: Any) -> list[Epoch]:
    return [dataclasses.replace(row, duration_s=0.0) for row in history]


def sealed(content: bytes) -> bytes:
    """Return an archive with the digest of a checkpoint, whatever it contains."""
    content = content[:-2] + struct.pack("<H", DIGEST)
    return content + hashlib.sha256(content).hexdigest().encode()


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return an archive of members, with its digest."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", compression) as file:
        warnings.simplefilter("ignore")  # the same name twice
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return sealed(buffer.getvalue())


def members(checkpoint: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(checkpoint) as file:
        return {info.filename.removesuffix(".npy"): file.read(info) for info in file.infolist()}


def npy(array: Any, *, pickled: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asanyarray(array), allow_pickle=pickled)
    return buffer.getvalue()


def altered(checkpoint: Path, change: Callable[[dict[str, bytes]], object]) -> bytes:
    """Return a checkpoint with other members and their digest."""
    there = members(checkpoint)
    change(there)
    return archive(there)


def meta(there: dict[str, bytes], **changes: Any) -> bytes:
    """Return the member meta with other values."""
    values = np.lib.format.read_array(io.BytesIO(there["meta"]))
    return npy(np.frombuffer(json.dumps(json.loads(values.tobytes()) | changes).encode(), np.uint8))

"""The curves of a run as an event file for TensorBoard, written by tensorboardX."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tinynet.config.sections import Config
from tinynet.errors import ConfigError, missing_extra
from tinynet.storage.writing import write_atomically
from tinynet.training.history import Epoch, History

NAME = "events.out.tfevents."  # how TensorBoard recognises its files
FLUSH_EVERY_S = 1.0
TAGS = {  # the part before the slash groups curves
    "loss/train": "train_loss",
    "loss/validation": "validation_loss",
    "accuracy/train": "train_accuracy",
    "accuracy/validation": "validation_accuracy",
    "learning_rate": "learning_rate",
}


def check_tracking(config: Config, source: str) -> None:
    """Raise ConfigError when `config`, which came from `source`, asks for event files and tensorboardX is missing."""
    if not config.training.tensorboard:
        return
    try:
        import tensorboardX  # noqa: F401
    except ImportError as error:
        missing = missing_extra("tensorboardX", "tensorboard")
        raise ConfigError([f"{source}: training.tensorboard: {missing}"]) from error


@contextmanager
def event_file(folder: Path, so_far: History) -> Iterator[Callable[[Epoch], None]]:
    """Write an event file into `folder`, and yield what adds an epoch to it.

    It begins with the epochs `so_far` and replaces the file that a run wrote before it was resumed: no
    epoch is there twice. The steps are epochs, and the times those of an uninterrupted training.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.record_writer import RecordWriter

    for before in folder.glob(f"{NAME}*"):
        write_atomically(before, b"")  # an open TensorBoard moves on to the next file only from one that exists
    wall_time = time.time() - sum(so_far["duration_s"])
    flushed = -math.inf
    path = folder.absolute() / f"{NAME}{time.time_ns()}"
    with closing(RecordWriter(str(path))) as records:  # SummaryWriter's thread hides a full disk

        def add(row: Epoch) -> None:
            nonlocal wall_time, flushed
            wall_time += row.duration_s
            values = {tag: getattr(row, column) for tag, column in TAGS.items()}
            known = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items() if value == value]
            records.write(Event(wall_time=wall_time, step=row.epoch, summary=Summary(value=known)).SerializeToString())
            if time.monotonic() - flushed >= FLUSH_EVERY_S:
                records.flush()
                flushed = time.monotonic()

        for head in (
            Event(wall_time=wall_time, file_version="brain.Event:2"),
            # TensorBoard forgets what it read before
            Event(wall_time=wall_time, session_log=SessionLog(status=SessionLog.START)),
        ):
            records.write(head.SerializeToString())
        for row in so_far:
            add(row)
        yield add

"""One run: a prepared config is trained, and its results are written into a folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import asdict, astuple, dataclass
from typing import Any

from tinynet.artifacts.environment import blas_threads, compare_environments, environment
from tinynet.artifacts.model import model_bytes
from tinynet.artifacts.run_folder import TRAINED, RunFolder, Status, finite
from tinynet.artifacts.stored_runs import StoredRun, Summary, read_config, read_environment
from tinynet.artifacts.tensorboard import event_file
from tinynet.config.building import Run, schedule_of
from tinynet.config.loading import flat
from tinynet.data.samples import balanced_weights
from tinynet.errors import ConfigError, DivergedError, InvalidValueError
from tinynet.reports.plots import plot_loss_curve, save_figure
from tinynet.reports.remarks import kept_weights, remarks
from tinynet.reports.report import write_run_page
from tinynet.reports.scores import score
from tinynet.storage.messages import shown_path
from tinynet.storage.writing import sync_folder
from tinynet.training.checkpoints import Checkpoints
from tinynet.training.history import Epoch, History, csv_line
from tinynet.training.loop import train

PAGE_EVERY_S = 5.0  # while a run is in progress
NO_PICTURES = "This page leaves predictions out, to be quicker; 'tinynet report' with this folder adds them."
PAGE_SHARE = 20  # times as long as the last page took: the least time to the next one


def execute(
    run: Run,
    folder: RunFolder,
    *,
    resume: bool = False,
    progress: bool | Callable[[str], object] = False,
    report: bool = True,
    pictures: bool = True,
    about: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train `run`, write its files into `folder`, and return what summary.json holds.

    Parameters
    ----------
    run : Run
    folder : RunFolder, an empty folder, or one to resume in
    resume : bool, continue from the last checkpoint in the folder, or from the beginning when there is none
    progress : bool or callable, as for `train`
    report : bool, write report.html
    pictures : bool, write loss_curve.png, and what needs the samples into the report: predictions, decision boundaries.
        This takes longer than training a small network.
    about : what environment.json holds, where it is known from another run of this process

    Raises
    ------
    DivergedError
        When the loss stops being finite.
    Interrupted
        On ^C or SIGTERM, when the step under way is finished and saved.
    RunFolderError
        When another process is at work in the folder, or it cannot be resumed; nothing is overwritten.
    OSError
        When a file cannot be written.

    Notes
    -----
    However a run ends, what it has so far is written, and summary.json holds its status: "completed",
    "stopped early", "diverged", "interrupted" or "failed"; a run that was killed has none.
    """
    config, data = run.config, run.dataset
    status = Status.FAILED
    with blas_threads(config.training.threads), folder.only_writer() as check, ExitStack() as files:
        if not resume:
            folder.refuse_if_used()
        writer = RunWriter(run, folder, files, resume, report, pictures, about)
        compared = config.model_dump(include={"optimizer": True, "network": {"weight_scale"}, "training": {"threads"}})
        settings = {"data set": data.digest, **flat(compared)}
        try:
            trained = train(
                run.net,
                data.X_train,
                data.y_train,
                run.optimizer,
                seed=config.seed,
                validation=(data.X_validation, data.y_validation),
                sample_weight=balanced_weights(data.y_train) if config.training.class_weight == "balanced" else None,
                schedule=schedule_of(config),
                on_epoch=writer.add,
                progress=progress,
                **config.gradient.model_dump(),
                **config.training.model_dump(include={"epochs", "batch_size", "patience", "keep", "measure"}),
                checkpoints=Checkpoints(
                    folder.path, config.training.checkpoint_every_s, settings, resume, writer.begin, writer=check
                ),
            )
            status = Status.STOPPED_EARLY if trained.stopped_early else Status.COMPLETED
        except DivergedError:
            status = Status.DIVERGED
            raise
        except KeyboardInterrupt as error:
            status, writer.pictures = Status.INTERRUPTED, pictures and not getattr(error, "at_once", False)
            raise
        except InvalidValueError as error:
            raise ConfigError([f"{shown_path(folder.path)}: training.{error}"]) from error
        finally:
            if writer.history is not None:  # something was written
                check()
                writer.end(status, writer.history)
    return run.summary or {}


@dataclass
class RunWriter:
    """Writes the files of one run: before its first epoch, after every epoch, and at its end.

    The parameters are those of `execute`; `files` closes what stays open.
    """

    run: Run
    folder: RunFolder
    files: ExitStack
    resume: bool
    report: bool
    pictures: bool
    about: dict[str, Any] | None
    history: History | None = None  # until `begin`, when nothing is written yet
    _track: Callable[[Epoch], object] | None = None

    def begin(self, so_far: History) -> None:
        """Write what is known before the first epoch."""
        folder, config = self.folder, self.run.config
        self.about = environment() if self.about is None else self.about
        unchanged = False
        if self.resume:
            with suppress(OSError):  # damaged: it is about to be replaced
                compare_environments(read_environment(folder), self.about)
            with suppress(ConfigError):  # a path of the data may look different from another folder
                unchanged = read_config(folder) == config
        folder.begin(None if unchanged else config, self.about, so_far)
        self._metrics = self.files.enter_context(folder.metrics.open("a", encoding="utf-8", newline=""))
        if config.training.tensorboard:
            self._track = self.files.enter_context(event_file(folder.path, so_far))
        self.history = so_far
        self._started = time.perf_counter() - sum(so_far["duration_s"])
        self._page_due_at = time.perf_counter() + PAGE_EVERY_S

    def add(self, row: Epoch) -> None:
        """Write the measurements of an epoch."""
        self._metrics.write(csv_line(astuple(row)))
        self._metrics.flush()
        if self._track is not None:
            self._track(row)
        now = time.perf_counter()
        if self.report and now >= self._page_due_at:
            with suppress(Exception):  # a page that fails does not stop a training
                self._write_page(None, "The run is under way; its predictions are shown when it has ended.")
            ended = time.perf_counter()
            self._page_due_at = ended + max(PAGE_EVERY_S, PAGE_SHARE * (ended - now))

    def end(self, status: Status, history: History) -> None:
        """Write the results of a run that has ended with this status."""
        took_s = max(time.perf_counter() - self._started, sum(history["duration_s"]))  # an epoch may be resumed
        summary = self.run.summary = _summary(self.run, history, status, took_s)
        os.fsync(self._metrics.fileno())  # before summary.json says that all is written
        try:
            self.folder.end(model_bytes(self.run.net, self.run.dataset), summary)
            if self.report and self.pictures:
                save_figure(plot_loss_curve(history), self.folder.curve)
            if self.report:
                shown = self.run if self.pictures else NO_PICTURES
                # after a run that did not end well, its own error matters more
                with nullcontext() if status in TRAINED else suppress(OSError):
                    self._write_page(Summary.model_validate(finite(summary)), shown)
        finally:
            sync_folder(self.folder.path)

    def _write_page(self, summary: Summary | None, shown: Run | str) -> None:
        """Write report.html from what is in memory."""
        history, about = self.history or History(), self.about or {}
        state = StoredRun(self.folder, self.run.config, history, summary, about, running=summary is None)
        write_run_page(state, shown)


def _summary(run: Run, history: History, status: str, duration_s: float) -> dict[str, Any]:
    data = run.dataset
    measured = len(data.X_test) > 0 and status in TRAINED  # once, at the end
    scores = score(data.y_test, run.net.logits(data.X_test), data.class_counts) if measured else None
    last = history.rows[-1] if len(history) else None
    return {
        "status": status,
        "name": run.config.name,
        "n_parameters": run.net.n_parameters,
        "n_train": len(data.X_train),
        "n_validation": len(data.X_validation),
        "n_test": len(data.X_test),
        "epochs": len(history),
        "final": asdict(last) if last else None,
        "best": asdict(history.best) if last else None,
        "weights": kept_weights(run.config.training, history) if last else None,
        "test_loss": scores and scores["loss"],
        "test_accuracy": scores and scores["accuracy"],
        "test_scores": scores,
        "remarks": [
            *data.remarks,
            *remarks(run.config.training, history, scores, data.class_counts, data.class_names),
            *run.net.slowdown_remarks(),
        ],
        "duration_s": duration_s,
        "data_digest": data.digest,
        "table": list(data.summary),
        "step_losses": history.step_losses,
    }

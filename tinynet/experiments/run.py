"""One run from its config: data, network, training, and the folder that keeps what came out."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from tinynet.artifacts.environment import compare_environments, environment, one_blas_thread
from tinynet.artifacts.model import model_bytes
from tinynet.artifacts.tensorboard import event_file
from tinynet.config.building import Run, schedule_of
from tinynet.config.loading import flat, load_config, shown
from tinynet.config.sections import Config
from tinynet.errors import ConfigError, DivergedError, InvalidValueError, RunFolderError
from tinynet.reports.plots import plot_loss_curve, save_figure
from tinynet.reports.remarks import kept_weights, remarks
from tinynet.reports.scores import score
from tinynet.storage.locks import only_writer
from tinynet.storage.writing import left_behind, make_folder, sync_folder, write_atomically
from tinynet.training.history import Epoch, History, csv_line
from tinynet.training.loop import train


def create_folder(out: str | None, name: str) -> Path:
    """Create the run folder `out`, or a new runs/NAME-TIME, and return it.

    Raises
    ------
    RunFolderError
        When it holds something already, is a file, or cannot be written.
    """
    if out == "":
        raise RunFolderError("command line: --out: must name a folder, got ''")
    try:
        folder = _new_folder(name) if out is None else _empty_folder(Path(out))
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except RunFolderError:
        raise
    except FileExistsError as error:
        raise RunFolderError(f"{shown(str(error.filename))} is a file; a run needs a folder") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        where = shown("runs" if out is None else out)
        raise RunFolderError(f"{where}: cannot be written: {reason}; choose another folder with --out") from error


def _new_folder(name: str) -> Path:
    """Create runs/NAME-TIME; a command of the same second gets a number behind it."""
    make_folder(Path("runs"))
    stem, number = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}", 1
    while True:
        folder = Path("runs", stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir()
            sync_folder(folder.parent)
            return folder
        except FileExistsError:
            number += 1


def _empty_folder(folder: Path) -> Path:
    make_folder(folder)
    if (folder / ".lock").exists():
        with only_writer(folder):  # who is at work there is named first
            pass
    refuse_a_run(folder)
    if any(not left_behind(path.name) for path in folder.iterdir()):
        raise RunFolderError(f"{shown(str(folder))} is not empty; choose another folder with --out")
    return folder


def refuse_a_run(folder: Path) -> None:
    """Raise RunFolderError when `folder` holds a run or a sweep."""
    for name, what in (("config.json", "run"), ("sweep.json", "sweep")):
        if (folder / name).exists():
            raise RunFolderError(
                f"{shown(str(folder))} holds a {what} already; "
                "--resume goes on with it, or choose another folder with --out"
            )


@one_blas_thread()
def execute(
    run: Run,
    folder: Path,
    *,
    resume: bool = False,
    progress: bool = False,
    report: bool = True,
    about: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train `run`, write its files into `folder`, and return what summary.json holds.

    Parameters
    ----------
    run : Run
    folder : Path, an empty folder, or one to resume in
    resume : bool, go on from the last checkpoint in the folder, or from the beginning when there is none
    progress : bool, show a progress bar on stderr
    report : bool, draw what is for people to look at, which takes longer than training a small network
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
    history: History | None = None
    status, draw = "failed", report
    with only_writer(folder) as check, ExitStack() as files:
        if not resume:
            refuse_a_run(folder)
        started = time.perf_counter()
        metrics: TextIO
        track: Callable[[Epoch], object] | None = None

        def begin(so_far: History) -> None:
            nonlocal history, metrics, track, started
            here = environment() if about is None else about
            if resume:
                compare_environments(folder, here)
            if not (resume and _holds(folder, config)):  # as seen from elsewhere its data may have another name
                write_atomically(folder / "config.json", config.to_json(folder).encode())
            write_atomically(folder / "environment.json", _json(here))
            write_atomically(folder / "metrics.csv", so_far.to_csv().encode())
            (folder / "summary.json").unlink(missing_ok=True)
            metrics = files.enter_context((folder / "metrics.csv").open("a", encoding="utf-8", newline=""))
            if config.training.tensorboard:
                track = files.enter_context(event_file(folder, so_far))
            history, started = so_far, time.perf_counter() - sum(so_far["duration_s"])

        try:
            trained = train(
                run.net,
                data.X_train,
                data.y_train,
                run.optimizer,
                epochs=config.training.epochs,
                batch_size=config.training.batch_size,
                seed=config.seed,
                X_validation=data.X_validation,
                y_validation=data.y_validation,
                h=config.gradient.h,
                method=config.gradient.method,
                patience=config.training.patience,
                schedule=schedule_of(config),
                on_start=begin,
                on_epoch=lambda row: _record(row, metrics, track),
                progress=progress,
                checkpoint_dir=folder,
                checkpoint_every_s=config.training.checkpoint_every_s,
                checkpoint_settings={"data set": data.digest, **flat({"optimizer": config.optimizer.model_dump()})},
                resume=resume,
            )
            status = "stopped early" if trained.stopped_early else "completed"
        except DivergedError:
            status = "diverged"
            raise
        except KeyboardInterrupt as error:
            status, draw = "interrupted", report and not getattr(error, "at_once", False)
            raise
        except InvalidValueError as error:
            raise ConfigError([f"{shown(str(folder))}: training.{error}"]) from error
        finally:
            if history is not None:
                duration_s = max(time.perf_counter() - started, sum(history["duration_s"]))  # an epoch may be resumed
                check()
                summary = run.summary = _summary(run, history, status, duration_s)
                os.fsync(metrics.fileno())  # before summary.json says that they are whole
                _write_results(run, folder, history, summary, draw)
    return summary


def _holds(folder: Path, config: Config) -> bool:
    with suppress(ConfigError):
        return load_config(str(folder / "config.json")) == config
    return False


def _record(row: Epoch, metrics: TextIO, track: Callable[[Epoch], object] | None) -> None:
    metrics.write(csv_line(astuple(row)))
    metrics.flush()
    if track is not None:
        track(row)


def _summary(run: Run, history: History, status: str, duration_s: float) -> dict[str, Any]:
    data = run.dataset
    measured = len(data.X_test) > 0 and status in ("completed", "stopped early")  # once, at the end
    counts = np.bincount(data.y_train, minlength=data.n_classes)
    scores = score(data.y_test, run.net.logits(data.X_test), counts) if measured else None
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
        "remarks": remarks(run.config.training, history, scores, counts, data.class_names),
        "duration_s": duration_s,
        "data_digest": data.digest,
    }


def _write_results(run: Run, folder: Path, history: History, summary: dict[str, Any], report: bool) -> None:
    write_atomically(folder / "model.npz", model_bytes(run.net, run.dataset))
    write_atomically(folder / "summary.json", _json(summary))
    sync_folder(folder)
    if report:
        save_figure(plot_loss_curve(history), folder / "loss_curve.png")


def _json(values: dict[str, Any]) -> bytes:
    def finite(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: finite(inner) for key, inner in value.items()}
        return None if isinstance(value, float) and not np.isfinite(value) else value

    return (json.dumps(finite(values), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()

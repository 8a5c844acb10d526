"""One run from its config: data, network, training, and the folder that keeps what came out."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from tinynet.datasets import Dataset, load_dataset
from tinynet.errors import DivergedError, RunFolderError
from tinynet.experiments.config import Config
from tinynet.experiments.plots import plot_loss_curve, save_figure
from tinynet.history import COLUMNS, Epoch, History, csv_line
from tinynet.network import TwoLayerNet
from tinynet.optimizers import SGD
from tinynet.training import evaluate, train


@dataclass
class Run:
    """A prepared run: everything that can be wrong in the config has been found out."""

    config: Config
    dataset: Dataset
    net: TwoLayerNet
    optimizer: SGD


def prepare(config: Config) -> Run:
    """Load the data and build the network and the optimizer of `config`.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        When the data, the sizes or the hyper-parameters cannot be used. Nothing is written.
    """
    d = config.dataset
    dataset = load_dataset(
        d.name,
        seed=config.seed,
        validation_size=d.validation_size,
        test_size=d.test_size,
        scaling=d.scaling,
        **d.options,
    )
    n = config.network
    net = TwoLayerNet(
        dataset.n_features,
        n.hidden_units,
        dataset.n_classes,
        activation=n.activation,
        weight_scale=n.weight_scale,
        seed=config.seed,
    )
    return Run(config, dataset, net, SGD(**config.optimizer.model_dump()))


def create_folder(out: str | None, name: str) -> Path:
    """Create the run folder `out`, or runs/NAME-TIME, and return it.

    Raises
    ------
    RunFolderError
        When it holds something already, is a file, or cannot be written.
    """
    folder = Path(out) if out is not None else _fresh(Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}")
    try:
        if (folder / "config.json").exists():
            raise RunFolderError(f"{folder} holds a run already; choose another folder with --out, or remove it")
        if folder.is_dir() and any(folder.iterdir()):
            raise RunFolderError(f"{folder} is not empty; choose another folder with --out")
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except FileExistsError as error:
        raise RunFolderError(f"{folder} is a file; a run needs a folder") from error
    except (OSError, ValueError) as error:
        if isinstance(error, RunFolderError):
            raise
        reason = error.strerror if isinstance(error, OSError) else error
        raise RunFolderError(f"cannot write a run into {folder}: {reason}") from error
    return folder


def execute(run: Run, folder: Path, *, progress: bool = False) -> dict[str, Any]:
    """Train `run`, write its files into `folder`, and return what summary.json holds.

    Parameters
    ----------
    run : Run
    folder : Path, an empty folder
    progress : bool, show a progress bar on stderr

    Raises
    ------
    DivergedError
        When the loss stops being finite. Everything up to the last good epoch is written.
    OSError
        When a file cannot be written.
    """
    config, data = run.config, run.dataset
    write_atomically(folder / "config.json", config.to_json().encode())
    write_atomically(folder / "environment.json", _json(environment()))
    history, started, status = History(), time.perf_counter(), "failed"
    try:
        with (folder / "metrics.csv").open("w", encoding="utf-8", newline="") as metrics:
            metrics.write(csv_line(COLUMNS))
            metrics.flush()
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
                on_epoch=_recorder(history, metrics),
                progress=progress,
            )
        status = "stopped early" if trained.stopped_early else "completed"
    except DivergedError:
        status = "diverged"
        raise
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        if status != "failed":
            summary = _summary(run, history, status, time.perf_counter() - started)
            _write_results(run, folder, history, summary)
    return summary


def environment() -> dict[str, Any]:
    """Return versions, platform, BLAS and its threads, and the git commit of the current folder if any."""
    from importlib.metadata import version

    from threadpoolctl import threadpool_info

    packages = ("tinynet", "numpy", "scipy", "scikit-learn", "matplotlib", "pydantic")
    return {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "blas": [
            {key: library.get(key) for key in ("internal_api", "version", "architecture", "num_threads")}
            for library in threadpool_info()
            if library["user_api"] == "blas"
        ],
        "git_commit": _git_commit(),
    }


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _recorder(history: History, metrics: Any) -> Callable[[Epoch], None]:
    def record(row: Epoch) -> None:
        history.rows.append(row)
        metrics.write(csv_line(astuple(row)))
        metrics.flush()

    return record


def _summary(run: Run, history: History, status: str, duration_s: float) -> dict[str, Any]:
    data = run.dataset
    measured = len(data.X_test) > 0 and status != "diverged"
    loss, accuracy = evaluate(run.net, data.X_test, data.y_test) if measured else (None, None)
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
        "test_loss": loss,
        "test_accuracy": accuracy,
        "duration_s": duration_s,
    }


def _write_results(run: Run, folder: Path, history: History, summary: dict[str, Any]) -> None:
    write_atomically(folder / "model.npz", model_bytes(run))
    write_atomically(folder / "summary.json", _json(summary))
    save_figure(plot_loss_curve(history), folder / "loss_curve.png")


def model_bytes(run: Run) -> bytes:
    """Return model.npz: parameters, activation, scaling and names; no pickled object."""
    scaling = run.dataset.scaling
    buffer = BytesIO()
    arrays: dict[str, Any] = run.net.params | {
        "activation": np.array(run.net.activation.name),
        "offset": scaling.offset,
        "scale": scaling.scale,
        "class_names": np.array(run.dataset.class_names),
        "feature_names": np.array(run.dataset.feature_names),
    }
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _json(values: dict[str, Any]) -> bytes:
    def finite(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: finite(inner) for key, inner in value.items()}
        return None if isinstance(value, float) and not np.isfinite(value) else value

    return (json.dumps(finite(values), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _git_commit() -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(
            [git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=5
        ).stdout.strip()
    return None


def _fresh(folder: Path) -> Path:
    candidate, number = folder, 2
    while candidate.exists():
        candidate, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    return candidate

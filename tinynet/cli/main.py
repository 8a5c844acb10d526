"""The command line: call, print, and turn every error into one line and an exit status."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinynet.cli.parser import parsed
from tinynet.errors import ConfigError, DivergedError, RunFolderError, TinynetError
from tinynet.storage.reading import shown_path
from tinynet.training.interrupts import termination_raised

if TYPE_CHECKING:
    from tinynet.artifacts.model import Model
    from tinynet.artifacts.run_folder import RunFolder
    from tinynet.experiments.axes import Grid
    from tinynet.experiments.workers import Backend

DONE, WRONG_INPUT, FAILED = 0, 2, 3
MOST_COMPLAINTS = 5


@termination_raised()
def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status: 0 done, 2 wrong input, 3 failed, 130 or 143 interrupted."""
    _prepare_streams()
    _spare_the_collector()
    try:
        options = parsed(sys.argv[1:] if arguments is None else arguments)
        with _notes():
            return COMMANDS[options.command](options)
    except ConfigError as error:
        for fault in error.faults:
            _complain(fault)
        return WRONG_INPUT
    except TinynetError as error:
        for fault in str(error).splitlines():
            _complain(fault)
        return WRONG_INPUT
    except KeyboardInterrupt as error:
        _complain("interrupted")
        return _interrupted(error)
    except OSError as error:
        _complain(f"failed: {f'{error.filename}: ' if error.filename else ''}{error.strerror or error}")
        return FAILED
    except MemoryError as error:
        _complain(f"failed: out of memory: {error}")
        return FAILED
    except Exception as error:
        interrupt = _interrupt_behind(error)
        if interrupt is None:
            raise
        _complain("interrupted")
        return _interrupted(interrupt)
    finally:
        _flush()


def _interrupt_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the ^C that broke what then failed otherwise: a lock, an import."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error


def _train(options: argparse.Namespace) -> int:
    from tinynet.artifacts.run_folder import FINAL, create_folder
    from tinynet.config.loading import load_config, origin

    source, quiet = options.config, options.quiet
    if options.resume:
        from tinynet.artifacts.stored_runs import load_resumed

        folder = _folder_to_resume(options, "config")
        config = load_resumed(folder, source, options.overrides)
        source = source or str(folder.config)
    else:
        config = load_config(source, options.overrides)

    os.environ["MPLBACKEND"] = "agg"  # a run draws into a file, whatever display somebody has set up
    from tinynet.artifacts.tensorboard import check_tracking
    from tinynet.config.building import prepare
    from tinynet.data.remarks import what_was_done
    from tinynet.experiments.run import execute

    check_tracking(config, where := origin(source, options.overrides))
    run = prepare(config, where)
    folder = folder if options.resume else create_folder(options.out, config.name)
    if not quiet:
        sizes = "-".join(str(size) for size in (run.dataset.n_features, *run.net.shapes["W2"]))
        _say(
            f"{config.name}: network {sizes} ({run.net.activation.name}), {run.net.n_parameters:,} parameters; "
            f"{len(run.dataset.X_train):,} training samples"
        )
        for done in what_was_done(run.dataset.summary):
            _say(f"table          {done}")
    try:
        summary = execute(run, folder, resume=options.resume, progress=not quiet and _complain)
    except DivergedError as error:
        _complain(f"{error}; the weights of the last good epoch are in {shown_path(folder.model)}")
        return FAILED
    except KeyboardInterrupt as error:
        _complain(f"interrupted; {_how_to_resume(folder)}")
        return _interrupted(error)
    except RunFolderError:
        raise
    except OSError as error:
        if run.summary is not None and run.summary["status"] in FINAL and not quiet:
            _conclude(run.summary)  # the figures are all that is left of the training
        where = shown_path(str(error.filename or folder.path))
        _complain(f"the run failed: {where}: {error.strerror or error}; {_how_to_resume(folder)}")
        return FAILED
    if not quiet:
        _conclude(summary)
        _say(f"curve          {folder.curve}")
        _say(f"report         {folder.report}")
    return DONE


def _how_to_resume(folder: RunFolder) -> str:
    """Return what to type after a run broke off: one that has not written its first file cannot be resumed."""
    with suppress(OSError):  # a folder that was moved away is resumed where it is
        if folder.config.name not in os.listdir(folder.path):
            return "nothing of it was saved yet; run the command again"
    return f"resume with: {folder.resume_command()}"


def _folder_to_resume(options: argparse.Namespace, file: str) -> RunFolder:
    """Return the folder of --out, or that of CONFIG, which is its "config" or "sweep"."""
    from tinynet.artifacts.run_folder import RunFolder

    if options.out == "":
        raise RunFolderError("command line: --out: must name a folder, got ''")
    if options.out is not None:
        return RunFolder(options.out)
    folder = RunFolder(os.path.dirname(options.config or "") or ".")
    name = str(getattr(folder, file).name)
    if os.path.basename(options.config or "") != name:
        raise ConfigError([f"command line: --resume: name the folder with --out, or its {name} as CONFIG"])
    return folder


def _interrupted(error: KeyboardInterrupt) -> int:
    return 128 + int(getattr(error, "signal", signal.SIGINT))


def _sweep(options: argparse.Namespace) -> int:
    from tinynet.config.loading import origin
    from tinynet.experiments.axes import load_grid

    if options.dask not in (None, "local") and options.jobs is not None:
        raise ConfigError(["command line: --jobs: the cluster of --dask has workers of its own; leave one of them out"])
    if options.resume:
        options.out = str(_folder_to_resume(options, "sweep").path)
    grid = load_grid(options.config, options.overrides, many=options.yes or options.resume)

    from tinynet.experiments.sweep import check_data, create_sweep_folder, open_sweep_folder
    from tinynet.experiments.workers import choose_backend

    started = time.perf_counter()
    if options.resume:
        open_sweep_folder(options.out, grid)
    check_data(grid, origin(options.config, options.overrides))
    with choose_backend(options.dask, options.jobs, len(grid.settings)) as (backend, where):
        folder = (open_sweep_folder if options.resume else create_sweep_folder)(options.out, grid)
        if not options.quiet:
            axes = " × ".join(f"{len(axis)} {key}" for key, axis in grid.axes.items())
            _say(f"{grid.name}: {len(grid.settings):,} runs ({axes}) {where}")
        rows, status = _sweep_rows(grid, folder, backend, options)
    from tinynet.artifacts.run_folder import FINAL

    if rows and not options.quiet:
        from tinynet.experiments.sweep_table import counts, results_table

        _say(f"\n{results_table(grid, rows)}\n")
        _say(f"runs           {counts(rows)}")
        _say(f"time           {time.perf_counter() - started:.1f} s")
        _say(f"table          {folder.sweep_table}")
    if any(row["status"] in FINAL for row in rows):
        from tinynet.reports.report import write_report

        try:
            report = write_report([folder.path])
        except RunFolderError as error:  # nothing that the user asked for: the disk may be full
            _complain(str(error))
            return FAILED
        if not options.quiet:
            _say(f"report         {report}")
    return status


def _sweep_rows(
    grid: Grid, folder: RunFolder, backend: Backend, options: argparse.Namespace
) -> tuple[list[dict[str, Any]], int]:
    """Return a row a run and the exit status; what did not finish is said, and how to resume."""
    from tinynet.experiments.sweep import run_grid

    kept = [f"--{name} {value}" for name in ("jobs", "dask") if (value := getattr(options, name)) is not None]
    resume = folder.resume_command(*kept, *([] if options.reports else ["--no-reports"]))
    try:
        shown = not options.quiet and sys.stderr is not None
        rows = run_grid(grid, folder, backend, progress=shown, reports=options.reports)
    except KeyboardInterrupt as error:
        _complain(f"interrupted; the runs that finished are kept; resume with: {resume}")
        return [], _interrupted(error)
    except RunFolderError:
        raise
    except OSError as error:
        reason = f"{shown_path(str(error.filename or folder.path))}: {error.strerror or error}"
        _complain(f"the sweep failed: {reason}; the runs that finished are kept; resume with: {resume}")
        return [], FAILED
    unfinished = [row for row in rows if row["status"] in ("failed", "killed", "missing")]
    for row in unfinished[:MOST_COMPLAINTS]:
        _complain(f"{row['run']}: {row['status']}: {row['error']}")
    if unfinished:
        _complain(f"{len(unfinished)} of {len(rows)} runs did not finish; run them again with: {resume}")
    return rows, FAILED if unfinished else DONE


def _conclude(summary: dict[str, Any]) -> None:
    from tinynet.reports.scores import score_lines

    final, epochs = summary["final"], summary["epochs"]
    for line in score_lines(summary["test_scores"]) or ["test accuracy  not measured: dataset.test_size is 0"]:
        _say(line)
    _say(f"weights        {summary['weights']}")
    _say(
        f"time           {summary['duration_s']:.1f} s  ({epochs} epoch{'' if epochs == 1 else 's'}, "
        f"{'stopped early, ' if summary['status'] == 'stopped early' else ''}{final['step']} steps; "
        f"a loop needs {final['loss_evaluations']:,} loss evaluations)"
    )
    for remark in summary["remarks"]:
        _say(f"note           {remark}")


def _report(options: argparse.Namespace) -> int:
    os.environ["MPLBACKEND"] = "agg"
    from tinynet.reports.report import write_report

    _say(f"report         {write_report(options.folders, options.output)}")
    return DONE


def _check(options: argparse.Namespace) -> int:
    from tinynet.config.loading import load_config, origin

    config, source = load_config(options.config, options.overrides), origin(options.config, options.overrides)

    os.environ["MPLBACKEND"] = "agg"
    from tinynet.artifacts.run_folder import create_folder
    from tinynet.checking.network_report import check_report
    from tinynet.checking.parity import require_derivative
    from tinynet.checking.parity_report import parity_report
    from tinynet.config.building import prepare

    run = prepare(config, source)
    if options.parity:
        require_derivative(run, source)
    folder = None if options.out is None else create_folder(options.out, config.name)
    try:
        report = parity_report(run, progress=True) if options.parity else check_report(run)
    except DivergedError as error:
        _complain(f"{error}")
        return FAILED
    _say(report.text.rstrip("\n"))
    if folder is not None:
        _say(f"\nfigure         {report.write(folder.path)}")
    if report.fault is not None:
        _complain(report.fault)
        return FAILED
    return DONE


def _predict(options: argparse.Namespace) -> int:
    from tinynet.artifacts.model import load_model, predictions_csv
    from tinynet.artifacts.run_folder import RunFolder

    model, output = load_model(options.run), options.output
    _check_there(options.file, model)
    rows = model.read(options.file)
    text = predictions_csv(model, rows, spreadsheet=options.spreadsheet)
    _tell_unknown(model.unknown_levels(rows))
    for taken, what in ((options.file, "rows to predict"), (RunFolder(options.run).model, "trained network")):
        if output is not None and os.path.exists(output) and os.path.samefile(output, taken):
            raise ConfigError([f"command line: --output: {output} holds the {what}, and would be overwritten"])
    return _deliver(text, output)


def _check_there(file: str, model: Model) -> None:
    """Raise ConfigError for a file of rows that is not there, and say what it has to hold."""
    if not os.path.exists(file):
        names = model.feature_names if model.preparation is None else model.preparation.columns
        columns = ", ".join(map(repr, names[:6])) + ", ..." * (len(names) > 6)
        what = f"it must be CSV with the columns {columns}, or an .npz with X of {len(names)} columns"
        raise ConfigError([f"{shown_path(file)}: cannot be read: No such file or directory; {what}"])


def _tell_unknown(levels: dict[str, int]) -> None:
    for column, n in levels.items():
        row = "1 row has" if n == 1 else f"{n:,} rows have"
        _complain(f"note: {row} in column {column!r} what training never saw; none of its 0/1 columns is 1 there")


def _evaluate(options: argparse.Namespace) -> int:
    from tinynet.artifacts.model import load_model
    from tinynet.reports.evaluation import evaluate_file

    model = load_model(options.run)
    _check_there(options.file, model)
    found = evaluate_file(model, options.file)
    _tell_unknown(found.unknown)
    if options.output is not None:
        _deliver(found.page, options.output)
    return _deliver(found.json if options.json else found.text, None)


def _export(options: argparse.Namespace) -> int:
    from tinynet.artifacts.model import load_model
    from tinynet.artifacts.onnx_export import CHECKED_ROWS, TOLERANCE, export_onnx

    export_onnx(load_model(options.run), options.file)
    _say(f"model          {options.file}")
    _say(f"checked        by onnxruntime, on {CHECKED_ROWS:,} rows: the same probabilities within {TOLERANCE:g}")
    return DONE


def _presets(options: argparse.Namespace) -> int:
    from tinynet.config.loading import OWN_TABLE, preset_names, preset_text

    if options.name is not None:
        from tinynet.config.documentation import commented_preset

        _say(commented_preset(options.name).rstrip("\n"))
        return DONE
    for preset in preset_names():
        _say(f"{preset:15}{preset_text(preset).splitlines()[0].removeprefix('# ')}")
    _say(f"{'csv':15}{OWN_TABLE}")
    return DONE


def _schema(options: argparse.Namespace) -> int:
    from tinynet.config.documentation import key_table, schema_text

    return _deliver(key_table() if options.markdown else schema_text(), options.output)


def _completion(options: argparse.Namespace) -> int:
    from tinynet.cli.completion import completion_script

    _say(completion_script(options.shell).rstrip("\n"))
    return DONE


def _deliver(content: str | bytes, output: str | None) -> int:
    """Write text, or a page, to the file `output`, or text to stdout when it is None."""
    if output is None:
        _say(str(content).rstrip("\n"))
        return DONE
    from tinynet.storage.writing import write_named

    try:
        write_named(Path(output), content.encode() if isinstance(content, str) else content)
    except (RunFolderError, ValueError) as error:
        reason = getattr(error.__cause__, "strerror", error)
        raise ConfigError([f"command line: --output: {output!r} cannot be written: {reason}"]) from error
    return DONE


COMMANDS = {
    "train": _train,
    "sweep": _sweep,
    "report": _report,
    "check": _check,
    "predict": _predict,
    "evaluate": _evaluate,
    "export": _export,
    "presets": _presets,
    "schema": _schema,
    "completion": _completion,
}


@contextmanager
def _notes() -> Iterator[None]:
    """Print every warning once, in one line."""
    with warnings.catch_warnings():
        warnings.filterwarnings("default", category=UserWarning)
        warnings.showwarning = lambda message, *_, **__: _complain(f"note: {' '.join(str(message).split())}")
        yield


def _prepare_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _spare_the_collector() -> None:
    """Look for garbage rarely while libraries load, and no more at the end: 0.2 to 0.4 s of a command."""
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)


def _say(text: str) -> None:
    """Print to stdout; a reader who has gone away is no reason to stop, a full disk is."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, "stdout") from error


def _complain(text: str) -> None:
    if sys.stderr is not None:  # print would take None for stdout
        with suppress(OSError):
            print(f"tinynet: {text}", file=sys.stderr, flush=True)


def _flush() -> None:
    """Send what a broken stream still holds nowhere, so that the interpreter's last flush succeeds."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            with suppress(OSError):  # not a real file
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

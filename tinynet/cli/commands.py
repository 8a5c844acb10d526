"""The commands: each calls what does the work and prints what came out, and imports what it needs when it runs."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinynet.cli.streams import complain, say
from tinynet.errors import ConfigError, DivergedError, RunFolderError
from tinynet.storage.messages import shown_path

if TYPE_CHECKING:
    from tinynet.artifacts.model import Model
    from tinynet.artifacts.run_folder import RunFolder

MAX_COMPLAINTS = 5
FAILED = 3


def train(options: argparse.Namespace) -> None:
    """Train a network and write a run folder."""
    from tinynet.artifacts.run_folder import TRAINED, create_folder
    from tinynet.config.loading import load_config, origin

    if options.resume:
        from tinynet.artifacts.stored_runs import load_resumed

        folder = _folder_to_resume(options, "config")
        config = load_resumed(folder, options.config, options.overrides)
    else:
        config = load_config(options.config, options.overrides)

    from tinynet.artifacts.tensorboard import check_tracking
    from tinynet.config.building import prepare
    from tinynet.data.remarks import what_was_done
    from tinynet.experiments.run import execute

    check_tracking(config, where := origin(options.config or str(folder.config), options.overrides))
    run = prepare(config, where)
    folder = folder if options.resume else create_folder(options.out, config.name)
    if not options.quiet:
        sizes = "-".join(str(size) for size in (run.dataset.n_features, *run.net.shapes["W2"]))
        say(
            f"{config.name}: network {sizes} ({run.net.activation.name}), {run.net.n_parameters:,} parameters; "
            f"{len(run.dataset.X_train):,} training samples"
        )
        _say_columns(what_was_done(run.dataset.summary))
    try:
        with _saying_how_to_resume(folder, lambda: _how_to_resume(folder)):
            execute(run, folder, resume=options.resume, progress=not options.quiet and complain)
    except DivergedError as error:
        error.add_note(f"the weights of the last good epoch are in {shown_path(folder.model)}")
        raise
    finally:  # also when the files cannot be written: then the figures are all that is left
        if run.summary is not None and run.summary["status"] in TRAINED and not options.quiet:
            _conclude(run.summary)
    if not options.quiet:
        say(f"curve          {folder.curve}")
        say(f"report         {folder.report}")


def sweep(options: argparse.Namespace) -> int:
    """Train every combination of some settings."""
    from tinynet.config.loading import origin
    from tinynet.experiments.axes import load_grid

    if options.dask not in (None, "local") and options.jobs is not None:
        raise ConfigError(["command line: --jobs: the cluster of --dask has workers of its own; leave one of them out"])
    folder = _folder_to_resume(options, "sweep") if options.resume else None
    if folder is not None and not folder.sweep.is_file():
        why = f"there is no {folder.sweep.name} in it"
        raise RunFolderError(f"{shown_path(folder.path)} holds no sweep to resume: {why}")
    options.config = options.config or str(folder and folder.sweep)
    grid = load_grid(options.config, options.overrides, many=options.yes or options.resume)

    from tinynet.artifacts.run_folder import FINAL
    from tinynet.experiments.sweep import check_data, create_sweep_folder, refuse_another_sweep, run_grid
    from tinynet.experiments.sweep_table import counts, results_table
    from tinynet.experiments.workers import choose_backend

    started = time.perf_counter()
    if folder is not None:
        refuse_another_sweep(folder, grid)
    columns = check_data(grid, origin(options.config, options.overrides))
    with choose_backend(options.dask, options.jobs, len(grid.combinations)) as (backend, where):
        folder = folder or create_sweep_folder(options.out, grid)
        kept = [f"--{name} {value}" for name in ("jobs", "dask") if (value := getattr(options, name)) is not None]
        resume = folder.resume_command(*kept, *["--no-reports"] * options.no_reports)
        if not options.quiet:
            axes = " × ".join(f"{len(axis)} {key}" for key, axis in grid.axes.items())
            say(f"{grid.name}: {len(grid.combinations):,} runs ({axes}) {where}")
            _say_columns(columns)
        with _saying_how_to_resume(folder, lambda: f"the runs that finished are kept; resume with: {resume}"):
            rows = run_grid(grid, folder, backend, progress=not options.quiet, reports=not options.no_reports)
    unfinished = [row for row in rows if row["status"] in ("failed", "killed", "missing")]
    for row in unfinished[:MAX_COMPLAINTS]:
        complain(f"{row['run']}: {row['status']}: {row['error']}")
    if unfinished:
        complain(f"{len(unfinished)} of {len(rows)} runs did not finish; run them again with: {resume}")
    if not options.quiet:
        say(f"\n{results_table(grid, rows)}\n")
        say(f"runs           {counts(rows)}")
        say(f"time           {time.perf_counter() - started:.1f} s")
        say(f"table          {folder.sweep_table}")
    if any(row["status"] in FINAL for row in rows):
        from tinynet.reports.report import write_report

        try:
            page = write_report([folder.path])
        except RunFolderError as error:  # the runs are there all the same: the disk may be full
            complain(str(error))
            return FAILED
        if not options.quiet:
            say(f"report         {page}")
    return FAILED if unfinished else 0


def _folder_to_resume(options: argparse.Namespace, file: str) -> RunFolder:
    """Return the folder of --out, or that of CONFIG, which is its "config" or "sweep"."""
    from tinynet.artifacts.run_folder import RunFolder

    if options.out:
        return RunFolder(options.out)
    folder = RunFolder(os.path.dirname(options.config or "") or ".")
    name = str(getattr(folder, file).name)
    if os.path.basename(options.config or "") != name:
        raise ConfigError([f"command line: --resume: name the folder with --out, or its {name} as CONFIG"])
    if options.out is not None:
        raise ConfigError(["command line: --out: must name a folder, got ''"])
    return folder


@contextmanager
def _saying_how_to_resume(folder: RunFolder, how: Callable[[], str]) -> Iterator[None]:
    """Add to an error that ends the work in `folder` how to resume it."""
    try:
        yield
    except RunFolderError:  # nothing was begun
        raise
    except (KeyboardInterrupt, OSError) as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(folder.path)
        error.add_note(how())
        raise


def _how_to_resume(folder: RunFolder) -> str:
    """Return what to type after a run was broken off; it can be resumed once its first file is written."""
    with suppress(OSError):  # a folder that was moved away can be resumed there
        if folder.config.name not in os.listdir(folder.path):
            return "nothing of it was saved yet; run the command again"
    return f"resume with: {folder.resume_command()}"


def _say_columns(lines: Iterable[str]) -> None:
    for line in lines:
        say(f"table          {line}")


def _conclude(summary: dict[str, Any]) -> None:
    from tinynet.reports.scores import score_lines

    epochs, steps = summary["epochs"], summary["final"]["step"]
    for line in score_lines(summary["test_scores"]) or ["test accuracy  not measured: dataset.test_size is 0"]:
        say(line)
    say(f"weights        {summary['weights']}")
    say(
        f"time           {summary['duration_s']:.1f} s  ({epochs} epoch{'' if epochs == 1 else 's'}, "
        f"{'stopped early, ' if summary['status'] == 'stopped early' else ''}{steps} steps; "
        f"weight by weight it would take {summary['final']['loss_evaluations']:,} loss evaluations)"
    )
    for remark in summary["remarks"]:
        say(f"note           {remark}")


def report(options: argparse.Namespace) -> None:
    """Write an HTML report about runs."""
    from tinynet.reports.report import write_report

    say(f"report         {write_report(options.folders, options.output)}")


def check(options: argparse.Namespace) -> int:
    """Check the gradient on a config's network and data."""
    from tinynet.config.loading import load_config, origin

    config, source = load_config(options.config, options.overrides), origin(options.config, options.overrides)

    from tinynet.artifacts.run_folder import create_folder
    from tinynet.checking.network_check import check as check_network
    from tinynet.checking.network_check import write_check
    from tinynet.checking.parity import derivative_of, parity
    from tinynet.config.building import prepare

    run = prepare(config, source)
    if options.parity:
        derivative_of(run.net.activation)
    folder = None if options.out is None else create_folder(options.out, config.name)
    found = parity(run, progress=True) if options.parity else check_network(run)
    text, fault, name = found.text(), found.fault(), "parity" if options.parity else "check"
    say(text.rstrip("\n"))
    if folder is not None:
        say(f"\nfigure         {write_check(folder.path, name, text, found.figure())}")
    if fault is not None:
        complain(fault)
        return FAILED
    return 0


def predict(options: argparse.Namespace) -> None:
    """Label new rows with a trained network."""
    from tinynet.artifacts.model import PREDICTIONS, predictions_csv

    model = _model_for(options)
    rows = model.read(options.file)
    text = predictions_csv(model, rows, spreadsheet=options.spreadsheet)
    _tell_unknown(model.unknown_levels(rows))
    _deliver(options, text, PREDICTIONS)


def evaluate(options: argparse.Namespace) -> None:
    """Score a trained network on a labelled file."""
    from tinynet.reports.evaluation import evaluate_file
    from tinynet.reports.html import GENERATOR

    scored = evaluate_file(_model_for(options), options.file)
    _tell_unknown(scored.unknown)
    if options.output is not None:
        _deliver(options, scored.page, GENERATOR)
    say((scored.json if options.json else scored.text).rstrip("\n"))


def _model_for(options: argparse.Namespace) -> Model:
    """Return the model of RUN; when there is no FILE, say what it has to hold."""
    from tinynet.artifacts.model import load_model

    model = load_model(options.run)
    if not os.path.exists(options.file):
        names = model.feature_names if model.preparation is None else model.preparation.columns
        columns = ", ".join(map(repr, names[:6])) + ", ..." * (len(names) > 6)
        what = f"it must be CSV with the columns {columns}, or an .npz with X of {len(names)} columns"
        raise ConfigError([f"{shown_path(options.file)}: cannot be read: No such file or directory; {what}"])
    return model


def _tell_unknown(levels: dict[str, int]) -> None:
    for column, n in levels.items():
        row = "1 row has" if n == 1 else f"{n:,} rows have"
        never_seen = f"a value in column {column!r} that training never saw"
        complain(f"note: {row} {never_seen}, treated as none of the known values")


def export(options: argparse.Namespace) -> None:
    """Write a trained network as an ONNX file."""
    from tinynet.artifacts.model import load_model
    from tinynet.artifacts.onnx_export import CHECKED_ROWS, TOLERANCE, export_onnx

    export_onnx(load_model(options.run), options.file)
    say(f"model          {options.file}")
    say(f"checked        by onnxruntime, on {CHECKED_ROWS:,} rows: the same probabilities within {TOLERANCE:g}")


def presets(options: argparse.Namespace) -> None:
    """List the presets, or print one as TOML."""
    from tinynet.config.documentation import commented_preset
    from tinynet.config.loading import OWN_TABLE, preset_names, preset_text

    if options.name is not None:
        say(commented_preset(options.name).rstrip("\n"))
        return
    for preset in preset_names():
        say(f"{preset:15}{preset_text(preset).splitlines()[0].removeprefix('# ')}")
    say(f"{'csv':15}{OWN_TABLE}")


def schema(options: argparse.Namespace) -> None:
    """Print the config's JSON Schema, or the table of its keys."""
    from tinynet.config.documentation import DIALECT, HEAD, key_table, schema_text

    text, mark = (key_table(), HEAD[:20]) if options.markdown else (schema_text(), DIALECT)
    _deliver(options, text, mark)


def completion(options: argparse.Namespace) -> None:
    """Print a script for the shell's Tab key."""
    from tinynet.cli.completion import completion_script

    say(completion_script(options.shell).rstrip("\n"))


def _deliver(options: argparse.Namespace, content: str | bytes, mark: str) -> None:
    """Write to the file of --output, of which only an empty one or one with `mark` is replaced, or text to stdout."""
    if options.output is None:
        say(str(content).rstrip("\n"))
        return
    from tinynet.storage.reading import has_mark
    from tinynet.storage.writing import write_named

    path, fault = Path(options.output), f"command line: --output: {options.output!r}"
    if os.path.isfile(path) and os.path.getsize(path) and not has_mark(path, mark):
        raise ConfigError([f"{fault} exists, and 'tinynet {options.command}' did not write it; choose another file"])
    try:
        write_named(path, content.encode() if isinstance(content, str) else content)
    except (RunFolderError, ValueError) as error:
        reason = getattr(error.__cause__, "strerror", error)
        raise ConfigError([f"{fault} cannot be written: {reason}"]) from error

"""The command line: parse, call, print, and turn every error into one line and an exit status."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tinynet.errors import ConfigError, DivergedError, RunFolderError, TinynetError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from tinynet.experiments.axes import Grid
    from tinynet.experiments.backends import Backend

DONE, WRONG_INPUT, FAILED, INTERRUPTED = 0, 2, 3, 130
REPORTED = ("completed", "stopped early", "diverged")  # the ends of a run that leave a folder
MOST_COMPLAINTS = 5


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status: 0 done, 2 wrong input, 3 failed, 130 interrupted."""
    _prepare_streams()
    try:
        options = _options(sys.argv[1:] if arguments is None else arguments)
        if options.command == "train":
            with _notes():
                return _train(options.config, options.overrides, options.out, options.quiet)
        if options.command == "report":
            with _notes():
                return _report(options.folders, options.output)
        if options.command == "predict":
            with _notes():
                return _predict(options.run, options.file, options.output)
        if options.command == "schema":
            return _schema(options.markdown, options.output)
        if options.command == "sweep":
            with _notes():
                return _sweep(options)
        return _presets(options.name)
    except ConfigError as error:
        for fault in error.faults:
            _complain(fault)
        return WRONG_INPUT
    except TinynetError as error:
        for fault in str(error).splitlines():
            _complain(fault)
        return WRONG_INPUT
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except OSError as error:
        _complain(f"failed: {error.filename}: {error.strerror}")
        return FAILED
    except MemoryError as error:
        _complain(f"failed: out of memory: {error}")
        return FAILED
    finally:
        _flush()


def _train(source: str, overrides: list[str], out: str | None, quiet: bool) -> int:
    from tinynet.experiments.config import load_config, origin

    config = load_config(source, overrides)

    os.environ["MPLBACKEND"] = "agg"  # a run draws into a file, whatever display somebody has set up
    from tinynet.experiments.report import reported
    from tinynet.experiments.run import create_folder, execute, prepare

    run = prepare(config, origin(source, overrides))
    folder = create_folder(out, config.name)
    if not quiet:
        sizes = "-".join(str(size) for size in (run.dataset.n_features, *run.net.shapes["W2"]))
        _say(
            f"{config.name}: network {sizes} ({run.net.activation.name}), {run.net.n_parameters:,} parameters; "
            f"{len(run.dataset.X_train):,} training samples"
        )
    try:
        with reported(run, folder):
            summary = execute(run, folder, progress=not quiet and sys.stderr is not None)
    except DivergedError as error:
        _complain(f"{error}; the weights of the last good epoch are in {folder / 'model.npz'}")
        return FAILED
    except KeyboardInterrupt:
        _complain(f"interrupted; what was trained so far is in {folder}")
        return INTERRUPTED
    except OSError as error:
        if run.summary is not None and run.summary["status"] in REPORTED and not quiet:
            _conclude(run.summary)  # trained in vain, but for these
        _complain(f"the run failed: {error.filename or folder}: {error.strerror or error}")
        return FAILED
    if not quiet:
        _conclude(summary)
        _say(f"curve          {folder / 'loss_curve.png'}")
        _say(f"report         {folder / 'report.html'}")
    return DONE


def _sweep(options: argparse.Namespace) -> int:
    from tinynet.experiments.axes import load_grid
    from tinynet.experiments.config import origin

    if options.dask not in (None, "local") and options.jobs is not None:
        raise ConfigError(["command line: --jobs: the cluster of --dask has workers of its own; leave one of them out"])
    if options.resume and options.out is None:
        if os.path.basename(options.config) != "sweep.json":
            raise ConfigError(
                ["command line: --resume: name the sweep's folder with --out, or its sweep.json as CONFIG"]
            )
        options.out = os.path.dirname(options.config) or "."
    grid = load_grid(options.config, options.overrides, many=options.yes or options.resume)

    from tinynet.experiments.backends import opened
    from tinynet.experiments.sweep import check_data, create_sweep_folder, open_sweep_folder

    started = time.perf_counter()
    if options.resume:
        open_sweep_folder(options.out, grid)
    check_data(grid, origin(options.config, options.overrides))
    with opened(options.dask, options.jobs, len(grid.settings)) as (backend, where):
        folder = (open_sweep_folder if options.resume else create_sweep_folder)(options.out, grid)
        if not options.quiet:
            axes = " × ".join(f"{len(axis)} {key}" for key, axis in grid.axes.items())
            _say(f"{grid.name}: {len(grid.settings):,} runs ({axes}) {where}")
        rows, status = _sweep_rows(grid, folder, backend, options.quiet)
    if rows and not options.quiet:
        from tinynet.experiments.results import counts, results_table

        _say(f"\n{results_table(grid, rows)}\n")
        _say(f"runs           {counts(rows)}")
        _say(f"time           {time.perf_counter() - started:.1f} s")
        _say(f"table          {folder / 'sweep.csv'}")
    if any(row["status"] in REPORTED for row in rows):
        from tinynet.experiments.report import write_report

        report = write_report([folder])
        if not options.quiet:
            _say(f"report         {report}")
    return status


def _sweep_rows(grid: Grid, folder: Path, backend: Backend, quiet: bool) -> tuple[list[dict[str, Any]], int]:
    """Return a row a run and the exit status; what did not finish is said, and how to go on."""
    from tinynet.experiments.sweep import run_sweep

    go_on = f"tinynet sweep {shlex.quote(str(folder / 'sweep.json'))} --resume"
    try:
        rows = run_sweep(grid, folder, backend, progress=not quiet and sys.stderr is not None)
    except KeyboardInterrupt:
        _complain(f"interrupted; the runs that finished are kept; go on with: {go_on}")
        return [], INTERRUPTED
    except RunFolderError:
        raise
    except OSError as error:
        reason = f"{error.filename or folder}: {error.strerror or error}"
        _complain(f"the sweep failed: {reason}; the runs that finished are kept; go on with: {go_on}")
        return [], FAILED
    unfinished = [row for row in rows if row["status"] in ("failed", "killed", "missing")]
    for row in unfinished[:MOST_COMPLAINTS]:
        _complain(f"{row['run']}: {row['status']}: {row['error']}")
    if unfinished:
        _complain(f"{len(unfinished)} of {len(rows)} runs did not finish; run them again with: {go_on}")
    return rows, FAILED if unfinished else DONE


def _conclude(summary: dict[str, Any]) -> None:
    final, epochs = summary["final"], summary["epochs"]
    if summary["test_accuracy"] is None:
        _say("test accuracy  not measured: dataset.test_size is 0")
    else:
        _say(
            f"test accuracy  {100 * summary['test_accuracy']:.1f} %  "
            f"(loss {summary['test_loss']:#.4g} nats a sample, {summary['n_test']} samples)"
        )
    _say(
        f"time           {summary['duration_s']:.1f} s  ({epochs} epoch{'' if epochs == 1 else 's'}, "
        f"{'stopped early, ' if summary['status'] == 'stopped early' else ''}{final['step']} steps; "
        f"a loop needs {final['loss_evaluations']:,} loss evaluations)"
    )


def _report(folders: list[str], output: str | None) -> int:
    os.environ["MPLBACKEND"] = "agg"
    from tinynet.experiments.report import write_report

    _say(f"report         {write_report(folders, output)}")
    return DONE


def _predict(run: str, file: str, output: str | None) -> int:
    from tinynet.model import load_model, predictions_csv

    model = load_model(run)
    text = predictions_csv(model, model.read(file))
    if output is not None and os.path.exists(output) and os.path.samefile(output, file):
        raise ConfigError([f"command line: --output: {output} holds the rows to predict, and would be overwritten"])
    return _deliver(text, output)


def _presets(name: str | None) -> int:
    from tinynet.experiments.config import preset_names, preset_text

    if name is not None:
        from tinynet.experiments.schema import commented_preset

        _say(commented_preset(name).rstrip("\n"))
        return DONE
    for preset in preset_names():
        _say(f"{preset:15}{preset_text(preset).splitlines()[0].removeprefix('# ')}")
    return DONE


def _schema(markdown: bool, output: str | None) -> int:
    from tinynet.experiments.schema import key_table, schema_text

    return _deliver(key_table() if markdown else schema_text(), output)


def _deliver(text: str, output: str | None) -> int:
    """Write `text` to the file `output`, or to stdout when it is None."""
    if output is None:
        _say(text.rstrip("\n"))
        return DONE
    try:
        Path(output).write_text(text, encoding="utf-8", newline="")
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.filename is None:  # it was opened, but the disk is full
            raise OSError(error.errno, error.strerror, output) from error
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError([f"command line: --output: {output!r} cannot be written: {reason}"]) from error
    return DONE


class _Parser(argparse.ArgumentParser):
    """Answers a wrong command line in one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError([f"command line: {message}; see '{self.prog} --help'"])


def _options(words: list[str]) -> argparse.Namespace:
    parser, commands = _parser()
    named = [word for word in words if not word.startswith("-")]
    if named and named[0] not in commands:
        parser.error(f"unknown command {named[0]!r}{_command_meant(named[0], commands)}")
    options, rest = parser.parse_known_args(words)
    if options.command is None:
        parser.error(f"a command is missing: {' or '.join(commands)}")
    unknown = [word for word in rest if word.startswith("-")]
    words_of = {"train": "overrides", "sweep": "overrides", "report": "folders"}.get(options.command)
    if unknown or (rest and words_of is None):
        command = commands[options.command]
        command.error(_unrecognized((unknown or rest)[0], re.findall(r"^ .*(--\w+)", command.format_help(), re.M)))
    if words_of is not None:
        setattr(
            options, words_of, [*getattr(options, words_of), *rest]
        )  # argparse gives those behind an option to nobody
    return options


def _command_meant(word: str, commands: Iterable[str]) -> str:
    from tinynet.experiments.config import preset_names

    is_config = word in preset_names() or word.endswith((".toml", ".json"))
    return f"; did you mean 'tinynet train {word}'?" if is_config else did_you_mean(word, commands)


def _unrecognized(word: str, options: list[str]) -> str:
    from tinynet.experiments.config import nearest_key

    name = word.partition("=")[0]
    if name in options:
        return f"{name} stands before the command, but belongs behind it"
    if not name.startswith("-"):
        return f"too many words: {name!r}"
    key = nearest_key(name.lstrip("-").replace("-", "_"))
    near = did_you_mean(name, options)
    if key is not None and "?" not in near:
        return f"unknown option {name!r}; a setting is written without dashes: {key}=VALUE"
    return f"unknown option {name!r}{near}"


def _parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    from tinynet import __version__

    parser = _Parser(
        prog="tinynet", description="A two-layer network trained by numerical gradients.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"tinynet {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    train = commands.add_parser("train", help="train a network and write a run folder", allow_abbrev=False)
    train.add_argument("config", metavar="CONFIG", help="a preset's name, or a .toml or .json file")
    train.add_argument(
        "overrides", metavar="KEY=VALUE", nargs="*", default=[], help="such as optimizer.learning_rate=0.05"
    )
    train.add_argument("--out", metavar="DIR", help="the run folder (default: runs/NAME-TIME)")
    train.add_argument("--quiet", action="store_true", help="print notes and errors only")
    sweep = commands.add_parser("sweep", help="train every combination of some settings", allow_abbrev=False)
    sweep.add_argument("config", metavar="CONFIG", help="as for train; its [sweep] table may hold axes")
    sweep.add_argument(
        "overrides",
        metavar="KEY=V1,V2,...",
        nargs="*",
        default=[],
        help="such as optimizer.learning_rate=0.01,0.1 seed=0..4",
    )
    sweep.add_argument("--jobs", metavar="N", type=_n_jobs, help="processes; -1 for all cores (default: 1)")
    sweep.add_argument("--dask", metavar="ADDRESS", help="a Dask scheduler, or 'local' to start a cluster here")
    sweep.add_argument("--out", metavar="DIR", help="the sweep's folder (default: runs/NAME-sweep-TIME)")
    sweep.add_argument(
        "--resume", action="store_true", help="run what is missing in DIR, or beside CONFIG if it is a sweep.json"
    )
    sweep.add_argument("--yes", action="store_true", help="run more than 1,000 combinations")
    sweep.add_argument("--quiet", action="store_true", help="print notes and errors only")
    report = commands.add_parser("report", help="write an HTML report about runs", allow_abbrev=False)
    report.add_argument("folders", metavar="DIR", nargs="+", help="a run folder, or a folder of run folders")
    report.add_argument("--output", metavar="FILE", help="the report (default: report.html in DIR)")
    predict = commands.add_parser("predict", help="label new rows with a trained network", allow_abbrev=False)
    predict.add_argument("run", metavar="RUN", help="a run folder")
    predict.add_argument("file", metavar="FILE", help="raw rows: CSV with the features' columns, or .npz with X")
    predict.add_argument("--output", metavar="FILE", help="a CSV file to write (default: stdout)")
    presets = commands.add_parser("presets", help="list the presets, or print one as TOML", allow_abbrev=False)
    presets.add_argument("name", metavar="NAME", nargs="?")
    schema = commands.add_parser("schema", help="print the config's JSON Schema, for editors", allow_abbrev=False)
    schema.add_argument("--output", metavar="FILE", help="write it there")
    schema.add_argument("--markdown", action="store_true", help="a table for readers instead")
    return parser, {
        "train": train,
        "sweep": sweep,
        "report": report,
        "predict": predict,
        "presets": presets,
        "schema": schema,
    }


def _n_jobs(text: str) -> int:
    if re.fullmatch(r"-1|[1-9]\d{0,3}", text, re.ASCII) is None:
        raise argparse.ArgumentTypeError(f"must be from 1 to 9999, or -1 for all cores, got {text!r}")
    return int(text)


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

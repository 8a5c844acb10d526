"""The command line: parse, call, print, and turn every error into one line and an exit status."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from typing import Any, NoReturn

from tinynet.errors import ConfigError, DivergedError, TinynetError

DONE, WRONG_INPUT, FAILED, INTERRUPTED = 0, 2, 3, 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status: 0 done, 2 wrong input, 3 failed, 130 interrupted."""
    _prepare_streams()
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    unknown = [word for word in rest if word.startswith("-")]
    if unknown or (rest and options.command != "train"):
        parser.error(f"unrecognized: {' '.join(unknown or rest)}; see 'tinynet {options.command} --help'")
    try:
        if options.command == "train":
            return _train(options.config, options.overrides + rest, options.out, options.quiet)
        return _presets(options.name)
    except ConfigError as error:
        for fault in error.faults:
            _complain(fault)
        return WRONG_INPUT
    except TinynetError as error:
        _complain(str(error))
        return WRONG_INPUT
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    finally:
        _flush()


def _train(source: str, overrides: list[str], out: str | None, quiet: bool) -> int:
    from tinynet.experiments.config import load_config

    config = load_config(source, overrides)
    warnings.showwarning = lambda message, *_, **__: _complain(f"note: {message}")

    from tinynet.experiments.run import create_folder, execute, prepare

    run = prepare(config)
    folder = create_folder(out, config.name)
    if not quiet:
        sizes = "-".join(str(size) for size in (run.dataset.n_features, *run.net.shapes["W2"]))
        _say(
            f"{config.name}: network {sizes} ({run.net.activation.name}), {run.net.n_parameters:,} parameters; "
            f"{len(run.dataset.X_train):,} training samples"
        )
    try:
        summary = execute(run, folder, progress=not quiet and sys.stderr is not None)
    except DivergedError as error:
        _complain(f"{error}; the weights of the last good epoch are in {folder / 'model.npz'}")
        return FAILED
    except KeyboardInterrupt:
        _complain(f"interrupted; what was trained so far is in {folder}")
        return INTERRUPTED
    except OSError as error:
        _complain(f"the run failed: {error.filename or folder}: {error.strerror or error}")
        return FAILED
    if not quiet:
        _report(summary, str(folder / "loss_curve.png"))
    return DONE


def _report(summary: dict[str, Any], curve: str) -> None:
    final = summary["final"]
    if summary["test_accuracy"] is not None:
        _say(
            f"test accuracy  {100 * summary['test_accuracy']:.1f} %  "
            f"(loss {summary['test_loss']:.4f} nats a sample, {summary['n_test']} samples)"
        )
    _say(
        f"time           {summary['duration_s']:.1f} s  ({summary['epochs']} epochs, {final['step']} steps; "
        f"a loop needs {final['loss_evaluations']:,} loss evaluations)"
    )
    _say(f"curve          {curve}")


def _presets(name: str | None) -> int:
    from tinynet.experiments.config import preset_names, preset_text

    if name is not None:
        _say(preset_text(name).rstrip("\n"))
        return DONE
    for preset in preset_names():
        _say(f"{preset:15}{preset_text(preset).splitlines()[0].removeprefix('# ')}")
    return DONE


class _Parser(argparse.ArgumentParser):
    """Answers a wrong command line in one line."""

    def error(self, message: str) -> NoReturn:
        _complain(f"command line: {message}")
        raise SystemExit(WRONG_INPUT)


def _parser() -> argparse.ArgumentParser:
    from tinynet import __version__

    parser = _Parser(prog="tinynet", description="A two-layer network trained by numerical gradients.")
    parser.add_argument("--version", action="version", version=f"tinynet {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    train = commands.add_parser("train", help="train a network and write a run folder")
    train.add_argument("config", metavar="CONFIG", help="a preset's name, or a .toml or .json file")
    train.add_argument("overrides", metavar="KEY=VALUE", nargs="*", help="such as optimizer.learning_rate=0.05")
    train.add_argument("--out", metavar="DIR", help="the run folder (default: runs/NAME-TIME)")
    train.add_argument("--quiet", action="store_true", help="print errors only")
    presets = commands.add_parser("presets", help="list the presets, or print one as TOML")
    presets.add_argument("name", metavar="NAME", nargs="?")
    return parser


def _prepare_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _say(text: str) -> None:
    _write(sys.stdout, text)


def _complain(text: str) -> None:
    _write(sys.stderr, f"tinynet: {text}")


def _write(stream: Any, text: str) -> None:
    """Print where somebody listens; a closed stream or a cut pipe is no reason to stop."""
    try:
        print(text, file=stream, flush=True)
    except (OSError, ValueError):
        _discard(stream)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            _discard(stream)


def _discard(stream: Any) -> None:
    """Send the rest of a broken stream nowhere, so that the interpreter's last flush succeeds."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)

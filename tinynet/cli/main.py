"""The entry point of the command line, which turns every error into one line and an exit status."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import signal
import sys
from collections.abc import Callable

from tinynet.cli import commands
from tinynet.cli.parser import parsed
from tinynet.cli.streams import complain, flush_all, notes_as_lines, prepare_streams
from tinynet.errors import DivergedError, TinynetError
from tinynet.storage.messages import shown_path
from tinynet.training.interrupts import termination_raised

DONE, WRONG_INPUT, FAILED = 0, 2, 3


@termination_raised()
def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status: 0 done, 2 wrong input, 3 failed, 130 or 143 interrupted."""
    prepare_streams()
    _spare_the_collector()
    os.environ["MPLBACKEND"] = "agg"  # pictures go into files, whatever display is set up
    try:
        options = parsed(sys.argv[1:] if arguments is None else arguments)
        command: Callable[[argparse.Namespace], int | None] = getattr(commands, options.command)
        with notes_as_lines():
            return command(options) or DONE
    except TinynetError as error:
        for fault in _with_notes(str(error), error).splitlines():
            complain(fault)
        return FAILED if isinstance(error, DivergedError) else WRONG_INPUT
    except OSError as error:
        where = "" if error.filename is None else f"{shown_path(str(error.filename))}: "
        complain(_with_notes(f"failed: {where}{error.strerror or error}", error))
        return FAILED
    except MemoryError as error:
        complain(f"failed: out of memory: {error}")
        return FAILED
    except (KeyboardInterrupt, Exception) as error:
        interrupt = _interrupt_behind(error)
        if interrupt is None:
            raise
        complain(_with_notes("interrupted", error))
        return 128 + int(getattr(interrupt, "signal", signal.SIGINT))
    finally:
        flush_all()


def _with_notes(message: str, error: BaseException) -> str:
    """Return `message` followed by the notes that `commands` added to the error, such as how to resume."""
    return "; ".join([message, *getattr(error, "__notes__", ())])


def _interrupt_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the ^C that caused an error: one during an import, say, can surface as another exception."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error


def _spare_the_collector() -> None:
    """Collect garbage rarely while libraries load, and not at exit, which saves 0.2 to 0.4 s."""
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)

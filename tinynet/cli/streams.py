"""Printing: results to stdout, notes and errors to stderr, and no traceback when a stream is closed."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def say(text: str) -> None:
    """Print to stdout; a closed pipe is ignored, a full disk is an error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, "stdout") from error


def complain(text: str) -> None:
    """Print a note or an error to stderr, if there is one."""
    if sys.stderr is not None:  # print(file=None) would write to stdout
        with suppress(OSError):
            print(f"tinynet: {text}", file=sys.stderr, flush=True)


@contextmanager
def notes_as_lines() -> Iterator[None]:
    """Print every warning once, in one line."""
    with warnings.catch_warnings():
        warnings.filterwarnings("default", category=UserWarning)
        warnings.showwarning = lambda message, *_, **__: complain(f"note: {' '.join(str(message).split())}")
        yield


def prepare_streams() -> None:
    """Escape characters that the terminal's encoding does not have."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def flush_all() -> None:
    """Discard what a broken stream still holds, so that the interpreter's last flush succeeds."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            with suppress(OSError):  # not a real file
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

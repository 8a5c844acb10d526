"""^C and SIGTERM, held back until a step is finished."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from tinynet.errors import Interrupted

STOPS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def held_back() -> Iterator[Callable[[], Interrupted | None]]:
    """Yield a function that returns what has asked to stop since, or None.

    The second signal raises `Interrupted` wherever the process then is; one that came too late for the block to
    see it is passed on at its end. Only the main thread hears signals: in another one nothing is held back. Where
    ^C is ignored, as behind a shell's ``&``, it stays so.
    """
    asked: list[Interrupted] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(Interrupted(number, at_once=bool(asked)))
        if asked[-1].at_once:
            raise asked[-1]

    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    before = {number: signal.signal(number, ask) for number in STOPS if not (ignored and number == signal.SIGINT)}
    told = False
    try:
        yield lambda: asked[0] if asked else None
    except Interrupted:
        told = True
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for late in [] if told else asked:
            signal.raise_signal(late.signal)


@contextmanager
def termination_raised() -> Iterator[None]:
    """Let SIGTERM raise `Interrupted`, as ^C raises KeyboardInterrupt, so that a command ends in order."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)

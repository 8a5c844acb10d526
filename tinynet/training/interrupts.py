"""^C and SIGTERM, held back until a step is finished."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from tinynet.errors import Interrupted

STOPS = (signal.SIGINT, signal.SIGTERM)
ECHO_S = 1.0  # timeout, batch systems and a sweep end a process and then its group: one SIGTERM comes twice


@contextmanager
def deferred_signals() -> Iterator[Callable[[], Interrupted | None]]:
    """Yield a function that returns what has asked to stop since, or None.

    The second signal raises `Interrupted` wherever the process then is; one that came too late for the block to
    see it is passed on at its end. Only the main thread hears signals: in another one nothing is held back. Where
    ^C is ignored, as behind a shell's ``&``, it stays so.
    """
    asked: list[Interrupted] = []

    def ask(number: int) -> None:
        asked.append(Interrupted(number, at_once=bool(asked)))
        if asked[-1].at_once:
            raise asked[-1]

    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    answer = _answering(ask)
    before = {number: signal.signal(number, answer) for number in STOPS if not (ignored and number == signal.SIGINT)}
    told = False
    try:
        yield lambda: asked[0] if asked else None
    except Interrupted:
        told = True
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        answer.heard[0] = answer.heard[0] if told else -math.inf
        for late in [] if told else asked:
            signal.raise_signal(late.signal)


@contextmanager
def termination_raised() -> Iterator[None]:
    """Let SIGTERM raise `Interrupted`, as ^C raises KeyboardInterrupt, so that a command ends in order."""

    def end(number: int) -> None:
        raise Interrupted(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _answering(end))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


@dataclass
class _Handler:
    """Answers signals, but not a SIGTERM that has just come before: to this handler or to one in its place."""

    answer: Callable[[int], None]
    heard: list[float]  # when the last SIGTERM came

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if number == signal.SIGTERM:
            if now - self.heard[0] < ECHO_S:
                return
            self.heard[0] = now
        self.answer(number)


def _answering(answer: Callable[[int], None]) -> _Handler:
    around = signal.getsignal(signal.SIGTERM)
    return _Handler(answer, around.heard if isinstance(around, _Handler) else [-math.inf])

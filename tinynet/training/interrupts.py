"""^C and SIGTERM, held back until a step is finished."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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

    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    handler = _Handler(ask)
    try:
        with _answering(handler, STOPS[1:] if ignored else STOPS):
            yield lambda: asked[0] if asked else None
    except Interrupted:
        asked.clear()  # it is told
        raise
    finally:
        for late in asked:
            handler.heard[0] = -math.inf
            signal.raise_signal(late.signal)


@contextmanager
def termination_raised() -> Iterator[None]:
    """Let SIGTERM raise `Interrupted`, as ^C raises KeyboardInterrupt, so that a command ends in order."""

    def end(number: int) -> None:
        raise Interrupted(number)

    with _answering(_Handler(end), [signal.SIGTERM]):
        yield


@dataclass
class _Handler:
    """Answers signals, but not a SIGTERM that has just come before: to this handler or to one in its place."""

    answer: Callable[[int], None]
    heard: list[float] = field(default_factory=lambda: [-math.inf])  # when the last SIGTERM came

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if number == signal.SIGTERM:
            if now - self.heard[0] < ECHO_S:
                return
            self.heard[0] = now
        self.answer(number)


@contextmanager
def _answering(handler: _Handler, numbers: Sequence[int]) -> Iterator[None]:
    """Let `handler` answer signals meanwhile; threads other than the main one hear none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if isinstance(around := signal.getsignal(signal.SIGTERM), _Handler):
        handler.heard = around.heard
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, signal.SIG_DFL if previous is None else previous)

"""Where tasks are run: in this process, in loky's processes, or on a Dask cluster.

Each yields (task, outcome) as tasks finish; a worker that dies takes no other task with it.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from tinynet.errors import ConfigError, missing_extra

CONNECT_S = 10
STOP_S = 10


@dataclass(frozen=True)
class Outcome:
    """How a task ended: what it returned, or why it returned nothing."""

    value: Any = None
    error: str = ""
    killed: bool = False


Task = tuple[Any, ...]
Work = Callable[..., Any]
Outcomes = Generator[tuple[Task, Outcome], None, None]
Backend = Callable[[Work, Iterable[Task]], Outcomes]
KILLED = Outcome(error="its worker process died, each time it was tried", killed=True)


@contextmanager
def choose_backend(dask_address: str | None, jobs: int | None, n_tasks: int) -> Iterator[tuple[Backend, str]]:
    """Yield what runs `n_tasks` tasks, and a phrase that describes it, such as "on 2 processes"."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processes = min(cores if jobs == -1 or (dask_address and jobs is None) else jobs or 1, n_tasks)
    if dask_address is not None:
        with dask_client(dask_address, processes) as client:
            yield partial(dask, client=client), f"on {len(client.scheduler_info()['workers'])} Dask workers"
    elif processes == 1:
        yield serial, "one after the other"
    else:
        yield partial(loky, jobs=processes), f"on {processes} processes"


def serial(work: Work, tasks: Iterable[Task]) -> Outcomes:
    """Run the tasks one after the other in this process."""
    for task in tasks:
        yield task, _outcome(partial(work, *task))


def loky(work: Work, tasks: Iterable[Task], *, jobs: int) -> Outcomes:
    """Run the tasks in `jobs` processes of this machine.

    When a process dies, it is not known which task it had: those in progress are tried once more, each in a
    process of its own.
    """
    waiting, suspects = deque(tasks), deque[Task]()
    while waiting:
        lost = yield from _one_pool(work, waiting, jobs)
        suspects.extend(lost)
    while suspects:
        lost = yield from _one_pool(work, suspects, 1)
        for task in lost:
            yield task, KILLED


def _one_pool(work: Work, waiting: deque[Task], jobs: int) -> Generator[tuple[Task, Outcome], None, list[Task]]:
    """Run the waiting tasks until all are done or a process dies; return the tasks in progress then."""
    from joblib.externals.loky import ProcessPoolExecutor
    from joblib.externals.loky.process_executor import BrokenProcessPool

    # where forking is safe: a fork need not import anything
    context = multiprocessing.get_context("fork") if sys.platform == "linux" else None
    pool = ProcessPoolExecutor(jobs, timeout=None, context=context, initializer=_end_with, initargs=(os.getpid(),))
    running: dict[Future[Any], Task] = {}
    lost: list[Task] = []
    broken = False
    try:
        while running or (waiting and not broken):
            try:
                with _interrupts_blocked():  # also in the processes that start here: this one handles ^C
                    while waiting and len(running) < jobs and not broken:
                        running[pool.submit(work, *waiting[0])] = waiting[0]
                        waiting.popleft()
            except BrokenProcessPool:
                broken = True
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task, error = running.pop(future), future.exception()
                if isinstance(error, BrokenProcessPool | KeyboardInterrupt):  # it was ended, by a signal
                    broken = broken or isinstance(error, BrokenProcessPool)
                    lost.append(task)
                else:
                    yield task, _outcome(future.result)
    except KeyboardInterrupt:
        for process in list(pool._processes.values()):
            process.terminate()  # a run finishes its step and saves it
        wait(running, timeout=STOP_S)
        raise
    finally:
        pool.shutdown(kill_workers=True)
    return lost


def _end_with(parent: int) -> None:
    """End this process when `parent` has ended, so that a killed sweep leaves no worker, and no lock, behind.

    SIGTERM is for a run under way, which saves itself; a process between two runs has nothing to save.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.environ.setdefault("PYTHONFAULTHANDLER", "0")  # loky enables it otherwise, and dies where stderr is closed
    gc.freeze()  # loky collects garbage every second: what was forked need not be searched

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with warnings.catch_warnings():  # Python counts the threads of BLAS, which end before a fork
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def dask(work: Work, tasks: Iterable[Task], *, client: Any) -> Outcomes:
    """Run the tasks on a Dask cluster, which gives those of a lost worker to another."""
    from distributed import KilledWorker, as_completed

    futures = {client.submit(work, *task, pure=False): task for task in tasks}
    try:
        for future in as_completed(list(futures)):
            task = futures.pop(future)
            killed = isinstance(future.exception(), KilledWorker)
            yield task, KILLED if killed else _outcome(future.result)
    finally:
        client.cancel(list(futures))


@contextmanager
def dask_client(address: str, workers: int | None = None) -> Iterator[Any]:
    """Connect to the scheduler at `address`, or start a local cluster with `workers` workers for "local".

    Raises
    ------
    ConfigError
        When dask.distributed is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ConfigError([f"command line: --dask: {missing_extra('dask.distributed', 'cluster')}"]) from error
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # the outcomes say the same
    if address == "local":
        options = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}
        with LocalCluster(n_workers=workers, **options) as cluster, Client(cluster) as client:
            yield client
        return
    try:
        client = Client(address, timeout=CONNECT_S)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError([f"command line: --dask: no scheduler answers at {address!r}: {error}"]) from error
    with client:
        yield client


def _outcome(result: Callable[[], Any]) -> Outcome:
    """Return the result of a task, or its error in one line: the other tasks go on."""
    try:
        return Outcome(result())
    except Exception as error:
        return Outcome(error=" ".join(f"{type(error).__name__}: {error}".split())[:300])

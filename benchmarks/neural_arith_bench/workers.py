"""Tasks in processes of their own, which can be ended: no method and no algebra can hold up a benchmark."""

from __future__ import annotations

import os
import queue
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool

from neural_arith_bench import methods
from neural_arith_bench.suites import Row, Task, attempt, judge

ALGEBRA = 30.0
"""Seconds after which the comparison of formulas is given up, and they count as different."""

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Worker:
    """One process, replaced by a new one when it had to be ended.

    Args:
        names: the methods it must be ready for.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._pool: ProcessPoolExecutor | None = None
        self._last: Future[Any] | None = None
        self._closed = False

    def call(self, seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the process.

        Raises:
            TimeoutError: it took longer than ``seconds``; the process was ended.
            BrokenProcessPool: the process died, or `close` was called.
        """
        if self._closed:
            raise BrokenProcessPool
        try:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(max_workers=1, env=_ONE_THREAD, initializer=_deaf)
                self._submit(self._pool, methods.load, self._names).result()
            return self._submit(self._pool, function, *arguments).result(timeout=seconds)
        except (TimeoutError, BrokenProcessPool):
            self.end()
            raise

    def close(self) -> None:
        """End the process and take no more calls."""
        self._closed = True
        self.end()

    def end(self) -> None:
        """End the process, whatever it does."""
        pool, self._pool = self._pool, None
        if pool is not None:
            # A call that the pool's thread has not seen yet would end that thread, and leave the process behind.
            while self._last is not None and not (self._last.running() or self._last.done()):
                time.sleep(1e-3)
            pool.shutdown(wait=True, kill_workers=True)

    def _submit(self, pool: ProcessPoolExecutor, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        self._last = pool.submit(function, *arguments)
        return self._last


def _deaf() -> None:
    """Leave Ctrl-C to the parent: half a search must not pass for a result."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def make_row(worker: Worker, task: Task) -> Row:
    """Make the row of a task, in the worker; a failure is a row, too."""
    try:
        row, found = worker.call(task.seconds, attempt, task)
    except TimeoutError:
        return task.row(status="timeout", seconds=task.seconds)
    except BrokenProcessPool:
        return task.row(status="crash", error="the process died")
    if found is None:
        return row
    try:
        row["structure"], row["exact"] = worker.call(ALGEBRA, judge, task, found, row["rhs_error"])
    except TimeoutError:
        row["error"] = f"the formulas could not be compared in {ALGEBRA:g} s"
    except Exception as error:  # an expression that the algebra cannot take is not the right one
        row["error"] = f"comparison: {type(error).__name__}: {error}"[:200]
    return row


def rows_of(tasks: Sequence[Task], jobs: int) -> Iterator[tuple[Task, Row]]:
    """Make the rows of all tasks, as they are ready; leaving the loop early ends the processes.

    Args:
        tasks: what to do.
        jobs: number of processes.
    """
    names = sorted({task.method for task in tasks})
    workers = [Worker(names) for _ in range(min(jobs, len(tasks)))]
    free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in workers:
        free.put(worker)

    def one(task: Task) -> tuple[Task, Row]:
        worker = free.get()
        try:
            return task, make_row(worker, task)
        finally:
            free.put(worker)

    threads = ThreadPoolExecutor(max(1, len(workers)))
    try:
        for future in as_completed([threads.submit(one, task) for task in tasks]):
            yield future.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.close()
        threads.shutdown(wait=True)


def default_threads(jobs: int) -> int:
    """Threads a method may use in each of so many processes: one, or all cores where it is alone."""
    return 1 if jobs > 1 or os.cpu_count() == 1 else -1

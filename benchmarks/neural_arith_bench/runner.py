"""The one loop of all benchmarks: make the rows that are missing, keep each at once, stop at Ctrl-C without loss."""

from __future__ import annotations

import importlib
import importlib.util
import os
import queue
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool
from tqdm import tqdm

from neural_arith.errors import OptionError
from neural_arith_bench.store import Key, R, Row, Store

T = TypeVar("T")

DONE, INTERRUPTED = 0, 130
"""Exit codes."""

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Worker:
    """One process, replaced by a new one when it had to be ended; it starts when it is first needed.

    Args:
        prepare: called first in each new process, in no measured time.
        here: let `run` work in this process.

    Attributes:
        here: whether it does.
    """

    def __init__(self, prepare: Callable[[], object] | None = None, *, here: bool = False) -> None:
        self._prepare, self.here = prepare, here
        self._pool: ProcessPoolExecutor | None = None
        self._last: Future[Any] | None = None
        self._closed = False

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function, in this process where no other works beside it, else in one of its own."""
        return function(*arguments) if self.here else self.call(None, function, *arguments)

    def call(self, seconds: float | None, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in a process of its own.

        Raises:
            TimeoutError: it took longer than ``seconds``; the process was ended.
            BrokenProcessPool: the process died, or `close` was called.
        """
        if self._closed:
            raise BrokenProcessPool
        try:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(max_workers=1, env=_ONE_THREAD, initializer=_deaf)
                self._submit(self._pool, self._prepare or _ready).result()  # its start is in no measured time either
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


def _ready() -> None:
    """Load the package: the pool takes for a leak what a process grows by after its first call."""
    for part in ("ode", "regressor", "systems"):
        importlib.import_module(f"neural_arith.{part}")


def _deaf() -> None:
    """Leave Ctrl-C to the parent: half a search must not pass for a result."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


Tick = Callable[..., object]
"""Told of progress, ``tick(more, text)``: how much more is done, in the units of `Work.size`, and what the bar says."""


@dataclass(frozen=True)
class Work(Generic[R]):
    """Rows that are made together.

    Attributes:
        store: where they belong.
        keys: of the rows; if all are there, nothing is done.
        make: makes them, by itself or in the worker.
        size: how much there is to do, for the progress bar.
        label: what the bar says meanwhile.
        unfinished: a file with the work so far, which goes once the rows are kept.
    """

    store: Store[R]
    keys: Sequence[Key]
    make: Callable[[Worker, Tick], Iterable[R]]
    size: int = 1
    label: str = ""
    unfinished: Path | None = None


def make_missing(
    work: Iterable[Work[Any]],
    command: str,
    *,
    quiet: bool = False,
    unit: str = "row",
    jobs: int = 1,
    prepare: Callable[[], object] | None = None,
) -> int:
    """Make the rows that the stores lack, and keep each as soon as it is made.

    Args:
        work: all there is to do.
        command: the command line, without paths of this machine.
        quiet: show no progress.
        unit: of `Work.size`.
        jobs: how many works are done side by side, each in a process of its own.
        prepare: see `Worker`.

    Returns:
        `DONE`, or `INTERRUPTED` after Ctrl-C, which is told on standard error.
    """
    todo = [one for one in work if any(key not in one.store.rows for key in one.keys)]
    total, made = sum(len(one.keys) for one in todo), 0
    name = command.split()[2]
    size, large = sum(one.size for one in todo), unit == "step"
    with tqdm(total=size, desc=name, unit=unit, unit_scale=large, disable=quiet) as bar:
        try:
            for one, rows, ticks in _done(todo, jobs, prepare, bar):
                one.store.add(rows, command)
                made += len(one.keys)
                bar.update(one.size - ticks)
                if one.unfinished is not None:
                    one.unfinished.unlink(missing_ok=True)
        except KeyboardInterrupt:
            bar.close()
            kept = all(one.store.path for one in todo)
            what = "kept; the same command goes on" if kept else "lost without --out"
            print(f"neural-arith: interrupted after {made} of {total} rows, {what}", file=sys.stderr)
            return INTERRUPTED
    return DONE


def _done(
    todo: Sequence[Work[Any]], jobs: int, prepare: Callable[[], object] | None, bar: tqdm
) -> Iterator[tuple[Work[Any], list[Any], int]]:
    """Each work as it is done, its rows, and what the bar shows of it; leaving the loop early ends the processes."""
    jobs = max(1, min(jobs, len(todo)))
    workers = [Worker(prepare, here=jobs == 1) for _ in range(jobs)]
    free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in workers:
        free.put(worker)

    def one(work: Work[Any]) -> tuple[Work[Any], list[Any], int]:
        worker, ticks = free.get(), 0

        def tick(more: int, text: str | None = None) -> None:
            nonlocal ticks
            ticks += more
            bar.update(more)
            if text is not None:
                bar.set_postfix_str(text)

        try:
            if work.label:
                bar.set_postfix_str(work.label)
            rows = list(work.make(worker, tick))
            return work, rows, ticks
        finally:
            free.put(worker)

    if jobs == 1:  # in this thread, which is the one that Ctrl-C interrupts
        try:
            yield from map(one, todo)
        finally:
            workers[0].close()
        return
    threads = ThreadPoolExecutor(jobs)
    try:
        for future in as_completed([threads.submit(one, work) for work in todo]):
            yield future.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.close()
        threads.shutdown(wait=True)


def threads_for(jobs: int) -> int:
    """Threads that each of so many processes may use: one, or all cores where it is alone."""
    return 1 if jobs > 1 or os.cpu_count() == 1 else -1


def per_seed(
    store: Store[Row], seeds: Sequence[int], one: Callable[..., Row], *arguments: Any, jobs: int
) -> list[Work[Row]]:
    """One work for each seed.

    Args:
        store: whose rows have the key ``seed``.
        seeds: of the rows.
        one: of ``(*arguments, seed, threads)`` to a row.
        arguments: of ``one``.
        jobs: how many are done side by side.
    """

    def work(seed: int) -> Work[Row]:
        return Work(store, [(seed,)], lambda worker, _: [worker.run(one, *arguments, seed, threads_for(jobs))])

    return [work(seed) for seed in seeds]


def chosen(option: str, asked: Sequence[str] | None, known: Iterable[T], usual: Sequence[T] | None = None) -> list[T]:
    """The names that were asked for.

    Args:
        option: for the error.
        asked: the names; ``all`` for every one, None for the usual ones.
        known: all there are.
        usual: all if not given.

    Raises:
        OptionError: one of them is not known.
    """
    table = {str(one): one for one in known}
    if asked is None and usual is not None:
        return list(usual)
    if asked is None or asked == ["all"]:
        return list(table.values())
    for name in asked:
        if name not in table:
            raise OptionError(f"{option} {name}: expected all or some of {', '.join(table)}")
    return [table[name] for name in dict.fromkeys(asked)]


def command_line(name: str, **options: Any) -> str:
    """The command that makes some rows, without paths of this machine.

    Args:
        name: of the benchmark.
        options: values by the names of their options; None, False and empty lists are left out.

    >>> command_line("odebench", method=["oracle"], noise=[0.0, 0.01], seeds=[3], jobs=2, points=None)
    'neural-arith bench odebench --method oracle --noise 0,0.01 --seeds 3, --jobs 2'
    """
    words = [f"neural-arith bench {name}"]
    for option, value in options.items():
        if value is None or value is False or value == []:
            continue
        words.append(f"--{option.replace('_', '-')}")
        if value is not True:
            parts = value if isinstance(value, list | tuple) else [value]
            text = ",".join(_word(part) for part in parts)
            words.append(shlex.quote(text + "," * (option == "seeds" and len(parts) == 1)))
    return " ".join(words)


def _word(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return f'"{value}"' if ", " in str(value) else str(value)


def tell(summary: Mapping[str, Any]) -> None:
    """Print a summary, one entry a line."""
    for key, value in summary.items():
        print(f"{key}: {value}")


def finish(code: int, store: Store[Any]) -> int:
    """Print what the rows of a store come to, unless they are not complete, and where they are.

    Args:
        code: what `make_missing` returned.
        store: the rows.

    Returns:
        The same code.
    """
    if code == DONE:
        tell(store.summary)
        if store.path is not None:
            print(f"wrote {store.path}", file=sys.stderr)
    return code


def illustrate(path: Path, draw: Callable[[Path], object]) -> None:
    """Draw a picture where matplotlib is there, and say where it is, or why there is none."""
    if importlib.util.find_spec("matplotlib") is None:
        print('neural-arith: no picture without matplotlib: pip install "neural-arith[plot]"', file=sys.stderr)
        return
    draw(path)
    print(f"picture: {path}")

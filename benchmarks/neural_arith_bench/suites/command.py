"""``neural-arith bench odebench | powerlaw``: all systems of a suite, several methods, one table."""

from __future__ import annotations

import argparse
import itertools
from functools import partial
from pathlib import Path

from neural_arith_bench.runner import DONE, Work, command_line, make_missing, threads_for
from neural_arith_bench.store import Row, Store
from neural_arith_bench.suites import methods
from neural_arith_bench.suites.tables import summary, table
from neural_arith_bench.suites.tasks import Task, chosen, make_row


def rows_at(suite: str, noise: float, drop: float, points: int | None, folder: Path | None) -> Store[Row]:
    """The rows of one suite at one setting.

    Args:
        suite: "odebench" or "powerlaw".
        noise: relative noise.
        drop: share of the samples dropped.
        points: number of samples, None for each system's own.
        folder: where the file is; None to keep nothing.
    """
    own = "" if points is None else f"_points_{points}"
    path = None if folder is None else folder / f"{suite}_noise_{noise:g}_drop_{drop:g}{own}.json"
    return Store(path, ("method", "id", "seed"), dict, summarise=summary, packages=("pysindy", "pyoperon"))


def run(name: str, arguments: argparse.Namespace) -> int:
    """Make the rows that are missing, and print the tables; see `Benchmark.run`."""
    wanted = list(dict.fromkeys(arguments.method or ["neural_arith"]))
    methods.check(wanted)
    systems, points, limit = chosen(name, arguments.systems), arguments.points, arguments.time_limit
    settings = {
        (noise, drop): rows_at(name, noise, drop, points, arguments.out)
        for noise, drop in itertools.product(arguments.noise, arguments.drop)
    }
    keys = [(method, system.number, seed) for method in wanted for system in systems for seed in arguments.seeds]
    slugs = {system.number: system.slug for system in systems}
    threads = threads_for(arguments.jobs)

    def work(task: Task, store: Store[Row], number: int) -> Work[Row]:
        key = (task.method, number, task.seed)
        return Work(store, [key], lambda worker, _: [make_row(worker, task)], label=f"{task.method} {task.slug}")

    code = make_missing(
        [
            work(Task(method, slugs[number], seed, noise, drop, points, limit, threads), store, number)
            for (noise, drop), store in settings.items()
            for method, number, seed in keys
        ],
        command_line(
            name,
            method=wanted,
            noise=arguments.noise,
            drop=arguments.drop,
            systems=arguments.systems,
            seeds=arguments.seeds,
            points=points,
            jobs=arguments.jobs,
            time_limit=limit,
        ),
        quiet=arguments.quiet,
        jobs=arguments.jobs,
        prepare=partial(methods.load, wanted),
    )
    if code == DONE:
        for (noise, drop), store in settings.items():
            print(f"{name}, noise {noise:g}, dropped {drop:g}, {len(systems)} systems, {len(arguments.seeds)} seed(s)")
            print(table([store.rows[key] for key in keys]))
            print(f"rows: {store.path}\n" if store.path else "")
    return code

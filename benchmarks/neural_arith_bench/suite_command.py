"""``neural-arith bench odebench | powerlaw``: all systems of a suite, several methods, one table."""

from __future__ import annotations

import argparse
import itertools
import sys
from functools import partial

from neural_arith.arguments import folder, names, positive, seeds, shares, whole
from neural_arith_bench.benchmark import Benchmark

INTERRUPTED = 130

_DESCRIPTION = (
    "Every method gets the same noisy samples of each system's first trajectory; what it finds is integrated from the "
    "true first state (rec) and from a second one (gen) and compared with the true solutions. Rows that the result "
    "file holds are kept, so an interrupted command goes on where it stopped."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of a suite."""
    parser.add_argument(
        "--method",
        metavar="A,B",
        type=names,
        action="extend",
        help="neural_arith (default), pysindy, operon, oracle, constant; may be repeated",
    )
    parser.add_argument(
        "--noise", metavar="A,B", type=shares(0, 10), default=[0.0], help="relative noise, one level or several"
    )
    parser.add_argument(
        "--drop", metavar="A,B", type=shares(0, 1), default=[0.0], help="share of the samples dropped at random"
    )
    parser.add_argument(
        "--seeds", metavar="N", type=seeds, default=[0], help="number of seeds, or a list as in 4,7 (default: 1)"
    )
    parser.add_argument(
        "--systems", metavar="A,B", type=names, default=[], help="only these, by number or name (default: all)"
    )
    parser.add_argument(
        "--points", metavar="N", type=whole(10, 100_000), help="samples before dropping (default: the system's own)"
    )
    parser.add_argument("--jobs", metavar="N", type=whole(1, 1024), default=1, help="processes (default: 1)")
    parser.add_argument(
        "--time-limit", metavar="SECONDS", type=positive, default=120.0, help="for each system (default: 120)"
    )
    parser.add_argument("--out", metavar="FOLDER", type=folder, help="keep the rows there, one file for each setting")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")


def run(suite: str, arguments: argparse.Namespace) -> int:
    """Make the rows that are missing, keep them, and print the tables.

    Args:
        suite: "odebench" or "powerlaw".
        arguments: the options of `add_arguments`.

    Returns:
        The exit code: 0, or 130 after Ctrl-C.

    Raises:
        OptionError: no such method or system, or a package is missing.
        DataError: a result file cannot be read, or the folder not be made.
    """
    # slow to import, and every command declares the options
    from tqdm import tqdm

    from neural_arith_bench import methods
    from neural_arith_bench.results import Key, ResultFile
    from neural_arith_bench.suites import Task, chosen
    from neural_arith_bench.tables import table
    from neural_arith_bench.workers import default_threads, rows_of

    wanted = list(dict.fromkeys(arguments.method or ["neural_arith"]))
    methods.check(wanted)
    systems = chosen(suite, arguments.systems)
    settings = list(itertools.product(arguments.noise, arguments.drop))
    files = {(n, d): ResultFile(suite, n, d, arguments.points, arguments.out) for n, d in settings}
    keys: list[Key] = [(m, system.number, seed) for m in wanted for system in systems for seed in arguments.seeds]
    slugs = {system.number: system.slug for system in systems}
    shared = (arguments.points, arguments.time_limit, default_threads(arguments.jobs))
    tasks = [
        Task(method, slugs[number], seed, noise, drop, *shared)
        for noise, drop in settings
        for method, number, seed in keys
        if (method, number, seed) not in files[noise, drop].rows
    ]
    command = _command(suite, wanted, arguments)
    bar = tqdm(total=len(tasks), desc=suite, unit="row", disable=arguments.quiet)
    made = 0
    try:
        for task, row in rows_of(tasks, arguments.jobs):
            files[task.noise, task.drop].add(row, command)
            made += 1
            bar.update()
    except KeyboardInterrupt:
        bar.close()
        kept = "kept; the same command goes on" if arguments.out else "lost without --out"
        print(f"neural-arith: interrupted after {made} of {len(tasks)} rows, {kept}", file=sys.stderr)
        return INTERRUPTED
    bar.close()
    for noise, drop in settings:
        file = files[noise, drop]
        print(f"{suite}, noise {noise:g}, dropped {drop:g}, {len(systems)} systems, {len(arguments.seeds)} seed(s)")
        print(table([file.rows[key] for key in keys]))
        print(f"rows: {file.path}\n" if file.path else "")
    return 0


def _command(suite: str, wanted: list[str], arguments: argparse.Namespace) -> str:
    """The command line that makes these rows, without paths of this machine."""
    several = {"--method": wanted, "--noise": arguments.noise, "--drop": arguments.drop, "--systems": arguments.systems}
    parts = [f"neural-arith bench {suite}"]
    parts += [f"{option} {','.join(_word(v) for v in values)}" for option, values in several.items() if values]
    chosen_seeds = ",".join(map(str, arguments.seeds)) + ("," if len(arguments.seeds) == 1 else "")
    parts.append(f"--seeds {chosen_seeds}")
    if arguments.points is not None:
        parts.append(f"--points {arguments.points}")
    return " ".join([*parts, f"--jobs {arguments.jobs}", f"--time-limit {arguments.time_limit:g}"])


def _word(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


SUITE_BENCHMARKS = (
    Benchmark(
        "odebench",
        "the 63 systems of ODEBench (d'Ascoli et al., ICLR 2024)",
        f"The 63 systems of ODEBench. {_DESCRIPTION}",
        add_arguments,
        partial(run, "odebench"),
    ),
    Benchmark(
        "powerlaw",
        "24 systems with real powers and ratios",
        f"24 systems with real powers and ratios, by the same protocol. {_DESCRIPTION}",
        add_arguments,
        partial(run, "powerlaw"),
    ),
)
"""The two suites."""

"""How long the first result takes in a new process, with the compiled solver still to be compiled and without.

The time runs from the end of the imports to the first candidate that is refined through the solver, and to the answer
of the whole search. Cold means an empty cache of compiled code, as after installation; warm the cache that left.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np

from neural_arith_bench.runner import Work, command_line, finish, make_missing
from neural_arith_bench.store import Row, Store, in_folder

SERIES = "lynx_hare"
"""The measured series that is searched."""

_CHILD = f"""
import time
from neural_arith import discover, systems
data = systems.get({SERIES!r}).data()
told = []
def progress(text):
    told.append((text, time.perf_counter()))
begun = time.perf_counter()
discover(data, progress=progress)
ended = time.perf_counter()
first = next(k for k, (text, _) in enumerate(told) if text.startswith("estimating the noise")) + 1
print(told[first][1] - begun, ended - begun)
"""
"""What the search tells next after that it estimates the noise comes when the first candidate is refined."""


def measure(cache: str) -> tuple[float, float]:
    """Seconds to the first refined candidate and to the answer, in a process of its own.

    Args:
        cache: folder of compiled code.
    """
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    done = subprocess.run([sys.executable, "-c", _CHILD], env=environment, capture_output=True, text=True, check=True)
    first, whole = map(float, done.stdout.split())
    return first, whole


def passed(number: int) -> list[Row]:
    """Both rows of one pass."""
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for start in ("cold", "warm"):
            first, whole = measure(cache)
            rows.append({"pass": number, "start": start, "first": round(first, 2), "whole": round(whole, 2)})
    return rows


def summarise(rows: list[Row]) -> dict[str, float]:
    """Medians over passes."""
    return {
        f"median_{start}_{what}_seconds": float(np.median([row[what] for row in rows if row["start"] == start]))
        for start in ("cold", "warm")
        for what in ("first", "whole")
    }


def run(name: str, arguments: argparse.Namespace) -> int:
    """Make the rows of the passes that are missing, and print what they come to; see `Benchmark.run`."""
    store = Store(in_folder(arguments.out, name), ("pass", "start"), dict, summarise=summarise)
    work = [Work(store, [(n, "cold"), (n, "warm")], lambda worker, _, n=n: passed(n)) for n in range(arguments.passes)]
    command = command_line(name, passes=arguments.passes)
    return finish(make_missing(work, command, quiet=arguments.quiet), store)

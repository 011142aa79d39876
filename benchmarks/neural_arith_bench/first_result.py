"""How long the first result takes in a new process, with the compiled solver still to be compiled and without.

    python -m neural_arith_bench.first_result --out docs/results

The time runs from the end of the imports to the first candidate that is refined through the solver, and to the answer
of the whole search. Cold means an empty cache of compiled code, as after installation; warm the cache that left.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from neural_arith_bench.record import conclude

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


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m neural_arith_bench.first_result", description=__doc__)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--out", type=Path, default=None, help="folder for the result file")
    options = parser.parse_args(argv)
    rows = []
    for number in range(options.passes):
        with tempfile.TemporaryDirectory() as cache:
            for start in ("cold", "warm"):
                first, whole = measure(cache)
                rows.append({"pass": number, "start": start, "first": round(first, 2), "whole": round(whole, 2)})
    summary = {
        f"median_{start}_{what}_seconds": float(np.median([row[what] for row in rows if row["start"] == start]))
        for start in ("cold", "warm")
        for what in ("first", "whole")
    }
    command = f"python -m neural_arith_bench.first_result --passes {options.passes}"
    return conclude("first_result", command, rows, summary, options.out)


if __name__ == "__main__":
    sys.exit(main())

"""How many candidate structures are refitted through the solver in a second, on the counts of lynx and hare.

    python -m neural_arith_bench.candidates --out docs/results

All pairs of at-most-two-term right-hand sides of degree three, each refitted (constants and starting state, residuals
in logarithms) from one rough guess. Several passes are timed: the machine may be busy.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path

import numpy as np

from neural_arith import systems
from neural_arith.discovery.measurements.noise import estimate_noise
from neural_arith.discovery.measurements.problem import make_problem
from neural_arith.discovery.measurements.scaling import fit_scaling
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.fit.refine import refine
from neural_arith.terms.dictionary import monomials
from neural_arith.terms.structure import Structure
from neural_arith_bench.record import conclude


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m neural_arith_bench.candidates", description=__doc__)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2, help="threads")
    parser.add_argument("--out", type=Path, default=None, help="folder for the result file")
    options = parser.parse_args(argv)
    data = systems.get("lynx_hare").data()
    scaling = fit_scaling(data)
    runs = scaling.runs(data)
    noise = estimate_noise(runs, "log")
    curves = smooth(runs, noise)
    problem = make_problem(runs, curves, noise, scaling.variable)
    units = monomials(2, 3)
    sides = [side for k in (1, 2) for side in itertools.combinations(units, k)]
    structures = [Structure(pair) for pair in itertools.product(sides, sides)]
    start = curves[0](runs[0].t[:1])
    guesses = [np.full(s.n_terms, 0.1) for s in structures]
    refine(structures[:4], guesses[:4], start, problem)  # loads the compiled solver
    rows = []
    for number in range(options.passes):
        begun = time.perf_counter()
        refined = refine(structures, guesses, start, problem, n_jobs=options.jobs)
        seconds = time.perf_counter() - begun
        rows.append(
            {
                "pass": number,
                "seconds": round(seconds, 3),
                "candidates": len(structures),
                "per_second": round(len(structures) / seconds),
                "finite": int(np.isfinite(refined.misfit).sum()),
                "iterations": round(float(refined.iterations.mean()), 1),
            }
        )
    summary = {
        "candidates": len(structures),
        "best_per_second": max(row["per_second"] for row in rows),
        "median_per_second": float(np.median([row["per_second"] for row in rows])),
    }
    command = f"python -m neural_arith_bench.candidates --passes {options.passes} --jobs {options.jobs}"
    return conclude("candidates", command, rows, summary, options.out)


if __name__ == "__main__":
    sys.exit(main())

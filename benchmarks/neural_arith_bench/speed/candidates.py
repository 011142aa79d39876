"""How many candidate structures are refitted through the solver in a second, on the counts of lynx and hare.

All pairs of at-most-two-term right-hand sides of degree three, each refitted (constants and starting state, residuals
in logarithms) from one rough guess. Several passes are timed: the machine may be busy.
"""

from __future__ import annotations

import argparse
import itertools
import time
from functools import cache
from typing import Any

import numpy as np

from neural_arith import systems
from neural_arith.discovery.measurements.noise import estimate_noise
from neural_arith.discovery.measurements.problem import make_problem
from neural_arith.discovery.measurements.scaling import fit_scaling
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.fit.refine import refine
from neural_arith.solve.compiled.prediction import Problem
from neural_arith.terms.dictionary import monomials
from neural_arith.terms.structure import Structure
from neural_arith_bench.runner import Work, command_line, finish, make_missing
from neural_arith_bench.store import Row, Store, in_folder


def run(name: str, arguments: argparse.Namespace) -> int:
    """Make the rows of the passes that are missing, and print what they come to; see `Benchmark.run`."""
    store = Store(in_folder(arguments.out, name), ["pass"], dict, summarise=summarise)
    refined = cache(prepared)
    work = [
        Work(store, [(number,)], lambda worker, _, n=number: [timed(n, *refined(), arguments.jobs)])
        for number in range(arguments.passes)
    ]
    command = command_line(name, passes=arguments.passes, jobs=arguments.jobs)
    return finish(make_missing(work, command, quiet=arguments.quiet, unit="pass"), store)


def prepared() -> tuple[list[Structure], list[np.ndarray], np.ndarray, Problem]:
    """The structures, a guess for each, the starting state and the problem; the compiled solver is then in memory."""
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
    refine(structures[:4], guesses[:4], start, problem)
    return structures, guesses, start, problem


def timed(
    number: int, structures: list[Structure], guesses: list[np.ndarray], start: np.ndarray, problem: Problem, jobs: int
) -> Row:
    """The row of one pass."""
    begun = time.perf_counter()
    refined = refine(structures, guesses, start, problem, n_jobs=jobs)
    seconds = time.perf_counter() - begun
    return {
        "pass": number,
        "seconds": round(seconds, 3),
        "candidates": len(structures),
        "per_second": round(len(structures) / seconds),
        "finite": int(np.isfinite(refined.misfit).sum()),
        "iterations": round(float(refined.iterations.mean()), 1),
    }


def summarise(rows: list[Row]) -> dict[str, Any]:
    """Rates over passes."""
    rates = [row["per_second"] for row in rows]
    return {
        "candidates": rows[0]["candidates"],
        "best_per_second": max(rates),
        "median_per_second": float(np.median(rates)),
    }

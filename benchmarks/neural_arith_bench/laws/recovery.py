"""How often the discovery route finds the right equations: rates over seeds, with a baseline and an oracle beside them.

A catalogue system is sampled with additive noise of a share of each state's standard deviation, a fresh draw for each
seed; a measured series is searched with another seed of the random starts each time.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from neural_arith import systems
from neural_arith.data import Trajectories
from neural_arith.equations import EquationSystem
from neural_arith.errors import OptionError
from neural_arith.fit import refit_constants
from neural_arith.regressor import ODERegressor
from neural_arith.systems import System
from neural_arith_bench.runner import command_line, finish, make_missing, per_seed
from neural_arith_bench.store import Store, in_folder

LOTKA_VOLTERRA = EquationSystem({"hare": "0.55*hare - 0.028*hare*lynx", "lynx": "-0.8*lynx + 0.024*hare*lynx"})
"""The law of the measured series on which one is agreed; a structure, its constants are not compared."""

TOLERANCE = 0.01
"""A formula counts as exact when its terms are the true ones and every constant, exponents too, is this close."""


def starts_for(system: System, runs: int) -> np.ndarray:
    """Starting states of the runs: the catalogue's first, then the second, then mixtures with other totals.

    Args:
        system: the catalogue entry.
        runs: how many.
    """
    first, second = np.asarray(system.initial_states, dtype=float)[:2]
    mixtures = [first * 1.5 + second * 0.1, first * 0.2 + second * 0.6, first * 0.6 + second, first + second * 0.5]
    if runs > 2 + len(mixtures):
        raise OptionError(f"--runs must be at most {2 + len(mixtures)}, got {runs}")
    return np.array([first, second, *mixtures][:runs])


def one_seed(
    system: System, data: Trajectories, truth: EquationSystem | None, seed: int, jobs: int = -1
) -> dict[str, Any]:
    """Search once and compare.

    Args:
        system: the catalogue entry.
        data: the measurements.
        truth: the right equations; None where none are known.
        seed: of the search.
        jobs: threads.
    """
    begun = time.perf_counter()
    model = ODERegressor(random_state=seed, n_jobs=jobs).fit(data)
    seconds = time.perf_counter() - begun
    found = model.equations_
    row: dict[str, Any] = {"seed": seed, "seconds": round(seconds, 2), "equations": found.to_text(6)}
    row["constants"] = [float(f"{c:.6g}") for c in found.constants]
    if truth is not None:
        row["structure"] = found.same_structure(truth)
        row["exact"] = found.same_as(truth, rtol=TOLERANCE) if system.suite != "real" else None
    return row


def made(system: System, noise: float, runs: int, seed: int, jobs: int) -> dict[str, Any]:
    """The row of one seed: a catalogue system sampled with noise, beside its oracle, or a measured series."""
    if system.suite == "real":
        truth = LOTKA_VOLTERRA if system.slug == "lynx_hare" else None
        return one_seed(system, system.data(), truth, seed, jobs)
    data = system.sample(initial=starts_for(system, runs), noise=noise, noise_kind="additive", seed=seed)
    row = one_seed(system, data, system.equations, seed, jobs)
    oracle = refit_constants(system.equations, data, hold="exact")
    row["oracle_exact"] = oracle.same_as(system.equations, rtol=TOLERANCE)
    return row


def run(name: str, arguments: argparse.Namespace) -> int:
    """Make the rows of the seeds that are missing, and print what they come to; see `Benchmark.run`."""
    system = systems.get(arguments.system)
    noise, runs, jobs = arguments.noise, arguments.runs, arguments.jobs
    file, words = f"{name}_{system.slug}", {"seeds": arguments.seeds, "jobs": jobs}
    if system.suite != "real":
        starts_for(system, runs)
        file, words = f"{file}_noise_{noise:g}_runs_{runs}", {"noise": noise, "runs": runs} | words
    store = Store(in_folder(arguments.out, file), ["seed"], dict, summarise=summarise)
    work = per_seed(store, arguments.seeds, made, system, noise, runs, jobs=jobs)
    command = command_line(f"{name} {system.slug}", **words)
    return finish(make_missing(work, command, quiet=arguments.quiet, jobs=jobs), store)


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts over seeds and the median time."""
    summary: dict[str, Any] = {"seeds": len(rows)}
    for key in ("structure", "exact", "oracle_exact"):
        values = [row[key] for row in rows if row.get(key) is not None]
        if values:
            summary[key] = sum(values)
    summary["median_seconds"] = float(np.median([row["seconds"] for row in rows])) if rows else None
    return summary

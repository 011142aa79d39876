"""How often the four reactions of the chemical reaction neural network's first case are found, beside an oracle.

The experiment of Ji and Deng (2021, J. Phys. Chem. A 125:1082): 2 A -> B (k = 0.1), A -> C (0.2), C -> D (0.13),
B + D -> E (0.3); 20 runs of 100 points 0.4 apart, which start at A and B uniform in 0.2 ... 1.2 and nothing else; noise
of 5 % of each value. Their 10 further runs test the result. Each seed draws starts and noise anew.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from neural_arith import systems
from neural_arith.data import Trajectories
from neural_arith.discovery import discover, reactions_of
from neural_arith.equations import EquationSystem, Reactions, read_reactions
from neural_arith.fit import fit_rates
from neural_arith_bench.runner import command_line, finish, make_missing, per_seed
from neural_arith_bench.store import Store, in_folder

SYSTEM = "four_reactions"

TRAINING, TEST = 20, 10
"""Runs to learn from, and further ones to test with."""

NOISE = 0.05
"""Share of each value."""

TOLERANCE = 0.03
"""A rate constant counts as right when it is this close."""


def experiments(seed: int) -> tuple[Trajectories, Trajectories]:
    """Training runs with noise, and test runs without.

    Args:
        seed: of starts and noise.
    """
    system = systems.get(SYSTEM)
    starts = np.zeros((TRAINING + TEST, system.n_states))
    starts[:, :2] = np.random.default_rng([seed, system.number]).uniform(0.2, 1.2, (TRAINING + TEST, 2))
    noisy = system.sample(initial=starts[:TRAINING], noise=NOISE, seed=seed)
    return noisy, system.sample(initial=starts[TRAINING:])


def same_reactions(found: Reactions, truth: Reactions) -> bool:
    """Whether both have the same reactions, with the same rate laws, and nothing else."""
    ours, theirs = ({(reaction.law, *sorted(reaction.net.items())) for reaction in r.reactions} for r in (found, truth))
    return found.complete and ours == theirs and len(found.reactions) == len(truth.reactions)


def rate_errors(found: Reactions, truth: Reactions) -> dict[str, float]:
    """Relative error of each rate constant, by the reaction's text without its constant."""
    known = {reaction.law: reaction.rate_constant for reaction in truth.reactions}
    errors = {str(r).partition("  (")[0]: r.rate_constant / known[r.law] - 1 for r in found.reactions}
    return {text: float(f"{error:.3g}") for text, error in errors.items()}


def held_out_error(equations: EquationSystem, test: Trajectories) -> float:
    """Root mean square error on the test runs, in shares of each state's standard deviation; inf after failure."""
    every = np.concatenate([run.x for run in test.runs])
    solved = np.concatenate([equations.simulate(run.x[0], run.t, throw=False) for run in test.runs])
    error = float(np.sqrt(np.mean(((solved - every) / every.std(axis=0)) ** 2)))
    return error if np.isfinite(error) else np.inf


def one_seed(time_budget: float | None, seed: int, jobs: int = -1) -> dict[str, Any]:
    """Search once, read the reactions, refit their rate constants, and do the same with the true reactions given.

    Args:
        time_budget: seconds for the search; None for no limit.
        seed: of starts and noise.
        jobs: threads.
    """
    true_equations = systems.get(SYSTEM).equations
    truth = read_reactions(true_equations)
    data, test = experiments(seed)
    begun = time.perf_counter()
    discovery = discover(data, time_budget=time_budget, n_jobs=jobs)
    seconds = time.perf_counter() - begun
    row: dict[str, Any] = {"seed": seed, "seconds": round(seconds, 2), "status": discovery.status}
    row["equations"] = discovery.equations.to_text(6)
    row["structure"] = discovery.equations.same_structure(true_equations)
    row["test_error"] = float(f"{held_out_error(discovery.equations, test):.3g}")
    read = reactions_of(discovery)
    row["reactions"] = [] if read is None else str(read).splitlines()
    row["right"] = read is not None and same_reactions(read, truth)
    row["exact"] = False
    if read is not None and row["right"]:
        row["rate_errors"] = rate_errors(fit_rates(read, data, noise="log").reactions, truth)
        row["exact"] = max(map(abs, row["rate_errors"].values())) <= TOLERANCE
    row["oracle_rate_errors"] = rate_errors(fit_rates(truth, data, noise="log").reactions, truth)
    row["oracle_exact"] = max(map(abs, row["oracle_rate_errors"].values())) <= TOLERANCE
    return row


def run(name: str, arguments: argparse.Namespace) -> int:
    """Make the rows of the seeds that are missing, and print what they come to; see `Benchmark.run`."""
    budget, jobs = arguments.time_budget, arguments.jobs
    store = Store(in_folder(arguments.out, name), ["seed"], dict, summarise=summarise)
    work = per_seed(store, arguments.seeds, one_seed, budget, jobs=jobs)
    command = command_line(name, time_budget=budget, seeds=arguments.seeds, jobs=jobs)
    return finish(make_missing(work, command, quiet=arguments.quiet, jobs=jobs), store)


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts over seeds, and medians of time and test error."""
    summary: dict[str, Any] = {"seeds": len(rows)}
    for key in ("structure", "right", "exact", "oracle_exact"):
        summary[key] = sum(row[key] for row in rows)
    for key in ("seconds", "test_error"):
        summary[f"median_{key}"] = float(np.median([row[key] for row in rows])) if rows else None
    return summary

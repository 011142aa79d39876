"""How often the discovery route finds the right equations: rates over seeds, with a baseline and an oracle beside them.

    python -m neural_arith_bench.recovery fractional_sir --noise 0.01 --runs 4 --seeds 20 --out docs/results
    python -m neural_arith_bench.recovery lynx_hare --seeds 20 --out docs/results

A catalogue system is sampled with additive noise of a share of each state's standard deviation, a fresh draw for each
seed; a measured series is searched with another seed of the random starts each time. Rows already in the result file
are kept, so an interrupted command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp

from neural_arith import systems
from neural_arith.data import Trajectories
from neural_arith.equations import EquationSystem
from neural_arith.errors import NeuralArithError, OptionError
from neural_arith.fit import refit_constants
from neural_arith.regressor import ODERegressor
from neural_arith.systems import System
from neural_arith_bench.record import run_seeds

LOTKA_VOLTERRA = EquationSystem({"hare": "0.55*hare - 0.028*hare*lynx", "lynx": "-0.8*lynx + 0.024*hare*lynx"})
"""The law of the measured series on which one is agreed; a structure, its constants are not compared."""

TOLERANCE = 0.01
"""A formula counts as exact when its terms are the true ones and every constant is this close (and exponents 1e-3)."""


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


def is_exact(found: EquationSystem, truth: EquationSystem) -> bool:
    """Same terms, exponents within 1e-3 and coefficients within 1 %, after both are written in one canonical order."""
    if not found.same_as(truth, rtol=TOLERANCE):
        return False
    ours = sorted(abs(v) for v in _exponents(found))
    theirs = sorted(abs(v) for v in _exponents(truth))
    return len(ours) == len(theirs) and bool(np.allclose(ours, theirs, atol=1e-3))


def _exponents(equations: EquationSystem) -> list[float]:
    """All exponents that occur, whole ones included."""
    powers = []
    for expr in equations.rhs.values():
        for term in sp.Add.make_args(sp.expand(expr)):
            parts = [factor.as_base_exp() for factor in sp.Mul.make_args(term)]
            powers.extend(float(exponent) for base, exponent in parts if base.free_symbols and exponent.is_number)
    return powers


def one_seed(system: System, data: Trajectories, truth: EquationSystem | None, seed: int) -> dict[str, Any]:
    """Search once and compare.

    Args:
        system: the catalogue entry.
        data: the measurements.
        truth: the right equations; None where none are known.
        seed: of the search.
    """
    begun = time.perf_counter()
    model = ODERegressor(random_state=seed).fit(data)
    seconds = time.perf_counter() - begun
    found = model.equations_
    row: dict[str, Any] = {"seed": seed, "seconds": round(seconds, 2), "equations": found.to_text(6)}
    row["constants"] = [float(f"{c:.6g}") for c in found.constants]
    if truth is not None:
        row["structure"] = found.same_structure(truth)
        row["exact"] = is_exact(found, truth) if system.suite != "real" else None
    return row


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m neural_arith_bench.recovery", description=__doc__)
    parser.add_argument("system", help="a catalogue name, see neural-arith systems")
    parser.add_argument("--noise", type=float, default=0.0, help="share of each state's standard deviation")
    parser.add_argument("--runs", type=int, default=1, help="runs with different starting states")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=None, help="folder for the result file")
    options = parser.parse_args(argv)
    try:
        return _run(options)
    except NeuralArithError as error:
        print(f"recovery: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    system = systems.get(options.system)
    real = system.suite == "real"
    truth = (LOTKA_VOLTERRA if system.slug == "lynx_hare" else None) if real else system.equations
    name = f"recovery_{system.slug}" + ("" if real else f"_noise_{options.noise:g}_runs_{options.runs}")
    command = f"python -m neural_arith_bench.recovery {system.slug} --seeds {options.seeds}"
    if not real:
        command += f" --noise {options.noise:g} --runs {options.runs}"

    def one(seed: int) -> dict[str, Any]:
        if real:
            return one_seed(system, system.data(), truth, seed)
        starts = starts_for(system, options.runs)
        data = system.sample(initial=starts, noise=options.noise, noise_kind="additive", seed=seed)
        row = one_seed(system, data, truth, seed)
        row["oracle_exact"] = is_exact(refit_constants(system.equations, data, hold="exact"), system.equations)
        return row

    return run_seeds(one, options.seeds, name=name, command=command, out=options.out, summarise=summarise)


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts over seeds and the median time."""
    summary: dict[str, Any] = {"seeds": len(rows)}
    for key in ("structure", "exact", "oracle_exact"):
        values = [row[key] for row in rows if row.get(key) is not None]
        if values:
            summary[key] = sum(values)
    summary["median_seconds"] = float(np.median([row["seconds"] for row in rows])) if rows else None
    return summary


if __name__ == "__main__":
    sys.exit(main())

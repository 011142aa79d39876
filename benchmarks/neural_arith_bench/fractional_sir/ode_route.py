"""The published fractional-SIR experiment by the neural ODE route: train through the solver, prune, round, refit.

Heim, Pevný, Šmídl (Neural Power Units, NeurIPS 2020, section 4.1) train NPU(3, 6) and NAU(6, 3) on one noise-free
trajectory of 40 points; 3 of their 100 runs come near it and none finds the formula. Every seed here draws its own
weights and starts. A row says how well the trained network simulates (worst state's R2, one shot from the published
start, accurate solver) and whether the formula that is left is the right one: the true terms and no others, every
constant within 1 %.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch

from neural_arith import systems
from neural_arith.data import Trajectories
from neural_arith.equations import EquationSystem
from neural_arith.errors import IntegrationError, NeuralArithError
from neural_arith.fit import refit_constants, round_coefficients
from neural_arith.layers import NAU, NPU
from neural_arith.layers.power import PowerLayer
from neural_arith.ode import ArithmeticField, prune, train
from neural_arith.ode.flat import FlatField
from neural_arith.solve import solve
from neural_arith_bench.laws.recovery import TOLERANCE
from neural_arith_bench.runner import command_line, finish, make_missing, per_seed
from neural_arith_bench.store import Row, Store, in_folder

ENOUGH = 0.9999
HIDDEN = 6
SMALL = 1e-3
"""The size above which the paper counts a parameter."""


def score(field: ArithmeticField, data: Trajectories) -> float:
    """The worst state's R2 of the first run, simulated in one shot with an accurate solver; -inf if it cannot be."""
    run = data.runs[0]

    def f(t: float, x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return field(t, torch.as_tensor(x, dtype=torch.float64)).numpy()

    try:
        x = solve(f, run.x[0], run.t, method="LSODA", rtol=1e-9, atol=1e-11).x
    except IntegrationError:
        return float("-inf")
    return float((1 - ((x - run.x) ** 2).sum(0) / ((run.x - run.x.mean(0)) ** 2).sum(0)).min())


def one_seed(
    data: Trajectories, truth: EquationSystem, seed: int, hidden: int = HIDDEN, unit: type[PowerLayer] = NPU
) -> dict[str, Any]:
    """Train, prune, round, refit and compare.

    Args:
        data: the measurements.
        truth: the right equations, used for the comparison only.
        seed: of the weights, the starts of training and those of pruning.
        hidden: number of products.
        unit: what forms them, NPU or RealNPU.
    """
    generator = torch.Generator().manual_seed(seed)
    n = len(data.names)
    layers = unit(n, hidden, generator=generator), NAU(hidden, n, generator=generator)
    field = ArithmeticField(*layers, states=data.names)
    begun, busy = time.perf_counter(), time.process_time()
    trained = train(field, data, seed=seed)
    row: dict[str, Any] = {
        "seed": seed,
        "status": trained.status,
        "loss": trained.loss,
        "r2": score(trained.field, data),
        "train_seconds": time.perf_counter() - begun,
        "train_cpu_seconds": time.process_time() - busy,
    }
    begun, busy = time.perf_counter(), time.process_time()
    try:
        pruned = prune(trained.field, data, seed=seed)
        row["pruned"] = pruned.to_equations().to_text(6)
        row["numbers"] = int((FlatField(pruned).read().abs() > SMALL).sum())
        final = refit_constants(round_coefficients(pruned.to_equations(), data), data, hold="exact")
        row["equations"] = final.to_text(8)
        row["exact"] = final.same_as(truth, rtol=TOLERANCE)
    except NeuralArithError as error:
        row["failure"] = f"{type(error).__name__}: {error}"
        row["exact"] = False
    row["formula_seconds"] = time.perf_counter() - begun
    row["formula_cpu_seconds"] = time.process_time() - busy
    return row


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts and medians."""
    return {
        "seeds": len(rows),
        f"r2_above_{ENOUGH}": sum(row["r2"] > ENOUGH for row in rows),
        "exact_formula": sum(row["exact"] for row in rows),
        "median_train_seconds": float(np.median([row["train_seconds"] for row in rows])),
        "median_formula_seconds": float(np.median([row["formula_seconds"] for row in rows])),
        "median_cpu_seconds": float(np.median([row["train_cpu_seconds"] + row["formula_cpu_seconds"] for row in rows])),
    }


def published(seed: int, _: int) -> Row:
    """The row of one seed on the published data, on one thread."""
    torch.set_num_threads(1)
    system = systems.get("fractional_sir")
    return one_seed(system.sample(), system.equations, seed)


def run(name: str, arguments: argparse.Namespace) -> int:
    """Make the rows of the seeds that are missing, and print what they come to; see `Benchmark.run`."""
    store = Store(in_folder(arguments.out, name), ["seed"], dict, summarise=summarise)
    work = per_seed(store, arguments.seeds, published, jobs=arguments.jobs)
    command = command_line(name, seeds=arguments.seeds, jobs=arguments.jobs)
    return finish(make_missing(work, command, quiet=arguments.quiet, jobs=arguments.jobs), store)

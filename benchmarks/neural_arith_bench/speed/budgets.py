"""Whether a search keeps its time budget: seconds from call to return over twelve shapes of data.

Each search has a process of its own. What it says while it loads, or compiles, the solver is measured and subtracted.
Asked: never more than two seconds and a tenth over.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from neural_arith.data import Trajectories
from neural_arith.discovery import discover
from neural_arith_bench.runner import Work, Worker, chosen, command_line, finish, make_missing
from neural_arith_bench.store import Row, Store, in_folder

FIXED, SHARE = 2.0, 0.1
"""Seconds, and share of the budget, that a search may take longer."""

_Field = Callable[[float, np.ndarray], Any]


def _solved(f: _Field, start: Any, t: np.ndarray) -> np.ndarray:
    return solve_ivp(f, (t[0], t[-1]), start, t_eval=t, method="LSODA", rtol=1e-8, atol=1e-10).y.T


def _ring(n: int) -> _Field:
    """Masses in a ring, each held by a spring and coupled to its neighbours: positions, then speeds."""

    def f(_: float, z: np.ndarray) -> np.ndarray:
        x, v = z[:n], z[n:]
        return np.concatenate([v, -3.2 * x + 0.9 * (np.roll(x, 1) + np.roll(x, -1)) - 0.12 * v])

    return f


def _competing(n: int, rng: np.random.Generator) -> _Field:
    """Species that each grow, and are kept down by themselves and by two others."""
    rate, own = rng.uniform(0.4, 1.2, n), rng.uniform(0.5, 1.0, n)

    def f(_: float, x: np.ndarray) -> np.ndarray:
        return x * (rate - own * x - 0.3 * np.roll(x, 1) - 0.2 * np.roll(x, 3))

    return f


def _lotka(_: float, x: np.ndarray) -> list[float]:
    return [0.55 * x[0] - 0.028 * x[0] * x[1], -0.84 * x[1] + 0.026 * x[0] * x[1]]


def _lorenz(_: float, x: np.ndarray) -> list[float]:
    return [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]]


def _noisy(x: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    return x + share * np.sqrt((x**2).mean(axis=0)) * rng.standard_normal(x.shape)


def _one_clean(rng: np.random.Generator) -> Trajectories:
    t = np.linspace(0, 10, 60)
    return Trajectories.from_arrays(t, _solved(lambda _, x: 0.8 * x - 0.16 * x**2, [0.5], t))


def _two_noisy(rng: np.random.Generator) -> Trajectories:
    t = np.linspace(0, 14, 100)
    return Trajectories.from_arrays(t, _noisy(_solved(_lotka, [30.0, 4.0], t), 0.05, rng))


def _three_chaotic(rng: np.random.Generator) -> Trajectories:
    t = np.linspace(0, 20, 1000)
    return Trajectories.from_arrays(t, _noisy(_solved(_lorenz, [1.0, 1.0, 20.0], t), 0.01, rng))


def _species(n: int, rows: int, runs: int, rng: np.random.Generator) -> Trajectories:
    t, f = np.linspace(0, 12, rows), _competing(n, rng)
    x = [_noisy(_solved(f, rng.uniform(0.05, 0.6, n), t), 0.01, rng) for _ in range(runs)]
    return Trajectories.from_arrays([t] * runs, x)


def _masses(n: int, rows: int, runs: int, rng: np.random.Generator) -> Trajectories:
    t, f = np.linspace(0, 15, rows), _ring(n)
    x = [_noisy(_solved(f, rng.standard_normal(2 * n), t), 0.01, rng) for _ in range(runs)]
    return Trajectories.from_arrays([t] * runs, x)


def _two_hundred_columns(rng: np.random.Generator) -> Trajectories:
    t = np.linspace(0, 15, 200)
    waves = np.sin(t[:, None] * rng.uniform(0.3, 2.0, 199) + rng.uniform(0, 6, 199)) * np.exp(-0.05 * t[:, None])
    return Trajectories.from_arrays(t, _noisy(waves, 0.02, rng))


def _million_rows(rng: np.random.Generator) -> Trajectories:
    t = np.linspace(0, 100, 1_000_000)
    slow = np.linspace(0, 100, 5_000)
    x = np.column_stack([np.interp(t, slow, column) for column in _solved(_lotka, [30.0, 4.0], slow).T])
    return Trajectories.from_arrays(t, _noisy(x, 0.02, rng))


def _many_runs(rng: np.random.Generator) -> Trajectories:
    t = np.linspace(0, 14, 100)
    x = [_noisy(_solved(_lotka, start, t), 0.02, rng) for start in rng.uniform([10, 2], [40, 12], (500, 2))]
    return Trajectories.from_arrays([t] * len(x), x)


def _random_walk(rng: np.random.Generator) -> Trajectories:
    return Trajectories.from_arrays(np.arange(300.0), 100 + rng.standard_normal((300, 3)).cumsum(axis=0))


def _with_inputs(rng: np.random.Generator) -> Trajectories:
    t = np.linspace(0, 40, 300)
    u = np.column_stack([1 + np.sin(0.7 * t), (np.sin(0.31 * t) > 0).astype(float)])

    def f(time: float, x: np.ndarray) -> list[float]:
        one, two = np.interp(time, t, u[:, 0]), np.interp(time, t, u[:, 1])
        return [one - 0.5 * x[0] - 0.2 * x[0] * x[1], 0.3 * x[0] + two - 0.7 * x[1]]

    return Trajectories.from_arrays(t, _noisy(_solved(f, [0.5, 0.2], t), 0.02, rng), u=u)


SHAPES: dict[str, Callable[[np.random.Generator], Trajectories]] = {
    "1 state, clean": _one_clean,
    "2 states, noisy": _two_noisy,
    "3 states, chaotic": _three_chaotic,
    "6 states": lambda rng: _species(6, 100, 4, rng),
    "10 states": lambda rng: _masses(5, 120, 4, rng),
    "20 states in a ring": lambda rng: _masses(10, 120, 4, rng),
    "40 states x 200 rows": lambda rng: _species(40, 200, 1, rng),
    "200 columns": _two_hundred_columns,
    "a million rows": _million_rows,
    "500 runs of 100": _many_runs,
    "random walks": _random_walk,
    "2 states, 2 inputs": _with_inputs,
}
"""Measurements to search, made from a generator."""


def measure(name: str, budget: float, seed: int, jobs: int, cpu: bool = False) -> dict[str, Any]:
    """One search in this process.

    Args:
        name: of the shape.
        budget: seconds.
        seed: of the measurements.
        jobs: threads.
        cpu: let the budget be one of processor seconds, as on an idle machine, where this one is busy.
    """
    given = SHAPES[name](np.random.default_rng(seed))
    now = time.process_time if cpu else time.perf_counter
    told: list[tuple[str, float]] = []
    begun, worked = now(), time.process_time()
    data = Trajectories(given.runs, given.names, given.input_names)

    def tell(line: str) -> None:
        told.append((line, now()))

    found = discover(data, time_budget=budget, n_jobs=jobs, progress=tell, now=now)
    ended = now()
    worked = time.process_time() - worked
    loading = next((k for k, (line, _) in enumerate(told) if line.startswith("loading")), None)
    compiling = 0.0 if loading is None else told[loading + 1][1] - told[loading][1]
    seconds = ended - begun - compiling
    return {
        "shape": name,
        "budget": budget,
        "seed": seed,
        "seconds": round(seconds, 2),
        "over": round(seconds - budget, 2),
        "kept": seconds <= budget * (1 + SHARE) + FIXED,
        "compiling": round(compiling, 2),
        "cpu": round(worked, 2),
        "status": found.status,
        "terms": sum(len(text.split(" + ")) for text in found.equations.to_text().values()),
        "candidates": len(found.candidates),
        "left_out": next((line for line in found.messages if line.startswith("The time budget left")), ""),
    }


def summarise(rows: list[Row]) -> dict[str, Any]:
    """How many searches took too long, and by how much."""
    return {
        "searches": len(rows),
        "over_by_more_than_2_s_and_a_tenth": sum(not row["kept"] for row in rows),
        "largest_overrun_seconds": max((row["over"] for row in rows), default=None),
    }


def run(name: str, arguments: argparse.Namespace) -> int:
    """Make the rows that are missing, each in a new process, and print what they come to; see `Benchmark.run`."""
    shapes = chosen("--shapes", arguments.shapes, SHAPES)
    cpu, jobs = arguments.cpu, arguments.jobs
    store = Store(in_folder(arguments.out, name), ("budget", "shape", "seed"), dict, summarise=summarise)

    def work(budget: float, shape: str, seed: int) -> Work[Row]:
        def make(worker: Worker, _: object) -> list[Row]:
            worker.end()
            return [worker.call(None, measure, shape, budget, seed, jobs, cpu)]

        return Work(store, [(budget, shape, seed)], make, label=f"{shape}, {budget:g} s")

    everything = [work(b, shape, seed) for b in arguments.budgets for shape in shapes for seed in arguments.seeds]
    command = command_line(
        name, budgets=arguments.budgets, shapes=arguments.shapes, seeds=arguments.seeds, jobs=jobs, cpu=cpu
    )
    return finish(make_missing(everything, command, quiet=arguments.quiet), store)

"""One task of a suite: draw the data of one system, let one method find equations, and score them.

The data are those of the ODEBench protocol: the first starting state, multiplicative noise, a share of the samples
dropped at random; the same system, seed, noise and share give every method the same data. Reconstruction starts at the
true first state, generalisation at the second one; both are compared with the true solutions at all times.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from joblib.externals.loky.process_executor import BrokenProcessPool

from neural_arith import systems
from neural_arith.equations import EquationSystem
from neural_arith.errors import OptionError
from neural_arith.systems import System
from neural_arith_bench.runner import Worker
from neural_arith_bench.store import Row
from neural_arith_bench.suites import scores
from neural_arith_bench.suites.methods import METHODS, Given

CONSTANTS = 0.05
"""How far constants of a formula that counts as exact may be off."""

ALGEBRA = 30.0
"""Seconds after which the comparison of formulas is given up, and they count as different."""


@dataclass(frozen=True)
class Task:
    """One row to be made.

    Attributes:
        method: a name of `METHODS`.
        slug: of the system.
        seed: of the noise and of the dropped samples.
        noise: relative standard deviation of the multiplicative noise.
        drop: share of the samples dropped.
        points: number of samples before dropping; None for the system's own number.
        seconds: time limit.
        threads: see `Given`.
    """

    method: str
    slug: str
    seed: int
    noise: float
    drop: float
    points: int | None
    seconds: float
    threads: int

    def row(self, **more: Any) -> Row:
        """The row of a failure, or the beginning of another."""
        system = systems.get(self.slug)
        row: Row = {"method": self.method, "id": system.number, "system": self.slug, "seed": self.seed}
        row |= {"status": "ok", "r2_rec": None, "r2_gen": None, "rhs_error": None, "structure": False, "exact": False}
        return row | more


def chosen(suite: str, wanted: Sequence[str]) -> list[System]:
    """The systems of a suite, or those wanted, by number or slug, in the order of their numbers.

    Raises:
        OptionError: one of them is not in the suite.
    """
    everything = [systems.get(slug) for slug in systems.names(suite)]
    known = {key: system for system in everything for key in (system.slug, str(system.number))}
    for key in wanted:
        if key not in known:
            first, last = everything[0].number, everything[-1].number
            raise OptionError(
                f"{suite} has no system {key!r}; give numbers from {first} to {last}, or names as in "
                f"neural-arith systems --suite {suite}"
            )
    slugs = {known[key].slug for key in wanted}
    return [system for system in everything if not wanted or system.slug in slugs]


@lru_cache(maxsize=4)
def truth(slug: str, points: int | None) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Times, and the true solutions from the first and the second starting state, each ``(time, states)``."""
    first, second = systems.get(slug).sample(points, initial=[0, 1])
    return first.t, (first.x, second.x)


def attempt(task: Task) -> tuple[Row, EquationSystem | None]:
    """Find equations and score what they predict.

    Returns:
        The row, and the equations to be judged by `judge`; None where the method failed.
    """
    system = systems.get(task.slug)
    t, solutions = truth(task.slug, task.points)
    data = system.sample(task.points, noise=task.noise, drop=task.drop, seed=task.seed)
    row = task.row(samples=data.n_points)
    begun, busy = time.perf_counter(), time.process_time()
    found: EquationSystem | None = None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # other packages', of which there are hundreds
        try:
            found = METHODS[task.method].fit(data, Given(system.equations, task.seconds, task.threads))
        except Exception as error:  # whatever another package raises is a failed prediction
            row |= {"status": "error", "error": f"{type(error).__name__}: {error}"[:200]}
    row["seconds"] = round(time.perf_counter() - begun, 3)
    row["cpu_seconds"] = round(time.process_time() - busy, 3)
    if found is None:
        return row, None
    f = found.to_numpy()
    for key, start, true in zip(("r2_rec", "r2_gen"), system.initial_states, solutions, strict=True):
        states = scores.simulated(f, start, t)
        row[key] = None if states is None else _finite(scores.r2(true, states))
    box = scores.box(np.concatenate(solutions), system.number)
    row["rhs_error"] = _finite(scores.rhs_error(f, system.equations.to_numpy(), box))
    row["equations"] = found.to_text(None)
    return row, found


def judge(task: Task, found: EquationSystem) -> tuple[bool, bool]:
    """Whether the structure is right, and whether the formula is: every constant within 5 %.

    Terms that hardly contribute where the true solutions go are dropped first. The algebra can take very long on large
    formulas: whoever calls this sets a limit.
    """
    visited = np.concatenate(truth(task.slug, task.points)[1])
    kept, true = scores.without_negligible(found, visited), systems.get(task.slug).equations
    return kept.same_structure(true), kept.same_as(true, rtol=CONSTANTS)


def make_row(worker: Worker, task: Task) -> Row:
    """Make the row of a task, in the worker; a failure is a row, too."""
    try:
        row, found = worker.call(task.seconds, attempt, task)
    except TimeoutError:
        return task.row(status="timeout", seconds=task.seconds)
    except BrokenProcessPool:
        return task.row(status="crash", error="the process died")
    if found is None:
        return row
    try:
        row["structure"], row["exact"] = worker.call(ALGEBRA, judge, task, found)
    except TimeoutError:
        row["error"] = f"the formulas could not be compared in {ALGEBRA:g} s"
    except Exception as error:  # an expression that the algebra cannot take is not the right one
        row["error"] = f"comparison: {type(error).__name__}: {error}"[:200]
    return row


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

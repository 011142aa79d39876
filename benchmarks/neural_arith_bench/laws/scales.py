"""Whether laws depend on the units of measurement: ten problems, each searched in seven sets of units.

Every problem is simulated once, with noise in proportion to the values, and its numbers are then written in other units
of states and time. What is found is written back in the first units: it has to be the same law, and each of its
constants has to agree within its standard error. The truth stands beside it, for a law can be the same and wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from neural_arith.data import Trajectories
from neural_arith.discovery import Candidate, Discovery, discover
from neural_arith.equations import EquationSystem
from neural_arith_bench.runner import Work, chosen, command_line, finish, make_missing, threads_for
from neural_arith_bench.store import Row, Store, in_folder

SEED = 20


@dataclass(frozen=True)
class Units:
    """One set of units.

    Attributes:
        name: how it is told.
        states: what the number of each state is multiplied by, taken in turn.
        time: what times are multiplied by.
    """

    name: str
    states: tuple[float, ...] = (1.0,)
    time: float = 1.0

    def size(self, index: int) -> float:
        """What the numbers of one state are multiplied by."""
        return self.states[index % len(self.states)]


UNITS = (
    Units("as simulated"),
    Units("states x 1e-9", (1e-9,)),
    Units("states x 1e3", (1e3,)),
    Units("states x 1e9", (1e9,)),
    Units("time x 1e-9", time=1e-9),
    Units("time x 1e9", time=1e9),
    Units("each state its own, time x 60", (1e4, 7e-3, 250.0), 60.0),
)
"""The first is what the others are compared with."""


@dataclass(frozen=True)
class Problem:
    """A system with known law.

    Attributes:
        rhs: right-hand sides.
        starts: starting states, one for each run.
        until: end of each run.
        points: samples of each run.
        noise: relative standard deviation.
    """

    rhs: Mapping[str, str]
    starts: tuple[tuple[float, ...], ...]
    until: float
    points: int
    noise: float

    @property
    def truth(self) -> EquationSystem:
        """The law."""
        return EquationSystem(dict(self.rhs))

    def data(self, units: Units) -> Trajectories:
        """The measurements in some units; the noise is the same in all."""
        rng, t, runs = np.random.default_rng(SEED), np.linspace(0.0, self.until, self.points), []
        sizes = np.array([units.size(i) for i in range(len(self.rhs))])
        for start in self.starts:
            x = self.truth.simulate(start, t, rtol=1e-10)
            runs.append(x * (1 + self.noise * rng.standard_normal(x.shape)) * sizes)
        return Trajectories.from_arrays(t * units.time, runs, names=list(self.rhs))


PROBLEMS = {
    "enzyme": Problem({"S": "-2.3*S/(0.8 + S)"}, ((5.0,), (2.0,)), 2.5, 70, 0.03),
    "logistic": Problem({"cells": "0.6*cells - 0.012*cells**2"}, ((2.0,), (80.0,)), 12.0, 40, 0.03),
    "decline": Problem({"tumour": "-0.4*tumour*log(tumour/9)"}, ((0.5,), (30.0,)), 12.0, 60, 0.02),
    "cooling": Problem({"tea": "2.0 - 0.1*tea"}, ((80.0,), (5.0,)), 30.0, 40, 0.01),
    "predators": Problem(
        {"hare": "1.1*hare - 0.4*hare*lynx", "lynx": "0.1*hare*lynx - 0.5*lynx"}, ((10.0, 5.0),), 20.0, 100, 0.03
    ),
    "epidemic": Problem(
        {"S": "-0.5*S*I/1000", "I": "0.5*S*I/1000 - 0.1*I"}, ((990.0, 10.0), (700.0, 40.0)), 60.0, 80, 0.03
    ),
    "satiation": Problem(
        {
            "prey": "prey*(1 - prey/9) - 1.6*prey*hunter/(1.5 + prey)",
            "hunter": "0.9*prey*hunter/(1.5 + prey) - 0.4*hunter",
        },
        ((6.0, 1.0), (2.0, 3.0)),
        40.0,
        160,
        0.01,
    ),
    "spring": Problem({"x": "v", "v": "-4.0*x - 0.3*v"}, ((1.0, 0.0), (0.2, 1.5)), 10.0, 100, 0.02),
    "drag": Problem({"v": "9.81 - 0.35*v**2"}, ((0.1,), (12.0,)), 2.5, 60, 0.02),
    "chain": Problem(
        {"A": "-0.42*A", "B": "0.42*A - 0.17*B", "C": "0.17*B"}, ((1.0, 0.1, 0.05), (0.2, 0.9, 0.4)), 15.0, 40, 0.02
    ),
}
"""Laws without a variable that is a pure number; such as the sine of an angle are left out."""


def in_first_units(equations: EquationSystem, units: Units) -> EquationSystem:
    """Equations found in some units, for the numbers as simulated."""
    symbols = [sp.Symbol(name) for name in equations.states]
    swap = {symbol: units.size(i) * symbol for i, symbol in enumerate(symbols)}
    laws = {name: expression.xreplace(swap) for name, expression in equations.rhs.items()}
    factors = [units.time / units.size(i) for i in range(len(laws))]
    return EquationSystem(
        {name: sp.Mul(law, f) for (name, law), f in zip(laws.items(), factors, strict=True)}  # pyright: ignore[reportArgumentType]
    )


def apart(first: Candidate, other: EquationSystem) -> float:
    """Largest difference of two sets of constants of one law, in standard errors of the first."""
    pairs = zip(first.constants, first.standard_errors, other.constants, strict=True)
    return max((abs(a - c) / error for a, error, c in pairs if error > 0), default=0.0)


def row_of(name: str, units: Units, first: Discovery, found: Discovery) -> dict[str, Any]:
    """One row: the law in some units beside the law in the first ones."""
    fitted, rounded = (in_first_units(e, units) for e in (found.chosen.equations, found.equations))
    same = fitted.same_structure(first.chosen.equations) and len(fitted.constants) == len(first.chosen.constants)
    return {
        "problem": name,
        "units": units.name,
        "seed": SEED,
        "same_law": same,
        "constants_apart": round(apart(first.chosen, fitted), 3) if same else None,
        "true_law": rounded.same_structure(PROBLEMS[name].truth),
        "constants_right": rounded.same_as(PROBLEMS[name].truth, rtol=0.1),
        "equations": rounded.to_text(),
    }


def summary_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How many rows agree."""
    others = [row for row in rows if row["units"] != UNITS[0].name]
    return {
        "rows_in_other_units": len(others),
        "same_law": sum(row["same_law"] for row in others),
        "constants_within_one_standard_error": sum(row["same_law"] and row["constants_apart"] <= 1 for row in others),
        "true_law": sum(row["true_law"] for row in rows),
        "constants_within_a_tenth": sum(row["constants_right"] for row in rows),
    }


def rows_of(name: str, jobs: int) -> list[dict[str, Any]]:
    """The rows of one problem, searched in all units."""
    found = [discover(PROBLEMS[name].data(units), n_jobs=jobs) for units in UNITS]
    return [row_of(name, units, found[0], other) for units, other in zip(UNITS, found, strict=True)]


def run(name: str, arguments: argparse.Namespace) -> int:
    """Make the rows of the problems that are missing, and print what they come to; see `Benchmark.run`."""
    problems, jobs = chosen("--problems", arguments.problems, PROBLEMS), arguments.jobs
    store = Store(in_folder(arguments.out, name), ("problem", "units"), dict, summarise=summary_of)

    def work(problem: str) -> Work[Row]:
        keys = [(problem, units.name) for units in UNITS]
        return Work(store, keys, lambda worker, _: worker.run(rows_of, problem, threads_for(jobs)), label=problem)

    command = command_line(name, problems=arguments.problems, jobs=jobs)
    code = make_missing(map(work, problems), command, quiet=arguments.quiet, unit="problem", jobs=jobs)
    return finish(code, store)

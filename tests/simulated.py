"""Measurements with a known truth, and the compiled solver's problem built from them by hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from neural_arith.data import Run, Trajectories
from neural_arith.discovery.likelihood import Likelihood
from neural_arith.discovery.measurements.problem import make_problem
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.discovery.search.archive import Archive
from neural_arith.equations import EquationSystem
from neural_arith.fit.noise import Noise
from neural_arith.solve.compiled.prediction import Problem
from neural_arith.terms.structure import Structure, Term
from neural_arith.terms.units import FITTED, Number, Unit, power

LOTKA = EquationSystem({"hare": "0.55*hare - 0.028*hare*lynx", "lynx": "-0.84*lynx + 0.026*hare*lynx"})
LOTKA_STRUCTURE = Structure(((power(1, 0), power(1, 1)), (power(0, 1), power(1, 1))))
LOGISTIC = EquationSystem({"y": "0.8*y - 0.16*y**2"})
LOGISTIC_STRUCTURE = Structure(((power(1), power(2)),))


def logistic(t: np.ndarray, start: float = 0.5, rate: float = 0.8, capacity: float = 5.0) -> np.ndarray:
    """The exact logistic curve, ``(time, 1)``."""
    return (capacity / (1 + (capacity / start - 1) * np.exp(-rate * (t - t[0]))))[:, None]


def lotka(t: np.ndarray, start: tuple[float, float] = (30.0, 4.0)) -> np.ndarray:
    """Hares and lynxes, ``(time, 2)``."""
    return scipy_solution(
        lambda _, x: [0.55 * x[0] - 0.028 * x[0] * x[1], -0.84 * x[1] + 0.026 * x[0] * x[1]], start, t
    )


def scipy_solution(f: Callable[[float, np.ndarray], Any], start: Any, t: np.ndarray) -> np.ndarray:
    """SciPy's answer, sample by sample so that a kink at a sample does no harm, ``(time, states)``."""
    states = [np.asarray(start, dtype=float)]
    for a, b in itertools.pairwise(t):
        found = solve_ivp(f, (a, b), states[-1], method="DOP853", rtol=1e-12, atol=1e-14)
        states.append(found.y[:, -1])
    return np.array(states)


def unit_value(unit: Unit, values: Mapping[Term | Number, float], x: np.ndarray, scale: np.ndarray) -> float:
    """A unit at one point in plain Python, as independent of the kernel as can be; ``x`` in scaled numbers."""

    def read(kind: str, owner: Unit, v: int, entry: float, factor: float = 1.0) -> float:
        return values[Number(kind, owner, v)] if entry == FITTED else entry * factor

    def size(owner: Unit) -> float:
        return math.prod(scale[v] ** read("power", owner, v, e) for v, e in enumerate(owner.powers))

    found = math.prod(x[v] ** read("power", unit, v, e) for v, e in enumerate(unit.powers) if e)
    found *= math.prod(math.log(abs(x[v]) * scale[v]) for v, used in enumerate(unit.logs) if used)
    found *= math.exp(sum(read("rate", unit, v, r, scale[v]) * x[v] for v, r in enumerate(unit.rates)))
    if unit.frequencies:
        turn = sum(read("frequency", unit, v, w, scale[v]) * x[v] for v, w in enumerate(unit.frequencies))
        found *= math.cos(turn + read("phase", unit, 0, unit.phase))
    for k, (total, q) in enumerate(unit.sums):
        value = 0.0
        for m, (part, b) in enumerate(total.parts):
            fixed = b * size(part) / size(total.parts[0][0])
            coefficient = values[Number("coefficient", total, m)] if b == FITTED else fixed
            value += coefficient * unit_value(part, values, x, scale)
        exponent = read("sum power", unit, k, q)
        found *= math.nan if value < 0 and exponent != round(exponent) else value**exponent
    return found


def right_hand_side(
    structure: Structure,
    theta: np.ndarray,
    drive: Callable[[float], np.ndarray] = lambda _: np.zeros(0),
    scale: np.ndarray | None = None,
) -> Callable[[float, np.ndarray], np.ndarray]:
    """A structure in plain Python; ``scale`` defaults to ones."""
    values = structure.values(theta)

    def f(t: float, x: np.ndarray) -> np.ndarray:
        variables = np.append(x, drive(t))
        sizes = np.ones(len(variables)) if scale is None else scale
        out = np.zeros(len(x))
        for i, unit in structure.terms:
            out[i] += values[(i, unit)] * unit_value(unit, values, variables, sizes)
        return out

    return f


def make(
    t: np.ndarray,
    x: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    inputs: np.ndarray | None = None,
    start: tuple[int, ...] = (),
    linked: tuple[bool, ...] = (False,),
    link_weight: float = 1.0,
    floor: float = 1e-9,
    log: bool = False,
    bound: float = 1e6,
    scale: np.ndarray | None = None,
) -> Problem:
    """A problem; ``start`` lists the pieces after the first; ``scale`` defaults to ones."""
    d = x.shape[1]
    inputs = np.zeros((len(t), 0)) if inputs is None else inputs
    return Problem(
        t=t,
        x=x,
        weight=np.ones_like(x) if weight is None else weight,
        inputs=inputs,
        start=np.array([0, *start, len(t)]),
        linked=np.array(linked),
        link_weight=np.full(d, link_weight),
        floor=np.full(d, floor),
        log_residual=log,
        bound=np.full(d, bound),
        scale=np.ones(d + inputs.shape[1]) if scale is None else scale,
    )


def one_run(t: np.ndarray, x: np.ndarray, u: np.ndarray | None = None) -> list[Run]:
    """Scaled runs, as the steps of the search pass them on."""
    return [Run(t, x, u)]


def noisy(x: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Multiplicative noise."""
    return x * (1 + share * np.random.default_rng(seed).standard_normal(x.shape))


def predator_prey(points: int = 30, share: float = 0.0, seed: int = 0) -> Trajectories:
    """One run of hares and lynxes."""
    t = np.linspace(0, 14, points)
    return Trajectories.from_arrays(t, noisy(lotka(t), share, seed), names=("hare", "lynx"))


def archive_of(
    runs: list[Run], noise: Noise, *, piece: int = 7, rtol: float = 1e-7, scale: np.ndarray | None = None
) -> Archive:
    """An archive for scaled runs; ``scale`` (sizes of states, then inputs) defaults to ones."""
    curves = smooth(runs, noise)
    d = runs[0].x.shape[1]
    n_inputs = 0 if runs[0].u is None else runs[0].u.shape[1]
    sizes = np.ones(d + n_inputs) if scale is None else scale
    states = np.concatenate([c(r.t)[:, :d] for c, r in zip(curves, runs, strict=True)])
    whole, pieces = make_problem(runs, curves, noise, sizes), make_problem(runs, curves, noise, sizes, piece)
    one, other = (Likelihood(problem, states[problem.start[:-1]], rtol) for problem in (whole, pieces))
    return Archive(one, other)

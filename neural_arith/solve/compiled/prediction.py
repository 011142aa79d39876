"""The trajectory of a candidate beside the measurements, and how it changes with its numbers, without compiling any.

Each candidate is arrays (:mod:`neural_arith.solve.compiled.tables`), so one integration serves them all: the embedded
pair of Dormand and Prince (1980) together with the forward sensitivities in coefficients, numbers within units and
starting states. What it says of the measurements is the profile likelihood

    2 * misfit = sum_i n_i * log(rss_i / n_i + floor_i^2)

in which every state has an unknown noise level of its own. A candidate that blows up, turns stiff or leaves its domain
is an answer (an infinite misfit), never an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from neural_arith.solve.compiled.integrate import evaluate, profile_misfit, spread
from neural_arith.solve.compiled.tables import Tables, pack
from neural_arith.solve.compiled.values import NONE, NUMBERS, load_numbers, many_values
from neural_arith.terms.structure import Structure
from neural_arith.terms.units import Number, Unit

NEVER = np.zeros(1, dtype=np.uint8)
"""The flag of what nobody halts."""


@dataclass(frozen=True)
class Problem:
    """The measurements as the kernel reads them: pieces of trajectory, one after the other.

    A piece is integrated from a free starting state at its first sample. One piece for each run is single shooting;
    several linked pieces are multiple shooting: the gap between a piece's end and the next one's start is penalised.

    Attributes:
        t: sample times of all pieces in a row, shape ``(samples,)``.
        x: measured states, ``(samples, states)``.
        weight: 0 where a value is missing; else one over the relative noise level, ``(samples, states)``.
        inputs: input variables at the samples, ``(samples, inputs)``; straight lines in between.
        start: first sample of each piece and, last, the number of samples; ``(pieces + 1,)``.
        linked: whether a piece goes on from the one before, ``(pieces,)``.
        link_weight: weight of a squared gap for each state, ``(states,)``.
        floor: smallest noise level the likelihood distinguishes, ``(states,)``.
        log_residual: residuals are differences of logarithms (all states positive).
        bound: size of a state that counts as a blow-up, ``(states,)``.
        scale: what a value of each variable here is multiplied by to be in the user's own units, ``(variables,)``;
            fixed numbers within units are meant in those.
    """

    t: np.ndarray
    x: np.ndarray
    weight: np.ndarray
    inputs: np.ndarray
    start: np.ndarray
    linked: np.ndarray
    link_weight: np.ndarray
    floor: np.ndarray
    log_residual: bool
    bound: np.ndarray
    scale: np.ndarray

    def __post_init__(self) -> None:
        """Lay arrays out in one way, so that the kernel is compiled once."""
        for name in ("t", "x", "weight", "inputs", "link_weight", "floor", "bound", "scale"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=float))
        object.__setattr__(self, "start", np.ascontiguousarray(self.start, dtype=np.int64))
        object.__setattr__(self, "linked", np.ascontiguousarray(self.linked, dtype=bool))

    def step_limit(self, per_sample: int = 40) -> int:
        """How many integration steps a refinement may take."""
        return per_sample * len(self.t) + 400

    @property
    def measured(self) -> np.ndarray:
        """States, nan where a value is missing, and inputs at the samples, ``(samples, variables)``."""
        return np.hstack([np.where(self.weight > 0, self.x, np.nan), self.inputs])

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        return int((~self.linked).sum())

    def of_runs(self, chosen: Sequence[int] | np.ndarray) -> tuple[Problem, np.ndarray]:
        """The problem of some of the runs, and which pieces of this one are theirs."""
        mine = np.isin(np.cumsum(~self.linked) - 1, chosen)
        length = np.diff(self.start)
        samples = np.repeat(mine, length)
        part = {name: getattr(self, name)[samples] for name in ("t", "x", "weight", "inputs")}
        start = np.append(0, np.cumsum(length[mine]))
        return replace(self, **part, start=start, linked=self.linked[mine]), np.flatnonzero(mine)

    @property
    def counts(self) -> np.ndarray:
        """How many values of each state were measured, ``(states,)``."""
        return (self.weight > 0).sum(0)

    @property
    def n_pieces(self) -> int:
        """Number of pieces."""
        return len(self.start) - 1


@dataclass(frozen=True)
class Prediction:
    """Trajectory of one candidate at the samples, with what it says about the certainty of its numbers.

    Attributes:
        x: states at the samples, ``(samples, states)``; nan when the integration failed.
        normal: Gauss-Newton matrix of the misfit, ``(parameters, parameters)``; parameters are the coefficients, the
            numbers within units and the starting states of the pieces.
        gradient: half the slope of the misfit, ``(parameters,)``.
        rss: weighted residual sum of squares of each state.
        misfit: twice the negative profile log likelihood up to a constant; inf when the integration failed.
    """

    x: np.ndarray
    normal: np.ndarray
    gradient: np.ndarray
    rss: np.ndarray
    misfit: float


def predict(
    structure: Structure,
    theta: np.ndarray,
    starts: np.ndarray,
    problem: Problem,
    *,
    columns: Sequence[Number] | None = None,
    rtol: float = 1e-8,
    max_steps: int | None = None,
    slopes: bool = True,
    halt: np.ndarray = NEVER,
) -> Prediction:
    """Integrate one candidate over the problem's samples, with sensitivities.

    Args:
        structure: the candidate.
        theta: its values.
        starts: ``(pieces, states)``.
        problem: the measurements.
        columns: numbers within units to differentiate by, fixed ones allowed; default all fitted ones.
        rtol: relative tolerance of the integrator.
        max_steps: integration steps it may take; default 400 for each sample and 4000 more.
        slopes: whether sensitivities are wanted; without them ``normal`` and ``gradient`` are empty.
        halt: one number; once it is set, by another thread, the integration counts as failed.
    """
    many = pack([structure], [theta], problem.scale, None if columns is None else [columns])
    tables = Tables(*(array[0] for array in many))
    n_states = problem.x.shape[1]
    n_theta = int(tables.live[3] + tables.live[4])
    size = n_theta + problem.n_pieces * n_states if slopes else 0
    normal = np.zeros((n_states + 1, size, n_theta + 2 * n_states))
    gradient = np.zeros((n_states + 1, size))
    rss = np.empty(n_states)
    predicted = np.full((*problem.x.shape, 1), np.nan)
    counts = problem.counts.astype(float)
    gaps, _ = evaluate(
        np.ascontiguousarray(theta, dtype=float), np.ascontiguousarray(starts), np.log(problem.scale), tables,
        problem.t, problem.x, problem.weight, problem.inputs, problem.start, problem.linked, problem.link_weight,
        problem.log_residual, rtol, problem.bound, max_steps or 400 * len(problem.t) + 4000,
        1 + n_theta + n_states if slopes else 1, normal, gradient, rss, predicted, True, halt,
    )  # fmt: skip
    level = np.where(counts > 0, rss / np.maximum(counts, 1) + problem.floor**2, np.inf)
    share = np.append(1.0 / level, 1.0)
    lower = np.zeros((size, size))
    if slopes:
        spread(np.tensordot(share, normal, 1), n_states, False, lower)
    misfit = profile_misfit(rss, gaps, counts, problem.floor) if np.isfinite(gaps) else np.inf
    return Prediction(predicted[..., 0], lower + np.tril(lower, -1).T, share @ gradient, rss, misfit)


def values_at(
    units: Sequence[Unit], values: Mapping[Number, float], points: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """Values of units at many points, ``(units, points)``.

    Args:
        units: the units, each once.
        values: the fitted numbers within them.
        points: states and inputs in scaled numbers, ``(points, variables)``.
        scale: sizes of the variables, ``(variables,)``.
    """
    structure = Structure((tuple(units),))
    theta = np.array([*np.zeros(structure.n_terms), *(values[number] for number in structure.numbers)])
    found, _ = slopes_at(structure, theta, points, scale, slopes=False)
    place = {unit: k for k, (_, unit) in enumerate(structure.terms)}
    return found[[place[unit] for unit in units]]


def slopes_at(
    structure: Structure, theta: np.ndarray, points: np.ndarray, scale: np.ndarray, *, slopes: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Values of the terms' units at many points, and their derivatives in the fitted numbers.

    Args:
        structure: the structure.
        theta: its values.
        points: states and inputs in scaled numbers, ``(points, variables)``.
        scale: sizes of the variables, ``(variables,)``.
        slopes: whether derivatives are wanted.

    Returns:
        Values ``(terms, points)`` and derivatives ``(terms, numbers, points)``.
    """
    return evaluator(structure, theta, points, scale, slopes=slopes)(theta)


def evaluator(
    structure: Structure, theta: np.ndarray, points: np.ndarray, scale: np.ndarray, *, slopes: bool = True
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """What :func:`slopes_at` computes as a function of ``theta``, laid out once for many calls."""
    many = pack([structure], [theta], scale, None if slopes else [[]])
    tables = Tables(*(array[0] for array in many))
    log_scale, places = np.log(scale), np.ascontiguousarray(points)

    def evaluate_at(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if slopes:
            load_numbers(tables, np.ascontiguousarray(theta[structure.n_terms :], dtype=float))
        return many_values(places, log_scale, tables, NUMBERS if slopes else NONE)

    return evaluate_at

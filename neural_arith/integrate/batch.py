"""The compiled solver for many candidates: integrate, differentiate and refit each of them, without compiling any.

Each candidate is arrays (:mod:`neural_arith.integrate.structure`), so one kernel serves them all. It integrates with
the embedded pair of Dormand and Prince (1980) together with the forward sensitivities in coefficients, numbers within
units and starting states, and refines them by Levenberg-Marquardt on the profile likelihood

    2 * misfit = sum_i n_i * log(rss_i / n_i + floor_i^2)

in which every state has an unknown noise level of its own. A candidate that blows up, turns stiff or leaves its domain
is an answer (an infinite misfit), never an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from neural_arith.integrate.blocks import Checkpoint, always, partition, run_blocks
from neural_arith.integrate.kernel import evaluate
from neural_arith.integrate.kernel_refine import profile_misfit, refine_range, spread
from neural_arith.integrate.kernel_units import NONE, NUMBERS, load_numbers, many_values
from neural_arith.integrate.structure import Structure, Tables, pack
from neural_arith.integrate.units import Number, Unit

BLOCK = 2e7
"""Operations, as :func:`_cost` counts them, of one block of candidates: about 20 ms."""

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
class Refined:
    """What refining gave for each candidate, in the order asked.

    Attributes:
        thetas: for each candidate its refined values, in the order of its structure.
        starts: starting state of each piece, ``(candidates, pieces, states)``.
        misfit: twice the negative profile log likelihood up to a constant, ``(candidates,)``; inf = failed.
        rss: weighted residual sum of squares of each state, ``(candidates, states)``.
        iterations: Levenberg-Marquardt iterations spent.
        complete: whether time sufficed for all candidates; those left out count as failed.
    """

    thetas: list[np.ndarray]
    starts: np.ndarray
    misfit: np.ndarray
    rss: np.ndarray
    iterations: np.ndarray
    complete: bool


def _refine_block(
    packed: Tables,
    theta: np.ndarray,
    starts: np.ndarray,
    problem: Problem,
    iterations: int,
    tolerance: float,
    rtol: float,
    max_steps: int,
    halt: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Refined values, starts, misfits, residual sums and iterations of a few candidates, wherever this is run."""
    # What arrives in another process may be read-only; the kernel is compiled for arrays that are not.
    # One memory layout, whatever the caller has: the kernel is compiled anew for every other.
    tables = Tables(*(np.array(a, order="C") for a in packed))
    theta, starts = np.array(theta, order="C"), np.array(starts, order="C")
    fixed = [
        np.require(a, requirements=["C", "W"])
        for a in (np.log(problem.scale), problem.t, problem.x, problem.weight, problem.inputs, problem.start,
                  problem.linked, problem.link_weight, problem.floor, problem.bound)
    ]  # fmt: skip
    log_scale, t, x, weight, inputs, start, linked, link_weight, floor, bound = fixed
    misfit, rss = np.full(len(theta), np.inf), np.full((len(theta), x.shape[1]), np.inf)
    spent = np.zeros(len(theta), dtype=np.int64)
    refine_range(
        0, len(theta), tables, log_scale, theta, starts, t, x, weight, inputs, start, linked, link_weight, floor,
        problem.log_residual, rtol, bound, max_steps, iterations, tolerance, misfit, rss, spent, halt,
    )  # fmt: skip
    return theta, starts, misfit, rss, spent


def _cost(structure: Structure, problem: Problem, iterations: int) -> float:
    """Rough number of operations of a refinement: at least two steps of six stages for each sample and pass."""
    samples, n_states = problem.x.shape
    columns = 1 + structure.n_fitted + n_states
    rates = n_states**2 * columns + 8 * structure.n_terms * len(problem.scale)
    return iterations * samples * (12.0 * rates + n_states * columns**2)


def refine(
    structures: Sequence[Structure],
    thetas: Sequence[np.ndarray],
    starts: np.ndarray,
    problem: Problem,
    *,
    iterations: int = 25,
    tolerance: float = 0.05,
    rtol: float = 1e-6,
    max_steps: int | None = None,
    n_jobs: int | None = 1,
    checkpoint: Checkpoint | None = None,
    in_time: Callable[[], bool] = always,
    halt: np.ndarray | None = None,
) -> Refined:
    """Refit all values of many candidates, and their starting states, to the measurements.

    Args:
        structures: the candidates.
        thetas: for each one its starting values: coefficients, then the fitted numbers within units.
        starts: starting states, ``(pieces, states)`` for all or ``(candidates, pieces, states)``.
        problem: the measurements.
        iterations: most Levenberg-Marquardt iterations for one candidate.
        tolerance: two gains in a row below this many units of 2 log likelihood end the refinement.
        rtol: relative tolerance of the integrator.
        max_steps: integration steps one pass may take; default 40 for each sample and 400 more.
        n_jobs: threads, or workers of the backend that ``joblib.parallel_config`` names; the answer does not depend
            on them.
        checkpoint: keeps the results, a block of candidates at a time.
        in_time: asked before each block of candidates; once it says no, the rest is left out.
        halt: one number that may be set at any time, by another thread; then candidates stay as far as they have come.

    Returns:
        Refined values in the order of ``structures``.
    """
    packed = pack(structures, thetas, problem.scale)
    width = max((len(theta) for theta in thetas), default=1)
    theta = np.zeros((len(structures), max(width, 1)))
    for c, values in enumerate(thetas):
        theta[c, : len(values)] = values
    states = np.array(np.broadcast_to(starts, (len(structures), problem.n_pieces, problem.x.shape[1])))
    misfit = np.full(len(structures), np.inf)
    rss = np.full((len(structures), problem.x.shape[1]), np.inf)
    spent = np.zeros(len(structures), dtype=np.int64)
    if max_steps is None:
        max_steps = 40 * len(problem.t) + 400
    ranges = partition((_cost(s, problem, iterations) for s in structures), BLOCK)
    blocks = [(Tables(*(a[i:j] for a in packed)), theta[i:j], states[i:j]) for i, j in ranges]
    shared = (problem, iterations, tolerance, rtol, max_steps)
    halt = NEVER if halt is None else halt
    found = run_blocks(_refine_block, blocks, *shared, n_jobs=n_jobs, checkpoint=checkpoint, in_time=in_time, halt=halt)
    for (i, j), result in zip(ranges, found, strict=True):
        if result is not None:
            theta[i:j], states[i:j], misfit[i:j], rss[i:j], spent[i:j] = result
    complete = all(result is not None for result in found) and not halt[0]
    refined = [theta[c, : len(values)].copy() for c, values in enumerate(thetas)]
    return Refined(refined, states, misfit, rss, spent, complete)


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
    predicted = np.full(problem.x.shape, np.nan)
    counts = problem.counts.astype(float)
    gaps = evaluate(
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
    return Prediction(predicted, lower + np.tril(lower, -1).T, share @ gradient, rss, misfit)


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

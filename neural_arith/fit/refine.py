"""The compiled refinement: Levenberg-Marquardt for many candidates, on the normal equations of ``compiled.integrate``.

Runs and pieces share nothing but the numbers of the equations, so the matrix is nearly empty; it is kept and solved as
such. Nothing here raises: a candidate that fails has an infinite misfit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from neural_arith.fit.levenberg_marquardt import descend, is_usable
from neural_arith.parallel import Checkpoint, always, partition, run_blocks
from neural_arith.solve.compiled.cache import compiled
from neural_arith.solve.compiled.integrate import copy_into, evaluate, profile_misfit, spread
from neural_arith.solve.compiled.prediction import NEVER, Prediction, Problem, predict
from neural_arith.solve.compiled.tables import Tables, pack
from neural_arith.solve.compiled.values import load_numbers
from neural_arith.terms.structure import Structure

BLOCK = 2e7
"""Operations, as :func:`_cost` counts them, of one block of candidates: about 20 ms."""


@compiled()
def _longest(kind, value):
    """How far one step may move a number: the model is far from linear in most of them."""
    if kind == 1 or kind == 2:
        return 0.3 * abs(value) + 0.3
    if kind == 4:
        return 0.7 * abs(value) + 0.1
    return 0.5


@compiled()
def solve_positive(matrix, rhs, size, work, first):
    """Cholesky solve of the lower triangle in place; False when the matrix is not positive definite.

    Args:
        matrix: row i is zero before column ``first[i]``, whatever stands there.
        rhs: the right-hand side, replaced by the solution.
        size: how many rows count.
        work: room, as large as the matrix.
        first: columns, ``(size,)``.
    """
    for i in range(size):
        for j in range(first[i], i + 1):
            acc = matrix[i, j]
            for k in range(max(first[i], first[j]), j):
                acc -= work[i, k] * work[j, k]
            if i == j:
                if not acc > 1e-14 * matrix[i, i] or not acc > 0.0:
                    return False
                work[i, i] = np.sqrt(acc)
            else:
                work[i, j] = acc / work[j, j]
    for i in range(size):
        acc = rhs[i]
        for k in range(first[i], i):
            acc -= work[i, k] * rhs[k]
        rhs[i] = acc / work[i, i]
    for i in range(size - 1, -1, -1):
        acc = rhs[i]
        for k in range(i + 1, size):
            if first[k] <= i:
                acc -= work[k, i] * rhs[k]
        rhs[i] = acc / work[i, i]
    return True


@compiled()
def refine_range(
    first, stop, many, log_scale, theta, starts, t, xs, weight, inputs, start, linked, link_weight, floor, log_residual,
    rtol, bound, steps, iterations, tolerance, misfit, rss_out, spent, halt,
):  # fmt: skip
    """Levenberg-Marquardt for the candidates first..stop-1, in place, as far as it comes before ``halt[0]`` is set."""
    n_states = xs.shape[1]
    n_pieces = len(start) - 1
    counts = np.zeros(n_states)
    for k in range(len(t)):
        for i in range(n_states):
            if weight[k, i] > 0.0:
                counts[i] += 1.0
    nothing, keep = np.empty((1, n_states, 1)), n_states < 0  # a plain False would compile a variant of its own
    for c in range(first, stop):
        tables = Tables(
            many.powers[c], many.rates[c], many.frequencies[c], many.phases[c], many.logs[c], many.lifted[c],
            many.factor_first[c], many.factor_sum[c], many.factor_power[c], many.part_first[c], many.part_unit[c],
            many.part_coefficient[c], many.equation[c], many.unit[c], many.kind[c], many.place[c], many.live[c],
        )  # fmt: skip
        n_terms = tables.live[3]
        n_theta = n_terms + tables.live[4]
        n_starts = n_pieces * n_states
        size = n_theta + n_starts
        cols = 1 + n_theta + n_states
        normal = np.zeros((n_states + 1, size, n_theta + 2 * n_states))
        gradient = np.zeros((n_states + 1, size))
        normal_new = np.zeros_like(normal)
        gradient_new = np.zeros_like(gradient)
        rows = np.empty((size, n_theta + 2 * n_states))
        matrix = np.empty((size, size))
        work = np.zeros((size, size))
        delta = np.empty(size)
        envelope = np.zeros(size, dtype=np.int64)
        for a in range(n_starts):
            envelope[a] = max(a - a % n_states - n_states, 0)
        rss = np.empty(n_states)
        rss_new = np.empty(n_states)
        now = theta[c, :n_theta].copy()
        now_starts = starts[c].copy()
        trial = now.copy()
        trial_starts = now_starts.copy()
        load_numbers(tables, now[n_terms:])
        gaps, _ = evaluate(
            now, now_starts, log_scale, tables, t, xs, weight, inputs, start, linked, link_weight, log_residual, rtol,
            bound, steps, cols, normal, gradient, rss, nothing, keep, halt,
        )  # fmt: skip
        value = profile_misfit(rss, gaps, counts, floor)
        if not np.isfinite(value):
            misfit[c] = np.inf
            continue
        damping = 1e-2
        quiet = 0
        for it in range(iterations):
            if halt[0] != 0:
                break
            spent[c] = it + 1
            # Starting states first: then Cholesky's factor is as sparse as the matrix.
            rows[:, :] = 0.0
            delta[:] = 0.0
            for i in range(n_states + 1):
                w = 1.0
                if i < n_states:
                    w = 1.0 / (rss[i] / counts[i] + floor[i] ** 2) if counts[i] > 0 else 0.0
                for a in range(size):
                    delta[a + n_starts if a < n_theta else a - n_theta] -= w * gradient[i, a]
                    for b in range(n_theta + 2 * n_states):
                        rows[a, b] += w * normal[i, a, b]
            spread(rows, n_states, np.bool_(True), matrix)
            for a in range(size):
                matrix[a, a] = matrix[a, a] * (1.0 + damping) + 1e-300
            good = solve_positive(matrix, delta, size, work, envelope)
            value_new = np.inf
            if good:
                for a in range(n_theta):
                    change = delta[n_starts + a]
                    if a >= n_terms:
                        longest = _longest(tables.kind[a - n_terms], now[a])
                        change = min(max(change, -longest), longest)
                    trial[a] = now[a] + change
                for p in range(n_pieces):
                    for i in range(n_states):
                        trial_starts[p, i] = now_starts[p, i] + delta[p * n_states + i]
                load_numbers(tables, trial[n_terms:])
                gaps, _ = evaluate(
                    trial, trial_starts, log_scale, tables, t, xs, weight, inputs, start, linked, link_weight,
                    log_residual, rtol, bound, steps, cols, normal_new, gradient_new, rss_new, nothing, keep, halt,
                )  # fmt: skip
                value_new = profile_misfit(rss_new, gaps, counts, floor)
            if value_new < value:
                gain = value - value_new
                value = value_new
                for a in range(n_theta):
                    now[a] = trial[a]
                copy_into(trial_starts, n_states, now_starts)
                for i in range(n_states):
                    rss[i] = rss_new[i]
                normal, normal_new = normal_new, normal
                gradient, gradient_new = gradient_new, gradient
                damping = max(damping * 0.2, 1e-9)
                quiet = quiet + 1 if gain < tolerance else 0
                if quiet >= 2:
                    break
            else:
                damping *= 5.0
                if damping > 1e7:
                    break
        for a in range(n_theta):
            theta[c, a] = now[a]
        copy_into(now_starts, n_states, starts[c])
        misfit[c] = value
        for i in range(n_states):
            rss_out[c, i] = rss[i]


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


def refine_tied(
    structure: Structure,
    theta: np.ndarray,
    starts: np.ndarray,
    problem: Problem,
    basis: np.ndarray,
    *,
    iterations: int = 25,
    tolerance: float = 0.05,
    rtol: float = 1e-6,
    halt: np.ndarray = NEVER,
) -> tuple[np.ndarray, np.ndarray, Prediction]:
    """Refit the values of one candidate and its starting states, the values within the span of a basis.

    Begins where the quadratic model of the likelihood around the given values is least within the span.

    Args:
        structure: the candidate.
        theta: first guess of its values, within the span or not.
        starts: starting states of the pieces, ``(pieces, states)``.
        problem: the measurements.
        basis: ``(values, free values)``.
        iterations: most steps.
        tolerance: two gains in a row below this many units of 2 log likelihood end the refinement.
        rtol: relative tolerance of the integrator.
        halt: one number; once it is set, by another thread, nothing integrates any more.

    Returns:
        Values, starting states and what :func:`predict` says of them; its misfit is infinite if nothing integrates.
    """
    n = len(theta)
    free = np.block(
        [
            [basis, np.zeros((n, starts.size))],
            [np.zeros((starts.size, basis.shape[1])), np.eye(starts.size)],
        ]
    )

    def look(at: np.ndarray) -> Prediction:
        most, here = problem.step_limit(), at[n:].reshape(starts.shape)
        return predict(structure, at[:n], here, problem, rtol=rtol, max_steps=most, halt=halt)

    point = np.append(theta, starts)
    within, here = free @ np.linalg.lstsq(free, point)[0], look(point)
    if is_usable(here):
        normal = here.normal / (size := np.sqrt(np.maximum(np.diag(here.normal), 1e-30))) / size[:, None]
        rows = free * size[:, None]
        place = np.linalg.lstsq(rows.T @ normal @ rows, rows.T @ normal @ (point * size))[0]
        here = look(free @ place)
        within = free @ place if is_usable(here) else within
    if not is_usable(here):
        here = look(within)
    point, here, _ = descend(
        look, within, here, steps=iterations, settled=lambda gain, *_: gain < tolerance, basis=free, patience=2
    )
    return point[:n], point[n:].reshape(starts.shape), here

"""The compiled refinement: Levenberg-Marquardt for many candidates, on the normal equations that ``kernel`` fills.

Runs and pieces share nothing but the numbers of the equations, so the matrix is nearly empty; it is kept and solved as
such. Nothing here raises: a candidate that fails has an infinite misfit.
"""

from __future__ import annotations

import numpy as np

from neural_arith.integrate.compiled import compiled
from neural_arith.integrate.kernel import copy_into, evaluate
from neural_arith.integrate.kernel_units import load_numbers
from neural_arith.integrate.structure import Tables


@compiled()
def _longest(kind, value):
    """How far one step may move a number: the model is far from linear in most of them."""
    if kind == 1 or kind == 2:
        return 0.3 * abs(value) + 0.3
    if kind == 4:
        return 0.7 * abs(value) + 0.1
    return 0.5


@compiled()
def profile_misfit(rss, gaps, counts, floor):
    """Twice the negative log likelihood with each state's noise level at its best value, plus the penalty of gaps."""
    total = gaps
    for i in range(len(rss)):
        if counts[i] > 0:
            total += counts[i] * np.log(rss[i] / counts[i] + floor[i] ** 2)
    return total


@compiled()
def spread(rows, n_states, starts_first, matrix):
    """Lower triangle of the matrix whose short rows :func:`evaluate` fills, the starting states first or last.

    Args:
        rows: short rows, summed over the states.
        n_states: number of states.
        starts_first: whether the starting states come before the numbers.
        matrix: receives the entries that may differ from zero.
    """
    n_theta = rows.shape[1] - 2 * n_states
    n_starts = len(rows) - n_theta
    numbers, starts = (n_starts, 0) if starts_first else (0, n_theta)
    for a in range(n_theta):
        for b in range(a + 1):
            matrix[numbers + a, numbers + b] = rows[a, b]
    for a in range(n_starts):
        row, piece = rows[n_theta + a], a - a % n_states
        for b in range(n_theta):
            matrix[max(starts + a, numbers + b), min(starts + a, numbers + b)] = row[b]
        for b in range(piece, a + 1):
            matrix[starts + a, starts + b] = row[n_theta + b - piece]
        for b in range(n_states if piece else 0):
            matrix[starts + a, starts + piece - n_states + b] = row[n_theta + n_states + b]


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
    nothing, keep = np.empty((1, n_states)), n_states < 0  # a plain False would compile a variant of its own
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
        gaps = evaluate(
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
                gaps = evaluate(
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

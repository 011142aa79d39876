"""The compiled integration of candidates: plain loops over arrays, called by ``prediction`` and by what refines them.

One kernel serves every candidate, because a candidate is arrays. The embedded pair of Dormand and Prince (1980) carries
the state together with its forward sensitivities in coefficients, numbers within units and starting states. Samples
within a step are read off it (Shampine, 1986). Nothing here raises: a candidate that fails has an infinite misfit.

A state and its sensitivities are one matrix ``(states, columns)``, the state in column 0: each line of the integrator
is one loop over a contiguous row, which becomes vector instructions, and ``columns = 1`` is the integration without
sensitivities. Sums are written as loops, since array expressions allocate their temporaries anew at every stage, and a
library call for matrices of two by ten costs more than the product.
"""

from __future__ import annotations

import numpy as np

from neural_arith.solve.compiled.cache import compiled
from neural_arith.solve.compiled.tables import borrowed, borrowed_tables
from neural_arith.solve.compiled.values import ALL, NONE, unit_values
from neural_arith.solve.tableau import BETWEEN, ERROR, NODES, STAGES

_LOOSE, _GONE, _AS_BEFORE = 1e-3, 1e-250, 0.9**5
"""Tolerated share of error of the sensitivities to a starting state in a step, so that it is stable even where nothing
moves; size at which they no longer tell, and the error that then keeps the step as long as it was."""

_TOGETHER = 16
"""Samples that are added to the normal equations at once."""


# Loops, since assigning arrays to arrays compiles a message about their shapes, which takes seconds.
@compiled()
def copy_into(source, cols, target):
    """The first columns of one matrix into another."""
    for i in range(len(source)):
        for c in range(cols):
            target[i, c] = source[i, c]


@compiled(forceinline=True)
def _rates(x, log_scale, tables, theta, z, out, cols, n_states, room):
    """Right-hand side in column 0 of ``out``; rates of the sensitivities ``z`` in the others."""
    n_terms, n_numbers = tables.live[3], tables.live[4]
    value, dx, dp, total, total_dx, total_dp, jac = room
    unit_values(x, log_scale, tables, ALL if cols > 1 else NONE, value, dx, dp, total, total_dx, total_dp)
    out[:, :] = 0.0
    for k in range(n_terms):
        out[tables.equation[k], 0] += theta[k] * value[tables.unit[k]]
    if cols == 1:
        return
    # First the derivative in the state as a matrix, then the product of it with all sensitivities: terms share it, and
    # most of its entries are zero.
    jac[:, :] = 0.0
    for k in range(n_terms):
        c = theta[k]
        if c != 0.0:
            h, i = tables.unit[k], tables.equation[k]
            for v in range(n_states):
                jac[i, v] += c * dx[h, v]
            for q in range(n_numbers):
                out[i, 1 + n_terms + q] += c * dp[h, q]
    for k in range(n_terms):
        out[tables.equation[k], 1 + k] += value[tables.unit[k]]
    for i in range(n_states):
        for j in range(n_states):
            a = jac[i, j]
            if a != 0.0:
                for c in range(1, cols):
                    out[i, c] += a * z[j, c]


@compiled(forceinline=True)
def _worst_sensitivity(z, trial, stage, step, cols, n_states):
    """The largest error of the sensitivities to a starting state, in units of what is tolerated of their size.

    They obey the linearised equations alone, so a step that is stable for them is stable for all sensitivities, and a
    term that is only looked at, whatever its values, has no say.
    """
    worst = 0.0
    for c in range(cols - n_states, cols):
        error, size = 0.0, 0.0
        for i in range(n_states):
            err = 0.0
            for s in range(7):
                err += step * ERROR[s] * stage[s, i, c]
            error = max(error, abs(err))
            size = max(size, abs(z[i, c]), abs(trial[i, c]))
        if error > _LOOSE * worst * size:
            worst = error / (_LOOSE * size)
        if size < _GONE:
            worst = max(worst, _AS_BEFORE)
    return worst


@compiled()
def _advance(
    z, old, now, end, step, known, t0, t1, u0, u1, log_scale, tables, theta, cols, n_states, rtol, absolute, bound,
    budget, stage, trial, rate, x, room,
):  # fmt: skip
    """Carry ``z`` (state and sensitivities) one step on from ``now``, to ``end`` at most; ``old`` keeps what it was.

    ``known`` tells whether the last stage of the step before is the first of this one. Inputs go from ``u0`` at ``t0``
    to ``u1`` at ``t1`` in a straight line.

    Returns:
        Time reached, length of the next step, steps left; after failure one less than those, negative.
    """
    # Borrowed once for each step, and not in the functions inlined below, see ``tables``.
    tables, log_scale, theta = borrowed_tables(tables), borrowed(log_scale), borrowed(theta)
    z, stage, trial, rate, x = borrowed(z), borrowed(stage), borrowed(trial), borrowed(rate), borrowed(x)
    value, dx, dp, total, total_dx, total_dp, jac = room
    room = (
        borrowed(value), borrowed(dx), borrowed(dp), borrowed(total), borrowed(total_dx), borrowed(total_dp),
        borrowed(jac),
    )  # fmt: skip
    span = t1 - t0
    n_inputs = len(u0)
    # The seventh stage stands at the end of the step, where the next one begins: one evaluation in seven is saved.
    if known:
        copy_into(stage[6], cols, stage[0])
    while True:
        if budget <= 0:
            return now, step, -1
        budget -= 1
        last = now + step >= end - 1e-12 * span
        step_now = end - now if last else step
        for s in range(1 if known else 0, 7):
            for i in range(n_states):
                for c in range(cols):
                    trial[i, c] = z[i, c]
                for r in range(s):
                    share = step_now * STAGES[s, r]
                    if share != 0.0:
                        for c in range(cols):
                            trial[i, c] += share * stage[r, i, c]
            for i in range(n_states):
                x[i] = trial[i, 0]
            for m in range(n_inputs):
                share = (now + NODES[s] * step_now - t0) / span
                x[n_states + m] = u0[m] + share * (u1[m] - u0[m])
            _rates(x, log_scale, tables, theta, trial, rate, cols, n_states, room)
            copy_into(rate, cols, stage[s])
        known = True
        worst = 0.0
        for i in range(n_states):
            err = 0.0
            for s in range(7):
                err += step_now * ERROR[s] * stage[s, i, 0]
            size = rtol * (max(abs(z[i, 0]), abs(trial[i, 0])) + absolute * bound[i])
            worst = max(worst, abs(err) / size)
            if not abs(trial[i, 0]) <= bound[i] or not np.isfinite(err):  # comparisons with nan are false
                worst = np.inf
        if worst <= 1.0 and cols > 1:
            worst = max(worst, _worst_sensitivity(z, trial, stage, step_now, cols, n_states))
        if not worst <= 1.0:
            step = 0.1 * step_now if not worst < 1000000.0 else step_now * max(0.2, 0.9 * worst ** (-0.2))
            if step < 1e-10 * span:
                return now, step, -1 - budget
            continue
        copy_into(z, cols, old)
        copy_into(trial, cols, z)
        grow = step_now * min(4.0, 0.9 * max(worst, 1e-8) ** -0.2)
        # A step cut short must not shrink the steps after it.
        return (end, max(step, grow), budget) if last else (now + step_now, grow, budget)


@compiled()
def _between(old, stage, step, share, cols, out):
    """State and sensitivities within the last step, ``share`` of it from its beginning (Shampine, 1986)."""
    copy_into(old, cols, out)
    for s in range(7):
        weight = 0.0
        for power in range(3, -1, -1):
            weight = (weight + BETWEEN[s, power]) * share
        weight *= step
        if weight != 0.0:
            for i in range(len(old)):
                for c in range(cols):
                    out[i, c] += weight * stage[s, i, c]


@compiled()
def _accumulate(lines, residuals, count, n_theta, here, normal, gradient):
    """Add a few samples of one state to its normal equations, row after row, so that a row is fetched once."""
    for a in range(1, lines.shape[1]):
        row = a - 1 if a <= n_theta else here + a - 1
        for s in range(count):
            ra = lines[s, a]
            if ra != 0.0:
                gradient[row] += ra * residuals[s]
                for b in range(a):
                    normal[row, b] += ra * lines[s, 1 + b]


@compiled()
def evaluate(
    theta, starts, log_scale, tables, t, xs, weight, inputs, start, linked, link_weight, log_residual, rtol, bound,
    steps, cols, normal, gradient, rss, predicted, keep, halt,
):  # fmt: skip
    """Integrate all pieces; fill residual sums and, with ``cols > 1``, the normal equations of each state.

    Their lower triangle is kept in short rows, first those of the numbers, then those of the starting states: a row has
    a column for each number, then one for each starting state of its own piece and one for each of the piece before.
    Once ``halt[0]`` is not zero, which may happen at any time, the integration counts as failed.
    With ``keep``, ``predicted`` receives the states at the samples and as many of the sensitivities as it has room for,
    ``(samples, states, room)``: first the state, then those in numbers and in the starting state of the sample's piece.

    Returns:
        The penalty of gaps between pieces, infinite after failure, and the steps left (see :func:`_advance`).
    """
    n_states = xs.shape[1]
    n_pieces = len(start) - 1
    n_theta = tables.live[3] + tables.live[4]
    # All room is made here, once for a candidate; nothing below allocates.
    stage = np.empty((7, n_states, cols))
    trial = np.empty((n_states, cols))
    rate = np.empty((n_states, cols))
    z = np.empty((n_states, cols))
    old = np.empty((n_states, cols))
    at = np.empty((n_states, cols))
    n_variables = len(log_scale)
    x = np.empty(n_variables)
    n_units, n_sums, n_numbers = max(tables.live[1], 1), max(tables.live[2], 1), max(tables.live[4], 1)
    room = (
        np.empty(n_units), np.empty((n_units, n_variables)), np.empty((n_units, n_numbers)), np.empty(n_sums),
        np.empty((n_sums, n_variables)), np.empty((n_sums, n_numbers)), np.empty((n_states, n_states)),
    )  # fmt: skip
    lines, residuals, waiting = np.empty((n_states, _TOGETHER, cols)), np.empty((n_states, _TOGETHER)), 0
    rss[:] = 0.0
    if cols > 1:
        normal[:, :, :] = 0.0
        gradient[:, :] = 0.0
    # Logarithms need every state to its own size; otherwise a thousandth of the largest value is small.
    absolute = 1e-12 if log_residual else 1e-6
    gaps = 0.0
    for p in range(n_pieces):
        z[:, :] = 0.0
        for i in range(n_states):
            z[i, 0] = starts[p, i]
            if cols > 1:
                z[i, 1 + n_theta + i] = 1.0
        first, stop = start[p], start[p + 1]
        chained = p + 1 < n_pieces and linked[p + 1]
        step = t[min(first + 1, len(t) - 1)] - t[first]
        now, before, known = t[first], t[first], False
        here = p * n_states  # rows of the piece's starting states, less those of the numbers
        for k in range(first, stop + 1 if chained else stop):
            while now < t[k]:
                before = now
                # Inputs may have a kink at each sample.
                known = known and inputs.shape[1] == 0
                end = t[k] if inputs.shape[1] else t[stop if chained else stop - 1]
                now, step, steps = _advance(
                    z, old, now, end, step, known, t[k - 1], t[k], inputs[k - 1], inputs[k], log_scale, tables, theta,
                    cols, n_states, rtol, absolute, bound, steps, stage, trial, rate, x, room,
                )  # fmt: skip
                known = True
                if steps < 0 or halt[0] != 0:
                    return np.inf, steps
            if now == t[k]:
                copy_into(z, cols, at)
            else:
                _between(old, stage, now - before, (t[k] - before) / (now - before), cols, at)
            if k == stop:
                break
            for i in range(n_states):
                if keep:
                    for c in range(predicted.shape[2]):
                        predicted[k, i, c] = at[i, c]
                w = weight[k, i]
                r, scale = 0.0, 0.0
                if w != 0.0 and log_residual:
                    if at[i, 0] <= 0.0:
                        return np.inf, steps
                    r = (np.log(at[i, 0]) - np.log(xs[k, i])) * w
                    scale = w / at[i, 0]
                elif w != 0.0:
                    r = (at[i, 0] - xs[k, i]) * w
                    scale = w
                rss[i] += r * r
                residuals[i, waiting] = r
                for c in range(1, cols):
                    lines[i, waiting, c] = at[i, c] * scale
            waiting += 1
            if waiting == _TOGETHER or k + 1 == stop:
                for i in range(n_states if cols > 1 else 0):
                    _accumulate(lines[i], residuals[i], waiting, n_theta, here, normal[i], gradient[i])
                waiting = 0
        for i in range(n_states if chained else 0):
            scale = np.sqrt(link_weight[i])
            r = (at[i, 0] - starts[p + 1, i]) * scale
            gaps += r * r
            if cols > 1:
                line = lines[i, 0]
                for c in range(1, cols):
                    line[c] = at[i, c] * scale
                residuals[i, 0] = r
                _accumulate(lines[i], residuals[i], np.int64(1), n_theta, here, normal[n_states], gradient[n_states])
                there = n_theta + here + n_states + i
                gradient[n_states, there] -= scale * r
                row = normal[n_states, there]
                row[n_theta + i] += scale * scale
                for a in range(n_theta):
                    row[a] -= scale * line[1 + a]
                for a in range(n_states):
                    row[n_theta + n_states + a] -= scale * line[1 + n_theta + a]
    return gaps, steps


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

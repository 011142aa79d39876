"""The compiled part of the population: power units, their integrals, the projected residual and the search over it.

One equation of the integral form is laid out once, its logarithms taken (:class:`Grid`). One restart is one lane of
plain loops. A unit is the lifted power unit exp(W c) cos(V c) over the columns c = [log|x|, x, 1]: the real weights W
are exponents and rates, the imaginary weights V frequencies and a phase. Its integrals are running sums, its
coefficients are projected out (:mod:`neural_arith.fit.variable_projection`), and the weights follow by
Levenberg-Marquardt. Nothing here raises: a restart that fails has an infinite cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from neural_arith.errors import DataError
from neural_arith.fit.integral_form import IntegralForm
from neural_arith.fit.variable_projection import best_coefficients, damped_step, dot, orthogonalise
from neural_arith.solve.compiled.cache import compiled

# Adding it rounds to a whole number, which then stands in the lowest bits.
_ROUND = 6755399441055744.0
_LOG2_E = 1.4426950408889634
_LN2 = (6.93147180369123816490e-01, 1.90821492927058770002e-10)
_HALF_PI = (1.5707962512969970703, 7.5497894158615963535e-08, 5.3903028581581190529e-15)
_LARGEST = 700.0

_SPANNED = 1e-13
"""Share of a unit's square below which the units before it are said to span it."""

QUIET = 1e-7
"""Relative gain below which an iteration counts as none; after two of them a restart has converged."""


@dataclass(frozen=True)
class Grid:
    """One equation of the integral form as the compiled search reads it; nodes lie ``(points of interval, samples)``.

    Attributes:
        columns: ``[log|x|, x - middle, 1]``, ``(2 * variables + 1, nodes)``; no logarithms of variables that change
            sign.
        states: values of the variables, ``(variables, nodes)``.
        positive: which variables never change sign, ``(variables,)``.
        step: quadrature weights, 0 where no interval leads to a sample, ``(nodes,)``.
        target: ``(samples,)``.
        weight: of the samples, ``(samples,)``.
        square: their squares, ``(samples,)``.
        share: one over the sum of the squares of each window, ``(windows,)``.
        opens: first sample of each window and, last, the number of samples.
        range: largest less smallest value of each variable, 0 for one that moves by rounding only, ``(variables,)``.
        middle: between the two, ``(variables,)``; phases there and frequencies are fitted independently.
    """

    columns: np.ndarray
    states: np.ndarray
    positive: np.ndarray
    step: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    square: np.ndarray
    share: np.ndarray
    opens: np.ndarray
    range: np.ndarray
    middle: np.ndarray


def make_grid(form: IntegralForm, state: int, positive: np.ndarray) -> Grid:
    """Lay one equation out for the search.

    Args:
        form: the regression problem.
        state: whose equation.
        positive: which variables never change sign, ``(variables,)``.

    Raises:
        DataError: a variable said to be positive is negative at a node.
    """
    lowest, highest = form.nodes.min(axis=0), form.nodes.max(axis=0)
    if (lowest[positive] < 0).any():
        v = int(np.flatnonzero(positive & (lowest < 0))[0])
        raise DataError(
            f"variable {v} is said to be positive, but a node has {lowest[v]:.3g}: keep the nodes at or above zero, "
            "or give it as one that changes sign"
        )
    inner = np.flatnonzero(~form.first)
    n_points = len(form.nodes) // max(len(inner), 1)

    def spread(at_nodes: np.ndarray, fill: float) -> np.ndarray:
        out = np.full((at_nodes.shape[0], n_points, len(form.first)), fill)
        out[:, :, inner] = at_nodes.reshape(len(at_nodes), len(inner), n_points).transpose(0, 2, 1)
        return out.reshape(len(at_nodes), -1)

    states = spread(form.nodes.T, 1.0)
    logs = np.zeros_like(states)
    # The logarithm of a zero: its powers underflow to the exact zero, or overflow, and x^0 is exactly one.
    logs[positive] = np.log(np.maximum(states[positive], 1e-300))
    extent, middle = highest - lowest, (highest + lowest) / 2
    opens = np.append(np.searchsorted(form.window, np.arange(int(form.window[-1]) + 1)), len(form.window))
    weight = np.ascontiguousarray(form.weight[state], dtype=float)
    square = weight**2
    return Grid(
        columns=np.concatenate([logs, states - middle[:, None], np.ones((1, states.shape[1]))]),
        states=states,
        positive=np.ascontiguousarray(positive, dtype=bool),
        step=spread(form.step[None], 0.0)[0],
        target=np.ascontiguousarray(form.target[state], dtype=float),
        weight=weight,
        square=square,
        share=1.0 / np.maximum(np.add.reduceat(square, opens[:-1]), 1e-300),
        opens=opens.astype(np.int64),
        range=np.where(extent > 1e-6 * np.abs(form.nodes).max(axis=0), extent, 0.0),
        middle=middle,
    )


# exp, sin and cos as straight lines of arithmetic: a loop over them becomes vector instructions, which calls into the
# C library do not. Accurate to two units in the last place for the arguments met here.
@njit(error_model="numpy", inline="always")
def _exp(x):
    x = x if x < _LARGEST else _LARGEST
    x = x if x > -_LARGEST else -_LARGEST
    t = x * _LOG2_E + _ROUND
    k = t - _ROUND
    r = x - k * _LN2[0] - k * _LN2[1]
    p = 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 1 / 2
    p = p * r + 1.0
    p = p * r + 1.0
    bits = (np.float64(t).view(np.int64) + 1023) << 52
    return p * np.int64(bits).view(np.float64)


@njit(error_model="numpy", inline="always")
def _sin_cos(x):
    t = x * (2 / np.pi) + _ROUND
    k = t - _ROUND
    r = x - k * _HALF_PI[0] - k * _HALF_PI[1] - k * _HALF_PI[2]
    z = r * r
    s = -1 / 1307674368000
    s = s * z + 1 / 6227020800
    s = s * z - 1 / 39916800
    s = s * z + 1 / 362880
    s = s * z - 1 / 5040
    s = s * z + 1 / 120
    s = s * z - 1 / 6
    s = s * z * r + r
    c = 1 / 20922789888000
    c = c * z - 1 / 87178291200
    c = c * z + 1 / 479001600
    c = c * z - 1 / 3628800
    c = c * z + 1 / 40320
    c = c * z - 1 / 720
    c = c * z + 1 / 24
    c = c * z - 1 / 2
    c = c * z + 1.0
    quadrant = np.float64(t).view(np.int64)
    sine = s if quadrant & 1 == 0 else c
    cosine = c if quadrant & 1 == 0 else s
    return (
        sine if quadrant & 2 == 0 else -sine,
        cosine if (quadrant + 1) & 2 == 0 else -cosine,
    )


@njit(error_model="numpy", fastmath={"contract"})
def _combine(weight, columns, out):
    """``out = weight @ columns``, skipping zeros; whether there was anything to add."""
    some = False
    for c in range(len(weight)):
        w = weight[c]
        if w != 0.0:
            column = columns[c]
            if some:
                for i in range(len(out)):
                    out[i] += w * column[i]
            else:
                for i in range(len(out)):
                    out[i] = w * column[i]
            some = True
    if not some:
        out[:] = 0.0
    return some


@compiled(fastmath={"contract"})
def unit_values(real, imaginary, columns, base, value, quadrature, angle):
    """One unit at all nodes, in place.

    Args:
        real: exponents, rates and 0, ``(columns,)``.
        imaginary: zeros, frequencies and the phase, ``(columns,)``.
        columns: ``[log|x|, x, 1]`` at the nodes, ``(columns, nodes)``; zeros in place of the logarithms of variables
            that change sign; x may be shifted, which moves the phase and the coefficient.
        base: what the unit is multiplied by, ``(nodes,)``: quadrature weight and whole powers.
        value: receives ``base * exp(real . columns) * cos(imaginary . columns)``, ``(nodes,)``.
        quadrature: receives the same with ``-sin``, its derivative by the phase, ``(nodes,)``.
        angle: work, ``(nodes,)``.

    Returns:
        Whether the unit turns at all; if not, ``quadrature`` is left as it was.
    """
    _combine(real, columns, value)
    turns = _combine(imaginary, columns, angle)
    if turns:
        for i in range(len(value)):
            sine, cosine = _sin_cos(angle[i])
            size = _exp(value[i]) * base[i]
            value[i] = size * cosine
            quadrature[i] = -size * sine
    else:
        for i in range(len(value)):
            value[i] = _exp(value[i]) * base[i]
    return turns


@njit(error_model="numpy", fastmath={"contract"})
def _integrate(rows, n_rows, weight, square, share, opens):
    """Running sums of each row within each window, its best constant removed, weighted; as ``IntegralForm.columns``."""
    for w in range(len(opens) - 1):
        first, stop = opens[w], opens[w + 1]
        for j in range(n_rows):
            row = rows[j]
            run, mean = 0.0, 0.0
            for k in range(first, stop):
                run += row[k]
                row[k] = run
                mean += run * square[k]
            mean *= share[w]
            for k in range(first, stop):
                row[k] = (row[k] - mean) * weight[k]


@compiled()
def project(
    real, imaginary, slopes, n_slopes, columns, base, target, weight, square, share, opens, rows, nodes, mixing,
    coefficients, gradient, normal,
):  # fmt: skip
    """Cost of one set of weights, with gradient and Kaufman normal matrix in those that are free.

    Args:
        real: ``(units, columns)``.
        imaginary: ``(units, columns)``.
        slopes: ``(unit, column, imaginary or not)`` of each free weight, ``(slopes, 3)``, by unit.
        n_slopes: how many of them count.
        columns: see :func:`unit_values`.
        base: ``(units, nodes)``; nodes are ``(points of an interval, samples)`` in this order.
        target: ``(samples,)``.
        weight: of the samples, ``(samples,)``.
        square: their squares.
        share: one over the sum of squares of each window, ``(windows,)``.
        opens: first sample of each window and, last, the number of samples.
        rows: work, ``(units + slopes + 1, samples)``.
        nodes: work, ``(3, nodes)``.
        mixing: work, ``(units, units + 1)``.
        coefficients: receives the best coefficients, ``(units,)``; 0 for a unit that earlier ones span.
        gradient: receives minus half the slope of the cost, ``(slopes,)``.
        normal: receives the lower triangle of J^T J for J = -P D c, ``(slopes, slopes)``.

    Returns:
        Sum of squares of the residual with the coefficients at their best; nan when a unit overflows.
    """
    units, samples = len(real), len(target)
    value, quadrature, angle = nodes[0], nodes[1], nodes[2]
    n_points = len(value) // samples
    last = units + n_slopes
    q = 0
    for h in range(units):
        turns = unit_values(real[h], imaginary[h], columns, base[h], value, quadrature, angle)
        row = rows[h]
        for g in range(n_points):
            part = value[g * samples : (g + 1) * samples]
            for k in range(samples):
                row[k] = part[k] if g == 0 else row[k] + part[k]
        while q < n_slopes and slopes[q, 0] == h:
            if slopes[q, 2] == 1 and not turns:
                for i in range(len(value)):
                    quadrature[i] = 0.0
            source = quadrature if slopes[q, 2] == 1 else value
            column = columns[slopes[q, 1]]
            row = rows[units + q]
            for g in range(n_points):
                part, factor = source[g * samples : (g + 1) * samples], column[g * samples : (g + 1) * samples]
                for k in range(samples):
                    row[k] = part[k] * factor[k] if g == 0 else row[k] + part[k] * factor[k]
            q += 1
    _integrate(rows, last, weight, square, share, opens)
    left = rows[last]
    for k in range(samples):
        left[k] = target[k]
    if orthogonalise(rows, units, last + 1, _SPANNED, mixing) < 0:
        return np.nan
    best_coefficients(mixing, units, coefficients)
    for a in range(n_slopes):
        ca = coefficients[slopes[a, 0]]
        gradient[a] = ca * dot(rows[units + a], left)
        for b in range(a + 1):
            normal[a, b] = ca * coefficients[slopes[b, 0]] * dot(rows[units + a], rows[units + b])
    return dot(left, left)


@njit(error_model="numpy")
def _move(real, imaginary, slopes, size, change, low, high, reach, into_real, into_imaginary):
    """The weights after a step, cut to length one and kept within bounds of their size."""
    length = 0.0
    for a in range(size):
        length += (change[a] * reach[slopes[a, 2], slopes[a, 1]]) ** 2
    shorter = 1.0 / max(1.0, np.sqrt(length))
    for a in range(size):
        h, c, kind = slopes[a, 0], slopes[a, 1], slopes[a, 2]
        moved = (imaginary[h, c] if kind == 1 else real[h, c]) + shorter * change[a]
        bounded = min(max(abs(moved), low[kind, c]), high[kind, c])
        bounded = bounded if moved > 0.0 else -bounded
        if kind == 1:
            into_imaginary[h, c] = bounded
        else:
            into_real[h, c] = bounded


@compiled()
def search_range(
    first, stop, real, imaginary, slopes, n_slopes, low, high, reach, iterations, columns, states, positive, step,
    target, weight, square, share, opens, cost, spent, halt,
):  # fmt: skip
    """Levenberg-Marquardt for the restarts first..stop-1, in place.

    Args:
        first: first restart.
        stop: one behind the last.
        real: ``(restarts, units, columns)``; found weights replace the starting ones.
        imaginary: the same shape.
        slopes: free weights, ``(restarts, slopes, 3)``.
        n_slopes: ``(restarts,)``.
        low: least size of a free weight, by imaginary or not and column, ``(2, columns)``.
        high: its largest size.
        reach: what a change of one does over the data; a step has at most length one in this measure.
        iterations: most for each restart.
        columns: see :func:`unit_values`.
        states: values of the variables at the nodes, ``(variables, nodes)``.
        positive: which variables enter by their logarithms; the others by whole powers.
        step: quadrature weights, ``(nodes,)``; 0 where no interval leads to a sample.
        target: see :func:`project`, as the following.
        weight: of the samples.
        square: their squares.
        share: of the windows.
        opens: of the windows.
        cost: receives the sum of squares left, ``(restarts,)``; inf = failed.
        spent: receives the evaluations, ``(restarts,)``.
        halt: one number; once it is not zero, which may happen at any time, what is left counts as failed.
    """
    units, n_columns = real.shape[1:]
    samples, n_nodes, most = len(target), len(step), slopes.shape[1]
    rows = np.zeros((units + most + 1, samples))
    nodes = np.zeros((3, n_nodes))
    base = np.empty((units, n_nodes))
    mixing = np.zeros((units, units + 1))
    coefficients = np.zeros(units)
    gradient, gradient_new, change = np.zeros(most), np.zeros(most), np.zeros(most)
    normal, normal_new = np.zeros((most, most)), np.zeros((most, most))
    damped, factor = np.zeros((most, most)), np.zeros((most, most))
    trial, trial_imaginary = np.empty((units, n_columns)), np.empty((units, n_columns))
    total = dot(target, target)
    for r in range(first, stop):
        if halt[0] != 0:
            return
        size = n_slopes[r]
        for h in range(units):
            for i in range(n_nodes):
                base[h, i] = step[i]
            for v in range(len(states)):
                power = 0 if positive[v] else int(np.rint(real[r, h, v]))
                for _ in range(abs(power)):
                    for i in range(n_nodes):
                        base[h, i] = base[h, i] * states[v, i] if power > 0 else base[h, i] / states[v, i]
        for h in range(units):
            for c in range(n_columns):
                trial[h, c] = real[r, h, c]
                trial_imaginary[h, c] = imaginary[r, h, c]
        now, damping, quiet = np.inf, 1e-2, 0
        for trip in range(1 + (iterations if size > 0 else 0)):
            if trip > 0:
                if quiet == 2 or now <= 1e-26 * total or now == np.inf or halt[0] != 0:
                    break
                if not damped_step(normal, gradient, size, damping, damped, factor, change):
                    damping *= 4.0
                    continue
                _move(real[r], imaginary[r], slopes[r], size, change, low, high, reach, trial, trial_imaginary)
            new = project(
                trial, trial_imaginary, slopes[r], size, columns, base, target, weight, square, share, opens, rows,
                nodes, mixing, coefficients, gradient_new, normal_new,
            )  # fmt: skip
            spent[r] += 1
            quiet = quiet + 1 if abs(now - new) <= QUIET * now else 0
            if new < now:  # false for nan
                now = new
                for h in range(units):
                    for c in range(n_columns):
                        real[r, h, c] = trial[h, c]
                        imaginary[r, h, c] = trial_imaginary[h, c]
                gradient, gradient_new = gradient_new, gradient
                normal, normal_new = normal_new, normal
                damping = max(0.3 * damping, 1e-10) if trip > 0 else damping
            else:
                damping = min(4.0 * damping, 1e10)
        cost[r] = now

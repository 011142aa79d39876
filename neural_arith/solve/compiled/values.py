"""The compiled values of units and sums, and their derivatives in the variables and in the numbers to refine.

This is the innermost loop of every search: it runs once for each stage of each step of each candidate. Values and
derivatives are written into arrays of the caller, because allocating, however little, costs more than a unit; small
functions are inlined by force, because otherwise each call would pass some twenty arrays.
"""

from __future__ import annotations

import numpy as np

from neural_arith.solve.compiled.cache import compiled
from neural_arith.solve.compiled.tables import borrowed, borrowed_tables

_TINY = 1e-12

NONE, ALL, NUMBERS = 0, 1, 2
"""Which derivatives are wanted: none, all, only those in refined numbers."""


@compiled(inline="always")
def _power(x: float, e: float) -> float:
    """|x|^e with the sign of x for whole e; the usual exponents without a call to ``pow``, which is far slower."""
    if e == 1.0:
        return x
    if e == 2.0:
        return x * x
    if e == 3.0:
        return x * x * x
    if e == -1.0:
        return 1.0 / x
    if e == 0.5:
        return np.sqrt(abs(x))
    if e == np.rint(e) and abs(e) < 9e15:  # greater ones are even, and no 64-bit integers
        return x ** int(e) if e > 0.0 else 1.0 / x ** int(-e)  # a negative power of zero is infinite, not an error
    return abs(x) ** e


@compiled(forceinline=True)
def power_product(x: np.ndarray, exponents: np.ndarray) -> float:
    """Real part of prod_j x_j^e_j, the power unit of Heim et al. (2020) with real weights.

    Args:
        x: values, ``(variables,)``, of any sign.
        exponents: ``(variables,)``.

    Returns:
        The product; a fractional power of a negative base contributes the real part of its principal value.
    """
    value, phase = 1.0, 0.0
    for v in range(len(exponents)):
        e = exponents[v]
        if e != 0.0:
            value *= _power(x[v], e)
            if x[v] < 0.0 and e != np.rint(e):
                phase += e
    return value * np.cos(np.pi * phase) if phase != 0.0 else value


@compiled(forceinline=True)
def _base(h, x, log_scale, tables, slopes, value, dx, dp):
    """Value of unit ``h`` without its sums; with ``slopes`` its derivatives in variables and refined numbers."""
    n_variables = len(x)
    powers = tables.powers[h]
    product = power_product(x, powers)
    lifted = tables.lifted[h]
    growth, wave, slant, logs = 1.0, 1.0, 0.0, 1.0
    if lifted & 1:
        argument = 0.0
        for v in range(n_variables):
            argument += tables.rates[h, v] * x[v]
        growth = np.exp(min(argument, 300.0))
    if lifted & 2:
        argument = tables.phases[h]
        for v in range(n_variables):
            argument += tables.frequencies[h, v] * x[v]
        wave, slant = np.cos(argument), -np.sin(argument)
    if lifted & 4:
        for v in range(n_variables):
            if tables.logs[h, v] != 0.0:
                logs *= np.log(abs(x[v])) + log_scale[v]
    rest = growth * wave * logs
    value[h] = product * rest
    # Nothing above is kept for the other case: an integration without sensitivities ends here.
    if not slopes:
        return
    tilt = product * growth * logs * slant
    for v in range(n_variables if slopes == ALL else 0):
        e = powers[v]
        d = 0.0
        if e != 0.0:
            # The derivative of x^e as e times the value over x: no further power. At zero only e = 1 has a slope other
            # than zero or infinity, and there the product of the other factors is formed anew.
            if abs(x[v]) > _TINY:
                d = e * value[h] / x[v]
            elif e == 1.0:
                part = rest
                for w in range(n_variables):
                    if w != v and powers[w] != 0.0:
                        part *= _power(x[w], powers[w])
                d = part
        if lifted & 1:
            d += value[h] * tables.rates[h, v]
        if lifted & 2:
            d += tilt * tables.frequencies[h, v]
        if lifted & 4 and tables.logs[h, v] != 0.0:
            part = product * growth * wave / x[v]
            for w in range(n_variables):
                if w != v and tables.logs[h, w] != 0.0:
                    part *= np.log(abs(x[w])) + log_scale[w]
            d += part
        dx[h, v] = d
    # Refined numbers are few: each is looked up from the number's side, so that units carry no lists of theirs.
    for q in range(tables.live[4]):
        dp[h, q] = 0.0
        if tables.kind[q] < 4 and tables.place[q, 0] == h:
            v = tables.place[q, 1]
            if tables.kind[q] == 0:
                dp[h, q] = value[h] * np.log(max(abs(x[v]), 1e-300))
            elif tables.kind[q] == 1:
                dp[h, q] = value[h] * x[v]
            elif tables.kind[q] == 2:
                dp[h, q] = tilt * x[v]
            else:
                dp[h, q] = tilt


@compiled(forceinline=True)
def unit_values(x, log_scale, tables, slopes, value, dx, dp, total, total_dx, total_dp):
    """Values of all units at one state, sums included; with ``slopes`` their derivatives.

    Args:
        x: states and inputs in scaled numbers, ``(variables,)``.
        log_scale: logarithm of what they are multiplied by to be original ones.
        tables: one candidate; arrays that are :func:`borrowed` make this ten times faster.
        slopes: which derivatives are wanted: NONE, ALL or NUMBERS.
        value: filled with the values, ``(units,)``.
        dx: filled with derivatives in the variables, ``(units, variables)``.
        dp: filled with derivatives in the refined numbers, ``(units, numbers)``.
        total: room for the values of sums, ``(sums,)``.
        total_dx: room for their derivatives.
        total_dp: room for their derivatives.
    """
    n_variables = len(x)
    n_inner, n_units, n_sums, n_numbers = tables.live[0], tables.live[1], tables.live[2], tables.live[4]
    for h in range(n_units):
        _base(h, x, log_scale, tables, slopes, value, dx, dp)
    if n_sums == 0:
        return
    for g in range(n_sums):
        total[g] = 0.0
        if slopes:
            total_dx[g, :] = 0.0
            total_dp[g, :] = 0.0
        for k in range(tables.part_first[g], tables.part_first[g + 1]):
            h, b = tables.part_unit[k], tables.part_coefficient[k]
            total[g] += b * value[h]
            if slopes:
                for v in range(n_variables if slopes == ALL else 0):
                    total_dx[g, v] += b * dx[h, v]
                for q in range(n_numbers):
                    total_dp[g, q] += b * dp[h, q]
                    if tables.kind[q] == 4 and tables.place[q, 0] == k:
                        total_dp[g, q] += value[h]
    for h in range(n_inner, n_units):
        for f in range(tables.factor_first[h], tables.factor_first[h + 1]):
            g, e = tables.factor_sum[f], tables.factor_power[f]
            s = total[g]
            # A real power of a sum is meant where the sum is positive.
            raised = np.nan if s < 0.0 and e != np.rint(e) else _power(s, e)
            old = value[h]
            value[h] = old * raised
            if not slopes:
                continue
            inner = e * raised / s if abs(s) > _TINY else (1.0 if e == 1.0 else 0.0)
            for v in range(n_variables if slopes == ALL else 0):
                dx[h, v] = dx[h, v] * raised + old * inner * total_dx[g, v]
            for q in range(n_numbers):
                dp[h, q] = dp[h, q] * raised + old * inner * total_dp[g, q]
                if tables.kind[q] == 5 and tables.place[q, 0] == f:
                    dp[h, q] += value[h] * np.log(max(s, 1e-300))


@compiled()
def many_values(points, log_scale, tables, slopes):
    """Values of the terms' units at many points and, unless ``slopes`` is NONE, their derivatives in refined numbers.

    Returns:
        Values ``(terms, points)`` and derivatives ``(terms, numbers, points)`` (empty for NONE).
    """
    n_variables = points.shape[1]
    n_units, n_sums, n_numbers = max(tables.live[1], 1), max(tables.live[2], 1), max(tables.live[4], 1)
    n_terms = tables.live[3]
    out = np.empty((n_terms, len(points)))
    out_dp = np.zeros((n_terms, tables.live[4] if slopes != NONE else 0, len(points)))
    _fill_values(
        points, log_scale, tables, slopes, np.empty(n_units), np.empty((n_units, n_variables)),
        np.empty((n_units, n_numbers)), np.empty(n_sums), np.empty((n_sums, n_variables)),
        np.empty((n_sums, n_numbers)), out, out_dp,
    )  # fmt: skip
    return out, out_dp


@compiled()
def _fill_values(points, log_scale, tables, slopes, value, dx, dp, total, total_dx, total_dp, out, out_dp):
    """The loop of :func:`many_values`."""
    tables = borrowed_tables(tables)
    points, log_scale = borrowed(points), borrowed(log_scale)
    value, dx, dp = borrowed(value), borrowed(dx), borrowed(dp)
    total, total_dx, total_dp = borrowed(total), borrowed(total_dx), borrowed(total_dp)
    for k in range(len(points)):
        unit_values(points[k], log_scale, tables, slopes, value, dx, dp, total, total_dx, total_dp)
        for h in range(len(out)):
            out[h, k] = value[tables.unit[h]]
            for q in range(out_dp.shape[1]):
                out_dp[h, q, k] = dp[tables.unit[h], q]


@compiled()
def load_numbers(tables, values):
    """Write refined numbers into the tables of one candidate."""
    for q in range(tables.live[4]):
        a, b = tables.place[q, 0], tables.place[q, 1]
        kind = tables.kind[q]
        if kind == 0:
            tables.powers[a, b] = values[q]
        elif kind == 1:
            tables.rates[a, b] = values[q]
        elif kind == 2:
            tables.frequencies[a, b] = values[q]
        elif kind == 3:
            tables.phases[a] = values[q]
        elif kind == 4:
            tables.part_coefficient[a] = values[q]
        else:
            tables.factor_power[a] = values[q]

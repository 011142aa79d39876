"""The compiled values of units and sums, and their derivatives in the variables and in the numbers to refine."""

from __future__ import annotations

import numpy as np
from numba import njit

from neural_arith.integrate.borrow import borrowed

_TINY = 1e-12

NONE, ALL, NUMBERS = 0, 1, 2
"""Which derivatives are wanted: none, all, only those in refined numbers."""


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _power(x: float, e: float) -> float:
    """|x|^e with the sign of x for whole e; the usual exponents without a call to ``pow``."""
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
    if e == np.rint(e):
        return x ** int(e) if e > 0.0 else 1.0 / x ** int(-e)  # a negative power of zero is infinite, not an error
    return abs(x) ** e


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
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


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _base(
    h, x, log_scale, slopes, value, dx, dp, powers, rates, frequencies, phases, logs, lifted, kind, place, live
):  # fmt: skip
    """Value of unit ``h`` without its sums; with ``slopes`` its derivatives in variables and refined numbers."""
    n_variables = len(x)
    product = power_product(x, powers[h])
    bits = lifted[h]
    growth, wave, slant, log = 1.0, 1.0, 0.0, 1.0
    if bits & 1:
        argument = 0.0
        for v in range(n_variables):
            argument += rates[h, v] * x[v]
        growth = np.exp(min(argument, 300.0))
    if bits & 2:
        argument = phases[h]
        for v in range(n_variables):
            argument += frequencies[h, v] * x[v]
        wave, slant = np.cos(argument), -np.sin(argument)
    if bits & 4:
        for v in range(n_variables):
            if logs[h, v] != 0.0:
                log *= np.log(abs(x[v])) + log_scale[v]
    rest = growth * wave * log
    value[h] = product * rest
    if not slopes:
        return
    tilt = product * growth * log * slant
    for v in range(n_variables if slopes == ALL else 0):
        e = powers[h, v]
        d = 0.0
        if e != 0.0:
            if abs(x[v]) > _TINY:
                d = e * value[h] / x[v]
            elif e == 1.0:
                part = rest
                for w in range(n_variables):
                    if w != v and powers[h, w] != 0.0:
                        part *= _power(x[w], powers[h, w])
                d = part
        if bits & 1:
            d += value[h] * rates[h, v]
        if bits & 2:
            d += tilt * frequencies[h, v]
        if bits & 4 and logs[h, v] != 0.0:
            part = product * growth * wave / x[v]
            for w in range(n_variables):
                if w != v and logs[h, w] != 0.0:
                    part *= np.log(abs(x[w])) + log_scale[w]
            d += part
        dx[h, v] = d
    for q in range(live[4]):
        dp[h, q] = 0.0
        if kind[q] < 4 and place[q, 0] == h:
            v = place[q, 1]
            if kind[q] == 0:
                dp[h, q] = value[h] * np.log(max(abs(x[v]), 1e-300))
            elif kind[q] == 1:
                dp[h, q] = value[h] * x[v]
            elif kind[q] == 2:
                dp[h, q] = tilt * x[v]
            else:
                dp[h, q] = tilt


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def unit_values(
    x, log_scale, slopes, value, dx, dp, total, total_dx, total_dp, powers, rates, frequencies, phases, logs, lifted,
    factor_first, factor_sum, factor_power, part_first, part_unit, part_coefficient, equation, unit, kind, place, live,
):  # fmt: skip
    """Values of all units at one state, sums included; with ``slopes`` their derivatives.

    ``x`` are states and inputs in scaled numbers, ``(variables,)``, ``log_scale`` the logarithm of what they are
    multiplied by to be original ones, and ``slopes`` says which derivatives are wanted: NONE, ALL or NUMBERS. Filled
    are ``value`` ``(units,)``, ``dx`` ``(units, variables)`` and ``dp`` ``(units, numbers)`` in the refined numbers;
    ``total``, ``total_dx`` and ``total_dp`` are room for the same of sums. From ``powers`` on it is one candidate,
    :class:`neural_arith.integrate.structure.Tables`, array by array: a tuple of arrays would be counted anew at every
    access.
    """
    n_variables = len(x)
    n_inner, n_units, n_sums, n_numbers = live[0], live[1], live[2], live[4]
    for h in range(n_units):
        _base(
            h, x, log_scale, slopes, value, dx, dp, powers, rates, frequencies, phases, logs, lifted, kind, place, live
        )  # fmt: skip
    if n_sums == 0:
        return
    for g in range(n_sums):
        total[g] = 0.0
        if slopes:
            total_dx[g, :] = 0.0
            total_dp[g, :] = 0.0
        for k in range(part_first[g], part_first[g + 1]):
            h, b = part_unit[k], part_coefficient[k]
            total[g] += b * value[h]
            if slopes:
                for v in range(n_variables if slopes == ALL else 0):
                    total_dx[g, v] += b * dx[h, v]
                for q in range(n_numbers):
                    total_dp[g, q] += b * dp[h, q]
                    if kind[q] == 4 and place[q, 0] == k:
                        total_dp[g, q] += value[h]
    for h in range(n_inner, n_units):
        for f in range(factor_first[h], factor_first[h + 1]):
            g, e = factor_sum[f], factor_power[f]
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
                if kind[q] == 5 and place[q, 0] == f:
                    dp[h, q] += value[h] * np.log(max(s, 1e-300))


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_values(points, log_scale, tables, slopes, value, dx, dp, total, total_dx, total_dp, out, out_dp):
    """The loop of :func:`many_values`."""
    (
        powers, rates, frequencies, phases, logs, lifted,
        factor_first, factor_sum, factor_power, part_first, part_unit, part_coefficient, equation, unit, kind, place,
        live,
    ) = tables  # fmt: skip
    powers, rates, frequencies, phases = borrowed(powers), borrowed(rates), borrowed(frequencies), borrowed(phases)
    logs, lifted, factor_first, factor_sum = (
        borrowed(logs),
        borrowed(lifted),
        borrowed(factor_first),
        borrowed(factor_sum),
    )
    factor_power, part_first, part_unit, part_coefficient = (
        borrowed(factor_power),
        borrowed(part_first),
        borrowed(part_unit),
        borrowed(part_coefficient),
    )
    equation, unit, kind, place = borrowed(equation), borrowed(unit), borrowed(kind), borrowed(place)
    live, points, log_scale, value = borrowed(live), borrowed(points), borrowed(log_scale), borrowed(value)
    dx, dp, total, total_dx = borrowed(dx), borrowed(dp), borrowed(total), borrowed(total_dx)
    total_dp, out, out_dp = borrowed(total_dp), borrowed(out), borrowed(out_dp)
    for k in range(len(points)):
        unit_values(
            points[k], log_scale, slopes, value, dx, dp, total, total_dx, total_dp, powers, rates, frequencies,
            phases, logs, lifted,
            factor_first, factor_sum, factor_power, part_first, part_unit, part_coefficient, equation, unit, kind,
            place, live,
        )  # fmt: skip
        for h in range(len(out)):
            out[h, k] = value[unit[h]]
            for q in range(out_dp.shape[1]):
                out_dp[h, q, k] = dp[unit[h], q]


@njit(cache=True, nogil=True, error_model="numpy")
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

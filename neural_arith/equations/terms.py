"""Right-hand sides as sums of power products: arrays in and out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from neural_arith.equations.system import EquationSystem
from neural_arith.errors import EquationError

Term = tuple[float, dict[str, float]]
"""A coefficient, and the exponent of each variable that occurs in the product."""


def power_terms(expr: sp.Expr, symbols: Sequence[sp.Symbol | str]) -> list[Term] | None:
    """Take an expression apart into ``sum coefficient * prod variable**exponent``.

    Products are multiplied out; ``(x*y)**0.5`` counts as ``x**0.5*y**0.5``, which holds where all factors
    are positive.

    Args:
        expr: the expression.
        symbols: the variables (symbols or their names) that may occur.

    Returns:
        The terms, each product once, or None when the expression is not such a sum.
    """
    names = {str(symbol) for symbol in symbols}
    collected: dict[tuple[tuple[str, float], ...], float] = {}
    for term in sp.Add.make_args(sp.expand(expr)):
        coefficient, powers = 1.0, {}
        for factor in sp.Mul.make_args(term):
            if not _take_factor(factor, 1.0, powers):
                if not factor.is_number:
                    return None
                coefficient *= float(factor)
        if not set(powers) <= names:
            return None
        key = tuple(sorted((name, exponent) for name, exponent in powers.items() if exponent))
        collected[key] = collected.get(key, 0.0) + coefficient
    return [(coefficient, dict(key)) for key, coefficient in collected.items() if coefficient]


def _take_factor(factor: Any, power: float, powers: dict[str, float]) -> bool:
    """Add a factor's exponents to ``powers``; False when it is no product of powers of symbols."""
    base, exponent = factor.as_base_exp()
    if isinstance(base, sp.Symbol) and exponent.is_number:
        powers[base.name] = powers.get(base.name, 0.0) + power * float(exponent)
        return True
    if isinstance(base, sp.Mul) and exponent.is_number and not exponent.is_integer:
        # numbers were already taken out of such a base by sympy where they are positive
        return all(_take_factor(part, power * float(exponent), powers) for part in base.args)
    return False


def exact_exponent(value: float) -> sp.Expr:
    """An exponent that is a simple fraction made exact; any other is a constant."""
    for denominator in (1, 2, 3, 4):
        if abs(value * denominator - round(value * denominator)) <= 1e-9:
            return sp.Rational(round(value * denominator), denominator)
    return sp.Float(value)


def from_terms(
    states: Sequence[str],
    coefficients: ArrayLike,
    exponents: ArrayLike,
    equation: ArrayLike,
    unit: ArrayLike,
    *,
    inputs: Sequence[str] = (),
) -> EquationSystem:
    """Build a system from arrays of coefficients, exponents and places.

    Term k adds ``coefficients[k] * prod_j v_j**exponents[unit[k], j]`` to equation ``equation[k]``.
    Exponents within 1e-9 of a fraction with denominator 1 to 4 become exact, others stay floats; so do all
    coefficients.
    Terms with a zero coefficient are left out, and equations without terms are zero.

    Args:
        states: names of the states.
        coefficients: ``(terms,)``.
        exponents: ``(units, variables)``, the variables being the states, then the inputs.
        equation: ``(terms,)``, the number of the equation each term stands in.
        unit: ``(terms,)``, the row of ``exponents`` each term multiplies.
        inputs: names of the inputs.

    Raises:
        EquationError: shapes or numbers do not fit.
    """
    variables = [sp.Symbol(name) for name in (*states, *inputs)]
    values = np.asarray(coefficients, dtype=float).reshape(-1)
    table = np.asarray(exponents, dtype=float)
    table = table if table.size else table.reshape(0, len(variables))
    if table.ndim != 2 or table.shape[1] != len(variables):
        raise EquationError(f"exponents must have {len(variables)} columns, one per variable, not {table.shape}")
    rows, units = (np.asarray(index, dtype=int).reshape(-1) for index in (equation, unit))
    if not values.size == rows.size == units.size:
        raise EquationError(
            f"coefficients, equation and unit must be of one length, not {values.size}, {rows.size}, {units.size}"
        )
    limits = ((rows, len(states)), (units, len(table)))
    if not all(((index >= 0) & (index < limit)).all() for index, limit in limits):
        raise EquationError(f"equation must lie in 0..{len(states) - 1} and unit in 0..{len(table) - 1}")
    rhs = [sp.S.Zero] * len(states)
    for value, row, index in zip(values, rows, units, strict=True):
        if value:
            powers = (v ** exact_exponent(e) for v, e in zip(variables, table[index].tolist(), strict=True) if e)
            rhs[row] += sp.Mul(sp.Float(float(value)), *powers)
    return EquationSystem(dict(zip(states, rhs, strict=True)), inputs=inputs)

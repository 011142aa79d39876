"""Candidates of the search as equations: structure and values in, an :class:`EquationSystem` out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import sympy as sp

from neural_arith.equations.system import EquationSystem
from neural_arith.equations.terms import exact_exponent
from neural_arith.terms.structure import Structure, Term
from neural_arith.terms.units import FITTED, Number, Sum, Unit

Values = Mapping[Term | Number, float]


def from_structure(
    structure: Structure, values: Values, states: Sequence[str], inputs: Sequence[str] = ()
) -> EquationSystem:
    """Build a system from a structure and its values.

    ``c * x * log(x) + d * x`` is written ``c * x * log(k * x)`` with ``k = exp(d / c)``, Gompertz' form.

    Args:
        structure: which units stand in which equation.
        values: coefficient of each term and value of each fitted number, in the variables' own units.
        states: names of the states.
        inputs: names of the inputs.
    """
    symbols = [sp.Symbol(name) for name in (*states, *inputs)]
    rhs = []
    for i, units in enumerate(structure.equations):
        total = sp.S.Zero
        inside = {unit: values[(i, unit)] for unit in units if values[(i, unit)]}
        for unit, c in list(inside.items()):
            bare = replace(unit, logs=())
            # Each unit has numbers of its own, so only units without any are known to be the same but for the log.
            same = sum(unit.logs) == 1 and not unit.n_fitted and bare in inside
            if same and abs(inside[bare] / c) < 300:
                total += sp.Float(c) * _logarithm(unit, math.exp(inside.pop(bare) / c), values, symbols)
                del inside[unit]
        for unit, c in inside.items():
            total += sp.Float(c) * unit_expression(unit, values, symbols)
        rhs.append(total)
    return EquationSystem(dict(zip(states, rhs, strict=True)), inputs=inputs)


def term_text(term: Term, values: Values, states: Sequence[str], inputs: Sequence[str] = ()) -> str:
    """One term with its coefficient as text.

    Args:
        term: the equation it stands in, and its unit.
        values: as in :func:`from_structure`, for this term at least.
        states: names of the states.
        inputs: names of the inputs.
    """
    i, unit = term
    alone = Structure(tuple((unit,) if k == i else () for k in range(len(states))))
    return from_structure(alone, values, states, inputs).to_text()[states[i]]


def _logarithm(unit: Unit, factor: float, values: Values, symbols: Sequence[sp.Symbol]) -> sp.Expr:
    v = unit.logs.index(1)
    return unit_expression(replace(unit, logs=()), values, symbols) * sp.log(sp.Float(factor) * symbols[v])


def unit_expression(unit: Unit, values: Values, symbols: Sequence[sp.Symbol]) -> sp.Expr:
    """One unit; fixed numbers become exact, fitted ones floats."""

    def number(kind: str, fixed: float, v: int) -> sp.Expr:
        return sp.Float(values[Number(kind, unit, v)]) if fixed == FITTED else exact_exponent(fixed)

    factors = []
    for v, e in enumerate(unit.powers):
        if e:
            factors.append(symbols[v] ** number("power", e, v))
    if unit.rates:
        factors.append(sp.exp(sp.Add(*(number("rate", r, v) * symbols[v] for v, r in enumerate(unit.rates) if r))))
    if unit.frequencies:
        turn = sp.Add(*(number("frequency", w, v) * symbols[v] for v, w in enumerate(unit.frequencies) if w))
        if unit.phase == FITTED:
            factors.append(sp.cos(turn + sp.Float(values[Number("phase", unit)])))
        else:
            factors.append(sp.cos(turn) if unit.phase == 0 else sp.sin(turn))
    factors.extend(sp.log(symbols[v]) for v, has in enumerate(unit.logs) if has)
    for k, (total, q) in enumerate(unit.sums):
        exponent = sp.Float(values[Number("sum power", unit, k)]) if q == FITTED else exact_exponent(q)
        factors.append(_sum_power(total, exponent, values, symbols))
    return sp.Mul(*factors)


def _without_negative_powers(base: sp.Expr, exponent: sp.Expr, symbols: Sequence[sp.Symbol]) -> sp.Expr:
    """A power of a sum written as Hill did: ``x^h / (x^h + K)``, not ``1 / (1 + K * x^-h)``."""
    lowest = {x: min(part.as_powers_dict().get(x, sp.S.Zero) for part in sp.Add.make_args(base)) for x in symbols}
    common = sp.Mul(*(x**e for x, e in lowest.items() if e < 0))
    return common**exponent * sp.Add(*(part / common for part in sp.Add.make_args(base))) ** exponent


def _sum_power(total: Sum, exponent: sp.Expr, values: Values, symbols: Sequence[sp.Symbol]) -> sp.Expr:
    parts = []
    for m, (part, b) in enumerate(total.parts):
        coefficient = sp.Float(values[Number("coefficient", total, m)]) if b == FITTED else exact_exponent(b)
        parts.append(coefficient * unit_expression(part, values, symbols))
    if len(parts) == 2 and exponent == 1 and isinstance(parts[0], sp.log) and isinstance(-parts[1], sp.log):
        return sp.log(parts[0].args[0] / (-parts[1]).args[0])  # log x - log y
    base = sp.Add(*parts)
    if exponent.is_Integer:
        return _without_negative_powers(base, exponent, symbols)
    if isinstance(base, sp.Pow) and base.exp == 2 and exponent == sp.Rational(1, 2):
        return sp.Abs(base.base)
    return base**exponent

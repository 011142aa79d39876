"""Equations to terms and back: power products as arrays, structures of the search, and systems read as such.

A structure (:mod:`neural_arith.terms.structure`) is what the compiled solver reads. Any candidate becomes a system by
:func:`from_structure`; whether a system's formulas are of that kind, and with which numbers, says :func:`to_structure`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from neural_arith.equations.constants import Template
from neural_arith.equations.system import EquationSystem
from neural_arith.errors import EquationError
from neural_arith.terms.structure import Structure, Term
from neural_arith.terms.units import FITTED, Number, Sum, Unit

Product = tuple[float, dict[str, float]]
"""A coefficient, and the exponent of each variable that occurs in the product."""


def power_terms(expr: sp.Expr, symbols: Sequence[sp.Symbol | str]) -> list[Product] | None:
    """Take an expression apart into ``sum coefficient * prod variable**exponent``.

    Products are multiplied out; ``(x*y)**0.5`` counts as ``x**0.5*y**0.5``, which holds where all factors
    are positive.

    Args:
        expr: the expression.
        symbols: the variables (symbols or their names) that may occur.

    Returns:
        The terms, each product once, or None when the expression is not such a sum.

    Examples:
        >>> import sympy as sp
        >>> from neural_arith.equations import power_terms
        >>> for product in power_terms(sp.sympify("x*(2 - y**2)"), ["x", "y"]):
        ...     print(product)
        (2.0, {'x': 1.0})
        (-1.0, {'x': 1.0, 'y': 2.0})
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

    Examples:
        >>> from neural_arith.equations import from_terms
        >>> print(from_terms(["x", "y"], [-0.5, 2.0], [[1, 1], [0, 0.5]], equation=[0, 1], unit=[0, 1]))
        d x/dt = -0.5*x*y
        d y/dt = 2*sqrt(y)
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


@dataclass(frozen=True)
class Laid:
    """A template's right-hand sides as terms.

    Attributes:
        structure: the terms; numbers that hang on constants are fitted ones.
        values: coefficients, then the fitted numbers within units, in the order of the structure, each as an expression
            in the template's symbols.
        roots: variables of which a root or logarithm is taken: where they are negative there is no value, though terms
            know the real part of one.
    """

    structure: Structure
    values: tuple[sp.Expr, ...]
    roots: frozenset[int]


def to_structure(equations: EquationSystem) -> tuple[Structure, np.ndarray] | None:
    """The terms of a system and their values, as the compiled solver reads them and the search compares them.

    Products are multiplied out. Numbers within units are fitted ones where `refit_constants` would fit them.

    Args:
        equations: the system.

    Returns:
        The structure and its values in original units, or None where a formula is no sum of units.
    """
    laid = lay_out(equations.fit_template, (*equations.states, *equations.inputs))
    if laid is None:
        return None
    numbers = dict(zip(equations.fit_template.symbols, equations.fit_template.values, strict=True))
    values = np.array([_real(value.xreplace(numbers)) for value in laid.values])
    return (laid.structure, values) if np.isfinite(values).all() else None


def lay_out(template: Template, names: Sequence[str]) -> Laid | None:
    """The right-hand sides of a template as terms; None where they are not of that kind.

    Args:
        template: right-hand sides with open constants.
        names: states, then inputs.
    """
    reader = _Reader(template, names)
    coefficients: dict[Term, sp.Expr] = {}
    try:
        for i, expr in enumerate(template.expressions):
            for term in sp.Add.make_args(_multiplied_out(expr)):
                factor, unit = reader.read(term)
                if factor == 0:
                    continue
                coefficients[i, unit] = coefficients.get((i, unit), sp.S.Zero) + factor
    except _NoUnitError:
        return None
    equations = tuple(tuple(unit for k, unit in coefficients if k == i) for i in range(len(template.expressions)))
    structure = Structure(equations)
    values = (*(coefficients[term] for term in structure.terms), *(reader.values[n] for n in structure.numbers))
    return Laid(structure, values, frozenset(reader.roots))


class _NoUnitError(Exception):
    """A part of a formula that no unit can say."""


def _real(number: Any) -> float:
    """A number as a float, NaN where it is not real."""
    value = complex(number)
    return math.nan if value.imag else value.real


def _multiplied_out(expr: Any) -> Any:
    # roots stay whole: sympy would take (x + y)**(3/2) for a product and multiply that out as well
    roots = {power: sp.Dummy() for power in expr.atoms(sp.Pow) if power.exp.is_Rational and not power.exp.is_Integer}
    opened = sp.expand(sp.expand_log(expr.xreplace(roots), force=True))
    return opened.xreplace({dummy: power for power, dummy in roots.items()})


class _Reader:
    """Reads products as units; numbers that hang on constants become fitted ones, with the expression for each."""

    def __init__(self, template: Template, names: Sequence[str]) -> None:
        self.place: dict[Any, int] = {sp.Symbol(name): v for v, name in enumerate(names)}
        self.now = dict(zip(template.symbols, template.values, strict=True))
        self.values: dict[Number, sp.Expr] = {}
        self.roots: set[int] = set()
        self._known: dict[Unit | Sum, tuple[sp.Expr, ...]] = {}

    def read(self, term: Any, *, within: bool = False) -> tuple[Any, Unit]:
        """A product's coefficient and unit; one within a sum has no sums of its own."""
        n = len(self.place)
        coefficient: Any = sp.S.One
        powers: list[Any] = [sp.S.Zero] * n
        rates, turns = list(powers), list(powers)
        phase, logs, sums = None, [0] * n, []
        # an exponent of a product counts for each factor, which holds where all are positive
        rest = [factor.as_base_exp() for factor in sp.Mul.make_args(term)]
        while rest:
            base, exponent = rest.pop()
            if not self._is_number(exponent):
                if not self._is_number(base):
                    raise _NoUnitError
                slopes, constant = self._linear(exponent * sp.log(base))
                rates = [a + b for a, b in zip(rates, slopes, strict=True)]
                coefficient *= sp.exp(constant)
            elif self._is_number(base):
                coefficient *= base**exponent
            elif base in self.place:
                powers[self.place[base]] += exponent
            elif isinstance(base, sp.Mul):
                rest += [(part**exponent).as_base_exp() for part in base.args]
            elif isinstance(base, sp.cos | sp.sin) and exponent == 1 and phase is None:
                turns, phase = self._linear(base.args[0])
                phase -= sp.pi / 2 if isinstance(base, sp.sin) else 0
            elif isinstance(base, sp.log) and exponent == 1 and base.args[0] in self.place:
                logs[self.place[base.args[0]]] = 1
                self.roots.add(self.place[base.args[0]])
            elif within:
                raise _NoUnitError
            elif isinstance(base, sp.tan | sp.cot):
                pair = (sp.sin(base.args[0]), sp.cos(base.args[0]))
                over, under = pair if isinstance(base, sp.tan) else pair[::-1]
                rest += [(over, exponent), (under, -exponent)]
            elif isinstance(base, sp.Abs):
                sums.append(self._sum(base.args[0] ** 2, exponent / 2))
            elif isinstance(base, sp.Add | sp.Pow | sp.cos | sp.sin | sp.log):
                sums.append(self._sum(base, exponent))
            else:
                raise _NoUnitError
        self.roots.update(v for v, e in enumerate(powers) if not e.is_Integer)
        coefficient *= sp.Mul(*(factor for factor, _, _ in sums))
        sums = sorted(((total, self._number(q), q) for _, total, q in sums), key=lambda item: item[:2])
        own = [("power", powers), ("rate", rates), ("frequency", turns), ("phase", [phase or sp.S.Zero])]
        own.append(("sum power", [q for _, _, q in sums]))
        bare = Unit(
            tuple(map(self._number, powers)),
            tuple(map(self._number, rates)) if any(rates) else (),
            tuple(map(self._number, turns)) if any(turns) else (),
            self._number(phase) if any(turns) else 0.0,
            tuple(logs) if any(logs) else (),
            tuple((total, q) for total, q, _ in sums),
        )
        if phase is not None and not any(turns):
            raise _NoUnitError
        found = [(kind, k, value) for kind, values in own for k, value in enumerate(values)]
        return coefficient, self._own(lambda copy: replace(bare, copy=copy), found)

    def _sum(self, base: Any, exponent: Any) -> tuple[Any, Sum, Any]:
        """What a power of a sum is multiplied by, the sum with one for its first coefficient, and the exponent."""
        parts: dict[Unit, Any] = {}
        terms = sp.Add.make_args(_multiplied_out(base)) if isinstance(base, sp.Add | sp.Pow) else (base,)
        for term in terms:
            factor, unit = self.read(term, within=True)
            parts[unit] = parts.get(unit, sp.S.Zero) + factor
        # The first part's coefficient is taken out: best one that stays, and under a root one that is positive.
        ranked = sorted(parts, key=lambda unit: bool(parts[unit].free_symbols))
        first = next((u for u in ranked if exponent.is_Integer or _real(parts[u].xreplace(self.now)) > 0), None)
        if first is None or not parts[first]:
            raise _NoUnitError
        ratios = [(unit, factor / parts[first]) for unit, factor in parts.items() if unit != first]
        inside = ((first, 1.0), *((unit, self._number(ratio)) for unit, ratio in ratios))
        found = [("coefficient", m, ratio) for m, (_, ratio) in enumerate(ratios, 1)]
        return parts[first] ** exponent, self._own(lambda copy: Sum(inside, copy), found), exponent

    def _own(self, make: Callable[[int], Any], found: list[tuple[str, int, Any]]) -> Any:
        """The unit or sum with these numbers: the known one of this form and with the same numbers, or another copy."""
        fitted = [(kind, k, value) for kind, k, value in found if value.free_symbols]
        own = tuple(value for _, _, value in fitted)
        owner = next(o for o in map(make, itertools.count()) if self._known.setdefault(o, own) == own)
        self.values.update({Number(kind, owner, k): value for kind, k, value in fitted})
        return owner

    def _is_number(self, expr: Any) -> bool:
        return not expr.free_symbols & self.place.keys()

    def _number(self, value: Any) -> float:
        if value.free_symbols:
            return FITTED
        number = _real(value)
        if not math.isfinite(number):
            raise _NoUnitError
        return number

    def _linear(self, expr: Any) -> tuple[list[Any], Any]:
        """Coefficients of the variables in a linear expression, and its constant."""
        rest = sp.expand(expr)
        slopes = [rest.coeff(x) for x in self.place]
        rest = sp.expand(rest - sp.Add(*(c * x for c, x in zip(slopes, self.place, strict=True))))
        if not all(map(self._is_number, (*slopes, rest))):
            raise _NoUnitError
        return slopes, rest

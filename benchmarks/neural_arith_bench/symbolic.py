"""Whether a formula is the right one: the same terms, and the same numbers in them.

Terms that contribute less than a thousandth of their equation along the true solutions are dropped first. A quotient
of polynomials is then compared as numerator and denominator, monomial by monomial, every coefficient within 5 %. Any
other formula is compared by the set of its expanded terms with their numbers taken out, and its numbers are judged by
the right-hand side, which must be within 2 % of the true one on a box around the solutions.

The algebra is SymPy's and can take very long on large formulas: whoever calls this sets a limit (see `workers`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sympy as sp

from neural_arith.equations import EquationSystem

COEFFICIENTS, FIELD = 0.05, 0.02
"""How far numbers may be off: coefficients of quotients of polynomials, and the right-hand side for all others."""

NEGLIGIBLE = 1e-3

_ZERO = 1e-10
_NUMBER = sp.Symbol("number")

Coefficients = dict[tuple[int, ...], float]


def verdict(found: EquationSystem, true: EquationSystem, visited: np.ndarray, error: float | None) -> tuple[bool, bool]:
    """Whether the structure is right, and whether the whole formula is.

    Args:
        found: equations of the same states.
        true: the right ones.
        visited: states along the true solutions, shape ``(points, states)``.
        error: of the right-hand side, see `scores.rhs_error`; None for infinite.

    Returns:
        Structure, exactness.
    """
    symbols = sp.symbols([f"x_{i}" for i in range(len(true.states))])
    exact = True
    for state in true.states:
        kept = without_negligible(plain(found.rhs[state], true.states, symbols), symbols, visited)
        alike, close = same(kept, plain(true.rhs[state], true.states, symbols), symbols)
        if not alike:
            return False, False
        exact = exact and (close if close is not None else error is not None and error < FIELD)
    return True, exact


def plain(expr: sp.Expr, states: Sequence[str], symbols: Sequence[sp.Symbol]) -> sp.Expr:
    """The formula over numbered symbols, every number a decimal unless whole, cotangents as quotients."""
    swap: dict[sp.Basic, sp.Basic] = {sp.Symbol(s): x for s, x in zip(states, symbols, strict=True)}
    swap |= {r: sp.Float(r) for r in expr.atoms(sp.Rational) if not r.is_Integer}
    return expr.xreplace(swap).replace(sp.cot, lambda a: sp.cos(a) / sp.sin(a))  # pyright: ignore[reportReturnType]


def without_negligible(expr: sp.Expr, symbols: Sequence[sp.Symbol], visited: np.ndarray) -> sp.Expr:
    """The expanded formula without the terms that hardly contribute where the true solutions go."""

    def size(part: sp.Expr) -> float:
        values = sp.lambdify(symbols, part, "numpy")(*visited.T)
        return float(np.sqrt(np.mean(np.abs(np.broadcast_to(values, len(visited))) ** 2)))

    expanded = sp.expand(expr)
    with np.errstate(all="ignore"):
        least = NEGLIGIBLE * size(expanded)
        return sp.Add(*(term for term in sp.Add.make_args(expanded) if not size(term) < least))


def same(found: sp.Expr, true: sp.Expr, symbols: Sequence[sp.Symbol]) -> tuple[bool, bool | None]:
    """Compare two right-hand sides.

    Returns:
        Whether the terms agree; whether the numbers do, None where the right-hand side must tell.
    """
    ours, theirs = quotient(found, symbols), quotient(true, symbols)
    if ours is None and theirs is None:
        return skeleton(found) == skeleton(true), None
    if ours is None or theirs is None:
        return False, False
    close = True
    for mine, right in zip(ours, theirs, strict=True):
        mine = {monomial: value for monomial, value in mine.items() if abs(value) > _ZERO}
        if set(mine) != set(right):
            return False, False
        close = close and all(abs(mine[m] - v) <= COEFFICIENTS * max(abs(v), 1e-12) for m, v in right.items())
    return True, close


def quotient(expr: sp.Expr, symbols: Sequence[sp.Symbol]) -> tuple[Coefficients, Coefficients] | None:
    """Numerator and denominator, scaled so that the denominator's highest monomial has coefficient 1.

    Returns:
        The coefficients by exponents; None where the formula is no quotient of polynomials.
    """
    try:
        parts = [sp.Poly(sp.expand(part), *symbols) for part in sp.fraction(sp.together(sp.expand(expr)))]
    except sp.PolynomialError:
        return None
    if any(part.free_symbols_in_domain for part in parts):
        return None
    top, bottom = ({m: float(c) for m, c in part.terms() if c != 0} for part in parts)
    scale = bottom[max(bottom)]
    return {m: c / scale for m, c in top.items()}, {m: c / scale for m, c in bottom.items()}


def skeleton(expr: sp.Expr) -> frozenset[str]:
    """The expanded terms without their factors, numbers inside taken out; those within 1 % of a whole one are whole."""
    expanded = sp.expand(expr)
    whole = {
        value: sp.Integer(round(value))
        for value in expanded.atoms(sp.Float)
        if round(value) != 0 and abs(value - round(value)) < 0.01 * abs(value)
    }
    terms = sp.Add.make_args(sp.expand(sp.expand(expanded.xreplace(whole), trig=True)))
    cores = [term.as_coeff_Mul()[1] for term in terms]
    return frozenset(sp.srepr(core.xreplace(dict.fromkeys(core.atoms(sp.Float), _NUMBER))) for core in cores)

"""The numbers of a formula as a vector, in canonical order, and back again: what counts as a constant is said here.

Decimal numbers always do. Where constants are fitted (`refit_constants`, `round_coefficients`, the parameters of a
formula as a torch module) whole numbers and fractions do as well, but for three that are form: exponents, the sign of
``-x``, and one number of a sum whose scale another constant sets, as the 1 in ``2*x/(1 + 3*x)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp


@dataclass(frozen=True)
class Template:
    """Expressions whose constants were taken out.

    Attributes:
        expressions: the right-hand sides with a symbol in the place of each constant.
        symbols: those symbols, in canonical order.
        values: the constants.
        is_exponent: for each one, whether it stands as the exponent of a power.
        written: for each one, the number as it stood there, exact where it was.
    """

    expressions: tuple[sp.Expr, ...]
    symbols: tuple[sp.Dummy, ...]
    values: tuple[float, ...]
    is_exponent: tuple[bool, ...]
    written: tuple[sp.Number, ...]

    def fill(self, values: Sequence[sp.Expr | float]) -> tuple[sp.Expr, ...]:
        """The expressions with new values, floats or exact sympy numbers, in the same order."""
        numbers = {
            symbol: value if isinstance(value, sp.Expr) else sp.Float(float(value))
            for symbol, value in zip(self.symbols, values, strict=True)
        }
        filled = [expression.xreplace(numbers) for expression in self.expressions]
        return tuple(filled)  # pyright: ignore[reportReturnType]


def make_template(
    expressions: Sequence[sp.Expr],
    names: Sequence[str],
    *,
    exact: bool = False,
    exact_exponents: bool = False,
) -> Template:
    """Take the constants out of the expressions.

    Args:
        expressions: the right-hand sides.
        names: the variables, which fix the order.
        exact: whether whole numbers and fractions are taken out too, where they are not form (see above).
        exact_exponents: whether the whole and fractional exponents of single variables are taken out too.
    """
    order = Order(names)
    symbols: list[sp.Dummy] = []
    exponents: list[bool] = []
    written: list[sp.Number] = []

    def take(number: Any, is_exponent: bool = False) -> sp.Dummy:
        # real, so that derivatives of Abs and sign stay plain
        symbols.append(sp.Dummy(f"c{len(symbols)}", real=True))
        exponents.append(is_exponent)
        written.append(number)
        return symbols[-1]

    def power(expr: Any, set_elsewhere: bool) -> Any:
        base, exponent = expr.args
        opened = exact_exponents and isinstance(base, sp.Symbol) and isinstance(exponent, sp.Rational)
        if isinstance(exponent, sp.Float) or opened:
            return sp.Pow(walk(base, set_elsewhere), take(exponent, True))
        if isinstance(exponent, sp.Rational):
            return sp.Pow(walk(base, set_elsewhere), exponent)
        return sp.Pow(walk(base), walk(exponent))

    def product(expr: Any, set_elsewhere: bool) -> Any:
        factors = []
        for factor in order.factors(expr):
            if factor is sp.S.NegativeOne:
                factors.append(factor)
                continue
            factors.append(walk(factor, set_elsewhere))
            # the first factor that can sets the scale of the product, so that the others need not
            set_elsewhere = set_elsewhere or _sets_scale(factor)
        return sp.Mul(*factors)

    def total(expr: Any, set_elsewhere: bool) -> Any:
        terms = order.terms(expr)
        held = _first_exact(terms) if set_elsewhere and _sets_scale(expr) else None
        return sp.Add(*(walk(term, term is held) for term in terms))

    def exponential(expr: Any, set_elsewhere: bool) -> Any:
        terms = order.terms(expr.args[0])
        return sp.exp(sp.Add(*(walk(term, set_elsewhere and term.is_Number) for term in terms)))

    def walk(expr: Any, set_elsewhere: bool = False) -> Any:
        """The expression with symbols; one exact number that only sets its scale stays where others do that."""
        if isinstance(expr, sp.Float):
            return take(expr)
        if isinstance(expr, sp.Rational):
            is_form = not exact or set_elsewhere or not expr
            return expr if is_form else take(expr)
        if isinstance(expr, sp.Pow):
            return power(expr, set_elsewhere)
        if isinstance(expr, sp.Mul):
            return product(expr, set_elsewhere)
        if isinstance(expr, sp.Add):
            return total(expr, set_elsewhere)
        if isinstance(expr, sp.exp):
            return exponential(expr, set_elsewhere)
        return expr.func(*(walk(part) for part in expr.args)) if expr.args else expr

    opened = [walk(expr) for expr in expressions]
    return Template(tuple(opened), tuple(symbols), tuple(map(float, written)), tuple(exponents), tuple(written))


def _sets_scale(expr: Any) -> bool:
    """Whether other values of the constants in an expression can multiply it by any number."""
    if isinstance(expr, sp.Mul):
        return any(_sets_scale(factor) for factor in expr.args if factor is not sp.S.NegativeOne)
    if isinstance(expr, sp.Add):
        return all(_sets_scale(term) for term in expr.args)
    if isinstance(expr, sp.Pow):
        return expr.args[1].is_Number and _sets_scale(expr.args[0])
    if isinstance(expr, sp.exp):
        argument: Any = expr.exp
        return any(term.is_Number for term in sp.Add.make_args(argument))
    return expr.is_Number


def _first_exact(terms: Sequence[Any]) -> Any:
    """The term of a sum whose exact number is form when the sum's scale is set elsewhere."""
    whole = (term for term in terms if isinstance(term, sp.Rational))
    products = (term for term in terms if isinstance(term, sp.Mul) and isinstance(term.args[0], sp.Rational))
    return next(whole, next((term for term in products if term.args[0] is not sp.S.NegativeOne), None))


class Order:
    """Orders the parts of expressions over the given names.

    Args:
        names: states, then inputs; variables come in this order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._rank = {name: f"v{i:05d}" for i, name in enumerate(names)}
        self._known: dict[sp.Basic, str] = {}

    def terms(self, expr: sp.Expr) -> list[sp.Expr]:
        """The terms of a sum: constants, then products of powers by degree, then the rest."""
        return sorted(sp.Add.make_args(expr), key=self._term_key)

    def factors(self, expr: sp.Expr) -> list[sp.Expr]:
        """The factors of a product: numbers, then variables in order, then the rest."""
        return sorted(sp.Mul.make_args(expr), key=self._factor_key)

    def parts(self, expr: sp.Basic) -> list[sp.Basic]:
        """The arguments of any expression, sums and products in canonical order."""
        if isinstance(expr, sp.Add):
            return list(self.terms(expr))
        if isinstance(expr, sp.Mul):
            return list(self.factors(expr))
        return list(expr.args)

    def skeleton(self, expr: sp.Basic) -> str:
        """The shape of an expression as text, with one mark for every float."""
        known = self._known.get(expr)
        if known is None:
            if isinstance(expr, sp.Float):
                known = "#"
            elif isinstance(expr, sp.Symbol):
                known = self._rank.get(expr.name, expr.name)
            elif expr.args:
                known = f"{type(expr).__name__}({','.join(self.skeleton(part) for part in self.parts(expr))})"
            else:
                known = str(expr)
            self._known[expr] = known
        return known

    def _term_key(self, term: sp.Expr) -> tuple:
        factors = [factor for factor in self.factors(term) if not factor.is_Number]
        degree, plain = 0.0, True
        for factor in factors:
            base, exponent = factor.as_base_exp()
            if isinstance(base, sp.Symbol) and isinstance(exponent, sp.Number):
                degree += 0.5 if isinstance(exponent, sp.Float) else float(exponent)
            else:
                plain = False
        shape = [self.skeleton(factor) for factor in factors]
        return (not plain, degree if plain else 0.0, [self._factor_key(f) for f in factors], shape)

    def _factor_key(self, factor: sp.Expr) -> tuple:
        base, _ = factor.as_base_exp()
        kind = 0 if factor.is_Number else 1 if isinstance(base, sp.Symbol) else 2
        return (kind, self.skeleton(base), self.skeleton(factor))

"""The floats of an expression as a vector, in canonical order, and back again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from neural_arith.equations.order import Order


@dataclass(frozen=True)
class Template:
    """Expressions whose floats were taken out.

    Attributes:
        expressions: the right-hand sides with a symbol in the place of each float.
        symbols: those symbols, in canonical order.
        values: the floats.
        is_exponent: for each one, whether it stands as the exponent of a power.
        exact: for each one, whether it was an exact number, taken out on demand.
    """

    expressions: tuple[sp.Expr, ...]
    symbols: tuple[sp.Dummy, ...]
    values: tuple[float, ...]
    is_exponent: tuple[bool, ...]
    exact: tuple[bool, ...]

    def fill(self, values: Sequence[sp.Expr | float]) -> tuple[sp.Expr, ...]:
        """The expressions with new values, floats or exact sympy numbers, in the same order."""
        numbers = {
            symbol: value if isinstance(value, sp.Expr) else sp.Float(float(value))
            for symbol, value in zip(self.symbols, values, strict=True)
        }
        filled = [expression.xreplace(numbers) for expression in self.expressions]
        return tuple(filled)  # pyright: ignore[reportReturnType]


def make_template(expressions: Sequence[sp.Expr], names: Sequence[str], *, exact_exponents: bool = False) -> Template:
    """Take the floats out of the expressions.

    Args:
        expressions: the right-hand sides.
        names: the variables, which fix the order.
        exact_exponents: whether the whole and fractional exponents of single variables are taken out too.
    """
    order = Order(names)
    symbols: list[sp.Dummy] = []
    values: list[float] = []
    exponents: list[bool] = []
    exact: list[bool] = []

    def take(number: Any, is_exponent: bool) -> sp.Dummy:
        # real, so that derivatives of Abs and sign stay plain
        symbols.append(sp.Dummy(f"c{len(symbols)}", real=True))
        values.append(float(number))
        exponents.append(is_exponent)
        exact.append(not isinstance(number, sp.Float))
        return symbols[-1]

    def walk(expr: Any) -> Any:
        if isinstance(expr, sp.Float):
            return take(expr, False)
        if isinstance(expr, sp.Pow):
            base, exponent = expr.args
            opened = exact_exponents and isinstance(base, sp.Symbol) and isinstance(exponent, sp.Rational)
            is_number = isinstance(exponent, sp.Float) or opened
            return sp.Pow(walk(base), take(exponent, True) if is_number else walk(exponent))
        return expr.func(*map(walk, order.parts(expr))) if expr.args else expr

    opened = [walk(expr) for expr in expressions]
    return Template(tuple(opened), tuple(symbols), tuple(values), tuple(exponents), tuple(exact))

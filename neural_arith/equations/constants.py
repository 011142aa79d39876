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
        equation: for each one, the number of the right-hand side it stands in.
    """

    expressions: tuple[sp.Expr, ...]
    symbols: tuple[sp.Dummy, ...]
    values: tuple[float, ...]
    is_exponent: tuple[bool, ...]
    equation: tuple[int, ...]

    def fill(self, values: Sequence[sp.Expr | float]) -> tuple[sp.Expr, ...]:
        """The expressions with new values, floats or exact sympy numbers, in the same order."""
        numbers = {
            symbol: value if isinstance(value, sp.Expr) else sp.Float(float(value))
            for symbol, value in zip(self.symbols, values, strict=True)
        }
        filled = [expression.xreplace(numbers) for expression in self.expressions]
        return tuple(filled)  # pyright: ignore[reportReturnType]


def make_template(expressions: Sequence[sp.Expr], names: Sequence[str]) -> Template:
    """Take the floats out of the expressions."""
    order = Order(names)
    symbols: list[sp.Dummy] = []
    values: list[float] = []
    exponents: list[bool] = []
    equation: list[int] = []

    def walk(expr: Any, row: int, is_exponent: bool) -> Any:
        if isinstance(expr, sp.Float):
            # real, so that derivatives of Abs and sign stay plain
            symbols.append(sp.Dummy(f"c{len(symbols)}", real=True))
            values.append(float(expr))
            exponents.append(is_exponent)
            equation.append(row)
            return symbols[-1]
        if not expr.args or not expr.has(sp.Float):
            return expr
        if isinstance(expr, sp.Pow):
            base, exponent = expr.args
            return sp.Pow(walk(base, row, False), walk(exponent, row, isinstance(exponent, sp.Float)))
        return expr.func(*[walk(part, row, False) for part in order.parts(expr)])

    expressions = [walk(expr, row, False) for row, expr in enumerate(expressions)]
    return Template(tuple(expressions), tuple(symbols), tuple(values), tuple(exponents), tuple(equation))

"""One canonical order of terms, factors and constants, by structure only.

Printing, saving and the list of constants all walk an expression in this order. It looks at the shape of the
terms and never at the values of floats, so refitting constants does not shuffle an equation.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp


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

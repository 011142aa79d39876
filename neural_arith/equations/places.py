"""Where in a system each of its constants stands."""

from __future__ import annotations

from typing import Any

import sympy as sp

from neural_arith.equations.system import EquationSystem
from neural_arith.equations.writing import write


def places(equations: EquationSystem) -> list[tuple[str, str]]:
    """Tell where each constant stands.

    Args:
        equations: the system.

    Returns:
        For each constant, in canonical order, the left-hand side of its equation and the term that holds it.
    """
    template = equations.template
    numbers = {symbol: sp.Float(value) for symbol, value in zip(template.symbols, template.values, strict=True)}
    found = []
    for symbol in template.symbols:
        row, whole = next((k, expr) for k, expr in enumerate(template.expressions) if expr.has(symbol))
        term = next((part for part in sp.Add.make_args(whole) if part.has(symbol)), whole)
        filled: Any = term.xreplace(numbers)
        text = write(filled, (*equations.states, *equations.inputs), 4)
        found.append((f"d {equations.states[row]}/dt", text))
    return found

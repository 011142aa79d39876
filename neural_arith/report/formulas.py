"""Equations as MathML."""

from __future__ import annotations

import html
import re
from typing import Any

import sympy as sp

from neural_arith.equations import EquationSystem
from neural_arith.equations.constants import Order

_TIMES = "<mo>&InvisibleTimes;</mo>"  # would let names run together


def mathml(equations: EquationSystem) -> str:
    """The equations as presentation MathML, which browsers show without a script.

    Args:
        equations: what to write; decimal numbers get four significant figures.

    Returns:
        One HTML ``div`` element.
    """
    from sympy.printing.mathml import MathMLPresentationPrinter

    canonical = Order((*equations.states, *equations.inputs))

    class Printer(MathMLPresentationPrinter):
        """Floats with four significant figures, terms in the order of the text."""

        def _as_ordered_terms(self, expr: sp.Expr, order: str | None = None) -> list[sp.Expr]:
            return canonical.terms(expr)

        def _print_Symbol(self, sym: sp.Symbol, style: str = "plain") -> Any:
            # SymPy writes names as they are.
            return super()._print_Symbol(sp.Symbol(html.escape(sym.name)), style)

        def _print_Float(self, expr: sp.Float) -> Any:
            short = f"{float(expr):.4g}"
            return super()._print_Float(sp.Float(short, len(re.sub(r"e.*|[^0-9]", "", short).lstrip("0")) or 1))

    lines = []
    for state, expr in equations.rhs.items():
        top = f"<mrow><mi>d</mi><mi>{html.escape(state)}</mi></mrow>"
        slope = f"<mfrac>{top}<mrow><mi>d</mi><mi>t</mi></mrow></mfrac>"
        right = Printer().doprint(expr).replace(_TIMES, '<mspace width="0.25em"></mspace>')
        lines.append(f'<math display="block"><mrow>{slope}<mo>=</mo>{right}</mrow></math>')
    return f'<div class="equations">{"".join(lines)}</div>'

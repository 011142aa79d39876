"""Equations as text that can be read back, and as LaTeX: one walk, two styles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import sympy as sp

from neural_arith.equations.names import quoted
from neural_arith.equations.order import Order

_SUM, _PRODUCT, _POWER, _ATOM = 1, 2, 3, 4

_GREEK_WORDS = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi "
    "chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)
_GREEK = frozenset(_GREEK_WORDS.split())


class Text:
    """How the parts of a formula look: here as `read_expression` reads them; other styles override."""

    times = "*"

    def number(self, value: float, figures: int | None) -> str:
        """A decimal number."""
        return number_text(value, figures)

    def whole(self, value: int) -> str:
        """A whole number."""
        return str(value)

    def symbol(self, name: str) -> str:
        """A variable."""
        return quoted(name)

    def bracket(self, inner: str) -> str:
        """A sum or product inside a product or power."""
        return f"({inner})"

    def fraction(self, top: str, bottom: str, simple: bool) -> str:
        """A quotient; ``simple`` when the bottom needs no brackets."""
        return f"{top}/{bottom}" if simple else f"{top}/({bottom})"

    def power(self, base: str, exponent: str, simple: bool) -> str:
        """A power; ``simple`` when the exponent needs no brackets."""
        return f"{base}**{exponent}" if simple else f"{base}**({exponent})"

    def call(self, name: str, inner: str) -> str:
        """A function of one argument."""
        return f"{name}({inner})"


class _Latex(Text):
    """Formulas as LaTeX."""

    times = r" \, "

    def number(self, value: float, figures: int | None) -> str:
        mantissa, _, exponent = number_text(value, figures).partition("e")
        return mantissa if not exponent else rf"{mantissa} \cdot 10^{{{int(exponent)}}}"

    def symbol(self, name: str) -> str:
        return latex_name(name)

    def bracket(self, inner: str) -> str:
        return rf"\left({inner}\right)"

    def fraction(self, top: str, bottom: str, simple: bool) -> str:
        return rf"\frac{{{top}}}{{{bottom}}}"

    def power(self, base: str, exponent: str, simple: bool) -> str:
        return rf"{{{base}}}^{{{exponent}}}"

    def call(self, name: str, inner: str) -> str:
        if name == "sqrt":
            return rf"\sqrt{{{inner}}}"
        if name == "Abs":
            return rf"\left|{inner}\right|"
        command = rf"\operatorname{{{name}}}" if name in ("sign", "asinh") else rf"\{name}"
        return rf"{command}\left({inner}\right)"


TEXT, LATEX = Text(), _Latex()


def number_text(value: float, figures: int | None) -> str:
    """A float with so many significant figures, or exactly (and readable as a float) with ``None``.

    >>> number_text(0.00123, 4), number_text(2.0, 4), number_text(1.25e-7, 2), number_text(2.0, None)
    ('0.00123', '2', '1.2e-7', '2.0')
    """
    if figures is None:
        return repr(float(value))
    mantissa, _, exponent = f"{value:.{figures}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def latex_name(name: str) -> str:
    r"""A name as LaTeX: Greek letters, subscripts, upright words.

    >>> latex_name("beta"), latex_name("x_0"), latex_name("hare"), latex_name("in bed")
    ('\\beta', 'x_{0}', '\\mathrm{hare}', '\\mathrm{in\\ bed}')
    """
    match = re.fullmatch(r"([A-Za-z]+)_?(\d+)", name) or re.fullmatch(r"([A-Za-z]+)_([A-Za-z0-9]+)", name)
    if match:
        stem, index = match.groups()
        upright = index if len(index) == 1 or index.isdigit() else rf"\mathrm{{{index}}}"
        return f"{latex_name(stem)}_{{{upright}}}"
    if name in _GREEK:
        return f"\\{name}"
    if len(name) == 1 and name.isalpha():
        return name
    special = {"\\": r"\backslash ", "^": r"\hat{}", "~": r"\sim ", " ": r"\ "}
    letters = [special.get(c, f"\\{c}" if c in "_{}$%&#" else c) for c in name]
    return rf"\mathrm{{{''.join(letters)}}}"


def write(expr: sp.Expr, names: Sequence[str], figures: int | None, style: Text = TEXT) -> str:
    """Write one expression.

    Args:
        expr: the expression.
        names: the variables, in the order in which they shall come.
        figures: significant figures of floats; None writes them exactly.
        style: `TEXT` (which `read_expression` reads back) or `LATEX`.
    """
    return Writer(Order(names), figures, style).write(expr)[0]


class Writer:
    """Walks an expression in canonical order.

    Args:
        order: the order of terms and factors.
        figures: significant figures of floats; None writes them exactly.
        style: how the parts look.
    """

    def __init__(self, order: Order, figures: int | None, style: Text) -> None:
        self.order = order
        self.figures = figures
        self.style = style

    def write(self, expr: Any) -> tuple[str, int]:
        """The text of an expression and how tightly it binds."""
        style = self.style
        if isinstance(expr, sp.Add):
            return self._sum(expr), _SUM
        if isinstance(expr, sp.Mul) or (isinstance(expr, sp.Rational) and not expr.is_Integer):
            return self._product(expr)
        if isinstance(expr, sp.Number):
            text = style.whole(int(expr)) if expr.is_Integer else style.number(float(expr), self.figures)
            return text, _SUM if text.startswith("-") else _ATOM
        if isinstance(expr, sp.Symbol):
            return style.symbol(expr.name), _ATOM
        if isinstance(expr, sp.Pow):
            if _is_below(expr):
                return self._product(expr)
            return self._power(expr)
        return style.call(type(expr).__name__, self.write(expr.args[0])[0]), _ATOM

    def _sum(self, expr: sp.Expr) -> str:
        pieces: list[str] = []
        for term in self.order.terms(expr):
            text = self.write(term)[0]
            if not pieces:
                pieces.append(text)
            elif text.startswith("-"):
                pieces.append(f" - {text[1:]}")
            else:
                pieces.append(f" + {text}")
        return "".join(pieces)

    def _product(self, expr: sp.Expr) -> tuple[str, int]:
        coefficient, rest = expr.as_coeff_Mul()
        negative = bool(coefficient < 0)
        coefficient = abs(coefficient)
        above: list[str] = []
        below: list[tuple[str, int]] = []
        if isinstance(coefficient, sp.Float):
            text = self.style.number(float(coefficient), self.figures)
            if text != "1":
                above.append(text)
        else:
            numerator, denominator = sp.fraction(coefficient)
            if numerator != 1:
                above.append(self.style.whole(int(numerator)))
            if denominator != 1:
                below.append((self.style.whole(int(denominator)), _ATOM))
        factors = [] if rest == 1 else self.order.factors(rest)
        for factor in factors:
            if _is_below(factor):
                below.append(self.write(1 / factor))
            else:
                above.append(self._bracketed(factor, _PRODUCT))
        if not above:
            above.append(self.style.whole(1))
        text = self.style.times.join(above)
        if len(below) == 1:
            bottom, binds = below[0]
            text = self.style.fraction(text, bottom, binds > _PRODUCT)
        elif below:
            brackets = [part if binds > _PRODUCT else self.style.bracket(part) for part, binds in below]
            text = self.style.fraction(text, self.style.times.join(brackets), False)
        if negative:
            return f"-{text}", _SUM
        return text, _PRODUCT if below or len(above) > 1 else _POWER if factors else _ATOM

    def _power(self, expr: sp.Pow) -> tuple[str, int]:
        base, exponent = expr.args
        if exponent == sp.Rational(1, 2):
            return self.style.call("sqrt", self.write(base)[0]), _ATOM
        text, binds = self.write(exponent)
        if isinstance(exponent, sp.Float) and text.lstrip("-").isdigit():
            text += ".0"  # a fitted exponent near a whole number is not that number
        return self.style.power(self._bracketed(base, _POWER), text, binds == _ATOM), _POWER

    def _bracketed(self, expr: Any, outer: int) -> str:
        text, binds = self.write(expr)
        keep = binds >= _ATOM if outer == _POWER else binds >= _PRODUCT
        return text if keep else self.style.bracket(text)


def _is_below(factor: sp.Basic) -> bool:
    """Whether a factor belongs under the fraction bar; exponentials stay above with their sign."""
    return isinstance(factor, sp.Pow) and bool(factor.exp.is_Number) and bool(factor.exp.is_negative)

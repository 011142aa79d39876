"""Formulas as text: a reader, and one walk that writes them so that they are read back, or as LaTeX.

The reader is a whitelist of syntax: numbers, names, ``+ - * / **``, parentheses and the functions of
`FUNCTION_NAMES`. Text is never evaluated nor given to sympy's parser, so what comes from a file or a command line
cannot do anything but become a formula.
"""

from __future__ import annotations

import ast
import difflib
import math
import re
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import sympy as sp

from neural_arith.equations.constants import Order
from neural_arith.equations.names import FUNCTION_NAMES, listed, quoted
from neural_arith.errors import EquationError

if TYPE_CHECKING:
    from neural_arith.equations.system import EquationSystem

FUNCTIONS: dict[str, Callable[..., sp.Expr]] = {
    **{name: getattr(sp, name) for name in FUNCTION_NAMES},
    "abs": sp.Abs,
    "ln": sp.log,
}
"""What the reader turns each function name into."""

MAX_LENGTH = 100_000
MAX_PARTS = 3000
MAX_DEPTH = 200
MAX_BITS = 1024
MAX_DIGITS = 100

_DIGITS = re.compile(rf"\d{{{MAX_DIGITS + 1},}}")
_TOKEN = re.compile(r"`([^`]*)`|(?<![\w.])([^\W\d]\w*)(\s*\()?")


def read_expression(text: str, names: Sequence[str]) -> sp.Expr:
    """Read one formula.

    Args:
        text: for instance ``"0.5*hare - 0.02*hare*lynx"``; names that are no identifiers stand between
            backticks.
        names: the names that may occur; they go before everything else, so a state may be called E, pi or
            lambda.

    Returns:
        The formula over plain sympy symbols. Whole numbers and fractions of them are exact, decimal numbers
        are floats.

    Raises:
        EquationError: unknown names (listed, with the allowed ones), unknown functions, other syntax, a number that is
            not finite or complex, or more than can be worked with: the limits stand above.
    """
    if len(text) > MAX_LENGTH:
        raise EquationError(f"the formula has {len(text)} characters; at most {MAX_LENGTH} are read")
    if "^" in text:
        raise EquationError(f"'^' is not a power here; write ** instead, in {_short(text)}")
    slots: dict[str, sp.Expr] = {}
    unknown: list[str] = []

    def replace(match: re.Match[str]) -> str:
        quoted_name, bare, call = match.group(1), match.group(2), match.group(3) or ""
        name = bare if quoted_name is None else quoted_name
        if call and quoted_name is None and name in FUNCTIONS:
            return match.group(0)
        if name in names:
            value: sp.Expr = sp.Symbol(name)
        elif name == "pi":
            value = sp.Float(math.pi)
        else:
            unknown.append(f"{name}(...)" if call else name)
            return "_0" + call
        slot = f"_{len(slots)}"
        slots[slot] = value
        return slot + call

    safe = _TOKEN.sub(replace, text)
    if unknown:
        raise EquationError(_unknown_message(unknown, names, text))
    if _DIGITS.search(safe):
        raise EquationError(f"a number in {_short(text)} has more than {MAX_DIGITS} digits; write it as in 1.5e120")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of what Python reads with a shrug, such as 2and
            tree = ast.parse(safe.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        if isinstance(error, MemoryError | RecursionError) or "nested" in str(error):
            raise EquationError(f"the formula {_short(text)} is too long or too deeply nested to be read") from error
        raise EquationError(
            f"cannot read the formula {_short(text)}; write products with *, powers with **, functions like exp(x)"
        ) from error
    parts = sum(isinstance(node, ast.expr) for node in ast.walk(tree))
    if parts > MAX_PARTS:
        raise EquationError(f"the formula {_short(text)} has {parts} parts; at most {MAX_PARTS} are read")
    return _Builder(slots, text).build(tree, 0)


_LISTED = 8


def _unknown_message(unknown: Sequence[str], names: Sequence[str], text: str) -> str:
    distinct = [name if len(name) <= 80 else f"{name[:77]}..." for name in dict.fromkeys(unknown)]
    more = f" and {len(distinct) - _LISTED} more" if len(distinct) > _LISTED else ""
    hints = []
    for name in distinct[:_LISTED]:
        if name in FUNCTIONS:
            hints.append(f"{name} is a function: write {name}(...)")
            continue
        close = difflib.get_close_matches(name.removesuffix("(...)"), [*names, *FUNCTIONS], n=1)
        if close:
            hints.append(f"did you mean {quoted(close[0])} for {name}?")
    return " ".join(
        [
            f"unknown {', '.join(distinct[:_LISTED])}{more} in {_short(text)};",
            f"allowed names: {listed(names)}; functions: {', '.join(FUNCTION_NAMES)}.",
            *hints,
        ]
    )


class _Builder:
    """Turns the whitelisted syntax tree into sympy, one product or sum at a time.

    Whole products and sums are handed to sympy at once: built pair by pair, 2*(x + 1)/y would be distributed
    to (2*x + 2)/y and a saved formula would not come back as it was.
    """

    def __init__(self, slots: dict[str, sp.Expr], text: str) -> None:
        self.slots = slots
        self.text = text

    def build(self, node: ast.expr, depth: int) -> sp.Expr:
        if depth > MAX_DEPTH:
            raise EquationError(f"the formula {_short(self.text)} is nested deeper than {MAX_DEPTH}")
        match node:
            case ast.Constant(value=bool() | str() | bytes() | complex() | None):
                raise self._syntax(node)
            case ast.Constant(value=int(value)):
                if value.bit_length() > MAX_BITS:
                    raise EquationError(f"a number in {_short(self.text)} is too large")
                return sp.Integer(value)
            case ast.Constant(value=float(value)):
                if not math.isfinite(value):
                    raise EquationError(f"a number in {_short(self.text)} is too large")
                return sp.Float(value)
            case ast.Name(id=name) if name in self.slots:
                return self.slots[name]
            case ast.BinOp(op=ast.Add() | ast.Sub()):
                return self._bounded(sp.Add(*self._terms(node, 1, depth)))
            case ast.BinOp(op=ast.Mult() | ast.Div()) | ast.UnaryOp(op=ast.UAdd() | ast.USub()):
                return self._bounded(sp.Mul(*self._factors(node, 1, depth)))
            case ast.BinOp(op=ast.Pow(), left=left, right=right):
                return self._power(self.build(left, depth + 1), self.build(right, depth + 1))
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
                inside = self.build(argument, depth + 1)
                if inside.is_number and name in ("exp", "sinh", "cosh") and abs(_double(inside)) > _MOST_EXPONENT:
                    raise self._too_large()
                return self._bounded(FUNCTIONS[name](inside))
            case ast.Call(func=ast.Name(id=name), args=arguments) if name in FUNCTIONS:
                raise EquationError(f"{name} takes one argument, not {len(arguments)}, in {_short(self.text)}")
        raise self._syntax(node)

    def _terms(self, node: ast.expr, sign: int, depth: int) -> list[sp.Expr]:
        """The terms of a left-leaning chain of sums, walked in a loop: long sums are not deep."""
        collected: list[tuple[ast.expr, int]] = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            collected.append((node.right, 1 if isinstance(node.op, ast.Add) else -1))
            node = node.left
        collected.append((node, sign))
        return [sp.Mul(*self._factors(part, factor, depth + 1)) for part, factor in reversed(collected)]

    def _factors(self, node: ast.expr, sign: int, depth: int) -> list[sp.Expr]:
        if depth > MAX_DEPTH:
            raise EquationError(f"the formula {_short(self.text)} is nested deeper than {MAX_DEPTH}")
        collected: list[tuple[ast.expr, bool]] = []
        while True:
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
                collected.append((node.right, isinstance(node.op, ast.Div)))
                node = node.left
            elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
                sign = -sign if isinstance(node.op, ast.USub) else sign
                node = node.operand
            else:
                break
        collected.append((node, False))
        factors: list[sp.Expr] = [] if sign > 0 else [sp.Integer(-1)]
        for part, below in reversed(collected):
            if below:
                # the factors of a/(b*c) go down one by one, for the same reason
                inside = self._factors(part, 1, depth + 1)
                factors += [self._power(value, sp.Integer(-1)) for value in inside]
            else:
                factors.append(self.build(part, depth + 1))
        return factors

    def _power(self, base: sp.Expr, exponent: sp.Expr) -> sp.Expr:
        if base.is_zero and exponent.is_number and exponent.is_negative:
            raise EquationError(f"division by zero in {_short(self.text)}")
        if exponent.is_Rational:
            top = max(abs(int(sp.numer(exponent))), int(sp.denom(exponent)))
            bits = max((int(abs(n)).bit_length() for n in base.atoms(sp.Integer)), default=1)
            if top * bits > MAX_BITS or top > 1000:
                raise EquationError(f"a power in {_short(self.text)} is too large; write its value as a number")
        elif exponent.has(sp.Pow) and not exponent.free_symbols:
            exponent = sp.Float(_double(exponent))
        if base.is_number and exponent.is_number:
            try:
                value = _double(base) ** _double(exponent)
            except OverflowError:
                raise self._too_large() from None
            except ZeroDivisionError:
                raise EquationError(f"division by zero in {_short(self.text)}") from None
            if isinstance(value, complex):
                raise EquationError(f"a number in {_short(self.text)} is complex: a root of a negative number")
        return self._bounded(sp.Pow(base, exponent))

    def _bounded(self, value: sp.Expr) -> sp.Expr:
        """The value, if the numbers in front of it are such as can be worked with."""
        for part in (value, *value.args):
            if isinstance(part, sp.Rational) and max(abs(part.p), part.q).bit_length() > MAX_BITS:
                raise self._too_large()
            if isinstance(part, sp.Float) and not math.isfinite(float(part)):
                raise self._too_large()
        return value

    def _too_large(self) -> EquationError:
        return EquationError(f"a number in {_short(self.text)} is too large")

    def _syntax(self, node: ast.expr) -> EquationError:
        return EquationError(
            f"{type(node).__name__} is not part of a formula, in {_short(self.text)}; "
            "only numbers, names, + - * / **, parentheses and functions are"
        )


_MOST_EXPONENT = 700.0
"""exp of more does not fit into a double."""


def _double(value: sp.Expr) -> float:
    """A number as a double; infinite where it does not fit."""
    try:
        return float(value)
    except (OverflowError, TypeError):
        return math.inf


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


# ---------------------------------------------------------------------- writing
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

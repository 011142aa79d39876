"""A small reader for formulas: a whitelist of syntax, no evaluation of text, no sympy parser.

Numbers, names, ``+ - * / **``, parentheses and the functions of `FUNCTION_NAMES`; nothing else exists here,
so text from a file or a command line cannot do anything but become a formula.
"""

from __future__ import annotations

import ast
import difflib
import math
import re
import warnings
from collections.abc import Callable, Sequence

import sympy as sp

from neural_arith.equations.names import FUNCTION_NAMES, listed, quoted
from neural_arith.errors import EquationError

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

"""Expressions as fast Python functions, of numbers and of arrays.

Names never reach the generated code: every symbol is replaced by a numbered one first, so a state may be
called anything at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import sympy as sp


def neutral(expressions: Sequence[sp.Expr], names: Sequence[str]) -> tuple[list[sp.Expr], list[sp.Symbol]]:
    """The expressions over numbered real symbols, ``cot`` as a quotient (no target library has it)."""
    symbols = [sp.Symbol(f"v{i}_", real=True) for i in range(len(names))]
    swap = {sp.Symbol(name): symbol for name, symbol in zip(names, symbols, strict=True)}
    plain = [expr.replace(sp.cot, lambda a: sp.cos(a) / sp.sin(a)) for expr in expressions]
    return [expr.xreplace(swap) for expr in plain], symbols  # pyright: ignore[reportReturnType]


def array_function(expressions: Sequence[sp.Expr], names: Sequence[str]) -> Callable[[np.ndarray], np.ndarray]:
    """A function of ``(*batch, names)`` giving ``(*batch, expressions)``, NaN outside the domain."""
    plain, symbols = neutral(expressions, names)
    function = sp.lambdify(symbols, plain, modules="numpy", cse=True)

    def f(values: np.ndarray) -> np.ndarray:
        out = np.empty((*values.shape[:-1], len(plain)))
        with np.errstate(all="ignore"):
            for i, column in enumerate(function(*np.moveaxis(values, -1, 0))):
                out[..., i] = column
        return out

    return f


def scalar_function(expressions: Sequence[sp.Expr], names: Sequence[str]) -> Callable[..., list[float]]:
    """A function of one float per name giving a list of floats, much faster than NumPy on single numbers."""
    plain, symbols = neutral(expressions, names)
    fast = sp.lambdify(symbols, plain, modules=[{"sign": _sign}, "math"], cse=True)
    slow = array_function(expressions, names)

    def f(*values: float) -> list[float]:
        try:
            out = fast(*values)
            if not any(isinstance(number, complex) for number in out):
                return out
        except (ValueError, ZeroDivisionError, OverflowError):
            # where the math module raises, NumPy has an answer: infinite, or NaN, or exp(-inf) = 0
            pass
        return slow(np.array(values, dtype=float)).tolist()

    return f


def _sign(value: float) -> float:
    return math.copysign(1.0, value) if value else value
